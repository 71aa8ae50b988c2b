/* URIs: RFC 3261 section 19.1 and 25.1. A parsed URI is slices into its text. Of a scheme other than sip and
 * sips only the scheme is known; the rest is opaque and passes through. */
#ifndef SIP_URI_H
#define SIP_URI_H

#include "base/addr.h"
#include "base/err.h"
#include "base/slice.h"
#include "sip/table.h"

enum sip_scheme { SIP_SCHEME_OTHER = 0, SIP_SCHEME_SIP, SIP_SCHEME_SIPS, SIP_SCHEME_TEL };

struct sip_uri {
    struct slice text; /* all of it */
    enum sip_scheme scheme;
    struct slice scheme_text;
    struct slice user;     /* as written, escapes kept; absent (NULL) when there is no '@' */
    struct slice password; /* absent when there is none */
    struct slice host;     /* as written; IPv6 with its brackets */
    struct addr addr;      /* family ADDR_NONE when host is a name; port is not set here */
    uint16_t port;         /* 0: not written */
    struct slice params;   /* after the first ';' without it; absent when none */
    struct slice headers;  /* after the '?' without it; absent when none */
    /* Parameters of section 19.1.1, found while parsing. */
    bool lr;                      /* `lr`, with or without a value */
    enum sip_transport transport; /* OTHER when absent or unknown */
    struct slice transport_text;  /* absent when not written */
    struct slice maddr;           /* absent when not written */
};

/* Parses the whole slice. ERR_SYNTAX for a sip or sips URI that breaks the grammar, or text without a scheme;
 * ret_uri is not touched then. A port above 65535 is ERR_SYNTAX. */
MUST_USE int sip_uri_parse(struct slice text, struct sip_uri *ret_uri);

/* Value of a parameter by name (no case); false when absent. A parameter without '=' gives an empty value. */
bool sip_uri_param(const struct sip_uri *uri, struct slice name, struct slice *ret_value);

enum sip_uri_case { SIP_URI_CASE, SIP_URI_NOCASE };

/* Whether two components are the same with escapes decoded once: RFC 3261 section 19.1.4, "Characters other
 * than those in the "reserved" set are equivalent to their "%" HEX HEX encoding". */
bool sip_uri_text_eq(struct slice a, struct slice b, enum sip_uri_case which);

/* Equality of section 19.1.4, rule by rule: escapes decoded once, case where it counts, parameters that
 * matter when in only one (user, ttl, method, maddr, transport), headers in any order. URIs of other schemes:
 * octet for octet, the scheme without case. */
bool sip_uri_eq(const struct sip_uri *a, const struct sip_uri *b);

/* The address-of-record in canonical form (section 10.3 step 5): "sip:user@host", escapes that need not be
 * escaped decoded, host in lower case, no port when it is default_port or absent, no password, parameters or
 * headers; sips is kept as sips. ERR_LIMIT when out is full; ERR_UNSUPPORTED for other schemes. */
MUST_USE int sip_uri_canonical_aor(const struct sip_uri *uri, struct buf *out);

/* Is this name "invalid", or one below it? There is no such host (RFC 6761 section 6.4); clients in browsers
 * write one where they cannot know their own (RFC 7118 appendix B.1). */
bool sip_host_is_invalid(struct slice host);

/* The port to use when none is written, by scheme and transport parameter. */
uint16_t sip_uri_effective_port(const struct sip_uri *uri);

#endif
