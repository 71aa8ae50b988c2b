/* The ways to the client that a branch is for: where one leads, by its flow or by RFC 3263; and another one,
 * when one is cut (RFC 5626 section 7). */
#include "proxy/branch.h"

/* Section 16.6 step 7: the address of a flow that the binding names is used as it is, unless the caller's own
 * Route values say that something else comes first; and a SIPS contact that was registered without TLS is not
 * reached so. */
static bool goes_by_flow(const struct proxy_context *c, const struct proxy_target *target)
{
    return target->has_hop && c->n_routes == 0 &&
           (!proxy_target_is_secure(target) ||
            sip_transport_is_secure((enum sip_transport)target->hop.transport));
}

/* False: the branch has ended. */
static bool make_plan(struct proxy_branch *b, struct proxy_plan *ret_plan)
{
    int rc;

    if (proxy_context_read(b->context) < 0) {
        proxy_branch_shed(b, "no memory to read the request again");
        return false;
    }
    rc = proxy_plan_make(b->context, b->target, ret_plan);
    if (rc == ERR_NOMEM)
        proxy_branch_end(b, PROXY_TRY_DROPPED, 503, "no memory for the Route");
    else if (rc < 0)
        proxy_branch_end(b, PROXY_TRY_DROPPED, 400, "the next Route value cannot be used (16.6 step 6)");
    return rc >= 0;
}

static void look_up(struct proxy_branch *b, const struct sip_uri *next)
{
    struct proxy *p = proxy_branch_proxy(b);
    struct sip_hop hops[PROXY_HOPS_MAX];
    struct proxy_branch_input in = {.hops = hops};
    struct proxy_lookup lookup;
    int rc;

    proxy_wait_start(p, &b->wait);
    lookup = proxy_lookup_of(b->context, next, b->wait.ticket);
    lookup.n_failed = b->n_before;
    rc = p->ports.resolve(p->ports.ctx, &lookup, hops, &in.n_hops);
    if (rc == ERR_AGAIN) {
        /* A resolver that never answers must not hold the request for ever: as long as a silent server. */
        timer_set(&p->wheel, &b->timer, p->wheel.now_ms + 64 * p->opts->times.t1_ms);
        return;
    }
    in.err = rc;
    proxy_branch_happen(b, rc == 0 ? PROXY_EVENT_RESOLVED : PROXY_EVENT_UNRESOLVED, &in);
}

void proxy_way_begin(struct proxy_branch *b)
{
    const struct proxy_branch_input flow = {.hops = &b->target->hop, .n_hops = 1};
    struct proxy_plan plan;

    if (!make_plan(b, &plan))
        return;
    if (goes_by_flow(b->context, b->target))
        proxy_branch_happen(b, PROXY_EVENT_RESOLVED, &flow);
    else
        look_up(b, &plan.next);
}

/* RFC 5626 section 7: once somebody was alerted he has had his chance; and a spiral has used its breadth
 * (order.c). */
bool proxy_way_may_switch(const struct proxy_branch *b)
{
    return b->target->instead && b->context->n_spirals == 0 && !b->context->is_closed && !b->has_rung &&
           b->state != PROXY_BRANCH_CANCEL_DUE && b->state != PROXY_BRANCH_CANCELLING;
}

/* "the proxy SHOULD replace the failed branch with another target (if one is available) with the same AOR and
 * instance-id, but a different reg-id." */
void proxy_way_switch(struct proxy_branch *b, unsigned status, const char *why)
{
    proxy_wait_stop(proxy_branch_proxy(b), &b->wait);
    b->target = b->target->instead;
    proxy_hops_forget(b);
    proxy_branch_look_again(b, status, why);
}

void proxy_way_end(struct proxy_branch *b, enum proxy_try how, unsigned status, const char *why)
{
    if (proxy_way_may_switch(b))
        proxy_way_switch(b, status, why);
    else
        proxy_branch_end(b, how, status, why);
}

/* Section 16.9: "as if the forwarded request received a 503", and RFC 5626 section 5.3.1: "If the flow no
 * longer exists, the proxy SHOULD send a 430 (Flow Failed)". */
unsigned proxy_way_error_status(const struct proxy_branch *b)
{
    return b->target->has_hop && b->target->hop.flow_only ? 430 : 503;
}
