#include "world.h"
#include "base/mem.h"
#include "services.h"
#include "sip/frame.h"
#include <stdio.h>
#include <stdlib.h>

#define EPHEMERAL_FIRST_PORT 40000
#define ICMP_QUOTED_BYTES    548 /* what RFC 1812 section 4.3.2.3 lets a router quote */

static const struct proxy_ports ports;
static const struct slice emergency_numbers[] = {{"112", 3}, {"911", 3}};

void world_init(struct world *w, uint64_t seed)
{
    *w = (struct world){.now_ms = WORLD_START_MS, .random_state = seed * 2654435761u + 1};
    heap_init(&w->heap);
    w->opts = (struct proxy_opts){
        .limits = sip_limits_default,
        .times = txn_times_default,
        .timer_c_ms = 181000,
        .ring_ms = 20000,
        .record_route = true,
        .loop_detection = true,
        .max_breadth = 60,
        .max_spirals = 10,
        .max_branches = 16,
        .path_mtu_bytes = 1500,
        .retry_after_s = 10,
        .max_transactions = 10000,
        .pressure = {.target_us = 10000, .interval_ms = 100},
        .emergency_numbers = emergency_numbers,
        .n_emergency_numbers = sizeof(emergency_numbers) / sizeof(emergency_numbers[0]),
        .arena_budget_bytes = 64u << 20,
        .server_name = SLICE(""),
        .secret = {0x0123456789abcdef, 0xfedcba9876543210},
        .listeners = w->listeners,
        .domains = w->domains,
        .aliases = w->aliases,
        .trusted = w->trusted,
    };
}

void world_done(struct world *w)
{
    world_stop(w);
    heap_done(&w->heap);
}

int world_start(struct world *w)
{
    int rc;

    w->ports = ports;
    w->ports.ctx = w;
    w->opts.chain = services_chain(w->services);
    rc = proxy_new(&w->opts, &w->ports, &w->counters, w->now_ms, &w->proxy);
    return rc == 0 ? services_attach(w->services, w->proxy) : rc;
}

void world_stop(struct world *w)
{
    if (w->proxy) {
        proxy_free(w->proxy);
        services_detach(w->services, w->opts.worker);
    }
    w->proxy = NULL;
}

unix_s_t world_now_s(const struct world *w)
{
    return WORLD_START_S + (unix_s_t)((w->now_ms - WORLD_START_MS) / 1000);
}

int world_listener(const struct world *w, struct slice name, uint8_t transport, uint8_t family)
{
    for (size_t i = 0; i < w->opts.n_listeners; i++)
        if (slice_eq(w->listener_names[i], name) && w->listeners[i].transport == transport &&
            w->listeners[i].addr.family == family)
            return (int)i;
    return -1;
}

struct world_far *world_far(struct world *w, const struct addr *addr, uint8_t transport)
{
    for (size_t i = 0; i < w->n_fars; i++)
        if (addr_eq(&w->fars[i].addr, addr) && w->fars[i].transport == transport)
            return &w->fars[i];
    w->fars = heap_grow(&w->heap, w->fars, w->n_fars, sizeof(*w->fars));
    w->fars[w->n_fars] = (struct world_far){.addr = *addr, .transport = transport};
    return &w->fars[w->n_fars++];
}

struct world_conn *world_conn_by_flow(struct world *w, uint64_t flow)
{
    return flow >= 1 && flow <= w->n_conns ? &w->conns[flow - 1] : NULL;
}

struct world_conn *world_conn_open_to(struct world *w, const struct addr *remote)
{
    for (size_t i = 0; i < w->n_conns; i++)
        if (w->conns[i].open && addr_eq(&w->conns[i].remote, remote))
            return &w->conns[i];
    return NULL;
}

static struct world_conn *add_conn(struct world *w, const struct addr *remote, uint16_t listener)
{
    struct world_conn *c;

    w->conns = heap_grow(&w->heap, w->conns, w->n_conns, sizeof(*w->conns));
    c = &w->conns[w->n_conns++];
    *c = (struct world_conn){.flow = w->n_conns, .listener = listener, .remote = *remote, .open = true};
    text_init(&c->unread, &w->heap);
    return c;
}

struct world_conn *world_connect(struct world *w, const struct addr *remote, uint16_t listener, bool fresh)
{
    struct addr ephemeral = *remote;

    for (size_t i = 0; i < w->n_conns && !fresh; i++)
        if (w->conns[i].open && w->conns[i].listener == listener && addr_eq_ip(&w->conns[i].remote, remote))
            return &w->conns[i];
    ephemeral.port = (uint16_t)(EPHEMERAL_FIRST_PORT + w->n_conns);
    return add_conn(w, &ephemeral, listener);
}

void world_close(struct world *w, struct world_conn *conn)
{
    (void)w;
    conn->open = false;
}

static int own_listener(const struct world *w, const struct sip_hop *hop)
{
    for (size_t i = 0; i < w->opts.n_listeners && w->loops && hop->transport == SIP_TRANSPORT_UDP; i++)
        if (w->listeners[i].transport == SIP_TRANSPORT_UDP && addr_eq(&w->listeners[i].addr, &hop->addr))
            return (int)i;
    return -1;
}

static void keep_own(struct world *w, const struct world_sent *sent)
{
    w->own = heap_grow(&w->heap, w->own, w->n_own, sizeof(*w->own));
    w->own[w->n_own++] = *sent;
    w->n_own_requests +=
        !slice_starts_with(sent->bytes, SLICE("SIP/2.0 ")) && !slice_starts_with(sent->bytes, SLICE("ACK "));
}

/* New ones come while these are delivered. */
static void deliver_own(struct world *w)
{
    for (size_t i = 0; i < w->n_own; i++) {
        const struct sip_hop *to = &w->own[i].hop;
        const struct sip_hop from = {.addr = w->listeners[to->listener].addr,
                                     .listener = (uint16_t)own_listener(w, to),
                                     .transport = SIP_TRANSPORT_UDP};

        proxy_receive(w->proxy, w->own[i].bytes, &from, true);
    }
    w->n_own = 0;
    w->own = NULL;
}

/* Reports what could not be delivered, once the core is not running. */
static void tell_failures(struct world *w)
{
    for (size_t i = 0; i < w->n_failures; i++)
        world_bounce(w, &w->failures[i]);
    w->n_failures = 0;
    w->failures = NULL;
    deliver_own(w);
}

void world_bounce(struct world *w, const struct world_sent *sent)
{
    if (sent->hop.transport == SIP_TRANSPORT_UDP)
        proxy_send_refused(w->proxy, slice_sub(sent->bytes, 0, ICMP_QUOTED_BYTES));
    else if (sent->token != 0)
        proxy_send_failed(w->proxy, sent->token);
}

static void set_trouble(struct world *w, const char *what, const struct sip_hop *hop)
{
    if (slice_is_null(w->trouble))
        w->trouble =
            heap_printf(&w->heap, "%s (listener %u, transport %u)", what, hop->listener, hop->transport);
}

/* The contract of ports->send: listener, transport and address are set and fit each other. */
static bool hop_is_right(struct world *w, const struct sip_hop *hop)
{
    const struct proxy_listener *l = &w->listeners[hop->listener];

    if (hop->listener >= w->opts.n_listeners)
        set_trouble(w, "send through a listener that does not exist", hop);
    else if (l->transport != hop->transport)
        set_trouble(w, "send through a listener of another transport", hop);
    else if (hop->flow == SIP_FLOW_NONE && l->addr.family != hop->addr.family)
        set_trouble(w, "send through a listener of another address family", hop);
    else if (hop->flow == SIP_FLOW_NONE && hop->addr.port == 0)
        set_trouble(w, "send to port 0", hop);
    else
        return true;
    return false;
}

/* The connection for a hop, as the transport would find it: by number; by address; a new one. */
static int find_conn(struct world *w, const struct sip_hop *hop, struct world_conn **ret_conn)
{
    struct world_conn *c;

    if (hop->flow != SIP_FLOW_NONE) {
        c = world_conn_by_flow(w, hop->flow);
        if (!c || !c->open)
            return ERR_CLOSED;
        *ret_conn = c;
        return 0;
    }
    c = world_conn_open_to(w, &hop->addr);
    *ret_conn = c ? c : add_conn(w, &hop->addr, hop->listener);
    return 0;
}

static int port_send(void *ctx, const struct sip_hop *hop, struct wire *wire, uint64_t token)
{
    struct world *w = ctx;
    struct world_sent sent = {.hop = *hop, .dest = hop->addr, .token = token, .now_ms = w->now_ms};
    struct world_far *far;
    bool broken;

    if (!hop_is_right(w, hop))
        return ERR_IO;
    far = world_far(w, &hop->addr, hop->transport);
    if (far->fault == WORLD_REFUSE)
        return ERR_IO;
    broken = far->fault == WORLD_UNREACHABLE;
    if (hop->transport != SIP_TRANSPORT_UDP) {
        struct world_conn *c = NULL;
        int rc;

        broken =
            broken || (hop->flow == SIP_FLOW_NONE && !far->listens && !world_conn_open_to(w, &hop->addr));
        rc = broken ? 0 : find_conn(w, hop, &c);
        if (rc < 0)
            return rc;
        if (c)
            sent.dest = c->remote;
    }
    sent.bytes = heap_dup(&w->heap, wire_slice(wire));
    if (broken) {
        w->failures = heap_grow(&w->heap, w->failures, w->n_failures, sizeof(*w->failures));
        w->failures[w->n_failures++] = sent;
        return 0;
    }
    if (own_listener(w, &sent.hop) >= 0)
        keep_own(w, &sent);
    else
        w->sent(w->ctx, &sent);
    return 0;
}

static int port_resolve(void *ctx, const struct proxy_lookup *lookup, struct sip_hop ret_hops[PROXY_HOPS_MAX],
                        size_t *ret_count)
{
    const struct sip_uri *uri = lookup->uri;
    struct world *w = ctx;
    struct slice target = slice_is_null(uri->maddr) ? uri->host : uri->maddr;
    uint8_t transport = uri->transport;
    struct addr addr;

    if (transport == SIP_TRANSPORT_OTHER)
        transport = uri->scheme == SIP_SCHEME_SIPS ? SIP_TRANSPORT_TLS : SIP_TRANSPORT_UDP;
    if (addr_parse_ip(target, &addr) == 0) {
        addr.port = uri->port ? uri->port : sip_transport_default_port((enum sip_transport)transport);
        ret_hops[0] = (struct sip_hop){.addr = addr, .transport = transport};
        *ret_count = 1;
        return 0;
    }
    for (size_t i = 0; i < w->n_hosts; i++) {
        struct world_host *h = &w->hosts[i];

        if (!slice_eq_nocase(h->name, target))
            continue;
        /* No more than there must be. */
        h->n_told =
            lookup->n_failed + PROXY_HOPS_STEP < h->n_hops ? lookup->n_failed + PROXY_HOPS_STEP : h->n_hops;
        if (h->later) {
            h->ticket = lookup->ticket;
            return ERR_AGAIN;
        }
        memcpy(ret_hops, h->hops, sizeof(h->hops));
        *ret_count = h->n_told;
        return h->n_told > 0 ? 0 : ERR_NOTFOUND;
    }
    return ERR_NOTFOUND;
}

bool world_resolve(struct world *w, struct slice name)
{
    for (size_t i = 0; i < w->n_hosts; i++) {
        struct world_host *h = &w->hosts[i];
        uint64_t ticket = h->ticket;

        if (!slice_eq_nocase(h->name, name) || ticket == 0)
            continue;
        h->ticket = 0;
        proxy_resolved(w->proxy, ticket, h->n_told > 0 ? 0 : ERR_NOTFOUND, h->hops, h->n_told);
        tell_failures(w);
        return true;
    }
    return false;
}

static bool user_is_known(const struct world *w, struct slice aor)
{
    for (size_t i = 0; i < w->n_users; i++)
        if (slice_eq(w->users[i], aor))
            return true;
    return false;
}

/* What the script bound by hand stands before what was registered. */
static int port_locate(void *ctx, struct slice aor, unix_s_t now_s, struct arena *arena, size_t max,
                       const struct proxy_binding **ret_bindings, size_t *ret_count)
{
    struct world *w = ctx;
    const struct proxy_binding *registered = NULL;
    struct proxy_binding *out;
    size_t n = 0, n_registered = 0;
    int rc = services_locate(w->services, aor, now_s, arena, max, &registered, &n_registered);

    if (rc < 0 && rc != ERR_NOTFOUND)
        return rc;
    if (rc == ERR_NOTFOUND && !user_is_known(w, aor))
        return ERR_NOTFOUND;
    out = arena_alloc(arena, (max + 1) * sizeof(*out));
    if (!out)
        return ERR_NOMEM;
    for (size_t i = 0; i < w->n_bindings && n < max; i++)
        if (slice_eq(w->bindings[i].aor, aor))
            out[n++] = w->bindings[i].binding;
    for (size_t i = 0; i < n_registered && n < max; i++)
        out[n++] = registered[i];
    *ret_bindings = out;
    *ret_count = n;
    return 0;
}

/* splitmix64: the same numbers for the same seed, in every build. */
void world_random(void *ctx, void *out, size_t bytes)
{
    struct world *w = ctx;
    unsigned char *p = out;

    while (bytes > 0) {
        uint64_t z = w->random_state += 0x9e3779b97f4a7c15u;
        size_t n = bytes < 8 ? bytes : 8;

        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        z ^= z >> 31;
        memcpy(p, &z, n);
        p += n;
        bytes -= n;
    }
}

static bool port_leads(void *ctx, const struct addr *from, const struct addr *to)
{
    const struct world *w = ctx;

    for (size_t i = 0; i < w->n_routes; i++)
        if (addr_prefix_has(&w->routes[i].to, to) && addr_eq_ip(&w->routes[i].own, from))
            return true;
    return false;
}

static const struct proxy_ports ports = {
    .send = port_send,
    .resolve = port_resolve,
    .locate = port_locate,
    .random = world_random,
    .leads = port_leads,
};

/* The core may look at the octets only during the call: a copy that is gone afterwards proves it. */
static void hand_over(struct world *w, struct slice bytes, const struct sip_hop *from, bool is_datagram)
{
    char *copy = malloc(bytes.len + 1);

    if (!copy)
        abort();
    if (bytes.len > 0)
        memcpy(copy, bytes.ptr, bytes.len);
    proxy_receive(w->proxy, slice_make(copy, bytes.len), from, is_datagram);
    free(copy);
    tell_failures(w);
}

void world_receive_datagram(struct world *w, uint16_t listener, const struct addr *from, struct slice bytes)
{
    struct sip_hop hop = {.addr = *from, .listener = listener, .transport = w->listeners[listener].transport};

    hand_over(w, bytes, &hop, true);
}

void world_receive_stream(struct world *w, struct world_conn *conn, struct slice bytes)
{
    const struct sip_hop hop = {.addr = conn->remote,
                                .flow = conn->flow,
                                .listener = conn->listener,
                                .transport = w->listeners[conn->listener].transport};

    text_put(&conn->unread, bytes);
    for (;;) {
        struct slice unread = text_slice(&conn->unread), message;
        struct sip_framer framer = {0};
        enum sip_frame_result r = sip_frame_next(&framer, unread, &w->opts.limits);

        if (unread.len == 0 || r == SIP_FRAME_MORE)
            return;
        if (r == SIP_FRAME_BAD) {
            if (framer.error.status != 0)
                proxy_receive_bad(w->proxy, unread, &hop, framer.error.status, framer.error.phrase);
            world_close(w, world_conn_by_flow(w, hop.flow));
            tell_failures(w);
            return;
        }
        message = heap_dup(&w->heap, slice_sub(unread, 0, framer.message_len));
        unread = slice_sub(unread, framer.message_len, unread.len);
        text_init(&conn->unread, &w->heap);
        text_put(&conn->unread, unread);
        if (r == SIP_FRAME_MESSAGE)
            hand_over(w, message, &hop, false);
        conn = world_conn_by_flow(w, hop.flow); /* the array may have moved */
    }
}

void world_advance(struct world *w, ms_t now_ms)
{
    for (;;) {
        ms_t next = proxy_next_ms(w->proxy);

        if (next > now_ms)
            break;
        if (next > w->now_ms)
            w->now_ms = next;
        proxy_advance(w->proxy, w->now_ms, world_now_s(w));
        tell_failures(w);
        /* "At or before the earliest deadline": a next that does not move must not hang the test. */
        if (next <= w->now_ms && proxy_next_ms(w->proxy) <= w->now_ms) {
            if (w->now_ms == now_ms)
                break;
            w->now_ms++;
        }
    }
    w->now_ms = now_ms;
    proxy_advance(w->proxy, w->now_ms, world_now_s(w));
    tell_failures(w);
}
