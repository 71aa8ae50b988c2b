#include "base/timer.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs those above. */
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

enum { TIMERS = 400 };

struct item {
    struct timer timer;
    int id;
    bool set;         /* by the model */
    ms_t deadline_ms; /* by the model */
    uint64_t order;   /* in which the model set it */
};

/* What happened, told by the wheel and by the model alike: both run the same actions. */
struct world {
    struct timer_wheel wheel;
    struct item items[TIMERS];
    uint64_t next_order;
    uint64_t seed;
    bool acting; /* timer functions set and stop others */
    int fired;
    ms_t now_before, target;
};

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

static ms_t random_delay(uint64_t *seed)
{
    static const ms_t spans[] = {1, 3, 300, 5000, 70000, 20000000, UINT64_C(1) << 33, UINT64_C(1) << 41};

    return next_random(seed) % spans[next_random(seed) % (sizeof(spans) / sizeof(spans[0]))];
}

static void set(struct world *w, struct item *item, ms_t deadline_ms)
{
    timer_set(&w->wheel, &item->timer, deadline_ms);
    item->set = true;
    item->deadline_ms = deadline_ms > w->wheel.now_ms ? deadline_ms : w->wheel.now_ms;
    item->order = w->next_order++;
}

static void stop(struct world *w, struct item *item)
{
    timer_stop(&w->wheel, &item->timer);
    item->set = false;
}

static struct item *model_first(struct world *w)
{
    struct item *first = NULL;

    for (int i = 0; i < TIMERS; i++) {
        struct item *item = &w->items[i];

        if (item->set && (!first || item->deadline_ms < first->deadline_ms ||
                          (item->deadline_ms == first->deadline_ms && item->order < first->order)))
            first = item;
    }
    return first;
}

static void act(struct world *w, struct item *self)
{
    struct item *other = &w->items[next_random(&w->seed) % TIMERS];

    switch (next_random(&w->seed) % 5) {
    case 0:
        set(w, self, w->wheel.now_ms + 1 + random_delay(&w->seed));
        break;
    case 1:
        stop(w, other);
        break;
    case 2:
        set(w, other, w->wheel.now_ms + 1 + random_delay(&w->seed));
        break;
    default:
        break;
    }
}

static void fire(struct timer_wheel *wheel, struct timer *timer)
{
    struct world *w = wheel->user;
    struct item *item = (struct item *)(void *)timer, *first = model_first(w);

    assert_non_null(first);
    assert_int_equal(item->id, first->id);
    assert_false(timer_is_set(timer));
    assert_true(wheel->now_ms == item->deadline_ms);
    assert_true(wheel->now_ms <= w->target && wheel->now_ms >= w->now_before);
    item->set = false;
    w->fired++;
    if (w->acting)
        act(w, item);
}

static struct world *world_new(ms_t now_ms, uint64_t seed)
{
    struct world *w = calloc(1, sizeof(*w));

    timer_wheel_init(&w->wheel, now_ms, w);
    for (int i = 0; i < TIMERS; i++) {
        w->items[i].id = i;
        timer_init(&w->items[i].timer, fire);
    }
    w->seed = seed;
    return w;
}

static void advance(struct world *w, ms_t now_ms)
{
    w->now_before = w->wheel.now_ms;
    w->target = now_ms;
    timer_wheel_advance(&w->wheel, now_ms);
    assert_true(w->wheel.now_ms == now_ms);
}

static void expect_as_model(struct world *w)
{
    struct item *first = model_first(w);
    size_t count = 0;

    for (int i = 0; i < TIMERS; i++) {
        assert_int_equal(timer_is_set(&w->items[i].timer), w->items[i].set);
        count += w->items[i].set;
    }
    assert_int_equal(w->wheel.count, count);
    if (!first) {
        assert_true(timer_wheel_next_ms(&w->wheel) == MS_NEVER);
        return;
    }
    assert_true(timer_wheel_next_ms(&w->wheel) <= first->deadline_ms);
    assert_true(timer_wheel_next_ms(&w->wheel) >= w->wheel.now_ms);
    if (first->deadline_ms >> 8 == w->wheel.now_ms >> 8)
        assert_true(timer_wheel_next_ms(&w->wheel) == first->deadline_ms);
}

static void walk(ms_t start_ms, uint64_t seed, bool acting)
{
    struct world *w = world_new(start_ms, seed);

    w->acting = acting;
    for (int step = 0; step < 3000; step++) {
        struct item *item = &w->items[next_random(&w->seed) % TIMERS];

        switch (next_random(&w->seed) % 4) {
        case 0:
            advance(w, w->wheel.now_ms + random_delay(&w->seed) / 4);
            break;
        case 1:
            stop(w, item);
            break;
        default:
            set(w, item, w->wheel.now_ms + random_delay(&w->seed));
        }
        expect_as_model(w);
    }
    assert_true(w->fired > 100);
    free(w);
}

static void random_walk_agrees_with_a_naive_model(void **state)
{
    /* Also across the ends of blocks of every level and of the whole wheel. */
    static const ms_t starts[] = {
        0, 250, 65530, (UINT64_C(1) << 32) - 3, (UINT64_C(1) << 40) - 100, 1234567890123};

    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
            walk(starts[i], seed, false);
            walk(starts[i], seed, true);
        }
    }
}

struct log {
    char text[64];
    size_t len;
};

struct named {
    struct timer timer;
    char name;
    struct named *victim;
    ms_t again_ms;
};

static void write_name(struct timer_wheel *wheel, struct timer *timer)
{
    struct named *n = (struct named *)(void *)timer;
    struct log *log = wheel->user;

    log->text[log->len++] = n->name;
    log->text[log->len] = '\0';
    if (n->victim)
        timer_stop(wheel, &n->victim->timer);
    if (n->again_ms != MS_NEVER)
        timer_set(wheel, timer, wheel->now_ms + n->again_ms);
}

static void named_init(struct named *n, char name)
{
    *n = (struct named){.name = name, .again_ms = MS_NEVER};
    timer_init(&n->timer, write_name);
}

static void same_millisecond_fires_in_the_order_set(void **state)
{
    struct log log = {.len = 0};
    struct timer_wheel *wheel = malloc(sizeof(*wheel));
    struct named a, b, c;

    (void)state;
    timer_wheel_init(wheel, 0, &log);
    named_init(&a, 'a');
    named_init(&b, 'b');
    named_init(&c, 'c');
    timer_set(wheel, &b.timer, 70000); /* from far away, over two levels */
    timer_wheel_advance(wheel, 69000);
    timer_set(wheel, &a.timer, 70000);
    timer_wheel_advance(wheel, 69999);
    timer_set(wheel, &c.timer, 70000);
    timer_wheel_advance(wheel, 70000);
    assert_string_equal(log.text, "bac");
    free(wheel);
}

static void a_stopped_timer_does_not_fire_even_when_due_together(void **state)
{
    struct log log = {.len = 0};
    struct timer_wheel *wheel = malloc(sizeof(*wheel));
    struct named a, b;

    (void)state;
    timer_wheel_init(wheel, 0, &log);
    named_init(&a, 'a');
    named_init(&b, 'b');
    a.victim = &b;
    timer_set(wheel, &a.timer, 10);
    timer_set(wheel, &b.timer, 10);
    timer_wheel_advance(wheel, 1000);
    assert_string_equal(log.text, "a");
    assert_int_equal(wheel->count, 0);
    free(wheel);
}

static void one_long_step_gives_the_history_of_many_short_ones(void **state)
{
    struct log log = {.len = 0};
    struct timer_wheel *wheel = malloc(sizeof(*wheel));
    struct named a, b;

    (void)state;
    timer_wheel_init(wheel, 0, &log);
    named_init(&a, 'a');
    named_init(&b, 'b');
    a.again_ms = 100;
    b.again_ms = 250;
    timer_set(wheel, &a.timer, 100);
    timer_set(wheel, &b.timer, 250);
    timer_wheel_advance(wheel, 620);
    assert_string_equal(log.text, "aabaabaa");
    free(wheel);
}

static void no_delay_does_not_hold_up_the_thread(void **state)
{
    struct log log = {.len = 0};
    struct timer_wheel *wheel = malloc(sizeof(*wheel));
    struct named a;

    (void)state;
    timer_wheel_init(wheel, 500, &log);
    named_init(&a, 'a');
    a.again_ms = 0;
    timer_set(wheel, &a.timer, 3); /* long past */
    assert_true(timer_wheel_next_ms(wheel) == 500);
    timer_wheel_advance(wheel, 500);
    assert_string_equal(log.text, "a");
    timer_wheel_advance(wheel, 500);
    assert_string_equal(log.text, "aa");
    timer_wheel_advance(wheel, 400); /* the clock never goes back */
    assert_true(wheel->now_ms == 500);
    timer_stop(wheel, &a.timer);
    free(wheel);
}

static void far_deadlines_wait(void **state)
{
    struct log log = {.len = 0};
    struct timer_wheel *wheel = malloc(sizeof(*wheel));
    struct named a, b;

    (void)state;
    timer_wheel_init(wheel, 0, &log);
    named_init(&a, 'a');
    named_init(&b, 'b');
    timer_set(wheel, &a.timer, UINT64_C(3) << 40);
    timer_set(wheel, &b.timer, MS_NEVER);
    timer_wheel_advance(wheel, (UINT64_C(3) << 40) - 1);
    assert_string_equal(log.text, "");
    timer_wheel_advance(wheel, UINT64_C(3) << 40);
    assert_string_equal(log.text, "a");
    timer_stop(wheel, &b.timer);
    assert_true(timer_wheel_next_ms(wheel) == MS_NEVER);
    free(wheel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_walk_agrees_with_a_naive_model),
        cmocka_unit_test(same_millisecond_fires_in_the_order_set),
        cmocka_unit_test(a_stopped_timer_does_not_fire_even_when_due_together),
        cmocka_unit_test(one_long_step_gives_the_history_of_many_short_ones),
        cmocka_unit_test(no_delay_does_not_hold_up_the_thread),
        cmocka_unit_test(far_deadlines_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
