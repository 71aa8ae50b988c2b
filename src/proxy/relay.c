/* No open relay. */
#include "proxy/internal.h"

bool proxy_leads_elsewhere(struct proxy_request *req)
{
    const struct proxy_context *c = proxy_context_of(req);

    return c->n_routes > 0 || req->is_led_out || (!req->domain && !c->is_ruri_self);
}

bool proxy_may_relay(const struct proxy_request *req)
{
    return req->trusted || req->dialog_is_ours || req->is_relay_allowed || !slice_is_null(req->user);
}

enum proxy_verdict proxy_step_relay(struct proxy_request *req, void *ctx)
{
    (void)ctx;
    if (!proxy_leads_elsewhere(req) || proxy_may_relay(req))
        return PROXY_NEXT;
    counter_inc(req->proxy->counters, COUNTER_RELAY_DENIED);
    return proxy_reply(req, 403, SLICE_NULL, NULL,
                       "not from a user, a trusted source or a dialog of ours (26.3.2)");
}
