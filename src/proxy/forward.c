/* Request forwarding: RFC 3261 section 16.6. Steps 7, 10 and 11 (next hop, client transaction, Timer C) are
 * the branch's. */
#include "base/num.h"
#include "proxy/internal.h"
#include "sip/oc.h"

#define DATAGRAM_MAX_BYTES 65507 /* section 18.1.1: 65,535 with IP and UDP headers */
#define VIA_BYTES          96    /* all but host and further parameters */
#define DECIMAL_BYTES      20

const struct sip_limits proxy_limits_own = {
    .message_bytes = UINT32_MAX,
    .start_line_bytes = UINT32_MAX,
    .header_bytes = UINT32_MAX,
    .headers = SIP_HEADERS_MAX,
    .values = UINT32_MAX,
};

static struct slice decimal(struct arena *arena, uint64_t value)
{
    char *digits = arena_alloc(arena, DECIMAL_BYTES);

    return digits ? slice_make(digits, num_format_u64(value, digits)) : SLICE_NULL;
}

static void set_number(struct sip_edit *edit, enum sip_hdr_id id, uint64_t value)
{
    struct slice text = decimal(edit->arena, value);

    if (slice_is_null(text))
        edit->error = ERR_NOMEM;
    else
        sip_edit_set_header(edit, id, text);
}

/* Step 2 */
static void set_ruri(const struct proxy_copy *copy, const struct proxy_plan *plan, struct sip_edit *edit)
{
    if (plan->ruri.ptr != copy->context->req.msg->ruri.ptr)
        sip_edit_set_ruri(edit, plan->ruri);
}

/* Step 3: "If the copy contains a Max-Forwards header field, the proxy MUST decrement its value by one (1).
 * If the copy does not contain a Max-Forwards header field, the proxy MUST add one with a field value, which
 * SHOULD be 70." */
static void set_max_forwards(const struct proxy_copy *copy, struct sip_edit *edit)
{
    const struct proxy_context *c = copy->context;
    bool is_there = sip_msg_has(c->req.msg, SIP_HDR_MAX_FORWARDS);

    set_number(edit, SIP_HDR_MAX_FORWARDS,
               is_there && c->max_forwards > 0 ? c->max_forwards - 1 : PROXY_MAX_FORWARDS);
}

/* Section 22.3: credentials for this proxy are consumed here; "a Proxy-Authorization header field value MUST
 * NOT be consumed by any proxy whose realm does not match". */
static void remove_credentials(const struct proxy_copy *copy, struct sip_edit *edit)
{
    const struct proxy_request *req = &copy->context->req;
    const struct sip_msg *msg = req->msg;

    if (slice_is_null(req->remove_credentials))
        return;
    for (uint16_t i = msg->first[SIP_HDR_PROXY_AUTHORIZATION]; i != SIP_HDR_NONE; i = msg->hdrs[i].next) {
        if (sip_hdr_value(msg, &msg->hdrs[i]).ptr == req->remove_credentials.ptr)
            sip_edit_remove_at(edit, i);
    }
}

/* Step 6 */
static void set_routes(const struct proxy_copy *copy, const struct proxy_plan *plan, struct sip_edit *edit)
{
    if (plan->is_rewritten) {
        sip_edit_remove_header(edit, SIP_HDR_ROUTE);
        if (!slice_is_null(plan->routes))
            sip_edit_push_header(edit, SIP_HDR_ROUTE, plan->routes);
        return;
    }
    if (copy->context->req.pop_routes > 0)
        sip_edit_pop_values(edit, SIP_HDR_ROUTE, copy->context->req.pop_routes);
    if (!slice_is_null(plan->push))
        sip_edit_push_header(edit, SIP_HDR_ROUTE, plan->push);
}

void proxy_via_put(const struct proxy_opts *opts, struct buf *out, const struct proxy_listener *l,
                   enum sip_transport transport, struct slice branch)
{
    buf_lit(out, "SIP/2.0/");
    buf_put(out, sip_transport_via_name(transport));
    buf_lit(out, " ");
    buf_put(out, l->host);
    buf_lit(out, ":");
    buf_u64(out, l->port);
    /* RFC 3581 section 3: a flag without a value. */
    if (!sip_transport_is_reliable(transport))
        buf_lit(out, ";rport");
    buf_lit(out, ";branch=");
    buf_put(out, branch);
    /* RFC 7339 section 4.1: "A SIP client MUST add an "oc" parameter to the topmost Via header it inserts
     * into every SIP request", without a value; section 4.2: and oc-algo. */
    if (!opts->is_oc_off)
        buf_lit(out, SIP_OC_QUESTION);
}

/* Step 8. The Via that was on top carries what section 18.2.1 and RFC 3581 section 4 add to it. */
static void push_via(const struct proxy_copy *copy, struct sip_edit *edit)
{
    const struct proxy_listener *l = proxy_listener_at(copy->context->req.proxy, copy->hop.listener);
    enum sip_transport transport = (enum sip_transport)copy->hop.transport;
    size_t cap = l->host.len + copy->branch.len + copy->via_extra.len + VIA_BYTES;
    char *memory = arena_alloc(edit->arena, cap);
    struct buf out;

    if (!memory) {
        edit->error = ERR_NOMEM;
        return;
    }
    buf_init(&out, memory, cap);
    buf_lit(&out, "Via: ");
    proxy_via_put(copy->context->req.proxy->opts, &out, l, transport, copy->branch);
    buf_put(&out, copy->via_extra);
    buf_lit(&out, "\r\n");
    sip_edit_push_line(edit, SIP_HDR_VIA, buf_slice(&out));
}

static void tag_received_via(const struct proxy_copy *copy, struct sip_edit *edit)
{
    struct proxy_request *req = &copy->context->req;
    const struct sip_via *via;

    if (sip_msg_top_via(req->msg, &via) == 0 && !slice_eq(via->text, req->top_via))
        sip_edit_replace(edit, via->text, req->top_via);
}

/* What no other request of the transaction repeats. */
static void edit_rest(const struct proxy_copy *copy, const struct proxy_plan *plan, struct sip_edit *edit)
{
    tag_received_via(copy, edit);
    set_max_forwards(copy, edit);
    if (copy->max_breadth > 0)
        set_number(edit, SIP_HDR_MAX_BREADTH, copy->max_breadth);
    proxy_record_route(copy, plan, edit);
    proxy_add_path(copy, edit);
    remove_credentials(copy, edit);
}

int proxy_forward_build(const struct proxy_copy *copy, struct wire **ret_wire)
{
    struct proxy *p = copy->context->req.proxy;
    struct proxy_plan plan;
    struct sip_edit edit;
    int rc = proxy_plan_make(copy->context, copy->target, &plan);

    if (rc < 0)
        return rc;
    sip_edit_init(&edit, copy->context->req.msg, &p->scratch);
    sip_edit_fix_version(&edit);
    set_ruri(copy, &plan, &edit);
    push_via(copy, &edit);
    if (!copy->is_for_follow_up)
        edit_rest(copy, &plan, &edit);
    set_routes(copy, &plan, &edit);
    if (copy->context->req.edit)
        copy->context->req.edit(&copy->context->req, &copy->hop, &edit);
    /* Step 9 */
    if (sip_transport_is_reliable((enum sip_transport)copy->hop.transport))
        sip_edit_fix_content_length(&edit);
    return sip_edit_build(&edit, (size_t)p->opts->limits.message_bytes + PROXY_GROWTH_BYTES, ret_wire);
}

static bool is_too_long(const struct proxy *p, size_t bytes)
{
    return bytes + PROXY_MTU_MARGIN > p->opts->path_mtu_bytes;
}

/* Section 18.1.1: "If a request is within 200 bytes of the path MTU, or if it is larger than 1300 bytes and
 * the path MTU is unknown, the request MUST be sent using an RFC 2914 congestion controlled transport
 * protocol, such as TCP. If this causes a change in the transport protocol from the one indicated in the top
 * Via, the value in the top Via MUST be changed." */
static int build_for_tcp(struct proxy_copy *copy, struct wire **ret_wire)
{
    const struct proxy_context *c = copy->context;
    struct proxy_copy tcp = *copy;
    int rc;

    /* RFC 5626 section 5.3: a request for a flow goes by that flow. A NAT lets no connection in, and silence there
     * would cost the caller the time of a connect. */
    if (copy->hop.flow_only)
        return ERR_UNSUPPORTED;
    tcp.hop.transport = SIP_TRANSPORT_TCP;
    tcp.hop.flow = SIP_FLOW_NONE;
    rc = proxy_listener_choose(c->req.proxy, &tcp.hop, c->prefer_listener, copy->hop.listener,
                               &tcp.hop.listener);
    if (rc == 0)
        rc = proxy_forward_build(&tcp, ret_wire);
    if (rc == 0)
        *copy = tcp;
    return rc;
}

int proxy_forward_build_sized(struct proxy_copy *copy, struct wire **ret_wire, bool *ret_by_size)
{
    struct wire *wire, *longer;
    int rc = proxy_forward_build(copy, &wire);

    if (rc < 0)
        return rc;
    *ret_by_size = false;
    if (copy->hop.transport == SIP_TRANSPORT_UDP && is_too_long(copy->context->req.proxy, wire->len)) {
        rc = build_for_tcp(copy, &longer);
        *ret_by_size = rc == 0;
        if (rc == 0) {
            wire_unref(wire);
            wire = longer;
        } else if (wire->len > DATAGRAM_MAX_BYTES) {
            wire_unref(wire);
            return ERR_LIMIT;
        }
    }
    *ret_wire = wire;
    return 0;
}

enum proxy_verdict proxy_step_forward(struct proxy_request *req, void *ctx)
{
    struct proxy_context *c = proxy_context_of(req);

    (void)ctx;
    /* Section 16.3 item 3, for what the steps before might have answered themselves: a REGISTER. */
    if (sip_msg_has(req->msg, SIP_HDR_MAX_FORWARDS) && c->max_forwards == 0)
        return proxy_reply(req, 483, SLICE_NULL, NULL, "Max-Forwards is 0 (16.3 item 3)");
    if (c->is_without_server)
        return proxy_stateless_forward(c);
    if (c->n_spirals > 0 && req->n_targets > c->max_breadth)
        return proxy_reply(req, 440, SLICE_NULL, NULL,
                           "a spiral with more targets than breadth (RFC 5393 section 5.3.3)");
    if (proxy_is_invite(c))
        proxy_reply_trying(c);
    proxy_context_advance(c);
    return PROXY_DONE;
}
