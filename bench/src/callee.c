#include "play.h"
#include "text.h"
#include <stdio.h>
#include <stdlib.h>

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
    buf_printf(&out, "Contact: <sip:callee@%s%s>\r\n", l->callee_text, l->contact_params);
    buf_put(&out, extra);
    if (buf_failed(&out))
        abort(); /* PORT_MESSAGE_BYTES is too small for what the server adds */
    return buf_slice(&out);
}

static void reply(struct load *l, size_t line, struct slice request, struct slice status_line)
{
    port_send(l->callee, line,
              put_reply(l, reply_memory(l), request, status_line, SLICE("Content-Length: 0\r\n\r\n")));
}

/* The final answer to its INVITE, which is repeated until its ACK has come. */
void callee_answer(struct load *l, struct call *call)
{
    call->answer_due_us = 0;
    call->answer_sent_us = l->now_us;
    call->answer_interval_us = T1_US;
    port_send(l->callee, call->answer_line, slice_make(call->answer, call->answer_len));
}

static struct slice put_answer(struct load *l, struct call *call, struct slice request)
{
    char extra[1024];
    const struct slice none = SLICE("Content-Length: 0\r\n\r\n");
    if (l->opts->workload == LOAD_CANCEL)
        return put_reply(l, call->answer, request, SLICE("SIP/2.0 487 Request Terminated\r\n"), none);
    if (l->opts->workload == LOAD_REFUSED)
        return put_reply(l, call->answer, request, SLICE("SIP/2.0 486 Busy Here\r\n"), none);
    int len = snprintf(extra, sizeof(extra), "Content-Type: application/sdp\r\nContent-Length: %zu\r\n\r\n%s",
                       play_sdp_len, play_sdp);
    return put_reply(l, call->answer, request, SLICE("SIP/2.0 200 OK\r\n"), slice_make(extra, (size_t)len));
}

/* One that comes again while it rings or is answered is the server's retransmission. */
static void on_invite(struct load *l, struct call *call, size_t line, struct slice request)
{
    reply(l, line, request, SLICE("SIP/2.0 180 Ringing\r\n"));
    if (call->answer_due_us != 0 || call->answer_sent_us != 0)
        return;
    call->answer_line = (uint32_t)line;
    call->answer_len = (uint16_t)put_answer(l, call, request).len;
    call->answer_due_us = l->now_us + l->opts->answer_ms * 1000ull;
    if (l->opts->workload == LOAD_CANCEL)
        return; /* rings until the CANCEL */
    if (l->opts->answer_ms == 0 || !line_push(&l->waiting, call->slot))
        callee_answer(l, call);
}

static void on_cancel(struct load *l, struct call *call, size_t line, struct slice request)
{
    reply(l, line, request, SLICE("SIP/2.0 200 OK\r\n"));
    if (call != NULL && call->answer_due_us != 0)
        callee_answer(l, call);
}

static bool is_ringing_slot(const struct load *l, uint32_t slot)
{
    return slot >= l->opts->in_flight && slot - l->opts->in_flight < l->opts->ringing;
}

void callee_receive(void *ctx, size_t line, struct slice message)
{
    struct load *l = ctx;
    uint32_t slot = 0;
    struct call *call = play_call_of(l, message, &slot);
    struct slice method = text_method(message);
    l->result->messages += l->is_warm;
    if (text_status(message) != 0) {
        l->result->unexpected += l->is_warm;
    } else if (slice_eq(method, SLICE("INVITE"))) {
        if (call != NULL && call->state == CALL_INVITE)
            on_invite(l, call, line, message);
        else if (is_ringing_slot(l, slot))
            reply(l, line, message, SLICE("SIP/2.0 180 Ringing\r\n"));
    } else if (slice_eq(method, SLICE("ACK"))) {
        if (call != NULL)
            call->answer_sent_us = 0;
    } else if (slice_eq(method, SLICE("CANCEL"))) {
        on_cancel(l, call, line, message);
    } else {
        reply(l, line, message, SLICE("SIP/2.0 200 OK\r\n"));
    }
}

uint32_t play_doubled(const struct call *call, uint32_t interval_us)
{
    bool is_invite = call->state == CALL_INVITE;
    return is_invite || interval_us * 2 < T2_US ? interval_us * 2 : T2_US;
}

void callee_check(struct load *l, struct call *call)
{
    if (call->answer_sent_us == 0 || l->now_us - call->answer_sent_us <= call->answer_interval_us)
        return;
    call->answer_sent_us = l->now_us;
    call->answer_interval_us = play_doubled(call, call->answer_interval_us);
    l->result->retransmissions += l->is_warm;
    port_send(l->callee, call->answer_line, slice_make(call->answer, call->answer_len));
}
