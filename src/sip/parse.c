/* The index pass: start line, header array, Content-Length. It goes on after an error, so that what can be
 * read is there for the answer, and reports the first one. */
#include "base/num.h"
#include "sip/field.h"
#include "sip/msg.h"
#include "sip/msg_private.h"
#include "sip/scan.h"

#define FIRST_HEADERS    24         /* room in the first array; a larger message grows it */
#define HEADER_BYTES_MAX UINT16_MAX /* whatever the limits say: sip_hdr and sip_values count in 16 bits */

const struct sip_limits sip_limits_default = {
    .message_bytes = 65535,
    .start_line_bytes = 8192,
    .header_bytes = 16384,
    .headers = 256,
    .values = 128,
};

struct indexer {
    struct sip_msg *msg;
    const struct sip_limits *limits;
    struct arena *arena;
    const char *end; /* of the octets that may hold headers */
    int rc;
    struct sip_error error;
    unsigned capacity;
    uint32_t max_headers, header_bytes; /* the most there may be, and that one may have */
    bool has_long_list;                 /* one that may have too many elements */
    /* Of an id that has a first: */
    uint16_t last[SIP_HDR_COUNT];
    uint32_t list_bytes[SIP_HDR_COUNT];
};

static void fail(struct indexer *ix, int rc, unsigned status, const char *phrase, enum sip_hdr_id hdr,
                 const char *at)
{
    if (ix->rc < 0)
        return;
    ix->rc = rc;
    ix->error = (struct sip_error){status, phrase, hdr, (uint32_t)(at - ix->msg->bytes)};
}

static const char *const fault_phrases[] = {
    [SIP_FIELD_GOOD] = NULL,
    [SIP_FIELD_BARE_CR] = "Bare CR",
    [SIP_FIELD_BARE_LF] = "Bare LF",
    [SIP_FIELD_NUL] = "NUL in Header",
    [SIP_FIELD_UNTERMINATED] = "Missing Empty Line",
};

/* SIP-Version = "SIP" "/" 1*DIGIT "." 1*DIGIT
 * Section 7.1: "The SIP-Version string is case-insensitive". 0, ERR_UNSUPPORTED for one that is not 2.0, or
 * ERR_SYNTAX. */
static int check_version(struct slice version)
{
    if (slice_eq(version, SLICE("SIP/2.0")) || slice_eq_nocase(version, SLICE("SIP/2.0")))
        return 0;
    if (!slice_starts_with_nocase(version, SLICE("SIP/")))
        return ERR_SYNTAX;
    struct sip_scan s = {version.ptr + 4, version.ptr + version.len};
    if (sip_scan_run(&s, SIP_CHAR_DIGIT).len == 0 || !sip_scan_take(&s, '.') ||
        sip_scan_run(&s, SIP_CHAR_DIGIT).len == 0 || !sip_scan_at_end(&s))
        return ERR_SYNTAX;
    return ERR_UNSUPPORTED;
}

/* Request-Line = Method SP Request-URI SP SIP-Version CRLF
 * Section 7.1: "No LWS is allowed in any of the elements." What a URI of our schemes must look like is for
 * sip_msg_ruri(). */
static int parse_request_line(struct sip_msg *msg, struct slice line)
{
    struct sip_scan s = sip_scan_of(line);
    msg->is_request = true;
    msg->method_name = sip_scan_token(&s);
    msg->method = sip_method_from_name(msg->method_name);
    if (msg->method_name.len == 0 || !sip_scan_take(&s, ' '))
        return ERR_SYNTAX;
    msg->ruri = sip_scan_uri_run(&s);
    if (msg->ruri.len == 0 || !sip_scan_take(&s, ' '))
        return ERR_SYNTAX;
    msg->version = sip_scan_rest(&s);
    return check_version(msg->version);
}

/* Status-Line = SIP-Version SP Status-Code SP Reason-Phrase CRLF
 * The space after the code may be missing with an empty phrase (RFC 4475 section 3.1.1.13). */
static int parse_status_line(struct sip_msg *msg, struct slice line)
{
    bool is_usual = line.len > 8 && memcmp(line.ptr, "SIP/2.0 ", 8) == 0;
    size_t version_len = is_usual ? 7 : slice_find(line, ' ');
    struct sip_scan s = sip_scan_of(slice_sub(line, version_len, line.len));
    msg->version = slice_sub(line, 0, version_len);
    int rc = check_version(msg->version);
    if (rc < 0 || !sip_scan_take(&s, ' '))
        return rc < 0 ? rc : ERR_SYNTAX;
    struct slice code = sip_scan_run(&s, SIP_CHAR_DIGIT);
    uint32_t status;
    if (code.len != 3 || num_parse_u32(code, 699, &status) < 0 || status < 100)
        return ERR_SYNTAX;
    if (!sip_scan_at_end(&s) && !sip_scan_take(&s, ' '))
        return ERR_SYNTAX;
    msg->status = (uint16_t)status;
    msg->reason = sip_scan_rest(&s);
    return 0;
}

static const char *index_start_line(struct indexer *ix)
{
    struct sip_msg *msg = ix->msg;
    struct sip_field field = sip_field_cut(msg->bytes, ix->end, false);
    struct slice text = slice_trim(field.line);
    /* Only the line end goes: white space at the end of the line is an error (RFC 4475 section 3.1.2.10). */
    if (field.fault == SIP_FIELD_GOOD)
        text = slice_make(msg->bytes, field.line.len - 2);
    bool is_response = text.len >= 4 && slice_eq_nocase(slice_make(text.ptr, 4), SLICE("SIP/"));
    int rc = is_response ? parse_status_line(msg, text) : parse_request_line(msg, text);
    if (field.line.len > ix->limits->start_line_bytes)
        fail(ix, ERR_LIMIT, 414, "Request-URI Too Long", SIP_HDR_OTHER, msg->bytes);
    else if (field.fault != SIP_FIELD_GOOD)
        fail(ix, ERR_SYNTAX, 400, fault_phrases[field.fault], SIP_HDR_OTHER, msg->bytes);
    else if (rc == ERR_UNSUPPORTED)
        fail(ix, rc, 505, "Version Not Supported", SIP_HDR_OTHER, msg->version.ptr);
    else if (rc < 0)
        fail(ix, rc, 400, is_response ? "Bad Status-Line" : "Bad Request-Line", SIP_HDR_OTHER, msg->bytes);
    return field.line.ptr + field.line.len;
}

/* False when the arena is full. */
static bool grow(struct indexer *ix)
{
    struct sip_msg *msg = ix->msg;
    unsigned capacity = ix->capacity > 0 ? ix->capacity * 2 : FIRST_HEADERS;
    struct sip_hdr *hdrs = arena_alloc(ix->arena, capacity * sizeof(*hdrs));
    if (!hdrs)
        return false;
    if (msg->n_hdrs > 0)
        memcpy(hdrs, msg->hdrs, msg->n_hdrs * sizeof(*hdrs));
    msg->hdrs = hdrs;
    ix->capacity = capacity;
    return true;
}

/* The last header, among those of its name. */
static void chain(struct indexer *ix, enum sip_hdr_id id, uint32_t value_len)
{
    struct sip_msg *msg = ix->msg;
    uint16_t index = msg->n_hdrs - 1;
    if (id == SIP_HDR_OTHER)
        return;
    unsigned flags = sip_hdr_flags(id);
    if (msg->first[id] == SIP_HDR_NONE) {
        msg->first[id] = index;
        ix->list_bytes[id] = 0;
    } else {
        msg->hdrs[ix->last[id]].next = index;
        if (flags & SIP_HDRF_SINGLE)
            msg->have |= SIP_HAVE_REPEATED;
    }
    ix->last[id] = index;
    if (!(flags & SIP_HDRF_LIST))
        return;
    /* Each element is at least one octet and a comma. */
    ix->list_bytes[id] += value_len;
    if (ix->list_bytes[id] / 2 + msg->n_hdrs > ix->limits->values)
        ix->has_long_list = true;
}

/* A field with a fault is reported and left out, so that no answer can repeat its octets. */
static int index_field(struct indexer *ix, struct sip_field field)
{
    if (field.fault != SIP_FIELD_GOOD) {
        fail(ix, ERR_SYNTAX, 400, fault_phrases[field.fault], SIP_HDR_OTHER, field.line.ptr);
        return 0;
    }
    struct sip_field_parts parts = sip_field_split(field.line, ix->end);
    if (parts.name_len == 0) {
        fail(ix, ERR_SYNTAX, 400, "Bad Header Line", SIP_HDR_OTHER, field.line.ptr);
        return 0;
    }
    if (field.line.len > ix->header_bytes) {
        fail(ix, ERR_LIMIT, 513, "Header Too Long", parts.id, field.line.ptr);
        return 0;
    }
    if (ix->msg->n_hdrs == ix->capacity && !grow(ix))
        return ERR_NOMEM;
    ix->msg->hdrs[ix->msg->n_hdrs++] = (struct sip_hdr){
        .id = (uint16_t)parts.id,
        .next = SIP_HDR_NONE,
        .name_len = (uint16_t)parts.name_len,
        .line_off = (uint32_t)(field.line.ptr - ix->msg->bytes),
        .line_len = (uint32_t)field.line.len,
        .value_off = (uint32_t)(parts.value.ptr - ix->msg->bytes),
        .value_len = (uint32_t)parts.value.len,
    };
    chain(ix, parts.id, (uint32_t)parts.value.len);
    return 0;
}

static bool at_line_end(const char *p, const char *end, size_t *ret_len)
{
    if (p < end && (uint8_t)*p > '\r')
        return false;
    if (end - p >= 2 && p[0] == '\r' && p[1] == '\n')
        *ret_len = 2;
    else if (end > p && p[0] == '\n')
        *ret_len = 1;
    else
        return false;
    return true;
}

/* *( message-header ) CRLF */
static int index_headers(struct indexer *ix, const char *p)
{
    struct sip_msg *msg = ix->msg;
    size_t empty_line_len = 0;
    msg->hdrs_off = (uint32_t)(p - msg->bytes);
    while (p < ix->end && !at_line_end(p, ix->end, &empty_line_len)) {
        if (msg->n_hdrs == ix->max_headers) {
            fail(ix, ERR_LIMIT, 513, "Too Many Headers", SIP_HDR_OTHER, p);
            break;
        }
        struct sip_field field = sip_field_cut(p, ix->end, true);
        int rc = index_field(ix, field);
        if (rc < 0)
            return rc;
        p = field.line.ptr + field.line.len;
    }
    msg->hdrs_end = (uint32_t)(p - msg->bytes);
    msg->body_off = msg->hdrs_end + (uint32_t)empty_line_len;
    if (empty_line_len == 1)
        fail(ix, ERR_SYNTAX, 400, fault_phrases[SIP_FIELD_BARE_LF], SIP_HDR_OTHER, p);
    else if (empty_line_len == 0)
        fail(ix, ERR_SYNTAX, 400, fault_phrases[SIP_FIELD_UNTERMINATED], SIP_HDR_OTHER, p);
    return 0;
}

/* Section 18.3. available: octets there are after the empty line. */
static void index_body(struct indexer *ix, uint32_t available, bool datagram)
{
    struct sip_msg *msg = ix->msg;
    uint16_t index = msg->first[SIP_HDR_CONTENT_LENGTH];
    msg->body_len = available;
    msg->has_content_length = index != SIP_HDR_NONE;
    if (!msg->has_content_length) {
        if (!datagram)
            fail(ix, ERR_SYNTAX, 400, "Missing Content-Length", SIP_HDR_CONTENT_LENGTH,
                 msg->bytes + msg->hdrs_end);
        return;
    }
    const struct sip_hdr *h = &msg->hdrs[index];
    struct slice value = sip_hdr_value(msg, h);
    uint32_t length;
    int rc = num_parse_u32(value, UINT32_MAX, &length);
    if (h->next != SIP_HDR_NONE)
        fail(ix, ERR_SYNTAX, 400, "Duplicate Content-Length", SIP_HDR_CONTENT_LENGTH, value.ptr);
    else if (rc < 0)
        fail(ix, ERR_SYNTAX, 400, "Bad Content-Length", SIP_HDR_CONTENT_LENGTH, value.ptr);
    else if (length > available)
        fail(ix, ERR_SYNTAX, 400, "Content-Length Beyond End", SIP_HDR_CONTENT_LENGTH, value.ptr);
    else
        msg->body_len = length;
}

static void check_values_limit(struct indexer *ix, enum sip_hdr_id id)
{
    struct sip_values it = sip_values_of(ix->msg, id);
    struct slice element;
    for (uint32_t n = 0; sip_values_next(&it, &element) == 0; n++) {
        if (n == ix->limits->values) {
            fail(ix, ERR_LIMIT, 513, sip_phrase_too_many(id), id, element.ptr);
            return;
        }
    }
}

/* How many elements a list could have at most: each is at least one octet and a comma. */
static uint32_t most_values(const struct sip_msg *msg, uint16_t first)
{
    uint32_t most = 0;
    for (uint16_t i = first; i != SIP_HDR_NONE; i = msg->hdrs[i].next)
        most += msg->hdrs[i].value_len / 2 + 1;
    return most;
}

/* Few messages have so much in one list that its elements must be counted. */
static void check_values_limits(struct indexer *ix)
{
    const struct sip_msg *msg = ix->msg;
    if (!ix->has_long_list)
        return;
    for (uint16_t i = 0; i < msg->n_hdrs; i++) {
        enum sip_hdr_id id = msg->hdrs[i].id;
        if ((sip_hdr_flags(id) & SIP_HDRF_LIST) && msg->first[id] == i &&
            most_values(msg, i) > ix->limits->values)
            check_values_limit(ix, id);
    }
}

/* What a typed header says is there only when `have` says so. */
static void begin(struct sip_msg *msg, struct slice bytes)
{
    memset(msg, 0, offsetof(struct sip_msg, first));
    memset(msg->first, 0xff, sizeof(msg->first));
    msg->bytes = bytes.ptr;
    msg->have = 0;
}

static void begin_index(struct indexer *ix, struct sip_msg *msg, struct slice head,
                        const struct sip_limits *limits, struct arena *arena)
{
    memset(ix, 0, offsetof(struct indexer, last));
    ix->msg = msg;
    ix->limits = limits;
    ix->arena = arena;
    ix->end = head.ptr + head.len;
    ix->max_headers = limits->headers < SIP_HEADERS_MAX ? limits->headers : SIP_HEADERS_MAX;
    ix->header_bytes = limits->header_bytes < HEADER_BYTES_MAX ? limits->header_bytes : HEADER_BYTES_MAX;
}

int sip_msg_parse(struct slice bytes, bool datagram, const struct sip_limits *limits, struct arena *arena,
                  struct sip_msg *ret_msg, struct sip_error *ret_error)
{
    bytes = sip_scan_skip_empty_lines(bytes);
    struct slice head = slice_sub(bytes, 0, limits->message_bytes);
    struct indexer ix;
    begin_index(&ix, ret_msg, head, limits, arena);
    begin(ret_msg, bytes);
    if (head.len == 0) {
        *ret_error = (struct sip_error){.phrase = "Empty Message"};
        return ERR_SYNTAX;
    }
    if (bytes.len > head.len)
        fail(&ix, ERR_LIMIT, 513, "Message Too Large", SIP_HDR_OTHER, ix.end);
    int rc = index_headers(&ix, index_start_line(&ix));
    if (rc < 0)
        return rc;
    index_body(&ix, (uint32_t)head.len - ret_msg->body_off, datagram);
    ret_msg->len = ret_msg->body_off + ret_msg->body_len;
    check_values_limits(&ix);
    if (!ret_msg->is_request)
        sip_msg_take_cseq_method(ret_msg);
    if (ix.rc < 0) {
        ix.error.status = sip_msg_answer_status(ret_msg, ix.error.status);
        *ret_error = ix.error;
    }
    return ix.rc;
}
