/* Flow tokens: RFC 5626 sections 5.2 and 5.3. */
#include "world.h"

#include "proxy/flow.h"

static const struct proxy_listener listeners[] = {
    {.transport = SIP_TRANSPORT_UDP, .addr = {.family = ADDR_IPV4, .ip = {192, 0, 2, 1}, .port = 5060}},
    {.transport = SIP_TRANSPORT_TCP, .addr = {.family = ADDR_IPV4, .ip = {192, 0, 2, 1}, .port = 5060}},
    {.transport = SIP_TRANSPORT_TCP, .addr = {.family = ADDR_IPV6, .ip = {0x20, 1}, .port = 5060}},
};
static const struct proxy_opts options = {.listeners = listeners, .n_listeners = 3, .secret = {7, 8}};
static const struct sip_hop flows[] = {
    {.addr = {.family = ADDR_IPV4, .ip = {192, 0, 2, 70}, .port = 33333}, .transport = SIP_TRANSPORT_UDP},
    {.addr = {.family = ADDR_IPV4, .ip = {192, 0, 2, 70}, .port = 33333},
     .transport = SIP_TRANSPORT_TCP,
     .listener = 1,
     .flow = 0x0100000700000009},
    {.addr = {.family = ADDR_IPV6, .ip = {0x20, 1, 5}, .port = 33333},
     .transport = SIP_TRANSPORT_TCP,
     .listener = 2,
     .flow = 0xff00000700000009},
};
#define N_FLOWS (sizeof(flows) / sizeof(flows[0]))

struct message {
    struct arena_pool pool;
    struct arena arena;
    struct sip_msg msg;
    char text[512];
};

static struct sip_msg *message_of(struct message *m, const char *call_id, const char *from_tag,
                                  const char *to_tag)
{
    struct sip_error error;

    snprintf(m->text, sizeof(m->text),
             "BYE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=%s\r\nTo: "
             "<sip:c@d>;tag=%s\r\n"
             "Call-ID: %s\r\nCSeq: 1 BYE\r\n\r\n",
             from_tag, to_tag, call_id);
    arena_pool_init(&m->pool, 1 << 20);
    arena_init(&m->arena, &m->pool);
    assert_int_equal(
        sip_msg_parse(slice_from_cstr(m->text), true, &sip_limits_default, &m->arena, &m->msg, &error), 0);
    return &m->msg;
}

static void message_done(struct message *m)
{
    arena_done(&m->arena);
    arena_pool_done(&m->pool);
}

/* What a token made in the dialog "call" by the side with the tag "caller" says in another message. */
static enum proxy_flow_found read_in(enum proxy_flow_use use, const struct sip_hop *flow, const char *call_id,
                                     const char *from_tag, const char *to_tag, const struct sip_hop *from,
                                     struct proxy_flow *ret_flow)
{
    char text[PROXY_FLOW_TOKEN_BYTES_MAX];
    struct message made, got;
    struct slice token =
        proxy_flow_format(&options, use, flow, message_of(&made, "call", "caller", ""), text);
    enum proxy_flow_found found =
        proxy_flow_read(&options, token, message_of(&got, call_id, from_tag, to_tag), from, ret_flow);

    message_done(&made);
    message_done(&got);
    return found;
}

static void s5_2_the_flow_is_recovered_from_the_token(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_FLOWS; i++) {
        struct proxy_flow flow;

        assert_int_equal(read_in(PROXY_FLOW_PATH, &flows[i], "other", "x", "y", &flows[0], &flow),
                         PROXY_FLOW_FOUND);
        assert_true(addr_eq(&flow.hop.addr, &flows[i].addr));
        assert_int_equal(flow.hop.flow, flows[i].flow);
        assert_int_equal(flow.hop.listener, flows[i].listener);
        assert_int_equal(flow.hop.transport, flows[i].transport);
        assert_true(flow.hop.flow_only);
    }
}

static void s5_2_two_flows_have_two_tokens(void **state)
{
    char a[PROXY_FLOW_TOKEN_BYTES_MAX], b[PROXY_FLOW_TOKEN_BYTES_MAX];
    struct sip_hop another = flows[1];
    struct message m;
    struct sip_msg *msg = message_of(&m, "call", "caller", "");
    struct slice first = proxy_flow_format(&options, PROXY_FLOW_PATH, &flows[1], msg, a);

    (void)state;
    another.flow++;
    assert_false(slice_eq(first, proxy_flow_format(&options, PROXY_FLOW_PATH, &another, msg, b)));
    another = flows[1];
    another.addr.port++;
    assert_false(slice_eq(first, proxy_flow_format(&options, PROXY_FLOW_PATH, &another, msg, b)));
    message_done(&m);
}

static void s5_2_what_was_changed_is_forged(void **state)
{
    char text[PROXY_FLOW_TOKEN_BYTES_MAX];
    struct message m;
    struct sip_msg *msg = message_of(&m, "call", "caller", "");
    struct slice token = proxy_flow_format(&options, PROXY_FLOW_PATH, &flows[1], msg, text);
    struct proxy_opts others = options;
    struct proxy_flow flow;

    (void)state;
    for (size_t i = 0; i < token.len; i++) {
        char was = text[i];

        text[i] = was == '1' ? '2' : was == 'p' ? 'a' : '1';
        assert_int_not_equal(proxy_flow_read(&options, token, msg, &flows[0], &flow), PROXY_FLOW_FOUND);
        text[i] = was;
    }
    for (size_t len = 0; len < token.len; len++)
        assert_int_not_equal(proxy_flow_read(&options, slice_sub(token, 0, len), msg, &flows[0], &flow),
                             PROXY_FLOW_FOUND);
    others.secret.k0++;
    assert_int_equal(proxy_flow_read(&others, token, msg, &flows[0], &flow), PROXY_FLOW_FORGED);
    assert_int_equal(proxy_flow_read(&options, token, msg, &flows[0], &flow), PROXY_FLOW_FOUND);
    message_done(&m);
}

static void s5_3_a_token_of_a_path_is_incoming_unless_it_comes_over_its_flow(void **state)
{
    struct proxy_flow flow;

    (void)state;
    assert_int_equal(read_in(PROXY_FLOW_PATH, &flows[1], "x", "y", "z", &flows[1], &flow), PROXY_FLOW_FOUND);
    assert_false(flow.is_incoming);
    assert_int_equal(read_in(PROXY_FLOW_PATH, &flows[1], "x", "y", "z", &flows[0], &flow), PROXY_FLOW_FOUND);
    assert_true(flow.is_incoming);
}

static void s5_3_one_of_a_dialog_goes_by_its_tags(void **state)
{
    struct proxy_flow flow;

    (void)state;
    /* The callee's flow: what the caller sends goes there, whatever address it comes from; what the callee sends does not. */
    assert_int_equal(read_in(PROXY_FLOW_CALLEE, &flows[0], "call", "caller", "callee", &flows[0], &flow),
                     PROXY_FLOW_FOUND);
    assert_true(flow.is_incoming);
    assert_int_equal(read_in(PROXY_FLOW_CALLEE, &flows[0], "call", "callee", "caller", &flows[1], &flow),
                     PROXY_FLOW_FOUND);
    assert_false(flow.is_incoming);
    assert_int_equal(read_in(PROXY_FLOW_CALLER, &flows[0], "call", "callee", "caller", &flows[1], &flow),
                     PROXY_FLOW_FOUND);
    assert_true(flow.is_incoming);
    assert_int_equal(read_in(PROXY_FLOW_CALLER, &flows[0], "call", "caller", "callee", &flows[1], &flow),
                     PROXY_FLOW_FOUND);
    assert_false(flow.is_incoming);
}

/* RFC 3261 section 7.3.1: "Unless specified otherwise ... tokens are always case-insensitive." */
static void s7_3_1_tags_are_tokens_and_their_case_means_nothing(void **state)
{
    struct proxy_flow flow;

    (void)state;
    assert_int_equal(read_in(PROXY_FLOW_CALLEE, &flows[0], "call", "CALLER", "callee", &flows[1], &flow),
                     PROXY_FLOW_FOUND);
    assert_true(flow.is_incoming);
    assert_int_equal(read_in(PROXY_FLOW_CALLEE, &flows[0], "CALL", "caller", "callee", &flows[1], &flow),
                     PROXY_FLOW_FORGED); /* section 20.8: a Call-ID is compared octet by octet */
}

static void one_of_a_dialog_is_good_for_no_other(void **state)
{
    struct proxy_flow flow;

    (void)state;
    assert_int_equal(read_in(PROXY_FLOW_CALLEE, &flows[0], "another", "caller", "callee", &flows[1], &flow),
                     PROXY_FLOW_FORGED);
    assert_int_equal(read_in(PROXY_FLOW_CALLEE, &flows[0], "call", "x", "y", &flows[1], &flow),
                     PROXY_FLOW_FORGED);
}

static void a_listener_that_is_no_more_has_no_flows(void **state)
{
    char text[PROXY_FLOW_TOKEN_BYTES_MAX];
    struct proxy_opts fewer = options, turned = options;
    struct proxy_listener other_way[] = {listeners[2], listeners[1], listeners[0]};
    struct message m;
    struct sip_msg *msg = message_of(&m, "call", "caller", "");
    struct slice token = proxy_flow_format(&options, PROXY_FLOW_PATH, &flows[2], msg, text);
    struct proxy_flow flow;

    (void)state;
    fewer.n_listeners = 2;
    assert_int_equal(proxy_flow_read(&fewer, token, msg, &flows[0], &flow), PROXY_FLOW_GONE);
    turned.listeners = other_way;
    assert_int_equal(proxy_flow_read(&turned, token, msg, &flows[0], &flow), PROXY_FLOW_FOUND);
    assert_int_equal(flow.hop.listener, 0);
    message_done(&m);
}

static void other_users_are_no_tokens(void **state)
{
    static const char *const users[] = {"",
                                        "v",
                                        "vf",
                                        "vfp",
                                        "vfp-",
                                        "alice",
                                        "vfpalice-0123456789abcdef0123456789abcdef",
                                        "vfx010000000004c00002461234-00000000000000000000000000000000"};
    struct message m;
    struct sip_msg *msg = message_of(&m, "call", "caller", "");
    struct proxy_flow flow;

    (void)state;
    assert_int_equal(proxy_flow_read(&options, SLICE_NULL, msg, &flows[0], &flow), PROXY_FLOW_ABSENT);
    for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++)
        assert_int_equal(proxy_flow_read(&options, slice_from_cstr(users[i]), msg, &flows[0], &flow),
                         PROXY_FLOW_ABSENT);
    message_done(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(s5_2_the_flow_is_recovered_from_the_token),
        cmocka_unit_test(s5_2_two_flows_have_two_tokens),
        cmocka_unit_test(s5_2_what_was_changed_is_forged),
        cmocka_unit_test(s5_3_a_token_of_a_path_is_incoming_unless_it_comes_over_its_flow),
        cmocka_unit_test(s5_3_one_of_a_dialog_goes_by_its_tags),
        cmocka_unit_test(s7_3_1_tags_are_tokens_and_their_case_means_nothing),
        cmocka_unit_test(one_of_a_dialog_is_good_for_no_other),
        cmocka_unit_test(a_listener_that_is_no_more_has_no_flows),
        cmocka_unit_test(other_users_are_no_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
