#include "world.h"

static void cancel(struct world *w, const char *extra)
{
    request(w, &(struct call){.method = "CANCEL", .ruri = "sip:bob@example.com", .extra = extra});
}

static const struct sent *ringing(struct world *w)
{
    const struct sent *sent;

    world_with_bob(w);
    invite(w);
    (void)take_starting(w, "SIP/2.0 100");
    sent = take_starting(w, "INVITE");
    respond(w, sent, 180, "b");
    (void)take_starting(w, "SIP/2.0 180");
    return sent;
}

/* Section 16.10: "the element MUST immediately return a 200 (OK) response to the CANCEL request ...
 * Furthermore, the element MUST generate CANCEL requests for all pending client transactions". */
static void a_cancel_is_answered_and_passed_on(void **state)
{
    struct world w;
    const struct sent *inv = ringing(&w), *ok, *down, *final;

    (void)state;
    cancel(&w, "Reason: SIP;cause=600;text=\"a, b\"\r\nReason: Q.850;cause=16\r\nX: y\r\n");
    ok = take_starting(&w, "SIP/2.0 200 OK\r\n");
    assert_string_equal(header(ok, "CSeq", 0), "1 CANCEL");
    down = take_starting(&w, "CANCEL sip:bob@192.0.2.20 SIP/2.0\r\n");
    assert_goes_to(down, BOB);
    assert_int_equal(count_headers(down, "Via"), 1);
    assert_string_equal(header(down, "Via", 0), header(inv, "Via", 0));
    assert_string_equal(header(down, "From", 0), header(inv, "From", 0));
    assert_string_equal(header(down, "To", 0), header(inv, "To", 0));
    assert_string_equal(header(down, "CSeq", 0), "1 CANCEL");
    assert_string_equal(header(down, "Reason", 0), "SIP;cause=600;text=\"a, b\", Q.850;cause=16");
    assert_silence(&w);
    /* Repeated: the stored 200, and no second CANCEL (section 9.2). */
    cancel(&w, "");
    assert_string_equal(take_starting(&w, "SIP/2.0 200")->text, ok->text);
    assert_silence(&w);
    respond(&w, down, 200, "b");
    respond(&w, inv, 487, "b");
    assert_goes_to(take_starting(&w, "ACK "), BOB);
    final = take_starting(&w, "SIP/2.0 487");
    assert_has(final, ";tag=b\r\n");
    assert_silence(&w);
    world_stop(&w);
}

/* Section 9.2: "the To tag of the response to the CANCEL and the To tag in the response to the original
 * request SHOULD be the same". */
static void the_two_answers_have_one_to_tag(void **state)
{
    struct world w;
    const struct sent *ok;
    char to[256];

    (void)state;
    world_with_bob(&w);
    invite(&w);
    (void)take_starting(&w, "SIP/2.0 100");
    (void)take_starting(&w, "INVITE");
    cancel(&w, "");
    ok = take_starting(&w, "SIP/2.0 200");
    snprintf(to, sizeof(to), "%s", header(ok, "To", 0));
    assert_non_null(strstr(to, ";tag=vd"));
    world_advance(&w, 32000);
    while (strncmp(w.sent[w.n_taken].text, "INVITE", 6) == 0)
        (void)take(&w);
    assert_string_equal(header(take_starting(&w, "SIP/2.0 487"), "To", 0), to);
    world_stop(&w);
}

/* Section 9.1: "If no provisional response has been received, the CANCEL request MUST NOT be sent". */
static void a_silent_branch_is_cancelled_when_it_first_speaks(void **state)
{
    struct world w;
    const struct sent *inv, *down;

    (void)state;
    world_with_bob(&w);
    invite(&w);
    (void)take_starting(&w, "SIP/2.0 100");
    inv = take_starting(&w, "INVITE");
    cancel(&w, "");
    (void)take_starting(&w, "SIP/2.0 200");
    assert_silence(&w);
    world_advance(&w, 500);
    (void)take_starting(&w, "INVITE"); /* Timer A goes on */
    respond(&w, inv, 100, NULL);
    down = take_starting(&w, "CANCEL ");
    respond(&w, inv, 180, "b");
    (void)take_starting(&w, "SIP/2.0 180");
    assert_silence(&w);
    respond(&w, down, 481, "b");
    respond(&w, inv, 487, "b");
    (void)take_starting(&w, "ACK ");
    (void)take_starting(&w, "SIP/2.0 487");
    assert_silence(&w);
    world_stop(&w);
}

/* Section 9.1: "If there is no final response for the original request in 64*T1 seconds ... the client SHOULD
 * then consider the original transaction cancelled". */
static void a_branch_that_never_ends_after_its_cancel_is_given_up(void **state)
{
    struct world w;
    const struct sent *inv = ringing(&w), *down;

    (void)state;
    cancel(&w, "");
    (void)take_starting(&w, "SIP/2.0 200");
    down = take_starting(&w, "CANCEL ");
    respond(&w, down, 200, "b");
    world_advance(&w, 31999);
    respond(&w, inv, 183, "b"); /* does not put it off */
    (void)take_starting(&w, "SIP/2.0 183");
    assert_silence(&w);
    world_advance(&w, 1);
    (void)take_starting(&w, "SIP/2.0 487");
    assert_silence(&w);
    assert_int_equal(proxy_used_bytes(w.proxy), 0);
    world_stop(&w);
}

static void a_200_that_crosses_the_cancel_goes_on(void **state)
{
    struct world w;
    const struct sent *inv = ringing(&w);

    (void)state;
    cancel(&w, "");
    (void)take_starting(&w, "SIP/2.0 200");
    (void)take_starting(&w, "CANCEL ");
    respond(&w, inv, 200, "b");
    assert_string_equal(header(take_starting(&w, "SIP/2.0 200"), "CSeq", 0), "1 INVITE");
    assert_silence(&w);
    world_advance(&w, 500);
    w.n_taken = w.n_sent;
    world_stop(&w);
}

/* Section 9.2: "If it has, the CANCEL request has no effect on the processing of the original request". */
static void a_cancel_after_the_final_response_changes_nothing(void **state)
{
    struct world w;
    const struct sent *inv = ringing(&w);

    (void)state;
    respond(&w, inv, 200, "b");
    (void)take_starting(&w, "SIP/2.0 200");
    cancel(&w, "");
    assert_string_equal(header(take_starting(&w, "SIP/2.0 200"), "CSeq", 0), "1 CANCEL");
    assert_silence(&w);
    world_stop(&w);
}

/* Section 9.2: no impact on other methods. */
static void a_cancel_of_a_non_invite_is_answered_and_does_nothing(void **state)
{
    struct world w;
    const struct sent *sent;

    (void)state;
    world_with_bob(&w);
    request(&w, &(struct call){.method = "MESSAGE", .ruri = "sip:bob@example.com"});
    sent = take_starting(&w, "MESSAGE");
    cancel(&w, "");
    (void)take_starting(&w, "SIP/2.0 200");
    assert_silence(&w);
    respond(&w, sent, 202, "b");
    (void)take_starting(&w, "SIP/2.0 202");
    world_stop(&w);
}

static void a_cancel_while_the_next_hop_is_looked_up_ends_the_call(void **state)
{
    struct world w;

    (void)state;
    world_with_bob(&w);
    w.resolve_later = true;
    invite(&w);
    (void)take_starting(&w, "SIP/2.0 100");
    cancel(&w, "");
    (void)take_starting(&w, "SIP/2.0 200");
    (void)take_starting(&w, "SIP/2.0 487");
    proxy_resolved(w.proxy, w.ticket, 0,
                   &(struct sip_hop){.addr = addr_of(BOB), .transport = SIP_TRANSPORT_UDP}, 1);
    assert_silence(&w);
    world_advance(&w, 31000);
    w.n_taken = w.n_sent; /* the 487 is repeated until its ACK */
    world_stop(&w);
}

/* Section 16.10: the queue of a series is dropped. */
static void a_cancel_starts_no_further_branch(void **state)
{
    static const struct proxy_binding serial[] = {{.uri = TEXT("sip:b@192.0.2.20"), .q_milli = 900},
                                                  {.uri = TEXT("sip:b@192.0.2.21"), .q_milli = 500}};
    struct world w;
    const struct sent *inv;

    (void)state;
    world_init(&w);
    set_user(&w, "sip:bob@example.com", serial, 2);
    world_start(&w);
    invite(&w);
    (void)take_starting(&w, "SIP/2.0 100");
    inv = take_starting(&w, "INVITE");
    cancel(&w, "");
    (void)take_starting(&w, "SIP/2.0 200");
    respond(&w, inv, 486, "b");
    (void)take_starting(&w, "ACK ");
    (void)take_starting(&w, "SIP/2.0 486");
    assert_silence(&w);
    world_stop(&w);
}

/* "If a response context is not found ... It MUST statelessly forward the CANCEL request"; where it may not
 * go, 481 (9.2). */
static void a_cancel_of_nothing_is_forwarded_statelessly_or_refused(void **state)
{
    struct world w;
    const struct sent *down;

    (void)state;
    world_with_bob(&w);
    cancel(&w, "");
    down = take_starting(&w, "CANCEL sip:bob@192.0.2.20 ");
    assert_int_equal(count_headers(down, "Via"), 2);
    assert_int_equal(count_headers(down, "Max-Breadth"), 0);
    assert_int_equal(proxy_transactions(w.proxy), 0);
    respond(&w, down, 481, "b");
    assert_goes_to(take_starting(&w, "SIP/2.0 481"), ALICE);
    cancel(&w, "");
    assert_string_equal(take_starting(&w, "CANCEL ")->text, down->text);

    world_receive(&w, UDP4, "203.0.113.5:5060",
                  request_text(&(struct call){
                      .method = "CANCEL", .ruri = "sip:carol@192.0.2.30", .branch = "z9hG4bK2"}));
    (void)take_starting(&w, "SIP/2.0 481 ");
    request(&w, &(struct call){.method = "CANCEL", .ruri = "sip:nosuch@example.com", .branch = "z9hG4bK3"});
    (void)take_starting(&w, "SIP/2.0 481 ");
    request(&w, &(struct call){.method = "CANCEL", .ruri = "sip:example.com", .branch = "z9hG4bK4"});
    (void)take_starting(&w, "SIP/2.0 481 ");
    assert_int_equal(proxy_used_bytes(w.proxy), 0);
    world_stop(&w);
}

static enum proxy_verdict wait_once(struct proxy_request *req, void *ctx)
{
    uint64_t *ticket = ctx;

    if (req->resumed)
        return PROXY_NEXT;
    *ticket = proxy_wait_ticket(req);
    return PROXY_WAIT;
}

static void a_request_may_wait_in_a_step_and_be_cancelled_there(void **state)
{
    uint64_t ticket = 0;
    const struct proxy_step chain[] = {{"validate", proxy_step_validate, NULL},
                                       {"route", proxy_step_route, NULL},
                                       {"wait", wait_once, &ticket},
                                       {"relay", proxy_step_relay, NULL},
                                       {"targets", proxy_step_targets, NULL},
                                       {"forward", proxy_step_forward, NULL},
                                       {NULL, NULL, NULL}};
    struct world w;

    (void)state;
    world_init(&w);
    set_user(&w, "sip:bob@example.com", bob_once, 1);
    w.opts.chain = chain;
    world_start(&w);
    invite(&w);
    (void)take_starting(&w, "SIP/2.0 100");
    assert_silence(&w);
    assert_int_equal(proxy_pending(w.proxy), 1);
    invite(&w); /* a retransmission: the 100 again */
    (void)take_starting(&w, "SIP/2.0 100");
    proxy_resume(w.proxy, ticket + 1, "x");
    assert_silence(&w);
    proxy_resume(w.proxy, ticket, "x");
    respond(&w, take_starting(&w, "INVITE sip:bob@192.0.2.20 "), 486, "b");
    w.n_taken = w.n_sent;
    proxy_resume(w.proxy, ticket, "x");
    assert_silence(&w);

    request(&w, &(struct call){.method = "INVITE", .ruri = "sip:bob@example.com", .branch = "z9hG4bK2"});
    (void)take_starting(&w, "SIP/2.0 100");
    request(&w, &(struct call){.method = "CANCEL", .ruri = "sip:bob@example.com", .branch = "z9hG4bK2"});
    (void)take_starting(&w, "SIP/2.0 200");
    (void)take_starting(&w, "SIP/2.0 487");
    proxy_resume(w.proxy, ticket, "x");
    assert_silence(&w);
    world_stop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cancel_is_answered_and_passed_on),
        cmocka_unit_test(the_two_answers_have_one_to_tag),
        cmocka_unit_test(a_silent_branch_is_cancelled_when_it_first_speaks),
        cmocka_unit_test(a_branch_that_never_ends_after_its_cancel_is_given_up),
        cmocka_unit_test(a_200_that_crosses_the_cancel_goes_on),
        cmocka_unit_test(a_cancel_after_the_final_response_changes_nothing),
        cmocka_unit_test(a_cancel_of_a_non_invite_is_answered_and_does_nothing),
        cmocka_unit_test(a_cancel_while_the_next_hop_is_looked_up_ends_the_call),
        cmocka_unit_test(a_cancel_starts_no_further_branch),
        cmocka_unit_test(a_cancel_of_nothing_is_forwarded_statelessly_or_refused),
        cmocka_unit_test(a_request_may_wait_in_a_step_and_be_cancelled_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
