#include "net/interfaces.h"
#include "base/hash.h"
#include "base/mem.h"
#include "crypto/crypto.h"
#include "net/sockaddr.h"
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

/* Nothing is sent there; connect() wants one. */
#define ANY_PORT 5060

/* More than there are addresses, so that a search ends soon. */
#define OWN_PLACES (2 * NET_INTERFACES_OWN_MAX)

/* What no interface has as its number: no route, or no address of ours; all of 127/8 and ::1; an address that
 * belongs to no network: on the loopback interface, or alone in its prefix. It is for others to find the way
 * to it, and what has it may leave by any interface. */
enum { NOWHERE = 0, LOOPBACK = UINT32_MAX, ANYWHERE = UINT32_MAX - 1 };

struct place {
    struct addr addr;
    uint32_t interface;
    ms_t until_ms; /* of a peer */
};

struct net_interfaces {
    struct hash_key key; /* strangers choose where they send from */
    /* All that this host has, each at the first free place from where its hash says; NOWHERE: free. */
    struct place own[OWN_PLACES];
    ms_t own_until_ms;
    /* Where two meet in one place each costs a question, as it would without the table. */
    struct place peers[NET_INTERFACES_PEERS_KEPT];
};

int net_interfaces_new(struct net_interfaces **ret_interfaces)
{
    struct net_interfaces *interfaces = mem_zalloc(sizeof(*interfaces));
    int r;

    if (!interfaces)
        return ERR_NOMEM;
    r = crypto_random_bytes(&interfaces->key, sizeof(interfaces->key));
    if (r < 0)
        mem_free(interfaces);
    else
        *ret_interfaces = interfaces;
    return r;
}

void net_interfaces_free(struct net_interfaces *interfaces)
{
    mem_free(interfaces);
}

static uint64_t hash_of(const struct net_interfaces *n, const struct addr *addr)
{
    struct hash_state st;

    hash_begin_table(&st, &n->key);
    hash_add(&st, slice_make((const char *)addr->ip, sizeof(addr->ip)));
    return hash_end64(&st);
}

static bool is_of(const struct place *place, const struct addr *addr)
{
    return place->addr.family == addr->family && addr_eq_ip(&place->addr, addr);
}

/* The address, or the netmask if that is asked for; false: of another family. */
static bool read_address(const struct sockaddr *sockaddr, struct addr *ret_addr)
{
    struct sockaddr_storage memory = {0};

    if (!sockaddr || (sockaddr->sa_family != AF_INET && sockaddr->sa_family != AF_INET6))
        return false;
    memcpy(&memory, sockaddr,
           sockaddr->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
    return net_addr_from_sockaddr(&memory, ret_addr) == 0;
}

static bool is_alone(const struct ifaddrs *own)
{
    struct addr mask;

    if (own->ifa_flags & IFF_LOOPBACK)
        return true;
    if ((own->ifa_flags & IFF_POINTOPOINT) || !read_address(own->ifa_netmask, &mask))
        return false;
    for (size_t i = 0; i < (mask.family == ADDR_IPV4 ? 4 : sizeof(mask.ip)); i++)
        if (mask.ip[i] != 0xff)
            return false;
    return true;
}

/* Where it is, or would be. */
static struct place *own_place(struct net_interfaces *n, const struct addr *addr)
{
    uint64_t at = hash_of(n, addr);

    while (n->own[at % OWN_PLACES].interface != NOWHERE && !is_of(&n->own[at % OWN_PLACES], addr))
        at++;
    return &n->own[at % OWN_PLACES];
}

/* If the kernel does not tell, what was known is as good as anything. */
static void learn_own(struct net_interfaces *n)
{
    struct ifaddrs *all;
    size_t count = 0;

    if (getifaddrs(&all) < 0)
        return;
    memset(n->own, 0, sizeof(n->own));
    for (const struct ifaddrs *each = all; each && count < NET_INTERFACES_OWN_MAX; each = each->ifa_next) {
        struct place *place;
        struct addr addr;

        if (!read_address(each->ifa_addr, &addr))
            continue;
        place = own_place(n, &addr);
        if (place->interface == NOWHERE)
            *place = (struct place){.addr = addr,
                                    .interface = is_alone(each) ? ANYWHERE : if_nametoindex(each->ifa_name)};
        count++;
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
    return own_place(n, own)->interface;
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

static uint32_t interface_to(struct net_interfaces *n, const struct addr *to, ms_t now_ms)
{
    struct place *place = &n->peers[hash_of(n, to) % NET_INTERFACES_PEERS_KEPT];
    struct addr source;

    if (place->until_ms > now_ms && is_of(place, to))
        return place->interface;
    *place = (struct place){.addr = *to, .until_ms = now_ms + NET_INTERFACES_TTL_MS};
    place->interface = ask_source(to, &source) ? interface_with(n, &source, now_ms) : NOWHERE;
    return place->interface;
}

bool net_interfaces_lead(struct net_interfaces *interfaces, const struct addr *from, const struct addr *to,
                         ms_t now_ms)
{
    uint32_t way, own;

    if (from->family != to->family || (to->family != ADDR_IPV4 && to->family != ADDR_IPV6))
        return false;
    way = interface_to(interfaces, to, now_ms);
    if (way == NOWHERE)
        return false;
    own = interface_with(interfaces, from, now_ms);
    return own == way || (own == ANYWHERE && way != LOOPBACK);
}
