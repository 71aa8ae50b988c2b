/* Probes: OPTIONS to each member (RFC 3261 section 11.1), on the clock of one worker. The first ones are
 * spread over the interval, and stay so. */
#include "base/mem.h"
#include "policy/group_private.h"
#include "proxy/originate.h"

struct probe {
    struct timer timer;
    const struct policy_member *member;
    struct proxy *proxy;
    unsigned passed, failed; /* in a row */
    bool is_under_way;
};

struct policy_prober {
    size_t count;
    struct probe probes[];
};

static void pass(struct probe *probe, ms_t now_ms)
{
    const struct policy_member *m = probe->member;

    probe->failed = 0;
    if (probe->passed < m->group->opts->probe.pass)
        probe->passed++;
    if (probe->passed >= m->group->opts->probe.pass &&
        atomic_load_explicit(&m->state->down_until_ms, memory_order_relaxed) > 0)
        policy_set_up(m, now_ms, "it answers its probes");
}

static void fail(struct probe *probe, ms_t now_ms, const char *why)
{
    const struct policy_member *m = probe->member;

    counter_inc(proxy_get_counters(probe->proxy), COUNTER_PROBES_FAILED);
    probe->passed = 0;
    if (probe->failed < m->group->opts->probe.fail)
        probe->failed++;
    if (probe->failed >= m->group->opts->probe.fail)
        policy_set_down(m, now_ms, why);
}

/* Any answer says that somebody is there; a 503 says that he is not to be asked. */
static void on_answer(void *ctx, const struct proxy_origin_answer *answer)
{
    struct probe *probe = ctx;
    ms_t now_ms = proxy_now_ms(probe->proxy);

    probe->is_under_way = false;
    if (answer->response && answer->status != 503)
        pass(probe, now_ms);
    else if (answer->response)
        fail(probe, now_ms, "it answers its probes with 503");
    else if (answer->status == 408)
        fail(probe, now_ms, "it does not answer its probes");
    else
        fail(probe, now_ms, "probes do not reach it");
}

static struct slice unless_empty(struct slice text)
{
    return text.len > 0 ? text : SLICE_NULL;
}

static void ask(struct probe *probe)
{
    const struct policy_probe_opts *opts = &probe->member->group->opts->probe;
    const struct proxy_origin origin = {
        .method = SIP_METHOD_OPTIONS,
        .uri = probe->member->opts->uri,
        .to = unless_empty(opts->to),
        .from = unless_empty(opts->from),
        .timeout_ms = opts->timeout_ms,
    };
    int rc = proxy_originate(probe->proxy, &origin, on_answer, probe);

    /* Other errors are ours, and say nothing about the member. */
    probe->is_under_way = rc == 0;
    if (rc == ERR_NOTFOUND)
        fail(probe, proxy_now_ms(probe->proxy), "it has no address");
    else if (rc == 0)
        counter_inc(proxy_get_counters(probe->proxy), COUNTER_PROBES);
}

static void on_timer(struct timer_wheel *wheel, struct timer *timer)
{
    struct probe *probe = list_entry(timer, struct probe, timer);

    timer_set(wheel, timer, wheel->now_ms + probe->member->group->opts->probe.interval_ms);
    if (!probe->is_under_way)
        ask(probe);
}

static void add_group(struct policy_prober *prober, const struct policy_group *g, struct proxy *proxy)
{
    struct timer_wheel *wheel = proxy_get_wheel(proxy);
    ms_t interval_ms = g->opts->probe.interval_ms;

    for (size_t i = 0; interval_ms > 0 && i < g->opts->n_members; i++) {
        struct probe *probe = &prober->probes[prober->count++];

        probe->member = &g->members[i];
        probe->proxy = proxy;
        timer_init(&probe->timer, on_timer);
        timer_set(wheel, &probe->timer, wheel->now_ms + interval_ms * i / g->opts->n_members);
    }
}

int policy_prober_new(const struct policy_groups *groups, struct proxy *proxy,
                      struct policy_prober **ret_prober)
{
    struct policy_prober *prober;
    size_t count = 0;

    for (size_t i = 0; i < groups->n_groups; i++)
        count += groups->groups[i].opts->n_members;
    prober = mem_zalloc(sizeof(*prober) + count * sizeof(prober->probes[0]));
    if (!prober)
        return ERR_NOMEM;
    for (size_t i = 0; i < groups->n_groups; i++)
        add_group(prober, &groups->groups[i], proxy);
    *ret_prober = prober;
    return 0;
}

void policy_prober_free(struct policy_prober *prober)
{
    mem_free(prober);
}
