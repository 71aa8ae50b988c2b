/* Any octets as credentials: what parses has the texts it must have and none with a quote left on it, and
 * verifying them is safe; nothing that a stranger writes verifies against a password he does not know. */
#include "fuzz_sip.h"

#include "auth/digest.h"
#include "auth/nonce.h"
#include "crypto/crypto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct auth_nonces *nonces;
    if (nonces == NULL)
        FUZZ_ASSERT(crypto_init() == 0 && auth_nonces_new(300, 64, &nonces) == 0);
    struct fuzz_memory memory;
    struct auth_credentials c;
    struct crypto_hex ha1;
    fuzz_memory_init(&memory);
    if (auth_credentials_parse(fuzz_slice(data, size), &memory.arena, &c) == 0 && c.is_complete) {
        FUZZ_ASSERT(!slice_is_null(c.username) && !slice_is_null(c.realm) && !slice_is_null(c.nonce) &&
                    !slice_is_null(c.response));
        FUZZ_ASSERT(c.has_qop == (c.nc > 0) && (!c.has_qop || c.nc_text.len == 8));
        FUZZ_ASSERT(auth_digest_ha1(c.alg, c.username, c.realm, SLICE("unguessable"), &ha1) == 0);
        FUZZ_ASSERT(auth_credentials_verify(&c, &ha1, SLICE("INVITE")) == ERR_DENIED);
        FUZZ_ASSERT(auth_nonce_use(nonces, c.nonce, c.realm, c.nc, 1000) == AUTH_NONCE_STALE);
    }
    fuzz_memory_done(&memory);
    return 0;
}
