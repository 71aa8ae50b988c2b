/* What the players know of each other; private to load.c and what plays for it.
 *
 *   caller.c       requests of callers and registrants, and what comes back for them
 *   callee.c       answers of callees
 *   credentials.c  RFC 7616, for registrants
 *   ringing.c      calls that ring from before the measurement until after it
 *   enroll.c       callees on connections register, so that calls find them
 *   obey.c         what a server says of overload in Via, and which calls are not made therefore (RFC 7339)
 *   load.c         time, rate, and the run */
#ifndef BENCH_PLAY_H
#define BENCH_PLAY_H

#include "base/buf.h"
#include "load.h"

#define T1_US       500000u
#define T2_US       4000000u
#define GIVE_UP_US  (64ull * T1_US)
#define REPLIES_MAX 256 /* messages of callees in one turn, before they are flushed */
#define HEX_BYTES   8
#define NONCE_BYTES 128

enum call_state { CALL_FREE, CALL_INVITE, CALL_TALKING, CALL_BYE, CALL_OTHER };

struct call {
    uint64_t began_us, sent_us, due_us; /* due: of BYE while talking */
    uint64_t answer_sent_us;            /* 0: the callee has nothing to repeat */
    uint64_t answer_due_us;             /* when a ringing callee answers; 0: does not ring */
    uint32_t slot, serial, interval_us, answer_interval_us;
    uint32_t next; /* free slots */
    uint32_t answer_line;
    uint16_t request_len, ack_len, answer_len;
    uint8_t state; /* enum call_state */
    bool is_provisional, is_measured, has_credentials, is_cancelled;
    char request[PORT_MESSAGE_BYTES]; /* the caller's last but ACK, for sending again */
    char ack[PORT_MESSAGE_BYTES];     /* what the dialog needs later stands in it */
    char answer[PORT_MESSAGE_BYTES];  /* the callee's final answer to INVITE, until its ACK */
};

/* Slots that wait for a time that is the same for all of them: first in, first out. */
struct line_of_slots {
    uint32_t *slots;
    size_t head, count, cap;
};

/* The challenge that a user has answered, for answering it again with the next count (RFC 7616 section 3.3). */
struct nonce {
    uint32_t count; /* 0: there is none */
    bool is_sha;
    char value[NONCE_BYTES], realm[NONCE_BYTES];
};

/* What the server has said, and the share of new calls among all requests (RFC 7339 section 7.2). */
struct obey {
    unsigned loss_percent;
    uint64_t until_us, seq;
    uint64_t counted_us; /* since when is counted: */
    uint64_t n_new, n_others;
    unsigned new_permille; /* 0: nothing has been counted yet */
    unsigned due;          /* thousandths of a call that must be withheld */
};

struct load {
    const struct load_opts *opts;
    struct load_result *result;
    struct port *caller, *callee;
    struct call *calls;
    struct nonce *nonces; /* of the users; NULL: each REGISTER is challenged anew */
    uint32_t first_free;
    size_t n_used;
    uint64_t now_us, began_us, next_start_us;
    uint64_t n_started, n_due; /* due: by the rate */
    uint32_t serial;
    size_t scan_at;
    uint64_t scanned_us;
    struct line_of_slots waiting, talking; /* waiting: for the callee's answer */
    bool is_warm;
    char callee_text[64], caller_text[64]; /* sent-by, and host of Contact */
    const char *contact_params;            /* of a Contact of this transport */
    size_t n_replies;
    char replies[REPLIES_MAX][PORT_MESSAGE_BYTES];
    uint8_t *rings; /* of each ringing call: has it come so far */
    size_t n_ringing;
    size_t n_enrolled, n_refused;
    struct obey obey;
};

bool line_push(struct line_of_slots *line, uint32_t slot);

/* caller.c */
struct request {
    struct slice method;
    unsigned cseq;
    struct slice ruri; /* absent: the user's */
    struct slice to;   /* the To value; absent: the user's URI without tag */
    struct slice
        branch; /* absent: by the method; of what belongs to an INVITE's transaction: that of its INVITE */
    struct slice extra; /* whole header lines */
    struct slice body;
};
extern const char play_sdp[];
extern const size_t play_sdp_len;
void caller_begin(struct load *l, struct call *call, struct slice credentials);
void caller_send_bye(struct load *l, struct call *call);
void caller_send_cancel(struct load *l, struct call *call);
void caller_check(struct load *l, struct call *call);
void caller_receive(void *ctx, size_t line, struct slice message);
void caller_put_invite(const struct load *l, const struct call *call, struct buf *out);
void caller_put_register(const struct load *l, const struct call *call, const char *host,
                         struct slice credentials, struct buf *out);
size_t caller_line(const struct load *l, const struct call *call);
/* NULL: of none of ours. *ret_slot is set all the same, when there is one. */
struct call *play_call_of(struct load *l, struct slice message, uint32_t *ret_slot);
/* One call is over. */
void play_complete(struct load *l, struct call *call);
void play_fail(struct load *l, struct call *call, unsigned status);

/* callee.c */
void callee_answer(struct load *l, struct call *call);
void callee_check(struct load *l, struct call *call);
void callee_receive(void *ctx, size_t line, struct slice message);
uint32_t play_doubled(const struct call *call, uint32_t interval_us);

/* credentials.c */
/* The Authorization line for a 401; an absent slice when it has no challenge that can be answered. */
struct slice credentials_answer(struct load *l, const struct call *call, struct slice response,
                                struct buf *out);
/* The same for the nonce that the user has; an absent slice when he has none. */
struct slice credentials_again(struct load *l, const struct call *call, struct buf *out);

/* ringing.c: slots from opts->in_flight on. Returns EX_OK when all of them ring. */
int ringing_begin(struct load *l);
void ringing_caller(struct load *l, uint32_t slot, unsigned status);

/* obey.c */
void obey_hear(struct load *l, struct slice response);
/* A request that belongs to a call. */
void obey_note_other(struct load *l);
/* Of one that would begin a call: whether it is not made. */
bool obey_withholds(struct load *l);

/* enroll.c: returns EX_OK when all users are registered at the callee's connections. */
int enroll(struct load *l);

/* load.c: waits for messages, at most so long, and deals with them. */
void load_turn(struct load *l, int timeout_ms);
uint64_t load_clock_us(void);

#endif
