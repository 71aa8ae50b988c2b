/* What a TLS connection costs at least: a server that does the handshake with the least that OpenSSL can do,
 * and then nothing. A yardstick for the memory of idle connections. */
#ifndef BENCH_TLS_SERVER_H
#define BENCH_TLS_SERVER_H

#include "base/addr.h"
#include <signal.h>

/* Until *stop. Files are PEM. Returns a code of sysexits.h; what is wrong is on standard error. */
int tls_server_run(const struct addr *listen, const char *cert, const char *key,
                   const volatile sig_atomic_t *stop);

#endif
