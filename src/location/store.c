#include "location/store.h"
#include "base/mem.h"
#include <pthread.h>
#include <stdatomic.h>

#define CACHE_LINE_BYTES 64

struct shard {
    _Alignas(CACHE_LINE_BYTES) pthread_rwlock_t lock;
    struct map records;
};

struct location_store {
    struct hash_key key;
    atomic_size_t aors, bindings;
    void *memory; /* of shards, not aligned */
    struct shard *shards;
};

uint64_t location_store_hash(const struct location_store *store, struct slice aor)
{
    struct hash_state st;

    hash_begin_table(&st, &store->key);
    hash_add(&st, aor);
    return hash_end64(&st);
}

/* The map below takes the low bits, so the shard is chosen by high ones. */
static struct shard *shard_of(struct location_store *store, uint64_t hash)
{
    return &store->shards[(hash >> 32) % LOCATION_STORE_SHARDS];
}

static struct location_record *record_of(struct map_node *node)
{
    return map_entry(node, struct location_record, node);
}

static struct location_record *find(const struct shard *shard, uint64_t hash, struct slice aor)
{
    for (struct map_node *n = map_first(&shard->records, hash); n; n = map_next(n)) {
        if (slice_eq(location_record_aor(record_of(n)), aor))
            return record_of(n);
    }
    return NULL;
}

static int shards_init(struct location_store *store, size_t expected)
{
    pthread_rwlockattr_t attr;
    int rc = 0;

    pthread_rwlockattr_init(&attr);
    /* Readers come without a pause; a writer must not wait for one. */
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    for (size_t i = 0; i < LOCATION_STORE_SHARDS; i++) {
        pthread_rwlock_init(&store->shards[i].lock, &attr);
        if (rc == 0)
            rc = map_init(&store->shards[i].records, expected / LOCATION_STORE_SHARDS);
    }
    pthread_rwlockattr_destroy(&attr);
    return rc;
}

int location_store_new(const struct hash_key *key, size_t expected, struct location_store **ret_store)
{
    struct location_store *store = mem_zalloc(sizeof(*store));
    int rc = ERR_NOMEM;

    if (!store)
        return ERR_NOMEM;
    store->key = *key;
    store->memory = mem_zalloc(LOCATION_STORE_SHARDS * sizeof(struct shard) + CACHE_LINE_BYTES);
    if (store->memory) {
        uintptr_t at = ((uintptr_t)store->memory + CACHE_LINE_BYTES - 1) & ~(uintptr_t)(CACHE_LINE_BYTES - 1);

        store->shards = (struct shard *)at;
        rc = shards_init(store, expected);
    }
    if (rc != 0) {
        location_store_free(store);
        return rc;
    }
    *ret_store = store;
    return 0;
}

static void free_one(struct map_node *node, void *ctx)
{
    map_remove(ctx, node);
    location_record_free(record_of(node));
}

void location_store_free(struct location_store *store)
{
    if (!store)
        return;
    for (size_t i = 0; store->shards && i < LOCATION_STORE_SHARDS; i++) {
        struct shard *shard = &store->shards[i];

        if (shard->records.buckets) {
            map_each(&shard->records, free_one, &shard->records);
            map_done(&shard->records);
        }
        pthread_rwlock_destroy(&shard->lock);
    }
    mem_free(store->memory);
    mem_free(store);
}

int location_store_get(struct location_store *store, struct slice aor, struct arena *arena,
                       const struct location_record **ret_record)
{
    uint64_t hash = location_store_hash(store, aor);
    struct shard *shard = shard_of(store, hash);
    const struct location_record *record;
    int rc = ERR_NOTFOUND;

    pthread_rwlock_rdlock(&shard->lock);
    record = find(shard, hash, aor);
    if (record) {
        void *memory = arena_alloc(arena, record->bytes);

        rc = memory ? 0 : ERR_NOMEM;
        if (memory)
            *ret_record = location_record_copy_to(record, memory);
    }
    pthread_rwlock_unlock(&shard->lock);
    return rc;
}

const struct location_record *location_store_peek(struct location_store *store, struct slice aor)
{
    uint64_t hash = location_store_hash(store, aor);

    /* No lock: only the caller could change what is read here. */
    return find(shard_of(store, hash), hash, aor);
}

/* Takes out `old` (may be NULL), puts in `record` (may be NULL). The shard is locked. */
static void swap(struct location_store *store, struct shard *shard, uint64_t hash,
                 struct location_record *old, struct location_record *record)
{
    if (old) {
        map_remove(&shard->records, &old->node);
        atomic_fetch_sub_explicit(&store->aors, 1, memory_order_relaxed);
        atomic_fetch_sub_explicit(&store->bindings, old->count, memory_order_relaxed);
    }
    if (record) {
        map_insert(&shard->records, &record->node, hash);
        atomic_fetch_add_explicit(&store->aors, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&store->bindings, record->count, memory_order_relaxed);
    }
}

/* A binding that is refreshed has the same texts mostly, or such of the same
 * length: its record stays where it is. */
static bool rewrite(struct location_record *old, const struct location_record *record)
{
    return old && record && location_record_rewrite(old, record);
}

static bool change_to(const struct location_record *old, void *ctx, struct location_record **ret_record)
{
    (void)old;
    *ret_record = ctx;
    return true;
}

uint64_t location_store_expect(struct location_store *store, struct slice aor)
{
    uint64_t hash = location_store_hash(store, aor);
    struct shard *shard = shard_of(store, hash);

    pthread_rwlock_rdlock(&shard->lock);
    map_prefetch_bucket(&shard->records, hash);
    pthread_rwlock_unlock(&shard->lock);
    return hash;
}

void location_store_expect_record(struct location_store *store, uint64_t hash)
{
    struct shard *shard = shard_of(store, hash);

    pthread_rwlock_rdlock(&shard->lock);
    map_prefetch_first(&shard->records, hash);
    pthread_rwlock_unlock(&shard->lock);
}

void location_store_update_at(struct location_store *store, uint64_t hash, struct slice aor,
                              location_store_change_fn *change, void *ctx)
{
    struct shard *shard = shard_of(store, hash);
    struct location_record *old, *record = NULL, *left = NULL;

    pthread_rwlock_wrlock(&shard->lock);
    old = find(shard, hash, aor);
    if (change(old, ctx, &record)) {
        left = rewrite(old, record) ? record : old;
        if (left == old)
            swap(store, shard, hash, old, record);
    }
    pthread_rwlock_unlock(&shard->lock);
    location_record_free(left);
}

void location_store_update(struct location_store *store, struct slice aor, location_store_change_fn *change,
                           void *ctx)
{
    location_store_update_at(store, location_store_hash(store, aor), aor, change, ctx);
}

void location_store_put(struct location_store *store, struct location_record *record)
{
    location_store_update(store, location_record_aor(record), change_to, record);
}

void location_store_remove(struct location_store *store, struct slice aor)
{
    location_store_update(store, aor, change_to, NULL);
}

/* ---- Filling ---- */

static int settle(struct location_store_fill *fill, const struct location_store_waiting *w)
{
    struct shard *shard = shard_of(fill->store, w->hash);
    struct location_record *old = find(shard, w->hash, location_record_aor(w->record)), *both;
    int rc;

    if (!old) {
        swap(fill->store, shard, w->hash, NULL, w->record);
        return 0;
    }
    rc = location_record_join(old, w->record, &both);
    location_record_free(w->record);
    if (rc == 0) {
        swap(fill->store, shard, w->hash, old, both);
        location_record_free(old);
    }
    fill->skipped += rc == ERR_LIMIT;
    return rc == ERR_LIMIT ? 0 : rc;
}

/* The oldest that waits, if any; its place is free then. */
static int settle_next(struct location_store_fill *fill)
{
    struct location_store_waiting *w = &fill->waiting[fill->next % LOCATION_STORE_AHEAD];
    int rc = w->record ? settle(fill, w) : 0;

    w->record = NULL;
    return rc;
}

int location_store_fill_add(struct location_store_fill *fill, struct location_record *record)
{
    uint64_t hash = location_store_hash(fill->store, location_record_aor(record));
    const struct location_store_waiting *half =
        &fill->waiting[(fill->next + LOCATION_STORE_AHEAD / 2) % LOCATION_STORE_AHEAD];
    int rc = settle_next(fill);

    map_prefetch_bucket(&shard_of(fill->store, hash)->records, hash);
    if (half->record)
        map_prefetch_first(&shard_of(fill->store, half->hash)->records, half->hash);
    fill->waiting[fill->next++ % LOCATION_STORE_AHEAD] = (struct location_store_waiting){record, hash};
    return rc;
}

int location_store_fill_end(struct location_store_fill *fill)
{
    int rc = 0;

    for (size_t i = 0; i < LOCATION_STORE_AHEAD; i++, fill->next++) {
        int settled = settle_next(fill);

        rc = rc == 0 ? settled : rc;
    }
    return rc;
}

struct each_visit {
    location_store_visit_fn *visit;
    void *ctx;
};

static void each_one(struct map_node *node, void *ctx)
{
    const struct each_visit *v = ctx;

    v->visit(record_of(node), v->ctx);
}

void location_store_each(struct location_store *store, unsigned shard, location_store_visit_fn *visit,
                         void *ctx)
{
    struct each_visit v = {visit, ctx};
    struct shard *s = &store->shards[shard];

    pthread_rwlock_rdlock(&s->lock);
    map_each(&s->records, each_one, &v);
    pthread_rwlock_unlock(&s->lock);
}

size_t location_store_count_aors(const struct location_store *store)
{
    return atomic_load_explicit(&store->aors, memory_order_relaxed);
}

size_t location_store_count_bindings(const struct location_store *store)
{
    return atomic_load_explicit(&store->bindings, memory_order_relaxed);
}
