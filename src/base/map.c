/* A bucket is one line of the cache: a look-up that finds nothing costs one miss, and one that
 * finds something costs one more, for what it finds. Entries with the same tag share a slot,
 * as a chain; when all slots are taken by other tags they go to `others`. Equal hashes have
 * equal tags, and are always in one chain. */
#include "base/map.h"
#include "base/mem.h"
#include <assert.h>
#include <endian.h>
#include <stdbool.h>
#include <string.h>

#define LINE_BYTES  64
#define SLOTS       6
#define MIN_BUCKETS 4
/* Entries for each bucket before their number is doubled. Growing must be done with n old buckets before as many
 * times n more inserts. */
#define LOAD 5

#define ONES UINT64_C(0x0101010101010101)

struct map_bucket {
    uint8_t tags[8]; /* of the slots; 0: free. The last two are always 0 */
    struct map_node *slots[SLOTS];
    struct map_node *others;
};

_Static_assert(sizeof(struct map_bucket) == LINE_BYTES, "a bucket is a line");

/* Zero pages, when it is much: nothing is touched. */
static int buckets_new(size_t count, void **ret_memory, struct map_bucket **ret_buckets)
{
    char *memory;

    if (count > SIZE_MAX / 2 / sizeof(struct map_bucket))
        return ERR_LIMIT;
    memory = mem_zalloc(count * sizeof(struct map_bucket) + LINE_BYTES - 1);
    if (!memory)
        return ERR_NOMEM;
    *ret_memory = memory;
    *ret_buckets = (struct map_bucket *)(void *)(memory + (-(uintptr_t)memory & (LINE_BYTES - 1)));
    return 0;
}

int map_init(struct map *map, size_t expected)
{
    struct map m = {0};
    size_t count = MIN_BUCKETS;
    int rc;

    while (count < expected / LOAD)
        count *= 2;
    rc = buckets_new(count, &m.memory, &m.buckets);
    if (rc < 0)
        return rc;
    m.mask = count - 1;
    *map = m;
    return 0;
}

void map_done(struct map *map)
{
    assert(map->count == 0);
    mem_free(map->memory);
    mem_free(map->old_memory);
    *map = (struct map){0};
}

/* Where entries with this hash are now: exactly one place, also while growing. */
static struct map_bucket *bucket_of(const struct map *map, uint64_t hash)
{
    if (map->old_buckets && (hash & map->old_mask) >= map->moved)
        return &map->old_buckets[hash & map->old_mask];
    return &map->buckets[hash & map->mask];
}

/* Of bits that choose no bucket, and are not what the transaction layer marks its hashes with. */
static uint8_t tag_of(uint64_t hash)
{
    uint8_t tag = (uint8_t)(hash >> 48);

    return tag > 0 ? tag : 1;
}

/* The first slot with this tag; SLOTS or more when there is none. A zero octet of x is where they are equal. */
static unsigned find_tag(const struct map_bucket *b, uint8_t tag)
{
    uint64_t tags, x;

    memcpy(&tags, b->tags, sizeof(tags));
    x = le64toh(tags) ^ tag * ONES;
    x = (x - ONES) & ~x & 0x80 * ONES;
    return x ? (unsigned)__builtin_ctzll(x) / 8 : SLOTS;
}

static struct map_node *seek(struct map_node *n, uint64_t hash)
{
    while (n && n->hash != hash)
        n = n->next;
    return n;
}

static void push(struct map_node **chain, struct map_node *node)
{
    node->next = *chain;
    *chain = node;
}

static void put(struct map_bucket *b, struct map_node *node)
{
    uint8_t tag = tag_of(node->hash);
    unsigned slot = find_tag(b, tag);

    if (slot >= SLOTS)
        slot = find_tag(b, 0);
    if (slot >= SLOTS || seek(b->others, node->hash)) {
        push(&b->others, node);
        return;
    }
    b->tags[slot] = tag;
    push(&b->slots[slot], node);
}

static void put_all(struct map *map, struct map_node *n)
{
    while (n) {
        struct map_node *next = n->next;

        put(&map->buckets[n->hash & map->mask], n);
        n = next;
    }
}

static void start_growing(struct map *map)
{
    size_t count = (map->mask + 1) * 2;
    struct map_bucket *buckets;
    void *memory;

    if (buckets_new(count, &memory, &buckets) < 0)
        return;
    map->old_memory = map->memory;
    map->old_buckets = map->buckets;
    map->old_mask = map->mask;
    map->moved = 0;
    map->memory = memory;
    map->buckets = buckets;
    map->mask = count - 1;
}

/* To learn where an entry goes it must be read, and none of them has been for long. */
static void prefetch_entries(const struct map_bucket *b)
{
    for (unsigned i = 0; i < SLOTS; i++)
        __builtin_prefetch(b->slots[i]);
}

static void move_one(struct map *map)
{
    const struct map_bucket *from = &map->old_buckets[map->moved++];

    if (map->moved <= map->old_mask)
        prefetch_entries(&map->old_buckets[map->moved]);

    for (unsigned i = 0; i < SLOTS; i++)
        put_all(map, from->slots[i]);
    put_all(map, from->others);
    if (map->moved > map->old_mask) {
        mem_free(map->old_memory);
        map->old_memory = NULL;
        map->old_buckets = NULL;
    }
}

void map_insert(struct map *map, struct map_node *node, uint64_t hash)
{
    if (map->old_buckets)
        move_one(map);
    else if (map->count >= (map->mask + 1) * LOAD)
        start_growing(map);
    node->hash = hash;
    put(bucket_of(map, hash), node);
    map->count++;
}

/* False: it is not in this chain. */
static bool unlink_node(struct map_node **link, struct map_node *node)
{
    while (*link && *link != node)
        link = &(*link)->next;
    if (!*link)
        return false;
    *link = node->next;
    return true;
}

void map_remove(struct map *map, struct map_node *node)
{
    struct map_bucket *b = bucket_of(map, node->hash);
    unsigned slot = find_tag(b, tag_of(node->hash));
    bool is_found = slot < SLOTS && unlink_node(&b->slots[slot], node);

    if (is_found && !b->slots[slot])
        b->tags[slot] = 0;
    if (!is_found)
        is_found = unlink_node(&b->others, node);
    assert(is_found);
    node->next = NULL;
    map->count--;
}

struct map_node *map_first(const struct map *map, uint64_t hash)
{
    const struct map_bucket *b = bucket_of(map, hash);
    unsigned slot = find_tag(b, tag_of(hash));
    struct map_node *n = slot < SLOTS ? seek(b->slots[slot], hash) : NULL;

    return n ? n : seek(b->others, hash);
}

struct map_node *map_next(const struct map_node *n)
{
    return seek(n->next, n->hash);
}

void map_prefetch_bucket(const struct map *map, uint64_t hash)
{
    __builtin_prefetch(bucket_of(map, hash));
}

void map_prefetch_first(const struct map *map, uint64_t hash)
{
    const struct map_bucket *b = bucket_of(map, hash);
    unsigned slot = find_tag(b, tag_of(hash));

    if (slot < SLOTS)
        __builtin_prefetch(b->slots[slot]);
}

static void each_in_chain(struct map_node *n, void (*visit)(struct map_node *node, void *ctx), void *ctx)
{
    while (n) {
        struct map_node *next = n->next;

        visit(n, ctx);
        n = next;
    }
}

static void each_in(struct map_bucket *buckets, size_t from, size_t to,
                    void (*visit)(struct map_node *node, void *ctx), void *ctx)
{
    for (size_t i = from; i <= to; i++) {
        for (unsigned slot = 0; slot < SLOTS; slot++)
            each_in_chain(buckets[i].slots[slot], visit, ctx);
        each_in_chain(buckets[i].others, visit, ctx);
    }
}

void map_each(struct map *map, void (*visit)(struct map_node *node, void *ctx), void *ctx)
{
    if (map->old_buckets)
        each_in(map->old_buckets, map->moved, map->old_mask, visit, ctx);
    each_in(map->buckets, 0, map->mask, visit, ctx);
}
