#include "net/sockaddr.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

socklen_t net_sockaddr_from_addr(const struct addr *addr, struct sockaddr_storage *ret_sockaddr)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(addr->port)};
    struct sockaddr_in6 v6 = {
        .sin6_family = AF_INET6, .sin6_port = htons(addr->port), .sin6_scope_id = addr->scope_id};

    switch (addr->family) {
    case ADDR_IPV4:
        memcpy(&v4.sin_addr, addr->ip, 4);
        memcpy(ret_sockaddr, &v4, sizeof(v4));
        return sizeof(v4);
    case ADDR_IPV6:
        memcpy(&v6.sin6_addr, addr->ip, 16);
        memcpy(ret_sockaddr, &v6, sizeof(v6));
        return sizeof(v6);
    default:
        return 0;
    }
}

static struct addr from_ipv4(const void *ip, in_port_t port)
{
    struct addr a = {.family = ADDR_IPV4, .port = ntohs(port)};

    memcpy(a.ip, ip, 4);
    return a;
}

int net_addr_from_sockaddr(const struct sockaddr_storage *sockaddr, struct addr *ret_addr)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    switch (sockaddr->ss_family) {
    case AF_INET:
        memcpy(&v4, sockaddr, sizeof(v4));
        *ret_addr = from_ipv4(&v4.sin_addr, v4.sin_port);
        return 0;
    case AF_INET6:
        memcpy(&v6, sockaddr, sizeof(v6));
        if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
            *ret_addr = from_ipv4(v6.sin6_addr.s6_addr + 12, v6.sin6_port);
            return 0;
        }
        *ret_addr =
            (struct addr){.family = ADDR_IPV6, .port = ntohs(v6.sin6_port), .scope_id = v6.sin6_scope_id};
        memcpy(ret_addr->ip, &v6.sin6_addr, 16);
        return 0;
    default:
        return ERR_UNSUPPORTED;
    }
}

static int set_flag(int fd, int level, int option)
{
    const int on = 1;

    return setsockopt(fd, level, option, &on, sizeof(on)) < 0 ? ERR_IO : 0;
}

static int set_up(int fd, int type, const struct addr *addr, bool reuse_port)
{
    struct sockaddr_storage to;
    socklen_t len = net_sockaddr_from_addr(addr, &to);
    int r = 0;

    if (addr->family == ADDR_IPV6)
        r = set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY);
    if (r == 0 && type == SOCK_STREAM) /* bind beside connections of a former process in TIME-WAIT */
        r = set_flag(fd, SOL_SOCKET, SO_REUSEADDR);
    if (r == 0 && reuse_port)
        r = set_flag(fd, SOL_SOCKET, SO_REUSEPORT);
    if (r == 0 && bind(fd, (struct sockaddr *)&to, len) < 0)
        r = ERR_IO;
    return r;
}

int net_socket_bind(int type, const struct addr *addr, bool reuse_port, int *ret_fd)
{
    int fd, r;

    if (addr->family != ADDR_IPV4 && addr->family != ADDR_IPV6)
        return ERR_UNSUPPORTED;
    fd = socket(addr->family == ADDR_IPV4 ? AF_INET : AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return ERR_IO;
    r = set_up(fd, type, addr, reuse_port);
    if (r < 0) {
        int error = errno;

        close(fd);
        errno = error;
        return r;
    }
    *ret_fd = fd;
    return 0;
}

int net_socket_addr(int fd, struct addr *ret_addr)
{
    struct sockaddr_storage bound;
    socklen_t len = sizeof(bound);

    if (getsockname(fd, (struct sockaddr *)&bound, &len) < 0)
        return ERR_IO;
    return net_addr_from_sockaddr(&bound, ret_addr);
}
