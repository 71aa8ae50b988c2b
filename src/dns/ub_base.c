#include "dns/ub_base.h"
#include "base/mem.h"
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/time.h>
#include <unbound-event.h>

typedef void callback_fn(int fd, short bits, void *arg);

struct base {
    struct ub_event_base head;
    struct net_loop *loop;
};

/* Life: made and freed by libunbound, which may free one from within its callback. */
struct event {
    struct ub_event head;
    struct base *base;
    struct net_watch watch;
    struct timer timer;
    callback_fn *fn;
    void *arg;
    short bits;
    bool is_watched;
};

#define event_of(head_ptr) list_entry((head_ptr), struct event, head)

static uint32_t epoll_of(short bits)
{
    return (bits & UB_EV_READ ? (uint32_t)EPOLLIN : 0) | (bits & UB_EV_WRITE ? (uint32_t)EPOLLOUT : 0);
}

static struct timer_wheel *wheel_of(const struct event *e)
{
    return net_loop_wheel(e->base->loop);
}

static void deactivate(struct event *e)
{
    if (e->is_watched)
        net_watch_stop(e->base->loop, &e->watch);
    e->is_watched = false;
    timer_stop(wheel_of(e), &e->timer);
}

/* An event that does not persist is off when its callback runs. */
static void fire(struct event *e, short bits)
{
    if (!(e->bits & UB_EV_PERSIST))
        deactivate(e);
    e->fn(e->watch.fd, bits, e->arg);
}

static void on_watch(struct net_watch *watch, uint32_t events)
{
    struct event *e = list_entry(watch, struct event, watch);
    bool failed = (events & (EPOLLERR | EPOLLHUP)) != 0;
    short bits = 0;

    if (events & EPOLLIN || failed)
        bits |= e->bits & UB_EV_READ;
    if (events & EPOLLOUT || failed)
        bits |= e->bits & UB_EV_WRITE;
    if (bits != 0)
        fire(e, bits);
}

static void on_timer(struct timer_wheel *wheel, struct timer *timer)
{
    (void)wheel;
    fire(list_entry(timer, struct event, timer), UB_EV_TIMEOUT);
}

static void start_timer(struct event *e, const struct timeval *wait)
{
    timer_set(wheel_of(e), &e->timer,
              net_loop_now_ms(e->base->loop) + (ms_t)wait->tv_sec * 1000 +
                  ((ms_t)wait->tv_usec + 999) / 1000);
}

/* ---- what libunbound calls ---- */

static void event_add_bits(struct ub_event *head, short bits)
{
    event_of(head)->bits |= bits;
}

static void event_del_bits(struct ub_event *head, short bits)
{
    event_of(head)->bits &= (short)~bits;
}

static void event_set_fd(struct ub_event *head, int fd)
{
    event_of(head)->watch.fd = fd;
}

static void event_free(struct ub_event *head)
{
    if (!head)
        return;
    deactivate(event_of(head));
    mem_free(event_of(head));
}

static int event_add(struct ub_event *head, struct timeval *wait)
{
    struct event *e = event_of(head);

    deactivate(e);
    if (e->watch.fd >= 0 && e->bits & (UB_EV_READ | UB_EV_WRITE)) {
        e->watch.events = epoll_of(e->bits);
        if (net_watch_start(e->base->loop, &e->watch) < 0)
            return -1;
        e->is_watched = true;
    }
    if (wait && e->bits & UB_EV_TIMEOUT)
        start_timer(e, wait);
    return 0;
}

static int event_del(struct ub_event *head)
{
    deactivate(event_of(head));
    return 0;
}

static int event_add_timer(struct ub_event *head, struct ub_event_base *base, callback_fn *fn, void *arg,
                           struct timeval *wait)
{
    struct event *e = event_of(head);

    (void)base;
    e->fn = fn;
    e->arg = arg;
    timer_stop(wheel_of(e), &e->timer);
    start_timer(e, wait);
    return 0;
}

static int event_del_timer(struct ub_event *head)
{
    timer_stop(wheel_of(event_of(head)), &event_of(head)->timer);
    return 0;
}

/* The program handles signals itself. */
static int event_no_signal(struct ub_event *head, struct timeval *wait)
{
    (void)head;
    (void)wait;
    return -1;
}

static int event_no_signal_to_stop(struct ub_event *head)
{
    (void)head;
    return -1;
}

static void event_no_wsa(struct ub_event *head)
{
    (void)head;
}

static void event_no_wouldblock(struct ub_event *head, int bits)
{
    (void)head;
    (void)bits;
}

static struct ub_event_vmt event_methods = {
    .add_bits = event_add_bits,
    .del_bits = event_del_bits,
    .set_fd = event_set_fd,
    .free = event_free,
    .add = event_add,
    .del = event_del,
    .add_timer = event_add_timer,
    .del_timer = event_del_timer,
    .add_signal = event_no_signal,
    .del_signal = event_no_signal_to_stop,
    .winsock_unregister_wsaevent = event_no_wsa,
    .winsock_tcp_wouldblock = event_no_wouldblock,
};

static struct ub_event *base_new_event(struct ub_event_base *head, int fd, short bits, callback_fn *fn,
                                       void *arg)
{
    struct event *e = mem_zalloc(sizeof(*e));

    if (!e)
        return NULL;
    e->head = (struct ub_event){UB_EVENT_MAGIC, &event_methods};
    e->base = list_entry(head, struct base, head);
    e->watch = (struct net_watch){.fd = fd, .fn = on_watch};
    e->bits = bits;
    e->fn = fn;
    e->arg = arg;
    timer_init(&e->timer, on_timer);
    return &e->head;
}

static struct ub_event *base_no_signal(struct ub_event_base *head, int signal, callback_fn *fn, void *arg)
{
    (void)head;
    (void)signal;
    (void)fn;
    (void)arg;
    return NULL;
}

static struct ub_event *base_no_wsa(struct ub_event_base *head, void *event, callback_fn *fn, void *arg)
{
    (void)head;
    (void)event;
    (void)fn;
    (void)arg;
    return NULL;
}

static void base_free(struct ub_event_base *head)
{
    (void)head;
}

static int base_dispatch(struct ub_event_base *head)
{
    (void)head;
    return 0;
}

static int base_loopexit(struct ub_event_base *head, struct timeval *wait)
{
    (void)head;
    (void)wait;
    return 0;
}

static struct ub_event_base_vmt base_methods = {
    .free = base_free,
    .dispatch = base_dispatch,
    .loopexit = base_loopexit,
    .new_event = base_new_event,
    .new_signal = base_no_signal,
    .winsock_register_wsaevent = base_no_wsa,
};

int dns_ub_base_new(struct net_loop *loop, struct ub_event_base **ret_base)
{
    struct base *base = mem_zalloc(sizeof(*base));

    if (!base)
        return ERR_NOMEM;
    base->head = (struct ub_event_base){UB_EVENT_MAGIC, &base_methods};
    base->loop = loop;
    *ret_base = &base->head;
    return 0;
}

void dns_ub_base_free(struct ub_event_base *base)
{
    if (base)
        mem_free(list_entry(base, struct base, head));
}
