/* Where a message goes to or came from, as a plain value: the core compares and keeps it, and only the
 * transport acts on it. "Is this flow reliable" is sip_transport_is_reliable(hop.transport). */
#ifndef SIP_HOP_H
#define SIP_HOP_H

#include "base/addr.h"
#include "sip/table.h"
#include <stdbool.h>

/* No connection is meant: the transport finds one for addr, or opens it. */
#define SIP_FLOW_NONE 0

struct sip_hop {
    struct addr addr; /* the peer, with its port */
    uint64_t flow;    /* a connection by number (worker, slot, generation), or SIP_FLOW_NONE */
    /* Of a secure transport: the name that the peer must prove by its certificate (RFC 5922), by its number in
     * net/names.h; 0: none. The core keeps it and does not look inside. */
    uint32_t peer_name;
    uint16_t listener; /* index of the local listener it came to or leaves from */
    uint8_t transport; /* enum sip_transport */
    /* It came from a peer that has proved to be one of those the configuration trusts by name. */
    bool is_trusted : 1;
    bool wants_oc : 1; /* it sends less when told so in the Via of a response (RFC 7339) */
    /* By this very connection, from this very peer (if addr says who), or not at all: where a client is reached
     * that nobody could connect to (RFC 5626 section 5.3.1). Without a connection it changes nothing. */
    bool flow_only : 1;
};

#endif
