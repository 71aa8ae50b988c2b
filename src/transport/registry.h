/* Which worker has a connection to which address: shared by all workers, behind one lock that is taken when a
 * connection comes or goes and when a request is sent over a stream without a flow of its own. */
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

/* Several connections to one address may exist; any of them is found. ERR_LIMIT: there are too many;
 * ERR_NOMEM. */
MUST_USE int transport_registry_add(struct transport_registry *registry, uint8_t transport,
                                    const struct addr *peer, uint64_t flow);
void transport_registry_remove(struct transport_registry *registry, uint8_t transport,
                               const struct addr *peer, uint64_t flow);
/* The flow to use for this peer, or SIP_FLOW_NONE. */
uint64_t transport_registry_find(struct transport_registry *registry, uint8_t transport,
                                 const struct addr *peer);

#endif
