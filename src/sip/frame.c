#include "sip/frame.h"
#include "base/num.h"
#include "sip/field.h"

static enum sip_frame_result bad(struct sip_framer *f, struct slice bytes, unsigned status,
                                 const char *phrase, enum sip_hdr_id hdr, size_t offset)
{
    /* To a response there is no answer. */
    if (slice_starts_with_nocase(bytes, SLICE("SIP/")))
        status = 0;
    f->error = (struct sip_error){status, phrase, hdr, (uint32_t)offset};
    return SIP_FRAME_BAD;
}

static bool crlf_at(struct slice bytes, size_t offset)
{
    return bytes.len - offset >= 2 && bytes.ptr[offset] == '\r' && bytes.ptr[offset + 1] == '\n';
}

/* Section 7.5: "MUST ignore any CRLF appearing before the start-line". */
static enum sip_frame_result keepalive(struct sip_framer *f, struct slice bytes)
{
    bool is_double = !f->half_ping && crlf_at(bytes, 2);
    f->is_ping = is_double || f->half_ping;
    f->half_ping = !f->is_ping;
    f->message_len = is_double ? 4 : 2;
    return SIP_FRAME_KEEPALIVE;
}

/* The empty line: CRLF right after a CRLF. lf is the offset of an LF. */
static bool ends_headers(struct slice bytes, size_t lf)
{
    return lf >= 3 && bytes.ptr[lf - 3] == '\r' && bytes.ptr[lf - 2] == '\n' && bytes.ptr[lf - 1] == '\r';
}

/* Looks at what has come since the last time. MESSAGE stands for "found". */
static enum sip_frame_result find_empty_line(struct sip_framer *f, struct slice bytes,
                                             const struct sip_limits *limits)
{
    size_t end = bytes.len < limits->message_bytes ? bytes.len : limits->message_bytes;
    size_t at = f->scanned;
    const char *lf;
    while (at < end && (lf = memchr(bytes.ptr + at, '\n', end - at)) != NULL) {
        size_t offset = (size_t)(lf - bytes.ptr);
        if (offset == 0 || lf[-1] != '\r')
            return bad(f, bytes, 400, "Bare LF", SIP_HDR_OTHER, offset);
        at = offset + 1;
        if (ends_headers(bytes, offset)) {
            f->header_len = (uint32_t)at;
            return SIP_FRAME_MESSAGE;
        }
    }
    f->scanned = (uint32_t)end;
    if (end == limits->message_bytes)
        return bad(f, bytes, 513, "Message Too Large", SIP_HDR_OTHER, end);
    return SIP_FRAME_MORE;
}

/* Content-Length = ( "Content-Length" / "l" ) HCOLON 1*DIGIT
 * Two of the same length leave no doubt where the message ends; that there are two is for sip_msg_parse to
 * refuse. */
static enum sip_frame_result find_length(struct sip_framer *f, struct slice bytes, uint64_t *ret_length)
{
    const char *p = bytes.ptr, *end = bytes.ptr + f->header_len - 2;
    bool found = false;
    struct sip_field field = sip_field_cut(p, end, false); /* the start line */
    for (p += field.line.len; p < end; p += field.line.len) {
        uint64_t length;
        field = sip_field_cut(p, end, true);
        struct sip_field_parts parts = sip_field_split(field.line, end);
        if (parts.id != SIP_HDR_CONTENT_LENGTH)
            continue;
        size_t offset = (size_t)(p - bytes.ptr);
        if (num_parse_u64(parts.value, UINT32_MAX, &length) < 0)
            return bad(f, bytes, 400, "Bad Content-Length", SIP_HDR_CONTENT_LENGTH, offset);
        if (found && length != *ret_length)
            return bad(f, bytes, 400, "Duplicate Content-Length", SIP_HDR_CONTENT_LENGTH, offset);
        *ret_length = length;
        found = true;
    }
    if (!found)
        return bad(f, bytes, 400, "Missing Content-Length", SIP_HDR_CONTENT_LENGTH, f->header_len);
    return SIP_FRAME_MESSAGE;
}

static enum sip_frame_result find_end(struct sip_framer *f, struct slice bytes,
                                      const struct sip_limits *limits)
{
    uint64_t length = 0;
    enum sip_frame_result result = find_empty_line(f, bytes, limits);
    if (result == SIP_FRAME_MESSAGE)
        result = find_length(f, bytes, &length);
    if (result != SIP_FRAME_MESSAGE)
        return result;
    if (f->header_len + length > limits->message_bytes)
        return bad(f, bytes, 513, "Message Too Large", SIP_HDR_CONTENT_LENGTH, f->header_len);
    f->message_len = (uint32_t)(f->header_len + length);
    f->scanned = f->header_len;
    return SIP_FRAME_MESSAGE;
}

enum sip_frame_result sip_frame_next(struct sip_framer *framer, struct slice bytes,
                                     const struct sip_limits *limits)
{
    if (framer->scanned == 0) {
        framer->header_len = 0;
        framer->message_len = 0;
        framer->is_ping = false;
        if (bytes.len == 0 || (bytes.len == 1 && bytes.ptr[0] == '\r'))
            return SIP_FRAME_MORE;
        if (crlf_at(bytes, 0))
            return keepalive(framer, bytes);
        framer->half_ping = false;
    }
    if (framer->header_len == 0) {
        enum sip_frame_result result = find_end(framer, bytes, limits);
        if (result != SIP_FRAME_MESSAGE)
            return result;
    }
    if (bytes.len < framer->message_len)
        return SIP_FRAME_MORE;
    framer->scanned = 0;
    return SIP_FRAME_MESSAGE;
}
