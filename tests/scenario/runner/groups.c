/* group NAME ALGORITHM [KEY=VALUE ...] and member GROUP URI [weight=N] [priority=N] [drain]: gateway groups, each with
 * a route that leads users to it (users=PATTERN; `+*` unless something else is said) and asks nobody who he is. */
#include "base/num.h"
#include "run.h"

#define STATUSES_MAX 16

static struct slice arg(const struct stmt *stmt, size_t i)
{
    return i < stmt->n_words ? stmt->words[i].text : SLICE("");
}

static bool take_number(struct run *run, const struct stmt *stmt, const char *key, unsigned *value)
{
    const struct slice *text = script_option(run->heap, stmt, 3, key);
    uint32_t number;

    if (text && num_parse_u32(*text, UINT32_MAX, &number) < 0)
        return run_bad_script(run, stmt, "%s=NUMBER", key);
    if (text)
        *value = number;
    return true;
}

static bool take_ms(struct run *run, const struct stmt *stmt, const char *key, ms_t *value)
{
    const struct slice *text = script_option(run->heap, stmt, 3, key);

    if (text && !setup_parse_ms(*text, value))
        return run_bad_script(run, stmt, "%s=TIME", key);
    return true;
}

static void take_text(struct run *run, const struct stmt *stmt, const char *key, struct slice *value)
{
    const struct slice *text = script_option(run->heap, stmt, 3, key);

    if (text)
        *value = *text;
}

static bool take_statuses(struct run *run, const struct stmt *stmt, struct policy_group_opts *g)
{
    const struct slice *text = script_option(run->heap, stmt, 3, "failover_on");
    uint32_t *statuses = heap_alloc(run->heap, STATUSES_MAX * sizeof(*statuses));
    struct slice *words;

    g->n_failover_on = plain_split(run->heap, text ? *text : SLICE("408,500,502,503,504"), ',', &words);
    g->failover_on = statuses;
    for (size_t i = 0; i < g->n_failover_on; i++)
        if (i == STATUSES_MAX || num_parse_u32(words[i], 599, &statuses[i]) < 0)
            return run_bad_script(run, stmt, "failover_on=STATUS,...");
    return true;
}

static bool take_algorithm(struct run *run, const struct stmt *stmt, struct policy_group_opts *g)
{
    static const struct {
        const char *name;
        enum policy_algorithm algorithm;
    } names[] = {{"priority", POLICY_PRIORITY},
                 {"weighted", POLICY_WEIGHTED},
                 {"call_id", POLICY_HASH_CALL_ID},
                 {"user", POLICY_HASH_USER},
                 {"least_calls", POLICY_LEAST_CALLS}};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        g->algorithm = names[i].algorithm;
        if (slice_eq(arg(stmt, 2), slice_from_cstr(names[i].name)))
            return true;
    }
    return run_bad_script(run, stmt, "no such algorithm");
}

bool groups_setup_group(struct run *run, const struct stmt *stmt)
{
    struct services_opts *s = &run->services_opts;
    struct policy_group_opts g = {.name = arg(stmt, 1),
                                  .max_failures = 3,
                                  .timeout_ms = 8000,
                                  .progress_ms = 30000,
                                  .max_call_ms = 14400000,
                                  .probe = {.timeout_ms = 2000, .pass = 2, .fail = 3}};

    if (s->n_groups == SERVICES_GROUPS_MAX)
        return run_bad_script(run, stmt, "too many groups");
    s->group_users[s->n_groups] = SLICE("+*");
    take_text(run, stmt, "users", &s->group_users[s->n_groups]);
    take_text(run, stmt, "probe_from", &g.probe.from);
    take_text(run, stmt, "probe_to", &g.probe.to);
    if (!take_algorithm(run, stmt, &g) || !take_statuses(run, stmt, &g) ||
        !take_number(run, stmt, "max_attempts", &g.max_attempts) ||
        !take_number(run, stmt, "max_failures", &g.max_failures) ||
        !take_number(run, stmt, "pass", &g.probe.pass) || !take_number(run, stmt, "fail", &g.probe.fail) ||
        !take_ms(run, stmt, "timeout", &g.timeout_ms) || !take_ms(run, stmt, "progress", &g.progress_ms) ||
        !take_ms(run, stmt, "max_call", &g.max_call_ms) ||
        !take_ms(run, stmt, "probe", &g.probe.interval_ms) ||
        !take_ms(run, stmt, "probe_timeout", &g.probe.timeout_ms))
        return false;
    s->groups[s->n_groups++] = g;
    return true;
}

bool groups_setup_member(struct run *run, const struct stmt *stmt)
{
    struct services_opts *s = &run->services_opts;
    struct policy_member_opts m = {.uri = arg(stmt, 2), .weight = 1, .drain = script_flag(stmt, 3, "drain")};
    size_t i = 0;

    while (i < s->n_groups && !slice_eq(s->groups[i].name, arg(stmt, 1)))
        i++;
    if (i == s->n_groups || s->groups[i].n_members == SERVICES_MEMBERS_MAX)
        return run_bad_script(run, stmt, "member GROUP URI, below its group");
    if (!take_number(run, stmt, "weight", &m.weight) || !take_number(run, stmt, "priority", &m.priority))
        return false;
    s->members[i][s->groups[i].n_members++] = m;
    return true;
}
