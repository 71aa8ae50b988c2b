/* Keeps the bindings: in memory for look-ups, and in SQLite so that they survive.
 *
 * Life of a job: a worker makes one from a REGISTER (location_job_new) and submits it. The storage thread
 * takes all jobs that wait, applies them one after the other, each seeing what the one before did, writes
 * them in one transaction, and commits. Then, and only then, the records become visible in the store, and
 * complete() is called for each job, on the storage thread: it hands the job back to its worker, which
 * answers the request and frees the job. So the cost of a commit is shared by all who wait for it, look-ups
 * never wait for a disk, and a 200 is never given for what a crash could undo.
 *
 * When the database fails (disk full, unwritable, locked, gone), nothing of the batch becomes visible and its
 * jobs end with 500; the log says so once, with what to do; the next batch tries again, opening the database
 * anew where that may help. A database that was deleted or replaced behind our back is written again from
 * memory.
 *
 * Without a path there is no database: a job is applied at once, on the worker's thread, and the storage
 * thread only clears away bindings whose time has come. */
#ifndef LOCATION_STORAGE_H
#define LOCATION_STORAGE_H

#include "location/db.h"
#include "location/job.h"
#include "proxy/proxy.h"

struct location_storage;

struct location_storage_opts {
    const char *path; /* NULL: memory only */
    struct location_limits limits;
    const struct proxy_listener *listeners; /* must outlive the storage */
    size_t n_listeners;
    size_t jobs_max;     /* submitted and not completed; one more is refused. 0: 65,536 */
    size_t bindings_max; /* over all users; one more is answered 503. 0: 10,000,000 */
    unsigned tick_ms;    /* 64 ticks clear away all that is dead. 0: 1000 */

    /* Called on the storage thread; must not block. complete must take the job: whoever it is handed to frees
     * it. */
    void (*complete)(void *ctx, struct location_job *job);
    /* Once a tick; may be NULL. */
    void (*tick)(void *ctx);
    void *ctx;
};

/* Opens and loads the database and starts the thread. ERR_IO, ERR_CORRUPT, ERR_UNSUPPORTED, ERR_EXISTS
 * (another process keeps its bindings there) and ERR_NOMEM, all with ret_why. crypto_init() must have been
 * called. */
MUST_USE int location_storage_new(const struct location_storage_opts *opts, struct location_why *ret_why,
                                  struct location_storage **ret_storage);
/* Completes what was submitted, stops the thread, closes the database. NULL is fine. */
void location_storage_free(struct location_storage *storage);

struct location_store *location_storage_store(struct location_storage *storage);
/* 16 octets that were random at the first start and are the same ever since: what signs tokens that must
 * survive a restart. Without a database they are new at each start. */
struct hash_key location_storage_secret(const struct location_storage *storage);
const struct location_limits *location_storage_limits(const struct location_storage *storage);

enum location_submitted {
    LOCATION_LATER, /* complete() will be called */
    LOCATION_DONE,  /* it is done: the result is in the job, complete() will not be called */
    LOCATION_FULL,  /* not taken: too many wait already */
};
/* Is there no database? Then a job may be run without being submitted. */
bool location_storage_is_memory(const struct location_storage *storage);
/* There: does the job at once. It stays the caller's, and may point into his memory. hash: what
 * location_store_hash() or _expect() gave for its address-of-record. From any thread. */
void location_storage_run(struct location_storage *storage, struct location_job *job, uint64_t hash);

/* From any thread. */
MUST_USE enum location_submitted location_storage_submit(struct location_storage *storage,
                                                         struct location_job *job);

/* Jobs submitted and not yet completed. */
size_t location_storage_pending(struct location_storage *storage);

struct location_storage_stats {
    uint64_t jobs;   /* completed */
    uint64_t failed; /* of them, those that a failing database ended with 500 */
    uint64_t commits;
    uint64_t purged; /* records with bindings whose time had come */
};
struct location_storage_stats location_storage_get_stats(const struct location_storage *storage);

#endif
