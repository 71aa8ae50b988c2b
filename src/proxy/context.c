#include "proxy/internal.h"
#include "proxy/token.h"
#include <assert.h>

#define ROUNDING_BYTES 64 /* of the pieces of a request's arena */
#define READING_PIECES 3  /* and those of what is read of it */

/* Tickets */

void proxy_wait_start(struct proxy *p, struct proxy_wait *wait)
{
    assert(wait->ticket == 0);
    wait->ticket = ++p->last_ticket;
    map_insert(&p->waits, &wait->node, wait->ticket);
}

void proxy_wait_stop(struct proxy *p, struct proxy_wait *wait)
{
    if (wait->ticket == 0)
        return;
    map_remove(&p->waits, &wait->node);
    wait->ticket = 0;
}

struct proxy_wait *proxy_wait_find(struct proxy *p, uint64_t ticket)
{
    struct map_node *node = map_first(&p->waits, ticket);

    return node ? map_entry(node, struct proxy_wait, node) : NULL;
}

uint64_t proxy_wait_ticket(struct proxy_request *req)
{
    struct proxy_context *c = proxy_context_of(req);

    proxy_wait_stop(req->proxy, &c->wait);
    proxy_wait_start(req->proxy, &c->wait);
    req->ticket = c->wait.ticket;
    return req->ticket;
}

/* Birth */

static size_t reading_bytes(const struct sip_msg *msg)
{
    return sizeof(*msg) + sizeof(struct sip_uri) + msg->n_hdrs * sizeof(*msg->hdrs) +
           READING_PIECES * ARENA_ALIGN_BYTES;
}

bool proxy_is_trusted(const struct proxy_opts *opts, const struct sip_hop *from)
{
    if (from->is_trusted)
        return true;
    for (size_t i = 0; i < opts->n_trusted; i++) {
        if (addr_prefix_has(&opts->trusted[i], &from->addr))
            return true;
    }
    return false;
}

/* Of an INVITE, in an arena of its own. */
static int keep_message(struct proxy_context *c, const struct sip_msg *msg)
{
    struct proxy_request *req = &c->req;
    struct arena *reading;
    int rc;

    if (msg->method == SIP_METHOD_INVITE)
        arena_init_sized(&c->reading, &req->proxy->requests, reading_bytes(msg));
    reading = proxy_context_reading(c);
    req->msg = arena_alloc(reading, sizeof(*req->msg));
    if (!req->msg)
        return ERR_NOMEM;
    rc = sip_msg_keep(msg, &req->arena, reading, req->msg);
    if (rc < 0)
        return rc;
    req->method = msg->method;
    req->call_id = sip_msg_call_id(req->msg);
    c->octets = slice_make(req->msg->bytes, req->msg->len);
    return 0;
}

static int fill_request(struct proxy_context *c, const struct proxy_arrival *arrival)
{
    struct proxy_request *req = &c->req;
    const struct proxy_opts *opts = req->proxy->opts;
    const struct sip_uri *ruri;
    const struct sip_cseq *cseq;
    int rc = keep_message(c, arrival->msg);

    if (rc == 0)
        rc = sip_msg_ruri(req->msg, &ruri);
    if (rc == 0)
        rc = sip_msg_cseq(req->msg, &cseq);
    if (rc < 0)
        return rc;
    req->top_via = arena_dup(&req->arena, arrival->top_via);
    if (slice_is_null(req->top_via))
        return ERR_NOMEM;
    req->ruri_text = req->msg->ruri;
    req->ruri = *ruri;
    c->asked_domain = proxy_uri_domain(opts, ruri);
    if (opts->route_number)
        req->route_number = opts->route_number(opts->route_number_ctx, opts, req->msg, &req->from);
    return 0;
}

/* A CANCEL that gets here has no transaction to belong to, and is forwarded without one (section 16.10). */
static bool needs_server(const struct proxy_context *c)
{
    return !c->is_stateless && c->req.method != SIP_METHOD_ACK && c->req.method != SIP_METHOD_CANCEL;
}

static int fill(struct proxy_context *c, const struct proxy_arrival *arrival)
{
    int rc = fill_request(c, arrival);

    if (rc < 0)
        return rc;
    list_init(&c->branches);
    proxy_ring_timer_init(c);
    c->user.kind = PROXY_USER_CONTEXT;
    c->reply_hop = arrival->reply_hop;
    c->received_ms = c->req.proxy->wheel.now_ms;
    c->prefer_listener = PROXY_LISTENER_NONE;
    c->max_breadth = c->req.proxy->opts->max_breadth;
    c->req.trusted = proxy_is_trusted(c->req.proxy->opts, arrival->from);
    c->req.recurse_3xx = c->req.proxy->opts->recurse_3xx;
    c->req.ring_ms = c->req.proxy->opts->ring_ms;
    if (!needs_server(c))
        return 0;
    return txn_server_new(c->req.proxy->txn, c->req.msg, &arrival->key, &c->reply_hop, &c->user,
                          &c->req.server);
}

/* Of a request with one target, which is what most are. */
static size_t expected_bytes(const struct proxy_arrival *arrival)
{
    const struct sip_msg *msg = arrival->msg;
    size_t reading = msg->method == SIP_METHOD_INVITE ? 0 : reading_bytes(msg);

    return sizeof(struct proxy_context) + sizeof(struct proxy_target) + sizeof(struct proxy_branch) +
           sizeof(struct sip_hop) + msg->len + reading + arrival->top_via.len + ROUNDING_BYTES;
}

struct proxy_context *proxy_context_new(struct proxy *p, const struct proxy_arrival *arrival,
                                        bool is_stateless)
{
    struct proxy_context *c;
    struct arena arena;

    arena_init_sized(&arena, &p->requests, expected_bytes(arrival));
    c = arena_zalloc(&arena, sizeof(*c));
    if (!c)
        return NULL;
    c->req.arena = arena;
    c->req.proxy = p;
    c->req.from = *arrival->from;
    c->req.listener = arrival->listener;
    c->is_stateless = is_stateless;
    if (fill(c, arrival) < 0) {
        arena_done(&c->reading);
        arena = c->req.arena;
        arena_done(&arena);
        return NULL;
    }
    c->is_without_server = !c->req.server;
    p->n_without_server += c->is_without_server;
    list_append(&p->contexts, &c->node);
    return c;
}

/* Rest */

static void forget(struct proxy_context *c)
{
    c->req.msg = NULL;
    c->is_read = false;
    for (struct proxy_target *t = c->req.targets; t; t = t->next) {
        for (struct proxy_target *way = t; way; way = way->instead)
            way->uri = NULL;
    }
}

void proxy_context_rest(struct proxy_context *c)
{
    if (c->is_resting)
        return;
    c->is_resting = true;
    forget(c);
    arena_done(&c->reading);
}

static int read_message(struct proxy_context *c)
{
    struct arena *scratch = &c->req.proxy->scratch;
    struct sip_msg *msg = arena_alloc(scratch, sizeof(*msg));
    struct sip_error error;
    int rc = ERR_NOMEM;

    if (msg)
        rc = sip_msg_parse(c->octets, true, &proxy_limits_own, scratch, msg, &error);
    if (rc == 0)
        c->req.msg = msg;
    return rc;
}

static int read_targets(struct proxy_context *c)
{
    for (struct proxy_target *t = c->req.targets; t; t = t->next) {
        for (struct proxy_target *way = t; way; way = way->instead) {
            struct sip_uri *uri = arena_alloc(&c->req.proxy->scratch, sizeof(*uri));
            int rc = uri ? sip_uri_parse(way->uri_text, uri) : ERR_NOMEM;

            if (rc < 0)
                return rc;
            way->uri = uri;
        }
    }
    return 0;
}

int proxy_context_read(struct proxy_context *c)
{
    struct proxy *p = c->req.proxy;
    int rc;

    if (!c->is_resting || c->is_read)
        return 0;
    rc = read_message(c);
    if (rc == 0)
        rc = read_targets(c);
    if (rc < 0) {
        forget(c);
        return rc;
    }
    c->is_read = true;
    c->next_read = p->read;
    p->read = c;
    return 0;
}

struct arena *proxy_context_reading(struct proxy_context *c)
{
    if (c->is_resting)
        return &c->req.proxy->scratch;
    return c->reading.pool ? &c->reading : &c->req.arena;
}

static void forget_readings(struct proxy *p)
{
    for (struct proxy_context *c = p->read; c; c = c->next_read)
        forget(c);
    p->read = NULL;
}

bool proxy_request_is_stateless(struct proxy_request *req)
{
    return proxy_context_of(req)->is_stateless;
}

/* The chain */

void proxy_context_run_chain(struct proxy_context *c)
{
    struct proxy_request *req = &c->req;
    enum proxy_verdict verdict = PROXY_NEXT;

    while (verdict == PROXY_NEXT) {
        const struct proxy_step *step = &req->proxy->opts->chain[req->step];

        assert(step->name && "the last step answers, forwards or drops");
        verdict = step->run(req, step->ctx);
        req->resumed = NULL;
        proxy_explain(c, NULL, "proxy.step", 0, step->name);
        if (verdict == PROXY_NEXT)
            req->step++;
    }
    /* Section 16.2: "the proxy core MUST behave as a UAS with respect to sending an immediate provisional". */
    if (verdict == PROXY_WAIT && proxy_is_invite(c))
        proxy_reply_trying(c);
}

/* Death */

static struct proxy_link *link_new(struct proxy_context *c)
{
    struct proxy_link *link = pool_get(&c->req.proxy->links);

    /* Without it further 2xx are lost, as if the network had dropped them. */
    if (!link)
        return NULL;
    link->user.kind = PROXY_USER_LINK;
    link->server = c->req.server;
    list_append(&c->req.proxy->live_links, &link->node);
    return link;
}

static bool is_more_expected(const struct proxy_branch *b)
{
    return b->is_accepted && b->client;
}

static bool needs_link(const struct proxy_context *c)
{
    if (!c->is_final_sent || !c->req.server)
        return false;
    list_for_each(node, &c->branches)
    {
        if (is_more_expected(list_entry(node, struct proxy_branch, node)))
            return true;
    }
    return false;
}

static void let_go(struct proxy *p, struct proxy_branch *b, struct proxy_link *link)
{
    timer_stop(&p->wheel, &b->timer);
    proxy_wait_stop(p, &b->wait);
    proxy_branch_drop(b);
    if (!b->client)
        return;
    if (link && is_more_expected(b)) {
        txn_client_set_user(b->client, &link->user);
        link->n_clients++;
    } else {
        txn_client_set_user(b->client, NULL);
    }
}

void proxy_context_release(struct proxy_context *c)
{
    struct proxy *p = c->req.proxy;
    struct proxy_link *link;

    if (c->is_released)
        return;
    c->is_released = true;
    proxy_wait_stop(p, &c->wait);
    timer_stop(&p->wheel, &c->ring_timer);
    link = needs_link(c) ? link_new(c) : NULL;
    list_for_each(node, &c->branches)
    {
        let_go(p, list_entry(node, struct proxy_branch, node), link);
    }
    p->n_without_server -= c->is_without_server;
    if (c->own && !(c->req.server && c->is_final_sent)) {
        proxy_own_free(p, c->own);
        c->own = NULL;
    }
    if (c->req.server)
        txn_server_set_user(c->req.server, link ? &link->user : c->own ? &c->own->user : NULL);
    list_remove(&c->node);
    list_append(&p->dead, &c->node);
}

void proxy_context_abandon(struct proxy_context *c)
{
    struct txn_server *server = c->req.server;

    proxy_context_release(c);
    txn_server_abandon(c->req.proxy->txn, server);
}

void proxy_contexts_bury(struct proxy *p)
{
    forget_readings(p);
    while (!list_is_empty(&p->dead)) {
        struct proxy_context *c = list_entry(p->dead.next, struct proxy_context, node);
        struct arena arena = c->req.arena;

        list_remove(&c->node);
        wire_unref(c->best.wire);
        arena_done(&c->reading);
        arena_done(&arena);
    }
}
