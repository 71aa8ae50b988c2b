#include "base/mem.h"
#include "proxy/internal.h"
#include "proxy/token.h"
#include "sip/via_route.h"
#include <assert.h>

#define WAIT_BUCKETS         64
#define SCRATCH_BUDGET_BYTES (4 * 1024 * 1024)
#define TIMER_C_MIN_MS       180000 /* section 16.6 step 11: "The timer MUST be larger than 3 minutes" */

/* What the transaction layer tells */

static struct proxy_branch *branch_of(struct proxy_user *user)
{
    return user && user->kind == PROXY_USER_BRANCH ? list_entry(user, struct proxy_branch, user) : NULL;
}

static struct proxy_context *context_of(struct proxy_user *user)
{
    return user && user->kind == PROXY_USER_CONTEXT ? list_entry(user, struct proxy_context, user) : NULL;
}

static bool is_origin(const struct proxy_user *user)
{
    return user && user->kind == PROXY_USER_ORIGIN;
}

static struct proxy_link *link_of(struct proxy_user *user)
{
    return user && user->kind == PROXY_USER_LINK ? list_entry(user, struct proxy_link, user) : NULL;
}

static struct proxy_own *own_of(struct proxy_user *user)
{
    return user && user->kind == PROXY_USER_OWN ? list_entry(user, struct proxy_own, user) : NULL;
}

static bool is_response(struct slice message)
{
    return slice_starts_with_nocase(message, SLICE("SIP/"));
}

/* The client of this transaction is known to be gone (backup.c). */
static bool leads_nowhere(const struct sip_hop *hop)
{
    return hop->addr.family == ADDR_NONE && hop->flow == SIP_FLOW_NONE;
}

static void on_send(void *ctx, const struct sip_hop *hop, struct wire *wire, uint64_t token)
{
    struct proxy *p = ctx;

    if (!leads_nowhere(hop) && proxy_send(p, hop, wire, token) == 0)
        return;
    if (!is_response(wire_slice(wire)) || !proxy_backup_begin(p, hop, wire, token))
        txn_send_failed(p->txn, token);
}

static void happen(struct proxy_branch *b, enum proxy_branch_event event, const struct proxy_branch_input *in)
{
    struct proxy_context *c = b->context;

    proxy_branch_happen(b, event, in);
    proxy_context_advance(c);
}

static enum proxy_branch_event event_of(unsigned status)
{
    if (status < 200)
        return PROXY_EVENT_1XX;
    return status < 300 ? PROXY_EVENT_2XX : PROXY_EVENT_3XX_6XX;
}

static void on_client_response(void *ctx, struct txn_client *t, struct sip_msg *response)
{
    const struct proxy_branch_input in = {.response = response};
    struct proxy_branch *b = branch_of(txn_client_user(t));
    struct proxy_link *link = link_of(txn_client_user(t));
    struct proxy *p = ctx;

    if (b)
        happen(b, event_of(response->status), &in);
    else if (is_origin(txn_client_user(t)))
        proxy_origin_response(txn_client_user(t), response);
    else if (link && link->server && proxy_response_forward(p, link->server, response) < 0)
        /* Section 16.7 step 9 as in RFC 6026 section 8.3: the response is discarded; the callee repeats it. */
        counter_inc(p->counters, COUNTER_RESPONSES_DROPPED);
}

static void on_client_timeout(void *ctx, struct txn_client *t)
{
    struct proxy_branch *b = branch_of(txn_client_user(t));

    (void)ctx;
    if (b)
        happen(b, PROXY_EVENT_TIMEOUT, &(struct proxy_branch_input){0});
    else if (is_origin(txn_client_user(t)))
        proxy_origin_timeout(txn_client_user(t));
}

static int on_client_request(void *ctx, struct txn_client *t, struct wire **ret_request)
{
    struct proxy_branch *b = branch_of(txn_client_user(t));

    (void)ctx;
    return b ? proxy_attempt_request(b, ret_request) : ERR_NOTFOUND;
}

static void on_client_transport_error(void *ctx, struct txn_client *t)
{
    struct proxy_branch *b = branch_of(txn_client_user(t));

    (void)ctx;
    if (b)
        happen(b, PROXY_EVENT_TRANSPORT, &(struct proxy_branch_input){0});
    else if (is_origin(txn_client_user(t)))
        proxy_origin_transport_error(txn_client_user(t));
}

static void link_free(struct proxy *p, struct proxy_link *link)
{
    if (link->server)
        txn_server_set_user(link->server, NULL);
    list_remove(&link->node);
    pool_put(&p->links, link);
}

static void on_client_done(void *ctx, struct txn_client *t)
{
    struct proxy_branch *b = branch_of(txn_client_user(t));
    struct proxy_link *link = link_of(txn_client_user(t));

    if (b) {
        b->client = NULL;
        proxy_context_advance(b->context);
    } else if (link && --link->n_clients == 0) {
        link_free(ctx, link);
    }
}

/* RFC 4320 section 4.1: "an SIP element MUST respond to a non-INVITE request with a Status-Code of 100 if it
 * has not otherwise responded after the amount of time it takes a client transaction's Timer E to be reset to
 * T2". */
static void on_server_trying_due(void *ctx, struct txn_server *t)
{
    struct proxy_context *c = context_of(txn_server_user(t));

    (void)ctx;
    if (c)
        proxy_reply_trying(c);
}

/* Section 16.7 step 9: "These errors would be logged for diagnostic purposes as appropriate, but the protocol
 * requires no remedial action from the proxy." */
static void on_server_no_ack(void *ctx, struct txn_server *t)
{
    (void)ctx;
    (void)t;
}

/* Section 16.9: "If the proxy is notified of an error when forwarding a response, it drops the response. The
 * proxy SHOULD NOT cancel any outstanding client transactions". */
static void on_server_transport_error(void *ctx, struct txn_server *t)
{
    struct proxy_context *c = context_of(txn_server_user(t));

    (void)ctx;
    if (c)
        proxy_explain(c, NULL, "proxy.response_lost", 0, "the response could not be delivered (16.9)");
}

static void on_server_done(void *ctx, struct txn_server *t)
{
    struct proxy_context *c = context_of(txn_server_user(t));
    struct proxy_link *link = link_of(txn_server_user(t));

    if (link)
        link->server = NULL;
    proxy_own_free(ctx, own_of(txn_server_user(t)));
    /* Timer L, while a branch lost to the answer has not ended yet. */
    if (c) {
        assert(c->is_final_sent);
        c->req.server = NULL;
    }
}

static const struct txn_ops txn_ops = {
    .send = on_send,
    .client_response = on_client_response,
    .client_timeout = on_client_timeout,
    .client_request = on_client_request,
    .client_transport_error = on_client_transport_error,
    .client_done = on_client_done,
    .server_trying_due = on_server_trying_due,
    .server_no_ack = on_server_no_ack,
    .server_transport_error = on_server_transport_error,
    .server_done = on_server_done,
};

/* Life */

static struct hash_key key_for(const struct hash_key *secret, struct slice use)
{
    struct hash_state st;
    struct hash128 hash;

    hash_begin(&st, secret);
    hash_add(&st, use);
    hash = hash_end128(&st);
    return (struct hash_key){hash.lo, hash.hi};
}

static void draw_keys(struct proxy *p, struct hash_key *ret_txn_key)
{
    const struct proxy_ports *ports = &p->ports;

    p->loop_key = key_for(&p->opts->secret, SLICE("loop"));
    p->stateless_key = key_for(&p->opts->secret, SLICE("stateless"));
    p->to_tag_key = key_for(&p->opts->secret, SLICE("to-tag"));
    (void)proxy_refusal_mark_format(&p->opts->call_key, p->refusal_mark);
    p->way_key = key_for(&p->opts->secret, SLICE("way-back"));
    ports->random(ports->ctx, ret_txn_key, sizeof(*ret_txn_key));
    ports->random(ports->ctx, &p->branch_key, sizeof(p->branch_key));
    ports->random(ports->ctx, &p->last_branch, sizeof(p->last_branch));
}

static int new_txn_layer(struct proxy *p)
{
    struct txn_layer_opts opts = {
        .times = p->opts->times,
        .max_transactions = p->opts->max_transactions,
        .wheel = &p->wheel,
        .counters = p->counters,
        .ops = &txn_ops,
        .ctx = p,
    };

    draw_keys(p, &opts.hash_key);
    return txn_layer_new(&opts, &p->txn);
}

static bool are_opts_sane(const struct proxy_opts *opts)
{
    return opts->n_listeners > 0 && opts->n_listeners <= UINT8_MAX && opts->timer_c_ms > TIMER_C_MIN_MS &&
           opts->max_breadth > 0 && opts->max_branches > 0 && opts->worker != PROXY_WORKER_ANY &&
           opts->path_mtu_bytes > PROXY_MTU_MARGIN;
}

static int init_tables(struct proxy *p)
{
    int rc = map_init(&p->waits, WAIT_BUCKETS);

    if (rc < 0)
        return rc;
    rc = map_init(&p->own, WAIT_BUCKETS);
    if (rc < 0)
        goto out_waits;
    rc = new_txn_layer(p);
    if (rc == 0)
        return 0;
    map_done(&p->own);
out_waits:
    map_done(&p->waits);
    return rc;
}

int proxy_new(const struct proxy_opts *opts, const struct proxy_ports *ports, struct counters *counters,
              ms_t now_ms, struct proxy **ret_proxy)
{
    struct proxy *p;
    int rc;

    assert(opts->chain && ports->send && ports->resolve && ports->locate && ports->random);
    if (!are_opts_sane(opts))
        return ERR_RANGE;
    p = mem_zalloc(sizeof(*p));
    if (!p)
        return ERR_NOMEM;
    p->opts = opts;
    p->ports = *ports;
    p->counters = counters;
    p->is_multihomed = proxy_listeners_are_multihomed(opts);
    timer_wheel_init(&p->wheel, now_ms, p);
    list_init(&p->live_links);
    list_init(&p->contexts);
    list_init(&p->dead);
    list_init(&p->originations);
    list_init(&p->backups);
    for (size_t i = 0; i < PROXY_LOG_KINDS; i++)
        p->limiters[i].per_second = PROXY_LOG_PER_SECOND;
    pressure_init(&p->pressure, &opts->pressure, now_ms);
    rc = proxy_refused_init(p);
    if (rc == 0)
        rc = init_tables(p);
    if (rc < 0)
        goto out;
    arena_pool_init(&p->requests, opts->arena_budget_bytes);
    arena_pool_init(&p->events, SCRATCH_BUDGET_BYTES);
    arena_init(&p->scratch, &p->events);
    pool_init(&p->links, sizeof(struct proxy_link), opts->max_transactions);
    pool_init(&p->owns, sizeof(struct proxy_own), opts->max_transactions);
    *ret_proxy = p;
    return 0;
out:
    proxy_refused_done(p);
    mem_free(p);
    return rc;
}

void proxy_free(struct proxy *p)
{
    if (!p)
        return;
    while (!list_is_empty(&p->contexts))
        proxy_context_release(list_entry(p->contexts.next, struct proxy_context, node));
    proxy_contexts_bury(p);
    proxy_originations_drop(p);
    proxy_backups_drop(p);
    while (!list_is_empty(&p->live_links))
        link_free(p, list_entry(p->live_links.next, struct proxy_link, node));
    proxy_own_clear(p);
    txn_layer_free(p->txn);
    arena_done(&p->scratch);
    arena_pool_done(&p->requests);
    arena_pool_done(&p->events);
    pool_done(&p->links);
    pool_done(&p->owns);
    map_done(&p->own);
    map_done(&p->waits);
    proxy_refused_done(p);
    proxy_neighbours_done(p);
    mem_free(p);
}

/* Time */

static void turn_end(struct proxy *p)
{
    proxy_contexts_bury(p);
    arena_reset(&p->scratch);
}

/* Instant by instant, so that what one of them needed is given back before the next. */
static void run_timers(struct proxy *p, ms_t now_ms)
{
    ms_t next_ms;

    while ((next_ms = timer_wheel_next_ms(&p->wheel)) <= now_ms) {
        timer_wheel_advance(&p->wheel, next_ms);
        turn_end(p);
    }
}

/* A failure that came during the call is due at once. */
static void turn_finish(struct proxy *p)
{
    turn_end(p);
    if (timer_wheel_is_overdue(&p->wheel))
        run_timers(p, p->wheel.now_ms);
}

void proxy_advance(struct proxy *p, ms_t now_ms, unix_s_t now_s)
{
    p->now_s = now_s;
    run_timers(p, now_ms);
    timer_wheel_advance(&p->wheel, now_ms);
    proxy_admit_tick(p);
}

ms_t proxy_next_ms(const struct proxy *p)
{
    return timer_wheel_next_ms(&p->wheel);
}

/* Receiving */

static bool begins_something(struct sip_msg *request)
{
    return request->method != SIP_METHOD_ACK && request->method != SIP_METHOD_CANCEL &&
           slice_is_null(sip_msg_to_tag(request));
}

static bool is_stateless_wanted(const struct proxy *p, const struct proxy_arrival *arrival)
{
    const struct proxy_opts *opts = p->opts;

    return arrival->listener->stateless ||
           (opts->is_stateless &&
            opts->is_stateless(opts->is_stateless_ctx, opts, arrival->msg, arrival->from));
}

/* Section 8.2.7: "This rules out stateless registrars". */
static bool is_forwarded_statelessly(const struct proxy *p, const struct proxy_arrival *arrival)
{
    const struct sip_uri *ruri;

    if (!is_stateless_wanted(p, arrival))
        return false;
    return arrival->msg->method != SIP_METHOD_REGISTER || sip_msg_ruri(arrival->msg, &ruri) < 0 ||
           !(proxy_uri_domain(p->opts, ruri) || proxy_uri_is_self(p->opts, ruri));
}

/* The ACK of a final response that was made here, of whose transaction nothing is left: our To tag tells. */
static bool is_ack_of_ours(const struct proxy *p, struct sip_msg *request)
{
    char text[PROXY_TO_TAG_BYTES], refusal_text[PROXY_REFUSAL_TAG_BYTES];
    struct slice tag = sip_msg_to_tag(request), ours;
    const struct sip_cseq *cseq;

    if (request->method != SIP_METHOD_ACK ||
        (tag.len != PROXY_TO_TAG_BYTES && tag.len != PROXY_REFUSAL_TAG_BYTES) ||
        sip_msg_cseq(request, &cseq) < 0)
        return false;
    ours = proxy_to_tag_format(&p->to_tag_key, sip_msg_call_id(request), sip_msg_from_tag(request),
                               cseq->number, text);
    if (tag.len == PROXY_REFUSAL_TAG_BYTES)
        ours = proxy_refusal_tag_format(p->refusal_mark, ours, refusal_text);
    /* Tokens compare without case (section 7.3.1). */
    return slice_eq_nocase(tag, ours);
}

static void begin(struct proxy *p, const struct proxy_arrival *arrival, bool is_stateless)
{
    struct proxy_context *c;

    pressure_count(&p->pressure);
    if (begins_something(arrival->msg)) {
        if (p->draining) {
            proxy_reply_unavailable(p, arrival, "draining (21.5.4)");
            return;
        }
        if (!proxy_admit(p, arrival))
            return;
    }
    c = proxy_context_new(p, arrival, is_stateless);
    if (!c) {
        counter_inc(p->counters, COUNTER_SHED);
        proxy_reply_unavailable(p, arrival, "no memory, or too many transactions (21.5.4)");
        return;
    }
    counter_inc(p->counters, COUNTER_REQUESTS);
    proxy_context_run_chain(c);
}

static int arrive(struct proxy *p, struct sip_msg *msg, const struct sip_hop *from,
                  struct proxy_arrival *ret_arrival)
{
    struct proxy_arrival arrival = {
        .msg = msg, .from = from, .listener = proxy_listener_at(p, from->listener)};
    struct sip_via head;
    const struct sip_via *via = &head;
    int rc = sip_msg_top_via(msg, &via);

    /* A request that is refused may have a Via of which only the part is good that says where to answer. */
    if (rc < 0)
        rc = sip_msg_top_via_head(msg, &head);
    if (rc < 0)
        return rc;
    sip_via_route_reply(via, from, &arrival.reply_hop);
    rc = sip_via_route_tag(via, &from->addr, &p->scratch, &arrival.top_via);
    if (rc == 0 && via->has_keep)
        rc = proxy_keep_answer(p, &arrival.top_via);
    if (rc == 0)
        rc = proxy_oc_arrive(p, via, &arrival);
    if (rc == 0)
        *ret_arrival = arrival;
    return rc;
}

static void receive_request(struct proxy *p, struct sip_msg *msg, const struct sip_hop *from)
{
    struct txn_key key = txn_expect_request(p->txn, msg);
    struct proxy_arrival arrival;
    bool is_stateless;

    if (arrive(p, msg, from, &arrival) < 0)
        return;
    arrival.key = key;
    /* First, whatever is wanted: what came before may have needed a transaction (section 16.1), and an ACK or a
     * CANCEL goes the way of its INVITE, which may have had header fields that they do not repeat and have taken
     * another route for it. */
    if (txn_receive_request(p->txn, msg, &arrival.key) == TXN_MATCH_ABSORBED)
        return;
    if (is_ack_of_ours(p, msg))
        return;
    if (msg->method == SIP_METHOD_CANCEL && proxy_cancel_receive(p, &arrival))
        return;
    is_stateless = is_forwarded_statelessly(p, &arrival);
    begin(p, &arrival, is_stateless);
}

static void drop_response(struct proxy *p, struct sip_msg *msg, const char *why)
{
    counter_inc(p->counters, COUNTER_RESPONSES_DROPPED);
    proxy_explain_message(p, PROXY_LOG_DROPPED, LOG_DEBUG, "proxy.response_dropped", msg, msg->status, why);
}

static void receive_response(struct proxy *p, struct sip_msg *msg, const struct sip_hop *from)
{
    const struct sip_via *via;

    p->response_from = *from;
    /* Section 18.1.2: "the response MUST be silently discarded". */
    if (sip_msg_top_via(msg, &via) < 0 || !proxy_via_is_ours(p->opts, via))
        drop_response(p, msg, "the top Via is not ours (18.1.2)");
    else if (txn_receive_response(p->txn, msg) == TXN_MATCH_NONE && !proxy_stateless_response(p, msg, from))
        drop_response(p, msg, "no transaction (RFC 6026 section 7.3)");
}

static void refuse(struct proxy *p, struct sip_msg *msg, const struct sip_hop *from, unsigned status,
                   const char *phrase)
{
    struct proxy_arrival arrival;

    if (arrive(p, msg, from, &arrival) == 0)
        proxy_reply_stateless(p, &arrival, status, slice_from_cstr(phrase), NULL,
                              phrase ? phrase : "malformed (16.3)");
}

static void receive_malformed(struct proxy *p, struct sip_msg *msg, const struct sip_hop *from,
                              const struct sip_error *error)
{
    counter_inc(p->counters, COUNTER_RX_BAD);
    /* 0: a response, an ACK, or nothing to build an answer from. */
    if (error->status != 0)
        refuse(p, msg, from, error->status, error->phrase);
    else
        log_limited(&p->limiters[PROXY_LOG_BAD], LOG_DEBUG, "proxy.malformed",
                    log_cstr("why", error->phrase ? error->phrase : "no message"));
}

void proxy_concerns(struct proxy *p, struct slice call_id)
{
    if (p->ports.concerns)
        p->ports.concerns(p->ports.ctx, call_id);
}

static void receive_sound(struct proxy *p, struct sip_msg *msg, const struct sip_hop *from)
{
    proxy_concerns(p, sip_msg_call_id(msg));
    if (msg->is_request)
        receive_request(p, msg, from);
    else
        receive_response(p, msg, from);
}

static void receive(struct proxy *p, struct slice bytes, const struct sip_hop *from, bool datagram)
{
    struct sip_error error = {0};
    struct sip_msg msg;
    int rc = sip_msg_parse(bytes, datagram, &p->opts->limits, &p->scratch, &msg, &error);

    if (rc == 0)
        rc = sip_msg_check(&msg, &error);
    if (rc == ERR_NOMEM)
        counter_inc(p->counters, COUNTER_SHED);
    else if (rc < 0)
        receive_malformed(p, &msg, from, &error);
    else
        receive_sound(p, &msg, from);
}

void proxy_receive(struct proxy *p, struct slice bytes, const struct sip_hop *from, bool datagram)
{
    assert(from->listener < p->opts->n_listeners);
    if (proxy_refuse(p, bytes, from))
        return;
    receive(p, bytes, from, datagram);
    turn_finish(p);
}

void proxy_receive_bad(struct proxy *p, struct slice head, const struct sip_hop *from, unsigned status,
                       const char *phrase)
{
    struct sip_error error = {0};
    struct sip_msg msg;
    int rc = sip_msg_parse(head, true, &p->opts->limits, &p->scratch, &msg, &error);

    counter_inc(p->counters, COUNTER_RX_BAD);
    if ((rc == 0 && msg.is_request) || (rc < 0 && rc != ERR_NOMEM && error.status != 0))
        refuse(p, &msg, from, status, phrase);
    turn_finish(p);
}

/* Failures and answers from outside */

void proxy_send_failed(struct proxy *p, uint64_t token)
{
    if (!proxy_backup_failed(p, token) && !proxy_backup_of_server(p, token))
        txn_send_failed(p->txn, token);
    turn_finish(p);
}

/* Only so much of a datagram comes back that it may end anywhere: the lines that are whole are looked at. */
static bool next_line(struct slice *rest, struct slice *ret_line)
{
    size_t end = slice_find(*rest, '\n');

    if (end == rest->len)
        return false;
    *ret_line = slice_trim(slice_sub(*rest, 0, end));
    *rest = slice_sub(*rest, end + 1, rest->len);
    return true;
}

static bool find_via(struct slice head, struct sip_via *ret_via)
{
    struct slice line;

    while (next_line(&head, &line)) {
        size_t colon = slice_find(line, ':');

        if (sip_hdr_from_name(slice_trim(slice_sub(line, 0, colon))) == SIP_HDR_VIA)
            return sip_via_parse(slice_sub(line, colon + 1, line.len), ret_via) == 0;
    }
    return false;
}

void proxy_send_refused(struct proxy *p, struct slice datagram_head)
{
    struct slice method = slice_sub(datagram_head, 0, slice_find(datagram_head, ' '));
    struct sip_via via;

    if (!find_via(datagram_head, &via)) {
        ;
    } else if (is_response(datagram_head)) {
        const struct txn_key key = txn_expect_via(p->txn, &via);

        (void)proxy_backup_of_server(p, txn_server_token(p->txn, &key));
    } else if (proxy_via_is_ours(p->opts, &via)) {
        txn_branch_failed(p->txn, via.branch, method);
    }
    turn_finish(p);
}

void proxy_resolved(struct proxy *p, uint64_t ticket, int err, const struct sip_hop *hops, size_t count)
{
    const struct proxy_branch_input in = {.hops = hops, .n_hops = count, .err = err};
    struct proxy_wait *wait = proxy_wait_find(p, ticket);

    if (!wait || wait->kind == PROXY_WAIT_STEP)
        return;
    if (wait->kind == PROXY_WAIT_ORIGIN)
        proxy_origin_resolved(wait, err, hops, count);
    else if (wait->kind == PROXY_WAIT_BACKUP)
        proxy_backup_resolved(wait, err, hops, count);
    else
        happen(list_entry(wait, struct proxy_branch, wait),
               err == 0 ? PROXY_EVENT_RESOLVED : PROXY_EVENT_UNRESOLVED, &in);
    turn_finish(p);
}

void proxy_resume(struct proxy *p, uint64_t ticket, const void *result)
{
    struct proxy_wait *wait = proxy_wait_find(p, ticket);
    struct proxy_context *c;

    if (!wait || wait->kind != PROXY_WAIT_STEP)
        return;
    c = list_entry(wait, struct proxy_context, wait);
    proxy_wait_stop(p, wait);
    c->req.resumed = result;
    proxy_context_run_chain(c);
    turn_finish(p);
}

/* The rest */

void proxy_set_draining(struct proxy *p, bool draining)
{
    p->draining = draining;
}

size_t proxy_pending(const struct proxy *p)
{
    return txn_layer_count_pending(p->txn) + p->n_without_server - p->n_originated;
}

size_t proxy_transactions(const struct proxy *p)
{
    return txn_layer_count(p->txn);
}

size_t proxy_used_bytes(const struct proxy *p)
{
    return p->requests.used_bytes;
}

int proxy_branch_worker(struct slice text)
{
    struct proxy_route_token token;
    struct proxy_branch_id id;
    int worker = PROXY_WORKER_ANY;

    if (proxy_branch_id_parse(text, &id))
        worker = id.worker;
    else if (proxy_route_token_parse(text, &token))
        worker = token.worker;
    return worker == PROXY_WORKER_ANY ? -1 : worker;
}

unsigned proxy_call_worker(const struct hash_key *key, unsigned n_workers, struct slice call_id)
{
    return hash_head32(key, call_id) % n_workers;
}

/* The upper half of the unique part counts, so that no two are equal; the lower half cannot be guessed, and
 * neither can what follows it. */
void proxy_branch_id_new(struct proxy *p, uint64_t loop_hash, char out[PROXY_BRANCH_BYTES])
{
    uint32_t number = ++p->last_branch;
    struct proxy_branch_id id = {.worker = p->opts->worker, .loop = loop_hash};
    uint64_t noise = hash_siphash64(&p->branch_key, slice_make((const char *)&number, sizeof(number)));

    id.unique = (uint64_t)number << 32 | (noise & UINT32_MAX);
    (void)proxy_branch_id_format(&id, out);
}

const struct proxy_opts *proxy_get_opts(const struct proxy *p)
{
    return p->opts;
}

const struct proxy_ports *proxy_get_ports(const struct proxy *p)
{
    return &p->ports;
}

struct counters *proxy_get_counters(const struct proxy *p)
{
    return p->counters;
}

struct timer_wheel *proxy_get_wheel(struct proxy *p)
{
    return &p->wheel;
}

ms_t proxy_now_ms(const struct proxy *p)
{
    return p->wheel.now_ms;
}

unix_s_t proxy_now_s(const struct proxy *p)
{
    return p->now_s;
}
