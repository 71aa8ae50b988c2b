/* What is remembered of servers: on a clock that moves only when told. */
#include "base/mem.h"
#include "dns/health.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct dns_health *health;
static ms_t now = 1000000;

static int setup(void **state)
{
    const struct hash_key key = {1, 2};

    (void)state;
    now = 1000000;
    return dns_health_new(256, &key, &health);
}

static int teardown(void **state)
{
    (void)state;
    dns_health_free(health);
    return mem_held_bytes() == 0 ? 0 : -1;
}

static struct sip_hop hop_of(unsigned number)
{
    return (struct sip_hop){
        .addr = {.family = ADDR_IPV4, .ip = {192, 0, (uint8_t)(number >> 8), (uint8_t)number}, .port = 5060},
        .transport = SIP_TRANSPORT_UDP};
}

static void report(unsigned number, enum dns_outcome outcome, ms_t elapsed_ms)
{
    const struct sip_hop hop = hop_of(number);

    dns_health_report(health, &hop, outcome, now, elapsed_ms, 0);
}

static enum dns_rank rank(unsigned number)
{
    const struct sip_hop hop = hop_of(number);

    return dns_health_rank(health, &hop, now);
}

static void unknown_and_answering_servers_are_good(void **state)
{
    (void)state;
    assert_int_equal(rank(1), DNS_RANK_GOOD);
    report(1, DNS_OUTCOME_ANSWERED, 20);
    assert_int_equal(rank(1), DNS_RANK_GOOD);
}

static void a_failure_passes_with_time(void **state)
{
    (void)state;
    report(1, DNS_OUTCOME_TIMEOUT, 32000);
    assert_int_equal(rank(1), DNS_RANK_FAILED);
    assert_int_equal(rank(2), DNS_RANK_GOOD);
    now += DNS_HEALTH_PENALTY_MS - 1;
    assert_int_equal(rank(1), DNS_RANK_FAILED);
    now += 1;
    assert_int_equal(rank(1), DNS_RANK_GOOD);
}

static void the_penalty_doubles_up_to_its_limit(void **state)
{
    static const ms_t expected_ms[] = {30000, 60000, 120000, 240000, 300000, 300000};

    (void)state;
    for (size_t i = 0; i < sizeof(expected_ms) / sizeof(expected_ms[0]); i++) {
        report(1, DNS_OUTCOME_UNREACHABLE, 0);
        now += expected_ms[i] - 1;
        assert_int_equal(rank(1), DNS_RANK_FAILED);
        now += 1;
        assert_int_equal(rank(1), DNS_RANK_GOOD);
    }
    report(1, DNS_OUTCOME_ANSWERED, 5);
    report(1, DNS_OUTCOME_UNREACHABLE, 0);
    now += DNS_HEALTH_PENALTY_MS;
    assert_int_equal(rank(1), DNS_RANK_GOOD);
}

/* A hundred calls that were under way when it went down. */
static void failures_that_come_together_are_one(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 100; i++)
        report(1, DNS_OUTCOME_TIMEOUT, 32000);
    now += DNS_HEALTH_PENALTY_MS;
    assert_int_equal(rank(1), DNS_RANK_GOOD);
}

static void one_failed_call_does_not_condemn_who_answers_others(void **state)
{
    (void)state;
    now += 40000;
    report(1, DNS_OUTCOME_ANSWERED, 20);
    now += 10000;
    report(1, DNS_OUTCOME_TIMEOUT, 32000);
    assert_int_equal(rank(1), DNS_RANK_GOOD);
    now += 40000;
    report(1, DNS_OUTCOME_TIMEOUT, 32000);
    assert_int_equal(rank(1), DNS_RANK_FAILED);
}

static void an_answer_clears_it(void **state)
{
    (void)state;
    report(1, DNS_OUTCOME_TIMEOUT, 32000);
    report(1, DNS_OUTCOME_ANSWERED, 20);
    assert_int_equal(rank(1), DNS_RANK_GOOD);
}

static void rfc3261_21_5_4_retry_after_is_heeded_and_bounded(void **state)
{
    const struct sip_hop hop = hop_of(1);

    (void)state;
    dns_health_report(health, &hop, DNS_OUTCOME_UNAVAILABLE, now, 10, 7);
    now += 6999;
    assert_int_equal(rank(1), DNS_RANK_FAILED);
    now += 1;
    assert_int_equal(rank(1), DNS_RANK_GOOD);
    dns_health_report(health, &hop, DNS_OUTCOME_UNAVAILABLE, now, 10, UINT32_MAX);
    now += 1000 * DNS_HEALTH_RETRY_MAX_S - 1;
    assert_int_equal(rank(1), DNS_RANK_FAILED);
    now += 1;
    assert_int_equal(rank(1), DNS_RANK_GOOD);
}

static void slow_is_what_answers_late_again_and_again(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 20; i++)
        report(1, DNS_OUTCOME_ANSWERED, 10);
    report(1, DNS_OUTCOME_ANSWERED, 5000);
    assert_int_equal(rank(1), DNS_RANK_GOOD);
    for (unsigned i = 0; i < 20; i++)
        report(1, DNS_OUTCOME_ANSWERED, 5000);
    assert_int_equal(rank(1), DNS_RANK_SLOW);
    now += DNS_HEALTH_PENALTY_MAX_MS;
    assert_int_equal(rank(1), DNS_RANK_GOOD);
}

static void transport_address_and_port_are_the_key(void **state)
{
    struct sip_hop hop = hop_of(1);

    (void)state;
    report(1, DNS_OUTCOME_TIMEOUT, 1);
    hop.transport = SIP_TRANSPORT_TCP;
    assert_int_equal(dns_health_rank(health, &hop, now), DNS_RANK_GOOD);
    hop = hop_of(1);
    hop.addr.port++;
    assert_int_equal(dns_health_rank(health, &hop, now), DNS_RANK_GOOD);
    hop = hop_of(1);
    hop.listener = 7;
    hop.peer_name = 9;
    assert_int_equal(dns_health_rank(health, &hop, now), DNS_RANK_FAILED);
}

/* As many strangers as one likes: the table does not grow, and the one heard of last is there. */
static void the_table_is_bounded_and_keeps_the_newest(void **state)
{
    int64_t held = mem_held_bytes();

    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        now++;
        report(i, DNS_OUTCOME_UNREACHABLE, 0);
        assert_int_equal(rank(i), DNS_RANK_FAILED);
    }
    assert_true(mem_held_bytes() == held);
}

static void order(const char *groups, const char *expected)
{
    struct dns_candidate c[16];
    size_t n = strlen(groups);

    for (size_t i = 0; i < n; i++)
        c[i] = (struct dns_candidate){hop_of((unsigned)i), (uint32_t)groups[i]};
    dns_health_order(health, c, n, now);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(c[i].hop.addr.ip[3], expected[i] - '0');
}

static void failed_ones_are_tried_last_and_none_is_left_out(void **state)
{
    (void)state;
    order("1122", "0123");
    report(0, DNS_OUTCOME_TIMEOUT, 1);
    report(2, DNS_OUTCOME_TIMEOUT, 1);
    order("1122", "1302");
    report(1, DNS_OUTCOME_TIMEOUT, 1);
    report(3, DNS_OUTCOME_TIMEOUT, 1);
    order("1122", "0123");
}

static void slow_ones_wait_behind_their_own_priority_alone(void **state)
{
    (void)state;
    report(0, DNS_OUTCOME_ANSWERED, 9000);
    order("1122", "1023");
    order("1222", "0123");
    report(1, DNS_OUTCOME_TIMEOUT, 1);
    order("1111", "2301");
}

static void out_of_memory(void **state)
{
    const struct hash_key key = {1, 2};
    struct dns_health *h = NULL;

    (void)state;
    for (int64_t n = 0; n < 2; n++) {
        mem_fail_after(n);
        assert_int_equal(dns_health_new(16, &key, &h), ERR_NOMEM);
        mem_fail_after(-1);
    }
    dns_health_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(unknown_and_answering_servers_are_good, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failure_passes_with_time, setup, teardown),
        cmocka_unit_test_setup_teardown(the_penalty_doubles_up_to_its_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(failures_that_come_together_are_one, setup, teardown),
        cmocka_unit_test_setup_teardown(one_failed_call_does_not_condemn_who_answers_others, setup, teardown),
        cmocka_unit_test_setup_teardown(an_answer_clears_it, setup, teardown),
        cmocka_unit_test_setup_teardown(rfc3261_21_5_4_retry_after_is_heeded_and_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(slow_is_what_answers_late_again_and_again, setup, teardown),
        cmocka_unit_test_setup_teardown(transport_address_and_port_are_the_key, setup, teardown),
        cmocka_unit_test_setup_teardown(the_table_is_bounded_and_keeps_the_newest, setup, teardown),
        cmocka_unit_test_setup_teardown(failed_ones_are_tried_last_and_none_is_left_out, setup, teardown),
        cmocka_unit_test_setup_teardown(slow_ones_wait_behind_their_own_priority_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(out_of_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
