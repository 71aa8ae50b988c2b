/* Random edits of a good message give a good message with as many elements as there should be. Input:
 * steering octets, two for each edit, and a message. */
#include "fuzz_sip.h"

#include "sip/edit.h"

enum op { OP_PUSH, OP_APPEND, OP_SET, OP_REMOVE, OP_POP, OP_REMOVE_VALUE, OP_RURI, OP_LENGTH, OP_COUNT };

static const enum sip_hdr_id ids[] = {SIP_HDR_VIA,       SIP_HDR_ROUTE,       SIP_HDR_RECORD_ROUTE,
                                      SIP_HDR_CONTACT,   SIP_HDR_EXPIRES,     SIP_HDR_SUBJECT,
                                      SIP_HDR_SUPPORTED, SIP_HDR_MAX_FORWARDS};

#define IDS (sizeof(ids) / sizeof(ids[0]))

struct model {
    struct sip_edit *edit;
    int count[SIP_HDR_COUNT]; /* elements there should be; -1: not known */
    bool used[SIP_HDR_COUNT]; /* edited where it stands: a second time would overlap */
    bool ruri_set, length_fixed;
};

static struct slice value_for(enum sip_hdr_id id)
{
    switch (id) {
    case SIP_HDR_VIA:
        return SLICE("SIP/2.0/UDP pushed.example:5061;branch=z9hG4bKx;rport");
    case SIP_HDR_EXPIRES:
    case SIP_HDR_MAX_FORWARDS:
        return SLICE("69");
    case SIP_HDR_SUBJECT:
        return SLICE("a\r\n folded, b");
    default:
        return SLICE("<sip:pushed.example;lr>");
    }
}

static void add(struct model *m, enum sip_hdr_id id, int n)
{
    if (m->count[id] >= 0)
        m->count[id] += n;
}

static bool first_use(struct model *m, enum sip_hdr_id id)
{
    bool first = !m->used[id];
    m->used[id] = true;
    return first;
}

static bool is_list(enum sip_hdr_id id)
{
    return sip_hdr_flags(id) & SIP_HDRF_LIST;
}

static int lines_of(const struct sip_msg *msg, enum sip_hdr_id id)
{
    int n = 0;
    for (uint16_t i = msg->first[id]; i != SIP_HDR_NONE; i = msg->hdrs[i].next)
        n++;
    return n;
}

static void remove_nth(struct model *m, enum sip_hdr_id id, unsigned n)
{
    struct sip_values it = sip_values_of(m->edit->msg, id);
    struct slice element;
    for (unsigned i = 0; i <= n; i++) {
        if (sip_values_next(&it, &element) < 0)
            return;
    }
    sip_edit_remove_value(m->edit, &it, element);
    add(m, id, -1);
}

static void apply(struct model *m, enum op op, enum sip_hdr_id id, unsigned number)
{
    const struct sip_msg *msg = m->edit->msg;
    switch (op) {
    case OP_PUSH:
        sip_edit_push_header(m->edit, id, value_for(id));
        add(m, id, 1);
        break;
    case OP_APPEND:
        sip_edit_append_header(m->edit, id, value_for(id));
        add(m, id, 1);
        break;
    case OP_SET:
        /* Of a list with more than one line it would not be known what is left. */
        if (!is_list(id) && lines_of(msg, id) <= 1 && first_use(m, id)) {
            sip_edit_set_header(m->edit, id, value_for(id));
            add(m, id, sip_msg_has(msg, id) ? 0 : 1);
        }
        break;
    case OP_REMOVE:
        if (first_use(m, id)) {
            int n = fuzz_count(msg, id);
            sip_edit_remove_header(m->edit, id);
            m->count[id] = m->count[id] < 0 ? -1 : m->count[id] - n;
        }
        break;
    case OP_POP:
        if (fuzz_count(msg, id) >= (int)(number % 4) && first_use(m, id)) {
            sip_edit_pop_values(m->edit, id, number % 4);
            add(m, id, -(int)(number % 4));
        }
        break;
    case OP_REMOVE_VALUE:
        if (m->count[id] >= 0 && first_use(m, id))
            remove_nth(m, id, number % 8);
        break;
    case OP_RURI:
        if (msg->is_request && !m->ruri_set)
            sip_edit_set_ruri(m->edit, SLICE("sip:edited.example"));
        m->ruri_set = true;
        break;
    case OP_LENGTH:
        if (!m->length_fixed)
            sip_edit_fix_content_length(m->edit);
        m->length_fixed = true;
        break;
    case OP_COUNT:
        break;
    }
}

static void check_result(const struct model *m, struct slice built)
{
    struct fuzz_memory memory;
    struct sip_msg result;
    struct sip_error error;
    const struct sip_msg *msg = m->edit->msg;
    fuzz_memory_init(&memory);
    FUZZ_ASSERT(sip_msg_parse(built, true, &fuzz_wide_limits, &memory.arena, &result, &error) == 0);
    FUZZ_ASSERT(result.len == built.len);
    FUZZ_ASSERT(slice_eq(sip_msg_body(&result), sip_msg_body(msg)));
    FUZZ_ASSERT(!m->length_fixed || result.has_content_length);
    FUZZ_ASSERT(!m->ruri_set || !msg->is_request || slice_eq(result.ruri, SLICE("sip:edited.example")));
    for (size_t i = 0; i < IDS; i++) {
        if (m->count[ids[i]] >= 0)
            FUZZ_ASSERT(fuzz_count(&result, ids[i]) == m->count[ids[i]]);
    }
    fuzz_memory_done(&memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_program p = fuzz_program_of(data, size);
    struct fuzz_memory memory;
    struct sip_msg msg;
    struct sip_error error;
    fuzz_memory_init(&memory);
    if (sip_msg_parse(p.message, true, &sip_limits_default, &memory.arena, &msg, &error) == 0) {
        struct sip_edit edit;
        struct model m = {.edit = &edit};
        struct wire *wire;
        sip_edit_init(&edit, &msg, &memory.arena);
        for (size_t i = 0; i < IDS; i++)
            m.count[ids[i]] = fuzz_count(&msg, ids[i]);
        while (fuzz_has_steps(&p)) {
            uint8_t step = fuzz_step(&p);
            apply(&m, step % OP_COUNT, ids[(step / OP_COUNT) % IDS], fuzz_step(&p));
        }
        FUZZ_ASSERT(edit.error == 0);
        FUZZ_ASSERT(sip_edit_build(&edit, UINT32_MAX, &wire) == 0);
        check_result(&m, wire_slice(wire));
        wire_unref(wire);
    }
    fuzz_memory_done(&memory);
    return 0;
}
