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
    struct port_batch batch;
};

static void turn(struct forwarder *f)
{
    int n = port_udp_receive(f->fd, &f->batch);
    for (int i = 0; i < n; i++) {
        struct msghdr *h = &f->batch.headers[i].msg_hdr;
        bool is_left = h->msg_namelen == f->left_len && memcmp(h->msg_name, &f->left, f->left_len) == 0;
        h->msg_name = is_left ? &f->right : &f->left;
        h->msg_namelen = is_left ? f->right_len : f->left_len;
        f->batch.pieces[i].iov_len = f->batch.headers[i].msg_len;
    }
    for (int done = 0; done < n;) {
        int sent = sendmmsg(f->fd, f->batch.headers + done, (unsigned)(n - done), 0);
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
