#include "world.h"

static const struct sent *forwarded(struct world *w, const struct call *call)
{
    request(w, call);
    if (w->n_sent > w->n_taken && strncmp(w->sent[w->n_taken].text, "SIP/2.0 100", 11) == 0)
        (void)take(w);
    return take(w);
}

/* Step 1: "Fields not detailed in the processing described below MUST NOT be removed ... SHOULD maintain the
 * ordering". */
static void step_1_everything_else_is_copied_octet_for_octet(void **state)
{
    static const char odd[] = "X-Odd:   folded\r\n\tvalue \r\nsUBJECT : a,  b\r\nDate: no date at all\r\n"
                              "Contact: \"A, B\" <sip:a@b?x=y>;q=0.5\r\nx-odd: again\r\n";
    struct world w;
    const struct sent *sent;

    (void)state;
    world_with_bob(&w);
    sent = forwarded(
        &w, &(struct call){
                .method = "FROB", .ruri = "sip:bob@example.com", .extra = odd, .body = "\001 body\r\n\r\n."});
    assert_has(sent, "FROB sip:bob@192.0.2.20 SIP/2.0\r\n");
    assert_has(sent, odd);
    assert_string_equal(strstr(sent->text, "\r\n\r\n") + 4, "\001 body\r\n\r\n.");
    assert_string_equal(header(sent, "CSeq", 0), "1 FROB");
    world_stop(&w);
}

/* Step 2: "If the URI contains any parameters not allowed in a Request-URI, they MUST be removed." */
static void step_2_the_target_uri_loses_method_and_headers(void **state)
{
    static const struct proxy_binding odd[] = {
        {.uri = TEXT("sip:b:pw@192.0.2.20:5066;x=1;method=INVITE;lr?Subject=hi&To=x"), .q_milli = 1000}};
    struct world w;

    (void)state;
    world_init(&w);
    set_user(&w, "sip:bob@example.com", odd, 1);
    world_start(&w);
    assert_has(forwarded(&w, &(struct call){.method = "MESSAGE", .ruri = "sip:bob@example.com"}),
               "MESSAGE sip:b:pw@192.0.2.20:5066;x=1;lr SIP/2.0\r\n");
    assert_has(forwarded(&w, &(struct call){.method = "MESSAGE",
                                            .ruri = "sip:c@192.0.2.30?Route=%3Csip:a%3E",
                                            .branch = "z9hG4bKalice2"}),
               "MESSAGE sip:c@192.0.2.30 SIP/2.0\r\n");
    world_stop(&w);
}

/* Step 4 and RFC 5658: once where both sides are one, twice where they differ, the outgoing side on top. */
static void step_4_record_route_tells_both_sides(void **state)
{
    static const struct proxy_binding tcp[] = {
        {.uri = TEXT("sip:bob@192.0.2.20;transport=tcp"), .q_milli = 1000}};
    static const struct proxy_binding v6[] = {{.uri = TEXT("sip:bob@[2001:db8::20]"), .q_milli = 1000}};
    struct world w;
    const struct sent *sent;

    (void)state;
    world_init(&w);
    set_user(&w, "sip:bob@example.com", bob_once, 1);
    set_user(&w, "sip:tcp@example.com", tcp, 1);
    set_user(&w, "sip:six@example.com", v6, 1);
    world_start(&w);

    sent = forwarded(&w, &(struct call){.method = "INVITE",
                                        .ruri = "sip:bob@example.com",
                                        .extra = "Record-Route: <sip:before;lr>\r\n"});
    assert_int_equal(count_headers(sent, "Record-Route"), 2);
    assert_non_null(strstr(header(sent, "Record-Route", 0), "@192.0.2.1:5060;lr>"));
    assert_string_equal(header(sent, "Record-Route", 1), "<sip:before;lr>");

    sent = forwarded(
        &w, &(struct call){.method = "SUBSCRIBE", .ruri = "sip:tcp@example.com", .branch = "z9hG4bK2"});
    assert_int_equal(count_headers(sent, "Record-Route"), 2);
    assert_non_null(strstr(header(sent, "Record-Route", 0), "<sip:vd0301-"));
    assert_non_null(strstr(header(sent, "Record-Route", 0), "@192.0.2.1:5060;transport=tcp;lr>"));
    assert_non_null(strstr(header(sent, "Record-Route", 1), "<sip:vd0300-"));
    assert_non_null(strstr(header(sent, "Record-Route", 1), "@192.0.2.1:5060;transport=udp;lr>"));

    sent =
        forwarded(&w, &(struct call){.method = "REFER", .ruri = "sip:six@example.com", .branch = "z9hG4bK3"});
    assert_int_equal(count_headers(sent, "Record-Route"), 2);
    assert_non_null(strstr(header(sent, "Record-Route", 0), "@[2001:db8::1]:5060;lr>"));
    assert_non_null(strstr(header(sent, "Record-Route", 1), "@192.0.2.1:5060;lr>"));

    world_receive(
        &w, TCP4, ALICE,
        request_text(&(struct call){.method = "FROB", .ruri = "sip:tcp@example.com", .branch = "z9hG4bK4"}));
    sent = take(&w);
    assert_int_equal(count_headers(sent, "Record-Route"), 1);
    assert_non_null(strstr(header(sent, "Record-Route", 0), "@192.0.2.1:5060;transport=tcp;lr>"));
    world_stop(&w);
}

static void step_4_only_what_may_concern_a_dialog_is_recorded(void **state)
{
    static const char *const methods[] = {"MESSAGE", "OPTIONS", "PUBLISH", "BYE", "INFO", "PRACK"};
    struct world w;
    char branch[32];

    (void)state;
    world_with_bob(&w);
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        snprintf(branch, sizeof(branch), "z9hG4bK%zu", i);
        assert_int_equal(count_headers(forwarded(&w, &(struct call){.method = methods[i],
                                                                    .ruri = "sip:bob@example.com",
                                                                    .branch = branch}),
                                       "Record-Route"),
                         0);
    }
    world_stop(&w);
}

static void step_4_can_be_switched_off(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    set_user(&w, "sip:bob@example.com", bob_once, 1);
    w.opts.record_route = false;
    world_start(&w);
    assert_int_equal(
        count_headers(forwarded(&w, &(struct call){.method = "SUBSCRIBE", .ruri = "sip:bob@example.com"}),
                      "Record-Route"),
        0);
    world_stop(&w);
}

/* "If the Request-URI contains a SIPS URI ... the URI placed into the Record-Route header field MUST be a
 * SIPS URI. Furthermore, if the request was not received over TLS, the proxy MUST insert a Record-Route
 * header field." */
static void step_4_a_sips_request_uri_is_recorded_as_sips_in_any_case(void **state)
{
    struct world w;
    const struct sent *sent;

    (void)state;
    world_init(&w);
    w.opts.record_route = false;
    world_start(&w);
    sent =
        forwarded(&w, &(struct call){.method = "SUBSCRIBE", .ruri = "sips:carol@192.0.2.30;transport=udp"});
    assert_non_null(strstr(header(sent, "Record-Route", 0), "<sips:vd"));
    world_stop(&w);
}

/* Step 6: a Path goes on top of what is left (RFC 3327 section 5.4), each branch by its own. */
static void step_6_the_path_of_a_binding_leads(void **state)
{
    static const struct proxy_binding two[] = {{.uri = TEXT("sip:b@192.0.2.20"),
                                                .path = TEXT("<sip:192.0.2.40;lr>, <sip:192.0.2.41;lr>"),
                                                .q_milli = 1000},
                                               {.uri = TEXT("sip:b@192.0.2.21"), .q_milli = 1000}};
    struct world w;
    const struct sent *sent;

    (void)state;
    world_init(&w);
    set_user(&w, "sip:bob@example.com", two, 2);
    world_start(&w);
    sent = forwarded(&w, &(struct call){.method = "MESSAGE",
                                        .ruri = "sip:bob@example.com",
                                        .extra = "Route: <sip:192.0.2.1;lr>, <sip:192.0.2.50;lr>\r\n"});
    assert_goes_to(sent, "192.0.2.40:5060");
    assert_string_equal(header(sent, "Route", 0), "<sip:192.0.2.40;lr>, <sip:192.0.2.41;lr>");
    assert_string_equal(header(sent, "Route", 1), "<sip:192.0.2.50;lr>");
    assert_has(sent, "MESSAGE sip:b@192.0.2.20 ");
    sent = take(&w);
    assert_goes_to(sent, "192.0.2.50:5060");
    assert_int_equal(count_headers(sent, "Route"), 1);
    assert_has(sent, "MESSAGE sip:b@192.0.2.21 ");
    world_stop(&w);
}

static void step_6_a_strict_router_downstream_gets_what_it_expects(void **state)
{
    static const struct proxy_binding strict[] = {
        {.uri = TEXT("sip:b@192.0.2.20"),
         .path = TEXT("\"a,b\" <sip:192.0.2.40;x>, <sip:192.0.2.41;lr>"),
         .q_milli = 1000}};
    struct world w;
    const struct sent *sent;

    (void)state;
    world_init(&w);
    set_user(&w, "sip:bob@example.com", strict, 1);
    world_start(&w);
    sent =
        forwarded(&w, &(struct call){.method = "MESSAGE",
                                     .ruri = "sip:carol@192.0.2.30",
                                     .extra = "Route: <sip:192.0.2.1;lr>\r\nRoute: <sip:192.0.2.50;y?h=1>\r\n"
                                              "Route: <sip:192.0.2.51;lr>\r\n"});
    assert_has(sent, "MESSAGE sip:192.0.2.50;y SIP/2.0\r\n");
    assert_goes_to(sent, "192.0.2.50:5060");
    assert_int_equal(count_headers(sent, "Route"), 1);
    assert_string_equal(header(sent, "Route", 0), "<sip:192.0.2.51;lr>, <sip:carol@192.0.2.30>");

    sent = forwarded(&w, &(struct call){.method = "MESSAGE",
                                        .ruri = "sip:bob@example.com",
                                        .branch = "z9hG4bK2",
                                        .extra = "Route: <sip:192.0.2.50;lr>\r\n"});
    assert_has(sent, "MESSAGE sip:192.0.2.40;x SIP/2.0\r\n");
    assert_string_equal(header(sent, "Route", 0),
                        "<sip:192.0.2.41;lr>, <sip:192.0.2.50;lr>, <sip:b@192.0.2.20>");
    world_stop(&w);
}

static void step_7_a_binding_with_a_flow_is_reached_by_it(void **state)
{
    static struct proxy_binding flow[] = {{.uri = TEXT("sip:b@10.9.9.9"), .q_milli = 1000, .has_hop = true}};
    struct world w;
    const struct sent *sent;

    (void)state;
    world_init(&w);
    flow[0].hop = hop_from(TCP4, "198.51.100.4:33333", 42);
    set_user(&w, "sip:bob@example.com", flow, 1);
    world_start(&w);
    sent = forwarded(&w, &(struct call){.method = "MESSAGE", .ruri = "sip:bob@example.com"});
    assert_goes_to(sent, "198.51.100.4:33333");
    assert_int_equal(sent->hop.flow, 42);
    assert_has(sent, "MESSAGE sip:b@10.9.9.9 ");
    assert_has(sent, "Via: SIP/2.0/TCP 192.0.2.1:5060;branch=");
    /* Unless the caller wants it to go elsewhere first. */
    sent = forwarded(&w, &(struct call){.method = "MESSAGE",
                                        .ruri = "sip:bob@example.com",
                                        .branch = "z9hG4bK2",
                                        .extra = "Route: <sip:192.0.2.50;lr>\r\n"});
    assert_goes_to(sent, "192.0.2.50:5060");
    world_stop(&w);
}

/* Step 8, with RFC 3581 section 3, and what section 18.2.1 adds to the Via below. */
/* Step 7: "if the Request-URI specifies a SIPS resource, the proxy MUST follow the procedures of [4] as if
 * the input URI were a SIPS URI." */
static void step_7_a_sips_request_uri_makes_the_look_up_secure(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    world_start(&w);
    (void)forwarded(&w, &(struct call){.method = "MESSAGE",
                                       .ruri = "sips:carol@192.0.2.30",
                                       .extra = "Route: <sip:192.0.2.50;lr>\r\n"});
    assert_int_equal(w.resolved_scheme, SIP_SCHEME_SIPS);
    (void)forwarded(&w, &(struct call){.method = "MESSAGE",
                                       .ruri = "sip:carol@192.0.2.30",
                                       .branch = "z9hG4bK2",
                                       .extra = "Route: <sip:192.0.2.50;lr>\r\n"});
    assert_int_equal(w.resolved_scheme, SIP_SCHEME_SIP);
    world_stop(&w);
}

static void step_8_via_goes_on_top(void **state)
{
    struct world w;
    const struct sent *sent;

    (void)state;
    world_with_bob(&w);
    sent = forwarded(&w, &(struct call){.method = "MESSAGE",
                                        .ruri = "sip:bob@example.com",
                                        .via = "SIP/2.0/UDP 10.0.0.1:7777;rport",
                                        .extra = "v: SIP/2.0/TCP further;branch=z9hG4bKx\r\n"});
    assert_non_null(strstr(
        sent->text, "MESSAGE sip:bob@192.0.2.20 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;rport;branch="));
    assert_string_equal(header(sent, "Via", 1),
                        "SIP/2.0/UDP 10.0.0.1:7777;rport=5060;branch=z9hG4bKalice1;received=192.0.2.10");
    assert_has(sent, "\r\nv: SIP/2.0/TCP further;branch=z9hG4bKx\r\n");
    respond(&w, sent, 200, "b");
    assert_goes_to(take_starting(&w, "SIP/2.0 200"), ALICE);
    world_stop(&w);
}

static void step_9_content_length_is_added_for_a_stream(void **state)
{
    static const struct proxy_binding tcp[] = {
        {.uri = TEXT("sip:bob@192.0.2.20;transport=tcp"), .q_milli = 1000}};
    struct world w;

    (void)state;
    world_init(&w);
    set_user(&w, "sip:bob@example.com", tcp, 1);
    world_start(&w);
    world_receive(
        &w, UDP4, ALICE,
        "MESSAGE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK1\r\n"
        "From: <sip:a@b>;tag=1\r\nTo: <sip:bob@example.com>\r\nCall-ID: x\r\nCSeq: 1 MESSAGE\r\n\r\nseven..");
    assert_string_equal(header(take(&w), "Content-Length", 0), "7");
    world_stop(&w);
}

/* Section 18.1.1. */
static const char *long_subject(size_t pad)
{
    static char extra[4096];

    snprintf(extra, sizeof(extra), "Subject: %0*d\r\n", (int)pad, 0);
    return extra;
}

static void a_request_within_200_octets_of_the_mtu_goes_over_tcp(void **state)
{
    struct world w;
    const struct sent *sent;
    size_t pad, len;

    (void)state;
    world_with_bob(&w);
    sent = forwarded(
        &w, &(struct call){.method = "MESSAGE", .ruri = "sip:bob@example.com", .extra = long_subject(100)});
    len = strlen(sent->text);
    pad = 100 + 1300 - len;
    sent = forwarded(&w, &(struct call){.method = "MESSAGE",
                                        .ruri = "sip:bob@example.com",
                                        .branch = "z9hG4bKalice2",
                                        .extra = long_subject(pad)});
    assert_int_equal(strlen(sent->text), 1300);
    assert_int_equal(sent->hop.transport, SIP_TRANSPORT_UDP);
    sent = forwarded(&w, &(struct call){.method = "MESSAGE",
                                        .ruri = "sip:bob@example.com",
                                        .branch = "z9hG4bKalice3",
                                        .extra = long_subject(pad + 1)});
    assert_int_equal(sent->hop.transport, SIP_TRANSPORT_TCP);
    assert_int_equal(sent->hop.listener, TCP4);
    assert_goes_to(sent, BOB);
    assert_has(sent, "\r\nVia: SIP/2.0/TCP 192.0.2.1:5060;branch=");
    world_stop(&w);
}

/* "the element SHOULD retry the request, using UDP"; RFC 5658 section 6.2: no Record-Route for a transport
 * that changed by size. */
static void a_long_request_falls_back_to_udp_with_a_new_branch(void **state)
{
    struct world w;
    const struct sent *tcp, *udp;

    (void)state;
    world_with_bob(&w);
    tcp = forwarded(
        &w, &(struct call){.method = "INVITE", .ruri = "sip:bob@example.com", .extra = long_subject(1400)});
    assert_int_equal(tcp->hop.transport, SIP_TRANSPORT_TCP);
    assert_int_equal(count_headers(tcp, "Record-Route"), 1);
    assert_has(tcp, "@192.0.2.1:5060;lr>");
    proxy_send_failed(w.proxy, tcp->token);
    udp = take_starting(&w, "INVITE ");
    assert_int_equal(udp->hop.transport, SIP_TRANSPORT_UDP);
    assert_goes_to(udp, BOB);
    assert_has(udp, "\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;rport;branch=");
    assert_string_not_equal(header(tcp, "Via", 0), header(udp, "Via", 0));
    proxy_send_failed(w.proxy, udp->token);
    (void)take_starting(&w, "SIP/2.0 500 ");
    assert_int_equal(proxy_used_bytes(w.proxy), 0);
    assert_silence(&w);
    world_stop(&w);
}

/* Section 16.6 step 7, RFC 3263 section 4.3: each address in order, each time with a branch of its own. */
static void the_next_address_is_tried_after_failure_timeout_and_503(void **state)
{
    struct world w;
    const struct sent *first, *second, *third, *fourth;

    (void)state;
    world_with_bob(&w);
    w.extra_hops[0] = (struct sip_hop){.addr = addr_of(BOB2), .transport = SIP_TRANSPORT_UDP};
    w.extra_hops[1] = (struct sip_hop){.addr = addr_of(BOB3), .transport = SIP_TRANSPORT_TCP};
    w.extra_hops[2] = (struct sip_hop){.addr = addr_of("192.0.2.23:5060"), .transport = SIP_TRANSPORT_UDP};
    w.n_extra_hops = 3;
    invite(&w);
    (void)take_starting(&w, "SIP/2.0 100");
    first = take_starting(&w, "INVITE ");
    assert_goes_to(first, BOB);
    proxy_send_failed(w.proxy, first->token);
    second = take_starting(&w, "INVITE ");
    assert_goes_to(second, BOB2);
    respond(&w, second, 503, "b");
    assert_goes_to(take_starting(&w, "ACK "), BOB2);
    third = take_starting(&w, "INVITE ");
    assert_goes_to(third, BOB3);
    world_advance(&w, 32000);
    fourth = take_starting(&w, "INVITE ");
    assert_goes_to(fourth, "192.0.2.23:5060");
    assert_string_not_equal(header(first, "Via", 0), header(second, "Via", 0));
    assert_string_not_equal(header(second, "Via", 0), header(third, "Via", 0));
    assert_string_not_equal(header(third, "Via", 0), header(fourth, "Via", 0));
    respond(&w, fourth, 200, "b");
    (void)take_starting(&w, "SIP/2.0 200 ");
    world_stop(&w);
}

static void an_address_that_has_answered_otherwise_is_the_last(void **state)
{
    struct world w;

    (void)state;
    world_with_bob(&w);
    w.extra_hops[0] = (struct sip_hop){.addr = addr_of(BOB2), .transport = SIP_TRANSPORT_UDP};
    w.n_extra_hops = 1;
    request(&w, &(struct call){.method = "MESSAGE", .ruri = "sip:bob@example.com"});
    respond(&w, take_starting(&w, "MESSAGE"), 486, "b");
    (void)take_starting(&w, "SIP/2.0 486");
    assert_silence(&w);
    world_stop(&w);
}

/* No TCP to go over, and too long for a datagram with what is added. */
static void a_request_that_fits_nowhere_gives_513(void **state)
{
    struct world w;
    struct sip_hop from = hop_from(UDP4, ALICE, 0);
    char *text = malloc(70000);
    int len;

    (void)state;
    world_init(&w);
    set_user(&w, "sip:bob@example.com", bob_once, 1);
    w.opts.n_listeners = 1;
    world_start(&w);
    len = snprintf(text, 70000,
                   "MESSAGE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP "
                   "192.0.2.10;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n"
                   "To: <sip:bob@example.com>\r\nCall-ID: x\r\nCSeq: 1 MESSAGE\r\n\r\n");
    memset(text + len, 'x', 65507 - (size_t)len);
    proxy_receive(w.proxy, slice_make(text, 65507), &from, true);
    (void)take_starting(&w, "SIP/2.0 513 Message Too Large\r\n");
    world_stop(&w);
    free(text);
}

static void an_address_that_has_answered_is_not_given_up_for_a_timeout(void **state)
{
    struct world w;
    const struct sent *sent;

    (void)state;
    world_with_bob(&w);
    w.extra_hops[0] = (struct sip_hop){.addr = addr_of(BOB2), .transport = SIP_TRANSPORT_UDP};
    w.n_extra_hops = 1;
    request(&w, &(struct call){.method = "MESSAGE", .ruri = "sip:bob@example.com"});
    sent = take_starting(&w, "MESSAGE ");
    respond(&w, sent, 100, NULL);
    world_advance(&w, 32000);
    while (w.n_taken < w.n_sent) {
        if (strncmp(take(&w)->text, "MESSAGE", 7) == 0)
            assert_goes_to(&w.sent[w.n_taken - 1], BOB);
    }
    world_stop(&w);
}

static void the_answer_of_the_resolver_may_come_later(void **state)
{
    struct world w;
    const struct sip_hop hops[] = {{.addr = addr_of(BOB3), .transport = SIP_TRANSPORT_UDP}};

    (void)state;
    world_with_bob(&w);
    w.resolve_later = true;
    invite(&w);
    (void)take_starting(&w, "SIP/2.0 100");
    assert_silence(&w);
    assert_int_equal(proxy_pending(w.proxy), 1);
    proxy_resolved(w.proxy, w.ticket + 7, 0, hops, 1);
    assert_silence(&w);
    proxy_resolved(w.proxy, w.ticket, 0, hops, 1);
    assert_goes_to(take_starting(&w, "INVITE "), BOB3);
    proxy_resolved(w.proxy, w.ticket, 0, hops, 1);
    assert_silence(&w);
    world_advance(&w, 32000);
    w.n_taken = w.n_sent;
    world_stop(&w);
}

static void a_next_hop_without_an_address_gives_500(void **state)
{
    static const struct proxy_binding lost[] = {{.uri = TEXT("sip:b@gone.example.net"), .q_milli = 1000}};
    struct world w;

    (void)state;
    world_init(&w);
    set_user(&w, "sip:bob@example.com", lost, 1);
    world_start(&w);
    request(&w, &(struct call){.method = "MESSAGE", .ruri = "sip:bob@example.com"});
    (void)take_starting(&w, "SIP/2.0 500 ");
    w.resolve_later = true;
    request(&w, &(struct call){.method = "MESSAGE", .ruri = "sip:bob@example.com", .branch = "z9hG4bK2"});
    proxy_resolved(w.proxy, w.ticket, ERR_NOTFOUND, NULL, 0);
    (void)take_starting(&w, "SIP/2.0 500 ");
    world_stop(&w);
}

/* A listener of the address family and transport; of several the one the request came to. */
static void the_listener_fits_the_next_hop(void **state)
{
    struct world w;

    (void)state;
    world_with_bob(&w);
    world_receive(&w, UDP4_OTHER, ALICE,
                  request_text(&(struct call){.method = "MESSAGE", .ruri = "sip:bob@example.com"}));
    assert_int_equal(take(&w)->hop.listener, UDP4_OTHER);
    world_receive(&w, UDP6, "[2001:db8::10]:5060",
                  request_text(&(struct call){
                      .method = "MESSAGE", .ruri = "sip:bob@example.com", .branch = "z9hG4bK2"}));
    assert_int_equal(take(&w)->hop.listener, UDP4);
    /* Nothing here speaks TLS. */
    request(&w, &(struct call){
                    .method = "MESSAGE", .ruri = "sip:c@192.0.2.30;transport=tls", .branch = "z9hG4bK3"});
    (void)take_starting(&w, "SIP/2.0 500 ");
    world_stop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(step_1_everything_else_is_copied_octet_for_octet),
        cmocka_unit_test(step_2_the_target_uri_loses_method_and_headers),
        cmocka_unit_test(step_4_record_route_tells_both_sides),
        cmocka_unit_test(step_4_only_what_may_concern_a_dialog_is_recorded),
        cmocka_unit_test(step_4_can_be_switched_off),
        cmocka_unit_test(step_4_a_sips_request_uri_is_recorded_as_sips_in_any_case),
        cmocka_unit_test(step_6_the_path_of_a_binding_leads),
        cmocka_unit_test(step_6_a_strict_router_downstream_gets_what_it_expects),
        cmocka_unit_test(step_7_a_binding_with_a_flow_is_reached_by_it),
        cmocka_unit_test(step_7_a_sips_request_uri_makes_the_look_up_secure),
        cmocka_unit_test(step_8_via_goes_on_top),
        cmocka_unit_test(step_9_content_length_is_added_for_a_stream),
        cmocka_unit_test(a_request_within_200_octets_of_the_mtu_goes_over_tcp),
        cmocka_unit_test(a_long_request_falls_back_to_udp_with_a_new_branch),
        cmocka_unit_test(the_next_address_is_tried_after_failure_timeout_and_503),
        cmocka_unit_test(an_address_that_has_answered_otherwise_is_the_last),
        cmocka_unit_test(a_request_that_fits_nowhere_gives_513),
        cmocka_unit_test(an_address_that_has_answered_is_not_given_up_for_a_timeout),
        cmocka_unit_test(the_answer_of_the_resolver_may_come_later),
        cmocka_unit_test(a_next_hop_without_an_address_gives_500),
        cmocka_unit_test(the_listener_fits_the_next_hop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
