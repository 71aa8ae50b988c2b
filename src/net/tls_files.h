/* From PEM files to what OpenSSL holds, with words for what is wrong. Private to the folder. */
#ifndef NET_TLS_FILES_H
#define NET_TLS_FILES_H

#include "net/tls.h"
#include <openssl/ssl.h>

/* Puts certificate, chain and key into ctx. index is for ret_problem. ERR_NOMEM, ERR_IO, ERR_CORRUPT. */
MUST_USE int tls_files_use(SSL_CTX *ctx, const struct net_tls_certificate *files, size_t index,
                           struct net_tls_problem *ret_problem);
/* The issuers of a file, or those of the system for "". The same errors. */
MUST_USE int tls_files_store(const char *ca_file, struct net_tls_problem *ret_problem,
                             X509_STORE **ret_store);
/* Days until the certificate of ctx expires, rounded down, so negative as soon as it has. */
int tls_files_days_left(const SSL_CTX *ctx);
/* ERR_STALE when it has expired, or is not valid yet. */
MUST_USE int tls_files_check_dates(const SSL_CTX *ctx, size_t index, struct net_tls_problem *ret_problem);

#endif
