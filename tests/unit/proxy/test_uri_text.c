#include "world.h"

typedef struct slice rewrite_fn(const struct sip_uri *uri, struct arena *arena);

static void assert_rewritten(rewrite_fn *rewrite, const char *text, const char *expected)
{
    struct arena_pool pool;
    struct arena arena;
    struct sip_uri uri;
    struct slice got;

    arena_pool_init(&pool, 65536);
    arena_init(&arena, &pool);
    assert_int_equal(sip_uri_parse(slice_from_cstr(text), &uri), 0);
    got = rewrite(&uri, &arena);
    if (!slice_eq(got, slice_from_cstr(expected)))
        fail_msg("%s became %.*s", text, SLICE_ARG(got));
    arena_done(&arena);
    arena_pool_done(&pool);
}

/* Section 19.1.5: "The method parameter MUST NOT be placed in the Request-URI. Unknown URI parameters MUST be
 * placed in the message's Request-URI." */
static void for_request_leaves_out_method_and_headers(void **state)
{
    (void)state;
    assert_rewritten(proxy_uri_for_request, "sip:a:b@h:5;x;lr;maddr=m;ttl=1;user=phone;transport=udp",
                     "sip:a:b@h:5;x;lr;maddr=m;ttl=1;user=phone;transport=udp");
    assert_rewritten(proxy_uri_for_request, "sip:a@h:05060;x;METHOD=INVITE;y=z?a=b", "sip:a@h:5060;x;y=z");
    assert_rewritten(proxy_uri_for_request, "sips:[2001:db8::1];method=BYE", "sips:[2001:db8::1]");
    assert_rewritten(proxy_uri_for_request, "sip:h?a=b&c=d", "sip:h");
    /* Section 19.1.4: an escape changes nothing. */
    assert_rewritten(proxy_uri_for_request, "sip:a@h;m%65thod=BYE;x%65=y", "sip:a@h;x%65=y");
}

/* Section 16.4: "strip the maddr and any non-default port or transport parameter". */
static void without_maddr_keeps_what_is_default(void **state)
{
    (void)state;
    assert_rewritten(proxy_uri_without_maddr, "sip:a@h;maddr=m", "sip:a@h");
    assert_rewritten(proxy_uri_without_maddr, "sip:a@h:5060;x=y;maddr=m;transport=UDP",
                     "sip:a@h:5060;x=y;transport=UDP");
    assert_rewritten(proxy_uri_without_maddr, "sip:a@h:5070;Maddr=m;transport=tcp;z", "sip:a@h;z");
    assert_rewritten(proxy_uri_without_maddr, "sip:a@h;%6daddr=m;tr%61nsport=%75dp;x",
                     "sip:a@h;tr%61nsport=%75dp;x");
    assert_rewritten(proxy_uri_without_maddr, "sips:a@h:5061;maddr=m;transport=tcp",
                     "sips:a@h:5061;transport=tcp");
    assert_rewritten(proxy_uri_without_maddr, "sips:a@h:5060;maddr=m;transport=ws;x", "sips:a@h;x");
}

static void the_text_itself_is_given_back_when_nothing_changes(void **state)
{
    struct sip_uri uri;

    (void)state;
    assert_int_equal(sip_uri_parse(SLICE("sip:a@h;x=y"), &uri), 0);
    assert_ptr_equal(proxy_uri_for_request(&uri, NULL).ptr, uri.text.ptr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(for_request_leaves_out_method_and_headers),
        cmocka_unit_test(without_maddr_keeps_what_is_default),
        cmocka_unit_test(the_text_itself_is_given_back_when_nothing_changes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
