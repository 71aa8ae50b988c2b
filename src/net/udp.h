/* UDP in batches: recvmmsg into memory shared by all sockets of a loop, sendmmsg of what has been queued
 * during a turn. */
#ifndef NET_UDP_H
#define NET_UDP_H

#include "base/addr.h"
#include "base/counter.h"
#include "base/wire.h"
#include "net/loop.h"

#define NET_UDP_BATCH        64
#define NET_UDP_DATAGRAM_MAX 65535

struct net_udp;
struct net_udp_batch; /* receive buffers, one set per loop */

struct net_udp_ops {
    /* data lives only during the call. */
    void (*receive)(void *ctx, struct net_udp *udp, struct slice data, const struct addr *from);
    /* The kernel refused this datagram for good (EMSGSIZE, ENETUNREACH, EPERM ...). Never called from within
     * net_udp_send. */
    void (*send_failed)(void *ctx, struct net_udp *udp, uint64_t token, int error);
    /* ICMP said that a datagram did not reach `to`; head is the start of its payload as quoted. */
    void (*refused)(void *ctx, struct net_udp *udp, const struct addr *to, struct slice head, int error);
};

struct net_udp_opts {
    struct net_loop *loop;
    struct net_udp_batch *batch;
    struct addr addr; /* a concrete address; port 0 takes any */
    bool reuse_port;
    int receive_buffer_bytes, send_buffer_bytes; /* 0: the system's */
    size_t queue_bytes;                          /* what may wait here when the kernel's buffer is full */
    struct counters *counters;
    const struct net_udp_ops *ops;
    void *ctx;
};

MUST_USE int net_udp_batch_new(struct net_udp_batch **ret_batch);
void net_udp_batch_free(struct net_udp_batch *batch);

/* IPv6 sockets are IPV6_V6ONLY. ICMP errors are collected by IP_RECVERR. ERR_IO with errno. */
MUST_USE int net_udp_new(const struct net_udp_opts *opts, struct net_udp **ret_udp);
void net_udp_free(struct net_udp *udp);
/* With the port that was really bound. */
const struct addr *net_udp_addr(const struct net_udp *udp);

/* Queues wire (takes a reference); it leaves at the end of this turn, or earlier when the batch is full.
 * ERR_LIMIT: the queue is full; ERR_RANGE: longer than a datagram can be. token 0: nobody wants to know. */
MUST_USE int net_udp_send(struct net_udp *udp, const struct addr *to, struct wire *wire, uint64_t token);

#endif
