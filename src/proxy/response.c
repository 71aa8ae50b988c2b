/* Response processing: RFC 3261 section 16.7, its ten steps. Step 1, finding the response context, is the
 * transaction layer's match; step 2 and the pending CANCEL are the branch's. Record-Route values (step 8) are
 * never rewritten: where the two sides differ there are two of them (RFC 5658 section 5). */
#include "proxy/best.h"
#include "proxy/internal.h"
#include "sip/oc.h"

/* Steps 3 and 9 */

void proxy_response_edit(const struct proxy *p, struct sip_msg *response, const struct sip_hop *to,
                         struct sip_edit *edit)
{
    if (p->opts->edit_response)
        p->opts->edit_response(p->opts, response, &p->response_from, to, edit);
}

int proxy_response_strip(struct proxy *p, struct sip_msg *response, const struct sip_hop *to,
                         struct wire **ret_wire)
{
    struct sip_edit edit;
    bool is_for_us_alone;

    sip_edit_init(&edit, response, &p->scratch);
    sip_edit_fix_version(&edit); /* section 7.1: "implementations MUST send upper-case" */
    is_for_us_alone = !sip_edit_pop_values(&edit, SIP_HDR_VIA, 1);
    if (is_for_us_alone)
        return ERR_NOTFOUND;
    if (!p->opts->is_oc_off)
        sip_oc_replace(&edit, proxy_oc_answer(p, to));
    proxy_response_edit(p, response, to, &edit);
    if (sip_transport_is_reliable((enum sip_transport)to->transport))
        sip_edit_fix_content_length(&edit);
    return sip_edit_build(&edit, (size_t)p->opts->limits.message_bytes + PROXY_GROWTH_BYTES, ret_wire);
}

/* Of nearly all clients it is not asked for, and so To is not read. */
static struct slice to_tag_for(const struct txn_server *server, struct sip_msg *response)
{
    return txn_server_wants_to_tag(server) ? sip_msg_to_tag(response) : SLICE_NULL;
}

int proxy_response_forward(struct proxy *p, struct txn_server *server, struct sip_msg *response)
{
    struct wire *wire;
    int rc = proxy_response_strip(p, response, txn_server_hop(server), &wire);

    if (rc < 0)
        return rc;
    rc = txn_server_respond(p->txn, server, response->status, to_tag_for(server, response), wire);
    wire_unref(wire);
    if (rc == 0)
        counter_inc(p->counters, COUNTER_RESPONSES_FORWARDED);
    return rc;
}

/* Step 5 */

/* "Until a final response has been sent on the server transaction, the following responses MUST be forwarded
 * immediately: Any provisional response other than 100 (Trying)". None to a non-INVITE (RFC 4320
 * section 4.1). */
void proxy_response_provisional(struct proxy_branch *b, struct sip_msg *response)
{
    struct proxy_context *c = b->context;

    if (response->status == 100 || c->is_final_sent || !proxy_is_invite(c))
        return;
    if (proxy_response_forward(c->req.proxy, c->req.server, response) == 0)
        proxy_explain(c, b, "proxy.forward_response", response->status, "provisional, at once (16.7 step 5)");
}

static const struct proxy_cancel answered = {{"SIP;cause=200;text=\"Call completed elsewhere\"",
                                              sizeof("SIP;cause=200;text=\"Call completed elsewhere\"") - 1},
                                             487,
                                             "another branch has answered (16.7 step 10)"};

/* "Any 2xx response": also a second one to an INVITE, after a final response has been sent. */
void proxy_response_accept(struct proxy_branch *b, struct sip_msg *response)
{
    struct proxy_context *c = b->context;
    int rc;

    /* RFC 6026 section 8.3: "If the server transaction is no longer available to handle the transmission, the
     * response is simply discarded." */
    if (c->is_final_sent && (!proxy_is_invite(c) || !c->req.server)) {
        counter_inc(c->req.proxy->counters, COUNTER_RESPONSES_DROPPED);
        return;
    }
    rc = proxy_response_forward(c->req.proxy, c->req.server, response);
    if (rc == 0) {
        c->is_final_sent = true;
        proxy_explain(c, b, "proxy.forward_response", response->status, "2xx, at once (16.7 step 5)");
    } else if (!proxy_is_invite(c)) {
        proxy_response_add_local(c, b, 500, "no memory to send the answer on");
    }
    proxy_context_close(c, &answered);
}

/* Step 7 */

static int keep_challenge(struct proxy_branch *b, enum sip_hdr_id id, struct slice value)
{
    struct proxy_context *c = b->context;
    struct proxy_challenge *challenge = arena_alloc(&c->req.arena, sizeof(*challenge)),
                           **last = &c->challenges;

    if (!challenge)
        return ERR_NOMEM;
    *challenge = (struct proxy_challenge){.id = id, .value = arena_dup(&c->req.arena, value), .from = b};
    if (slice_is_null(challenge->value))
        return ERR_NOMEM;
    while (*last)
        last = &(*last)->next;
    *last = challenge;
    return 0;
}

/* Without memory a challenge is left out: the client will meet it when it tries again. */
static void keep_challenges(struct proxy_branch *b, const struct sip_msg *response)
{
    static const enum sip_hdr_id ids[] = {SIP_HDR_WWW_AUTHENTICATE, SIP_HDR_PROXY_AUTHENTICATE};

    if (response->status != 401 && response->status != 407)
        return;
    for (size_t n = 0; n < sizeof(ids) / sizeof(ids[0]); n++) {
        for (uint16_t i = response->first[ids[n]]; i != SIP_HDR_NONE; i = response->hdrs[i].next) {
            if (keep_challenge(b, ids[n], sip_hdr_value(response, &response->hdrs[i])) < 0)
                return;
        }
    }
}

/* "the proxy MUST collect any WWW-Authenticate and Proxy-Authenticate header field values from all other 401
 * (Unauthorized) and 407 (Proxy Authentication Required) responses received so far in this response context
 * and add them to this response without modification before forwarding". */
static int add_challenges(struct proxy_context *c, struct wire **wire)
{
    struct proxy *p = c->req.proxy;
    struct sip_error error;
    struct sip_edit edit;
    struct sip_msg msg;
    struct wire *merged;
    int rc = sip_msg_parse(wire_slice(*wire), true, &proxy_limits_own, &p->scratch, &msg, &error);

    if (rc < 0)
        return rc;
    sip_edit_init(&edit, &msg, &p->scratch);
    for (const struct proxy_challenge *ch = c->challenges; ch; ch = ch->next) {
        if (ch->from != c->best.from)
            sip_edit_append_header(&edit, ch->id, ch->value);
    }
    rc = sip_edit_build(&edit, SIZE_MAX, &merged);
    if (rc < 0)
        return rc;
    wire_unref(*wire);
    *wire = merged;
    return 0;
}

static bool has_other_challenges(const struct proxy_context *c)
{
    if (c->best.status != 401 && c->best.status != 407)
        return false;
    for (const struct proxy_challenge *ch = c->challenges; ch; ch = ch->next) {
        if (ch->from != c->best.from)
            return true;
    }
    return false;
}

/* Steps 4 and 6 */

static unsigned rank_of(const struct proxy_context *c, unsigned status, bool is_local)
{
    const struct proxy_candidate candidate = {status, is_local, proxy_is_invite(c), c->is_cancelled};

    return proxy_best_rank(&candidate);
}

static bool is_better(const struct proxy_context *c, unsigned rank)
{
    return c->best.status == 0 || rank < c->best.rank;
}

static void replace_best(struct proxy_context *c, const struct proxy_best *best)
{
    wire_unref(c->best.wire);
    c->best = *best;
}

void proxy_response_add_local(struct proxy_context *c, const struct proxy_branch *b, unsigned status,
                              const char *why)
{
    const struct proxy_best best = {
        .status = status, .rank = rank_of(c, status, true), .from = b, .why = why};

    if (is_better(c, best.rank))
        replace_best(c, &best);
}

/* Step 5: "If a 6xx response is received, it is not immediately forwarded, but the stateful proxy SHOULD
 * cancel all client pending transactions as described in Section 10, and it MUST NOT create any new branches
 * in this context." */
static void close_for_6xx(struct proxy_context *c, unsigned status)
{
    struct proxy_cancel declined = {SLICE_NULL, 487, "a 6xx has come (16.7 step 5)"};
    struct slice phrase = sip_status_phrase(status);
    size_t cap = phrase.len + sizeof("SIP;cause=666;text=\"\"");
    char *memory = arena_alloc(&c->req.arena, cap);
    struct buf reason;

    if (memory) {
        buf_init(&reason, memory, cap);
        buf_lit(&reason, "SIP;cause=");
        buf_u64(&reason, status);
        buf_lit(&reason, ";text=\"");
        buf_put(&reason, phrase);
        buf_lit(&reason, "\"");
        declined.reason = buf_slice(&reason);
    }
    proxy_context_close(c, &declined);
}

/* wire: without our Via, or NULL when that is still to be made. */
static void offer(struct proxy_branch *b, struct sip_msg *response, struct wire *wire)
{
    struct proxy_context *c = b->context;
    struct proxy_best best = {.status = response->status,
                              .rank = rank_of(c, response->status, false),
                              .wire = wire,
                              .from = b,
                              .why = "best response (16.7 step 6)"};

    if (!is_better(c, best.rank))
        wire_unref(wire);
    else if (wire || proxy_response_strip(c->req.proxy, response, &c->reply_hop, &best.wire) == 0)
        replace_best(c, &best);
    else
        proxy_response_add_local(c, b, 500, "the response could not be kept");
}

void proxy_response_add(struct proxy_branch *b, struct sip_msg *response)
{
    struct wire *wire = NULL;

    if (response->status / 100 == 3 && !proxy_recurse(b->context, response, &wire))
        return;
    keep_challenges(b, response);
    offer(b, response, wire);
    if (response->status >= 600)
        close_for_6xx(b->context, response->status);
}

/* Of the best response: it is no longer there as it was parsed. */
static int find_to_tag(const struct proxy_context *c, struct slice *ret_tag)
{
    struct sip_error error;
    struct sip_msg msg;
    int rc;

    *ret_tag = SLICE_NULL;
    if (!txn_server_wants_to_tag(c->req.server))
        return 0;
    rc = sip_msg_parse(wire_slice(c->best.wire), true, &proxy_limits_own, &c->req.proxy->scratch, &msg,
                       &error);
    if (rc == 0)
        *ret_tag = sip_msg_to_tag(&msg);
    return rc;
}

static void send_kept(struct proxy_context *c)
{
    struct proxy *p = c->req.proxy;
    struct slice to_tag;
    int rc = 0;

    if (has_other_challenges(c))
        rc = add_challenges(c, &c->best.wire);
    if (rc == 0)
        rc = find_to_tag(c, &to_tag);
    if (rc == 0)
        rc = txn_server_respond(p->txn, c->req.server, c->best.status, to_tag, c->best.wire);
    if (rc < 0) {
        proxy_reply_final(c, 500, SLICE_NULL, NULL, "the best response could not be sent on");
        return;
    }
    counter_inc(p->counters, COUNTER_RESPONSES_FORWARDED);
    proxy_explain(c, c->best.from, "proxy.forward_response", c->best.status, c->best.why);
    c->is_final_sent = true;
    proxy_context_release(c);
}

/* RFC 4320 section 4.2: "an element that cannot respond before the transaction expires will not send a final
 * response at all". */
static void send_nothing(struct proxy_context *c)
{
    proxy_explain(c, NULL, "proxy.no_response", 408, "no 408 to a non-INVITE (RFC 4320 section 4.2)");
    proxy_context_abandon(c);
}

static const char *why_best(const struct proxy_context *c)
{
    return c->best.why ? c->best.why : "no final response (16.7 step 6)";
}

/* RFC 7339 section 5.10: "reject these requests with a "503 (Service Unavailable)"
 * response without the Retry-After header". */
static bool is_spared(const struct proxy_context *c)
{
    return !c->best.wire && c->best.from && c->best.from->is_spared;
}

void proxy_response_send_best(struct proxy_context *c)
{
    struct proxy_request *req = &c->req;
    unsigned status = c->best.status ? c->best.status : 408;
    bool is_ours = !c->best.wire;

    if (c->is_cancelled && is_ours && (status == 408 || status == 430 || status == 503))
        (void)proxy_reply(req, 487, SLICE_NULL, NULL, "cancelled, and no better response (9.2, 16.10)");
    else if (status == 408 && req->server && !proxy_is_invite(c))
        send_nothing(c);
    else if (status == 430 && req->domain)
        /* RFC 5626 section 11.5: "Endpoints should never receive a 430 response." */
        (void)proxy_reply(req, 480, SLICE_NULL, NULL, "no way to the client is left (RFC 5626 section 7)");
    else if (status == 503 && !is_spared(c))
        /* "SHOULD NOT forward it upstream ... the proxy SHOULD generate a 500 response and forward that
         * upstream." */
        (void)proxy_reply(req, 500, SLICE_NULL, NULL, why_best(c));
    else if (is_ours)
        (void)proxy_reply(req, status, SLICE_NULL, NULL, why_best(c));
    else
        send_kept(c);
}
