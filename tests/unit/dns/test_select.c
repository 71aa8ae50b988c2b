/* RFC 3263 sections 4.1, 4.2 and 4.4, RFC 2782: the order of records as a function of records and seed. */
#include "dns/select.h"
#include <math.h>
#include <stdlib.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct dns_spoken all = {.families = {[SIP_TRANSPORT_UDP] = 3,
                                                   [SIP_TRANSPORT_TCP] = 3,
                                                   [SIP_TRANSPORT_TLS] = 3,
                                                   [SIP_TRANSPORT_WS] = 3,
                                                   [SIP_TRANSPORT_WSS] = 3}};
static const struct dns_spoken udp_tcp = {.families = {[SIP_TRANSPORT_UDP] = 1, [SIP_TRANSPORT_TCP] = 1}};
static const struct dns_spoken tcp_only = {.families = {[SIP_TRANSPORT_TCP] = 1}};

static struct dns_name name_of(const char *text)
{
    struct dns_name name = {0};

    assert_int_equal(dns_name_from_text(slice_from_cstr(text), &name), 0);
    return name;
}

/* ---- transport ---- */

static void transport_of(const char *text, int expected_rc, enum sip_transport expected)
{
    enum sip_transport transport = SIP_TRANSPORT_SCTP;
    struct sip_uri uri;

    assert_int_equal(sip_uri_parse(slice_from_cstr(text), &uri), 0);
    assert_int_equal(dns_transport_of_uri(&uri, &transport), expected_rc);
    if (expected_rc == 0)
        assert_int_equal(transport, expected);
}

static void rfc3263_4_1_the_transport_parameter_is_used(void **state)
{
    (void)state;
    transport_of("sip:a@b", 0, SIP_TRANSPORT_OTHER);
    transport_of("sips:a@b", 0, SIP_TRANSPORT_OTHER);
    transport_of("sip:a@b;transport=tcp", 0, SIP_TRANSPORT_TCP);
    transport_of("sip:a@b;transport=UDP", 0, SIP_TRANSPORT_UDP);
    transport_of("sip:a@b;transport=tls", 0, SIP_TRANSPORT_TLS);
    transport_of("sip:a@b;transport=ws", 0, SIP_TRANSPORT_WS);
    transport_of("sips:a@b;transport=tcp", 0, SIP_TRANSPORT_TLS);
    transport_of("sips:a@b;transport=ws", 0, SIP_TRANSPORT_WSS);
    transport_of("sips:a@b;transport=udp", ERR_UNSUPPORTED, 0);
    transport_of("sip:a@b;transport=sctp", ERR_UNSUPPORTED, 0);
    transport_of("sip:a@b;transport=carrier-pigeon", ERR_UNSUPPORTED, 0);
    transport_of("tel:+15551234", ERR_UNSUPPORTED, 0);
}

static void rfc3263_4_1_udp_for_sip_and_tls_for_sips_when_nothing_is_said(void **state)
{
    (void)state;
    assert_int_equal(dns_transport_default(&all, false), SIP_TRANSPORT_UDP);
    assert_int_equal(dns_transport_default(&all, true), SIP_TRANSPORT_TLS);
    assert_int_equal(dns_transport_default(&tcp_only, false), SIP_TRANSPORT_TCP);
    assert_int_equal(dns_transport_default(&udp_tcp, true), SIP_TRANSPORT_OTHER);
}

/* ---- services ---- */

static void services(const struct dns_spoken *spoken, bool is_secure, const char *expected)
{
    struct dns_service out[DNS_SERVICES_MAX];
    struct dns_name domain = name_of("example.com");
    size_t n = dns_services_of_domain(spoken, is_secure, &domain, out);
    char memory[512];
    struct buf text;

    buf_init(&text, memory, sizeof(memory));
    for (size_t i = 0; i < n; i++)
        buf_printf(&text, "%s%s", i > 0 ? " " : "", out[i].name.text);
    buf_putc(&text, '\0');
    assert_string_equal(memory, expected);
}

static void rfc3263_4_1_without_naptr_each_transport_spoken_is_asked_for(void **state)
{
    (void)state;
    services(&all, false, "_sip._udp.example.com _sip._tcp.example.com");
    services(&tcp_only, false, "_sip._tcp.example.com");
    services(&all, true, "_sips._tcp.example.com");
    services(&udp_tcp, true, "");
}

static void rfc3263_4_2_the_service_of_one_transport(void **state)
{
    static const struct {
        enum sip_transport transport;
        const char *name;
    } rows[] = {
        {SIP_TRANSPORT_UDP, "_sip._udp.example.com"},  {SIP_TRANSPORT_TCP, "_sip._tcp.example.com"},
        {SIP_TRANSPORT_TLS, "_sips._tcp.example.com"}, {SIP_TRANSPORT_WS, "_sip._ws.example.com"},
        {SIP_TRANSPORT_WSS, "_sips._ws.example.com"},
    };
    struct dns_name domain = name_of("example.com"), longest = {.len = DNS_NAME_MAX_BYTES};
    struct dns_service service;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(dns_service_of(rows[i].transport, &domain, &service), 0);
        assert_string_equal(service.name.text, rows[i].name);
        assert_int_equal(service.name.len, strlen(rows[i].name));
    }
    assert_int_equal(dns_service_of(SIP_TRANSPORT_SCTP, &domain, &service), ERR_UNSUPPORTED);
    memset(longest.text, 'a', DNS_NAME_MAX_BYTES);
    assert_int_equal(dns_service_of(SIP_TRANSPORT_UDP, &longest, &service), ERR_LIMIT);
}

/* ---- NAPTR ---- */

static bool usable(const char *flags, const char *service, const char *regexp,
                   const struct dns_spoken *spoken, bool is_secure, struct dns_service *ret_service)
{
    struct dns_record r = {.type = DNS_TYPE_NAPTR,
                           .flags = slice_from_cstr(flags),
                           .services = slice_from_cstr(service),
                           .regexp = slice_from_cstr(regexp),
                           .name = name_of("_x._y.example.net")};

    return dns_naptr_is_usable(&r, spoken, is_secure, ret_service);
}

static void rfc3263_4_1_services_map_to_transports(void **state)
{
    static const struct {
        const char *service;
        enum sip_transport transport;
    } rows[] = {{"SIP+D2U", SIP_TRANSPORT_UDP},
                {"sip+d2t", SIP_TRANSPORT_TCP},
                {"SIPS+D2T", SIP_TRANSPORT_TLS},
                {"SIP+D2W", SIP_TRANSPORT_WS},
                {"SIPS+D2W", SIP_TRANSPORT_WSS}};
    struct dns_service service;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_true(usable("s", rows[i].service, "", &all, false, &service));
        assert_int_equal(service.transport, rows[i].transport);
        assert_false(service.is_address);
        assert_string_equal(service.name.text, "_x._y.example.net");
    }
    assert_true(usable("A", "SIP+D2U", "", &all, false, &service));
    assert_true(service.is_address);
}

static void rfc3263_4_1_services_not_spoken_are_discarded(void **state)
{
    struct dns_service service;

    (void)state;
    assert_false(usable("s", "SIP+D2S", "", &all, false, &service));
    assert_false(usable("s", "SIPS+D2U", "", &all, false, &service));
    assert_false(usable("s", "E2U+sip", "", &all, false, &service));
    assert_false(usable("s", "", "", &all, false, &service));
    assert_false(usable("s", "SIPS+D2T", "", &udp_tcp, false, &service));
    assert_false(usable("s", "SIP+D2U", "", &tcp_only, false, &service));
    assert_true(usable("s", "SIP+D2T", "", &tcp_only, false, &service));
}

static void rfc3263_4_1_sips_discards_what_is_not_sips_and_sip_keeps_it(void **state)
{
    struct dns_service service;

    (void)state;
    assert_false(usable("s", "SIP+D2U", "", &all, true, &service));
    assert_false(usable("s", "SIP+D2T", "", &all, true, &service));
    assert_false(usable("s", "SIP+D2W", "", &all, true, &service));
    assert_true(usable("s", "SIPS+D2T", "", &all, true, &service));
    assert_true(usable("s", "SIPS+D2W", "", &all, true, &service));
    assert_true(usable("s", "SIPS+D2T", "", &all, false, &service));
}

static void rfc3263_4_1_only_a_regular_replacement_counts(void **state)
{
    struct dns_record no_name = {.flags = SLICE("s"), .services = SLICE("SIP+D2U")};
    struct dns_service service;

    (void)state;
    assert_false(usable("s", "SIP+D2U", "!^.*$!sip:evil@example.org!", &all, false, &service));
    assert_false(usable("u", "SIP+D2U", "", &all, false, &service));
    assert_false(usable("", "SIP+D2U", "", &all, false, &service));
    assert_false(usable("su", "SIP+D2U", "", &all, false, &service));
    assert_false(dns_naptr_is_usable(&no_name, &all, false, &service));
}

static void rfc3403_4_1_lowest_order_then_preference_and_no_other_order(void **state)
{
    struct dns_rule rules[] = {
        {.order = 90, .preference = 1, .service = {.transport = SIP_TRANSPORT_UDP}},
        {.order = 50, .preference = 20, .service = {.transport = SIP_TRANSPORT_TCP}},
        {.order = 50, .preference = 10, .service = {.transport = SIP_TRANSPORT_TLS}},
        {.order = 100, .preference = 0, .service = {.transport = SIP_TRANSPORT_WS}},
    };

    (void)state;
    assert_int_equal(dns_rules_order(rules, 4), 2);
    assert_int_equal(rules[0].service.transport, SIP_TRANSPORT_TLS);
    assert_int_equal(rules[1].service.transport, SIP_TRANSPORT_TCP);
    assert_int_equal(dns_rules_order(rules, 0), 0);
}

/* ---- SRV ---- */

/* "a:10/60" priority and weight; port from the letter. */
static struct dns_srv srv(char letter, unsigned priority, unsigned weight)
{
    const char text[] = {letter, '\0'};

    return (struct dns_srv){(uint16_t)priority, (uint16_t)weight, (uint16_t)(5000 + letter), name_of(text)};
}

static void order_of(const struct dns_srv *srvs, size_t n, uint64_t seed, char *ret_letters)
{
    struct dns_srv copy[32];

    memcpy(copy, srvs, n * sizeof(*srvs));
    dns_srv_order(copy, n, seed);
    for (size_t i = 0; i < n; i++)
        ret_letters[i] = copy[i].target.text[0];
    ret_letters[n] = '\0';
}

static void rfc2782_lower_priority_values_come_first(void **state)
{
    const struct dns_srv srvs[] = {srv('c', 30, 65535), srv('a', 10, 0), srv('b', 20, 1)};
    char letters[8];

    (void)state;
    for (uint64_t seed = 0; seed < 100; seed++) {
        order_of(srvs, 3, seed, letters);
        assert_string_equal(letters, "abc");
    }
}

static unsigned count_first(const struct dns_srv *srvs, size_t n, char letter, unsigned runs)
{
    unsigned count = 0;
    char letters[33];

    for (uint64_t seed = 0; seed < runs; seed++) {
        order_of(srvs, n, seed, letters);
        count += letters[0] == letter;
    }
    return count;
}

static void rfc2782_weights_are_shares(void **state)
{
    const struct dns_srv srvs[] = {srv('a', 1, 60), srv('b', 1, 30), srv('c', 1, 10)};
    const unsigned runs = 20000;

    (void)state;
    /* Running sums 60, 90, 100 by a number from 0 to 100: within 1.5 % of all runs. */
    assert_in_range(count_first(srvs, 3, 'a', runs), 11700, 12300);
    assert_in_range(count_first(srvs, 3, 'b', runs), 5700, 6300);
    assert_in_range(count_first(srvs, 3, 'c', runs), 1700, 2300);
}

static void rfc2782_weight_0_has_a_very_small_chance_beside_others(void **state)
{
    const struct dns_srv srvs[] = {srv('a', 1, 0), srv('b', 1, 99)};
    const unsigned runs = 20000;

    (void)state;
    /* 0 of 0..99 inclusive: 1 in 100. */
    assert_in_range(count_first(srvs, 2, 'a', runs), 120, 280);
}

static void rfc2782_equal_weights_of_0_share_evenly(void **state)
{
    const struct dns_srv srvs[] = {srv('a', 1, 0), srv('b', 1, 0), srv('c', 1, 0), srv('d', 1, 0)};
    const unsigned runs = 20000;

    (void)state;
    for (char letter = 'a'; letter <= 'd'; letter++)
        assert_in_range(count_first(srvs, 4, letter, runs), 4700, 5300);
}

/* The second choice is drawn among those that are left, by their weights. */
static void rfc2782_the_algorithm_is_repeated_for_the_rest(void **state)
{
    const struct dns_srv srvs[] = {srv('a', 1, 100), srv('b', 1, 75), srv('c', 1, 25)};
    unsigned first_a = 0, then_b = 0;
    char letters[8];

    (void)state;
    for (uint64_t seed = 0; seed < 20000; seed++) {
        order_of(srvs, 3, seed, letters);
        first_a += letters[0] == 'a';
        then_b += letters[0] == 'a' && letters[1] == 'b';
    }
    assert_true(fabs((double)then_b / first_a - 0.75) < 0.02);
}

static void rfc3263_4_4_order_of_the_answer_does_not_matter(void **state)
{
    struct dns_srv srvs[24];
    char first[33], again[33];

    (void)state;
    for (size_t i = 0; i < 24; i++) {
        srvs[i] = srv((char)('a' + i), 1, (unsigned)(i % 3));
        srvs[i].port = 5060;
    }
    for (uint64_t seed = 0; seed < 50; seed++) {
        order_of(srvs, 24, seed, first);
        for (size_t i = 0; i < 24; i++) {
            struct dns_srv swap = srvs[i];
            size_t with = (i * 7 + seed) % 24;

            srvs[i] = srvs[with];
            srvs[with] = swap;
        }
        order_of(srvs, 24, seed, again);
        assert_string_equal(first, again);
    }
}

/* ---- addresses ---- */

static void addrs(const char *in, uint64_t seed, const char *expected)
{
    struct addr out[8];
    char memory[512];
    struct buf text;
    size_t n = 0;

    for (struct slice rest = slice_from_cstr(in); rest.len > 0; n++) {
        size_t end = slice_find(rest, ' ');

        assert_int_equal(addr_parse_ip(slice_sub(rest, 0, end), &out[n]), 0);
        rest = slice_sub(rest, end + 1, rest.len);
    }
    dns_addrs_order(out, n, seed);
    buf_init(&text, memory, sizeof(memory));
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_lit(&text, " ");
        addr_format_ip(&out[i], false, &text);
    }
    buf_putc(&text, '\0');
    assert_string_equal(memory, expected);
}

static void rfc7984_and_rfc6724_2_1_families_by_precedence(void **state)
{
    (void)state;
    addrs("192.0.2.1 2001:db8::1", 1, "2001:db8::1 192.0.2.1");
    addrs("fd00::1 192.0.2.1", 1, "192.0.2.1 fd00::1");
    addrs("2002:c000:204::1 192.0.2.1 2400::1 fec0::1 ::1 2001:0:1::1", 1,
          "::1 2400::1 192.0.2.1 2002:c000:204::1 2001:0:1::1 fec0::1");
}

static void several_addresses_share_and_the_seed_decides(void **state)
{
    unsigned firsts[3] = {0};

    (void)state;
    for (uint64_t seed = 0; seed < 9000; seed++) {
        struct addr out[3];

        for (unsigned i = 0; i < 3; i++)
            out[i] = (struct addr){.family = ADDR_IPV4, .ip = {192, 0, 2, (uint8_t)((i + seed) % 3)}};
        dns_addrs_order(out, 3, seed / 3);
        firsts[out[0].ip[3]]++;
        assert_int_equal((out[0].ip[3] + 1) % 3, out[1].ip[3]);
    }
    for (unsigned i = 0; i < 3; i++)
        assert_in_range(firsts[i], 2700, 3300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc3263_4_1_the_transport_parameter_is_used),
        cmocka_unit_test(rfc3263_4_1_udp_for_sip_and_tls_for_sips_when_nothing_is_said),
        cmocka_unit_test(rfc3263_4_1_without_naptr_each_transport_spoken_is_asked_for),
        cmocka_unit_test(rfc3263_4_2_the_service_of_one_transport),
        cmocka_unit_test(rfc3263_4_1_services_map_to_transports),
        cmocka_unit_test(rfc3263_4_1_services_not_spoken_are_discarded),
        cmocka_unit_test(rfc3263_4_1_sips_discards_what_is_not_sips_and_sip_keeps_it),
        cmocka_unit_test(rfc3263_4_1_only_a_regular_replacement_counts),
        cmocka_unit_test(rfc3403_4_1_lowest_order_then_preference_and_no_other_order),
        cmocka_unit_test(rfc2782_lower_priority_values_come_first),
        cmocka_unit_test(rfc2782_weights_are_shares),
        cmocka_unit_test(rfc2782_weight_0_has_a_very_small_chance_beside_others),
        cmocka_unit_test(rfc2782_equal_weights_of_0_share_evenly),
        cmocka_unit_test(rfc2782_the_algorithm_is_repeated_for_the_rest),
        cmocka_unit_test(rfc3263_4_4_order_of_the_answer_does_not_matter),
        cmocka_unit_test(rfc7984_and_rfc6724_2_1_families_by_precedence),
        cmocka_unit_test(several_addresses_share_and_the_seed_decides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
