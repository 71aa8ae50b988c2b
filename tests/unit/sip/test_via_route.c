#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sip/via_route.h"

struct fixture {
    struct arena_pool pool;
    struct arena arena;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    arena_pool_init(&f->pool, 64 * 1024);
    arena_init(&f->arena, &f->pool);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    arena_done(&f->arena);
    arena_pool_done(&f->pool);
    free(f);
    return 0;
}

static struct sip_via via_of(const char *text)
{
    struct sip_via via;

    assert_int_equal(sip_via_parse(slice_from_cstr(text), &via), 0);
    return via;
}

static struct addr addr_of(const char *text)
{
    struct addr addr;

    assert_int_equal(addr_parse(slice_from_cstr(text), &addr), 0);
    return addr;
}

struct tag_case {
    const char *via, *source, *expected;
};

static void tag_follows_18_2_1_and_rfc3581(void **state)
{
    static const struct tag_case cases[] = {
        /* 18.2.1: the same address: nothing is added. */
        {"SIP/2.0/UDP 192.0.2.4;branch=z9hG4bKx", "192.0.2.4:5060", "SIP/2.0/UDP 192.0.2.4;branch=z9hG4bKx"},
        {"SIP/2.0/UDP 192.0.2.4:5080;branch=z9hG4bKx", "192.0.2.4:9",
         "SIP/2.0/UDP 192.0.2.4:5080;branch=z9hG4bKx"},
        {"SIP/2.0/UDP [2001:DB8:0::9]:5060", "[2001:db8::9]:5060", "SIP/2.0/UDP [2001:DB8:0::9]:5060"},
        /* A domain name, or another address. */
        {"SIP/2.0/UDP bobspc.biloxi.com:5060", "192.0.2.4:5060",
         "SIP/2.0/UDP bobspc.biloxi.com:5060;received=192.0.2.4"},
        {"SIP/2.0/TCP 10.0.0.1;branch=z9hG4bKx", "192.0.2.4:5060",
         "SIP/2.0/TCP 10.0.0.1;branch=z9hG4bKx;received=192.0.2.4"},
        {"SIP/2.0/UDP [2001:db8::9]", "[2001:db8::10]:5060",
         "SIP/2.0/UDP [2001:db8::9];received=2001:db8::10"},
        /* RFC 3581 section 4: rport brings received always, over any transport. */
        {"SIP/2.0/UDP 10.1.1.1:4540;rport;branch=z9hG4bKkjshdyff", "192.0.2.1:9988",
         "SIP/2.0/UDP 10.1.1.1:4540;rport=9988;branch=z9hG4bKkjshdyff;received=192.0.2.1"},
        {"SIP/2.0/UDP 192.0.2.4:5060;rport", "192.0.2.4:5060",
         "SIP/2.0/UDP 192.0.2.4:5060;rport=5060;received=192.0.2.4"},
        {"SIP/2.0/TCP 192.0.2.4:5060;branch=z9hG4bKx;rport", "192.0.2.4:40000",
         "SIP/2.0/TCP 192.0.2.4:5060;branch=z9hG4bKx;rport=40000;received=192.0.2.4"},
        /* What the client wrote itself is replaced. */
        {"SIP/2.0/UDP 192.0.2.4;rport=7;branch=z9hG4bKx", "192.0.2.4:5060",
         "SIP/2.0/UDP 192.0.2.4;rport=5060;branch=z9hG4bKx;received=192.0.2.4"},
        {"SIP/2.0/UDP 192.0.2.4;received=198.51.100.1;branch=z9hG4bKx", "192.0.2.4:5060",
         "SIP/2.0/UDP 192.0.2.4;received=192.0.2.4;branch=z9hG4bKx"},
        {"SIP/2.0/UDP 192.0.2.4;received=198.51.100.1;x=y;rport;branch=z9hG4bKx", "192.0.2.4:5060",
         "SIP/2.0/UDP 192.0.2.4;received=192.0.2.4;x=y;rport=5060;branch=z9hG4bKx"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture *f = *state;
        struct sip_via via = via_of(cases[i].via);
        struct addr source = addr_of(cases[i].source);
        struct slice text;
        char got[256];

        assert_int_equal(sip_via_route_tag(&via, &source, &f->arena, &text), 0);
        memcpy(got, text.ptr, text.len);
        got[text.len] = 0;
        assert_string_equal(got, cases[i].expected);
    }
}

static void tag_takes_no_memory_when_nothing_changes(void **state)
{
    struct sip_via via = via_of("SIP/2.0/UDP 192.0.2.4;branch=z9hG4bKx");
    struct addr source = addr_of("192.0.2.4:5060");
    struct slice text;

    (void)state;
    assert_int_equal(sip_via_route_tag(&via, &source, NULL, &text), 0);
    assert_ptr_equal(text.ptr, via.text.ptr);
}

static void tag_reports_a_full_arena_and_leaves_its_result(void **state)
{
    struct sip_via via = via_of("SIP/2.0/UDP host;branch=z9hG4bKx");
    struct addr source = addr_of("192.0.2.4:5060");
    struct slice text = SLICE("before");
    struct arena_pool pool;
    struct arena full;

    (void)state;
    arena_pool_init(&pool, 0);
    arena_init(&full, &pool);
    assert_int_equal(sip_via_route_tag(&via, &source, &full, &text), ERR_NOMEM);
    assert_true(slice_eq(text, SLICE("before")));
}

/* Tagging what has been tagged by the same rules changes nothing: a retransmission looks the same. */
static void tag_is_idempotent(void **state)
{
    struct fixture *f = *state;
    struct sip_via via = via_of("SIP/2.0/UDP host:5070;rport;branch=z9hG4bKx");
    struct addr source = addr_of("192.0.2.4:1234");
    struct slice once, twice;

    assert_int_equal(sip_via_route_tag(&via, &source, &f->arena, &once), 0);
    assert_int_equal(sip_via_parse(once, &via), 0);
    assert_int_equal(sip_via_route_tag(&via, &source, &f->arena, &twice), 0);
    assert_true(slice_eq(once, twice));
}

struct reply_case {
    const char *via;
    uint8_t transport;
    const char *source, *expected;
    bool keeps_flow;
};

static void reply_goes_where_18_2_2_says(void **state)
{
    static const struct reply_case cases[] = {
        /* Reliable: the connection; a new one goes to the port of sent-by. */
        {"SIP/2.0/TCP host;branch=z9hG4bKx", SIP_TRANSPORT_TCP, "192.0.2.4:40000", "192.0.2.4:5060", true},
        {"SIP/2.0/TCP host:5070;rport", SIP_TRANSPORT_TCP, "192.0.2.4:40000", "192.0.2.4:5070", true},
        {"SIP/2.0/TCP host;maddr=198.51.100.7", SIP_TRANSPORT_TCP, "192.0.2.4:40000", "192.0.2.4:5060", true},
        {"SIP/2.0/TLS host", SIP_TRANSPORT_TLS, "192.0.2.4:40000", "192.0.2.4:5061", true},
        /* The transport that counts is the one it came by. */
        {"SIP/2.0/UDP host:5070", SIP_TRANSPORT_TCP, "192.0.2.4:40000", "192.0.2.4:5070", true},
        /* maddr, unless it is no place to send to. */
        {"SIP/2.0/UDP host;maddr=198.51.100.7", SIP_TRANSPORT_UDP, "192.0.2.4:9", "198.51.100.7:5060", false},
        {"SIP/2.0/UDP host:5070;maddr=198.51.100.7;rport", SIP_TRANSPORT_UDP, "192.0.2.4:9",
         "198.51.100.7:5070", false},
        {"SIP/2.0/UDP host:5070;maddr=224.0.1.75", SIP_TRANSPORT_UDP, "192.0.2.4:9", "192.0.2.4:5070", false},
        {"SIP/2.0/UDP host:5070;maddr=elsewhere", SIP_TRANSPORT_UDP, "192.0.2.4:9", "192.0.2.4:5070", false},
        /* RFC 3581. */
        {"SIP/2.0/UDP 10.1.1.1:4540;rport", SIP_TRANSPORT_UDP, "192.0.2.1:9988", "192.0.2.1:9988", false},
        /* Source address, port of sent-by. */
        {"SIP/2.0/UDP 10.1.1.1:4540", SIP_TRANSPORT_UDP, "192.0.2.1:9988", "192.0.2.1:4540", false},
        {"SIP/2.0/UDP 192.0.2.1", SIP_TRANSPORT_UDP, "192.0.2.1:9988", "192.0.2.1:5060", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sip_via via = via_of(cases[i].via);
        struct addr expected = addr_of(cases[i].expected);
        struct sip_hop from = {
            .addr = addr_of(cases[i].source), .flow = 77, .listener = 3, .transport = cases[i].transport};
        struct sip_hop hop;

        if (cases[i].transport == SIP_TRANSPORT_UDP)
            from.flow = SIP_FLOW_NONE;
        sip_via_route_reply(&via, &from, &hop);
        if (!addr_eq(&hop.addr, &expected))
            fail_msg("case %zu: %s", i, cases[i].via);
        assert_int_equal(hop.flow, cases[i].keeps_flow ? 77 : SIP_FLOW_NONE);
        assert_int_equal(hop.listener, 3);
        assert_int_equal(hop.transport, cases[i].transport);
    }
}

struct response_case {
    const char *via;
    int rc;
    const char *expected;
};

static void response_goes_by_the_via_alone(void **state)
{
    static const struct response_case cases[] = {
        {"SIP/2.0/UDP 10.1.1.1:4540;received=192.0.2.1;rport=9988;branch=z9hG4bKkjshdyff", 0,
         "192.0.2.1:9988"},
        {"SIP/2.0/UDP 10.1.1.1:4540;received=192.0.2.1", 0, "192.0.2.1:4540"},
        {"SIP/2.0/UDP 10.1.1.1:4540;rport", 0, "10.1.1.1:4540"},
        {"SIP/2.0/UDP 10.1.1.1:4540;rport=9988", 0, "10.1.1.1:4540"},
        {"SIP/2.0/UDP 10.1.1.1", 0, "10.1.1.1:5060"},
        {"SIP/2.0/UDP [2001:db8::9]:5070", 0, "[2001:db8::9]:5070"},
        {"SIP/2.0/UDP host;received=2001:db8::9", 0, "[2001:db8::9]:5060"},
        {"SIP/2.0/UDP host:5070;received=192.0.2.1;maddr=198.51.100.7", 0, "198.51.100.7:5070"},
        {"SIP/2.0/TCP host;received=192.0.2.1;rport=9988", 0, "192.0.2.1:5060"},
        {"SIP/2.0/TLS 192.0.2.1", 0, "192.0.2.1:5061"},
        {"SIP/2.0/UDP host:5070", ERR_NOTFOUND, NULL},
        {"SIP/2.0/UDP host;received=nowhere", ERR_NOTFOUND, NULL},
        {"SIP/2.0/FOO 192.0.2.1", ERR_UNSUPPORTED, NULL},
        {"SIP/2.0/UDP 224.0.1.75", ERR_DENIED, NULL},
        {"SIP/2.0/UDP 192.0.2.1;received=255.255.255.255", ERR_DENIED, NULL},
        {"SIP/2.0/UDP 0.0.0.0", ERR_DENIED, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sip_via via = via_of(cases[i].via);
        struct sip_hop hop = {.listener = 9};
        int rc = sip_via_route_response(&via, &hop);

        if (rc != cases[i].rc)
            fail_msg("case %zu: %s gives %d", i, cases[i].via, rc);
        if (rc == 0) {
            struct addr expected = addr_of(cases[i].expected);
            if (!addr_eq(&hop.addr, &expected))
                fail_msg("case %zu: %s", i, cases[i].via);
            assert_int_equal(hop.transport, via.transport);
            assert_int_equal(hop.flow, SIP_FLOW_NONE);
        } else {
            assert_int_equal(hop.listener, 9);
        }
    }
}

/* A request and its response agree: what is tagged on the way in leads back by the Via alone. */
static void tag_and_response_agree_with_reply(void **state)
{
    static const char *const vias[] = {"SIP/2.0/UDP 10.1.1.1:4540;rport", "SIP/2.0/UDP 10.1.1.1:4540",
                                       "SIP/2.0/UDP host", "SIP/2.0/UDP 192.0.2.1:7;maddr=198.51.100.7"};

    for (size_t i = 0; i < sizeof(vias) / sizeof(vias[0]); i++) {
        struct fixture *f = *state;
        struct sip_hop from = {.addr = addr_of("192.0.2.1:9988"), .transport = SIP_TRANSPORT_UDP}, reply,
                       response;
        struct sip_via via = via_of(vias[i]), tagged;
        struct slice text;

        sip_via_route_reply(&via, &from, &reply);
        assert_int_equal(sip_via_route_tag(&via, &from.addr, &f->arena, &text), 0);
        assert_int_equal(sip_via_parse(text, &tagged), 0);
        assert_int_equal(sip_via_route_response(&tagged, &response), 0);
        assert_true(addr_eq(&reply.addr, &response.addr));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tag_follows_18_2_1_and_rfc3581),
        cmocka_unit_test(tag_takes_no_memory_when_nothing_changes),
        cmocka_unit_test(tag_reports_a_full_arena_and_leaves_its_result),
        cmocka_unit_test(tag_is_idempotent),
        cmocka_unit_test(reply_goes_where_18_2_2_says),
        cmocka_unit_test(response_goes_by_the_via_alone),
        cmocka_unit_test(tag_and_response_agree_with_reply),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
