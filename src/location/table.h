/* The tables `binding` and `secret` of the database: a row per binding, found again by its number, which the
 * record in memory knows; so that a refresh is one descent of a B-tree and needs no index over text.
 * Functions return SQLite's result codes: what they mean for a batch is for the caller to say. */
#ifndef LOCATION_TABLE_H
#define LOCATION_TABLE_H

#include "location/binding.h"
#include "location/db.h"
#include "proxy/proxy.h"

#define LOCATION_SECRET_BYTES 16

struct sqlite3_stmt;

/* An open database with its statements. */
struct location_table {
    struct sqlite3 *db;
    struct sqlite3_stmt *begin, *commit, *rollback, *put, *remove;
    const struct proxy_listener
        *listeners; /* by which the listener of a binding is written down and found again */
    size_t n_listeners;
};

/* Opens the database, brings the tables up to date, prepares. listeners must outlive the table. Errors of
 * location_db_open(), after which there is nothing to close. */
MUST_USE int location_table_open(const char *path, const struct proxy_listener *listeners, size_t n_listeners,
                                 struct location_why *ret_why, struct location_table *ret_table);
void location_table_close(struct location_table *table);

/* About how many bindings there are, by the size of the file: what to make room for. */
MUST_USE int location_table_estimate(struct location_table *table, size_t *ret_bindings);
/* Calls take for every binding, in the order in which they were first stored; its slices live during the
 * call. Nonzero ends the walk and is returned, as is an SQLite error. Of a binding that came over a
 * connection the hop is not given: the connection has not survived. */
typedef int location_table_take_fn(void *ctx, struct slice aor, const struct location_binding *binding);
MUST_USE int location_table_load(struct location_table *table, location_table_take_fn *take, void *ctx);

MUST_USE int location_table_begin(struct location_table *table);
MUST_USE int location_table_commit(struct location_table *table);
/* Undoes what was not committed; without a transaction it does nothing. */
void location_table_rollback(struct location_table *table);
/* Writes the row binding->row, whether it is there or not. */
MUST_USE int location_table_put(struct location_table *table, struct slice aor,
                                const struct location_binding *binding);
MUST_USE int location_table_remove(struct location_table *table, uint64_t row);
MUST_USE int location_table_remove_all(struct location_table *table);
/* Those whose time has come, and those that only a connection of the process before led to. */
MUST_USE int location_table_remove_dead(struct location_table *table, unix_s_t now_s);

/* SQLITE_NOTFOUND when there is none yet. */
MUST_USE int location_table_get_secret(struct location_table *table,
                                       uint8_t ret_secret[LOCATION_SECRET_BYTES]);
MUST_USE int location_table_put_secret(struct location_table *table,
                                       const uint8_t secret[LOCATION_SECRET_BYTES]);

/* True when the file was deleted or replaced since it was opened: what is committed to it would be lost. */
bool location_table_has_moved(struct location_table *table);

#endif
