/* Finding the end of a message in a stream (RFC 3261 sections 7.5 and 18.3). */
#ifndef SIP_FRAME_H
#define SIP_FRAME_H

#include "base/slice.h"
#include "sip/limits.h"
#include "sip/msg.h"
#include <stdint.h>

enum sip_frame_result {
    SIP_FRAME_MESSAGE,   /* a whole message: framer.message_len octets from the start */
    SIP_FRAME_KEEPALIVE, /* CRLF (2) or CRLFCRLF (4) before a message: skip framer.message_len octets; answer
                          * with a pong when framer.is_ping (RFC 5626 section 3.5.1: the ping is a double
                          * CRLF, the pong a single) */
    SIP_FRAME_MORE,      /* nothing whole yet; framer remembers how far it looked */
    SIP_FRAME_BAD,       /* framing is lost: answer error.status if it is not 0, then close */
};

/* One per connection; zero to start. Feed it the unconsumed octets each time; it never looks twice at the
 * same octet. */
struct sip_framer {
    uint32_t scanned;     /* octets of the current message already searched for the empty line */
    uint32_t message_len; /* result; after MORE the length to wait for, or 0 when not known yet */
    uint32_t header_len;  /* 0 until the empty line is found */
    bool half_ping;       /* the octets consumed last were one CRLF */
    bool is_ping; /* with KEEPALIVE: it completes a CRLFCRLF, although that may have come in two pieces */
    struct sip_error error;
};

/* bytes: everything received and not yet consumed, from the start of a message. After MESSAGE or KEEPALIVE
 * consume message_len octets and call again. A Content-Length that is missing, doubled and different, no
 * number, or that carries the message over limits->message_bytes is BAD, and so is a line that ends in LF
 * alone, for another element may see the end of the headers there: nothing is ever guessed about where a
 * message ends. How a stream is cut into reads makes no difference to the messages and pings that come out. */
enum sip_frame_result sip_frame_next(struct sip_framer *framer, struct slice bytes,
                                     const struct sip_limits *limits);

#endif
