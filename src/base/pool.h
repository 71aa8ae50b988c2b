/* A pool of objects of one size: allocation and release in a few instructions, blocks of memory never given
 * back until pool_done. One thread. A budget in objects bounds it. */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include "base/err.h"
#include <stddef.h>

struct pool {
    void *free_objects;
    void *blocks;
    size_t object_bytes, per_block;
    size_t in_use, budget;
};

/* object_bytes is rounded up to a multiple of 16. budget: how many may be in use at a time. */
void pool_init(struct pool *pool, size_t object_bytes, size_t budget);
/* Asserts that nothing is in use. */
void pool_done(struct pool *pool);
/* Zeroed object, or NULL at the budget or without memory. */
MUST_USE void *pool_get(struct pool *pool);
void pool_put(struct pool *pool, void *object);

#endif
