/* RFC 3263 section 5: what the sent-by of a Via asks the DNS for, and how a response gets about. */
#include "world.h"

static struct {
    struct world w;
    struct sip_uri uri; /* of the last question */
    char host[64], transport[16];
    struct sip_hop hops[4];
    size_t n_hops;
    int err;
    unsigned n_asked;
} t;

static int resolve(void *ctx, const struct proxy_lookup *lookup, struct sip_hop ret_hops[PROXY_HOPS_MAX],
                   size_t *ret_count)
{
    (void)ctx;
    t.uri = *lookup->uri;
    t.n_asked++;
    t.w.ticket = lookup->ticket;
    snprintf(t.host, sizeof(t.host), "%.*s", SLICE_ARG(t.uri.host));
    snprintf(t.transport, sizeof(t.transport), "%.*s", SLICE_ARG(t.uri.transport_text));
    memcpy(ret_hops, t.hops, t.n_hops * sizeof(t.hops[0]));
    *ret_count = t.n_hops;
    return t.err;
}

static void start(void)
{
    memset(&t, 0, sizeof(t));
    world_init(&t.w);
    t.w.ports.resolve = resolve;
    world_start(&t.w);
}

static void set_hops(const char *first, const char *second)
{
    t.hops[t.n_hops++] = (struct sip_hop){.addr = addr_of(first), .transport = SIP_TRANSPORT_UDP};
    if (second)
        t.hops[t.n_hops++] = (struct sip_hop){.addr = addr_of(second), .transport = SIP_TRANSPORT_UDP};
}

static bool begin(const char *via, uint64_t server)
{
    const struct sip_hop failed = hop_from(UDP4, ALICE, 0);
    char text[512];
    struct wire *wire;
    bool has_begun;

    snprintf(text, sizeof(text),
             "SIP/2.0 200 OK\r\nVia: %s;branch=z9hG4bKa\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\n"
             "Call-ID: call1\r\nCSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n",
             via);
    wire = wire_from(slice_from_cstr(text));
    assert_non_null(wire);
    has_begun = proxy_backup_begin(t.w.proxy, &failed, wire, server);
    wire_unref(wire);
    return has_begun;
}

static void asks_for(const char *via, const char *host, uint16_t port, const char *transport)
{
    start();
    set_hops("198.51.100.1:5060", NULL);
    assert_true(begin(via, 0));
    assert_int_equal(t.n_asked, 1);
    assert_int_equal(t.uri.scheme, SIP_SCHEME_SIP);
    assert_true(slice_is_null(t.uri.maddr));
    assert_string_equal(t.host, host);
    assert_int_equal(t.uri.port, port);
    assert_string_equal(t.transport, transport);
    assert_goes_to(take_starting(&t.w, "SIP/2.0 200 "), "198.51.100.1:5060");
    world_stop(&t.w);
}

static void rfc3263_5_sent_by_is_the_question(void **state)
{
    (void)state;
    asks_for("SIP/2.0/UDP pc33.example.com", "pc33.example.com", 0, "udp");
    asks_for("SIP/2.0/UDP pc33.example.com:5070", "pc33.example.com", 5070, "udp");
    asks_for("SIP/2.0/TCP pc33.example.com", "pc33.example.com", 0, "tcp");
    asks_for("SIP/2.0/UDP 198.51.100.7:5070;received=192.0.2.10", "198.51.100.7", 5070, "udp");
}

static void rfc3263_5_tls_in_the_via_stays_tls(void **state)
{
    (void)state;
    asks_for("SIP/2.0/TLS pc33.example.com", "pc33.example.com", 0, "tls");
    assert_int_equal(t.uri.transport, SIP_TRANSPORT_TLS);
}

static void an_unknown_transport_has_no_backup(void **state)
{
    (void)state;
    start();
    assert_false(begin("SIP/2.0/XYZ pc33.example.com", 0));
    assert_int_equal(t.n_asked, 0);
    world_stop(&t.w);
}

static void a_name_that_is_not_there_is_none_either(void **state)
{
    (void)state;
    start();
    t.err = ERR_NOTFOUND;
    assert_false(begin("SIP/2.0/UDP pc33.example.com", 0));
    world_stop(&t.w);
}

static void the_address_that_failed_is_not_tried_again(void **state)
{
    (void)state;
    start();
    set_hops(ALICE, "198.51.100.2:5060");
    assert_true(begin("SIP/2.0/UDP pc33.example.com", 0));
    assert_goes_to(take_starting(&t.w, "SIP/2.0 200 "), "198.51.100.2:5060");
    assert_silence(&t.w);
    world_stop(&t.w);
}

static void the_next_one_when_it_is_told_that_one_failed(void **state)
{
    const struct sent *sent;

    (void)state;
    start();
    set_hops("198.51.100.1:5060", "198.51.100.2:5060");
    assert_true(begin("SIP/2.0/UDP pc33.example.com", 0));
    sent = take_starting(&t.w, "SIP/2.0 200 ");
    proxy_send_failed(t.w.proxy, sent->token);
    assert_goes_to(take_starting(&t.w, "SIP/2.0 200 "), "198.51.100.2:5060");
    proxy_send_failed(t.w.proxy, sent->token);
    assert_silence(&t.w);
    assert_int_equal(t.w.proxy->n_backups, 0);
    world_stop(&t.w);
}

static void an_answer_that_comes_later_and_one_that_never_comes(void **state)
{
    (void)state;
    start();
    set_hops("198.51.100.1:5060", NULL);
    t.err = ERR_AGAIN;
    assert_true(begin("SIP/2.0/UDP pc33.example.com", 0));
    assert_silence(&t.w);
    proxy_resolved(t.w.proxy, t.w.ticket, 0, t.hops, t.n_hops);
    (void)take_starting(&t.w, "SIP/2.0 200 ");
    assert_true(begin("SIP/2.0/UDP pc34.example.com", 0));
    proxy_resolved(t.w.proxy, t.w.ticket, ERR_NOTFOUND, NULL, 0);
    assert_true(begin("SIP/2.0/UDP pc35.example.com", 0));
    world_advance(&t.w, 64 * 500);
    assert_int_equal(t.w.proxy->n_backups, 0);
    assert_silence(&t.w);
    world_stop(&t.w);
}

static void there_are_no_more_than_so_many(void **state)
{
    (void)state;
    start();
    set_hops("198.51.100.1:5060", NULL);
    for (unsigned i = 0; i < PROXY_BACKUPS_MAX; i++)
        assert_true(begin("SIP/2.0/UDP pc33.example.com", 0));
    assert_false(begin("SIP/2.0/UDP pc33.example.com", 0));
    world_stop(&t.w);
}

static void what_waits_ends_with_the_proxy(void **state)
{
    (void)state;
    start();
    set_hops("198.51.100.1:5060", NULL);
    assert_true(begin("SIP/2.0/UDP pc33.example.com", 0));
    proxy_free(t.w.proxy);
    assert_int_equal(mem_held_bytes(), t.w.held_before);
    free(t.w.sent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc3263_5_sent_by_is_the_question),
        cmocka_unit_test(rfc3263_5_tls_in_the_via_stays_tls),
        cmocka_unit_test(an_unknown_transport_has_no_backup),
        cmocka_unit_test(a_name_that_is_not_there_is_none_either),
        cmocka_unit_test(the_address_that_failed_is_not_tried_again),
        cmocka_unit_test(the_next_one_when_it_is_told_that_one_failed),
        cmocka_unit_test(an_answer_that_comes_later_and_one_that_never_comes),
        cmocka_unit_test(there_are_no_more_than_so_many),
        cmocka_unit_test(what_waits_ends_with_the_proxy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
