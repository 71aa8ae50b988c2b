/* What the files of this folder share and nobody else sees. */
#ifndef POLICY_INTERNAL_H
#define POLICY_INTERNAL_H

#include "base/arena.h"
#include "base/pattern.h"
#include "policy/route.h"

#define POLICY_WORDS ((POLICY_ROUTES_MAX + 63) / 64)

/* A set of routes: one bit each, in as many words as the table needs. */
typedef uint64_t policy_set;

/* Sets of routes by a key. */
struct policy_index_entry {
    struct slice key;
    policy_set *routes;
};

struct policy_index {
    struct policy_index_entry *entries; /* sorted by key */
    size_t count;
    policy_set *any;                        /* routes that do not have the condition */
    uint8_t lengths[PATTERN_MAX_BYTES + 1]; /* the lengths up to PATTERN_MAX_BYTES that keys have, rising */
    size_t n_lengths;
};

struct policy_target {
    struct sip_uri uri;
    unsigned q_milli;
};

struct policy_route {
    const struct policy_route_opts *opts;
    struct policy_target *targets;
    struct slice contacts; /* POLICY_REDIRECT: as they stand in Contact */
    size_t group;          /* POLICY_GROUP */
    const char *why;       /* POLICY_REJECT: for the log */
    bool needs_user_check; /* a pattern is more than a beginning */
    bool takes_register;   /* for a domain of ours */
    bool leads_out;        /* to somebody else's place */
};

struct policy_routes {
    struct arena_pool pool;
    struct arena arena; /* all that follows */
    const struct proxy_opts *proxy;
    struct policy_groups *groups;
    enum policy_identity identity;
    struct policy_route *routes;
    size_t n_routes, n_words;
    bool any_stateless;
    policy_set
        *methods[SIP_METHOD_COUNT]; /* OTHER: those that name a method which is not in the table, or none */
    policy_set **listeners;         /* by their place in proxy->listeners */
    struct policy_index domains, users;
};

/* index.c */

/* That a route can be found under a key. */
struct policy_index_pair {
    struct slice key;
    size_t route;
};
/* Sorts pairs. index->any is empty then, and for the caller to fill. ERR_NOMEM. */
MUST_USE int policy_index_build(struct policy_index *index, struct policy_index_pair *pairs, size_t n_pairs,
                                size_t n_words, struct arena *arena);
/* NULL: no route has it. */
const policy_set *policy_index_find(const struct policy_index *index, struct slice key);

static inline void policy_set_add(policy_set *set, size_t route)
{
    set[route / 64] |= 1ull << route % 64;
}

/* number.c: the user part as `rewrite` wants it, in out. ERR_LIMIT: it does not fit. ERR_NOTFOUND: nothing
 * changes. ERR_SYNTAX: nothing would be left. */
MUST_USE int policy_rewrite(const struct policy_rewrite_opts *rewrite, struct slice user, struct buf *out);
/* The user part decoded, without what follows a ';' (RFC 3261 section 19.1.6: parameters of a telephone
 * number). */
struct slice policy_user_decode(struct slice user, char out[POLICY_USER_BYTES]);

/* identity.c: proxy_request.edit. */
void policy_identity_edit(struct proxy_request *req, const struct sip_hop *hop, struct sip_edit *edit);

#endif
