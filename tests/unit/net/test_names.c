#include "base/mem.h"
#include "net/names.h"
#include "support.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static uint32_t number_of(struct net_names *names, const char *text)
{
    uint32_t number = 0;

    assert_int_equal(net_names_number(names, slice_from_cstr(text), &number), 0);
    return number;
}

static void assert_text(struct net_names *names, uint32_t number, const char *expected)
{
    char text[NET_NAME_MAX_BYTES + 1];

    assert_int_equal(net_names_text(names, number, text), 0);
    assert_string_equal(text, expected);
}

static void assert_unknown(struct net_names *names, uint32_t number)
{
    char text[NET_NAME_MAX_BYTES + 1] = "as it was";

    assert_int_equal(net_names_text(names, number, text), ERR_NOTFOUND);
    assert_string_equal(text, "as it was");
}

static void test_one_name_has_one_number_without_case_and_final_dot(void **state)
{
    struct net_names *names;
    uint32_t number;

    (void)state;
    assert_int_equal(net_names_new(10, &names), 0);
    number = number_of(names, "Example.COM");
    assert_int_not_equal(number, NET_NAME_NONE);
    assert_int_equal(number_of(names, "example.com."), number);
    assert_int_not_equal(number_of(names, "www.example.com"), number);
    assert_text(names, number, "example.com");
    assert_unknown(names, NET_NAME_NONE);
    assert_unknown(names, 4711);
    net_names_free(names);
}

static void test_what_is_no_name_is_refused(void **state)
{
    char longest[NET_NAME_MAX_BYTES + 2];
    struct net_names *names;
    uint32_t number = 99;

    (void)state;
    memset(longest, 'x', sizeof(longest));
    assert_int_equal(net_names_new(1, &names), 0);
    assert_int_equal(net_names_number(names, SLICE(""), &number), ERR_LIMIT);
    assert_int_equal(net_names_number(names, SLICE("."), &number), ERR_LIMIT);
    assert_int_equal(net_names_number(names, slice_make(longest, sizeof(longest)), &number), ERR_LIMIT);
    assert_int_equal(net_names_number(names, slice_make("a\0b", 3), &number), ERR_SYNTAX);
    assert_int_equal(number, 99);
    assert_int_equal(net_names_number(names, slice_make(longest, NET_NAME_MAX_BYTES), &number), 0);
    net_names_free(names);
}

static void test_a_full_table_forgets_the_one_asked_for_longest_ago(void **state)
{
    struct net_names *names;
    uint32_t a, b, c;

    (void)state;
    assert_int_equal(net_names_new(2, &names), 0);
    a = number_of(names, "a.example");
    b = number_of(names, "b.example");
    assert_int_equal(number_of(names, "a.example"), a);
    c = number_of(names, "c.example");
    assert_unknown(names, b);
    assert_text(names, a, "a.example");
    assert_text(names, c, "c.example");
    assert_int_not_equal(number_of(names, "b.example"), b);
    assert_unknown(names, a);
    net_names_free(names);
}

static void test_no_memory_leaves_the_table_as_it_was(void **state)
{
    struct net_names *names;
    int64_t held = mem_held_bytes();
    uint32_t a, b = 0;
    int r = ERR_NOMEM;

    (void)state;
    for (int64_t i = 0; r == ERR_NOMEM; i++) {
        mem_fail_after(i);
        r = net_names_new(1, &names);
        mem_fail_after(-1);
        if (r == ERR_NOMEM)
            assert_int_equal(mem_held_bytes(), held);
    }
    assert_int_equal(r, 0);
    a = number_of(names, "a.example");
    mem_fail_after(0);
    assert_int_equal(net_names_number(names, SLICE("b.example"), &b), ERR_NOMEM);
    assert_int_equal(number_of(names, "a.example"), a);
    mem_fail_after(-1);
    assert_int_equal(b, 0);
    assert_text(names, a, "a.example");
    net_names_free(names);
    assert_int_equal(mem_held_bytes(), held);
}

static void *ask_often(void *ctx)
{
    struct net_names *names = ctx;

    for (int i = 0; i < 2000; i++) {
        char name[32], text[NET_NAME_MAX_BYTES + 1];
        uint32_t number;

        snprintf(name, sizeof(name), "%d.example", i % 20);
        if (net_names_number(names, slice_from_cstr(name), &number) < 0)
            return names;
        if (net_names_text(names, number, text) == 0 && strcmp(text, name) != 0)
            return names;
    }
    return NULL;
}

static void test_threads_that_share_it_never_get_a_wrong_name(void **state)
{
    struct net_names *names;
    pthread_t threads[4];

    (void)state;
    assert_int_equal(net_names_new(7, &names), 0);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_often, names), 0);
    for (size_t i = 0; i < 4; i++) {
        void *failed;

        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    net_names_free(names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_name_has_one_number_without_case_and_final_dot),
        cmocka_unit_test(test_what_is_no_name_is_refused),
        cmocka_unit_test(test_a_full_table_forgets_the_one_asked_for_longest_ago),
        cmocka_unit_test(test_no_memory_leaves_the_table_as_it_was),
        cmocka_unit_test(test_threads_that_share_it_never_get_a_wrong_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
