#include "base/mem.h"
#include "policy/internal.h"

#define MEMORY_BUDGET_BYTES  (64u * 1024 * 1024)
#define HOST_BYTES           256
#define HEADER_FIELDS_LOOKED 8   /* fields of one name ... */
#define HEADER_OCTETS_LOOKED 256 /* ... and octets of each */

/* ---- compiling ---- */

static policy_set *new_set(struct policy_routes *r)
{
    return arena_zalloc(&r->arena, r->n_words * sizeof(policy_set));
}

static bool names_method(const struct policy_match_opts *match, struct slice name)
{
    for (size_t i = 0; i < match->n_methods; i++)
        if (slice_eq(match->methods[i], name))
            return true;
    return false;
}

/* A route for INVITE is one for what belongs to an INVITE. */
static bool takes_method(const struct policy_match_opts *match, enum sip_method method)
{
    if (match->n_methods == 0 || names_method(match, sip_method_name(method)))
        return true;
    return (method == SIP_METHOD_ACK || method == SIP_METHOD_CANCEL) && names_method(match, SLICE("INVITE"));
}

static bool names_other_method(const struct policy_match_opts *match)
{
    for (size_t i = 0; i < match->n_methods; i++)
        if (sip_method_from_name(match->methods[i]) == SIP_METHOD_OTHER)
            return true;
    return match->n_methods == 0;
}

static int compile_methods(struct policy_routes *r)
{
    for (enum sip_method m = SIP_METHOD_OTHER; m < SIP_METHOD_COUNT; m++) {
        r->methods[m] = new_set(r);
        if (!r->methods[m])
            return ERR_NOMEM;
        for (size_t i = 0; i < r->n_routes; i++) {
            const struct policy_match_opts *match = &r->routes[i].opts->match;

            if (m == SIP_METHOD_OTHER ? names_other_method(match) : takes_method(match, m))
                policy_set_add(r->methods[m], i);
        }
    }
    return 0;
}

static bool takes_listener(const struct policy_match_opts *match, const struct proxy_listener *listener)
{
    for (size_t i = 0; i < match->n_listeners; i++)
        if (slice_eq(match->listeners[i], listener->name))
            return true;
    return match->n_listeners == 0;
}

static int compile_listeners(struct policy_routes *r)
{
    size_t n = r->proxy->n_listeners;

    r->listeners = arena_alloc(&r->arena, (n + 1) * sizeof(*r->listeners));
    for (size_t l = 0; r->listeners && l < n; l++) {
        r->listeners[l] = new_set(r);
        if (!r->listeners[l])
            return ERR_NOMEM;
        for (size_t i = 0; i < r->n_routes; i++)
            if (takes_listener(&r->routes[i].opts->match, &r->proxy->listeners[l]))
                policy_set_add(r->listeners[l], i);
    }
    return r->listeners ? 0 : ERR_NOMEM;
}

/* The keys of one kind of condition of a route. */
static const struct slice *domains_of(const struct policy_match_opts *match, size_t *ret_count)
{
    *ret_count = match->n_domains;
    return match->domains;
}

static const struct slice *users_of(const struct policy_match_opts *match, size_t *ret_count)
{
    *ret_count = match->n_users;
    return match->users;
}

typedef const struct slice *keys_fn(const struct policy_match_opts *match, size_t *ret_count);

static int compile_index(struct policy_routes *r, keys_fn *keys_of, bool is_pattern,
                         struct policy_index *index)
{
    struct policy_index_pair *pairs;
    size_t total = 0, n = 0, count;
    int rc;

    for (size_t i = 0; i < r->n_routes; i++) {
        (void)keys_of(&r->routes[i].opts->match, &count);
        total += count;
    }
    pairs = arena_alloc(&r->arena, (total + 1) * sizeof(*pairs));
    if (!pairs)
        return ERR_NOMEM;
    for (size_t i = 0; i < r->n_routes; i++) {
        const struct slice *keys = keys_of(&r->routes[i].opts->match, &count);

        for (size_t k = 0; k < count; k++) {
            struct slice key = is_pattern ? slice_sub(keys[k], 0, pattern_literal_bytes(keys[k])) : keys[k];

            pairs[n++] = (struct policy_index_pair){key, i};
        }
    }
    rc = policy_index_build(index, pairs, n, r->n_words, &r->arena);
    for (size_t i = 0; rc == 0 && i < r->n_routes; i++) {
        (void)keys_of(&r->routes[i].opts->match, &count);
        if (count == 0)
            policy_set_add(index->any, i);
    }
    return rc;
}

static bool is_beginning(struct slice pattern)
{
    return pattern_is_simple(pattern) && pattern_literal_bytes(pattern) < pattern.len;
}

static int compile_patterns(struct policy_route *route)
{
    const struct policy_match_opts *match = &route->opts->match;

    for (size_t i = 0; i < match->n_users; i++) {
        if (!pattern_is_valid(match->users[i]))
            return ERR_SYNTAX;
        route->needs_user_check |= !is_beginning(match->users[i]);
    }
    for (size_t i = 0; i < match->n_headers; i++)
        if (match->headers[i].name.len == 0 || !pattern_is_valid(match->headers[i].pattern))
            return ERR_SYNTAX;
    return 0;
}

static int check_listeners(const struct policy_routes *r, const struct policy_match_opts *match)
{
    for (size_t i = 0; i < match->n_listeners; i++) {
        size_t l = 0;

        while (l < r->proxy->n_listeners && !slice_eq(r->proxy->listeners[l].name, match->listeners[i]))
            l++;
        if (l == r->proxy->n_listeners || match->listeners[i].len == 0)
            return ERR_NOTFOUND;
    }
    return 0;
}

static int find_group(const struct policy_routes *r, struct policy_route *route)
{
    size_t count = r->groups ? policy_groups_count(r->groups) : 0;

    for (size_t i = 0; i < count; i++) {
        if (slice_eq(policy_group_name(r->groups, i), route->opts->group)) {
            route->group = i;
            return 0;
        }
    }
    return ERR_NOTFOUND;
}

static int compile_targets(struct policy_routes *r, struct policy_route *route)
{
    size_t count = route->opts->n_targets;

    if (count == 0)
        return ERR_SYNTAX;
    if (count > POLICY_TARGETS_MAX)
        return ERR_LIMIT;
    route->targets = arena_alloc(&r->arena, count * sizeof(*route->targets));
    if (!route->targets)
        return ERR_NOMEM;
    for (size_t i = 0; i < count; i++) {
        struct policy_target *t = &route->targets[i];

        t->q_milli = route->opts->targets[i].q_milli;
        if (sip_uri_parse(route->opts->targets[i].uri, &t->uri) < 0 || !slice_is_null(t->uri.headers) ||
            (t->uri.scheme != SIP_SCHEME_SIP && t->uri.scheme != SIP_SCHEME_SIPS) || t->q_milli > 1000)
            return ERR_SYNTAX;
        route->leads_out |= route->opts->action == POLICY_URI && !proxy_uri_domain(r->proxy, &t->uri);
    }
    return 0;
}

static int compile_reject(struct policy_routes *r, struct policy_route *route)
{
    static const struct slice before = {"rejected by the route ", sizeof("rejected by the route ") - 1};
    size_t len = before.len + route->opts->name.len;
    char *why;

    if (route->opts->status < 400 || route->opts->status > 699)
        return ERR_RANGE;
    why = arena_zalloc(&r->arena, len + 1);
    if (!why)
        return ERR_NOMEM;
    memcpy(why, before.ptr, before.len);
    memcpy(why + before.len, route->opts->name.ptr, route->opts->name.len);
    route->why = why;
    return 0;
}

static int compile_action(struct policy_routes *r, struct policy_route *route)
{
    switch (route->opts->action) {
    case POLICY_GROUP:
        route->leads_out = true;
        return find_group(r, route);
    case POLICY_URI:
    case POLICY_REDIRECT:
        return compile_targets(r, route);
    case POLICY_REJECT:
        return compile_reject(r, route);
    case POLICY_LOCATION:
        break;
    }
    return 0;
}

static int compile_route(struct policy_routes *r, const struct policy_route_opts *opts,
                         struct policy_route *route)
{
    int rc;

    route->opts = opts;
    /* Who is turned away is not let in to register either. */
    route->takes_register = names_method(&opts->match, SLICE("REGISTER")) ||
                            (opts->action == POLICY_REJECT && opts->match.n_sources > 0);
    r->any_stateless |= opts->stateless;
    rc = compile_patterns(route);
    if (rc == 0)
        rc = check_listeners(r, &opts->match);
    return rc == 0 ? compile_action(r, route) : rc;
}

static int compile(struct policy_routes *r, const struct policy_routes_opts *opts, size_t *ret_failed)
{
    int rc;

    r->routes = arena_zalloc(&r->arena, (opts->n_routes + 1) * sizeof(*r->routes));
    if (!r->routes)
        return ERR_NOMEM;
    for (; r->n_routes < opts->n_routes; r->n_routes++) {
        rc = compile_route(r, &opts->routes[r->n_routes], &r->routes[r->n_routes]);
        if (rc < 0) {
            *ret_failed = r->n_routes;
            return rc;
        }
    }
    rc = compile_methods(r);
    if (rc == 0)
        rc = compile_listeners(r);
    if (rc == 0)
        rc = compile_index(r, domains_of, false, &r->domains);
    if (rc == 0)
        rc = compile_index(r, users_of, true, &r->users);
    return rc;
}

int policy_routes_new(const struct policy_routes_opts *opts, size_t *ret_failed,
                      struct policy_routes **ret_routes)
{
    struct policy_routes *r;
    int rc;

    if (opts->n_routes > POLICY_ROUTES_MAX)
        return ERR_LIMIT;
    r = mem_zalloc(sizeof(*r));
    if (!r)
        return ERR_NOMEM;
    r->proxy = opts->proxy;
    r->groups = opts->groups;
    r->identity = opts->identity;
    r->n_words = (opts->n_routes + 63) / 64;
    arena_pool_init(&r->pool, MEMORY_BUDGET_BYTES);
    arena_init(&r->arena, &r->pool);
    rc = compile(r, opts, ret_failed);
    if (rc == 0)
        *ret_routes = r;
    else
        policy_routes_free(r);
    return rc;
}

void policy_routes_free(struct policy_routes *r)
{
    if (!r)
        return;
    arena_done(&r->arena);
    arena_pool_done(&r->pool);
    mem_free(r);
}

/* ---- finding ---- */

/* The name under which the domain condition knows the host of the Request-URI: of ours the domain's own. */
static struct slice domain_key(const struct policy_request *q, char out[HOST_BYTES])
{
    struct slice host = q->ruri->host;
    struct buf b;

    if (q->domain)
        return q->domain->name;
    buf_init(&b, out, HOST_BYTES);
    if (q->ruri->addr.family != ADDR_NONE) {
        addr_format_ip(&q->ruri->addr, true, &b);
        return buf_slice(&b);
    }
    if (host.len > 1 && host.ptr[host.len - 1] == '.')
        host.len--;
    for (size_t i = 0; i < host.len; i++)
        buf_putc(&b,
                 host.ptr[i] >= 'A' && host.ptr[i] <= 'Z' ? (char)(host.ptr[i] - 'A' + 'a') : host.ptr[i]);
    return buf_slice(&b);
}

/* The routes that the user part leaves possible. */
static void find_users(const struct policy_routes *r, struct slice user, policy_set ret_set[POLICY_WORDS])
{
    memcpy(ret_set, r->users.any, r->n_words * sizeof(*ret_set));
    for (size_t i = 0; i < r->users.n_lengths && r->users.lengths[i] <= user.len; i++) {
        const policy_set *found = policy_index_find(&r->users, slice_sub(user, 0, r->users.lengths[i]));

        for (size_t w = 0; found && w < r->n_words; w++)
            ret_set[w] |= found[w];
    }
}

static bool has_user(const struct policy_match_opts *match, struct slice user)
{
    for (size_t i = 0; i < match->n_users; i++)
        if (pattern_matches(match->users[i], user, PATTERN_CASE))
            return true;
    return match->n_users == 0;
}

static bool has_source(const struct policy_match_opts *match, const struct addr *source)
{
    for (size_t i = 0; i < match->n_sources; i++)
        if (addr_prefix_has(&match->sources[i], source))
            return true;
    return match->n_sources == 0;
}

static bool is_named(const struct sip_msg *msg, const struct sip_hdr *hdr, enum sip_hdr_id id,
                     struct slice name)
{
    if (id != SIP_HDR_OTHER)
        return hdr->id == id;
    return hdr->id == SIP_HDR_OTHER &&
           slice_eq_nocase(slice_make(msg->bytes + hdr->line_off, hdr->name_len), name);
}

static bool has_header(const struct sip_msg *msg, const struct policy_header_opts *header)
{
    enum sip_hdr_id id = sip_hdr_from_name(header->name);
    size_t looked = 0;

    for (size_t i = 0; i < msg->n_hdrs && looked < HEADER_FIELDS_LOOKED; i++) {
        struct slice value = slice_sub(sip_hdr_value(msg, &msg->hdrs[i]), 0, HEADER_OCTETS_LOOKED);

        if (!is_named(msg, &msg->hdrs[i], id, header->name))
            continue;
        if (pattern_matches(header->pattern, value, PATTERN_NOCASE))
            return true;
        looked++;
    }
    return false;
}

static bool has_headers(const struct policy_match_opts *match, const struct sip_msg *msg)
{
    for (size_t i = 0; i < match->n_headers; i++)
        if (!has_header(msg, &match->headers[i]))
            return false;
    return true;
}

/* What the sets have not decided. */
static bool holds(const struct policy_route *route, const struct policy_request *q, struct slice user)
{
    const struct policy_match_opts *match = &route->opts->match;

    if (q->msg->method == SIP_METHOD_REGISTER && q->domain && !route->takes_register)
        return false;
    if (q->msg->method == SIP_METHOD_OTHER && match->n_methods > 0 &&
        !names_method(match, q->msg->method_name))
        return false;
    return (!route->needs_user_check || has_user(match, user)) && has_source(match, &q->from->addr) &&
           has_headers(match, q->msg);
}

int policy_routes_find(const struct policy_routes *r, const struct policy_request *q)
{
    char host_memory[HOST_BYTES], user_memory[POLICY_USER_BYTES];
    struct slice user = policy_user_decode(q->ruri->user, user_memory);
    const policy_set *methods = r->methods[q->msg->method], *listeners = r->listeners[q->from->listener];
    const policy_set *domains = policy_index_find(&r->domains, domain_key(q, host_memory));
    policy_set users[POLICY_WORDS];

    find_users(r, user, users);
    for (size_t w = 0; w < r->n_words; w++) {
        policy_set left =
            users[w] & methods[w] & listeners[w] & (r->domains.any[w] | (domains ? domains[w] : 0));

        for (; left != 0; left &= left - 1) {
            size_t i = w * 64 + (size_t)__builtin_ctzll(left);

            if (holds(&r->routes[i], q, user))
                return (int)i;
        }
    }
    return -1;
}

/* Before there is a proxy_request. */
static int find_early(const struct policy_routes *r, const struct proxy_opts *opts, struct sip_msg *request,
                      const struct sip_hop *from)
{
    const struct sip_uri *ruri;
    struct policy_request q = {.msg = request, .from = from};

    if (r->n_routes == 0 || sip_msg_ruri(request, &ruri) < 0)
        return -1;
    q.ruri = ruri;
    q.domain = proxy_uri_domain(opts, ruri);
    return policy_routes_find(r, &q);
}

bool policy_routes_are_stateless(const void *ctx, const struct proxy_opts *opts, struct sip_msg *request,
                                 const struct sip_hop *from)
{
    const struct policy_routes *r = ctx;
    int found = find_early(r, opts, request, from);

    return found >= 0 && r->routes[found].opts->stateless;
}

uint64_t policy_routes_number(const void *ctx, const struct proxy_opts *opts, struct sip_msg *request,
                              const struct sip_hop *from)
{
    return (uint64_t)(find_early(ctx, opts, request, from) + 1);
}

bool policy_routes_any_stateless(const struct policy_routes *r)
{
    return r->any_stateless;
}
