#include "net/upgrade.h"
#include "crypto/sha1.h"
#include <ctype.h>

#define KEY_CHARS   24 /* 16 octets in Base64 (RFC 6455 section 4.1 item 7) */
#define ACCEPT_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

/* ---- the head ---- */

enum field { HOST, KEY, VERSION, ORIGIN, UPGRADE, CONNECTION, PROTOCOL, LENGTH, ENCODING, FIELDS };

static const struct {
    struct slice name;
    /* It may stand more than once, which is the same as once with commas (RFC 7230 section 3.2.2). */
    bool is_list;
} fields[FIELDS] = {
    [HOST] = {{"Host", 4}, false},
    [KEY] = {{"Sec-WebSocket-Key", 17}, false},
    [VERSION] = {{"Sec-WebSocket-Version", 21}, false},
    [ORIGIN] = {{"Origin", 6}, false},
    [UPGRADE] = {{"Upgrade", 7}, true},
    [CONNECTION] = {{"Connection", 10}, true},
    [PROTOCOL] = {{"Sec-WebSocket-Protocol", 22}, true},
    [LENGTH] = {{"Content-Length", 14}, true},
    [ENCODING] = {{"Transfer-Encoding", 17}, true},
};

struct request {
    const struct net_upgrade_policy *policy;
    bool is_malformed;
    struct slice method, target, version;
    struct slice values[FIELDS]; /* absent where the field is; of a list the last one */
    bool wants_websocket, wants_upgrade, offers_protocol;
};

static bool is_token_char(char c)
{
    return isalnum((unsigned char)c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_token(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!is_token_char(s.ptr[i]))
            return false;
    }
    return s.len > 0;
}

/* RFC 7230 section 3.2: no control character but HTAB, so no CR and no LF by itself. */
static bool is_field_value(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];

        if ((c < ' ' && c != '\t') || c == 0x7F)
            return false;
    }
    return true;
}

static bool is_visible(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] <= ' ' || s.ptr[i] > '~')
            return false;
    }
    return s.len > 0;
}

/* Up to the separator, which is dropped from *rest with it. False: there is none. */
static bool cut(struct slice *rest, struct slice separator, struct slice *ret_piece)
{
    for (size_t i = 0; i + separator.len <= rest->len; i++) {
        if (memcmp(rest->ptr + i, separator.ptr, separator.len) == 0) {
            *ret_piece = slice_sub(*rest, 0, i);
            *rest = slice_sub(*rest, i + separator.len, rest->len);
            return true;
        }
    }
    return false;
}

typedef bool equal_fn(struct slice a, struct slice b);

static bool list_has(struct slice list, struct slice wanted, equal_fn *equal)
{
    struct slice element;

    while (cut(&list, SLICE(","), &element)) {
        if (equal(slice_trim(element), wanted))
            return true;
    }
    return equal(slice_trim(list), wanted);
}

static void read_value(struct request *r, enum field field, struct slice value)
{
    if (!fields[field].is_list && !slice_is_null(r->values[field]))
        r->is_malformed = true;
    r->values[field] = value;
    r->wants_websocket |= field == UPGRADE && list_has(value, SLICE("websocket"), slice_eq_nocase);
    r->wants_upgrade |= field == CONNECTION && list_has(value, SLICE("Upgrade"), slice_eq_nocase);
    r->offers_protocol |= field == PROTOCOL && list_has(value, r->policy->protocol, slice_eq);
}

static void read_field(struct request *r, struct slice line)
{
    size_t colon = slice_find(line, ':');
    struct slice name = slice_sub(line, 0, colon), value = slice_sub(line, colon + 1, line.len);

    if (colon == line.len || !is_token(name) || !is_field_value(value)) {
        r->is_malformed = true;
        return;
    }
    for (int i = 0; i < FIELDS; i++) {
        if (slice_eq_nocase(name, fields[i].name))
            read_value(r, (enum field)i, slice_trim(value));
    }
}

static void read_request_line(struct request *r, struct slice line)
{
    if (!cut(&line, SLICE(" "), &r->method) || !cut(&line, SLICE(" "), &r->target))
        r->is_malformed = true;
    r->version = line;
    r->is_malformed |= !is_token(r->method) || !is_visible(r->target) || !is_visible(r->version);
}

static void read_head(struct request *r, struct slice head)
{
    struct slice line = SLICE("");

    if (!cut(&head, SLICE("\r\n"), &line))
        r->is_malformed = true;
    read_request_line(r, line);
    while (!r->is_malformed && cut(&head, SLICE("\r\n"), &line) && line.len > 0)
        read_field(r, line);
}

/* ---- origins (RFC 6454) ---- */

struct origin {
    struct slice scheme, host; /* both absent: "null", or nothing that this understands */
};

static struct slice host_of(struct slice authority)
{
    size_t end = slice_find(authority, authority.len > 0 && authority.ptr[0] == '[' ? ']' : ':');

    return slice_sub(authority, 0, end < authority.len && authority.ptr[end] == ']' ? end + 1 : end);
}

static struct origin origin_of(struct slice text)
{
    struct origin origin = {SLICE_NULL, SLICE_NULL};

    if (cut(&text, SLICE("://"), &origin.scheme))
        origin.host = host_of(text);
    return origin;
}

static bool ends_with_nocase(struct slice s, struct slice end)
{
    return s.len >= end.len && slice_eq_nocase(slice_sub(s, s.len - end.len, s.len), end);
}

static bool is_allowed(struct slice entry, struct slice text, const struct origin *origin)
{
    if (slice_eq(entry, SLICE("*")))
        return true;
    if (!slice_is_null(origin_of(entry).host))
        return slice_eq_nocase(entry, text);
    if (slice_is_null(origin->host))
        return false;
    if (slice_starts_with(entry, SLICE("*.")))
        return origin->host.len >= entry.len &&
               ends_with_nocase(origin->host, slice_sub(entry, 1, entry.len));
    return slice_eq_nocase(entry, origin->host);
}

/* ---- what is asked of a request ---- */

static bool is_well_formed(const struct request *r)
{
    return !r->is_malformed;
}

static bool is_http_1(const struct request *r)
{
    return r->version.len == 8 && slice_starts_with(r->version, SLICE("HTTP/1.")) &&
           r->version.ptr[7] >= '1' && r->version.ptr[7] <= '9';
}

static bool is_get(const struct request *r)
{
    return slice_eq(r->method, SLICE("GET"));
}

/* "a "Request-URI" that should be interpreted as a /resource name/ (or an absolute HTTP/HTTPS URI containing the
 * /resource name/)" */
static bool is_path(const struct request *r)
{
    struct slice path = r->target, scheme;

    if (cut(&path, SLICE("://"), &scheme))
        path = slice_sub(path, slice_find(path, '/'), path.len);
    else
        path = r->target;
    path = slice_sub(path, 0, slice_find(path, '?'));
    if (path.len == 0)
        path = SLICE("/");
    return r->policy->path.len == 0 ? path.ptr[0] == '/' : slice_eq(path, r->policy->path);
}

static bool has_host(const struct request *r)
{
    return r->values[HOST].len > 0;
}

static bool has_no_body(const struct request *r)
{
    struct slice length = r->values[LENGTH];

    return slice_is_null(r->values[ENCODING]) && (slice_is_null(length) || slice_eq(length, SLICE("0")));
}

static bool wants_websocket(const struct request *r)
{
    return r->wants_websocket;
}

static bool wants_upgrade(const struct request *r)
{
    return r->wants_upgrade;
}

static bool has_version(const struct request *r)
{
    return r->values[VERSION].len > 0;
}

static bool is_version_13(const struct request *r)
{
    return slice_eq(r->values[VERSION], SLICE("13"));
}

static bool has_key(const struct request *r)
{
    struct slice key = r->values[KEY];

    for (size_t i = 0; i + 2 < key.len; i++) {
        if (!isalnum((unsigned char)key.ptr[i]) && key.ptr[i] != '+' && key.ptr[i] != '/')
            return false;
    }
    return key.len == KEY_CHARS && ends_with_nocase(key, SLICE("=="));
}

static bool offers_protocol(const struct request *r)
{
    return r->offers_protocol;
}

/* "A connection attempt lacking this header field SHOULD NOT be interpreted as coming from a browser client." */
static bool is_origin_allowed(const struct request *r)
{
    struct slice text = r->values[ORIGIN];
    struct origin origin;

    if (slice_is_null(text))
        return true;
    origin = origin_of(text);
    for (size_t i = 0; i < r->policy->n_origins; i++) {
        if (is_allowed(r->policy->origins[i], text, &origin))
            return true;
    }
    return false;
}

/* In this order, of which the client hears the first that it fails. Section 4.2.1, and 4.2.2 item 4. */
static const struct {
    bool (*holds)(const struct request *r);
    unsigned status;
    const char *why;
} rules[] = {
    {is_well_formed, 400, "not the head of an HTTP request"},
    {is_http_1, 505, "HTTP/1.1 is spoken here"},
    {is_get, 405, "only GET opens a WebSocket"},
    {is_path, 404, "no WebSocket at this path"},
    {has_host, 400, "no Host"},
    {has_no_body, 400, "a body where none can be"},
    {wants_websocket, 426, "this is a WebSocket"},
    {wants_upgrade, 400, "no Upgrade in Connection"},
    {has_version, 400, "no Sec-WebSocket-Version"},
    {is_version_13, 426, "Sec-WebSocket-Version is not 13"},
    {has_key, 400, "no Sec-WebSocket-Key of 16 octets"},
    {offers_protocol, 400, "the sub-protocol spoken here is not offered"},
    {is_origin_allowed, 403, "pages of this Origin may not connect"},
};

/* ---- the answer ---- */

static const struct status {
    unsigned status;
    const char *phrase, *fields;
} statuses[] = {
    {400, "Bad Request", ""},
    {403, "Forbidden", ""},
    {404, "Not Found", ""},
    {405, "Method Not Allowed", "Allow: GET\r\n"},
    {426, "Upgrade Required", "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"},
    {431, "Request Header Fields Too Large", ""},
    {505, "HTTP Version Not Supported", ""},
};

static void refuse(struct buf *out, unsigned status, const char *why, struct net_upgrade_answer *ret_answer)
{
    const struct status *entry = statuses;

    while (entry->status != status)
        entry++;
    buf_lit(out, "HTTP/1.1 ");
    buf_u64(out, status);
    buf_lit(out, " ");
    buf_cstr(out, entry->phrase);
    buf_lit(out, "\r\n");
    buf_cstr(out, entry->fields);
    buf_lit(out, "Connection: close\r\nContent-Type: text/plain\r\nContent-Length: ");
    buf_u64(out, strlen(why) + 1);
    buf_lit(out, "\r\n\r\n");
    buf_cstr(out, why);
    buf_lit(out, "\n");
    ret_answer->status = status;
    ret_answer->why = why;
}

static int accept_upgrade(const struct request *r, struct buf *out, struct net_upgrade_answer *ret_answer)
{
    const struct slice parts[] = {r->values[KEY], SLICE(ACCEPT_GUID)};
    char proof[CRYPTO_SHA1_BASE64_LEN];
    int rc = crypto_sha1_base64(parts, 2, proof);

    if (rc < 0)
        return rc;
    buf_lit(out, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Accept: ");
    buf_put(out, slice_make(proof, sizeof(proof)));
    buf_lit(out, "\r\nSec-WebSocket-Protocol: ");
    buf_put(out, r->policy->protocol);
    buf_lit(out, "\r\n\r\n");
    ret_answer->status = NET_UPGRADE_SWITCHING;
    return 0;
}

int net_upgrade(struct slice head, const struct net_upgrade_policy *policy, struct buf *out,
                struct net_upgrade_answer *ret_answer)
{
    struct request r = {.policy = policy};

    read_head(&r, head);
    *ret_answer = (struct net_upgrade_answer){.origin = r.values[ORIGIN]};
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        if (!rules[i].holds(&r)) {
            refuse(out, rules[i].status, rules[i].why, ret_answer);
            return 0;
        }
    }
    return accept_upgrade(&r, out, ret_answer);
}

void net_upgrade_refuse_long(struct buf *out, struct net_upgrade_answer *ret_answer)
{
    *ret_answer = (struct net_upgrade_answer){0};
    refuse(out, 431, "the head of the request is too long", ret_answer);
}
