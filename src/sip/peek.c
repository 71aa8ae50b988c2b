#include "sip/peek.h"
#include "sip/scan.h"

static bool is_lws(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The octets after the name, or its compact form, and its colon, if that is what the line at s begins with. */
static bool match_name(struct slice s, struct slice name, char compact, size_t *ret_value_at)
{
    size_t at;
    if (slice_starts_with_nocase(s, name))
        at = name.len;
    else if (s.len > 0 && (s.ptr[0] | 0x20) == compact)
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
    size_t at = 0;
    while (at < s.len && !is_lws(s.ptr[at]))
        at++;
    return at;
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

struct slice sip_peek_subject(struct slice bytes)
{
    if (!is_of_register(bytes))
        return sip_peek_call_id(bytes);
    struct slice value = find_value(bytes, SLICE("To"), 't');
    struct slice line = slice_sub(value, 0, slice_find(value, '\n'));
    size_t bracket = slice_find(line, '<');
    struct slice uri = bracket < line.len ? slice_sub(line, bracket + 1, line.len) : line;
    size_t end = 0;
    while (end < uri.len && !is_lws(uri.ptr[end]) && uri.ptr[end] != '>' && uri.ptr[end] != ';')
        end++;
    return slice_sub(uri, 0, end);
}

struct slice sip_peek_top_via(struct slice bytes)
{
    struct slice value = find_value(bytes, SLICE("Via"), 'v');
    value = slice_sub(value, 0, slice_find(value, '\n'));
    return slice_trim(slice_sub(value, 0, slice_find(value, ',')));
}
