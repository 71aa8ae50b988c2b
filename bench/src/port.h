/* Where players send from and receive at: one UDP socket, or connections to the server over TCP, TLS and
 * WebSocket. Made to cost little: messages leave in batches, one system call for many.
 *
 * A port has lines: one for UDP, else one for each connection. A message is sent on a line; what comes, comes
 * from one. */
#ifndef BENCH_PORT_H
#define BENCH_PORT_H

#include "base/addr.h"
#include "base/err.h"
#include "base/slice.h"
#include <stdint.h>
#include <sys/socket.h>

#define PORT_BATCH         64
#define PORT_MESSAGE_BYTES 2048
#define PORT_BUFFER_BYTES  (8 * 1024 * 1024)

enum port_kind { PORT_UDP, PORT_TCP, PORT_TLS, PORT_WS, PORT_WSS, PORT_KINDS };

struct port;

typedef void port_receive_fn(void *ctx, size_t line, struct slice message);

struct port_ops {
    void (*free)(struct port *port);
    void (*send)(struct port *port, size_t line, struct slice message);
    void (*flush)(struct port *port);
    size_t (*receive)(struct port *port, port_receive_fn *call, void *ctx);
    uint64_t (*dropped)(const struct port *port);
};

struct port {
    const struct port_ops *ops;
    struct addr addr; /* of the first line */
    int fd;           /* readable when something is to be received */
    size_t n_lines;
};

/* A blocking UDP socket with large buffers, bound to addr. ERR_IO with errno. */
MUST_USE int port_udp_socket(const struct addr *addr, int *ret_fd);

/* What one call of recvmmsg takes; memory, pieces and names are its own. */
struct port_batch {
    struct mmsghdr headers[PORT_BATCH];
    struct iovec pieces[PORT_BATCH];
    struct sockaddr_storage names[PORT_BATCH];
    char memory[PORT_BATCH][PORT_MESSAGE_BYTES];
};
/* Waits for a datagram and takes what is there. Returns how many, -1 with errno. */
int port_udp_receive(int fd, struct port_batch *batch);

/* UDP, bound to addr (port 0: any); everything that is sent goes to `to`. ERR_IO with errno, ERR_NOMEM. */
MUST_USE int port_udp_new(const struct addr *addr, const struct addr *to, struct port **ret_port);
/* So many connections from the IP of addr to `to`, all open, with TLS and WebSocket agreed upon where the
 * kind has them; nobody's certificate is looked at. ERR_IO with errno, ERR_CLOSED when the server does not
 * agree, ERR_NOMEM. */
MUST_USE int port_stream_new(enum port_kind kind, const struct addr *addr, const struct addr *to,
                             size_t n_lines, struct port **ret_port);

static inline void port_free(struct port *port)
{
    if (port != NULL)
        port->ops->free(port);
}

/* message must stay as it is until port_flush; a full batch is flushed by itself. */
static inline void port_send(struct port *port, size_t line, struct slice message)
{
    port->ops->send(port, line, message);
}

static inline void port_flush(struct port *port)
{
    port->ops->flush(port);
}

/* Takes what is there, within bounds, and calls back for each message. Returns how many. */
static inline size_t port_receive(struct port *port, port_receive_fn *call, void *ctx)
{
    return port->ops->receive(port, call, ctx);
}

/* What was lost: datagrams that the kernel threw away because the receive buffer was full; messages for
 * connections that have broken, and the breaks themselves. */
static inline uint64_t port_dropped(const struct port *port)
{
    return port->ops->dropped(port);
}

#endif
