/* SipHash by Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012): 2 rounds a word, 4 at the end.
 */
#include "base/hash.h"
#include <endian.h>
#include <stdbool.h>

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

static inline void compress(struct hash_state *st, uint64_t word)
{
    st->v3 ^= word;
    sip_round(st);
    sip_round(st);
    st->v0 ^= word;
}

/* The low n octets of word come next; those above are zero. */
static inline __attribute__((always_inline)) void absorb_word(struct hash_state *st, uint64_t word,
                                                              unsigned n)
{
    unsigned have = st->total & 7;

    st->total += n;
    st->tail |= word << (8 * have);
    if (have + n >= 8) {
        compress(st, st->tail);
        st->tail = have > 0 ? word >> (8 * (8 - have)) : 0;
    }
}

/* ASCII capitals of eight octets at once: the top bit of each octet of `capital` says whether it is one. */
static inline uint64_t fold(uint64_t word)
{
    uint64_t low = word & (0x7f * ONES);
    uint64_t from_a = low + (0x80 - 'A') * ONES, after_z = low + (0x7f - 'Z') * ONES;
    uint64_t capital = (from_a ^ after_z) & ~word & (0x80 * ONES);

    return word | capital >> 2;
}

/* 1 to 7 octets, the first one lowest. */
static inline uint64_t load_few(const char *p, size_t n)
{
    uint64_t word = 0;

    for (size_t i = n; i > 0; i--)
        word = word << 8 | (uint8_t)p[i - 1];
    return word;
}

static inline __attribute__((always_inline)) void absorb(struct hash_state *st, struct slice s, bool nocase)
{
    struct hash_state local = *st; /* in registers: the octets cannot be the state */
    uint64_t word;

    for (; s.len >= 8; s.ptr += 8, s.len -= 8) {
        memcpy(&word, s.ptr, 8);
        word = le64toh(word);
        absorb_word(&local, nocase ? fold(word) : word, 8);
    }
    if (s.len > 0) {
        word = load_few(s.ptr, s.len);
        absorb_word(&local, nocase ? fold(word) : word, (unsigned)s.len);
    }
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

static inline uint64_t finish(struct hash_state *st, uint64_t v2_mark)
{
    compress(st, st->tail | st->total << 56);
    st->v2 ^= v2_mark;
    for (int i = 0; i < 4; i++)
        sip_round(st);
    return st->v0 ^ st->v1 ^ st->v2 ^ st->v3;
}

uint64_t hash_siphash64(const struct hash_key *key, struct slice s)
{
    struct hash_state st;

    begin64(&st, key);
    absorb(&st, s, false);
    return finish(&st, 0xff);
}

struct hash128 hash_siphash128(const struct hash_key *key, struct slice s)
{
    struct hash_state st;

    hash_begin(&st, key);
    absorb(&st, s, false);
    return hash_end128(&st);
}

void hash_begin(struct hash_state *st, const struct hash_key *key)
{
    begin64(st, key);
    st->v1 ^= 0xee;
}

void hash_add_u64(struct hash_state *st, uint64_t value)
{
    absorb_word(st, value, 8);
}

void hash_add(struct hash_state *st, struct slice s)
{
    hash_add_u64(st, s.len);
    absorb(st, s, false);
}

void hash_add_nocase(struct hash_state *st, struct slice s)
{
    hash_add_u64(st, s.len);
    absorb(st, s, true);
}

struct hash128 hash_end128(struct hash_state *st)
{
    struct hash128 h;

    h.lo = finish(st, 0xee);
    st->v1 ^= 0xdd;
    for (int i = 0; i < 4; i++)
        sip_round(st);
    h.hi = st->v0 ^ st->v1 ^ st->v2 ^ st->v3;
    return h;
}

uint64_t hash_end64(struct hash_state *st)
{
    return finish(st, 0xee);
}
