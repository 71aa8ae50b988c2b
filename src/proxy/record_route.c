/* Record-Route: RFC 3261 section 16.6 step 4, twice where the two sides differ (RFC 5658 section 5). */
#include "proxy/internal.h"
#include "proxy/token.h"

#define URI_BYTES 64 /* all but host and token */

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
};

static bool is_secure_transport(const struct proxy_listener *l)
{
    return sip_transport_is_secure((enum sip_transport)l->transport);
}

static struct slice token_of(struct proxy_context *c, const struct side *side,
                             char out[PROXY_ROUTE_TOKEN_BYTES])
{
    const struct proxy_opts *opts = c->req.proxy->opts;
    /* Section 16.11: what is forwarded statelessly looks the same whichever worker does it. */
    const struct proxy_route_token token = {c->is_stateless ? PROXY_WORKER_ANY : opts->worker,
                                            (uint8_t)side->index, side->flow};
    struct sip_msg *msg = &c->req.msg;

    return proxy_route_token_format(&opts->secret, &token, sip_msg_call_id(msg), sip_msg_from_tag(msg), out);
}

/* RFC 7118 section 5.2 knows one value for both kinds of WebSocket. */
static struct slice param_of(enum sip_transport transport)
{
    return sip_transport_param(transport == SIP_TRANSPORT_WSS ? SIP_TRANSPORT_WS : transport);
}

/* The transport is named over a stream, which the neighbour on that side is known to speak, and on both sides
 * where it changes (RFC 5658 section 6.2). TLS is named by the scheme alone: "MUST NOT use a "transport=tls"
 * parameter". */
static void push_side(struct proxy_context *c, const struct side *side, struct sip_edit *edit)
{
    enum sip_transport transport = (enum sip_transport)side->listener->transport;
    size_t cap = side->listener->host.len + PROXY_ROUTE_TOKEN_BYTES + URI_BYTES;
    char *memory = arena_alloc(&c->req.proxy->scratch, cap), token[PROXY_ROUTE_TOKEN_BYTES];
    struct buf out;

    if (!memory) {
        edit->error = ERR_NOMEM;
        return;
    }
    buf_init(&out, memory, cap);
    buf_put(&out, side->is_secure ? SLICE("<sips:") : SLICE("<sip:"));
    buf_put(&out, token_of(c, side, token));
    buf_lit(&out, "@");
    buf_put(&out, side->listener->host);
    buf_lit(&out, ":");
    buf_u64(&out, side->listener->port);
    if (side->has_transport && transport != SIP_TRANSPORT_TLS) {
        buf_lit(&out, ";transport=");
        buf_put(&out, param_of(transport));
    }
    buf_lit(&out, ";lr>");
    sip_edit_push_header(edit, SIP_HDR_RECORD_ROUTE, buf_slice(&out));
}

/* RFC 5626 section 5.3: who is reached by his connection alone is named by it. Behind a WebSocket that is everybody. */
static uint64_t flow_of(const struct proxy_listener *l, uint64_t flow)
{
    return l->transport == SIP_TRANSPORT_WS || l->transport == SIP_TRANSPORT_WSS ? flow : SIP_FLOW_NONE;
}

/* What goes on by SIPS gets a SIPS URI on that side. The other side is that of the one who sent it: over
 * anything but TLS a SIPS URI would not lead there, and section 16.7 step 8 makes it a SIP URI in the
 * response. A secure WebSocket is a SIP URI with transport=ws, as RFC 7118 section 8.2 has it, unless SIPS is what was
 * asked for: a browser's peers would else be asked for SIPS contacts that nobody has. */
static struct side side_of(const struct proxy *p, uint16_t index, uint64_t flow, bool is_for_sips,
                           bool is_switching)
{
    const struct proxy_listener *l = proxy_listener_at(p, index);

    return (struct side){
        .listener = l,
        .index = index,
        .flow = flow_of(l, flow),
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

void proxy_record_route(const struct proxy_copy *copy, const struct proxy_plan *plan, struct sip_edit *edit)
{
    struct proxy_context *c = copy->context;
    const struct proxy *p = c->req.proxy;
    uint16_t in = c->req.from.listener, out = copy->record_listener;
    bool is_switching = proxy_listener_at(p, in)->transport != proxy_listener_at(p, out)->transport;
    bool is_sips_here = plan->is_next_secure && is_secure_transport(c->req.listener);
    struct side in_side = side_of(p, in, c->req.from.flow, is_sips_here, is_switching),
                out_side = side_of(p, out, copy->hop.flow, plan->is_next_secure, is_switching);

    if (!may_concern_dialog(c->req.msg.method) || (!p->opts->record_route && !is_forced(c, plan)))
        return;
    if (in != out || in_side.flow != out_side.flow)
        push_side(c, &in_side, edit);
    push_side(c, &out_side, edit);
}
