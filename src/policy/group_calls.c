/* Calls in progress, so that the least busy member can be found. What is counted is taken back
 * exactly once: when a BYE of the dialog passes, when the longest time for a call is over (its end
 * was lost, or went another way), or with the worker. All messages of a call come to one worker, so
 * its table is its own; the sums are shared. */
#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/pool.h"
#include "policy/group_private.h"

#define CALLS_MAX     1000000 /* of one worker; what is above is not counted */
#define CALLS_BUCKETS 1024

struct policy_calls {
    struct map map;
    struct pool pool;
    struct hash_key key;
    struct timer_wheel *wheel;
    struct policy_groups *groups;
};

struct call {
    struct map_node node;
    struct timer timer;
    struct policy_calls *calls;
    struct policy_state *state;
};

static void end(struct policy_calls *calls, struct call *call)
{
    atomic_fetch_sub_explicit(&call->state->calls, 1, memory_order_relaxed);
    map_remove(&calls->map, &call->node);
    pool_put(&calls->pool, call);
}

static void on_timer(struct timer_wheel *wheel, struct timer *timer)
{
    struct call *call = list_entry(timer, struct call, timer);

    (void)wheel;
    end(call->calls, call);
}

void policy_calls_add(struct policy_calls *calls, struct slice call_id, const struct policy_member *member)
{
    struct call *call = pool_get(&calls->pool);

    if (!call) {
        atomic_fetch_sub_explicit(&member->state->calls, 1, memory_order_relaxed);
        return;
    }
    call->calls = calls;
    call->state = member->state;
    timer_init(&call->timer, on_timer);
    timer_set(calls->wheel, &call->timer, calls->wheel->now_ms + member->group->opts->max_call_ms);
    map_insert(&calls->map, &call->node, hash_siphash64(&calls->key, call_id));
}

void policy_calls_end(struct policy_calls *calls, struct slice call_id)
{
    struct map_node *node = map_first(&calls->map, hash_siphash64(&calls->key, call_id));
    struct call *call;

    if (!node)
        return;
    call = map_entry(node, struct call, node);
    timer_stop(calls->wheel, &call->timer);
    end(calls, call);
}

enum proxy_verdict policy_step_calls(struct proxy_request *req, void *ctx)
{
    const struct policy_groups *groups = ctx;
    struct policy_calls *calls = groups->calls[proxy_get_opts(req->proxy)->worker];

    if (calls && req->method == SIP_METHOD_BYE && req->dialog_is_ours)
        policy_calls_end(calls, req->call_id);
    return PROXY_NEXT;
}

int policy_calls_new(const struct hash_key *key, struct proxy *proxy, struct policy_calls **ret_calls)
{
    struct policy_calls *calls = mem_zalloc(sizeof(*calls));
    int rc;

    if (!calls)
        return ERR_NOMEM;
    rc = map_init(&calls->map, CALLS_BUCKETS);
    if (rc < 0) {
        mem_free(calls);
        return rc;
    }
    pool_init(&calls->pool, sizeof(struct call), CALLS_MAX);
    calls->key = *key;
    calls->wheel = proxy_get_wheel(proxy);
    *ret_calls = calls;
    return 0;
}

static void forget(struct map_node *node, void *ctx)
{
    end(ctx, map_entry(node, struct call, node));
}

void policy_calls_free(struct policy_calls *calls)
{
    if (!calls)
        return;
    map_each(&calls->map, forget, calls);
    map_done(&calls->map);
    pool_done(&calls->pool);
    mem_free(calls);
}
