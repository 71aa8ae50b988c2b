/* RFC 7339 as a client: servers downstream that have said how much less they want, and how many requests they are sent
 * then. Only such servers are remembered, by address and port (section 5.4), in a table of fixed size that is made when
 * the first of them speaks; each worker hears from them by itself. */
#include "base/mem.h"
#include "proxy/internal.h"
#include "sip/oc.h"

#define SETS 256 /* a power of two */
#define WAYS 4
/* Section 7.2: "Periodically (every 5-10 seconds), get the value of the counters". */
#define MIX_MS              5000
#define FIRST_CAT1_PERMILLE 800
/* Below this a share of so few requests says nothing. */
#define MIX_MIN 20
/* Section 4.4: "significantly less": by an hour, as who counts by the clock never is, only who begins again. */
#define SEQ_OVERFLOW (3600ull * SIP_OC_SEQ_PARTS)
/* Section 5.9: repeated: so many in a row. Then one request goes there now and then, ever more seldom. */
#define FAILURES_MAX 3
#define PROBE_MS     1000
#define PROBE_MAX_MS 64000

struct neighbour {
    struct addr addr;
    ms_t touched_ms;
    uint64_t seq;
    ms_t until_ms; /* of loss_percent */
    unsigned loss_percent;
    ms_t counted_ms; /* since when is counted: */
    uint32_t n_cat1,
        n_cat2; /* requests subject to reduction, and those that are not while there are others */
    unsigned cat1_permille;
    unsigned n_failures;
    ms_t probe_ms; /* when a request may go there again after FAILURES_MAX */
};

void proxy_neighbours_done(struct proxy *p)
{
    mem_free(p->neighbours);
}

static struct neighbour *set_of(struct proxy *p, const struct addr *addr)
{
    struct hash_state st;

    hash_begin_table(&st, &p->branch_key);
    hash_add(&st, slice_make((const char *)addr->ip, sizeof(addr->ip)));
    hash_add_u64(&st, addr->port);
    return p->neighbours + (hash_end64(&st) & (SETS - 1)) * WAYS;
}

static struct neighbour *find(struct proxy *p, const struct addr *addr)
{
    struct neighbour *set;

    if (!p->neighbours)
        return NULL;
    set = set_of(p, addr);
    for (unsigned i = 0; i < WAYS; i++) {
        if (set[i].addr.family != ADDR_NONE && addr_eq(&set[i].addr, addr))
            return &set[i];
    }
    return NULL;
}

/* In place of the one that has been silent for longest. Without memory nobody is remembered. */
static struct neighbour *add(struct proxy *p, const struct addr *addr)
{
    struct neighbour *set, *oldest;

    if (!p->neighbours)
        p->neighbours = mem_zalloc(SETS * WAYS * sizeof(*p->neighbours));
    if (!p->neighbours)
        return NULL;
    oldest = set = set_of(p, addr);
    for (unsigned i = 0; i < WAYS; i++) {
        if (set[i].addr.family == ADDR_NONE) {
            oldest = &set[i];
            break;
        }
        if (set[i].touched_ms < oldest->touched_ms)
            oldest = &set[i];
    }
    *oldest = (struct neighbour){
        .addr = *addr, .counted_ms = p->wheel.now_ms, .cat1_permille = FIRST_CAT1_PERMILLE};
    return oldest;
}

/* Section 5.4: "Stored overload control parameters MUST be reset to default values once the validity period has
 * expired". */
static void expire(struct neighbour *n, ms_t now_ms)
{
    if (n->until_ms > now_ms)
        return;
    n->loss_percent = 0;
    n->seq = 0;
}

/* Section 5.4: the same is no news, and what is less came late; but much less is an overflow (section 4.4). */
static bool is_news(const struct neighbour *n, const struct sip_oc *oc)
{
    return !oc->has_seq || oc->seq > n->seq || (n->seq > SEQ_OVERFLOW && oc->seq < n->seq - SEQ_OVERFLOW);
}

void proxy_neighbour_hear(struct proxy *p, const struct addr *server, const struct sip_via *ours)
{
    ms_t now_ms = p->wheel.now_ms;
    struct neighbour *n;
    struct sip_oc oc;

    if (p->opts->is_oc_off || !sip_oc_read(ours->params, &oc))
        return;
    n = find(p, server);
    if (!n)
        n = add(p, server);
    if (!n)
        return;
    n->touched_ms = now_ms;
    expire(n, now_ms);
    if (!is_news(n, &oc))
        return;
    n->seq = oc.seq;
    n->loss_percent = oc.validity_ms > 0 ? oc.loss_percent : 0;
    n->until_ms = now_ms + oc.validity_ms;
}

void proxy_neighbour_heard(struct proxy *p, const struct sip_hop *sent_to, struct sip_msg *response)
{
    const struct sip_via *ours;

    if (addr_eq_ip(&sent_to->addr, &p->response_from.addr) && sip_msg_top_via(response, &ours) == 0)
        proxy_neighbour_hear(p, &sent_to->addr, ours);
}

/* Section 5.9: "In the event of repeated timeouts or fatal transport errors, the SIP client MUST stop sending requests
 * to this server." */
void proxy_neighbour_fared(struct proxy *p, const struct addr *server, bool has_answered)
{
    struct neighbour *n = find(p, server);
    ms_t pause_ms = PROBE_MS;

    if (!n)
        return;
    n->n_failures = has_answered ? 0 : n->n_failures + 1;
    if (n->n_failures < FAILURES_MAX)
        return;
    for (unsigned i = FAILURES_MAX; i < n->n_failures && pause_ms < PROBE_MAX_MS; i++)
        pause_ms *= 2;
    n->probe_ms = p->wheel.now_ms + pause_ms;
}

/* One request finds out; the others wait for what it says, or for the next. */
static bool is_stopped(struct neighbour *n, ms_t now_ms)
{
    if (n->n_failures < FAILURES_MAX)
        return false;
    if (now_ms < n->probe_ms)
        return true;
    n->probe_ms = now_ms + PROBE_MAX_MS;
    return false;
}

static void update_mix(struct neighbour *n, bool is_cat2, ms_t now_ms)
{
    uint32_t total;

    n->n_cat1 += !is_cat2;
    n->n_cat2 += is_cat2;
    if (now_ms - n->counted_ms < MIX_MS)
        return;
    total = n->n_cat1 + n->n_cat2;
    if (total >= MIX_MIN)
        n->cat1_permille = (unsigned)((uint64_t)n->n_cat1 * 1000 / total);
    n->n_cat1 = n->n_cat2 = 0;
    n->counted_ms = now_ms;
}

/* Section 7.2: which part of a category is not sent. */
static unsigned reduced_permille(const struct neighbour *n, bool is_cat2)
{
    unsigned loss = n->loss_percent * 10, cat1 = n->cat1_permille;

    if (loss <= cat1)
        return is_cat2 || cat1 == 0 ? 0 : loss * 1000 / cat1;
    return is_cat2 ? (loss - cat1) * 1000 / (1000 - cat1) : 1000;
}

bool proxy_neighbour_admits(struct proxy *p, const struct addr *server, bool is_cat2, uint64_t lot)
{
    ms_t now_ms = p->wheel.now_ms;
    struct neighbour *n = find(p, server);

    if (!n)
        return true;
    n->touched_ms = now_ms;
    expire(n, now_ms);
    update_mix(n, is_cat2, now_ms);
    return !is_stopped(n, now_ms) && lot % 1000 >= reduced_permille(n, is_cat2);
}
