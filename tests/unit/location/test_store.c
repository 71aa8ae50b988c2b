/* The bindings in memory: look-ups by many threads while one puts. */
#include "base/mem.h"
#include "location/store.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define USERS 500

static const struct hash_key key = {1, 2};

struct user {
    char aor[32];
};

static struct slice aor_of(unsigned number, struct user *u)
{
    snprintf(u->aor, sizeof(u->aor), "sip:u%u@example.com", number);
    return slice_from_cstr(u->aor);
}

/* A record of which every part tells its version, so that a torn one would show. */
static struct location_record *record_new(unsigned number, unsigned version)
{
    struct location_binding b[3];
    struct location_record *record;
    struct user u;

    for (size_t i = 0; i < 1 + version % 3; i++)
        b[i] = (struct location_binding){
            .uri = SLICE("sip:a@h"), .call_id = SLICE("c"), .cseq = version, .expires_s = version};
    assert_int_equal(location_record_new(aor_of(number, &u), b, 1 + version % 3, &record), 0);
    return record;
}

static void test_put_replaces_and_remove_removes(void **state)
{
    struct location_store *store;
    struct arena_pool pool;
    struct arena arena;
    const struct location_record *got;
    struct user u;

    (void)state;
    arena_pool_init(&pool, 1 << 20);
    arena_init(&arena, &pool);
    assert_int_equal(location_store_new(&key, 0, &store), 0);
    assert_int_equal(location_store_get(store, SLICE("sip:u1@example.com"), &arena, &got), ERR_NOTFOUND);
    for (unsigned i = 0; i < USERS; i++)
        location_store_put(store, record_new(i, 0));
    for (unsigned i = 0; i < USERS; i++)
        location_store_put(store, record_new(i, 1));
    assert_int_equal(location_store_count_aors(store), USERS);
    assert_int_equal(location_store_count_bindings(store), 2 * USERS);
    for (unsigned i = 0; i < USERS; i++) {
        assert_int_equal(location_store_get(store, aor_of(i, &u), &arena, &got), 0);
        assert_true(slice_eq(location_record_aor(got), aor_of(i, &u)));
        assert_int_equal(location_record_get(got, 1).cseq, 1);
        assert_ptr_not_equal(got, location_store_peek(store, aor_of(i, &u)));
    }
    for (unsigned i = 0; i < USERS; i += 2)
        location_store_remove(store, aor_of(i, &u));
    location_store_remove(store, SLICE("sip:nobody@example.com"));
    assert_int_equal(location_store_count_aors(store), USERS / 2);
    assert_null(location_store_peek(store, aor_of(0, &u)));
    assert_non_null(location_store_peek(store, aor_of(1, &u)));
    location_store_free(store);
    arena_done(&arena);
    arena_pool_done(&pool);
    assert_int_equal(mem_held_bytes(), 0);
}

static bool change_version(const struct location_record *old, void *ctx, struct location_record **ret_record)
{
    assert_int_equal(location_record_get(old, 0).cseq, 0);
    *ret_record = ctx;
    return true;
}

static void test_a_record_is_rewritten_where_it_is_if_the_new_one_is_as_long(void **state)
{
    struct location_store *store;
    const struct location_record *first;
    struct user u;
    uint64_t hash;

    (void)state;
    assert_int_equal(location_store_new(&key, 0, &store), 0);
    hash = location_store_expect(store, aor_of(1, &u));
    location_store_expect_record(store, hash);
    location_store_put(store, record_new(1, 0));
    first = location_store_peek(store, aor_of(1, &u));
    location_store_expect_record(store, hash);
    location_store_update_at(store, hash, aor_of(1, &u), change_version, record_new(1, 3));
    assert_ptr_equal(location_store_peek(store, aor_of(1, &u)), first);
    assert_int_equal(location_record_get(first, 0).cseq, 3);
    assert_int_equal(location_record_get(first, 0).expires_s, 3);
    assert_true(slice_eq(location_record_aor(first), aor_of(1, &u)));
    location_store_put(store, record_new(1, 1));
    assert_int_equal(location_store_peek(store, aor_of(1, &u))->count, 2);
    assert_int_equal(location_store_count_aors(store), 1);
    assert_int_equal(location_store_count_bindings(store), 2);
    location_store_free(store);
    assert_int_equal(mem_held_bytes(), 0);
}

/* As long as one binding with longer texts. */
static void test_a_record_of_fewer_bindings_is_another_one(void **state)
{
    static const char text[1024] = "sip:";
    struct location_binding b[2] = {{.uri = SLICE("sip:a")}, {.uri = SLICE("sip:b")}};
    struct location_record *two, *one;
    size_t missing;

    (void)state;
    assert_int_equal(location_record_new(SLICE("sip:u@h"), b, 2, &two), 0);
    assert_int_equal(location_record_new(SLICE("sip:u@h"), b, 1, &one), 0);
    missing = two->bytes - one->bytes;
    location_record_free(one);
    b[0].uri = slice_make(text, b[0].uri.len + missing);
    assert_int_equal(location_record_new(SLICE("sip:u@h"), b, 1, &one), 0);
    assert_int_equal(one->bytes, two->bytes);
    assert_false(location_record_rewrite(two, one));
    assert_int_equal(two->count, 2);
    location_record_free(one);
    location_record_free(two);
}

static void count(const struct location_record *record, void *ctx)
{
    (void)record;
    (*(size_t *)ctx)++;
}

static void test_each_visits_every_record_once(void **state)
{
    struct location_store *store;
    size_t visited = 0;

    (void)state;
    assert_int_equal(location_store_new(&key, 0, &store), 0);
    for (unsigned i = 0; i < USERS; i++)
        location_store_put(store, record_new(i, 0));
    for (unsigned shard = 0; shard < LOCATION_STORE_SHARDS; shard++)
        location_store_each(store, shard, count, &visited);
    assert_int_equal(visited, USERS);
    location_store_free(store);
}

static void test_a_full_arena_is_told(void **state)
{
    struct location_store *store;
    struct arena_pool pool;
    struct arena arena;
    const struct location_record *got;

    (void)state;
    arena_pool_init(&pool, 0);
    arena_init(&arena, &pool);
    assert_int_equal(location_store_new(&key, 0, &store), 0);
    location_store_put(store, record_new(1, 0));
    assert_int_equal(location_store_get(store, SLICE("sip:u1@example.com"), &arena, &got), ERR_NOMEM);
    location_store_free(store);
    arena_done(&arena);
    arena_pool_done(&pool);
}

static void test_no_memory_for_a_store_leaks_nothing(void **state)
{
    struct location_store *store;
    int rc = ERR_NOMEM;

    (void)state;
    for (int64_t n = 0; rc != 0; n++) {
        mem_fail_after(n);
        rc = location_store_new(&key, 0, &store);
        mem_fail_after(-1);
        if (rc != 0) {
            assert_int_equal(rc, ERR_NOMEM);
            assert_int_equal(mem_held_bytes(), 0);
        }
    }
    location_store_free(store);
    assert_int_equal(mem_held_bytes(), 0);
}

#define READERS  3
#define VERSIONS 40

struct race {
    struct location_store *store;
    atomic_bool done;
    atomic_uint torn;
};

static bool is_whole(const struct location_record *record)
{
    unsigned version = location_record_get(record, 0).cseq;

    if (record->count != 1 + version % 3)
        return false;
    for (size_t i = 0; i < record->count; i++) {
        struct location_binding b = location_record_get(record, i);

        if (b.cseq != version || b.expires_s != version)
            return false;
    }
    return true;
}

static void *read_all(void *ctx)
{
    struct race *r = ctx;
    struct arena_pool pool;
    struct arena arena;
    struct user u;

    arena_pool_init(&pool, 1 << 20);
    arena_init(&arena, &pool);
    while (!atomic_load(&r->done)) {
        for (unsigned i = 0; i < USERS; i++) {
            const struct location_record *got;

            if (location_store_get(r->store, aor_of(i, &u), &arena, &got) == 0 && !is_whole(got))
                atomic_fetch_add(&r->torn, 1);
        }
        arena_reset(&arena);
    }
    arena_done(&arena);
    arena_pool_done(&pool);
    return NULL;
}

static void test_readers_see_whole_records_while_they_change(void **state)
{
    struct race race = {0};
    pthread_t readers[READERS];
    struct user u;

    (void)state;
    assert_int_equal(location_store_new(&key, 0, &race.store), 0);
    for (size_t i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_all, &race), 0);
    for (unsigned version = 0; version < VERSIONS; version++) {
        for (unsigned i = 0; i < USERS; i++) {
            if ((i + version) % 7 == 0) {
                location_store_remove(race.store, aor_of(i, &u));
                continue;
            }
            location_store_put(race.store, record_new(i, version));
            /* As long as the one before, and written over it. */
            location_store_put(race.store, record_new(i, version + 3));
        }
    }
    atomic_store(&race.done, true);
    for (size_t i = 0; i < READERS; i++)
        pthread_join(readers[i], NULL);
    assert_int_equal(race.torn, 0);
    location_store_free(race.store);
    assert_int_equal(mem_held_bytes(), 0);
}

static struct location_record *contact_new(unsigned user, unsigned contact)
{
    char uri[32];
    struct location_binding b = {.call_id = SLICE("c"), .cseq = contact};
    struct location_record *record;
    struct user u;

    snprintf(uri, sizeof(uri), "sip:%u@h", contact);
    b.uri = slice_from_cstr(uri);
    assert_int_equal(location_record_new(aor_of(user, &u), &b, 1, &record), 0);
    return record;
}

/* As the rows of a database come: those of one address-of-record near to or far from each other, and more of
 * them than the table was made for. */
static void test_filling_joins_the_bindings_of_an_address_in_order(void **state)
{
    struct location_store_fill fill = {0};
    struct user u;

    (void)state;
    assert_int_equal(location_store_new(&key, 0, &fill.store), 0);
    for (unsigned contact = 0; contact < 3; contact++)
        for (unsigned i = 0; i < USERS; i++)
            assert_int_equal(location_store_fill_add(&fill, contact_new(i, contact)), 0);
    for (unsigned contact = 3; contact < 6; contact++)
        assert_int_equal(location_store_fill_add(&fill, contact_new(7, contact)), 0);
    assert_int_equal(location_store_fill_end(&fill), 0);
    assert_int_equal(fill.skipped, 0);
    assert_int_equal(location_store_count_aors(fill.store), USERS);
    assert_int_equal(location_store_count_bindings(fill.store), 3 * USERS + 3);
    for (unsigned i = 0; i < USERS; i++) {
        const struct location_record *record = location_store_peek(fill.store, aor_of(i, &u));

        assert_non_null(record);
        assert_int_equal(record->count, i == 7 ? 6 : 3);
        for (unsigned k = 0; k < record->count; k++)
            assert_int_equal(location_record_get(record, k).cseq, k);
    }
    location_store_free(fill.store);
    assert_int_equal(mem_held_bytes(), 0);
}

static void test_filling_leaves_out_what_is_too_much_of_one_address(void **state)
{
    struct location_store_fill fill = {0};

    (void)state;
    assert_int_equal(location_store_new(&key, 0, &fill.store), 0);
    for (unsigned i = 0; i < LOCATION_CONTACTS_MAX + 5; i++)
        assert_int_equal(location_store_fill_add(&fill, contact_new(1, i)), 0);
    assert_int_equal(location_store_fill_add(&fill, contact_new(2, 0)), 0);
    assert_int_equal(location_store_fill_end(&fill), 0);
    assert_int_equal(fill.skipped, 5);
    assert_int_equal(location_store_count_bindings(fill.store), LOCATION_CONTACTS_MAX + 1);
    location_store_free(fill.store);
    assert_int_equal(mem_held_bytes(), 0);
}

static void test_filling_without_memory_keeps_what_there_is(void **state)
{
    struct location_store_fill fill = {0};
    struct location_record *second;
    struct user u;

    (void)state;
    assert_int_equal(location_store_new(&key, 0, &fill.store), 0);
    assert_int_equal(location_store_fill_add(&fill, contact_new(1, 0)), 0);
    second = contact_new(1, 1);
    assert_int_equal(location_store_fill_add(&fill, second), 0);
    mem_fail_after(0);
    assert_int_equal(location_store_fill_end(&fill), ERR_NOMEM);
    mem_fail_after(-1);
    assert_int_equal(location_store_peek(fill.store, aor_of(1, &u))->count, 1);
    location_store_free(fill.store);
    assert_int_equal(mem_held_bytes(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_replaces_and_remove_removes),
        cmocka_unit_test(test_a_record_is_rewritten_where_it_is_if_the_new_one_is_as_long),
        cmocka_unit_test(test_a_record_of_fewer_bindings_is_another_one),
        cmocka_unit_test(test_each_visits_every_record_once),
        cmocka_unit_test(test_a_full_arena_is_told),
        cmocka_unit_test(test_no_memory_for_a_store_leaks_nothing),
        cmocka_unit_test(test_readers_see_whole_records_while_they_change),
        cmocka_unit_test(test_filling_joins_the_bindings_of_an_address_in_order),
        cmocka_unit_test(test_filling_leaves_out_what_is_too_much_of_one_address),
        cmocka_unit_test(test_filling_without_memory_keeps_what_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
