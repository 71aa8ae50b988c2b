/* A server under overload on a virtual clock, its queue, and who calls: what proxy/pressure.h does to goodput.
 *
 * The server has one slice of 2 ms in 8, as in bench/overload, and each message costs it what one costs there;
 * a call is 52 us. A call is an INVITE, a 180 and a 200 when the callee has had that, ACK and BYE when the caller
 * has had the 200, and the 200 of the BYE. The queue holds so many packets and loses the others. What is not
 * answered comes again, T1 after it was sent, then 2*T1 and so on (RFC 3261 section 17.1.1.2). Neighbours that obey
 * do as RFC 7339 section 7.2 says.
 *
 * run_model() plays ten seconds of it. */
#ifndef TEST_PROXY_OVERLOAD_MODEL_H
#define TEST_PROXY_OVERLOAD_MODEL_H

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proxy/pressure.h"

#define SLICE_US  2000u
#define ROUND_US  8000u
#define CALL_US   52u
#define CAPACITY  (1e6 / CALL_US * SLICE_US / ROUND_US) /* calls a second */
#define PEER_US   3000u                                 /* until something comes back for what was sent */
#define T1_US     500000u
#define QUEUE_MAX 3600u
#define BATCH_MAX 64u
#define CALLS_MAX (1u << 18)
#define RUN_US    10000000u
#define MIX_US    5000000u
#define TIMERS    4

enum kind { INVITE, RINGING, OK, ACK, BYE, OK_OF_BYE, ACK_OF_503 };
static const unsigned cost_us[] = {16, 7, 8, 6, 9, 6, 1};
static const enum kind awaited[] = {INVITE, OK, BYE, OK_OF_BYE}; /* in each step of a call */

struct model_call {
    uint8_t step;
    bool is_refused, obeys;
};

struct model_msg {
    uint64_t at_us, seq; /* of the loss, which was said with what this answers */
    uint32_t call;
    uint8_t kind, loss;
};

/* Messages on their way take the same time, so they stay in order. */
struct line {
    struct model_msg *msgs;
    size_t head, count, cap;
};

/* What neighbours have heard, and what they count. */
struct obedience {
    unsigned loss, due, new_permille;
    uint64_t seq, until_us, counted_us;
    uint32_t n_new, n_others;
};

enum callers { PLAIN, OBEYING, BY_TURNS };

struct model {
    struct pressure pressure;
    enum callers callers;
    unsigned refusal_us;
    uint64_t now_us;
    double next_us, gap_us;
    struct model_call *calls;
    uint32_t n_calls, n_offered;
    struct line queue, peers, timers[TIMERS];
    struct obedience heard;
    uint64_t lost, lost_untold, completed, completed_of_obeying;
};

static void line_new(struct line *l, size_t cap)
{
    *l = (struct line){.msgs = malloc(cap * sizeof(*l->msgs)), .cap = cap};
    assert_non_null(l->msgs);
}

static bool line_put(struct line *l, struct model_msg m)
{
    if (l->count == l->cap)
        return false;
    l->msgs[(l->head + l->count++) % l->cap] = m;
    return true;
}

static struct model_msg line_take(struct line *l)
{
    struct model_msg m = l->msgs[l->head];

    l->head = (l->head + 1) % l->cap;
    l->count--;
    return m;
}

static bool is_due(const struct line *l, uint64_t now_us)
{
    return l->count > 0 && l->msgs[l->head].at_us <= now_us;
}

static void arrive(struct model *m, uint32_t call, enum kind kind, uint64_t at_us)
{
    if (!line_put(&m->queue, (struct model_msg){.at_us = at_us, .call = call, .kind = (uint8_t)kind})) {
        m->lost++;
        m->lost_untold++;
    }
}

/* Unless the call is further by then, what it waits for is sent again. */
static void await(struct model *m, uint32_t call, unsigned step, unsigned times, uint64_t at_us)
{
    struct model_msg again = {
        .at_us = at_us + ((uint64_t)T1_US << times), .call = call, .kind = (uint8_t)step};

    if (times < TIMERS)
        assert_true(line_put(&m->timers[times], again));
}

static void count(struct obedience *o, bool is_new, uint64_t now_us)
{
    o->n_new += is_new;
    o->n_others += !is_new;
    if (now_us - o->counted_us < MIX_US)
        return;
    o->new_permille = o->n_new * 1000 / (o->n_new + o->n_others) + 1;
    o->n_new = o->n_others = 0;
    o->counted_us = now_us;
}

static void expire(struct obedience *o, uint64_t now_us)
{
    if (o->until_us <= now_us)
        o->seq = o->loss = 0;
}

static bool is_withheld(struct obedience *o, uint64_t now_us)
{
    count(o, true, now_us);
    expire(o, now_us);
    o->due += o->loss * 1000000 / o->new_permille / 100;
    if (o->due < 1000)
        return false;
    o->due = o->due < 2000 ? o->due - 1000 : 1000;
    return true;
}

static void hear(struct obedience *o, const struct model_msg *msg)
{
    expire(o, msg->at_us);
    if (msg->seq <= o->seq)
        return;
    o->seq = msg->seq;
    o->loss = msg->loss;
    o->until_us = msg->loss > 0 ? msg->at_us + 1000000 : 0;
}

static void begin_call(struct model *m, uint64_t at_us)
{
    bool obeys = m->callers == OBEYING || (m->callers == BY_TURNS && m->n_offered % 2 == 0);

    m->n_offered++;
    if (obeys && is_withheld(&m->heard, at_us))
        return;
    assert_true(m->n_calls < CALLS_MAX);
    m->calls[m->n_calls] = (struct model_call){.obeys = obeys};
    arrive(m, m->n_calls, INVITE, at_us);
    await(m, m->n_calls++, 0, 0, at_us);
}

static void answer(struct model *m, const struct model_msg *msg)
{
    struct model_call *c = &m->calls[msg->call];

    if (c->obeys) {
        hear(&m->heard, msg);
        if (msg->kind == ACK || msg->kind == BYE)
            count(&m->heard, false, msg->at_us);
    }
    arrive(m, msg->call, msg->kind, msg->at_us);
    if (msg->kind == awaited[c->step])
        await(m, msg->call, c->step, 0, msg->at_us);
}

static void repeat(struct model *m, const struct model_msg *timer, unsigned times)
{
    const struct model_call *c = &m->calls[timer->call];

    if (c->step != timer->kind || c->is_refused)
        return;
    arrive(m, timer->call, awaited[c->step], timer->at_us);
    await(m, timer->call, c->step, times + 1, timer->at_us);
}

/* All that has come by now. */
static void let_arrive(struct model *m)
{
    for (; m->next_us <= (double)m->now_us; m->next_us += m->gap_us) {
        while (is_due(&m->peers, (uint64_t)m->next_us)) {
            struct model_msg msg = line_take(&m->peers);

            answer(m, &msg);
        }
        begin_call(m, (uint64_t)m->next_us);
    }
    for (unsigned i = 0; i < TIMERS; i++) {
        while (is_due(&m->timers[i], m->now_us)) {
            struct model_msg timer = line_take(&m->timers[i]);

            repeat(m, &timer, i);
        }
    }
}

static void spend(struct model *m, unsigned us)
{
    bool is_over = m->now_us % ROUND_US + us >= SLICE_US;

    m->now_us += us + (is_over ? ROUND_US - SLICE_US : 0);
}

static void reply(struct model *m, uint32_t call, enum kind kind)
{
    struct model_msg msg = {.at_us = m->now_us + PEER_US,
                            .seq = m->pressure.loss_ms + 1,
                            .call = call,
                            .kind = (uint8_t)kind,
                            .loss = (uint8_t)pressure_loss_percent(&m->pressure)};

    assert_true(line_put(&m->peers, msg));
}

static void handle_invite(struct model *m, uint32_t call)
{
    struct model_call *c = &m->calls[call];

    if (c->step == 0 && !c->is_refused)
        c->is_refused = pressure_refuses(&m->pressure, m->now_us / 1000, c->obeys);
    spend(m, c->is_refused ? m->refusal_us : cost_us[INVITE]);
    if (c->is_refused) {
        reply(m, call, ACK_OF_503);
    } else if (c->step == 0) {
        c->step = 1;
        reply(m, call, RINGING);
        reply(m, call, OK);
    }
}

static void handle(struct model *m, const struct model_msg *msg)
{
    struct model_call *c = &m->calls[msg->call];

    if (msg->kind == INVITE || msg->kind == ACK || msg->kind == BYE)
        pressure_count(&m->pressure);
    if (msg->kind == INVITE) {
        handle_invite(m, msg->call);
        return;
    }
    spend(m, cost_us[msg->kind]);
    if (msg->kind != awaited[c->step])
        return;
    if (msg->kind == OK) {
        c->step = 2;
        reply(m, msg->call, ACK);
        reply(m, msg->call, BYE);
    } else if (msg->kind == BYE) {
        c->step = 3;
        reply(m, msg->call, OK_OF_BYE);
    } else {
        c->step = 0; /* no timer of an INVITE is left to take it for one */
        c->is_refused = true;
        m->completed++;
        m->completed_of_obeying += c->obeys;
    }
}

/* What one call of the kernel brings; the last of it has waited for the shortest time. */
static void turn(struct model *m)
{
    struct model_msg batch[BATCH_MAX];
    size_t n = 0;

    let_arrive(m);
    while (n < BATCH_MAX && m->queue.count > 0)
        batch[n++] = line_take(&m->queue);
    if (n == 0)
        spend(m, 10);
    else
        (void)pressure_note(&m->pressure, m->now_us / 1000, 0, (uint32_t)(m->now_us - batch[n - 1].at_us),
                            m->lost_untold);
    m->lost_untold = 0;
    (void)pressure_tick(&m->pressure, m->now_us / 1000);
    for (size_t i = 0; i < n; i++) {
        handle(m, &batch[i]);
        let_arrive(m);
    }
}

/* A part of the capacity each. */
struct outcome {
    double soon;    /* completed from 2 to 4.5 s after the load began */
    double later;   /* from 8 to 10 s */
    double obeying; /* all the time, of neighbours that obey */
    uint64_t lost;
};

static double run_until(struct model *m, uint64_t end_us)
{
    uint64_t began_us = m->now_us, before = m->completed;

    while (m->now_us < end_us)
        turn(m);
    return (double)(m->completed - before) * 1e6 / (double)(m->now_us - began_us) / CAPACITY;
}

/* load: calls offered, as a part of the capacity. */
static struct outcome run_model(double load, enum callers callers, unsigned refusal_us, bool is_off)
{
    const struct pressure_opts defaults = {.is_off = is_off, .target_us = 50000, .interval_ms = 250};
    struct model m = {.callers = callers,
                      .refusal_us = refusal_us,
                      .gap_us = 1e6 / (load * CAPACITY),
                      .heard = {.new_permille = 800}};
    struct outcome o;

    m.calls = malloc(CALLS_MAX * sizeof(*m.calls));
    assert_non_null(m.calls);
    line_new(&m.queue, QUEUE_MAX);
    line_new(&m.peers, CALLS_MAX);
    for (unsigned i = 0; i < TIMERS; i++)
        line_new(&m.timers[i], CALLS_MAX);
    pressure_init(&m.pressure, &defaults, 0);
    (void)run_until(&m, 2000000);
    o.soon = run_until(&m, 4500000);
    (void)run_until(&m, 8000000);
    o.later = run_until(&m, RUN_US);
    o.obeying = (double)m.completed_of_obeying / (CAPACITY * RUN_US / 1e6);
    o.lost = m.lost;
    free(m.calls);
    free(m.queue.msgs);
    free(m.peers.msgs);
    for (unsigned i = 0; i < TIMERS; i++)
        free(m.timers[i].msgs);
    print_message("load %.1f, refusals of %u us: %.3f soon, %.3f later, %.3f of who obeys, %" PRIu64
                  " lost\n",
                  load, refusal_us, o.soon, o.later, o.obeying, o.lost);
    return o;
}

#endif
