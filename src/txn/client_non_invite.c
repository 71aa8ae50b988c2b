/* Non-INVITE client transaction: RFC 3261 section 17.1.2, figure 6. */
#include "txn/machine.h"

enum state { TRYING, PROCEEDING, COMPLETED, TERMINATED, STATE_COUNT };

static const struct txn_state states[STATE_COUNT] = {
    [TRYING] = {.name = "Trying",
                .phase = TXN_PHASE_UNANSWERED,
                .repeat = TXN_TIMER_E,
                .end = TXN_TIMER_F,
                .keeps = true},
    /* Both timers run on from Trying: a provisional response only changes what Timer E is reset to. */
    [PROCEEDING] = {.name = "Proceeding",
                    .phase = TXN_PHASE_PROVISIONAL,
                    .repeat = TXN_TIMER_E,
                    .end = TXN_TIMER_F,
                    .keeps = true},
    [COMPLETED] = {.name = "Completed", .phase = TXN_PHASE_FINAL, .end = TXN_TIMER_K},
    [TERMINATED] = {.name = "Terminated", .phase = TXN_PHASE_TERMINATED},
};

enum event {
    STATUS_1XX,
    STATUS_200_699,
    TIMER_E_FIRES,
    TIMER_F_FIRES,
    TIMER_K_FIRES,
    TRANSPORT_ERROR,
    ABANDONED,
    EVENT_COUNT
};

static const char *const event_names[EVENT_COUNT] = {
    [STATUS_1XX] = "1xx",
    [STATUS_200_699] = "200-699",
    [TIMER_E_FIRES] = "Timer E",
    [TIMER_F_FIRES] = "Timer F",
    [TIMER_K_FIRES] = "Timer K",
    [TRANSPORT_ERROR] = "Transport Err.",
    [ABANDONED] = "abandoned by TU",
};

static const struct txn_status_event status_events[] = {{100, 199, STATUS_1XX}, {200, 699, STATUS_200_699}};

/* clang-format off: a table is read in columns */
static const struct txn_cell cells[STATE_COUNT][EVENT_COUNT] = {
    [TRYING] =
        {
            [STATUS_1XX] = TXN_STEP(PROCEEDING, TXN_TELL_RESPONSE, "RFC 3261 section 17.1.2.2"),
            [STATUS_200_699] = TXN_STEP(COMPLETED, TXN_TELL_RESPONSE, "RFC 3261 section 17.1.2.2"),
            [TIMER_E_FIRES] = TXN_STEP(TRYING, TXN_REPEAT | TXN_DOUBLE_TO_T2, "RFC 3261 section 17.1.2.2"),
            [TIMER_F_FIRES] = TXN_STEP(TERMINATED, TXN_TELL_TIMEOUT, "RFC 3261 section 17.1.2.2"),
            [TIMER_K_FIRES] = TXN_NOT_RUNNING,
            [TRANSPORT_ERROR] = TXN_STEP(TERMINATED, TXN_TELL_ERROR, "RFC 3261 section 17.1.4"),
            [ABANDONED] = TXN_STEP(TERMINATED, 0, "the TU no longer waits"),
        },
    [PROCEEDING] =
        {
            [STATUS_1XX] = TXN_STEP(PROCEEDING, TXN_TELL_RESPONSE, "RFC 3261 figure 6"),
            [STATUS_200_699] = TXN_STEP(COMPLETED, TXN_TELL_RESPONSE, "RFC 3261 section 17.1.2.2"),
            [TIMER_E_FIRES] = TXN_STEP(PROCEEDING, TXN_REPEAT | TXN_AT_T2, "RFC 3261 section 17.1.2.2"),
            [TIMER_F_FIRES] = TXN_STEP(TERMINATED, TXN_TELL_TIMEOUT, "RFC 3261 section 17.1.2.2"),
            [TIMER_K_FIRES] = TXN_NOT_RUNNING,
            [TRANSPORT_ERROR] = TXN_STEP(TERMINATED, TXN_TELL_ERROR, "RFC 3261 section 17.1.4"),
            [ABANDONED] = TXN_STEP(TERMINATED, 0, "the TU no longer waits"),
        },
    [COMPLETED] =
        {
            [STATUS_1XX] = TXN_IGNORE("RFC 3261 section 17.1.2.2: the state buffers late responses"),
            [STATUS_200_699] = TXN_IGNORE("RFC 3261 section 17.1.2.2: a retransmission is not passed up"),
            [TIMER_E_FIRES] = TXN_NOT_RUNNING,
            [TIMER_F_FIRES] = TXN_NOT_RUNNING,
            [TIMER_K_FIRES] = TXN_STEP(TERMINATED, 0, "RFC 3261 section 17.1.2.2"),
            [TRANSPORT_ERROR] = TXN_IGNORE("RFC 3261 figure 6 has no such edge: nothing is sent here"),
            [ABANDONED] = TXN_IGNORE("RFC 3261 section 17.1.2.2: the state buffers late responses"),
        },
    [TERMINATED] =
        {
            [STATUS_1XX] = TXN_UNMATCHED,
            [STATUS_200_699] = TXN_UNMATCHED,
            [TIMER_E_FIRES] = TXN_NOT_RUNNING,
            [TIMER_F_FIRES] = TXN_NOT_RUNNING,
            [TIMER_K_FIRES] = TXN_NOT_RUNNING,
            [TRANSPORT_ERROR] = TXN_UNMATCHED,
            [ABANDONED] = TXN_IGNORE(TXN_ENDED),
        },
};
/* clang-format on */

const struct txn_machine txn_client_non_invite = {
    .name = "non-INVITE client transaction",
    .is_client = true,
    .n_states = STATE_COUNT,
    .n_events = EVENT_COUNT,
    .n_status_events = sizeof(status_events) / sizeof(status_events[0]),
    .states = states,
    .event_names = event_names,
    .cells = &cells[0][0],
    .entry = TXN_STEP(TRYING, TXN_KEEP | TXN_SEND, "RFC 3261 section 17.1.2.2"),
    .status_events = status_events,
    .on_timer = {[TXN_TIMER_E] = TIMER_E_FIRES, [TXN_TIMER_F] = TIMER_F_FIRES, [TXN_TIMER_K] = TIMER_K_FIRES},
    .on_request = TXN_EVENT_NONE,
    .on_ack = TXN_EVENT_NONE,
    .on_early_100 = TXN_EVENT_NONE,
    .on_transport_error = TRANSPORT_ERROR,
    .on_abandon = ABANDONED,
};
