#include "text.h"

#define ROUTES_MAX 8

static const char *find(struct slice where, struct slice what)
{
    return memmem(where.ptr, where.len, what.ptr, what.len);
}

static struct slice rest(struct slice message, const char *from)
{
    return slice_make(from, (size_t)(message.ptr + message.len - from));
}

/* From `at`, the start of a line, to the end of the line. */
static struct slice line_at(struct slice message, const char *at)
{
    struct slice tail = rest(message, at);
    const char *end = find(tail, SLICE("\r\n"));
    return end == NULL ? tail : slice_make(at, (size_t)(end - at));
}

/* The next line that begins with name, or an absent slice; *at moves behind it. */
static struct slice next_line(struct slice message, const char **at, struct slice name)
{
    char pattern[64] = "\r\n";
    memcpy(pattern + 2, name.ptr, name.len);
    const char *hit = find(rest(message, *at), slice_make(pattern, name.len + 2));
    if (hit == NULL)
        return SLICE_NULL;
    struct slice line = line_at(message, hit + 2);
    *at = line.ptr + line.len;
    return line;
}

struct slice text_header(struct slice message, struct slice name)
{
    const char *at = message.ptr;
    struct slice line = next_line(message, &at, name);
    return slice_is_null(line) ? line : slice_trim(slice_sub(line, name.len, line.len));
}

unsigned text_status(struct slice message)
{
    if (message.len < 12 || memcmp(message.ptr, "SIP/2.0 ", 8) != 0)
        return 0;
    const char *d = message.ptr + 8;
    return (unsigned)(d[0] - '0') * 100 + (unsigned)(d[1] - '0') * 10 + (unsigned)(d[2] - '0');
}

struct slice text_method(struct slice message)
{
    return slice_sub(message, 0, slice_find(message, ' '));
}

struct slice text_cseq_method(struct slice message)
{
    struct slice value = text_header(message, SLICE("CSeq:"));
    return slice_sub(value, slice_rfind(value, ' ') + 1, value.len);
}

void text_copy_headers(struct slice message, struct slice name, struct buf *out)
{
    const char *at = message.ptr;
    for (;;) {
        struct slice line = next_line(message, &at, name);
        if (slice_is_null(line))
            return;
        buf_put(out, line);
        buf_lit(out, "\r\n");
    }
}

/* Values of one header are parted by commas that stand outside of <>. */
static size_t collect_values(struct slice line, struct slice *values, size_t n, size_t max)
{
    while (n < max) {
        size_t open = slice_find(line, '<');
        size_t close = slice_find(line, '>');
        if (open >= line.len || close >= line.len)
            return n;
        values[n++] = slice_sub(line, open, close + 1);
        line = slice_sub(line, close + 1, line.len);
    }
    return n;
}

void text_routes_reversed(struct slice message, struct buf *out)
{
    struct slice values[ROUTES_MAX];
    size_t n = 0;
    const char *at = message.ptr;
    for (;;) {
        struct slice line = next_line(message, &at, SLICE("Record-Route:"));
        if (slice_is_null(line))
            break;
        n = collect_values(line, values, n, ROUTES_MAX);
    }
    while (n > 0) {
        buf_lit(out, "Route: ");
        buf_put(out, values[--n]);
        buf_lit(out, "\r\n");
    }
}

struct slice text_uri(struct slice value)
{
    size_t open = slice_find(value, '<');
    return open >= value.len ? value : slice_sub(value, open + 1, slice_find(value, '>'));
}
