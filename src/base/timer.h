/* A hierarchical timer wheel with one-millisecond slots at its lowest level. Setting, moving and stopping a
 * timer is O(1) and allocates nothing; the node lives in the object that waits. Timers fire in order of their
 * deadline, those of the same millisecond in the order in which they were set. A timer never fires early. One
 * thread.
 *
 * While a timer's function runs, now_ms is that timer's deadline, even when the clock was moved much further:
 * what the functions see does not depend on how often the clock is looked at, so one long step and many short
 * ones give the same history.
 *
 * A fired timer is stopped before its function runs, which may set it again, stop others, or free its object.
 */
#ifndef BASE_TIMER_H
#define BASE_TIMER_H

#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"
#include <stdbool.h>

struct timer;
struct timer_wheel;
typedef void timer_fn(struct timer_wheel *wheel, struct timer *timer);

struct timer {
    struct list node;
    ms_t deadline_ms;
    timer_fn *fn;
};

#define TIMER_LEVELS 5
#define TIMER_SLOTS  256

struct timer_wheel {
    ms_t now_ms;
    size_t count; /* timers that are set */
    struct list slots[TIMER_LEVELS][TIMER_SLOTS];
    struct list overdue; /* set with a deadline that had already come */
    uint64_t occupied[TIMER_LEVELS][TIMER_SLOTS / 64];
    void *user; /* for the functions; the wheel does not look at it */
};

void timer_wheel_init(struct timer_wheel *wheel, ms_t now_ms, void *user);
/* Once per timer, before anything else is done with it. */
void timer_init(struct timer *timer, timer_fn *fn);
bool timer_is_set(const struct timer *timer);
/* (Re)starts the timer. A deadline that is not after now_ms counts as now_ms, and fires before the clock next
 * moves; set so by a function that runs for now_ms itself, at the next step of the clock or the next advance,
 * so a timer that restarts itself with no delay cannot hold up the thread. */
void timer_set(struct timer_wheel *wheel, struct timer *timer, ms_t deadline_ms);
void timer_stop(struct timer_wheel *wheel, struct timer *timer);
/* Moves the clock to now_ms and runs what is due. An earlier now_ms than the wheel's moves nothing. Not to be
 * called by a timer's function. */
void timer_wheel_advance(struct timer_wheel *wheel, ms_t now_ms);
/* Is anything due that timer_wheel_advance() would run without moving the clock? */
static inline bool timer_wheel_is_overdue(const struct timer_wheel *wheel)
{
    return !list_is_empty(&wheel->overdue);
}

/* A time at or before the earliest deadline (exact when it is within the lowest level), MS_NEVER when none is
 * set: what an event loop may sleep until. */
ms_t timer_wheel_next_ms(const struct timer_wheel *wheel);

#endif
