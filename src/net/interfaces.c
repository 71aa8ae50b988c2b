#include "net/interfaces.h"
#include "base/mem.h"
#include "net/sockaddr.h"
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

/* Nothing is sent there; connect() wants one. */
#define ANY_PORT 5060

/* What no interface has as its number. */
enum { NOWHERE = 0, LOOPBACK = UINT32_MAX };

struct place {
    struct addr addr;
    uint32_t interface;
    ms_t until_ms; /* of a peer */
};

struct net_interfaces {
    struct place own[NET_INTERFACES_OWN_MAX], peers[NET_INTERFACES_PEERS_MAX];
    size_t n_own;
    ms_t own_until_ms;
};

int net_interfaces_new(struct net_interfaces **ret_interfaces)
{
    struct net_interfaces *interfaces = mem_zalloc(sizeof(*interfaces));

    if (!interfaces)
        return ERR_NOMEM;
    *ret_interfaces = interfaces;
    return 0;
}

void net_interfaces_free(struct net_interfaces *interfaces)
{
    mem_free(interfaces);
}

/* If it fails, what was known is as good as anything. */
static void learn_own(struct net_interfaces *n)
{
    struct ifaddrs *all;

    if (getifaddrs(&all) < 0)
        return;
    n->n_own = 0;
    for (const struct ifaddrs *each = all; each && n->n_own < NET_INTERFACES_OWN_MAX; each = each->ifa_next) {
        struct place *own = &n->own[n->n_own];
        struct sockaddr_storage memory = {0};
        bool is_v4 = each->ifa_addr && each->ifa_addr->sa_family == AF_INET;

        if (!is_v4 && !(each->ifa_addr && each->ifa_addr->sa_family == AF_INET6))
            continue;
        memcpy(&memory, each->ifa_addr, is_v4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
        if (net_addr_from_sockaddr(&memory, &own->addr) < 0)
            continue;
        own->interface = if_nametoindex(each->ifa_name);
        n->n_own++;
    }
    freeifaddrs(all);
}

static uint32_t interface_with(struct net_interfaces *n, const struct addr *own, ms_t now_ms)
{
    if (addr_is_loopback(own))
        return LOOPBACK;
    if (n->own_until_ms <= now_ms) {
        learn_own(n);
        n->own_until_ms = now_ms + NET_INTERFACES_TTL_MS;
    }
    for (size_t i = 0; i < n->n_own; i++)
        if (addr_eq_ip(&n->own[i].addr, own))
            return n->own[i].interface;
    return NOWHERE;
}

/* Which of our addresses the kernel writes into what is sent there. False: no route, or no socket. */
static bool ask_source(const struct addr *to, struct addr *ret_source)
{
    struct sockaddr_storage there;
    struct addr dest = *to;
    socklen_t len;
    bool is_known;
    int fd;

    dest.port = ANY_PORT;
    len = net_sockaddr_from_addr(&dest, &there);
    fd = socket(there.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    is_known = connect(fd, (const struct sockaddr *)&there, len) == 0 && net_socket_addr(fd, ret_source) == 0;
    close(fd);
    return is_known;
}

/* Where two peers meet in one place each costs a question, as it would without the table. */
static struct place *place_for(struct net_interfaces *n, const struct addr *to)
{
    uint32_t hash = 0;

    for (size_t i = 0; i < (to->family == ADDR_IPV4 ? 4 : sizeof(to->ip)); i++)
        hash = (hash ^ to->ip[i]) * 0x01000193u;
    return &n->peers[(hash >> 16) % NET_INTERFACES_PEERS_MAX];
}

static uint32_t interface_to(struct net_interfaces *n, const struct addr *to, ms_t now_ms)
{
    struct place *place = place_for(n, to);
    struct addr source;

    if (place->until_ms > now_ms && place->addr.family == to->family && addr_eq_ip(&place->addr, to))
        return place->interface;
    *place = (struct place){.addr = *to, .until_ms = now_ms + NET_INTERFACES_TTL_MS};
    place->interface = ask_source(to, &source) ? interface_with(n, &source, now_ms) : NOWHERE;
    return place->interface;
}

bool net_interfaces_lead(struct net_interfaces *interfaces, const struct addr *from, const struct addr *to,
                         ms_t now_ms)
{
    uint32_t interface;

    if (from->family != to->family || (to->family != ADDR_IPV4 && to->family != ADDR_IPV6))
        return false;
    interface = interface_to(interfaces, to, now_ms);
    return interface != NOWHERE && interface == interface_with(interfaces, from, now_ms);
}
