/* Typed headers on demand, and the copy that outlives the receive buffer. */
#include "base/num.h"
#include "sip/msg_private.h"
#include "sip/scan.h"

struct slice sip_msg_value(const struct sip_msg *msg, enum sip_hdr_id id)
{
    return sip_msg_has(msg, id) ? sip_hdr_value(msg, &msg->hdrs[msg->first[id]]) : SLICE_NULL;
}

int sip_msg_top_via(struct sip_msg *msg, const struct sip_via **ret_via)
{
    if (!(msg->have & SIP_HAVE_TOP_VIA)) {
        struct sip_values it = sip_values_of(msg, SIP_HDR_VIA);
        struct slice element;
        int rc = sip_values_next(&it, &element);
        if (rc == 0)
            rc = sip_via_parse(element, &msg->top_via);
        if (rc < 0)
            return rc;
        msg->have |= SIP_HAVE_TOP_VIA;
    }
    *ret_via = &msg->top_via;
    return 0;
}

int sip_msg_top_via_head(const struct sip_msg *msg, struct sip_via *ret_via)
{
    if (!sip_msg_has(msg, SIP_HDR_VIA))
        return ERR_NOTFOUND;
    return sip_via_parse_head(sip_msg_value(msg, SIP_HDR_VIA), ret_via);
}

static int parse_party(const struct sip_msg *msg, enum sip_hdr_id id, struct sip_name_addr *ret_na,
                       struct slice *ret_tag)
{
    if (!sip_msg_has(msg, id))
        return ERR_NOTFOUND;
    return sip_party_parse(sip_msg_value(msg, id), ret_na, ret_tag);
}

int sip_msg_from(struct sip_msg *msg, const struct sip_name_addr **ret_from)
{
    if (!(msg->have & SIP_HAVE_FROM)) {
        int rc = parse_party(msg, SIP_HDR_FROM, &msg->from, &msg->from_tag);
        if (rc < 0)
            return rc;
        msg->have |= SIP_HAVE_FROM;
    }
    *ret_from = &msg->from;
    return 0;
}

int sip_msg_to(struct sip_msg *msg, const struct sip_name_addr **ret_to)
{
    if (!(msg->have & SIP_HAVE_TO)) {
        int rc = parse_party(msg, SIP_HDR_TO, &msg->to, &msg->to_tag);
        if (rc < 0)
            return rc;
        msg->have |= SIP_HAVE_TO;
    }
    *ret_to = &msg->to;
    return 0;
}

struct slice sip_msg_from_tag(struct sip_msg *msg)
{
    const struct sip_name_addr *from;
    return sip_msg_from(msg, &from) == 0 ? msg->from_tag : SLICE_NULL;
}

struct slice sip_msg_to_tag(struct sip_msg *msg)
{
    const struct sip_name_addr *to;
    return sip_msg_to(msg, &to) == 0 ? msg->to_tag : SLICE_NULL;
}

/* CSeq = "CSeq" HCOLON 1*DIGIT LWS Method */
static int parse_cseq(struct slice value, struct sip_cseq *ret_cseq)
{
    struct sip_scan s = sip_scan_of(value);
    struct sip_cseq cseq;
    struct slice digits = sip_scan_run(&s, SIP_CHAR_DIGIT);
    if (num_parse_u32(digits, UINT32_MAX, &cseq.number) < 0 || !sip_scan_lws(&s))
        return ERR_SYNTAX;
    cseq.method_name = sip_scan_token(&s);
    if (cseq.method_name.len == 0 || !sip_scan_at_end(&s))
        return ERR_SYNTAX;
    cseq.method = sip_method_from_name(cseq.method_name);
    *ret_cseq = cseq;
    return 0;
}

int sip_msg_cseq(struct sip_msg *msg, const struct sip_cseq **ret_cseq)
{
    if (!(msg->have & SIP_HAVE_CSEQ)) {
        if (!sip_msg_has(msg, SIP_HDR_CSEQ))
            return ERR_NOTFOUND;
        int rc = parse_cseq(sip_msg_value(msg, SIP_HDR_CSEQ), &msg->cseq);
        if (rc < 0)
            return rc;
        msg->have |= SIP_HAVE_CSEQ;
    }
    *ret_cseq = &msg->cseq;
    return 0;
}

void sip_msg_take_cseq_method(struct sip_msg *msg)
{
    const struct sip_cseq *cseq;
    if (sip_msg_cseq(msg, &cseq) < 0)
        return;
    msg->method = cseq->method;
    msg->method_name = cseq->method_name;
}

int sip_msg_ruri(struct sip_msg *msg, const struct sip_uri **ret_uri)
{
    if (!(msg->have & SIP_HAVE_RURI)) {
        if (!msg->is_request)
            return ERR_NOTFOUND;
        int rc = sip_uri_parse(msg->ruri, &msg->ruri_parsed);
        if (rc < 0)
            return rc;
        msg->have |= SIP_HAVE_RURI;
    }
    *ret_uri = &msg->ruri_parsed;
    return 0;
}

struct slice sip_msg_call_id(const struct sip_msg *msg)
{
    return sip_msg_value(msg, SIP_HDR_CALL_ID);
}

int sip_msg_u32(const struct sip_msg *msg, enum sip_hdr_id id, uint32_t *ret_value)
{
    if (!sip_msg_has(msg, id))
        return ERR_NOTFOUND;
    return num_parse_u32_saturate(sip_msg_value(msg, id), UINT32_MAX, ret_value);
}

unsigned sip_msg_answer_status(const struct sip_msg *msg, unsigned status)
{
    struct sip_via via;
    if (!msg->is_request || msg->method == SIP_METHOD_ACK || sip_msg_top_via_head(msg, &via) < 0)
        return 0;
    return status;
}

/* Every slice of a sip_msg that points into its octets. One that is not filled is absent. */
#define MEMBER(member) offsetof(struct sip_msg, member)

static const uint16_t slice_members[] = {
    MEMBER(method_name),
    MEMBER(ruri),
    MEMBER(version),
    MEMBER(reason),
    MEMBER(top_via.text),
    MEMBER(top_via.transport_text),
    MEMBER(top_via.host),
    MEMBER(top_via.params),
    MEMBER(top_via.branch),
    MEMBER(top_via.received),
    MEMBER(top_via.maddr),
    MEMBER(top_via.ttl),
    MEMBER(top_via.rport_text),
    MEMBER(from.text),
    MEMBER(from.display),
    MEMBER(from.uri_text),
    MEMBER(from.params),
    MEMBER(from_tag),
    MEMBER(to.text),
    MEMBER(to.display),
    MEMBER(to.uri_text),
    MEMBER(to.params),
    MEMBER(to_tag),
    MEMBER(cseq.method_name),
    MEMBER(ruri_parsed.text),
    MEMBER(ruri_parsed.scheme_text),
    MEMBER(ruri_parsed.user),
    MEMBER(ruri_parsed.password),
    MEMBER(ruri_parsed.host),
    MEMBER(ruri_parsed.params),
    MEMBER(ruri_parsed.headers),
    MEMBER(ruri_parsed.transport_text),
    MEMBER(ruri_parsed.maddr),
};

static void move_slices(struct sip_msg *msg, const char *old_bytes)
{
    for (size_t i = 0; i < sizeof(slice_members) / sizeof(slice_members[0]); i++) {
        struct slice *s = (struct slice *)(void *)((char *)msg + slice_members[i]);
        if (s->ptr)
            s->ptr = msg->bytes + (s->ptr - old_bytes);
    }
}

int sip_msg_keep(const struct sip_msg *msg, struct arena *arena, struct sip_msg *ret_kept)
{
    struct slice bytes = arena_dup(arena, slice_make(msg->bytes, msg->len));
    struct sip_hdr *hdrs = arena_alloc(arena, (msg->n_hdrs > 0 ? msg->n_hdrs : 1) * sizeof(*hdrs));
    if (slice_is_null(bytes) || !hdrs)
        return ERR_NOMEM;
    if (msg->n_hdrs > 0)
        memcpy(hdrs, msg->hdrs, msg->n_hdrs * sizeof(*hdrs));
    *ret_kept = *msg;
    ret_kept->bytes = bytes.ptr;
    ret_kept->hdrs = hdrs;
    move_slices(ret_kept, msg->bytes);
    return 0;
}
