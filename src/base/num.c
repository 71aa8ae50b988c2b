#include "base/num.h"
#include <endian.h>
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

/* Hexadecimal text is made and read by words of eight digits. */
#define ONES 0x0101010101010101u

/* The first digit stands in the highest octet. */
static uint64_t hex_of_half(uint32_t value)
{
    uint64_t digits = value;

    digits = (digits | digits << 16) & 0x0000ffff0000ffffu;
    digits = (digits | digits << 8) & 0x00ff00ff00ff00ffu;
    digits = (digits | digits << 4) & 0x0f * ONES;
    return digits + '0' * ONES + ((digits + 6 * ONES) >> 4 & ONES) * ('a' - '0' - 10);
}

void num_format_hex64(uint64_t value, char out[16])
{
    const uint64_t halves[2] = {htobe64(hex_of_half((uint32_t)(value >> 32))),
                                htobe64(hex_of_half((uint32_t)value))};

    memcpy(out, halves, sizeof(halves));
}

/* The top bit of each octet that is from `first` to `last`; no octet has it set before. */
static uint64_t octets_between(uint64_t word, uint8_t first, uint8_t last)
{
    return (word + (0x80u - first) * ONES) & ~(word + (0x7fu - last) * ONES) & 0x80 * ONES;
}

static bool parse_half(const char text[8], uint64_t *value)
{
    uint64_t word, digits, letters;

    memcpy(&word, text, sizeof(word));
    word = be64toh(word);
    letters = octets_between(word | 0x20 * ONES, 'a', 'f');
    if ((word & 0x80 * ONES) || (octets_between(word, '0', '9') | letters) != 0x80 * ONES)
        return false;
    digits = (word & 0x0f * ONES) + (letters >> 7) * 9;
    digits = (digits | digits >> 4) & 0x00ff00ff00ff00ffu;
    digits = (digits | digits >> 8) & 0x0000ffff0000ffffu;
    *value = *value << 32 | (uint32_t)(digits | digits >> 16);
    return true;
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
    size_t at = 0;

    if (s.len == 0 || s.len > 16)
        return ERR_SYNTAX;
    for (; s.len - at >= 8; at += 8) {
        if (!parse_half(s.ptr + at, &value))
            return ERR_SYNTAX;
    }
    for (; at < s.len; at++) {
        int digit = hex_digit(s.ptr[at]);

        if (digit < 0)
            return ERR_SYNTAX;
        value = value << 4 | (unsigned)digit;
    }
    *ret_value = value;
    return 0;
}
