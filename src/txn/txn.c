#include "txn/txn.h"
#include "base/mem.h"
#include "txn/driver.h"
#include <assert.h>

#define BUCKETS_HINT   1024
#define SCRATCH_BYTES  (1024 * 1024)
#define TIMER_D_MIN_MS 32000 /* RFC 6026 section 8.4 */
#define T_MAX_MS       (3600 * 1000)
#define LINGERING_MAX  200 /* octets of one side of a transaction that waits out its timers */

const struct txn_times txn_times_default = {.t1_ms = 500, .t2_ms = 4000, .t4_ms = 5000, .timer_d_ms = 32000};

_Static_assert(sizeof(struct txn_client) <= LINGERING_MAX, "a client transaction that lingers must be small");
_Static_assert(sizeof(struct txn_server) <= LINGERING_MAX, "a server transaction that lingers must be small");

static bool are_times_sane(const struct txn_times *times)
{
    return times->t1_ms > 0 && times->t1_ms <= T_MAX_MS && times->t2_ms > 0 && times->t2_ms <= T_MAX_MS &&
           times->t4_ms > 0 && times->t4_ms <= T_MAX_MS && times->timer_d_ms >= TIMER_D_MIN_MS &&
           times->timer_d_ms <= T_MAX_MS;
}

static bool are_ops_complete(const struct txn_ops *ops)
{
    return ops->send && ops->client_response && ops->client_timeout && ops->client_transport_error &&
           ops->client_done && ops->server_trying_due && ops->server_no_ack && ops->server_transport_error &&
           ops->server_done;
}

int txn_layer_new(const struct txn_layer_opts *opts, struct txn_layer **ret_layer)
{
    struct txn_layer *layer;
    int rc;

    assert(opts->wheel && opts->counters && opts->ops && are_ops_complete(opts->ops));
    if (!are_times_sane(&opts->times))
        return ERR_RANGE;
    layer = mem_zalloc(sizeof(*layer));
    if (!layer)
        return ERR_NOMEM;
    layer->opts = *opts;
    rc = map_init(&layer->map, BUCKETS_HINT);
    if (rc < 0) {
        mem_free(layer);
        return rc;
    }
    pool_init(&layer->clients, sizeof(struct txn_client), opts->max_transactions);
    pool_init(&layer->servers, sizeof(struct txn_server), opts->max_transactions);
    arena_pool_init(&layer->scratch, SCRATCH_BYTES);
    *ret_layer = layer;
    return 0;
}

static void end_at_once(struct map_node *node, void *ctx)
{
    struct txn_layer *layer = ctx;

    map_remove(&layer->map, node);
    txn_destroy(map_entry(node, struct txn, node));
}

void txn_layer_free(struct txn_layer *layer)
{
    if (!layer)
        return;
    assert(layer->depth == 0);
    map_each(&layer->map, end_at_once, layer);
    map_done(&layer->map);
    pool_done(&layer->clients);
    pool_done(&layer->servers);
    arena_pool_done(&layer->scratch);
    mem_free(layer);
}

size_t txn_layer_count(const struct txn_layer *layer)
{
    return layer->clients.in_use + layer->servers.in_use;
}

size_t txn_layer_count_pending(const struct txn_layer *layer)
{
    return layer->pending;
}

void txn_send_failed(struct txn_layer *layer, uint64_t token)
{
    struct map_node *n = map_first(&layer->map, token);

    if (n)
        txn_fail(map_entry(n, struct txn, node), TXN_FAILED_MESSAGE);
}

void txn_branch_failed(struct txn_layer *layer, struct slice branch, struct slice method_name)
{
    bool of_ack = slice_eq(method_name, SLICE("ACK"));
    struct txn_key key =
        txn_key_client(&layer->opts.hash_key, branch, of_ack ? SLICE("INVITE") : method_name);
    struct txn *t = txn_find_client(layer, &key);

    if (t)
        txn_fail(t, of_ack ? TXN_FAILED_ACK : TXN_FAILED_MESSAGE);
}
