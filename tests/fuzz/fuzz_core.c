/* Any octets as a story that happens to the whole proxy core: messages, answers, failures, answers of the
 * resolver, and time. Whatever happens, when everybody has fallen silent and all timers have run out nothing
 * is left: no transaction, no request, no memory.
 *
 * Input: records of an octet that says what happens and to whom, then what that needs. */
#include "fuzz_sip.h"

#include "base/log.h"
#include "base/mem.h"
#include "proxy/proxy.h"
#include "proxy/request.h"
#include "sip/build.h"

#define PEERS       4
#define SENT_MAX    16   /* the last messages that left */
#define TICKETS_MAX 4096 /* questions to the resolver that wait for an answer */
#define EVENTS_MAX  400
#define SILENCE_MS  (400 * 1000)
#define SILENCES    8 /* more than a request has targets, one after the other */
#define START_MS    1000000
#define START_S     1800000000

enum happening {
    HAPPEN_MESSAGE,  /* length (2 octets), octets */
    HAPPEN_REQUEST,  /* method, target, call */
    HAPPEN_RESPONSE, /* status, which of the messages sent */
    HAPPEN_REPEAT,   /* the message before comes again */
    HAPPEN_TIME,     /* how much */
    HAPPEN_FAILURE,  /* how, which of the messages sent */
    HAPPEN_RESOLVED, /* how */
    HAPPEN_DRAIN,
    HAPPEN_COUNT
};

struct sent {
    struct sip_hop hop;
    struct wire *wire;
    uint64_t token;
};

struct world {
    const uint8_t *data;
    size_t left;
    struct proxy *proxy;
    struct counters counters;
    struct sent sent[SENT_MAX];
    size_t n_sent;
    uint64_t tickets[TICKETS_MAX];
    size_t n_tickets;
    uint64_t random;
    ms_t now_ms;
    bool refuse_next;
    char last[4096];
    size_t last_len;
    struct sip_hop last_from;
};

static uint8_t next(struct world *w)
{
    if (w->left == 0)
        return 0;
    w->left--;
    return *w->data++;
}

/* ---- ports ---- */

static int port_send(void *ctx, const struct sip_hop *hop, struct wire *wire, uint64_t token)
{
    struct world *w = ctx;
    struct sent *s = &w->sent[w->n_sent++ % SENT_MAX];
    struct sip_msg msg;
    struct sip_error error;
    struct fuzz_memory memory;
    /* What leaves is a message, and goes to a listener of its transport. */
    fuzz_memory_init(&memory);
    FUZZ_ASSERT(sip_msg_parse(wire_slice(wire), true, &sip_limits_default, &memory.arena, &msg, &error) !=
                ERR_SYNTAX);
    fuzz_memory_done(&memory);
    FUZZ_ASSERT(hop->listener < 2 && (hop->transport == SIP_TRANSPORT_UDP) == (hop->listener == 0));
    FUZZ_ASSERT(addr_is_unicast(&hop->addr) && hop->addr.port != 0);
    if (w->refuse_next) {
        w->refuse_next = false;
        w->n_sent--;
        return ERR_CLOSED;
    }
    wire_unref(s->wire);
    *s = (struct sent){.hop = *hop, .wire = wire_ref(wire), .token = token};
    return 0;
}

/* A port that is odd needs time to be found, one divisible by ten is not found. */
static int port_resolve(void *ctx, const struct proxy_lookup *lookup, struct sip_hop ret_hops[PROXY_HOPS_MAX],
                        size_t *ret_count)
{
    const struct sip_uri *uri = lookup->uri;
    struct world *w = ctx;
    struct addr addr = uri->addr;
    addr.port = uri->port != 0 ? uri->port : 5060;
    if (addr.family != ADDR_IPV4 || !addr_is_unicast(&addr) || addr.port % 10 == 3)
        return ERR_NOTFOUND;
    if (addr.port % 2 == 1 && w->n_tickets < TICKETS_MAX) {
        w->tickets[w->n_tickets++] = lookup->ticket;
        return ERR_AGAIN;
    }
    uint8_t transport = uri->transport == SIP_TRANSPORT_TCP ? SIP_TRANSPORT_TCP : SIP_TRANSPORT_UDP;
    ret_hops[0] = (struct sip_hop){.addr = addr, .transport = transport};
    ret_hops[1] = ret_hops[0];
    ret_hops[1].addr.port ^= 64;
    *ret_count = ret_hops[1].addr.port != 0 && addr.port % 4 == 0 ? 2 : 1;
    return 0;
}

#define TEXT(literal)                                                                                        \
    {                                                                                                        \
        literal, sizeof(literal) - 1                                                                         \
    }

static const struct proxy_binding bindings[] = {
    {.uri = TEXT("sip:bob@192.0.2.11:5062"), .q_milli = 1000},
    {.uri = TEXT("sip:bob@192.0.2.12:5064;transport=tcp"), .q_milli = 1000},
    {.uri = TEXT("sip:bob@192.0.2.13:5061"), .path = TEXT("<sip:192.0.2.14:5066;lr>"), .q_milli = 500},
    {.uri = TEXT("sip:bob@192.0.2.13:5068"), .path = TEXT("<sip:192.0.2.14:5066>"), .q_milli = 500},
};

static int port_locate(void *ctx, struct slice aor, unix_s_t now_s, struct arena *arena, size_t max,
                       const struct proxy_binding **ret_bindings, size_t *ret_count)
{
    (void)ctx;
    (void)now_s;
    (void)arena;
    (void)max;
    *ret_bindings = bindings;
    if (slice_eq(aor, SLICE("sip:bob@example.com")))
        *ret_count = 4;
    else if (slice_eq(aor, SLICE("sip:carol@example.com")))
        *ret_count = 1;
    else if (slice_eq(aor, SLICE("sip:dave@example.com")))
        *ret_count = 0;
    else
        return ERR_NOTFOUND;
    return 0;
}

static void port_random(void *ctx, void *out, size_t bytes)
{
    struct world *w = ctx;
    for (size_t i = 0; i < bytes; i++) {
        w->random = w->random * 6364136223846793005ULL + 1442695040888963407ULL;
        ((uint8_t *)out)[i] = (uint8_t)(w->random >> 56);
    }
}

/* ---- what happens ---- */

static struct sip_hop hop_of(unsigned peer)
{
    struct sip_hop hop = {
        .addr = {.family = ADDR_IPV4, .ip = {192, 0, 2, (uint8_t)(10 + peer)}, .port = 5060}};
    bool stream = peer == PEERS - 1;
    hop.listener = stream ? 1 : 0;
    hop.transport = stream ? SIP_TRANSPORT_TCP : SIP_TRANSPORT_UDP;
    hop.flow = stream ? 77 : SIP_FLOW_NONE;
    return hop;
}

static void receive(struct world *w, struct slice bytes, const struct sip_hop *from)
{
    if (bytes.ptr != w->last && bytes.len <= sizeof(w->last)) {
        memcpy(w->last, bytes.ptr, bytes.len);
        w->last_len = bytes.len;
        w->last_from = *from;
    }
    proxy_receive(w->proxy, bytes, from, from->transport == SIP_TRANSPORT_UDP);
}

static void happen_message(struct world *w, unsigned peer)
{
    size_t len = (size_t)next(w) << 8;
    len |= next(w);
    if (len > w->left)
        len = w->left;
    struct sip_hop from = hop_of(peer);
    /* A copy of its own, so that the sanitizer sees every step over its end. */
    char *copy = malloc(len + 1);
    FUZZ_ASSERT(copy != NULL);
    memcpy(copy, w->data, len);
    w->data += len;
    w->left -= len;
    receive(w, slice_make(copy, len), &from);
    free(copy);
}

static void happen_request(struct world *w, unsigned peer)
{
    static const char *const methods[] = {"INVITE",  "ACK",     "CANCEL", "BYE",
                                          "OPTIONS", "MESSAGE", "UPDATE", "SUBSCRIBE"};
    static const char *const targets[] = {"sip:bob@example.com",      "sip:carol@example.com",
                                          "sip:dave@example.com",     "sip:192.0.2.1",
                                          "sip:erin@192.0.2.20:5062", "sip:erin@192.0.2.20:5061",
                                          "sips:bob@example.com",     "sip:bob@192.0.2.1;maddr=192.0.2.1"};
    static const char *const extras[] = {"",
                                         "Route: <sip:192.0.2.1;lr>\r\n",
                                         "Route: <sip:192.0.2.1;lr>,<sip:192.0.2.30:5062;lr>\r\n",
                                         "Route: <sip:192.0.2.30:5062>\r\n",
                                         "Max-Breadth: 1\r\n",
                                         "Proxy-Require: foo\r\n",
                                         "Max-Forwards: 0\r\n",
                                         "Reason: SIP;cause=200\r\n"};
    const char *method = methods[next(w) % 8];
    uint8_t what = next(w), call = next(w);
    char text[2048];
    struct sip_hop from = hop_of(peer);
    int len = snprintf(text, sizeof(text),
                       "%s %s SIP/2.0\r\nVia: SIP/2.0/%s 192.0.2.%u:5060;branch=z9hG4bK%u\r\n%sFrom: "
                       "<sip:a@192.0.2.10>;tag=%u\r\n"
                       "To: <%s>%s\r\nCall-ID: %u\r\nCSeq: %u %s\r\nContent-Length: 0\r\n\r\n",
                       method, targets[what % 8], peer == PEERS - 1 ? "TCP" : "UDP", 10 + peer, call,
                       extras[what / 8 % 8], call % 4, targets[what % 8], what & 64 ? ";tag=x" : "",
                       call % 16, call % 8 + 1, method);
    receive(w, slice_make(text, (size_t)len), &from);
}

static const struct sent *choose_sent(struct world *w)
{
    size_t held = w->n_sent < SENT_MAX ? w->n_sent : SENT_MAX;
    const struct sent *s = held > 0 ? &w->sent[next(w) % held] : NULL;
    return s != NULL && s->wire != NULL ? s : NULL;
}

static void happen_response(struct world *w)
{
    static const unsigned statuses[] = {100, 180, 183, 199, 200, 202, 302, 401,
                                        407, 404, 486, 487, 503, 500, 600, 603};
    unsigned status = statuses[next(w) % 16];
    const struct sent *s = choose_sent(w);
    if (s == NULL)
        return;
    struct fuzz_memory memory;
    struct sip_msg msg;
    struct sip_error error;
    struct wire *response = NULL;
    fuzz_memory_init(&memory);
    const struct sip_extra extra[] = {
        {.id = SIP_HDR_CONTACT, .value = SLICE("<sip:erin@192.0.2.20:5062>;q=0.5")},
        {.id = SIP_HDR_PROXY_AUTHENTICATE, .value = SLICE("Digest realm=\"x\", nonce=\"y\"")},
        {0}};
    const struct sip_response_args args = {
        .status = status, .to_tag = SLICE("t1"), .copy_record_route = true, .extra = extra};
    if (sip_msg_parse(wire_slice(s->wire), true, &sip_limits_default, &memory.arena, &msg, &error) == 0 &&
        msg.is_request && sip_build_response(&msg, &args, &response) == 0) {
        struct sip_hop from = s->hop;
        receive(w, wire_slice(response), &from);
    }
    wire_unref(response);
    fuzz_memory_done(&memory);
}

static void advance(struct world *w, ms_t by_ms)
{
    w->now_ms += by_ms;
    proxy_advance(w->proxy, w->now_ms, START_S + (unix_s_t)(w->now_ms / 1000));
}

static void happen_failure(struct world *w)
{
    uint8_t how = next(w);
    if (how % 4 == 0) {
        w->refuse_next = true;
        return;
    }
    const struct sent *s = choose_sent(w);
    if (s == NULL)
        return;
    if (how % 4 == 1)
        proxy_send_refused(w->proxy, slice_sub(wire_slice(s->wire), 0, how));
    else
        proxy_send_failed(w->proxy, s->token);
}

static void happen_resolved(struct world *w)
{
    uint8_t how = next(w);
    struct sip_hop hop = hop_of(how % PEERS);
    hop.flow = SIP_FLOW_NONE;
    if (w->n_tickets > 0)
        proxy_resolved(w->proxy, w->tickets[how / PEERS % w->n_tickets], how & 128 ? ERR_NOTFOUND : 0, &hop,
                       how & 128 ? 0 : 1);
}

static void happen(struct world *w)
{
    uint8_t what = next(w);
    unsigned peer = what / HAPPEN_COUNT % PEERS;
    switch ((enum happening)(what % HAPPEN_COUNT)) {
    case HAPPEN_MESSAGE:
        happen_message(w, peer);
        break;
    case HAPPEN_REQUEST:
        happen_request(w, peer);
        break;
    case HAPPEN_RESPONSE:
        happen_response(w);
        break;
    case HAPPEN_REPEAT:
        if (w->last_len > 0)
            receive(w, slice_make(w->last, w->last_len), &w->last_from);
        break;
    case HAPPEN_TIME:
        advance(w, (ms_t)1 << next(w) % 18);
        break;
    case HAPPEN_FAILURE:
        happen_failure(w);
        break;
    case HAPPEN_RESOLVED:
        happen_resolved(w);
        break;
    case HAPPEN_DRAIN:
        proxy_set_draining(w->proxy, (what & 128) != 0);
        break;
    case HAPPEN_COUNT:
        break;
    }
}

/* ---- the world ---- */

static const struct proxy_step chain[] = {{"validate", proxy_step_validate, NULL},
                                          {"route", proxy_step_route, NULL},
                                          {"self", proxy_step_self, NULL},
                                          {"relay", proxy_step_relay, NULL},
                                          {"targets", proxy_step_targets, NULL},
                                          {"forward", proxy_step_forward, NULL},
                                          {NULL, NULL, NULL}};

/* Every question is answered, also those that only come when what went before has failed, and nobody says
 * anything for as long as the longest timers run. */
static void fall_silent(struct world *w)
{
    for (int i = 0; i < SILENCES; i++) {
        for (size_t t = 0; t < w->n_tickets; t++)
            proxy_resolved(w->proxy, w->tickets[t], ERR_NOTFOUND, NULL, 0);
        w->n_tickets = 0;
        w->refuse_next = false;
        advance(w, SILENCE_MS);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t held_before = mem_held_bytes();
    struct world w = {.data = data + 1, .left = size - 1, .now_ms = START_MS, .random = 42};
    if (size < 2)
        return 0;
    log_set_level(LOG_ERROR);
    const struct addr addr = {.family = ADDR_IPV4, .ip = {192, 0, 2, 1}, .port = 5060};
    const struct proxy_listener listeners[] = {
        {.transport = SIP_TRANSPORT_UDP,
         .addr = addr,
         .host = SLICE("192.0.2.1"),
         .port = 5060,
         .stateless = (data[0] & 1) != 0},
        {.transport = SIP_TRANSPORT_TCP, .addr = addr, .host = SLICE("192.0.2.1"), .port = 5060}};
    const struct proxy_domain domain = {.name = SLICE("example.com"),
                                        .realm = SLICE("example.com"),
                                        .auth_register = PROXY_AUTH_NONE,
                                        .auth_calls = PROXY_AUTH_NONE};
    const struct addr_prefix trusted = {.addr = {.family = ADDR_IPV4, .ip = {192, 0, 2, 0}}, .bits = 24};
    const struct proxy_opts opts = {.listeners = listeners,
                                    .n_listeners = 2,
                                    .domains = &domain,
                                    .n_domains = 1,
                                    .trusted = &trusted,
                                    .n_trusted = (data[0] & 2) != 0 ? 1 : 0,
                                    .limits = sip_limits_default,
                                    .times = txn_times_default,
                                    .timer_c_ms = 181000,
                                    .ring_ms = 20000,
                                    .record_route = (data[0] & 4) == 0,
                                    .loop_detection = true,
                                    .recurse_3xx = (data[0] & 8) != 0,
                                    .max_breadth = (data[0] & 16) != 0 ? 2 : 60,
                                    .max_branches = 5,
                                    .max_spirals = 3,
                                    .path_mtu_bytes = 1500,
                                    .retry_after_s = 5,
                                    .max_transactions = (data[0] & 32) != 0 ? 4 : 1000,
                                    .arena_budget_bytes = (data[0] & 64) != 0 ? 32 * 1024 : 8 << 20,
                                    .secret = {1, 2},
                                    .chain = chain};
    const struct proxy_ports ports = {
        .ctx = &w, .send = port_send, .resolve = port_resolve, .locate = port_locate, .random = port_random};
    FUZZ_ASSERT(proxy_new(&opts, &ports, &w.counters, w.now_ms, &w.proxy) == 0);
    for (int i = 0; i < EVENTS_MAX && w.left > 0; i++)
        happen(&w);
    fall_silent(&w);
    FUZZ_ASSERT(proxy_pending(w.proxy) == 0 && proxy_transactions(w.proxy) == 0 &&
                proxy_used_bytes(w.proxy) == 0);
    FUZZ_ASSERT(proxy_next_ms(w.proxy) == MS_NEVER);
    proxy_free(w.proxy);
    for (size_t i = 0; i < SENT_MAX; i++)
        wire_unref(w.sent[i].wire);
    FUZZ_ASSERT(mem_held_bytes() == held_before);
    return 0;
}
