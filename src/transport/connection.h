/* One stream connection: from octets to messages, its limits, and which of its messages have left. Private to
 * the folder; the life of a connection stands in transport.h. */
#ifndef TRANSPORT_CONNECTION_H
#define TRANSPORT_CONNECTION_H

#include "base/timer.h"
#include "net/tcp.h"
#include "net/upgrade.h"
#include "sip/frame.h"
#include "transport/transport.h"

struct connection;

/* What a connection needs from its transport. */
struct connection_owner {
    struct net_loop *loop;
    struct timer_wheel *wheel;
    const struct transport_limits *limits;
    const struct net_upgrade_policy *websockets; /* who may open one */
    struct counters *counters;
    const struct transport_ops *ops;
    void *ctx;  /* for ops */
    bool quiet; /* everything is being torn down: connection_free tells nobody */
    /* The peer has ended the connection: what is owed to it may still be sent, nothing new. */
    void (*ending)(struct connection_owner *owner, struct connection *connection);
    /* The connection is dead and must be freed now. */
    void (*dead)(struct connection_owner *owner, struct connection *connection);
    struct net_tls *tls;     /* of transports that need it */
    struct net_names *names; /* the same */
    /* The handshake of TLS is done. */
    void (*proved)(struct connection_owner *owner, struct connection *connection);
    /* A message has come in by a connection that is watched (connection_watch). */
    void (*seen)(struct connection_owner *owner, struct connection *connection, struct slice message);
};

/* hop: the peer with the flow number of this connection. fd is the connection's, or closed on failure. */
MUST_USE int connection_accept(struct connection_owner *owner, int fd, const struct sip_hop *hop,
                               enum net_tls_clients clients, struct connection **ret_connection);
/* ERR_NOTFOUND: over TLS, and the number of the name is forgotten. */
MUST_USE int connection_open(struct connection_owner *owner, const struct addr *from,
                             const struct sip_hop *hop, struct connection **ret_connection);
/* Tells ops->send_failed of what never left. */
void connection_free(struct connection *connection);
/* The peer has said that it sends nothing more, or the connection is being given up. */
bool connection_is_ending(const struct connection *connection);
const struct sip_hop *connection_hop(const struct connection *connection);
/* Who was found to be there; messages from now on say so. */
void connection_set_peer(struct connection *connection, uint32_t name, bool is_trusted);
struct net_stream *connection_stream(const struct connection *connection);
/* The owner wants to see the next messages that come in before anybody else does; 0: no more. */
void connection_watch(struct connection *connection, unsigned messages);
/* A queue over its limit dooms the connection: ERR_LIMIT now, dead() at the end of the turn. */
MUST_USE int connection_send(struct connection *connection, struct wire *wire, uint64_t token);

#endif
