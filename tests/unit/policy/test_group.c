/* Picking members of gateway groups, and who is up: RFC 2782, RFC 3261 section 21.5.4. Deterministic: what would be
 * drawn comes from a fixed sequence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "policy/group_private.h"

#define TEXT(literal)                                                                                        \
    {                                                                                                        \
        "" literal, sizeof(literal) - 1                                                                      \
    }

static const struct hash_key secret = {0x0706050403020100, 0x0f0e0d0c0b0a0908};

static struct policy_groups *make_with(const struct policy_group_opts *opts)
{
    struct policy_groups *groups = NULL;

    assert_int_equal(policy_groups_new(opts, 1, &secret, &groups), 0);
    return groups;
}

static struct policy_groups *make(enum policy_algorithm algorithm, const struct policy_member_opts *members,
                                  size_t n_members)
{
    /* Outlives the groups of the test that asked last. */
    static struct policy_group_opts opts;

    opts = (struct policy_group_opts){.name = SLICE("gw"),
                                      .algorithm = algorithm,
                                      .members = members,
                                      .n_members = n_members,
                                      .max_failures = 3};
    return make_with(&opts);
}

static const struct policy_member *member_of(const struct policy_groups *groups, size_t member)
{
    return &groups->groups[0].members[member];
}

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static size_t pick(const struct policy_groups *groups, const struct policy_group_key *key,
                   uint16_t *ret_order)
{
    struct policy_group_choice choices[POLICY_GROUP_MEMBERS_MAX];
    size_t count = 0;

    assert_int_equal(policy_group_pick(groups, 0, key, choices, &count), 0);
    assert_true(count > 0);
    for (size_t i = 0; i < count; i++) {
        ret_order[i] = choices[i].member;
        assert_ptr_equal(choices[i].uri, &member_of(groups, choices[i].member)->uri);
    }
    return count;
}

static uint16_t first(const struct policy_groups *groups, const struct policy_group_key *key)
{
    uint16_t order[POLICY_GROUP_MEMBERS_MAX];

    (void)pick(groups, key, order);
    return order[0];
}

static const struct policy_member_opts four[] = {{.uri = TEXT("sip:192.0.2.1"), .weight = 10},
                                                 {.uri = TEXT("sip:192.0.2.2"), .weight = 20},
                                                 {.uri = TEXT("sip:192.0.2.3"), .weight = 30},
                                                 {.uri = TEXT("sip:192.0.2.4"), .weight = 40}};

static double chi_square(const unsigned *counts, const double *shares, size_t n, unsigned draws)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++) {
        double expected = shares[i] * draws, off = counts[i] - expected;

        sum += off * off / expected;
    }
    return sum;
}

#define DRAWS 20000
/* Three degrees of freedom: above this by chance once in a thousand sequences; this sequence is fixed. */
#define CHI_SQUARE_3 16.27

/* RFC 2782: "Larger weights SHOULD be given a proportionately higher probability of being selected." */
static void weighted_gives_each_its_share(void **state)
{
    static const double shares[] = {0.1, 0.2, 0.3, 0.4};
    struct policy_groups *groups = make(POLICY_WEIGHTED, four, 4);
    unsigned counts[4] = {0}, seconds[4] = {0}, n_last = 0;
    uint64_t random = 1;

    (void)state;
    for (unsigned i = 0; i < DRAWS; i++) {
        const struct policy_group_key key = {.random = next_random(&random)};
        uint16_t order[POLICY_GROUP_MEMBERS_MAX];

        assert_int_equal(pick(groups, &key, order), 4);
        counts[order[0]]++;
        if (order[0] == 3) {
            seconds[order[1]]++;
            n_last++;
        }
    }
    assert_true(chi_square(counts, shares, 4, DRAWS) < CHI_SQUARE_3);
    /* "... is removed from the list ... continue the ordering process": the others in proportion among them. */
    assert_true(chi_square(seconds, (const double[]){1 / 6., 2 / 6., 3 / 6.}, 3, n_last) < CHI_SQUARE_3);
    policy_groups_free(groups);
}

/* RFC 2782: "a client MUST attempt to contact the target host with the lowest-numbered priority it can reach;
 * target hosts with the same priority SHOULD be tried in an order defined by the weight field." */
static void priority_goes_before_weight(void **state)
{
    static const struct policy_member_opts members[] = {
        {.uri = TEXT("sip:192.0.2.1"), .weight = 90, .priority = 20},
        {.uri = TEXT("sip:192.0.2.2"), .weight = 25, .priority = 10},
        {.uri = TEXT("sip:192.0.2.3"), .weight = 75, .priority = 10},
        {.uri = TEXT("sip:192.0.2.4"), .weight = 1, .priority = 30}};
    struct policy_groups *groups = make(POLICY_PRIORITY, members, 4);
    unsigned counts[2] = {0};
    uint64_t random = 2;

    (void)state;
    for (unsigned i = 0; i < DRAWS; i++) {
        const struct policy_group_key key = {.random = next_random(&random)};
        uint16_t order[POLICY_GROUP_MEMBERS_MAX];

        assert_int_equal(pick(groups, &key, order), 4);
        assert_true(order[0] == 1 || order[0] == 2);
        assert_int_equal(order[0] + order[1], 3);
        assert_int_equal(order[2], 0);
        assert_int_equal(order[3], 3);
        counts[order[0] - 1]++;
    }
    assert_true(chi_square(counts, (const double[]){0.25, 0.75}, 2, DRAWS) < CHI_SQUARE_3);
    policy_groups_free(groups);
}

static void weight_0_is_only_for_when_no_other_is_left(void **state)
{
    static const struct policy_member_opts members[] = {{.uri = TEXT("sip:192.0.2.1"), .weight = 0},
                                                        {.uri = TEXT("sip:192.0.2.2"), .weight = 1}};
    static const enum policy_algorithm algorithms[] = {POLICY_WEIGHTED, POLICY_PRIORITY, POLICY_HASH_CALL_ID,
                                                       POLICY_HASH_USER, POLICY_LEAST_CALLS};
    uint64_t random = 3;

    (void)state;
    for (size_t a = 0; a < sizeof(algorithms) / sizeof(algorithms[0]); a++) {
        struct policy_groups *groups = make(algorithms[a], members, 2);

        for (unsigned i = 0; i < 100; i++) {
            const struct policy_group_key key = {.random = next_random(&random)};

            assert_int_equal(first(groups, &key), 1);
        }
        policy_groups_free(groups);
    }
}

#define KEYS    4000
#define MEMBERS 8

static void key_text(unsigned i, char *out, size_t cap, struct policy_group_key *ret_key)
{
    int len = snprintf(out, cap, "call-%u@192.0.2.9", i);

    *ret_key = (struct policy_group_key){.call_id = slice_make(out, (size_t)len), .random = i};
}

static const struct policy_member_opts eight[MEMBERS] = {
    {.uri = TEXT("sip:192.0.2.1"), .weight = 1}, {.uri = TEXT("sip:192.0.2.2"), .weight = 1},
    {.uri = TEXT("sip:192.0.2.3"), .weight = 1}, {.uri = TEXT("sip:192.0.2.4"), .weight = 1},
    {.uri = TEXT("sip:192.0.2.5"), .weight = 1}, {.uri = TEXT("sip:192.0.2.6"), .weight = 1},
    {.uri = TEXT("sip:192.0.2.7"), .weight = 1}, {.uri = TEXT("sip:192.0.2.8"), .weight = 1}};

/* One of eight is lost: the keys that it had move, to each of the others about as many, and no other does. It
 * makes no difference whether it goes down, is drained, or leaves the configuration. */
static void hash_moves_no_key_but_those_of_the_lost_member(void **state)
{
    static const unsigned lost = 3;
    struct policy_groups *groups = make(POLICY_HASH_CALL_ID, eight, MEMBERS), *fewer;
    struct policy_member_opts seven[MEMBERS - 1];
    struct policy_group_opts opts = {
        .name = SLICE("gw"), .algorithm = POLICY_HASH_CALL_ID, .members = seven, .n_members = MEMBERS - 1};
    unsigned counts[MEMBERS] = {0}, taken[MEMBERS] = {0};
    uint16_t before[KEYS];

    (void)state;
    for (unsigned i = 0; i < MEMBERS - 1; i++)
        seven[i] = eight[i + (i >= lost)];
    fewer = make_with(&opts);
    for (unsigned round = 0; round < 3; round++) {
        policy_group_set_drain(groups, 0, lost, round == 1);
        if (round == 2)
            policy_set_down(member_of(groups, lost), 0, "test");
        for (unsigned i = 0; i < KEYS; i++) {
            struct policy_group_key key;
            char text[64];
            uint16_t now, without;

            key_text(i, text, sizeof(text), &key);
            now = first(groups, &key);
            assert_int_equal(first(groups, &key), now);
            if (round == 0) {
                before[i] = now;
                counts[now]++;
                continue;
            }
            without = first(fewer, &key);
            assert_int_equal(now, without + (without >= lost));
            if (before[i] != lost)
                assert_int_equal(now, before[i]);
            else
                taken[now] += round == 1;
        }
    }
    assert_int_equal(taken[lost], 0);
    for (unsigned i = 0; i < MEMBERS; i++) {
        assert_true(counts[i] > KEYS / MEMBERS * 8 / 10 && counts[i] < KEYS / MEMBERS * 12 / 10);
        if (i != lost)
            assert_true(taken[i] > counts[lost] / MEMBERS / 2);
    }
    policy_groups_free(fewer);
    policy_groups_free(groups);
}

static void hash_follows_the_weights(void **state)
{
    static const double shares[] = {0.1, 0.2, 0.3, 0.4};
    struct policy_groups *groups = make(POLICY_HASH_CALL_ID, four, 4);
    unsigned counts[4] = {0};

    (void)state;
    for (unsigned i = 0; i < DRAWS; i++) {
        struct policy_group_key key;
        char text[64];

        key_text(i, text, sizeof(text), &key);
        counts[first(groups, &key)]++;
    }
    assert_true(chi_square(counts, shares, 4, DRAWS) < CHI_SQUARE_3);
    policy_groups_free(groups);
}

static void hash_of_user_looks_at_nothing_else(void **state)
{
    struct policy_groups *groups = make(POLICY_HASH_USER, eight, MEMBERS);
    unsigned different = 0;

    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        struct policy_group_key key;
        char text[64];
        uint16_t chosen;

        key_text(i, text, sizeof(text), &key);
        key.user = SLICE("+15551234");
        chosen = first(groups, &key);
        key.call_id = SLICE("other");
        key.random = 77;
        assert_int_equal(first(groups, &key), chosen);
        key.user = slice_make(text, strlen(text));
        different += first(groups, &key) != chosen;
    }
    assert_true(different > 70);
    policy_groups_free(groups);
}

/* RFC 3261 section 16.11: a retransmission must go where the request went, whatever has happened since. */
static void stateless_depends_on_the_message_alone(void **state)
{
    static const enum policy_algorithm algorithms[] = {POLICY_WEIGHTED, POLICY_PRIORITY, POLICY_HASH_CALL_ID,
                                                       POLICY_LEAST_CALLS};

    (void)state;
    for (size_t a = 0; a < sizeof(algorithms) / sizeof(algorithms[0]); a++) {
        struct policy_groups *groups = make(algorithms[a], four, 4);
        unsigned counts[4] = {0};

        for (unsigned i = 0; i < 1000; i++) {
            struct policy_group_key key;
            char text[64];
            uint16_t chosen;

            key_text(i, text, sizeof(text), &key);
            key.is_stateless = true;
            chosen = first(groups, &key);
            counts[chosen]++;
            key.random = ~key.random;
            policy_set_down(member_of(groups, chosen), 0, "test");
            policy_group_set_drain(groups, 0, chosen, true);
            atomic_store(&member_of(groups, chosen)->state->calls, 1000 + i);
            assert_int_equal(first(groups, &key), chosen);
            policy_group_set_drain(groups, 0, chosen, false);
        }
        assert_true(counts[0] < counts[1] && counts[1] < counts[2] && counts[2] < counts[3]);
        policy_groups_free(groups);
    }
}

static void least_calls_in_proportion_to_the_weight(void **state)
{
    struct policy_groups *groups = make(POLICY_LEAST_CALLS, four, 4);
    uint64_t random = 4;

    (void)state;
    /* Calls that never end: after 1000 each has its share, to the call. */
    for (unsigned i = 0; i < 1000; i++) {
        const struct policy_group_key key = {.random = next_random(&random)};

        atomic_fetch_add(&member_of(groups, first(groups, &key))->state->calls, 1);
    }
    for (unsigned i = 0; i < 4; i++) {
        uint32_t calls = atomic_load(&member_of(groups, i)->state->calls);

        assert_true(calls >= 100 * (i + 1) - 1 && calls <= 100 * (i + 1) + 1);
    }
    atomic_store(&member_of(groups, 0)->state->calls, 0);
    assert_int_equal(first(groups, &(struct policy_group_key){.random = 5}), 0);
    policy_groups_free(groups);
}

static struct policy_group_key at(ms_t now_ms)
{
    return (struct policy_group_key){.call_id = SLICE("a"), .now_ms = now_ms};
}

static size_t count_at(const struct policy_groups *groups, ms_t now_ms)
{
    const struct policy_group_key key = at(now_ms);
    uint16_t order[POLICY_GROUP_MEMBERS_MAX];

    return pick(groups, &key, order);
}

static bool is_picked(const struct policy_groups *groups, unsigned member, ms_t now_ms)
{
    const struct policy_group_key key = at(now_ms);
    uint16_t order[POLICY_GROUP_MEMBERS_MAX];
    size_t count = pick(groups, &key, order);

    for (size_t i = 0; i < count; i++) {
        if (order[i] == member)
            return true;
    }
    return false;
}

static void who_is_drained_is_never_picked_not_even_as_the_last(void **state)
{
    static const struct policy_member_opts members[] = {
        {.uri = TEXT("sip:192.0.2.1"), .weight = 1, .drain = true},
        {.uri = TEXT("sip:192.0.2.2"), .weight = 1}};
    struct policy_group_choice choices[POLICY_GROUP_MEMBERS_MAX];
    struct policy_groups *groups = make(POLICY_WEIGHTED, members, 2);
    const struct policy_group_key key = at(0);
    size_t count;

    (void)state;
    assert_int_equal(count_at(groups, 0), 1);
    assert_false(is_picked(groups, 0, 0));
    policy_set_down(member_of(groups, 1), 0, "test");
    assert_int_equal(count_at(groups, 0), 1);
    assert_true(is_picked(groups, 1, 0));
    policy_group_set_drain(groups, 0, 1, true);
    assert_int_equal(policy_group_pick(groups, 0, &key, choices, &count), ERR_NOTFOUND);
    policy_group_set_drain(groups, 0, 0, false);
    assert_true(is_picked(groups, 0, 0));
    policy_groups_free(groups);
}

/* One call that goes wrong condemns nobody who answers others. */
static void only_failures_in_a_row_take_a_member_down(void **state)
{
    struct policy_groups *groups = make(POLICY_WEIGHTED, four, 4);
    const struct policy_member *m = member_of(groups, 2);

    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        policy_note_failure(m, 0, "test");
        policy_note_failure(m, 0, "test");
        assert_true(is_picked(groups, 2, 0));
        policy_note_answer(m, 0);
    }
    policy_note_failure(m, 0, "test");
    policy_note_failure(m, 0, "test");
    policy_note_failure(m, 0, "test");
    assert_false(is_picked(groups, 2, 0));
    assert_int_equal(count_at(groups, 0), 3);
    policy_groups_free(groups);
}

static unsigned lines_up, lines_down;

static void on_line(struct slice line, void *ctx)
{
    (void)ctx;
    lines_down += memmem(line.ptr, line.len, "member.down", 11) != NULL;
    lines_up += memmem(line.ptr, line.len, "member.up", 9) != NULL;
}

static void time_puts_it_on_trial_and_each_change_is_said_once(void **state)
{
    struct policy_groups *groups = make(POLICY_WEIGHTED, four, 4);
    const struct policy_member *m = member_of(groups, 1);
    struct policy_member_view view;

    (void)state;
    lines_up = lines_down = 0;
    log_set_sink(on_line, NULL);
    for (unsigned i = 0; i < 10; i++)
        policy_note_failure(m, 1000, "test");
    policy_group_view(groups, 0, 1, 1000, &view);
    assert_false(view.is_up);
    assert_int_equal(view.failures, 10);
    assert_string_equal(view.why, "test");
    assert_int_equal(lines_down, 1);
    assert_false(is_picked(groups, 1, 1000 + POLICY_DOWN_MS - 1));
    assert_true(is_picked(groups, 1, 1000 + POLICY_DOWN_MS));
    assert_true(is_picked(groups, 1, 1000 + POLICY_DOWN_MS));
    assert_int_equal(lines_up, 1);
    /* The first failure on trial is one too many ... */
    policy_note_failure(m, 40000, "test");
    assert_false(is_picked(groups, 1, 40001));
    assert_int_equal(lines_down, 2);
    /* ... and one answer is enough, on trial or before. */
    policy_note_answer(m, 40002);
    assert_true(is_picked(groups, 1, 40002));
    assert_int_equal(lines_up, 2);
    policy_note_failure(m, 40003, "test");
    assert_true(is_picked(groups, 1, 40003));
    assert_int_equal(lines_down, 2);
    log_set_sink(NULL, NULL);
    policy_groups_free(groups);
}

/* Whoever calls a number that the gateway refuses decides how often. */
static void a_member_that_comes_and_goes_does_not_fill_the_log(void **state)
{
    struct policy_groups *groups = make(POLICY_WEIGHTED, four, 4);
    const struct policy_member *m = member_of(groups, 1);

    (void)state;
    lines_up = lines_down = 0;
    log_set_sink(on_line, NULL);
    for (unsigned i = 0; i < 1000; i++) {
        policy_set_down(m, 1000, "test");
        policy_set_up(m, 1000, "test");
    }
    log_set_sink(NULL, NULL);
    assert_in_range(lines_down + lines_up, 1, 30); /* so many a second, should the machine be that slow */
    policy_groups_free(groups);
}

/* RFC 3261 section 21.5.4: "It SHOULD NOT forward any other requests to that server for the duration specified in
 * the Retry-After header field, if present." */
static void retry_after_holds_for_its_time_whatever_else_is_answered(void **state)
{
    struct policy_groups *groups = make(POLICY_WEIGHTED, four, 4);
    const struct policy_member *m = member_of(groups, 0);

    (void)state;
    policy_hold(m, 500, 7);
    assert_false(is_picked(groups, 0, 7499));
    policy_note_answer(m, 600);
    policy_set_up(m, 700, "test");
    assert_false(is_picked(groups, 0, 7499));
    assert_true(is_picked(groups, 0, 7500));
    policy_groups_free(groups);
}

static void when_none_is_up_all_are_tried(void **state)
{
    struct policy_groups *groups = make(POLICY_WEIGHTED, four, 4);

    (void)state;
    for (unsigned i = 0; i < 4; i++)
        policy_set_down(member_of(groups, i), 0, "test");
    assert_int_equal(count_at(groups, 1), 4);
    policy_set_up(member_of(groups, 2), 1, "test");
    assert_int_equal(count_at(groups, 1), 1);
    policy_groups_free(groups);
}

static void no_more_than_max_attempts(void **state)
{
    const struct policy_group_opts opts = {
        .name = SLICE("gw"), .members = four, .n_members = 4, .max_attempts = 2};
    struct policy_groups *groups = make_with(&opts);

    (void)state;
    assert_int_equal(count_at(groups, 0), 2);
    for (unsigned i = 0; i < 4; i++)
        policy_set_down(member_of(groups, i), 0, "test");
    assert_int_equal(count_at(groups, 0), 2);
    policy_groups_free(groups);
}

static void what_cannot_be_compiled_is_refused(void **state)
{
    static const struct policy_member_opts no_uri[] = {{.uri = TEXT("tel:+1"), .weight = 1}},
                                           headers[] = {{.uri = TEXT("sip:a?b=c"), .weight = 1}},
                                           heavy[] = {{.uri = TEXT("sip:a"), .weight = 65536}};
    static const uint32_t low[] = {399}, high[] = {600};
    static const struct {
        struct policy_group_opts opts;
        int rc;
    } cases[] = {
        {{.members = four, .n_members = 0}, ERR_LIMIT},
        {{.members = four, .n_members = POLICY_GROUP_MEMBERS_MAX + 1}, ERR_LIMIT},
        {{.members = no_uri, .n_members = 1}, ERR_SYNTAX},
        {{.members = headers, .n_members = 1}, ERR_SYNTAX},
        {{.members = heavy, .n_members = 1}, ERR_RANGE},
        {{.members = four, .n_members = 4, .failover_on = low, .n_failover_on = 1}, ERR_RANGE},
        {{.members = four, .n_members = 4, .failover_on = high, .n_failover_on = 1}, ERR_RANGE},
    };
    int64_t held = mem_held_bytes();
    struct policy_groups *groups;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(policy_groups_new(&cases[i].opts, 1, &secret, &groups), cases[i].rc);
    for (int64_t n = 0;; n++) {
        const struct policy_group_opts opts = {.name = SLICE("gw"), .members = four, .n_members = 4};
        int rc;

        mem_fail_after(n);
        rc = policy_groups_new(&opts, 1, &secret, &groups);
        mem_fail_after(-1);
        if (rc == 0)
            break;
        assert_int_equal(rc, ERR_NOMEM);
    }
    policy_groups_free(groups);
    policy_groups_free(NULL);
    assert_int_equal(mem_held_bytes(), held);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weighted_gives_each_its_share),
        cmocka_unit_test(priority_goes_before_weight),
        cmocka_unit_test(weight_0_is_only_for_when_no_other_is_left),
        cmocka_unit_test(hash_moves_no_key_but_those_of_the_lost_member),
        cmocka_unit_test(hash_follows_the_weights),
        cmocka_unit_test(hash_of_user_looks_at_nothing_else),
        cmocka_unit_test(stateless_depends_on_the_message_alone),
        cmocka_unit_test(least_calls_in_proportion_to_the_weight),
        cmocka_unit_test(who_is_drained_is_never_picked_not_even_as_the_last),
        cmocka_unit_test(only_failures_in_a_row_take_a_member_down),
        cmocka_unit_test(time_puts_it_on_trial_and_each_change_is_said_once),
        cmocka_unit_test(a_member_that_comes_and_goes_does_not_fill_the_log),
        cmocka_unit_test(retry_after_holds_for_its_time_whatever_else_is_answered),
        cmocka_unit_test(when_none_is_up_all_are_tried),
        cmocka_unit_test(no_more_than_max_attempts),
        cmocka_unit_test(what_cannot_be_compiled_is_refused),
    };

    log_set_level(LOG_NOTICE);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
