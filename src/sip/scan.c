#include "sip/scan.h"

/* LWS = [*WSP CRLF] 1*WSP */
const char *sip_lws_end(const char *p, const char *end)
{
    while (p < end) {
        if (*p == ' ' || *p == '\t')
            p++;
        else if (end - p >= 3 && p[0] == '\r' && p[1] == '\n' && (p[2] == ' ' || p[2] == '\t'))
            p += 3;
        else
            break;
    }
    return p;
}

/* quoted-string = SWS DQUOTE *(qdtext / quoted-pair ) DQUOTE
 * quoted-pair   = "\" (%x00-09 / %x0B-0C / %x0E-7F)
 * What qdtext may be is not looked at: nothing here depends on it, and header lines have no stray CR or LF
 * left. */
const char *sip_quoted_end(const char *p, const char *end)
{
    for (p++; (p = sip_find_any_of_3(p, end, '"', '\\', '\\')) < end; p++) {
        if (*p++ == '"')
            return p;
        if (p == end || *p == '\r' || *p == '\n')
            break;
    }
    return NULL;
}

bool sip_scan_quoted(struct sip_scan *s)
{
    const char *end = sip_scan_is(s, '"') ? sip_quoted_end(s->p, s->end) : NULL;
    if (!end)
        return false;
    s->p = end;
    return true;
}

/* escaped = "%" HEXDIG HEXDIG */
int sip_scan_escaped_run(struct sip_scan *s, unsigned classes, struct slice *ret_run)
{
    const char *from = s->p, *p = from;
    while ((p = sip_find_not(p, s->end, classes)) < s->end && *p == '%') {
        if (s->end - p < 3 || !sip_char_is(p[1], SIP_CHAR_HEX) || !sip_char_is(p[2], SIP_CHAR_HEX))
            return ERR_SYNTAX;
        p += 3;
    }
    s->p = p;
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

static bool scan_hostname(struct sip_scan *s)
{
    struct slice name = sip_scan_run(s, SIP_CHAR_HOST);
    return name.len > 0 && hostname_is_good(name);
}

/* An address ends where a name would. */
static bool scan_ipv4(struct sip_scan *s, struct addr *ret_addr)
{
    struct addr addr;
    const char *end = addr_scan_ipv4(s->p, s->end, &addr);
    if (!end || (end < s->end && sip_char_is(*end, SIP_CHAR_HOST)))
        return false;
    s->p = end;
    *ret_addr = addr;
    return true;
}

/* host = hostname / IPv4address / IPv6reference */
int sip_scan_host(struct sip_scan *s, struct slice *ret_host, struct addr *ret_addr)
{
    const char *from = s->p;
    struct addr addr = {0};
    if (sip_scan_is(s, '[')) {
        if (scan_ipv6_reference(s, &addr) < 0)
            return ERR_SYNTAX;
    } else if (!scan_ipv4(s, &addr) && !scan_hostname(s)) {
        return ERR_SYNTAX;
    }
    *ret_host = sip_scan_since(s, from);
    *ret_addr = addr;
    return 0;
}

/* port = 1*DIGIT */
int sip_scan_port(struct sip_scan *s, uint16_t *ret_port)
{
    uint32_t port = 0, digit;
    const char *p = s->p;
    for (; p < s->end && (digit = (uint8_t)*p - (uint32_t)'0') <= 9; p++) {
        port = port * 10 + digit;
        if (port > UINT16_MAX)
            return ERR_SYNTAX;
    }
    s->p = p;
    if (port == 0)
        return ERR_SYNTAX;
    *ret_port = (uint16_t)port;
    return 0;
}
