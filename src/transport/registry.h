/* Which worker has a connection to which peer: shared by all workers, behind one lock that is taken when a
 * connection comes or goes, when a request is sent over a stream without a flow of its own, and when
 * somebody is looked up who is reached by his connection alone.
 *
 * A peer is an address and, over TLS, a name that it has proved (RFC 5923 sections 5 and 8): one address may serve
 * many names, and what is meant for one of them must not go to a connection that was verified for another. */
#ifndef TRANSPORT_REGISTRY_H
#define TRANSPORT_REGISTRY_H

#include "base/addr.h"
#include "base/err.h"
#include "base/hash.h"
#include <stdint.h>

struct transport_registry;

/* total: how many connections there may be at a time; per_source: how many one IP address may have made to
 * us. */
MUST_USE int transport_registry_new(const struct hash_key *key, size_t total, size_t per_source,
                                    struct transport_registry **ret_registry);
/* Asserts that every connection was removed. */
void transport_registry_free(struct transport_registry *registry);

/* May one more connection from the IP of peer be accepted? Counts it when it may: undo it with
 * transport_registry_leave_source. */
bool transport_registry_enter_source(struct transport_registry *registry, const struct addr *peer);
void transport_registry_leave_source(struct transport_registry *registry, const struct addr *peer);

/* May one more connection exist? Counts it when it may: undo it with transport_registry_leave. */
bool transport_registry_enter(struct transport_registry *registry);
void transport_registry_leave(struct transport_registry *registry);

/* Who is at the other end of a connection, or is to be. */
struct transport_peer {
    struct addr addr;
    uint32_t name; /* net/names.h; NET_NAME_NONE (0) without TLS */
    uint8_t transport;
};
/* A connection may be found by several peers, and of several connections to one peer any is. ERR_NOMEM. */
MUST_USE int transport_registry_add(struct transport_registry *registry, const struct transport_peer *peer,
                                    uint64_t flow);
/* Forgets all that was added for this flow. */
void transport_registry_remove(struct transport_registry *registry, uint64_t flow);
/* The flow to use for this peer, or SIP_FLOW_NONE. */
uint64_t transport_registry_find(struct transport_registry *registry, const struct transport_peer *peer);
/* Is this very connection still there, with this peer? */
bool transport_registry_has(struct transport_registry *registry, uint64_t flow, const struct addr *addr);

#endif
