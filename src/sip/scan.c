#include "sip/scan.h"
#include "base/num.h"

/* LWS = [*WSP CRLF] 1*WSP */
bool sip_scan_lws(struct sip_scan *s)
{
    const char *from = s->p;
    while (s->p < s->end) {
        if (*s->p == ' ' || *s->p == '\t')
            s->p++;
        else if (s->end - s->p >= 3 && s->p[0] == '\r' && s->p[1] == '\n' &&
                 (s->p[2] == ' ' || s->p[2] == '\t'))
            s->p += 3;
        else
            break;
    }
    return s->p > from;
}

/* quoted-string = SWS DQUOTE *(qdtext / quoted-pair ) DQUOTE
 * quoted-pair   = "\" (%x00-09 / %x0B-0C / %x0E-7F)
 * What qdtext may be is not looked at: nothing here depends on it, and header lines have no stray CR or LF
 * left. */
bool sip_scan_quoted(struct sip_scan *s)
{
    if (!sip_scan_take(s, '"'))
        return false;
    while (s->p < s->end) {
        char c = *s->p++;
        if (c == '"')
            return true;
        if (c == '\\') {
            if (s->p == s->end || *s->p == '\r' || *s->p == '\n')
                return false;
            s->p++;
        }
    }
    return false;
}

/* escaped = "%" HEXDIG HEXDIG */
int sip_scan_escaped_run(struct sip_scan *s, unsigned classes, struct slice *ret_run)
{
    const char *from = s->p;
    while (s->p < s->end) {
        if (sip_char_is(*s->p, classes)) {
            s->p++;
        } else if (*s->p == '%') {
            if (s->end - s->p < 3 || !sip_char_is(s->p[1], SIP_CHAR_HEX) ||
                !sip_char_is(s->p[2], SIP_CHAR_HEX))
                return ERR_SYNTAX;
            s->p += 3;
        } else {
            break;
        }
    }
    *ret_run = sip_scan_since(s, from);
    return 0;
}

/* IPv6reference = "[" IPv6address "]" */
static int scan_ipv6_reference(struct sip_scan *s, struct addr *ret_addr)
{
    const char *close = memchr(s->p, ']', (size_t)(s->end - s->p));
    if (!close)
        return ERR_SYNTAX;
    struct slice text = slice_make(s->p, (size_t)(close + 1 - s->p));
    s->p = close + 1;
    return addr_parse_ip(text, ret_addr);
}

/* domainlabel = alphanum / alphanum *( alphanum / "-" ) alphanum
 * Underscores count as letters: names of the field have them. */
static bool label_is_good(const char *label, size_t len)
{
    return len > 0 && label[0] != '-' && label[len - 1] != '-';
}

static bool is_number(const char *label, size_t len)
{
    struct sip_scan s = {label, label + len};
    return sip_scan_run(&s, SIP_CHAR_DIGIT).len == len;
}

/* hostname = *( domainlabel "." ) toplabel [ "." ]
 * toplabel = ALPHA / ALPHA *( alphanum / "-" ) alphanum
 * A toplabel may begin with a digit here, as host names do since RFC 1123 section 2.1; all digits it may not
 * be. */
static bool hostname_is_good(struct slice name)
{
    size_t start = 0, dot;
    for (;; start = dot + 1) {
        dot = start + slice_find(slice_sub(name, start, name.len), '.');
        if (!label_is_good(name.ptr + start, dot - start))
            return false;
        if (dot + 1 >= name.len)
            return !is_number(name.ptr + start, dot - start);
    }
}

static bool looks_like_ipv4(struct slice host)
{
    return sip_char_is(host.ptr[0], SIP_CHAR_DIGIT) && sip_char_is(host.ptr[host.len - 1], SIP_CHAR_DIGIT);
}

/* host = hostname / IPv4address / IPv6reference */
int sip_scan_host(struct sip_scan *s, struct slice *ret_host, struct addr *ret_addr)
{
    const char *from = s->p;
    struct addr addr = {0};
    if (sip_scan_is(s, '[')) {
        if (scan_ipv6_reference(s, &addr) < 0)
            return ERR_SYNTAX;
    } else {
        struct slice host = sip_scan_run(s, SIP_CHAR_HOST);
        if (host.len == 0)
            return ERR_SYNTAX;
        bool is_ipv4 = looks_like_ipv4(host) && addr_parse_ip(host, &addr) == 0;
        if (!is_ipv4 && !hostname_is_good(host))
            return ERR_SYNTAX;
    }
    *ret_host = sip_scan_since(s, from);
    *ret_addr = addr;
    return 0;
}

/* port = 1*DIGIT */
int sip_scan_port(struct sip_scan *s, uint16_t *ret_port)
{
    uint32_t port;
    if (num_parse_u32(sip_scan_run(s, SIP_CHAR_DIGIT), UINT16_MAX, &port) < 0 || port == 0)
        return ERR_SYNTAX;
    *ret_port = (uint16_t)port;
    return 0;
}

/* generic-param = token [ EQUAL gen-value ]
 * gen-value     = token / host / quoted-string
 * An unquoted value is any run without white space, quotes, brackets and separators, and may be empty: who
 * uses the parameter looks closer (RFC 3261 section 16.3 item 1: the rest is ignored). */
int sip_scan_param(struct sip_scan *s, struct sip_scan_param *ret_param)
{
    sip_scan_sws(s);
    if (sip_scan_at_end(s))
        return ERR_NOTFOUND;
    const char *from = s->p;
    if (!sip_scan_take(s, ';'))
        return ERR_SYNTAX;
    sip_scan_sws(s);
    struct slice name = sip_scan_run(s, SIP_CHAR_TOKEN), value = SLICE_NULL;
    if (name.len == 0)
        return ERR_SYNTAX;
    if (sip_scan_separator(s, '=')) {
        const char *value_from = s->p;
        if (!sip_scan_is(s, '"'))
            (void)sip_scan_run(s, SIP_CHAR_VALUE);
        else if (!sip_scan_quoted(s))
            return ERR_SYNTAX;
        value = sip_scan_since(s, value_from);
    }
    *ret_param = (struct sip_scan_param){sip_scan_since(s, from), name, value};
    return 0;
}
