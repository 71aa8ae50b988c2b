/* The one door to the heap. It counts what is held, so a test can ask for bytes=0 at the end, and it can be
 * told to fail the n-th allocation, so a test can walk every out-of-memory path. Counting is per thread and
 * sums up. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include "base/err.h"
#include <stddef.h>
#include <stdint.h>

/* NULL when there is no memory. mem_zalloc gives zeroed memory. mem_free(NULL) does nothing. */
MUST_USE void *mem_alloc(size_t bytes);
MUST_USE void *mem_zalloc(size_t bytes);
/* NULL leaves the old block as it was. count * size is overflow-checked. */
MUST_USE void *mem_realloc_array(void *ptr, size_t count, size_t size);
void mem_free(void *ptr);

/* Bytes now held by all threads through mem_*, as usable size. */
int64_t mem_held_bytes(void);
/* Test only: let the next `successes` allocations of this thread succeed and fail every one after;
 * a negative number turns it off. */
void mem_fail_after(int64_t successes);

#endif
