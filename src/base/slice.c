#include "base/slice.h"
#include <stdint.h>

bool slice_octets_eq_nocase(const char *a, const char *b, size_t len)
{
    size_t i = 0;

    /* Most texts that are equal are so octet for octet. */
    for (; len - i >= sizeof(uint64_t); i += sizeof(uint64_t)) {
        if (memcmp(a + i, b + i, sizeof(uint64_t)) != 0)
            break;
    }
    for (; i < len; i++) {
        uint8_t x = (uint8_t)a[i], differing = x ^ (uint8_t)b[i];

        if (differing == 0)
            continue;
        /* Two cases of one letter differ in this bit alone. */
        if (differing != 0x20 || (x | 0x20) < 'a' || (x | 0x20) > 'z')
            return false;
    }
    return true;
}

int slice_cmp(struct slice a, struct slice b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common > 0 ? memcmp(a.ptr, b.ptr, common) : 0;

    if (order != 0)
        return order;
    return (a.len > b.len) - (a.len < b.len);
}

bool slice_starts_with(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && slice_eq(slice_make(s.ptr, prefix.len), prefix);
}

bool slice_starts_with_nocase(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && slice_eq_nocase(slice_make(s.ptr, prefix.len), prefix);
}

size_t slice_find(struct slice s, char c)
{
    const char *at = s.len > 0 ? memchr(s.ptr, c, s.len) : NULL;

    return at ? (size_t)(at - s.ptr) : s.len;
}

size_t slice_rfind(struct slice s, char c)
{
    const char *at = s.len > 0 ? memrchr(s.ptr, c, s.len) : NULL;

    return at ? (size_t)(at - s.ptr) : s.len;
}
