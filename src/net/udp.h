/* UDP in batches: recvmmsg into memory shared by all sockets of a loop, sendmmsg of what has been queued
 * during a turn.
 *
 * Life of a datagram that is sent: net_udp_send takes a reference of the wire; at the end of the turn it is
 * given to the kernel; when the kernel's buffer is full it waits for room; then the reference goes. What goes
 * wrong is told later, from the loop, never from within net_udp_send: `send_failed` when the kernel refuses
 * this very datagram, `refused` when ICMP tells that an earlier one did not arrive. A datagram dropped by a
 * full queue of the interface is lost as one dropped by a router is, and counted as COUNTER_TX_ERRORS.
 *
 * The kernel reports an ICMP error by failing the next call on the socket, whatever its destination. That is
 * sorted out here: no other datagram fails for it, and it is told with the destination of the datagram that
 * caused it. */
#ifndef NET_UDP_H
#define NET_UDP_H

#include "base/addr.h"
#include "base/counter.h"
#include "base/wire.h"
#include "net/loop.h"
#include "net/sieve.h"
#include "net/steer.h"

/* Datagrams received in one turn of the loop. They may come in trains (net/train.h), of which none is left
 * half handled: so many at most keep timers and other sockets waiting. */
#define NET_UDP_BATCH    64
#define NET_UDP_TURN_MAX 1087

#define NET_UDP_SEND_BATCH   128 /* sent by one call */
#define NET_UDP_DATAGRAM_MAX 65535

struct net_udp;
struct
    net_udp_batch; /* buffers for one loop; 4 MiB of addresses, of which only what is used becomes memory */

/* Any of these may send, and may free the socket. */
struct net_udp_ops {
    /* Datagrams follow that came together or one soon after the other, of which the last has waited in the
     * kernel for so long; lost: since this was last called the kernel has been seen to have dropped so many
     * packets for want of room, each a datagram or a train of them. NULL: nobody wants to know. */
    void (*waited)(void *ctx, struct net_udp *udp, uint32_t waited_us, uint32_t lost);
    /* data lives only during the call. */
    void (*receive)(void *ctx, struct net_udp *udp, struct slice data, const struct addr *from);
    /* The kernel refused this datagram for good (EMSGSIZE, ENETUNREACH, EPERM ...). Never called from within
     * net_udp_send. */
    void (*send_failed)(void *ctx, struct net_udp *udp, uint64_t token, int error);
    /* ICMP said that a datagram did not reach `to`; head is the start of its payload as far as it was quoted
     * (RFC 792 promises nothing of it, RFC 1812 section 4.3.2.3 some 500 octets); error as of the kernel
     * (ECONNREFUSED ...). Anybody on the path can forge it. */
    void (*refused)(void *ctx, struct net_udp *udp, const struct addr *to, struct slice head, int error);
};

struct net_udp_opts {
    struct net_loop *loop;
    struct net_udp_batch *batch;
    struct addr addr; /* port 0 takes any. A wildcard address is fine: see net_udp_received_at */
    bool reuse_port;  /* so that each worker can have a socket of its own for the same address */
    /* Of all that share it, from the first on; NULL: the kernel's choice, or that of a former one. */
    const struct net_steer *steer;
    /* They stay whole until they are received (UDP_GRO): reading a datagram of one costs a seventh then. Not where
     * several sockets share out datagrams: all of a train would go where the first one goes. */
    bool takes_trains;
    int receive_buffer_bytes, send_buffer_bytes; /* 0: the system's, whose limit does not hold for root */
    size_t queue_bytes; /* of what waits here, payload and bookkeeping (72 octets for a datagram) */
    struct counters *counters;
    const struct net_udp_ops *ops;
    void *ctx;
};

/* ERR_NOMEM. */
MUST_USE int net_udp_batch_new(struct net_udp_batch **ret_batch);
/* What is sent from now on, by any socket of the batch, belongs together: datagrams with the same mark leave
 * in the order in which they were sent; those with different marks may pass each other, which lets more of
 * them leave together (net/train.h). 0: from now on each leaves after all that were sent before it. */
void net_udp_batch_mark(struct net_udp_batch *batch, uint32_t mark);
/* After the last of its sockets. NULL is fine. */
void net_udp_batch_free(struct net_udp_batch *batch);

/* IPv6 sockets are IPV6_V6ONLY. Datagrams may be fragmented. ICMP errors are collected by IP_RECVERR.
 * ERR_NOMEM, or ERR_IO with errno. */
MUST_USE int net_udp_new(const struct net_udp_opts *opts, struct net_udp **ret_udp);
/* What is still queued is dropped. NULL is fine. */
void net_udp_free(struct net_udp *udp);
/* From now on the kernel drops what net/sieve.h says; NULL: no longer. Where it cannot, all comes as before.
 * It counts what it drops so together with what finds no room: meanwhile a queue that is found as good as
 * full, when something has been dropped, has lost one. */
void net_udp_sieve(struct net_udp *udp, const struct net_sieve *sieve);
/* With the port that was really bound. */
const struct addr *net_udp_addr(const struct net_udp *udp);

/* During `receive`: the address the datagram was sent to. It is that of the socket, unless the socket is
 * bound to a wildcard; then an answer must leave from here for the client (and its NAT) to know it: give it
 * to net_udp_send_from. The wildcard itself when the datagram came to a multicast group. */
const struct addr *net_udp_received_at(const struct net_udp *udp);

/* Queues wire (takes a reference); it leaves at the end of this turn, or earlier when a batch is full.
 * ERR_LIMIT: the queue is full; ERR_RANGE: longer than a datagram can be; ERR_UNSUPPORTED: `to` is of another
 * family than the socket; ERR_NOMEM. token 0: nobody wants to know. */
MUST_USE int net_udp_send(struct net_udp *udp, const struct addr *to, struct wire *wire, uint64_t token);
/* The same with the source address `from` (its port does not count). A wildcard leaves the choice to the
 * routes. */
MUST_USE int net_udp_send_from(struct net_udp *udp, const struct addr *from, const struct addr *to,
                               struct wire *wire, uint64_t token);

#endif
