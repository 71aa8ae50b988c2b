#include "base/num.h"
#include "crypto/crypto.h"
#include "crypto/hmac.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs those above. */
#include <cmocka.h>

#include <string.h>

static void expect_code(struct slice secret, const struct slice *parts, size_t count, const char *want)
{
    struct crypto_hmac_key key;
    struct crypto_digest code;

    assert_int_equal(crypto_hmac_key_init(secret, &key), 0);
    assert_int_equal(crypto_hmac_sha256(&key, parts, count, &code), 0);
    assert_int_equal(code.len, 32);
    for (size_t i = 0; i < code.len; i++) {
        uint64_t octet;

        assert_int_equal(num_parse_hex64(slice_make(want + 2 * i, 2), &octet), 0);
        assert_int_equal(code.bytes[i], octet);
    }
}

static void codes_are_those_of_rfc4231_section_4(void **state)
{
    static char aa[131], oneb[20], dd[50];
    struct slice data;

    (void)state;
    memset(aa, 0xaa, sizeof(aa));
    memset(oneb, 0x0b, sizeof(oneb));
    memset(dd, 0xdd, sizeof(dd));
    data = SLICE("Hi There"); /* 4.2 */
    expect_code(slice_make(oneb, 20), &data, 1,
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    data = SLICE("what do ya want for nothing?"); /* 4.3: a key shorter than the code */
    expect_code(SLICE("Jefe"), &data, 1, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    data = slice_make(dd, sizeof(dd)); /* 4.4 */
    expect_code(slice_make(aa, 20), &data, 1,
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
    data = SLICE("Test Using Larger Than Block-Size Key - Hash Key First"); /* 4.7 */
    expect_code(slice_make(aa, 131), &data, 1,
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

static void parts_are_joined_and_bounded(void **state)
{
    const struct slice parts[] = {SLICE("what do ya want"), SLICE_NULL, SLICE(" for nothing?")};
    struct slice many[CRYPTO_HMAC_PARTS_MAX + 1] = {SLICE_NULL};
    struct crypto_digest code = {.len = 7};
    struct crypto_hmac_key key;

    (void)state;
    expect_code(SLICE("Jefe"), parts, 3, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    assert_int_equal(crypto_hmac_key_init(SLICE(""), &key), 0);
    assert_int_equal(crypto_hmac_sha256(&key, many, CRYPTO_HMAC_PARTS_MAX + 1, &code), ERR_LIMIT);
    assert_int_equal(code.len, 7);
    assert_int_equal(crypto_hmac_sha256(&key, many, CRYPTO_HMAC_PARTS_MAX, &code), 0);
}

static int set_up(void **state)
{
    (void)state;
    return crypto_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_are_those_of_rfc4231_section_4),
        cmocka_unit_test(parts_are_joined_and_bounded),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
