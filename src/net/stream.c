#include "base/mem.h"
#include "net/sockaddr.h"
#include "net/tcp.h"
#include "net/tls_session.h"
#include "net/wire_queue.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>

#define PIECES_PER_WRITE  64
#define BOOKKEEPING_BYTES 16

enum state { CONNECTING, SHAKING_HANDS, OPEN, DEAD };

struct net_stream {
    struct net_watch watch;
    struct net_hook flush;
    struct timer linger;
    struct net_loop *loop;
    struct tls_session *tls; /* NULL: octets go as they are */
    const struct net_stream_ops *ops;
    void *ctx;
    struct wire_queue queue;
    size_t limit_bytes;
    uint64_t queued_bytes, written_bytes;
    uint64_t behind_us; /* since when each read has left some for the next; 0: the last one left none */
    uint32_t lingered_bytes;
    uint8_t state;    /* enum state */
    bool paused;      /* by the user */
    bool peer_ended;  /* nothing more will come */
    bool shut;        /* by the user: nothing more is queued or delivered */
    bool lingering;   /* our direction is ended; what comes is thrown away */
    bool blocked;     /* the kernel has no room: EPOLLOUT is waited for */
    bool read_again;  /* TLS holds octets that no event will tell about */
    bool busy, freed; /* freed while a function here that looks at the stream again is on the stack */
};

/* ---- octets in and out: where another kind of stream than plain TCP differs ---- */

static ssize_t read_octets(struct net_stream *s, char *memory, size_t cap)
{
    ssize_t got;

    /* While lingering, what comes is thrown away whatever it says. */
    if (s->tls && !s->lingering) {
        got = tls_session_read(s->tls, memory, cap);
        s->read_again = tls_session_has_more(s->tls);
        if (s->read_again)
            net_hook_once(s->loop, &s->flush);
        return got;
    }
    do
        got = recv(s->watch.fd, memory, cap, 0);
    while (got < 0 && errno == EINTR);
    return got;
}

static ssize_t write_octets(struct net_stream *s, struct iovec *pieces, int n)
{
    struct msghdr m = {.msg_iov = pieces, .msg_iovlen = (size_t)n};
    ssize_t put;

    if (s->tls)
        return tls_session_write(s->tls, pieces, n, net_loop_scratch(s->loop));
    do
        put = sendmsg(s->watch.fd, &m, MSG_NOSIGNAL);
    while (put < 0 && errno == EINTR);
    return put;
}

/* Is this direction waiting for the other one? Only TLS does that. */
static uint32_t events_of(unsigned wants)
{
    return (wants & TLS_WANT_READ ? (uint32_t)EPOLLIN : 0) |
           (wants & TLS_WANT_WRITE ? (uint32_t)EPOLLOUT : 0);
}

static uint32_t read_events(const struct net_stream *s)
{
    return s->tls && !s->lingering ? events_of(tls_session_read_wants(s->tls)) : (uint32_t)EPOLLIN;
}

static uint32_t write_events(const struct net_stream *s)
{
    return s->tls ? events_of(tls_session_write_wants(s->tls)) : (uint32_t)EPOLLOUT;
}

/* ---- end ---- */

static void release(struct net_stream *s)
{
    if (s->state != DEAD) {
        net_watch_stop(s->loop, &s->watch);
        if (s->tls)
            (void)tls_session_end(s->tls);
        close(s->watch.fd);
    }
    net_hook_remove(s->loop, &s->flush);
    timer_stop(net_loop_wheel(s->loop), &s->linger);
    wire_queue_clear(&s->queue);
    s->state = DEAD;
}

static void give_back(struct net_stream *s)
{
    tls_session_free(s->tls);
    mem_free(s);
}

static void die(struct net_stream *s, int error)
{
    if (s->freed || s->state == DEAD)
        return;
    release(s);
    s->ops->closed(s->ctx, s, error);
}

void net_stream_free(struct net_stream *s)
{
    if (!s || s->freed)
        return;
    release(s);
    s->freed = true;
    if (!s->busy)
        give_back(s);
}

/* Around everything that the loop calls: inside, the user may free the stream. */
static void enter(struct net_stream *s)
{
    s->busy = true;
}

static void leave(struct net_stream *s)
{
    s->busy = false;
    if (s->freed)
        give_back(s);
}

static bool is_alive(const struct net_stream *s)
{
    return !s->freed && s->state != DEAD;
}

static bool may_read(const struct net_stream *s)
{
    return s->state == OPEN && (s->lingering || (!s->paused && !s->shut && !s->peer_ended));
}

static uint32_t wanted_events(const struct net_stream *s)
{
    if (s->state == CONNECTING)
        return EPOLLOUT;
    if (s->state == SHAKING_HANDS)
        return read_events(s);
    return (may_read(s) ? read_events(s) : 0) | (s->blocked ? write_events(s) : 0);
}

static void update_events(struct net_stream *s)
{
    if (is_alive(s) && net_watch_change(s->loop, &s->watch, wanted_events(s)) < 0)
        die(s, errno);
}

/* ---- writing ---- */

static void write_queued(struct net_stream *s)
{
    struct iovec pieces[PIECES_PER_WRITE];

    s->blocked = false;
    while (s->queue.bytes > 0) {
        ssize_t put = write_octets(s, pieces, wire_queue_pieces(&s->queue, pieces, PIECES_PER_WRITE));

        if (put < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            s->blocked = true;
            return;
        }
        if (put < 0) {
            die(s, errno);
            return;
        }
        wire_queue_advance(&s->queue, (size_t)put);
        s->written_bytes += (uint64_t)put;
    }
}

static void on_linger_over(struct timer_wheel *wheel, struct timer *timer)
{
    struct net_stream *s = list_entry(timer, struct net_stream, linger);

    (void)wheel;
    enter(s);
    die(s, 0);
    leave(s);
}

/* After net_stream_shutdown, with nothing left to write. */
static void end_sending(struct net_stream *s)
{
    if (s->tls && tls_session_end(s->tls) < 0 && errno == EAGAIN) {
        s->blocked = true;
        return;
    }
    if (s->peer_ended || shutdown(s->watch.fd, SHUT_WR) < 0) {
        die(s, 0);
        return;
    }
    s->lingering = true;
    timer_set(net_loop_wheel(s->loop), &s->linger, net_loop_now_ms(s->loop) + NET_STREAM_LINGER_MS);
}

static void flush(struct net_stream *s)
{
    if (s->state != OPEN)
        return;
    write_queued(s);
    if (is_alive(s) && s->shut && !s->lingering && s->queue.bytes == 0)
        end_sending(s);
    update_events(s);
}

/* ---- reading ---- */

static void on_peer_ended(struct net_stream *s)
{
    s->peer_ended = true;
    if (s->lingering)
        die(s, 0);
    else if (!s->ops->ended)
        net_stream_shutdown(s);
    else if (!s->shut)
        s->ops->ended(s->ctx, s);
}

static void on_octets(struct net_stream *s, struct slice data)
{
    if (!s->lingering) {
        s->ops->receive(s->ctx, s, data);
        return;
    }
    s->lingered_bytes += (uint32_t)data.len;
    if (s->lingered_bytes > NET_STREAM_LINGER_BYTES)
        die(s, 0);
}

/* A read that filled the memory has left something behind it. */
static void take_octets(struct net_stream *s, struct slice data)
{
    if (data.len < NET_LOOP_SCRATCH_BYTES)
        s->behind_us = 0;
    else if (s->behind_us == 0)
        s->behind_us = net_loop_now_us(s->loop);
    on_octets(s, data);
}

/* Once for an event: what is left brings another, after everybody else had a turn. */
static void read_some(struct net_stream *s)
{
    char *memory = net_loop_scratch(s->loop);
    ssize_t got = read_octets(s, memory, NET_LOOP_SCRATCH_BYTES);

    if (got > 0)
        take_octets(s, slice_make(memory, (size_t)got));
    else if (got == 0)
        on_peer_ended(s);
    else if (errno != EAGAIN && errno != EWOULDBLOCK)
        die(s, errno);
}

static void on_flush(struct net_hook *hook)
{
    struct net_stream *s = list_entry(hook, struct net_stream, flush);

    enter(s);
    flush(s);
    if (is_alive(s) && s->read_again && may_read(s)) {
        s->read_again = false;
        read_some(s);
        update_events(s);
    }
    leave(s);
}

uint32_t net_stream_waited_us(const struct net_stream *s)
{
    uint64_t behind_us = s->behind_us > 0 ? net_loop_now_us(s->loop) - s->behind_us : 0;

    return behind_us < UINT32_MAX / 2 ? (uint32_t)behind_us + net_loop_worked_us(s->loop) : UINT32_MAX;
}

/* ---- events ---- */

static int pending_error(int fd)
{
    int error = 0;
    socklen_t len = sizeof(error);

    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 ? errno : error;
}

static void on_ready(struct net_stream *s)
{
    s->state = OPEN;
    s->ops->open(s->ctx, s);
    if (is_alive(s))
        flush(s);
}

static void shake_hands(struct net_stream *s)
{
    if (tls_session_handshake(s->tls) < 0) {
        if (errno != EAGAIN)
            die(s, errno);
        update_events(s);
        return;
    }
    /* What came behind the handshake is with TLS already. */
    s->read_again = true;
    net_hook_once(s->loop, &s->flush);
    on_ready(s);
}

static void on_connected(struct net_stream *s)
{
    int error = pending_error(s->watch.fd);

    if (error != 0) {
        die(s, error);
        return;
    }
    if (!s->tls) {
        on_ready(s);
        return;
    }
    s->state = SHAKING_HANDS;
    shake_hands(s);
}

static void on_open_event(struct net_stream *s, uint32_t events)
{
    bool reads = may_read(s);

    if (reads && (events & (read_events(s) | EPOLLERR | EPOLLHUP)))
        read_some(s);
    else if (!reads && (events & (EPOLLERR | EPOLLHUP))) /* so reading cannot tell */
        die(s, pending_error(s->watch.fd));
    if (is_alive(s) && (events & (EPOLLOUT | (s->blocked ? write_events(s) : 0))))
        flush(s);
    update_events(s);
}

static void on_event(struct net_watch *watch, uint32_t events)
{
    struct net_stream *s = list_entry(watch, struct net_stream, watch);

    enter(s);
    if (s->state == CONNECTING)
        on_connected(s);
    else if (s->state == SHAKING_HANDS)
        shake_hands(s);
    else
        on_open_event(s, events);
    leave(s);
}

/* ---- life ---- */

static void set_options(int fd)
{
    const int no_delay = 1;
    const unsigned timeout_ms = NET_STREAM_USER_TIMEOUT_MS;

    /* Without them a stream is slower or dies later, but works. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, sizeof(no_delay));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
}

/* What TLS there is becomes the stream's when it succeeds. */
static int stream_new(struct net_loop *loop, int fd, enum state state, struct tls_session *tls,
                      size_t queue_bytes, const struct net_stream_ops *ops, void *ctx,
                      struct net_stream **ret_stream)
{
    struct net_stream *s = mem_alloc(sizeof(*s));
    int r;

    if (!s)
        return ERR_NOMEM;
    *s = (struct net_stream){.watch = {.fd = fd, .fn = on_event},
                             .loop = loop,
                             .tls = tls,
                             .ops = ops,
                             .ctx = ctx,
                             .limit_bytes = queue_bytes,
                             .state = state};
    net_hook_init(&s->flush, on_flush);
    timer_init(&s->linger, on_linger_over);
    s->watch.events = wanted_events(s);
    r = net_watch_start(loop, &s->watch);
    if (r < 0) {
        mem_free(s);
        return r;
    }
    *ret_stream = s;
    return 0;
}

static void close_keeping_errno(int fd)
{
    int error = errno;

    close(fd);
    errno = error;
}

int net_stream_from_fd(struct net_loop *loop, int fd, size_t queue_bytes, const struct net_stream_ops *ops,
                       void *ctx, struct net_stream **ret_stream)
{
    int r;

    set_options(fd);
    r = stream_new(loop, fd, OPEN, NULL, queue_bytes, ops, ctx, ret_stream);
    if (r < 0)
        close_keeping_errno(fd);
    return r;
}

int net_stream_accept_tls(struct net_loop *loop, int fd, struct net_tls *tls, enum net_tls_clients clients,
                          enum net_tls_inside inside, size_t queue_bytes, const struct net_stream_ops *ops,
                          void *ctx, struct net_stream **ret_stream)
{
    struct tls_session *session = NULL;
    int r;

    set_options(fd);
    r = tls_session_accept(tls, fd, clients, inside, &session);
    if (r == 0)
        r = stream_new(loop, fd, SHAKING_HANDS, session, queue_bytes, ops, ctx, ret_stream);
    if (r < 0) {
        tls_session_free(session);
        close_keeping_errno(fd);
    }
    return r;
}

/* The port is chosen by connect, which knows the destination: bind alone could use up all of them. */
static int socket_for(const struct addr *from, const struct addr *to, int *ret_fd)
{
    const int late = 1;
    struct addr source = {.family = to->family};
    struct sockaddr_storage sockaddr;
    socklen_t len;
    int fd;

    if (from->family != ADDR_NONE && from->family != to->family)
        return ERR_UNSUPPORTED;
    fd = socket(to->family == ADDR_IPV4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return ERR_IO;
    if (from->family != ADDR_NONE)
        source = *from;
    source.port = 0;
    len = net_sockaddr_from_addr(&source, &sockaddr);
    (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &late, sizeof(late));
    if (!addr_is_any(&source) && bind(fd, (struct sockaddr *)&sockaddr, len) < 0) {
        close_keeping_errno(fd);
        return ERR_IO;
    }
    *ret_fd = fd;
    return 0;
}

/* tls NULL: none. */
static int connect_stream(struct net_loop *loop, const struct addr *from, const struct addr *to,
                          struct net_tls *tls, const char *name, size_t queue_bytes,
                          const struct net_stream_ops *ops, void *ctx, struct net_stream **ret_stream)
{
    struct sockaddr_storage sockaddr;
    socklen_t len = net_sockaddr_from_addr(to, &sockaddr);
    struct tls_session *session = NULL;
    int fd, r;

    if (len == 0)
        return ERR_UNSUPPORTED;
    r = socket_for(from, to, &fd);
    if (r < 0)
        return r;
    set_options(fd);
    /* Also one that is connected at once is told by its event, after this function has returned. */
    if (connect(fd, (struct sockaddr *)&sockaddr, len) < 0 && errno != EINPROGRESS)
        r = ERR_IO;
    if (r == 0 && tls)
        r = tls_session_connect(tls, fd, name, &session);
    if (r == 0)
        r = stream_new(loop, fd, CONNECTING, session, queue_bytes, ops, ctx, ret_stream);
    if (r < 0) {
        tls_session_free(session);
        close_keeping_errno(fd);
    }
    return r;
}

int net_stream_connect(struct net_loop *loop, const struct addr *from, const struct addr *to,
                       size_t queue_bytes, const struct net_stream_ops *ops, void *ctx,
                       struct net_stream **ret_stream)
{
    return connect_stream(loop, from, to, NULL, NULL, queue_bytes, ops, ctx, ret_stream);
}

int net_stream_connect_tls(struct net_loop *loop, const struct addr *from, const struct addr *to,
                           struct net_tls *tls, const char *name, size_t queue_bytes,
                           const struct net_stream_ops *ops, void *ctx, struct net_stream **ret_stream)
{
    return connect_stream(loop, from, to, tls, name, queue_bytes, ops, ctx, ret_stream);
}

int net_stream_send(struct net_stream *s, struct wire *wire)
{
    size_t waiting = s->queue.bytes + s->queue.count * BOOKKEEPING_BYTES;
    int r;

    if (!is_alive(s) || s->shut)
        return ERR_CLOSED;
    if (wire->len > SIZE_MAX - BOOKKEEPING_BYTES - waiting ||
        waiting + wire->len + BOOKKEEPING_BYTES > s->limit_bytes)
        return ERR_LIMIT;
    if (wire->len == 0)
        return 0;
    r = wire_queue_push(&s->queue, wire);
    if (r < 0)
        return r;
    s->queued_bytes += wire->len;
    if (!s->blocked)
        net_hook_once(s->loop, &s->flush);
    return 0;
}

void net_stream_shutdown(struct net_stream *s)
{
    if (!is_alive(s) || s->shut)
        return;
    s->shut = true;
    net_hook_once(s->loop, &s->flush);
}

/* The events are changed at the end of the turn, where failing to is handled; until then `paused` holds. */
void net_stream_pause(struct net_stream *s)
{
    s->paused = true;
    if (is_alive(s))
        net_hook_once(s->loop, &s->flush);
}

void net_stream_resume(struct net_stream *s)
{
    s->paused = false;
    if (is_alive(s))
        net_hook_once(s->loop, &s->flush);
}

bool net_stream_is_open(const struct net_stream *s)
{
    return is_alive(s) && s->state == OPEN;
}

uint64_t net_stream_queued_bytes(const struct net_stream *s)
{
    return s->queued_bytes;
}

uint64_t net_stream_written_bytes(const struct net_stream *s)
{
    return s->written_bytes;
}

/* ---- TLS ---- */

bool net_stream_is_verified(const struct net_stream *s)
{
    return s->tls && tls_session_is_verified(s->tls);
}

bool net_stream_is_resumed(const struct net_stream *s)
{
    return s->tls && tls_session_is_resumed(s->tls);
}

void net_stream_identities(const struct net_stream *s, void (*each)(void *ctx, struct slice name), void *ctx)
{
    if (s->tls)
        tls_session_identities(s->tls, each, ctx);
}

bool net_stream_refusal(const struct net_stream *s, struct net_tls_refusal *ret_refusal)
{
    return s->tls && tls_session_refusal(s->tls, ret_refusal);
}
