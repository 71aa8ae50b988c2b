/* From the configuration to the options of the layers: what all workers share and nobody changes. */
#ifndef APP_SNAPSHOT_H
#define APP_SNAPSHOT_H

#include "config/config.h"
#include "location/ping.h"
#include "proxy/proxy.h"
#include "transport/transport.h"

struct snapshot {
    const struct config *config; /* strings are the configuration's */
    struct proxy_listener *listeners;
    struct transport_listener *sockets; /* same order */
    struct location_ping *pings;        /* the same */
    size_t n_listeners;
    struct proxy_domain *domains;
    struct slice *aliases;
    struct slice *trusted_peers;
    struct slice *emergency_numbers;
    struct slice *origins; /* whose pages may open a WebSocket */
    char *origin_texts;    /* of those made here */
    struct net_upgrade_policy websockets;
    struct slice *edge_domains;
    char *edge_route;
    char *texts;                              /* host names made here */
    struct transport_limits transport_limits; /* of one worker */
    struct proxy_opts proxy;                  /* all but secret, worker and chain */
};

/* A wildcard address becomes one listener for each address of this machine, so that a Via always names the
 * address its packet leaves from. config must outlive the snapshot. ERR_NOMEM; ERR_NOTFOUND: a wildcard that
 * matches no address; ERR_LIMIT: more than SNAPSHOT_LISTENERS_MAX. */
#define SNAPSHOT_LISTENERS_MAX 255
MUST_USE int snapshot_new(const struct config *config, unsigned n_workers, struct snapshot **ret_snapshot);
void snapshot_free(struct snapshot *snapshot);

#endif
