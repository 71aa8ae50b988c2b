#include "net/sockaddr.h"
#include "port.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONTROL_BYTES CMSG_SPACE(sizeof(uint32_t))

struct udp {
    struct port port;
    struct sockaddr_storage to;
    socklen_t to_len;
    size_t n_out;
    uint32_t dropped; /* SO_RXQ_OVFL counts from the start */
    struct mmsghdr out[PORT_BATCH], in[PORT_BATCH];
    struct iovec out_iov[PORT_BATCH], in_iov[PORT_BATCH];
    char control[PORT_BATCH][CONTROL_BYTES];
    char memory[PORT_BATCH][PORT_MESSAGE_BYTES];
};

static void prepare(struct udp *p)
{
    for (size_t i = 0; i < PORT_BATCH; i++) {
        p->in_iov[i] = (struct iovec){p->memory[i], PORT_MESSAGE_BYTES};
        p->in[i].msg_hdr = (struct msghdr){.msg_iov = &p->in_iov[i], .msg_iovlen = 1};
        p->out[i].msg_hdr = (struct msghdr){.msg_name = p->to_len > 0 ? &p->to : NULL,
                                            .msg_namelen = p->to_len,
                                            .msg_iov = &p->out_iov[i],
                                            .msg_iovlen = 1};
    }
}

/* SO_RCVBUFFORCE goes beyond net.core.rmem_max and needs a privilege; without it, what the system allows. */
static void set_buffer(int fd, int force, int ordinary)
{
    const int bytes = PORT_BUFFER_BYTES;
    if (setsockopt(fd, SOL_SOCKET, force, &bytes, sizeof(bytes)) != 0)
        (void)setsockopt(fd, SOL_SOCKET, ordinary, &bytes, sizeof(bytes));
}

int port_udp_socket(const struct addr *addr, int *ret_fd)
{
    const int yes = 1;
    int fd, rc = net_socket_bind(SOCK_DGRAM, addr, false, &fd);
    if (rc != 0)
        return rc;
    (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF);
    set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF);
    (void)setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &yes, sizeof(yes));
    *ret_fd = fd;
    return 0;
}

/* A receiver that is gone makes the next call fail once (ECONNREFUSED); the datagrams go on. */
static void udp_flush(struct port *port)
{
    struct udp *p = (struct udp *)port;
    size_t done = 0;
    while (done < p->n_out) {
        int n = sendmmsg(p->port.fd, p->out + done, (unsigned)(p->n_out - done), 0);
        if (n > 0)
            done += (size_t)n;
        else if (errno != EINTR)
            done++;
    }
    p->n_out = 0;
}

static void udp_send(struct port *port, size_t line, struct slice message)
{
    struct udp *p = (struct udp *)port;
    (void)line;
    p->out_iov[p->n_out++] = (struct iovec){(void *)(uintptr_t)message.ptr, message.len};
    if (p->n_out == PORT_BATCH)
        udp_flush(port);
}

static void note_dropped(struct udp *p, struct msghdr *header)
{
    struct cmsghdr *c = CMSG_FIRSTHDR(header);
    if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL)
        memcpy(&p->dropped, CMSG_DATA(c), sizeof(p->dropped));
}

int port_udp_receive(int fd, struct port_batch *batch)
{
    for (size_t i = 0; i < PORT_BATCH; i++) {
        batch->pieces[i] = (struct iovec){batch->memory[i], PORT_MESSAGE_BYTES};
        batch->headers[i].msg_hdr = (struct msghdr){.msg_name = &batch->names[i],
                                                    .msg_namelen = sizeof(batch->names[i]),
                                                    .msg_iov = &batch->pieces[i],
                                                    .msg_iovlen = 1};
    }
    return recvmmsg(fd, batch->headers, PORT_BATCH, MSG_WAITFORONE, NULL);
}

static size_t udp_receive(struct port *port, port_receive_fn *call, void *ctx)
{
    struct udp *p = (struct udp *)port;
    for (size_t i = 0; i < PORT_BATCH; i++) {
        p->in[i].msg_hdr.msg_control = p->control[i];
        p->in[i].msg_hdr.msg_controllen = CONTROL_BYTES;
    }
    int n = recvmmsg(p->port.fd, p->in, PORT_BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < n; i++) {
        note_dropped(p, &p->in[i].msg_hdr);
        call(ctx, 0, slice_make(p->memory[i], p->in[i].msg_len));
    }
    return n > 0 ? (size_t)n : 0;
}

static uint64_t udp_dropped(const struct port *port)
{
    return ((const struct udp *)port)->dropped;
}

static void udp_free(struct port *port)
{
    if (port->fd >= 0)
        close(port->fd);
    free(port);
}

static const struct port_ops ops = {udp_free, udp_send, udp_flush, udp_receive, udp_dropped};

int port_udp_new(const struct addr *addr, const struct addr *to, struct port **ret_port)
{
    struct udp *p = calloc(1, sizeof(*p));
    if (p == NULL)
        return ERR_NOMEM;
    p->port = (struct port){.ops = &ops, .fd = -1, .n_lines = 1};
    int rc = port_udp_socket(addr, &p->port.fd);
    if (rc == 0)
        rc = net_socket_addr(p->port.fd, &p->port.addr);
    if (rc != 0) {
        udp_free(&p->port);
        return rc;
    }
    p->to_len = to->family == ADDR_NONE ? 0 : net_sockaddr_from_addr(to, &p->to);
    prepare(p);
    *ret_port = &p->port;
    return 0;
}
