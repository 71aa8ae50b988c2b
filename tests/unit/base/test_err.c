#include "base/err.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs those above. */
#include <cmocka.h>

#include <string.h>

static void every_error_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int e = ERR_STALE; e <= ERR_OK; e++) {
        assert_non_null(err_name(e));
        for (int f = ERR_STALE; f < e; f++)
            assert_string_not_equal(err_name(e), err_name(f));
    }
}

static void unknown_errors_are_named_too(void **state)
{
    (void)state;
    assert_string_equal(err_name(1), "unknown error");
    assert_string_equal(err_name(ERR_STALE - 1), "unknown error");
    assert_string_equal(err_name(-2147483647 - 1), "unknown error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_has_a_name_of_its_own),
        cmocka_unit_test(unknown_errors_are_named_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
