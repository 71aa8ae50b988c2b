/* An intrusive hash map: the node lives in the object, the key is whatever the caller compares. The caller
 * brings the hash (base/hash.h) and walks the candidates of a hash; equal hashes are not yet equal keys.
 * Buckets are a power of two, doubled one at a time with each insert so that no single insert stalls; they
 * cost 13 to 26 octets an entry. One thread.
 *
 *     struct map_node *n = map_first(&m, hash);
 *     for (; n; n = map_next(n))
 *         if (same key(map_entry(n, struct thing, node))) ... */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/err.h"
#include <stddef.h>
#include <stdint.h>

struct map_node {
    struct map_node *next;
    uint64_t hash;
};

struct map {
    struct map_bucket *buckets, *old_buckets; /* old_buckets while growing, else NULL */
    size_t mask, old_mask;
    size_t moved; /* old buckets already emptied */
    size_t count;
    void *memory, *old_memory; /* what the buckets are in */
};

#define map_entry(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

/* expected: number of entries. */
MUST_USE int map_init(struct map *map, size_t expected);
/* Asserts that the map is empty. */
void map_done(struct map *map);
/* Cannot fail once the map exists: when it cannot grow it goes on with longer chains. */
void map_insert(struct map *map, struct map_node *node, uint64_t hash);
void map_remove(struct map *map, struct map_node *node);
/* First entry with exactly this hash, and the next one with the hash of n. */
struct map_node *map_first(const struct map *map, uint64_t hash);
struct map_node *map_next(const struct map_node *n);
/* For who knows now what he will look for soon: has the bucket brought from memory,
 * and later, from there, its first entry. */
void map_prefetch_bucket(const struct map *map, uint64_t hash);
void map_prefetch_first(const struct map *map, uint64_t hash);
/* Calls visit for each entry; visit may remove the entry it is given and no other. */
void map_each(struct map *map, void (*visit)(struct map_node *node, void *ctx), void *ctx);

#endif
