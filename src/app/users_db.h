/* The database opened for the users in it: by the server, and by `viaduct user` beside it. */
#ifndef APP_USERS_DB_H
#define APP_USERS_DB_H

#include "location/db.h"

/* Opens the database at path and brings the tables of users up to date. Errors of location_db_open() and
 * location_db_migrate(). */
MUST_USE int users_db_open(const char *path, struct location_why *ret_why, struct sqlite3 **ret_db);

#endif
