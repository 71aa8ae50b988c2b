/* CANCEL: RFC 3261 sections 9 and 16.10. */
#include "proxy/internal.h"

/* All Reason values of the CANCEL in one list (RFC 3326 section 2), or absent. */
static struct slice copy_reason(const struct sip_msg *cancel, struct arena *arena)
{
    size_t len = 0;
    struct buf out;
    char *memory;

    for (uint16_t i = cancel->first[SIP_HDR_REASON]; i != SIP_HDR_NONE; i = cancel->hdrs[i].next)
        len += cancel->hdrs[i].value_len + 2;
    memory = len > 0 ? arena_alloc(arena, len) : NULL;
    if (!memory)
        return SLICE_NULL;
    buf_init(&out, memory, len);
    for (uint16_t i = cancel->first[SIP_HDR_REASON]; i != SIP_HDR_NONE; i = cancel->hdrs[i].next) {
        if (out.len > 0)
            buf_lit(&out, ", ");
        buf_put(&out, sip_hdr_value(cancel, &cancel->hdrs[i]));
    }
    return buf_slice(&out);
}

bool proxy_cancel_receive(struct proxy *p, const struct proxy_arrival *arrival)
{
    struct txn_server *server = txn_server_find_cancelled(p->txn, arrival->msg);
    struct proxy_user *user;

    if (!server)
        return false;
    proxy_reply_cancel(p, arrival);
    user = txn_server_user(server);
    /* Section 9.2: to a request that has its final response, or is no INVITE, nothing happens. */
    if (user && user->kind == PROXY_USER_CONTEXT && txn_server_method(server) == SIP_METHOD_INVITE) {
        struct proxy_context *c = list_entry(user, struct proxy_context, user);

        proxy_context_cancel(c, copy_reason(arrival->msg, &c->req.arena));
    }
    return true;
}

static int build(struct proxy_branch *b, struct wire **ret_wire)
{
    struct proxy *p = b->context->req.proxy;
    struct wire *sent = txn_client_request(b->client);
    struct sip_error error;
    struct sip_msg invite;
    int rc;

    if (!sent)
        return ERR_NOTFOUND;
    rc = sip_msg_parse(wire_slice(sent), true, &proxy_limits_own, &p->scratch, &invite, &error);
    if (rc < 0)
        return rc;
    return sip_build_cancel(&invite, b->cancel.reason, ret_wire);
}

void proxy_cancel_send(struct proxy_branch *b)
{
    struct proxy *p = b->context->req.proxy;
    struct txn_client *client;
    struct wire *wire;
    int rc = build(b, &wire);

    if (rc == 0) {
        /* Section 9.1: "The destination address, port, and transport for the CANCEL MUST be identical to
         * those used to send the original request." Nobody waits for the answer. */
        rc = txn_client_new(p->txn, SIP_METHOD_CANCEL, sip_method_name(SIP_METHOD_CANCEL),
                            proxy_branch_text(b), wire, txn_client_hop(b->client), NULL, &client);
        wire_unref(wire);
    }
    /* The callee goes on ringing until 64*T1 end the branch. */
    if (rc < 0)
        counter_inc(p->counters, COUNTER_SHED);
    proxy_explain(b->context, b, rc < 0 ? "proxy.cancel_lost" : "proxy.cancel", 0, b->cancel.why);
}
