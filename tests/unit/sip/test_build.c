#include "support.h"

#include "sip/build.h"

struct bench {
    struct memory memory;
    struct sip_msg msg;
};

/* Parsed as far as it goes: answers are made for bad requests too. */
static void setup(struct bench *b, const char *text)
{
    struct sip_error error;
    memory_init(&b->memory);
    (void)!parse_datagram(&b->memory, cstr(text), &b->msg, &error);
}

static void done(struct bench *b)
{
    memory_done(&b->memory);
}

static void expect_response(const char *request, const struct sip_response_args *args, const char *response)
{
    struct bench b;
    struct wire *wire = NULL;
    setup(&b, request);
    int rc = sip_build_response(&b.msg, args, &wire);
    check_that(rc == 0, cstr(request));
    check_slice(wire_slice(wire), cstr(response), cstr(request));
    wire_unref(wire);
    done(&b);
}

#define REQUEST                                                                                              \
    "INVITE sip:b SIP/2.0\r\nMax-Forwards: 1\r\nt: <sip:bob@b>\r\nv:SIP/2.0/UDP a;rport ,\r\n SIP/2.0/UDP "  \
    "b\r\n"                                                                                                  \
    "From  : \"A\"\r\n <sip:a@a>;tag=1\r\nRecord-Route: <r:1>\r\nVia: SIP/2.0/TCP c\r\nRecord-Route: "       \
    "<r:2>, <r:3>\r\n"                                                                                       \
    "i: 1@a\r\nTimestamp: 54.1\r\nCSEQ:  0007   INVITE\r\nl: 1\r\n\r\nx"
#define VIAS "Via: SIP/2.0/UDP a;rport ,\r\n SIP/2.0/UDP b\r\nVia: SIP/2.0/TCP c\r\n"
#define FROM "From: \"A\"\r\n <sip:a@a>;tag=1\r\n"
#define REST "Call-ID: 1@a\r\nCSeq: 0007   INVITE\r\n"
#define END  "Content-Length: 0\r\n\r\n"

static void a_response_takes_from_the_request_what_8_2_6_2_says(void **state)
{
    (void)state;
    expect_response(REQUEST, &(struct sip_response_args){.status = 486, .to_tag = SLICE("t9")},
                    "SIP/2.0 486 Busy Here\r\n" VIAS FROM "To: <sip:bob@b>;tag=t9\r\n" REST END);
    expect_response(REQUEST, &(struct sip_response_args){.status = 499, .phrase = SLICE("Bad CSeq")},
                    "SIP/2.0 499 Bad CSeq\r\n" VIAS FROM "To: <sip:bob@b>\r\n" REST END);
}

static void a_100_gets_no_tag_but_the_timestamp_8_2_6_1(void **state)
{
    (void)state;
    expect_response(REQUEST,
                    &(struct sip_response_args){.status = 100, .to_tag = SLICE("t9"), .copy_timestamp = true},
                    "SIP/2.0 100 Trying\r\n" VIAS FROM "To: <sip:bob@b>\r\n" REST "Timestamp: 54.1\r\n" END);
}

static void record_route_is_copied_in_order_12_1_1(void **state)
{
    (void)state;
    expect_response(REQUEST, &(struct sip_response_args){.status = 180, .copy_record_route = true},
                    "SIP/2.0 180 Ringing\r\n" VIAS
                    "Record-Route: <r:1>\r\nRecord-Route: <r:2>, <r:3>\r\n" FROM
                    "To: <sip:bob@b>\r\n" REST END);
}

static void the_top_via_can_be_replaced_and_the_others_stay(void **state)
{
    (void)state;
    expect_response(
        REQUEST,
        &(struct sip_response_args){.status = 404,
                                    .top_via = SLICE("SIP/2.0/UDP a;rport=9;received=1.2.3.4")},
        "SIP/2.0 404 Not Found\r\nVia: SIP/2.0/UDP a;rport=9;received=1.2.3.4 ,\r\n SIP/2.0/UDP b\r\n"
        "Via: SIP/2.0/TCP c\r\n" FROM "To: <sip:bob@b>\r\n" REST END);
}

static void extra_headers_come_in_their_order(void **state)
{
    (void)state;
    static const struct sip_extra extra[] = {
        {.id = SIP_HDR_UNSUPPORTED, .value = {"foo, bar", 8}},
        {.id = SIP_HDR_OTHER, .name = {"X-Reason", 8}, .value = {"x", 1}},
        {.id = SIP_HDR_RETRY_AFTER, .value = {"5", 1}},
        {.id = SIP_HDR_OTHER},
    };
    expect_response(REQUEST, &(struct sip_response_args){.status = 420, .extra = extra},
                    "SIP/2.0 420 Bad Extension\r\n" VIAS FROM "To: <sip:bob@b>\r\n" REST
                    "Unsupported: foo, bar\r\nX-Reason: x\r\nRetry-After: 5\r\n" END);
}

/* What is written at once is one octet shorter, as long, and longer than there is room for at first. */
static void a_long_response_is_as_whole_as_a_short_one(void **state)
{
    static char value[4096], expected[8192];
    (void)state;
    memset(value, 'v', sizeof(value));
    for (size_t len = 1700; len < sizeof(value); len += len < 2100 ? 1 : 500) {
        const struct sip_extra extra[] = {{.id = SIP_HDR_SERVER, .value = slice_make(value, len)}, {0}};
        snprintf(expected, sizeof(expected),
                 "SIP/2.0 486 Busy Here\r\n" VIAS FROM "To: <sip:bob@b>;tag=t9\r\n" REST
                 "Server: %.*s\r\n" END,
                 (int)len, value);
        expect_response(REQUEST,
                        &(struct sip_response_args){.status = 486, .to_tag = SLICE("t9"), .extra = extra},
                        expected);
    }
}

static void a_tag_that_is_there_stays(void **state)
{
    (void)state;
    expect_response("BYE sip:b SIP/2.0\r\nVia: SIP/2.0/UDP a\r\nTo: sip:b;tag=old\r\n\r\n",
                    &(struct sip_response_args){.status = 200, .to_tag = SLICE("new")},
                    "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a\r\nTo: sip:b;tag=old\r\n" END);
    expect_response("BYE sip:b SIP/2.0\r\nVia: SIP/2.0/UDP a\r\nTo: sip:b\r\n\r\n",
                    &(struct sip_response_args){.status = 200, .to_tag = SLICE("new")},
                    "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a\r\nTo: sip:b;tag=new\r\n" END);
}

static void a_bad_request_is_answered_with_what_there_is(void **state)
{
    (void)state;
    const struct sip_response_args args = {.status = 400, .to_tag = SLICE("t")};
    /* RFC 4475 section 3.3.1. */
    expect_response("INVITE sip:b SIP/2.0\r\nCSeq: 1 INVITE\r\nVia: SIP/2.0/UDP a\r\n\r\n", &args,
                    "SIP/2.0 400 Bad Request\r\nVia: SIP/2.0/UDP a\r\nCSeq: 1 INVITE\r\n" END);
    /* Section 3.1.2.1: the sent-by can be read. */
    expect_response(
        "INVITE sip:b SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.15;;,;,,\r\nTo: sip:a\r\n\r\n", &args,
        "SIP/2.0 400 Bad Request\r\nVia: SIP/2.0/UDP 192.0.2.15;;,;,,\r\nTo: sip:a;tag=t\r\n" END);
    /* Section 3.1.2.6: a To that cannot be read gets no tag. */
    expect_response("INVITE sip:b SIP/2.0\r\nVia: SIP/2.0/UDP a\r\nTo: \"x <sip:a>\r\n\r\n", &args,
                    "SIP/2.0 400 Bad Request\r\nVia: SIP/2.0/UDP a\r\nTo: \"x <sip:a>\r\n" END);
    /* Section 3.3.8: two of everything; one goes back. */
    expect_response(
        "INVITE sip:b SIP/2.0\r\nVia: SIP/2.0/UDP a\r\nTo: <sip:a>\r\nTo: <sip:b>\r\nCSeq: 1 A\r\nCSeq: 2 "
        "B\r\n\r\n",
        &args, "SIP/2.0 400 Bad Request\r\nVia: SIP/2.0/UDP a\r\nTo: <sip:a>;tag=t\r\nCSeq: 1 A\r\n" END);
    /* A broken field is left out and a broken line end mended. */
    expect_response("INVITE sip:b SIP/2.0\r\nVia: SIP/2.0/UDP a\nFrom: <sip:a>\rX: y\r\nVia: SIP/2.0/UDP "
                    "b\r\nTo: \0x\r\n\r\n",
                    &args, "SIP/2.0 400 Bad Request\r\nVia: SIP/2.0/UDP b\r\n" END);
}

static void without_a_via_there_is_no_answer(void **state)
{
    (void)state;
    static const char *const rows[] = {"INVITE sip:b SIP/2.0\r\n\r\n",
                                       "INVITE sip:b SIP/2.0\r\nVia: garbage\r\n\r\n",
                                       "INVITE sip:b SIP/2.0\r\nVia:\r\n\r\n"};
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct bench b;
        struct wire *wire = NULL;
        setup(&b, rows[i]);
        assert_int_equal(sip_build_response(&b.msg, &(struct sip_response_args){.status = 400}, &wire),
                         ERR_SYNTAX);
        assert_null(wire);
        done(&b);
    }
}

/* Nor one that cannot be taken apart, when its top element is to be replaced. */
static void a_top_via_without_an_end_cannot_be_replaced(void **state)
{
    (void)state;
    struct bench b;
    struct wire *wire = NULL;
    const struct sip_response_args args = {.status = 400, .top_via = SLICE("SIP/2.0/UDP b")};
    setup(&b, "INVITE sip:b SIP/2.0\r\nVia: SIP/2.0/UDP a;x=\"\r\n\r\n");
    assert_int_equal(sip_build_response(&b.msg, &args, &wire), ERR_SYNTAX);
    assert_null(wire);
    done(&b);
}

static void no_argument_can_smuggle_in_a_header(void **state)
{
    (void)state;
    static const struct slice bad = {"a\r\nX: y", 7};
    const struct sip_extra bad_value[] = {{.id = SIP_HDR_WARNING, .value = bad}, {.id = SIP_HDR_OTHER}};
    const struct sip_extra bad_name[] = {{.id = SIP_HDR_OTHER, .name = bad}, {.id = SIP_HDR_OTHER}};
    const struct sip_response_args rows[] = {
        {.status = 400, .phrase = bad},     {.status = 400, .to_tag = bad},
        {.status = 400, .top_via = bad},    {.status = 400, .extra = bad_value},
        {.status = 400, .extra = bad_name},
    };
    struct bench b;
    struct wire *wire = NULL;
    setup(&b, REQUEST);
    for (size_t i = 0; i < ROWS(rows); i++)
        assert_int_equal(sip_build_response(&b.msg, &rows[i], &wire), ERR_SYNTAX);
    assert_int_equal(sip_build_cancel(&b.msg, bad, &wire), ERR_SYNTAX);
    assert_null(wire);
    done(&b);
}

/* The example of section 17.1.1.3. */
#define RFC_INVITE                                                                                           \
    "INVITE sip:bob@biloxi.com SIP/2.0\r\nVia: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bKkjshdyff\r\n"      \
    "To: Bob <sip:bob@biloxi.com>\r\nFrom: Alice <sip:alice@atlanta.com>;tag=88sja8x\r\nMax-Forwards: "      \
    "70\r\n"                                                                                                 \
    "Call-ID: 987asjd97y7atg\r\nCSeq: 986759 INVITE\r\n"

static void the_ack_of_section_17_1_1_3(void **state)
{
    (void)state;
    struct bench invite, response;
    struct wire *wire = NULL;
    setup(&invite, RFC_INVITE "\r\n");
    setup(&response,
          "SIP/2.0 486 x\r\nVia: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bKkjshdyff;received=1.2.3.4\r\n"
          "To: Bob <sip:bob@biloxi.com>;tag=99sa0xk\r\nFrom: x\r\nCall-ID: y\r\nCSeq: 1 INVITE\r\n"
          "Route: <no>\r\n\r\n");
    assert_int_equal(sip_build_ack(&invite.msg, &response.msg, &wire), 0);
    assert_slice(
        wire_slice(wire),
        "ACK sip:bob@biloxi.com SIP/2.0\r\nVia: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bKkjshdyff\r\n"
        "Max-Forwards: 70\r\nFrom: Alice <sip:alice@atlanta.com>;tag=88sja8x\r\n"
        "To: Bob <sip:bob@biloxi.com>;tag=99sa0xk\r\nCall-ID: 987asjd97y7atg\r\nCSeq: 986759 ACK\r\n" END);
    wire_unref(wire);
    done(&invite);
    done(&response);
}

static void ack_and_cancel_have_one_via_and_every_route(void **state)
{
    (void)state;
    struct bench invite, response;
    struct wire *wire = NULL;
    setup(&invite,
          "INVITE sip:b SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=1 , SIP/2.0/UDP b\r\nVia: SIP/2.0/UDP c\r\n"
          "Route: <r:1>,<r:2>\r\nRequire: x\r\nProxy-Require: y\r\nRoute: <r:3>\r\nf: <sip:f>;tag=1\r\nt: "
          "<sip:t>\r\n"
          "i: 1\r\nCSeq: 4294967295 INVITE\r\nc: a/b\r\n\r\nbody");
    setup(&response, "SIP/2.0 404 x\r\nTo: <sip:t>;tag=2\r\n\r\n");
    assert_int_equal(sip_build_ack(&invite.msg, &response.msg, &wire), 0);
    assert_slice(wire_slice(wire),
                 "ACK sip:b SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=1\r\nMax-Forwards: 70\r\n"
                 "Route: <r:1>,<r:2>\r\nRoute: <r:3>\r\nFrom: <sip:f>;tag=1\r\nTo: <sip:t>;tag=2\r\n"
                 "Call-ID: 1\r\nCSeq: 4294967295 ACK\r\n" END);
    wire_unref(wire);
    /* Section 9.1: To as in the request, and neither Require nor Proxy-Require. */
    assert_int_equal(sip_build_cancel(&invite.msg, SLICE("SIP;cause=200"), &wire), 0);
    assert_slice(wire_slice(wire),
                 "CANCEL sip:b SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=1\r\nMax-Forwards: 70\r\n"
                 "Route: <r:1>,<r:2>\r\nRoute: <r:3>\r\nFrom: <sip:f>;tag=1\r\nTo: <sip:t>\r\n"
                 "Call-ID: 1\r\nCSeq: 4294967295 CANCEL\r\nReason: SIP;cause=200\r\n" END);
    wire_unref(wire);
    assert_int_equal(sip_build_cancel(&invite.msg, SLICE_NULL, &wire), 0);
    assert_true(slice_find(wire_slice(wire), 'R') < wire->len);
    assert_null(memmem(wire->bytes, wire->len, "Reason", 6));
    wire_unref(wire);
    done(&invite);
    done(&response);
}

static void an_invite_without_via_or_cseq_has_no_ack(void **state)
{
    (void)state;
    static const char *const rows[] = {"INVITE sip:b SIP/2.0\r\nCSeq: 1 INVITE\r\n\r\n",
                                       "INVITE sip:b SIP/2.0\r\nVia: SIP/2.0/UDP a\r\n\r\n",
                                       "INVITE sip:b SIP/2.0\r\nVia: SIP/2.0/UDP a\r\nCSeq: x\r\n\r\n"};
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct bench b;
        struct wire *wire = NULL;
        setup(&b, rows[i]);
        assert_int_equal(sip_build_ack(&b.msg, &b.msg, &wire), ERR_SYNTAX);
        assert_int_equal(sip_build_cancel(&b.msg, SLICE_NULL, &wire), ERR_SYNTAX);
        assert_null(wire);
        done(&b);
    }
}

static void without_memory_nothing_is_built(void **state)
{
    (void)state;
    struct bench b;
    struct wire *wire = NULL;
    setup(&b, REQUEST);
    mem_fail_after(0);
    int response = sip_build_response(&b.msg, &(struct sip_response_args){.status = 400}, &wire);
    int ack = sip_build_ack(&b.msg, &b.msg, &wire);
    int cancel = sip_build_cancel(&b.msg, SLICE_NULL, &wire);
    mem_fail_after(-1);
    assert_int_equal(response, ERR_NOMEM);
    assert_int_equal(ack, ERR_NOMEM);
    assert_int_equal(cancel, ERR_NOMEM);
    assert_null(wire);
    done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_response_takes_from_the_request_what_8_2_6_2_says),
        cmocka_unit_test(a_100_gets_no_tag_but_the_timestamp_8_2_6_1),
        cmocka_unit_test(record_route_is_copied_in_order_12_1_1),
        cmocka_unit_test(the_top_via_can_be_replaced_and_the_others_stay),
        cmocka_unit_test(extra_headers_come_in_their_order),
        cmocka_unit_test(a_long_response_is_as_whole_as_a_short_one),
        cmocka_unit_test(a_tag_that_is_there_stays),
        cmocka_unit_test(a_bad_request_is_answered_with_what_there_is),
        cmocka_unit_test(without_a_via_there_is_no_answer),
        cmocka_unit_test(a_top_via_without_an_end_cannot_be_replaced),
        cmocka_unit_test(no_argument_can_smuggle_in_a_header),
        cmocka_unit_test(the_ack_of_section_17_1_1_3),
        cmocka_unit_test(ack_and_cancel_have_one_via_and_every_route),
        cmocka_unit_test(an_invite_without_via_or_cseq_has_no_ack),
        cmocka_unit_test(without_memory_nothing_is_built),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
