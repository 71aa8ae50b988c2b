/* The order in which targets are tried: RFC 3261 section 16.6 (equal q in parallel, from the highest to the
 * lowest, each group completing before the next starts), bounded by Max-Breadth (RFC 5393 section 5).
 *
 * Max-Breadth bounds what is open at a time, and nothing bounds what comes one after the other: users
 * who collude can register contacts that lead back here to each other, and every order of N users is a
 * path that does not loop (RFC 5393 section 3). So a request that has been here before, a spiral, uses
 * its breadth once: it is divided over all targets and does not come back with a final response, no
 * other way to the same instance is tried (RFC 5626 section 7), and a spiral with more targets than
 * breadth is 440 ("unwilling/unable to compensate by forking serially", section 5.3.3). Then of the
 * max_branches requests that leave at its first visit no more than max_breadth are left at each of the
 * next, and these are no more than max_spirals. */
#include "proxy/internal.h"

/* Section 16.7 step 5: a 2xx that could not be sent on for want of memory is waited for again. */
static bool is_active(const struct proxy_context *c, const struct proxy_branch *b)
{
    return !proxy_branch_is_done(b) || (b->is_accepted && b->client && !c->is_final_sent);
}

struct activity {
    unsigned branches, breadth;
    unsigned awaited; /* of the branches, those in whose place no other is tried */
};

/* RFC 5393 section 5.3.2: Outgoing Max-Breadth is the sum over the forwarded requests without a final
 * response. */
static struct activity activity_of(const struct proxy_context *c)
{
    struct activity activity = {0};

    list_for_each(node, &c->branches)
    {
        const struct proxy_branch *b = list_entry(node, struct proxy_branch, node);

        if (is_active(c, b)) {
            activity.branches++;
            activity.awaited += !b->is_given_up;
            activity.breadth += b->breadth;
        }
    }
    return activity;
}

static struct proxy_target *first_waiting(const struct proxy_context *c)
{
    struct proxy_target *t = c->req.targets;

    while (t && t->is_started)
        t = t->next;
    return t;
}

static unsigned count_waiting(const struct proxy_context *c, unsigned min_q_milli)
{
    unsigned count = 0;

    for (const struct proxy_target *t = c->req.targets; t; t = t->next)
        count += !t->is_started && t->q_milli >= min_q_milli;
    return count;
}

static void start_target(struct proxy_context *c, struct proxy_target *target, unsigned breadth)
{
    target->is_started = true;
    c->breadth_spent += breadth;
    if (proxy_branch_start(c, target, breadth) < 0) {
        counter_inc(c->req.proxy->counters, COUNTER_SHED);
        proxy_response_add_local(c, NULL, 503, "no memory for a branch");
    }
}

/* What new branches have to share. */
static unsigned breadth_left(const struct proxy_context *c, const struct activity *active)
{
    unsigned used = c->n_spirals > 0 ? c->breadth_spent : active->breadth;

    return c->max_breadth > used ? c->max_breadth - used : 0;
}

/* In how many parts the breadth goes. Who is given up keeps his share until he has ended, and whoever is tried in
 * his place needs one too; and of a spiral nothing comes back. */
static unsigned parts_of(const struct proxy_context *c, const struct proxy_target *t, unsigned count,
                         unsigned room)
{
    unsigned all = t->watch || c->n_spirals > 0 ? count_waiting(c, 0) : count;

    return all < room ? all : room;
}

/* Starts what may be started now. True when something was: it may have ended at once, so there is more to do.
 */
static bool start_some(struct proxy_context *c)
{
    struct activity active = activity_of(c);
    struct proxy_target *t = first_waiting(c);
    unsigned room, count, parts, share, rest;

    if (!t || (active.awaited > 0 && t->q_milli < c->group_q))
        return false;
    if (active.awaited == 0) {
        c->group_q = t->q_milli;
        timer_stop(&c->req.proxy->wheel, &c->ring_timer);
    }
    /* RFC 5393 section 5.5: what does not fit in the breadth waits until some of it is free again. */
    room = breadth_left(c, &active);
    count = count_waiting(c, c->group_q);
    if (count > room)
        count = room;
    if (count == 0)
        return false;
    parts = parts_of(c, t, count, room);
    share = room / parts;
    rest = room % parts;
    for (unsigned i = 0; i < count && !c->is_closed; i++) {
        start_target(c, first_waiting(c), share + (i < rest));
    }
    return true;
}

void proxy_targets_skip(struct proxy_context *c, const struct proxy_watch *watch)
{
    for (struct proxy_target *t = c->req.targets; t; t = t->next)
        t->is_started |= t->watch == watch;
}

/* When a branch is given up because another can be tried in its place; MS_NEVER: not by the clock. */
static ms_t patience_of(const struct proxy_branch *b)
{
    const struct proxy_watch *watch = b->target->watch;
    ms_t patience_ms = b->state == PROXY_BRANCH_PROCEEDING ? watch->progress_ms : watch->timeout_ms;

    return b->has_rung || b->is_given_up || patience_ms == 0 ? MS_NEVER : b->heard_ms + patience_ms;
}

/* The branch of this watch whose patience ends first. */
static struct proxy_branch *least_patient(const struct proxy_context *c, const struct proxy_watch *watch)
{
    struct proxy_branch *least = NULL;

    list_for_each(node, &c->branches)
    {
        struct proxy_branch *b = list_entry(node, struct proxy_branch, node);

        if (b->target->watch == watch && is_active(c, b) && patience_of(b) != MS_NEVER &&
            (!least || patience_of(b) < patience_of(least)))
            least = b;
    }
    return least;
}

/* Who stands in for another waits for him to fail, not for him to have rung. */
static void set_patience(struct proxy_context *c, const struct proxy_watch *watch)
{
    struct proxy_branch *b = least_patient(c, watch);
    struct proxy *p = c->req.proxy;

    if (!b)
        timer_stop(&p->wheel, &c->ring_timer);
    else if (!timer_is_set(&c->ring_timer) || c->ring_timer.deadline_ms != patience_of(b))
        timer_set(&p->wheel, &c->ring_timer, patience_of(b));
}

/* How long a group rings while there is another to try. A non-INVITE cannot be cancelled (section 9.1). */
static void set_ring_timer(struct proxy_context *c)
{
    const struct proxy_target *next = first_waiting(c);
    struct proxy *p = c->req.proxy;

    if (!next || c->is_closed)
        timer_stop(&p->wheel, &c->ring_timer);
    else if (next->watch)
        set_patience(c, next->watch);
    else if (proxy_is_invite(c) && c->req.ring_ms > 0 && !timer_is_set(&c->ring_timer))
        timer_set(&p->wheel, &c->ring_timer, p->wheel.now_ms + c->req.ring_ms);
}

/* Section 16.5: "it SHOULD monitor that source for the duration of processing the request". While a group is tried
 * it has the whole breadth, so a look when it has ended is soon enough. */
static bool has_group_ended(const struct proxy_context *c)
{
    return !c->is_closed && !c->is_final_sent && !list_is_empty(&c->branches) && activity_of(c).branches == 0;
}

void proxy_context_advance(struct proxy_context *c)
{
    if (c->is_released)
        return;
    do {
        if (has_group_ended(c))
            proxy_targets_renew(c);
    } while (!c->is_closed && start_some(c));
    if (activity_of(c).branches > 0) {
        set_ring_timer(c);
        return;
    }
    timer_stop(&c->req.proxy->wheel, &c->ring_timer);
    if (c->is_final_sent)
        proxy_context_release(c);
    else
        proxy_response_send_best(c);
}

static void cancel_branches(struct proxy_context *c, const struct proxy_cancel *cancel)
{
    const struct proxy_branch_input in = {.cancel = cancel};
    bool is_late = c->is_final_sent && !proxy_is_invite(c);

    list_for_each(node, &c->branches)
    {
        struct proxy_branch *b = list_entry(node, struct proxy_branch, node);

        if (!proxy_branch_is_done(b))
            proxy_branch_happen(b, is_late ? PROXY_EVENT_DETACH : PROXY_EVENT_CANCEL, &in);
    }
}

void proxy_context_close(struct proxy_context *c, const struct proxy_cancel *cancel)
{
    c->is_closed = true;
    timer_stop(&c->req.proxy->wheel, &c->ring_timer);
    cancel_branches(c, cancel);
}

void proxy_context_cancel(struct proxy_context *c, struct slice reason)
{
    const struct proxy_cancel cancel = {reason, 487, "the caller cancelled (16.10)"};

    if (c->is_cancelled || c->is_final_sent || c->is_released)
        return;
    c->is_cancelled = true;
    proxy_context_close(c, &cancel);
    proxy_context_advance(c);
}

static void on_ring(struct timer_wheel *wheel, struct timer *timer)
{
    static const struct proxy_cancel cancel = {
        {"SIP;cause=408;text=\"Request Timeout\"", sizeof("SIP;cause=408;text=\"Request Timeout\"") - 1},
        408,
        "this group has rung for long enough (16.6)"};
    struct proxy_context *c = list_entry(timer, struct proxy_context, ring_timer);
    const struct proxy_target *next = c->is_closed ? NULL : first_waiting(c);
    struct proxy_branch *late = next && next->watch ? least_patient(c, next->watch) : NULL;

    (void)wheel;
    /* It may also be that an answer is to be sent which there was no memory for. */
    if (late)
        proxy_branch_give_up(late);
    else
        cancel_branches(c, &cancel);
    proxy_context_advance(c);
}

void proxy_ring_timer_init(struct proxy_context *c)
{
    timer_init(&c->ring_timer, on_ring);
}
