/* Where a user is, or one instance of what he uses: the answer to proxy_ports.locate. */
#include "location/instance.h"
#include "location/registrar_private.h"

struct answer {
    const struct proxy_binding *bindings;
    size_t count;
};

/* Which bindings are asked for: all of the user, or those of one instance. */
struct wanted {
    bool is_gruu;
    struct location_gruu gruu;
};

static bool is_wanted(const struct location_registrar *r, const struct wanted *wanted,
                      const struct location_binding *b)
{
    struct slice instance;

    if (!wanted->is_gruu)
        return true;
    instance = location_instance_of(b->params);
    return !slice_is_null(instance) && location_gruu_instance(&r->gruus, instance) == wanted->gruu.instance &&
           (wanted->gruu.since_s == 0 || wanted->gruu.since_s == b->gruus_s);
}

/* A binding on its way into the list. */
struct candidate {
    struct proxy_binding binding;
    uint32_t updated_s;
};

/* Before those with a lower q, and before those of the same q, which were registered earlier. */
static void insert(struct candidate *list, size_t count, struct candidate c)
{
    size_t at = count;

    while (at > 0 &&
           (list[at - 1].binding.q_milli < c.binding.q_milli ||
            (list[at - 1].binding.q_milli == c.binding.q_milli && list[at - 1].updated_s <= c.updated_s))) {
        list[at] = list[at - 1];
        at--;
    }
    list[at] = c;
}

static struct candidate candidate_of(const struct location_binding *b)
{
    struct candidate c = {.updated_s = b->updated_s,
                          .binding = {
                              .uri = b->uri,
                              .path = b->path.len > 0 ? b->path : SLICE_NULL,
                              .instance = location_instance_of(b->params),
                              .q_milli = b->q_milli,
                              .has_hop = b->by_flow,
                              .hop = b->hop,
                          }};

    c.binding.hop.flow_only = b->by_flow;
    return c;
}

/* RFC 5626 section 7: of a client that is gone nothing gets into the list. A temporary GRUU lives no longer
 * than the last binding it is good for (RFC 5627 section 5.3): ERR_NOTFOUND. */
static int list_bindings(const struct location_registrar *r, const struct location_record *record,
                         const struct wanted *wanted, unix_s_t now_s, struct arena *arena,
                         struct answer *ret_answer)
{
    struct candidate *list = arena_alloc(arena, record->count * sizeof(*list));
    struct proxy_binding *bindings = arena_alloc(arena, record->count * sizeof(*bindings));
    bool is_bound = false;
    size_t count = 0;

    if (!list || !bindings)
        return ERR_NOMEM;
    for (size_t i = 0; i < record->count; i++) {
        struct location_binding b = location_record_get(record, i);

        if (!location_binding_is_live(&b, now_s) || !is_wanted(r, wanted, &b))
            continue;
        is_bound = true;
        if (!location_binding_is_cut(&b, location_registrar_flows(r)))
            insert(list, count++, candidate_of(&b));
    }
    if (!is_bound && wanted->gruu.since_s != 0)
        return ERR_NOTFOUND;
    for (size_t i = 0; i < count; i++)
        bindings[i] = list[i].binding;
    *ret_answer = (struct answer){bindings, count};
    return 0;
}

/* The domain whose name this is: an address-of-record in canonical form has no port that would tell more. */
static const struct proxy_domain *domain_named(const struct proxy_opts *proxy, const struct sip_uri *uri)
{
    for (size_t i = 0; i < proxy->n_domains; i++) {
        struct addr addr;

        if (slice_eq_nocase(proxy->domains[i].name, uri->host))
            return &proxy->domains[i];
        if (uri->addr.family != ADDR_NONE && addr_parse_ip(proxy->domains[i].name, &addr) == 0 &&
            addr_eq_ip(&addr, &uri->addr))
            return &proxy->domains[i];
    }
    return NULL;
}

int location_owner_of(const struct proxy_opts *proxy, const struct sip_uri *aor,
                      char out[LOCATION_REGISTRAR_AOR_BYTES], struct location_owner *ret_owner)
{
    return location_owner_in(domain_named(proxy, aor), aor, out, ret_owner);
}

/* What is in canonical form and no GRUU is the index itself. ERR_NOTFOUND: it is something else. */
static int read_plain(const struct proxy_opts *proxy, struct slice aor, struct location_owner *ret_owner)
{
    size_t from = slice_find(aor, ':') + 1, at = slice_rfind(aor, '@');
    struct slice host = at < aor.len ? slice_sub(aor, at + 1, aor.len) : SLICE("");

    for (size_t i = 0; from < at && i < proxy->n_domains; i++) {
        if (!slice_eq(proxy->domains[i].name, host))
            continue;
        *ret_owner = (struct location_owner){
            .aor = aor, .user = slice_sub(aor, from, at), .domain = &proxy->domains[i]};
        return 0;
    }
    return ERR_NOTFOUND;
}

/* Where nobody can register without credentials, who is not among the users has no bindings, whatever is left
 * from when he was. */
static bool is_for_users_only(const struct location_registrar *r, const struct proxy_domain *domain)
{
    const struct proxy_opts *proxy = r->opts.proxy;

    for (size_t i = 0; i < proxy->n_listeners; i++) {
        if (proxy->listeners[i].auth_register == PROXY_AUTH_NONE)
            return false;
    }
    return domain->auth_register == PROXY_AUTH_REQUIRED;
}

/* RFC 5627 section 6.1: "If it contains the "gr" URI parameter but is not equivalent ... to a currently
 * valid GRUU within the domain, it SHOULD be rejected with a 404". In: the owner as the URI says; out: as
 * the GRUU says, with text for his name. */
static int read_gruu(const struct location_registrar *r, const struct sip_uri *uri,
                     char text[LOCATION_REGISTRAR_AOR_BYTES], struct location_owner *owner,
                     struct wanted *wanted)
{
    char memory[LOCATION_GRUU_USER_MAX];
    struct sip_uri real = *uri;
    struct slice value;

    if (!sip_uri_param(uri, SLICE("gr"), &value))
        return 0;
    wanted->is_gruu = true;
    if (value.len > 0)
        return location_gruu_public_read(&r->gruus, owner->aor, value, &wanted->gruu) ? 0 : ERR_NOTFOUND;
    if (location_gruu_temporary_read(&r->gruus, owner->user, owner->domain->name, memory, &real.user,
                                     &wanted->gruu) != 0)
        return ERR_NOTFOUND;
    return location_owner_in(owner->domain, &real, text, owner);
}

int location_locate(void *ctx, struct slice aor, unix_s_t now_s, struct arena *arena, size_t max,
                    const struct proxy_binding **ret_bindings, size_t *ret_count)
{
    const struct location_registrar *r = ctx;
    const struct location_record *record;
    char text[LOCATION_REGISTRAR_AOR_BYTES];
    struct location_owner owner;
    struct wanted wanted = {0};
    struct answer answer = {0};
    struct sip_uri uri;
    bool is_user;
    int rc;

    if (read_plain(r->opts.proxy, aor, &owner) != 0 &&
        (sip_uri_parse(aor, &uri) != 0 || location_owner_of(r->opts.proxy, &uri, text, &owner) != 0 ||
         read_gruu(r, &uri, text, &owner, &wanted) != 0))
        return ERR_NOTFOUND;
    is_user = r->opts.user_exists(r->opts.ctx, owner.domain->name, owner.user);
    if (!is_user && is_for_users_only(r, owner.domain))
        return ERR_NOTFOUND;
    rc = location_store_get(location_storage_store(r->opts.storage), owner.aor, arena, &record);
    if (rc == 0)
        rc = list_bindings(r, record, &wanted, now_s, arena, &answer);
    else if (rc == ERR_NOTFOUND && wanted.gruu.since_s == 0 && (is_user || wanted.is_gruu))
        rc = 0;
    if (rc != 0)
        return rc;
    *ret_bindings = answer.bindings;
    *ret_count = answer.count < max ? answer.count : max;
    return 0;
}

/* May it begin a dialog which goes through other proxies too? */
static bool begins_recorded_dialog(struct sip_msg *msg)
{
    return (msg->method == SIP_METHOD_INVITE || msg->method == SIP_METHOD_SUBSCRIBE ||
            msg->method == SIP_METHOD_REFER) &&
           slice_is_null(sip_msg_to_tag(msg)) && sip_msg_has(msg, SIP_HDR_RECORD_ROUTE);
}

enum proxy_verdict location_contact_step(struct proxy_request *req, void *ctx)
{
    const struct location_registrar *r = ctx;
    char text[LOCATION_REGISTRAR_AOR_BYTES];
    struct location_owner owner;
    struct wanted wanted = {0};
    struct sip_uri contact;

    if (slice_is_null(req->user) || !begins_recorded_dialog(req->msg) ||
        !proxy_find_contact(req->msg, &contact) ||
        location_owner_of(r->opts.proxy, &contact, text, &owner) != 0 ||
        read_gruu(r, &contact, text, &owner, &wanted) != 0 || !wanted.is_gruu ||
        (owner.domain == req->user_domain && slice_eq(owner.user, req->user)))
        return PROXY_NEXT;
    return proxy_reply(req, 403, SLICE_NULL, NULL, "another user's GRUU in Contact: RFC 5627 section 6.2");
}
