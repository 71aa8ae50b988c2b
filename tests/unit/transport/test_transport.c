/* RFC 3261 section 18 on real sockets of the loopback: framing, connection reuse, limits, failures. One
 * transport runs on a loop that the test turns by hand; peers are plain sockets. */
#include "base/mem.h"
#include "net/sockaddr.h"
#include "transport/transport.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define RECEIVED_MAX 64

struct rig {
    struct net_loop *loop;
    struct transport_registry *registry;
    struct transport *transport;
    struct counters counters;
    struct addr udp, tcp;

    struct {
        char text[256];
        struct sip_hop hop;
        bool datagram;
    } received[RECEIVED_MAX];
    size_t n_received;
    unsigned bad_status;
    uint64_t failed[RECEIVED_MAX];
    size_t n_failed;
    size_t n_refused;
    unsigned handed_to;
    size_t n_handed;
};

static struct rig *rig;
static size_t rig_total = 100; /* connections of all workers */

static const char options[] = "OPTIONS sip:a SIP/2.0\r\nCall-ID: 1\r\nContent-Length: 4\r\n\r\nbody";

static void on_receive(void *ctx, struct slice bytes, const struct sip_hop *from, bool datagram)
{
    struct rig *r = ctx;
    assert_true(r->n_received < RECEIVED_MAX);
    snprintf(r->received[r->n_received].text, sizeof(r->received[0].text), "%.*s", SLICE_ARG(bytes));
    r->received[r->n_received].hop = *from;
    r->received[r->n_received].datagram = datagram;
    r->n_received++;
}

static void on_bad(void *ctx, struct slice head, const struct sip_hop *from, unsigned status,
                   const char *phrase)
{
    struct rig *r = ctx;
    (void)head;
    (void)from;
    assert_non_null(phrase);
    r->bad_status = status;
}

static void on_failed(void *ctx, uint64_t token)
{
    struct rig *r = ctx;
    assert_true(r->n_failed < RECEIVED_MAX);
    r->failed[r->n_failed++] = token;
}

static void on_refused(void *ctx, struct slice head)
{
    struct rig *r = ctx;
    assert_true(slice_starts_with(head, SLICE("OPTIONS")));
    r->n_refused++;
}

static int on_other(void *ctx, unsigned worker, const struct sip_hop *hop, struct wire *wire, uint64_t token)
{
    struct rig *r = ctx;
    (void)hop;
    (void)wire;
    (void)token;
    r->handed_to = worker;
    r->n_handed++;
    return 0;
}

static const struct transport_ops ops = {.receive = on_receive,
                                         .bad = on_bad,
                                         .send_failed = on_failed,
                                         .refused = on_refused,
                                         .other_worker = on_other};

static const struct transport_limits default_limits = {
    .connections = 8,
    .idle_ms = 60000,
    .connect_ms = 2000,
    .partial_ms = 60000,
    .input_buffer_bytes = 256 * 1024,
    .output_queue_bytes = 64 * 1024,
    .udp_queue_bytes = 1024 * 1024,
};

/* A port that is free for both protocols now. */
static uint16_t free_port(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct addr any;
    assert_int_equal(addr_parse(SLICE("127.0.0.1"), &any), 0);
    struct sockaddr_storage ss;
    socklen_t len = net_sockaddr_from_addr(&any, &ss);
    assert_int_equal(bind(fd, (struct sockaddr *)&ss, len), 0);
    len = sizeof(ss);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
    assert_int_equal(net_addr_from_sockaddr(&ss, &any), 0);
    close(fd);
    return any.port;
}

static void rig_start(struct transport_limits limits, size_t per_source)
{
    rig = test_calloc(1, sizeof(*rig));
    limits.sip = sip_limits_default;
    const struct hash_key key = {1, 2};
    assert_int_equal(net_loop_new(&rig->loop), 0);
    assert_int_equal(transport_registry_new(&key, rig_total, per_source, &rig->registry), 0);
    assert_int_equal(addr_parse(SLICE("127.0.0.1"), &rig->udp), 0);
    rig->udp.port = free_port();
    rig->tcp = rig->udp;
    const struct transport_listener listeners[] = {{SIP_TRANSPORT_UDP, 0, rig->udp},
                                                   {SIP_TRANSPORT_TCP, 0, rig->tcp}};
    struct transport_opts opts = {.worker = 3,
                                  .loop = rig->loop,
                                  .listeners = listeners,
                                  .n_listeners = 2,
                                  .limits = limits,
                                  .registry = rig->registry,
                                  .counters = &rig->counters,
                                  .ops = &ops,
                                  .ctx = rig};
    size_t failed;
    assert_int_equal(transport_new(&opts, &failed, &rig->transport), 0);
}

static int rig_stop(void **state)
{
    (void)state;
    transport_free(rig->transport);
    transport_registry_free(rig->registry);
    net_loop_free(rig->loop);
    test_free(rig);
    rig = NULL;
    assert_int_equal(mem_held_bytes(), 0);
    return 0;
}

static int rig_default(void **state)
{
    (void)state;
    rig_start(default_limits, 8);
    return 0;
}

/* Turns the loop until the condition holds. */
#define PATIENCE_MS 20000
#define WAIT_FOR(condition)                                                                                  \
    do {                                                                                                     \
        ms_t give_up = clock_monotonic_ms() + PATIENCE_MS;                                                   \
        while (!(condition)) {                                                                               \
            assert_true(clock_monotonic_ms() < give_up);                                                     \
            net_loop_turn(rig->loop, clock_monotonic_ms() + 5);                                              \
        }                                                                                                    \
    } while (0)

static void turn_for(ms_t ms)
{
    for (ms_t end = clock_monotonic_ms() + ms; clock_monotonic_ms() < end;)
        net_loop_turn(rig->loop, clock_monotonic_ms() + 2);
    for (int i = 0; i < 3; i++) /* whatever there is, however long this process did not run */
        net_loop_turn(rig->loop, 0);
}

static int peer_connect(void)
{
    struct sockaddr_storage ss;
    socklen_t len = net_sockaddr_from_addr(&rig->tcp, &ss);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&ss, len), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static void peer_write(int fd, const void *data, size_t len)
{
    assert_int_equal(write(fd, data, len), (ssize_t)len);
}

/* Everything the peer gets until it has `want` octets, or end of file (then -1 in *ret_end). */
static size_t peer_read(int fd, char *out, size_t want, bool *ret_end)
{
    size_t got = 0;
    *ret_end = false;
    for (ms_t give_up = clock_monotonic_ms() + PATIENCE_MS; got < want && clock_monotonic_ms() < give_up;) {
        net_loop_turn(rig->loop, clock_monotonic_ms() + 2);
        ssize_t n = read(fd, out + got, want - got);
        if (n == 0 || (n < 0 && errno == ECONNRESET)) {
            *ret_end = true;
            break;
        }
        if (n > 0)
            got += (size_t)n;
    }
    return got;
}

static bool peer_is_closed(int fd)
{
    char octet;
    bool end;
    return peer_read(fd, &octet, 1, &end) == 0 && end;
}

/* A listening peer; *ret_addr is where. */
static int peer_listen(struct addr *ret_addr)
{
    struct addr addr;
    assert_int_equal(addr_parse(SLICE("127.0.0.1"), &addr), 0);
    struct sockaddr_storage ss;
    socklen_t len = net_sockaddr_from_addr(&addr, &ss);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&ss, len), 0);
    assert_int_equal(listen(fd, 8), 0);
    len = sizeof(ss);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
    assert_int_equal(net_addr_from_sockaddr(&ss, ret_addr), 0);
    return fd;
}

static int send_text(const struct sip_hop *hop, struct slice text, uint64_t token)
{
    struct wire *wire = wire_from(text);
    assert_non_null(wire);
    int rc = transport_send(rig->transport, hop, wire, token);
    wire_unref(wire);
    return rc;
}

/* ---- datagrams ---- */

static int udp_peer(struct addr *ret_addr)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    struct addr addr;
    assert_int_equal(addr_parse(SLICE("127.0.0.1"), &addr), 0);
    struct sockaddr_storage ss;
    socklen_t len = net_sockaddr_from_addr(&addr, &ss);
    assert_int_equal(bind(fd, (struct sockaddr *)&ss, len), 0);
    len = sizeof(ss);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
    assert_int_equal(net_addr_from_sockaddr(&ss, ret_addr), 0);
    ss = (struct sockaddr_storage){0};
    len = net_sockaddr_from_addr(&rig->udp, &ss);
    assert_int_equal(connect(fd, (struct sockaddr *)&ss, len), 0);
    return fd;
}

static void test_udp_both_ways(void **state)
{
    (void)state;
    struct addr peer;
    int fd = udp_peer(&peer);
    peer_write(fd, options, sizeof(options) - 1);
    WAIT_FOR(rig->n_received == 1);
    assert_string_equal(rig->received[0].text, options);
    assert_true(rig->received[0].datagram);
    assert_true(addr_eq(&rig->received[0].hop.addr, &peer));

    /* connect() filters: the answer must come from the listener's own address and port (section 18.2.2, RFC
     * 3581 section 4). */
    assert_int_equal(send_text(&rig->received[0].hop, SLICE("SIP/2.0 200 OK\r\n\r\n"), 0), 0);
    char answer[64];
    ssize_t n = -1;
    WAIT_FOR((n = read(fd, answer, sizeof(answer))) > 0);
    assert_int_equal(n, 18);
    close(fd);
}

#define MARKED "0123456789abfedcba9876543210\r\nCall-ID: a-call-of-ours-1\r\nCSeq: 1 "

/* And only those: another request with the same tag is received, and after the end they are again. */
static void test_udp_acks_with_a_mark_are_absorbed_until_the_end(void **state)
{
    static const char ack[] =
        "ACK sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n"
        "From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=" MARKED "ACK\r\n\r\n";
    static const char bye[] =
        "BYE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK2\r\n"
        "From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=" MARKED "BYE\r\n\r\n";
    struct addr peer;
    int fd = udp_peer(&peer);

    (void)state;
    transport_absorb(rig->transport, SLICE("0123456789ab"));
    peer_write(fd, ack, sizeof(ack) - 1);
    peer_write(fd, bye, sizeof(bye) - 1);
    WAIT_FOR(rig->n_received == 1);
    assert_string_equal(rig->received[0].text, bye);
    transport_absorb(rig->transport, SLICE_NULL);
    peer_write(fd, ack, sizeof(ack) - 1);
    WAIT_FOR(rig->n_received == 2);
    assert_string_equal(rig->received[1].text, ack);
    close(fd);
}

/* RFC 5626 section 3.5.1, RFC 3261 section 7.5: CRLF alone is no message. */
static void test_udp_keepalive_is_no_message(void **state)
{
    (void)state;
    struct addr peer;
    int fd = udp_peer(&peer);
    peer_write(fd, "\r\n\r\n", 4);
    WAIT_FOR(counter_get(&rig->counters, COUNTER_RX_KEEPALIVES) == 1);
    assert_int_equal(rig->n_received, 0);
    close(fd);
}

/* RFC 5626 section 8; and no more than so many a second for one source, who may not be who asks. */
static void test_stun_is_answered_on_the_sip_port(void **state)
{
    (void)state;
    static const char request[] = "\x00\x01\x00\x00\x21\x12\xa4\x42"
                                  "123456789012";
    struct addr peer;
    char answer[64];
    int fd = udp_peer(&peer);
    peer_write(fd, request, 20);
    WAIT_FOR(counter_get(&rig->counters, COUNTER_RX_KEEPALIVES) == 1);
    ssize_t len = -1;
    WAIT_FOR((len = recv(fd, answer, sizeof(answer), MSG_DONTWAIT)) >= 0);
    assert_int_equal(len, 32);
    assert_memory_equal(answer, "\x01\x01\x00\x0c", 4);
    assert_int_equal(rig->n_received, 0);
    unsigned answered = 0;
    for (unsigned i = 1; i <= 800; i++) {
        peer_write(fd, request, 20);
        if (i % 50 != 0)
            continue;
        WAIT_FOR(counter_get(&rig->counters, COUNTER_RX_KEEPALIVES) == i + 1);
        while (recv(fd, answer, sizeof(answer), MSG_DONTWAIT) >= 0)
            answered++;
    }
    assert_in_range(answered, 150, 600);
    close(fd);
}

/* Section 18.4: ICMP port unreachable comes back with the head of the datagram. */
static void test_udp_port_unreachable_is_told(void **state)
{
    (void)state;
    struct sip_hop hop = {.addr = rig->udp, .listener = 0, .transport = SIP_TRANSPORT_UDP};
    hop.addr.port = free_port();
    assert_int_equal(send_text(&hop, slice_from_cstr(options), 7), 0);
    WAIT_FOR(rig->n_refused == 1);
}

/* ---- streams ---- */

static void test_tcp_split_and_joined(void **state)
{
    (void)state;
    int fd = peer_connect();
    for (size_t i = 0; i < sizeof(options) - 1; i++) {
        peer_write(fd, options + i, 1);
        if (i % 8 == 0)
            turn_for(2);
    }
    WAIT_FOR(rig->n_received == 1);
    assert_string_equal(rig->received[0].text, options);
    assert_false(rig->received[0].datagram);

    char three[3 * sizeof(options)] = "";
    for (int i = 0; i < 3; i++)
        strcat(three, options);
    peer_write(fd, three, strlen(three) - 10); /* two and a half ... */
    WAIT_FOR(rig->n_received == 3);
    turn_for(10);
    assert_int_equal(rig->n_received, 3);
    peer_write(fd, three + strlen(three) - 10, 10);
    WAIT_FOR(rig->n_received == 4);
    assert_string_equal(rig->received[3].text, options);
    assert_true(rig->received[3].hop.flow == rig->received[0].hop.flow &&
                rig->received[0].hop.flow != SIP_FLOW_NONE);
    assert_int_equal(transport_flow_worker(rig->received[0].hop.flow), 3);
    close(fd);
}

/* Section 18.2.2: a response goes by the connection that its request came by. */
static void test_tcp_response_on_same_connection(void **state)
{
    (void)state;
    int fd = peer_connect();
    peer_write(fd, options, sizeof(options) - 1);
    WAIT_FOR(rig->n_received == 1);
    /* The address says where to open another one to when it is gone: the port of sent-by (section 18.2.2). */
    struct sip_hop back = rig->received[0].hop;
    back.addr.port = free_port();
    assert_int_equal(send_text(&back, SLICE("SIP/2.0 200 OK\r\n\r\n"), 0), 0);
    char answer[19] = "";
    bool end;
    assert_int_equal(peer_read(fd, answer, 18, &end), 18);
    assert_string_equal(answer, "SIP/2.0 200 OK\r\n\r\n");
    close(fd);
}

/* RFC 5626 section 3.5.1: a double CRLF is answered by a single one, also when it comes in pieces; one CRLF
 * is not. */
static void test_tcp_keepalive_pong(void **state)
{
    (void)state;
    int fd = peer_connect();
    char pong[8];
    bool end;
    peer_write(fd, "\r\n\r\n", 4);
    assert_int_equal(peer_read(fd, pong, 2, &end), 2);
    assert_memory_equal(pong, "\r\n", 2);
    peer_write(fd, "\r\n", 2);
    turn_for(20);
    assert_int_equal(read(fd, pong, sizeof(pong)), -1);
    peer_write(fd, "\r\n", 2);
    assert_int_equal(peer_read(fd, pong, 2, &end), 2);
    close(fd);
}

/* Section 18.3: without a Content-Length the end of a message on a stream is unknown: answered 400 and
 * closed. */
static void test_tcp_lost_framing_closes(void **state)
{
    (void)state;
    int fd = peer_connect();
    static const char bad[] = "OPTIONS sip:a SIP/2.0\r\nCall-ID: 1\r\n\r\n";
    peer_write(fd, bad, sizeof(bad) - 1);
    assert_true(peer_is_closed(fd));
    assert_int_equal(rig->bad_status, 400);
    assert_int_equal(rig->n_received, 0);
    WAIT_FOR(transport_connections(rig->transport) == 0);
    close(fd);
}

/* Section 18.2.2: what was asked before the peer ended its side, or lost its framing, is answered on the same
 * connection. */
static void test_tcp_answers_after_the_end_of_requests(void **state)
{
    (void)state;
    static const char bad[] = "OPTIONS sip:a SIP/2.0\r\nCall-ID: 1\r\n\r\n";
    for (int loses_framing = 0; loses_framing < 2; loses_framing++) {
        int fd = peer_connect();
        char answer[18];
        bool end;
        rig->n_received = 0;
        peer_write(fd, options, sizeof(options) - 1);
        if (loses_framing)
            peer_write(fd, bad, sizeof(bad) - 1);
        else
            shutdown(fd, SHUT_WR);
        WAIT_FOR(rig->n_received == 1);
        turn_for(50);
        assert_int_equal(send_text(&rig->received[0].hop, SLICE("SIP/2.0 200 OK\r\n\r\n"), 0), 0);
        assert_int_equal(peer_read(fd, answer, 18, &end), 18);
        assert_true(peer_is_closed(fd));
        assert_int_equal(rig->n_received, 1);
        close(fd);
    }
}

/* Section 18.1.1: a request to an address that a connection exists with goes over that connection, whoever
 * opened it. */
static void test_tcp_reuse(void **state)
{
    (void)state;
    struct addr peer;
    int listening = peer_listen(&peer);
    struct sip_hop hop = {.addr = peer, .listener = 1, .transport = SIP_TRANSPORT_TCP};
    for (int i = 0; i < 3; i++)
        assert_int_equal(send_text(&hop, slice_from_cstr(options), 0), 0);
    int fd = -1;
    WAIT_FOR((fd = accept(listening, NULL, NULL)) >= 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    char text[3 * sizeof(options)];
    bool end;
    assert_int_equal(peer_read(fd, text, 3 * (sizeof(options) - 1), &end), 3 * (sizeof(options) - 1));
    assert_int_equal(transport_connections(rig->transport), 1);
    /* The peer's requests come by it too. */
    peer_write(fd, options, sizeof(options) - 1);
    WAIT_FOR(rig->n_received == 1);
    close(fd);
    WAIT_FOR(transport_connections(rig->transport) == 0);
    close(listening);
}

/* A flow that is gone: the response opens a connection to the same address (section 18.2.2). */
static void test_tcp_gone_flow_opens_another(void **state)
{
    (void)state;
    struct addr peer;
    int listening = peer_listen(&peer);
    struct sip_hop hop = {
        .addr = peer, .listener = 1, .transport = SIP_TRANSPORT_TCP, .flow = (uint64_t)4 << 56 | 77};
    assert_int_equal(send_text(&hop, slice_from_cstr(options), 0), 0);
    int fd = -1;
    WAIT_FOR((fd = accept(listening, NULL, NULL)) >= 0);
    close(fd);
    close(listening);
    WAIT_FOR(transport_connections(rig->transport) == 0);
}

/* A peer who closed what we opened just after he answered: the next request opens another connection, and is not
 * written into the one whose end is near. */
static void test_tcp_a_connection_that_ends_carries_no_new_request(void **state)
{
    (void)state;
    struct addr peer;
    int listening = peer_listen(&peer);
    struct sip_hop hop = {.addr = peer, .listener = 1, .transport = SIP_TRANSPORT_TCP};
    for (int i = 0; i < 3; i++) {
        char text[sizeof(options)];
        bool end;
        assert_int_equal(send_text(&hop, slice_from_cstr(options), 0), 0);
        int fd = -1;
        WAIT_FOR((fd = accept(listening, NULL, NULL)) >= 0);
        assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
        assert_int_equal(peer_read(fd, text, sizeof(options) - 1, &end), sizeof(options) - 1);
        peer_write(fd, options, sizeof(options) - 1);
        WAIT_FOR(rig->n_received == (size_t)i + 1);
        close(fd);
        turn_for(20);
    }
    close(listening);
}

/* RFC 5923 section 8.1: connections that were opened from here take nothing away from the port. */
static void test_tcp_goes_on_listening(void **state)
{
    (void)state;
    struct addr peer;
    int listening = peer_listen(&peer), opened = -1;
    struct sip_hop hop = {.addr = peer, .listener = 1, .transport = SIP_TRANSPORT_TCP};
    assert_int_equal(send_text(&hop, slice_from_cstr(options), 0), 0);
    WAIT_FOR((opened = accept(listening, NULL, NULL)) >= 0);
    int accepted = peer_connect();
    peer_write(accepted, options, sizeof(options) - 1);
    WAIT_FOR(rig->n_received == 1);
    assert_int_equal(transport_connections(rig->transport), 2);
    close(accepted);
    close(opened);
    close(listening);
}

/* RFC 5626 section 5.3.1: by this flow, with this peer, or not at all. */
static void test_a_flow_and_nothing_else(void **state)
{
    (void)state;
    struct addr peer;
    int listening = peer_listen(&peer);
    struct sip_hop hop = {.addr = peer,
                          .listener = 1,
                          .transport = SIP_TRANSPORT_TCP,
                          .flow = (uint64_t)4 << 56 | 77,
                          .flow_only = true};
    assert_int_equal(send_text(&hop, slice_from_cstr(options), 0), ERR_CLOSED);
    int fd = peer_connect();
    peer_write(fd, options, strlen(options));
    WAIT_FOR(rig->n_received == 1);
    hop = rig->received[0].hop;
    hop.flow_only = true;
    assert_int_equal(send_text(&hop, slice_from_cstr(options), 0), 0);
    assert_true(transport_registry_has(rig->registry, hop.flow, &hop.addr));
    struct sip_hop other = hop;
    other.addr.port++;
    assert_int_equal(send_text(&other, slice_from_cstr(options), 0), ERR_CLOSED);
    assert_false(transport_registry_has(rig->registry, hop.flow, &other.addr));
    /* A Record-Route names the connection alone. */
    struct sip_hop unnamed = hop;
    unnamed.addr = (struct addr){0};
    assert_int_equal(send_text(&unnamed, slice_from_cstr(options), 0), 0);
    unnamed.flow++;
    assert_int_equal(send_text(&unnamed, slice_from_cstr(options), 0), ERR_CLOSED);
    close(fd);
    WAIT_FOR(transport_connections(rig->transport) == 0);
    assert_int_equal(send_text(&hop, slice_from_cstr(options), 0), ERR_CLOSED);
    assert_false(transport_registry_has(rig->registry, hop.flow, &hop.addr));
    close(listening);
}

/* Section 18.4: a connection that cannot be made is told for every message that waited for it. */
static void test_tcp_refused_connection_is_told(void **state)
{
    (void)state;
    struct sip_hop hop = {.addr = rig->tcp, .listener = 1, .transport = SIP_TRANSPORT_TCP};
    hop.addr.port = free_port();
    if (send_text(&hop, slice_from_cstr(options), 11) == 0 &&
        send_text(&hop, slice_from_cstr(options), 12) == 0) {
        WAIT_FOR(rig->n_failed == 2);
        assert_true(rig->failed[0] == 11 && rig->failed[1] == 12);
    }
    turn_for(5);
    assert_int_equal(transport_connections(rig->transport), 0);
}

/* Messages that have left are not reported when their connection closes later. */
static void test_tcp_sent_messages_are_not_failures(void **state)
{
    (void)state;
    int fd = peer_connect();
    peer_write(fd, options, sizeof(options) - 1);
    WAIT_FOR(rig->n_received == 1);
    assert_int_equal(send_text(&rig->received[0].hop, slice_from_cstr(options), 5), 0);
    char text[sizeof(options)];
    bool end;
    assert_int_equal(peer_read(fd, text, sizeof(options) - 1, &end), sizeof(options) - 1);
    close(fd);
    WAIT_FOR(transport_connections(rig->transport) == 0);
    assert_int_equal(rig->n_failed, 0);
}

/* The peer's kernel answers what it will never read with a reset. */
static void peer_reset(int fd)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
    close(fd);
}

/* Section 18.4: "If the transport user asks for a message to be sent over a reliable transport, and the result is a
 * connection failure, the transport layer SHOULD inform the transport user of a failure in sending." */
static void test_18_4_what_a_reset_answers_is_a_failure(void **state)
{
    (void)state;
    int fd = peer_connect();
    peer_write(fd, options, sizeof(options) - 1);
    WAIT_FOR(rig->n_received == 1);
    assert_int_equal(send_text(&rig->received[0].hop, slice_from_cstr(options), 5), 0);
    turn_for(600);
    assert_int_equal(send_text(&rig->received[0].hop, slice_from_cstr(options), 6), 0);
    assert_int_equal(send_text(&rig->received[0].hop, slice_from_cstr(options), 0), 0);
    turn_for(5);
    peer_reset(fd);
    WAIT_FOR(transport_connections(rig->transport) == 0);
    assert_int_equal(rig->n_failed, 1);
    assert_int_equal(rig->failed[0], 6);
}

static void test_flow_of_another_worker_is_handed_over(void **state)
{
    (void)state;
    struct sip_hop hop = {
        .addr = rig->tcp, .listener = 1, .transport = SIP_TRANSPORT_TCP, .flow = (uint64_t)6 << 56 | 1};
    assert_int_equal(send_text(&hop, slice_from_cstr(options), 0), 0);
    assert_int_equal(rig->n_handed, 1);
    assert_int_equal(rig->handed_to, 5);
    /* Also when only the registry knows that the other worker has a connection to the address. */
    hop.addr.port = 9;
    const struct transport_peer peer = {.addr = hop.addr, .transport = SIP_TRANSPORT_TCP};
    assert_int_equal(transport_registry_add(rig->registry, &peer, (uint64_t)2 << 56 | 1), 0);
    hop.flow = SIP_FLOW_NONE;
    assert_int_equal(send_text(&hop, slice_from_cstr(options), 0), 0);
    assert_int_equal(rig->handed_to, 1);
    transport_registry_remove(rig->registry, (uint64_t)2 << 56 | 1);
}

/* ---- limits ---- */

static int rig_small(void **state)
{
    (void)state;
    struct transport_limits limits = default_limits;
    limits.connections = 2;
    limits.input_buffer_bytes = 1000;
    limits.output_queue_bytes = 32 * 1024;
    rig_start(limits, 8);
    return 0;
}

static int rig_idle(void **state)
{
    (void)state;
    struct transport_limits limits = default_limits;
    limits.idle_ms = 150;
    rig_start(limits, 8);
    return 0;
}

static int rig_unfinished(void **state)
{
    (void)state;
    struct transport_limits limits = default_limits;
    limits.partial_ms = 50; /* and far less than what is idle has */
    rig_start(limits, 8);
    return 0;
}

static void test_connection_limit(void **state)
{
    (void)state;
    int a = peer_connect(), b = peer_connect();
    WAIT_FOR(transport_connections(rig->transport) == 2);
    int c = peer_connect();
    assert_true(peer_is_closed(c));
    assert_int_equal(counter_get(&rig->counters, COUNTER_CONNECTIONS_REFUSED), 1);
    close(a);
    WAIT_FOR(transport_connections(rig->transport) == 1);
    int d = peer_connect();
    WAIT_FOR(transport_connections(rig->transport) == 2);
    close(b);
    close(c);
    close(d);
}

/* Other workers' connections count: the limit is one of the process. */
static void test_connection_limit_of_all_workers(void **state)
{
    (void)state;
    assert_true(transport_registry_enter(rig->registry));
    int a = peer_connect();
    WAIT_FOR(transport_connections(rig->transport) == 1);
    int b = peer_connect();
    assert_true(peer_is_closed(b));
    transport_registry_leave(rig->registry);
    int c = peer_connect();
    WAIT_FOR(transport_connections(rig->transport) == 2);
    close(a);
    close(b);
    close(c);
}

static int rig_two_in_all(void **state)
{
    (void)state;
    rig_total = 2;
    rig_start(default_limits, 8);
    rig_total = 100;
    return 0;
}

static int rig_one_per_source(void **state)
{
    (void)state;
    rig_start(default_limits, 1);
    return 0;
}

static void test_connection_limit_per_source(void **state)
{
    (void)state;
    int a = peer_connect();
    WAIT_FOR(transport_connections(rig->transport) == 1);
    int b = peer_connect();
    assert_true(peer_is_closed(b));
    close(a);
    WAIT_FOR(transport_connections(rig->transport) == 0);
    int c = peer_connect();
    WAIT_FOR(transport_connections(rig->transport) == 1);
    close(b);
    close(c);
}

static void test_idle_connection_closes(void **state)
{
    (void)state;
    ms_t start = clock_monotonic_ms();
    int fd = peer_connect();
    assert_true(peer_is_closed(fd));
    assert_true(clock_monotonic_ms() - start >= 150);
    close(fd);
}

/* What was written is no failure when nobody reset the connection. */
static void test_18_4_what_went_before_an_orderly_end_is_none(void **state)
{
    (void)state;
    int fd = peer_connect();
    peer_write(fd, options, sizeof(options) - 1);
    WAIT_FOR(rig->n_received == 1);
    assert_int_equal(send_text(&rig->received[0].hop, slice_from_cstr(options), 5), 0);
    WAIT_FOR(transport_connections(rig->transport) == 0);
    assert_int_equal(rig->n_failed, 0);
    close(fd);
}

static void test_unfinished_message_closes(void **state)
{
    (void)state;
    ms_t start = clock_monotonic_ms();
    int fd = peer_connect();
    peer_write(fd, options, 20);
    assert_true(peer_is_closed(fd));
    assert_true(clock_monotonic_ms() - start >= 50);
    close(fd);
}

static void test_input_buffer_limit(void **state)
{
    (void)state;
    int fd = peer_connect();
    char big[1500];
    memset(big, 'x', sizeof(big));
    memcpy(big, options, 20);
    peer_write(fd, big, sizeof(big));
    assert_true(peer_is_closed(fd));
    close(fd);
}

/* A peer that does not read: its connection goes when its queue is full; the others never notice. */
static void test_peer_that_does_not_read(void **state)
{
    (void)state;
    int lazy = peer_connect(), good = peer_connect();
    int small = 1024;
    setsockopt(lazy, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    peer_write(lazy, options, sizeof(options) - 1);
    WAIT_FOR(rig->n_received == 1);
    peer_write(good, options, sizeof(options) - 1);
    WAIT_FOR(rig->n_received == 2);
    char *big = test_calloc(1, 16 * 1024);
    memset(big, 'y', 16 * 1024);
    int rc = 0;
    for (int i = 0; i < 2000 && rc == 0; i++) {
        rc = send_text(&rig->received[0].hop, slice_make(big, 16 * 1024), 100);
        net_loop_turn(rig->loop, clock_monotonic_ms());
    }
    test_free(big);
    assert_int_equal(rc, ERR_LIMIT);
    WAIT_FOR(transport_connections(rig->transport) == 1);
    assert_true(rig->n_failed > 0 && rig->failed[0] == 100);
    assert_int_equal(send_text(&rig->received[1].hop, SLICE("SIP/2.0 200 OK\r\n\r\n"), 0), 0);
    char answer[18];
    bool end;
    assert_int_equal(peer_read(good, answer, 18, &end), 18);
    close(lazy);
    close(good);
}

static void test_a_port_in_use_is_named(void **state)
{
    (void)state;
    struct addr taken;
    int fd = peer_listen(&taken);
    const struct transport_listener listeners[] = {{SIP_TRANSPORT_UDP, 0, taken},
                                                   {SIP_TRANSPORT_TCP, 0, taken}};
    struct transport_opts opts = {.loop = rig->loop,
                                  .listeners = listeners,
                                  .n_listeners = 2,
                                  .limits = default_limits,
                                  .registry = rig->registry,
                                  .counters = &rig->counters,
                                  .ops = &ops,
                                  .ctx = rig};
    struct transport *second = NULL;
    size_t failed = 99;
    assert_int_equal(transport_new(&opts, &failed, &second), ERR_IO);
    assert_int_equal(errno, EADDRINUSE);
    assert_int_equal(failed, 1);
    close(fd);
}

#define TEST(name, setup) cmocka_unit_test_setup_teardown(name, setup, rig_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_udp_both_ways, rig_default),
        TEST(test_udp_acks_with_a_mark_are_absorbed_until_the_end, rig_default),
        TEST(test_udp_keepalive_is_no_message, rig_default),
        TEST(test_stun_is_answered_on_the_sip_port, rig_default),
        TEST(test_udp_port_unreachable_is_told, rig_default),
        TEST(test_tcp_split_and_joined, rig_default),
        TEST(test_tcp_response_on_same_connection, rig_default),
        TEST(test_tcp_keepalive_pong, rig_default),
        TEST(test_tcp_lost_framing_closes, rig_default),
        TEST(test_tcp_answers_after_the_end_of_requests, rig_default),
        TEST(test_tcp_reuse, rig_default),
        TEST(test_tcp_gone_flow_opens_another, rig_default),
        TEST(test_tcp_a_connection_that_ends_carries_no_new_request, rig_default),
        TEST(test_tcp_goes_on_listening, rig_default),
        TEST(test_a_flow_and_nothing_else, rig_default),
        TEST(test_tcp_refused_connection_is_told, rig_default),
        TEST(test_tcp_sent_messages_are_not_failures, rig_default),
        TEST(test_18_4_what_a_reset_answers_is_a_failure, rig_default),
        TEST(test_flow_of_another_worker_is_handed_over, rig_default),
        TEST(test_connection_limit, rig_small),
        TEST(test_connection_limit_of_all_workers, rig_two_in_all),
        TEST(test_connection_limit_per_source, rig_one_per_source),
        TEST(test_idle_connection_closes, rig_idle),
        TEST(test_18_4_what_went_before_an_orderly_end_is_none, rig_idle),
        TEST(test_unfinished_message_closes, rig_unfinished),
        TEST(test_input_buffer_limit, rig_small),
        TEST(test_peer_that_does_not_read, rig_small),
        TEST(test_a_port_in_use_is_named, rig_default),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
