/* RFC 7118 on real sockets of the loopback: what is the transport's own about a WebSocket, one that is turned by hand.
 * Frames and handshakes by themselves are tests/unit/net's. */
#include "base/mem.h"
#include "net/sockaddr.h"
#include "transport/transport.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define HANDSHAKE                                                                                            \
    "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"                             \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: "   \
    "sip\r\n\r\n"
#define MASK          "\0\0\0\0"
#define PATIENCE_MS   20000
#define PING_MS       100
#define PONG_MS       400
#define CONNECT_MS    600
#define UNFINISHED_MS 700

static const char message[] = "OPTIONS sip:a SIP/2.0\r\nCall-ID: 1\r\n\r\nbody";

static struct {
    struct net_loop *loop;
    struct transport_registry *registry;
    struct transport *transport;
    struct counters counters;
    struct addr addr;
    char received[256];
    unsigned n_received;
    struct sip_hop hop;
    bool is_datagram;
    bool answers; /* each message at once, from within receive */
} rig;

static int send_text(const struct sip_hop *hop, struct slice text, uint64_t token)
{
    struct wire *wire = wire_from(text);
    assert_non_null(wire);
    int rc = transport_send(rig.transport, hop, wire, token);
    wire_unref(wire);
    return rc;
}

static void on_receive(void *ctx, struct slice bytes, const struct sip_hop *from, bool datagram)
{
    (void)ctx;
    snprintf(rig.received, sizeof(rig.received), "%.*s", SLICE_ARG(bytes));
    rig.hop = *from;
    rig.is_datagram = datagram;
    rig.n_received++;
    if (rig.answers)
        assert_int_equal(send_text(from, SLICE("SIP/2.0 200 OK"), 0), 0);
}

static void on_bad(void *ctx, struct slice head, const struct sip_hop *from, unsigned status,
                   const char *phrase)
{
    (void)ctx, (void)head, (void)from, (void)status, (void)phrase;
    fail_msg("a WebSocket loses no framing of SIP");
}

static const struct transport_ops ops = {.receive = on_receive, .bad = on_bad};

/* A port that nobody uses now. */
static void choose_address(void)
{
    int fd;
    assert_int_equal(addr_parse(SLICE("127.0.0.1"), &rig.addr), 0);
    assert_int_equal(net_socket_bind(SOCK_STREAM, &rig.addr, false, &fd), 0);
    assert_int_equal(net_socket_addr(fd, &rig.addr), 0);
    close(fd);
}

static int start_with_pings(ms_t interval_ms)
{
    const struct hash_key key = {1, 2};
    memset(&rig, 0, sizeof(rig));
    assert_int_equal(net_loop_new(&rig.loop), 0);
    assert_int_equal(transport_registry_new(&key, 100, 100, &rig.registry), 0);
    choose_address();
    const struct transport_listener listeners[] = {{.transport = SIP_TRANSPORT_WS, .addr = rig.addr}};
    struct transport_opts opts = {.worker = 3,
                                  .loop = rig.loop,
                                  .listeners = listeners,
                                  .n_listeners = 1,
                                  .limits = {.connections = 8,
                                             .idle_ms = 60000,
                                             .connect_ms = CONNECT_MS,
                                             .partial_ms = UNFINISHED_MS,
                                             .ping_interval_ms = interval_ms,
                                             .ping_timeout_ms = PONG_MS,
                                             .input_buffer_bytes = 4096,
                                             .output_queue_bytes = 256 * 1024,
                                             .sip = sip_limits_default},
                                  .websockets = {.protocol = SLICE("sip")},
                                  .registry = rig.registry,
                                  .counters = &rig.counters,
                                  .ops = &ops};
    size_t failed;
    assert_int_equal(transport_new(&opts, &failed, &rig.transport), 0);
    return 0;
}

static int start(void **state)
{
    (void)state;
    return start_with_pings(0);
}

static int start_pinging(void **state)
{
    (void)state;
    return start_with_pings(PING_MS);
}

static int stop(void **state)
{
    (void)state;
    transport_free(rig.transport);
    transport_registry_free(rig.registry);
    net_loop_free(rig.loop);
    assert_int_equal(mem_held_bytes(), 0);
    return 0;
}

static int peer_connect(void)
{
    struct sockaddr_storage ss;
    socklen_t len = net_sockaddr_from_addr(&rig.addr, &ss);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&ss, len), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static void peer_write(int fd, struct slice octets)
{
    assert_int_equal(write(fd, octets.ptr, octets.len), (ssize_t)octets.len);
}

/* Exactly these octets come next; with none, the end. */
static void peer_reads(int fd, struct slice wanted)
{
    char got[512];
    size_t len = 0;
    ssize_t n = -1;
    assert_true(wanted.len < sizeof(got));
    for (ms_t end = clock_monotonic_ms() + PATIENCE_MS; len < wanted.len || wanted.len == 0;) {
        assert_true(clock_monotonic_ms() < end);
        net_loop_turn(rig.loop, clock_monotonic_ms() + 2);
        n = read(fd, got + len, wanted.len == 0 ? 1 : wanted.len - len);
        if (n == 0 || (n < 0 && errno == ECONNRESET))
            break;
        assert_true(n < 0 || wanted.len > 0);
        len += n > 0 ? (size_t)n : 0;
    }
    assert_int_equal(len, wanted.len);
    assert_memory_equal(got, wanted.ptr, wanted.len);
}

/* Waits for a Ping, or for the end. */
static bool peer_is_pinged(int fd)
{
    char got[2];
    ssize_t n = -1;
    for (ms_t end = clock_monotonic_ms() + PATIENCE_MS; n < 0 && errno != ECONNRESET;) {
        assert_true(clock_monotonic_ms() < end);
        net_loop_turn(rig.loop, clock_monotonic_ms() + 2);
        errno = 0;
        n = read(fd, got, sizeof(got));
    }
    assert_true(n <= 0 || (n == 2 && memcmp(got, "\x89", 2) == 0));
    return n > 0;
}

static void peer_frame(int fd, unsigned char head, struct slice payload)
{
    char octets[512];
    struct buf out;
    buf_init(&out, octets, sizeof(octets));
    buf_putc(&out, (char)head);
    assert_true(payload.len < 126);
    buf_putc(&out, (char)(0x80 | payload.len));
    buf_put(&out, slice_make(MASK, 4));
    buf_put(&out, payload);
    peer_write(fd, buf_slice(&out));
}

static int open_websocket(void)
{
    int fd = peer_connect();
    peer_write(fd, SLICE(HANDSHAKE));
    peer_reads(
        fd,
        SLICE("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: sip\r\n\r\n"));
    return fd;
}

static void wait_for_message(unsigned count)
{
    for (ms_t end = clock_monotonic_ms() + PATIENCE_MS; rig.n_received < count;) {
        assert_true(clock_monotonic_ms() < end);
        net_loop_turn(rig.loop, clock_monotonic_ms() + 2);
    }
}

static void a_message_is_as_long_as_it_is_without_content_length_rfc7118_section_5(void **state)
{
    (void)state;
    int fd = open_websocket();
    peer_frame(fd, 0x81, slice_from_cstr(message));
    wait_for_message(1);
    assert_string_equal(rig.received, message);
    assert_true(rig.is_datagram);
    assert_int_equal(rig.hop.transport, SIP_TRANSPORT_WS);
    assert_true(rig.hop.flow != SIP_FLOW_NONE);
    close(fd);
}

static void an_answer_goes_by_the_same_connection_even_from_within_receive(void **state)
{
    (void)state;
    int fd = open_websocket();
    rig.answers = true;
    peer_frame(fd, 0x82, slice_from_cstr(message));
    peer_reads(fd, SLICE("\x82\x0ESIP/2.0 200 OK"));
    close(fd);
}

static void a_double_crlf_is_answered_with_one_rfc5626_section_3_5_1(void **state)
{
    (void)state;
    int fd = open_websocket();
    peer_frame(fd, 0x81, SLICE("\r\n\r\n"));
    peer_reads(fd, SLICE("\x81\x02\r\n"));
    assert_int_equal(rig.n_received, 0);
    peer_frame(fd, 0x81, SLICE("\r\n"));
    peer_frame(fd, 0x81, SLICE(""));
    rig.answers = true;
    peer_frame(fd, 0x81, slice_from_cstr(message));
    peer_reads(fd, SLICE("\x81\x0ESIP/2.0 200 OK"));
    close(fd);
}

static void who_says_nothing_is_pinged_and_stays_while_he_answers(void **state)
{
    (void)state;
    ms_t start_ms = clock_monotonic_ms();
    int fd = open_websocket();
    for (int i = 0; i < 4; i++) {
        peer_reads(fd, SLICE("\x89\x00"));
        peer_frame(fd, 0x8A, SLICE(""));
    }
    assert_true(clock_monotonic_ms() - start_ms >= 4 * PING_MS - 10);
    peer_reads(fd, SLICE("\x89\x00"));
    peer_reads(fd, SLICE(""));
    assert_true(clock_monotonic_ms() - start_ms >= 5 * PING_MS + PONG_MS - 10);
    assert_int_equal(transport_connections(rig.transport), 0);
    close(fd);
}

static void who_trickles_octets_but_no_frame_is_not_there(void **state)
{
    (void)state;
    int fd = open_websocket();
    peer_reads(fd, SLICE("\x89\x00"));
    peer_write(fd, SLICE("\x81"));
    peer_reads(fd, SLICE(""));
    close(fd);
}

static void a_message_that_stays_unfinished_closes(void **state)
{
    (void)state;
    int fd = open_websocket();
    ms_t start_ms = clock_monotonic_ms();
    peer_frame(fd, 0x01, SLICE("REGISTER"));
    while (peer_is_pinged(fd)) /* pongs do not help it */
        peer_frame(fd, 0x8A, SLICE(""));
    assert_true(clock_monotonic_ms() - start_ms >= UNFINISHED_MS - 10);
    close(fd);
}

static void a_handshake_has_its_time(void **state)
{
    (void)state;
    ms_t start_ms = clock_monotonic_ms();
    int fd = peer_connect();
    peer_write(fd, SLICE("GET / HTTP/1.1\r\nHost: a\r\n"));
    peer_reads(fd, SLICE(""));
    assert_true(clock_monotonic_ms() - start_ms >= CONNECT_MS - 10);
    close(fd);
}

static void a_refused_handshake_is_answered_and_closed(void **state)
{
    (void)state;
    int fd = peer_connect();
    peer_write(fd, SLICE("GET / HTTP/1.0\r\n\r\n"));
    peer_reads(fd, SLICE("HTTP/1.1 505 HTTP Version Not Supported\r\n"));
    char rest[512];
    while (read(fd, rest, sizeof(rest)) > 0)
        ;
    peer_reads(fd, SLICE(""));
    assert_int_equal(counter_get(&rig.counters, COUNTER_CONNECTIONS_REFUSED), 1);
    close(fd);
}

static void a_broken_rule_is_answered_with_its_close_code_and_closed(void **state)
{
    (void)state;
    int fd = open_websocket();
    peer_write(fd, SLICE("\x81\x01x"));
    peer_reads(fd, SLICE("\x88\x02\x03\xEA"));
    peer_reads(fd, SLICE(""));
    close(fd);
}

static void a_browser_is_never_dialled(void **state)
{
    (void)state;
    int fd = open_websocket();
    peer_frame(fd, 0x81, slice_from_cstr(message));
    wait_for_message(1);
    struct sip_hop hop = rig.hop;
    peer_frame(fd, 0x88, SLICE(""));
    peer_reads(fd, SLICE("\x88\x00"));
    peer_reads(fd, SLICE(""));
    close(fd);
    while (transport_connections(rig.transport) > 0)
        net_loop_turn(rig.loop, clock_monotonic_ms() + 2);
    assert_int_equal(send_text(&hop, SLICE("lost"), 7), ERR_CLOSED);
    hop.flow = SIP_FLOW_NONE;
    assert_int_equal(send_text(&hop, SLICE("lost"), 7), ERR_CLOSED);
    assert_int_equal(transport_connections(rig.transport), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_message_is_as_long_as_it_is_without_content_length_rfc7118_section_5, start, stop),
        cmocka_unit_test_setup_teardown(an_answer_goes_by_the_same_connection_even_from_within_receive, start,
                                        stop),
        cmocka_unit_test_setup_teardown(a_double_crlf_is_answered_with_one_rfc5626_section_3_5_1, start,
                                        stop),
        cmocka_unit_test_setup_teardown(who_says_nothing_is_pinged_and_stays_while_he_answers, start_pinging,
                                        stop),
        cmocka_unit_test_setup_teardown(who_trickles_octets_but_no_frame_is_not_there, start_pinging, stop),
        cmocka_unit_test_setup_teardown(a_message_that_stays_unfinished_closes, start_pinging, stop),
        cmocka_unit_test_setup_teardown(a_handshake_has_its_time, start, stop),
        cmocka_unit_test_setup_teardown(a_refused_handshake_is_answered_and_closed, start, stop),
        cmocka_unit_test_setup_teardown(a_broken_rule_is_answered_with_its_close_code_and_closed, start,
                                        stop),
        cmocka_unit_test_setup_teardown(a_browser_is_never_dialled, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
