#include "load.h"
#include "crypto/digest.h"
#include "port.h"
#include "text.h"
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>

#define T1_US       500000u
#define T2_US       4000000u
#define GIVE_UP_US  (64ull * T1_US)
#define REPLIES_MAX 256 /* messages of callees in one turn, before they are flushed */
#define SCAN_US     50000u
#define HEX_BYTES   8

enum call_state { CALL_FREE, CALL_INVITE, CALL_TALKING, CALL_BYE, CALL_OTHER };

struct call {
    uint64_t began_us, sent_us, due_us; /* due: of BYE while talking */
    uint64_t answer_sent_us;            /* 0: the callee has nothing to repeat */
    uint64_t answer_due_us;             /* when a ringing callee answers; 0: does not ring */
    uint32_t serial, interval_us, answer_interval_us;
    uint32_t next; /* free slots */
    uint16_t request_len, ack_len, answer_len;
    uint8_t state; /* enum call_state */
    bool is_provisional, is_measured, has_credentials;
    char request[PORT_MESSAGE_BYTES]; /* the caller's last but ACK, for sending again */
    char ack[PORT_MESSAGE_BYTES];     /* what the dialog needs later stands in it */
    char answer[PORT_MESSAGE_BYTES];  /* the callee's 200 to INVITE, until its ACK */
};

/* Slots that wait for a time that is the same for all of them: first in, first out. */
struct line {
    uint32_t *slots;
    size_t head, count, cap;
};

struct load {
    const struct load_opts *opts;
    struct load_result *result;
    struct port *caller, *callee;
    struct call *calls;
    uint32_t first_free;
    size_t n_used;
    uint64_t now_us, began_us, next_start_us;
    uint64_t n_started, n_due; /* due: by the rate */
    uint32_t serial;
    size_t scan_at;
    uint64_t scanned_us;
    struct line ringing, talking;
    bool is_warm;
    char callee_text[64], caller_text[64];
    size_t n_replies;
    char replies[REPLIES_MAX][PORT_MESSAGE_BYTES];
};

static uint64_t clock_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

/* ---- lines ---- */

static int line_init(struct line *line, size_t cap)
{
    line->cap = cap;
    line->slots = calloc(cap, sizeof(*line->slots));
    return line->slots == NULL ? ERR_NOMEM : 0;
}

/* False: it is full, of slots whose calls have ended before their time. */
static bool line_push(struct line *line, uint32_t slot)
{
    if (line->count == line->cap)
        return false;
    line->slots[(line->head + line->count++) % line->cap] = slot;
    return true;
}

static uint32_t line_first(const struct line *line)
{
    return line->slots[line->head];
}

static void line_pop(struct line *line)
{
    line->head = (line->head + 1) % line->cap;
    line->count--;
}

/* ---- the caller's messages ---- */

static void put_hex(struct buf *out, uint32_t value)
{
    char text[HEX_BYTES];
    for (int i = HEX_BYTES - 1; i >= 0; i--, value >>= 4)
        text[i] = "0123456789abcdef"[value & 15];
    buf_put(out, slice_make(text, HEX_BYTES));
}

static uint32_t read_hex(const char *text)
{
    uint32_t value = 0;
    for (int i = 0; i < HEX_BYTES; i++) {
        char c = text[i];
        value = value << 4 | (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return value;
}

static uint32_t slot_of(const struct load *l, const struct call *call)
{
    return (uint32_t)(call - l->calls);
}

static void put_user(const struct load *l, const struct call *call, struct buf *out)
{
    if (slice_is_null(l->opts->domain)) {
        buf_lit(out, "sip:callee@");
        buf_cstr(out, l->callee_text);
        return;
    }
    buf_printf(out, "sip:u%07llu@", (unsigned long long)(call->serial % l->opts->users));
    buf_put(out, l->opts->domain);
}

static void put_ids(const struct load *l, const struct call *call, struct buf *out)
{
    put_hex(out, slot_of(l, call));
    buf_putc(out, '-');
    put_hex(out, call->serial);
}

struct request {
    struct slice method;
    unsigned cseq;
    struct slice ruri;   /* absent: the user's */
    struct slice to;     /* the To value; absent: the user's URI without tag */
    struct slice branch; /* absent: by the method; of an ACK to a refusal: that of its INVITE */
    struct slice extra;  /* whole header lines */
    struct slice body;
};

static void put_request(const struct load *l, const struct call *call, const struct request *r,
                        struct buf *out)
{
    buf_put(out, r->method);
    buf_putc(out, ' ');
    if (slice_is_null(r->ruri))
        put_user(l, call, out);
    else
        buf_put(out, r->ruri);
    buf_lit(out, " SIP/2.0\r\nVia: SIP/2.0/UDP ");
    buf_cstr(out, l->caller_text);
    buf_lit(out, ";rport;branch=z9hG4bK");
    put_ids(l, call, out);
    buf_putc(out, '-');
    buf_put(out, slice_is_null(r->branch) ? r->method : r->branch);
    if (call->has_credentials)
        buf_lit(out, "2");
    buf_lit(out, "\r\nMax-Forwards: 70\r\nFrom: \"Caller of a bench\" <sip:caller@");
    buf_cstr(out, l->caller_text);
    buf_lit(out, ">;tag=");
    put_ids(l, call, out);
    buf_lit(out, "\r\nTo: ");
    if (slice_is_null(r->to)) {
        buf_putc(out, '<');
        put_user(l, call, out);
        buf_putc(out, '>');
    } else {
        buf_put(out, r->to);
    }
    buf_lit(out, "\r\nCall-ID: ");
    put_ids(l, call, out);
    buf_printf(out, "@bench.example\r\nCSeq: %u ", r->cseq);
    buf_put(out, r->method);
    buf_lit(out, "\r\nUser-Agent: viaduct-bench\r\n");
    buf_put(out, r->extra);
    buf_printf(out, "Content-Length: %zu\r\n\r\n", r->body.len);
    buf_put(out, r->body);
}

static const char sdp[] = "v=0\r\no=caller 2890844526 2890844526 IN IP4 192.0.2.101\r\ns=-\r\n"
                          "c=IN IP4 192.0.2.101\r\nt=0 0\r\nm=audio 49172 RTP/AVP 8 0 18 101\r\n"
                          "a=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:18 G729/8000\r\n"
                          "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=sendrecv\r\n";

static uint16_t put_or_abort(const struct load *l, const struct call *call, const struct request *r,
                             char memory[PORT_MESSAGE_BYTES])
{
    struct buf out;
    buf_init(&out, memory, PORT_MESSAGE_BYTES);
    put_request(l, call, r, &out);
    if (buf_failed(&out))
        abort(); /* the texts are the bench's own and the server's: PORT_MESSAGE_BYTES is too small for them */
    return (uint16_t)out.len;
}

/* Makes it the call's request and sends it. */
static void send_request(struct load *l, struct call *call, const struct request *r, enum call_state state)
{
    call->request_len = put_or_abort(l, call, r, call->request);
    call->state = (uint8_t)state;
    call->sent_us = l->now_us;
    call->interval_us = T1_US;
    call->is_provisional = false;
    port_send(l->caller, slice_make(call->request, call->request_len));
}

/* An ACK is sent once; who needs it again sends his response again. */
static void send_ack(struct load *l, struct call *call, const struct request *r)
{
    call->ack_len = put_or_abort(l, call, r, call->ack);
    call->state = CALL_TALKING;
    port_send(l->caller, slice_make(call->ack, call->ack_len));
}

static void put_contact(const struct load *l, const struct call *call, struct buf *out)
{
    if (l->opts->workload == LOAD_REGISTER)
        buf_printf(out, "Contact: <sip:u%07llu@%s>\r\nExpires: 3600\r\n",
                   (unsigned long long)(call->serial % l->opts->users), l->callee_text);
    else
        buf_printf(out, "Contact: <sip:caller@%s>\r\n", l->caller_text);
}

static void send_first(struct load *l, struct call *call, struct slice credentials)
{
    char memory[1024], ruri[128];
    struct buf extra, uri;
    struct request r = {.cseq = call->has_credentials ? 2 : 1};
    buf_init(&extra, memory, sizeof(memory));
    buf_init(&uri, ruri, sizeof(ruri));
    put_contact(l, call, &extra);
    buf_put(&extra, credentials);
    switch (l->opts->workload) {
    case LOAD_CALL:
        buf_lit(&extra, "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE\r\n"
                        "Supported: timer, replaces\r\nContent-Type: application/sdp\r\n");
        r.method = SLICE("INVITE");
        r.body = slice_make(sdp, sizeof(sdp) - 1);
        break;
    case LOAD_REGISTER:
        r.method = SLICE("REGISTER");
        buf_lit(&uri, "sip:");
        buf_put(&uri, l->opts->domain);
        r.ruri = buf_slice(&uri);
        break;
    case LOAD_PING: {
        buf_lit(&uri, "sip:");
        addr_format(&l->opts->server, &uri);
        r.method = SLICE("OPTIONS");
        r.ruri = buf_slice(&uri);
        break;
    }
    case LOAD_OPTIONS:
        r.method = SLICE("OPTIONS");
        break;
    }
    r.extra = buf_slice(&extra);
    send_request(l, call, &r, l->opts->workload == LOAD_CALL ? CALL_INVITE : CALL_OTHER);
}

/* ---- life of a call ---- */

static void begin(struct load *l)
{
    uint32_t slot = l->first_free;
    struct call *call = &l->calls[slot];
    l->first_free = call->next;
    l->n_used++;
    l->n_started++;
    if (l->n_used > l->result->in_progress_max)
        l->result->in_progress_max = l->n_used;
    call->serial = l->serial++;
    call->began_us = l->now_us;
    call->answer_sent_us = call->answer_due_us = 0;
    call->has_credentials = false;
    call->is_measured = l->is_warm;
    send_first(l, call, SLICE(""));
}

static void end(struct load *l, struct call *call)
{
    call->state = CALL_FREE;
    call->next = l->first_free;
    l->first_free = slot_of(l, call);
    l->n_used--;
}

static void complete(struct load *l, struct call *call)
{
    if (l->is_warm)
        l->result->completed++;
    end(l, call);
}

static void fail(struct load *l, struct call *call, unsigned status)
{
    if (l->is_warm && status == 503)
        l->result->refused++;
    else if (l->is_warm) {
        l->result->failed++;
        l->result->statuses[status / 100]++;
    }
    end(l, call);
}

static void note_latency(struct load *l, const struct call *call)
{
    if (call->is_measured)
        latency_add(&l->result->latency, l->now_us - call->began_us);
}

/* ---- the caller ---- */

static void send_bye(struct load *l, struct call *call)
{
    /* The dialog's route set and remote target were put together for the ACK. */
    struct slice ack = slice_make(call->ack, call->ack_len);
    char memory[PORT_MESSAGE_BYTES];
    struct buf extra;
    buf_init(&extra, memory, sizeof(memory));
    text_copy_headers(ack, SLICE("Route:"), &extra);
    struct slice line = slice_sub(ack, 4, slice_find(ack, '\r'));
    send_request(l, call,
                 &(struct request){.method = SLICE("BYE"),
                                   .cseq = 2,
                                   .ruri = slice_sub(line, 0, slice_find(line, ' ')),
                                   .to = text_header(ack, SLICE("To:")),
                                   .extra = buf_slice(&extra)},
                 CALL_BYE);
}

/* RFC 3261 section 13.2.2.4; the callee repeats its 200 until this has come. */
static void send_ack_of_2xx(struct load *l, struct call *call, struct slice response)
{
    char memory[PORT_MESSAGE_BYTES];
    struct buf extra;
    buf_init(&extra, memory, sizeof(memory));
    text_routes_reversed(response, &extra);
    send_ack(l, call,
             &(struct request){.method = SLICE("ACK"),
                               .cseq = 1,
                               .ruri = text_uri(text_header(response, SLICE("Contact:"))),
                               .to = text_header(response, SLICE("To:")),
                               .extra = buf_slice(&extra)});
}

static void on_answered(struct load *l, struct call *call, struct slice response)
{
    note_latency(l, call);
    send_ack_of_2xx(l, call, response);
    if (l->opts->hold_ms == 0) {
        send_bye(l, call);
        return;
    }
    call->due_us = l->now_us + l->opts->hold_ms * 1000ull;
    if (!line_push(&l->talking, slot_of(l, call)))
        send_bye(l, call);
}

/* Section 17.1.1.3: the ACK of a refusal belongs to the INVITE's transaction. */
static void on_refused(struct load *l, struct call *call, struct slice response)
{
    send_ack(l, call,
             &(struct request){.method = SLICE("ACK"),
                               .cseq = 1,
                               .to = text_header(response, SLICE("To:")),
                               .branch = SLICE("INVITE"),
                               .extra = SLICE("")});
    fail(l, call, text_status(response));
}

static struct slice parameter(struct slice challenge, const char *name)
{
    const char *at = memmem(challenge.ptr, challenge.len, name, strlen(name));
    if (at == NULL)
        return SLICE("");
    at += strlen(name);
    struct slice tail = slice_make(at, (size_t)(challenge.ptr + challenge.len - at));
    return slice_sub(tail, 0, slice_find(tail, '"'));
}

/* RFC 7616 with qop=auth, by the first challenge. */
static void send_credentials(struct load *l, struct call *call, struct slice response)
{
    struct slice challenge = text_header(response, SLICE("WWW-Authenticate:"));
    bool is_sha = memmem(challenge.ptr, challenge.len, "SHA-256", 7) != NULL;
    enum crypto_digest_alg alg = is_sha ? CRYPTO_SHA256 : CRYPTO_MD5;
    struct slice realm = parameter(challenge, "realm=\""), nonce = parameter(challenge, "nonce=\"");
    char user[32], uri[128], credentials[768];
    struct crypto_hex ha1, ha2, answer;
    struct buf out;

    snprintf(user, sizeof(user), "u%07llu", (unsigned long long)(call->serial % l->opts->users));
    snprintf(uri, sizeof(uri), "sip:%.*s", SLICE_ARG(l->opts->domain));
    const struct slice colon = SLICE(":");
    const struct slice p1[] = {slice_from_cstr(user), colon, realm, colon, l->opts->password};
    const struct slice p2[] = {SLICE("REGISTER:"), slice_from_cstr(uri)};
    if (crypto_digest_hex(alg, p1, 5, &ha1) != 0 || crypto_digest_hex(alg, p2, 2, &ha2) != 0)
        abort(); /* the library has no digests */
    const struct slice p3[] = {crypto_hex_slice(&ha1), colon, nonce, SLICE(":00000001:abcd:auth:"),
                               crypto_hex_slice(&ha2)};
    if (crypto_digest_hex(alg, p3, 5, &answer) != 0)
        abort();
    buf_init(&out, credentials, sizeof(credentials));
    buf_printf(&out,
               "Authorization: Digest username=\"%s\", realm=\"%.*s\", nonce=\"%.*s\", uri=\"%s\", "
               "algorithm=%s, qop=auth, nc=00000001, cnonce=\"abcd\", response=\"%.*s\"\r\n",
               user, SLICE_ARG(realm), SLICE_ARG(nonce), uri, is_sha ? "SHA-256" : "MD5",
               SLICE_ARG(crypto_hex_slice(&answer)));
    call->has_credentials = true;
    send_first(l, call, buf_slice(&out));
}

static void on_final(struct load *l, struct call *call, struct slice response, unsigned status)
{
    bool is_bye = call->state == CALL_BYE;
    if (call->state == CALL_INVITE) {
        if (status < 300)
            on_answered(l, call, response);
        else
            on_refused(l, call, response);
    } else if (status == 401 && !slice_is_null(l->opts->password) && !call->has_credentials) {
        send_credentials(l, call, response);
    } else if (status >= 300) {
        fail(l, call, status);
    } else {
        if (!is_bye)
            note_latency(l, call);
        complete(l, call);
    }
}

static struct call *call_of(struct load *l, struct slice message)
{
    struct slice id = text_header(message, SLICE("Call-ID:"));
    if (id.len < 2 * HEX_BYTES + 1)
        return NULL;
    uint32_t slot = read_hex(id.ptr);
    if (slot >= l->opts->in_flight || l->calls[slot].serial != read_hex(id.ptr + HEX_BYTES + 1))
        return NULL;
    return &l->calls[slot];
}

static bool is_awaited(const struct call *call, struct slice cseq_method)
{
    switch ((enum call_state)call->state) {
    case CALL_INVITE:
        return slice_eq(cseq_method, SLICE("INVITE"));
    case CALL_BYE:
        return slice_eq(cseq_method, SLICE("BYE"));
    case CALL_OTHER:
        return !slice_eq(cseq_method, SLICE("INVITE"));
    case CALL_FREE:
    case CALL_TALKING:
        break;
    }
    return false;
}

static void on_caller_message(void *ctx, struct slice message)
{
    struct load *l = ctx;
    struct call *call = call_of(l, message);
    unsigned status = text_status(message);
    if (call == NULL || status == 0 || !is_awaited(call, text_cseq_method(message))) {
        l->result->strays += l->is_warm;
        return;
    }
    if (status >= 200)
        on_final(l, call, message, status);
    else
        call->is_provisional = true;
}

/* ---- the callee ---- */

static char *reply_memory(struct load *l)
{
    if (l->n_replies == REPLIES_MAX) {
        port_flush(l->callee);
        l->n_replies = 0;
    }
    return l->replies[l->n_replies++];
}

static struct slice put_reply(struct load *l, char *memory, struct slice request, struct slice status_line,
                              struct slice extra)
{
    struct buf out;
    buf_init(&out, memory, PORT_MESSAGE_BYTES);
    buf_put(&out, status_line);
    text_copy_headers(request, SLICE("Via:"), &out);
    text_copy_headers(request, SLICE("Record-Route:"), &out);
    text_copy_headers(request, SLICE("From:"), &out);
    struct slice to = text_header(request, SLICE("To:"));
    buf_lit(&out, "To: ");
    buf_put(&out, to);
    if (memmem(to.ptr, to.len, ";tag=", 5) == NULL)
        buf_lit(&out, ";tag=callee");
    buf_lit(&out, "\r\n");
    text_copy_headers(request, SLICE("Call-ID:"), &out);
    text_copy_headers(request, SLICE("CSeq:"), &out);
    buf_printf(&out, "Contact: <sip:callee@%s>\r\n", l->callee_text);
    buf_put(&out, extra);
    if (buf_failed(&out))
        abort(); /* PORT_MESSAGE_BYTES is too small for what the server adds */
    return buf_slice(&out);
}

static void reply(struct load *l, struct slice request, struct slice status_line)
{
    port_send(l->callee,
              put_reply(l, reply_memory(l), request, status_line, SLICE("Content-Length: 0\r\n\r\n")));
}

static void answer(struct load *l, struct call *call)
{
    call->answer_due_us = 0;
    call->answer_sent_us = l->now_us;
    call->answer_interval_us = T1_US;
    port_send(l->callee, slice_make(call->answer, call->answer_len));
}

/* One that comes again while it rings or is answered is the server's retransmission. */
static void on_invite(struct load *l, struct call *call, struct slice request)
{
    char extra[sizeof(sdp) + 96];
    reply(l, request, SLICE("SIP/2.0 180 Ringing\r\n"));
    if (call->answer_due_us != 0 || call->answer_sent_us != 0)
        return;
    int len = snprintf(extra, sizeof(extra), "Content-Type: application/sdp\r\nContent-Length: %zu\r\n\r\n%s",
                       sizeof(sdp) - 1, sdp);
    call->answer_len = (uint16_t)put_reply(l, call->answer, request, SLICE("SIP/2.0 200 OK\r\n"),
                                           slice_make(extra, (size_t)len))
                           .len;
    call->answer_due_us = l->now_us + l->opts->answer_ms * 1000ull;
    if (l->opts->answer_ms == 0 || !line_push(&l->ringing, slot_of(l, call)))
        answer(l, call);
}

static void on_callee_message(void *ctx, struct slice message)
{
    struct load *l = ctx;
    struct call *call = call_of(l, message);
    struct slice method = text_method(message);
    if (text_status(message) != 0) {
        l->result->unexpected += l->is_warm;
    } else if (slice_eq(method, SLICE("INVITE"))) {
        if (call != NULL && call->state == CALL_INVITE)
            on_invite(l, call, message);
    } else if (slice_eq(method, SLICE("ACK"))) {
        if (call != NULL)
            call->answer_sent_us = 0;
    } else {
        reply(l, message, SLICE("SIP/2.0 200 OK\r\n"));
    }
}

/* ---- time ---- */

static uint32_t doubled(const struct call *call, uint32_t interval_us)
{
    bool is_invite = call->state == CALL_INVITE;
    return is_invite || interval_us * 2 < T2_US ? interval_us * 2 : T2_US;
}

static void check_caller(struct load *l, struct call *call)
{
    bool repeats = call->state != CALL_INVITE || !call->is_provisional;
    if (call->state == CALL_TALKING)
        return;
    if (l->now_us - call->began_us > GIVE_UP_US + (l->opts->answer_ms + l->opts->hold_ms) * 1000ull) {
        l->result->timeouts += l->is_warm;
        fail(l, call, 408);
    } else if (repeats && l->now_us - call->sent_us > call->interval_us) {
        call->sent_us = l->now_us;
        call->interval_us = doubled(call, call->interval_us);
        l->result->retransmissions += l->is_warm;
        port_send(l->caller, slice_make(call->request, call->request_len));
    }
}

static void check_callee(struct load *l, struct call *call)
{
    if (call->answer_sent_us == 0 || l->now_us - call->answer_sent_us <= call->answer_interval_us)
        return;
    call->answer_sent_us = l->now_us;
    call->answer_interval_us = doubled(call, call->answer_interval_us);
    l->result->retransmissions += l->is_warm;
    port_send(l->callee, slice_make(call->answer, call->answer_len));
}

/* All slots within about T1, a part of them at a time. */
static void scan(struct load *l)
{
    size_t n = l->opts->in_flight / (T1_US / SCAN_US) + 1;
    if (l->now_us - l->scanned_us < SCAN_US)
        return;
    l->scanned_us = l->now_us;
    for (; n > 0; n--, l->scan_at = (l->scan_at + 1) % l->opts->in_flight) {
        struct call *call = &l->calls[l->scan_at];
        if (call->state == CALL_FREE)
            continue;
        check_callee(l, call);
        check_caller(l, call);
    }
}

static void end_waiting(struct load *l)
{
    while (l->ringing.count > 0) {
        struct call *call = &l->calls[line_first(&l->ringing)];
        if (call->answer_due_us > l->now_us)
            break;
        line_pop(&l->ringing);
        if (call->state == CALL_INVITE && call->answer_due_us != 0)
            answer(l, call);
    }
    while (l->talking.count > 0) {
        struct call *call = &l->calls[line_first(&l->talking)];
        if (call->due_us > l->now_us)
            break;
        line_pop(&l->talking);
        if (call->state == CALL_TALKING)
            send_bye(l, call);
    }
}

static bool may_start(const struct load *l)
{
    return l->opts->count == 0 || l->n_started < l->opts->count;
}

static void start_calls(struct load *l)
{
    double rate = l->opts->rate;
    while (rate == 0 && l->n_used < l->opts->in_flight && may_start(l))
        begin(l);
    while (rate > 0 && l->next_start_us <= l->now_us && may_start(l)) {
        if (l->n_used < l->opts->in_flight)
            begin(l);
        else
            l->result->not_started += l->is_warm;
        l->next_start_us = l->began_us + (uint64_t)((double)(++l->n_due) * 1e6 / rate);
    }
}

/* ---- the run ---- */

static void start_measuring(struct load *l)
{
    struct load_result *r = l->result;
    l->is_warm = true;
    r->own_cpu_ns = process_own_cpu_ns();
    r->dropped = port_dropped(l->caller) + port_dropped(l->callee);
    r->in_progress_max = l->n_used;
    if (l->opts->server_pid != 0)
        process_measure(l->opts->server_pid, &r->server_before);
}

static void stop_measuring(struct load *l, uint64_t measured_since_us)
{
    struct load_result *r = l->result;
    r->seconds = (double)(l->now_us - measured_since_us) / 1e6;
    r->own_cpu_ns = process_own_cpu_ns() - r->own_cpu_ns;
    r->dropped = port_dropped(l->caller) + port_dropped(l->callee) - r->dropped;
    if (l->opts->server_pid != 0)
        process_measure(l->opts->server_pid, &r->server_after);
}

static void turn(struct load *l, int timeout_ms)
{
    struct pollfd fds[2] = {{.fd = port_fd(l->caller), .events = POLLIN},
                            {.fd = port_fd(l->callee), .events = POLLIN}};
    (void)poll(fds, 2, timeout_ms);
    l->now_us = clock_us();
    l->n_replies = 0;
    if (fds[1].revents != 0)
        port_receive(l->callee, on_callee_message, l);
    if (fds[0].revents != 0)
        port_receive(l->caller, on_caller_message, l);
    end_waiting(l);
    scan(l);
    port_flush(l->callee);
    port_flush(l->caller);
}

static bool is_over(const struct load *l, uint64_t end_us)
{
    bool all_done = l->opts->count > 0 && l->n_started >= l->opts->count && l->n_used == 0;
    return all_done || *l->opts->stop || l->now_us >= end_us;
}

static void run(struct load *l)
{
    uint64_t warm_us = l->now_us + (uint64_t)(l->opts->warm_up_seconds * 1e6);
    uint64_t end_us = warm_us + (uint64_t)(l->opts->seconds * 1e6);
    uint64_t measured_since_us = l->now_us;
    l->began_us = l->next_start_us = l->now_us;
    while (!is_over(l, end_us)) {
        if (!l->is_warm && l->now_us >= warm_us) {
            start_measuring(l);
            measured_since_us = l->now_us;
        }
        start_calls(l);
        port_flush(l->caller);
        turn(l, l->opts->rate > 0 ? 1 : 10);
    }
    stop_measuring(l, measured_since_us);
}

static int open_all(struct load *l)
{
    const struct load_opts *o = l->opts;
    struct buf text;
    if (port_new(&o->caller, &o->server, &l->caller) != 0 ||
        port_new(&o->callee, &o->server, &l->callee) != 0) {
        perror("viaduct-bench: the addresses of callers and callees");
        return EX_UNAVAILABLE;
    }
    buf_init(&text, l->caller_text, sizeof(l->caller_text) - 1);
    addr_format(port_addr(l->caller), &text);
    buf_init(&text, l->callee_text, sizeof(l->callee_text) - 1);
    addr_format(port_addr(l->callee), &text);
    l->calls = calloc(o->in_flight, sizeof(*l->calls));
    if (l->calls == NULL || line_init(&l->ringing, 2 * o->in_flight) != 0 ||
        line_init(&l->talking, 2 * o->in_flight) != 0) {
        fprintf(stderr, "viaduct-bench: no memory for %zu calls\n", o->in_flight);
        return EX_OSERR;
    }
    for (size_t i = 0; i < o->in_flight; i++)
        l->calls[i].next = (uint32_t)(i + 1);
    return EX_OK;
}

int load_run(const struct load_opts *opts, struct load_result *ret_result)
{
    struct load *l = calloc(1, sizeof(*l));
    int code = EX_OSERR;
    memset(ret_result, 0, sizeof(*ret_result));
    if (l == NULL)
        return code;
    l->opts = opts;
    l->result = ret_result;
    code = open_all(l);
    if (code == EX_OK) {
        l->now_us = clock_us();
        l->serial = (uint32_t)l->now_us;
        run(l);
    }
    port_free(l->caller);
    port_free(l->callee);
    free(l->ringing.slots);
    free(l->talking.slots);
    free(l->calls);
    free(l);
    return code;
}
