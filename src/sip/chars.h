/* What an octet may be in the grammar of RFC 3261 section 25.1: one table, one look-up per octet. */
#ifndef SIP_CHARS_H
#define SIP_CHARS_H

#include <stdbool.h>
#include <stdint.h>

enum sip_char_class {
    SIP_CHAR_ALPHA = 1 << 0,
    SIP_CHAR_DIGIT = 1 << 1,
    SIP_CHAR_HEX = 1 << 2,
    SIP_CHAR_TOKEN = 1 << 3,
    SIP_CHAR_WORD = 1 << 4,
    SIP_CHAR_UNRESERVED = 1 << 5,
    SIP_CHAR_RESERVED = 1 << 6,
    SIP_CHAR_USER = 1 << 7,     /* unreserved / user-unreserved; escapes apart */
    SIP_CHAR_PASSWORD = 1 << 8, /* unreserved / "&" / "=" / "+" / "$" / ","; escapes apart */
    SIP_CHAR_PARAM = 1 << 9,    /* param-unreserved / unreserved; escapes apart */
    SIP_CHAR_HNV = 1 << 10,     /* hnv-unreserved / unreserved; escapes apart */
    SIP_CHAR_HOST = 1 << 11,    /* of a host name, "_" with them */
    SIP_CHAR_SCHEME = 1 << 12,  /* after the first octet of a scheme */
    SIP_CHAR_URI = 1 << 13,     /* of an addr-spec: visible, and not <, > or DQUOTE */
    SIP_CHAR_VALUE = 1 << 14,   /* of an unquoted parameter value: the same without ; and , */
    SIP_CHAR_DISPLAY = 1 << 15, /* of an unquoted display name: token / UTF8-NONASCII */
};

#define SIP_CHAR_ALPHANUM (SIP_CHAR_ALPHA | SIP_CHAR_DIGIT)

extern const uint16_t sip_char_table[256];

static inline bool sip_char_is(char c, unsigned classes)
{
    return (sip_char_table[(uint8_t)c] & classes) != 0;
}

static inline char sip_char_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

#endif
