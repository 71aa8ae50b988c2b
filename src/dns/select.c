#include "dns/select.h"
#include <assert.h>
#include <stdlib.h>

/* The transports of this program, best first where the choice is ours (section 4.1: "The client MAY use
 * any transport protocol it desires which is supported by the server"): UDP as the mandatory one of RFC
 * 2543, then what connects. WebSocket servers are not found by SRV records without NAPTR (RFC 7118
 * section 5 knows the NAPTR services alone). */
static const struct wording {
    enum sip_transport transport;
    const char *service; /* of NAPTR */
    const char *prefix;  /* of the SRV records */
    bool is_secure;
    bool is_guessed; /* asked for when there is no NAPTR */
} wordings[] = {
    {SIP_TRANSPORT_UDP, "SIP+D2U", "_sip._udp.", false, true},
    {SIP_TRANSPORT_TCP, "SIP+D2T", "_sip._tcp.", false, true},
    {SIP_TRANSPORT_TLS, "SIPS+D2T", "_sips._tcp.", true, true},
    {SIP_TRANSPORT_WS, "SIP+D2W", "_sip._ws.", false, false},
    {SIP_TRANSPORT_WSS, "SIPS+D2W", "_sips._ws.", true, false},
};
#define N_WORDINGS (sizeof(wordings) / sizeof(wordings[0]))
_Static_assert(N_WORDINGS <= DNS_SERVICES_MAX, "every transport may be a service");

static bool may_use(const struct wording *w, const struct dns_spoken *spoken, bool is_secure)
{
    return dns_is_spoken(spoken, w->transport) && (w->is_secure || !is_secure);
}

/* ---- the transport ---- */

/* RFC 3261 section 26.2.2: sips means TLS all the way, and transport=tcp then says what TLS runs over. */
static enum sip_transport secured(enum sip_transport transport)
{
    switch (transport) {
    case SIP_TRANSPORT_TCP:
    case SIP_TRANSPORT_TLS:
        return SIP_TRANSPORT_TLS;
    case SIP_TRANSPORT_WS:
    case SIP_TRANSPORT_WSS:
        return SIP_TRANSPORT_WSS;
    default:
        return SIP_TRANSPORT_OTHER;
    }
}

int dns_transport_of_uri(const struct sip_uri *uri, enum sip_transport *ret_transport)
{
    enum sip_transport transport = uri->transport;

    if (uri->scheme != SIP_SCHEME_SIP && uri->scheme != SIP_SCHEME_SIPS)
        return ERR_UNSUPPORTED;
    if (slice_is_null(uri->transport_text)) {
        *ret_transport = SIP_TRANSPORT_OTHER;
        return 0;
    }
    if (uri->scheme == SIP_SCHEME_SIPS)
        transport = secured(transport);
    if (transport == SIP_TRANSPORT_OTHER || transport == SIP_TRANSPORT_SCTP)
        return ERR_UNSUPPORTED;
    *ret_transport = transport;
    return 0;
}

enum sip_transport dns_transport_default(const struct dns_spoken *spoken, bool is_secure)
{
    for (size_t i = 0; i < N_WORDINGS; i++)
        if (wordings[i].is_guessed && may_use(&wordings[i], spoken, is_secure))
            return wordings[i].transport;
    return SIP_TRANSPORT_OTHER;
}

/* ---- services ---- */

static int make_service(const struct wording *w, const struct dns_name *domain,
                        struct dns_service *ret_service)
{
    struct dns_service service = {.transport = w->transport};
    struct buf out;

    buf_init(&out, service.name.text, DNS_NAME_MAX_BYTES);
    buf_cstr(&out, w->prefix);
    buf_put(&out, dns_name_slice(domain));
    if (buf_failed(&out))
        return ERR_LIMIT;
    service.name.len = (uint8_t)out.len;
    *ret_service = service;
    return 0;
}

int dns_service_of(enum sip_transport transport, const struct dns_name *domain,
                   struct dns_service *ret_service)
{
    for (size_t i = 0; i < N_WORDINGS; i++)
        if (wordings[i].transport == transport)
            return make_service(&wordings[i], domain, ret_service);
    return ERR_UNSUPPORTED;
}

/* Section 4.1: 'Queries are done using the service identifier "_sip" for SIP URIs and "_sips" for SIPS URIs.' */
size_t dns_services_of_domain(const struct dns_spoken *spoken, bool is_secure, const struct dns_name *domain,
                              struct dns_service ret_services[DNS_SERVICES_MAX])
{
    size_t n = 0;

    for (size_t i = 0; i < N_WORDINGS; i++) {
        const struct wording *w = &wordings[i];

        if (w->is_guessed && w->is_secure == is_secure && may_use(w, spoken, is_secure) &&
            make_service(w, domain, &ret_services[n]) == 0)
            n++;
    }
    return n;
}

/* ---- NAPTR ---- */

bool dns_naptr_is_usable(const struct dns_record *naptr, const struct dns_spoken *spoken, bool is_secure,
                         struct dns_service *ret_service)
{
    bool is_srv = slice_eq_nocase(naptr->flags, SLICE("s"));

    if (naptr->regexp.len > 0 || naptr->name.len == 0 ||
        (!is_srv && !slice_eq_nocase(naptr->flags, SLICE("a"))))
        return false;
    for (size_t i = 0; i < N_WORDINGS; i++) {
        const struct wording *w = &wordings[i];

        if (!may_use(w, spoken, is_secure) || !slice_eq_nocase(naptr->services, slice_from_cstr(w->service)))
            continue;
        *ret_service =
            (struct dns_service){.transport = w->transport, .is_address = !is_srv, .name = naptr->name};
        return true;
    }
    return false;
}

static int by_rule(const void *left, const void *right)
{
    const struct dns_rule *a = left, *b = right;

    if (a->order != b->order)
        return a->order < b->order ? -1 : 1;
    if (a->preference != b->preference)
        return a->preference < b->preference ? -1 : 1;
    if (a->service.transport != b->service.transport)
        return a->service.transport < b->service.transport ? -1 : 1;
    return slice_cmp(dns_name_slice(&a->service.name), dns_name_slice(&b->service.name));
}

size_t dns_rules_order(struct dns_rule *rules, size_t count)
{
    size_t n = 0;

    if (count > 0)
        qsort(rules, count, sizeof(*rules), by_rule);
    while (n < count && rules[n].order == rules[0].order)
        n++;
    return n;
}

/* ---- SRV ---- */

/* splitmix64: an even spread from any seed. */
static uint64_t draw(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* 0 .. max inclusive; max is far below 2^32, so the bias is, too. */
static uint64_t draw_up_to(uint64_t *state, uint64_t max)
{
    return (draw(state) >> 32) * (max + 1) >> 32;
}

/* Weight 0 first within a priority, as the algorithm asks; then what makes the order one of the records alone
 * (RFC 3263 section 4.4: "MUST define a deterministic order to the records"). */
static int by_srv(const void *left, const void *right)
{
    const struct dns_srv *a = left, *b = right;
    int cmp;

    if (a->priority != b->priority)
        return a->priority < b->priority ? -1 : 1;
    if (a->weight != b->weight)
        return a->weight < b->weight ? -1 : 1;
    cmp = slice_cmp(dns_name_slice(&a->target), dns_name_slice(&b->target));
    if (cmp != 0)
        return cmp;
    return a->port < b->port ? -1 : a->port > b->port;
}

/* Moves the i-th to the front, the others keeping their order. */
static void move_to_front(struct dns_srv *srvs, size_t i)
{
    struct dns_srv chosen = srvs[i];

    memmove(srvs + 1, srvs, i * sizeof(*srvs));
    srvs[0] = chosen;
}

/* RFC 2782, "Weight": of the running sums the first that is not below the number drawn. */
static size_t choose(const struct dns_srv *srvs, size_t count, uint64_t *state)
{
    uint64_t sum = 0, drawn, running = 0;
    size_t i;

    for (i = 0; i < count; i++)
        sum += srvs[i].weight;
    drawn = sum == 0 ? 0 : draw_up_to(state, sum);
    for (i = 0; i + 1 < count; i++) {
        running += srvs[i].weight;
        if (running >= drawn)
            break;
    }
    return i;
}

/* Records that all have weight 0 are equal: the first of them is drawn too, else one would bear everything. */
static size_t choose_equal(size_t count, uint64_t *state)
{
    return (size_t)draw_up_to(state, count - 1);
}

static void order_priority(struct dns_srv *srvs, size_t count, uint64_t *state)
{
    while (count > 1) {
        bool all_zero = srvs[count - 1].weight == 0;

        move_to_front(srvs, all_zero ? choose_equal(count, state) : choose(srvs, count, state));
        srvs++;
        count--;
    }
}

void dns_srv_order(struct dns_srv *srvs, size_t count, uint64_t seed)
{
    uint64_t state = seed;

    if (count > 0)
        qsort(srvs, count, sizeof(*srvs), by_srv);
    for (size_t from = 0, to; from < count; from = to) {
        for (to = from; to < count && srvs[to].priority == srvs[from].priority; to++)
            ;
        order_priority(srvs + from, to - from, &state);
    }
}

/* ---- addresses ---- */

/* RFC 6724 section 2.1, the default policy table, by the first octets; IPv4 is ::ffff:0:0/96 there. */
static unsigned precedence(const struct addr *a)
{
    static const struct {
        uint16_t bits, mask;
        uint8_t precedence;
    } policy[] = {{0x2002, 0xffff, 30}, {0xfc00, 0xfe00, 3}, {0xfec0, 0xffc0, 1}};
    uint16_t head = (uint16_t)(a->ip[0] << 8 | a->ip[1]);

    if (a->family == ADDR_IPV4)
        return 35;
    if (addr_is_loopback(a))
        return 50;
    if (head == 0x2001 && a->ip[2] == 0 && a->ip[3] == 0) /* Teredo, 2001::/32 */
        return 5;
    for (size_t i = 0; i < sizeof(policy) / sizeof(policy[0]); i++)
        if ((head & policy[i].mask) == policy[i].bits)
            return policy[i].precedence;
    return 40;
}

static int by_addr(const void *left, const void *right)
{
    const struct addr *a = left, *b = right;
    unsigned pa = precedence(a), pb = precedence(b);

    if (pa != pb)
        return pa > pb ? -1 : 1;
    return memcmp(a->ip, b->ip, sizeof(a->ip));
}

static void reverse(struct addr *addrs, size_t count)
{
    for (size_t i = 0, j = count; i + 1 < j; i++) {
        struct addr swap = addrs[i];

        addrs[i] = addrs[--j];
        addrs[j] = swap;
    }
}

static void rotate(struct addr *addrs, size_t count, size_t by)
{
    reverse(addrs, by);
    reverse(addrs + by, count - by);
    reverse(addrs, count);
}

void dns_addrs_order(struct addr *addrs, size_t count, uint64_t seed)
{
    uint64_t state = seed;

    if (count > 0)
        qsort(addrs, count, sizeof(*addrs), by_addr);
    for (size_t from = 0, to; from < count; from = to) {
        for (to = from; to < count && precedence(&addrs[to]) == precedence(&addrs[from]); to++)
            ;
        rotate(addrs + from, to - from, (size_t)draw_up_to(&state, to - from - 1));
    }
}
