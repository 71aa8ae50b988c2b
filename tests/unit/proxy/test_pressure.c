/* Admission by waiting time, alone and in the model of a server: goodput past saturation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "overload_model.h"
#include "proxy/pressure.h"

#define TARGET_US   10000u
#define INTERVAL_MS 100u

static const struct pressure_opts opts = {.target_us = TARGET_US, .interval_ms = INTERVAL_MS};

static void press(struct pressure *p, ms_t *now_ms, uint32_t waited_us)
{
    for (unsigned i = 0; i <= INTERVAL_MS; i++)
        (void)pressure_note(p, ++*now_ms, 0, waited_us, 0);
}

static void it_begins_when_the_shortest_wait_of_an_interval_is_above_the_target(void **state)
{
    struct pressure p;
    ms_t now_ms = 1000;

    (void)state;
    pressure_init(&p, &opts, now_ms);
    for (unsigned i = 0; i < INTERVAL_MS; i++)
        assert_int_equal(pressure_note(&p, now_ms++, 0, TARGET_US + 1, 0), PRESSURE_SAME);
    assert_false(pressure_refuses(&p, now_ms, false));
    assert_int_equal(pressure_note(&p, now_ms, 0, TARGET_US + 1, 0), PRESSURE_BEGUN);
    assert_true(pressure_refuses(&p, now_ms, false));
}

static void one_short_wait_begins_the_interval_again(void **state)
{
    struct pressure p;
    ms_t now_ms = 1000;

    (void)state;
    pressure_init(&p, &opts, now_ms);
    for (unsigned i = 0; i < INTERVAL_MS; i++)
        assert_int_equal(pressure_note(&p, now_ms++, 0, TARGET_US + 1, 0), PRESSURE_SAME);
    (void)pressure_note(&p, now_ms++, 0, TARGET_US, 0);
    for (unsigned i = 0; i < INTERVAL_MS; i++)
        assert_int_equal(pressure_note(&p, now_ms++, 0, TARGET_US + 1, 0), PRESSURE_SAME);
    assert_int_equal(pressure_note(&p, now_ms, 0, TARGET_US + 1, 0), PRESSURE_BEGUN);
}

/* A second socket, or connections, where little comes. */
static void a_short_queue_says_nothing_of_another(void **state)
{
    struct pressure p;
    ms_t now_ms = 1000;

    (void)state;
    pressure_init(&p, &opts, now_ms);
    for (unsigned i = 0; i < INTERVAL_MS; i++) {
        assert_int_equal(pressure_note(&p, now_ms, 1, TARGET_US + 1, 0), PRESSURE_SAME);
        assert_int_equal(pressure_note(&p, now_ms++, PRESSURE_QUEUES + 5, 0, 0), PRESSURE_SAME);
    }
    assert_int_equal(pressure_note(&p, now_ms, 1, TARGET_US + 1, 0), PRESSURE_BEGUN);
    assert_true(pressure_refuses(&p, now_ms, false));
    (void)pressure_note(&p, now_ms, PRESSURE_QUEUES + 5, TARGET_US + 1, 0);
    assert_false(pressure_refuses(&p, now_ms, false));
    (void)pressure_note(&p, now_ms, 1, TARGET_US + 1, 0);
    assert_true(pressure_refuses(&p, now_ms, false));
}

static void each_listener_there_can_be_has_a_queue(void **state)
{
    enum { LISTENERS_MAX = 255, QUEUES_BEFORE = 2 };
    struct pressure p;
    ms_t now_ms = 1000;

    (void)state;
    pressure_init(&p, &opts, now_ms);
    for (unsigned i = 0; i <= INTERVAL_MS; i++) {
        (void)pressure_note(&p, now_ms, QUEUES_BEFORE + LISTENERS_MAX - 1, TARGET_US + 1, 0);
        (void)pressure_note(&p, now_ms++, QUEUES_BEFORE + LISTENERS_MAX - 2, 0, 0);
    }
    (void)pressure_note(&p, now_ms, QUEUES_BEFORE + LISTENERS_MAX - 1, TARGET_US + 1, 0);
    assert_true(pressure_refuses(&p, now_ms, false));
}

/* What is dropped comes again at T1, on top of what comes then. */
static void a_queue_that_has_overflowed_is_no_burst(void **state)
{
    struct pressure p;
    ms_t now_ms = 1000;

    (void)state;
    pressure_init(&p, &opts, now_ms);
    assert_int_equal(pressure_note(&p, now_ms, 0, 3 * TARGET_US, 1), PRESSURE_SAME);
    assert_int_equal(pressure_note(&p, now_ms + TARGET_US / 1000 - 1, 0, 3 * TARGET_US, 0), PRESSURE_SAME);
    assert_int_equal(pressure_note(&p, now_ms + TARGET_US / 1000, 0, 3 * TARGET_US, 0), PRESSURE_BEGUN);
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
            assert_int_equal(pressure_note(&p, now_ms++, 0, left_ms * TARGET_US, left_ms == 10),
                             PRESSURE_SAME);
            assert_false(pressure_refuses(&p, now_ms, false));
        }
        assert_int_equal(pressure_note(&p, now_ms++, 0, 0, 0), PRESSURE_SAME);
    }
    /* And what is a burst after that has the interval. */
    for (unsigned i = 0; i < INTERVAL_MS; i++)
        assert_int_equal(pressure_note(&p, now_ms++, 0, TARGET_US + 1, 0), PRESSURE_SAME);
}

/* Few messages on a machine that is busy with something else. */
static void what_came_after_the_one_before_was_handled_had_an_empty_queue(void **state)
{
    struct pressure p;

    (void)state;
    pressure_init(&p, &opts, 1000);
    for (ms_t now_ms = 1000; now_ms < 3000; now_ms += 52)
        assert_int_equal(pressure_note(&p, now_ms, 0, 50000, 0), PRESSURE_SAME);
    for (ms_t now_ms = 3000; now_ms < 3100; now_ms += 50)
        assert_int_equal(pressure_note(&p, now_ms, 0, 50000, 0), PRESSURE_SAME);
    assert_int_equal(pressure_note(&p, 3100, 0, 50000, 0), PRESSURE_BEGUN);
}

static void it_ends_when_nothing_has_waited_too_long_for_ten_intervals(void **state)
{
    struct pressure p;
    ms_t now_ms = 1000;

    (void)state;
    pressure_init(&p, &opts, now_ms);
    press(&p, &now_ms, TARGET_US + 1);
    assert_int_equal(pressure_note(&p, now_ms + 10 * INTERVAL_MS, 0, 0, 0), PRESSURE_SAME);
    assert_int_equal(pressure_tick(&p, now_ms + 10 * INTERVAL_MS + 1), PRESSURE_ENDED);
    assert_false(pressure_is_felt(&p));
}

/* The processor was another's for a while: all that has come meanwhile has waited, and is handled at
 * once. */
static void a_process_that_was_kept_from_running_refuses_nothing(void **state)
{
    struct pressure p;
    ms_t now_ms = 1000;

    (void)state;
    pressure_init(&p, &opts, now_ms);
    press(&p, &now_ms, 5 * TARGET_US);
    assert_true(pressure_refuses(&p, now_ms, false));
    (void)pressure_note(&p, now_ms, 0, 0, 0);
    for (unsigned i = 1; i < INTERVAL_MS; i++) {
        (void)pressure_note(&p, ++now_ms, 0, 5 * TARGET_US, 0);
        assert_false(pressure_refuses(&p, now_ms, false));
    }
    (void)pressure_note(&p, ++now_ms, 0, 5 * TARGET_US, 0);
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
    (void)pressure_note(&p, now_ms, 0, 2 * TARGET_US + 1, 0);
    assert_true(pressure_refuses(&p, now_ms, true));
}

static void a_queue_that_is_full_before_the_target_makes_a_target_of_its_own(void **state)
{
    struct pressure p;
    ms_t now_ms = 1000;

    (void)state;
    pressure_init(&p, &opts, now_ms);
    (void)pressure_note(&p, now_ms, 0, 2000, 1);
    press(&p, &now_ms, 1001);
    assert_true(pressure_refuses(&p, now_ms, false));
    (void)pressure_note(&p, now_ms, 0, 1000, 0);
    assert_false(pressure_refuses(&p, now_ms, false));
    for (unsigned i = 0; i < 100; i++)
        (void)pressure_note(&p, now_ms += 10 * INTERVAL_MS, 0, 0, 0);
    press(&p, &now_ms, TARGET_US);
    assert_false(pressure_refuses(&p, now_ms, false));
}

/* 200 ms in which so many requests come that begin something, and as many others, of which so many are
 * refused. They came in that time; what remains in the queue waits for so long. */
static void play_period(struct pressure *p, ms_t *now_ms, unsigned requests, unsigned refused, bool obeys,
                        uint32_t waited_us)
{
    for (unsigned i = 0; i < 40; i++)
        (void)pressure_note(p, *now_ms += 5, 0, refused > 0 ? 3 * TARGET_US : waited_us, 0);
    for (unsigned i = 0; i < requests; i++) {
        if (i == refused)
            (void)pressure_note(p, *now_ms, 0, waited_us, 0);
        pressure_count(p);
        pressure_count(p);
        (void)pressure_refuses(p, *now_ms, obeys);
    }
    (void)pressure_note(p, *now_ms, 0, waited_us, 0);
    (void)pressure_tick(p, *now_ms);
}

static void overload(struct pressure *p, ms_t *now_ms)
{
    pressure_init(p, &opts, *now_ms);
    press(p, now_ms, TARGET_US + 1);
    assert_int_equal(pressure_loss_percent(p), 0);
}

/* RFC 7339 section 7.1: in percent, of all requests. Half of what was refused was sent before its
 * clients could hear of a loss. */
static void the_loss_asked_for_follows_what_is_refused(void **state)
{
    struct pressure p;
    ms_t now_ms = 1000;

    (void)state;
    overload(&p, &now_ms);
    play_period(&p, &now_ms, 100, 80, true, TARGET_US);
    assert_int_equal(pressure_loss_percent(&p), 20);
    /* A quarter of the 80 of 100 that still come. */
    play_period(&p, &now_ms, 100, 100, true, TARGET_US);
    assert_int_equal(pressure_loss_percent(&p), 40);
    for (unsigned i = 0; i < 100; i++)
        (void)pressure_tick(&p, now_ms += 200);
    assert_int_equal(pressure_loss_percent(&p), 0);
}

/* Who does not take part is refused what he sends too much: others are asked for the same part, each
 * time. */
static void the_loss_asked_for_is_what_others_are_refused(void **state)
{
    struct pressure p;
    ms_t now_ms = 1000;

    (void)state;
    overload(&p, &now_ms);
    for (unsigned i = 0; i < 10; i++)
        play_period(&p, &now_ms, 100, 80, false, TARGET_US);
    assert_int_equal(pressure_loss_percent(&p), 40);
}

/* What came before the last loss was heard of is not counted: it waited for longer than that. */
static void what_was_sent_before_the_last_loss_says_nothing_about_it(void **state)
{
    struct pressure p;
    ms_t now_ms = 1000;
    ms_t said_ms;

    (void)state;
    overload(&p, &now_ms);
    play_period(&p, &now_ms, 100, 100, true, TARGET_US);
    assert_int_equal(pressure_loss_percent(&p), 25);
    said_ms = p.loss_ms;
    for (unsigned i = 1; i <= 4; i++) {
        for (unsigned n = 0; n < 20; n++)
            (void)pressure_note(&p, now_ms += 5, 0, i * 100000 + 1000, 0);
        for (unsigned n = 0; n < 100; n++)
            (void)pressure_refuses(&p, now_ms, true);
        (void)pressure_tick(&p, now_ms);
        assert_int_equal(pressure_loss_percent(&p), 25);
    }
    /* But it is said again in time. */
    assert_true(p.loss_ms > said_ms);
}

static void the_loss_asked_for_keeps_the_wait_at_the_target(void **state)
{
    struct pressure p;
    ms_t now_ms = 1000;
    uint32_t before;

    (void)state;
    overload(&p, &now_ms);
    play_period(&p, &now_ms, 100, 100, true, TARGET_US);
    play_period(&p, &now_ms, 100, 0, true, TARGET_US);
    before = p.loss;
    play_period(&p, &now_ms, 100, 0, true, TARGET_US);
    assert_int_equal(p.loss, before);
    for (unsigned i = 0; i < 2; i++) {
        play_period(&p, &now_ms, 100, 0, true, TARGET_US * 3 / 2);
        assert_true(p.loss > before);
        before = p.loss;
    }
    play_period(&p, &now_ms, 100, 0, true, TARGET_US / 2);
    assert_true(p.loss < before);
    before = p.loss;
    /* What grows will be too long, whatever comes elsewhere. */
    (void)pressure_note(&p, now_ms + 1, 2, 0, 0);
    play_period(&p, &now_ms, 100, 0, true, TARGET_US);
    assert_true(p.loss > before);
}

/* None has been told for a second, and what was said is valid for so long. */
static void a_loss_that_nobody_heard_of_is_forgotten(void **state)
{
    struct pressure p;
    ms_t now_ms = 1000;

    (void)state;
    overload(&p, &now_ms);
    play_period(&p, &now_ms, 100, 100, true, TARGET_US);
    (void)pressure_tick(&p, now_ms += 1000);
    assert_int_equal(pressure_loss_percent(&p), 0);
}

/* The queue was empty meanwhile: half of what is missing to what was done before, and a little more. */
static void the_loss_asked_for_goes_back_fast_when_there_is_room(void **state)
{
    struct pressure p;
    ms_t now_ms = 1000;

    (void)state;
    overload(&p, &now_ms);
    play_period(&p, &now_ms, 100, 100, true, TARGET_US);
    play_period(&p, &now_ms, 100, 100, true, TARGET_US);
    play_period(&p, &now_ms, 100, 0, true, TARGET_US);
    assert_in_range(pressure_loss_percent(&p), 43, 45);
    play_period(&p, &now_ms, 20, 0, true, 0);
    /* 40 requests, of which 80 / 2 + 20 / 8 + 1 more, but for no more than half of 40 */
    assert_in_range(pressure_loss_percent(&p), 14, 17);
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

#define CHEAP_US 1u  /* of refusing, with its ACK a twenty-fifth of a call */
#define PLAIN_US 4u  /* from an outline */
#define DEAR_US  10u /* of one that asks for oc, which is parsed */

static const double loads[] = {1.0, 1.2, 1.5, 2.0, 3.0, 5.0};

/* g calls, and load - g refusals, take all the time. */
static double left_by_refusing(double load, unsigned refusal_us)
{
    double cost = (double)(refusal_us + cost_us[ACK_OF_503]) / CALL_US;

    return (1 - load * cost) / (1 - cost);
}

static void what_refusing_leaves_is_goodput_soon_after_the_load_begins(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(loads) / sizeof(loads[0]); i++) {
        struct outcome o = run_model(loads[i], PLAIN, PLAIN_US, false);

        assert_true(o.soon >= left_by_refusing(loads[i], PLAIN_US) * 0.95);
        assert_true(o.later >= left_by_refusing(loads[i], PLAIN_US) * 0.95);
    }
}

/* If the interval were waited for it would be four times as many, and they come again. */
static void the_queue_overflows_for_a_moment_only(void **state)
{
    (void)state;
    assert_true(run_model(5.0, PLAIN, PLAIN_US, false).lost < 4000);
}

static void goodput_stays_near_nine_tenths_where_refusing_is_cheap(void **state)
{
    struct outcome o;

    (void)state;
    o = run_model(5.0, PLAIN, CHEAP_US, false);
    assert_true(o.soon >= 0.8 && o.later >= 0.8);
}

static void without_it_little_is_left(void **state)
{
    struct outcome o;

    (void)state;
    o = run_model(5.0, PLAIN, PLAIN_US, true);
    assert_true(o.soon < 0.2 && o.later < 0.2);
}

/* RFC 7339: what is not sent costs nothing. */
static void with_neighbours_that_obey_goodput_stays_above_nine_tenths(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(loads) / sizeof(loads[0]); i++) {
        struct outcome o = run_model(loads[i], OBEYING, DEAR_US, false);

        assert_true(o.soon >= 0.93 && o.later >= 0.93);
    }
}

/* RFC 7339 section 5.10.2: "SIP clients that do not support this specification don't receive an unfair
 * advantage over those that do". */
static void who_obeys_is_not_pushed_aside_by_who_does_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(loads) / sizeof(loads[0]); i++)
        assert_true(run_model(loads[i], BY_TURNS, PLAIN_US, false).obeying >= 0.25);
}

static void below_saturation_nothing_is_refused(void **state)
{
    struct outcome o;

    (void)state;
    o = run_model(0.9, PLAIN, PLAIN_US, false);
    assert_true(o.soon > 0.89 && o.soon < 0.91);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_begins_when_the_shortest_wait_of_an_interval_is_above_the_target),
        cmocka_unit_test(one_short_wait_begins_the_interval_again),
        cmocka_unit_test(a_short_queue_says_nothing_of_another),
        cmocka_unit_test(each_listener_there_can_be_has_a_queue),
        cmocka_unit_test(a_queue_that_has_overflowed_is_no_burst),
        cmocka_unit_test(a_process_that_was_kept_from_running_for_long_refuses_nothing),
        cmocka_unit_test(what_came_after_the_one_before_was_handled_had_an_empty_queue),
        cmocka_unit_test(it_ends_when_nothing_has_waited_too_long_for_ten_intervals),
        cmocka_unit_test(a_process_that_was_kept_from_running_refuses_nothing),
        cmocka_unit_test(who_obeys_is_believed_until_twice_the_target),
        cmocka_unit_test(a_queue_that_is_full_before_the_target_makes_a_target_of_its_own),
        cmocka_unit_test(the_loss_asked_for_follows_what_is_refused),
        cmocka_unit_test(the_loss_asked_for_is_what_others_are_refused),
        cmocka_unit_test(what_was_sent_before_the_last_loss_says_nothing_about_it),
        cmocka_unit_test(the_loss_asked_for_keeps_the_wait_at_the_target),
        cmocka_unit_test(a_loss_that_nobody_heard_of_is_forgotten),
        cmocka_unit_test(the_loss_asked_for_goes_back_fast_when_there_is_room),
        cmocka_unit_test(a_loss_never_stops_all),
        cmocka_unit_test(what_refusing_leaves_is_goodput_soon_after_the_load_begins),
        cmocka_unit_test(the_queue_overflows_for_a_moment_only),
        cmocka_unit_test(goodput_stays_near_nine_tenths_where_refusing_is_cheap),
        cmocka_unit_test(without_it_little_is_left),
        cmocka_unit_test(with_neighbours_that_obey_goodput_stays_above_nine_tenths),
        cmocka_unit_test(who_obeys_is_not_pushed_aside_by_who_does_not),
        cmocka_unit_test(below_saturation_nothing_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
