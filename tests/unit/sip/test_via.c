#include "support.h"

struct good_via {
    const char *text;
    enum sip_transport transport;
    const char *host;
    uint16_t port;
    const char *params, *branch, *received, *maddr, *ttl, *rport_text; /* NULL: absent */
    uint16_t rport;
};

static const struct good_via good[] = {
    {"SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bK776asdhds", SIP_TRANSPORT_UDP, "pc33.atlanta.com", 0,
     ";branch=z9hG4bK776asdhds", "z9hG4bK776asdhds", NULL, NULL, NULL, NULL, 0},
    /* The examples of section 20.42. */
    {"SIP/2.0/UDP 192.0.2.1:5060 ;received=192.0.2.207\r\n     ;branch=z9hG4bK77asjd", SIP_TRANSPORT_UDP,
     "192.0.2.1", 5060, ";received=192.0.2.207\r\n     ;branch=z9hG4bK77asjd", "z9hG4bK77asjd", "192.0.2.207",
     NULL, NULL, NULL, 0},
    {"SIP / 2.0 / UDP first.example.com: 4000;ttl=16\r\n  ;maddr=224.2.0.1 ;branch=z9hG4bKa7c6a8dlze.1",
     SIP_TRANSPORT_UDP, "first.example.com", 4000,
     ";ttl=16\r\n  ;maddr=224.2.0.1 ;branch=z9hG4bKa7c6a8dlze.1", "z9hG4bKa7c6a8dlze.1", NULL, "224.2.0.1",
     "16", NULL, 0},
    /* RFC 4475 sections 3.1.1.1 and 3.1.1.2, 3.2.1, 3.4.1. */
    {"SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=390skdjuw", SIP_TRANSPORT_UDP, "192.0.2.2", 0,
     ";branch=390skdjuw", "390skdjuw", NULL, NULL, NULL, NULL, 0},
    {"SIP  / 2.0  / TCP     spindle.example.com   ;\r\n  branch  =   z9hG4bK9ikj8", SIP_TRANSPORT_TCP,
     "spindle.example.com", 0, ";\r\n  branch  =   z9hG4bK9ikj8", "z9hG4bK9ikj8", NULL, NULL, NULL, NULL, 0},
    {"SIP/2.0/TCP host1.example.com;branch=z9hG4bK-.!%66*_+`'~", SIP_TRANSPORT_TCP, "host1.example.com", 0,
     ";branch=z9hG4bK-.!%66*_+`'~", "z9hG4bK-.!%66*_+`'~", NULL, NULL, NULL, NULL, 0},
    {"SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK", SIP_TRANSPORT_UDP, "192.0.2.1", 0, ";branch=z9hG4bK", "z9hG4bK",
     NULL, NULL, NULL, NULL, 0},
    {"SIP/2.0/UDP iftgw.example.com", SIP_TRANSPORT_UDP, "iftgw.example.com", 0, "", NULL, NULL, NULL, NULL,
     NULL, 0},
    {"SIP/2.0/UNKNOWN t4.example.com;branch=x", SIP_TRANSPORT_OTHER, "t4.example.com", 0, ";branch=x", "x",
     NULL, NULL, NULL, NULL, 0},
    {"SIP/7.0/UDP c.example.com;branch=x", SIP_TRANSPORT_UDP, "c.example.com", 0, ";branch=x", "x", NULL,
     NULL, NULL, NULL, 0},
    /* RFC 5118 section 4.5. */
    {"SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255];branch=x", SIP_TRANSPORT_UDP, "[2001:db8::9:1]",
     0, ";received=[2001:db8::9:255];branch=x", "x", "[2001:db8::9:255]", NULL, NULL, NULL, 0},
    {"SIP/2.0/UDP [2001:db8::9:1]:6050;received=2001:db8::9:255;branch=x", SIP_TRANSPORT_UDP,
     "[2001:db8::9:1]", 6050, ";received=2001:db8::9:255;branch=x", "x", "2001:db8::9:255", NULL, NULL, NULL,
     0},
    /* RFC 3581. */
    {"SIP/2.0/UDP 10.1.1.1:4540;rport;branch=z9hG4bKkjshdyff", SIP_TRANSPORT_UDP, "10.1.1.1", 4540,
     ";rport;branch=z9hG4bKkjshdyff", "z9hG4bKkjshdyff", NULL, NULL, NULL, ";rport", 0},
    {"SIP/2.0/UDP 10.1.1.1;branch=x ; RPORT = 9988 ;received=192.0.2.1", SIP_TRANSPORT_UDP, "10.1.1.1", 0,
     ";branch=x ; RPORT = 9988 ;received=192.0.2.1", "x", "192.0.2.1", NULL, NULL, "; RPORT = 9988", 9988},
    {"SIP/2.0/UDP a;rport=", SIP_TRANSPORT_UDP, "a", 0, ";rport=", NULL, NULL, NULL, NULL, ";rport=", 0},
    /* White space behind an empty value is part of nothing. */
    {"SIP/2.0/UDP a;rport= ;branch=x", SIP_TRANSPORT_UDP, "a", 0, ";rport= ;branch=x", "x", NULL, NULL, NULL,
     ";rport=", 0},
    {"SIP/2.0/wss df7jal23ls0d.invalid;branch=x;alias;keep=1;x=\"a;b\"", SIP_TRANSPORT_WSS,
     "df7jal23ls0d.invalid", 0, ";branch=x;alias;keep=1;x=\"a;b\"", "x", NULL, NULL, NULL, NULL, 0},
};

static void check_optional(struct slice got, const char *expected, struct slice input)
{
    check_that(slice_is_null(got) == (expected == NULL), input);
    check_slice(got, cstr(expected), input);
}

static void a_via_falls_into_its_parts_20_42(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(good); i++) {
        struct guarded g = guarded_copy(cstr(good[i].text));
        struct sip_via via;
        check_that(sip_via_parse(g.copy, &via) == 0, g.copy);
        check_slice(via.text, g.copy, g.copy);
        check_that(via.transport == good[i].transport, g.copy);
        check_slice(via.host, cstr(good[i].host), g.copy);
        check_that(via.port == good[i].port, g.copy);
        check_slice(via.params, cstr(good[i].params), g.copy);
        check_optional(via.branch, good[i].branch, g.copy);
        check_optional(via.received, good[i].received, g.copy);
        check_optional(via.maddr, good[i].maddr, g.copy);
        check_optional(via.ttl, good[i].ttl, g.copy);
        check_optional(via.rport_text, good[i].rport_text, g.copy);
        check_that(via.has_rport == (good[i].rport_text != NULL), g.copy);
        check_that(via.rport == good[i].rport, g.copy);
        guarded_free(&g);
    }
}

static void positions_in_the_element_are_where_edits_go(void **state)
{
    (void)state;
    struct slice text = SLICE("SIP/2.0/UDP a  ;rport");
    struct sip_via via;
    assert_int_equal(sip_via_parse(text, &via), 0);
    assert_ptr_equal(via.params.ptr, text.ptr + 15);
    assert_ptr_equal(via.rport_text.ptr, text.ptr + 15);
    text = SLICE("SIP/2.0/UDP a:1");
    assert_int_equal(sip_via_parse(text, &via), 0);
    assert_ptr_equal(via.params.ptr, text.ptr + text.len);
    assert_int_equal(via.params.len, 0);
}

static const char *const bad[] = {
    "",
    "SIP",
    "SIP/2.0",
    "SIP/2.0/",
    "SIP/2.0/UDP",
    "SIP/2.0/UDP ",
    "SIP/2.0/UDP;branch=x",
    "SIP/2.0 UDP a",
    "SIP//UDP a",
    "/2.0/UDP a",
    "SIP/2.0/UDPa",
    "SIP/2.0/UDP[::1]",
    "SIP/2.0/UDP a b",
    "SIP/2.0/UDP a:",
    "SIP/2.0/UDP a:0",
    "SIP/2.0/UDP a:65536",
    "SIP/2.0/UDP a:x",
    "SIP/2.0/UDP :5060",
    "SIP/2.0/UDP 2001:db8::1",
    "SIP/2.0/UDP [::1",
    "SIP/2.0/UDP a;",
    "SIP/2.0/UDP 192.0.2.15;;", /* RFC 4475 section 3.1.2.1 */
    "SIP/2.0/UDP a;branch",
    "SIP/2.0/UDP a;branch=",
    "SIP/2.0/UDP a;branch=\"x\"",
    "SIP/2.0/UDP a;branch=x y",
    "SIP/2.0/UDP a;branch=x;branch=y",
    "SIP/2.0/UDP a;branch=x/y",
    "SIP/2.0/UDP a;branch=x@y",
    "SIP/2.0/UDP a;rport=x",
    "SIP/2.0/UDP a;rport=0",
    "SIP/2.0/UDP a;rport=65536",
    "SIP/2.0/UDP a;rport=1x",
    "SIP/2.0/UDP a;rport;rport",
    "SIP/2.0/UDP a;received=",
    "SIP/2.0/UDP a;received=1.1.1.1;received=2.2.2.2",
    "SIP/2.0/UDP a;maddr",
    "SIP/2.0/UDP a;ttl",
    "SIP/2.0/UDP a;x=\"",
    "SIP/2.0/UDP a, SIP/2.0/UDP b",
    "SIP/2.0/UD~PTo :::]", /* a crash elsewhere once */
    "\tSIP/2.0/UDP\x01 a",
};

static void what_is_no_via_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(bad); i++) {
        struct guarded g = guarded_copy(cstr(bad[i]));
        struct sip_via via = {.port = 4711};
        check_that(sip_via_parse(g.copy, &via) == ERR_SYNTAX, g.copy);
        check_that(via.port == 4711 && slice_is_null(via.text), g.copy);
        guarded_free(&g);
    }
}

static void the_first_of_a_list_ends_at_its_comma_7_3_1(void **state)
{
    static const struct {
        const char *value, *text, *params, *rest;
    } rows[] = {
        {"SIP/2.0/UDP a;x=\"b, SIP/2.0/UDP\";branch=z9hG4bK1 , SIP/2.0/UDP c",
         "SIP/2.0/UDP a;x=\"b, SIP/2.0/UDP\";branch=z9hG4bK1", ";x=\"b, SIP/2.0/UDP\";branch=z9hG4bK1",
         ", SIP/2.0/UDP c"},
        {"SIP/2.0/UDP a:5061 ,b", "SIP/2.0/UDP a:5061", "", ",b"},
        {" SIP/2.0/TCP a\r\n ;ttl=1\r\n ,", "SIP/2.0/TCP a\r\n ;ttl=1", ";ttl=1", ","},
        {"SIP/2.0/TLS a;rport", "SIP/2.0/TLS a;rport", ";rport", ""},
        {"SIP/2.0/UDP a;rport= , SIP/2.0/UDP b", "SIP/2.0/UDP a;rport=", ";rport=", ", SIP/2.0/UDP b"},
        {"SIP/2.0/UDP a;x=\t\r\n ", "SIP/2.0/UDP a;x=", ";x=", ""},
    };
    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct guarded g = guarded_copy(cstr(rows[i].value));
        struct sip_via via;
        struct slice rest;
        check_that(sip_via_parse_first(g.copy, &via, &rest) == 0, g.copy);
        check_slice(via.text, cstr(rows[i].text), g.copy);
        check_slice(via.params, cstr(rows[i].params), g.copy);
        check_slice(rest, cstr(rows[i].rest), g.copy);
        guarded_free(&g);
    }
    for (size_t i = 0; i < ROWS(bad); i++) {
        struct guarded g = guarded_copy(cstr(bad[i]));
        struct sip_via via = {.port = 4711};
        struct slice rest = SLICE("as it was");
        int rc = sip_via_parse_first(g.copy, &via, &rest);
        check_that(rc == ERR_SYNTAX ? via.port == 4711 && slice_eq(rest, SLICE("as it was"))
                                    : rest.ptr[0] == ',',
                   g.copy);
        guarded_free(&g);
    }
}

static void every_prefix_is_safe(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(good); i++) {
        struct slice text = cstr(good[i].text);
        for (size_t len = 0; len < text.len; len++) {
            struct guarded g = guarded_copy(slice_sub(text, 0, len));
            struct sip_via via;
            int rc = sip_via_parse(g.copy, &via);
            check_that(rc == 0 || rc == ERR_SYNTAX, g.copy);
            guarded_free(&g);
        }
    }
}

static void the_head_is_read_whatever_follows(void **state)
{
    (void)state;
    struct sip_via via;
    assert_int_equal(sip_via_parse_head(SLICE("SIP/2.0/UDP 192.0.2.15:77;;,;,,"), &via), 0);
    assert_int_equal(via.transport, SIP_TRANSPORT_UDP);
    assert_slice(via.host, "192.0.2.15");
    assert_int_equal(via.addr.family, ADDR_IPV4);
    assert_int_equal(via.port, 77);
    assert_true(slice_is_null(via.branch));
    assert_int_equal(sip_via_parse_head(SLICE("SIP/2.0/UDP ;"), &via), ERR_SYNTAX);
    assert_int_equal(sip_via_parse_head(SLICE(""), &via), ERR_SYNTAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_via_falls_into_its_parts_20_42),
        cmocka_unit_test(positions_in_the_element_are_where_edits_go),
        cmocka_unit_test(what_is_no_via_is_refused),
        cmocka_unit_test(the_first_of_a_list_ends_at_its_comma_7_3_1),
        cmocka_unit_test(every_prefix_is_safe),
        cmocka_unit_test(the_head_is_read_whatever_follows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
