/* TLS of the process: from the configuration to the certificates that all workers share, their reload, what
 * is said about them, and the names that peers must prove. */
#ifndef APP_SECURE_H
#define APP_SECURE_H

#include "config/config.h"
#include "net/names.h"
#include "net/tls.h"

struct secure;

/* Returns a code of sysexits.h; what is wrong is in the log. config outlives it. */
int secure_new(const struct config *config, struct secure **ret_secure);
/* When no worker is left. NULL is fine. */
void secure_free(struct secure *secure);

/* NULL: no listener has TLS. */
struct net_tls *secure_tls(const struct secure *secure);
struct net_names *secure_names(const struct secure *secure);

/* Reads the certificates again; what comes of it is in the log. */
void secure_reload(struct secure *secure);
/* Whole days until the first certificate expires, negative when it has;
 * INT_MAX: there is none. From any thread. */
int secure_days_left(const struct secure *secure);
/* Says how long the certificates will do: once at the start, later only when that is not long any more. */
void secure_tell_days(const struct secure *secure, bool is_start);
/* Fewer days are worth a warning every day. */
#define SECURE_FEW_DAYS 30

/* For `viaduct check`: adds everything that is wrong with the files of tls to errors, and prints what is merely
 * doubtful to out. */
void secure_check(const struct config *config, struct config_errors *errors, FILE *out);

#endif
