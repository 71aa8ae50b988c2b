#include "transport/registry.h"
#include "base/map.h"
#include "base/mem.h"
#include "sip/hop.h"
#include <assert.h>
#include <pthread.h>

struct entry {
    struct map_node by_peer, by_flow;
    struct transport_peer peer;
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
    size_t connections;
    struct map by_peer, by_flow;
    struct map by_source;
};

static uint64_t hash_peer(const struct transport_registry *registry, const struct transport_peer *peer)
{
    struct hash_state st;
    hash_begin_table(&st, &registry->key);
    hash_add_u64(&st, (uint64_t)peer->name << 8 | peer->transport);
    hash_add_u64(&st, peer->addr.port);
    hash_add(&st, slice_make((const char *)peer->addr.ip, sizeof(peer->addr.ip)));
    return hash_end64(&st);
}

static uint64_t hash_flow(const struct transport_registry *registry, uint64_t flow)
{
    struct hash_state st;
    hash_begin_table(&st, &registry->key);
    hash_add_u64(&st, flow);
    return hash_end64(&st);
}

static uint64_t hash_source(const struct transport_registry *registry, const struct addr *ip)
{
    const struct transport_peer peer = {.addr = *ip};
    return hash_peer(registry, &peer);
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
    rc = map_init(&registry->by_flow, 64);
    if (rc != 0)
        goto out_by_peer;
    rc = map_init(&registry->by_source, 64);
    if (rc != 0)
        goto out_by_flow;
    pthread_mutex_init(&registry->lock, NULL);
    registry->key = *key;
    registry->total = total;
    registry->per_source = per_source;
    *ret_registry = registry;
    return 0;
out_by_flow:
    map_done(&registry->by_flow);
out_by_peer:
    map_done(&registry->by_peer);
out:
    mem_free(registry);
    return rc;
}

void transport_registry_free(struct transport_registry *registry)
{
    if (registry == NULL)
        return;
    assert(registry->connections == 0);
    map_done(&registry->by_peer);
    map_done(&registry->by_flow);
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
    uint64_t hash = hash_source(registry, &ip);
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
    struct source *source = find_source(registry, hash_source(registry, &ip), &ip);
    assert(source != NULL && source->connections > 0);
    source->connections--;
    if (source->connections == 0) {
        map_remove(&registry->by_source, &source->node);
        mem_free(source);
    }
    pthread_mutex_unlock(&registry->lock);
}

bool transport_registry_enter(struct transport_registry *registry)
{
    pthread_mutex_lock(&registry->lock);
    bool enters = registry->connections < registry->total;
    registry->connections += enters;
    pthread_mutex_unlock(&registry->lock);
    return enters;
}

void transport_registry_leave(struct transport_registry *registry)
{
    pthread_mutex_lock(&registry->lock);
    assert(registry->connections > 0);
    registry->connections--;
    pthread_mutex_unlock(&registry->lock);
}

int transport_registry_add(struct transport_registry *registry, const struct transport_peer *peer,
                           uint64_t flow)
{
    struct entry *entry = mem_zalloc(sizeof(*entry));
    if (entry == NULL)
        return ERR_NOMEM;
    entry->peer = *peer;
    entry->flow = flow;
    pthread_mutex_lock(&registry->lock);
    map_insert(&registry->by_peer, &entry->by_peer, hash_peer(registry, peer));
    map_insert(&registry->by_flow, &entry->by_flow, hash_flow(registry, flow));
    pthread_mutex_unlock(&registry->lock);
    return 0;
}

static struct entry *find_by_flow(const struct transport_registry *registry, uint64_t flow)
{
    struct map_node *node = map_first(&registry->by_flow, hash_flow(registry, flow));
    for (; node != NULL; node = map_next(node)) {
        struct entry *entry = map_entry(node, struct entry, by_flow);
        if (entry->flow == flow)
            return entry;
    }
    return NULL;
}

void transport_registry_remove(struct transport_registry *registry, uint64_t flow)
{
    struct entry *entry;
    pthread_mutex_lock(&registry->lock);
    while ((entry = find_by_flow(registry, flow)) != NULL) {
        map_remove(&registry->by_peer, &entry->by_peer);
        map_remove(&registry->by_flow, &entry->by_flow);
        mem_free(entry);
    }
    pthread_mutex_unlock(&registry->lock);
}

static bool is_same(const struct transport_peer *a, const struct transport_peer *b)
{
    return a->transport == b->transport && a->name == b->name && addr_eq(&a->addr, &b->addr);
}

bool transport_registry_has(struct transport_registry *registry, uint64_t flow, const struct addr *addr)
{
    pthread_mutex_lock(&registry->lock);
    const struct entry *entry = find_by_flow(registry, flow);
    bool has = entry != NULL && addr_eq(&entry->peer.addr, addr);
    pthread_mutex_unlock(&registry->lock);
    return has;
}

uint64_t transport_registry_find(struct transport_registry *registry, const struct transport_peer *peer)
{
    uint64_t flow = SIP_FLOW_NONE;
    pthread_mutex_lock(&registry->lock);
    struct map_node *node = map_first(&registry->by_peer, hash_peer(registry, peer));
    for (; node != NULL && flow == SIP_FLOW_NONE; node = map_next(node)) {
        struct entry *entry = map_entry(node, struct entry, by_peer);
        if (is_same(&entry->peer, peer))
            flow = entry->flow;
    }
    pthread_mutex_unlock(&registry->lock);
    return flow;
}
