#include "base/hash.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs those above. */
#include <cmocka.h>

/* Key 00 01 ... 0f, as in the reference implementation's vectors. */
static const struct hash_key key = {.k0 = 0x0706050403020100, .k1 = 0x0f0e0d0c0b0a0908};

static void siphash64_gives_the_reference_vectors(void **state)
{
    static const struct {
        size_t len;
        uint64_t hash;
    } vectors[] = {
        {0, 0x726fdb47dd0e0e31},  {1, 0x74f839c593dc67fd},  {2, 0x0d6c8009d9a94f5a}, {3, 0x85676696d7fb7e2d},
        {7, 0xab0200f58b01d137},  {8, 0x93f5f5799a932462},  {9, 0x9e0082df0ba9e4b0}, {15, 0xa129ca6149be45e5},
        {16, 0x3f2acc7f57c29bdb}, {63, 0x958a324ceb064572},
    };
    char input[64];

    (void)state;
    for (int i = 0; i < 64; i++)
        input[i] = (char)i;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
        assert_true(hash_siphash64(&key, slice_make(input, vectors[i].len)) == vectors[i].hash);
}

static void siphash128_gives_the_reference_vectors(void **state)
{
    struct hash128 h;

    (void)state;
    h = hash_siphash128(&key, SLICE(""));
    assert_true(h.lo == 0xe6a825ba047f81a3 && h.hi == 0x930255c71472f66d);
    h = hash_siphash128(&key, slice_make("\0", 1));
    assert_true(h.lo == 0x44af996bd8c187da && h.hi == 0x45fc229b11597634);
}

static struct hash128 of_two(struct slice a, struct slice b)
{
    struct hash_state st;

    hash_begin(&st, &key);
    hash_add(&st, a);
    hash_add(&st, b);
    return hash_end128(&st);
}

static void pieces_do_not_run_together(void **state)
{
    struct hash128 x = of_two(SLICE("ab"), SLICE("c")), y = of_two(SLICE("a"), SLICE("bc"));

    (void)state;
    assert_true(x.lo != y.lo && x.hi != y.hi);
    x = of_two(SLICE(""), SLICE("a"));
    y = of_two(SLICE("a"), SLICE(""));
    assert_true(x.lo != y.lo && x.hi != y.hi);
}

static void pieces_equal_the_one_shot_of_lengths_and_octets(void **state)
{
    char input[8 + 3 + 8 + 13];
    uint64_t three = 3, thirteen = 13;
    struct hash128 one_shot, pieces;

    (void)state;
    memcpy(input, &three, 8);
    memcpy(input + 8, "abc", 3);
    memcpy(input + 11, &thirteen, 8);
    memcpy(input + 19, "0123456789abc", 13);
    one_shot = hash_siphash128(&key, slice_make(input, sizeof(input)));
    pieces = of_two(SLICE("abc"), SLICE("0123456789abc"));
    assert_true(one_shot.lo == pieces.lo && one_shot.hi == pieces.hi);
}

static void nocase_is_the_hash_of_the_lower_case(void **state)
{
    char mixed[256 * 3], lower[256 * 3];

    (void)state;
    for (int i = 0; i < 256 * 3; i++) {
        int octet = (i * 7) & 255;

        mixed[i] = (char)octet;
        lower[i] = (char)(octet >= 'A' && octet <= 'Z' ? octet + 32 : octet);
    }
    for (size_t len = 0; len <= sizeof(mixed); len++) {
        struct hash_state a, b;

        hash_begin(&a, &key);
        hash_add_nocase(&a, slice_make(mixed, len));
        hash_begin(&b, &key);
        hash_add(&b, slice_make(lower, len));
        assert_true(hash_end64(&a) == hash_end64(&b));
    }
}

static void end64_is_the_low_half_and_depends_on_the_key(void **state)
{
    const struct hash_key other = {.k0 = key.k0 ^ 1, .k1 = key.k1};
    struct hash_state a, b, c;

    (void)state;
    hash_begin(&a, &key);
    hash_begin(&b, &key);
    hash_begin(&c, &other);
    hash_add_u64(&a, 5);
    hash_add_u64(&b, 5);
    hash_add_u64(&c, 5);
    assert_true(hash_end64(&a) == hash_end128(&b).lo);
    hash_begin(&a, &key);
    hash_add_u64(&a, 5);
    assert_true(hash_end64(&a) != hash_end64(&c));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(siphash64_gives_the_reference_vectors),
        cmocka_unit_test(siphash128_gives_the_reference_vectors),
        cmocka_unit_test(pieces_do_not_run_together),
        cmocka_unit_test(pieces_equal_the_one_shot_of_lengths_and_octets),
        cmocka_unit_test(nocase_is_the_hash_of_the_lower_case),
        cmocka_unit_test(end64_is_the_low_half_and_depends_on_the_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
