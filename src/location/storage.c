#include "location/storage.h"
#include "base/mem.h"
#include "crypto/crypto.h"
#include "location/writer.h"
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#define JOBS_MAX_DEFAULT     65536
#define BINDINGS_MAX_DEFAULT 10000000
#define TICK_MS_DEFAULT      1000
/* So many jobs share a commit at most: a bound on how long the first of them waits for the last. */
#define BATCH_MAX 4096
/* All shards are looked through for dead bindings in this many ticks; so many records at most in one. */
#define PURGE_TICKS 64
#define PURGE_MAX   1024

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    struct location_job *first, **last;
    size_t pending; /* submitted and not completed */
    bool stopping;
};

struct location_storage {
    struct location_storage_opts opts;
    struct location_store *store;
    struct queue queue;
    pthread_t thread;
    bool has_thread;
    int lock_fd;
    struct location_writer writer; /* the thread's own; without a path only its secret and limits are used */
    unsigned purge_shard;
    _Atomic uint64_t jobs, purged;
};

/* ---- The queue ---- */

static void queue_init(struct queue *q)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&q->filled, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&q->lock, NULL);
    q->last = &q->first;
}

static void queue_done(struct queue *q)
{
    pthread_cond_destroy(&q->filled);
    pthread_mutex_destroy(&q->lock);
}

static bool queue_put(struct queue *q, struct location_job *job, size_t max)
{
    bool taken;

    job->next = NULL;
    pthread_mutex_lock(&q->lock);
    taken = !q->stopping && q->pending < max;
    if (taken) {
        /* The thread takes all there is: it has been woken for those that are here already. */
        if (!q->first)
            pthread_cond_signal(&q->filled);
        *q->last = job;
        q->last = &job->next;
        q->pending++;
    }
    pthread_mutex_unlock(&q->lock);
    return taken;
}

/* All jobs that wait, oldest first; NULL at the deadline or when there will be no more. */
static struct location_job *queue_take(struct queue *q, ms_t deadline_ms, bool *ret_stopping)
{
    const struct timespec deadline = {.tv_sec = (time_t)(deadline_ms / 1000),
                                      .tv_nsec = (long)(deadline_ms % 1000) * 1000000};
    struct location_job *first;
    int rc = 0;

    pthread_mutex_lock(&q->lock);
    while (!q->first && !q->stopping && rc == 0)
        rc = pthread_cond_timedwait(&q->filled, &q->lock, &deadline);
    first = q->first;
    q->first = NULL;
    q->last = &q->first;
    *ret_stopping = q->stopping;
    pthread_mutex_unlock(&q->lock);
    return first;
}

static void queue_completed(struct queue *q, size_t count)
{
    pthread_mutex_lock(&q->lock);
    q->pending -= count;
    pthread_mutex_unlock(&q->lock);
}

static void queue_stop(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->stopping = true;
    pthread_cond_signal(&q->filled);
    pthread_mutex_unlock(&q->lock);
}

/* ---- Clearing away what is dead ---- */

struct purge {
    const struct location_flows *flows;
    unix_s_t now_s;
    size_t count;
    struct location_record *dead[PURGE_MAX]; /* copies of records with a dead binding in them */
};

static void purge_find(const struct location_record *record, void *ctx)
{
    struct purge *p = ctx;

    for (size_t i = 0; i < record->count && p->count < PURGE_MAX; i++) {
        struct location_binding b = location_record_get(record, i);

        if (location_binding_is_live(&b, p->now_s) && !location_binding_is_cut(&b, p->flows))
            continue;
        p->dead[p->count] = location_record_dup(record);
        if (p->dead[p->count])
            p->count++;
        return;
    }
}

static bool purge_change(const struct location_record *old, void *ctx, struct location_record **ret_record)
{
    const struct purge *p = ctx;
    struct location_outcome outcome;

    if (!old || location_apply_expiry(old, p->now_s, p->flows, &outcome) != 0)
        return false;
    *ret_record = outcome.record;
    return outcome.changed;
}

static void purge_some(struct location_storage *s)
{
    struct purge p = {.flows = &s->opts.limits.flows, .now_s = clock_unix_s()};

    for (unsigned i = 0; i < LOCATION_STORE_SHARDS / PURGE_TICKS && p.count < PURGE_MAX; i++) {
        location_store_each(s->store, s->purge_shard, purge_find, &p);
        if (p.count < PURGE_MAX)
            s->purge_shard = (s->purge_shard + 1) % LOCATION_STORE_SHARDS;
    }
    if (p.count == 0)
        return;
    if (s->opts.path)
        location_writer_purge(&s->writer, p.dead, p.count, p.now_s);
    for (size_t i = 0; i < p.count; i++) {
        location_store_update(s->store, location_record_aor(p.dead[i]), purge_change, &p);
        location_record_free(p.dead[i]);
    }
    atomic_fetch_add_explicit(&s->purged, p.count, memory_order_relaxed);
}

/* ---- The thread ---- */

static void complete_jobs(struct location_storage *s, struct location_job *first,
                          const struct location_job *end)
{
    size_t count = 0;

    while (first != end) {
        struct location_job *next = first->next;

        s->opts.complete(s->opts.ctx, first);
        first = next;
        count++;
    }
    atomic_fetch_add_explicit(&s->jobs, count, memory_order_relaxed);
    queue_completed(&s->queue, count);
}

static void run_batches(struct location_storage *s, struct location_job *first)
{
    while (first) {
        struct location_job *end = first;

        for (size_t i = 0; end && i < BATCH_MAX; i++)
            end = end->next;
        location_writer_run(&s->writer, first, end);
        complete_jobs(s, first, end);
        first = end;
    }
}

static void *thread_main(void *ctx)
{
    struct location_storage *s = ctx;
    ms_t next_tick_ms = clock_monotonic_ms() + s->opts.tick_ms;
    bool stopping = false;

    while (!stopping) {
        run_batches(s, queue_take(&s->queue, next_tick_ms, &stopping));
        if (clock_monotonic_ms() < next_tick_ms)
            continue;
        purge_some(s);
        if (s->opts.tick)
            s->opts.tick(s->opts.ctx);
        next_tick_ms = clock_monotonic_ms() + s->opts.tick_ms;
    }
    return NULL;
}

static int start_thread(struct location_storage *s)
{
    sigset_t all, before;
    int rc;

    /* Signals are for the thread that waits for them. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&s->thread, NULL, thread_main, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    s->has_thread = rc == 0;
    return rc == 0 ? 0 : ERR_NOMEM;
}

/* ---- For the workers ---- */

struct memory_job {
    struct location_storage *storage;
    struct location_job *job;
};

static bool apply_in_memory(const struct location_record *old, void *ctx, struct location_record **ret_record)
{
    const struct memory_job *m = ctx;

    return location_job_apply(m->job, old, &m->storage->writer.limits, ret_record);
}

bool location_storage_is_memory(const struct location_storage *s)
{
    return !s->opts.path;
}

void location_storage_run(struct location_storage *s, struct location_job *job, uint64_t hash)
{
    struct memory_job m = {s, job};

    location_store_update_at(s->store, hash, job->reg.aor, apply_in_memory, &m);
    atomic_fetch_add_explicit(&s->jobs, 1, memory_order_relaxed);
}

enum location_submitted location_storage_submit(struct location_storage *s, struct location_job *job)
{
    if (s->opts.path)
        return queue_put(&s->queue, job, s->opts.jobs_max) ? LOCATION_LATER : LOCATION_FULL;
    location_storage_run(s, job, location_store_hash(s->store, job->reg.aor));
    return LOCATION_DONE;
}

struct location_store *location_storage_store(struct location_storage *s)
{
    return s->store;
}

struct hash_key location_storage_secret(const struct location_storage *s)
{
    struct hash_key key;

    _Static_assert(sizeof(key) == LOCATION_SECRET_BYTES, "the secret is a key");
    memcpy(&key, s->writer.secret, sizeof(key));
    return key;
}

const struct location_limits *location_storage_limits(const struct location_storage *s)
{
    return &s->opts.limits;
}

struct location_storage_stats location_storage_get_stats(const struct location_storage *s)
{
    return (struct location_storage_stats){
        .jobs = atomic_load_explicit(&s->jobs, memory_order_relaxed),
        .failed = atomic_load_explicit(&s->writer.failed, memory_order_relaxed),
        .commits = atomic_load_explicit(&s->writer.commits, memory_order_relaxed),
        .purged = atomic_load_explicit(&s->purged, memory_order_relaxed),
    };
}

size_t location_storage_pending(struct location_storage *s)
{
    size_t pending;

    pthread_mutex_lock(&s->queue.lock);
    pending = s->queue.pending;
    pthread_mutex_unlock(&s->queue.lock);
    return pending;
}

/* ---- Start and stop ---- */

static int open_database(struct location_storage *s, struct location_why *ret_why, size_t *ret_expected)
{
    int rc = location_db_lock(s->opts.path, ret_why, &s->lock_fd);

    s->writer.path = s->opts.path;
    s->writer.listeners = s->opts.listeners;
    s->writer.n_listeners = s->opts.n_listeners;
    return rc == 0 ? location_writer_open(&s->writer, ret_why, ret_expected) : rc;
}

static int draw_keys(struct location_storage *s, struct hash_key *ret_key)
{
    int rc = crypto_random_bytes(ret_key, sizeof(*ret_key));

    if (rc == 0)
        rc = crypto_random_bytes(&s->writer.staged_key, sizeof(s->writer.staged_key));
    return rc == 0 ? crypto_random_bytes(s->writer.secret, sizeof(s->writer.secret)) : rc;
}

static int set_up(struct location_storage *s, struct location_why *ret_why)
{
    struct hash_key key;
    size_t expected = 0;
    int rc = draw_keys(s, &key);

    location_why_set(ret_why, "out of memory or random numbers");
    if (rc == 0)
        rc = map_init(&s->writer.staged, BATCH_MAX);
    if (rc == 0 && s->opts.path)
        rc = open_database(s, ret_why, &expected);
    if (rc == 0)
        rc = location_store_new(&key, expected, &s->store);
    if (rc != 0)
        return rc;
    s->writer.store = s->store;
    s->writer.limits = (struct location_job_limits){&s->opts.limits, s->store, s->opts.bindings_max};
    if (s->opts.path)
        rc = location_writer_load(&s->writer, ret_why);
    return rc == 0 ? start_thread(s) : rc;
}

static size_t or_default(size_t value, size_t fallback)
{
    return value != 0 ? value : fallback;
}

int location_storage_new(const struct location_storage_opts *opts, struct location_why *ret_why,
                         struct location_storage **ret_storage)
{
    struct location_storage *s = mem_zalloc(sizeof(*s));
    int rc;

    if (!s) {
        location_why_set(ret_why, "out of memory");
        return ERR_NOMEM;
    }
    s->opts = *opts;
    s->opts.jobs_max = or_default(opts->jobs_max, JOBS_MAX_DEFAULT);
    s->opts.bindings_max = or_default(opts->bindings_max, BINDINGS_MAX_DEFAULT);
    s->opts.tick_ms = (unsigned)or_default(opts->tick_ms, TICK_MS_DEFAULT);
    s->lock_fd = -1;
    queue_init(&s->queue);
    rc = set_up(s, ret_why);
    if (rc != 0) {
        location_storage_free(s);
        return rc;
    }
    *ret_storage = s;
    return 0;
}

void location_storage_free(struct location_storage *s)
{
    if (!s)
        return;
    if (s->has_thread) {
        queue_stop(&s->queue);
        pthread_join(s->thread, NULL);
    }
    location_writer_close(&s->writer);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    location_store_free(s->store);
    if (s->writer.staged.buckets)
        map_done(&s->writer.staged);
    queue_done(&s->queue);
    crypto_wipe(s->writer.secret, sizeof(s->writer.secret));
    mem_free(s);
}
