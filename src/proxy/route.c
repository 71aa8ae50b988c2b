/* Route information preprocessing: RFC 3261 section 16.4. */
#include "proxy/flow.h"
#include "proxy/internal.h"
#include "proxy/token.h"

static enum proxy_verdict bad_route(struct proxy_context *c)
{
    return proxy_reply(&c->req, 400, SLICE("Bad Route"), NULL,
                       "a Route value that is used cannot be read (16.3 item 1)");
}

/* All Route values, in order. */
static int collect_routes(struct proxy_context *c)
{
    struct sip_values it = sip_values_of(c->req.msg, SIP_HDR_ROUTE);
    struct slice element;
    size_t n = 0;
    int rc;

    while ((rc = sip_values_next(&it, &element)) == 0)
        n++;
    if (rc != ERR_NOTFOUND)
        return rc;
    c->routes = n > 0 ? arena_alloc(&c->req.arena, n * sizeof(*c->routes)) : NULL;
    if (n > 0 && !c->routes)
        return ERR_NOMEM;
    it = sip_values_of(c->req.msg, SIP_HDR_ROUTE);
    while (c->n_routes < n && sip_values_next(&it, &element) == 0)
        c->routes[c->n_routes++] = element;
    return 0;
}

static int parse_route(struct slice element, struct sip_uri *ret_uri)
{
    struct sip_name_addr na;
    int rc = sip_name_addr_parse(element, &na);

    return rc < 0 ? rc : sip_uri_parse(na.uri_text, ret_uri);
}

static bool is_ours(const struct proxy_opts *opts, const struct sip_uri *uri)
{
    return proxy_uri_is_self(opts, uri) || proxy_uri_domain(opts, uri);
}

/* What a Record-Route URI of ours says when it comes back: whether it belongs to this dialog, and which
 * listener is meant. */
static void read_route_token(struct proxy_context *c, const struct sip_uri *uri)
{
    const struct proxy_opts *opts = c->req.proxy->opts;
    struct sip_msg *msg = c->req.msg;
    struct proxy_route_token token;

    if (slice_is_null(uri->user) ||
        !proxy_route_token_verify(&opts->secret, uri->user, sip_msg_call_id(msg), sip_msg_from_tag(msg),
                                  sip_msg_to_tag(msg), &token))
        return;
    c->req.dialog_is_ours = true;
    if (token.listener < opts->n_listeners) {
        c->prefer_listener = token.listener;
        c->route_flow = token.flow;
    }
}

/* RFC 5626 section 5.3. What was signed for a dialog is good for that dialog, and otherwise as if it were not
 * there. A token of a Path is a way to one client, and no licence to send anywhere else. */
static int read_token(struct proxy_context *c, const struct sip_uri *uri)
{
    struct proxy_flow flow;

    switch (proxy_flow_read(c->req.proxy->opts, uri->user, c->req.msg, &c->req.from, &flow)) {
    case PROXY_FLOW_ABSENT:
        read_route_token(c, uri);
        return 0;
    case PROXY_FLOW_FORGED:
        return flow.use == PROXY_FLOW_PATH ? ERR_DENIED : 0;
    case PROXY_FLOW_GONE:
        return ERR_CLOSED;
    case PROXY_FLOW_FOUND:
        break;
    }
    c->req.dialog_is_ours |= flow.use != PROXY_FLOW_PATH;
    c->prefer_listener = flow.hop.listener;
    if (flow.is_incoming) {
        c->has_flow = true;
        c->flow = flow.hop;
    }
    return 0;
}

/* "If the Request-URI of the request contains a value this proxy previously placed into a Record-Route header
 * field, the proxy MUST replace the Request-URI in the request with the last value from the Route header
 * field, and remove that value from the Route header field." A strict router sent this. */
static bool is_from_strict_router(const struct proxy_context *c)
{
    const struct sip_uri *ruri = &c->req.ruri;
    struct proxy_route_token token;

    return c->n_routes > 0 && !slice_is_null(ruri->user) &&
           (proxy_route_token_parse(ruri->user, &token) || proxy_flow_has_form(ruri->user)) &&
           is_ours(c->req.proxy->opts, ruri);
}

static int set_ruri(struct proxy_context *c, struct slice text)
{
    struct sip_uri uri;
    int rc = sip_uri_parse(text, &uri);

    if (rc < 0)
        return rc;
    c->req.ruri_text = text;
    c->req.ruri = uri;
    return 0;
}

static int repair_strict(struct proxy_context *c)
{
    struct sip_name_addr last;
    int rc = sip_name_addr_parse(c->routes[c->n_routes - 1], &last);

    if (rc == 0)
        rc = read_token(c, &c->req.ruri);
    if (rc == 0)
        rc = set_ruri(c, last.uri_text);
    if (rc < 0)
        return rc;
    c->n_routes--;
    c->is_tail_moved = true;
    return 0;
}

/* "If the Request-URI has a maddr parameter with a value the proxy is responsible for, and the request was
 * received using the port and transport indicated (explicitly or by default) in the Request-URI". */
static bool has_maddr_for_here(const struct proxy_context *c)
{
    const struct sip_uri *uri = &c->req.ruri;
    const struct proxy_listener *l = c->req.listener;
    uint16_t port = sip_uri_effective_port(uri);
    enum sip_transport transport = uri->transport;

    if (slice_is_null(uri->maddr) || !proxy_host_is_ours(c->req.proxy->opts, uri->maddr))
        return false;
    if (slice_is_null(uri->transport_text))
        transport = uri->scheme == SIP_SCHEME_SIPS ? SIP_TRANSPORT_TLS : SIP_TRANSPORT_UDP;
    return transport == (enum sip_transport)l->transport && (port == l->port || port == l->addr.port);
}

/* "the proxy MUST strip the maddr and any non-default port or transport parameter and continue processing as
 * if those values had not been present in the request". */
static int strip_maddr(struct proxy_context *c)
{
    struct slice text;

    if (!has_maddr_for_here(c))
        return 0;
    text = proxy_uri_without_maddr(&c->req.ruri, &c->req.arena);
    return slice_is_null(text) ? ERR_NOMEM : set_ruri(c, text);
}

/* "If the first value in the Route header field indicates this proxy, the proxy MUST remove that value from
 * the request": again and again, for there may be one for each side (RFC 5658 section 5). */
static int pop_own_routes(struct proxy_context *c)
{
    struct sip_uri uri;

    while (c->n_routes > 0) {
        int rc = parse_route(c->routes[0], &uri);

        if (rc < 0)
            return rc;
        if (!is_ours(c->req.proxy->opts, &uri))
            return 0;
        rc = read_token(c, &uri);
        if (rc < 0)
            return rc;
        c->routes++;
        c->n_routes--;
        c->req.pop_routes++;
    }
    return 0;
}

bool proxy_ruri_is_as_it_came(const struct proxy_request *req)
{
    return req->ruri_text.ptr == req->msg->ruri.ptr && req->ruri_text.len == req->msg->ruri.len;
}

static void decide(struct proxy_context *c)
{
    struct proxy_request *req = &c->req;
    const struct proxy_opts *opts = req->proxy->opts;

    req->domain = proxy_ruri_is_as_it_came(req) ? c->asked_domain : proxy_uri_domain(opts, &req->ruri);
    /* With a maddr left, it is the port or transport that is another: the request has to go there (16.4). */
    c->is_ruri_self = slice_is_null(req->ruri.maddr) && proxy_uri_is_self(opts, &req->ruri);
    req->to_self = slice_is_null(req->ruri.user) && (req->domain || c->is_ruri_self);
}

int proxy_set_ruri(struct proxy_request *req, struct slice text)
{
    struct proxy_context *c = proxy_context_of(req);
    int rc = set_ruri(c, text);

    if (rc == 0)
        decide(c);
    return rc;
}

/* RFC 5626 section 5.3.1: "forwards the request over the 'logical flow' identified by the flow token". */
static enum proxy_verdict target_flow(struct proxy_context *c)
{
    const struct proxy_binding binding = {
        .uri = c->req.ruri_text, .q_milli = 1000, .has_hop = true, .hop = c->flow};

    if (proxy_add_target(&c->req, &binding) < 0)
        return proxy_shed(&c->req, "no memory for the target set");
    c->req.is_relay_allowed = true;
    return PROXY_NEXT;
}

enum proxy_verdict proxy_step_route(struct proxy_request *req, void *ctx)
{
    struct proxy_context *c = proxy_context_of(req);
    int rc = collect_routes(c);

    (void)ctx;
    if (rc == 0 && is_from_strict_router(c))
        rc = repair_strict(c);
    if (rc == 0)
        rc = strip_maddr(c);
    if (rc == 0)
        rc = pop_own_routes(c);
    if (rc == ERR_DENIED)
        return proxy_reply(req, 403, SLICE_NULL, NULL,
                           "a flow token that is not ours (RFC 5626 section 5.3.1)");
    if (rc == ERR_CLOSED)
        return proxy_reply(req, 430, SLICE_NULL, NULL,
                           "the listener of the flow is no more (RFC 5626 section 5.3.1)");
    if (rc == ERR_NOMEM)
        return proxy_shed(req, "no memory for the Route");
    if (rc < 0)
        return bad_route(c);
    if (req->ruri.scheme != SIP_SCHEME_SIP && req->ruri.scheme != SIP_SCHEME_SIPS)
        return proxy_reply(req, 416, SLICE_NULL, NULL,
                           "the last Route value is of an unknown scheme (16.3 item 2)");
    decide(c);
    return c->has_flow && !req->domain && !c->is_ruri_self && c->n_routes == 0 ? target_flow(c) : PROXY_NEXT;
}
