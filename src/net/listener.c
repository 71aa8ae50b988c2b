#include "base/log.h"
#include "base/mem.h"
#include "net/sockaddr.h"
#include "net/tcp.h"
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#define BACKLOG          1024
#define ACCEPTS_PER_TURN 64

struct net_tcp_listener {
    struct net_watch watch;
    struct timer rest;
    struct net_loop *loop;
    const struct net_tcp_listener_ops *ops;
    void *ctx;
    struct addr addr;
    bool busy, freed; /* freed by the function it calls */
};

static struct log_limiter rest_log = LOG_LIMITER(1);

static void on_rest_over(struct timer_wheel *wheel, struct timer *timer)
{
    struct net_tcp_listener *listener = list_entry(timer, struct net_tcp_listener, rest);

    if (net_watch_change(listener->loop, &listener->watch, EPOLLIN) < 0)
        timer_set(wheel, timer, wheel->now_ms + NET_TCP_ACCEPT_REST_MS);
}

void net_tcp_listener_rest(struct net_tcp_listener *listener, ms_t for_ms)
{
    /* Where even this fails the loop stays busy, but goes on. */
    if (net_watch_change(listener->loop, &listener->watch, 0) == 0)
        timer_set(net_loop_wheel(listener->loop), &listener->rest, net_loop_now_ms(listener->loop) + for_ms);
}

static void take_rest(struct net_tcp_listener *listener, int error)
{
    log_limited(&rest_log, LOG_WARN, "net.accept_rests", log_cstr("why", strerrordesc_np(error)),
                log_u64("for_ms", NET_TCP_ACCEPT_REST_MS));
    net_tcp_listener_rest(listener, NET_TCP_ACCEPT_REST_MS);
}

static void hand_over(struct net_tcp_listener *listener, int fd, const struct sockaddr_storage *from)
{
    struct addr peer;

    if (net_addr_from_sockaddr(from, &peer) < 0 || !listener->ops->accept(listener->ctx, listener, fd, &peer))
        close(fd);
}

/* Whether there may be more. */
static bool accept_one(struct net_tcp_listener *listener)
{
    struct sockaddr_storage from;
    socklen_t len = sizeof(from);
    int fd = accept4(listener->watch.fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd >= 0) {
        hand_over(listener, fd, &from);
        return !listener->freed && !timer_is_set(&listener->rest);
    }
    switch (errno) {
    case EAGAIN:
        return false;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        take_rest(listener, errno);
        return false;
    default: /* what went wrong with a connection before it was accepted, as accept(2) warns */
        return true;
    }
}

static void on_event(struct net_watch *watch, uint32_t events)
{
    struct net_tcp_listener *listener = list_entry(watch, struct net_tcp_listener, watch);

    (void)events;
    listener->busy = true;
    for (int i = 0; i < ACCEPTS_PER_TURN && accept_one(listener); i++)
        ;
    listener->busy = false;
    if (listener->freed)
        mem_free(listener);
}

static int open_socket(struct net_tcp_listener *listener, const struct addr *addr)
{
    int r = net_socket_bind(SOCK_STREAM, addr, true, &listener->watch.fd);

    if (r == 0 && listen(listener->watch.fd, BACKLOG) < 0)
        r = ERR_IO;
    if (r == 0)
        r = net_socket_addr(listener->watch.fd, &listener->addr);
    if (r == 0)
        r = net_watch_start(listener->loop, &listener->watch);
    return r;
}

int net_tcp_listener_new(struct net_loop *loop, const struct addr *addr,
                         const struct net_tcp_listener_ops *ops, void *ctx,
                         struct net_tcp_listener **ret_listener)
{
    struct net_tcp_listener *listener = mem_alloc(sizeof(*listener));
    int r;

    if (!listener)
        return ERR_NOMEM;
    *listener = (struct net_tcp_listener){
        .watch = {.fd = -1, .events = EPOLLIN, .fn = on_event}, .loop = loop, .ops = ops, .ctx = ctx};
    timer_init(&listener->rest, on_rest_over);
    r = open_socket(listener, addr);
    if (r < 0) {
        int error = errno;

        if (listener->watch.fd >= 0)
            close(listener->watch.fd);
        mem_free(listener);
        errno = error;
        return r;
    }
    *ret_listener = listener;
    return 0;
}

void net_tcp_listener_free(struct net_tcp_listener *listener)
{
    if (!listener || listener->freed)
        return;
    timer_stop(net_loop_wheel(listener->loop), &listener->rest);
    net_watch_stop(listener->loop, &listener->watch);
    close(listener->watch.fd);
    listener->freed = true;
    if (!listener->busy)
        mem_free(listener);
}

const struct addr *net_tcp_listener_addr(const struct net_tcp_listener *listener)
{
    return &listener->addr;
}
