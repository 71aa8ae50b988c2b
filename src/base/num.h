/* Numbers from and to text, never wrapping; and from and to octets in network order. */
#ifndef BASE_NUM_H
#define BASE_NUM_H

#include "base/err.h"
#include "base/slice.h"
#include <stdint.h>

/* The whole slice must be 1*DIGIT: ERR_SYNTAX otherwise, ERR_RANGE when above max. */
MUST_USE int num_parse_u64(struct slice s, uint64_t max, uint64_t *ret_value);
MUST_USE int num_parse_u32(struct slice s, uint32_t max, uint32_t *ret_value);
/* Like num_parse_u32, but a too large number gives max instead of ERR_RANGE. */
MUST_USE int num_parse_u32_saturate(struct slice s, uint32_t max, uint32_t *ret_value);
/* Decimal digits of value into out (20 octets are enough); returns how many. */
size_t num_format_u64(uint64_t value, char *out);
/* Exactly 16 lower-case hex digits. */
void num_format_hex64(uint64_t value, char out[16]);
/* 1 to 16 hex digits, either case, the whole slice. */
MUST_USE int num_parse_hex64(struct slice s, uint64_t *ret_value);

/* The low `bytes` octets of value, 1 to 8 of them, highest first. Returns what follows them. */
static inline uint8_t *num_put_octets(uint8_t *out, uint64_t value, size_t bytes)
{
    for (size_t i = bytes; i-- > 0; value >>= 8)
        out[i] = (uint8_t)value;
    return out + bytes;
}

/* The number of 1 to 8 octets. */
static inline uint64_t num_get_octets(const uint8_t *octets, size_t bytes)
{
    uint64_t value = 0;

    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | octets[i];
    return value;
}

#endif
