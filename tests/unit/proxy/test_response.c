#include "world.h"

static const struct proxy_binding three[] = {{.uri = TEXT("sip:b@192.0.2.20"), .q_milli = 500},
                                             {.uri = TEXT("sip:b@192.0.2.21"), .q_milli = 500},
                                             {.uri = TEXT("sip:b@192.0.2.22"), .q_milli = 500}};

struct fork {
    struct world w;
    const struct sent *to[3];
};

static void fork_method(struct fork *f, const char *method)
{
    world_init(&f->w);
    set_user(&f->w, "sip:bob@example.com", three, 3);
    world_start(&f->w);
    request(&f->w, &(struct call){.method = method, .ruri = "sip:bob@example.com"});
    if (strcmp(method, "INVITE") == 0)
        (void)take_starting(&f->w, "SIP/2.0 100");
    for (size_t i = 0; i < 3; i++)
        f->to[i] = take_starting(&f->w, method);
}

static void expect_best(const char *method, const unsigned statuses[3], unsigned best)
{
    struct fork f;
    char start[16];

    fork_method(&f, method);
    for (size_t i = 0; i < 3; i++) {
        respond(&f.w, f.to[i], statuses[i], "t");
        if (strcmp(method, "INVITE") == 0)
            (void)take_starting(&f.w, "ACK ");
        if (i < 2)
            assert_silence(&f.w);
    }
    snprintf(start, sizeof(start), "SIP/2.0 %u", best);
    (void)take_starting(&f.w, start);
    assert_int_equal(counter_get(&f.w.counters, COUNTER_RESPONSES_FORWARDED) +
                         counter_get(&f.w.counters, COUNTER_RESPONSES_LOCAL),
                     1);
    assert_silence(&f.w);
    world_stop(&f.w);
}

/* Step 6. */
static void the_best_response_is_sent_when_all_have_ended(void **state)
{
    static const struct {
        unsigned statuses[3], best;
    } cases[] = {
        {{404, 486, 500}, 404}, {{503, 407, 501}, 407}, {{500, 480, 486}, 486}, {{486, 302, 404}, 302},
        {{503, 503, 503}, 500}, {{503, 500, 503}, 500}, {{503, 504, 503}, 504}, {{486, 415, 420}, 415},
        {{484, 486, 404}, 484}, {{486, 500, 603}, 603},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        expect_best("INVITE", cases[i].statuses, cases[i].best);
        expect_best("MESSAGE", cases[i].statuses, cases[i].best);
    }
}

/* Step 5: "a stateful proxy MUST NOT forward any 100 (Trying) response"; other provisionals at once; none to
 * a non-INVITE. */
static void provisional_responses_go_on_at_once(void **state)
{
    struct fork f;

    (void)state;
    fork_method(&f, "INVITE");
    respond(&f.w, f.to[0], 100, NULL);
    assert_silence(&f.w);
    respond(&f.w, f.to[0], 180, "a");
    respond(&f.w, f.to[1], 183, "b");
    assert_has(take_starting(&f.w, "SIP/2.0 180"), ";tag=a\r\n");
    assert_has(take_starting(&f.w, "SIP/2.0 183"), ";tag=b\r\n");
    for (size_t i = 0; i < 3; i++)
        respond(&f.w, f.to[i], 486, "x");
    f.w.n_taken = f.w.n_sent;
    world_stop(&f.w);

    fork_method(&f, "MESSAGE");
    respond(&f.w, f.to[0], 182, "a");
    assert_silence(&f.w);
    for (size_t i = 0; i < 3; i++)
        respond(&f.w, f.to[i], 486, "x");
    f.w.n_taken = f.w.n_sent;
    world_stop(&f.w);
}

/* Steps 5 and 10; RFC 6026; RFC 3326 section 3.1. */
static void every_2xx_goes_on_and_the_others_are_cancelled(void **state)
{
    struct fork f;
    const struct sent *cancel, *up;

    (void)state;
    fork_method(&f, "INVITE");
    respond(&f.w, f.to[1], 180, "b");
    (void)take_starting(&f.w, "SIP/2.0 180");
    respond(&f.w, f.to[0], 200, "a");
    up = take_starting(&f.w, "SIP/2.0 200");
    assert_has(up, ";tag=a\r\n");
    cancel = take_starting(&f.w, "CANCEL sip:b@192.0.2.21 SIP/2.0\r\n");
    assert_goes_to(cancel, BOB2);
    assert_string_equal(header(cancel, "Via", 0), header(f.to[1], "Via", 0));
    assert_int_equal(count_headers(cancel, "Via"), 1);
    assert_string_equal(header(cancel, "CSeq", 0), "1 CANCEL");
    assert_string_equal(header(cancel, "Reason", 0), "SIP;cause=200;text=\"Call completed elsewhere\"");
    /* The third has said nothing: its CANCEL waits (section 9.1). */
    assert_silence(&f.w);
    respond(&f.w, f.to[2], 180, "c");
    cancel = take_starting(&f.w, "CANCEL ");
    assert_goes_to(cancel, BOB3);
    assert_silence(&f.w);
    /* A 200 that crossed the CANCEL, twice; and one more from the first. */
    respond(&f.w, f.to[1], 200, "b");
    assert_has(take_starting(&f.w, "SIP/2.0 200"), ";tag=b\r\n");
    respond(&f.w, f.to[1], 200, "b");
    assert_has(take_starting(&f.w, "SIP/2.0 200"), ";tag=b\r\n");
    respond(&f.w, f.to[0], 200, "another");
    assert_has(take_starting(&f.w, "SIP/2.0 200"), ";tag=another\r\n");
    respond(&f.w, f.to[2], 487, "c");
    (void)take_starting(&f.w, "ACK ");
    assert_silence(&f.w);
    assert_int_equal(proxy_used_bytes(f.w.proxy), 0);
    /* Nothing but a small link is left, and still every 2xx goes on. */
    respond(&f.w, f.to[0], 200, "late");
    assert_has(take_starting(&f.w, "SIP/2.0 200"), ";tag=late\r\n");
    world_advance(&f.w, 32000);
    f.w.n_taken = f.w.n_sent;
    respond(&f.w, f.to[0], 200, "too-late");
    assert_silence(&f.w);
    world_stop(&f.w);
}

static void a_non_invite_gets_one_final_response(void **state)
{
    struct fork f;

    (void)state;
    fork_method(&f, "MESSAGE");
    respond(&f.w, f.to[0], 200, "a");
    (void)take_starting(&f.w, "SIP/2.0 200");
    assert_int_equal(proxy_used_bytes(f.w.proxy), 0);
    respond(&f.w, f.to[1], 200, "b");
    respond(&f.w, f.to[2], 404, "c");
    assert_silence(&f.w);
    world_stop(&f.w);
}

/* Step 5: "it MUST NOT create any new branches in this context", and the others are cancelled; the 6xx waits
 * for them. */
static void a_6xx_cancels_and_waits(void **state)
{
    static const struct proxy_binding serial[] = {{.uri = TEXT("sip:b@192.0.2.20"), .q_milli = 900},
                                                  {.uri = TEXT("sip:b@192.0.2.21"), .q_milli = 900},
                                                  {.uri = TEXT("sip:b@192.0.2.22"), .q_milli = 500}};
    struct world w;
    const struct sent *a, *b, *cancel;

    (void)state;
    world_init(&w);
    set_user(&w, "sip:bob@example.com", serial, 3);
    world_start(&w);
    invite(&w);
    (void)take_starting(&w, "SIP/2.0 100");
    a = take_starting(&w, "INVITE");
    b = take_starting(&w, "INVITE");
    respond(&w, b, 180, "b");
    (void)take_starting(&w, "SIP/2.0 180");
    respond(&w, a, 603, "a");
    (void)take_starting(&w, "ACK ");
    cancel = take_starting(&w, "CANCEL ");
    assert_string_equal(header(cancel, "Reason", 0), "SIP;cause=603;text=\"Decline\"");
    assert_silence(&w);
    respond(&w, b, 487, "b");
    (void)take_starting(&w, "ACK ");
    assert_has(take_starting(&w, "SIP/2.0 603"), ";tag=a\r\n");
    assert_silence(&w);
    world_stop(&w);
}

/* "The result was that the UAC could receive a 6xx response followed by a 2xx response, which should never be
 * allowed to happen." */
static void a_2xx_that_crosses_the_cancel_after_a_6xx_wins(void **state)
{
    struct fork f;

    (void)state;
    fork_method(&f, "INVITE");
    respond(&f.w, f.to[0], 600, "a");
    (void)take_starting(&f.w, "ACK ");
    respond(&f.w, f.to[1], 200, "b");
    (void)take_starting(&f.w, "SIP/2.0 200");
    respond(&f.w, f.to[2], 486, "c");
    (void)take_starting(&f.w, "ACK ");
    assert_silence(&f.w);
    world_stop(&f.w);
}

/* Step 7, and what no longer has to be sent without modification of what the chosen one had. */
static void challenges_of_all_branches_are_gathered(void **state)
{
    struct fork f;
    const struct sent *up;

    (void)state;
    fork_method(&f, "INVITE");
    respond_with(&f.w, f.to[0], 401, "a", "WWW-Authenticate: Digest realm=\"a\",\r\n nonce=\"x, y\"\r\n");
    respond_with(&f.w, f.to[1], 486, "b", "WWW-Authenticate: Digest realm=\"not-of-a-401\"\r\n");
    respond_with(
        &f.w, f.to[2], 407, "c",
        "Proxy-Authenticate: Digest realm=\"c\"\r\nWWW-Authenticate: Digest realm=\"c2\"\r\nX: y\r\n");
    while (strncmp(f.w.sent[f.w.n_taken].text, "ACK", 3) == 0)
        (void)take(&f.w);
    up = take_starting(&f.w, "SIP/2.0 401");
    assert_has(up, ";tag=a\r\n");
    assert_has(up, "\r\nWWW-Authenticate: Digest realm=\"a\",\r\n nonce=\"x, y\"\r\n");
    assert_has(up, "\r\nProxy-Authenticate: Digest realm=\"c\"\r\n");
    assert_has(up, "\r\nWWW-Authenticate: Digest realm=\"c2\"\r\n");
    assert_has_not(up, "not-of-a-401");
    assert_has_not(up, "X: y");
    assert_int_equal(count_headers(up, "WWW-Authenticate"), 2);
    assert_silence(&f.w);
    world_stop(&f.w);
}

/* Step 3: "If no Via header field values remain in the response, the response was meant for this element". */
static void a_response_without_another_via_goes_nowhere(void **state)
{
    struct world w;
    const struct sent *sent;
    char text[WORLD_TEXT_MAX];

    (void)state;
    world_with_bob(&w);
    invite(&w);
    (void)take_starting(&w, "SIP/2.0 100");
    sent = take_starting(&w, "INVITE");
    snprintf(text, sizeof(text),
             "SIP/2.0 180 Ringing\r\nVia: %s\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n",
             header(sent, "Via", 0));
    world_receive(&w, UDP4, BOB, text);
    assert_silence(&w);
    respond(&w, sent, 486, "b");
    w.n_taken = w.n_sent;
    world_stop(&w);
}

/* Section 18.1.2, RFC 6026 section 7.3. */
static void what_is_not_ours_or_comes_stray_is_dropped(void **state)
{
    static const char *const vias[] = {
        "SIP/2.0/UDP 192.0.2.99:5060;branch=z9hG4bKvd03-0123456789abcdef-0123456789abcdef",
        "SIP/2.0/UDP 192.0.2.1:5061;branch=z9hG4bKvd03-0123456789abcdef-0123456789abcdef",
        "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKvd03-0123456789abcdef-0123456789abcdef",
        "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKvsff-0123456789abcdef-0123456789abcdef",
        "SIP/2.0/UDP "
        "192.0.2.1:5060;branch=z9hG4bKvsff-0123456789abcdef-0123456789abcdef;vd=000000000000000000-"
        "0123456789abcdef",
        "SIP/2.0/UDP 192.0.2.1:5060",
    };
    struct world w;
    char text[1024];

    (void)state;
    world_with_bob(&w);
    for (size_t i = 0; i < sizeof(vias) / sizeof(vias[0]); i++) {
        snprintf(text, sizeof(text),
                 "SIP/2.0 200 OK\r\nVia: %s\r\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKx\r\nFrom: "
                 "<sip:a@b>;tag=1\r\n"
                 "To: <sip:a@b>;tag=2\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n",
                 vias[i]);
        world_receive(&w, UDP4, BOB, text);
    }
    assert_silence(&w);
    assert_int_equal(counter_get(&w.counters, COUNTER_RESPONSES_DROPPED), sizeof(vias) / sizeof(vias[0]));
    world_stop(&w);
}

/* RFC 4320 section 4.2: no 408 to a non-INVITE, ours or another's; section 4.1: 100 once Timer E has reached
 * T2. */
static void a_non_invite_that_times_out_is_not_answered(void **state)
{
    struct world w;
    const struct sent *sent;
    unsigned tryings = 0;

    (void)state;
    world_with_bob(&w);
    world_advance(&w, 12345);
    request(&w,
            &(struct call){.method = "MESSAGE", .ruri = "sip:bob@example.com", .extra = "Timestamp: 54\r\n"});
    (void)take_starting(&w, "MESSAGE");
    world_advance(&w, 400000);
    while (w.n_taken < w.n_sent) {
        sent = take(&w);
        if (strncmp(sent->text, "SIP/2.0 100", 11) == 0) {
            tryings++;
            assert_string_equal(header(sent, "Timestamp", 0), "54 3.500");
        } else {
            assert_int_equal(strncmp(sent->text, "MESSAGE", 7), 0);
        }
    }
    assert_int_equal(tryings, 1);
    request(&w, &(struct call){.method = "MESSAGE", .ruri = "sip:bob@example.com", .branch = "z9hG4bK2"});
    respond(&w, take_starting(&w, "MESSAGE"), 408, "b");
    assert_silence(&w);
    assert_int_equal(proxy_transactions(w.proxy), 1); /* the client's, for Timer K */
    world_stop(&w);
}

static void an_invite_that_nobody_answers_gets_408(void **state)
{
    struct world w;

    (void)state;
    world_with_bob(&w);
    invite(&w);
    assert_has(take_starting(&w, "SIP/2.0 100"), "CSeq: 1 INVITE");
    (void)take_starting(&w, "INVITE");
    world_advance(&w, 31999);
    while (w.n_taken < w.n_sent)
        (void)take_starting(&w, "INVITE");
    world_advance(&w, 1);
    assert_has(take_starting(&w, "SIP/2.0 408 Request Timeout\r\n"), ";tag=vd");
    world_stop(&w);
}

/* Step 4: contacts of a 3xx become targets, with their q; what cannot be tried goes up. */
static void contacts_of_a_3xx_are_tried(void **state)
{
    struct world w;
    const struct sent *a, *b, *c, *up;

    (void)state;
    world_init(&w);
    set_user(&w, "sip:bob@example.com", bob_once, 1);
    w.opts.recurse_3xx = true;
    world_start(&w);
    invite(&w);
    (void)take_starting(&w, "SIP/2.0 100");
    a = take_starting(&w, "INVITE");
    respond_with(&w, a, 302, "a",
                 "Contact: <sip:c@192.0.2.22>;q=0.3, \"x, y\" <sip:b@192.0.2.21;method=BYE>;q=0.7\r\n"
                 "Contact: <sip:bob@192.0.2.20>, <mailto:bob@example.com>\r\n");
    (void)take_starting(&w, "ACK ");
    b = take_starting(&w, "INVITE sip:b@192.0.2.21 SIP/2.0");
    assert_silence(&w);
    respond(&w, b, 404, "b");
    (void)take_starting(&w, "ACK ");
    c = take_starting(&w, "INVITE sip:c@192.0.2.22 SIP/2.0");
    respond_with(&w, c, 302, "c", "Contact: <sip:b@192.0.2.21>\r\n");
    (void)take_starting(&w, "ACK ");
    up = take_starting(&w, "SIP/2.0 302");
    assert_has(up, ";tag=a\r\n");
    assert_int_equal(count_headers(up, "Contact"), 1);
    assert_string_equal(header(up, "Contact", 0), "<mailto:bob@example.com>");
    assert_silence(&w);
    world_stop(&w);
}

/* "a proxy SHOULD NOT recurse to a non-SIPS URI if the Request-URI of the original request was a SIPS URI." */
static void a_sips_target_is_not_traded_for_a_sip_one(void **state)
{
    static const struct proxy_binding secure[] = {
        {.uri = TEXT("sips:b@192.0.2.20;transport=udp"), .q_milli = 1000}};
    struct world w;

    (void)state;
    world_init(&w);
    set_user(&w, "sip:bob@example.com", secure, 1);
    w.opts.recurse_3xx = true;
    world_start(&w);
    request(&w, &(struct call){.method = "MESSAGE", .ruri = "sips:bob@example.com:5060"});
    respond_with(&w, take_starting(&w, "MESSAGE sips:b@"), 302, "a",
                 "Contact: <sip:c@192.0.2.22>, <sips:d@192.0.2.23;transport=udp>\r\n");
    respond(&w, take_starting(&w, "MESSAGE sips:d@"), 404, "d");
    assert_string_equal(header(take_starting(&w, "SIP/2.0 302"), "Contact", 0), "<sip:c@192.0.2.22>");
    world_stop(&w);
}

/* "If the proxy is not responsible for that URI, it will not recurse on 3xx"; nor if it is not told to. */
static void a_3xx_goes_up_as_it_is_where_the_proxy_does_not_recurse(void **state)
{
    struct world w;
    const struct sent *sent;

    (void)state;
    for (int recurse = 0; recurse < 2; recurse++) {
        world_init(&w);
        set_user(&w, "sip:bob@example.com", bob_once, 1);
        w.opts.recurse_3xx = recurse;
        world_start(&w);
        request(&w, &(struct call){.method = "MESSAGE",
                                   .ruri = recurse ? "sip:c@192.0.2.30" : "sip:bob@example.com"});
        respond_with(&w, take_starting(&w, "MESSAGE"), 302, "a", "Contact: <sip:c@192.0.2.22>;q=0.3\r\n");
        sent = take_starting(&w, "SIP/2.0 302");
        assert_string_equal(header(sent, "Contact", 0), "<sip:c@192.0.2.22>;q=0.3");
        assert_silence(&w);
        world_stop(&w);
    }
}

/* A proxy "MUST NOT add to, modify, or remove the message body"; Content-Length is added towards a stream. */
static void a_response_is_changed_in_its_top_via_alone(void **state)
{
    struct world w;
    const struct sent *sent, *up;
    char text[WORLD_TEXT_MAX];

    (void)state;
    world_with_bob(&w);
    world_receive(&w, TCP4, ALICE,
                  request_text(&(struct call){
                      .method = "MESSAGE", .ruri = "sip:bob@example.com", .via = "SIP/2.0/TCP alice"}));
    sent = take_starting(&w, "MESSAGE");
    snprintf(text, sizeof(text),
             "SIP/2.0 299 So  so\r\nX-First: 1\r\nvia : %s , %s\r\nf: <sip:alice@example.com>;tag=a1\r\nt: "
             "<sip:bob@example.com>;tag=b\r\n"
             "i: call1\r\nCSeq: 1 MESSAGE\r\nX-Last:\r\n\r\nbody\r\n.",
             header(sent, "Via", 0), header(sent, "Via", 1));
    world_receive(&w, UDP4, BOB, text);
    up = take(&w);
    assert_int_equal(up->hop.flow, 99);
    assert_has(up, "SIP/2.0 299 So  so\r\nX-First: 1\r\nvia : SIP/2.0/TCP "
                   "alice;branch=z9hG4bKalice1;received=192.0.2.10\r\nf: ");
    assert_has(up, "X-Last:\r\nContent-Length: 7\r\n\r\nbody\r\n.");
    world_stop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_response_is_sent_when_all_have_ended),
        cmocka_unit_test(provisional_responses_go_on_at_once),
        cmocka_unit_test(every_2xx_goes_on_and_the_others_are_cancelled),
        cmocka_unit_test(a_non_invite_gets_one_final_response),
        cmocka_unit_test(a_6xx_cancels_and_waits),
        cmocka_unit_test(a_2xx_that_crosses_the_cancel_after_a_6xx_wins),
        cmocka_unit_test(challenges_of_all_branches_are_gathered),
        cmocka_unit_test(a_response_without_another_via_goes_nowhere),
        cmocka_unit_test(what_is_not_ours_or_comes_stray_is_dropped),
        cmocka_unit_test(a_non_invite_that_times_out_is_not_answered),
        cmocka_unit_test(an_invite_that_nobody_answers_gets_408),
        cmocka_unit_test(contacts_of_a_3xx_are_tried),
        cmocka_unit_test(a_sips_target_is_not_traded_for_a_sip_one),
        cmocka_unit_test(a_3xx_goes_up_as_it_is_where_the_proxy_does_not_recurse),
        cmocka_unit_test(a_response_is_changed_in_its_top_via_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
