/* HMAC with SHA-256 (RFC 2104, FIPS 198-1): signs what is handed out and comes back, such as nonces and flow
 * tokens, so that it need not be stored. A key is a plain value, prepared once and read by any thread. */
#ifndef CRYPTO_HMAC_H
#define CRYPTO_HMAC_H

#include "base/err.h"
#include "base/slice.h"
#include "crypto/digest.h"
#include <stdint.h>

#define CRYPTO_HMAC_BLOCK_BYTES 64
#define CRYPTO_HMAC_PARTS_MAX   16

struct crypto_hmac_key {
    uint8_t inner[CRYPTO_HMAC_BLOCK_BYTES];
    uint8_t outer[CRYPTO_HMAC_BLOCK_BYTES];
};

/* secret may have any length; 32 random octets are right. Errors of crypto_digest(). */
MUST_USE int crypto_hmac_key_init(struct slice secret, struct crypto_hmac_key *ret_key);

/* The 32 octets of the code over the parts one after the other: the caller sees to it that different parts
 * cannot join to the same octets. ERR_LIMIT for more than CRYPTO_HMAC_PARTS_MAX parts; errors of
 * crypto_digest(). */
MUST_USE int crypto_hmac_sha256(const struct crypto_hmac_key *key, const struct slice *parts, size_t count,
                                struct crypto_digest *ret_code);

#endif
