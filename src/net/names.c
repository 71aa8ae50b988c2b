#include "net/names.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "crypto/crypto.h"
#include <pthread.h>
#include <string.h>

struct name {
    struct map_node by_text, by_number;
    struct list age; /* in net_names.oldest */
    uint32_t number;
    uint8_t len;
    char text[]; /* lower case, NUL-terminated */
};

struct net_names {
    pthread_mutex_t lock;
    struct hash_key key; /* names come from strangers' URIs */
    struct map by_text, by_number;
    struct list oldest; /* struct name, the one asked for longest ago first */
    size_t capacity;
    uint32_t next_number;
};

static uint64_t hash_text(const struct net_names *names, struct slice text)
{
    struct hash_state st;

    hash_begin_table(&st, &names->key);
    hash_add_nocase(&st, text);
    return hash_end64(&st);
}

static uint64_t hash_number(const struct net_names *names, uint32_t number)
{
    struct hash_state st;

    hash_begin_table(&st, &names->key);
    hash_add_u64(&st, number);
    return hash_end64(&st);
}

int net_names_new(size_t capacity, struct net_names **ret_names)
{
    struct net_names *names = mem_zalloc(sizeof(*names));
    int r;

    if (!names)
        return ERR_NOMEM;
    r = crypto_random_bytes(&names->key, sizeof(names->key));
    if (r < 0)
        goto out;
    r = map_init(&names->by_text, 16);
    if (r < 0)
        goto out;
    r = map_init(&names->by_number, 16);
    if (r < 0) {
        map_done(&names->by_text);
        goto out;
    }
    pthread_mutex_init(&names->lock, NULL);
    list_init(&names->oldest);
    names->capacity = capacity;
    names->next_number = NET_NAME_NONE + 1;
    *ret_names = names;
    return 0;
out:
    mem_free(names);
    return r;
}

static void forget(struct net_names *names, struct name *name)
{
    map_remove(&names->by_text, &name->by_text);
    map_remove(&names->by_number, &name->by_number);
    list_remove(&name->age);
    mem_free(name);
}

void net_names_free(struct net_names *names)
{
    if (!names)
        return;
    while (!list_is_empty(&names->oldest))
        forget(names, list_entry(names->oldest.next, struct name, age));
    map_done(&names->by_text);
    map_done(&names->by_number);
    pthread_mutex_destroy(&names->lock);
    mem_free(names);
}

static struct name *find_text(const struct net_names *names, uint64_t hash, struct slice text)
{
    for (struct map_node *n = map_first(&names->by_text, hash); n; n = map_next(n)) {
        struct name *name = map_entry(n, struct name, by_text);

        if (slice_eq_nocase(slice_make(name->text, name->len), text))
            return name;
    }
    return NULL;
}

static struct name *find_number(const struct net_names *names, uint32_t number)
{
    for (struct map_node *n = map_first(&names->by_number, hash_number(names, number)); n; n = map_next(n)) {
        struct name *name = map_entry(n, struct name, by_number);

        if (name->number == number)
            return name;
    }
    return NULL;
}

/* After 2^32 names a number may still be in use. */
static uint32_t take_number(struct net_names *names)
{
    uint32_t number;

    do
        number = names->next_number++;
    while (number == NET_NAME_NONE || find_number(names, number));
    return number;
}

static struct name *add(struct net_names *names, uint64_t hash, struct slice text)
{
    struct name *name = mem_alloc(sizeof(*name) + text.len + 1);

    if (!name)
        return NULL;
    if (names->by_text.count >= names->capacity)
        forget(names, list_entry(names->oldest.next, struct name, age));
    name->number = take_number(names);
    name->len = (uint8_t)text.len;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        name->text[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    name->text[text.len] = '\0';
    list_append(&names->oldest, &name->age);
    map_insert(&names->by_text, &name->by_text, hash);
    map_insert(&names->by_number, &name->by_number, hash_number(names, name->number));
    return name;
}

static void make_youngest(struct net_names *names, struct name *name)
{
    list_remove(&name->age);
    list_append(&names->oldest, &name->age);
}

int net_names_number(struct net_names *names, struct slice text, uint32_t *ret_number)
{
    struct name *name;
    uint64_t hash;

    if (text.len > 0 && text.ptr[text.len - 1] == '.')
        text.len--;
    if (text.len == 0 || text.len > NET_NAME_MAX_BYTES)
        return ERR_LIMIT;
    if (slice_find(text, '\0') < text.len)
        return ERR_SYNTAX;
    hash = hash_text(names, text);
    pthread_mutex_lock(&names->lock);
    name = find_text(names, hash, text);
    if (name)
        make_youngest(names, name);
    else
        name = add(names, hash, text);
    if (name)
        *ret_number = name->number;
    pthread_mutex_unlock(&names->lock);
    return name ? 0 : ERR_NOMEM;
}

int net_names_text(struct net_names *names, uint32_t number, char ret_text[NET_NAME_MAX_BYTES + 1])
{
    struct name *name;

    pthread_mutex_lock(&names->lock);
    name = find_number(names, number);
    if (name) {
        make_youngest(names, name);
        memcpy(ret_text, name->text, name->len + 1u);
    }
    pthread_mutex_unlock(&names->lock);
    return name ? 0 : ERR_NOTFOUND;
}
