/* SHA-1 in Base64 (RFC 4648 section 4, with padding): what the opening handshake of a WebSocket is proved by
 * (RFC 6455 section 4.2.2). SHA-1 is broken as a signature and is none there; nothing else may use it. */
#ifndef CRYPTO_SHA1_H
#define CRYPTO_SHA1_H

#include "base/err.h"
#include "base/slice.h"

#define CRYPTO_SHA1_BASE64_LEN 28

/* Of the parts one after the other; not NUL-terminated. ERR_UNSUPPORTED when the
 * library does not offer it, ERR_NOMEM. */
MUST_USE int crypto_sha1_base64(const struct slice *parts, size_t count,
                                char ret_text[CRYPTO_SHA1_BASE64_LEN]);

#endif
