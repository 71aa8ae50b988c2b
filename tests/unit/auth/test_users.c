/* The credential store: a table for the command line, a map for the workers, digests instead of passwords. */
#include "auth/digest.h"
#include "auth/users.h"
#include "base/log.h"
#include "base/mem.h"
#include "crypto/crypto.h"
#include <pthread.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define DOMAIN SLICE("example.com")
#define REALM  SLICE("Example realm")

struct fixture {
    char path[64];
    sqlite3 *server, *cli; /* as in two processes */
};

static sqlite3 *open_db(const char *path)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL), SQLITE_OK);
    return db;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    int fd;

    assert_non_null(f);
    assert_int_equal(crypto_init(), 0);
    snprintf(f->path, sizeof(f->path), "/tmp/viaduct-users-XXXXXX");
    fd = mkstemp(f->path);
    assert_true(fd >= 0);
    close(fd);
    f->server = open_db(f->path);
    f->cli = open_db(f->path);
    for (size_t i = 0; auth_users_schema[i]; i++)
        assert_int_equal(sqlite3_exec(f->cli, auth_users_schema[i], NULL, NULL, NULL), SQLITE_OK);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char path[80];

    sqlite3_close(f->server);
    sqlite3_close(f->cli);
    unlink(f->path);
    snprintf(path, sizeof(path), "%s-wal", f->path);
    unlink(path);
    snprintf(path, sizeof(path), "%s-shm", f->path);
    unlink(path);
    free(f);
    assert_int_equal(mem_held_bytes(), 0);
    return 0;
}

static struct auth_account account(const char *name)
{
    return (struct auth_account){.domain = DOMAIN, .realm = REALM, .name = slice_from_cstr(name)};
}

static int add(struct fixture *f, const char *name, const char *password)
{
    const struct auth_account a = account(name);

    return auth_user_add(f->cli, &a, slice_from_cstr(password));
}

static void assert_password(struct auth_users *users, const char *name, const char *called,
                            const char *password)
{
    for (int alg = 0; alg < CRYPTO_DIGEST_ALG_COUNT; alg++) {
        struct auth_secret secret;
        struct crypto_hex want;

        assert_int_equal(auth_users_find(users, DOMAIN, slice_from_cstr(name), REALM,
                                         (enum crypto_digest_alg)alg, strchr(called, '@') != NULL, &secret),
                         0);
        assert_int_equal(auth_digest_ha1((enum crypto_digest_alg)alg, slice_from_cstr(called), REALM,
                                         slice_from_cstr(password), &want),
                         0);
        assert_true(slice_eq(crypto_hex_slice(&secret.ha1), crypto_hex_slice(&want)));
        assert_false(secret.realm_differs);
    }
}

static void test_7616_3_4_2_digests_of_both_forms_of_the_name(void **state)
{
    struct fixture *f = *state;
    struct auth_users *users;

    assert_int_equal(add(f, "alice", "wonder:land \303\244"), 0);
    assert_int_equal(auth_users_new(f->server, &users), 0);
    assert_password(users, "alice", "alice", "wonder:land \303\244");
    assert_password(users, "alice", "alice@example.com", "wonder:land \303\244");
    auth_users_free(users);
}

static void test_look_ups_are_exact(void **state)
{
    struct fixture *f = *state;
    struct auth_users *users;
    struct auth_secret secret;

    assert_int_equal(add(f, "alice", "x"), 0);
    assert_int_equal(auth_users_new(f->server, &users), 0);
    assert_true(auth_users_exists(users, DOMAIN, SLICE("alice")));
    assert_false(auth_users_exists(users, DOMAIN, SLICE("Alice")));
    assert_false(auth_users_exists(users, DOMAIN, SLICE("alic")));
    assert_false(auth_users_exists(users, DOMAIN, SLICE("")));
    assert_false(auth_users_exists(users, SLICE("example.co"), SLICE("malice")));
    assert_false(auth_users_exists(users, SLICE("example.net"), SLICE("alice")));
    assert_int_equal(auth_users_find(users, DOMAIN, SLICE("bob"), REALM, CRYPTO_MD5, false, &secret),
                     ERR_NOTFOUND);
    assert_int_equal(
        auth_users_find(users, DOMAIN, SLICE("alice"), SLICE("Another"), CRYPTO_MD5, false, &secret), 0);
    assert_true(secret.realm_differs);
    auth_users_free(users);
}

static void test_no_password_is_stored(void **state)
{
    struct fixture *f = *state;
    char command[256];

    assert_int_equal(add(f, "alice", "correct-horse-battery"), 0);
    assert_int_equal(sqlite3_exec(f->cli, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL), SQLITE_OK);
    snprintf(command, sizeof(command), "grep -q alice %s && ! grep -q correct-horse %s %s-wal", f->path,
             f->path, f->path);
    assert_int_equal(system(command), 0);
}

static void test_changes_of_another_process_are_seen_at_the_next_poll(void **state)
{
    struct fixture *f = *state;
    const struct auth_account alice = account("alice"), nobody = account("nobody");
    struct auth_users *users;

    assert_int_equal(auth_users_new(f->server, &users), 0);
    assert_int_equal(auth_users_count(users), 0);
    assert_int_equal(add(f, "alice", "one"), 0);
    assert_int_equal(add(f, "alice", "two"), ERR_EXISTS);
    assert_false(auth_users_exists(users, DOMAIN, SLICE("alice")));
    auth_users_poll(users);
    assert_password(users, "alice", "alice", "one");

    assert_int_equal(auth_user_set_password(f->cli, &alice, SLICE("three")), 0);
    auth_users_poll(users);
    assert_password(users, "alice", "alice", "three");
    assert_int_equal(auth_user_set_password(f->cli, &nobody, SLICE("x")), ERR_NOTFOUND);

    assert_int_equal(auth_user_delete(f->cli, &alice), 0);
    assert_int_equal(auth_user_delete(f->cli, &alice), ERR_NOTFOUND);
    auth_users_poll(users);
    assert_int_equal(auth_users_count(users), 0);
    auth_users_free(users);
}

static void test_a_failing_poll_keeps_what_is_known(void **state)
{
    struct fixture *f = *state;
    struct auth_users *users;

    assert_int_equal(add(f, "alice", "one"), 0);
    assert_int_equal(auth_users_new(f->server, &users), 0);
    assert_int_equal(add(f, "bob", "two"), 0);
    for (int64_t n = 0; n < 3; n++) {
        mem_fail_after(n);
        auth_users_poll(users);
        mem_fail_after(-1);
        assert_true(auth_users_exists(users, DOMAIN, SLICE("alice")));
        assert_false(auth_users_exists(users, DOMAIN, SLICE("bob")));
    }
    auth_users_poll(users);
    assert_true(auth_users_exists(users, DOMAIN, SLICE("bob")));

    assert_int_equal(sqlite3_exec(f->cli, "DROP TABLE user; DROP TABLE user_generation", NULL, NULL, NULL),
                     SQLITE_OK);
    auth_users_poll(users);
    assert_int_equal(auth_users_count(users), 2);
    auth_users_free(users);
}

static void test_names_realms_and_passwords_that_cannot_be_used(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"",      "a b",  "a@b",      "a:b",  "a\"b",
                                        "a%20b", "a\\b", "\303\244", "a\nb", "a<b"};
    static char text[AUTH_PASSWORD_BYTES_MAX + 2];
    struct auth_account a = account("alice");

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_non_null(auth_name_problem(slice_from_cstr(names[i])));
        assert_int_equal(add(f, names[i], "x"), ERR_SYNTAX);
    }
    memset(text, 'a', sizeof(text) - 1);
    assert_null(auth_name_problem(slice_make(text, AUTH_NAME_BYTES_MAX)));
    assert_non_null(auth_name_problem(slice_make(text, AUTH_NAME_BYTES_MAX + 1)));
    assert_null(auth_name_problem(SLICE("+49-30.1234_x!~*'()&=$,;?/")));
    assert_int_equal(add(f, "alice", ""), ERR_SYNTAX);
    assert_int_equal(add(f, "alice", text), ERR_SYNTAX);
    a.realm = SLICE("");
    assert_int_equal(auth_user_add(f->cli, &a, SLICE("x")), ERR_SYNTAX);
    a.realm = SLICE("two\r\nlines");
    assert_int_equal(auth_user_add(f->cli, &a, SLICE("x")), ERR_SYNTAX);
    a = account("alice");
    a.domain = SLICE("");
    assert_int_equal(auth_user_add(f->cli, &a, SLICE("x")), ERR_SYNTAX);
}

static void list_names(void *ctx, const struct auth_account *a)
{
    char *out = ctx;

    snprintf(out + strlen(out), 256 - strlen(out), "%.*s@%.*s ", SLICE_ARG(a->name), SLICE_ARG(a->domain));
}

static void test_listing_by_domain_and_name(void **state)
{
    struct fixture *f = *state;
    const struct auth_account other = {SLICE("a.example"), REALM, SLICE("zoe")};
    char names[256] = "";

    assert_int_equal(add(f, "bob", "x"), 0);
    assert_int_equal(add(f, "alice", "x"), 0);
    assert_int_equal(auth_user_add(f->cli, &other, SLICE("x")), 0);
    assert_int_equal(auth_user_list(f->cli, SLICE_NULL, list_names, names), 0);
    assert_string_equal(names, "zoe@a.example alice@example.com bob@example.com ");
    names[0] = '\0';
    assert_int_equal(auth_user_list(f->cli, SLICE("example.com"), list_names, names), 0);
    assert_string_equal(names, "alice@example.com bob@example.com ");
}

static void test_a_database_without_tables_is_an_error(void **state)
{
    struct auth_users *users;
    sqlite3 *empty;

    (void)state;
    assert_int_equal(sqlite3_open(":memory:", &empty), SQLITE_OK);
    assert_int_equal(auth_users_new(empty, &users), ERR_IO);
    assert_int_equal(auth_user_list(empty, SLICE_NULL, list_names, NULL), ERR_IO);
    sqlite3_close(empty);
}

struct race {
    struct auth_users *users;
    atomic_bool done;
    atomic_uint missed;
};

static void *look_up(void *ctx)
{
    struct race *r = ctx;

    while (!atomic_load(&r->done)) {
        struct auth_secret secret;

        if (auth_users_find(r->users, DOMAIN, SLICE("alice"), REALM, CRYPTO_SHA256, false, &secret) != 0 ||
            secret.ha1.len != 64)
            atomic_fetch_add(&r->missed, 1);
    }
    return NULL;
}

static void test_look_ups_go_on_while_users_are_read_anew(void **state)
{
    struct fixture *f = *state;
    struct race race = {0};
    pthread_t threads[2];
    char name[16];

    assert_int_equal(add(f, "alice", "x"), 0);
    assert_int_equal(auth_users_new(f->server, &race.users), 0);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, look_up, &race), 0);
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "user%d", i);
        assert_int_equal(add(f, name, "x"), 0);
        auth_users_poll(race.users);
        assert_int_equal(auth_users_count(race.users), i + 2);
    }
    atomic_store(&race.done, true);
    for (size_t i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(race.missed, 0);
    auth_users_free(race.users);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_7616_3_4_2_digests_of_both_forms_of_the_name),
        TEST(test_look_ups_are_exact),
        TEST(test_no_password_is_stored),
        TEST(test_changes_of_another_process_are_seen_at_the_next_poll),
        TEST(test_a_failing_poll_keeps_what_is_known),
        TEST(test_names_realms_and_passwords_that_cannot_be_used),
        TEST(test_listing_by_domain_and_name),
        TEST(test_a_database_without_tables_is_an_error),
        TEST(test_look_ups_go_on_while_users_are_read_anew),
    };
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
