#include "sip/peek.h"
#include "base/buf.h"
#include "base/num.h"
#include "sip/scan.h"

static bool is_lws(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The octets after the name, or its compact form, and its colon, if that is what the line at s begins with. */
static bool match_name(struct slice s, struct slice name, char compact, size_t *ret_value_at)
{
    size_t at;
    if (s.len == 0)
        return false;
    char first = (char)(s.ptr[0] | 0x20);
    if (first == (name.ptr[0] | 0x20) && slice_starts_with_nocase(s, name))
        at = name.len;
    else if (first == compact)
        at = 1;
    else
        return false;
    while (at < s.len && (s.ptr[at] == ' ' || s.ptr[at] == '\t'))
        at++;
    if (at == s.len || s.ptr[at] != ':')
        return false;
    *ret_value_at = at + 1;
    return true;
}

/* From the value of the first such header field to the end of the message. */
static struct slice find_value(struct slice bytes, struct slice name, char compact)
{
    size_t at = 0;
    bytes = sip_scan_skip_empty_lines(bytes);
    while (at < bytes.len) {
        const char *newline = memchr(bytes.ptr + at, '\n', bytes.len - at);
        if (newline == NULL)
            break;
        at = (size_t)(newline - bytes.ptr) + 1;
        struct slice line = slice_sub(bytes, at, bytes.len);
        if (line.len > 0 && line.ptr[0] == '\r')
            break; /* the empty line: what follows is body */
        size_t from;
        if (!match_name(line, name, compact, &from))
            continue;
        while (from < line.len && is_lws(line.ptr[from]))
            from++;
        return slice_sub(line, from, line.len);
    }
    return SLICE_NULL;
}

static size_t find_lws(struct slice s)
{
    struct sip_scan scan = sip_scan_of(s);
    const char *p = sip_find_blank(scan.p, scan.end);
    while (p < scan.end && !is_lws(*p))
        p = sip_find_blank(p + 1, scan.end);
    return (size_t)(p - scan.p);
}

struct slice sip_peek_call_id(struct slice bytes)
{
    struct slice value = find_value(bytes, SLICE("Call-ID"), 'i');
    return slice_sub(value, 0, find_lws(value));
}

/* CSeq = 1*DIGIT LWS Method */
static bool is_of_register(struct slice bytes)
{
    bytes = sip_scan_skip_empty_lines(bytes);
    if (!slice_starts_with_nocase(bytes, SLICE("SIP/")))
        return slice_starts_with(bytes, SLICE("REGISTER "));
    struct slice value = find_value(bytes, SLICE("CSeq"), 0);
    size_t at = find_lws(value);
    while (at < value.len && is_lws(value.ptr[at]))
        at++;
    struct slice method = slice_sub(value, at, value.len);
    return slice_eq(slice_sub(method, 0, find_lws(method)), SLICE("REGISTER"));
}

/* To the end of the header field, which goes on in lines that begin with white space (section 7.3.1). */
static struct slice unfold(struct slice value)
{
    size_t end = slice_find(value, '\n');
    while (end + 1 < value.len && (value.ptr[end + 1] == ' ' || value.ptr[end + 1] == '\t'))
        end += 1 + slice_find(slice_sub(value, end + 1, value.len), '\n');
    return slice_sub(value, 0, end);
}

/* A display name in quotes may hold anything, angle brackets too. */
static struct slice skip_quoted(struct slice value)
{
    size_t at = 1;
    if (value.len == 0 || value.ptr[0] != '"')
        return value;
    while (at < value.len && value.ptr[at] != '"')
        at += value.ptr[at] == '\\' ? 2 : 1;
    return slice_sub(value, at + 1, value.len);
}

/* What stands before "@", or before the password; absent: there is no user. */
static struct slice find_user(struct slice to)
{
    struct slice rest = skip_quoted(to);
    size_t bracket = slice_find(rest, '<');
    struct slice uri = bracket < rest.len ? slice_sub(rest, bracket + 1, rest.len) : rest;
    uri = slice_sub(uri, slice_find(uri, ':') + 1, uri.len);
    uri = slice_sub(uri, 0, slice_find(uri, '>'));
    size_t at = slice_find(uri, '@');
    if (at == uri.len)
        return SLICE_NULL;
    struct slice userinfo = slice_sub(uri, 0, at);
    return slice_sub(userinfo, 0, slice_find(userinfo, ':'));
}

struct slice sip_peek_subject(struct slice bytes, char memory[SIP_PEEK_SUBJECT_BYTES])
{
    struct buf out;
    if (!is_of_register(bytes))
        return sip_peek_call_id(bytes);
    struct slice user = find_user(unfold(find_value(bytes, SLICE("To"), 't')));
    if (slice_is_null(user))
        return sip_peek_call_id(bytes);
    buf_init(&out, memory, SIP_PEEK_SUBJECT_BYTES);
    for (size_t i = 0; i < user.len && out.len < SIP_PEEK_SUBJECT_BYTES; i++) {
        uint64_t octet;
        bool is_escape = user.ptr[i] == '%' && num_parse_hex64(slice_sub(user, i + 1, i + 3), &octet) == 0 &&
                         i + 2 < user.len;
        buf_putc(&out, is_escape ? (char)octet : user.ptr[i]);
        i += is_escape ? 2 : 0;
    }
    return buf_slice(&out);
}

struct slice sip_peek_top_via(struct slice bytes)
{
    struct slice value = find_value(bytes, SLICE("Via"), 'v');
    value = slice_sub(value, 0, slice_find(value, '\n'));
    return slice_trim(slice_sub(value, 0, slice_find(value, ',')));
}
