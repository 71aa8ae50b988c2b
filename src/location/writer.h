/* The side of the storage that writes: jobs into the database and, once committed, into the store. It belongs
 * to the storage thread; nothing here is shared but the counters. */
#ifndef LOCATION_WRITER_H
#define LOCATION_WRITER_H

#include "location/job.h"
#include "location/table.h"
#include <stdatomic.h>

struct location_writer {
    /* Set by the owner before location_writer_open(). */
    const char *path;
    const struct proxy_listener *listeners;
    size_t n_listeners;
    struct location_store *store; /* before location_writer_load() */
    struct location_job_limits limits;

    uint8_t secret[LOCATION_SECRET_BYTES];
    struct location_table table;
    bool is_open;
    bool is_another; /* the file is not the one that was loaded: it must be written anew */
    uint64_t last_row;
    struct map staged; /* jobs of this batch: the last one for each address-of-record, by hash */
    struct hash_key staged_key;
    int failing;           /* SQLite's code that was last logged; 0 when all is well */
    uint64_t failed_since; /* jobs, since all was well */
    struct location_why open_why;

    _Atomic uint64_t failed, commits; /* read by anyone */
};

/* Opens the database; about how many bindings it holds is said. Errors of location_table_open(), with
 * ret_why; what is open then is closed by location_writer_close(), as always. */
MUST_USE int location_writer_open(struct location_writer *w, struct location_why *ret_why,
                                  size_t *ret_expected);
/* Loads it into the store, which is empty. */
MUST_USE int location_writer_load(struct location_writer *w, struct location_why *ret_why);
void location_writer_close(struct location_writer *w);

/* Runs all jobs from first up to end (not included) and fills in their results: one transaction, or none of
 * it, but for single rows that the database refuses. What was committed is in the store afterwards. */
void location_writer_run(struct location_writer *w, struct location_job *first,
                         const struct location_job *end);

/* Removes the rows of bindings that are dead at now_s, or cut. Should the database refuse, they are dead all the
 * same. */
void location_writer_purge(struct location_writer *w, struct location_record *const *records, size_t count,
                           unix_s_t now_s);

#endif
