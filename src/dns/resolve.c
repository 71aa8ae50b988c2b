#include "dns/resolve.h"

/* RFC 3263 section 4.1, the cases that ask no DNS: a transport parameter says it; sips: means TLS over TCP;
 * else a literal, an explicit port, or a name without NAPTR and SRV records means UDP. */
static int choose_transport(const struct sip_uri *uri, enum sip_transport *ret_transport)
{
    if (uri->scheme != SIP_SCHEME_SIP && uri->scheme != SIP_SCHEME_SIPS)
        return ERR_UNSUPPORTED;
    enum sip_transport transport = SIP_TRANSPORT_UDP;
    if (!slice_is_null(uri->transport_text)) {
        transport = uri->transport;
        if (transport == SIP_TRANSPORT_OTHER)
            return ERR_UNSUPPORTED;
    }
    if (uri->scheme == SIP_SCHEME_SIPS) {
        if (transport == SIP_TRANSPORT_UDP && !slice_is_null(uri->transport_text))
            return ERR_UNSUPPORTED;
        transport = transport == SIP_TRANSPORT_WS ? SIP_TRANSPORT_WSS : SIP_TRANSPORT_TLS;
    }
    *ret_transport = transport;
    return 0;
}

int dns_resolve(const struct dns_hosts *hosts, const struct sip_uri *uri, struct sip_hop *ret_hops,
                size_t max, size_t *ret_count)
{
    enum sip_transport transport;
    int rc = choose_transport(uri, &transport);
    if (rc != 0)
        return rc;
    if (max == 0)
        return ERR_LIMIT;

    /* Section 4: TARGET is maddr if present, otherwise the host of the URI. */
    struct slice host = slice_is_null(uri->maddr) ? uri->host : uri->maddr;
    struct addr literal;
    struct addr found[16];
    size_t n = 0;
    if (addr_parse_ip(host, &literal) == 0)
        found[n++] = literal;
    else
        n = dns_hosts_find(hosts, host, found, sizeof(found) / sizeof(found[0]));

    uint16_t port = uri->port != 0 ? uri->port : sip_transport_default_port(transport);
    size_t count = 0;
    for (size_t i = 0; i < n && count < max; i++) {
        /* A multicast or broadcast address in a message never becomes a destination (RFC 4475
         * section 3.3.10). */
        if (!addr_is_unicast(&found[i]))
            continue;
        ret_hops[count] =
            (struct sip_hop){.addr = found[i], .flow = SIP_FLOW_NONE, .transport = (uint8_t)transport};
        ret_hops[count].addr.port = port;
        count++;
    }
    if (count == 0)
        return ERR_NOTFOUND;
    *ret_count = count;
    return 0;
}
