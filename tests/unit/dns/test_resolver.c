/* RFC 3263 section 4 from URI to hops, with a name server that is a list and a clock that is told. */
#include "base/mem.h"
#include "dns/resolver.h"
#include "packet.h"
#include <stdio.h>
#include <stdlib.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char hosts_text[] = "# comment\n"
                                 "127.0.0.1\tlocalhost alpha.example. # tail\r\n"
                                 "::1 localhost ip6-localhost\n"
                                 "not-an-address nothing\n"
                                 "224.0.0.1 group\n"
                                 "192.0.2.7 Gw.Example";

#define ASKED_MAX 512

/* A zone is text: "NAME TYPE RDATA", one record a line; "NAME TYPE !" is a question that nobody answers, "?" one that
 * cannot be asked. */
static struct {
    struct dns_hosts *hosts;
    struct dns_health *health;
    struct net_names *names;
    struct dns_resolver *resolver;
    struct timer_wheel wheel;
    const char *zone;
    bool is_late; /* answers come when the test says so */
    struct asked {
        struct dns_query *query; /* NULL: answered or forgotten */
        struct dns_name name;
        enum dns_type type;
        bool is_silent;
    } asked[ASKED_MAX];
    size_t n_asked;
    struct dns_spoken spoken;
    uint64_t seed;
    bool is_steady;
    size_t n_failed;
    struct counters counters;
    /* What was told. */
    unsigned n_told;
    uint64_t told_ticket;
    int told_err;
    struct sip_hop told[DNS_HOPS_MAX];
    size_t n_told_hops;
} w;

static struct packet packet;

/* ---- the name server ---- */

static const char *type_text(enum dns_type type)
{
    switch (type) {
    case DNS_TYPE_A:
        return "A";
    case DNS_TYPE_AAAA:
        return "AAAA";
    case DNS_TYPE_SRV:
        return "SRV";
    case DNS_TYPE_NAPTR:
        return "NAPTR";
    case DNS_TYPE_CNAME:
        break;
    }
    return "CNAME";
}

static void put_record(const char *owner, const char *type, char *rdata)
{
    char *f[8] = {0};
    size_t n = 0;

    for (char *s = strtok(rdata, " "); s && n < 8; s = strtok(NULL, " "))
        f[n++] = strcmp(s, "-") == 0 ? s + 1 : s;
    if (strcmp(type, "SRV") == 0)
        packet_srv(&packet, owner, (unsigned)atoi(f[0]), (unsigned)atoi(f[1]), (unsigned)atoi(f[2]),
                   strcmp(f[3], ".") == 0 ? "" : f[3]);
    else if (strcmp(type, "NAPTR") == 0)
        packet_naptr(&packet, owner, (unsigned)atoi(f[0]), (unsigned)atoi(f[1]), f[2], f[3], f[4], f[5]);
    else if (strcmp(type, "CNAME") == 0)
        packet_alias(&packet, owner, f[0]);
    else
        packet_addr(&packet, owner, f[0]);
}

/* 0 answer made, '!' silent, '?' cannot be asked. */
static char make_answer(const char *name, enum dns_type type)
{
    char owner[256], rtype[16], rdata[256];
    const char *at = w.zone;

    packet_begin(&packet, name, type, 0);
    for (int len; sscanf(at, " %255s %15s %255[^\n]%n", owner, rtype, rdata, &len) == 3; at += len) {
        bool is_asked = strcmp(owner, name) == 0 && strcmp(rtype, type_text(type)) == 0;

        if (is_asked && (rdata[0] == '!' || rdata[0] == '?'))
            return rdata[0];
        if (rdata[0] != '!' && rdata[0] != '?')
            put_record(owner, rtype, rdata);
    }
    return 0;
}

static void answer(struct asked *a)
{
    struct dns_query *query = a->query;

    a->query = NULL;
    (void)make_answer(a->name.text, a->type);
    query->answered(query, packet_slice(&packet));
}

static int source_ask(void *ctx, const struct dns_name *name, enum dns_type type, struct dns_query *query)
{
    struct asked *a = &w.asked[w.n_asked];
    char how = make_answer(name->text, type);

    (void)ctx;
    assert_true(w.n_asked < ASKED_MAX);
    if (how == '?')
        return ERR_LIMIT;
    *a = (struct asked){query, *name, type, how == '!'};
    w.n_asked++;
    query->handle = a;
    if (how == 0 && !w.is_late)
        answer(a);
    return 0;
}

static void source_forget(void *ctx, struct dns_query *query)
{
    struct asked *a = query->handle;

    (void)ctx;
    assert_ptr_equal(a->query, query);
    a->query = NULL;
}

static const struct dns_source source = {NULL, source_ask, source_forget};

/* Answers what waits, and what is asked because of that. */
static void answer_all(void)
{
    for (size_t i = 0; i < w.n_asked; i++)
        if (w.asked[i].query && !w.asked[i].is_silent)
            answer(&w.asked[i]);
}

static bool was_asked(const char *name, enum dns_type type)
{
    for (size_t i = 0; i < w.n_asked; i++)
        if (strcmp(w.asked[i].name.text, name) == 0 && w.asked[i].type == type)
            return true;
    return false;
}

/* ---- the world ---- */

static void on_resolved(void *ctx, uint64_t ticket, int err, const struct sip_hop *hops, size_t count)
{
    (void)ctx;
    w.n_told++;
    w.told_ticket = ticket;
    w.told_err = err;
    w.n_told_hops = count;
    if (err == 0)
        memcpy(w.told, hops, count * sizeof(*hops));
}

static ms_t on_now(void *ctx)
{
    (void)ctx;
    return w.wheel.now_ms;
}

static void make_resolver(void)
{
    const struct dns_resolver_opts opts = {.hosts = w.hosts,
                                           .names = w.names,
                                           .health = w.health,
                                           .source = &source,
                                           .spoken = w.spoken,
                                           .wheel = &w.wheel,
                                           .now_ms = on_now,
                                           .timeout_ms = 2000,
                                           .max_lookups = 4,
                                           .max_of_one = 2,
                                           .key = {5, 6},
                                           .counters = &w.counters,
                                           .budget_bytes = 1 << 20,
                                           .resolved = on_resolved};

    dns_resolver_free(w.resolver);
    w.resolver = NULL;
    assert_int_equal(dns_resolver_new(&opts, &w.resolver), 0);
}

static void speak(enum sip_transport transport, uint8_t families)
{
    w.spoken.families[transport] = families;
    make_resolver();
}

static int setup(void **state)
{
    const struct hash_key key = {3, 4};

    (void)state;
    memset(&w, 0, sizeof(w));
    w.zone = "";
    timer_wheel_init(&w.wheel, 1000, NULL);
    assert_int_equal(dns_hosts_parse(slice_from_cstr(hosts_text), &w.hosts), 0);
    assert_int_equal(dns_health_new(64, &key, &w.health), 0);
    assert_int_equal(net_names_new(16, &w.names), 0);
    for (unsigned t = SIP_TRANSPORT_UDP; t <= SIP_TRANSPORT_WSS; t++)
        w.spoken.families[t] = DNS_IPV4 | DNS_IPV6;
    make_resolver();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    dns_resolver_free(w.resolver);
    net_names_free(w.names);
    dns_health_free(w.health);
    dns_hosts_free(w.hosts);
    for (size_t i = 0; i < w.n_asked; i++)
        assert_null(w.asked[i].query);
    return mem_held_bytes() == 0 ? 0 : -1;
}

static int resolve_for(const char *text, const struct addr *asker, struct sip_hop *ret_hops, size_t max,
                       size_t *ret_count)
{
    struct sip_uri uri;
    struct dns_request request = {.uri = &uri,
                                  .ticket = 42,
                                  .seed = w.seed,
                                  .is_steady = w.is_steady,
                                  .n_failed = w.n_failed,
                                  .source = asker};

    assert_int_equal(sip_uri_parse(slice_from_cstr(text), &uri), 0);
    return dns_resolver_resolve(w.resolver, &request, ret_hops, max, ret_count);
}

static int resolve(const char *text, struct sip_hop *ret_hops, size_t max, size_t *ret_count)
{
    return resolve_for(text, NULL, ret_hops, max, ret_count);
}

static void assert_hops(const struct sip_hop *hops, size_t n, const char *expected)
{
    char memory[8192];
    struct buf out;

    buf_init(&out, memory, sizeof(memory));
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_lit(&out, ", ");
        buf_put(&out, sip_transport_via_name((enum sip_transport)hops[i].transport));
        buf_putc(&out, ' ');
        addr_format(&hops[i].addr, &out);
    }
    buf_putc(&out, '\0');
    assert_string_equal(memory, expected);
}

/* expected: "TRANSPORT address" of every hop, or the error. */
static void expect(const char *text, int expected_rc, const char *expected)
{
    struct sip_hop hops[DNS_HOPS_MAX];
    size_t n = 0;

    assert_int_equal(resolve(text, hops, DNS_HOPS_MAX, &n), expected_rc);
    if (expected_rc == 0)
        assert_hops(hops, n, expected);
    assert_int_equal(dns_resolver_pending(w.resolver), 0);
}

/* ---- without DNS ---- */

static void test_4_1_transport(void **state)
{
    (void)state;
    expect("sip:a@192.0.2.1", 0, "UDP 192.0.2.1:5060");
    expect("sip:a@192.0.2.1:5070", 0, "UDP 192.0.2.1:5070");
    expect("sip:a@192.0.2.1;transport=tcp", 0, "TCP 192.0.2.1:5060");
    expect("sip:a@192.0.2.1;transport=TLS", 0, "TLS 192.0.2.1:5061");
    expect("sips:a@192.0.2.1", 0, "TLS 192.0.2.1:5061");
    expect("sips:a@192.0.2.1:5070;transport=tcp", 0, "TLS 192.0.2.1:5070");
    expect("sips:a@192.0.2.1;transport=udp", ERR_UNSUPPORTED, NULL);
    expect("sip:a@192.0.2.1;transport=carrier-pigeon", ERR_UNSUPPORTED, NULL);
    expect("tel:+15551234", ERR_UNSUPPORTED, NULL);
    assert_int_equal(w.n_asked, 0);
}

static void test_4_1_a_transport_that_is_not_spoken(void **state)
{
    (void)state;
    speak(SIP_TRANSPORT_TLS, 0);
    speak(SIP_TRANSPORT_UDP, 0);
    expect("sip:a@192.0.2.1;transport=tls", ERR_UNSUPPORTED, NULL);
    expect("sips:a@192.0.2.1", ERR_UNSUPPORTED, NULL);
    expect("sip:a@192.0.2.1", 0, "TCP 192.0.2.1:5060");
    assert_int_equal(w.n_asked, 0);
}

static void test_4_target_is_maddr(void **state)
{
    (void)state;
    expect("sip:a@example.com;maddr=192.0.2.9", 0, "UDP 192.0.2.9:5060");
    expect("sip:a@example.com:5080;maddr=gw.example", 0, "UDP 192.0.2.7:5080");
    assert_int_equal(w.n_asked, 0);
    w.zone = "maddr.example A 192.0.2.3";
    expect("sip:a@example.com;maddr=maddr.example", 0, "UDP 192.0.2.3:5060");
    assert_true(was_asked("maddr.example", DNS_TYPE_NAPTR));
    assert_false(was_asked("example.com", DNS_TYPE_NAPTR));
}

static void test_4_2_hosts(void **state)
{
    (void)state;
    expect("sip:a@localhost", 0, "UDP 127.0.0.1:5060, UDP [::1]:5060");
    expect("sip:a@LOCALHOST:5070;transport=tcp", 0, "TCP 127.0.0.1:5070, TCP [::1]:5070");
    expect("sip:alpha.example", 0, "UDP 127.0.0.1:5060");
    expect("sip:gw.example.", 0, "UDP 192.0.2.7:5060");
    expect("sip:a@[2001:db8::1]", 0, "UDP [2001:db8::1]:5060");
    assert_int_equal(w.n_asked, 0);
    expect("sip:a@nothing", ERR_NOTFOUND, NULL);
    expect("sip:a@gw.exampl", ERR_NOTFOUND, NULL);
}

/* RFC 6761 section 6.4, RFC 7118 appendix B.1 */
static void test_6761_invalid_is_nowhere_and_nobody_is_asked(void **state)
{
    (void)state;
    w.zone = "df7jal23ls0d.invalid A 192.0.2.1";
    expect("sip:a@df7jal23ls0d.invalid;transport=tcp", ERR_NOTFOUND, NULL);
    expect("sip:a@a.b.INVALID.", ERR_NOTFOUND, NULL);
    expect("sip:a@invalid", ERR_NOTFOUND, NULL);
    assert_int_equal(w.n_asked, 0);
    w.zone = "b.invalid.example A 192.0.2.1\nb.notinvalid A 192.0.2.2";
    expect("sip:a@b.invalid.example:5060", 0, "UDP 192.0.2.1:5060");
    expect("sip:a@b.notinvalid:5060", 0, "UDP 192.0.2.2:5060");
}

/* RFC 4475 section 3.3.10: never to a group or broadcast address that a message or a record names. */
static void test_no_group_addresses(void **state)
{
    (void)state;
    expect("sip:a@224.0.0.1", ERR_NOTFOUND, NULL);
    expect("sip:a@255.255.255.255", ERR_NOTFOUND, NULL);
    expect("sip:a@[ff02::1]", ERR_NOTFOUND, NULL);
    expect("sip:a@group", ERR_NOTFOUND, NULL);
    w.zone = "evil.example A 224.0.0.1\nevil.example A 0.0.0.0\nevil.example AAAA ff02::1\n"
             "evil.example A 192.0.2.1";
    expect("sip:a@evil.example:5060", 0, "UDP 192.0.2.1:5060");
}

static void test_files(void **state)
{
    (void)state;
    struct dns_hosts *table = NULL;
    struct addr addr;
    assert_int_equal(dns_hosts_load("/nonexistent/hosts", &table), 0);
    assert_int_equal(dns_hosts_find(table, SLICE("localhost"), &addr, 1), 0);
    dns_hosts_free(table);
    assert_int_equal(dns_hosts_load("/", &table), ERR_IO);
}

/* ---- 4.1 and 4.2 ---- */

static void test_4_1_naptr_chooses_transport_and_srv(void **state)
{
    (void)state;
    w.zone = "example.com NAPTR 50 50 s SIPS+D2T - _sips._tcp.example.com\n"
             "example.com NAPTR 90 50 s SIP+D2T - _sip._tcp.example.com\n"
             "example.com NAPTR 100 50 s SIP+D2U - _sip._udp.example.com\n"
             "_sip._tcp.example.com SRV 0 1 5060 server1.example.com\n"
             "_sip._tcp.example.com SRV 1 2 5062 server2.example.com\n"
             "_sips._tcp.example.com SRV 0 1 5081 server1.example.com\n"
             "server1.example.com A 192.0.2.1\n"
             "server2.example.com A 192.0.2.2\n"
             "server2.example.com AAAA 2001:db8::2";
    expect("sip:user@example.com", 0, "TLS 192.0.2.1:5081");
    expect("sips:user@example.com", 0, "TLS 192.0.2.1:5081");
    speak(SIP_TRANSPORT_TLS, 0);
    expect("sip:user@example.com", 0, "TCP 192.0.2.1:5060, TCP [2001:db8::2]:5062, TCP 192.0.2.2:5062");
    assert_false(was_asked("_sip._udp.example.com", DNS_TYPE_SRV));
}

static void test_4_1_equal_orders_are_tried_by_preference(void **state)
{
    (void)state;
    w.zone = "example.com NAPTR 10 20 s SIP+D2U - _sip._udp.example.net\n"
             "example.com NAPTR 10 10 s SIP+D2T - _sip._tcp.example.net\n"
             "example.com NAPTR 10 15 a SIP+D2T - direct.example.net\n"
             "_sip._udp.example.net SRV 0 1 5070 a.example.net\n"
             "_sip._tcp.example.net SRV 0 1 5071 a.example.net\n"
             "a.example.net A 192.0.2.1\n"
             "direct.example.net A 192.0.2.2";
    expect("sip:user@example.com", 0, "TCP 192.0.2.1:5071, TCP 192.0.2.2:5060, UDP 192.0.2.1:5070");
}

static void test_4_1_sips_uses_nothing_but_sips(void **state)
{
    (void)state;
    w.zone = "example.com NAPTR 10 10 s SIP+D2T - _sip._tcp.example.com\n"
             "_sip._tcp.example.com SRV 0 1 5060 a.example.com\n"
             "_sip._udp.example.com SRV 0 1 5060 a.example.com\n"
             "_sips._tcp.example.com SRV 0 1 5061 b.example.com\n"
             "a.example.com A 192.0.2.1\n"
             "b.example.com A 192.0.2.2";
    expect("sips:user@example.com", 0, "TLS 192.0.2.2:5061");
}

static void test_4_1_without_naptr_srv_of_each_transport(void **state)
{
    (void)state;
    w.zone = "_sip._tcp.example.com SRV 0 1 5070 a.example.com\na.example.com A 192.0.2.1";
    expect("sip:user@example.com", 0, "TCP 192.0.2.1:5070");
    assert_true(was_asked("_sip._udp.example.com", DNS_TYPE_SRV));
    assert_false(was_asked("_sips._tcp.example.com", DNS_TYPE_SRV));
    w.zone =
        "_sip._tcp.example.com SRV 0 1 5070 a.example.com\n_sip._udp.example.com SRV 9 1 5071 a.example.com\n"
        "a.example.com A 192.0.2.1";
    expect("sip:user@example.com", 0, "UDP 192.0.2.1:5071, TCP 192.0.2.1:5070");
}

static void test_4_2_without_srv_the_domain_itself(void **state)
{
    (void)state;
    w.zone = "example.com A 192.0.2.1\nexample.com AAAA 2001:db8::1";
    expect("sip:user@example.com", 0, "UDP [2001:db8::1]:5060, UDP 192.0.2.1:5060");
    expect("sips:user@example.com", 0, "TLS [2001:db8::1]:5061, TLS 192.0.2.1:5061");
    expect("sip:user@example.com;transport=tcp", 0, "TCP [2001:db8::1]:5060, TCP 192.0.2.1:5060");
    w.zone = "example.com NAPTR 10 10 s SIP+D2T - _sip._tcp.example.com\nexample.com A 192.0.2.1";
    expect("sip:user@example.com", 0, "TCP 192.0.2.1:5060");
}

static void test_4_2_an_explicit_port_asks_for_addresses_alone(void **state)
{
    (void)state;
    w.zone = "example.com NAPTR 10 10 s SIP+D2T - _sip._tcp.example.com\n"
             "_sip._udp.example.com SRV 0 1 5070 a.example.com\n"
             "example.com A 192.0.2.1\na.example.com A 192.0.2.2";
    expect("sip:user@example.com:5060", 0, "UDP 192.0.2.1:5060");
    expect("sips:user@example.com:5060", 0, "TLS 192.0.2.1:5060");
    assert_false(was_asked("example.com", DNS_TYPE_NAPTR));
    assert_false(was_asked("_sip._udp.example.com", DNS_TYPE_SRV));
}

static void test_4_2_an_explicit_transport_asks_for_its_srv(void **state)
{
    (void)state;
    w.zone = "example.com NAPTR 10 10 s SIP+D2U - _sip._udp.example.com\n"
             "_sip._udp.example.com SRV 0 1 5070 a.example.com\n"
             "_sip._tcp.example.com SRV 0 1 5071 a.example.com\n"
             "_sips._tcp.example.com SRV 0 1 5072 a.example.com\n"
             "_sip._ws.example.com SRV 0 1 8080 a.example.com\n"
             "a.example.com A 192.0.2.2";
    expect("sip:user@example.com;transport=tcp", 0, "TCP 192.0.2.2:5071");
    expect("sip:user@example.com;transport=tls", 0, "TLS 192.0.2.2:5072");
    expect("sips:user@example.com;transport=tcp", 0, "TLS 192.0.2.2:5072");
    expect("sip:user@example.com;transport=ws", 0, "WS 192.0.2.2:8080");
    assert_false(was_asked("example.com", DNS_TYPE_NAPTR));
}

static void test_2782_a_target_of_root_means_not_here(void **state)
{
    (void)state;
    w.zone = "_sip._udp.example.com SRV 0 0 0 .\nexample.com A 192.0.2.1";
    expect("sip:user@example.com", ERR_NOTFOUND, NULL);
    expect("sip:user@example.com;transport=udp", ERR_NOTFOUND, NULL);
    expect("sip:user@example.com;transport=tcp", 0, "TCP 192.0.2.1:5060");
}

static void test_families_without_a_listener_are_not_asked_for(void **state)
{
    (void)state;
    for (unsigned t = SIP_TRANSPORT_UDP; t <= SIP_TRANSPORT_WSS; t++)
        speak((enum sip_transport)t, DNS_IPV4);
    w.zone = "example.com A 192.0.2.1\nexample.com AAAA 2001:db8::1";
    expect("sip:user@example.com", 0, "UDP 192.0.2.1:5060");
    assert_false(was_asked("example.com", DNS_TYPE_AAAA));
    expect("sip:a@localhost", 0, "UDP 127.0.0.1:5060");
}

static void test_aliases_and_repetitions(void **state)
{
    (void)state;
    w.zone =
        "_sip._udp.example.com SRV 1 1 5060 a.example.com\n_sip._udp.example.com SRV 2 1 5060 b.example.com\n"
        "_sip._udp.example.com SRV 3 1 5061 a.example.com\n"
        "a.example.com A 192.0.2.1\nb.example.com CNAME a.example.com";
    expect("sip:user@example.com;transport=udp", 0, "UDP 192.0.2.1:5060, UDP 192.0.2.1:5061");
    w.zone = "example.com CNAME www.example.com\nwww.example.com CNAME example.com";
    expect("sip:user@example.com", ERR_NOTFOUND, NULL);
}

static void test_targets_of_srv_in_the_hosts_file(void **state)
{
    (void)state;
    w.zone = "_sip._udp.example.com SRV 1 1 5062 gw.example\ngw.example A 203.0.113.1";
    expect("sip:user@example.com;transport=udp", 0, "UDP 192.0.2.7:5062");
}

/* ---- 4.3: every one of them ---- */

static void test_4_3_more_than_20_records(void **state)
{
    static char zone[8192];
    struct sip_hop hops[DNS_HOPS_MAX];
    size_t len = 0, n = 0;

    (void)state;
    for (unsigned i = 0; i < 40; i++)
        len += (size_t)snprintf(
            zone + len, sizeof(zone) - len,
            "_sip._udp.example.com SRV %u 0 5060 h%u.example.com\nh%u.example.com A 192.0.2.%u\n", i, i, i,
            i + 1);
    w.zone = zone;
    for (w.n_failed = 0; w.n_failed < 40; w.n_failed += DNS_HOPS_STEP) {
        w.n_asked = 0;
        assert_int_equal(resolve("sip:a@example.com", hops, DNS_HOPS_MAX, &n), 0);
        assert_int_equal(n, w.n_failed + DNS_HOPS_STEP);
        for (unsigned i = 0; i < n; i++)
            assert_int_equal(hops[i].addr.ip[3], i + 1);
    }
    w.n_failed = 40;
    w.n_asked = 0;
    assert_int_equal(resolve("sip:a@example.com", hops, DNS_HOPS_MAX, &n), 0);
    assert_int_equal(n, 40);
    assert_int_equal(resolve("sip:a@example.com", hops, 16, &n), 0);
    assert_int_equal(n, 16);
}

/* 64 targets of the domain's own choosing; the first n_dead of them are not there. */
static void long_list(unsigned n_dead)
{
    static char zone[16384];
    size_t len = 0;

    for (unsigned i = 0; i < DNS_SRV_MAX; i++) {
        len += (size_t)snprintf(zone + len, sizeof(zone) - len,
                                "_sip._udp.example.com SRV %u 0 5060 h%u.example.com\n", i, i);
        if (i >= n_dead)
            len +=
                (size_t)snprintf(zone + len, sizeof(zone) - len, "h%u.example.com A 192.0.2.%u\n", i, i + 1);
    }
    w.zone = zone;
}

/* NAPTR, and SRV for UDP and TCP. */
#define QUESTIONS_BEFORE 3

static void test_4_2_a_long_list_is_asked_for_as_far_as_it_is_needed(void **state)
{
    struct sip_hop hops[DNS_HOPS_MAX];
    size_t n = 0;

    (void)state;
    long_list(0);
    assert_int_equal(resolve("sip:a@example.com", hops, DNS_HOPS_MAX, &n), 0);
    assert_int_equal(n, DNS_HOPS_STEP);
    assert_int_equal(w.n_asked, QUESTIONS_BEFORE + 2 * DNS_HOPS_STEP);
    assert_false(was_asked("h8.example.com", DNS_TYPE_A));
}

static void test_4_2_hosts_without_an_address_are_passed_over(void **state)
{
    struct sip_hop hops[DNS_HOPS_MAX];
    size_t n = 0;

    (void)state;
    long_list(10);
    assert_int_equal(resolve("sip:a@example.com", hops, DNS_HOPS_MAX, &n), 0);
    assert_int_equal(n, DNS_HOPS_STEP);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(hops[i].addr.ip[3], 11 + i);
}

static void test_a_list_of_names_that_do_not_exist_is_given_up(void **state)
{
    (void)state;
    long_list(DNS_SRV_MAX);
    expect("sip:a@example.com", ERR_NOTFOUND, NULL);
    assert_int_equal(w.n_asked, QUESTIONS_BEFORE + 2 * DNS_HOSTS_MAX);
}

/* A later target of a host that has been asked for must not come before one whose host has not. */
static void test_4_2_the_order_of_the_list_stays(void **state)
{
    static char zone[4096];
    struct sip_hop hops[DNS_HOPS_MAX];
    size_t len = 0, n = 0;

    (void)state;
    for (unsigned i = 0; i < 10; i++)
        len += (size_t)snprintf(zone + len, sizeof(zone) - len,
                                "_sip._udp.example.com SRV %u 0 5060 h%u.example.com\n_sip._tcp.example.com "
                                "SRV %u 0 5060 h%u.example.com\n"
                                "h%u.example.com A 192.0.2.%u\n",
                                i, i, i, i, i, i + 1);
    w.zone = zone;
    w.n_failed = DNS_HOPS_STEP;
    assert_int_equal(resolve("sip:a@example.com", hops, DNS_HOPS_MAX, &n), 0);
    assert_int_equal(n, 20);
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(hops[i].transport, i < 10 ? SIP_TRANSPORT_UDP : SIP_TRANSPORT_TCP);
        assert_int_equal(hops[i].addr.ip[3], i % 10 + 1);
    }
    w.n_failed = 0;
    assert_int_equal(resolve("sip:a@example.com", hops, DNS_HOPS_MAX, &n), 0);
    assert_int_equal(n, DNS_HOPS_STEP);
    assert_int_equal(hops[n - 1].transport, SIP_TRANSPORT_UDP);
}

static void test_limits_of_records(void **state)
{
    static char zone[65536];
    struct sip_hop hops[DNS_HOPS_MAX];
    size_t len = 0, n = 0;

    (void)state;
    for (unsigned i = 0; i < 300; i++)
        len += (size_t)snprintf(zone + len, sizeof(zone) - len,
                                "_sip._udp.example.com SRV 1 1 %u h.example.com\n", i + 1);
    for (unsigned i = 0; i < 100; i++)
        len += (size_t)snprintf(zone + len, sizeof(zone) - len, "h.example.com A 192.0.2.%u\n", i + 1);
    w.zone = zone;
    assert_int_equal(resolve("sip:a@example.com", hops, DNS_HOPS_MAX, &n), 0);
    assert_int_equal(n, DNS_HOPS_MAX);
    w.zone = strchr(zone, 'h');
    w.zone = strstr(zone, "\nh.example.com A") + 1;
    assert_int_equal(resolve("sip:a@h.example.com:5060", hops, DNS_HOPS_MAX, &n), 0);
    assert_int_equal(n, DNS_ADDRS_MAX);
}

/* ---- 4.4 ---- */

static void test_4_4_a_seed_is_an_order(void **state)
{
    struct sip_hop hops[DNS_HOPS_MAX], again[DNS_HOPS_MAX];
    unsigned firsts[2] = {0};
    size_t n, m;

    (void)state;
    for (w.seed = 0; w.seed < 1000; w.seed++) {
        w.zone = "_sip._udp.example.com SRV 1 1 5060 a.example.com\n_sip._udp.example.com SRV 1 1 5061 "
                 "a.example.com\n"
                 "a.example.com A 192.0.2.1\na.example.com A 192.0.2.2";
        assert_int_equal(resolve("sip:a@example.com", hops, DNS_HOPS_MAX, &n), 0);
        w.zone = "a.example.com A 192.0.2.2\na.example.com A 192.0.2.1\n"
                 "_sip._udp.example.com SRV 1 1 5061 a.example.com\n_sip._udp.example.com SRV 1 1 5060 "
                 "a.example.com";
        assert_int_equal(resolve("sip:a@example.com", again, DNS_HOPS_MAX, &m), 0);
        w.n_asked = 0;
        assert_int_equal(n, 4);
        assert_int_equal(m, 4);
        for (size_t i = 0; i < 4; i++)
            assert_true(addr_eq(&hops[i].addr, &again[i].addr));
        firsts[hops[0].addr.port - 5060]++;
    }
    assert_in_range(firsts[0], 250, 750);
}

static void test_4_4_what_failed_lately_counts_for_the_stateful_alone(void **state)
{
    struct sip_hop failed = {.transport = SIP_TRANSPORT_UDP};

    (void)state;
    w.zone =
        "_sip._udp.example.com SRV 1 1 5060 a.example.com\n_sip._udp.example.com SRV 2 1 5061 a.example.com\n"
        "a.example.com A 192.0.2.1";
    assert_int_equal(addr_parse(SLICE("192.0.2.1:5060"), &failed.addr), 0);
    dns_health_report(w.health, &failed, DNS_OUTCOME_TIMEOUT, w.wheel.now_ms, 0, 0);
    expect("sip:a@example.com", 0, "UDP 192.0.2.1:5061, UDP 192.0.2.1:5060");
    w.is_steady = true;
    expect("sip:a@example.com", 0, "UDP 192.0.2.1:5060, UDP 192.0.2.1:5061");
}

/* ---- RFC 5922 ---- */

static void test_5922_4_the_peer_must_prove_the_domain_of_the_uri(void **state)
{
    struct sip_hop hops[DNS_HOPS_MAX];
    char name[NET_NAME_MAX_BYTES + 1];
    size_t n;

    (void)state;
    w.zone = "example.com NAPTR 10 10 s SIPS+D2T - _sips._tcp.example.net\n"
             "_sips._tcp.example.net SRV 1 1 5061 a.example.org\na.example.org A 192.0.2.1";
    assert_int_equal(resolve("sips:a@Example.COM", hops, DNS_HOPS_MAX, &n), 0);
    assert_int_equal(net_names_text(w.names, hops[0].peer_name, name), 0);
    assert_string_equal(name, "example.com");
    assert_int_equal(resolve("sips:a@gw.example;maddr=192.0.2.1", hops, DNS_HOPS_MAX, &n), 0);
    assert_int_equal(net_names_text(w.names, hops[0].peer_name, name), 0);
    assert_string_equal(name, "gw.example");
    assert_int_equal(resolve("sip:a@192.0.2.1;transport=tls", hops, DNS_HOPS_MAX, &n), 0);
    assert_int_equal(net_names_text(w.names, hops[0].peer_name, name), 0);
    assert_string_equal(name, "192.0.2.1");
    assert_int_equal(resolve("sip:a@example.com;transport=tcp;maddr=192.0.2.1", hops, DNS_HOPS_MAX, &n), 0);
    assert_int_equal(hops[0].peer_name, NET_NAME_NONE);
}

/* ---- waiting ---- */

static void test_an_answer_that_comes_later(void **state)
{
    struct sip_hop hops[DNS_HOPS_MAX];
    size_t n;

    (void)state;
    w.is_late = true;
    w.zone = "_sip._udp.example.com SRV 1 1 5070 a.example.com\na.example.com A 192.0.2.1";
    assert_int_equal(resolve("sip:a@example.com", hops, DNS_HOPS_MAX, &n), ERR_AGAIN);
    assert_int_equal(w.n_told, 0);
    answer_all();
    assert_int_equal(w.n_told, 1);
    assert_int_equal(w.told_ticket, 42);
    assert_hops(w.told, w.n_told_hops, "UDP 192.0.2.1:5070");
    assert_int_equal(dns_resolver_pending(w.resolver), 0);
    timer_wheel_advance(&w.wheel, w.wheel.now_ms + 60000);
    assert_int_equal(w.n_told, 1);
}

static void test_a_name_that_is_not_there_is_told_later_too(void **state)
{
    struct sip_hop hops[DNS_HOPS_MAX];
    size_t n;

    (void)state;
    w.is_late = true;
    assert_int_equal(resolve("sip:a@example.com", hops, DNS_HOPS_MAX, &n), ERR_AGAIN);
    answer_all();
    assert_int_equal(w.n_told, 1);
    assert_int_equal(w.told_err, ERR_NOTFOUND);
}

/* Some servers do not answer for types that they do not know. */
static void test_a_step_without_an_answer_is_given_up(void **state)
{
    struct sip_hop hops[DNS_HOPS_MAX];
    size_t n;

    (void)state;
    w.zone =
        "example.com NAPTR !\n_sip._udp.example.com SRV !\n"
        "_sip._tcp.example.com SRV 1 1 5070 a.example.com\na.example.com A 192.0.2.1\na.example.com AAAA !";
    assert_int_equal(resolve("sip:a@example.com", hops, DNS_HOPS_MAX, &n), ERR_AGAIN);
    timer_wheel_advance(&w.wheel, w.wheel.now_ms + 2000);
    assert_true(was_asked("_sip._tcp.example.com", DNS_TYPE_SRV));
    timer_wheel_advance(&w.wheel, w.wheel.now_ms + 2000);
    assert_int_equal(w.n_told, 0);
    timer_wheel_advance(&w.wheel, w.wheel.now_ms + 1999);
    assert_int_equal(w.n_told, 0);
    timer_wheel_advance(&w.wheel, w.wheel.now_ms + 1);
    assert_int_equal(w.n_told, 1);
    assert_hops(w.told, w.n_told_hops, "TCP 192.0.2.1:5070");
}

static void test_a_question_that_cannot_be_asked_is_one_without_an_answer(void **state)
{
    (void)state;
    w.zone = "example.com NAPTR ?\n_sip._udp.example.com SRV 1 1 5070 a.example.com\na.example.com AAAA ?\n"
             "a.example.com A 192.0.2.1";
    expect("sip:a@example.com", 0, "UDP 192.0.2.1:5070");
}

static void test_lookups_that_wait_are_limited(void **state)
{
    struct sip_hop hops[DNS_HOPS_MAX];
    size_t n;

    (void)state;
    w.is_late = true;
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(resolve("sip:a@example.com", hops, DNS_HOPS_MAX, &n), ERR_AGAIN);
    assert_int_equal(resolve("sip:a@example.com", hops, DNS_HOPS_MAX, &n), ERR_LIMIT);
    assert_int_equal(resolve("sip:a@192.0.2.1", hops, DNS_HOPS_MAX, &n), 0);
    make_resolver(); /* what waits ends with its resolver, untold */
    assert_int_equal(w.n_told, 0);
}

static struct addr addr_of(const char *text)
{
    struct addr addr;

    assert_int_equal(addr_parse(slice_from_cstr(text), &addr), 0);
    return addr;
}

static void test_lookups_because_of_one_source_are_limited(void **state)
{
    struct addr one = addr_of("192.0.2.1:5060"), same = addr_of("192.0.2.1:1024"),
                six = addr_of("[2001:db8::1]:5060"), same_net = addr_of("[2001:db8::ffff:2]:5060"),
                other = addr_of("192.0.2.2:5060");
    struct sip_hop hops[DNS_HOPS_MAX];
    size_t n;

    (void)state;
    w.is_late = true;
    assert_int_equal(resolve_for("sip:a@example.com", &one, hops, DNS_HOPS_MAX, &n), ERR_AGAIN);
    assert_int_equal(resolve_for("sip:a@example.com", &same, hops, DNS_HOPS_MAX, &n), ERR_AGAIN);
    assert_int_equal(resolve_for("sip:a@example.com", &one, hops, DNS_HOPS_MAX, &n), ERR_LIMIT);
    assert_int_equal(counter_get(&w.counters, COUNTER_LOOKUPS_SHED), 1);
    assert_int_equal(resolve_for("sip:a@192.0.2.1", &one, hops, DNS_HOPS_MAX, &n), 0);
    assert_int_equal(resolve_for("sip:a@example.com", &other, hops, DNS_HOPS_MAX, &n), ERR_AGAIN);
    assert_int_equal(resolve("sip:a@example.com", hops, DNS_HOPS_MAX, &n), ERR_AGAIN);
    answer_all();
    assert_int_equal(dns_resolver_pending(w.resolver), 0);
    assert_int_equal(resolve_for("sip:a@example.com", &one, hops, DNS_HOPS_MAX, &n), ERR_AGAIN);
    assert_int_equal(resolve_for("sip:a@example.com", &six, hops, DNS_HOPS_MAX, &n), ERR_AGAIN);
    assert_int_equal(resolve_for("sip:a@example.com", &same_net, hops, DNS_HOPS_MAX, &n), ERR_AGAIN);
    assert_int_equal(resolve_for("sip:a@example.com", &six, hops, DNS_HOPS_MAX, &n), ERR_LIMIT);
    make_resolver();
}

static void test_hosts_that_no_dns_knows(void **state)
{
    char text[600] = "sip:a@";

    (void)state;
    for (size_t i = 6; i < 306; i++)
        text[i] = i % 50 == 49 ? '.' : 'a';
    expect(text, ERR_LIMIT, NULL);
    assert_int_equal(w.n_asked, 0);
}

static void test_out_of_memory(void **state)
{
    int rc = ERR_NOMEM;

    (void)state;
    for (int64_t n = 0; rc == ERR_NOMEM; n++) {
        struct dns_hosts *table = NULL;
        mem_fail_after(n);
        rc = dns_hosts_parse(slice_from_cstr(hosts_text), &table);
        mem_fail_after(-1);
        if (rc == 0)
            dns_hosts_free(table);
        assert_true(n < 10);
    }
    assert_int_equal(rc, 0);
    w.zone = "example.com NAPTR 10 10 s SIP+D2U - _sip._udp.example.com\n"
             "_sip._udp.example.com SRV 1 1 5070 a.example.com\na.example.com A 192.0.2.1";
    rc = ERR_NOMEM;
    for (int64_t n = 0; rc != 0; n++) {
        struct sip_hop hops[DNS_HOPS_MAX];
        size_t count;

        make_resolver();
        mem_fail_after(n);
        rc = resolve("sip:a@example.com", hops, DNS_HOPS_MAX, &count);
        mem_fail_after(-1);
        assert_true(rc == 0 || rc == ERR_NOMEM || rc == ERR_NOTFOUND);
        assert_true(n < 20);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_4_1_transport, setup, teardown),
        cmocka_unit_test_setup_teardown(test_4_1_a_transport_that_is_not_spoken, setup, teardown),
        cmocka_unit_test_setup_teardown(test_4_target_is_maddr, setup, teardown),
        cmocka_unit_test_setup_teardown(test_4_2_hosts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_group_addresses, setup, teardown),
        cmocka_unit_test(test_files),
        cmocka_unit_test_setup_teardown(test_6761_invalid_is_nowhere_and_nobody_is_asked, setup, teardown),
        cmocka_unit_test_setup_teardown(test_4_1_naptr_chooses_transport_and_srv, setup, teardown),
        cmocka_unit_test_setup_teardown(test_4_1_equal_orders_are_tried_by_preference, setup, teardown),
        cmocka_unit_test_setup_teardown(test_4_1_sips_uses_nothing_but_sips, setup, teardown),
        cmocka_unit_test_setup_teardown(test_4_1_without_naptr_srv_of_each_transport, setup, teardown),
        cmocka_unit_test_setup_teardown(test_4_2_without_srv_the_domain_itself, setup, teardown),
        cmocka_unit_test_setup_teardown(test_4_2_an_explicit_port_asks_for_addresses_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_4_2_an_explicit_transport_asks_for_its_srv, setup, teardown),
        cmocka_unit_test_setup_teardown(test_2782_a_target_of_root_means_not_here, setup, teardown),
        cmocka_unit_test_setup_teardown(test_families_without_a_listener_are_not_asked_for, setup, teardown),
        cmocka_unit_test_setup_teardown(test_aliases_and_repetitions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_targets_of_srv_in_the_hosts_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_4_3_more_than_20_records, setup, teardown),
        cmocka_unit_test_setup_teardown(test_4_2_a_long_list_is_asked_for_as_far_as_it_is_needed, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_4_2_hosts_without_an_address_are_passed_over, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_list_of_names_that_do_not_exist_is_given_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_4_2_the_order_of_the_list_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lookups_because_of_one_source_are_limited, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limits_of_records, setup, teardown),
        cmocka_unit_test_setup_teardown(test_4_4_a_seed_is_an_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_4_4_what_failed_lately_counts_for_the_stateful_alone, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_5922_4_the_peer_must_prove_the_domain_of_the_uri, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_an_answer_that_comes_later, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_name_that_is_not_there_is_told_later_too, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_step_without_an_answer_is_given_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_question_that_cannot_be_asked_is_one_without_an_answer, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_lookups_that_wait_are_limited, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hosts_that_no_dns_knows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_out_of_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
