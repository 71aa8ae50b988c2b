/* Opening the SQLite database that holds bindings, users and the server's secret: one file, readable with the
 * sqlite3 program. In WAL mode with synchronous=FULL what was committed survives kill -9 and loss of power.
 *
 * Each part that keeps tables in the file brings them as a list of steps: SQL texts, ended by NULL, of which
 * step n takes the part from version n to n + 1. Steps are only ever added. */
#ifndef LOCATION_DB_H
#define LOCATION_DB_H

#include "base/err.h"

struct sqlite3;

/* Why something failed, for people: what, where, what to do. */
struct location_why {
    char text[512];
};

__attribute__((format(printf, 2, 3))) void location_why_set(struct location_why *why, const char *format,
                                                            ...);

/* Opens the database at path; creates it, with mode 0600, and the directories that are missing above it, with
 * mode 0700. One handle is for one thread at a time. ERR_IO: cannot be opened or made; ERR_CORRUPT: it is
 * something else. */
MUST_USE int location_db_open(const char *path, struct location_why *ret_why, struct sqlite3 **ret_db);
/* NULL is fine. */
void location_db_close(struct sqlite3 *db);

/* Keeps others from keeping their bindings at the same path, until *ret_fd is closed. ERR_EXISTS: somebody
 * does already; ERR_IO. Who only edits users need not ask. */
MUST_USE int location_db_lock(const char *path, struct location_why *ret_why, int *ret_fd);

/* Brings a part's tables to their newest version, in one transaction. ERR_UNSUPPORTED: they are newer than
 * steps; ERR_IO. */
MUST_USE int location_db_migrate(struct sqlite3 *db, const char *part, const char *const *steps,
                                 struct location_why *ret_why);

#endif
