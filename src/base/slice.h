/* A slice is a read-only run of octets that somebody else owns. It carries its length, may hold NUL, and is
 * never NUL-terminated. Every piece of a parsed message is a slice into that message; a slice is valid as
 * long as the memory behind it. An absent slice has ptr == NULL; an empty one has len == 0 and ptr != NULL. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct slice {
    const char *ptr;
    size_t len;
};

#define SLICE_NULL ((struct slice){NULL, 0})
/* A slice of a string literal. */
#define SLICE(literal) ((struct slice){"" literal, sizeof(literal) - 1})
/* For printf("%.*s", SLICE_ARG(s)). */
#define SLICE_ARG(s) (int)(s).len, (s).ptr

static inline struct slice slice_make(const char *ptr, size_t len)
{
    return (struct slice){ptr, len};
}

static inline struct slice slice_from_cstr(const char *cstr)
{
    return (struct slice){cstr, cstr ? strlen(cstr) : 0};
}

static inline bool slice_is_null(struct slice s)
{
    return s.ptr == NULL;
}

/* Octet for octet. Two absent slices are equal; an absent one equals an empty one. */
static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* For slice_eq_nocase, of one length. */
bool slice_octets_eq_nocase(const char *a, const char *b, size_t len);

/* ASCII case folded; octets above 127 compare as they are. */
static inline bool slice_eq_nocase(struct slice a, struct slice b)
{
    if (a.len != b.len)
        return false;
    /* A word of the grammar nearly always comes as it is written there, and to
     * look for that costs two instructions. */
    if (__builtin_constant_p(b.len) && b.len > 0 && memcmp(a.ptr, b.ptr, b.len) == 0)
        return true;
    return slice_octets_eq_nocase(a.ptr, b.ptr, a.len);
}

/* memcmp order, a shorter prefix first: <0, 0, >0. */
int slice_cmp(struct slice a, struct slice b);
bool slice_starts_with(struct slice s, struct slice prefix);
bool slice_starts_with_nocase(struct slice s, struct slice prefix);
/* Index of the first c, or s.len when there is none. */
size_t slice_find(struct slice s, char c);
/* Index of the last c, or s.len when there is none. */
size_t slice_rfind(struct slice s, char c);

/* From index `from` to `to` (exclusive), both clamped to the length. */
static inline struct slice slice_sub(struct slice s, size_t from, size_t to)
{
    if (to > s.len)
        to = s.len;
    if (from > to)
        from = to;
    return from > 0 ? slice_make(s.ptr + from, to - from) : slice_make(s.ptr, to);
}

static inline bool slice_is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Without leading and trailing SP, HTAB, CR and LF. */
static inline struct slice slice_trim(struct slice s)
{
    while (s.len > 0 && slice_is_blank(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && slice_is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

#endif
