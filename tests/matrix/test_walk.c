/* Random walks: clients and servers talk over a network that loses, doubles, delays and reorders, users
 * answer, give up, detach and call back at random, sends fail, memory runs out; and after every step the
 * invariants hold:
 *
 *   - a client transaction gives its user exactly one of: a final response, a timeout, a transport error; but
 * every further 2xx to an INVITE too, and the failure of an ACK;
 *   - `done` comes last, once, and nothing is sent for a transaction after it;
 *   - the layer's count of unanswered transactions is right;
 *   - in the end there is no transaction, no timer and no memory left.
 *
 * The seed of a failing walk is printed; MATRIX_SEED=n runs that one alone. */
#include "base/mem.h"
#include "sip/msg.h"
#include "txn/txn.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define CALLS      24
#define FLIGHTS    512
#define STEPS      100000
#define SEEDS      4
#define START_MS   1000
#define LONGEST_MS 40000 /* Timer F and K */
#define NO_FAILURE (-1)

enum side { SIDE_CLIENT, SIDE_SERVER };

struct call {
    struct txn_client *client;
    struct txn_server *server;
    unsigned generation; /* counts up with each use of the slot, so late messages are told from new ones */
    const char *method;
    enum sip_transport transport;
    char via[96];
    struct slice branch;
    uint64_t client_token, server_token;
    /* What the client's user has been told. */
    unsigned finals, timeouts, errors, ack_errors;
    bool first_is_2xx, beginning, abandoned, ack_failed;
    ms_t detached_until_ms; /* 0: not detached */
};

struct flight {
    struct wire *wire; /* NULL: free */
    enum side to;
    unsigned call, generation;
    ms_t arrives_ms;
};

struct walk;

struct end {
    struct walk *w;
    enum side side;
    struct txn_layer *layer;
};

struct walk {
    uint64_t random;
    unsigned loss_percent, step, depth;
    bool fails_memory;
    struct timer_wheel wheel;
    struct counters counters;
    struct end ends[2];
    struct call calls[CALLS];
    struct flight flights[FLIGHTS];
    struct arena_pool pool;
    struct arena arena;
    unsigned long done_clients, done_servers, timeouts, finals, errors, refused, no_memory;
    const char *broken; /* the first invariant that did not hold */
};

#define HOLDS(w, condition)                                                                                  \
    do {                                                                                                     \
        if (!(condition) && !(w)->broken)                                                                    \
            (w)->broken = #condition;                                                                        \
    } while (0)

/* xorshift64*, by Vigna. */
static unsigned chance(struct walk *w, unsigned below)
{
    w->random ^= w->random >> 12;
    w->random ^= w->random << 25;
    w->random ^= w->random >> 27;
    return (unsigned)((w->random * UINT64_C(2685821657736338717)) >> 33) % below;
}

static bool percent(struct walk *w, unsigned p)
{
    return chance(w, 100) < p;
}

static void maybe_fail_memory(struct walk *w)
{
    if (w->fails_memory && percent(w, 25))
        mem_fail_after((int64_t)chance(w, 3));
}

static bool is_invite(const struct call *c)
{
    return strcmp(c->method, "INVITE") == 0;
}

/* The network */

static bool is_detached(const struct walk *w, const struct call *c)
{
    return c->detached_until_ms > w->wheel.now_ms;
}

static void take_off(struct walk *w, enum side to, unsigned call, struct wire *wire)
{
    for (unsigned i = 0; i < FLIGHTS; i++) {
        struct flight *f = &w->flights[i];

        if (f->wire)
            continue;
        f->wire = wire_ref(wire);
        f->to = to;
        f->call = call;
        f->generation = w->calls[call].generation;
        f->arrives_ms = w->wheel.now_ms + (percent(w, 70) ? chance(w, 50) : chance(w, 3000));
        return;
    }
    /* A full sky loses it. */
}

static void on_send(void *ctx, const struct sip_hop *hop, struct wire *wire, uint64_t token)
{
    struct end *from = ctx;
    struct walk *w = from->w;
    unsigned call = hop->listener;
    struct call *c = &w->calls[call];
    bool reliable = sip_transport_is_reliable((enum sip_transport)hop->transport);

    HOLDS(w, hop->flow == c->generation);
    if (from->side == SIDE_SERVER) {
        HOLDS(w, c->server);
    } else {
        HOLDS(w, c->client || c->beginning || is_detached(w, c));
        HOLDS(w, c->timeouts + c->errors + c->ack_errors == 0 && !c->abandoned);
    }
    HOLDS(w,
          (token == 0) == (from->side == SIDE_CLIENT && slice_starts_with(wire_slice(wire), SLICE("ACK "))));
    if (from->side == SIDE_SERVER)
        c->server_token = token;
    else if (token)
        c->client_token = token;
    if (reliable || !percent(w, w->loss_percent))
        take_off(w, from->side == SIDE_CLIENT ? SIDE_SERVER : SIDE_CLIENT, call, wire);
    if (!reliable && percent(w, 10))
        take_off(w, from->side == SIDE_CLIENT ? SIDE_SERVER : SIDE_CLIENT, call, wire);
    if (percent(w, 1) && token)
        txn_send_failed(from->layer, token);
}

/* The users */

static void respond(struct walk *w, struct call *c, unsigned status);
static void abandon_client(struct walk *w, struct call *c);

static const unsigned statuses[] = {100, 100, 180, 183, 200, 200, 202, 302, 404, 408, 486, 487, 603};

static void call_back(struct walk *w)
{
    struct call *other = &w->calls[chance(w, CALLS)];

    if (w->depth > 3 || !percent(w, 10))
        return;
    w->depth++;
    if (other->server && percent(w, 80))
        respond(w, other, statuses[chance(w, sizeof(statuses) / sizeof(statuses[0]))]);
    else
        abandon_client(w, other);
    w->depth--;
}

static struct call *call_of(struct end *e, void *user)
{
    struct call *c = user;

    HOLDS(e->w, c >= e->w->calls && c < e->w->calls + CALLS);
    return c;
}

static unsigned outcomes(const struct call *c)
{
    return (c->finals > 0) + c->timeouts + c->errors;
}

static void on_client_response(void *ctx, struct txn_client *t, struct sip_msg *response)
{
    struct end *e = ctx;
    struct call *c = call_of(e, txn_client_user(t));

    HOLDS(e->w, c->timeouts == 0 && c->errors == 0);
    if (response->status < 200) {
        HOLDS(e->w, c->finals == 0);
    } else {
        bool is_2xx = response->status < 300;

        HOLDS(e->w, c->finals == 0 || (is_invite(c) && c->first_is_2xx && is_2xx));
        if (c->finals++ == 0)
            c->first_is_2xx = is_2xx;
        HOLDS(e->w, txn_client_has_final(t));
    }
    call_back(e->w);
}

static void on_client_timeout(void *ctx, struct txn_client *t)
{
    struct end *e = ctx;
    struct call *c = call_of(e, txn_client_user(t));

    HOLDS(e->w, outcomes(c) == 0);
    c->timeouts++;
    call_back(e->w);
}

static void on_client_transport_error(void *ctx, struct txn_client *t)
{
    struct end *e = ctx;
    struct call *c = call_of(e, txn_client_user(t));

    if (c->finals > 0) {
        HOLDS(e->w, is_invite(c) && !c->first_is_2xx && c->ack_failed && c->ack_errors == 0);
        c->ack_errors++;
    } else {
        HOLDS(e->w, outcomes(c) == 0);
        c->errors++;
    }
    call_back(e->w);
}

static void forget_client(struct walk *w, struct call *c)
{
    w->done_clients++;
    w->finals += c->finals > 0;
    w->timeouts += c->timeouts;
    w->errors += c->errors;
    c->client = NULL;
}

static void on_client_done(void *ctx, struct txn_client *t)
{
    struct end *e = ctx;
    struct call *c = call_of(e, txn_client_user(t));

    HOLDS(e->w, c->client == t && c->detached_until_ms == 0);
    HOLDS(e->w, outcomes(c) == (c->abandoned ? 0 : 1));
    forget_client(e->w, c);
    call_back(e->w);
}

static void on_server_trying_due(void *ctx, struct txn_server *t)
{
    struct end *e = ctx;
    struct call *c = call_of(e, txn_server_user(t));

    HOLDS(e->w, c->server == t && !is_invite(c) && !txn_server_has_final(t));
    if (percent(e->w, 90))
        respond(e->w, c, 100);
}

static void on_server_no_ack(void *ctx, struct txn_server *t)
{
    struct end *e = ctx;
    struct call *c = call_of(e, txn_server_user(t));

    HOLDS(e->w, c->server == t && is_invite(c) && txn_server_has_final(t));
    call_back(e->w);
}

static void on_server_transport_error(void *ctx, struct txn_server *t)
{
    struct end *e = ctx;
    struct call *c = call_of(e, txn_server_user(t));

    HOLDS(e->w, c->server == t);
    call_back(e->w);
}

static void on_server_done(void *ctx, struct txn_server *t)
{
    struct end *e = ctx;
    struct call *c = call_of(e, txn_server_user(t));

    HOLDS(e->w, c->server == t);
    c->server = NULL;
    e->w->done_servers++;
    call_back(e->w);
}

static const struct txn_ops ops = {
    .send = on_send,
    .client_response = on_client_response,
    .client_timeout = on_client_timeout,
    .client_transport_error = on_client_transport_error,
    .client_done = on_client_done,
    .server_trying_due = on_server_trying_due,
    .server_no_ack = on_server_no_ack,
    .server_transport_error = on_server_transport_error,
    .server_done = on_server_done,
};

/* Steps */

static struct wire *message(struct walk *w, const struct call *c, const char *start_line)
{
    char text[1024];
    int n = snprintf(text, sizeof(text),
                     "%s\r\nVia: %s\r\nMax-Forwards: 70\r\nFrom: <sip:a@example.com>;tag=a\r\n"
                     "To: <sip:b@example.com>%s\r\nCall-ID: %u-%u@example.com\r\nCSeq: 1 %s\r\n"
                     "Content-Length: 0\r\n\r\n",
                     start_line, c->via, start_line[0] == 'S' ? ";tag=b" : "", (unsigned)(c - w->calls),
                     c->generation, c->method);
    struct wire *wire;

    /* Users have memory: they may be called back from inside an op that has none. */
    mem_fail_after(NO_FAILURE);
    wire = wire_from(slice_make(text, (size_t)n));
    assert_non_null(wire);
    return wire;
}

static struct sip_hop hop_of(const struct walk *w, const struct call *c)
{
    return (struct sip_hop){.addr = {.family = ADDR_IPV4, .ip = {192, 0, 2, 1}, .port = 5060},
                            .flow = c->generation,
                            .listener = (uint16_t)(c - w->calls),
                            .transport = (uint8_t)c->transport};
}

static bool is_free(const struct walk *w, const struct call *c)
{
    return !c->client && !c->server && !is_detached(w, c);
}

static void begin_call(struct walk *w, struct call *c)
{
    static const char *const methods[] = {"INVITE", "INVITE", "INVITE", "OPTIONS", "BYE", "FROB"};
    static const enum sip_transport transports[] = {SIP_TRANSPORT_UDP, SIP_TRANSPORT_UDP, SIP_TRANSPORT_TCP};
    unsigned generation = c->generation + 1;
    struct txn_client *client;
    struct wire *wire;
    struct sip_hop hop;
    struct slice name;
    char line[64];
    int rc;

    *c = (struct call){
        .generation = generation, .method = methods[chance(w, 6)], .transport = transports[chance(w, 3)]};
    snprintf(c->via, sizeof(c->via), "SIP/2.0/UDP a.example.com;branch=%sx%u-%u",
             percent(w, 80) ? "z9hG4bK" : "", (unsigned)(c - w->calls), generation);
    c->branch = slice_from_cstr(strchr(c->via, '=') + 1);
    snprintf(line, sizeof(line), "%s sip:b@example.com SIP/2.0", c->method);
    wire = message(w, c, line);
    hop = hop_of(w, c);
    name = slice_from_cstr(c->method);
    c->beginning = true;
    maybe_fail_memory(w);
    rc = txn_client_new(w->ends[SIDE_CLIENT].layer, sip_method_from_name(name), name, c->branch, wire, &hop,
                        c, &client);
    mem_fail_after(NO_FAILURE);
    wire_unref(wire);
    c->beginning = false;
    HOLDS(w, rc == 0 || rc == ERR_NOMEM);
    if (rc == 0)
        c->client = client;
    else
        w->no_memory++;
}

static void respond(struct walk *w, struct call *c, unsigned status)
{
    struct wire *wire;
    char line[32];
    bool had_final;
    int rc;

    if (!c->server)
        return;
    had_final = txn_server_has_final(c->server);
    snprintf(line, sizeof(line), "SIP/2.0 %u X", status);
    wire = message(w, c, line);
    rc = txn_server_respond(w->ends[SIDE_SERVER].layer, c->server, status, SLICE("b"), wire);
    wire_unref(wire);
    HOLDS(w, rc == 0 || rc == ERR_DENIED);
    HOLDS(w, !(had_final && rc == 0) || (is_invite(c) && status / 100 == 2));
    HOLDS(w, is_invite(c) || rc != 0 || (status != 408 && (status == 100 || status >= 200)));
    w->refused += rc == ERR_DENIED;
}

static void abandon_client(struct walk *w, struct call *c)
{
    if (!c->client || !percent(w, 20))
        return;
    /* In Terminated it has a final, a timeout or an error behind it. */
    if (!txn_client_has_final(c->client))
        c->abandoned = true;
    txn_client_abandon(w->ends[SIDE_CLIENT].layer, c->client);
}

static void detach_client(struct walk *w, struct call *c)
{
    /* An INVITE in Proceeding has no timer: without a user it would stay. */
    if (!c->client || (is_invite(c) && !txn_client_has_final(c->client)))
        return;
    txn_client_set_user(c->client, NULL);
    c->client = NULL;
    c->detached_until_ms = w->wheel.now_ms + LONGEST_MS;
}

static void abandon_server(struct walk *w, struct call *c)
{
    if (c->server && !is_invite(c))
        txn_server_abandon(w->ends[SIDE_SERVER].layer, c->server);
}

static void break_something(struct walk *w, struct call *c)
{
    switch (chance(w, 4)) {
    case 0:
        txn_send_failed(w->ends[SIDE_CLIENT].layer, c->client_token);
        break;
    case 1:
        txn_send_failed(w->ends[SIDE_SERVER].layer, c->server_token);
        break;
    case 2:
        if (c->method)
            txn_branch_failed(w->ends[SIDE_CLIENT].layer, c->branch, slice_from_cstr(c->method));
        break;
    default:
        c->ack_failed = true;
        txn_branch_failed(w->ends[SIDE_CLIENT].layer, c->branch, SLICE("ACK"));
        break;
    }
}

static void arrive_at_server(struct walk *w, struct flight *f, struct sip_msg *msg)
{
    struct call *c = &w->calls[f->call];
    struct txn_layer *layer = w->ends[SIDE_SERVER].layer;
    struct sip_hop hop = hop_of(w, c);
    enum txn_match match = txn_receive_request(layer, msg, NULL);
    struct txn_server *server;
    int rc;

    HOLDS(w, match != TXN_MATCH_ACCEPTED || msg->method == SIP_METHOD_ACK);
    if (match != TXN_MATCH_NONE || msg->method == SIP_METHOD_ACK || f->generation != c->generation)
        return;
    HOLDS(w, !c->server);
    maybe_fail_memory(w);
    rc = txn_server_new(layer, msg, NULL, &hop, c, &server);
    mem_fail_after(NO_FAILURE);
    HOLDS(w, rc == 0 || rc == ERR_NOMEM);
    if (rc == 0)
        c->server = server;
    else
        w->no_memory++;
}

static void arrive(struct walk *w, struct flight *f)
{
    struct wire *wire = f->wire;
    struct sip_error error;
    struct sip_msg msg;

    f->wire = NULL;
    assert_int_equal(sip_msg_parse(wire_slice(wire), true, &sip_limits_default, &w->arena, &msg, &error), 0);
    if (f->to == SIDE_SERVER) {
        arrive_at_server(w, f, &msg);
    } else {
        maybe_fail_memory(w);
        (void)txn_receive_response(w->ends[SIDE_CLIENT].layer, &msg);
        mem_fail_after(NO_FAILURE);
    }
    arena_reset(&w->arena);
    wire_unref(wire);
}

static void deliver(struct walk *w)
{
    for (unsigned i = 0; i < FLIGHTS; i++)
        if (w->flights[i].wire && w->flights[i].arrives_ms <= w->wheel.now_ms)
            arrive(w, &w->flights[i]);
}

static void check_counts(struct walk *w)
{
    size_t pending[2] = {0, 0}, exist[2] = {0, 0};
    bool detached = false;

    for (unsigned i = 0; i < CALLS; i++) {
        const struct call *c = &w->calls[i];

        exist[SIDE_CLIENT] += c->client != NULL;
        exist[SIDE_SERVER] += c->server != NULL;
        pending[SIDE_CLIENT] += c->client && !txn_client_has_final(c->client);
        pending[SIDE_SERVER] += c->server && !txn_server_has_final(c->server);
        detached |= is_detached(w, c);
    }
    HOLDS(w, txn_layer_count(w->ends[SIDE_SERVER].layer) == exist[SIDE_SERVER]);
    HOLDS(w, txn_layer_count_pending(w->ends[SIDE_SERVER].layer) == pending[SIDE_SERVER]);
    if (!detached) {
        HOLDS(w, txn_layer_count(w->ends[SIDE_CLIENT].layer) == exist[SIDE_CLIENT]);
        HOLDS(w, txn_layer_count_pending(w->ends[SIDE_CLIENT].layer) == pending[SIDE_CLIENT]);
    }
}

static void one_step(struct walk *w)
{
    struct call *c = &w->calls[chance(w, CALLS)];
    unsigned dice = chance(w, 100);

    if (dice < 30)
        timer_wheel_advance(&w->wheel,
                            w->wheel.now_ms + (percent(w, 95) ? chance(w, 1000) : chance(w, 40000)));
    else if (dice < 50 && is_free(w, c))
        begin_call(w, c);
    else if (dice < 80)
        respond(w, c, statuses[chance(w, sizeof(statuses) / sizeof(statuses[0]))]);
    else if (dice < 82)
        abandon_client(w, c);
    else if (dice < 84)
        abandon_server(w, c);
    else if (dice < 86)
        break_something(w, c);
    else if (dice == 86 && percent(w, 10))
        detach_client(w, c);
    deliver(w);
    check_counts(w);
}

/* Users answer or give up whatever is left, and time goes by. */
static void wind_up(struct walk *w)
{
    for (unsigned i = 0; i < CALLS; i++) {
        struct call *c = &w->calls[i];

        if (c->client && !txn_client_has_final(c->client)) {
            c->abandoned = true;
            txn_client_abandon(w->ends[SIDE_CLIENT].layer, c->client);
        }
        respond(w, c, 500);
    }
    timer_wheel_advance(&w->wheel, w->wheel.now_ms + 200000);
    for (unsigned i = 0; i < FLIGHTS; i++) {
        wire_unref(w->flights[i].wire);
        w->flights[i].wire = NULL;
    }
}

static struct walk *walk_new(uint64_t seed, bool fails_memory)
{
    struct walk *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    w->random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    w->loss_percent = (unsigned)(seed % 4) * 10;
    w->fails_memory = fails_memory;
    timer_wheel_init(&w->wheel, START_MS, NULL);
    arena_pool_init(&w->pool, SIZE_MAX / 2);
    arena_init(&w->arena, &w->pool);
    for (int side = 0; side < 2; side++) {
        struct txn_layer_opts opts = {.times = txn_times_default,
                                      .max_transactions = 1000,
                                      .hash_key = {seed, (uint64_t)side},
                                      .wheel = &w->wheel,
                                      .counters = &w->counters,
                                      .ops = &ops,
                                      .ctx = &w->ends[side]};

        w->ends[side] = (struct end){.w = w, .side = (enum side)side};
        assert_int_equal(txn_layer_new(&opts, &w->ends[side].layer), 0);
    }
    return w;
}

static void walk_free(struct walk *w)
{
    for (int side = 0; side < 2; side++)
        txn_layer_free(w->ends[side].layer);
    arena_done(&w->arena);
    arena_pool_done(&w->pool);
    free(w);
}

static void walk(uint64_t seed, bool fails_memory)
{
    int64_t held = mem_held_bytes();
    struct walk *w = walk_new(seed, fails_memory);

    for (w->step = 0; w->step < STEPS && !w->broken; w->step++)
        one_step(w);
    wind_up(w);
    HOLDS(w, txn_layer_count(w->ends[SIDE_CLIENT].layer) == 0);
    HOLDS(w, txn_layer_count(w->ends[SIDE_SERVER].layer) == 0);
    HOLDS(w, w->wheel.count == 0);
    if (w->broken)
        fail_msg("seed %llu%s, step %u: %s", (unsigned long long)seed, fails_memory ? " without memory" : "",
                 w->step, w->broken);
    print_message("seed %llu: %lu clients (%lu finals, %lu timeouts, %lu errors), %lu servers, %lu refused, "
                  "%lu without memory\n",
                  (unsigned long long)seed, w->done_clients, w->finals, w->timeouts, w->errors,
                  w->done_servers, w->refused, w->no_memory);
    /* A walk that does nothing proves nothing. */
    assert_true(w->done_clients > 500 && w->done_servers > 500 && w->finals > 100 && w->timeouts > 0 &&
                w->errors > 0);
    assert_true(w->refused > 100 && (w->no_memory > 0) == fails_memory);
    walk_free(w);
    assert_int_equal(mem_held_bytes(), held);
}

static void walk_all(bool fails_memory)
{
    const char *alone = getenv("MATRIX_SEED");

    if (alone) {
        walk(strtoull(alone, NULL, 10), fails_memory);
        return;
    }
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        walk(seed, fails_memory);
}

static void invariants_hold_on_random_walks(void **state)
{
    (void)state;
    walk_all(false);
}

static void invariants_hold_while_memory_runs_out(void **state)
{
    (void)state;
    walk_all(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(invariants_hold_on_random_walks),
        cmocka_unit_test(invariants_hold_while_memory_runs_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
