#include "net/loop.h"
#include "support.h"
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static char history[64];

static void note(char c)
{
    size_t len = strlen(history);

    assert_true(len + 1 < sizeof(history));
    history[len] = c;
    history[len + 1] = '\0';
}

struct ear {
    struct net_watch watch;
    struct net_loop *loop;
    struct ear *stops; /* this one, when it hears something */
    int fds[2], heard;
};

static void on_heard(struct net_watch *watch, uint32_t events)
{
    struct ear *ear = list_entry(watch, struct ear, watch);
    char octet;

    assert_true(events & EPOLLIN);
    assert_int_equal(read(watch->fd, &octet, 1), 1);
    ear->heard++;
    note('w');
    if (ear->stops)
        net_watch_stop(ear->loop, &ear->stops->watch);
}

static void ear_open(struct ear *ear, struct net_loop *loop)
{
    *ear = (struct ear){.loop = loop, .watch = {.events = EPOLLIN, .fn = on_heard}};
    assert_int_equal(pipe(ear->fds), 0);
    ear->watch.fd = ear->fds[0];
    assert_int_equal(net_watch_start(loop, &ear->watch), 0);
}

static void ear_close(struct ear *ear)
{
    close(ear->fds[0]);
    close(ear->fds[1]);
}

static void speak(struct ear *ear)
{
    assert_int_equal(write(ear->fds[1], "x", 1), 1);
}

static int set_up(void **state)
{
    *state = new_loop();
    history[0] = '\0';
    return 0;
}

static int tear_down(void **state)
{
    int64_t held;

    net_loop_free(*state);
    held = mem_held_bytes();
    return held == 0 ? 0 : -1;
}

static void a_watch_runs_when_its_fd_is_ready_and_stops_when_told(void **state)
{
    struct net_loop *loop = *state;
    struct ear ear;

    ear_open(&ear, loop);
    net_loop_turn(loop, 0);
    assert_int_equal(ear.heard, 0);
    speak(&ear);
    net_loop_turn(loop, MS_NEVER);
    assert_int_equal(ear.heard, 1);
    speak(&ear);
    assert_int_equal(net_watch_change(loop, &ear.watch, 0), 0);
    net_loop_turn(loop, 0);
    assert_int_equal(ear.heard, 1);
    assert_int_equal(net_watch_change(loop, &ear.watch, EPOLLIN), 0);
    net_loop_turn(loop, MS_NEVER);
    assert_int_equal(ear.heard, 2);
    speak(&ear);
    net_watch_stop(loop, &ear.watch);
    net_loop_turn(loop, 0);
    assert_int_equal(ear.heard, 2);
    ear_close(&ear);
}

static void an_event_of_a_stopped_watch_is_forgotten_in_the_same_turn(void **state)
{
    struct net_loop *loop = *state;
    struct ear a, b;

    ear_open(&a, loop);
    ear_open(&b, loop);
    a.stops = &b;
    b.stops = &a;
    speak(&a);
    speak(&b);
    net_loop_turn(loop, MS_NEVER);
    assert_int_equal(a.heard + b.heard, 1);
    net_loop_turn(loop, 0);
    assert_int_equal(a.heard + b.heard, 1);
    net_watch_stop(loop, a.heard ? &a.watch : &b.watch);
    ear_close(&a);
    ear_close(&b);
}

struct remark {
    struct net_hook hook;
    struct net_loop *loop;
    char name;
    struct remark *removes, *queues;
    bool wants_again;
};

static void on_remark(struct net_hook *hook)
{
    struct remark *r = list_entry(hook, struct remark, hook);

    note(r->name);
    if (r->removes)
        net_hook_remove(r->loop, &r->removes->hook);
    if (r->queues)
        net_hook_once(r->loop, &r->queues->hook);
    if (r->wants_again)
        net_loop_again(r->loop);
}

static struct remark remark(struct net_loop *loop, char name)
{
    struct remark r = {.loop = loop, .name = name};

    return r;
}

static void hooks_run_in_order_after_watches_and_timers_and_one_shot_hooks_last(void **state)
{
    struct net_loop *loop = *state;
    struct remark a = remark(loop, 'a'), b = remark(loop, 'b'), last = remark(loop, 'z');
    struct ear ear;

    ear_open(&ear, loop);
    net_hook_init(&a.hook, on_remark);
    net_hook_init(&b.hook, on_remark);
    net_hook_init(&last.hook, on_remark);
    net_hook_add(loop, &a.hook);
    net_hook_add(loop, &b.hook);
    a.queues = &last; /* from within the hooks: still the same turn */
    speak(&ear);
    net_loop_turn(loop, MS_NEVER);
    assert_string_equal(history, "wabz");
    a.queues = NULL;
    net_loop_turn(loop, 0);
    assert_string_equal(history, "wabzab");
    net_hook_remove(loop, &a.hook);
    net_hook_remove(loop, &b.hook);
    net_watch_stop(loop, &ear.watch);
    ear_close(&ear);
}

static void a_hook_may_remove_itself_and_others(void **state)
{
    struct net_loop *loop = *state;
    struct remark a = remark(loop, 'a'), b = remark(loop, 'b'), c = remark(loop, 'c');

    net_hook_init(&a.hook, on_remark);
    net_hook_init(&b.hook, on_remark);
    net_hook_init(&c.hook, on_remark);
    net_hook_add(loop, &a.hook);
    net_hook_add(loop, &b.hook);
    net_hook_add(loop, &c.hook);
    a.removes = &b; /* which would be next */
    c.removes = &c;
    net_loop_turn(loop, 0);
    net_loop_turn(loop, 0);
    assert_string_equal(history, "aca");
    a.removes = &a;
    net_loop_turn(loop, 0);
    net_loop_turn(loop, 0);
    assert_string_equal(history, "acaa");
}

static void a_one_shot_hook_queued_while_they_run_waits_for_the_next_turn_which_does_not_wait(void **state)
{
    struct net_loop *loop = *state;
    struct remark a = remark(loop, 'a');
    ms_t before_ms;

    net_hook_init(&a.hook, on_remark);
    a.queues = &a;
    net_hook_once(loop, &a.hook);
    net_hook_once(loop, &a.hook); /* waiting already */
    before_ms = clock_monotonic_ms();
    net_loop_turn(loop, MS_NEVER);
    assert_string_equal(history, "a");
    a.queues = NULL;
    net_loop_turn(loop, MS_NEVER);
    assert_string_equal(history, "aa");
    assert_true(clock_monotonic_ms() - before_ms < PATIENCE_MS);
}

static void again_spares_the_next_wait_unless_the_hooks_have_run_since(void **state)
{
    struct net_loop *loop = *state;
    struct remark a = remark(loop, 'a');
    ms_t before_ms = clock_monotonic_ms();

    net_loop_again(loop);
    net_loop_turn(loop, MS_NEVER);
    net_hook_init(&a.hook, on_remark);
    net_hook_add(loop, &a.hook);
    a.wants_again = true;
    net_loop_turn(loop, 0);
    net_loop_turn(loop, MS_NEVER); /* asked for by the hook of the turn before */
    a.wants_again = false;
    net_loop_turn(loop, MS_NEVER);
    assert_true(clock_monotonic_ms() - before_ms < PATIENCE_MS);
    before_ms = clock_monotonic_ms();
    net_loop_turn(loop, before_ms + 30); /* forgotten by now */
    assert_true(clock_monotonic_ms() - before_ms >= 30);
    net_hook_remove(loop, &a.hook);
}

static void on_timer(struct timer_wheel *wheel, struct timer *timer)
{
    (void)timer;
    assert_non_null(wheel->user);
    note('t');
}

static void a_turn_ends_its_wait_for_a_timer_of_the_loop_and_never_runs_it_early(void **state)
{
    struct net_loop *loop = *state;
    ms_t start_ms = clock_monotonic_ms();
    struct timer timer;

    timer_init(&timer, on_timer);
    timer_set(net_loop_wheel(loop), &timer, start_ms + 40);
    while (history[0] == '\0')
        net_loop_turn(loop, MS_NEVER);
    assert_true(clock_monotonic_ms() >= start_ms + 40);
    assert_true(net_loop_now_ms(loop) >= start_ms + 40);
    assert_string_equal(history, "t");
}

static void now_is_looked_at_once_a_turn(void **state)
{
    struct net_loop *loop = *state;
    ms_t now_ms;

    net_loop_turn(loop, 0);
    now_ms = net_loop_now_ms(loop);
    assert_true(clock_monotonic_ms() - now_ms < PATIENCE_MS);
    usleep(5000);
    assert_true(net_loop_now_ms(loop) == now_ms);
    net_loop_turn(loop, 0);
    assert_true(net_loop_now_ms(loop) >= now_ms + 5);
}

static void *wake_later(void *arg)
{
    usleep(20000);
    net_loop_wake(arg);
    return NULL;
}

static void another_thread_ends_the_wait(void **state)
{
    struct net_loop *loop = *state;
    pthread_t thread;
    ms_t before_ms = clock_monotonic_ms();

    net_loop_wake(loop); /* before it waits */
    net_loop_turn(loop, MS_NEVER);
    assert_int_equal(pthread_create(&thread, NULL, wake_later, loop), 0);
    net_loop_turn(loop, MS_NEVER);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(clock_monotonic_ms() - before_ms < PATIENCE_MS);
    before_ms = clock_monotonic_ms();
    net_loop_turn(loop, before_ms + 30); /* all wake-ups are used up */
    assert_true(clock_monotonic_ms() - before_ms >= 30);
}

static struct net_loop *loop_of_signal;

static void on_signal(int number)
{
    (void)number;
    net_loop_wake(loop_of_signal);
}

static void a_signal_handler_ends_the_wait(void **state)
{
    struct net_loop *loop = *state;
    struct sigaction action = {.sa_handler = on_signal}, before;
    ms_t before_ms = clock_monotonic_ms();

    loop_of_signal = loop;
    sigaction(SIGUSR1, &action, &before);
    raise(SIGUSR1);
    net_loop_turn(loop, MS_NEVER);
    assert_true(clock_monotonic_ms() - before_ms < PATIENCE_MS);
    sigaction(SIGUSR1, &before, NULL);
}

static void no_memory_is_an_error(void **state)
{
    struct net_loop *loop = NULL;

    (void)state;
    mem_fail_after(0);
    assert_int_equal(net_loop_new(&loop), ERR_NOMEM);
    mem_fail_after(-1);
    assert_null(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        T(a_watch_runs_when_its_fd_is_ready_and_stops_when_told),
        T(an_event_of_a_stopped_watch_is_forgotten_in_the_same_turn),
        T(hooks_run_in_order_after_watches_and_timers_and_one_shot_hooks_last),
        T(a_hook_may_remove_itself_and_others),
        T(a_one_shot_hook_queued_while_they_run_waits_for_the_next_turn_which_does_not_wait),
        T(again_spares_the_next_wait_unless_the_hooks_have_run_since),
        T(a_turn_ends_its_wait_for_a_timer_of_the_loop_and_never_runs_it_early),
        T(now_is_looked_at_once_a_turn),
        T(another_thread_ends_the_wait),
        T(a_signal_handler_ends_the_wait),
        T(no_memory_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
