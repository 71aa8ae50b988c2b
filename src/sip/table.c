#include "sip/table.h"
#include "sip/find.h"

#define NAME_BYTES 22 /* of the longest name, P-Preferred-Identity, a colon and a space */

/* start: the name, and what nearly always follows it in a message. */
struct header_row {
    char start[NAME_BYTES];
    uint8_t len; /* of the name */
    char compact;
    uint8_t flags;
};

static const struct header_row headers[SIP_HDR_COUNT] = {
#define HEADER(id, name, compact, flags) [SIP_HDR_##id] = {name ": ", sizeof(name) - 1, compact, flags},
#include "sip/headers.def"
#undef HEADER
};

/* A perfect hash of every name and compact form by length, first and last letter in lower case. A name that
 * collides is a compile error (two initialisers of one slot); one that was forgotten fails test_table. */
#define NAME_HASH(len, first, last) (((unsigned)(len)*22 + (unsigned)(first)*43 + (unsigned)(last)) & 127)
#define SLOT(len, first, last, id)  [NAME_HASH(len, first, last)] = SIP_HDR_##id

static const uint8_t header_slots[128] = {
    SLOT(3, 'v', 'a', VIA),
    SLOT(1, 'v', 'v', VIA),
    SLOT(4, 'f', 'm', FROM),
    SLOT(1, 'f', 'f', FROM),
    SLOT(2, 't', 'o', TO),
    SLOT(1, 't', 't', TO),
    SLOT(7, 'c', 'd', CALL_ID),
    SLOT(1, 'i', 'i', CALL_ID),
    SLOT(4, 'c', 'q', CSEQ),
    SLOT(12, 'm', 's', MAX_FORWARDS),
    SLOT(7, 'c', 't', CONTACT),
    SLOT(1, 'm', 'm', CONTACT),
    SLOT(5, 'r', 'e', ROUTE),
    SLOT(12, 'r', 'e', RECORD_ROUTE),
    SLOT(14, 'c', 'h', CONTENT_LENGTH),
    SLOT(1, 'l', 'l', CONTENT_LENGTH),
    SLOT(12, 'c', 'e', CONTENT_TYPE),
    SLOT(1, 'c', 'c', CONTENT_TYPE),
    SLOT(16, 'c', 'g', CONTENT_ENCODING),
    SLOT(1, 'e', 'e', CONTENT_ENCODING),
    SLOT(19, 'c', 'n', CONTENT_DISPOSITION),
    SLOT(16, 'c', 'e', CONTENT_LANGUAGE),
    SLOT(7, 'e', 's', EXPIRES),
    SLOT(11, 'm', 's', MIN_EXPIRES),
    SLOT(7, 'r', 'e', REQUIRE),
    SLOT(13, 'p', 'e', PROXY_REQUIRE),
    SLOT(9, 's', 'd', SUPPORTED),
    SLOT(1, 'k', 'k', SUPPORTED),
    SLOT(11, 'u', 'd', UNSUPPORTED),
    SLOT(13, 'a', 'n', AUTHORIZATION),
    SLOT(19, 'p', 'n', PROXY_AUTHORIZATION),
    SLOT(16, 'w', 'e', WWW_AUTHENTICATE),
    SLOT(18, 'p', 'e', PROXY_AUTHENTICATE),
    SLOT(19, 'a', 'o', AUTHENTICATION_INFO),
    SLOT(4, 'p', 'h', PATH),
    SLOT(13, 's', 'e', SERVICE_ROUTE),
    SLOT(9, 't', 'p', TIMESTAMP),
    SLOT(4, 'd', 'e', DATE),
    SLOT(11, 'r', 'r', RETRY_AFTER),
    SLOT(6, 'r', 'n', REASON),
    SLOT(7, 'w', 'g', WARNING),
    SLOT(5, 'a', 'w', ALLOW),
    SLOT(6, 'a', 't', ACCEPT),
    SLOT(10, 'u', 't', USER_AGENT),
    SLOT(6, 's', 'r', SERVER),
    SLOT(7, 's', 't', SUBJECT),
    SLOT(1, 's', 's', SUBJECT),
    SLOT(11, 'm', 'h', MAX_BREADTH),
    SLOT(10, 'f', 'r', FLOW_TIMER),
    SLOT(5, 'e', 't', EVENT),
    SLOT(1, 'o', 'o', EVENT),
    SLOT(4, 'r', 'q', RSEQ),
    SLOT(4, 'r', 'k', RACK),
    SLOT(8, 'r', 'o', REFER_TO),
    SLOT(1, 'r', 'r', REFER_TO),
    SLOT(19, 'p', 'y', P_ASSERTED_IDENTITY),
    SLOT(20, 'p', 'y', P_PREFERRED_IDENTITY),
    SLOT(7, 'p', 'y', PRIVACY),
};

/* The only header that a name could be. What 0x20 makes of an octet that is no letter does not matter. */
static enum sip_hdr_id header_candidate(const char *name, size_t len)
{
    return header_slots[NAME_HASH(len, (uint8_t)name[0] | 0x20U, (uint8_t)name[len - 1] | 0x20U)];
}

enum sip_hdr_id sip_hdr_from_name(struct slice name)
{
    if (name.len == 0)
        return SIP_HDR_OTHER;
    enum sip_hdr_id id = header_candidate(name.ptr, name.len);
    if (name.len == 1)
        return sip_char_lower(name.ptr[0]) == headers[id].compact ? id : SIP_HDR_OTHER;
    return slice_eq_nocase(name, sip_hdr_name(id)) ? id : SIP_HDR_OTHER;
}

#ifdef SIP_BLOCK_BYTES
/* Names that leave room in a block for the colon and the space. */
struct sip_hdr_at sip_hdr_at(struct slice octets)
{
    static const struct sip_hdr_at unknown = {.id = SIP_HDR_OTHER};
    if (octets.len < SIP_BLOCK_BYTES)
        return unknown;
    __m128i block = sip_block_at(octets.ptr);
    unsigned colons = sip_block_bits(sip_block_eq(block, ':'));
    unsigned len = colons != 0 ? (unsigned)__builtin_ctz(colons) : 0;
    if (len == 0 || len > SIP_BLOCK_BYTES - 2)
        return unknown;
    enum sip_hdr_id id = header_candidate(octets.ptr, len);
    const struct header_row *row = &headers[id];
    unsigned differing = sip_block_not_bits(_mm_cmpeq_epi8(block, sip_block_at(row->start)));
    if ((differing & ((1U << (row->len + 2)) - 1)) != 0) /* so it is as long, too */
        return unknown;
    return (struct sip_hdr_at){.id = (uint16_t)id, .value_at = (uint16_t)(row->len + 2U)};
}
#else
struct sip_hdr_at sip_hdr_at(struct slice octets)
{
    (void)octets;
    return (struct sip_hdr_at){.id = SIP_HDR_OTHER};
}
#endif

struct slice sip_hdr_name(enum sip_hdr_id id)
{
    return slice_make(headers[id].start, headers[id].len);
}

unsigned sip_hdr_flags(enum sip_hdr_id id)
{
    return headers[id].flags;
}

static const struct slice methods[SIP_METHOD_COUNT] = {
    [SIP_METHOD_OTHER] = {"", 0},
#define METHOD(id, name) [SIP_METHOD_##id] = {name, sizeof(name) - 1},
#include "sip/methods.def"
#undef METHOD
};

/* Length and first letter tell every known method from the others: a new one that does not is a compile
 * error. */
#define METHOD_KEY(len, first) ((unsigned)(len) << 8 | (unsigned)(first))

static enum sip_method method_candidate(struct slice name)
{
    switch (METHOD_KEY(name.len, name.ptr[0])) {
    case METHOD_KEY(6, 'I'):
        return SIP_METHOD_INVITE;
    case METHOD_KEY(3, 'A'):
        return SIP_METHOD_ACK;
    case METHOD_KEY(3, 'B'):
        return SIP_METHOD_BYE;
    case METHOD_KEY(6, 'C'):
        return SIP_METHOD_CANCEL;
    case METHOD_KEY(7, 'O'):
        return SIP_METHOD_OPTIONS;
    case METHOD_KEY(8, 'R'):
        return SIP_METHOD_REGISTER;
    case METHOD_KEY(5, 'P'):
        return SIP_METHOD_PRACK;
    case METHOD_KEY(9, 'S'):
        return SIP_METHOD_SUBSCRIBE;
    case METHOD_KEY(6, 'N'):
        return SIP_METHOD_NOTIFY;
    case METHOD_KEY(7, 'P'):
        return SIP_METHOD_PUBLISH;
    case METHOD_KEY(4, 'I'):
        return SIP_METHOD_INFO;
    case METHOD_KEY(5, 'R'):
        return SIP_METHOD_REFER;
    case METHOD_KEY(7, 'M'):
        return SIP_METHOD_MESSAGE;
    case METHOD_KEY(6, 'U'):
        return SIP_METHOD_UPDATE;
    default:
        return SIP_METHOD_OTHER;
    }
}

enum sip_method sip_method_from_name(struct slice name)
{
    if (name.len == 0)
        return SIP_METHOD_OTHER;
    enum sip_method method = method_candidate(name);
    return slice_eq(name, methods[method]) ? method : SIP_METHOD_OTHER;
}

struct slice sip_method_name(enum sip_method method)
{
    return methods[method];
}

struct slice sip_status_phrase(unsigned status)
{
    switch (status) {
#define STATUS(code, phrase)                                                                                 \
    case code:                                                                                               \
        return SLICE(phrase);
#include "sip/status.def"
#undef STATUS
    default:
        break;
    }
    /* RFC 3261 section 8.1.3.2: an unknown code is treated as the x00 of its class; 183 for an unknown 1xx. */
    switch (status / 100) {
    case 1:
        return SLICE("Session Progress");
    case 2:
        return SLICE("OK");
    case 3:
        return SLICE("Multiple Choices");
    case 4:
        return SLICE("Bad Request");
    case 5:
        return SLICE("Server Internal Error");
    case 6:
        return SLICE("Busy Everywhere");
    default:
        return SLICE("Unknown");
    }
}

struct transport_row {
    struct slice via, param;
    unsigned flags;
};

static const struct transport_row transports[SIP_TRANSPORT_COUNT] = {
    [SIP_TRANSPORT_OTHER] = {{"", 0}, {"", 0}, 0},
#define TRANSPORT(id, via, param, flags)                                                                     \
    [SIP_TRANSPORT_##id] = {{via, sizeof(via) - 1}, {param, sizeof(param) - 1}, flags},
#include "sip/transports.def"
#undef TRANSPORT
};

static enum sip_transport transport_candidate(struct slice name)
{
    char first = name.len > 0 ? sip_char_lower(name.ptr[0]) : '\0';
    char second = name.len > 1 ? sip_char_lower(name.ptr[1]) : '\0';
    switch (first) {
    case 'u':
        return SIP_TRANSPORT_UDP;
    case 't':
        return second == 'c' ? SIP_TRANSPORT_TCP : SIP_TRANSPORT_TLS;
    case 'w':
        return name.len == 2 ? SIP_TRANSPORT_WS : SIP_TRANSPORT_WSS;
    case 's':
        return SIP_TRANSPORT_SCTP;
    default:
        return SIP_TRANSPORT_OTHER;
    }
}

enum sip_transport sip_transport_from_name(struct slice name)
{
    enum sip_transport transport = transport_candidate(name);
    return slice_eq_nocase(name, transports[transport].via) ? transport : SIP_TRANSPORT_OTHER;
}

struct slice sip_transport_via_name(enum sip_transport transport)
{
    return transports[transport].via;
}

struct slice sip_transport_param(enum sip_transport transport)
{
    return transports[transport].param;
}

bool sip_transport_is_reliable(enum sip_transport transport)
{
    return transports[transport].flags & SIP_TRANSPORT_RELIABLE;
}

bool sip_transport_is_secure(enum sip_transport transport)
{
    return transports[transport].flags & SIP_TRANSPORT_SECURE;
}

bool sip_transport_is_websocket(enum sip_transport transport)
{
    return transports[transport].flags & SIP_TRANSPORT_WEBSOCKET;
}

uint16_t sip_transport_default_port(enum sip_transport transport)
{
    switch (transport) {
    case SIP_TRANSPORT_TLS:
        return 5061;
    case SIP_TRANSPORT_WS:
        return 80;
    case SIP_TRANSPORT_WSS:
        return 443;
    default:
        return 5060;
    }
}
