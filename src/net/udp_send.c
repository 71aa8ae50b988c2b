#include "base/mem.h"
#include "net/udp_internal.h"
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

/* Payload of the longest datagram: 65535 octets of IPv4 packet with its header, or of IPv6 packet after it. */
#define PAYLOAD_MAX_IPV4 (65535 - 20 - 8)
#define PAYLOAD_MAX_IPV6 (65535 - 8)

#define ATTEMPTS_MAX 8
#define FIRST_SLOTS  64

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

void net_udp_queue_done(struct net_udp *udp)
{
    while (udp->queue.count > 0)
        queue_pop(&udp->queue);
    mem_free(udp->queue.slots);
}

/* ---- source of single datagrams ---- */

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

/* The first train was refused. It goes again as single datagrams, each of which may be refused for itself.
 * What is too long for the path as a train (EINVAL, EMSGSIZE) goes in fragments then; an interface that
 * leaves checksums to others (EIO) takes no train at all. */
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
    int told = net_udp_take_errors(udp);

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

void net_udp_flush(struct net_udp *udp)
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
