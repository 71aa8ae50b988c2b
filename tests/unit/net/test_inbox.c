#include "net/inbox.h"
#include "support.h"
#include <pthread.h>
#include <sched.h>

enum { THREADS = 4, ITEMS_PER_THREAD = 30000 };

struct reader {
    struct net_hook hook;
    struct net_inbox *inbox;
    unsigned next[THREADS], taken, turns;
};

struct writer {
    struct net_inbox *inbox;
    unsigned thread;
};

/* An item is its own name: thread and number, never NULL. */
static void *item_of(unsigned thread, unsigned number)
{
    return (void *)(uintptr_t)((number + 1) * THREADS + thread);
}

static void drain(struct net_hook *hook)
{
    struct reader *r = list_entry(hook, struct reader, hook);
    void *item;

    r->turns++;
    while ((item = net_inbox_take(r->inbox))) {
        unsigned thread = (uintptr_t)item % THREADS;

        assert_ptr_equal(item, item_of(thread, r->next[thread]));
        r->next[thread]++;
        r->taken++;
    }
}

static void *write_all(void *arg)
{
    struct writer *w = arg;

    for (unsigned i = 0; i < ITEMS_PER_THREAD; i++)
        while (net_inbox_put(w->inbox, item_of(w->thread, i)) != 0)
            sched_yield();
    return NULL;
}

/* The loop waits for ever: a lost wake-up would be a test that does not end. */
static void no_wake_up_is_lost(void **state)
{
    struct net_loop *loop = new_loop();
    struct reader reader = {.taken = 0};
    struct writer writers[THREADS];
    pthread_t threads[THREADS];

    (void)state;
    assert_int_equal(net_inbox_new(loop, 128, &reader.inbox), 0);
    net_hook_init(&reader.hook, drain);
    net_hook_add(loop, &reader.hook);
    for (unsigned t = 0; t < THREADS; t++) {
        writers[t] = (struct writer){.inbox = reader.inbox, .thread = t};
        assert_int_equal(pthread_create(&threads[t], NULL, write_all, &writers[t]), 0);
    }
    while (reader.taken < THREADS * ITEMS_PER_THREAD)
        net_loop_turn(loop, MS_NEVER);
    for (unsigned t = 0; t < THREADS; t++)
        assert_int_equal(pthread_join(threads[t], NULL), 0);
    net_hook_remove(loop, &reader.hook);
    net_inbox_free(reader.inbox);
    net_loop_free(loop);
}

static void one_wake_up_serves_a_batch(void **state)
{
    struct net_loop *loop = new_loop();
    struct reader reader = {.taken = 0};
    ms_t before_ms;

    (void)state;
    assert_int_equal(net_inbox_new(loop, 8, &reader.inbox), 0);
    net_hook_init(&reader.hook, drain);
    net_hook_add(loop, &reader.hook);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(net_inbox_put(reader.inbox, item_of(0, i)), 0);
    assert_int_equal(net_inbox_put(reader.inbox, item_of(0, 8)), ERR_AGAIN);
    net_loop_turn(loop, MS_NEVER);
    assert_int_equal(reader.taken, 8);
    before_ms = clock_monotonic_ms();
    net_loop_turn(loop, before_ms + 30);
    assert_true(clock_monotonic_ms() - before_ms >= 30); /* nothing woke it */
    assert_int_equal(net_inbox_put(reader.inbox, item_of(0, 8)), 0);
    net_loop_turn(loop, MS_NEVER);
    assert_int_equal(reader.taken, 9);
    net_hook_remove(loop, &reader.hook);
    net_inbox_free(reader.inbox);
    net_loop_free(loop);
}

static void no_memory_is_an_error(void **state)
{
    struct net_loop *loop = new_loop();
    int64_t held = mem_held_bytes();
    struct net_inbox *inbox;

    (void)state;
    for (int n = 0; n < 2; n++) {
        mem_fail_after(n);
        assert_int_equal(net_inbox_new(loop, 8, &inbox), ERR_NOMEM);
        mem_fail_after(-1);
        assert_int_equal(mem_held_bytes(), held);
    }
    net_inbox_free(NULL);
    net_loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_wake_up_is_lost),
        cmocka_unit_test(one_wake_up_serves_a_batch),
        cmocka_unit_test(no_memory_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
