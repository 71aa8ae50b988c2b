/* INVITE server transaction: RFC 3261 section 17.2.1 with RFC 6026 sections 8.5 to 8.8, a test for each
 * sentence. */
#include "fake_txn.h"

#define UDP SIP_TRANSPORT_UDP
#define TCP SIP_TRANSPORT_TCP

static void s17_2_1_it_starts_in_proceeding(void **state)
{
    struct fake *f = fake_new();
    struct txn_server *t = fake_server(f, "INVITE", UDP);

    (void)state;
    assert_string_equal(txn_server_state_name(t), "Proceeding");
    assert_int_equal(txn_server_method(t), SIP_METHOD_INVITE);
    assert_false(txn_server_has_final(t));
    assert_int_equal(fake_count(f, COUNTER_TXN_SERVER_CREATED), 1);
    assert_int_equal(txn_layer_count_pending(f->layer), 1);
    fake_advance(f, 3600 * 1000);
    fake_expect(f, "");
    fake_free(f);
}

static void s17_2_1_provisionals_are_sent_and_not_repeated_by_it(void **state)
{
    struct fake *f = fake_new();
    struct txn_server *t = fake_server(f, "INVITE", UDP);

    (void)state;
    assert_int_equal(fake_respond(f, t, 100), 0);
    assert_int_equal(fake_respond(f, t, 180), 0);
    assert_int_equal(fake_respond(f, t, 180), 0);
    assert_int_equal(fake_respond(f, t, 199), 0);
    fake_advance(f, 100000);
    fake_expect(f, "0 send 100\n0 send 180\n0 send 180\n0 send 199\n");
    assert_string_equal(txn_server_state_name(t), "Proceeding");
    assert_int_equal(fake_count(f, COUNTER_TX_RETRANSMITS), 0);
    fake_free(f);
}

static void s17_2_1_retransmission_in_proceeding_brings_the_last_provisional(void **state)
{
    struct fake *f = fake_new();
    struct txn_server *t = fake_server(f, "INVITE", UDP);

    (void)state;
    assert_int_equal(fake_again(f, "INVITE"), TXN_MATCH_ABSORBED);
    fake_expect(f, "");
    fake_respond(f, t, 100);
    assert_int_equal(fake_again(f, "INVITE"), TXN_MATCH_ABSORBED);
    fake_respond(f, t, 183);
    assert_int_equal(fake_again(f, "INVITE"), TXN_MATCH_ABSORBED);
    fake_expect(f, "0 send 100\n0 send 100\n0 send 183\n0 send 183\n");
    assert_int_equal(fake_count(f, COUNTER_TX_RETRANSMITS), 2);
    fake_free(f);
}

static void s17_2_1_final_is_repeated_by_timer_g_with_its_cap_at_t2_until_timer_h(void **state)
{
    struct fake *f = fake_new();
    struct txn_server *t = fake_server(f, "INVITE", UDP);

    (void)state;
    assert_int_equal(fake_respond(f, t, 486), 0);
    assert_string_equal(txn_server_state_name(t), "Completed");
    assert_true(txn_server_has_final(t));
    assert_int_equal(txn_layer_count_pending(f->layer), 0);
    fake_advance(f, 40000);
    /* Intervals 500, 1000, 2000, 4000, 4000, ... */
    fake_expect(f, "0 send 486\n"
                   "500 send 486\n"
                   "1500 send 486\n"
                   "3500 send 486\n"
                   "7500 send 486\n"
                   "11500 send 486\n"
                   "15500 send 486\n"
                   "19500 send 486\n"
                   "23500 send 486\n"
                   "27500 send 486\n"
                   "31500 send 486\n"
                   "32000 no ack\n"
                   "32000 server done\n");
    assert_int_equal(fake_count(f, COUNTER_TX_RETRANSMITS), 10);
    fake_free(f);
}

static void s17_2_1_no_timer_g_over_a_reliable_transport_but_timer_h(void **state)
{
    struct fake *f = fake_new();
    struct txn_server *t = fake_server(f, "INVITE", TCP);

    (void)state;
    fake_respond(f, t, 486);
    fake_advance(f, 31999);
    fake_expect(f, "0 send 486\n");
    fake_advance(f, 1);
    fake_expect(f, "32000 no ack\n32000 server done\n");
    fake_free(f);
}

static void s17_2_1_retransmission_in_completed_brings_the_final_and_leaves_timer_g_alone(void **state)
{
    struct fake *f = fake_new();
    struct txn_server *t = fake_server(f, "INVITE", UDP);

    (void)state;
    fake_respond(f, t, 180);
    fake_respond(f, t, 404);
    fake_advance(f, 200);
    assert_int_equal(fake_again(f, "INVITE"), TXN_MATCH_ABSORBED);
    fake_advance(f, 300);
    fake_expect(f, "0 send 180\n0 send 404\n200 send 404\n500 send 404\n");
    fake_free(f);
}

static void s17_2_1_ack_enters_confirmed_and_retransmissions_cease(void **state)
{
    struct fake *f = fake_new();
    struct txn_server *t = fake_server(f, "INVITE", UDP);

    (void)state;
    fake_respond(f, t, 486);
    fake_advance(f, 600);
    assert_int_equal(fake_again(f, "ACK"), TXN_MATCH_ABSORBED);
    assert_string_equal(txn_server_state_name(t), "Confirmed");
    fake_expect(f, "0 send 486\n500 send 486\n");
    /* Timer I: T4. */
    fake_advance(f, 4999);
    fake_expect(f, "");
    fake_advance(f, 1);
    fake_expect(f, "5600 server done\n");
    fake_free(f);
}

static void s17_2_1_confirmed_absorbs_more_acks_and_invites(void **state)
{
    struct fake *f = fake_new();
    struct txn_server *t = fake_server(f, "INVITE", UDP);

    (void)state;
    fake_respond(f, t, 486);
    fake_again(f, "ACK");
    fake_forget(f);
    fake_advance(f, 4999);
    assert_int_equal(fake_again(f, "ACK"), TXN_MATCH_ABSORBED);
    assert_int_equal(fake_again(f, "INVITE"), TXN_MATCH_ABSORBED);
    fake_expect(f, "");
    fake_advance(f, 1);
    fake_expect(f, "5000 server done\n");
    assert_int_equal(fake_again(f, "ACK"), TXN_MATCH_NONE);
    fake_free(f);
}

static void s17_2_1_timer_i_is_zero_over_a_reliable_transport(void **state)
{
    struct fake *f = fake_new();
    struct txn_server *t = fake_server(f, "INVITE", TCP);

    (void)state;
    fake_respond(f, t, 486);
    fake_again(f, "ACK");
    fake_advance(f, 0);
    fake_expect(f, "0 send 486\n0 server done\n");
    fake_free(f);
}

static void s17_2_1_ack_in_proceeding_is_absorbed(void **state)
{
    struct fake *f = fake_new();
    struct txn_server *t = fake_server(f, "INVITE", UDP);

    (void)state;
    fake_respond(f, t, 180);
    assert_int_equal(fake_again(f, "ACK"), TXN_MATCH_ABSORBED);
    assert_string_equal(txn_server_state_name(t), "Proceeding");
    fake_free(f);
}

static void s6026_8_5_2xx_is_sent_once_and_enters_accepted(void **state)
{
    struct fake *f = fake_new();
    struct txn_server *t = fake_server(f, "INVITE", UDP);

    (void)state;
    fake_respond(f, t, 180);
    assert_int_equal(fake_respond(f, t, 200), 0);
    assert_string_equal(txn_server_state_name(t), "Accepted");
    assert_true(txn_server_has_final(t));
    fake_advance(f, 31999);
    fake_expect(f, "0 send 180\n0 send 200\n");
    fake_free(f);
}

static void s6026_8_7_retransmitted_invite_in_accepted_is_absorbed(void **state)
{
    struct fake *f = fake_new();
    struct txn_server *t = fake_server(f, "INVITE", UDP);

    (void)state;
    fake_respond(f, t, 180);
    fake_respond(f, t, 200);
    fake_forget(f);
    assert_int_equal(fake_again(f, "INVITE"), TXN_MATCH_ABSORBED);
    fake_advance(f, 31999);
    assert_int_equal(fake_again(f, "INVITE"), TXN_MATCH_ABSORBED);
    fake_expect(f, "");
    fake_free(f);
}

static void s6026_8_7_more_2xx_in_accepted_are_sent(void **state)
{
    struct fake *f = fake_new();
    struct txn_server *t = fake_server(f, "INVITE", UDP);

    (void)state;
    fake_respond(f, t, 200);
    fake_advance(f, 500);
    assert_int_equal(fake_respond(f, t, 200), 0);
    assert_int_equal(fake_respond(f, t, 202), 0);
    fake_expect(f, "0 send 200\n500 send 200\n500 send 202\n");
    fake_free(f);
}

static void s6026_8_7_ack_in_accepted_is_passed_to_the_tu(void **state)
{
    struct fake *f = fake_new();
    struct txn_server *t = fake_server(f, "INVITE", UDP);

    (void)state;
    fake_respond(f, t, 200);
    assert_int_equal(fake_again(f, "ACK"), TXN_MATCH_ACCEPTED);
    assert_int_equal(fake_again(f, "ACK"), TXN_MATCH_ACCEPTED);
    assert_string_equal(txn_server_state_name(t), "Accepted");
    fake_free(f);
}

static void s6026_8_7_timer_l_is_64_t1_over_any_transport(void **state)
{
    static const enum sip_transport transports[] = {UDP, TCP, SIP_TRANSPORT_WS};

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct fake *f = fake_new();
        struct txn_server *t = fake_server(f, "INVITE", transports[i]);

        fake_respond(f, t, 200);
        fake_forget(f);
        fake_advance(f, 20000);
        fake_respond(f, t, 200);
        fake_forget(f);
        fake_advance(f, 11999);
        fake_expect(f, "");
        fake_advance(f, 1);
        fake_expect(f, "32000 server done\n");
        assert_int_equal(fake_again(f, "INVITE"), TXN_MATCH_NONE);
        fake_free(f);
    }
}

static void s6026_figure_7_what_the_tu_may_not_send_is_refused(void **state)
{
    static const unsigned statuses[] = {100, 180, 200, 302, 486, 603};

    (void)state;
    for (int in_accepted = 0; in_accepted < 2; in_accepted++) {
        for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
            struct fake *f = fake_new();
            struct txn_server *t = fake_server(f, "INVITE", UDP);
            bool is_2xx = statuses[i] / 100 == 2;

            fake_respond(f, t, in_accepted ? 200 : 486);
            fake_forget(f);
            assert_int_equal(fake_respond(f, t, statuses[i]), in_accepted && is_2xx ? 0 : ERR_DENIED);
            if (!(in_accepted && is_2xx))
                fake_expect(f, "");
            if (!in_accepted) {
                /* What is repeated is still the first. */
                fake_again(f, "INVITE");
                fake_expect(f, "0 send 486\n");
                fake_again(f, "ACK");
                assert_int_equal(fake_respond(f, t, statuses[i]), ERR_DENIED);
                fake_expect(f, "");
            }
            fake_free(f);
        }
    }
}

static void s6026_8_8_transport_error_is_told_and_it_remains_in_its_state(void **state)
{
    static const struct {
        unsigned status;
        const char *name;
    } states[] = {{180, "Proceeding"}, {486, "Completed"}, {200, "Accepted"}};

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct fake *f = fake_new();
        struct txn_server *t = fake_server(f, "INVITE", UDP);

        fake_respond(f, t, states[i].status);
        fake_forget(f);
        assert_true(f->last_token != 0);
        txn_send_failed(f->layer, f->last_token);
        fake_expect(f, "0 server error\n");
        assert_string_equal(txn_server_state_name(t), states[i].name);
        assert_int_equal(fake_again(f, "INVITE"), TXN_MATCH_ABSORBED);
        fake_free(f);
    }
}

static void s6026_8_8_timers_run_on_after_a_transport_error(void **state)
{
    struct fake *f = fake_new();
    struct txn_server *t = fake_server(f, "INVITE", UDP);

    (void)state;
    fake_respond(f, t, 486);
    fake_advance(f, 100);
    txn_send_failed(f->layer, f->last_token);
    fake_forget(f);
    fake_advance(f, 1400);
    fake_expect(f, "500 send 486\n1500 send 486\n");
    fake_advance(f, 30500);
    assert_int_equal(txn_layer_count(f->layer), 0);
    fake_free(f);
}

static void s18_2_2_next_response_goes_to_the_hop_that_was_set(void **state)
{
    struct fake *f = fake_new();
    struct txn_server *t = fake_server(f, "INVITE", TCP);
    struct sip_hop other = fake_hop(TCP);

    (void)state;
    other.addr.port = 5099;
    fake_respond(f, t, 180);
    assert_int_equal(f->last_hop.addr.port, 5060);
    txn_server_set_hop(t, &other);
    assert_int_equal(txn_server_hop(t)->addr.port, 5099);
    fake_again(f, "INVITE");
    assert_int_equal(f->last_hop.addr.port, 5099);
    fake_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(s17_2_1_it_starts_in_proceeding),
        cmocka_unit_test(s17_2_1_provisionals_are_sent_and_not_repeated_by_it),
        cmocka_unit_test(s17_2_1_retransmission_in_proceeding_brings_the_last_provisional),
        cmocka_unit_test(s17_2_1_final_is_repeated_by_timer_g_with_its_cap_at_t2_until_timer_h),
        cmocka_unit_test(s17_2_1_no_timer_g_over_a_reliable_transport_but_timer_h),
        cmocka_unit_test(s17_2_1_retransmission_in_completed_brings_the_final_and_leaves_timer_g_alone),
        cmocka_unit_test(s17_2_1_ack_enters_confirmed_and_retransmissions_cease),
        cmocka_unit_test(s17_2_1_confirmed_absorbs_more_acks_and_invites),
        cmocka_unit_test(s17_2_1_timer_i_is_zero_over_a_reliable_transport),
        cmocka_unit_test(s17_2_1_ack_in_proceeding_is_absorbed),
        cmocka_unit_test(s6026_8_5_2xx_is_sent_once_and_enters_accepted),
        cmocka_unit_test(s6026_8_7_retransmitted_invite_in_accepted_is_absorbed),
        cmocka_unit_test(s6026_8_7_more_2xx_in_accepted_are_sent),
        cmocka_unit_test(s6026_8_7_ack_in_accepted_is_passed_to_the_tu),
        cmocka_unit_test(s6026_8_7_timer_l_is_64_t1_over_any_transport),
        cmocka_unit_test(s6026_figure_7_what_the_tu_may_not_send_is_refused),
        cmocka_unit_test(s6026_8_8_transport_error_is_told_and_it_remains_in_its_state),
        cmocka_unit_test(s6026_8_8_timers_run_on_after_a_transport_error),
        cmocka_unit_test(s18_2_2_next_response_goes_to_the_hop_that_was_set),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
