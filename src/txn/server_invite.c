/* INVITE server transaction: RFC 3261 section 17.2.1 as changed by RFC 6026 sections 8.5 to 8.8, whose figure
 * 7 this is. */
#include "txn/machine.h"

enum state { PROCEEDING, COMPLETED, CONFIRMED, ACCEPTED, TERMINATED, STATE_COUNT };

static const struct txn_state states[STATE_COUNT] = {
    [PROCEEDING] = {.name = "Proceeding", .phase = TXN_PHASE_PROVISIONAL, .keeps = true},
    [COMPLETED] = {.name = "Completed",
                   .phase = TXN_PHASE_FINAL,
                   .repeat = TXN_TIMER_G,
                   .end = TXN_TIMER_H,
                   .keeps = true},
    [CONFIRMED] = {.name = "Confirmed", .phase = TXN_PHASE_FINAL, .end = TXN_TIMER_I},
    [ACCEPTED] = {.name = "Accepted", .phase = TXN_PHASE_FINAL, .end = TXN_TIMER_L},
    [TERMINATED] = {.name = "Terminated", .phase = TXN_PHASE_TERMINATED},
};

enum event {
    INVITE,
    ACK,
    STATUS_1XX,
    STATUS_2XX,
    STATUS_300_699,
    TIMER_G_FIRES,
    TIMER_H_FIRES,
    TIMER_I_FIRES,
    TIMER_L_FIRES,
    TRANSPORT_ERROR,
    ABANDONED,
    EVENT_COUNT
};

static const char *const event_names[EVENT_COUNT] = {
    [INVITE] = "INVITE",
    [ACK] = "ACK",
    [STATUS_1XX] = "1xx from TU",
    [STATUS_2XX] = "2xx from TU",
    [STATUS_300_699] = "300-699 from TU",
    [TIMER_G_FIRES] = "Timer G",
    [TIMER_H_FIRES] = "Timer H",
    [TIMER_I_FIRES] = "Timer I",
    [TIMER_L_FIRES] = "Timer L",
    [TRANSPORT_ERROR] = "Transport Err.",
    [ABANDONED] = "abandoned by TU",
};

static const struct txn_status_event status_events[] = {
    {100, 199, STATUS_1XX}, {200, 299, STATUS_2XX}, {300, 699, STATUS_300_699}};

/* clang-format off: a table is read in columns */
static const struct txn_cell cells[STATE_COUNT][EVENT_COUNT] = {
    [PROCEEDING] =
        {
            [INVITE] = TXN_STEP(PROCEEDING, TXN_REPEAT, "RFC 3261 section 17.2.1"),
            [ACK] = TXN_IGNORE("RFC 6026 figure 7 has no such edge: there is nothing to acknowledge yet"),
            [STATUS_1XX] = TXN_STEP(PROCEEDING, TXN_KEEP | TXN_SEND, "RFC 3261 section 17.2.1"),
            [STATUS_2XX] = TXN_STEP(ACCEPTED, TXN_SEND, "RFC 6026 section 8.5"),
            [STATUS_300_699] = TXN_STEP(COMPLETED, TXN_KEEP | TXN_SEND, "RFC 3261 section 17.2.1"),
            [TIMER_G_FIRES] = TXN_NOT_RUNNING,
            [TIMER_H_FIRES] = TXN_NOT_RUNNING,
            [TIMER_I_FIRES] = TXN_NOT_RUNNING,
            [TIMER_L_FIRES] = TXN_NOT_RUNNING,
            [TRANSPORT_ERROR] = TXN_STEP(PROCEEDING, TXN_TELL_ERROR, "RFC 6026 section 8.8"),
            [ABANDONED] =
                TXN_STEP(TERMINATED, 0, "RFC 3261 section 8.2.7: the TU answers without a transaction"),
        },
    [COMPLETED] =
        {
            [INVITE] = TXN_STEP(COMPLETED, TXN_REPEAT, "RFC 3261 section 17.2.1"),
            [ACK] = TXN_STEP(CONFIRMED, 0, "RFC 3261 section 17.2.1"),
            [STATUS_1XX] = TXN_STEP(COMPLETED, TXN_REFUSE, "RFC 6026 figure 7 has no such edge"),
            [STATUS_2XX] = TXN_STEP(COMPLETED, TXN_REFUSE, "RFC 6026 figure 7 has no such edge"),
            [STATUS_300_699] = TXN_STEP(COMPLETED, TXN_REFUSE, "RFC 6026 figure 7 has no such edge"),
            [TIMER_G_FIRES] = TXN_STEP(COMPLETED, TXN_REPEAT | TXN_DOUBLE_TO_T2, "RFC 3261 section 17.2.1"),
            [TIMER_H_FIRES] = TXN_STEP(TERMINATED, TXN_TELL_NO_ACK, "RFC 3261 section 17.2.1"),
            [TIMER_I_FIRES] = TXN_NOT_RUNNING,
            [TIMER_L_FIRES] = TXN_NOT_RUNNING,
            [TRANSPORT_ERROR] = TXN_STEP(COMPLETED, TXN_TELL_ERROR, "RFC 6026 section 8.8"),
            [ABANDONED] = TXN_IGNORE("RFC 3261 section 17.2.1: it stays until its ACK or Timer H"),
        },
    [CONFIRMED] =
        {
            [INVITE] = TXN_IGNORE("RFC 6026 figure 7 has no such edge: the client has the final response"),
            [ACK] = TXN_IGNORE("RFC 3261 section 17.2.1: the state absorbs additional ACKs"),
            [STATUS_1XX] = TXN_STEP(CONFIRMED, TXN_REFUSE, "RFC 6026 figure 7 has no such edge"),
            [STATUS_2XX] = TXN_STEP(CONFIRMED, TXN_REFUSE, "RFC 6026 figure 7 has no such edge"),
            [STATUS_300_699] = TXN_STEP(CONFIRMED, TXN_REFUSE, "RFC 6026 figure 7 has no such edge"),
            [TIMER_G_FIRES] = TXN_NOT_RUNNING,
            [TIMER_H_FIRES] = TXN_NOT_RUNNING,
            [TIMER_I_FIRES] = TXN_STEP(TERMINATED, 0, "RFC 3261 section 17.2.1"),
            [TIMER_L_FIRES] = TXN_NOT_RUNNING,
            [TRANSPORT_ERROR] =
                TXN_IGNORE("RFC 6026 figure 7 has no such edge: the ACK says that a response arrived"),
            [ABANDONED] = TXN_IGNORE("RFC 3261 section 17.2.1: it stays until Timer I"),
        },
    [ACCEPTED] =
        {
            [INVITE] = TXN_IGNORE("RFC 6026 section 8.7: absorbed"),
            [ACK] = TXN_STEP(ACCEPTED, TXN_GIVE_ACK, "RFC 6026 section 8.7"),
            [STATUS_1XX] = TXN_STEP(ACCEPTED, TXN_REFUSE, "RFC 6026 figure 7 has no such edge"),
            [STATUS_2XX] = TXN_STEP(ACCEPTED, TXN_SEND, "RFC 6026 section 8.7"),
            [STATUS_300_699] = TXN_STEP(ACCEPTED, TXN_REFUSE, "RFC 6026 figure 7 has no such edge"),
            [TIMER_G_FIRES] = TXN_NOT_RUNNING,
            [TIMER_H_FIRES] = TXN_NOT_RUNNING,
            [TIMER_I_FIRES] = TXN_NOT_RUNNING,
            [TIMER_L_FIRES] = TXN_STEP(TERMINATED, 0, "RFC 6026 section 8.7"),
            [TRANSPORT_ERROR] = TXN_STEP(ACCEPTED, TXN_TELL_ERROR, "RFC 6026 section 8.8"),
            [ABANDONED] = TXN_IGNORE("RFC 6026 section 8.7: it stays until Timer L"),
        },
    [TERMINATED] =
        {
            [INVITE] = TXN_UNMATCHED,
            [ACK] = TXN_UNMATCHED,
            [STATUS_1XX] = TXN_STEP(TERMINATED, TXN_REFUSE, TXN_ENDED),
            [STATUS_2XX] = TXN_STEP(TERMINATED, TXN_REFUSE, TXN_ENDED),
            [STATUS_300_699] = TXN_STEP(TERMINATED, TXN_REFUSE, TXN_ENDED),
            [TIMER_G_FIRES] = TXN_NOT_RUNNING,
            [TIMER_H_FIRES] = TXN_NOT_RUNNING,
            [TIMER_I_FIRES] = TXN_NOT_RUNNING,
            [TIMER_L_FIRES] = TXN_NOT_RUNNING,
            [TRANSPORT_ERROR] = TXN_UNMATCHED,
            [ABANDONED] = TXN_IGNORE(TXN_ENDED),
        },
};
/* clang-format on */

const struct txn_machine txn_server_invite = {
    .name = "INVITE server transaction",
    .n_states = STATE_COUNT,
    .n_events = EVENT_COUNT,
    .n_status_events = sizeof(status_events) / sizeof(status_events[0]),
    .states = states,
    .event_names = event_names,
    .cells = &cells[0][0],
    .entry = TXN_STEP(PROCEEDING, 0, "RFC 3261 section 17.2.1"),
    .status_events = status_events,
    .on_timer = {[TXN_TIMER_G] = TIMER_G_FIRES,
                 [TXN_TIMER_H] = TIMER_H_FIRES,
                 [TXN_TIMER_I] = TIMER_I_FIRES,
                 [TXN_TIMER_L] = TIMER_L_FIRES},
    .on_request = INVITE,
    .on_ack = ACK,
    .on_early_100 = TXN_EVENT_NONE,
    .on_transport_error = TRANSPORT_ERROR,
    .on_abandon = ABANDONED,
};
