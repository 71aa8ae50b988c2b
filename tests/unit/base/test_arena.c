#include "base/arena.h"
#include "base/mem.h"
#include "base/poison.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs those above. */
#include <cmocka.h>

static void memory_is_aligned_and_apart(void **state)
{
    struct arena_pool pool;
    struct arena arena;
    char *blocks[300];

    (void)state;
    arena_pool_init(&pool, 1 << 20);
    arena_init(&arena, &pool);
    for (size_t i = 0; i < 300; i++) {
        blocks[i] = arena_alloc(&arena, i);
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % 16, 0);
        memset(blocks[i], (int)i, i);
    }
    for (size_t i = 0; i < 300; i++)
        for (size_t j = 0; j < i; j++)
            assert_int_equal((unsigned char)blocks[i][j], i & 255);
    arena_done(&arena);
    assert_int_equal(pool.used_bytes, 0);
    arena_pool_done(&pool);
    assert_int_equal(pool.held_bytes, 0);
}

static void chunks_are_recycled(void **state)
{
    struct arena_pool pool;
    struct arena arena;
    size_t held;

    (void)state;
    arena_pool_init(&pool, 1 << 20);
    arena_init(&arena, &pool);
    for (int i = 0; i < 10; i++)
        assert_non_null(arena_zalloc(&arena, 3000));
    held = pool.held_bytes;
    mem_fail_after(0); /* no more from the heap */
    for (int round = 0; round < 5; round++) {
        arena_reset(&arena);
        for (int i = 0; i < 10; i++)
            assert_non_null(arena_zalloc(&arena, 3000));
    }
    mem_fail_after(-1);
    assert_int_equal(pool.held_bytes, held);
    arena_done(&arena);
    arena_pool_done(&pool);
}

static void large_blocks_go_back_at_once_and_keep_the_small_chunk(void **state)
{
    struct arena_pool pool;
    struct arena arena;
    char *small, *large, *next;

    (void)state;
    arena_pool_init(&pool, 1 << 20);
    arena_init(&arena, &pool);
    small = arena_alloc(&arena, 16);
    large = arena_alloc(&arena, 100000);
    assert_non_null(large);
    memset(large, 'x', 100000);
    next = arena_alloc(&arena, 16);
    assert_true(next > small && next < small + 256);
    arena_reset(&arena);
    assert_int_equal(pool.used_bytes, 0);
    assert_int_equal(pool.held_bytes, ARENA_CHUNK_BYTES);
    large = arena_alloc(&arena, 100000); /* first in an empty arena */
    assert_non_null(large);
    memset(large, 'x', 100000);
    arena_done(&arena);
    arena_pool_done(&pool);
}

static void free_slabs_make_way_for_a_large_block(void **state)
{
    struct arena_pool pool;
    struct arena arena;

    (void)state;
    arena_pool_init(&pool, 1 << 20);
    arena_init(&arena, &pool);
    for (int i = 0; i < 256; i++)
        assert_non_null(arena_alloc(&arena, 4000));
    arena_reset(&arena);
    assert_in_range(pool.held_bytes, 1 << 20, (1 << 20) + 65536);
    assert_non_null(arena_alloc(&arena, 1000000));
    assert_in_range(pool.held_bytes, 1000000, 1 << 20);
    arena_done(&arena);
    arena_pool_done(&pool);
    assert_int_equal(pool.held_bytes, 0);
}

static void a_budget_beyond_all_memory_is_none(void **state)
{
    struct arena_pool pool;
    struct arena arena;

    (void)state;
    arena_pool_init(&pool, SIZE_MAX / 2);
    arena_init(&arena, &pool);
    for (int i = 0; i < 100; i++)
        assert_non_null(arena_alloc(&arena, 5000));
    arena_done(&arena);
    arena_pool_done(&pool);
}

static void a_sized_arena_takes_what_is_expected_and_small_steps_from_then_on(void **state)
{
    struct arena_pool pool;
    struct arena arena;

    (void)state;
    arena_pool_init(&pool, 1 << 20);
    arena_init_sized(&arena, &pool, 2000);
    assert_non_null(arena_alloc(&arena, 100));
    assert_int_equal(pool.used_bytes, 32 * ARENA_STEP_BYTES);
    assert_non_null(arena_alloc(&arena, 1800));
    assert_int_equal(pool.used_bytes, 32 * ARENA_STEP_BYTES);
    assert_non_null(arena_alloc(&arena, 290 - POISON_REDZONE_BYTES));
    assert_int_equal(pool.used_bytes, 37 * ARENA_STEP_BYTES);
    assert_non_null(arena_alloc(&arena, 900 - POISON_REDZONE_BYTES));
    assert_int_equal(pool.used_bytes, 52 * ARENA_STEP_BYTES);
    arena_done(&arena);
    /* Each size is found again. */
    mem_fail_after(0);
    arena_init_sized(&arena, &pool, 2000);
    assert_non_null(arena_alloc(&arena, 1900));
    assert_non_null(arena_alloc(&arena, 900));
    mem_fail_after(-1);
    arena_done(&arena);
    arena_pool_done(&pool);
}

static void a_larger_chunk_that_lies_about_does_when_there_is_no_more(void **state)
{
    struct arena_pool pool;
    struct arena holder, arena;

    (void)state;
    arena_pool_init(&pool, 1 << 20);
    /* One stays in use, so the slab with the other one can not be cut anew. */
    arena_init(&holder, &pool);
    for (int i = 0; i < 3; i++)
        assert_non_null(arena_alloc(&holder, 4000));
    assert_true(pool.held_bytes >= pool.used_bytes + ARENA_CHUNK_BYTES);
    mem_fail_after(0);
    arena_init_sized(&arena, &pool, 100);
    assert_non_null(arena_alloc(&arena, 50));
    assert_int_equal(pool.used_bytes, 4 * ARENA_CHUNK_BYTES);
    arena_done(&arena);
    mem_fail_after(-1);
    /* Unless it would pass the budget. */
    assert_non_null(arena_alloc(&holder, pool.budget_bytes - 4 * ARENA_CHUNK_BYTES));
    assert_in_range(pool.budget_bytes - pool.used_bytes, 1024, ARENA_CHUNK_BYTES - 1);
    mem_fail_after(0);
    arena_init_sized(&arena, &pool, 100);
    assert_null(arena_alloc(&arena, 50));
    mem_fail_after(-1);
    assert_non_null(arena_alloc(&arena, 50));
    arena_done(&arena);
    arena_done(&holder);
    assert_int_equal(pool.used_bytes, 0);
    arena_pool_done(&pool);
}

static void a_free_slab_is_cut_for_any_other_size(void **state)
{
    struct arena_pool pool;
    struct arena arena;

    (void)state;
    arena_pool_init(&pool, 1 << 20);
    arena_init_sized(&arena, &pool, 1900);
    assert_non_null(arena_alloc(&arena, 1800));
    mem_fail_after(0);
    for (size_t room = 16; room < ARENA_CHUNK_BYTES; room += 16) {
        char *memory;

        arena_done(&arena);
        arena_init_sized(&arena, &pool, room);
        memory = arena_alloc(&arena, room < 2000 ? room - POISON_REDZONE_BYTES : 2000);
        assert_non_null(memory);
        memset(memory, 'x', room < 2000 ? room - POISON_REDZONE_BYTES : 2000);
    }
    mem_fail_after(-1);
    arena_done(&arena);
    arena_pool_done(&pool);
}

static void the_pool_takes_as_much_as_it_has_up_to_64_kb(void **state)
{
    struct arena_pool pool;
    struct arena arena;
    size_t held = 0, steps = 0;

    (void)state;
    arena_pool_init(&pool, 64 << 20);
    arena_init(&arena, &pool);
    for (size_t i = 0; i < 1000; i++) {
        assert_non_null(arena_alloc(&arena, 4000));
        steps += pool.held_bytes != held;
        assert_true(pool.held_bytes <= 2 * held + ARENA_CHUNK_BYTES && pool.held_bytes <= held + 65536);
        held = pool.held_bytes;
    }
    assert_true(steps <= 4 + 1000 / 16 + 1);
    assert_true(held < pool.used_bytes + 65536);
    arena_done(&arena);
    arena_pool_done(&pool);
    assert_int_equal(pool.held_bytes, 0);
}

#define MANY 40000

/* As many arenas of one chunk as the budget allows, at most MANY. */
static size_t fill(struct arena_pool *pool, struct arena *arenas, size_t chunk_bytes)
{
    size_t n = 0;

    for (; n < MANY; n++) {
        arena_init_sized(&arenas[n], pool, chunk_bytes - 16);
        if (!arena_alloc(&arenas[n], chunk_bytes - 16 - POISON_REDZONE_BYTES))
            break;
        assert_in_range(pool->used_bytes, chunk_bytes, pool->budget_bytes);
        assert_in_range(pool->held_bytes, pool->used_bytes, 2 * pool->budget_bytes + ARENA_HELD_BASE_BYTES);
    }
    return n;
}

static void what_is_held_stays_within_the_budget_when_each_size_fills_it_in_turn(void **state)
{
    static struct arena arenas[MANY];
    static const size_t sizes[] = {576, 1600, 2432, 4032, 4096, 5000, 70000, 640, 2112, 64};
    static const size_t budgets[] = {8300, 300000, 2 << 20};

    (void)state;
    for (size_t b = 0; b < sizeof(budgets) / sizeof(*budgets); b++) {
        struct arena_pool pool;

        arena_pool_init(&pool, budgets[b]);
        for (size_t size = 2 * ARENA_STEP_BYTES; size <= ARENA_CHUNK_BYTES; size += ARENA_STEP_BYTES) {
            size_t n = fill(&pool, arenas, size);

            assert_int_equal(n, budgets[b] / size);
            while (n > 0)
                arena_done(&arenas[--n]);
            assert_int_equal(pool.used_bytes, 0);
        }
        for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
            size_t n = fill(&pool, arenas, sizes[i]);

            while (n > 0)
                arena_done(&arenas[--n]);
        }
        arena_pool_done(&pool);
        assert_int_equal(pool.held_bytes, 0);
    }
}

/* The worst there is: of each fill one chunk in each slab stays, so that none can be cut anew. */
static void what_is_held_stays_within_the_bound_when_one_chunk_of_each_slab_remains(void **state)
{
    static struct arena arenas[MANY], kept[MANY];
    struct arena_pool pool;
    size_t n_kept = 0, held = 0, used;

    (void)state;
    arena_pool_init(&pool, 2 << 20);
    for (size_t size = 2 * ARENA_STEP_BYTES; size <= 1024; size += ARENA_STEP_BYTES) {
        size_t n = fill(&pool, arenas, size), per_slab = (2 << 20) / ARENA_SIZES / size;

        held = pool.held_bytes;
        while (n-- > 0)
            if (n % per_slab == 0)
                kept[n_kept++] = arenas[n];
            else
                arena_done(&arenas[n]);
    }
    used = pool.used_bytes;
    assert_true(used < pool.budget_bytes / 4 && held > 2 * pool.budget_bytes);
    assert_int_equal(fill(&pool, arenas, 2048), 0);
    /* What fits into a chunk that is free still gets one. */
    assert_true(fill(&pool, arenas, 64) > 0);
    for (size_t i = 0; pool.used_bytes > used; i++)
        arena_done(&arenas[i]);
    while (n_kept > 0)
        arena_done(&kept[--n_kept]);
    assert_int_equal(pool.used_bytes, 0);
    /* Once they have ended all of it is there for any size. */
    assert_int_equal(fill(&pool, arenas, 2048), (2 << 20) / 2048);
    for (size_t i = 0; pool.used_bytes > 0; i++)
        arena_done(&arenas[i]);
    arena_pool_done(&pool);
}

static void the_budget_holds_for_all_arenas_together(void **state)
{
    struct arena_pool pool;
    struct arena a, b;

    (void)state;
    arena_pool_init(&pool, 3 * ARENA_CHUNK_BYTES);
    arena_init(&a, &pool);
    arena_init(&b, &pool);
    assert_non_null(arena_alloc(&a, 3000));
    assert_non_null(arena_alloc(&a, 3000));
    assert_non_null(arena_alloc(&b, 3000));
    assert_null(arena_alloc(&b, 3000));
    assert_null(arena_alloc(&b, 10000));
    assert_null(arena_alloc(&b, SIZE_MAX));
    assert_null(arena_alloc(&b, SIZE_MAX - 20));
    assert_non_null(arena_alloc(&b, 500)); /* still room in the chunk it has */
    arena_reset(&a);
    assert_non_null(arena_alloc(&b, 3000));
    arena_done(&a);
    arena_done(&b);
    arena_pool_done(&pool);
}

static void no_memory_is_null_and_leaves_the_arena_usable(void **state)
{
    struct arena_pool pool;
    struct arena arena;

    (void)state;
    arena_pool_init(&pool, 1 << 20);
    arena_init(&arena, &pool);
    mem_fail_after(0);
    assert_null(arena_alloc(&arena, 16));
    assert_null(arena_alloc(&arena, 100000));
    assert_null(arena_zalloc(&arena, 16));
    assert_true(slice_is_null(arena_dup(&arena, SLICE("x"))));
    assert_null(arena_cstr(&arena, SLICE("x")));
    mem_fail_after(-1);
    assert_int_equal(pool.used_bytes, 0);
    assert_non_null(arena_alloc(&arena, 16));
    arena_done(&arena);
    arena_pool_done(&pool);
}

static void copies(void **state)
{
    struct arena_pool pool;
    struct arena arena;
    struct slice s;

    (void)state;
    arena_pool_init(&pool, 1 << 20);
    arena_init(&arena, &pool);
    s = arena_dup(&arena, SLICE("a\0b"));
    assert_true(slice_eq(s, SLICE("a\0b")));
    assert_false(slice_is_null(arena_dup(&arena, SLICE(""))));
    assert_string_equal(arena_cstr(&arena, SLICE("abc")), "abc");
    assert_string_equal(arena_cstr(&arena, SLICE("")), "");
    arena_done(&arena);
    arena_pool_done(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_aligned_and_apart),
        cmocka_unit_test(chunks_are_recycled),
        cmocka_unit_test(large_blocks_go_back_at_once_and_keep_the_small_chunk),
        cmocka_unit_test(free_slabs_make_way_for_a_large_block),
        cmocka_unit_test(a_budget_beyond_all_memory_is_none),
        cmocka_unit_test(a_sized_arena_takes_what_is_expected_and_small_steps_from_then_on),
        cmocka_unit_test(a_larger_chunk_that_lies_about_does_when_there_is_no_more),
        cmocka_unit_test(a_free_slab_is_cut_for_any_other_size),
        cmocka_unit_test(the_pool_takes_as_much_as_it_has_up_to_64_kb),
        cmocka_unit_test(what_is_held_stays_within_the_budget_when_each_size_fills_it_in_turn),
        cmocka_unit_test(what_is_held_stays_within_the_bound_when_one_chunk_of_each_slab_remains),
        cmocka_unit_test(the_budget_holds_for_all_arenas_together),
        cmocka_unit_test(no_memory_is_null_and_leaves_the_arena_usable),
        cmocka_unit_test(copies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
