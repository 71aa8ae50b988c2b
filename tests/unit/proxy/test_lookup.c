/* What the core asks of RFC 3263, and what it tells of how the addresses fared. */
#include "world.h"

static struct {
    struct world w;
    struct proxy_lookup lookups[8];
    size_t n_lookups;
    struct proxy_report reports[8];
    struct sip_hop hops[8]; /* of the reports */
    size_t n_reports;
} t;

static int resolve(void *ctx, const struct proxy_lookup *lookup, struct sip_hop ret_hops[PROXY_HOPS_MAX],
                   size_t *ret_count)
{
    t.lookups[t.n_lookups++ % 8] = *lookup;
    return world_resolve(ctx, lookup, ret_hops, ret_count);
}

static void report(void *ctx, const struct proxy_report *r)
{
    (void)ctx;
    assert_true(t.n_reports < 8);
    t.reports[t.n_reports] = *r;
    t.hops[t.n_reports++] = *r->hop;
}

static void start(bool is_stateless)
{
    memset(&t, 0, sizeof(t));
    world_init(&t.w);
    t.w.listeners[UDP4].stateless = is_stateless;
    t.w.ports.resolve = resolve;
    t.w.ports.report = report;
    set_user(&t.w, "sip:bob@example.com", bob_once, 1);
    t.w.extra_hops[0] = hop_from(UDP4, BOB2, 0);
    t.w.n_extra_hops = 1;
    world_start(&t.w);
}

static void message_to(const char *ruri, const char *branch, const char *call_id)
{
    request(&t.w, &(struct call){.method = "MESSAGE", .ruri = ruri, .branch = branch, .call_id = call_id});
}

static void message(const char *branch, const char *call_id)
{
    message_to("sip:bob@example.com", branch, call_id);
}

static void assert_report(size_t n, const char *peer, enum proxy_fate fate, ms_t elapsed_ms)
{
    const struct addr addr = addr_of(peer);

    assert_true(n < t.n_reports);
    assert_true(addr_eq(&t.hops[n].addr, &addr));
    assert_int_equal(t.reports[n].fate, fate);
    assert_int_equal(t.reports[n].elapsed_ms, elapsed_ms);
}

static void an_answer_is_told_once_with_its_time(void **state)
{
    const struct sent *sent;

    (void)state;
    start(false);
    request(&t.w, &(struct call){.method = "INVITE", .ruri = "sip:bob@example.com"});
    (void)take_starting(&t.w, "SIP/2.0 100 ");
    sent = take_starting(&t.w, "INVITE ");
    world_advance(&t.w, 120);
    respond(&t.w, sent, 180, "b1");
    world_advance(&t.w, 5000);
    respond(&t.w, sent, 486, "b1");
    assert_int_equal(t.n_reports, 1);
    assert_report(0, BOB, PROXY_FATE_ANSWERED, 120);
    world_stop(&t.w);
}

static void a_time_out_and_a_transport_error_are_told_of_the_address_they_happened_at(void **state)
{
    (void)state;
    start(false);
    message("z9hG4bK1", "call1");
    proxy_send_failed(t.w.proxy, take_starting(&t.w, "MESSAGE ")->token);
    assert_report(0, BOB, PROXY_FATE_UNREACHABLE, 0);
    world_advance(&t.w, 32000);
    assert_int_equal(t.n_reports, 2);
    assert_report(1, BOB2, PROXY_FATE_TIMEOUT, 32000);
    world_stop(&t.w);
}

static void rfc3261_21_5_4_a_503_is_told_with_its_retry_after(void **state)
{
    const struct sent *sent;

    (void)state;
    start(false);
    message("z9hG4bK1", "call1");
    sent = take_starting(&t.w, "MESSAGE ");
    respond_with(&t.w, sent, 503, "b1", "Retry-After: 18 (in \"a\" meeting);duration=3600\r\n");
    assert_report(0, BOB, PROXY_FATE_UNAVAILABLE, 0);
    assert_int_equal(t.reports[0].retry_after_s, 18);
    respond(&t.w, take_starting(&t.w, "MESSAGE "), 503, "b2");
    assert_report(1, BOB2, PROXY_FATE_ANSWERED, 0);
    assert_int_equal(t.n_reports, 2);
    world_stop(&t.w);
}

static void what_goes_by_its_own_flow_is_not_told(void **state)
{
    struct proxy_binding by_flow = {.uri = SLICE("sip:bob@192.0.2.20"), .q_milli = 1000, .has_hop = true};

    (void)state;
    start(false);
    by_flow.hop = hop_from(TCP4, BOB, 77);
    t.w.users[0] = (struct user){"sip:bob@example.com", &by_flow, 1};
    message("z9hG4bK1", "call1");
    respond(&t.w, take_starting(&t.w, "MESSAGE "), 200, "b1");
    assert_int_equal(t.n_reports, 0);
    world_stop(&t.w);
}

static void rfc3263_4_4_the_seed_is_the_calls_and_a_stateless_proxy_is_steady(void **state)
{
    (void)state;
    for (unsigned is_stateless = 0; is_stateless < 2; is_stateless++) {
        start(is_stateless);
        message_to("sip:bob@example.net", "z9hG4bK1", "call1");
        message_to("sip:bob@example.net", "z9hG4bK2", "call1");
        message_to("sip:bob@example.net", "z9hG4bK3", "call2");
        assert_int_equal(t.n_lookups, 3);
        assert_true(t.lookups[0].seed == t.lookups[1].seed);
        assert_true(t.lookups[0].seed != t.lookups[2].seed);
        assert_int_equal(t.lookups[0].is_steady, is_stateless);
        world_stop(&t.w);
    }
}

static void rfc3261_20_33_retry_after(void **state)
{
    static const struct {
        const char *value;
        bool is_there;
        uint32_t seconds;
    } rows[] = {
        {"0", true, 0}, {"120 (x)", true, 120}, {"5;duration=9", true, 5}, {"99999999999", true, UINT32_MAX},
        {"", false, 0}, {"soon", false, 0}};
    static char memory[4096];

    (void)state;
    start(false);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sip_error error;
        struct sip_msg msg;
        uint32_t seconds = 0;
        int len = snprintf(memory, sizeof(memory),
                           "SIP/2.0 503 No\r\nRetry-After: %s\r\nContent-Length: 0\r\n\r\n", rows[i].value);

        assert_int_equal(sip_msg_parse(slice_make(memory, (size_t)len), true, &proxy_limits_own,
                                       &t.w.proxy->scratch, &msg, &error),
                         0);
        assert_int_equal(proxy_retry_after(&msg, &seconds), rows[i].is_there);
        assert_int_equal(seconds, rows[i].seconds);
    }
    arena_reset(&t.w.proxy->scratch);
    world_stop(&t.w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_told_once_with_its_time),
        cmocka_unit_test(a_time_out_and_a_transport_error_are_told_of_the_address_they_happened_at),
        cmocka_unit_test(rfc3261_21_5_4_a_503_is_told_with_its_retry_after),
        cmocka_unit_test(what_goes_by_its_own_flow_is_not_told),
        cmocka_unit_test(rfc3263_4_4_the_seed_is_the_calls_and_a_stateless_proxy_is_steady),
        cmocka_unit_test(rfc3261_20_33_retry_after),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
