#include "net/sockaddr.h"
#include "net/tcp.h"
#include "support.h"
#include <errno.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Stands before the C library's, to run out of file descriptors on demand. */
static struct {
    int error;
    unsigned failures, calls;
} kernel;

int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    kernel.calls++;
    if (kernel.failures > 0) {
        kernel.failures--;
        errno = kernel.error;
        return -1;
    }
    return (int)syscall(SYS_accept4, fd, addr, len, flags);
}

struct host {
    ms_t rests_ms; /* after each */
    struct net_tcp_listener *listener;
    unsigned accepted, refused, limit;
    int fds[64];
    struct addr peer;
    bool frees_itself;
};

static struct net_loop *loop;

static bool on_accept(void *ctx, struct net_tcp_listener *listener, int fd, const struct addr *peer)
{
    struct host *host = ctx;

    assert_ptr_equal(listener, host->listener);
    host->peer = *peer;
    if (host->frees_itself) {
        net_tcp_listener_free(listener);
        host->listener = NULL;
    }
    if (host->accepted == host->limit) {
        host->refused++;
        return false;
    }
    host->fds[host->accepted++] = fd;
    if (host->rests_ms > 0)
        net_tcp_listener_rest(listener, host->rests_ms);
    return true;
}

static const struct net_tcp_listener_ops ops = {.accept = on_accept};

static void host_open(struct host *host, const char *address)
{
    struct addr a = at(address);

    *host = (struct host){.limit = 64};
    assert_int_equal(net_tcp_listener_new(loop, &a, &ops, host, &host->listener), 0);
}

static void host_close(struct host *host)
{
    net_tcp_listener_free(host->listener);
    for (unsigned i = 0; i < host->accepted; i++)
        close(host->fds[i]);
}

static int call(const struct addr *to)
{
    struct sockaddr_storage sockaddr;
    socklen_t len = net_sockaddr_from_addr(to, &sockaddr);
    int fd = socket(sockaddr.ss_family, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sockaddr, len), 0);
    return fd;
}

static int set_up(void **state)
{
    (void)state;
    kernel.failures = kernel.calls = 0;
    loop = new_loop();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    net_loop_free(loop);
    return mem_held_bytes() == 0 ? 0 : -1;
}

static void accepts_with_the_peer_s_address(const char *address)
{
    struct host host;
    struct addr local;
    int fd;

    host_open(&host, address);
    assert_int_not_equal(net_tcp_listener_addr(host.listener)->port, 0);
    fd = call(net_tcp_listener_addr(host.listener));
    turn_until(loop, host.accepted == 1);
    assert_int_equal(net_socket_addr(fd, &local), 0);
    assert_true(addr_eq(&host.peer, &local));
    close(fd);
    host_close(&host);
}

static void accepts_over_ipv4(void **state)
{
    (void)state;
    accepts_with_the_peer_s_address("127.0.0.1:0");
}

static void accepts_over_ipv6(void **state)
{
    (void)state;
    if (ipv6_is_here())
        accepts_with_the_peer_s_address("[::1]:0");
}

static void a_connection_over_the_limit_is_closed(void **state)
{
    struct host host;
    int fds[3];
    char octet;

    (void)state;
    host_open(&host, "127.0.0.1:0");
    host.limit = 2;
    for (int i = 0; i < 3; i++)
        fds[i] = call(net_tcp_listener_addr(host.listener));
    turn_until(loop, host.refused == 1);
    assert_int_equal(host.accepted, 2);
    assert_int_equal(recv(fds[2], &octet, 1, 0), 0); /* closed */
    assert_int_equal(recv(fds[0], &octet, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN); /* open */
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    host_close(&host);
}

static void without_file_descriptors_it_rests_instead_of_spinning_and_then_goes_on(void **state)
{
    struct host host;
    ms_t start_ms = clock_monotonic_ms();
    int fd;

    (void)state;
    host_open(&host, "127.0.0.1:0");
    kernel.error = EMFILE;
    kernel.failures = 1;
    fd = call(net_tcp_listener_addr(host.listener));
    turn_until(loop, host.accepted == 1);
    assert_true(clock_monotonic_ms() - start_ms >= NET_TCP_ACCEPT_REST_MS);
    assert_in_range(kernel.calls, 2,
                    3); /* in vain, and after the rest; a third finds that there are no more */
    close(fd);
    host_close(&host);
}

static void told_to_rest_it_lets_who_comes_wait(void **state)
{
    struct host host;
    ms_t start_ms;
    int fds[3];

    (void)state;
    host_open(&host, "127.0.0.1:0");
    host.rests_ms = 200;
    start_ms = clock_monotonic_ms();
    for (int i = 0; i < 3; i++)
        fds[i] = call(net_tcp_listener_addr(host.listener));
    turn_until(loop, host.accepted == 3);
    assert_true(clock_monotonic_ms() - start_ms >= 2 * 200);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    host_close(&host);
}

static void freed_while_it_rests(void **state)
{
    struct host host;
    int fd;

    (void)state;
    host_open(&host, "127.0.0.1:0");
    kernel.error = ENOBUFS;
    kernel.failures = 1;
    fd = call(net_tcp_listener_addr(host.listener));
    turn_until(loop, kernel.calls == 1);
    host_close(&host);
    close(fd);
}

static void an_aborted_connection_does_not_hold_up_the_next(void **state)
{
    struct host host;
    int fd;

    (void)state;
    host_open(&host, "127.0.0.1:0");
    kernel.error = ECONNABORTED;
    kernel.failures = 3;
    fd = call(net_tcp_listener_addr(host.listener));
    turn_until(loop, host.accepted == 1);
    close(fd);
    host_close(&host);
}

static void workers_can_share_an_address(void **state)
{
    struct host a, b;

    (void)state;
    host_open(&a, "127.0.0.1:0");
    b = (struct host){.limit = 64};
    assert_int_equal(net_tcp_listener_new(loop, net_tcp_listener_addr(a.listener), &ops, &b, &b.listener), 0);
    host_close(&a);
    host_close(&b);
}

static void it_may_be_freed_when_it_accepts(void **state)
{
    struct host host;
    int fds[3];

    (void)state;
    host_open(&host, "127.0.0.1:0");
    host.frees_itself = true;
    for (int i = 0; i < 3; i++)
        fds[i] = call(net_tcp_listener_addr(host.listener));
    turn_until(loop, !host.listener);
    assert_int_equal(host.accepted, 1);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    host_close(&host);
}

static void errors_have_errno(void **state)
{
    struct addr foreign = at("192.0.2.1:5060");
    struct net_tcp_listener *listener = NULL;

    (void)state;
    assert_int_equal(net_tcp_listener_new(loop, &foreign, &ops, NULL, &listener), ERR_IO);
    assert_int_equal(errno, EADDRNOTAVAIL);
    mem_fail_after(0);
    assert_int_equal(net_tcp_listener_new(loop, &foreign, &ops, NULL, &listener), ERR_NOMEM);
    mem_fail_after(-1);
    assert_null(listener);
    net_tcp_listener_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        T(accepts_over_ipv4),
        T(accepts_over_ipv6),
        T(a_connection_over_the_limit_is_closed),
        T(without_file_descriptors_it_rests_instead_of_spinning_and_then_goes_on),
        T(told_to_rest_it_lets_who_comes_wait),
        T(freed_while_it_rests),
        T(an_aborted_connection_does_not_hold_up_the_next),
        T(workers_can_share_an_address),
        T(it_may_be_freed_when_it_accepts),
        T(errors_have_errno),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
