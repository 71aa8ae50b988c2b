/* RFC 5627: GRUUs that nothing has to be kept of. */
#include "crypto/crypto.h"
#include "location/gruu.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define AOR      SLICE("sip:alice@example.com")
#define DOMAIN   SLICE("example.com")
#define INSTANCE SLICE("urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6")

static struct location_gruus gruus_of(uint64_t secret)
{
    const struct hash_key key = {secret, 1};
    struct location_gruus gruus;

    assert_int_equal(location_gruus_init(&key, &gruus), 0);
    return gruus;
}

static void test_5_4_a_public_one_stands_for_its_instance_and_user(void **state)
{
    struct location_gruus gruus = gruus_of(1), others = gruus_of(2);
    char value[LOCATION_GRUU_VALUE_BYTES];
    struct location_gruu gruu;
    struct slice text = location_gruu_public(&gruus, AOR, INSTANCE, value);

    (void)state;
    assert_true(location_gruu_public_read(&gruus, AOR, text, &gruu));
    assert_int_equal(gruu.instance, location_gruu_instance(&gruus, INSTANCE));
    assert_int_equal(gruu.since_s, 0);
    assert_false(location_gruu_public_read(&gruus, SLICE("sip:bob@example.com"), text, &gruu));
    assert_false(location_gruu_public_read(&others, AOR, text, &gruu));
    assert_false(location_gruu_public_read(&gruus, AOR, slice_sub(text, 1, text.len), &gruu));
    for (size_t i = 0; i < sizeof(value); i++) {
        value[i] ^= 1;
        assert_false(location_gruu_public_read(&gruus, AOR, text, &gruu));
        value[i] ^= 1;
    }
}

static void test_5_3_it_is_the_same_whenever_it_is_made(void **state)
{
    struct location_gruus gruus = gruus_of(1);
    char a[LOCATION_GRUU_VALUE_BYTES], b[LOCATION_GRUU_VALUE_BYTES];

    (void)state;
    (void)location_gruu_public(&gruus, AOR, INSTANCE, a);
    (void)location_gruu_public(&gruus, AOR, SLICE("URN:UUID:F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6"), b);
    assert_memory_equal(a, b, sizeof(a));
}

static void test_5_1_a_temporary_one_is_new_each_time_and_tells_nothing(void **state)
{
    struct location_gruus gruus = gruus_of(1);
    const struct location_gruu gruu = {.instance = 77, .since_s = 4000000000};
    char a[LOCATION_GRUU_NAME_BYTES], b[LOCATION_GRUU_NAME_BYTES], memory[LOCATION_GRUU_USER_MAX];
    struct location_gruu got;
    struct slice user;
    size_t same = 0;

    (void)state;
    assert_int_equal(location_gruu_temporary(&gruus, SLICE("alice"), DOMAIN, &gruu, a), 0);
    assert_int_equal(location_gruu_temporary(&gruus, SLICE("alice"), DOMAIN, &gruu, b), 0);
    for (size_t i = 6; i < sizeof(a); i++)
        same += a[i] == b[i];
    assert_in_range(same, 0, 20); /* about one in 64 */
    assert_int_equal(
        location_gruu_temporary_read(&gruus, slice_make(a, sizeof(a)), DOMAIN, memory, &user, &got), 0);
    assert_true(slice_eq(user, SLICE("alice")));
    assert_int_equal(got.instance, 77);
    assert_int_equal(got.since_s, 4000000000);
}

static void test_5_4_a_temporary_one_cannot_be_made_by_others(void **state)
{
    struct location_gruus gruus = gruus_of(1), others = gruus_of(2);
    const struct location_gruu gruu = {.instance = 77, .since_s = 1};
    char name[LOCATION_GRUU_NAME_BYTES], memory[LOCATION_GRUU_USER_MAX];
    struct slice text = slice_make(name, sizeof(name)), user;
    struct location_gruu got;

    (void)state;
    assert_int_equal(location_gruu_temporary(&gruus, SLICE("alice"), DOMAIN, &gruu, name), 0);
    assert_int_equal(location_gruu_temporary_read(&others, text, DOMAIN, memory, &user, &got), ERR_DENIED);
    assert_int_equal(location_gruu_temporary_read(&gruus, text, SLICE("example.net"), memory, &user, &got),
                     ERR_DENIED);
    assert_int_equal(
        location_gruu_temporary_read(&gruus, slice_sub(text, 0, text.len - 1), DOMAIN, memory, &user, &got),
        ERR_DENIED);
    for (size_t i = 0; i + 1 < sizeof(name); i++) {
        char was = name[i];

        name[i] = was == 'A' ? 'B' : 'A';
        assert_int_equal(location_gruu_temporary_read(&gruus, text, DOMAIN, memory, &user, &got), ERR_DENIED);
        name[i] = was;
    }
}

static void test_a_user_too_long_has_no_temporary_one(void **state)
{
    struct location_gruus gruus = gruus_of(1);
    const struct location_gruu gruu = {.instance = 77, .since_s = 1};
    char name[LOCATION_GRUU_NAME_BYTES];
    static const char longest[LOCATION_GRUU_USER_MAX + 1];

    (void)state;
    assert_int_equal(
        location_gruu_temporary(&gruus, slice_make(longest, LOCATION_GRUU_USER_MAX), DOMAIN, &gruu, name), 0);
    assert_int_equal(
        location_gruu_temporary(&gruus, slice_make(longest, sizeof(longest)), DOMAIN, &gruu, name),
        ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_5_4_a_public_one_stands_for_its_instance_and_user),
        cmocka_unit_test(test_5_3_it_is_the_same_whenever_it_is_made),
        cmocka_unit_test(test_5_1_a_temporary_one_is_new_each_time_and_tells_nothing),
        cmocka_unit_test(test_5_4_a_temporary_one_cannot_be_made_by_others),
        cmocka_unit_test(test_a_user_too_long_has_no_temporary_one),
    };
    return crypto_init() == 0 ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
