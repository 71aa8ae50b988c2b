#include "location/binding.h"
#include "base/mem.h"
#include <assert.h>
#include <string.h>

/* The texts of a binding stand one after the other from text_off on: uri, params, path, call_id. */
struct location_packed {
    uint64_t row;
    unix_s_t expires_s;
    struct sip_hop hop;
    uint32_t cseq;
    uint32_t text_off; /* from the start of the record */
    uint16_t uri_len, params_len, path_len, call_id_len;
    uint16_t q_milli;
    bool has_hop, by_flow, changed;
    uint32_t updated_s, reg_id, gruus_s;
};

static struct location_packed *packed_of(const struct location_record *record, size_t index)
{
    assert(index < record->count);
    return (struct location_packed *)(uintptr_t)(record + 1) + index;
}

static bool texts_fit(const struct location_binding *b)
{
    return b->uri.len <= LOCATION_URI_BYTES_MAX && b->params.len <= LOCATION_PARAMS_BYTES_MAX &&
           b->path.len <= LOCATION_PATH_BYTES_MAX && b->call_id.len <= LOCATION_CALL_ID_BYTES_MAX;
}

static size_t text_bytes(const struct location_binding *b)
{
    return b->uri.len + b->params.len + b->path.len + b->call_id.len;
}

static char *put(char *out, struct slice s)
{
    if (s.len > 0)
        memcpy(out, s.ptr, s.len);
    return out + s.len;
}

static char *pack(const struct location_record *record, size_t index, const struct location_binding *b,
                  char *out)
{
    *packed_of(record, index) = (struct location_packed){
        .row = b->row,
        .expires_s = b->expires_s,
        .hop = b->hop,
        .cseq = b->cseq,
        .text_off = (uint32_t)(out - (const char *)record),
        .uri_len = (uint16_t)b->uri.len,
        .params_len = (uint16_t)b->params.len,
        .path_len = (uint16_t)b->path.len,
        .call_id_len = (uint16_t)b->call_id.len,
        .q_milli = (uint16_t)b->q_milli,
        .updated_s = b->updated_s,
        .reg_id = b->reg_id,
        .gruus_s = b->gruus_s,
        .has_hop = b->has_hop,
        .by_flow = b->by_flow,
        .changed = b->changed,
    };
    return put(put(put(put(out, b->uri), b->params), b->path), b->call_id);
}

int location_record_new(struct slice aor, const struct location_binding *bindings, size_t count,
                        struct location_record **ret_record)
{
    size_t bytes = sizeof(struct location_record) + count * sizeof(struct location_packed) + aor.len;
    struct location_record *record;
    char *out;

    if (count == 0 || count > LOCATION_CONTACTS_MAX || aor.len > LOCATION_AOR_BYTES_MAX)
        return ERR_LIMIT;
    for (size_t i = 0; i < count; i++) {
        if (!texts_fit(&bindings[i]))
            return ERR_LIMIT;
        bytes += text_bytes(&bindings[i]);
    }
    record = mem_alloc(bytes);
    if (!record)
        return ERR_NOMEM;
    *record = (struct location_record){
        .bytes = (uint32_t)bytes, .aor_len = (uint16_t)aor.len, .count = (uint16_t)count};
    out = put((char *)packed_of(record, 0) + count * sizeof(struct location_packed), aor);
    for (size_t i = 0; i < count; i++)
        out = pack(record, i, &bindings[i], out);
    *ret_record = record;
    return 0;
}

int location_record_join(const struct location_record *a, const struct location_record *b,
                         struct location_record **ret_record)
{
    struct location_binding all[LOCATION_CONTACTS_MAX];
    size_t count = 0;

    if (a->count + b->count > LOCATION_CONTACTS_MAX)
        return ERR_LIMIT;
    for (size_t i = 0; i < a->count; i++)
        all[count++] = location_record_get(a, i);
    for (size_t i = 0; i < b->count; i++)
        all[count++] = location_record_get(b, i);
    return location_record_new(location_record_aor(a), all, count, ret_record);
}

struct location_record *location_record_copy_to(const struct location_record *record, void *memory)
{
    struct location_record *copy = memory;

    memcpy(copy, record, record->bytes);
    copy->node = (struct map_node){0};
    return copy;
}

struct location_record *location_record_dup(const struct location_record *record)
{
    void *memory = mem_alloc(record->bytes);

    return memory ? location_record_copy_to(record, memory) : NULL;
}

bool location_record_rewrite(struct location_record *record, const struct location_record *newer)
{
    if (record->bytes != newer->bytes || record->count != newer->count)
        return false;
    memcpy(record + 1, newer + 1, record->bytes - sizeof(*record));
    return true;
}

void location_record_free(struct location_record *record)
{
    mem_free(record);
}

struct slice location_record_aor(const struct location_record *record)
{
    return slice_make((const char *)(packed_of(record, 0) + record->count), record->aor_len);
}

struct location_binding location_record_get(const struct location_record *record, size_t index)
{
    const struct location_packed *p = packed_of(record, index);
    const char *uri = (const char *)record + p->text_off;
    const char *params = uri + p->uri_len, *path = params + p->params_len, *call_id = path + p->path_len;

    return (struct location_binding){
        .row = p->row,
        .changed = p->changed,
        .uri = slice_make(uri, p->uri_len),
        .params = slice_make(params, p->params_len),
        .path = slice_make(path, p->path_len),
        .call_id = slice_make(call_id, p->call_id_len),
        .cseq = p->cseq,
        .q_milli = p->q_milli,
        .expires_s = p->expires_s,
        .updated_s = p->updated_s,
        .reg_id = p->reg_id,
        .gruus_s = p->gruus_s,
        .has_hop = p->has_hop,
        .by_flow = p->by_flow,
        .hop = p->hop,
    };
}

void location_record_set_stored(struct location_record *record, size_t index, uint64_t row)
{
    struct location_packed *p = packed_of(record, index);

    p->row = row;
    p->changed = false;
}

bool location_binding_is_cut(const struct location_binding *b, const struct location_flows *flows)
{
    if (!b->by_flow)
        return false;
    if (!b->has_hop)
        return true;
    return b->hop.flow != SIP_FLOW_NONE && flows->is_open && !flows->is_open(flows->ctx, &b->hop);
}
