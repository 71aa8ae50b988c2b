#include "base/mem.h"
#include "base/num.h"
#include "policy/internal.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
/* cmocka.h needs those above. */
#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define S(text)      slice_from_cstr(text)
#define LIST(...)                                                                                            \
    (const struct slice[])                                                                                   \
    {                                                                                                        \
        __VA_ARGS__                                                                                          \
    }

static const struct proxy_listener listeners[] = {
    {.name = {"out", 3}, .transport = SIP_TRANSPORT_UDP, .host = {"192.0.2.1", 9}, .port = 5060},
    {.name = {"side", 4}, .transport = SIP_TRANSPORT_UDP, .host = {"192.0.2.1", 9}, .port = 5080},
};
static const struct proxy_domain domains[] = {{.name = {"example.com", 11}, .realm = {"example.com", 11}}};
static const struct proxy_opts proxy = {
    .listeners = listeners, .n_listeners = 2, .domains = domains, .n_domains = 1};

static struct policy_routes *compile(const struct policy_route_opts *routes, size_t count)
{
    const struct policy_routes_opts opts = {.routes = routes, .n_routes = count, .proxy = &proxy};
    struct policy_routes *r = NULL;
    size_t failed = 999;

    assert_int_equal(policy_routes_new(&opts, &failed, &r), 0);
    return r;
}

/* A request as it comes to a listener from an address. */
struct asked {
    const char *method, *ruri, *header, *source;
    uint16_t listener;
};

static struct arena_pool pool;

static int find(const struct policy_routes *r, struct asked a)
{
    char text[2048];
    int len = snprintf(
        text, sizeof(text),
        "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\n"
        "To: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 1 %s\r\n%sContent-Length: 0\r\n\r\n",
        a.method ? a.method : "INVITE", a.ruri, a.method ? a.method : "INVITE", a.header ? a.header : "");
    struct sip_hop from = {.listener = a.listener};
    struct policy_request q = {.from = &from};
    struct arena arena;
    struct sip_error error;
    struct sip_msg msg;
    const struct sip_uri *ruri;
    int found;

    arena_init(&arena, &pool);
    assert_int_equal(addr_parse(S(a.source ? a.source : "192.0.2.9:5060"), &from.addr), 0);
    assert_int_equal(
        sip_msg_parse(slice_make(text, (size_t)len), true, &sip_limits_default, &arena, &msg, &error), 0);
    assert_int_equal(sip_msg_ruri(&msg, &ruri), 0);
    q.msg = &msg;
    q.ruri = ruri;
    q.domain = proxy_uri_domain(&proxy, ruri);
    found = policy_routes_find(r, &q);
    arena_done(&arena);
    return found;
}

#define FIND(r, ...) find(r, (struct asked){__VA_ARGS__})

static void the_first_route_that_matches_is_taken(void **state)
{
    const struct policy_route_opts routes[] = {
        {.name = S("a"), .match = {.users = LIST(SLICE("+4930*")), .n_users = 1}},
        {.name = S("b"), .match = {.users = LIST(SLICE("+49*"), SLICE("0*")), .n_users = 2}},
        {.name = S("c"), .match = {.domains = LIST(SLICE("example.com")), .n_domains = 1}},
    };
    struct policy_routes *r = compile(routes, COUNT(routes));

    (void)state;
    assert_int_equal(FIND(r, .ruri = "sip:+49301@example.com"), 0);
    assert_int_equal(FIND(r, .ruri = "sip:+4940@example.com"), 1);
    assert_int_equal(FIND(r, .ruri = "sip:030@elsewhere.example"), 1);
    assert_int_equal(FIND(r, .ruri = "sip:bob@example.com"), 2);
    assert_int_equal(FIND(r, .ruri = "sip:bob@EXAMPLE.com."), 2);
    assert_int_equal(FIND(r, .ruri = "sip:bob@192.0.2.1"), 2);
    assert_int_equal(FIND(r, .ruri = "sip:bob@elsewhere.example"), -1);
    assert_int_equal(FIND(r, .ruri = "sip:example.com"), 2);
    policy_routes_free(r);
}

static void every_condition_must_hold(void **state)
{
    const struct addr_prefix sources[] = {{{.family = ADDR_IPV4, .ip = {192, 0, 2, 0}}, 24},
                                          {{.family = ADDR_IPV4, .ip = {10, 0, 0, 0}}, 8}};
    const struct policy_header_opts headers[] = {{SLICE("X-Customer"), SLICE("gold*")},
                                                 {SLICE("Subject"), SLICE("*")}};
    const struct policy_route_opts routes[] = {
        {.name = S("all"),
         .match = {.methods = LIST(SLICE("INVITE"), SLICE("MESSAGE")),
                   .n_methods = 2,
                   .domains = LIST(SLICE("a.example"), SLICE("[2001:db8::1]")),
                   .n_domains = 2,
                   .users = LIST(SLICE("[1-3]??")),
                   .n_users = 1,
                   .sources = sources,
                   .n_sources = 2,
                   .listeners = LIST(SLICE("side")),
                   .n_listeners = 1,
                   .headers = headers,
                   .n_headers = 2}},
    };
    struct policy_routes *r = compile(routes, 1);
    const char *both = "X-Customer: Golden\r\nSubject: x\r\n", *compact = "x-customer: gold\r\ns: x\r\n";

    (void)state;
    assert_int_equal(FIND(r, "INVITE", "sip:123@a.example", both, "192.0.2.9", 1), 0);
    assert_int_equal(FIND(r, "MESSAGE", "sip:123@A.EXAMPLE", compact, "10.1.2.3", 1), 0);
    assert_int_equal(FIND(r, "INVITE", "sip:123@[2001:DB8:0::1]:5070", both, "192.0.2.9", 1), 0);
    assert_int_equal(FIND(r, "OPTIONS", "sip:123@a.example", both, "192.0.2.9", 1), -1);
    assert_int_equal(FIND(r, "INVITE", "sip:123@b.example", both, "192.0.2.9", 1), -1);
    assert_int_equal(FIND(r, "INVITE", "sip:1234@a.example", both, "192.0.2.9", 1), -1);
    assert_int_equal(FIND(r, "INVITE", "sip:423@a.example", both, "192.0.2.9", 1), -1);
    assert_int_equal(FIND(r, "INVITE", "sip:123@a.example", both, "192.0.3.9", 1), -1);
    assert_int_equal(FIND(r, "INVITE", "sip:123@a.example", both, "192.0.2.9", 0), -1);
    assert_int_equal(FIND(r, "INVITE", "sip:123@a.example", "X-Customer: gold\r\n", "192.0.2.9", 1), -1);
    assert_int_equal(
        FIND(r, "INVITE", "sip:123@a.example", "X-Customer: tin\r\nSubject: x\r\n", "192.0.2.9", 1), -1);
    assert_int_equal(FIND(r, "INVITE", "sip:123@a.example", NULL, "192.0.2.9", 1), -1);
    policy_routes_free(r);
}

static void ack_and_cancel_go_with_invite_and_register_must_be_named(void **state)
{
    const struct policy_route_opts routes[] = {
        {.name = S("register"),
         .match =
             {.methods = LIST(SLICE("REGISTER")), .n_methods = 1, .users = LIST(SLICE("x*")), .n_users = 1}},
        {.name = S("foo"), .match = {.methods = LIST(SLICE("FOO")), .n_methods = 1}},
        {.name = S("invite"), .match = {.methods = LIST(SLICE("INVITE")), .n_methods = 1}},
        {.name = S("bye"), .match = {.methods = LIST(SLICE("BYE")), .n_methods = 1}},
        {.name = S("rest")},
    };
    struct policy_routes *r = compile(routes, COUNT(routes));

    (void)state;
    assert_int_equal(FIND(r, .method = "ACK", .ruri = "sip:bob@example.com"), 2);
    assert_int_equal(FIND(r, .method = "CANCEL", .ruri = "sip:bob@example.com"), 2);
    assert_int_equal(FIND(r, .method = "BYE", .ruri = "sip:bob@example.com"), 3);
    assert_int_equal(FIND(r, .method = "FOO", .ruri = "sip:bob@example.com"), 1);
    assert_int_equal(FIND(r, .method = "BAR", .ruri = "sip:bob@example.com"), 4);
    assert_int_equal(FIND(r, .method = "REGISTER", .ruri = "sip:xy@example.com"), 0);
    assert_int_equal(FIND(r, .method = "REGISTER", .ruri = "sip:example.com"), -1);
    assert_int_equal(FIND(r, .method = "REGISTER", .ruri = "sip:elsewhere.example"), 4);
    policy_routes_free(r);
}

static void a_user_is_compared_decoded_and_within_bounds(void **state)
{
    const struct policy_route_opts routes[] = {
        {.name = S("plus"), .match = {.users = LIST(SLICE("+49*")), .n_users = 1}},
        {.name = S("exact"), .match = {.users = LIST(SLICE("a b")), .n_users = 1}},
    };
    struct policy_routes *r = compile(routes, COUNT(routes));
    char uri[1024] = "sip:+49";

    (void)state;
    assert_int_equal(FIND(r, .ruri = "sip:%2b%34%39@example.com"), 0);
    assert_int_equal(FIND(r, .ruri = "sip:a%20b;x=y@example.com"), 1);
    assert_int_equal(FIND(r, .ruri = "sip:a%20bc@example.com"), -1);
    memset(uri + 7, '1', 600);
    strcpy(uri + 607, "@example.com");
    assert_int_equal(FIND(r, .ruri = uri), 0);
    policy_routes_free(r);
}

static int new_with(const struct policy_route_opts *route)
{
    const struct policy_route_opts routes[] = {{.name = S("good")}, *route};
    const struct policy_routes_opts opts = {.routes = routes, .n_routes = 2, .proxy = &proxy};
    struct policy_routes *r = NULL;
    size_t failed = 999;
    int rc = policy_routes_new(&opts, &failed, &r);

    if (rc == 0)
        policy_routes_free(r);
    else
        assert_int_equal(failed, 1);
    return rc;
}

static void what_cannot_be_compiled(void **state)
{
    const struct policy_target_opts uri[] = {{SLICE("sip:gw.example"), 1000}},
                                    bad[] = {{SLICE("gw.example"), 1000}}, tel[] = {{SLICE("tel:+1"), 1000}},
                                    headers[] = {{SLICE("sip:a@b?x=y"), 1}};
    const struct policy_header_opts header[] = {{SLICE("X"), SLICE("[")}};

    (void)state;
    assert_int_equal(
        new_with(&(struct policy_route_opts){.action = POLICY_URI, .targets = uri, .n_targets = 1}), 0);
    assert_int_equal(
        new_with(&(struct policy_route_opts){.action = POLICY_URI, .targets = bad, .n_targets = 1}),
        ERR_SYNTAX);
    assert_int_equal(
        new_with(&(struct policy_route_opts){.action = POLICY_URI, .targets = tel, .n_targets = 1}),
        ERR_SYNTAX);
    assert_int_equal(
        new_with(&(struct policy_route_opts){.action = POLICY_REDIRECT, .targets = headers, .n_targets = 1}),
        ERR_SYNTAX);
    assert_int_equal(new_with(&(struct policy_route_opts){.action = POLICY_URI}), ERR_SYNTAX);
    assert_int_equal(
        new_with(&(struct policy_route_opts){.action = POLICY_URI, .targets = uri, .n_targets = 65}),
        ERR_LIMIT);
    assert_int_equal(new_with(&(struct policy_route_opts){.action = POLICY_REJECT, .status = 302}),
                     ERR_RANGE);
    assert_int_equal(new_with(&(struct policy_route_opts){.action = POLICY_REJECT, .status = 700}),
                     ERR_RANGE);
    assert_int_equal(new_with(&(struct policy_route_opts){.action = POLICY_GROUP, .group = S("none")}),
                     ERR_NOTFOUND);
    assert_int_equal(
        new_with(&(struct policy_route_opts){.match = {.users = LIST(SLICE("[")), .n_users = 1}}),
        ERR_SYNTAX);
    assert_int_equal(new_with(&(struct policy_route_opts){.match = {.headers = header, .n_headers = 1}}),
                     ERR_SYNTAX);
    assert_int_equal(
        new_with(&(struct policy_route_opts){.match = {.listeners = LIST(SLICE("in")), .n_listeners = 1}}),
        ERR_NOTFOUND);
}

static void without_memory_nothing_is_left_behind(void **state)
{
    const struct policy_target_opts uri[] = {{SLICE("sip:gw.example"), 1000}};
    const struct policy_route_opts routes[] = {
        {.name = S("a"),
         .match = {.users = LIST(SLICE("1*")), .n_users = 1},
         .action = POLICY_URI,
         .targets = uri,
         .n_targets = 1},
        {.name = S("b"),
         .match = {.domains = LIST(SLICE("x")), .n_domains = 1},
         .action = POLICY_REJECT,
         .status = 403},
    };
    const struct policy_routes_opts opts = {.routes = routes, .n_routes = 2, .proxy = &proxy};
    int64_t before = mem_held_bytes();
    int rc = ERR_NOMEM;

    (void)state;
    for (int64_t successes = 0; rc == ERR_NOMEM; successes++) {
        struct policy_routes *r = NULL;
        size_t failed;

        mem_fail_after(successes);
        rc = policy_routes_new(&opts, &failed, &r);
        mem_fail_after(-1);
        if (rc == 0)
            policy_routes_free(r);
        assert_int_equal(mem_held_bytes(), before);
    }
    assert_int_equal(rc, 0);
}

/* A thousand routes as a carrier has them: by prefix, some by domain and source. The index must find the same
 * as looking at one after the other, and the figure is printed. */
static void a_thousand_routes(void **state)
{
    static struct policy_route_opts routes[POLICY_ROUTES_MAX];
    static struct slice users[POLICY_ROUTES_MAX];
    static char texts[POLICY_ROUTES_MAX][16];
    struct policy_routes *r;
    struct timespec from, to;
    struct sip_hop hop = {.addr = {.family = ADDR_IPV4, .ip = {192, 0, 2, 9}}};
    struct sip_msg msg = {.method = SIP_METHOD_INVITE};
    struct policy_request q = {.msg = &msg, .from = &hop, .domain = &domains[0]};
    struct sip_uri ruri;
    const int rounds = 200000;
    long found = 0;

    (void)state;
    for (int i = 0; i < POLICY_ROUTES_MAX; i++) {
        snprintf(texts[i], sizeof(texts[i]), "+%d*", 1000 + i * 7);
        users[i] = S(texts[i]);
        routes[i] = (struct policy_route_opts){.name = S("r"), .match = {.users = &users[i], .n_users = 1}};
    }
    r = compile(routes, POLICY_ROUTES_MAX);
    for (int i = 0; i < POLICY_ROUTES_MAX; i += 37) {
        char uri[64];

        snprintf(uri, sizeof(uri), "sip:%.*s55@example.com", (int)users[i].len - 1, users[i].ptr);
        assert_int_equal(FIND(r, .ruri = uri), i);
    }
    assert_int_equal(FIND(r, .ruri = "sip:+1001@example.com"), -1);
    assert_int_equal(sip_uri_parse(S("sip:+7993123456@example.com"), &ruri), 0);
    q.ruri = &ruri;
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (int i = 0; i < rounds; i++)
        found += policy_routes_find(r, &q);
    clock_gettime(CLOCK_MONOTONIC, &to);
    assert_int_equal(found, 999L * rounds);
    printf("1000 routes, the last one taken: %.0f ns\n",
           ((double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec)) / rounds);
    policy_routes_free(r);
}

static int setup(void **state)
{
    (void)state;
    arena_pool_init(&pool, 1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_pool_done(&pool);
    return mem_held_bytes() == 0 ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_route_that_matches_is_taken),
        cmocka_unit_test(every_condition_must_hold),
        cmocka_unit_test(ack_and_cancel_go_with_invite_and_register_must_be_named),
        cmocka_unit_test(a_user_is_compared_decoded_and_within_bounds),
        cmocka_unit_test(what_cannot_be_compiled),
        cmocka_unit_test(without_memory_nothing_is_left_behind),
        cmocka_unit_test(a_thousand_routes),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
