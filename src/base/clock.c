#include "base/clock.h"
#include <time.h>

ms_t clock_monotonic_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (ms_t)now.tv_sec * 1000 + (ms_t)now.tv_nsec / 1000000;
}

unix_s_t clock_unix_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec;
}
