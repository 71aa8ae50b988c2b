/* DNS answers by libunbound (dns/source.h) on a worker's event loop. It asks the servers of the
 * configuration, or those of the system; keeps answers for their TTL, and the lack of them too (RFC
 * 2308); goes over to TCP when an answer is truncated; and when no server answers, gives what has
 * expired while it goes on asking (RFC 8767).
 *
 * libunbound binds a context to one event base, so every worker has a context, and a cache, of its own: each
 * name is asked for once per worker and TTL, and the memory of the caches is there as many times (cache_bytes
 * each). In exchange no lock is taken and no answer crosses threads.
 *
 * Its callbacks run inside its own machinery; what they bring is put aside and given on when that has ended,
 * so an answer may lead to further questions. */
#ifndef DNS_UNBOUND_H
#define DNS_UNBOUND_H

#include "dns/source.h"
#include "net/loop.h"

struct dns_unbound;

struct dns_unbound_opts {
    struct net_loop *loop;
    const struct addr *servers; /* with their ports */
    size_t n_servers;           /* 0: those of /etc/resolv.conf, or without it this machine */
    ms_t stale_after_ms;        /* no answer for so long: what has expired is given. 0: never */
    uint32_t stale_max_s;       /* how long after its TTL */
    uint32_t max_ttl_s;         /* a longer TTL is cut to this */
    size_t cache_bytes;
    const char *trust_anchor_file; /* NULL: no DNSSEC validation */
    size_t max_questions;          /* that wait at one time */
};

/* ERR_NOMEM; ERR_IO: libunbound refuses something of the options, *ret_why says what (never NULL). */
MUST_USE int dns_unbound_new(const struct dns_unbound_opts *opts, const char **ret_why,
                             struct dns_unbound **ret_unbound);
/* Queries that wait are never answered. NULL is fine. */
void dns_unbound_free(struct dns_unbound *unbound);

/* ctx of it is the unbound. */
struct dns_source dns_unbound_source(struct dns_unbound *unbound);

#endif
