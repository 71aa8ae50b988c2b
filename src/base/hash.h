/* Keyed hashes. Everything that indexes by octets a stranger chooses goes through one of these with a random
 * key, so nobody outside can make a table degenerate. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/slice.h"
#include <stdbool.h>
#include <stdint.h>

struct hash_key {
    uint64_t k0, k1;
};

struct hash128 {
    uint64_t lo, hi;
};

/* SipHash-2-4 with 64 bits of result. */
uint64_t hash_siphash64(const struct hash_key *key, struct slice s);

/* FNV-1a of the first octets, with key for its start and its factors: steps that a packet filter of the
 * kernel can take as well (net/steer.h). Good for sharing out work; not for a table that strangers fill. */
#define HASH_HEAD_BYTES 32
struct hash_head_key {
    uint32_t start, factor, last_factor;
};
struct hash_head_key hash_head_key(const struct hash_key *key);
uint32_t hash_head32(const struct hash_key *key, struct slice s);

/* SipHash over several pieces: before each stands its length, and its last word is filled up with zeros, so
 * ("ab","c") and ("a","bc") differ and every piece begins a word. */
struct hash_state {
    uint64_t v0, v1, v2, v3, n_words;
    bool is_table;
};
/* SipHash-2-4: for what leaves the process and lets its bearer do something when it comes back. */
void hash_begin(struct hash_state *st, const struct hash_key *key);
/* SipHash-1-3, half the work: for tables, where a stranger sees neither hash nor key; and, each with a key of
 * its own, for branches and tags, of which nothing is gained by making one up. */
void hash_begin_table(struct hash_state *st, const struct hash_key *key);
void hash_add(struct hash_state *st, struct slice s);
void hash_add_nocase(struct hash_state *st, struct slice s); /* ASCII folded to lower case */
void hash_add_u64(struct hash_state *st, uint64_t value);
struct hash128 hash_end128(struct hash_state *st);
uint64_t hash_end64(struct hash_state *st);

#endif
