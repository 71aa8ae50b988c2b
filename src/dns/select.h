/* RFC 3263 sections 4.1 and 4.2 and RFC 2782 as pure functions: records in, an order out. The same records
 * and the same seed give the same order, in whatever order the records came (RFC 3263 section 4.4): a
 * stateless proxy, another worker and the process after a restart choose alike. */
#ifndef DNS_SELECT_H
#define DNS_SELECT_H

#include "dns/message.h"
#include "sip/table.h"
#include "sip/uri.h"

enum dns_family { DNS_IPV4 = 1, DNS_IPV6 = 2 };

/* By what transports a request can leave here, and in which address families: bits of enum dns_family. 0: not
 * spoken. */
struct dns_spoken {
    uint8_t families[SIP_TRANSPORT_COUNT];
};

static inline bool dns_is_spoken(const struct dns_spoken *spoken, enum sip_transport transport)
{
    return spoken->families[transport] != 0;
}

/* The transport that the URI says itself: by its parameter and scheme. OTHER: it says nothing,
 * or only that it must be secure. ERR_UNSUPPORTED: none that exists here, no SIP URI, or one
 * that contradicts itself (sips over UDP). */
MUST_USE int dns_transport_of_uri(const struct sip_uri *uri, enum sip_transport *ret_transport);
/* What is used when neither URI nor DNS say more (section 4.1): UDP, or TLS for sips; another one where
 * that is not spoken here. OTHER: none is. */
enum sip_transport dns_transport_default(const struct dns_spoken *spoken, bool is_secure);

/* A way to reach a domain: where NAPTR leads, or what is asked for when there is none. */
struct dns_service {
    enum sip_transport transport;
    bool is_address;      /* name has addresses (flag "a" of NAPTR), not SRV records */
    struct dns_name name; /* "_sips._tcp.example.com" */
};
#define DNS_SERVICES_MAX 8

/* "_sip._udp." and so on before domain. ERR_LIMIT: too long. */
MUST_USE int dns_service_of(enum sip_transport transport, const struct dns_name *domain,
                            struct dns_service *ret_service);
/* Without NAPTR (section 4.1): one service for each transport that may be used, the preferred one first. */
size_t dns_services_of_domain(const struct dns_spoken *spoken, bool is_secure, const struct dns_name *domain,
                              struct dns_service ret_services[DNS_SERVICES_MAX]);

/* What a NAPTR record means here: false when it means nothing (section 4.1: services that are not SIP+D2X
 * or SIPS+D2X of a transport spoken here, and for a sips URI those that are not SIPS; a regular
 * expression; other flags than s and a). */
bool dns_naptr_is_usable(const struct dns_record *naptr, const struct dns_spoken *spoken, bool is_secure,
                         struct dns_service *ret_service);
struct dns_rule {
    uint16_t order, preference;
    struct dns_service service;
};
/* Sorts by order and preference, and returns how many are to be considered: RFC 3403 section 4.1: "once a match is
 * found the client MUST NOT consider records with a different Order". */
size_t dns_rules_order(struct dns_rule *rules, size_t count);

struct dns_srv {
    uint16_t priority, weight, port;
    struct dns_name target; /* "": the service is not there (RFC 2782) */
};
/* Puts them into the order in which they are to be tried. */
void dns_srv_order(struct dns_srv *srvs, size_t count, uint64_t seed);

/* The addresses of one name. RFC 6724 section 2.1: by the precedence of the default policy table, as RFC 7984
 * asks of a client that has both families; equal ones begin at one that the seed says. */
void dns_addrs_order(struct addr *addrs, size_t count, uint64_t seed);

#endif
