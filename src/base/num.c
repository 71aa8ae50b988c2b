#include "base/num.h"
#include <string.h>

/* So many digits fit into 64 bits whatever they are. */
#define DIGITS_SURE 19

static int parse_few_digits(struct slice s, uint64_t max, uint64_t *ret_value)
{
    uint64_t value = 0;

    for (size_t i = 0; i < s.len; i++) {
        unsigned digit = (unsigned)(unsigned char)s.ptr[i] - '0';

        if (digit > 9)
            return ERR_SYNTAX;
        value = value * 10 + digit;
    }
    if (value > max)
        return ERR_RANGE;
    *ret_value = value;
    return 0;
}

static int parse_digits(struct slice s, uint64_t max, uint64_t *ret_value)
{
    uint64_t value = 0;
    bool too_large = false;

    if (s.len == 0)
        return ERR_SYNTAX;
    if (s.len <= DIGITS_SURE)
        return parse_few_digits(s, max, ret_value);
    for (size_t i = 0; i < s.len; i++) {
        unsigned digit = (unsigned)(unsigned char)s.ptr[i] - '0';

        /* Go on after an overflow: a letter further on makes it a syntax error, not a large number. */
        if (digit > 9)
            return ERR_SYNTAX;
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, digit, &value))
            too_large = true;
    }
    if (too_large || value > max)
        return ERR_RANGE;
    *ret_value = value;
    return 0;
}

int num_parse_u64(struct slice s, uint64_t max, uint64_t *ret_value)
{
    return parse_digits(s, max, ret_value);
}

int num_parse_u32(struct slice s, uint32_t max, uint32_t *ret_value)
{
    uint64_t value;
    int r = parse_digits(s, max, &value);

    if (r == 0)
        *ret_value = (uint32_t)value;
    return r;
}

int num_parse_u32_saturate(struct slice s, uint32_t max, uint32_t *ret_value)
{
    int r = num_parse_u32(s, max, ret_value);

    if (r != ERR_RANGE)
        return r;
    *ret_value = max;
    return 0;
}

static size_t count_digits(uint64_t value)
{
    size_t count = 1;

    for (; value >= 10000; value /= 10000)
        count += 4;
    return count + (value >= 10) + (value >= 100) + (value >= 1000);
}

size_t num_format_u64(uint64_t value, char *out)
{
    size_t len = count_digits(value);

    for (size_t i = len; i > 0; value /= 10)
        out[--i] = (char)('0' + value % 10);
    return len;
}

void num_format_hex64(uint64_t value, char out[16])
{
    for (int i = 15; i >= 0; i--) {
        out[i] = "0123456789abcdef"[value & 15];
        value >>= 4;
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int num_parse_hex64(struct slice s, uint64_t *ret_value)
{
    uint64_t value = 0;

    if (s.len == 0 || s.len > 16)
        return ERR_SYNTAX;
    for (size_t i = 0; i < s.len; i++) {
        int digit = hex_digit(s.ptr[i]);

        if (digit < 0)
            return ERR_SYNTAX;
        value = value << 4 | (unsigned)digit;
    }
    *ret_value = value;
    return 0;
}
