#include "location/job.h"
#include "base/mem.h"

static struct slice keep(char **out, struct slice s)
{
    struct slice kept = slice_make(*out, s.len);

    if (s.len > 0)
        memcpy(*out, s.ptr, s.len);
    *out += s.len;
    return kept;
}

static size_t text_bytes(const struct location_register *reg)
{
    size_t bytes = reg->aor.len + reg->call_id.len + reg->path.len;

    for (size_t i = 0; i < reg->n_contacts; i++)
        bytes += reg->contacts[i].uri.len + reg->contacts[i].params.len;
    return bytes;
}

void location_job_init(struct location_job *job, const struct location_register *reg, unix_s_t now_s,
                       struct arena *arena)
{
    *job = (struct location_job){.now_s = now_s, .reg = *reg, .arena = arena};
}

int location_job_new(const struct location_register *reg, unix_s_t now_s, struct location_job **ret_job)
{
    struct location_contact *contacts;
    struct location_job *job;
    char *out;

    job = mem_alloc(sizeof(*job) + reg->n_contacts * sizeof(*contacts) + text_bytes(reg));
    if (!job)
        return ERR_NOMEM;
    contacts = (struct location_contact *)(job + 1);
    out = (char *)(contacts + reg->n_contacts);
    location_job_init(job, reg, now_s, NULL);
    job->reg.aor = keep(&out, reg->aor);
    job->reg.call_id = keep(&out, reg->call_id);
    job->reg.path = keep(&out, reg->path);
    job->reg.contacts = contacts;
    for (size_t i = 0; i < reg->n_contacts; i++) {
        contacts[i] = reg->contacts[i];
        contacts[i].uri = keep(&out, reg->contacts[i].uri);
        contacts[i].params = keep(&out, reg->contacts[i].params);
    }
    *ret_job = job;
    return 0;
}

void location_job_free(struct location_job *job)
{
    if (!job)
        return;
    location_record_free(job->record);
    mem_free(job);
}

void location_job_end(struct location_job *job, unsigned status, const char *phrase, const char *why)
{
    job->status = status;
    job->phrase = phrase;
    job->why = why;
}

static bool is_over_budget(const struct location_job_limits *limits, const struct location_record *old,
                           const struct location_record *record)
{
    size_t before = old ? old->count : 0, after = record ? record->count : 0;

    return after > before &&
           location_store_count_bindings(limits->store) + (after - before) > limits->bindings_max;
}

static int apply(const struct location_job *job, const struct location_record *old,
                 const struct location_limits *limits, struct location_outcome *ret_outcome)
{
    return job->is_loss ? location_apply_loss(old, &job->reg, job->now_s, limits, ret_outcome)
                        : location_apply(old, &job->reg, job->now_s, limits, ret_outcome);
}

static struct location_record *copy_for(const struct location_job *job, const struct location_record *record)
{
    void *memory;

    if (!job->arena)
        return location_record_dup(record);
    memory = arena_alloc(job->arena, record->bytes);
    return memory ? location_record_copy_to(record, memory) : NULL;
}

bool location_job_apply(struct location_job *job, const struct location_record *old,
                        const struct location_job_limits *limits, struct location_record **ret_record)
{
    struct location_outcome outcome;
    const struct location_record *result;

    if (apply(job, old, limits->limits, &outcome) != 0) {
        location_job_end(job, 503, NULL, "out of memory");
        return false;
    }
    location_job_end(job, outcome.status, outcome.phrase, outcome.why);
    if (outcome.status != 200)
        return false;
    result = outcome.changed ? outcome.record : old;
    if (is_over_budget(limits, old, outcome.record))
        location_job_end(job, 503, NULL, "the budget of bindings is used up");
    else if (result && !(job->record = copy_for(job, result)))
        location_job_end(job, 503, NULL, "out of memory");
    if (job->status != 200) {
        location_record_free(outcome.record);
        return false;
    }
    *ret_record = outcome.record;
    return outcome.changed;
}
