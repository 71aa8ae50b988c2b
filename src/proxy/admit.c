/* Who is turned away under overload: requests that begin something, by a 503 without state. Never what
 * belongs to something begun (a To tag, ACK, CANCEL, responses, retransmissions of what was taken), which
 * would make the work already done useless; and never an emergency call. A REGISTER begins something: all
 * phones of a site that register again at once are what overload mostly is (RFC 5390). */
#include "proxy/internal.h"

/* What is refused has a mark in its To tag, and so has its ACK. */
static void absorb(struct proxy *p, bool is_wanted)
{
    if (p->is_absorbing == is_wanted || !p->ports.absorb)
        return;
    p->is_absorbing = is_wanted;
    p->ports.absorb(p->ports.ctx,
                    is_wanted ? slice_make(p->refusal_mark, sizeof(p->refusal_mark)) : SLICE_NULL);
}

static void tell_change(struct proxy *p, enum pressure_change change)
{
    if (change == PRESSURE_BEGUN) {
        counter_inc(p->counters, COUNTER_OVERLOADS);
        p->n_refused = 0;
        log_limited(&p->limiters[PROXY_LOG_OVERLOAD], LOG_WARN, "overload.begun",
                    log_u64("worker", p->opts->worker), log_u64("waited_us", p->pressure.waited_us),
                    log_cstr("effect", "new requests get 503, calls in progress go on"));
        absorb(p, true);
    } else if (change == PRESSURE_ENDED) {
        log_limited(&p->limiters[PROXY_LOG_OVERLOAD], LOG_WARN, "overload.ended",
                    log_u64("worker", p->opts->worker), log_u64("refused", p->n_refused));
    }
}

void proxy_waited(struct proxy *p, unsigned queue, uint32_t waited_us, uint64_t lost)
{
    tell_change(p, pressure_note(&p->pressure, p->wheel.now_ms, queue, waited_us, lost));
}

void proxy_admit_tick(struct proxy *p)
{
    if (pressure_is_felt(&p->pressure))
        tell_change(p, pressure_tick(&p->pressure, p->wheel.now_ms));
    /* Overload that ended may begin again soon, and to say so costs the world more than a few messages. */
    if (p->is_absorbing && !p->pressure.is_on && !proxy_refused_any(p) &&
        p->wheel.now_ms - p->pressure.last_above_ms >= 64 * p->opts->times.t1_ms)
        absorb(p, false);
}

/* RFC 7339 section 5.10.2: "a 503 (Service Unavailable) response without the Retry-After header": to a
 * server, for which the header would mean to send nothing at all for so long (section 21.5.4), in step with
 * all others. A user agent that asked for itself is told when to ask again, each another time. */
static bool has_retry_after(const struct proxy *p, const struct proxy_arrival *arrival)
{
    return p->opts->retry_after_s > 0 && !arrival->reply_hop.wants_oc && proxy_is_first_hop(arrival->msg) &&
           !proxy_is_trusted(p->opts, arrival->from);
}

uint64_t proxy_admit_retry_after_s(const struct proxy *p, uint64_t hash)
{
    /* The hash of a table is nothing to tell others. */
    uint64_t lot = hash_siphash64(&p->branch_key, slice_make((const char *)&hash, sizeof(hash)));
    uint32_t mean_s = p->opts->retry_after_s;

    return mean_s - mean_s / 2 + lot % (mean_s + 1);
}

bool proxy_admit_is_refused(struct proxy *p, uint64_t hash, bool is_controlled)
{
    return proxy_refused_knows(p, hash) || pressure_refuses(&p->pressure, p->wheel.now_ms, is_controlled);
}

static void refuse(struct proxy *p, const struct proxy_arrival *arrival, uint64_t hash)
{
    char digits[PROXY_RETRY_AFTER_BYTES];
    const struct sip_extra extra[] = {proxy_retry_after_extra(proxy_admit_retry_after_s(p, hash), digits),
                                      {.id = SIP_HDR_OTHER}};

    proxy_refused_note(p, hash);
    proxy_reply_refusal(p, arrival, has_retry_after(p, arrival) ? extra : NULL,
                        "overload (21.5.4, RFC 7339 section 5.10.2)");
}

bool proxy_admit(struct proxy *p, const struct proxy_arrival *arrival)
{
    uint64_t hash;

    if (!pressure_is_felt(&p->pressure) && !proxy_refused_any(p))
        return true;
    hash = proxy_refused_hash_of(p, arrival->msg);
    if (!proxy_refused_knows(p, hash) && proxy_is_emergency(p->opts, arrival->msg->ruri))
        return true;
    if (!proxy_admit_is_refused(p, hash, arrival->reply_hop.wants_oc))
        return true;
    refuse(p, arrival, hash);
    return false;
}
