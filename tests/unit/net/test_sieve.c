#include "net/sieve.h"
#include "net/sockaddr.h"
#include "support.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MARK "aB3dE6gH9jK2"

static const struct net_sieve sieve = {.start = "ACK ", .mark = MARK};

static int server, client;
static struct sockaddr_storage to;
static socklen_t to_len;

static void set_up_at(const char *address)
{
    struct addr addr = at(address);
    const int on = 1;

    assert_int_equal(net_socket_bind(SOCK_DGRAM, &addr, false, &server), 0);
    assert_int_equal(net_socket_addr(server, &addr), 0);
    assert_int_equal(setsockopt(server, IPPROTO_UDP, UDP_GRO, &on, sizeof(on)), 0);
    assert_int_equal(net_sieve_attach(server, &sieve), 0);
    to_len = net_sockaddr_from_addr(&addr, &to);
    addr = at(address);
    assert_int_equal(net_socket_bind(SOCK_DGRAM, &addr, false, &client), 0);
}

static int set_up(void **state)
{
    (void)state;
    set_up_at("127.0.0.1:0");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    close(server);
    close(client);
    return mem_held_bytes() == 0 ? 0 : -1;
}

static void send_text(struct slice text)
{
    assert_int_equal(sendto(client, text.ptr, text.len, 0, (struct sockaddr *)&to, to_len), text.len);
}

/* Whether it comes, before what is sent after it. */
static bool passes(struct slice text)
{
    char got[4096];
    ssize_t len;

    send_text(text);
    send_text(SLICE("after it"));
    len = recv(server, got, sizeof(got), 0);
    assert_true(len >= 0);
    if ((size_t)len == text.len && memcmp(got, text.ptr, text.len) == 0) {
        assert_int_equal(recv(server, got, sizeof(got), 0), 8);
        return true;
    }
    assert_int_equal(len, 8);
    assert_memory_equal(got, "after it", 8);
    return false;
}

/* `len` octets of a message without a body that begins with `start` and holds `what` from octet `at` on. */
static struct slice message(char *memory, const char *start, unsigned at, const char *what, unsigned len)
{
    memset(memory, 'x', len);
    memcpy(memory, start, strlen(start));
    memcpy(memory + at, what, strlen(what));
    memcpy(memory + len - 4, "\r\n\r\n", 4);
    return slice_make(memory, len);
}

static void an_ack_with_the_mark_is_dropped_wherever_the_mark_stands(void **state)
{
    char memory[NET_SIEVE_REACH];

    (void)state;
    for (unsigned at = NET_SIEVE_HEAD; at <= 600 - NET_SIEVE_TAIL; at++)
        if (passes(message(memory, "ACK ", at, MARK, 600)))
            fail_msg("at %u", at);
}

static void an_ack_of_any_length_is_dropped_within_reach(void **state)
{
    char memory[NET_SIEVE_REACH];

    (void)state;
    for (unsigned len = NET_SIEVE_HEAD + NET_SIEVE_TAIL; len <= NET_SIEVE_REACH; len++)
        if (passes(message(memory, "ACK ", NET_SIEVE_HEAD, MARK, len)) ||
            passes(message(memory, "ACK ", len - NET_SIEVE_TAIL, MARK, len)))
            fail_msg("of %u octets", len);
}

static void over_ipv6_it_is_the_same(void **state)
{
    char memory[400];

    (void)state;
    if (!ipv6_is_here())
        return;
    close(server);
    close(client);
    set_up_at("[::1]:0");
    assert_false(passes(message(memory, "ACK ", 200, MARK, 400)));
    assert_true(passes(message(memory, "ACK ", 200, "another tag", 400)));
}

static void what_begins_otherwise_passes(void **state)
{
    static const char *const starts[] = {"INVITE ", "BYE ",     "SIP/2.0 200 OK", "ack ",
                                         "ACKS",    "\r\nACK ", " ACK "};
    char memory[400];

    (void)state;
    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
        assert_true(passes(message(memory, starts[i], 200, MARK, 400)));
}

static void an_ack_without_the_mark_passes(void **state)
{
    char memory[NET_SIEVE_REACH];

    (void)state;
    for (unsigned len = NET_SIEVE_HEAD; len <= NET_SIEVE_REACH; len += 7)
        assert_true(passes(message(memory, "ACK ", 10, "another tag", len)));
}

/* Each octet of it counts, and its case. */
static void an_ack_with_a_part_of_the_mark_passes(void **state)
{
    char memory[400];

    (void)state;
    for (unsigned at = 100; at < 110; at++)
        for (unsigned i = 0; i < NET_SIEVE_MARK_BYTES; i++) {
            char part[] = MARK;

            part[i] ^= 0x20;
            assert_true(passes(message(memory, "ACK ", at, part, 400)));
        }
}

/* A mark that is none may hide what comes after it. */
static void after_the_beginning_of_a_mark_the_mark_is_not_believed(void **state)
{
    char memory[400];

    (void)state;
    for (unsigned at = 100; at < 110; at++)
        assert_true(passes(message(memory, "ACK ", at, "aB3d\r\n\r\n" MARK, 400)));
}

static void a_mark_that_is_cut_off_passes(void **state)
{
    char memory[400];

    (void)state;
    for (unsigned len = 300; len < 320; len++)
        for (unsigned part = 1; part < NET_SIEVE_MARK_BYTES; part++) {
            memset(memory, 'x', len);
            memcpy(memory, "ACK ", 4);
            memcpy(memory + len - part, MARK, part);
            assert_true(passes(slice_make(memory, len)));
        }
}

static void a_mark_beyond_reach_passes(void **state)
{
    char memory[2000];

    (void)state;
    assert_true(passes(message(memory, "ACK ", NET_SIEVE_REACH + 10, MARK, 2000)));
    assert_true(passes(message(memory, "ACK ", 200, MARK, NET_SIEVE_REACH + 40)));
    assert_true(passes(message(memory, "ACK ", 20, MARK, 400)));
}

static void what_is_too_short_passes(void **state)
{
    static const char text[] = "ACK " MARK MARK MARK MARK MARK;

    (void)state;
    for (unsigned len = 0; len < NET_SIEVE_HEAD; len++)
        assert_true(passes(slice_make(text, len)));
}

/* It has a body, or is several datagrams that came as one. */
static void what_goes_on_after_an_empty_line_passes(void **state)
{
    char memory[400];

    (void)state;
    for (unsigned at = NET_SIEVE_HEAD; at < 400 - NET_SIEVE_TAIL - 20; at++) {
        if (at < 188 || at > 212) {
            message(memory, "ACK ", 200, MARK, 400);
            memcpy(memory + at, "\r\n\r\n", 4);
            if (!passes(slice_make(memory, 400)))
                fail_msg("at %u", at);
        }
    }
    for (unsigned at = 200; at < 212; at++) {
        message(memory, "ACK ", at, MARK "\r\n\r\n", 400);
        assert_true(passes(slice_make(memory, 400)));
    }
    /* And what only looks like another mark does not hide it. */
    for (unsigned at = 240; at < 260; at++) {
        message(memory, "ACK ", 200, MARK, 400);
        memcpy(memory + at, "aB3d\r\n\r\n", 8);
        if (!passes(slice_make(memory, 400)))
            fail_msg("behind four octets of the mark at %u", at);
    }
}

/* The kernel shows the program all of a train as one. */
static void of_a_train_nothing_is_lost(void **state)
{
    enum { LEN = 300, CARS = 3 };
    const int car_bytes = LEN;
    char memory[LEN * CARS];

    (void)state;
    assert_int_equal(setsockopt(client, IPPROTO_UDP, UDP_SEGMENT, &car_bytes, sizeof(car_bytes)), 0);
    for (unsigned marked = 0; marked < CARS; marked++) {
        for (unsigned i = 0; i < CARS; i++)
            message(memory + i * LEN, "ACK ", 200, i == marked ? MARK : "another tag", LEN);
        assert_true(passes(slice_make(memory, sizeof(memory))));
    }
    message(memory, "ACK ", 200, MARK, LEN);
    message(memory + LEN, "INVITE ", 200, "another tag", LEN - 80);
    assert_true(passes(slice_make(memory, 2 * LEN - 80)));
}

static void detached_it_lets_all_pass_and_may_be_attached_again(void **state)
{
    char memory[400];

    (void)state;
    net_sieve_detach(server);
    assert_true(passes(message(memory, "ACK ", 200, MARK, 400)));
    net_sieve_detach(server);
    assert_int_equal(net_sieve_attach(server, &sieve), 0);
    assert_false(passes(message(memory, "ACK ", 200, MARK, 400)));
}

static void what_cannot_be_attached_is_an_error(void **state)
{
    const int on = 1;

    (void)state;
    mem_fail_after(0);
    assert_int_equal(net_sieve_attach(server, &sieve), ERR_NOMEM);
    mem_fail_after(-1);
    net_sieve_detach(server);
    assert_int_equal(setsockopt(server, SOL_SOCKET, SO_LOCK_FILTER, &on, sizeof(on)), 0);
    assert_int_equal(net_sieve_attach(server, &sieve), ERR_IO);
    assert_int_equal(errno, EPERM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        T(an_ack_with_the_mark_is_dropped_wherever_the_mark_stands),
        T(an_ack_of_any_length_is_dropped_within_reach),
        T(over_ipv6_it_is_the_same),
        T(what_begins_otherwise_passes),
        T(an_ack_without_the_mark_passes),
        T(an_ack_with_a_part_of_the_mark_passes),
        T(after_the_beginning_of_a_mark_the_mark_is_not_believed),
        T(a_mark_that_is_cut_off_passes),
        T(a_mark_beyond_reach_passes),
        T(what_is_too_short_passes),
        T(what_goes_on_after_an_empty_line_passes),
        T(of_a_train_nothing_is_lost),
        T(detached_it_lets_all_pass_and_may_be_attached_again),
        T(what_cannot_be_attached_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
