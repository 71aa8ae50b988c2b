#include "world.h"

#include "proxy/branch_id.h"

static const struct hash_key secret = {7, 8};

struct parsed {
    struct arena_pool pool;
    struct arena arena;
    struct sip_msg msg;
    char text[WORLD_TEXT_MAX];
};

static void parse(struct parsed *p, const struct call *call)
{
    struct sip_error error;

    arena_pool_init(&p->pool, 1 << 20);
    arena_init(&p->arena, &p->pool);
    strcpy(p->text, request_text(call));
    assert_int_equal(
        sip_msg_parse(slice_from_cstr(p->text), true, &sip_limits_default, &p->arena, &p->msg, &error), 0);
}

static void done(struct parsed *p)
{
    arena_done(&p->arena);
    arena_pool_done(&p->pool);
}

static uint64_t loop_hash(const struct call *call, uint16_t listener, bool is_stateless)
{
    struct parsed p;
    uint64_t hash;

    parse(&p, call);
    hash = proxy_branch_loop_hash(&secret, &p.msg, p.msg.ruri, listener, is_stateless);
    done(&p);
    return hash;
}

static uint64_t unique(const struct call *call)
{
    struct parsed p;
    uint64_t value = 0;

    parse(&p, call);
    assert_int_equal(proxy_branch_stateless_unique(&secret, &p.msg, &value), 0);
    done(&p);
    return value;
}

static void text_and_fields_are_inverse(void **state)
{
    static const struct proxy_branch_id ids[] = {{false, 0, 0, 0},
                                                 {true, PROXY_WORKER_ANY, UINT64_MAX, 1},
                                                 {false, 0x2a, 0x0123456789abcdef, 0xfedcba9876543210}};
    char text[PROXY_BRANCH_BYTES];

    (void)state;
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        struct slice branch = proxy_branch_id_format(&ids[i], text);
        struct proxy_branch_id id;

        assert_true(txn_branch_is_rfc3261(branch));
        assert_true(proxy_branch_id_parse(branch, &id));
        assert_int_equal(id.is_stateless, ids[i].is_stateless);
        assert_int_equal(id.worker, ids[i].worker);
        assert_true(id.unique == ids[i].unique && id.loop == ids[i].loop);
    }
    assert_true(slice_eq(proxy_branch_id_format(&ids[2], text),
                         SLICE("z9hG4bKvd2a-0123456789abcdef-fedcba9876543210")));
}

/* Section 7.3.1: unless said otherwise, parameter values compare without case; somebody may have changed it. */
static void worker_is_read_from_the_text_alone(void **state)
{
    (void)state;
    assert_int_equal(proxy_branch_worker(SLICE("z9hG4bKvd2a-0123456789abcdef-fedcba9876543210")), 0x2a);
    assert_int_equal(proxy_branch_worker(SLICE("Z9HG4BKVD2A-0123456789ABCDEF-FEDCBA9876543210")), 0x2a);
    assert_int_equal(proxy_branch_worker(SLICE("z9hG4bKvsff-0123456789abcdef-fedcba9876543210")), -1);
    assert_int_equal(proxy_branch_worker(SLICE("z9hG4bKvx2a-0123456789abcdef-fedcba9876543210")), -1);
    assert_int_equal(proxy_branch_worker(SLICE("z9hG4bKvd2a-0123456789abcdef-fedcba987654321")), -1);
    assert_int_equal(proxy_branch_worker(SLICE("z9hG4bKvd2a-0123456789abcdef+fedcba9876543210")), -1);
    assert_int_equal(proxy_branch_worker(SLICE("z9hG4bKsomebody-elses")), -1);
    assert_int_equal(proxy_branch_worker(SLICE_NULL), -1);
}

static const struct call base = {.method = "INVITE", .ruri = "sip:bob@example.com"};

/* RFC 5393 section 4.2.1: "This second part MUST vary with any field used by the location service logic". */
static void loop_hash_varies_with_all_that_routing_depends_on(void **state)
{
    static const struct call others[] = {
        {.method = "INVITE", .ruri = "sip:carol@example.com"},
        {.method = "INVITE", .ruri = "sip:bob@example.com", .extra = "Route: <sip:192.0.2.9;lr>\r\n"},
        {.method = "INVITE", .ruri = "sip:bob@example.com", .extra = "Proxy-Require: foo\r\n"},
        {.method = "INVITE", .ruri = "sip:bob@example.com", .extra = "Proxy-Authorization: Digest a=b\r\n"},
        {.method = "INVITE", .ruri = "sip:bob@example.com", .call_id = "other"},
        {.method = "INVITE", .ruri = "sip:bob@example.com", .from_tag = "other"},
        {.method = "INVITE", .ruri = "sip:bob@example.com", .cseq = 2},
    };
    uint64_t hash = loop_hash(&base, 0, false);

    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_true(loop_hash(&others[i], 0, false) != hash);
    assert_true(loop_hash(&(struct call){.method = "INVITE",
                                         .ruri = "sip:bob@example.com",
                                         .extra = "Route: <sip:192.0.2.8;lr>\r\n"},
                          0, false) != loop_hash(&others[1], 0, false));
    /* A maddr is judged by where the request came in (section 16.4). */
    assert_true(loop_hash(&base, 1, false) != hash);
}

/* "This second part MUST NOT vary with the request method. CANCEL and non-200 ACK requests MUST have the same
 * branch parameter value"; nor with what changes on the way round. */
static void loop_hash_is_that_of_cancel_and_ack_and_of_the_next_round(void **state)
{
    uint64_t hash = loop_hash(&base, 0, false);

    (void)state;
    assert_true(loop_hash(&(struct call){.method = "CANCEL", .ruri = "sip:bob@example.com"}, 0, false) ==
                hash);
    assert_true(loop_hash(&(struct call){.method = "ACK",
                                         .ruri = "sip:bob@example.com",
                                         .to = "<sip:bob@example.com>;tag=b1"},
                          0, false) == hash);
    assert_true(
        loop_hash(&(struct call){.method = "INVITE",
                                 .ruri = "sip:bob@example.com",
                                 .branch = "z9hG4bKother",
                                 .extra = "Via: SIP/2.0/UDP 192.0.2.9\r\nRecord-Route: <sip:a;lr>\r\n"},
                  0, false) == hash);
}

static void stateless_loop_hash_leaves_out_what_a_cancel_need_not_repeat(void **state)
{
    static const struct call with = {
        .method = "INVITE", .ruri = "sip:bob@example.com", .extra = "Proxy-Authorization: Digest a=b\r\n"};

    (void)state;
    assert_true(loop_hash(&with, 0, true) == loop_hash(&base, 0, true));
}

/* Section 16.11: "The proxy examines the branch ID in the topmost Via header field of the received request." */
static void stateless_unique_part_is_a_function_of_the_branch_and_its_maker(void **state)
{
    uint64_t value = unique(&base);

    (void)state;
    assert_true(unique(&base) == value);
    assert_true(unique(&(struct call){.method = "CANCEL", .ruri = "sip:bob@example.com"}) == value);
    assert_true(unique(&(struct call){
                    .method = "INVITE", .ruri = "sip:bob@example.com", .branch = "z9hG4bKalice2"}) != value);
    assert_true(unique(&(struct call){.method = "INVITE",
                                      .ruri = "sip:bob@example.com",
                                      .via = "SIP/2.0/UDP 192.0.2.11:5060"}) != value);
}

static void stateless_unique_part_of_an_rfc2543_client_uses_the_other_fields(void **state)
{
    static const struct call old = {.method = "INVITE", .ruri = "sip:bob@example.com", .branch = "1"};
    static const struct call others[] = {
        {.method = "INVITE", .ruri = "sip:carol@example.com", .branch = "1"},
        {.method = "INVITE", .ruri = "sip:bob@example.com", .branch = "1", .call_id = "other"},
        {.method = "INVITE", .ruri = "sip:bob@example.com", .branch = "1", .from_tag = "other"},
        {.method = "INVITE", .ruri = "sip:bob@example.com", .branch = "1", .cseq = 2},
        {.method = "INVITE", .ruri = "sip:bob@example.com", .branch = "2"},
    };
    uint64_t value = unique(&old);

    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_true(unique(&others[i]) != value);
    /* Not with the method, nor with the To tag that an ACK has and its INVITE has not. */
    assert_true(unique(&(struct call){.method = "ACK",
                                      .ruri = "sip:bob@example.com",
                                      .branch = "1",
                                      .to = "<sip:bob@example.com>;tag=b1"}) == value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_and_fields_are_inverse),
        cmocka_unit_test(worker_is_read_from_the_text_alone),
        cmocka_unit_test(loop_hash_varies_with_all_that_routing_depends_on),
        cmocka_unit_test(loop_hash_is_that_of_cancel_and_ack_and_of_the_next_round),
        cmocka_unit_test(stateless_loop_hash_leaves_out_what_a_cancel_need_not_repeat),
        cmocka_unit_test(stateless_unique_part_is_a_function_of_the_branch_and_its_maker),
        cmocka_unit_test(stateless_unique_part_of_an_rfc2543_client_uses_the_other_fields),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
