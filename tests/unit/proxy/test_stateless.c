/* Section 16.11. */
#include "world.h"

static const struct proxy_binding three[] = {{.uri = TEXT("sip:b@192.0.2.20"), .q_milli = 500},
                                             {.uri = TEXT("sip:b@192.0.2.21"), .q_milli = 500},
                                             {.uri = TEXT("sip:b@192.0.2.22"), .q_milli = 500}};

static const struct proxy_binding by_tcp[] = {
    {.uri = TEXT("sip:b@192.0.2.20;transport=tcp"), .q_milli = 1000}};

static void world_stateless(struct world *w)
{
    world_init(w);
    w->listeners[UDP4].stateless = w->listeners[TCP4].stateless = true;
    set_user(w, "sip:bob@example.com", bob_once, 1);
    set_user(w, "sip:three@example.com", three, 3);
    set_user(w, "sip:stream@example.com", by_tcp, 1);
    set_user(w, "sip:nobody@example.com", NULL, 0);
    world_start(w);
}

static void assert_nothing_is_kept(struct world *w)
{
    assert_silence(w);
    assert_int_equal(proxy_transactions(w->proxy), 0);
    assert_int_equal(proxy_used_bytes(w->proxy), 0);
    assert_int_equal(proxy_next_ms(w->proxy), MS_NEVER);
}

static const struct call base = {.method = "INVITE", .ruri = "sip:bob@example.com"};

static void a_retransmission_is_forwarded_as_the_same_octets_after_a_restart_too(void **state)
{
    struct world w;
    char first[WORLD_TEXT_MAX];

    (void)state;
    world_stateless(&w);
    request(&w, &base);
    strcpy(first, take_starting(&w, "INVITE sip:bob@192.0.2.20 ")->text);
    assert_nothing_is_kept(&w);
    request(&w, &base);
    assert_string_equal(take(&w)->text, first);
    assert_nothing_is_kept(&w);
    world_stop(&w);

    /* Another process, another worker, the same secret. */
    world_init(&w);
    w.listeners[UDP4].stateless = true;
    w.opts.worker = 9;
    set_user(&w, "sip:bob@example.com", bob_once, 1);
    world_start(&w);
    request(&w, &base);
    assert_string_equal(take(&w)->text, first);
    world_stop(&w);
}

static void via_branch(const struct sent *sent, char out[64])
{
    const char *at = strstr(header(sent, "Via", 0), "branch=");

    snprintf(out, 64, "%.45s", at);
}

/* "CANCEL and non-Routed ACK requests MUST generate the same choice as their associated INVITE"; and the same
 * branch (16.6 step 8). */
static void cancel_and_ack_follow_their_invite(void **state)
{
    struct world w;
    const struct sent *inv, *cancel, *ack;
    char a[64], b[64], c[64], call_id[16];
    unsigned used[3] = {0};

    (void)state;
    world_stateless(&w);
    for (unsigned i = 0; i < 40; i++) {
        snprintf(call_id, sizeof(call_id), "call%u", i);
        request(&w, &(struct call){.method = "INVITE",
                                   .ruri = "sip:three@example.com",
                                   .call_id = call_id,
                                   .extra = "Proxy-Authorization: x\r\n"});
        inv = take_starting(&w, "INVITE ");
        request(&w, &(struct call){.method = "CANCEL", .ruri = "sip:three@example.com", .call_id = call_id});
        cancel = take_starting(&w, "CANCEL ");
        request(&w, &(struct call){.method = "ACK",
                                   .ruri = "sip:three@example.com",
                                   .call_id = call_id,
                                   .to = "<sip:bob@example.com>;tag=t"});
        ack = take_starting(&w, "ACK ");
        assert_true(addr_eq(&inv->hop.addr, &cancel->hop.addr) && addr_eq(&inv->hop.addr, &ack->hop.addr));
        via_branch(inv, a);
        via_branch(cancel, b);
        via_branch(ack, c);
        assert_string_equal(a, b);
        assert_string_equal(a, c);
        used[inv->hop.addr.ip[3] - 20]++;
    }
    /* All members of the group have their share. */
    assert_true(used[0] > 3 && used[1] > 3 && used[2] > 3);
    assert_nothing_is_kept(&w);
    world_stop(&w);
}

static void requests_of_different_transactions_have_different_branches(void **state)
{
    struct world w;
    char a[64], b[64];

    (void)state;
    world_stateless(&w);
    request(&w, &base);
    via_branch(take(&w), a);
    request(&w, &(struct call){.method = "INVITE", .ruri = "sip:bob@example.com", .branch = "z9hG4bKother"});
    via_branch(take(&w), b);
    assert_string_not_equal(a, b);
    world_stop(&w);
}

/* "the proxy MUST remove that header field value from the response and forward the result to the location
 * indicated in the next Via". */
static void responses_go_by_the_via(void **state)
{
    struct world w;
    const struct sent *sent, *up;

    (void)state;
    world_stateless(&w);
    world_receive(&w, UDP4, "192.0.2.10:7777",
                  request_text(&(struct call){.method = "INVITE",
                                              .ruri = "sip:bob@example.com",
                                              .via = "SIP/2.0/UDP 10.0.0.1:5060;rport"}));
    sent = take(&w);
    respond(&w, sent, 100, NULL);
    assert_goes_to(take_starting(&w, "SIP/2.0 100"), "192.0.2.10:7777");
    respond(&w, sent, 180, "b");
    respond(&w, sent, 486, "b");
    (void)take_starting(&w, "SIP/2.0 180");
    up = take_starting(&w, "SIP/2.0 486");
    assert_int_equal(count_headers(up, "Via"), 1);
    assert_int_equal(up->hop.listener, UDP4);
    assert_nothing_is_kept(&w);

    /* Down the same connection that the request came by. */
    world_receive(&w, TCP4, "192.0.2.10:45678",
                  request_text(&(struct call){
                      .method = "MESSAGE", .ruri = "sip:bob@example.com", .via = "SIP/2.0/TCP alice"}));
    sent = take(&w);
    assert_int_equal(sent->hop.transport, SIP_TRANSPORT_UDP);
    respond(&w, sent, 200, "b");
    up = take_starting(&w, "SIP/2.0 200");
    assert_int_equal(up->hop.flow, 99);
    assert_int_equal(up->hop.listener, TCP4);
    world_stop(&w);
}

/* A response to what came over a connection, whose flow only the way back tells. */
static const char *response_to_stream(struct world *w, unsigned status)
{
    world_stateless(w);
    world_receive(w, TCP4, "192.0.2.10:45678",
                  request_text(&(struct call){
                      .method = "MESSAGE", .ruri = "sip:stream@example.com", .via = "SIP/2.0/TCP alice"}));
    return response_text(take(w), status, "b", NULL);
}

/* The way back is signed: a changed one is not believed. A listener that is a stateless proxy goes by the Via
 * then; another drops. */
static void a_forged_way_back_is_not_believed(void **state)
{
    struct world w;
    const struct sent *sent;
    char text[WORLD_TEXT_MAX], *param;

    (void)state;
    strcpy(text, response_to_stream(&w, 200));
    param = strstr(text, ";vd=");
    param[4 + 2 + 15] = '4'; /* another flow */
    world_receive(&w, UDP4, BOB, text);
    assert_int_equal(take_starting(&w, "SIP/2.0 200")->hop.flow, SIP_FLOW_NONE);
    world_receive(&w, UDP4_OTHER, BOB, text);
    assert_silence(&w);

    /* Nor may a response be sent to somebody else by what was signed for one. */
    request(&w, &base);
    sent = take(&w);
    world_receive(&w, UDP4_OTHER, BOB, response_text(sent, 180, "b", NULL));
    assert_goes_to(take_starting(&w, "SIP/2.0 180"), ALICE);
    strcpy(text, response_text(sent, 180, "b", NULL));
    memcpy(strstr(text, "192.0.2.10:5060"), "192.0.2.99:5060", 15);
    world_receive(&w, UDP4_OTHER, BOB, text);
    assert_silence(&w);
    world_stop(&w);
}

/* RFC 7339 section 4.4: who answers the question in our Via puts values where none were, in front of the way back; and
 * nothing says that a Via must keep the order of its parameters, or come back with its branch. */
static void a_way_back_is_found_wherever_it_stands(void **state)
{
    static const char question[] = ";oc;oc-algo=\"loss\"";
    static const char *const answers[] = {";oc=20;oc-algo=\"loss\";oc-validity=500;oc-seq=1.1", "", NULL};
    struct world w;
    char text[WORLD_TEXT_MAX], changed[WORLD_TEXT_MAX];
    char *at;

    (void)state;
    strcpy(text, response_to_stream(&w, 180));
    at = strstr(text, question);
    for (size_t i = 0; answers[i]; i++) {
        snprintf(changed, sizeof(changed), "%.*s%s%s", (int)(at - text), text, answers[i],
                 at + strlen(question));
        world_receive(&w, UDP4_OTHER, BOB, changed);
        assert_int_equal(take_starting(&w, "SIP/2.0 180")->hop.flow, 99);
    }
    at = strstr(text, ";branch=");
    snprintf(changed, sizeof(changed), "%.*s%s", (int)(at - text), text, strchr(at + 1, ';'));
    world_receive(&w, UDP4_OTHER, BOB, changed);
    assert_silence(&w);
    world_stop(&w);
}

/* "it equals a value this proxy has inserted into previous requests ... If the address does not match the
 * proxy, the message MUST be silently discarded." */
static void a_response_that_nothing_is_known_of_goes_by_its_vias_alone(void **state)
{
    static const char *const ours[] = {"SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKany",
                                       "SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKany"};
    static const char *const next[] = {"SIP/2.0/UDP host;received=192.0.2.10", "SIP/2.0/TCP 192.0.2.11:5070",
                                       "SIP/2.0/UDP host"};
    struct world w;
    const struct sent *up;
    char text[1024];

    (void)state;
    world_stateless(&w);
    for (size_t i = 0; i < 2; i++) {
        for (size_t k = 0; k < 3; k++) {
            snprintf(text, sizeof(text),
                     "SIP/2.0 200 OK\r\nVia: %s\r\nVia: %s\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n",
                     ours[i], next[k]);
            world_receive(&w, UDP4, BOB, text);
        }
    }
    up = take_starting(&w, "SIP/2.0 200");
    assert_goes_to(up, ALICE);
    assert_int_equal(up->hop.listener, UDP4);
    up = take_starting(&w, "SIP/2.0 200");
    assert_goes_to(up, "192.0.2.11:5070");
    assert_int_equal(up->hop.listener, TCP4);
    assert_silence(&w);
    world_stop(&w);
}

/* Section 8.2.7: answers are made without state, the same for the same request; their ACK is absorbed. */
static void what_is_refused_is_answered_alike_each_time(void **state)
{
    struct world w;
    const struct call nobody = {.method = "INVITE", .ruri = "sip:nobody@example.com"};
    char first[WORLD_TEXT_MAX];
    const char *tag;

    (void)state;
    world_stateless(&w);
    request(&w, &nobody);
    strcpy(first, take_starting(&w, "SIP/2.0 480")->text);
    request(&w, &nobody);
    assert_string_equal(take(&w)->text, first);
    assert_nothing_is_kept(&w);
    tag = header(&w.sent[0], "To", 0);
    request(&w, &(struct call){.method = "ACK", .ruri = "sip:bob@example.com", .to = tag});
    assert_nothing_is_kept(&w);
    /* One that is somebody else's is not. */
    request(&w, &(struct call){.method = "ACK",
                               .ruri = "sip:bob@example.com",
                               .to = "<sip:bob@example.com>;tag=vd0123456789abcdef"});
    (void)take_starting(&w, "ACK ");
    world_stop(&w);
}

/* "rules out stateless registrars": a REGISTER for our own domain has a transaction even there. */
static enum proxy_verdict registrar(struct proxy_request *req, void *ctx)
{
    (void)ctx;
    if (req->method != SIP_METHOD_REGISTER)
        return PROXY_NEXT;
    return proxy_reply(req, 200, SLICE_NULL, NULL, "registered");
}

static void a_register_for_us_is_stateful(void **state)
{
    static const struct proxy_step chain[] = {{"validate", proxy_step_validate, NULL},
                                              {"route", proxy_step_route, NULL},
                                              {"register", registrar, NULL},
                                              {"relay", proxy_step_relay, NULL},
                                              {"targets", proxy_step_targets, NULL},
                                              {"forward", proxy_step_forward, NULL},
                                              {NULL, NULL, NULL}};
    struct world w;

    (void)state;
    world_init(&w);
    w.listeners[UDP4].stateless = true;
    w.opts.chain = chain;
    world_start(&w);
    request(&w, &(struct call){.method = "REGISTER", .ruri = "sip:example.com"});
    (void)take_starting(&w, "SIP/2.0 200");
    assert_int_equal(proxy_transactions(w.proxy), 1);
    world_stop(&w);
}

static void the_next_hop_may_be_found_later(void **state)
{
    struct world w;
    const struct sip_hop hop = {.addr = addr_of(BOB2), .transport = SIP_TRANSPORT_UDP};

    (void)state;
    world_stateless(&w);
    w.resolve_later = true;
    request(&w, &base);
    assert_silence(&w);
    assert_int_equal(proxy_pending(w.proxy), 1);
    proxy_resolved(w.proxy, w.ticket, 0, &hop, 1);
    assert_goes_to(take_starting(&w, "INVITE"), BOB2);
    assert_nothing_is_kept(&w);
    request(&w, &base);
    proxy_resolved(w.proxy, w.ticket, ERR_NOTFOUND, NULL, 0);
    (void)take_starting(&w, "SIP/2.0 500");
    request(&w, &(struct call){.method = "ACK", .ruri = "sip:bob@example.com", .branch = "z9hG4bK2"});
    proxy_resolved(w.proxy, w.ticket, ERR_NOTFOUND, NULL, 0);
    assert_nothing_is_kept(&w);
    world_stop(&w);
}

static int refuse_all(const struct sip_hop *hop)
{
    return hop->addr.ip[3] == 20 ? ERR_IO : 0;
}

static void a_next_hop_that_cannot_be_reached_gives_500(void **state)
{
    struct world w;

    (void)state;
    world_stateless(&w);
    w.send_result = refuse_all;
    request(&w, &base);
    (void)take_starting(&w, "SIP/2.0 500");
    request(&w, &(struct call){.method = "CANCEL", .ruri = "sip:bob@example.com"});
    (void)take_starting(&w, "SIP/2.0 481");
    assert_nothing_is_kept(&w);
    world_stop(&w);
}

/* The ACK to a 2xx through a stateful proxy: a branch of its own each time, no transaction. */
static void an_ack_to_a_2xx_has_a_new_branch_each_time(void **state)
{
    struct world w;
    const struct call ack = {
        .method = "ACK", .ruri = "sip:bob@192.0.2.20", .to = "<sip:bob@example.com>;tag=b"};
    char a[64], b[64];

    (void)state;
    world_with_bob(&w);
    request(&w, &ack);
    via_branch(take_starting(&w, "ACK "), a);
    request(&w, &ack);
    via_branch(take_starting(&w, "ACK "), b);
    assert_string_not_equal(a, b);
    assert_nothing_is_kept(&w);
    world_stop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_retransmission_is_forwarded_as_the_same_octets_after_a_restart_too),
        cmocka_unit_test(cancel_and_ack_follow_their_invite),
        cmocka_unit_test(requests_of_different_transactions_have_different_branches),
        cmocka_unit_test(responses_go_by_the_via),
        cmocka_unit_test(a_forged_way_back_is_not_believed),
        cmocka_unit_test(a_way_back_is_found_wherever_it_stands),
        cmocka_unit_test(a_response_that_nothing_is_known_of_goes_by_its_vias_alone),
        cmocka_unit_test(what_is_refused_is_answered_alike_each_time),
        cmocka_unit_test(a_register_for_us_is_stateful),
        cmocka_unit_test(the_next_hop_may_be_found_later),
        cmocka_unit_test(a_next_hop_that_cannot_be_reached_gives_500),
        cmocka_unit_test(an_ack_to_a_2xx_has_a_new_branch_each_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
