#include "base/mem.h"
#include "base/mpsc.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs those above. */
#include <cmocka.h>

#include <pthread.h>
#include <sched.h>

enum { THREADS = 4, ITEMS_PER_THREAD = 50000 };

struct item {
    unsigned thread, number;
};

struct producer {
    struct mpsc *queue;
    struct item *items;
};

static void is_bounded_and_first_in_first_out(void **state)
{
    struct item items[9];
    struct mpsc queue;

    (void)state;
    assert_int_equal(mpsc_init(&queue, 8), 0);
    for (int round = 0; round < 5; round++) { /* the ring wraps */
        assert_null(mpsc_take(&queue));
        for (int i = 0; i < 8; i++)
            assert_int_equal(mpsc_put(&queue, &items[i]), 0);
        assert_int_equal(mpsc_put(&queue, &items[8]), ERR_AGAIN);
        assert_ptr_equal(mpsc_take(&queue), &items[0]);
        assert_int_equal(mpsc_put(&queue, &items[8]), 0);
        for (int i = 1; i < 9; i++)
            assert_ptr_equal(mpsc_take(&queue), &items[i]);
    }
    mpsc_done(&queue);
}

static void the_smallest_queue_works(void **state)
{
    struct item a, b;
    struct mpsc queue;

    (void)state;
    assert_int_equal(mpsc_init(&queue, 0), 0);
    for (int round = 0; round < 5; round++) {
        assert_int_equal(mpsc_put(&queue, &a), 0);
        assert_int_equal(mpsc_put(&queue, &b), 0);
        assert_int_equal(mpsc_put(&queue, &a), ERR_AGAIN);
        assert_ptr_equal(mpsc_take(&queue), &a);
        assert_ptr_equal(mpsc_take(&queue), &b);
        assert_null(mpsc_take(&queue));
    }
    mpsc_done(&queue);
}

static void *produce(void *arg)
{
    struct producer *p = arg;

    for (int i = 0; i < ITEMS_PER_THREAD; i++)
        while (mpsc_put(p->queue, &p->items[i]) != 0)
            sched_yield();
    return NULL;
}

static void items_of_many_threads_all_arrive_and_each_thread_s_in_order(void **state)
{
    static struct item items[THREADS][ITEMS_PER_THREAD];
    struct producer producers[THREADS];
    pthread_t threads[THREADS];
    unsigned next[THREADS] = {0}, taken = 0;
    struct mpsc queue;

    (void)state;
    assert_int_equal(mpsc_init(&queue, 64), 0); /* small, so that it is often full */
    for (unsigned t = 0; t < THREADS; t++) {
        for (unsigned i = 0; i < ITEMS_PER_THREAD; i++)
            items[t][i] = (struct item){.thread = t, .number = i};
        producers[t] = (struct producer){.queue = &queue, .items = items[t]};
        assert_int_equal(pthread_create(&threads[t], NULL, produce, &producers[t]), 0);
    }
    while (taken < THREADS * ITEMS_PER_THREAD) {
        struct item *item = mpsc_take(&queue);

        if (!item) {
            sched_yield();
            continue;
        }
        assert_int_equal(item->number, next[item->thread]++);
        taken++;
    }
    for (unsigned t = 0; t < THREADS; t++)
        assert_int_equal(pthread_join(threads[t], NULL), 0);
    mpsc_done(&queue);
}

static void no_memory_and_absurd_sizes_are_errors(void **state)
{
    struct mpsc queue;

    (void)state;
    mem_fail_after(0);
    assert_int_equal(mpsc_init(&queue, 8), ERR_NOMEM);
    mem_fail_after(-1);
    assert_int_equal(mpsc_init(&queue, SIZE_MAX), ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_bounded_and_first_in_first_out),
        cmocka_unit_test(the_smallest_queue_works),
        cmocka_unit_test(items_of_many_threads_all_arrive_and_each_thread_s_in_order),
        cmocka_unit_test(no_memory_and_absurd_sizes_are_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
