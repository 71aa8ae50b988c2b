#include "policy/internal.h"
#include "sip/edit.h"

#define Q_MILLI_MAX   1000
#define CONTACT_BYTES 16 /* <>;q=0.123 and a comma */

static const struct policy_route *route_of(const struct proxy_request *req)
{
    return req->route_choice;
}

/* An ACK is never answered; a CANCEL that gets here has nothing to cancel (RFC 3261 section 9.2). */
static unsigned status_for(const struct proxy_request *req, unsigned status)
{
    return req->method == SIP_METHOD_CANCEL ? 481 : status;
}

/* ---- where it goes ---- */

/* RFC 3261 section 16.5: only a Request-URI that this proxy is responsible for may be changed. */
static bool is_ours(const struct proxy_request *req)
{
    return req->domain ||
           (slice_is_null(req->ruri.maddr) && proxy_uri_is_self(proxy_get_opts(req->proxy), &req->ruri));
}

/* What stands behind the user part: host, port and parameters. */
static struct slice tail_of(const struct sip_uri *uri)
{
    const char *end = uri->text.ptr + uri->text.len;

    return slice_make(uri->host.ptr, (size_t)(end - uri->host.ptr));
}

/* A URI with the scheme of `secure`, this user, and the rest of `base`. Absent when the arena is full. */
static struct slice join_uri(struct proxy_request *req, struct slice user, const struct sip_uri *base)
{
    static const struct slice phone = {";user=phone", sizeof(";user=phone") - 1};
    struct slice value, tail = tail_of(base);
    size_t cap = sizeof("sips:@") + user.len + tail.len + phone.len;
    char *memory = arena_alloc(&req->arena, cap);
    bool is_secure = req->ruri.scheme == SIP_SCHEME_SIPS || base->scheme == SIP_SCHEME_SIPS;
    struct buf out;

    if (!memory)
        return SLICE_NULL;
    buf_init(&out, memory, cap);
    buf_cstr(&out, is_secure ? "sips:" : "sip:");
    if (user.len > 0) {
        buf_put(&out, user);
        buf_lit(&out, "@");
    }
    buf_put(&out, tail);
    if (sip_uri_param(&req->ruri, SLICE("user"), &value) && slice_eq_nocase(value, SLICE("phone")) &&
        !sip_uri_param(base, SLICE("user"), &value))
        buf_put(&out, phone);
    return buf_slice(&out);
}

/* The user part of a target is that of the request, unless it has one of its own. */
static struct slice target_uri(struct proxy_request *req, const struct sip_uri *base)
{
    return join_uri(req, slice_is_null(base->user) ? req->ruri.user : base->user, base);
}

/* Section 16.6 step 6: a next hop for a Request-URI that must stay as it is stands in Route. */
static struct slice route_value(struct proxy_request *req, const struct sip_uri *base)
{
    size_t cap = base->text.len + sizeof("<;lr>");
    char *memory = arena_alloc(&req->arena, cap);
    struct buf out;

    if (!memory)
        return SLICE_NULL;
    buf_init(&out, memory, cap);
    buf_lit(&out, "<");
    buf_put(&out, base->text);
    if (!base->lr)
        buf_lit(&out, ";lr");
    buf_lit(&out, ">");
    return buf_slice(&out);
}

static int add_target(struct proxy_request *req, const struct sip_uri *base, struct proxy_binding binding)
{
    bool is_changed = is_ours(req) && !slice_is_null(req->ruri.user);
    int rc;

    binding.uri = is_changed ? target_uri(req, base) : req->ruri_text;
    if (!is_changed)
        binding.path = route_value(req, base);
    if (slice_is_null(binding.uri) || (!is_changed && slice_is_null(binding.path)))
        return ERR_NOMEM;
    rc = proxy_add_target(req, &binding);
    /* One that is there already, or one too many, is no fault of the request. */
    return rc == ERR_EXISTS || rc == ERR_LIMIT ? 0 : rc;
}

static enum proxy_verdict finish_targets(struct proxy_request *req, int rc)
{
    if (rc == ERR_NOMEM)
        return proxy_shed(req, "no memory for the target set");
    if (rc < 0 || req->n_targets == 0)
        return proxy_reply(req, 404, SLICE_NULL, NULL, "the route makes no usable URI of this one (16.5)");
    return PROXY_NEXT;
}

static enum proxy_verdict to_uris(struct proxy_request *req, const struct policy_route *route)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < route->opts->n_targets; i++)
        rc = add_target(req, &route->targets[i].uri,
                        (struct proxy_binding){.q_milli = route->targets[i].q_milli});
    return finish_targets(req, rc);
}

/* Falling q: the members are tried one after the other. */
static enum proxy_verdict to_group(struct proxy_request *req, const struct policy_routes *routes,
                                   const struct policy_route *route)
{
    const struct proxy_watch *watch = policy_group_watch(routes->groups, route->group);
    const struct proxy_ports *ports = proxy_get_ports(req->proxy);
    struct policy_group_choice choices[POLICY_GROUP_MEMBERS_MAX];
    struct policy_group_key key = {.call_id = req->call_id,
                                   .user = req->ruri.user,
                                   .now_ms = proxy_now_ms(req->proxy),
                                   .is_stateless = proxy_request_is_stateless(req)};
    size_t count = 0;
    int rc;

    ports->random(ports->ctx, &key.random, sizeof(key.random));
    rc = policy_group_pick(routes->groups, route->group, &key, choices, &count);
    if (rc < 0)
        return proxy_shed(req, "no member of the group is in service (21.5.4)");
    if (key.is_stateless)
        count = 1;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = add_target(req, choices[i].uri,
                        (struct proxy_binding){.q_milli = Q_MILLI_MAX - (unsigned)i,
                                               .watch = key.is_stateless ? NULL : watch,
                                               .member = choices[i].member});
    return finish_targets(req, rc);
}

/* Section 8.3: a redirect server's answer. */
static enum proxy_verdict redirect(struct proxy_request *req, const struct policy_route *route)
{
    struct sip_extra extra[] = {{.id = SIP_HDR_CONTACT}, {.id = SIP_HDR_OTHER}};
    struct slice uris[POLICY_TARGETS_MAX];
    size_t cap = route->opts->n_targets * CONTACT_BYTES + 1;
    struct buf out;
    char *memory;

    for (size_t i = 0; i < route->opts->n_targets; i++) {
        uris[i] = target_uri(req, &route->targets[i].uri);
        if (slice_is_null(uris[i]))
            return proxy_shed(req, "no memory for the Contact");
        cap += uris[i].len;
    }
    memory = arena_alloc(&req->arena, cap);
    if (!memory)
        return proxy_shed(req, "no memory for the Contact");
    buf_init(&out, memory, cap);
    for (size_t i = 0; i < route->opts->n_targets; i++) {
        buf_cstr(&out, i > 0 ? ", <" : "<");
        buf_put(&out, uris[i]);
        buf_lit(&out, ">");
        if (route->targets[i].q_milli < Q_MILLI_MAX)
            buf_printf(&out, ";q=0.%03u", route->targets[i].q_milli);
    }
    extra[0].value = buf_slice(&out);
    return proxy_reply(req, status_for(req, 302), SLICE_NULL, req->method == SIP_METHOD_CANCEL ? NULL : extra,
                       "redirected by the route (8.3)");
}

/* ---- what is known before anybody is asked who he is ---- */

static enum proxy_verdict reject(struct proxy_request *req, const struct policy_route *route)
{
    struct slice reason = route->opts->reason.len > 0 ? route->opts->reason : SLICE_NULL;
    unsigned status = status_for(req, route->opts->status);

    return proxy_reply(req, status, status == route->opts->status ? reason : SLICE_NULL, NULL, route->why);
}

static void set_identity(struct proxy_request *req, const enum policy_identity *identity)
{
    req->edit = *identity == POLICY_IDENTITY_OFF ? NULL : policy_identity_edit;
    req->edit_choice = identity;
}

static void note(struct proxy_request *req, const struct policy_route *route)
{
    const struct policy_route_opts *opts = route->opts;

    req->route = opts->name;
    req->route_choice = route;
    req->auth = opts->auth;
    req->is_led_out = route->leads_out;
    req->is_relay_allowed = opts->auth == PROXY_AUTH_NONE;
    if (opts->recurse_redirects != POLICY_INHERIT)
        req->recurse_3xx = opts->recurse_redirects == POLICY_YES;
    if (opts->ring_ms > 0)
        req->ring_ms = opts->ring_ms;
    if (opts->identity != POLICY_IDENTITY_INHERIT)
        set_identity(req, &opts->identity);
    proxy_request_explain(req, "proxy.route_chosen", 0, "the first static route that matches (16.5)");
}

/* Where the Request-URI is what it was when the core asked for the number of the route, the answer is the same. */
static int find_route(const struct proxy_request *req, const struct policy_routes *routes)
{
    const struct policy_request q = {
        .msg = req->msg, .ruri = &req->ruri, .domain = req->domain, .from = &req->from};

    if (routes->n_routes == 0)
        return -1;
    if (proxy_get_opts(req->proxy)->route_number_ctx == routes && proxy_ruri_is_as_it_came(req))
        return (int)req->route_number - 1;
    return policy_routes_find(routes, &q);
}

enum proxy_verdict policy_step_policy(struct proxy_request *req, void *ctx)
{
    const struct policy_routes *routes = ctx;
    int found;

    set_identity(req, &routes->identity);
    found = req->dialog_is_ours ? -1 : find_route(req, routes);
    if (found < 0)
        return PROXY_NEXT;
    note(req, &routes->routes[found]);
    /* Nobody has to say who he is to be sent away; and the registrar, whose step comes first, must not
     * have what is to be registered elsewhere. */
    if (req->auth == PROXY_AUTH_REQUIRED)
        return PROXY_NEXT;
    if (route_of(req)->opts->action == POLICY_REJECT)
        return reject(req, route_of(req));
    if (route_of(req)->opts->action == POLICY_REDIRECT && req->method == SIP_METHOD_REGISTER)
        return redirect(req, route_of(req));
    return PROXY_NEXT;
}

/* ---- what it asks for, when that is known ---- */

/* False: it has been answered. */
static bool rewrite(struct proxy_request *req, const struct policy_route *route)
{
    struct slice user = req->ruri.user, text;
    size_t cap;
    char *memory;
    struct buf out;
    int rc;

    if (!is_ours(req) || slice_is_null(user))
        return true;
    cap = user.len + 3 * (route->opts->rewrite.add.len + route->opts->rewrite.user.len) + 1;
    memory = arena_alloc(&req->arena, cap);
    buf_init(&out, memory, memory ? cap : 0);
    rc = memory ? policy_rewrite(&route->opts->rewrite, user, &out) : ERR_NOMEM;
    if (rc == ERR_NOTFOUND)
        return true;
    text = rc == 0 ? join_uri(req, buf_slice(&out), &req->ruri) : SLICE_NULL;
    if (rc == ERR_NOMEM || (rc == 0 && slice_is_null(text)))
        (void)proxy_shed(req, "no memory for the Request-URI");
    else if (rc < 0 || proxy_set_ruri(req, text) < 0)
        (void)proxy_reply(req, 404, SLICE_NULL, NULL,
                          "nothing is left of the number after its rewriting (16.5)");
    else {
        proxy_request_explain(req, "proxy.route_rewritten", 0, "the route rewrites the number (16.5)");
        return true;
    }
    return false;
}

enum proxy_verdict policy_step_target(struct proxy_request *req, void *ctx)
{
    const struct policy_route *route = route_of(req);

    if (!route)
        return PROXY_NEXT;
    if (!rewrite(req, route))
        return PROXY_DONE;
    switch (route->opts->action) {
    case POLICY_GROUP:
        return to_group(req, ctx, route);
    case POLICY_URI:
        return to_uris(req, route);
    case POLICY_REDIRECT:
        return redirect(req, route);
    case POLICY_REJECT:
        return reject(req, route);
    case POLICY_LOCATION:
        break;
    }
    return PROXY_NEXT;
}
