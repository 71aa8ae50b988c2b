#include "port.h"
#include "net/sockaddr.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONTROL_BYTES CMSG_SPACE(sizeof(uint32_t))

struct port {
    int fd;
    struct addr addr;
    struct sockaddr_storage to;
    socklen_t to_len;
    size_t n_out;
    uint32_t dropped; /* SO_RXQ_OVFL counts from the start */
    struct mmsghdr out[PORT_BATCH], in[PORT_BATCH];
    struct iovec out_iov[PORT_BATCH], in_iov[PORT_BATCH];
    char control[PORT_BATCH][CONTROL_BYTES];
    char memory[PORT_BATCH][PORT_MESSAGE_BYTES];
};

static void prepare(struct port *p)
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

int port_socket(const struct addr *addr, int *ret_fd)
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

int port_new(const struct addr *addr, const struct addr *to, struct port **ret_port)
{
    struct port *p = calloc(1, sizeof(*p));
    if (p == NULL)
        return ERR_NOMEM;
    p->fd = -1;
    int rc = port_socket(addr, &p->fd);
    if (rc == 0)
        rc = net_socket_addr(p->fd, &p->addr);
    if (rc != 0) {
        port_free(p);
        return rc;
    }
    p->to_len = to->family == ADDR_NONE ? 0 : net_sockaddr_from_addr(to, &p->to);
    prepare(p);
    *ret_port = p;
    return 0;
}

void port_free(struct port *p)
{
    if (p == NULL)
        return;
    if (p->fd >= 0)
        close(p->fd);
    free(p);
}

const struct addr *port_addr(const struct port *p)
{
    return &p->addr;
}

int port_fd(const struct port *p)
{
    return p->fd;
}

/* A receiver that is gone makes the next call fail once (ECONNREFUSED); the datagrams go on. */
void port_flush(struct port *p)
{
    size_t done = 0;
    while (done < p->n_out) {
        int n = sendmmsg(p->fd, p->out + done, (unsigned)(p->n_out - done), 0);
        if (n > 0)
            done += (size_t)n;
        else if (errno != EINTR)
            done++;
    }
    p->n_out = 0;
}

void port_send(struct port *p, struct slice message)
{
    p->out_iov[p->n_out++] = (struct iovec){(void *)(uintptr_t)message.ptr, message.len};
    if (p->n_out == PORT_BATCH)
        port_flush(p);
}

static void note_dropped(struct port *p, struct msghdr *header)
{
    struct cmsghdr *c = CMSG_FIRSTHDR(header);
    if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL)
        memcpy(&p->dropped, CMSG_DATA(c), sizeof(p->dropped));
}

size_t port_receive(struct port *p, void (*call)(void *ctx, struct slice message), void *ctx)
{
    for (size_t i = 0; i < PORT_BATCH; i++) {
        p->in[i].msg_hdr.msg_control = p->control[i];
        p->in[i].msg_hdr.msg_controllen = CONTROL_BYTES;
    }
    int n = recvmmsg(p->fd, p->in, PORT_BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < n; i++) {
        note_dropped(p, &p->in[i].msg_hdr);
        call(ctx, slice_make(p->memory[i], p->in[i].msg_len));
    }
    return n > 0 ? (size_t)n : 0;
}

uint64_t port_dropped(const struct port *p)
{
    return p->dropped;
}
