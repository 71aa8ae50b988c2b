#include "base/counter.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs those above. */
#include <cmocka.h>

#include <string.h>

static void every_counter_has_a_name_of_its_own_and_a_help(void **state)
{
    (void)state;
    for (int i = 0; i < COUNTER_COUNT; i++) {
        assert_true(strlen(counter_name((enum counter)i)) > 0);
        assert_true(strlen(counter_help((enum counter)i)) > 0);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(counter_name((enum counter)i), counter_name((enum counter)j));
    }
}

static void counts(void **state)
{
    struct counters c = {0};

    (void)state;
    counter_inc(&c, COUNTER_RX_DATAGRAMS);
    counter_add(&c, COUNTER_RX_DATAGRAMS, 41);
    assert_int_equal(counter_get(&c, COUNTER_RX_DATAGRAMS), 42);
    assert_int_equal(counter_get(&c, COUNTER_RX_MESSAGES), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_counter_has_a_name_of_its_own_and_a_help),
        cmocka_unit_test(counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
