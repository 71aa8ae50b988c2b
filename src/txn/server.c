#include "txn/driver.h"
#include <assert.h>

/* Tells methods apart that have no number. */
static uint32_t method_hash_of(const struct txn_layer *layer, enum sip_method method, struct slice name)
{
    return method == SIP_METHOD_OTHER ? (uint32_t)hash_siphash64(&layer->opts.hash_key, name) : 0;
}

static bool is_for(const struct txn_layer *layer, const struct txn_server *t, const struct txn_key *key,
                   struct sip_msg *request)
{
    return t->base.check == key->check &&
           (!txn_key_is_legacy(key->hash) || txn_legacy_matches(t->legacy, &layer->opts.hash_key, request));
}

/* The transaction with this method; any method but CANCEL when it is CANCEL that asks (section 9.2). */
static struct txn_server *find_server(const struct txn_layer *layer, const struct txn_key *key,
                                      struct sip_msg *request, bool any_method)
{
    enum sip_method method = request->method == SIP_METHOD_ACK ? SIP_METHOD_INVITE : request->method;
    uint32_t method_hash = method_hash_of(layer, method, request->method_name);

    for (struct map_node *n = map_first(&layer->map, key->hash); n; n = map_next(n)) {
        struct txn_server *t = map_entry(n, struct txn_server, base.node);

        if ((any_method || (t->method == method && t->method_hash == method_hash)) &&
            is_for(layer, t, key, request))
            return t;
    }
    return NULL;
}

static int key_of(const struct txn_layer *layer, struct sip_msg *request, struct txn_key *ret_key)
{
    return txn_key_server(&layer->opts.hash_key, request, request->method == SIP_METHOD_CANCEL, ret_key);
}

struct txn_key txn_expect_request(const struct txn_layer *layer, struct sip_msg *request)
{
    struct txn_key key = {0};

    /* Where everything is forwarded without transactions there is nothing to look among. */
    if (layer->map.count > 0 && key_of(layer, request, &key) == 0)
        map_prefetch_bucket(&layer->map, key.hash);
    return key;
}

enum txn_match txn_receive_request(struct txn_layer *layer, struct sip_msg *request,
                                   const struct txn_key *expected)
{
    struct txn_key key = expected ? *expected : txn_expect_request(layer, request);
    struct txn_server *t = key.hash != 0 ? find_server(layer, &key, request, false) : NULL;
    const struct txn_machine *m;
    unsigned effects;

    if (!t)
        return TXN_MATCH_NONE;
    m = txn_machine_of(&t->base);
    effects = txn_happen(&t->base, request->method == SIP_METHOD_ACK ? m->on_ack : m->on_request,
                         &(struct txn_input){0});
    return effects & TXN_GIVE_ACK ? TXN_MATCH_ACCEPTED : TXN_MATCH_ABSORBED;
}

struct txn_server *txn_server_find_cancelled(struct txn_layer *layer, struct sip_msg *cancel)
{
    struct txn_key key;

    if (txn_key_server(&layer->opts.hash_key, cancel, false, &key) < 0)
        return NULL;
    return find_server(layer, &key, cancel, true);
}

int txn_server_new(struct txn_layer *layer, struct sip_msg *request, const struct txn_key *known,
                   const struct sip_hop *reply_hop, void *user, struct txn_server **ret_server)
{
    enum txn_kind kind = request->method == SIP_METHOD_INVITE ? TXN_SERVER_INVITE : TXN_SERVER_NON_INVITE;
    struct txn_legacy *legacy = NULL;
    struct txn_server *server;
    struct txn_key key;
    int rc = 0;

    assert(request->method != SIP_METHOD_ACK);
    if (known && known->hash != 0)
        key = *known;
    else
        rc = key_of(layer, request, &key);
    if (rc < 0)
        return rc;
    if (find_server(layer, &key, request, false))
        return ERR_EXISTS;
    if (txn_layer_count(layer) >= layer->opts.max_transactions)
        return ERR_NOMEM;
    if (txn_key_is_legacy(key.hash)) {
        rc = txn_legacy_new(&layer->opts.hash_key, request, &legacy);
        if (rc < 0)
            return rc;
    }
    server = pool_get(&layer->servers);
    if (!server) {
        txn_legacy_free(legacy);
        return ERR_NOMEM;
    }
    server->legacy = legacy;
    server->method = (uint8_t)request->method;
    server->method_hash = method_hash_of(layer, request->method, request->method_name);
    server->base.hop = *reply_hop;
    server->base.user = user;
    counter_inc(layer->opts.counters, COUNTER_TXN_SERVER_CREATED);
    *ret_server = server;
    txn_start(layer, &server->base, kind, &key, &(struct txn_input){0});
    return 0;
}

/* RFC 4320 section 4.1: until Timer E of the client has reached T2, a 100 over UDP does harm. */
static bool is_early_100(const struct txn *t, unsigned status)
{
    return status == 100 && txn_state_of(t)->repeat == TXN_TIMER_TRYING && t->repeat_ms != MS_NEVER &&
           !txn_is_reliable(t);
}

bool txn_server_wants_to_tag(const struct txn_server *t)
{
    return t->legacy != NULL;
}

int txn_server_respond(struct txn_layer *layer, struct txn_server *t, unsigned status, struct slice to_tag,
                       struct wire *wire)
{
    const struct txn_machine *m = txn_machine_of(&t->base);
    uint8_t event = is_early_100(&t->base, status) ? m->on_early_100 : txn_machine_status_event(m, status);
    const struct txn_input in = {.wire = wire};

    assert(t->base.layer == layer && event != TXN_EVENT_NONE);
    if (txn_machine_cell(m, t->base.state, event)->effects & TXN_REFUSE)
        return ERR_DENIED;
    if (t->legacy)
        txn_legacy_set_sent_tag(t->legacy, &layer->opts.hash_key, to_tag);
    txn_happen(&t->base, event, &in);
    return 0;
}

void txn_server_abandon(struct txn_layer *layer, struct txn_server *t)
{
    assert(t->base.layer == layer);
    (void)layer;
    txn_happen(&t->base, txn_machine_of(&t->base)->on_abandon, &(struct txn_input){0});
}

void txn_server_set_user(struct txn_server *t, void *user)
{
    t->base.user = user;
}

void *txn_server_user(const struct txn_server *t)
{
    return t->base.user;
}

struct txn_server *txn_server_of_token(const struct txn_layer *layer, uint64_t token)
{
    struct map_node *n = map_first(&layer->map, token);
    struct txn *t = n ? map_entry(n, struct txn, node) : NULL;

    return t && !txn_machine_of(t)->is_client ? map_entry(n, struct txn_server, base.node) : NULL;
}

struct wire *txn_server_response(const struct txn_server *t)
{
    return t->base.kept;
}

struct txn_key txn_expect_via(const struct txn_layer *layer, const struct sip_via *via)
{
    struct txn_key key = {0};

    if (txn_key_server_via(&layer->opts.hash_key, via, &key) == 0)
        map_prefetch_bucket(&layer->map, key.hash);
    return key;
}

uint64_t txn_server_token(const struct txn_layer *layer, const struct txn_key *expected)
{
    struct map_node *n = expected->hash != 0 ? map_first(&layer->map, expected->hash) : NULL;

    for (; n; n = map_next(n))
        if (map_entry(n, struct txn, node)->check == expected->check)
            return expected->hash;
    return 0;
}

const struct sip_hop *txn_server_hop(const struct txn_server *t)
{
    return &t->base.hop;
}

void txn_server_set_hop(struct txn_server *t, const struct sip_hop *hop)
{
    t->base.hop = *hop;
}

enum sip_method txn_server_method(const struct txn_server *t)
{
    return (enum sip_method)t->method;
}

bool txn_server_has_final(const struct txn_server *t)
{
    return txn_is_final(&t->base);
}

const char *txn_server_state_name(const struct txn_server *t)
{
    return txn_state_of(&t->base)->name;
}
