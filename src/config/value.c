#include "config/value.h"
#include "base/num.h"
#include "base/pattern.h"
#include <stdlib.h>
#include <string.h>

#define HOST_MAX_BYTES  253 /* RFC 1035 section 2.3.4, written out */
#define LABEL_MAX_BYTES 63
#define NAME_MAX_BYTES  64
#define TEXT_MAX_BYTES  255 /* of what goes into a header or a table */

/* ---- numbers with a unit ---- */

struct unit {
    const char *name;
    uint64_t factor;
};

/* The largest first, so that printing finds the shortest form. */
static const struct unit ms_units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000},
                                       {"s", 1000},     {"ms", 1},      {NULL, 0}};
static const struct unit byte_units[] = {{"G", 1 << 30}, {"M", 1 << 20}, {"k", 1 << 10}, {"", 1}, {NULL, 0}};

static int parse_with_unit(const struct unit *units, uint64_t bare_factor, struct slice text,
                           uint64_t *ret_value)
{
    uint64_t number, factor = 0, value;
    size_t digits = 0;
    struct slice unit;

    while (digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9')
        digits++;
    unit = slice_sub(text, digits, text.len);
    if (unit.len == 0)
        factor = bare_factor;
    for (; units->name && factor == 0; units++)
        if (slice_eq_nocase(unit, slice_from_cstr(units->name)))
            factor = units->factor;
    if (factor == 0 || num_parse_u64(slice_sub(text, 0, digits), UINT64_MAX, &number) < 0 ||
        __builtin_mul_overflow(number, factor, &value))
        return ERR_SYNTAX;
    *ret_value = value;
    return 0;
}

static void print_with_unit(const struct unit *units, const char *zero, uint64_t value, struct buf *out)
{
    if (value == 0) {
        buf_cstr(out, zero);
        return;
    }
    while (value % units->factor != 0)
        units++;
    buf_u64(out, value / units->factor);
    buf_cstr(out, units->name);
}

static int parse_milliseconds(const struct value_type *type, struct slice text, struct arena *arena,
                              void *ret)
{
    (void)type, (void)arena;
    return parse_with_unit(ms_units, 1000, text, ret);
}

static void print_milliseconds(const struct value_type *type, const void *value, struct buf *out)
{
    print_with_unit(ms_units, "0s", value_number(type, value), out);
}

static int parse_seconds(const struct value_type *type, struct slice text, struct arena *arena, void *ret)
{
    uint64_t ms;

    (void)type, (void)arena;
    if (parse_with_unit(ms_units, 1000, text, &ms) < 0 || ms % 1000 != 0 || ms / 1000 > UINT32_MAX)
        return ERR_SYNTAX;
    *(uint32_t *)ret = (uint32_t)(ms / 1000);
    return 0;
}

static void print_seconds(const struct value_type *type, const void *value, struct buf *out)
{
    print_with_unit(ms_units, "0s", value_number(type, value) * 1000, out);
}

static int parse_bytes(const struct value_type *type, struct slice text, struct arena *arena, void *ret)
{
    (void)type, (void)arena;
    return parse_with_unit(byte_units, 1, text, ret);
}

static void print_bytes(const struct value_type *type, const void *value, struct buf *out)
{
    print_with_unit(byte_units, "0", value_number(type, value), out);
}

static int parse_count(const struct value_type *type, struct slice text, struct arena *arena, void *ret)
{
    (void)type, (void)arena;
    return num_parse_u32(text, UINT32_MAX, ret) < 0 ? ERR_SYNTAX : 0;
}

/* A 6xx ends all (RFC 3261 section 16.7 step 5), and a 3xx is no failure. */
static int parse_failover_status(const struct value_type *type, struct slice text, struct arena *arena,
                                 void *ret)
{
    uint32_t status;

    (void)type, (void)arena;
    if (num_parse_u32(text, 599, &status) < 0 || status < 400)
        return ERR_SYNTAX;
    memcpy(ret, &status, sizeof(status));
    return 0;
}

static void print_count(const struct value_type *type, const void *value, struct buf *out)
{
    buf_u64(out, value_number(type, value));
}

/* ---- words ---- */

const struct value_name *value_word(const struct value_type *type, struct slice text)
{
    for (const struct value_name *n = type->names; n && n->name; n++)
        if (slice_eq_nocase(text, slice_from_cstr(n->name)))
            return n;
    return NULL;
}

static void print_name(const struct value_type *type, int value, struct buf *out)
{
    const struct value_name *n = type->names;

    while (n->value != value)
        n++;
    buf_cstr(out, n->name);
}

static int parse_word(const struct value_type *type, struct slice text, struct arena *arena, void *ret)
{
    const struct value_name *n = value_word(type, text);

    (void)arena;
    if (!n)
        return ERR_SYNTAX;
    memcpy(ret, &n->value, sizeof(n->value));
    return 0;
}

static void print_word(const struct value_type *type, const void *value, struct buf *out)
{
    int word;

    memcpy(&word, value, sizeof(word));
    print_name(type, word, out);
}

static int parse_boolean(const struct value_type *type, struct slice text, struct arena *arena, void *ret)
{
    const struct value_name *n = value_word(type, text);

    (void)arena;
    if (!n)
        return ERR_SYNTAX;
    *(bool *)ret = n->value != 0;
    return 0;
}

static void print_boolean(const struct value_type *type, const void *value, struct buf *out)
{
    print_name(type, *(const bool *)value, out);
}

/* A word, which stands for 0, or a number above it, which is read and written by another type's functions. */
static int parse_word_or(int (*parse)(const struct value_type *, struct slice, struct arena *, void *),
                         const struct value_type *type, struct slice text, struct arena *arena, void *ret)
{
    uint64_t number = 0; /* room for 4 or 8 octets */

    if (!value_word(type, text) &&
        (parse(type, text, arena, &number) < 0 || value_number(type, &number) == 0))
        return ERR_SYNTAX;
    memcpy(ret, &number, type->bytes);
    return 0;
}

static void print_word_or(void (*print)(const struct value_type *, const void *, struct buf *),
                          const struct value_type *type, const void *value, struct buf *out)
{
    if (value_number(type, value) == 0)
        print_name(type, 0, out);
    else
        print(type, value, out);
}

static int parse_optional_count(const struct value_type *type, struct slice text, struct arena *arena,
                                void *ret)
{
    return parse_word_or(parse_count, type, text, arena, ret);
}

static void print_optional_count(const struct value_type *type, const void *value, struct buf *out)
{
    print_word_or(print_count, type, value, out);
}

static int parse_optional_milliseconds(const struct value_type *type, struct slice text, struct arena *arena,
                                       void *ret)
{
    return parse_word_or(parse_milliseconds, type, text, arena, ret);
}

static void print_optional_milliseconds(const struct value_type *type, const void *value, struct buf *out)
{
    print_word_or(print_milliseconds, type, value, out);
}

/* ---- texts ---- */

static int keep(struct slice text, struct arena *arena, void *ret)
{
    const char *copy = arena_cstr(arena, text);

    if (!copy)
        return ERR_NOMEM;
    *(const char **)ret = copy;
    return 0;
}

/* What may stand within a quoted-string of a header without escapes. */
static bool is_plain(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if (c < 0x20 || c == 0x7f || c == '"' || c == '\\')
            return false;
    }
    return true;
}

static int parse_text(const struct value_type *type, struct slice text, struct arena *arena, void *ret)
{
    (void)type;
    return text.len <= TEXT_MAX_BYTES && is_plain(text) ? keep(text, arena, ret) : ERR_SYNTAX;
}

/* No more is known of URIs here than that they fit between angle brackets and are of a kind that can
 * be used; whoever uses them reads them. */
static int parse_uri(const struct value_type *type, struct slice text, struct arena *arena, void *ret)
{
    if (!slice_starts_with_nocase(text, SLICE("sip:")) && !slice_starts_with_nocase(text, SLICE("sips:")))
        return ERR_SYNTAX;
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= ' ' || text.ptr[i] == 0x7f || strchr("<>\"\\", text.ptr[i]) != NULL)
            return ERR_SYNTAX;
    return parse_text(type, text, arena, ret);
}

static void print_text(const struct value_type *type, const void *value, struct buf *out)
{
    (void)type;
    value_print_quoted(slice_from_cstr(*(const char *const *)value), out);
}

static int parse_path(const struct value_type *type, struct slice text, struct arena *arena, void *ret)
{
    const char *home = getenv("HOME");
    char memory[2 * CONFIG_VALUE_MAX_BYTES];
    struct buf path;

    (void)type;
    buf_init(&path, memory, sizeof(memory));
    if (slice_starts_with(text, SLICE("~/"))) {
        if (!home || home[0] != '/')
            return ERR_SYNTAX;
        buf_cstr(&path, home);
        text = slice_sub(text, 1, text.len);
    }
    buf_put(&path, text);
    if (text.len == 0 || text.ptr[0] != '/' || slice_find(text, '\0') < text.len || buf_failed(&path))
        return ERR_SYNTAX;
    return keep(buf_slice(&path), arena, ret);
}

static int parse_optional_path(const struct value_type *type, struct slice text, struct arena *arena,
                               void *ret)
{
    return text.len == 0 ? keep(text, arena, ret) : parse_path(type, text, arena, ret);
}

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_label(struct slice label)
{
    if (label.len == 0 || label.len > LABEL_MAX_BYTES || label.ptr[0] == '-' ||
        label.ptr[label.len - 1] == '-')
        return false;
    for (size_t i = 0; i < label.len; i++)
        if (!is_alnum(label.ptr[i]) && label.ptr[i] != '-')
            return false;
    return true;
}

/* RFC 3261 section 25.1: hostname. The last label begins with a letter, else it is a mistaken address. */
static bool is_hostname(struct slice text)
{
    if (text.len > HOST_MAX_BYTES)
        return false;
    for (;;) {
        size_t dot = slice_find(text, '.');
        struct slice label = slice_sub(text, 0, dot);

        if (!is_label(label))
            return false;
        if (dot == text.len)
            return !(label.ptr[0] >= '0' && label.ptr[0] <= '9');
        text = slice_sub(text, dot + 1, text.len);
    }
}

static void put_lower(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        buf_putc(out, c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c);
    }
}

static int put_host(struct slice text, struct buf *out)
{
    struct addr addr;

    if (addr_parse_ip(text, &addr) == 0)
        addr_format_ip(&addr, true, out);
    else if (is_hostname(text))
        put_lower(out, text);
    else
        return ERR_SYNTAX;
    return 0;
}

static int parse_host(const struct value_type *type, struct slice text, struct arena *arena, void *ret)
{
    char memory[HOST_MAX_BYTES + 1];
    struct buf host;

    (void)type;
    buf_init(&host, memory, sizeof(memory));
    return put_host(text, &host) < 0 ? ERR_SYNTAX : keep(buf_slice(&host), arena, ret);
}

/* ---- names of the operator's own, and of SIP ---- */

static bool is_made_of(struct slice text, const char *others)
{
    for (size_t i = 0; i < text.len; i++)
        if (!is_alnum(text.ptr[i]) && (text.ptr[i] == '\0' || !strchr(others, text.ptr[i])))
            return false;
    return true;
}

static int parse_reference(const struct value_type *type, struct slice text, struct arena *arena, void *ret)
{
    (void)type;
    return text.len <= NAME_MAX_BYTES && is_made_of(text, "._-") ? keep(text, arena, ret) : ERR_SYNTAX;
}

static int parse_name(const struct value_type *type, struct slice text, struct arena *arena, void *ret)
{
    return text.len > 0 ? parse_reference(type, text, arena, ret) : ERR_SYNTAX;
}

/* RFC 3261 section 25.1: token. */
static int parse_token(const struct value_type *type, struct slice text, struct arena *arena, void *ret)
{
    bool is_token = text.len > 0 && text.len <= NAME_MAX_BYTES && is_made_of(text, "-.!%*_+`'~");

    (void)type;
    return is_token ? keep(text, arena, ret) : ERR_SYNTAX;
}

static int parse_pattern(const struct value_type *type, struct slice text, struct arena *arena, void *ret)
{
    (void)type;
    return pattern_is_valid(text) && is_plain(text) ? keep(text, arena, ret) : ERR_SYNTAX;
}

#define USER_MAX_BYTES 128
#define USER_SCHEME    "sip:"

/* What may stand before the '@' of a SIP URI as it is (RFC 3261 section 25.1: unreserved / user-unreserved). */
static bool is_user_name(struct slice name)
{
    return name.len > 0 && name.len <= USER_MAX_BYTES && is_made_of(name, "-_.!~*'()&=+$,;?/");
}

static int parse_user(const struct value_type *type, struct slice text, struct arena *arena, void *ret)
{
    char memory[sizeof(USER_SCHEME) + USER_MAX_BYTES + HOST_MAX_BYTES + 2];
    size_t at = slice_find(text, '@');
    struct slice name = slice_sub(text, 0, at);
    struct buf out;

    (void)type;
    if (at == text.len || !is_user_name(name))
        return ERR_SYNTAX;
    buf_init(&out, memory, sizeof(memory));
    buf_lit(&out, USER_SCHEME);
    buf_put(&out, name);
    buf_lit(&out, "@");
    return put_host(slice_sub(text, at + 1, text.len), &out) < 0 ? ERR_SYNTAX
                                                                 : keep(buf_slice(&out), arena, ret);
}

static void print_user(const struct value_type *type, const void *value, struct buf *out)
{
    const char *const *v = value;

    (void)type;
    value_print_quoted(slice_from_cstr(*v + sizeof(USER_SCHEME) - 1), out);
}

/* ---- addresses ---- */

/* Where the host ends: at the last colon, unless that belongs to an IPv6 address. */
static size_t host_end(struct slice text)
{
    size_t colon = slice_rfind(text, ':');
    bool only_colon = slice_find(text, ':') == colon;
    bool after_bracket = colon > 0 && colon < text.len && text.ptr[colon - 1] == ']';

    return only_colon || after_bracket ? colon : text.len;
}

/* Empty text is none. */
static int parse_host_port(const struct value_type *type, struct slice text, struct arena *arena, void *ret)
{
    struct config_host_port value = {.host = ""};
    size_t end = host_end(text);
    struct slice host = slice_sub(text, 0, end);
    struct addr addr;
    uint32_t port = 0;
    int r;

    if (end < text.len &&
        (num_parse_u32(slice_sub(text, end + 1, text.len), UINT16_MAX, &port) < 0 || port == 0))
        return ERR_SYNTAX;
    if (addr_parse_ip(host, &addr) == 0 && !addr_is_unicast(&addr))
        return ERR_SYNTAX;
    r = text.len > 0 ? parse_host(type, host, arena, &value.host) : 0;
    if (r < 0)
        return r;
    value.port = (uint16_t)port;
    memcpy(ret, &value, sizeof(value));
    return 0;
}

static void print_host_port(const struct value_type *type, const void *value, struct buf *out)
{
    const struct config_host_port *v = value;

    (void)type;
    buf_putc(out, '"');
    buf_cstr(out, v->host);
    if (v->port > 0) {
        buf_putc(out, ':');
        buf_u64(out, v->port);
    }
    buf_putc(out, '"');
}

/* pname [ "=" pvalue ] */
static bool is_param(struct slice param)
{
    size_t equals = slice_find(param, '=');
    struct slice name = slice_sub(param, 0, equals), value = slice_sub(param, equals + 1, param.len);

    return name.len > 0 && is_made_of(name, "-_.!~*'()") && is_made_of(value, "-_.!~*'()[]/:&+$") &&
           (equals == param.len || value.len > 0);
}

/* RFC 3261 section 19.1.1, as much of it as has a meaning in a configuration: no password, no headers. */
static bool is_sip_uri(struct slice text, bool may_have_user, struct arena *arena)
{
    size_t colon = slice_find(text, ':'), at, end;
    struct slice scheme = slice_sub(text, 0, colon), rest = slice_sub(text, colon + 1, text.len);
    struct config_host_port host;

    if (!slice_eq_nocase(scheme, SLICE("sip")) && !slice_eq_nocase(scheme, SLICE("sips")))
        return false;
    at = slice_find(rest, '@');
    if (at < rest.len) {
        if (!may_have_user || at == 0 || !is_made_of(slice_sub(rest, 0, at), "-_.!~*'()&=+$,;?/"))
            return false;
        rest = slice_sub(rest, at + 1, rest.len);
    }
    end = slice_find(rest, ';');
    if (end == 0 || parse_host_port(NULL, slice_sub(rest, 0, end), arena, &host) < 0)
        return false;
    while (end < rest.len) {
        rest = slice_sub(rest, end + 1, rest.len);
        end = slice_find(rest, ';');
        if (!is_param(slice_sub(rest, 0, end)))
            return false;
    }
    return true;
}

static int parse_next_hop(const struct value_type *type, struct slice text, struct arena *arena, void *ret)
{
    (void)type;
    return is_sip_uri(text, false, arena) ? keep(text, arena, ret) : ERR_SYNTAX;
}

static int parse_optional_uri(const struct value_type *type, struct slice text, struct arena *arena,
                              void *ret)
{
    (void)type;
    return text.len == 0 || is_sip_uri(text, true, arena) ? keep(text, arena, ret) : ERR_SYNTAX;
}

/* qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] ) */
static int parse_q(struct slice text, uint32_t *ret_q_milli)
{
    uint32_t q_milli = 0, scale = 1000;

    if (text.len == 0 || text.len > 5 || (text.len > 1 && text.ptr[1] != '.'))
        return ERR_SYNTAX;
    for (size_t i = 0; i < text.len; i += i == 0 ? 2 : 1) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return ERR_SYNTAX;
        q_milli += (uint32_t)(text.ptr[i] - '0') * scale;
        scale /= 10;
    }
    if (q_milli > 1000)
        return ERR_SYNTAX;
    *ret_q_milli = q_milli;
    return 0;
}

/* sip:gw.example.net, or as in a Contact: <sip:gw.example.net>;q=0.5 */
static int parse_target(const struct value_type *type, struct slice text, struct arena *arena, void *ret)
{
    struct config_target target = {.q_milli = 1000};
    int r;

    (void)type;
    if (slice_starts_with(text, SLICE("<"))) {
        size_t end = slice_find(text, '>');
        struct slice q = slice_sub(text, end + 1, text.len);

        if (end == text.len)
            return ERR_SYNTAX;
        if (q.len > 0 &&
            (!slice_starts_with(q, SLICE(";q=")) || parse_q(slice_sub(q, 3, q.len), &target.q_milli) < 0))
            return ERR_SYNTAX;
        text = slice_sub(text, 1, end);
    }
    if (!is_sip_uri(text, true, arena))
        return ERR_SYNTAX;
    r = keep(text, arena, &target.uri);
    if (r == 0)
        memcpy(ret, &target, sizeof(target));
    return r;
}

static void print_target(const struct value_type *type, const void *value, struct buf *out)
{
    const struct config_target *target = value;

    (void)type;
    buf_lit(out, "\"<");
    buf_cstr(out, target->uri);
    buf_putc(out, '>');
    if (target->q_milli < 1000)
        buf_printf(out, ";q=0.%03u", target->q_milli);
    buf_putc(out, '"');
}

static int parse_listen_address(const struct value_type *type, struct slice text, struct arena *arena,
                                void *ret)
{
    struct addr addr;

    (void)type, (void)arena;
    if (addr_parse(text, &addr) < 0 || (!addr_is_unicast(&addr) && !addr_is_any(&addr)))
        return ERR_SYNTAX;
    if (addr.port == 0 && host_end(text) < text.len)
        return ERR_SYNTAX; /* port 0 would be a port of the system's choice, which no one could find */
    memcpy(ret, &addr, sizeof(addr));
    return 0;
}

#define DNS_PORT 53

static int parse_server_address(const struct value_type *type, struct slice text, struct arena *arena,
                                void *ret)
{
    struct addr addr;

    (void)type, (void)arena;
    if (addr_parse(text, &addr) < 0 || !addr_is_unicast(&addr) ||
        (addr.port == 0 && host_end(text) < text.len))
        return ERR_SYNTAX;
    if (addr.port == 0)
        addr.port = DNS_PORT;
    memcpy(ret, &addr, sizeof(addr));
    return 0;
}

static void print_listen_address(const struct value_type *type, const void *value, struct buf *out)
{
    (void)type;
    buf_putc(out, '"');
    addr_format(value, out);
    buf_putc(out, '"');
}

/* 10.0.0.1/8 is a slip: 10.0.0.1 or 10.0.0.0/8 was meant. */
static bool has_host_bits(const struct addr_prefix *prefix)
{
    unsigned bytes = prefix->addr.family == ADDR_IPV4 ? 4 : 16;

    for (unsigned i = prefix->bits / 8; i < bytes; i++) {
        unsigned host_mask = i == prefix->bits / 8 ? 0xffu >> prefix->bits % 8 : 0xff;

        if (prefix->addr.ip[i] & host_mask)
            return true;
    }
    return false;
}

static int parse_prefix(const struct value_type *type, struct slice text, struct arena *arena, void *ret)
{
    struct addr_prefix prefix;

    (void)type, (void)arena;
    if (addr_prefix_parse(text, &prefix) < 0 || has_host_bits(&prefix))
        return ERR_SYNTAX;
    memcpy(ret, &prefix, sizeof(prefix));
    return 0;
}

static void print_prefix(const struct value_type *type, const void *value, struct buf *out)
{
    const struct addr_prefix *prefix = value;

    (void)type;
    buf_putc(out, '"');
    addr_format_ip(&prefix->addr, false, out);
    buf_putc(out, '/');
    buf_u64(out, prefix->bits);
    buf_putc(out, '"');
}

/* ---- the web ---- */

/* RFC 6454 section 6.2, as browsers write it: the port that the scheme has by itself is left out. */
static int put_web_origin(struct slice scheme, uint32_t usual_port, struct slice rest, struct buf *out)
{
    size_t end = host_end(rest);
    uint32_t port = usual_port;

    if (end < rest.len &&
        (num_parse_u32(slice_sub(rest, end + 1, rest.len), UINT16_MAX, &port) < 0 || port == 0))
        return ERR_SYNTAX;
    buf_put(out, scheme);
    if (put_host(slice_sub(rest, 0, end), out) < 0)
        return ERR_SYNTAX;
    if (port != usual_port) {
        buf_putc(out, ':');
        buf_u64(out, port);
    }
    return 0;
}

static int put_origin(struct slice text, struct buf *out)
{
    static const struct {
        struct slice scheme;
        uint32_t port;
    } schemes[] = {{{"https://", 8}, 443}, {{"http://", 7}, 80}};

    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        struct slice scheme = schemes[i].scheme;

        if (slice_starts_with_nocase(text, scheme))
            return put_web_origin(scheme, schemes[i].port, slice_sub(text, scheme.len, text.len), out);
    }
    if (slice_starts_with(text, SLICE("*.")) && is_hostname(slice_sub(text, 2, text.len))) {
        put_lower(out, text);
        return 0;
    }
    return put_host(text, out);
}

static int parse_origin(const struct value_type *type, struct slice text, struct arena *arena, void *ret)
{
    char memory[HOST_MAX_BYTES + 16];
    struct buf out;

    (void)type;
    if (slice_eq(text, SLICE("*")))
        return keep(text, arena, ret);
    buf_init(&out, memory, sizeof(memory));
    return put_origin(text, &out) < 0 ? ERR_SYNTAX : keep(buf_slice(&out), arena, ret);
}

/* RFC 3986 section 3.3, without a query. */
static int parse_url_path(const struct value_type *type, struct slice text, struct arena *arena, void *ret)
{
    (void)type;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (c <= ' ' || c > '~' || strchr("?#\"\\<>^`{|}", c))
            return ERR_SYNTAX;
    }
    return text.len > TEXT_MAX_BYTES || (text.len > 0 && text.ptr[0] != '/') ? ERR_SYNTAX
                                                                             : keep(text, arena, ret);
}

/* ---- all ---- */

int value_parse(const struct value_type *type, struct slice text, struct arena *arena, void *ret)
{
    return text.len > CONFIG_VALUE_MAX_BYTES ? ERR_SYNTAX : type->parse(type, text, arena, ret);
}

void value_print(const struct value_type *type, const void *value, struct buf *out)
{
    type->print(type, value, out);
}

void value_print_quoted(struct slice text, struct buf *out)
{
    static const char hex[] = "0123456789ABCDEF";

    buf_putc(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if (c < 0x20 || c == 0x7f) {
            buf_lit(out, "\\x");
            buf_putc(out, hex[c >> 4]);
            buf_putc(out, hex[c & 15]);
        } else {
            buf_cstr(out, c == '"' || c == '\\' ? "\\" : "");
            buf_putc(out, (char)c);
        }
    }
    buf_putc(out, '"');
}

uint64_t value_number(const struct value_type *type, const void *value)
{
    uint32_t narrow;
    uint64_t wide;

    if (type->bytes == sizeof(wide)) {
        memcpy(&wide, value, sizeof(wide));
        return wide;
    }
    memcpy(&narrow, value, sizeof(narrow));
    return narrow;
}

/* One type: how it is read, how it is written, and what is said of it. */
#define TYPE(name, parse_fn, print_fn, ...)                                                                  \
    const struct value_type value_##name = {                                                                 \
        .bytes = sizeof(value_##name##_c), .parse = parse_fn, .print = print_fn, __VA_ARGS__}
#define NAMES(...)                                                                                           \
    (const struct value_name[])                                                                              \
    {                                                                                                        \
        __VA_ARGS__,                                                                                         \
        {                                                                                                    \
            NULL, 0                                                                                          \
        }                                                                                                    \
    }
#define WORDS(name, ...)                                                                                     \
    _Static_assert(sizeof(value_##name##_c) == sizeof(int), #name);                                          \
    TYPE(name, parse_word, print_word, .how = "choose one of them", .names = NAMES(__VA_ARGS__))

TYPE(milliseconds, parse_milliseconds, print_milliseconds, .noun = "a duration",
     .how = "write a number with ms, s, m, h or d, as 500ms or 1h");
TYPE(seconds, parse_seconds, print_seconds, .noun = "a duration in whole seconds",
     .how = "write a number with s, m, h or d, as 30s or 1h");
TYPE(bytes, parse_bytes, print_bytes, .noun = "a size",
     .how = "write a number of octets, or with k, M or G, as 64k");
TYPE(count, parse_count, print_count, .noun = "a number", .how = "write digits alone");
TYPE(workers, parse_optional_count, print_optional_count, .noun = "\"auto\" or a number above 0",
     .how = "write \"auto\" or a number", .names = NAMES({"auto", 0}));
TYPE(boolean, parse_boolean, print_boolean, .how = "choose one of them",
     .names = NAMES({"yes", 1}, {"no", 0}, {"true", 1}, {"false", 0}, {"on", 1}, {"off", 0}));
TYPE(text, parse_text, print_text, .noun = "plain text",
     .how = "write at most 255 octets, without control characters, quotes and backslashes");
TYPE(path, parse_path, print_text, .noun = "an absolute path", .how = "begin it with / or ~/");
TYPE(optional_path, parse_optional_path, print_text, .noun = "an absolute path",
     .how = "begin it with / or ~/, or leave it empty");
TYPE(uri, parse_uri, print_text, .noun = "a SIP URI", .how = "write one such as sip:proxy.example.com;lr");
TYPE(host, parse_host, print_text, .noun = "a host",
     .how = "write a name such as sip.example.com, or an IP address");
TYPE(origin, parse_origin, print_text, .noun = "the origin of a web page",
     .how = "write https://phone.example.com, example.com, *.example.com or *");
TYPE(user, parse_user, print_user, .noun = "a user", .how = "write alice@example.com");
TYPE(url_path, parse_url_path, print_text, .noun = "the path of a URL",
     .how = "begin it with / and end it before any ? or #, or leave it empty");
TYPE(host_port, parse_host_port, print_host_port,
     .noun = "a host with or without a port that others can reach",
     .how = "write sip.example.com:5060, 192.0.2.1:5060 or \"[2001:db8::1]:5060\"");
TYPE(listen_address, parse_listen_address, print_listen_address, .noun = "an IP address and port",
     .how = "write 192.0.2.1:5060 or \"[2001:db8::1]:5060\"");
TYPE(server_address, parse_server_address, print_listen_address, .noun = "the IP address of a server",
     .how = "write 192.0.2.53, or with a port 192.0.2.53:5353 or \"[2001:db8::53]:5353\"");
TYPE(prefix, parse_prefix, print_prefix, .noun = "a network",
     .how = "write an IP address, or a network such as 192.0.2.0/24 with nothing after its prefix");

TYPE(optional_count, parse_optional_count, print_optional_count, .noun = "\"none\" or a number above 0",
     .how = "write digits alone, or leave the key out", .names = NAMES({"none", 0}));
TYPE(optional_milliseconds, parse_optional_milliseconds, print_optional_milliseconds,
     .noun = "\"inherit\" or a duration", .how = "write a number with ms, s, m, h or d, as 500ms or 1h",
     .names = NAMES({"inherit", 0}));
TYPE(name, parse_name, print_text, .noun = "a name",
     .how = "write letters, digits, \".\", \"_\" and \"-\", at most 64");
TYPE(reference, parse_reference, print_text, .noun = "a name",
     .how = "write letters, digits, \".\", \"_\" and \"-\", at most 64");
TYPE(token, parse_token, print_text, .noun = "a token of SIP",
     .how = "write a name such as INVITE or X-Customer");
TYPE(pattern, parse_pattern, print_text, .noun = "a pattern",
     .how =
         "write at most 128 octets; * is anything, ? one character, [0-9] one of these, [*] the star itself");
TYPE(next_hop, parse_next_hop, print_text, .noun = "a SIP URI without a user",
     .how = "write sip:gw.example.net, sip:192.0.2.1:5060 or sips:gw.example.net;transport=tcp");
TYPE(optional_uri, parse_optional_uri, print_text, .noun = "a SIP URI",
     .how = "write sip:probe@example.com or sip:example.com, or leave it empty");
TYPE(failover_status, parse_failover_status, print_count, .noun = "a status from 400 to 599",
     .how = "write three digits, as 503");
TYPE(target, parse_target, print_target, .noun = "a SIP URI",
     .how = "write sip:bob@example.com, sip:192.0.2.1:5060 or <sip:gw.example.net>;q=0.5");

WORDS(transport, {"udp", CONFIG_UDP}, {"tcp", CONFIG_TCP}, {"tls", CONFIG_TLS}, {"ws", CONFIG_WS},
      {"wss", CONFIG_WSS});
WORDS(nat_contacts, {"registered", CONFIG_NAT_REGISTERED}, {"source", CONFIG_NAT_SOURCE});
WORDS(nat_ping, {"none", CONFIG_NAT_PING_NONE}, {"options", CONFIG_NAT_PING_OPTIONS},
      {"crlf", CONFIG_NAT_PING_CRLF});
WORDS(mode, {"stateful", CONFIG_STATEFUL}, {"stateless", CONFIG_STATELESS});
WORDS(listener_auth_rule, {"inherit", CONFIG_AUTH_INHERIT}, {"required", CONFIG_AUTH_REQUIRED},
      {"none", CONFIG_AUTH_NONE});
WORDS(domain_auth_rule, {"required", CONFIG_AUTH_REQUIRED}, {"none", CONFIG_AUTH_NONE});
WORDS(client_certificates, {"none", CONFIG_CLIENT_CERTIFICATES_NONE},
      {"optional", CONFIG_CLIENT_CERTIFICATES_OPTIONAL}, {"required", CONFIG_CLIENT_CERTIFICATES_REQUIRED});
WORDS(tls_version, {"1.2", CONFIG_TLS_1_2}, {"1.3", CONFIG_TLS_1_3});
WORDS(store_kind, {"sqlite", CONFIG_STORE_SQLITE}, {"memory", CONFIG_STORE_MEMORY});
WORDS(algorithm, {"SHA-512-256", CONFIG_SHA_512_256}, {"SHA-256", CONFIG_SHA_256}, {"MD5", CONFIG_MD5});
WORDS(path_rule, {"require_supported", CONFIG_PATH_REQUIRE_SUPPORTED}, {"accept", CONFIG_PATH_ACCEPT});
WORDS(log_level, {"error", LOG_ERROR}, {"warn", LOG_WARN}, {"notice", LOG_NOTICE}, {"info", LOG_INFO},
      {"debug", LOG_DEBUG});
WORDS(log_format, {"text", LOG_TEXT}, {"json", LOG_JSON});

WORDS(choice, {"inherit", CONFIG_INHERIT}, {"yes", CONFIG_YES}, {"no", CONFIG_NO});
WORDS(proxy_identity, {"off", CONFIG_IDENTITY_OFF}, {"auto", CONFIG_IDENTITY_AUTO});
WORDS(route_identity, {"inherit", CONFIG_IDENTITY_INHERIT}, {"off", CONFIG_IDENTITY_OFF},
      {"auto", CONFIG_IDENTITY_AUTO}, {"trusted", CONFIG_IDENTITY_TRUSTED},
      {"untrusted", CONFIG_IDENTITY_UNTRUSTED});
WORDS(group_algorithm, {"priority", CONFIG_PRIORITY}, {"weighted", CONFIG_WEIGHTED},
      {"call_id", CONFIG_HASH_CALL_ID}, {"user", CONFIG_HASH_USER}, {"least_calls", CONFIG_LEAST_CALLS});
