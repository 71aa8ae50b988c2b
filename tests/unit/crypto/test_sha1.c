#include "crypto/sha1.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs those above. */
#include <cmocka.h>

static void proves_the_key_of_rfc6455_section_4_2_2(void **state)
{
    const struct slice parts[] = {SLICE("dGhlIHNhbXBsZSBub25jZQ=="),
                                  SLICE("258EAFA5-E914-47DA-95CA-C5AB0DC85B11")};
    char text[CRYPTO_SHA1_BASE64_LEN];

    (void)state;
    assert_int_equal(crypto_sha1_base64(parts, 2, text), 0);
    assert_memory_equal(text, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", sizeof(text));
}

static void gives_the_vector_of_rfc3174_however_it_is_cut(void **state)
{
    const struct slice whole = SLICE("abc"), parts[] = {SLICE("a"), SLICE(""), SLICE("bc")};
    char one[CRYPTO_SHA1_BASE64_LEN], three[CRYPTO_SHA1_BASE64_LEN];

    (void)state;
    assert_int_equal(crypto_sha1_base64(&whole, 1, one), 0);
    assert_int_equal(crypto_sha1_base64(parts, 3, three), 0);
    assert_memory_equal(one, "qZk+NkcGgWq6PiVxeFDCbJzQ2J0=", sizeof(one));
    assert_memory_equal(three, one, sizeof(one));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(proves_the_key_of_rfc6455_section_4_2_2),
        cmocka_unit_test(gives_the_vector_of_rfc3174_however_it_is_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
