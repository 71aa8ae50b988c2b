/* What is known of the servers that requests were sent to: which failed lately, which are slow, which asked
 * to be left alone (Retry-After). Kept apart from the DNS: a record says where a server is, not how it does.
 * One table for the process, shared by all workers; bounded, and forgetful.
 *
 * The key is transport, address and port. A failure counts only when nothing was heard from the server
 * since the request was sent that failed: one call that goes wrong does not condemn a server that
 * answers others. Any answer clears it. A server that failed is tried last, never left out: for 30 s
 * at first, twice as long each time it fails again, up to 5 minutes (RFC 3263 section 2: "the
 * availability state must eventually be flushed"). */
#ifndef DNS_HEALTH_H
#define DNS_HEALTH_H

#include "base/clock.h"
#include "base/err.h"
#include "base/hash.h"
#include "sip/hop.h"
#include <stddef.h>

#define DNS_HEALTH_PENALTY_MS     30000
#define DNS_HEALTH_PENALTY_MAX_MS 300000
#define DNS_HEALTH_RETRY_MAX_S    300  /* a longer Retry-After is cut: one message must not rule for a day */
#define DNS_HEALTH_SLOW_MS        2000 /* smoothed time to the first response: four times T1 */

struct dns_health;

enum dns_outcome {
    DNS_OUTCOME_ANSWERED,    /* some response came */
    DNS_OUTCOME_TIMEOUT,     /* none did (Timer B or F) */
    DNS_OUTCOME_UNREACHABLE, /* transport error */
    DNS_OUTCOME_UNAVAILABLE, /* 503 with Retry-After (RFC 3261 section 21.5.4) */
};

/* Higher is worse. */
enum dns_rank { DNS_RANK_GOOD, DNS_RANK_SLOW, DNS_RANK_FAILED };

/* capacity: servers at one time; the one heard of longest ago gives way. ERR_NOMEM. */
MUST_USE int dns_health_new(size_t capacity, const struct hash_key *key, struct dns_health **ret_health);
void dns_health_free(struct dns_health *health);

/* From any thread. elapsed_ms: since the request was sent; retry_after_s: of UNAVAILABLE. */
void dns_health_report(struct dns_health *health, const struct sip_hop *hop, enum dns_outcome outcome,
                       ms_t now_ms, ms_t elapsed_ms, uint32_t retry_after_s);
enum dns_rank dns_health_rank(struct dns_health *health, const struct sip_hop *hop, ms_t now_ms);

/* A hop and the set within which the order is ours to choose (records of the same priority). */
struct dns_candidate {
    struct sip_hop hop;
    uint32_t group;
};
/* Slow ones behind the others of their group, failed ones behind all; else the order stays. */
void dns_health_order(struct dns_health *health, struct dns_candidate *candidates, size_t count, ms_t now_ms);

#endif
