#include "txn/txn.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/pool.h"
#include "sip/build.h"
#include "txn/machine.h"
#include "txn/match.h"
#include <assert.h>

#define BUCKETS_HINT   1024
#define SCRATCH_BYTES  (1024 * 1024)
#define TIMER_D_MIN_MS 32000 /* RFC 6026 section 8.4 */
#define T_MAX_MS       (3600 * 1000)
#define ENDED_PAIR_MAX 400 /* octets of both sides of a transaction that waits out its timers */
#define ENDED_ONE_MAX  200

const struct txn_times txn_times_default = {.t1_ms = 500, .t2_ms = 4000, .t4_ms = 5000, .timer_d_ms = 32000};

enum failure { FAILED_NOTHING, FAILED_MESSAGE, FAILED_ACK };

/* What client and server have in common. One struct timer serves the two that may run at a time: it is set to
 * the earlier of repeat_ms and end_ms. */
struct txn {
    struct map_node node; /* its hash is the token too; in the list of the dead once it is Terminated */
    uint64_t check;
    struct timer timer;
    struct txn_layer *layer;
    struct wire *kept; /* request, ACK or last response */
    void *user;        /* NULL: detached */
    struct sip_hop hop;
    ms_t repeat_ms, end_ms; /* MS_NEVER: not running */
    uint32_t interval_ms;   /* what the retransmission timer was last set to */
    uint32_t method_hash;   /* of a method not known by name */
    uint8_t kind, state, method;
    uint8_t failed; /* enum failure that waits until it can be told */
    bool has_ack;   /* what is kept is the ACK */
};

struct txn_client {
    struct txn base;
};

struct txn_server {
    struct txn base;
    struct txn_legacy *legacy; /* of an RFC 2543 client only */
};

_Static_assert(sizeof(struct txn_client) <= ENDED_ONE_MAX, "a client transaction that lingers must be small");
_Static_assert(sizeof(struct txn_server) <= ENDED_ONE_MAX, "a server transaction that lingers must be small");
_Static_assert(sizeof(struct txn_client) + sizeof(struct txn_server) <= ENDED_PAIR_MAX, "both together too");

struct txn_layer {
    struct txn_layer_opts opts;
    struct map map; /* clients and servers: their hashes differ */
    struct pool clients, servers;
    struct arena_pool scratch;
    struct map_node *dead; /* Terminated during the outermost call, freed at its end */
    size_t pending;
    unsigned depth; /* calls into the layer that are on the stack */
};

/* What came with an event. */
struct input {
    struct sip_msg *response; /* from the network */
    struct wire *wire;        /* from the TU */
};

static const struct txn_machine *machine_of(const struct txn *t)
{
    return txn_machine((enum txn_kind)t->kind);
}

static const struct txn_state *state_of(const struct txn *t)
{
    return &machine_of(t)->states[t->state];
}

static bool is_pending(const struct txn_state *state)
{
    return state->phase == TXN_PHASE_UNANSWERED || state->phase == TXN_PHASE_PROVISIONAL;
}

static bool is_final(const struct txn *t)
{
    return state_of(t)->phase >= TXN_PHASE_FINAL;
}

static bool is_terminated(const struct txn *t)
{
    return state_of(t)->phase == TXN_PHASE_TERMINATED;
}

static bool is_reliable(const struct txn *t)
{
    return sip_transport_is_reliable((enum sip_transport)t->hop.transport);
}

static struct txn_client *client_of(struct txn *t)
{
    return list_entry(t, struct txn_client, base);
}

static struct txn_server *server_of(struct txn *t)
{
    return list_entry(t, struct txn_server, base);
}

static size_t in_use(const struct txn_layer *layer)
{
    return layer->clients.in_use + layer->servers.in_use;
}

/* The outermost call */

static void destroy(struct txn *t)
{
    struct txn_layer *layer = t->layer;

    timer_stop(layer->opts.wheel, &t->timer);
    wire_unref(t->kept);
    if (machine_of(t)->is_client) {
        pool_put(&layer->clients, client_of(t));
    } else {
        txn_legacy_free(server_of(t)->legacy);
        pool_put(&layer->servers, server_of(t));
    }
}

static void tell_done(struct txn *t)
{
    const struct txn_layer_opts *opts = &t->layer->opts;

    if (!t->user)
        return;
    if (machine_of(t)->is_client)
        opts->ops->client_done(opts->ctx, client_of(t));
    else
        opts->ops->server_done(opts->ctx, server_of(t));
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
        destroy(t);
    }
    layer->depth--;
}

/* States and timers */

static ms_t timer_start(struct txn *t, uint8_t timer, ms_t *ret_deadline_ms)
{
    const struct txn_layer_opts *opts = &t->layer->opts;
    ms_t value_ms = txn_timer_value_ms((enum txn_timer)timer, &opts->times, is_reliable(t));

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
    const struct txn_state *to = &machine_of(t)->states[next];

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
    enter_state(t, state_of(t), cell->next);
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

static void do_keep(struct txn *t, const struct input *in)
{
    struct wire *old = t->kept;

    t->kept = wire_ref(in->wire);
    wire_unref(old);
}

static void do_send(struct txn *t, const struct input *in)
{
    send_wire(t, in->wire, t->node.hash);
}

static void do_repeat(struct txn *t, const struct input *in)
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

static void do_ack(struct txn *t, const struct input *in)
{
    struct wire *ack;

    if (t->has_ack) {
        send_again(t, 0);
        return;
    }
    /* Without memory the request stays, and the next retransmission of the response brings another try. */
    if (build_ack(t, in->response, &ack) < 0)
        return;
    wire_unref(t->kept);
    t->kept = ack;
    t->has_ack = true;
    send_wire(t, ack, 0);
}

static void do_tell_response(struct txn *t, const struct input *in)
{
    const struct txn_layer_opts *opts = &t->layer->opts;

    if (t->user)
        opts->ops->client_response(opts->ctx, client_of(t), in->response);
}

static void do_tell_timeout(struct txn *t, const struct input *in)
{
    const struct txn_layer_opts *opts = &t->layer->opts;

    (void)in;
    counter_inc(opts->counters, COUNTER_TXN_TIMEOUTS);
    if (t->user)
        opts->ops->client_timeout(opts->ctx, client_of(t));
}

static void do_tell_error(struct txn *t, const struct input *in)
{
    const struct txn_layer_opts *opts = &t->layer->opts;

    (void)in;
    if (!t->user)
        return;
    if (machine_of(t)->is_client)
        opts->ops->client_transport_error(opts->ctx, client_of(t));
    else
        opts->ops->server_transport_error(opts->ctx, server_of(t));
}

static void do_tell_no_ack(struct txn *t, const struct input *in)
{
    const struct txn_layer_opts *opts = &t->layer->opts;

    (void)in;
    if (t->user)
        opts->ops->server_no_ack(opts->ctx, server_of(t));
}

static void do_tell_due(struct txn *t, const struct input *in)
{
    const struct txn_layer_opts *opts = &t->layer->opts;

    (void)in;
    if (t->user)
        opts->ops->server_trying_due(opts->ctx, server_of(t));
}

/* In this order: what is sent goes out before the TU is told. */
static const struct carrier {
    unsigned effect;
    void (*carry_out)(struct txn *t, const struct input *in);
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

static void run_cell(struct txn *t, const struct txn_cell *cell, const struct input *in)
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
static unsigned happen(struct txn *t, uint8_t event, const struct input *in)
{
    const struct txn_cell *cell = txn_machine_cell(machine_of(t), t->state, event);
    struct txn_layer *layer = t->layer;

    assert(event != TXN_EVENT_NONE && cell->kind != TXN_CELL_BUG);
    if (cell->kind == TXN_CELL_IGNORE)
        return 0;
    enter(layer);
    run_cell(t, cell, in);
    leave(layer);
    return cell->effects;
}

/* A request can fail until it is answered, its ACK only afterwards: a report at another time is about
 * something that does not matter any more. */
static void happen_failure(struct txn *t, enum failure failure)
{
    t->failed = FAILED_NOTHING;
    arm(t);
    if (!machine_of(t)->is_client || (failure == FAILED_ACK) == is_final(t))
        happen(t, machine_of(t)->on_transport_error, &(struct input){0});
}

static void on_timer(struct timer_wheel *wheel, struct timer *timer)
{
    struct txn *t = list_entry(timer, struct txn, timer);
    const struct txn_machine *m = machine_of(t);
    const struct txn_state *state = state_of(t);

    if (t->failed) {
        happen_failure(t, (enum failure)t->failed);
    } else if (t->end_ms <= wheel->now_ms) {
        /* First, should both be due: what would be sent now is too late for an answer. */
        t->end_ms = MS_NEVER;
        happen(t, m->on_timer[state->end], &(struct input){0});
    } else {
        t->repeat_ms = MS_NEVER;
        happen(t, m->on_timer[state->repeat], &(struct input){0});
    }
}

static void fail(struct txn *t, enum failure failure)
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

/* The layer */

static bool are_times_sane(const struct txn_times *times)
{
    return times->t1_ms > 0 && times->t1_ms <= T_MAX_MS && times->t2_ms > 0 && times->t2_ms <= T_MAX_MS &&
           times->t4_ms > 0 && times->t4_ms <= T_MAX_MS && times->timer_d_ms >= TIMER_D_MIN_MS &&
           times->timer_d_ms <= T_MAX_MS;
}

static bool are_ops_complete(const struct txn_ops *ops)
{
    return ops->send && ops->client_response && ops->client_timeout && ops->client_transport_error &&
           ops->client_done && ops->server_trying_due && ops->server_no_ack && ops->server_transport_error &&
           ops->server_done;
}

int txn_layer_new(const struct txn_layer_opts *opts, struct txn_layer **ret_layer)
{
    struct txn_layer *layer;
    int rc;

    assert(opts->wheel && opts->counters && opts->ops && are_ops_complete(opts->ops));
    if (!are_times_sane(&opts->times))
        return ERR_RANGE;
    layer = mem_zalloc(sizeof(*layer));
    if (!layer)
        return ERR_NOMEM;
    layer->opts = *opts;
    rc = map_init(&layer->map, BUCKETS_HINT);
    if (rc < 0) {
        mem_free(layer);
        return rc;
    }
    pool_init(&layer->clients, sizeof(struct txn_client), opts->max_transactions);
    pool_init(&layer->servers, sizeof(struct txn_server), opts->max_transactions);
    arena_pool_init(&layer->scratch, SCRATCH_BYTES);
    *ret_layer = layer;
    return 0;
}

static void end_at_once(struct map_node *node, void *ctx)
{
    struct txn_layer *layer = ctx;

    map_remove(&layer->map, node);
    destroy(map_entry(node, struct txn, node));
}

void txn_layer_free(struct txn_layer *layer)
{
    if (!layer)
        return;
    assert(layer->depth == 0);
    map_each(&layer->map, end_at_once, layer);
    map_done(&layer->map);
    pool_done(&layer->clients);
    pool_done(&layer->servers);
    arena_pool_done(&layer->scratch);
    mem_free(layer);
}

size_t txn_layer_count(const struct txn_layer *layer)
{
    return in_use(layer);
}

size_t txn_layer_count_pending(const struct txn_layer *layer)
{
    return layer->pending;
}

static uint32_t method_hash_of(const struct txn_layer *layer, enum sip_method method, struct slice name)
{
    return method == SIP_METHOD_OTHER ? (uint32_t)hash_siphash64(&layer->opts.hash_key, name) : 0;
}

/* What both kinds need on creation: the start of their machine. */
static void start(struct txn_layer *layer, struct txn *t, enum txn_kind kind, const struct txn_key *key)
{
    static const struct txn_state unborn = {.phase = TXN_PHASE_UNBORN};

    t->layer = layer;
    t->kind = (uint8_t)kind;
    t->check = key->check;
    t->repeat_ms = t->end_ms = MS_NEVER;
    timer_init(&t->timer, on_timer);
    map_insert(&layer->map, &t->node, key->hash);
    enter_state(t, &unborn, machine_of(t)->entry.next);
    arm(t);
}

/* Clients */

static struct txn *find_client(const struct txn_layer *layer, const struct txn_key *key)
{
    for (struct map_node *n = map_first(&layer->map, key->hash); n; n = map_next(n)) {
        struct txn *t = map_entry(n, struct txn, node);

        if (t->check == key->check)
            return t;
    }
    return NULL;
}

int txn_client_new(struct txn_layer *layer, enum sip_method method, struct slice method_name,
                   struct slice branch, struct wire *request, const struct sip_hop *hop, void *user,
                   struct txn_client **ret_client)
{
    enum txn_kind kind = method == SIP_METHOD_INVITE ? TXN_CLIENT_INVITE : TXN_CLIENT_NON_INVITE;
    const struct input in = {.wire = request};
    struct txn_client *client;
    struct txn_key key;

    /* "There is no client transaction for ACK" (section 17.1). */
    assert(method != SIP_METHOD_ACK);
    if (method != SIP_METHOD_OTHER)
        method_name = sip_method_name(method);
    key = txn_key_client(&layer->opts.hash_key, branch, method_name);
    if (find_client(layer, &key))
        return ERR_EXISTS;
    client = in_use(layer) < layer->opts.max_transactions ? pool_get(&layer->clients) : NULL;
    if (!client)
        return ERR_NOMEM;
    client->base.method = (uint8_t)method;
    client->base.method_hash = method_hash_of(layer, method, method_name);
    client->base.hop = *hop;
    client->base.user = user;
    counter_inc(layer->opts.counters, COUNTER_TXN_CLIENT_CREATED);
    start(layer, &client->base, kind, &key);
    *ret_client = client;
    enter(layer);
    run_cell(&client->base, &machine_of(&client->base)->entry, &in);
    leave(layer);
    return 0;
}

void txn_client_set_user(struct txn_client *t, void *user)
{
    t->base.user = user;
}

void *txn_client_user(const struct txn_client *t)
{
    return t->base.user;
}

const struct sip_hop *txn_client_hop(const struct txn_client *t)
{
    return &t->base.hop;
}

struct wire *txn_client_request(const struct txn_client *t)
{
    return is_final(&t->base) ? NULL : t->base.kept;
}

bool txn_client_is_proceeding(const struct txn_client *t)
{
    return state_of(&t->base)->phase == TXN_PHASE_PROVISIONAL;
}

bool txn_client_has_final(const struct txn_client *t)
{
    return is_final(&t->base);
}

const char *txn_client_state_name(const struct txn_client *t)
{
    return state_of(&t->base)->name;
}

void txn_client_abandon(struct txn_layer *layer, struct txn_client *t)
{
    assert(t->base.layer == layer);
    (void)layer;
    happen(&t->base, machine_of(&t->base)->on_abandon, &(struct input){0});
}

enum txn_match txn_receive_response(struct txn_layer *layer, struct sip_msg *response)
{
    const struct input in = {.response = response};
    const struct sip_cseq *cseq;
    const struct sip_via *via;
    struct txn_key key;
    struct txn *t;
    uint8_t event;

    if (sip_msg_top_via(response, &via) < 0 || sip_msg_cseq(response, &cseq) < 0)
        return TXN_MATCH_NONE;
    key = txn_key_client(&layer->opts.hash_key, via->branch, cseq->method_name);
    t = find_client(layer, &key);
    if (!t)
        return TXN_MATCH_NONE;
    event = txn_machine_status_event(machine_of(t), response->status);
    if (event != TXN_EVENT_NONE)
        happen(t, event, &in);
    return TXN_MATCH_ABSORBED;
}

/* Servers */

static bool is_server_for(const struct txn_layer *layer, struct txn *t, const struct txn_key *key,
                          struct sip_msg *request)
{
    return t->check == key->check &&
           (!txn_key_is_legacy(key->hash) ||
            txn_legacy_matches(server_of(t)->legacy, &layer->opts.hash_key, request));
}

/* The transaction with this method; any method but CANCEL when it is CANCEL that asks (section 9.2). */
static struct txn *find_server(const struct txn_layer *layer, const struct txn_key *key,
                               struct sip_msg *request, bool any_method)
{
    enum sip_method method = request->method == SIP_METHOD_ACK ? SIP_METHOD_INVITE : request->method;
    uint32_t method_hash = method_hash_of(layer, method, request->method_name);

    for (struct map_node *n = map_first(&layer->map, key->hash); n; n = map_next(n)) {
        struct txn *t = map_entry(n, struct txn, node);

        if ((any_method || (t->method == method && t->method_hash == method_hash)) &&
            is_server_for(layer, t, key, request))
            return t;
    }
    return NULL;
}

enum txn_match txn_receive_request(struct txn_layer *layer, struct sip_msg *request)
{
    bool is_ack = request->method == SIP_METHOD_ACK;
    struct txn_key key;
    unsigned effects;
    struct txn *t;

    if (txn_key_server(&layer->opts.hash_key, request, request->method == SIP_METHOD_CANCEL, &key) < 0)
        return TXN_MATCH_NONE;
    t = find_server(layer, &key, request, false);
    if (!t)
        return TXN_MATCH_NONE;
    effects = happen(t, is_ack ? machine_of(t)->on_ack : machine_of(t)->on_request, &(struct input){0});
    return effects & TXN_GIVE_ACK ? TXN_MATCH_ACCEPTED : TXN_MATCH_ABSORBED;
}

struct txn_server *txn_server_find_cancelled(struct txn_layer *layer, struct sip_msg *cancel)
{
    struct txn_key key;
    struct txn *t;

    if (txn_key_server(&layer->opts.hash_key, cancel, false, &key) < 0)
        return NULL;
    t = find_server(layer, &key, cancel, true);
    return t ? server_of(t) : NULL;
}

int txn_server_new(struct txn_layer *layer, struct sip_msg *request, const struct sip_hop *reply_hop,
                   void *user, struct txn_server **ret_server)
{
    enum txn_kind kind = request->method == SIP_METHOD_INVITE ? TXN_SERVER_INVITE : TXN_SERVER_NON_INVITE;
    struct txn_legacy *legacy = NULL;
    struct txn_server *server;
    struct txn_key key;
    int rc;

    assert(request->method != SIP_METHOD_ACK);
    rc = txn_key_server(&layer->opts.hash_key, request, request->method == SIP_METHOD_CANCEL, &key);
    if (rc < 0)
        return rc;
    if (find_server(layer, &key, request, false))
        return ERR_EXISTS;
    if (in_use(layer) >= layer->opts.max_transactions)
        return ERR_NOMEM;
    if (txn_key_is_legacy(key.hash)) {
        rc = txn_legacy_new(&layer->opts.hash_key, request, &legacy);
        if (rc < 0)
            return rc;
    }
    server = pool_get(&layer->servers);
    if (!server) {
        txn_legacy_free(legacy);
        return ERR_NOMEM;
    }
    server->legacy = legacy;
    server->base.method = (uint8_t)request->method;
    server->base.method_hash = method_hash_of(layer, request->method, request->method_name);
    server->base.hop = *reply_hop;
    server->base.user = user;
    counter_inc(layer->opts.counters, COUNTER_TXN_SERVER_CREATED);
    start(layer, &server->base, kind, &key);
    *ret_server = server;
    return 0;
}

/* RFC 4320 section 4.1: until Timer E of the client has reached T2, a 100 over UDP does harm. */
static bool is_early_100(const struct txn *t, unsigned status)
{
    return status == 100 && state_of(t)->repeat == TXN_TIMER_TRYING && t->repeat_ms != MS_NEVER &&
           !is_reliable(t);
}

int txn_server_respond(struct txn_layer *layer, struct txn_server *t, unsigned status, struct slice to_tag,
                       struct wire *wire)
{
    const struct txn_machine *m = machine_of(&t->base);
    uint8_t event = is_early_100(&t->base, status) ? m->on_early_100 : txn_machine_status_event(m, status);
    const struct input in = {.wire = wire};

    assert(t->base.layer == layer && event != TXN_EVENT_NONE);
    if (txn_machine_cell(m, t->base.state, event)->effects & TXN_REFUSE)
        return ERR_DENIED;
    if (t->legacy)
        txn_legacy_set_sent_tag(t->legacy, &layer->opts.hash_key, to_tag);
    happen(&t->base, event, &in);
    return 0;
}

void txn_server_abandon(struct txn_layer *layer, struct txn_server *t)
{
    assert(t->base.layer == layer);
    (void)layer;
    happen(&t->base, machine_of(&t->base)->on_abandon, &(struct input){0});
}

void txn_server_set_user(struct txn_server *t, void *user)
{
    t->base.user = user;
}

void *txn_server_user(const struct txn_server *t)
{
    return t->base.user;
}

const struct sip_hop *txn_server_hop(const struct txn_server *t)
{
    return &t->base.hop;
}

void txn_server_set_hop(struct txn_server *t, const struct sip_hop *hop)
{
    t->base.hop = *hop;
}

enum sip_method txn_server_method(const struct txn_server *t)
{
    return (enum sip_method)t->base.method;
}

bool txn_server_has_final(const struct txn_server *t)
{
    return is_final(&t->base);
}

const char *txn_server_state_name(const struct txn_server *t)
{
    return state_of(&t->base)->name;
}

/* Transport errors */

void txn_send_failed(struct txn_layer *layer, uint64_t token)
{
    struct map_node *n = map_first(&layer->map, token);

    if (n)
        fail(map_entry(n, struct txn, node), FAILED_MESSAGE);
}

void txn_branch_failed(struct txn_layer *layer, struct slice branch, struct slice method_name)
{
    bool of_ack = slice_eq(method_name, SLICE("ACK"));
    struct txn_key key =
        txn_key_client(&layer->opts.hash_key, branch, of_ack ? SLICE("INVITE") : method_name);
    struct txn *t = find_client(layer, &key);

    if (t)
        fail(t, of_ack ? FAILED_ACK : FAILED_MESSAGE);
}
