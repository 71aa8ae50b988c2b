#include "auth/users.h"
#include "auth/digest.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "crypto/crypto.h"
#include <pthread.h>
#include <sqlite3.h>

#define HEX_BYTES_MAX (2 * CRYPTO_DIGEST_MAX_BYTES)
/* Every algorithm, for the plain name and for the one with the domain. */
#define N_DIGESTS (2 * CRYPTO_DIGEST_ALG_COUNT)

const char *const auth_users_schema[] = {
    "CREATE TABLE user ("
    " domain TEXT NOT NULL,"
    " name TEXT NOT NULL,"
    " realm TEXT NOT NULL,"
    " ha1_md5 TEXT NOT NULL," /* H(name:realm:password) */
    " ha1_sha256 TEXT NOT NULL,"
    " ha1_sha512_256 TEXT NOT NULL,"
    " ha1b_md5 TEXT NOT NULL," /* H(name@domain:realm:password) */
    " ha1b_sha256 TEXT NOT NULL,"
    " ha1b_sha512_256 TEXT NOT NULL,"
    " PRIMARY KEY (domain, name)) WITHOUT ROWID;"
    /* Tells those who watch that there is something new, however it came about. */
    "CREATE TABLE user_generation (n INTEGER NOT NULL);"
    "INSERT INTO user_generation VALUES (1);"
    "CREATE TRIGGER user_added AFTER INSERT ON user BEGIN UPDATE user_generation SET n = n + 1; END;"
    "CREATE TRIGGER user_changed AFTER UPDATE ON user BEGIN UPDATE user_generation SET n = n + 1; END;"
    "CREATE TRIGGER user_deleted AFTER DELETE ON user BEGIN UPDATE user_generation SET n = n + 1; END;",
    NULL,
};

/* ---- The table ---- */

/* user = 1*( unreserved / user-unreserved ) of section 25.1, without escapes. */
static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-_.!~*'()&=+$,;?/", c) != NULL);
}

const char *auth_name_problem(struct slice name)
{
    if (name.len == 0)
        return "a user's name must not be empty";
    if (name.len > AUTH_NAME_BYTES_MAX)
        return "a user's name must not be longer than 128 characters";
    for (size_t i = 0; i < name.len; i++) {
        if (!is_name_char(name.ptr[i]))
            return "a user's name has letters, digits and -_.!~*'()&=+$,;?/ only";
    }
    return NULL;
}

static bool is_realm(struct slice realm)
{
    for (size_t i = 0; i < realm.len; i++) {
        if ((unsigned char)realm.ptr[i] < ' ' || realm.ptr[i] == 0x7f)
            return false;
    }
    return realm.len > 0 && realm.len <= AUTH_REALM_BYTES_MAX;
}

static bool is_account(const struct auth_account *a, struct slice password)
{
    return !auth_name_problem(a->name) && a->domain.len > 0 && a->domain.len <= AUTH_DOMAIN_BYTES_MAX &&
           is_realm(a->realm) && password.len > 0 && password.len <= AUTH_PASSWORD_BYTES_MAX;
}

struct digests {
    struct crypto_hex hex[N_DIGESTS];
};

static int compute_digests(const struct auth_account *a, struct slice password, struct digests *ret_digests)
{
    char text[AUTH_NAME_BYTES_MAX + 1 + AUTH_DOMAIN_BYTES_MAX];
    struct digests d;
    struct buf full;

    buf_init(&full, text, sizeof(text));
    buf_put(&full, a->name);
    buf_putc(&full, '@');
    buf_put(&full, a->domain);
    for (size_t i = 0; i < N_DIGESTS; i++) {
        enum crypto_digest_alg alg = (enum crypto_digest_alg)(i % CRYPTO_DIGEST_ALG_COUNT);
        struct slice name = i < CRYPTO_DIGEST_ALG_COUNT ? a->name : buf_slice(&full);
        int rc = auth_digest_ha1(alg, name, a->realm, password, &d.hex[i]);

        /* A library without MD5 still has the others. */
        if (rc == ERR_UNSUPPORTED && alg == CRYPTO_MD5)
            d.hex[i].len = 0;
        else if (rc != 0)
            return rc;
    }
    *ret_digests = d;
    return 0;
}

static void bind_text(sqlite3_stmt *stmt, int index, struct slice s)
{
    sqlite3_bind_text(stmt, index, s.ptr, (int)s.len, SQLITE_STATIC);
}

/* Runs sql with domain, name, and, where given, realm and digests bound; ret_changes: rows changed. */
static int change(sqlite3 *db, const char *sql, const struct auth_account *a, const struct digests *digests,
                  int *ret_changes)
{
    sqlite3_stmt *stmt;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

    if (rc != SQLITE_OK)
        return rc;
    bind_text(stmt, 1, a->domain);
    bind_text(stmt, 2, a->name);
    if (digests)
        bind_text(stmt, 3, a->realm);
    for (int i = 0; digests && i < N_DIGESTS; i++)
        bind_text(stmt, 4 + i, crypto_hex_slice(&digests->hex[i]));
    (void)sqlite3_step(stmt);
    rc = sqlite3_finalize(stmt);
    *ret_changes = sqlite3_changes(db);
    return rc;
}

/* sql is as for change(). */
static int change_password(sqlite3 *db, const char *sql, const struct auth_account *account,
                           struct slice password, int *ret_changes)
{
    struct digests digests;
    int rc;

    if (!is_account(account, password))
        return ERR_SYNTAX;
    rc = compute_digests(account, password, &digests);
    if (rc != 0)
        return rc;
    rc = change(db, sql, account, &digests, ret_changes);
    crypto_wipe(&digests, sizeof(digests));
    if ((rc & 0xff) == SQLITE_CONSTRAINT)
        return ERR_EXISTS;
    return rc == SQLITE_OK ? 0 : ERR_IO;
}

int auth_user_add(sqlite3 *db, const struct auth_account *account, struct slice password)
{
    int changes;

    return change_password(db, "INSERT INTO user VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)", account,
                           password, &changes);
}

int auth_user_set_password(sqlite3 *db, const struct auth_account *account, struct slice password)
{
    int changes;
    int rc = change_password(
        db,
        "UPDATE user SET realm = ?3, ha1_md5 = ?4, ha1_sha256 = ?5, ha1_sha512_256 = ?6,"
        " ha1b_md5 = ?7, ha1b_sha256 = ?8, ha1b_sha512_256 = ?9 WHERE domain = ?1 AND name = ?2",
        account, password, &changes);

    if (rc == 0 && changes == 0)
        return ERR_NOTFOUND;
    return rc;
}

int auth_user_delete(sqlite3 *db, const struct auth_account *account)
{
    int changes;

    if (change(db, "DELETE FROM user WHERE domain = ?1 AND name = ?2", account, NULL, &changes) != SQLITE_OK)
        return ERR_IO;
    return changes > 0 ? 0 : ERR_NOTFOUND;
}

static struct slice column(sqlite3_stmt *stmt, int index)
{
    const char *ptr = sqlite3_column_blob(stmt, index);

    return slice_make(ptr ? ptr : "", (size_t)sqlite3_column_bytes(stmt, index));
}

int auth_user_list(sqlite3 *db, struct slice domain, auth_user_visit_fn *visit, void *ctx)
{
    sqlite3_stmt *stmt;
    int rc = sqlite3_prepare_v2(db,
                                "SELECT domain, realm, name FROM user WHERE ?1 IS NULL OR domain = ?1"
                                " ORDER BY domain, name",
                                -1, &stmt, NULL);

    if (rc != SQLITE_OK)
        return ERR_IO;
    bind_text(stmt, 1, domain);
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        const struct auth_account account = {column(stmt, 0), column(stmt, 1), column(stmt, 2)};

        visit(ctx, &account);
    }
    return sqlite3_finalize(stmt) == SQLITE_OK ? 0 : ERR_IO;
}

/* ---- In memory ---- */

struct user {
    struct map_node node;
    uint16_t domain_len, name_len, realm_len;
    uint8_t hex_len[N_DIGESTS];
    /* domain, name, realm and digests follow */
};

/* All users at one time. */
struct snapshot {
    struct map users;
};

struct auth_users {
    sqlite3 *db;
    struct hash_key key;
    pthread_rwlock_t lock; /* of current */
    struct snapshot *current;
    sqlite3_int64 data_version, generation; /* as of current */
    struct log_limiter limiter;
};

static const char *text_of(const struct user *u)
{
    return (const char *)(u + 1);
}

static struct slice domain_of(const struct user *u)
{
    return slice_make(text_of(u), u->domain_len);
}

static struct slice name_of(const struct user *u)
{
    return slice_make(text_of(u) + u->domain_len, u->name_len);
}

static struct slice realm_of(const struct user *u)
{
    return slice_make(text_of(u) + u->domain_len + u->name_len, u->realm_len);
}

static struct slice digest_of(const struct user *u, size_t index)
{
    const char *at = text_of(u) + u->domain_len + u->name_len + u->realm_len;

    for (size_t i = 0; i < index; i++)
        at += u->hex_len[i];
    return slice_make(at, u->hex_len[index]);
}

static struct user *user_at(struct map_node *node)
{
    return map_entry(node, struct user, node);
}

static uint64_t hash_of(const struct auth_users *users, struct slice domain, struct slice name)
{
    struct hash_state st;

    hash_begin_table(&st, &users->key);
    hash_add(&st, domain);
    hash_add(&st, name);
    return hash_end64(&st);
}

static char *put(char *out, struct slice s)
{
    memcpy(out, s.ptr, s.len);
    return out + s.len;
}

static void free_user(struct map_node *node, void *ctx)
{
    map_remove(ctx, node);
    crypto_wipe(user_at(node), sizeof(struct user));
    mem_free(user_at(node));
}

static void snapshot_free(struct snapshot *snapshot)
{
    if (!snapshot)
        return;
    map_each(&snapshot->users, free_user, &snapshot->users);
    map_done(&snapshot->users);
    mem_free(snapshot);
}

static int snapshot_new(struct snapshot **ret_snapshot)
{
    struct snapshot *s = mem_zalloc(sizeof(*s));

    if (!s)
        return ERR_NOMEM;
    if (map_init(&s->users, 0) != 0) {
        mem_free(s);
        return ERR_NOMEM;
    }
    *ret_snapshot = s;
    return 0;
}

/* Columns: domain, name, realm, digests. A row that somebody else wrote badly is left out. */
static int add_row(const struct auth_users *users, struct snapshot *snapshot, sqlite3_stmt *stmt)
{
    struct slice part[3 + N_DIGESTS];
    struct user *u;
    size_t bytes = sizeof(*u);
    char *out;

    for (int i = 0; i < 3 + N_DIGESTS; i++) {
        part[i] = column(stmt, i);
        if (part[i].len > (i < 3 ? AUTH_REALM_BYTES_MAX : HEX_BYTES_MAX))
            return 0;
        bytes += part[i].len;
    }
    u = mem_zalloc(bytes);
    if (!u)
        return ERR_NOMEM;
    u->domain_len = (uint16_t)part[0].len;
    u->name_len = (uint16_t)part[1].len;
    u->realm_len = (uint16_t)part[2].len;
    out = put(put(put((char *)(u + 1), part[0]), part[1]), part[2]);
    for (int i = 0; i < N_DIGESTS; i++) {
        u->hex_len[i] = (uint8_t)part[3 + i].len;
        out = put(out, part[3 + i]);
    }
    map_insert(&snapshot->users, &u->node, hash_of(users, part[0], part[1]));
    return 0;
}

static int query_number(sqlite3 *db, const char *sql, sqlite3_int64 *ret_number)
{
    sqlite3_stmt *stmt;
    sqlite3_int64 number = 0;

    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
        return ERR_IO;
    if (sqlite3_step(stmt) == SQLITE_ROW)
        number = sqlite3_column_int64(stmt, 0);
    if (sqlite3_finalize(stmt) != SQLITE_OK)
        return ERR_IO;
    *ret_number = number;
    return 0;
}

static int get_generation(sqlite3 *db, sqlite3_int64 *ret_generation)
{
    return query_number(db, "SELECT n FROM user_generation", ret_generation);
}

static int read_rows(const struct auth_users *users, struct snapshot *snapshot)
{
    sqlite3_stmt *stmt;
    int rc = 0;

    if (sqlite3_prepare_v2(users->db,
                           "SELECT domain, name, realm, ha1_md5, ha1_sha256, ha1_sha512_256,"
                           " ha1b_md5, ha1b_sha256, ha1b_sha512_256 FROM user",
                           -1, &stmt, NULL) != SQLITE_OK)
        return ERR_IO;
    while (rc == 0 && sqlite3_step(stmt) == SQLITE_ROW)
        rc = add_row(users, snapshot, stmt);
    if (sqlite3_finalize(stmt) != SQLITE_OK && rc == 0)
        rc = ERR_IO;
    return rc;
}

/* All rows and the generation they belong to. */
static int read_all(const struct auth_users *users, struct snapshot *snapshot, sqlite3_int64 *ret_generation)
{
    int rc = sqlite3_exec(users->db, "BEGIN", NULL, NULL, NULL) == SQLITE_OK ? 0 : ERR_IO;

    if (rc == 0)
        rc = get_generation(users->db, ret_generation);
    if (rc == 0)
        rc = read_rows(users, snapshot);
    (void)sqlite3_exec(users->db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

static int reload(struct auth_users *users)
{
    struct snapshot *fresh, *old;
    sqlite3_int64 generation;
    int rc = snapshot_new(&fresh);

    if (rc != 0)
        return rc;
    rc = read_all(users, fresh, &generation);
    if (rc != 0) {
        snapshot_free(fresh);
        return rc;
    }
    pthread_rwlock_wrlock(&users->lock);
    old = users->current;
    users->current = fresh;
    pthread_rwlock_unlock(&users->lock);
    users->generation = generation;
    snapshot_free(old);
    return 0;
}

int auth_users_new(sqlite3 *db, struct auth_users **ret_users)
{
    struct auth_users *users = mem_zalloc(sizeof(*users));
    int rc;

    if (!users)
        return ERR_NOMEM;
    users->db = db;
    users->limiter.per_second = 1;
    pthread_rwlock_init(&users->lock, NULL);
    rc = crypto_random_bytes(&users->key, sizeof(users->key));
    if (rc == 0)
        rc = query_number(db, "PRAGMA data_version", &users->data_version);
    if (rc == 0)
        rc = reload(users);
    if (rc != 0) {
        auth_users_free(users);
        return rc;
    }
    *ret_users = users;
    return 0;
}

void auth_users_free(struct auth_users *users)
{
    if (!users)
        return;
    snapshot_free(users->current);
    pthread_rwlock_destroy(&users->lock);
    mem_free(users);
}

/* The bindings in the same file change all the time: only the generation says that it was a user. */
static int reload_if_changed(struct auth_users *users, bool *ret_reloaded)
{
    sqlite3_int64 data_version, generation;
    int rc = query_number(users->db, "PRAGMA data_version", &data_version);

    if (rc != 0 || data_version == users->data_version)
        return rc;
    rc = get_generation(users->db, &generation);
    if (rc == 0 && generation != users->generation) {
        rc = reload(users);
        *ret_reloaded = rc == 0;
    }
    if (rc == 0)
        users->data_version = data_version;
    return rc;
}

void auth_users_poll(struct auth_users *users)
{
    bool reloaded = false;
    int rc = reload_if_changed(users, &reloaded);

    if (rc != 0)
        log_limited(&users->limiter, LOG_ERROR, "users.not_read", log_cstr("error", err_name(rc)),
                    log_cstr("database", sqlite3_errmsg(users->db)));
    if (reloaded)
        log_event(LOG_INFO, "users.reloaded", log_u64("count", auth_users_count(users)));
}

size_t auth_users_count(struct auth_users *users)
{
    size_t count;

    pthread_rwlock_rdlock(&users->lock);
    count = users->current->users.count;
    pthread_rwlock_unlock(&users->lock);
    return count;
}

/* The lock is held. */
static const struct user *find(const struct auth_users *users, struct slice domain, struct slice name)
{
    struct map_node *n = map_first(&users->current->users, hash_of(users, domain, name));

    for (; n; n = map_next(n)) {
        if (slice_eq(domain_of(user_at(n)), domain) && slice_eq(name_of(user_at(n)), name))
            return user_at(n);
    }
    return NULL;
}

bool auth_users_exists(struct auth_users *users, struct slice domain, struct slice name)
{
    bool exists;

    pthread_rwlock_rdlock(&users->lock);
    exists = find(users, domain, name) != NULL;
    pthread_rwlock_unlock(&users->lock);
    return exists;
}

int auth_users_find(struct auth_users *users, struct slice domain, struct slice name, struct slice realm,
                    enum crypto_digest_alg alg, bool with_domain, struct auth_secret *ret_secret)
{
    size_t index = with_domain ? (size_t)CRYPTO_DIGEST_ALG_COUNT + alg : alg;
    const struct user *u;
    int rc = ERR_NOTFOUND;

    pthread_rwlock_rdlock(&users->lock);
    u = find(users, domain, name);
    if (u && digest_of(u, index).len > 0) {
        struct slice hex = digest_of(u, index);

        memcpy(ret_secret->ha1.text, hex.ptr, hex.len);
        ret_secret->ha1.len = hex.len;
        ret_secret->realm_differs = !slice_eq(realm_of(u), realm);
        rc = 0;
    }
    pthread_rwlock_unlock(&users->lock);
    return rc;
}
