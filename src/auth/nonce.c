#include "auth/nonce.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/num.h"
#include "crypto/base64url.h"
#include "crypto/crypto.h"
#include <pthread.h>
#include <stdatomic.h>

#define WAYS        8 /* nonces that compete for one place */
#define LOCKS       64
#define WINDOW_BITS 64 /* counts below the highest that may still come, out of order */
#define FUTURE_S    5  /* how far another worker's clock may be ahead of this one's */

/* What a nonce is made of; its text is base64url of these octets. */
struct octets {
    uint8_t issued[4];
    uint8_t number[8];
    uint8_t code[12];
};
_Static_assert(CRYPTO_BASE64URL_LEN(sizeof(struct octets)) == AUTH_NONCE_TEXT_BYTES,
               "the text has its promised length");

struct use {
    uint64_t number; /* 0: free */
    uint64_t seen;   /* bit n: count highest - n */
    uint32_t issued_s, highest;
};

struct set {
    struct use uses[WAYS];
    uint32_t forgotten_s; /* nonces issued up to then may have been forgotten */
};

struct auth_nonces {
    struct hash_key key;
    uint32_t lifetime_s;
    _Atomic uint64_t last_number;
    pthread_mutex_t locks[LOCKS];
    size_t mask;
    struct set *sets;
};

int auth_nonces_new(uint32_t lifetime_s, size_t uses, struct auth_nonces **ret_nonces)
{
    size_t n_sets = 64 / WAYS;
    while (n_sets * WAYS < uses)
        n_sets *= 2;
    struct auth_nonces *nonces = mem_zalloc(sizeof(*nonces));
    if (nonces == NULL)
        return ERR_NOMEM;
    nonces->lifetime_s = lifetime_s;
    nonces->mask = n_sets - 1;
    nonces->sets = mem_zalloc(n_sets * sizeof(*nonces->sets));
    int rc = nonces->sets == NULL ? ERR_NOMEM : crypto_random_bytes(&nonces->key, sizeof(nonces->key));
    if (rc != 0) {
        mem_free(nonces->sets);
        mem_free(nonces);
        return rc;
    }
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_init(&nonces->locks[i], NULL);
    *ret_nonces = nonces;
    return 0;
}

void auth_nonces_free(struct auth_nonces *nonces)
{
    if (nonces == NULL)
        return;
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_destroy(&nonces->locks[i]);
    mem_free(nonces->sets);
    crypto_wipe(&nonces->key, sizeof(nonces->key));
    mem_free(nonces);
}

static void put_code(const struct auth_nonces *nonces, struct slice realm, const struct octets *octets,
                     uint8_t out[sizeof(octets->code)])
{
    struct hash_state st;
    hash_begin(&st, &nonces->key);
    hash_add(&st, realm);
    hash_add(&st, slice_make((const char *)octets->issued, sizeof(octets->issued)));
    hash_add(&st, slice_make((const char *)octets->number, sizeof(octets->number)));
    struct hash128 h = hash_end128(&st);
    num_put_octets(num_put_octets(out, h.lo, 8), h.hi, 4);
}

/* Never 0: up to then nothing has been forgotten. */
static uint32_t seconds_of(ms_t now_ms)
{
    return (uint32_t)(now_ms / 1000) + 1;
}

void auth_nonce_issue(struct auth_nonces *nonces, struct slice realm, ms_t now_ms, struct buf *out)
{
    struct octets octets;
    num_put_octets(octets.issued, seconds_of(now_ms), sizeof(octets.issued));
    num_put_octets(octets.number, atomic_fetch_add(&nonces->last_number, 1) + 1, sizeof(octets.number));
    put_code(nonces, realm, &octets, octets.code);
    crypto_base64url_encode(slice_make((const char *)&octets, sizeof(octets)), out);
}

/* Ours, and not expired? */
static bool is_valid(const struct auth_nonces *nonces, struct slice text, struct slice realm, ms_t now_ms,
                     struct octets *ret_octets)
{
    size_t len;
    if (crypto_base64url_decode(text, ret_octets, sizeof(*ret_octets), &len) != 0 ||
        len != sizeof(*ret_octets))
        return false;
    uint8_t code[sizeof(ret_octets->code)];
    put_code(nonces, realm, ret_octets, code);
    if (!crypto_equal(slice_make((const char *)code, sizeof(code)),
                      slice_make((const char *)ret_octets->code, sizeof(code))))
        return false;
    int64_t age_s =
        (int64_t)seconds_of(now_ms) - (int64_t)num_get_octets(ret_octets->issued, sizeof(ret_octets->issued));
    return age_s >= -FUTURE_S && age_s <= nonces->lifetime_s;
}

/* The oldest use of a set, or a free one. */
static struct use *place_for(struct set *set)
{
    struct use *oldest = &set->uses[0];
    for (size_t i = 0; i < WAYS; i++) {
        if (set->uses[i].number == 0)
            return &set->uses[i];
        if (set->uses[i].issued_s < oldest->issued_s)
            oldest = &set->uses[i];
    }
    if (oldest->issued_s > set->forgotten_s)
        set->forgotten_s = oldest->issued_s;
    return oldest;
}

static enum auth_nonce_state first_use(struct set *set, uint64_t number, uint32_t issued_s, uint32_t nc)
{
    if (issued_s <= set->forgotten_s)
        return AUTH_NONCE_STALE;
    *place_for(set) = (struct use){.number = number, .seen = 1, .issued_s = issued_s, .highest = nc};
    return AUTH_NONCE_GOOD;
}

static enum auth_nonce_state use_again(struct use *use, uint32_t nc)
{
    if (nc > use->highest) {
        uint32_t ahead = nc - use->highest;
        use->seen = (ahead < WINDOW_BITS ? use->seen << ahead : 0) | 1;
        use->highest = nc;
        return AUTH_NONCE_GOOD;
    }
    uint32_t behind = use->highest - nc;
    if (behind >= WINDOW_BITS || (use->seen >> behind & 1) != 0)
        return AUTH_NONCE_REPLAY;
    use->seen |= (uint64_t)1 << behind;
    return AUTH_NONCE_GOOD;
}

enum auth_nonce_state auth_nonce_use(struct auth_nonces *nonces, struct slice nonce, struct slice realm,
                                     uint32_t nc, ms_t now_ms)
{
    struct octets octets;
    if (!is_valid(nonces, nonce, realm, now_ms, &octets))
        return AUTH_NONCE_STALE;
    uint64_t number = num_get_octets(octets.number, sizeof(octets.number));
    uint32_t issued_s = (uint32_t)num_get_octets(octets.issued, sizeof(octets.issued));
    if (nc == 0)
        nc = 1;

    /* Numbers are handed out in order, so the low bits spread evenly. */
    size_t index = number & nonces->mask;
    struct set *set = &nonces->sets[index];
    enum auth_nonce_state state = AUTH_NONCE_STALE;
    bool found = false;
    pthread_mutex_lock(&nonces->locks[index % LOCKS]);
    for (size_t i = 0; i < WAYS && !found; i++) {
        if (set->uses[i].number == number) {
            found = true;
            state = use_again(&set->uses[i], nc);
        }
    }
    if (!found)
        state = first_use(set, number, issued_s, nc);
    pthread_mutex_unlock(&nonces->locks[index % LOCKS]);
    return state;
}
