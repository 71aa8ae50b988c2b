/* Determining request targets: RFC 3261 section 16.5. */
#include "proxy/internal.h"

#define LOCATE_MAX 256 /* bindings looked at; of these opts->max_branches are tried */

/* Place in the list: best q first, those that came earlier before those that came later. */
static void insert(struct proxy_request *req, struct proxy_target *target)
{
    struct proxy_target **at = &req->targets;

    while (*at && (*at)->q_milli >= target->q_milli)
        at = &(*at)->next;
    target->next = *at;
    *at = target;
    req->n_targets++;
}

/* The last one that has not been tried: the one to give up first. */
static struct proxy_target **find_weakest(struct proxy_request *req)
{
    struct proxy_target **weakest = NULL;

    for (struct proxy_target **at = &req->targets; *at; at = &(*at)->next) {
        if (!(*at)->is_started)
            weakest = at;
    }
    return weakest;
}

/* The ways of an instance are requests too, one after the other. */
static bool is_full(const struct proxy_request *req)
{
    unsigned count = 0;

    for (const struct proxy_target *t = req->targets; t; t = t->next) {
        for (const struct proxy_target *way = t; way; way = way->instead)
            count++;
    }
    return count >= req->proxy->opts->max_branches;
}

static bool make_room(struct proxy_request *req, unsigned q_milli)
{
    struct proxy_target **weakest;

    if (!is_full(req))
        return true;
    weakest = find_weakest(req);
    if (!weakest || (*weakest)->q_milli >= q_milli)
        return false;
    *weakest = (*weakest)->next;
    req->n_targets--;
    return true;
}

/* By another way it is another target: two clients behind two NATs that have the same URI, or the
 * same place by each of several gateways. */
static bool lead_apart(const struct proxy_target *a, const struct proxy_target *b)
{
    if (a->has_hop && b->has_hop)
        return a->hop.flow != b->hop.flow || !addr_eq(&a->hop.addr, &b->hop.addr);
    return a->path.len > 0 && b->path.len > 0 && !slice_eq(a->path, b->path);
}

/* "If a target URI is already present in the set (based on the definition of equality for the URI type), it
 * MUST NOT be added again." */
static bool is_present(const struct proxy_request *req, const struct proxy_target *target)
{
    for (const struct proxy_target *t = req->targets; t; t = t->next) {
        if (sip_uri_eq(t->uri, target->uri) && !lead_apart(t, target))
            return true;
    }
    return false;
}

/* RFC 5626 section 7: "The proxy MUST NOT populate the target set with more than one contact with
 * the same AOR and instance-id at a time." */
static struct proxy_target *find_instance(const struct proxy_request *req, struct slice instance)
{
    struct proxy_target *t = req->targets;

    while (t && !(instance.len > 0 && slice_eq_nocase(t->instance, instance)))
        t = t->next;
    return t;
}

static int append_instead(struct proxy_target *target, struct proxy_target *another)
{
    for (;; target = target->instead) {
        if (sip_uri_eq(target->uri, another->uri) && !lead_apart(target, another))
            return ERR_EXISTS;
        if (!target->instead)
            break;
    }
    target->instead = another;
    return 0;
}

static bool is_ruri(const struct proxy_request *req, struct slice text)
{
    return text.ptr == req->ruri_text.ptr && text.len == req->ruri_text.len;
}

/* As it will stand in the Request-URI: without what is not allowed there (section 16.6 step 2). */
static int parse_target(struct proxy_request *req, struct slice text, struct sip_uri *ret_uri)
{
    struct sip_uri uri = req->ruri;
    int rc = is_ruri(req, text) ? 0 : sip_uri_parse(text, &uri);

    if (rc < 0)
        return rc;
    if (uri.scheme != SIP_SCHEME_SIP && uri.scheme != SIP_SCHEME_SIPS)
        return ERR_UNSUPPORTED;
    text = proxy_uri_for_request(&uri, &req->arena);
    if (slice_is_null(text))
        return ERR_NOMEM;
    if (text.len != uri.text.len)
        return sip_uri_parse(text, ret_uri);
    *ret_uri = uri;
    return 0;
}

int proxy_add_target(struct proxy_request *req, const struct proxy_binding *binding)
{
    struct proxy_target *target, *same;
    struct sip_uri uri, *kept;
    int rc = parse_target(req, binding->uri, &uri);

    if (rc == 0)
        rc = proxy_context_read(proxy_context_of(req));
    if (rc < 0)
        return rc;
    target = arena_alloc(&req->arena, sizeof(*target));
    kept = arena_alloc(proxy_context_reading(proxy_context_of(req)), sizeof(*kept));
    if (!target || !kept)
        return ERR_NOMEM;
    *kept = uri;
    *target = (struct proxy_target){
        .uri_text = uri.text,
        .uri = kept,
        .path = binding->path,
        .instance = binding->instance,
        .q_milli = binding->q_milli,
        .needs_tls = binding->needs_tls,
        .has_hop = binding->has_hop,
        .hop = binding->hop,
        .watch = binding->watch,
        .member = binding->member,
    };
    same = find_instance(req, binding->instance);
    if (same)
        return is_full(req) ? ERR_LIMIT : append_instead(same, target);
    if (is_present(req, target))
        return ERR_EXISTS;
    if (!make_room(req, binding->q_milli))
        return ERR_LIMIT;
    insert(req, target);
    return 0;
}

/* RFC 5626 section 5.3.1: the flow that our own Route names, unless the request came by
 * it: then it is on its way from there. */
static bool leads_by_flow(struct proxy_request *req, struct sip_hop *ret_hop)
{
    const struct proxy_context *c = proxy_context_of(req);

    if (c->route_flow == SIP_FLOW_NONE || c->route_flow == req->from.flow)
        return false;
    *ret_hop = (struct sip_hop){.flow = c->route_flow,
                                .flow_only = true, /* when it is gone: 430 */
                                .listener = c->prefer_listener,
                                .transport = proxy_listener_at(req->proxy, c->prefer_listener)->transport};
    return true;
}

/* "the Request-URI MUST be placed into the target set as the only target". */
static enum proxy_verdict target_ruri(struct proxy_request *req)
{
    struct proxy_binding binding = {.uri = req->ruri_text, .q_milli = 1000};

    binding.has_hop = leads_by_flow(req, &binding.hop);

    if (proxy_add_target(req, &binding) < 0)
        return proxy_shed(req, "no memory for the target set");
    return PROXY_NEXT;
}

/* "the Request-URI MUST first be canonicalized as described in Section 10.3 before being used as an index".
 * The domain is ours by whatever port of ours it is called; and one user is one user, over TLS or not. */
static int look_up(struct proxy_request *req, const struct proxy_binding **ret_bindings, size_t *ret_count)
{
    const struct proxy_ports *ports = &req->proxy->ports;
    char memory[PROXY_AOR_BYTES];
    struct buf aor;

    buf_init(&aor, memory, sizeof(memory));
    if (proxy_uri_index(req->domain, &req->ruri, &aor) < 0)
        return ERR_NOTFOUND;
    return ports->locate(ports->ctx, buf_slice(&aor), req->proxy->now_s, &req->proxy->scratch, LOCATE_MAX,
                         ret_bindings, ret_count);
}

/* RFC 5630 section 5.3: "If the target UAS had registered previously using a SIP Contact header
 * field instead of a SIPS Contact header field, the proxy MUST NOT forward the request to the URI
 * indicated in the Contact header field." */
static bool is_wanted(const struct proxy_request *req, const struct proxy_binding *binding)
{
    return req->ruri.scheme != SIP_SCHEME_SIPS || slice_starts_with_nocase(binding->uri, SLICE("sips:"));
}

/* RFC 5627 section 6.1: "If the received request has Route header field values beyond the one
 * pointing to the authoritative proxy itself (this will happen when the request is a mid-dialog
 * request), the Path URI MUST be discarded." */
static bool is_mid_dialog_to_gruu(struct proxy_request *req)
{
    struct slice value;

    return proxy_context_of(req)->n_routes > 0 && sip_uri_param(&req->ruri, SLICE("gr"), &value);
}

/* "If the proxy needs to reject the request for that reason, the proxy MUST reject it with a 480 (Temporarily
 * Unavailable) response. In this case, the proxy SHOULD include a Warning header with warn-code 380 "SIPS Not
 * Allowed"." */
static enum proxy_verdict refuse_sips(struct proxy_request *req)
{
    static const char text[] = " \"SIPS Not Allowed\"";
    size_t cap = req->listener->host.len + sizeof("380 :65535") + sizeof(text);
    char *memory = arena_alloc(&req->arena, cap);
    struct buf out;

    if (!memory)
        return proxy_shed(req, "no memory for the Warning");
    buf_init(&out, memory, cap);
    buf_lit(&out, "380 ");
    buf_put(&out, req->listener->host);
    buf_lit(&out, ":");
    buf_u64(&out, req->listener->port);
    buf_cstr(&out, text);
    return proxy_reply(req, 480, SLICE_NULL,
                       (const struct sip_extra[]){{.id = SIP_HDR_WARNING, .value = buf_slice(&out)}, {0}},
                       "SIPS is asked for, and no contact is SIPS (RFC 5630 section 5.3)");
}

/* What is to be a target lives as long as the request; most of what was found does not. */
static int keep_text(struct proxy_request *req, struct slice *text)
{
    struct slice kept = text->len > 0 ? arena_dup(&req->arena, *text) : *text;

    if (text->len > 0 && slice_is_null(kept))
        return ERR_NOMEM;
    *text = kept;
    return 0;
}

static int keep_target(struct proxy_request *req, struct proxy_binding *binding)
{
    int rc = keep_text(req, &binding->uri);

    if (rc == 0)
        rc = keep_text(req, &binding->path);
    if (rc == 0)
        rc = keep_text(req, &binding->instance);
    return rc < 0 ? rc : proxy_add_target(req, binding);
}

/* "When a proxy receives a request with a SIP Request-URI, the proxy MUST NOT forward the request to a SIPS
 * Request-URI. If the target UAS had registered previously using a SIPS Contact header field, and the proxy
 * decides to forward the request, the proxy MUST replace that SIPS scheme with a SIP scheme while leaving the
 * rest of the URI as is". "The proxy MUST use TLS to forward the request to the UAS." */
static int add_binding(struct proxy_request *req, const struct proxy_binding *from)
{
    struct proxy_binding binding = *from;
    char *text;

    if (req->ruri.scheme == SIP_SCHEME_SIPS || !slice_starts_with_nocase(from->uri, SLICE("sips:")))
        return keep_target(req, &binding);
    text = arena_alloc(&req->proxy->scratch, from->uri.len);
    if (!text)
        return ERR_NOMEM;
    binding.uri = slice_make(text, from->uri.len - 1);
    memcpy(text, "sip", 3);
    memcpy(text + 3, from->uri.ptr + 4, from->uri.len - 4);
    binding.needs_tls = true;
    return keep_target(req, &binding);
}

static int add_bindings(struct proxy_request *req, const struct proxy_binding *bindings, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct proxy_binding binding = bindings[i];

        if (is_mid_dialog_to_gruu(req))
            binding.path = SLICE_NULL;
        if (is_wanted(req, &binding) && add_binding(req, &binding) == ERR_NOMEM)
            return ERR_NOMEM;
    }
    return 0;
}

/* "New locations SHOULD be added to the target set as they become available." What has been tried, or waits, is
 * there already; without memory there is nothing new. */
void proxy_targets_renew(struct proxy_context *c)
{
    const struct proxy_binding *bindings = NULL;
    size_t count = 0;

    if (c->is_located && c->n_spirals == 0 && look_up(&c->req, &bindings, &count) == 0)
        (void)!add_bindings(&c->req, bindings, count);
}

static enum proxy_verdict target_bindings(struct proxy_request *req)
{
    const struct proxy_binding *bindings = NULL;
    size_t count = 0;
    int rc = look_up(req, &bindings, &count);

    if (rc == ERR_NOTFOUND)
        return proxy_reply(req, 404, SLICE_NULL, NULL, "no such user in our domain (16.5)");
    if (rc < 0)
        return proxy_shed(req, "the location service has no answer");
    if (add_bindings(req, bindings, count) < 0)
        return proxy_shed(req, "no memory for the target set");
    proxy_context_of(req)->is_located = true;
    if (req->n_targets == 0 && count > 0 && !is_wanted(req, &bindings[0]))
        return refuse_sips(req);
    if (req->n_targets == 0)
        return proxy_reply(req, 480, SLICE_NULL, NULL, "the user is not registered (16.5)");
    return PROXY_NEXT;
}

enum proxy_verdict proxy_step_targets(struct proxy_request *req, void *ctx)
{
    struct proxy_context *c = proxy_context_of(req);

    (void)ctx;
    /* A step before this one may have known better: configured routes. */
    if (req->n_targets > 0)
        return PROXY_NEXT;
    if (req->to_self || (c->is_ruri_self && !req->domain))
        return proxy_reply(req, 404, SLICE_NULL, NULL, "no such resource at this proxy (16.5)");
    return req->domain ? target_bindings(req) : target_ruri(req);
}
