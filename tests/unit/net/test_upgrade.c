#include "net/upgrade.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
/* cmocka.h needs those above. */
#include <cmocka.h>

#define GOOD_KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define GOOD_REST                                                                                            \
    "Host: sip-ws.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" GOOD_KEY                     \
    "Sec-WebSocket-Version: 13\r\n"
#define GOOD "GET / HTTP/1.1\r\n" GOOD_REST "Sec-WebSocket-Protocol: sip\r\n"

static const struct slice sites[] = {
    {"https://www.example.com", 23},
    {"https://phone.example.com:8443", 30},
    {"example.org", 11},
    {"*.example.org", 13},
    {"[2001:db8::1]", 13},
};
static const struct net_upgrade_policy policy = {
    .protocol = {"sip", 3}, .path = {"", 0}, .origins = sites, .n_origins = sizeof(sites) / sizeof(sites[0])};

static char memory[NET_UPGRADE_ANSWER_MAX_BYTES];

static unsigned ask(const struct net_upgrade_policy *of, struct slice head, struct slice *ret_text)
{
    struct net_upgrade_answer answer;
    struct buf out;

    buf_init(&out, memory, sizeof(memory));
    assert_int_equal(net_upgrade(head, of, &out, &answer), 0);
    assert_false(buf_failed(&out));
    assert_true(answer.status == NET_UPGRADE_SWITCHING || answer.why);
    *ret_text = buf_slice(&out);
    return answer.status;
}

static unsigned status_of(const char *head)
{
    struct slice text;

    return ask(&policy, slice_from_cstr(head), &text);
}

static bool says(struct slice text, const char *wanted)
{
    return memmem(text.ptr, text.len, wanted, strlen(wanted)) != NULL;
}

static void the_handshake_of_rfc7118_section_4_1_gets_its_answer_to_the_octet(void **state)
{
    static const char wanted[] =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        "Sec-WebSocket-Protocol: sip\r\n\r\n";
    struct slice text;

    (void)state;
    assert_int_equal(ask(&policy,
                         SLICE("GET / HTTP/1.1\r\nHost: sip-ws.example.com\r\nUpgrade: websocket\r\n"
                               "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                               "Origin: https://www.example.com\r\nSec-WebSocket-Protocol: sip\r\n"
                               "Sec-WebSocket-Version: 13\r\n\r\n"),
                         &text),
                     101);
    assert_true(slice_eq(text, slice_from_cstr(wanted)));
}

static void fields_are_named_without_case_in_any_order_among_others(void **state)
{
    (void)state;
    assert_int_equal(
        status_of("GET /ws?token=1 HTTP/1.1\r\nsec-websocket-protocol: chat, sip ,x\r\nCookie: a=b; c\r\n"
                  "sec-websocket-version:13\r\nSEC-WEBSOCKET-KEY:dGhlIHNhbXBsZSBub25jZQ==\t\r\n"
                  "connection: keep-alive, UPGRADE\r\nupgrade: h2c, WebSocket\r\nhost: a\r\n"
                  "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"),
        101);
    assert_int_equal(status_of("GET / HTTP/1.1\r\n" GOOD_REST "Sec-WebSocket-Protocol: chat\r\n"
                               "Sec-WebSocket-Protocol: sip\r\n\r\n"),
                     101);
    assert_int_equal(status_of("GET http://sip-ws.example.com/ws HTTP/1.1\r\n" GOOD_REST
                               "Sec-WebSocket-Protocol: sip\r\n\r\n"),
                     101);
}

static void an_extension_is_never_agreed_to_rfc6455_section_9_1(void **state)
{
    struct slice text;

    (void)state;
    assert_int_equal(ask(&policy, SLICE(GOOD "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"), &text),
                     101);
    assert_false(says(text, "Extensions"));
}

static void what_does_not_match_rfc6455_section_4_2_1_gets_its_status(void **state)
{
    static const struct {
        const char *head;
        unsigned status;
    } rows[] = {
        {"\r\n\r\n", 400},
        {"GET /\r\n\r\n", 400},
        {"GET  / HTTP/1.1\r\n" GOOD_REST "\r\n", 400},
        {"GET /\x01 HTTP/1.1\r\n" GOOD_REST "\r\n", 400},
        {"G(T / HTTP/1.1\r\n" GOOD_REST "\r\n", 400},
        {"GET / HTTP/1.0\r\n" GOOD_REST "Sec-WebSocket-Protocol: sip\r\n\r\n", 505},
        {"GET / HTTP/2.0\r\n" GOOD_REST "Sec-WebSocket-Protocol: sip\r\n\r\n", 505},
        {"PRI * HTTP/2.0\r\n\r\n", 505},
        {"POST / HTTP/1.1\r\n" GOOD_REST "Sec-WebSocket-Protocol: sip\r\n\r\n", 405},
        {"get / HTTP/1.1\r\n" GOOD_REST "Sec-WebSocket-Protocol: sip\r\n\r\n", 405},
        {"GET * HTTP/1.1\r\n" GOOD_REST "Sec-WebSocket-Protocol: sip\r\n\r\n", 404},
        {"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" GOOD_KEY
         "Sec-WebSocket-Version: 13\r\n"
         "Sec-WebSocket-Protocol: sip\r\n\r\n",
         400},
        {GOOD "Host: b\r\n\r\n", 400},
        {GOOD "Content-Length: 5\r\n\r\n", 400},
        {GOOD "Content-Length: 0\r\n\r\n", 101},
        {GOOD "Transfer-Encoding: chunked\r\n\r\n", 400},
        {GOOD "Name : value\r\n\r\n", 400},
        {GOOD " folded\r\n\r\n", 400},
        {GOOD "Name: a\nHidden: b\r\n\r\n", 400},
        {GOOD "Name: a\rb\r\n\r\n", 400},
        {GOOD "no colon\r\n\r\n", 400},
        {GOOD GOOD_KEY "\r\n", 400},
        {GOOD "Sec-WebSocket-Version: 13\r\n\r\n", 400},
        {GOOD "Origin: https://www.example.com\r\nOrigin: https://evil.example\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n" GOOD_KEY "Sec-WebSocket-Version: 13\r\n"
         "Sec-WebSocket-Protocol: sip\r\n\r\n",
         426},
        {"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websockets\r\nConnection: Upgrade\r\n" GOOD_KEY
         "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: sip\r\n\r\n",
         426},
        {"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: keep-alive\r\n" GOOD_KEY
         "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: sip\r\n\r\n",
         400},
        {"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" GOOD_KEY
         "Sec-WebSocket-Protocol: sip\r\n\r\n",
         400},
        {"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" GOOD_KEY
         "Sec-WebSocket-Version: 8\r\nSec-WebSocket-Protocol: sip\r\n\r\n",
         426},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (status_of(rows[i].head) != rows[i].status)
            fail_msg("row %zu: %u instead of %u", i, status_of(rows[i].head), rows[i].status);
    }
}

static void the_key_is_sixteen_octets_in_base64(void **state)
{
    static const struct {
        const char *key;
        unsigned status;
    } rows[] = {
        {"AAAAAAAAAAAAAAAAAAAAAA==", 101},     {"+/09azAZ+/09azAZ+/09aw==", 101},
        {"AAAAAAAAAAAAAAAAAAAAAAA=", 400},     {"AAAAAAAAAAAAAAAAAAAAAAAA", 400},
        {"AAAAAAAAAAAAAAAAAAAA==", 400},       {"AAAAAAAAAAAAAAAAAAAA-_==", 400},
        {"AAAAAAAAAAAAAAAAAAAAAAAAAA==", 400}, {"", 400},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char head[512];

        snprintf(head, sizeof(head),
                 "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: "
                 "Upgrade\r\nSec-WebSocket-Key: %s\r\n"
                 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: sip\r\n\r\n",
                 rows[i].key);
        assert_int_equal(status_of(head), rows[i].status);
    }
}

static void a_client_that_does_not_offer_sip_is_refused_rfc7118_section_4_1(void **state)
{
    struct slice text;

    (void)state;
    assert_int_equal(status_of("GET / HTTP/1.1\r\n" GOOD_REST "\r\n"), 400);
    assert_int_equal(status_of("GET / HTTP/1.1\r\n" GOOD_REST "Sec-WebSocket-Protocol: sips, sip2\r\n\r\n"),
                     400);
    assert_int_equal(
        ask(&policy, SLICE("GET / HTTP/1.1\r\n" GOOD_REST "Sec-WebSocket-Protocol: SIP\r\n\r\n"), &text),
        400);
    assert_false(says(text, "Sec-WebSocket-Protocol"));
}

static void a_refusal_says_what_is_spoken_here_and_closes(void **state)
{
    struct slice text;

    (void)state;
    assert_int_equal(ask(&policy, SLICE("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), &text), 426);
    assert_true(says(text, "HTTP/1.1 426 Upgrade Required\r\n"));
    assert_true(says(text, "\r\nUpgrade: websocket\r\n"));
    assert_true(says(text, "\r\nSec-WebSocket-Version: 13\r\n"));
    assert_true(says(text, "\r\nConnection: close\r\n"));
    assert_int_equal(ask(&policy, SLICE("PUT / HTTP/1.1\r\n\r\n"), &text), 405);
    assert_true(says(text, "\r\nAllow: GET\r\n"));
}

static void an_origin_is_allowed_as_it_is_listed_rfc6455_section_4_2_2(void **state)
{
    static const struct {
        const char *origin;
        unsigned status;
    } rows[] = {
        {"https://www.example.com", 101},
        {"HTTPS://WWW.Example.com", 101},
        {"http://www.example.com", 403},
        {"https://www.example.com:8443", 403},
        {"https://phone.example.com:8443", 101},
        {"https://phone.example.com", 403},
        {"https://example.com", 403},
        {"http://example.org", 101},
        {"https://example.org:444", 101},
        {"https://a.b.example.org", 101},
        {"https://example.org.evil.test", 403},
        {"https://evilexample.org", 403},
        {"https://.example.org", 403},
        {"http://[2001:db8::1]:8080", 101},
        {"http://[2001:db8::2]", 403},
        {"null", 403},
        {"", 403},
        {"example.org", 403},
        {"https://evil.test/https://example.org", 403},
        {"https://evil.test https://example.org", 403},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char head[512];

        snprintf(head, sizeof(head), GOOD "Origin: %s\r\n\r\n", rows[i].origin);
        if (status_of(head) != rows[i].status)
            fail_msg("%s: %u", rows[i].origin, status_of(head));
    }
}

static void a_star_lets_everybody_in_and_no_list_no_page(void **state)
{
    const struct slice star = SLICE("*");
    const struct net_upgrade_policy any = {SLICE("sip"), SLICE(""), &star, 1},
                                    none = {SLICE("sip"), SLICE(""), NULL, 0};
    struct slice text;

    (void)state;
    assert_int_equal(ask(&any, SLICE(GOOD "Origin: null\r\n\r\n"), &text), 101);
    assert_int_equal(ask(&any, SLICE(GOOD "Origin: https://any.example\r\n\r\n"), &text), 101);
    assert_int_equal(ask(&none, SLICE(GOOD "Origin: https://any.example\r\n\r\n"), &text), 403);
    assert_int_equal(ask(&none, SLICE(GOOD "\r\n"), &text), 101);
}

static void the_origin_that_was_written_is_told(void **state)
{
    struct net_upgrade_answer answer;
    struct buf out;

    (void)state;
    buf_init(&out, memory, sizeof(memory));
    assert_int_equal(net_upgrade(SLICE(GOOD "Origin: https://evil.test\r\n\r\n"), &policy, &out, &answer), 0);
    assert_true(slice_eq(answer.origin, SLICE("https://evil.test")));
    assert_int_equal(net_upgrade(SLICE(GOOD "\r\n"), &policy, &out, &answer), 0);
    assert_true(slice_is_null(answer.origin));
}

static void a_path_that_is_asked_for_is_the_only_one(void **state)
{
    static const struct {
        const char *target;
        unsigned status;
    } rows[] = {
        {"/sip", 101}, {"/sip?x=1", 101}, {"http://a/sip", 101}, {"https://a/sip?y", 101},
        {"/", 404},    {"/sip/", 404},    {"/SIP", 404},         {"http://a", 404},
        {"sip", 404},
    };
    const struct net_upgrade_policy of = {SLICE("sip"), SLICE("/sip"), NULL, 0};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char head[512];
        struct slice text;

        snprintf(head, sizeof(head), "GET %s HTTP/1.1\r\n" GOOD_REST "Sec-WebSocket-Protocol: sip\r\n\r\n",
                 rows[i].target);
        assert_int_equal(ask(&of, slice_from_cstr(head), &text), rows[i].status);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_handshake_of_rfc7118_section_4_1_gets_its_answer_to_the_octet),
        cmocka_unit_test(fields_are_named_without_case_in_any_order_among_others),
        cmocka_unit_test(an_extension_is_never_agreed_to_rfc6455_section_9_1),
        cmocka_unit_test(what_does_not_match_rfc6455_section_4_2_1_gets_its_status),
        cmocka_unit_test(the_key_is_sixteen_octets_in_base64),
        cmocka_unit_test(a_client_that_does_not_offer_sip_is_refused_rfc7118_section_4_1),
        cmocka_unit_test(a_refusal_says_what_is_spoken_here_and_closes),
        cmocka_unit_test(an_origin_is_allowed_as_it_is_listed_rfc6455_section_4_2_2),
        cmocka_unit_test(a_star_lets_everybody_in_and_no_list_no_page),
        cmocka_unit_test(the_origin_that_was_written_is_told),
        cmocka_unit_test(a_path_that_is_asked_for_is_the_only_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
