#include "base/mem.h"
#include "net/udp_internal.h"
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

/* ---- events ---- */

static void release(struct net_udp *udp)
{
    net_udp_queue_done(udp);
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
        net_udp_take_errors(udp);
    if (!udp->freed && (events & (EPOLLIN | EPOLLERR)))
        net_udp_receive_turn(udp);
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
    net_udp_flush(udp);
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
        net_udp_log_refusal("net.not_steered", r);
}

static int open_socket(const struct net_udp_opts *opts, struct net_udp *udp)
{
    int r = net_socket_bind(SOCK_DGRAM, &opts->addr, opts->reuse_port, &udp->watch.fd);

    if (r == 0)
        r = net_socket_addr(udp->watch.fd, &udp->addr);
    if (r == 0)
        r = set_options(udp->watch.fd, udp->addr.family == ADDR_IPV4, udp->wildcard);
    if (r == 0)
        (void)net_udp_waited_us(udp->watch.fd); /* from now on the kernel notes when a packet came */
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
        net_udp_ask_each(udp->batch);
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
