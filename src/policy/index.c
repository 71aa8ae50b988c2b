#include "policy/internal.h"
#include <stdlib.h>

static int compare(const void *a, const void *b)
{
    const struct policy_index_pair *x = a, *y = b;

    return slice_cmp(x->key, y->key);
}

static void note_lengths(struct policy_index *index)
{
    bool seen[PATTERN_MAX_BYTES + 1] = {false};

    for (size_t i = 0; i < index->count; i++)
        if (index->entries[i].key.len <= PATTERN_MAX_BYTES)
            seen[index->entries[i].key.len] = true;
    for (size_t len = 0; len <= PATTERN_MAX_BYTES; len++)
        if (seen[len])
            index->lengths[index->n_lengths++] = (uint8_t)len;
}

int policy_index_build(struct policy_index *index, struct policy_index_pair *pairs, size_t n_pairs,
                       size_t n_words, struct arena *arena)
{
    struct policy_index_entry *e = NULL;

    *index = (struct policy_index){.entries = arena_alloc(arena, (n_pairs + 1) * sizeof(*index->entries)),
                                   .any = arena_zalloc(arena, n_words * sizeof(policy_set))};
    if (!index->entries || !index->any)
        return ERR_NOMEM;
    if (n_pairs > 0)
        qsort(pairs, n_pairs, sizeof(*pairs), compare);
    for (size_t i = 0; i < n_pairs; i++) {
        if (!e || !slice_eq(e->key, pairs[i].key)) {
            e = &index->entries[index->count++];
            *e = (struct policy_index_entry){pairs[i].key, arena_zalloc(arena, n_words * sizeof(policy_set))};
            if (!e->routes)
                return ERR_NOMEM;
        }
        policy_set_add(e->routes, pairs[i].route);
    }
    note_lengths(index);
    return 0;
}

const policy_set *policy_index_find(const struct policy_index *index, struct slice key)
{
    size_t low = 0, high = index->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = slice_cmp(key, index->entries[middle].key);

        if (order == 0)
            return index->entries[middle].routes;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}
