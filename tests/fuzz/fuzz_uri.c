/* Any octets as URIs: a URI equals itself, equality is symmetric, and the canonical form is a URI and its own
 * canonical form. Input: two URIs with a line feed between them. */
#include "fuzz_sip.h"

#include "sip/uri.h"

#define CANONICAL_BYTES 8192

static void check_canonical(const struct sip_uri *uri)
{
    static char first[CANONICAL_BYTES], second[CANONICAL_BYTES];
    struct buf out, again;
    struct sip_uri canonical;
    buf_init(&out, first, sizeof(first));
    int rc = sip_uri_canonical_aor(uri, &out);
    FUZZ_ASSERT(rc == 0 || rc == ERR_UNSUPPORTED || rc == ERR_LIMIT);
    if (rc < 0)
        return;
    FUZZ_ASSERT(sip_uri_parse(buf_slice(&out), &canonical) == 0);
    FUZZ_ASSERT(canonical.scheme == uri->scheme && slice_is_null(canonical.user) == slice_is_null(uri->user));
    buf_init(&again, second, sizeof(second));
    FUZZ_ASSERT(sip_uri_canonical_aor(&canonical, &again) == 0);
    FUZZ_ASSERT(slice_eq(buf_slice(&out), buf_slice(&again)));
}

static bool check_uri(struct slice text, struct sip_uri *uri)
{
    struct slice value;
    if (sip_uri_parse(text, uri) < 0)
        return false;
    FUZZ_ASSERT(sip_uri_eq(uri, uri));
    FUZZ_ASSERT(sip_uri_effective_port(uri) != 0);
    FUZZ_ASSERT(sip_uri_param(uri, SLICE("lr"), &value) == uri->lr);
    FUZZ_ASSERT(sip_uri_param(uri, SLICE("maddr"), &value) == !slice_is_null(uri->maddr));
    check_canonical(uri);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice all = fuzz_slice(data, size);
    size_t middle = slice_find(all, '\n');
    struct sip_uri a, b;
    bool good = check_uri(slice_sub(all, 0, middle), &a);
    if (check_uri(slice_sub(all, middle + 1, size), &b) && good)
        FUZZ_ASSERT(sip_uri_eq(&a, &b) == sip_uri_eq(&b, &a));
    return 0;
}
