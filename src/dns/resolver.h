/* From the URI of a next hop to the addresses to try, in order: RFC 3263
 * section 4. One per worker, on its thread.
 *
 * What asks nothing is answered at once: literals, and the names of the hosts file, which stand before the
 * DNS. Else a lookup goes through three stages, the questions of each all at the same time: NAPTR records
 * of the domain; SRV records of the services found (or of every transport spoken here); addresses of their
 * targets. Of those, as many are asked for as DNS_HOPS_STEP addresses take: a list of 64 names, which
 * anybody may publish, costs no 128 questions. Who finds that all of them fail asks again, and says how
 * many (RFC 3263 section 4.2: "the client tries the first ... until"). An answer that is in the cache is
 * there at once too, so a lookup may end within the call that began it. A stage waits no longer than
 * timeout_ms: what has not come by then counts as not there, since some servers leave questions for types
 * that they do not know without an answer.
 *
 * Addresses that failed lately are tried last (dns/health.h). */
#ifndef DNS_RESOLVER_H
#define DNS_RESOLVER_H

#include "base/counter.h"
#include "base/hash.h"
#include "base/timer.h"
#include "dns/health.h"
#include "dns/hosts.h"
#include "dns/select.h"
#include "dns/source.h"
#include "net/names.h"
#include "sip/hop.h"

#define DNS_HOPS_MAX  64 /* of one request */
#define DNS_HOPS_STEP 8  /* beyond those that have failed */
#define DNS_HOSTS_MAX 24 /* asked for on the way to them */
#define DNS_SRV_MAX   64 /* records of one service */
#define DNS_RULES_MAX 32 /* usable NAPTR records of one domain */
#define DNS_ADDRS_MAX 16 /* of one name */

struct dns_resolver;

struct dns_resolver_opts {
    const struct dns_hosts *hosts;
    struct net_names *names;         /* NULL: peers over TLS need prove no name */
    struct dns_health *health;       /* NULL: none is kept */
    const struct dns_source *source; /* NULL: no DNS at all */
    struct dns_spoken spoken;
    struct timer_wheel *wheel;
    /* The time; the wheel may lag behind it until the end of the turn. */
    ms_t (*now_ms)(void *ctx);
    ms_t timeout_ms;           /* of each stage */
    size_t max_lookups;        /* that wait at one time */
    size_t max_of_one;         /* of them, because of one source */
    struct hash_key key;       /* secret, so that nobody finds whom he shares a count of max_of_one with */
    struct counters *counters; /* of lookups that are refused for their number; NULL: nobody counts */
    size_t budget_bytes;       /* their memory */
    /* The answer to a request that got ERR_AGAIN. Never called from within
     * dns_resolver_resolve of the same ticket. */
    void (*resolved)(void *ctx, uint64_t ticket, int err, const struct sip_hop *hops, size_t count);
    void *ctx;
};

struct dns_request {
    const struct sip_uri *uri;
    uint64_t ticket; /* says which request an answer is for */
    uint64_t seed;   /* the same seed and the same records give the same order */
    /* Nothing but seed and records may count, so not what failed lately (RFC 3263 section 4.4). */
    bool is_steady;
    /* Of what was given for the same URI and seed before: DNS_HOPS_STEP more than those, if there are. */
    size_t n_failed;
    const struct addr *source; /* who makes us ask; NULL: nobody, or one who may do so as often as he likes */
};

/* ERR_NOMEM. opts is copied. */
MUST_USE int dns_resolver_new(const struct dns_resolver_opts *opts, struct dns_resolver **ret_resolver);
/* Lookups that wait end without an answer. NULL is fine. */
void dns_resolver_free(struct dns_resolver *resolver);

/* Up to max hops, with transport, addr and port, and the name that a secure peer must prove. maddr is used in
 * place of the host when present. 0: they are there. ERR_AGAIN: opts->resolved is called later. ERR_NOTFOUND:
 * no address. ERR_UNSUPPORTED: a transport or scheme that this proxy does not speak. ERR_LIMIT: too many
 * lookups wait, at all or because of this source, or the name is too long; ERR_NOMEM. */
MUST_USE int dns_resolver_resolve(struct dns_resolver *resolver, const struct dns_request *request,
                                  struct sip_hop *ret_hops, size_t max, size_t *ret_count);

size_t dns_resolver_pending(const struct dns_resolver *resolver);

#endif
