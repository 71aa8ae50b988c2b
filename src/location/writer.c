#include "location/writer.h"
#include "base/log.h"
#include "crypto/crypto.h"
#include <sqlite3.h>

/* ---- What is wrong, said to people ---- */

static const char *remedy(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_FULL:
        return "make room on the disk of the database";
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return "end the other program that keeps the database locked";
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return "make the database and its directory writable for this user";
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return "move the damaged database away: it is written again from memory";
    default:
        return "check the disk of the database";
    }
}

static void note_failure(struct location_writer *w, int rc, size_t jobs)
{
    atomic_fetch_add_explicit(&w->failed, jobs, memory_order_relaxed);
    w->failed_since += jobs;
    if (w->failing == rc)
        return;
    w->failing = rc;
    log_event(LOG_ERROR, "storage.failed", log_cstr("path", w->path),
              log_cstr("error", w->is_open ? sqlite3_errmsg(w->table.db) : w->open_why.text),
              log_i64("code", rc), log_u64("refused", jobs), log_cstr("remedy", remedy(rc)));
}

static void note_success(struct location_writer *w)
{
    atomic_fetch_add_explicit(&w->commits, 1, memory_order_relaxed);
    if (w->failing == SQLITE_OK)
        return;
    w->failing = SQLITE_OK;
    log_event(LOG_NOTICE, "storage.recovered", log_cstr("path", w->path),
              log_u64("refused", w->failed_since));
    w->failed_since = 0;
}

/* One row's fault, not the database's. */
static bool is_row_error(int rc)
{
    rc &= 0xff;
    return rc == SQLITE_CONSTRAINT || rc == SQLITE_TOOBIG || rc == SQLITE_MISMATCH;
}

/* The handle itself is as good as ever. */
static bool is_passing(int rc)
{
    rc &= 0xff;
    return rc == SQLITE_FULL || rc == SQLITE_BUSY || rc == SQLITE_LOCKED || rc == SQLITE_NOMEM;
}

/* ---- Opening again ---- */

struct rewrite {
    struct location_table *table;
    int rc;
};

static void rewrite_record(const struct location_record *record, void *ctx)
{
    struct rewrite *r = ctx;

    for (size_t i = 0; i < record->count && r->rc == SQLITE_OK; i++) {
        struct location_binding b = location_record_get(record, i);

        r->rc = location_table_put(r->table, location_record_aor(record), &b);
    }
}

static int rewrite_rows(struct location_writer *w)
{
    struct rewrite r = {&w->table, location_table_put_secret(&w->table, w->secret)};

    if (r.rc == SQLITE_OK)
        r.rc = location_table_remove_all(&w->table);
    for (unsigned shard = 0; shard < LOCATION_STORE_SHARDS && r.rc == SQLITE_OK; shard++)
        location_store_each(w->store, shard, rewrite_record, &r);
    return r.rc;
}

/* What the database should hold is in memory. */
static int rewrite(struct location_writer *w)
{
    int rc = location_table_begin(&w->table);

    if (rc == SQLITE_OK)
        rc = rewrite_rows(w);
    if (rc == SQLITE_OK)
        rc = location_table_commit(&w->table);
    if (rc != SQLITE_OK)
        return rc;
    w->is_another = false;
    log_event(LOG_WARN, "storage.rewritten", log_cstr("path", w->path),
              log_u64("bindings", location_store_count_bindings(w->store)));
    return SQLITE_OK;
}

static void close_table(struct location_writer *w)
{
    if (w->is_open)
        location_table_close(&w->table);
    w->is_open = false;
}

static int open_again(struct location_writer *w)
{
    uint8_t secret[LOCATION_SECRET_BYTES];
    int rc;

    if (location_table_open(w->path, w->listeners, w->n_listeners, &w->open_why, &w->table) != 0)
        return SQLITE_CANTOPEN;
    w->is_open = true;
    rc = location_table_get_secret(&w->table, secret);
    if (rc == SQLITE_NOTFOUND || (rc == SQLITE_OK && memcmp(secret, w->secret, sizeof(secret)) != 0))
        w->is_another = true;
    return rc == SQLITE_NOTFOUND ? SQLITE_OK : rc;
}

/* An open database that is still the file at its path, and holds what it should. */
static int ensure_open(struct location_writer *w)
{
    int rc = SQLITE_OK;

    if (w->is_open && location_table_has_moved(&w->table))
        close_table(w);
    if (!w->is_open)
        rc = open_again(w);
    if (rc == SQLITE_OK && w->is_another)
        rc = rewrite(w);
    return rc;
}

/* ---- A batch ---- */

static struct location_job *job_of(struct map_node *node)
{
    return map_entry(node, struct location_job, staged);
}

static struct location_job *find_staged(const struct location_writer *w, uint64_t hash, struct slice aor)
{
    for (struct map_node *n = map_first(&w->staged, hash); n; n = map_next(n)) {
        if (slice_eq(job_of(n)->reg.aor, aor))
            return job_of(n);
    }
    return NULL;
}

static bool has_row(const struct location_record *record, uint64_t row)
{
    for (size_t i = 0; record && i < record->count; i++) {
        if (location_record_get(record, i).row == row)
            return true;
    }
    return false;
}

/* Removes what only the old record has, writes what is new or changed in the new one. */
static int write_record(struct location_writer *w, const struct location_record *old,
                        struct location_record *record)
{
    int rc = SQLITE_OK;

    for (size_t i = 0; old && i < old->count && rc == SQLITE_OK; i++) {
        uint64_t row = location_record_get(old, i).row;

        if (!has_row(record, row))
            rc = location_table_remove(&w->table, row);
    }
    for (size_t i = 0; record && i < record->count && rc == SQLITE_OK; i++) {
        struct location_binding b = location_record_get(record, i);

        if (!b.changed)
            continue;
        if (b.row == 0)
            b.row = ++w->last_row;
        rc = location_table_put(&w->table, location_record_aor(record), &b);
        location_record_set_stored(record, i, b.row);
    }
    return rc;
}

/* Applies a job on top of those before it, in the open transaction. */
static int stage(struct location_writer *w, struct location_job *job)
{
    uint64_t hash = hash_siphash64(&w->staged_key, job->reg.aor);
    struct location_job *before = find_staged(w, hash, job->reg.aor);
    const struct location_record *old =
        before ? before->staged_record : location_store_peek(w->store, job->reg.aor);

    if (!location_job_apply(job, old, &w->limits, &job->staged_record))
        return SQLITE_OK;
    if (before) {
        map_remove(&w->staged, &before->staged);
        before->is_staged = false;
    }
    map_insert(&w->staged, &job->staged, hash);
    job->is_staged = job->changes = true;
    return write_record(w, old, job->staged_record);
}

static void publish(struct location_writer *w, struct location_job *job)
{
    if (!job->changes)
        return;
    if (job->staged_record)
        location_store_put(w->store, job->staged_record);
    else
        location_store_remove(w->store, job->reg.aor);
}

static void forget(struct location_job *job)
{
    location_record_free(job->staged_record);
    location_record_free(job->record);
    job->record = NULL;
}

static int write_jobs(struct location_writer *w, struct location_job *first, const struct location_job *end)
{
    int rc = ensure_open(w);

    if (rc == SQLITE_OK)
        rc = location_table_begin(&w->table);
    for (struct location_job *job = first; job != end && rc == SQLITE_OK; job = job->next)
        rc = stage(w, job);
    return rc == SQLITE_OK ? location_table_commit(&w->table) : rc;
}

/* All jobs up to `end`, or none of them. */
static int try_jobs(struct location_writer *w, struct location_job *first, const struct location_job *end)
{
    int rc = write_jobs(w, first, end);

    /* In order: of two records for one address the later stays. */
    for (struct location_job *job = first; job != end; job = job->next) {
        if (job->is_staged)
            map_remove(&w->staged, &job->staged);
        if (rc == SQLITE_OK)
            publish(w, job);
        else
            forget(job);
        job->is_staged = job->changes = false;
        job->staged_record = NULL;
    }
    return rc;
}

/* What a failed transaction leaves behind goes; so does the handle when it may be to blame. */
static void recover(struct location_writer *w, int rc)
{
    if (!w->is_open)
        return;
    location_table_rollback(&w->table);
    if (!is_passing(rc) && !is_row_error(rc))
        close_table(w);
}

static void fail_jobs(struct location_writer *w, int rc, struct location_job *first,
                      const struct location_job *end)
{
    size_t count = 0;

    for (struct location_job *job = first; job != end; job = job->next) {
        location_job_end(job, 500, NULL, "the database did not take it: RFC 3261 section 10.3 step 7");
        count++;
    }
    note_failure(w, rc, count);
    recover(w, rc);
}

static void run_alone(struct location_writer *w, struct location_job *job)
{
    int rc = try_jobs(w, job, job->next);

    if (rc == SQLITE_OK)
        note_success(w);
    else
        fail_jobs(w, rc, job, job->next);
}

void location_writer_run(struct location_writer *w, struct location_job *first,
                         const struct location_job *end)
{
    int rc = try_jobs(w, first, end);

    if (rc == SQLITE_OK) {
        note_success(w);
    } else if (is_row_error(rc) && first->next != end) {
        /* One of them is to blame, and the others need not pay for it. */
        recover(w, rc);
        for (struct location_job *job = first; job != end; job = job->next)
            run_alone(w, job);
    } else {
        fail_jobs(w, rc, first, end);
    }
}

/* ---- Clearing away ---- */

static int remove_dead(struct location_writer *w, const struct location_record *record, unix_s_t now_s)
{
    int rc = SQLITE_OK;

    for (size_t i = 0; i < record->count && rc == SQLITE_OK; i++) {
        struct location_binding b = location_record_get(record, i);

        if (!location_binding_is_live(&b, now_s) || location_binding_is_cut(&b, &w->limits.limits->flows))
            rc = location_table_remove(&w->table, b.row);
    }
    return rc;
}

void location_writer_purge(struct location_writer *w, struct location_record *const *records, size_t count,
                           unix_s_t now_s)
{
    int rc = ensure_open(w);

    if (rc == SQLITE_OK)
        rc = location_table_begin(&w->table);
    for (size_t i = 0; i < count && rc == SQLITE_OK; i++)
        rc = remove_dead(w, records[i], now_s);
    if (rc == SQLITE_OK)
        rc = location_table_commit(&w->table);
    if (rc == SQLITE_OK)
        note_success(w);
    else
        fail_jobs(w, rc, NULL, NULL);
}

/* ---- Start ---- */

struct load {
    struct location_writer *writer;
    struct location_store_fill fill;
    unix_s_t now_s;
    size_t dead;
};

/* No connection is older than the process; those there are have nothing to do with what is loaded. */
static const struct location_flows no_flows;

static int load_binding(void *ctx, struct slice aor, const struct location_binding *binding)
{
    struct load *l = ctx;
    struct location_record *record;
    int rc;

    l->writer->last_row = binding->row;
    if (!location_binding_is_live(binding, l->now_s) || location_binding_is_cut(binding, &no_flows)) {
        l->dead++;
        return 0;
    }
    rc = location_record_new(aor, binding, 1, &record);
    l->fill.skipped += rc == ERR_LIMIT;
    if (rc != 0)
        return rc == ERR_LIMIT ? 0 : rc;
    return location_store_fill_add(&l->fill, record);
}

static int load_secret(struct location_writer *w)
{
    int rc = location_table_get_secret(&w->table, w->secret);

    return rc == SQLITE_NOTFOUND ? location_table_put_secret(&w->table, w->secret) : rc;
}

static int explain(const struct location_writer *w, int rc, struct location_why *ret_why)
{
    if (rc == SQLITE_OK)
        return 0;
    location_why_set(ret_why, "cannot load %s: %s; %s", w->path,
                     rc < 0 ? err_name(rc) : sqlite3_errmsg(w->table.db),
                     rc < 0 ? "give it more memory" : remedy(rc));
    return rc < 0 ? rc : ERR_IO;
}

int location_writer_open(struct location_writer *w, struct location_why *ret_why, size_t *ret_expected)
{
    int rc = location_table_open(w->path, w->listeners, w->n_listeners, ret_why, &w->table);

    if (rc != 0)
        return rc;
    w->is_open = true;
    rc = load_secret(w);
    if (rc == SQLITE_OK)
        rc = location_table_estimate(&w->table, ret_expected);
    return explain(w, rc, ret_why);
}

int location_writer_load(struct location_writer *w, struct location_why *ret_why)
{
    struct load l = {.writer = w, .fill = {.store = w->store}, .now_s = clock_unix_s()};
    int rc = location_table_load(&w->table, load_binding, &l);
    int ended = location_store_fill_end(&l.fill);

    if (rc == SQLITE_OK)
        rc = ended;
    if (l.fill.skipped > 0)
        log_event(LOG_WARN, "storage.rows_skipped", log_cstr("path", w->path),
                  log_u64("count", l.fill.skipped),
                  log_cstr("why", "longer, or more of one user, than is let in"));
    if (rc == SQLITE_OK && l.dead > 0)
        rc = location_table_remove_dead(&w->table, l.now_s);
    return explain(w, rc, ret_why);
}

void location_writer_close(struct location_writer *w)
{
    close_table(w);
}
