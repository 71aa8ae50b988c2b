#include "net/udp.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/sockaddr.h"
#include "net/train.h"
#include <errno.h>
#include <linux/errqueue.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Payload of the longest datagram: 65535 octets of IPv4 packet with its header, or of IPv6 packet after it. */
#define PAYLOAD_MAX_IPV4 (65535 - 20 - 8)
#define PAYLOAD_MAX_IPV6 (65535 - 8)

/* Receive buffers lie a little more than 64 KiB apart. At exactly that distance the starts of all of them,
 * which is where SIP messages are, would compete for the same few sets of every cache. */
#define STRIDE_BYTES (NET_UDP_DATAGRAM_MAX + 1 + 17 * 64)

/* Enough for an address and a sock_extended_err with the address of who complains. */
#define CONTROL_BYTES 256
/* As much of a datagram as routers quote (RFC 1812 section 4.3.2.3), with some to spare. */
#define QUOTE_BYTES 1024

/* A datagram that seems to have waited longer has not: the calendar was set. */
#define WAITED_MAX_US (60u * 1000 * 1000)

#define ERRORS_PER_TURN 64
#define ATTEMPTS_MAX    8
#define FIRST_SLOTS     64

/* A train (net/train.h) is one packet until the interface, or the kernel before it, takes it apart; longer datagrams than
 * fit through an Ethernet cannot be in one. */
#define TRAIN_BYTES_MAX 60000
#define CAR_BYTES_MAX   (1500 - 40 - 8)
#define CARS_MAX        64

/* A socket that takes trains asks for so many packets by one call, since each may be CARS_MAX datagrams (the kernel
 * makes none longer of what comes from a network): what one call brought is handled before timers and other sockets
 * have their turn. */
#define TRAINS_ASKED_MAX 16

/* A queue that one call empties has room. Whether it overflowed is asked when it was longer, and in each turn of so many. */
#define LOST_ASKED_TURNS 64

_Static_assert(NET_UDP_TURN_MAX == NET_UDP_BATCH - 1 + TRAINS_ASKED_MAX * CARS_MAX,
               "a call begins below a batch");

/* With a datagram that is received: where it was sent to, and how long the cars are if it is a train. With one that is
 * sent: where from, and the same. */
struct control {
    _Alignas(struct cmsghdr) char octets[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int))];
};

struct outgoing {
    struct wire *wire;
    uint64_t token;
    struct addr to, from;
    uint32_t mark;
};

struct incoming_batch {
    struct mmsghdr headers[NET_UDP_BATCH];
    struct iovec pieces[NET_UDP_BATCH];
    struct sockaddr_storage names[NET_UDP_BATCH];
    struct control controls[NET_UDP_BATCH];
};

/* The first n headers are filled; each is of a train of so many cars, whose pieces follow each other. */
struct outgoing_batch {
    struct mmsghdr headers[NET_UDP_SEND_BATCH];
    unsigned cars[NET_UDP_SEND_BATCH];
    unsigned n;
    struct iovec pieces[NET_UDP_SEND_BATCH];
    struct sockaddr_storage names[NET_UDP_SEND_BATCH];
    struct control controls[NET_UDP_SEND_BATCH];
    struct net_train_car plan[NET_UDP_SEND_BATCH];
    struct outgoing aside[NET_UDP_SEND_BATCH];
};

/* A datagram being handled may make others leave, so the two directions share nothing. */
struct net_udp_batch {
    struct incoming_batch in;
    bool asks_each; /* one of the sockets wants to know more of each packet than who sent it */
    struct outgoing_batch out;
    uint32_t mark;
    char data[NET_UDP_BATCH * STRIDE_BYTES];
};

/* A ring that grows, up to the limit in octets. */
struct queue {
    struct outgoing *slots;
    size_t cap, first, count;
    size_t bytes, limit_bytes;
};

struct net_udp {
    struct net_watch watch;
    struct net_hook flush;
    struct net_loop *loop;
    struct net_udp_batch *batch;
    struct counters *counters;
    const struct net_udp_ops *ops;
    void *ctx;
    struct addr addr, received_at;
    uint32_t dropped; /* as the kernel last counted */
    unsigned turns;
    struct queue queue;
    size_t car_bytes_max; /* longer ones have been refused as a train; 0: no trains */
    unsigned
        singles; /* so many at the head of the queue leave one by one: they have been refused as a train */
    unsigned packets_asked_max; /* for, by one call */
    unsigned cars_expected;     /* of the next packets each, after those of the last call */
    bool wildcard;
    bool takes_trains; /* they are not taken apart before they are received */
    bool is_sieved;    /* the kernel drops more than what finds no room */
    bool cannot_sieve; /* the kernel has refused it */
    bool blocked;      /* the kernel has no room: EPOLLOUT is waited for */
    bool flushing;     /* the head of the queue is being dealt with: nobody else may send it */
    bool busy;         /* a function of this file that looks at the socket again is on the stack */
    bool freed;        /* while busy */
};

/* ---- batch ---- */

/* What the kernel overwrites when it receives. */
static void ready_to_receive(struct net_udp_batch *batch, unsigned i)
{
    struct incoming_batch *in = &batch->in;
    struct msghdr *m = &in->headers[i].msg_hdr;

    m->msg_namelen = sizeof(in->names[i]);
    m->msg_controllen = batch->asks_each ? sizeof(in->controls[i].octets) : 0;
}

static void ask_each(struct net_udp_batch *batch)
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

/* ---- queue ---- */

static size_t cost(const struct wire *wire)
{
    return wire->len + sizeof(struct outgoing);
}

static struct outgoing *queue_at(const struct queue *q, size_t i)
{
    return &q->slots[(q->first + i) & (q->cap - 1)];
}

static int queue_grow(struct queue *q)
{
    size_t cap = q->cap > 0 ? q->cap * 2 : FIRST_SLOTS;
    struct outgoing *slots = mem_realloc_array(NULL, cap, sizeof(*slots));

    if (!slots)
        return ERR_NOMEM;
    for (size_t i = 0; i < q->count; i++)
        slots[i] = *queue_at(q, i);
    mem_free(q->slots);
    q->slots = slots;
    q->cap = cap;
    q->first = 0;
    return 0;
}

static int queue_push(struct queue *q, const struct outgoing *out)
{
    size_t bytes = cost(out->wire);
    int r = 0;

    if (bytes > q->limit_bytes || q->bytes > q->limit_bytes - bytes)
        return ERR_LIMIT;
    if (q->count == q->cap)
        r = queue_grow(q);
    if (r < 0)
        return r;
    q->count++;
    *queue_at(q, q->count - 1) = *out;
    wire_ref(out->wire);
    q->bytes += bytes;
    return 0;
}

static void queue_pop(struct queue *q)
{
    struct wire *wire = queue_at(q, 0)->wire;

    q->bytes -= cost(wire);
    q->first = (q->first + 1) & (q->cap - 1);
    q->count--;
    wire_unref(wire);
}

/* ---- source and destination of single datagrams ---- */

/* Walks the control messages of m; NULL when there is none of that kind. */
static const void *find_control(struct msghdr *m, int level, int type, size_t size)
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
        found = find_control(m, IPPROTO_IP, IP_PKTINFO, sizeof(v4));
        if (!found)
            return;
        memcpy(&v4, found, sizeof(v4));
        memcpy(udp->received_at.ip, &v4.ipi_spec_dst, 4);
    } else {
        found = find_control(m, IPPROTO_IPV6, IPV6_PKTINFO, sizeof(v6));
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

/* Behind those that are there. */
static void put_control(struct msghdr *m, struct control *memory, int level, int type, const void *data,
                        size_t size)
{
    struct cmsghdr *c = (struct cmsghdr *)(void *)(memory->octets + m->msg_controllen);

    m->msg_control = memory->octets;
    m->msg_controllen += CMSG_SPACE(size);
    c->cmsg_level = level;
    c->cmsg_type = type;
    c->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(c), data, size);
}

static void put_source(struct msghdr *m, struct control *memory, const struct addr *from)
{
    struct in_pktinfo v4 = {0};
    struct in6_pktinfo v6 = {0};

    if (from->family == ADDR_IPV4) {
        memcpy(&v4.ipi_spec_dst, from->ip, 4);
        put_control(m, memory, IPPROTO_IP, IP_PKTINFO, &v4, sizeof(v4));
    } else if (from->family == ADDR_IPV6) {
        memcpy(&v6.ipi6_addr, from->ip, 16);
        v6.ipi6_ifindex = from->scope_id;
        put_control(m, memory, IPPROTO_IPV6, IPV6_PKTINFO, &v6, sizeof(v6));
    }
}

/* ---- ICMP errors ---- */

/* RFC 3261 section 18.4: "Host, network, port or protocol unreachable errors, or parameter problem errors
 * SHOULD cause the transport layer to inform the transport user of a failure in sending. Source quench and
 * TTL exceeded ICMP errors SHOULD be ignored." What was too long for the path goes in fragments when it is
 * sent again. */
static bool is_failure(const struct sock_extended_err *error)
{
    if (error->ee_origin == SO_EE_ORIGIN_ICMP)
        return (error->ee_type == ICMP_DEST_UNREACH && error->ee_code != ICMP_FRAG_NEEDED) ||
               error->ee_type == ICMP_PARAMETERPROB;
    return error->ee_origin == SO_EE_ORIGIN_ICMP6 &&
           (error->ee_type == ICMP6_DST_UNREACH || error->ee_type == ICMP6_PARAM_PROB);
}

/* One entry of the error queue: ERR_AGAIN when there is none, 1 when it was of ICMP, 0 when it was something
 * else. */
static int take_error(struct net_udp *udp)
{
    _Alignas(struct cmsghdr) char control[CONTROL_BYTES];
    char quote[QUOTE_BYTES];
    struct sockaddr_storage name;
    struct iovec piece = {.iov_base = quote, .iov_len = sizeof(quote)};
    struct msghdr m = {.msg_name = &name,
                       .msg_namelen = sizeof(name),
                       .msg_iov = &piece,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = sizeof(control)};
    bool v4 = udp->addr.family == ADDR_IPV4;
    struct sock_extended_err error;
    const void *found;
    struct addr to;
    ssize_t len;

    len = recvmsg(udp->watch.fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT);
    if (len < 0)
        return ERR_AGAIN;
    found = find_control(&m, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_RECVERR : IPV6_RECVERR, sizeof(error));
    if (!found)
        return 0;
    memcpy(&error, found, sizeof(error));
    /* What is of local origin has been told by the failing call, too. */
    if (error.ee_origin != SO_EE_ORIGIN_ICMP && error.ee_origin != SO_EE_ORIGIN_ICMP6)
        return 0;
    if (is_failure(&error) && net_addr_from_sockaddr(&name, &to) == 0)
        udp->ops->refused(udp->ctx, udp, &to, slice_make(quote, (size_t)len), (int)error.ee_errno);
    return 1;
}

/* Returns how many ICMP errors there were. The kernel forgets the pending error of the socket with them. */
static int take_errors(struct net_udp *udp)
{
    int found = 0;

    for (int i = 0; i < ERRORS_PER_TURN && !udp->freed; i++) {
        int r = take_error(udp);

        if (r < 0)
            break;
        found += r;
    }
    return found;
}

/* ---- sending ---- */

static struct net_train_car car_at(const struct queue *q, size_t i)
{
    const struct outgoing *out = queue_at(q, i);

    return (struct net_train_car){&out->to, &out->from, out->wire->len, out->mark};
}

/* Brings the first n of the queue into the order in which there are the fewest trains. */
static void arrange(struct net_udp *udp, unsigned n)
{
    struct outgoing_batch *batch = &udp->batch->out;
    uint8_t turns[NET_TRAIN_PLANNED_MAX];

    for (unsigned i = 0; i < n; i++)
        batch->plan[i] = car_at(&udp->queue, i);
    if (!net_train_plan(batch->plan, n, turns))
        return;
    for (unsigned i = 0; i < n; i++)
        batch->aside[i] = *queue_at(&udp->queue, turns[i]);
    for (unsigned i = 0; i < n; i++)
        *queue_at(&udp->queue, i) = batch->aside[i];
}

/* How many from `first` on leave as one, of those before `end`. */
static unsigned count_cars(const struct net_udp *udp, unsigned first, unsigned end)
{
    const struct net_train_car head = car_at(&udp->queue, first);
    unsigned n = 1;

    if (first < udp->singles || head.len == 0 || head.len > udp->car_bytes_max)
        return 1;
    while (first + n < end && n < CARS_MAX && (n + 1) * head.len <= TRAIN_BYTES_MAX) {
        const struct net_train_car next = car_at(&udp->queue, first + n);

        if (!net_train_fit(&head, &next))
            break;
        n++;
    }
    return n;
}

/* The first `cars` pieces from `first` on are one packet to the kernel, each a datagram on the wire. */
static void put_train(struct outgoing_batch *batch, const struct outgoing *out, unsigned first, unsigned cars)
{
    unsigned i = batch->n++;
    struct msghdr *m = &batch->headers[i].msg_hdr;
    uint16_t car_bytes = (uint16_t)out->wire->len;

    batch->cars[i] = cars;
    *m = (struct msghdr){.msg_name = &batch->names[i], .msg_iov = &batch->pieces[first], .msg_iovlen = cars};
    m->msg_namelen = net_sockaddr_from_addr(&out->to, &batch->names[i]);
    put_source(m, &batch->controls[i], &out->from);
    if (cars > 1)
        put_control(m, &batch->controls[i], IPPROTO_UDP, UDP_SEGMENT, &car_bytes, sizeof(car_bytes));
}

/* As many as go with one call. Returns how many trains went, or -1 with errno of the first. */
static int send_batch(struct net_udp *udp)
{
    struct outgoing_batch *batch = &udp->batch->out;
    struct queue *q = &udp->queue;
    unsigned n = q->count < NET_UDP_SEND_BATCH ? (unsigned)q->count : NET_UDP_SEND_BATCH;

    if (udp->car_bytes_max > 0)
        arrange(udp, n);
    batch->n = 0;
    for (unsigned i = 0; i < n; i++) {
        struct wire *wire = queue_at(q, i)->wire;

        batch->pieces[i] = (struct iovec){.iov_base = wire->bytes, .iov_len = wire->len};
    }
    for (unsigned first = 0; first < n; first += batch->cars[batch->n - 1])
        put_train(batch, queue_at(q, first), first, count_cars(udp, first, n));
    return sendmmsg(udp->watch.fd, batch->headers, batch->n, MSG_DONTWAIT);
}

static void pop_first(struct net_udp *udp)
{
    queue_pop(&udp->queue);
    udp->singles -= udp->singles > 0;
}

/* Whether the kernel took something. It may have taken less than it could: a batch ends at an error, which is
 * told by the next call if it was about a datagram, and forgotten if it was an earlier one's ICMP error. */
static bool send_some(struct net_udp *udp)
{
    int sent;

    do
        sent = send_batch(udp);
    while (sent < 0 && errno == EINTR);
    for (int i = 0; i < sent; i++)
        for (unsigned cars = udp->batch->out.cars[i]; cars > 0; cars--)
            pop_first(udp);
    return sent > 0;
}

/* The first train was refused. It goes again as single datagrams, each of which may be refused for itself. What is too long for
 * the path as a train (EINVAL, EMSGSIZE) goes in fragments then; an interface that leaves checksums to others (EIO)
 * takes no train at all. */
static void take_apart(struct net_udp *udp, unsigned cars, int error)
{
    udp->singles = cars;
    if (error == EIO)
        udp->car_bytes_max = 0;
    else if (error == EINVAL || error == EMSGSIZE)
        udp->car_bytes_max = queue_at(&udp->queue, 0)->wire->len - 1;
}

static void wait_for_room(struct net_udp *udp)
{
    if (net_watch_change(udp->loop, &udp->watch, EPOLLIN | EPOLLOUT) < 0) {
        net_hook_once(udp->loop, &udp->flush); /* no memory for waiting: ask again in the next turn */
        return;
    }
    udp->blocked = true;
}

static void drop_first(struct net_udp *udp, int error)
{
    uint64_t token = queue_at(&udp->queue, 0)->token;

    pop_first(udp);
    if (error == ENOBUFS) /* the interface's queue is full: lost on the way */
        counter_inc(udp->counters, COUNTER_TX_ERRORS);
    else
        udp->ops->send_failed(udp->ctx, udp, token, error);
}

/* The first datagram was refused. It may have been told another's ICMP error, so it is tried again: once in
 * any case, and as long as such errors are found. */
static void settle_refusal(struct net_udp *udp, int error, int *attempts)
{
    unsigned cars = udp->batch->out.cars[0]; /* before others send through the batch */
    int told = take_errors(udp);

    if (udp->freed)
        return;
    if (error != ENOBUFS && (*attempts == 0 || told > 0) && *attempts < ATTEMPTS_MAX) {
        ++*attempts;
        return;
    }
    *attempts = 0;
    if (cars > 1)
        take_apart(udp, cars, error);
    else
        drop_first(udp, error);
}

static void flush(struct net_udp *udp)
{
    size_t turns =
        2 * udp->queue.count + ATTEMPTS_MAX; /* what is sent by the functions called here may wait */
    int attempts = 0;

    udp->flushing = true;
    while (udp->queue.count > 0 && !udp->freed) {
        if (turns-- == 0) {
            net_hook_once(udp->loop, &udp->flush);
            break;
        }
        if (send_some(udp)) {
            attempts = 0;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            wait_for_room(udp);
            break;
        } else {
            settle_refusal(udp, errno, &attempts);
        }
    }
    udp->flushing = false;
}

int net_udp_send_from(struct net_udp *udp, const struct addr *from, const struct addr *to, struct wire *wire,
                      uint64_t token)
{
    struct outgoing out = {.wire = wire, .token = token, .to = *to, .mark = udp->batch->mark};
    int r;

    if (to->family != udp->addr.family)
        return ERR_UNSUPPORTED;
    if (wire->len > (to->family == ADDR_IPV4 ? PAYLOAD_MAX_IPV4 : PAYLOAD_MAX_IPV6))
        return ERR_RANGE;
    if (udp->wildcard && from && from->family == to->family && !addr_is_any(from))
        out.from = *from;
    r = queue_push(&udp->queue, &out);
    if (r < 0 || udp->blocked)
        return r;
    /* Errors are left to the end of the turn, where they may be told. */
    if (udp->queue.count >= NET_UDP_SEND_BATCH && !udp->flushing)
        (void)send_some(udp);
    if (udp->queue.count > 0)
        net_hook_once(udp->loop, &udp->flush);
    return 0;
}

int net_udp_send(struct net_udp *udp, const struct addr *to, struct wire *wire, uint64_t token)
{
    return net_udp_send_from(udp, NULL, to, wire, token);
}

/* ---- receiving ---- */

/* 0 where the calendar was set meanwhile. */
static uint32_t age_us(const struct timespec *stamp)
{
    uint64_t came_us = (uint64_t)stamp->tv_sec * 1000000 + (uint64_t)stamp->tv_nsec / 1000;
    uint64_t now_us = clock_unix_us();

    return now_us > came_us && now_us - came_us < WAITED_MAX_US ? (uint32_t)(now_us - came_us) : 0;
}

static void log_attach_failure(const char *event, int r)
{
    log_event(LOG_WARN, event, log_cstr("error", err_name(r)),
              log_cstr("why", r == ERR_IO ? strerrordesc_np(errno) : "no memory"));
}

/* Of the packet that was read last. To ask once is cheaper than to be told of each. */
static uint32_t waited_us_of(int fd)
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
    uint32_t waited_us = waited_us_of(udp->watch.fd);
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
        log_attach_failure("net.not_sieved", r);
}

/* How long the datagrams in a packet are, of which the last may be shorter. */
static size_t car_bytes_of(const struct net_udp *udp, struct msghdr *m, size_t len)
{
    const void *found = udp->takes_trains ? find_control(m, IPPROTO_UDP, UDP_GRO, sizeof(int)) : NULL;
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

/* By one call. Adds to how many datagrams there have been in this turn; returns whether more may be there. Any failure is an ICMP
 * error, which comes from the error queue, or of the moment: epoll asks again. */
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

/* NET_UDP_TURN_MAX at most. What is left makes epoll report the socket again, after the others. */
static void receive_batch(struct net_udp *udp)
{
    unsigned datagrams = 0;

    while (receive_packets(udp, &datagrams) && datagrams < NET_UDP_BATCH)
        ;
}

/* ---- events ---- */

static void release(struct net_udp *udp)
{
    while (udp->queue.count > 0)
        queue_pop(&udp->queue);
    mem_free(udp->queue.slots);
    mem_free(udp);
}

static void leave(struct net_udp *udp)
{
    udp->busy = false;
    if (udp->freed)
        release(udp);
}

static void on_event(struct net_watch *watch, uint32_t events)
{
    struct net_udp *udp = list_entry(watch, struct net_udp, watch);

    udp->busy = true;
    if (events & EPOLLERR)
        take_errors(udp);
    if (!udp->freed && (events & (EPOLLIN | EPOLLERR)))
        receive_batch(udp);
    if (!udp->freed && (events & EPOLLOUT) && net_watch_change(udp->loop, watch, EPOLLIN) == 0) {
        udp->blocked = false;
        net_hook_once(udp->loop, &udp->flush);
    }
    leave(udp);
}

static void on_flush(struct net_hook *hook)
{
    struct net_udp *udp = list_entry(hook, struct net_udp, flush);

    udp->busy = true;
    flush(udp);
    leave(udp);
}

/* ---- life ---- */

static int set_option(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? ERR_IO : 0;
}

/* FORCE is for who may go beyond the system's limit. Without it the kernel gives what it allows. */
static int set_buffers(int fd, const struct net_udp_opts *opts)
{
    const struct {
        int bytes, force, option;
    } rows[] = {{opts->receive_buffer_bytes, SO_RCVBUFFORCE, SO_RCVBUF},
                {opts->send_buffer_bytes, SO_SNDBUFFORCE, SO_SNDBUF}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].bytes > 0 && set_option(fd, SOL_SOCKET, rows[i].force, rows[i].bytes) < 0 &&
            set_option(fd, SOL_SOCKET, rows[i].option, rows[i].bytes) < 0)
            return ERR_IO;
    return 0;
}

static int set_options(int fd, bool v4, bool wildcard)
{
    const struct {
        int level, option, value;
        bool set;
    } rows[] = {
        {IPPROTO_IP, IP_RECVERR, 1, v4},
        {IPPROTO_IPV6, IPV6_RECVERR, 1, !v4},
        {IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT, v4},
        {IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT, !v4},
        {IPPROTO_IP, IP_PKTINFO, 1, v4 && wildcard},
        {IPPROTO_IPV6, IPV6_RECVPKTINFO, 1, !v4 && wildcard},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].set && set_option(fd, rows[i].level, rows[i].option, rows[i].value) < 0)
            return ERR_IO;
    return 0;
}

static bool knows_trains(int fd)
{
    return set_option(fd, IPPROTO_UDP, UDP_SEGMENT, 0) == 0;
}

/* Without it datagrams come to other workers than theirs, as those do that it cannot tell. */
static void attach_steer(int fd, const struct net_steer *steer)
{
    int r = net_steer_attach(fd, steer);

    if (r < 0)
        log_attach_failure("net.not_steered", r);
}

static int open_socket(const struct net_udp_opts *opts, struct net_udp *udp)
{
    int r = net_socket_bind(SOCK_DGRAM, &opts->addr, opts->reuse_port, &udp->watch.fd);

    if (r == 0)
        r = net_socket_addr(udp->watch.fd, &udp->addr);
    if (r == 0)
        r = set_options(udp->watch.fd, udp->addr.family == ADDR_IPV4, udp->wildcard);
    if (r == 0)
        (void)waited_us_of(udp->watch.fd); /* from now on the kernel notes when a packet came */
    if (r == 0)
        r = set_buffers(udp->watch.fd, opts);
    if (r == 0 && opts->steer)
        attach_steer(udp->watch.fd, opts->steer);
    /* What the kernel cannot do, senders or it itself do before. */
    udp->takes_trains =
        r == 0 && opts->takes_trains && set_option(udp->watch.fd, IPPROTO_UDP, UDP_GRO, 1) == 0;
    udp->packets_asked_max = udp->takes_trains ? TRAINS_ASKED_MAX : NET_UDP_BATCH;
    udp->car_bytes_max = r == 0 && knows_trains(udp->watch.fd) ? CAR_BYTES_MAX : 0;
    if (r == 0)
        r = net_watch_start(opts->loop, &udp->watch);
    return r;
}

int net_udp_new(const struct net_udp_opts *opts, struct net_udp **ret_udp)
{
    struct net_udp *udp = mem_alloc(sizeof(*udp));
    int r;

    if (!udp)
        return ERR_NOMEM;
    *udp = (struct net_udp){.watch = {.fd = -1, .events = EPOLLIN, .fn = on_event},
                            .loop = opts->loop,
                            .batch = opts->batch,
                            .counters = opts->counters,
                            .ops = opts->ops,
                            .ctx = opts->ctx,
                            .queue.limit_bytes = opts->queue_bytes,
                            .cars_expected = 1,
                            .wildcard = addr_is_any(&opts->addr)};
    net_hook_init(&udp->flush, on_flush);
    r = open_socket(opts, udp);
    if (r == 0 && (udp->wildcard || udp->takes_trains))
        ask_each(udp->batch);
    if (r < 0) {
        int error = errno;

        if (udp->watch.fd >= 0)
            close(udp->watch.fd);
        mem_free(udp);
        errno = error;
        return r;
    }
    udp->received_at = udp->addr;
    *ret_udp = udp;
    return 0;
}

void net_udp_free(struct net_udp *udp)
{
    if (!udp || udp->freed)
        return;
    net_watch_stop(udp->loop, &udp->watch);
    net_hook_remove(udp->loop, &udp->flush);
    close(udp->watch.fd);
    udp->freed = true;
    if (!udp->busy)
        release(udp);
}

const struct addr *net_udp_addr(const struct net_udp *udp)
{
    return &udp->addr;
}

const struct addr *net_udp_received_at(const struct net_udp *udp)
{
    return &udp->received_at;
}
