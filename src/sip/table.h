/* The closed vocabularies of SIP, each from one .def file: header fields, methods, status codes, transports. */
#ifndef SIP_TABLE_H
#define SIP_TABLE_H

#include "base/slice.h"
#include <stdbool.h>
#include <stdint.h>

enum sip_hdr_flags {
    SIP_HDRF_SINGLE = 1,
    SIP_HDRF_LIST = 2,
    SIP_HDRF_MAY_BE_EMPTY = 4,
    SIP_HDRF_RESPONSE = 8,
};

enum sip_hdr_id {
    SIP_HDR_OTHER = 0,
#define HEADER(id, name, compact, flags) SIP_HDR_##id,
#include "sip/headers.def"
#undef HEADER
    SIP_HDR_COUNT
};

enum sip_method {
    SIP_METHOD_OTHER = 0,
#define METHOD(id, name) SIP_METHOD_##id,
#include "sip/methods.def"
#undef METHOD
    SIP_METHOD_COUNT
};

enum sip_transport_flags {
    SIP_TRANSPORT_RELIABLE = 1,
    SIP_TRANSPORT_SECURE = 2,
    SIP_TRANSPORT_WEBSOCKET = 4
};

enum sip_transport {
    SIP_TRANSPORT_OTHER = 0,
#define TRANSPORT(id, via, param, flags) SIP_TRANSPORT_##id,
#include "sip/transports.def"
#undef TRANSPORT
    SIP_TRANSPORT_COUNT
};

/* Header names compare without case (RFC 3261 section 7.3.1) and in their compact form too. */
enum sip_hdr_id sip_hdr_from_name(struct slice name);
/* The header whose long name, as the RFC writes it, a colon and one space begin these octets.
 * OTHER says nothing: the name may be known all the same, and is then for sip_hdr_from_name. For a
 * parser that wants the common case quickly. */
struct sip_hdr_at {
    uint16_t id;
    uint16_t value_at; /* behind the space */
};
struct sip_hdr_at sip_hdr_at(struct slice octets);
struct slice sip_hdr_name(enum sip_hdr_id id); /* long form; empty for OTHER */
unsigned sip_hdr_flags(enum sip_hdr_id id);

/* Method names are case-sensitive (section 7.1). */
enum sip_method sip_method_from_name(struct slice name);
struct slice sip_method_name(enum sip_method method); /* empty for OTHER */

/* The default reason phrase; of an unknown code that of x00 of its class, and of 183 for 1xx (section
 * 8.1.3.2). */
struct slice sip_status_phrase(unsigned status);

/* Transports compare without case. */
enum sip_transport sip_transport_from_name(struct slice name);
struct slice sip_transport_via_name(enum sip_transport transport);
struct slice sip_transport_param(enum sip_transport transport);
bool sip_transport_is_reliable(enum sip_transport transport);
bool sip_transport_is_secure(enum sip_transport transport);
bool sip_transport_is_websocket(enum sip_transport transport); /* either kind (RFC 7118) */
/* 5060, or 5061 over TLS; 80 and 443 for WS and WSS (RFC 7118 section 4.2 has no default: the URL's). */
uint16_t sip_transport_default_port(enum sip_transport transport);

#endif
