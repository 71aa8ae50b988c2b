#include "crypto/base64url.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs those above. */
#include <cmocka.h>

#include <stdlib.h>

static void encode(struct slice octets, char *memory, size_t cap, struct slice *ret_text)
{
    struct buf out;

    buf_init(&out, memory, cap);
    crypto_base64url_encode(octets, &out);
    assert_false(buf_failed(&out));
    *ret_text = buf_slice(&out);
}

static void gives_the_vectors_of_rfc4648_section_10_without_padding(void **state)
{
    static const char *const rows[][2] = {
        {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},          {"foo", "Zm9v"},
        {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}, {"\xfb\xff\xbf", "-_-_"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char memory[16], octets[16];
        struct slice text;
        size_t len;

        encode(slice_from_cstr(rows[i][0]), memory, sizeof(memory), &text);
        assert_true(slice_eq(text, slice_from_cstr(rows[i][1])));
        assert_int_equal(crypto_base64url_decode(text, octets, sizeof(octets), &len), 0);
        assert_true(slice_eq(slice_make(octets, len), slice_from_cstr(rows[i][0])));
    }
}

static void round_trip_of_every_length(void **state)
{
    (void)state;
    srand(5);
    for (size_t len = 0; len < 200; len++) {
        char octets[200], memory[300], back[200];
        struct slice text;
        size_t back_len = 0;

        for (size_t i = 0; i < len; i++)
            octets[i] = (char)rand();
        encode(slice_make(octets, len), memory, CRYPTO_BASE64URL_LEN(len), &text); /* exactly enough */
        assert_int_equal(text.len, CRYPTO_BASE64URL_LEN(len));
        assert_int_equal(crypto_base64url_decode(text, back, len, &back_len), 0);
        assert_int_equal(back_len, len);
        assert_memory_equal(back, octets, len);
    }
}

static void a_value_has_one_text_only(void **state)
{
    static const char *const bad[] = {"Z",    "Zg==", "Zm9v=", "Zh",    "Zm9",
                                      "Zm+v", "Zm/v", "Zm v",  "Zm9vY", "Zm9v\n"};
    char out[16] = "untouched";
    size_t len = 7;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(crypto_base64url_decode(slice_from_cstr(bad[i]), out, sizeof(out), &len),
                         ERR_SYNTAX);
    assert_int_equal(crypto_base64url_decode(slice_make("Zm9\0", 4), out, sizeof(out), &len), ERR_SYNTAX);
    assert_string_equal(out, "untouched");
    assert_int_equal(len, 7);
}

static void what_does_not_fit_is_refused(void **state)
{
    char out[3] = "xy";
    size_t len = 7;
    struct buf small;

    (void)state;
    assert_int_equal(crypto_base64url_decode(SLICE("Zm9v"), out, 2, &len), ERR_LIMIT);
    assert_string_equal(out, "xy");
    assert_int_equal(len, 7);
    buf_init(&small, out, sizeof(out));
    crypto_base64url_encode(SLICE("foo"), &small);
    assert_true(buf_failed(&small));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_vectors_of_rfc4648_section_10_without_padding),
        cmocka_unit_test(round_trip_of_every_length),
        cmocka_unit_test(a_value_has_one_text_only),
        cmocka_unit_test(what_does_not_fit_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
