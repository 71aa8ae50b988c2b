/* DNS answers for tests, built record by record. */
#ifndef TESTS_UNIT_DNS_PACKET_H
#define TESTS_UNIT_DNS_PACKET_H

#include "dns/message.h"
#include <string.h>

struct packet {
    unsigned char octets[65536];
    size_t len;
};

static inline void packet_u16(struct packet *p, unsigned value)
{
    p->octets[p->len++] = (unsigned char)(value >> 8);
    p->octets[p->len++] = (unsigned char)value;
}

/* Without compression. */
static inline void packet_name(struct packet *p, const char *name)
{
    while (*name) {
        size_t len = strcspn(name, ".");

        p->octets[p->len++] = (unsigned char)len;
        memcpy(p->octets + p->len, name, len);
        p->len += len;
        name += len + (name[len] == '.');
    }
    p->octets[p->len++] = 0;
}

static inline void packet_begin(struct packet *p, const char *name, unsigned type, unsigned rcode)
{
    p->len = 0;
    packet_u16(p, 1);
    packet_u16(p, 0x8180 | rcode);
    packet_u16(p, 1);
    packet_u16(p, 0);
    packet_u16(p, 0);
    packet_u16(p, 0);
    packet_name(p, name);
    packet_u16(p, type);
    packet_u16(p, 1);
}

/* Counts the record, and leaves its rdata to be written between record and packet_end. */
static inline size_t packet_record(struct packet *p, const char *owner, unsigned type)
{
    unsigned count = (unsigned)(p->octets[6] << 8 | p->octets[7]) + 1;

    p->octets[6] = (unsigned char)(count >> 8);
    p->octets[7] = (unsigned char)count;
    packet_name(p, owner);
    packet_u16(p, type);
    packet_u16(p, 1);
    packet_u16(p, 0);
    packet_u16(p, 60);
    packet_u16(p, 0);
    return p->len;
}

static inline void packet_end(struct packet *p, size_t rdata)
{
    size_t len = p->len - rdata;

    p->octets[rdata - 2] = (unsigned char)(len >> 8);
    p->octets[rdata - 1] = (unsigned char)len;
}

static inline void packet_string(struct packet *p, const char *text)
{
    p->octets[p->len++] = (unsigned char)strlen(text);
    memcpy(p->octets + p->len, text, strlen(text));
    p->len += strlen(text);
}

static inline void packet_addr(struct packet *p, const char *owner, const char *ip)
{
    struct addr addr = {0};
    size_t at, bytes;

    (void)!addr_parse_ip(slice_from_cstr(ip), &addr);
    bytes = addr.family == ADDR_IPV4 ? 4 : 16;
    at = packet_record(p, owner, addr.family == ADDR_IPV4 ? DNS_TYPE_A : DNS_TYPE_AAAA);
    memcpy(p->octets + p->len, addr.ip, bytes);
    p->len += bytes;
    packet_end(p, at);
}

static inline void packet_alias(struct packet *p, const char *owner, const char *target)
{
    size_t at = packet_record(p, owner, DNS_TYPE_CNAME);

    packet_name(p, target);
    packet_end(p, at);
}

static inline void packet_srv(struct packet *p, const char *owner, unsigned priority, unsigned weight,
                              unsigned port, const char *target)
{
    size_t at = packet_record(p, owner, DNS_TYPE_SRV);

    packet_u16(p, priority);
    packet_u16(p, weight);
    packet_u16(p, port);
    packet_name(p, target);
    packet_end(p, at);
}

static inline void packet_naptr(struct packet *p, const char *owner, unsigned order, unsigned preference,
                                const char *flags, const char *services, const char *regexp,
                                const char *replacement)
{
    size_t at = packet_record(p, owner, DNS_TYPE_NAPTR);

    packet_u16(p, order);
    packet_u16(p, preference);
    packet_string(p, flags);
    packet_string(p, services);
    packet_string(p, regexp);
    packet_name(p, replacement);
    packet_end(p, at);
}

static inline struct slice packet_slice(const struct packet *p)
{
    return slice_make((const char *)p->octets, p->len);
}

#endif
