/* What becomes of a member that is tried: failover, evidence of its health, calls in progress. */
#include "base/num.h"
#include "policy/group_private.h"

uint32_t policy_retry_after_s(const struct sip_msg *response)
{
    struct slice value = sip_msg_value(response, SIP_HDR_RETRY_AFTER);
    uint32_t delay_s;
    size_t len = 0;

    /* A comment or parameters may follow. */
    while (len < value.len && value.ptr[len] >= '0' && value.ptr[len] <= '9')
        len++;
    if (num_parse_u32_saturate(slice_sub(value, 0, len), POLICY_RETRY_AFTER_MAX_S, &delay_s) < 0)
        return 0;
    return delay_s;
}

static bool is_listed(const struct policy_group *g, unsigned status)
{
    if (status < POLICY_STATUS_MIN || status > POLICY_STATUS_MAX)
        return false;
    status -= POLICY_STATUS_MIN;
    return (g->failover_on[status / 64] >> status % 64 & 1) != 0;
}

/* Whom nobody answers is called by nobody else on his behalf: once it has rung, a 408 is an answer. */
static bool goes_on(const struct policy_group *g, const struct proxy_outcome *outcome)
{
    /* RFC 7339 section 5.10: "by sending some of the requests that would have gone to the
     * overloaded element to a different destination". */
    if (outcome->how == PROXY_TRY_SPARED)
        return true;
    return outcome->how != PROXY_TRY_DROPPED && is_listed(g, outcome->status) &&
           !(outcome->has_rung && outcome->status == 408);
}

/* A 500 or 504 may be about the number that was called; a 503 is about the server (section 21.5.4). */
static void learn(const struct policy_member *m, ms_t now_ms, const struct proxy_outcome *outcome)
{
    uint32_t retry_after_s;

    switch (outcome->how) {
    case PROXY_TRY_ANSWERED:
        if (outcome->status != 503) {
            policy_note_answer(m, now_ms);
            break;
        }
        retry_after_s = policy_retry_after_s(outcome->response);
        if (retry_after_s > 0)
            policy_hold(m, now_ms, retry_after_s);
        policy_note_failure(m, now_ms, "503 to several requests in a row");
        break;
    case PROXY_TRY_SILENT:
        if (outcome->has_rung)
            policy_note_answer(m, now_ms);
        else
            policy_note_failure(m, now_ms, "no answer to several requests in a row");
        break;
    case PROXY_TRY_UNREACHABLE:
        policy_note_failure(m, now_ms, "several requests in a row did not reach it");
        break;
    case PROXY_TRY_SPARED:
    case PROXY_TRY_DROPPED:
        break;
    }
}

static bool is_counted(const struct policy_group *g, const struct proxy_request *req)
{
    return policy_counts_calls(g) && req->method == SIP_METHOD_INVITE;
}

static void on_begun(const struct proxy_watch *watch, struct proxy_request *req, unsigned member)
{
    const struct policy_group *g = policy_group_of(watch);

    if (is_counted(g, req))
        atomic_fetch_add_explicit(&g->members[member].state->calls, 1, memory_order_relaxed);
}

/* A call that was answered is counted on while this proxy sees its end. */
static void count_end(const struct policy_group *g, struct proxy_request *req, unsigned member,
                      const struct proxy_outcome *outcome)
{
    const struct proxy_opts *opts = proxy_get_opts(req->proxy);
    struct policy_calls *calls = g->groups->calls[opts->worker];

    if (outcome->how == PROXY_TRY_ANSWERED && outcome->status < 300 && opts->record_route && calls)
        policy_calls_add(calls, req->call_id, &g->members[member]);
    else
        atomic_fetch_sub_explicit(&g->members[member].state->calls, 1, memory_order_relaxed);
}

static bool on_ended(const struct proxy_watch *watch, struct proxy_request *req, unsigned member,
                     const struct proxy_outcome *outcome)
{
    const struct policy_group *g = policy_group_of(watch);
    bool next = goes_on(g, outcome);

    if (is_counted(g, req))
        count_end(g, req, member, outcome);
    learn(&g->members[member], proxy_now_ms(req->proxy), outcome);
    if (next)
        counter_inc(proxy_get_counters(req->proxy), COUNTER_MEMBERS_FAILED);
    return next;
}

void policy_watch_init(struct policy_group *g)
{
    /* Where a 408 leads to nobody else, nobody is given up for being slow. */
    bool gives_up = is_listed(g, 408);

    g->watch = (struct proxy_watch){.begun = on_begun,
                                    .ended = on_ended,
                                    .timeout_ms = gives_up ? g->opts->timeout_ms : 0,
                                    .progress_ms = gives_up ? g->opts->progress_ms : 0};
}
