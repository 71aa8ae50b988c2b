#include "transport/stun.h"
#include "base/num.h"
#include <string.h>

#define HEADER_BYTES      20
#define QUESTION_MAX      1280 /* RFC 5389 section 7.1: no message longer than the path carries for sure */
#define ATTRIBUTE_BYTES   4    /* type and length */
#define FINGERPRINT_BYTES (ATTRIBUTE_BYTES + 4)
#define MAGIC             0x2112a442u
#define FINGERPRINT_XOR   0x5354554eu

enum { BINDING_REQUEST = 0x0001, BINDING_SUCCESS = 0x0101, BINDING_ERROR = 0x0111 };
enum {
    ATTR_ERROR_CODE = 0x0009,
    ATTR_UNKNOWN_ATTRIBUTES = 0x000a,
    ATTR_XOR_MAPPED_ADDRESS = 0x0020,
    ATTR_OPTIONAL = 0x8000, /* from here on an attribute may be passed over */
    ATTR_FINGERPRINT = 0x8028,
};
#define UNKNOWN_MAX 2 /* named in an error: it must not grow long */

/* CRC-32 of ITU-T V.42, bit by bit: what it goes over is short. */
static uint32_t crc32(const uint8_t *p, size_t len)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < len; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

/* Of those that RFC 5389 section 18.2 defines and a request may carry; credentials ask for nothing here. */
static bool is_known(uint32_t type)
{
    return type == 0x0001 || type == 0x0006 || type == 0x0008 || type == 0x0014 || type == 0x0015 ||
           type >= ATTR_OPTIONAL;
}

struct question {
    bool has_fingerprint;
    uint32_t unknown[UNKNOWN_MAX];
    size_t n_unknown;
};

/* Section 6: the first two bits, the magic cookie, and a length that is true and a multiple of 4. */
static bool is_binding_request(const uint8_t *p, size_t len)
{
    return len >= HEADER_BYTES && len <= QUESTION_MAX && num_get_octets(p, 2) == BINDING_REQUEST &&
           num_get_octets(p + 4, 4) == MAGIC && num_get_octets(p + 2, 2) + HEADER_BYTES == len &&
           len % 4 == 0;
}

static bool read_attributes(const uint8_t *p, size_t len, struct question *q)
{
    size_t off = HEADER_BYTES;

    while (off + ATTRIBUTE_BYTES <= len) {
        uint32_t type = (uint32_t)num_get_octets(p + off, 2),
                 value_len = (uint32_t)num_get_octets(p + off + 2, 2);
        size_t end = off + ATTRIBUTE_BYTES + (value_len + 3) / 4 * 4;

        if (end > len)
            return false;
        if (type == ATTR_FINGERPRINT) {
            /* Section 15.5: over all before it, and the last one. */
            if (value_len != 4 || end != len ||
                num_get_octets(p + off + 4, 4) != (crc32(p, off) ^ FINGERPRINT_XOR))
                return false;
            q->has_fingerprint = true;
        } else if (!is_known(type) && q->n_unknown < UNKNOWN_MAX) {
            q->unknown[q->n_unknown++] = type;
        }
        off = end;
    }
    return off == len;
}

static uint8_t *put_mapped_address(uint8_t *out, const struct addr *from, const uint8_t *question)
{
    size_t ip_bytes = from->family == ADDR_IPV6 ? 16 : 4;

    out = num_put_octets(out, ATTR_XOR_MAPPED_ADDRESS, 2);
    out = num_put_octets(out, (uint32_t)(4 + ip_bytes), 2);
    out = num_put_octets(out, from->family == ADDR_IPV6 ? 2 : 1, 2);
    out = num_put_octets(out, from->port ^ MAGIC >> 16, 2);
    /* Section 15.2: with the magic cookie and the transaction id, which follow each other in the header. */
    for (size_t i = 0; i < ip_bytes; i++)
        *out++ = from->ip[i] ^ question[4 + i];
    return out;
}

static uint8_t *put_unknown(uint8_t *out, const struct question *q)
{
    out = num_put_octets(out, ATTR_ERROR_CODE, 2);
    out = num_put_octets(out, 4, 2);
    out = num_put_octets(out, 0x0414, 4); /* class 4, number 20 */
    out = num_put_octets(out, ATTR_UNKNOWN_ATTRIBUTES, 2);
    out = num_put_octets(out, (uint32_t)(2 * q->n_unknown), 2);
    for (size_t i = 0; i < UNKNOWN_MAX; i++)
        out = num_put_octets(out, i < q->n_unknown ? q->unknown[i] : 0, 2);
    return out;
}

size_t stun_answer(struct slice data, const struct addr *from, uint8_t out[STUN_ANSWER_BYTES_MAX])
{
    const uint8_t *p = (const uint8_t *)data.ptr;
    struct question q = {0};
    uint8_t *end = out + HEADER_BYTES;
    size_t len;

    if (!is_binding_request(p, data.len) || !read_attributes(p, data.len, &q))
        return 0;
    end = q.n_unknown > 0 ? put_unknown(end, &q) : put_mapped_address(end, from, p);
    len = (size_t)(end - out) + (q.has_fingerprint ? FINGERPRINT_BYTES : 0);
    num_put_octets(out, q.n_unknown > 0 ? BINDING_ERROR : BINDING_SUCCESS, 2);
    num_put_octets(out + 2, (uint32_t)(len - HEADER_BYTES), 2);
    memcpy(out + 4, p + 4, HEADER_BYTES - 4);
    if (q.has_fingerprint) {
        uint32_t crc = crc32(out, (size_t)(end - out));

        end = num_put_octets(end, ATTR_FINGERPRINT, 2);
        end = num_put_octets(end, 4, 2);
        num_put_octets(end, crc ^ FINGERPRINT_XOR, 4);
    }
    return len;
}
