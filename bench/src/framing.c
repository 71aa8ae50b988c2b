#include "framing.h"
#include "text.h"

#define OPCODE_CLOSE 8
#define OPCODE_PING  9
#define FIN          0x80
#define MASK         0x80
#define LEN_16       126
#define LEN_64       127

static const struct framing_piece more = {.kind = FRAMING_MORE};
static const struct framing_piece bad = {.kind = FRAMING_BAD};

static size_t number_of(struct slice text)
{
    size_t value = 0;
    for (size_t i = 0; i < text.len && i < 9 && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++)
        value = value * 10 + (size_t)(text.ptr[i] - '0');
    return value;
}

struct framing_piece framing_next_sip(struct slice octets)
{
    if (slice_starts_with(octets, SLICE("\r\n")))
        return (struct framing_piece){.kind = FRAMING_NOTHING, .used = 2};
    const char *end = octets.len < 4 ? NULL : memmem(octets.ptr, octets.len, "\r\n\r\n", 4);
    if (end == NULL)
        return more;
    size_t head = (size_t)(end - octets.ptr) + 4;
    size_t len = head + number_of(text_header(slice_sub(octets, 0, head), SLICE("Content-Length:")));
    if (len > octets.len)
        return more;
    return (struct framing_piece){FRAMING_MESSAGE, len, slice_sub(octets, 0, len)};
}

static enum framing_kind kind_of(unsigned char first)
{
    if (!(first & FIN))
        return FRAMING_BAD;
    switch (first & 15) {
    case OPCODE_CLOSE:
        return FRAMING_BAD;
    case OPCODE_PING:
        return FRAMING_PING;
    case FRAMING_PONG:
        return FRAMING_NOTHING;
    default:
        return FRAMING_MESSAGE;
    }
}

struct framing_piece framing_next_websocket(struct slice octets)
{
    const unsigned char *o = (const unsigned char *)octets.ptr;
    if (octets.len < 2)
        return more;
    size_t head = 2, len = o[1] & 127;
    if (len == LEN_64 || (o[1] & MASK))
        return bad;
    if (len == LEN_16) {
        head = 4;
        if (octets.len < head)
            return more;
        len = (size_t)o[2] << 8 | o[3];
    }
    if (head + len > octets.len)
        return more;
    return (struct framing_piece){kind_of(o[0]), head + len, slice_sub(octets, head, head + len)};
}

void framing_put_head(enum framing_opcode opcode, size_t len, struct buf *out)
{
    buf_putc(out, (char)(FIN | opcode));
    if (len < LEN_16) {
        buf_putc(out, (char)(MASK | len));
    } else {
        buf_putc(out, (char)(MASK | LEN_16));
        buf_putc(out, (char)(len >> 8));
        buf_putc(out, (char)(len & 255));
    }
    buf_put(out, slice_make("\0\0\0\0", 4));
}
