/* Globally routable URIs of the instances of our users (RFC 5627), made and read without keeping any of them:
 *
 *   public     sip:alice@example.com;gr=HHHHHHHHHHHHHHHHSSSSSSSSSSSSSSSS
 *              hash of the instance-id, and our signature over that and the address-of-record; so one that
 *              was never issued is told from one whose client is away
 *   temporary  sip:tgruu.<sealed>@example.com;gr
 *              sealed: user, hash of the instance-id, and since when its temporary GRUUs count; always of
 *              the same length. Two of them have nothing in common to who has not the key */
#ifndef LOCATION_GRUU_H
#define LOCATION_GRUU_H

#include "base/buf.h"
#include "base/hash.h"
#include "crypto/seal.h"

struct location_gruus {
    struct hash_key sign;
    struct crypto_seal_key seal;
};

/* Keys made from the storage's secret. Errors of crypto_hmac_sha256(). */
MUST_USE int location_gruus_init(const struct hash_key *secret, struct location_gruus *ret_gruus);

/* Which instance a GRUU stands for. */
struct location_gruu {
    uint64_t instance; /* its hash, by location_gruu_instance() */
    uint32_t since_s;  /* of a temporary one: gruus_s of the bindings it is good for; of a public one 0 */
};

uint64_t location_gruu_instance(const struct location_gruus *gruus, struct slice instance);

#define LOCATION_GRUU_VALUE_BYTES 32
/* The value of `gr` in a public GRUU. */
struct slice location_gruu_public(const struct location_gruus *gruus, struct slice aor, struct slice instance,
                                  char out[LOCATION_GRUU_VALUE_BYTES]);
/* False: not one of ours for this address-of-record. */
bool location_gruu_public_read(const struct location_gruus *gruus, struct slice aor, struct slice value,
                               struct location_gruu *ret_gruu);

/* Longest user a temporary GRUU can stand for; who is called otherwise has none. */
#define LOCATION_GRUU_USER_MAX   35
#define LOCATION_GRUU_NAME_BYTES 108
/* The user part of a new temporary GRUU. ERR_LIMIT: the user is too long; errors of crypto_seal(). */
MUST_USE int location_gruu_temporary(const struct location_gruus *gruus, struct slice user,
                                     struct slice domain, const struct location_gruu *gruu,
                                     char out[LOCATION_GRUU_NAME_BYTES]);
/* ERR_DENIED: not one of ours in this domain. ret_user: in out. */
MUST_USE int location_gruu_temporary_read(const struct location_gruus *gruus, struct slice name,
                                          struct slice domain, char out[LOCATION_GRUU_USER_MAX],
                                          struct slice *ret_user, struct location_gruu *ret_gruu);

#endif
