#include "net/train.h"
#include "support.h"
#include <stdlib.h>

enum { A, B, N_PLACES };

static struct addr places[N_PLACES];

struct text {
    char place; /* 'a', 'b' */
    uint32_t len, mark;
};

static int set_up(void **state)
{
    (void)state;
    places[A] = at("192.0.2.1:5060");
    places[B] = at("192.0.2.1:5062");
    return 0;
}

static struct net_train_car car_of(const struct text *t)
{
    static const struct addr none;

    return (struct net_train_car){&places[t->place - 'a'], &none, t->len, t->mark};
}

/* As letters of the alphabet, those that came first before. */
static void expect_turns(const struct text *texts, unsigned n, const char *expected)
{
    struct net_train_car cars[NET_TRAIN_PLANNED_MAX] = {0};
    uint8_t turns[NET_TRAIN_PLANNED_MAX];
    char got[NET_TRAIN_PLANNED_MAX + 1] = {0}, sorted[NET_TRAIN_PLANNED_MAX + 1] = {0};

    for (unsigned i = 0; i < n; i++) {
        cars[i] = car_of(&texts[i]);
        sorted[i] = (char)('A' + i);
    }
    bool is_new = net_train_plan(cars, n, turns);
    for (unsigned i = 0; i < n; i++)
        got[i] = (char)('A' + turns[i]);
    assert_string_equal(got, expected);
    assert_int_equal(is_new, strcmp(got, sorted) != 0);
}

#define EXPECT(expected, ...)                                                                                \
    do {                                                                                                     \
        const struct text texts[] = {__VA_ARGS__};                                                           \
        expect_turns(texts, sizeof(texts) / sizeof(texts[0]), expected);                                     \
    } while (0)

static void those_of_a_length_to_a_place_stand_together(void **state)
{
    (void)state;
    EXPECT("ACBD", {'a', 500, 1}, {'b', 500, 1}, {'a', 500, 2}, {'b', 500, 2});
    EXPECT("ACBD", {'a', 500, 1}, {'a', 501, 2}, {'a', 500, 3}, {'a', 501, 4});
    EXPECT("ABC", {'a', 500, 1}, {'a', 501, 2}, {'b', 501, 3});
    EXPECT("A", {'a', 500, 1});
}

static void those_with_a_mark_keep_their_order_wherever_they_go(void **state)
{
    (void)state;
    /* ACK and BYE of call 1, then of call 2 */
    EXPECT("ACBD", {'a', 400, 1}, {'a', 300, 1}, {'a', 400, 2}, {'a', 300, 2});
    /* BYE of call 1 came first: BYE of call 2 may not leave with it, ahead of its ACK */
    EXPECT("ABC", {'a', 300, 1}, {'a', 400, 2}, {'a', 300, 2});
    EXPECT("ABC", {'a', 300, 1}, {'b', 400, 2}, {'a', 300, 2});
    EXPECT("ACB", {'a', 300, 1}, {'a', 400, 2}, {'a', 300, 3});
}

static void what_has_no_mark_is_passed_by_nothing(void **state)
{
    (void)state;
    EXPECT("ABC", {'a', 300, 0}, {'a', 400, 0}, {'a', 300, 0});
    EXPECT("ABC", {'a', 300, 1}, {'a', 400, 0}, {'a', 300, 3});
    EXPECT("ABCD", {'a', 300, 1}, {'a', 400, 2}, {'a', 400, 0}, {'a', 300, 3});
    EXPECT("ABDC", {'a', 400, 1}, {'a', 300, 0}, {'a', 400, 2}, {'a', 300, 3});
}

static bool is_before(const struct net_train_car *a, const struct net_train_car *b)
{
    return a->mark == b->mark || a->mark == 0 || b->mark == 0;
}

/* No two that must keep their order change it, each leaves once, and no pair of equal neighbours is parted
 * for nothing. */
static void any_plan_keeps_every_order_it_must(void **state)
{
    struct text texts[NET_TRAIN_PLANNED_MAX];
    struct net_train_car cars[NET_TRAIN_PLANNED_MAX] = {0};
    uint8_t turns[NET_TRAIN_PLANNED_MAX];

    (void)state;
    srand(7);
    for (int round = 0; round < 500; round++) {
        unsigned n = 1 + (unsigned)rand() % NET_TRAIN_PLANNED_MAX, marks = 1 + (unsigned)rand() % 80;
        unsigned lengths = 1 + (unsigned)rand() % 40, place_of[NET_TRAIN_PLANNED_MAX];

        for (unsigned i = 0; i < n; i++) {
            texts[i] = (struct text){(char)('a' + rand() % N_PLACES), (uint32_t)rand() % lengths,
                                     (uint32_t)rand() % marks * 0x10001U};
            cars[i] = car_of(&texts[i]);
            place_of[i] = UINT32_MAX;
        }
        (void)net_train_plan(cars, n, turns);
        assert_int_equal(turns[0], 0);
        for (unsigned i = 0; i < n; i++) {
            assert_int_equal(place_of[turns[i]], UINT32_MAX);
            place_of[turns[i]] = i;
        }
        for (unsigned i = 0; i < n; i++)
            for (unsigned j = i + 1; j < n; j++)
                if (is_before(&cars[i], &cars[j]))
                    assert_true(place_of[i] < place_of[j]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_of_a_length_to_a_place_stand_together),
        cmocka_unit_test(those_with_a_mark_keep_their_order_wherever_they_go),
        cmocka_unit_test(what_has_no_mark_is_passed_by_nothing),
        cmocka_unit_test(any_plan_keeps_every_order_it_must),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
