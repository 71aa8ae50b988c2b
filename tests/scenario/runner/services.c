#include "services.h"
#include "auth/step.h"
#include "location/registrar.h"
#include "policy/route.h"
#include <sqlite3.h>
#include <stdlib.h>

#define CHAIN_MAX  16
#define NONCE_USES 1024
#define HELD_MAX   16

struct services {
    struct world *world;
    struct location_storage *storage;
    struct location_registrar *registrar;
    struct sqlite3 *db; /* of users, in memory */
    struct auth_users *users;
    struct auth_nonces *nonces;
    struct auth_opts auth;
    struct services_opts opts;
    struct policy_route_opts *route_opts;
    struct policy_groups *groups;
    struct policy_routes *routes;
    struct proxy_step chain[CHAIN_MAX];
    bool is_holding;
    uint64_t held[HELD_MAX]; /* tickets */
    size_t n_held;
};

void services_opts_default(struct services_opts *opts)
{
    *opts = (struct services_opts){
        .min_expires_s = 60,
        .max_expires_s = 7200,
        .default_expires_s = 3600,
        .max_contacts = 10,
        .nonce_s = 300,
        .identity = POLICY_IDENTITY_OFF,
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

static bool flow_is_open(void *ctx, const struct sip_hop *hop)
{
    const struct world_conn *c = world_conn_by_flow(ctx, hop->flow);

    return c && c->open;
}

/* Stands for any step that has to wait for an answer from outside. */
static enum proxy_verdict hold_step(struct proxy_request *req, void *ctx)
{
    struct services *s = ctx;

    if (!s->is_holding || req->resumed || s->n_held == HELD_MAX)
        return PROXY_NEXT;
    s->held[s->n_held++] = proxy_wait_ticket(req);
    return PROXY_WAIT;
}

void services_hold(struct services *s)
{
    s->is_holding = true;
}

void services_release(struct services *s)
{
    s->is_holding = false;
    for (size_t i = 0; i < s->n_held; i++)
        proxy_resume(s->world->proxy, s->held[i], s);
    s->n_held = 0;
}

static void build_chain(struct services *s)
{
    const struct proxy_step steps[] = {
        {"validate", proxy_step_validate, NULL},
        {"route", proxy_step_route, NULL},
        {"calls", policy_step_calls, s->groups},
        {"self", proxy_step_self, NULL},
        {"policy", policy_step_policy, s->routes},
        {"edge", proxy_step_edge, NULL},
        {"require", location_require_step, s->registrar},
        {"auth", auth_step, &s->auth},
        {"hold", hold_step, s},
        {"registrar", location_registrar_step, s->registrar},
        {"contact", location_contact_step, s->registrar},
        {"relay", proxy_step_relay, NULL},
        {"target", policy_step_target, s->routes},
        {"targets", proxy_step_targets, NULL},
        {"forward", proxy_step_forward, NULL},
        {NULL, NULL, NULL},
    };

    _Static_assert(sizeof(steps) <= sizeof(s->chain), "CHAIN_MAX");
    memcpy(s->chain, steps, sizeof(steps));
}

static int add_user(struct services *s, const struct services_user *u)
{
    const struct proxy_opts *opts = &s->world->opts;

    for (size_t i = 0; i < opts->n_domains; i++) {
        const struct proxy_domain *d = &opts->domains[i];
        const struct auth_account account = {.domain = d->name, .realm = d->realm, .name = u->name};

        if (slice_eq(d->name, u->domain))
            return auth_user_add(s->db, &account, u->password);
    }
    return ERR_NOTFOUND;
}

static int open_users(struct services *s, const struct services_opts *opts)
{
    static const enum crypto_digest_alg algorithms[] = {CRYPTO_SHA512_256, CRYPTO_SHA256, CRYPTO_MD5};
    int rc = sqlite3_open(":memory:", &s->db) == SQLITE_OK ? 0 : ERR_IO;

    for (size_t i = 0; rc == 0 && auth_users_schema[i]; i++)
        rc = sqlite3_exec(s->db, auth_users_schema[i], NULL, NULL, NULL) == SQLITE_OK ? 0 : ERR_IO;
    for (size_t i = 0; rc == 0 && i < opts->n_users; i++)
        rc = add_user(s, &opts->users[i]);
    if (rc == 0)
        rc = auth_users_new(s->db, &s->users);
    if (rc == 0)
        rc = auth_nonces_new(opts->nonce_s, NONCE_USES, &s->nonces);
    s->auth = (struct auth_opts){
        .users = s->users,
        .nonces = s->nonces,
        .algorithms = algorithms,
        .n_algorithms = sizeof(algorithms) / sizeof(algorithms[0]),
    };
    return rc;
}

/* The routes of the script, and behind them one to each group. */
static int open_routes(struct services *s, const struct services_opts *opts)
{
    struct proxy_opts *proxy = &s->world->opts;
    struct policy_routes_opts routes = {.n_routes = opts->n_routes + opts->n_groups,
                                        .identity = opts->identity,
                                        .proxy = proxy,
                                        .groups = s->groups};
    size_t failed;
    int rc;

    s->route_opts = calloc(routes.n_routes + 1, sizeof(*s->route_opts));
    if (!s->route_opts)
        abort();
    for (size_t i = 0; i < opts->n_routes; i++)
        s->route_opts[i] = opts->routes[i];
    for (size_t i = 0; i < opts->n_groups; i++)
        s->route_opts[opts->n_routes + i] =
            (struct policy_route_opts){.name = opts->groups[i].name,
                                       .match = {.users = &opts->group_users[i], .n_users = 1},
                                       .action = POLICY_GROUP,
                                       .group = opts->groups[i].name,
                                       .auth = PROXY_AUTH_NONE};
    routes.routes = s->route_opts;
    rc = policy_routes_new(&routes, &failed, &s->routes);
    if (rc < 0)
        return rc;
    proxy->is_stateless = policy_routes_are_stateless;
    proxy->is_stateless_ctx = s->routes;
    proxy->route_number = policy_routes_number;
    proxy->route_number_ctx = s->routes;
    proxy->edit_response = opts->identity == POLICY_IDENTITY_AUTO ? policy_identity_edit_response : NULL;
    return 0;
}

static int open_groups(struct services *s)
{
    struct services_opts *opts = &s->opts;
    int rc;

    for (size_t i = 0; i < opts->n_groups; i++) {
        opts->groups[i].members = opts->members[i];
    }
    rc = policy_groups_new(opts->groups, opts->n_groups, &s->world->opts.secret, &s->groups);
    return rc == 0 ? open_routes(s, opts) : rc;
}

int services_attach(struct services *s, struct proxy *proxy)
{
    return policy_groups_attach(s->groups, proxy);
}

void services_detach(struct services *s, unsigned worker)
{
    policy_groups_detach(s->groups, worker);
}

unsigned services_calls(const struct services *s)
{
    unsigned calls = 0;

    for (size_t g = 0; g < policy_groups_count(s->groups); g++) {
        for (size_t i = 0; i < policy_group_members(s->groups, g); i++) {
            struct policy_member_view view;

            policy_group_view(s->groups, g, i, s->world->now_ms, &view);
            calls += view.calls;
        }
    }
    return calls;
}

int services_new(struct world *w, const struct services_opts *opts, struct services **ret_services)
{
    struct services *s = calloc(1, sizeof(*s));
    struct location_storage_opts storage = {
        .limits = {.default_expires_s = opts->default_expires_s,
                   .min_expires_s = opts->min_expires_s,
                   .max_expires_s = opts->max_expires_s,
                   .contacts = opts->max_contacts,
                   .flows = {flow_is_open, w}},
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
        .service_route = opts->service_route,
    };
    struct location_why why;
    int rc;

    if (!s)
        abort();
    s->world = w;
    s->opts = *opts;
    rc = location_storage_new(&storage, &why, &s->storage);
    if (rc < 0)
        goto out;
    registrar.storage = s->storage;
    rc = location_registrar_new(&registrar, &s->registrar);
    if (rc < 0)
        goto out;
    rc = open_users(s, opts);
    if (rc < 0)
        goto out;
    rc = open_groups(s);
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
    policy_routes_free(s->routes);
    policy_groups_free(s->groups);
    auth_nonces_free(s->nonces);
    auth_users_free(s->users);
    sqlite3_close(s->db);
    location_registrar_free(s->registrar);
    location_storage_free(s->storage);
    free(s->route_opts);
    free(s);
}

const struct proxy_step *services_chain(struct services *s)
{
    return s->chain;
}

int services_locate(struct services *s, struct slice aor, unix_s_t now_s, struct arena *arena, size_t max,
                    const struct proxy_binding **ret_bindings, size_t *ret_count)
{
    return location_locate(s->registrar, aor, now_s, arena, max, ret_bindings, ret_count);
}
