#include "config/suggest.h"
#include "config_test.h"

static void distance_counts_single_slips(void **state)
{
    static const struct {
        const char *a, *b;
        size_t distance;
    } cases[] = {
        {"", "", 0},
        {"", "abc", 3},
        {"abc", "", 3},
        {"listen", "listen", 0},
        {"listener", "listeners", 1},   /* left out */
        {"listenerss", "listeners", 1}, /* added */
        {"listaners", "listeners", 1},  /* changed */
        {"lsiteners", "listeners", 1},  /* swapped */
        {"kitten", "sitting", 3},
        {"Record-Route", "record_route", 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct slice a = slice_from_cstr(cases[i].a), b = slice_from_cstr(cases[i].b);

        assert_int_equal(suggest_distance(a, b), cases[i].distance);
        assert_int_equal(suggest_distance(b, a), cases[i].distance);
    }
}

static void long_words_are_not_compared(void **state)
{
    char word[SUGGEST_MAX_BYTES + 1];

    (void)state;
    memset(word, 'a', sizeof(word));
    assert_true(suggest_distance(slice_make(word, sizeof(word)), SLICE("a")) == SIZE_MAX);
    assert_true(suggest_distance(SLICE("a"), slice_make(word, sizeof(word))) == SIZE_MAX);
    assert_int_equal(suggest_distance(slice_make(word, sizeof(word) - 1), SLICE("a")), sizeof(word) - 2);
}

static const char *best_of(const char *word, const char *a, const char *b)
{
    struct suggest s = {.word = slice_from_cstr(word)};

    suggest_consider(&s, a);
    suggest_consider(&s, b);
    return s.best;
}

static void only_what_is_close_is_suggested(void **state)
{
    (void)state;
    assert_string_equal(best_of("timer_d", "grace", "timer_c"), "timer_c");
    assert_string_equal(best_of("gace", "grace", "timer_c"), "grace");
    assert_string_equal(best_of("min_expire", "min_expires", "max_expires"), "min_expires");
    assert_string_equal(best_of("min_expire", "max_expires", "min_expires"), "min_expires");
    assert_null(best_of("xy", "t1", "t2"));
    assert_null(best_of("d", "t", "u"));
    assert_null(best_of("max_transactions", "transactions", "connections"));
    assert_null(best_of("", "t1", "t2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distance_counts_single_slips),
        cmocka_unit_test(long_words_are_not_compared),
        cmocka_unit_test(only_what_is_close_is_suggested),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
