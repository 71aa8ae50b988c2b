#include "proxy/internal.h"

/* Section 16.5: "A proxy can only change the Request-URI of a request during forwarding if it is responsible
 * for that URI. If the proxy is not responsible for that URI, it will not recurse". A spiral leaves it to where
 * the request was here first, whose targets are counted (see order.c). */
static bool may_recurse(const struct proxy_context *c)
{
    return c->req.recurse_3xx && c->req.domain && !c->is_closed && c->n_spirals == 0;
}

/* RFC 5630 section 5.3: a proxy that sent "a request using a SIPS Request-URI and receives a 3XX
 * response with a SIP Contact header field" "MUST NOT recurse on the response", nor the other way
 * round. The request is of one of the two. */
static bool is_usable(const struct proxy_context *c, const struct sip_uri *uri)
{
    return uri->scheme == c->req.ruri.scheme;
}

/* A redirection makes a callee choose where we send to. Out of our domains that is for those alone who could
 * have asked for it themselves (section 26.3.2): no callee lends the proxy to strangers as a relay. */
static bool is_allowed(const struct proxy_context *c, const struct sip_uri *uri)
{
    return proxy_may_relay(&c->req) || proxy_uri_domain(c->req.proxy->opts, uri) != NULL;
}

/* True when the contact is in the target set now, or was before: the next element upstream must not try it
 * again. */
static bool take(struct proxy_context *c, struct slice contact)
{
    struct proxy_binding binding = {0};
    struct sip_name_addr na;
    struct sip_uri uri;
    int rc;

    if (sip_name_addr_parse(contact, &na) < 0 || sip_uri_parse(na.uri_text, &uri) < 0 ||
        !is_usable(c, &uri) || !is_allowed(c, &uri))
        return false;
    if (sip_param_q(na.params, &binding.q_milli) < 0)
        binding.q_milli = 1000;
    binding.uri = arena_dup(&c->req.arena, na.uri_text);
    if (slice_is_null(binding.uri))
        return false;
    rc = proxy_add_target(&c->req, &binding);
    return rc == 0 || rc == ERR_EXISTS;
}

bool proxy_recurse(struct proxy_context *c, struct sip_msg *response, struct wire **ret_wire)
{
    struct proxy *p = c->req.proxy;
    struct sip_values it = sip_values_of(response, SIP_HDR_CONTACT);
    struct slice contact;
    struct sip_edit edit;
    unsigned taken = 0, left = 0;

    if (!may_recurse(c))
        return true;
    sip_edit_init(&edit, response, &p->scratch);
    sip_edit_pop_values(&edit, SIP_HDR_VIA, 1);
    proxy_response_edit(p, response, &c->reply_hop, &edit);
    sip_edit_remove_header(&edit, SIP_HDR_CONTACT);
    while (sip_values_next(&it, &contact) == 0) {
        if (take(c, contact)) {
            taken++;
        } else {
            sip_edit_append_header(&edit, SIP_HDR_CONTACT, contact);
            left++;
        }
    }
    if (taken == 0)
        return true;
    proxy_explain(c, NULL, "proxy.recurse", response->status,
                  "contacts of a 3xx become targets (16.7 step 4)");
    /* "If the proxy recurses on all of the contacts in a 3xx response, the proxy SHOULD NOT add the resulting
     * contactless response to the response context." */
    if (left == 0)
        return false;
    return sip_edit_build(&edit, (size_t)p->opts->limits.message_bytes, ret_wire) == 0;
}
