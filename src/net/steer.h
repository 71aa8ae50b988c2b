/* Which of several sockets that share an address receives a datagram: the kernel asks a program (a classic
 * packet filter, SO_ATTACH_REUSEPORT_CBPF), which looks for a header field in the datagram and hashes its
 * value. So what belongs together comes to one worker without being handed over, and what comes from a single
 * peer is shared out all the same.
 *
 * What one peer sends comes in its order to one socket only where the addresses choose: `except` is for what
 * needs that.
 *
 * The program has no loops and only so many steps: it finds the field by its usual spelling, with a colon and
 * at most one space, within the first NET_STEER_REACH octets; where the kernel has no memory for all that
 * (net.core.optmem_max below 100,000 octets: the default before Linux 6.8), within the first
 * NET_STEER_REACH_SHORT, and only if no four octets of its beginning stand before it. Where it finds none the
 * kernel chooses by the addresses, as it does without a program; so who receives must look for himself
 * whether a datagram is his. */
#ifndef NET_STEER_H
#define NET_STEER_H

#include "base/err.h"
#include "base/hash.h"

#define NET_STEER_REACH        900
#define NET_STEER_REACH_SHORT  400 /* with 20,480 octets */
#define NET_STEER_NAME_BYTES   7
#define NET_STEER_EXCEPT_BYTES 4

struct net_steer {
    struct hash_key key;
    unsigned sockets; /* 1 or more; their numbers are the order in which they were bound */
    const char *name; /* of the header field: NET_STEER_NAME_BYTES octets */
    const char *
        except; /* what begins with these NET_STEER_EXCEPT_BYTES octets, or with an empty line, goes by its addresses */
};

/* For all sockets that share the address of fd, now or later: a datagram goes to socket hash_head32(value) % sockets.
 * ERR_NOMEM; ERR_IO with errno when the kernel does not take the program: all goes on as without it. */
MUST_USE int net_steer_attach(int fd, const struct net_steer *steer);

#endif
