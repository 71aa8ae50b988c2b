/* From the URI of a next hop to the addresses to try, in order (RFC 3263 section 4): transport, address and
 * port. Today's sources are literals and the hosts file, so every answer is there at once; the interface is
 * that of proxy/ports.h, so an asynchronous source can stand behind it. */
#ifndef DNS_RESOLVE_H
#define DNS_RESOLVE_H

#include "dns/hosts.h"
#include "sip/hop.h"
#include "sip/uri.h"

/* Sets transport and addr (with port) of up to max hops. maddr is used in place of the host when present.
 * ERR_NOTFOUND: the name is not known. ERR_UNSUPPORTED: a transport or scheme that this proxy does not speak.
 */
MUST_USE int dns_resolve(const struct dns_hosts *hosts, const struct sip_uri *uri, struct sip_hop *ret_hops,
                         size_t max, size_t *ret_count);

#endif
