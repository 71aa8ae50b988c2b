#include "base/mem.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs those above. */
#include <cmocka.h>

#include <pthread.h>
#include <string.h>

static void held_bytes_rise_and_fall(void **state)
{
    int64_t before = mem_held_bytes();
    char *a = mem_alloc(1000), *b = mem_zalloc(2000);

    (void)state;
    assert_non_null(a);
    assert_non_null(b);
    for (int i = 0; i < 2000; i++)
        assert_int_equal(b[i], 0);
    assert_true(mem_held_bytes() - before >= 3000);
    a = mem_realloc_array(a, 500, 10);
    assert_non_null(a);
    assert_true(mem_held_bytes() - before >= 7000);
    mem_free(a);
    mem_free(b);
    mem_free(NULL);
    assert_int_equal(mem_held_bytes(), before);
}

static void zero_bytes_are_not_a_failure(void **state)
{
    void *a = mem_alloc(0), *b = mem_zalloc(0), *c = mem_realloc_array(NULL, 0, 8);

    (void)state;
    assert_non_null(a);
    assert_non_null(b);
    assert_non_null(c);
    mem_free(a);
    mem_free(b);
    mem_free(c);
}

static void array_size_is_overflow_checked(void **state)
{
    char *a = mem_alloc(16);

    (void)state;
    strcpy(a, "untouched");
    assert_null(mem_realloc_array(a, SIZE_MAX / 4 + 2, 4));
    assert_string_equal(a, "untouched");
    mem_free(a);
}

static void fails_from_the_nth_on(void **state)
{
    int64_t before = mem_held_bytes();
    void *a, *b;

    (void)state;
    mem_fail_after(2);
    a = mem_alloc(1);
    b = mem_zalloc(1);
    assert_non_null(a);
    assert_non_null(b);
    assert_null(mem_alloc(1));
    assert_null(mem_zalloc(1));
    assert_null(mem_realloc_array(a, 100, 1));
    mem_fail_after(-1);
    mem_free(a);
    a = mem_alloc(1);
    assert_non_null(a);
    mem_free(a);
    mem_free(b);
    assert_int_equal(mem_held_bytes(), before);
}

static void *alloc_in_thread(void *arg)
{
    (void)arg;
    mem_fail_after(-1);
    return mem_alloc(100000);
}

static void counts_across_threads_and_their_end(void **state)
{
    int64_t before = mem_held_bytes();
    void *blocks[4];

    (void)state;
    mem_fail_after(0); /* of this thread only */
    for (int i = 0; i < 4; i++) {
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, alloc_in_thread, NULL), 0);
        assert_int_equal(pthread_join(thread, &blocks[i]), 0);
        assert_non_null(blocks[i]);
    }
    mem_fail_after(-1);
    assert_true(mem_held_bytes() - before >= 400000);
    for (int i = 0; i < 4; i++)
        mem_free(blocks[i]);
    assert_int_equal(mem_held_bytes(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(held_bytes_rise_and_fall),
        cmocka_unit_test(zero_bytes_are_not_a_failure),
        cmocka_unit_test(array_size_is_overflow_checked),
        cmocka_unit_test(fails_from_the_nth_on),
        cmocka_unit_test(counts_across_threads_and_their_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
