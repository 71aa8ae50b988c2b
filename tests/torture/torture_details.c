/* torture_details DIR: what each well-formed message of RFC 4475 and RFC 5118 is there to say, read out of
 * it. */
#include "torture_file.h"

static const char *dir;

struct bench {
    struct torture_file file;
    struct memory memory;
    struct sip_msg msg;
};

static void open_message(struct bench *b, const char *name)
{
    struct sip_error error = {0};
    b->file = torture_file_read(dir, name);
    memory_init(&b->memory);
    parse_good(&b->memory, b->file.bytes, &b->msg);
    if (sip_msg_check(&b->msg, &error) < 0)
        fail_msg("%s: %s", name, error.phrase);
}

static void close_message(struct bench *b)
{
    memory_done(&b->memory);
    torture_file_done(&b->file);
}

static struct slice nth(const struct sip_msg *msg, enum sip_hdr_id id, unsigned n)
{
    struct sip_values it = sip_values_of(msg, id);
    struct slice element = SLICE_NULL;
    for (unsigned i = 0; i <= n; i++) {
        if (sip_values_next(&it, &element) < 0)
            return SLICE_NULL;
    }
    return element;
}

static unsigned count(const struct sip_msg *msg, enum sip_hdr_id id)
{
    unsigned n = 0;
    while (!slice_is_null(nth(msg, id, n)))
        n++;
    return n;
}

static struct sip_uri contact_uri(const struct sip_msg *msg, unsigned n, struct slice *ret_params)
{
    struct sip_name_addr na;
    struct sip_uri uri;
    assert_int_equal(sip_name_addr_parse(nth(msg, SIP_HDR_CONTACT, n), &na), 0);
    assert_int_equal(sip_uri_parse(na.uri_text, &uri), 0);
    *ret_params = na.params;
    return uri;
}

static const struct sip_uri *ruri_of(struct bench *b)
{
    const struct sip_uri *uri;
    assert_int_equal(sip_msg_ruri(&b->msg, &uri), 0);
    return uri;
}

static const struct sip_via *top_via_of(struct bench *b)
{
    const struct sip_via *via;
    assert_int_equal(sip_msg_top_via(&b->msg, &via), 0);
    return via;
}

static void wsinv_3_1_1_1(void **state)
{
    struct bench b;
    const struct sip_name_addr *from;
    const struct sip_cseq *cseq;
    uint32_t max_forwards;
    unsigned q;
    struct sip_via via;
    struct sip_name_addr contact;
    (void)state;
    open_message(&b, "rfc4475/wsinv.dat");
    assert_slice(sip_msg_to_tag(&b.msg), "1918181833n");
    assert_int_equal(sip_msg_from(&b.msg, &from), 0);
    assert_slice(from->display, "\"J Rosenberg \\\\\\\"\"");
    assert_slice(sip_msg_from_tag(&b.msg), "98asjd8");
    assert_int_equal(sip_msg_u32(&b.msg, SIP_HDR_MAX_FORWARDS, &max_forwards), 0);
    assert_int_equal(max_forwards, 68);
    assert_int_equal(sip_msg_cseq(&b.msg, &cseq), 0);
    assert_int_equal(cseq->number, 9);
    assert_int_equal(count(&b.msg, SIP_HDR_VIA), 3);
    assert_slice(top_via_of(&b)->host, "192.0.2.2");
    assert_slice(top_via_of(&b)->branch, "390skdjuw");
    assert_int_equal(sip_via_parse(nth(&b.msg, SIP_HDR_VIA, 2), &via), 0);
    assert_slice(via.host, "192.168.255.111");
    assert_slice(via.branch, "z9hG4bK30239");
    assert_int_equal(sip_msg_value(&b.msg, SIP_HDR_SUBJECT).len, 0);
    assert_true(sip_msg_has(&b.msg, SIP_HDR_SUBJECT));
    assert_slice(sip_hdr_value(&b.msg, &b.msg.hdrs[9]), ";;,,;;,;");
    assert_int_equal(b.msg.hdrs[9].id, SIP_HDR_OTHER);
    assert_int_equal(sip_name_addr_parse(nth(&b.msg, SIP_HDR_CONTACT, 0), &contact), 0);
    assert_slice(contact.display, "\"Quoted string \\\"\\\"\"");
    assert_int_equal(sip_param_q(contact.params, &q), 0);
    assert_int_equal(q, 330);
    assert_int_equal(b.msg.body_len, 150);
    close_message(&b);
}

static void intmeth_3_1_1_2(void **state)
{
    struct bench b;
    const struct sip_name_addr *to, *from;
    (void)state;
    open_message(&b, "rfc4475/intmeth.dat");
    assert_slice(b.msg.method_name, "!interesting-Method0123456789_*+`.%indeed'~");
    assert_int_equal(b.msg.method, SIP_METHOD_OTHER);
    assert_slice(ruri_of(&b)->user, "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*");
    assert_slice(ruri_of(&b)->host, "example.com");
    assert_slice(top_via_of(&b)->branch, "z9hG4bK-.!%66*_+`'~");
    assert_int_equal(sip_msg_to(&b.msg, &to), 0);
    check_slice(to->display, slice_make("\"BEL:\\\x07 NUL:\\\0 DEL:\\\x7f\"", 22), SLICE("intmeth"));
    assert_int_equal(sip_msg_from(&b.msg, &from), 0);
    assert_slice(from->display, "token1~` token2'+_ token3*%!.-");
    assert_slice(sip_msg_from_tag(&b.msg), "_token~1'+`*%!-.");
    assert_slice(sip_msg_call_id(&b.msg), "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{");
    close_message(&b);
}

static void esc01_3_1_1_3(void **state)
{
    struct bench b;
    struct slice params, value;
    const struct sip_name_addr *to;
    struct sip_uri uri, plain;
    (void)state;
    open_message(&b, "rfc4475/esc01.dat");
    assert_slice(ruri_of(&b)->user, "sips%3Auser%40example.com");
    assert_int_equal(ruri_of(&b)->scheme, SIP_SCHEME_SIP);
    assert_int_equal(sip_msg_to(&b.msg, &to), 0);
    assert_int_equal(sip_uri_parse(to->uri_text, &uri), 0);
    assert_int_equal(sip_uri_parse(SLICE("sip:user@example.com"), &plain), 0);
    assert_true(sip_uri_eq(&uri, &plain));
    uri = contact_uri(&b.msg, 0, &params);
    assert_true(uri.lr);
    assert_true(sip_uri_param(&uri, SLICE("name"), &value));
    assert_slice(value, "v%61lue%25%34%31");
    assert_int_equal(sip_uri_parse(SLICE("sip:caller@host5.example.net;lr;name=value%2541"), &plain), 0);
    assert_true(sip_uri_eq(&uri, &plain));
    close_message(&b);
}

static void escnull_3_1_1_4(void **state)
{
    struct bench b;
    struct slice params;
    (void)state;
    open_message(&b, "rfc4475/escnull.dat");
    struct sip_uri one = contact_uri(&b.msg, 0, &params), two = contact_uri(&b.msg, 1, &params);
    assert_slice(one.user, "%00");
    assert_slice(two.user, "%00%00");
    assert_false(sip_uri_eq(&one, &two));
    close_message(&b);
}

static void esc02_3_1_1_5(void **state)
{
    struct bench b;
    (void)state;
    open_message(&b, "rfc4475/esc02.dat");
    assert_slice(b.msg.method_name, "RE%47IST%45R");
    assert_int_equal(b.msg.method, SIP_METHOD_OTHER);
    assert_int_equal(count(&b.msg, SIP_HDR_CONTACT), 2);
    assert_slice(nth(&b.msg, SIP_HDR_CONTACT, 1), "<sip:alias3@host3.example.com>");
    close_message(&b);
}

static void longreq_3_1_1_7(void **state)
{
    struct bench b;
    struct sip_via last;
    (void)state;
    open_message(&b, "rfc4475/longreq.dat");
    assert_int_equal(count(&b.msg, SIP_HDR_VIA), 34);
    assert_slice(top_via_of(&b)->host, "sip33.example.com");
    assert_true(slice_is_null(top_via_of(&b)->branch));
    assert_int_equal(sip_via_parse(nth(&b.msg, SIP_HDR_VIA, 33), &last), 0);
    assert_true(last.branch.len > 100);
    close_message(&b);
}

static void dblreq_3_1_1_8(void **state)
{
    struct bench b;
    (void)state;
    open_message(&b, "rfc4475/dblreq.dat");
    assert_int_equal(b.msg.method, SIP_METHOD_REGISTER);
    assert_int_equal(b.msg.body_len, 0);
    assert_true(b.msg.len < b.file.bytes.len);
    assert_int_equal(b.msg.len, b.msg.body_off);
    close_message(&b);
}

static void semiuri_3_1_1_9(void **state)
{
    struct bench b;
    (void)state;
    open_message(&b, "rfc4475/semiuri.dat");
    assert_slice(ruri_of(&b)->user, "user;par=u%40example.net");
    assert_slice(ruri_of(&b)->host, "example.com");
    assert_true(slice_is_null(ruri_of(&b)->params));
    assert_int_equal(count(&b.msg, SIP_HDR_ACCEPT), 6);
    close_message(&b);
}

static void transports_3_1_1_10(void **state)
{
    static const enum sip_transport expected[] = {SIP_TRANSPORT_UDP, SIP_TRANSPORT_SCTP, SIP_TRANSPORT_TLS,
                                                  SIP_TRANSPORT_OTHER, SIP_TRANSPORT_TCP};
    struct bench b;
    (void)state;
    open_message(&b, "rfc4475/transports.dat");
    for (unsigned i = 0; i < ROWS(expected); i++) {
        struct sip_via via;
        assert_int_equal(sip_via_parse(nth(&b.msg, SIP_HDR_VIA, i), &via), 0);
        assert_int_equal(via.transport, expected[i]);
    }
    assert_int_equal(count(&b.msg, SIP_HDR_VIA), ROWS(expected));
    close_message(&b);
}

static void mpart01_3_1_1_11(void **state)
{
    struct bench b;
    (void)state;
    open_message(&b, "rfc4475/mpart01.dat");
    struct slice body = sip_msg_body(&b.msg);
    assert_int_equal(body.len, 553);
    assert_true(slice_find(body, '\0') < body.len);
    assert_true(top_via_of(&b)->has_rport);
    assert_int_equal(top_via_of(&b)->rport, 0);
    assert_int_equal(count(&b.msg, SIP_HDR_ROUTE), 1);
    close_message(&b);
}

static void unreason_and_noreason_3_1_1_12_and_13(void **state)
{
    struct bench b;
    (void)state;
    open_message(&b, "rfc4475/unreason.dat");
    assert_int_equal(b.msg.status, 200);
    assert_true(slice_starts_with(b.msg.reason, SLICE("= 2**3 * 5**2 \xd0\xbd\xd0\xbe ")));
    close_message(&b);
    open_message(&b, "rfc4475/noreason.dat");
    assert_int_equal(b.msg.status, 100);
    assert_int_equal(b.msg.reason.len, 0);
    close_message(&b);
}

static void escruri_3_1_2_11(void **state)
{
    struct bench b;
    (void)state;
    open_message(&b, "rfc4475/escruri.dat");
    assert_slice(ruri_of(&b)->headers, "Route=%3Csip:example.com%3E");
    assert_false(sip_msg_has(&b.msg, SIP_HDR_ROUTE));
    close_message(&b);
}

static void regbadct_3_1_2_13(void **state)
{
    struct bench b;
    struct sip_name_addr na;
    (void)state;
    open_message(&b, "rfc4475/regbadct.dat");
    assert_int_equal(sip_name_addr_parse(nth(&b.msg, SIP_HDR_CONTACT, 0), &na), ERR_SYNTAX);
    close_message(&b);
}

static void badbranch_3_2_1(void **state)
{
    struct bench b;
    (void)state;
    open_message(&b, "rfc4475/badbranch.dat");
    assert_slice(top_via_of(&b)->branch, "z9hG4bK");
    close_message(&b);
}

static void unknown_schemes_3_3_2_to_3_3_4(void **state)
{
    struct bench b;
    const struct sip_name_addr *to;
    (void)state;
    open_message(&b, "rfc4475/unkscm.dat");
    assert_int_equal(ruri_of(&b)->scheme, SIP_SCHEME_OTHER);
    assert_slice(ruri_of(&b)->scheme_text, "nobodyKnowsThisScheme");
    close_message(&b);
    open_message(&b, "rfc4475/novelsc.dat");
    assert_slice(ruri_of(&b)->scheme_text, "soap.beep");
    close_message(&b);
    open_message(&b, "rfc4475/unksm2.dat");
    assert_int_equal(ruri_of(&b)->scheme, SIP_SCHEME_SIP);
    assert_int_equal(sip_msg_to(&b.msg, &to), 0);
    assert_slice(to->uri_text, "isbn:2983792873");
    close_message(&b);
}

static void bext01_3_3_5(void **state)
{
    struct bench b;
    (void)state;
    open_message(&b, "rfc4475/bext01.dat");
    assert_int_equal(count(&b.msg, SIP_HDR_REQUIRE), 2);
    assert_int_equal(count(&b.msg, SIP_HDR_PROXY_REQUIRE), 2);
    assert_false(sip_msg_has_option(&b.msg, SIP_HDR_PROXY_REQUIRE, SLICE("path")));
    close_message(&b);
}

static void bcast_3_3_10(void **state)
{
    struct bench b;
    struct sip_via second;
    (void)state;
    open_message(&b, "rfc4475/bcast.dat");
    assert_int_equal(sip_via_parse(nth(&b.msg, SIP_HDR_VIA, 1), &second), 0);
    assert_int_equal(second.addr.family, ADDR_IPV4);
    assert_false(addr_is_unicast(&second.addr));
    close_message(&b);
}

static void cparam01_02_and_regescrt_3_3_12_to_14(void **state)
{
    struct bench b;
    struct slice params, value;
    (void)state;
    open_message(&b, "rfc4475/cparam01.dat");
    struct sip_uri uri = contact_uri(&b.msg, 0, &params);
    assert_true(slice_is_null(uri.params));
    assert_true(sip_param(params, SLICE("unknownparam"), &value));
    close_message(&b);
    open_message(&b, "rfc4475/cparam02.dat");
    uri = contact_uri(&b.msg, 0, &params);
    assert_slice(uri.params, "unknownparam");
    assert_false(sip_param(params, SLICE("unknownparam"), &value));
    close_message(&b);
    open_message(&b, "rfc4475/regescrt.dat");
    uri = contact_uri(&b.msg, 0, &params);
    assert_slice(uri.headers, "Route=%3Csip:sip.example.com%3E");
    close_message(&b);
}

static void inv2543_3_4_1(void **state)
{
    struct bench b;
    (void)state;
    open_message(&b, "rfc4475/inv2543.dat");
    assert_true(slice_is_null(sip_msg_from_tag(&b.msg)));
    assert_true(slice_is_null(top_via_of(&b)->branch));
    assert_false(b.msg.has_content_length);
    assert_false(sip_msg_has(&b.msg, SIP_HDR_MAX_FORWARDS));
    assert_int_equal(b.msg.len, b.file.bytes.len);
    assert_true(slice_starts_with(sip_msg_body(&b.msg), SLICE("v=0\r\n")));
    close_message(&b);
}

static void ipv6_addresses_and_ports_rfc_5118_4_1_to_4_4(void **state)
{
    static const struct {
        const char *file, *host;
        uint16_t port;
    } rows[] = {
        {"rfc5118/ipv6-good.dat", "2001:db8::10", 0},
        {"rfc5118/port-ambiguous.dat", "2001:db8::10:5070", 0},
        {"rfc5118/port-unambiguous.dat", "2001:db8::10", 5070},
        {"rfc5118/ipv6-bug-abnf-3-colons.dat", "2001:db8::192.0.2.1", 0},
        {"rfc5118/ipv6-correct-abnf-2-colons.dat", "2001:db8::192.0.2.1", 0},
    };
    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct bench b;
        struct addr expected;
        open_message(&b, rows[i].file);
        assert_int_equal(addr_parse_ip(cstr(rows[i].host), &expected), 0);
        check_that(addr_eq_ip(&ruri_of(&b)->addr, &expected), cstr(rows[i].file));
        check_that(ruri_of(&b)->port == rows[i].port, cstr(rows[i].file));
        close_message(&b);
    }
}

static void vias_of_rfc_5118_4_5_4_7_4_9(void **state)
{
    struct bench b;
    struct addr received;
    struct sip_via via;
    (void)state;
    open_message(&b, "rfc5118/via-received-param-with-delim.dat");
    assert_int_equal(addr_parse_ip(top_via_of(&b)->received, &received), 0);
    assert_int_equal(received.family, ADDR_IPV6);
    close_message(&b);
    open_message(&b, "rfc5118/via-received-param-no-delim.dat");
    assert_slice(top_via_of(&b)->received, "2001:db8::9:255");
    close_message(&b);
    open_message(&b, "rfc5118/mult-ip-in-header.dat");
    assert_int_equal(top_via_of(&b)->port, 6050);
    assert_int_equal(sip_via_parse(nth(&b.msg, SIP_HDR_VIA, 2), &via), 0);
    assert_slice(via.received, "192.0.2.200");
    assert_int_equal(via.addr.family, ADDR_IPV6);
    close_message(&b);
    open_message(&b, "rfc5118/ipv4-mapped-ipv6.dat");
    assert_int_equal(top_via_of(&b)->addr.family, ADDR_IPV6);
    assert_int_equal(top_via_of(&b)->port, 19823);
    assert_int_equal(b.msg.body_len, 236);
    close_message(&b);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wsinv_3_1_1_1),
        cmocka_unit_test(intmeth_3_1_1_2),
        cmocka_unit_test(esc01_3_1_1_3),
        cmocka_unit_test(escnull_3_1_1_4),
        cmocka_unit_test(esc02_3_1_1_5),
        cmocka_unit_test(longreq_3_1_1_7),
        cmocka_unit_test(dblreq_3_1_1_8),
        cmocka_unit_test(semiuri_3_1_1_9),
        cmocka_unit_test(transports_3_1_1_10),
        cmocka_unit_test(mpart01_3_1_1_11),
        cmocka_unit_test(unreason_and_noreason_3_1_1_12_and_13),
        cmocka_unit_test(escruri_3_1_2_11),
        cmocka_unit_test(regbadct_3_1_2_13),
        cmocka_unit_test(badbranch_3_2_1),
        cmocka_unit_test(unknown_schemes_3_3_2_to_3_3_4),
        cmocka_unit_test(bext01_3_3_5),
        cmocka_unit_test(bcast_3_3_10),
        cmocka_unit_test(cparam01_02_and_regescrt_3_3_12_to_14),
        cmocka_unit_test(inv2543_3_4_1),
        cmocka_unit_test(ipv6_addresses_and_ports_rfc_5118_4_1_to_4_4),
        cmocka_unit_test(vias_of_rfc_5118_4_5_4_7_4_9),
    };
    dir = argc > 1 ? argv[1] : ".";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
