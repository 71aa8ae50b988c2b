#include "app/services.h"
#include "app/routes.h"
#include "app/users_db.h"
#include "auth/step.h"
#include "base/log.h"
#include "base/mem.h"
#include "crypto/crypto.h"
#include "location/ping.h"
#include "location/registrar.h"
#include "location/storage.h"
#include <assert.h>
#include <stdatomic.h>
#include <sysexits.h>
#include <time.h>

/* Servers whose health is remembered. */
#define HEALTH_SERVERS 4096
#define CHAIN_MAX      16
/* Nonces whose use is remembered; above, the oldest become stale. */
#define NONCE_USES 262144
/* Their numbers are an octet in a branch. */
#define SERVICES_WORKERS_MAX 256

struct services {
    const struct config *config;
    struct worker **workers;
    struct dns_hosts *hosts;
    struct dns_health *health;
    struct location_storage *storage;
    struct location_registrar *registrar;
    struct app_routes *routes;
    struct location_pinger_opts ping;
    struct location_pinger *pingers[SERVICES_WORKERS_MAX]; /* by worker */
    struct sqlite3 *users_db;                              /* read by the storage thread's tick */
    struct auth_users *users;
    struct auth_nonces *nonces;
    enum crypto_digest_alg algorithms[CONFIG_ALGORITHM_COUNT];
    struct slice *md5_only_agents;
    struct slice *third_parties;
    struct auth_opts auth;
    struct proxy_step chain[CHAIN_MAX];
    struct buf service_route;
    struct transport_registry *_Atomic registry; /* NULL until the workers are there */
    _Atomic bool stopping;                       /* no worker runs any more: results are nobody's */
};

/* On the storage thread. The result of a job must not be lost: while the worker's inbox is full it is offered
 * again. */
static void on_complete(void *ctx, struct location_job *job)
{
    struct services *s = ctx;
    if (job->is_loss) { /* nobody waits for it */
        location_job_free(job);
        return;
    }
    const struct timespec pause = {.tv_nsec = 1000000};
    struct mail *mail = NULL;
    while (!atomic_load(&s->stopping)) {
        if (mail == NULL)
            mail = mail_new(MAIL_RESUME, SLICE(""));
        if (mail != NULL) {
            mail->token = job->ticket;
            mail->result = job;
            if (worker_post(s->workers[job->worker], mail) == 0)
                return;
        }
        nanosleep(&pause, NULL);
    }
    mail_free(mail);
    location_job_free(job);
}

void services_release_result(void *ctx, void *result)
{
    (void)ctx;
    location_job_free(result);
}

static bool user_exists(void *ctx, struct slice domain, struct slice user)
{
    struct services *s = ctx;
    return auth_users_exists(s->users, domain, user);
}

/* On the storage thread, about once a second: another process may have changed the users. */
static void on_tick(void *ctx)
{
    struct services *s = ctx;
    auth_users_poll(s->users);
}

/* From any thread. */
static bool flow_is_open(void *ctx, const struct sip_hop *hop)
{
    struct services *s = ctx;
    struct transport_registry *registry = atomic_load(&s->registry);
    return registry == NULL || transport_registry_has(registry, hop->flow, &hop->addr);
}

/* RFC 3608 section 5: the values in the order in which they are to be visited. */
static int join_service_route(struct services *s)
{
    const struct config_registrar *from = &s->config->registrar;
    size_t bytes = 1;
    for (size_t i = 0; i < from->n_service_route; i++)
        bytes += strlen(from->service_route[i]) + sizeof("<>,");
    char *memory = mem_alloc(bytes);
    if (memory == NULL)
        return ERR_NOMEM;
    buf_init(&s->service_route, memory, bytes);
    for (size_t i = 0; i < from->n_service_route; i++) {
        if (i > 0)
            buf_lit(&s->service_route, ",");
        buf_lit(&s->service_route, "<");
        buf_put(&s->service_route, slice_from_cstr(from->service_route[i]));
        buf_lit(&s->service_route, ">");
    }
    return 0;
}

/* ---- the chain ---- */

static void add_step(struct services *s, size_t *n, const char *name,
                     enum proxy_verdict (*run)(struct proxy_request *req, void *ctx), void *ctx)
{
    assert(*n < CHAIN_MAX - 1); /* the last one stays empty: it ends the chain */
    s->chain[(*n)++] = (struct proxy_step){.name = name, .run = run, .ctx = ctx};
}

static void build_chain(struct services *s)
{
    size_t n = 0;
    add_step(s, &n, "validate", proxy_step_validate, NULL);
    add_step(s, &n, "route", proxy_step_route, NULL);
    add_step(s, &n, "calls", policy_step_calls, app_routes_groups(s->routes));
    add_step(s, &n, "self", proxy_step_self, NULL);
    add_step(s, &n, "edge", proxy_step_edge, NULL);
    add_step(s, &n, "policy", policy_step_policy, app_routes_get(s->routes));
    add_step(s, &n, "require", location_require_step, s->registrar);
    add_step(s, &n, "auth", auth_step, &s->auth);
    add_step(s, &n, "registrar", location_registrar_step, s->registrar);
    add_step(s, &n, "contact", location_contact_step, s->registrar);
    add_step(s, &n, "relay", proxy_step_relay, NULL);
    add_step(s, &n, "target", policy_step_target, app_routes_get(s->routes));
    add_step(s, &n, "targets", proxy_step_targets, NULL);
    add_step(s, &n, "forward", proxy_step_forward, NULL);
    for (size_t i = 0; i < n; i++)
        log_event(LOG_DEBUG, "start.step", log_u64("number", i), log_cstr("name", s->chain[i].name));
}

/* ---- life ---- */

static int log_store_failure(const struct services *s, int rc, const char *why)
{
    log_event(LOG_ERROR, "start.store_failed", log_cstr("path", s->config->store.path),
              log_cstr("error", err_name(rc)), log_cstr("why", why));
    return EX_CANTCREAT;
}

static int open_storage(struct services *s, const struct snapshot *snapshot)
{
    const struct config_registrar *registrar = &s->config->registrar;
    bool is_memory = s->config->store.kind == CONFIG_STORE_MEMORY;
    struct location_storage_opts opts = {
        .path = is_memory ? NULL : s->config->store.path,
        .limits = {.default_expires_s = registrar->default_expires_s,
                   .min_expires_s = registrar->min_expires_s,
                   .max_expires_s = registrar->max_expires_s,
                   .contacts = registrar->max_contacts,
                   .flows = {flow_is_open, s}},
        .listeners = snapshot->listeners,
        .n_listeners = snapshot->n_listeners,
        .complete = on_complete,
        .tick = on_tick,
        .ctx = s,
    };
    struct location_why why = {.text = "no memory"};
    int rc = location_storage_new(&opts, &why, &s->storage);
    return rc == 0 ? EX_OK : log_store_failure(s, rc, why.text);
}

/* Users are in the file even where bindings are kept in memory only. */
static int open_users(struct services *s)
{
    struct location_why why = {.text = "no memory"};
    int rc = users_db_open(s->config->store.path, &why, &s->users_db);
    if (rc == 0)
        rc = auth_users_new(s->users_db, &s->users);
    return rc == 0 ? EX_OK : log_store_failure(s, rc, why.text);
}

static int open_auth(struct services *s)
{
    static const enum crypto_digest_alg algorithms[CONFIG_ALGORITHM_COUNT] = {
        [CONFIG_MD5] = CRYPTO_MD5,
        [CONFIG_SHA_256] = CRYPTO_SHA256,
        [CONFIG_SHA_512_256] = CRYPTO_SHA512_256};
    for (size_t i = 0; i < s->config->auth.n_algorithms; i++)
        s->algorithms[i] = algorithms[s->config->auth.algorithms[i]];
    s->md5_only_agents = mem_zalloc((s->config->auth.n_md5_only_agents + 1) * sizeof(*s->md5_only_agents));
    if (s->md5_only_agents == NULL)
        return EX_OSERR;
    for (size_t i = 0; i < s->config->auth.n_md5_only_agents; i++)
        s->md5_only_agents[i] = slice_from_cstr(s->config->auth.md5_only_agents[i]);
    if (auth_nonces_new(s->config->auth.nonce_lifetime_s, NONCE_USES, &s->nonces) != 0)
        return EX_OSERR;
    s->auth = (struct auth_opts){.users = s->users,
                                 .nonces = s->nonces,
                                 .algorithms = s->algorithms,
                                 .n_algorithms = s->config->auth.n_algorithms,
                                 .md5_only_agents = s->md5_only_agents,
                                 .n_md5_only_agents = s->config->auth.n_md5_only_agents};
    return EX_OK;
}

static int name_third_parties(struct services *s)
{
    size_t n = s->config->registrar.n_third_parties;
    s->third_parties = mem_zalloc((n + 1) * sizeof(*s->third_parties));
    if (s->third_parties == NULL)
        return EX_OSERR;
    for (size_t i = 0; i < n; i++)
        s->third_parties[i] = slice_from_cstr(s->config->registrar.third_parties[i]);
    return EX_OK;
}

static int open_routes(struct services *s, struct snapshot *snapshot)
{
    int rc = app_routes_new(s->config, &snapshot->proxy, &s->routes);
    if (rc != 0)
        return rc == ERR_NOMEM ? EX_OSERR : EX_CONFIG;
    if (s->config->proxy.identity == CONFIG_IDENTITY_AUTO)
        snapshot->proxy.edit_response = policy_identity_edit_response;
    if (s->config->n_routes > 0) {
        snapshot->proxy.route_number = policy_routes_number;
        snapshot->proxy.route_number_ctx = app_routes_get(s->routes);
    }
    if (policy_routes_any_stateless(app_routes_get(s->routes))) {
        snapshot->proxy.is_stateless = policy_routes_are_stateless;
        snapshot->proxy.is_stateless_ctx = app_routes_get(s->routes);
    }
    return EX_OK;
}

static int open_hosts(struct services *s)
{
    const char *path = s->config->dns.hosts;
    int rc = path[0] != '\0' ? dns_hosts_load(path, &s->hosts) : dns_hosts_parse(SLICE(""), &s->hosts);
    if (rc != 0) {
        log_event(LOG_ERROR, "start.hosts_failed", log_cstr("path", path), log_cstr("error", err_name(rc)));
        return EX_OSFILE;
    }
    struct hash_key key;
    if (crypto_random_bytes(&key, sizeof(key)) != 0 || dns_health_new(HEALTH_SERVERS, &key, &s->health) != 0)
        return EX_OSERR;
    return EX_OK;
}

static int open_all(struct services *s, struct snapshot *snapshot)
{
    int code = open_hosts(s);
    if (code == EX_OK)
        code = open_users(s);
    if (code == EX_OK)
        code = open_auth(s);
    if (code == EX_OK)
        code = open_storage(s, snapshot);
    if (code != EX_OK)
        return code;
    code = name_third_parties(s);
    if (code != EX_OK)
        return code;
    if (join_service_route(s) != 0)
        return EX_OSERR;
    struct location_registrar_opts registrar = {.storage = s->storage,
                                                .proxy = &snapshot->proxy,
                                                .user_exists = user_exists,
                                                .ctx = s,
                                                .unknown_users = s->config->registrar.unknown_users,
                                                .path_unasked =
                                                    s->config->registrar.path == CONFIG_PATH_ACCEPT,
                                                .third_parties = s->third_parties,
                                                .n_third_parties = s->config->registrar.n_third_parties,
                                                .service_route = buf_slice(&s->service_route)};
    if (location_registrar_new(&registrar, &s->registrar) != 0)
        return EX_OSERR;
    s->ping = (struct location_pinger_opts){.storage = s->storage,
                                            .listeners = snapshot->pings,
                                            .n_listeners = snapshot->n_listeners,
                                            .flow_worker = transport_flow_worker};
    snapshot->proxy.secret = location_storage_secret(s->storage);
    code = open_routes(s, snapshot);
    if (code != EX_OK)
        return code;
    build_chain(s);
    snapshot->proxy.chain = s->chain;
    return EX_OK;
}

int services_new(const struct config *config, struct snapshot *snapshot, struct services **ret_services)
{
    struct services *s = mem_zalloc(sizeof(*s));
    if (s == NULL)
        return EX_OSERR;
    s->config = config;
    int code = open_all(s, snapshot);
    if (code == EX_OK)
        *ret_services = s;
    else
        services_free(s);
    return code;
}

void services_set_workers(struct services *s, struct worker **workers, struct transport_registry *registry)
{
    s->workers = workers;
    atomic_store(&s->registry, registry);
}

void services_stop(struct services *s)
{
    if (s == NULL)
        return;
    atomic_store(&s->stopping, true);
    location_storage_free(s->storage);
    s->storage = NULL;
}

void services_free(struct services *s)
{
    if (s == NULL)
        return;
    services_stop(s);
    location_registrar_free(s->registrar);
    app_routes_free(s->routes);
    auth_nonces_free(s->nonces);
    mem_free(s->third_parties);
    mem_free(s->md5_only_agents);
    mem_free(s->service_route.ptr);
    auth_users_free(s->users);
    location_db_close(s->users_db);
    dns_health_free(s->health);
    dns_hosts_free(s->hosts);
    mem_free(s);
}

/* ---- what others ask ---- */

const struct dns_hosts *services_hosts(const struct services *s)
{
    return s->hosts;
}

struct dns_health *services_health(const struct services *s)
{
    return s->health;
}

int services_locate(void *ctx, struct slice aor, unix_s_t now_s, struct arena *arena, size_t max,
                    const struct proxy_binding **ret_bindings, size_t *ret_count)
{
    struct services *s = ctx;
    return location_locate(s->registrar, aor, now_s, arena, max, ret_bindings, ret_count);
}

int services_attach(void *ctx, struct proxy *proxy)
{
    struct services *s = ctx;
    int rc = policy_groups_attach(app_routes_groups(s->routes), proxy);
    if (rc == 0 && location_ping_is_wanted(s->ping.listeners, s->ping.n_listeners))
        rc = location_pinger_new(&s->ping, proxy, &s->pingers[proxy_get_opts(proxy)->worker]);
    return rc;
}

void services_detach(void *ctx, unsigned worker)
{
    struct services *s = ctx;
    policy_groups_detach(app_routes_groups(s->routes), worker);
    location_pinger_free(s->pingers[worker]);
    s->pingers[worker] = NULL;
}

size_t services_count_bindings(const struct services *s)
{
    return location_store_count_bindings(location_storage_store(s->storage));
}

size_t services_count_users(const struct services *s)
{
    return auth_users_count(s->users);
}
