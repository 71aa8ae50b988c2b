/* RFC 3261 section 19.1.4, rule by rule; section 10.3 step 5. */
#include "base/buf.h"
#include "sip/uri_private.h"

/* Every parameter is compared with every one of the other URI. A URI with more than these is compared octet
 * for octet instead, so that nobody can make the comparison slow. */
#define PARTS_MAX 64

#define STILL_ESCAPED 0x100 /* beyond every octet: "%3B" is not ";" */

static unsigned hex_value(char c)
{
    return sip_char_is(c, SIP_CHAR_DIGIT) ? (unsigned)(c - '0') : (unsigned)(sip_char_lower(c) - 'a' + 10);
}

static bool at_escape(const struct sip_scan *s)
{
    return s->end - s->p >= 3 && s->p[0] == '%' && sip_char_is(s->p[1], SIP_CHAR_HEX) &&
           sip_char_is(s->p[2], SIP_CHAR_HEX);
}

/* The octet at the cursor, decoded when it is an escape; the cursor moves on. */
static unsigned next_octet(struct sip_scan *s, bool *ret_was_escaped)
{
    *ret_was_escaped = at_escape(s);
    if (!*ret_was_escaped)
        return (uint8_t)*s->p++;
    unsigned octet = hex_value(s->p[1]) << 4 | hex_value(s->p[2]);
    s->p += 3;
    return octet;
}

static unsigned next_compared(struct sip_scan *s, enum sip_uri_case which)
{
    bool was_escaped;
    unsigned octet = next_octet(s, &was_escaped);
    if (was_escaped && sip_char_is((char)octet, SIP_CHAR_RESERVED))
        return octet | STILL_ESCAPED;
    return which == SIP_URI_NOCASE ? (uint8_t)sip_char_lower((char)octet) : octet;
}

bool sip_uri_text_eq(struct slice a, struct slice b, enum sip_uri_case which)
{
    struct sip_scan x = sip_scan_of(a), y = sip_scan_of(b);
    while (!sip_scan_at_end(&x) && !sip_scan_at_end(&y)) {
        if (next_compared(&x, which) != next_compared(&y, which))
            return false;
    }
    return sip_scan_at_end(&x) && sip_scan_at_end(&y);
}

static bool same_presence(struct slice a, struct slice b)
{
    return slice_is_null(a) == slice_is_null(b);
}

/* "Comparison of the userinfo of SIP and SIPS URIs is case-sensitive." "A URI omitting the user component
 * will not match a URI that includes one"; but only a password can be there and empty. */
static bool userinfo_eq(const struct sip_uri *a, const struct sip_uri *b)
{
    return same_presence(a->password, b->password) && sip_uri_text_eq(a->user, b->user, SIP_URI_CASE) &&
           sip_uri_text_eq(a->password, b->password, SIP_URI_CASE);
}

/* Two spellings of one IPv6 address are one host. */
static bool host_eq(const struct sip_uri *a, const struct sip_uri *b)
{
    if (a->addr.family != b->addr.family)
        return false;
    return a->addr.family == ADDR_NONE ? slice_eq_nocase(a->host, b->host) : addr_eq_ip(&a->addr, &b->addr);
}

typedef int scan_part_fn(struct sip_scan *s, struct slice *ret_name, struct slice *ret_value);

/* The names and values of a list of parameters or headers. */
struct parts {
    unsigned n;
    struct {
        struct slice name, value;
    } at[PARTS_MAX];
};

/* False when there are more than PARTS_MAX. */
static bool split_parts(struct slice text, char separator, scan_part_fn *scan_part, struct parts *parts)
{
    struct sip_scan s = sip_scan_of(text);
    parts->n = 0;
    if (slice_is_null(text))
        return true;
    do {
        if (parts->n == PARTS_MAX || scan_part(&s, &parts->at[parts->n].name, &parts->at[parts->n].value) < 0)
            return false;
        parts->n++;
    } while (sip_scan_take(&s, separator));
    return true;
}

static bool name_is_one_of(struct slice name, const struct slice *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (sip_uri_text_eq(name, names[i], SIP_URI_NOCASE))
            return true;
    }
    return false;
}

/* "A user, ttl, or method uri-parameter appearing in only one URI never matches ... A URI that includes an
 * maddr parameter will not match a URI that contains no maddr parameter. All other uri-parameters appearing
 * in only one URI are ignored"; and above that, of a default value that is left out: "The same is true for
 * the transport-parameter". */
static bool param_may_be_missing(struct slice name)
{
    static const struct slice names[] = {
        {"user", 4}, {"ttl", 3}, {"method", 6}, {"maddr", 5}, {"transport", 9}};
    return !name_is_one_of(name, names, sizeof(names) / sizeof(names[0]));
}

/* Method names are case-sensitive by their own definition (section 7.1). */
static bool param_value_eq(struct slice name, struct slice a, struct slice b)
{
    bool is_method = sip_uri_text_eq(name, SLICE("method"), SIP_URI_NOCASE);
    return sip_uri_text_eq(a, b, is_method ? SIP_URI_CASE : SIP_URI_NOCASE);
}

/* "Any uri-parameter appearing in both URIs must match." Of a name that is there twice, although it must not
 * be, each value needs its like. */
static bool param_matches(struct slice name, struct slice value, const struct parts *in)
{
    bool same_name = false;
    for (unsigned j = 0; j < in->n; j++) {
        if (!sip_uri_text_eq(name, in->at[j].name, SIP_URI_NOCASE))
            continue;
        if (param_value_eq(name, value, in->at[j].value))
            return true;
        same_name = true;
    }
    return !same_name && param_may_be_missing(name);
}

static bool params_match(const struct parts *a, const struct parts *b)
{
    for (unsigned i = 0; i < a->n; i++) {
        if (!param_matches(a->at[i].name, a->at[i].value, b))
            return false;
    }
    return true;
}

static bool params_eq(const struct sip_uri *a, const struct sip_uri *b)
{
    struct parts x, y;
    if (slice_is_null(a->params) && slice_is_null(b->params))
        return true;
    if (!split_parts(a->params, ';', sip_uri_scan_param, &x) ||
        !split_parts(b->params, ';', sip_uri_scan_param, &y))
        return slice_eq(a->params, b->params);
    return params_match(&x, &y) && params_match(&y, &x);
}

static bool has_quotes(struct slice value)
{
    struct sip_scan s = sip_scan_of(value);
    bool was_escaped;
    while (!sip_scan_at_end(&s)) {
        if (next_octet(&s, &was_escaped) == '"')
            return true;
    }
    return false;
}

/* Section 7.3.1: field values are case-insensitive unless stated otherwise. Stated otherwise it is for
 * Call-ID (20.8) and for quoted strings; a body is no field. */
static enum sip_uri_case header_case(struct slice name, struct slice value)
{
    static const struct slice names[] = {{"body", 4}, {"call-id", 7}, {"i", 1}};
    if (has_quotes(value) || name_is_one_of(name, names, sizeof(names) / sizeof(names[0])))
        return SIP_URI_CASE;
    return SIP_URI_NOCASE;
}

static bool header_eq(const struct parts *a, unsigned i, const struct parts *b, unsigned j)
{
    return sip_uri_text_eq(a->at[i].name, b->at[j].name, SIP_URI_NOCASE) &&
           sip_uri_text_eq(a->at[i].value, b->at[j].value, header_case(a->at[i].name, a->at[i].value));
}

static unsigned count_header(const struct parts *in, const struct parts *of, unsigned i)
{
    unsigned n = 0;
    for (unsigned j = 0; j < in->n; j++)
        n += header_eq(of, i, in, j);
    return n;
}

/* "Any present header component MUST be present in both URIs and match for the URIs to match." */
static bool headers_eq(const struct sip_uri *a, const struct sip_uri *b)
{
    struct parts x, y;
    if (slice_is_null(a->headers) && slice_is_null(b->headers))
        return true;
    if (!split_parts(a->headers, '&', sip_uri_scan_header, &x) ||
        !split_parts(b->headers, '&', sip_uri_scan_header, &y))
        return slice_eq(a->headers, b->headers);
    if (x.n != y.n)
        return false;
    for (unsigned i = 0; i < x.n; i++) {
        if (count_header(&x, &x, i) != count_header(&y, &x, i))
            return false;
    }
    return true;
}

static struct slice after_scheme(const struct sip_uri *uri)
{
    return slice_sub(uri->text, uri->scheme_text.len, uri->text.len);
}

bool sip_uri_eq(const struct sip_uri *a, const struct sip_uri *b)
{
    /* "A SIP and SIPS URI are never equivalent." */
    if (!slice_eq_nocase(a->scheme_text, b->scheme_text))
        return false;
    if (a->scheme != SIP_SCHEME_SIP && a->scheme != SIP_SCHEME_SIPS)
        return slice_eq(after_scheme(a), after_scheme(b));
    /* "a URI omitting the optional port component will not match a URI explicitly declaring port 5060" */
    return a->port == b->port && host_eq(a, b) && userinfo_eq(a, b) && params_eq(a, b) && headers_eq(a, b);
}

static void put_hex_escape(struct buf *out, unsigned octet)
{
    static const char digits[] = "0123456789ABCDEF";
    buf_putc(out, '%');
    buf_putc(out, digits[octet >> 4]);
    buf_putc(out, digits[octet & 15]);
}

/* Section 10.3 step 5: "any escaped characters MUST be converted to their unescaped form", as far as the user
 * rule has one. */
static void put_canonical_user(struct slice user, struct buf *out)
{
    struct sip_scan s = sip_scan_of(user);
    while (!sip_scan_at_end(&s)) {
        bool was_escaped;
        unsigned octet = next_octet(&s, &was_escaped);
        if (!was_escaped || sip_char_is((char)octet, SIP_CHAR_USER))
            buf_putc(out, (char)octet);
        else
            put_hex_escape(out, octet);
    }
}

static void put_canonical_host(const struct sip_uri *uri, struct buf *out)
{
    if (uri->addr.family != ADDR_NONE) {
        addr_format_ip(&uri->addr, true, out);
        return;
    }
    for (size_t i = 0; i < uri->host.len; i++)
        buf_putc(out, sip_char_lower(uri->host.ptr[i]));
}

int sip_uri_canonical_aor(const struct sip_uri *uri, struct buf *out)
{
    bool is_sips = uri->scheme == SIP_SCHEME_SIPS;
    if (uri->scheme != SIP_SCHEME_SIP && !is_sips)
        return ERR_UNSUPPORTED;
    buf_put(out, is_sips ? SLICE("sips:") : SLICE("sip:"));
    if (!slice_is_null(uri->user)) {
        put_canonical_user(uri->user, out);
        buf_putc(out, '@');
    }
    put_canonical_host(uri, out);
    uint16_t default_port = sip_transport_default_port(is_sips ? SIP_TRANSPORT_TLS : SIP_TRANSPORT_UDP);
    if (uri->port != 0 && uri->port != default_port) {
        buf_putc(out, ':');
        buf_u64(out, uri->port);
    }
    return buf_failed(out) ? ERR_LIMIT : 0;
}
