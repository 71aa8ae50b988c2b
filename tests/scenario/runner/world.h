/* The world around one proxy core: a clock that stands still until told, a network that keeps every message
 * it is given, a resolver that knows what it was told, a location service with a list. It is what `app` is in
 * the program, without a socket in it. The scenario runner and the simulation both stand on it.
 *
 * Life: world_init(), fill in `opts` and the tables, world_start(), then world_receive() and world_advance()
 * in any order; each message the proxy sends goes to `sent`. world_stop() takes the proxy down, world_done()
 * the rest. */
#ifndef SCENARIO_WORLD_H
#define SCENARIO_WORLD_H

#include "heap.h"
#include "proxy/proxy.h"

#define WORLD_LISTENERS 8
#define WORLD_DOMAINS   4
#define WORLD_PREFIXES  8
#define WORLD_START_MS  1000000
/* Far ahead of the calendar of any machine that runs this: what the storage clears away by the real clock
 * stays. */
#define WORLD_START_S 4000000000

struct services; /* registrar and authentication, see services.h */

struct world_conn {
    uint64_t flow;
    uint16_t listener;
    struct addr remote; /* of the far end: ephemeral when the peer opened it */
    bool open;
    struct text unread; /* octets of a message that is not whole yet */
};

struct world_host {
    struct slice name;
    struct sip_hop hops[PROXY_HOPS_MAX];
    size_t n_hops;
    bool later;      /* answered when the script says so */
    uint64_t ticket; /* of the question that waits; 0: none */
    size_t n_told;   /* hops in its answer */
};

struct world_binding {
    struct slice aor;
    struct proxy_binding binding;
};

/* What goes there leaves by the interface with this address. */
struct world_route {
    struct addr_prefix to;
    struct addr own;
};

/* What the network does with messages to an address. */
enum world_fault {
    WORLD_FINE = 0,
    WORLD_REFUSE,      /* send() says no */
    WORLD_UNREACHABLE, /* taken, and reported undeliverable right after: ICMP, or no connection */
};

struct world_far {
    struct addr addr;
    uint8_t transport;
    bool listens; /* takes connections or datagrams there */
    enum world_fault fault;
};

struct world_sent {
    struct slice bytes; /* copied into the world's heap */
    struct sip_hop hop;
    struct addr dest; /* the far end: of the connection, when there is one */
    uint64_t token;
    ms_t now_ms;
};

struct world {
    struct heap heap;
    struct proxy *proxy;
    struct proxy_ports ports;
    struct counters counters;
    ms_t now_ms;

    struct proxy_opts opts;
    struct proxy_listener listeners[WORLD_LISTENERS];
    struct slice listener_names[WORLD_LISTENERS];
    struct proxy_domain domains[WORLD_DOMAINS];
    struct slice aliases[WORLD_DOMAINS];
    struct addr_prefix trusted[WORLD_PREFIXES];
    struct world_route routes[WORLD_PREFIXES]; /* of this host */
    size_t n_routes;

    struct world_host *hosts;
    size_t n_hosts;
    struct world_binding *bindings;
    size_t n_bindings;
    struct slice *users; /* canonical AoRs of known users */
    size_t n_users;
    struct world_far *fars;
    size_t n_fars;
    struct world_conn *conns;
    size_t n_conns;

    struct services *services;

    void (*sent)(void *ctx, const struct world_sent *sent);
    void *ctx;

    /* Failures found during a send are told when the call that sent is over. */
    struct world_sent *failures;
    size_t n_failures;
    /* What the proxy sends to a listener of its own over UDP arrives there, when `loops`, and nobody else hears of
     * it. */
    bool loops;
    struct world_sent *own;
    size_t n_own;
    size_t n_own_requests; /* all there ever were, but ACK */
    uint64_t random_state;
    struct slice trouble; /* the proxy broke the contract of a port; absent when it did not */
};

void world_init(struct world *w, uint64_t seed);
void world_done(struct world *w);
MUST_USE int world_start(struct world *w);
void world_stop(struct world *w);

/* Index of the first listener of this name, transport and address family, or -1. */
int world_listener(const struct world *w, struct slice name, uint8_t transport, uint8_t family);
struct world_far *world_far(struct world *w, const struct addr *addr, uint8_t transport);
/* A connection from this far end to this listener: an open one, or a new one. */
struct world_conn *world_connect(struct world *w, const struct addr *remote, uint16_t listener, bool fresh);
struct world_conn *world_conn_by_flow(struct world *w, uint64_t flow);
struct world_conn *world_conn_open_to(struct world *w, const struct addr *remote);
void world_close(struct world *w, struct world_conn *conn);

void world_receive_datagram(struct world *w, uint16_t listener, const struct addr *from, struct slice bytes);
/* Octets of a stream: any part of a message, or several. */
void world_receive_stream(struct world *w, struct world_conn *conn, struct slice bytes);
/* Runs every timer up to now_ms, one by one. */
void world_advance(struct world *w, ms_t now_ms);
/* ICMP for a datagram of the proxy, or a connection that broke with a message in it. */
void world_bounce(struct world *w, const struct world_sent *sent);
/* Answers the question that waits for this host. False when none waits. */
bool world_resolve(struct world *w, struct slice name);
unix_s_t world_now_s(const struct world *w);
void world_random(void *ctx, void *out, size_t bytes);

#endif
