/* struct addr and struct sockaddr, both ways. */
#ifndef NET_SOCKADDR_H
#define NET_SOCKADDR_H

#include "base/addr.h"
#include <stdbool.h>
#include <sys/socket.h>

/* Returns the length to give to bind, connect or sendmsg; 0 when family is ADDR_NONE. */
socklen_t net_sockaddr_from_addr(const struct addr *addr, struct sockaddr_storage *ret_sockaddr);
/* ERR_UNSUPPORTED when it is neither IPv4 nor IPv6. IPv4 mapped into IPv6 comes out as IPv4. */
MUST_USE int net_addr_from_sockaddr(const struct sockaddr_storage *sockaddr, struct addr *ret_addr);

/* A socket of this type, non-blocking, closed on exec, bound to addr; IPv6 takes no IPv4 (RFC 4291
 * section 2.5.5.2 addresses never turn up). ERR_UNSUPPORTED for ADDR_NONE, ERR_IO with errno. */
MUST_USE int net_socket_bind(int type, const struct addr *addr, bool reuse_port, int *ret_fd);
/* The address the socket is bound to. ERR_IO with errno. */
MUST_USE int net_socket_addr(int fd, struct addr *ret_addr);

#endif
