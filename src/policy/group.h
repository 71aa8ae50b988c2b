/* Gateway groups: several next hops that are as good as each other, or one better than the next, under one
 * name. A route's action names a group; for each request the group says in which order its members are to be
 * tried, and the core tries them one after the other.
 *
 * Life of one: the configuration's list is compiled by policy_groups_new() when the snapshot is made. What is
 * compiled (names, members, weights) never changes; what is learnt (which member answers its probes, how many
 * calls it has) lies beside it, is shared by all workers and only ever read or written by atomic operations. A
 * request holds nothing of it: policy_group_pick() copies out what it needs, without allocation. */
#ifndef POLICY_GROUP_H
#define POLICY_GROUP_H

#include "base/clock.h"
#include "base/err.h"
#include "base/hash.h"
#include "sip/uri.h"

#define POLICY_GROUPS_MAX        1000
#define POLICY_GROUP_MEMBERS_MAX 64 /* of one group */

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
};

/* Text belongs to the configuration and outlives the groups. */
struct policy_group_opts {
    struct slice name;
    enum policy_algorithm algorithm;
    const struct policy_member_opts *members; /* 1 to POLICY_GROUP_MEMBERS_MAX */
    size_t n_members;
};

struct policy_groups;

/* secret: what the hashes are keyed with: the same in all processes of a cluster, and after a restart. ERR_NOMEM;
 * ERR_SYNTAX: a member's URI; ERR_LIMIT: more groups or members than there may be. */
MUST_USE int policy_groups_new(const struct policy_group_opts *groups, size_t n_groups,
                               const struct hash_key *secret, struct policy_groups **ret_groups);
/* NULL is fine. */
void policy_groups_free(struct policy_groups *groups);

size_t policy_groups_count(const struct policy_groups *groups);
/* Groups are known by their place in the list given to policy_groups_new. */
struct slice policy_group_name(const struct policy_groups *groups, size_t group);

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

/* The members of a group in the order in which they are to be tried: those that are up, and not drained. When none
 * is up, all that are not drained: a probe may be wrong, and nothing is lost by trying. *ret_count is at least 1.
 * ERR_NOTFOUND: all are drained. Bounded work: no more than POLICY_GROUP_MEMBERS_MAX squared comparisons. */
MUST_USE int policy_group_pick(const struct policy_groups *groups, size_t group,
                               const struct policy_group_key *key,
                               struct policy_group_choice ret_choices[POLICY_GROUP_MEMBERS_MAX],
                               size_t *ret_count);

#endif
