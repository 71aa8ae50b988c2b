/* Gateway groups: several next hops that are as good as each other, or one better than the next, under one
 * name. A route's action names a group; for each request the group says in which order its members are to be
 * tried, and the core tries them one after the other.
 *
 * Life of one: the configuration's list is compiled by policy_groups_new() when the snapshot is made. What is
 * compiled (names, members, weights) never changes; what is learnt (which member answers its probes, how many
 * calls it has) lies beside it, is shared by all workers and only ever read or written by atomic operations.
 * A request holds nothing of it: policy_group_pick() copies out what it needs, without allocation.
 *
 * Failover. Each member that may be tried becomes a target, watched by policy_group_watch(). The next one is
 * tried when the one before it has not answered in time, cannot be reached, or answers with a status of
 * failover_on, as long as no 2xx has come (RFC 3261 sections 16.5, 16.6 step 7, 16.7; RFC 3263 section 4.3).
 * After a provisional response above 100 time no longer runs: the phone rings, and how long is the caller's
 * business; then a 408 is his "no answer" and nobody else is tried for it. Listed statuses lead to the next
 * one even then: a gateway that plays an announcement and says 503 has not put the call through.
 *
 * Health, of a member as a whole (of its addresses the resolver keeps its own): a member goes down
 * when max_failures requests in a row found it silent, unreachable or answering 503, with no answer
 * to any other in between; when `fail` probes in a row did; and for as long as a 503 asks by
 * Retry-After. It comes up again after `pass` probes in a row; without probes, when POLICY_DOWN_MS
 * have passed, on trial: the next failure takes it down again; and at once when it answers a request,
 * which it may get when no other is up.
 *
 * Calls are counted from the INVITE to the BYE; one that is answered after it had been given up is not.
 *
 * Drain: a member that is drained gets nothing new. Requests inside dialogs follow their route set and never
 * come here. */
#ifndef POLICY_GROUP_H
#define POLICY_GROUP_H

#include "base/clock.h"
#include "base/err.h"
#include "base/hash.h"
#include "proxy/request.h"
#include "sip/uri.h"

#define POLICY_GROUPS_MAX        1000
#define POLICY_GROUP_MEMBERS_MAX 64 /* of one group */
#define POLICY_WEIGHT_MAX        65535
#define POLICY_DOWN_MS           30000
#define POLICY_RETRY_AFTER_MAX_S 3600 /* a longer one is cut: one message must not rule for a day */

enum policy_algorithm {
    POLICY_PRIORITY,     /* by priority; equal ones by weight, drawn anew for each request */
    POLICY_WEIGHTED,     /* by weight alone: RFC 2782's draw */
    POLICY_HASH_CALL_ID, /* consistent: a member more or less moves no call but its own */
    POLICY_HASH_USER,    /* the same by the user part of the Request-URI */
    POLICY_LEAST_CALLS,  /* the fewest calls in proportion to the weight first */
};

struct policy_member_opts {
    struct slice uri;  /* sip: or sips:, without a user part: that of the request is put in */
    unsigned weight;   /* 0: only when no other is left */
    unsigned priority; /* lowest first, as in DNS */
    bool drain;
};

/* OPTIONS, from one worker, to each member. Any final response but 503 says that it is there. */
struct policy_probe_opts {
    ms_t interval_ms; /* 0: no probes */
    ms_t timeout_ms;
    unsigned pass, fail;   /* how many in a row bring it up, take it down */
    struct slice from, to; /* URIs; empty: the proxy's own, the member's */
};

/* Text belongs to the configuration and outlives the groups. */
struct policy_group_opts {
    struct slice name;
    enum policy_algorithm algorithm;
    const struct policy_member_opts *members; /* 1 to POLICY_GROUP_MEMBERS_MAX */
    size_t n_members;
    const uint32_t *failover_on; /* 400 to 599: 408 is also silence, 503 also what cannot be reached */
    size_t n_failover_on;
    unsigned max_attempts; /* members tried for one request; 0: all */
    unsigned max_failures; /* in a row, of requests; 0: these take no member down */
    ms_t timeout_ms;       /* without any response: the next one; 0: when Timer B or F fires */
    ms_t progress_ms;      /* with no other than 100; 0: when Timer C fires */
    ms_t max_call_ms;      /* a call that has not ended by then is no longer counted */
    struct policy_probe_opts probe;
};

struct policy_groups;

/* secret: what the hashes are keyed with: the same in all processes of a cluster, and after a
 * restart. ERR_NOMEM; ERR_SYNTAX: a member's URI; ERR_RANGE: a status or a weight; ERR_LIMIT:
 * more groups or members than there may be. */
MUST_USE int policy_groups_new(const struct policy_group_opts *groups, size_t n_groups,
                               const struct hash_key *secret, struct policy_groups **ret_groups);
/* NULL is fine. When no worker is attached any more. */
void policy_groups_free(struct policy_groups *groups);

size_t policy_groups_count(const struct policy_groups *groups);
/* Groups are known by their place in the list given to policy_groups_new. */
struct slice policy_group_name(const struct policy_groups *groups, size_t group);

/* A worker begins: its calls can be counted, and the one whose number is 0 probes. Before the worker's thread
 * runs, or on it. ERR_NOMEM. */
MUST_USE int policy_groups_attach(struct policy_groups *groups, struct proxy *proxy);
/* After its proxy is gone: what it counted counts no more. worker: proxy_opts.worker. */
void policy_groups_detach(struct policy_groups *groups, unsigned worker);

/* What a choice depends upon. */
struct policy_group_key {
    struct slice call_id;
    struct slice user; /* of the Request-URI as it will be sent; absent: none */
    uint64_t random;   /* drawn by the caller, for the algorithms that draw */
    ms_t now_ms;
    bool is_stateless; /* RFC 3261 section 16.11: nothing but the message and what never changes may count: no
                            health, no draw, no calls; where the algorithm wants these, the Call-ID decides */
};

struct policy_group_choice {
    const struct sip_uri *uri; /* of the member, as long as the groups live */
    uint16_t member;           /* its place in the list */
};

/* The members of a group in the order in which they are to be tried: those that are up, and not drained. When
 * none is up, all that are not drained: a probe may be wrong, and nothing is lost by trying. No more than
 * max_attempts; *ret_count is at least 1. ERR_NOTFOUND: all are drained. Bounded work: no more than
 * POLICY_GROUP_MEMBERS_MAX squared comparisons. */
MUST_USE int policy_group_pick(const struct policy_groups *groups, size_t group,
                               const struct policy_group_key *key,
                               struct policy_group_choice ret_choices[POLICY_GROUP_MEMBERS_MAX],
                               size_t *ret_count);

/* Who looks after the members of a group that are made targets: failover, health, calls (proxy/request.h).
 * Not for a request that is forwarded without transactions. */
const struct proxy_watch *policy_group_watch(const struct policy_groups *groups, size_t group);

/* A step of the chain, behind `route`; ctx: struct policy_groups. Sees calls end, and always says NEXT. */
enum proxy_verdict policy_step_calls(struct proxy_request *req, void *ctx);

/* Drain at run time; from any thread. */
void policy_group_set_drain(struct policy_groups *groups, size_t group, size_t member, bool drain);

/* For live views and tests; from any thread. */
struct policy_member_view {
    struct slice uri;
    unsigned weight, priority;
    uint32_t calls;    /* in progress; counted for POLICY_LEAST_CALLS alone */
    uint32_t failures; /* of requests, in a row */
    bool is_up, is_drained;
    const char *why; /* of the last change, or NULL */
};
size_t policy_group_members(const struct policy_groups *groups, size_t group);
void policy_group_view(const struct policy_groups *groups, size_t group, size_t member, ms_t now_ms,
                       struct policy_member_view *ret_view);

#endif
