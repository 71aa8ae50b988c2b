#include "txn/driver.h"
#include <assert.h>

struct txn *txn_find_client(const struct txn_layer *layer, const struct txn_key *key)
{
    for (struct map_node *n = map_first(&layer->map, key->hash); n; n = map_next(n)) {
        struct txn *t = map_entry(n, struct txn, node);

        if (t->check == key->check)
            return t;
    }
    return NULL;
}

int txn_client_new(struct txn_layer *layer, enum sip_method method, struct slice method_name,
                   struct slice branch, struct wire *request, const struct sip_hop *hop, void *user,
                   struct txn_client **ret_client)
{
    enum txn_kind kind = method == SIP_METHOD_INVITE ? TXN_CLIENT_INVITE : TXN_CLIENT_NON_INVITE;
    const struct txn_input in = {.wire = request};
    struct txn_client *client;
    struct txn_key key;

    /* "There is no client transaction for ACK" (section 17.1). */
    assert(method != SIP_METHOD_ACK);
    if (method != SIP_METHOD_OTHER)
        method_name = sip_method_name(method);
    key = txn_key_client(&layer->opts.hash_key, branch, method_name);
    if (txn_find_client(layer, &key))
        return ERR_EXISTS;
    client = txn_layer_count(layer) < layer->opts.max_transactions ? pool_get(&layer->clients) : NULL;
    if (!client)
        return ERR_NOMEM;
    client->base.hop = *hop;
    client->base.user = user;
    counter_inc(layer->opts.counters, COUNTER_TXN_CLIENT_CREATED);
    *ret_client = client;
    txn_start(layer, &client->base, kind, &key, &in);
    return 0;
}

void txn_client_set_user(struct txn_client *t, void *user)
{
    t->base.user = user;
}

void *txn_client_user(const struct txn_client *t)
{
    return t->base.user;
}

const struct sip_hop *txn_client_hop(const struct txn_client *t)
{
    return &t->base.hop;
}

static struct wire *regain(struct txn_client *t)
{
    const struct txn_layer_opts *opts = &t->base.layer->opts;

    if (!t->base.kept && t->base.user && opts->ops->client_request &&
        opts->ops->client_request(opts->ctx, t, &t->base.kept) < 0)
        return NULL;
    return t->base.kept;
}

struct wire *txn_client_request(struct txn_client *t)
{
    return txn_is_final(&t->base) ? NULL : regain(t);
}

void txn_client_release(struct txn_client *t)
{
    assert(txn_client_is_proceeding(t) && t->base.layer->opts.ops->client_request);
    wire_unref(t->base.kept);
    t->base.kept = NULL;
}

bool txn_client_is_proceeding(const struct txn_client *t)
{
    return txn_state_of(&t->base)->phase == TXN_PHASE_PROVISIONAL;
}

bool txn_client_has_final(const struct txn_client *t)
{
    return txn_is_final(&t->base);
}

const char *txn_client_state_name(const struct txn_client *t)
{
    return txn_state_of(&t->base)->name;
}

void txn_client_abandon(struct txn_layer *layer, struct txn_client *t)
{
    assert(t->base.layer == layer);
    (void)layer;
    txn_happen(&t->base, txn_machine_of(&t->base)->on_abandon, &(struct txn_input){0});
}

/* An ACK repeats parts of the request (section 17.1.1.3). Where there is no memory to make that again, the
 * response is as if it had been lost, and comes once more; over a stream it would not, so there it counts,
 * and the callee's Timer H ends his side. */
static bool may_happen(struct txn *t, uint8_t event)
{
    const struct txn_cell *cell = txn_machine_cell(txn_machine_of(t), t->state, event);

    return !(cell->effects & TXN_ACK) || regain(txn_client_of(t)) || txn_is_reliable(t);
}

enum txn_match txn_receive_response(struct txn_layer *layer, struct sip_msg *response)
{
    const struct txn_input in = {.response = response};
    const struct sip_cseq *cseq;
    const struct sip_via *via;
    struct txn_key key;
    struct txn *t;
    uint8_t event;

    if (layer->map.count == 0)
        return TXN_MATCH_NONE;
    if (sip_msg_top_via(response, &via) < 0 || sip_msg_cseq(response, &cseq) < 0)
        return TXN_MATCH_NONE;
    key = txn_key_client(&layer->opts.hash_key, via->branch, cseq->method_name);
    t = txn_find_client(layer, &key);
    if (!t)
        return TXN_MATCH_NONE;
    event = txn_machine_status_event(txn_machine_of(t), response->status);
    if (event != TXN_EVENT_NONE && may_happen(t, event))
        txn_happen(t, event, &in);
    return TXN_MATCH_ABSORBED;
}
