/* Sealing: NIST SP 800-38D through a round trip, and what must not open. */
#include "crypto/crypto.h"
#include "crypto/seal.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define PLAIN SLICE("attack at dawn")
#define BOUND SLICE("example.com")

static const struct crypto_seal_key key = {{1, 2, 3}}, another = {{1, 2, 4}};

static void test_what_was_sealed_opens(void **state)
{
    uint8_t sealed[64], out[64];

    (void)state;
    assert_int_equal(crypto_seal(&key, PLAIN, BOUND, sealed), 0);
    assert_int_equal(
        crypto_unseal(&key, slice_make((char *)sealed, PLAIN.len + CRYPTO_SEAL_BYTES), BOUND, out), 0);
    assert_memory_equal(out, PLAIN.ptr, PLAIN.len);
    assert_int_equal(crypto_seal(&key, SLICE(""), SLICE(""), sealed), 0);
    assert_int_equal(crypto_unseal(&key, slice_make((char *)sealed, CRYPTO_SEAL_BYTES), SLICE(""), out), 0);
}

static void test_twice_the_same_is_not_the_same(void **state)
{
    uint8_t a[64], b[64];

    (void)state;
    assert_int_equal(crypto_seal(&key, PLAIN, BOUND, a), 0);
    assert_int_equal(crypto_seal(&key, PLAIN, BOUND, b), 0);
    assert_memory_not_equal(a, b, CRYPTO_SEAL_NONCE_BYTES);
    assert_memory_not_equal(a + CRYPTO_SEAL_NONCE_BYTES, b + CRYPTO_SEAL_NONCE_BYTES, PLAIN.len);
}

static void test_what_was_changed_does_not_open(void **state)
{
    uint8_t sealed[64], out[64];
    struct slice text = slice_make((char *)sealed, PLAIN.len + CRYPTO_SEAL_BYTES);

    (void)state;
    assert_int_equal(crypto_seal(&key, PLAIN, BOUND, sealed), 0);
    for (size_t i = 0; i < text.len; i++) {
        sealed[i] ^= 1;
        assert_int_equal(crypto_unseal(&key, text, BOUND, out), ERR_DENIED);
        sealed[i] ^= 1;
    }
    assert_int_equal(crypto_unseal(&another, text, BOUND, out), ERR_DENIED);
    assert_int_equal(crypto_unseal(&key, text, SLICE("example.net"), out), ERR_DENIED);
    assert_int_equal(crypto_unseal(&key, slice_sub(text, 0, CRYPTO_SEAL_BYTES - 1), BOUND, out), ERR_DENIED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_sealed_opens),
        cmocka_unit_test(test_twice_the_same_is_not_the_same),
        cmocka_unit_test(test_what_was_changed_does_not_open),
    };
    return crypto_init() == 0 ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
