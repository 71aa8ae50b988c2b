/* Time. The core never asks for the time: it is told, in milliseconds of a clock that only goes forward
 * (ms_t), and in seconds of the calendar (unix_s_t) where a stored expiry must survive a restart. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

typedef uint64_t ms_t;
typedef int64_t unix_s_t;

#define MS_NEVER UINT64_MAX

ms_t clock_monotonic_ms(void);
/* The same in microseconds, for measuring. */
uint64_t clock_monotonic_us(void);
unix_s_t clock_unix_s(void);
/* Of the calendar too, and it may go backward: the clock that the kernel stamps datagrams by. */
uint64_t clock_unix_us(void);

#endif
