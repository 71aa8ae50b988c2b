#include "transport/transport.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/tcp.h"
#include "net/udp.h"
#include "sip/msg.h"
#include "sip/peek.h"
#include "sip/via_route.h"
#include "transport/connection.h"
#include "transport/stun.h"
#include <assert.h>
#include <errno.h>
#include <string.h>

/* A flow number: worker + 1 (so that it is never SIP_FLOW_NONE), slot, generation. The generation tells a
 * connection from the one that had its slot before. */
#define FLOW_WORKER_SHIFT 56
#define FLOW_SLOT_SHIFT   32
#define FLOW_SLOTS_MAX    (1U << 24)

/* In how many of the first messages of a verified client the Via parameter alias is looked for. */
#define ALIAS_MESSAGES 16

struct slot {
    struct connection *connection; /* NULL: free */
    uint32_t generation;
    uint32_t next_free;
    bool accepted; /* counts for its source */
};

#define NO_SLOT UINT32_MAX

struct listener {
    struct transport *transport;
    struct addr addr;
    uint16_t index;
    uint8_t protocol;    /* enum sip_transport */
    uint8_t clients;     /* enum net_tls_clients */
    struct net_udp *udp; /* one of the two, or neither once listening has stopped */
    struct net_tcp_listener *tcp;
};

/* STUN answers that one source may have in a second: of a NAT with thousands of phones behind it all may ask,
 * but who forges his source makes little of us. Sources that share a place share the allowance. */
#define STUN_PER_SECOND 200
#define STUN_PLACES     1024

struct stun_guard {
    ms_t second;
    uint16_t counts[STUN_PLACES];
};

/* So many handshakes of clients may begin in a window of time. What comes
 * above waits in the kernel to be accepted. */
struct pace {
    ms_t window_ms;
    uint32_t allowed; /* in a window */
    uint32_t begun;   /* in the window that ends then */
    ms_t ends_ms;
};

/* Short, so that nobody waits long, but of a hundred handshakes or more where that many are allowed. */
#define PACE_WINDOW_MS 100

struct transport {
    struct connection_owner owner; /* first: dead() finds the transport from it */
    struct transport_opts opts;
    struct net_udp_batch *batch;
    struct stun_guard stun;
    struct pace pace;
    struct listener *listeners;
    struct slot *slots;
    uint32_t n_slots, first_free, used_slots;
};

static struct log_limiter refused_log = LOG_LIMITER(5), pace_log = LOG_LIMITER(1);

unsigned transport_flow_worker(uint64_t flow)
{
    assert(flow != SIP_FLOW_NONE);
    return (unsigned)(flow >> FLOW_WORKER_SHIFT) - 1;
}

size_t transport_connections(const struct transport *t)
{
    return t->used_slots;
}

/* ---- slots ---- */

static uint32_t slot_of(uint64_t flow)
{
    return (uint32_t)(flow >> FLOW_SLOT_SHIFT) & (FLOW_SLOTS_MAX - 1);
}

static uint64_t flow_of(const struct transport *t, uint32_t slot)
{
    return (uint64_t)(t->opts.worker + 1) << FLOW_WORKER_SHIFT | (uint64_t)slot << FLOW_SLOT_SHIFT |
           t->slots[slot].generation;
}

static struct connection *find_connection(const struct transport *t, uint64_t flow)
{
    uint32_t slot = slot_of(flow);
    if (slot >= t->n_slots || flow_of(t, slot) != flow)
        return NULL;
    return t->slots[slot].connection;
}

/* Takes a slot and makes hop the hop of its connection-to-be; NO_SLOT at the limit. */
static uint32_t take_slot(struct transport *t, struct sip_hop *hop)
{
    uint32_t slot = t->first_free;
    if (slot == NO_SLOT)
        return NO_SLOT;
    t->first_free = t->slots[slot].next_free;
    t->used_slots++;
    hop->flow = flow_of(t, slot);
    return slot;
}

static void release_slot(struct transport *t, uint32_t slot)
{
    t->slots[slot].connection = NULL;
    t->slots[slot].generation++;
    t->slots[slot].next_free = t->first_free;
    t->first_free = slot;
    t->used_slots--;
}

static int slots_init(struct transport *t, size_t connections)
{
    t->n_slots = connections < FLOW_SLOTS_MAX ? (uint32_t)connections : FLOW_SLOTS_MAX;
    t->first_free = NO_SLOT;
    t->slots = mem_zalloc((t->n_slots + 1) * sizeof(*t->slots));
    if (t->slots == NULL)
        return ERR_NOMEM;
    for (uint32_t slot = t->n_slots; slot-- > 0;) {
        t->slots[slot].generation = t->opts.first_generation;
        t->slots[slot].next_free = t->first_free;
        t->first_free = slot;
    }
    return 0;
}

/* ---- connections ---- */

/* A request that were sent to a peer who has closed would be lost without a word: the connection is not found
 * by its peer any more, only by its flow. */
static void on_ending(struct connection_owner *owner, struct connection *connection)
{
    struct transport *t = (struct transport *)(void *)owner;
    transport_registry_remove(t->opts.registry, connection_hop(connection)->flow);
}

static void on_dead(struct connection_owner *owner, struct connection *connection)
{
    struct transport *t = (struct transport *)(void *)owner;
    struct sip_hop hop = *connection_hop(connection);
    transport_registry_remove(t->opts.registry, hop.flow);
    transport_registry_leave(t->opts.registry);
    if (t->slots[slot_of(hop.flow)].accepted)
        transport_registry_leave_source(t->opts.registry, &hop.addr);
    release_slot(t, slot_of(hop.flow));
    connection_free(connection);
}

static bool is_secure(uint8_t transport)
{
    return sip_transport_is_secure((enum sip_transport)transport);
}

/* An accepted connection with TLS is nobody's until its peer has proved a name, and as that it
 * is never looked for; but it is there. */
static int enter_connection(struct transport *t, uint32_t slot, struct connection *connection, bool accepted)
{
    const struct sip_hop *hop = connection_hop(connection);
    const struct transport_peer peer = {hop->addr, hop->peer_name, hop->transport};
    t->slots[slot].connection = connection;
    t->slots[slot].accepted = accepted;
    counter_inc(t->opts.counters, COUNTER_CONNECTIONS_OPENED);
    int rc = transport_registry_add(t->opts.registry, &peer, hop->flow);
    if (rc != 0)
        on_dead(&t->owner, connection);
    return rc;
}

/* ---- who is at the other end of TLS ---- */

struct proving {
    struct transport *t;
    struct connection *connection;
    struct addr addr;
    uint32_t first; /* the name it was made for, or the first that was proved */
    bool is_trusted;
};

/* ERR_NOMEM is as if the certificate did not have the name. */
static uint32_t number_of(const struct proving *p, struct slice name)
{
    uint32_t number;
    return net_names_number(p->t->opts.names, name, &number) == 0 ? number : NET_NAME_NONE;
}

static void look_at_name(void *ctx, struct slice name)
{
    struct proving *p = ctx;
    for (size_t i = 0; i < p->t->opts.n_trusted_peers; i++)
        p->is_trusted = p->is_trusted || slice_eq_nocase(p->t->opts.trusted_peers[i], name);
    if (p->first == NET_NAME_NONE)
        p->first = number_of(p, name);
}

/* What there is no memory for is not found, and another connection made for it. */
static void remember(const struct proving *p, uint32_t name)
{
    const struct transport_peer peer = {p->addr, name, SIP_TRANSPORT_TLS};
    if (name != NET_NAME_NONE &&
        transport_registry_add(p->t->opts.registry, &peer, connection_hop(p->connection)->flow) != 0)
        counter_inc(p->t->opts.counters, COUNTER_SHED);
}

/* RFC 5923 section 8.1: "the client MUST cache, in the alias table, the identity (or identities) of the server";
 * section 8.2 says the same of a client. */
static void remember_other(void *ctx, struct slice name)
{
    const struct proving *p = ctx;
    uint32_t number = number_of(p, name);
    if (number != p->first)
        remember(p, number);
}

static void on_proved(struct connection_owner *owner, struct connection *connection)
{
    struct transport *t = (struct transport *)(void *)owner;
    const struct sip_hop *hop = connection_hop(connection);
    const struct net_stream *stream = connection_stream(connection);
    bool is_accepted = t->slots[slot_of(hop->flow)].accepted;
    struct proving p = {.t = t, .connection = connection, .addr = hop->addr};
    net_stream_identities(stream, look_at_name, &p);
    if (!is_accepted) {
        p.first = hop->peer_name;
        net_stream_identities(stream, remember_other, &p);
    } else if (p.first != NET_NAME_NONE && hop->transport == SIP_TRANSPORT_TLS) {
        connection_watch(connection, ALIAS_MESSAGES);
    }
    connection_set_peer(connection, p.first, p.is_trusted);
}

/* RFC 5923 section 8.2: the alias is of the source address with the port of sent-by. */
static void on_seen(struct connection_owner *owner, struct connection *connection, struct slice message)
{
    struct transport *t = (struct transport *)(void *)owner;
    struct proving p = {.t = t, .connection = connection, .addr = connection_hop(connection)->addr};
    struct slice element = sip_peek_top_via(message), value;
    struct sip_via via;
    if (sip_via_parse(element, &via) != 0 || via.transport != SIP_TRANSPORT_TLS ||
        !sip_param(via.params, SLICE("alias"), &value))
        return;
    connection_watch(connection, 0);
    p.addr.port = sip_via_route_port(&via);
    p.first = connection_hop(connection)->peer_name;
    remember(&p, p.first);
    net_stream_identities(connection_stream(connection), remember_other, &p);
}

static void refuse_connection(struct transport *t, const struct addr *peer, const char *why)
{
    char memory[64];
    struct buf text;
    buf_init(&text, memory, sizeof(memory));
    addr_format(peer, &text);
    counter_inc(t->opts.counters, COUNTER_CONNECTIONS_REFUSED);
    log_limited(&refused_log, LOG_WARN, "connection.refused", log_slice("peer", buf_slice(&text)),
                log_cstr("why", why), log_u64("connections", t->used_slots));
}

static void pace_init(struct pace *pace, uint32_t per_second)
{
    *pace = (struct pace){.window_ms = PACE_WINDOW_MS, .allowed = per_second / (1000 / PACE_WINDOW_MS)};
    if (per_second > 0 && pace->allowed == 0)
        *pace = (struct pace){.window_ms = 1000 / per_second, .allowed = 1};
}

/* One more handshake has begun. When it was the last of this window, the listener rests until the next. */
static void pace_handshakes(struct transport *t, struct net_tcp_listener *tcp)
{
    struct pace *pace = &t->pace;
    ms_t now_ms = net_loop_now_ms(t->opts.loop);
    if (pace->allowed == 0)
        return;
    if (now_ms >= pace->ends_ms) {
        pace->begun = 0;
        pace->ends_ms = now_ms + pace->window_ms;
    }
    pace->begun++;
    if (pace->begun < pace->allowed)
        return;
    net_tcp_listener_rest(tcp, pace->ends_ms - now_ms);
    counter_inc(t->opts.counters, COUNTER_HANDSHAKE_RESTS);
    log_limited(&pace_log, LOG_WARN, "connection.clients_wait",
                log_cstr("why", "tls.handshakes_per_second reached"),
                log_u64("per_second", t->opts.limits.handshakes_per_second));
}

static bool on_accept(void *ctx, struct net_tcp_listener *tcp, int fd, const struct addr *peer)
{
    struct listener *listener = ctx;
    struct transport *t = listener->transport;
    struct sip_hop hop = {.addr = *peer, .listener = listener->index, .transport = listener->protocol};
    uint32_t slot = take_slot(t, &hop);
    if (slot == NO_SLOT) {
        refuse_connection(t, peer, "limits.connections reached");
        return false;
    }
    if (!transport_registry_enter_source(t->opts.registry, peer)) {
        release_slot(t, slot);
        refuse_connection(t, peer, "limits.connections_per_source reached");
        return false;
    }
    if (!transport_registry_enter(t->opts.registry)) {
        transport_registry_leave_source(t->opts.registry, peer);
        release_slot(t, slot);
        refuse_connection(t, peer, "limits.connections reached");
        return false;
    }
    struct connection *connection;
    int rc = connection_accept(&t->owner, fd, &hop, (enum net_tls_clients)listener->clients, &connection);
    if (rc != 0) {
        transport_registry_leave_source(t->opts.registry, peer);
        transport_registry_leave(t->opts.registry);
        release_slot(t, slot);
        refuse_connection(t, peer, rc == ERR_LIMIT ? "tls.handshakes reached" : "no memory");
        return true;
    }
    if (enter_connection(t, slot, connection, true) != 0)
        refuse_connection(t, peer, "no memory");
    else if (is_secure(listener->protocol))
        pace_handshakes(t, tcp);
    return true;
}

static bool is_websocket(uint8_t protocol)
{
    return sip_transport_is_websocket((enum sip_transport)protocol);
}

static int open_connection(struct transport *t, const struct sip_hop *to, struct connection **ret_connection)
{
    struct sip_hop hop = *to;
    if (is_websocket(to->transport))
        return ERR_CLOSED;
    hop.is_trusted = false;
    /* Nobody to verify: what is meant for one would be shown to whoever is there. */
    if (is_secure(to->transport) && (t->opts.tls == NULL || to->peer_name == NET_NAME_NONE))
        return ERR_DENIED;
    uint32_t slot = take_slot(t, &hop);
    if (slot == NO_SLOT) {
        refuse_connection(t, &to->addr, "limits.connections reached");
        return ERR_LIMIT;
    }
    if (!transport_registry_enter(t->opts.registry)) {
        release_slot(t, slot);
        refuse_connection(t, &to->addr, "limits.connections reached");
        return ERR_LIMIT;
    }
    struct connection *connection;
    int rc = connection_open(&t->owner, &t->listeners[to->listener].addr, &hop, &connection);
    if (rc != 0) {
        transport_registry_leave(t->opts.registry);
        release_slot(t, slot);
        return rc;
    }
    rc = enter_connection(t, slot, connection, false);
    if (rc == 0)
        *ret_connection = connection;
    return rc;
}

/* A request to a peer who has ended the connection would be lost without a word. A number that comes back
 * from outside may be one that another connection had (a token of the process before): what names a flow
 * names its peer as well, or is signed for one dialog (Record-Route). */
static bool is_open(const struct transport *t, const struct sip_hop *hop)
{
    const struct connection *connection = find_connection(t, hop->flow);
    if (connection == NULL || !hop->flow_only)
        return connection != NULL;
    return (hop->addr.family == ADDR_NONE || addr_eq(&connection_hop(connection)->addr, &hop->addr)) &&
           !connection_is_ending(connection);
}

static int send_by_stream(struct transport *t, const struct sip_hop *hop, struct wire *wire, uint64_t token)
{
    struct sip_hop to = *hop;
    if (to.flow != SIP_FLOW_NONE && transport_flow_worker(to.flow) == t->opts.worker && !is_open(t, &to)) {
        if (to.flow_only)
            return ERR_CLOSED;
        to.flow = SIP_FLOW_NONE;
    }
    const struct transport_peer peer = {to.addr, to.peer_name, to.transport};
    if (to.flow == SIP_FLOW_NONE && (!is_secure(to.transport) || to.peer_name != NET_NAME_NONE))
        to.flow = transport_registry_find(t->opts.registry, &peer);
    if (to.flow != SIP_FLOW_NONE && transport_flow_worker(to.flow) != t->opts.worker)
        return t->opts.ops->other_worker(t->opts.ctx, transport_flow_worker(to.flow), &to, wire, token);

    struct connection *connection = to.flow == SIP_FLOW_NONE ? NULL : find_connection(t, to.flow);
    if (connection == NULL) {
        int rc = open_connection(t, &to, &connection);
        if (rc != 0)
            return rc;
    }
    return connection_send(connection, wire, token);
}

int transport_send(struct transport *t, const struct sip_hop *hop, struct wire *wire, uint64_t token)
{
    assert(hop->listener < t->opts.n_listeners);
    struct listener *listener = &t->listeners[hop->listener];
    int rc;
    if (hop->transport != listener->protocol)
        rc = ERR_UNSUPPORTED;
    else if (hop->transport == SIP_TRANSPORT_UDP)
        rc = net_udp_send(listener->udp, &hop->addr, wire, token);
    else
        rc = send_by_stream(t, hop, wire, token);
    counter_inc(t->opts.counters, rc == 0 ? COUNTER_TX_MESSAGES : COUNTER_TX_ERRORS);
    return rc;
}

void transport_mark(struct transport *t, uint32_t mark)
{
    net_udp_batch_mark(t->batch, mark);
}

void transport_absorb(struct transport *t, struct slice mark)
{
    char text[NET_SIEVE_MARK_BYTES + 1] = "";
    const struct net_sieve sieve = {.start = "ACK ", .mark = text};
    assert(slice_is_null(mark) || mark.len == NET_SIEVE_MARK_BYTES);
    if (!slice_is_null(mark))
        memcpy(text, mark.ptr, mark.len);
    for (size_t i = 0; i < t->opts.n_listeners; i++)
        if (t->listeners[i].udp != NULL)
            net_udp_sieve(t->listeners[i].udp, slice_is_null(mark) ? NULL : &sieve);
}

/* ---- datagrams ---- */

/* RFC 5626 section 3.5.1 and RFC 3261 section 7.5: a datagram of nothing but CRLF keeps a binding of a NAT
 * alive. */
static bool is_keepalive(struct slice data)
{
    return slice_trim(data).len == 0;
}

static bool may_answer_stun(struct transport *t, const struct addr *from)
{
    const struct hash_key key = {t->opts.first_generation, t->opts.first_generation};
    uint64_t hash = hash_siphash64(&key, slice_make((const char *)from->ip, sizeof(from->ip)));
    ms_t second = net_loop_now_ms(t->opts.loop) / 1000;
    if (t->stun.second != second)
        t->stun = (struct stun_guard){.second = second};
    uint16_t *count = &t->stun.counts[hash % STUN_PLACES];
    if (*count >= STUN_PER_SECOND)
        return false;
    (*count)++;
    return true;
}

/* RFC 5626 section 8. */
static void on_stun(struct listener *listener, struct slice data, const struct addr *from)
{
    struct transport *t = listener->transport;
    uint8_t answer[STUN_ANSWER_BYTES_MAX];
    counter_inc(t->opts.counters, COUNTER_RX_KEEPALIVES);
    size_t len = stun_answer(data, from, answer);
    if (len == 0 || !may_answer_stun(t, from))
        return;
    struct wire *wire = wire_from(slice_make((const char *)answer, len));
    if (wire == NULL || net_udp_send(listener->udp, from, wire, 0) != 0)
        counter_inc(t->opts.counters, COUNTER_TX_ERRORS);
    wire_unref(wire);
}

static void on_waited(void *ctx, struct net_udp *udp, uint32_t waited_us, uint32_t lost)
{
    struct listener *listener = ctx;
    (void)udp;
    if (listener->transport->opts.ops->waited != NULL)
        listener->transport->opts.ops->waited(listener->transport->opts.ctx, listener->index + 1u, waited_us,
                                              lost);
}

static void on_datagram(void *ctx, struct net_udp *udp, struct slice data, const struct addr *from)
{
    struct listener *listener = ctx;
    struct transport *t = listener->transport;
    (void)udp;
    counter_inc(t->opts.counters, COUNTER_RX_DATAGRAMS);
    if (stun_is_it(data)) {
        on_stun(listener, data, from);
        return;
    }
    if (is_keepalive(data)) {
        counter_inc(t->opts.counters, COUNTER_RX_KEEPALIVES);
        return;
    }
    counter_inc(t->opts.counters, COUNTER_RX_MESSAGES);
    struct sip_hop hop = {.addr = *from, .listener = listener->index, .transport = SIP_TRANSPORT_UDP};
    t->opts.ops->receive(t->opts.ctx, data, &hop, true);
}

static void on_datagram_failed(void *ctx, struct net_udp *udp, uint64_t token, int error)
{
    struct listener *listener = ctx;
    (void)udp;
    (void)error;
    counter_inc(listener->transport->opts.counters, COUNTER_TX_ERRORS);
    if (token != 0)
        listener->transport->opts.ops->send_failed(listener->transport->opts.ctx, token);
}

static void on_datagram_refused(void *ctx, struct net_udp *udp, const struct addr *to, struct slice head,
                                int error)
{
    struct listener *listener = ctx;
    (void)udp;
    (void)to;
    (void)error;
    counter_inc(listener->transport->opts.counters, COUNTER_TX_ERRORS);
    listener->transport->opts.ops->refused(listener->transport->opts.ctx, head);
}

static const struct net_udp_ops udp_ops = {.waited = on_waited,
                                           .receive = on_datagram,
                                           .send_failed = on_datagram_failed,
                                           .refused = on_datagram_refused};
static const struct net_tcp_listener_ops tcp_ops = {.accept = on_accept};

/* ---- life ---- */

static bool is_stream(uint8_t protocol)
{
    return protocol == SIP_TRANSPORT_TCP || protocol == SIP_TRANSPORT_TLS || is_websocket(protocol);
}

static int listener_open(struct transport *t, uint16_t index)
{
    const struct transport_limits *limits = &t->opts.limits;
    struct listener *listener = &t->listeners[index];
    *listener = (struct listener){.transport = t,
                                  .addr = t->opts.listeners[index].addr,
                                  .index = index,
                                  .protocol = t->opts.listeners[index].transport,
                                  .clients = t->opts.listeners[index].clients};
    if (is_stream(listener->protocol))
        return net_tcp_listener_new(t->opts.loop, &listener->addr, &tcp_ops, listener, &listener->tcp);
    if (listener->protocol != SIP_TRANSPORT_UDP)
        return ERR_UNSUPPORTED;
    /* RFC 3261 section 10.3: "REGISTER requests MUST be processed by a registrar in the order that they
     * are received", whatever their Call-IDs. */
    const struct net_steer steer = {t->opts.call_key, t->opts.n_workers, "Call-ID", "REGI"};
    struct net_udp_opts udp = {
        .loop = t->opts.loop,
        .batch = t->batch,
        .addr = listener->addr,
        .reuse_port = true,
        .takes_trains = t->opts.n_workers == 1,
        .steer = t->opts.worker == 0 && t->opts.n_workers > 1 ? &steer : NULL,
        .receive_buffer_bytes = limits->udp_receive_buffer_bytes,
        .send_buffer_bytes = limits->udp_send_buffer_bytes,
        .queue_bytes = limits->udp_queue_bytes,
        .counters = t->opts.counters,
        .ops = &udp_ops,
        .ctx = listener,
    };
    return net_udp_new(&udp, &listener->udp);
}

int transport_new(const struct transport_opts *opts, size_t *ret_failed, struct transport **ret_transport)
{
    assert(opts->n_listeners <= UINT16_MAX && opts->worker < UINT8_MAX - 1);
    struct transport *t = mem_zalloc(sizeof(*t));
    if (t == NULL)
        return ERR_NOMEM;
    t->opts = *opts;
    t->owner = (struct connection_owner){.loop = opts->loop,
                                         .wheel = net_loop_wheel(opts->loop),
                                         .limits = &t->opts.limits,
                                         .websockets = &t->opts.websockets,
                                         .counters = opts->counters,
                                         .ops = opts->ops,
                                         .ctx = opts->ctx,
                                         .ending = on_ending,
                                         .dead = on_dead,
                                         .tls = opts->tls,
                                         .names = opts->names,
                                         .proved = on_proved,
                                         .seen = on_seen};
    size_t failed = opts->n_listeners;
    pace_init(&t->pace, opts->limits.handshakes_per_second);
    int rc = slots_init(t, opts->limits.connections);
    if (rc != 0)
        goto out;
    rc = net_udp_batch_new(&t->batch);
    if (rc != 0)
        goto out;
    t->listeners = mem_zalloc(opts->n_listeners * sizeof(*t->listeners));
    if (t->listeners == NULL) {
        rc = ERR_NOMEM;
        goto out;
    }
    for (uint16_t i = 0; i < opts->n_listeners && rc == 0; i++) {
        failed = i;
        rc = listener_open(t, i);
    }
out:
    if (rc != 0) {
        int error = errno;
        *ret_failed = failed;
        transport_free(t);
        errno = error;
    } else {
        *ret_transport = t;
    }
    return rc;
}

void transport_stop_listening(struct transport *t)
{
    for (size_t i = 0; i < t->opts.n_listeners; i++) {
        net_tcp_listener_free(t->listeners[i].tcp);
        t->listeners[i].tcp = NULL;
    }
}

void transport_free(struct transport *t)
{
    if (t == NULL)
        return;
    t->owner.quiet = true;
    for (uint32_t slot = 0; t->slots != NULL && slot < t->n_slots; slot++)
        if (t->slots[slot].connection != NULL)
            on_dead(&t->owner, t->slots[slot].connection);
    if (t->listeners != NULL) {
        transport_stop_listening(t);
        for (size_t i = 0; i < t->opts.n_listeners; i++)
            net_udp_free(t->listeners[i].udp);
    }
    net_udp_batch_free(t->batch);
    mem_free(t->listeners);
    mem_free(t->slots);
    mem_free(t);
}
