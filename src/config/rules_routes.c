#include "config/rules_routes.h"
#include "base/pattern.h"
#include "config/suggest.h"
#include <stdarg.h>

#define MEMBER_MAX_BYTES 64
#define KEY_MAX_BYTES    (MEMBER_MAX_BYTES + 32) /* "routes[N]." before it */
#define REMEDY_MAX_BYTES 160
#define LOOP_STEPS_MAX   16 /* routes that one request is followed through */

struct rules {
    const struct config *config;
    const struct node *root;
    struct config_errors *errors;
};

static struct slice text_of(const char *text)
{
    return text ? slice_from_cstr(text) : SLICE("");
}

/* ---- telling ---- */

static unsigned line_of(const struct rules *rules, const char *key)
{
    return document_line(rules->root, key);
}

static void tell(const struct rules *rules, size_t route, const char *member, const char *remedy,
                 const char *what)
{
    char key[KEY_MAX_BYTES];

    snprintf(key, sizeof(key), "routes[%zu]%s%s", route, member[0] ? "." : "", member);
    config_errors_add(rules->errors, line_of(rules, key), key, remedy, "%s", what);
}

static void warn(const struct rules *rules, size_t route, const char *member, const char *remedy,
                 const char *what)
{
    char key[KEY_MAX_BYTES];

    snprintf(key, sizeof(key), "routes[%zu]%s%s", route, member[0] ? "." : "", member);
    config_errors_warn(rules->errors, line_of(rules, key), key, remedy, "%s", what);
}

static bool is_wrong_itself(const struct rules *rules, size_t route)
{
    char key[KEY_MAX_BYTES];

    snprintf(key, sizeof(key), "routes[%zu]", route);
    return config_errors_has(rules->errors, key);
}

/* ---- names ---- */

typedef const char *name_fn(const struct config *config, size_t index);

static const char *route_name(const struct config *config, size_t index)
{
    return config->routes[index].name;
}

static const char *group_name(const struct config *config, size_t index)
{
    return config->groups[index].name;
}

static const char *listener_name(const struct config *config, size_t index)
{
    return config->listeners[index].name;
}

static bool is_there(const struct rules *rules, const char *name, name_fn *name_at, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (slice_eq(text_of(name), text_of(name_at(rules->config, i))))
            return true;
    return false;
}

static void tell_unknown(const struct rules *rules, size_t route, const char *member, const char *what,
                         const char *name, name_fn *name_at, size_t count)
{
    struct suggest close = {.word = text_of(name)};
    char quoted[CONFIG_QUOTED_BYTES], text[160], remedy[REMEDY_MAX_BYTES];

    for (size_t i = 0; i < count; i++)
        if (text_of(name_at(rules->config, i)).len > 0)
            suggest_consider(&close, name_at(rules->config, i));
    snprintf(text, sizeof(text), "no %s has the name %s", what, config_quote(text_of(name), quoted));
    if (close.best)
        snprintf(remedy, sizeof(remedy), "did you mean \"%s\"?", close.best);
    else
        snprintf(remedy, sizeof(remedy), "give one of the %ss this name", what);
    tell(rules, route, member, remedy, text);
}

/* Routes and groups are known by their names. */
static void check_twins(const struct rules *rules, const char *list, name_fn *name_at, size_t count)
{
    char key[KEY_MAX_BYTES], other[KEY_MAX_BYTES], quoted[CONFIG_QUOTED_BYTES];

    for (size_t i = 1; i < count; i++) {
        for (size_t k = 0; k < i && name_at(rules->config, i); k++) {
            if (!slice_eq(text_of(name_at(rules->config, i)), text_of(name_at(rules->config, k))))
                continue;
            snprintf(key, sizeof(key), "%s[%zu].name", list, i);
            snprintf(other, sizeof(other), "%s[%zu].name", list, k);
            config_errors_add(rules->errors, line_of(rules, key), key, "give each a name of its own",
                              "%s is also %s (line %u)",
                              config_quote(text_of(name_at(rules->config, i)), quoted), other,
                              line_of(rules, other));
            break;
        }
    }
}

static void check_references(const struct rules *rules, size_t index)
{
    const struct config *config = rules->config;
    const struct config_route *route = &config->routes[index];
    char member[MEMBER_MAX_BYTES];

    if (text_of(route->group).len > 0 && !is_there(rules, route->group, group_name, config->n_groups))
        tell_unknown(rules, index, "group", "group", route->group, group_name, config->n_groups);
    for (size_t i = 0; i < route->match.n_listeners; i++) {
        if (is_there(rules, route->match.listeners[i], listener_name, config->n_listeners))
            continue;
        snprintf(member, sizeof(member), "match.listener[%zu]", i);
        tell_unknown(rules, index, member, "listener", route->match.listeners[i], listener_name,
                     config->n_listeners);
    }
}

/* ---- domains ---- */

static bool is_own_domain(const struct config *config, struct slice host)
{
    for (size_t i = 0; i < config->n_domains; i++)
        if (slice_eq_nocase(host, text_of(config->domains[i].name)))
            return true;
    return false;
}

/* A host of another's is fine; one that looks like one of ours is a slip. */
static void check_domains(const struct rules *rules, size_t index)
{
    const struct config_route_match *match = &rules->config->routes[index].match;
    char member[MEMBER_MAX_BYTES], quoted[CONFIG_QUOTED_BYTES], what[160], remedy[REMEDY_MAX_BYTES];

    for (size_t i = 0; i < match->n_domains; i++) {
        struct suggest close = {.word = text_of(match->domains[i])};

        for (size_t k = 0; k < rules->config->n_domains && rules->config->domains[k].name; k++)
            suggest_consider(&close, rules->config->domains[k].name);
        if (!close.best || is_own_domain(rules->config, text_of(match->domains[i])))
            continue;
        snprintf(member, sizeof(member), "match.domain[%zu]", i);
        snprintf(what, sizeof(what), "%s is none of the domains of this proxy",
                 config_quote(text_of(match->domains[i]), quoted));
        snprintf(remedy, sizeof(remedy), "did you mean \"%s\"?", close.best);
        warn(rules, index, member, remedy, what);
    }
}

static bool may_be_foreign(const struct config *config, const struct config_route_match *match)
{
    for (size_t i = 0; i < match->n_domains; i++)
        if (!is_own_domain(config, text_of(match->domains[i])))
            return true;
    return match->n_domains == 0;
}

static bool is_foreign_alone(const struct config *config, const struct config_route_match *match)
{
    for (size_t i = 0; i < match->n_domains; i++)
        if (is_own_domain(config, text_of(match->domains[i])))
            return false;
    return match->n_domains > 0;
}

/* ---- actions ---- */

static void check_actions(const struct rules *rules, size_t index)
{
    const struct config_route *route = &rules->config->routes[index];
    const struct {
        const char *name;
        bool given;
    } actions[] = {{"group", text_of(route->group).len > 0},
                   {"uri", route->n_uris > 0},
                   {"redirect", route->n_redirects > 0},
                   {"reject", route->reject > 0}};
    const char *first = NULL;
    char what[96];

    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        if (actions[i].given && first) {
            snprintf(what, sizeof(what), "is a second action beside \"%s\"", first);
            tell(rules, index, actions[i].name, "leave one out: a route has one action", what);
        }
        if (actions[i].given && !first)
            first = actions[i].name;
    }
    if (text_of(route->reason).len > 0 && route->reject == 0)
        tell(rules, index, "reason", "leave it out, or add \"reject\" with a status",
             "is a reason without a rejection");
}

static void check_stateless(const struct rules *rules, size_t index)
{
    const struct config_route *route = &rules->config->routes[index];

    if (!route->stateless)
        return;
    if (route->match.n_headers > 0)
        tell(rules, index, "match.header", "leave it out, or let the route be stateful",
             "cannot decide a stateless route: the CANCEL and ACK of a call do not repeat its header fields");
    if (route->auth == CONFIG_AUTH_REQUIRED)
        tell(rules, index, "auth",
             "let the route be stateful, or know the senders by \"source\" and use \"none\"",
             "cannot be asked for on a stateless route: CANCEL and ACK carry no credentials");
}

static bool has_rewrite(const struct config_route_rewrite *r)
{
    return text_of(r->user).len + text_of(r->prefix).len + text_of(r->add).len + r->strip > 0;
}

static void check_rewrite(const struct rules *rules, size_t index)
{
    const struct config_route *route = &rules->config->routes[index];

    if (has_rewrite(&route->rewrite) && rules->config->n_domains > 0 &&
        is_foreign_alone(rules->config, &route->match))
        warn(rules, index, "rewrite", "match a domain of this proxy",
             "never happens: a Request-URI in another's domain is not changed (RFC 3261 section 16.5)");
}

/* ---- no open relay without a word ---- */

static struct slice host_of(const char *uri)
{
    struct slice text = text_of(uri);
    size_t at;

    text = slice_sub(text, slice_find(text, ':') + 1, text.len);
    at = slice_find(text, '@');
    text = slice_sub(text, at < text.len ? at + 1 : 0, text.len);
    text = slice_sub(text, 0, slice_find(text, ';'));
    if (slice_starts_with(text, SLICE("[")))
        return slice_sub(text, 0, slice_find(text, ']') + 1);
    return slice_sub(text, 0, slice_find(text, ':'));
}

static bool leads_out(const struct config *config, const struct config_route *route)
{
    if (text_of(route->group).len > 0)
        return true;
    for (size_t i = 0; i < route->n_uris; i++)
        if (!is_own_domain(config, host_of(route->uris[i].uri)))
            return true;
    return route->n_uris + route->n_redirects + route->reject == 0 && may_be_foreign(config, &route->match);
}

static void check_relay(const struct rules *rules, size_t index)
{
    const struct config_route *route = &rules->config->routes[index];

    if (route->auth == CONFIG_AUTH_NONE && route->match.n_sources + route->match.n_listeners == 0 &&
        leads_out(rules->config, route))
        warn(rules, index, "auth", "say with match.source or match.listener whose requests these are",
             "opens a relay: whoever can reach this proxy may use it to go there");
}

/* ---- routes that are never reached ---- */

static bool patterns_cover(const char *const *a, size_t n_a, const char *b, enum pattern_case which)
{
    for (size_t i = 0; i < n_a; i++)
        if (pattern_covers(text_of(a[i]), text_of(b), which))
            return true;
    return false;
}

/* Does each of b's alternatives fulfil a's condition too? None at all means any. */
static bool words_cover(const char *const *a, size_t n_a, const char *const *b, size_t n_b, bool is_pattern)
{
    for (size_t i = 0; i < n_b && n_a > 0; i++) {
        bool found = is_pattern && patterns_cover(a, n_a, b[i], PATTERN_CASE);

        for (size_t k = 0; k < n_a && !found; k++)
            found = slice_eq(text_of(a[k]), text_of(b[i]));
        if (!found)
            return false;
    }
    return n_a == 0 || n_b > 0;
}

static bool prefix_covers(const struct addr_prefix *a, const struct addr_prefix *b)
{
    return a->bits <= b->bits && addr_prefix_has(a, &b->addr);
}

static bool sources_cover(const struct config_route_match *a, const struct config_route_match *b)
{
    for (size_t i = 0; i < b->n_sources && a->n_sources > 0; i++) {
        size_t k = 0;

        while (k < a->n_sources && !prefix_covers(&a->sources[k], &b->sources[i]))
            k++;
        if (k == a->n_sources)
            return false;
    }
    return a->n_sources == 0 || b->n_sources > 0;
}

static bool has_header(const struct config_route_match *match, const struct config_route_header *wanted)
{
    for (size_t i = 0; i < match->n_headers; i++)
        if (slice_eq_nocase(text_of(match->headers[i].name), text_of(wanted->name)) &&
            pattern_covers(text_of(wanted->value), text_of(match->headers[i].value), PATTERN_NOCASE))
            return true;
    return false;
}

/* All of a's header fields are demanded by b too. */
static bool headers_cover(const struct config_route_match *a, const struct config_route_match *b)
{
    for (size_t i = 0; i < a->n_headers; i++)
        if (!has_header(b, &a->headers[i]))
            return false;
    return true;
}

/* A REGISTER is matched only by who names it: one that does is not covered by one that takes any method. */
static bool methods_cover(const struct config_route_match *a, const struct config_route_match *b)
{
    for (size_t i = 0; i < b->n_methods && a->n_methods == 0; i++)
        if (slice_eq(text_of(b->methods[i]), SLICE("REGISTER")))
            return false;
    return words_cover(a->methods, a->n_methods, b->methods, b->n_methods, false);
}

static bool match_covers(const struct config_route_match *a, const struct config_route_match *b)
{
    return methods_cover(a, b) && words_cover(a->domains, a->n_domains, b->domains, b->n_domains, false) &&
           words_cover(a->users, a->n_users, b->users, b->n_users, true) && sources_cover(a, b) &&
           words_cover(a->listeners, a->n_listeners, b->listeners, b->n_listeners, false) &&
           headers_cover(a, b);
}

static bool is_catch_all(const struct config_route_match *m)
{
    return m->n_methods + m->n_domains + m->n_users + m->n_sources + m->n_listeners + m->n_headers == 0;
}

static void check_reachable(const struct rules *rules, size_t index)
{
    const struct config *config = rules->config;
    const struct config_route_match *match = &config->routes[index].match;
    char quoted[CONFIG_QUOTED_BYTES], what[192], key[KEY_MAX_BYTES];

    if (is_catch_all(match) && index + 1 < config->n_routes && !is_wrong_itself(rules, index)) {
        tell(rules, index, "match", "move it to the end, or say what it is for",
             "is empty, so the routes after this one are never reached");
        return;
    }
    for (size_t i = 0; i < index; i++) {
        /* Told already, and of all that come after it. */
        if (is_catch_all(&config->routes[i].match) || !match_covers(&config->routes[i].match, match))
            continue;
        snprintf(key, sizeof(key), "routes[%zu]", i);
        snprintf(what, sizeof(what),
                 "is never reached: all that matches is taken by routes[%zu], %s (line %u)", i,
                 config_quote(text_of(config->routes[i].name), quoted), line_of(rules, key));
        tell(rules, index, "match", "move it before that one, or leave it out", what);
        return;
    }
}

/* ---- loops ---- */

/* Would a request for this URI surely be taken by the route, wherever it comes from? Only what the URI itself
 * decides is asked: a condition on anything else makes it uncertain, and nothing is said. */
static bool takes_uri(const struct config_route *route, struct slice user, struct slice host)
{
    const struct config_route_match *m = &route->match;
    size_t i = 0;

    if (m->n_sources + m->n_listeners + m->n_headers > 0)
        return false;
    while (i < m->n_domains && !slice_eq_nocase(text_of(m->domains[i]), host))
        i++;
    if (m->n_domains > 0 && i == m->n_domains)
        return false;
    for (i = 0; i < m->n_users; i++)
        if (pattern_matches(text_of(m->users[i]), user, PATTERN_CASE))
            return true;
    return m->n_users == 0;
}

static struct slice user_of(const char *uri)
{
    struct slice text = text_of(uri);
    size_t at;

    text = slice_sub(text, slice_find(text, ':') + 1, text.len);
    at = slice_find(text, '@');
    return at < text.len ? slice_sub(text, 0, at) : SLICE("");
}

/* The user that a target of a route has: its own, or that of the request, of which no more is known than a
 * pattern without anything variable says. */
static struct slice target_user(const struct config_route *route, const char *uri)
{
    struct slice user = user_of(uri);
    bool is_fixed = route->match.n_users == 1 && !has_rewrite(&route->rewrite);
    struct slice pattern = is_fixed ? text_of(route->match.users[0]) : SLICE("");

    if (user.len > 0)
        return user;
    return pattern_literal_bytes(pattern) == pattern.len ? pattern : SLICE("");
}

static const struct config_group *find_group(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->n_groups && text_of(name).len > 0; i++)
        if (slice_eq(text_of(config->groups[i].name), text_of(name)))
            return &config->groups[i];
    return NULL;
}

/* Where a route leads to, one after the other: its own URIs, or the members of its group. NULL: no more. */
static const char *target_at(const struct config *config, const struct config_route *route, size_t at)
{
    const struct config_group *group = find_group(config, route->group);

    if (group)
        return at < group->n_members ? group->members[at].uri : NULL;
    if (route->n_uris > 0)
        return at < route->n_uris ? route->uris[at].uri : NULL;
    return at < route->n_redirects ? route->redirects[at].uri : NULL;
}

/* The route that a request takes when it comes back by this target of that one; n_routes: it
 * does not come back, or is not routed. */
static size_t next_route(const struct config *config, size_t index, const char *uri)
{
    struct slice host = host_of(uri), user = target_user(&config->routes[index], uri);
    size_t next = 0;

    if (!is_own_domain(config, host) || (user.len == 0 && config->routes[index].match.n_users > 0))
        return config->n_routes;
    while (next < config->n_routes && !takes_uri(&config->routes[next], user, host))
        next++;
    return next;
}

/* Routes that a request comes by, each once. */
struct walk {
    size_t routes[LOOP_STEPS_MAX];
    size_t count;
};

static void visit(struct walk *walk, size_t route)
{
    size_t i = 0;

    while (i < walk->count && walk->routes[i] != route)
        i++;
    if (i == walk->count && walk->count < LOOP_STEPS_MAX)
        walk->routes[walk->count++] = route;
}

static bool leads_to(const struct config *config, size_t from, size_t index)
{
    struct walk walk = {.routes = {from}, .count = 1};

    for (size_t i = 0; i < walk.count; i++) {
        const struct config_route *route = &config->routes[walk.routes[i]];
        const char *uri;

        for (size_t k = 0; (uri = target_at(config, route, k)) != NULL; k++) {
            size_t next = next_route(config, walk.routes[i], uri);

            if (next == index)
                return true;
            if (next < config->n_routes)
                visit(&walk, next);
        }
    }
    return false;
}

static void tell_loop(const struct rules *rules, size_t index, size_t at, bool is_straight)
{
    const struct config_route *route = &rules->config->routes[index];
    char what[200], member[MEMBER_MAX_BYTES], quoted[CONFIG_QUOTED_BYTES];
    bool is_group = find_group(rules->config, route->group) != NULL;

    if (is_group)
        snprintf(member, sizeof(member), "group");
    else
        snprintf(member, sizeof(member), "%s[%zu]", route->n_uris > 0 ? "uri" : "redirect", at);
    snprintf(what, sizeof(what), "%s%s leads back to this route%s", is_group ? "its member " : "",
             config_quote(text_of(target_at(rules->config, route, at)), quoted),
             is_straight ? "" : " by way of others");
    tell(rules, index, member, "name another user or host, or let match.user leave it out", what);
}

static void check_loop(const struct rules *rules, size_t index)
{
    const struct config *config = rules->config;
    const char *uri;

    for (size_t i = 0; (uri = target_at(config, &config->routes[index], i)) != NULL; i++) {
        size_t next = next_route(config, index, uri);

        if (next < config->n_routes && (next == index || leads_to(config, next, index))) {
            tell_loop(rules, index, i, next == index);
            return;
        }
    }
}

/* ---- groups ---- */

/* Counted, tried and probed as two, while one gateway is behind them. */
static void check_members(const struct rules *rules, size_t index)
{
    const struct config_group *group = &rules->config->groups[index];
    char key[KEY_MAX_BYTES], other[KEY_MAX_BYTES], quoted[CONFIG_QUOTED_BYTES];

    for (size_t i = 1; i < group->n_members; i++) {
        struct slice uri = text_of(group->members[i].uri);
        size_t k = 0;

        while (k < i && !slice_eq_nocase(uri, text_of(group->members[k].uri)))
            k++;
        if (k == i || uri.len == 0)
            continue;
        snprintf(key, sizeof(key), "groups[%zu].members[%zu].uri", index, i);
        snprintf(other, sizeof(other), "groups[%zu].members[%zu].uri", index, k);
        config_errors_add(rules->errors, line_of(rules, key), key,
                          "leave one out, and give the other its weight", "%s is also %s (line %u)",
                          config_quote(uri, quoted), other, line_of(rules, other));
    }
}

static void check_probe(const struct rules *rules, size_t index)
{
    const struct config_group_probe *probe = &rules->config->groups[index].probe;
    char key[KEY_MAX_BYTES];

    if (probe->interval_ms == 0 || probe->timeout_ms <= probe->interval_ms)
        return;
    snprintf(key, sizeof(key), "groups[%zu].probe.timeout", index);
    config_errors_warn(rules->errors, line_of(rules, key), key, "lower it, or raise probe.interval", "%s",
                       "is longer than probe.interval: a silent member is asked less often than that says");
}

/* ---- all ---- */

void rules_routes_check(const struct config *config, const struct node *root, struct config_errors *errors)
{
    static void (*const checks[])(const struct rules *rules, size_t index) = {
        check_references, check_actions, check_stateless, check_rewrite,
        check_domains,    check_relay,   check_reachable, check_loop};
    const struct rules rules = {config, root, errors};

    check_twins(&rules, "groups", group_name, config->n_groups);
    check_twins(&rules, "routes", route_name, config->n_routes);
    for (size_t i = 0; i < config->n_groups; i++) {
        check_members(&rules, i);
        check_probe(&rules, i);
    }
    for (size_t i = 0; i < config->n_routes; i++) {
        if (is_wrong_itself(&rules, i))
            continue;
        for (size_t k = 0; k < sizeof(checks) / sizeof(checks[0]); k++)
            checks[k](&rules, i);
    }
}
