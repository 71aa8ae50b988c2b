#include "location/db.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define APPLICATION_ID 0x56696164 /* "Viad": so that no other program's database is taken for ours */
/* How long to wait for a lock that another process holds, such as `viaduct user add`. */
#define BUSY_TIMEOUT_MS 1000
/* A refresh changes one row somewhere, and what is written is its page: a small one, of a few rows, is
 * written faster. */
#define PAGE_BYTES 1024
/* A commit that makes the log this long (64 MB) also moves it into the database: seldom, for a page that
 * changed many times is moved once; but reading it back at the next start must not cost more than a moment. */
#define CHECKPOINT_PAGES 65536

void location_why_set(struct location_why *why, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(why->text, sizeof(why->text), format, args);
    va_end(args);
}

/* What was created in a directory is there after a loss of power only when the directory was synced. */
static void sync_dir_of(const char *path)
{
    char dir[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : 0;
    int fd;

    if (len == 0)
        snprintf(dir, sizeof(dir), "%s", slash ? "/" : ".");
    else
        snprintf(dir, sizeof(dir), "%.*s", (int)len, path);
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)fsync(fd);
    close(fd);
}

static int make_dirs_above(const char *path, struct location_why *ret_why)
{
    char dir[PATH_MAX];

    if (path[0] == '\0' || strlen(path) >= PATH_MAX) {
        location_why_set(ret_why, "the path of the database is empty or too long; give the path of a file");
        return ERR_IO;
    }
    for (const char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
        snprintf(dir, sizeof(dir), "%.*s", (int)(p - path), path);
        if (mkdir(dir, 0700) == 0) {
            sync_dir_of(dir);
        } else if (errno != EEXIST) {
            location_why_set(ret_why,
                             "cannot create directory %s: %s; create it with an owner who may write there",
                             dir, strerror(errno));
            return ERR_IO;
        }
    }
    return 0;
}

/* SQLite would create the file with the mode that the umask leaves; its log and index get the mode of the
 * file. */
static int create_file(const char *path, struct location_why *ret_why)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd >= 0) {
        close(fd);
        sync_dir_of(path);
    } else if (errno != EEXIST) {
        location_why_set(ret_why, "cannot create database %s: %s; see to it that this user may write there",
                         path, strerror(errno));
        return ERR_IO;
    }
    return 0;
}

static int query_number(sqlite3 *db, const char *sql, sqlite3_int64 *ret_value)
{
    sqlite3_stmt *stmt;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

    if (rc != SQLITE_OK)
        return rc;
    if (sqlite3_step(stmt) == SQLITE_ROW)
        *ret_value = sqlite3_column_int64(stmt, 0);
    return sqlite3_finalize(stmt);
}

/* A file with something in it must carry our mark; an empty one gets it. */
static int check_mark(sqlite3 *db)
{
    sqlite3_int64 id = 0, objects = 0;
    char sql[64];
    int rc = query_number(db, "PRAGMA application_id", &id);

    if (rc != SQLITE_OK || id == APPLICATION_ID)
        return rc;
    rc = query_number(db, "SELECT count(*) FROM sqlite_schema", &objects);
    if (rc != SQLITE_OK)
        return rc;
    if (id != 0 || objects != 0)
        return SQLITE_NOTADB;
    snprintf(sql, sizeof(sql), "PRAGMA page_size = %d; PRAGMA application_id = %d", PAGE_BYTES,
             APPLICATION_ID);
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

static int set_up(sqlite3 *db)
{
    char sql[256];
    int rc;

    sqlite3_extended_result_codes(db, 1);
    sqlite3_busy_timeout(db, BUSY_TIMEOUT_MS);
    rc = check_mark(db);
    if (rc != SQLITE_OK)
        return rc;
    snprintf(sql, sizeof(sql),
             "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = %d",
             CHECKPOINT_PAGES);
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

int location_db_open(const char *path, struct location_why *ret_why, sqlite3 **ret_db)
{
    sqlite3 *db = NULL;
    int rc = make_dirs_above(path, ret_why);

    if (rc == 0)
        rc = create_file(path, ret_why);
    if (rc != 0)
        return rc;

    rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK)
        rc = set_up(db);
    if (rc != SQLITE_OK) {
        int foreign = (rc & 0xff) == SQLITE_NOTADB;

        location_why_set(ret_why, "cannot open database %s: %s; %s", path, sqlite3_errstr(rc),
                         foreign
                             ? "it is not one of ours: move it away or choose another path"
                             : "see to it that this user may read and write it and that its disk has room");
        sqlite3_close(db);
        return foreign ? ERR_CORRUPT : ERR_IO;
    }
    *ret_db = db;
    return 0;
}

void location_db_close(sqlite3 *db)
{
    sqlite3_close(db);
}

int location_db_lock(const char *path, struct location_why *ret_why, int *ret_fd)
{
    char lock[PATH_MAX + 8];
    int fd, rc = make_dirs_above(path, ret_why);

    if (rc != 0)
        return rc;
    snprintf(lock, sizeof(lock), "%s-lock", path);
    fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        location_why_set(ret_why, "cannot create %s: %s; see to it that this user may write there", lock,
                         strerror(errno));
        return ERR_IO;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        location_why_set(ret_why,
                         "%s is in use by another process; stop it, or give this one a database of its own",
                         path);
        close(fd);
        return ERR_EXISTS;
    }
    *ret_fd = fd;
    return 0;
}

static int set_version(sqlite3 *db, const char *part, int version)
{
    sqlite3_stmt *stmt;
    int rc =
        sqlite3_prepare_v2(db, "REPLACE INTO schema_version (part, version) VALUES (?, ?)", -1, &stmt, NULL);

    if (rc != SQLITE_OK)
        return rc;
    sqlite3_bind_text(stmt, 1, part, -1, SQLITE_STATIC);
    sqlite3_bind_int(stmt, 2, version);
    (void)sqlite3_step(stmt);
    return sqlite3_finalize(stmt);
}

static int get_version(sqlite3 *db, const char *part, int *ret_version)
{
    sqlite3_stmt *stmt;
    int rc = sqlite3_prepare_v2(db, "SELECT version FROM schema_version WHERE part = ?", -1, &stmt, NULL);

    if (rc != SQLITE_OK)
        return rc;
    sqlite3_bind_text(stmt, 1, part, -1, SQLITE_STATIC);
    *ret_version = sqlite3_step(stmt) == SQLITE_ROW ? sqlite3_column_int(stmt, 0) : 0;
    return sqlite3_finalize(stmt);
}

static int run_steps(sqlite3 *db, const char *part, const char *const *steps, int *ret_found, int *ret_known)
{
    int known = 0, version = 0;
    int rc = sqlite3_exec(db,
                          "CREATE TABLE IF NOT EXISTS schema_version ("
                          "part TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID",
                          NULL, NULL, NULL);

    while (steps[known])
        known++;
    *ret_known = known;
    if (rc == SQLITE_OK)
        rc = get_version(db, part, &version);
    *ret_found = version;
    if (rc != SQLITE_OK || version >= known)
        return rc;
    for (int i = version; i < known && rc == SQLITE_OK; i++)
        rc = sqlite3_exec(db, steps[i], NULL, NULL, NULL);
    return rc == SQLITE_OK ? set_version(db, part, known) : rc;
}

int location_db_migrate(sqlite3 *db, const char *part, const char *const *steps, struct location_why *ret_why)
{
    int found = 0, known = 0;
    int rc = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);

    if (rc == SQLITE_OK)
        rc = run_steps(db, part, steps, &found, &known);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    if (rc != SQLITE_OK) {
        location_why_set(ret_why, "cannot prepare the tables of %s (version %d) in %s: %s", part, known,
                         sqlite3_db_filename(db, NULL), sqlite3_errmsg(db));
        (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
        return ERR_IO;
    }
    if (found > known) {
        location_why_set(
            ret_why, "%s was written by a newer version of this program (%s: %d, here %d); use that version",
            sqlite3_db_filename(db, NULL), part, found, known);
        return ERR_UNSUPPORTED;
    }
    return 0;
}
