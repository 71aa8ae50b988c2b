/* The outline of a request: plain ones have one, and whatever is unusual has none. */
#include "sip/outline.h"
#include "support.h"

#define START "INVITE sip:bob@example.com SIP/2.0\r\n"
#define VIA   "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n"
#define FROM  "From: \"A\" <sip:a@example.com>;tag=1\r\n"
#define TO    "To: <sip:bob@example.com>\r\n"
#define IDS   "Call-ID: c1\r\nCSeq: 42 INVITE\r\n"

static bool has_outline(const char *text)
{
    struct sip_outline o;

    return sip_outline_read(slice_from_cstr(text), &o);
}

static void a_plain_request_has_one(void **state)
{
    (void)state;
    struct sip_outline o;
    assert_true(sip_outline_read(
        SLICE(START VIA "Vi: x\r\nv:  SIP/2.0/TCP b ;branch=z9hG4bK0\r\nSubject: to: x\r\n" FROM TO
                        "C-x: 1\r\nContact: <sip:a>\r\n" IDS "\r\nv=0\r\nTo: body\r\n"),
        &o));
    assert_slice(o.method, "INVITE");
    assert_slice(o.ruri, "sip:bob@example.com");
    assert_int_equal(o.n_vias, 2);
    assert_slice(o.vias[0], "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1");
    assert_slice(o.vias[1], "SIP/2.0/TCP b ;branch=z9hG4bK0");
    assert_slice(o.from, "\"A\" <sip:a@example.com>;tag=1");
    assert_slice(o.from_tag, "1");
    assert_slice(o.to, "<sip:bob@example.com>");
    assert_true(slice_is_null(o.to_tag));
    assert_slice(o.call_id, "c1");
    assert_slice(o.cseq, "42 INVITE");
    assert_int_equal(o.cseq_number, 42);
}

static void compact_names_and_any_case_are_plain(void **state)
{
    (void)state;
    struct sip_outline o;
    assert_true(sip_outline_read(
        SLICE(START
              "v : SIP/2.0/UDP a\r\nf:<sip:a>;TAG=x\r\nTO: <sip:b>;Tag=y\r\ni: z\r\ncSEQ: 1 INVITE\r\n\r\n"),
        &o));
    assert_slice(o.from_tag, "x");
    assert_slice(o.to_tag, "y");
    assert_slice(o.call_id, "z");
}

static void what_is_not_plain_has_none(void **state)
{
    (void)state;
    static const char *const others[] = {
        "",
        "\r\n",
        "SIP/2.0 200 OK\r\n" VIA FROM TO IDS "\r\n",
        "INVITE sip:bob@example.com SIP/3.0\r\n" VIA FROM TO IDS "\r\n",
        "INVITE  sip:bob@example.com SIP/2.0\r\n" VIA FROM TO IDS "\r\n",
        START FROM TO IDS "\r\n",
        START VIA TO IDS "\r\n",
        START VIA FROM IDS "\r\n",
        START VIA FROM TO "Call-ID: c1\r\n\r\n",
        START VIA FROM TO "CSeq: 42 INVITE\r\n\r\n",
        START VIA FROM TO IDS,
        START VIA FROM TO IDS "\r",
        START VIA FROM TO IDS "\rx",
        START VIA FROM TO IDS "Subject: a\r\n b\r\n\r\n",
        START VIA FROM TO IDS "Subject: a\tb\r\n\r\n",
        START VIA FROM TO IDS "Subject: a\rb\r\n\r\n",
        START VIA FROM TO IDS "Subject: a\nb\r\n\r\n",
        START VIA FROM TO TO IDS "\r\n",
        START VIA FROM FROM TO IDS "\r\n",
        START VIA FROM TO IDS "i: c2\r\n\r\n",
        START VIA FROM TO IDS "CSeq: 42 INVITE\r\n\r\n",
        START "Via: a, b\r\n" FROM TO IDS "\r\n",
        START "Via:\r\n" FROM TO IDS "\r\n",
        START "v:a\r\nv:b\r\nv:c\r\nv:d\r\nv:e\r\nv:f\r\nv:g\r\nv:h\r\nv:i\r\n" FROM TO IDS "\r\n",
        START VIA "From: sip:a@example.com;tag=1\r\n" TO IDS "\r\n",
        START VIA FROM "To: <sip:bob@example.com>;x=\">\"\r\n" IDS "\r\n",
        START VIA FROM TO "Call-ID: c1\r\nCSeq: 42 ACK\r\n\r\n",
        START VIA FROM TO "Call-ID: c1\r\nCSeq: x INVITE\r\n\r\n",
        START VIA FROM TO "Call-ID: c1\r\nCSeq: 2147483648 INVITE\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (has_outline(others[i]))
            fail_msg("has an outline: %s", others[i]);
}

/* Cut anywhere it has none, and nothing beyond the cut is read. */
static void a_part_of_one_has_none(void **state)
{
    (void)state;
    static const char whole[] = START VIA FROM TO IDS "\r\n";
    for (size_t len = 0; len < sizeof(whole) - 1; len++) {
        char *copy = malloc(len > 0 ? len : 1);
        struct sip_outline o;
        assert_non_null(copy);
        memcpy(copy, whole, len);
        assert_false(sip_outline_read(slice_make(copy, len), &o));
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_request_has_one),
        cmocka_unit_test(compact_names_and_any_case_are_plain),
        cmocka_unit_test(what_is_not_plain_has_none),
        cmocka_unit_test(a_part_of_one_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
