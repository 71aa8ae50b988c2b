#include "digest.h"
#include "plain.h"
#include <openssl/evp.h>

static const EVP_MD *digest_of(struct slice algorithm)
{
    if (slice_eq_nocase(algorithm, SLICE("SHA-256")))
        return EVP_sha256();
    if (slice_eq_nocase(algorithm, SLICE("SHA-512-256")))
        return EVP_sha512_256();
    return EVP_md5();
}

static struct slice hex_digest(struct heap *heap, const EVP_MD *md, struct slice text)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char out[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    struct text hex;

    EVP_Digest(text.ptr, text.len, out, &len, md, NULL);
    text_init(&hex, heap);
    for (unsigned i = 0; i < len; i++) {
        char pair[2] = {digits[out[i] >> 4], digits[out[i] & 15]};

        text_put(&hex, slice_make(pair, 2));
    }
    return text_slice(&hex);
}

static struct slice param(struct slice challenge, const char *name)
{
    struct slice value = SLICE("");

    plain_auth_param(challenge, slice_from_cstr(name), &value);
    return value;
}

struct slice digest_credentials(struct heap *heap, struct slice challenge, struct slice user,
                                struct slice password, struct slice method, struct slice uri,
                                unsigned nonce_count, bool with_qop)
{
    struct slice realm = param(challenge, "realm"), nonce = param(challenge, "nonce");
    struct slice algorithm = param(challenge, "algorithm"), opaque = param(challenge, "opaque");
    const EVP_MD *md = digest_of(algorithm);
    struct slice ha1 = hex_digest(
        heap, md,
        heap_printf(heap, "%.*s:%.*s:%.*s", SLICE_ARG(user), SLICE_ARG(realm), SLICE_ARG(password)));
    struct slice ha2 =
        hex_digest(heap, md, heap_printf(heap, "%.*s:%.*s", SLICE_ARG(method), SLICE_ARG(uri)));
    struct slice response;
    struct text t;

    text_init(&t, heap);
    text_printf(&t, "Digest username=\"%.*s\", realm=\"%.*s\", nonce=\"%.*s\", uri=\"%.*s\"", SLICE_ARG(user),
                SLICE_ARG(realm), SLICE_ARG(nonce), SLICE_ARG(uri));
    if (with_qop) {
        response = hex_digest(heap, md,
                              heap_printf(heap, "%.*s:%.*s:%08x:c0ffee:auth:%.*s", SLICE_ARG(ha1),
                                          SLICE_ARG(nonce), nonce_count, SLICE_ARG(ha2)));
        text_printf(&t, ", qop=auth, nc=%08x, cnonce=\"c0ffee\"", nonce_count);
    } else {
        response = hex_digest(
            heap, md, heap_printf(heap, "%.*s:%.*s:%.*s", SLICE_ARG(ha1), SLICE_ARG(nonce), SLICE_ARG(ha2)));
    }
    text_printf(&t, ", response=\"%.*s\"", SLICE_ARG(response));
    if (algorithm.len > 0)
        text_printf(&t, ", algorithm=%.*s", SLICE_ARG(algorithm));
    if (opaque.len > 0)
        text_printf(&t, ", opaque=\"%.*s\"", SLICE_ARG(opaque));
    return text_slice(&t);
}
