#include "base/mem.h"
#include "base/pool.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs those above. */
#include <cmocka.h>

#include <string.h>

static void objects_are_zeroed_aligned_and_apart(void **state)
{
    struct pool pool;
    unsigned char *objects[1000];

    (void)state;
    pool_init(&pool, 40, 1000);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 1000; i++) {
            objects[i] = pool_get(&pool);
            assert_non_null(objects[i]);
            assert_int_equal((uintptr_t)objects[i] % 16, 0);
            for (int j = 0; j < 40; j++)
                assert_int_equal(objects[i][j], 0);
            memset(objects[i], i & 255, 40);
        }
        for (int i = 0; i < 1000; i++)
            for (int j = 0; j < 40; j++)
                assert_int_equal(objects[i][j], i & 255);
        for (int i = 0; i < 1000; i++)
            pool_put(&pool, objects[i]);
    }
    pool_done(&pool);
}

static void budget_is_in_objects(void **state)
{
    struct pool pool;
    void *a, *b;

    (void)state;
    pool_init(&pool, 1, 2);
    a = pool_get(&pool);
    b = pool_get(&pool);
    assert_non_null(a);
    assert_non_null(b);
    assert_null(pool_get(&pool));
    pool_put(&pool, a);
    a = pool_get(&pool);
    assert_non_null(a);
    pool_put(&pool, a);
    pool_put(&pool, b);
    pool_done(&pool);
}

static void large_objects_work(void **state)
{
    struct pool pool;
    void *a;

    (void)state;
    pool_init(&pool, 100000, 2);
    a = pool_get(&pool);
    assert_non_null(a);
    memset(a, 1, 100000);
    pool_put(&pool, a);
    pool_done(&pool);
}

static void no_memory_is_null(void **state)
{
    int64_t before = mem_held_bytes();
    struct pool pool;
    void *a;

    (void)state;
    pool_init(&pool, 64, 10);
    mem_fail_after(0);
    assert_null(pool_get(&pool));
    assert_int_equal(pool.in_use, 0);
    mem_fail_after(-1);
    a = pool_get(&pool);
    assert_non_null(a);
    pool_put(&pool, a);
    pool_done(&pool);
    assert_int_equal(mem_held_bytes(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_are_zeroed_aligned_and_apart),
        cmocka_unit_test(budget_is_in_objects),
        cmocka_unit_test(large_objects_work),
        cmocka_unit_test(no_memory_is_null),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
