#include "support.h"

/* The elements of one header, joined by "|"; "!" at the end for an error. */
static void walk(const struct sip_msg *msg, enum sip_hdr_id id, char *text, size_t cap)
{
    struct sip_values it = sip_values_of(msg, id);
    struct slice element;
    struct buf out;
    int rc;
    buf_init(&out, text, cap - 1);
    while ((rc = sip_values_next(&it, &element)) == 0) {
        if (out.len > 0)
            buf_putc(&out, '|');
        buf_put(&out, element);
        assert_ptr_equal(sip_hdr_value(msg, &msg->hdrs[it.hdr]).ptr <= element.ptr, 1);
    }
    if (rc != ERR_NOTFOUND)
        buf_putc(&out, '!');
    assert_false(buf_failed(&out));
    text[out.len] = '\0';
}

static void lists_are_walked_over_all_their_lines_7_3_1(void **state)
{
    (void)state;
    static const struct {
        const char *headers;
        enum sip_hdr_id id;
        const char *elements;
    } rows[] = {
        {"Route: <a:1>\r\n", SIP_HDR_ROUTE, "<a:1>"},
        {"Route: <a:1>,<a:2>\r\nSubject: x,y\r\nRoute:\r\n <a:3> ,\r\n <a:4>\r\n", SIP_HDR_ROUTE,
         "<a:1>|<a:2>|<a:3>|<a:4>"},
        {"Contact: \"a,\\\",b\" <sip:c,d@e?f=g,h>;x=\"i,j\", sip:k\r\n", SIP_HDR_CONTACT,
         "\"a,\\\",b\" <sip:c,d@e?f=g,h>;x=\"i,j\"|sip:k"},
        {"m: *\r\n", SIP_HDR_CONTACT, "*"},
        /* Parentheses are part of the value: section 25.1. */
        {"Contact: <sip:a(b@c>, sip:(d@e, sip:f)@g\r\n", SIP_HDR_CONTACT, "<sip:a(b@c>|sip:(d@e|sip:f)@g"},
        {"Supported:\r\nk: a,b\r\nSupported: \r\n", SIP_HDR_SUPPORTED, "a|b"},
        {"Supported:\r\n", SIP_HDR_SUPPORTED, ""},
        {"Allow:\r\n", SIP_HDR_ALLOW, ""},
        {"Subject: x\r\n", SIP_HDR_ROUTE, ""},
        /* What is not a list is one element a line. */
        {"Authorization: Digest a=b, c=\"d\r\n", SIP_HDR_AUTHORIZATION, "Digest a=b, c=\"d"},
        {"WWW-Authenticate: Digest a=b, c=d\r\nWWW-Authenticate: Basic e\r\n", SIP_HDR_WWW_AUTHENTICATE,
         "Digest a=b, c=d|Basic e"},
        {"Subject: a, b\r\n", SIP_HDR_SUBJECT, "a, b"},
        /* Empty elements are errors. */
        {"Route:\r\n", SIP_HDR_ROUTE, "!"},
        {"Route: ,<a:1>\r\n", SIP_HDR_ROUTE, "!"},
        {"Route: <a:1>,\r\n", SIP_HDR_ROUTE, "<a:1>!"},
        {"Route: <a:1>,,<a:2>\r\n", SIP_HDR_ROUTE, "<a:1>!"},
        {"Route: <a:1>, \r\n ,<a:2>\r\n", SIP_HDR_ROUTE, "<a:1>!"},
        {"Route: <a:1>\r\nRoute:\r\n", SIP_HDR_ROUTE, "<a:1>!"},
        {"Supported: a,,b\r\n", SIP_HDR_SUPPORTED, "a!"},
        {"Supported: ,\r\n", SIP_HDR_SUPPORTED, "!"},
        {"Via: SIP/2.0/UDP 192.0.2.15;;,;,,\r\n", SIP_HDR_VIA, "SIP/2.0/UDP 192.0.2.15;;|;!"},
        /* So are quotes and brackets without an end. */
        {"Contact: \"a <sip:b>\r\n", SIP_HDR_CONTACT, "!"},
        {"Contact: <a:1>, \"a\\\"\r\n", SIP_HDR_CONTACT, "<a:1>!"},
        {"Contact: <sip:a, <sip:b\r\n", SIP_HDR_CONTACT, "!"},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct memory m;
        struct sip_msg msg;
        char message[400], elements[200];
        memory_init(&m);
        snprintf(message, sizeof(message), "INVITE sip:b SIP/2.0\r\n%s\r\n", rows[i].headers);
        struct guarded g = guarded_copy(cstr(message));
        parse_good(&m, g.copy, &msg);
        walk(&msg, rows[i].id, elements, sizeof(elements));
        check_slice(cstr(elements), cstr(rows[i].elements), cstr(rows[i].headers));
        guarded_free(&g);
        memory_done(&m);
    }
}

static void the_iterator_tells_which_header_and_which_element(void **state)
{
    (void)state;
    struct memory m;
    struct sip_msg msg;
    struct slice element;
    static const struct {
        uint16_t hdr, index;
    } places[] = {{0, 0}, {0, 1}, {2, 0}, {2, 1}, {2, 2}};
    memory_init(&m);
    parse_good(
        &m, SLICE("INVITE sip:b SIP/2.0\r\nRoute: <a:1>,<a:2>\r\nx: y\r\nRoute: <a:3>,<a:4>,<a:5>\r\n\r\n"),
        &msg);
    struct sip_values it = sip_values_of(&msg, SIP_HDR_ROUTE);
    for (size_t i = 0; i < ROWS(places); i++) {
        assert_int_equal(sip_values_next(&it, &element), 0);
        assert_int_equal(it.hdr, places[i].hdr);
        assert_int_equal(it.index, places[i].index);
    }
    assert_int_equal(sip_values_next(&it, &element), ERR_NOTFOUND);
    assert_int_equal(sip_values_next(&it, &element), ERR_NOTFOUND);
    memory_done(&m);
}

static void option_tags_compare_without_case_7_3_1(void **state)
{
    (void)state;
    struct memory m;
    struct sip_msg msg;
    memory_init(&m);
    parse_good(&m,
               SLICE("INVITE sip:b SIP/2.0\r\nk: path, 100rel\r\nSupported: Outbound\r\nRequire: x\r\n\r\n"),
               &msg);
    assert_true(sip_msg_has_option(&msg, SIP_HDR_SUPPORTED, SLICE("PATH")));
    assert_true(sip_msg_has_option(&msg, SIP_HDR_SUPPORTED, SLICE("outbound")));
    assert_false(sip_msg_has_option(&msg, SIP_HDR_SUPPORTED, SLICE("pat")));
    assert_false(sip_msg_has_option(&msg, SIP_HDR_SUPPORTED, SLICE("x")));
    assert_false(sip_msg_has_option(&msg, SIP_HDR_PROXY_REQUIRE, SLICE("x")));
    memory_done(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_are_walked_over_all_their_lines_7_3_1),
        cmocka_unit_test(the_iterator_tells_which_header_and_which_element),
        cmocka_unit_test(option_tags_compare_without_case_7_3_1),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
