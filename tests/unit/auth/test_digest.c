/* Credentials: RFC 7616 sections 3.3 to 3.5 and 3.9, RFC 3261 section 22.4, RFC 8760. */
#include "auth/digest.h"
#include "crypto/crypto.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static struct arena_pool pool;
static struct arena arena;

static int set_up(void **state)
{
    (void)state;
    arena_pool_init(&pool, 1 << 20);
    arena_init(&arena, &pool);
    return crypto_init();
}

static int tear_down(void **state)
{
    (void)state;
    arena_done(&arena);
    arena_pool_done(&pool);
    return 0;
}

#define MUFASA                                                                                               \
    "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", uri=\"/dir/index.html\", nc=00000001, "    \
    "qop=auth,"                                                                                              \
    " nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\","                                               \
    " cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", "
/* The response printed in RFC 7616 section 3.9.2 is of a cut-off SHA-512; erratum 4897 has this one. */
#define JASON                                                                                                \
    "Digest username=\"J\303\244s\303\270n Doe\", realm=\"api@example.org\", uri=\"/doe.json\", "            \
    "nc=00000001, qop=auth,"                                                                                 \
    " nonce=\"5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK\","                                               \
    " cnonce=\"NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v\", "

static const struct {
    const char *name, *value, *password, *method;
} right[] = {
    {"7616 3.9.1: MD5", MUFASA "algorithm=MD5, response=\"8ca523f5e9506fed4657c9700eebdbec\"",
     "Circle of Life", "GET"},
    {"7616 3.3: no algorithm is MD5", MUFASA "response=\"8ca523f5e9506fed4657c9700eebdbec\"",
     "Circle of Life", "GET"},
    {"7616 3.9.1: SHA-256",
     MUFASA
     "algorithm=SHA-256, response=\"753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1\"",
     "Circle of Life", "GET"},
    {"7616 3.9.2: SHA-512-256",
     JASON
     "algorithm=SHA-512-256, response=\"3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5\"",
     "Secret, or not?", "GET"},
    {"2617 3.2.2.1: without qop",
     "Digest username=\"bob\", realm=\"biloxi.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\","
     " uri=\"sip:bob@biloxi.com\", response=\"bf57e4e0d0bffc0fbaedce64d59add5e\"",
     "zanzibar", "INVITE"},
};

static struct auth_credentials parse(const char *value)
{
    struct auth_credentials c;
    int rc = auth_credentials_parse(slice_from_cstr(value), &arena, &c);

    if (rc != 0)
        fail_msg("%d: %s", rc, value);
    return c;
}

static int verify(const char *value, const char *password, const char *method)
{
    struct auth_credentials c = parse(value);
    struct crypto_hex ha1;

    assert_true(c.is_known);
    assert_int_equal(auth_digest_ha1(c.alg, c.username, c.realm, slice_from_cstr(password), &ha1), 0);
    return auth_credentials_verify(&c, &ha1, slice_from_cstr(method));
}

static void test_7616_3_9_examples(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
        if (verify(right[i].value, right[i].password, right[i].method) != 0)
            fail_msg("%s", right[i].name);
        assert_int_equal(verify(right[i].value, "another", right[i].method), ERR_DENIED);
        assert_int_equal(verify(right[i].value, right[i].password, "BYE"), ERR_DENIED);
    }
}

static void test_whatever_is_digested_counts(void **state)
{
    static const char *const edits[][2] = {
        {"index", "other"}, {"00000001", "00000002"}, {"7ypf", "7ypg"}, {"f2/w", "f2/x"}, {"8ca5", "8ca6"}};
    char value[1024];

    (void)state;
    for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
        char *at;

        snprintf(value, sizeof(value), "%s", right[0].value);
        at = strstr(value, edits[i][0]);
        assert_non_null(at);
        memcpy(at, edits[i][1], strlen(edits[i][1]));
        assert_int_equal(verify(value, "Circle of Life", "GET"), ERR_DENIED);
    }
    assert_int_equal(verify(MUFASA "response=\"8ca523f5e9506fed4657c9700eebdbe\"", "Circle of Life", "GET"),
                     ERR_DENIED);
    assert_int_equal(verify(MUFASA "response=\"\"", "Circle of Life", "GET"), ERR_DENIED);
}

#define REQUIRED "username=\"u\", realm=\"r\", nonce=\"n\", uri=\"sip:h\", response=\"00\""

static void test_7616_3_4_5_quotes_and_escapes_are_taken_off(void **state)
{
    struct auth_credentials c = parse("dIgEsT  username=\"a \\\"b\\\\ c\" ,realm=\"\",\r\n\tnonce=\"n,=\\n\" "
                                      ", URI=\"sip:h\",response=\"00\",algorithm=\"sha-256\"");

    (void)state;
    assert_true(slice_eq(c.username, SLICE("a \"b\\ c")));
    assert_int_equal(c.realm.len, 0);
    assert_true(slice_eq(c.nonce, SLICE("n,=n")));
    assert_true(slice_eq(c.uri, SLICE("sip:h")));
    assert_int_equal(c.alg, CRYPTO_SHA256);
    assert_true(c.is_known);
    assert_false(c.has_qop);
    assert_int_equal(c.nc, 0);
}

static void test_unknown_parameters_and_algorithms_pass(void **state)
{
    struct auth_credentials c =
        parse("Digest " REQUIRED ", opaque=\"x\", frobnicate=yes, algorithm=MD5-sess");

    (void)state;
    assert_false(c.is_known);
    assert_int_equal(parse("Digest qop=auth, nc=0000000A, cnonce=\"\", " REQUIRED).nc, 10);
}

static const struct {
    const char *name, *value;
    int rc;
} bad[] = {
    {"22: Basic is not accepted", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", ERR_UNSUPPORTED},
    {"4475 3.3.7: an unknown scheme", "NoOneKnowsThisScheme opaque-data=here", ERR_UNSUPPORTED},
    {"nothing", "", ERR_UNSUPPORTED},
    {"scheme alone", "Digest", ERR_SYNTAX},
    {"no parameters", "Digest ", ERR_SYNTAX},
    {"7616 3.4: no username", "Digest realm=\"r\", nonce=\"n\", uri=\"sip:h\", response=\"00\"", ERR_SYNTAX},
    {"7616 3.4: no realm", "Digest username=\"u\", nonce=\"n\", uri=\"sip:h\", response=\"00\"", ERR_SYNTAX},
    {"7616 3.4: no nonce", "Digest username=\"u\", realm=\"r\", uri=\"sip:h\", response=\"00\"", ERR_SYNTAX},
    {"7616 3.4: no uri", "Digest username=\"u\", realm=\"r\", nonce=\"n\", response=\"00\"", ERR_SYNTAX},
    {"7616 3.4: no response", "Digest username=\"u\", realm=\"r\", nonce=\"n\", uri=\"sip:h\"", ERR_SYNTAX},
    {"twice", "Digest " REQUIRED ", realm=\"r\"", ERR_SYNTAX},
    {"no quote at the end", "Digest " REQUIRED ", cnonce=\"x", ERR_SYNTAX},
    {"a quote that is escaped", "Digest " REQUIRED ", cnonce=\"x\\\"", ERR_SYNTAX},
    {"no value", "Digest " REQUIRED ", cnonce=", ERR_SYNTAX},
    {"no equals", "Digest " REQUIRED ", cnonce", ERR_SYNTAX},
    {"no comma", "Digest " REQUIRED " cnonce=\"x\"", ERR_SYNTAX},
    {"7616 3.4: a qop that was not offered", "Digest " REQUIRED ", qop=auth-int, nc=00000001, cnonce=\"x\"",
     ERR_SYNTAX},
    {"7616 3.4: qop without cnonce", "Digest " REQUIRED ", qop=auth, nc=00000001", ERR_SYNTAX},
    {"7616 3.4: qop without nc", "Digest " REQUIRED ", qop=auth, cnonce=\"x\"", ERR_SYNTAX},
    {"7616 3.4: nc is eight digits", "Digest " REQUIRED ", qop=auth, nc=1, cnonce=\"x\"", ERR_SYNTAX},
    {"7616 3.4: nc is hexadecimal", "Digest " REQUIRED ", qop=auth, nc=0000000g, cnonce=\"x\"", ERR_SYNTAX},
    {"7616 3.4: nc counts from 1", "Digest " REQUIRED ", qop=auth, nc=00000000, cnonce=\"x\"", ERR_SYNTAX},
};

static void test_what_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct auth_credentials c;
        int rc = auth_credentials_parse(slice_from_cstr(bad[i].value), &arena, &c);

        /* What cannot be an answer to us may still be one to somebody else (RFC 3261 section 22.3). */
        if (rc != bad[i].rc &&
            !(rc == 0 && !c.is_complete && bad[i].rc == ERR_SYNTAX && strstr(bad[i].name, "7616 3.4")))
            fail_msg("%s: %d", bad[i].name, rc);
    }
}

static void test_every_cut_of_credentials_is_survived(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
        struct slice whole = slice_from_cstr(right[i].value);

        for (size_t len = 0; len < whole.len; len++) {
            struct auth_credentials c;
            /* In a block of its own, so that a step too far is seen. */
            struct slice cut = arena_dup(&arena, slice_sub(whole, 0, len));

            assert_true(auth_credentials_parse(cut, &arena, &c) != 0 || !c.is_complete);
        }
        arena_reset(&arena);
    }
}

static void test_without_memory_for_escapes(void **state)
{
    struct arena_pool none;
    struct arena empty;
    struct auth_credentials c;

    (void)state;
    arena_pool_init(&none, 0);
    arena_init(&empty, &none);
    assert_int_equal(auth_credentials_parse(SLICE("Digest " REQUIRED ", cnonce=\"\\x\""), &empty, &c),
                     ERR_NOMEM);
    assert_int_equal(auth_credentials_parse(SLICE("Digest " REQUIRED ", cnonce=\"x\""), &empty, &c), 0);
    arena_done(&empty);
    arena_pool_done(&none);
}

static void test_7616_3_3_a_challenge_quotes_what_must_be_quoted(void **state)
{
    char memory[256];
    struct buf b;

    (void)state;
    buf_init(&b, memory, sizeof(memory));
    auth_challenge_put(&b, SLICE("example.com"), SLICE("abc"), CRYPTO_SHA512_256, true);
    assert_true(slice_eq(
        buf_slice(&b),
        SLICE(
            "Digest realm=\"example.com\", nonce=\"abc\", algorithm=SHA-512-256, qop=\"auth\", stale=true")));
    buf_init(&b, memory, sizeof(memory));
    auth_challenge_put(&b, SLICE("example.com"), SLICE("abc"), CRYPTO_MD5, false);
    assert_true(slice_eq(buf_slice(&b),
                         SLICE("Digest realm=\"example.com\", nonce=\"abc\", algorithm=MD5, qop=\"auth\"")));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_7616_3_9_examples),
        TEST(test_whatever_is_digested_counts),
        TEST(test_7616_3_4_5_quotes_and_escapes_are_taken_off),
        TEST(test_unknown_parameters_and_algorithms_pass),
        TEST(test_what_is_refused),
        TEST(test_every_cut_of_credentials_is_survived),
        TEST(test_without_memory_for_escapes),
        TEST(test_7616_3_3_a_challenge_quotes_what_must_be_quoted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
