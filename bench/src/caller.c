#include "play.h"
#include "text.h"
#include <stdlib.h>

const char play_sdp[] = "v=0\r\no=caller 2890844526 2890844526 IN IP4 192.0.2.101\r\ns=-\r\n"
                        "c=IN IP4 192.0.2.101\r\nt=0 0\r\nm=audio 49172 RTP/AVP 8 0 18 101\r\n"
                        "a=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:18 G729/8000\r\n"
                        "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=sendrecv\r\n";
const size_t play_sdp_len = sizeof(play_sdp) - 1;

/* ---- messages ---- */

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

static uint64_t user_of(const struct load *l, const struct call *call)
{
    return call->serial % l->opts->users;
}

static void put_user(const struct load *l, const struct call *call, struct buf *out)
{
    if (slice_is_null(l->opts->domain)) {
        buf_lit(out, "sip:callee@");
        buf_cstr(out, l->callee_text);
        buf_cstr(out, l->contact_params);
        return;
    }
    buf_printf(out, "sip:u%07llu@", (unsigned long long)user_of(l, call));
    buf_put(out, l->opts->domain);
}

static void put_ids(const struct call *call, struct buf *out)
{
    put_hex(out, call->slot);
    buf_putc(out, '-');
    put_hex(out, call->serial);
}

static const char *const via_names[] = {
    [PORT_UDP] = "UDP", [PORT_TCP] = "TCP", [PORT_TLS] = "TLS", [PORT_WS] = "WS", [PORT_WSS] = "WSS"};

static void put_request(const struct load *l, const struct call *call, const struct request *r,
                        struct buf *out)
{
    buf_put(out, r->method);
    buf_putc(out, ' ');
    if (slice_is_null(r->ruri))
        put_user(l, call, out);
    else
        buf_put(out, r->ruri);
    buf_printf(out, " SIP/2.0\r\nVia: SIP/2.0/%s ", via_names[l->opts->kind]);
    buf_cstr(out, l->caller_text);
    buf_lit(out, ";rport;branch=z9hG4bK");
    put_ids(call, out);
    buf_putc(out, '-');
    buf_put(out, slice_is_null(r->branch) ? r->method : r->branch);
    if (call->has_credentials)
        buf_lit(out, "2");
    if (l->opts->obeys)
        buf_lit(out, ";oc;oc-algo=\"loss\"");
    buf_lit(out, "\r\nMax-Forwards: 70\r\nFrom: \"Caller of a bench\" <sip:caller@");
    buf_cstr(out, l->caller_text);
    buf_lit(out, ">;tag=");
    put_ids(call, out);
    buf_lit(out, "\r\nTo: ");
    if (slice_is_null(r->to)) {
        buf_putc(out, '<');
        put_user(l, call, out);
        buf_putc(out, '>');
    } else {
        buf_put(out, r->to);
    }
    buf_lit(out, "\r\nCall-ID: ");
    put_ids(call, out);
    /* Generators that begin at the same time would have the same numbers. */
    buf_printf(out, "@%s\r\nCSeq: %u ", l->caller_text, r->cseq);
    buf_put(out, r->method);
    buf_lit(out, "\r\nUser-Agent: viaduct-bench\r\n");
    buf_put(out, r->extra);
    buf_printf(out, "Content-Length: %zu\r\n\r\n", r->body.len);
    buf_put(out, r->body);
}

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

void caller_put_invite(const struct load *l, const struct call *call, struct buf *out)
{
    char memory[512];
    struct buf extra;
    buf_init(&extra, memory, sizeof(memory));
    buf_printf(&extra,
               "Contact: <sip:caller@%s%s>\r\nAllow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE\r\n"
               "Supported: timer, replaces\r\nContent-Type: application/sdp\r\n",
               l->caller_text, l->contact_params);
    put_request(l, call,
                &(struct request){.method = SLICE("INVITE"),
                                  .cseq = 1,
                                  .extra = buf_slice(&extra),
                                  .body = slice_make(play_sdp, play_sdp_len)},
                out);
}

/* Over a connection, this very one is how to reach the user (RFC 5626 section 4.2). */
void caller_put_register(const struct load *l, const struct call *call, const char *host,
                         struct slice credentials, struct buf *out)
{
    char memory[1536], ruri[128];
    unsigned long long user = user_of(l, call);
    struct buf extra, uri;
    buf_init(&extra, memory, sizeof(memory));
    buf_init(&uri, ruri, sizeof(ruri));
    buf_lit(&uri, "sip:");
    buf_put(&uri, l->opts->domain);
    buf_printf(&extra, "Contact: <sip:u%07llu@%s%s>", user, host, l->contact_params);
    if (l->opts->kind != PORT_UDP)
        buf_printf(&extra,
                   ";reg-id=1;+sip.instance=\"<urn:uuid:00000000-0000-4000-8000-%012llx>\"\r\n"
                   "Supported: path, outbound",
                   user);
    buf_lit(&extra, "\r\nExpires: 3600\r\n");
    buf_put(&extra, credentials);
    put_request(l, call,
                &(struct request){.method = SLICE("REGISTER"),
                                  .cseq = call->has_credentials ? 2 : 1,
                                  .ruri = buf_slice(&uri),
                                  .extra = buf_slice(&extra)},
                out);
}

static void put_options(const struct load *l, const struct call *call, struct buf *out)
{
    char memory[128], ruri[128];
    struct buf extra, uri;
    struct request r = {.method = SLICE("OPTIONS"), .cseq = 1};
    buf_init(&extra, memory, sizeof(memory));
    buf_init(&uri, ruri, sizeof(ruri));
    buf_printf(&extra, "Contact: <sip:caller@%s%s>\r\n", l->caller_text, l->contact_params);
    r.extra = buf_slice(&extra);
    if (l->opts->workload == LOAD_PING) {
        buf_lit(&uri, "sip:");
        addr_format(&l->opts->server, &uri);
        buf_cstr(&uri, l->contact_params);
        r.ruri = buf_slice(&uri);
    }
    put_request(l, call, &r, out);
}

/* ---- sending ---- */

/* Connections are shared out among the calls; a registrant stays with his. */
size_t caller_line(const struct load *l, const struct call *call)
{
    uint64_t number = l->opts->workload == LOAD_REGISTER ? user_of(l, call) : call->slot;
    return (size_t)(number % l->caller->n_lines);
}

static void send_request(struct load *l, struct call *call, enum call_state state)
{
    call->state = (uint8_t)state;
    call->sent_us = l->now_us;
    call->interval_us = T1_US;
    call->is_provisional = false;
    port_send(l->caller, caller_line(l, call), slice_make(call->request, call->request_len));
}

void caller_begin(struct load *l, struct call *call, struct slice credentials)
{
    bool is_invite = false;
    struct buf out;
    buf_init(&out, call->request, sizeof(call->request));
    switch (l->opts->workload) {
    case LOAD_CALL:
    case LOAD_CANCEL:
    case LOAD_REFUSED:
        is_invite = true;
        caller_put_invite(l, call, &out);
        break;
    case LOAD_REGISTER:
        caller_put_register(l, call, l->opts->kind == PORT_UDP ? l->callee_text : l->caller_text, credentials,
                            &out);
        break;
    case LOAD_OPTIONS:
    case LOAD_PING:
    case LOAD_IDLE:
        put_options(l, call, &out);
        break;
    }
    if (buf_failed(&out))
        abort(); /* see put_or_abort */
    call->request_len = (uint16_t)out.len;
    l->result->request_bytes = out.len;
    send_request(l, call, is_invite ? CALL_INVITE : CALL_OTHER);
}

/* An ACK is sent once; who needs it again sends his response again. */
static void send_ack(struct load *l, struct call *call, const struct request *r)
{
    call->ack_len = put_or_abort(l, call, r, call->ack);
    call->state = CALL_TALKING;
    port_send(l->caller, caller_line(l, call), slice_make(call->ack, call->ack_len));
}

void caller_send_bye(struct load *l, struct call *call)
{
    /* The dialog's route set and remote target were put together for the ACK. */
    struct slice ack = slice_make(call->ack, call->ack_len);
    char memory[PORT_MESSAGE_BYTES];
    struct buf extra;
    buf_init(&extra, memory, sizeof(memory));
    text_copy_headers(ack, SLICE("Route:"), &extra);
    struct slice line = slice_sub(ack, 4, slice_find(ack, '\r'));
    call->request_len = put_or_abort(l, call,
                                     &(struct request){.method = SLICE("BYE"),
                                                       .cseq = 2,
                                                       .ruri = slice_sub(line, 0, slice_find(line, ' ')),
                                                       .to = text_header(ack, SLICE("To:")),
                                                       .extra = buf_slice(&extra)},
                                     call->request);
    obey_note_other(l);
    send_request(l, call, CALL_BYE);
}

/* Section 9.1: it has the branch of its INVITE, which has had its provisional response. */
void caller_send_cancel(struct load *l, struct call *call)
{
    call->is_cancelled = true;
    call->request_len =
        put_or_abort(l, call,
                     &(struct request){
                         .method = SLICE("CANCEL"), .cseq = 1, .branch = SLICE("INVITE"), .extra = SLICE("")},
                     call->request);
    send_request(l, call, CALL_INVITE);
}

/* RFC 3261 section 13.2.2.4; the callee repeats its 200 until this has come. */
static void send_ack_of_2xx(struct load *l, struct call *call, struct slice response)
{
    char memory[PORT_MESSAGE_BYTES];
    struct buf extra;
    obey_note_other(l);
    buf_init(&extra, memory, sizeof(memory));
    text_routes_reversed(response, &extra);
    send_ack(l, call,
             &(struct request){.method = SLICE("ACK"),
                               .cseq = 1,
                               .ruri = text_uri(text_header(response, SLICE("Contact:"))),
                               .to = text_header(response, SLICE("To:")),
                               .extra = buf_slice(&extra)});
}

void caller_check(struct load *l, struct call *call)
{
    bool repeats = l->opts->kind == PORT_UDP && (call->state != CALL_INVITE || !call->is_provisional);
    if (call->state == CALL_TALKING)
        return;
    if (l->now_us - call->began_us > GIVE_UP_US + (l->opts->answer_ms + l->opts->hold_ms) * 1000ull) {
        l->result->timeouts += l->is_warm;
        play_fail(l, call, 408);
    } else if (repeats && l->now_us - call->sent_us > call->interval_us) {
        call->sent_us = l->now_us;
        call->interval_us = play_doubled(call, call->interval_us);
        l->result->retransmissions += l->is_warm;
        port_send(l->caller, caller_line(l, call), slice_make(call->request, call->request_len));
    }
}

/* ---- receiving ---- */

static void note_latency(struct load *l, const struct call *call)
{
    if (call->is_measured)
        latency_add(&l->result->latency, l->now_us - call->began_us);
}

static void on_answered(struct load *l, struct call *call, struct slice response)
{
    note_latency(l, call);
    send_ack_of_2xx(l, call, response);
    if (l->opts->hold_ms == 0) {
        caller_send_bye(l, call);
        return;
    }
    call->due_us = l->now_us + l->opts->hold_ms * 1000ull;
    if (!line_push(&l->talking, call->slot))
        caller_send_bye(l, call);
}

static unsigned refusal_wanted(const struct load *l)
{
    return l->opts->workload == LOAD_CANCEL ? 487 : l->opts->workload == LOAD_REFUSED ? 486 : 0;
}

/* Section 17.1.1.3: the ACK of a refusal belongs to the INVITE's transaction. */
static void on_refused(struct load *l, struct call *call, struct slice response, unsigned status)
{
    send_ack(l, call,
             &(struct request){.method = SLICE("ACK"),
                               .cseq = 1,
                               .to = text_header(response, SLICE("To:")),
                               .branch = SLICE("INVITE"),
                               .extra = SLICE("")});
    if (status != refusal_wanted(l)) {
        play_fail(l, call, status);
        return;
    }
    note_latency(l, call);
    play_complete(l, call);
}

static void on_challenge(struct load *l, struct call *call, struct slice response)
{
    char memory[1024];
    struct buf out;
    buf_init(&out, memory, sizeof(memory));
    struct slice credentials = credentials_answer(l, call, response, &out);
    if (slice_is_null(credentials)) {
        play_fail(l, call, 401);
        return;
    }
    call->has_credentials = true;
    caller_begin(l, call, credentials);
}

static void on_final(struct load *l, struct call *call, struct slice response, unsigned status)
{
    bool is_bye = call->state == CALL_BYE;
    if (call->state == CALL_INVITE) {
        if (status < 300 && refusal_wanted(l) == 0)
            on_answered(l, call, response);
        else
            on_refused(l, call, response, status);
    } else if (status == 401 && !slice_is_null(l->opts->password) && !call->has_credentials) {
        on_challenge(l, call, response);
    } else if (status >= 300) {
        play_fail(l, call, status);
    } else {
        if (!is_bye)
            note_latency(l, call);
        play_complete(l, call);
    }
}

struct call *play_call_of(struct load *l, struct slice message, uint32_t *ret_slot)
{
    struct slice id = text_header(message, SLICE("Call-ID:"));
    if (id.len < 2 * HEX_BYTES + 1)
        return NULL;
    uint32_t slot = *ret_slot = read_hex(id.ptr);
    if (slot >= l->opts->in_flight || l->calls[slot].serial != read_hex(id.ptr + HEX_BYTES + 1))
        return NULL;
    return &l->calls[slot];
}

/* A request that was sent twice is challenged twice: that says nothing about the one with credentials. */
static bool is_of_before(const struct call *call, struct slice message)
{
    return call->has_credentials && slice_starts_with(text_header(message, SLICE("CSeq:")), SLICE("1 "));
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

static void on_provisional(struct load *l, struct call *call, unsigned status)
{
    call->is_provisional = true;
    if (status == 100 || l->opts->workload != LOAD_CANCEL || call->is_cancelled || call->due_us != 0)
        return;
    call->due_us = l->now_us + l->opts->answer_ms * 1000ull;
    if (l->opts->answer_ms == 0 || !line_push(&l->waiting, call->slot))
        caller_send_cancel(l, call);
}

void caller_receive(void *ctx, size_t line, struct slice message)
{
    struct load *l = ctx;
    uint32_t slot = 0;
    struct call *call = play_call_of(l, message, &slot);
    unsigned status = text_status(message);
    (void)line;
    l->result->messages += l->is_warm;
    if (status != 0 && slot >= l->opts->in_flight && slot - l->opts->in_flight < l->opts->ringing) {
        ringing_caller(l, slot - (uint32_t)l->opts->in_flight, status);
        return;
    }
    struct slice method = text_cseq_method(message);
    if (call != NULL && call->is_cancelled && status != 0 && slice_eq(method, SLICE("CANCEL"))) {
        call->is_provisional = true; /* it has been heard; the 487 is still to come */
        return;
    }
    if (l->opts->obeys && status != 0)
        obey_hear(l, message);
    if (call == NULL || status == 0 || !is_awaited(call, method) || is_of_before(call, message)) {
        l->result->strays += l->is_warm;
        return;
    }
    if (status < 200) {
        on_provisional(l, call, status);
        return;
    }
    l->result->finals += l->is_warm;
    l->result->final_bytes += l->is_warm ? message.len : 0;
    on_final(l, call, message, status);
}
