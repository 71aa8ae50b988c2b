/* Which transaction a message belongs to: RFC 3261 sections 17.1.3, 17.2.3, 9.2 and 8.1.1.7. */
#include "fake_txn.h"

#define UDP SIP_TRANSPORT_UDP

/* Does `later` match the transaction that `first` created? An INVITE has been answered 486 with To tag b1. */
static enum txn_match match_after(struct fake_message first, struct fake_message later)
{
    struct fake *f = fake_new();
    struct txn_server *t = fake_server_of(f, first, UDP);
    enum txn_match match;

    if (txn_server_method(t) == SIP_METHOD_INVITE)
        fake_respond(f, t, 486);
    match = txn_receive_request(f->layer, fake_request(f, later), NULL);
    fake_free(f);
    return match;
}

#define MSG(...) ((struct fake_message){__VA_ARGS__})

#define assert_same(first, later)  assert_int_equal(match_after(first, later), TXN_MATCH_ABSORBED)
#define assert_other(first, later) assert_int_equal(match_after(first, later), TXN_MATCH_NONE)

static void s8_1_1_7_a_branch_of_rfc3261_is_the_cookie_and_more(void **state)
{
    (void)state;
    assert_true(txn_branch_is_rfc3261(SLICE("z9hG4bK1")));
    assert_true(txn_branch_is_rfc3261(SLICE("Z9HG4BKx")));
    assert_false(txn_branch_is_rfc3261(SLICE("z9hG4bK")));
    assert_false(txn_branch_is_rfc3261(SLICE("z9hG4b")));
    assert_false(txn_branch_is_rfc3261(SLICE("1z9hG4bK1")));
    assert_false(txn_branch_is_rfc3261(SLICE("")));
    assert_false(txn_branch_is_rfc3261(SLICE_NULL));
}

static void s17_2_3_branch_sent_by_and_method_decide_and_nothing_else(void **state)
{
    (void)state;
    assert_same(MSG(.method = "INVITE"), MSG(.method = "INVITE"));
    assert_same(MSG(.method = "INVITE"), MSG(.method = "INVITE", .ruri = "sip:x@y", .from_tag = ";tag=z",
                                             .to_tag = ";tag=y", .call_id = "other", .cseq = 7));
    assert_other(MSG(.method = "INVITE"),
                 MSG(.method = "INVITE", .via = "SIP/2.0/UDP alice.example.com:5062;branch=z9hG4bK-2"));
    assert_other(MSG(.method = "INVITE"),
                 MSG(.method = "INVITE", .via = "SIP/2.0/UDP carol.example.com:5062;branch=z9hG4bK-1"));
    assert_other(MSG(.method = "INVITE"),
                 MSG(.method = "INVITE", .via = "SIP/2.0/UDP alice.example.com:5063;branch=z9hG4bK-1"));
    assert_other(MSG(.method = "INVITE"), MSG(.method = "BYE"));
    assert_other(MSG(.method = "OPTIONS"), MSG(.method = "REGISTER"));
}

static void s17_2_3_sent_by_compares_without_case_and_with_its_default_port(void **state)
{
    (void)state;
    assert_same(MSG(.via = "SIP/2.0/UDP Alice.Example.COM;branch=z9hG4bK-1"),
                MSG(.via = "SIP/2.0/UDP alice.example.com:5060;branch=z9hG4bK-1"));
    assert_other(MSG(.via = "SIP/2.0/UDP alice.example.com;branch=z9hG4bK-1"),
                 MSG(.via = "SIP/2.0/UDP alice.example.com:5061;branch=z9hG4bK-1"));
    assert_same(MSG(.via = "SIP/2.0/TLS alice.example.com;branch=z9hG4bK-1"),
                MSG(.via = "SIP/2.0/TLS alice.example.com:5061;branch=z9hG4bK-1"));
}

static void s7_3_1_branches_compare_without_case(void **state)
{
    (void)state;
    assert_same(MSG(.via = "SIP/2.0/UDP a.example.com;branch=z9hG4bK-aZ"),
                MSG(.via = "SIP/2.0/UDP a.example.com;branch=Z9HG4BK-Az"));
}

static void s17_2_3_other_via_parameters_do_not_matter(void **state)
{
    (void)state;
    assert_same(MSG(.via = "SIP/2.0/UDP a.example.com;rport;branch=z9hG4bK-1"),
                MSG(.via = "SIP/2.0/UDP a.example.com;branch=z9hG4bK-1;received=192.0.2.9;rport=99"));
}

static void s17_2_3_ack_matches_the_invite(void **state)
{
    (void)state;
    assert_same(MSG(.method = "INVITE"), MSG(.method = "ACK", .to_tag = ";tag=b1"));
    assert_same(MSG(.method = "INVITE"), MSG(.method = "ACK", .to_tag = ";tag=unknown"));
    assert_other(MSG(.method = "INVITE"),
                 MSG(.method = "ACK", .via = "SIP/2.0/UDP alice.example.com:5062;branch=z9hG4bK-9"));
    assert_other(MSG(.method = "OPTIONS"), MSG(.method = "ACK"));
}

static void s17_2_3_unknown_methods_are_told_apart(void **state)
{
    (void)state;
    assert_same(MSG(.method = "FROB"), MSG(.method = "FROB"));
    assert_other(MSG(.method = "FROB"), MSG(.method = "FROBNICATE"));
    assert_other(MSG(.method = "FROB"), MSG(.method = "frob"));
}

static void s9_2_cancel_is_a_transaction_of_its_own_and_finds_its_invite(void **state)
{
    struct fake *f = fake_new();
    struct txn_server *invite = fake_server(f, "INVITE", UDP);
    struct sip_msg *cancel = fake_request(f, MSG(.method = "CANCEL"));
    struct sip_hop hop = fake_hop(UDP);
    struct txn_server *t;

    (void)state;
    assert_int_equal(txn_receive_request(f->layer, cancel, NULL), TXN_MATCH_NONE);
    assert_ptr_equal(txn_server_find_cancelled(f->layer, cancel), invite);
    assert_int_equal(txn_server_new(f->layer, cancel, NULL, &hop, f, &t), 0);
    assert_ptr_not_equal(t, invite);
    assert_ptr_equal(txn_server_find_cancelled(f->layer, cancel), invite);
    assert_int_equal(fake_respond(f, t, 200), 0);
    assert_int_equal(txn_receive_request(f->layer, cancel, NULL), TXN_MATCH_ABSORBED);
    fake_expect(f, "0 send 200\n0 send 200\n");
    assert_string_equal(txn_server_state_name(invite), "Proceeding");
    fake_free(f);
}

static void s9_2_cancel_finds_a_request_of_any_method(void **state)
{
    static const char *const methods[] = {"OPTIONS", "FROB"};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct fake *f = fake_new();
        struct txn_server *t = fake_server(f, methods[i], UDP);

        assert_ptr_equal(txn_server_find_cancelled(f->layer, fake_request(f, MSG(.method = "CANCEL"))), t);
        fake_free(f);
    }
}

static void s9_2_cancel_with_another_branch_or_sent_by_finds_nothing(void **state)
{
    struct fake *f = fake_new();

    (void)state;
    fake_server(f, "INVITE", UDP);
    assert_null(txn_server_find_cancelled(
        f->layer, fake_request(f, MSG(.method = "CANCEL",
                                      .via = "SIP/2.0/UDP alice.example.com:5062;branch=z9hG4bK-2"))));
    assert_null(txn_server_find_cancelled(
        f->layer, fake_request(f, MSG(.method = "CANCEL",
                                      .via = "SIP/2.0/UDP carol.example.com:5062;branch=z9hG4bK-1"))));
    fake_free(f);
}

static void s9_2_cancel_does_not_find_another_cancel(void **state)
{
    struct fake *f = fake_new();

    (void)state;
    fake_server(f, "CANCEL", UDP);
    assert_null(txn_server_find_cancelled(f->layer, fake_request(f, MSG(.method = "CANCEL"))));
    fake_free(f);
}

/* RFC 2543: no branch, one without the cookie, or nothing but the cookie. */
static const char *const old_vias[] = {"SIP/2.0/UDP old.example.com", "SIP/2.0/UDP old.example.com;branch=1",
                                       "SIP/2.0/UDP old.example.com;branch=z9hG4bK"};

static void s17_2_3_rfc2543_retransmission_matches(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_same(MSG(.method = "INVITE", .via = old_vias[i]), MSG(.method = "INVITE", .via = old_vias[i]));
        assert_same(MSG(.method = "BYE", .via = old_vias[i], .to_tag = ";tag=b1"),
                    MSG(.method = "BYE", .via = old_vias[i], .to_tag = ";tag=b1"));
        assert_same(MSG(.method = "OPTIONS", .via = old_vias[i], .from_tag = ""),
                    MSG(.method = "OPTIONS", .via = old_vias[i], .from_tag = ""));
    }
}

static void s17_2_3_rfc2543_each_field_decides(void **state)
{
    static const char *const methods[] = {"INVITE", "OPTIONS"};

    (void)state;
    for (int i = 0; i < 6; i++) {
        const char *via = old_vias[i / 2], *method = methods[i % 2];

        assert_other(MSG(.method = method, .via = via),
                     MSG(.method = method, .via = via, .ruri = "sip:eve@example.com"));
        assert_other(MSG(.method = method, .via = via),
                     MSG(.method = method, .via = via, .to_tag = ";tag=b1"));
        assert_other(MSG(.method = method, .via = via),
                     MSG(.method = method, .via = via, .from_tag = ";tag=a2"));
        assert_other(MSG(.method = method, .via = via), MSG(.method = method, .via = via, .from_tag = ""));
        assert_other(MSG(.method = method, .via = via),
                     MSG(.method = method, .via = via, .call_id = "C1@example.com"));
        assert_other(MSG(.method = method, .via = via), MSG(.method = method, .via = via, .cseq = 2));
    }
    assert_other(MSG(.method = "OPTIONS", .via = old_vias[0]), MSG(.method = "INFO", .via = old_vias[0]));
    assert_other(MSG(.via = old_vias[0]), MSG(.via = "SIP/2.0/UDP other.example.com"));
    assert_other(MSG(.via = old_vias[0]), MSG(.via = "SIP/2.0/UDP old.example.com:5070"));
    assert_other(MSG(.via = old_vias[0]), MSG(.via = "SIP/2.0/TCP old.example.com"));
    assert_other(MSG(.via = old_vias[1]), MSG(.via = "SIP/2.0/UDP old.example.com;branch=2"));
}

static void s17_2_3_rfc2543_fields_match_by_their_own_rules(void **state)
{
    (void)state;
    /* Section 19.1.4. */
    assert_same(MSG(.via = old_vias[0], .ruri = "sip:b%6fb@example.com;x=1"),
                MSG(.via = old_vias[0], .ruri = "sip:bob@EXAMPLE.com"));
    assert_other(MSG(.via = old_vias[0], .ruri = "sip:bob@example.com;x=1"),
                 MSG(.via = old_vias[0], .ruri = "sip:bob@example.com;x=2"));
    assert_other(MSG(.via = old_vias[0], .ruri = "sip:bob@example.com"),
                 MSG(.via = old_vias[0], .ruri = "sip:bob@example.com:5060"));
    /* Section 20.42: the same set of parameters. */
    assert_same(MSG(.via = "SIP/2.0/UDP old.example.com;ttl=1;Maddr=192.0.2.1"),
                MSG(.via = "SIP/2.0/udp OLD.example.com;maddr=192.0.2.1;ttl=1"));
    assert_other(MSG(.via = "SIP/2.0/UDP old.example.com;ttl=1"),
                 MSG(.via = "SIP/2.0/UDP old.example.com;ttl=2"));
    assert_other(MSG(.via = "SIP/2.0/UDP old.example.com;x=\"a;b;c;d\""),
                 MSG(.via = "SIP/2.0/UDP old.example.com;x=\"a;c;b;d\""));
    /* Section 7.3.1: a tag is a token. */
    assert_same(MSG(.via = old_vias[0], .from_tag = ";tag=ABC"),
                MSG(.via = old_vias[0], .from_tag = ";tag=abc"));
}

static void s17_2_3_rfc2543_request_uri_of_another_scheme(void **state)
{
    (void)state;
    assert_same(MSG(.via = old_vias[0], .ruri = "tel:+1-201-555-0123"),
                MSG(.via = old_vias[0], .ruri = "tel:+1-201-555-0123"));
    assert_other(MSG(.via = old_vias[0], .ruri = "tel:+1-201-555-0123"),
                 MSG(.via = old_vias[0], .ruri = "tel:+1-201-555-0124"));
}

static void s8_1_1_7_two_requests_with_a_bare_cookie_are_two(void **state)
{
    struct fake *f = fake_new();
    struct txn_server *one = fake_server_of(f, MSG(.via = old_vias[2], .call_id = "one"), UDP);
    struct txn_server *two = fake_server_of(f, MSG(.via = old_vias[2], .call_id = "two"), UDP);

    (void)state;
    assert_ptr_not_equal(one, two);
    assert_int_equal(txn_layer_count(f->layer), 2);
    fake_free(f);
}

static void s17_2_3_rfc2543_ack_carries_the_to_tag_of_the_response(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_same(MSG(.via = old_vias[i]), MSG(.method = "ACK", .via = old_vias[i], .to_tag = ";tag=b1"));
        assert_other(MSG(.via = old_vias[i]), MSG(.method = "ACK", .via = old_vias[i], .to_tag = ";tag=b2"));
        assert_other(MSG(.via = old_vias[i]), MSG(.method = "ACK", .via = old_vias[i]));
        assert_other(MSG(.via = old_vias[i]),
                     MSG(.method = "ACK", .via = old_vias[i], .to_tag = ";tag=b1", .cseq = 2));
        assert_other(MSG(.via = old_vias[i]), MSG(.method = "ACK", .via = old_vias[i], .to_tag = ";tag=b1",
                                                  .ruri = "sip:eve@example.com"));
    }
}

static void s17_2_3_rfc2543_response_and_ack_may_both_be_without_a_to_tag(void **state)
{
    struct fake *f = fake_new();
    struct txn_server *t = fake_server_of(f, MSG(.via = old_vias[0]), UDP);
    struct wire *w = fake_response_wire(486, MSG(.via = old_vias[0]));

    (void)state;
    assert_int_equal(txn_server_respond(f->layer, t, 486, SLICE_NULL, w), 0);
    wire_unref(w);
    assert_int_equal(
        txn_receive_request(f->layer, fake_request(f, MSG(.method = "ACK", .via = old_vias[0])), NULL),
        TXN_MATCH_ABSORBED);
    assert_string_equal(txn_server_state_name(t), "Confirmed");
    fake_free(f);
}

static void s17_2_3_rfc2543_second_ack_is_a_retransmission_of_the_first(void **state)
{
    struct fake *f = fake_new();
    struct txn_server *t = fake_server_of(f, MSG(.via = old_vias[0]), UDP);
    struct sip_msg *ack = fake_request(f, MSG(.method = "ACK", .via = old_vias[0], .to_tag = ";tag=b1"));

    (void)state;
    assert_int_equal(txn_receive_request(f->layer, ack, NULL), TXN_MATCH_NONE);
    fake_respond(f, t, 486);
    assert_int_equal(txn_receive_request(f->layer, ack, NULL), TXN_MATCH_ABSORBED);
    assert_string_equal(txn_server_state_name(t), "Confirmed");
    assert_int_equal(txn_receive_request(f->layer, ack, NULL), TXN_MATCH_ABSORBED);
    fake_free(f);
}

static void s6026_6_rfc2543_ack_in_accepted_is_passed_to_the_tu(void **state)
{
    struct fake *f = fake_new();
    struct txn_server *t = fake_server_of(f, MSG(.via = old_vias[0]), UDP);
    struct sip_msg *ack = fake_request(f, MSG(.method = "ACK", .via = old_vias[0], .to_tag = ";tag=b1"));

    (void)state;
    fake_respond(f, t, 200);
    assert_int_equal(txn_receive_request(f->layer, ack, NULL), TXN_MATCH_ACCEPTED);
    fake_free(f);
}

static void s9_2_rfc2543_cancel_finds_its_invite(void **state)
{
    struct fake *f = fake_new();
    struct txn_server *t = fake_server_of(f, MSG(.via = old_vias[0]), UDP);

    (void)state;
    assert_ptr_equal(
        txn_server_find_cancelled(f->layer, fake_request(f, MSG(.method = "CANCEL", .via = old_vias[0]))), t);
    assert_null(txn_server_find_cancelled(
        f->layer, fake_request(f, MSG(.method = "CANCEL", .via = old_vias[0], .call_id = "other"))));
    assert_null(txn_server_find_cancelled(
        f->layer,
        fake_request(f, MSG(.method = "CANCEL", .via = old_vias[0], .ruri = "sip:eve@example.com"))));
    fake_free(f);
}

static void s17_1_3_response_matches_by_branch_and_cseq_method(void **state)
{
    struct fake *f = fake_new();

    (void)state;
    fake_client(f, "INVITE", UDP);
    assert_int_equal(
        txn_receive_response(f->layer, fake_response(f, 180, MSG(.via = "SIP/2.0/UDP p;branch=z9hG4bK-2"))),
        TXN_MATCH_NONE);
    assert_int_equal(fake_receive(f, 200, "CANCEL", NULL), TXN_MATCH_NONE);
    assert_int_equal(fake_receive(f, 200, "invite", NULL), TXN_MATCH_NONE);
    assert_int_equal(txn_receive_response(f->layer, fake_response(f, 180, MSG(.via = "SIP/2.0/UDP p"))),
                     TXN_MATCH_NONE);
    fake_expect(f, "0 send INVITE\n");
    /* The rest of the Via is not looked at. */
    assert_int_equal(
        txn_receive_response(f->layer, fake_response(f, 180,
                                                     MSG(.via = "SIP/2.0/TCP other:99;branch=z9hG4bK-1",
                                                         .call_id = "x", .from_tag = ";tag=q", .cseq = 9))),
        TXN_MATCH_ABSORBED);
    fake_expect(f, "0 up 180\n");
    fake_free(f);
}

static void s17_1_3_cancel_shares_the_branch_and_is_a_transaction_of_its_own(void **state)
{
    struct fake *f = fake_new();
    struct txn_client *invite = fake_client(f, "INVITE", UDP);
    uint64_t invite_token = f->last_token;
    struct txn_client *cancel = fake_client(f, "CANCEL", UDP);

    (void)state;
    assert_true(f->last_token != invite_token);
    fake_receive(f, 200, "CANCEL", NULL);
    assert_true(txn_client_has_final(cancel));
    assert_false(txn_client_has_final(invite));
    fake_receive(f, 487, "INVITE", NULL);
    fake_expect(f, "0 send INVITE\n0 send CANCEL\n0 up 200\n0 send ACK\n0 up 487\n");
    fake_free(f);
}

static void s17_1_3_unknown_methods_are_told_apart(void **state)
{
    struct fake *f = fake_new();

    (void)state;
    fake_client(f, "FROB", UDP);
    assert_int_equal(fake_receive(f, 200, "FRO", NULL), TXN_MATCH_NONE);
    assert_int_equal(fake_receive(f, 200, "FROB", NULL), TXN_MATCH_ABSORBED);
    fake_expect(f, "0 send FROB\n0 up 200\n");
    fake_free(f);
}

static void s18_4_icmp_error_finds_its_request_by_branch_and_method(void **state)
{
    struct fake *f = fake_new();

    (void)state;
    fake_client(f, "OPTIONS", UDP);
    txn_branch_failed(f->layer, SLICE("z9hG4bK-2"), SLICE("OPTIONS"));
    txn_branch_failed(f->layer, SLICE("z9hG4bK-1"), SLICE("INVITE"));
    txn_branch_failed(f->layer, SLICE("z9hG4bK-1"), SLICE("ACK"));
    txn_branch_failed(f->layer, SLICE_NULL, SLICE_NULL);
    fake_expect(f, "0 send OPTIONS\n");
    txn_branch_failed(f->layer, SLICE("z9hG4bK-1"), SLICE("OPTIONS"));
    fake_expect(f, "0 client error\n0 client done\n");
    fake_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(s8_1_1_7_a_branch_of_rfc3261_is_the_cookie_and_more),
        cmocka_unit_test(s17_2_3_branch_sent_by_and_method_decide_and_nothing_else),
        cmocka_unit_test(s17_2_3_sent_by_compares_without_case_and_with_its_default_port),
        cmocka_unit_test(s7_3_1_branches_compare_without_case),
        cmocka_unit_test(s17_2_3_other_via_parameters_do_not_matter),
        cmocka_unit_test(s17_2_3_ack_matches_the_invite),
        cmocka_unit_test(s17_2_3_unknown_methods_are_told_apart),
        cmocka_unit_test(s9_2_cancel_is_a_transaction_of_its_own_and_finds_its_invite),
        cmocka_unit_test(s9_2_cancel_finds_a_request_of_any_method),
        cmocka_unit_test(s9_2_cancel_with_another_branch_or_sent_by_finds_nothing),
        cmocka_unit_test(s9_2_cancel_does_not_find_another_cancel),
        cmocka_unit_test(s17_2_3_rfc2543_retransmission_matches),
        cmocka_unit_test(s17_2_3_rfc2543_each_field_decides),
        cmocka_unit_test(s17_2_3_rfc2543_fields_match_by_their_own_rules),
        cmocka_unit_test(s17_2_3_rfc2543_request_uri_of_another_scheme),
        cmocka_unit_test(s8_1_1_7_two_requests_with_a_bare_cookie_are_two),
        cmocka_unit_test(s17_2_3_rfc2543_ack_carries_the_to_tag_of_the_response),
        cmocka_unit_test(s17_2_3_rfc2543_response_and_ack_may_both_be_without_a_to_tag),
        cmocka_unit_test(s17_2_3_rfc2543_second_ack_is_a_retransmission_of_the_first),
        cmocka_unit_test(s6026_6_rfc2543_ack_in_accepted_is_passed_to_the_tu),
        cmocka_unit_test(s9_2_rfc2543_cancel_finds_its_invite),
        cmocka_unit_test(s17_1_3_response_matches_by_branch_and_cseq_method),
        cmocka_unit_test(s17_1_3_cancel_shares_the_branch_and_is_a_transaction_of_its_own),
        cmocka_unit_test(s17_1_3_unknown_methods_are_told_apart),
        cmocka_unit_test(s18_4_icmp_error_finds_its_request_by_branch_and_method),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
