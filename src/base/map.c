#include "base/map.h"
#include "base/mem.h"
#include <assert.h>
#include <stdbool.h>

#define MIN_BUCKETS 16
/* Growing starts at one entry per bucket, so it must be done with n old buckets before n more inserts. */
#define MOVE_PER_INSERT 4

int map_init(struct map *map, size_t buckets_hint)
{
    size_t count = MIN_BUCKETS;
    struct map_node **buckets;

    while (count < buckets_hint) {
        if (count > SIZE_MAX / 4 / sizeof(*buckets))
            return ERR_LIMIT;
        count *= 2;
    }
    buckets = mem_zalloc(count * sizeof(*buckets));
    if (!buckets)
        return ERR_NOMEM;
    *map = (struct map){.buckets = buckets, .mask = count - 1};
    return 0;
}

void map_done(struct map *map)
{
    assert(map->count == 0);
    mem_free(map->buckets);
    mem_free(map->old_buckets);
    *map = (struct map){0};
}

/* Where entries with this hash are now: exactly one place, also while growing. */
static struct map_node **bucket_of(const struct map *map, uint64_t hash)
{
    if (map->old_buckets && (hash & map->old_mask) >= map->moved)
        return &map->old_buckets[hash & map->old_mask];
    return &map->buckets[hash & map->mask];
}

static void start_growing(struct map *map)
{
    size_t count = (map->mask + 1) * 2;
    struct map_node **buckets = NULL;

    /* mem_zalloc of much memory is a mapping of zero pages: nothing is touched here. */
    if (count <= SIZE_MAX / 2 / sizeof(*buckets))
        buckets = mem_zalloc(count * sizeof(*buckets));
    if (!buckets)
        return;
    map->old_buckets = map->buckets;
    map->old_mask = map->mask;
    map->moved = 0;
    map->buckets = buckets;
    map->mask = count - 1;
}

static void move_some(struct map *map)
{
    for (int i = 0; i < MOVE_PER_INSERT && map->moved <= map->old_mask; i++) {
        struct map_node *n = map->old_buckets[map->moved++];

        while (n) {
            struct map_node *next = n->next, **to = &map->buckets[n->hash & map->mask];

            n->next = *to;
            *to = n;
            n = next;
        }
    }
    if (map->moved > map->old_mask) {
        mem_free(map->old_buckets);
        map->old_buckets = NULL;
    }
}

void map_insert(struct map *map, struct map_node *node, uint64_t hash)
{
    struct map_node **bucket;

    if (map->old_buckets)
        move_some(map);
    else if (map->count > map->mask)
        start_growing(map);
    bucket = bucket_of(map, hash);
    node->hash = hash;
    node->next = *bucket;
    *bucket = node;
    map->count++;
}

void map_remove(struct map *map, struct map_node *node)
{
    struct map_node **link = bucket_of(map, node->hash);

    while (*link != node) {
        assert(*link);
        link = &(*link)->next;
    }
    *link = node->next;
    node->next = NULL;
    map->count--;
}

static struct map_node *seek(struct map_node *n, uint64_t hash)
{
    while (n && n->hash != hash)
        n = n->next;
    return n;
}

struct map_node *map_first(const struct map *map, uint64_t hash)
{
    return seek(*bucket_of(map, hash), hash);
}

struct map_node *map_next(const struct map_node *n)
{
    return seek(n->next, n->hash);
}

static void each_in(struct map_node **buckets, size_t from, size_t to,
                    void (*visit)(struct map_node *node, void *ctx), void *ctx)
{
    for (size_t i = from; i <= to; i++) {
        for (struct map_node *n = buckets[i], *next; n; n = next) {
            next = n->next;
            visit(n, ctx);
        }
    }
}

void map_each(struct map *map, void (*visit)(struct map_node *node, void *ctx), void *ctx)
{
    if (map->old_buckets)
        each_in(map->old_buckets, map->moved, map->old_mask, visit, ctx);
    each_in(map->buckets, 0, map->mask, visit, ctx);
}
