/* The Via parameters of overload control: RFC 7339 sections 4, 7.1 and 9. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "sip/oc.h"

static struct slice text(const char *s)
{
    return slice_from_cstr(s);
}

static void it_is_asked_by_oc_without_a_value_and_loss_among_the_algorithms(void **state)
{
    static const char *const asked[] = {
        ";branch=1;oc;oc-algo=\"loss\"",   ";oc-algo=\"rate,loss\";oc", ";OC;OC-ALGO=\"LOSS\"",
        "; oc ; oc-algo = \"rate, loss\"", ";oc;oc-algo=loss",          ";oc;oc-algo=\"loss\";branch=1"};
    static const char *const not_asked[] = {"",
                                            ";branch=1",
                                            ";oc",
                                            ";oc=5;oc-algo=\"loss\"",
                                            ";oc;oc-algo=\"rate\"",
                                            ";oc;oc-algo=\"lossy,floss\"",
                                            ";ocx;oc-algo=\"loss\"",
                                            ";oc-algo=\"loss\"",
                                            ";ocean;oc-algo=\"loss\"",
                                            ";x=\"oc;oc-algo=loss\""};

    (void)state;
    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++)
        assert_true(sip_oc_is_asked(text(asked[i])));
    for (size_t i = 0; i < sizeof(not_asked) / sizeof(not_asked[0]); i++)
        assert_false(sip_oc_is_asked(text(not_asked[i])));
}

static void what_a_server_says_is_read(void **state)
{
    struct sip_oc oc;

    (void)state;
    assert_true(
        sip_oc_read(text(";branch=1;oc=20;oc-algo=\"loss\";oc-validity=500;oc-seq=1282321615.782"), &oc));
    assert_int_equal(oc.loss_percent, 20);
    assert_int_equal(oc.validity_ms, 500);
    assert_true(oc.has_seq);
    assert_int_equal(oc.seq, 128232161578200);
    assert_true(sip_oc_read(text("; OC = 7 ;oc-algo=\"loss\""), &oc));
    assert_int_equal(oc.loss_percent, 7);
    assert_true(sip_oc_read(text(";oc=0;oc-algo=\"loss\""), &oc));
    assert_int_equal(oc.validity_ms, 500);
    assert_false(oc.has_seq);
}

static void what_cannot_be_used_says_nothing(void **state)
{
    static const char *const bad[] = {"",
                                      ";oc;oc-algo=\"loss\"",
                                      ";oc=101;oc-algo=\"loss\"",
                                      ";oc=-1;oc-algo=\"loss\"",
                                      ";oc=5",
                                      ";oc=5;oc-algo=\"rate\"",
                                      ";oc-validity=500;oc-algo=\"loss\"",
                                      ";oc=5;oc-algo=\"loss\";oc-validity=x",
                                      ";oc=5;oc-algo=\"loss\";oc-seq=1234567890123.1",
                                      ";oc=5;oc-algo=\"loss\";oc-seq=1.123456",
                                      ";oc=5;oc-algo=\"loss\";oc-seq=.5",
                                      ";oc=5;oc-algo=\"loss\";oc-seq=5."};
    struct sip_oc oc = {.loss_percent = 77};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(sip_oc_read(text(bad[i]), &oc));
        assert_int_equal(oc.loss_percent, 77);
    }
}

static void a_sequence_number_is_compared_as_a_number_with_a_fraction(void **state)
{
    static const char *const rising[] = {"1.09", "1.1",     "1.25", "1.5",
                                         "2",    "2.00001", "10.0", "999999999999.99999"};
    uint64_t last = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(rising) / sizeof(rising[0]); i++) {
        char params[80];
        struct sip_oc oc;

        snprintf(params, sizeof(params), ";oc=1;oc-algo=\"loss\";oc-seq=%s", rising[i]);
        assert_true(sip_oc_read(text(params), &oc));
        assert_true(oc.seq > last);
        last = oc.seq;
    }
}

static void what_is_written_can_be_read(void **state)
{
    const struct sip_oc oc = {.loss_percent = 100,
                              .validity_ms = 1000,
                              .seq = 999999999999ull * SIP_OC_SEQ_PARTS + 42,
                              .has_seq = true};
    char memory[SIP_OC_BYTES];
    struct sip_oc again;
    struct buf out;

    (void)state;
    buf_init(&out, memory, sizeof(memory));
    sip_oc_put(&oc, &out);
    assert_false(buf_failed(&out));
    assert_true(slice_eq(buf_slice(&out),
                         SLICE(";oc=100;oc-algo=\"loss\";oc-validity=1000;oc-seq=999999999999.00042")));
    assert_true(sip_oc_read(buf_slice(&out), &again));
    assert_int_equal(again.seq, oc.seq);
}

static void a_via_without_them_is_left_as_it_is_and_from_others_they_are_taken(void **state)
{
    static const char *const pairs[][2] = {
        {"SIP/2.0/UDP a;branch=1", "SIP/2.0/UDP a;branch=1"},
        {"SIP/2.0/UDP a;oc;branch=1;oc-algo=\"loss;oc,A\"", "SIP/2.0/UDP a;branch=1"},
        {"SIP/2.0/UDP a;branch=1 ;oc=5; OC-Validity=9 ;oc-seq=1.1;ocx=2", "SIP/2.0/UDP a;branch=1  ;ocx=2"},
        {"SIP/2.0/UDP a;x=\";oc\";branch=1", "SIP/2.0/UDP a;x=\";oc\";branch=1"},
        {"SIP/2.0/UDP a;branch=1;oc;oc-algo=\"loss\"", "SIP/2.0/UDP a;branch=1"},
        {"SIP/2.0/UDP a;oc;oc-algo=\"loss\";received=192.0.2.1", "SIP/2.0/UDP a;received=192.0.2.1"},
        {"SIP/2.0/UDP a;oc;oc-algo=\"loss\" ;branch=1", "SIP/2.0/UDP a ;branch=1"},
        {"SIP/2.0/UDP a;oc;oc-algo=\"loss\";branch=1;oc-seq=1.1", "SIP/2.0/UDP a;branch=1"},
        {"SIP/2.0/UDP a;x=\";oc\";oc;oc-algo=\"loss\"", "SIP/2.0/UDP a;x=\";oc\""},
    };
    struct arena_pool pool;
    struct arena arena;

    (void)state;
    arena_pool_init(&pool, 1 << 20);
    arena_init(&arena, &pool);
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        struct slice got;

        assert_int_equal(sip_oc_strip(text(pairs[i][0]), &arena, &got), 0);
        assert_int_equal(got.len, strlen(pairs[i][1]));
        assert_memory_equal(got.ptr, pairs[i][1], got.len);
    }
    arena_done(&arena);
    arena_pool_done(&pool);
}

static void without_memory_nothing_is_returned(void **state)
{
    static const char *const vias[] = {"SIP/2.0/UDP a;oc;oc-algo=\"loss\";branch=1",
                                       "SIP/2.0/UDP a;oc;branch=1;oc-algo=\"loss\""};
    struct arena_pool pool;
    struct arena arena;

    (void)state;
    arena_pool_init(&pool, 0);
    arena_init(&arena, &pool);
    for (size_t i = 0; i < sizeof(vias) / sizeof(vias[0]); i++) {
        struct slice got = SLICE_NULL;

        assert_int_equal(sip_oc_strip(text(vias[i]), &arena, &got), ERR_NOMEM);
        assert_true(slice_is_null(got));
    }
    arena_done(&arena);
    arena_pool_done(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_asked_by_oc_without_a_value_and_loss_among_the_algorithms),
        cmocka_unit_test(what_a_server_says_is_read),
        cmocka_unit_test(what_cannot_be_used_says_nothing),
        cmocka_unit_test(a_sequence_number_is_compared_as_a_number_with_a_fraction),
        cmocka_unit_test(what_is_written_can_be_read),
        cmocka_unit_test(a_via_without_them_is_left_as_it_is_and_from_others_they_are_taken),
        cmocka_unit_test(without_memory_nothing_is_returned),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
