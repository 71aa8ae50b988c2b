#include "proxy/internal.h"

/* Higher is better; 0: it cannot go from there. */
enum fit {
    FIT_NONE = 0,
    FIT_OTHER_SCOPE,
    FIT_ANY,
    FIT_SAME_ADDRESS,
    FIT_PREFERRED_B,
    FIT_LEADS = 8, /* and one of those above */
    FIT_PREFERRED_A = 16
};

static bool differ(const struct addr *a, const struct addr *b)
{
    return a->family == b->family && !addr_is_any(a) && !addr_is_any(b) &&
           addr_is_loopback(a) == addr_is_loopback(b) && !addr_eq_ip(a, b);
}

bool proxy_listeners_are_multihomed(const struct proxy_opts *opts)
{
    for (size_t i = 0; i < opts->n_listeners; i++)
        for (size_t j = 0; j < i; j++)
            if (differ(&opts->listeners[i].addr, &opts->listeners[j].addr))
                return true;
    return false;
}

/* What is bound to the loopback interface reaches nobody else, and the other way round. */
static bool is_same_scope(const struct proxy_listener *l, const struct addr *peer)
{
    return addr_is_any(&l->addr) || addr_is_loopback(&l->addr) == addr_is_loopback(peer);
}

struct choice {
    const struct proxy *p;
    const struct sip_hop *hop;
    uint16_t prefer_a, prefer_b;
};

/* Section 18.1.1: responses come to the address in the Via (18.2.2), so it must be one that is known over there. */
static bool leads(const struct proxy *p, const struct proxy_listener *l, const struct addr *to)
{
    return p->is_multihomed && p->ports.leads && p->ports.leads(p->ports.ctx, &l->addr, to);
}

static unsigned preference(const struct choice *choice, uint16_t index)
{
    const struct proxy_listener *l = proxy_listener_at(choice->p, index);

    if (index == choice->prefer_b)
        return FIT_PREFERRED_B;
    if (choice->prefer_b != PROXY_LISTENER_NONE &&
        addr_eq_ip(&l->addr, &proxy_listener_at(choice->p, choice->prefer_b)->addr))
        return FIT_SAME_ADDRESS;
    return FIT_ANY;
}

static unsigned fit_of(const struct choice *choice, uint16_t index)
{
    const struct proxy_listener *l = proxy_listener_at(choice->p, index);

    if (l->transport != choice->hop->transport || l->addr.family != choice->hop->addr.family)
        return FIT_NONE;
    if (!is_same_scope(l, &choice->hop->addr))
        return FIT_OTHER_SCOPE;
    if (index == choice->prefer_a)
        return FIT_PREFERRED_A;
    return preference(choice, index) | (leads(choice->p, l, &choice->hop->addr) ? FIT_LEADS : 0);
}

int proxy_listener_choose(const struct proxy *p, const struct sip_hop *hop, uint16_t prefer_a,
                          uint16_t prefer_b, uint16_t *ret_index)
{
    const struct choice choice = {p, hop, prefer_a, prefer_b};
    unsigned best = FIT_NONE;
    uint16_t best_index = 0;

    /* A flow belongs to its listener. */
    if (hop->flow != SIP_FLOW_NONE && hop->listener < p->opts->n_listeners &&
        proxy_listener_at(p, hop->listener)->transport == hop->transport) {
        *ret_index = hop->listener;
        return 0;
    }
    for (uint16_t i = 0; i < p->opts->n_listeners; i++) {
        unsigned fit = fit_of(&choice, i);

        if (fit > best) {
            best = fit;
            best_index = i;
        }
    }
    if (best == FIT_NONE)
        return ERR_NOTFOUND;
    *ret_index = best_index;
    return 0;
}
