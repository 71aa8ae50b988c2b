#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/udp_internal.h"
#include <errno.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>

/* A datagram that seems to have waited longer has not: the calendar was set. */
#define WAITED_MAX_US (60u * 1000 * 1000)

/* A queue that one call empties has room. Whether it overflowed is asked when it was longer, and in each turn
 * of so many. */
#define LOST_ASKED_TURNS 64

_Static_assert(NET_UDP_TURN_MAX == NET_UDP_BATCH - 1 + TRAINS_ASKED_MAX * CARS_MAX,
               "a call begins below a batch");

/* ---- batch ---- */

/* What the kernel overwrites when it receives. */
static void ready_to_receive(struct net_udp_batch *batch, unsigned i)
{
    struct incoming_batch *in = &batch->in;
    struct msghdr *m = &in->headers[i].msg_hdr;

    m->msg_namelen = sizeof(in->names[i]);
    m->msg_controllen = batch->asks_each ? sizeof(in->controls[i].octets) : 0;
}

void net_udp_ask_each(struct net_udp_batch *batch)
{
    batch->asks_each = true;
    for (unsigned i = 0; i < NET_UDP_BATCH; i++)
        ready_to_receive(batch, i);
}

int net_udp_batch_new(struct net_udp_batch **ret_batch)
{
    struct net_udp_batch *batch = mem_alloc(sizeof(*batch));

    if (!batch)
        return ERR_NOMEM;
    batch->asks_each = false;
    for (unsigned i = 0; i < NET_UDP_BATCH; i++) {
        struct incoming_batch *in = &batch->in;

        in->pieces[i] =
            (struct iovec){.iov_base = batch->data + i * STRIDE_BYTES, .iov_len = NET_UDP_DATAGRAM_MAX};
        in->headers[i].msg_hdr = (struct msghdr){.msg_name = &in->names[i],
                                                 .msg_iov = &in->pieces[i],
                                                 .msg_iovlen = 1,
                                                 .msg_control = in->controls[i].octets};
        ready_to_receive(batch, i);
    }
    batch->mark = 0;
    *ret_batch = batch;
    return 0;
}

void net_udp_batch_mark(struct net_udp_batch *batch, uint32_t mark)
{
    batch->mark = mark;
}

void net_udp_batch_free(struct net_udp_batch *batch)
{
    mem_free(batch);
}

/* ---- control messages ---- */

const void *net_udp_find_control(struct msghdr *m, int level, int type, size_t size)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c))
        if (c->cmsg_level == level && c->cmsg_type == type && c->cmsg_len >= CMSG_LEN(size))
            return CMSG_DATA(c);
    return NULL;
}

/* Where a datagram was sent to. spec_dst is the address of this host that answers a broadcast, too. */
static void note_received_at(struct net_udp *udp, struct msghdr *m)
{
    const void *found;
    struct in_pktinfo v4;
    struct in6_pktinfo v6;

    udp->received_at = udp->addr;
    if (udp->addr.family == ADDR_IPV4) {
        found = net_udp_find_control(m, IPPROTO_IP, IP_PKTINFO, sizeof(v4));
        if (!found)
            return;
        memcpy(&v4, found, sizeof(v4));
        memcpy(udp->received_at.ip, &v4.ipi_spec_dst, 4);
    } else {
        found = net_udp_find_control(m, IPPROTO_IPV6, IPV6_PKTINFO, sizeof(v6));
        if (!found)
            return;
        memcpy(&v6, found, sizeof(v6));
        if (IN6_IS_ADDR_MULTICAST(&v6.ipi6_addr))
            return;
        memcpy(udp->received_at.ip, &v6.ipi6_addr, 16);
        if (IN6_IS_ADDR_LINKLOCAL(&v6.ipi6_addr))
            udp->received_at.scope_id = v6.ipi6_ifindex;
    }
}

/* ---- waiting and loss ---- */

/* 0 where the calendar was set meanwhile. */
static uint32_t age_us(const struct timespec *stamp)
{
    uint64_t came_us = (uint64_t)stamp->tv_sec * 1000000 + (uint64_t)stamp->tv_nsec / 1000;
    uint64_t now_us = clock_unix_us();

    return now_us > came_us && now_us - came_us < WAITED_MAX_US ? (uint32_t)(now_us - came_us) : 0;
}

void net_udp_log_refusal(const char *event, int r)
{
    log_event(LOG_WARN, event, log_cstr("error", err_name(r)),
              log_cstr("why", r == ERR_IO ? strerrordesc_np(errno) : "no memory"));
}

/* To ask once is cheaper than to be told of each. */
uint32_t net_udp_waited_us(int fd)
{
    struct timespec stamp;

    return ioctl(fd, SIOCGSTAMPNS, &stamp) == 0 ? age_us(&stamp) : 0;
}

/* Some of it has been read just now, which the kernel takes off a quarter of the queue at a time. */
static bool was_full(const uint32_t info[SK_MEMINFO_VARS])
{
    return (uint64_t)info[SK_MEMINFO_RMEM_ALLOC] * 2 >= info[SK_MEMINFO_RCVBUF];
}

/* Since this was last asked, and for want of room: the kernel also counts what has a wrong checksum, which anybody can
 * send, and what a program of ours drops. */
static uint32_t lost_by(struct net_udp *udp)
{
    uint32_t info[SK_MEMINFO_VARS], dropped;
    socklen_t len = sizeof(info);

    if (getsockopt(udp->watch.fd, SOL_SOCKET, SO_MEMINFO, info, &len) < 0 || len != sizeof(info))
        return 0;
    dropped = info[SK_MEMINFO_DROPS] - udp->dropped;
    udp->dropped = info[SK_MEMINFO_DROPS];
    if (!udp->is_sieved)
        counter_add(udp->counters, COUNTER_RX_LOST, dropped);
    if (dropped == 0 || !was_full(info))
        return 0;
    if (udp->is_sieved)
        counter_inc(udp->counters, COUNTER_RX_LOST);
    return udp->is_sieved ? 1 : dropped;
}

static void tell_waited(struct net_udp *udp, bool has_more)
{
    uint32_t waited_us = net_udp_waited_us(udp->watch.fd);
    uint32_t lost = has_more || udp->turns++ % LOST_ASKED_TURNS == 0 ? lost_by(udp) : 0;

    if (udp->ops->waited)
        udp->ops->waited(udp->ctx, udp, waited_us, lost);
}

void net_udp_sieve(struct net_udp *udp, const struct net_sieve *sieve)
{
    int r;

    if (udp->is_sieved) {
        net_sieve_detach(udp->watch.fd);
        (void)lost_by(udp); /* what it dropped is no loss */
        udp->is_sieved = false;
    }
    if (!sieve || udp->cannot_sieve)
        return;
    r = net_sieve_attach(udp->watch.fd, sieve);
    udp->is_sieved = r == 0;
    udp->cannot_sieve = r < 0;
    if (r < 0)
        net_udp_log_refusal("net.not_sieved", r);
}

/* ---- receiving ---- */

/* How long the datagrams in a packet are, of which the last may be shorter. */
static size_t car_bytes_of(const struct net_udp *udp, struct msghdr *m, size_t len)
{
    const void *found = udp->takes_trains ? net_udp_find_control(m, IPPROTO_UDP, UDP_GRO, sizeof(int)) : NULL;
    int bytes = 0;

    if (found)
        memcpy(&bytes, found, sizeof(bytes));
    return bytes > 0 && (size_t)bytes < len ? (size_t)bytes : len;
}

/* Returns how many datagrams there were. An empty one is one. */
static unsigned receive_packet(struct net_udp *udp, unsigned i)
{
    struct incoming_batch *in = &udp->batch->in;
    struct msghdr *m = &in->headers[i].msg_hdr;
    struct slice rest = slice_make(in->pieces[i].iov_base, in->headers[i].msg_len);
    size_t car_bytes = car_bytes_of(udp, m, rest.len);
    struct addr from;
    unsigned n = 0;

    if (net_addr_from_sockaddr(&in->names[i], &from) < 0)
        return 1;
    if (udp->wildcard)
        note_received_at(udp, m);
    do {
        struct slice data = slice_sub(rest, 0, car_bytes);

        rest = slice_sub(rest, data.len, rest.len);
        if (!udp->freed)
            udp->ops->receive(udp->ctx, udp, data, &from);
        n++;
    } while (rest.len > 0);
    return n;
}

/* To fill the batch, if they are as long as the last ones; of it there have been so many datagrams yet. */
static unsigned packets_wanted(const struct net_udp *udp, unsigned datagrams)
{
    unsigned packets = (NET_UDP_BATCH - datagrams + udp->cars_expected - 1) / udp->cars_expected;

    return packets < udp->packets_asked_max ? packets : udp->packets_asked_max;
}

/* By one call. Adds to how many datagrams there have been in this turn; returns whether more may be there.
 * Any failure is an ICMP error, which comes from the error queue, or of the moment: epoll asks again. */
static bool receive_packets(struct net_udp *udp, unsigned *datagrams)
{
    unsigned wanted = packets_wanted(udp, *datagrams), before = *datagrams;
    int n;

    do
        n = recvmmsg(udp->watch.fd, udp->batch->in.headers, wanted, MSG_DONTWAIT, NULL);
    while (n < 0 && errno == EINTR);
    if (n > 0 && before == 0)
        tell_waited(udp, n == (int)wanted);
    for (unsigned i = 0; (int)i < n; i++) {
        if (!udp->freed)
            *datagrams += receive_packet(udp, i);
        ready_to_receive(udp->batch, i);
    }
    if (n > 0 && *datagrams > before)
        udp->cars_expected = (*datagrams - before) / (unsigned)n;
    return n == (int)wanted && !udp->freed;
}

void net_udp_receive_turn(struct net_udp *udp)
{
    unsigned datagrams = 0;

    while (receive_packets(udp, &datagrams) && datagrams < NET_UDP_BATCH)
        ;
}
