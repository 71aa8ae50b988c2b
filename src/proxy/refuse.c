/* The short way of a refusal under overload, before the parser: a server that spends its time on refusing has none for
 * the calls it takes. It does what receive_request() and proxy_admit() do, octet for octet, or leaves it to them. */
#include "proxy/internal.h"
#include "proxy/token.h"
#include "sip/oc.h"
#include "sip/outline.h"
#include "sip/peek.h"
#include "sip/via_route.h"

/* Nobody obeys who has not been heard of for so long. */
#define OBEYED_MS 1000

struct refusal {
    const struct sip_outline *outline;
    struct slice top_via, to_tag, retry_after, server_name;
};

static size_t length_of(const struct refusal *r)
{
    const struct sip_outline *o = r->outline;
    size_t len =
        sizeof("SIP/2.0 503 Service Unavailable\r\nVia: \r\nFrom: \r\nTo: ;tag=\r\nCall-ID: \r\nCSeq: \r\n"
               "Retry-After: \r\nServer: \r\nContent-Length: 0\r\n\r\n");

    for (unsigned i = 1; i < o->n_vias; i++)
        len += sizeof("Via: \r\n") + o->vias[i].len;
    return len + r->top_via.len + o->from.len + o->to.len + r->to_tag.len + o->call_id.len + o->cseq.len +
           r->retry_after.len + r->server_name.len;
}

/* Section 8.2.6.2 */
static void put(const struct refusal *r, struct buf *out)
{
    const struct sip_outline *o = r->outline;

    buf_lit(out, "SIP/2.0 503 Service Unavailable\r\nVia: ");
    buf_put(out, r->top_via);
    for (unsigned i = 1; i < o->n_vias; i++) {
        buf_lit(out, "\r\nVia: ");
        buf_put(out, o->vias[i]);
    }
    buf_lit(out, "\r\nFrom: ");
    buf_put(out, o->from);
    buf_lit(out, "\r\nTo: ");
    buf_put(out, o->to);
    buf_lit(out, ";tag=");
    buf_put(out, r->to_tag);
    buf_lit(out, "\r\nCall-ID: ");
    buf_put(out, o->call_id);
    buf_lit(out, "\r\nCSeq: ");
    buf_put(out, o->cseq);
    if (r->retry_after.len > 0) {
        buf_lit(out, "\r\nRetry-After: ");
        buf_put(out, r->retry_after);
    }
    if (r->server_name.len > 0) {
        buf_lit(out, "\r\nServer: ");
        buf_put(out, r->server_name);
    }
    buf_lit(out, "\r\nContent-Length: 0\r\n\r\n");
}

/* Without memory it is as if the request had been lost; its client repeats it. */
static void send_refusal(struct proxy *p, const struct refusal *r, const struct sip_hop *to)
{
    size_t cap = length_of(r);
    struct wire *wire = wire_new(cap);
    struct buf out;

    if (!wire)
        return;
    buf_init(&out, wire->bytes, cap);
    put(r, &out);
    wire->len = (uint32_t)out.len;
    counter_inc(p->counters, COUNTER_RESPONSES_LOCAL);
    proxy_concerns(p, r->outline->call_id);
    proxy_send_quietly(p, to, wire);
    wire_unref(wire);
}

/* As in reply.c. */
static bool was_here_before(const struct proxy *p, const struct sip_outline *o)
{
    struct proxy_branch_id id;

    for (unsigned i = 0; i < o->n_vias && o->n_vias > 1; i++) {
        if (proxy_reads_own_via(p, o->vias[i], &id))
            return true;
    }
    return false;
}

/* What the top Via of the response says besides (RFC 7339 section 4). */
static int answer_oc(struct proxy *p, const struct sip_hop *to, struct slice *via_text)
{
    int rc = to->wants_oc ? sip_oc_strip(*via_text, &p->scratch, via_text) : 0;

    return rc == 0 ? proxy_oc_fill(p, to, via_text) : rc;
}

/* What there is to do anyhow is done before looking for what is known of it, which comes from memory meanwhile. */
static bool refuse(struct proxy *p, const struct sip_outline *o, const struct sip_via *via,
                   const struct sip_hop *from, const struct sip_hop *to)
{
    const struct txn_key key = txn_expect_via(p->txn, via);
    uint64_t hash = proxy_refused_hash(p, via->text);
    char to_tag[PROXY_TO_TAG_BYTES], refusal_tag[PROXY_REFUSAL_TAG_BYTES], digits[PROXY_RETRY_AFTER_BYTES];
    struct refusal r = {.outline = o, .server_name = p->opts->server_name};

    proxy_refused_expect(p, hash);
    if (sip_via_route_tag(via, &from->addr, &p->scratch, &r.top_via) < 0 || answer_oc(p, to, &r.top_via) < 0)
        return false;
    r.to_tag = proxy_to_tag_format(&p->to_tag_key, o->call_id, o->from_tag, o->cseq_number, to_tag);
    if (!was_here_before(p, o))
        r.to_tag = proxy_refusal_tag_format(p->refusal_mark, r.to_tag, refusal_tag);
    if (p->opts->retry_after_s > 0 && o->n_vias == 1 && !to->wants_oc && !proxy_is_trusted(p->opts, from))
        r.retry_after = proxy_retry_after_extra(proxy_admit_retry_after_s(p, hash), digits).value;
    if (txn_server_token(p->txn, &key) != 0 || !proxy_admit_is_refused(p, hash, to->wants_oc))
        return false;
    pressure_count(&p->pressure);
    proxy_refused_note(p, hash);
    send_refusal(p, &r, to);
    return true;
}

/* Section 17.1.1.3: its Via is "equal to the top Via header field of the original request". One that has been
 * forgotten, or writes it in another way, or has no branch of RFC 3261, goes the long way. */
static bool is_ack_of_refused(struct proxy *p, struct slice ack)
{
    struct slice via = sip_peek_top_via(ack);

    return proxy_refused_any(p) && !slice_is_null(via) && proxy_refused_knows(p, proxy_refused_hash(p, via));
}

/* Who seems to obey (RFC 7339) is taken for longer: the wait does not concern him yet. To find that out is a tenth of a
 * refusal, and in vain where nobody does. */
static bool is_spared(const struct proxy *p, struct slice bytes)
{
    struct slice via;

    if (pressure_is_pressing(&p->pressure, p->wheel.now_ms, true) ||
        p->wheel.now_ms - p->oc_asked_ms > OBEYED_MS)
        return false;
    via = sip_peek_top_via(bytes);
    return !slice_is_null(via) && sip_oc_is_asked(via);
}

/* A look at some octets, for what is not even worth an outline. */
static bool may_be_refused(const struct proxy *p, struct slice bytes)
{
    return pressure_is_pressing(&p->pressure, p->wheel.now_ms, false) && !p->draining &&
           !slice_starts_with(bytes, SLICE("SIP/")) && !slice_starts_with(bytes, SLICE("BYE ")) &&
           !is_spared(p, bytes);
}

static bool is_refused(struct proxy *p, struct slice bytes, const struct sip_hop *from)
{
    struct sip_outline o;
    struct sip_via via;
    struct sip_hop to;

    if (!sip_outline_read(bytes, &o) || !slice_is_null(o.to_tag) || slice_eq(o.method, SLICE("CANCEL")) ||
        slice_eq(o.method, SLICE("ACK")) || sip_via_parse(o.vias[0], &via) < 0 ||
        !txn_branch_is_rfc3261(via.branch) || via.has_keep)
        return false;
    sip_via_route_reply(&via, from, &to);
    to.wants_oc = proxy_oc_is_asked(p, &via);
    return pressure_is_pressing(&p->pressure, p->wheel.now_ms, to.wants_oc) &&
           !proxy_is_emergency(p->opts, o.ruri) && refuse(p, &o, &via, from, &to);
}

bool proxy_refuse(struct proxy *p, struct slice bytes, const struct sip_hop *from)
{
    bool is_done;

    if (!p->pressure.is_on)
        return false;
    if (slice_starts_with(bytes, SLICE("ACK ")))
        return is_ack_of_refused(p, bytes);
    if (!may_be_refused(p, bytes))
        return false;
    is_done = is_refused(p, bytes, from);
    arena_reset(&p->scratch);
    return is_done;
}
