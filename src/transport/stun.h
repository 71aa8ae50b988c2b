/* STUN on the SIP port: RFC 5626 section 8, RFC 5389. A client keeps the way through its NAT open and sees
 * whether it is still the same by asking what its address looks like from here. Only Binding Requests are
 * known, and only they are answered. Pure.
 *
 * An answer goes to an address that anybody can forge, so it is hardly longer than the question (20 octets
 * and more): 32 octets for IPv4 and 44 for IPv6, 8 more when the question had a FINGERPRINT of its own; and
 * whoever sends it counts how many each source gets. */
#ifndef TRANSPORT_STUN_H
#define TRANSPORT_STUN_H

#include "base/addr.h"

#define STUN_ANSWER_BYTES_MAX 56

/* Is this datagram STUN, and not SIP? The two most significant bits of STUN are 0; no SIP message, and no
 * white space before one, begins so but CR, LF, TAB and SP: those have other bits than a Binding method's 0
 * and 1 in the first octet (RFC 5626 section 8). */
static inline bool stun_is_it(struct slice data)
{
    return data.len > 0 && (unsigned char)data.ptr[0] <= 1;
}

/* The answer to data from this address, in out. 0: none is due (not a well-formed Binding Request). Unknown
 * attributes that must be understood are answered with error 420 (RFC 5389 section 7.3.1). */
size_t stun_answer(struct slice data, const struct addr *from, uint8_t out[STUN_ANSWER_BYTES_MAX]);

#endif
