#include "net/tls_names.h"
#include "support.h"
#include "tls_support.h"

static EVP_PKEY *key;

static int make_key(void **state)
{
    (void)state;
    key = EVP_EC_gen("P-256");
    return key ? 0 : -1;
}

static int free_key(void **state)
{
    (void)state;
    EVP_PKEY_free(key);
    return 0;
}

static void check(const char *cn, const char *alternatives, const char *identities)
{
    X509 *cert =
        test_make_cert(&(struct test_cert){.cn = cn, .alternatives = alternatives}, key, NULL, false);
    char memory[512];
    struct buf out;

    buf_init(&out, memory, sizeof(memory) - 1);
    tls_names_print(cert, &out);
    memory[out.len] = '\0';
    assert_string_equal(memory, identities);
    X509_free(cert);
}

static void a_sip_uri_without_user_is_an_identity_and_hides_dns_rfc5922_7_1(void **state)
{
    (void)state;
    check("cn.example", "URI:sip:example.com,DNS:www.example.com", "example.com");
    check("cn.example", "DNS:www.example.com,URI:SIP:b.example:5061\\;transport=tcp,URI:sip:c.example",
          "b.example c.example");
    check("cn.example", "URI:sip:[2001:db8::1]:5061", "[2001:db8::1]");
}

static void other_schemes_and_users_are_no_identities_rfc5922_7_1(void **state)
{
    (void)state;
    check("cn.example", "URI:https://example.com", "");
    check("cn.example", "URI:sips:example.com", "");
    check("cn.example", "URI:sip:alice@example.com", "");
    check("cn.example", "URI:sip:alice@example.com,DNS:a.example", "a.example");
    check("cn.example", "email:alice@example.com", "");
    check("cn.example", "IP:192.0.2.1", "");
}

static void the_cn_counts_only_without_alternatives_rfc5922_7_1(void **state)
{
    (void)state;
    check("cn.example", NULL, "cn.example");
    check("Example Ltd", NULL, "");
    check("cn.example", "IP:192.0.2.1", "");
}

static bool has(const char *alternatives, const char *name)
{
    X509 *cert =
        test_make_cert(&(struct test_cert){.cn = "x", .alternatives = alternatives}, key, NULL, false);
    bool found = tls_names_has(cert, slice_from_cstr(name));

    X509_free(cert);
    return found;
}

static void names_are_compared_whole_and_without_case_rfc5922_7_2(void **state)
{
    (void)state;
    assert_true(has("URI:sip:Example.COM", "example.com"));
    assert_true(has("DNS:a.example,DNS:b.example.", "B.EXAMPLE"));
    assert_false(has("DNS:example.com", "foo.example.com"));
    assert_false(has("DNS:foo.example.com", "example.com"));
    assert_false(has("DNS:example.com", "example.co"));
}

static void wildcards_match_nothing_but_themselves_rfc5922_7_2(void **state)
{
    (void)state;
    assert_false(has("DNS:*.example.com", "foo.example.com"));
    assert_false(has("DNS:.example.com", "foo.example.com"));
    assert_true(has("DNS:*.example.com", "*.example.com"));
}

static bool take_one(void *ctx, struct slice name)
{
    unsigned *count = ctx;

    (void)name;
    ++*count;
    return true;
}

static void identities_are_bounded(void **state)
{
    X509 *cert = test_make_cert(
        &(struct test_cert){.cn = "x", .alternatives = "DNS:a.example,DNS:b.example,DNS:c.example"}, key,
        NULL, false);
    unsigned count = 0;

    (void)state;
    tls_names_each(cert, 2, take_one, &count);
    assert_int_equal(count, 2);
    X509_free(cert);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sip_uri_without_user_is_an_identity_and_hides_dns_rfc5922_7_1),
        cmocka_unit_test(other_schemes_and_users_are_no_identities_rfc5922_7_1),
        cmocka_unit_test(the_cn_counts_only_without_alternatives_rfc5922_7_1),
        cmocka_unit_test(names_are_compared_whole_and_without_case_rfc5922_7_2),
        cmocka_unit_test(wildcards_match_nothing_but_themselves_rfc5922_7_2),
        cmocka_unit_test(identities_are_bounded),
    };

    return cmocka_run_group_tests(tests, make_key, free_key);
}
