#include "base/map.h"
#include "base/mem.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs those above. */
#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>

struct item {
    struct map_node node;
    uint64_t key;
    bool in_map, seen;
};

/* Few distinct hashes, so that equal hashes with different keys are common; spread over the buckets
 * otherwise. */
static uint64_t hash_of(uint64_t key)
{
    return (key / 3) * 0x9e3779b97f4a7c15 >> 7;
}

static struct item *find(const struct map *map, uint64_t key)
{
    struct map_node *n = map_first(map, hash_of(key));

    while (n && map_entry(n, struct item, node)->key != key)
        n = map_next(n);
    return n ? map_entry(n, struct item, node) : NULL;
}

static void mark(struct map_node *node, void *ctx)
{
    struct item *item = map_entry(node, struct item, node);

    assert_true(item->in_map && !item->seen);
    item->seen = true;
    ++*(size_t *)ctx;
}

static void expect_walk_sees_all(struct map *map, struct item *items, size_t count)
{
    size_t seen = 0;

    for (size_t i = 0; i < count; i++)
        items[i].seen = false;
    map_each(map, mark, &seen);
    assert_int_equal(seen, map->count);
}

static void random_walk_agrees_with_a_model(void **state)
{
    enum { ITEMS = 5000, STEPS = 200000 };
    struct item *items = calloc(ITEMS, sizeof(*items));
    size_t count = 0;
    struct map map;

    (void)state;
    srand(1);
    assert_int_equal(map_init(&map, 0), 0);
    for (size_t i = 0; i < ITEMS; i++)
        items[i].key = i;
    for (int step = 0; step < STEPS; step++) {
        struct item *item = &items[rand() % ITEMS];
        /* Mostly inserts at first, so that the map grows with removals in between. */
        bool insert = rand() % 100 < (step < STEPS / 2 ? 70 : 40);

        assert_ptr_equal(find(&map, item->key), item->in_map ? item : NULL);
        if (insert && !item->in_map) {
            map_insert(&map, &item->node, hash_of(item->key));
            item->in_map = true;
            count++;
        } else if (!insert && item->in_map) {
            map_remove(&map, &item->node);
            item->in_map = false;
            count--;
        }
        assert_int_equal(map.count, count);
        if (step % 1000 == 0)
            expect_walk_sees_all(&map, items, ITEMS);
    }
    for (size_t i = 0; i < ITEMS; i++)
        if (items[i].in_map)
            map_remove(&map, &items[i].node);
    map_done(&map);
    free(items);
}

static void remove_visited(struct map_node *node, void *ctx)
{
    map_remove(ctx, node);
}

static void a_visit_may_remove_its_entry_also_while_growing(void **state)
{
    struct item items[40] = {0};
    struct map map;

    (void)state;
    assert_int_equal(map_init(&map, 16), 0);
    for (size_t i = 0; i < 23; i++)
        map_insert(&map, &items[i].node, i);
    assert_non_null(map.old_buckets);
    map_each(&map, remove_visited, &map);
    assert_int_equal(map.count, 0);
    map_done(&map);
}

static void growth_is_spread_and_chains_stay_short(void **state)
{
    enum { ITEMS = 100000 };
    struct item *items = calloc(ITEMS, sizeof(*items));
    struct map map;

    (void)state;
    assert_int_equal(map_init(&map, 0), 0);
    for (size_t i = 0; i < ITEMS; i++) {
        size_t moved = map.old_buckets ? map.moved : 0;

        map_insert(&map, &items[i].node, i * 0x9e3779b97f4a7c15 >> 11);
        if (map.old_buckets)
            assert_true(map.moved - moved <= 1);
    }
    assert_true((map.mask + 1) * 8 >= ITEMS);
    for (size_t i = 0; i < ITEMS; i++)
        map_remove(&map, &items[i].node);
    map_done(&map);
    free(items);
}

static void without_memory_it_goes_on_with_longer_chains(void **state)
{
    struct item items[200] = {0};
    struct map map;

    (void)state;
    mem_fail_after(0);
    assert_int_equal(map_init(&map, 0), ERR_NOMEM);
    mem_fail_after(-1);
    assert_int_equal(map_init(&map, 0), 0);
    mem_fail_after(0);
    for (size_t i = 0; i < 200; i++) {
        items[i].key = i;
        map_insert(&map, &items[i].node, hash_of(i));
    }
    for (size_t i = 0; i < 200; i++)
        assert_ptr_equal(find(&map, i), &items[i]);
    mem_fail_after(-1);
    for (size_t i = 0; i < 200; i++)
        map_remove(&map, &items[i].node);
    map_done(&map);
}

static void an_absurd_hint_is_refused(void **state)
{
    struct map map;

    (void)state;
    assert_int_equal(map_init(&map, SIZE_MAX), ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_walk_agrees_with_a_model),
        cmocka_unit_test(a_visit_may_remove_its_entry_also_while_growing),
        cmocka_unit_test(growth_is_spread_and_chains_stay_short),
        cmocka_unit_test(without_memory_it_goes_on_with_longer_chains),
        cmocka_unit_test(an_absurd_hint_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
