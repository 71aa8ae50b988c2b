/* An edge proxy: what its clients send for the domains of another proxy, their home, goes there; a
 * REGISTER with a Path that leads back over the client's flow (RFC 3327 section 5.2, RFC 5626 section
 * 5.1). Who they are is for the home to ask. */
#include "proxy/internal.h"

static bool is_listed(const struct proxy_edge *edge, struct slice host)
{
    for (size_t i = 0; i < edge->n_domains; i++) {
        if (slice_eq_nocase(edge->domains[i], host))
            return true;
    }
    return edge->n_domains == 0;
}

/* The client follows a Service-Route of its home (RFC 3608). */
static bool leads_home(const struct proxy_context *c, const struct proxy_edge *edge)
{
    struct sip_name_addr na;
    struct sip_uri uri;

    return sip_name_addr_parse(c->routes[0], &na) == 0 && sip_uri_parse(na.uri_text, &uri) == 0 &&
           slice_eq_nocase(uri.host, edge->home.host) &&
           sip_uri_effective_port(&uri) == sip_uri_effective_port(&edge->home);
}

/* Of what comes over a flow to its client, and of what is for us, the chain knows better. */
static bool is_for_home(const struct proxy_context *c, const struct proxy_edge *edge)
{
    const struct proxy_request *req = &c->req;

    if (slice_is_null(edge->route) || req->domain || c->is_ruri_self || req->n_targets > 0 ||
        req->dialog_is_ours)
        return false;
    return c->n_routes > 0 ? leads_home(c, edge) : is_listed(edge, req->ruri.host);
}

/* RFC 3327 section 5.2: "Intermediate proxies SHOULD NOT add a Path header field to a request unless the UA
 * has indicated support for this extension with a Supported header field value." RFC 5626 section 5.1: the
 * first hop must; others may, and this one does not. */
static bool wants_path(const struct proxy_request *req, const struct proxy_edge *edge)
{
    return req->method == SIP_METHOD_REGISTER && proxy_is_first_hop(req->msg) &&
           (edge->path_unasked || sip_msg_has_option(req->msg, SIP_HDR_SUPPORTED, SLICE("path")));
}

enum proxy_verdict proxy_step_edge(struct proxy_request *req, void *ctx)
{
    struct proxy_context *c = proxy_context_of(req);
    const struct proxy_edge *edge = &req->proxy->opts->edge;
    const struct proxy_binding home = {.uri = req->ruri_text, .path = edge->route, .q_milli = 1000};

    (void)ctx;
    if (!is_for_home(c, edge))
        return PROXY_NEXT;
    req->is_relay_allowed = true;
    c->adds_path = wants_path(req, edge);
    if (c->n_routes == 0 && proxy_add_target(req, &home) == ERR_NOMEM)
        return proxy_shed(req, "no memory for the target set");
    return PROXY_NEXT;
}
