/* From a REGISTER message to what it asks: RFC 3261 sections 10.2, 10.3 and 20.10, RFC 3327, RFC 4475. */
#include "location/register.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define HEAD                                                                                                 \
    "REGISTER sip:example.com SIP/2.0\r\n"                                                                   \
    "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n"                                                         \
    "Max-Forwards: 70\r\n"                                                                                   \
    "From: <sip:alice@example.com>;tag=1\r\n"                                                                \
    "To: <sip:alice@example.com>\r\n"                                                                        \
    "Call-ID: c1@192.0.2.1\r\n"                                                                              \
    "CSeq: 17 REGISTER\r\n"

struct parsed {
    int rc;
    struct location_register reg;
    struct location_register_error error;
};

static struct arena_pool pool;
static struct arena arena;
static struct sip_msg msg;

static int set_up(void **state)
{
    (void)state;
    arena_pool_init(&pool, 1 << 20);
    arena_init(&arena, &pool);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_done(&arena);
    arena_pool_done(&pool);
    return 0;
}

static struct parsed parse(const char *headers)
{
    static char text[16384];
    struct sip_error error;
    struct parsed p = {0};

    snprintf(text, sizeof(text), HEAD "%sContent-Length: 0\r\n\r\n", headers);
    assert_int_equal(sip_msg_parse(slice_from_cstr(text), true, &sip_limits_default, &arena, &msg, &error),
                     0);
    p.rc = location_register_parse(&msg, &arena, &p.reg, &p.error);
    return p;
}

static void assert_text(struct slice got, const char *want)
{
    if (!slice_eq(got, slice_from_cstr(want)))
        fail_msg("%.*s, not %s", SLICE_ARG(got), want);
}

static void test_without_contact_it_only_asks(void **state)
{
    struct parsed p = parse("");

    (void)state;
    assert_int_equal(p.rc, 0);
    assert_int_equal(p.reg.n_contacts, 0);
    assert_false(p.reg.wildcard);
    assert_text(p.reg.call_id, "c1@192.0.2.1");
    assert_int_equal(p.reg.cseq, 17);
    assert_int_equal(p.reg.path.len, 0);
}

#define UNASKED (-1)

static const struct {
    const char *name, *headers;
    const char *uri, *params;
    unsigned q_milli;
    int64_t requested_s;
} good[] = {
    {"20.10: name-addr", "Contact: \"A \\\"B\" <sip:a@h;x=1>;q=0.7;expires=60\r\n", "sip:a@h;x=1", "", 700,
     60},
    {"20.10: addr-spec", "Contact: sip:a@h;expires=60\r\n", "sip:a@h", "", 1000, 60},
    {"20.10: compact form", "m: <sip:bob@192.0.2.4>;expires=60\r\n", "sip:bob@192.0.2.4", "", 1000, 60},
    {"10.3.7: the parameter counts before the header", "Expires: 7\r\nContact: <sip:a@h>;expires=60\r\n",
     "sip:a@h", "", 1000, 60},
    {"10.3.7: the header counts without a parameter", "Contact: <sip:a@h>\r\nExpires: 7\r\n", "sip:a@h", "",
     1000, 7},
    {"10.3.7: with neither the registrar chooses", "Contact: <sip:a@h>\r\n", "sip:a@h", "", 1000, UNASKED},
    {"10.2: a malformed parameter is 3600", "Contact: <sip:a@h>;expires=soon\r\n", "sip:a@h", "", 1000, 3600},
    {"10.2: a negative parameter is 3600", "Contact: <sip:a@h>;expires=-1\r\n", "sip:a@h", "", 1000, 3600},
    {"10.2: a parameter without value is 3600", "Contact: <sip:a@h>;expires\r\n", "sip:a@h", "", 1000, 3600},
    {"10.2: a malformed header is 3600", "Contact: <sip:a@h>\r\nExpires: Thu, 01 Dec 1994\r\n", "sip:a@h", "",
     1000, 3600},
    {"10.2: more than 2**32-1 is 2**32-1", "Contact: <sip:a@h>;expires=280297596632815\r\n", "sip:a@h", "",
     1000, 4294967295},
    {"19.1.4: parameter names without case", "Contact: <sip:a@h>;EXPIRES=60;Q=0.1\r\n", "sip:a@h", "", 100,
     60},
    {"20.10: other parameters are kept",
     "Contact: <sip:a@h>;+sip.instance=\"<urn:uuid:1;q=0>\";expires=60;reg-id=1;q=1.0\r\n", "sip:a@h",
     ";+sip.instance=\"<urn:uuid:1;q=0>\";reg-id=1", 1000, 60},
    {"7.3.1: folding becomes white space", "Contact: <sip:a@h>\r\n ;x=\"1\r\n 2\"\r\n\t;expires=60\r\n",
     "sip:a@h", ";x=\"1   2\"", 1000, 60},
    {"4475 3.3.12: not a parameter of the URI", "Contact: sip:+19725552222@gw1.example.net;unknownparam\r\n",
     "sip:+19725552222@gw1.example.net", ";unknownparam", 1000, UNASKED},
    {"4475 3.3.13: a parameter of the URI", "Contact: <sip:+19725552222@gw1.example.net;unknownparam>\r\n",
     "sip:+19725552222@gw1.example.net;unknownparam", "", 1000, UNASKED},
    {"4475 3.3.14: an escaped header", "M: <sip:user@example.com?Route=%3Csip:sip.example.com%3E>\r\n",
     "sip:user@example.com?Route=%3Csip:sip.example.com%3E", "", 1000, UNASKED},
    {"10.2.1: any scheme", "Contact: <mailto:watson@bell-telephone.com>;q=0.1\r\n",
     "mailto:watson@bell-telephone.com", "", 100, UNASKED},
    {"10.3: Record-Route is ignored", "Record-Route: <sip:evil.example;lr>\r\nContact: <sip:a@h>\r\n",
     "sip:a@h", "", 1000, UNASKED},
};

static void test_one_contact(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct parsed p = parse(good[i].headers);
        const struct location_contact *c = p.reg.contacts;

        if (p.rc != 0 || p.reg.n_contacts != 1)
            fail_msg("%s: %d, %zu contacts", good[i].name, p.rc, p.reg.n_contacts);
        assert_text(c->uri, good[i].uri);
        assert_text(c->params, good[i].params);
        assert_int_equal(c->q_milli, good[i].q_milli);
        assert_int_equal(c->has_requested, good[i].requested_s != UNASKED);
        if (c->has_requested)
            assert_int_equal(c->requested_s, good[i].requested_s);
    }
}

static void test_several_contacts_in_order(void **state)
{
    struct parsed p =
        parse("Contact: <sip:a@h>;expires=1, \"x, y\" <sip:b@h>\r\nExpires: 9\r\nm: sip:c@h;q=0.2\r\n");

    (void)state;
    assert_int_equal(p.rc, 0);
    assert_int_equal(p.reg.n_contacts, 3);
    assert_text(p.reg.contacts[0].uri, "sip:a@h");
    assert_int_equal(p.reg.contacts[0].requested_s, 1);
    assert_text(p.reg.contacts[1].uri, "sip:b@h");
    assert_int_equal(p.reg.contacts[1].requested_s, 9);
    assert_text(p.reg.contacts[2].uri, "sip:c@h");
    assert_int_equal(p.reg.contacts[2].q_milli, 200);
}

static void test_10_3_6_wildcard(void **state)
{
    struct parsed p = parse("Contact: *\r\nExpires: 0\r\n");

    (void)state;
    assert_int_equal(p.rc, 0);
    assert_true(p.reg.wildcard);
    assert_int_equal(p.reg.n_contacts, 0);
}

static void test_3327_5_3_path_in_order_over_all_lines(void **state)
{
    struct parsed p =
        parse("Supported: path\r\nPath: <sip:p3.example.com;lr>,\r\n <sip:p2.example.com;lr>;x=1\r\n"
              "Contact: <sip:a@h>\r\nPath: \"P1\" <sip:P1.EXAMPLEVISITED.COM;lr>\r\n");

    (void)state;
    assert_int_equal(p.rc, 0);
    assert_text(p.reg.path,
                "<sip:p3.example.com;lr>,<sip:p2.example.com;lr>;x=1,\"P1\" <sip:P1.EXAMPLEVISITED.COM;lr>");
}

static const struct {
    const char *name, *headers, *phrase;
} bad[] = {
    {"10.3.6: * and another", "Contact: *, <sip:a@h>\r\nExpires: 0\r\n", "Contact * Not Alone"},
    {"10.3.6: * twice", "Contact: *\r\nContact: *\r\nExpires: 0\r\n", "Contact * Not Alone"},
    {"10.3.6: * without Expires", "Contact: *\r\n", "Contact * Without Expires 0"},
    {"10.3.6: * with another Expires", "Contact: *\r\nExpires: 3600\r\n", "Contact * Without Expires 0"},
    {"10.3.6: * with a malformed Expires", "Contact: *\r\nExpires: zero\r\n", "Contact * Without Expires 0"},
    {"20.10: q above 1", "Contact: <sip:a@h>;q=1.1\r\n", "Bad q in Contact"},
    {"20.10: q with four digits", "Contact: <sip:a@h>;q=0.1234\r\n", "Bad q in Contact"},
    {"20.10: q is no number", "Contact: <sip:a@h>;q=high\r\n", "Bad q in Contact"},
    {"19.1.1: no URI", "Contact: None\r\n", "Bad Contact"},
    {"19.1.1: no host", "Contact: <sip:a@>\r\n", "Bad Contact"},
    {"19.1.1: port", "Contact: <sip:a@h:99999>\r\n", "Bad Contact"},
    {"20.10: no end", "Contact: <sip:a@h\r\n", "Bad Contact"},
    {"4475 3.1.2.13: ? outside of <>", "Contact: sip:user@example.com?Route=%3Csip:sip.example.com%3E\r\n",
     "Bad Contact"},
    {"5630 5.2: a SIPS contact, a SIP Request-URI", "Contact: <sips:a@b>\r\n", "SIPS Contact Beside SIP"},
    {"3327 4: a path value is a name-addr", "Path: sip:p.example.com;lr\r\n", "Bad Path"},
    {"3327 4: a path value has a SIP URI", "Path: <tel:+1>\r\n", "Bad Path"},
};

static void test_what_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct parsed p = parse(bad[i].headers);

        if (p.rc != ERR_SYNTAX || p.error.status != 400 || strcmp(p.error.phrase, bad[i].phrase) != 0)
            fail_msg("%s: %d %s", bad[i].name, p.rc, p.error.phrase ? p.error.phrase : "-");
    }
}

static void test_limits(void **state)
{
    static char text[8192];
    struct parsed p;
    size_t len = 0;

    (void)state;
    for (int i = 0; i <= LOCATION_CONTACTS_MAX; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "Contact: <sip:a%d@h>\r\n", i);
    p = parse(text);
    assert_int_equal(p.rc, ERR_LIMIT);
    assert_int_equal(p.error.status, 400);

    snprintf(text, sizeof(text), "Contact: <sip:%0*d@h>\r\n", LOCATION_URI_BYTES_MAX, 1);
    assert_int_equal(parse(text).rc, ERR_LIMIT);
    snprintf(text, sizeof(text), "Contact: <sip:a@h>;x=%0*d\r\n", LOCATION_PARAMS_BYTES_MAX, 1);
    assert_int_equal(parse(text).rc, ERR_LIMIT);
    snprintf(text, sizeof(text), "Path: <sip:%0*d@h>\r\n", LOCATION_PATH_BYTES_MAX, 1);
    assert_int_equal(parse(text).rc, ERR_LIMIT);
}

static void test_without_memory(void **state)
{
    struct arena_pool none;
    struct arena empty;
    struct location_register reg;
    struct location_register_error error;

    (void)state;
    assert_int_equal(parse("Contact: <sip:a@h>;x\r\nPath: <sip:p;lr>\r\n").rc, 0);
    arena_pool_init(&none, 0);
    arena_init(&empty, &none);
    assert_int_equal(location_register_parse(&msg, &empty, &reg, &error), ERR_NOMEM);
    arena_done(&empty);
    arena_pool_done(&none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_without_contact_it_only_asks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_contact, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_several_contacts_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_10_3_6_wildcard, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_3327_5_3_path_in_order_over_all_lines, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_limits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_without_memory, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
