#include "support.h"

static const char typed[] =
    "INVITE sip:bob:pw@biloxi.com;maddr=m;transport=tcp?a=b SIP/2.0\r\n"
    "Via: SIP/2.0/TCP a:5070;branch=z9hG4bK1;rport;received=192.0.2.9;maddr=m.example;ttl=3, "
    "SIP/2.0/UDP b\r\n"
    "From: \"A\" <sip:a@b;x>;tag=f1\r\nTo: sip:c@d;x=y;tag=t1\r\nCall-ID: 1@2\r\nCSeq: 7 "
    "INVITE\r\nMax-Forwards: 070\r\n"
    "Expires: 99999999999999999999\r\nMin-Expires: x\r\nContent-Length: 4\r\n\r\nbody";

static void check_typed(struct sip_msg *msg)
{
    const struct sip_via *via;
    const struct sip_name_addr *from, *to;
    const struct sip_cseq *cseq;
    const struct sip_uri *ruri;
    uint32_t number = 4711;
    assert_int_equal(sip_msg_top_via(msg, &via), 0);
    assert_int_equal(via->transport, SIP_TRANSPORT_TCP);
    assert_slice(via->host, "a");
    assert_int_equal(via->port, 5070);
    assert_slice(via->branch, "z9hG4bK1");
    assert_slice(via->rport_text, ";rport");
    assert_slice(via->received, "192.0.2.9");
    assert_slice(via->maddr, "m.example");
    assert_slice(via->ttl, "3");
    assert_slice(via->transport_text, "TCP");
    assert_slice(via->params, ";branch=z9hG4bK1;rport;received=192.0.2.9;maddr=m.example;ttl=3");
    assert_slice(via->text,
                 "SIP/2.0/TCP a:5070;branch=z9hG4bK1;rport;received=192.0.2.9;maddr=m.example;ttl=3");
    assert_int_equal(sip_msg_from(msg, &from), 0);
    assert_slice(from->display, "\"A\"");
    assert_slice(from->uri_text, "sip:a@b;x");
    assert_slice(from->params, ";tag=f1");
    assert_slice(from->text, "\"A\" <sip:a@b;x>;tag=f1");
    assert_slice(sip_msg_from_tag(msg), "f1");
    assert_int_equal(sip_msg_to(msg, &to), 0);
    assert_true(slice_is_null(to->display));
    assert_slice(to->uri_text, "sip:c@d");
    assert_slice(to->params, ";x=y;tag=t1");
    assert_slice(to->text, "sip:c@d;x=y;tag=t1");
    assert_slice(sip_msg_to_tag(msg), "t1");
    assert_int_equal(sip_msg_cseq(msg, &cseq), 0);
    assert_int_equal(cseq->number, 7);
    assert_int_equal(cseq->method, SIP_METHOD_INVITE);
    assert_slice(cseq->method_name, "INVITE");
    assert_int_equal(sip_msg_ruri(msg, &ruri), 0);
    assert_slice(ruri->user, "bob");
    assert_slice(ruri->host, "biloxi.com");
    assert_slice(ruri->text, "sip:bob:pw@biloxi.com;maddr=m;transport=tcp?a=b");
    assert_slice(ruri->scheme_text, "sip");
    assert_slice(ruri->password, "pw");
    assert_slice(ruri->params, "maddr=m;transport=tcp");
    assert_slice(ruri->headers, "a=b");
    assert_slice(ruri->maddr, "m");
    assert_slice(ruri->transport_text, "tcp");
    assert_slice(sip_msg_call_id(msg), "1@2");
    assert_slice(sip_msg_value(msg, SIP_HDR_MAX_FORWARDS), "070");
    assert_true(slice_is_null(sip_msg_value(msg, SIP_HDR_ROUTE)));
    assert_int_equal(sip_msg_u32(msg, SIP_HDR_MAX_FORWARDS, &number), 0);
    assert_int_equal(number, 70);
    assert_int_equal(sip_msg_u32(msg, SIP_HDR_MIN_EXPIRES, &number), ERR_SYNTAX);
    assert_int_equal(sip_msg_u32(msg, SIP_HDR_RSEQ, &number), ERR_NOTFOUND);
    assert_int_equal(number, 70);
    assert_int_equal(sip_msg_u32(msg, SIP_HDR_EXPIRES, &number), 0);
    assert_int_equal(number, UINT32_MAX);
    assert_slice(msg->method_name, "INVITE");
    assert_slice(msg->ruri, "sip:bob:pw@biloxi.com;maddr=m;transport=tcp?a=b");
    assert_slice(msg->version, "SIP/2.0");
    assert_slice(sip_msg_body(msg), "body");
}

static void typed_headers_are_read_on_demand_and_kept(void **state)
{
    (void)state;
    struct memory m;
    struct sip_msg msg;
    const struct sip_via *first, *again;
    memory_init(&m);
    parse_good(&m, cstr(typed), &msg);
    check_typed(&msg);
    check_typed(&msg);
    assert_int_equal(sip_msg_top_via(&msg, &first), 0);
    assert_int_equal(sip_msg_top_via(&msg, &again), 0);
    assert_ptr_equal(first, again);
    memory_done(&m);
}

static void the_via_below_the_top_is_in_its_field_or_in_the_next_7_3_1(void **state)
{
    static const struct {
        const char *text, *host;
        int rc;
    } rows[] = {
        {"Via: SIP/2.0/UDP a;branch=z9hG4bK1 , SIP/2.0/UDP b, SIP/2.0/UDP c\r\n", "b", 0},
        {"Via: SIP/2.0/UDP a;branch=z9hG4bK1\r\nTo: <sip:x>\r\nv: SIP/2.0/UDP b , SIP/2.0/UDP c\r\n", "b", 0},
        {"Via: SIP/2.0/UDP a;branch=z9hG4bK1\r\n", NULL, ERR_NOTFOUND},
        {"Via: SIP/2.0/UDP a;branch=z9hG4bK1,\r\nVia: SIP/2.0/UDP b\r\n", NULL, ERR_SYNTAX},
        {"Via: SIP/2.0/UDP a\r\nVia: SIP/2.0/UDP b;;\r\n", NULL, ERR_SYNTAX},
        {"Via: SIP/2.0/UDP a;;\r\nVia: SIP/2.0/UDP b\r\n", NULL, ERR_SYNTAX},
        {"To: <sip:x>\r\n", NULL, ERR_NOTFOUND},
    };
    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct memory m;
        struct sip_msg msg;
        struct sip_via via = {0};
        char text[256];
        memory_init(&m);
        (void)snprintf(text, sizeof(text), "SIP/2.0 200 OK\r\n%s\r\n", rows[i].text);
        parse_good(&m, cstr(text), &msg);
        check_that(sip_msg_next_via(&msg, &via) == rows[i].rc, cstr(text));
        if (rows[i].rc == 0)
            check_slice(via.host, cstr(rows[i].host), cstr(text));
        memory_done(&m);
    }
}

static void what_is_missing_is_not_found_and_what_is_bad_is_an_error(void **state)
{
    (void)state;
    struct memory m;
    struct sip_msg msg;
    const struct sip_via *via = NULL;
    const struct sip_name_addr *party = NULL;
    const struct sip_cseq *cseq = NULL;
    const struct sip_uri *ruri = NULL;
    struct sip_via head;
    memory_init(&m);
    parse_good(&m, SLICE("INVITE x SIP/2.0\r\n\r\n"), &msg);
    assert_int_equal(sip_msg_top_via(&msg, &via), ERR_NOTFOUND);
    assert_int_equal(sip_msg_top_via_head(&msg, &head), ERR_NOTFOUND);
    assert_int_equal(sip_msg_from(&msg, &party), ERR_NOTFOUND);
    assert_int_equal(sip_msg_to(&msg, &party), ERR_NOTFOUND);
    assert_int_equal(sip_msg_cseq(&msg, &cseq), ERR_NOTFOUND);
    assert_int_equal(sip_msg_ruri(&msg, &ruri), ERR_SYNTAX);
    assert_true(slice_is_null(sip_msg_from_tag(&msg)) && slice_is_null(sip_msg_to_tag(&msg)));
    assert_true(slice_is_null(sip_msg_call_id(&msg)));
    parse_good(
        &m,
        SLICE("INVITE x SIP/2.0\r\nVia: SIP/2.0/UDP h;;\r\nFrom: <\r\nTo: <sip:a>;tag=\r\nCSeq: x\r\n\r\n"),
        &msg);
    assert_int_equal(sip_msg_top_via(&msg, &via), ERR_SYNTAX);
    assert_int_equal(sip_msg_top_via_head(&msg, &head), 0);
    assert_slice(head.host, "h");
    assert_int_equal(sip_msg_from(&msg, &party), ERR_SYNTAX);
    assert_int_equal(sip_msg_to(&msg, &party), ERR_SYNTAX);
    assert_int_equal(sip_msg_cseq(&msg, &cseq), ERR_SYNTAX);
    parse_good(&m, SLICE(PLAIN_RINGING), &msg);
    assert_int_equal(sip_msg_ruri(&msg, &ruri), ERR_NOTFOUND);
    assert_true(!via && !party && !cseq && !ruri);
    memory_done(&m);
}

static void without_a_tag_there_is_no_tag(void **state)
{
    (void)state;
    struct memory m;
    struct sip_msg msg;
    memory_init(&m);
    parse_good(
        &m, SLICE("INVITE sip:x SIP/2.0\r\nFrom: <sip:a;tag=no>\r\nTo: \";tag=no\" <sip:b>;tags=no\r\n\r\n"),
        &msg);
    assert_true(slice_is_null(sip_msg_from_tag(&msg)));
    assert_true(slice_is_null(sip_msg_to_tag(&msg)));
    memory_done(&m);
}

static void poison_memory(char *text, size_t len)
{
    memset(text, '#', len);
}

/* The copy must not point into the receive buffer, whatever was parsed before it was made. */
static void a_kept_message_outlives_its_octets(void **state)
{
    (void)state;
    for (int parsed_before = 0; parsed_before < 2; parsed_before++) {
        struct memory scratch, request;
        struct sip_msg msg, kept;
        char *text = malloc(sizeof(typed));
        assert_non_null(text);
        memcpy(text, typed, sizeof(typed));
        memory_init(&scratch);
        memory_init(&request);
        parse_good(&scratch, slice_make(text, sizeof(typed) - 1), &msg);
        if (parsed_before)
            check_typed(&msg);
        assert_int_equal(sip_msg_keep(&msg, &request.arena, &request.arena, &kept), 0);
        poison_memory(text, sizeof(typed));
        memory_done(&scratch);
        free(text);
        memset(&msg, 0xee, sizeof(msg));
        assert_int_equal(kept.len, sizeof(typed) - 1);
        check_slice(slice_make(kept.bytes, kept.len), slice_make(typed, kept.len), SLICE(""));
        check_typed(&kept);
        memory_done(&request);
    }
}

static void a_kept_response_and_a_message_without_headers(void **state)
{
    (void)state;
    struct memory m;
    struct sip_msg msg, kept;
    memory_init(&m);
    parse_good(&m, SLICE(PLAIN_RINGING), &msg);
    assert_int_equal(sip_msg_keep(&msg, &m.arena, &m.arena, &kept), 0);
    assert_slice(kept.reason, "Ringing");
    assert_slice(kept.method_name, "INVITE");
    assert_ptr_not_equal(kept.reason.ptr, msg.reason.ptr);
    assert_true(kept.method_name.ptr > kept.bytes && kept.method_name.ptr < kept.bytes + kept.len);
    parse_good(&m, SLICE("X sip:a SIP/2.0\r\n\r\n"), &msg);
    assert_int_equal(sip_msg_keep(&msg, &m.arena, &m.arena, &kept), 0);
    assert_int_equal(kept.n_hdrs, 0);
    memory_done(&m);
}

static void without_memory_nothing_is_kept(void **state)
{
    (void)state;
    struct memory m;
    struct sip_msg msg, kept = {.status = 4711};
    memory_init(&m);
    parse_good(&m, cstr(typed), &msg);
    struct arena_pool pool;
    struct arena arena;
    arena_pool_init(&pool, 0);
    arena_init(&arena, &pool);
    assert_int_equal(sip_msg_keep(&msg, &arena, &arena, &kept), ERR_NOMEM);
    assert_int_equal(kept.status, 4711);
    arena_done(&arena);
    arena_pool_done(&pool);
    memory_done(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(typed_headers_are_read_on_demand_and_kept),
        cmocka_unit_test(the_via_below_the_top_is_in_its_field_or_in_the_next_7_3_1),
        cmocka_unit_test(what_is_missing_is_not_found_and_what_is_bad_is_an_error),
        cmocka_unit_test(without_a_tag_there_is_no_tag),
        cmocka_unit_test(a_kept_message_outlives_its_octets),
        cmocka_unit_test(a_kept_response_and_a_message_without_headers),
        cmocka_unit_test(without_memory_nothing_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
