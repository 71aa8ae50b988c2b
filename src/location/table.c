#include "location/table.h"
#include <assert.h>
#include <sqlite3.h>

static const char *const schema_steps[] = {
    "CREATE TABLE binding ("
    " id INTEGER PRIMARY KEY,"
    " aor TEXT NOT NULL,"
    " uri TEXT NOT NULL,"
    " params TEXT NOT NULL,"
    " path TEXT NOT NULL,"
    " call_id TEXT NOT NULL,"
    " cseq INTEGER NOT NULL,"
    " q INTEGER NOT NULL,"       /* thousandths */
    " expires INTEGER NOT NULL," /* seconds since 1970 */
    " hop BLOB);"                /* see hop_pack */
    "CREATE TABLE secret ("
    " id INTEGER PRIMARY KEY CHECK (id = 1),"
    " value BLOB NOT NULL CHECK (length(value) = 16));",
    "ALTER TABLE binding ADD COLUMN updated INTEGER NOT NULL DEFAULT 0;" /* seconds since 1970 */
    "ALTER TABLE binding ADD COLUMN reg_id INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE binding ADD COLUMN gruus INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE binding ADD COLUMN by_flow INTEGER NOT NULL DEFAULT 0;",
    NULL,
};

/* Pages of the database that are kept in memory: 32 MB, once that much is in use. */
#define CACHE_SQL "PRAGMA cache_size = -32768"
#define ROW_BYTES 200 /* of an ordinary binding */
/* While all rows are read, the file is read where the system keeps it: a system call and a copy less for each
 * page. Not afterwards, when a failing disk must be an error and not a signal. */
#define MAP_SQL   "PRAGMA mmap_size = 2147418112"
#define UNMAP_SQL "PRAGMA mmap_size = 0"

/* Where a REGISTER came from: transport, peer and, since the number of a listener may be another one after
 * the next start, the address of the listener. Family 0 stands for no listener. */
#define HOP_BYTES_MAX (1 + 2 * (1 + 16 + 2))

static uint8_t *addr_pack(const struct addr *a, uint8_t *out)
{
    size_t ip_bytes = a->family == ADDR_IPV4 ? 4 : a->family == ADDR_IPV6 ? 16 : 0;

    *out++ = a->family;
    memcpy(out, a->ip, ip_bytes);
    out += ip_bytes;
    *out++ = (uint8_t)(a->port >> 8);
    *out++ = (uint8_t)a->port;
    return out;
}

static const uint8_t *addr_unpack(const uint8_t *p, const uint8_t *end, struct addr *ret_addr)
{
    struct addr a = {0};
    size_t ip_bytes;

    if (p == end)
        return NULL;
    a.family = *p++;
    ip_bytes = a.family == ADDR_IPV4 ? 4 : a.family == ADDR_IPV6 ? 16 : 0;
    if ((size_t)(end - p) < ip_bytes + 2)
        return NULL;
    memcpy(a.ip, p, ip_bytes);
    a.port = (uint16_t)(p[ip_bytes] << 8 | p[ip_bytes + 1]);
    *ret_addr = a;
    return p + ip_bytes + 2;
}

static size_t hop_pack(const struct location_table *table, const struct sip_hop *hop,
                       uint8_t out[HOP_BYTES_MAX])
{
    static const struct addr no_listener = {0};
    uint8_t *p = out;

    *p++ = hop->transport;
    p = addr_pack(&hop->addr, p);
    p = addr_pack(hop->listener < table->n_listeners ? &table->listeners[hop->listener].addr : &no_listener,
                  p);
    return (size_t)(p - out);
}

static bool find_listener(const struct location_table *table, uint8_t transport, const struct addr *addr,
                          uint16_t *ret_listener)
{
    for (size_t i = 0; i < table->n_listeners; i++) {
        const struct proxy_listener *l = &table->listeners[i];

        if (l->transport == transport && addr_eq(&l->addr, addr)) {
            *ret_listener = (uint16_t)i;
            return true;
        }
    }
    return false;
}

static bool hop_unpack(const struct location_table *table, struct slice blob, struct sip_hop *ret_hop)
{
    const uint8_t *p = (const uint8_t *)blob.ptr, *end = p + blob.len;
    struct sip_hop hop = {.flow = SIP_FLOW_NONE};
    struct addr listener;

    if (blob.len == 0)
        return false;
    hop.transport = *p++;
    p = addr_unpack(p, end, &hop.addr);
    if (!p || !addr_unpack(p, end, &listener))
        return false;
    if (hop.transport >= SIP_TRANSPORT_COUNT || sip_transport_is_reliable((enum sip_transport)hop.transport))
        return false;
    if (!find_listener(table, hop.transport, &listener, &hop.listener))
        return false;
    *ret_hop = hop;
    return true;
}

static int prepare(struct location_table *t, const char *sql, sqlite3_stmt **ret_stmt)
{
    return sqlite3_prepare_v3(t->db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret_stmt, NULL);
}

static int prepare_all(struct location_table *t)
{
    const struct {
        const char *sql;
        sqlite3_stmt **stmt;
    } all[] = {
        {"BEGIN IMMEDIATE", &t->begin},
        {"COMMIT", &t->commit},
        {"ROLLBACK", &t->rollback},
        {"REPLACE INTO binding (id, aor, uri, params, path, call_id, cseq, q, expires, hop,"
         " updated, reg_id, gruus, by_flow) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, "
         "?14)",
         &t->put},
        {"DELETE FROM binding WHERE id = ?1", &t->remove},
    };
    int rc = SQLITE_OK;

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]) && rc == SQLITE_OK; i++)
        rc = prepare(t, all[i].sql, all[i].stmt);
    return rc;
}

int location_table_open(const char *path, const struct proxy_listener *listeners, size_t n_listeners,
                        struct location_why *ret_why, struct location_table *ret_table)
{
    struct location_table t = {.listeners = listeners, .n_listeners = n_listeners};
    int rc = location_db_open(path, ret_why, &t.db);

    if (rc == 0)
        rc = location_db_migrate(t.db, "location", schema_steps, ret_why);
    if (rc == 0 &&
        (sqlite3_exec(t.db, CACHE_SQL, NULL, NULL, NULL) != SQLITE_OK || prepare_all(&t) != SQLITE_OK)) {
        location_why_set(ret_why, "the tables in %s are not as expected: %s; move it away", path,
                         sqlite3_errmsg(t.db));
        rc = ERR_CORRUPT;
    }
    if (rc != 0) {
        location_table_close(&t);
        return rc;
    }
    *ret_table = t;
    return 0;
}

void location_table_close(struct location_table *table)
{
    sqlite3_stmt *all[] = {table->begin, table->commit, table->rollback, table->put, table->remove};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        sqlite3_finalize(all[i]);
    location_db_close(table->db);
    *table = (struct location_table){0};
}

/* sqlite3_column_text would make a copy of each text to end it with NUL. */
static struct slice column(sqlite3_stmt *stmt, int index)
{
    const char *ptr = sqlite3_column_blob(stmt, index);

    return slice_make(ptr ? ptr : "", (size_t)sqlite3_column_bytes(stmt, index));
}

int location_table_estimate(struct location_table *table, size_t *ret_bindings)
{
    sqlite3_stmt *stmt;
    int rc = sqlite3_prepare_v2(
        table->db, "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size", -1, &stmt, NULL);

    if (rc != SQLITE_OK)
        return rc;
    if (sqlite3_step(stmt) == SQLITE_ROW)
        *ret_bindings = (size_t)sqlite3_column_int64(stmt, 0) / ROW_BYTES;
    return sqlite3_finalize(stmt);
}

static int take_row(struct location_table *table, sqlite3_stmt *stmt, location_table_take_fn *take, void *ctx)
{
    struct location_binding b = {
        .row = (uint64_t)sqlite3_column_int64(stmt, 0),
        .uri = column(stmt, 2),
        .params = column(stmt, 3),
        .path = column(stmt, 4),
        .call_id = column(stmt, 5),
        .cseq = (uint32_t)sqlite3_column_int64(stmt, 6),
        .q_milli = (unsigned)sqlite3_column_int(stmt, 7),
        .expires_s = sqlite3_column_int64(stmt, 8),
        .updated_s = (uint32_t)sqlite3_column_int64(stmt, 10),
        .reg_id = (uint32_t)sqlite3_column_int64(stmt, 11),
        .gruus_s = (uint32_t)sqlite3_column_int64(stmt, 12),
        .by_flow = sqlite3_column_int(stmt, 13) != 0,
    };

    b.has_hop = hop_unpack(table, column(stmt, 9), &b.hop);
    return take(ctx, column(stmt, 1), &b);
}

int location_table_load(struct location_table *table, location_table_take_fn *take, void *ctx)
{
    sqlite3_stmt *stmt;
    int taken = 0, rc;

    (void)sqlite3_exec(table->db, MAP_SQL, NULL, NULL, NULL);
    rc = sqlite3_prepare_v2(table->db,
                            "SELECT id, aor, uri, params, path, call_id, cseq, q, expires, hop,"
                            " updated, reg_id, gruus, by_flow FROM binding ORDER BY id",
                            -1, &stmt, NULL);

    if (rc != SQLITE_OK)
        return rc;
    while (taken == 0 && sqlite3_step(stmt) == SQLITE_ROW)
        taken = take_row(table, stmt, take, ctx);
    rc = sqlite3_finalize(stmt);
    (void)sqlite3_exec(table->db, UNMAP_SQL, NULL, NULL, NULL);
    return taken != 0 ? taken : rc;
}

/* Runs a prepared statement that gives no rows. */
static int run(sqlite3_stmt *stmt)
{
    (void)sqlite3_step(stmt);
    return sqlite3_reset(stmt);
}

int location_table_begin(struct location_table *table)
{
    return run(table->begin);
}

int location_table_commit(struct location_table *table)
{
    return run(table->commit);
}

void location_table_rollback(struct location_table *table)
{
    /* After some errors SQLite has rolled back by itself. */
    if (!sqlite3_get_autocommit(table->db))
        (void)run(table->rollback);
}

static void bind_text(sqlite3_stmt *stmt, int index, struct slice s)
{
    sqlite3_bind_text(stmt, index, s.ptr ? s.ptr : "", (int)s.len, SQLITE_STATIC);
}

/* A connection ends with the process at the latest. */
static bool survives(const struct location_binding *b)
{
    return b->has_hop && !sip_transport_is_reliable((enum sip_transport)b->hop.transport);
}

int location_table_put(struct location_table *table, struct slice aor, const struct location_binding *b)
{
    sqlite3_stmt *stmt = table->put;
    uint8_t hop[HOP_BYTES_MAX];

    assert(b->row != 0);
    sqlite3_bind_int64(stmt, 1, (sqlite3_int64)b->row);
    bind_text(stmt, 2, aor);
    bind_text(stmt, 3, b->uri);
    bind_text(stmt, 4, b->params);
    bind_text(stmt, 5, b->path);
    bind_text(stmt, 6, b->call_id);
    sqlite3_bind_int64(stmt, 7, b->cseq);
    sqlite3_bind_int(stmt, 8, (int)b->q_milli);
    sqlite3_bind_int64(stmt, 9, b->expires_s);
    if (survives(b))
        sqlite3_bind_blob(stmt, 10, hop, (int)hop_pack(table, &b->hop, hop), SQLITE_STATIC);
    else
        sqlite3_bind_null(stmt, 10);
    sqlite3_bind_int64(stmt, 11, b->updated_s);
    sqlite3_bind_int64(stmt, 12, b->reg_id);
    sqlite3_bind_int64(stmt, 13, b->gruus_s);
    sqlite3_bind_int(stmt, 14, b->by_flow);
    return run(stmt);
}

int location_table_remove(struct location_table *table, uint64_t row)
{
    sqlite3_bind_int64(table->remove, 1, (sqlite3_int64)row);
    return run(table->remove);
}

int location_table_remove_all(struct location_table *table)
{
    return sqlite3_exec(table->db, "DELETE FROM binding", NULL, NULL, NULL);
}

int location_table_remove_dead(struct location_table *table, unix_s_t now_s)
{
    sqlite3_stmt *stmt;
    int rc = sqlite3_prepare_v2(
        table->db, "DELETE FROM binding WHERE expires <= ? OR (by_flow AND hop IS NULL)", -1, &stmt, NULL);

    if (rc != SQLITE_OK)
        return rc;
    sqlite3_bind_int64(stmt, 1, now_s);
    (void)sqlite3_step(stmt);
    return sqlite3_finalize(stmt);
}

int location_table_get_secret(struct location_table *table, uint8_t ret_secret[LOCATION_SECRET_BYTES])
{
    sqlite3_stmt *stmt;
    int found = SQLITE_NOTFOUND;
    int rc = sqlite3_prepare_v2(table->db, "SELECT value FROM secret WHERE id = 1", -1, &stmt, NULL);

    if (rc != SQLITE_OK)
        return rc;
    if (sqlite3_step(stmt) == SQLITE_ROW && sqlite3_column_bytes(stmt, 0) == LOCATION_SECRET_BYTES) {
        memcpy(ret_secret, sqlite3_column_blob(stmt, 0), LOCATION_SECRET_BYTES);
        found = SQLITE_OK;
    }
    rc = sqlite3_finalize(stmt);
    return rc != SQLITE_OK ? rc : found;
}

int location_table_put_secret(struct location_table *table, const uint8_t secret[LOCATION_SECRET_BYTES])
{
    sqlite3_stmt *stmt;
    int rc = sqlite3_prepare_v2(table->db, "REPLACE INTO secret (id, value) VALUES (1, ?)", -1, &stmt, NULL);

    if (rc != SQLITE_OK)
        return rc;
    sqlite3_bind_blob(stmt, 1, secret, LOCATION_SECRET_BYTES, SQLITE_STATIC);
    (void)sqlite3_step(stmt);
    return sqlite3_finalize(stmt);
}

bool location_table_has_moved(struct location_table *table)
{
    int moved = 0;

    return sqlite3_file_control(table->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved != 0;
}
