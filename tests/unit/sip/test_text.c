#include "support.h"

#include "sip/text.h"

static void text_for_a_header_cannot_begin_another_one(void **state)
{
    (void)state;
    static const struct {
        struct slice text;
        bool safe;
    } rows[] = {
        {{"", 0}, true},         {{"a b", 3}, true},          {{"a\tb\x01", 4}, true},
        {{"a\r\n b", 5}, true},                               /* a fold: section 7.3.1 */
        {{"a\r\n\tb", 5}, true}, {{"a\r\n\r\n b", 7}, false}, /* the first CRLF is none */
        {{"a\r\nb", 4}, false},  {{"a\r\n", 3}, false},       {{"a\r", 2}, false},
        {{"a\n b", 4}, false},   {{"a\n", 2}, false},         {{"\r a", 3}, false},
        {{"a\0b", 3}, false},    {{NULL, 0}, true},
    };
    for (size_t i = 0; i < ROWS(rows); i++)
        check_that(sip_text_is_safe(rows[i].text) == rows[i].safe, rows[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_for_a_header_cannot_begin_another_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
