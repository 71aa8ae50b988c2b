#include "crypto/crypto.h"
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>

int crypto_random_bytes(void *out, size_t len)
{
    if (len <= INT_MAX && RAND_bytes(out, (int)len) == 1)
        return 0;
    OPENSSL_cleanse(out, len);
    return ERR_IO;
}

bool crypto_equal(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || CRYPTO_memcmp(a.ptr, b.ptr, a.len) == 0);
}

void crypto_wipe(void *secret, size_t len)
{
    OPENSSL_cleanse(secret, len);
}
