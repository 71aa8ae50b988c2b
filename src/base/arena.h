/* An arena hands out memory that is given back all at once. Chunks come from an arena_pool (one per worker),
 * are recycled there, and count against its budget; so a burst of requests cannot eat the machine, and steady
 * traffic never calls malloc.
 *
 * The pool takes its memory in slabs, each as large as all it has, up to 64 KB and to a 64th of the
 * budget. A slab is cut into chunks of one size; once all of them are free again it may be cut for any
 * other, so requests of ever other lengths share what one held. What the pool holds is bounded as well:
 * at most twice the budget and one smallest slab per size (ARENA_HELD_BASE_BYTES). It gets there only
 * while a few chunks of each of many slabs stay in use; then a larger chunk does if one is free, else
 * arena_alloc fails. Free slabs are kept for what comes next. They go back to the heap when a large block
 * would not fit into the budget beside them.
 *
 * Life: arena_init or arena_init_sized, any number of arena_alloc, arena_done (or
 * arena_reset to use it again, keeping nothing). */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/err.h"
#include "base/slice.h"
#include <stddef.h>
#include <stdint.h>

#define ARENA_ALIGN_BYTES 16 /* of each piece */
#define ARENA_CHUNK_BYTES 4096
#define ARENA_STEP_BYTES  64 /* chunks are multiples of this, up to ARENA_CHUNK_BYTES */

#define ARENA_SIZES (ARENA_CHUNK_BYTES / ARENA_STEP_BYTES)

/* held_bytes of a pool is at most twice budget_bytes and this. */
#define ARENA_HELD_BASE_BYTES ((size_t)ARENA_SIZES * ARENA_CHUNK_BYTES)

struct arena_chunk;
struct arena_slab;

struct arena_pool {
    /* Of which some chunks are in use and some are free; by their size, large blocks last. */
    struct arena_slab *open_slabs[ARENA_SIZES + 1];
    struct arena_slab *free_slabs; /* no chunk in use, for any size */
    size_t held_bytes;             /* in slabs and in large blocks */
    size_t used_bytes;             /* in arenas, never more than budget_bytes */
    size_t budget_bytes;           /* arena_alloc fails when used_bytes would pass this */
};

struct arena {
    struct arena_pool *pool;
    struct arena_chunk *chunks; /* newest first */
    char *next, *end;
    uint16_t chunk_bytes; /* of the next chunk, unless more is asked for */
};

void arena_pool_init(struct arena_pool *pool, size_t budget_bytes);
/* Frees the slabs. Asserts that no arena still holds one. */
void arena_pool_done(struct arena_pool *pool);

void arena_init(struct arena *arena, struct arena_pool *pool);
/* For one of which there are many, that live long: its first chunk is made for so many octets, and
 * what goes beyond is taken in small steps. */
void arena_init_sized(struct arena *arena, struct arena_pool *pool, size_t expected_bytes);
void arena_reset(struct arena *arena);
void arena_done(struct arena *arena);

/* Aligned to 16, not zeroed; NULL when the budget or the machine has no more. Larger than a chunk is fine. */
MUST_USE void *arena_alloc(struct arena *arena, size_t bytes);
MUST_USE void *arena_zalloc(struct arena *arena, size_t bytes);
/* A copy of s, not NUL-terminated. ret->ptr is NULL on failure and only then. */
MUST_USE struct slice arena_dup(struct arena *arena, struct slice s);
/* A NUL-terminated copy, or NULL. */
MUST_USE char *arena_cstr(struct arena *arena, struct slice s);

#endif
