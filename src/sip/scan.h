/* A cursor over one header value or URI: what every parser of this folder is made of, and those of the
 * folders above that read header values of their own (src/auth). */
#ifndef SIP_SCAN_H
#define SIP_SCAN_H

#include "base/addr.h"
#include "base/err.h"
#include "base/slice.h"
#include "sip/chars.h"

struct sip_scan {
    const char *p, *end;
};

#define SIP_EACH_OCTET(c) ((uint64_t)(c)*0x0101010101010101ULL)

/* The first octet below SP, or end. Eight at a time: `word - 0x20...` borrows into the high bit of exactly
 * the octets below SP up to the first of them, and what is above that one does not matter. */
static inline const char *sip_find_control(const char *p, const char *end)
{
    while (end - p >= 8) {
        uint64_t word;
        memcpy(&word, p, sizeof(word));
        uint64_t below = (word - SIP_EACH_OCTET(0x20)) & ~word & SIP_EACH_OCTET(0x80);
        if (below) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
            return p + (__builtin_ctzll(below) >> 3);
#else
            break;
#endif
        }
        p += 8;
    }
    while (p < end && (uint8_t)*p >= ' ')
        p++;
    return p;
}

/* The octets of a word that are zero have their high bit set in the result; so may some above the first of
 * them, which does not matter. */
static inline uint64_t sip_zero_octets(uint64_t word)
{
    return (word - SIP_EACH_OCTET(0x01)) & ~word & SIP_EACH_OCTET(0x80);
}

/* The first of three octets, or end. Eight at a time. */
static inline const char *sip_find_any_of_3(const char *p, const char *end, char a, char b, char c)
{
    const uint64_t as = SIP_EACH_OCTET((uint8_t)a), bs = SIP_EACH_OCTET((uint8_t)b),
                   cs = SIP_EACH_OCTET((uint8_t)c);
    while (end - p >= 8) {
        uint64_t word;
        memcpy(&word, p, sizeof(word));
        uint64_t found = sip_zero_octets(word ^ as) | sip_zero_octets(word ^ bs) | sip_zero_octets(word ^ cs);
        if (found) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
            return p + (__builtin_ctzll(found) >> 3);
#else
            break;
#endif
        }
        p += 8;
    }
    while (p < end && *p != a && *p != b && *p != c)
        p++;
    return p;
}

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
static inline struct slice sip_scan_run(struct sip_scan *s, unsigned classes)
{
    const char *from = s->p;
    while (s->p < s->end && sip_char_is(*s->p, classes))
        s->p++;
    return sip_scan_since(s, from);
}

/* LWS = [*WSP CRLF] 1*WSP; SWS = [LWS]. Takes several folds in a row too, as section 7.3.1 shows them. True
 * when there was any. */
bool sip_scan_lws(struct sip_scan *s);

static inline void sip_scan_sws(struct sip_scan *s)
{
    if (s->p < s->end && (uint8_t)*s->p <= ' ')
        (void)sip_scan_lws(s);
}

/* SWS c SWS: SEMI, COMMA, SLASH, EQUAL, COLON. When c is not there the cursor stays before the white space. */
static inline bool sip_scan_separator(struct sip_scan *s, char c)
{
    struct sip_scan ahead = *s;
    sip_scan_sws(&ahead);
    if (!sip_scan_take(&ahead, c))
        return false;
    sip_scan_sws(&ahead);
    *s = ahead;
    return true;
}

/* True for DQUOTE *(qdtext / quoted-pair) DQUOTE; quotes included. False, with the cursor anywhere, when
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
};

/* *( SEMI generic-param ): 0, ERR_NOTFOUND at the end, ERR_SYNTAX. */
MUST_USE int sip_scan_param(struct sip_scan *s, struct sip_scan_param *ret_param);

#endif
