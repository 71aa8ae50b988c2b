#include "base/buf.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs those above. */
#include <cmocka.h>

static void writes_what_fits_exactly(void **state)
{
    char memory[8];
    struct buf b;

    (void)state;
    buf_init(&b, memory, sizeof(memory));
    buf_lit(&b, "1234");
    buf_cstr(&b, "567");
    buf_putc(&b, '8');
    assert_false(buf_failed(&b));
    assert_true(slice_eq(buf_slice(&b), SLICE("12345678")));
    buf_put(&b, SLICE_NULL);
    assert_false(buf_failed(&b));
}

static void failure_sticks(void **state)
{
    char memory[4];
    struct buf b;

    (void)state;
    buf_init(&b, memory, sizeof(memory));
    buf_lit(&b, "12");
    buf_lit(&b, "345");
    assert_true(buf_failed(&b));
    buf_lit(&b, "6"); /* would fit */
    buf_printf(&b, "7");
    assert_true(slice_eq(buf_slice(&b), SLICE("12")));
}

static void numbers(void **state)
{
    char memory[64];
    struct buf b;

    (void)state;
    buf_init(&b, memory, sizeof(memory));
    buf_u64(&b, UINT64_MAX);
    buf_hex64(&b, 0xabc);
    assert_true(slice_eq(buf_slice(&b), SLICE("184467440737095516150000000000000abc")));
}

static void printf_fails_instead_of_cutting(void **state)
{
    char memory[6];
    struct buf b;

    (void)state;
    buf_init(&b, memory, sizeof(memory));
    buf_printf(&b, "%d", 12345);
    assert_false(buf_failed(&b));
    assert_true(slice_eq(buf_slice(&b), SLICE("12345")));
    buf_init(&b, memory, sizeof(memory));
    buf_printf(&b, "%d", 1234567);
    assert_true(buf_failed(&b));
    assert_int_equal(b.len, 0);
    buf_init(&b, memory, 0);
    buf_printf(&b, "%s", "");
    assert_false(buf_failed(&b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_what_fits_exactly),
        cmocka_unit_test(failure_sticks),
        cmocka_unit_test(numbers),
        cmocka_unit_test(printf_fails_instead_of_cutting),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
