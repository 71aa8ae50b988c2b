#include "base/list.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs those above. */
#include <cmocka.h>

struct item {
    int value;
    struct list node;
};

static void expect(struct list *head, const int *values, size_t count)
{
    size_t i = 0;

    list_for_each(node, head)
    {
        assert_true(i < count);
        assert_int_equal(list_entry(node, struct item, node)->value, values[i++]);
    }
    assert_int_equal(i, count);
}

static void order_and_removal(void **state)
{
    struct item a = {.value = 1}, b = {.value = 2}, c = {.value = 3}, d = {.value = 4};
    struct list head;

    (void)state;
    list_init(&head);
    assert_true(list_is_empty(&head));
    list_append(&head, &b.node);
    list_append(&head, &d.node);
    list_prepend(&head, &a.node);
    list_insert_before(&d.node, &c.node);
    expect(&head, (const int[]){1, 2, 3, 4}, 4);
    list_remove(&c.node);
    assert_true(list_is_empty(&c.node));
    list_remove(&c.node); /* in no list: nothing happens */
    expect(&head, (const int[]){1, 2, 4}, 3);
    list_for_each(node, &head) list_remove(node);
    assert_true(list_is_empty(&head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(order_and_removal)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
