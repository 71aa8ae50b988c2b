/* Connections to the server: TCP, TLS, WebSocket, and WebSocket over TLS. They are opened one after the other
 * and waited for; only then do they become non-blocking. */
#include "framing.h"
#include "net/sockaddr.h"
#include "port.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BYTES   (256 * 1024)
#define OUT_BYTES    (64 * 1024)
#define EVENTS_MAX   64
#define ANSWER_BYTES 2048 /* of the server's to the opening of a WebSocket */

struct line {
    int fd; /* -1: it has broken */
    SSL *ssl;
    char *out; /* waits to be written */
    size_t out_len, out_cap;
    char *rest; /* the beginning of a message */
    size_t rest_len;
    bool is_dirty, waits_to_write;
};

struct stream {
    struct port port;
    enum port_kind kind;
    SSL_CTX *ctx;
    struct line *lines;
    size_t *dirty; /* lines that have something to write */
    size_t n_dirty;
    uint64_t dropped;
    char memory[READ_BYTES];
};

static bool has_tls(const struct stream *s)
{
    return s->kind == PORT_TLS || s->kind == PORT_WSS;
}

static bool is_websocket(const struct stream *s)
{
    return s->kind == PORT_WS || s->kind == PORT_WSS;
}

static void line_close(struct line *line)
{
    SSL_free(line->ssl);
    if (line->fd >= 0)
        close(line->fd);
    free(line->out);
    free(line->rest);
    *line = (struct line){.fd = -1};
}

static void line_break(struct stream *s, struct line *line)
{
    s->dropped++;
    line_close(line);
}

/* Octets, or 0 when there are none for now, or -1: it has ended. */
static ssize_t line_read(struct line *line, char *memory, size_t cap)
{
    ssize_t n;
    if (line->ssl != NULL) {
        n = SSL_read(line->ssl, memory, (int)cap);
        if (n > 0)
            return n;
        int error = SSL_get_error(line->ssl, (int)n);
        return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? 0 : -1;
    }
    n = recv(line->fd, memory, cap, 0);
    if (n > 0)
        return n;
    return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

static ssize_t line_write(struct line *line, const char *octets, size_t len)
{
    ssize_t n;
    if (line->ssl != NULL) {
        n = SSL_write(line->ssl, octets, (int)len);
        if (n > 0)
            return n;
        int error = SSL_get_error(line->ssl, (int)n);
        return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? 0 : -1;
    }
    n = send(line->fd, octets, len, MSG_NOSIGNAL);
    if (n >= 0)
        return n;
    return errno == EAGAIN || errno == EINTR ? 0 : -1;
}

/* ---- sending ---- */

static void watch(const struct stream *s, struct line *line, bool waits_to_write)
{
    if (line->waits_to_write == waits_to_write)
        return;
    line->waits_to_write = waits_to_write;
    struct epoll_event event = {.events = EPOLLIN | (waits_to_write ? EPOLLOUT : 0u),
                                .data.u64 = (uint64_t)(line - s->lines)};
    (void)epoll_ctl(s->port.fd, EPOLL_CTL_MOD, line->fd, &event);
}

static void line_flush(struct stream *s, struct line *line)
{
    size_t done = 0;
    while (done < line->out_len) {
        ssize_t n = line_write(line, line->out + done, line->out_len - done);
        if (n < 0) {
            line_break(s, line);
            return;
        }
        if (n == 0)
            break;
        done += (size_t)n;
    }
    memmove(line->out, line->out + done, line->out_len - done);
    line->out_len -= done;
    watch(s, line, line->out_len > 0);
}

static void stream_flush(struct port *port)
{
    struct stream *s = (struct stream *)port;
    while (s->n_dirty > 0) {
        struct line *line = &s->lines[s->dirty[--s->n_dirty]];
        line->is_dirty = false;
        if (line->fd >= 0)
            line_flush(s, line);
    }
}

static bool line_reserve(struct line *line, size_t len)
{
    if (line->out_len + len <= line->out_cap)
        return true;
    size_t cap = line->out_cap == 0 ? 4096 : line->out_cap;
    while (cap < line->out_len + len)
        cap *= 2;
    char *out = realloc(line->out, cap);
    if (out == NULL)
        return false;
    line->out = out;
    line->out_cap = cap;
    return true;
}

static void put(struct stream *s, struct line *line, enum framing_opcode opcode, struct slice message)
{
    if (line->fd < 0 || !line_reserve(line, message.len + FRAMING_HEAD_BYTES)) {
        s->dropped++;
        return;
    }
    struct buf out;
    buf_init(&out, line->out + line->out_len, line->out_cap - line->out_len);
    if (is_websocket(s))
        framing_put_head(opcode, message.len, &out);
    buf_put(&out, message);
    line->out_len += out.len;
    if (!line->is_dirty) {
        line->is_dirty = true;
        s->dirty[s->n_dirty++] = (size_t)(line - s->lines);
    }
}

static void stream_send(struct port *port, size_t index, struct slice message)
{
    struct stream *s = (struct stream *)port;
    struct line *line = &s->lines[index];
    put(s, line, FRAMING_TEXT, message);
    if (line->out_len > OUT_BYTES)
        line_flush(s, line);
}

/* ---- receiving ---- */

struct reading {
    port_receive_fn *call;
    void *ctx;
    size_t n_messages;
};

/* Hands out what is whole; returns how many octets that was. */
static size_t take_messages(struct stream *s, struct line *line, struct slice octets, struct reading *r)
{
    size_t used = 0;
    while (used < octets.len) {
        struct slice rest = slice_sub(octets, used, octets.len);
        struct framing_piece piece = is_websocket(s) ? framing_next_websocket(rest) : framing_next_sip(rest);
        if (piece.kind == FRAMING_MORE)
            break;
        if (piece.kind == FRAMING_BAD) {
            line_break(s, line);
            return octets.len;
        }
        if (piece.kind == FRAMING_PING)
            put(s, line, FRAMING_PONG, piece.message);
        used += piece.used;
        if (piece.kind != FRAMING_MESSAGE)
            continue;
        r->n_messages++;
        r->call(r->ctx, (size_t)(line - s->lines), piece.message);
    }
    return used;
}

static void keep_rest(struct stream *s, struct line *line, struct slice rest)
{
    free(line->rest);
    line->rest = NULL;
    line->rest_len = 0;
    if (rest.len == 0)
        return;
    line->rest = malloc(rest.len);
    if (line->rest == NULL) {
        line_break(s, line);
        return;
    }
    memcpy(line->rest, rest.ptr, rest.len);
    line->rest_len = rest.len;
}

/* One filling of the memory at the most: the others have their turn too, and epoll tells again of what is
 * left in the socket. What is left in OpenSSL it does not know of. */
static void line_receive(struct stream *s, struct line *line, struct reading *r)
{
    size_t len = line->rest_len;
    ssize_t n;
    if (len > 0)
        memcpy(s->memory, line->rest, len);
    do {
        n = line_read(line, s->memory + len, READ_BYTES - len);
        len += n > 0 ? (size_t)n : 0;
    } while (n > 0 && len < READ_BYTES && line->ssl != NULL);
    struct slice octets = slice_make(s->memory, len);
    size_t used = take_messages(s, line, octets, r);
    if (line->fd < 0)
        return;
    if (n < 0)
        line_break(s, line);
    else
        keep_rest(s, line, slice_sub(octets, used, octets.len));
}

static size_t stream_receive(struct port *port, port_receive_fn *call, void *ctx)
{
    struct stream *s = (struct stream *)port;
    struct reading r = {call, ctx, 0};
    struct epoll_event events[EVENTS_MAX];
    int n = epoll_wait(port->fd, events, EVENTS_MAX, 0);
    for (int i = 0; i < n; i++) {
        struct line *line = &s->lines[events[i].data.u64];
        if (events[i].events & EPOLLOUT)
            line_flush(s, line);
        if (line->fd >= 0 && (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
            line_receive(s, line, &r);
    }
    return r.n_messages;
}

static uint64_t stream_dropped(const struct port *port)
{
    return ((const struct stream *)port)->dropped;
}

/* ---- opening ---- */

static int open_tls(const struct stream *s, struct line *line)
{
    line->ssl = SSL_new(s->ctx);
    if (line->ssl == NULL || SSL_set_fd(line->ssl, line->fd) != 1)
        return ERR_NOMEM;
    return SSL_connect(line->ssl) == 1 ? 0 : ERR_CLOSED;
}

/* RFC 6455 section 4.1, RFC 7118 section 4. The key is any; whether the server's answer to it is right is its
 * own tests' affair. */
static int open_websocket(struct line *line, const struct addr *to)
{
    char memory[ANSWER_BYTES];
    struct buf out;
    buf_init(&out, memory, sizeof(memory));
    buf_lit(&out, "GET / HTTP/1.1\r\nHost: ");
    addr_format(to, &out);
    buf_lit(&out, "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: sip\r\n\r\n");
    if (line_write(line, memory, out.len) != (ssize_t)out.len)
        return ERR_CLOSED;
    for (size_t len = 0; len < sizeof(memory);) {
        ssize_t n = line_read(line, memory + len, sizeof(memory) - len);
        if (n <= 0)
            return ERR_CLOSED;
        len += (size_t)n;
        if (memmem(memory, len, "\r\n\r\n", 4) != NULL)
            return slice_starts_with(slice_make(memory, len), SLICE("HTTP/1.1 101 ")) ? 0 : ERR_CLOSED;
    }
    return ERR_CLOSED;
}

static int open_socket(const struct addr *addr, const struct addr *to, int *ret_fd)
{
    const int yes = 1;
    struct sockaddr_storage near, far;
    socklen_t near_len = net_sockaddr_from_addr(addr, &near), far_len = net_sockaddr_from_addr(to, &far);
    *ret_fd = socket(far.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*ret_fd < 0)
        return ERR_IO;
    (void)setsockopt(*ret_fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    (void)setsockopt(*ret_fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof(yes));
    if (bind(*ret_fd, (struct sockaddr *)&near, near_len) != 0 ||
        connect(*ret_fd, (struct sockaddr *)&far, far_len) != 0)
        return ERR_IO;
    return 0;
}

static int line_open(struct stream *s, struct line *line, const struct addr *addr, const struct addr *to)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)(line - s->lines)};
    int rc = open_socket(addr, to, &line->fd);
    if (rc == 0 && has_tls(s))
        rc = open_tls(s, line);
    if (rc == 0 && is_websocket(s))
        rc = open_websocket(line, to);
    if (rc != 0)
        return rc;
    if (fcntl(line->fd, F_SETFL, fcntl(line->fd, F_GETFL) | O_NONBLOCK) != 0 ||
        epoll_ctl(s->port.fd, EPOLL_CTL_ADD, line->fd, &event) != 0)
        return ERR_IO;
    return 0;
}

static void stream_free(struct port *port)
{
    struct stream *s = (struct stream *)port;
    for (size_t i = 0; s->lines != NULL && i < port->n_lines; i++)
        line_close(&s->lines[i]);
    SSL_CTX_free(s->ctx);
    if (port->fd >= 0)
        close(port->fd);
    free(s->lines);
    free(s->dirty);
    free(s);
}

static const struct port_ops ops = {stream_free, stream_send, stream_flush, stream_receive, stream_dropped};

static int prepare(struct stream *s)
{
    size_t n = s->port.n_lines;
    s->lines = calloc(n, sizeof(*s->lines));
    s->dirty = calloc(n, sizeof(*s->dirty));
    if (s->lines == NULL || s->dirty == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < n; i++)
        s->lines[i].fd = -1;
    s->port.fd = epoll_create1(EPOLL_CLOEXEC);
    if (s->port.fd < 0)
        return ERR_IO;
    if (!has_tls(s))
        return 0;
    s->ctx = SSL_CTX_new(TLS_client_method());
    if (s->ctx == NULL)
        return ERR_NOMEM;
    SSL_CTX_set_mode(s->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                 SSL_MODE_RELEASE_BUFFERS);
    return 0;
}

int port_stream_new(enum port_kind kind, const struct addr *addr, const struct addr *to, size_t n_lines,
                    struct port **ret_port)
{
    struct stream *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return ERR_NOMEM;
    s->port = (struct port){.ops = &ops, .fd = -1, .n_lines = n_lines};
    s->kind = kind;
    int rc = prepare(s);
    for (size_t i = 0; rc == 0 && i < n_lines; i++)
        rc = line_open(s, &s->lines[i], addr, to);
    if (rc == 0)
        rc = net_socket_addr(s->lines[0].fd, &s->port.addr);
    if (rc != 0) {
        int saved = errno;
        stream_free(&s->port);
        errno = saved;
        return rc;
    }
    *ret_port = &s->port;
    return 0;
}
