#include "crypto/crypto.h"
#include "crypto/digest.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs those above. */
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>

static void expect_hex(enum crypto_digest_alg alg, const struct slice *parts, size_t count, const char *want)
{
    struct crypto_hex hex;
    struct crypto_digest digest;
    char octet[3];

    assert_int_equal(crypto_digest_hex(alg, parts, count, &hex), 0);
    assert_int_equal(hex.len, strlen(want));
    assert_memory_equal(hex.text, want, hex.len);
    assert_int_equal(crypto_digest(alg, parts, count, &digest), 0);
    assert_int_equal(digest.len, crypto_digest_bytes(alg));
    for (size_t i = 0; i < digest.len; i++) {
        snprintf(octet, sizeof(octet), "%02x", digest.bytes[i]);
        assert_memory_equal(octet, want + 2 * i, 2);
    }
}

static void md5_gives_the_vectors_of_rfc1321_a_5(void **state)
{
    static const char *const rows[][2] = {
        {"", "d41d8cd98f00b204e9800998ecf8427e"},
        {"a", "0cc175b9c0f1b6a831c399e269772661"},
        {"abc", "900150983cd24fb0d6963f7d28e17f72"},
        {"message digest", "f96b697d7cb7938d525a2f31aaf161d0"},
        {"12345678901234567890123456789012345678901234567890123456789012345678901234567890",
         "57edf4a22be3c955ac49da2e2107b67a"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct slice part = slice_from_cstr(rows[i][0]);

        expect_hex(CRYPTO_MD5, &part, 1, rows[i][1]);
    }
}

static void sha256_gives_the_vectors_of_fips_180(void **state)
{
    const struct slice abc = SLICE("abc"), empty = SLICE("");
    const struct slice two_blocks = SLICE("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq");

    (void)state;
    expect_hex(CRYPTO_SHA256, &abc, 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect_hex(CRYPTO_SHA256, &empty, 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    expect_hex(CRYPTO_SHA256, NULL, 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    expect_hex(CRYPTO_SHA256, &two_blocks, 1,
               "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void sha512_256_gives_the_vectors_of_fips_180(void **state)
{
    const struct slice abc = SLICE("abc");
    const struct slice two_blocks = SLICE("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
                                          "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu");

    (void)state;
    expect_hex(CRYPTO_SHA512_256, &abc, 1,
               "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23");
    expect_hex(CRYPTO_SHA512_256, &two_blocks, 1,
               "3928e184fb8690f840da3988121d31be65cb9d3ef83ee6146feac861e19b563a");
}

static void parts_are_joined(void **state)
{
    const struct slice parts[] = {SLICE("a"), SLICE(""), SLICE_NULL, SLICE("bc")};

    (void)state;
    for (int round = 0; round < 3; round++) { /* the kept context starts anew each time */
        expect_hex(CRYPTO_MD5, parts, 4, "900150983cd24fb0d6963f7d28e17f72");
        expect_hex(CRYPTO_SHA256, parts, 4,
                   "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}

static void rfc7616_section_3_9_1_example_verifies(void **state)
{
    static const struct {
        enum crypto_digest_alg alg;
        const char *response;
    } rows[] = {
        {CRYPTO_MD5, "8ca523f5e9506fed4657c9700eebdbec"},
        {CRYPTO_SHA256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"},
    };
    const struct slice a1[] = {SLICE("Mufasa:http-auth@example.org:Circle of Life")};
    const struct slice a2[] = {SLICE("GET"), SLICE(":"), SLICE("/dir/index.html")};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct crypto_hex ha1, ha2;
        struct slice parts[3];

        assert_int_equal(crypto_digest_hex(rows[i].alg, a1, 1, &ha1), 0);
        assert_int_equal(crypto_digest_hex(rows[i].alg, a2, 3, &ha2), 0);
        parts[0] = crypto_hex_slice(&ha1);
        parts[1] = SLICE(":7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v:00000001:"
                         "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ:auth:");
        parts[2] = crypto_hex_slice(&ha2);
        expect_hex(rows[i].alg, parts, 3, rows[i].response);
    }
}

static void *digest_in_thread(void *arg)
{
    const struct slice abc = SLICE("abc");

    (void)arg;
    for (int i = 0; i < 2000; i++)
        expect_hex(CRYPTO_SHA256, &abc, 1,
                   "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    return NULL;
}

static void threads_do_not_disturb_each_other(void **state)
{
    pthread_t threads[4];

    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, digest_in_thread, NULL), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static int set_up(void **state)
{
    (void)state;
    return crypto_init() || crypto_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(md5_gives_the_vectors_of_rfc1321_a_5),
        cmocka_unit_test(sha256_gives_the_vectors_of_fips_180),
        cmocka_unit_test(sha512_256_gives_the_vectors_of_fips_180),
        cmocka_unit_test(parts_are_joined),
        cmocka_unit_test(rfc7616_section_3_9_1_example_verifies),
        cmocka_unit_test(threads_do_not_disturb_each_other),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
