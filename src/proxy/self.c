/* Which names, addresses and ports mean this proxy (RFC 3261 sections 16.4 and 18.1.2). */
#include "proxy/internal.h"
#include "sip/via_route.h"

/* A host of a URI or a Via: a name, or an address that may be written in more than one way. */
struct host {
    struct slice text;
    struct addr addr;
};

static struct host host_of(struct slice text)
{
    struct host host = {.text = text};

    if (addr_parse_ip(text, &host.addr) < 0)
        host.addr.family = ADDR_NONE;
    return host;
}

static struct host host_of_uri(const struct sip_uri *uri)
{
    return (struct host){.text = uri->host, .addr = uri->addr};
}

static struct slice without_root(struct slice name)
{
    return name.len > 1 && name.ptr[name.len - 1] == '.' ? slice_sub(name, 0, name.len - 1) : name;
}

static bool is_named(const struct host *host, struct slice name)
{
    struct addr addr;

    if (host->addr.family == ADDR_NONE)
        return slice_eq_nocase(without_root(host->text), without_root(name));
    if (slice_eq(host->text, name))
        return true;
    /* An IPv4 address is written in one way only, but it may be mapped into IPv6, which is written in many. */
    if (host->addr.family == ADDR_IPV4 && slice_find(name, ':') == name.len)
        return false;
    return addr_parse_ip(name, &addr) == 0 && addr_eq_ip(&addr, &host->addr);
}

static bool is_listener_host(const struct host *host, const struct proxy_listener *l)
{
    if (is_named(host, l->host))
        return true;
    if (host->addr.family == ADDR_NONE)
        return false;
    if (addr_is_any(&l->addr))
        return host->addr.family == l->addr.family && addr_is_loopback(&host->addr);
    return addr_eq_ip(&host->addr, &l->addr);
}

static bool is_listener_port(const struct proxy_listener *l, uint16_t port)
{
    return port == l->port || port == l->addr.port;
}

static bool is_any_port(const struct proxy_opts *opts, uint16_t port)
{
    for (size_t i = 0; i < opts->n_listeners; i++) {
        if (is_listener_port(&opts->listeners[i], port))
            return true;
    }
    return false;
}

/* A name without a port leads to whatever port DNS says (RFC 3263 section 4.2); an address without one to the
 * default. */
static bool is_port_open(const struct sip_uri *uri, const struct host *host)
{
    return uri->port == 0 && host->addr.family == ADDR_NONE;
}

static bool is_sip(const struct sip_uri *uri)
{
    return uri->scheme == SIP_SCHEME_SIP || uri->scheme == SIP_SCHEME_SIPS;
}

bool proxy_uri_is_self(const struct proxy_opts *opts, const struct sip_uri *uri)
{
    struct host host = slice_is_null(uri->maddr) ? host_of_uri(uri) : host_of(uri->maddr);
    uint16_t port;

    if (!is_sip(uri))
        return false;
    port = sip_uri_effective_port(uri);
    for (size_t i = 0; i < opts->n_listeners; i++) {
        const struct proxy_listener *l = &opts->listeners[i];

        if (is_listener_host(&host, l) && (is_port_open(uri, &host) || is_listener_port(l, port)))
            return true;
    }
    for (size_t i = 0; i < opts->n_aliases; i++) {
        if (is_named(&host, opts->aliases[i]))
            return is_port_open(uri, &host) || is_any_port(opts, port);
    }
    return false;
}

static const struct proxy_domain *domain_named(const struct proxy_opts *opts, const struct host *host)
{
    for (size_t i = 0; i < opts->n_domains; i++) {
        if (is_named(host, opts->domains[i].name))
            return &opts->domains[i];
    }
    return NULL;
}

const struct proxy_domain *proxy_uri_domain(const struct proxy_opts *opts, const struct sip_uri *uri)
{
    struct host host = host_of_uri(uri);
    const struct proxy_domain *domain = domain_named(opts, &host);

    /* Section 16.5: where a maddr is left after section 16.4, it alone decides. */
    if (!is_sip(uri) || !slice_is_null(uri->maddr))
        return NULL;
    if (domain)
        return is_port_open(uri, &host) || is_any_port(opts, sip_uri_effective_port(uri)) ? domain : NULL;
    return opts->n_domains > 0 && proxy_uri_is_self(opts, uri) ? &opts->domains[0] : NULL;
}

int proxy_uri_aor(const struct proxy_domain *domain, const struct sip_uri *uri, struct buf *out)
{
    struct sip_uri aor = *uri;

    aor.port = 0;
    aor.host = domain->name;
    aor.addr.family = ADDR_NONE;
    aor.scheme = SIP_SCHEME_SIP;
    aor.scheme_text = SLICE("sip");
    return sip_uri_canonical_aor(&aor, out);
}

int proxy_uri_index(const struct proxy_domain *domain, const struct sip_uri *uri, struct buf *out)
{
    struct slice value;
    int rc = proxy_uri_aor(domain, uri, out);

    if (rc != 0 || !sip_uri_param(uri, SLICE("gr"), &value))
        return rc;
    buf_lit(out, ";gr");
    if (value.len > 0) {
        buf_lit(out, "=");
        buf_put(out, value);
    }
    return buf_failed(out) ? ERR_LIMIT : 0;
}

bool proxy_host_is_ours(const struct proxy_opts *opts, struct slice text)
{
    struct host host = host_of(text);

    for (size_t i = 0; i < opts->n_listeners; i++) {
        if (is_listener_host(&host, &opts->listeners[i]))
            return true;
    }
    for (size_t i = 0; i < opts->n_aliases; i++) {
        if (is_named(&host, opts->aliases[i]))
            return true;
    }
    for (size_t i = 0; i < opts->n_domains; i++) {
        if (is_named(&host, opts->domains[i].name))
            return true;
    }
    return false;
}

bool proxy_via_is_ours(const struct proxy_opts *opts, const struct sip_via *via)
{
    struct host host = {.text = via->host, .addr = via->addr};

    for (size_t i = 0; i < opts->n_listeners; i++) {
        const struct proxy_listener *l = &opts->listeners[i];

        if (sip_via_route_port(via) == l->port && is_named(&host, l->host))
            return true;
    }
    return false;
}

int proxy_request_to(struct proxy_request *req, const struct proxy_to **ret_to)
{
    const struct sip_name_addr *name_addr;
    struct proxy_to *to;

    if (!req->to) {
        if (sip_msg_to(req->msg, &name_addr) != 0)
            return ERR_SYNTAX;
        to = arena_alloc(&req->arena, sizeof(*to));
        if (!to)
            return ERR_NOMEM;
        if (sip_uri_parse(name_addr->uri_text, &to->uri) != 0)
            return ERR_SYNTAX;
        to->domain = proxy_uri_domain(req->proxy->opts, &to->uri);
        req->to = to;
    }
    *ret_to = req->to;
    return 0;
}

static bool needs_auth(enum proxy_auth_rule of_listener, const struct proxy_domain *domain,
                       enum proxy_auth_rule of_domain)
{
    if (of_listener != PROXY_AUTH_INHERIT)
        return of_listener == PROXY_AUTH_REQUIRED;
    return domain && of_domain == PROXY_AUTH_REQUIRED;
}

bool proxy_needs_auth_register(const struct proxy_request *req, const struct proxy_domain *domain)
{
    if (req->auth != PROXY_AUTH_INHERIT)
        return req->auth == PROXY_AUTH_REQUIRED;
    return needs_auth(req->listener->auth_register, domain,
                      domain ? domain->auth_register : PROXY_AUTH_INHERIT);
}

bool proxy_needs_auth_calls(const struct proxy_request *req, const struct proxy_domain *domain)
{
    if (req->auth != PROXY_AUTH_INHERIT)
        return req->auth == PROXY_AUTH_REQUIRED;
    return needs_auth(req->listener->auth_calls, domain, domain ? domain->auth_calls : PROXY_AUTH_INHERIT);
}

bool proxy_is_first_hop(const struct sip_msg *request)
{
    struct sip_values it = sip_values_of(request, SIP_HDR_VIA);
    struct slice element;

    return sip_values_next(&it, &element) == 0 && sip_values_next(&it, &element) != 0;
}
