/* Who may call himself what: users of our domains with digests of their passwords, never a password.
 *
 * They are kept in the table `user` of the database and, for look-ups, all in memory. `viaduct user` changes
 * the table from another process; auth_users_poll(), called now and then by one thread, sees that and reads
 * the table anew, while the workers go on with what they have.
 *
 * Of each user two digests per algorithm are stored, for clients differ in what they give as user name:
 * "alice" and "alice@example.com". */
#ifndef AUTH_USERS_H
#define AUTH_USERS_H

#include "crypto/digest.h"
#include <stdbool.h>
#include <stddef.h>

struct sqlite3;

#define AUTH_NAME_BYTES_MAX     128
#define AUTH_DOMAIN_BYTES_MAX   255
#define AUTH_REALM_BYTES_MAX    255
#define AUTH_PASSWORD_BYTES_MAX 1024

/* SQL that takes the tables of this folder from one version to the next, ended by NULL: for whoever opens the
 * database. */
extern const char *const auth_users_schema[];

/* ---- The table, for the command line. Each works on an open database whose tables are up to date ---- */

struct auth_account {
    struct slice domain; /* lower case */
    struct slice realm;
    struct slice name;
};

/* What is wrong with a user's name, in words for people, or NULL: it must be what can stand before the '@' of
 * a SIP URI as it is, without escapes, for it is compared with an address-of-record in canonical form (RFC
 * 3261 section 10.3 step 5). */
const char *auth_name_problem(struct slice name);

/* ERR_EXISTS; ERR_SYNTAX: name, realm or password cannot be used; ERR_IO: sqlite3_errmsg(db) says why; errors
 * of crypto_digest(). */
MUST_USE int auth_user_add(struct sqlite3 *db, const struct auth_account *account, struct slice password);
/* Another password, and realm. ERR_NOTFOUND. */
MUST_USE int auth_user_set_password(struct sqlite3 *db, const struct auth_account *account,
                                    struct slice password);
/* ERR_NOTFOUND. The realm is not used. */
MUST_USE int auth_user_delete(struct sqlite3 *db, const struct auth_account *account);
/* Calls visit for each user by domain and name; domain absent: of all. */
typedef void auth_user_visit_fn(void *ctx, const struct auth_account *account);
MUST_USE int auth_user_list(struct sqlite3 *db, struct slice domain, auth_user_visit_fn *visit, void *ctx);

/* ---- In memory, for the server ---- */

struct auth_users;

/* Reads all users. db stays the caller's, must outlive the users, and is used only here and by
 * auth_users_poll(). ERR_IO, ERR_NOMEM. */
MUST_USE int auth_users_new(struct sqlite3 *db, struct auth_users **ret_users);
void auth_users_free(struct auth_users *users);
/* Reads them again if somebody has changed them. One thread at a time. On failure all stays as it was. */
void auth_users_poll(struct auth_users *users);

/* From any thread. */
size_t auth_users_count(struct auth_users *users);
bool auth_users_exists(struct auth_users *users, struct slice domain, struct slice name);

struct auth_secret {
    struct crypto_hex ha1;
    bool realm_differs; /* the digest is for another realm than asked for: it cannot be right */
};
/* with_domain: the client calls himself "name@domain". ERR_NOTFOUND: no such user, or no digest of his for
 * alg. */
MUST_USE int auth_users_find(struct auth_users *users, struct slice domain, struct slice name,
                             struct slice realm, enum crypto_digest_alg alg, bool with_domain,
                             struct auth_secret *ret_secret);

#endif
