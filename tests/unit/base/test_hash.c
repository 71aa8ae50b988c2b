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

static void rounds(uint64_t v[4], unsigned n)
{
    while (n-- > 0) {
        v[0] += v[1], v[1] = (v[1] << 13 | v[1] >> 51) ^ v[0], v[0] = v[0] << 32 | v[0] >> 32;
        v[2] += v[3], v[3] = (v[3] << 16 | v[3] >> 48) ^ v[2];
        v[0] += v[3], v[3] = (v[3] << 21 | v[3] >> 43) ^ v[0];
        v[2] += v[1], v[1] = (v[1] << 17 | v[1] >> 47) ^ v[2], v[2] = v[2] << 32 | v[2] >> 32;
    }
}

/* SipHash-c-d of `octets` whole words with 128 bits of result, as the paper and the reference code have it. */
static struct hash128 by_the_book(unsigned c, unsigned d, const unsigned char *octets, size_t len)
{
    uint64_t v[4] = {key.k0 ^ 0x736f6d6570736575, key.k1 ^ 0x646f72616e646f6d ^ 0xee,
                     key.k0 ^ 0x6c7967656e657261, key.k1 ^ 0x7465646279746573};
    struct hash128 h;

    for (size_t at = 0; at <= len; at += 8) {
        uint64_t word = at == len ? (uint64_t)len << 56 : 0;

        for (unsigned i = 0; at < len && i < 8; i++)
            word |= (uint64_t)octets[at + i] << 8 * i;
        v[3] ^= word;
        rounds(v, c);
        v[0] ^= word;
    }
    v[2] ^= 0xee;
    rounds(v, d);
    h.lo = v[0] ^ v[1] ^ v[2] ^ v[3];
    v[1] ^= 0xdd;
    rounds(v, d);
    h.hi = v[0] ^ v[1] ^ v[2] ^ v[3];
    return h;
}

static void no_pieces_give_the_reference_vector(void **state)
{
    struct hash_state st;
    struct hash128 h;

    (void)state;
    hash_begin(&st, &key);
    h = hash_end128(&st);
    assert_true(h.lo == 0xe6a825ba047f81a3 && h.hi == 0x930255c71472f66d);
}

static void a_head_shares_out_evenly_by_key(void **state)
{
    enum { TEXTS = 4000, SHARES = 4 };
    const struct hash_key other = {.k0 = key.k0 + (1ULL << 40), .k1 = key.k1};
    unsigned counts[SHARES] = {0}, equal = 0;

    (void)state;
    for (unsigned i = 0; i < TEXTS; i++) {
        char text[] = "call-0000";

        for (unsigned digit = 8, rest = i; rest > 0; rest /= 10)
            text[digit--] += (char)(rest % 10);
        uint32_t share = hash_head32(&key, slice_from_cstr(text)) % SHARES;
        counts[share]++;
        equal += share == hash_head32(&other, slice_from_cstr(text)) % SHARES;
    }
    for (unsigned i = 0; i < SHARES; i++)
        assert_in_range(counts[i], TEXTS / SHARES * 9 / 10, TEXTS / SHARES * 11 / 10);
    assert_in_range(equal, TEXTS / SHARES * 8 / 10, TEXTS / SHARES * 12 / 10);
}

static void a_head_is_of_the_first_octets(void **state)
{
    char a[HASH_HEAD_BYTES + 1], b[HASH_HEAD_BYTES + 1];

    (void)state;
    memset(a, 'x', sizeof(a));
    memset(b, 'x', sizeof(b));
    b[HASH_HEAD_BYTES] = 'y';
    assert_int_equal(hash_head32(&key, slice_make(a, sizeof(a))),
                     hash_head32(&key, slice_make(b, sizeof(b))));
    b[HASH_HEAD_BYTES - 1] = 'y';
    assert_int_not_equal(hash_head32(&key, slice_make(a, sizeof(a))),
                         hash_head32(&key, slice_make(b, sizeof(b))));
    assert_int_equal(hash_head32(&key, SLICE("")), hash_head32(&key, slice_make(a, 0)));
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

static void pieces_are_lengths_and_octets_in_whole_words(void **state)
{
    static const char text[] = "0123456789abcdefghij";

    (void)state;
    for (size_t len = 0; len < sizeof(text); len++) {
        unsigned char input[8 + 3 * 8 + 8] = {0};
        size_t octets = 8 + (len + 7) / 8 * 8;
        struct hash_state strong, table;
        struct hash128 h, book;

        input[0] = (unsigned char)len;
        memcpy(input + 8, text, len);
        input[octets] = 77;
        octets += 8;
        hash_begin(&strong, &key);
        hash_begin_table(&table, &key);
        hash_add(&strong, slice_make(text, len));
        hash_add(&table, slice_make(text, len));
        hash_add_u64(&strong, 77);
        hash_add_u64(&table, 77);
        h = hash_end128(&strong);
        book = by_the_book(2, 4, input, octets);
        assert_true(h.lo == book.lo && h.hi == book.hi);
        h = hash_end128(&table);
        book = by_the_book(1, 3, input, octets);
        assert_true(h.lo == book.lo && h.hi == book.hi);
    }
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
        cmocka_unit_test(no_pieces_give_the_reference_vector),
        cmocka_unit_test(a_head_shares_out_evenly_by_key),
        cmocka_unit_test(a_head_is_of_the_first_octets),
        cmocka_unit_test(pieces_do_not_run_together),
        cmocka_unit_test(pieces_are_lengths_and_octets_in_whole_words),
        cmocka_unit_test(nocase_is_the_hash_of_the_lower_case),
        cmocka_unit_test(end64_is_the_low_half_and_depends_on_the_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
