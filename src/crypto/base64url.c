#include "crypto/base64url.h"
#include <stdint.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void crypto_base64url_encode(struct slice octets, struct buf *out)
{
    while (octets.len > 0) {
        size_t len = octets.len < 3 ? octets.len : 3;
        uint32_t group = 0;

        for (size_t i = 0; i < 3; i++)
            group = group << 8 | (i < len ? (uint8_t)octets.ptr[i] : 0);
        for (size_t i = 0; i <= len; i++)
            buf_putc(out, alphabet[group >> (18 - 6 * i) & 63]);
        octets = slice_sub(octets, len, octets.len);
    }
}

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

/* The last characters hold more bits than the octets need: those must be zero. */
static int check(struct slice text)
{
    static const int unused_bits[4] = {0, -1, 0xf, 0x3};
    int unused = unused_bits[text.len % 4];

    if (unused < 0)
        return ERR_SYNTAX;
    for (size_t i = 0; i < text.len; i++)
        if (value_of(text.ptr[i]) < 0)
            return ERR_SYNTAX;
    return text.len > 0 && (value_of(text.ptr[text.len - 1]) & unused) ? ERR_SYNTAX : 0;
}

int crypto_base64url_decode(struct slice text, void *out, size_t cap, size_t *ret_len)
{
    size_t len = text.len / 4 * 3 + text.len % 4 * 3 / 4;
    uint8_t *to = out;
    uint32_t bits = 0;
    unsigned have = 0;
    int r = len > cap ? ERR_LIMIT : check(text);

    if (r < 0)
        return r;
    for (size_t i = 0; i < text.len; i++) {
        bits = bits << 6 | (unsigned)value_of(text.ptr[i]);
        have += 6;
        if (have >= 8) {
            have -= 8;
            *to++ = (uint8_t)(bits >> have);
        }
    }
    *ret_len = len;
    return 0;
}
