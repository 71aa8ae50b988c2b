#include "location/outbound.h"

#define OPTION_OUTBOUND SLICE("outbound")

static bool supports_outbound(const struct proxy_request *req)
{
    return sip_msg_has_option(req->msg, SIP_HDR_SUPPORTED, OPTION_OUTBOUND);
}

/* "the first URI does not have an "ob" URI parameter": the one of the first hop, which every other proxy has
 * put its own above (RFC 3327 section 5.2), and which alone may have the parameter (RFC 5626 section 5.1). */
static bool has_outbound_path(const struct proxy_request *req)
{
    struct sip_values it = sip_values_of(req->msg, SIP_HDR_PATH);
    struct slice element, first_hop = SLICE_NULL, value;
    struct sip_name_addr na;
    struct sip_uri uri;

    while (sip_values_next(&it, &element) == 0)
        first_hop = element;
    return !slice_is_null(first_hop) && sip_name_addr_parse(first_hop, &na) == 0 &&
           sip_uri_parse(na.uri_text, &uri) == 0 && sip_uri_param(&uri, SLICE("ob"), &value);
}

static bool is_removal(const struct location_contact *contact)
{
    return contact->has_requested && contact->requested_s == 0;
}

static bool has_reg_id(const struct location_register *reg)
{
    for (size_t i = 0; i < reg->n_contacts; i++) {
        if (reg->contacts[i].reg_id != 0)
            return true;
    }
    return false;
}

/* "if the Contact header field contains more than one header field value with a non-zero
 * expiration and any of these header field values contain a "reg-id" ..., the entire
 * registration SHOULD be rejected with a 400". */
static bool has_too_many(const struct location_register *reg)
{
    size_t lasting = 0, flows = 0;

    for (size_t i = 0; i < reg->n_contacts; i++) {
        if (is_removal(&reg->contacts[i]))
            continue;
        lasting++;
        flows += reg->contacts[i].reg_id != 0;
    }
    return lasting > 1 && flows > 0;
}

/* RFC 7118 section 5: a browser cannot be connected to, only its own connection leads there. A phone on TLS
 * has no certificate to be known by: "the existing TLS connection will be reused to deliver incoming requests
 * to the UA that had just completed registration" (RFC 3261 section 26.3.2.1). */
static bool is_unreachable_but_by_flow(const struct proxy_request *req,
                                       const struct location_contact *contact)
{
    return sip_transport_is_websocket((enum sip_transport)req->from.transport) ||
           req->from.transport == SIP_TRANSPORT_TLS || contact->is_host_invalid;
}

static int refuse(unsigned status, const char *phrase, const char *why,
                  struct location_register_error *ret_error)
{
    *ret_error = (struct location_register_error){.status = status, .phrase = phrase, .why = why};
    return ERR_DENIED;
}

int location_outbound_decide(struct proxy_request *req, struct location_register *reg,
                             struct location_register_error *ret_error)
{
    struct location_contact *contacts = arena_alloc(&req->arena, reg->n_contacts * sizeof(*contacts) + 1);
    bool is_direct = proxy_is_first_hop(req->msg), is_applied = is_direct || has_outbound_path(req);

    if (!contacts)
        return ERR_NOMEM;
    if (has_too_many(reg))
        return refuse(400, "Several Contacts With reg-id", "one flow at a time: RFC 5626 section 6",
                      ret_error);
    if (!is_applied && has_reg_id(reg) && supports_outbound(req))
        return refuse(439, NULL, "the first proxy does not support outbound: RFC 5626 section 6", ret_error);
    for (size_t i = 0; i < reg->n_contacts; i++) {
        struct location_contact *contact = &contacts[i];

        *contact = reg->contacts[i];
        if (!is_applied)
            contact->reg_id = 0;
        /* By way of a proxy: it is the Path that leads there. */
        contact->by_flow =
            reg->path.len == 0 && (contact->reg_id != 0 || (is_direct && req->listener->prefer_flow) ||
                                   is_unreachable_but_by_flow(req, contact));
    }
    reg->contacts = contacts;
    return 0;
}

bool location_outbound_is_used(const struct proxy_request *req, const struct location_register *reg)
{
    return has_reg_id(reg) && supports_outbound(req);
}
