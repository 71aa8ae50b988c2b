/* Nonces: each count of each is good once, in bounded memory, whoever asks. RFC 7616 sections 3.3, 3.4
 * and 5.4. */
#include "auth/nonce.h"
#include "base/mem.h"
#include "crypto/crypto.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define NOW      1000000
#define LIFETIME 300
#define REALM    SLICE("example.com")

struct nonce {
    char text[AUTH_NONCE_TEXT_BYTES];
};

static struct auth_nonces *nonces;

static int set_up(void **state)
{
    (void)state;
    return crypto_init() == 0 ? auth_nonces_new(LIFETIME, 1024, &nonces) : -1;
}

static int tear_down(void **state)
{
    (void)state;
    auth_nonces_free(nonces);
    assert_int_equal(mem_held_bytes(), 0);
    return 0;
}

static struct slice issue_at(struct nonce *n, unix_s_t at_s)
{
    struct buf b;

    buf_init(&b, n->text, sizeof(n->text));
    auth_nonce_issue(nonces, REALM, (ms_t)at_s * 1000, &b);
    assert_false(buf_failed(&b));
    return buf_slice(&b);
}

static enum auth_nonce_state use(struct slice text, uint32_t nc, unix_s_t at_s)
{
    return auth_nonce_use(nonces, text, REALM, nc, (ms_t)at_s * 1000);
}

static void test_a_count_is_good_once(void **state)
{
    struct nonce n;
    struct slice text = issue_at(&n, NOW);

    (void)state;
    assert_int_equal(text.len, AUTH_NONCE_TEXT_BYTES);
    assert_int_equal(use(text, 1, NOW), AUTH_NONCE_GOOD);
    assert_int_equal(use(text, 1, NOW), AUTH_NONCE_REPLAY);
    assert_int_equal(use(text, 2, NOW), AUTH_NONCE_GOOD);
    assert_int_equal(use(text, 2, NOW), AUTH_NONCE_REPLAY);
    assert_int_equal(use(text, 1, NOW), AUTH_NONCE_REPLAY);
    assert_int_equal(use(text, UINT32_MAX, NOW), AUTH_NONCE_GOOD);
    assert_int_equal(use(text, UINT32_MAX, NOW), AUTH_NONCE_REPLAY);
    assert_int_equal(use(text, 3, NOW), AUTH_NONCE_REPLAY);
}

static void test_counts_may_come_out_of_order_within_a_window(void **state)
{
    static const struct {
        uint32_t nc;
        enum auth_nonce_state state;
    } uses[] = {{5, AUTH_NONCE_GOOD},    {3, AUTH_NONCE_GOOD},    {4, AUTH_NONCE_GOOD},
                {3, AUTH_NONCE_REPLAY},  {5, AUTH_NONCE_REPLAY},  {68, AUTH_NONCE_GOOD},
                {5, AUTH_NONCE_REPLAY},  {6, AUTH_NONCE_GOOD},    {6, AUTH_NONCE_REPLAY},
                {200, AUTH_NONCE_GOOD},  {68, AUTH_NONCE_REPLAY}, {137, AUTH_NONCE_GOOD},
                {136, AUTH_NONCE_REPLAY}};
    struct nonce n;
    struct slice text = issue_at(&n, NOW);

    (void)state;
    for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++) {
        if (use(text, uses[i].nc, NOW) != uses[i].state)
            fail_msg("use %zu: nc %u", i, uses[i].nc);
    }
}

static void test_without_qop_a_nonce_is_good_once(void **state)
{
    struct nonce n;
    struct slice text = issue_at(&n, NOW);

    (void)state;
    assert_int_equal(use(text, 0, NOW), AUTH_NONCE_GOOD);
    assert_int_equal(use(text, 0, NOW), AUTH_NONCE_REPLAY);
    assert_int_equal(use(text, 1, NOW), AUTH_NONCE_REPLAY);
}

static void test_a_nonce_has_its_time(void **state)
{
    struct nonce n;
    struct slice text = issue_at(&n, NOW);

    (void)state;
    assert_int_equal(use(text, 1, NOW + LIFETIME), AUTH_NONCE_GOOD);
    assert_int_equal(use(text, 2, NOW + LIFETIME + 1), AUTH_NONCE_STALE);
}

static void test_what_we_did_not_issue_is_stale(void **state)
{
    struct auth_nonces *others;
    struct nonce n;
    struct slice text = issue_at(&n, NOW);

    (void)state;
    assert_int_equal(use(SLICE(""), 1, NOW), AUTH_NONCE_STALE);
    assert_int_equal(use(SLICE("dcd98b7102dd2f0e8b11d0f600bfb0c093"), 1, NOW), AUTH_NONCE_STALE);
    assert_int_equal(auth_nonce_use(nonces, text, SLICE("example.net"), 1, NOW * 1000), AUTH_NONCE_STALE);
    for (size_t i = 0; i < text.len; i++) {
        char before = n.text[i];

        n.text[i] = before == 'A' ? 'B' : 'A';
        assert_int_equal(use(text, 1, NOW), AUTH_NONCE_STALE);
        n.text[i] = before;
        assert_int_equal(use(slice_sub(text, 0, i), 1, NOW), AUTH_NONCE_STALE);
    }
    assert_int_equal(auth_nonces_new(LIFETIME, 64, &others), 0); /* as after a restart */
    assert_int_equal(auth_nonce_use(others, text, REALM, 1, NOW * 1000), AUTH_NONCE_STALE);
    auth_nonces_free(others);
    assert_int_equal(use(text, 1, NOW), AUTH_NONCE_GOOD);
}

#define MANY 20000

/* A table that has forgotten most of what it saw must still never take a count twice. */
static void test_what_was_forgotten_is_stale_and_never_good_again(void **state)
{
    static struct nonce all[MANY];
    unsigned replays = 0, stale = 0;

    (void)state;
    for (size_t i = 0; i < MANY; i++) {
        struct slice text = issue_at(&all[i], NOW + (unix_s_t)i / 500);

        assert_int_equal(use(text, 1, NOW + (unix_s_t)i / 500), AUTH_NONCE_GOOD);
    }
    for (size_t i = 0; i < MANY; i++) {
        struct slice text = slice_make(all[i].text, AUTH_NONCE_TEXT_BYTES);

        switch (use(text, 1, NOW + MANY / 500)) {
        case AUTH_NONCE_GOOD:
            fail_msg("nonce %zu was taken twice", i);
            break;
        case AUTH_NONCE_STALE:
            stale++;
            break;
        case AUTH_NONCE_REPLAY:
            replays++;
            break;
        }
    }
    assert_true(replays > 0 && replays <= 1024);
    assert_int_equal(replays + stale, MANY);
}

#define THREADS 4
#define COUNTS  2000

struct race {
    struct slice text;
    atomic_uint good[COUNTS + 1];
};

static void *use_all(void *ctx)
{
    struct race *r = ctx;

    for (uint32_t nc = 1; nc <= COUNTS; nc++) {
        if (use(r->text, nc, NOW) == AUTH_NONCE_GOOD)
            atomic_fetch_add(&r->good[nc], 1);
    }
    return NULL;
}

static void test_of_many_threads_one_gets_each_count(void **state)
{
    static struct race race;
    struct nonce n;
    pthread_t threads[THREADS];
    unsigned good = 0;

    (void)state;
    race.text = issue_at(&n, NOW);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_all, &race), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (uint32_t nc = 1; nc <= COUNTS; nc++) {
        assert_in_range(race.good[nc], 0, 1);
        good += race.good[nc];
    }
    assert_in_range(good, COUNTS / 2, COUNTS);
}

static void test_no_two_nonces_are_alike(void **state)
{
    static struct nonce seen[500];

    (void)state;
    for (size_t i = 0; i < 500; i++) {
        (void)issue_at(&seen[i], NOW);
        for (size_t k = 0; k < i; k++)
            assert_memory_not_equal(seen[i].text, seen[k].text, AUTH_NONCE_TEXT_BYTES);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_count_is_good_once),
        TEST(test_counts_may_come_out_of_order_within_a_window),
        TEST(test_without_qop_a_nonce_is_good_once),
        TEST(test_a_nonce_has_its_time),
        TEST(test_what_we_did_not_issue_is_stale),
        TEST(test_what_was_forgotten_is_stale_and_never_good_again),
        TEST(test_of_many_threads_one_gets_each_count),
        TEST(test_no_two_nonces_are_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
