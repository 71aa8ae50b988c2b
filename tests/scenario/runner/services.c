#include "services.h"
#include "base/mem.h"
#include "crypto/crypto.h"
#include "location/registrar.h"
#include <stdlib.h>

#define CHAIN_MAX 12

struct services {
    struct world *world;
    struct location_storage *storage;
    struct location_registrar *registrar;
    struct proxy_step chain[CHAIN_MAX];
};

void services_opts_default(struct services_opts *opts)
{
    *opts = (struct services_opts){
        .min_expires_s = 60,
        .max_expires_s = 7200,
        .default_expires_s = 3600,
        .max_contacts = 10,
        .nonce_s = 300,
    };
}

/* In memory every job is done at once, and this never runs. */
static void complete(void *ctx, struct location_job *job)
{
    (void)ctx;
    location_job_free(job);
}

static bool user_exists(void *ctx, struct slice domain, struct slice user)
{
    struct world *w = ctx;

    for (size_t i = 0; i < w->n_users; i++)
        if (slice_eq(w->users[i], heap_printf(&w->heap, "sip:%.*s@%.*s", SLICE_ARG(user), SLICE_ARG(domain))))
            return true;
    return false;
}

static void build_chain(struct services *s)
{
    const struct proxy_step steps[] = {
        {"validate", proxy_step_validate, NULL},
        {"route", proxy_step_route, NULL},
        {"require", location_require_step, s->registrar},
        {"registrar", location_registrar_step, s->registrar},
        {"self", proxy_step_self, NULL},
        {"relay", proxy_step_relay, NULL},
        {"targets", proxy_step_targets, NULL},
        {"forward", proxy_step_forward, NULL},
        {NULL, NULL, NULL},
    };

    _Static_assert(sizeof(steps) <= sizeof(s->chain), "CHAIN_MAX");
    memcpy(s->chain, steps, sizeof(steps));
}

int services_new(struct world *w, const struct services_opts *opts, struct services **ret_services)
{
    struct services *s = calloc(1, sizeof(*s));
    struct location_storage_opts storage = {
        .limits = {.default_expires_s = opts->default_expires_s,
                   .min_expires_s = opts->min_expires_s,
                   .max_expires_s = opts->max_expires_s,
                   .contacts = opts->max_contacts},
        .listeners = w->listeners,
        .n_listeners = w->opts.n_listeners,
        .complete = complete,
    };
    struct location_registrar_opts registrar = {
        .proxy = &w->opts,
        .user_exists = user_exists,
        .ctx = w,
        .unknown_users = true,
        .path_unasked = opts->path_without_supported,
    };
    struct location_why why;
    int rc;

    if (!s)
        abort();
    s->world = w;
    rc = location_storage_new(&storage, &why, &s->storage);
    if (rc < 0)
        goto out;
    registrar.storage = s->storage;
    rc = location_registrar_new(&registrar, &s->registrar);
    if (rc < 0)
        goto out;
    build_chain(s);
    *ret_services = s;
    return 0;
out:
    services_free(s);
    return rc;
}

void services_free(struct services *s)
{
    if (!s)
        return;
    location_registrar_free(s->registrar);
    location_storage_free(s->storage);
    free(s);
}

const struct proxy_step *services_chain(struct services *s)
{
    return s->chain;
}

int services_add_user(struct services *s, struct slice name, struct slice password,
                      const struct proxy_domain *d)
{
    (void)s, (void)name, (void)password, (void)d;
    return 0;
}

int services_locate(struct services *s, struct slice aor, unix_s_t now_s, struct arena *arena, size_t max,
                    const struct proxy_binding **ret_bindings, size_t *ret_count)
{
    return location_locate(s->registrar, aor, now_s, arena, max, ret_bindings, ret_count);
}
