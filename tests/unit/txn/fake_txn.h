/* A transaction layer with nothing round it: a clock moved by hand, and ops that write a transcript. Every
 * line is
 * "<ms since the start> <what happened>", so a test reads like the figure it checks:
 *
 *     0 send INVITE
 *     500 send INVITE
 *     700 up 180 */
#ifndef FAKE_TXN_H
#define FAKE_TXN_H

#include "base/mem.h"
#include "sip/msg.h"
#include "txn/txn.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define FAKE_START_MS 1000000
#define FAKE_TEXT_MAX 65536

struct fake {
    struct timer_wheel wheel;
    struct counters counters;
    struct txn_layer *layer;
    struct arena_pool pool;
    struct arena arena;
    int64_t held_before;
    uint64_t last_token;
    struct sip_hop last_hop;
    char last_sent[4096]; /* the text of the last message sent */
    char remade[4096];    /* what is given for a request that was let go; empty: there is no memory for it */
    char text[FAKE_TEXT_MAX];
    size_t len;
    /* Called after each line is written, from inside the op. */
    void (*hook)(struct fake *f, const char *what, struct txn_client *client, struct txn_server *server);
    void *hook_ctx;
};

static inline __attribute__((format(printf, 2, 3))) void fake_note(struct fake *f, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(f->text + f->len, sizeof(f->text) - f->len, format, args);
    va_end(args);
    assert_true(n >= 0 && (size_t)n < sizeof(f->text) - f->len);
    f->len += (size_t)n;
}

static inline void fake_op(struct fake *f, const char *what, struct txn_client *client,
                           struct txn_server *server)
{
    fake_note(f, "%u %s\n", (unsigned)(f->wheel.now_ms - FAKE_START_MS), what);
    if (f->hook)
        f->hook(f, what, client, server);
}

/* "send INVITE" or "send 486". */
static inline void fake_send(void *ctx, const struct sip_hop *hop, struct wire *wire, uint64_t token)
{
    struct fake *f = ctx;
    struct slice text = wire_slice(wire), version = SLICE("SIP/2.0 ");
    struct slice word = slice_starts_with(text, version) ? slice_sub(text, version.len, text.len) : text;
    char what[64];

    assert_true(text.len < sizeof(f->last_sent));
    memcpy(f->last_sent, text.ptr, text.len);
    f->last_sent[text.len] = '\0';
    f->last_token = token;
    f->last_hop = *hop;
    snprintf(what, sizeof(what), "send %.*s", (int)slice_find(word, ' '), word.ptr);
    fake_op(f, what, NULL, NULL);
}

static inline void fake_client_response(void *ctx, struct txn_client *t, struct sip_msg *response)
{
    char what[64];

    snprintf(what, sizeof(what), "up %u", response->status);
    fake_op(ctx, what, t, NULL);
}

static inline void fake_client_timeout(void *ctx, struct txn_client *t)
{
    fake_op(ctx, "timeout", t, NULL);
}

static inline int fake_client_request(void *ctx, struct txn_client *t, struct wire **ret_request)
{
    struct fake *f = ctx;
    struct wire *wire = f->remade[0] ? wire_from(slice_from_cstr(f->remade)) : NULL;

    (void)t;
    if (!wire)
        return ERR_NOMEM;
    *ret_request = wire;
    return 0;
}

static inline void fake_client_transport_error(void *ctx, struct txn_client *t)
{
    fake_op(ctx, "client error", t, NULL);
}

static inline void fake_client_done(void *ctx, struct txn_client *t)
{
    fake_op(ctx, "client done", t, NULL);
}

static inline void fake_server_trying_due(void *ctx, struct txn_server *t)
{
    fake_op(ctx, "trying due", NULL, t);
}

static inline void fake_server_no_ack(void *ctx, struct txn_server *t)
{
    fake_op(ctx, "no ack", NULL, t);
}

static inline void fake_server_transport_error(void *ctx, struct txn_server *t)
{
    fake_op(ctx, "server error", NULL, t);
}

static inline void fake_server_done(void *ctx, struct txn_server *t)
{
    fake_op(ctx, "server done", NULL, t);
}

static const struct txn_ops fake_ops = {
    .send = fake_send,
    .client_response = fake_client_response,
    .client_timeout = fake_client_timeout,
    .client_request = fake_client_request,
    .client_transport_error = fake_client_transport_error,
    .client_done = fake_client_done,
    .server_trying_due = fake_server_trying_due,
    .server_no_ack = fake_server_no_ack,
    .server_transport_error = fake_server_transport_error,
    .server_done = fake_server_done,
};

static inline struct txn_layer_opts fake_opts(struct fake *f)
{
    return (struct txn_layer_opts){
        .times = txn_times_default,
        .max_transactions = 100000,
        .hash_key = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u},
        .wheel = &f->wheel,
        .counters = &f->counters,
        .ops = &fake_ops,
        .ctx = f,
    };
}

static inline struct fake *fake_new_with(const struct txn_times *times, size_t max_transactions)
{
    int64_t held = mem_held_bytes();
    struct fake *f = calloc(1, sizeof(*f));
    struct txn_layer_opts opts;

    assert_non_null(f);
    f->held_before = held;
    timer_wheel_init(&f->wheel, FAKE_START_MS, NULL);
    arena_pool_init(&f->pool, SIZE_MAX / 2);
    arena_init(&f->arena, &f->pool);
    opts = fake_opts(f);
    opts.times = *times;
    opts.max_transactions = max_transactions;
    assert_int_equal(txn_layer_new(&opts, &f->layer), 0);
    return f;
}

static inline struct fake *fake_new(void)
{
    return fake_new_with(&txn_times_default, 100000);
}

static inline void fake_free(struct fake *f)
{
    txn_layer_free(f->layer);
    assert_int_equal(f->wheel.count, 0);
    arena_done(&f->arena);
    arena_pool_done(&f->pool);
    assert_int_equal(mem_held_bytes(), f->held_before);
    free(f);
}

/* The transcript up to now, which then starts anew. */
static inline void fake_expect(struct fake *f, const char *expected)
{
    assert_string_equal(f->text, expected);
    f->len = 0;
    f->text[0] = '\0';
}

static inline void fake_forget(struct fake *f)
{
    f->len = 0;
    f->text[0] = '\0';
}

static inline void fake_advance(struct fake *f, ms_t by_ms)
{
    timer_wheel_advance(&f->wheel, f->wheel.now_ms + by_ms);
}

static inline void fake_advance_to(struct fake *f, ms_t since_start_ms)
{
    timer_wheel_advance(&f->wheel, FAKE_START_MS + since_start_ms);
}

/* What a message says where a test cares; the rest has these defaults. */
struct fake_message {
    const char *method;   /* INVITE */
    const char *ruri;     /* sip:bob@example.com */
    const char *via;      /* SIP/2.0/UDP alice.example.com:5062;branch=z9hG4bK-1 */
    const char *from_tag; /* ";tag=a1"; "" for none */
    const char *to_tag;   /* "" */
    const char *call_id;  /* c1@example.com */
    unsigned cseq;        /* 1 */
    const char *more;     /* further header lines, with CRLF */
};

static inline const char *fake_or(const char *given, const char *otherwise)
{
    return given ? given : otherwise;
}

static inline size_t fake_headers(const struct fake_message *m, const char *start_line, char *out, size_t cap)
{
    const char *method = fake_or(m->method, "INVITE");
    int n = snprintf(out, cap,
                     "%s\r\n"
                     "Via: %s\r\n"
                     "%s"
                     "Max-Forwards: 70\r\n"
                     "From: <sip:alice@example.com>%s\r\n"
                     "To: <sip:bob@example.com>%s\r\n"
                     "Call-ID: %s\r\n"
                     "CSeq: %u %s\r\n"
                     "Content-Length: 0\r\n\r\n",
                     start_line, fake_or(m->via, "SIP/2.0/UDP alice.example.com:5062;branch=z9hG4bK-1"),
                     fake_or(m->more, ""), fake_or(m->from_tag, ";tag=a1"), fake_or(m->to_tag, ""),
                     fake_or(m->call_id, "c1@example.com"), m->cseq ? m->cseq : 1, method);

    assert_true(n > 0 && (size_t)n < cap);
    return (size_t)n;
}

static inline struct sip_msg *fake_parse(struct fake *f, struct slice text)
{
    struct sip_msg *msg = arena_zalloc(&f->arena, sizeof(*msg));
    struct slice copy = arena_dup(&f->arena, text);
    struct sip_error error;

    assert_non_null(msg);
    assert_non_null(copy.ptr);
    assert_int_equal(sip_msg_parse(copy, true, &sip_limits_default, &f->arena, msg, &error), 0);
    return msg;
}

static inline size_t fake_request_text(const struct fake_message *m, char *out, size_t cap)
{
    char line[512];

    snprintf(line, sizeof(line), "%s %s SIP/2.0", fake_or(m->method, "INVITE"),
             fake_or(m->ruri, "sip:bob@example.com"));
    return fake_headers(m, line, out, cap);
}

static inline struct sip_msg *fake_request(struct fake *f, struct fake_message m)
{
    char text[4096];

    return fake_parse(f, slice_make(text, fake_request_text(&m, text, sizeof(text))));
}

static inline struct wire *fake_request_wire(struct fake_message m)
{
    char text[4096];
    struct wire *w = wire_from(slice_make(text, fake_request_text(&m, text, sizeof(text))));

    assert_non_null(w);
    return w;
}

static inline size_t fake_response_text(unsigned status, const struct fake_message *m, char *out, size_t cap)
{
    char line[64];

    snprintf(line, sizeof(line), "SIP/2.0 %u Whatever", status);
    return fake_headers(m, line, out, cap);
}

static inline struct sip_msg *fake_response(struct fake *f, unsigned status, struct fake_message m)
{
    char text[4096];

    return fake_parse(f, slice_make(text, fake_response_text(status, &m, text, sizeof(text))));
}

static inline struct wire *fake_response_wire(unsigned status, struct fake_message m)
{
    char text[4096];
    struct wire *w = wire_from(slice_make(text, fake_response_text(status, &m, text, sizeof(text))));

    assert_non_null(w);
    return w;
}

static inline struct sip_hop fake_hop(enum sip_transport transport)
{
    return (struct sip_hop){.addr = {.family = ADDR_IPV4, .ip = {192, 0, 2, 1}, .port = 5060},
                            .transport = (uint8_t)transport};
}

/* A client transaction with the default branch "z9hG4bK-1"; its user is the fake itself. */
static inline struct txn_client *fake_client(struct fake *f, const char *method, enum sip_transport transport)
{
    struct wire *w = fake_request_wire((struct fake_message){.method = method});
    struct sip_hop hop = fake_hop(transport);
    struct txn_client *t = NULL;
    struct slice name = slice_from_cstr(method);

    assert_int_equal(
        txn_client_new(f->layer, sip_method_from_name(name), name, SLICE("z9hG4bK-1"), w, &hop, f, &t), 0);
    wire_unref(w);
    return t;
}

/* A response to that; to_tag as ";tag=x" or NULL. */
static inline enum txn_match fake_receive(struct fake *f, unsigned status, const char *method,
                                          const char *to_tag)
{
    return txn_receive_response(
        f->layer, fake_response(f, status, (struct fake_message){.method = method, .to_tag = to_tag}));
}

static inline struct txn_server *fake_server_of(struct fake *f, struct fake_message m,
                                                enum sip_transport transport)
{
    struct sip_hop hop = fake_hop(transport);
    struct sip_msg *request = fake_request(f, m);
    struct txn_server *t = NULL;
    struct txn_key key = txn_expect_request(f->layer, request);

    assert_int_equal(txn_receive_request(f->layer, request, &key), TXN_MATCH_NONE);
    assert_int_equal(txn_server_new(f->layer, request, &key, &hop, f, &t), 0);
    return t;
}

static inline struct txn_server *fake_server(struct fake *f, const char *method, enum sip_transport transport)
{
    return fake_server_of(f, (struct fake_message){.method = method}, transport);
}

/* The request again, or its ACK. */
static inline enum txn_match fake_again(struct fake *f, const char *method)
{
    return txn_receive_request(f->layer, fake_request(f, (struct fake_message){.method = method}), NULL);
}

static inline int fake_respond(struct fake *f, struct txn_server *t, unsigned status)
{
    struct wire *w = fake_response_wire(status, (struct fake_message){.to_tag = ";tag=b1"});
    int rc = txn_server_respond(f->layer, t, status, SLICE("b1"), w);

    wire_unref(w);
    return rc;
}

static inline uint64_t fake_count(struct fake *f, enum counter which)
{
    return counter_get(&f->counters, which);
}

#endif
