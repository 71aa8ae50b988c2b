/* RFC 5626 section 4.1: what an instance-id is, and when two are the same. */
#include "location/instance.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_instance(const char *params, const char *want)
{
    struct slice instance = location_instance_of(slice_from_cstr(params));

    if (!want) {
        assert_true(slice_is_null(instance));
        return;
    }
    assert_int_equal(instance.len, strlen(want));
    assert_memory_equal(instance.ptr, want, instance.len);
}

static void test_4_1_it_stands_in_quotes_and_angle_brackets(void **state)
{
    (void)state;
    assert_instance(";a=1;+sip.instance=\"<urn:uuid:1>\";b", "urn:uuid:1");
    assert_instance(";+SIP.Instance=\"<urn:uuid:1>\"", "urn:uuid:1");
    assert_instance(";+sip.instance=\"urn:uuid:1\"", "urn:uuid:1");
    assert_instance(";reg-id=1", NULL);
    assert_instance(";+sip.instance=\"<>\"", NULL);
    assert_instance(";+sip.instance", NULL);
    assert_instance("", NULL);
}

static const struct {
    const char *a, *b;
    bool equal;
} pairs[] = {
    {"urn:uuid:00ab", "urn:uuid:00AB", true},
    {"urn:uuid:00ab", "URN:UUID:00ab", true},
    {"urn:uuid:00ab", "urn:uuid:00ac", false},
    {"urn:imei:aB", "URN:IMEI:aB", true},
    {"urn:imei:aB", "urn:imei:ab", false},
    {"something", "Something", false},
    {"urn:uuid:00ab", "urn:uuid:00ab0", false},
    {"", "", false},
    {"urn:", "urn:", true},
};

static void test_4_1_equality_is_that_of_the_urns(void **state)
{
    const struct hash_key key = {1, 2};

    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        struct slice a = slice_from_cstr(pairs[i].a), b = slice_from_cstr(pairs[i].b);

        assert_int_equal(location_instance_eq(a, b), pairs[i].equal);
        if (a.len > 0)
            assert_int_equal(location_instance_hash(&key, a) == location_instance_hash(&key, b),
                             pairs[i].equal);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_4_1_it_stands_in_quotes_and_angle_brackets),
        cmocka_unit_test(test_4_1_equality_is_that_of_the_urns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
