#include "sip/build.h"
#include "base/buf.h"
#include "base/num.h"
#include "sip/text.h"

#define ONCE_BYTES 2048 /* longer messages, which are few, are written twice */

/* A writer into memory that may be too small: then it says how much it takes, and is run again. */
struct out {
    char *ptr;
    size_t len, cap; /* beyond cap nothing is written, only counted */
};

static void put(struct out *out, struct slice s)
{
    if (s.len > 0 && out->len + s.len <= out->cap)
        memcpy(out->ptr + out->len, s.ptr, s.len);
    out->len += s.len;
}

#define put_lit(out, literal) put((out), SLICE(literal))

static void put_u64(struct out *out, uint64_t value)
{
    char digits[20];
    put(out, slice_make(digits, num_format_u64(value, digits)));
}

static void put_field(struct out *out, struct slice name, struct slice value)
{
    put(out, name);
    put_lit(out, ": ");
    put(out, value);
    put_lit(out, "\r\n");
}

/* The first field of this id, if there is one. */
static void copy_field(struct out *out, const struct sip_msg *msg, enum sip_hdr_id id)
{
    if (sip_msg_has(msg, id))
        put_field(out, sip_hdr_name(id), sip_msg_value(msg, id));
}

static void copy_fields(struct out *out, const struct sip_msg *msg, enum sip_hdr_id id)
{
    for (uint16_t i = msg->first[id]; i != SIP_HDR_NONE; i = msg->hdrs[i].next)
        put_field(out, sip_hdr_name(id), sip_hdr_value(msg, &msg->hdrs[i]));
}

typedef void emit_fn(struct out *out, void *ctx);

static int build(emit_fn *emit, void *ctx, struct wire **ret_wire)
{
    char memory[ONCE_BYTES];
    struct out out = {.ptr = memory, .cap = sizeof(memory)};
    emit(&out, ctx);
    struct wire *wire = wire_new(out.len);
    if (!wire)
        return ERR_NOMEM;
    if (out.len <= sizeof(memory)) {
        memcpy(wire->bytes, memory, out.len);
    } else {
        out = (struct out){.ptr = wire->bytes, .cap = out.len};
        emit(&out, ctx);
    }
    *ret_wire = wire;
    return 0;
}

/* --- Responses --- */

struct response {
    struct sip_msg *req;
    const struct sip_response_args *args;
    struct slice top_via; /* the element of the request that args->top_via replaces */
};

/* Section 8.2.6.2: "The Via header field values in the response MUST equal the Via header field values in the
 * request and MUST maintain the same ordering". */
static void put_vias(struct out *out, const struct response *r)
{
    const struct sip_msg *req = r->req;
    if (slice_is_null(r->args->top_via)) {
        copy_fields(out, req, SIP_HDR_VIA);
        return;
    }
    const struct sip_hdr *first = &req->hdrs[req->first[SIP_HDR_VIA]];
    struct slice rest = sip_hdr_value(req, first);
    rest = slice_sub(rest, (size_t)(r->top_via.ptr + r->top_via.len - rest.ptr), rest.len);
    put_lit(out, "Via: ");
    put(out, r->args->top_via);
    put(out, rest);
    put_lit(out, "\r\n");
    for (uint16_t i = first->next; i != SIP_HDR_NONE; i = req->hdrs[i].next)
        put_field(out, sip_hdr_name(SIP_HDR_VIA), sip_hdr_value(req, &req->hdrs[i]));
}

/* Section 8.2.6.2: "if the To header field in the request did not contain a tag ... the UAS MUST add a tag to
 * the To header field in the response (with the exception of the 100 (Trying) response". A To that cannot be
 * read goes back as it came. */
static void put_to(struct out *out, const struct response *r)
{
    const struct sip_name_addr *to;
    bool readable = sip_msg_to(r->req, &to) == 0;
    if (slice_is_null(r->args->to_tag) || r->args->status == 100 || !readable ||
        !slice_is_null(sip_msg_to_tag(r->req))) {
        copy_field(out, r->req, SIP_HDR_TO);
        return;
    }
    put_lit(out, "To: ");
    put(out, sip_msg_value(r->req, SIP_HDR_TO));
    put_lit(out, ";tag=");
    put(out, r->args->to_tag);
    put_lit(out, "\r\n");
}

static bool is_last_extra(const struct sip_extra *extra)
{
    return !extra || (extra->id == SIP_HDR_OTHER && slice_is_null(extra->name));
}

static struct slice extra_name(const struct sip_extra *extra)
{
    return extra->id == SIP_HDR_OTHER ? extra->name : sip_hdr_name(extra->id);
}

static void emit_response(struct out *out, void *ctx)
{
    const struct response *r = ctx;
    const struct sip_response_args *args = r->args;
    put_lit(out, "SIP/2.0 ");
    put_u64(out, args->status);
    put_lit(out, " ");
    put(out, slice_is_null(args->phrase) ? sip_status_phrase(args->status) : args->phrase);
    put_lit(out, "\r\n");
    put_vias(out, r);
    if (args->copy_record_route)
        copy_fields(out, r->req, SIP_HDR_RECORD_ROUTE);
    copy_field(out, r->req, SIP_HDR_FROM);
    put_to(out, r);
    copy_field(out, r->req, SIP_HDR_CALL_ID);
    copy_field(out, r->req, SIP_HDR_CSEQ);
    if (args->copy_timestamp)
        copy_field(out, r->req, SIP_HDR_TIMESTAMP);
    for (const struct sip_extra *extra = args->extra; !is_last_extra(extra); extra++)
        put_field(out, extra_name(extra), extra->value);
    put_lit(out, "Content-Length: 0\r\n\r\n");
}

static bool args_are_safe(const struct sip_response_args *args)
{
    if (!sip_text_is_safe(args->phrase) || !sip_text_is_safe(args->to_tag) ||
        !sip_text_is_safe(args->top_via))
        return false;
    for (const struct sip_extra *extra = args->extra; !is_last_extra(extra); extra++) {
        if (!sip_text_is_safe(extra->name) || !sip_text_is_safe(extra->value))
            return false;
    }
    return true;
}

/* The first element of Via, of which only the part needs to be good that says where to answer;
 * absent when where it ends cannot be told. */
static int find_top_via(struct sip_msg *req, struct slice *ret_text)
{
    const struct sip_via *via;
    struct sip_via head;
    if (sip_msg_top_via(req, &via) == 0) {
        *ret_text = via->text;
        return 0;
    }
    int rc = sip_msg_top_via_head(req, &head);
    if (rc < 0)
        return rc;
    struct sip_values it = sip_values_of(req, SIP_HDR_VIA);
    if (sip_values_next(&it, ret_text) < 0)
        *ret_text = SLICE_NULL;
    return 0;
}

int sip_build_response(struct sip_msg *req, const struct sip_response_args *args, struct wire **ret_wire)
{
    struct response r = {.req = req, .args = args};
    int rc = find_top_via(req, &r.top_via);
    if (rc < 0 || !args_are_safe(args) || (!slice_is_null(args->top_via) && slice_is_null(r.top_via)))
        return ERR_SYNTAX;
    return build(emit_response, &r, ret_wire);
}

/* --- ACK and CANCEL: requests of the same transaction as an INVITE --- */

struct follow_up {
    const struct sip_msg *invite;
    const struct sip_msg *to_from; /* the message that To is taken from */
    struct slice method;
    struct slice top_via;
    uint32_t cseq;
    struct slice reason;
};

static void emit_follow_up(struct out *out, void *ctx)
{
    const struct follow_up *f = ctx;
    put(out, f->method);
    put_lit(out, " ");
    put(out, f->invite->ruri);
    put_lit(out, " SIP/2.0\r\n");
    put_field(out, sip_hdr_name(SIP_HDR_VIA), f->top_via);
    put_lit(out, "Max-Forwards: 70\r\n");
    copy_fields(out, f->invite, SIP_HDR_ROUTE);
    copy_field(out, f->invite, SIP_HDR_FROM);
    copy_field(out, f->to_from, SIP_HDR_TO);
    copy_field(out, f->invite, SIP_HDR_CALL_ID);
    put_lit(out, "CSeq: ");
    put_u64(out, f->cseq);
    put_lit(out, " ");
    put(out, f->method);
    put_lit(out, "\r\n");
    if (!slice_is_null(f->reason))
        put_field(out, sip_hdr_name(SIP_HDR_REASON), f->reason);
    put_lit(out, "Content-Length: 0\r\n\r\n");
}

static int build_follow_up(struct follow_up *f, struct sip_msg *invite, struct wire **ret_wire)
{
    const struct sip_via *via;
    const struct sip_cseq *cseq;
    int rc = sip_msg_top_via(invite, &via);
    if (rc == 0)
        rc = sip_msg_cseq(invite, &cseq);
    if (rc < 0 || !sip_text_is_safe(f->reason))
        return ERR_SYNTAX;
    f->invite = invite;
    f->top_via = via->text;
    f->cseq = cseq->number;
    return build(emit_follow_up, f, ret_wire);
}

int sip_build_ack(struct sip_msg *invite, struct sip_msg *response, struct wire **ret_wire)
{
    struct follow_up ack = {.method = sip_method_name(SIP_METHOD_ACK), .to_from = response};
    return build_follow_up(&ack, invite, ret_wire);
}

int sip_build_cancel(struct sip_msg *invite, struct slice reason, struct wire **ret_wire)
{
    struct follow_up cancel = {
        .method = sip_method_name(SIP_METHOD_CANCEL), .to_from = invite, .reason = reason};
    return build_follow_up(&cancel, invite, ret_wire);
}
