/* Statements that describe the world before anything happens in it. `peer`, `host`, `binding`, `user` and
 * `ignore` may come later too; what is part of the proxy's configuration may not. */
#include "base/num.h"
#include "routes.h"
#include "run.h"
#include <stdlib.h>

static struct slice arg(const struct stmt *stmt, size_t i)
{
    return i < stmt->n_words ? stmt->words[i].text : SLICE("");
}

static struct slice option_or(struct run *run, const struct stmt *stmt, const char *key,
                              struct slice otherwise)
{
    const struct slice *value = script_option(run->heap, stmt, 1, key);

    return value ? *value : otherwise;
}

bool setup_parse_ms(struct slice text, ms_t *ret_ms)
{
    static const struct {
        struct slice unit;
        double ms;
    } units[] = {{{"ms", 2}, 1}, {{"min", 3}, 60000}, {{"s", 1}, 1000}, {{"h", 1}, 3600000}};
    char digits[32];
    char *end;
    double value;

    if (text.len == 0 || text.len >= sizeof(digits))
        return false;
    memcpy(digits, text.ptr, text.len);
    digits[text.len] = '\0';
    value = strtod(digits, &end);
    for (size_t i = 0; end > digits && i < sizeof(units) / sizeof(units[0]); i++) {
        if (slice_eq(slice_from_cstr(end), units[i].unit)) {
            *ret_ms = (ms_t)(value * units[i].ms + 0.5);
            return true;
        }
    }
    return false;
}

/* 192.0.2.1:5060/udp */
bool setup_parse_hop(struct slice text, struct addr *ret_addr, uint8_t *ret_transport)
{
    size_t slash = slice_find(text, '/');

    if (addr_parse(slice_sub(text, 0, slash), ret_addr) < 0)
        return false;
    *ret_transport = (uint8_t)sip_transport_from_name(slice_sub(text, slash + 1, text.len));
    if (slash == text.len)
        *ret_transport = SIP_TRANSPORT_UDP;
    if (ret_addr->port == 0)
        ret_addr->port = 5060;
    return *ret_transport != SIP_TRANSPORT_OTHER;
}

static bool parse_u32(struct slice text, uint32_t *ret_value)
{
    return num_parse_u32(text, UINT32_MAX, ret_value) == 0;
}

/* option: a table of names, kinds and places. */

enum option_kind { OPTION_MS, OPTION_BOOL, OPTION_UNSIGNED, OPTION_SIZE, OPTION_TEXT, OPTION_U8 };

struct option_place {
    const char *name;
    enum option_kind kind;
    void *place;
};

static bool set_option(const struct option_place *o, struct slice value)
{
    uint32_t n = 0;

    switch (o->kind) {
    case OPTION_MS:
        return setup_parse_ms(value, o->place);
    case OPTION_BOOL:
        *(bool *)o->place = slice_eq(value, SLICE("yes"));
        return slice_eq(value, SLICE("yes")) || slice_eq(value, SLICE("no"));
    case OPTION_TEXT:
        *(struct slice *)o->place = value;
        return true;
    default:
        break;
    }
    if (!parse_u32(value, &n))
        return false;
    if (o->kind == OPTION_UNSIGNED)
        *(unsigned *)o->place = n;
    else if (o->kind == OPTION_SIZE)
        *(size_t *)o->place = n;
    else
        *(uint8_t *)o->place = (uint8_t)n;
    return true;
}

static bool setup_option(struct run *run, const struct stmt *stmt)
{
    struct proxy_opts *p = &run->world.opts;
    struct services_opts *s = &run->services_opts;
    const struct option_place places[] = {
        {"timer_c", OPTION_MS, &p->timer_c_ms},
        {"ring", OPTION_MS, &p->ring_ms},
        {"t1", OPTION_MS, &p->times.t1_ms},
        {"t2", OPTION_MS, &p->times.t2_ms},
        {"t4", OPTION_MS, &p->times.t4_ms},
        {"timer_d", OPTION_MS, &p->times.timer_d_ms},
        {"record_route", OPTION_BOOL, &p->record_route},
        {"loop_detection", OPTION_BOOL, &p->loop_detection},
        {"recurse_3xx", OPTION_BOOL, &p->recurse_3xx},
        {"mirror_tls", OPTION_BOOL, &p->mirror_tls},
        {"max_breadth", OPTION_UNSIGNED, &p->max_breadth},
        {"max_branches", OPTION_UNSIGNED, &p->max_branches},
        {"max_spirals", OPTION_UNSIGNED, &p->max_spirals},
        {"path_mtu", OPTION_UNSIGNED, &p->path_mtu_bytes},
        {"retry_after", OPTION_UNSIGNED, &p->retry_after_s},
        {"overload_target_us", OPTION_UNSIGNED, &p->pressure.target_us},
        {"overload_interval", OPTION_MS, &p->pressure.interval_ms},
        {"no_admission", OPTION_BOOL, &p->pressure.is_off},
        {"no_oc", OPTION_BOOL, &p->is_oc_off},
        {"max_transactions", OPTION_SIZE, &p->max_transactions},
        {"arena_budget", OPTION_SIZE, &p->arena_budget_bytes},
        {"server_name", OPTION_TEXT, &p->server_name},
        {"worker", OPTION_U8, &p->worker},
        {"min_expires", OPTION_UNSIGNED, &s->min_expires_s},
        {"max_expires", OPTION_UNSIGNED, &s->max_expires_s},
        {"default_expires", OPTION_UNSIGNED, &s->default_expires_s},
        {"max_contacts", OPTION_UNSIGNED, &s->max_contacts},
        {"nonce_lifetime_s", OPTION_UNSIGNED, &s->nonce_s},
        {"flow_timer_s", OPTION_UNSIGNED, &p->flow_timer_s},
        {"service_route", OPTION_TEXT, &s->service_route},
        {"path_without_supported", OPTION_BOOL, &s->path_without_supported},
    };

    for (size_t i = 1; i < stmt->n_words; i++) {
        struct slice w = arg(stmt, i);
        size_t eq = slice_find(w, '='), k;
        const size_t n = sizeof(places) / sizeof(places[0]);

        for (k = 0; k < n && !slice_eq(slice_sub(w, 0, eq), slice_from_cstr(places[k].name)); k++)
            ;
        if (k == n || !set_option(&places[k], slice_sub(w, eq + 1, w.len)))
            return run_bad_script(run, stmt, "unknown option, or bad value: %.*s", SLICE_ARG(w));
    }
    return true;
}

static bool parse_auth_rule(struct slice text, enum proxy_auth_rule *ret_rule)
{
    if (slice_eq(text, SLICE("required")))
        *ret_rule = PROXY_AUTH_REQUIRED;
    else if (slice_eq(text, SLICE("none")))
        *ret_rule = PROXY_AUTH_NONE;
    else if (slice_eq(text, SLICE("inherit")))
        *ret_rule = PROXY_AUTH_INHERIT;
    else
        return false;
    return true;
}

/* listener udp 192.0.2.1:5060 [as=NAME] [host=...] [port=...] [auth_calls=...] [auth_register=...]
 * [stateless] [prefer_flow] */
static bool setup_listener(struct run *run, const struct stmt *stmt)
{
    struct world *w = &run->world;
    size_t n = w->opts.n_listeners;
    struct proxy_listener *l = &w->listeners[n];
    struct slice host = arg(stmt, 2);
    uint32_t port;

    if (n == WORLD_LISTENERS || addr_parse(arg(stmt, 2), &l->addr) < 0)
        return run_bad_script(run, stmt, "listener TRANSPORT ADDRESS:PORT [as=NAME] ...");
    l->transport = (uint8_t)sip_transport_from_name(arg(stmt, 1));
    host = slice_sub(host, 0, slice_rfind(host, ':'));
    l->host = option_or(run, stmt, "host", heap_dup(run->heap, host));
    port = l->addr.port;
    if (!parse_u32(option_or(run, stmt, "port", heap_printf(run->heap, "%u", port)), &port))
        return run_bad_script(run, stmt, "bad port");
    l->port = (uint16_t)port;
    l->stateless = script_flag(stmt, 3, "stateless");
    w->loops |= script_flag(stmt, 3, "loopback");
    l->prefer_flow = script_flag(stmt, 3, "prefer_flow");
    w->listener_names[n] = option_or(run, stmt, "as", SLICE("proxy"));
    l->name = option_or(run, stmt, "name", SLICE(""));
    w->opts.n_listeners++;
    return parse_auth_rule(option_or(run, stmt, "auth_calls", SLICE("inherit")), &l->auth_calls) &&
           parse_auth_rule(option_or(run, stmt, "auth_register", SLICE("inherit")), &l->auth_register);
}

/* domain example.com [auth=none|required] [auth_calls=...] [auth_register=...] [realm=...] */
static bool setup_domain(struct run *run, const struct stmt *stmt)
{
    struct world *w = &run->world;
    struct proxy_domain *d = &w->domains[w->opts.n_domains];
    struct slice both = option_or(run, stmt, "auth", SLICE("none"));

    if (w->opts.n_domains == WORLD_DOMAINS || stmt->n_words < 2)
        return run_bad_script(run, stmt, "domain NAME [auth=none|required]");
    w->opts.n_domains++;
    d->name = arg(stmt, 1);
    d->realm = option_or(run, stmt, "realm", d->name);
    return parse_auth_rule(option_or(run, stmt, "auth_calls", both), &d->auth_calls) &&
           parse_auth_rule(option_or(run, stmt, "auth_register", both), &d->auth_register);
}

static bool setup_alias(struct run *run, const struct stmt *stmt)
{
    if (run->world.opts.n_aliases == WORLD_DOMAINS)
        return run_bad_script(run, stmt, "too many aliases");
    run->world.aliases[run->world.opts.n_aliases++] = arg(stmt, 1);
    return true;
}

static bool setup_trusted(struct run *run, const struct stmt *stmt)
{
    size_t n = run->world.opts.n_trusted;

    if (n == WORLD_PREFIXES || addr_prefix_parse(arg(stmt, 1), &run->world.trusted[n]) < 0)
        return run_bad_script(run, stmt, "trusted ADDRESS/BITS");
    run->world.opts.n_trusted++;
    return true;
}

static bool setup_leads(struct run *run, const struct stmt *stmt)
{
    struct world *w = &run->world;

    if (w->n_routes == WORLD_PREFIXES || addr_parse_ip(arg(stmt, 1), &w->routes[w->n_routes].own) < 0 ||
        addr_prefix_parse(arg(stmt, 2), &w->routes[w->n_routes].to) < 0)
        return run_bad_script(run, stmt, "leads ADDRESS ADDRESS/BITS");
    w->n_routes++;
    return true;
}

static struct slice full_user(struct run *run, struct slice user)
{
    if (slice_find(user, '@') < user.len || run->world.opts.n_domains == 0)
        return user;
    return heap_printf(run->heap, "%.*s@%.*s", SLICE_ARG(user), SLICE_ARG(run->world.domains[0].name));
}

static void add_user(struct run *run, struct slice aor)
{
    struct world *w = &run->world;

    w->users = heap_grow(run->heap, w->users, w->n_users, sizeof(*w->users));
    w->users[w->n_users++] = aor;
}

/* user alice [PASSWORD]: the user exists; with a password she can be authenticated. */
static bool setup_user(struct run *run, const struct stmt *stmt)
{
    struct slice user = full_user(run, arg(stmt, 1));
    size_t at = slice_find(user, '@');

    if (at == user.len)
        return run_bad_script(run, stmt, "user NAME[@DOMAIN] [PASSWORD], after its domain");
    add_user(run, heap_printf(run->heap, "sip:%.*s", SLICE_ARG(user)));
    if (stmt->n_words < 3)
        return true;
    if (run->started)
        return run_bad_script(run, stmt, "a password belongs above");
    run->users = heap_grow(run->heap, run->users, run->n_users, sizeof(*run->users));
    run->users[run->n_users++] = (struct services_user){.name = slice_sub(user, 0, at),
                                                        .domain = slice_sub(user, at + 1, user.len),
                                                        .password = arg(stmt, 2)};
    return true;
}

/* binding bob sip:bob@192.0.2.20:5060 [q=0.5] [path="<sip:p1;lr>"] [flow=PEER] */
static bool setup_binding(struct run *run, const struct stmt *stmt)
{
    struct world *w = &run->world;
    struct world_binding b = {.binding = {.uri = arg(stmt, 2), .q_milli = 1000}};
    const struct slice *q = script_option(run->heap, stmt, 3, "q");
    const struct slice *path = script_option(run->heap, stmt, 3, "path");
    const struct slice *flow = script_option(run->heap, stmt, 3, "flow");

    if (stmt->n_words < 3)
        return run_bad_script(run, stmt, "binding USER URI [q=] [path=] [flow=]");
    b.aor = heap_printf(run->heap, "sip:%.*s", SLICE_ARG(full_user(run, arg(stmt, 1))));
    if (q)
        b.binding.q_milli = (unsigned)(strtod(q->ptr, NULL) * 1000 + 0.5);
    if (path)
        b.binding.path = *path;
    if (flow) {
        struct peer *p = run_peer(run, *flow);
        int l = p ? world_listener(w, SLICE("proxy"), p->transports[0], p->addr.family) : -1;

        if (l < 0)
            return run_bad_script(run, stmt, "flow= wants a peer that stands above");
        b.binding.has_hop = true;
        b.binding.hop =
            (struct sip_hop){.addr = p->addr, .listener = (uint16_t)l, .transport = p->transports[0]};
        if (sip_transport_is_reliable((enum sip_transport)p->transports[0])) {
            struct world_conn *c = world_connect(w, &p->addr, (uint16_t)l, false);

            b.binding.hop.flow = c->flow;
            b.binding.hop.addr = c->remote;
        }
    }
    add_user(run, b.aor);
    w->bindings = heap_grow(run->heap, w->bindings, w->n_bindings, sizeof(*w->bindings));
    w->bindings[w->n_bindings++] = b;
    return true;
}

/* unbind bob: all that was bound by hand. */
static bool setup_unbind(struct run *run, const struct stmt *stmt)
{
    struct world *w = &run->world;
    struct slice aor = heap_printf(run->heap, "sip:%.*s", SLICE_ARG(full_user(run, arg(stmt, 1))));
    size_t kept = 0;

    for (size_t i = 0; i < w->n_bindings; i++)
        if (!slice_eq(w->bindings[i].aor, aor))
            w->bindings[kept++] = w->bindings[i];
    w->n_bindings = kept;
    return true;
}

/* host gw.example.net 192.0.2.30:5060/udp ... [later]; none: no such host. */
static bool setup_host(struct run *run, const struct stmt *stmt)
{
    struct world *w = &run->world;
    struct world_host h = {.name = arg(stmt, 1), .later = script_flag(stmt, 2, "later")};

    for (size_t i = 2; i < stmt->n_words; i++) {
        struct sip_hop *hop = &h.hops[h.n_hops];

        if (slice_eq(arg(stmt, i), SLICE("later")))
            continue;
        if (h.n_hops == PROXY_HOPS_MAX || !setup_parse_hop(arg(stmt, i), &hop->addr, &hop->transport))
            return run_bad_script(run, stmt, "host NAME ADDRESS:PORT/TRANSPORT ...");
        h.n_hops++;
    }
    w->hosts = heap_grow(run->heap, w->hosts, w->n_hosts, sizeof(*w->hosts));
    w->hosts[w->n_hosts++] = h;
    return true;
}

/* peer alice 192.0.2.10:5060 [udp|tcp|udp,tcp] [aor=...] [contact=...] */
static bool setup_peer(struct run *run, const struct stmt *stmt)
{
    struct peer *p = heap_alloc(run->heap, sizeof(*p));
    struct slice transports = arg(stmt, 3);
    struct slice domain = run->world.opts.n_domains > 0 ? run->world.domains[0].name : SLICE("example.com");
    struct slice *names;
    size_t n;

    if (transports.len == 0 || slice_find(transports, '=') < transports.len)
        transports = SLICE("udp");
    n = plain_split(run->heap, transports, ',', &names);
    p->name = arg(stmt, 1);
    if (addr_parse(arg(stmt, 2), &p->addr) < 0 || p->addr.port == 0 || n > 2 || run->n_peers == 32)
        return run_bad_script(run, stmt, "peer NAME ADDRESS:PORT [TRANSPORT[,TRANSPORT]]");
    for (size_t i = 0; i < n; i++) {
        p->transports[i] = (uint8_t)sip_transport_from_name(names[i]);
        if (p->transports[i] == SIP_TRANSPORT_OTHER)
            return run_bad_script(run, stmt, "no such transport: %.*s", SLICE_ARG(names[i]));
        world_far(&run->world, &p->addr, p->transports[i])->listens = true;
    }
    p->n_transports = n;
    p->aor = option_or(run, stmt, "aor",
                       heap_printf(run->heap, "sip:%.*s@%.*s", SLICE_ARG(p->name), SLICE_ARG(domain)));
    p->contact =
        option_or(run, stmt, "contact",
                  heap_printf(run->heap, "sip:%.*s@%.*s%s", SLICE_ARG(p->name), SLICE_ARG(arg(stmt, 2)),
                              p->transports[0] == SIP_TRANSPORT_TCP ? ";transport=tcp" : ""));
    run->peers[run->n_peers++] = p;
    return true;
}

/* edge-of sip:home.example.com;lr [path_unasked] */
static bool setup_edge(struct run *run, const struct stmt *stmt)
{
    struct proxy_edge *edge = &run->world.opts.edge;

    if (sip_uri_parse(arg(stmt, 1), &edge->home) < 0)
        return run_bad_script(run, stmt, "edge-of URI [path_unasked]");
    edge->route = heap_printf(run->heap, "<%.*s>", SLICE_ARG(arg(stmt, 1)));
    edge->path_unasked = script_flag(stmt, 2, "path_unasked");
    return true;
}

static bool setup_ignore(struct run *run, const struct stmt *stmt)
{
    for (size_t i = 1; i < stmt->n_words; i++) {
        run->ignored = heap_grow(run->heap, run->ignored, run->n_ignored, sizeof(*run->ignored));
        run->ignored[run->n_ignored++] = arg(stmt, i);
    }
    return true;
}

static const struct {
    const char *word;
    bool (*run)(struct run *run, const struct stmt *stmt);
    bool early; /* part of the proxy's configuration */
} statements[] = {
    {"option", setup_option, true},      {"listener", setup_listener, true},
    {"domain", setup_domain, true},      {"alias", setup_alias, true},
    {"trusted", setup_trusted, true},    {"user", setup_user, false},
    {"leads", setup_leads, true},        {"binding", setup_binding, false},
    {"unbind", setup_unbind, false},     {"host", setup_host, false},
    {"peer", setup_peer, false},         {"ignore", setup_ignore, false},
    {"group", groups_setup_group, true}, {"member", groups_setup_member, true},
    {"route", setup_route, true},        {"identity", setup_identity, true},
    {"edge-of", setup_edge, true},
};

bool setup_run(struct run *run, const struct stmt *stmt, bool *ret_known)
{
    for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++) {
        if (!slice_eq(arg(stmt, 0), slice_from_cstr(statements[i].word)))
            continue;
        *ret_known = true;
        if (statements[i].early && run->started)
            return run_bad_script(run, stmt, "the proxy runs already: this belongs above");
        if (statements[i].run(run, stmt))
            return true;
        return run->failed ? false : run_bad_script(run, stmt, "bad value");
    }
    return true;
}
