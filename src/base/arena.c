#include "base/arena.h"
#include "base/mem.h"
#include "base/poison.h"
#include <assert.h>
#include <stdint.h>

#define SLAB_MAX_BYTES (1024 * 1024)
#define LARGER_BYTES   512 /* than was asked for may be what lies about, before more is taken */

struct arena_chunk {
    struct arena_chunk *next;
    size_t bytes; /* with this header */
    _Alignas(ARENA_ALIGN_BYTES) char memory[];
};

struct arena_slab {
    struct arena_slab *next;
    _Alignas(ARENA_ALIGN_BYTES) char memory[];
};

void arena_pool_init(struct arena_pool *pool, size_t budget_bytes)
{
    *pool = (struct arena_pool){.budget_bytes = budget_bytes};
}

void arena_pool_done(struct arena_pool *pool)
{
    assert(pool->used_bytes == 0);
    while (pool->slabs) {
        struct arena_slab *slab = pool->slabs;

        pool->slabs = slab->next;
        mem_free(slab);
    }
    *pool = (struct arena_pool){.budget_bytes = pool->budget_bytes};
}

/* NULL for one that comes from the heap alone. */
static struct arena_chunk **free_list_of(struct arena_pool *pool, size_t bytes)
{
    return bytes > ARENA_CHUNK_BYTES ? NULL : &pool->free_chunks[bytes / ARENA_STEP_BYTES - 1];
}

static int add_slab(struct arena_pool *pool)
{
    size_t bytes = pool->held_bytes < ARENA_CHUNK_BYTES ? ARENA_CHUNK_BYTES
                   : pool->held_bytes > SLAB_MAX_BYTES  ? SLAB_MAX_BYTES
                                                        : pool->held_bytes;
    struct arena_slab *slab = mem_alloc(sizeof(*slab) + bytes);

    if (!slab)
        return ERR_NOMEM;
    slab->next = pool->slabs;
    pool->slabs = slab;
    pool->next = slab->memory;
    pool->end = slab->memory + bytes;
    pool->held_bytes += bytes;
    return 0;
}

/* A free chunk that is not much larger. */
static struct arena_chunk *chunk_somewhat_larger(struct arena_pool *pool, size_t bytes)
{
    for (size_t more = ARENA_STEP_BYTES; more <= LARGER_BYTES && bytes + more <= ARENA_CHUNK_BYTES;
         more += ARENA_STEP_BYTES) {
        struct arena_chunk **list = free_list_of(pool, bytes + more), *chunk = *list;

        if (chunk) {
            *list = chunk->next;
            return chunk;
        }
    }
    return NULL;
}

/* What is left of the slab before is less than a chunk; it stays unused. */
static struct arena_chunk *chunk_from_slab(struct arena_pool *pool, size_t bytes)
{
    struct arena_chunk *chunk;

    if (bytes > (size_t)(pool->end - pool->next)) {
        chunk = chunk_somewhat_larger(pool, bytes);
        if (chunk)
            return chunk;
        if (add_slab(pool) < 0)
            return NULL;
    }
    chunk = (struct arena_chunk *)(void *)pool->next;
    pool->next += bytes;
    chunk->bytes = bytes;
    return chunk;
}

static struct arena_chunk *chunk_new(struct arena_pool *pool, size_t bytes)
{
    struct arena_chunk **list = free_list_of(pool, bytes), *chunk;

    if (list && *list) {
        chunk = *list;
        *list = chunk->next;
        return chunk;
    }
    if (list)
        return chunk_from_slab(pool, bytes);
    chunk = mem_alloc(bytes);
    if (!chunk)
        return NULL;
    chunk->bytes = bytes;
    pool->held_bytes += bytes;
    return chunk;
}

static struct arena_chunk *chunk_get(struct arena_pool *pool, size_t bytes)
{
    struct arena_chunk *chunk;

    if (bytes > pool->budget_bytes || pool->used_bytes > pool->budget_bytes - bytes)
        return NULL;
    chunk = chunk_new(pool, bytes);
    if (!chunk)
        return NULL;
    pool->used_bytes += chunk->bytes;
    poison(chunk->memory, chunk->bytes - sizeof(*chunk));
    return chunk;
}

static void chunk_put(struct arena_pool *pool, struct arena_chunk *chunk)
{
    struct arena_chunk **list = free_list_of(pool, chunk->bytes);

    pool->used_bytes -= chunk->bytes;
    if (list) {
        poison(chunk->memory, chunk->bytes - sizeof(*chunk));
        chunk->next = *list;
        *list = chunk;
    } else {
        /* Odd sizes are rare and would only lie about. */
        pool->held_bytes -= chunk->bytes;
        unpoison(chunk->memory, chunk->bytes - sizeof(*chunk));
        mem_free(chunk);
    }
}

/* The size of a chunk with so much room, up to the largest. */
static size_t chunk_bytes_for(size_t room)
{
    size_t bytes = sizeof(struct arena_chunk) + room;

    if (bytes >= ARENA_CHUNK_BYTES)
        return ARENA_CHUNK_BYTES;
    return (bytes + ARENA_STEP_BYTES - 1) / ARENA_STEP_BYTES * ARENA_STEP_BYTES;
}

void arena_init(struct arena *arena, struct arena_pool *pool)
{
    *arena = (struct arena){.pool = pool, .chunk_bytes = ARENA_CHUNK_BYTES};
}

void arena_init_sized(struct arena *arena, struct arena_pool *pool, size_t expected_bytes)
{
    *arena = (struct arena){.pool = pool, .chunk_bytes = (uint16_t)chunk_bytes_for(expected_bytes)};
}

void arena_reset(struct arena *arena)
{
    while (arena->chunks) {
        struct arena_chunk *chunk = arena->chunks;

        arena->chunks = chunk->next;
        chunk_put(arena->pool, chunk);
    }
    arena->next = arena->end = NULL;
}

void arena_done(struct arena *arena)
{
    arena_reset(arena);
    arena->pool = NULL;
}

/* A chunk for this one allocation. The chunk that small allocations come from stays in front. */
static void *alloc_large(struct arena *arena, size_t bytes)
{
    struct arena_chunk *chunk = chunk_get(arena->pool, sizeof(*chunk) + bytes);

    if (!chunk)
        return NULL;
    if (arena->chunks) {
        chunk->next = arena->chunks->next;
        arena->chunks->next = chunk;
    } else {
        chunk->next = NULL;
        arena->chunks = chunk;
    }
    return chunk->memory;
}

static int add_chunk(struct arena *arena, size_t room)
{
    size_t bytes = chunk_bytes_for(room);
    struct arena_chunk *chunk =
        chunk_get(arena->pool, bytes < arena->chunk_bytes ? arena->chunk_bytes : bytes);

    if (!chunk)
        return ERR_NOMEM;
    chunk->next = arena->chunks;
    arena->chunks = chunk;
    arena->next = chunk->memory;
    arena->end = (char *)chunk + chunk->bytes;
    if (arena->chunk_bytes < ARENA_CHUNK_BYTES)
        arena->chunk_bytes = ARENA_STEP_BYTES;
    return 0;
}

static void *alloc_rounded(struct arena *arena, size_t bytes)
{
    void *ptr;

    if (bytes > (size_t)(arena->end - arena->next)) {
        if (bytes > ARENA_CHUNK_BYTES - sizeof(struct arena_chunk))
            return alloc_large(arena, bytes);
        if (add_chunk(arena, bytes) < 0)
            return NULL;
    }
    ptr = arena->next;
    arena->next += bytes;
    return ptr;
}

void *arena_alloc(struct arena *arena, size_t bytes)
{
    void *ptr;

    if (bytes == 0)
        bytes = 1;
    if (bytes > SIZE_MAX / 2)
        return NULL;
    ptr = alloc_rounded(arena, (bytes + ARENA_ALIGN_BYTES - 1) / ARENA_ALIGN_BYTES * ARENA_ALIGN_BYTES +
                                   POISON_REDZONE_BYTES);
    if (ptr)
        unpoison(ptr, bytes);
    return ptr;
}

void *arena_zalloc(struct arena *arena, size_t bytes)
{
    void *ptr = arena_alloc(arena, bytes);

    return ptr ? memset(ptr, 0, bytes) : NULL;
}

struct slice arena_dup(struct arena *arena, struct slice s)
{
    char *copy = arena_alloc(arena, s.len);

    if (!copy)
        return SLICE_NULL;
    if (s.len > 0)
        memcpy(copy, s.ptr, s.len);
    return slice_make(copy, s.len);
}

char *arena_cstr(struct arena *arena, struct slice s)
{
    char *copy = s.len < SIZE_MAX ? arena_alloc(arena, s.len + 1) : NULL;

    if (!copy)
        return NULL;
    if (s.len > 0)
        memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    return copy;
}
