/* How much of everything a message may have. A required argument of the parser: there is no parsing without
 * limits. */
#ifndef SIP_LIMITS_H
#define SIP_LIMITS_H

#include <stdint.h>

struct sip_limits {
    uint32_t message_bytes; /* whole message */
    uint32_t start_line_bytes;
    uint32_t header_bytes; /* one header field, folded lines included */
    uint32_t headers;      /* header fields in a message; at most SIP_HEADERS_MAX */
    uint32_t values; /* elements of one comma-listed header (Via, Route, Contact ...) over all its lines */
};

#define SIP_HEADERS_MAX 1024

/* 65,535 octets; 8 kB start line; 16 kB header; 256 headers; 128 values. */
extern const struct sip_limits sip_limits_default;

#endif
