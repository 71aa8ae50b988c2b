/* Responses made here: RFC 3261 section 8.2.6, and 8.2.7 for those without a transaction. */
#include "base/num.h"
#include "proxy/internal.h"
#include "proxy/token.h"
#include <assert.h>

struct local_response {
    unsigned status;
    struct slice phrase, to_tag;
    const struct sip_extra *extra;
};

/* Section 12.1.1: only the response that makes a dialog carries the route set. */
static bool forms_dialog(enum sip_method method, unsigned status)
{
    return status > 100 && status < 300 &&
           (method == SIP_METHOD_INVITE || method == SIP_METHOD_SUBSCRIBE || method == SIP_METHOD_REFER);
}

static bool is_extra(const struct sip_extra *extra)
{
    return extra && (extra->id != SIP_HDR_OTHER || !slice_is_null(extra->name));
}

static int build(struct proxy *p, struct sip_msg *request, struct slice top_via, const struct sip_hop *to,
                 const struct local_response *r, struct wire **ret_wire)
{
    struct sip_extra extra[PROXY_EXTRAS_MAX + 2] = {0};
    struct sip_response_args args = {
        .status = r->status,
        .phrase = r->phrase,
        .to_tag = r->to_tag,
        .copy_record_route = forms_dialog(request->method, r->status),
        .copy_timestamp = r->status == 100 && !r->extra,
        .extra = extra,
        .top_via = top_via,
    };
    size_t n = 0;
    int rc = proxy_oc_fill(p, to, &args.top_via);

    if (rc < 0)
        return rc;
    for (const struct sip_extra *e = r->extra; is_extra(e); e++) {
        assert(n < PROXY_EXTRAS_MAX);
        extra[n++] = *e;
    }
    if (p->opts->server_name.len > 0)
        extra[n] = (struct sip_extra){.id = SIP_HDR_SERVER, .value = p->opts->server_name};
    return sip_build_response(request, &args, ret_wire);
}

int proxy_send(struct proxy *p, const struct sip_hop *hop, struct wire *wire, uint64_t token)
{
    bool is_response = slice_starts_with(wire_slice(wire), SLICE("SIP/"));
    struct sip_hop elsewhere = *hop;
    int rc = p->ports.send(p->ports.ctx, hop, wire, token);

    elsewhere.flow = SIP_FLOW_NONE;
    if (rc < 0 && is_response && hop->flow != SIP_FLOW_NONE)
        rc = p->ports.send(p->ports.ctx, &elsewhere, wire, token);
    if (rc < 0)
        counter_inc(p->counters, COUNTER_TX_ERRORS);
    return rc;
}

void proxy_send_quietly(struct proxy *p, const struct sip_hop *hop, struct wire *wire)
{
    /* It is counted, and there is nobody to tell. */
    (void)!proxy_send(p, hop, wire, 0);
}

static struct slice to_tag_of(const struct proxy *p, struct sip_msg *request, char out[PROXY_TO_TAG_BYTES])
{
    const struct sip_cseq *cseq;
    uint32_t number = sip_msg_cseq(request, &cseq) == 0 ? cseq->number : 0;

    return proxy_to_tag_format(&p->to_tag_key, sip_msg_call_id(request), sip_msg_from_tag(request), number,
                               out);
}

static int build_for_arrival(struct proxy *p, const struct proxy_arrival *arrival,
                             const struct local_response *response, struct wire **ret_wire)
{
    int rc = build(p, arrival->msg, arrival->top_via, &arrival->reply_hop, response, ret_wire);

    if (rc == 0)
        counter_inc(p->counters, COUNTER_RESPONSES_LOCAL);
    return rc;
}

static void reply_without_state(struct proxy *p, const struct proxy_arrival *arrival,
                                const struct local_response *response, const char *why)
{
    struct wire *wire;

    /* Section 17.1.1.3: nothing answers an ACK. */
    if (arrival->msg->method == SIP_METHOD_ACK || build_for_arrival(p, arrival, response, &wire) < 0)
        return;
    proxy_explain_message(p, PROXY_LOG_REPLY, LOG_INFO, "proxy.reply", arrival->msg, response->status, why);
    proxy_send_quietly(p, &arrival->reply_hop, wire);
    wire_unref(wire);
}

void proxy_reply_stateless(struct proxy *p, const struct proxy_arrival *arrival, unsigned status,
                           struct slice phrase, const struct sip_extra *extra, const char *why)
{
    char to_tag[PROXY_TO_TAG_BYTES];
    const struct local_response response = {status, phrase, to_tag_of(p, arrival->msg, to_tag), extra};

    reply_without_state(p, arrival, &response, why);
}

/* What has one Via comes from a user agent, or from here and had none before. */
static bool was_here_before(const struct proxy *p, struct sip_msg *request)
{
    struct sip_values it = sip_values_of(request, SIP_HDR_VIA);
    struct proxy_branch_id id;
    struct slice element;

    if (proxy_is_first_hop(request))
        return false;
    while (sip_values_next(&it, &element) == 0) {
        if (proxy_reads_own_via(p, element, &id))
            return true;
    }
    return false;
}

void proxy_reply_refusal(struct proxy *p, const struct proxy_arrival *arrival, const struct sip_extra *extra,
                         const char *why)
{
    char to_tag[PROXY_TO_TAG_BYTES], refusal_tag[PROXY_REFUSAL_TAG_BYTES];
    struct local_response response = {503, SLICE_NULL, to_tag_of(p, arrival->msg, to_tag), extra};

    if (!was_here_before(p, arrival->msg))
        response.to_tag = proxy_refusal_tag_format(p->refusal_mark, response.to_tag, refusal_tag);
    reply_without_state(p, arrival, &response, why);
}

void proxy_reply_cancel(struct proxy *p, const struct proxy_arrival *arrival)
{
    struct slice to_tag = sip_msg_to_tag(arrival->msg);
    char own_tag[PROXY_TO_TAG_BYTES];
    const struct local_response response = {.status = 200, .to_tag = to_tag_of(p, arrival->msg, own_tag)};
    struct txn_server *server;
    struct wire *wire;

    if (build_for_arrival(p, arrival, &response, &wire) < 0)
        return;
    if (txn_server_new(p->txn, arrival->msg, &arrival->key, &arrival->reply_hop, NULL, &server) < 0 ||
        txn_server_respond(p->txn, server, 200, to_tag, wire) < 0)
        proxy_send_quietly(p, &arrival->reply_hop, wire);
    wire_unref(wire);
}

/* Few requests get a response with a tag. */
struct slice proxy_own_tag(struct proxy_context *c)
{
    _Static_assert(sizeof(c->to_tag) == PROXY_TO_TAG_BYTES, "room for the tag");
    if (c->to_tag[0] == '\0')
        (void)to_tag_of(c->req.proxy, c->req.msg, c->to_tag);
    return slice_make(c->to_tag, sizeof(c->to_tag));
}

/* The tag that the response carries: the one of the request, or ours. */
static struct slice tag_sent(struct proxy_context *c)
{
    struct slice tag = sip_msg_to_tag(c->req.msg);

    return slice_is_null(tag) ? proxy_own_tag(c) : tag;
}

static int respond(struct proxy_context *c, const struct local_response *r)
{
    struct proxy *p = c->req.proxy;
    struct local_response response = *r;
    struct wire *wire;
    int rc = proxy_context_read(c);

    if (rc == 0 && r->status > 100)
        response.to_tag = proxy_own_tag(c);
    if (rc == 0)
        rc = build(p, c->req.msg, c->req.top_via, &c->reply_hop, &response, &wire);
    if (rc < 0)
        return rc;
    if (c->req.server)
        rc = txn_server_respond(p->txn, c->req.server, r->status, r->status == 100 ? SLICE_NULL : tag_sent(c),
                                wire);
    else
        proxy_send_quietly(p, &c->reply_hop, wire);
    wire_unref(wire);
    return rc;
}

#define DELAY_BYTES 24 /* " 4294967295.999" */

/* Section 8.2.6.1: "If there is a delay in generating the response, the UAS SHOULD add a delay value into the
 * Timestamp value in the response. This value MUST contain the difference between the time of sending of the
 * response and receipt of the request, measured in seconds." Absent when there is nothing to add, or no
 * memory. */
static struct slice delayed_timestamp(struct proxy_context *c)
{
    struct proxy *p = c->req.proxy;
    struct slice sent = sip_msg_value(c->req.msg, SIP_HDR_TIMESTAMP);
    ms_t delay_ms = p->wheel.now_ms - c->received_ms;
    struct buf out;
    char *memory;

    if (delay_ms == 0 || sent.len == 0 || slice_find(sent, ' ') < sent.len)
        return SLICE_NULL;
    memory = arena_alloc(&p->scratch, sent.len + DELAY_BYTES);
    if (!memory)
        return SLICE_NULL;
    buf_init(&out, memory, sent.len + DELAY_BYTES);
    buf_put(&out, sent);
    buf_printf(&out, " %u.%03u", (unsigned)(delay_ms / 1000), (unsigned)(delay_ms % 1000));
    return buf_slice(&out);
}

void proxy_reply_trying(struct proxy_context *c)
{
    struct sip_extra extra[] = {{.id = SIP_HDR_TIMESTAMP, .value = delayed_timestamp(c)},
                                {.id = SIP_HDR_OTHER}};
    const struct local_response trying = {.status = 100,
                                          .extra = slice_is_null(extra[0].value) ? NULL : extra};

    /* A stateless proxy makes no provisional response (section 16.11). Without memory it is left out: it is a
     * courtesy. */
    if (!c->req.server || c->is_trying_sent || respond(c, &trying) < 0)
        return;
    c->is_trying_sent = true;
}

/* An INVITE must be answered: its server transaction waits for ever. It gets a 500 as soon as there is
 * memory. */
static void answer_later(struct proxy_context *c)
{
    struct proxy *p = c->req.proxy;

    wire_unref(c->best.wire);
    c->best = (struct proxy_best){.status = 500, .why = "no memory for a better answer"};
    c->is_closed = true;
    timer_set(&p->wheel, &c->ring_timer, p->wheel.now_ms + p->opts->times.t1_ms);
}

void proxy_reply_final(struct proxy_context *c, unsigned status, struct slice phrase,
                       const struct sip_extra *extra, const char *why)
{
    const struct local_response response = {.status = status, .phrase = phrase, .extra = extra};
    struct proxy *p = c->req.proxy;

    if (respond(c, &response) < 0) {
        counter_inc(p->counters, COUNTER_SHED);
        if (!c->req.server)
            proxy_context_release(c);
        else if (proxy_is_invite(c))
            answer_later(c);
        else
            proxy_context_abandon(c);
        return;
    }
    counter_inc(p->counters, COUNTER_RESPONSES_LOCAL);
    proxy_explain_message(p, PROXY_LOG_REPLY, LOG_INFO, "proxy.reply", c->req.msg, status, why);
    c->is_final_sent = true;
    proxy_context_release(c);
}

/* Section 16.10 makes us forward a CANCEL that we know nothing of; where that cannot be, the caller hears
 * that there is nothing to cancel (section 9.2). */
static unsigned cancel_status(unsigned status)
{
    return status == 403 || status == 404 || status == 480 || status == 500 || status == 503 ? 481 : status;
}

enum proxy_verdict proxy_reply(struct proxy_request *req, unsigned status, struct slice phrase,
                               const struct sip_extra *extra, const char *why)
{
    struct proxy_context *c = proxy_context_of(req);

    assert(status >= 200 && status < 700);
    if (req->method == SIP_METHOD_ACK) {
        proxy_explain_message(req->proxy, PROXY_LOG_DROPPED, LOG_DEBUG, "proxy.ack_dropped", req->msg, status,
                              why);
        proxy_context_release(c);
    } else if (req->method == SIP_METHOD_CANCEL && cancel_status(status) != status) {
        proxy_reply_final(c, cancel_status(status), SLICE_NULL, NULL, why);
    } else {
        proxy_reply_final(c, status, phrase, extra, why);
    }
    return PROXY_DONE;
}

enum proxy_verdict proxy_reply_once(struct proxy_request *req, unsigned status, const struct sip_extra *extra,
                                    const char *why)
{
    struct txn_server *server = req->server;

    if (server) {
        txn_server_set_user(server, NULL);
        req->server = NULL;
        txn_server_abandon(req->proxy->txn, server);
    }
    return proxy_reply(req, status, SLICE_NULL, extra, why);
}

struct sip_extra proxy_retry_after_extra(uint64_t seconds, char digits[PROXY_RETRY_AFTER_BYTES])
{
    size_t len = num_format_u64(seconds, digits);

    return (struct sip_extra){.id = SIP_HDR_RETRY_AFTER, .value = slice_make(digits, len)};
}

enum proxy_verdict proxy_shed(struct proxy_request *req, const char *why)
{
    char digits[PROXY_RETRY_AFTER_BYTES];
    const struct sip_extra extra[] = {proxy_retry_after_extra(req->proxy->opts->retry_after_s, digits),
                                      {.id = SIP_HDR_OTHER}};

    counter_inc(req->proxy->counters, COUNTER_SHED);
    return proxy_reply(req, 503, SLICE_NULL, extra, why);
}

void proxy_reply_unavailable(struct proxy *p, const struct proxy_arrival *arrival, const char *why)
{
    char digits[PROXY_RETRY_AFTER_BYTES];
    const struct sip_extra extra[] = {proxy_retry_after_extra(p->opts->retry_after_s, digits),
                                      {.id = SIP_HDR_OTHER}};

    proxy_reply_stateless(p, arrival, 503, SLICE_NULL, extra, why);
}
