#include "base/addr.h"
#include "base/num.h"
#include <limits.h>

#define IPV6_GROUPS 8

static unsigned digit_at(const char *p, const char *end)
{
    return p < end ? (uint8_t)*p - (unsigned)'0' : UINT_MAX;
}

/* Where a number of 0 to 255 ends, or NULL. Leading zeros are refused although RFC 3261
 * section 25.1 would let them pass: some systems read such a number as octal, so what it names
 * is not certain (RFC 3986 section 7.4). */
static const char *parse_octet(const char *p, const char *end, uint8_t *ret_octet)
{
    unsigned octet = digit_at(p++, end), digit;

    if (octet > 9)
        return NULL;
    for (int i = 0; i < 2 && (digit = digit_at(p, end)) <= 9; i++, p++) {
        if (octet == 0)
            return NULL;
        octet = octet * 10 + digit;
    }
    *ret_octet = (uint8_t)octet;
    return octet <= UINT8_MAX ? p : NULL;
}

/* "a.b.c.d" */
static const char *scan_ipv4(const char *p, const char *end, uint8_t out[4])
{
    uint8_t ip[4];

    for (int i = 0; i < 4; i++) {
        if (i > 0 && (p == end || *p++ != '.'))
            return NULL;
        p = parse_octet(p, end, &ip[i]);
        if (!p)
            return NULL;
    }
    memcpy(out, ip, sizeof(ip));
    return p;
}

static int parse_ipv4(struct slice s, uint8_t out[4])
{
    /* The host of a URI that has none is no pointer to add to. */
    return s.len > 0 && scan_ipv4(s.ptr, s.ptr + s.len, out) == s.ptr + s.len ? 0 : ERR_SYNTAX;
}

struct ipv6_parser {
    uint8_t ip[16];
    size_t len; /* octets written so far */
    size_t gap; /* octets before "::" */
    bool has_gap;
};

/* One "::", or ":" between two groups. RFC 3261 (from RFC 2373) let ":" follow "::" before an IPv4 address,
 * and RFC 5118 section 4.10 asks to tolerate that and nothing like it. */
static int parse_ipv6_colons(struct ipv6_parser *p, struct slice *s)
{
    bool first = p->len == 0 && !p->has_gap;

    if (slice_starts_with(*s, SLICE("::"))) {
        if (p->has_gap)
            return ERR_SYNTAX;
        p->has_gap = true;
        p->gap = p->len;
        *s = slice_sub(*s, 2, s->len);
        if (slice_starts_with(*s, SLICE(":"))) {
            if (slice_find(*s, '.') == s->len)
                return ERR_SYNTAX;
            *s = slice_sub(*s, 1, s->len);
            return s->len > 0 && slice_find(*s, ':') == s->len ? 0 : ERR_SYNTAX;
        }
        return 0;
    }
    if (first)
        return 0;
    if (!slice_starts_with(*s, SLICE(":")) || s->len == 1)
        return ERR_SYNTAX;
    *s = slice_sub(*s, 1, s->len);
    return 0;
}

static int parse_ipv6_group(struct ipv6_parser *p, struct slice *s)
{
    size_t len = slice_find(*s, ':');
    struct slice group = slice_sub(*s, 0, len);
    uint64_t value;

    if (len == s->len && slice_find(group, '.') < len) {
        if (p->len > 12 || parse_ipv4(group, p->ip + p->len) < 0)
            return ERR_SYNTAX;
        p->len += 4;
    } else {
        if (p->len > 14 || len > 4 || num_parse_hex64(group, &value) < 0)
            return ERR_SYNTAX;
        p->ip[p->len++] = (uint8_t)(value >> 8);
        p->ip[p->len++] = (uint8_t)value;
    }
    *s = slice_sub(*s, len, s->len);
    return 0;
}

static int parse_ipv6(struct slice s, uint8_t out[16])
{
    struct ipv6_parser p = {.len = 0};
    size_t after;

    if (s.len == 0)
        return ERR_SYNTAX;
    while (s.len > 0) {
        if (parse_ipv6_colons(&p, &s) < 0)
            return ERR_SYNTAX;
        if (s.len > 0 && parse_ipv6_group(&p, &s) < 0)
            return ERR_SYNTAX;
    }
    if (p.has_gap ? p.len > 14 : p.len != 16)
        return ERR_SYNTAX;
    memset(out, 0, 16);
    if (!p.has_gap)
        p.gap = p.len;
    after = p.len - p.gap;
    memcpy(out, p.ip, p.gap);
    memcpy(out + 16 - after, p.ip + p.gap, after);
    return 0;
}

const char *addr_scan_ipv4(const char *p, const char *end, struct addr *ret_addr)
{
    struct addr a = {.family = ADDR_IPV4};

    p = scan_ipv4(p, end, a.ip);
    if (p)
        *ret_addr = a;
    return p;
}

int addr_parse_ip(struct slice s, struct addr *ret_addr)
{
    struct addr a = {.family = ADDR_IPV4};

    if (parse_ipv4(s, a.ip) < 0) {
        a.family = ADDR_IPV6;
        if (s.len >= 2 && s.ptr[0] == '[' && s.ptr[s.len - 1] == ']')
            s = slice_sub(s, 1, s.len - 1);
        if (slice_find(s, ':') == s.len || parse_ipv6(s, a.ip) < 0)
            return ERR_SYNTAX;
    }
    *ret_addr = a;
    return 0;
}

/* Where the port's colon is, or s.len when there is no port. */
static size_t find_port_colon(struct slice s)
{
    size_t last = slice_rfind(s, ':');

    if (s.len > 0 && s.ptr[0] == '[')
        return last < s.len && last > 0 && s.ptr[last - 1] == ']' ? last : s.len;
    return slice_find(s, ':') == last ? last : s.len;
}

int addr_parse(struct slice s, struct addr *ret_addr)
{
    size_t colon = find_port_colon(s);
    struct addr a;
    uint32_t port = 0;
    int r;

    r = addr_parse_ip(slice_sub(s, 0, colon), &a);
    if (r < 0)
        return r;
    if (colon < s.len) {
        r = num_parse_u32(slice_sub(s, colon + 1, s.len), UINT16_MAX, &port);
        if (r < 0)
            return r;
    }
    a.port = (uint16_t)port;
    *ret_addr = a;
    return 0;
}

static bool is_mapped(const struct addr *a)
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};

    return a->family == ADDR_IPV6 && memcmp(a->ip, prefix, sizeof(prefix)) == 0;
}

/* ::ffff:a.b.c.d as a.b.c.d; anything else as it is. */
static struct addr unmapped(const struct addr *a)
{
    struct addr v4 = {.family = ADDR_IPV4, .port = a->port};

    if (!is_mapped(a))
        return *a;
    memcpy(v4.ip, a->ip + 12, 4);
    return v4;
}

static size_t ip_bytes(const struct addr *a)
{
    return a->family == ADDR_IPV4 ? 4 : a->family == ADDR_IPV6 ? 16 : 0;
}

static char *put_octet(char *p, unsigned octet)
{
    if (octet >= 100)
        *p++ = (char)('0' + octet / 100);
    if (octet >= 10)
        *p++ = (char)('0' + octet / 10 % 10);
    *p++ = (char)('0' + octet % 10);
    return p;
}

static void format_ipv4(const uint8_t ip[4], struct buf *out)
{
    char text[sizeof("255.255.255.255")], *p = put_octet(text, ip[0]);

    for (int i = 1; i < 4; i++) {
        *p++ = '.';
        p = put_octet(p, ip[i]);
    }
    buf_put(out, slice_make(text, (size_t)(p - text)));
}

static void format_group(unsigned value, struct buf *out)
{
    for (int shift = value > 0xfff ? 12 : value > 0xff ? 8 : value > 0xf ? 4 : 0; shift >= 0; shift -= 4)
        buf_putc(out, "0123456789abcdef"[value >> shift & 15]);
}

/* RFC 5952 section 4.2: the longest run of at least two zero groups, the first of equals. */
static int longest_zero_run(const unsigned groups[IPV6_GROUPS], int *ret_len)
{
    int best = -1, best_len = 1;

    for (int i = 0; i < IPV6_GROUPS; i++) {
        int len = 0;

        while (i + len < IPV6_GROUPS && groups[i + len] == 0)
            len++;
        if (len > best_len) {
            best = i;
            best_len = len;
        }
        i += len;
    }
    *ret_len = best_len;
    return best;
}

static void format_ipv6(const struct addr *a, struct buf *out)
{
    unsigned groups[IPV6_GROUPS];
    int run, run_len;

    if (is_mapped(a)) { /* RFC 5952 section 5 */
        buf_lit(out, "::ffff:");
        format_ipv4(a->ip + 12, out);
        return;
    }
    for (int i = 0; i < IPV6_GROUPS; i++)
        groups[i] = (unsigned)a->ip[2 * i] << 8 | a->ip[2 * i + 1];
    run = longest_zero_run(groups, &run_len);
    for (int i = 0; i < IPV6_GROUPS; i++) {
        if (i == run) {
            buf_lit(out, "::");
            i += run_len - 1;
            continue;
        }
        if (i > 0 && i != run + run_len)
            buf_putc(out, ':');
        format_group(groups[i], out);
    }
}

void addr_format_ip(const struct addr *a, bool brackets, struct buf *out)
{
    switch (a->family) {
    case ADDR_IPV4:
        format_ipv4(a->ip, out);
        break;
    case ADDR_IPV6:
        if (brackets)
            buf_putc(out, '[');
        format_ipv6(a, out);
        if (brackets)
            buf_putc(out, ']');
        break;
    default:
        buf_putc(out, '-');
    }
}

void addr_format(const struct addr *a, struct buf *out)
{
    addr_format_ip(a, true, out);
    buf_putc(out, ':');
    buf_u64(out, a->port);
}

static bool same_ip(const struct addr *a, const struct addr *b)
{
    return a->family == b->family && a->scope_id == b->scope_id && memcmp(a->ip, b->ip, ip_bytes(a)) == 0;
}

bool addr_eq(const struct addr *a, const struct addr *b)
{
    return a->port == b->port && same_ip(a, b);
}

bool addr_eq_ip(const struct addr *a, const struct addr *b)
{
    struct addr x = unmapped(a), y = unmapped(b);

    return same_ip(&x, &y);
}

bool addr_is_any(const struct addr *a)
{
    for (size_t i = 0; i < ip_bytes(a); i++)
        if (a->ip[i] != 0)
            return false;
    return a->family != ADDR_NONE;
}

bool addr_is_loopback(const struct addr *a)
{
    static const uint8_t v6[16] = {[15] = 1};
    struct addr x = unmapped(a);

    return x.family == ADDR_IPV4 ? x.ip[0] == 127 : x.family == ADDR_IPV6 && memcmp(x.ip, v6, 16) == 0;
}

bool addr_is_unicast(const struct addr *a)
{
    static const uint8_t broadcast[4] = {255, 255, 255, 255};
    struct addr x = unmapped(a);

    if (x.family == ADDR_IPV4) /* 0/8 is "this network", 224/4 multicast */
        return x.ip[0] != 0 && (x.ip[0] & 0xf0) != 0xe0 && memcmp(x.ip, broadcast, 4) != 0;
    return x.family == ADDR_IPV6 && x.ip[0] != 0xff && !addr_is_any(&x);
}

int addr_prefix_parse(struct slice s, struct addr_prefix *ret_prefix)
{
    size_t slash = slice_find(s, '/');
    struct addr_prefix p;
    uint32_t bits;
    int r;

    r = addr_parse_ip(slice_sub(s, 0, slash), &p.addr);
    if (r < 0)
        return r;
    bits = (uint32_t)ip_bytes(&p.addr) * 8;
    if (slash < s.len) {
        r = num_parse_u32(slice_sub(s, slash + 1, s.len), bits, &bits);
        if (r < 0)
            return r;
    }
    p.bits = (uint8_t)bits;
    *ret_prefix = p;
    return 0;
}

bool addr_prefix_has(const struct addr_prefix *prefix, const struct addr *a)
{
    struct addr x = prefix->addr.family == ADDR_IPV4 ? unmapped(a) : *a;
    unsigned whole = prefix->bits / 8, rest = prefix->bits % 8;

    if (x.family != prefix->addr.family || memcmp(x.ip, prefix->addr.ip, whole) != 0)
        return false;
    return rest == 0 || (x.ip[whole] ^ prefix->addr.ip[whole]) >> (8 - rest) == 0;
}
