#include "dns/health.h"
#include "base/mem.h"
#include <pthread.h>

/* A cache of sets of WAYS entries: no allocation after the start, and no more to look at than one set. The
 * sets are parted among locks, so that workers seldom meet. */
#define WAYS  8
#define LOCKS 64

struct entry {
    struct addr addr;
    uint8_t transport;  /* SIP_TRANSPORT_OTHER: free */
    uint8_t n_failures; /* since the last answer */
    uint32_t smoothed_ms;
    ms_t touched_ms, answered_ms, bad_until_ms;
    bool has_answered;
};

struct dns_health {
    struct hash_key key;
    size_t n_sets; /* a power of two */
    struct entry *entries;
    pthread_mutex_t locks[LOCKS];
};

int dns_health_new(size_t capacity, const struct hash_key *key, struct dns_health **ret_health)
{
    struct dns_health *h = mem_zalloc(sizeof(*h));

    if (!h)
        return ERR_NOMEM;
    h->key = *key;
    h->n_sets = 1;
    while (h->n_sets * WAYS < capacity)
        h->n_sets *= 2;
    h->entries = mem_zalloc(h->n_sets * WAYS * sizeof(*h->entries));
    if (!h->entries) {
        mem_free(h);
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_init(&h->locks[i], NULL);
    *ret_health = h;
    return 0;
}

void dns_health_free(struct dns_health *h)
{
    if (!h)
        return;
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_destroy(&h->locks[i]);
    mem_free(h->entries);
    mem_free(h);
}

static size_t set_of(const struct dns_health *h, const struct sip_hop *hop)
{
    struct hash_state st;

    hash_begin_table(&st, &h->key);
    hash_add(&st, slice_make((const char *)hop->addr.ip, sizeof(hop->addr.ip)));
    hash_add_u64(&st, (uint64_t)hop->addr.port << 16 | (uint64_t)hop->addr.family << 8 | hop->transport);
    return (size_t)hash_end64(&st) & (h->n_sets - 1);
}

static bool is_of(const struct entry *e, const struct sip_hop *hop)
{
    return e->transport == hop->transport && addr_eq(&e->addr, &hop->addr);
}

/* The entry of hop in its set, or NULL. */
static struct entry *find(struct entry *set, const struct sip_hop *hop)
{
    for (size_t i = 0; i < WAYS; i++)
        if (is_of(&set[i], hop))
            return &set[i];
    return NULL;
}

/* A free one, or the one heard of longest ago. */
static struct entry *replace(struct entry *set, const struct sip_hop *hop)
{
    struct entry *oldest = &set[0];

    for (size_t i = 0; i < WAYS && oldest->transport != SIP_TRANSPORT_OTHER; i++)
        if (set[i].transport == SIP_TRANSPORT_OTHER || set[i].touched_ms < oldest->touched_ms)
            oldest = &set[i];
    *oldest = (struct entry){.addr = hop->addr, .transport = hop->transport};
    return oldest;
}

static void note_answer(struct entry *e, ms_t now_ms, ms_t elapsed_ms)
{
    uint32_t sample = elapsed_ms > UINT32_MAX / 8 ? UINT32_MAX / 8 : (uint32_t)elapsed_ms;

    e->smoothed_ms = e->has_answered ? (e->smoothed_ms * 7 + sample) / 8 : sample;
    e->has_answered = true;
    e->answered_ms = now_ms;
    e->n_failures = 0;
    e->bad_until_ms = 0;
}

static void note_failure(struct entry *e, ms_t now_ms, ms_t elapsed_ms)
{
    ms_t penalty = DNS_HEALTH_PENALTY_MS;
    bool heard_since = e->has_answered && e->answered_ms + elapsed_ms > now_ms;

    /* Many calls that fail together are one failure. */
    if (heard_since || e->bad_until_ms > now_ms)
        return;
    for (unsigned i = 0; i < e->n_failures && penalty < DNS_HEALTH_PENALTY_MAX_MS; i++)
        penalty *= 2;
    e->bad_until_ms = now_ms + (penalty < DNS_HEALTH_PENALTY_MAX_MS ? penalty : DNS_HEALTH_PENALTY_MAX_MS);
    if (e->n_failures < UINT8_MAX)
        e->n_failures++;
}

/* It answers, and says that it will not for a while. */
static void note_unavailable(struct entry *e, ms_t now_ms, uint32_t retry_after_s)
{
    e->answered_ms = now_ms;
    e->has_answered = true;
    e->bad_until_ms = now_ms + 1000 * (ms_t)(retry_after_s > DNS_HEALTH_RETRY_MAX_S ? DNS_HEALTH_RETRY_MAX_S
                                                                                    : retry_after_s);
}

static void note(struct entry *e, enum dns_outcome outcome, ms_t now_ms, ms_t elapsed_ms,
                 uint32_t retry_after_s)
{
    e->touched_ms = now_ms;
    switch (outcome) {
    case DNS_OUTCOME_ANSWERED:
        note_answer(e, now_ms, elapsed_ms);
        break;
    case DNS_OUTCOME_TIMEOUT:
    case DNS_OUTCOME_UNREACHABLE:
        note_failure(e, now_ms, elapsed_ms);
        break;
    case DNS_OUTCOME_UNAVAILABLE:
        note_unavailable(e, now_ms, retry_after_s);
        break;
    }
}

void dns_health_report(struct dns_health *h, const struct sip_hop *hop, enum dns_outcome outcome, ms_t now_ms,
                       ms_t elapsed_ms, uint32_t retry_after_s)
{
    size_t at = set_of(h, hop);
    struct entry *set = &h->entries[at * WAYS];
    struct entry *e;

    pthread_mutex_lock(&h->locks[at % LOCKS]);
    e = find(set, hop);
    if (!e)
        e = replace(set, hop);
    note(e, outcome, now_ms, elapsed_ms, retry_after_s);
    pthread_mutex_unlock(&h->locks[at % LOCKS]);
}

enum dns_rank dns_health_rank(struct dns_health *h, const struct sip_hop *hop, ms_t now_ms)
{
    size_t at = set_of(h, hop);
    enum dns_rank rank = DNS_RANK_GOOD;
    const struct entry *e;

    pthread_mutex_lock(&h->locks[at % LOCKS]);
    e = find(&h->entries[at * WAYS], hop);
    if (e && e->bad_until_ms > now_ms)
        rank = DNS_RANK_FAILED;
    else if (e && e->smoothed_ms >= DNS_HEALTH_SLOW_MS && e->answered_ms + DNS_HEALTH_PENALTY_MAX_MS > now_ms)
        rank = DNS_RANK_SLOW;
    pthread_mutex_unlock(&h->locks[at % LOCKS]);
    return rank;
}

/* Does b have to stand before a, which now stands before it? */
static bool is_out_of_order(const struct dns_candidate *a, enum dns_rank rank_a,
                            const struct dns_candidate *b, enum dns_rank rank_b)
{
    if (rank_a == DNS_RANK_FAILED || rank_b == DNS_RANK_FAILED)
        return rank_a == DNS_RANK_FAILED && rank_b != DNS_RANK_FAILED;
    return a->group == b->group && rank_a > rank_b;
}

void dns_health_order(struct dns_health *h, struct dns_candidate *candidates, size_t count, ms_t now_ms)
{
    /* By insertion: few, and mostly in order. */
    for (size_t i = 1; i < count; i++) {
        struct dns_candidate moving = candidates[i];
        enum dns_rank rank = dns_health_rank(h, &moving.hop, now_ms);
        size_t j = i;

        while (j > 0 && is_out_of_order(&candidates[j - 1],
                                        dns_health_rank(h, &candidates[j - 1].hop, now_ms), &moving, rank)) {
            candidates[j] = candidates[j - 1];
            j--;
        }
        candidates[j] = moving;
    }
}
