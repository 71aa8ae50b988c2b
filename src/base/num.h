/* Numbers from and to text, never wrapping. */
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

#endif
