/* Sealing: what is handed out and comes back, and must neither be read nor forged nor told from another on
 * its way. AES-256 in Galois/Counter Mode (NIST SP 800-38D) with a nonce drawn each time. */
#ifndef CRYPTO_SEAL_H
#define CRYPTO_SEAL_H

#include "base/err.h"
#include "base/slice.h"
#include <stdint.h>

#define CRYPTO_SEAL_NONCE_BYTES 12
#define CRYPTO_SEAL_TAG_BYTES   16
/* By so much the sealed form is longer. */
#define CRYPTO_SEAL_BYTES (CRYPTO_SEAL_NONCE_BYTES + CRYPTO_SEAL_TAG_BYTES)

struct crypto_seal_key {
    uint8_t octets[32];
};

/* plain.len + CRYPTO_SEAL_BYTES octets into out. bound_to: what must be the same when it is opened; may be
 * empty. One key is good for 2^32 seals. ERR_IO: no random octets; ERR_NOMEM. */
MUST_USE int crypto_seal(const struct crypto_seal_key *key, struct slice plain, struct slice bound_to,
                         uint8_t *out);
/* sealed.len - CRYPTO_SEAL_BYTES octets into out. ERR_DENIED: not sealed with this key, or bound to something
 * else; out is not to be read then. ERR_NOMEM. */
MUST_USE int crypto_unseal(const struct crypto_seal_key *key, struct slice sealed, struct slice bound_to,
                           uint8_t *out);

#endif
