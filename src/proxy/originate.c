#include "proxy/originate.h"
#include "base/num.h"
#include "proxy/internal.h"
#include <assert.h>

#define NUMBERS_BYTES 256 /* what of a request is neither text of the caller's nor of the listener's */

struct proxy_origination {
    struct proxy_user user;
    struct list node;
    struct proxy *proxy;
    struct arena arena; /* this lives in it */
    struct proxy_wait wait;
    struct timer timer;
    struct txn_client *client; /* NULL: not sent yet */
    struct sip_hop *hops;
    size_t n_hops, next_hop;
    uint16_t prefer_listener;
    enum sip_method method;
    bool has_deadline;
    ms_t sent_ms;
    struct slice uri, rest; /* Request-URI; all that stands below the Via */
    proxy_origin_fn *answered;
    void *ctx;
};

/* Life */

static void set_client(struct proxy_origination *o, struct txn_client *client)
{
    if (o->client)
        txn_client_set_user(o->client, NULL);
    o->proxy->n_originated -= o->client != NULL;
    o->proxy->n_originated += client != NULL;
    o->client = client;
}

/* Its transaction, if there is one, lingers without it. */
static void release(struct proxy_origination *o)
{
    struct proxy *p = o->proxy;
    struct arena arena = o->arena;

    set_client(o, NULL);
    timer_stop(&p->wheel, &o->timer);
    proxy_wait_stop(p, &o->wait);
    list_remove(&o->node);
    p->n_originations--;
    arena_done(&arena);
}

static void finish(struct proxy_origination *o, unsigned status, struct sip_msg *response)
{
    struct proxy_origin_answer answer = {.status = status, .response = response};
    proxy_origin_fn *answered = o->answered;
    void *ctx = o->ctx;

    if (o->next_hop > 0) {
        answer.hop = o->hops[o->next_hop - 1];
        answer.round_trip_ms = o->proxy->wheel.now_ms - o->sent_ms;
    }
    release(o);
    answered(ctx, &answer);
}

void proxy_originations_drop(struct proxy *p)
{
    while (!list_is_empty(&p->originations))
        release(list_entry(p->originations.next, struct proxy_origination, node));
}

size_t proxy_originations(const struct proxy *p)
{
    return p->n_originations;
}

/* What is sent: section 8.1.1 */

static size_t extra_bytes(const struct sip_extra *extra)
{
    size_t bytes = 0;

    for (; extra && (extra->id != SIP_HDR_OTHER || !slice_is_null(extra->name)); extra++)
        bytes += sip_hdr_name(extra->id).len + extra->name.len + extra->value.len + 4;
    return bytes;
}

static void put_header(struct buf *out, struct slice name, struct slice value)
{
    buf_put(out, name);
    buf_lit(out, ": ");
    buf_put(out, value);
    buf_lit(out, "\r\n");
}

static void put_extra(struct buf *out, const struct sip_extra *extra)
{
    for (; extra && (extra->id != SIP_HDR_OTHER || !slice_is_null(extra->name)); extra++)
        put_header(out, extra->id == SIP_HDR_OTHER ? extra->name : sip_hdr_name(extra->id), extra->value);
}

static void put_from(struct buf *out, const struct proxy *p, struct slice from, uint64_t tag)
{
    buf_lit(out, "From: <");
    if (slice_is_null(from)) {
        buf_lit(out, "sip:");
        buf_put(out, p->opts->listeners[0].host);
    } else {
        buf_put(out, from);
    }
    buf_lit(out, ">;tag=");
    buf_hex64(out, tag);
    buf_lit(out, "\r\n");
}

/* The answer must come to this worker, and workers are told apart by Call-ID. */
static void put_call_id(struct buf *out, struct proxy *p, uint64_t random)
{
    char text[32];
    struct buf id;

    do {
        buf_init(&id, text, sizeof(text));
        buf_hex64(&id, random);
        buf_hex64(&id, ++p->last_call_id);
    } while (p->opts->n_workers > 1 &&
             proxy_call_worker(&p->opts->call_key, p->opts->n_workers, buf_slice(&id)) != p->opts->worker);
    put_header(out, SLICE("Call-ID"), buf_slice(&id));
}

/* Section 11.1: "An Accept header field SHOULD be included to indicate the type of message body the UAC
 * wishes to receive in the response." */
static void put_rest(struct buf *out, struct proxy *p, const struct proxy_origin *origin)
{
    uint64_t random[2];

    p->ports.random(p->ports.ctx, random, sizeof(random));
    buf_lit(out, "Max-Forwards: 70\r\n");
    if (!slice_is_null(origin->routes))
        put_header(out, SLICE("Route"), origin->routes);
    put_from(out, p, origin->from, random[0]);
    buf_lit(out, "To: <");
    buf_put(out, slice_is_null(origin->to) ? origin->uri : origin->to);
    buf_lit(out, ">\r\n");
    put_call_id(out, p, random[1]);
    buf_lit(out, "CSeq: 1 ");
    buf_put(out, sip_method_name(origin->method));
    buf_lit(out, "\r\n");
    if (origin->method == SIP_METHOD_OPTIONS)
        buf_lit(out, "Accept: application/sdp\r\n");
    if (p->opts->server_name.len > 0)
        put_header(out, SLICE("User-Agent"), p->opts->server_name);
    put_extra(out, origin->extra);
    buf_lit(out, "Content-Length: 0\r\n\r\n");
}

static int keep_text(struct proxy_origination *o, const struct proxy_origin *origin)
{
    struct proxy *p = o->proxy;
    size_t cap = origin->uri.len + origin->to.len + origin->from.len + origin->routes.len +
                 extra_bytes(origin->extra) + p->opts->listeners[0].host.len + p->opts->server_name.len +
                 NUMBERS_BYTES;
    char *memory;
    struct buf out;

    if (cap > p->opts->path_mtu_bytes)
        return ERR_LIMIT;
    memory = arena_alloc(&o->arena, cap);
    o->uri = arena_dup(&o->arena, origin->uri);
    if (!memory || slice_is_null(o->uri))
        return ERR_NOMEM;
    buf_init(&out, memory, cap);
    put_rest(&out, p, origin);
    assert(!buf_failed(&out));
    o->rest = buf_slice(&out);
    return 0;
}

static int build(const struct proxy_origination *o, const struct sip_hop *hop, struct slice branch,
                 struct wire **ret_wire)
{
    const struct proxy_listener *l = proxy_listener_at(o->proxy, hop->listener);
    size_t cap = o->uri.len + o->rest.len + l->host.len + NUMBERS_BYTES;
    struct wire *wire;
    struct buf out;

    wire = wire_new(cap);
    if (!wire)
        return ERR_NOMEM;
    buf_init(&out, wire->bytes, cap);
    buf_put(&out, sip_method_name(o->method));
    buf_lit(&out, " ");
    buf_put(&out, o->uri);
    buf_lit(&out, " SIP/2.0\r\nVia: ");
    proxy_via_put(o->proxy->opts, &out, l, (enum sip_transport)hop->transport, branch);
    buf_lit(&out, "\r\n");
    buf_put(&out, o->rest);
    assert(!buf_failed(&out));
    wire->len = (uint32_t)out.len;
    if (hop->transport == SIP_TRANSPORT_UDP &&
        wire->len + PROXY_MTU_MARGIN > o->proxy->opts->path_mtu_bytes) {
        wire_unref(wire);
        return ERR_LIMIT;
    }
    *ret_wire = wire;
    return 0;
}

static int send_to(struct proxy_origination *o, struct sip_hop hop)
{
    struct proxy *p = o->proxy;
    char branch[PROXY_BRANCH_BYTES];
    struct txn_client *client;
    struct wire *wire;
    int rc = proxy_listener_choose(p, &hop, o->prefer_listener, PROXY_LISTENER_NONE, &hop.listener);

    if (rc < 0)
        return rc;
    proxy_branch_id_new(p, 0, branch);
    rc = build(o, &hop, slice_make(branch, sizeof(branch)), &wire);
    if (rc < 0)
        return rc;
    o->sent_ms = p->wheel.now_ms;
    rc = txn_client_new(p->txn, o->method, SLICE_NULL, slice_make(branch, sizeof(branch)), wire, &hop,
                        &o->user, &client);
    wire_unref(wire);
    if (rc == 0)
        set_client(o, client);
    return rc;
}

/* The first address that takes it. The error of the last one when none does. */
static int try_hops(struct proxy_origination *o)
{
    int rc = ERR_NOTFOUND;

    while (rc < 0 && rc != ERR_NOMEM && o->next_hop < o->n_hops)
        rc = send_to(o, o->hops[o->next_hop++]);
    return rc;
}

/* RFC 3263 section 4.3 */
static void fail_over(struct proxy_origination *o, unsigned status, struct sip_msg *response)
{
    if (o->next_hop < o->n_hops) {
        set_client(o, NULL);
        if (try_hops(o) == 0)
            return;
    }
    finish(o, status, response);
}

/* What happens to it */

static void on_deadline(struct timer_wheel *wheel, struct timer *timer)
{
    struct proxy_origination *o = list_entry(timer, struct proxy_origination, timer);
    struct proxy *p = wheel->user;
    struct txn_client *client = o->client;

    set_client(o, NULL);
    if (client)
        txn_client_abandon(p->txn, client);
    finish(o, 408, NULL);
}

static struct proxy_origination *origination_of(struct proxy_user *user)
{
    return list_entry(user, struct proxy_origination, user);
}

void proxy_origin_response(struct proxy_user *user, struct sip_msg *response)
{
    struct proxy_origination *o = origination_of(user);

    if (o->client)
        proxy_neighbour_heard(o->proxy, txn_client_hop(o->client), response);
    if (response->status == 503)
        fail_over(o, 503, response);
    else if (response->status >= 200)
        finish(o, response->status, response);
}

void proxy_origin_timeout(struct proxy_user *user)
{
    fail_over(origination_of(user), 408, NULL);
}

void proxy_origin_transport_error(struct proxy_user *user)
{
    fail_over(origination_of(user), 503, NULL);
}

static int set_hops(struct proxy_origination *o, const struct sip_hop *hops, size_t n_hops)
{
    proxy_wait_stop(o->proxy, &o->wait);
    if (!o->has_deadline)
        timer_stop(&o->proxy->wheel, &o->timer);
    o->hops = arena_alloc(&o->arena, (n_hops ? n_hops : 1) * sizeof(*hops));
    if (!o->hops)
        return ERR_NOMEM;
    memcpy(o->hops, hops, n_hops * sizeof(*hops));
    o->n_hops = n_hops;
    return try_hops(o);
}

void proxy_origin_resolved(struct proxy_wait *wait, int err, const struct sip_hop *hops, size_t n_hops)
{
    struct proxy_origination *o = list_entry(wait, struct proxy_origination, wait);

    if (err < 0 || set_hops(o, hops, n_hops) < 0)
        finish(o, 503, NULL);
}

/* Birth */

static bool has_control(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\r' || text.ptr[i] == '\n' || text.ptr[i] == '\0')
            return true;
    }
    return false;
}

static int check_uri(struct slice text, struct sip_uri *ret_uri)
{
    struct sip_uri uri;
    int rc = sip_uri_parse(text, &uri);

    if (rc == 0 && uri.scheme != SIP_SCHEME_SIP && uri.scheme != SIP_SCHEME_SIPS)
        rc = ERR_SYNTAX;
    if (rc == 0)
        *ret_uri = uri;
    return rc;
}

/* Where to (section 8.1.2): the first Route value, else the Request-URI. */
static int find_next(const struct proxy_origin *origin, struct sip_uri *ret_next)
{
    struct sip_name_addr top;
    struct sip_uri uri;
    int rc = check_uri(origin->uri, ret_next);

    if (rc == 0 && !slice_is_null(origin->to))
        rc = check_uri(origin->to, &uri);
    if (rc == 0 && !slice_is_null(origin->from))
        rc = check_uri(origin->from, &uri);
    if (rc < 0 || slice_is_null(origin->routes))
        return rc;
    rc = sip_name_addr_parse(slice_trim(proxy_first_element(origin->routes)), &top);
    if (rc == 0)
        rc = check_uri(top.uri_text, &uri);
    if (rc < 0 || !uri.lr || has_control(origin->routes))
        return ERR_SYNTAX;
    if (ret_next->scheme == SIP_SCHEME_SIPS)
        uri.scheme = SIP_SCHEME_SIPS;
    *ret_next = uri;
    return 0;
}

static int start(struct proxy_origination *o, const struct proxy_origin *origin, const struct sip_uri *next)
{
    struct proxy *p = o->proxy;
    struct proxy_lookup lookup = {.uri = next};
    struct sip_hop hops[PROXY_HOPS_MAX];
    size_t n_hops = 0;
    int rc;

    o->has_deadline = origin->timeout_ms > 0;
    timer_set(&p->wheel, &o->timer,
              p->wheel.now_ms + (o->has_deadline ? origin->timeout_ms : 64 * p->opts->times.t1_ms));
    if (origin->has_hop) {
        o->prefer_listener = origin->hop.listener;
        return set_hops(o, &origin->hop, 1);
    }
    o->prefer_listener = PROXY_LISTENER_NONE;
    proxy_wait_start(p, &o->wait);
    lookup.ticket = o->wait.ticket;
    p->ports.random(p->ports.ctx, &lookup.seed, sizeof(lookup.seed));
    rc = p->ports.resolve(p->ports.ctx, &lookup, hops, &n_hops);
    if (rc == ERR_AGAIN)
        return 0;
    return rc < 0 ? ERR_NOTFOUND : set_hops(o, hops, n_hops);
}

static struct proxy_origination *origination_new(struct proxy *p)
{
    struct proxy_origination *o;
    struct arena arena;

    arena_init(&arena, &p->requests);
    o = arena_zalloc(&arena, sizeof(*o));
    if (!o)
        return NULL;
    o->user.kind = PROXY_USER_ORIGIN;
    o->wait.kind = PROXY_WAIT_ORIGIN;
    o->arena = arena;
    o->proxy = p;
    timer_init(&o->timer, on_deadline);
    list_append(&p->originations, &o->node);
    p->n_originations++;
    return o;
}

int proxy_originate(struct proxy *p, const struct proxy_origin *origin, proxy_origin_fn *answered, void *ctx)
{
    struct proxy_origination *o;
    struct sip_uri next;
    int rc;

    assert(origin->method != SIP_METHOD_INVITE && origin->method != SIP_METHOD_ACK &&
           origin->method != SIP_METHOD_CANCEL && origin->method != SIP_METHOD_OTHER);
    if (p->draining)
        return ERR_CLOSED;
    if (p->n_originations == PROXY_ORIGINS_MAX)
        return ERR_LIMIT;
    rc = find_next(origin, &next);
    if (rc < 0)
        return ERR_SYNTAX;
    o = origination_new(p);
    if (!o)
        return ERR_NOMEM;
    o->method = origin->method;
    o->answered = answered;
    o->ctx = ctx;
    rc = keep_text(o, origin);
    if (rc == 0)
        rc = start(o, origin, &next);
    if (rc < 0)
        release(o);
    else
        counter_inc(p->counters, COUNTER_ORIGINATED);
    return rc;
}

int proxy_keep_alive(struct proxy *p, const struct sip_hop *hop)
{
    struct wire *wire = wire_from(SLICE("\r\n\r\n"));
    int rc = wire ? p->ports.send(p->ports.ctx, hop, wire, 0) : ERR_NOMEM;

    wire_unref(wire);
    return rc;
}
