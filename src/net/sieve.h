/* Datagrams that nobody would do more with than drop them are dropped by the kernel, before they cost a
 * place in the queue, the time to be read, and a look: it asks a program (a classic packet filter,
 * SO_ATTACH_FILTER). They are those that begin with `start` and hold `mark`, which is so long and drawn by
 * lot that nothing else holds it by chance.
 *
 * All else passes, and of those some: what is longer than NET_SIEVE_REACH octets; where the mark begins
 * among the first NET_SIEVE_HEAD or the last NET_SIEVE_TAIL octets; and what has an empty line before the
 * last ones, which is where a message ends and what follows is its body, or another datagram: where several
 * come as one (a train, see net/udp.h), the kernel shows the program all of them as one, and takes or drops
 * them as one. So who receives must look for himself whether a datagram is one of those.
 *
 * What is dropped, the kernel counts together with what found no room in the queue. */
#ifndef NET_SIEVE_H
#define NET_SIEVE_H

#include "base/err.h"

#define NET_SIEVE_REACH       880
#define NET_SIEVE_HEAD        64
#define NET_SIEVE_TAIL        24
#define NET_SIEVE_START_BYTES 4
#define NET_SIEVE_MARK_BYTES  12

struct net_sieve {
    const char *start; /* NET_SIEVE_START_BYTES octets */
    const char *mark;  /* NET_SIEVE_MARK_BYTES octets, no white space among them */
};

/* From now on, until net_sieve_detach. A socket has one filter, and this one replaces none. ERR_NOMEM;
 * ERR_IO with errno when the kernel does not take the program: all goes on as without it. */
MUST_USE int net_sieve_attach(int fd, const struct net_sieve *sieve);
void net_sieve_detach(int fd);

#endif
