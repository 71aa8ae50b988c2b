/* RFC 3325: the identity that a trust domain vouches for. What a node outside of it claims is not passed on
 * (section 5); who has proved who he is here is asserted (section 5); what is asserted leaves the trust domain
 * unless its owner asked for privacy (section 7). Trusted are the nodes whose addresses are in proxy_opts.trusted,
 * and next hops of which a route says so. */
#include "policy/internal.h"
#include "sip/chars.h"
#include "sip/edit.h"

static bool is_trusted_address(const struct proxy_opts *opts, const struct addr *addr)
{
    for (size_t i = 0; i < opts->n_trusted; i++)
        if (addr_prefix_has(&opts->trusted[i], addr))
            return true;
    return false;
}

static bool is_trusted_hop(const struct proxy_request *req, const struct sip_hop *hop)
{
    enum policy_identity identity = *(const enum policy_identity *)req->edit_choice;

    if (identity == POLICY_IDENTITY_AUTO)
        return is_trusted_address(proxy_get_opts(req->proxy), &hop->addr);
    return identity == POLICY_IDENTITY_TRUSTED;
}

/* Privacy-hdr = "Privacy" HCOLON priv-value *(";" priv-value) (RFC 3323 section 4.2) */
static bool wants_privacy(const struct sip_msg *msg)
{
    struct slice rest = sip_msg_value(msg, SIP_HDR_PRIVACY);

    while (rest.len > 0) {
        size_t end = slice_find(rest, ';');

        if (slice_eq_nocase(slice_trim(slice_sub(rest, 0, end)), SLICE("id")))
            return true;
        rest = slice_sub(rest, end + 1, rest.len);
    }
    return false;
}

/* RFC 3325 section 9.1 has the header field in none of these. */
static bool may_assert(enum sip_method method)
{
    switch (method) {
    case SIP_METHOD_ACK:
    case SIP_METHOD_CANCEL:
    case SIP_METHOD_REGISTER:
    case SIP_METHOD_INFO:
    case SIP_METHOD_PRACK:
    case SIP_METHOD_UPDATE:
        return false;
    default:
        return true;
    }
}

/* "<sip:alice@example.com>", or absent when the arena is full. */
static struct slice own_identity(const struct proxy_request *req, struct arena *arena)
{
    size_t cap = sizeof("<sip:@>") + req->user.len * 3 + req->user_domain->name.len;
    char *memory = arena_alloc(arena, cap);
    struct buf out;

    if (!memory)
        return SLICE_NULL;
    buf_init(&out, memory, cap);
    buf_lit(&out, "<sip:");
    for (size_t i = 0; i < req->user.len; i++) {
        char c = req->user.ptr[i];

        /* The name is canonical: an escape in it is one that is needed. */
        if (sip_char_is(c, SIP_CHAR_USER) || c == '%')
            buf_putc(&out, c);
        else
            buf_printf(&out, "%%%02X", (unsigned)(uint8_t)c);
    }
    buf_lit(&out, "@");
    buf_put(&out, req->user_domain->name);
    buf_lit(&out, ">");
    return buf_slice(&out);
}

/* "the proxy MUST authenticate the originator of the message, and use the identity which results from this
 * authentication". */
static void assert_identity(const struct proxy_request *req, struct sip_edit *edit)
{
    struct slice value;

    if (slice_is_null(req->user) || !req->user_domain || !may_assert(req->method))
        return;
    value = own_identity(req, edit->arena);
    if (slice_is_null(value))
        edit->error = ERR_NOMEM;
    else
        sip_edit_append_header(edit, SIP_HDR_P_ASSERTED_IDENTITY, value);
}

void policy_identity_edit(struct proxy_request *req, const struct sip_hop *hop, struct sip_edit *edit)
{
    bool is_private = wants_privacy(req->msg) && !is_trusted_hop(req, hop);

    /* Section 6: "The proxy MUST remove the user-provided P-Preferred-Identity header from any message it
     * forwards." It is no more than a hint, and a user has one identity here. */
    sip_edit_remove_header(edit, SIP_HDR_P_PREFERRED_IDENTITY);
    if (!req->trusted || is_private)
        sip_edit_remove_header(edit, SIP_HDR_P_ASSERTED_IDENTITY);
    if (!req->trusted && !is_private)
        assert_identity(req, edit);
}

/* "If the proxy receives a message (request or response) from a node that it trusts": the callee's identity
 * comes back by the same rules, but that nobody proves who he is in a response. */
void policy_identity_edit_response(const struct proxy_opts *opts, struct sip_msg *response,
                                   const struct sip_hop *from, const struct sip_hop *to,
                                   struct sip_edit *edit)
{
    bool is_private = wants_privacy(response) && !is_trusted_address(opts, &to->addr);

    sip_edit_remove_header(edit, SIP_HDR_P_PREFERRED_IDENTITY);
    if (is_private || !is_trusted_address(opts, &from->addr))
        sip_edit_remove_header(edit, SIP_HDR_P_ASSERTED_IDENTITY);
}
