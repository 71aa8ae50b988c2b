#include "crypto/crypto.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs those above. */
#include <cmocka.h>

#include <string.h>

static void random_octets_differ_and_fill_all(void **state)
{
    uint8_t a[64] = {0}, b[64] = {0};
    bool all_set[64] = {false};

    (void)state;
    assert_int_equal(crypto_random_bytes(a, sizeof(a)), 0);
    assert_int_equal(crypto_random_bytes(b, sizeof(b)), 0);
    assert_memory_not_equal(a, b, sizeof(a));
    for (int round = 0; round < 20; round++) {
        assert_int_equal(crypto_random_bytes(a, sizeof(a)), 0);
        for (size_t i = 0; i < sizeof(a); i++)
            all_set[i] |= a[i] != 0;
    }
    for (size_t i = 0; i < sizeof(a); i++)
        assert_true(all_set[i]);
    assert_int_equal(crypto_random_bytes(a, 0), 0);
}

static void equality_is_of_length_and_octets(void **state)
{
    (void)state;
    assert_true(crypto_equal(SLICE("abc"), SLICE("abc")));
    assert_false(crypto_equal(SLICE("abc"), SLICE("abd")));
    assert_false(crypto_equal(SLICE("abc"), SLICE("xbc")));
    assert_false(crypto_equal(SLICE("abc"), SLICE("ab")));
    assert_true(crypto_equal(SLICE_NULL, SLICE("")));
}

static void a_wiped_secret_is_gone(void **state)
{
    char secret[] = "secret";
    const char zeroes[sizeof(secret)] = {0};

    (void)state;
    crypto_wipe(secret, sizeof(secret));
    assert_memory_equal(secret, zeroes, sizeof(secret));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_octets_differ_and_fill_all),
        cmocka_unit_test(equality_is_of_length_and_octets),
        cmocka_unit_test(a_wiped_secret_is_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
