/* Non-INVITE client transaction: RFC 3261 section 17.1.2, a test for each sentence. */
#include "fake_txn.h"

#define UDP SIP_TRANSPORT_UDP
#define TCP SIP_TRANSPORT_TCP

static void s17_1_2_2_timer_e_doubles_up_to_t2_and_timer_f_ends_it(void **state)
{
    struct fake *f = fake_new();
    struct txn_client *t = fake_client(f, "OPTIONS", UDP);

    (void)state;
    assert_string_equal(txn_client_state_name(t), "Trying");
    fake_advance(f, 40000);
    /* Intervals 500, 1000, 2000, 4000, 4000, ... */
    fake_expect(f, "0 send OPTIONS\n"
                   "500 send OPTIONS\n"
                   "1500 send OPTIONS\n"
                   "3500 send OPTIONS\n"
                   "7500 send OPTIONS\n"
                   "11500 send OPTIONS\n"
                   "15500 send OPTIONS\n"
                   "19500 send OPTIONS\n"
                   "23500 send OPTIONS\n"
                   "27500 send OPTIONS\n"
                   "31500 send OPTIONS\n"
                   "32000 timeout\n"
                   "32000 client done\n");
    assert_int_equal(fake_count(f, COUNTER_TX_RETRANSMITS), 10);
    assert_int_equal(fake_count(f, COUNTER_TXN_TIMEOUTS), 1);
    fake_free(f);
}

static void s17_1_2_2_timer_e_is_min_of_twice_t1_and_t2_where_t2_is_no_power_of_two(void **state)
{
    struct txn_times times = txn_times_default;
    struct fake *f;

    (void)state;
    times.t1_ms = 500;
    times.t2_ms = 1300;
    f = fake_new_with(&times, 10);
    fake_client(f, "OPTIONS", UDP);
    fake_advance(f, 5500);
    fake_expect(f,
                "0 send OPTIONS\n500 send OPTIONS\n1500 send OPTIONS\n2800 send OPTIONS\n4100 send OPTIONS\n"
                "5400 send OPTIONS\n");
    fake_free(f);
}

static void s17_1_2_2_no_timer_e_over_a_reliable_transport_but_timer_f(void **state)
{
    struct fake *f = fake_new();

    (void)state;
    fake_client(f, "OPTIONS", TCP);
    fake_advance(f, 31999);
    fake_expect(f, "0 send OPTIONS\n");
    fake_advance(f, 1);
    fake_expect(f, "32000 timeout\n32000 client done\n");
    fake_free(f);
}

static void s17_1_2_2_after_a_provisional_timer_e_is_reset_to_t2(void **state)
{
    struct fake *f = fake_new();
    struct txn_client *t = fake_client(f, "OPTIONS", UDP);

    (void)state;
    fake_advance(f, 600);
    fake_receive(f, 100, "OPTIONS", NULL);
    assert_true(txn_client_is_proceeding(t));
    fake_advance(f, 12000);
    /* The timer that runs goes on (1500); only then T2 holds. */
    fake_expect(f, "0 send OPTIONS\n500 send OPTIONS\n600 up 100\n1500 send OPTIONS\n5500 send OPTIONS\n"
                   "9500 send OPTIONS\n");
    fake_free(f);
}

static void s17_1_2_2_timer_f_fires_in_proceeding_counted_from_the_start(void **state)
{
    struct fake *f = fake_new();

    (void)state;
    fake_client(f, "OPTIONS", UDP);
    fake_advance(f, 20000);
    fake_receive(f, 100, "OPTIONS", NULL);
    fake_advance(f, 11999);
    fake_forget(f);
    fake_advance(f, 1);
    fake_expect(f, "32000 timeout\n32000 client done\n");
    fake_free(f);
}

static void s17_1_2_2_every_provisional_is_passed_up(void **state)
{
    struct fake *f = fake_new();

    (void)state;
    fake_client(f, "OPTIONS", UDP);
    fake_receive(f, 100, "OPTIONS", NULL);
    fake_receive(f, 183, "OPTIONS", NULL);
    fake_receive(f, 100, "OPTIONS", NULL);
    fake_expect(f, "0 send OPTIONS\n0 up 100\n0 up 183\n0 up 100\n");
    fake_free(f);
}

static void s17_1_2_2_final_is_passed_up_once_and_timer_k_is_t4(void **state)
{
    static const unsigned finals[] = {200, 202, 302, 404, 408, 503, 699};

    (void)state;
    for (size_t i = 0; i < 2 * sizeof(finals) / sizeof(finals[0]); i++) {
        unsigned final = finals[i / 2];
        struct fake *f = fake_new();
        struct txn_client *t = fake_client(f, "OPTIONS", UDP);
        char expected[64];

        if (i % 2)
            fake_receive(f, 100, "OPTIONS", NULL);
        fake_forget(f);
        fake_receive(f, final, "OPTIONS", ";tag=b1");
        assert_string_equal(txn_client_state_name(t), "Completed");
        assert_null(txn_client_request(t));
        fake_advance(f, 4999);
        assert_int_equal(fake_receive(f, final, "OPTIONS", ";tag=b1"), TXN_MATCH_ABSORBED);
        assert_int_equal(fake_receive(f, 100, "OPTIONS", NULL), TXN_MATCH_ABSORBED);
        snprintf(expected, sizeof(expected), "0 up %u\n", final);
        fake_expect(f, expected);
        fake_advance(f, 1);
        fake_expect(f, "5000 client done\n");
        assert_int_equal(fake_receive(f, final, "OPTIONS", ";tag=b1"), TXN_MATCH_NONE);
        fake_free(f);
    }
}

static void s17_1_2_2_timer_k_is_zero_over_a_reliable_transport(void **state)
{
    struct fake *f = fake_new();

    (void)state;
    fake_client(f, "OPTIONS", TCP);
    fake_receive(f, 200, "OPTIONS", ";tag=b1");
    fake_advance(f, 0);
    fake_expect(f, "0 send OPTIONS\n0 up 200\n0 client done\n");
    fake_free(f);
}

static void s17_1_3_first_of_several_responses_is_used(void **state)
{
    struct fake *f = fake_new();

    (void)state;
    fake_client(f, "OPTIONS", UDP);
    fake_receive(f, 200, "OPTIONS", ";tag=b1");
    fake_receive(f, 200, "OPTIONS", ";tag=b2");
    fake_expect(f, "0 send OPTIONS\n0 up 200\n");
    fake_free(f);
}

static void s17_1_4_transport_error_is_told_and_ends_it_until_the_final(void **state)
{
    (void)state;
    for (int proceeding = 0; proceeding < 2; proceeding++) {
        struct fake *f = fake_new();

        fake_client(f, "OPTIONS", UDP);
        if (proceeding)
            fake_receive(f, 100, "OPTIONS", NULL);
        fake_forget(f);
        txn_branch_failed(f->layer, SLICE("z9hG4bK-1"), SLICE("OPTIONS"));
        fake_expect(f, "0 client error\n0 client done\n");
        fake_free(f);
    }
}

static void s17_1_4_transport_error_after_the_final_is_ignored(void **state)
{
    struct fake *f = fake_new();

    (void)state;
    fake_client(f, "OPTIONS", UDP);
    fake_receive(f, 200, "OPTIONS", ";tag=b1");
    txn_send_failed(f->layer, f->last_token);
    fake_expect(f, "0 send OPTIONS\n0 up 200\n");
    assert_int_equal(txn_layer_count(f->layer), 1);
    fake_free(f);
}

static void abandoned_request_ends_quietly(void **state)
{
    struct fake *f = fake_new();
    struct txn_client *t = fake_client(f, "OPTIONS", UDP);

    (void)state;
    txn_client_abandon(f->layer, t);
    fake_expect(f, "0 send OPTIONS\n0 client done\n");
    fake_advance(f, 40000);
    fake_expect(f, "");
    fake_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(s17_1_2_2_timer_e_doubles_up_to_t2_and_timer_f_ends_it),
        cmocka_unit_test(s17_1_2_2_timer_e_is_min_of_twice_t1_and_t2_where_t2_is_no_power_of_two),
        cmocka_unit_test(s17_1_2_2_no_timer_e_over_a_reliable_transport_but_timer_f),
        cmocka_unit_test(s17_1_2_2_after_a_provisional_timer_e_is_reset_to_t2),
        cmocka_unit_test(s17_1_2_2_timer_f_fires_in_proceeding_counted_from_the_start),
        cmocka_unit_test(s17_1_2_2_every_provisional_is_passed_up),
        cmocka_unit_test(s17_1_2_2_final_is_passed_up_once_and_timer_k_is_t4),
        cmocka_unit_test(s17_1_2_2_timer_k_is_zero_over_a_reliable_transport),
        cmocka_unit_test(s17_1_3_first_of_several_responses_is_used),
        cmocka_unit_test(s17_1_4_transport_error_is_told_and_ends_it_until_the_final),
        cmocka_unit_test(s17_1_4_transport_error_after_the_final_is_ignored),
        cmocka_unit_test(abandoned_request_ends_quietly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
