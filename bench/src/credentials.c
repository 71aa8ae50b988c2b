#include "crypto/digest.h"
#include "play.h"
#include "text.h"
#include <stdio.h>
#include <stdlib.h>

static struct slice parameter(struct slice challenge, const char *name)
{
    const char *at = memmem(challenge.ptr, challenge.len, name, strlen(name));
    if (at == NULL)
        return SLICE("");
    at += strlen(name);
    struct slice tail = slice_make(at, (size_t)(challenge.ptr + challenge.len - at));
    return slice_sub(tail, 0, slice_find(tail, '"'));
}

static void keep_text(char memory[NONCE_BYTES], struct slice text)
{
    size_t len = text.len < NONCE_BYTES ? text.len : NONCE_BYTES - 1;
    memcpy(memory, text.ptr, len);
    memory[len] = '\0';
}

static void hex(enum crypto_digest_alg alg, const struct slice *parts, size_t n, struct crypto_hex *ret_hex)
{
    if (crypto_digest_hex(alg, parts, n, ret_hex) != 0)
        abort(); /* the library has no digests */
}

/* RFC 7616 section 3.4 with qop=auth. */
static struct slice put_credentials(struct load *l, const struct call *call, const struct nonce *nonce,
                                    struct buf *out)
{
    enum crypto_digest_alg alg = nonce->is_sha ? CRYPTO_SHA256 : CRYPTO_MD5;
    const struct slice colon = SLICE(":"), value = slice_from_cstr(nonce->value);
    char user[32], uri[128], count[16];
    struct crypto_hex ha1, ha2, answer;

    snprintf(user, sizeof(user), "u%07llu", (unsigned long long)(call->serial % l->opts->users));
    snprintf(uri, sizeof(uri), "sip:%.*s", SLICE_ARG(l->opts->domain));
    snprintf(count, sizeof(count), "%08x", nonce->count);
    const struct slice p1[] = {slice_from_cstr(user), colon, slice_from_cstr(nonce->realm), colon,
                               l->opts->password};
    const struct slice p2[] = {SLICE("REGISTER:"), slice_from_cstr(uri)};
    hex(alg, p1, 5, &ha1);
    hex(alg, p2, 2, &ha2);
    const struct slice p3[] = {
        crypto_hex_slice(&ha1), colon, value, colon, slice_from_cstr(count), SLICE(":abcd:auth:"),
        crypto_hex_slice(&ha2)};
    hex(alg, p3, 7, &answer);
    buf_printf(out,
               "Authorization: Digest username=\"%s\", realm=\"%s\", nonce=\"%s\", uri=\"%s\", "
               "algorithm=%s, qop=auth, nc=%s, cnonce=\"abcd\", response=\"%.*s\"\r\n",
               user, nonce->realm, nonce->value, uri, nonce->is_sha ? "SHA-256" : "MD5", count,
               SLICE_ARG(crypto_hex_slice(&answer)));
    return buf_failed(out) ? SLICE_NULL : buf_slice(out);
}

struct slice credentials_answer(struct load *l, const struct call *call, struct slice response,
                                struct buf *out)
{
    struct slice challenge = text_header(response, SLICE("WWW-Authenticate:"));
    struct nonce nonce = {.count = 1, .is_sha = memmem(challenge.ptr, challenge.len, "SHA-256", 7) != NULL};
    if (slice_is_null(challenge))
        return SLICE_NULL;
    keep_text(nonce.realm, parameter(challenge, "realm=\""));
    keep_text(nonce.value, parameter(challenge, "nonce=\""));
    if (l->nonces != NULL)
        l->nonces[call->serial % l->opts->users] = nonce;
    return put_credentials(l, call, &nonce, out);
}

struct slice credentials_again(struct load *l, const struct call *call, struct buf *out)
{
    struct nonce *nonce = l->nonces != NULL ? &l->nonces[call->serial % l->opts->users] : NULL;
    if (nonce == NULL || nonce->count == 0)
        return SLICE_NULL;
    nonce->count++;
    return put_credentials(l, call, nonce, out);
}
