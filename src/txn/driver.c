#include "txn/driver.h"
#include "sip/build.h"
#include <assert.h>

static bool is_pending(const struct txn_state *state)
{
    return state->phase == TXN_PHASE_UNANSWERED || state->phase == TXN_PHASE_PROVISIONAL;
}

static bool is_terminated(const struct txn *t)
{
    return txn_state_of(t)->phase == TXN_PHASE_TERMINATED;
}

/* The outermost call */

void txn_destroy(struct txn *t)
{
    struct txn_layer *layer = t->layer;

    timer_stop(layer->opts.wheel, &t->timer);
    wire_unref(t->kept);
    if (txn_machine_of(t)->is_client) {
        pool_put(&layer->clients, txn_client_of(t));
    } else {
        txn_legacy_free(txn_server_of(t)->legacy);
        pool_put(&layer->servers, txn_server_of(t));
    }
}

static void tell_done(struct txn *t)
{
    const struct txn_layer_opts *opts = &t->layer->opts;

    if (!t->user)
        return;
    if (txn_machine_of(t)->is_client)
        opts->ops->client_done(opts->ctx, txn_client_of(t));
    else
        opts->ops->server_done(opts->ctx, txn_server_of(t));
}

static void enter(struct txn_layer *layer)
{
    layer->depth++;
}

static void leave(struct txn_layer *layer)
{
    /* client_done and server_done may end others, which then join the list. */
    while (layer->depth == 1 && layer->dead) {
        struct txn *t = map_entry(layer->dead, struct txn, node);

        layer->dead = t->node.next;
        tell_done(t);
        txn_destroy(t);
    }
    layer->depth--;
}

/* States and timers */

static ms_t timer_start(struct txn *t, uint8_t timer, ms_t *ret_deadline_ms)
{
    const struct txn_layer_opts *opts = &t->layer->opts;
    ms_t value_ms = txn_timer_value_ms((enum txn_timer)timer, &opts->times, txn_is_reliable(t));

    *ret_deadline_ms = value_ms == MS_NEVER ? MS_NEVER : opts->wheel->now_ms + value_ms;
    return value_ms;
}

/* A timer of zero is not run at once: the TU may still hold what it has just called. */
static void arm(struct txn *t)
{
    struct timer_wheel *wheel = t->layer->opts.wheel;
    ms_t next_ms = t->repeat_ms < t->end_ms ? t->repeat_ms : t->end_ms;

    if (t->failed)
        next_ms = wheel->now_ms;
    if (is_terminated(t) || next_ms == MS_NEVER)
        timer_stop(wheel, &t->timer);
    else if (!timer_is_set(&t->timer) || t->timer.deadline_ms != next_ms)
        timer_set(wheel, &t->timer, next_ms);
}

static void bury(struct txn *t)
{
    map_remove(&t->layer->map, &t->node);
    t->node.next = t->layer->dead;
    t->layer->dead = &t->node;
}

/* The one way into a state. A timer that the old state has too runs on. */
static void enter_state(struct txn *t, const struct txn_state *from, unsigned next)
{
    const struct txn_state *to = &txn_machine_of(t)->states[next];

    if (from == to)
        return;
    t->state = (uint8_t)next;
    if (from->repeat != to->repeat)
        t->interval_ms = (uint32_t)timer_start(t, to->repeat, &t->repeat_ms);
    if (from->end != to->end)
        (void)timer_start(t, to->end, &t->end_ms);
    if (!to->keeps) {
        wire_unref(t->kept);
        t->kept = NULL;
    }
    t->layer->pending += is_pending(to);
    t->layer->pending -= is_pending(from);
    if (to->phase == TXN_PHASE_TERMINATED)
        bury(t);
}

/* RFC 3261 sections 17.1.1.2 (Timer A has no cap), 17.1.2.2 (E) and 17.2.1 (G). */
static void restart_repeat(struct txn *t, unsigned effects)
{
    const struct txn_layer_opts *opts = &t->layer->opts;
    ms_t value_ms = (ms_t)t->interval_ms * 2;

    if ((effects & TXN_AT_T2) || ((effects & TXN_DOUBLE_TO_T2) && value_ms > opts->times.t2_ms))
        value_ms = opts->times.t2_ms;
    t->interval_ms = (uint32_t)value_ms;
    t->repeat_ms = opts->wheel->now_ms + value_ms;
}

static void commit(struct txn *t, const struct txn_cell *cell)
{
    enter_state(t, txn_state_of(t), cell->next);
    if (cell->effects & (TXN_DOUBLE | TXN_DOUBLE_TO_T2 | TXN_AT_T2))
        restart_repeat(t, cell->effects);
    arm(t);
}

/* Effects */

static void send_wire(struct txn *t, struct wire *wire, uint64_t token)
{
    const struct txn_layer_opts *opts = &t->layer->opts;

    /* The TU may answer, and so replace what is kept, from inside. */
    wire_ref(wire);
    opts->ops->send(opts->ctx, &t->hop, wire, token);
    wire_unref(wire);
}

static void send_again(struct txn *t, uint64_t token)
{
    counter_inc(t->layer->opts.counters, COUNTER_TX_RETRANSMITS);
    send_wire(t, t->kept, token);
}

static void do_keep(struct txn *t, const struct txn_input *in)
{
    struct wire *old = t->kept;

    t->kept = wire_ref(in->wire);
    wire_unref(old);
}

static void do_send(struct txn *t, const struct txn_input *in)
{
    send_wire(t, in->wire, t->node.hash);
}

static void do_repeat(struct txn *t, const struct txn_input *in)
{
    (void)in;
    /* An INVITE may come again before its TU has said anything. */
    if (t->kept)
        send_again(t, t->node.hash);
}

static int build_ack(struct txn *t, struct sip_msg *response, struct wire **ret_ack)
{
    /* What was sent passed the limits when it was received; it may have grown by what a proxy adds. */
    const struct sip_limits limits = {.message_bytes = UINT32_MAX,
                                      .start_line_bytes = UINT32_MAX,
                                      .header_bytes = UINT32_MAX,
                                      .headers = SIP_HEADERS_MAX,
                                      .values = UINT32_MAX};
    struct sip_error error;
    struct sip_msg invite;
    struct arena arena;
    int rc;

    arena_init(&arena, &t->layer->scratch);
    rc = sip_msg_parse(wire_slice(t->kept), true, &limits, &arena, &invite, &error);
    if (rc == 0)
        rc = sip_build_ack(&invite, response, ret_ack);
    arena_done(&arena);
    return rc;
}

static void do_ack(struct txn *t, const struct txn_input *in)
{
    struct wire *ack;

    if (t->has_ack) {
        send_again(t, 0);
        return;
    }
    /* Without memory the request stays, and the next retransmission of the response brings another try. */
    if (!t->kept || build_ack(t, in->response, &ack) < 0)
        return;
    wire_unref(t->kept);
    t->kept = ack;
    t->has_ack = true;
    send_wire(t, ack, 0);
}

static void do_tell_response(struct txn *t, const struct txn_input *in)
{
    const struct txn_layer_opts *opts = &t->layer->opts;

    if (t->user)
        opts->ops->client_response(opts->ctx, txn_client_of(t), in->response);
}

static void do_tell_timeout(struct txn *t, const struct txn_input *in)
{
    const struct txn_layer_opts *opts = &t->layer->opts;

    (void)in;
    counter_inc(opts->counters, COUNTER_TXN_TIMEOUTS);
    if (t->user)
        opts->ops->client_timeout(opts->ctx, txn_client_of(t));
}

static void do_tell_error(struct txn *t, const struct txn_input *in)
{
    const struct txn_layer_opts *opts = &t->layer->opts;

    (void)in;
    if (!t->user)
        return;
    if (txn_machine_of(t)->is_client)
        opts->ops->client_transport_error(opts->ctx, txn_client_of(t));
    else
        opts->ops->server_transport_error(opts->ctx, txn_server_of(t));
}

static void do_tell_no_ack(struct txn *t, const struct txn_input *in)
{
    const struct txn_layer_opts *opts = &t->layer->opts;

    (void)in;
    if (t->user)
        opts->ops->server_no_ack(opts->ctx, txn_server_of(t));
}

static void do_tell_due(struct txn *t, const struct txn_input *in)
{
    const struct txn_layer_opts *opts = &t->layer->opts;

    (void)in;
    if (t->user)
        opts->ops->server_trying_due(opts->ctx, txn_server_of(t));
}

/* In this order: what is sent goes out before the TU is told. */
static const struct carrier {
    unsigned effect;
    void (*carry_out)(struct txn *t, const struct txn_input *in);
} carriers[] = {
    {TXN_KEEP, do_keep},
    {TXN_SEND, do_send},
    {TXN_REPEAT, do_repeat},
    {TXN_ACK, do_ack},
    {TXN_TELL_RESPONSE, do_tell_response},
    {TXN_TELL_TIMEOUT, do_tell_timeout},
    {TXN_TELL_ERROR, do_tell_error},
    {TXN_TELL_NO_ACK, do_tell_no_ack},
    {TXN_TELL_DUE, do_tell_due},
};

static void run_cell(struct txn *t, const struct txn_cell *cell, const struct txn_input *in)
{
    unsigned left = cell->effects;

    commit(t, cell);
    for (size_t i = 0; left && i < sizeof(carriers) / sizeof(carriers[0]); i++) {
        if (left & carriers[i].effect)
            carriers[i].carry_out(t, in);
        left &= ~carriers[i].effect;
    }
}

/* Lets an event happen to t; returns the effects, of which GIVE_ACK and REFUSE are the caller's. t may be
 * gone then. */
unsigned txn_happen(struct txn *t, uint8_t event, const struct txn_input *in)
{
    const struct txn_machine *m = txn_machine_of(t);
    struct txn_layer *layer = t->layer;
    const struct txn_cell *cell;

    assert(event < m->n_events);
    cell = txn_machine_cell(m, t->state, event);
    assert(cell->kind != TXN_CELL_BUG);
    if (cell->kind == TXN_CELL_IGNORE)
        return 0;
    enter(layer);
    run_cell(t, cell, in);
    leave(layer);
    return cell->effects;
}

/* A request can fail until it is answered, its ACK only afterwards: a report at another time is about
 * something that does not matter any more. */
static void happen_failure(struct txn *t, enum txn_failure failure)
{
    t->failed = TXN_FAILED_NOTHING;
    arm(t);
    if (!txn_machine_of(t)->is_client || (failure == TXN_FAILED_ACK) == txn_is_final(t))
        txn_happen(t, txn_machine_of(t)->on_transport_error, &(struct txn_input){0});
}

static void on_timer(struct timer_wheel *wheel, struct timer *timer)
{
    struct txn *t = list_entry(timer, struct txn, timer);
    const struct txn_machine *m = txn_machine_of(t);
    const struct txn_state *state = txn_state_of(t);

    if (t->failed) {
        happen_failure(t, (enum txn_failure)t->failed);
    } else if (t->end_ms <= wheel->now_ms) {
        /* First, should both be due: what would be sent now is too late for an answer. */
        t->end_ms = MS_NEVER;
        txn_happen(t, m->on_timer[state->end], &(struct txn_input){0});
    } else {
        t->repeat_ms = MS_NEVER;
        txn_happen(t, m->on_timer[state->repeat], &(struct txn_input){0});
    }
}

void txn_fail(struct txn *t, enum txn_failure failure)
{
    if (t->layer->depth == 0) {
        happen_failure(t, failure);
        return;
    }
    /* The call that sent it has not returned: its caller must have its transaction in hand before it hears of
     * it. */
    t->failed = (uint8_t)failure;
    arm(t);
}

void txn_start(struct txn_layer *layer, struct txn *t, enum txn_kind kind, const struct txn_key *key,
               const struct txn_input *in)
{
    static const struct txn_state unborn = {.phase = TXN_PHASE_UNBORN};
    const struct txn_cell *entry;

    t->layer = layer;
    t->kind = (uint8_t)kind;
    t->check = key->check;
    t->repeat_ms = t->end_ms = MS_NEVER;
    timer_init(&t->timer, on_timer);
    map_insert(&layer->map, &t->node, key->hash);
    entry = &txn_machine_of(t)->entry;
    enter_state(t, &unborn, entry->next);
    enter(layer);
    run_cell(t, entry, in);
    leave(layer);
}
