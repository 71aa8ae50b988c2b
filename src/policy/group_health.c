/* Who is up. Every word is an atomic of its own: two workers that learn something at the same time may interleave,
 * and whichever writes last is as right as the other; what is said in the log is decided by one exchange. */
#include "base/log.h"
#include "policy/group_private.h"

bool policy_is_up(const struct policy_state *state, ms_t now_ms)
{
    return now_ms >= atomic_load_explicit(&state->down_until_ms, memory_order_relaxed) &&
           now_ms >= atomic_load_explicit(&state->held_until_ms, memory_order_relaxed);
}

void policy_announce(const struct policy_member *m, ms_t now_ms, const char *why)
{
    bool is_down = !policy_is_up(m->state, now_ms);

    if (atomic_exchange(&m->state->is_said_down, is_down) == is_down)
        return;
    atomic_store(&m->state->why, why);
    log_limited(&m->state->announcements, is_down ? LOG_WARN : LOG_NOTICE,
                is_down ? "member.down" : "member.up", log_slice("group", m->group->opts->name),
                log_slice("member", m->opts->uri), log_cstr("why", why));
}

void policy_set_down(const struct policy_member *m, ms_t now_ms, const char *why)
{
    bool has_probes = m->group->opts->probe.interval_ms > 0;

    atomic_store(&m->state->down_until_ms, has_probes ? MS_NEVER : now_ms + POLICY_DOWN_MS);
    policy_announce(m, now_ms, why);
}

void policy_set_up(const struct policy_member *m, ms_t now_ms, const char *why)
{
    atomic_store(&m->state->down_until_ms, 0);
    atomic_store(&m->state->failures, 0);
    policy_announce(m, now_ms, why);
}

/* After so many in a row, and then again with each one more: who is on trial has no credit. */
void policy_note_failure(const struct policy_member *m, ms_t now_ms, const char *why)
{
    uint32_t failures = atomic_fetch_add(&m->state->failures, 1) + 1;
    uint32_t max = m->group->opts->max_failures;

    if (max > 0 && failures >= max)
        policy_set_down(m, now_ms, why);
}

void policy_note_answer(const struct policy_member *m, ms_t now_ms)
{
    if (atomic_load_explicit(&m->state->failures, memory_order_relaxed) > 0 ||
        atomic_load_explicit(&m->state->down_until_ms, memory_order_relaxed) > 0)
        policy_set_up(m, now_ms, "it has answered a request");
}

void policy_hold(const struct policy_member *m, ms_t now_ms, uint32_t retry_after_s)
{
    atomic_store(&m->state->held_until_ms, now_ms + retry_after_s * 1000ull);
    policy_announce(m, now_ms, "503 with Retry-After (RFC 3261 section 21.5.4)");
}
