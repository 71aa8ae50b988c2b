#include "proxy/internal.h"

/* Of the request or response as it came; a malformed one may have none that can be read. */
static struct slice branch_received(struct sip_msg *msg)
{
    const struct sip_via *via;

    return sip_msg_top_via(msg, &via) == 0 && !slice_is_null(via->branch) ? via->branch : SLICE("-");
}

/* Of a context, which may have nothing but the octets. */
static struct slice branch_kept(const struct proxy_context *c)
{
    struct sip_via via;

    return sip_via_parse(c->req.top_via, &via) == 0 && !slice_is_null(via.branch) ? via.branch : SLICE("-");
}

static struct slice method_of(const struct proxy_request *req)
{
    return req->method == SIP_METHOD_OTHER ? req->msg->method_name : sip_method_name(req->method);
}

/* Before it is sent, a branch is known by that of the request. */
static struct slice branch_of(struct proxy_context *c, const struct proxy_branch *b)
{
    struct slice own = b ? proxy_branch_text(b) : SLICE("");

    return own.len > 0 ? own : branch_kept(c);
}

void proxy_explain_aloud(struct proxy_context *c, const struct proxy_branch *b, const char *event,
                         unsigned status, const char *why)
{
    log_event(LOG_DEBUG, event, log_slice("call_id", c->req.call_id), log_slice("branch", branch_of(c, b)),
              log_slice("method", method_of(&c->req)), log_u64("status", status), log_cstr("why", why));
}

void proxy_request_explain(struct proxy_request *req, const char *event, unsigned status, const char *why)
{
    struct proxy_context *c = proxy_context_of(req);

    log_event(LOG_DEBUG, event, log_slice("call_id", req->call_id), log_slice("branch", branch_of(c, NULL)),
              log_slice("method", method_of(req)), log_slice("route", req->route), log_u64("status", status),
              log_cstr("why", why));
}

void proxy_explain_message(struct proxy *p, enum proxy_log_kind kind, enum log_level level, const char *event,
                           struct sip_msg *msg, unsigned status, const char *why)
{
    log_limited(&p->limiters[kind], level, event, log_slice("call_id", sip_msg_call_id(msg)),
                log_slice("branch", branch_received(msg)), log_slice("method", msg->method_name),
                log_u64("status", status), log_cstr("why", why));
}
