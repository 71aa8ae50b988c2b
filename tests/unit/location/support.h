/* A storage in a folder of its own, driven as workers drive it. */
#ifndef TEST_LOCATION_SUPPORT_H
#define TEST_LOCATION_SUPPORT_H

#include "base/log.h"
#include "base/mem.h"
#include "crypto/crypto.h"
#include "location/storage.h"
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    char dir[64], path[128];
    struct location_storage *storage;
    struct location_storage_opts opts;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct location_job *done[64]; /* completed, not yet taken */
    size_t n_done;
    bool is_held; /* complete() waits: the storage thread does nothing else meanwhile */
    bool is_holding;
    unsigned ticks;
    char log[8192]; /* what was logged */
};

static const struct proxy_listener fixture_listeners[] = {
    {.transport = SIP_TRANSPORT_TCP, .addr = {.family = ADDR_IPV4, .ip = {192, 0, 2, 1}, .port = 5060}},
    {.transport = SIP_TRANSPORT_UDP, .addr = {.family = ADDR_IPV4, .ip = {192, 0, 2, 1}, .port = 5060}},
};

static inline void fixture_complete(void *ctx, struct location_job *job)
{
    struct fixture *f = ctx;

    pthread_mutex_lock(&f->lock);
    while (f->is_held) {
        f->is_holding = true;
        pthread_cond_broadcast(&f->changed);
        pthread_cond_wait(&f->changed, &f->lock);
    }
    f->is_holding = false;
    assert_in_range(f->n_done, 0, 63);
    f->done[f->n_done++] = job;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

static inline void fixture_tick(void *ctx)
{
    struct fixture *f = ctx;

    pthread_mutex_lock(&f->lock);
    f->ticks++;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

static inline void fixture_log(struct slice line, void *ctx)
{
    struct fixture *f = ctx;
    size_t len;

    pthread_mutex_lock(&f->lock);
    len = strlen(f->log);
    snprintf(f->log + len, sizeof(f->log) - len, "%.*s", SLICE_ARG(line));
    pthread_mutex_unlock(&f->lock);
}

static inline bool fixture_has_logged(struct fixture *f, const char *text)
{
    bool has;

    pthread_mutex_lock(&f->lock);
    has = strstr(f->log, text) != NULL;
    pthread_mutex_unlock(&f->lock);
    return has;
}

static inline int fixture_try_open(struct fixture *f, struct location_why *ret_why)
{
    return location_storage_new(&f->opts, ret_why, &f->storage);
}

static inline void fixture_open(struct fixture *f)
{
    struct location_why why;

    if (fixture_try_open(f, &why) != 0)
        fail_msg("%s", why.text);
}

static inline void fixture_close(struct fixture *f)
{
    location_storage_free(f->storage);
    f->storage = NULL;
}

static inline void fixture_reopen(struct fixture *f)
{
    fixture_close(f);
    fixture_open(f);
}

static inline int fixture_init(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    assert_int_equal(crypto_init(), 0);
    snprintf(f->dir, sizeof(f->dir), "/tmp/viaduct-location-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof(f->path), "%s/state/viaduct.db", f->dir);
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->changed, NULL);
    f->opts = (struct location_storage_opts){
        .path = f->path,
        .limits = location_limits_default,
        .listeners = fixture_listeners,
        .n_listeners = 2,
        .complete = fixture_complete,
        .tick = fixture_tick,
        .ctx = f,
    };
    log_set_sink(fixture_log, f);
    *state = f;
    return 0;
}

static inline int fixture_done(void **state)
{
    struct fixture *f = *state;
    char command[128];

    fixture_close(f);
    while (f->n_done > 0)
        location_job_free(f->done[--f->n_done]);
    log_set_sink(NULL, NULL);
    snprintf(command, sizeof(command), "rm -rf '%s'", f->dir);
    assert_int_equal(system(command), 0);
    pthread_mutex_destroy(&f->lock);
    pthread_cond_destroy(&f->changed);
    free(f);
    assert_int_equal(mem_held_bytes(), 0);
    return 0;
}

/* A REGISTER of one contact. */
struct ask {
    const char *user, *uri, *call_id;
    uint32_t cseq, expires_s;
    struct sip_hop hop;
    unix_s_t now_s; /* 0: now */
};

static inline struct location_job *job_of(const struct ask *ask)
{
    char aor[64];
    const struct location_contact contact = {.uri = slice_from_cstr(ask->uri ? ask->uri : "sip:a@192.0.2.9"),
                                             .params = SLICE(";x=1"),
                                             .q_milli = 700,
                                             .requested_s = ask->expires_s,
                                             .has_requested = true};
    struct location_register reg = {.call_id = slice_from_cstr(ask->call_id ? ask->call_id : "c"),
                                    .cseq = ask->cseq,
                                    .path = SLICE("<sip:p;lr>"),
                                    .hop = ask->hop,
                                    .contacts = &contact,
                                    .n_contacts = 1};
    struct location_job *job;

    snprintf(aor, sizeof(aor), "sip:%s@example.com", ask->user);
    reg.aor = slice_from_cstr(aor);
    assert_int_equal(location_job_new(&reg, ask->now_s != 0 ? ask->now_s : clock_unix_s(), &job), 0);
    return job;
}

/* The oldest completed job. */
static inline struct location_job *fixture_take(struct fixture *f)
{
    struct location_job *job;

    pthread_mutex_lock(&f->lock);
    while (f->n_done == 0)
        pthread_cond_wait(&f->changed, &f->lock);
    job = f->done[0];
    memmove(f->done, f->done + 1, --f->n_done * sizeof(f->done[0]));
    pthread_mutex_unlock(&f->lock);
    return job;
}

static inline void fixture_hold(struct fixture *f)
{
    pthread_mutex_lock(&f->lock);
    f->is_held = true;
    pthread_mutex_unlock(&f->lock);
}

static inline void fixture_wait_held(struct fixture *f)
{
    pthread_mutex_lock(&f->lock);
    while (!f->is_holding)
        pthread_cond_wait(&f->changed, &f->lock);
    pthread_mutex_unlock(&f->lock);
}

static inline void fixture_release(struct fixture *f)
{
    pthread_mutex_lock(&f->lock);
    f->is_held = false;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

/* Submits, waits, and says what came of it. */
static inline unsigned fixture_register(struct fixture *f, const struct ask *ask)
{
    struct location_job *job = job_of(ask);
    unsigned status;

    if (location_storage_submit(f->storage, job) == LOCATION_LATER)
        job = fixture_take(f);
    status = job->status;
    location_job_free(job);
    return status;
}

/* CSeq of the first binding of a user; 0 when there is none. */
static inline uint32_t fixture_cseq(struct fixture *f, const char *user)
{
    struct arena_pool pool;
    struct arena arena;
    const struct location_record *record;
    uint32_t cseq = 0;
    char aor[64];

    snprintf(aor, sizeof(aor), "sip:%s@example.com", user);
    arena_pool_init(&pool, 1 << 20);
    arena_init(&arena, &pool);
    if (location_store_get(location_storage_store(f->storage), slice_from_cstr(aor), &arena, &record) == 0)
        cseq = location_record_get(record, 0).cseq;
    arena_done(&arena);
    arena_pool_done(&pool);
    return cseq;
}

#endif
