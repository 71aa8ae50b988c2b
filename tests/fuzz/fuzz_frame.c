/* How a stream is cut into reads must not change what comes out of it, and the parser must agree with the
 * framer about where a message ends. Input: steering octets that say how long the reads are, and a stream. */
#include "fuzz_sip.h"

#include "sip/frame.h"

#define EVENTS_MAX 4096

static const struct sip_limits limits = {
    .message_bytes = 2000, .start_line_bytes = 500, .header_bytes = 500, .headers = 50, .values = 50};

struct events {
    uint32_t message_len[EVENTS_MAX];
    unsigned n, pings;
    size_t consumed;
    unsigned status; /* of what was bad */
    bool is_bad;
};

static void check_message(struct slice frame)
{
    struct fuzz_memory m;
    struct sip_msg msg;
    struct sip_error error;
    fuzz_memory_init(&m);
    if (sip_msg_parse(frame, false, &limits, &m.arena, &msg, &error) == 0)
        FUZZ_ASSERT(msg.len == frame.len);
    fuzz_memory_done(&m);
}

/* The framer sees a copy of exactly the octets that have come, so that a sanitizer sees one octet too many. */
static enum sip_frame_result next(struct sip_framer *framer, struct slice bytes)
{
    char *copy = malloc(bytes.len > 0 ? bytes.len : 1);
    FUZZ_ASSERT(copy);
    if (bytes.len > 0)
        memcpy(copy, bytes.ptr, bytes.len);
    enum sip_frame_result result = sip_frame_next(framer, slice_make(copy, bytes.len), &limits);
    free(copy);
    return result;
}

/* stream: all that has come so far. */
static void feed(struct sip_framer *framer, struct events *e, struct slice stream)
{
    while (!e->is_bad) {
        struct slice bytes = slice_sub(stream, e->consumed, stream.len);
        enum sip_frame_result result = next(framer, bytes);
        if (result == SIP_FRAME_MORE)
            return;
        if (result == SIP_FRAME_BAD) {
            e->is_bad = true;
            e->status = framer->error.status;
            FUZZ_ASSERT(framer->error.phrase);
            return;
        }
        FUZZ_ASSERT(framer->message_len > 0 && framer->message_len <= bytes.len);
        if (result == SIP_FRAME_KEEPALIVE) {
            e->pings += framer->is_ping;
        } else {
            check_message(slice_sub(bytes, 0, framer->message_len));
            if (e->n < EVENTS_MAX)
                e->message_len[e->n++] = framer->message_len;
        }
        e->consumed += framer->message_len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct events whole, cut;
    struct fuzz_program p = fuzz_program_of(data, size);
    struct sip_framer framer = {0};
    whole = (struct events){.n = 0};
    cut = (struct events){.n = 0};
    feed(&framer, &whole, p.message);
    framer = (struct sip_framer){0};
    for (size_t len = 0; len < p.message.len && fuzz_has_steps(&p);) {
        len += fuzz_step(&p);
        feed(&framer, &cut, slice_sub(p.message, 0, len));
    }
    feed(&framer, &cut, p.message);
    FUZZ_ASSERT(whole.n == cut.n && whole.pings == cut.pings && whole.consumed == cut.consumed);
    FUZZ_ASSERT(whole.is_bad == cut.is_bad && whole.status == cut.status);
    FUZZ_ASSERT(memcmp(whole.message_len, cut.message_len, whole.n * sizeof(whole.message_len[0])) == 0);
    return 0;
}
