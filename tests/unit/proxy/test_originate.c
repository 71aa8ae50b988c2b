/* Requests of our own making: RFC 3261 sections 8.1.1, 8.1.2, 8.1.3 and 11.1, RFC 3263 section 4.3. */
#include "world.h"

#include "proxy/originate.h"

struct heard {
    unsigned calls, status;
    bool has_response;
    struct sip_hop hop;
    ms_t round_trip_ms;
};

static void answered(void *ctx, const struct proxy_origin_answer *answer)
{
    struct heard *heard = ctx;

    heard->calls++;
    heard->status = answer->status;
    heard->has_response = answer->response != NULL;
    heard->hop = answer->hop;
    heard->round_trip_ms = answer->round_trip_ms;
}

#define GATEWAY "192.0.2.50:5060"
#define SPARE   "192.0.2.51:5060"

static const struct proxy_origin options = {.method = SIP_METHOD_OPTIONS, .uri = TEXT("sip:192.0.2.50")};

static void begin(struct world *w, struct heard *heard)
{
    *heard = (struct heard){0};
    world_init(w);
    world_start(w);
}

static void ask(struct world *w, const struct proxy_origin *origin, struct heard *heard)
{
    assert_int_equal(proxy_originate(w->proxy, origin, answered, heard), 0);
}

static void assert_heard(const struct heard *heard, unsigned status, bool has_response)
{
    assert_int_equal(heard->calls, 1);
    assert_int_equal(heard->status, status);
    assert_int_equal(heard->has_response, has_response);
}

/* Section 8.1.1: "A valid SIP request formulated by a UAC MUST, at a minimum, contain the following header
 * fields: To, From, CSeq, Call-ID, Max-Forwards, and Via". */
static void it_has_the_six_headers_of_8_1_1(void **state)
{
    const struct sent *sent;
    struct heard heard;
    struct world w;

    (void)state;
    begin(&w, &heard);
    ask(&w, &options, &heard);
    sent = take_starting(
        &w, "OPTIONS sip:192.0.2.50 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;rport;branch=z9hG4bK");
    assert_goes_to(sent, GATEWAY);
    assert_string_equal(header(sent, "To", 0), "<sip:192.0.2.50>"); /* 8.1.1.2: no tag outside a dialog */
    assert_non_null(strstr(header(sent, "From", 0), "<sip:192.0.2.1>;tag="));
    assert_string_equal(header(sent, "CSeq", 0), "1 OPTIONS");
    assert_string_equal(header(sent, "Max-Forwards", 0), "70");
    assert_int_equal(strlen(header(sent, "Call-ID", 0)), 32);
    assert_memory_equal(header(sent, "Call-ID", 0), "3611ecc7a27d5833", 16); /* random octets of this world */
    assert_string_equal(header(sent, "Accept", 0), "application/sdp");       /* 11.1 */
    assert_string_equal(header(sent, "Content-Length", 0), "0");
    assert_int_equal(count_headers(sent, "Via"), 1);
    assert_int_equal(count_headers(sent, "Route"), 0);
    assert_int_equal(heard.calls, 0);
    world_advance(&w, 30);
    respond(&w, sent, 200, "gw");
    assert_heard(&heard, 200, true);
    assert_int_equal(heard.round_trip_ms, 30);
    assert_true(addr_eq(&heard.hop.addr, &sent->hop.addr));
    assert_int_equal(proxy_originations(w.proxy), 0);
    world_stop(&w);
    assert_int_equal(heard.calls, 1);
}

/* Section 8.1.1.4: Call-ID and branch are new for each; sections 8.1.1.2 and 8.1.1.3: To and From as asked. */
static void what_the_caller_says_stands_in_it(void **state)
{
    static const struct sip_extra extra[] = {{.id = SIP_HDR_CONTACT, .value = TEXT("<sip:192.0.2.1>")},
                                             {.name = TEXT("X-Probe"), .value = TEXT("7")},
                                             {0}};
    struct proxy_origin origin = options;
    const struct sent *first, *second;
    char call_id[64], via[256];
    struct heard heard;
    struct world w;

    (void)state;
    heard = (struct heard){0};
    world_init(&w);
    w.opts.server_name = SLICE("Test");
    world_start(&w);
    origin.to = SLICE("sip:carrier@example.net");
    origin.from = SLICE("sip:probe@example.com");
    origin.extra = extra;
    ask(&w, &origin, &heard);
    ask(&w, &origin, &heard);
    first = take_starting(&w, "OPTIONS sip:192.0.2.50 ");
    second = take_starting(&w, "OPTIONS sip:192.0.2.50 ");
    assert_string_equal(header(first, "To", 0), "<sip:carrier@example.net>");
    assert_non_null(strstr(header(first, "From", 0), "<sip:probe@example.com>;tag="));
    assert_string_equal(header(first, "Contact", 0), "<sip:192.0.2.1>");
    assert_string_equal(header(first, "X-Probe", 0), "7");
    assert_string_equal(header(first, "User-Agent", 0), "Test");
    snprintf(call_id, sizeof(call_id), "%s", header(first, "Call-ID", 0));
    snprintf(via, sizeof(via), "%s", header(first, "Via", 0));
    assert_string_not_equal(header(second, "Call-ID", 0), call_id);
    assert_string_not_equal(header(second, "Via", 0), via);
    assert_int_equal(proxy_originations(w.proxy), 2);
    respond(&w, first, 404, "gw");
    respond(&w, second, 200, "gw");
    assert_int_equal(heard.calls, 2);
    world_stop(&w);
}

/* Section 8.1.2: with a route set the request goes to its first value; RFC 3327 section 5.3: those of Path. */
static void it_goes_by_its_route(void **state)
{
    struct proxy_origin origin = options;
    const struct sent *sent;
    struct heard heard;
    struct world w;

    (void)state;
    begin(&w, &heard);
    origin.uri = SLICE("sip:phone@10.0.0.1:1234");
    origin.routes = SLICE("<sip:192.0.2.60:5070;lr>, <sip:192.0.2.61;lr>");
    ask(&w, &origin, &heard);
    sent = take_starting(&w, "OPTIONS sip:phone@10.0.0.1:1234 ");
    assert_goes_to(sent, "192.0.2.60:5070");
    assert_string_equal(header(sent, "Route", 0), "<sip:192.0.2.60:5070;lr>, <sip:192.0.2.61;lr>");
    respond(&w, sent, 480, "x");
    assert_heard(&heard, 480, true);
    world_stop(&w);
}

/* Section 8.1.2: "if the Request-URI specifies a SIPS resource, the UAC MUST follow the procedures of [4] as if the
 * input URI were a SIPS URI", which the first Route value may not be. */
static void a_sips_uri_is_followed_as_one(void **state)
{
    struct proxy_origin origin = options;
    struct heard heard;
    struct world w;

    (void)state;
    begin(&w, &heard);
    origin.uri = SLICE("sips:192.0.2.50");
    w.resolve_later = true;
    ask(&w, &origin, &heard);
    assert_int_equal(w.resolved_scheme, SIP_SCHEME_SIPS);
    w.resolved_scheme = SIP_SCHEME_OTHER;
    origin.routes = SLICE("<sip:192.0.2.60;lr>");
    ask(&w, &origin, &heard);
    assert_int_equal(w.resolved_scheme, SIP_SCHEME_SIPS);
    origin.uri = SLICE("sip:192.0.2.50");
    ask(&w, &origin, &heard);
    assert_int_equal(w.resolved_scheme, SIP_SCHEME_SIP);
    world_stop(&w);
}

/* A phone behind a NAT is asked by the way it came: its flow, from the listener it knows. */
static void it_goes_by_the_hop_it_is_given(void **state)
{
    struct proxy_origin origin = options;
    const struct sent *sent;
    struct heard heard;
    struct world w;

    (void)state;
    begin(&w, &heard);
    origin.uri = SLICE("sip:phone@10.0.0.1:1234;transport=tcp");
    origin.has_hop = true;
    origin.hop = hop_from(TCP4, "203.0.113.9:40000", 77);
    ask(&w, &origin, &heard);
    sent = take_starting(&w, "OPTIONS ");
    assert_int_equal(sent->hop.flow, 77);
    assert_goes_to(sent, "203.0.113.9:40000");
    assert_has(sent, "Via: SIP/2.0/TCP 192.0.2.1:5060;branch=");
    respond(&w, sent, 200, "x");

    origin.hop = hop_from(UDP4_OTHER, "203.0.113.9:40000", 0);
    ask(&w, &origin, &heard);
    sent = take_starting(&w, "OPTIONS ");
    assert_int_equal(sent->hop.listener, UDP4_OTHER);
    assert_has(sent, "Via: SIP/2.0/UDP 192.0.2.1:5090;rport;branch=");
    respond(&w, sent, 200, "x");
    assert_int_equal(heard.calls, 2);
    world_stop(&w);
}

/* Sections 8.1.3.1 and 17.1.2.2: without a final response until Timer F fires it is "treated as if a 408
 * (Request Timeout) status code has been received"; over UDP it is sent again by Timer E until then. */
static void silence_is_a_408(void **state)
{
    struct heard heard;
    struct world w;
    unsigned n = 0;

    (void)state;
    begin(&w, &heard);
    ask(&w, &options, &heard);
    world_advance(&w, 31999);
    assert_int_equal(heard.calls, 0);
    world_advance(&w, 1);
    assert_heard(&heard, 408, false);
    for (; w.n_taken < w.n_sent; n++)
        (void)take_starting(&w, "OPTIONS ");
    assert_int_equal(n, 11);
    world_stop(&w);
}

static void its_own_timeout_comes_first(void **state)
{
    struct proxy_origin origin = options;
    const struct sent *sent;
    struct heard heard;
    struct world w;

    (void)state;
    begin(&w, &heard);
    origin.timeout_ms = 400;
    ask(&w, &origin, &heard);
    sent = take_starting(&w, "OPTIONS ");
    respond(&w, sent, 100, NULL); /* no final response */
    world_advance(&w, 399);
    assert_int_equal(heard.calls, 0);
    world_advance(&w, 1);
    assert_heard(&heard, 408, false);
    assert_int_equal(heard.round_trip_ms, 400);
    respond(&w, sent, 200, "late");
    world_stop(&w);
    assert_int_equal(heard.calls, 1);
    assert_int_equal(w.n_taken, w.n_sent);
}

static const struct proxy_origin *with_spare(struct world *w)
{
    w->extra_hops[0] = (struct sip_hop){.addr = addr_of(SPARE), .transport = SIP_TRANSPORT_UDP};
    w->n_extra_hops = 1;
    return &options;
}

/* RFC 3263 section 4.3: after a 503, a timeout or a transport error the next address, by a new transaction. */
static void the_next_address_is_asked_after_503_timeout_and_error(void **state)
{
    const struct sent *first, *second;
    struct heard heard;
    struct world w;

    (void)state;
    begin(&w, &heard);
    ask(&w, with_spare(&w), &heard);
    first = take_starting(&w, "OPTIONS ");
    assert_goes_to(first, GATEWAY);
    respond(&w, first, 503, "x");
    second = take_starting(&w, "OPTIONS ");
    assert_goes_to(second, SPARE);
    assert_string_not_equal(header(second, "Via", 0), header(first, "Via", 0));
    assert_string_equal(header(second, "Call-ID", 0), header(first, "Call-ID", 0));
    world_advance(&w, 20);
    respond(&w, second, 200, "x");
    assert_heard(&heard, 200, true);
    assert_int_equal(heard.round_trip_ms, 20);

    heard = (struct heard){0};
    ask(&w, with_spare(&w), &heard);
    first = take_starting(&w, "OPTIONS ");
    proxy_send_failed(w.proxy, first->token);
    second = take_starting(&w, "OPTIONS ");
    assert_goes_to(second, SPARE);
    proxy_send_failed(w.proxy, second->token);
    assert_heard(&heard, 503, false);

    heard = (struct heard){0};
    ask(&w, with_spare(&w), &heard);
    world_advance(&w, 32000);
    assert_int_equal(heard.calls, 0);
    world_advance(&w, 32000);
    assert_heard(&heard, 408, false);
    world_stop(&w);
}

static int refuse_all(const struct sip_hop *hop)
{
    (void)hop;
    return ERR_IO;
}

static void a_refusal_of_the_network_is_a_503_after_the_call(void **state)
{
    struct heard heard;
    struct world w;

    (void)state;
    begin(&w, &heard);
    w.send_result = refuse_all;
    ask(&w, &options, &heard);
    assert_int_equal(heard.calls, 0);
    world_advance(&w, 0);
    world_advance(&w, 1);
    assert_heard(&heard, 503, false);
    world_stop(&w);
}

static void an_address_may_come_later(void **state)
{
    const struct sip_hop hop = {.addr = addr_of(SPARE), .transport = SIP_TRANSPORT_UDP};
    struct heard heard;
    struct world w;

    (void)state;
    begin(&w, &heard);
    w.resolve_later = true;
    ask(&w, &options, &heard);
    assert_silence(&w);
    proxy_resolved(w.proxy, w.ticket, 0, &hop, 1);
    respond(&w, take_starting(&w, "OPTIONS "), 200, "x");
    assert_heard(&heard, 200, true);

    heard = (struct heard){0};
    ask(&w, &options, &heard);
    proxy_resolved(w.proxy, w.ticket, ERR_NOTFOUND, NULL, 0);
    assert_heard(&heard, 503, false);

    heard = (struct heard){0};
    ask(&w, &options, &heard);
    world_advance(&w, 32000); /* a resolver that never answers */
    assert_heard(&heard, 408, false);
    proxy_resolved(w.proxy, w.ticket, 0, &hop, 1);
    assert_silence(&w);
    world_stop(&w);
    assert_int_equal(heard.calls, 1);
}

static void what_cannot_be_sent_is_said_at_once(void **state)
{
    static const struct {
        struct proxy_origin origin;
        int rc;
    } cases[] = {
        {{.method = SIP_METHOD_OPTIONS, .uri = TEXT("tel:+15551234")}, ERR_SYNTAX},
        {{.method = SIP_METHOD_OPTIONS, .uri = TEXT("sip:")}, ERR_SYNTAX},
        {{.method = SIP_METHOD_OPTIONS, .uri = TEXT("sip:192.0.2.50"), .to = TEXT("nobody")}, ERR_SYNTAX},
        {{.method = SIP_METHOD_OPTIONS, .uri = TEXT("sip:192.0.2.50"), .from = TEXT("<x>")}, ERR_SYNTAX},
        {{.method = SIP_METHOD_OPTIONS, .uri = TEXT("sip:192.0.2.50"), .routes = TEXT("<sip:192.0.2.60>")},
         ERR_SYNTAX},
        {{.method = SIP_METHOD_OPTIONS,
          .uri = TEXT("sip:192.0.2.50"),
          .routes = TEXT("<sip:192.0.2.60;lr>\r\nX: y")},
         ERR_SYNTAX},
        {{.method = SIP_METHOD_OPTIONS, .uri = TEXT("sip:unknown.example")}, ERR_NOTFOUND},
        {{.method = SIP_METHOD_OPTIONS, .uri = TEXT("sip:[2001:db8::9];transport=tcp")}, ERR_NOTFOUND},
    };
    struct proxy_origin origin = options;
    char long_text[1600];
    struct heard heard;
    struct world w;

    (void)state;
    begin(&w, &heard);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(proxy_originate(w.proxy, &cases[i].origin, answered, &heard), cases[i].rc);
    /* Section 18.1.1: longer than a datagram should be. */
    for (size_t len = 1300; len <= sizeof(long_text); len += 300) {
        memset(long_text, 'x', sizeof(long_text));
        memcpy(long_text, "sip:", 4);
        memcpy(long_text + len - 6, "@[::1]", 6);
        origin.uri = slice_make(long_text, len);
        origin.has_hop = true;
        origin.hop = hop_from(UDP4, GATEWAY, 0);
        assert_int_equal(proxy_originate(w.proxy, &origin, answered, &heard), ERR_LIMIT);
    }
    proxy_set_draining(w.proxy, true);
    assert_int_equal(proxy_originate(w.proxy, &options, answered, &heard), ERR_CLOSED);
    assert_silence(&w);
    assert_int_equal(heard.calls, 0);
    world_stop(&w);
}

/* What is asked here holds up nobody's end. */
static void it_does_not_count_as_pending(void **state)
{
    struct heard heard;
    struct world w;

    (void)state;
    begin(&w, &heard);
    ask(&w, with_spare(&w), &heard);
    assert_int_equal(proxy_pending(w.proxy), 0);
    respond(&w, take_starting(&w, "OPTIONS "), 503, "x");
    assert_int_equal(proxy_pending(w.proxy), 0);
    respond(&w, take_starting(&w, "OPTIONS "), 200, "x");
    assert_int_equal(proxy_pending(w.proxy), 0);
    world_stop(&w);
}

static void no_more_than_the_limit_at_a_time(void **state)
{
    struct heard heard;
    struct world w;

    (void)state;
    world_init(&w);
    w.opts.max_transactions = PROXY_ORIGINS_MAX;
    w.opts.arena_budget_bytes = (size_t)64 * 1024 * 1024;
    world_start(&w);
    heard = (struct heard){0};
    w.resolve_later = true;
    for (unsigned i = 0; i < PROXY_ORIGINS_MAX; i++)
        ask(&w, &options, &heard);
    assert_int_equal(proxy_originate(w.proxy, &options, answered, &heard), ERR_LIMIT);
    world_advance(&w, 32000);
    assert_int_equal(heard.calls, PROXY_ORIGINS_MAX);
    ask(&w, &options, &heard);
    world_stop(&w);
}

/* The answer must come to the worker that asked. */
static void its_call_id_belongs_to_this_worker(void **state)
{
    struct heard heard;
    struct world w;

    (void)state;
    heard = (struct heard){0};
    world_init(&w);
    w.opts.worker = 3;
    w.opts.n_workers = 8;
    w.opts.call_key = (struct hash_key){5, 6};
    world_start(&w);
    for (unsigned i = 0; i < 20; i++) {
        const struct sent *sent;

        ask(&w, &options, &heard);
        sent = take_starting(&w, "OPTIONS ");
        assert_int_equal(proxy_call_worker(&w.opts.call_key, 8, slice_from_cstr(header(sent, "Call-ID", 0))),
                         3);
        respond(&w, sent, 200, "x");
    }
    world_stop(&w);
}

struct again {
    struct world *w;
    unsigned left;
};

static void ask_again(void *ctx, const struct proxy_origin_answer *answer)
{
    struct again *again = ctx;

    (void)answer;
    if (again->left-- > 0)
        assert_int_equal(proxy_originate(again->w->proxy, &options, ask_again, again), 0);
}

static void the_answer_may_be_asked_again_from(void **state)
{
    struct again again;
    struct heard heard;
    struct world w;

    (void)state;
    begin(&w, &heard);
    again = (struct again){&w, 3};
    assert_int_equal(proxy_originate(w.proxy, &options, ask_again, &again), 0);
    for (unsigned i = 0; i < 4; i++)
        respond(&w, take_starting(&w, "OPTIONS "), 200, "x");
    assert_silence(&w);
    world_stop(&w);
}

static void what_is_under_way_is_dropped_with_the_proxy(void **state)
{
    struct heard heard;
    struct world w;

    (void)state;
    begin(&w, &heard);
    ask(&w, &options, &heard);
    w.resolve_later = true;
    ask(&w, &options, &heard);
    proxy_free(w.proxy);
    assert_int_equal(heard.calls, 0);
    assert_int_equal(mem_held_bytes(), w.held_before);
    free(w.sent);
}

/* Without memory: an error at once and no answer later, or an answer; never neither, never both. */
static void out_of_memory_is_an_error_or_an_answer(void **state)
{
    bool has_failed = true;

    (void)state;
    for (int64_t n = 0; has_failed; n++) {
        struct heard heard;
        struct world w;
        int rc;

        begin(&w, &heard);
        mem_fail_after(n);
        rc = proxy_originate(w.proxy, with_spare(&w), answered, &heard);
        if (rc == 0)
            respond(&w, take_starting(&w, "OPTIONS "), 503, "x");
        mem_fail_after(-1);
        has_failed = rc != 0 || heard.calls > 0;
        if (rc == 0 && heard.calls == 0)
            has_failed = w.n_taken == w.n_sent;
        if (!has_failed)
            respond(&w, take_starting(&w, "OPTIONS "), 200, "x");
        world_stop(&w);
        assert_int_equal(heard.calls, rc == 0);
        assert_true(n < 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_has_the_six_headers_of_8_1_1),
        cmocka_unit_test(what_the_caller_says_stands_in_it),
        cmocka_unit_test(it_goes_by_its_route),
        cmocka_unit_test(a_sips_uri_is_followed_as_one),
        cmocka_unit_test(it_goes_by_the_hop_it_is_given),
        cmocka_unit_test(silence_is_a_408),
        cmocka_unit_test(its_own_timeout_comes_first),
        cmocka_unit_test(the_next_address_is_asked_after_503_timeout_and_error),
        cmocka_unit_test(a_refusal_of_the_network_is_a_503_after_the_call),
        cmocka_unit_test(an_address_may_come_later),
        cmocka_unit_test(what_cannot_be_sent_is_said_at_once),
        cmocka_unit_test(it_does_not_count_as_pending),
        cmocka_unit_test(no_more_than_the_limit_at_a_time),
        cmocka_unit_test(its_call_id_belongs_to_this_worker),
        cmocka_unit_test(the_answer_may_be_asked_again_from),
        cmocka_unit_test(what_is_under_way_is_dropped_with_the_proxy),
        cmocka_unit_test(out_of_memory_is_an_error_or_an_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
