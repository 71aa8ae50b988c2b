/* Keyed hashes. Everything that indexes by octets a stranger chooses goes through one of these with a random
 * key, so nobody outside can make a table degenerate. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/slice.h"
#include <stdint.h>

struct hash_key {
    uint64_t k0, k1;
};

struct hash128 {
    uint64_t lo, hi;
};

/* SipHash-2-4 with 64 and with 128 bits of result. */
uint64_t hash_siphash64(const struct hash_key *key, struct slice s);
struct hash128 hash_siphash128(const struct hash_key *key, struct slice s);

/* The same over several pieces: each piece is preceded by its length, so ("ab","c") and ("a","bc") differ. */
struct hash_state {
    uint64_t v0, v1, v2, v3, tail, total;
};
void hash_begin(struct hash_state *st, const struct hash_key *key);
void hash_add(struct hash_state *st, struct slice s);
void hash_add_nocase(struct hash_state *st, struct slice s); /* ASCII folded to lower case */
void hash_add_u64(struct hash_state *st, uint64_t value);
struct hash128 hash_end128(struct hash_state *st);
uint64_t hash_end64(struct hash_state *st);

#endif
