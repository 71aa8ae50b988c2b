#include "proxy/pressure.h"

/* Overload has ended when for so many intervals nothing has waited for too long: refusing alone keeps
 * the queue near the target, so one that is shorter for a moment says nothing. */
#define QUIET_INTERVALS 10
/* What waits for less than this part of the target has an empty queue before it: refusing keeps the
 * queue longer. */
#define DRAINED_PART 4
/* At least this long, whatever the kernel's queue holds: a batch of messages takes as long. */
#define LIMIT_MIN_US 200
/* A batch or two of messages may take as long, and say nothing yet. */
#define PATIENCE_MIN_MS 5
/* How often neighbours are told another loss: several times while they believe one (RFC 7339 section
 * 4.3). */
#define LOSS_PERIOD_MS 200
/* Not told for so long, they believe none. */
#define LOSS_FORGOTTEN_MS 1000
/* What a loss is a part of. */
#define LOSS_ALL 1000000
/* They keep a little, else nobody would hear when it is over. */
#define LOSS_MAX 950000
/* Who was refused is known to be too many, but some were sent before their clients could hear of the
 * last loss. What is refused costs a tenth of what is taken, and a server that waits for work loses all
 * of it, so the loss is approached from below. */
#define REFUSED_PART 2
/* Refusals that are fewer than this part of what is taken do not change how much that is. */
#define HARDLY 8
/* Where the wait is too long by so much, all that comes is too much in a period, where by less a part of it; and
 * so much of what the queue grows by. More at once would be too much: both are heard of late. */
#define WAIT_PART_US   1000000
#define GROWTH_PERCENT 40
/* What is missing to what was done before is asked for by half, and a little more. */
#define MISSING_PART 2
#define MORE_PART    8
/* Of fewer requests in a period, one says little about the others. */
#define SAMPLE_MIN 20

void pressure_init(struct pressure *p, const struct pressure_opts *opts, ms_t now_ms)
{
    *p = (struct pressure){.opts = opts,
                           .limit_us = opts->target_us,
                           .queue = p->queues,
                           .recovered_ms = now_ms,
                           .counted_ms = now_ms,
                           .loss_ms = now_ms};
    for (unsigned i = 0; i < PRESSURE_QUEUES; i++)
        p->queues[i] = (struct pressure_queue){
            .noted_ms = now_ms, .drained_ms = now_ms, .above_ms = MS_NEVER, .low_us = UINT32_MAX};
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

static void count_from(struct pressure *p, ms_t at_ms)
{
    p->counted_ms = at_ms;
    p->n_requests = p->n_new = p->n_refused = p->n_obeying_refused = 0;
    for (unsigned i = 0; i < p->n_queues; i++)
        p->queues[i].low_us = UINT32_MAX;
}

/* The shortest wait in the queue where it was longest; 0: each was empty meanwhile. */
static uint32_t low_us_of(const struct pressure *p)
{
    uint32_t low_us = 0;

    for (unsigned i = 0; i < p->n_queues; i++) {
        const struct pressure_queue *q = &p->queues[i];

        if (q->low_us != UINT32_MAX && q->drained_ms <= p->counted_ms && q->low_us > low_us)
            low_us = q->low_us;
    }
    return low_us;
}

/* The queue was empty meanwhile: how many more new requests there could have been. */
static int64_t missing(const struct pressure *p, int64_t taken, int64_t ms)
{
    int64_t could = p->busy * ms;

    if (p->busy == 0)
        return taken / MISSING_PART;
    return (could > taken ? could - taken : 0) / MISSING_PART + taken / MORE_PART;
}

/* The queue was never empty: what is to be done about the time that messages wait in it. */
static int64_t too_many_for_the_queue(const struct pressure *p, int64_t taken, int64_t ms, int64_t low_us)
{
    int64_t too_long_us = low_us - p->limit_us, grown_us = low_us - p->low_before_us;

    return taken * too_long_us / WAIT_PART_US +
           taken * grown_us * GROWTH_PERCENT / (100 * (ms * 1000 + low_us));
}

/* By how many new requests, in thousandths, there were too many; below 0: there was room for more. */
static int64_t excess(struct pressure *p, ms_t now_ms, uint32_t low_us)
{
    int64_t ms = (int64_t)(now_ms - p->counted_ms), taken = ((int64_t)p->n_new - p->n_refused) * 1000;
    int64_t refused = (int64_t)p->n_obeying_refused * 1000 / REFUSED_PART;

    if ((int64_t)p->n_obeying_refused * 1000 > taken / HARDLY)
        return refused;
    if (low_us == 0)
        return -missing(p, taken, ms) - 1000;
    p->busy = taken / ms;
    return refused + too_many_for_the_queue(p, taken, ms, low_us < WAIT_PART_US ? low_us : WAIT_PART_US);
}

/* Of all requests that would come without a loss, which are 1/(1 - loss) of those that came, such a
 * part is left out that the new ones among them are fewer by the excess. */
static uint32_t next_loss(struct pressure *p, ms_t now_ms, uint32_t low_us)
{
    int64_t came = p->n_requests > SAMPLE_MIN ? p->n_requests : SAMPLE_MIN;
    int64_t more = excess(p, now_ms, low_us);
    int64_t equal = (int64_t)(p->n_refused - p->n_obeying_refused) * LOSS_ALL / came;
    int64_t loss;

    more = more < -came * 500 ? -came * 500 : more;
    loss = p->loss + (LOSS_ALL - (int64_t)p->loss) * more / (came * 1000);
    /* Who does not take part shall not be better off (RFC 7339 section 5.10.2), nor worse. */
    loss = loss > equal ? loss : equal;
    return (uint32_t)(loss < 0 ? 0 : loss > LOSS_MAX ? LOSS_MAX : loss);
}

static void change_loss(struct pressure *p, ms_t now_ms)
{
    uint32_t low_us = low_us_of(p);

    p->loss = now_ms - p->counted_ms < LOSS_FORGOTTEN_MS ? next_loss(p, now_ms, low_us) : 0;
    p->changed_ms = p->loss_ms = now_ms;
    p->low_before_us = low_us;
    count_from(p, now_ms);
}

/* What was sent before the last loss could be heard of says nothing about it; meanwhile it is said
 * again, lest it be forgotten. */
static void update_loss(struct pressure *p, ms_t now_ms)
{
    bool is_heard = now_ms >= p->changed_ms + p->waited_us / 1000;

    if (is_heard && now_ms - p->counted_ms >= LOSS_PERIOD_MS)
        change_loss(p, now_ms);
    else if (!is_heard)
        count_from(p, now_ms);
    if (now_ms - p->loss_ms >= LOSS_PERIOD_MS)
        p->loss_ms = now_ms;
}

/* A burst is over sooner. Where the queue has overflowed nothing is gained by waiting so long: what is
 * dropped comes again at T1, all of it, on top of what comes then (RFC 3261 section 17.1.1.2), and
 * among it are messages of calls in progress. But a process that was kept from running, and may have
 * found a full queue, has time to empty it. */
static ms_t patience_ms(const struct pressure *p)
{
    ms_t least_ms = p->limit_us / 1000 > PATIENCE_MIN_MS ? p->limit_us / 1000 : PATIENCE_MIN_MS;

    return p->queue->is_full && least_ms < p->opts->interval_ms ? least_ms : p->opts->interval_ms;
}

static enum pressure_change settle(struct pressure *p, ms_t now_ms)
{
    if (!p->is_on && p->queue->above_ms != MS_NEVER && now_ms - p->queue->above_ms >= patience_ms(p)) {
        p->is_on = true;
        count_from(p, now_ms);
        p->low_before_us = p->waited_us;
        return PRESSURE_BEGUN;
    }
    if (p->is_on && now_ms - p->last_above_ms > p->opts->interval_ms * QUIET_INTERVALS) {
        p->is_on = false;
        return PRESSURE_ENDED;
    }
    return PRESSURE_SAME;
}

/* Did it come when all before it had been handled? The clock counts in whole milliseconds. */
static bool was_empty(const struct pressure_queue *q, ms_t now_ms, uint32_t waited_us)
{
    return now_ms - q->noted_ms > waited_us / 1000 + 1;
}

static void note(struct pressure *p, struct pressure_queue *q, ms_t now_ms, uint32_t waited_us)
{
    q->low_us = waited_us < q->low_us ? waited_us : q->low_us;
    if (waited_us < p->limit_us / DRAINED_PART || was_empty(q, now_ms, waited_us)) {
        q->drained_ms = now_ms;
        q->above_ms = MS_NEVER;
        q->is_full = false;
    }
    q->noted_ms = now_ms;
    if (waited_us <= p->limit_us) {
        q->above_ms = MS_NEVER;
    } else {
        p->last_above_ms = now_ms;
        if (q->above_ms == MS_NEVER)
            q->above_ms = now_ms;
    }
}

enum pressure_change pressure_note(struct pressure *p, ms_t now_ms, unsigned queue, uint32_t waited_us,
                                   uint64_t lost)
{
    if (p->opts->is_off)
        return PRESSURE_SAME;
    if (queue >= PRESSURE_QUEUES)
        queue = PRESSURE_QUEUES - 1;
    if (queue >= p->n_queues)
        p->n_queues = queue + 1;
    p->queue = &p->queues[queue];
    p->waited_us = waited_us;
    p->queue->is_full = p->queue->is_full || lost > 0;
    if (lost > 0)
        learn_room(p, now_ms, waited_us);
    else if (p->limit_us < p->opts->target_us)
        recover_room(p, now_ms);
    note(p, p->queue, now_ms, waited_us);
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

    return p->is_on && p->waited_us > limit_us && now_ms - p->queue->drained_ms >= patience_ms(p);
}

bool pressure_refuses(struct pressure *p, ms_t now_ms, bool is_controlled)
{
    p->n_new++;
    if (!pressure_is_pressing(p, now_ms, is_controlled))
        return false;
    p->n_refused++;
    p->n_obeying_refused += is_controlled;
    return true;
}

unsigned pressure_loss_percent(const struct pressure *p)
{
    return (p->loss + LOSS_ALL / 100 - 1) / (LOSS_ALL / 100);
}
