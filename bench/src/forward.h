/* The yardstick: a process that receives datagrams and sends each to the other of two parties, in batches, and
 * looks into none of them. Whatever forwards SIP over UDP costs at least this. */
#ifndef BENCH_FORWARD_H
#define BENCH_FORWARD_H

#include "base/addr.h"
#include <signal.h>

/* Until *stop. Returns a code of sysexits.h. */
int forward_run(const struct addr *listen, const struct addr *left, const struct addr *right,
                const volatile sig_atomic_t *stop);

#endif
