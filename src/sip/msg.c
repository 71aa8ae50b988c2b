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
        struct slice rest;
        if (!sip_msg_has(msg, SIP_HDR_VIA))
            return ERR_NOTFOUND;
        int rc = sip_via_parse_first(sip_msg_value(msg, SIP_HDR_VIA), &msg->top_via, &rest);
        if (rc < 0)
            return rc;
        msg->have |= SIP_HAVE_TOP_VIA;
    }
    *ret_via = &msg->top_via;
    return 0;
}

int sip_msg_next_via(struct sip_msg *msg, struct sip_via *ret_via)
{
    const struct sip_via *top;
    struct slice value, rest;
    int rc = sip_msg_top_via(msg, &top);
    if (rc < 0)
        return rc;
    const struct sip_hdr *h = &msg->hdrs[msg->first[SIP_HDR_VIA]];
    value = sip_hdr_value(msg, h);
    rest = slice_sub(value, (size_t)(top->text.ptr + top->text.len - value.ptr), value.len);
    size_t comma = slice_find(rest, ',');
    if (comma < rest.len)
        return sip_via_parse_first(slice_sub(rest, comma + 1, rest.len), ret_via, &rest);
    if (h->next == SIP_HDR_NONE)
        return ERR_NOTFOUND;
    return sip_via_parse_first(sip_hdr_value(msg, &msg->hdrs[h->next]), ret_via, &rest);
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

/* From the octets of a message to those of its copy. */
struct move {
    const char *from, *to;
};

/* A slice that is absent, or not yet filled, stays so. */
static void move(struct slice *s, struct move by)
{
    if (s->ptr)
        s->ptr = by.to + (s->ptr - by.from);
}

static void move_via(struct sip_via *via, struct move by)
{
    move(&via->text, by);
    move(&via->transport_text, by);
    move(&via->host, by);
    move(&via->params, by);
    move(&via->branch, by);
    move(&via->received, by);
    move(&via->maddr, by);
    move(&via->ttl, by);
    move(&via->rport_text, by);
}

static void move_party(struct sip_name_addr *na, struct slice *tag, struct move by)
{
    move(&na->text, by);
    move(&na->display, by);
    move(&na->uri_text, by);
    move(&na->params, by);
    move(tag, by);
}

static void move_uri(struct sip_uri *uri, struct move by)
{
    move(&uri->text, by);
    move(&uri->scheme_text, by);
    move(&uri->user, by);
    move(&uri->password, by);
    move(&uri->host, by);
    move(&uri->params, by);
    move(&uri->headers, by);
    move(&uri->transport_text, by);
    move(&uri->maddr, by);
}

/* Every slice of a sip_msg points into its octets. */
static void move_slices(struct sip_msg *msg, struct move by)
{
    move(&msg->method_name, by);
    move(&msg->ruri, by);
    move(&msg->version, by);
    move(&msg->reason, by);
    if (msg->have & SIP_HAVE_TOP_VIA)
        move_via(&msg->top_via, by);
    if (msg->have & SIP_HAVE_FROM)
        move_party(&msg->from, &msg->from_tag, by);
    if (msg->have & SIP_HAVE_TO)
        move_party(&msg->to, &msg->to_tag, by);
    if (msg->have & SIP_HAVE_CSEQ)
        move(&msg->cseq.method_name, by);
    if (msg->have & SIP_HAVE_RURI)
        move_uri(&msg->ruri_parsed, by);
}

int sip_msg_keep(const struct sip_msg *msg, struct arena *octets, struct arena *index,
                 struct sip_msg *ret_kept)
{
    struct slice bytes = arena_dup(octets, slice_make(msg->bytes, msg->len));
    struct sip_hdr *hdrs = arena_alloc(index, (msg->n_hdrs > 0 ? msg->n_hdrs : 1) * sizeof(*hdrs));
    if (slice_is_null(bytes) || !hdrs)
        return ERR_NOMEM;
    if (msg->n_hdrs > 0)
        memcpy(hdrs, msg->hdrs, msg->n_hdrs * sizeof(*hdrs));
    *ret_kept = *msg;
    ret_kept->bytes = bytes.ptr;
    ret_kept->hdrs = hdrs;
    move_slices(ret_kept, (struct move){.from = msg->bytes, .to = bytes.ptr});
    return 0;
}
