/* Base64 with the alphabet for URLs and file names, without padding (RFC 4648 section 5): every character of
 * it may stand in a SIP token and in the user part of a URI. */
#ifndef CRYPTO_BASE64URL_H
#define CRYPTO_BASE64URL_H

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include <stddef.h>

/* Characters that `bytes` octets take. */
#define CRYPTO_BASE64URL_LEN(bytes) ((bytes) / 3 * 4 + ((bytes) % 3 * 4 + 2) / 3)

/* Sticky, as all writers. */
void crypto_base64url_encode(struct slice octets, struct buf *out);

/* Decodes the whole of text into at most cap octets. ERR_LIMIT when they would be more; ERR_SYNTAX for any
 * other character, padding, an impossible length, or unused bits that are not zero, so that one value has one
 * text. out is untouched on failure. */
MUST_USE int crypto_base64url_decode(struct slice text, void *out, size_t cap, size_t *ret_len);

#endif
