#include "routes.h"
#include "base/num.h"

struct named {
    const char *text;
    int value;
};

static bool find_word(const struct named *words, struct slice text, int *ret_value)
{
    for (; words->text; words++) {
        if (slice_eq(text, slice_from_cstr(words->text))) {
            *ret_value = words->value;
            return true;
        }
    }
    return false;
}

static const struct named rules[] = {
    {"inherit", PROXY_AUTH_INHERIT}, {"required", PROXY_AUTH_REQUIRED}, {"none", PROXY_AUTH_NONE}, {NULL, 0}};
static const struct named choices[] = {
    {"inherit", POLICY_INHERIT}, {"yes", POLICY_YES}, {"no", POLICY_NO}, {NULL, 0}};
static const struct named identities[] = {
    {"inherit", POLICY_IDENTITY_INHERIT},     {"off", POLICY_IDENTITY_OFF},
    {"auto", POLICY_IDENTITY_AUTO},           {"trusted", POLICY_IDENTITY_TRUSTED},
    {"untrusted", POLICY_IDENTITY_UNTRUSTED}, {NULL, 0}};

/* ---- routes ---- */

typedef bool set_fn(struct run *run, struct slice value, struct policy_route_opts *route);

static const struct slice *split(struct run *run, struct slice value, size_t *ret_count)
{
    struct slice *parts;

    *ret_count = plain_split(run->heap, value, ',', &parts);
    return parts;
}

static bool set_method(struct run *run, struct slice value, struct policy_route_opts *route)
{
    route->match.methods = split(run, value, &route->match.n_methods);
    return true;
}

static bool set_domain(struct run *run, struct slice value, struct policy_route_opts *route)
{
    route->match.domains = split(run, value, &route->match.n_domains);
    return true;
}

static bool set_user(struct run *run, struct slice value, struct policy_route_opts *route)
{
    route->match.users = split(run, value, &route->match.n_users);
    return true;
}

static bool set_listener(struct run *run, struct slice value, struct policy_route_opts *route)
{
    route->match.listeners = split(run, value, &route->match.n_listeners);
    return true;
}

static bool set_source(struct run *run, struct slice value, struct policy_route_opts *route)
{
    size_t count;
    const struct slice *parts = split(run, value, &count);
    struct addr_prefix *sources = heap_alloc(run->heap, (count + 1) * sizeof(*sources));

    route->match.sources = sources;
    for (; route->match.n_sources < count; route->match.n_sources++)
        if (addr_prefix_parse(parts[route->match.n_sources], &sources[route->match.n_sources]) < 0)
            return false;
    return true;
}

/* Name:pattern */
static bool set_header(struct run *run, struct slice value, struct policy_route_opts *route)
{
    size_t count;
    const struct slice *parts = split(run, value, &count);
    struct policy_header_opts *headers = heap_alloc(run->heap, (count + 1) * sizeof(*headers));

    route->match.headers = headers;
    route->match.n_headers = count;
    for (size_t i = 0; i < count; i++) {
        size_t colon = slice_find(parts[i], ':');

        headers[i].name = slice_sub(parts[i], 0, colon);
        headers[i].pattern = slice_sub(parts[i], colon + 1, parts[i].len);
    }
    return true;
}

static bool set_group(struct run *run, struct slice value, struct policy_route_opts *route)
{
    (void)run;
    route->action = POLICY_GROUP;
    route->group = value;
    return true;
}

/* URI[|Q] with q in thousandths. */
static bool set_targets(struct run *run, struct slice value, struct policy_route_opts *route)
{
    size_t count;
    const struct slice *parts = split(run, value, &count);
    struct policy_target_opts *targets = heap_alloc(run->heap, (count + 1) * sizeof(*targets));

    route->targets = targets;
    route->n_targets = count;
    for (size_t i = 0; i < count; i++) {
        size_t bar = slice_find(parts[i], '|');
        uint32_t q_milli = 1000;

        if (bar < parts[i].len &&
            num_parse_u32(slice_sub(parts[i], bar + 1, parts[i].len), 1000, &q_milli) < 0)
            return false;
        targets[i] = (struct policy_target_opts){slice_sub(parts[i], 0, bar), q_milli};
    }
    return true;
}

static bool set_uri(struct run *run, struct slice value, struct policy_route_opts *route)
{
    route->action = POLICY_URI;
    return set_targets(run, value, route);
}

static bool set_redirect(struct run *run, struct slice value, struct policy_route_opts *route)
{
    route->action = POLICY_REDIRECT;
    return set_targets(run, value, route);
}

static bool set_reject(struct run *run, struct slice value, struct policy_route_opts *route)
{
    uint32_t status = 0;

    (void)run;
    route->action = POLICY_REJECT;
    if (num_parse_u32(value, 699, &status) < 0)
        return false;
    route->status = status;
    return true;
}

static bool set_reason(struct run *run, struct slice value, struct policy_route_opts *route)
{
    (void)run;
    route->reason = value;
    return true;
}

static bool set_auth(struct run *run, struct slice value, struct policy_route_opts *route)
{
    int rule;

    (void)run;
    if (!find_word(rules, value, &rule))
        return false;
    route->auth = (enum proxy_auth_rule)rule;
    return true;
}

static bool set_recurse(struct run *run, struct slice value, struct policy_route_opts *route)
{
    int choice;

    (void)run;
    if (!find_word(choices, value, &choice))
        return false;
    route->recurse_redirects = (enum policy_choice)choice;
    return true;
}

static bool set_stateless(struct run *run, struct slice value, struct policy_route_opts *route)
{
    (void)run;
    route->stateless = slice_eq(value, SLICE("yes"));
    return true;
}

static bool set_ring(struct run *run, struct slice value, struct policy_route_opts *route)
{
    (void)run;
    return setup_parse_ms(value, &route->ring_ms);
}

static bool set_new_user(struct run *run, struct slice value, struct policy_route_opts *route)
{
    (void)run;
    route->rewrite.user = value;
    return true;
}

static bool set_prefix(struct run *run, struct slice value, struct policy_route_opts *route)
{
    (void)run;
    route->rewrite.prefix = value;
    return true;
}

static bool set_add(struct run *run, struct slice value, struct policy_route_opts *route)
{
    (void)run;
    route->rewrite.add = value;
    return true;
}

static bool set_strip(struct run *run, struct slice value, struct policy_route_opts *route)
{
    uint32_t strip = 0;

    (void)run;
    if (num_parse_u32(value, 64, &strip) < 0)
        return false;
    route->rewrite.strip = strip;
    return true;
}

static bool set_identity(struct run *run, struct slice value, struct policy_route_opts *route)
{
    int identity;

    (void)run;
    if (!find_word(identities, value, &identity))
        return false;
    route->identity = (enum policy_identity)identity;
    return true;
}

static const struct {
    const char *key;
    set_fn *set;
} keys[] = {
    {"method", set_method},     {"domain", set_domain},
    {"user", set_user},         {"listener", set_listener},
    {"source", set_source},     {"header", set_header},
    {"group", set_group},       {"uri", set_uri},
    {"redirect", set_redirect}, {"reject", set_reject},
    {"reason", set_reason},     {"auth", set_auth},
    {"recurse", set_recurse},   {"stateless", set_stateless},
    {"ring", set_ring},         {"new-user", set_new_user},
    {"prefix", set_prefix},     {"add", set_add},
    {"strip", set_strip},       {"identity", set_identity},
};

static bool set_key(struct run *run, struct slice word, struct policy_route_opts *route)
{
    size_t equals = slice_find(word, '=');

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (slice_eq(slice_sub(word, 0, equals), slice_from_cstr(keys[i].key)))
            return keys[i].set(run, slice_sub(word, equals + 1, word.len), route);
    return false;
}

bool setup_route(struct run *run, const struct stmt *stmt)
{
    struct services_opts *opts = &run->services_opts;
    struct policy_route_opts route = {.action = POLICY_LOCATION};

    if (stmt->n_words < 2)
        return run_bad_script(run, stmt, "route NAME KEY=VALUE ...");
    route.name = stmt->words[1].text;
    for (size_t i = 2; i < stmt->n_words; i++)
        if (!set_key(run, stmt->words[i].text, &route))
            return run_bad_script(run, stmt, "unknown key, or bad value: %.*s",
                                  SLICE_ARG(stmt->words[i].text));
    opts->routes = heap_grow(run->heap, opts->routes, opts->n_routes, sizeof(*opts->routes));
    opts->routes[opts->n_routes++] = route;
    return true;
}

bool setup_identity(struct run *run, const struct stmt *stmt)
{
    int identity;

    if (stmt->n_words != 2 || !find_word(identities, stmt->words[1].text, &identity))
        return run_bad_script(run, stmt, "identity off|auto");
    run->services_opts.identity = (enum policy_identity)identity;
    return true;
}
