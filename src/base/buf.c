#include "base/buf.h"
#include "base/num.h"
#include <stdio.h>

#define U64_DIGITS 20

void buf_cstr(struct buf *b, const char *cstr)
{
    buf_put(b, slice_from_cstr(cstr));
}

void buf_u64(struct buf *b, uint64_t value)
{
    char digits[U64_DIGITS];

    if (!b->failed && b->cap - b->len >= sizeof(digits))
        b->len += num_format_u64(value, b->ptr + b->len);
    else
        buf_put(b, slice_make(digits, num_format_u64(value, digits)));
}

void buf_hex64(struct buf *b, uint64_t value)
{
    char digits[16];

    num_format_hex64(value, digits);
    buf_put(b, slice_make(digits, sizeof(digits)));
}

void buf_printf(struct buf *b, const char *format, ...)
{
    size_t room = b->cap - b->len;
    va_list args;
    int len;

    if (b->failed)
        return;
    va_start(args, format);
    len = vsnprintf(room > 0 ? b->ptr + b->len : NULL, room, format, args);
    va_end(args);
    if (len < 0 || ((size_t)len >= room && len > 0))
        b->failed = true;
    else
        b->len += (size_t)len;
}
