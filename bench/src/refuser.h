/* The yardstick of overload: what the kernel alone takes for a refusal. Each datagram that is no ACK goes
 * back to where it came from with "SIP/2.0 503 Service Unavailable" in the place of its first line, those of
 * one length and one batch as one train (UDP_SEGMENT); ACKs are thrown away. Nothing else is looked at,
 * nothing remembered, nothing copied. */
#ifndef BENCH_REFUSER_H
#define BENCH_REFUSER_H

#include "base/addr.h"
#include <signal.h>

/* Until *stop. Returns a code of sysexits.h. */
int refuser_run(const struct addr *listen, const volatile sig_atomic_t *stop);

#endif
