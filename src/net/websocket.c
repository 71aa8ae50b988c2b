#include "net/websocket.h"
#include "base/mem.h"
#include "base/utf8.h"
#include <wslay/wslay.h>

#define FRAME_HEAD_MAX_BYTES 10 /* of a frame without a mask (section 5.2) */
#define MEMORY_FIRST_BYTES   1024
#define HEAD_END             "\r\n\r\n"

struct net_websocket {
    struct net_websocket_opts opts;
    struct wslay_event_context *wslay; /* NULL during the opening handshake */
    struct slice input;                /* what net_websocket_receive was given and wslay has not taken yet */
    struct wire *out;                  /* what wslay writes into, with room for all it has; len counts */
    size_t out_cap;
    char *memory; /* the head, or what there is of a message */
    size_t len, cap;
    int error;        /* what ended it from within a function that wslay called */
    bool is_control;  /* the frame at hand */
    bool in_frame;    /* it has begun and not ended */
    bool in_message;  /* its first frame has begun and its last not ended */
    bool is_refusing; /* nothing of what comes is kept any more */
    bool is_bad;      /* by a rule of frames that wslay does not hold, or no frame at all */
    bool peer_writes_binary;
    bool is_closed;
};

/* ---- what is unfinished ---- */

static void forget(struct net_websocket *ws)
{
    mem_free(ws->memory);
    ws->memory = NULL;
    ws->len = ws->cap = 0;
}

static int keep(struct net_websocket *ws, struct slice data, size_t limit)
{
    size_t need = ws->len + data.len, cap = ws->cap ? ws->cap : MEMORY_FIRST_BYTES;
    char *grown;

    if (need > limit)
        return ERR_LIMIT;
    while (cap < need)
        cap *= 2;
    if (cap > ws->cap) {
        grown = mem_realloc_array(ws->memory, cap, 1);
        if (!grown)
            return ERR_NOMEM;
        ws->memory = grown;
        ws->cap = cap;
    }
    if (data.len > 0)
        memcpy(ws->memory + ws->len, data.ptr, data.len);
    ws->len = need;
    return 0;
}

/* ---- out ---- */

static ssize_t on_wslay_send(struct wslay_event_context *wslay, const uint8_t *data, size_t len, int flags,
                             void *ctx)
{
    struct net_websocket *ws = ctx;

    (void)flags;
    if (len > ws->out_cap - ws->out->len) {
        wslay_event_set_error(wslay, WSLAY_ERR_CALLBACK_FAILURE);
        return -1;
    }
    memcpy(ws->out->bytes + ws->out->len, data, len);
    ws->out->len += (uint32_t)len;
    return (ssize_t)len;
}

/* Room for all that is queued and one more message of so many octets: had before it is queued, so that a
 * message that was refused never leaves after all. */
static int make_room(struct net_websocket *ws, size_t bytes)
{
    size_t n = wslay_event_get_queued_msg_count(ws->wslay) + 1;

    ws->out_cap = wslay_event_get_queued_msg_length(ws->wslay) + bytes + n * FRAME_HEAD_MAX_BYTES;
    ws->out = wire_new(ws->out_cap);
    if (!ws->out)
        return ERR_NOMEM;
    ws->out->len = 0;
    return 0;
}

static void drop_room(struct net_websocket *ws)
{
    wire_unref(ws->out);
    ws->out = NULL;
}

static int end(struct net_websocket *ws, int error)
{
    ws->is_closed = true;
    return error;
}

/* Into the room that was made. */
static int flush(struct net_websocket *ws)
{
    int r = wslay_event_send(ws->wslay) < 0 ? ERR_NOMEM : 0;

    if (r == 0 && ws->out->len > 0)
        r = ws->opts.ops->write(ws->opts.ctx, ws->out);
    drop_room(ws);
    if (r < 0)
        return end(ws, r);
    if (wslay_event_get_close_sent(ws->wslay))
        ws->is_closed = true;
    return 0;
}

static int flush_queued(struct net_websocket *ws)
{
    int r;

    if (!wslay_event_want_write(ws->wslay))
        return 0;
    r = make_room(ws, 0);
    return r < 0 ? end(ws, r) : flush(ws);
}

static int queue_error(int wslay_error)
{
    return wslay_error == WSLAY_ERR_NO_MORE_MSG ? ERR_CLOSED : ERR_NOMEM;
}

static int send_frame(struct net_websocket *ws, uint8_t opcode, struct slice payload)
{
    const struct wslay_event_msg msg = {opcode, (const uint8_t *)payload.ptr, payload.len};
    int r;

    if (!net_websocket_is_open(ws))
        return ERR_CLOSED;
    r = make_room(ws, payload.len);
    if (r < 0)
        return r;
    r = wslay_event_queue_msg(ws->wslay, &msg);
    if (r < 0) {
        drop_room(ws);
        return queue_error(r);
    }
    return flush(ws);
}

int net_websocket_send(struct net_websocket *ws, struct slice message)
{
    bool is_text = !ws->peer_writes_binary && utf8_is_valid(message);

    return send_frame(ws, is_text ? WSLAY_TEXT_FRAME : WSLAY_BINARY_FRAME, message);
}

int net_websocket_ping(struct net_websocket *ws)
{
    return send_frame(ws, WSLAY_PING, SLICE(""));
}

int net_websocket_close(struct net_websocket *ws, unsigned code)
{
    int r;

    if (!net_websocket_is_open(ws))
        return ERR_CLOSED;
    r = wslay_event_queue_close(ws->wslay, (uint16_t)code, NULL, 0);
    return r < 0 ? queue_error(r) : flush_queued(ws);
}

/* ---- frames in ---- */

static ssize_t on_wslay_recv(struct wslay_event_context *wslay, uint8_t *memory, size_t cap, int flags,
                             void *ctx)
{
    struct net_websocket *ws = ctx;
    size_t len = ws->input.len < cap ? ws->input.len : cap;

    (void)flags;
    if (len == 0) {
        wslay_event_set_error(wslay, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    memcpy(memory, ws->input.ptr, len);
    ws->input = slice_sub(ws->input, len, ws->input.len);
    return (ssize_t)len;
}

static void stop_reading(struct net_websocket *ws, int error)
{
    ws->is_refusing = true;
    ws->error = error;
    wslay_event_shutdown_read(ws->wslay);
}

static void refuse_long(struct net_websocket *ws)
{
    (void)wslay_event_queue_close(ws->wslay, NET_WEBSOCKET_TOO_BIG, NULL, 0);
    stop_reading(ws, 0);
}

static void on_frame_start(struct wslay_event_context *wslay,
                           const struct wslay_event_on_frame_recv_start_arg *frame, void *ctx)
{
    struct net_websocket *ws = ctx;

    (void)wslay;
    ws->in_frame = true;
    ws->is_control = wslay_is_ctrl_frame(frame->opcode);
    /* Section 5.5.1: "If there is a body, the first two bytes of the body MUST be a 2-byte unsigned integer". */
    if (frame->opcode == WSLAY_CONNECTION_CLOSE && frame->payload_length == 1)
        ws->is_bad = true;
    if (ws->is_control)
        return;
    ws->in_message = true;
    if (frame->opcode != WSLAY_CONTINUATION_FRAME)
        ws->peer_writes_binary = frame->opcode == WSLAY_BINARY_FRAME;
    /* What is announced already tells; wslay itself looks at one frame alone. */
    if (frame->payload_length > ws->opts.message_bytes - ws->len)
        refuse_long(ws);
}

static void on_frame_chunk(struct wslay_event_context *wslay,
                           const struct wslay_event_on_frame_recv_chunk_arg *chunk, void *ctx)
{
    struct net_websocket *ws = ctx;
    int r;

    (void)wslay;
    if (ws->is_control || ws->is_refusing)
        return;
    r = keep(ws, slice_make((const char *)chunk->data, chunk->data_length), ws->opts.message_bytes);
    if (r < 0)
        stop_reading(ws, r);
}

static void on_frame_end(struct wslay_event_context *wslay, void *ctx)
{
    struct net_websocket *ws = ctx;

    (void)wslay;
    ws->in_frame = false;
    ws->opts.ops->alive(ws->opts.ctx);
}

/* "as soon as is practical" (section 5.5.2): what wslay has queued does not wait for what else has come. */
static void answer_control(struct net_websocket *ws)
{
    int r = ws->is_bad ? 0 : flush_queued(ws);

    if (r < 0)
        stop_reading(ws, r);
}

static void on_message(struct wslay_event_context *wslay, const struct wslay_event_on_msg_recv_arg *arg,
                       void *ctx)
{
    struct net_websocket *ws = ctx;

    (void)wslay;
    if (ws->is_refusing)
        return;
    if (wslay_is_ctrl_frame(arg->opcode)) {
        answer_control(ws);
        return;
    }
    ws->in_message = false;
    ws->opts.ops->message(ws->opts.ctx, slice_make(ws->memory ? ws->memory : "", ws->len));
    forget(ws);
}

/* Without buffering, so that no number of empty fragments makes wslay keep anything. */
static int open_frames(struct net_websocket *ws)
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = on_wslay_recv,
        .send_callback = on_wslay_send,
        .on_frame_recv_start_callback = on_frame_start,
        .on_frame_recv_chunk_callback = on_frame_chunk,
        .on_frame_recv_end_callback = on_frame_end,
        .on_msg_recv_callback = on_message,
    };

    if (wslay_event_context_server_init(&ws->wslay, &callbacks, ws) < 0)
        return ERR_NOMEM;
    wslay_event_config_set_no_buffering(ws->wslay, 1);
    wslay_event_config_set_max_recv_msg_length(ws->wslay, ws->opts.message_bytes);
    return 0;
}

/* wslay itself would close without a code after what is not even a frame (section 7.1.7 wants one). */
static int say_protocol_error(struct net_websocket *ws)
{
    static const char frame[] = {(char)0x88, 2, NET_WEBSOCKET_PROTOCOL_ERROR >> 8,
                                 (char)(NET_WEBSOCKET_PROTOCOL_ERROR & 0xFF)};
    struct wire *wire = wire_from(slice_make(frame, sizeof(frame)));
    int r = wire ? ws->opts.ops->write(ws->opts.ctx, wire) : ERR_NOMEM;

    wire_unref(wire);
    ws->is_bad = true;
    return end(ws, r < 0 ? r : ERR_CLOSED);
}

static int read_frames(struct net_websocket *ws, struct slice data)
{
    int r;

    ws->input = data;
    r = wslay_event_recv(ws->wslay);
    ws->input = SLICE("");
    if (ws->error < 0)
        return end(ws, ws->error);
    if (ws->is_closed)
        return ERR_CLOSED;
    if (r == WSLAY_ERR_NOMEM)
        return end(ws, ERR_NOMEM);
    r = r < 0 || ws->is_bad ? say_protocol_error(ws) : flush_queued(ws);
    if (r < 0)
        return r;
    return ws->is_closed ? ERR_CLOSED : 0;
}

/* ---- opening handshake ---- */

/* The answer to what is kept, as a wire. */
static int answer_head(struct net_websocket *ws, struct net_upgrade_answer *ret_answer,
                       struct wire **ret_wire)
{
    char memory[NET_UPGRADE_ANSWER_MAX_BYTES];
    struct buf out;
    int r = 0;

    buf_init(&out, memory, sizeof(memory));
    if (ws->is_refusing)
        net_upgrade_refuse_long(&out, ret_answer);
    else
        r = net_upgrade(slice_make(ws->memory, ws->len), ws->opts.policy, &out, ret_answer);
    if (r < 0)
        return r;
    *ret_wire = wire_from(buf_slice(&out));
    return *ret_wire ? 0 : ERR_NOMEM;
}

static int answer(struct net_websocket *ws)
{
    struct net_upgrade_answer said;
    struct wire *wire;
    bool is_accepted;
    int r = answer_head(ws, &said, &wire);

    if (r < 0)
        return end(ws, r);
    is_accepted = said.status == NET_UPGRADE_SWITCHING;
    if (is_accepted)
        r = open_frames(ws);
    if (r == 0)
        r = ws->opts.ops->write(ws->opts.ctx, wire);
    wire_unref(wire);
    if (r < 0)
        return end(ws, r);
    ws->opts.ops->answered(ws->opts.ctx, &said);
    forget(ws);
    return is_accepted ? 0 : end(ws, ERR_CLOSED);
}

/* Keeps what belongs to the head and drops it from *data. True: the head is whole, or too long. */
static int take_head(struct net_websocket *ws, struct slice *data, bool *ret_is_whole)
{
    size_t before = ws->len, room = NET_WEBSOCKET_HEAD_MAX_BYTES - ws->len;
    size_t from = before < sizeof(HEAD_END) - 2 ? 0 : before - (sizeof(HEAD_END) - 2);
    int r = keep(ws, slice_sub(*data, 0, room), NET_WEBSOCKET_HEAD_MAX_BYTES);
    const char *end_of_head;

    if (r < 0)
        return r;
    end_of_head = memmem(ws->memory + from, ws->len - from, HEAD_END, sizeof(HEAD_END) - 1);
    if (end_of_head)
        ws->len = (size_t)(end_of_head - ws->memory) + sizeof(HEAD_END) - 1;
    *data = slice_sub(*data, ws->len - before, data->len);
    ws->is_refusing = !end_of_head && ws->len == NET_WEBSOCKET_HEAD_MAX_BYTES;
    *ret_is_whole = end_of_head || ws->is_refusing;
    return 0;
}

static int read_handshake(struct net_websocket *ws, struct slice *data)
{
    bool is_whole;
    int r = take_head(ws, data, &is_whole);

    if (r < 0)
        return end(ws, r);
    return is_whole ? answer(ws) : 0;
}

/* ---- the rest ---- */

int net_websocket_new(const struct net_websocket_opts *opts, struct net_websocket **ret_ws)
{
    struct net_websocket *ws = mem_zalloc(sizeof(*ws));

    if (!ws)
        return ERR_NOMEM;
    ws->opts = *opts;
    *ret_ws = ws;
    return 0;
}

void net_websocket_free(struct net_websocket *ws)
{
    if (!ws)
        return;
    wslay_event_context_free(ws->wslay);
    forget(ws);
    mem_free(ws);
}

int net_websocket_receive(struct net_websocket *ws, struct slice data)
{
    int r = 0;

    if (ws->is_closed)
        return ERR_CLOSED;
    if (!ws->wslay)
        r = read_handshake(ws, &data);
    return r < 0 || !ws->wslay ? r : read_frames(ws, data);
}

bool net_websocket_is_open(const struct net_websocket *ws)
{
    return ws->wslay && !ws->is_closed;
}

bool net_websocket_is_unfinished(const struct net_websocket *ws)
{
    return !ws->wslay || ws->in_frame || ws->in_message;
}

unsigned net_websocket_close_code(const struct net_websocket *ws)
{
    if (ws->is_bad)
        return NET_WEBSOCKET_PROTOCOL_ERROR;
    if (!ws->wslay || !wslay_event_get_close_sent(ws->wslay))
        return 0;
    return wslay_event_get_status_code_sent(ws->wslay);
}
