#include "base/clock.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs those above. */
#include <cmocka.h>

#include <time.h>

static void monotonic_goes_forward_in_milliseconds(void **state)
{
    const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
    ms_t before = clock_monotonic_ms(), after;

    (void)state;
    nanosleep(&pause, NULL);
    after = clock_monotonic_ms();
    assert_true(after - before >= 19 && after - before < 5000);
}

static void calendar_is_that_of_the_system(void **state)
{
    unix_s_t before = time(NULL), now = clock_unix_s();

    (void)state;
    assert_true(now >= before && now <= before + 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(monotonic_goes_forward_in_milliseconds),
        cmocka_unit_test(calendar_is_that_of_the_system),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
