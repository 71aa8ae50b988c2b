/* INVITE client transaction: RFC 3261 section 17.1.1 with RFC 6026 section 8.4, a test for each sentence. */
#include "fake_txn.h"

#define UDP SIP_TRANSPORT_UDP
#define TCP SIP_TRANSPORT_TCP

static void s17_1_1_2_request_is_passed_to_transport_at_once(void **state)
{
    struct fake *f = fake_new();
    struct txn_client *t = fake_client(f, "INVITE", UDP);

    (void)state;
    fake_expect(f, "0 send INVITE\n");
    assert_string_equal(txn_client_state_name(t), "Calling");
    assert_true(f->last_token != 0);
    assert_int_equal(fake_count(f, COUNTER_TXN_CLIENT_CREATED), 1);
    assert_int_equal(fake_count(f, COUNTER_TX_RETRANSMITS), 0);
    assert_int_equal(txn_layer_count(f->layer), 1);
    assert_int_equal(txn_layer_count_pending(f->layer), 1);
    fake_free(f);
}

static void s17_1_1_2_timer_a_doubles_without_cap_and_timer_b_gives_seven_requests(void **state)
{
    struct fake *f = fake_new();

    (void)state;
    fake_client(f, "INVITE", UDP);
    fake_advance(f, 40000);
    fake_expect(f, "0 send INVITE\n"
                   "500 send INVITE\n"
                   "1500 send INVITE\n"
                   "3500 send INVITE\n"
                   "7500 send INVITE\n"
                   "15500 send INVITE\n"
                   "31500 send INVITE\n"
                   "32000 timeout\n"
                   "32000 client done\n");
    assert_int_equal(fake_count(f, COUNTER_TX_RETRANSMITS), 6);
    assert_int_equal(fake_count(f, COUNTER_TXN_TIMEOUTS), 1);
    assert_int_equal(txn_layer_count(f->layer), 0);
    assert_int_equal(txn_layer_count_pending(f->layer), 0);
    fake_free(f);
}

static void s17_1_1_2_retransmission_is_the_same_message(void **state)
{
    struct fake *f = fake_new();
    char first[sizeof(f->last_sent)];

    (void)state;
    fake_client(f, "INVITE", UDP);
    memcpy(first, f->last_sent, sizeof(first));
    f->last_sent[0] = '\0';
    fake_advance(f, 500);
    assert_string_equal(f->last_sent, first);
    fake_free(f);
}

static void s17_1_1_2_no_timer_a_over_a_reliable_transport_but_timer_b(void **state)
{
    struct fake *f = fake_new();

    (void)state;
    fake_client(f, "INVITE", TCP);
    fake_advance(f, 31999);
    fake_expect(f, "0 send INVITE\n");
    fake_advance(f, 1);
    fake_expect(f, "32000 timeout\n32000 client done\n");
    fake_free(f);
}

static void s17_1_1_2_timers_scale_with_t1(void **state)
{
    struct txn_times times = txn_times_default;
    struct fake *f;

    (void)state;
    times.t1_ms = 10;
    f = fake_new_with(&times, 10);
    fake_client(f, "INVITE", UDP);
    fake_advance(f, 1000);
    fake_expect(f, "0 send INVITE\n10 send INVITE\n30 send INVITE\n70 send INVITE\n150 send INVITE\n"
                   "310 send INVITE\n630 send INVITE\n640 timeout\n640 client done\n");
    fake_free(f);
}

static void s17_1_1_2_provisional_stops_retransmissions_and_timer_b(void **state)
{
    struct fake *f = fake_new();
    struct txn_client *t = fake_client(f, "INVITE", UDP);

    (void)state;
    fake_advance(f, 600);
    assert_false(txn_client_is_proceeding(t));
    assert_int_equal(fake_receive(f, 180, "INVITE", ";tag=b1"), TXN_MATCH_ABSORBED);
    fake_advance(f, 3600 * 1000);
    fake_expect(f, "0 send INVITE\n500 send INVITE\n600 up 180\n");
    assert_string_equal(txn_client_state_name(t), "Proceeding");
    assert_true(txn_client_is_proceeding(t));
    assert_non_null(txn_client_request(t));
    assert_int_equal(f->wheel.count, 0);
    fake_free(f);
}

static void s17_1_1_2_every_provisional_is_passed_up_100_included(void **state)
{
    struct fake *f = fake_new();

    (void)state;
    fake_client(f, "INVITE", UDP);
    fake_receive(f, 100, "INVITE", NULL);
    fake_receive(f, 183, "INVITE", ";tag=b1");
    fake_receive(f, 183, "INVITE", ";tag=b1");
    fake_receive(f, 199, "INVITE", ";tag=b2");
    fake_expect(f, "0 send INVITE\n0 up 100\n0 up 183\n0 up 183\n0 up 199\n");
    fake_free(f);
}

static struct fake *fake_ringing(enum sip_transport transport, struct txn_client **ret_client)
{
    struct fake *f = fake_new();

    *ret_client = fake_client(f, "INVITE", transport);
    memcpy(f->remade, f->last_sent, sizeof(f->remade));
    fake_receive(f, 180, "INVITE", ";tag=b1");
    txn_client_release(*ret_client);
    fake_forget(f);
    return f;
}

static void s17_1_1_3_the_ack_repeats_a_request_that_was_let_go(void **state)
{
    char kept[sizeof(((struct fake *)0)->last_sent)];
    struct txn_client *t;
    struct fake *f = fake_new();

    (void)state;
    fake_client(f, "INVITE", UDP);
    fake_receive(f, 486, "INVITE", ";tag=b1");
    memcpy(kept, f->last_sent, sizeof(kept));
    fake_free(f);
    f = fake_ringing(UDP, &t);
    fake_receive(f, 486, "INVITE", ";tag=b1");
    fake_expect(f, "0 send ACK\n0 up 486\n");
    assert_string_equal(f->last_sent, kept);
    fake_free(f);
}

static void s9_1_a_request_that_was_let_go_can_be_had_for_a_cancel(void **state)
{
    struct txn_client *t;
    struct fake *f = fake_ringing(UDP, &t);

    (void)state;
    assert_true(slice_eq(wire_slice(txn_client_request(t)), slice_from_cstr(f->remade)));
    f->remade[0] = '\0';
    assert_non_null(txn_client_request(t));
    txn_client_release(t);
    assert_null(txn_client_request(t));
    fake_free(f);
}

/* It comes again (section 17.2.1, Timer G); over a stream it would not. */
static void s17_1_1_3_a_final_response_that_cannot_be_acknowledged_is_as_if_lost_over_udp(void **state)
{
    struct txn_client *t;
    struct fake *f = fake_ringing(UDP, &t);

    (void)state;
    memcpy(f->last_sent, f->remade, sizeof(f->last_sent));
    f->remade[0] = '\0';
    assert_int_equal(fake_receive(f, 486, "INVITE", ";tag=b1"), TXN_MATCH_ABSORBED);
    fake_expect(f, "");
    assert_string_equal(txn_client_state_name(t), "Proceeding");
    memcpy(f->remade, f->last_sent, sizeof(f->remade));
    fake_receive(f, 486, "INVITE", ";tag=b1");
    fake_expect(f, "0 send ACK\n0 up 486\n");
    fake_free(f);
    f = fake_ringing(TCP, &t);
    f->remade[0] = '\0';
    fake_receive(f, 486, "INVITE", ";tag=b1");
    fake_expect(f, "0 up 486\n");
    fake_free(f);
}

static void s17_1_1_2_responses_need_nothing_of_a_request_that_was_let_go(void **state)
{
    struct txn_client *t;
    struct fake *f = fake_ringing(UDP, &t);

    (void)state;
    f->remade[0] = '\0';
    fake_receive(f, 183, "INVITE", ";tag=b1");
    fake_receive(f, 200, "INVITE", ";tag=b1");
    fake_expect(f, "0 up 183\n0 up 200\n");
    assert_string_equal(txn_client_state_name(t), "Accepted");
    fake_free(f);
}

static void check_final_is_acknowledged(unsigned status, unsigned provisional)
{
    struct fake *f = fake_new();
    struct txn_client *t = fake_client(f, "INVITE", UDP);
    char expected[128];

    if (provisional)
        fake_receive(f, provisional, "INVITE", NULL);
    fake_forget(f);
    fake_receive(f, status, "INVITE", ";tag=b1");
    snprintf(expected, sizeof(expected), "0 send ACK\n0 up %u\n", status);
    fake_expect(f, expected);
    assert_string_equal(txn_client_state_name(t), "Completed");
    assert_true(txn_client_has_final(t));
    assert_false(txn_client_is_proceeding(t));
    assert_null(txn_client_request(t));
    assert_int_equal(txn_layer_count_pending(f->layer), 0);
    fake_free(f);
}

static void s6026_8_4_300_to_699_in_calling_and_proceeding_is_acknowledged_and_passed_up(void **state)
{
    static const unsigned statuses[] = {300, 302, 404, 486, 487, 503, 600, 699};

    (void)state;
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        check_final_is_acknowledged(statuses[i], 0);
        check_final_is_acknowledged(statuses[i], 100);
        check_final_is_acknowledged(statuses[i], 183);
    }
}

static void s17_1_1_3_ack_has_the_headers_of_the_request_and_the_to_of_the_response(void **state)
{
    struct fake *f = fake_new();
    struct wire *w = fake_request_wire((struct fake_message){
        .via = "SIP/2.0/UDP proxy.example.com;branch=z9hG4bK-1\r\nVia: SIP/2.0/UDP "
               "alice.example.com;branch=z9hG4bK-0",
        .more = "Route: <sip:p1.example.com;lr>\r\nRoute: <sip:p2.example.com;lr>\r\nX-Other: 1\r\n",
        .cseq = 986759});
    struct sip_hop hop = fake_hop(UDP);
    struct txn_client *t;

    (void)state;
    assert_int_equal(
        txn_client_new(f->layer, SIP_METHOD_INVITE, SLICE("INVITE"), SLICE("z9hG4bK-1"), w, &hop, f, &t), 0);
    wire_unref(w);
    fake_receive(f, 486, "INVITE", ";tag=99sa0xk");
    assert_memory_equal(f->last_sent, "ACK sip:bob@example.com SIP/2.0\r\n", 33);
    assert_non_null(strstr(f->last_sent, "Via: SIP/2.0/UDP proxy.example.com;branch=z9hG4bK-1\r\n"));
    assert_null(strstr(f->last_sent, "z9hG4bK-0"));
    assert_non_null(strstr(f->last_sent, "<sip:bob@example.com>;tag=99sa0xk\r\n"));
    assert_non_null(strstr(f->last_sent, "<sip:alice@example.com>;tag=a1\r\n"));
    assert_non_null(strstr(f->last_sent, "Call-ID: c1@example.com\r\n"));
    assert_non_null(strstr(f->last_sent, "CSeq: 986759 ACK\r\n"));
    assert_non_null(strstr(f->last_sent, "<sip:p1.example.com;lr>"));
    assert_non_null(strstr(f->last_sent, "<sip:p2.example.com;lr>"));
    assert_null(strstr(f->last_sent, "X-Other"));
    fake_free(f);
}

static void s6026_8_4_ack_goes_to_the_hop_of_the_request_also_over_a_reliable_transport(void **state)
{
    static const enum sip_transport transports[] = {UDP, TCP};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct fake *f = fake_new();
        struct sip_hop sent;

        fake_client(f, "INVITE", transports[i]);
        sent = f->last_hop;
        memset(&f->last_hop, 0, sizeof(f->last_hop));
        fake_receive(f, 404, "INVITE", ";tag=b1");
        fake_expect(f, "0 send INVITE\n0 send ACK\n0 up 404\n");
        assert_true(addr_eq(&sent.addr, &f->last_hop.addr));
        assert_int_equal(sent.transport, f->last_hop.transport);
        assert_int_equal(f->last_token, 0);
        fake_free(f);
    }
}

static void s6026_8_4_retransmitted_final_repeats_the_ack_and_is_not_passed_up(void **state)
{
    struct fake *f = fake_new();
    char first[sizeof(f->last_sent)];

    (void)state;
    fake_client(f, "INVITE", UDP);
    fake_receive(f, 486, "INVITE", ";tag=b1");
    memcpy(first, f->last_sent, sizeof(first));
    fake_forget(f);
    f->last_sent[0] = '\0';
    fake_advance(f, 500);
    fake_receive(f, 486, "INVITE", ";tag=b1");
    fake_advance(f, 1000);
    /* "Any response that would match the same client transaction" is a retransmission, whatever its status. */
    fake_receive(f, 500, "INVITE", ";tag=b2");
    fake_expect(f, "500 send ACK\n1500 send ACK\n");
    assert_string_equal(f->last_sent, first);
    assert_int_equal(fake_count(f, COUNTER_TX_RETRANSMITS), 2);
    fake_free(f);
}

static void s6026_8_4_timer_d_is_at_least_32_s_and_ends_it(void **state)
{
    struct fake *f = fake_new();

    (void)state;
    fake_client(f, "INVITE", UDP);
    fake_advance(f, 100);
    fake_receive(f, 486, "INVITE", ";tag=b1");
    fake_forget(f);
    fake_advance(f, 31999);
    /* A retransmission does not start Timer D anew. */
    fake_receive(f, 486, "INVITE", ";tag=b1");
    fake_expect(f, "32099 send ACK\n");
    fake_advance(f, 1);
    fake_expect(f, "32100 client done\n");
    assert_int_equal(fake_receive(f, 486, "INVITE", ";tag=b1"), TXN_MATCH_NONE);
    fake_expect(f, "");
    fake_free(f);
}

static void s6026_8_4_timer_d_below_32_s_is_not_accepted(void **state)
{
    struct fake *f = fake_new();
    struct txn_layer_opts opts = fake_opts(f);
    struct txn_layer *layer = NULL;

    (void)state;
    opts.times.timer_d_ms = 31999;
    assert_int_equal(txn_layer_new(&opts, &layer), ERR_RANGE);
    assert_null(layer);
    opts.times.timer_d_ms = 40000;
    assert_int_equal(txn_layer_new(&opts, &layer), 0);
    txn_layer_free(layer);
    fake_free(f);
}

static void s6026_8_4_timer_d_is_zero_over_a_reliable_transport(void **state)
{
    struct fake *f = fake_new();
    struct txn_client *t = fake_client(f, "INVITE", TCP);

    (void)state;
    fake_receive(f, 486, "INVITE", ";tag=b1");
    assert_string_equal(txn_client_state_name(t), "Completed");
    fake_advance(f, 0);
    fake_expect(f, "0 send INVITE\n0 send ACK\n0 up 486\n0 client done\n");
    assert_int_equal(txn_layer_count(f->layer), 0);
    fake_free(f);
}

static void s6026_8_4_2xx_enters_accepted_is_passed_up_and_not_acknowledged(void **state)
{
    (void)state;
    for (int proceeding = 0; proceeding < 2; proceeding++) {
        struct fake *f = fake_new();
        struct txn_client *t = fake_client(f, "INVITE", UDP);

        if (proceeding)
            fake_receive(f, 180, "INVITE", ";tag=b1");
        fake_forget(f);
        fake_receive(f, 200, "INVITE", ";tag=b1");
        fake_expect(f, "0 up 200\n");
        assert_string_equal(txn_client_state_name(t), "Accepted");
        assert_true(txn_client_has_final(t));
        assert_null(txn_client_request(t));
        fake_free(f);
    }
}

static void s6026_8_4_every_2xx_in_accepted_is_passed_up(void **state)
{
    struct fake *f = fake_new();

    (void)state;
    fake_client(f, "INVITE", UDP);
    fake_receive(f, 200, "INVITE", ";tag=b1");
    fake_advance(f, 500);
    fake_receive(f, 200, "INVITE", ";tag=b1");
    fake_receive(f, 202, "INVITE", ";tag=b2");
    fake_advance(f, 31499);
    fake_receive(f, 299, "INVITE", ";tag=b3");
    fake_expect(f, "0 send INVITE\n0 up 200\n500 up 200\n500 up 202\n31999 up 299\n");
    fake_free(f);
}

static void s6026_8_4_other_responses_in_accepted_are_not_acted_on(void **state)
{
    struct fake *f = fake_new();

    (void)state;
    fake_client(f, "INVITE", UDP);
    fake_receive(f, 200, "INVITE", ";tag=b1");
    fake_forget(f);
    assert_int_equal(fake_receive(f, 180, "INVITE", ";tag=b2"), TXN_MATCH_ABSORBED);
    assert_int_equal(fake_receive(f, 486, "INVITE", ";tag=b2"), TXN_MATCH_ABSORBED);
    assert_int_equal(fake_receive(f, 603, "INVITE", ";tag=b2"), TXN_MATCH_ABSORBED);
    fake_expect(f, "");
    fake_free(f);
}

static void s6026_8_4_timer_m_is_64_t1_over_any_transport_and_ends_it(void **state)
{
    static const enum sip_transport transports[] = {UDP, TCP, SIP_TRANSPORT_TLS, SIP_TRANSPORT_WSS};

    (void)state;
    for (size_t i = 0; i < sizeof(transports) / sizeof(transports[0]); i++) {
        struct fake *f = fake_new();

        fake_client(f, "INVITE", transports[i]);
        fake_receive(f, 200, "INVITE", ";tag=b1");
        fake_forget(f);
        fake_advance(f, 31999);
        fake_receive(f, 200, "INVITE", ";tag=b1");
        fake_expect(f, "31999 up 200\n");
        fake_advance(f, 1);
        fake_expect(f, "32000 client done\n");
        assert_int_equal(fake_receive(f, 200, "INVITE", ";tag=b1"), TXN_MATCH_NONE);
        fake_free(f);
    }
}

static void s6026_figure_5_1xx_and_2xx_in_completed_are_ignored(void **state)
{
    struct fake *f = fake_new();

    (void)state;
    fake_client(f, "INVITE", UDP);
    fake_receive(f, 486, "INVITE", ";tag=b1");
    fake_forget(f);
    assert_int_equal(fake_receive(f, 180, "INVITE", ";tag=b1"), TXN_MATCH_ABSORBED);
    assert_int_equal(fake_receive(f, 200, "INVITE", ";tag=b1"), TXN_MATCH_ABSORBED);
    fake_expect(f, "");
    fake_free(f);
}

static void s17_1_4_transport_error_in_calling_is_told_and_ends_it(void **state)
{
    struct fake *f = fake_new();

    (void)state;
    fake_client(f, "INVITE", UDP);
    txn_send_failed(f->layer, f->last_token);
    fake_expect(f, "0 send INVITE\n0 client error\n0 client done\n");
    fake_advance(f, 40000);
    fake_expect(f, "");
    fake_free(f);
}

static void s17_1_4_transport_error_after_an_answer_is_about_nothing_that_matters(void **state)
{
    static const unsigned answers[] = {100, 180, 200, 486};

    (void)state;
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        struct fake *f = fake_new();
        uint64_t token;

        fake_client(f, "INVITE", UDP);
        token = f->last_token;
        fake_receive(f, answers[i], "INVITE", ";tag=b1");
        fake_forget(f);
        txn_send_failed(f->layer, token);
        txn_branch_failed(f->layer, SLICE("z9hG4bK-1"), SLICE("INVITE"));
        fake_expect(f, "");
        assert_int_equal(txn_layer_count(f->layer), 1);
        fake_free(f);
    }
}

static void s6026_figure_5_transport_error_of_the_ack_is_told_and_ends_it(void **state)
{
    struct fake *f = fake_new();

    (void)state;
    fake_client(f, "INVITE", UDP);
    txn_branch_failed(f->layer, SLICE("z9hG4bK-1"), SLICE("ACK"));
    fake_receive(f, 180, "INVITE", ";tag=b1");
    txn_branch_failed(f->layer, SLICE("z9hG4bK-1"), SLICE("ACK"));
    fake_expect(f, "0 send INVITE\n0 up 180\n");
    fake_receive(f, 486, "INVITE", ";tag=b1");
    txn_branch_failed(f->layer, SLICE("z9hG4bK-1"), SLICE("ACK"));
    fake_expect(f, "0 send ACK\n0 up 486\n0 client error\n0 client done\n");
    fake_free(f);
}

static void s9_1_an_abandoned_invite_ends_quietly(void **state)
{
    (void)state;
    for (int proceeding = 0; proceeding < 2; proceeding++) {
        struct fake *f = fake_new();
        struct txn_client *t = fake_client(f, "INVITE", UDP);

        if (proceeding)
            fake_receive(f, 180, "INVITE", ";tag=b1");
        fake_forget(f);
        txn_client_abandon(f->layer, t);
        fake_expect(f, "0 client done\n");
        assert_int_equal(fake_receive(f, 487, "INVITE", ";tag=b1"), TXN_MATCH_NONE);
        fake_free(f);
    }
}

static void s6026_6_an_answered_invite_is_not_abandoned(void **state)
{
    static const unsigned answers[] = {200, 486};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct fake *f = fake_new();
        struct txn_client *t = fake_client(f, "INVITE", UDP);

        fake_receive(f, answers[i], "INVITE", ";tag=b1");
        fake_forget(f);
        txn_client_abandon(f->layer, t);
        fake_advance(f, 31999);
        fake_expect(f, "");
        fake_advance(f, 1);
        fake_expect(f, "32000 client done\n");
        fake_free(f);
    }
}

static void ack_that_could_not_be_built_is_tried_again_with_the_next_retransmission(void **state)
{
    struct fake *f = fake_new();
    struct sip_msg *response;

    (void)state;
    fake_client(f, "INVITE", UDP);
    response = fake_response(f, 486, (struct fake_message){.to_tag = ";tag=b1"});
    mem_fail_after(0);
    assert_int_equal(txn_receive_response(f->layer, response), TXN_MATCH_ABSORBED);
    mem_fail_after(-1);
    fake_expect(f, "0 send INVITE\n0 up 486\n");
    assert_int_equal(txn_receive_response(f->layer, response), TXN_MATCH_ABSORBED);
    fake_expect(f, "0 send ACK\n");
    fake_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(s17_1_1_2_request_is_passed_to_transport_at_once),
        cmocka_unit_test(s17_1_1_2_timer_a_doubles_without_cap_and_timer_b_gives_seven_requests),
        cmocka_unit_test(s17_1_1_2_retransmission_is_the_same_message),
        cmocka_unit_test(s17_1_1_2_no_timer_a_over_a_reliable_transport_but_timer_b),
        cmocka_unit_test(s17_1_1_2_timers_scale_with_t1),
        cmocka_unit_test(s17_1_1_2_provisional_stops_retransmissions_and_timer_b),
        cmocka_unit_test(s17_1_1_2_every_provisional_is_passed_up_100_included),
        cmocka_unit_test(s17_1_1_3_the_ack_repeats_a_request_that_was_let_go),
        cmocka_unit_test(s9_1_a_request_that_was_let_go_can_be_had_for_a_cancel),
        cmocka_unit_test(s17_1_1_3_a_final_response_that_cannot_be_acknowledged_is_as_if_lost_over_udp),
        cmocka_unit_test(s17_1_1_2_responses_need_nothing_of_a_request_that_was_let_go),
        cmocka_unit_test(s6026_8_4_300_to_699_in_calling_and_proceeding_is_acknowledged_and_passed_up),
        cmocka_unit_test(s17_1_1_3_ack_has_the_headers_of_the_request_and_the_to_of_the_response),
        cmocka_unit_test(s6026_8_4_ack_goes_to_the_hop_of_the_request_also_over_a_reliable_transport),
        cmocka_unit_test(s6026_8_4_retransmitted_final_repeats_the_ack_and_is_not_passed_up),
        cmocka_unit_test(s6026_8_4_timer_d_is_at_least_32_s_and_ends_it),
        cmocka_unit_test(s6026_8_4_timer_d_below_32_s_is_not_accepted),
        cmocka_unit_test(s6026_8_4_timer_d_is_zero_over_a_reliable_transport),
        cmocka_unit_test(s6026_8_4_2xx_enters_accepted_is_passed_up_and_not_acknowledged),
        cmocka_unit_test(s6026_8_4_every_2xx_in_accepted_is_passed_up),
        cmocka_unit_test(s6026_8_4_other_responses_in_accepted_are_not_acted_on),
        cmocka_unit_test(s6026_8_4_timer_m_is_64_t1_over_any_transport_and_ends_it),
        cmocka_unit_test(s6026_figure_5_1xx_and_2xx_in_completed_are_ignored),
        cmocka_unit_test(s17_1_4_transport_error_in_calling_is_told_and_ends_it),
        cmocka_unit_test(s17_1_4_transport_error_after_an_answer_is_about_nothing_that_matters),
        cmocka_unit_test(s6026_figure_5_transport_error_of_the_ack_is_told_and_ends_it),
        cmocka_unit_test(s9_1_an_abandoned_invite_ends_quietly),
        cmocka_unit_test(s6026_6_an_answered_invite_is_not_abandoned),
        cmocka_unit_test(ack_that_could_not_be_built_is_tried_again_with_the_next_retransmission),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
