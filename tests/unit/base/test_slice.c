#include "base/slice.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs those above. */
#include <cmocka.h>

static void equality_knows_absent_and_empty(void **state)
{
    (void)state;
    assert_true(slice_eq(SLICE_NULL, SLICE_NULL));
    assert_true(slice_eq(SLICE_NULL, SLICE("")));
    assert_true(slice_is_null(SLICE_NULL));
    assert_false(slice_is_null(SLICE("")));
    assert_true(slice_eq(SLICE("a\0b"), slice_make("a\0b", 3)));
    assert_false(slice_eq(SLICE("a\0b"), SLICE("a\0c")));
}

static void case_folding_is_ascii_only(void **state)
{
    (void)state;
    assert_true(slice_eq_nocase(SLICE("Call-ID"), SLICE("cALL-id")));
    assert_false(slice_eq_nocase(SLICE("Call-ID"), SLICE("Call-IE")));
    assert_false(slice_eq_nocase(SLICE("a"), SLICE("ab")));
    /* Pairs that differ in the case bit but are no letters. */
    assert_false(slice_eq_nocase(SLICE("@"), SLICE("`")));
    assert_false(slice_eq_nocase(SLICE("["), SLICE("{")));
    assert_false(slice_eq_nocase(SLICE("\r"), SLICE("-")));
    assert_false(slice_eq_nocase(SLICE("\xc3\x84"), SLICE("\xc3\xa4")));
}

static void every_octet_pair_folds_as_ascii_says(void **state)
{
    (void)state;
    for (int x = 0; x < 256; x++) {
        for (int y = 0; y < 256; y++) {
            char a = (char)x, b = (char)y;
            int fx = x >= 'A' && x <= 'Z' ? x + 32 : x, fy = y >= 'A' && y <= 'Z' ? y + 32 : y;

            assert_int_equal(slice_eq_nocase(slice_make(&a, 1), slice_make(&b, 1)), fx == fy);
        }
    }
}

static void order_is_memcmp_then_length(void **state)
{
    (void)state;
    assert_true(slice_cmp(SLICE("a"), SLICE("b")) < 0);
    assert_true(slice_cmp(SLICE("ab"), SLICE("a")) > 0);
    assert_true(slice_cmp(SLICE("\xff"), SLICE("a")) > 0);
    assert_int_equal(slice_cmp(SLICE_NULL, SLICE("")), 0);
}

static void find_and_sub_clamp(void **state)
{
    struct slice s = SLICE("a:b:c");

    (void)state;
    assert_int_equal(slice_find(s, ':'), 1);
    assert_int_equal(slice_rfind(s, ':'), 3);
    assert_int_equal(slice_find(s, 'x'), 5);
    assert_int_equal(slice_rfind(s, 'x'), 5);
    assert_int_equal(slice_find(SLICE_NULL, 'x'), 0);
    assert_true(slice_eq(slice_sub(s, 2, 3), SLICE("b")));
    assert_true(slice_eq(slice_sub(s, 2, 99), SLICE("b:c")));
    assert_true(slice_eq(slice_sub(s, 99, 99), SLICE("")));
    assert_true(slice_eq(slice_sub(s, 3, 1), SLICE("")));
    assert_true(slice_is_null(slice_sub(SLICE_NULL, 0, 3)));
}

static void prefixes_and_trim(void **state)
{
    (void)state;
    assert_true(slice_starts_with(SLICE("sip:x"), SLICE("sip:")));
    assert_false(slice_starts_with(SLICE("SIP:x"), SLICE("sip:")));
    assert_true(slice_starts_with_nocase(SLICE("SIP:x"), SLICE("sip:")));
    assert_false(slice_starts_with_nocase(SLICE("si"), SLICE("sip:")));
    assert_true(slice_eq(slice_trim(SLICE(" \t\r\n a b \r\n")), SLICE("a b")));
    assert_int_equal(slice_trim(SLICE(" \t ")).len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equality_knows_absent_and_empty),
        cmocka_unit_test(case_folding_is_ascii_only),
        cmocka_unit_test(every_octet_pair_folds_as_ascii_says),
        cmocka_unit_test(order_is_memcmp_then_length),
        cmocka_unit_test(find_and_sub_clamp),
        cmocka_unit_test(prefixes_and_trim),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
