#include "location/gruu.h"
#include "base/num.h"
#include "crypto/base64url.h"
#include "crypto/hmac.h"
#include "location/instance.h"

#define PREFIX       "tgruu."
#define PREFIX_BYTES (sizeof(PREFIX) - 1)

/* What is sealed: length of the user, the user and zeros, instance, since. */
#define USER_OFF     1
#define INSTANCE_OFF (USER_OFF + LOCATION_GRUU_USER_MAX)
#define SINCE_OFF    (INSTANCE_OFF + 8)
#define PLAIN_BYTES  (SINCE_OFF + 4)
#define SEALED_BYTES (PLAIN_BYTES + CRYPTO_SEAL_BYTES)

_Static_assert(PREFIX_BYTES + CRYPTO_BASE64URL_LEN(SEALED_BYTES) == LOCATION_GRUU_NAME_BYTES,
               "the form in the header");

int location_gruus_init(const struct hash_key *secret, struct location_gruus *ret_gruus)
{
    const struct slice purposes[] = {SLICE("gruu sign"), SLICE("gruu seal")};
    struct location_gruus gruus;
    struct crypto_hmac_key key;
    struct crypto_digest codes[2];
    int rc = crypto_hmac_key_init(slice_make((const char *)secret, sizeof(*secret)), &key);

    for (size_t i = 0; rc == 0 && i < 2; i++)
        rc = crypto_hmac_sha256(&key, &purposes[i], 1, &codes[i]);
    if (rc != 0)
        return rc;
    memcpy(&gruus.sign, codes[0].bytes, sizeof(gruus.sign));
    memcpy(gruus.seal.octets, codes[1].bytes, sizeof(gruus.seal.octets));
    *ret_gruus = gruus;
    return 0;
}

uint64_t location_gruu_instance(const struct location_gruus *gruus, struct slice instance)
{
    return location_instance_hash(&gruus->sign, instance);
}

static uint64_t sign(const struct location_gruus *gruus, struct slice aor, uint64_t instance)
{
    struct hash_state st;

    hash_begin(&st, &gruus->sign);
    hash_add(&st, SLICE("public"));
    hash_add(&st, aor);
    hash_add_u64(&st, instance);
    return hash_end64(&st);
}

struct slice location_gruu_public(const struct location_gruus *gruus, struct slice aor, struct slice instance,
                                  char out[LOCATION_GRUU_VALUE_BYTES])
{
    uint64_t hash = location_gruu_instance(gruus, instance);

    num_format_hex64(hash, out);
    num_format_hex64(sign(gruus, aor, hash), out + 16);
    return slice_make(out, LOCATION_GRUU_VALUE_BYTES);
}

bool location_gruu_public_read(const struct location_gruus *gruus, struct slice aor, struct slice value,
                               struct location_gruu *ret_gruu)
{
    uint64_t hash, signature;

    if (value.len != LOCATION_GRUU_VALUE_BYTES || num_parse_hex64(slice_sub(value, 0, 16), &hash) != 0 ||
        num_parse_hex64(slice_sub(value, 16, 32), &signature) != 0 || signature != sign(gruus, aor, hash))
        return false;
    *ret_gruu = (struct location_gruu){.instance = hash};
    return true;
}

int location_gruu_temporary(const struct location_gruus *gruus, struct slice user, struct slice domain,
                            const struct location_gruu *gruu, char out[LOCATION_GRUU_NAME_BYTES])
{
    uint8_t plain[PLAIN_BYTES] = {0}, sealed[SEALED_BYTES];
    struct buf b;
    int rc;

    if (user.len == 0 || user.len > LOCATION_GRUU_USER_MAX)
        return ERR_LIMIT;
    plain[0] = (uint8_t)user.len;
    memcpy(plain + USER_OFF, user.ptr, user.len);
    num_put_octets(plain + INSTANCE_OFF, gruu->instance, 8);
    num_put_octets(plain + SINCE_OFF, gruu->since_s, 4);
    rc = crypto_seal(&gruus->seal, slice_make((const char *)plain, sizeof(plain)), domain, sealed);
    if (rc != 0)
        return rc;
    buf_init(&b, out, LOCATION_GRUU_NAME_BYTES);
    buf_lit(&b, PREFIX);
    crypto_base64url_encode(slice_make((const char *)sealed, sizeof(sealed)), &b);
    return 0;
}

int location_gruu_temporary_read(const struct location_gruus *gruus, struct slice name, struct slice domain,
                                 char out[LOCATION_GRUU_USER_MAX], struct slice *ret_user,
                                 struct location_gruu *ret_gruu)
{
    uint8_t plain[PLAIN_BYTES], sealed[SEALED_BYTES];
    size_t len;
    int rc;

    if (name.len != LOCATION_GRUU_NAME_BYTES || !slice_starts_with(name, SLICE(PREFIX)) ||
        crypto_base64url_decode(slice_sub(name, PREFIX_BYTES, name.len), sealed, sizeof(sealed), &len) != 0 ||
        len != sizeof(sealed))
        return ERR_DENIED;
    rc = crypto_unseal(&gruus->seal, slice_make((const char *)sealed, sizeof(sealed)), domain, plain);
    if (rc != 0)
        return rc;
    memcpy(out, plain + USER_OFF, plain[0]);
    *ret_user = slice_make(out, plain[0]);
    *ret_gruu = (struct location_gruu){.instance = num_get_octets(plain + INSTANCE_OFF, 8),
                                       .since_s = (uint32_t)num_get_octets(plain + SINCE_OFF, 4)};
    return 0;
}
