#include "app/users_db.h"
#include "auth/users.h"

int users_db_open(const char *path, struct location_why *ret_why, struct sqlite3 **ret_db)
{
    struct sqlite3 *db;
    int rc = location_db_open(path, ret_why, &db);
    if (rc != 0)
        return rc;
    rc = location_db_migrate(db, "auth", auth_users_schema, ret_why);
    if (rc != 0)
        location_db_close(db);
    else
        *ret_db = db;
    return rc;
}
