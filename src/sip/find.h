/* Finding the first octet of a few kinds: what most of reading a message consists of. Each search is there
 * twice: `_portable`, by words of eight or by the table of octets, and by blocks of sixteen where the
 * compiler has them (SSE2, which every x86-64 has). The portable one also does what is left when less than
 * a block is; both give the same for every input. Nothing is read before p or from end on. Private to
 * src/sip, but for what scan.h makes of it. */
#ifndef SIP_FIND_H
#define SIP_FIND_H

#include "sip/chars.h"
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#define SIP_BLOCK_BYTES 16
#endif

#define SIP_EACH_OCTET(c) ((uint64_t)(c)*0x0101010101010101ULL)

/* These are the inner loops of the parser: a call would cost more than most of them do. */
#define SIP_INLINE static inline __attribute__((always_inline))

/* The octets of a word that are zero have their high bit set in the result; so may some above the first of
 * them, which does not matter. */
static inline uint64_t sip_zero_octets(uint64_t word)
{
    return (word - SIP_EACH_OCTET(0x01)) & ~word & SIP_EACH_OCTET(0x80);
}

/* The first octet below SP, or end. Eight at a time: `word - 0x20...` borrows into the high bit of exactly
 * the octets below SP up to the first of them, and what is above that one does not matter. */
static inline const char *sip_find_control_portable(const char *p, const char *end)
{
    while (end - p >= 8) {
        uint64_t word;
        memcpy(&word, p, sizeof(word));
        uint64_t below = (word - SIP_EACH_OCTET(0x20)) & ~word & SIP_EACH_OCTET(0x80);
        if (below) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
            return p + (__builtin_ctzll(below) >> 3);
#else
            break;
#endif
        }
        p += 8;
    }
    while (p < end && (uint8_t)*p >= ' ')
        p++;
    return p;
}

/* The first of three octets, or end. */
static inline const char *sip_find_any_of_3_portable(const char *p, const char *end, char a, char b, char c)
{
    const uint64_t as = SIP_EACH_OCTET((uint8_t)a), bs = SIP_EACH_OCTET((uint8_t)b),
                   cs = SIP_EACH_OCTET((uint8_t)c);
    while (end - p >= 8) {
        uint64_t word;
        memcpy(&word, p, sizeof(word));
        uint64_t found = sip_zero_octets(word ^ as) | sip_zero_octets(word ^ bs) | sip_zero_octets(word ^ cs);
        if (found) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
            return p + (__builtin_ctzll(found) >> 3);
#else
            break;
#endif
        }
        p += 8;
    }
    while (p < end && *p != a && *p != b && *p != c)
        p++;
    return p;
}

/* The first octet that is SP or below it, or end. */
static inline const char *sip_find_blank_portable(const char *p, const char *end)
{
    while (p < end && (uint8_t)*p > ' ')
        p++;
    return p;
}

/* The first octet that is of none of these classes, or end. */
SIP_INLINE const char *sip_find_not(const char *p, const char *end, unsigned classes)
{
    for (; end - p >= 4; p += 4) {
        if (!sip_char_is(p[0], classes))
            return p;
        if (!sip_char_is(p[1], classes))
            return p + 1;
        if (!sip_char_is(p[2], classes))
            return p + 2;
        if (!sip_char_is(p[3], classes))
            return p + 3;
    }
    while (p < end && sip_char_is(*p, classes))
        p++;
    return p;
}

#ifdef SIP_BLOCK_BYTES

static inline __m128i sip_block_at(const char *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static inline __m128i sip_block_eq(__m128i block, char c)
{
    return _mm_cmpeq_epi8(block, _mm_set1_epi8(c));
}

/* Octets from `least` on. */
static inline __m128i sip_block_ge(__m128i block, uint8_t least)
{
    return _mm_cmpeq_epi8(_mm_max_epu8(block, _mm_set1_epi8((char)least)), block);
}

/* One bit per octet, the first in bit 0. */
static inline unsigned sip_block_bits(__m128i mask)
{
    return (unsigned)_mm_movemask_epi8(mask);
}

static inline unsigned sip_block_not_bits(__m128i mask)
{
    return sip_block_bits(mask) ^ 0xffff;
}

/* SIP_CHAR_URI: "<" and ">" differ in one bit. */
static inline __m128i sip_block_uri(__m128i block)
{
    __m128i brackets = sip_block_eq(_mm_or_si128(block, _mm_set1_epi8('<' ^ '>')), '>');
    __m128i others = _mm_or_si128(sip_block_eq(block, '"'), sip_block_eq(block, 0x7f));
    return _mm_andnot_si128(_mm_or_si128(brackets, others), sip_block_ge(block, '!'));
}

/* SIP_CHAR_VALUE */
static inline __m128i sip_block_value(__m128i block)
{
    __m128i separators = _mm_or_si128(sip_block_eq(block, ';'), sip_block_eq(block, ','));
    return _mm_andnot_si128(separators, sip_block_uri(block));
}

/* Octets from `first` to `last`. */
static inline __m128i sip_block_range(__m128i block, uint8_t first, uint8_t last)
{
    __m128i from_first = _mm_sub_epi8(block, _mm_set1_epi8((char)first));
    return _mm_cmpeq_epi8(_mm_min_epu8(from_first, _mm_set1_epi8((char)(last - first))), from_first);
}

/* SIP_CHAR_TOKEN: letters; "*" to "9" without "," and "/"; "_" and "`"; "%" and
 * "\'", which differ in one bit; "!"; "~". */
static inline __m128i sip_block_token(__m128i block)
{
    __m128i letters = sip_block_range(_mm_or_si128(block, _mm_set1_epi8(0x20)), 'a', 'z');
    __m128i digits = _mm_andnot_si128(_mm_or_si128(sip_block_eq(block, ','), sip_block_eq(block, '/')),
                                      sip_block_range(block, '*', '9'));
    __m128i quotes = sip_block_eq(_mm_or_si128(block, _mm_set1_epi8('%' ^ '\'')), '\'');
    __m128i others = _mm_or_si128(sip_block_range(block, '_', '`'),
                                  _mm_or_si128(sip_block_eq(block, '!'), sip_block_eq(block, '~')));
    return _mm_or_si128(_mm_or_si128(letters, digits), _mm_or_si128(quotes, others));
}

/* `found`, an expression of `block`, has a bit for each octet that ends the search. The last block ends where
 * the text does, and begins among octets that have been looked at. */
#define SIP_FIND_IN_BLOCKS(p, end, found)                                                                    \
    if ((end) - (p) >= SIP_BLOCK_BYTES) {                                                                    \
        const char *const last = (end)-SIP_BLOCK_BYTES;                                                      \
        __m128i block;                                                                                       \
        unsigned bits;                                                                                       \
        do {                                                                                                 \
            block = sip_block_at(p);                                                                         \
            bits = (found);                                                                                  \
            if (bits)                                                                                        \
                return (p) + __builtin_ctz(bits);                                                            \
            (p) += SIP_BLOCK_BYTES;                                                                          \
        } while ((p) <= last);                                                                               \
        if ((p) == (end))                                                                                    \
            return (end);                                                                                    \
        block = sip_block_at(last);                                                                          \
        bits = (found);                                                                                      \
        return bits ? last + __builtin_ctz(bits) : (end);                                                    \
    }
#else
#define SIP_FIND_IN_BLOCKS(p, end, found)
#endif

/* The first octet below SP, or end. */
static inline const char *sip_find_control(const char *p, const char *end)
{
    SIP_FIND_IN_BLOCKS(p, end, sip_block_not_bits(sip_block_ge(block, ' ')))
    return sip_find_control_portable(p, end);
}

/* The first octet that is SP or below it, or end. */
static inline const char *sip_find_blank(const char *p, const char *end)
{
    SIP_FIND_IN_BLOCKS(p, end, sip_block_not_bits(sip_block_ge(block, ' ' + 1)))
    return sip_find_blank_portable(p, end);
}

/* The first of three octets, or end. */
static inline const char *sip_find_any_of_3(const char *p, const char *end, char a, char b, char c)
{
    SIP_FIND_IN_BLOCKS(
        p, end,
        sip_block_bits(_mm_or_si128(_mm_or_si128(sip_block_eq(block, a), sip_block_eq(block, b)),
                                    sip_block_eq(block, c))))
    return sip_find_any_of_3_portable(p, end, a, b, c);
}

/* The first octet that is not SIP_CHAR_TOKEN, or end. */
static inline const char *sip_find_token_end(const char *p, const char *end)
{
    SIP_FIND_IN_BLOCKS(p, end, sip_block_not_bits(sip_block_token(block)))
    return sip_find_not(p, end, SIP_CHAR_TOKEN);
}

/* The first octet that is not SIP_CHAR_URI, or end. */
static inline const char *sip_find_uri_end(const char *p, const char *end)
{
    SIP_FIND_IN_BLOCKS(p, end, sip_block_not_bits(sip_block_uri(block)))
    return sip_find_not(p, end, SIP_CHAR_URI);
}

/* The first octet that is not SIP_CHAR_VALUE, or end. */
static inline const char *sip_find_value_end(const char *p, const char *end)
{
    SIP_FIND_IN_BLOCKS(p, end, sip_block_not_bits(sip_block_value(block)))
    return sip_find_not(p, end, SIP_CHAR_VALUE);
}

#endif
