/* One attempt of a branch: the request as it goes to one address, by a client transaction and a branch
 * parameter of its own; whether that address is to be sent it at all; and what is told of how it fared. */
#include "proxy/branch.h"

int proxy_attempt_send(struct proxy_branch *b, const struct sip_hop *hop)
{
    struct proxy_context *c = b->context;
    struct proxy *p = proxy_branch_proxy(b);
    struct proxy_copy copy = {.context = c, .target = b->target, .hop = *hop, .max_breadth = b->breadth};
    struct wire *wire;
    int rc = proxy_listener_choose(p, hop, c->prefer_listener, c->req.from.listener, &copy.hop.listener);

    if (rc < 0)
        return rc;
    /* Section 16.6 step 7: "the branch parameter ... MUST be different for each attempt". */
    proxy_branch_id_new(p, proxy_context_loop_hash(c), b->id);
    copy.branch = proxy_branch_text(b);
    copy.record_listener = copy.hop.listener;
    b->is_by_size = false;
    rc = b->is_udp_forced ? proxy_forward_build(&copy, &wire)
                          : proxy_forward_build_sized(&copy, &wire, &b->is_by_size);
    if (rc < 0)
        return rc;
    rc = txn_client_new(p->txn, c->req.method, c->req.msg->method_name, copy.branch, wire, &copy.hop,
                        &b->user, &b->client);
    wire_unref(wire);
    b->sent_ms = p->wheel.now_ms;
    b->is_heard = false;
    return rc;
}

/* All that a copy is made of stays with the context and the target. */
int proxy_attempt_request(struct proxy_branch *b, struct wire **ret_wire)
{
    struct proxy_copy copy = {.context = b->context,
                              .target = b->target,
                              .hop = *txn_client_hop(b->client),
                              .branch = proxy_branch_text(b),
                              .is_for_follow_up = true};
    int rc = proxy_context_read(b->context);

    return rc < 0 ? rc : proxy_forward_build(&copy, ret_wire);
}

/* RFC 7339 section 5.10.1: "INVITEs versus requests associated with existing sessions", and emergency
 * calls. */
static bool is_cat2(const struct proxy_context *c, struct sip_msg *request)
{
    return !slice_is_null(sip_msg_to_tag(request)) || proxy_is_emergency(c->req.proxy->opts, request->ruri);
}

bool proxy_may_send(struct proxy_branch *b, const struct addr *server)
{
    struct proxy_context *c = b->context;
    struct sip_msg *request = c->req.msg;
    struct hash_state st;

    if (!c->req.proxy->neighbours)
        return true;
    /* An ACK has no answer that could refuse it; and a CANCEL makes less work. */
    if (request->method == SIP_METHOD_ACK || request->method == SIP_METHOD_CANCEL)
        return true;
    hash_begin_table(&st, &c->req.proxy->opts->secret);
    hash_add(&st, c->req.top_via);
    hash_add_u64(&st, server->port);
    return proxy_neighbour_admits(c->req.proxy, server, is_cat2(c, request), hash_end64(&st));
}

static void report(const struct proxy_branch *b, enum proxy_fate fate, uint32_t retry_after_s)
{
    if (!b->client)
        return;
    proxy_report(proxy_branch_proxy(b), txn_client_hop(b->client), fate, b->sent_ms, retry_after_s);
    /* Silence after a non-INVITE may be that of who is behind the server (RFC 4320 section 4.2). */
    if (fate != PROXY_FATE_TIMEOUT || proxy_is_invite(b->context))
        proxy_neighbour_fared(proxy_branch_proxy(b), &txn_client_hop(b->client)->addr,
                              fate == PROXY_FATE_ANSWERED || fate == PROXY_FATE_UNAVAILABLE);
}

void proxy_attempt_failed(const struct proxy_branch *b, enum proxy_fate fate)
{
    report(b, fate, 0);
}

void proxy_attempt_answered(struct proxy_branch *b, struct sip_msg *response)
{
    uint32_t retry_after_s;

    if (b->client)
        proxy_neighbour_heard(proxy_branch_proxy(b), txn_client_hop(b->client), response);
    if (response->status == 503 && proxy_retry_after(response, &retry_after_s))
        report(b, PROXY_FATE_UNAVAILABLE, retry_after_s);
    else if (!b->is_heard)
        report(b, PROXY_FATE_ANSWERED, 0);
    b->is_heard = true;
}
