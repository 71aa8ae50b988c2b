#include "proxy/pressure.h"

/* Overload has ended when for so many intervals nothing has waited for too long: refusing alone keeps the queue
 * near the target, so one that is shorter for a moment says nothing. */
#define QUIET_INTERVALS 10
/* What waits for less than this part of the target has an empty queue before it: refusing keeps the queue longer. */
#define DRAINED_PART 4
/* At least this long, whatever the kernel's queue holds: a batch of messages takes as long. */
#define LIMIT_MIN_US 200
/* How often neighbours are told another loss: several times while they believe one (RFC 7339 section 4.3). */
#define LOSS_PERIOD_MS 200
/* They keep a little, else nobody would hear when it is over. */
#define LOSS_MAX_PERMILLE 950
/* An asked loss goes back by this part in each period in which nothing had to be refused here, and faster when the queue was
 * empty meanwhile: then there was room for more. */
#define LOSS_DECAY         8
#define LOSS_DECAY_DRAINED 4
#define LOSS_MIN_STEP      10
/* Of fewer requests in a period, one says little about the others. */
#define SAMPLE_MIN 20

void pressure_init(struct pressure *p, const struct pressure_opts *opts, ms_t now_ms)
{
    *p = (struct pressure){.opts = opts,
                           .limit_us = opts->target_us,
                           .above_ms = MS_NEVER,
                           .noted_ms = now_ms,
                           .drained_ms = now_ms,
                           .recovered_ms = now_ms,
                           .counted_ms = now_ms,
                           .loss_ms = now_ms};
}

/* Where the queue was full before anything waited for the target, half of what fits into it has to do. */
static void learn_room(struct pressure *p, ms_t now_ms, uint32_t waited_us)
{
    uint32_t half_us = waited_us / 2 > LIMIT_MIN_US ? waited_us / 2 : LIMIT_MIN_US;

    p->recovered_ms = now_ms;
    if (half_us < p->limit_us)
        p->limit_us = half_us;
}

/* Room that was wanting for a moment is not wanting for ever. */
static void recover_room(struct pressure *p, ms_t now_ms)
{
    uint32_t more_us = p->limit_us / 8 + 1;

    if (now_ms - p->recovered_ms < p->opts->interval_ms * QUIET_INTERVALS)
        return;
    p->recovered_ms = now_ms;
    p->limit_us = p->opts->target_us - p->limit_us < more_us ? p->opts->target_us : p->limit_us + more_us;
}

/* Of what still came, this part was too much. */
static void raise_loss(struct pressure *p)
{
    uint32_t sample = p->n_requests > SAMPLE_MIN ? p->n_requests : SAMPLE_MIN;
    unsigned refused = (unsigned)((uint64_t)p->n_refused * 1000 / sample);

    p->loss_permille = 1000 - (1000 - p->loss_permille) * (1000 - refused) / 1000;
    if (p->loss_permille > LOSS_MAX_PERMILLE)
        p->loss_permille = LOSS_MAX_PERMILLE;
}

static void lower_loss(struct pressure *p, uint64_t periods, unsigned part)
{
    for (; periods > 0 && p->loss_permille > 0; periods--) {
        unsigned step = p->loss_permille / part;

        step = step > LOSS_MIN_STEP ? step : LOSS_MIN_STEP;
        p->loss_permille = p->loss_permille > step ? p->loss_permille - step : 0;
    }
}

static void update_loss(struct pressure *p, ms_t now_ms)
{
    uint64_t periods = (now_ms - p->counted_ms) / LOSS_PERIOD_MS;
    unsigned before = p->loss_permille;

    if (periods == 0)
        return;
    if (p->n_refused > 0) {
        /* What comes in the period after was sent before its clients could hear of it. */
        if (!p->is_raised)
            raise_loss(p);
        p->is_raised = p->loss_permille > before;
        periods--;
    } else {
        p->is_raised = false;
    }
    lower_loss(p, periods, p->drained_ms > p->counted_ms ? LOSS_DECAY_DRAINED : LOSS_DECAY);
    p->n_requests = p->n_refused = 0;
    p->counted_ms = now_ms;
    if (p->loss_permille > 0 || before > 0)
        p->loss_ms = now_ms;
}

/* A burst is over sooner. Where the queue has overflowed nothing is gained by waiting so long: what is dropped comes again at
 * T1, all of it, on top of what comes then (RFC 3261 section 17.1.1.2), and among it are messages of calls in
 * progress. But a process that was kept from running, and may have found a full queue, has time to empty it. */
static ms_t patience_ms(const struct pressure *p)
{
    return p->is_full ? p->limit_us / 1000 : p->opts->interval_ms;
}

static enum pressure_change settle(struct pressure *p, ms_t now_ms)
{
    if (!p->is_on && p->above_ms != MS_NEVER && now_ms - p->above_ms >= patience_ms(p)) {
        p->is_on = true;
        p->n_requests = p->n_refused = 0;
        p->is_raised = false;
        p->counted_ms = now_ms;
        return PRESSURE_BEGUN;
    }
    if (p->is_on && now_ms - p->last_above_ms > p->opts->interval_ms * QUIET_INTERVALS) {
        p->is_on = false;
        return PRESSURE_ENDED;
    }
    return PRESSURE_SAME;
}

/* Did it come when all before it had been handled? The clock counts in whole milliseconds. */
static bool was_empty(const struct pressure *p, ms_t now_ms, uint32_t waited_us)
{
    return now_ms - p->noted_ms > waited_us / 1000 + 1;
}

enum pressure_change pressure_note(struct pressure *p, ms_t now_ms, uint32_t waited_us, uint64_t lost)
{
    if (p->opts->is_off)
        return PRESSURE_SAME;
    p->waited_us = waited_us;
    p->is_full = p->is_full || lost > 0;
    if (lost > 0)
        learn_room(p, now_ms, waited_us);
    else if (p->limit_us < p->opts->target_us)
        recover_room(p, now_ms);
    if (waited_us < p->limit_us / DRAINED_PART || was_empty(p, now_ms, waited_us)) {
        p->drained_ms = now_ms;
        p->above_ms = MS_NEVER;
        p->is_full = false;
    }
    p->noted_ms = now_ms;
    if (waited_us <= p->limit_us) {
        p->above_ms = MS_NEVER;
    } else {
        p->last_above_ms = now_ms;
        if (p->above_ms == MS_NEVER)
            p->above_ms = now_ms;
    }
    return settle(p, now_ms);
}

enum pressure_change pressure_tick(struct pressure *p, ms_t now_ms)
{
    if (!pressure_is_felt(p))
        return PRESSURE_SAME;
    update_loss(p, now_ms);
    return settle(p, now_ms);
}

void pressure_count(struct pressure *p)
{
    p->n_requests++;
}

bool pressure_is_pressing(const struct pressure *p, ms_t now_ms, bool is_controlled)
{
    uint64_t limit_us = is_controlled ? (uint64_t)p->limit_us * 2 : p->limit_us;

    return p->is_on && p->waited_us > limit_us && now_ms - p->drained_ms >= patience_ms(p);
}

bool pressure_refuses(struct pressure *p, ms_t now_ms, bool is_controlled)
{
    if (!pressure_is_pressing(p, now_ms, is_controlled))
        return false;
    p->n_refused++;
    return true;
}

unsigned pressure_loss_percent(const struct pressure *p)
{
    return (p->loss_permille + 9) / 10;
}
