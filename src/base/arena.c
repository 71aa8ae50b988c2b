#include "base/arena.h"
#include "base/mem.h"
#include "base/poison.h"
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#define SLAB_MAX_BYTES ((size_t)64 * 1024)

struct arena_chunk {
    struct arena_chunk *next; /* in its arena, or free in its slab */
    struct arena_slab *slab;
    _Alignas(ARENA_ALIGN_BYTES) char memory[];
};

/* A large block is a slab with one chunk. */
struct arena_slab {
    struct arena_slab *next, **link; /* in one of the pool's lists, unless all chunks are in use */
    struct arena_chunk *free_chunks;
    char *uncut;
    size_t bytes, chunk_bytes; /* chunk_bytes with the chunk's header */
    size_t n_used;
    _Alignas(ARENA_ALIGN_BYTES) char memory[];
};

void arena_pool_init(struct arena_pool *pool, size_t budget_bytes)
{
    *pool = (struct arena_pool){.budget_bytes = budget_bytes};
}

static void slab_enter(struct arena_slab **list, struct arena_slab *slab)
{
    slab->next = *list;
    slab->link = list;
    if (slab->next)
        slab->next->link = &slab->next;
    *list = slab;
}

static void slab_leave(struct arena_slab *slab)
{
    *slab->link = slab->next;
    if (slab->next)
        slab->next->link = slab->link;
}

static struct arena_slab **open_slabs(struct arena_pool *pool, size_t chunk_bytes)
{
    return &pool->open_slabs[chunk_bytes > ARENA_CHUNK_BYTES ? ARENA_SIZES
                                                             : chunk_bytes / ARENA_STEP_BYTES - 1];
}

static bool slab_is_full(const struct arena_slab *slab)
{
    return !slab->free_chunks && slab->chunk_bytes > (size_t)(slab->memory + slab->bytes - slab->uncut);
}

/* Of one that is in no list. */
static void slab_give_back(struct arena_pool *pool, struct arena_slab *slab)
{
    pool->held_bytes -= slab->bytes;
    unpoison(slab->memory, slab->bytes);
    mem_free(slab);
}

static void free_slabs_give_back(struct arena_pool *pool, size_t until_held_bytes)
{
    while (pool->free_slabs && pool->held_bytes > until_held_bytes) {
        struct arena_slab *slab = pool->free_slabs;

        slab_leave(slab);
        slab_give_back(pool, slab);
    }
}

void arena_pool_done(struct arena_pool *pool)
{
    assert(pool->used_bytes == 0);
    free_slabs_give_back(pool, 0);
    assert(pool->held_bytes == 0);
}

/* Small beside the budget, so that one slab for each size is no more than the budget again. */
static size_t slab_bytes(const struct arena_pool *pool)
{
    size_t most = pool->budget_bytes / ARENA_SIZES, bytes = pool->held_bytes;

    if (most > SLAB_MAX_BYTES)
        most = SLAB_MAX_BYTES;
    if (bytes > most)
        bytes = most;
    return bytes < ARENA_CHUNK_BYTES ? ARENA_CHUNK_BYTES : bytes;
}

static bool may_hold(const struct arena_pool *pool, size_t bytes)
{
    return pool->budget_bytes > SIZE_MAX / 4 || /* more than there is */
           pool->held_bytes + bytes <= 2 * pool->budget_bytes + ARENA_HELD_BASE_BYTES;
}

static struct arena_slab *slab_new(struct arena_pool *pool, size_t chunk_bytes)
{
    size_t bytes = chunk_bytes > ARENA_CHUNK_BYTES ? chunk_bytes : slab_bytes(pool);
    struct arena_slab *slab;

    /* A large block comes from the heap although there are free slabs, so they make way. */
    free_slabs_give_back(pool,
                         pool->budget_bytes - (bytes < pool->budget_bytes ? bytes : pool->budget_bytes));
    if (!may_hold(pool, bytes))
        return NULL;
    slab = mem_alloc(sizeof(*slab) + bytes);
    if (!slab)
        return NULL;
    slab->bytes = bytes;
    pool->held_bytes += bytes;
    return slab;
}

/* One that has a chunk left, though larger than was asked for. */
static struct arena_slab *slab_of_larger(struct arena_pool *pool, size_t bytes)
{
    size_t left = pool->budget_bytes - pool->used_bytes;

    for (bytes += ARENA_STEP_BYTES; bytes <= ARENA_CHUNK_BYTES && bytes <= left; bytes += ARENA_STEP_BYTES)
        if (*open_slabs(pool, bytes))
            return *open_slabs(pool, bytes);
    return NULL;
}

/* One with a free chunk of so many octets, that is in its list. */
static struct arena_slab *slab_for(struct arena_pool *pool, size_t chunk_bytes)
{
    struct arena_slab **list = open_slabs(pool, chunk_bytes), *slab = *list;

    if (slab)
        return slab;
    if (pool->free_slabs && chunk_bytes <= ARENA_CHUNK_BYTES) {
        slab = pool->free_slabs;
        slab_leave(slab);
    } else {
        slab = slab_new(pool, chunk_bytes);
        if (!slab)
            return slab_of_larger(pool, chunk_bytes);
    }
    slab->free_chunks = NULL;
    slab->uncut = slab->memory;
    slab->chunk_bytes = chunk_bytes;
    slab->n_used = 0;
    slab_enter(list, slab);
    return slab;
}

static struct arena_chunk *chunk_of_slab(struct arena_slab *slab)
{
    struct arena_chunk *chunk = slab->free_chunks;

    slab->n_used++;
    if (chunk) {
        slab->free_chunks = chunk->next;
        return chunk;
    }
    chunk = (struct arena_chunk *)(void *)slab->uncut;
    slab->uncut += slab->chunk_bytes;
    unpoison(chunk, sizeof(*chunk)); /* when the slab was cut otherwise this was another's memory */
    chunk->slab = slab;
    return chunk;
}

static struct arena_chunk *chunk_get(struct arena_pool *pool, size_t bytes)
{
    struct arena_slab *slab;
    struct arena_chunk *chunk;

    if (bytes > pool->budget_bytes || pool->used_bytes > pool->budget_bytes - bytes)
        return NULL;
    slab = slab_for(pool, bytes);
    if (!slab)
        return NULL;
    chunk = chunk_of_slab(slab);
    if (slab_is_full(slab))
        slab_leave(slab);
    pool->used_bytes += slab->chunk_bytes;
    poison(chunk->memory, slab->chunk_bytes - sizeof(*chunk));
    return chunk;
}

/* One without a chunk in use, that is in no list. */
static void slab_release(struct arena_pool *pool, struct arena_slab *slab)
{
    if (slab->chunk_bytes > ARENA_CHUNK_BYTES)
        slab_give_back(pool, slab); /* odd sizes are rare and would only lie about */
    else
        slab_enter(&pool->free_slabs, slab);
}

static void chunk_put(struct arena_pool *pool, struct arena_chunk *chunk)
{
    struct arena_slab *slab = chunk->slab;
    bool is_open = !slab_is_full(slab);

    pool->used_bytes -= slab->chunk_bytes;
    poison(chunk->memory, slab->chunk_bytes - sizeof(*chunk));
    chunk->next = slab->free_chunks;
    slab->free_chunks = chunk;
    if (--slab->n_used == 0) {
        if (is_open)
            slab_leave(slab);
        slab_release(pool, slab);
    } else if (!is_open) {
        slab_enter(open_slabs(pool, slab->chunk_bytes), slab);
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
    arena->end = (char *)chunk + chunk->slab->chunk_bytes;
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
