/* Record-Route: RFC 3261 section 16.6 step 4, twice where the two sides differ (RFC 5658 section 5). */
#include "proxy/flow.h"
#include "proxy/internal.h"
#include "proxy/token.h"

#define LINE_BYTES 96 /* all but host and token */

/* Requests that make a dialog, or are sent inside one to refresh its target; and what is not known, "since
 * that method may have dialog semantics". */
static bool may_concern_dialog(enum sip_method method)
{
    switch (method) {
    case SIP_METHOD_INVITE:
    case SIP_METHOD_SUBSCRIBE:
    case SIP_METHOD_NOTIFY:
    case SIP_METHOD_REFER:
    case SIP_METHOD_UPDATE:
    case SIP_METHOD_OTHER:
        return true;
    default:
        return false;
    }
}

struct side {
    const struct proxy_listener *listener;
    uint16_t index;
    uint64_t flow; /* of a client that nobody can connect to; SIP_FLOW_NONE: of anybody else */
    bool is_secure;
    bool has_transport;
    bool has_way; /* who is there asked for it, or registered so: he is reached by this flow alone */
    struct sip_hop way;
    enum proxy_flow_use use;
    bool names_tls; /* by transport=tls */
};

static bool is_secure_transport(const struct proxy_listener *l)
{
    return sip_transport_is_secure((enum sip_transport)l->transport);
}

static struct slice token_of(struct proxy_context *c, const struct side *side,
                             char out[PROXY_FLOW_TOKEN_BYTES_MAX])
{
    const struct proxy_opts *opts = c->req.proxy->opts;
    /* Section 16.11: what is forwarded statelessly looks the same whichever worker does it. */
    const struct proxy_route_token token = {c->is_stateless ? PROXY_WORKER_ANY : opts->worker,
                                            (uint8_t)side->index, side->flow};
    struct sip_msg *msg = c->req.msg;

    if (side->has_way)
        return proxy_flow_format(opts, side->use, &side->way, msg, out);
    return proxy_route_token_format(&opts->secret, &token, sip_msg_call_id(msg), sip_msg_from_tag(msg), out);
}

/* RFC 7118 section 5.2 knows one value for both kinds of WebSocket. */
static struct slice param_of(enum sip_transport transport)
{
    return sip_transport_param(transport == SIP_TRANSPORT_WSS ? SIP_TRANSPORT_WS : transport);
}

/* The transport is named over a stream, which the neighbour on that side is known to speak, and on
 * both sides where it changes (RFC 5658 section 6.2). TLS is named by the scheme alone: proxies
 * "MUST NOT use the "transport=tls" parameter" (RFC 5630 section 5.3), unless opts->mirror_tls
 * says to answer those in kind who use it. */
static void push_side(struct proxy_context *c, const struct side *side, enum sip_hdr_id id, struct slice last,
                      struct sip_edit *edit)
{
    enum sip_transport transport = (enum sip_transport)side->listener->transport;
    size_t cap = side->listener->host.len + PROXY_FLOW_TOKEN_BYTES_MAX + LINE_BYTES;
    char *memory = arena_alloc(&c->req.proxy->scratch, cap), token[PROXY_FLOW_TOKEN_BYTES_MAX];
    struct buf out;

    if (!memory) {
        edit->error = ERR_NOMEM;
        return;
    }
    buf_init(&out, memory, cap);
    buf_put(&out, sip_hdr_name(id));
    buf_put(&out, side->is_secure && !side->names_tls ? SLICE(": <sips:") : SLICE(": <sip:"));
    buf_put(&out, token_of(c, side, token));
    buf_lit(&out, "@");
    buf_put(&out, side->listener->host);
    buf_lit(&out, ":");
    buf_u64(&out, side->listener->port);
    if (side->has_transport && (transport != SIP_TRANSPORT_TLS || side->names_tls)) {
        buf_lit(&out, ";transport=");
        buf_put(&out, param_of(transport));
    }
    buf_lit(&out, ";lr");
    buf_put(&out, last);
    buf_lit(&out, ">\r\n");
    sip_edit_push_line(edit, id, buf_slice(&out));
}

/* RFC 5626 section 5.3: who is reached by his connection alone is named by it. Behind a WebSocket that is
 * everybody; behind TLS, who has proved no name that a connection to him could be made for. */
static uint64_t flow_of(const struct sip_hop *hop)
{
    bool is_alone = sip_transport_is_websocket((enum sip_transport)hop->transport) ||
                    (hop->transport == SIP_TRANSPORT_TLS && hop->peer_name == 0);

    return is_alone ? hop->flow : SIP_FLOW_NONE;
}

bool proxy_find_contact(const struct sip_msg *request, struct sip_uri *ret_uri)
{
    struct sip_values it = sip_values_of(request, SIP_HDR_CONTACT);
    struct sip_name_addr na;
    struct slice contact;

    return sip_values_next(&it, &contact) == 0 && sip_name_addr_parse(contact, &na) == 0 &&
           sip_uri_parse(na.uri_text, ret_uri) == 0;
}

static bool names_tls(const struct sip_uri *uri)
{
    return uri->scheme == SIP_SCHEME_SIP && uri->transport == SIP_TRANSPORT_TLS;
}

/* What goes on by SIPS gets a SIPS URI on that side. The other side is that of the one who sent it: over
 * anything but TLS a SIPS URI would not lead there, and section 16.7 step 8 makes it a SIP URI in the
 * response. A secure WebSocket is a SIP URI with transport=ws, as RFC 7118 section 8.2 has it, unless SIPS is
 * what was asked for: a browser's peers would else be asked for SIPS contacts that nobody has. */
static struct side side_of(const struct proxy *p, uint16_t index, const struct sip_hop *hop, bool is_for_sips,
                           bool is_switching)
{
    const struct proxy_listener *l = proxy_listener_at(p, index);

    return (struct side){
        .listener = l,
        .index = index,
        .flow = flow_of(hop),
        .is_secure = is_for_sips || l->transport == SIP_TRANSPORT_TLS,
        .has_transport = is_switching || sip_transport_is_reliable((enum sip_transport)l->transport),
    };
}

/* "Furthermore, if the request was not received over TLS, the proxy MUST insert a Record-Route header field",
 * and the other way round: whether we want to stay in the path or not. */
static bool is_forced(const struct proxy_context *c, const struct proxy_plan *plan)
{
    return is_secure_transport(c->req.listener) != plan->is_next_secure;
}

/* RFC 5626 section 5.3.2: "the edge proxy can use the presence of the "ob" URI parameter in the UAC's Contact
 * URI ... to determine if the edge proxy needs to assist in mid-dialog request routing"; a host under
 * ".invalid" says the same (RFC 7118 section 5). */
static bool asks_for_flow(const struct proxy_request *req)
{
    struct slice value;
    struct sip_uri uri;

    return proxy_find_contact(req->msg, &uri) &&
           (sip_uri_param(&uri, SLICE("ob"), &value) || sip_host_is_invalid(uri.host));
}

/* Only who has sent it himself is at the end of the flow. */
static bool came_by_flow(const struct proxy_request *req)
{
    return proxy_is_first_hop(req->msg) && (req->listener->prefer_flow || asks_for_flow(req));
}

static bool goes_by_flow(const struct proxy_copy *copy)
{
    return copy->target->has_hop && copy->target->hop.flow_only && copy->context->n_routes == 0;
}

/* RFC 5627 section 6.2: "the contact selected for sending the request has an instance ID and is bound to a
 * GRUU, AND the registration contain Path URI, then the authoritative proxy MUST record-route"; and likewise
 * for a caller whose Contact is a GRUU of ours when others have record-routed. */
static bool is_forced_by_gruu(const struct proxy_copy *copy)
{
    const struct proxy_request *req = &copy->context->req;
    struct slice value;
    struct sip_uri uri;

    if (copy->target->instance.len > 0 && copy->target->path.len > 0)
        return true;
    return sip_msg_has(req->msg, SIP_HDR_RECORD_ROUTE) && proxy_find_contact(req->msg, &uri) &&
           sip_uri_param(&uri, SLICE("gr"), &value) && proxy_uri_domain(req->proxy->opts, &uri);
}

static void set_flow(struct side *side, const struct sip_hop *hop, enum proxy_flow_use use)
{
    side->has_way = true;
    side->way = *hop;
    side->use = use;
}

void proxy_record_route(const struct proxy_copy *copy, const struct proxy_plan *plan, struct sip_edit *edit)
{
    struct proxy_context *c = copy->context;
    const struct proxy *p = c->req.proxy;
    uint16_t in = c->req.from.listener, out = copy->record_listener;
    bool is_switching = proxy_listener_at(p, in)->transport != proxy_listener_at(p, out)->transport;
    bool is_sips_here = plan->is_next_secure && is_secure_transport(c->req.listener);
    struct side in_side = side_of(p, in, &c->req.from, is_sips_here, is_switching),
                out_side = side_of(p, out, &copy->hop, plan->is_next_secure, is_switching);
    struct sip_uri contact;

    if (!may_concern_dialog(c->req.method))
        return;
    if (p->opts->mirror_tls && !plan->is_next_secure) {
        in_side.names_tls =
            in_side.is_secure && proxy_find_contact(c->req.msg, &contact) && names_tls(&contact);
        out_side.names_tls = names_tls(copy->target->uri);
    }
    if (in_side.flow == SIP_FLOW_NONE && came_by_flow(&c->req))
        set_flow(&in_side, &c->req.from, PROXY_FLOW_CALLER);
    if (out_side.flow == SIP_FLOW_NONE && goes_by_flow(copy))
        set_flow(&out_side, &copy->hop, PROXY_FLOW_CALLEE);
    if (!p->opts->record_route && !is_forced(c, plan) && !in_side.has_way && !out_side.has_way &&
        !is_forced_by_gruu(copy))
        return;
    if (in != out || in_side.flow != out_side.flow || (in_side.has_way && out_side.has_way))
        push_side(c, &in_side, SIP_HDR_RECORD_ROUTE, SLICE(""), edit);
    else if (in_side.has_way)
        set_flow(&out_side, &in_side.way, in_side.use);
    push_side(c, &out_side, SIP_HDR_RECORD_ROUTE, SLICE(""), edit);
}

/* The URI is that of the side of the registrar; the token is of the other side's flow. */
void proxy_add_path(const struct proxy_copy *copy, struct sip_edit *edit)
{
    struct proxy_context *c = copy->context;
    struct side side = side_of(c->req.proxy, copy->record_listener, &(struct sip_hop){0}, false, false);

    if (!c->adds_path)
        return;
    set_flow(&side, &c->req.from, PROXY_FLOW_PATH);
    push_side(c, &side, SIP_HDR_PATH, SLICE(";ob"), edit);
}
