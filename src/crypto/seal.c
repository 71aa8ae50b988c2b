#include "crypto/seal.h"
#include "crypto/crypto.h"
#include <limits.h>
#include <openssl/evp.h>

static const unsigned char *octets(struct slice s)
{
    return (const unsigned char *)(s.ptr ? s.ptr : "");
}

int crypto_seal(const struct crypto_seal_key *key, struct slice plain, struct slice bound_to, uint8_t *out)
{
    EVP_CIPHER_CTX *ctx;
    uint8_t *text = out + CRYPTO_SEAL_NONCE_BYTES;
    int len, rc = ERR_NOMEM;

    if (plain.len > INT_MAX || bound_to.len > INT_MAX)
        return ERR_NOMEM;
    if (crypto_random_bytes(out, CRYPTO_SEAL_NONCE_BYTES) != 0)
        return ERR_IO;
    ctx = EVP_CIPHER_CTX_new();
    if (ctx && EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->octets, out) == 1 &&
        EVP_EncryptUpdate(ctx, NULL, &len, octets(bound_to), (int)bound_to.len) == 1 &&
        EVP_EncryptUpdate(ctx, text, &len, octets(plain), (int)plain.len) == 1 &&
        EVP_EncryptFinal_ex(ctx, text + len, &len) == 1 &&
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, CRYPTO_SEAL_TAG_BYTES, text + plain.len) == 1)
        rc = 0;
    EVP_CIPHER_CTX_free(ctx);
    return rc;
}

int crypto_unseal(const struct crypto_seal_key *key, struct slice sealed, struct slice bound_to, uint8_t *out)
{
    uint8_t tag[CRYPTO_SEAL_TAG_BYTES];
    EVP_CIPHER_CTX *ctx;
    size_t plain_len;
    int len, rc = ERR_DENIED;

    if (sealed.len < CRYPTO_SEAL_BYTES || sealed.len > INT_MAX || bound_to.len > INT_MAX)
        return ERR_DENIED;
    plain_len = sealed.len - CRYPTO_SEAL_BYTES;
    memcpy(tag, sealed.ptr + sealed.len - sizeof(tag), sizeof(tag));
    ctx = EVP_CIPHER_CTX_new();
    if (!ctx)
        return ERR_NOMEM;
    if (EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->octets, octets(sealed)) == 1 &&
        EVP_DecryptUpdate(ctx, NULL, &len, octets(bound_to), (int)bound_to.len) == 1 &&
        EVP_DecryptUpdate(ctx, out, &len, octets(sealed) + CRYPTO_SEAL_NONCE_BYTES, (int)plain_len) == 1 &&
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, (int)sizeof(tag), tag) == 1 &&
        EVP_DecryptFinal_ex(ctx, out + len, &len) == 1)
        rc = 0;
    EVP_CIPHER_CTX_free(ctx);
    return rc;
}
