/* Private to the layer: the driver. It looks cells up in the machines, commits states with their timers, and
 * carries effects out; client.c and server.c turn what comes from outside into events for it.
 *
 * Every event runs inside txn_happen(), which counts how deep calls are nested. A transaction that is
 * Terminated leaves the map and its timer at once, but its memory and its `done` wait for the end of the
 * outermost call: whoever is on the stack may still hold it. */
#ifndef TXN_DRIVER_H
#define TXN_DRIVER_H

#include "base/map.h"
#include "base/pool.h"
#include "txn/machine.h"
#include "txn/match.h"

enum txn_failure { TXN_FAILED_NOTHING, TXN_FAILED_MESSAGE, TXN_FAILED_ACK };

/* What client and server have in common. One struct timer serves the two that may run at a time: it is set to
 * the earlier of repeat_ms and end_ms. */
struct txn {
    struct map_node node; /* its hash is the token too; in the list of the dead once it is Terminated */
    uint64_t check;
    struct timer timer;
    struct txn_layer *layer;
    struct wire *kept; /* request, ACK or last response */
    void *user;        /* NULL: detached */
    struct sip_hop hop;
    ms_t repeat_ms, end_ms; /* MS_NEVER: not running */
    uint32_t interval_ms;   /* what the retransmission timer was last set to */
    uint8_t kind, state;
    uint8_t failed; /* enum txn_failure that waits until it can be told */
    bool has_ack;   /* what is kept is the ACK */
};

struct txn_client {
    struct txn base;
};

struct txn_server {
    struct txn base;
    struct txn_legacy *legacy; /* of an RFC 2543 client only */
    uint32_t method_hash;      /* of a method not known by name */
    uint8_t method;
};

struct txn_layer {
    struct txn_layer_opts opts;
    struct map map; /* clients and servers: their hashes differ */
    struct pool clients, servers;
    struct arena_pool scratch;
    struct map_node *dead; /* Terminated during the outermost call, freed at its end */
    size_t pending;
    unsigned depth; /* calls into the layer that are on the stack */
};

/* What came with an event. */
struct txn_input {
    struct sip_msg *response; /* from the network */
    struct wire *wire;        /* from the TU */
};

static inline const struct txn_machine *txn_machine_of(const struct txn *t)
{
    return txn_machine((enum txn_kind)t->kind);
}

static inline const struct txn_state *txn_state_of(const struct txn *t)
{
    return &txn_machine_of(t)->states[t->state];
}

static inline bool txn_is_final(const struct txn *t)
{
    return txn_state_of(t)->phase >= TXN_PHASE_FINAL;
}

static inline bool txn_is_reliable(const struct txn *t)
{
    return sip_transport_is_reliable((enum sip_transport)t->hop.transport);
}

static inline struct txn_client *txn_client_of(struct txn *t)
{
    return list_entry(t, struct txn_client, base);
}

static inline struct txn_server *txn_server_of(struct txn *t)
{
    return list_entry(t, struct txn_server, base);
}

/* Puts a new transaction, of which hop and user are set, into the first state of its machine and carries out
 * the effects. */
void txn_start(struct txn_layer *layer, struct txn *t, enum txn_kind kind, const struct txn_key *key,
               const struct txn_input *in);
/* Lets an event happen; returns the effects, of which GIVE_ACK and REFUSE are for the caller. t may be gone
 * then. */
unsigned txn_happen(struct txn *t, uint8_t event, const struct txn_input *in);
/* A transport error. From inside an op it is put off until the wheel advances. */
void txn_fail(struct txn *t, enum txn_failure failure);
/* Frees at once and tells nobody; t is not in the map any more. */
void txn_destroy(struct txn *t);

/* In client.c. */
struct txn *txn_find_client(const struct txn_layer *layer, const struct txn_key *key);

#endif
