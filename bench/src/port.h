/* UDP sockets of the bench: datagrams in batches, each way one system call for many. */
#ifndef BENCH_PORT_H
#define BENCH_PORT_H

#include "base/addr.h"
#include "base/err.h"
#include "base/slice.h"
#include <stdint.h>

#define PORT_BATCH         64
#define PORT_MESSAGE_BYTES 2048
#define PORT_BUFFER_BYTES  (8 * 1024 * 1024)

struct port;

/* A blocking UDP socket with large buffers, bound to addr. ERR_IO with errno. */
MUST_USE int port_socket(const struct addr *addr, int *ret_fd);

/* Bound to addr (port 0: any). Everything that is sent goes to `to`, unless that is ADDR_NONE. ERR_IO with
 * errno, ERR_NOMEM. */
MUST_USE int port_new(const struct addr *addr, const struct addr *to, struct port **ret_port);
void port_free(struct port *port);
const struct addr *port_addr(const struct port *port);
int port_fd(const struct port *port);

/* message must stay as it is until port_flush; a full batch is flushed by itself. */
void port_send(struct port *port, struct slice message);
void port_flush(struct port *port);
/* Takes what is there, at most a batch, and calls back for each datagram. Returns how many. */
size_t port_receive(struct port *port, void (*call)(void *ctx, struct slice message), void *ctx);

/* Datagrams that the kernel threw away because the receive buffer was full. */
uint64_t port_dropped(const struct port *port);

#endif
