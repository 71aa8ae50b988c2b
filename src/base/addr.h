/* An IP address and port as a plain value: what the core compares, hashes and writes into headers without
 * knowing sockets. */
#ifndef BASE_ADDR_H
#define BASE_ADDR_H

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include <stdbool.h>
#include <stdint.h>

enum addr_family { ADDR_NONE = 0, ADDR_IPV4 = 4, ADDR_IPV6 = 6 };

struct addr {
    uint8_t family;    /* enum addr_family */
    uint8_t ip[16];    /* network order; the first 4 for IPv4 */
    uint16_t port;     /* host order; 0: not given */
    uint32_t scope_id; /* IPv6 link-local only */
};

/* IPv4 dotted quad, or IPv6 with or without [brackets]; no port, no zone. The whole slice.
 * Also takes the three-colon form that RFC 5118 section 4.10 asks to tolerate. */
MUST_USE int addr_parse_ip(struct slice s, struct addr *ret_addr);
/* The IPv4 dotted quad that begins at p: its end, or NULL with ret_addr untouched. */
const char *addr_scan_ipv4(const char *p, const char *end, struct addr *ret_addr);
/* "192.0.2.1:5060", "[2001:db8::1]:5060", or without a port (then 0). */
MUST_USE int addr_parse(struct slice s, struct addr *ret_addr);
/* IP only; IPv6 in its RFC 5952 form, in brackets when asked for. */
void addr_format_ip(const struct addr *a, bool brackets, struct buf *out);
/* IP and port, brackets round IPv6. */
void addr_format(const struct addr *a, struct buf *out);
bool addr_eq(const struct addr *a, const struct addr *b);    /* IP, port and scope */
bool addr_eq_ip(const struct addr *a, const struct addr *b); /* IP and scope; ::ffff:a.b.c.d equals a.b.c.d */
bool addr_is_any(const struct addr *a);                      /* 0.0.0.0 or :: */
bool addr_is_loopback(const struct addr *a);
/* Never a destination taken from a message: multicast, broadcast, unspecified (RFC 4475 section 3.3.10). */
bool addr_is_unicast(const struct addr *a);

/* "192.0.2.0/24", "2001:db8::/32", or a single address. */
struct addr_prefix {
    struct addr addr;
    uint8_t bits;
};
MUST_USE int addr_prefix_parse(struct slice s, struct addr_prefix *ret_prefix);
bool addr_prefix_has(const struct addr_prefix *prefix, const struct addr *a);

#endif
