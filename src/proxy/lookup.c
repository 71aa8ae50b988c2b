/* What the core asks of RFC 3263, and what it tells of how the addresses fared. */
#include "base/num.h"
#include "proxy/internal.h"

/* Drawn from the Call-ID: the requests of a call meet the same server as long as it is there, and a stateless
 * proxy sends every retransmission, ACK and CANCEL to the place where the INVITE went (RFC 3263 section 4.4).
 * The secret keeps the choice from those who make Call-IDs. */
static uint64_t seed_of(const struct proxy *p, struct sip_msg *request)
{
    struct hash_state st;

    hash_begin_table(&st, &p->opts->secret);
    hash_add(&st, SLICE("next-hop"));
    hash_add(&st, sip_msg_call_id(request));
    return hash_end64(&st);
}

/* An address leaves nothing to draw. */
static bool is_address(const struct sip_uri *uri)
{
    return uri->addr.family != ADDR_NONE && slice_is_null(uri->maddr);
}

struct proxy_lookup proxy_lookup_of(struct proxy_context *c, const struct sip_uri *next, uint64_t ticket)
{
    return (struct proxy_lookup){.uri = next,
                                 .ticket = ticket,
                                 .seed = is_address(next) ? 0 : seed_of(c->req.proxy, c->req.msg),
                                 .is_steady = c->is_without_server,
                                 .source = c->req.trusted ? NULL : &c->req.from.addr};
}

void proxy_report(struct proxy *p, const struct sip_hop *hop, enum proxy_fate fate, ms_t sent_ms,
                  uint32_t retry_after_s)
{
    const struct proxy_report report = {
        .hop = hop, .fate = fate, .elapsed_ms = p->wheel.now_ms - sent_ms, .retry_after_s = retry_after_s};

    if (p->ports.report && hop->flow == SIP_FLOW_NONE)
        p->ports.report(p->ports.ctx, &report);
}

/* Section 20.33: delta-seconds, then a comment and parameters that only say more of it. */
bool proxy_retry_after(struct sip_msg *response, uint32_t *ret_seconds)
{
    struct slice value = sip_msg_value(response, SIP_HDR_RETRY_AFTER);
    size_t digits = 0;

    while (digits < value.len && value.ptr[digits] >= '0' && value.ptr[digits] <= '9')
        digits++;
    return num_parse_u32_saturate(slice_sub(value, 0, digits), UINT32_MAX, ret_seconds) == 0;
}
