#include "base/arena.h"
#include "base/mem.h"
#include "base/poison.h"
#include <assert.h>
#include <stdint.h>

#define ALIGN_BYTES 16

struct arena_chunk {
    struct arena_chunk *next;
    size_t bytes; /* with this header */
    _Alignas(ALIGN_BYTES) char memory[];
};

void arena_pool_init(struct arena_pool *pool, size_t budget_bytes)
{
    *pool = (struct arena_pool){.budget_bytes = budget_bytes};
}

void arena_pool_done(struct arena_pool *pool)
{
    assert(pool->used_bytes == 0);
    while (pool->free_chunks) {
        struct arena_chunk *chunk = pool->free_chunks;

        pool->free_chunks = chunk->next;
        pool->held_bytes -= chunk->bytes;
        mem_free(chunk);
    }
}

static struct arena_chunk *chunk_get(struct arena_pool *pool, size_t bytes)
{
    struct arena_chunk *chunk;

    if (bytes > pool->budget_bytes || pool->used_bytes > pool->budget_bytes - bytes)
        return NULL;
    if (bytes == ARENA_CHUNK_BYTES && pool->free_chunks) {
        chunk = pool->free_chunks;
        pool->free_chunks = chunk->next;
    } else {
        chunk = mem_alloc(bytes);
        if (!chunk)
            return NULL;
        chunk->bytes = bytes;
        pool->held_bytes += bytes;
    }
    pool->used_bytes += bytes;
    poison(chunk->memory, bytes - sizeof(*chunk));
    return chunk;
}

static void chunk_put(struct arena_pool *pool, struct arena_chunk *chunk)
{
    pool->used_bytes -= chunk->bytes;
    if (chunk->bytes == ARENA_CHUNK_BYTES) {
        poison(chunk->memory, chunk->bytes - sizeof(*chunk));
        chunk->next = pool->free_chunks;
        pool->free_chunks = chunk;
    } else {
        /* Odd sizes are rare and would only lie about. */
        pool->held_bytes -= chunk->bytes;
        unpoison(chunk->memory, chunk->bytes - sizeof(*chunk));
        mem_free(chunk);
    }
}

void arena_init(struct arena *arena, struct arena_pool *pool)
{
    *arena = (struct arena){.pool = pool};
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

static void *alloc_rounded(struct arena *arena, size_t bytes)
{
    struct arena_chunk *chunk;
    void *ptr;

    if (bytes > (size_t)(arena->end - arena->next)) {
        if (bytes > ARENA_CHUNK_BYTES - sizeof(*chunk))
            return alloc_large(arena, bytes);
        chunk = chunk_get(arena->pool, ARENA_CHUNK_BYTES);
        if (!chunk)
            return NULL;
        chunk->next = arena->chunks;
        arena->chunks = chunk;
        arena->next = chunk->memory;
        arena->end = (char *)chunk + ARENA_CHUNK_BYTES;
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
    ptr = alloc_rounded(arena, (bytes + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES + POISON_REDZONE_BYTES);
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
