/* Where a response goes, and what the top Via of a request has to say for it: RFC 3261 sections 18.2.1
 * and 18.2.2, RFC 3581 section 4. Pure functions of a parsed Via and of where the request came from. */
#ifndef SIP_VIA_ROUTE_H
#define SIP_VIA_ROUTE_H

#include "base/arena.h"
#include "sip/hop.h"
#include "sip/msg.h"

/* The text of the top Via of a request as it must read from here on, in responses and in the forwarded
 * request:
 *  - `received` with the source address when the host of sent-by is a name or another address (18.2.1), and
 * always when there is an `rport` (RFC 3581 section 4);
 *  - `rport` with the source port when the parameter is there, whatever value the client gave it.
 * A `received` that the client wrote itself is replaced by the truth. Everything else stays octet for octet;
 * when nothing has to change ret_text is via->text itself and arena is not touched. ERR_NOMEM: arena is full.
 */
MUST_USE int sip_via_route_tag(const struct sip_via *via, const struct addr *source, struct arena *arena,
                               struct slice *ret_text);

/* Where the responses to a request that came by `from` go, its Via as received being `via`:
 *  - reliable transport: the connection it came by. addr is then where to open a new one when that is gone:
 * the source address with the port of sent-by (18.2.2 first item);
 *  - maddr, when it is a unicast address: there, with the port of sent-by (second item);
 *  - rport: the source address and port (RFC 3581 section 4);
 *  - else the source address with the port of sent-by (third and fourth item: without `received` both are the
 * same). The listener is always that of `from`: a response leaves from where its request came to. */
void sip_via_route_reply(const struct sip_via *via, const struct sip_hop *from, struct sip_hop *ret_hop);

/* The same for an element that remembers nothing: from the Via alone, as it now stands on top of the
 * response. transport and addr of ret_hop are set, flow is SIP_FLOW_NONE, listener is 0. ERR_NOTFOUND: the
 * host is a name and there is no `received`; ERR_UNSUPPORTED: unknown transport; ERR_DENIED: not an address
 * to send anything to (multicast, unspecified). */
MUST_USE int sip_via_route_response(const struct sip_via *via, struct sip_hop *ret_hop);

/* The port of sent-by, or the default one of its transport (18.1.1). */
uint16_t sip_via_route_port(const struct sip_via *via);

#endif
