#include "net/sockaddr.h"
#include "net/udp.h"
#include "support.h"
#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define QUEUE_BYTES (4 << 20)

/* Stands before the C library's: what a kernel under pressure answers, which loopback never does by itself. */
static struct {
    unsigned passes; /* calls that go through before those that fail */
    unsigned failures;
    int error;
    const struct addr *provoke; /* each failure comes with an ICMP error of a datagram to this address */
    unsigned at_most;           /* datagrams taken by one call; 0: all */
    unsigned calls;
    unsigned packets; /* taken: each a datagram or a train */
    unsigned trains;  /* offered */
    int train_error;  /* what every train longer than train_octets is refused with, unless 0 */
    unsigned train_octets;
    uint8_t icmp_type, icmp_code; /* what ICMP errors are made into, unless the type is 0 */
    unsigned asked, read;         /* packets: how many the last call could have given, how many all have */
} kernel;

int recvmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags, struct timespec *timeout)
{
    int n = (int)syscall(SYS_recvmmsg, fd, messages, count, flags, timeout);

    kernel.asked = count;
    kernel.read += n > 0 ? (unsigned)n : 0;
    return n;
}

int sendmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags)
{
    struct sockaddr_storage nobody;

    kernel.calls++;
    if (kernel.passes > 0) {
        kernel.passes--;
    } else if (kernel.failures > 0) {
        kernel.failures--;
        if (kernel.provoke)
            sendto(fd, "icmp", 4, 0, (struct sockaddr *)&nobody,
                   net_sockaddr_from_addr(kernel.provoke, &nobody));
        errno = kernel.error;
        return -1;
    }
    if (kernel.at_most > 0 && count > kernel.at_most)
        count = kernel.at_most;
    for (unsigned i = 0; i < count; i++) {
        const struct msghdr *m = &messages[i].msg_hdr;

        kernel.trains += m->msg_iovlen > 1;
        if (m->msg_iovlen == 1 || kernel.train_error == 0 || m->msg_iov[0].iov_len <= kernel.train_octets)
            continue;
        errno = kernel.train_error;
        if (i == 0)
            return -1;
        count = i;
    }
    int sent = (int)syscall(SYS_sendmmsg, fd, messages, count, flags);
    kernel.packets += sent > 0 ? (unsigned)sent : 0;
    return sent;
}

/* Of the error queue: another message of ICMP than the one that loopback can bring about. */
ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
    ssize_t len = syscall(SYS_recvmsg, fd, m, flags);
    struct sock_extended_err error;

    if (len < 0 || (flags & MSG_ERRQUEUE) == 0 || kernel.icmp_type == 0)
        return len;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        memcpy(&error, CMSG_DATA(c), sizeof(error));
        error.ee_type = kernel.icmp_type;
        error.ee_code = kernel.icmp_code;
        error.ee_errno = EHOSTUNREACH;
        memcpy(CMSG_DATA(c), &error, sizeof(error));
    }
    return len;
}

/* A socket and what was told about it. */
struct end {
    struct net_udp *udp;
    unsigned received, refused, failed;
    struct addr from, local, refused_to;
    char last[2048], refused_head[2048];
    size_t last_len, refused_len;
    int refused_error, failed_error;
    uint64_t failed_token;
    uint8_t seen[1024]; /* by the number a datagram carries */
    uint32_t latest[8]; /* the last such numbers, the last one first */
    uint32_t waited_us, lost;
    unsigned told; /* how often, of these two */
    bool echoes, frees_itself;
    struct end *floods; /* when refused, with more than a batch */
};

static struct counters counters;
static struct end client, server;
static struct net_loop *loop;
static struct net_udp_batch *batch;

static void send_text(struct end *end, const struct addr *to, struct slice text, uint64_t token)
{
    struct wire *wire = wire_from(text);

    assert_non_null(wire);
    assert_int_equal(net_udp_send(end->udp, to, wire, token), 0);
    wire_unref(wire);
}

static void on_receive(void *ctx, struct net_udp *udp, struct slice data, const struct addr *from)
{
    struct end *end = ctx;

    assert_ptr_equal(udp, end->udp);
    end->received++;
    end->from = *from;
    end->local = *net_udp_received_at(udp);
    end->last_len = data.len;
    memcpy(end->last, data.ptr, data.len < sizeof(end->last) ? data.len : sizeof(end->last));
    if (data.len >= sizeof(uint32_t)) {
        uint32_t number;

        memcpy(&number, data.ptr, sizeof(number));
        if (number < sizeof(end->seen))
            end->seen[number]++;
        memmove(end->latest + 1, end->latest, sizeof(end->latest) - sizeof(end->latest[0]));
        end->latest[0] = number;
    }
    if (end->echoes) {
        struct wire *wire = wire_from(data);

        assert_int_equal(net_udp_send_from(udp, &end->local, from, wire, 0), 0);
        wire_unref(wire);
    }
    if (end->frees_itself) {
        net_udp_free(udp);
        end->udp = NULL;
    }
}

static void on_failed(void *ctx, struct net_udp *udp, uint64_t token, int error)
{
    struct end *end = ctx;

    assert_ptr_equal(udp, end->udp);
    end->failed++;
    end->failed_token = token;
    end->failed_error = error;
    if (end->frees_itself) {
        net_udp_free(udp);
        end->udp = NULL;
    }
}

static void on_refused(void *ctx, struct net_udp *udp, const struct addr *to, struct slice head, int error)
{
    struct end *end = ctx;

    assert_ptr_equal(udp, end->udp);
    end->refused++;
    end->refused_to = *to;
    end->refused_error = error;
    assert_true(head.len <= sizeof(end->refused_head));
    memcpy(end->refused_head, head.ptr, head.len);
    end->refused_len = head.len;
    for (uint32_t i = 0; end->floods && i < NET_UDP_BATCH + 10; i++)
        send_text(end, net_udp_addr(end->floods->udp), slice_make((const char *)&i, sizeof(i)), i + 1);
    end->floods = NULL;
    if (end->frees_itself) {
        net_udp_free(udp);
        end->udp = NULL;
    }
}

static void on_waited(void *ctx, struct net_udp *udp, uint32_t waited_us, uint32_t lost)
{
    struct end *end = ctx;

    (void)udp;
    end->told++;
    end->waited_us = waited_us;
    end->lost += lost;
}

static const struct net_udp_ops ops = {
    .waited = on_waited, .receive = on_receive, .send_failed = on_failed, .refused = on_refused};

static struct net_udp_opts opts_for(struct end *end, const char *address)
{
    struct net_udp_opts opts = {
        .loop = loop,
        .batch = batch,
        .addr = at(address),
        .takes_trains = true,
        .receive_buffer_bytes = 4 << 20,
        .queue_bytes = QUEUE_BYTES,
        .counters = &counters,
        .ops = &ops,
        .ctx = end,
    };

    return opts;
}

static void end_open(struct end *end, const char *address)
{
    struct net_udp_opts opts = opts_for(end, address);

    memset(end, 0, sizeof(*end));
    assert_int_equal(net_udp_new(&opts, &end->udp), 0);
}

static void end_close(struct end *end)
{
    net_udp_free(end->udp);
    end->udp = NULL;
}

/* A UDP port of loopback where nobody listens. */
static struct addr closed_port(const char *address)
{
    struct addr a = at(address);
    int fd;

    assert_int_equal(net_socket_bind(SOCK_DGRAM, &a, false, &fd), 0);
    assert_int_equal(net_socket_addr(fd, &a), 0);
    close(fd);
    return a;
}

static int set_up(void **state)
{
    (void)state;
    memset(&kernel, 0, sizeof(kernel));
    memset(&client, 0, sizeof(client));
    memset(&server, 0, sizeof(server));
    loop = new_loop();
    return net_udp_batch_new(&batch);
}

static int tear_down(void **state)
{
    (void)state;
    end_close(&client);
    end_close(&server);
    net_udp_batch_free(batch);
    net_loop_free(loop);
    return mem_held_bytes() == 0 ? 0 : -1;
}

/* What most tests have: two that know each other, over IPv4. */
static int set_up_pair(void **state)
{
    int r = set_up(state);

    if (r < 0)
        return r;
    end_open(&client, "127.0.0.1:0");
    end_open(&server, "127.0.0.1:0");
    return 0;
}

static void a_thousand_datagrams_go_there_and_back(const char *address)
{
    enum { COUNT = 1000 };

    end_open(&client, address);
    end_open(&server, address);
    server.echoes = true;
    for (uint32_t i = 0; i < COUNT; i++) {
        char text[500] = {0};

        memcpy(text, &i, sizeof(i));
        send_text(&client, net_udp_addr(server.udp), slice_make(text, sizeof(text)), 0);
    }
    turn_until(loop, client.received == COUNT);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(client.seen[i], 1);
    assert_true(addr_eq(&client.from, net_udp_addr(server.udp)));
    assert_true(addr_eq(&client.local, net_udp_addr(client.udp)));
    assert_int_equal(client.last_len, 500);
}

static void batches_over_ipv4(void **state)
{
    (void)state;
    a_thousand_datagrams_go_there_and_back("127.0.0.1:0");
}

static void batches_over_ipv6(void **state)
{
    (void)state;
    if (ipv6_is_here())
        a_thousand_datagrams_go_there_and_back("[::1]:0");
}

static void the_longest_datagram_passes_and_a_longer_one_is_refused_at_once(void **state)
{
    static char text[65508];
    struct wire *wire;

    (void)state;
    memset(text, 'x', sizeof(text));
    wire = wire_from(slice_make(text, 65508));
    assert_int_equal(net_udp_send(client.udp, net_udp_addr(server.udp), wire, 1), ERR_RANGE);
    assert_int_equal(wire->refs, 1);
    wire_unref(wire);
    send_text(&client, net_udp_addr(server.udp), slice_make(text, 65507), 0);
    turn_until(loop, server.received == 1);
    assert_int_equal(server.last_len, 65507);
    send_text(&client, net_udp_addr(server.udp), SLICE(""), 0);
    turn_until(loop, server.received == 2);
    assert_int_equal(server.last_len, 0);
}

static void the_other_family_is_refused_at_once(void **state)
{
    struct addr v6 = at("[::1]:5060");
    struct wire *wire = wire_from(SLICE("x"));

    (void)state;
    end_open(&client, "127.0.0.1:0");
    assert_int_equal(net_udp_send(client.udp, &v6, wire, 1), ERR_UNSUPPORTED);
    wire_unref(wire);
}

static void icmp_is_told(const char *address)
{
    struct addr nobody = closed_port(address);

    end_open(&client, address);
    send_text(&client, &nobody, SLICE("INVITE sip:bob@example.com SIP/2.0\r\nVia: x;branch=z9hG4bK1\r\n"), 5);
    turn_until(loop, client.refused > 0);
    assert_true(addr_eq(&client.refused_to, &nobody));
    assert_int_equal(client.refused_error, ECONNREFUSED);
    assert_true(slice_eq(slice_make(client.refused_head, client.refused_len),
                         SLICE("INVITE sip:bob@example.com SIP/2.0\r\nVia: x;branch=z9hG4bK1\r\n")));
    assert_int_equal(client.failed, 0); /* this datagram had left */
}

static void icmp_port_unreachable_is_told_with_destination_and_payload(void **state)
{
    (void)state;
    icmp_is_told("127.0.0.1:0");
}

static void icmpv6_port_unreachable_is_told_with_destination_and_payload(void **state)
{
    (void)state;
    if (ipv6_is_here())
        icmp_is_told("[::1]:0");
}

/* "Host, network, port or protocol unreachable errors, or parameter problem errors SHOULD cause the transport
 * layer to inform the transport user of a failure in sending. Source quench and TTL exceeded ICMP errors
 * SHOULD be ignored." A datagram that was too long for the path goes in pieces the next time. */
static void s18_4_only_unreachable_and_parameter_problem_are_failures(void **state)
{
    static const struct {
        const char *address;
        uint8_t type, code;
        bool is_failure;
    } cases[] = {
        {"127.0.0.1:0", 3, 0, true},  {"127.0.0.1:0", 3, 1, true},   {"127.0.0.1:0", 3, 2, true},
        {"127.0.0.1:0", 3, 3, true},  {"127.0.0.1:0", 3, 13, true},  {"127.0.0.1:0", 3, 4, false},
        {"127.0.0.1:0", 4, 0, false}, {"127.0.0.1:0", 11, 0, false}, {"127.0.0.1:0", 11, 1, false},
        {"127.0.0.1:0", 12, 0, true}, {"[::1]:0", 1, 0, true},       {"[::1]:0", 1, 3, true},
        {"[::1]:0", 1, 4, true},      {"[::1]:0", 2, 0, false},      {"[::1]:0", 3, 0, false},
        {"[::1]:0", 4, 1, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct addr nobody;

        if (cases[i].address[0] == '[' && !ipv6_is_here())
            continue;
        nobody = closed_port(cases[i].address);
        end_open(&client, cases[i].address);
        kernel.icmp_type = cases[i].type;
        kernel.icmp_code = cases[i].code;
        send_text(&client, &nobody, SLICE("lost"), 5);
        if (cases[i].is_failure)
            turn_until(loop, client.refused);
        else
            turn_for_ms(loop, 20);
        kernel.icmp_type = 0;
        if (client.refused != cases[i].is_failure)
            fail_msg("ICMP type %u code %u to %s", cases[i].type, cases[i].code, cases[i].address);
        assert_int_equal(client.failed, 0);
        end_close(&client);
    }
}

/* The kernel reports ICMP by failing the next call, whatever that is for. */
static void icmp_of_one_destination_fails_no_datagram_to_another(void **state)
{
    enum { ROUNDS = 300 };
    struct addr nobody = closed_port("127.0.0.1:0");

    (void)state;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        send_text(&client, &nobody, SLICE("lost"), 1000 + i);
        send_text(&client, net_udp_addr(server.udp), slice_make((const char *)&i, sizeof(i)), i);
        if (i % 3 == 0)
            net_loop_turn(loop, 0);
    }
    turn_until(loop, server.received == ROUNDS && client.refused > 0);
    turn_for_ms(loop, 20);
    for (int i = 0; i < ROUNDS; i++)
        assert_int_equal(server.seen[i], 1);
    assert_int_equal(client.failed, 0);
    assert_int_equal(client.refused, ROUNDS);
    assert_true(addr_eq(&client.refused_to, &nobody));
    assert_memory_equal(client.refused_head, "lost", 4);
}

static void what_the_kernel_refuses_is_told_by_token_and_the_others_go(void **state)
{
    struct addr broadcast = at("255.255.255.255:5060"); /* EACCES without SO_BROADCAST */

    (void)state;
    send_text(&client, net_udp_addr(server.udp), SLICE("\1\0\0\0"), 1);
    send_text(&client, &broadcast, SLICE("\2\0\0\0"), 2);
    send_text(&client, net_udp_addr(server.udp), SLICE("\3\0\0\0"), 3);
    assert_int_equal(client.failed, 0); /* not from within net_udp_send */
    turn_until(loop, server.received == 2);
    assert_int_equal(client.failed, 1);
    assert_int_equal(client.failed_token, 2);
    assert_true(client.failed_error == EACCES || client.failed_error == ENETUNREACH);
    assert_int_equal(server.seen[1] + server.seen[3], 2);
}

static void a_failure_while_a_batch_leaves_early_is_told_at_the_end_of_the_turn(void **state)
{
    struct addr broadcast = at("255.255.255.255:5060");

    (void)state;
    end_open(&client, "127.0.0.1:0");
    for (uint64_t i = 0; i < 3 * NET_UDP_SEND_BATCH; i++)
        send_text(&client, &broadcast, SLICE("x"), i + 1);
    assert_int_equal(client.failed, 0);
    turn_until(loop, client.failed == 3 * NET_UDP_SEND_BATCH);
    assert_int_equal(client.failed_token, 3 * NET_UDP_SEND_BATCH);
}

static void a_full_batch_leaves_at_once(void **state)
{
    (void)state;
    end_open(&client, "127.0.0.1:0");
    end_open(&server, "127.0.0.1:0");
    for (int i = 0; i < NET_UDP_SEND_BATCH + 1; i++)
        send_text(&client, net_udp_addr(server.udp), SLICE("x"), 0);
    end_close(&client); /* drops the one that is still queued */
    turn_until(loop, server.received == NET_UDP_SEND_BATCH);
    turn_for_ms(loop, 20);
    assert_int_equal(server.received, NET_UDP_SEND_BATCH);
}

/* Sends numbers and expects each to arrive once. */
static void numbers_arrive(uint32_t count)
{
    server.received = 0;
    memset(server.seen, 0, sizeof(server.seen));
    for (uint32_t i = 0; i < count; i++)
        send_text(&client, net_udp_addr(server.udp), slice_make((const char *)&i, sizeof(i)), i + 1);
    turn_until(loop, server.received == count);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(server.seen[i], 1);
    assert_int_equal(client.failed, 0);
}

static void when_the_kernel_has_no_room_datagrams_wait_and_leave_later(void **state)
{
    (void)state;
    kernel.error = EAGAIN;
    kernel.failures = 5;
    numbers_arrive(200);
    kernel.failures = 1;
    numbers_arrive(10);
    kernel.error = EINTR;
    kernel.failures = 3;
    numbers_arrive(10);
    kernel.at_most = 3; /* takes a part of each batch */
    numbers_arrive(200);
}

static void one_system_call_sends_a_batch(void **state)
{
    (void)state;
    kernel.calls = 0;
    numbers_arrive(7 * NET_UDP_SEND_BATCH);
    assert_int_equal(kernel.calls, 7);
}

static void a_pending_error_without_an_entry_in_the_queue_fails_nothing(void **state)
{
    (void)state;
    kernel.error = ECONNREFUSED;
    kernel.failures = 1;
    numbers_arrive(1);
    assert_int_equal(client.refused, 0);
}

static void as_long_as_others_errors_come_in_between_a_datagram_is_tried_again(void **state)
{
    struct addr nobody = closed_port("127.0.0.1:0");

    (void)state;
    kernel.error = ECONNREFUSED;
    kernel.failures = 4;
    kernel.provoke = &nobody;
    numbers_arrive(1);
    assert_int_equal(client.refused, 4);
    assert_true(addr_eq(&client.refused_to, &nobody));
}

static void
what_is_sent_while_an_error_is_told_does_not_take_the_place_of_the_datagram_dealt_with(void **state)
{
    struct addr nobody = closed_port("127.0.0.1:0");

    (void)state;
    end_open(&client, "127.0.0.1:0");
    end_open(&server, "127.0.0.1:0");
    client.floods = &server;
    kernel.error = ENOBUFS;
    kernel.failures = 1;
    kernel.provoke = &nobody;
    send_text(&client, net_udp_addr(server.udp), SLICE("\xff\3\0\0"),
              1); /* number 1023: the one that is lost */
    turn_until(loop, server.received == NET_UDP_BATCH + 10);
    for (int i = 0; i < NET_UDP_BATCH + 10; i++)
        assert_int_equal(server.seen[i], 1);
    assert_int_equal(server.seen[1023], 0);
}

static void while_the_kernel_has_no_room_it_is_not_asked(void **state)
{
    (void)state;
    kernel.error = EAGAIN;
    kernel.failures = 1;
    send_text(&client, net_udp_addr(server.udp), SLICE("x"), 0);
    net_loop_turn(loop, 0);
    assert_int_equal(kernel.calls, 1);
    for (int i = 0; i < 2 * NET_UDP_SEND_BATCH; i++)
        send_text(&client, net_udp_addr(server.udp), SLICE("x"), 0);
    assert_int_equal(kernel.calls, 1);
    turn_until(loop, server.received == 2 * NET_UDP_SEND_BATCH + 1);
}

static void a_datagram_lost_in_a_full_interface_queue_is_counted_not_told(void **state)
{
    uint64_t errors = counter_get(&counters, COUNTER_TX_ERRORS);

    (void)state;
    kernel.error = ENOBUFS;
    kernel.failures = 1;
    send_text(&client, net_udp_addr(server.udp), SLICE("\1\0\0\0"), 1);
    send_text(&client, net_udp_addr(server.udp), SLICE("\2\0\0\0 longer"), 2);
    turn_until(loop, server.received == 1);
    assert_int_equal(server.seen[2], 1);
    assert_int_equal(client.failed, 0);
    assert_int_equal(counter_get(&counters, COUNTER_TX_ERRORS), errors + 1);
}

static void a_socket_that_is_refused_for_ever_gives_up_each_datagram_once(void **state)
{
    struct addr to = at("127.0.0.1:9");

    (void)state;
    end_open(&client, "127.0.0.1:0");
    kernel.error = ENETUNREACH;
    kernel.failures = UINT32_MAX;
    for (uint64_t i = 1; i <= 100; i++)
        send_text(&client, &to, SLICE("x"), i);
    turn_until(loop, client.failed == 100);
    assert_int_equal(client.failed_error, ENETUNREACH);
}

static void what_has_one_length_and_destination_leaves_as_one_packet(void **state)
{
    (void)state;
    numbers_arrive(60);
    assert_int_equal(kernel.packets, 1);
    for (uint32_t i = 0; i < 8; i++)
        assert_int_equal(server.latest[i], 59 - i);
}

static void send_marked(uint32_t mark, struct slice text)
{
    net_udp_batch_mark(batch, mark);
    send_text(&client, net_udp_addr(server.udp), text, 0);
    net_udp_batch_mark(batch, 0);
}

static void datagrams_pass_only_those_of_another_mark(void **state)
{
    static const uint32_t expected[] = {4, 2, 3, 1};

    (void)state;
    send_marked(7, SLICE("\1\0\0\0"));
    send_marked(7, SLICE("\2\0\0\0 longer"));
    send_marked(8, SLICE("\3\0\0\0"));
    send_marked(0, SLICE("\4\0\0\0"));
    turn_until(loop, server.received == 4);
    assert_memory_equal(server.latest, expected, sizeof(expected));
    assert_int_equal(kernel.packets, 3);
}

static void a_train_is_read_as_one_packet_and_a_batch_is_no_more_datagrams_for_it(void **state)
{
    (void)state;
    numbers_arrive(60);
    assert_int_equal(kernel.read, 1);
    for (uint32_t i = 0; i < 60; i++)
        assert_int_equal(server.seen[i], 1);
    for (uint32_t i = 0; i < 8; i++)
        assert_int_equal(server.latest[i], 59 - i);
    send_text(&client, net_udp_addr(server.udp), SLICE("x"), 0);
    turn_until(loop, server.received == 61);
    assert_int_equal(kernel.asked, 2); /* of 60 */
    send_text(&client, net_udp_addr(server.udp), SLICE("x"), 0);
    turn_until(loop, server.received == 62);
    assert_true(kernel.asked > 2);
}

/* Singles and then trains of 64 one-octet datagrams, from elsewhere. */
static void singles_and_trains_wait(unsigned singles, unsigned trains)
{
    static const char text[64] = {0};
    const int one = 1, none = 0;
    struct sockaddr_storage to;
    socklen_t to_len = net_sockaddr_from_addr(net_udp_addr(server.udp), &to);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    assert_true(fd >= 0);
    for (unsigned i = 0; i < singles + trains; i++) {
        const int *car_bytes = i < singles ? &none : &one;
        size_t len = i < singles ? 1 : sizeof(text);

        assert_int_equal(setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, car_bytes, sizeof(*car_bytes)), 0);
        assert_int_equal(sendto(fd, text, len, 0, (const struct sockaddr *)&to, to_len), len);
    }
    close(fd);
}

/* What came before says nothing of what comes, and timers and other sockets want their turn. */
static void a_turn_of_many_long_trains_is_bounded_and_the_rest_comes_with_the_next_ones(void **state)
{
    static const unsigned singles[] = {0, NET_UDP_BATCH, NET_UDP_BATCH - 1, 2 * NET_UDP_BATCH + 9};
    enum { TRAINS = 40 };

    (void)state;
    end_open(&server, "127.0.0.1:0");
    for (size_t i = 0; i < sizeof(singles) / sizeof(singles[0]); i++) {
        unsigned turns = 0, expected = singles[i] + 64 * TRAINS;

        server.received = 0;
        singles_and_trains_wait(singles[i], TRAINS);
        for (unsigned before = 0; server.received < expected; before = server.received, turns++) {
            net_loop_turn(loop, 0);
            assert_true(server.received > before); /* it is not waited for */
            assert_true(server.received - before <= NET_UDP_TURN_MAX);
        }
        assert_int_equal(server.received, expected);
        assert_true(turns > expected / NET_UDP_TURN_MAX);
        singles_and_trains_wait(2, 0); /* from which more packets are expected again */
        turn_until(loop, server.received == expected + 2);
    }
}

/* Their answers leave together. */
static void single_datagrams_are_handled_by_the_batch_and_each_batch_tells_how_long_it_waited(void **state)
{
    (void)state;
    end_open(&server, "127.0.0.1:0");
    singles_and_trains_wait(2 * NET_UDP_BATCH + 10, 0);
    for (unsigned turn = 1; turn <= 3; turn++) {
        net_loop_turn(loop, 0);
        assert_int_equal(server.received, turn < 3 ? turn * NET_UDP_BATCH : 2 * NET_UDP_BATCH + 10);
        assert_int_equal(server.told, turn);
    }
}

/* Whoever sends it: the last one may be shorter, and an empty datagram is none of a train. */
static void the_last_datagram_of_a_train_may_be_shorter(void **state)
{
    static const char text[] = "\1\0\0\0.....\2\0\0\0.....\3\0\0\0";
    const int car_bytes = 9;
    struct sockaddr_storage to;
    socklen_t to_len;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    (void)state;
    end_open(&server, "127.0.0.1:0");
    to_len = net_sockaddr_from_addr(net_udp_addr(server.udp), &to);
    assert_int_equal(setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &car_bytes, sizeof(car_bytes)), 0);
    assert_int_equal(sendto(fd, text, 22, 0, (const struct sockaddr *)&to, to_len), 22);
    turn_until(loop, server.received == 3);
    assert_int_equal(kernel.read, 1);
    assert_int_equal(server.latest[0], 3);
    assert_int_equal(server.latest[1], 2);
    assert_int_equal(server.latest[2], 1);
    assert_int_equal(server.last_len, 4);
    assert_int_equal(sendto(fd, "", 0, 0, (const struct sockaddr *)&to, to_len), 0);
    turn_until(loop, server.received == 4);
    assert_int_equal(server.last_len, 0);
    close(fd);
}

static void who_takes_no_trains_reads_each_datagram_alone(void **state)
{
    struct net_udp_opts opts = opts_for(&server, "127.0.0.1:0");

    (void)state;
    end_open(&client, "127.0.0.1:0");
    memset(&server, 0, sizeof(server));
    opts.takes_trains = false;
    assert_int_equal(net_udp_new(&opts, &server.udp), 0);
    numbers_arrive(20);
    assert_int_equal(kernel.packets, 1);
    assert_int_equal(kernel.read, 20);
}

static void an_interface_that_takes_no_trains_is_offered_one_only(void **state)
{
    (void)state;
    kernel.train_error = EIO;
    numbers_arrive(50);
    numbers_arrive(50);
    assert_int_equal(kernel.trains, 2); /* twice, lest it was another's error */
    assert_int_equal(kernel.packets, 100);
}

static void what_is_too_long_for_the_path_as_a_train_leaves_one_by_one(void **state)
{
    static char text[1400];

    (void)state;
    kernel.train_error = EINVAL;
    kernel.train_octets = 1300;
    for (uint32_t i = 0; i < 10; i++) {
        memcpy(text, &i, sizeof(i));
        send_text(&client, net_udp_addr(server.udp), slice_make(text, sizeof(text)), 0);
    }
    turn_until(loop, server.received == 10);
    assert_int_equal(kernel.packets, 10);
    for (uint32_t i = 0; i < 8; i++)
        assert_int_equal(server.latest[i], 9 - i);
    kernel.packets = 0;
    numbers_arrive(10);
    assert_int_equal(kernel.packets, 1);
}

static void each_datagram_of_a_refused_train_is_told_by_its_token(void **state)
{
    struct addr broadcast = at("255.255.255.255:5060");

    (void)state;
    for (uint64_t i = 1; i <= 5; i++)
        send_text(&client, &broadcast, SLICE("x"), i);
    send_text(&client, net_udp_addr(server.udp), SLICE("\1\0\0\0"), 6);
    turn_until(loop, server.received == 1);
    assert_int_equal(client.failed, 5);
    assert_int_equal(client.failed_token, 5);
}

static void the_queue_is_bounded_in_octets(void **state)
{
    static char text[10000];
    struct net_udp_opts opts = opts_for(&client, "127.0.0.1:0");
    struct wire *wire = wire_from(slice_make(text, sizeof(text)));
    int r = 0, taken = 0;

    (void)state;
    memset(&client, 0, sizeof(client));
    opts.queue_bytes = 35000;
    assert_int_equal(net_udp_new(&opts, &client.udp), 0);
    end_open(&server, "127.0.0.1:0");
    while (r == 0 && taken < 100) {
        r = net_udp_send(client.udp, net_udp_addr(server.udp), wire, 0);
        taken += r == 0;
    }
    assert_int_equal(r, ERR_LIMIT);
    assert_int_equal(taken, 3);
    turn_until(loop, server.received == 3);
    assert_int_equal(net_udp_send(client.udp, net_udp_addr(server.udp), wire, 0), 0); /* room again */
    turn_until(loop, server.received == 4);
    wire_unref(wire);
}

static void a_reply_from_a_wildcard_socket_leaves_from_where_the_request_came_to(const char *wildcard,
                                                                                 const char *client_at,
                                                                                 const char *called_at)
{
    struct addr called = at(called_at);

    end_open(&client, client_at);
    end_open(&server, wildcard);
    assert_true(addr_is_any(net_udp_addr(server.udp)));
    server.echoes = true;
    called.port = net_udp_addr(server.udp)->port;
    for (unsigned i = 1; i <= 3; i++) { /* the sockets take turns at the same memory */
        send_text(&client, &called, SLICE("hello"), 0);
        turn_until(loop, client.received == i);
        assert_true(addr_eq(&server.local, &called));
        assert_true(addr_eq(&client.from, &called));
    }
    kernel.packets = 0;
    for (unsigned i = 0; i < 3; i++) /* the same of answers that leave as one packet */
        send_text(&client, &called, SLICE("hello"), 0);
    turn_until(loop, client.received == 6);
    assert_int_equal(kernel.packets, 2);
    assert_true(addr_eq(&client.from, &called));
}

static void wildcard_ipv4(void **state)
{
    (void)state;
    /* The routes alone would choose 127.0.0.1. */
    a_reply_from_a_wildcard_socket_leaves_from_where_the_request_came_to("0.0.0.0:0", "127.0.0.1:0",
                                                                         "127.0.0.77");
}

static void wildcard_ipv6(void **state)
{
    (void)state;
    if (ipv6_is_here())
        a_reply_from_a_wildcard_socket_leaves_from_where_the_request_came_to("[::]:0", "[::1]:0", "::1");
}

static void an_ipv6_wildcard_leaves_the_port_to_ipv4(void **state)
{
    struct net_udp_opts opts;
    struct end v4, v6;
    char address[32];

    (void)state;
    if (!ipv6_is_here())
        return;
    end_open(&v6, "[::]:0");
    snprintf(address, sizeof(address), "0.0.0.0:%u", net_udp_addr(v6.udp)->port);
    opts = opts_for(&v4, address);
    memset(&v4, 0, sizeof(v4));
    assert_int_equal(net_udp_new(&opts, &v4.udp), 0); /* IPV6_V6ONLY */
    net_udp_free(v4.udp);
    net_udp_free(v6.udp);
}

static void open_with_room_for(int receive_buffer_bytes)
{
    struct net_udp_opts opts = opts_for(&server, "127.0.0.1:0");

    memset(&server, 0, sizeof(server));
    opts.receive_buffer_bytes = receive_buffer_bytes;
    assert_int_equal(net_udp_new(&opts, &server.udp), 0);
}

/* From elsewhere, and at once. */
static void datagrams_come(unsigned count)
{
    char text[1000];
    struct sockaddr_storage to;
    socklen_t to_len = net_sockaddr_from_addr(net_udp_addr(server.udp), &to);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    assert_true(fd >= 0);
    memset(text, 'x', sizeof(text));
    for (unsigned i = 0; i < count; i++)
        assert_int_not_equal(sendto(fd, text, sizeof(text), 0, (const struct sockaddr *)&to, to_len), -1);
    close(fd);
}

/* How long what is read has waited, and how many found no room, as the kernel says. */
static void it_is_told_how_long_datagrams_have_waited_and_how_many_were_lost(void **state)
{
    enum { COUNT = 200, WAIT_US = 30000 };
    const struct timespec wait = {.tv_nsec = WAIT_US * 1000};

    (void)state;
    open_with_room_for(65536);
    datagrams_come(COUNT);
    nanosleep(&wait, NULL);
    net_loop_turn(loop, 0);
    assert_true(server.waited_us >= WAIT_US);
    turn_until(loop, server.received + server.lost == COUNT);
    assert_true(server.lost > 0);
    assert_int_equal(counter_get(&counters, COUNTER_RX_LOST), server.lost);
}

static void what_a_long_queue_lost_is_told_with_what_it_held(void **state)
{
    (void)state;
    open_with_room_for(65536);
    datagrams_come(1);
    turn_until(loop, server.received == 1);
    datagrams_come(200);
    net_loop_turn(loop, 0);
    assert_true(server.lost > 0);
}

/* It is empty by then: nothing of that is to be judged by what waits now. */
static void what_a_short_queue_lost_is_counted_some_time(void **state)
{
    uint64_t counted = counter_get(&counters, COUNTER_RX_LOST);

    (void)state;
    open_with_room_for(4096);
    datagrams_come(1);
    turn_until(loop, server.received == 1);
    datagrams_come(200);
    for (unsigned turn = 0; turn < 100; turn++) {
        net_loop_turn(loop, 0);
        datagrams_come(1);
    }
    assert_true(counter_get(&counters, COUNTER_RX_LOST) >= counted + 190);
    assert_int_equal(server.lost, 0);
}

/* Anybody can send them, from any address: nothing is to follow from what the kernel drops while there is room. */
static void what_has_a_wrong_checksum_is_no_loss(void **state)
{
    enum { COUNT = 3, BYTES = 100 };
    uint8_t packet[BYTES] = {0};
    uint64_t counted = counter_get(&counters, COUNTER_RX_LOST);
    struct sockaddr_storage to;
    socklen_t to_len;
    int fd = socket(AF_INET, SOCK_RAW, IPPROTO_UDP);

    (void)state;
    if (fd < 0) {
        print_message("NOT TESTED: wrong checksums need a raw socket, and that needs root\n");
        skip();
    }
    open_with_room_for(65536);
    to_len = net_sockaddr_from_addr(net_udp_addr(server.udp), &to);
    packet[2] = (uint8_t)(net_udp_addr(server.udp)->port >> 8);
    packet[3] = (uint8_t)net_udp_addr(server.udp)->port;
    packet[5] = BYTES;
    packet[6] = packet[7] = 0x55;
    for (unsigned i = 0; i < COUNT; i++) {
        packet[0] = (uint8_t)i + 1;
        assert_int_equal(sendto(fd, packet, BYTES, 0, (const struct sockaddr *)&to, to_len), BYTES);
    }
    close(fd);
    for (unsigned turn = 0; turn < 70; turn++) {
        net_loop_turn(loop, 0);
        datagrams_come(1);
    }
    assert_true(counter_get(&counters, COUNTER_RX_LOST) > counted);
    assert_int_equal(server.lost, 0);
}

static void what_the_kernel_is_told_to_drop_is_not_lost_but_what_finds_no_room_is(void **state)
{
    static const struct net_sieve sieve = {.start = "ACK ", .mark = "0123456789ab"};
    enum { COUNT = 200, BEFORE = 3 };
    struct net_udp_opts opts = opts_for(&server, "127.0.0.1:0");
    char marked[300 + COUNT], other[1000];
    uint64_t counted;

    (void)state;
    memset(marked, 'x', sizeof(marked));
    memcpy(marked, "ACK ", 4);
    memcpy(marked + 200, sieve.mark, NET_SIEVE_MARK_BYTES);
    memset(other, 'x', sizeof(other));
    end_open(&client, "127.0.0.1:0");
    opts.receive_buffer_bytes = 100000;
    assert_int_equal(net_udp_new(&opts, &server.udp), 0);
    net_udp_sieve(server.udp, &sieve);
    for (unsigned i = 0; i < BEFORE; i++) {
        for (unsigned k = 0; k < COUNT; k++) /* of other lengths, so that none leaves as a train */
            send_text(&client, net_udp_addr(server.udp), slice_make(marked, 300 + k), 0);
        send_text(&client, net_udp_addr(server.udp), SLICE("x"), 0);
        turn_until(loop, server.received == i + 1);
    }
    assert_int_equal(server.lost, 0);
    counted = counter_get(&counters, COUNTER_RX_LOST);
    for (unsigned turn = 0; turn < 64 * 2 && server.lost == 0; turn++) {
        unsigned received = server.received;

        for (unsigned k = 0; k < COUNT; k++)
            send_text(&client, net_udp_addr(server.udp), slice_make(other, 800 + k), 0);
        turn_until(loop, server.received > received);
    }
    assert_true(server.lost > 0);
    assert_int_equal(counter_get(&counters, COUNTER_RX_LOST), counted + server.lost);
    turn_for_ms(loop, 20);
    server.lost = 0;
    net_udp_sieve(server.udp, NULL);
    for (unsigned i = 0; i < 64; i++) {
        unsigned received = server.received;

        send_text(&client, net_udp_addr(server.udp), slice_make(marked, sizeof(marked)), 0);
        turn_until(loop, server.received == received + 1);
    }
    assert_int_equal(server.lost, 0);
}

/* Nor is it tried again: it would be logged each time. */
static void where_the_kernel_cannot_be_told_what_to_drop_all_comes(void **state)
{
    static const struct net_sieve sieve = {.start = "ACK ", .mark = "0123456789ab"};
    char marked[400];

    (void)state;
    memset(marked, 'x', sizeof(marked));
    memcpy(marked, "ACK ", 4);
    memcpy(marked + 200, sieve.mark, NET_SIEVE_MARK_BYTES);
    mem_fail_after(0);
    net_udp_sieve(server.udp, &sieve);
    mem_fail_after(-1);
    for (unsigned i = 1; i <= 3; i++) {
        send_text(&client, net_udp_addr(server.udp), slice_make(marked, sizeof(marked)), 0);
        turn_until(loop, server.received == i);
        net_udp_sieve(server.udp, i == 1 ? NULL : &sieve);
    }
}

static void workers_can_share_an_address(void **state)
{
    struct end a, b;
    struct net_udp_opts opts = opts_for(&a, "127.0.0.1:0");

    (void)state;
    memset(&a, 0, sizeof(a));
    memset(&b, 0, sizeof(b));
    opts.reuse_port = true;
    assert_int_equal(net_udp_new(&opts, &a.udp), 0);
    opts.addr = *net_udp_addr(a.udp);
    opts.ctx = &b;
    assert_int_equal(net_udp_new(&opts, &b.udp), 0);
    net_udp_free(a.udp);
    net_udp_free(b.udp);
}

static void a_socket_may_be_freed_by_any_of_its_functions(void **state)
{
    struct addr nobody = closed_port("127.0.0.1:0"), broadcast = at("255.255.255.255:1");

    (void)state;
    end_open(&client, "127.0.0.1:0");
    end_open(&server, "127.0.0.1:0");
    server.frees_itself = true;
    for (int i = 0; i < 10; i++) /* the others of the batch are not delivered */
        send_text(&client, net_udp_addr(server.udp), SLICE("x"), 0);
    turn_until(loop, !server.udp);
    assert_int_equal(server.received, 1);

    client.frees_itself = true;
    send_text(&client, &broadcast, SLICE("x"), 1);
    send_text(&client, &broadcast, SLICE("y"), 2);
    turn_until(loop, !client.udp);
    assert_int_equal(client.failed, 1);

    end_open(&client, "127.0.0.1:0");
    client.frees_itself = true;
    send_text(&client, &nobody, SLICE("x"), 1);
    send_text(&client, &nobody, SLICE("y"), 2);
    turn_until(loop, !client.udp);
    assert_int_equal(client.refused, 1);
}

static void a_wire_is_shared_not_copied_and_let_go_when_it_has_left(void **state)
{
    struct wire *wire = wire_from(SLICE("x"));

    (void)state;
    for (int i = 0; i < 10; i++)
        assert_int_equal(net_udp_send(client.udp, net_udp_addr(server.udp), wire, 0), 0);
    assert_int_equal(wire->refs, 11);
    turn_until(loop, server.received == 10);
    assert_int_equal(wire->refs, 1);
    wire_unref(wire);
}

static void a_taken_address_is_an_error_with_errno(void **state)
{
    struct net_udp_opts opts;
    struct net_udp *second = NULL;
    struct end first;

    (void)state;
    end_open(&first, "127.0.0.1:0");
    opts = opts_for(&first, "127.0.0.1:0");
    opts.addr = *net_udp_addr(first.udp);
    assert_int_equal(net_udp_new(&opts, &second), ERR_IO);
    assert_int_equal(errno, EADDRINUSE);
    opts.addr = at("192.0.2.1:5060");
    assert_int_equal(net_udp_new(&opts, &second), ERR_IO);
    assert_int_equal(errno, EADDRNOTAVAIL);
    assert_null(second);
    net_udp_free(first.udp);
    net_udp_free(NULL);
}

static void no_memory_is_an_error_and_harms_nothing(void **state)
{
    struct wire *wire = wire_from(SLICE("x"));
    struct net_udp_batch *none = NULL;
    struct net_udp_opts opts = opts_for(&client, "127.0.0.1:0");
    int sent = 0;

    (void)state;
    mem_fail_after(0);
    assert_int_equal(net_udp_new(&opts, &client.udp), ERR_NOMEM);
    assert_int_equal(net_udp_batch_new(&none), ERR_NOMEM);
    mem_fail_after(-1);
    end_open(&client, "127.0.0.1:0");
    end_open(&server, "127.0.0.1:0");
    mem_fail_after(0); /* no ring for the queue */
    assert_int_equal(net_udp_send(client.udp, net_udp_addr(server.udp), wire, 0), ERR_NOMEM);
    assert_int_equal(wire->refs, 1);
    mem_fail_after(-1);
    for (; sent < 20; sent++)
        assert_int_equal(net_udp_send(client.udp, net_udp_addr(server.udp), wire, 0), 0);
    turn_until(loop, server.received == 20);
    wire_unref(wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define P(name) cmocka_unit_test_setup_teardown(name, set_up_pair, tear_down)
        T(batches_over_ipv4),
        T(batches_over_ipv6),
        P(the_longest_datagram_passes_and_a_longer_one_is_refused_at_once),
        T(the_other_family_is_refused_at_once),
        T(icmp_port_unreachable_is_told_with_destination_and_payload),
        T(icmpv6_port_unreachable_is_told_with_destination_and_payload),
        T(s18_4_only_unreachable_and_parameter_problem_are_failures),
        P(icmp_of_one_destination_fails_no_datagram_to_another),
        P(what_the_kernel_refuses_is_told_by_token_and_the_others_go),
        T(a_failure_while_a_batch_leaves_early_is_told_at_the_end_of_the_turn),
        T(a_full_batch_leaves_at_once),
        P(when_the_kernel_has_no_room_datagrams_wait_and_leave_later),
        P(one_system_call_sends_a_batch),
        P(a_pending_error_without_an_entry_in_the_queue_fails_nothing),
        P(as_long_as_others_errors_come_in_between_a_datagram_is_tried_again),
        T(what_is_sent_while_an_error_is_told_does_not_take_the_place_of_the_datagram_dealt_with),
        P(while_the_kernel_has_no_room_it_is_not_asked),
        P(a_datagram_lost_in_a_full_interface_queue_is_counted_not_told),
        T(a_socket_that_is_refused_for_ever_gives_up_each_datagram_once),
        P(what_has_one_length_and_destination_leaves_as_one_packet),
        P(datagrams_pass_only_those_of_another_mark),
        P(a_train_is_read_as_one_packet_and_a_batch_is_no_more_datagrams_for_it),
        T(a_turn_of_many_long_trains_is_bounded_and_the_rest_comes_with_the_next_ones),
        T(single_datagrams_are_handled_by_the_batch_and_each_batch_tells_how_long_it_waited),
        T(the_last_datagram_of_a_train_may_be_shorter),
        T(who_takes_no_trains_reads_each_datagram_alone),
        P(an_interface_that_takes_no_trains_is_offered_one_only),
        P(what_is_too_long_for_the_path_as_a_train_leaves_one_by_one),
        P(each_datagram_of_a_refused_train_is_told_by_its_token),
        T(the_queue_is_bounded_in_octets),
        T(wildcard_ipv4),
        T(wildcard_ipv6),
        T(an_ipv6_wildcard_leaves_the_port_to_ipv4),
        T(it_is_told_how_long_datagrams_have_waited_and_how_many_were_lost),
        T(what_the_kernel_is_told_to_drop_is_not_lost_but_what_finds_no_room_is),
        P(where_the_kernel_cannot_be_told_what_to_drop_all_comes),
        T(what_a_long_queue_lost_is_told_with_what_it_held),
        T(what_a_short_queue_lost_is_counted_some_time),
        T(what_has_a_wrong_checksum_is_no_loss),
        T(workers_can_share_an_address),
        T(a_socket_may_be_freed_by_any_of_its_functions),
        P(a_wire_is_shared_not_copied_and_let_go_when_it_has_left),
        T(a_taken_address_is_an_error_with_errno),
        T(no_memory_is_an_error_and_harms_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
