#include "base/mem.h"
#include "policy/group_private.h"
#include <assert.h>
#include <math.h>

#define MEMORY_BUDGET_BYTES (64u * 1024 * 1024)

/* ---- life ---- */

static int compile_member(struct policy_group *g, size_t i, struct policy_state *state)
{
    struct policy_member *m = &g->members[i];

    *m = (struct policy_member){.opts = &g->opts->members[i], .group = g, .state = state};
    if (m->opts->weight > POLICY_WEIGHT_MAX)
        return ERR_RANGE;
    if (sip_uri_parse(m->opts->uri, &m->uri) < 0 || !slice_is_null(m->uri.headers) ||
        (m->uri.scheme != SIP_SCHEME_SIP && m->uri.scheme != SIP_SCHEME_SIPS))
        return ERR_SYNTAX;
    atomic_init(&state->is_drained, m->opts->drain);
    state->announcements.per_second = POLICY_ANNOUNCEMENTS_PER_SECOND;
    return 0;
}

static int compile_statuses(struct policy_group *g)
{
    for (size_t i = 0; i < g->opts->n_failover_on; i++) {
        uint32_t status = g->opts->failover_on[i];

        if (status < POLICY_STATUS_MIN || status > POLICY_STATUS_MAX)
            return ERR_RANGE;
        status -= POLICY_STATUS_MIN;
        g->failover_on[status / 64] |= 1ull << status % 64;
    }
    return 0;
}

/* Each on a line of the cache of its own. */
static struct policy_state *states_new(struct arena *arena, size_t count)
{
    size_t line = _Alignof(struct policy_state);
    char *memory = arena_zalloc(arena, count * sizeof(struct policy_state) + line);

    return memory ? (struct policy_state *)(void *)(memory + (line - (uintptr_t)memory % line)) : NULL;
}

static int compile_group(struct policy_groups *groups, const struct policy_group_opts *opts,
                         struct policy_group *g)
{
    struct policy_state *states;
    int rc;

    if (opts->n_members == 0 || opts->n_members > POLICY_GROUP_MEMBERS_MAX)
        return ERR_LIMIT;
    g->opts = opts;
    g->groups = groups;
    g->members = arena_zalloc(&groups->arena, opts->n_members * sizeof(*g->members));
    states = states_new(&groups->arena, opts->n_members);
    if (!g->members || !states)
        return ERR_NOMEM;
    rc = compile_statuses(g);
    for (size_t i = 0; rc == 0 && i < opts->n_members; i++)
        rc = compile_member(g, i, &states[i]);
    policy_watch_init(g);
    groups->counts_calls |= policy_counts_calls(g);
    groups->has_probes |= opts->probe.interval_ms > 0;
    return rc;
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

int policy_groups_attach(struct policy_groups *groups, struct proxy *proxy)
{
    unsigned worker = proxy_get_opts(proxy)->worker;
    int rc = 0;

    assert(!groups->calls[worker]);
    if (groups->counts_calls)
        rc = policy_calls_new(&groups->secret, proxy, &groups->calls[worker]);
    if (rc == 0 && worker == 0 && groups->has_probes)
        rc = policy_prober_new(groups, proxy, &groups->prober);
    return rc;
}

void policy_groups_detach(struct policy_groups *groups, unsigned worker)
{
    policy_calls_free(groups->calls[worker]);
    groups->calls[worker] = NULL;
    if (worker == 0) {
        policy_prober_free(groups->prober);
        groups->prober = NULL;
    }
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

/* How a member stands in one choice: lower is better, the first difference counts. */
struct rank {
    bool is_down;
    unsigned priority;
    double load, score;
};

/* What makes one choice differ from another. */
static uint64_t seed_of(const struct policy_groups *groups, const struct policy_group *g,
                        const struct policy_group_key *key)
{
    bool is_drawn = g->opts->algorithm != POLICY_HASH_CALL_ID && g->opts->algorithm != POLICY_HASH_USER;
    struct hash_state st;

    if (is_drawn && !key->is_stateless)
        return key->random;
    hash_begin_table(&st, &groups->secret);
    hash_add(&st, g->opts->algorithm == POLICY_HASH_USER ? key->user : key->call_id);
    return hash_end64(&st);
}

/* Weighted rendezvous hashing: each member draws an exponential number with its weight as the rate, and the lowest
 * is first. So a member is first as often as its weight says, the order of the others is that of drawing without
 * putting back (RFC 2782), and a member more or less moves no choice but its own. */
static double score_of(const struct policy_groups *groups, const struct policy_member *m, uint64_t seed)
{
    struct hash_state st;
    double u;

    if (m->opts->weight == 0)
        return INFINITY;
    hash_begin_table(&st, &groups->secret);
    hash_add(&st, m->opts->uri);
    hash_add_u64(&st, seed);
    u = ((double)(hash_end64(&st) >> 11) + 1) / 9007199254740993.0; /* 2**53 + 1: never 0, never 1 */
    return -log(u) / m->opts->weight;
}

static double load_of(const struct policy_member *m, const struct policy_group_key *key)
{
    if (key->is_stateless || !policy_counts_calls(m->group))
        return 0;
    if (m->opts->weight == 0)
        return INFINITY;
    return (atomic_load_explicit(&m->state->calls, memory_order_relaxed) + 1.0) / m->opts->weight;
}

static bool is_before(const struct rank *a, const struct rank *b)
{
    if (a->is_down != b->is_down)
        return b->is_down;
    if (a->priority != b->priority)
        return a->priority < b->priority;
    return a->load != b->load ? a->load < b->load : a->score < b->score;
}

static bool is_out(const struct policy_member *m, const struct policy_group_key *key)
{
    return key->is_stateless ? m->opts->drain
                             : atomic_load_explicit(&m->state->is_drained, memory_order_relaxed);
}

/* A time that has run out is nobody's event: whoever sees it says so. */
static bool is_down(const struct policy_member *m, const struct policy_group_key *key)
{
    bool is_up = key->is_stateless || policy_is_up(m->state, key->now_ms);

    if (is_up && !key->is_stateless && atomic_load_explicit(&m->state->is_said_down, memory_order_relaxed))
        policy_announce(m, key->now_ms, "its time is over, on trial");
    return !is_up;
}

int policy_group_pick(const struct policy_groups *groups, size_t group, const struct policy_group_key *key,
                      struct policy_group_choice ret_choices[POLICY_GROUP_MEMBERS_MAX], size_t *ret_count)
{
    const struct policy_group *g = &groups->groups[group];
    struct rank ranks[POLICY_GROUP_MEMBERS_MAX];
    uint64_t seed = seed_of(groups, g, key);
    size_t count = 0, n_up = 0;

    for (size_t i = 0; i < g->opts->n_members; i++) {
        const struct policy_member *m = &g->members[i];
        struct rank rank = {.score = score_of(groups, m, seed), .load = load_of(m, key)};
        size_t at = count;

        if (is_out(m, key))
            continue;
        rank.is_down = is_down(m, key);
        rank.priority = g->opts->algorithm == POLICY_PRIORITY ? m->opts->priority : 0;
        for (; at > 0 && is_before(&rank, &ranks[at - 1]); at--) {
            ranks[at] = ranks[at - 1];
            ret_choices[at] = ret_choices[at - 1];
        }
        ranks[at] = rank;
        ret_choices[at] = (struct policy_group_choice){.uri = &m->uri, .member = (uint16_t)i};
        n_up += !rank.is_down;
        count++;
    }
    if (count == 0)
        return ERR_NOTFOUND;
    if (n_up > 0)
        count = n_up;
    if (g->opts->max_attempts > 0 && count > g->opts->max_attempts)
        count = g->opts->max_attempts;
    *ret_count = count;
    return 0;
}

/* ---- what others ask ---- */

const struct proxy_watch *policy_group_watch(const struct policy_groups *groups, size_t group)
{
    return &groups->groups[group].watch;
}

void policy_group_set_drain(struct policy_groups *groups, size_t group, size_t member, bool drain)
{
    atomic_store(&groups->groups[group].members[member].state->is_drained, drain);
}

size_t policy_group_members(const struct policy_groups *groups, size_t group)
{
    return groups->groups[group].opts->n_members;
}

void policy_group_view(const struct policy_groups *groups, size_t group, size_t member, ms_t now_ms,
                       struct policy_member_view *ret_view)
{
    const struct policy_member *m = &groups->groups[group].members[member];

    *ret_view = (struct policy_member_view){
        .uri = m->opts->uri,
        .weight = m->opts->weight,
        .priority = m->opts->priority,
        .calls = atomic_load(&m->state->calls),
        .failures = atomic_load(&m->state->failures),
        .is_up = policy_is_up(m->state, now_ms),
        .is_drained = atomic_load(&m->state->is_drained),
        .why = atomic_load(&m->state->why),
    };
}
