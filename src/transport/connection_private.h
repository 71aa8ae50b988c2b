/* What a connection shares with the ways that messages lie in its octets.
 * Private to connection.c and framing_*.c. */
#ifndef TRANSPORT_CONNECTION_PRIVATE_H
#define TRANSPORT_CONNECTION_PRIVATE_H

#include "net/websocket.h"
#include "transport/connection.h"

/* How messages lie in the octets of a connection: one table for each way. All but `begin` and `end` are
 * called while the connection is open only, and none frees it. */
struct framing {
    /* Before the first octet. ERR_NOMEM. */
    int (*begin)(struct connection *c);
    /* Gives back what begin and the others took; also after a begin that failed. */
    void (*end)(struct connection *c);
    /* Octets of the peer. */
    void (*receive)(struct connection *c, struct slice data);
    /* One whole message for the peer: errors of net_stream_send. */
    int (*send)(struct connection *c, struct wire *wire);
    /* The peer has begun something and not ended it, since c->unfinished_ms. */
    bool (*is_unfinished)(const struct connection *c);
    /* When `tick` is to be called next; MS_NEVER. Both may be NULL. */
    ms_t (*due)(const struct connection *c);
    void (*tick)(struct connection *c);
    bool has_handshake; /* of its own, before messages go: connection_opened ends it */
};

/* RFC 3261 section 18.3: by Content-Length. RFC 7118 section 5: by messages of WebSocket. */
extern const struct framing framing_stream, framing_websocket;

/* A message with a token, until the kernel has taken its last octet. */
struct unsent;

struct stream_input {
    struct sip_framer framer;
    char *memory; /* unfinished message, or NULL */
    size_t len, cap;
    unsigned crlf_bytes; /* of a keep-alive that came in pieces */
};

struct websocket_input {
    struct net_websocket *ws;
    ms_t alive_ms;  /* the last whole frame */
    ms_t pinged_ms; /* when a Ping was sent that nothing has come after; MS_NEVER: none */
};

struct connection {
    struct connection_owner *owner;
    struct net_stream *stream;
    struct sip_hop hop;
    const struct framing *framing;
    union {
        struct stream_input octets;
        struct websocket_input websocket;
    } in;

    struct timer timer;
    ms_t open_by_ms; /* until when messages must go, after connecting and handshakes; MS_NEVER once they do */
    ms_t last_octet_ms; /* either direction */
    ms_t unfinished_ms; /* first octet of what is unfinished */
    ms_t received_ms;   /* the last whole message; 0: none */

    struct list unsent; /* struct unsent, oldest first */
    bool closing;       /* nothing more is read; closing_ms: until when answers are waited for */
    bool shut;          /* nothing more is sent either */
    ms_t closing_ms;
    bool doomed;
    bool was_reset;  /* by the peer */
    uint8_t watched; /* messages that the owner still wants to see */
};

ms_t connection_now_ms(const struct connection *c);
/* Its time limits have changed: never later than before, else the timer finds out by itself. */
void connection_hurry(struct connection *c);
/* Messages go from now on. */
void connection_opened(struct connection *c);
/* A whole message has come. datagram: its length is that of bytes, whatever Content-Length says. */
void connection_deliver(struct connection *c, struct slice bytes, bool datagram);
/* RFC 5626 section 3.5.1: the peer asked whether we are there. */
void connection_pong(struct connection *c);
/* Ends it at the end of the turn; closing is put off so that no caller
 * finds its connection gone under its feet. */
void connection_doom(struct connection *c, const char *why);
void connection_log_closed(const struct connection *c, const char *why);
/* Nothing more is read. Where something was asked lately, its answers are waited for. */
void connection_close(struct connection *c);
/* Nothing more is read, and nothing more than what is queued is sent. */
void connection_shut(struct connection *c);

#endif
