#include "net/udp_internal.h"
#include <linux/errqueue.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <string.h>

/* Enough for an address and a sock_extended_err with the address of who complains. */
#define CONTROL_BYTES 256
/* As much of a datagram as routers quote (RFC 1812 section 4.3.2.3), with some to spare. */
#define QUOTE_BYTES 1024

#define ERRORS_PER_TURN 64

/* RFC 3261 section 18.4: "Host, network, port or protocol unreachable errors, or parameter problem errors
 * SHOULD cause the transport layer to inform the transport user of a failure in sending. Source quench and
 * TTL exceeded ICMP errors SHOULD be ignored." What was too long for the path goes in fragments when it is
 * sent again. */
static bool is_failure(const struct sock_extended_err *error)
{
    if (error->ee_origin == SO_EE_ORIGIN_ICMP)
        return (error->ee_type == ICMP_DEST_UNREACH && error->ee_code != ICMP_FRAG_NEEDED) ||
               error->ee_type == ICMP_PARAMETERPROB;
    return error->ee_origin == SO_EE_ORIGIN_ICMP6 &&
           (error->ee_type == ICMP6_DST_UNREACH || error->ee_type == ICMP6_PARAM_PROB);
}

/* One entry of the error queue: ERR_AGAIN when there is none, 1 when it was of ICMP, 0 when it was something
 * else. */
static int take_error(struct net_udp *udp)
{
    _Alignas(struct cmsghdr) char control[CONTROL_BYTES];
    char quote[QUOTE_BYTES];
    struct sockaddr_storage name;
    struct iovec piece = {.iov_base = quote, .iov_len = sizeof(quote)};
    struct msghdr m = {.msg_name = &name,
                       .msg_namelen = sizeof(name),
                       .msg_iov = &piece,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = sizeof(control)};
    bool v4 = udp->addr.family == ADDR_IPV4;
    struct sock_extended_err error;
    const void *found;
    struct addr to;
    ssize_t len;

    len = recvmsg(udp->watch.fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT);
    if (len < 0)
        return ERR_AGAIN;
    found = net_udp_find_control(&m, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_RECVERR : IPV6_RECVERR,
                                 sizeof(error));
    if (!found)
        return 0;
    memcpy(&error, found, sizeof(error));
    /* What is of local origin has been told by the failing call, too. */
    if (error.ee_origin != SO_EE_ORIGIN_ICMP && error.ee_origin != SO_EE_ORIGIN_ICMP6)
        return 0;
    if (is_failure(&error) && net_addr_from_sockaddr(&name, &to) == 0)
        udp->ops->refused(udp->ctx, udp, &to, slice_make(quote, (size_t)len), (int)error.ee_errno);
    return 1;
}

int net_udp_take_errors(struct net_udp *udp)
{
    int found = 0;

    for (int i = 0; i < ERRORS_PER_TURN && !udp->freed; i++) {
        int r = take_error(udp);

        if (r < 0)
            break;
        found += r;
    }
    return found;
}
