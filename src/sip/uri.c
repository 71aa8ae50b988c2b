/* RFC 3261 section 19.1.1 and 25.1. */
#include "sip/uri.h"
#include "sip/scan.h"
#include "sip/uri_private.h"

/* scheme = ALPHA *( ALPHA / DIGIT / "+" / "-" / "." ) */
static int scan_scheme(struct sip_scan *s, struct sip_uri *uri)
{
    if (sip_scan_at_end(s) || !sip_char_is(*s->p, SIP_CHAR_ALPHA))
        return ERR_SYNTAX;
    if (s->end - s->p > 4 && memcmp(s->p, "sip:", 4) == 0) { /* as nearly always */
        uri->scheme = SIP_SCHEME_SIP;
        uri->scheme_text = slice_make(s->p, 3);
        s->p += 4;
        return 0;
    }
    uri->scheme_text = sip_scan_run(s, SIP_CHAR_SCHEME);
    if (!sip_scan_take(s, ':'))
        return ERR_SYNTAX;
    if (slice_eq_nocase(uri->scheme_text, SLICE("sip")))
        uri->scheme = SIP_SCHEME_SIP;
    else if (slice_eq_nocase(uri->scheme_text, SLICE("sips")))
        uri->scheme = SIP_SCHEME_SIPS;
    else if (slice_eq_nocase(uri->scheme_text, SLICE("tel")))
        uri->scheme = SIP_SCHEME_TEL;
    return 0;
}

/* userinfo = ( user / telephone-subscriber ) [ ":" password ] "@"
 * user     = 1*( unreserved / escaped / user-unreserved )
 * password = *( unreserved / escaped / "&" / "=" / "+" / "$" / "," )
 * "@" is nowhere else in a URI of ours unless it is escaped, so one that is there ends the userinfo. */
static int scan_userinfo(struct sip_scan *s, struct sip_uri *uri)
{
    if (!memchr(s->p, '@', (size_t)(s->end - s->p)))
        return 0;
    if (sip_scan_escaped_run(s, SIP_CHAR_USER, &uri->user) < 0 || uri->user.len == 0)
        return ERR_SYNTAX;
    if (sip_scan_take(s, ':') && sip_scan_escaped_run(s, SIP_CHAR_PASSWORD, &uri->password) < 0)
        return ERR_SYNTAX;
    return sip_scan_take(s, '@') ? 0 : ERR_SYNTAX;
}

/* hostport = host [ ":" port ] */
static int scan_hostport(struct sip_scan *s, struct sip_uri *uri)
{
    if (sip_scan_host(s, &uri->host, &uri->addr) < 0)
        return ERR_SYNTAX;
    return sip_scan_take(s, ':') ? sip_scan_port(s, &uri->port) : 0;
}

/* other-param = pname [ "=" pvalue ], and the others are of the same form
 * pname       = 1*paramchar
 * pvalue      = 1*paramchar */
int sip_uri_scan_param(struct sip_scan *s, struct slice *ret_name, struct slice *ret_value)
{
    struct slice name, value = SLICE_NULL;
    if (sip_scan_escaped_run(s, SIP_CHAR_PARAM, &name) < 0 || name.len == 0)
        return ERR_SYNTAX;
    if (sip_scan_take(s, '=') && (sip_scan_escaped_run(s, SIP_CHAR_PARAM, &value) < 0 || value.len == 0))
        return ERR_SYNTAX;
    *ret_name = name;
    *ret_value = value;
    return 0;
}

/* Nobody writes a known name with escapes, but one could. */
static bool is_param(struct slice name, struct slice known)
{
    return slice_eq_nocase(name, known) ||
           (name.len > known.len && sip_uri_text_eq(name, known, SIP_URI_NOCASE));
}

/* A second transport or maddr would send the request elsewhere than the next element thinks: section 19.1.1,
 * "any given parameter-name MUST NOT appear more than once". */
static int note_param(struct sip_uri *uri, struct slice name, struct slice value)
{
    if (is_param(name, SLICE("lr"))) {
        uri->lr = true;
    } else if (is_param(name, SLICE("transport"))) {
        if (slice_is_null(value) || !slice_is_null(uri->transport_text))
            return ERR_SYNTAX;
        uri->transport_text = value;
        uri->transport = sip_transport_from_name(value);
    } else if (is_param(name, SLICE("maddr"))) {
        if (slice_is_null(value) || !slice_is_null(uri->maddr))
            return ERR_SYNTAX;
        uri->maddr = value;
    }
    return 0;
}

/* uri-parameters = *( ";" uri-parameter) */
static int scan_params(struct sip_scan *s, struct sip_uri *uri)
{
    struct slice name, value;
    if (!sip_scan_take(s, ';'))
        return 0;
    const char *from = s->p;
    do {
        if (sip_uri_scan_param(s, &name, &value) < 0 || note_param(uri, name, value) < 0)
            return ERR_SYNTAX;
    } while (sip_scan_take(s, ';'));
    uri->params = sip_scan_since(s, from);
    return 0;
}

/* header = hname "=" hvalue
 * hname  = 1*( hnv-unreserved / unreserved / escaped )
 * hvalue = *( hnv-unreserved / unreserved / escaped ) */
int sip_uri_scan_header(struct sip_scan *s, struct slice *ret_name, struct slice *ret_value)
{
    struct slice name, value;
    if (sip_scan_escaped_run(s, SIP_CHAR_HNV, &name) < 0 || name.len == 0 || !sip_scan_take(s, '=') ||
        sip_scan_escaped_run(s, SIP_CHAR_HNV, &value) < 0)
        return ERR_SYNTAX;
    *ret_name = name;
    *ret_value = value;
    return 0;
}

/* headers = "?" header *( "&" header ) */
static int scan_headers(struct sip_scan *s, struct sip_uri *uri)
{
    struct slice name, value;
    if (!sip_scan_take(s, '?'))
        return 0;
    const char *from = s->p;
    do {
        if (sip_uri_scan_header(s, &name, &value) < 0)
            return ERR_SYNTAX;
    } while (sip_scan_take(s, '&'));
    uri->headers = sip_scan_since(s, from);
    return 0;
}

/* SIP-URI     = "sip:" [ userinfo ] hostport uri-parameters [ headers ]
 * absoluteURI = scheme ":" ( hier-part / opaque-part ) */
int sip_uri_parse(struct slice text, struct sip_uri *ret_uri)
{
    struct sip_uri uri = {.text = text};
    struct sip_scan s = sip_scan_of(text);
    if (scan_scheme(&s, &uri) < 0)
        return ERR_SYNTAX;
    if (uri.scheme != SIP_SCHEME_SIP && uri.scheme != SIP_SCHEME_SIPS) {
        if (sip_scan_uri_run(&s).len == 0)
            return ERR_SYNTAX;
    } else if (scan_userinfo(&s, &uri) < 0 || scan_hostport(&s, &uri) < 0 || scan_params(&s, &uri) < 0 ||
               scan_headers(&s, &uri) < 0) {
        return ERR_SYNTAX;
    }
    if (!sip_scan_at_end(&s))
        return ERR_SYNTAX;
    *ret_uri = uri;
    return 0;
}

bool sip_uri_param(const struct sip_uri *uri, struct slice name, struct slice *ret_value)
{
    struct sip_scan s = sip_scan_of(uri->params);
    struct slice found, value;
    while (sip_uri_scan_param(&s, &found, &value) == 0) {
        if (is_param(found, name)) {
            *ret_value = slice_is_null(value) ? slice_make(s.p, 0) : value;
            return true;
        }
        (void)sip_scan_take(&s, ';');
    }
    return false;
}

/* Section 19.1.2, table 1, note 1: "The default is 5060 for sip: using UDP, TCP, or SCTP. The default is 5061
 * for sip: using TLS over TCP and sips: over TCP." WebSocket URIs have the port of their HTTP scheme (RFC
 * 7118 section 4.2). */
uint16_t sip_uri_effective_port(const struct sip_uri *uri)
{
    if (uri->port != 0)
        return uri->port;
    if (uri->scheme == SIP_SCHEME_SIPS)
        return sip_transport_default_port(sip_transport_is_websocket(uri->transport) ? SIP_TRANSPORT_WSS
                                                                                     : SIP_TRANSPORT_TLS);
    return sip_transport_default_port(uri->transport);
}

bool sip_host_is_invalid(struct slice host)
{
    size_t len = host.len > 0 && host.ptr[host.len - 1] == '.' ? host.len - 1 : host.len, dot;
    host = slice_sub(host, 0, len);
    dot = slice_rfind(host, '.');
    return slice_eq_nocase(dot < host.len ? slice_sub(host, dot + 1, host.len) : host, SLICE("invalid"));
}
