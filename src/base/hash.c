/* SipHash by Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012), with 2 rounds a word and 4 at the
 * end, or 1 and 3. */
#include "base/hash.h"
#include <endian.h>

#define ONES 0x0101010101010101u

static inline uint64_t rotate(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static inline void sip_round(struct hash_state *st)
{
    st->v0 += st->v1;
    st->v1 = rotate(st->v1, 13) ^ st->v0;
    st->v0 = rotate(st->v0, 32);
    st->v2 += st->v3;
    st->v3 = rotate(st->v3, 16) ^ st->v2;
    st->v0 += st->v3;
    st->v3 = rotate(st->v3, 21) ^ st->v0;
    st->v2 += st->v1;
    st->v1 = rotate(st->v1, 17) ^ st->v2;
    st->v2 = rotate(st->v2, 32);
}

static inline __attribute__((always_inline)) void compress(struct hash_state *st, uint64_t word,
                                                           bool is_table)
{
    st->v3 ^= word;
    sip_round(st);
    if (!is_table)
        sip_round(st);
    st->v0 ^= word;
}

/* ASCII capitals of eight octets at once: the top bit of each octet of `capital` says whether it is one. */
static inline uint64_t fold(uint64_t word)
{
    uint64_t low = word & (0x7f * ONES);
    uint64_t from_a = low + (0x80 - 'A') * ONES, after_z = low + (0x7f - 'Z') * ONES;
    uint64_t capital = (from_a ^ after_z) & ~word & (0x80 * ONES);

    return word | capital >> 2;
}

static inline uint64_t load_8(const char *p)
{
    uint64_t word;

    memcpy(&word, p, 8);
    return le64toh(word);
}

static inline uint64_t load_4(const char *p)
{
    uint32_t half;

    memcpy(&half, p, 4);
    return le32toh(half);
}

/* 1 to 7 octets, the first one lowest; those above are zero. */
static inline uint64_t load_few(const char *p, size_t n)
{
    if (n >= 4)
        return load_4(p) | load_4(p + n - 4) << (8 * (n - 4));
    /* The first, the middle and the last are all there are. */
    return (uint64_t)(uint8_t)p[0] | (uint64_t)(uint8_t)p[n / 2] << (8 * (n / 2)) |
           (uint64_t)(uint8_t)p[n - 1] << (8 * (n - 1));
}

static inline __attribute__((always_inline)) void add_words(struct hash_state *st, struct slice s,
                                                            bool nocase, bool is_table)
{
    compress(st, s.len, is_table);
    for (; s.len >= 8; s.ptr += 8, s.len -= 8)
        compress(st, nocase ? fold(load_8(s.ptr)) : load_8(s.ptr), is_table);
    if (s.len > 0) {
        uint64_t word = load_few(s.ptr, s.len);

        compress(st, nocase ? fold(word) : word, is_table);
    }
}

static inline __attribute__((always_inline)) void add_piece(struct hash_state *st, struct slice s,
                                                            bool nocase)
{
    struct hash_state local = *st; /* in registers: the octets cannot be the state */

    local.n_words += 1 + (s.len + 7) / 8;
    if (local.is_table)
        add_words(&local, s, nocase, true);
    else
        add_words(&local, s, nocase, false);
    *st = local;
}

static inline void begin64(struct hash_state *st, const struct hash_key *key)
{
    *st = (struct hash_state){
        .v0 = key->k0 ^ 0x736f6d6570736575u,
        .v1 = key->k1 ^ 0x646f72616e646f6du,
        .v2 = key->k0 ^ 0x6c7967656e657261u,
        .v3 = key->k1 ^ 0x7465646279746573u,
    };
}

static inline uint64_t finish(struct hash_state *st, uint64_t mark)
{
    st->v2 ^= mark;
    for (int i = st->is_table; i < 4; i++)
        sip_round(st);
    return st->v0 ^ st->v1 ^ st->v2 ^ st->v3;
}

uint64_t hash_siphash64(const struct hash_key *key, struct slice s)
{
    uint64_t last = (uint64_t)s.len << 56;
    struct hash_state st;

    begin64(&st, key);
    for (; s.len >= 8; s.ptr += 8, s.len -= 8)
        compress(&st, load_8(s.ptr), false);
    if (s.len > 0)
        last |= load_few(s.ptr, s.len);
    compress(&st, last, false);
    return finish(&st, 0xff);
}

void hash_begin(struct hash_state *st, const struct hash_key *key)
{
    begin64(st, key);
    st->v1 ^= 0xee;
}

void hash_begin_table(struct hash_state *st, const struct hash_key *key)
{
    hash_begin(st, key);
    st->is_table = true;
}

void hash_add_u64(struct hash_state *st, uint64_t value)
{
    compress(st, value, st->is_table);
    st->n_words++;
}

void hash_add(struct hash_state *st, struct slice s)
{
    add_piece(st, s, false);
}

void hash_add_nocase(struct hash_state *st, struct slice s)
{
    add_piece(st, s, true);
}

uint64_t hash_end64(struct hash_state *st)
{
    /* As after so many octets. */
    compress(st, st->n_words * 8 << 56, st->is_table);
    return finish(st, 0xee);
}

struct hash128 hash_end128(struct hash_state *st)
{
    struct hash128 h = {.lo = hash_end64(st)};

    st->v1 ^= 0xdd;
    h.hi = finish(st, 0);
    return h;
}

struct hash_head_key hash_head_key(const struct hash_key *key)
{
    /* Factors must be odd, and those of a key of small numbers would mix nothing. */
    return (struct hash_head_key){.start = (uint32_t)key->k0,
                                  .factor = ((uint32_t)(key->k0 >> 32) ^ 0x9e3779b1U) | 1,
                                  .last_factor = ((uint32_t)key->k1 ^ 0x85ebca6bU) | 1};
}

uint32_t hash_head32(const struct hash_key *key, struct slice s)
{
    const struct hash_head_key k = hash_head_key(key);
    uint32_t hash = k.start;

    for (size_t i = 0; i < s.len && i < HASH_HEAD_BYTES; i++)
        hash = ((uint8_t)s.ptr[i] ^ hash) * k.factor;
    /* The low bits of a product know only the low bits of its factors. */
    return (hash ^ hash >> 16) * k.last_factor >> 16;
}
