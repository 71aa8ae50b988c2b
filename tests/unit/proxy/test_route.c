#include "world.h"

#include "proxy/token.h"

static const struct sent *message(struct world *w, const char *ruri, const char *extra)
{
    static unsigned n;
    char branch[32];

    snprintf(branch, sizeof(branch), "z9hG4bKr%u", ++n);
    request(w, &(struct call){.method = "MESSAGE", .ruri = ruri, .extra = extra, .branch = branch});
    return take(w);
}

/* "If the first value in the Route header field indicates this proxy, the proxy MUST remove that value from
 * the request." */
static void own_route_is_removed_however_it_is_written(void **state)
{
    static const struct slice aliases[] = {TEXT("sip.example.net"), TEXT("198.51.100.9")};
    static const char *const routes[] = {
        "<sip:192.0.2.1;lr>",
        "<sip:192.0.2.1:5060;lr>",
        "<sip:192.0.2.1:5060;transport=tcp;lr=on>",
        "<sip:192.0.2.1:5090;lr>",
        "<sip:anybody@192.0.2.1;lr>",
        "<sip:[2001:db8::1];lr>",
        "<sip:[2001:DB8:0:0::1]:5060;lr>",
        "\"Proxy, the\" <sip:SIP.Example.Net;lr>",
        "<sip:sip.example.net.:5090;lr>",
        "<sip:198.51.100.9;lr>",
        "<sip:example.com;lr>",
        "<sip:192.0.2.1;lr>, <sip:[2001:db8::1];lr>,<sip:192.0.2.1>",
        "<sips:192.0.2.1:5060;lr>",
    };
    struct world w;

    (void)state;
    world_init(&w);
    w.opts.aliases = aliases;
    w.opts.n_aliases = 2;
    world_start(&w);
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        const struct sent *sent;
        char extra[256];

        snprintf(extra, sizeof(extra), "Route: %s\r\n", routes[i]);
        sent = message(&w, "sip:carol@192.0.2.30", extra);
        if (strncmp(sent->text, "MESSAGE sip:carol@192.0.2.30 ", 29) != 0 ||
            count_headers(sent, "Route") != 0)
            fail_msg("%s:\n%s", routes[i], sent->text);
        assert_goes_to(sent, "192.0.2.30:5060");
    }
    world_stop(&w);
}

/* A Route that is not ours is never touched. */
static void foreign_route_stays_octet_for_octet_and_is_followed(void **state)
{
    static const char *const routes[] = {"<sip:192.0.2.40;lr>",
                                         "<sip:192.0.2.40:5060;lr>;x=\"a,b\" , <sip:192.0.2.1;lr>",
                                         "<sip:u@192.0.2.40;lr;y>,<sip:a;lr>"};
    static const char *const near_misses[] = {"<sip:192.0.2.1:5070;lr>", "<sip:192.0.2.11;lr>"};
    struct world w;
    char extra[256];

    (void)state;
    world_init(&w);
    world_start(&w);
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        const struct sent *sent;

        snprintf(extra, sizeof(extra), "Route: <sip:192.0.2.1;lr>\r\nRoute:  %s\r\n", routes[i]);
        sent = message(&w, "sip:carol@192.0.2.30", extra);
        assert_goes_to(sent, "192.0.2.40:5060");
        snprintf(extra, sizeof(extra), "\r\nRoute:  %s\r\n", routes[i]);
        assert_has(sent, extra);
    }
    for (size_t i = 0; i < sizeof(near_misses) / sizeof(near_misses[0]); i++) {
        snprintf(extra, sizeof(extra), "Route: %s\r\n", near_misses[i]);
        assert_has(message(&w, "sip:carol@192.0.2.30", extra), extra);
    }
    world_stop(&w);
}

static void a_route_that_is_used_and_cannot_be_read_gives_400(void **state)
{
    struct world w;

    (void)state;
    world_with_bob(&w);
    assert_has(message(&w, "sip:carol@192.0.2.30", "Route: <sip:192.0.2.1;lr\r\n"),
               "SIP/2.0 400 Bad Route\r\n");
    assert_has(message(&w, "sip:carol@192.0.2.30", "Route: <sip:192.0.2.1;lr>, sip:@\r\n"),
               "SIP/2.0 400 Bad Route\r\n");
    assert_has(message(&w, "sip:carol@192.0.2.30", "Route: <tel:123>\r\n"), "SIP/2.0 400 Bad Request\r\n");
    /* Behind one that is somebody else's it is theirs to judge. */
    assert_has(message(&w, "sip:carol@192.0.2.30", "Route: <sip:192.0.2.40;lr>, <what:ever>\r\n"),
               "MESSAGE sip:carol");
    world_stop(&w);
}

static void make_token(char out[PROXY_ROUTE_TOKEN_BYTES + 1], const char *tag)
{
    const struct hash_key secret = {1, 2};

    const struct proxy_route_token token = {.worker = 3, .listener = UDP4_OTHER};

    out[proxy_route_token_format(&secret, &token, SLICE("call1"), slice_from_cstr(tag), out).len] = 0;
}

/* "If the Request-URI of the request contains a value this proxy previously placed into a Record-Route header
 * field". */
static void a_strict_router_upstream_is_repaired(void **state)
{
    struct world w;
    const struct sent *sent;
    char token[PROXY_ROUTE_TOKEN_BYTES + 1], ruri[128];

    (void)state;
    world_init(&w);
    world_start(&w);
    make_token(token, "a1");
    snprintf(ruri, sizeof(ruri), "sip:%s@192.0.2.1:5060;lr", token);
    sent = message(&w, ruri,
                   "Route: <sip:192.0.2.1;lr>, <sip:192.0.2.40;lr>\r\nRoute: <sip:carol@192.0.2.30;x=y>\r\n");
    assert_has(sent, "MESSAGE sip:carol@192.0.2.30;x=y SIP/2.0\r\n");
    assert_int_equal(count_headers(sent, "Route"), 1);
    assert_string_equal(header(sent, "Route", 0), "<sip:192.0.2.40;lr>");
    assert_goes_to(sent, "192.0.2.40:5060");

    sent = message(&w, ruri, "Route: <sip:carol@192.0.2.30>\r\n");
    assert_has(sent, "MESSAGE sip:carol@192.0.2.30 SIP/2.0\r\n");
    assert_int_equal(count_headers(sent, "Route"), 0);

    /* Not ours to repair: no token of our form, or no Route. */
    assert_has(message(&w, "sip:somebody@192.0.2.1", "Route: <sip:carol@192.0.2.30;lr>\r\n"), "SIP/2.0 404 ");
    assert_has(message(&w, ruri, ""), "SIP/2.0 404 ");
    assert_has(message(&w, ruri, "Route: <tel:123>\r\n"), "SIP/2.0 416 ");
    world_stop(&w);
}

struct maddr_case {
    const char *ruri;
    unsigned listener;
    const char *expected, *to;
};

/* "the proxy MUST strip the maddr and any non-default port or transport parameter"; on another port or
 * transport the request "needs to be forwarded to the proxy using the indicated port and transport". */
static void maddr_follows_16_4(void **state)
{
    static const struct maddr_case cases[] = {
        {"sip:bob@example.com;maddr=192.0.2.1", UDP4, "MESSAGE sip:bob@192.0.2.20 ", BOB},
        {"sip:bob@example.com;maddr=example.com", UDP4, "MESSAGE sip:bob@192.0.2.20 ", BOB},
        {"sip:bob@example.com;transport=tcp;maddr=192.0.2.1", TCP4, "MESSAGE sip:bob@192.0.2.20 ", BOB},
        {"sip:bob@example.com:5090;maddr=192.0.2.1", UDP4_OTHER, "MESSAGE sip:bob@192.0.2.20 ", BOB},
        {"sip:dan@192.0.2.50:5090;x=y;maddr=192.0.2.1;transport=UDP", UDP4_OTHER,
         "MESSAGE sip:dan@192.0.2.50;x=y;transport=UDP ", "192.0.2.50:5060"},
        {"sip:bob@example.com:5090;maddr=192.0.2.1", UDP4,
         "MESSAGE sip:bob@example.com:5090;maddr=192.0.2.1 ", "192.0.2.1:5090"},
        {"sip:bob@example.com;maddr=192.0.2.1", TCP4, "MESSAGE sip:bob@example.com;maddr=192.0.2.1 ",
         "192.0.2.1:5060"},
        {"sip:bob@example.com;maddr=192.0.2.60", UDP4, "MESSAGE sip:bob@example.com;maddr=192.0.2.60 ",
         "192.0.2.60:5060"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct world w;

        world_with_bob(&w);
        world_receive(&w, cases[i].listener, ALICE,
                      request_text(&(struct call){.method = "MESSAGE", .ruri = cases[i].ruri}));
        assert_goes_to(take_starting(&w, cases[i].expected), cases[i].to);
        world_stop(&w);
    }
}

/* The listener that our own Route names is the one to leave from. */
static void route_token_chooses_the_listener(void **state)
{
    struct world w;
    const struct sent *sent;
    char token[PROXY_ROUTE_TOKEN_BYTES + 1], extra[128];

    (void)state;
    world_init(&w);
    world_start(&w);
    make_token(token, "a1");
    snprintf(extra, sizeof(extra), "Route: <sip:%s@192.0.2.1:5090;lr>\r\n", token);
    sent = message(&w, "sip:carol@192.0.2.30", extra);
    assert_int_equal(sent->hop.listener, UDP4_OTHER);
    assert_has(sent, "\r\nVia: SIP/2.0/UDP 192.0.2.1:5090;rport;branch=");
    /* A forged one chooses nothing. */
    extra[strlen("Route: <sip:vd0303-")] ^= 1;
    assert_int_equal(message(&w, "sip:carol@192.0.2.30", extra)->hop.listener, UDP4);
    world_stop(&w);
}

struct relay_case {
    const char *what, *ruri, *extra, *to;
    bool allowed;
};

static void relay(struct world *w, const struct relay_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char branch[32];
        const struct sent *sent;

        snprintf(branch, sizeof(branch), "z9hG4bKrelay%zu", i);
        world_receive(w, UDP4, "203.0.113.5:5060",
                      request_text(&(struct call){.method = "MESSAGE",
                                                  .ruri = cases[i].ruri,
                                                  .extra = cases[i].extra,
                                                  .to = cases[i].to,
                                                  .branch = branch}));
        sent = take(w);
        if (cases[i].allowed ? strncmp(sent->text, "MESSAGE ", 8) != 0
                             : strncmp(sent->text, "SIP/2.0 403 ", 12) != 0)
            fail_msg("%s:\n%s", cases[i].what, sent->text);
    }
}

static void a_stranger_may_reach_our_users_and_nobody_else(void **state)
{
    struct world w;
    char ours[128], from_callee[128], forged[128], strict[128], token[PROXY_ROUTE_TOKEN_BYTES + 1];
    const struct relay_case cases[] = {
        {"own user", "sip:bob@example.com", "", NULL, true},
        {"foreign domain", "sip:carol@192.0.2.30", "", NULL, false},
        {"our domain on another host's port", "sip:bob@example.com:5070", "", NULL, false},
        {"own user by way of a foreign Route", "sip:bob@example.com", "Route: <sip:192.0.2.30;lr>\r\n", NULL,
         false},
        {"own user with a foreign maddr", "sip:bob@example.com;maddr=192.0.2.30", "", NULL, false},
        {"a Route of ours without a token", "sip:carol@192.0.2.30", "Route: <sip:192.0.2.1;lr>\r\n", NULL,
         false},
        {"dialog of ours, from the caller", "sip:carol@192.0.2.30", ours, "<sip:x@y>;tag=b1", true},
        {"dialog of ours, from the callee", "sip:carol@192.0.2.30", from_callee, "<sip:x@y>;tag=caller",
         true},
        {"dialog of ours, by way of a strict router", strict, "Route: <sip:carol@192.0.2.30>\r\n",
         "<sip:x@y>;tag=b1", true},
        {"a forged token", "sip:carol@192.0.2.30", forged, "<sip:x@y>;tag=b1", false},
    };

    (void)state;
    world_with_bob(&w);
    make_token(token, "a1");
    snprintf(ours, sizeof(ours), "Route: <sip:%s@192.0.2.1:5060;lr>\r\n", token);
    snprintf(strict, sizeof(strict), "sip:%s@192.0.2.1:5060", token);
    make_token(token, "caller");
    snprintf(from_callee, sizeof(from_callee), "Route: <sip:%s@192.0.2.1:5060;lr>\r\n", token);
    make_token(token, "another");
    snprintf(forged, sizeof(forged), "Route: <sip:%s@192.0.2.1:5060;lr>\r\n", token);
    relay(&w, cases, sizeof(cases) / sizeof(cases[0]));
    assert_int_equal(counter_get(&w.counters, COUNTER_RELAY_DENIED), 6);
    world_stop(&w);
}

static enum proxy_verdict authenticate(struct proxy_request *req, void *ctx)
{
    (void)ctx;
    req->user = SLICE("alice");
    req->remove_credentials = sip_msg_value(req->msg, SIP_HDR_PROXY_AUTHORIZATION);
    return PROXY_NEXT;
}

/* Section 22.3: our credentials stay here, those for others go on. */
static void an_authenticated_user_may_call_anybody_and_his_credentials_stay_here(void **state)
{
    static const struct proxy_step chain[] = {{"validate", proxy_step_validate, NULL},
                                              {"route", proxy_step_route, NULL},
                                              {"auth", authenticate, NULL},
                                              {"relay", proxy_step_relay, NULL},
                                              {"targets", proxy_step_targets, NULL},
                                              {"forward", proxy_step_forward, NULL},
                                              {NULL, NULL, NULL}};
    struct world w;
    const struct sent *sent;

    (void)state;
    world_init(&w);
    w.opts.n_trusted = 0;
    w.opts.chain = chain;
    world_start(&w);
    sent = message(
        &w, "sip:carol@192.0.2.30",
        "Proxy-Authorization: Digest realm=\"ours\"\r\nProxy-Authorization: Digest realm=\"theirs\"\r\n");
    assert_has(sent, "MESSAGE sip:carol@192.0.2.30 ");
    assert_int_equal(count_headers(sent, "Proxy-Authorization"), 1);
    assert_string_equal(header(sent, "Proxy-Authorization", 0), "Digest realm=\"theirs\"");
    world_stop(&w);
}

static void requests_for_the_proxy_itself(void **state)
{
    struct world w;
    const struct sent *sent;

    (void)state;
    world_with_bob(&w);
    sent = message(&w, "sip:192.0.2.1", "");
    assert_has(sent, "SIP/2.0 404 ");
    request(&w, &(struct call){.method = "OPTIONS", .ruri = "sip:example.com", .branch = "z9hG4bKo1"});
    sent = take_starting(&w, "SIP/2.0 200 OK\r\n");
    assert_has(sent, ";tag=vd");
    request(&w, &(struct call){.method = "OPTIONS",
                               .ruri = "sip:example.com",
                               .branch = "z9hG4bKo2",
                               .cseq = 2,
                               .extra = "Require: foo, bar\r\n"});
    sent = take_starting(&w, "SIP/2.0 420 ");
    assert_string_equal(header(sent, "Unsupported", 0), "foo, bar");
    /* The same host on another port is somebody else. */
    assert_has(message(&w, "sip:phone@192.0.2.1:6060", ""), "MESSAGE sip:phone@192.0.2.1:6060 ");
    world_stop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_route_is_removed_however_it_is_written),
        cmocka_unit_test(foreign_route_stays_octet_for_octet_and_is_followed),
        cmocka_unit_test(a_route_that_is_used_and_cannot_be_read_gives_400),
        cmocka_unit_test(a_strict_router_upstream_is_repaired),
        cmocka_unit_test(maddr_follows_16_4),
        cmocka_unit_test(route_token_chooses_the_listener),
        cmocka_unit_test(a_stranger_may_reach_our_users_and_nobody_else),
        cmocka_unit_test(an_authenticated_user_may_call_anybody_and_his_credentials_stay_here),
        cmocka_unit_test(requests_for_the_proxy_itself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
