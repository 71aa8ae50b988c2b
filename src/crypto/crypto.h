/* Cryptography, thin over OpenSSL's libcrypto: what is looked up by name is looked up once, what a thread
 * needs again and again it keeps, so that a digest costs its rounds and little else.
 *
 * Life: main() calls crypto_init() before it starts threads; every other function may then be called from any
 * thread, and holds no lock. There is nothing to undo: what a thread keeps is freed when it ends. */
#ifndef CRYPTO_CRYPTO_H
#define CRYPTO_CRYPTO_H

#include "base/err.h"
#include "base/slice.h"
#include <stdbool.h>
#include <stddef.h>

/* Looks up the algorithms. May be called again, from any thread; it then says what it said first.
 * ERR_UNSUPPORTED when the library does not offer SHA-256. */
MUST_USE int crypto_init(void);

/* Fills out with octets nobody can guess. ERR_IO when the system has none to give (out is zeroed then): the
 * caller must not go on with what would be a known secret. */
MUST_USE int crypto_random_bytes(void *out, size_t len);

/* Octet for octet, in a time that tells nothing about where they differ. The lengths are no secret. */
bool crypto_equal(struct slice a, struct slice b);

/* Forgets a secret: zeroes it in a way the compiler does not leave out. */
void crypto_wipe(void *secret, size_t len);

#endif
