/* TCP: listeners and streams of octets, non-blocking. A TLS or WebSocket stream can stand behind the same
 * functions later. */
#ifndef NET_TCP_H
#define NET_TCP_H

#include "base/addr.h"
#include "base/wire.h"
#include "net/loop.h"

struct net_stream;
struct net_tcp_listener;

/* ---- listeners ---- */

struct net_tcp_listener_ops {
    /* A connection was accepted: take fd (make a stream of it) and return true, or return false and it is
     * closed. */
    bool (*accept)(void *ctx, struct net_tcp_listener *listener, int fd, const struct addr *peer);
};

/* SO_REUSEPORT is set, so every worker can have its own. When file descriptors run out, accepting pauses for
 * a second instead of spinning. ERR_IO with errno. */
MUST_USE int net_tcp_listener_new(struct net_loop *loop, const struct addr *addr,
                                  const struct net_tcp_listener_ops *ops, void *ctx,
                                  struct net_tcp_listener **ret_listener);
void net_tcp_listener_free(struct net_tcp_listener *listener);
const struct addr *net_tcp_listener_addr(const struct net_tcp_listener *listener);

/* ---- streams ---- */

struct net_stream_ops {
    void (*open)(void *ctx, struct net_stream *stream); /* an outbound one is connected */
    /* New octets; they are the reader's until the call returns. */
    void (*receive)(void *ctx, struct net_stream *stream, struct slice data);
    /* The stream is dead (peer closed, error, or net_stream_shutdown done). error: errno or 0. Free it in or
     * after this call. Called once, never from within a net_stream_ function. */
    void (*closed)(void *ctx, struct net_stream *stream, int error);
};

/* From an accepted fd (owned by the stream from then on). On failure fd is closed. */
MUST_USE int net_stream_from_fd(struct net_loop *loop, int fd, size_t queue_bytes,
                                const struct net_stream_ops *ops, void *ctx, struct net_stream **ret_stream);
/* Starts to connect to `to` from the IP of `from` (any port; family ADDR_NONE: any address). ERR_IO with
 * errno when it fails at once. */
MUST_USE int net_stream_connect(struct net_loop *loop, const struct addr *from, const struct addr *to,
                                size_t queue_bytes, const struct net_stream_ops *ops, void *ctx,
                                struct net_stream **ret_stream);
/* Closes at once; ops->closed is not called. Safe from within any callback of this stream. */
void net_stream_free(struct net_stream *stream);

/* Queues wire (takes a reference). Written at the end of the turn, many at a time. ERR_LIMIT: queue_bytes
 * would be passed; ERR_CLOSED: it is dead or shut down. */
MUST_USE int net_stream_send(struct net_stream *stream, struct wire *wire);
/* Takes no more to send, sends what is queued, then closes (ops->closed). The reader gets nothing more. */
void net_stream_shutdown(struct net_stream *stream);

bool net_stream_is_open(const struct net_stream *stream); /* connected and not closed */
/* Octets ever queued, and ever taken by the kernel: which of the messages queued have left. */
uint64_t net_stream_queued_bytes(const struct net_stream *stream);
uint64_t net_stream_written_bytes(const struct net_stream *stream);

#endif
