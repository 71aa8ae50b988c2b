#include "commits.h"
#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

/* As src/location has them: db.c and table.c. */
static const char set_up_sql[] =
    "PRAGMA page_size = 1024; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
    "PRAGMA wal_autocheckpoint = 65536; PRAGMA cache_size = -32768;"
    "CREATE TABLE binding (id INTEGER PRIMARY KEY, aor TEXT NOT NULL, uri TEXT NOT NULL,"
    " params TEXT NOT NULL, path TEXT NOT NULL, call_id TEXT NOT NULL,"
    " cseq INTEGER NOT NULL, q INTEGER NOT NULL, expires INTEGER NOT NULL, hop BLOB,"
    " updated INTEGER NOT NULL, reg_id INTEGER NOT NULL, gruus INTEGER NOT NULL,"
    " by_flow INTEGER NOT NULL)";
static const char put_sql[] =
    "REPLACE INTO binding VALUES (?1, ?2, ?3, '', '', ?4, ?5, 1000, ?6, ?7, ?8, 0, 0, 0)";

#define HOP_BYTES  15 /* transport, and two addresses with their ports */
#define LOAD_BATCH 10000
#define NOW_S      1800000000

struct commits {
    const struct commits_opts *opts;
    sqlite3 *db;
    sqlite3_stmt *put;
    uint64_t lot;
    uint64_t serial;
};

static double seconds_of(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int put_row(struct commits *c, size_t row)
{
    char aor[64], uri[64], call_id[64], hop[HOP_BYTES] = {1};
    snprintf(aor, sizeof(aor), "sip:u%07zu@example.com", row);
    snprintf(uri, sizeof(uri), "sip:u%07zu@127.0.0.1:5072", row);
    snprintf(call_id, sizeof(call_id), "%08zx-%08llx@bench.example", row, (unsigned long long)c->serial);
    sqlite3_bind_int64(c->put, 1, (sqlite3_int64)row + 1);
    sqlite3_bind_text(c->put, 2, aor, -1, SQLITE_STATIC);
    sqlite3_bind_text(c->put, 3, uri, -1, SQLITE_STATIC);
    sqlite3_bind_text(c->put, 4, call_id, -1, SQLITE_STATIC);
    sqlite3_bind_int64(c->put, 5, (sqlite3_int64)(c->serial % 100000));
    sqlite3_bind_int64(c->put, 6, NOW_S + 3600);
    sqlite3_bind_blob(c->put, 7, hop, sizeof(hop), SQLITE_STATIC);
    sqlite3_bind_int64(c->put, 8, NOW_S);
    c->serial++;
    (void)sqlite3_step(c->put);
    return sqlite3_reset(c->put);
}

/* splitmix64 */
static size_t draw(struct commits *c)
{
    uint64_t z = c->lot += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (size_t)((z ^ (z >> 31)) % c->opts->rows);
}

static int fill(struct commits *c)
{
    int rc = sqlite3_exec(c->db, "BEGIN", NULL, NULL, NULL);
    for (size_t row = 0; row < c->opts->rows && rc == SQLITE_OK; row++) {
        if (row % LOAD_BATCH == LOAD_BATCH - 1)
            rc = sqlite3_exec(c->db, "COMMIT; BEGIN", NULL, NULL, NULL);
        if (rc == SQLITE_OK)
            rc = put_row(c, row);
    }
    return rc == SQLITE_OK ? sqlite3_exec(c->db, "COMMIT; PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL)
                           : rc;
}

static int commit_batch(struct commits *c)
{
    int rc = sqlite3_exec(c->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    for (size_t i = 0; i < c->opts->batch && rc == SQLITE_OK; i++)
        rc = put_row(c, draw(c));
    return rc == SQLITE_OK ? sqlite3_exec(c->db, "COMMIT", NULL, NULL, NULL) : rc;
}

static int measure(struct commits *c)
{
    double began = seconds_of(CLOCK_MONOTONIC), cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID), spent = 0;
    uint64_t commits = 0, rows;
    int rc = SQLITE_OK;
    while (rc == SQLITE_OK && spent < c->opts->seconds && !*c->opts->stop) {
        rc = commit_batch(c);
        commits++;
        spent = seconds_of(CLOCK_MONOTONIC) - began;
    }
    if (rc != SQLITE_OK)
        return rc;
    cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    rows = commits * c->opts->batch;
    printf("{\n  \"seconds\": %.3f,\n  \"commits\": %llu,\n  \"rows\": %llu,\n  \"rate\": %.1f,\n"
           "  \"us_per_row\": %.3f,\n  \"cpu_us_per_row\": %.3f\n}\n",
           spent, (unsigned long long)commits, (unsigned long long)rows, (double)rows / spent,
           spent * 1e6 / (double)rows, cpu * 1e6 / (double)rows);
    return SQLITE_OK;
}

static int prepare(struct commits *c)
{
    int rc = sqlite3_open_v2(c->opts->path, &c->db,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(c->db, set_up_sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? sqlite3_prepare_v3(c->db, put_sql, -1, SQLITE_PREPARE_PERSISTENT, &c->put, NULL)
                           : rc;
}

int commits_run(const struct commits_opts *opts)
{
    struct commits c = {.opts = opts};
    int rc = prepare(&c);
    if (rc == SQLITE_OK)
        rc = fill(&c);
    if (rc == SQLITE_OK)
        rc = measure(&c);
    if (rc != SQLITE_OK)
        fprintf(stderr, "viaduct-bench: %s: %s; is it there already?\n", opts->path, sqlite3_errmsg(c.db));
    sqlite3_finalize(c.put);
    sqlite3_close(c.db);
    return rc == SQLITE_OK ? EX_OK : EX_IOERR;
}
