#include "transport/registry.h"
#include "base/map.h"
#include "base/mem.h"
#include "sip/hop.h"
#include <assert.h>
#include <pthread.h>

struct entry {
    struct map_node node;
    struct addr peer;
    uint8_t transport;
    uint64_t flow;
};

/* How many connections one IP address has made. */
struct source {
    struct map_node node;
    struct addr ip; /* port 0 */
    size_t connections;
};

struct transport_registry {
    pthread_mutex_t lock;
    struct hash_key key;
    size_t total, per_source;
    struct map by_peer;
    struct map by_source;
};

static uint64_t hash_peer(const struct transport_registry *registry, uint8_t transport,
                          const struct addr *peer)
{
    struct hash_state st;
    hash_begin(&st, &registry->key);
    hash_add_u64(&st, transport);
    hash_add_u64(&st, peer->port);
    hash_add(&st, slice_make((const char *)peer->ip, sizeof(peer->ip)));
    return hash_end64(&st);
}

int transport_registry_new(const struct hash_key *key, size_t total, size_t per_source,
                           struct transport_registry **ret_registry)
{
    struct transport_registry *registry = mem_zalloc(sizeof(*registry));
    if (registry == NULL)
        return ERR_NOMEM;
    int rc = map_init(&registry->by_peer, 64);
    if (rc != 0)
        goto out;
    rc = map_init(&registry->by_source, 64);
    if (rc != 0) {
        map_done(&registry->by_peer);
        goto out;
    }
    pthread_mutex_init(&registry->lock, NULL);
    registry->key = *key;
    registry->total = total;
    registry->per_source = per_source;
    *ret_registry = registry;
    return 0;
out:
    mem_free(registry);
    return rc;
}

void transport_registry_free(struct transport_registry *registry)
{
    if (registry == NULL)
        return;
    map_done(&registry->by_peer);
    map_done(&registry->by_source);
    pthread_mutex_destroy(&registry->lock);
    mem_free(registry);
}

static struct source *find_source(struct transport_registry *registry, uint64_t hash, const struct addr *ip)
{
    struct map_node *node = map_first(&registry->by_source, hash);
    for (; node != NULL; node = map_next(node)) {
        struct source *source = map_entry(node, struct source, node);
        if (addr_eq(&source->ip, ip))
            return source;
    }
    return NULL;
}

bool transport_registry_enter_source(struct transport_registry *registry, const struct addr *peer)
{
    struct addr ip = *peer;
    ip.port = 0;
    uint64_t hash = hash_peer(registry, 0, &ip);
    pthread_mutex_lock(&registry->lock);
    struct source *source = find_source(registry, hash, &ip);
    if (source == NULL) {
        source = mem_zalloc(sizeof(*source));
        if (source != NULL) {
            source->ip = ip;
            map_insert(&registry->by_source, &source->node, hash);
        }
    }
    bool enters = source != NULL && source->connections < registry->per_source;
    if (enters)
        source->connections++;
    pthread_mutex_unlock(&registry->lock);
    return enters;
}

void transport_registry_leave_source(struct transport_registry *registry, const struct addr *peer)
{
    struct addr ip = *peer;
    ip.port = 0;
    pthread_mutex_lock(&registry->lock);
    struct source *source = find_source(registry, hash_peer(registry, 0, &ip), &ip);
    assert(source != NULL && source->connections > 0);
    source->connections--;
    if (source->connections == 0) {
        map_remove(&registry->by_source, &source->node);
        mem_free(source);
    }
    pthread_mutex_unlock(&registry->lock);
}

int transport_registry_add(struct transport_registry *registry, uint8_t transport, const struct addr *peer,
                           uint64_t flow)
{
    struct entry *entry = mem_zalloc(sizeof(*entry));
    if (entry == NULL)
        return ERR_NOMEM;
    entry->peer = *peer;
    entry->transport = transport;
    entry->flow = flow;
    pthread_mutex_lock(&registry->lock);
    bool has_room = registry->by_peer.count < registry->total;
    if (has_room)
        map_insert(&registry->by_peer, &entry->node, hash_peer(registry, transport, peer));
    pthread_mutex_unlock(&registry->lock);
    if (!has_room)
        mem_free(entry);
    return has_room ? 0 : ERR_LIMIT;
}

static bool is_peer(const struct entry *entry, uint8_t transport, const struct addr *peer)
{
    return entry->transport == transport && addr_eq(&entry->peer, peer);
}

void transport_registry_remove(struct transport_registry *registry, uint8_t transport,
                               const struct addr *peer, uint64_t flow)
{
    struct entry *found = NULL;
    pthread_mutex_lock(&registry->lock);
    struct map_node *node = map_first(&registry->by_peer, hash_peer(registry, transport, peer));
    for (; node != NULL && found == NULL; node = map_next(node)) {
        struct entry *entry = map_entry(node, struct entry, node);
        if (entry->flow == flow && is_peer(entry, transport, peer))
            found = entry;
    }
    if (found != NULL)
        map_remove(&registry->by_peer, &found->node);
    pthread_mutex_unlock(&registry->lock);
    mem_free(found);
}

uint64_t transport_registry_find(struct transport_registry *registry, uint8_t transport,
                                 const struct addr *peer)
{
    uint64_t flow = SIP_FLOW_NONE;
    pthread_mutex_lock(&registry->lock);
    struct map_node *node = map_first(&registry->by_peer, hash_peer(registry, transport, peer));
    for (; node != NULL && flow == SIP_FLOW_NONE; node = map_next(node)) {
        struct entry *entry = map_entry(node, struct entry, node);
        if (is_peer(entry, transport, peer))
            flow = entry->flow;
    }
    pthread_mutex_unlock(&registry->lock);
    return flow;
}
