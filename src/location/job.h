/* One REGISTER on its way through the storage: what it asks, and what came of it. See storage.h for its life.
 */
#ifndef LOCATION_JOB_H
#define LOCATION_JOB_H

#include "location/apply.h"
#include "location/store.h"

struct location_job {
    struct location_job *next; /* the storage's */
    struct map_node staged;    /* the storage's */
    struct location_record *staged_record;
    bool is_staged, changes;

    bool is_loss; /* no REGISTER: the binding that reg says exactly is lost (location_apply_loss) */

    /* Set by the submitter, not looked at here. */
    uint8_t worker;
    uint64_t ticket;

    unix_s_t now_s;
    struct location_register reg; /* with its texts in the job's own memory */

    /* The result: 200 with the bindings that now are (NULL: none), or what to answer. */
    unsigned status;
    const char *phrase; /* NULL: the default one */
    const char *why;
    struct location_record *record;
    struct arena *arena; /* where record is; NULL: on the heap */
};

/* A job whose reg points to where the given one does, with a result in arena, for one that is run at once
 * (location_storage_run). Nothing is left of it that would have to be freed. */
void location_job_init(struct location_job *job, const struct location_register *reg, unix_s_t now_s,
                       struct arena *arena);

/* A job with a copy of all that reg points to. */
MUST_USE int location_job_new(const struct location_register *reg, unix_s_t now_s,
                              struct location_job **ret_job);
/* NULL is fine. */
void location_job_free(struct location_job *job);

/* Sets the result. */
void location_job_end(struct location_job *job, unsigned status, const char *phrase, const char *why);

struct location_job_limits {
    const struct location_limits *limits;
    const struct location_store *store; /* whose bindings count against the budget */
    size_t bindings_max;
};
/* Applies the job to the current record of its address-of-record (NULL: none) and fills in the result. True:
 * *ret_record, or no record when it is NULL, is to take the old one's place; it is the caller's. */
bool location_job_apply(struct location_job *job, const struct location_record *old,
                        const struct location_job_limits *limits, struct location_record **ret_record);

#endif
