/* SIP over UDP, TCP, TLS and WebSocket: RFC 3261 section 18, RFC 7118. One `struct transport` per worker, on
 * that worker's event loop. It finds whole messages in datagrams and streams and gives them up as octets with
 * the hop they came by; it takes wires and a hop and puts them on the network. What stands in a message is
 * not its business: Via, received and rport are the core's (sip/via_route.h).
 *
 * UDP: every worker has a socket of its own for every UDP listener (SO_REUSEPORT), so any
 * worker can send from any listener. The kernel gives each the datagrams of its calls as
 * far as it can tell them (net/steer.h).
 *
 * Streams: a connection belongs to the worker that accepted or opened it. Its number (flow) carries the
 * worker, so a message for it can be handed over. All workers share one registry of connections by remote
 * address (transport/registry.h): a request to an address that some worker has a connection with goes over
 * that connection (section 18.1.1), a response by the connection its request came by, or a new one to the
 * same address when that is gone (section 18.2.2).
 *
 * TLS: a connection is made for the name that the hop says the peer must prove (RFC 5922 section 7.3), and
 * found again by address and name alone. One that was accepted is found by the names in its client's
 * certificate when that is verified and the client has asked for it by the Via parameter alias (RFC 5923);
 * else it serves its own flow only. Without a name no connection is made over TLS. What comes from a peer
 * whose name is listed as trusted is marked so.
 *
 * A WebSocket is a stream like any other, with two differences: a message is a message of WebSocket, whatever
 * its Content-Length says; and it is never opened here, since nobody listens for one at a browser (RFC 7118
 * has clients open them): who is reached by one that is gone is not reached.
 *
 * Life of a connection: connecting (only outbound; messages wait, limited in octets and time), with TLS the
 * handshake, limited in time and number -> open -> closed. It closes when the peer closes, when framing is
 * lost, when it was idle for too long, when its output queue passes its limit (a peer that does not read), or
 * when half a message stays half a message. Messages that never left it are reported by ops->send_failed. */
#ifndef TRANSPORT_TRANSPORT_H
#define TRANSPORT_TRANSPORT_H

#include "base/counter.h"
#include "base/wire.h"
#include "net/loop.h"
#include "net/names.h"
#include "net/tls.h"
#include "net/upgrade.h"
#include "sip/hop.h"
#include "sip/limits.h"
#include "transport/registry.h"

struct transport;

struct transport_listener {
    uint8_t transport; /* UDP, TCP, TLS, WS or WSS */
    uint8_t clients;   /* of TLS and WSS: enum net_tls_clients */
    struct addr addr;
};

struct transport_limits {
    size_t connections;             /* of this worker; the registry bounds those of all */
    ms_t idle_ms;                   /* no octet in either direction */
    ms_t connect_ms;                /* from SYN to established */
    ms_t handshake_ms;              /* of TLS, after that */
    uint32_t handshakes_per_second; /* of clients that this worker accepts; 0: any number */
    ms_t partial_ms;       /* from the first octet of a message to its last (a stalled or trickling sender) */
    ms_t ping_interval_ms; /* a WebSocket whose client sends nothing for so long is sent a Ping; 0: never */
    ms_t ping_timeout_ms;  /* and closed when nothing comes for so long then */
    size_t input_buffer_bytes; /* of one connection, for messages that are not whole yet */
    size_t output_queue_bytes; /* waiting in one connection */
    size_t udp_queue_bytes;    /* waiting in one UDP socket */
    int udp_receive_buffer_bytes, udp_send_buffer_bytes; /* SO_RCVBUF, SO_SNDBUF; 0: the system's */
    struct sip_limits sip;
};

struct transport_ops {
    /* What is received from now on has waited for so long in this queue: each listener for datagrams has one, by its
     * number from 1 on, and all connections have 0. Of datagrams, so many packets (each one, or a train of them) were
     * lost for want of room since this was last said. NULL: nobody wants to know. */
    void (*waited)(void *ctx, unsigned queue, uint32_t waited_us, uint32_t lost);
    /* A whole message. bytes live only during the call. */
    void (*receive)(void *ctx, struct slice bytes, const struct sip_hop *from, bool datagram);
    /* A stream that lost its framing: head is the start of the message; it is closed after what is sent now
     * has left. */
    void (*bad)(void *ctx, struct slice head, const struct sip_hop *from, unsigned status,
                const char *phrase);
    /* A message sent with this token did not leave, or a connection was reset just after it had.
     * Never called from within transport_send. */
    void (*send_failed)(void *ctx, uint64_t token);
    /* ICMP said that this datagram of ours did not arrive (section 18.4). */
    void (*refused)(void *ctx, struct slice datagram_head);
    /* The flow belongs to another worker: hand wire over to it, where transport_send is called with the same
     * hop. 0, or ERR_AGAIN when its queue is full. */
    int (*other_worker)(void *ctx, unsigned worker, const struct sip_hop *hop, struct wire *wire,
                        uint64_t token);
};

struct transport_opts {
    unsigned worker, n_workers; /* 0 .. 254 */
    /* Of datagrams with one Call-ID all should come to worker hash_head32(Call-ID) % n_workers. */
    struct hash_key call_key;
    struct net_loop *loop;
    const struct transport_listener *listeners; /* same order, so same indices, as the core's */
    size_t n_listeners;
    struct transport_limits limits;
    struct net_upgrade_policy websockets; /* what it points to outlives the transport */
    struct transport_registry *registry;  /* shared by all workers */
    struct net_tls *tls;                  /* the same; NULL without TLS, and what needs it is not sent */
    struct net_names *names;              /* the same; NULL without TLS */
    const struct slice *trusted_peers;    /* names that are trusted when proved by a certificate */
    /* Where the numbers of connections begin: random, so that those of the process before name none of this
     * one. */
    uint32_t first_generation;
    size_t n_trusted_peers;
    struct counters *counters;
    const struct transport_ops *ops;
    void *ctx;
};

/* Opens all sockets of this worker. ERR_IO with errno when a listener cannot be bound; *ret_failed is its
 * index then. */
MUST_USE int transport_new(const struct transport_opts *opts, size_t *ret_failed,
                           struct transport **ret_transport);
/* Closes everything at once. */
void transport_free(struct transport *transport);

/* Sends wire to hop (takes its own reference). hop->listener says which local socket or source address;
 * hop->flow a connection, which when it is gone is replaced by one to hop->addr, unless hop->flow_only
 * (ERR_CLOSED, or ops->send_failed where the flow is another worker's). 0: on its way (a later failure goes
 * to ops->send_failed when token is not 0). ERR_CLOSED, ERR_LIMIT, ERR_IO, ERR_UNSUPPORTED: it could not be
 * taken. ERR_DENIED: it needs a new connection over TLS, and nothing says who must answer there. */
MUST_USE int transport_send(struct transport *transport, const struct sip_hop *hop, struct wire *wire,
                            uint64_t token);

/* What is sent from now on belongs together: datagrams with the same mark keep their order, those with
 * different ones may pass each other (net/train.h). 0: from now on all keep their order. */
void transport_mark(struct transport *transport, uint32_t mark);

/* From now on the kernel may drop datagrams that begin with "ACK " and hold this mark (NET_SIEVE_MARK_BYTES
 * octets), before they are received; absent: no longer. */
void transport_absorb(struct transport *transport, struct slice mark);

/* Stop accepting connections; those that exist go on (for a graceful stop). */
void transport_stop_listening(struct transport *transport);

/* The worker that owns a flow. */
unsigned transport_flow_worker(uint64_t flow);

size_t transport_connections(const struct transport *transport);

#endif
