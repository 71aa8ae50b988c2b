#include "net/loop.h"
#include "base/mem.h"
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define EVENTS_PER_TURN 256

struct net_loop {
    int epoll_fd;
    struct net_watch wake;
    unsigned watches;
    ms_t now_ms;
    uint64_t now_us;
    uint32_t worked_us;
    bool again;
    struct list hooks, once; /* struct net_hook */
    struct timer_wheel wheel;
    struct epoll_event events[EVENTS_PER_TURN];
    int n_events, next_event; /* of this turn: those from next_event on are still to be delivered */
    char scratch[NET_LOOP_SCRATCH_BYTES];
};

static void on_wake(struct net_watch *watch, uint32_t events)
{
    uint64_t count;
    ssize_t got;

    (void)events;
    /* Level-triggered: were it not read for whatever reason, the next turn would. */
    do
        got = read(watch->fd, &count, sizeof(count));
    while (got < 0 && errno == EINTR);
}

int net_loop_new(struct net_loop **ret_loop)
{
    struct net_loop *loop = mem_alloc(sizeof(*loop));
    int r = ERR_IO;

    if (!loop)
        return ERR_NOMEM;
    loop->now_us = clock_monotonic_us();
    loop->now_ms = loop->now_us / 1000;
    loop->worked_us = 0;
    loop->again = false;
    loop->watches = 0;
    loop->n_events = loop->next_event = 0;
    list_init(&loop->hooks);
    list_init(&loop->once);
    timer_wheel_init(&loop->wheel, loop->now_ms, loop);
    loop->wake = (struct net_watch){.fd = -1, .events = EPOLLIN, .fn = on_wake};
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0)
        goto out;
    loop->wake.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (loop->wake.fd < 0)
        goto out;
    r = net_watch_start(loop, &loop->wake);
    if (r < 0)
        goto out;
    *ret_loop = loop;
    return 0;
out:
    if (loop->wake.fd >= 0)
        close(loop->wake.fd);
    if (loop->epoll_fd >= 0)
        close(loop->epoll_fd);
    mem_free(loop);
    return r;
}

void net_loop_free(struct net_loop *loop)
{
    if (!loop)
        return;
    net_watch_stop(loop, &loop->wake);
    assert(loop->watches == 0 && list_is_empty(&loop->hooks) && list_is_empty(&loop->once));
    assert(loop->wheel.count == 0);
    close(loop->wake.fd);
    close(loop->epoll_fd);
    mem_free(loop);
}

static int control(struct net_loop *loop, int operation, struct net_watch *watch, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};

    return epoll_ctl(loop->epoll_fd, operation, watch->fd, &event) < 0 ? ERR_IO : 0;
}

int net_watch_start(struct net_loop *loop, struct net_watch *watch)
{
    int r = control(loop, EPOLL_CTL_ADD, watch, watch->events);

    if (r == 0)
        loop->watches++;
    return r;
}

int net_watch_change(struct net_loop *loop, struct net_watch *watch, uint32_t events)
{
    int r = events == watch->events ? 0 : control(loop, EPOLL_CTL_MOD, watch, events);

    if (r == 0)
        watch->events = events;
    return r;
}

void net_watch_stop(struct net_loop *loop, struct net_watch *watch)
{
    int r = control(loop, EPOLL_CTL_DEL, watch, 0);

    /* A watch that is not there, or whose fd was closed first, is a programming error. */
    assert(r == 0);
    (void)r;
    loop->watches--;
    for (int i = loop->next_event; i < loop->n_events; i++)
        if (loop->events[i].data.ptr == watch)
            loop->events[i].data.ptr = NULL;
}

void net_hook_init(struct net_hook *hook, void (*fn)(struct net_hook *hook))
{
    hook->fn = fn;
    list_init(&hook->node);
}

void net_hook_add(struct net_loop *loop, struct net_hook *hook)
{
    list_append(&loop->hooks, &hook->node);
}

void net_hook_once(struct net_loop *loop, struct net_hook *hook)
{
    if (list_is_empty(&hook->node))
        list_append(&loop->once, &hook->node);
}

void net_hook_remove(struct net_loop *loop, struct net_hook *hook)
{
    (void)loop;
    list_remove(&hook->node);
}

/* Each is taken off a list of this turn before it runs, so it may do with itself and the others what it
 * likes. */
static void run_hooks(struct list *hooks, struct list *keep)
{
    struct list running;

    list_init(&running);
    while (!list_is_empty(hooks)) {
        struct list *first = hooks->next;

        list_remove(first);
        list_append(&running, first);
    }
    while (!list_is_empty(&running)) {
        struct net_hook *hook = list_entry(running.next, struct net_hook, node);

        list_remove(&hook->node);
        if (keep)
            list_append(keep, &hook->node);
        hook->fn(hook);
    }
}

static int wait_timeout_ms(const struct net_loop *loop, ms_t until_ms, ms_t now_ms)
{
    ms_t timer_ms = timer_wheel_next_ms(&loop->wheel);

    if (loop->again || !list_is_empty(&loop->once))
        return 0;
    if (timer_ms < until_ms)
        until_ms = timer_ms;
    if (until_ms == MS_NEVER)
        return -1;
    if (until_ms <= now_ms)
        return 0;
    return until_ms - now_ms < INT_MAX ? (int)(until_ms - now_ms) : INT_MAX;
}

void net_loop_turn(struct net_loop *loop, ms_t until_ms)
{
    uint64_t now_us = clock_monotonic_us(), worked_us = now_us - loop->now_us;
    int n = epoll_wait(loop->epoll_fd, loop->events, EVENTS_PER_TURN,
                       wait_timeout_ms(loop, until_ms, now_us / 1000));

    assert(n >= 0 || errno == EINTR);
    loop->worked_us = worked_us < UINT32_MAX ? (uint32_t)worked_us : UINT32_MAX;
    loop->now_us = clock_monotonic_us();
    loop->now_ms = loop->now_us / 1000;
    loop->n_events = n > 0 ? n : 0;
    loop->next_event = 0;
    while (loop->next_event < loop->n_events) {
        struct epoll_event *event = &loop->events[loop->next_event++];
        struct net_watch *watch = event->data.ptr;

        if (watch)
            watch->fn(watch, event->events);
    }
    timer_wheel_advance(&loop->wheel, loop->now_ms);
    loop->again = false;
    run_hooks(&loop->hooks, &loop->hooks);
    run_hooks(&loop->once, NULL);
}

ms_t net_loop_now_ms(const struct net_loop *loop)
{
    return loop->now_ms;
}

uint64_t net_loop_now_us(const struct net_loop *loop)
{
    return loop->now_us;
}

uint32_t net_loop_worked_us(const struct net_loop *loop)
{
    return loop->worked_us;
}

struct timer_wheel *net_loop_wheel(struct net_loop *loop)
{
    return &loop->wheel;
}

void net_loop_again(struct net_loop *loop)
{
    loop->again = true;
}

void net_loop_wake(struct net_loop *loop)
{
    const uint64_t one = 1;
    int saved_errno = errno;
    ssize_t r;

    /* EAGAIN means that the count is full, so the wait ends anyway. */
    do
        r = write(loop->wake.fd, &one, sizeof(one));
    while (r < 0 && errno == EINTR);
    errno = saved_errno;
}

char *net_loop_scratch(struct net_loop *loop)
{
    return loop->scratch;
}
