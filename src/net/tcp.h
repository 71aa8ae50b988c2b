/* TCP, with TLS inside or without: listeners and streams of octets, non-blocking.
 *
 * Life of a stream: connecting (only one that was opened here) -> shaking hands (only with TLS) ->
 * open (`open` ends what was before) -> closed. It ends when the peer has closed and what was queued
 * has left, when the connection breaks, when a peer takes nothing for NET_STREAM_USER_TIMEOUT_MS, or
 * when its user frees it. Time limits for connecting, for being idle and for half messages are its
 * user's: they are net_stream_free in a timer.
 *
 * What is queued is written at the end of the turn, many messages with one call, and waits in the stream
 * while the peer does not read: nobody else notices. A stream with nothing queued holds no buffer.
 *
 * A stream is an ordered flow of octets, and once it is made no function here says how it comes by them: TLS
 * (tls.h) stands behind the same functions, and octets are counted before encryption. What is sent before the
 * handshake is done waits for it, so it goes to nobody but the peer that was asked for. */
#ifndef NET_TCP_H
#define NET_TCP_H

#include "base/addr.h"
#include "base/wire.h"
#include "net/loop.h"
#include "net/tls.h"

struct net_stream;
struct net_tcp_listener;

/* ---- listeners ---- */

/* When the process is out of file descriptors, or the machine of memory, accepting rests for so long:
 * connections wait in the kernel instead of keeping the loop busy. */
#define NET_TCP_ACCEPT_REST_MS 1000

struct net_tcp_listener_ops {
    /* A connection was accepted: take fd, which is non-blocking (make a stream of it), and return true, or
     * return false, for a limit on connections, and it is closed. May free the listener. */
    bool (*accept)(void *ctx, struct net_tcp_listener *listener, int fd, const struct addr *peer);
};

/* SO_REUSEPORT is set, so every worker can have its own. Port 0 takes any. ERR_NOMEM, or ERR_IO with errno. */
MUST_USE int net_tcp_listener_new(struct net_loop *loop, const struct addr *addr,
                                  const struct net_tcp_listener_ops *ops, void *ctx,
                                  struct net_tcp_listener **ret_listener);
/* Accepts nothing for so long: connections wait in the kernel, as many as it
 * has room for. Also from within `accept`. */
void net_tcp_listener_rest(struct net_tcp_listener *listener, ms_t for_ms);
/* NULL is fine. */
void net_tcp_listener_free(struct net_tcp_listener *listener);
/* With the port that was really bound. */
const struct addr *net_tcp_listener_addr(const struct net_tcp_listener *listener);

/* ---- streams ---- */

/* The kernel breaks a connection whose peer has acknowledged nothing, or kept its window shut, for so long:
 * the time after which no SIP transaction waits any more (64*T1, RFC 3261 section 17). */
#define NET_STREAM_USER_TIMEOUT_MS 32000
/* After net_stream_shutdown, how long and for how many octets of the peer the end of the connection is waited
 * for. */
#define NET_STREAM_LINGER_MS    2000
#define NET_STREAM_LINGER_BYTES (1024 * 1024)

/* All of them may send, pause, shut down and free the stream. */
struct net_stream_ops {
    /* One that was opened here is connected; with TLS, either kind, when the handshake is done. */
    void (*open)(void *ctx, struct net_stream *stream);
    /* New octets; they are the reader's until the call returns. */
    void (*receive)(void *ctx, struct net_stream *stream, struct slice data);
    /* The peer will send nothing more, but may still read. May be NULL: then it is answered by
     * net_stream_shutdown. */
    void (*ended)(void *ctx, struct net_stream *stream);
    /* The stream is dead (broken, or net_stream_shutdown done): what is queued now will never leave. error:
     * errno or 0; EPROTO: TLS failed, and net_stream_refusal says why. Free it in or after this call. Called
     * once, never from within a net_stream_ function. */
    void (*closed)(void *ctx, struct net_stream *stream, int error);
};

/* During `receive`: for how long the octets may have waited to be read: since the turn before, or since
 * a read last left nothing for the next. */
uint32_t net_stream_waited_us(const struct net_stream *stream);

/* From an accepted fd, non-blocking, the stream's from then on. On failure fd is closed. ERR_NOMEM, or ERR_IO
 * with errno. queue_bytes: how much may wait to be written, payload and bookkeeping (16 octets for a
 * message). */
MUST_USE int net_stream_from_fd(struct net_loop *loop, int fd, size_t queue_bytes,
                                const struct net_stream_ops *ops, void *ctx, struct net_stream **ret_stream);
/* Starts to connect to `to` from the IP of `from` (any port; a wildcard or ADDR_NONE: any address). What is
 * sent before `open` waits. ERR_NOMEM; ERR_UNSUPPORTED when the two are of different families; ERR_IO with
 * errno when it fails at once. */
MUST_USE int net_stream_connect(struct net_loop *loop, const struct addr *from, const struct addr *to,
                                size_t queue_bytes, const struct net_stream_ops *ops, void *ctx,
                                struct net_stream **ret_stream);
/* The same two with TLS. `tls` outlives the stream. An accepted one needs `tls` to have a certificate;
 * ERR_LIMIT: too many handshakes are under way. name: whom the server must prove to be. */
MUST_USE int net_stream_accept_tls(struct net_loop *loop, int fd, struct net_tls *tls,
                                   enum net_tls_clients clients, enum net_tls_inside inside,
                                   size_t queue_bytes, const struct net_stream_ops *ops, void *ctx,
                                   struct net_stream **ret_stream);
MUST_USE int net_stream_connect_tls(struct net_loop *loop, const struct addr *from, const struct addr *to,
                                    struct net_tls *tls, const char *name, size_t queue_bytes,
                                    const struct net_stream_ops *ops, void *ctx,
                                    struct net_stream **ret_stream);
/* Closes at once; ops->closed is not called. Safe from within any callback of this stream. NULL is fine. */
void net_stream_free(struct net_stream *stream);

/* Queues wire (takes a reference). Written at the end of the turn, many at a time. ERR_LIMIT: queue_bytes
 * would be passed; ERR_CLOSED: it is dead or shut down; ERR_NOMEM. */
MUST_USE int net_stream_send(struct net_stream *stream, struct wire *wire);
/* Takes no more to send, sends what is queued, ends the sending direction, waits a little for the peer to do
 * the same (closing before would make the kernel throw away what the peer has not read yet), then closes
 * (ops->closed). The reader gets nothing more. */
void net_stream_shutdown(struct net_stream *stream);

/* Nothing is read from now on, so the peer must wait, until net_stream_resume. */
void net_stream_pause(struct net_stream *stream);
void net_stream_resume(struct net_stream *stream);

bool net_stream_is_open(const struct net_stream *stream); /* connected and not closed */
/* Octets ever queued, and ever taken by the kernel: which of the messages queued have left. */
uint64_t net_stream_queued_bytes(const struct net_stream *stream);
uint64_t net_stream_written_bytes(const struct net_stream *stream);

#endif
