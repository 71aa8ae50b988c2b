/* Keeps the way open to clients behind a NAT that do not do so themselves (they know nothing of RFC 5626),
 * and finds out who is gone: each binding that is reached by its flow alone is sent an OPTIONS, or a CRLF,
 * once in each interval of the listener it came in by. One pinger per worker, on that worker's clock.
 *
 * Evenly: an interval is as many slots as the store has shards. At the beginning of a slot the bindings of a
 * shard are copied, under its lock and without anything else; they are sent in equal parts through the slot,
 * so that 100,000 bindings in 25 s are a few dozen messages at a time. A worker pings the connections that
 * are its own; over UDP, its part by hash.
 *
 * Bounded: LOCATION_PINGS_WAITING_MAX copies wait in one slot, and what is more is left out until the next
 * interval; LOCATION_PINGS_MAX OPTIONS are under way, above that a CRLF takes its place, which keeps the NAT
 * open and asks nothing. Both are counted.
 *
 * Gone: any answer to an OPTIONS says that somebody is there. Who does not answer so
 * many times in a row loses his binding, by a job of the storage like any REGISTER; one
 * that registered again meanwhile keeps it. */
#ifndef LOCATION_PING_H
#define LOCATION_PING_H

#include "location/storage.h"

#define LOCATION_PINGS_WAITING_MAX 16384
#define LOCATION_PINGS_MAX         3072

enum location_ping_kind { LOCATION_PING_NONE, LOCATION_PING_OPTIONS, LOCATION_PING_CRLF };

/* Of one listener. */
struct location_ping {
    enum location_ping_kind kind;
    ms_t interval_ms;  /* not 0 */
    unsigned failures; /* in a row, of OPTIONS; not 0 */
};

struct location_pinger_opts {
    struct location_storage *storage;
    const struct location_ping *listeners; /* by the numbers of the proxy's listeners; outlives the pinger */
    size_t n_listeners;
    unsigned (*flow_worker)(uint64_t flow); /* whose connection it is */
};

struct location_pinger;

/* Does any listener want it? */
bool location_ping_is_wanted(const struct location_ping *listeners, size_t n_listeners);
/* proxy: of the worker it is for. ERR_NOMEM. */
MUST_USE int location_pinger_new(const struct location_pinger_opts *opts, struct proxy *proxy,
                                 struct location_pinger **ret_pinger);
/* After its proxy. NULL is fine. */
void location_pinger_free(struct location_pinger *pinger);

#endif
