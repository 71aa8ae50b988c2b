/* An event loop on epoll, one per worker thread. Everything registered with a loop runs on its thread and is
 * touched by that thread only; net_loop_wake is the one function for others.
 *
 * One turn: wait, then look at the clock once; run the watches of what has happened; run the loop's timers
 * that are due; run the hooks; at last run the one-shot hooks, where sockets write what was queued in the
 * turn, many messages with one system call. */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"
#include "base/timer.h"
#include <stdbool.h>
#include <stdint.h>

struct net_loop;

/* Something with a file descriptor that waits for events. It lives in its owner. */
struct net_watch {
    int fd;
    uint32_t events; /* EPOLLIN, EPOLLOUT ... as registered */
    /* Runs with the events that happened (EPOLLERR and EPOLLHUP too). May stop and free its own watch, or any
     * other. */
    void (*fn)(struct net_watch *watch, uint32_t events);
};

/* A function that runs at the end of turns. It may remove itself or any other hook. */
struct net_hook {
    struct list node;
    void (*fn)(struct net_hook *hook);
};

/* ERR_NOMEM, or ERR_IO with errno. */
MUST_USE int net_loop_new(struct net_loop **ret_loop);
/* Asserts that no watch, hook or timer is left. NULL is fine. */
void net_loop_free(struct net_loop *loop);

/* Level-triggered. ERR_IO with errno. */
MUST_USE int net_watch_start(struct net_loop *loop, struct net_watch *watch);
/* Changes the events of a watch; nothing happens when they are the same. ERR_IO with errno, and the events
 * are as before. */
MUST_USE int net_watch_change(struct net_loop *loop, struct net_watch *watch, uint32_t events);
/* Stops it; events of this turn that are not delivered yet are forgotten. Does not close fd. */
void net_watch_stop(struct net_loop *loop, struct net_watch *watch);

/* Once per hook, before anything else is done with it. */
void net_hook_init(struct net_hook *hook, void (*fn)(struct net_hook *hook));
/* The hook runs in every turn from now on, after those added before. */
void net_hook_add(struct net_loop *loop, struct net_hook *hook);
/* The hook runs once, at the end of this turn (of the next, which then does not wait, when one-shot hooks are
 * running already or no turn is). Nothing happens when it is waiting already. */
void net_hook_once(struct net_loop *loop, struct net_hook *hook);
/* Takes the hook out, whichever way it was put in, or not at all. */
void net_hook_remove(struct net_loop *loop, struct net_hook *hook);

/* One turn. Waits for events until `until_ms` at most (on the clock of net_loop_now_ms; MS_NEVER: for ever).
 * A signal that interrupts the wait ends it. Not to be called from within a turn. */
void net_loop_turn(struct net_loop *loop, ms_t until_ms);
/* clock_monotonic_ms, asked once per turn. */
ms_t net_loop_now_ms(const struct net_loop *loop);
/* The same in microseconds. */
uint64_t net_loop_now_us(const struct net_loop *loop);
/* How long the turn before this one took: what could not be read before its end, and can be now, has waited for no
 * longer. */
uint32_t net_loop_worked_us(const struct net_loop *loop);
/* Timers that the loop itself keeps: a turn ends its wait for them. */
struct timer_wheel *net_loop_wheel(struct net_loop *loop);

/* There is work for a hook: the next turn does not wait. Forgotten just before the hooks of a turn run, since
 * they do that work; so whoever queues something for its hook calls this, and need not know in which part of
 * a turn it is. This thread only. */
void net_loop_again(struct net_loop *loop);

/* Ends the current or the next wait. From any thread, also from a signal handler. */
void net_loop_wake(struct net_loop *loop);

/* Memory of the loop for reading into; whoever reads gives the octets up before it returns to the loop. */
#define NET_LOOP_SCRATCH_BYTES 65536
char *net_loop_scratch(struct net_loop *loop);

#endif
