#include "policy/group.h"
#include "base/arena.h"
#include "base/mem.h"
#include <math.h>

#define MEMORY_BUDGET_BYTES (64u * 1024 * 1024)

struct member {
    const struct policy_member_opts *opts;
    struct sip_uri uri;
};

struct group {
    const struct policy_group_opts *opts;
    struct member *members;
};

struct policy_groups {
    struct arena_pool pool;
    struct arena arena;
    struct hash_key secret;
    struct group *groups;
    size_t n_groups;
};

/* ---- life ---- */

static int compile_group(struct policy_groups *groups, const struct policy_group_opts *opts, struct group *g)
{
    if (opts->n_members == 0 || opts->n_members > POLICY_GROUP_MEMBERS_MAX)
        return ERR_LIMIT;
    g->opts = opts;
    g->members = arena_zalloc(&groups->arena, opts->n_members * sizeof(*g->members));
    if (!g->members)
        return ERR_NOMEM;
    for (size_t i = 0; i < opts->n_members; i++) {
        struct member *m = &g->members[i];

        m->opts = &opts->members[i];
        if (sip_uri_parse(m->opts->uri, &m->uri) < 0 || !slice_is_null(m->uri.headers) ||
            (m->uri.scheme != SIP_SCHEME_SIP && m->uri.scheme != SIP_SCHEME_SIPS))
            return ERR_SYNTAX;
    }
    return 0;
}

static int compile(struct policy_groups *groups, const struct policy_group_opts *opts, size_t n_groups)
{
    int rc = 0;

    groups->groups = arena_zalloc(&groups->arena, (n_groups + 1) * sizeof(*groups->groups));
    if (!groups->groups)
        return ERR_NOMEM;
    for (; rc == 0 && groups->n_groups < n_groups; groups->n_groups++)
        rc = compile_group(groups, &opts[groups->n_groups], &groups->groups[groups->n_groups]);
    return rc;
}

int policy_groups_new(const struct policy_group_opts *opts, size_t n_groups, const struct hash_key *secret,
                      struct policy_groups **ret_groups)
{
    struct policy_groups *groups;
    int rc;

    if (n_groups > POLICY_GROUPS_MAX)
        return ERR_LIMIT;
    groups = mem_zalloc(sizeof(*groups));
    if (!groups)
        return ERR_NOMEM;
    groups->secret = *secret;
    arena_pool_init(&groups->pool, MEMORY_BUDGET_BYTES);
    arena_init(&groups->arena, &groups->pool);
    rc = compile(groups, opts, n_groups);
    if (rc == 0)
        *ret_groups = groups;
    else
        policy_groups_free(groups);
    return rc;
}

void policy_groups_free(struct policy_groups *groups)
{
    if (!groups)
        return;
    arena_done(&groups->arena);
    arena_pool_done(&groups->pool);
    mem_free(groups);
}

size_t policy_groups_count(const struct policy_groups *groups)
{
    return groups->n_groups;
}

struct slice policy_group_name(const struct policy_groups *groups, size_t group)
{
    return groups->groups[group].opts->name;
}

/* ---- picking ---- */

/* How a member stands in one choice: lower is better. */
struct rank {
    unsigned priority;
    double score;
};

/* What makes one choice differ from another. */
static uint64_t seed_of(const struct policy_groups *groups, const struct group *g,
                        const struct policy_group_key *key)
{
    bool is_drawn = g->opts->algorithm != POLICY_HASH_CALL_ID && g->opts->algorithm != POLICY_HASH_USER;
    struct hash_state st;

    if (is_drawn && !key->is_stateless)
        return key->random;
    hash_begin(&st, &groups->secret);
    hash_add(&st, g->opts->algorithm == POLICY_HASH_USER ? key->user : key->call_id);
    return hash_end64(&st);
}

/* Weighted rendezvous hashing: each member draws an exponential number with its weight as the rate, and the lowest
 * is first. So a member is first as often as its weight says, the order of the others is that of drawing without
 * putting back (RFC 2782), and a member more or less moves no choice but its own. */
static double score_of(const struct policy_groups *groups, const struct member *m, uint64_t seed)
{
    struct hash_state st;
    double u;

    if (m->opts->weight == 0)
        return INFINITY;
    hash_begin(&st, &groups->secret);
    hash_add(&st, m->opts->uri);
    hash_add_u64(&st, seed);
    u = ((double)(hash_end64(&st) >> 11) + 1) / 9007199254740993.0; /* 2**53 + 1: never 0, never 1 */
    return -log(u) / m->opts->weight;
}

static bool is_before(const struct rank *a, const struct rank *b)
{
    return a->priority != b->priority ? a->priority < b->priority : a->score < b->score;
}

int policy_group_pick(const struct policy_groups *groups, size_t group, const struct policy_group_key *key,
                      struct policy_group_choice ret_choices[POLICY_GROUP_MEMBERS_MAX], size_t *ret_count)
{
    const struct group *g = &groups->groups[group];
    struct rank ranks[POLICY_GROUP_MEMBERS_MAX];
    uint64_t seed = seed_of(groups, g, key);

    for (size_t i = 0; i < g->opts->n_members; i++) {
        const struct member *m = &g->members[i];
        struct rank rank = {g->opts->algorithm == POLICY_PRIORITY ? m->opts->priority : 0,
                            score_of(groups, m, seed)};
        size_t at = i;

        for (; at > 0 && is_before(&rank, &ranks[at - 1]); at--) {
            ranks[at] = ranks[at - 1];
            ret_choices[at] = ret_choices[at - 1];
        }
        ranks[at] = rank;
        ret_choices[at] = (struct policy_group_choice){.uri = &m->uri, .member = (uint16_t)i};
    }
    *ret_count = g->opts->n_members;
    return 0;
}
