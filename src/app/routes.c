#include "app/routes.h"
#include "base/arena.h"
#include "base/log.h"
#include "base/mem.h"

#define MEMORY_BUDGET_BYTES (64u * 1024 * 1024)

struct app_routes {
    struct arena_pool pool;
    struct arena arena; /* options */
    struct policy_groups *groups;
    struct policy_routes *routes;
};

/* ---- lists; NULL when there is no memory ---- */

static const struct slice *slices(struct arena *arena, const char *const *texts, size_t count)
{
    struct slice *out = arena_alloc(arena, (count + 1) * sizeof(*out));
    for (size_t i = 0; out != NULL && i < count; i++)
        out[i] = slice_from_cstr(texts[i]);
    return out;
}

static const struct policy_target_opts *targets(struct arena *arena, const struct config_target *from,
                                                size_t count)
{
    struct policy_target_opts *out = arena_alloc(arena, (count + 1) * sizeof(*out));
    for (size_t i = 0; out != NULL && i < count; i++)
        out[i] = (struct policy_target_opts){slice_from_cstr(from[i].uri), from[i].q_milli};
    return out;
}

static const struct policy_header_opts *headers(struct arena *arena, const struct config_route_match *from)
{
    struct policy_header_opts *out = arena_alloc(arena, (from->n_headers + 1) * sizeof(*out));
    for (size_t i = 0; out != NULL && i < from->n_headers; i++)
        out[i] = (struct policy_header_opts){slice_from_cstr(from->headers[i].name),
                                             slice_from_cstr(from->headers[i].value)};
    return out;
}

static const struct policy_member_opts *members(struct arena *arena, const struct config_group *from)
{
    struct policy_member_opts *out = arena_zalloc(arena, (from->n_members + 1) * sizeof(*out));
    for (size_t i = 0; out != NULL && i < from->n_members; i++) {
        out[i].uri = slice_from_cstr(from->members[i].uri);
        out[i].weight = from->members[i].weight;
        out[i].priority = from->members[i].priority;
        out[i].drain = from->members[i].drain;
    }
    return out;
}

/* ---- words ---- */

static enum policy_algorithm algorithm_of(enum config_group_algorithm algorithm)
{
    static const enum policy_algorithm algorithms[] = {[CONFIG_PRIORITY] = POLICY_PRIORITY,
                                                       [CONFIG_WEIGHTED] = POLICY_WEIGHTED,
                                                       [CONFIG_HASH_CALL_ID] = POLICY_HASH_CALL_ID,
                                                       [CONFIG_HASH_USER] = POLICY_HASH_USER,
                                                       [CONFIG_LEAST_CALLS] = POLICY_LEAST_CALLS};
    return algorithms[algorithm];
}

static enum policy_identity identity_of(enum config_identity identity)
{
    static const enum policy_identity identities[] = {[CONFIG_IDENTITY_INHERIT] = POLICY_IDENTITY_INHERIT,
                                                      [CONFIG_IDENTITY_OFF] = POLICY_IDENTITY_OFF,
                                                      [CONFIG_IDENTITY_AUTO] = POLICY_IDENTITY_AUTO,
                                                      [CONFIG_IDENTITY_TRUSTED] = POLICY_IDENTITY_TRUSTED,
                                                      [CONFIG_IDENTITY_UNTRUSTED] =
                                                          POLICY_IDENTITY_UNTRUSTED};
    return identities[identity];
}

static enum proxy_auth_rule auth_of(enum config_auth_rule rule)
{
    static const enum proxy_auth_rule rules[] = {[CONFIG_AUTH_INHERIT] = PROXY_AUTH_INHERIT,
                                                 [CONFIG_AUTH_REQUIRED] = PROXY_AUTH_REQUIRED,
                                                 [CONFIG_AUTH_NONE] = PROXY_AUTH_NONE};
    return rules[rule];
}

static enum policy_choice choice_of(enum config_choice choice)
{
    static const enum policy_choice choices[] = {
        [CONFIG_INHERIT] = POLICY_INHERIT, [CONFIG_YES] = POLICY_YES, [CONFIG_NO] = POLICY_NO};
    return choices[choice];
}

static enum policy_action action_of(const struct config_route *route)
{
    if (route->group[0] != '\0')
        return POLICY_GROUP;
    if (route->n_uris > 0)
        return POLICY_URI;
    if (route->n_redirects > 0)
        return POLICY_REDIRECT;
    return route->reject > 0 ? POLICY_REJECT : POLICY_LOCATION;
}

/* ---- a route, a group ---- */

static int fill_match(struct arena *arena, const struct config_route_match *from,
                      struct policy_match_opts *to)
{
    *to = (struct policy_match_opts){
        .methods = slices(arena, from->methods, from->n_methods),
        .n_methods = from->n_methods,
        .domains = slices(arena, from->domains, from->n_domains),
        .n_domains = from->n_domains,
        .users = slices(arena, from->users, from->n_users),
        .n_users = from->n_users,
        .sources = from->sources,
        .n_sources = from->n_sources,
        .listeners = slices(arena, from->listeners, from->n_listeners),
        .n_listeners = from->n_listeners,
        .headers = headers(arena, from),
        .n_headers = from->n_headers,
    };
    bool complete = to->methods != NULL && to->domains != NULL && to->users != NULL &&
                    to->listeners != NULL && to->headers != NULL;
    return complete ? 0 : ERR_NOMEM;
}

static int fill_route(struct arena *arena, const struct config_route *from, struct policy_route_opts *to)
{
    enum policy_action action = action_of(from);
    bool is_redirect = action == POLICY_REDIRECT;
    *to = (struct policy_route_opts){
        .name = slice_from_cstr(from->name),
        .action = action,
        .group = slice_from_cstr(from->group),
        .targets = is_redirect ? targets(arena, from->redirects, from->n_redirects)
                               : targets(arena, from->uris, from->n_uris),
        .n_targets = is_redirect ? from->n_redirects : from->n_uris,
        .status = from->reject,
        .reason = slice_from_cstr(from->reason),
        .rewrite = {.user = slice_from_cstr(from->rewrite.user),
                    .prefix = slice_from_cstr(from->rewrite.prefix),
                    .add = slice_from_cstr(from->rewrite.add),
                    .strip = from->rewrite.strip},
        .auth = auth_of(from->auth),
        .recurse_redirects = choice_of(from->recurse_redirects),
        .stateless = from->stateless,
        .ring_ms = from->ring_time_ms,
        .identity = identity_of(from->identity),
    };
    return to->targets == NULL ? ERR_NOMEM : fill_match(arena, &from->match, &to->match);
}

static int fill_group(struct arena *arena, const struct config_group *from, struct policy_group_opts *to)
{
    *to = (struct policy_group_opts){
        .name = slice_from_cstr(from->name),
        .algorithm = algorithm_of(from->algorithm),
        .members = members(arena, from),
        .n_members = from->n_members,
        .failover_on = from->failover_on,
        .n_failover_on = from->n_failover_on,
        .max_attempts = from->max_attempts,
        .max_failures = from->max_failures,
        .timeout_ms = from->timeout_ms,
        .progress_ms = from->progress_ms,
        .max_call_ms = from->max_call_ms,
        .probe = {.interval_ms = from->probe.interval_ms,
                  .timeout_ms = from->probe.timeout_ms,
                  .pass = from->probe.pass,
                  .fail = from->probe.fail,
                  .from = slice_from_cstr(from->probe.from),
                  .to = slice_from_cstr(from->probe.to)},
    };
    return to->members == NULL ? ERR_NOMEM : 0;
}

static int compile_groups(struct app_routes *r, const struct config *config, const struct hash_key *secret)
{
    struct policy_group_opts *opts = arena_zalloc(&r->arena, (config->n_groups + 1) * sizeof(*opts));
    int rc = opts != NULL ? 0 : ERR_NOMEM;
    for (size_t i = 0; rc == 0 && i < config->n_groups; i++)
        rc = fill_group(&r->arena, &config->groups[i], &opts[i]);
    return rc == 0 ? policy_groups_new(opts, config->n_groups, secret, &r->groups) : rc;
}

static int compile_routes(struct app_routes *r, const struct config *config, const struct proxy_opts *proxy)
{
    struct policy_route_opts *routes = arena_alloc(&r->arena, (config->n_routes + 1) * sizeof(*routes));
    struct policy_routes_opts opts = {.routes = routes,
                                      .n_routes = config->n_routes,
                                      .identity = identity_of(config->proxy.identity),
                                      .proxy = proxy,
                                      .groups = r->groups};
    size_t failed = 0;
    int rc = routes != NULL ? 0 : ERR_NOMEM;
    for (size_t i = 0; rc == 0 && i < config->n_routes; i++)
        rc = fill_route(&r->arena, &config->routes[i], &routes[i]);
    if (rc == 0)
        rc = policy_routes_new(&opts, &failed, &r->routes);
    if (rc != 0 && rc != ERR_NOMEM && failed < config->n_routes)
        log_event(LOG_ERROR, "start.route_failed", log_cstr("route", config->routes[failed].name),
                  log_cstr("error", err_name(rc)));
    return rc;
}

/* ---- life ---- */

int app_routes_new(const struct config *config, const struct proxy_opts *proxy,
                   struct app_routes **ret_routes)
{
    struct app_routes *r = mem_zalloc(sizeof(*r));
    if (r == NULL)
        return ERR_NOMEM;
    arena_pool_init(&r->pool, MEMORY_BUDGET_BYTES);
    arena_init(&r->arena, &r->pool);
    int rc = compile_groups(r, config, &proxy->secret);
    if (rc == 0)
        rc = compile_routes(r, config, proxy);
    if (rc == 0)
        *ret_routes = r;
    else
        app_routes_free(r);
    return rc;
}

void app_routes_free(struct app_routes *r)
{
    if (r == NULL)
        return;
    policy_routes_free(r->routes);
    policy_groups_free(r->groups);
    arena_done(&r->arena);
    arena_pool_done(&r->pool);
    mem_free(r);
}

struct policy_routes *app_routes_get(const struct app_routes *r)
{
    return r->routes;
}

struct policy_groups *app_routes_groups(const struct app_routes *r)
{
    return r->groups;
}
