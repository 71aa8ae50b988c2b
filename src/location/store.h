/* The bindings in memory: a map from canonical address-of-record to its record, cut into shards with a lock
 * each, so that workers look up while the storage thread publishes. A lock is held for a look-up and one
 * copy, or for swapping one pointer or rewriting one record; never for anything that touches a disk.
 *
 * Any number of threads may read. Records are put by the storage thread alone, or, where bindings are kept in
 * memory only, by any thread through location_store_update(). */
#ifndef LOCATION_STORE_H
#define LOCATION_STORE_H

#include "base/arena.h"
#include "base/hash.h"
#include "location/binding.h"

#define LOCATION_STORE_SHARDS 256

struct location_store;

/* key: secret, so that no stranger chooses which addresses share a bucket. expected: bindings to make room
 * for. */
MUST_USE int location_store_new(const struct hash_key *key, size_t expected,
                                struct location_store **ret_store);
void location_store_free(struct location_store *store);

/* A copy in arena. ERR_NOTFOUND; ERR_NOMEM when the arena is full. Bindings whose time has come may still be
 * in it. */
MUST_USE int location_store_get(struct location_store *store, struct slice aor, struct arena *arena,
                                const struct location_record **ret_record);

/* The record itself, or NULL: for the only thread that puts, valid until it puts again. */
const struct location_record *location_store_peek(struct location_store *store, struct slice aor);
/* Makes record the current one of its address-of-record. The store owns it: it is freed at once when the one
 * before has room for what it says, else that one is. */
void location_store_put(struct location_store *store, struct location_record *record);
void location_store_remove(struct location_store *store, struct slice aor);

/* Calls change() with the current record (or NULL) while nobody else can see or change it. It says whether to
 * replace it; *ret_record is then the new one, or NULL to remove it. */
typedef bool location_store_change_fn(const struct location_record *old, void *ctx,
                                      struct location_record **ret_record);
void location_store_update(struct location_store *store, struct slice aor, location_store_change_fn *change,
                           void *ctx);

/* location_store_update() for who has the hash of the address-of-record already: from
 * here, or from location_store_expect(). */
uint64_t location_store_hash(const struct location_store *store, struct slice aor);
void location_store_update_at(struct location_store *store, uint64_t hash, struct slice aor,
                              location_store_change_fn *change, void *ctx);

/* For who knows now whose bindings he will change in some hundred steps, and can do something else until
 * then: has brought from memory where they are found, and some time later, from there, what is found. */
uint64_t location_store_expect(struct location_store *store, struct slice aor);
void location_store_expect_record(struct location_store *store, uint64_t hash);

/* Calls visit for each record of one shard (0 to LOCATION_STORE_SHARDS - 1), which must not put or remove
 * any. */
typedef void location_store_visit_fn(const struct location_record *record, void *ctx);
void location_store_each(struct location_store *store, unsigned shard, location_store_visit_fn *visit,
                         void *ctx);

/* Fills a store that nobody else knows yet with very many records. Where each belongs is far from the one
 * before, so what has to be read of the table is asked for some records ahead. Begins as {.store = store}. */
#define LOCATION_STORE_AHEAD 16
struct location_store_fill {
    struct location_store *store;
    size_t next;    /* of waiting, used in turn */
    size_t skipped; /* records that did not fit to those of their address-of-record before them */
    struct location_store_waiting {
        struct location_record *record;
        uint64_t hash;
    } waiting[LOCATION_STORE_AHEAD];
};

/* Adds the bindings of record to those that its address-of-record has; the record is taken in any case.
 * ERR_NOMEM, as location_store_fill_end(), which must be called at the end. */
MUST_USE int location_store_fill_add(struct location_store_fill *fill, struct location_record *record);
MUST_USE int location_store_fill_end(struct location_store_fill *fill);

/* How many there are now; never waits. */
size_t location_store_count_aors(const struct location_store *store);
size_t location_store_count_bindings(const struct location_store *store);

#endif
