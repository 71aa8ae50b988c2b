/* Non-INVITE server transaction: RFC 3261 section 17.2.2 with RFC 4320 section 4, a test for each sentence. */
#include "fake_txn.h"

#define UDP SIP_TRANSPORT_UDP
#define TCP SIP_TRANSPORT_TCP

static void s17_2_2_it_starts_in_trying_and_discards_retransmissions(void **state)
{
    struct fake *f = fake_new();
    struct txn_server *t = fake_server(f, "REGISTER", UDP);

    (void)state;
    assert_string_equal(txn_server_state_name(t), "Trying");
    assert_int_equal(txn_server_method(t), SIP_METHOD_REGISTER);
    assert_int_equal(fake_again(f, "REGISTER"), TXN_MATCH_ABSORBED);
    fake_expect(f, "");
    assert_string_equal(txn_server_state_name(t), "Trying");
    fake_free(f);
}

static void s17_2_2_final_in_trying_is_sent_and_repeated_for_each_retransmission(void **state)
{
    struct fake *f = fake_new();
    struct txn_server *t = fake_server(f, "OPTIONS", UDP);

    (void)state;
    assert_int_equal(fake_respond(f, t, 200), 0);
    assert_string_equal(txn_server_state_name(t), "Completed");
    fake_advance(f, 500);
    assert_int_equal(fake_again(f, "OPTIONS"), TXN_MATCH_ABSORBED);
    fake_advance(f, 31499);
    assert_int_equal(fake_again(f, "OPTIONS"), TXN_MATCH_ABSORBED);
    fake_expect(f, "0 send 200\n500 send 200\n31999 send 200\n");
    assert_int_equal(fake_count(f, COUNTER_TX_RETRANSMITS), 2);
    fake_free(f);
}

static void s17_2_2_timer_j_is_64_t1_over_an_unreliable_transport(void **state)
{
    struct fake *f = fake_new();
    struct txn_server *t = fake_server(f, "OPTIONS", UDP);

    (void)state;
    fake_advance(f, 1000);
    fake_respond(f, t, 404);
    fake_advance(f, 31999);
    fake_expect(f, "1000 send 404\n");
    fake_advance(f, 1);
    fake_expect(f, "33000 server done\n");
    assert_int_equal(fake_again(f, "OPTIONS"), TXN_MATCH_NONE);
    fake_free(f);
}

static void s17_2_2_timer_j_is_zero_over_a_reliable_transport(void **state)
{
    struct fake *f = fake_new();
    struct txn_server *t = fake_server(f, "OPTIONS", TCP);

    (void)state;
    fake_respond(f, t, 200);
    assert_string_equal(txn_server_state_name(t), "Completed");
    fake_advance(f, 0);
    fake_expect(f, "0 send 200\n0 server done\n");
    fake_free(f);
}

static void s17_2_2_provisional_enters_proceeding_and_is_repeated(void **state)
{
    struct fake *f = fake_new();
    struct txn_server *t = fake_server(f, "OPTIONS", UDP);

    (void)state;
    fake_advance(f, 3500);
    assert_int_equal(fake_respond(f, t, 100), 0);
    assert_string_equal(txn_server_state_name(t), "Proceeding");
    assert_int_equal(fake_again(f, "OPTIONS"), TXN_MATCH_ABSORBED);
    assert_int_equal(fake_respond(f, t, 100), 0);
    assert_int_equal(fake_respond(f, t, 200), 0);
    fake_expect(f, "3500 trying due\n3500 send 100\n3500 send 100\n3500 send 100\n3500 send 200\n");
    assert_string_equal(txn_server_state_name(t), "Completed");
    fake_free(f);
}

static void s17_2_2_other_finals_are_discarded_in_completed(void **state)
{
    static const unsigned statuses[] = {100, 180, 200, 302, 404, 408, 503, 600};

    (void)state;
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        struct fake *f = fake_new();
        struct txn_server *t = fake_server(f, "OPTIONS", UDP);

        fake_respond(f, t, 200);
        fake_forget(f);
        assert_int_equal(fake_respond(f, t, statuses[i]), ERR_DENIED);
        fake_expect(f, "");
        fake_again(f, "OPTIONS");
        fake_expect(f, "0 send 200\n");
        fake_free(f);
    }
}

static void s4320_4_1_a_100_is_due_when_timer_e_would_have_reached_t2(void **state)
{
    static const enum sip_transport transports[] = {UDP, TCP};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct fake *f = fake_new();

        fake_server(f, "OPTIONS", transports[i]);
        fake_advance(f, 3499);
        fake_expect(f, "");
        fake_advance(f, 60000);
        fake_expect(f, "3500 trying due\n");
        fake_free(f);
    }
}

static void s4320_4_1_no_100_is_due_once_answered(void **state)
{
    struct fake *f = fake_new();
    struct txn_server *t = fake_server(f, "OPTIONS", UDP);

    (void)state;
    fake_advance(f, 3499);
    fake_respond(f, t, 200);
    fake_advance(f, 1000);
    fake_expect(f, "3499 send 200\n");
    fake_free(f);
}

static void s4320_4_1_time_to_t2_follows_t1_and_t2(void **state)
{
    static const struct {
        ms_t t1_ms, t2_ms, due_ms;
    } cases[] = {{500, 4000, 3500}, {500, 1300, 1500}, {1000, 4000, 3000}, {100, 100, 100}, {500, 400, 500}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct txn_times times = txn_times_default;
        struct fake *f;
        char expected[64];

        times.t1_ms = cases[i].t1_ms;
        times.t2_ms = cases[i].t2_ms;
        f = fake_new_with(&times, 10);
        fake_server(f, "OPTIONS", UDP);
        fake_advance(f, 60000);
        snprintf(expected, sizeof(expected), "%u trying due\n", (unsigned)cases[i].due_ms);
        fake_expect(f, expected);
        fake_free(f);
    }
}

static void s4320_4_1_no_100_over_udp_before_it_is_due(void **state)
{
    struct fake *f = fake_new();
    struct txn_server *t = fake_server(f, "OPTIONS", UDP);

    (void)state;
    assert_int_equal(fake_respond(f, t, 100), ERR_DENIED);
    fake_advance(f, 3499);
    assert_int_equal(fake_respond(f, t, 100), ERR_DENIED);
    fake_expect(f, "");
    assert_string_equal(txn_server_state_name(t), "Trying");
    fake_advance(f, 1);
    assert_int_equal(fake_respond(f, t, 100), 0);
    fake_expect(f, "3500 trying due\n3500 send 100\n");
    fake_free(f);
}

static void s4320_4_1_a_100_over_a_reliable_transport_at_any_time(void **state)
{
    struct fake *f = fake_new();
    struct txn_server *t = fake_server(f, "OPTIONS", TCP);

    (void)state;
    assert_int_equal(fake_respond(f, t, 100), 0);
    fake_advance(f, 10000);
    fake_expect(f, "0 send 100\n");
    fake_free(f);
}

static void s4320_4_1_no_provisional_but_100(void **state)
{
    static const unsigned statuses[] = {101, 180, 183, 199};

    (void)state;
    for (int i = 0; i < 4; i++) {
        struct fake *f = fake_new();
        struct txn_server *t = fake_server(f, "OPTIONS", TCP);

        assert_int_equal(fake_respond(f, t, statuses[i]), ERR_DENIED);
        fake_respond(f, t, 100);
        assert_int_equal(fake_respond(f, t, statuses[i]), ERR_DENIED);
        fake_expect(f, "0 send 100\n");
        fake_free(f);
    }
}

static void s4320_4_2_no_408(void **state)
{
    struct fake *f = fake_new();
    struct txn_server *t = fake_server(f, "OPTIONS", UDP);

    (void)state;
    assert_int_equal(fake_respond(f, t, 408), ERR_DENIED);
    fake_advance(f, 3500);
    fake_respond(f, t, 100);
    fake_forget(f);
    assert_int_equal(fake_respond(f, t, 408), ERR_DENIED);
    fake_expect(f, "");
    assert_int_equal(fake_respond(f, t, 407), 0);
    fake_expect(f, "3500 send 407\n");
    fake_free(f);
}

static void s4320_4_2_what_cannot_be_answered_in_time_gets_no_final_at_all(void **state)
{
    (void)state;
    for (int proceeding = 0; proceeding < 2; proceeding++) {
        struct fake *f = fake_new();
        struct txn_server *t = fake_server(f, "OPTIONS", TCP);

        if (proceeding)
            fake_respond(f, t, 100);
        fake_forget(f);
        txn_server_abandon(f->layer, t);
        fake_expect(f, "0 server done\n");
        assert_int_equal(fake_again(f, "OPTIONS"), TXN_MATCH_NONE);
        fake_advance(f, 40000);
        fake_expect(f, "");
        fake_free(f);
    }
}

static void s17_2_2_an_answered_one_is_not_abandoned(void **state)
{
    struct fake *f = fake_new();
    struct txn_server *t = fake_server(f, "OPTIONS", UDP);

    (void)state;
    fake_respond(f, t, 200);
    txn_server_abandon(f->layer, t);
    assert_int_equal(fake_again(f, "OPTIONS"), TXN_MATCH_ABSORBED);
    fake_expect(f, "0 send 200\n0 send 200\n");
    fake_free(f);
}

static void s6026_8_8_transport_error_is_told_and_it_remains_in_its_state(void **state)
{
    (void)state;
    for (int completed = 0; completed < 2; completed++) {
        struct fake *f = fake_new();
        struct txn_server *t = fake_server(f, "OPTIONS", UDP);

        fake_advance(f, 3500);
        fake_respond(f, t, completed ? 200 : 100);
        fake_forget(f);
        txn_send_failed(f->layer, f->last_token);
        fake_expect(f, "3500 server error\n");
        assert_string_equal(txn_server_state_name(t), completed ? "Completed" : "Proceeding");
        fake_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(s17_2_2_it_starts_in_trying_and_discards_retransmissions),
        cmocka_unit_test(s17_2_2_final_in_trying_is_sent_and_repeated_for_each_retransmission),
        cmocka_unit_test(s17_2_2_timer_j_is_64_t1_over_an_unreliable_transport),
        cmocka_unit_test(s17_2_2_timer_j_is_zero_over_a_reliable_transport),
        cmocka_unit_test(s17_2_2_provisional_enters_proceeding_and_is_repeated),
        cmocka_unit_test(s17_2_2_other_finals_are_discarded_in_completed),
        cmocka_unit_test(s4320_4_1_a_100_is_due_when_timer_e_would_have_reached_t2),
        cmocka_unit_test(s4320_4_1_no_100_is_due_once_answered),
        cmocka_unit_test(s4320_4_1_time_to_t2_follows_t1_and_t2),
        cmocka_unit_test(s4320_4_1_no_100_over_udp_before_it_is_due),
        cmocka_unit_test(s4320_4_1_a_100_over_a_reliable_transport_at_any_time),
        cmocka_unit_test(s4320_4_1_no_provisional_but_100),
        cmocka_unit_test(s4320_4_2_no_408),
        cmocka_unit_test(s4320_4_2_what_cannot_be_answered_in_time_gets_no_final_at_all),
        cmocka_unit_test(s17_2_2_an_answered_one_is_not_abandoned),
        cmocka_unit_test(s6026_8_8_transport_error_is_told_and_it_remains_in_its_state),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
