/* Message digests: the algorithms that SIP digest authentication names (RFC 8760 section 2.1). */
#ifndef CRYPTO_DIGEST_H
#define CRYPTO_DIGEST_H

#include "base/err.h"
#include "base/slice.h"
#include <stdint.h>

enum crypto_digest_alg {
    CRYPTO_MD5,        /* RFC 1321; for nothing but RFC 3261 digest authentication */
    CRYPTO_SHA256,     /* FIPS 180-4 */
    CRYPTO_SHA512_256, /* FIPS 180-4: SHA-512/256, which is no cut-off SHA-512 */
    CRYPTO_DIGEST_ALG_COUNT
};

#define CRYPTO_DIGEST_MAX_BYTES 32

struct crypto_digest {
    uint8_t bytes[CRYPTO_DIGEST_MAX_BYTES];
    size_t len;
};

/* A digest in lower-case hex, as it stands in `response`; not NUL-terminated. */
struct crypto_hex {
    char text[2 * CRYPTO_DIGEST_MAX_BYTES];
    size_t len;
};

/* Octets of a digest: 16 or 32. */
size_t crypto_digest_bytes(enum crypto_digest_alg alg);

/* The digest of the parts one after the other. ERR_UNSUPPORTED when the library does not offer alg (MD5 under
 * FIPS), ERR_NOMEM. crypto_init() must have been called. */
MUST_USE int crypto_digest(enum crypto_digest_alg alg, const struct slice *parts, size_t count,
                           struct crypto_digest *ret_digest);
/* The same in hex. */
MUST_USE int crypto_digest_hex(enum crypto_digest_alg alg, const struct slice *parts, size_t count,
                               struct crypto_hex *ret_hex);

static inline struct slice crypto_digest_slice(const struct crypto_digest *d)
{
    return slice_make((const char *)d->bytes, d->len);
}

static inline struct slice crypto_hex_slice(const struct crypto_hex *h)
{
    return slice_make(h->text, h->len);
}

#endif
