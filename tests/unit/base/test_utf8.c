#include "base/utf8.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs those above. */
#include <cmocka.h>

#define ROW(literal)                                                                                         \
    {                                                                                                        \
        literal, sizeof(literal) - 1                                                                         \
    }

static void accepts_every_form_of_rfc3629_section_4_to_its_borders(void **state)
{
    static const struct slice rows[] = {
        ROW(""),
        ROW("ASCII \x01\x7f"),
        ROW("a\0b"),
        ROW("\xC2\x80 \xDF\xBF"),
        ROW("\xE0\xA0\x80 \xE0\xBF\xBF"),
        ROW("\xE1\x80\x80 \xEC\xBF\xBF"),
        ROW("\xED\x80\x80 \xED\x9F\xBF"),
        ROW("\xEE\x80\x80 \xEF\xBF\xBF"),
        ROW("\xF0\x90\x80\x80 \xF0\xBF\xBF\xBF"),
        ROW("\xF1\x80\x80\x80 \xF3\xBF\xBF\xBF"),
        ROW("\xF4\x80\x80\x80 \xF4\x8F\xBF\xBF"),
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_true(utf8_is_valid(rows[i]));
}

static void refuses_what_is_overlong_a_surrogate_too_high_or_cut_off(void **state)
{
    static const struct slice rows[] = {
        ROW("\x80"),
        ROW("\xBF"),
        ROW("\xC0\x80"),
        ROW("\xC1\xBF"),
        ROW("\xC2"),
        ROW("\xC2\x7F"),
        ROW("\xC2\xC0"),
        ROW("\xE0\x9F\xBF"),
        ROW("\xE1\x80"),
        ROW("\xE1\x80\x7F"),
        ROW("\xED\xA0\x80"),
        ROW("\xF0\x8F\xBF\xBF"),
        ROW("\xF1\x80\x80"),
        ROW("\xF1\x80\x80\xC0"),
        ROW("\xF4\x90\x80\x80"),
        ROW("\xF5\x80\x80\x80"),
        ROW("\xFF"),
        ROW("good, then \xFE"),
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_false(utf8_is_valid(rows[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_every_form_of_rfc3629_section_4_to_its_borders),
        cmocka_unit_test(refuses_what_is_overlong_a_surrogate_too_high_or_cut_off),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
