/* Any octets as a REGISTER, applied to the bindings that an earlier part of the input made: what parses can
 * be applied, a record has no more contacts than allowed, none twice, none that has expired, and applying it
 * again changes nothing but times. */
#include "fuzz_sip.h"

#include "base/mem.h"
#include "location/apply.h"
#include "location/instance.h"
#include "location/register.h"
#include "sip/uri.h"

#define NOW_S 1800000000

static const struct location_limits limits = {
    .default_expires_s = 3600, .min_expires_s = 60, .max_expires_s = 7200, .contacts = 4};

/* Equal URIs are not enough: equality is not transitive (RFC 3261 section 19.1.4), so a contact may equal two that
 * differ, and stays beside one of them. A flow is told by its instance and number (RFC 5626 section 6). */
static bool is_same(const struct location_binding *a, const struct location_binding *b)
{
    if (a->reg_id != b->reg_id)
        return false;
    return a->reg_id == 0
               ? slice_eq(a->uri, b->uri)
               : location_instance_eq(location_instance_of(a->params), location_instance_of(b->params));
}

static void check_record(const struct location_record *record)
{
    FUZZ_ASSERT(record->count >= 1 && record->count <= limits.contacts);
    for (size_t i = 0; i < record->count; i++) {
        struct location_binding a = location_record_get(record, i);
        struct sip_uri uri;
        FUZZ_ASSERT(a.expires_s > NOW_S && a.expires_s <= NOW_S + limits.max_expires_s && a.q_milli <= 1000);
        FUZZ_ASSERT(sip_uri_parse(a.uri, &uri) == 0);
        for (size_t j = 0; j < i; j++) {
            struct location_binding b = location_record_get(record, j);
            FUZZ_ASSERT(!is_same(&a, &b));
        }
    }
}

/* The record after one REGISTER. */
static struct location_record *apply(struct location_record *record, struct slice text)
{
    struct fuzz_memory memory;
    struct sip_msg msg;
    struct sip_error error;
    struct location_register reg;
    struct location_register_error why;
    struct location_outcome outcome;
    fuzz_memory_init(&memory);
    if (sip_msg_parse(text, true, &sip_limits_default, &memory.arena, &msg, &error) == 0 &&
        sip_msg_check(&msg, &error) == 0 && location_register_parse(&msg, &memory.arena, &reg, &why) == 0) {
        reg.aor = SLICE("sip:a@example.com");
        FUZZ_ASSERT(location_apply(record, &reg, NOW_S, &limits, &outcome) == 0);
        FUZZ_ASSERT(outcome.status == 200 || !outcome.changed);
        if (outcome.changed) {
            location_record_free(record);
            record = outcome.record;
            if (record != NULL)
                check_record(record);
        }
    }
    fuzz_memory_done(&memory);
    return record;
}

/* Requests stand one after the other with a NUL octet between them. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t held_before = mem_held_bytes();
    struct location_record *record = NULL;
    struct slice rest = fuzz_slice(data, size);
    for (int i = 0; i < 8 && rest.len > 0; i++) {
        size_t end = slice_find(rest, '\0');
        record = apply(record, slice_sub(rest, 0, end));
        rest = slice_sub(rest, end + 1, rest.len);
    }
    location_record_free(record);
    FUZZ_ASSERT(mem_held_bytes() == held_before);
    return 0;
}
