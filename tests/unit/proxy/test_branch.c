/* Timer C and transport errors: sections 16.7 step 2, 16.8, 16.9. */
#include "world.h"

#define TIMER_C_MS 200000

static const struct proxy_binding two[] = {{.uri = TEXT("sip:b@192.0.2.20"), .q_milli = 500},
                                           {.uri = TEXT("sip:b@192.0.2.21"), .q_milli = 500}};

static void fork(struct world *w, const struct sent *to[2])
{
    world_init(w);
    set_user(w, "sip:bob@example.com", two, 2);
    world_start(w);
    invite(w);
    (void)take_starting(w, "SIP/2.0 100");
    to[0] = take_starting(w, "INVITE");
    to[1] = take_starting(w, "INVITE");
}

static void ring(struct world *w, const struct sent *sent, unsigned status)
{
    respond(w, sent, status, "t");
    if (status > 100)
        (void)take_starting(w, "SIP/2.0 1");
}

/* Section 16.8: "If the client transaction has received a provisional response, the proxy MUST generate a
 * CANCEL request matching that transaction": its own branch only, once. */
static void timer_c_cancels_its_own_branch_once(void **state)
{
    struct world w;
    const struct sent *to[2], *cancel;

    (void)state;
    fork(&w, to);
    ring(&w, to[0], 180);
    ring(&w, to[1], 180);
    world_advance(&w, 100000);
    ring(&w, to[1], 180); /* only the second starts anew (16.7 step 2) */
    world_advance(&w, 100000 - 1);
    assert_silence(&w);
    world_advance(&w, 1);
    cancel = take_starting(&w, "CANCEL ");
    assert_goes_to(cancel, BOB);
    assert_non_null(strstr(header(cancel, "Reason", 0), "cause=408"));
    assert_silence(&w);
    respond(&w, cancel, 200, "t");
    respond(&w, to[0], 487, "t");
    (void)take_starting(&w, "ACK ");
    assert_silence(&w);
    world_advance(&w, 100000 - 1);
    assert_silence(&w);
    world_advance(&w, 1);
    assert_goes_to(take_starting(&w, "CANCEL "), BOB2);
    respond(&w, to[1], 487, "t");
    (void)take_starting(&w, "ACK ");
    (void)take_starting(&w, "SIP/2.0 487");
    world_stop(&w);
}

/* "anything but 100" */
static void a_100_does_not_put_timer_c_off(void **state)
{
    struct world w;
    const struct sent *inv;

    (void)state;
    world_with_bob(&w);
    invite(&w);
    (void)take_starting(&w, "SIP/2.0 100");
    inv = take_starting(&w, "INVITE");
    respond(&w, inv, 100, NULL);
    world_advance(&w, 150000);
    respond(&w, inv, 100, NULL);
    world_advance(&w, 50000);
    (void)take_starting(&w, "CANCEL ");
    /* Nothing comes: 64*T1 later it is over (section 9.1). */
    world_advance(&w, 31999);
    while (w.n_taken < w.n_sent)
        (void)take_starting(&w, "CANCEL ");
    world_advance(&w, 1);
    (void)take_starting(&w, "SIP/2.0 408");
    world_stop(&w);
}

/* "If the client transaction has not received a provisional response, the proxy MUST behave as if the
 * transaction received a 408": before Timer B only where T1 is very long. */
static void timer_c_without_a_provisional_response_is_a_408(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    set_user(&w, "sip:bob@example.com", bob_once, 1);
    w.opts.times.t1_ms = 60000;
    world_start(&w);
    invite(&w);
    (void)take_starting(&w, "SIP/2.0 100");
    (void)take_starting(&w, "INVITE");
    world_advance(&w, TIMER_C_MS - 1);
    while (w.n_taken < w.n_sent)
        (void)take_starting(&w, "INVITE");
    world_advance(&w, 1);
    (void)take_starting(&w, "SIP/2.0 408");
    world_advance(&w, 4000000);
    w.n_taken = w.n_sent;
    assert_int_equal(proxy_transactions(w.proxy), 0);
    world_stop(&w);
}

/* Section 16.9: "the proxy MUST behave as if the forwarded request received a 503"; of that branch, and
 * nobody else's. */
static void a_transport_error_is_a_503_of_its_branch(void **state)
{
    struct world w;
    const struct sent *to[2];

    (void)state;
    fork(&w, to);
    proxy_send_failed(w.proxy, to[0]->token);
    assert_silence(&w);
    respond(&w, to[1], 486, "t");
    (void)take_starting(&w, "ACK ");
    (void)take_starting(&w, "SIP/2.0 486");
    world_stop(&w);
}

static int refuse_bob(const struct sip_hop *hop)
{
    struct addr bob = addr_of(BOB);

    return addr_eq(&hop->addr, &bob) ? ERR_IO : 0;
}

static void a_network_that_refuses_at_once_is_a_503_too(void **state)
{
    struct world w;

    (void)state;
    world_with_bob(&w);
    w.send_result = refuse_bob;
    invite(&w);
    (void)take_starting(&w, "SIP/2.0 100");
    (void)take_starting(&w, "SIP/2.0 500");
    assert_int_equal(counter_get(&w.counters, COUNTER_TX_ERRORS), 1);
    assert_silence(&w);
    world_stop(&w);
}

/* Section 18.4: ICMP quotes the datagram, or the beginning of it. */
static void an_icmp_error_fails_the_branch_it_quotes(void **state)
{
    struct world w;
    const struct sent *to[2];
    struct slice quoted;

    (void)state;
    fork(&w, to);
    quoted = slice_from_cstr(to[0]->text);
    proxy_send_refused(w.proxy, slice_sub(quoted, 0, 8));
    proxy_send_refused(w.proxy, slice_sub(quoted, 0, 60)); /* the Via is not whole */
    proxy_send_refused(w.proxy, SLICE("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP x\r\n"));
    proxy_send_refused(w.proxy, SLICE("\r\n\r\n"));
    assert_silence(&w);
    respond(&w, to[1], 486, "t");
    (void)take_starting(&w, "ACK ");
    assert_silence(&w);
    proxy_send_refused(w.proxy, slice_sub(quoted, 0, 400));
    (void)take_starting(&w, "SIP/2.0 486");
    world_stop(&w);
}

/* Section 16.9: "If the proxy is notified of an error when forwarding a response, it drops the response. The
 * proxy SHOULD NOT cancel any outstanding client transactions". */
static int refuse_alice(const struct sip_hop *hop)
{
    struct addr alice = addr_of(ALICE);

    return addr_eq(&hop->addr, &alice) ? ERR_IO : 0;
}

static void an_upstream_error_cancels_nothing(void **state)
{
    struct world w;
    const struct sent *to[2];

    (void)state;
    fork(&w, to);
    w.send_result = refuse_alice;
    respond(&w, to[0], 180, "t");
    world_advance(&w, 0);
    assert_silence(&w);
    w.send_result = NULL;
    respond(&w, to[0], 200, "t");
    (void)take_starting(&w, "SIP/2.0 200");
    world_advance(&w, 32000);
    while (w.n_taken < w.n_sent)
        (void)take_starting(&w, "INVITE");
    world_stop(&w);
}

/* The connection of the caller is gone: section 18.2.2, "the server SHOULD open a connection to the IP
 * address in the "received" parameter ... using the port in the "sent-by" value". */
static int refuse_flows(const struct sip_hop *hop)
{
    return hop->flow ? ERR_CLOSED : 0;
}

static void a_response_finds_another_connection(void **state)
{
    struct world w;
    const struct sent *inv, *up;

    (void)state;
    world_with_bob(&w);
    world_receive(&w, TCP4, "192.0.2.10:45678",
                  request_text(&(struct call){.method = "INVITE",
                                              .ruri = "sip:bob@example.com",
                                              .via = "SIP/2.0/TCP alice.example.org:5068"}));
    assert_int_equal(take_starting(&w, "SIP/2.0 100")->hop.flow, 99);
    inv = take_starting(&w, "INVITE");
    w.send_result = refuse_flows;
    respond(&w, inv, 486, "t");
    (void)take_starting(&w, "ACK ");
    up = take_starting(&w, "SIP/2.0 486");
    assert_int_equal(up->hop.flow, SIP_FLOW_NONE);
    assert_goes_to(up, "192.0.2.10:5068");
    world_stop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timer_c_cancels_its_own_branch_once),
        cmocka_unit_test(a_100_does_not_put_timer_c_off),
        cmocka_unit_test(timer_c_without_a_provisional_response_is_a_408),
        cmocka_unit_test(a_transport_error_is_a_503_of_its_branch),
        cmocka_unit_test(a_network_that_refuses_at_once_is_a_503_too),
        cmocka_unit_test(an_icmp_error_fails_the_branch_it_quotes),
        cmocka_unit_test(an_upstream_error_cancels_nothing),
        cmocka_unit_test(a_response_finds_another_connection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
