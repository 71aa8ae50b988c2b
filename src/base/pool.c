#include "base/pool.h"
#include "base/mem.h"
#include "base/poison.h"
#include <assert.h>
#include <stdint.h>
#include <string.h>

#define ALIGN_BYTES       16
#define BLOCK_BYTES       16384
#define BLOCK_MIN_OBJECTS 8

struct block {
    struct block *next;
    _Alignas(ALIGN_BYTES) char objects[];
};

struct free_object {
    struct free_object *next;
};

void pool_init(struct pool *pool, size_t object_bytes, size_t budget)
{
    assert(object_bytes > 0 && object_bytes <= SIZE_MAX / 2 / BLOCK_MIN_OBJECTS);
    object_bytes = (object_bytes + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
    *pool = (struct pool){.object_bytes = object_bytes, .budget = budget};
    pool->per_block = (BLOCK_BYTES - sizeof(struct block)) / object_bytes;
    if (pool->per_block < BLOCK_MIN_OBJECTS)
        pool->per_block = BLOCK_MIN_OBJECTS;
}

void pool_done(struct pool *pool)
{
    struct block *block = pool->blocks;

    assert(pool->in_use == 0);
    while (block) {
        struct block *next = block->next;

        unpoison(block->objects, pool->per_block * pool->object_bytes);
        mem_free(block);
        block = next;
    }
    pool->blocks = pool->free_objects = NULL;
}

static void push_free(struct pool *pool, void *ptr)
{
    struct free_object *object = ptr;

    object->next = pool->free_objects;
    pool->free_objects = object;
    poison(object, pool->object_bytes);
}

static int add_block(struct pool *pool)
{
    struct block *block = mem_alloc(sizeof(*block) + pool->per_block * pool->object_bytes);

    if (!block)
        return ERR_NOMEM;
    block->next = pool->blocks;
    pool->blocks = block;
    /* Backwards, so that objects are handed out in the order of their addresses. */
    for (size_t i = pool->per_block; i-- > 0;)
        push_free(pool, block->objects + i * pool->object_bytes);
    return 0;
}

void *pool_get(struct pool *pool)
{
    struct free_object *object;

    if (pool->in_use >= pool->budget || (!pool->free_objects && add_block(pool) < 0))
        return NULL;
    object = pool->free_objects;
    unpoison(object, pool->object_bytes);
    pool->free_objects = object->next;
    pool->in_use++;
    return memset(object, 0, pool->object_bytes);
}

void pool_put(struct pool *pool, void *object)
{
    assert(pool->in_use > 0);
    pool->in_use--;
    push_free(pool, object);
}
