/* Reasonable syntax (RFC 3261 section 16.3 item 1) of what decides the identity of a message, and nothing
 * else. */
#include "sip/msg_private.h"
#include "sip/scan.h"

static int refuse(const struct sip_msg *msg, const char *phrase, enum sip_hdr_id id,
                  struct sip_error *ret_error)
{
    uint32_t offset = sip_msg_has(msg, id) ? msg->hdrs[msg->first[id]].line_off : 0;
    *ret_error = (struct sip_error){sip_msg_answer_status(msg, 400), phrase, id, offset};
    return ERR_SYNTAX;
}

/* callid = word [ "@" word ] */
static bool call_id_is_good(struct slice value)
{
    struct sip_scan s = sip_scan_of(value);
    if (sip_scan_run(&s, SIP_CHAR_WORD).len == 0)
        return false;
    if (sip_scan_take(&s, '@') && sip_scan_run(&s, SIP_CHAR_WORD).len == 0)
        return false;
    return sip_scan_at_end(&s);
}

static int check_typed(struct sip_msg *msg, enum sip_hdr_id id)
{
    const struct sip_via *via;
    const struct sip_name_addr *party;
    const struct sip_cseq *cseq;
    uint32_t number;
    switch (id) {
    case SIP_HDR_VIA:
        return sip_msg_top_via(msg, &via);
    case SIP_HDR_FROM:
        return sip_msg_from(msg, &party);
    case SIP_HDR_TO:
        return sip_msg_to(msg, &party);
    case SIP_HDR_CALL_ID:
        return call_id_is_good(sip_msg_call_id(msg)) ? 0 : ERR_SYNTAX;
    case SIP_HDR_CSEQ:
        return sip_msg_cseq(msg, &cseq);
    default:
        return sip_msg_u32(msg, id, &number);
    }
}

enum presence { IGNORED, OPTIONAL, REQUIRED };

struct checked_header {
    enum sip_hdr_id id;
    enum presence in_request, in_response;
};

/* Section 8.1.1: "A valid SIP request formulated by a UAC MUST, at a minimum, contain the following
 * header fields: To, From, CSeq, Call-ID, Max-Forwards, and Via". Max-Forwards may be missing (section
 * 16.3 item 3). A response is matched by Via and CSeq (section 17.1.3), so these it cannot do without;
 * what is in the other fields that its request had is for who gets it in the end; a request header field
 * in it "MUST be ignored" (section 7.3.2). */
static const struct checked_header checked_headers[] = {
    {SIP_HDR_VIA, REQUIRED, REQUIRED},  {SIP_HDR_FROM, REQUIRED, IGNORED},
    {SIP_HDR_TO, REQUIRED, IGNORED},    {SIP_HDR_CALL_ID, REQUIRED, IGNORED},
    {SIP_HDR_CSEQ, REQUIRED, REQUIRED}, {SIP_HDR_MAX_FORWARDS, OPTIONAL, IGNORED},
};

#define CHECKED_HEADERS (sizeof(checked_headers) / sizeof(checked_headers[0]))

static int check_header(struct sip_msg *msg, const struct checked_header *c, struct sip_error *ret_error)
{
    enum presence presence = msg->is_request ? c->in_request : c->in_response;
    if (presence == IGNORED)
        return 0;
    if (!sip_msg_has(msg, c->id))
        return presence == REQUIRED ? refuse(msg, sip_phrase_missing(c->id), c->id, ret_error) : 0;
    if (check_typed(msg, c->id) < 0)
        return refuse(msg, sip_phrase_bad(c->id), c->id, ret_error);
    return 0;
}

static bool is_repeated(const struct sip_msg *msg, enum sip_hdr_id id)
{
    return sip_msg_has(msg, id) && msg->hdrs[msg->first[id]].next != SIP_HDR_NONE;
}

/* What decides identity, and the way that a request takes. */
static bool is_used_by_all(enum sip_hdr_id id, bool is_request)
{
    switch (id) {
    case SIP_HDR_FROM:
    case SIP_HDR_TO:
    case SIP_HDR_CALL_ID:
    case SIP_HDR_CSEQ:
        return true;
    case SIP_HDR_MAX_FORWARDS:
    case SIP_HDR_MAX_BREADTH:
        return is_request;
    default:
        return false;
    }
}

/* Section 16.3 item 1: a proxy checks what it uses, and a call is not refused for two Subjects. A REGISTER ends at
 * a registrar, which uses Expires and the fields of a body: where one of its single fields comes twice nobody
 * knows which is meant (section 7.3.1). */
static bool must_be_single(const struct sip_msg *msg, enum sip_hdr_id id)
{
    unsigned flags = sip_hdr_flags(id);

    if (is_used_by_all(id, msg->is_request))
        return true;
    return msg->is_request && msg->method == SIP_METHOD_REGISTER && (flags & SIP_HDRF_SINGLE) &&
           !(flags & SIP_HDRF_RESPONSE);
}

static int check_repeated(const struct sip_msg *msg, struct sip_error *ret_error)
{
    for (unsigned id = 1; id < SIP_HDR_COUNT; id++) {
        if (is_repeated(msg, id) && must_be_single(msg, id))
            return refuse(msg, sip_phrase_duplicate(id), id, ret_error);
    }
    return 0;
}

static int check_request_line(struct sip_msg *msg, struct sip_error *ret_error)
{
    const struct sip_uri *ruri;
    const struct sip_cseq *cseq;
    if (sip_msg_ruri(msg, &ruri) < 0)
        return refuse(msg, "Bad Request-URI", SIP_HDR_OTHER, ret_error);
    /* Section 8.1.1.5: "The method MUST match that of the request." Method names are case-sensitive (7.1). */
    if (sip_msg_cseq(msg, &cseq) == 0 && !slice_eq(cseq->method_name, msg->method_name))
        return refuse(msg, "CSeq Method Mismatch", SIP_HDR_CSEQ, ret_error);
    return 0;
}

int sip_msg_check(struct sip_msg *msg, struct sip_error *ret_error)
{
    for (size_t i = 0; i < CHECKED_HEADERS; i++) {
        int rc = check_header(msg, &checked_headers[i], ret_error);
        if (rc < 0)
            return rc;
    }
    if (msg->have & SIP_HAVE_REPEATED) {
        int rc = check_repeated(msg, ret_error);
        if (rc < 0)
            return rc;
    }
    return msg->is_request ? check_request_line(msg, ret_error) : 0;
}
