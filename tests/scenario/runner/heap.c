#include "heap.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define BLOCK_BYTES (64 * 1024)

struct heap_block {
    struct heap_block *next;
    size_t used, cap;
    _Alignas(16) char bytes[];
};

void heap_init(struct heap *heap)
{
    heap->blocks = NULL;
}

void heap_done(struct heap *heap)
{
    while (heap->blocks) {
        struct heap_block *b = heap->blocks;

        heap->blocks = b->next;
        free(b);
    }
}

void *heap_alloc(struct heap *heap, size_t bytes)
{
    struct heap_block *b = heap->blocks;
    size_t need = (bytes + 15) & ~(size_t)15;
    void *ptr;

    if (!b || b->cap - b->used < need) {
        size_t cap = need > BLOCK_BYTES ? need : BLOCK_BYTES;

        b = calloc(1, sizeof(*b) + cap);
        if (!b) {
            fputs("scenario: out of memory\n", stderr);
            abort();
        }
        b->cap = cap;
        b->next = heap->blocks;
        heap->blocks = b;
    }
    ptr = b->bytes + b->used;
    b->used += need;
    return ptr;
}

struct slice heap_dup(struct heap *heap, struct slice s)
{
    return slice_make(heap_cstr(heap, s), s.len);
}

char *heap_cstr(struct heap *heap, struct slice s)
{
    char *copy = heap_alloc(heap, s.len + 1);

    if (s.len > 0)
        memcpy(copy, s.ptr, s.len);
    return copy;
}

struct slice heap_vprintf(struct heap *heap, const char *format, va_list args)
{
    va_list again;
    int len;
    char *out;

    va_copy(again, args);
    len = vsnprintf(NULL, 0, format, args);
    out = heap_alloc(heap, (size_t)len + 1);
    vsnprintf(out, (size_t)len + 1, format, again);
    va_end(again);
    return slice_make(out, (size_t)len);
}

struct slice heap_printf(struct heap *heap, const char *format, ...)
{
    va_list args;
    struct slice s;

    va_start(args, format);
    s = heap_vprintf(heap, format, args);
    va_end(args);
    return s;
}

void text_init(struct text *t, struct heap *heap)
{
    *t = (struct text){.heap = heap};
}

void text_put(struct text *t, struct slice s)
{
    if (t->len + s.len + 1 > t->cap) {
        size_t cap = (t->len + s.len + 1) * 2;
        char *ptr = heap_alloc(t->heap, cap);

        if (t->len > 0)
            memcpy(ptr, t->ptr, t->len);
        t->ptr = ptr;
        t->cap = cap;
    }
    if (s.len > 0)
        memcpy(t->ptr + t->len, s.ptr, s.len);
    t->len += s.len;
    t->ptr[t->len] = '\0';
}

void text_cstr(struct text *t, const char *s)
{
    text_put(t, slice_from_cstr(s));
}

void text_printf(struct text *t, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    text_put(t, heap_vprintf(t->heap, format, args));
    va_end(args);
}

struct slice text_slice(const struct text *t)
{
    return slice_make(t->ptr ? t->ptr : "", t->len);
}

void *heap_grow(struct heap *heap, void *array, size_t count, size_t element_bytes)
{
    void *grown;

    /* Room is doubled whenever count reaches a power of two. */
    if (count > 0 && (count & (count - 1)) != 0)
        return array;
    grown = heap_alloc(heap, element_bytes * (count > 0 ? count * 2 : 1));
    if (count > 0)
        memcpy(grown, array, element_bytes * count);
    return grown;
}
