/* Who is turned away under overload: requests that begin something, by a 503 without state. Never what belongs to
 * something begun (a To tag, ACK, CANCEL, responses, retransmissions of what was taken), which would make the work
 * already done useless; and never an emergency call. A REGISTER begins something: all phones of a site that
 * register again at once are what overload mostly is (RFC 5390). */
#include "base/mem.h"
#include "base/num.h"
#include "proxy/internal.h"

#define REFUSALS (1u << 16) /* remembered; a power of two */
#define WAYS     8u         /* places in a row: those of one refusal, on one cache line */
#define SECOND   1000u

/* What was refused, so that its ACK is known, and another copy of it is refused as well, which may wait in the queue behind the
 * first: its client has ended that transaction by then, and nobody would take the call. A newer one takes the place of the oldest
 * in its row. */
struct proxy_refusal {
    uint32_t check, at_s;
};

int proxy_admit_init(struct proxy *p)
{
    pressure_init(&p->pressure, &p->opts->pressure, p->wheel.now_ms);
    p->refusals = mem_zalloc(REFUSALS * sizeof(*p->refusals));
    return p->refusals ? 0 : ERR_NOMEM;
}

void proxy_admit_done(struct proxy *p)
{
    mem_free(p->refusals);
}

static void tell_change(struct proxy *p, enum pressure_change change)
{
    if (change == PRESSURE_BEGUN) {
        counter_inc(p->counters, COUNTER_OVERLOADS);
        p->n_refused = 0;
        log_limited(&p->limiters[PROXY_LOG_OVERLOAD], LOG_WARN, "overload.begun",
                    log_u64("worker", p->opts->worker), log_u64("waited_us", p->pressure.waited_us),
                    log_cstr("effect", "new requests get 503, calls in progress go on"));
    } else if (change == PRESSURE_ENDED) {
        log_limited(&p->limiters[PROXY_LOG_OVERLOAD], LOG_WARN, "overload.ended",
                    log_u64("worker", p->opts->worker), log_u64("refused", p->n_refused));
    }
}

void proxy_waited(struct proxy *p, uint32_t waited_us, uint64_t lost)
{
    tell_change(p, pressure_note(&p->pressure, p->wheel.now_ms, waited_us, lost));
}

void proxy_admit_tick(struct proxy *p)
{
    if (pressure_is_felt(&p->pressure))
        tell_change(p, pressure_tick(&p->pressure, p->wheel.now_ms));
}

/* RFC 5031 section 4.2: "sos" and what is below it. A URN's namespace and the service labels are compared without
 * case (RFC 8141 section 3.1, RFC 5031 section 4.1). */
static bool is_sos(struct slice ruri)
{
    const struct slice sos = SLICE("urn:service:sos");

    return slice_starts_with_nocase(ruri, sos) && (ruri.len == sos.len || ruri.ptr[sos.len] == '.');
}

/* What is called: a user part, or the number of a tel URI, without the parameters that either may have (RFC 3966 section 3). */
static struct slice number_of(struct slice ruri)
{
    size_t colon = slice_find(ruri, ':');
    struct slice scheme = slice_sub(ruri, 0, colon), rest = slice_sub(ruri, colon + 1, ruri.len);
    size_t at;

    if (slice_eq_nocase(scheme, SLICE("tel")))
        return slice_sub(rest, 0, slice_find(rest, ';'));
    at = slice_find(rest, '@');
    if (at == rest.len || !(slice_eq_nocase(scheme, SLICE("sip")) || slice_eq_nocase(scheme, SLICE("sips"))))
        return SLICE_NULL;
    rest = slice_sub(rest, 0, at);
    rest = slice_sub(rest, 0, slice_find(rest, ':'));
    return slice_sub(rest, 0, slice_find(rest, ';'));
}

/* RFC 3261 section 19.1.4: what is escaped is the same as what it stands for. */
static int take_octet(struct slice *rest)
{
    uint64_t octet = (uint8_t)rest->ptr[0];
    size_t len = 1;

    if (octet == '%' && rest->len >= 3 && num_parse_hex64(slice_sub(*rest, 1, 3), &octet) == 0)
        len = 3;
    *rest = slice_sub(*rest, len, rest->len);
    return (int)octet;
}

/* RFC 3966 section 5.1.1: "visual separators ... are removed" before numbers are compared. -1: at the end. */
static int take_digit(struct slice *rest)
{
    int octet = -1;

    do
        octet = rest->len > 0 ? take_octet(rest) : -1;
    while (octet == '-' || octet == '.' || octet == '(' || octet == ')');
    return octet;
}

static bool is_same_number(struct slice a, struct slice b)
{
    int digit;

    do {
        digit = take_digit(&a);
        if (digit != take_digit(&b))
            return false;
    } while (digit >= 0);
    return true;
}

bool proxy_is_emergency(const struct proxy_opts *opts, struct slice ruri)
{
    struct slice number;

    if (is_sos(ruri))
        return true;
    number = number_of(ruri);
    for (size_t i = 0; i < opts->n_emergency_numbers && !slice_is_null(number); i++) {
        if (is_same_number(number, opts->emergency_numbers[i]))
            return true;
    }
    return false;
}

/* 0 stands for "never". */
static uint32_t now_s(const struct proxy *p)
{
    return (uint32_t)(p->wheel.now_ms / SECOND) + 1;
}

/* So long ago that its client may still repeat it (section 17.1.1.2: Timer B, 17.1.2.2: Timer F). */
static bool is_recent(const struct proxy *p, uint32_t at_s)
{
    return at_s != 0 && now_s(p) - at_s <= 64 * p->opts->times.t1_ms / SECOND;
}

static struct proxy_refusal *row_of(struct proxy *p, uint64_t hash)
{
    return &p->refusals[hash & (REFUSALS - WAYS)];
}

static bool is_of(const struct proxy_refusal *r, uint64_t hash)
{
    return r->check == (uint32_t)(hash >> 32);
}

bool proxy_admit_knows_refused(struct proxy *p, uint64_t hash)
{
    const struct proxy_refusal *row = row_of(p, hash);

    for (unsigned i = 0; i < WAYS; i++)
        if (is_of(&row[i], hash) && is_recent(p, row[i].at_s))
            return true;
    return false;
}

static struct proxy_refusal *place_for(struct proxy *p, uint64_t hash)
{
    struct proxy_refusal *row = row_of(p, hash), *oldest = row;

    for (unsigned i = 0; i < WAYS; i++) {
        if (is_of(&row[i], hash))
            return &row[i];
        if (row[i].at_s < oldest->at_s)
            oldest = &row[i];
    }
    return oldest;
}

uint64_t proxy_admit_hash(const struct proxy *p, struct slice top_via)
{
    struct hash_state st;

    hash_begin_table(&st, &p->branch_key);
    hash_add(&st, top_via);
    return hash_end64(&st);
}

/* A client of RFC 2543 writes the same Via into all its requests: they are told apart as section 17.2.3 does it. */
static uint64_t hash_without_branch(const struct proxy *p, struct sip_msg *request, struct slice top_via)
{
    struct hash_state st;

    hash_begin_table(&st, &p->branch_key);
    hash_add(&st, top_via);
    proxy_hash_request(&st, request);
    return hash_end64(&st);
}

static uint64_t hash_of(const struct proxy *p, struct sip_msg *request)
{
    const struct sip_via *via;

    if (sip_msg_top_via(request, &via) < 0)
        return 0;
    return txn_branch_is_rfc3261(via->branch) ? proxy_admit_hash(p, via->text)
                                              : hash_without_branch(p, request, via->text);
}

bool proxy_admit_has_refused(const struct proxy *p)
{
    return is_recent(p, p->refused_s);
}

/* RFC 7339 section 5.10.2: "a 503 (Service Unavailable) response without the Retry-After header": to a server, for which
 * the header would mean to send nothing at all for so long (section 21.5.4), in step with all others. A user agent that
 * asked for itself is told when to ask again, each another time. */
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
    return proxy_admit_knows_refused(p, hash) ||
           pressure_refuses(&p->pressure, p->wheel.now_ms, is_controlled);
}

void proxy_admit_note_refused(struct proxy *p, uint64_t hash)
{
    *place_for(p, hash) = (struct proxy_refusal){(uint32_t)(hash >> 32), now_s(p)};
    p->refused_s = now_s(p);
    p->n_refused++;
    counter_inc(p->counters, COUNTER_OVERLOAD_REFUSED);
}

static void refuse(struct proxy *p, const struct proxy_arrival *arrival, uint64_t hash)
{
    char digits[PROXY_RETRY_AFTER_BYTES];
    const struct sip_extra extra[] = {proxy_retry_after_extra(proxy_admit_retry_after_s(p, hash), digits),
                                      {.id = SIP_HDR_OTHER}};

    proxy_admit_note_refused(p, hash);
    proxy_reply_stateless(p, arrival, 503, SLICE_NULL, has_retry_after(p, arrival) ? extra : NULL,
                          "overload (21.5.4, RFC 7339 section 5.10.2)");
}

bool proxy_admit(struct proxy *p, const struct proxy_arrival *arrival)
{
    uint64_t hash;

    if (!p->pressure.is_on && !proxy_admit_has_refused(p))
        return true;
    hash = hash_of(p, arrival->msg);
    if (!proxy_admit_knows_refused(p, hash) && proxy_is_emergency(p->opts, arrival->msg->ruri))
        return true;
    if (!proxy_admit_is_refused(p, hash, arrival->reply_hop.wants_oc))
        return true;
    refuse(p, arrival, hash);
    return false;
}
