/* "Each SIP message MUST be carried within a single WebSocket message, and a WebSocket message
 * MUST NOT contain more than one SIP message" (RFC 7118 section 5). Who sends nothing is asked
 * by a Ping whether he is still there (section 6): a browser answers by itself, and a page that
 * was closed without a word is found out. */
#include "base/log.h"
#include "transport/connection_private.h"

#define PING_BYTES                                                                                           \
    4 /* RFC 5626 section 3.5.1, which is "usable over the transport defined in this specification" */

static struct log_limiter refused_log = LOG_LIMITER(5);

static void log_refused(const struct connection *c, const struct net_upgrade_answer *answer)
{
    char memory[64];
    struct buf peer;
    buf_init(&peer, memory, sizeof(memory));
    addr_format(&c->hop.addr, &peer);
    log_limited(&refused_log, LOG_WARN, "websocket.refused", log_slice("peer", buf_slice(&peer)),
                log_u64("status", answer->status), log_cstr("why", answer->why),
                log_slice("origin", slice_is_null(answer->origin) ? SLICE("") : answer->origin));
}

static int on_write(void *ctx, struct wire *wire)
{
    struct connection *c = ctx;
    return net_stream_send(c->stream, wire);
}

static void on_answered(void *ctx, const struct net_upgrade_answer *answer)
{
    struct connection *c = ctx;
    if (answer->status == NET_UPGRADE_SWITCHING) {
        connection_opened(c);
    } else {
        counter_inc(c->owner->counters, COUNTER_CONNECTIONS_REFUSED);
        log_refused(c, answer);
    }
}

static void on_message(void *ctx, struct slice message)
{
    struct connection *c = ctx;
    if (c->doomed)
        return;
    c->unfinished_ms = connection_now_ms(c);
    if (slice_trim(message).len > 0)
        connection_deliver(c, message, true);
    else if (message.len >= PING_BYTES)
        connection_pong(c);
}

static void on_alive(void *ctx)
{
    struct connection *c = ctx;
    c->in.websocket.alive_ms = connection_now_ms(c);
    c->in.websocket.pinged_ms = MS_NEVER;
}

static const struct net_websocket_ops websocket_ops = {
    .write = on_write, .answered = on_answered, .message = on_message, .alive = on_alive};

static int websocket_begin(struct connection *c)
{
    const struct net_websocket_opts opts = {.policy = c->owner->websockets,
                                            .message_bytes = c->owner->limits->sip.message_bytes,
                                            .ops = &websocket_ops,
                                            .ctx = c};
    c->in.websocket = (struct websocket_input){.alive_ms = connection_now_ms(c), .pinged_ms = MS_NEVER};
    return net_websocket_new(&opts, &c->in.websocket.ws);
}

static void websocket_end(struct connection *c)
{
    net_websocket_free(c->in.websocket.ws);
}

static const char *code_text(unsigned code)
{
    switch (code) {
    case NET_WEBSOCKET_PROTOCOL_ERROR:
        return "WebSocket 1002: a frame against RFC 6455";
    case NET_WEBSOCKET_INVALID_TEXT:
        return "WebSocket 1007: text that is not UTF-8";
    case NET_WEBSOCKET_TOO_BIG:
        return "WebSocket 1009: limits.message reached";
    default:
        return NULL;
    }
}

/* After the last octets for it have been queued; the peer's own going away is not worth a line. */
static void on_closed(struct connection *c)
{
    const char *why = code_text(net_websocket_close_code(c->in.websocket.ws));
    if (why != NULL) {
        counter_inc(c->owner->counters, COUNTER_RX_BAD);
        connection_log_closed(c, why);
    }
    connection_shut(c);
}

static void websocket_receive(struct connection *c, struct slice data)
{
    struct net_websocket *ws = c->in.websocket.ws;
    bool was_unfinished = net_websocket_is_unfinished(ws);
    int rc = net_websocket_receive(ws, data);
    if (rc == ERR_CLOSED) {
        on_closed(c);
    } else if (rc != 0) {
        counter_inc(c->owner->counters, COUNTER_SHED);
        connection_doom(c, rc == ERR_LIMIT ? "peer does not read" : "no memory");
    } else if (!was_unfinished && net_websocket_is_unfinished(ws)) {
        c->unfinished_ms = connection_now_ms(c);
        connection_hurry(c);
    }
}

static int websocket_send(struct connection *c, struct wire *wire)
{
    struct net_websocket *ws = c->in.websocket.ws;
    bool was_open = net_websocket_is_open(ws);
    int rc = net_websocket_send(ws, wire_slice(wire));
    /* Part of a frame may have left: nothing can follow it. */
    if (rc == ERR_NOMEM && was_open && !net_websocket_is_open(ws))
        connection_doom(c, "no memory");
    return rc;
}

static bool websocket_is_unfinished(const struct connection *c)
{
    return net_websocket_is_unfinished(c->in.websocket.ws);
}

static ms_t websocket_due(const struct connection *c)
{
    const struct websocket_input *in = &c->in.websocket;
    const struct transport_limits *limits = c->owner->limits;
    if (limits->ping_interval_ms == 0 || !net_websocket_is_open(in->ws))
        return MS_NEVER;
    return in->pinged_ms == MS_NEVER ? in->alive_ms + limits->ping_interval_ms
                                     : in->pinged_ms + limits->ping_timeout_ms;
}

static void websocket_tick(struct connection *c)
{
    struct websocket_input *in = &c->in.websocket;
    if (in->pinged_ms != MS_NEVER) {
        connection_doom(c, "no answer to a Ping");
        return;
    }
    in->pinged_ms = connection_now_ms(c);
    if (net_websocket_ping(in->ws) != 0)
        connection_doom(c, "Ping not sent");
}

const struct framing framing_websocket = {
    .begin = websocket_begin,
    .end = websocket_end,
    .receive = websocket_receive,
    .send = websocket_send,
    .is_unfinished = websocket_is_unfinished,
    .due = websocket_due,
    .tick = websocket_tick,
    .has_handshake = true,
};
