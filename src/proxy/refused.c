/* What was refused, so that its ACK is known, and another copy of it is refused as well, which may wait in
 * the queue behind the first: its client has ended that transaction by then, and nobody would take the call.
 * A newer one takes the place of the oldest in its row. */
#include "base/mem.h"
#include "proxy/internal.h"

#define REFUSALS (1u << 16) /* remembered; a power of two */
#define WAYS     8u         /* places in a row: those of one refusal, on one cache line */
#define SECOND   1000u

struct proxy_refusal {
    uint32_t check, at_s;
};

int proxy_refused_init(struct proxy *p)
{
    p->refusals = mem_zalloc(REFUSALS * sizeof(*p->refusals));
    return p->refusals ? 0 : ERR_NOMEM;
}

void proxy_refused_done(struct proxy *p)
{
    mem_free(p->refusals);
}

uint64_t proxy_refused_hash(const struct proxy *p, struct slice top_via)
{
    struct hash_state st;

    hash_begin_table(&st, &p->branch_key);
    hash_add(&st, top_via);
    return hash_end64(&st);
}

/* A client of RFC 2543 writes the same Via into all its requests: they are told apart as section 17.2.3 does
 * it. */
static uint64_t hash_without_branch(const struct proxy *p, struct sip_msg *request, struct slice top_via)
{
    struct hash_state st;

    hash_begin_table(&st, &p->branch_key);
    hash_add(&st, top_via);
    proxy_hash_request(&st, request);
    return hash_end64(&st);
}

uint64_t proxy_refused_hash_of(const struct proxy *p, struct sip_msg *request)
{
    const struct sip_via *via;

    if (sip_msg_top_via(request, &via) < 0)
        return 0;
    return txn_branch_is_rfc3261(via->branch) ? proxy_refused_hash(p, via->text)
                                              : hash_without_branch(p, request, via->text);
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

bool proxy_refused_any(const struct proxy *p)
{
    return is_recent(p, p->refused_s);
}

static struct proxy_refusal *row_of(const struct proxy *p, uint64_t hash)
{
    return &p->refusals[hash & (REFUSALS - WAYS)];
}

static bool is_of(const struct proxy_refusal *r, uint64_t hash)
{
    return r->check == (uint32_t)(hash >> 32);
}

void proxy_refused_expect(const struct proxy *p, uint64_t hash)
{
    __builtin_prefetch(row_of(p, hash));
}

bool proxy_refused_knows(const struct proxy *p, uint64_t hash)
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

void proxy_refused_note(struct proxy *p, uint64_t hash)
{
    *place_for(p, hash) = (struct proxy_refusal){(uint32_t)(hash >> 32), now_s(p)};
    p->refused_s = now_s(p);
    p->n_refused++;
    counter_inc(p->counters, COUNTER_OVERLOAD_REFUSED);
}
