#include "world.h"

/* --- A call --- */

static void call_goes_end_to_end_and_leaves_nothing(void **state)
{
    struct world w;
    const struct sent *inv, *ack, *bye, *up;
    char extra[512];

    (void)state;
    world_with_bob(&w);
    invite(&w);
    up = take_starting(&w, "SIP/2.0 100 Trying\r\n");
    assert_goes_to(up, ALICE);
    assert_has_not(up, "To: <sip:bob@example.com>;tag");
    inv = take_starting(
        &w, "INVITE sip:bob@192.0.2.20 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;rport;branch=z9hG4bKvd03-");
    assert_goes_to(inv, BOB);
    assert_string_equal(header(inv, "Max-Forwards", 0), "69");
    assert_string_equal(header(inv, "Max-Breadth", 0), "60");
    assert_int_equal(count_headers(inv, "Via"), 2);
    assert_int_equal(count_headers(inv, "Record-Route"), 1);
    assert_has(inv, "Record-Route: <sip:vd0300-");
    assert_has(inv, "@192.0.2.1:5060;lr>\r\n");
    assert_silence(&w);

    respond(&w, inv, 100, NULL);
    assert_silence(&w);
    respond(&w, inv, 180, "b1");
    up = take_starting(&w, "SIP/2.0 180 ");
    assert_int_equal(count_headers(up, "Via"), 1);
    assert_goes_to(up, ALICE);
    respond(&w, inv, 200, "b1");
    up = take_starting(&w, "SIP/2.0 200 ");
    assert_string_equal(header(up, "Record-Route", 0), header(inv, "Record-Route", 0));
    assert_silence(&w);

    snprintf(extra, sizeof(extra), "Route: %s\r\n", header(up, "Record-Route", 0));
    request(&w, &(struct call){.method = "ACK",
                               .ruri = "sip:bob@192.0.2.20",
                               .branch = "z9hG4bKalice2",
                               .to = "<sip:bob@example.com>;tag=b1",
                               .extra = extra});
    ack = take_starting(&w, "ACK sip:bob@192.0.2.20 ");
    assert_goes_to(ack, BOB);
    assert_int_equal(count_headers(ack, "Route"), 0);
    assert_int_equal(count_headers(ack, "Via"), 2);
    assert_silence(&w);

    request(&w, &(struct call){.method = "BYE",
                               .ruri = "sip:bob@192.0.2.20",
                               .branch = "z9hG4bKalice3",
                               .to = "<sip:bob@example.com>;tag=b1",
                               .cseq = 2,
                               .extra = extra});
    bye = take_starting(&w, "BYE ");
    assert_int_equal(count_headers(bye, "Route"), 0);
    respond(&w, bye, 200, NULL);
    (void)take_starting(&w, "SIP/2.0 200 ");
    assert_silence(&w);
    assert_int_equal(counter_get(&w.counters, COUNTER_REQUESTS), 3);
    assert_int_equal(counter_get(&w.counters, COUNTER_RESPONSES_LOCAL), 0); /* a 100 is no answer */
    assert_int_equal(counter_get(&w.counters, COUNTER_RESPONSES_FORWARDED), 3);
    world_stop(&w);
}

static enum proxy_verdict answer(struct proxy_request *req, void *ctx)
{
    (void)ctx;
    return proxy_reply(req, 200, SLICE("Fine"), NULL, "a step of its own");
}

/* Section 12.1.1: a response that makes a dialog carries the Record-Route of its request, no other does. */
static void record_route_goes_into_what_makes_a_dialog_alone(void **state)
{
    static const struct proxy_step chain[] = {{"answer", answer, NULL}, {NULL, NULL, NULL}};
    static const struct {
        const char *method;
        unsigned count;
    } cases[] = {{"INVITE", 1}, {"SUBSCRIBE", 1}, {"REFER", 1}, {"MESSAGE", 0}, {"REGISTER", 0}};
    struct world w;
    const struct sent *sent;

    (void)state;
    world_init(&w);
    w.opts.chain = chain;
    world_start(&w);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        request(&w, &(struct call){.method = cases[i].method,
                                   .ruri = "sip:example.com",
                                   .extra = "Record-Route: <sip:a;lr>\r\n"});
        sent = take_starting(&w, "SIP/2.0 200 Fine\r\n");
        assert_int_equal(count_headers(sent, "Record-Route"), cases[i].count);
    }
    assert_int_equal(counter_get(&w.counters, COUNTER_RESPONSES_LOCAL), 5);
    world_stop(&w);
}

/* Section 17.2.1: what we answered ourselves is acknowledged to us, and absorbed; also when nothing is left
 * of it. */
static void acks_of_our_own_finals_are_absorbed(void **state)
{
    struct world w;
    const char *to;

    (void)state;
    world_with_bob(&w);
    request(&w, &(struct call){.method = "INVITE", .ruri = "sip:nosuch@example.com"});
    to = header(take_starting(&w, "SIP/2.0 404"), "To", 0);
    request(&w, &(struct call){.method = "ACK", .ruri = "sip:nosuch@example.com", .to = to});
    assert_silence(&w);
    world_advance(&w, 100000);
    assert_int_equal(proxy_transactions(w.proxy), 0);
    request(&w, &(struct call){.method = "ACK", .ruri = "sip:bob@example.com", .to = to});
    assert_silence(&w);
    world_stop(&w);
}

/* Section 8.2.6.2, for what was refused before it had a transaction. */
/* ports.h: so that a 200 does not overtake its 180. What cannot be read concerns nothing. */
static void it_is_told_first_which_call_a_message_is_of(void **state)
{
    struct world w;
    const struct sent *inv;
    char text[WORLD_TEXT_MAX];

    (void)state;
    world_with_bob(&w);
    strcpy(text,
           request_text(&(struct call){.method = "INVITE", .ruri = "sip:bob@example.com", .call_id = "x@y"}));
    world_receive(&w, UDP4, ALICE, text);
    assert_string_equal(take_starting(&w, "SIP/2.0 100 ")->concern, "x@y");
    inv = take_starting(&w, "INVITE ");
    assert_string_equal(inv->concern, "x@y");
    respond(&w, inv, 180, "b1");
    assert_string_equal(take_starting(&w, "SIP/2.0 180 ")->concern, "x@y");
    memcpy(strstr(text, "CSeq: 1"), "CSeq: x", 7);
    world_receive(&w, UDP4, ALICE, text);
    assert_string_equal(take_starting(&w, "SIP/2.0 400 ")->concern, "");
    world_stop(&w);
}

static void malformed_requests_are_answered_and_other_rubbish_is_dropped(void **state)
{
    struct world w;
    const struct sent *sent;
    char text[WORLD_TEXT_MAX];

    (void)state;
    world_with_bob(&w);
    strcpy(text, request_text(&(struct call){.method = "MESSAGE", .ruri = "sip:bob@example.com"}));
    memcpy(strstr(text, "CSeq: 1"), "CSeq: x", 7);
    world_receive(&w, UDP4, "192.0.2.10:7777", text);
    sent = take_starting(&w, "SIP/2.0 400 Bad CSeq\r\n");
    assert_goes_to(sent, ALICE);
    assert_has(sent, ";tag=vd");
    memcpy(strstr(text, "MESSAGE"), "ACK    ", 7);
    world_receive(&w, UDP4, ALICE, text);
    world_receive(&w, UDP4, ALICE, "SIP/2.0 200 OK\r\n\r\n");
    world_receive(&w, UDP4, ALICE, "\001\002\003");
    world_receive(&w, UDP4, ALICE, "");
    strcpy(text, request_text(&(struct call){.method = "MESSAGE", .ruri = "sip:bob@example.com"}));
    memcpy(strstr(text, "SIP/2.0\r\n"), "SIP/7.0\r\n", 9);
    world_receive(&w, UDP4, ALICE, text);
    (void)take_starting(&w, "SIP/2.0 505 ");
    assert_silence(&w);
    assert_int_equal(counter_get(&w.counters, COUNTER_RX_BAD), 6);
    world_stop(&w);
}

static void lost_framing_of_a_stream_is_answered(void **state)
{
    struct world w;
    struct sip_hop from = hop_from(TCP4, "192.0.2.10:40000", 5);
    const char *text = request_text(&(struct call){.method = "MESSAGE", .ruri = "sip:bob@example.com"});

    (void)state;
    world_with_bob(&w);
    proxy_receive_bad(w.proxy, slice_from_cstr(text), &from, 400, "Two Content-Length");
    assert_int_equal(take_starting(&w, "SIP/2.0 400 Two Content-Length\r\n")->hop.flow, 5);
    proxy_receive_bad(w.proxy, slice_from_cstr(text), &from, 513, NULL);
    (void)take_starting(&w, "SIP/2.0 513 Message Too Large\r\n");
    proxy_receive_bad(
        w.proxy,
        SLICE("SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bK1\r\nCSeq: 1 BYE\r\n\r\n"),
        &from, 400, NULL);
    proxy_receive_bad(w.proxy, SLICE("rubbish"), &from, 400, NULL);
    assert_int_equal(counter_get(&w.counters, COUNTER_RX_BAD), 4);
    assert_silence(&w);
    world_stop(&w);
}

/* Draining: what begins something gets 503 with Retry-After, what is under way goes on. */
static void a_draining_proxy_begins_nothing(void **state)
{
    struct world w;
    const struct sent *inv, *sent;

    (void)state;
    world_with_bob(&w);
    invite(&w);
    (void)take_starting(&w, "SIP/2.0 100");
    inv = take_starting(&w, "INVITE");
    proxy_set_draining(w.proxy, true);
    assert_int_equal(proxy_pending(w.proxy), 2);
    request(&w, &(struct call){.method = "INVITE", .ruri = "sip:bob@example.com", .branch = "z9hG4bK2"});
    sent = take_starting(&w, "SIP/2.0 503 ");
    assert_string_equal(header(sent, "Retry-After", 0), "7");
    request(&w, &(struct call){.method = "ACK",
                               .ruri = "sip:bob@example.com",
                               .branch = "z9hG4bK2",
                               .to = header(sent, "To", 0)});
    assert_silence(&w);
    respond(&w, inv, 200, "b");
    (void)take_starting(&w, "SIP/2.0 200");
    assert_int_equal(proxy_pending(w.proxy), 0);
    request(&w, &(struct call){.method = "BYE",
                               .ruri = "sip:bob@192.0.2.20",
                               .branch = "z9hG4bK3",
                               .to = "<sip:bob@example.com>;tag=b"});
    respond(&w, take_starting(&w, "BYE "), 200, NULL);
    (void)take_starting(&w, "SIP/2.0 200");
    proxy_set_draining(w.proxy, false);
    request(&w, &(struct call){.method = "MESSAGE", .ruri = "sip:bob@example.com", .branch = "z9hG4bK4"});
    (void)take_starting(&w, "MESSAGE");
    world_stop(&w);
}

static void a_full_proxy_sheds(void **state)
{
    struct world w;
    char body[6000];

    (void)state;
    world_init(&w);
    set_user(&w, "sip:bob@example.com", bob_once, 1);
    w.opts.max_transactions = 2;
    world_start(&w);
    invite(&w);
    (void)take_starting(&w, "SIP/2.0 100");
    (void)take_starting(&w, "INVITE");
    memset(body, 'x', sizeof(body) - 1);
    body[sizeof(body) - 1] = 0;
    request(&w, &(struct call){
                    .method = "INVITE", .ruri = "sip:bob@example.com", .branch = "z9hG4bK2", .body = body});
    assert_string_equal(header(take_starting(&w, "SIP/2.0 503"), "Retry-After", 0), "7");
    assert_int_equal(counter_get(&w.counters, COUNTER_SHED), 1);
    world_advance(&w, 100000);
    w.n_taken = w.n_sent;
    world_stop(&w);
}

/* A client of RFC 2543 sends its ACK to a 2xx with the branch of its INVITE, or none: it goes on (RFC 6026
 * section 6). */
static void the_ack_of_an_rfc2543_client_to_a_2xx_goes_on(void **state)
{
    struct world w;
    const struct sent *inv;

    (void)state;
    world_with_bob(&w);
    request(&w, &(struct call){.method = "INVITE", .ruri = "sip:bob@example.com", .branch = "1"});
    (void)take_starting(&w, "SIP/2.0 100");
    inv = take_starting(&w, "INVITE");
    respond(&w, inv, 200, "b");
    (void)take_starting(&w, "SIP/2.0 200");
    request(&w, &(struct call){.method = "ACK",
                               .ruri = "sip:bob@example.com",
                               .branch = "1",
                               .to = "<sip:bob@example.com>;tag=b"});
    (void)take_starting(&w, "ACK sip:bob@192.0.2.20 ");
    world_stop(&w);
}

static void options_out_of_range_are_refused(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    w.opts.timer_c_ms = 180000; /* "The timer MUST be larger than 3 minutes" */
    assert_int_equal(proxy_new(&w.opts, &w.ports, &w.counters, 0, &w.proxy), ERR_RANGE);
    w.opts.timer_c_ms = 180001;
    w.opts.max_breadth = 0;
    assert_int_equal(proxy_new(&w.opts, &w.ports, &w.counters, 0, &w.proxy), ERR_RANGE);
    w.opts.max_breadth = 60;
    w.opts.worker = 255;
    assert_int_equal(proxy_new(&w.opts, &w.ports, &w.counters, 0, &w.proxy), ERR_RANGE);
    free(w.sent);
}

/* Section 8.2.6.1: "any Timestamp header field present in the request MUST be copied into this 100 (Trying)
 * response". */
static void timestamp_is_copied_into_the_100_alone(void **state)
{
    struct world w;
    const struct sent *inv;

    (void)state;
    world_with_bob(&w);
    request(&w, &(struct call){
                    .method = "INVITE", .ruri = "sip:bob@example.com", .extra = "Timestamp: 54.2\r\n"});
    assert_string_equal(header(take_starting(&w, "SIP/2.0 100"), "Timestamp", 0), "54.2");
    inv = take_starting(&w, "INVITE");
    proxy_send_failed(w.proxy, inv->token);
    assert_int_equal(count_headers(take_starting(&w, "SIP/2.0 500"), "Timestamp"), 0);
    world_stop(&w);
}

static void the_server_header_is_added_where_there_is_one(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    w.opts.server_name = SLICE("Viaduct");
    world_start(&w);
    request(&w, &(struct call){.method = "OPTIONS", .ruri = "sip:example.com"});
    assert_string_equal(header(take(&w), "Server", 0), "Viaduct");
    world_stop(&w);
}

static void what_is_under_way_is_dropped_in_silence_at_the_end(void **state)
{
    struct world w;

    (void)state;
    world_with_bob(&w);
    invite(&w);
    w.resolve_later = true;
    request(&w, &(struct call){.method = "INVITE", .ruri = "sip:bob@example.com", .branch = "z9hG4bK2"});
    w.resolve_later = false;
    request(&w, &(struct call){.method = "INVITE", .ruri = "sip:bob@example.com", .branch = "z9hG4bK3"});
    respond(&w, &w.sent[w.n_sent - 1], 200, "b");
    w.n_taken = w.n_sent;
    proxy_free(w.proxy);
    assert_silence(&w);
    assert_int_equal(mem_held_bytes(), w.held_before);
    free(w.sent);
}

/* Every allocation of a forked call fails once: whatever happens, nothing is left and nothing is broken. */
static void play_a_call(struct world *w, int64_t successes)
{
    static const struct proxy_binding two[] = {
        {.uri = TEXT("sip:b@192.0.2.20"), .q_milli = 500},
        {.uri = TEXT("sip:b@192.0.2.21;transport=tcp"), .path = TEXT("<sip:192.0.2.40>"), .q_milli = 500}};

    world_init(w);
    set_user(w, "sip:bob@example.com", two, 2);
    w->opts.recurse_3xx = true;
    mem_fail_after(successes);
    w->held_before = mem_held_bytes();
    if (proxy_new(&w->opts, &w->ports, &w->counters, 0, &w->proxy) == 0) {
        invite(w);
        for (size_t i = 0; i < w->n_sent; i++) {
            static const unsigned statuses[] = {180, 302, 401, 200};

            if (strncmp(w->sent[i].text, "INVITE", 6) != 0)
                continue;
            for (size_t s = 0; s < 4 && w->n_sent < 100; s++)
                respond_with(w, &w->sent[i], statuses[(s + i) % 4], "t",
                             "WWW-Authenticate: x\r\nContact: <sip:c@192.0.2.22>, <tel:1>\r\n");
        }
        request(w, &(struct call){.method = "CANCEL", .ruri = "sip:bob@example.com"});
        mem_fail_after(-1);
        w->n_taken = 0;
        for (int i = 0; i < 20; i++)
            world_advance(w, 40000);
        world_stop(w);
    } else {
        mem_fail_after(-1);
        assert_int_equal(mem_held_bytes(), w->held_before);
        free(w->sent);
    }
}

static void memory_may_give_out_anywhere(void **state)
{
    struct world w;

    (void)state;
    for (int64_t successes = 0; successes < 120; successes++)
        play_a_call(&w, successes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(call_goes_end_to_end_and_leaves_nothing),
        cmocka_unit_test(record_route_goes_into_what_makes_a_dialog_alone),
        cmocka_unit_test(acks_of_our_own_finals_are_absorbed),
        cmocka_unit_test(it_is_told_first_which_call_a_message_is_of),
        cmocka_unit_test(malformed_requests_are_answered_and_other_rubbish_is_dropped),
        cmocka_unit_test(lost_framing_of_a_stream_is_answered),
        cmocka_unit_test(a_draining_proxy_begins_nothing),
        cmocka_unit_test(a_full_proxy_sheds),
        cmocka_unit_test(the_ack_of_an_rfc2543_client_to_a_2xx_goes_on),
        cmocka_unit_test(options_out_of_range_are_refused),
        cmocka_unit_test(timestamp_is_copied_into_the_100_alone),
        cmocka_unit_test(the_server_header_is_added_where_there_is_one),
        cmocka_unit_test(what_is_under_way_is_dropped_in_silence_at_the_end),
        cmocka_unit_test(memory_may_give_out_anywhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
