/* Names that peers must prove by certificate, as small numbers: a message on its way to a TLS peer says by 4
 * octets who that must be (sip/hop.h). One table for the process, shared by all workers behind a lock that is
 * taken for a look-up only when a connection is chosen or made.
 *
 * Life of a name: made by whoever resolves a URI (RFC 3263 section 4; RFC 5922 section 4 says that it is
 * the domain of the URI, not what NAPTR and SRV made of it); used when the transport opens or finds a
 * connection. When the table is full the name that was asked for longest ago, either way, gives way, and
 * its number is never given again before 2^32 others: who still has it gets ERR_NOTFOUND, so a
 * connection is never made under a wrong name. */
#ifndef NET_NAMES_H
#define NET_NAMES_H

#include "base/err.h"
#include "base/slice.h"
#include <stdint.h>

#define NET_NAME_MAX_BYTES 255
#define NET_NAME_NONE      0

struct net_names;

/* capacity: names at one time, at least 1. ERR_NOMEM. */
MUST_USE int net_names_new(size_t capacity, struct net_names **ret_names);
void net_names_free(struct net_names *names);

/* The number of a name (compared without case, a final dot is ignored); the same as long as it is in the table.
 * ERR_LIMIT: too long or empty; ERR_SYNTAX: a NUL in it; ERR_NOMEM. */
MUST_USE int net_names_number(struct net_names *names, struct slice name, uint32_t *ret_number);
/* The name, in lower case and with a final NUL. ERR_NOTFOUND: this number stands for nothing (any more). */
MUST_USE int net_names_text(struct net_names *names, uint32_t number, char ret_text[NET_NAME_MAX_BYTES + 1]);

#endif
