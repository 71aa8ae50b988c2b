/* Bindings survive; commits are shared; failures refuse, are told, and pass. RFC 3261 section 10.3 step 7. */
#include "support.h"
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static struct location_binding first_binding(struct fixture *f, struct arena *arena, const char *aor)
{
    const struct location_record *record;

    assert_int_equal(
        location_store_get(location_storage_store(f->storage), slice_from_cstr(aor), arena, &record), 0);
    return location_record_get(record, 0);
}

/* ---- Keeping ---- */

static void test_a_binding_survives_with_all_its_parts(void **state)
{
    struct fixture *f = *state;
    const struct sip_hop udp = {.addr = {.family = ADDR_IPV6, .ip = {0x20, 1, 0xd, 0xb8}, .port = 6000},
                                .flow = 7,
                                .listener = 1,
                                .transport = SIP_TRANSPORT_UDP};
    const struct sip_hop tcp = {.addr = {.family = ADDR_IPV4, .ip = {192, 0, 2, 7}, .port = 6001},
                                .flow = 8,
                                .listener = 0,
                                .transport = SIP_TRANSPORT_TCP};
    struct arena_pool pool;
    struct arena arena;
    struct location_binding b;
    unix_s_t now_s = clock_unix_s();

    arena_pool_init(&pool, 1 << 20);
    arena_init(&arena, &pool);
    fixture_open(f);
    assert_int_equal(
        fixture_register(f, &(struct ask){"udp", "sip:u@h", "call", 4294967295u, 600, udp, now_s}), 200);
    assert_int_equal(fixture_register(f, &(struct ask){"tcp", "sip:t@h", "call", 1, 600, tcp, now_s}), 200);
    fixture_reopen(f);
    b = first_binding(f, &arena, "sip:udp@example.com");
    assert_true(slice_eq(b.uri, SLICE("sip:u@h")));
    assert_true(slice_eq(b.params, SLICE(";x=1")));
    assert_true(slice_eq(b.path, SLICE("<sip:p;lr>")));
    assert_true(slice_eq(b.call_id, SLICE("call")));
    assert_int_equal(b.cseq, 4294967295u);
    assert_int_equal(b.q_milli, 700);
    assert_int_equal(b.expires_s, now_s + 600);
    assert_true(b.has_hop);
    assert_true(addr_eq(&b.hop.addr, &udp.addr));
    assert_int_equal(b.hop.transport, SIP_TRANSPORT_UDP);
    assert_int_equal(b.hop.listener, 1);
    assert_int_equal(b.hop.flow, SIP_FLOW_NONE);
    b = first_binding(f, &arena, "sip:tcp@example.com");
    assert_false(b.has_hop); /* its connection is gone */

    /* The listener is found by its address, whatever its number is now. */
    f->opts.listeners = &fixture_listeners[1];
    f->opts.n_listeners = 1;
    fixture_reopen(f);
    b = first_binding(f, &arena, "sip:udp@example.com");
    assert_true(b.has_hop);
    assert_int_equal(b.hop.listener, 0);
    f->opts.n_listeners = 0;
    fixture_reopen(f);
    assert_false(first_binding(f, &arena, "sip:udp@example.com").has_hop);
    arena_done(&arena);
    arena_pool_done(&pool);
}

static void test_updates_and_removals_survive(void **state)
{
    struct fixture *f = *state;

    fixture_open(f);
    assert_int_equal(fixture_register(f, &(struct ask){.user = "a", .cseq = 1, .expires_s = 600}), 200);
    assert_int_equal(fixture_register(f, &(struct ask){.user = "b", .cseq = 1, .expires_s = 600}), 200);
    assert_int_equal(fixture_register(f, &(struct ask){.user = "b", .cseq = 2, .expires_s = 600}), 200);
    assert_int_equal(fixture_register(f, &(struct ask){.user = "a", .cseq = 2, .expires_s = 0}), 200);
    assert_int_equal(
        fixture_register(f, &(struct ask){.user = "b", .uri = "sip:2@h", .cseq = 3, .expires_s = 600}), 200);
    fixture_reopen(f);
    assert_int_equal(fixture_cseq(f, "a"), 0);
    assert_int_equal(fixture_cseq(f, "b"), 2);
    assert_int_equal(location_store_count_bindings(location_storage_store(f->storage)), 2);
    /* Rows that are there already are written again, not twice. */
    assert_int_equal(fixture_register(f, &(struct ask){.user = "b", .cseq = 4, .expires_s = 600}), 200);
    assert_int_equal(fixture_register(f, &(struct ask){.user = "c", .cseq = 1, .expires_s = 600}), 200);
    fixture_reopen(f);
    assert_int_equal(fixture_cseq(f, "b"), 4);
    assert_int_equal(location_store_count_bindings(location_storage_store(f->storage)), 3);
}

static void test_the_dead_are_not_loaded(void **state)
{
    struct fixture *f = *state;

    fixture_open(f);
    assert_int_equal(
        fixture_register(
            f, &(struct ask){.user = "a", .cseq = 1, .expires_s = 60, .now_s = clock_unix_s() - 60}),
        200);
    assert_int_equal(fixture_register(f, &(struct ask){.user = "b", .cseq = 1, .expires_s = 60}), 200);
    fixture_reopen(f);
    assert_int_equal(fixture_cseq(f, "a"), 0);
    assert_int_equal(fixture_cseq(f, "b"), 1);
}

/* What is lost is lost after a restart too; but not when it was registered again before the loss was written. */
static void lose(struct fixture *f, uint32_t cseq)
{
    struct location_job *job = job_of(&(struct ask){.user = "a", .cseq = cseq});

    job->is_loss = true;
    assert_int_equal(location_storage_submit(f->storage, job), LOCATION_LATER);
    location_job_free(fixture_take(f));
}

static void test_a_loss_is_committed(void **state)
{
    struct fixture *f = *state;

    fixture_open(f);
    assert_int_equal(fixture_register(f, &(struct ask){.user = "a", .cseq = 2, .expires_s = 600}), 200);
    lose(f, 1);
    assert_int_equal(fixture_cseq(f, "a"), 2);
    lose(f, 2);
    assert_int_equal(fixture_cseq(f, "a"), 0);
    fixture_reopen(f);
    assert_int_equal(fixture_cseq(f, "a"), 0);
}

static void wait_for_ticks(struct fixture *f, unsigned ticks)
{
    pthread_mutex_lock(&f->lock);
    for (unsigned until = f->ticks + ticks; f->ticks < until;)
        pthread_cond_wait(&f->changed, &f->lock);
    pthread_mutex_unlock(&f->lock);
}

static void register_dead_and_living(struct fixture *f)
{
    unix_s_t past_s = clock_unix_s() - 100;

    assert_int_equal(
        fixture_register(f, &(struct ask){.user = "a", .cseq = 1, .expires_s = 90, .now_s = past_s}), 200);
    assert_int_equal(
        fixture_register(f, &(struct ask){.user = "b", .cseq = 1, .expires_s = 90, .now_s = past_s}), 200);
    assert_int_equal(
        fixture_register(
            f, &(struct ask){.user = "b", .uri = "sip:2@h", .cseq = 2, .expires_s = 900, .now_s = past_s}),
        200);
}

static void test_the_dead_are_cleared_away(void **state)
{
    struct fixture *f = *state;

    f->opts.tick_ms = 1;
    fixture_open(f);
    register_dead_and_living(f);
    wait_for_ticks(f, 130);
    assert_int_equal(location_store_count_bindings(location_storage_store(f->storage)), 1);
    assert_int_equal(fixture_cseq(f, "b"), 2);
    assert_in_range(location_storage_get_stats(f->storage).purged, 1, 2);
    fixture_close(f);
    run_sql(f->path,
            "CREATE TABLE only_one (x CHECK (x = 1)); INSERT INTO only_one SELECT count(*) FROM binding");
}

static void test_in_memory_a_job_is_done_at_once(void **state)
{
    struct fixture *f = *state;
    struct location_job *job = job_of(&(struct ask){.user = "a", .cseq = 1, .expires_s = 600});
    struct hash_key secret;

    f->opts.path = NULL;
    f->opts.tick_ms = 1;
    fixture_open(f);
    secret = location_storage_secret(f->storage);
    assert_int_equal(location_storage_submit(f->storage, job), LOCATION_DONE);
    assert_int_equal(job->status, 200);
    assert_int_equal(job->record->count, 1);
    location_job_free(job);
    assert_int_equal(fixture_cseq(f, "a"), 1);
    assert_int_equal(fixture_register(f, &(struct ask){.user = "a", .cseq = 1, .expires_s = 600}), 500);
    assert_int_equal(fixture_register(f, &(struct ask){.user = "a", .cseq = 2, .expires_s = 0}), 200);
    assert_int_equal(fixture_cseq(f, "a"), 0);
    register_dead_and_living(f);
    wait_for_ticks(f, 130);
    assert_int_equal(location_store_count_bindings(location_storage_store(f->storage)), 1);
    fixture_reopen(f);
    assert_int_equal(fixture_cseq(f, "b"), 0);
    assert_true(location_storage_secret(f->storage).k0 != secret.k0);
}

static void test_the_secret_stays_the_same(void **state)
{
    struct fixture *f = *state;
    struct hash_key first, second;

    fixture_open(f);
    first = location_storage_secret(f->storage);
    assert_true(first.k0 != 0 || first.k1 != 0);
    fixture_reopen(f);
    second = location_storage_secret(f->storage);
    assert_memory_equal(&first, &second, sizeof(first));
}

static void test_files_are_for_their_owner_alone(void **state)
{
    struct fixture *f = *state;
    char dir[128];
    struct stat st;
    mode_t before = umask(0);

    fixture_open(f);
    umask(before);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    snprintf(dir, sizeof(dir), "%s/state", f->dir);
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
}

/* ---- Sharing commits ---- */

static void test_jobs_of_one_batch_see_each_other_and_share_a_commit(void **state)
{
    struct fixture *f = *state;
    const struct ask asks[] = {{.user = "a", .cseq = 1, .expires_s = 600},
                               {.user = "a", .cseq = 1, .expires_s = 600}, /* not higher: 500 */
                               {.user = "a", .cseq = 2, .expires_s = 600},
                               {.user = "b", .cseq = 1, .expires_s = 600},
                               {.user = "b", .cseq = 2, .expires_s = 0},
                               {.user = "a", .uri = "sip:2@h", .cseq = 1, .expires_s = 600}};
    const unsigned status[] = {200, 500, 200, 200, 200, 200}, bindings[] = {1, 0, 1, 1, 0, 2};
    uint64_t commits;

    fixture_open(f);
    fixture_hold(f);
    assert_int_equal(
        location_storage_submit(f->storage, job_of(&(struct ask){.user = "z", .cseq = 1, .expires_s = 60})),
        LOCATION_LATER);
    fixture_wait_held(f);
    commits = location_storage_get_stats(f->storage).commits;
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(location_storage_submit(f->storage, job_of(&asks[i])), LOCATION_LATER);
    assert_int_equal(location_storage_pending(f->storage), 7);
    fixture_release(f);
    location_job_free(fixture_take(f));
    for (size_t i = 0; i < 6; i++) {
        struct location_job *job = fixture_take(f);

        assert_int_equal(job->status, status[i]);
        assert_int_equal(job->record ? job->record->count : 0, bindings[i]);
        location_job_free(job);
    }
    assert_int_equal(location_storage_get_stats(f->storage).commits, commits + 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fixture_cseq(f, "a"), 2);
        assert_int_equal(fixture_cseq(f, "b"), 0);
        assert_int_equal(location_store_count_bindings(location_storage_store(f->storage)), 3);
        fixture_reopen(f);
    }
}

static void test_a_full_queue_refuses(void **state)
{
    struct fixture *f = *state;
    struct location_job *job = job_of(&(struct ask){.user = "c", .cseq = 1, .expires_s = 60});

    f->opts.jobs_max = 2;
    fixture_open(f);
    fixture_hold(f);
    assert_int_equal(
        location_storage_submit(f->storage, job_of(&(struct ask){.user = "a", .cseq = 1, .expires_s = 60})),
        LOCATION_LATER);
    fixture_wait_held(f);
    assert_int_equal(
        location_storage_submit(f->storage, job_of(&(struct ask){.user = "b", .cseq = 1, .expires_s = 60})),
        LOCATION_LATER);
    assert_int_equal(location_storage_submit(f->storage, job), LOCATION_FULL);
    fixture_release(f);
    location_job_free(fixture_take(f));
    location_job_free(fixture_take(f));
    while (location_storage_pending(f->storage) > 0)
        sched_yield();
    assert_int_equal(location_storage_submit(f->storage, job), LOCATION_LATER);
    location_job_free(fixture_take(f));
}

static void test_the_budget_of_bindings_is_kept(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 2; i++) {
        f->opts.bindings_max = 1;
        fixture_open(f);
        assert_int_equal(fixture_register(f, &(struct ask){.user = "a", .cseq = 1, .expires_s = 60}), 200);
        assert_int_equal(fixture_register(f, &(struct ask){.user = "b", .cseq = 1, .expires_s = 60}), 503);
        assert_int_equal(fixture_register(f, &(struct ask){.user = "a", .cseq = 2, .expires_s = 60}), 200);
        assert_int_equal(fixture_register(f, &(struct ask){.user = "a", .cseq = 3, .expires_s = 0}), 200);
        assert_int_equal(fixture_register(f, &(struct ask){.user = "b", .cseq = 1, .expires_s = 60}), 200);
        fixture_close(f);
        f->opts.path = NULL; /* the same in memory */
    }
}

#define WORKERS 4
#define ROUNDS  300

struct worker {
    struct fixture *f;
    unsigned number;
    sem_t completed;
};

static void complete_to_worker(void *ctx, struct location_job *job)
{
    struct worker *workers = ctx;

    sem_post(&workers[job->worker].completed);
    location_job_free(job);
}

static void *work(void *ctx)
{
    struct worker *w = ctx;
    char user[16];

    for (uint32_t i = 0; i < ROUNDS; i++) {
        struct location_job *job;

        snprintf(user, sizeof(user), "w%u-%u", w->number, i % 10);
        job = job_of(&(struct ask){.user = user, .cseq = i + 1, .expires_s = 600});
        job->worker = (uint8_t)w->number;
        if (location_storage_submit(w->f->storage, job) != LOCATION_LATER)
            return w;
        if (i % 8 == 7) {
            for (int k = 0; k < 8; k++)
                sem_wait(&w->completed);
        }
    }
    return NULL;
}

static void test_many_workers_share_commits(void **state)
{
    struct fixture *f = *state;
    struct worker workers[WORKERS];
    pthread_t threads[WORKERS];
    struct location_storage_stats stats;
    char user[16];
    void *failed;

    f->opts.complete = complete_to_worker;
    f->opts.ctx = workers;
    f->opts.tick = NULL;
    fixture_open(f);
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){.f = f, .number = i};
        sem_init(&workers[i].completed, 0, 0);
    }
    for (unsigned i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    for (unsigned i = 0; i < WORKERS; i++) {
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    while (location_storage_pending(f->storage) > 0)
        sched_yield();
    stats = location_storage_get_stats(f->storage);
    assert_int_equal(stats.jobs, WORKERS * ROUNDS);
    assert_int_equal(stats.failed, 0);
    assert_in_range(stats.commits, 1, WORKERS * ROUNDS / 2);
    fixture_reopen(f);
    for (unsigned i = 0; i < WORKERS; i++) {
        for (unsigned k = 0; k < 10; k++) {
            snprintf(user, sizeof(user), "w%u-%u", i, k);
            assert_int_equal(fixture_cseq(f, user), ROUNDS - 10 + k + 1);
        }
        sem_destroy(&workers[i].completed);
    }
}

/* ---- Failing ---- */

static void test_one_bad_row_does_not_harm_the_others_of_its_batch(void **state)
{
    struct fixture *f = *state;
    const char *users[] = {"a", "evil", "b", "evil", "a"};
    const unsigned status[] = {200, 500, 200, 500, 200};

    fixture_open(f);
    run_sql(f->path, "CREATE TRIGGER t BEFORE INSERT ON binding WHEN NEW.aor LIKE '%evil%' BEGIN SELECT "
                     "RAISE(ABORT, 'no'); END");
    fixture_hold(f);
    assert_int_equal(
        location_storage_submit(f->storage, job_of(&(struct ask){.user = "z", .cseq = 1, .expires_s = 60})),
        LOCATION_LATER);
    fixture_wait_held(f);
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(
            location_storage_submit(f->storage,
                                    job_of(&(struct ask){.user = users[i], .cseq = i + 1, .expires_s = 60})),
            LOCATION_LATER);
    fixture_release(f);
    location_job_free(fixture_take(f));
    for (size_t i = 0; i < 5; i++) {
        struct location_job *job = fixture_take(f);

        assert_int_equal(job->status, status[i]);
        location_job_free(job);
    }
    assert_true(fixture_has_logged(f, "storage.failed"));
    assert_int_equal(location_storage_get_stats(f->storage).failed, 2);
    assert_int_equal(fixture_cseq(f, "evil"), 0);
    fixture_reopen(f);
    assert_int_equal(fixture_cseq(f, "a"), 5);
    assert_int_equal(fixture_cseq(f, "b"), 3);
    assert_int_equal(fixture_cseq(f, "evil"), 0);
}

static void test_a_locked_database_refuses_and_recovers(void **state)
{
    struct fixture *f = *state;
    sqlite3 *other;

    fixture_open(f);
    assert_int_equal(fixture_register(f, &(struct ask){.user = "a", .cseq = 1, .expires_s = 60}), 200);
    assert_int_equal(sqlite3_open(f->path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(fixture_register(f, &(struct ask){.user = "a", .cseq = 2, .expires_s = 60}), 500);
    assert_int_equal(fixture_cseq(f, "a"), 1);
    assert_true(fixture_has_logged(f, "end the other program"));
    assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    /* The same request again: nothing of it is left behind. */
    assert_int_equal(fixture_register(f, &(struct ask){.user = "a", .cseq = 2, .expires_s = 60}), 200);
    assert_true(fixture_has_logged(f, "storage.recovered"));
}

/* The limit on the size of files stands for a full disk; it is set in a process of its own. */
static void set_file_limit(rlim_t bytes)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static int fill_the_disk(struct fixture *f)
{
    const struct ask before = {.user = "a", .cseq = 1, .expires_s = 60},
                     full = {.user = "a", .cseq = 2, .expires_s = 60};
    struct rlimit limit;

    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &limit);
    fixture_open(f);
    if (fixture_register(f, &before) != 200)
        return 1;
    set_file_limit(0);
    for (int i = 0; i < 3; i++) {
        if (fixture_register(f, &full) != 500 || fixture_cseq(f, "a") != 1)
            return 2;
    }
    set_file_limit(limit.rlim_max);
    if (fixture_register(f, &full) != 200 || fixture_cseq(f, "a") != 2)
        return 3;
    if (!fixture_has_logged(f, "storage.failed") || !fixture_has_logged(f, "storage.recovered"))
        return 4;
    return 0;
}

static void test_a_full_disk_refuses_and_recovers(void **state)
{
    struct fixture *f = *state;
    int status;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0)
        _exit(fill_the_disk(f));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    fixture_open(f);
    assert_int_equal(fixture_cseq(f, "a"), 2);
}

static void remove_files(const struct fixture *f)
{
    static const char *const endings[] = {"", "-wal", "-shm"};
    char path[160];

    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "%s%s", f->path, endings[i]);
        unlink(path);
    }
}

static void test_a_deleted_database_is_written_again_from_memory(void **state)
{
    struct fixture *f = *state;
    struct hash_key secret;

    fixture_open(f);
    secret = location_storage_secret(f->storage);
    assert_int_equal(fixture_register(f, &(struct ask){.user = "a", .cseq = 1, .expires_s = 60}), 200);
    remove_files(f);
    assert_int_equal(fixture_register(f, &(struct ask){.user = "b", .cseq = 1, .expires_s = 60}), 200);
    assert_true(fixture_has_logged(f, "storage.rewritten"));
    fixture_reopen(f);
    assert_int_equal(fixture_cseq(f, "a"), 1);
    assert_int_equal(fixture_cseq(f, "b"), 1);
    assert_true(location_storage_secret(f->storage).k1 == secret.k1);
}

static void test_an_unwritable_path_refuses_and_recovers(void **state)
{
    struct fixture *f = *state;

    fixture_open(f);
    assert_int_equal(fixture_register(f, &(struct ask){.user = "a", .cseq = 1, .expires_s = 60}), 200);
    remove_files(f);
    assert_int_equal(mkdir(f->path, 0700), 0); /* a directory is in the way: even root cannot open it */
    for (int i = 0; i < 2; i++)
        assert_int_equal(fixture_register(f, &(struct ask){.user = "b", .cseq = 1, .expires_s = 60}), 500);
    assert_true(fixture_has_logged(f, "writable"));
    assert_int_equal(fixture_cseq(f, "a"), 1);
    assert_int_equal(rmdir(f->path), 0);
    assert_int_equal(fixture_register(f, &(struct ask){.user = "b", .cseq = 1, .expires_s = 60}), 200);
    fixture_reopen(f);
    assert_int_equal(fixture_cseq(f, "a"), 1);
    assert_int_equal(fixture_cseq(f, "b"), 1);
}

static void test_a_failure_is_logged_once(void **state)
{
    struct fixture *f = *state;
    const char *first;

    fixture_open(f);
    remove_files(f);
    assert_int_equal(mkdir(f->path, 0700), 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(fixture_register(f, &(struct ask){.user = "b", .cseq = 1, .expires_s = 60}), 500);
    first = strstr(f->log, "storage.failed");
    assert_non_null(first);
    assert_null(strstr(first + 1, "storage.failed"));
    assert_int_equal(rmdir(f->path), 0);
}

/* ---- Starting ---- */

static void test_two_processes_cannot_keep_bindings_in_one_place(void **state)
{
    struct fixture *f = *state;
    struct location_storage *second;
    struct location_why why;

    fixture_open(f);
    assert_int_equal(location_storage_new(&f->opts, &why, &second), ERR_EXISTS);
    assert_non_null(strstr(why.text, "in use"));
    fixture_reopen(f);
}

/* As the first version made it, with a row in it. */
static const char first_version[] =
    "PRAGMA application_id = 1449746788;"
    "CREATE TABLE schema_version (part TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID;"
    "INSERT INTO schema_version VALUES ('location', 1);"
    "CREATE TABLE binding (id INTEGER PRIMARY KEY, aor TEXT NOT NULL, uri TEXT NOT NULL, params TEXT NOT "
    "NULL,"
    " path TEXT NOT NULL, call_id TEXT NOT NULL, cseq INTEGER NOT NULL, q INTEGER NOT NULL, expires INTEGER "
    "NOT NULL,"
    " hop BLOB);"
    "CREATE TABLE secret (id INTEGER PRIMARY KEY CHECK (id = 1), value BLOB NOT NULL CHECK (length(value) = "
    "16));"
    "INSERT INTO secret VALUES (1, x'000102030405060708090a0b0c0d0e0f');"
    "INSERT INTO binding VALUES (7, 'sip:old@example.com', 'sip:o@h', ';reg-id=1', '', 'call', 5, 1000, "
    "4000000000, NULL);";

static void test_an_older_database_is_brought_up_to_date(void **state)
{
    struct fixture *f = *state;
    struct arena_pool pool;
    struct arena arena;
    struct location_binding b;
    char command[160];

    arena_pool_init(&pool, 1 << 20);
    arena_init(&arena, &pool);
    snprintf(command, sizeof(command), "mkdir -p '%s/state'", f->dir);
    assert_int_equal(system(command), 0);
    run_sql(f->path, first_version);
    fixture_open(f);
    b = first_binding(f, &arena, "sip:old@example.com");
    assert_true(slice_eq(b.uri, SLICE("sip:o@h")));
    assert_int_equal(b.cseq, 5);
    assert_int_equal(b.reg_id, 0);
    assert_false(b.by_flow);
    assert_int_equal(
        fixture_register(
            f,
            &(struct ask){.user = "old", .uri = "sip:o@h", .call_id = "call", .cseq = 6, .expires_s = 600}),
        200);
    fixture_reopen(f);
    assert_int_equal(fixture_cseq(f, "old"), 6);
    arena_done(&arena);
    arena_pool_done(&pool);
}

/* RFC 5626 section 7: with the process all its connections are gone, and who could be reached by one alone with it. */
static void test_who_was_reached_by_a_connection_is_gone_after_a_restart(void **state)
{
    struct fixture *f = *state;
    const struct location_contact contact = {.uri = SLICE("sip:c@h"),
                                             .params = SLICE(";+sip.instance=\"<urn:uuid:1>\""),
                                             .requested_s = 600,
                                             .has_requested = true,
                                             .reg_id = 1,
                                             .by_flow = true};
    struct location_register reg = {.aor = SLICE("sip:flow@example.com"),
                                    .call_id = SLICE("c"),
                                    .cseq = 1,
                                    .contacts = &contact,
                                    .n_contacts = 1};
    static const uint8_t transports[] = {SIP_TRANSPORT_TCP, SIP_TRANSPORT_UDP};

    for (size_t i = 0; i < 2; i++) {
        struct location_job *job;

        reg.hop = (struct sip_hop){.addr = {.family = ADDR_IPV4, .ip = {192, 0, 2, 7}, .port = 6001},
                                   .flow = i == 0 ? 8 : 0,
                                   .listener = (uint16_t)i,
                                   .transport = transports[i]};
        reg.cseq++;
        fixture_open(f);
        assert_int_equal(location_job_new(&reg, clock_unix_s(), &job), 0);
        assert_int_equal(location_storage_submit(f->storage, job), LOCATION_LATER);
        job = fixture_take(f);
        assert_int_equal(job->status, 200);
        location_job_free(job);
        fixture_reopen(f);
        assert_int_equal(location_store_count_bindings(location_storage_store(f->storage)), i);
        fixture_close(f);
    }
}

static void test_a_newer_database_is_left_alone(void **state)
{
    struct fixture *f = *state;
    struct location_why why;

    fixture_open(f);
    fixture_close(f);
    run_sql(f->path, "UPDATE schema_version SET version = 99");
    assert_int_equal(fixture_try_open(f, &why), ERR_UNSUPPORTED);
    assert_non_null(strstr(why.text, "newer"));
}

static void test_something_else_at_the_path_is_left_alone(void **state)
{
    struct fixture *f = *state;
    struct location_why why;
    FILE *file;

    snprintf(f->path, sizeof(f->path), "%s/x.db", f->dir);
    run_sql(f->path, "CREATE TABLE somebody_elses (x)");
    assert_int_equal(fixture_try_open(f, &why), ERR_CORRUPT);
    file = fopen(f->path, "w");
    assert_non_null(file);
    for (int i = 0; i < 1000; i++)
        fputs("this is no database\n", file);
    fclose(file);
    assert_int_equal(fixture_try_open(f, &why), ERR_CORRUPT);
    assert_non_null(strstr(why.text, "not one of ours"));
    f->opts.path = "";
    assert_int_equal(fixture_try_open(f, &why), ERR_IO);
    f->opts.path = "/dev/null/x.db";
    assert_int_equal(fixture_try_open(f, &why), ERR_IO);
}

static void test_no_memory_at_the_start_leaks_nothing(void **state)
{
    struct fixture *f = *state;
    struct location_why why;
    int rc = ERR_NOMEM;

    fixture_open(f);
    assert_int_equal(fixture_register(f, &(struct ask){.user = "a", .cseq = 1, .expires_s = 60}), 200);
    fixture_close(f);
    for (int64_t n = 0; rc != 0; n++) {
        mem_fail_after(n);
        rc = fixture_try_open(f, &why);
        mem_fail_after(-1);
        if (rc != 0) {
            assert_int_equal(rc, ERR_NOMEM);
            assert_int_equal(mem_held_bytes(), 0);
        }
    }
    assert_int_equal(fixture_cseq(f, "a"), 1);
}

/* ---- Crashing ---- */

#define CRASHES     15
#define CRASH_USERS 200

struct crash {
    struct fixture *f;
    uint32_t first_cseq; /* higher with each crash */
    int promised;        /* pipe: submitted */
    int answered;        /* pipe: completed with 200 */
};

struct note {
    uint32_t user, cseq;
};

static void write_note(int fd, uint32_t user, uint32_t cseq)
{
    const struct note note = {user, cseq};

    if (write(fd, &note, sizeof(note)) != sizeof(note))
        _exit(9);
}

static void complete_crash(void *ctx, struct location_job *job)
{
    const struct crash *c = ctx;

    if (job->status == 200)
        write_note(c->answered, (uint32_t)job->ticket, job->reg.cseq);
    location_job_free(job);
}

/* A storm of REGISTERs until killed. */
static void storm(struct crash *c)
{
    char user[16];

    c->f->opts.complete = complete_crash;
    c->f->opts.ctx = c;
    c->f->opts.tick = NULL;
    fixture_open(c->f);
    for (uint32_t i = 0;; i++) {
        uint32_t number = i * 7919 % CRASH_USERS, cseq = c->first_cseq + i;
        struct location_job *job;

        snprintf(user, sizeof(user), "u%u", number);
        job = job_of(&(struct ask){.user = user, .cseq = cseq, .expires_s = 7200});
        job->ticket = number;
        write_note(c->promised, number, cseq);
        while (location_storage_pending(c->f->storage) > 500)
            sched_yield();
        if (location_storage_submit(c->f->storage, job) != LOCATION_LATER)
            _exit(8);
    }
}

static void read_notes(int fd, uint32_t highest[CRASH_USERS], size_t *count)
{
    struct note note;

    while (read(fd, &note, sizeof(note)) == sizeof(note)) {
        if (note.cseq > highest[note.user])
            highest[note.user] = note.cseq;
        (*count)++;
    }
}

struct reader {
    int fd;
    uint32_t *highest;
    size_t count;
};

static void *read_in_thread(void *ctx)
{
    struct reader *r = ctx;

    read_notes(r->fd, r->highest, &r->count);
    return NULL;
}

static void crash_once(struct fixture *f, uint32_t number, uint32_t promised[CRASH_USERS],
                       uint32_t answered[CRASH_USERS], size_t *n_answered)
{
    int promises[2], answers[2];
    struct reader reader;
    pthread_t thread;
    pid_t child;

    assert_int_equal(pipe(promises), 0);
    assert_int_equal(pipe(answers), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct crash c = {f, number * 10000000, promises[1], answers[1]};

        storm(&c);
    }
    close(promises[1]);
    close(answers[1]);
    reader = (struct reader){.fd = promises[0], .highest = promised};
    assert_int_equal(pthread_create(&thread, NULL, read_in_thread, &reader), 0);
    /* From the first answer on, so that each crash is in the midst of the storm. */
    struct note first;
    if (read(answers[0], &first, sizeof(first)) == sizeof(first) && first.cseq > answered[first.user])
        answered[first.user] = first.cseq;
    nanosleep(&(struct timespec){.tv_nsec = rand() % 40 * 1000000L}, NULL);
    assert_int_equal(kill(child, SIGKILL), 0);
    read_notes(answers[0], answered, n_answered);
    pthread_join(thread, NULL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    close(promises[0]);
    close(answers[0]);
}

static void test_after_kill_9_all_that_was_answered_is_there_and_nothing_else(void **state)
{
    struct fixture *f = *state;
    uint32_t promised[CRASH_USERS] = {0}, answered[CRASH_USERS] = {0};
    size_t n_answered = 0;
    char user[16];

    srand((unsigned)time(NULL));
    for (uint32_t crash = 1; crash <= CRASHES; crash++) {
        crash_once(f, crash, promised, answered, &n_answered);
        fixture_open(f);
        for (uint32_t i = 0; i < CRASH_USERS; i++) {
            uint32_t stored;

            snprintf(user, sizeof(user), "u%u", i);
            stored = fixture_cseq(f, user);
            if (stored < answered[i] || stored > promised[i])
                fail_msg("crash %u: u%u has CSeq %u, answered %u, promised %u", crash, i, stored, answered[i],
                         promised[i]);
        }
        fixture_close(f);
    }
    assert_true(n_answered > 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_init, fixture_done)
    const struct CMUnitTest tests[] = {
        TEST(test_a_binding_survives_with_all_its_parts),
        TEST(test_updates_and_removals_survive),
        TEST(test_a_loss_is_committed),
        TEST(test_the_dead_are_not_loaded),
        TEST(test_the_dead_are_cleared_away),
        TEST(test_in_memory_a_job_is_done_at_once),
        TEST(test_the_secret_stays_the_same),
        TEST(test_files_are_for_their_owner_alone),
        TEST(test_jobs_of_one_batch_see_each_other_and_share_a_commit),
        TEST(test_a_full_queue_refuses),
        TEST(test_the_budget_of_bindings_is_kept),
        TEST(test_many_workers_share_commits),
        TEST(test_one_bad_row_does_not_harm_the_others_of_its_batch),
        TEST(test_a_locked_database_refuses_and_recovers),
        TEST(test_a_full_disk_refuses_and_recovers),
        TEST(test_a_deleted_database_is_written_again_from_memory),
        TEST(test_an_unwritable_path_refuses_and_recovers),
        TEST(test_a_failure_is_logged_once),
        TEST(test_two_processes_cannot_keep_bindings_in_one_place),
        TEST(test_an_older_database_is_brought_up_to_date),
        TEST(test_who_was_reached_by_a_connection_is_gone_after_a_restart),
        TEST(test_a_newer_database_is_left_alone),
        TEST(test_something_else_at_the_path_is_left_alone),
        TEST(test_no_memory_at_the_start_leaks_nothing),
        TEST(test_after_kill_9_all_that_was_answered_is_there_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
