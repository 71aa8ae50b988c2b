/* Digest access authentication: RFC 3261 section 22.4, RFC 7616 and RFC 8760. Pure: what a client wrote, and
 * whether it is what someone who knows the password would have written. */
#ifndef AUTH_DIGEST_H
#define AUTH_DIGEST_H

#include "base/arena.h"
#include "base/buf.h"
#include "crypto/digest.h"

/* Algorithms in the order of enum crypto_digest_alg; "MD5", "SHA-256", "SHA-512-256". */
struct slice auth_algorithm_name(enum crypto_digest_alg alg);

/* H(name ":" realm ":" password) in hex: all that is ever stored of a password (RFC 7616 section 3.4.2).
 * Errors of crypto_digest(). */
MUST_USE int auth_digest_ha1(enum crypto_digest_alg alg, struct slice name, struct slice realm,
                             struct slice password, struct crypto_hex *ret_ha1);

/* The value of an Authorization or Proxy-Authorization header field. Slices point into it, or into the arena
 * where a quoted string had escapes; quotes are taken off. */
struct auth_credentials {
    struct slice username, realm, nonce, uri, response;
    struct slice cnonce, nc_text; /* absent without qop */
    bool has_qop;
    uint32_t nc;      /* 0 without qop */
    bool is_known;    /* algorithm is one of ours; else the rest must not be used */
    bool is_complete; /* has all that an answer to our challenge must have; else the same */
    enum crypto_digest_alg alg;
};

/* Values are quoted strings or tokens, whichever was written. ERR_UNSUPPORTED: another scheme than Digest.
 * ERR_SYNTAX: breaks the grammar, lacks a realm, or has a parameter twice. Whether they could be an answer to
 * us is told by is_complete, for those for another realm need not be (RFC 3261 section 22.3): a required
 * parameter is missing, or qop is other than auth (RFC 7616 section 3.4). */
MUST_USE int auth_credentials_parse(struct slice value, struct arena *arena,
                                    struct auth_credentials *ret_credentials);

/* Is the response right, for a request with this method? The comparison takes constant time. ERR_DENIED when
 * it is not; errors of crypto_digest(). */
MUST_USE int auth_credentials_verify(const struct auth_credentials *credentials, const struct crypto_hex *ha1,
                                     struct slice method);

/* One challenge: the value of a WWW-Authenticate or Proxy-Authenticate header field (RFC 7616 section 3.3).
 * realm must have no quote or backslash. */
void auth_challenge_put(struct buf *out, struct slice realm, struct slice nonce, enum crypto_digest_alg alg,
                        bool stale);

#endif
