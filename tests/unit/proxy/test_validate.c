#include "world.h"

static const struct sent *ask(struct world *w, const char *method, const char *ruri, const char *extra)
{
    static unsigned n;
    char branch[32];

    snprintf(branch, sizeof(branch), "z9hG4bKv%u", ++n);
    request(w, &(struct call){.method = method, .ruri = ruri, .extra = extra, .branch = branch});
    return take(w);
}

static void expect_status(const struct sent *sent, const char *start)
{
    assert_goes_to(sent, ALICE);
    if (strncmp(sent->text, start, strlen(start)) != 0)
        fail_msg("expected %s, was\n%s", start, sent->text);
}

/* The fixed Max-Forwards of the requests made here is replaced. */
static void ask_with_max_forwards(struct world *w, const char *method, const char *value)
{
    static unsigned n;
    char branch[32], text[WORLD_TEXT_MAX], *at, rest[WORLD_TEXT_MAX];

    snprintf(branch, sizeof(branch), "z9hG4bKmf%u", ++n);
    strcpy(text,
           request_text(&(struct call){.method = method, .ruri = "sip:bob@example.com", .branch = branch}));
    at = strstr(text, "Max-Forwards: 70\r\n");
    strcpy(rest, at + strlen("Max-Forwards: 70\r\n"));
    sprintf(at, "%s%s", value, rest);
    world_receive(w, UDP4, ALICE, text);
}

static void item_2_an_unknown_scheme_gives_416(void **state)
{
    struct world w;

    (void)state;
    world_with_bob(&w);
    expect_status(ask(&w, "OPTIONS", "tel:+1-212-555-1212", ""), "SIP/2.0 416 Unsupported URI Scheme\r\n");
    expect_status(ask(&w, "OPTIONS", "nobodyKnowsThisScheme:totallyopaquecontent", ""), "SIP/2.0 416 ");
    assert_silence(&w);
    world_stop(&w);
}

static void item_3_max_forwards_0_gives_483_and_answers_options(void **state)
{
    struct world w;
    const struct sent *sent;

    (void)state;
    world_with_bob(&w);
    ask_with_max_forwards(&w, "MESSAGE", "Max-Forwards: 0\r\n");
    expect_status(take(&w), "SIP/2.0 483 Too Many Hops\r\n");
    ask_with_max_forwards(&w, "OPTIONS", "Max-Forwards: 0\r\n");
    sent = take(&w);
    expect_status(sent, "SIP/2.0 200 OK\r\n");
    assert_int_equal(count_headers(sent, "Accept"), 1);
    assert_int_equal(count_headers(sent, "Supported"), 1);
    assert_int_equal(count_headers(sent, "Allow"), 0);
    ask_with_max_forwards(&w, "MESSAGE", "Max-Forwards: 1\r\n");
    assert_string_equal(header(take_starting(&w, "MESSAGE "), "Max-Forwards", 0), "0");
    world_stop(&w);
}

static void item_3_a_missing_or_overlarge_max_forwards_becomes_70(void **state)
{
    struct world w;

    (void)state;
    world_with_bob(&w);
    ask_with_max_forwards(&w, "MESSAGE", "");
    assert_string_equal(header(take_starting(&w, "MESSAGE "), "Max-Forwards", 0), "70");
    ask_with_max_forwards(&w, "MESSAGE", "Max-Forwards: 300\r\n");
    assert_string_equal(header(take_starting(&w, "MESSAGE "), "Max-Forwards", 0), "70");
    ask_with_max_forwards(&w, "MESSAGE", "Max-Forwards: 0068\r\n");
    assert_string_equal(header(take_starting(&w, "MESSAGE "), "Max-Forwards", 0), "67");
    ask_with_max_forwards(&w, "MESSAGE", "Max-Forwards: many\r\n");
    expect_status(take(&w), "SIP/2.0 400 ");
    world_stop(&w);
}

/* What was forwarded comes back with nothing changed that routing depends on, or with something changed. */
static void come_back(struct world *w, const struct sent *sent, const char *ruri_was, const char *ruri_is)
{
    char text[WORLD_TEXT_MAX];
    const char *rest = strstr(sent->text, " SIP/2.0");

    assert_non_null(strstr(sent->text, ruri_was));
    snprintf(text, sizeof(text), "MESSAGE %s%s", ruri_is, rest);
    world_receive(w, UDP4, "192.0.2.77:5060", text);
}

static void item_4_a_loop_gives_482(void **state)
{
    struct world w;

    (void)state;
    world_with_bob(&w);
    request(&w, &(struct call){.method = "MESSAGE", .ruri = "sip:bob@example.com"});
    come_back(&w, take_starting(&w, "MESSAGE "), "sip:bob@192.0.2.20", "sip:bob@example.com");
    (void)take_starting(&w, "SIP/2.0 482 Loop Detected\r\n");
    world_stop(&w);
}

static void item_4_a_spiral_goes_on(void **state)
{
    struct world w;

    (void)state;
    world_with_bob(&w);
    request(&w, &(struct call){.method = "MESSAGE", .ruri = "sip:bob@example.com"});
    come_back(&w, take_starting(&w, "MESSAGE "), "sip:bob@192.0.2.20", "sip:carol@192.0.2.55");
    (void)take_starting(&w, "MESSAGE sip:carol@192.0.2.55 ");
    assert_silence(&w);
    world_stop(&w);
}

static void item_4_a_via_that_only_looks_like_ours_is_no_loop(void **state)
{
    struct world w;
    const struct sent *sent;
    char extra[256];

    (void)state;
    world_with_bob(&w);
    request(&w, &(struct call){.method = "MESSAGE", .ruri = "sip:bob@example.com"});
    sent = take_starting(&w, "MESSAGE ");
    snprintf(extra, sizeof(extra), "Via: SIP/2.0/UDP 192.0.2.99:5060;%s\r\nVia: not a via at all\r\n",
             strstr(header(sent, "Via", 0), "branch="));
    (void)ask(&w, "MESSAGE", "sip:bob@example.com", extra);
    assert_has(&w.sent[w.n_taken - 1], "MESSAGE sip:bob@192.0.2.20 ");
    world_stop(&w);
}

static void item_4_detection_can_be_switched_off(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    set_user(&w, "sip:bob@example.com", bob_once, 1);
    w.opts.loop_detection = false;
    world_start(&w);
    request(&w, &(struct call){.method = "MESSAGE", .ruri = "sip:bob@example.com"});
    come_back(&w, take_starting(&w, "MESSAGE "), "sip:bob@192.0.2.20", "sip:bob@example.com");
    (void)take_starting(&w, "MESSAGE sip:bob@192.0.2.20 ");
    world_stop(&w);
}

static void rfc5393_max_breadth_is_added_kept_and_bounded(void **state)
{
    struct world w;

    (void)state;
    world_with_bob(&w);
    assert_string_equal(header(ask(&w, "MESSAGE", "sip:bob@example.com", ""), "Max-Breadth", 0), "60");
    assert_string_equal(
        header(ask(&w, "MESSAGE", "sip:bob@example.com", "Max-Breadth: 9\r\n"), "Max-Breadth", 0), "9");
    assert_string_equal(
        header(ask(&w, "MESSAGE", "sip:bob@example.com", "Max-Breadth: 61\r\n"), "Max-Breadth", 0), "60");
    expect_status(ask(&w, "MESSAGE", "sip:bob@example.com", "Max-Breadth: 0\r\n"),
                  "SIP/2.0 440 Max-Breadth Exceeded\r\n");
    expect_status(ask(&w, "MESSAGE", "sip:bob@example.com", "Max-Breadth: x\r\n"),
                  "SIP/2.0 400 Bad Max-Breadth\r\n");
    world_stop(&w);
}

static void item_5_proxy_require_gives_420_with_every_tag(void **state)
{
    struct world w;
    const struct sent *sent;

    (void)state;
    world_with_bob(&w);
    sent = ask(&w, "MESSAGE", "sip:bob@example.com", "Proxy-Require: foo, bar\r\nProxy-Require: baz\r\n");
    expect_status(sent, "SIP/2.0 420 Bad Extension\r\n");
    assert_string_equal(header(sent, "Unsupported", 0), "foo, bar, baz");
    expect_status(ask(&w, "MESSAGE", "sip:bob@example.com", "Proxy-Require: a,,b\r\n"), "SIP/2.0 400 ");
    /* Require is for the UAS. */
    assert_has(ask(&w, "MESSAGE", "sip:bob@example.com", "Require: foo\r\n"), "Require: foo\r\n");
    world_stop(&w);
}

/* Section 8.2.2.3: Proxy-Require MUST be ignored in CANCEL and ACK. */
static void proxy_require_is_ignored_in_an_ack(void **state)
{
    struct world w;

    (void)state;
    world_with_bob(&w);
    request(&w, &(struct call){.method = "ACK",
                               .ruri = "sip:bob@192.0.2.20",
                               .to = "<sip:bob@example.com>;tag=b",
                               .extra = "Proxy-Require: foo\r\n"});
    (void)take_starting(&w, "ACK sip:bob@192.0.2.20 ");
    world_stop(&w);
}

static void nothing_answers_an_ack(void **state)
{
    static const char *const refused[] = {"tel:1", "sip:nosuch@example.com", "sip:nobody@example.com",
                                          "sip:example.com"};
    struct world w;

    (void)state;
    world_with_bob(&w);
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        request(&w, &(struct call){.method = "ACK", .ruri = refused[i]});
    ask_with_max_forwards(&w, "ACK", "Max-Forwards: 0\r\n");
    ask_with_max_forwards(&w, "ACK", "Max-Forwards: x\r\n");
    assert_silence(&w);
    world_stop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(item_2_an_unknown_scheme_gives_416),
        cmocka_unit_test(item_3_max_forwards_0_gives_483_and_answers_options),
        cmocka_unit_test(item_3_a_missing_or_overlarge_max_forwards_becomes_70),
        cmocka_unit_test(item_4_a_loop_gives_482),
        cmocka_unit_test(item_4_a_spiral_goes_on),
        cmocka_unit_test(item_4_a_via_that_only_looks_like_ours_is_no_loop),
        cmocka_unit_test(item_4_detection_can_be_switched_off),
        cmocka_unit_test(rfc5393_max_breadth_is_added_kept_and_bounded),
        cmocka_unit_test(item_5_proxy_require_gives_420_with_every_tag),
        cmocka_unit_test(proxy_require_is_ignored_in_an_ack),
        cmocka_unit_test(nothing_answers_an_ack),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
