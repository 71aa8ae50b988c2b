/* Messages by their Content-Length (RFC 3261 section 18.3). */
#include "base/mem.h"
#include "transport/connection_private.h"

/* First size of the buffer of a connection that holds part of a message. */
#define INPUT_FIRST_BYTES 4096
#define PING_BYTES        4 /* RFC 5626 section 3.5.1: a double CRLF asks for a single one */

static void on_crlf(struct connection *c, uint32_t octets)
{
    c->in.octets.crlf_bytes += octets;
    if (c->in.octets.crlf_bytes < PING_BYTES)
        return;
    c->in.octets.crlf_bytes = 0;
    connection_pong(c);
}

static void on_bad(struct connection *c, struct slice head)
{
    const struct sip_error *error = &c->in.octets.framer.error;
    counter_inc(c->owner->counters, COUNTER_RX_BAD);
    connection_log_closed(c, error->phrase != NULL ? error->phrase : "framing lost");
    if (error->status != 0)
        c->owner->ops->bad(c->owner->ctx, head, &c->hop, error->status, error->phrase);
    connection_close(c);
}

/* Takes all whole messages off the front of data. Returns how many octets are done with; all of them when
 * framing is lost. */
static size_t take_messages(struct connection *c, struct slice data)
{
    struct sip_framer *framer = &c->in.octets.framer;
    size_t done = 0;
    while (done < data.len && !c->doomed) {
        struct slice rest = slice_sub(data, done, data.len);
        switch (sip_frame_next(framer, rest, &c->owner->limits->sip)) {
        case SIP_FRAME_MESSAGE:
            done += framer->message_len;
            c->in.octets.crlf_bytes = 0;
            connection_deliver(c, slice_sub(rest, 0, framer->message_len), false);
            *framer = (struct sip_framer){0};
            break;
        case SIP_FRAME_KEEPALIVE:
            done += framer->message_len;
            on_crlf(c, framer->message_len);
            *framer = (struct sip_framer){0};
            break;
        case SIP_FRAME_MORE:
            return done;
        case SIP_FRAME_BAD:
            on_bad(c, rest);
            return data.len;
        }
    }
    return c->doomed ? data.len : done;
}

static void forget_input(struct connection *c)
{
    struct stream_input *in = &c->in.octets;
    mem_free(in->memory);
    in->memory = NULL;
    in->len = in->cap = 0;
}

static int keep_input(struct connection *c, struct slice rest)
{
    struct stream_input *in = &c->in.octets;
    size_t need = in->len + rest.len;
    if (need > c->owner->limits->input_buffer_bytes)
        return ERR_LIMIT;
    if (need > in->cap) {
        size_t cap = in->cap == 0 ? INPUT_FIRST_BYTES : in->cap;
        while (cap < need)
            cap *= 2;
        char *grown = mem_realloc_array(in->memory, cap, 1);
        if (grown == NULL)
            return ERR_NOMEM;
        in->memory = grown;
        in->cap = cap;
    }
    memcpy(in->memory + in->len, rest.ptr, rest.len);
    in->len += rest.len;
    return 0;
}

static void stream_receive(struct connection *c, struct slice data)
{
    struct stream_input *in = &c->in.octets;
    if (in->len == 0) {
        /* The usual case: whole messages straight from the socket's buffer. */
        data = slice_sub(data, take_messages(c, data), data.len);
        if (data.len == 0)
            return;
        c->unfinished_ms = connection_now_ms(c);
    }
    int rc = keep_input(c, data);
    if (rc != 0) {
        counter_inc(c->owner->counters, COUNTER_SHED);
        connection_doom(c, rc == ERR_LIMIT ? "limits.input_buffer reached" : "no memory");
        return;
    }
    size_t done = take_messages(c, slice_make(in->memory, in->len));
    if (done == in->len) {
        forget_input(c);
        return;
    }
    if (done > 0) {
        in->len -= done;
        memmove(in->memory, in->memory + done, in->len);
        c->unfinished_ms = connection_now_ms(c);
    }
    connection_hurry(c);
}

static int stream_begin(struct connection *c)
{
    c->in.octets = (struct stream_input){.memory = NULL};
    return 0;
}

static int stream_send(struct connection *c, struct wire *wire)
{
    return net_stream_send(c->stream, wire);
}

static bool stream_is_unfinished(const struct connection *c)
{
    return c->in.octets.len > 0;
}

const struct framing framing_stream = {
    .begin = stream_begin,
    .end = forget_input,
    .receive = stream_receive,
    .send = stream_send,
    .is_unfinished = stream_is_unfinished,
};
