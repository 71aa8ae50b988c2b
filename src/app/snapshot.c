#include "app/snapshot.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/sockaddr.h"
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

/* Longest text of an address in brackets, and the room given to each. */
#define HOST_TEXT_BYTES 56
/* "*." and a domain. */
#define ORIGIN_TEXT_BYTES 264
/* A message that has begun must be whole by then: 64*T1, when its sender has given up on it anyway (RFC 3261
 * section 17.1.2.2). */
#define PARTIAL_T1S 64
/* What the kernel may hold for a UDP socket: bursts wait there, not in a queue of ours. */
#define UDP_BUFFER_BYTES (4 * 1024 * 1024)
#define UDP_QUEUE_BYTES  (16 * 1024 * 1024)

static enum proxy_auth_rule auth_rule(enum config_auth_rule rule)
{
    switch (rule) {
    case CONFIG_AUTH_REQUIRED:
        return PROXY_AUTH_REQUIRED;
    case CONFIG_AUTH_NONE:
        return PROXY_AUTH_NONE;
    case CONFIG_AUTH_INHERIT:
        break;
    }
    return PROXY_AUTH_INHERIT;
}

static uint8_t transport_of(enum config_transport transport)
{
    static const uint8_t transports[] = {[CONFIG_UDP] = SIP_TRANSPORT_UDP,
                                         [CONFIG_TCP] = SIP_TRANSPORT_TCP,
                                         [CONFIG_TLS] = SIP_TRANSPORT_TLS,
                                         [CONFIG_WS] = SIP_TRANSPORT_WS,
                                         [CONFIG_WSS] = SIP_TRANSPORT_WSS};
    return transports[transport];
}

static uint8_t tls_clients(enum config_client_certificates clients)
{
    switch (clients) {
    case CONFIG_CLIENT_CERTIFICATES_OPTIONAL:
        return NET_TLS_CLIENTS_OPTIONAL;
    case CONFIG_CLIENT_CERTIFICATES_REQUIRED:
        return NET_TLS_CLIENTS_REQUIRED;
    case CONFIG_CLIENT_CERTIFICATES_NONE:
        break;
    }
    return NET_TLS_CLIENTS_NONE;
}

static struct location_ping ping_of(const struct config_listener_nat *nat)
{
    static const enum location_ping_kind kinds[] = {[CONFIG_NAT_PING_NONE] = LOCATION_PING_NONE,
                                                    [CONFIG_NAT_PING_OPTIONS] = LOCATION_PING_OPTIONS,
                                                    [CONFIG_NAT_PING_CRLF] = LOCATION_PING_CRLF};
    return (struct location_ping){kinds[nat->ping], nat->interval_ms, nat->failures};
}

static int add_one(struct snapshot *s, const struct config_listener *from, uint8_t transport,
                   const struct addr *addr)
{
    if (s->n_listeners == SNAPSHOT_LISTENERS_MAX)
        return ERR_LIMIT;
    struct proxy_listener *to = &s->listeners[s->n_listeners];
    char *text = s->texts + s->n_listeners * HOST_TEXT_BYTES;
    struct buf host;
    buf_init(&host, text, HOST_TEXT_BYTES);
    addr_format_ip(addr, true, &host);
    bool advertised = from->advertise.host[0] != '\0';
    *to = (struct proxy_listener){
        .name = slice_from_cstr(from->name),
        .transport = transport,
        .addr = *addr,
        .host = advertised ? slice_from_cstr(from->advertise.host) : buf_slice(&host),
        .port = advertised && from->advertise.port != 0 ? from->advertise.port : addr->port,
        .stateless = from->mode == CONFIG_STATELESS,
        .prefer_flow = from->nat.contacts == CONFIG_NAT_SOURCE,
        .auth_register = auth_rule(from->auth.for_register),
        .auth_calls = auth_rule(from->auth.for_calls),
    };
    s->sockets[s->n_listeners] = (struct transport_listener){
        .transport = to->transport, .clients = tls_clients(from->client_certificates), .addr = *addr};
    s->pings[s->n_listeners] = ping_of(&from->nat);
    s->n_listeners++;
    return 0;
}

static bool is_there(const struct snapshot *s, uint8_t transport, const struct addr *addr)
{
    for (size_t i = 0; i < s->n_listeners; i++)
        if (s->listeners[i].transport == transport && addr_eq(&s->listeners[i].addr, addr))
            return true;
    return false;
}

/* An address may have come already: by a wildcard, or as the TCP side of a UDP listener. */
static int add_listener(struct snapshot *s, const struct config_listener *from, uint8_t transport,
                        const struct addr *addr)
{
    return is_there(s, transport, addr) ? 0 : add_one(s, from, transport, addr);
}

static bool is_usable(const struct ifaddrs *i, uint8_t family, struct addr *ret_addr)
{
    if (i->ifa_addr == NULL || (i->ifa_flags & IFF_UP) == 0)
        return false;
    struct sockaddr_storage storage = {0};
    if (i->ifa_addr->sa_family == AF_INET)
        memcpy(&storage, i->ifa_addr, sizeof(struct sockaddr_in));
    else if (i->ifa_addr->sa_family == AF_INET6)
        memcpy(&storage, i->ifa_addr, sizeof(struct sockaddr_in6));
    else
        return false;
    /* A link-local address means nothing to who reads it in a Via. */
    return net_addr_from_sockaddr(&storage, ret_addr) == 0 && ret_addr->family == family &&
           ret_addr->scope_id == 0;
}

static int add_wildcard(struct snapshot *s, const struct config_listener *from, uint8_t transport)
{
    struct ifaddrs *all;
    if (getifaddrs(&all) != 0)
        return ERR_IO;
    int rc = 0;
    bool found = false;
    for (const struct ifaddrs *i = all; i != NULL && rc == 0; i = i->ifa_next) {
        struct addr addr;
        if (!is_usable(i, from->address.family, &addr))
            continue;
        addr.port = from->address.port;
        found = true;
        rc = add_listener(s, from, transport, &addr);
    }
    freeifaddrs(all);
    return rc == 0 && !found ? ERR_NOTFOUND : rc;
}

static int add_transport(struct snapshot *s, const struct config_listener *from, uint8_t transport)
{
    return addr_is_any(&from->address) ? add_wildcard(s, from, transport)
                                       : add_listener(s, from, transport, &from->address);
}

static int add_listeners(struct snapshot *s)
{
    const struct config *c = s->config;
    int rc = 0;
    for (size_t i = 0; i < c->n_listeners && rc == 0; i++)
        rc = add_transport(s, &c->listeners[i], transport_of(c->listeners[i].transport));
    /* Section 18.2.1: "For any port and interface that a server listens on for UDP, it MUST listen on that
     * same port and interface for TCP." After those that are listed, which may say otherwise how they are
     * advertised. */
    for (size_t i = 0; i < c->n_listeners && rc == 0; i++)
        if (c->listeners[i].transport == CONFIG_UDP && !c->listeners[i].udp_alone)
            rc = add_transport(s, &c->listeners[i], SIP_TRANSPORT_TCP);
    return rc;
}

static void add_names(struct snapshot *s)
{
    for (size_t i = 0; i < s->config->n_domains; i++) {
        const struct config_domain *from = &s->config->domains[i];
        s->domains[i] = (struct proxy_domain){.name = slice_from_cstr(from->name),
                                              .realm = slice_from_cstr(from->realm),
                                              .auth_register = auth_rule(from->auth.for_register),
                                              .auth_calls = auth_rule(from->auth.for_calls)};
    }
    for (size_t i = 0; i < s->config->n_aliases; i++)
        s->aliases[i] = slice_from_cstr(s->config->aliases[i]);
    for (size_t i = 0; i < s->config->overload.n_emergency_numbers; i++)
        s->emergency_numbers[i] = slice_from_cstr(s->config->overload.emergency_numbers[i]);
    for (size_t i = 0; i < s->config->tls.n_trusted_peers; i++)
        s->trusted_peers[i] = slice_from_cstr(s->config->tls.trusted_peers[i]);
}

/* "*.example.com" for a domain that stands there without the star. */
static struct slice below(struct snapshot *s, const char *domain)
{
    struct buf out;
    buf_init(&out, s->origin_texts + s->websockets.n_origins * ORIGIN_TEXT_BYTES, ORIGIN_TEXT_BYTES);
    buf_lit(&out, "*.");
    buf_cstr(&out, domain);
    return buf_slice(&out);
}

/* Without a list: pages of our own domains. A page of anybody else's could use what a browser is trusted for
 * by its address alone (RFC 6455 section 10.2). */
static void add_origins(struct snapshot *s)
{
    const struct config_websocket *from = &s->config->websocket;
    struct net_upgrade_policy *to = &s->websockets;
    *to = (struct net_upgrade_policy){
        .protocol = SLICE("sip"), .path = slice_from_cstr(from->path), .origins = s->origins};
    for (size_t i = 0; i < from->n_origins; i++)
        s->origins[to->n_origins++] = slice_from_cstr(from->origins[i]);
    for (size_t i = 0; from->n_origins == 0 && i < s->config->n_domains; i++) {
        const char *domain = s->config->domains[i].name;
        s->origins[to->n_origins++] = slice_from_cstr(domain);
        s->origins[to->n_origins] = below(s, domain);
        to->n_origins++;
    }
}

static size_t per_worker(uint64_t total, unsigned n_workers)
{
    return (size_t)((total + n_workers - 1) / n_workers);
}

static void set_options(struct snapshot *s, unsigned n_workers)
{
    const struct config *c = s->config;
    const struct sip_limits sip = {
        .message_bytes = (uint32_t)c->limits.message_bytes,
        .start_line_bytes = (uint32_t)c->limits.start_line_bytes,
        .header_bytes = (uint32_t)c->limits.header_bytes,
        .headers = c->limits.headers,
        .values = c->limits.values,
    };
    s->transport_limits = (struct transport_limits){
        .connections = c->limits.connections,
        .idle_ms = c->limits.connection_idle_ms,
        .connect_ms = c->limits.connect_timeout_ms,
        .handshake_ms = c->tls.handshake_timeout_ms,
        .handshakes_per_second = c->tls.handshakes_per_second,
        .ping_interval_ms = c->websocket.ping_interval_ms,
        .ping_timeout_ms = c->websocket.ping_timeout_ms,
        .partial_ms = PARTIAL_T1S * c->timers.t1_ms,
        .input_buffer_bytes = c->limits.input_buffer_bytes,
        .output_queue_bytes = c->limits.output_queue_bytes,
        .udp_queue_bytes = UDP_QUEUE_BYTES,
        .udp_receive_buffer_bytes = UDP_BUFFER_BYTES,
        .udp_send_buffer_bytes = UDP_BUFFER_BYTES,
        .sip = sip,
    };
    s->proxy = (struct proxy_opts){
        .listeners = s->listeners,
        .n_listeners = s->n_listeners,
        .domains = s->domains,
        .n_domains = c->n_domains,
        .aliases = s->aliases,
        .n_aliases = c->n_aliases,
        .trusted = c->trusted,
        .n_trusted = c->n_trusted,
        .limits = sip,
        .times = {.t1_ms = c->timers.t1_ms,
                  .t2_ms = c->timers.t2_ms,
                  .t4_ms = c->timers.t4_ms,
                  .timer_d_ms = c->timers.d_ms},
        .timer_c_ms = c->proxy.timer_c_ms,
        .ring_ms = c->proxy.ring_time_ms,
        .record_route = c->proxy.record_route,
        .loop_detection = c->proxy.loop_detection,
        .mirror_tls = c->proxy.mirror_tls,
        .recurse_3xx = c->proxy.recurse_redirects,
        .max_breadth = c->proxy.max_breadth,
        .max_branches = c->proxy.max_branches,
        .max_spirals = c->proxy.max_spirals,
        .path_mtu_bytes = c->proxy.path_mtu_bytes,
        .flow_timer_s = c->registrar.flow_timer_s,
        .retry_after_s = c->stop.retry_after_s,
        .pressure = {.is_off = !c->overload.admission,
                     .target_us = (uint32_t)c->overload.target_ms * 1000,
                     .interval_ms = c->overload.interval_ms},
        .emergency_numbers = s->emergency_numbers,
        .n_emergency_numbers = c->overload.n_emergency_numbers,
        .is_oc_off = !c->overload.control,
        .max_transactions = per_worker(c->limits.transactions, n_workers),
        .arena_budget_bytes = per_worker(c->limits.memory_bytes, n_workers),
        .server_name = slice_from_cstr(c->proxy.server_name),
    };
}

static int add_edge(struct snapshot *s)
{
    const struct config_edge *from = &s->config->edge;
    struct proxy_edge *edge = &s->proxy.edge;
    if (from->home[0] == '\0')
        return 0;
    size_t cap = strlen(from->home) + sizeof("<>");
    s->edge_route = mem_alloc(cap);
    s->edge_domains = mem_zalloc((from->n_domains + 1) * sizeof(*s->edge_domains));
    if (s->edge_route == NULL || s->edge_domains == NULL)
        return ERR_NOMEM;
    struct buf route;
    buf_init(&route, s->edge_route, cap);
    buf_lit(&route, "<");
    buf_put(&route, slice_from_cstr(from->home));
    buf_lit(&route, ">");
    for (size_t i = 0; i < from->n_domains; i++)
        s->edge_domains[i] = slice_from_cstr(from->domains[i]);
    *edge = (struct proxy_edge){.route = buf_slice(&route),
                                .domains = s->edge_domains,
                                .n_domains = from->n_domains,
                                .path_unasked = from->path_unasked};
    int rc = sip_uri_parse(slice_from_cstr(from->home), &edge->home);
    if (rc != 0)
        log_event(LOG_ERROR, "start.edge_failed", log_cstr("home", from->home),
                  log_cstr("remedy", "give edge.home a SIP URI"));
    return rc;
}

int snapshot_new(const struct config *config, unsigned n_workers, struct snapshot **ret_snapshot)
{
    struct snapshot *s = mem_zalloc(sizeof(*s));
    if (s == NULL)
        return ERR_NOMEM;
    s->config = config;
    s->listeners = mem_zalloc(SNAPSHOT_LISTENERS_MAX * sizeof(*s->listeners));
    s->sockets = mem_zalloc(SNAPSHOT_LISTENERS_MAX * sizeof(*s->sockets));
    s->pings = mem_zalloc(SNAPSHOT_LISTENERS_MAX * sizeof(*s->pings));
    s->texts = mem_zalloc(SNAPSHOT_LISTENERS_MAX * HOST_TEXT_BYTES);
    s->domains = mem_zalloc((config->n_domains + 1) * sizeof(*s->domains));
    s->aliases = mem_zalloc((config->n_aliases + 1) * sizeof(*s->aliases));
    s->emergency_numbers =
        mem_zalloc((config->overload.n_emergency_numbers + 1) * sizeof(*s->emergency_numbers));
    s->trusted_peers = mem_zalloc((config->tls.n_trusted_peers + 1) * sizeof(*s->trusted_peers));
    s->origins = mem_zalloc((config->websocket.n_origins + 2 * config->n_domains + 1) * sizeof(*s->origins));
    s->origin_texts = mem_zalloc((2 * config->n_domains + 1) * ORIGIN_TEXT_BYTES);
    bool complete = s->listeners != NULL && s->sockets != NULL && s->pings != NULL && s->texts != NULL &&
                    s->domains != NULL && s->aliases != NULL && s->trusted_peers != NULL &&
                    s->emergency_numbers != NULL && s->origins != NULL && s->origin_texts != NULL;
    int rc = complete ? add_listeners(s) : ERR_NOMEM;
    if (rc != 0) {
        snapshot_free(s);
        return rc;
    }
    add_names(s);
    add_origins(s);
    set_options(s, n_workers);
    rc = add_edge(s);
    if (rc != 0) {
        snapshot_free(s);
        return rc;
    }
    *ret_snapshot = s;
    return 0;
}

void snapshot_free(struct snapshot *s)
{
    if (s == NULL)
        return;
    mem_free(s->listeners);
    mem_free(s->sockets);
    mem_free(s->pings);
    mem_free(s->texts);
    mem_free(s->domains);
    mem_free(s->aliases);
    mem_free(s->trusted_peers);
    mem_free(s->emergency_numbers);
    mem_free(s->origins);
    mem_free(s->origin_texts);
    mem_free(s->edge_route);
    mem_free(s->edge_domains);
    mem_free(s);
}
