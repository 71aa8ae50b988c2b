/* The SIP domain identities of a certificate: RFC 5922 section 7. Private to the folder. */
#ifndef NET_TLS_NAMES_H
#define NET_TLS_NAMES_H

#include "base/buf.h"
#include "base/slice.h"
#include <openssl/x509.h>

/* Calls back with each identity, of at most `max`, while it returns true. */
void tls_names_each(const X509 *certificate, size_t max, bool (*each)(void *ctx, struct slice name),
                    void *ctx);
/* Is name one of them? */
bool tls_names_has(const X509 *certificate, struct slice name);
/* All that fit, parted by spaces; control characters cannot be among them. */
void tls_names_print(const X509 *certificate, struct buf *out);

#endif
