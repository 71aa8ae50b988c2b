#include "proxy/internal.h"

/* Of the client transaction, or of the request as it came. */
static struct slice branch_of(const struct proxy_context *c, const struct proxy_branch *b)
{
    struct sip_via via;

    if (b)
        return proxy_branch_text(b);
    return sip_msg_top_via_head(&c->req.msg, &via) == 0 ? via.branch : SLICE("-");
}

void proxy_explain(const struct proxy_context *c, const struct proxy_branch *b, const char *event,
                   unsigned status, const char *why)
{
    log_event(LOG_DEBUG, event, log_slice("call_id", sip_msg_call_id(&c->req.msg)),
              log_slice("branch", branch_of(c, b)), log_slice("method", c->req.msg.method_name),
              log_u64("status", status), log_cstr("why", why));
}

void proxy_explain_message(struct proxy *p, enum proxy_log_kind kind, enum log_level level, const char *event,
                           const struct sip_msg *msg, unsigned status, const char *why)
{
    struct sip_via via;
    bool has_via = sip_msg_top_via_head(msg, &via) == 0;

    log_limited(&p->limiters[kind], level, event, log_slice("call_id", sip_msg_call_id(msg)),
                log_slice("via", has_via ? via.text : SLICE("-")), log_slice("method", msg->method_name),
                log_u64("status", status), log_cstr("why", why));
}
