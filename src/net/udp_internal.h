/* What the files of a UDP socket share and nobody else sees.
 *
 *   udp.c          life of the socket, its options, its turns in the loop
 *   udp_receive.c  the batch, what is read into it, how long that has waited, what was lost
 *   udp_send.c     the queue of what leaves, its trains, what the kernel refuses of them
 *   udp_errors.c   ICMP errors
 *
 * A socket may be freed by any function of its owner that is called from here. While `busy` it then stays until the
 * function that set it leaves; what goes on after such a call looks at `freed` first. */
#ifndef NET_UDP_INTERNAL_H
#define NET_UDP_INTERNAL_H

#include "net/sockaddr.h"
#include "net/train.h"
#include "net/udp.h"
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

/* Receive buffers lie a little more than 64 KiB apart. At exactly that distance the starts of all of them,
 * which is where SIP messages are, would compete for the same few sets of every cache. */
#define STRIDE_BYTES (NET_UDP_DATAGRAM_MAX + 1 + 17 * 64)

/* A train (net/train.h) is one packet until the interface, or the kernel before it, takes it apart; longer
 * datagrams than fit through an Ethernet cannot be in one. */
#define TRAIN_BYTES_MAX 60000
#define CAR_BYTES_MAX   (1500 - 40 - 8)
#define CARS_MAX        64

/* A socket that takes trains asks for so many packets by one call, since each may be CARS_MAX datagrams (the kernel
 * makes none longer of what comes from a network): what one call brought is handled before timers and other sockets
 * have their turn. */
#define TRAINS_ASKED_MAX 16

/* With a datagram that is received: where it was sent to, and how long the cars are if it is a train. With one that is
 * sent: where from, and the same. */
struct control {
    _Alignas(struct cmsghdr) char octets[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int))];
};

struct outgoing {
    struct wire *wire;
    uint64_t token;
    struct addr to, from;
    uint32_t mark;
};

struct incoming_batch {
    struct mmsghdr headers[NET_UDP_BATCH];
    struct iovec pieces[NET_UDP_BATCH];
    struct sockaddr_storage names[NET_UDP_BATCH];
    struct control controls[NET_UDP_BATCH];
};

/* The first n headers are filled; each is of a train of so many cars, whose pieces follow each other. */
struct outgoing_batch {
    struct mmsghdr headers[NET_UDP_SEND_BATCH];
    unsigned cars[NET_UDP_SEND_BATCH];
    unsigned n;
    struct iovec pieces[NET_UDP_SEND_BATCH];
    struct sockaddr_storage names[NET_UDP_SEND_BATCH];
    struct control controls[NET_UDP_SEND_BATCH];
    struct net_train_car plan[NET_UDP_SEND_BATCH];
    struct outgoing aside[NET_UDP_SEND_BATCH];
};

/* A datagram being handled may make others leave, so the two directions share nothing. */
struct net_udp_batch {
    struct incoming_batch in;
    bool asks_each; /* one of the sockets wants to know more of each packet than who sent it */
    struct outgoing_batch out;
    uint32_t mark;
    char data[NET_UDP_BATCH * STRIDE_BYTES];
};

/* A ring that grows, up to the limit in octets. */
struct queue {
    struct outgoing *slots;
    size_t cap, first, count;
    size_t bytes, limit_bytes;
};

struct net_udp {
    struct net_watch watch;
    struct net_hook flush;
    struct net_loop *loop;
    struct net_udp_batch *batch;
    struct counters *counters;
    const struct net_udp_ops *ops;
    void *ctx;
    struct addr addr, received_at;
    uint32_t dropped; /* as the kernel last counted */
    unsigned turns;
    struct queue queue;
    size_t car_bytes_max;       /* longer ones have been refused as a train; 0: no trains */
    unsigned singles;           /* so many at the head of the queue leave one by one: refused as a train */
    unsigned packets_asked_max; /* for, by one call */
    unsigned cars_expected;     /* of the next packets each, after those of the last call */
    bool wildcard;
    bool takes_trains; /* they are not taken apart before they are received */
    bool is_sieved;    /* the kernel drops more than what finds no room */
    bool cannot_sieve; /* the kernel has refused it */
    bool blocked;      /* the kernel has no room: EPOLLOUT is waited for */
    bool flushing;     /* the head of the queue is being dealt with: nobody else may send it */
    bool busy;         /* a turn of udp.c, which looks at the socket again, is on the stack */
    bool freed;        /* while busy */
};

/* udp_receive.c */

/* From now on it is asked of each packet where it was sent to, and how long its datagrams are. */
void net_udp_ask_each(struct net_udp_batch *batch);
/* NET_UDP_TURN_MAX datagrams at most. What is left makes epoll report the socket again, after the others. */
void net_udp_receive_turn(struct net_udp *udp);
/* How long the packet that was read last had waited. From the first question on the kernel notes when one came. */
uint32_t net_udp_waited_us(int fd);
/* Walks the control messages of m; NULL when there is none of that kind. */
const void *net_udp_find_control(struct msghdr *m, int level, int type, size_t size);
/* The kernel takes no program of ours for this socket. */
void net_udp_log_refusal(const char *event, int r);

/* udp_send.c */

/* Sends what waits, until the kernel has no room. */
void net_udp_flush(struct net_udp *udp);
/* Lets go of what waits, and of the memory for it. */
void net_udp_queue_done(struct net_udp *udp);

/* udp_errors.c */

/* Returns how many ICMP errors there were. The kernel forgets the pending error of the socket with them. */
int net_udp_take_errors(struct net_udp *udp);

#endif
