#include "location/instance.h"
#include "sip/msg.h"

struct slice location_instance_of(struct slice params)
{
    struct slice value;

    if (!sip_param(params, SLICE("+sip.instance"), &value))
        return SLICE_NULL;
    if (value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"')
        value = slice_sub(value, 1, value.len - 1);
    if (value.len >= 2 && value.ptr[0] == '<' && value.ptr[value.len - 1] == '>')
        value = slice_sub(value, 1, value.len - 1);
    return value.len > 0 ? value : SLICE_NULL;
}

/* How much of a URN is compared without case: "urn" and the namespace; of a UUID everything. */
static size_t caseless_bytes(struct slice urn)
{
    size_t first = slice_find(urn, ':');
    size_t second =
        first < urn.len ? first + 1 + slice_find(slice_sub(urn, first + 1, urn.len), ':') : urn.len;

    if (slice_starts_with_nocase(urn, SLICE("urn:uuid:")))
        return urn.len;
    return slice_starts_with_nocase(urn, SLICE("urn:")) ? second : 0;
}

bool location_instance_eq(struct slice a, struct slice b)
{
    size_t caseless = caseless_bytes(a);

    if (a.len != b.len || a.len == 0)
        return false;
    return slice_eq_nocase(slice_sub(a, 0, caseless), slice_sub(b, 0, caseless)) &&
           slice_eq(slice_sub(a, caseless, a.len), slice_sub(b, caseless, b.len));
}

uint64_t location_instance_hash(const struct hash_key *key, struct slice instance)
{
    size_t caseless = caseless_bytes(instance);
    struct hash_state st;

    hash_begin(&st, key);
    hash_add(&st, SLICE("instance"));
    hash_add_nocase(&st, slice_sub(instance, 0, caseless));
    hash_add(&st, slice_sub(instance, caseless, instance.len));
    return hash_end64(&st);
}
