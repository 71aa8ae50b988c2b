/* By which interface of this host something leaves: its routes are asked by a socket that is connected there and sends
 * nothing. An answer holds for NET_INTERFACES_TTL_MS, so that a peer does not cost system calls for each message and
 * a route that changes is followed soon. For one thread. */
#ifndef NET_INTERFACES_H
#define NET_INTERFACES_H

#include "base/addr.h"
#include "base/clock.h"
#include <stdbool.h>

#define NET_INTERFACES_TTL_MS     5000
#define NET_INTERFACES_OWN_MAX    512  /* addresses of this host that are known */
#define NET_INTERFACES_PEERS_KEPT 4096 /* answers; a newer one takes an older one's place */

struct net_interfaces;

/* ERR_NOMEM, or what crypto_random_bytes() says. */
MUST_USE int net_interfaces_new(struct net_interfaces **ret_interfaces);
/* NULL is fine. */
void net_interfaces_free(struct net_interfaces *interfaces);
/* Does what is sent to `to` leave by the interface that has the address `from`? All loopback addresses are of
 * one; an address of ours that is in no network (alone in its prefix, or on the loopback interface: one that
 * moves from host to host, say) leads to wherever another does. False where there is no route, too. */
bool net_interfaces_lead(struct net_interfaces *interfaces, const struct addr *from, const struct addr *to,
                         ms_t now_ms);

#endif
