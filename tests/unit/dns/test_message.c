/* RFC 1035 section 4, RFC 2782, RFC 3403: what an answer may hold, and what it may not do to us. */
#include "packet.h"
#include <stdio.h>
#include <stdlib.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct packet p;

/* "1.2.3.4 5.6.7.8", or "error N" when reading stops with another error than the end. */
static const char *read_all(enum dns_type type)
{
    static char text[4096];
    struct dns_reader reader;
    struct dns_record r;
    struct buf out;
    int rc = dns_reader_init(&reader, packet_slice(&p), type);

    buf_init(&out, text, sizeof(text));
    while (rc == 0 && (rc = dns_reader_next(&reader, &r)) == 0) {
        if (out.len > 0)
            buf_lit(&out, " ");
        if (type == DNS_TYPE_SRV)
            buf_printf(&out, "%u/%u/%s:%u", r.priority, r.weight, r.name.text, r.port);
        else if (type == DNS_TYPE_NAPTR)
            buf_printf(&out, "%u/%u/%.*s/%.*s/%.*s/%s", r.order, r.preference, SLICE_ARG(r.flags),
                       SLICE_ARG(r.services), SLICE_ARG(r.regexp), r.name.text);
        else
            addr_format_ip(&r.addr, false, &out);
    }
    if (rc != ERR_NOTFOUND)
        buf_printf(&out, "%serror %s", out.len > 0 ? " " : "", err_name(rc));
    buf_putc(&out, '\0');
    return text;
}

static void rfc1035_records_of_the_name_and_type_asked_for_are_read(void **state)
{
    (void)state;
    packet_begin(&p, "Gw.Example.COM", DNS_TYPE_A, 0);
    packet_addr(&p, "gw.example.com", "192.0.2.1");
    packet_addr(&p, "other.example.com", "192.0.2.9");
    packet_addr(&p, "gw.example.com", "2001:db8::1");
    packet_addr(&p, "GW.example.com", "192.0.2.2");
    assert_string_equal(read_all(DNS_TYPE_A), "192.0.2.1 192.0.2.2");
    assert_string_equal(read_all(DNS_TYPE_AAAA), "2001:db8::1");
    assert_string_equal(read_all(DNS_TYPE_SRV), "");
}

static void rfc2782_and_rfc3403_fields(void **state)
{
    (void)state;
    packet_begin(&p, "_sip._udp.example.com", DNS_TYPE_SRV, 0);
    packet_srv(&p, "_sip._udp.example.com", 1, 65535, 5070, "A.example.com");
    packet_srv(&p, "_sip._udp.example.com", 2, 0, 0, "");
    assert_string_equal(read_all(DNS_TYPE_SRV), "1/65535/a.example.com:5070 2/0/:0");
    packet_begin(&p, "example.com", DNS_TYPE_NAPTR, 0);
    packet_naptr(&p, "example.com", 50, 10, "s", "SIPS+D2T", "", "_sips._tcp.example.com");
    packet_naptr(&p, "example.com", 60, 10, "u", "E2U+sip", "!^.*$!sip:x@y!", "");
    assert_string_equal(read_all(DNS_TYPE_NAPTR),
                        "50/10/s/SIPS+D2T//_sips._tcp.example.com 60/10/u/E2U+sip/!^.*$!sip:x@y!/");
}

static void rfc1034_3_6_2_aliases_are_followed_and_loops_end(void **state)
{
    char owner[32] = "a0", target[32];

    (void)state;
    packet_begin(&p, "a", DNS_TYPE_A, 0);
    packet_addr(&p, "c", "192.0.2.3");
    packet_alias(&p, "b", "c");
    packet_alias(&p, "a", "b");
    packet_addr(&p, "a", "192.0.2.1");
    assert_string_equal(read_all(DNS_TYPE_A), "192.0.2.3");

    packet_begin(&p, "a", DNS_TYPE_A, 0);
    packet_alias(&p, "a", "b");
    packet_alias(&p, "b", "a");
    assert_string_equal(read_all(DNS_TYPE_A), "error limit");

    for (unsigned length = DNS_CHAIN_MAX; length <= DNS_CHAIN_MAX + 1; length++) {
        packet_begin(&p, "a0", DNS_TYPE_A, 0);
        for (unsigned i = 0; i < length; i++) {
            (void)snprintf(owner, sizeof(owner), "a%u", i);
            (void)snprintf(target, sizeof(target), "a%u", i + 1);
            packet_alias(&p, owner, target);
        }
        packet_addr(&p, target, "192.0.2.1");
        assert_string_equal(read_all(DNS_TYPE_A), length == DNS_CHAIN_MAX ? "192.0.2.1" : "error limit");
    }
}

static void a_name_that_is_no_hosts_is_passed_over(void **state)
{
    (void)state;
    packet_begin(&p, "s", DNS_TYPE_SRV, 0);
    packet_srv(&p, "s", 1, 1, 5060, "a\r\nb.example.com");
    packet_srv(&p, "s", 1, 1, 5060, "a b");
    packet_srv(&p, "s", 1, 1, 5060, "a@b");
    packet_srv(&p, "s", 1, 1, 5060, "good_name-1.example.com");
    assert_string_equal(read_all(DNS_TYPE_SRV), "1/1/good_name-1.example.com:5060");
}

static void rfc1035_4_1_4_compression_leads_backwards_only(void **state)
{
    size_t at, here;

    (void)state;
    packet_begin(&p, "example.com", DNS_TYPE_SRV, 0);
    at = packet_record(&p, "example.com", DNS_TYPE_SRV);
    packet_u16(&p, 1);
    packet_u16(&p, 2);
    packet_u16(&p, 5060);
    p.octets[p.len++] = 1;
    p.octets[p.len++] = 'x';
    packet_u16(&p, 0xc000 | 12);
    packet_end(&p, at);
    assert_string_equal(read_all(DNS_TYPE_SRV), "1/2/x.example.com:5060");

    for (unsigned ahead = 0; ahead < 2; ahead++) {
        packet_begin(&p, "example.com", DNS_TYPE_SRV, 0);
        at = packet_record(&p, "example.com", DNS_TYPE_SRV);
        packet_u16(&p, 1);
        packet_u16(&p, 2);
        packet_u16(&p, 5060);
        here = p.len;
        packet_u16(&p, 0xc000 | (unsigned)(here + 2 * ahead));
        packet_u16(&p, 0xc000 | (unsigned)here);
        packet_end(&p, at);
        assert_string_equal(read_all(DNS_TYPE_SRV), "error syntax");
    }
}

/* Every length of a good answer but the whole is refused or holds fewer records; none is read beyond its end (the
 * sanitizers watch). */
static void a_cut_answer_is_never_read_beyond_its_end(void **state)
{
    static const enum dns_type types[] = {DNS_TYPE_A, DNS_TYPE_AAAA, DNS_TYPE_SRV, DNS_TYPE_NAPTR};

    (void)state;
    for (size_t t = 0; t < sizeof(types) / sizeof(types[0]); t++) {
        packet_begin(&p, "x.example", types[t], 0);
        packet_addr(&p, "x.example", "192.0.2.1");
        packet_addr(&p, "x.example", "2001:db8::1");
        packet_srv(&p, "x.example", 1, 1, 5060, "y.example");
        packet_naptr(&p, "x.example", 1, 1, "s", "SIP+D2U", "", "y.example");
        for (size_t len = 0; len < p.len; len++) {
            char *exact = malloc(len + 1);
            struct dns_reader reader;
            struct dns_record r;
            int rc;

            assert_non_null(exact);
            memcpy(exact, p.octets, len);
            exact = realloc(exact, len > 0 ? len : 1);
            rc = dns_reader_init(&reader, slice_make(exact, len), types[t]);
            while (rc == 0)
                rc = dns_reader_next(&reader, &r);
            assert_true(rc == ERR_SYNTAX || rc == ERR_NOTFOUND);
            free(exact);
        }
    }
}

static void rdata_of_a_wrong_length_is_refused(void **state)
{
    size_t at;

    (void)state;
    packet_begin(&p, "x", DNS_TYPE_A, 0);
    at = packet_record(&p, "x", DNS_TYPE_A);
    packet_u16(&p, 1);
    packet_end(&p, at);
    assert_string_equal(read_all(DNS_TYPE_A), "error syntax");

    packet_begin(&p, "x", DNS_TYPE_SRV, 0);
    at = packet_record(&p, "x", DNS_TYPE_SRV);
    packet_u16(&p, 1);
    packet_u16(&p, 1);
    packet_u16(&p, 1);
    packet_name(&p, "y");
    packet_u16(&p, 1);
    packet_end(&p, at);
    assert_string_equal(read_all(DNS_TYPE_SRV), "error syntax");

    /* A string that reaches beyond its record. */
    packet_begin(&p, "x", DNS_TYPE_NAPTR, 0);
    at = packet_record(&p, "x", DNS_TYPE_NAPTR);
    packet_u16(&p, 1);
    packet_u16(&p, 1);
    p.octets[p.len++] = 200;
    packet_end(&p, at);
    memset(p.octets + p.len, 0, 300);
    p.len += 300;
    assert_string_equal(read_all(DNS_TYPE_NAPTR), "error syntax");
}

static void what_is_no_answer_is_refused(void **state)
{
    struct dns_reader reader;

    (void)state;
    packet_begin(&p, "x", DNS_TYPE_A, 0);
    p.octets[2] &= 0x7f;
    assert_int_equal(dns_reader_init(&reader, packet_slice(&p), DNS_TYPE_A), ERR_SYNTAX);
    packet_begin(&p, "x", DNS_TYPE_A, 0);
    p.octets[5] = 2;
    assert_int_equal(dns_reader_init(&reader, packet_slice(&p), DNS_TYPE_A), ERR_SYNTAX);
    packet_begin(&p, "x", DNS_TYPE_A, 0);
    p.octets[6] = (DNS_RECORDS_MAX + 1) >> 8;
    p.octets[7] = (DNS_RECORDS_MAX + 1) & 0xff;
    assert_int_equal(dns_reader_init(&reader, packet_slice(&p), DNS_TYPE_A), ERR_LIMIT);
}

static void names_from_text(void **state)
{
    struct dns_name name;
    char labels[260];

    (void)state;
    assert_int_equal(dns_name_from_text(SLICE("Gw.Example."), &name), 0);
    assert_string_equal(name.text, "gw.example");
    assert_int_equal(dns_name_from_text(SLICE(""), &name), ERR_SYNTAX);
    assert_int_equal(dns_name_from_text(SLICE("."), &name), ERR_SYNTAX);
    assert_int_equal(dns_name_from_text(SLICE("a..b"), &name), ERR_SYNTAX);
    assert_int_equal(dns_name_from_text(SLICE(".a"), &name), ERR_SYNTAX);
    assert_int_equal(dns_name_from_text(SLICE("a\\b"), &name), ERR_SYNTAX);
    memset(labels, 'a', sizeof(labels));
    assert_int_equal(dns_name_from_text(slice_make(labels, 63), &name), 0);
    assert_int_equal(dns_name_from_text(slice_make(labels, 64), &name), ERR_SYNTAX);
    for (size_t i = 49; i < sizeof(labels); i += 50)
        labels[i] = '.';
    assert_int_equal(dns_name_from_text(slice_make(labels, 254), &name), 0);
    assert_int_equal(dns_name_from_text(slice_make(labels, 255), &name), ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc1035_records_of_the_name_and_type_asked_for_are_read),
        cmocka_unit_test(rfc2782_and_rfc3403_fields),
        cmocka_unit_test(rfc1034_3_6_2_aliases_are_followed_and_loops_end),
        cmocka_unit_test(a_name_that_is_no_hosts_is_passed_over),
        cmocka_unit_test(rfc1035_4_1_4_compression_leads_backwards_only),
        cmocka_unit_test(a_cut_answer_is_never_read_beyond_its_end),
        cmocka_unit_test(rdata_of_a_wrong_length_is_refused),
        cmocka_unit_test(what_is_no_answer_is_refused),
        cmocka_unit_test(names_from_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
