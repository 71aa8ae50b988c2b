#include "support.h"

#include "sip/uri.h"

struct good_uri {
    const char *text;
    enum sip_scheme scheme;
    const char *user, *password, *host, *params, *headers; /* NULL: absent */
    uint16_t port;
    bool lr;
    enum sip_transport transport;
    const char *maddr;
};

static const struct good_uri good_uris[] = {
    /* The examples of section 19.1.3. */
    {"sip:alice@atlanta.com", SIP_SCHEME_SIP, "alice", NULL, "atlanta.com", NULL, NULL, 0, false, 0, NULL},
    {"sip:alice:secretword@atlanta.com;transport=tcp", SIP_SCHEME_SIP, "alice", "secretword", "atlanta.com",
     "transport=tcp", NULL, 0, false, SIP_TRANSPORT_TCP, NULL},
    {"sips:alice@atlanta.com?subject=project%20x&priority=urgent", SIP_SCHEME_SIPS, "alice", NULL,
     "atlanta.com", NULL, "subject=project%20x&priority=urgent", 0, false, 0, NULL},
    {"sip:+1-212-555-1212:1234@gateway.com;user=phone", SIP_SCHEME_SIP, "+1-212-555-1212", "1234",
     "gateway.com", "user=phone", NULL, 0, false, 0, NULL},
    {"sips:1212@gateway.com", SIP_SCHEME_SIPS, "1212", NULL, "gateway.com", NULL, NULL, 0, false, 0, NULL},
    {"sip:alice@192.0.2.4", SIP_SCHEME_SIP, "alice", NULL, "192.0.2.4", NULL, NULL, 0, false, 0, NULL},
    {"sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com", SIP_SCHEME_SIP, NULL, NULL, "atlanta.com",
     "method=REGISTER", "to=alice%40atlanta.com", 0, false, 0, NULL},
    {"sip:alice;day=tuesday@atlanta.com", SIP_SCHEME_SIP, "alice;day=tuesday", NULL, "atlanta.com", NULL,
     NULL, 0, false, 0, NULL},
    /* RFC 4475 sections 3.1.1.2, 3.1.1.3, 3.1.1.4, 3.1.1.9. */
    {"sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/"
     ";;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com",
     SIP_SCHEME_SIP, "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*",
     "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)", "example.com", NULL, NULL, 0, false, 0, NULL},
    {"sip:sips%3Auser%40example.com@example.net", SIP_SCHEME_SIP, "sips%3Auser%40example.com", NULL,
     "example.net", NULL, NULL, 0, false, 0, NULL},
    {"sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31", SIP_SCHEME_SIP, "cal%6Cer", NULL,
     "host5.example.net", "%6C%72;n%61me=v%61lue%25%34%31", NULL, 0, true, 0, NULL},
    {"sip:%00%00@host5.example.com", SIP_SCHEME_SIP, "%00%00", NULL, "host5.example.com", NULL, NULL, 0,
     false, 0, NULL},
    {"sip:user;par=u%40example.net@example.com", SIP_SCHEME_SIP, "user;par=u%40example.net", NULL,
     "example.com", NULL, NULL, 0, false, 0, NULL},
    /* RFC 5118 sections 4.1 to 4.4, 4.10. */
    {"sip:[2001:db8::10]", SIP_SCHEME_SIP, NULL, NULL, "[2001:db8::10]", NULL, NULL, 0, false, 0, NULL},
    {"sip:[2001:db8::10:5070]", SIP_SCHEME_SIP, NULL, NULL, "[2001:db8::10:5070]", NULL, NULL, 0, false, 0,
     NULL},
    {"sip:[2001:db8::10]:5070", SIP_SCHEME_SIP, NULL, NULL, "[2001:db8::10]", NULL, NULL, 5070, false, 0,
     NULL},
    {"sip:user@[2001:db8:::192.0.2.1]", SIP_SCHEME_SIP, "user", NULL, "[2001:db8:::192.0.2.1]", NULL, NULL, 0,
     false, 0, NULL},
    /* The scheme and the parameter names are read in any case; lr may have a value. */
    {"SIP:a@b:1;LR;Transport=WSS;maddr=[::1]", SIP_SCHEME_SIP, "a", NULL, "b", "LR;Transport=WSS;maddr=[::1]",
     NULL, 1, true, SIP_TRANSPORT_WSS, "[::1]"},
    {"sIpS:b:65535;lr=on", SIP_SCHEME_SIPS, NULL, NULL, "b", "lr=on", NULL, 65535, true, 0, NULL},
    {"sip:b;transport=carrier-pigeon", SIP_SCHEME_SIP, NULL, NULL, "b", "transport=carrier-pigeon", NULL, 0,
     false, SIP_TRANSPORT_OTHER, NULL},
    {"sip:a:@b", SIP_SCHEME_SIP, "a", "", "b", NULL, NULL, 0, false, 0, NULL},
    {"sip:b?a=&c=d", SIP_SCHEME_SIP, NULL, NULL, "b", NULL, "a=&c=d", 0, false, 0, NULL},
};

static void check_optional(struct slice got, const char *expected, struct slice input)
{
    check_that(slice_is_null(got) == (expected == NULL), input);
    check_slice(got, cstr(expected), input);
}

static void sip_uris_fall_into_their_components_19_1(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(good_uris); i++) {
        const struct good_uri *row = &good_uris[i];
        struct guarded g = guarded_copy(cstr(row->text));
        struct sip_uri uri;
        check_that(sip_uri_parse(g.copy, &uri) == 0, g.copy);
        check_slice(uri.text, g.copy, g.copy);
        check_that(uri.scheme == row->scheme, g.copy);
        check_optional(uri.user, row->user, g.copy);
        check_optional(uri.password, row->password, g.copy);
        check_optional(uri.host, row->host, g.copy);
        check_optional(uri.params, row->params, g.copy);
        check_optional(uri.headers, row->headers, g.copy);
        check_optional(uri.maddr, row->maddr, g.copy);
        check_that(uri.port == row->port, g.copy);
        check_that(uri.lr == row->lr, g.copy);
        check_that(uri.transport == row->transport, g.copy);
        guarded_free(&g);
    }
}

static const char *const bad_uris[] = {
    "",
    ":",
    "sip",
    "sip:",
    "sips:",
    "1sip:a",
    "@",
    "bob@example.com",
    " sip:b",
    "sip:b ",
    "<sip:b>",
    /* "If the @ sign is present in a SIP or SIPS URI, the user field MUST NOT be empty." */
    "sip:@b",
    "sip::pw@b",
    "sip:a@",
    "sip:a@b@c",
    "sip:a:b:c@d",
    "sip:a b@c",
    "sip:a@b c",
    "sip:a\"b@c",
    "sip:a#b@c",
    "sip:a<@c",
    "sip:a[b]@c",
    "sip:\xc3\xa9@c",
    /* Escapes: CVE-2022-31002 was a URI that ends in the middle of one. */
    "sip:a%@b",
    "sip:a%4@b",
    "sip:a%4x@b",
    "sip:a%",
    "sip:a%4",
    "sip:%",
    "sip:b;a=%",
    "sip:b;a=%1",
    "sip:b?a=%2",
    "sip:a:%@b",
    "sip:%62",
    /* Ports. */
    "sip:b:",
    "sip:b:0",
    "sip:b:65536",
    "sip:b:x",
    "sip:b:5060x",
    "sip:b:-1",
    "sip:b:99999999999999999999",
    /* Hosts; the second is RFC 5118 section 4.2. */
    "sip:a..b",
    "sip:2001:db8::10",
    "sip:[2001:db8::10",
    "sip:user@2001:db8::1",
    "sip:192.0.2.300",
    "sip:b;x@",
    /* Parameters and headers. */
    "sip:b;",
    "sip:b;;a",
    "sip:b;=c",
    "sip:b;a=",
    "sip:b;a;",
    "sip:b;a=b=c",
    "sip:b;a=\"c\"",
    "sip:b;a, b",
    "sip:b; lr",
    "sip:b;transport",
    "sip:b;maddr",
    "sip:b?",
    "sip:b?a",
    "sip:b?=c",
    "sip:b?a=b&",
    "sip:b?a=b;c",
    "sip:b?a=b?&",
    "sip:b?a=b=c",
    /* "any given parameter-name MUST NOT appear more than once" */
    "sip:b;transport=udp;transport=tcp",
    "sip:b;maddr=c;maddr=d",
    "sip:b;transport=udp;t%72ansport=tcp",
    /* Other schemes: no white space, no delimiters, not empty. */
    "tel:",
    "tel:+1 2",
    "http:<x>",
    "mailto:a\"b",
    "isbn:\x7f",
};

static void what_breaks_the_grammar_is_refused_and_nothing_is_returned(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(bad_uris); i++) {
        struct guarded g = guarded_copy(cstr(bad_uris[i]));
        struct sip_uri uri = {.port = 4711};
        check_that(sip_uri_parse(g.copy, &uri) == ERR_SYNTAX, g.copy);
        check_that(uri.port == 4711 && uri.text.ptr == NULL, g.copy);
        guarded_free(&g);
    }
    struct sip_uri uri;
    assert_int_equal(sip_uri_parse(SLICE("sip:a\0b@c"), &uri), ERR_SYNTAX);
    assert_int_equal(sip_uri_parse(SLICE_NULL, &uri), ERR_SYNTAX);
}

static void of_another_scheme_only_the_scheme_is_known(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum sip_scheme scheme;
        const char *scheme_text;
    } rows[] = {
        {"tel:+358-555-1234567;postd=pp22", SIP_SCHEME_TEL, "tel"},
        {"Tel:112", SIP_SCHEME_TEL, "Tel"},
        {"isbn:2983792873", SIP_SCHEME_OTHER, "isbn"},
        {"soap.beep://192.0.2.103:3002", SIP_SCHEME_OTHER, "soap.beep"},
        {"nobodyKnowsThisScheme:totallyopaquecontent", SIP_SCHEME_OTHER, "nobodyKnowsThisScheme"},
        {"http://www.example.com/?a=<b", SIP_SCHEME_OTHER, NULL},
        {"sipx:a@b@c", SIP_SCHEME_OTHER, "sipx"},
        {"urn:service:sos", SIP_SCHEME_OTHER, "urn"},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct sip_uri uri;
        int rc = sip_uri_parse(cstr(rows[i].text), &uri);
        check_that(rc == (rows[i].scheme_text ? 0 : ERR_SYNTAX), cstr(rows[i].text));
        if (rc < 0)
            continue;
        check_that(uri.scheme == rows[i].scheme, cstr(rows[i].text));
        check_slice(uri.scheme_text, cstr(rows[i].scheme_text), cstr(rows[i].text));
        check_that(slice_is_null(uri.host) && slice_is_null(uri.params), cstr(rows[i].text));
    }
}

/* Nothing is read behind the end, whatever the end. */
static void every_prefix_of_a_uri_is_safe(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(good_uris); i++) {
        struct slice text = cstr(good_uris[i].text);
        for (size_t len = 0; len <= text.len; len++) {
            struct guarded g = guarded_copy(slice_sub(text, 0, len));
            struct sip_uri uri;
            int rc = sip_uri_parse(g.copy, &uri);
            check_that(rc == 0 || rc == ERR_SYNTAX, g.copy);
            guarded_free(&g);
        }
    }
}

static void parameters_are_found_by_name(void **state)
{
    (void)state;
    struct sip_uri uri;
    struct slice value = SLICE("untouched");
    assert_int_equal(sip_uri_parse(SLICE("sip:b;ob;Expires=5;%6Cr;x=a%3Bb"), &uri), 0);
    assert_true(sip_uri_param(&uri, SLICE("expires"), &value));
    assert_slice(value, "5");
    assert_true(sip_uri_param(&uri, SLICE("OB"), &value));
    assert_int_equal(value.len, 0);
    assert_false(slice_is_null(value));
    assert_true(sip_uri_param(&uri, SLICE("lr"), &value));
    assert_true(sip_uri_param(&uri, SLICE("x"), &value));
    assert_slice(value, "a%3Bb");
    value = SLICE("untouched");
    assert_false(sip_uri_param(&uri, SLICE("ob2"), &value));
    assert_false(sip_uri_param(&uri, SLICE("o"), &value));
    assert_slice(value, "untouched");
    assert_int_equal(sip_uri_parse(SLICE("sip:b"), &uri), 0);
    assert_false(sip_uri_param(&uri, SLICE("lr"), &value));
    assert_int_equal(sip_uri_parse(SLICE("tel:1;x=y"), &uri), 0);
    assert_false(sip_uri_param(&uri, SLICE("x"), &value));
}

static void the_port_to_use_is_the_default_of_scheme_and_transport_19_1_2(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint16_t port;
    } rows[] = {
        {"sip:b", 5060},
        {"sip:b:7", 7},
        {"sip:b;transport=tcp", 5060},
        {"sip:b;transport=sctp", 5060},
        {"sip:b;transport=tls", 5061},
        {"sips:b", 5061},
        {"sips:b;transport=tcp", 5061},
        {"sips:b:5060", 5060},
        {"sip:b;transport=ws", 80},
        {"sip:b;transport=wss", 443},
        {"sips:b;transport=ws", 443},
        {"sip:b;transport=other", 5060},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct sip_uri uri;
        check_that(sip_uri_parse(cstr(rows[i].text), &uri) == 0, cstr(rows[i].text));
        check_that(sip_uri_effective_port(&uri) == rows[i].port, cstr(rows[i].text));
    }
}

static void names_under_invalid_lead_nowhere_6761_6_4(void **state)
{
    static const char *const yes[] = {"invalid", "df7jal23ls0d.invalid", "A.B.INVALID", "a.invalid."};
    static const char *const no[] = {"", ".", "a", "invalid.example", "ainvalid", "a.invalid.b", "192.0.2.1"};
    (void)state;
    for (size_t i = 0; i < ROWS(yes); i++)
        check_that(sip_host_is_invalid(cstr(yes[i])), cstr(yes[i]));
    for (size_t i = 0; i < ROWS(no); i++)
        check_that(!sip_host_is_invalid(cstr(no[i])), cstr(no[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sip_uris_fall_into_their_components_19_1),
        cmocka_unit_test(what_breaks_the_grammar_is_refused_and_nothing_is_returned),
        cmocka_unit_test(of_another_scheme_only_the_scheme_is_known),
        cmocka_unit_test(every_prefix_of_a_uri_is_safe),
        cmocka_unit_test(parameters_are_found_by_name),
        cmocka_unit_test(the_port_to_use_is_the_default_of_scheme_and_transport_19_1_2),
        cmocka_unit_test(names_under_invalid_lead_nowhere_6761_6_4),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
