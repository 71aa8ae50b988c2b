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

/* Or requests of ever other lengths would each leave something behind that no other can use. */
static void what_lies_about_is_used_for_somewhat_less_before_more_is_taken(void **state)
{
    struct arena_pool pool;
    struct arena arena;

    (void)state;
    arena_pool_init(&pool, 1 << 20);
    arena_init_sized(&arena, &pool, 3900);
    assert_non_null(arena_alloc(&arena, 3000));
    arena_done(&arena);
    mem_fail_after(0);
    arena_init_sized(&arena, &pool, 3000);
    assert_null(arena_alloc(&arena, 2500));
    arena_init_sized(&arena, &pool, 3500);
    assert_non_null(arena_alloc(&arena, 3400));
    assert_int_equal(pool.used_bytes, 62 * ARENA_STEP_BYTES);
    mem_fail_after(-1);
    arena_done(&arena);
    assert_int_equal(pool.used_bytes, 0);
    arena_pool_done(&pool);
}

static void the_pool_takes_as_much_as_it_has_up_to_a_megabyte(void **state)
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
        assert_true(pool.held_bytes <= 2 * held + ARENA_CHUNK_BYTES && pool.held_bytes <= held + (1 << 20));
        held = pool.held_bytes;
    }
    assert_true(steps <= 8 + 4);
    assert_true(held < pool.used_bytes + (1 << 20));
    arena_done(&arena);
    arena_pool_done(&pool);
    assert_int_equal(pool.held_bytes, 0);
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
        cmocka_unit_test(a_sized_arena_takes_what_is_expected_and_small_steps_from_then_on),
        cmocka_unit_test(what_lies_about_is_used_for_somewhat_less_before_more_is_taken),
        cmocka_unit_test(the_pool_takes_as_much_as_it_has_up_to_a_megabyte),
        cmocka_unit_test(the_budget_holds_for_all_arenas_together),
        cmocka_unit_test(no_memory_is_null_and_leaves_the_arena_usable),
        cmocka_unit_test(copies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
