#include "txn/machine.h"
#include <assert.h>

enum wait { WAIT_T1, WAIT_64_T1, WAIT_T4, WAIT_TIMER_D, WAIT_TO_T2 };
enum on_reliable { SAME, ZERO, UNUSED };

static const struct timer_row {
    const char *name;
    uint8_t wait, on_reliable;
} timer_rows[TXN_TIMER_COUNT] = {
    [TXN_TIMER_NONE] = {"none", WAIT_T1, UNUSED},
    [TXN_TIMER_A] = {"Timer A", WAIT_T1, UNUSED},
    [TXN_TIMER_B] = {"Timer B", WAIT_64_T1, SAME},
    [TXN_TIMER_D] = {"Timer D", WAIT_TIMER_D, ZERO},
    [TXN_TIMER_E] = {"Timer E", WAIT_T1, UNUSED},
    [TXN_TIMER_F] = {"Timer F", WAIT_64_T1, SAME},
    [TXN_TIMER_G] = {"Timer G", WAIT_T1, UNUSED},
    [TXN_TIMER_H] = {"Timer H", WAIT_64_T1, SAME},
    [TXN_TIMER_I] = {"Timer I", WAIT_T4, ZERO},
    [TXN_TIMER_J] = {"Timer J", WAIT_64_T1, ZERO},
    [TXN_TIMER_K] = {"Timer K", WAIT_T4, ZERO},
    [TXN_TIMER_L] = {"Timer L", WAIT_64_T1, SAME},
    [TXN_TIMER_M] = {"Timer M", WAIT_64_T1, SAME},
    /* RFC 4320 section 4.1: "without regard to transport". */
    [TXN_TIMER_TRYING] = {"trying due", WAIT_TO_T2, SAME},
};

const char *txn_timer_name(enum txn_timer timer)
{
    return timer_rows[timer].name;
}

ms_t txn_time_to_t2_ms(const struct txn_times *times)
{
    ms_t elapsed_ms = 0, timer_e_ms = times->t1_ms;

    do {
        elapsed_ms += timer_e_ms;
        timer_e_ms *= 2;
    } while (timer_e_ms < times->t2_ms);
    return elapsed_ms;
}

ms_t txn_timer_value_ms(enum txn_timer timer, const struct txn_times *times, bool reliable)
{
    const struct timer_row *row = &timer_rows[timer];

    if (timer == TXN_TIMER_NONE || (reliable && row->on_reliable == UNUSED))
        return MS_NEVER;
    if (reliable && row->on_reliable == ZERO)
        return 0;
    switch ((enum wait)row->wait) {
    case WAIT_T1:
        return times->t1_ms;
    case WAIT_64_T1:
        return 64 * times->t1_ms;
    case WAIT_T4:
        return times->t4_ms;
    case WAIT_TIMER_D:
        return times->timer_d_ms;
    case WAIT_TO_T2:
        return txn_time_to_t2_ms(times);
    }
    assert(!"a wait without a value");
    return MS_NEVER;
}

const struct txn_machine *txn_machine(enum txn_kind kind)
{
    static const struct txn_machine *const machines[TXN_KIND_COUNT] = {
        [TXN_CLIENT_INVITE] = &txn_client_invite,
        [TXN_CLIENT_NON_INVITE] = &txn_client_non_invite,
        [TXN_SERVER_INVITE] = &txn_server_invite,
        [TXN_SERVER_NON_INVITE] = &txn_server_non_invite,
    };

    return machines[kind];
}

const char *txn_effect_name(unsigned bit_number)
{
    static const char *const names[TXN_EFFECT_COUNT] = {
        "keep",          "send",         "repeat",     "ack",         "double",   "double-to-t2", "at-t2",
        "tell-response", "tell-timeout", "tell-error", "tell-no-ack", "tell-due", "give-ack",     "refuse",
    };

    return names[bit_number];
}

uint8_t txn_machine_status_event(const struct txn_machine *m, unsigned status)
{
    for (unsigned i = 0; i < m->n_status_events; i++) {
        const struct txn_status_event *range = &m->status_events[i];

        if (status >= range->first && status <= range->last)
            return range->event;
    }
    return TXN_EVENT_NONE;
}
