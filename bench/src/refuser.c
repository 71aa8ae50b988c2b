#include "refuser.h"
#include "port.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#define TRAIN_BYTES_MAX 60000

static const char status_line[] = "SIP/2.0 503 Service Unavailable";

struct refuser {
    int fd;
    struct port_batch batch;
    struct iovec out[2 * PORT_BATCH]; /* of each datagram the first line and the rest */
};

/* One train to one peer: n datagrams of so many octets. */
static void send_train(struct refuser *r, struct sockaddr_storage *to, socklen_t to_len, size_t first,
                       size_t n, uint16_t bytes)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(bytes))] = {0};
    struct msghdr m = {.msg_name = to,
                       .msg_namelen = to_len,
                       .msg_iov = &r->out[2 * first],
                       .msg_iovlen = 2 * n,
                       .msg_control = control,
                       .msg_controllen = sizeof(control)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = IPPROTO_UDP;
    c->cmsg_type = UDP_SEGMENT;
    c->cmsg_len = CMSG_LEN(sizeof(bytes));
    memcpy(CMSG_DATA(c), &bytes, sizeof(bytes));
    if (sendmsg(r->fd, &m, 0) < 0 && errno != EINTR)
        perror("viaduct-bench: a refusal");
}

static size_t bytes_of(const struct refuser *r, size_t i)
{
    return r->out[2 * i].iov_len + r->out[2 * i + 1].iov_len;
}

/* Its answer is the n-th of this turn. */
static void answer(struct refuser *r, size_t i, size_t n)
{
    char *text = r->batch.memory[i], *rest = memchr(text, '\r', r->batch.headers[i].msg_len);
    size_t line = rest != NULL ? (size_t)(rest - text) : 0;
    r->out[2 * n] = (struct iovec){(void *)(uintptr_t)status_line, sizeof(status_line) - 1};
    r->out[2 * n + 1] = (struct iovec){text + line, r->batch.headers[i].msg_len - line};
}

static bool is_ack(const char *text, size_t len)
{
    static const char start[] = "ACK ";
    return len >= sizeof(start) - 1 && memcmp(text, start, sizeof(start) - 1) == 0;
}

static void turn(struct refuser *r)
{
    size_t answers[PORT_BATCH], n_answers = 0;
    int n = port_udp_receive(r->fd, &r->batch);
    for (int i = 0; i < n; i++) {
        if (is_ack(r->batch.memory[i], r->batch.headers[i].msg_len))
            continue;
        answer(r, (size_t)i, n_answers);
        answers[n_answers++] = (size_t)i;
    }
    for (size_t first = 0, end; first < n_answers; first = end) {
        size_t bytes = bytes_of(r, first);
        struct msghdr *h = &r->batch.headers[answers[first]].msg_hdr;
        for (end = first + 1;
             end < n_answers && bytes_of(r, end) == bytes && (end + 1 - first) * bytes <= TRAIN_BYTES_MAX &&
             memcmp(&r->batch.names[answers[end]], h->msg_name, h->msg_namelen) == 0;
             end++)
            ;
        send_train(r, h->msg_name, h->msg_namelen, first, end - first, (uint16_t)bytes);
    }
}

int refuser_run(const struct addr *listen, const volatile sig_atomic_t *stop)
{
    static struct refuser r;
    if (port_udp_socket(listen, &r.fd) != 0) {
        perror("viaduct-bench: the address to listen on");
        return EX_UNAVAILABLE;
    }
    while (!*stop)
        turn(&r);
    close(r.fd);
    return EX_OK;
}
