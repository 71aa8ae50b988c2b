/* A writer into a block of memory of fixed size. Writers are sticky: after the first thing that does not fit,
 * nothing more is written and buf_failed() says so; check once, at the end. buf never allocates. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/slice.h"
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

struct buf {
    char *ptr;
    size_t len, cap;
    bool failed;
};

static inline void buf_init(struct buf *b, void *memory, size_t cap)
{
    *b = (struct buf){.ptr = memory, .cap = cap};
}

static inline bool buf_failed(const struct buf *b)
{
    return b->failed;
}

/* What has been written so far. */
static inline struct slice buf_slice(const struct buf *b)
{
    return slice_make(b->ptr, b->len);
}

static inline void buf_put(struct buf *b, struct slice s)
{
    if (b->failed || s.len > b->cap - b->len) {
        b->failed = true;
        return;
    }
    if (s.len > 0) {
        memcpy(b->ptr + b->len, s.ptr, s.len);
        b->len += s.len;
    }
}

static inline void buf_putc(struct buf *b, char c)
{
    buf_put(b, slice_make(&c, 1));
}

#define buf_lit(b, literal) buf_put((b), SLICE(literal))
void buf_cstr(struct buf *b, const char *cstr);
void buf_u64(struct buf *b, uint64_t value);
void buf_hex64(struct buf *b, uint64_t value); /* 16 digits */
/* Needs one octet of room beyond what it writes, for the NUL that printf leaves behind. */
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
