/* A reader of SIP messages for the test's own eyes. It shares no line with src/sip, so that what the parser
 * gets wrong is not wrong here in the same way. It is tolerant: it splits lines at CRLF (or LF), values at
 * commas, parameters at semicolons, and judges nothing.
 *
 * A path names a piece of a message:
 *     start method ruri status reason version body bytes
 *     Subject              the whole value; of a list header all elements joined by ", "
 *     Via[1]               one element of a list header (any header: its n-th line)
 *     Via[0].branch        a parameter; also .uri .display .host .params .number
 *     WWW-Authenticate[0].nonce   a parameter of a challenge or of credentials, unquoted */
#ifndef SCENARIO_PLAIN_H
#define SCENARIO_PLAIN_H

#include "heap.h"

struct plain_hdr {
    struct slice name;  /* long form */
    struct slice value; /* trimmed; folding replaced by one space */
};

struct plain {
    struct slice bytes;
    struct slice start, method, ruri, version, reason;
    bool is_request;
    unsigned status;
    struct slice cseq_method;
    struct plain_hdr *hdrs;
    size_t n_hdrs;
    struct slice body;
};

/* False when there is no start line of SIP at all (a keep-alive, rubbish). */
bool plain_parse(struct heap *heap, struct slice bytes, struct plain *ret_plain);
/* Method of a request, CSeq method of a response. */
struct slice plain_method(const struct plain *p);
/* All elements of a header in order. */
size_t plain_values(struct heap *heap, const struct plain *p, struct slice name, struct slice **ret_elements);
/* A header's first value; absent when there is none. */
struct slice plain_value(struct heap *heap, const struct plain *p, const char *name);
/* False when the path names nothing in this message. */
bool plain_path(struct heap *heap, const struct plain *p, struct slice path, struct slice *ret_text);
/* The parameter of one element, see above. */
bool plain_field(struct heap *heap, struct slice element, struct slice field, struct slice *ret_text);
/* A parameter of Digest credentials or of a challenge, without its quotes. */
bool plain_auth_param(struct slice value, struct slice name, struct slice *ret_text);
/* Splits at a separator outside "" and <>. */
size_t plain_split(struct heap *heap, struct slice text, char separator, struct slice **ret_pieces);

#endif
