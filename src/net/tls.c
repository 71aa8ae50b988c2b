#include "net/tls.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "crypto/crypto.h"
#include "net/tls_files.h"
#include "net/tls_names.h"
#include "net/tls_session.h"
#include <limits.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

/* RFC 9325 section 4.2: forward secrecy and authenticated encryption. Those of TLS 1.3 all are like that. */
#define CIPHERS_OF_1_2 "ECDHE+AESGCM:ECDHE+CHACHA20"

/* A session of a server that was spoken to, for the next connection to the same name. */
struct kept {
    struct map_node node;
    struct list age;
    SSL_SESSION *session;
    char name[];
};

struct tls_generation {
    atomic_uint refs;
    SSL_CTX **servers; /* one for each certificate */
    size_t n_servers;
    SSL_CTX *client;
    pthread_mutex_t lock;             /* for what follows */
    struct tls_ticket_key tickets[2]; /* the newest first */
    struct hash_key key;
    struct map kept;
    struct list oldest; /* struct kept */
};

struct net_tls {
    struct net_tls_opts opts;
    pthread_mutex_t lock;              /* for the pointer */
    struct tls_generation *generation; /* for new connections */
    atomic_uint handshakes;
};

/* ---- contexts ---- */

static void set_up(SSL_CTX *ctx, const struct net_tls_opts *opts)
{
    SSL_CTX_set_min_proto_version(ctx, opts->only_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION);
    SSL_CTX_set_cipher_list(ctx, CIPHERS_OF_1_2);
    /* A message of SIP says how long it is: a stream that is cut off without a goodbye hides nothing. */
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                                 SSL_OP_IGNORE_UNEXPECTED_EOF);
    /* The queue of a stream grows while a write waits, and a connection that waits holds no buffer. */
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_timeout(ctx, NET_TLS_SESSION_LIFE_S);
}

/* Sessions live in the tickets that the clients keep, so that any worker can resume them. */
static void set_up_server(SSL_CTX *ctx)
{
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(ctx, 1);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, tls_session_on_ticket);
    SSL_CTX_set_tlsext_servername_callback(ctx, tls_session_on_name);
    SSL_CTX_set_alpn_select_cb(ctx, tls_session_on_alpn, NULL);
}

static void set_up_client(SSL_CTX *ctx)
{
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, tls_session_on_new);
}

/* files NULL: a client that shows no certificate. */
static int context_new(const struct net_tls_opts *opts, const struct net_tls_certificate *files, size_t index,
                       X509_STORE *store, struct net_tls_problem *problem, SSL_CTX **ret_ctx)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    int r = 0;

    if (!ctx)
        return ERR_NOMEM;
    set_up(ctx, opts);
    SSL_CTX_set1_cert_store(ctx, store);
    if (files)
        r = tls_files_use(ctx, files, index, problem);
    if (r < 0)
        SSL_CTX_free(ctx);
    else
        *ret_ctx = ctx;
    return r;
}

/* ---- generations ---- */

static void drop_kept(struct tls_generation *g, struct kept *kept)
{
    map_remove(&g->kept, &kept->node);
    list_remove(&kept->age);
    SSL_SESSION_free(kept->session);
    mem_free(kept);
}

static void generation_free(struct tls_generation *g)
{
    while (!list_is_empty(&g->oldest))
        drop_kept(g, list_entry(g->oldest.next, struct kept, age));
    map_done(&g->kept);
    for (size_t i = 0; i < g->n_servers; i++)
        SSL_CTX_free(g->servers[i]);
    mem_free(g->servers);
    SSL_CTX_free(g->client);
    crypto_wipe(g->tickets, sizeof(g->tickets));
    pthread_mutex_destroy(&g->lock);
    mem_free(g);
}

static int add_servers(struct tls_generation *g, const struct net_tls_opts *opts, X509_STORE *store,
                       struct net_tls_problem *problem)
{
    int r = 0;

    for (size_t i = 0; i < opts->n_certificates && r == 0; i++) {
        r = context_new(opts, &opts->certificates[i], i, store, problem, &g->servers[i]);
        if (r == 0) {
            g->n_servers++;
            set_up_server(g->servers[i]);
        }
    }
    return r;
}

static int fill(struct tls_generation *g, const struct net_tls_opts *opts, struct net_tls_problem *problem)
{
    const struct net_tls_certificate *shown = opts->n_certificates > 0 ? &opts->certificates[0] : NULL;
    X509_STORE *store;
    int r = tls_files_store(opts->ca_file, problem, &store);

    if (r < 0)
        return r;
    r = add_servers(g, opts, store, problem);
    if (r == 0)
        r = context_new(opts, shown, 0, store, problem, &g->client);
    if (r == 0)
        set_up_client(g->client);
    X509_STORE_free(store);
    return r;
}

static int generation_new(const struct net_tls_opts *opts, struct net_tls_problem *problem,
                          struct tls_generation **ret_generation)
{
    struct tls_generation *g = mem_zalloc(sizeof(*g));
    int r;

    if (!g)
        return ERR_NOMEM;
    r = map_init(&g->kept, 16);
    if (r < 0) {
        mem_free(g);
        return r;
    }
    atomic_init(&g->refs, 1);
    pthread_mutex_init(&g->lock, NULL);
    list_init(&g->oldest);
    g->servers = mem_zalloc((opts->n_certificates + 1) * sizeof(*g->servers));
    r = g->servers ? crypto_random_bytes(&g->key, sizeof(g->key)) : ERR_NOMEM;
    if (r == 0)
        r = fill(g, opts, problem);
    if (r < 0)
        generation_free(g);
    else
        *ret_generation = g;
    return r;
}

struct tls_generation *tls_generation_get(struct net_tls *tls)
{
    struct tls_generation *g;

    pthread_mutex_lock(&tls->lock);
    g = tls->generation;
    atomic_fetch_add(&g->refs, 1);
    pthread_mutex_unlock(&tls->lock);
    return g;
}

void tls_generation_unref(struct tls_generation *g)
{
    if (atomic_fetch_sub(&g->refs, 1) == 1)
        generation_free(g);
}

SSL_CTX *tls_generation_server(const struct tls_generation *g)
{
    return g->n_servers > 0 ? g->servers[0] : NULL;
}

SSL_CTX *tls_generation_client(const struct tls_generation *g)
{
    return g->client;
}

/* A browser believes wildcards, so one is shown to it, though no SIP peer would take it. */
static bool suits(const SSL_CTX *ctx, const char *name)
{
    X509 *certificate = SSL_CTX_get0_certificate(ctx);

    return tls_names_has(certificate, slice_from_cstr(name)) ||
           X509_check_host(certificate, name, strlen(name), 0, NULL) == 1;
}

SSL_CTX *tls_generation_find(const struct tls_generation *g, const char *name)
{
    for (size_t i = 0; i < g->n_servers; i++)
        if (suits(g->servers[i], name))
            return g->servers[i];
    return NULL;
}

/* ---- sessions with servers ---- */

static struct kept *find_kept(const struct tls_generation *g, const char *name)
{
    uint64_t hash = hash_siphash64(&g->key, slice_from_cstr(name));

    for (struct map_node *n = map_first(&g->kept, hash); n; n = map_next(n)) {
        struct kept *kept = map_entry(n, struct kept, node);

        if (strcmp(kept->name, name) == 0)
            return kept;
    }
    return NULL;
}

/* Taken out: RFC 8446 appendix C.4 wants a ticket used once, and the server gives another. */
SSL_SESSION *tls_generation_take_session(struct tls_generation *g, const char *name)
{
    SSL_SESSION *session = NULL;
    struct kept *kept;

    pthread_mutex_lock(&g->lock);
    kept = find_kept(g, name);
    if (kept) {
        session = kept->session;
        kept->session = NULL;
        drop_kept(g, kept);
    }
    pthread_mutex_unlock(&g->lock);
    return session;
}

void tls_generation_put_session(struct tls_generation *g, const char *name, SSL_SESSION *session)
{
    size_t bytes = strlen(name) + 1;
    struct kept *kept = mem_alloc(sizeof(*kept) + bytes), *before;

    if (!kept) { /* the next handshake is a whole one */
        SSL_SESSION_free(session);
        return;
    }
    kept->session = session;
    memcpy(kept->name, name, bytes);
    pthread_mutex_lock(&g->lock);
    before = find_kept(g, name);
    if (!before && g->kept.count >= NET_TLS_SESSIONS_MAX)
        before = list_entry(g->oldest.next, struct kept, age);
    if (before)
        drop_kept(g, before);
    list_append(&g->oldest, &kept->age);
    map_insert(&g->kept, &kept->node, hash_siphash64(&g->key, slice_from_cstr(name)));
    pthread_mutex_unlock(&g->lock);
}

/* ---- keys of tickets ---- */

static int64_t now_s(void)
{
    return (int64_t)(clock_monotonic_ms() / 1000);
}

/* A key makes tickets for so long as they live, and opens them as long again: then nobody can open what was
 * sealed with it any more, not even who takes this process over (RFC 9325 section 3.4). */
static bool is_worn(const struct tls_ticket_key *key)
{
    return key->made_s == 0 || now_s() - key->made_s >= NET_TLS_SESSION_LIFE_S;
}

static bool is_dead(const struct tls_ticket_key *key)
{
    return key->made_s == 0 || now_s() - key->made_s >= 2 * NET_TLS_SESSION_LIFE_S;
}

int tls_generation_ticket_key(struct tls_generation *g, struct tls_ticket_key *ret_key)
{
    struct tls_ticket_key fresh;
    int r = 0;

    pthread_mutex_lock(&g->lock);
    if (is_worn(&g->tickets[0])) {
        r = crypto_random_bytes(&fresh, sizeof(fresh));
        fresh.made_s = now_s() + 1; /* the clock may stand at 0, which means none */
        if (r == 0) {
            g->tickets[1] = g->tickets[0];
            g->tickets[0] = fresh;
        }
        crypto_wipe(&fresh, sizeof(fresh));
    }
    if (r == 0)
        *ret_key = g->tickets[0];
    pthread_mutex_unlock(&g->lock);
    return r;
}

int tls_generation_find_ticket_key(struct tls_generation *g, const unsigned char name[16],
                                   struct tls_ticket_key *ret_key, bool *ret_is_old)
{
    int r = ERR_NOTFOUND;

    pthread_mutex_lock(&g->lock);
    for (size_t i = 0; i < 2 && r < 0; i++) {
        const struct tls_ticket_key *key = &g->tickets[i];

        if (is_dead(key) || memcmp(key->name, name, sizeof(key->name)) != 0)
            continue;
        *ret_key = *key;
        *ret_is_old = is_worn(key);
        r = 0;
    }
    pthread_mutex_unlock(&g->lock);
    return r;
}

/* ---- handshakes ---- */

bool tls_enter_handshake(struct net_tls *tls)
{
    if (atomic_fetch_add(&tls->handshakes, 1) < tls->opts.handshakes)
        return true;
    tls_leave_handshake(tls);
    return false;
}

void tls_leave_handshake(struct net_tls *tls)
{
    atomic_fetch_sub(&tls->handshakes, 1);
}

unsigned net_tls_handshakes(const struct net_tls *tls)
{
    return atomic_load(&tls->handshakes);
}

/* ---- life ---- */

int net_tls_new(const struct net_tls_opts *opts, struct net_tls_problem *problem, struct net_tls **ret_tls)
{
    struct net_tls *tls = mem_zalloc(sizeof(*tls));
    int r;

    if (!tls)
        return ERR_NOMEM;
    tls->opts = *opts;
    r = generation_new(opts, problem, &tls->generation);
    if (r < 0) {
        mem_free(tls);
        return r;
    }
    pthread_mutex_init(&tls->lock, NULL);
    *ret_tls = tls;
    return 0;
}

void net_tls_free(struct net_tls *tls)
{
    if (!tls)
        return;
    tls_generation_unref(tls->generation);
    pthread_mutex_destroy(&tls->lock);
    mem_free(tls);
}

static int check_dates(const struct tls_generation *g, struct net_tls_problem *problem)
{
    int r = 0;

    for (size_t i = 0; i < g->n_servers && r == 0; i++)
        r = tls_files_check_dates(g->servers[i], i, problem);
    return r;
}

int net_tls_reload(struct net_tls *tls, struct net_tls_problem *problem)
{
    struct tls_generation *g, *before;
    int r = generation_new(&tls->opts, problem, &g);

    if (r == 0 && (r = check_dates(g, problem)) < 0)
        generation_free(g);
    if (r < 0)
        return r;
    pthread_mutex_lock(&tls->lock);
    before = tls->generation;
    tls->generation = g;
    pthread_mutex_unlock(&tls->lock);
    tls_generation_unref(before);
    return 0;
}

int net_tls_days_left(struct net_tls *tls)
{
    struct tls_generation *g = tls_generation_get(tls);
    int least = INT_MAX;

    for (size_t i = 0; i < g->n_servers; i++) {
        int days = tls_files_days_left(g->servers[i]);

        least = days < least ? days : least;
    }
    tls_generation_unref(g);
    return least;
}

bool net_tls_has_name(struct net_tls *tls, struct slice name)
{
    struct tls_generation *g = tls_generation_get(tls);
    bool has = false;

    for (size_t i = 0; i < g->n_servers && !has; i++)
        has = tls_names_has(SSL_CTX_get0_certificate(g->servers[i]), name);
    tls_generation_unref(g);
    return has;
}

/* ---- for who checks a configuration ---- */

int net_tls_check_certificate(const struct net_tls_certificate *certificate, struct net_tls_problem *problem)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    int r;

    if (!ctx)
        return ERR_NOMEM;
    r = tls_files_use(ctx, certificate, 0, problem);
    if (r == 0)
        r = tls_files_check_dates(ctx, 0, problem);
    SSL_CTX_free(ctx);
    return r;
}

int net_tls_check_ca(const char *ca_file, struct net_tls_problem *problem)
{
    X509_STORE *store;
    int r = tls_files_store(ca_file, problem, &store);

    if (r == 0)
        X509_STORE_free(store);
    return r;
}
