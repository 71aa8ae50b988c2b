#include "base/pattern.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs those above. */
#include <cmocka.h>

#define S(text) slice_from_cstr(text)

static void a_pattern_matches_the_whole_text_or_not_at_all(void **state)
{
    static const struct {
        const char *pattern, *text;
        bool is_match;
    } rows[] = {
        {"bob", "bob", true},
        {"bob", "bobby", false},
        {"bob", "bo", false},
        {"bob", "Bob", false},
        {"+49*", "+49", true},
        {"+49*", "+4930", true},
        {"+49*", "+43", false},
        {"*", "", true},
        {"*9", "9", true},
        {"*9", "99", true},
        {"*9", "98", false},
        {"a*b*c", "aXbYbc", true},
        {"a*b*c", "aXbYb", false},
        {"0[1-9]*", "030", true},
        {"0[1-9]*", "0049", false},
        {"[!0-9]*", "bob", true},
        {"[!0-9]*", "1", false},
        {"[*]97", "*97", true},
        {"[*]97", "x97", false},
        {"???", "123", true},
        {"???", "12", false},
        {"[a-]", "-", true},
        {"[]]", "]", true},
        {"[!]]", "]", false},
        {"a**b", "ab", true},
        {"?*", "", false},
        {"[0-9][0-9]", "42", true},
        {"*ab*ab*", "ab-aab", true},
        {"*ab*ab*", "ab-a-b", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_true(pattern_is_valid(S(rows[i].pattern)));
        if (pattern_matches(S(rows[i].pattern), S(rows[i].text), PATTERN_CASE) != rows[i].is_match)
            fail_msg("%s against %s", rows[i].pattern, rows[i].text);
    }
    assert_true(pattern_matches(S("GOLD*"), S("golden"), PATTERN_NOCASE));
    assert_true(pattern_matches(S("[A-C]x"), S("bX"), PATTERN_NOCASE));
}

static void what_is_no_pattern(void **state)
{
    static const char *const bad[] = {"", "[", "[]", "[!]", "[a", "a[9-0]", "x[]"};
    char longest[PATTERN_MAX_BYTES + 1];

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (pattern_is_valid(S(bad[i])))
            fail_msg("%s is taken", bad[i]);
    memset(longest, 'a', sizeof(longest));
    assert_true(pattern_is_valid(slice_make(longest, PATTERN_MAX_BYTES)));
    assert_false(pattern_is_valid(slice_make(longest, PATTERN_MAX_BYTES + 1)));
}

/* The pattern that makes others take time exponential in the number of its stars. */
static void no_pattern_makes_a_text_slow(void **state)
{
    char pattern[PATTERN_MAX_BYTES], text[4096];

    (void)state;
    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = i % 2 == 0 ? '*' : 'a';
    pattern[sizeof(pattern) - 1] = 'b';
    memset(text, 'a', sizeof(text));
    for (int i = 0; i < 100; i++)
        assert_false(pattern_matches(slice_make(pattern, sizeof(pattern)), slice_make(text, sizeof(text)),
                                     PATTERN_CASE));
}

static void beginnings(void **state)
{
    (void)state;
    assert_int_equal(pattern_literal_bytes(S("+49*")), 3);
    assert_int_equal(pattern_literal_bytes(S("bob")), 3);
    assert_int_equal(pattern_literal_bytes(S("0[1-9]")), 1);
    assert_int_equal(pattern_literal_bytes(S("*")), 0);
    assert_true(pattern_is_simple(S("+49*")));
    assert_true(pattern_is_simple(S("bob")));
    assert_false(pattern_is_simple(S("+49*9")));
    assert_false(pattern_is_simple(S("?")));
}

static void one_pattern_covers_another_only_when_that_is_certain(void **state)
{
    static const struct {
        const char *a, *b;
        bool covers;
    } rows[] = {
        {"*", "bob", true},       {"*", "[0-9]", true},       {"+49*", "+4930*", true},
        {"+49*", "+49", true},    {"+49*", "+4*", false},     {"+4930*", "+49*", false},
        {"bob", "bob", true},     {"bob", "bob*", false},     {"bob", "bobby", false},
        {"0[1-9]*", "030", true}, {"0[1-9]*", "00", false},   {"0[1-9]*", "03*", false},
        {"+49*", "+49?", true},   {"[0-9]*", "[0-9]*", true}, {"bob*", "bob", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (pattern_covers(S(rows[i].a), S(rows[i].b), PATTERN_CASE) != rows[i].covers)
            fail_msg("%s over %s", rows[i].a, rows[i].b);
    assert_true(pattern_covers(S("Gold*"), S("gOLDen"), PATTERN_NOCASE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pattern_matches_the_whole_text_or_not_at_all),
        cmocka_unit_test(what_is_no_pattern),
        cmocka_unit_test(no_pattern_makes_a_text_slow),
        cmocka_unit_test(beginnings),
        cmocka_unit_test(one_pattern_covers_another_only_when_that_is_certain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
