/* A SIP message as parsed: slices and offsets into octets that somebody else owns and nobody changes.
 *
 * Three passes (the first is sip/frame.h for streams). sip_msg_parse() indexes: start line and an array of
 * header fields, known ones by number. Typed headers are parsed when asked for and kept in the sip_msg. What
 * is not asked for is not looked at and passes through as it came (RFC 3261 section 16.3 item 1).
 *
 * Life: parsed in scratch memory from a receive buffer; when a new transaction needs it, sip_msg_keep()
 * copies octets and index into the arena of the request, the octets into another one if they are to outlive
 * the index. Positions are offsets, so the copy needs no second parse. */
#ifndef SIP_MSG_H
#define SIP_MSG_H

#include "base/arena.h"
#include "base/slice.h"
#include "sip/limits.h"
#include "sip/table.h"
#include "sip/uri.h"

#define SIP_HDR_NONE UINT16_MAX /* no header: end of a chain, or absent */

struct sip_hdr {
    uint16_t id;        /* enum sip_hdr_id */
    uint16_t next;      /* index of the next header with the same id (known ids only), or SIP_HDR_NONE */
    uint16_t name_len;  /* the name starts at line_off */
    uint32_t line_off;  /* the field with its name ... */
    uint32_t line_len;  /* ... folded lines and the final CRLF */
    uint32_t value_off; /* value without surrounding white space; folding inside it is kept */
    uint32_t value_len;
};

/* Why a message was refused, and what to answer. */
struct sip_error {
    unsigned status; /* 400, 413, 414, 416, 420, 483, 505, 513 ... ; 0: drop in silence (a response, or no way
                        to answer) */
    const char *phrase;  /* reason phrase that names the header: "Bad CSeq", "Two Content-Length" */
    enum sip_hdr_id hdr; /* SIP_HDR_OTHER when it is not about one header */
    uint32_t offset;     /* in the message */
};

/* One Via (section 20.42). Positions of what gets edited are kept as slices into the message. */
struct sip_via {
    struct slice text; /* the whole element */
    enum sip_transport transport;
    struct slice transport_text;
    struct slice host;     /* as written, brackets kept */
    struct addr addr;      /* family ADDR_NONE for a name */
    uint16_t port;         /* 0: not written */
    struct slice params;   /* from the first ';' on (with it), or empty at the end of sent-by */
    struct slice branch;   /* absent when not there */
    struct slice received; /* absent when not there */
    struct slice maddr;
    struct slice ttl;
    bool has_keep; /* RFC 6223 */
    bool has_rport;
    struct slice rport_text; /* ";rport" or ";rport=123" as written, for editing */
    uint16_t rport;          /* 0: present without value, or absent */
};

/* From, To, Contact, Route, Record-Route, Path: (name-addr / addr-spec) *(SEMI param). The "*" of a Contact
 * is none: look for it first. */
struct sip_name_addr {
    struct slice text;     /* the whole element */
    struct slice display;  /* as written, quotes kept; absent when none */
    struct slice uri_text; /* between < and >, or the addr-spec */
    struct slice params;   /* from the first ';' on, or empty */
    bool brackets; /* false: addr-spec; then everything after ';' is a header parameter (section 20) */
};

struct sip_cseq {
    uint32_t number; /* < 2**31 by section 8.1.1.5; up to 2**32-1 is taken (20.16) */
    enum sip_method method;
    struct slice method_name;
};

struct sip_msg {
    const char *bytes;
    uint32_t len;      /* up to the end of the body; trailing octets of a datagram are not part of it */
    uint32_t hdrs_off; /* first octet after the start line */
    uint32_t hdrs_end; /* offset of the empty line */
    uint32_t body_off, body_len;

    bool is_request;
    bool has_content_length;
    enum sip_method method;                          /* of the request, or of the CSeq of a response */
    uint16_t status;                                 /* of a response */
    struct slice method_name, ruri, version, reason; /* as written; of a response method_name is the CSeq's */

    struct sip_hdr *hdrs;
    uint16_t n_hdrs;
    uint16_t first[SIP_HDR_COUNT]; /* index of the first header of a known id, or SIP_HDR_NONE */

    /* Typed headers, filled on demand; have_* bits say which. Use the functions. */
    uint32_t have;
    struct sip_via top_via;
    struct sip_name_addr from, to;
    struct slice from_tag, to_tag;
    struct sip_cseq cseq;
    struct sip_uri ruri_parsed;
};

/* Parses one whole message: all octets of a datagram, or one frame of a stream (`datagram` tells which; it
 * decides what a missing Content-Length, octets missing and octets left over mean: section 18.3).
 *
 * Strict here, whatever the message is for: start line, header line structure, Content-Length, number and
 * size against the limits. The header array is taken from arena. On ERR_SYNTAX, ERR_LIMIT and ERR_UNSUPPORTED
 * (SIP version) ret_error says what to answer and, where as much could be read, ret_msg is good enough to
 * build that answer from (top Via, From, To, Call-ID, CSeq): ret_error->status is 0 when it is not.
 * Fields with stray CR, LF or NUL are left out of the index, so that no answer repeats them. The first error
 * is the one reported; its offset, like every position, counts from ret_msg->bytes, which is behind any CRLF
 * that stood before the start line (section 7.5). ERR_NOMEM: arena is full, and ret_msg is not usable. */
MUST_USE int sip_msg_parse(struct slice bytes, bool datagram, const struct sip_limits *limits,
                           struct arena *arena, struct sip_msg *ret_msg, struct sip_error *ret_error);

/* What decides identity must be there once and be grammatical: Via (top), From, To, Call-ID, CSeq with the
 * method of the request line, each single header once, Max-Forwards a number (sections 8.1.1, 16.3 item 1,
 * 20). A response needs Via and CSeq; From, To and Call-ID must be single, and are not looked into.
 * Fields that belong into messages of the other kind are ignored (section 7.3.2). 0, or ERR_SYNTAX with
 * ret_error. A tag in From is not demanded (RFC 2543, section 17.2.3), nor an RFC 3261 branch in Via. */
MUST_USE int sip_msg_check(struct sip_msg *msg, struct sip_error *ret_error);

/* A copy whose octets live in one arena and whose header array in another, or the same: the
 * octets can outlive what was read of them. */
MUST_USE int sip_msg_keep(const struct sip_msg *msg, struct arena *octets, struct arena *index,
                          struct sip_msg *ret_kept);

static inline bool sip_msg_has(const struct sip_msg *msg, enum sip_hdr_id id)
{
    return msg->first[id] != SIP_HDR_NONE;
}

static inline struct slice sip_hdr_value(const struct sip_msg *msg, const struct sip_hdr *h)
{
    return slice_make(msg->bytes + h->value_off, h->value_len);
}

static inline struct slice sip_hdr_line(const struct sip_msg *msg, const struct sip_hdr *h)
{
    return slice_make(msg->bytes + h->line_off, h->line_len);
}

static inline struct slice sip_msg_body(const struct sip_msg *msg)
{
    return slice_make(msg->bytes + msg->body_off, msg->body_len);
}

/* Value of the first header with this id; absent slice when there is none. */
struct slice sip_msg_value(const struct sip_msg *msg, enum sip_hdr_id id);

/* Typed access; parsed once, then cached. ERR_NOTFOUND when absent, ERR_SYNTAX when bad. The pointers live as
 * long as the message. */
MUST_USE int sip_msg_top_via(struct sip_msg *msg, const struct sip_via **ret_via);
/* The Via below the top one, which has to be good. Not kept. */
MUST_USE int sip_msg_next_via(struct sip_msg *msg, struct sip_via *ret_via);
/* The top Via as far as an answer needs it, sent-protocol and sent-by, whatever its parameters look like: for
 * requests that failed sip_msg_check. */
MUST_USE int sip_msg_top_via_head(const struct sip_msg *msg, struct sip_via *ret_via);
MUST_USE int sip_msg_from(struct sip_msg *msg, const struct sip_name_addr **ret_from);
MUST_USE int sip_msg_to(struct sip_msg *msg, const struct sip_name_addr **ret_to);
/* The tag, or the absent slice. */
struct slice sip_msg_from_tag(struct sip_msg *msg);
struct slice sip_msg_to_tag(struct sip_msg *msg);
MUST_USE int sip_msg_cseq(struct sip_msg *msg, const struct sip_cseq **ret_cseq);
MUST_USE int sip_msg_ruri(struct sip_msg *msg, const struct sip_uri **ret_uri);
struct slice sip_msg_call_id(const struct sip_msg *msg);
/* ERR_NOTFOUND when absent; ERR_SYNTAX when no number; saturates at 2**32-1. */
MUST_USE int sip_msg_u32(const struct sip_msg *msg, enum sip_hdr_id id, uint32_t *ret_value);

/* Walks the elements of a comma-listed header over all its lines, in order, honouring quotes and <>.
 * Parentheses mean nothing: no header with comments is a list (section 25.1). A header that is not a list is
 * one element per line:
 *
 *     struct sip_values it = sip_values_of(msg, SIP_HDR_ROUTE);
 *     while ((rc = sip_values_next(&it, &element)) == 0) ...
 *     rc is ERR_NOTFOUND at the end, ERR_SYNTAX for an unbalanced quote or an empty element where none is
 * allowed (a whole value may be empty in Accept, Allow and Supported). */
struct sip_values {
    const struct sip_msg *msg;
    uint16_t hdr;   /* header of the element last returned */
    uint16_t index; /* its number within that header, from 0 */
    uint32_t off;   /* where to go on in the value */
    uint16_t next_hdr;
};
struct sip_values sip_values_of(const struct sip_msg *msg, enum sip_hdr_id id);
MUST_USE int sip_values_next(struct sip_values *it, struct slice *ret_element);

MUST_USE int sip_via_parse(struct slice element, struct sip_via *ret_via);
/* The first element of a header value; ret_rest is what is behind it: empty, or a comma and more. */
MUST_USE int sip_via_parse_first(struct slice value, struct sip_via *ret_via, struct slice *ret_rest);
/* Only sent-protocol and sent-by; the rest, which may be anything, is not looked at. */
MUST_USE int sip_via_parse_head(struct slice value, struct sip_via *ret_via);
MUST_USE int sip_name_addr_parse(struct slice element, struct sip_name_addr *ret_na);

/* A parameter (no case) of a ";a=b;c" list: false when absent; a value loses nothing (quotes are kept);
 * without '=' it is empty. */
bool sip_param(struct slice params, struct slice name, struct slice *ret_value);
/* q of a Contact in thousandths (section 20.10): 1000 when absent; ERR_SYNTAX when not a qvalue. */
MUST_USE int sip_param_q(struct slice params, unsigned *ret_q);
/* True when an option-tag list header (Require, Supported ...) has this tag, without case. */
bool sip_msg_has_option(const struct sip_msg *msg, enum sip_hdr_id id, struct slice tag);

#endif
