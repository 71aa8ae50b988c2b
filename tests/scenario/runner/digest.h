/* Digest credentials as a user agent makes them (RFC 7616 section 3.4, RFC 8760). */
#ifndef SCENARIO_DIGEST_H
#define SCENARIO_DIGEST_H

#include "heap.h"

/* An Authorization value for a challenge. */
struct slice digest_credentials(struct heap *heap, struct slice challenge, struct slice user,
                                struct slice password, struct slice method, struct slice uri,
                                unsigned nonce_count, bool with_qop);

#endif
