/* Nonces that need no storage to be issued: time, a number that is never used twice, and a code over both
 * that only we can make (RFC 7616 section 5.4). What is stored is their use: which nonce counts of a nonce
 * have been seen, in a table of fixed size that all workers share. When the table has to forget a nonce it
 * remembers until when it has forgotten, and calls every nonce issued by then stale: the client is asked
 * again, and nothing can be replayed.
 *
 * The code is made with a key of this process: after a restart every nonce is stale. */
#ifndef AUTH_NONCE_H
#define AUTH_NONCE_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/slice.h"
#include <stdint.h>

#define AUTH_NONCE_TEXT_BYTES 32 /* base64url, so it needs no escapes */

struct auth_nonces;

/* uses: nonces whose use is remembered, 32 octets each; rounded up to a power of two, at least 64. */
MUST_USE int auth_nonces_new(uint32_t lifetime_s, size_t uses, struct auth_nonces **ret_nonces);
void auth_nonces_free(struct auth_nonces *nonces);

/* A fresh nonce for a realm. now_ms is the monotonic clock: the calendar may be set back, and then every
 * nonce would be as old as what was forgotten. From any thread. */
void auth_nonce_issue(struct auth_nonces *nonces, struct slice realm, ms_t now_ms, struct buf *out);

enum auth_nonce_state {
    AUTH_NONCE_GOOD,   /* ours, not too old, this count of it not seen before; it is seen now */
    AUTH_NONCE_STALE,  /* not ours (or of an earlier run), too old, or forgotten */
    AUTH_NONCE_REPLAY, /* this count was seen before */
};

/* To be asked once for each request whose response has been verified: it marks the count as seen. nc 0 (no
 * qop) counts as 1, so such a nonce is good once. From any thread. */
MUST_USE enum auth_nonce_state auth_nonce_use(struct auth_nonces *nonces, struct slice nonce,
                                              struct slice realm, uint32_t nc, ms_t now_ms);

#endif
