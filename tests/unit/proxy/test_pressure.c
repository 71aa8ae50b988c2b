/* Admission by waiting time, alone and with a server and its queue on a virtual clock: goodput past saturation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/pressure.h"

#define TARGET_US   10000u
#define INTERVAL_MS 100u

static const struct pressure_opts opts = {.target_us = TARGET_US, .interval_ms = INTERVAL_MS};

static void press(struct pressure *p, ms_t *now_ms, uint32_t waited_us)
{
    for (unsigned i = 0; i <= INTERVAL_MS; i++)
        (void)pressure_note(p, ++*now_ms, waited_us, 0);
}

static void it_begins_when_the_shortest_wait_of_an_interval_is_above_the_target(void **state)
{
    struct pressure p;
    ms_t now_ms = 1000;

    (void)state;
    pressure_init(&p, &opts, now_ms);
    for (unsigned i = 0; i < INTERVAL_MS; i++)
        assert_int_equal(pressure_note(&p, now_ms++, TARGET_US + 1, 0), PRESSURE_SAME);
    assert_false(pressure_refuses(&p, now_ms, false));
    assert_int_equal(pressure_note(&p, now_ms, TARGET_US + 1, 0), PRESSURE_BEGUN);
    assert_true(pressure_refuses(&p, now_ms, false));
}

static void one_short_wait_begins_the_interval_again(void **state)
{
    struct pressure p;
    ms_t now_ms = 1000;

    (void)state;
    pressure_init(&p, &opts, now_ms);
    for (unsigned i = 0; i < INTERVAL_MS; i++)
        assert_int_equal(pressure_note(&p, now_ms++, TARGET_US + 1, 0), PRESSURE_SAME);
    (void)pressure_note(&p, now_ms++, TARGET_US, 0);
    for (unsigned i = 0; i < INTERVAL_MS; i++)
        assert_int_equal(pressure_note(&p, now_ms++, TARGET_US + 1, 0), PRESSURE_SAME);
    assert_int_equal(pressure_note(&p, now_ms, TARGET_US + 1, 0), PRESSURE_BEGUN);
}

/* What is dropped comes again at T1, on top of what comes then. */
static void a_queue_that_has_overflowed_is_no_burst(void **state)
{
    struct pressure p;
    ms_t now_ms = 1000;

    (void)state;
    pressure_init(&p, &opts, now_ms);
    assert_int_equal(pressure_note(&p, now_ms, 3 * TARGET_US, 1), PRESSURE_SAME);
    assert_int_equal(pressure_note(&p, now_ms + TARGET_US / 1000 - 1, 3 * TARGET_US, 0), PRESSURE_SAME);
    assert_int_equal(pressure_note(&p, now_ms + TARGET_US / 1000, 3 * TARGET_US, 0), PRESSURE_BEGUN);
    assert_true(pressure_refuses(&p, now_ms + TARGET_US / 1000, false));
}

/* It finds that its queue has overflowed, and empties it. */
static void a_process_that_was_kept_from_running_for_long_refuses_nothing(void **state)
{
    struct pressure p;
    ms_t now_ms = 1000;

    (void)state;
    pressure_init(&p, &opts, now_ms);
    for (unsigned i = 0; i < 10; i++) {
        for (uint32_t left_ms = TARGET_US / 1000; left_ms > 0; left_ms--) {
            assert_int_equal(pressure_note(&p, now_ms++, left_ms * TARGET_US, left_ms == 10), PRESSURE_SAME);
            assert_false(pressure_refuses(&p, now_ms, false));
        }
        assert_int_equal(pressure_note(&p, now_ms++, 0, 0), PRESSURE_SAME);
    }
    /* And what is a burst after that has the interval. */
    for (unsigned i = 0; i < INTERVAL_MS; i++)
        assert_int_equal(pressure_note(&p, now_ms++, TARGET_US + 1, 0), PRESSURE_SAME);
}

/* Few messages on a machine that is busy with something else. */
static void what_came_after_the_one_before_was_handled_had_an_empty_queue(void **state)
{
    struct pressure p;

    (void)state;
    pressure_init(&p, &opts, 1000);
    for (ms_t now_ms = 1000; now_ms < 3000; now_ms += 52)
        assert_int_equal(pressure_note(&p, now_ms, 50000, 0), PRESSURE_SAME);
    for (ms_t now_ms = 3000; now_ms < 3100; now_ms += 50)
        assert_int_equal(pressure_note(&p, now_ms, 50000, 0), PRESSURE_SAME);
    assert_int_equal(pressure_note(&p, 3100, 50000, 0), PRESSURE_BEGUN);
}

static void it_ends_when_nothing_has_waited_too_long_for_ten_intervals(void **state)
{
    struct pressure p;
    ms_t now_ms = 1000;

    (void)state;
    pressure_init(&p, &opts, now_ms);
    press(&p, &now_ms, TARGET_US + 1);
    assert_int_equal(pressure_note(&p, now_ms + 10 * INTERVAL_MS, 0, 0), PRESSURE_SAME);
    assert_int_equal(pressure_tick(&p, now_ms + 10 * INTERVAL_MS + 1), PRESSURE_ENDED);
    assert_false(pressure_is_felt(&p));
}

/* The processor was another's for a while: all that has come meanwhile has waited, and is handled at once. */
static void a_process_that_was_kept_from_running_refuses_nothing(void **state)
{
    struct pressure p;
    ms_t now_ms = 1000;

    (void)state;
    pressure_init(&p, &opts, now_ms);
    press(&p, &now_ms, 5 * TARGET_US);
    assert_true(pressure_refuses(&p, now_ms, false));
    (void)pressure_note(&p, now_ms, 0, 0);
    for (unsigned i = 1; i < INTERVAL_MS; i++) {
        (void)pressure_note(&p, ++now_ms, 5 * TARGET_US, 0);
        assert_false(pressure_refuses(&p, now_ms, false));
    }
    (void)pressure_note(&p, ++now_ms, 5 * TARGET_US, 0);
    assert_true(pressure_refuses(&p, now_ms, false));
}

static void who_obeys_is_believed_until_twice_the_target(void **state)
{
    struct pressure p;
    ms_t now_ms = 1000;

    (void)state;
    pressure_init(&p, &opts, now_ms);
    press(&p, &now_ms, 2 * TARGET_US);
    assert_true(pressure_refuses(&p, now_ms, false));
    assert_false(pressure_refuses(&p, now_ms, true));
    (void)pressure_note(&p, now_ms, 2 * TARGET_US + 1, 0);
    assert_true(pressure_refuses(&p, now_ms, true));
}

static void a_queue_that_is_full_before_the_target_makes_a_target_of_its_own(void **state)
{
    struct pressure p;
    ms_t now_ms = 1000;

    (void)state;
    pressure_init(&p, &opts, now_ms);
    (void)pressure_note(&p, now_ms, 2000, 1);
    press(&p, &now_ms, 1001);
    assert_true(pressure_refuses(&p, now_ms, false));
    (void)pressure_note(&p, now_ms, 1000, 0);
    assert_false(pressure_refuses(&p, now_ms, false));
    for (unsigned i = 0; i < 100; i++)
        (void)pressure_note(&p, now_ms += 10 * INTERVAL_MS, 0, 0);
    press(&p, &now_ms, TARGET_US);
    assert_false(pressure_refuses(&p, now_ms, false));
}

/* 200 ms in which so many requests come, of which so many are refused. */
static void play_period(struct pressure *p, ms_t *now_ms, unsigned requests, unsigned refused)
{
    for (unsigned i = 0; i < requests; i++)
        pressure_count(p);
    for (unsigned i = 0; i < refused; i++)
        (void)pressure_refuses(p, *now_ms, false);
    (void)pressure_tick(p, *now_ms += 200);
}

/* RFC 7339 section 7.1: in percent, of all requests. */
static void the_loss_asked_for_follows_what_is_refused(void **state)
{
    struct pressure p;
    ms_t now_ms = 1000;

    (void)state;
    pressure_init(&p, &opts, now_ms);
    press(&p, &now_ms, TARGET_US + 1);
    assert_int_equal(pressure_loss_percent(&p), 0);
    play_period(&p, &now_ms, 100, 40);
    assert_int_equal(pressure_loss_percent(&p), 40);
    /* Half of the 60 of 100 that still come; but those of the first period were on their way before their clients heard. */
    for (unsigned period = 0; period < 2; period++) {
        play_period(&p, &now_ms, 60, 30);
        assert_int_equal(pressure_loss_percent(&p), period == 0 ? 40 : 70);
    }
    for (unsigned i = 0; i < 100; i++)
        (void)pressure_tick(&p, now_ms += 200);
    assert_int_equal(pressure_loss_percent(&p), 0);
}

/* An eighth less for each period without a refusal; a quarter less when the queue was empty meanwhile. */
static void the_loss_asked_for_goes_back_faster_when_there_is_room(void **state)
{
    struct pressure p;
    ms_t now_ms = 1000;

    (void)state;
    pressure_init(&p, &opts, now_ms);
    press(&p, &now_ms, TARGET_US + 1);
    play_period(&p, &now_ms, 100, 80);
    assert_int_equal(pressure_loss_percent(&p), 80);
    (void)pressure_tick(&p, now_ms += 200);
    assert_int_equal(pressure_loss_percent(&p), 70);
    (void)pressure_note(&p, now_ms += 100, 0, 0);
    (void)pressure_tick(&p, now_ms += 100);
    assert_int_equal(pressure_loss_percent(&p), 53);
}

static void a_loss_never_stops_all(void **state)
{
    struct pressure p;
    ms_t now_ms = 1000;

    (void)state;
    pressure_init(&p, &opts, now_ms);
    press(&p, &now_ms, TARGET_US + 1);
    for (unsigned i = 0; i < 100; i++) {
        pressure_count(&p);
        (void)pressure_refuses(&p, now_ms, false);
    }
    (void)pressure_tick(&p, now_ms += 200);
    assert_int_equal(pressure_loss_percent(&p), 95);
}

/* A server that takes a fixed time for each message, and the queue before it. A call is an INVITE and five messages
 * that follow, each when the one before has been handled and the other side has taken its time; a caller who has
 * no answer after half a second sends his INVITE again (RFC 3261 section 17.1.1.2), and one who waits longer than
 * PATIENCE_US for any of it is no goodput. */

#define SERVICE_US  10u
#define CALL_MSGS   6u
#define CAPACITY    (1000000.0 / (SERVICE_US * CALL_MSGS)) /* calls a second */
#define PEER_US     2000u
#define PATIENCE_US 2000000u
#define T1_US       500000u
#define QUEUE_MAX   (1u << 15) /* what a socket of 8 MB holds, times eight */
#define CALLS_MAX   (1u << 20)
#define RUN_US      3000000u

struct model_call {
    uint64_t began_us;
    uint8_t step;
    bool is_refused;
};

struct model_msg {
    uint64_t at_us;
    uint32_t call;
    uint8_t step;
};

/* Messages on their way take the same time, so they stay in order; copies have a line of their own. */
struct line {
    struct model_msg *msgs;
    size_t head, count, cap;
};

struct model {
    struct pressure pressure;
    struct pressure_opts opts;
    uint64_t now_us;
    double next_us;
    unsigned refusal_us; /* what a refusal costs */
    bool obeys;          /* callers do as RFC 7339 says */
    struct model_call *calls;
    uint32_t n_calls;
    struct line queue, peers, copies;
    uint64_t completed, dropped;
    uint32_t waited_max_us;
    uint32_t lot;
};

static void line_new(struct line *l, size_t cap)
{
    *l = (struct line){.msgs = malloc(cap * sizeof(*l->msgs)), .cap = cap};
    assert_non_null(l->msgs);
}

static bool line_put(struct line *l, struct model_msg m)
{
    if (l->count == l->cap)
        return false;
    l->msgs[(l->head + l->count++) % l->cap] = m;
    return true;
}

static struct model_msg line_take(struct line *l)
{
    struct model_msg m = l->msgs[l->head];

    l->head = (l->head + 1) % l->cap;
    l->count--;
    return m;
}

static bool is_due(const struct line *l, uint64_t now_us)
{
    return l->count > 0 && l->msgs[l->head].at_us <= now_us;
}

static void arrive(struct model *m, uint32_t call, unsigned step, uint64_t at_us)
{
    if (!line_put(&m->queue, (struct model_msg){at_us, call, (uint8_t)step}))
        m->dropped++;
}

static unsigned draw(struct model *m)
{
    m->lot = m->lot * 1664525u + 1013904223u;
    return (m->lot >> 16) % 100;
}

static void begin_call(struct model *m)
{
    uint64_t at_us = (uint64_t)m->next_us;

    if (m->obeys && draw(m) < pressure_loss_percent(&m->pressure))
        return;
    assert_true(m->n_calls < CALLS_MAX);
    m->calls[m->n_calls] = (struct model_call){.began_us = at_us};
    arrive(m, m->n_calls, 0, at_us);
    assert_true(line_put(&m->copies, (struct model_msg){at_us + T1_US, m->n_calls, 0}));
    m->n_calls++;
}

/* All that has come by now. */
static void let_arrive(struct model *m, double gap_us)
{
    while (m->next_us <= (double)m->now_us) {
        begin_call(m);
        m->next_us += gap_us;
    }
    while (is_due(&m->peers, m->now_us)) {
        struct model_msg msg = line_take(&m->peers);

        arrive(m, msg.call, msg.step, msg.at_us);
    }
    while (is_due(&m->copies, m->now_us)) {
        struct model_msg msg = line_take(&m->copies);
        struct model_call *c = &m->calls[msg.call];

        if (c->step == 0 && !c->is_refused)
            arrive(m, msg.call, 0, msg.at_us);
    }
}

static void handle(struct model *m)
{
    struct model_msg msg = line_take(&m->queue);
    struct model_call *c = &m->calls[msg.call];
    uint32_t waited_us = (uint32_t)(m->now_us - msg.at_us);

    (void)pressure_note(&m->pressure, m->now_us / 1000, waited_us, m->dropped);
    m->dropped = 0;
    (void)pressure_tick(&m->pressure, m->now_us / 1000);
    pressure_count(&m->pressure);
    if (m->now_us > RUN_US / 2 && waited_us > m->waited_max_us)
        m->waited_max_us = waited_us;
    if (msg.step == 0 && c->step == 0 && !c->is_refused)
        c->is_refused = pressure_refuses(&m->pressure, m->now_us / 1000, m->obeys);
    m->now_us += c->is_refused ? m->refusal_us : SERVICE_US;
    if (msg.step != c->step || c->is_refused)
        return;
    if (++c->step < CALL_MSGS)
        assert_true(line_put(&m->peers, (struct model_msg){m->now_us + PEER_US, msg.call, c->step}));
    else if (m->now_us - c->began_us <= PATIENCE_US && m->now_us > RUN_US / 3)
        m->completed++;
}

struct outcome {
    double goodput; /* part of the capacity */
    uint32_t waited_max_us;
};

/* load: calls offered, as a part of the capacity. */
static struct outcome run_model(double load, const struct pressure_opts *admission, unsigned refusal_us,
                                bool obeys)
{
    struct model m = {.opts = *admission, .refusal_us = refusal_us, .obeys = obeys, .lot = 1};
    const double gap_us = 1000000.0 / (load * CAPACITY);

    m.calls = malloc(CALLS_MAX * sizeof(*m.calls));
    assert_non_null(m.calls);
    line_new(&m.queue, QUEUE_MAX);
    line_new(&m.peers, CALLS_MAX);
    line_new(&m.copies, CALLS_MAX);
    pressure_init(&m.pressure, &m.opts, 0);
    while (m.now_us < RUN_US) {
        let_arrive(&m, gap_us);
        if (m.queue.count > 0)
            handle(&m);
        else
            m.now_us += SERVICE_US;
    }
    free(m.calls);
    free(m.queue.msgs);
    free(m.peers.msgs);
    free(m.copies.msgs);
    return (struct outcome){(double)m.completed / (CAPACITY * RUN_US / 1000000 * 2 / 3), m.waited_max_us};
}

#define CHEAP_US 1u /* of refusing, a sixtieth of a call */

static void goodput_stays_above_nine_tenths_up_to_five_times_the_capacity(void **state)
{
    static const double loads[] = {1.0, 1.2, 2.0, 5.0};

    (void)state;
    for (size_t i = 0; i < sizeof(loads) / sizeof(loads[0]); i++) {
        struct outcome o = run_model(loads[i], &opts, CHEAP_US, false);

        print_message("load %.1f: goodput %.3f, longest wait %u us\n", loads[i], o.goodput, o.waited_max_us);
        assert_true(o.goodput >= 0.9);
        assert_true(o.waited_max_us <= 2 * TARGET_US);
    }
}

static void without_it_the_same_load_leaves_nothing(void **state)
{
    struct pressure_opts off = opts;
    struct outcome o;

    (void)state;
    off.is_off = true;
    o = run_model(2.0, &off, CHEAP_US, false);
    print_message("off, load 2: goodput %.3f, longest wait %u us\n", o.goodput, o.waited_max_us);
    assert_true(o.goodput < 0.7);
}

/* RFC 7339: what is not sent costs nothing, so even a refusal as dear as a whole message leaves most of the goodput. */
static void with_neighbours_that_obey_a_dear_refusal_does_no_harm(void **state)
{
    struct outcome o;

    (void)state;
    o = run_model(5.0, &opts, SERVICE_US, true);
    print_message("obeying, load 5, dear refusals: goodput %.3f, longest wait %u us\n", o.goodput,
                  o.waited_max_us);
    assert_true(o.goodput >= 0.85);
}

static void below_saturation_nothing_is_refused(void **state)
{
    struct outcome o;

    (void)state;
    o = run_model(0.9, &opts, CHEAP_US, false);
    assert_true(o.goodput > 0.89 && o.goodput < 0.91);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_begins_when_the_shortest_wait_of_an_interval_is_above_the_target),
        cmocka_unit_test(one_short_wait_begins_the_interval_again),
        cmocka_unit_test(a_queue_that_has_overflowed_is_no_burst),
        cmocka_unit_test(a_process_that_was_kept_from_running_for_long_refuses_nothing),
        cmocka_unit_test(what_came_after_the_one_before_was_handled_had_an_empty_queue),
        cmocka_unit_test(it_ends_when_nothing_has_waited_too_long_for_ten_intervals),
        cmocka_unit_test(a_process_that_was_kept_from_running_refuses_nothing),
        cmocka_unit_test(who_obeys_is_believed_until_twice_the_target),
        cmocka_unit_test(a_queue_that_is_full_before_the_target_makes_a_target_of_its_own),
        cmocka_unit_test(the_loss_asked_for_follows_what_is_refused),
        cmocka_unit_test(the_loss_asked_for_goes_back_faster_when_there_is_room),
        cmocka_unit_test(a_loss_never_stops_all),
        cmocka_unit_test(goodput_stays_above_nine_tenths_up_to_five_times_the_capacity),
        cmocka_unit_test(without_it_the_same_load_leaves_nothing),
        cmocka_unit_test(with_neighbours_that_obey_a_dear_refusal_does_no_harm),
        cmocka_unit_test(below_saturation_nothing_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
