#include "location/date.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

static void check(unix_s_t now_s, const char *want)
{
    char date[LOCATION_DATE_BYTES];
    struct slice text = location_date_format(now_s, date);

    assert_int_equal(text.len, strlen(want));
    assert_memory_equal(text.ptr, want, text.len);
}

static void test_date_is_rfc1123_s20_17(void **state)
{
    (void)state;
    check(784111777, "Sun, 06 Nov 1994 08:49:37 GMT");
    check(0, "Thu, 01 Jan 1970 00:00:00 GMT");
    check(253402300799, "Fri, 31 Dec 9999 23:59:59 GMT");
}

/* Five centuries: every leap year there is a rule for. */
static void test_every_day_is_the_calendars(void **state)
{
    (void)state;
    for (time_t day = 0; day < 500 * 366; day++) {
        time_t seconds = day * 86400 + day % 86400;
        char want[64];
        struct tm tm;

        gmtime_r(&seconds, &tm);
        strftime(want, sizeof(want), "%a, %d %b %Y %H:%M:%S GMT", &tm);
        check(seconds, want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_date_is_rfc1123_s20_17),
        cmocka_unit_test(test_every_day_is_the_calendars),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
