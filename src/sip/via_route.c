#include "sip/via_route.h"

#define TAG_BYTES 80 /* ";rport=65535;received=" and the longest IPv6 address */

uint16_t sip_via_route_port(const struct sip_via *via)
{
    return via->port ? via->port : sip_transport_default_port(via->transport);
}

static bool is_source(const struct sip_via *via, const struct addr *source)
{
    return via->addr.family != ADDR_NONE && addr_eq_ip(&via->addr, source);
}

/* A replacement inside the element. Both come from the same text, so their order is that of their addresses. */
struct patch {
    struct slice old, new;
};

static void put_patched(struct buf *out, struct slice text, struct patch first, struct patch second)
{
    const char *at = text.ptr, *end = text.ptr + text.len;

    if (first.old.ptr > second.old.ptr) {
        struct patch swap = first;
        first = second;
        second = swap;
    }
    buf_put(out, slice_make(at, (size_t)(first.old.ptr - at)));
    buf_put(out, first.new);
    at = first.old.ptr + first.old.len;
    buf_put(out, slice_make(at, (size_t)(second.old.ptr - at)));
    buf_put(out, second.new);
    at = second.old.ptr + second.old.len;
    buf_put(out, slice_make(at, (size_t)(end - at)));
}

int sip_via_route_tag(const struct sip_via *via, const struct addr *source, struct arena *arena,
                      struct slice *ret_text)
{
    bool has_received = !slice_is_null(via->received);
    struct slice end = slice_make(via->text.ptr + via->text.len, 0);
    struct patch rport = {end, slice_make("", 0)}, received = {end, slice_make("", 0)};
    char rport_text[TAG_BYTES], received_text[TAG_BYTES], *memory;
    struct buf out;

    if (!via->has_rport && !has_received && is_source(via, source)) {
        *ret_text = via->text;
        return 0;
    }
    if (via->has_rport) {
        buf_init(&out, rport_text, sizeof(rport_text));
        buf_lit(&out, ";rport=");
        buf_u64(&out, source->port);
        rport = (struct patch){via->rport_text, buf_slice(&out)};
    }
    buf_init(&out, received_text, sizeof(received_text));
    if (!has_received)
        buf_lit(&out, ";received=");
    addr_format_ip(source, false, &out);
    received = (struct patch){has_received ? via->received : end, buf_slice(&out)};

    memory = arena_alloc(arena, via->text.len + 2 * TAG_BYTES);
    if (!memory)
        return ERR_NOMEM;
    buf_init(&out, memory, via->text.len + 2 * TAG_BYTES);
    put_patched(&out, via->text, rport, received);
    *ret_text = buf_slice(&out);
    return 0;
}

/* Section 18.2.2, second item. A name would have to be looked up, and a multicast address would be an
 * amplifier: such a maddr is passed over, and the response goes to the source. */
static bool maddr_of(const struct sip_via *via, struct addr *ret_addr)
{
    struct addr addr;

    if (slice_is_null(via->maddr) || addr_parse_ip(via->maddr, &addr) < 0 || !addr_is_unicast(&addr))
        return false;
    *ret_addr = addr;
    return true;
}

void sip_via_route_reply(const struct sip_via *via, const struct sip_hop *from, struct sip_hop *ret_hop)
{
    struct sip_hop hop = *from;
    struct addr maddr;

    if (sip_transport_is_reliable((enum sip_transport)from->transport)) {
        hop.addr.port = sip_via_route_port(via);
    } else if (maddr_of(via, &maddr)) {
        hop.addr = maddr;
        hop.addr.port = sip_via_route_port(via);
        hop.flow = SIP_FLOW_NONE;
    } else if (!via->has_rport) {
        hop.addr.port = sip_via_route_port(via);
    }
    *ret_hop = hop;
}

int sip_via_route_response(const struct sip_via *via, struct sip_hop *ret_hop)
{
    struct sip_hop hop = {.flow = SIP_FLOW_NONE, .transport = (uint8_t)via->transport};
    bool is_reliable = sip_transport_is_reliable(via->transport), has_received = false;

    if (via->transport == SIP_TRANSPORT_OTHER)
        return ERR_UNSUPPORTED;
    if (is_reliable || !maddr_of(via, &hop.addr)) {
        if (!slice_is_null(via->received)) {
            if (addr_parse_ip(via->received, &hop.addr) < 0)
                return ERR_NOTFOUND;
            has_received = true;
        } else if (via->addr.family != ADDR_NONE) {
            hop.addr = via->addr;
        } else {
            return ERR_NOTFOUND;
        }
    }
    hop.addr.port = !is_reliable && has_received && via->rport ? via->rport : sip_via_route_port(via);
    if (!addr_is_unicast(&hop.addr))
        return ERR_DENIED;
    *ret_hop = hop;
    return 0;
}
