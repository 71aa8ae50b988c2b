/* Memory of the test program itself. It is apart from src/base/mem.h on purpose: what the proxy holds can
 * then be told exactly, and the failing of its allocations does not hit the test. A heap is given back all at
 * once; running out of memory ends the program. */
#ifndef SCENARIO_HEAP_H
#define SCENARIO_HEAP_H

#include "base/slice.h"
#include <stdarg.h>

struct heap_block;

struct heap {
    struct heap_block *blocks;
};

void heap_init(struct heap *heap);
void heap_done(struct heap *heap);
/* Zeroed. */
void *heap_alloc(struct heap *heap, size_t bytes);
/* A copy with a NUL behind it that does not count. */
struct slice heap_dup(struct heap *heap, struct slice s);
char *heap_cstr(struct heap *heap, struct slice s);
struct slice heap_printf(struct heap *heap, const char *format, ...) __attribute__((format(printf, 2, 3)));
struct slice heap_vprintf(struct heap *heap, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

/* Text that grows. */
struct text {
    struct heap *heap;
    char *ptr;
    size_t len, cap;
};

void text_init(struct text *t, struct heap *heap);
void text_put(struct text *t, struct slice s);
void text_cstr(struct text *t, const char *s);
void text_printf(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
struct slice text_slice(const struct text *t);

/* An array that grows: *array has room for one more element after the call. */
void *heap_grow(struct heap *heap, void *array, size_t count, size_t element_bytes);

#endif
