/* The server's side of a WebSocket (RFC 6455) on octets: it has no socket, no clock and no thread.
 * Octets of the peer go in, whole messages come out; messages go in, octets for the peer come out.
 * Frames, masks, fragments, control frames, close codes and the UTF-8 of text are wslay's; the
 * opening handshake is net/upgrade.h's.
 *
 * Life: handshake (no message goes either way) -> open -> closed. Closed is after a refused handshake,
 * after the closing handshake of either side, and after an error of the peer; the last octets for it have
 * then been given to `write`, and the connection under it is to be closed in good order
 * (net_stream_shutdown), by the server first (section 7.1.1).
 *
 * There is no client's side: RFC 7118 has clients open WebSockets to servers, and nobody can
 * be reached by opening one to a browser.
 *
 * Memory of one: what is unfinished of a message, freed with its end, and what wslay keeps, some 9 KiB from
 * its own malloc, which base/mem.h does not see. */
#ifndef NET_WEBSOCKET_H
#define NET_WEBSOCKET_H

#include "base/wire.h"
#include "net/upgrade.h"

/* Longest head of the request that opens it. */
#define NET_WEBSOCKET_HEAD_MAX_BYTES 8192

/* Close codes (RFC 6455 section 7.4.1). */
#define NET_WEBSOCKET_GOING_AWAY     1001
#define NET_WEBSOCKET_PROTOCOL_ERROR 1002
#define NET_WEBSOCKET_INVALID_TEXT   1007
#define NET_WEBSOCKET_TOO_BIG        1009
#define NET_WEBSOCKET_INTERNAL_ERROR 1011

struct net_websocket;

/* None of them may free the WebSocket; all may send by it. */
struct net_websocket_ops {
    /* Octets for the peer, in order: take a reference. A failure ends the WebSocket. */
    int (*write)(void *ctx, struct wire *wire);
    /* The opening handshake has been answered; with 101 it is open now. */
    void (*answered)(void *ctx, const struct net_upgrade_answer *answer);
    /* A whole message, text or binary. It lives only during the call. */
    void (*message)(void *ctx, struct slice message);
    /* A whole frame came: the peer is there, whatever the frame says. */
    void (*alive)(void *ctx);
};

struct net_websocket_opts {
    const struct net_upgrade_policy *policy; /* outlives the WebSocket */
    size_t message_bytes;                    /* longest message; a longer one ends it with 1009 */
    const struct net_websocket_ops *ops;
    void *ctx;
};

/* ERR_NOMEM. */
MUST_USE int net_websocket_new(const struct net_websocket_opts *opts, struct net_websocket **ret_ws);
/* NULL is fine. */
void net_websocket_free(struct net_websocket *ws);

/* Octets of the peer, however they are cut. ERR_CLOSED: it is closed, with this or before; what else came is
 * not looked at. ERR_NOMEM, or what ops->write returned: it is dead, and nothing more can be said by it. */
MUST_USE int net_websocket_receive(struct net_websocket *ws, struct slice data);
/* One message, in one frame: text when the peer's last message was text, or there was none, and this one is
 * UTF-8 (RFC 7118 section 4.2), else binary. ERR_CLOSED: not open. ERR_NOMEM, or what ops->write returned. */
MUST_USE int net_websocket_send(struct net_websocket *ws, struct slice message);
/* A Ping, which the peer answers at once (section 5.5.2). Errors as net_websocket_send. */
MUST_USE int net_websocket_ping(struct net_websocket *ws);
/* Starts the closing handshake (section 7.1.2); it is closed then. Errors as net_websocket_send. */
MUST_USE int net_websocket_close(struct net_websocket *ws, unsigned code);

bool net_websocket_is_open(const struct net_websocket *ws);
/* The peer has begun a handshake, a frame or a message and not ended it. */
bool net_websocket_is_unfinished(const struct net_websocket *ws);
/* The close code that was sent; 0: none. */
unsigned net_websocket_close_code(const struct net_websocket *ws);

#endif
