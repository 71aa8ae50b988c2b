/* Shared by the tests of net: cmocka, loopback addresses, and turning a loop until something has happened. */
#ifndef TEST_NET_SUPPORT_H
#define TEST_NET_SUPPORT_H

#include "base/addr.h"
#include "base/mem.h"
#include "net/loop.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs those above. */
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* How long something that must happen may take; far more than it ever does. */
#define PATIENCE_MS 10000

static inline struct addr at(const char *text)
{
    struct addr a;

    if (addr_parse(slice_from_cstr(text), &a) != 0)
        fail_msg("%s does not parse", text);
    return a;
}

static inline struct net_loop *new_loop(void)
{
    struct net_loop *loop = NULL;

    assert_int_equal(net_loop_new(&loop), 0);
    return loop;
}

/* Turns until condition holds. */
#define turn_until(loop, condition)                                                                          \
    do {                                                                                                     \
        ms_t give_up_ms = clock_monotonic_ms() + PATIENCE_MS;                                                \
        while (!(condition)) {                                                                               \
            if (clock_monotonic_ms() > give_up_ms)                                                           \
                fail_msg("waited in vain for %s", #condition);                                               \
            net_loop_turn((loop), clock_monotonic_ms() + 50);                                                \
        }                                                                                                    \
    } while (0)

static inline void turn_for_ms(struct net_loop *loop, ms_t duration_ms)
{
    ms_t end_ms = clock_monotonic_ms() + duration_ms;

    while (clock_monotonic_ms() < end_ms)
        net_loop_turn(loop, end_ms);
    for (int i = 0; i < 3; i++) /* whatever there is, however long this process did not run */
        net_loop_turn(loop, 0);
}

/* Of a child: what it was to try cannot be tried here. */
#define EXIT_NOT_TESTED 77

/* Runs try in a process of its own, which may leave this network namespace, and ends it with 0 when all was
 * as it should be. */
static inline void succeeds_in_a_child(void (*try)(void), const char *needs)
{
    pid_t child = fork();
    int status;

    assert_true(child >= 0);
    if (child == 0) {
        try();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == EXIT_NOT_TESTED) {
        print_message("NOT TESTED: needs %s\n", needs);
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

static inline bool ipv6_is_here(void)
{
    FILE *f = fopen("/proc/net/if_inet6", "r");
    bool here = f && fgetc(f) != EOF;

    if (f)
        fclose(f);
    if (!here)
        print_message("SKIPPED: this machine has no IPv6\n");
    return here;
}

#endif
