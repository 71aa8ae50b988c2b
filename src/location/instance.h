/* The instance-id of a client: the URN in the "+sip.instance" parameter of its Contact (RFC 5626 section 4.1), by
 * which its flows and its GRUUs are told from those of other clients of the same user. */
#ifndef LOCATION_INSTANCE_H
#define LOCATION_INSTANCE_H

#include "base/hash.h"
#include "base/slice.h"
#include <stdbool.h>

/* The URN without quotes and angle brackets, in params, a list of header parameters; absent when there is
 * none. A value without angle brackets is taken as it is, for there are clients that forget them. */
struct slice location_instance_of(struct slice params);

/* Equality of URNs (RFC 2141 section 5; RFC 4122 section 3: a UUID in any case). */
bool location_instance_eq(struct slice a, struct slice b);
/* The same for equal ones; key: secret, so that nobody makes two alike. */
uint64_t location_instance_hash(const struct hash_key *key, struct slice instance);

#endif
