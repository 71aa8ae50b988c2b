/* A cursor over one header value or URI: what every parser of this folder is made of, and those of the
 * folders above that read header values of their own (src/auth). */
#ifndef SIP_SCAN_H
#define SIP_SCAN_H

#include "base/addr.h"
#include "base/err.h"
#include "base/slice.h"
#include "sip/find.h"

struct sip_scan {
    const char *p, *end;
};

/* Section 7.5: "MUST ignore any CRLF appearing before the start-line". */
static inline struct slice sip_scan_skip_empty_lines(struct slice bytes)
{
    while (bytes.len >= 2 && bytes.ptr[0] == '\r' && bytes.ptr[1] == '\n')
        bytes = slice_make(bytes.ptr + 2, bytes.len - 2);
    return bytes;
}

static inline struct sip_scan sip_scan_of(struct slice s)
{
    const char *p = s.ptr ? s.ptr : "";
    return (struct sip_scan){p, p + s.len};
}

static inline bool sip_scan_at_end(const struct sip_scan *s)
{
    return s->p == s->end;
}

static inline bool sip_scan_is(const struct sip_scan *s, char c)
{
    return s->p < s->end && *s->p == c;
}

static inline bool sip_scan_take(struct sip_scan *s, char c)
{
    if (!sip_scan_is(s, c))
        return false;
    s->p++;
    return true;
}

static inline struct slice sip_scan_rest(const struct sip_scan *s)
{
    return slice_make(s->p, (size_t)(s->end - s->p));
}

/* Everything from `from` up to the cursor. */
static inline struct slice sip_scan_since(const struct sip_scan *s, const char *from)
{
    return slice_make(from, (size_t)(s->p - from));
}

/* The longest run of octets of these classes; empty when there is none. */
SIP_INLINE struct slice sip_scan_run(struct sip_scan *s, unsigned classes)
{
    const char *from = s->p;
    s->p = sip_find_not(from, s->end, classes);
    return sip_scan_since(s, from);
}

/* The same for SIP_CHAR_TOKEN, and for SIP_CHAR_URI. */
static inline struct slice sip_scan_token(struct sip_scan *s)
{
    const char *from = s->p;
    s->p = sip_find_token_end(from, s->end);
    return sip_scan_since(s, from);
}

static inline struct slice sip_scan_uri_run(struct sip_scan *s)
{
    const char *from = s->p;
    s->p = sip_find_uri_end(from, s->end);
    return sip_scan_since(s, from);
}

/* LWS = [*WSP CRLF] 1*WSP; SWS = [LWS]. The end of it, or p where there is none. Takes several folds in a
 * row too, as section 7.3.1 shows them. */
const char *sip_lws_end(const char *p, const char *end);

static inline const char *sip_sws_end(const char *p, const char *end)
{
    return p < end && (uint8_t)*p <= ' ' ? sip_lws_end(p, end) : p;
}

/* True when there was any. */
static inline bool sip_scan_lws(struct sip_scan *s)
{
    const char *from = s->p;
    s->p = sip_sws_end(from, s->end);
    return s->p > from;
}

static inline void sip_scan_sws(struct sip_scan *s)
{
    s->p = sip_sws_end(s->p, s->end);
}

/* SWS c SWS: SEMI, COMMA, SLASH, EQUAL, COLON. When c is not there the cursor stays before the white space. */
static inline bool sip_scan_separator(struct sip_scan *s, char c)
{
    const char *p = sip_sws_end(s->p, s->end);
    if (p == s->end || *p != c)
        return false;
    s->p = sip_sws_end(p + 1, s->end);
    return true;
}

/* The end of the quoted string that begins at p, quotes included; NULL when it has none. */
const char *sip_quoted_end(const char *p, const char *end);
/* True for DQUOTE *(qdtext / quoted-pair) DQUOTE; quotes included. False, and the cursor stays, when
 * unbalanced. */
bool sip_scan_quoted(struct sip_scan *s);

/* *( class / escaped ); ERR_SYNTAX for a "%" without two hex digits. */
MUST_USE int sip_scan_escaped_run(struct sip_scan *s, unsigned classes, struct slice *ret_run);

/* host; ret_addr->family is ADDR_NONE for a name. */
MUST_USE int sip_scan_host(struct sip_scan *s, struct slice *ret_host, struct addr *ret_addr);
/* port = 1*DIGIT, 1 to 65535. */
MUST_USE int sip_scan_port(struct sip_scan *s, uint16_t *ret_port);

/* One header parameter with its semicolon. */
struct sip_scan_param {
    struct slice text; /* from the semicolon to the end of the value */
    struct slice name;
    struct slice value; /* absent without "=" */
    bool is_token;      /* the value is a token, and so neither quoted nor empty */
};

/* *( SEMI generic-param ): 0, ERR_NOTFOUND at the end, ERR_SYNTAX.
 * generic-param = token [ EQUAL gen-value ]
 * gen-value     = token / host / quoted-string
 * An unquoted value is any run without white space, quotes, brackets and separators, and may be empty: who
 * uses the parameter looks closer (RFC 3261 section 16.3 item 1: the rest is ignored). */
SIP_INLINE MUST_USE int sip_scan_param(struct sip_scan *s, struct sip_scan_param *ret_param)
{
    const char *end = s->end, *from = sip_sws_end(s->p, end);
    if (from == end)
        return ERR_NOTFOUND;
    if (*from != ';')
        return ERR_SYNTAX;
    const char *name = sip_sws_end(from + 1, end), *p = sip_find_not(name, end, SIP_CHAR_TOKEN);
    if (p == name)
        return ERR_SYNTAX;
    struct sip_scan_param param = {.name = slice_make(name, (size_t)(p - name))};
    const char *equal = sip_sws_end(p, end);
    if (equal < end && *equal == '=') {
        const char *value = sip_sws_end(equal + 1, end);
        if (value < end && *value == '"') {
            p = sip_quoted_end(value, end);
            if (!p)
                return ERR_SYNTAX;
        } else {
            /* Most values are tokens, and another parameter follows or none. */
            const char *token_end = sip_find_token_end(value, end);
            p = token_end == end || *token_end == ';' ? token_end : sip_find_value_end(token_end, end);
            param.is_token = p == token_end && p > value;
            /* White space behind an empty value belongs to what follows. */
            if (p == value)
                p = value = equal + 1;
        }
        param.value = slice_make(value, (size_t)(p - value));
    }
    param.text = slice_make(from, (size_t)(p - from));
    s->p = p;
    *ret_param = param;
    return 0;
}

#endif
