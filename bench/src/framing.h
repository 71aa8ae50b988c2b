/* Messages in a stream of octets: by Content-Length (RFC 3261 section 18.3), or each in a frame of a
 * WebSocket (RFC 6455). Reads what the server under test sends, so it is short with what that has no reason
 * to send. */
#ifndef BENCH_FRAMING_H
#define BENCH_FRAMING_H

#include "base/buf.h"
#include "base/slice.h"

#define FRAMING_HEAD_BYTES 8 /* of the frame of a message of at most 64 kB, mask included */

enum framing_kind { FRAMING_MORE, FRAMING_MESSAGE, FRAMING_NOTHING, FRAMING_PING, FRAMING_BAD };

struct framing_piece {
    enum framing_kind kind;
    size_t used; /* octets that it took from the stream */
    struct slice message;
};

/* The first piece of octets, of a SIP stream or of what a server sends in a WebSocket. NOTHING: a keep-alive,
 * or a Pong. */
struct framing_piece framing_next_sip(struct slice octets);
struct framing_piece framing_next_websocket(struct slice octets);

/* The head of a client's frame of len octets. The mask is zero, so that the octets follow as they are. */
enum framing_opcode { FRAMING_TEXT = 1, FRAMING_PONG = 10 };
void framing_put_head(enum framing_opcode opcode, size_t len, struct buf *out);

#endif
