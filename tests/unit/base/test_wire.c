#include "base/mem.h"
#include "base/wire.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs those above. */
#include <cmocka.h>

static void lives_until_the_last_reference_goes(void **state)
{
    int64_t before = mem_held_bytes();
    struct wire *w = wire_from(SLICE("a\0b"));

    (void)state;
    assert_non_null(w);
    assert_true(slice_eq(wire_slice(w), SLICE("a\0b")));
    assert_ptr_equal(wire_ref(w), w);
    wire_unref(w);
    assert_true(slice_eq(wire_slice(w), SLICE("a\0b")));
    wire_unref(w);
    wire_unref(NULL);
    assert_int_equal(mem_held_bytes(), before);
}

static void empty_and_too_large(void **state)
{
    struct wire *w = wire_from(SLICE(""));

    (void)state;
    assert_non_null(w);
    assert_int_equal(wire_slice(w).len, 0);
    wire_unref(w);
    assert_null(wire_new((size_t)UINT32_MAX + 1));
}

static void no_memory_is_null(void **state)
{
    (void)state;
    mem_fail_after(0);
    assert_null(wire_new(1));
    assert_null(wire_from(SLICE("x")));
    mem_fail_after(-1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lives_until_the_last_reference_goes),
        cmocka_unit_test(empty_and_too_large),
        cmocka_unit_test(no_memory_is_null),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
