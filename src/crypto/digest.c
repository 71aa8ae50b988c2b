#include "crypto/digest.h"
#include "crypto/crypto.h"
#include <openssl/evp.h>
#include <pthread.h>

static const struct {
    const char *name;
    size_t bytes;
} algs[CRYPTO_DIGEST_ALG_COUNT] = {
    [CRYPTO_MD5] = {"MD5", 16},
    [CRYPTO_SHA256] = {"SHA2-256", 32},
    [CRYPTO_SHA512_256] = {"SHA2-512/256", 32},
};

/* Fetching by name takes locks and string comparisons, so it is done once for the process. */
static EVP_MD *fetched[CRYPTO_DIGEST_ALG_COUNT];
static pthread_once_t fetch_once = PTHREAD_ONCE_INIT;
static pthread_key_t contexts_key;
static int fetch_result;

/* A context allocates when it is first used with an algorithm, so each thread keeps one for each. */
struct contexts {
    EVP_MD_CTX *of[CRYPTO_DIGEST_ALG_COUNT];
};

static _Thread_local struct contexts contexts;

static void contexts_free(void *ptr)
{
    struct contexts *c = ptr;

    for (int i = 0; i < CRYPTO_DIGEST_ALG_COUNT; i++) {
        EVP_MD_CTX_free(c->of[i]);
        c->of[i] = NULL;
    }
}

static void fetch_all(void)
{
    if (pthread_key_create(&contexts_key, contexts_free) != 0) {
        fetch_result = ERR_NOMEM;
        return;
    }
    for (int i = 0; i < CRYPTO_DIGEST_ALG_COUNT; i++)
        fetched[i] = EVP_MD_fetch(NULL, algs[i].name, NULL);
    fetch_result = fetched[CRYPTO_SHA256] ? 0 : ERR_UNSUPPORTED;
}

int crypto_init(void)
{
    pthread_once(&fetch_once, fetch_all);
    return fetch_result;
}

size_t crypto_digest_bytes(enum crypto_digest_alg alg)
{
    return algs[alg].bytes;
}

static EVP_MD_CTX *context_of(enum crypto_digest_alg alg)
{
    if (!contexts.of[alg] && pthread_setspecific(contexts_key, &contexts) == 0)
        contexts.of[alg] = EVP_MD_CTX_new();
    return contexts.of[alg];
}

int crypto_digest(enum crypto_digest_alg alg, const struct slice *parts, size_t count,
                  struct crypto_digest *ret_digest)
{
    struct crypto_digest d = {.len = algs[alg].bytes};
    EVP_MD_CTX *context;

    if (!fetched[alg])
        return ERR_UNSUPPORTED;
    context = context_of(alg);
    if (!context || EVP_DigestInit_ex2(context, fetched[alg], NULL) != 1)
        return ERR_NOMEM;
    for (size_t i = 0; i < count; i++)
        if (EVP_DigestUpdate(context, parts[i].ptr, parts[i].len) != 1)
            return ERR_NOMEM;
    if (EVP_DigestFinal_ex(context, d.bytes, NULL) != 1)
        return ERR_NOMEM;
    *ret_digest = d;
    return 0;
}

int crypto_digest_hex(enum crypto_digest_alg alg, const struct slice *parts, size_t count,
                      struct crypto_hex *ret_hex)
{
    struct crypto_digest d;
    int r = crypto_digest(alg, parts, count, &d);

    if (r < 0)
        return r;
    for (size_t i = 0; i < d.len; i++) {
        ret_hex->text[2 * i] = "0123456789abcdef"[d.bytes[i] >> 4];
        ret_hex->text[2 * i + 1] = "0123456789abcdef"[d.bytes[i] & 15];
    }
    ret_hex->len = 2 * d.len;
    return 0;
}
