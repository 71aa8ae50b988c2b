/* What the group_*.c files share. */
#ifndef POLICY_GROUP_PRIVATE_H
#define POLICY_GROUP_PRIVATE_H

#include "base/arena.h"
#include "base/log.h"
#include "base/timer.h"
#include "policy/group.h"
#include <stdatomic.h>

#define POLICY_WORKERS_MAX 256
#define POLICY_STATUS_MIN  400
#define POLICY_STATUS_MAX  599

#define POLICY_ANNOUNCEMENTS_PER_SECOND 5 /* lines in the log about one member */

/* What is learnt of a member, by all workers. A line of the cache for each: calls change with every call. */
struct policy_state {
    _Alignas(64) _Atomic uint32_t calls;
    _Atomic uint32_t failures;      /* of requests, in a row */
    _Atomic uint64_t down_until_ms; /* for what it did not answer; 0: it did; MS_NEVER: until it does */
    _Atomic uint64_t held_until_ms; /* a 503 asked for it by Retry-After */
    _Atomic bool is_drained;
    _Atomic bool is_said_down; /* what the log says: it is told of changes alone */
    const char *_Atomic why;
    struct log_limiter announcements; /* calls may take a member down and up again as often as they come */
};

struct policy_group;

struct policy_member {
    const struct policy_member_opts *opts;
    struct sip_uri uri;
    struct policy_group *group;
    struct policy_state *state;
};

struct policy_group {
    struct proxy_watch watch;
    const struct policy_group_opts *opts;
    struct policy_groups *groups;
    struct policy_member *members;
    uint64_t failover_on[(POLICY_STATUS_MAX - POLICY_STATUS_MIN) / 64 + 1];
};

struct policy_calls;
struct policy_prober;

struct policy_groups {
    struct arena_pool pool;
    struct arena arena; /* all but the workers' */
    struct hash_key secret;
    struct policy_group *groups;
    size_t n_groups;
    bool counts_calls, has_probes;                  /* some group does */
    struct policy_calls *calls[POLICY_WORKERS_MAX]; /* each is its worker's alone */
    struct policy_prober *prober;                   /* of worker 0 */
};

static inline const struct policy_group *policy_group_of(const struct proxy_watch *watch)
{
    _Static_assert(offsetof(struct policy_group, watch) == 0, "a watch is its group");
    return (const struct policy_group *)watch;
}

static inline bool policy_counts_calls(const struct policy_group *g)
{
    return g->opts->algorithm == POLICY_LEAST_CALLS;
}

/* group_health.c */

bool policy_is_up(const struct policy_state *state, ms_t now_ms);
/* Writes to the log what is not what the log said last. why: of the change. */
void policy_announce(const struct policy_member *member, ms_t now_ms, const char *why);
/* What a request found. */
void policy_note_failure(const struct policy_member *member, ms_t now_ms, const char *why);
void policy_note_answer(const struct policy_member *member, ms_t now_ms);
/* Retry-After of a 503. */
void policy_hold(const struct policy_member *member, ms_t now_ms, uint32_t retry_after_s);
/* What probes decided. */
void policy_set_down(const struct policy_member *member, ms_t now_ms, const char *why);
void policy_set_up(const struct policy_member *member, ms_t now_ms, const char *why);

/* group_watch.c */

void policy_watch_init(struct policy_group *g);
/* Delay of a Retry-After (RFC 3261 section 20.33), no more than POLICY_RETRY_AFTER_MAX_S; 0: there is none. */
uint32_t policy_retry_after_s(const struct sip_msg *response);

/* group_calls.c: calls that have been answered, of one worker. */

MUST_USE int policy_calls_new(const struct hash_key *key, struct proxy *proxy,
                              struct policy_calls **ret_calls);
/* The proxy is gone. NULL is fine. */
void policy_calls_free(struct policy_calls *calls);
/* The call is counted at member already; it is until it ends, or max_call_ms have passed. Without memory it is
 * counted no more. */
void policy_calls_add(struct policy_calls *calls, struct slice call_id, const struct policy_member *member);
void policy_calls_end(struct policy_calls *calls, struct slice call_id);

/* group_probe.c */

MUST_USE int policy_prober_new(const struct policy_groups *groups, struct proxy *proxy,
                               struct policy_prober **ret_prober);
/* The proxy is gone. NULL is fine. */
void policy_prober_free(struct policy_prober *prober);

#endif
