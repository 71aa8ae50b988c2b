#include "transport/connection.h"
#include "base/log.h"
#include "base/mem.h"
#include <errno.h>
#include <unistd.h>

/* First size of the buffer of a connection that holds part of a message. */
#define INPUT_FIRST_BYTES 4096

/* When no more will come of the peer (its end, or lost framing), how long the answers to what came before may
 * take: they are perhaps with another worker, or wait for the disk. */
#define CLOSING_MS 2000

/* A message with a token, until the kernel has taken its last octet. */
struct unsent {
    struct list node;
    uint64_t end; /* in octets ever queued on this stream */
    uint64_t token;
};

struct connection {
    struct connection_owner *owner;
    struct net_stream *stream;
    struct sip_hop hop;

    struct sip_framer framer;
    char *input; /* unfinished message, or NULL */
    size_t input_len, input_cap;
    unsigned crlf_bytes; /* of a keep-alive that came in pieces */

    struct timer timer;
    ms_t open_by_ms;       /* until when it must be established; MS_NEVER once it is */
    ms_t last_octet_ms;    /* either direction */
    ms_t message_since_ms; /* first octet of the unfinished message */
    ms_t received_ms;      /* the last whole message; 0: none */

    struct list unsent; /* struct unsent, oldest first */
    bool closing;       /* nothing more is read; closing_ms: until when answers are waited for */
    bool shut;          /* nothing more is sent either */
    ms_t closing_ms;
    bool doomed;
    uint8_t watched; /* messages that the owner still wants to see */
};

static struct log_limiter connection_log = LOG_LIMITER(10), tls_log = LOG_LIMITER(10);

static void log_closed(const struct connection *c, const char *why)
{
    char memory[64];
    struct buf peer;
    buf_init(&peer, memory, sizeof(memory));
    addr_format(&c->hop.addr, &peer);
    log_limited(&connection_log, LOG_INFO, "connection.closed", log_slice("peer", buf_slice(&peer)),
                log_cstr("why", why));
}

/* Closing is put off to the timer, so that no caller finds its connection gone under its feet. */
static void doom(struct connection *c, const char *why)
{
    if (c->doomed)
        return;
    c->doomed = true;
    log_closed(c, why);
    timer_set(c->owner->wheel, &c->timer, c->owner->wheel->now_ms);
}

static ms_t deadline(const struct connection *c)
{
    const struct transport_limits *limits = c->owner->limits;
    if (c->closing)
        return c->closing_ms;
    if (c->open_by_ms != MS_NEVER)
        return c->open_by_ms;
    ms_t idle = c->last_octet_ms + limits->idle_ms;
    ms_t partial = c->input_len > 0 ? c->message_since_ms + limits->partial_ms : MS_NEVER;
    return idle < partial ? idle : partial;
}

static void shut(struct connection *c)
{
    c->shut = true;
    c->closing_ms += NET_STREAM_LINGER_MS + CLOSING_MS;
    net_stream_shutdown(c->stream);
}

/* The timer is not moved with each octet: when it fires too early it is set again. */
static void on_timer(struct timer_wheel *wheel, struct timer *timer)
{
    struct connection *c = list_entry(timer, struct connection, timer);
    if (!c->doomed && c->closing && !c->shut && deadline(c) <= wheel->now_ms)
        shut(c);
    if (!c->doomed && deadline(c) > wheel->now_ms) {
        timer_set(wheel, timer, deadline(c));
        return;
    }
    if (!c->doomed && !c->closing)
        log_closed(c, c->open_by_ms != MS_NEVER ? "no connection in time"
                      : c->input_len > 0        ? "unfinished message"
                                                : "idle");
    c->owner->dead(c->owner, c);
}

static ms_t now_ms(const struct connection *c)
{
    return net_loop_now_ms(c->owner->loop);
}

static void drop_sent(struct connection *c)
{
    uint64_t written = net_stream_written_bytes(c->stream);
    while (!list_is_empty(&c->unsent)) {
        struct unsent *oldest = list_entry(c->unsent.next, struct unsent, node);
        if (oldest->end > written)
            return;
        list_remove(&oldest->node);
        mem_free(oldest);
    }
}

int connection_send(struct connection *c, struct wire *wire, uint64_t token)
{
    if (c->doomed)
        return ERR_CLOSED;
    drop_sent(c);
    struct unsent *entry = NULL;
    if (token != 0) {
        entry = mem_alloc(sizeof(*entry));
        if (entry == NULL)
            return ERR_NOMEM;
    }
    int rc = net_stream_send(c->stream, wire);
    if (rc != 0) {
        mem_free(entry);
        if (rc == ERR_LIMIT)
            doom(c, "peer does not read");
        return rc;
    }
    c->last_octet_ms = now_ms(c);
    if (entry != NULL) {
        entry->token = token;
        entry->end = net_stream_queued_bytes(c->stream);
        list_append(&c->unsent, &entry->node);
    }
    return 0;
}

/* RFC 5626 section 3.5.1: a double CRLF asks for a single one. */
static void on_keepalive(struct connection *c, uint32_t octets)
{
    c->crlf_bytes += octets;
    if (c->crlf_bytes < 4)
        return;
    c->crlf_bytes = 0;
    counter_inc(c->owner->counters, COUNTER_RX_KEEPALIVES);
    struct wire *pong = wire_from(SLICE("\r\n"));
    if (pong == NULL)
        return;
    if (connection_send(c, pong, 0) != 0)
        doom(c, "pong not sent");
    wire_unref(pong);
}

/* Where nothing was asked lately there is nothing to wait for. */
static void begin_closing(struct connection *c)
{
    if (c->doomed || c->closing)
        return;
    bool is_waiting = c->received_ms != 0 && now_ms(c) - c->received_ms < CLOSING_MS;
    c->closing = true;
    c->closing_ms = now_ms(c) + (is_waiting ? CLOSING_MS : 0);
    c->owner->ending(c->owner, c);
    if (!is_waiting)
        shut(c);
    timer_set(c->owner->wheel, &c->timer, c->closing_ms);
}

static void on_bad(struct connection *c, struct slice head)
{
    counter_inc(c->owner->counters, COUNTER_RX_BAD);
    log_closed(c, c->framer.error.phrase != NULL ? c->framer.error.phrase : "framing lost");
    if (c->framer.error.status != 0)
        c->owner->ops->bad(c->owner->ctx, head, &c->hop, c->framer.error.status, c->framer.error.phrase);
    begin_closing(c);
}

/* Takes all whole messages off the front of data. Returns how many octets are done with; all of them when
 * framing is lost. */
static size_t take_messages(struct connection *c, struct slice data)
{
    size_t done = 0;
    while (done < data.len && !c->doomed) {
        struct slice rest = slice_sub(data, done, data.len);
        switch (sip_frame_next(&c->framer, rest, &c->owner->limits->sip)) {
        case SIP_FRAME_MESSAGE:
            done += c->framer.message_len;
            c->crlf_bytes = 0;
            counter_inc(c->owner->counters, COUNTER_RX_MESSAGES);
            c->received_ms = now_ms(c);
            if (c->watched > 0) {
                c->watched--;
                c->owner->seen(c->owner, c, slice_sub(rest, 0, c->framer.message_len));
            }
            c->owner->ops->receive(c->owner->ctx, slice_sub(rest, 0, c->framer.message_len), &c->hop, false);
            c->framer = (struct sip_framer){0};
            break;
        case SIP_FRAME_KEEPALIVE:
            done += c->framer.message_len;
            on_keepalive(c, c->framer.message_len);
            c->framer = (struct sip_framer){0};
            break;
        case SIP_FRAME_MORE:
            return done;
        case SIP_FRAME_BAD:
            on_bad(c, rest);
            return data.len;
        }
    }
    return c->doomed ? data.len : done;
}

static void forget_input(struct connection *c)
{
    mem_free(c->input);
    c->input = NULL;
    c->input_len = c->input_cap = 0;
}

static int keep_input(struct connection *c, struct slice rest)
{
    size_t need = c->input_len + rest.len;
    if (need > c->owner->limits->input_buffer_bytes)
        return ERR_LIMIT;
    if (need > c->input_cap) {
        size_t cap = c->input_cap == 0 ? INPUT_FIRST_BYTES : c->input_cap;
        while (cap < need)
            cap *= 2;
        char *grown = mem_realloc_array(c->input, cap, 1);
        if (grown == NULL)
            return ERR_NOMEM;
        c->input = grown;
        c->input_cap = cap;
    }
    memcpy(c->input + c->input_len, rest.ptr, rest.len);
    c->input_len += rest.len;
    return 0;
}

static void on_receive(void *ctx, struct net_stream *stream, struct slice data)
{
    struct connection *c = ctx;
    (void)stream;
    if (c->doomed || c->closing)
        return;
    c->last_octet_ms = now_ms(c);
    if (c->input_len == 0) {
        /* The usual case: whole messages straight from the socket's buffer. */
        data = slice_sub(data, take_messages(c, data), data.len);
        if (data.len == 0)
            return;
        c->message_since_ms = now_ms(c);
        timer_set(c->owner->wheel, &c->timer, deadline(c));
    }
    int rc = keep_input(c, data);
    if (rc != 0) {
        counter_inc(c->owner->counters, COUNTER_SHED);
        doom(c, rc == ERR_LIMIT ? "limits.input_buffer reached" : "no memory");
        return;
    }
    size_t done = take_messages(c, slice_make(c->input, c->input_len));
    if (done == c->input_len) {
        forget_input(c);
        return;
    }
    if (done > 0) {
        c->input_len -= done;
        memmove(c->input, c->input + done, c->input_len);
        c->message_since_ms = now_ms(c);
    }
    timer_set(c->owner->wheel, &c->timer, deadline(c));
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
    c->open_by_ms = MS_NEVER;
    c->last_octet_ms = now_ms(c);
    if (!is_secure(&c->hop))
        return;
    log_refusal(c, stream, "tls.not_believed");
    c->owner->proved(c->owner, c);
}

/* The peer has said all it will say, and may still read (section 18.2.2: responses go by this connection). */
static void on_ended(void *ctx, struct net_stream *stream)
{
    (void)stream;
    begin_closing(ctx);
}

static void on_closed(void *ctx, struct net_stream *stream, int error)
{
    struct connection *c = ctx;
    if (!c->doomed && error == EPROTO)
        log_refusal(c, stream, "tls.refused");
    else if (!c->doomed && error != 0)
        log_closed(c, strerrordesc_np(error));
    c->owner->dead(c->owner, c);
}

static const struct net_stream_ops stream_ops = {
    .open = on_open, .receive = on_receive, .ended = on_ended, .closed = on_closed};

static struct connection *connection_new(struct connection_owner *owner, const struct sip_hop *hop)
{
    struct connection *c = mem_zalloc(sizeof(*c));
    if (c == NULL)
        return NULL;
    c->owner = owner;
    c->hop = *hop;
    c->last_octet_ms = now_ms(c);
    c->open_by_ms = MS_NEVER;
    list_init(&c->unsent);
    timer_init(&c->timer, on_timer);
    return c;
}

/* Makes the stream of c, whose owner then has c; else c is gone. */
static int take_stream(struct connection *c, int rc, struct connection **ret_connection)
{
    if (rc != 0) {
        mem_free(c);
        return rc;
    }
    timer_set(c->owner->wheel, &c->timer, deadline(c));
    *ret_connection = c;
    return 0;
}

static int accept_tls(struct connection *c, int fd, enum net_tls_clients clients)
{
    const struct transport_limits *limits = c->owner->limits;
    enum net_tls_inside inside = c->hop.transport == SIP_TRANSPORT_WSS ? NET_TLS_WEBSOCKET : NET_TLS_SIP;
    c->open_by_ms = now_ms(c) + limits->handshake_ms;
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
    c->open_by_ms = now_ms(c) + owner->limits->connect_ms;
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
    drop_sent(c);
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
    forget_input(c);
    mem_free(c);
}

const struct sip_hop *connection_hop(const struct connection *c)
{
    return &c->hop;
}
