#include "base/buf.h"
#include "base/num.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs those above. */
#include <cmocka.h>

static void digits_only(void **state)
{
    const char *const bad[] = {"", "-1", "+1", " 1", "1 ", "0x1", "1a", "99999999999999999999999a"};
    uint64_t value = 7;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(num_parse_u64(slice_from_cstr(bad[i]), UINT64_MAX, &value), ERR_SYNTAX);
        assert_int_equal(value, 7);
    }
    assert_int_equal(num_parse_u64(SLICE("0"), 0, &value), 0);
    assert_int_equal(value, 0);
    assert_int_equal(num_parse_u64(SLICE("000000000000000000000000042"), 42, &value), 0);
    assert_int_equal(value, 42);
}

static void octets_stand_in_network_order(void **state)
{
    uint8_t octets[8] = {0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee};
    const uint8_t three[] = {0x23, 0x45, 0x67, 0xee}, eight[] = {1, 2, 3, 4, 5, 6, 7, 8};

    (void)state;
    assert_ptr_equal(num_put_octets(octets, 0x01234567, 3), octets + 3);
    assert_memory_equal(octets, three, sizeof(three)); /* the low ones, and none behind them */
    assert_true(num_get_octets(octets, 3) == 0x234567);
    num_put_octets(octets, 0x0102030405060708, 8);
    assert_memory_equal(octets, eight, sizeof(eight));
    assert_true(num_get_octets(octets, 8) == 0x0102030405060708);
}

static void numbers_never_wrap(void **state)
{
    uint64_t value = 7;

    (void)state;
    assert_int_equal(num_parse_u64(SLICE("18446744073709551615"), UINT64_MAX, &value), 0);
    assert_true(value == UINT64_MAX);
    value = 7;
    assert_int_equal(num_parse_u64(SLICE("18446744073709551616"), UINT64_MAX, &value), ERR_RANGE);
    assert_int_equal(num_parse_u64(SLICE("184467440737095516150"), UINT64_MAX, &value), ERR_RANGE);
    /* Wraps to a small number when done carelessly. */
    assert_int_equal(num_parse_u64(SLICE("36893488147419103232"), UINT64_MAX, &value), ERR_RANGE);
    assert_int_equal(num_parse_u64(SLICE("11"), 10, &value), ERR_RANGE);
    assert_int_equal(value, 7);
}

static void u32_is_bounded_and_can_saturate(void **state)
{
    uint32_t value = 7;

    (void)state;
    assert_int_equal(num_parse_u32(SLICE("4294967295"), UINT32_MAX, &value), 0);
    assert_true(value == UINT32_MAX);
    value = 7;
    assert_int_equal(num_parse_u32(SLICE("4294967296"), UINT32_MAX, &value), ERR_RANGE);
    assert_int_equal(value, 7);
    assert_int_equal(num_parse_u32_saturate(SLICE("99999999999999999999999999"), 3600, &value), 0);
    assert_int_equal(value, 3600);
    assert_int_equal(num_parse_u32_saturate(SLICE("12"), 3600, &value), 0);
    assert_int_equal(value, 12);
    assert_int_equal(num_parse_u32_saturate(SLICE("12x"), 3600, &value), ERR_SYNTAX);
}

static void format_and_parse_agree(void **state)
{
    const uint64_t values[] = {0, 9, 10, 12345, UINT32_MAX, UINT64_MAX - 1, UINT64_MAX, 0xdeadbeef};

    (void)state;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        char text[20], hex[16];
        uint64_t back = ~values[i];

        assert_int_equal(num_parse_u64(slice_make(text, num_format_u64(values[i], text)), UINT64_MAX, &back),
                         0);
        assert_true(back == values[i]);
        num_format_hex64(values[i], hex);
        back = ~values[i];
        assert_int_equal(num_parse_hex64(slice_make(hex, 16), &back), 0);
        assert_true(back == values[i]);
    }
}

static void hex_takes_either_case_and_at_most_16_digits(void **state)
{
    uint64_t value = 7;

    (void)state;
    assert_int_equal(num_parse_hex64(SLICE("DeadBeef"), &value), 0);
    assert_true(value == 0xdeadbeef);
    value = 7;
    assert_int_equal(num_parse_hex64(SLICE("00000000000000001"), &value), ERR_SYNTAX);
    assert_int_equal(num_parse_hex64(SLICE(""), &value), ERR_SYNTAX);
    assert_int_equal(num_parse_hex64(SLICE("g"), &value), ERR_SYNTAX);
    assert_int_equal(num_parse_hex64(SLICE("\x10"), &value), ERR_SYNTAX); /* a digit but for the case bit */
    assert_int_equal(value, 7);
}

static void hex_is_lower_case_with_leading_zeros(void **state)
{
    char hex[16];

    (void)state;
    num_format_hex64(0x0123456789abcdef, hex);
    assert_memory_equal(hex, "0123456789abcdef", sizeof(hex));
    num_format_hex64(0xfa, hex);
    assert_memory_equal(hex, "00000000000000fa", sizeof(hex));
}

/* Digits are read eight at a time: the same octets are digits wherever they stand. */
static void hex_knows_every_octet_at_every_place(void **state)
{
    (void)state;
    for (size_t len = 1; len <= 16; len++) {
        for (size_t place = 0; place < len; place++) {
            for (unsigned octet = 0; octet <= UINT8_MAX; octet++) {
                char text[16];
                const char *digits = "0123456789abcdef";
                const char *at =
                    octet ? strchr(digits, octet >= 'A' && octet <= 'F' ? (int)octet | 0x20 : (int)octet)
                          : NULL;
                uint64_t value = 7, expected = 7;

                memset(text, '0', sizeof(text));
                text[place] = (char)octet;
                if (at)
                    expected = (uint64_t)(at - digits) << 4 * (len - 1 - place);
                assert_int_equal(num_parse_hex64(slice_make(text, len), &value), at ? 0 : ERR_SYNTAX);
                assert_true(value == expected);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digits_only),
        cmocka_unit_test(octets_stand_in_network_order),
        cmocka_unit_test(numbers_never_wrap),
        cmocka_unit_test(u32_is_bounded_and_can_saturate),
        cmocka_unit_test(format_and_parse_agree),
        cmocka_unit_test(hex_takes_either_case_and_at_most_16_digits),
        cmocka_unit_test(hex_is_lower_case_with_leading_zeros),
        cmocka_unit_test(hex_knows_every_octet_at_every_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
