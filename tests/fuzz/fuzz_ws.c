/* A WebSocket cut anywhere is the same WebSocket: the same messages come out, the same octets go back, and it
 * ends in the same way. What goes back are frames of a server, or one HTTP response. Input: an octet that
 * says how long the reads are and whether the opening handshake is already behind us, and a stream. */
#include "fuzz.h"

#include "base/mem.h"
#include "net/websocket.h"

#define MESSAGE_BYTES 1000
#define OUT_BYTES     (1 << 17)
#define HANDSHAKE                                                                                            \
    "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"                             \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"                           \
    "Sec-WebSocket-Protocol: sip\r\n\r\n"

struct run {
    struct net_websocket *ws;
    struct log {
        char *octets;
        size_t len;
    } out, messages; /* what was written; what came, each with a zero */
    size_t answer_len;
    int result;
    unsigned code;
};

static const struct slice origins[] = {{"https://a.example", 17}, {"b.example", 9}, {"*.c.example", 11}};
static const struct net_upgrade_policy policy = {
    .protocol = {"sip", 3}, .path = {"", 0}, .origins = origins, .n_origins = 3};

static struct log new_log(void)
{
    struct log log = {.octets = malloc(OUT_BYTES)};
    FUZZ_ASSERT(log.octets);
    return log;
}

static void put(struct log *log, struct slice octets)
{
    FUZZ_ASSERT(octets.len <= OUT_BYTES - log->len);
    memcpy(log->octets + log->len, octets.ptr, octets.len);
    log->len += octets.len;
}

static bool are_equal(const struct log *a, const struct log *b)
{
    return a->len == b->len && memcmp(a->octets, b->octets, a->len) == 0;
}

/* RFC 6455 section 5.1: "A server MUST NOT mask any frames". One wire may hold several. */
static void check_frames(struct slice octets)
{
    while (octets.len > 0) {
        size_t head = 2, len;
        FUZZ_ASSERT(octets.len >= head);
        len = (unsigned char)octets.ptr[1];
        FUZZ_ASSERT((octets.ptr[0] & 0x70) == 0 && len < 127);
        if (len == 126) {
            head = 4;
            FUZZ_ASSERT(octets.len >= head);
            len = (size_t)(unsigned char)octets.ptr[2] << 8 | (unsigned char)octets.ptr[3];
        }
        FUZZ_ASSERT(octets.len >= head + len);
        octets = slice_sub(octets, head + len, octets.len);
    }
}

static int on_write(void *ctx, struct wire *wire)
{
    struct run *run = ctx;
    if (run->answer_len == 0)
        run->answer_len = wire->len;
    else
        check_frames(wire_slice(wire));
    put(&run->out, wire_slice(wire));
    return 0;
}

static void on_answered(void *ctx, const struct net_upgrade_answer *answer)
{
    (void)ctx;
    FUZZ_ASSERT(answer->status == NET_UPGRADE_SWITCHING || (answer->status >= 400 && answer->why));
}

static void on_message(void *ctx, struct slice message)
{
    struct run *run = ctx;
    FUZZ_ASSERT(message.len <= MESSAGE_BYTES);
    put(&run->messages, message);
    put(&run->messages, slice_make("", 1));
    FUZZ_ASSERT(net_websocket_send(run->ws, message) == 0);
}

static void on_alive(void *ctx)
{
    (void)ctx;
}

static const struct net_websocket_ops ops = {
    .write = on_write, .answered = on_answered, .message = on_message, .alive = on_alive};

static void feed(struct run *run, struct slice stream, size_t step)
{
    for (size_t i = 0; i < stream.len && run->result == 0; i += step)
        run->result = net_websocket_receive(run->ws, slice_sub(stream, i, i + step));
}

static void run_once(struct run *run, bool has_handshake, struct slice stream, size_t step)
{
    const struct net_websocket_opts opts = {
        .policy = &policy, .message_bytes = MESSAGE_BYTES, .ops = &ops, .ctx = run};
    *run = (struct run){.out = new_log(), .messages = new_log()};
    FUZZ_ASSERT(net_websocket_new(&opts, &run->ws) == 0);
    if (!has_handshake)
        feed(run, SLICE(HANDSHAKE), sizeof(HANDSHAKE));
    feed(run, stream, step);
    FUZZ_ASSERT(run->result == 0 || run->result == ERR_CLOSED);
    FUZZ_ASSERT(net_websocket_is_open(run->ws) == (run->result == 0 && run->answer_len > 0));
    run->code = net_websocket_close_code(run->ws);
    net_websocket_free(run->ws);
}

/* wslay passes over two octets of the reason of a Close in each read instead of its first two: whether it
 * finds what is not UTF-8 there depends on the cut. Nobody here reads a reason, and either way that is the
 * end. */
static bool differ_by_reason(const struct run *a, const struct run *b)
{
    return a->code != b->code &&
           (a->code == NET_WEBSOCKET_INVALID_TEXT || b->code == NET_WEBSOCKET_INVALID_TEXT);
}

static void end_run(struct run *run)
{
    free(run->out.octets);
    free(run->messages.octets);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct run whole, cut;
    struct slice stream;
    if (size == 0)
        return 0;
    stream = slice_make((const char *)data + 1, size - 1);
    run_once(&whole, data[0] & 0x80, stream, stream.len > 0 ? stream.len : 1);
    run_once(&cut, data[0] & 0x80, stream, 1 + (data[0] & 0x7F));
    FUZZ_ASSERT(are_equal(&whole.messages, &cut.messages));
    if (!differ_by_reason(&whole, &cut)) {
        FUZZ_ASSERT(whole.result == cut.result && whole.code == cut.code);
        FUZZ_ASSERT(are_equal(&whole.out, &cut.out));
    }
    end_run(&whole);
    end_run(&cut);
    FUZZ_ASSERT(mem_held_bytes() == 0);
    return 0;
}
