/* A timer lives on the level of the highest octet in which its deadline differs from now: on level 0 a slot
 * is one millisecond of the current 256, on level 1 a slot is one of the current 256 blocks of 256 ms, and so
 * on. When the clock enters a block, the slot of that block is dealt out to the levels below. It happens
 * before anybody can set a timer from inside that block, so those of one millisecond keep the order in which
 * they were set. */
#include "base/timer.h"
#include <assert.h>
#include <stdint.h>

#define SLOT_BITS 8
#define TOP_LEVEL (TIMER_LEVELS - 1)
#define NO_SLOT   TIMER_SLOTS

void timer_wheel_init(struct timer_wheel *wheel, ms_t now_ms, void *user)
{
    *wheel = (struct timer_wheel){.now_ms = now_ms, .user = user};
    for (int level = 0; level < TIMER_LEVELS; level++)
        for (int slot = 0; slot < TIMER_SLOTS; slot++)
            list_init(&wheel->slots[level][slot]);
    list_init(&wheel->overdue);
}

void timer_init(struct timer *timer, timer_fn *fn)
{
    *timer = (struct timer){.fn = fn};
    list_init(&timer->node);
}

bool timer_is_set(const struct timer *timer)
{
    return !list_is_empty(&timer->node);
}

static unsigned slot_at(ms_t time_ms, int level)
{
    return time_ms >> (level * SLOT_BITS) & (TIMER_SLOTS - 1);
}

static void put_in_slot(struct timer_wheel *wheel, struct timer *timer, int level, unsigned slot)
{
    list_append(&wheel->slots[level][slot], &timer->node);
    wheel->occupied[level][slot / 64] |= UINT64_C(1) << slot % 64;
}

/* deadline_ms is not before now_ms. */
static void place(struct timer_wheel *wheel, struct timer *timer)
{
    ms_t differing = timer->deadline_ms ^ wheel->now_ms;
    int top_shift = TOP_LEVEL * SLOT_BITS;

    for (int level = 0; level < TOP_LEVEL; level++) {
        if (differing >> ((level + 1) * SLOT_BITS) == 0) {
            put_in_slot(wheel, timer, level, slot_at(timer->deadline_ms, level));
            return;
        }
    }
    /* The top level is a ring that goes on past its end. What is beyond a whole turn waits in the last slot
     * of the turn and is dealt out again from there. */
    if ((timer->deadline_ms >> top_shift) - (wheel->now_ms >> top_shift) < TIMER_SLOTS)
        put_in_slot(wheel, timer, TOP_LEVEL, slot_at(timer->deadline_ms, TOP_LEVEL));
    else
        put_in_slot(wheel, timer, TOP_LEVEL, (slot_at(wheel->now_ms, TOP_LEVEL) - 1) % TIMER_SLOTS);
}

/* The list head tells which slot it was: a timer need not remember. Lists outside the array have no bit. */
static void clear_if_empty(struct timer_wheel *wheel, const struct list *head)
{
    size_t offset = (size_t)((uintptr_t)head - (uintptr_t)wheel->slots), slot;

    if (offset >= sizeof(wheel->slots) || !list_is_empty(head))
        return;
    slot = offset / sizeof(struct list);
    wheel->occupied[slot / TIMER_SLOTS][slot % TIMER_SLOTS / 64] &= ~(UINT64_C(1) << slot % 64);
}

static void unlink_timer(struct timer_wheel *wheel, struct timer *timer)
{
    struct list *neighbour = timer->node.prev;

    list_remove(&timer->node);
    clear_if_empty(wheel, neighbour);
}

void timer_stop(struct timer_wheel *wheel, struct timer *timer)
{
    if (!timer_is_set(timer))
        return;
    unlink_timer(wheel, timer);
    wheel->count--;
}

void timer_set(struct timer_wheel *wheel, struct timer *timer, ms_t deadline_ms)
{
    timer_stop(wheel, timer);
    wheel->count++;
    if (deadline_ms > wheel->now_ms) {
        timer->deadline_ms = deadline_ms;
        place(wheel, timer);
    } else {
        timer->deadline_ms = wheel->now_ms;
        list_append(&wheel->overdue, &timer->node);
    }
}

/* The first occupied slot at or after `from`, or NO_SLOT. */
static unsigned next_occupied(const uint64_t bits[TIMER_SLOTS / 64], unsigned from)
{
    for (unsigned word = from / 64; word < TIMER_SLOTS / 64; word++) {
        uint64_t left = word == from / 64 ? bits[word] >> from % 64 << from % 64 : bits[word];

        if (left)
            return word * 64 + (unsigned)__builtin_ctzll(left);
    }
    return NO_SLOT;
}

/* When the clock next enters something occupied, and on which level: a slot on level 0 is a deadline, one
 * above is a block to deal out. All on a level is before all on the next. */
static ms_t next_event(const struct timer_wheel *wheel, int *ret_level)
{
    ms_t now = wheel->now_ms;

    for (int level = 0; level < TIMER_LEVELS; level++) {
        int shift = level * SLOT_BITS;
        unsigned here = slot_at(now, level), slot = next_occupied(wheel->occupied[level], here + 1);
        ms_t turn = now >> shift & ~(ms_t)(TIMER_SLOTS - 1);

        if (slot == NO_SLOT && level == TOP_LEVEL) {
            slot = next_occupied(wheel->occupied[level], 0);
            turn += TIMER_SLOTS;
        }
        if (slot != NO_SLOT) {
            *ret_level = level;
            return (turn | slot) << shift;
        }
    }
    return MS_NEVER;
}

ms_t timer_wheel_next_ms(const struct timer_wheel *wheel)
{
    int level;

    return list_is_empty(&wheel->overdue) ? next_event(wheel, &level) : wheel->now_ms;
}

static void take_all(struct timer_wheel *wheel, struct list *from, struct list *to)
{
    list_init(to);
    if (list_is_empty(from))
        return;
    *to = *from;
    to->next->prev = to->prev->next = to;
    list_init(from);
    clear_if_empty(wheel, from);
}

/* Takes them off first: what a function sets for this same moment is not run again here. */
static void run(struct timer_wheel *wheel, struct list *due)
{
    struct list running;

    take_all(wheel, due, &running);
    while (!list_is_empty(&running)) {
        struct timer *timer = list_entry(running.next, struct timer, node);

        timer_stop(wheel, timer);
        timer->fn(wheel, timer);
    }
}

static void deal_out(struct timer_wheel *wheel, struct list *block)
{
    struct list moving;

    take_all(wheel, block, &moving);
    while (!list_is_empty(&moving)) {
        struct timer *timer = list_entry(moving.next, struct timer, node);

        list_remove(&timer->node);
        place(wheel, timer);
    }
}

void timer_wheel_advance(struct timer_wheel *wheel, ms_t now_ms)
{
    for (;;) {
        int level = 0;
        ms_t next_ms;

        run(wheel, &wheel->overdue);
        next_ms = next_event(wheel, &level);
        if (next_ms > now_ms || next_ms == MS_NEVER)
            break;
        wheel->now_ms = next_ms;
        if (level > 0)
            deal_out(wheel, &wheel->slots[level][slot_at(next_ms, level)]);
        run(wheel, &wheel->slots[0][slot_at(next_ms, 0)]);
    }
    if (now_ms > wheel->now_ms)
        wheel->now_ms = now_ms;
}
