/* What the location service knows about one address-of-record: its bindings (RFC 3261 section 10), as one
 * immutable record in one allocation.
 *
 * Life: location_apply() makes a record from the one before and a REGISTER; the store owns the current one
 * of each address-of-record; whoever needs it longer than the store's lock takes a copy, which is one
 * memcpy. Nobody but the store changes a record after it was made (location_record_rewrite), and it is never
 * empty: without bindings there is no record.
 *
 * An ordinary binding (address 30 octets, contact 60, Call-ID 40) costs about 250 octets with its record and
 * heap block. */
#ifndef LOCATION_BINDING_H
#define LOCATION_BINDING_H

#include "base/clock.h"
#include "base/err.h"
#include "base/map.h"
#include "base/slice.h"
#include "sip/hop.h"

/* The longest text that is stored, in octets; a REGISTER that asks for more is refused. */
#define LOCATION_AOR_BYTES_MAX     512
#define LOCATION_URI_BYTES_MAX     1024
#define LOCATION_PARAMS_BYTES_MAX  1024
#define LOCATION_PATH_BYTES_MAX    4096
#define LOCATION_CALL_ID_BYTES_MAX 512
/* Bindings of one address-of-record that the code can handle; the configured limit is at most this. */
#define LOCATION_CONTACTS_MAX 64

/* One binding, unpacked. The slices point into the record, or wherever the maker took them from. */
struct location_binding {
    uint64_t row;     /* the storage's name for it; 0: not stored yet */
    bool changed;     /* made or changed by the REGISTER that made this record, so not stored like this yet */
    struct slice uri; /* the Contact's URI as registered */
    struct slice params;  /* its header parameters but q and expires, each with its semicolon; may be empty */
    struct slice path;    /* Path values in order, comma-separated (RFC 3327); may be empty */
    struct slice call_id; /* of the REGISTER that last touched it (section 10.3 step 7) */
    uint32_t cseq;
    unsigned q_milli;
    unix_s_t expires_s;
    uint32_t updated_s; /* when it was last registered; seconds since 1970, like the next */
    uint32_t reg_id;    /* RFC 5626: the flow of its instance that this is; 0: not registered as a flow */
    /* RFC 5627: temporary GRUUs of its instance from before are void; 0: it has no instance-id. */
    uint32_t gruus_s;
    bool has_hop;       /* hop is known */
    bool by_flow;       /* reached by hop alone: what its URI says leads nowhere */
    struct sip_hop hop; /* where the REGISTER came from */
};

/* Who knows about connections. is_open may be called by any thread; NULL: nothing is known, so none is gone. */
struct location_flows {
    bool (*is_open)(void *ctx, const struct sip_hop *hop);
    void *ctx;
};

struct location_packed;

struct location_record {
    struct map_node node; /* the store's */
    uint32_t bytes;       /* of the whole allocation */
    uint16_t aor_len;
    uint16_t count; /* bindings, never 0 */
    /* packed bindings and their text follow */
};

/* bindings: copied, 1 to LOCATION_CONTACTS_MAX of them, each text within its limit above (ERR_LIMIT).
 * ERR_NOMEM. */
MUST_USE int location_record_new(struct slice aor, const struct location_binding *bindings, size_t count,
                                 struct location_record **ret_record);
/* The bindings of both, a's before b's, under the address of a. ERR_LIMIT: too many; ERR_NOMEM. */
MUST_USE int location_record_join(const struct location_record *a, const struct location_record *b,
                                  struct location_record **ret_record);
/* The same again; NULL without memory. */
MUST_USE struct location_record *location_record_dup(const struct location_record *record);
/* The same again in memory of record->bytes octets, aligned to 8. */
struct location_record *location_record_copy_to(const struct location_record *record, void *memory);
/* Writes what newer says over record, of the same address-of-record, if it is as long and has as many
 * bindings. For the store, while nobody reads it. */
bool location_record_rewrite(struct location_record *record, const struct location_record *newer);
/* NULL is fine. */
void location_record_free(struct location_record *record);

struct slice location_record_aor(const struct location_record *record);
/* Binding number index. Its slices live as long as the record. */
struct location_binding location_record_get(const struct location_record *record, size_t index);
/* Gives binding number index its row: before anybody but its maker knows the record. */
void location_record_set_stored(struct location_record *record, size_t index, uint64_t row);

/* A binding whose time has come does not exist any more. */
static inline bool location_binding_is_live(const struct location_binding *b, unix_s_t now_s)
{
    return b->expires_s > now_s;
}

/* A binding whose only way to the client is gone (RFC 5626 section 7): its connection
 * is closed, or was the process before's. */
bool location_binding_is_cut(const struct location_binding *b, const struct location_flows *flows);

#endif
