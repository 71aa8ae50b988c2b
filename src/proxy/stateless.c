/* Forwarding without transactions: RFC 3261 section 16.11, and ACK to a 2xx, and a CANCEL that nothing is
 * known of (16.10). What has to be known when the response comes back, the connection and listener that the
 * request came by, travels in a parameter of our Via (section 16.1; RFC 3581 section 4 suggests as much),
 * signed:
 *
 *     ;vd=LLFFFFFFFFFFFFFFFF-SSSSSSSSSSSSSSSS     listener, flow, signature
 *
 * An `o` in place of the dash: who is upstream wants to hear of overload (RFC 7339). */
#include "base/num.h"
#include "proxy/internal.h"
#include "sip/oc.h"
#include "sip/via_route.h"

#define PARAM          ";vd="
#define PARAM_NAME     "vd"
#define LISTENER_CHARS 2
#define FLOW_CHARS     16
#define VALUE_BYTES    (LISTENER_CHARS + FLOW_CHARS + 1 + 16)
#define PARAM_BYTES    (sizeof(PARAM) - 1 + VALUE_BYTES)

struct way_back {
    uint16_t listener;
    uint64_t flow;
    bool wants_oc;
    struct addr addr; /* where the next Via leads: signed, not written */
};

static uint64_t sign(const struct proxy *p, struct slice branch, const struct way_back *way)
{
    struct hash_state st;

    hash_begin(&st, &p->way_key);
    hash_add_nocase(&st, branch);
    hash_add_u64(&st, (uint64_t)way->listener << 1 | way->wants_oc);
    hash_add_u64(&st, way->flow);
    if (way->flow == SIP_FLOW_NONE) {
        hash_add(&st, slice_make((const char *)way->addr.ip, sizeof(way->addr.ip)));
        hash_add_u64(&st, way->addr.port);
    }
    return hash_end64(&st);
}

static struct slice format_param(const struct proxy *p, struct slice branch, const struct way_back *way,
                                 char out[PARAM_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    char *at = out + sizeof(PARAM) - 1;

    memcpy(out, PARAM, sizeof(PARAM) - 1);
    *at++ = digits[way->listener >> 4 & 15];
    *at++ = digits[way->listener & 15];
    num_format_hex64(way->flow, at);
    at[FLOW_CHARS] = way->wants_oc ? 'o' : '-';
    num_format_hex64(sign(p, branch, way), at + FLOW_CHARS + 1);
    return slice_make(out, PARAM_BYTES);
}

/* It stands where we put it, behind the branch, unless who sent the response has written our Via anew. */
static bool find_param(const struct proxy *p, const struct sip_via *via, struct slice *ret_value)
{
    const size_t question_bytes = p->opts->is_oc_off ? 0 : sizeof(SIP_OC_QUESTION) - 1;
    struct slice rest = SLICE_NULL;

    if (!slice_is_null(via->branch))
        rest = slice_sub(via->params,
                         (size_t)(via->branch.ptr - via->params.ptr) + via->branch.len + question_bytes,
                         via->params.len);
    if (!slice_starts_with(rest, SLICE(PARAM)))
        return sip_param(via->params, SLICE(PARAM_NAME), ret_value);
    rest = slice_sub(rest, sizeof(PARAM) - 1, rest.len);
    *ret_value = slice_sub(rest, 0, slice_find(rest, ';'));
    return true;
}

/* addr: where the next Via leads, as far as can be read from it. */
static bool read_param(const struct proxy *p, const struct sip_via *via, const struct addr *addr,
                       struct way_back *ret_way)
{
    uint64_t listener, flow, signature;
    struct way_back way;
    struct slice value;

    if (!find_param(p, via, &value) || value.len != VALUE_BYTES ||
        num_parse_hex64(slice_sub(value, 0, LISTENER_CHARS), &listener) < 0 ||
        num_parse_hex64(slice_sub(value, LISTENER_CHARS, LISTENER_CHARS + FLOW_CHARS), &flow) < 0 ||
        num_parse_hex64(slice_sub(value, LISTENER_CHARS + FLOW_CHARS + 1, VALUE_BYTES), &signature) < 0)
        return false;
    way = (struct way_back){(uint16_t)listener, flow, value.ptr[LISTENER_CHARS + FLOW_CHARS] == 'o', *addr};
    if (signature != sign(p, via->branch, &way) || way.listener >= p->opts->n_listeners)
        return false;
    *ret_way = way;
    return true;
}

/* Requests */

static uint64_t weight_of(const struct proxy_request *req, const struct proxy_target *target)
{
    struct hash_state st;

    hash_begin_table(&st, &req->proxy->opts->secret);
    hash_add(&st, req->call_id);
    hash_add(&st, target->uri_text);
    return hash_end64(&st);
}

static struct proxy_target *next_equal(const struct proxy_target *target)
{
    return target->next && target->next->q_milli == target->q_milli ? target->next : NULL;
}

/* "A stateless proxy MUST choose one and only one target from the target set. This choice MUST only rely on
 * fields in the message and time-invariant properties of the server." Of several of the same rank the Call-ID
 * chooses, so that a target more or less moves no call but its own (highest random weight). */
static struct proxy_target *choose_target(struct proxy_context *c)
{
    const struct proxy_request *req = &c->req;
    struct proxy_target *chosen = req->targets;
    uint64_t best;

    if (!next_equal(chosen))
        return chosen;
    best = weight_of(req, chosen);
    for (struct proxy_target *t = next_equal(chosen); t; t = next_equal(t)) {
        uint64_t weight = weight_of(req, t);

        if (weight > best) {
            chosen = t;
            best = weight;
        }
    }
    return chosen;
}

enum proxy_verdict proxy_stateless_forward(struct proxy_context *c)
{
    struct proxy_target *target = choose_target(c);
    unsigned breadth = c->req.method == SIP_METHOD_CANCEL ? 0 : c->max_breadth;

    c->is_closed = true;
    target->is_started = true;
    c->breadth_spent = breadth;
    if (proxy_branch_start(c, target, breadth) < 0)
        return proxy_shed(&c->req, "no memory to forward");
    proxy_context_advance(c);
    return PROXY_DONE;
}

/* Section 16.11: "the branch parameter MUST be computed as a combinatoric function of message parameters
 * which are invariant on retransmission". An ACK to a 2xx is a transaction of its own and gets a branch of
 * its own each time. */
static int make_branch(struct proxy_branch *b)
{
    struct proxy_context *c = b->context;
    struct proxy *p = c->req.proxy;
    struct proxy_branch_id id = {.is_stateless = true, .worker = PROXY_WORKER_ANY};
    int rc;

    id.loop = proxy_context_loop_hash(c);
    if (!c->is_stateless && c->req.method == SIP_METHOD_ACK) {
        proxy_branch_id_new(p, id.loop, b->id);
        return 0;
    }
    rc = proxy_branch_stateless_unique(&p->stateless_key, c->req.msg, &id.unique);
    if (rc == 0)
        (void)proxy_branch_id_format(&id, b->id);
    return rc;
}

static bool may_become_stateful(const struct proxy_context *c)
{
    return c->is_stateless && c->req.method != SIP_METHOD_ACK && c->req.method != SIP_METHOD_CANCEL;
}

/* Section 16.1: "Requests forwarded between different types of transports where the proxy's TU must take an
 * active role in ensuring reliable delivery on one of the transports MUST be forwarded transaction
 * statefully." Nobody but a transaction here repeats a request that came over a stream and is lost by UDP, or
 * a final response that came over a stream and is lost by UDP. */
static bool needs_transaction(const struct proxy_context *c, enum sip_transport leaves_by)
{
    return may_become_stateful(c) && sip_transport_is_reliable(leaves_by) !=
                                         sip_transport_is_reliable((enum sip_transport)c->req.from.transport);
}

/* ERR_EXISTS: another copy of the request has come in the meantime and has got it. */
static int become_stateful(struct proxy_branch *b, const char *why)
{
    struct proxy_context *c = b->context;
    struct proxy *p = c->req.proxy;
    int rc = txn_server_new(p->txn, c->req.msg, NULL, &c->reply_hop, &c->user, &c->req.server);

    if (rc < 0)
        return rc;
    p->n_without_server--;
    c->is_without_server = false;
    c->is_stateless = false;
    c->is_closed = false;
    c->has_loop_hash = false; /* the other one, from now on */
    c->group_q = b->target->q_milli;
    proxy_explain(c, b, "proxy.stateful", 0, why);
    if (proxy_is_invite(c))
        proxy_reply_trying(c);
    return 0;
}

/* ERR_AGAIN: it has to leave by another type of transport. */
static int send_to(struct proxy_branch *b, const struct sip_hop *hop)
{
    struct proxy_context *c = b->context;
    struct proxy *p = c->req.proxy;
    const struct way_back way = {c->reply_hop.listener, c->reply_hop.flow, c->reply_hop.wants_oc,
                                 c->reply_hop.addr};
    struct proxy_copy copy = {.context = c, .target = b->target, .hop = *hop, .max_breadth = b->breadth};
    char param[PARAM_BYTES];
    struct wire *wire;
    bool is_by_size;
    int rc = proxy_listener_choose(p, hop, c->prefer_listener, c->req.from.listener, &copy.hop.listener);

    if (rc == 0 && !proxy_may_send(b, &hop->addr)) {
        b->is_spared = true;
        rc = ERR_DENIED;
    }
    if (rc == 0)
        rc = make_branch(b);
    if (rc < 0)
        return rc;
    copy.branch = proxy_branch_text(b);
    copy.record_listener = copy.hop.listener;
    if (c->req.method != SIP_METHOD_ACK)
        copy.via_extra = format_param(p, copy.branch, &way, param);
    rc = proxy_forward_build_sized(&copy, &wire, &is_by_size);
    if (rc < 0)
        return rc;
    rc = is_by_size && needs_transaction(c, (enum sip_transport)copy.hop.transport)
             ? ERR_AGAIN
             : proxy_send(p, &copy.hop, wire, 0);
    wire_unref(wire);
    return rc;
}

bool proxy_stateless_send(struct proxy_branch *b, const struct sip_hop *hops, size_t n_hops)
{
    struct proxy_context *c = b->context;
    const char *why = "between a stream and datagrams (16.1)";
    int rc = ERR_NOTFOUND;

    if (n_hops > 0)
        rc = needs_transaction(c, (enum sip_transport)hops[0].transport) ? ERR_AGAIN : send_to(b, &hops[0]);
    /* RFC 3263 section 4.4: "whenever a proxy does not successfully contact the first
     * server, it SHOULD act as a stateful proxy": the next retransmission could find the
     * first one well again, and would go elsewhere. */
    if (rc < 0 && rc != ERR_AGAIN && rc != ERR_NOMEM && n_hops > 1 && may_become_stateful(c)) {
        why = "the first server cannot be reached (RFC 3263 section 4.4)";
        rc = ERR_AGAIN;
    }
    if (rc == ERR_AGAIN) {
        rc = become_stateful(b, why);
        if (rc == 0)
            return false;
    }
    if (rc == 0)
        proxy_explain(c, b, "proxy.forward", 0, "without a transaction (16.11)");
    if (rc == 0 || rc == ERR_EXISTS)
        proxy_context_release(c);
    else if (rc == ERR_NOMEM)
        (void)proxy_shed(&c->req, "no memory for a transaction");
    else if (b->is_spared)
        (void)proxy_reply(&c->req, 503, SLICE_NULL, NULL,
                          "the next hop wants fewer requests (RFC 7339 section 5.10)");
    else
        (void)proxy_reply(&c->req, 500, SLICE_NULL, NULL,
                          "the next hop cannot be reached (16.9, 16.7 step 6)");
    return true;
}

/* Responses */

/* Where a response goes that nothing is known of, or an error.
 *
 * Section 16.11: "forward the result to the location indicated in the next Via header field value"; to any
 * location if it came to a listener that is a stateless proxy. Elsewhere "any element other than a stateless
 * proxy MUST silently discard the response" (RFC 6026 section 8.9), unless our signature shows that its
 * request was forwarded here without a transaction. */
static int find_way_back(struct proxy *p, const struct sip_via *ours, const struct sip_via *next,
                         uint16_t came_to, struct sip_hop *ret_hop)
{
    struct sip_hop hop = {0};
    struct way_back way;
    int rc = sip_via_route_response(next, &hop);

    if (read_param(p, ours, &hop.addr, &way)) {
        hop.listener = way.listener;
        hop.transport = proxy_listener_at(p, way.listener)->transport;
        hop.flow = way.flow;
        hop.wants_oc = way.wants_oc;
        if (hop.flow != SIP_FLOW_NONE)
            rc = 0;
    } else if (!proxy_listener_at(p, came_to)->stateless) {
        rc = ERR_DENIED;
    } else if (rc == 0) {
        rc = proxy_listener_choose(p, &hop, PROXY_LISTENER_NONE, came_to, &hop.listener);
    }
    if (rc == 0)
        *ret_hop = hop;
    return rc;
}

bool proxy_stateless_response(struct proxy *p, struct sip_msg *response, const struct sip_hop *from)
{
    const struct sip_via *ours;
    struct sip_via next;
    struct sip_hop hop;
    struct wire *wire;

    if (sip_msg_top_via(response, &ours) < 0 || sip_msg_next_via(response, &next) < 0 ||
        find_way_back(p, ours, &next, from->listener, &hop) < 0 ||
        proxy_response_strip(p, response, &hop, &wire) < 0)
        return false;
    proxy_neighbour_hear(p, &from->addr, ours);
    proxy_send_quietly(p, &hop, wire);
    wire_unref(wire);
    counter_inc(p->counters, COUNTER_RESPONSES_FORWARDED);
    return true;
}
