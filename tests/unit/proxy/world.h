/* A proxy core between fake ports: what it sends is kept in a list, names and users come from tables, the
 * clock moves when told. Included by each test of this folder. */
#ifndef TEST_PROXY_WORLD_H
#define TEST_PROXY_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "proxy/internal.h"
#include "proxy/proxy.h"
#include "proxy/request.h"
#include "sip/msg.h"

#define WORLD_SENT_MAX  4096
#define WORLD_TEXT_MAX  8192
#define WORLD_USERS_MAX 8

enum { UDP4, TCP4, UDP6, UDP4_OTHER, WORLD_LISTENERS };

struct sent {
    struct sip_hop hop;
    uint64_t token;
    char concern[64]; /* the Call-ID that was told; "": none */
    char text[WORLD_TEXT_MAX];
};

struct user {
    const char *aor;
    const struct proxy_binding *bindings;
    size_t count;
};

struct world {
    struct proxy *proxy;
    struct proxy_opts opts;
    struct proxy_ports ports;
    struct counters counters;
    struct proxy_listener listeners[WORLD_LISTENERS];
    struct proxy_domain domain;
    struct addr_prefix trusted;
    struct user users[WORLD_USERS_MAX];
    size_t n_users;
    struct sent *sent;
    size_t n_sent, n_taken;
    enum sip_scheme resolved_scheme; /* of the last look-up */
    bool resolve_later;
    uint64_t ticket; /* of the last look-up put off, and of all */
    uint64_t tickets[512];
    size_t n_tickets;
    struct sip_hop extra_hops[4]; /* further candidates of every resolution */
    size_t n_extra_hops;
    int (*send_result)(const struct sip_hop *hop);
    char concern[64]; /* since the last world_receive */
    ms_t now_ms;
    int64_t held_before;
};

static inline struct addr addr_of(const char *text)
{
    struct addr addr;

    assert_int_equal(addr_parse(slice_from_cstr(text), &addr), 0);
    return addr;
}

static inline void world_concerns(void *ctx, struct slice call_id)
{
    struct world *w = ctx;

    assert_true(call_id.len < sizeof(w->concern));
    if (call_id.len > 0)
        memcpy(w->concern, call_id.ptr, call_id.len);
    w->concern[call_id.len] = 0;
}

static inline int world_send(void *ctx, const struct sip_hop *hop, struct wire *wire, uint64_t token)
{
    struct world *w = ctx;
    struct sent *sent;
    int rc = w->send_result ? w->send_result(hop) : 0;

    if (rc < 0)
        return rc;
    assert_true(w->n_sent < WORLD_SENT_MAX && wire->len < WORLD_TEXT_MAX);
    sent = &w->sent[w->n_sent++];
    sent->hop = *hop;
    sent->token = token;
    strcpy(sent->concern, w->concern);
    memcpy(sent->text, wire->bytes, wire->len);
    sent->text[wire->len] = 0;
    return 0;
}

static inline int world_resolve(void *ctx, const struct proxy_lookup *lookup,
                                struct sip_hop ret_hops[PROXY_HOPS_MAX], size_t *ret_count)
{
    const struct sip_uri *uri = lookup->uri;
    struct world *w = ctx;
    struct sip_hop hop = {.addr = uri->addr};

    w->resolved_scheme = uri->scheme;

    if (w->resolve_later) {
        w->ticket = lookup->ticket;
        if (w->n_tickets < sizeof(w->tickets) / sizeof(w->tickets[0]))
            w->tickets[w->n_tickets++] = lookup->ticket;
        return ERR_AGAIN;
    }
    if (!slice_is_null(uri->maddr) && addr_parse_ip(uri->maddr, &hop.addr) < 0)
        return ERR_NOTFOUND;
    if (slice_is_null(uri->maddr) && slice_eq(uri->host, SLICE("example.com")))
        hop.addr = addr_of("192.0.2.1");
    if (hop.addr.family == ADDR_NONE)
        return ERR_NOTFOUND;
    hop.addr.port = sip_uri_effective_port(uri);
    hop.transport = uri->transport ? (uint8_t)uri->transport : SIP_TRANSPORT_UDP;
    ret_hops[0] = hop;
    memcpy(ret_hops + 1, w->extra_hops, w->n_extra_hops * sizeof(hop));
    *ret_count = 1 + w->n_extra_hops;
    return 0;
}

static inline int world_locate(void *ctx, struct slice aor, unix_s_t now_s, struct arena *arena, size_t max,
                               const struct proxy_binding **ret_bindings, size_t *ret_count)
{
    struct world *w = ctx;

    (void)now_s;
    (void)arena;
    (void)max;
    for (size_t i = 0; i < w->n_users; i++) {
        if (slice_eq(aor, slice_from_cstr(w->users[i].aor))) {
            *ret_bindings = w->users[i].bindings;
            *ret_count = w->users[i].count;
            return 0;
        }
    }
    return ERR_NOTFOUND;
}

static inline void world_random(void *ctx, void *out, size_t bytes)
{
    (void)ctx;
    for (size_t i = 0; i < bytes; i++)
        ((uint8_t *)out)[i] = (uint8_t)(i * 37 + 11);
}

static const struct proxy_step world_chain[] = {
    {"validate", proxy_step_validate, NULL},
    {"route", proxy_step_route, NULL},
    {"self", proxy_step_self, NULL},
    {"relay", proxy_step_relay, NULL},
    {"targets", proxy_step_targets, NULL},
    {"forward", proxy_step_forward, NULL},
    {NULL, NULL, NULL},
};

/* Everything but the proxy itself: a test may change options before world_start. */
static inline void world_init(struct world *w)
{
    memset(w, 0, sizeof(*w));
    log_set_level(LOG_ERROR);
    w->sent = calloc(WORLD_SENT_MAX, sizeof(*w->sent));
    w->listeners[UDP4] = (struct proxy_listener){.transport = SIP_TRANSPORT_UDP,
                                                 .addr = addr_of("192.0.2.1:5060"),
                                                 .host = SLICE("192.0.2.1"),
                                                 .port = 5060};
    w->listeners[TCP4] = (struct proxy_listener){.transport = SIP_TRANSPORT_TCP,
                                                 .addr = addr_of("192.0.2.1:5060"),
                                                 .host = SLICE("192.0.2.1"),
                                                 .port = 5060};
    w->listeners[UDP6] = (struct proxy_listener){.transport = SIP_TRANSPORT_UDP,
                                                 .addr = addr_of("[2001:db8::1]:5060"),
                                                 .host = SLICE("[2001:db8::1]"),
                                                 .port = 5060};
    w->listeners[UDP4_OTHER] = (struct proxy_listener){.transport = SIP_TRANSPORT_UDP,
                                                       .addr = addr_of("192.0.2.1:5090"),
                                                       .host = SLICE("192.0.2.1"),
                                                       .port = 5090};
    w->domain = (struct proxy_domain){.name = SLICE("example.com"),
                                      .realm = SLICE("example.com"),
                                      .auth_register = PROXY_AUTH_NONE,
                                      .auth_calls = PROXY_AUTH_NONE};
    assert_int_equal(addr_prefix_parse(SLICE("192.0.2.0/24"), &w->trusted), 0);
    w->opts = (struct proxy_opts){
        .listeners = w->listeners,
        .n_listeners = WORLD_LISTENERS,
        .domains = &w->domain,
        .n_domains = 1,
        .trusted = &w->trusted,
        .n_trusted = 1,
        .limits = sip_limits_default,
        .times = txn_times_default,
        .timer_c_ms = 200000,
        .ring_ms = 20000,
        .record_route = true,
        .loop_detection = true,
        .max_breadth = 60,
        .max_branches = 8,
        .max_spirals = 10,
        .path_mtu_bytes = 1500,
        .retry_after_s = 7,
        .max_transactions = 1000,
        .arena_budget_bytes = 4 * 1024 * 1024,
        .secret = {1, 2},
        .worker = 3,
        .chain = world_chain,
    };
    w->ports = (struct proxy_ports){.ctx = w,
                                    .send = world_send,
                                    .concerns = world_concerns,
                                    .resolve = world_resolve,
                                    .locate = world_locate,
                                    .random = world_random};
}

static inline void world_start(struct world *w)
{
    w->held_before = mem_held_bytes();
    assert_int_equal(proxy_new(&w->opts, &w->ports, &w->counters, w->now_ms, &w->proxy), 0);
}

static inline void world_advance(struct world *w, ms_t ms)
{
    w->now_ms += ms;
    proxy_advance(w->proxy, w->now_ms, 0);
}

static inline struct sip_hop hop_from(unsigned listener, const char *peer, uint64_t flow)
{
    static const uint8_t transports[] = {SIP_TRANSPORT_UDP, SIP_TRANSPORT_TCP, SIP_TRANSPORT_UDP,
                                         SIP_TRANSPORT_UDP};

    return (struct sip_hop){.addr = addr_of(peer),
                            .flow = flow,
                            .listener = (uint16_t)listener,
                            .transport = transports[listener]};
}

static inline void world_receive(struct world *w, unsigned listener, const char *peer, const char *text)
{
    struct sip_hop from = hop_from(listener, peer, listener == TCP4 ? 99 : 0);

    w->concern[0] = 0;
    proxy_receive(w->proxy, slice_from_cstr(text), &from, listener != TCP4);
}

/* The next message that was sent and not yet taken. */
static inline const struct sent *take(struct world *w)
{
    assert_true(w->n_taken < w->n_sent);
    return &w->sent[w->n_taken++];
}

static inline const struct sent *take_starting(struct world *w, const char *start)
{
    const struct sent *sent = take(w);

    if (strncmp(sent->text, start, strlen(start)) != 0)
        fail_msg("expected %s..., was\n%s", start, sent->text);
    return sent;
}

static inline void assert_silence(struct world *w)
{
    if (w->n_taken < w->n_sent)
        fail_msg("nothing more expected, but\n%s", w->sent[w->n_taken].text);
}

static inline void assert_goes_to(const struct sent *sent, const char *peer)
{
    struct addr addr = addr_of(peer);

    if (!addr_eq(&sent->hop.addr, &addr))
        fail_msg("expected to go to %s:\n%s", peer, sent->text);
}

static inline void assert_has(const struct sent *sent, const char *part)
{
    if (!strstr(sent->text, part))
        fail_msg("expected '%s' in\n%s", part, sent->text);
}

static inline void assert_has_not(const struct sent *sent, const char *part)
{
    if (strstr(sent->text, part))
        fail_msg("'%s' must not be in\n%s", part, sent->text);
}

/* The value of the n-th header line of this name (long form), in a static buffer; "" when there is none. */
static inline const char *header(const struct sent *sent, const char *name, unsigned n)
{
    static char values[4][2048];
    static unsigned turn;
    char *value = values[turn++ % 4], start[64];
    const char *at = sent->text;

    snprintf(start, sizeof(start), "\r\n%s: ", name);
    *value = 0;
    while ((at = strstr(at, start)) != NULL) {
        at += strlen(start);
        if (n-- == 0) {
            size_t len = strcspn(at, "\r");
            assert_true(len < sizeof(values[0]));
            memcpy(value, at, len);
            value[len] = 0;
            return value;
        }
        at -= 2;
    }
    return value;
}

static inline unsigned count_headers(const struct sent *sent, const char *name)
{
    unsigned n = 0;

    while (*header(sent, name, n))
        n++;
    return n;
}

/* Requests */

struct call {
    const char *method, *ruri, *branch, *call_id, *from_tag, *to, *extra, *body;
    const char *via; /* sent-protocol and sent-by, with parameters but branch */
    unsigned cseq;
};

static inline const char *request_text(const struct call *call)
{
    static char text[WORLD_TEXT_MAX];
    const char *body = call->body ? call->body : "";

    snprintf(
        text, sizeof(text),
        "%s %s SIP/2.0\r\nVia: %s;branch=%s\r\nMax-Forwards: 70\r\nFrom: <sip:alice@example.com>;tag=%s\r\n"
        "To: %s\r\nCall-ID: %s\r\nCSeq: %u %s\r\n%sContent-Length: %zu\r\n\r\n%s",
        call->method, call->ruri, call->via ? call->via : "SIP/2.0/UDP 192.0.2.10:5060",
        call->branch ? call->branch : "z9hG4bKalice1", call->from_tag ? call->from_tag : "a1",
        call->to ? call->to : "<sip:bob@example.com>", call->call_id ? call->call_id : "call1",
        call->cseq ? call->cseq : 1, call->method, call->extra ? call->extra : "", strlen(body), body);
    return text;
}

#define ALICE "192.0.2.10:5060"
#define BOB   "192.0.2.20:5060"
#define BOB2  "192.0.2.21:5060"
#define BOB3  "192.0.2.22:5060"

static inline void request(struct world *w, const struct call *call)
{
    world_receive(w, UDP4, ALICE, request_text(call));
}

static inline void invite(struct world *w)
{
    request(w, &(struct call){.method = "INVITE", .ruri = "sip:bob@example.com"});
}

/* A response to something sent: Via, From, To with a tag, Call-ID, CSeq and Record-Route as they came. */
static inline const char *response_text(const struct sent *req, unsigned status, const char *tag,
                                        const char *extra)
{
    static const char *const repeated[] = {"Via", "Record-Route", "From", "Call-ID", "CSeq"};
    static char text[WORLD_TEXT_MAX];
    int len = snprintf(text, sizeof(text), "SIP/2.0 %u Whatever\r\n", status);

    for (size_t i = 0; i < sizeof(repeated) / sizeof(repeated[0]); i++) {
        for (unsigned n = 0; *header(req, repeated[i], n); n++)
            len += snprintf(text + len, sizeof(text) - (size_t)len, "%s: %s\r\n", repeated[i],
                            header(req, repeated[i], n));
    }
    len += snprintf(text + len, sizeof(text) - (size_t)len, "To: %s", header(req, "To", 0));
    if (tag && !strstr(header(req, "To", 0), ";tag="))
        len += snprintf(text + len, sizeof(text) - (size_t)len, ";tag=%s", tag);
    snprintf(text + len, sizeof(text) - (size_t)len, "\r\n%sContent-Length: 0\r\n\r\n", extra ? extra : "");
    return text;
}

static inline void respond_with(struct world *w, const struct sent *req, unsigned status, const char *tag,
                                const char *extra)
{
    struct sip_hop from = req->hop;

    proxy_receive(w->proxy, slice_from_cstr(response_text(req, status, tag, extra)), &from,
                  req->hop.transport == SIP_TRANSPORT_UDP);
}

static inline void respond(struct world *w, const struct sent *req, unsigned status, const char *tag)
{
    respond_with(w, req, status, tag, NULL);
}

static inline void set_user(struct world *w, const char *aor, const struct proxy_binding *bindings,
                            size_t count)
{
    w->users[w->n_users++] = (struct user){aor, bindings, count};
}

/* SLICE for static initialisers. */
#define TEXT(literal)                                                                                        \
    {                                                                                                        \
        "" literal, sizeof(literal) - 1                                                                      \
    }

static const struct proxy_binding bob_once[] = {{.uri = TEXT("sip:bob@192.0.2.20"), .q_milli = 1000}};

/* bob@example.com at BOB; started. */
static inline void world_with_bob(struct world *w)
{
    world_init(w);
    set_user(w, "sip:bob@example.com", bob_once, 1);
    set_user(w, "sip:nobody@example.com", NULL, 0);
    world_start(w);
}

/* Lets everything linger out, and looks whether anything is left. */
static inline void world_stop(struct world *w)
{
    world_advance(w, 400000);
    assert_int_equal(proxy_transactions(w->proxy), 0);
    assert_int_equal(proxy_pending(w->proxy), 0);
    assert_int_equal(proxy_next_ms(w->proxy), MS_NEVER);
    assert_int_equal(proxy_used_bytes(w->proxy), 0);
    assert_int_equal(w->proxy->links.in_use, 0);
    proxy_free(w->proxy);
    assert_int_equal(mem_held_bytes(), w->held_before);
    free(w->sent);
}

#endif
