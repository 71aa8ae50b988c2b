/* Non-INVITE server transaction: RFC 3261 section 17.2.2, figure 8, with RFC 4320 section 4. A transport
 * error does not end it: RFC 6026 section 8.8 rewrote section 17.2.4, which is about both server machines,
 * although figure 8 was not drawn again. */
#include "txn/machine.h"

enum state { TRYING, PROCEEDING, COMPLETED, TERMINATED, STATE_COUNT };

static const struct txn_state states[STATE_COUNT] = {
    [TRYING] = {.name = "Trying", .phase = TXN_PHASE_UNANSWERED, .repeat = TXN_TIMER_TRYING},
    [PROCEEDING] = {.name = "Proceeding", .phase = TXN_PHASE_PROVISIONAL, .keeps = true},
    [COMPLETED] = {.name = "Completed", .phase = TXN_PHASE_FINAL, .end = TXN_TIMER_J, .keeps = true},
    [TERMINATED] = {.name = "Terminated", .phase = TXN_PHASE_TERMINATED},
};

enum event {
    REQUEST,
    STATUS_100,
    EARLY_100,
    STATUS_101_199,
    STATUS_408,
    STATUS_200_699,
    TRYING_DUE,
    TIMER_J_FIRES,
    TRANSPORT_ERROR,
    ABANDONED,
    EVENT_COUNT
};

static const char *const event_names[EVENT_COUNT] = {
    [REQUEST] = "Request",
    [STATUS_100] = "100 from TU",
    [EARLY_100] = "100 from TU too early",
    [STATUS_101_199] = "101-199 from TU",
    [STATUS_408] = "408 from TU",
    [STATUS_200_699] = "200-699 from TU",
    [TRYING_DUE] = "trying due",
    [TIMER_J_FIRES] = "Timer J",
    [TRANSPORT_ERROR] = "Transport Err.",
    [ABANDONED] = "abandoned by TU",
};

static const struct txn_status_event status_events[] = {
    {100, 100, STATUS_100}, {101, 199, STATUS_101_199}, {408, 408, STATUS_408}, {200, 699, STATUS_200_699}};

static const char only_100[] = "RFC 4320 section 4.1: no provisional response but 100";
static const char no_408[] = "RFC 4320 section 4.2: no 408";
static const char once[] = "RFC 3261 section 17.2.2: other final responses are discarded";
static const char final_sent[] = "RFC 3261 figure 8 has no such edge: the final response went out";

/* clang-format off: a table is read in columns */
static const struct txn_cell cells[STATE_COUNT][EVENT_COUNT] = {
    [TRYING] =
        {
            [REQUEST] = TXN_IGNORE("RFC 3261 section 17.2.2: discarded"),
            [STATUS_100] = TXN_STEP(PROCEEDING, TXN_KEEP | TXN_SEND, "RFC 3261 section 17.2.2"),
            [EARLY_100] = TXN_STEP(TRYING, TXN_REFUSE, "RFC 4320 section 4.1: not before Timer E reaches T2"),
            [STATUS_101_199] = TXN_STEP(TRYING, TXN_REFUSE, only_100),
            [STATUS_408] = TXN_STEP(TRYING, TXN_REFUSE, no_408),
            [STATUS_200_699] = TXN_STEP(COMPLETED, TXN_KEEP | TXN_SEND, "RFC 3261 figure 8"),
            [TRYING_DUE] = TXN_STEP(TRYING, TXN_TELL_DUE, "RFC 4320 section 4.1"),
            [TIMER_J_FIRES] = TXN_NOT_RUNNING,
            [TRANSPORT_ERROR] = TXN_IGNORE("RFC 3261 figure 8 has no such edge: nothing was sent yet"),
            [ABANDONED] = TXN_STEP(TERMINATED, 0, "RFC 4320 section 4.2"),
        },
    [PROCEEDING] =
        {
            [REQUEST] = TXN_STEP(PROCEEDING, TXN_REPEAT, "RFC 3261 section 17.2.2"),
            [STATUS_100] = TXN_STEP(PROCEEDING, TXN_KEEP | TXN_SEND, "RFC 3261 section 17.2.2"),
            [EARLY_100] = TXN_BUG("a 100 is early only in Trying"),
            [STATUS_101_199] = TXN_STEP(PROCEEDING, TXN_REFUSE, only_100),
            [STATUS_408] = TXN_STEP(PROCEEDING, TXN_REFUSE, no_408),
            [STATUS_200_699] = TXN_STEP(COMPLETED, TXN_KEEP | TXN_SEND, "RFC 3261 section 17.2.2"),
            [TRYING_DUE] = TXN_NOT_RUNNING,
            [TIMER_J_FIRES] = TXN_NOT_RUNNING,
            [TRANSPORT_ERROR] = TXN_STEP(PROCEEDING, TXN_TELL_ERROR, "RFC 6026 section 8.8"),
            [ABANDONED] = TXN_STEP(TERMINATED, 0, "RFC 4320 section 4.2"),
        },
    [COMPLETED] =
        {
            [REQUEST] = TXN_STEP(COMPLETED, TXN_REPEAT, "RFC 3261 section 17.2.2"),
            [STATUS_100] = TXN_STEP(COMPLETED, TXN_REFUSE, final_sent),
            [EARLY_100] = TXN_BUG("a 100 is early only in Trying"),
            [STATUS_101_199] = TXN_STEP(COMPLETED, TXN_REFUSE, final_sent),
            [STATUS_408] = TXN_STEP(COMPLETED, TXN_REFUSE, once),
            [STATUS_200_699] = TXN_STEP(COMPLETED, TXN_REFUSE, once),
            [TRYING_DUE] = TXN_NOT_RUNNING,
            [TIMER_J_FIRES] = TXN_STEP(TERMINATED, 0, "RFC 3261 section 17.2.2"),
            [TRANSPORT_ERROR] = TXN_STEP(COMPLETED, TXN_TELL_ERROR, "RFC 6026 section 8.8"),
            [ABANDONED] = TXN_IGNORE("RFC 3261 section 17.2.2: it stays until Timer J"),
        },
    [TERMINATED] =
        {
            [REQUEST] = TXN_UNMATCHED,
            [STATUS_100] = TXN_STEP(TERMINATED, TXN_REFUSE, TXN_ENDED),
            [EARLY_100] = TXN_BUG("a 100 is early only in Trying"),
            [STATUS_101_199] = TXN_STEP(TERMINATED, TXN_REFUSE, TXN_ENDED),
            [STATUS_408] = TXN_STEP(TERMINATED, TXN_REFUSE, TXN_ENDED),
            [STATUS_200_699] = TXN_STEP(TERMINATED, TXN_REFUSE, TXN_ENDED),
            [TRYING_DUE] = TXN_NOT_RUNNING,
            [TIMER_J_FIRES] = TXN_NOT_RUNNING,
            [TRANSPORT_ERROR] = TXN_UNMATCHED,
            [ABANDONED] = TXN_IGNORE(TXN_ENDED),
        },
};
/* clang-format on */

const struct txn_machine txn_server_non_invite = {
    .name = "non-INVITE server transaction",
    .n_states = STATE_COUNT,
    .n_events = EVENT_COUNT,
    .n_status_events = sizeof(status_events) / sizeof(status_events[0]),
    .states = states,
    .event_names = event_names,
    .cells = &cells[0][0],
    .entry = TXN_STEP(TRYING, 0, "RFC 3261 section 17.2.2"),
    .status_events = status_events,
    .on_timer = {[TXN_TIMER_TRYING] = TRYING_DUE, [TXN_TIMER_J] = TIMER_J_FIRES},
    .on_request = REQUEST,
    .on_ack = TXN_EVENT_NONE,
    .on_early_100 = EARLY_100,
    .on_transport_error = TRANSPORT_ERROR,
    .on_abandon = ABANDONED,
};
