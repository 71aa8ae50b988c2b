#include "world.h"

#include "proxy/token.h"

static const struct hash_key secret = {7, 8};

#define FLOW 0x0400000100000007u

static const uint64_t flows[] = {SIP_FLOW_NONE, FLOW};

static struct slice make(uint64_t flow, char out[PROXY_ROUTE_TOKEN_BYTES])
{
    const struct proxy_route_token token = {.worker = 3, .listener = 5, .flow = flow};

    return proxy_route_token_format(&secret, &token, SLICE("call"), SLICE("from"), out);
}

static void route_token_is_verified_by_the_from_tag_or_the_to_tag(void **state)
{
    char text[PROXY_ROUTE_TOKEN_BYTES];
    struct slice token = make(SIP_FLOW_NONE, text);
    struct proxy_route_token got;

    (void)state;
    assert_int_equal(token.len, 23);
    assert_true(proxy_route_token_verify(&secret, token, SLICE("call"), SLICE("from"), SLICE("x"), &got));
    assert_int_equal(got.worker, 3);
    assert_int_equal(got.listener, 5);
    assert_true(proxy_route_token_verify(&secret, token, SLICE("call"), SLICE("x"), SLICE("from"), &got));
    assert_false(proxy_route_token_verify(&secret, token, SLICE("call"), SLICE("x"), SLICE("y"), &got));
    assert_false(
        proxy_route_token_verify(&secret, token, SLICE("other"), SLICE("from"), SLICE("from"), &got));
    assert_false(proxy_route_token_verify(&(struct hash_key){7, 9}, token, SLICE("call"), SLICE("from"),
                                          SLICE("x"), &got));
}

static void route_token_carries_a_flow_rfc5626_section_5_3(void **state)
{
    char text[PROXY_ROUTE_TOKEN_BYTES];
    struct slice token = make(FLOW, text);
    struct proxy_route_token got;

    (void)state;
    assert_true(slice_starts_with(token, SLICE("vd0305-0400000100000007-")));
    assert_true(proxy_route_token_verify(&secret, token, SLICE("call"), SLICE("from"), SLICE("x"), &got));
    assert_int_equal(got.worker, 3);
    assert_int_equal(got.listener, 5);
    assert_true(got.flow == FLOW);
    token = make(SIP_FLOW_NONE, text);
    assert_true(proxy_route_token_parse(token, &got));
    assert_true(got.flow == SIP_FLOW_NONE);
}

/* No single octet can be changed: every one is checked, is signed, or is the signature. */
static void cannot_be_altered(uint64_t flow)
{
    char text[PROXY_ROUTE_TOKEN_BYTES];
    struct proxy_route_token got;
    size_t len = make(flow, text).len;

    for (size_t i = 0; i < len; i++) {
        struct slice token = make(flow, text);

        for (unsigned c = 1; c < 256; c++) {
            char was = text[i];

            if ((char)c == was || ((char)c | 0x20) == was)
                continue;
            text[i] = (char)c;
            assert_false(
                proxy_route_token_verify(&secret, token, SLICE("call"), SLICE("from"), SLICE("to"), &got));
            text[i] = was;
        }
    }
}

static void route_token_cannot_be_altered(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(flows) / sizeof(flows[0]); i++)
        cannot_be_altered(flows[i]);
}

static void route_token_has_one_form_only(void **state)
{
    static const char *const bad[] = {"",
                                      "vd",
                                      "vd0305",
                                      "vd0305-0123456789abcde",
                                      "vd0305-0123456789abcdef0",
                                      "vd030g-0123456789abcdef",
                                      "vd0305_0123456789abcdef",
                                      "xx0305-0123456789abcdef",
                                      "vd0305-0000000000000000-0123456789abcdef",
                                      "vd0305-040000010000000g-0123456789abcdef",
                                      "vd0305-0400000100000007_0123456789abcdef",
                                      "vd0305-0400000100000007-0123456789abcde",
                                      "vd0305-0400000100000007-0123456789abcdef0"};
    struct proxy_route_token got;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(proxy_route_token_parse(slice_from_cstr(bad[i]), &got));
    assert_true(proxy_route_token_parse(SLICE("vd0305-0123456789abcdef"), &got));
    assert_int_equal(proxy_branch_worker(SLICE("vd0305-0123456789abcdef")), 3);
    assert_int_equal(proxy_branch_worker(SLICE("vdff05-0123456789abcdef")), -1);
    assert_int_equal(proxy_branch_worker(SLICE("alice")), -1);
}

static void to_tag_depends_on_the_request_and_the_secret(void **state)
{
    char a[PROXY_TO_TAG_BYTES], b[PROXY_TO_TAG_BYTES];
    struct slice tag = proxy_to_tag_format(&secret, SLICE("call"), SLICE("from"), 1, a);

    (void)state;
    assert_true(slice_eq(tag, proxy_to_tag_format(&secret, SLICE("call"), SLICE("from"), 1, b)));
    assert_false(slice_eq(tag, proxy_to_tag_format(&secret, SLICE("call"), SLICE("from"), 2, b)));
    assert_false(slice_eq(tag, proxy_to_tag_format(&secret, SLICE("call"), SLICE("fron"), 1, b)));
    assert_false(slice_eq(tag, proxy_to_tag_format(&secret, SLICE("calm"), SLICE("from"), 1, b)));
    assert_false(slice_eq(tag, proxy_to_tag_format(&secret, SLICE("callf"), SLICE("rom"), 1, b)));
    assert_false(
        slice_eq(tag, proxy_to_tag_format(&(struct hash_key){7, 9}, SLICE("call"), SLICE("from"), 1, b)));
}

/* The mark is that of the key, so the same in all workers, and the rest depends on the request as it does in
 * other tags. */
static void the_tag_of_a_refusal_is_its_mark_and_what_depends_on_the_request(void **state)
{
    const char *token = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
    char mark[PROXY_REFUSAL_MARK_BYTES], other[PROXY_REFUSAL_MARK_BYTES], text[PROXY_TO_TAG_BYTES];
    char refusal_text[PROXY_REFUSAL_TAG_BYTES];
    struct slice to_tag = proxy_to_tag_format(&secret, SLICE("call"), SLICE("from"), 1, text), tag;

    (void)state;
    assert_int_equal(proxy_refusal_mark_format(&secret, mark).len, sizeof(mark));
    assert_true(slice_eq(proxy_refusal_mark_format(&secret, other), slice_make(mark, sizeof(mark))));
    for (size_t i = 0; i < sizeof(mark); i++)
        assert_non_null(memchr(token, mark[i], strlen(token)));
    assert_false(
        slice_eq(proxy_refusal_mark_format(&(struct hash_key){7, 9}, other), slice_make(mark, sizeof(mark))));
    tag = proxy_refusal_tag_format(mark, to_tag, refusal_text);
    assert_int_equal(tag.len, PROXY_REFUSAL_TAG_BYTES);
    assert_true(slice_starts_with(tag, slice_make(mark, sizeof(mark))));
    assert_true(slice_eq(slice_sub(tag, sizeof(mark), tag.len), slice_sub(to_tag, 2, to_tag.len)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(route_token_is_verified_by_the_from_tag_or_the_to_tag),
        cmocka_unit_test(route_token_carries_a_flow_rfc5626_section_5_3),
        cmocka_unit_test(route_token_cannot_be_altered),
        cmocka_unit_test(route_token_has_one_form_only),
        cmocka_unit_test(to_tag_depends_on_the_request_and_the_secret),
        cmocka_unit_test(the_tag_of_a_refusal_is_its_mark_and_what_depends_on_the_request),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
