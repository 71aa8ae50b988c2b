/* No open relay. */
#include "proxy/internal.h"

/* A request leaves for somebody else's place when its Request-URI is not ours, when a Route value that is left
 * leads it elsewhere first, or when a static route does. */
static bool leads_elsewhere(const struct proxy_context *c)
{
    return c->n_routes > 0 || c->req.is_led_out || (!c->req.domain && !c->is_ruri_self);
}

static bool may_relay(const struct proxy_request *req)
{
    return req->trusted || req->dialog_is_ours || req->is_relay_allowed || !slice_is_null(req->user);
}

enum proxy_verdict proxy_step_relay(struct proxy_request *req, void *ctx)
{
    (void)ctx;
    if (!leads_elsewhere(proxy_context_of(req)) || may_relay(req))
        return PROXY_NEXT;
    counter_inc(req->proxy->counters, COUNTER_RELAY_DENIED);
    return proxy_reply(req, 403, SLICE_NULL, NULL,
                       "not from a user, a trusted source or a dialog of ours (26.3.2)");
}
