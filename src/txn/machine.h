/* Private to the layer and its tests: what a transaction machine is made of.
 *
 * A machine is a constant: a table of states and a table of cells, one for each (state, event) pair. A cell
 * names the next state, the effects and the section of the RFC that says so; pairs on which nothing happens
 * say why, and pairs that cannot come about say that too. Nothing in a machine runs: txn.c looks a cell up,
 * commits the state (which stops and starts timers), and then carries the effects out in the order of the
 * enum below. */
#ifndef TXN_MACHINE_H
#define TXN_MACHINE_H

#include "base/clock.h"
#include "txn/txn.h"

/* "Kept" is the one message that a transaction holds: the request, the ACK, or the last response. */
enum txn_effect {
    TXN_KEEP = 1 << 0,   /* the response from the TU is kept from now on */
    TXN_SEND = 1 << 1,   /* the message from the TU goes to the transport layer */
    TXN_REPEAT = 1 << 2, /* the kept message goes to the transport layer once more */
    TXN_ACK = 1 << 3,    /* the ACK goes to the transport layer; it is built first, and kept, if it is not */
    TXN_DOUBLE = 1 << 4, /* the retransmission timer starts again with twice its value ... */
    TXN_DOUBLE_TO_T2 = 1 << 5,  /* ... or with twice its value but at most T2 ... */
    TXN_AT_T2 = 1 << 6,         /* ... or with T2 */
    TXN_TELL_RESPONSE = 1 << 7, /* the response goes up to the TU */
    TXN_TELL_TIMEOUT = 1 << 8,  /* the TU is told: Timer B or F */
    TXN_TELL_ERROR = 1 << 9,    /* the TU is told: transport error */
    TXN_TELL_NO_ACK = 1 << 10,  /* the TU is told: Timer H */
    TXN_TELL_DUE = 1 << 11,     /* the TU is told: a 100 is due */
    TXN_GIVE_ACK = 1 << 12,     /* the ACK is the TU's to forward */
    TXN_REFUSE = 1 << 13,       /* the TU may not do this now */
};
#define TXN_EFFECT_COUNT 14

enum txn_cell_kind {
    TXN_CELL_MISSING, /* forgotten: no machine has one */
    TXN_CELL_STEP,
    TXN_CELL_IGNORE, /* nothing happens, by rule */
    TXN_CELL_BUG,    /* cannot come about */
};

struct txn_cell {
    uint8_t kind; /* enum txn_cell_kind */
    uint8_t next; /* state, of a STEP */
    uint16_t effects;
    const char *rule; /* where it is written, or why nothing happens */
};

#define TXN_STEP(to, fx, text)                                                                               \
    {                                                                                                        \
        .kind = TXN_CELL_STEP, .next = (to), .effects = (fx), .rule = (text)                                 \
    }
#define TXN_IGNORE(text)                                                                                     \
    {                                                                                                        \
        .kind = TXN_CELL_IGNORE, .rule = (text)                                                              \
    }
#define TXN_BUG(text)                                                                                        \
    {                                                                                                        \
        .kind = TXN_CELL_BUG, .rule = (text)                                                                 \
    }

#define TXN_NOT_RUNNING TXN_BUG("this timer does not run in this state")
#define TXN_UNMATCHED   TXN_BUG("a terminated transaction matches nothing")
#define TXN_ENDED       "it has ended already"

/* RFC 3261 table 4, RFC 6026 section 8.11, and the wait of RFC 4320 section 4.1. */
enum txn_timer {
    TXN_TIMER_NONE,
    TXN_TIMER_A,
    TXN_TIMER_B,
    TXN_TIMER_D,
    TXN_TIMER_E,
    TXN_TIMER_F,
    TXN_TIMER_G,
    TXN_TIMER_H,
    TXN_TIMER_I,
    TXN_TIMER_J,
    TXN_TIMER_K,
    TXN_TIMER_L,
    TXN_TIMER_M,
    TXN_TIMER_TRYING,
    TXN_TIMER_COUNT
};

/* How long a timer runs when a state starts it; MS_NEVER when it is not used over this kind of transport. */
ms_t txn_timer_value_ms(enum txn_timer timer, const struct txn_times *times, bool reliable);
const char *txn_timer_name(enum txn_timer timer);
/* How long after the first transmission Timer E is reset to T2 (RFC 4320 section 4.1): 3.5 s by default. */
ms_t txn_time_to_t2_ms(const struct txn_times *times);

enum txn_phase {
    TXN_PHASE_UNBORN,
    TXN_PHASE_UNANSWERED,
    TXN_PHASE_PROVISIONAL,
    TXN_PHASE_FINAL,
    TXN_PHASE_TERMINATED
};

struct txn_state {
    const char *name;
    uint8_t phase;  /* enum txn_phase */
    uint8_t repeat; /* enum txn_timer: the one for retransmissions, if any */
    uint8_t end;    /* enum txn_timer: the one that ends the state, if any */
    bool keeps;     /* the kept message is needed here */
};

#define TXN_EVENT_NONE UINT8_MAX

/* Which event a status code is; the first range that has it counts. */
struct txn_status_event {
    uint16_t first, last;
    uint8_t event;
};

struct txn_machine {
    const char *name;
    bool is_client;
    uint8_t n_states, n_events, n_status_events;
    const struct txn_state *states;
    const char *const *event_names;
    const struct txn_cell *cells; /* n_states rows of n_events */
    struct txn_cell entry;        /* what happens on creation */
    const struct txn_status_event *status_events;
    /* Events by what brings them about; TXN_EVENT_NONE where the machine has no such event. */
    uint8_t on_timer[TXN_TIMER_COUNT];
    uint8_t on_request;   /* the request once more */
    uint8_t on_ack;       /* an ACK for it */
    uint8_t on_early_100; /* a 100 from the TU before RFC 4320 allows it */
    uint8_t on_transport_error;
    uint8_t on_abandon;
};

extern const struct txn_machine txn_client_invite;
extern const struct txn_machine txn_client_non_invite;
extern const struct txn_machine txn_server_invite;
extern const struct txn_machine txn_server_non_invite;

const struct txn_machine *txn_machine(enum txn_kind kind);
/* The name of one effect bit. */
const char *txn_effect_name(unsigned bit_number);

static inline const struct txn_cell *txn_machine_cell(const struct txn_machine *m, unsigned state,
                                                      unsigned event)
{
    return &m->cells[state * m->n_events + event];
}

/* The event for a response with this status, or TXN_EVENT_NONE when it is no status code (section 7.2). */
uint8_t txn_machine_status_event(const struct txn_machine *m, unsigned status);

#endif
