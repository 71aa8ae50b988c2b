/* INVITE client transaction: RFC 3261 section 17.1.1 as changed by RFC 6026 section 8.4, whose figure 5 this
 * is. */
#include "txn/machine.h"

enum state { CALLING, PROCEEDING, COMPLETED, ACCEPTED, TERMINATED, STATE_COUNT };

static const struct txn_state states[STATE_COUNT] = {
    [CALLING] = {.name = "Calling",
                 .phase = TXN_PHASE_UNANSWERED,
                 .repeat = TXN_TIMER_A,
                 .end = TXN_TIMER_B,
                 .keeps = true},
    /* No timer: how long a call may ring is for the TU to say (Timer C, section 16.8). The request stays
     * for CANCEL and ACK, which repeat parts of it, unless the TU can make it again (txn_client_release). */
    [PROCEEDING] = {.name = "Proceeding", .phase = TXN_PHASE_PROVISIONAL, .keeps = true},
    [COMPLETED] = {.name = "Completed", .phase = TXN_PHASE_FINAL, .end = TXN_TIMER_D, .keeps = true},
    [ACCEPTED] = {.name = "Accepted", .phase = TXN_PHASE_FINAL, .end = TXN_TIMER_M},
    [TERMINATED] = {.name = "Terminated", .phase = TXN_PHASE_TERMINATED},
};

enum event {
    STATUS_1XX,
    STATUS_2XX,
    STATUS_300_699,
    TIMER_A_FIRES,
    TIMER_B_FIRES,
    TIMER_D_FIRES,
    TIMER_M_FIRES,
    TRANSPORT_ERROR,
    ABANDONED,
    EVENT_COUNT
};

static const char *const event_names[EVENT_COUNT] = {
    [STATUS_1XX] = "1xx",
    [STATUS_2XX] = "2xx",
    [STATUS_300_699] = "300-699",
    [TIMER_A_FIRES] = "Timer A",
    [TIMER_B_FIRES] = "Timer B",
    [TIMER_D_FIRES] = "Timer D",
    [TIMER_M_FIRES] = "Timer M",
    [TRANSPORT_ERROR] = "Transport Err.",
    [ABANDONED] = "abandoned by TU",
};

static const struct txn_status_event status_events[] = {
    {100, 199, STATUS_1XX}, {200, 299, STATUS_2XX}, {300, 699, STATUS_300_699}};

/* clang-format off: a table is read in columns */
static const struct txn_cell cells[STATE_COUNT][EVENT_COUNT] =
    {
        [CALLING] =
            {
                [STATUS_1XX] = TXN_STEP(PROCEEDING, TXN_TELL_RESPONSE, "RFC 3261 section 17.1.1.2"),
                [STATUS_2XX] = TXN_STEP(ACCEPTED, TXN_TELL_RESPONSE, "RFC 6026 section 8.4"),
                [STATUS_300_699] = TXN_STEP(COMPLETED, TXN_ACK | TXN_TELL_RESPONSE, "RFC 6026 section 8.4"),
                [TIMER_A_FIRES] = TXN_STEP(CALLING, TXN_REPEAT | TXN_DOUBLE, "RFC 3261 section 17.1.1.2"),
                [TIMER_B_FIRES] = TXN_STEP(TERMINATED, TXN_TELL_TIMEOUT, "RFC 3261 section 17.1.1.2"),
                [TIMER_D_FIRES] = TXN_NOT_RUNNING,
                [TIMER_M_FIRES] = TXN_NOT_RUNNING,
                [TRANSPORT_ERROR] = TXN_STEP(TERMINATED, TXN_TELL_ERROR, "RFC 3261 section 17.1.4"),
                [ABANDONED] = TXN_STEP(TERMINATED, 0, "RFC 3261 section 9.1"),
            },
        [PROCEEDING] =
            {
                [STATUS_1XX] = TXN_STEP(PROCEEDING, TXN_TELL_RESPONSE, "RFC 3261 section 17.1.1.2"),
                [STATUS_2XX] = TXN_STEP(ACCEPTED, TXN_TELL_RESPONSE, "RFC 6026 section 8.4"),
                [STATUS_300_699] = TXN_STEP(COMPLETED, TXN_ACK | TXN_TELL_RESPONSE, "RFC 6026 section 8.4"),
                [TIMER_A_FIRES] = TXN_NOT_RUNNING,
                [TIMER_B_FIRES] = TXN_NOT_RUNNING,
                [TIMER_D_FIRES] = TXN_NOT_RUNNING,
                [TIMER_M_FIRES] = TXN_NOT_RUNNING,
                [TRANSPORT_ERROR] =
                    TXN_IGNORE("RFC 6026 figure 5 has no such edge: the 1xx says that the request arrived"),
                [ABANDONED] = TXN_STEP(TERMINATED, 0, "RFC 3261 section 9.1"),
            },
        [COMPLETED] =
            {
                [STATUS_1XX] =
                    TXN_IGNORE("RFC 6026 figure 5 has no such edge: the final response came first"),
                [STATUS_2XX] =
                    TXN_IGNORE("RFC 6026 figure 5 has no such edge: only 300-699 are answered here"),
                [STATUS_300_699] = TXN_STEP(COMPLETED, TXN_ACK, "RFC 6026 section 8.4"),
                [TIMER_A_FIRES] = TXN_NOT_RUNNING,
                [TIMER_B_FIRES] = TXN_NOT_RUNNING,
                [TIMER_D_FIRES] = TXN_STEP(TERMINATED, 0, "RFC 6026 section 8.4"),
                [TIMER_M_FIRES] = TXN_NOT_RUNNING,
                [TRANSPORT_ERROR] =
                    TXN_STEP(TERMINATED, TXN_TELL_ERROR, "RFC 6026 figure 5: the ACK cannot be sent"),
                [ABANDONED] =
                    TXN_IGNORE("RFC 6026 section 8.4: the final response is still to be acknowledged"),
            },
        [ACCEPTED] =
            {
                [STATUS_1XX] = TXN_IGNORE("RFC 6026 section 8.4: only 2xx are passed up here"),
                [STATUS_2XX] = TXN_STEP(ACCEPTED, TXN_TELL_RESPONSE, "RFC 6026 section 8.4"),
                [STATUS_300_699] = TXN_IGNORE("RFC 6026 section 8.4: only 2xx are passed up here"),
                [TIMER_A_FIRES] = TXN_NOT_RUNNING,
                [TIMER_B_FIRES] = TXN_NOT_RUNNING,
                [TIMER_D_FIRES] = TXN_NOT_RUNNING,
                [TIMER_M_FIRES] = TXN_STEP(TERMINATED, 0, "RFC 6026 section 8.4"),
                [TRANSPORT_ERROR] = TXN_IGNORE("RFC 6026 figure 5 has no such edge: nothing is sent here"),
                [ABANDONED] = TXN_IGNORE("RFC 6026 section 6: state must not be destroyed by a 2xx"),
            },
        [TERMINATED] =
            {
                [STATUS_1XX] = TXN_UNMATCHED,
                [STATUS_2XX] = TXN_UNMATCHED,
                [STATUS_300_699] = TXN_UNMATCHED,
                [TIMER_A_FIRES] = TXN_NOT_RUNNING,
                [TIMER_B_FIRES] = TXN_NOT_RUNNING,
                [TIMER_D_FIRES] = TXN_NOT_RUNNING,
                [TIMER_M_FIRES] = TXN_NOT_RUNNING,
                [TRANSPORT_ERROR] = TXN_UNMATCHED,
                [ABANDONED] = TXN_IGNORE(TXN_ENDED),
            },
};
/* clang-format on */

const struct txn_machine txn_client_invite = {
    .name = "INVITE client transaction",
    .is_client = true,
    .n_states = STATE_COUNT,
    .n_events = EVENT_COUNT,
    .n_status_events = sizeof(status_events) / sizeof(status_events[0]),
    .states = states,
    .event_names = event_names,
    .cells = &cells[0][0],
    .entry = TXN_STEP(CALLING, TXN_KEEP | TXN_SEND, "RFC 3261 section 17.1.1.2"),
    .status_events = status_events,
    .on_timer = {[TXN_TIMER_A] = TIMER_A_FIRES,
                 [TXN_TIMER_B] = TIMER_B_FIRES,
                 [TXN_TIMER_D] = TIMER_D_FIRES,
                 [TXN_TIMER_M] = TIMER_M_FIRES},
    .on_request = TXN_EVENT_NONE,
    .on_ack = TXN_EVENT_NONE,
    .on_early_100 = TXN_EVENT_NONE,
    .on_transport_error = TRANSPORT_ERROR,
    .on_abandon = ABANDONED,
};
