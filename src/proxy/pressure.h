/* Is this worker late? What waits tells: the time from when a message was there to be read until it is
 * handled. A queue that has not been short for an interval is no burst, it is overload (the idea of CoDel,
 * RFC 8289): then what begins something new and has waited for longer than the target is refused, and what is
 * refused costs so little that the queue stays as long as the target says and all else goes to calls that
 * will be completed. A process that is kept from running finds a queue, too, but one that it empties each
 * time; nothing is refused then. And what came after the message before it was handled had an empty queue
 * before it, however long it waited.
 *
 *     pressure_note(&pressure, now_ms, queue, waited_us, lost)    before messages that came together are handled
 *     pressure_count(&pressure)                                   each request
 *     pressure_refuses(&pressure, now_ms, is_controlled)          each that begins something
 *
 * Without a clock: told the time, so the same calls give the same answers. */
#ifndef PROXY_PRESSURE_H
#define PROXY_PRESSURE_H

#include "base/clock.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pressure_opts {
    bool is_off;
    uint32_t target_us; /* longer than this, messages ought not to wait */
    ms_t interval_ms;   /* unless it is for a moment, shorter than this */
};

#define PRESSURE_QUEUES 260 /* what is in another one than these is in the last of them */

/* Messages that wait for those before them, such as those of one socket. Another that is short says nothing of it. */
struct pressure_queue {
    ms_t noted_ms;   /* when pressure_note was last called for it */
    ms_t drained_ms; /* when it was last as good as empty */
    ms_t above_ms;   /* since when nothing has waited less than the limit; MS_NEVER: something has */
    uint32_t low_us; /* the shortest wait in the time that is counted; UINT32_MAX: nothing has come */
    bool is_full;    /* since it was last as good as empty it has overflowed */
};

struct pressure {
    const struct pressure_opts *opts;
    struct pressure_queue queues[PRESSURE_QUEUES];
    unsigned n_queues;            /* the first ones, that have been spoken of */
    struct pressure_queue *queue; /* of what is being handled now */
    uint32_t waited_us;           /* what is being handled now */
    uint32_t limit_us;  /* the target, or less where the kernel's queue holds less than the target */
    bool is_on;         /* overloaded */
    ms_t last_above_ms; /* when something last waited longer */
    ms_t recovered_ms;  /* when limit_us was last raised */
    ms_t counted_ms;    /* since when is counted: */
    uint32_t n_requests, n_new, n_refused, n_obeying_refused;
    uint32_t low_before_us; /* the shortest wait in the longest queue, the time before */
    int64_t busy;    /* new requests taken in a second when last there was no pause; 0: it is not known */
    uint32_t loss;   /* of a million of all requests: how many fewer should come (RFC 7339 section 5.3) */
    ms_t changed_ms; /* when it was last found out */
    ms_t loss_ms;    /* when it was last said that it holds */
};

/* What pressure_note changed. */
enum pressure_change { PRESSURE_SAME, PRESSURE_BEGUN, PRESSURE_ENDED };

void pressure_init(struct pressure *pressure, const struct pressure_opts *opts, ms_t now_ms);
/* Messages of this queue are handled from now on that have waited so long; lost: so many packets more than before
 * (each a datagram, or a train of them) found no room in it at all. */
enum pressure_change pressure_note(struct pressure *pressure, ms_t now_ms, unsigned queue, uint32_t waited_us,
                                   uint64_t lost);
/* Time goes by, with messages or without. */
enum pressure_change pressure_tick(struct pressure *pressure, ms_t now_ms);
void pressure_count(struct pressure *pressure);
/* Is what begins something new to be refused now? is_controlled: it comes from a neighbour who
 * sends less when told so (RFC 7339): he is believed until messages wait for twice the target. */
bool pressure_is_pressing(const struct pressure *pressure, ms_t now_ms, bool is_controlled);
/* The same, counted if so. */
bool pressure_refuses(struct pressure *pressure, ms_t now_ms, bool is_controlled);
/* Overload, or the end of it, of which neighbours still hear. */
static inline bool pressure_is_felt(const struct pressure *pressure)
{
    return pressure->is_on || pressure->loss > 0;
}
/* The loss that is asked of neighbours, in percent. */
unsigned pressure_loss_percent(const struct pressure *pressure);

#endif
