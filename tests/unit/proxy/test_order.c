#include "world.h"

#define AT(host, q)                                                                                          \
    {                                                                                                        \
        .uri = TEXT("sip:b@" host), .q_milli = (q)                                                           \
    }

static void start(struct world *w, const struct proxy_binding *bindings, size_t count)
{
    world_init(w);
    set_user(w, "sip:bob@example.com", bindings, count);
    world_start(w);
}

static const struct sent *take_invite(struct world *w, const char *to)
{
    const struct sent *sent = take_starting(w, "INVITE ");

    assert_goes_to(sent, to);
    return sent;
}

static void trying(struct world *w)
{
    invite(w);
    (void)take_starting(w, "SIP/2.0 100");
}

/* "Targets are processed from highest qvalue to lowest. Targets with equal qvalues may be processed in
 * parallel." */
static void groups_of_equal_q_go_one_after_the_other(void **state)
{
    static const struct proxy_binding bindings[] = {AT("192.0.2.21", 500), AT("192.0.2.20", 900),
                                                    AT("192.0.2.22", 500), AT("192.0.2.23", 0)};
    struct world w;
    const struct sent *a, *b, *c, *d;

    (void)state;
    start(&w, bindings, 4);
    trying(&w);
    a = take_invite(&w, BOB);
    assert_silence(&w);
    respond(&w, a, 404, "a");
    (void)take_starting(&w, "ACK ");
    b = take_invite(&w, BOB2);
    c = take_invite(&w, BOB3);
    assert_silence(&w);
    respond(&w, b, 486, "b");
    (void)take_starting(&w, "ACK ");
    assert_silence(&w);
    respond(&w, c, 500, "c");
    (void)take_starting(&w, "ACK ");
    d = take_invite(&w, "192.0.2.23:5060");
    respond(&w, d, 200, "d");
    (void)take_starting(&w, "SIP/2.0 200");
    assert_silence(&w);
    world_stop(&w);
}

/* opts->ring_ms: the group is cancelled, and the next starts when it has ended ("allowing each client
 * transaction to complete before starting the next"). */
static void a_group_that_rings_too_long_is_cancelled_and_the_next_tried(void **state)
{
    static const struct proxy_binding bindings[] = {AT("192.0.2.20", 900), AT("192.0.2.21", 500)};
    struct world w;
    const struct sent *a, *b, *cancel;

    (void)state;
    start(&w, bindings, 2);
    trying(&w);
    a = take_invite(&w, BOB);
    respond(&w, a, 180, "a");
    (void)take_starting(&w, "SIP/2.0 180");
    world_advance(&w, 19999);
    assert_silence(&w);
    world_advance(&w, 1);
    cancel = take_starting(&w, "CANCEL ");
    assert_goes_to(cancel, BOB);
    assert_non_null(strstr(header(cancel, "Reason", 0), "SIP;cause=408"));
    assert_silence(&w);
    respond(&w, cancel, 200, "a");
    respond(&w, a, 487, "a");
    (void)take_starting(&w, "ACK ");
    b = take_invite(&w, BOB2);
    /* The last one rings on. */
    respond(&w, b, 180, "b");
    (void)take_starting(&w, "SIP/2.0 180");
    world_advance(&w, 100000);
    assert_silence(&w);
    respond(&w, b, 486, "b");
    (void)take_starting(&w, "ACK ");
    (void)take_starting(&w, "SIP/2.0 486");
    world_stop(&w);
}

/* The other addresses of a target that has rung for long enough are not tried: its time is over. */
static void a_cancelled_branch_does_not_fail_over(void **state)
{
    static const struct proxy_binding bindings[] = {AT("192.0.2.20", 900), AT("192.0.2.21", 500)};
    struct world w;
    const struct sent *a;

    (void)state;
    start(&w, bindings, 2);
    w.extra_hops[0] = (struct sip_hop){.addr = addr_of("192.0.2.90:5060"), .transport = SIP_TRANSPORT_UDP};
    w.n_extra_hops = 1;
    trying(&w);
    a = take_invite(&w, BOB);
    world_advance(&w, 20000);
    while (w.n_taken < w.n_sent)
        (void)take_invite(&w, BOB);
    respond(&w, a, 503, "a");
    (void)take_starting(&w, "ACK ");
    respond(&w, take_invite(&w, BOB2), 200, "b");
    w.n_taken = w.n_sent;
    world_stop(&w);
}

static void a_group_that_fails_at_once_is_followed_by_the_next(void **state)
{
    static const struct proxy_binding bindings[] = {{.uri = TEXT("sip:b@gone.example.net"), .q_milli = 900},
                                                    AT("192.0.2.21", 500)};
    struct world w;

    (void)state;
    start(&w, bindings, 2);
    trying(&w);
    respond(&w, take_invite(&w, BOB2), 200, "b");
    (void)take_starting(&w, "SIP/2.0 200");
    world_stop(&w);
}

static void one_group_alone_has_no_ring_time(void **state)
{
    struct world w;
    const struct sent *a;

    (void)state;
    world_with_bob(&w);
    trying(&w);
    a = take_invite(&w, BOB);
    respond(&w, a, 180, "a");
    (void)take_starting(&w, "SIP/2.0 180");
    world_advance(&w, 150000);
    assert_silence(&w);
    respond(&w, a, 486, "a");
    w.n_taken = w.n_sent;
    world_stop(&w);
}

/* RFC 5393 section 5: "SIP proxies MUST NOT allow the Outgoing Max-Breadth to exceed the Incoming
 * Max-Breadth". */
static void max_breadth_is_split_over_parallel_branches(void **state)
{
    static const struct proxy_binding bindings[] = {AT("192.0.2.20", 500), AT("192.0.2.21", 500),
                                                    AT("192.0.2.22", 500)};
    struct world w;

    (void)state;
    start(&w, bindings, 3);
    request(&w, &(struct call){
                    .method = "MESSAGE", .ruri = "sip:bob@example.com", .extra = "Max-Breadth: 8\r\n"});
    assert_string_equal(header(take_starting(&w, "MESSAGE"), "Max-Breadth", 0), "3");
    assert_string_equal(header(take_starting(&w, "MESSAGE"), "Max-Breadth", 0), "3");
    assert_string_equal(header(take_starting(&w, "MESSAGE"), "Max-Breadth", 0), "2");
    assert_silence(&w);
    world_advance(&w, 32000);
    w.n_taken = w.n_sent;
    world_stop(&w);
}

/* Section 5.2, "Sequential Forking": all of it each time. */
static void max_breadth_is_whole_for_each_in_a_series(void **state)
{
    static const struct proxy_binding bindings[] = {AT("192.0.2.20", 900), AT("192.0.2.21", 500)};
    struct world w;
    const struct sent *a;

    (void)state;
    start(&w, bindings, 2);
    trying(&w);
    a = take_invite(&w, BOB);
    assert_string_equal(header(a, "Max-Breadth", 0), "60");
    respond(&w, a, 404, "a");
    (void)take_starting(&w, "ACK ");
    a = take_invite(&w, BOB2);
    assert_string_equal(header(a, "Max-Breadth", 0), "60");
    respond(&w, a, 404, "a");
    w.n_taken = w.n_sent;
    world_stop(&w);
}

/* Section 5.5: "that proxy may parallel fork to 4 of these targets initially. If one of these transactions
 * completes with a failure response, the outgoing Max-Breadth drops to 3, allowing the proxy to forward to
 * one of the 4 remaining targets". */
static void what_does_not_fit_in_the_breadth_waits_until_some_is_free(void **state)
{
    static const struct proxy_binding bindings[] = {AT("192.0.2.20", 500), AT("192.0.2.21", 500),
                                                    AT("192.0.2.22", 500)};
    struct world w;
    const struct sent *a, *b, *c;

    (void)state;
    start(&w, bindings, 3);
    request(&w,
            &(struct call){.method = "INVITE", .ruri = "sip:bob@example.com", .extra = "Max-Breadth: 2\r\n"});
    (void)take_starting(&w, "SIP/2.0 100");
    a = take_invite(&w, BOB);
    b = take_invite(&w, BOB2);
    assert_silence(&w);
    assert_string_equal(header(a, "Max-Breadth", 0), "1");
    assert_string_equal(header(b, "Max-Breadth", 0), "1");
    respond(&w, a, 486, "a");
    (void)take_starting(&w, "ACK ");
    c = take_invite(&w, BOB3);
    assert_string_equal(header(c, "Max-Breadth", 0), "1");
    /* Nobody else waits now: the two may ring. */
    respond(&w, b, 180, "b");
    (void)take_starting(&w, "SIP/2.0 180");
    world_advance(&w, 20000);
    while (w.n_taken < w.n_sent)
        (void)take_invite(&w, BOB3);
    respond(&w, b, 200, "b");
    (void)take_starting(&w, "SIP/2.0 200");
    assert_silence(&w); /* nothing provisional has come from the third: its CANCEL waits */
    respond(&w, c, 486, "c");
    (void)take_starting(&w, "ACK ");
    world_stop(&w);
}

/* Section 16.5: "Targets can only be placed in the target set once", by the equality of section 19.1.4. */
static void equal_uris_are_one_target(void **state)
{
    static const struct proxy_binding bindings[] = {
        {.uri = TEXT("sip:%62@192.0.2.20"), .q_milli = 500},
        {.uri = TEXT("sip:b@192.0.2.20"), .q_milli = 900},
        {.uri = TEXT("sip:b@192.0.2.20;x=y"), .q_milli = 100},
        {.uri = TEXT("mailto:b@192.0.2.20"), .q_milli = 100},
        {.uri = TEXT("sip:@"), .q_milli = 100},
    };
    struct world w;

    (void)state;
    start(&w, bindings, 5);
    request(&w, &(struct call){.method = "MESSAGE", .ruri = "sip:bob@example.com"});
    respond(&w, take_starting(&w, "MESSAGE "), 404, "a");
    (void)take_starting(&w, "SIP/2.0 404");
    assert_silence(&w);
    world_stop(&w);
}

static void more_targets_than_max_branches_are_left_out_lowest_q_first(void **state)
{
    static const struct proxy_binding bindings[] = {AT("192.0.2.20", 100), AT("192.0.2.21", 500),
                                                    AT("192.0.2.22", 900), AT("192.0.2.23", 50)};
    struct world w;

    (void)state;
    world_init(&w);
    set_user(&w, "sip:bob@example.com", bindings, 4);
    w.opts.max_branches = 2;
    world_start(&w);
    request(&w, &(struct call){.method = "MESSAGE", .ruri = "sip:bob@example.com"});
    assert_goes_to(take(&w), BOB3);
    respond(&w, &w.sent[w.n_taken - 1], 404, "a");
    assert_goes_to(take(&w), BOB2);
    respond(&w, &w.sent[w.n_taken - 1], 404, "a");
    (void)take_starting(&w, "SIP/2.0 404");
    assert_silence(&w);
    world_stop(&w);
}

/* Section 16.5: the canonical form; 404 without a user, 480 without a binding; sips goes to sips only (RFC
 * 5630 section 5.3). */
static void the_location_service_is_asked_in_canonical_form(void **state)
{
    static const char *const same[] = {"sip:bob@example.com", "sip:b%6fb@EXAMPLE.com:5060;user=phone",
                                       "sip:bob:secret@example.com"};
    struct world w;
    char branch[32];

    (void)state;
    world_with_bob(&w);
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        snprintf(branch, sizeof(branch), "z9hG4bKc%zu", i);
        request(&w, &(struct call){.method = "MESSAGE", .ruri = same[i], .branch = branch});
        (void)take_starting(&w, "MESSAGE sip:bob@192.0.2.20 ");
    }
    request(&w, &(struct call){.method = "MESSAGE", .ruri = "sip:BOB@example.com", .branch = "z9hG4bKd"});
    (void)take_starting(&w, "SIP/2.0 404 ");
    request(&w, &(struct call){.method = "MESSAGE", .ruri = "sip:nobody@example.com", .branch = "z9hG4bKe"});
    (void)take_starting(&w, "SIP/2.0 480 ");
    request(&w,
            &(struct call){.method = "MESSAGE", .ruri = "sips:bob@example.com:5060", .branch = "z9hG4bKf"});
    (void)take_starting(&w, "SIP/2.0 480 ");
    world_stop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_of_equal_q_go_one_after_the_other),
        cmocka_unit_test(a_group_that_rings_too_long_is_cancelled_and_the_next_tried),
        cmocka_unit_test(a_cancelled_branch_does_not_fail_over),
        cmocka_unit_test(a_group_that_fails_at_once_is_followed_by_the_next),
        cmocka_unit_test(one_group_alone_has_no_ring_time),
        cmocka_unit_test(max_breadth_is_split_over_parallel_branches),
        cmocka_unit_test(max_breadth_is_whole_for_each_in_a_series),
        cmocka_unit_test(what_does_not_fit_in_the_breadth_waits_until_some_is_free),
        cmocka_unit_test(equal_uris_are_one_target),
        cmocka_unit_test(more_targets_than_max_branches_are_left_out_lowest_q_first),
        cmocka_unit_test(the_location_service_is_asked_in_canonical_form),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
