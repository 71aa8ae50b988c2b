/* The tables of the four machines against expected.txt, cell by cell, and what must hold of any table. */
#include "expected.h"
#include "txn/machine.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct expected expected[EXPECTED_MAX];
static size_t n_expected;

static int load(void **state)
{
    (void)state;
    n_expected = expected_load(expected);
    return 0;
}

static void check_cell(const struct expected *e)
{
    int state = expected_state(e->machine, e->state), event = expected_event(e->machine, e->event);
    const struct txn_cell *cell;

    if (state < 0 || event < 0)
        fail_msg("line %d: no such state or event in the %s", e->line, e->machine->name);
    cell = txn_machine_cell(e->machine, (unsigned)state, (unsigned)event);
    if (strcmp(e->next, "bug") == 0 || strcmp(e->next, "ignore") == 0) {
        if (cell->kind != (e->next[0] == 'b' ? TXN_CELL_BUG : TXN_CELL_IGNORE))
            fail_msg("line %d: %s, %s, %s: not '%s'", e->line, e->machine->name, e->state, e->event, e->next);
        return;
    }
    if (cell->kind != TXN_CELL_STEP || strcmp(e->machine->states[cell->next].name, e->next) != 0)
        fail_msg("line %d: %s, %s, %s: does not lead to %s", e->line, e->machine->name, e->state, e->event,
                 e->next);
    if (cell->effects != expected_effects(e))
        fail_msg("line %d: %s, %s, %s: effects are %#x", e->line, e->machine->name, e->state, e->event,
                 cell->effects);
}

static void every_cell_is_what_the_rfc_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_expected; i++)
        if (expected[i].kind == EXPECTED_CELL)
            check_cell(&expected[i]);
}

static void every_cell_is_expected_exactly_once(void **state)
{
    size_t cells = 0, lines = 0;

    (void)state;
    for (int kind = 0; kind < TXN_KIND_COUNT; kind++)
        cells +=
            (size_t)txn_machine((enum txn_kind)kind)->n_states * txn_machine((enum txn_kind)kind)->n_events;
    for (size_t i = 0; i < n_expected; i++) {
        if (expected[i].kind != EXPECTED_CELL)
            continue;
        lines++;
        for (size_t j = 0; j < i; j++)
            if (expected[j].kind == EXPECTED_CELL && expected[i].machine == expected[j].machine &&
                strcmp(expected[i].state, expected[j].state) == 0 &&
                strcmp(expected[i].event, expected[j].event) == 0)
                fail_msg("lines %d and %d are about the same cell", expected[j].line, expected[i].line);
    }
    assert_int_equal(lines, cells);
}

static void creation_is_what_the_rfc_says(void **state)
{
    unsigned machines = 0;

    (void)state;
    for (size_t i = 0; i < n_expected; i++) {
        const struct txn_cell *entry = &expected[i].machine->entry;

        if (expected[i].kind != EXPECTED_ENTER)
            continue;
        machines++;
        assert_int_equal(entry->kind, TXN_CELL_STEP);
        assert_string_equal(expected[i].machine->states[entry->next].name, expected[i].state);
        assert_int_equal(entry->effects, expected_effects(&expected[i]));
    }
    assert_int_equal(machines, TXN_KIND_COUNT);
}

static void timers_of_every_state_are_what_the_rfc_says(void **state)
{
    unsigned states = 0, lines = 0;

    (void)state;
    for (int kind = 0; kind < TXN_KIND_COUNT; kind++)
        states += txn_machine((enum txn_kind)kind)->n_states;
    for (size_t i = 0; i < n_expected; i++) {
        const struct expected *e = &expected[i];
        const struct txn_state *s;
        char timers[WORD_MAX] = "";
        int index;

        if (e->kind != EXPECTED_STATE)
            continue;
        lines++;
        index = expected_state(e->machine, e->state);
        assert_true(index >= 0);
        s = &e->machine->states[index];
        if (s->repeat)
            strcat(timers, txn_timer_name((enum txn_timer)s->repeat));
        if (s->repeat && s->end)
            strcat(timers, ", ");
        if (s->end)
            strcat(timers, txn_timer_name((enum txn_timer)s->end));
        assert_string_equal(timers, e->effects);
    }
    assert_int_equal(lines, states);
}

static bool is_running(const struct txn_machine *m, unsigned state, enum txn_timer timer)
{
    return m->states[state].repeat == timer || m->states[state].end == timer;
}

static bool is_timer_event(const struct txn_machine *m, unsigned event, enum txn_timer *ret_timer)
{
    for (int timer = TXN_TIMER_NONE + 1; timer < TXN_TIMER_COUNT; timer++)
        for (unsigned s = 0; s < m->n_states; s++)
            if (m->on_timer[timer] == event && is_running(m, s, (enum txn_timer)timer)) {
                *ret_timer = (enum txn_timer)timer;
                return true;
            }
    return false;
}

static void a_timer_event_is_a_bug_exactly_where_its_timer_does_not_run(void **state)
{
    unsigned timers = 0;

    (void)state;
    for (int kind = 0; kind < TXN_KIND_COUNT; kind++) {
        const struct txn_machine *m = txn_machine((enum txn_kind)kind);

        for (unsigned event = 0; event < m->n_events; event++) {
            enum txn_timer timer;

            if (!is_timer_event(m, event, &timer))
                continue;
            timers++;
            for (unsigned s = 0; s < m->n_states; s++)
                assert_int_equal(txn_machine_cell(m, s, event)->kind == TXN_CELL_BUG,
                                 !is_running(m, s, timer));
        }
    }
    /* Twelve of table 4 and the one of RFC 4320. */
    assert_int_equal(timers, 13);
}

static void mark_reachable(const struct txn_machine *m, unsigned state, bool reached[16])
{
    bool again = true;

    reached[state] = true;
    while (again) {
        again = false;
        for (unsigned s = 0; s < m->n_states; s++) {
            for (unsigned event = 0; reached[s] && event < m->n_events; event++) {
                const struct txn_cell *cell = txn_machine_cell(m, s, event);

                if (cell->kind == TXN_CELL_STEP && !reached[cell->next])
                    again = reached[cell->next] = true;
            }
        }
    }
}

static bool is_from_tu(const struct txn_machine *m, unsigned event)
{
    return strstr(m->event_names[event], "TU") != NULL;
}

/* Which events can come in a state: timers that run; from the network all until the transaction is out of the
 * map; from the TU all, even in Terminated, since it may be inside an op. A 100 is early only while the timer
 * for it runs. */
static bool can_happen(const struct txn_machine *m, unsigned state, unsigned event)
{
    bool terminated = m->states[state].phase == TXN_PHASE_TERMINATED;
    enum txn_timer timer;

    if (is_timer_event(m, event, &timer))
        return is_running(m, state, timer);
    if (event == m->on_early_100)
        return is_running(m, state, TXN_TIMER_TRYING);
    return !terminated || is_from_tu(m, event);
}

static void no_cell_that_can_be_reached_is_a_bug(void **state)
{
    (void)state;
    for (int kind = 0; kind < TXN_KIND_COUNT; kind++) {
        const struct txn_machine *m = txn_machine((enum txn_kind)kind);
        bool reached[16] = {false};

        mark_reachable(m, m->entry.next, reached);
        for (unsigned s = 0; s < m->n_states; s++) {
            assert_true(reached[s]);
            for (unsigned event = 0; event < m->n_events; event++)
                if ((txn_machine_cell(m, s, event)->kind == TXN_CELL_BUG) == can_happen(m, s, event))
                    fail_msg("%s, %s, %s", m->name, m->states[s].name, m->event_names[event]);
        }
    }
}

static void every_cell_is_explicit_and_names_its_rule(void **state)
{
    (void)state;
    for (int kind = 0; kind < TXN_KIND_COUNT; kind++) {
        const struct txn_machine *m = txn_machine((enum txn_kind)kind);

        for (unsigned s = 0; s < m->n_states; s++) {
            for (unsigned event = 0; event < m->n_events; event++) {
                const struct txn_cell *cell = txn_machine_cell(m, s, event);

                assert_int_not_equal(cell->kind, TXN_CELL_MISSING);
                assert_true(cell->rule && strlen(cell->rule) > 5);
                if (cell->kind == TXN_CELL_STEP)
                    assert_in_range(cell->next, 0, m->n_states - 1);
                else
                    assert_int_equal(cell->effects, 0);
            }
        }
    }
}

static void nothing_leads_out_of_terminated(void **state)
{
    (void)state;
    for (int kind = 0; kind < TXN_KIND_COUNT; kind++) {
        const struct txn_machine *m = txn_machine((enum txn_kind)kind);
        unsigned terminated = (unsigned)expected_state(m, "Terminated");

        for (unsigned event = 0; event < m->n_events; event++) {
            const struct txn_cell *cell = txn_machine_cell(m, terminated, event);

            assert_true(cell->kind != TXN_CELL_STEP ||
                        (cell->next == terminated && cell->effects == TXN_REFUSE));
        }
    }
}

static void every_status_code_is_one_event(void **state)
{
    (void)state;
    for (int kind = 0; kind < TXN_KIND_COUNT; kind++) {
        const struct txn_machine *m = txn_machine((enum txn_kind)kind);

        for (unsigned status = 100; status <= 699; status++)
            assert_true(txn_machine_status_event(m, status) < m->n_events);
        assert_int_equal(txn_machine_status_event(m, 99), TXN_EVENT_NONE);
        assert_int_equal(txn_machine_status_event(m, 700), TXN_EVENT_NONE);
        assert_int_equal(txn_machine_status_event(m, 0), TXN_EVENT_NONE);
    }
}

static void status_codes_at_the_borders_are_the_right_event(void **state)
{
    static const struct {
        enum txn_kind kind;
        unsigned status;
        const char *event;
    } rows[] = {
        {TXN_CLIENT_INVITE, 100, "1xx"},
        {TXN_CLIENT_INVITE, 199, "1xx"},
        {TXN_CLIENT_INVITE, 200, "2xx"},
        {TXN_CLIENT_INVITE, 299, "2xx"},
        {TXN_CLIENT_INVITE, 300, "300-699"},
        {TXN_CLIENT_INVITE, 699, "300-699"},
        {TXN_CLIENT_NON_INVITE, 199, "1xx"},
        {TXN_CLIENT_NON_INVITE, 200, "200-699"},
        {TXN_CLIENT_NON_INVITE, 408, "200-699"},
        {TXN_SERVER_INVITE, 199, "1xx from TU"},
        {TXN_SERVER_INVITE, 200, "2xx from TU"},
        {TXN_SERVER_INVITE, 299, "2xx from TU"},
        {TXN_SERVER_INVITE, 300, "300-699 from TU"},
        {TXN_SERVER_INVITE, 408, "300-699 from TU"},
        {TXN_SERVER_NON_INVITE, 100, "100 from TU"},
        {TXN_SERVER_NON_INVITE, 101, "101-199 from TU"},
        {TXN_SERVER_NON_INVITE, 199, "101-199 from TU"},
        {TXN_SERVER_NON_INVITE, 200, "200-699 from TU"},
        {TXN_SERVER_NON_INVITE, 407, "200-699 from TU"},
        {TXN_SERVER_NON_INVITE, 408, "408 from TU"},
        {TXN_SERVER_NON_INVITE, 409, "200-699 from TU"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct txn_machine *m = txn_machine(rows[i].kind);

        assert_string_equal(m->event_names[txn_machine_status_event(m, rows[i].status)], rows[i].event);
    }
}

/* RFC 3261 table 4 and RFC 6026 section 8.11, for both kinds of transport. */
static void timer_values_are_those_of_table_4(void **state)
{
    static const struct {
        enum txn_timer timer;
        ms_t unreliable_ms, reliable_ms;
    } rows[] = {
        {TXN_TIMER_A, 500, MS_NEVER},   {TXN_TIMER_B, 32000, 32000},
        {TXN_TIMER_D, 33000, 0},        {TXN_TIMER_E, 500, MS_NEVER},
        {TXN_TIMER_F, 32000, 32000},    {TXN_TIMER_G, 500, MS_NEVER},
        {TXN_TIMER_H, 32000, 32000},    {TXN_TIMER_I, 5000, 0},
        {TXN_TIMER_J, 32000, 0},        {TXN_TIMER_K, 5000, 0},
        {TXN_TIMER_L, 32000, 32000},    {TXN_TIMER_M, 32000, 32000},
        {TXN_TIMER_TRYING, 3500, 3500}, {TXN_TIMER_NONE, MS_NEVER, MS_NEVER},
    };
    struct txn_times times = {.t1_ms = 500, .t2_ms = 4000, .t4_ms = 5000, .timer_d_ms = 33000};

    (void)state;
    assert_int_equal(sizeof(rows) / sizeof(rows[0]), TXN_TIMER_COUNT);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(txn_timer_value_ms(rows[i].timer, &times, false), rows[i].unreliable_ms);
        assert_int_equal(txn_timer_value_ms(rows[i].timer, &times, true), rows[i].reliable_ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell_is_what_the_rfc_says),
        cmocka_unit_test(every_cell_is_expected_exactly_once),
        cmocka_unit_test(creation_is_what_the_rfc_says),
        cmocka_unit_test(timers_of_every_state_are_what_the_rfc_says),
        cmocka_unit_test(a_timer_event_is_a_bug_exactly_where_its_timer_does_not_run),
        cmocka_unit_test(no_cell_that_can_be_reached_is_a_bug),
        cmocka_unit_test(every_cell_is_explicit_and_names_its_rule),
        cmocka_unit_test(nothing_leads_out_of_terminated),
        cmocka_unit_test(every_status_code_is_one_event),
        cmocka_unit_test(status_codes_at_the_borders_are_the_right_event),
        cmocka_unit_test(timer_values_are_those_of_table_4),
    };

    return cmocka_run_group_tests(tests, load, NULL);
}
