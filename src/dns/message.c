#include "dns/message.h"

#define HEADER_BYTES    12
#define LABEL_MAX_BYTES 63
#define POINTERS_MAX    64 /* in one name: each must lead backwards, so this is for the patience alone */
#define CLASS_IN        1
#define SRV_FIXED_BYTES 6

/* Letters, digits, hyphen, underscore; 0 for everything else. */
static char host_char(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (char)(c - 'A' + 'a');
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ? c : 0;
}

/* ---- octets ---- */

static bool has(struct slice packet, size_t at, size_t bytes)
{
    return at <= packet.len && bytes <= packet.len - at;
}

static unsigned octet(struct slice packet, size_t at)
{
    return (unsigned char)packet.ptr[at];
}

static uint16_t word(struct slice packet, size_t at)
{
    return (uint16_t)(octet(packet, at) << 8 | octet(packet, at + 1));
}

/* ---- names ---- */

/* One more label. ERR_UNSUPPORTED: not of a host name. */
static int add_label(struct dns_name *name, struct slice label)
{
    size_t len = name->len;

    if (len > 0 && len < DNS_NAME_MAX_BYTES)
        name->text[len++] = '.';
    if (label.len > DNS_NAME_MAX_BYTES - len)
        return ERR_LIMIT;
    for (size_t i = 0; i < label.len; i++) {
        char c = host_char(label.ptr[i]);

        if (c == 0)
            return ERR_UNSUPPORTED;
        name->text[len++] = c;
    }
    name->len = (uint8_t)len;
    name->text[len] = '\0';
    return 0;
}

int dns_name_from_text(struct slice text, struct dns_name *ret_name)
{
    struct dns_name name = {0};

    if (text.len > 0 && text.ptr[text.len - 1] == '.')
        text.len--;
    if (text.len == 0)
        return ERR_SYNTAX;
    for (size_t at = 0; at <= text.len;) {
        struct slice label = slice_sub(text, at, at + slice_find(slice_sub(text, at, text.len), '.'));
        int rc;

        if (label.len == 0 || label.len > LABEL_MAX_BYTES)
            return ERR_SYNTAX;
        rc = add_label(&name, label);
        if (rc < 0)
            return rc == ERR_LIMIT ? rc : ERR_SYNTAX;
        at += label.len + 1;
    }
    *ret_name = name;
    return 0;
}

/* RFC 1035 section 4.1.4. *at moves behind the name. ERR_UNSUPPORTED: a name, but no host's; *at has moved. */
static int read_name(struct slice packet, size_t *at, struct dns_name *ret_name)
{
    struct dns_name name = {0};
    size_t i = *at, end = 0;
    unsigned pointers = 0;
    int status = 0;

    for (;;) {
        unsigned len;

        if (!has(packet, i, 1))
            return ERR_SYNTAX;
        len = octet(packet, i);
        if (len >= 0xc0) {
            size_t to;

            if (!has(packet, i, 2))
                return ERR_SYNTAX;
            to = word(packet, i) & 0x3fffu;
            if (to >= i || ++pointers > POINTERS_MAX)
                return ERR_SYNTAX;
            if (end == 0)
                end = i + 2;
            i = to;
            continue;
        }
        if (len > LABEL_MAX_BYTES || !has(packet, i + 1, len))
            return ERR_SYNTAX;
        i += 1;
        if (len == 0)
            break;
        if (status == 0)
            status = add_label(&name, slice_make(packet.ptr + i, len));
        if (status == ERR_LIMIT)
            return ERR_SYNTAX;
        i += len;
    }
    *at = end != 0 ? end : i;
    if (status == 0)
        *ret_name = name;
    return status;
}

static bool is_same(const struct dns_name *a, const struct dns_name *b)
{
    return slice_eq(dns_name_slice(a), dns_name_slice(b));
}

/* ---- records ---- */

struct raw {
    struct dns_name owner;
    bool is_host; /* owner is the name of one */
    uint16_t type, class;
    size_t rdata, rdata_len;
};

static int read_raw(struct slice packet, size_t *at, struct raw *ret_raw)
{
    int rc = read_name(packet, at, &ret_raw->owner);

    if (rc < 0 && rc != ERR_UNSUPPORTED)
        return rc;
    ret_raw->is_host = rc == 0;
    if (!has(packet, *at, 10))
        return ERR_SYNTAX;
    ret_raw->type = word(packet, *at);
    ret_raw->class = word(packet, *at + 2);
    ret_raw->rdata_len = word(packet, *at + 8);
    ret_raw->rdata = *at + 10;
    *at += 10;
    if (!has(packet, *at, ret_raw->rdata_len))
        return ERR_SYNTAX;
    *at += ret_raw->rdata_len;
    return 0;
}

static bool is_of(const struct raw *raw, const struct dns_name *owner, enum dns_type type)
{
    return raw->is_host && raw->type == type && raw->class == CLASS_IN && is_same(&raw->owner, owner);
}

/* A name that ends exactly where its rdata does. */
static int read_last_name(struct slice packet, const struct raw *raw, size_t at, struct dns_name *ret_name)
{
    int rc = read_name(packet, &at, ret_name);

    return (rc == 0 || rc == ERR_UNSUPPORTED) && at != raw->rdata + raw->rdata_len ? ERR_SYNTAX : rc;
}

static int read_address(struct slice packet, const struct raw *raw, struct dns_record *r)
{
    size_t bytes = raw->type == DNS_TYPE_A ? 4 : 16;

    if (raw->rdata_len != bytes)
        return ERR_SYNTAX;
    r->addr = (struct addr){.family = raw->type == DNS_TYPE_A ? ADDR_IPV4 : ADDR_IPV6};
    memcpy(r->addr.ip, packet.ptr + raw->rdata, bytes);
    return 0;
}

static int read_srv(struct slice packet, const struct raw *raw, struct dns_record *r)
{
    if (raw->rdata_len <= SRV_FIXED_BYTES)
        return ERR_SYNTAX;
    r->priority = word(packet, raw->rdata);
    r->weight = word(packet, raw->rdata + 2);
    r->port = word(packet, raw->rdata + 4);
    return read_last_name(packet, raw, raw->rdata + SRV_FIXED_BYTES, &r->name);
}

static int read_string(struct slice packet, const struct raw *raw, size_t *at, struct slice *ret_string)
{
    size_t end = raw->rdata + raw->rdata_len;
    size_t len;

    if (*at >= end)
        return ERR_SYNTAX;
    len = octet(packet, *at);
    if (len > end - *at - 1)
        return ERR_SYNTAX;
    *ret_string = slice_make(packet.ptr + *at + 1, len);
    *at += 1 + len;
    return 0;
}

static int read_naptr(struct slice packet, const struct raw *raw, struct dns_record *r)
{
    size_t at = raw->rdata + 4;
    int rc;

    if (raw->rdata_len < 4)
        return ERR_SYNTAX;
    r->order = word(packet, raw->rdata);
    r->preference = word(packet, raw->rdata + 2);
    rc = read_string(packet, raw, &at, &r->flags);
    if (rc == 0)
        rc = read_string(packet, raw, &at, &r->services);
    if (rc == 0)
        rc = read_string(packet, raw, &at, &r->regexp);
    return rc == 0 ? read_last_name(packet, raw, at, &r->name) : rc;
}

static int read_record(struct slice packet, const struct raw *raw, struct dns_record *ret_record)
{
    ret_record->type = (enum dns_type)raw->type;
    switch (ret_record->type) {
    case DNS_TYPE_A:
    case DNS_TYPE_AAAA:
        return read_address(packet, raw, ret_record);
    case DNS_TYPE_SRV:
        return read_srv(packet, raw, ret_record);
    case DNS_TYPE_NAPTR:
        return read_naptr(packet, raw, ret_record);
    case DNS_TYPE_CNAME:
        return read_last_name(packet, raw, raw->rdata, &ret_record->name);
    }
    return ERR_UNSUPPORTED;
}

/* ---- answers ---- */

/* The next record of owner and type, from *reader on. */
static int next_of(struct dns_reader *reader, enum dns_type type, struct dns_record *ret_record)
{
    while (reader->n_left > 0) {
        struct raw raw;
        int rc = read_raw(reader->packet, &reader->at, &raw);

        reader->n_left--;
        if (rc == 0 && !is_of(&raw, &reader->owner, type))
            continue;
        if (rc == 0)
            rc = read_record(reader->packet, &raw, ret_record);
        if (rc == ERR_UNSUPPORTED)
            continue;
        if (rc < 0)
            reader->n_left = 0;
        return rc;
    }
    return ERR_NOTFOUND;
}

/* RFC 1034 section 3.6.2: a name that has an alias has nothing else. */
static int follow_aliases(struct dns_reader *reader)
{
    for (unsigned n = 0; n <= DNS_CHAIN_MAX; n++) {
        struct dns_reader look = *reader;
        struct dns_record alias;
        int rc = next_of(&look, DNS_TYPE_CNAME, &alias);

        if (rc == ERR_NOTFOUND)
            return 0;
        if (rc < 0)
            return rc;
        reader->owner = alias.name;
    }
    return ERR_LIMIT;
}

int dns_reader_init(struct dns_reader *reader, struct slice packet, enum dns_type type)
{
    struct dns_reader r = {.packet = packet, .at = HEADER_BYTES, .type = type};
    int rc;

    if (packet.len < HEADER_BYTES || (octet(packet, 2) & 0x80) == 0 || word(packet, 4) != 1)
        return ERR_SYNTAX;
    r.n_left = word(packet, 6);
    if (r.n_left > DNS_RECORDS_MAX)
        return ERR_LIMIT;
    rc = read_name(packet, &r.at, &r.owner);
    if (rc < 0 || !has(packet, r.at, 4))
        return ERR_SYNTAX;
    r.at += 4;
    rc = follow_aliases(&r);
    if (rc == 0)
        *reader = r;
    return rc;
}

int dns_reader_next(struct dns_reader *reader, struct dns_record *ret_record)
{
    return next_of(reader, reader->type, ret_record);
}
