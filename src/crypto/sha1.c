#include "crypto/sha1.h"
#include <openssl/evp.h>

#define SHA1_BYTES 20

static bool digest(EVP_MD_CTX *context, const struct slice *parts, size_t count,
                   unsigned char out[SHA1_BYTES])
{
    for (size_t i = 0; i < count; i++)
        if (EVP_DigestUpdate(context, parts[i].ptr, parts[i].len) != 1)
            return false;
    return EVP_DigestFinal_ex(context, out, NULL) == 1;
}

int crypto_sha1_base64(const struct slice *parts, size_t count, char ret_text[CRYPTO_SHA1_BASE64_LEN])
{
    unsigned char octets[SHA1_BYTES], text[CRYPTO_SHA1_BASE64_LEN + 1];
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int r = 0;

    if (!context)
        return ERR_NOMEM;
    if (EVP_DigestInit_ex2(context, EVP_sha1(), NULL) != 1)
        r = ERR_UNSUPPORTED;
    else if (!digest(context, parts, count, octets))
        r = ERR_NOMEM;
    EVP_MD_CTX_free(context);
    if (r < 0)
        return r;
    EVP_EncodeBlock(text, octets, SHA1_BYTES);
    memcpy(ret_text, text, CRYPTO_SHA1_BASE64_LEN);
    return 0;
}
