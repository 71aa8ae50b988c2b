#include "location/date.h"
#include <assert.h>
#include <string.h>

/* Every REGISTER is answered with one, and printf and gmtime_r are a tenth of what such an answer costs. */

#define DAY_S             86400
#define DAYS_PER_400Y     146097
#define DAYS_BEFORE_MARCH 719468 /* from 1 March of the year 0 to 1 January 1970 */

struct civil {
    unsigned year, month, day; /* month: 0 is January */
};

/* The year is counted from March, so that the day that may be missing is its last; the lengths of the months
 * from then on are 153 days in each five. */
static struct civil civil_of(unsigned days)
{
    unsigned since = days + DAYS_BEFORE_MARCH, era = since / DAYS_PER_400Y, of_era = since % DAYS_PER_400Y;
    unsigned year = (of_era - of_era / 1460 + of_era / 36524 - of_era / (DAYS_PER_400Y - 1)) / 365;
    unsigned of_year = of_era - (365 * year + year / 4 - year / 100), march = (5 * of_year + 2) / 153;
    unsigned month = (march + 2) % 12;

    return (struct civil){
        .year = 400 * era + year + (month < 2), .month = month, .day = of_year - (153 * march + 2) / 5 + 1};
}

static void put_two(char *out, unsigned value)
{
    out[0] = (char)('0' + value / 10);
    out[1] = (char)('0' + value % 10);
}

struct slice location_date_format(unix_s_t now_s, char out[LOCATION_DATE_BYTES])
{
    static const char days[] = "ThuFriSatSunMonTueWed"; /* 1 January 1970 was a Thursday */
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    unsigned day = (unsigned)(now_s / DAY_S), second = (unsigned)(now_s % DAY_S);
    struct civil civil = civil_of(day);

    assert(now_s >= 0);
    memcpy(out, "Thu, 01 Jan 1970 00:00:00 GMT", LOCATION_DATE_BYTES);
    memcpy(out, days + 3 * (size_t)(day % 7), 3);
    put_two(out + 5, civil.day);
    memcpy(out + 8, months + 3 * (size_t)civil.month, 3);
    put_two(out + 12, civil.year / 100);
    put_two(out + 14, civil.year % 100);
    put_two(out + 17, second / 3600);
    put_two(out + 20, second / 60 % 60);
    put_two(out + 23, second % 60);
    return slice_make(out, LOCATION_DATE_BYTES);
}
