#include "transport/connection.h"
#include "base/log.h"
#include "base/mem.h"
#include "transport/connection_private.h"
#include <errno.h>
#include <unistd.h>

/* When no more will come of the peer (its end, or lost framing), how long the answers to what came before may
 * take: they are perhaps with another worker, or wait for the disk. */
#define CLOSING_MS 2000

/* RFC 3261 section 18.4: of what the kernel took for a peer that then resets the connection, this much
 * is a failure: T1 is the estimate of a round trip (section 17.1.1.1), and a reset is the answer to
 * what was sent a round trip ago. A peer that ends the connection in order has read what came before,
 * and may answer by another (section 18.2.2). */
#define RESET_MS 500

struct unsent {
    struct list node;
    uint64_t end; /* in octets ever queued on this stream */
    ms_t queued_ms;
    uint64_t token;
};

static struct log_limiter connection_log = LOG_LIMITER(10), tls_log = LOG_LIMITER(10);

void connection_log_closed(const struct connection *c, const char *why)
{
    char memory[64];
    struct buf peer;
    buf_init(&peer, memory, sizeof(memory));
    addr_format(&c->hop.addr, &peer);
    log_limited(&connection_log, LOG_INFO, "connection.closed", log_slice("peer", buf_slice(&peer)),
                log_cstr("why", why));
}

void connection_doom(struct connection *c, const char *why)
{
    if (c->doomed)
        return;
    c->doomed = true;
    connection_log_closed(c, why);
    timer_set(c->owner->wheel, &c->timer, c->owner->wheel->now_ms);
}

static ms_t earlier(ms_t a, ms_t b)
{
    return a < b ? a : b;
}

static ms_t framing_due(const struct connection *c)
{
    return c->framing->due != NULL && !c->closing ? c->framing->due(c) : MS_NEVER;
}

static ms_t deadline(const struct connection *c)
{
    const struct transport_limits *limits = c->owner->limits;
    if (c->closing)
        return c->closing_ms;
    if (c->open_by_ms != MS_NEVER)
        return c->open_by_ms;
    ms_t idle = c->last_octet_ms + limits->idle_ms;
    ms_t partial = c->framing->is_unfinished(c) ? c->unfinished_ms + limits->partial_ms : MS_NEVER;
    return earlier(idle, partial);
}

ms_t connection_now_ms(const struct connection *c)
{
    return net_loop_now_ms(c->owner->loop);
}

void connection_hurry(struct connection *c)
{
    if (!c->doomed)
        timer_set(c->owner->wheel, &c->timer, earlier(deadline(c), framing_due(c)));
}

static void end_sending(struct connection *c)
{
    c->shut = true;
    c->closing_ms += NET_STREAM_LINGER_MS + CLOSING_MS;
    net_stream_shutdown(c->stream);
}

static const char *reason_of(const struct connection *c)
{
    if (c->open_by_ms != MS_NEVER)
        return "no connection in time";
    return c->framing->is_unfinished(c) ? "unfinished message" : "idle";
}

/* The timer is not moved with each octet: when it fires too early it is set again. */
static void on_timer(struct timer_wheel *wheel, struct timer *timer)
{
    struct connection *c = list_entry(timer, struct connection, timer);
    if (!c->doomed && c->closing && !c->shut && deadline(c) <= wheel->now_ms)
        end_sending(c);
    if (!c->doomed && framing_due(c) <= wheel->now_ms)
        c->framing->tick(c);
    if (!c->doomed && deadline(c) > wheel->now_ms) {
        connection_hurry(c);
        return;
    }
    if (!c->doomed && !c->closing)
        connection_log_closed(c, reason_of(c));
    c->owner->dead(c->owner, c);
}

/* What has been written, and for so long. */
static void drop_sent(struct connection *c, ms_t for_ms)
{
    uint64_t written = net_stream_written_bytes(c->stream);
    ms_t now_ms = connection_now_ms(c);
    while (!list_is_empty(&c->unsent)) {
        struct unsent *oldest = list_entry(c->unsent.next, struct unsent, node);
        if (oldest->end > written || now_ms - oldest->queued_ms < for_ms)
            return;
        list_remove(&oldest->node);
        mem_free(oldest);
    }
}

int connection_send(struct connection *c, struct wire *wire, uint64_t token)
{
    if (c->doomed)
        return ERR_CLOSED;
    drop_sent(c, RESET_MS);
    struct unsent *entry = NULL;
    if (token != 0) {
        entry = mem_alloc(sizeof(*entry));
        if (entry == NULL)
            return ERR_NOMEM;
    }
    int rc = c->framing->send(c, wire);
    if (rc != 0) {
        mem_free(entry);
        if (rc == ERR_LIMIT)
            connection_doom(c, "peer does not read");
        return rc;
    }
    c->last_octet_ms = connection_now_ms(c);
    if (entry != NULL) {
        entry->token = token;
        entry->end = net_stream_queued_bytes(c->stream);
        entry->queued_ms = connection_now_ms(c);
        list_append(&c->unsent, &entry->node);
    }
    return 0;
}

void connection_pong(struct connection *c)
{
    counter_inc(c->owner->counters, COUNTER_RX_KEEPALIVES);
    struct wire *pong = wire_from(SLICE("\r\n"));
    if (pong == NULL)
        return;
    if (connection_send(c, pong, 0) != 0)
        connection_doom(c, "pong not sent");
    wire_unref(pong);
}

void connection_deliver(struct connection *c, struct slice bytes, bool datagram)
{
    counter_inc(c->owner->counters, COUNTER_RX_MESSAGES);
    c->received_ms = connection_now_ms(c);
    if (c->watched > 0) {
        c->watched--;
        c->owner->seen(c->owner, c, bytes);
    }
    c->owner->ops->receive(c->owner->ctx, bytes, &c->hop, datagram);
}

static void begin_closing(struct connection *c, ms_t patience_ms)
{
    if (c->doomed || c->closing)
        return;
    c->closing = true;
    c->closing_ms = connection_now_ms(c) + patience_ms;
    c->owner->ending(c->owner, c);
    if (patience_ms == 0)
        end_sending(c);
    timer_set(c->owner->wheel, &c->timer, c->closing_ms);
}

/* Where nothing was asked lately there is nothing to wait for. */
void connection_close(struct connection *c)
{
    bool is_waiting = c->received_ms != 0 && connection_now_ms(c) - c->received_ms < CLOSING_MS;
    begin_closing(c, is_waiting ? CLOSING_MS : 0);
}

void connection_shut(struct connection *c)
{
    begin_closing(c, 0);
}

static void on_receive(void *ctx, struct net_stream *stream, struct slice data)
{
    struct connection *c = ctx;
    if (c->doomed || c->closing)
        return;
    if (c->owner->ops->waited != NULL)
        c->owner->ops->waited(c->owner->ctx, 0, net_stream_waited_us(stream), 0);
    c->last_octet_ms = connection_now_ms(c);
    c->framing->receive(c, data);
}

void connection_opened(struct connection *c)
{
    c->open_by_ms = MS_NEVER;
    c->last_octet_ms = c->unfinished_ms = connection_now_ms(c);
    connection_hurry(c);
}

/* The octets flow. What is a handshake of the framing has its own time. */
static void begin_framing(struct connection *c)
{
    if (c->framing->has_handshake)
        c->open_by_ms = connection_now_ms(c) + c->owner->limits->connect_ms;
    else
        connection_opened(c);
}

static bool is_secure(const struct sip_hop *hop)
{
    return sip_transport_is_secure((enum sip_transport)hop->transport);
}

/* A certificate that is not believed is worth a warning; who talks nonsense to a port, as scanners do, is not. */
static void log_refusal(const struct connection *c, const struct net_stream *stream, const char *event)
{
    struct net_tls_refusal refusal;
    if (!net_stream_refusal(stream, &refusal))
        return;
    bool is_about_names = !slice_is_null(refusal.wanted) || !slice_is_null(refusal.offered);
    char memory[64];
    struct buf peer;
    buf_init(&peer, memory, sizeof(memory));
    addr_format(&c->hop.addr, &peer);
    log_limited(&tls_log, is_about_names ? LOG_WARN : LOG_INFO, event, log_slice("peer", buf_slice(&peer)),
                log_slice("wanted", refusal.wanted), log_slice("offered", refusal.offered),
                log_cstr("why", refusal.why));
}

static void on_open(void *ctx, struct net_stream *stream)
{
    struct connection *c = ctx;
    begin_framing(c);
    connection_hurry(c);
    if (!is_secure(&c->hop))
        return;
    log_refusal(c, stream, "tls.not_believed");
    c->owner->proved(c->owner, c);
}

/* The peer has said all it will say, and may still read (section 18.2.2: responses go by this connection). */
static void on_ended(void *ctx, struct net_stream *stream)
{
    (void)stream;
    connection_close(ctx);
}

static void on_closed(void *ctx, struct net_stream *stream, int error)
{
    struct connection *c = ctx;
    c->was_reset = error == ECONNRESET || error == EPIPE;
    if (!c->doomed && error == EPROTO)
        log_refusal(c, stream, "tls.refused");
    else if (!c->doomed && error != 0)
        connection_log_closed(c, strerrordesc_np(error));
    c->owner->dead(c->owner, c);
}

static const struct net_stream_ops stream_ops = {
    .open = on_open, .receive = on_receive, .ended = on_ended, .closed = on_closed};

static const struct framing *framing_of(const struct sip_hop *hop)
{
    return sip_transport_is_websocket((enum sip_transport)hop->transport) ? &framing_websocket
                                                                          : &framing_stream;
}

static void give_back(struct connection *c)
{
    c->framing->end(c);
    mem_free(c);
}

static struct connection *connection_new(struct connection_owner *owner, const struct sip_hop *hop)
{
    struct connection *c = mem_zalloc(sizeof(*c));
    if (c == NULL)
        return NULL;
    c->owner = owner;
    c->hop = *hop;
    c->framing = framing_of(hop);
    c->last_octet_ms = connection_now_ms(c);
    c->open_by_ms = MS_NEVER;
    list_init(&c->unsent);
    timer_init(&c->timer, on_timer);
    if (c->framing->begin(c) == 0)
        return c;
    give_back(c);
    return NULL;
}

/* Makes the stream of c, whose owner then has c; else c is gone. */
static int take_stream(struct connection *c, int rc, struct connection **ret_connection)
{
    if (rc != 0) {
        give_back(c);
        return rc;
    }
    connection_hurry(c);
    *ret_connection = c;
    return 0;
}

static int accept_tls(struct connection *c, int fd, enum net_tls_clients clients)
{
    const struct transport_limits *limits = c->owner->limits;
    enum net_tls_inside inside = c->hop.transport == SIP_TRANSPORT_WSS ? NET_TLS_WEBSOCKET : NET_TLS_SIP;
    c->open_by_ms = connection_now_ms(c) + limits->handshake_ms;
    return net_stream_accept_tls(c->owner->loop, fd, c->owner->tls, clients, inside,
                                 limits->output_queue_bytes, &stream_ops, c, &c->stream);
}

int connection_accept(struct connection_owner *owner, int fd, const struct sip_hop *hop,
                      enum net_tls_clients clients, struct connection **ret_connection)
{
    struct connection *c = connection_new(owner, hop);
    if (c == NULL) {
        close(fd);
        return ERR_NOMEM;
    }
    if (is_secure(hop))
        return take_stream(c, accept_tls(c, fd, clients), ret_connection);
    int rc =
        net_stream_from_fd(owner->loop, fd, owner->limits->output_queue_bytes, &stream_ops, c, &c->stream);
    if (rc == 0)
        begin_framing(c);
    return take_stream(c, rc, ret_connection);
}

static int open_tls(struct connection *c, const struct addr *from)
{
    const struct transport_limits *limits = c->owner->limits;
    char name[NET_NAME_MAX_BYTES + 1];
    int rc = net_names_text(c->owner->names, c->hop.peer_name, name);
    if (rc != 0)
        return rc;
    c->open_by_ms += limits->handshake_ms;
    return net_stream_connect_tls(c->owner->loop, from, &c->hop.addr, c->owner->tls, name,
                                  limits->output_queue_bytes, &stream_ops, c, &c->stream);
}

int connection_open(struct connection_owner *owner, const struct addr *from, const struct sip_hop *hop,
                    struct connection **ret_connection)
{
    struct connection *c = connection_new(owner, hop);
    if (c == NULL)
        return ERR_NOMEM;
    c->open_by_ms = connection_now_ms(c) + owner->limits->connect_ms;
    if (is_secure(hop))
        return take_stream(c, open_tls(c, from), ret_connection);
    int rc = net_stream_connect(owner->loop, from, &hop->addr, owner->limits->output_queue_bytes, &stream_ops,
                                c, &c->stream);
    return take_stream(c, rc, ret_connection);
}

void connection_set_peer(struct connection *c, uint32_t name, bool is_trusted)
{
    c->hop.peer_name = name;
    c->hop.is_trusted = is_trusted;
}

struct net_stream *connection_stream(const struct connection *c)
{
    return c->stream;
}

void connection_watch(struct connection *c, unsigned messages)
{
    c->watched = (uint8_t)messages;
}

void connection_free(struct connection *c)
{
    timer_stop(c->owner->wheel, &c->timer);
    drop_sent(c, c->was_reset ? RESET_MS : 0);
    net_stream_free(c->stream);
    list_for_each(node, &c->unsent)
    {
        struct unsent *entry = list_entry(node, struct unsent, node);
        uint64_t token = entry->token;
        list_remove(node);
        mem_free(entry);
        if (!c->owner->quiet)
            c->owner->ops->send_failed(c->owner->ctx, token);
    }
    give_back(c);
}

bool connection_is_ending(const struct connection *c)
{
    return c->closing || c->doomed;
}

const struct sip_hop *connection_hop(const struct connection *c)
{
    return &c->hop;
}
