#include "net/sockaddr.h"
#include "net/tcp.h"
#include "support.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define QUEUE_BYTES (1 << 20)

/* What a test does to a stream from within one of its functions. */
enum act { NOTHING, FREE, SHUTDOWN, PAUSE, ECHO };

struct side {
    struct net_stream *stream;
    unsigned opened, ended, closed;
    int error;
    char *got;
    size_t got_len, got_cap;
    enum act on_open, on_receive, on_ended, on_closed;
};

static struct net_loop *loop;

static void act(struct side *side, enum act what)
{
    switch (what) {
    case FREE:
        net_stream_free(side->stream);
        side->stream = NULL;
        break;
    case SHUTDOWN:
        net_stream_shutdown(side->stream);
        break;
    case PAUSE:
        net_stream_pause(side->stream);
        break;
    default:
        break;
    }
}

static int send_text(struct side *side, struct slice text)
{
    struct wire *wire = wire_from(text);
    int r = net_stream_send(side->stream, wire);

    wire_unref(wire);
    return r;
}

static void on_open(void *ctx, struct net_stream *stream)
{
    struct side *side = ctx;

    assert_ptr_equal(stream, side->stream);
    assert_true(net_stream_is_open(stream));
    side->opened++;
    act(side, side->on_open);
}

static void on_receive(void *ctx, struct net_stream *stream, struct slice data)
{
    struct side *side = ctx;

    assert_ptr_equal(stream, side->stream);
    assert_true(data.len > 0);
    if (side->got_len + data.len > side->got_cap) {
        side->got_cap = (side->got_len + data.len) * 2;
        side->got = realloc(side->got, side->got_cap);
        assert_non_null(side->got);
    }
    memcpy(side->got + side->got_len, data.ptr, data.len);
    side->got_len += data.len;
    if (side->on_receive == ECHO)
        assert_int_equal(send_text(side, data), 0);
    act(side, side->on_receive);
}

static void on_ended(void *ctx, struct net_stream *stream)
{
    struct side *side = ctx;

    assert_ptr_equal(stream, side->stream);
    side->ended++;
    act(side, side->on_ended);
}

static void on_closed(void *ctx, struct net_stream *stream, int error)
{
    struct side *side = ctx;

    assert_ptr_equal(stream, side->stream);
    assert_false(net_stream_is_open(stream));
    side->closed++;
    side->error = error;
    act(side, side->on_closed);
}

static const struct net_stream_ops ops = {.open = on_open, .receive = on_receive, .closed = on_closed};
static const struct net_stream_ops half_ops = {
    .open = on_open, .receive = on_receive, .ended = on_ended, .closed = on_closed};

static void side_done(struct side *side)
{
    net_stream_free(side->stream);
    free(side->got);
}

/* ---- the other end: a plain socket of the test ---- */

static int listen_at(const char *address, struct addr *ret_addr)
{
    struct addr a = at(address);
    int fd;

    assert_int_equal(net_socket_bind(SOCK_STREAM, &a, false, &fd), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(net_socket_addr(fd, ret_addr), 0);
    return fd;
}

/* A stream and the peer's blocking socket. */
static int connected(struct side *side, const struct net_stream_ops *side_ops, size_t queue_bytes)
{
    struct sockaddr_storage sockaddr;
    struct addr addr;
    int listener = listen_at("127.0.0.1:0", &addr), peer, fd;
    socklen_t len = net_sockaddr_from_addr(&addr, &sockaddr);

    *side = (struct side){.stream = NULL};
    peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(peer, (struct sockaddr *)&sockaddr, len), 0);
    fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(fd >= 0);
    close(listener);
    assert_int_equal(net_stream_from_fd(loop, fd, queue_bytes, side_ops, side, &side->stream), 0);
    return peer;
}

static void peer_says(int peer, const char *text)
{
    assert_int_equal(send(peer, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* What the peer has got by now, without waiting. */
static size_t peer_hears(int peer, char *memory, size_t cap)
{
    ssize_t len = recv(peer, memory, cap, MSG_DONTWAIT);

    return len > 0 ? (size_t)len : 0;
}

static bool peer_sees_the_end(int peer)
{
    char octet;

    return recv(peer, &octet, 1, MSG_DONTWAIT | MSG_PEEK) == 0;
}

/* Closes with RST. */
static void peer_breaks(int peer)
{
    const struct linger linger = {.l_onoff = 1};

    assert_int_equal(setsockopt(peer, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
    close(peer);
}

static int set_up(void **state)
{
    (void)state;
    loop = new_loop();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    net_loop_free(loop);
    return mem_held_bytes() == 0 ? 0 : -1;
}

/* ---- octets ---- */

static void octets_go_both_ways(void **state)
{
    struct side side;
    char text[64];
    int peer = connected(&side, &ops, QUEUE_BYTES);

    (void)state;
    assert_true(net_stream_is_open(side.stream));
    peer_says(peer, "hello");
    turn_until(loop, side.got_len == 5);
    assert_memory_equal(side.got, "hello", 5);
    assert_int_equal(send_text(&side, SLICE("ab")), 0);
    assert_int_equal(send_text(&side, SLICE("")), 0);
    assert_int_equal(send_text(&side, SLICE("cd")), 0);
    assert_true(net_stream_queued_bytes(side.stream) == 4);
    assert_true(net_stream_written_bytes(side.stream) == 0); /* not before the end of the turn */
    turn_until(loop, net_stream_written_bytes(side.stream) == 4);
    assert_int_equal(recv(peer, text, sizeof(text), 0), 4);
    assert_memory_equal(text, "abcd", 4);
    close(peer);
    side_done(&side);
}

static void a_wire_is_shared_not_copied_and_let_go_when_it_is_written(void **state)
{
    struct wire *wire = wire_from(SLICE("xyz"));
    struct side side;
    int peer = connected(&side, &ops, QUEUE_BYTES);

    (void)state;
    for (int i = 0; i < 100; i++)
        assert_int_equal(net_stream_send(side.stream, wire), 0);
    assert_int_equal(wire->refs, 101);
    turn_until(loop, net_stream_written_bytes(side.stream) == 300);
    assert_int_equal(wire->refs, 1);
    wire_unref(wire);
    close(peer);
    side_done(&side);
}

static void nagle_is_off_and_a_dead_peer_is_given_up(void **state)
{
    int no_delay = 0, fd, peer;
    unsigned timeout_ms = 0;
    socklen_t len = sizeof(int);
    struct side side;

    (void)state;
    peer = connected(&side, &ops, QUEUE_BYTES);
    fd = peer + 1; /* accepted right after the peer's */
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, &len), 0);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, &len), 0);
    assert_int_not_equal(no_delay, 0);
    assert_int_equal(timeout_ms, NET_STREAM_USER_TIMEOUT_MS);
    close(peer);
    side_done(&side);
}

/* Far more than the kernel's buffers, in pieces of odd sizes, against a reader that takes odd sizes too. */
static void a_large_flow_survives_partial_writes(void **state)
{
    enum { TOTAL = 16 << 20, WIRE = 77777 };
    char *wire_text = malloc(WIRE), *text = malloc(1 << 16);
    size_t queued = 0, heard = 0;
    struct side side;
    int peer = connected(&side, &ops, 4 << 20);

    (void)state;
    while (heard < TOTAL) {
        size_t len;

        while (queued < TOTAL) {
            size_t n = TOTAL - queued < WIRE ? TOTAL - queued : WIRE;

            for (size_t i = 0; i < n; i++)
                wire_text[i] = (char)((queued + i) * 31 >> 3);
            if (send_text(&side, slice_make(wire_text, n)) != 0)
                break;
            queued += n;
        }
        net_loop_turn(loop, 0);
        len = peer_hears(peer, text, 1 + (size_t)rand() % (1 << 16));
        for (size_t i = 0; i < len; i++)
            if (text[i] != (char)((heard + i) * 31 >> 3))
                fail_msg("octet %zu differs", heard + i);
        heard += len;
    }
    assert_true(net_stream_written_bytes(side.stream) == TOTAL);
    free(wire_text);
    free(text);
    close(peer);
    side_done(&side);
}

/* ---- limits ---- */

static void a_peer_that_does_not_read_meets_the_limit_and_harms_nobody_else(void **state)
{
    static char large[60000];
    struct side slow, other;
    int slow_peer = connected(&slow, &ops, 200000), other_peer = connected(&other, &ops, QUEUE_BYTES),
        taken = 0;
    char text[8];
    int64_t held;

    (void)state;
    other.on_receive = ECHO;
    while (send_text(&slow, slice_make(large, sizeof(large))) == 0) {
        assert_true(++taken < 10000);
        net_loop_turn(loop, 0);
    }
    assert_int_equal(send_text(&slow, slice_make(large, sizeof(large))), ERR_LIMIT);
    held = mem_held_bytes();
    for (int i = 0; i < 100; i++)
        assert_int_equal(send_text(&slow, slice_make(large, sizeof(large))), ERR_LIMIT);
    assert_int_equal(mem_held_bytes(), held);
    assert_true(net_stream_is_open(slow.stream));

    peer_says(other_peer, "ping");
    turn_until(loop, peer_hears(other_peer, text, sizeof(text)) == 4);

    for (int i = 0; i < 10; i++) { /* waiting for the slow peer costs no turns */
        ms_t before_ms = clock_monotonic_ms();

        net_loop_turn(loop, before_ms + 3);
        assert_true(clock_monotonic_ms() - before_ms >= 3);
    }
    close(slow_peer);
    close(other_peer);
    side_done(&slow);
    side_done(&other);
}

static void the_limit_counts_bookkeeping_so_that_tiny_messages_are_bounded_too(void **state)
{
    struct side side;
    int peer = connected(&side, &ops, 1700), taken = 0;

    (void)state;
    while (send_text(&side, SLICE("x")) == 0)
        taken++;
    assert_int_equal(taken, 100);
    turn_until(loop, net_stream_written_bytes(side.stream) == 100);
    assert_int_equal(send_text(&side, SLICE("x")), 0);
    close(peer);
    side_done(&side);
}

static void a_paused_stream_reads_nothing_until_resumed(void **state)
{
    struct side side;
    int peer = connected(&side, &ops, QUEUE_BYTES);

    (void)state;
    side.on_receive = PAUSE;
    peer_says(peer, "one");
    turn_until(loop, side.got_len == 3);
    peer_says(peer, "two");
    turn_for_ms(loop, 20);
    assert_int_equal(side.got_len, 3);
    side.on_receive = NOTHING;
    net_stream_resume(side.stream);
    turn_until(loop, side.got_len == 6);
    assert_memory_equal(side.got, "onetwo", 6);
    close(peer);
    side_done(&side);
}

/* ---- ends ---- */

static void a_peer_that_closes_closes_the_stream(void **state)
{
    struct side side;
    int peer = connected(&side, &ops, QUEUE_BYTES);

    (void)state;
    peer_says(peer, "last words");
    close(peer);
    turn_until(loop, side.closed == 1);
    assert_int_equal(side.error, 0);
    assert_int_equal(side.got_len, 10);
    assert_int_equal(send_text(&side, SLICE("x")), ERR_CLOSED);
    net_stream_shutdown(side.stream);
    net_stream_pause(side.stream);
    net_stream_resume(side.stream);
    turn_for_ms(loop, 10);
    assert_int_equal(side.closed, 1);
    side_done(&side);
}

static void an_answer_to_a_peer_that_has_ended_still_leaves(void **state)
{
    struct side side;
    char text[8];
    int peer = connected(&side, &ops, QUEUE_BYTES);

    (void)state;
    side.on_receive = ECHO;
    peer_says(peer, "echo");
    shutdown(peer, SHUT_WR); /* in the same turn */
    turn_until(loop, side.closed == 1);
    assert_int_equal(recv(peer, text, sizeof(text), 0), 4);
    assert_true(peer_sees_the_end(peer));
    close(peer);
    side_done(&side);
}

static void with_a_function_for_it_a_half_closed_stream_stays_open_for_sending(void **state)
{
    struct side side;
    char text[8];
    int peer = connected(&side, &half_ops, QUEUE_BYTES);

    (void)state;
    shutdown(peer, SHUT_WR);
    turn_until(loop, side.ended == 1);
    turn_for_ms(loop, 20);
    assert_int_equal(side.ended, 1);
    assert_true(net_stream_is_open(side.stream));
    assert_int_equal(send_text(&side, SLICE("late")), 0);
    turn_until(loop, peer_hears(peer, text, sizeof(text)) == 4);
    net_stream_shutdown(side.stream);
    turn_until(loop, side.closed == 1);
    assert_true(peer_sees_the_end(peer));
    close(peer);
    side_done(&side);
}

static void a_half_closed_stream_costs_no_turns(void **state)
{
    struct side side;
    int peer = connected(&side, &half_ops, QUEUE_BYTES);

    (void)state;
    shutdown(peer, SHUT_WR);
    turn_until(loop, side.ended == 1);
    for (int i = 0; i < 10; i++) {
        ms_t before_ms = clock_monotonic_ms();

        net_loop_turn(loop, before_ms + 3);
        assert_true(clock_monotonic_ms() - before_ms >= 3);
    }
    peer_breaks(peer);
    turn_until(loop, side.closed == 1); /* a broken connection is seen although nobody reads */
    side_done(&side);
}

static void a_broken_connection_is_told_with_errno(void **state)
{
    struct side side;
    int peer = connected(&side, &ops, QUEUE_BYTES);

    (void)state;
    peer_breaks(peer);
    turn_until(loop, side.closed == 1);
    assert_int_equal(side.error, ECONNRESET);
    side_done(&side);
}

static void a_broken_connection_is_seen_while_paused(void **state)
{
    struct side side;
    int peer = connected(&side, &ops, QUEUE_BYTES);

    (void)state;
    net_stream_pause(side.stream);
    turn_for_ms(loop, 5);
    peer_breaks(peer);
    turn_until(loop, side.closed == 1);
    assert_int_equal(side.error, ECONNRESET);
    side_done(&side);
}

static void shutdown_sends_what_is_queued_and_then_closes(void **state)
{
    static char large[400000];
    struct side side;
    char text[4096];
    size_t heard = 0;
    int peer = connected(&side, &ops, 4 << 20);

    (void)state;
    for (int i = 0; i < 10; i++) /* more than the kernel's buffers take at once */
        assert_int_equal(send_text(&side, slice_make(large, sizeof(large))), 0);
    net_stream_shutdown(side.stream);
    assert_int_equal(send_text(&side, SLICE("x")), ERR_CLOSED);
    peer_says(peer, "not delivered any more");
    while (!peer_sees_the_end(peer)) {
        net_loop_turn(loop, 0);
        heard += peer_hears(peer, text, sizeof(text));
    }
    assert_int_equal(heard, 10 * sizeof(large));
    assert_int_equal(side.closed, 0); /* the peer has not ended its direction */
    close(peer);
    turn_until(loop, side.closed == 1);
    assert_int_equal(side.got_len, 0);
    side_done(&side);
}

/* Closing with unread octets makes the kernel send RST, and the peer then loses what it has not read yet. */
static void the_last_answer_reaches_a_peer_that_is_still_sending(void **state)
{
    static char flood[30000];
    struct side side;
    char text[64];
    int peer = connected(&side, &ops, QUEUE_BYTES);
    ssize_t len;

    (void)state;
    peer_says(peer, "bad");
    turn_until(loop, side.got_len == 3);
    assert_int_equal(send(peer, flood, sizeof(flood), 0), (ssize_t)sizeof(flood));
    assert_int_equal(send_text(&side, SLICE("400")), 0);
    net_stream_shutdown(side.stream);
    turn_for_ms(loop, 20);
    assert_int_equal(send(peer, flood, sizeof(flood), MSG_NOSIGNAL), (ssize_t)sizeof(flood));
    turn_for_ms(loop, 20);
    len = recv(peer, text, sizeof(text), 0);
    assert_int_equal(len, 3);
    assert_int_equal(side.got_len, 3);
    close(peer);
    turn_until(loop, side.closed == 1);
    side_done(&side);
}

static void a_peer_that_never_ends_is_waited_for_a_little_only(void **state)
{
    struct side side;
    ms_t start_ms = clock_monotonic_ms();
    int peer = connected(&side, &ops, QUEUE_BYTES);

    (void)state;
    net_stream_shutdown(side.stream);
    turn_until(loop, side.closed == 1);
    assert_true(clock_monotonic_ms() - start_ms >= NET_STREAM_LINGER_MS);
    close(peer);
    side_done(&side);
}

static void a_peer_that_sends_for_ever_is_waited_for_so_many_octets_only(void **state)
{
    static char flood[30000];
    struct side side;
    ms_t start_ms = clock_monotonic_ms();
    int peer = connected(&side, &ops, QUEUE_BYTES);

    (void)state;
    net_stream_shutdown(side.stream);
    while (side.closed == 0) {
        (void)!send(peer, flood, sizeof(flood), MSG_DONTWAIT | MSG_NOSIGNAL);
        net_loop_turn(loop, 0);
    }
    assert_true(clock_monotonic_ms() - start_ms < NET_STREAM_LINGER_MS);
    close(peer);
    side_done(&side);
}

/* ---- freeing from within ---- */

static void a_stream_may_be_freed_by_any_of_its_functions(void **state)
{
    struct addr addr;
    int listener = listen_at("127.0.0.1:0", &addr), peer;
    const struct addr anywhere = {.family = ADDR_NONE};
    struct side side;

    (void)state;
    peer = connected(&side, &ops, QUEUE_BYTES);
    side.on_receive = FREE;
    assert_int_equal(send_text(&side, SLICE("dropped")), 0);
    peer_says(peer, "x");
    turn_until(loop, !side.stream);
    assert_int_equal(side.closed, 0);
    close(peer);
    side_done(&side);

    peer = connected(&side, &half_ops, QUEUE_BYTES);
    side.on_ended = FREE;
    close(peer);
    turn_until(loop, !side.stream);
    side_done(&side);

    peer = connected(&side, &ops, QUEUE_BYTES);
    side.on_closed = FREE;
    peer_breaks(peer);
    turn_until(loop, !side.stream);
    assert_int_equal(side.closed, 1);
    side_done(&side);

    side = (struct side){.on_open = FREE};
    assert_int_equal(net_stream_connect(loop, &anywhere, &addr, QUEUE_BYTES, &ops, &side, &side.stream), 0);
    turn_until(loop, !side.stream);
    assert_int_equal(side.opened, 1);
    side_done(&side);
    close(listener);
}

static void shutdown_from_within_receive_delivers_nothing_more(void **state)
{
    struct side side;
    int peer = connected(&side, &ops, QUEUE_BYTES);

    (void)state;
    side.on_receive = SHUTDOWN;
    peer_says(peer, "one");
    turn_until(loop, side.got_len == 3);
    peer_says(peer, "two");
    close(peer);
    turn_until(loop, side.closed == 1);
    assert_int_equal(side.got_len, 3);
    side_done(&side);
}

/* ---- connecting ---- */

static void a_connection_opened_here_is_told_and_takes_what_was_queued_before(const char *address)
{
    struct addr addr;
    int listener = listen_at(address, &addr), peer;
    const struct addr anywhere = {.family = ADDR_NONE};
    struct side side = {.stream = NULL};
    char text[8];

    assert_int_equal(net_stream_connect(loop, &anywhere, &addr, QUEUE_BYTES, &ops, &side, &side.stream), 0);
    assert_int_equal(side.opened, 0);
    assert_int_equal(send_text(&side, SLICE("early")), 0);
    turn_until(loop, side.opened == 1);
    peer = accept(listener, NULL, NULL);
    assert_true(peer >= 0);
    assert_int_equal(recv(peer, text, sizeof(text), 0), 5);
    assert_memory_equal(text, "early", 5);
    assert_int_equal(side.closed, 0);
    close(peer);
    close(listener);
    side_done(&side);
}

static void connects_over_ipv4(void **state)
{
    (void)state;
    a_connection_opened_here_is_told_and_takes_what_was_queued_before("127.0.0.1:0");
}

static void connects_over_ipv6(void **state)
{
    (void)state;
    if (ipv6_is_here())
        a_connection_opened_here_is_told_and_takes_what_was_queued_before("[::1]:0");
}

static void connects_from_a_given_address(void **state)
{
    struct sockaddr_storage from;
    socklen_t len = sizeof(from);
    struct addr addr, source = at("127.0.0.77:5060"), seen;
    int listener = listen_at("127.0.0.1:0", &addr), peer;
    struct side side = {.stream = NULL};

    (void)state;
    assert_int_equal(net_stream_connect(loop, &source, &addr, QUEUE_BYTES, &ops, &side, &side.stream), 0);
    turn_until(loop, side.opened == 1);
    peer = accept(listener, (struct sockaddr *)&from, &len);
    assert_true(peer >= 0);
    assert_int_equal(net_addr_from_sockaddr(&from, &seen), 0);
    assert_true(addr_eq_ip(&seen, &source));
    assert_int_not_equal(seen.port, 5060);
    close(peer);
    close(listener);
    side_done(&side);
}

static void a_refused_connection_is_told_with_errno(void **state)
{
    const struct addr anywhere = {.family = ADDR_NONE};
    struct addr addr;
    struct side side = {.stream = NULL};
    int r;

    (void)state;
    close(listen_at("127.0.0.1:0", &addr)); /* nobody is there now */
    r = net_stream_connect(loop, &anywhere, &addr, QUEUE_BYTES, &ops, &side, &side.stream);
    if (r == 0) {
        assert_int_equal(send_text(&side, SLICE("lost")), 0);
        turn_until(loop, side.closed == 1);
        assert_int_equal(side.error, ECONNREFUSED);
        assert_true(net_stream_written_bytes(side.stream) == 0);
    } else {
        assert_int_equal(r, ERR_IO);
        assert_int_equal(errno, ECONNREFUSED);
    }
    assert_int_equal(side.opened, 0);
    side_done(&side);
}

static void a_connection_may_be_given_up_while_it_is_made(void **state)
{
    const struct addr anywhere = {.family = ADDR_NONE};
    struct addr addr;
    int listener = listen_at("127.0.0.1:0", &addr);
    struct side side = {.stream = NULL};

    (void)state;
    assert_int_equal(net_stream_connect(loop, &anywhere, &addr, QUEUE_BYTES, &ops, &side, &side.stream), 0);
    assert_int_equal(send_text(&side, SLICE("x")), 0);
    assert_false(net_stream_is_open(side.stream));
    side_done(&side);
    close(listener);
}

static void what_cannot_be_connected_is_refused_at_once(void **state)
{
    const struct addr none = {.family = ADDR_NONE};
    struct addr v4 = at("127.0.0.1:5060"), v6 = at("[::1]:5060"), foreign = at("192.0.2.1:0");
    struct net_stream *stream = NULL;

    (void)state;
    assert_int_equal(net_stream_connect(loop, &none, &none, 1, &ops, NULL, &stream), ERR_UNSUPPORTED);
    assert_int_equal(net_stream_connect(loop, &v6, &v4, 1, &ops, NULL, &stream), ERR_UNSUPPORTED);
    assert_int_equal(net_stream_connect(loop, &foreign, &v4, 1, &ops, NULL, &stream), ERR_IO);
    assert_int_equal(errno, EADDRNOTAVAIL);
    assert_null(stream);
    net_stream_free(NULL);
}

static void no_memory_is_an_error_and_leaks_no_descriptor(void **state)
{
    const struct addr anywhere = {.family = ADDR_NONE};
    struct addr addr;
    int listener = listen_at("127.0.0.1:0", &addr), before = dup(0), after;
    struct net_stream *stream = NULL;
    struct side side;
    int peer;

    (void)state;
    close(before);
    mem_fail_after(0);
    assert_int_equal(net_stream_connect(loop, &anywhere, &addr, 1, &ops, NULL, &stream), ERR_NOMEM);
    assert_int_equal(net_stream_from_fd(loop, dup(0), 1, &ops, NULL, &stream), ERR_NOMEM);
    mem_fail_after(-1);
    after = dup(0);
    assert_int_equal(after, before);
    close(after);
    assert_null(stream);

    peer = connected(&side, &ops, QUEUE_BYTES);
    struct wire *wire = wire_from(SLICE("x"));
    mem_fail_after(0);
    assert_int_equal(net_stream_send(side.stream, wire), ERR_NOMEM);
    mem_fail_after(-1);
    assert_true(net_stream_queued_bytes(side.stream) == 0);
    assert_int_equal(net_stream_send(side.stream, wire), 0);
    wire_unref(wire);
    turn_until(loop, net_stream_written_bytes(side.stream) == 1);
    close(peer);
    close(listener);
    side_done(&side);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        T(octets_go_both_ways),
        T(a_wire_is_shared_not_copied_and_let_go_when_it_is_written),
        T(nagle_is_off_and_a_dead_peer_is_given_up),
        T(a_large_flow_survives_partial_writes),
        T(a_peer_that_does_not_read_meets_the_limit_and_harms_nobody_else),
        T(the_limit_counts_bookkeeping_so_that_tiny_messages_are_bounded_too),
        T(a_paused_stream_reads_nothing_until_resumed),
        T(a_peer_that_closes_closes_the_stream),
        T(an_answer_to_a_peer_that_has_ended_still_leaves),
        T(with_a_function_for_it_a_half_closed_stream_stays_open_for_sending),
        T(a_half_closed_stream_costs_no_turns),
        T(a_broken_connection_is_told_with_errno),
        T(a_broken_connection_is_seen_while_paused),
        T(shutdown_sends_what_is_queued_and_then_closes),
        T(the_last_answer_reaches_a_peer_that_is_still_sending),
        T(a_peer_that_never_ends_is_waited_for_a_little_only),
        T(a_peer_that_sends_for_ever_is_waited_for_so_many_octets_only),
        T(a_stream_may_be_freed_by_any_of_its_functions),
        T(shutdown_from_within_receive_delivers_nothing_more),
        T(connects_over_ipv4),
        T(connects_over_ipv6),
        T(connects_from_a_given_address),
        T(a_refused_connection_is_told_with_errno),
        T(a_connection_may_be_given_up_while_it_is_made),
        T(what_cannot_be_connected_is_refused_at_once),
        T(no_memory_is_an_error_and_leaks_no_descriptor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
