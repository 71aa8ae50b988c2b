/* The server from start to stop. */
#ifndef APP_RUN_H
#define APP_RUN_H

#include "config/config.h"

/* Opens the store and the sockets, starts the workers, and returns when SIGTERM or SIGINT has stopped them.
 * Log lines go to standard error. Signals, all handled by the calling thread:
 *
 *   SIGTERM, SIGINT   stop taking new requests (503 with Retry-After), finish what is under way for at most
 * stop.grace, then return; a second one returns at once SIGUSR1, SIGUSR2  one log level more, one less
 *
 * Returns a code of sysexits.h: EX_OK; EX_UNAVAILABLE (a port is taken), EX_NOPERM (a port that needs
 * privileges), EX_CANTCREAT (the store cannot be opened), EX_OSERR. The reason is in the log. config must
 * live until it returns. */
int app_run(const struct config *config);

#endif
