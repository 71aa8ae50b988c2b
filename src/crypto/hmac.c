/* Written as its two digests: OpenSSL 3 takes several allocations for each use of its own HMAC. */
#include "crypto/hmac.h"
#include "crypto/crypto.h"
#include <string.h>

int crypto_hmac_key_init(struct slice secret, struct crypto_hmac_key *ret_key)
{
    uint8_t block[CRYPTO_HMAC_BLOCK_BYTES] = {0};

    if (secret.len > sizeof(block)) {
        struct crypto_digest d;
        int r = crypto_digest(CRYPTO_SHA256, &secret, 1, &d);

        if (r < 0)
            return r;
        memcpy(block, d.bytes, d.len);
    } else if (secret.len > 0) {
        memcpy(block, secret.ptr, secret.len);
    }
    for (size_t i = 0; i < sizeof(block); i++) {
        ret_key->inner[i] = block[i] ^ 0x36;
        ret_key->outer[i] = block[i] ^ 0x5c;
    }
    crypto_wipe(block, sizeof(block));
    return 0;
}

int crypto_hmac_sha256(const struct crypto_hmac_key *key, const struct slice *parts, size_t count,
                       struct crypto_digest *ret_code)
{
    struct slice inner[CRYPTO_HMAC_PARTS_MAX + 1] = {
        slice_make((const char *)key->inner, sizeof(key->inner))};
    struct slice outer[2] = {slice_make((const char *)key->outer, sizeof(key->outer))};
    struct crypto_digest d;
    int r;

    if (count > CRYPTO_HMAC_PARTS_MAX)
        return ERR_LIMIT;
    if (count > 0)
        memcpy(inner + 1, parts, count * sizeof(parts[0]));
    r = crypto_digest(CRYPTO_SHA256, inner, count + 1, &d);
    if (r < 0)
        return r;
    outer[1] = crypto_digest_slice(&d);
    return crypto_digest(CRYPTO_SHA256, outer, 2, ret_code);
}
