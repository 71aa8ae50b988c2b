/* DNS answers in wire form (RFC 1035 section 4) as far as a SIP server asks for them: A, AAAA, SRV (RFC 2782),
 * NAPTR (RFC 3403) and the aliases that lead to them. What stands in an answer was chosen by whoever runs the
 * zone: nothing is believed, and every number has a limit. Pure: no I/O, no memory but the caller's.
 *
 *     struct dns_reader reader;
 *     if (dns_reader_init(&reader, packet, DNS_TYPE_SRV) == 0)
 *         while (dns_reader_next(&reader, &record) == 0) ... */
#ifndef DNS_MESSAGE_H
#define DNS_MESSAGE_H

#include "base/addr.h"
#include "base/err.h"
#include "base/slice.h"
#include <stdint.h>

enum dns_type {
    DNS_TYPE_A = 1,
    DNS_TYPE_CNAME = 5,
    DNS_TYPE_AAAA = 28,
    DNS_TYPE_SRV = 33,
    DNS_TYPE_NAPTR = 35,
};

#define DNS_NAME_MAX_BYTES   254  /* as text, without the final dot; with a NUL it fills 255 */
#define DNS_CHAIN_MAX        8    /* aliases between a name and its records */
#define DNS_RECORDS_MAX      2048 /* looked at in one answer */
#define DNS_STRING_MAX_BYTES 255

/* A name in lower case without its final dot, and with a final NUL; "" is the root. Only letters, digits, '-' and
 * '_': what is not so is no host and no service, and is never asked for. */
struct dns_name {
    uint8_t len;
    char text[DNS_NAME_MAX_BYTES + 1];
};

/* ERR_SYNTAX: characters that no host name has, an empty label or one of more than 63; ERR_LIMIT: too long. */
MUST_USE int dns_name_from_text(struct slice text, struct dns_name *ret_name);
static inline struct slice dns_name_slice(const struct dns_name *name)
{
    return slice_make(name->text, name->len);
}

struct dns_record {
    enum dns_type type;
    struct addr addr;                     /* A, AAAA; port 0 */
    uint16_t priority, weight, port;      /* SRV */
    uint16_t order, preference;           /* NAPTR */
    struct slice flags, services, regexp; /* NAPTR: as in the packet */
    struct dns_name name;                 /* target of SRV, replacement of NAPTR */
};

struct dns_reader {
    struct slice packet;
    size_t at;       /* of the next record */
    unsigned n_left; /* records of the answer section from there */
    enum dns_type type;
    struct dns_name owner; /* where the aliases lead */
};

/* Reads the header and the question, and follows the aliases that the answer has. ERR_SYNTAX: it is no answer;
 * ERR_LIMIT: more than DNS_CHAIN_MAX aliases (a loop), or DNS_RECORDS_MAX records. */
MUST_USE int dns_reader_init(struct dns_reader *reader, struct slice packet, enum dns_type type);
/* The next record of the type with that owner; records whose name is no host's are passed over. ERR_NOTFOUND: no
 * more; ERR_SYNTAX: the rest makes no sense. */
MUST_USE int dns_reader_next(struct dns_reader *reader, struct dns_record *ret_record);

#endif
