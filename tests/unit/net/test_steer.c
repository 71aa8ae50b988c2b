#include "net/sockaddr.h"
#include "net/steer.h"
#include "support.h"
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SOCKETS = 3 };

static const struct net_steer steer = {
    .key = {0x0706050403020100, 0x0f0e0d0c0b0a0908}, .sockets = SOCKETS, .name = "Call-ID", .except = "REGI"};

static int sockets[SOCKETS], client;
static struct sockaddr_storage to;
static socklen_t to_len;

static int set_up(void **state)
{
    struct addr addr = at("127.0.0.1:0");

    (void)state;
    for (unsigned i = 0; i < SOCKETS; i++) {
        assert_int_equal(net_socket_bind(SOCK_DGRAM, &addr, true, &sockets[i]), 0);
        assert_int_equal(net_socket_addr(sockets[i], &addr), 0);
        if (i == 0)
            assert_int_equal(net_steer_attach(sockets[i], &steer), 0);
    }
    to_len = net_sockaddr_from_addr(&addr, &to);
    addr = at("127.0.0.1:0");
    return net_socket_bind(SOCK_DGRAM, &addr, false, &client);
}

static int tear_down(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SOCKETS; i++)
        close(sockets[i]);
    close(client);
    return mem_held_bytes() == 0 ? 0 : -1;
}

/* The socket that the text comes to. */
static unsigned socket_of(struct slice text)
{
    struct pollfd fds[SOCKETS];
    char got[4096];

    assert_int_equal(sendto(client, text.ptr, text.len, 0, (struct sockaddr *)&to, to_len), text.len);
    for (unsigned i = 0; i < SOCKETS; i++)
        fds[i] = (struct pollfd){.fd = sockets[i], .events = POLLIN};
    assert_int_equal(poll(fds, SOCKETS, PATIENCE_MS), 1);
    for (unsigned i = 0; i < SOCKETS; i++)
        if (fds[i].revents != 0) {
            assert_int_equal(recv(sockets[i], got, sizeof(got), 0), text.len);
            return i;
        }
    fail();
    return SOCKETS;
}

static unsigned expected_of(const char *call_id)
{
    return hash_head32(&steer.key, slice_from_cstr(call_id)) % SOCKETS;
}

/* "INVITE …", a header field that makes the next one begin at octet `at`, `middle`, and what follows a Call-ID. */
static unsigned socket_of_message(unsigned at, const char *middle)
{
    char text[4096];
    size_t n = (size_t)snprintf(text, sizeof(text), "INVITE sip:x SIP/2.0\r\nX: ");

    while (n < at - 2)
        text[n++] = 'x';
    n += (size_t)snprintf(text + n, sizeof(text) - n, "\r\n%sCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n",
                          middle);
    return socket_of(slice_make(text, n));
}

static unsigned socket_of_call_id(unsigned at, const char *head, const char *call_id)
{
    char middle[1024];

    snprintf(middle, sizeof(middle), "%s%s\r\n", head, call_id);
    return socket_of_message(at, middle);
}

static void a_call_id_finds_its_socket_wherever_it_stands(void **state)
{
    (void)state;
    for (unsigned at = 40; at < NET_STEER_REACH - 20; at++) {
        char call_id[32];

        snprintf(call_id, sizeof(call_id), "%x@client.example", at * 2654435761U);
        assert_int_equal(socket_of_call_id(at, "Call-ID: ", call_id), expected_of(call_id));
    }
}

static void a_call_id_of_any_length_finds_its_socket(void **state)
{
    static const char longest[] =
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    (void)state;
    for (size_t n = 1; n < sizeof(longest); n++)
        assert_int_equal(socket_of_call_id(300, "Call-ID: ", longest + sizeof(longest) - 1 - n),
                         expected_of(longest + sizeof(longest) - 1 - n));
    assert_int_equal(socket_of_call_id(300, "Call-ID:", "no-space@x"), expected_of("no-space@x"));
}

static void what_looks_like_one_is_passed_over(void **state)
{
    static const char *const decoys[] = {
        "Call-Info: <http://x.example/a-long-enough-value-to-fill-the-rest-of-the-group>\r\nCall-ID: ",
        "Session-ID: 0123456789abcdef0123456789abcdef0123456789abcdef\r\nCall-ID: ",
        "X-Call-ID: wrong-0123456789abcdef0123456789abcdef012345678\r\nCall-ID: ",
        "Subject: Call-ID: wrong-0123456789abcdef0123456789abcdef012345678\r\nCall-ID: ",
    };
    char call_id[32];

    (void)state;
    for (unsigned d = 0; d < sizeof(decoys) / sizeof(decoys[0]); d++)
        for (unsigned i = 0; i < 20; i++) {
            snprintf(call_id, sizeof(call_id), "right-%u", i);
            assert_int_equal(socket_of_call_id(200 + i, decoys[d], call_id), expected_of(call_id));
        }
}

/* All from one address: by the addresses they come to one socket. */
static void where_none_is_found_the_addresses_choose(void **state)
{
    unsigned by_addresses = socket_of(SLICE("\r\n\r\n"));

    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        char call_id[32];

        snprintf(call_id, sizeof(call_id), "%u", i);
        assert_int_equal(socket_of_call_id(300, "i: ", call_id), by_addresses);
        assert_int_equal(socket_of_call_id(NET_STEER_REACH + 100, "Call-ID: ", call_id), by_addresses);
        assert_int_equal(socket_of_message(300 + i, ""), by_addresses);
    }
    assert_int_equal(socket_of(SLICE("")), by_addresses);
    assert_int_equal(socket_of(SLICE("\nCall-ID: x")), by_addresses);
}

/* So what one peer sends of them comes in its order. */
static void exceptions_go_by_their_addresses(void **state)
{
    static const char *const starts[] = {"REGISTER sip:x SIP/2.0", "\r\nINVITE sip:x SIP/2.0",
                                         "\nINVITE sip:x SIP/2.0"};
    unsigned by_addresses = socket_of(SLICE("\r\n\r\n"));

    (void)state;
    for (unsigned i = 0; i < 60; i++) {
        char text[512];
        int n = snprintf(text, sizeof(text),
                         "%s\r\nCall-ID: %u\r\nCSeq: 1 REGISTER\r\nContact: <sip:x@x.example>\r\n\r\n",
                         starts[i % 3], i);

        assert_int_equal(socket_of(slice_make(text, (size_t)n)), by_addresses);
    }
}

static void one_peer_is_shared_out(void **state)
{
    enum { CALLS = 3000 };
    unsigned counts[SOCKETS] = {0};

    (void)state;
    for (unsigned i = 0; i < CALLS; i++) {
        char call_id[64];

        snprintf(call_id, sizeof(call_id), "call-%08u@trunk.example", i);
        counts[socket_of_call_id(250, "Call-ID: ", call_id)]++;
    }
    for (unsigned i = 0; i < SOCKETS; i++)
        assert_in_range(counts[i], CALLS / SOCKETS * 9 / 10, CALLS / SOCKETS * 11 / 10);
}

/* As Linux had it before 6.8. False: who has no rights cannot try. */
static bool be_where_the_kernel_has_little_memory(void)
{
    struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    int fd, optmem;
    bool is_there;

    if (unshare(CLONE_NEWNET) < 0)
        return false;
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    optmem = open("/proc/sys/net/core/optmem_max", O_WRONLY);
    is_there = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &lo) == 0 && optmem >= 0 && write(optmem, "20480", 5) == 5;
    close(fd);
    close(optmem);
    return is_there;
}

static bool finds_within_the_short_reach(void)
{
    void *state = NULL;

    if (set_up(&state) != 0)
        return false;
    for (unsigned at = 40; at < NET_STEER_REACH_SHORT - 20; at++) {
        char call_id[32];

        snprintf(call_id, sizeof(call_id), "%x@client.example", at * 2654435761U);
        if (socket_of_call_id(at, "Call-ID: ", call_id) != expected_of(call_id))
            return false;
        (void)socket_of_call_id(at, "Call-Info: <x:y>\r\nCall-ID: ", call_id); /* to any of them */
    }
    return true;
}

static void try_a_kernel_with_little_memory(void)
{
    if (!be_where_the_kernel_has_little_memory())
        _exit(EXIT_NOT_TESTED);
    if (!finds_within_the_short_reach())
        _exit(1);
}

static void a_kernel_with_little_memory_takes_a_shorter_program(void **state)
{
    (void)state;
    succeeds_in_a_child(try_a_kernel_with_little_memory,
                        "root, and net.core.optmem_max for each network namespace (Linux 6.8)");
}

static void what_cannot_be_attached_is_an_error(void **state)
{
    int other[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, other), 0);
    close(other[1]);
    assert_int_equal(net_steer_attach(other[0], &steer), ERR_IO);
    close(other[0]);
    mem_fail_after(0);
    assert_int_equal(net_steer_attach(sockets[0], &steer), ERR_NOMEM);
    mem_fail_after(-1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        T(a_call_id_finds_its_socket_wherever_it_stands),
        T(a_call_id_of_any_length_finds_its_socket),
        T(what_looks_like_one_is_passed_over),
        T(where_none_is_found_the_addresses_choose),
        T(exceptions_go_by_their_addresses),
        T(one_peer_is_shared_out),
        T(a_kernel_with_little_memory_takes_a_shorter_program),
        T(what_cannot_be_attached_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
