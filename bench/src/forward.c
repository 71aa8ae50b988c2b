#include "forward.h"
#include "net/sockaddr.h"
#include "port.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

struct forwarder {
    int fd;
    struct sockaddr_storage left, right;
    socklen_t left_len, right_len;
    struct mmsghdr batch[PORT_BATCH];
    struct iovec iov[PORT_BATCH];
    struct sockaddr_storage from[PORT_BATCH];
    char memory[PORT_BATCH][PORT_MESSAGE_BYTES];
};

static void turn(struct forwarder *f)
{
    for (size_t i = 0; i < PORT_BATCH; i++) {
        f->iov[i] = (struct iovec){f->memory[i], PORT_MESSAGE_BYTES};
        f->batch[i].msg_hdr = (struct msghdr){.msg_name = &f->from[i],
                                              .msg_namelen = sizeof(f->from[i]),
                                              .msg_iov = &f->iov[i],
                                              .msg_iovlen = 1};
    }
    int n = recvmmsg(f->fd, f->batch, PORT_BATCH, MSG_WAITFORONE, NULL);
    for (int i = 0; i < n; i++) {
        struct msghdr *h = &f->batch[i].msg_hdr;
        bool is_left = h->msg_namelen == f->left_len && memcmp(h->msg_name, &f->left, f->left_len) == 0;
        h->msg_name = is_left ? &f->right : &f->left;
        h->msg_namelen = is_left ? f->right_len : f->left_len;
        f->iov[i].iov_len = f->batch[i].msg_len;
    }
    for (int done = 0; done < n;) {
        int sent = sendmmsg(f->fd, f->batch + done, (unsigned)(n - done), 0);
        if (sent > 0)
            done += sent;
        else if (errno != EINTR)
            done++;
    }
}

int forward_run(const struct addr *listen, const struct addr *left, const struct addr *right,
                const volatile sig_atomic_t *stop)
{
    static struct forwarder f;
    if (port_udp_socket(listen, &f.fd) != 0) {
        perror("viaduct-bench: the address to listen on");
        return EX_UNAVAILABLE;
    }
    f.left_len = net_sockaddr_from_addr(left, &f.left);
    f.right_len = net_sockaddr_from_addr(right, &f.right);
    while (!*stop)
        turn(&f);
    close(f.fd);
    return EX_OK;
}
