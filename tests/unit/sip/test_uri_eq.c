#include "support.h"

#include "sip/uri.h"

static void expect_eq(const char *a, const char *b, bool expected)
{
    struct sip_uri x, y;
    if (sip_uri_parse(cstr(a), &x) < 0 || sip_uri_parse(cstr(b), &y) < 0)
        fail_msg("does not parse: %s or %s", a, b);
    if (sip_uri_eq(&x, &y) != expected || sip_uri_eq(&y, &x) != expected)
        fail_msg("%s and %s", a, b);
    assert_true(sip_uri_eq(&x, &x));
    assert_true(sip_uri_eq(&y, &y));
}

struct pair {
    const char *a, *b;
};

static const struct pair equal_in_the_rfc[] = {
    {"sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"},
    {"sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"},
    {"sip:carol@chicago.com", "sip:carol@chicago.com;security=on"},
    {"sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"},
    {"sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
     "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com"},
    {"sip:alice@atlanta.com?subject=project%20x&priority=urgent",
     "sip:alice@atlanta.com?priority=urgent&subject=project%20x"},
    /* "Note that equality is not transitive" */
    {"sip:carol@chicago.com", "sip:carol@chicago.com;security=off"},
};

static const struct pair different_in_the_rfc[] = {
    {"SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"},
    {"sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"},
    {"sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"},
    {"sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"},
    {"sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"},
    {"sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"},
    {"sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"},
};

static void the_examples_of_section_19_1_4(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(equal_in_the_rfc); i++)
        expect_eq(equal_in_the_rfc[i].a, equal_in_the_rfc[i].b, true);
    for (size_t i = 0; i < ROWS(different_in_the_rfc); i++)
        expect_eq(different_in_the_rfc[i].a, different_in_the_rfc[i].b, false);
}

static void sip_and_sips_are_never_equivalent(void **state)
{
    (void)state;
    expect_eq("sip:a@b", "sips:a@b", false);
    expect_eq("SIPS:a@b", "sips:a@b", true);
}

static void userinfo_is_case_sensitive_and_must_be_in_both(void **state)
{
    (void)state;
    expect_eq("sip:a@b", "sip:A@b", false);
    expect_eq("sip:a:x@b", "sip:a:X@b", false);
    expect_eq("sip:a@b", "sip:b", false);
    expect_eq("sip:a:x@b", "sip:a@b", false);
    expect_eq("sip:a:@b", "sip:a@b", false);
    expect_eq("sip:+358-555-1234567;postd=pp22@foo.com;user=phone",
              "sip:+358-555-1234567;POSTD=PP22@foo.com;user=phone", false); /* section 19.1.6 */
}

static void escapes_are_decoded_once_but_reserved_octets_stay_apart(void **state)
{
    (void)state;
    expect_eq("sip:%61@b", "sip:a@b", true);
    expect_eq("sip:%7e@b", "sip:~@b", true);
    expect_eq("sip:%7E@b", "sip:%7e@b", true);
    expect_eq("sip:%3b@b", "sip:%3B@b", true);
    expect_eq("sip:a%3Bc@b", "sip:a;c@b", false);
    expect_eq("sip:a%2Fc@b", "sip:a/c@b", false);
    expect_eq("sip:%2561@b", "sip:%61@b", false); /* RFC 4475 section 3.1.1.3 */
    expect_eq("sip:%2561@b", "sip:a@b", false);
    expect_eq("sip:%00@b", "sip:%00%00@b", false); /* RFC 4475 section 3.1.1.4 */
    expect_eq("sip:%41@b", "sip:%61@b", false);
    expect_eq("sip:b;p=%41", "sip:b;p=a", true);
    expect_eq("sip:b;%70=a", "sip:b;p=x", false);
    expect_eq("sip:a@b", "sip:ab@b", false);
}

static void hosts_compare_without_case_and_addresses_as_addresses(void **state)
{
    (void)state;
    expect_eq("sip:EXAMPLE.com", "sip:example.COM", true);
    expect_eq("sip:example.com.", "sip:example.com", false);
    expect_eq("sip:[2001:DB8:0::1]", "sip:[2001:db8::1]", true);
    expect_eq("sip:[2001:db8::2]", "sip:[2001:db8::1]", false);
    expect_eq("sip:[::ffff:192.0.2.1]", "sip:192.0.2.1", false);
    expect_eq("sip:192.0.2.1", "sip:192.0.2.2", false);
    expect_eq("sip:b:5060", "sip:b:05060", true);
}

static void some_parameters_must_be_in_both_and_the_rest_need_not(void **state)
{
    (void)state;
    static const char *const both[] = {"user=ip",       "ttl=1", "method=INVITE",    "maddr=192.0.2.1",
                                       "transport=udp", "TTL=1", "%6daddr=192.0.2.1"};
    static const char *const ignored[] = {"lr", "x", "x=y", "expires=5", "ob", "users=ip"};
    char text[64];
    for (size_t i = 0; i < ROWS(both); i++) {
        snprintf(text, sizeof(text), "sip:a@b;%s", both[i]);
        expect_eq("sip:a@b", text, false);
        expect_eq("sip:a@b;x=1", text, false);
        expect_eq(text, text, true);
    }
    for (size_t i = 0; i < ROWS(ignored); i++) {
        snprintf(text, sizeof(text), "sip:a@b;%s", ignored[i]);
        expect_eq("sip:a@b", text, true);
        expect_eq("sip:a@b;zzz=1", text, true);
    }
}

static void parameters_in_both_must_match_in_any_order(void **state)
{
    (void)state;
    expect_eq("sip:b;a=1;c=2", "sip:b;c=2;a=1", true);
    expect_eq("sip:b;a=1;c=2", "sip:b;c=1;a=1", false);
    expect_eq("sip:b;a=X", "sip:b;A=x", true);
    expect_eq("sip:b;lr", "sip:b;lr=on", false);
    expect_eq("sip:b;user=phone", "sip:b;USER=PHONE", true);
    expect_eq("sip:b;maddr=[::1]", "sip:b;maddr=[::2]", false);
    /* A name that occurs twice, although it must not. */
    expect_eq("sip:b;x=1;x=2", "sip:b;x=1", false);
    /* Method names have case: section 7.1. */
    expect_eq("sip:b;method=INVITE", "sip:b;method=invite", false);
}

static void header_components_are_never_ignored(void **state)
{
    (void)state;
    expect_eq("sip:b?a=1", "sip:b", false);
    expect_eq("sip:b?a=1", "sip:b?a=2", false);
    expect_eq("sip:b?a=1", "sip:b?a=1&c=2", false);
    expect_eq("sip:b?a=1&a=1", "sip:b?a=1", false);
    expect_eq("sip:b?a=1&a=1&c=2", "sip:b?a=1&c=2&c=2", false);
    expect_eq("sip:b?a=1&a=2", "sip:b?a=2&a=1", true);
    expect_eq("sip:b?Priority=Urgent", "sip:b?priority=urgent", true);
    expect_eq("sip:b?Call-ID=A", "sip:b?call-id=a", false);
    expect_eq("sip:b?body=A", "sip:b?body=a", false);
    expect_eq("sip:b?x=%22A%22", "sip:b?x=%22a%22", false); /* section 7.3.1: quoted strings */
    expect_eq("sip:b?x=%22A%22", "sip:b?x=%22A%22", true);
}

static void other_schemes_are_compared_octet_for_octet(void **state)
{
    (void)state;
    expect_eq("tel:+1", "TEL:+1", true);
    expect_eq("tel:+1;a=b", "tel:+1;A=B", false);
    expect_eq("isbn:1", "isbn:2", false);
    expect_eq("isbn:1", "tel:1", false);
    expect_eq("tel:1", "sip:1a", false);
}

/* "sip:b" with n parameters or headers "a0=1", "a1=1" ... in this order or the other. */
static char *make_parts(char first, char separator, unsigned n, bool backwards)
{
    size_t cap = 64 + n * 12;
    char *text = malloc(cap);
    assert_non_null(text);
    size_t len = (size_t)snprintf(text, cap, "sip:b");
    for (unsigned i = 0; i < n; i++)
        len += (size_t)snprintf(text + len, cap - len, "%ca%u=1", i == 0 ? first : separator,
                                backwards ? n - 1 - i : i);
    return text;
}

/* Or else one could make the comparison of two long URIs as slow as he likes. */
static void expect_order_matters(char first, char separator, unsigned n, bool matters)
{
    char *forth = make_parts(first, separator, n, false), *back = make_parts(first, separator, n, true);
    expect_eq(forth, forth, true);
    expect_eq(forth, back, !matters);
    free(forth);
    free(back);
}

static void with_very_many_parts_only_the_same_order_is_equal(void **state)
{
    (void)state;
    static const unsigned counts[] = {2, 64, 65, 500};
    for (size_t i = 0; i < ROWS(counts); i++) {
        expect_order_matters(';', ';', counts[i], counts[i] > 64);
        expect_order_matters('?', '&', counts[i], counts[i] > 64);
    }
}

struct canonical {
    const char *text, *aor;
};

static const struct canonical canonicals[] = {
    {"sip:alice@atlanta.com", "sip:alice@atlanta.com"},
    {"SIP:Alice@ATLANTA.com", "sip:Alice@atlanta.com"},
    {"sips:alice@atlanta.com", "sips:alice@atlanta.com"},
    {"sip:alice:pw@atlanta.com;user=phone;lr?a=b", "sip:alice@atlanta.com"},
    {"sip:%61l%69ce@atlanta.com", "sip:alice@atlanta.com"},
    {"sip:a%3bb%2fc@d", "sip:a;b/c@d"},
    {"sip:j%40s0n@d", "sip:j%40s0n@d"},
    {"sip:%3a%25%00%c3%a9@d", "sip:%3A%25%00%C3%A9@d"},
    {"sip:%2541@d", "sip:%2541@d"},
    {"sip:a@b:5060", "sip:a@b"},
    {"sip:a@b:5061", "sip:a@b:5061"},
    {"sips:a@b:5061", "sips:a@b"},
    {"sips:a@b:5060", "sips:a@b:5060"},
    {"sip:B", "sip:b"},
    {"sip:a@[2001:DB8:0:0::0001]:5060", "sip:a@[2001:db8::1]"},
    {"sip:a@192.0.2.1", "sip:a@192.0.2.1"},
};

static void the_canonical_aor_of_section_10_3_step_5(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(canonicals); i++) {
        struct slice text = cstr(canonicals[i].text);
        struct sip_uri uri;
        char memory[200], again[200];
        struct buf out;
        check_that(sip_uri_parse(text, &uri) == 0, text);
        buf_init(&out, memory, sizeof(memory));
        check_that(sip_uri_canonical_aor(&uri, &out) == 0, text);
        check_slice(buf_slice(&out), cstr(canonicals[i].aor), text);
        /* It is its own canonical form. */
        check_that(sip_uri_parse(buf_slice(&out), &uri) == 0, text);
        struct buf second;
        buf_init(&second, again, sizeof(again));
        check_that(sip_uri_canonical_aor(&uri, &second) == 0, text);
        check_slice(buf_slice(&second), buf_slice(&out), text);
    }
}

static void a_canonical_aor_that_does_not_fit_is_a_limit(void **state)
{
    (void)state;
    struct sip_uri uri;
    char memory[64];
    assert_int_equal(sip_uri_parse(SLICE("sip:al%40ice@atlanta.com:5070"), &uri), 0);
    size_t needed = strlen("sip:al%40ice@atlanta.com:5070");
    for (size_t cap = 0; cap <= needed; cap++) {
        struct buf out;
        buf_init(&out, memory, cap);
        assert_int_equal(sip_uri_canonical_aor(&uri, &out), cap < needed ? ERR_LIMIT : 0);
    }
    struct buf out;
    buf_init(&out, memory, sizeof(memory));
    assert_int_equal(sip_uri_parse(SLICE("tel:+1"), &uri), 0);
    assert_int_equal(sip_uri_canonical_aor(&uri, &out), ERR_UNSUPPORTED);
    assert_int_equal(out.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_section_19_1_4),
        cmocka_unit_test(sip_and_sips_are_never_equivalent),
        cmocka_unit_test(userinfo_is_case_sensitive_and_must_be_in_both),
        cmocka_unit_test(escapes_are_decoded_once_but_reserved_octets_stay_apart),
        cmocka_unit_test(hosts_compare_without_case_and_addresses_as_addresses),
        cmocka_unit_test(some_parameters_must_be_in_both_and_the_rest_need_not),
        cmocka_unit_test(parameters_in_both_must_match_in_any_order),
        cmocka_unit_test(header_components_are_never_ignored),
        cmocka_unit_test(other_schemes_are_compared_octet_for_octet),
        cmocka_unit_test(with_very_many_parts_only_the_same_order_is_equal),
        cmocka_unit_test(the_canonical_aor_of_section_10_3_step_5),
        cmocka_unit_test(a_canonical_aor_that_does_not_fit_is_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
