#include "auth/step.h"
#include "auth/digest.h"
#include "base/log.h"

/* Room for one challenge beside its realm. */
#define CHALLENGE_BYTES 256
#define REALM_BYTES_MAX 256

/* What is asked of a request: by whom, and in which headers question and answer stand. */
struct demand {
    const struct proxy_domain *domain; /* NULL: whichever of ours has the realm of the answer */
    enum sip_hdr_id answer, question;
    unsigned status;
};

static const struct demand by_registrar = {
    .answer = SIP_HDR_AUTHORIZATION, .question = SIP_HDR_WWW_AUTHENTICATE, .status = 401};
static const struct demand by_proxy = {
    .answer = SIP_HDR_PROXY_AUTHORIZATION, .question = SIP_HDR_PROXY_AUTHENTICATE, .status = 407};

static struct log_limiter failure_log = LOG_LIMITER(10);

/* ---- the question ---- */

static bool knows_only_md5(const struct proxy_request *req, const struct auth_opts *opts)
{
    struct slice agent = sip_msg_value(req->msg, SIP_HDR_USER_AGENT);
    for (size_t i = 0; i < opts->n_md5_only_agents; i++)
        if (slice_starts_with_nocase(agent, opts->md5_only_agents[i]))
            return true;
    return false;
}

/* Which algorithms this client is offered: one bit each; all of them where MD5 is not. */
static unsigned choose_algorithms(const struct proxy_request *req, const struct auth_opts *opts)
{
    unsigned offered = 0;
    for (size_t i = 0; i < opts->n_algorithms; i++)
        offered |= 1U << opts->algorithms[i];
    unsigned md5 = offered & 1U << CRYPTO_MD5;
    return md5 != 0 && knows_only_md5(req, opts) ? md5 : offered;
}

static enum proxy_verdict challenge(struct proxy_request *req, const struct auth_opts *opts,
                                    const struct demand *demand, bool stale, const char *why)
{
    struct sip_extra extra[CRYPTO_DIGEST_ALG_COUNT + 1] = {{0}};
    struct slice realm = demand->domain->realm;
    unsigned chosen = choose_algorithms(req, opts);
    for (size_t i = 0, n = 0; i < opts->n_algorithms; i++) {
        if ((chosen & 1U << opts->algorithms[i]) == 0)
            continue;
        char nonce_memory[AUTH_NONCE_TEXT_BYTES];
        struct buf nonce, value;
        char *memory = arena_alloc(&req->arena, CHALLENGE_BYTES + REALM_BYTES_MAX);
        if (memory == NULL)
            return proxy_reply(req, 503, SLICE_NULL, NULL, "no memory for a challenge");
        buf_init(&nonce, nonce_memory, sizeof(nonce_memory));
        auth_nonce_issue(opts->nonces, realm, proxy_now_ms(req->proxy), &nonce);
        buf_init(&value, memory, CHALLENGE_BYTES + REALM_BYTES_MAX);
        auth_challenge_put(&value, realm, buf_slice(&nonce), opts->algorithms[i], stale);
        if (buf_failed(&value))
            return proxy_reply(req, 500, SLICE_NULL, NULL, "the realm is too long for a challenge");
        extra[n++] = (struct sip_extra){.id = demand->question, .value = buf_slice(&value)};
    }
    counter_inc(proxy_get_counters(req->proxy), COUNTER_CHALLENGES);
    return proxy_reply_once(req, demand->status, extra, why);
}

/* ---- the answer ---- */

enum found { FOUND_NONE, FOUND_BAD, FOUND_ONE, FOUND_NOMEM };

static bool is_offered(const struct auth_opts *opts, const struct auth_credentials *c)
{
    for (size_t i = 0; i < opts->n_algorithms && c->is_known; i++)
        if (opts->algorithms[i] == c->alg)
            return true;
    return false;
}

static const struct proxy_domain *find_domain(const struct proxy_request *req, const struct demand *demand,
                                              struct slice realm)
{
    const struct proxy_opts *proxy = proxy_get_opts(req->proxy);
    if (demand->domain != NULL)
        return slice_eq(realm, demand->domain->realm) ? demand->domain : NULL;
    for (size_t i = 0; i < proxy->n_domains; i++)
        if (slice_eq(realm, proxy->domains[i].realm))
            return &proxy->domains[i];
    return NULL;
}

struct answer {
    struct auth_credentials credentials;
    struct slice value;                /* the whole header field value */
    const struct proxy_domain *domain; /* whose realm it is for */
};

/* The first credentials for this realm by an algorithm that is offered (RFC 8760 section 2.4: the client
 * sends one of them). Those for others' realms may be there too and are nobody's business here. */
static enum found find_credentials(struct proxy_request *req, const struct auth_opts *opts,
                                   const struct demand *demand, struct answer *ret_answer)
{
    const struct sip_msg *msg = req->msg;
    for (uint16_t i = msg->first[demand->answer]; i != SIP_HDR_NONE; i = msg->hdrs[i].next) {
        struct answer a = {.value = sip_hdr_value(msg, &msg->hdrs[i])};
        int rc = auth_credentials_parse(a.value, &req->arena, &a.credentials);
        if (rc == ERR_UNSUPPORTED)
            continue;
        if (rc != 0)
            return rc == ERR_NOMEM ? FOUND_NOMEM : FOUND_BAD;
        a.domain = find_domain(req, demand, a.credentials.realm);
        if (a.domain == NULL || !is_offered(opts, &a.credentials))
            continue;
        if (!a.credentials.is_complete)
            return FOUND_BAD;
        *ret_answer = a;
        return FOUND_ONE;
    }
    return FOUND_NONE;
}

/* RFC 3261 section 22.4 item 8 asks to accept a client that knows no qop; RFC 7616 section 3.4 lets only MD5
 * be so old. */
static bool is_acceptable(const struct auth_credentials *c)
{
    return c->has_qop || c->alg == CRYPTO_MD5;
}

static void log_failure(const struct proxy_request *req, const struct demand *demand, const char *why)
{
    char memory[64];
    struct buf source;
    buf_init(&source, memory, sizeof(memory));
    addr_format(&req->from.addr, &source);
    counter_inc(proxy_get_counters(req->proxy), COUNTER_AUTH_FAILURES);
    log_limited(&failure_log, LOG_WARN, "auth.failed", log_slice("source", buf_slice(&source)),
                log_slice("domain", demand->domain->name), log_slice("call_id", req->call_id),
                log_cstr("why", why));
}

/* Clients differ in what they call themselves: "alice", or "alice@example.com". */
static struct slice name_of(const struct auth_credentials *c, const struct proxy_domain *domain,
                            bool *ret_with_domain)
{
    size_t at = slice_rfind(c->username, '@');
    *ret_with_domain = at < c->username.len &&
                       slice_eq_nocase(slice_sub(c->username, at + 1, c->username.len), domain->name);
    return *ret_with_domain ? slice_sub(c->username, 0, at) : c->username;
}

/* NULL, or why not. Whether the password is right is found out first: only who knows it is told that his
 * nonce is stale (RFC 7616 section 3.3). */
static const char *verify(struct proxy_request *req, const struct auth_opts *opts,
                          const struct demand *demand, const struct auth_credentials *c, bool *ret_stale)
{
    struct auth_secret secret;
    bool with_domain;
    struct slice name = name_of(c, demand->domain, &with_domain);
    *ret_stale = false;
    if (!is_acceptable(c))
        return "no qop: RFC 7616 section 3.4";
    if (auth_users_find(opts->users, demand->domain->name, name, demand->domain->realm, c->alg, with_domain,
                        &secret) != 0)
        return "no such user";
    if (secret.realm_differs)
        return "the password was set for another realm: set it again";
    if (auth_credentials_verify(c, &secret.ha1, req->msg->method_name) != 0)
        return "wrong password";
    switch (auth_nonce_use(opts->nonces, c->nonce, c->realm, c->nc, proxy_now_ms(req->proxy))) {
    case AUTH_NONCE_GOOD:
        req->user = name;
        return NULL;
    case AUTH_NONCE_REPLAY:
        *ret_stale = true;
        return "nonce count used before: RFC 7616 section 3.4";
    case AUTH_NONCE_STALE:
        break;
    }
    *ret_stale = true;
    return "nonce is stale: RFC 7616 section 3.3";
}

/* RFC 8760 section 2.6: "a UAS MUST check if the Request-URI in the Authorization/Proxy-Authorization header
 * field value corresponds to a user for whom the UAS is willing to accept forwarded or direct requests;
 * however, it MAY still accept it if the two fields are not equivalent." Taken is what is for us or for a
 * domain of ours, and what goes where the request goes: a proxy before us may have changed the Request-URI,
 * and some clients write the address of the proxy. */
static bool is_taken_for(const struct proxy_request *req, struct slice digest_uri)
{
    struct sip_uri uri;
    if (slice_eq(digest_uri, req->msg->ruri))
        return true;
    if (sip_uri_parse(digest_uri, &uri) != 0)
        return false;
    return proxy_uri_domain(proxy_get_opts(req->proxy), &uri) != NULL ||
           slice_eq_nocase(uri.host, req->ruri.host);
}

/* demand->domain is whose realm the answer is for. */
static enum proxy_verdict judge(struct proxy_request *req, const struct auth_opts *opts,
                                const struct demand *demand, const struct answer *answer)
{
    bool stale;
    if (!is_taken_for(req, answer->credentials.uri))
        return proxy_reply(req, 400, SLICE("Bad Digest URI"), NULL,
                           "credentials for where nothing is taken for: RFC 8760 section 2.6");
    const char *why = verify(req, opts, demand, &answer->credentials, &stale);
    if (why != NULL) {
        log_failure(req, demand, why);
        return challenge(req, opts, demand, stale, why);
    }
    req->user_domain = demand->domain;
    if (demand->answer == SIP_HDR_PROXY_AUTHORIZATION)
        req->remove_credentials = answer->value;
    return PROXY_NEXT;
}

static enum proxy_verdict authenticate(struct proxy_request *req, const struct auth_opts *opts,
                                       const struct demand *demand)
{
    struct answer answer;
    switch (find_credentials(req, opts, demand, &answer)) {
    case FOUND_NONE:
        return challenge(req, opts, demand, false, "credentials needed: RFC 3261 section 22.1");
    case FOUND_BAD:
        return proxy_reply(
            req, 400, demand->status == 401 ? SLICE("Bad Authorization") : SLICE("Bad Proxy-Authorization"),
            NULL, "credentials break the grammar: RFC 3261 section 22.4");
    case FOUND_NOMEM:
        return proxy_reply(req, 503, SLICE_NULL, NULL, "no memory for credentials");
    case FOUND_ONE:
        break;
    }
    return judge(req, opts, demand, &answer);
}

/* ---- who is asked ---- */

static const struct proxy_domain *domain_of(struct proxy_request *req, const struct sip_name_addr *na,
                                            struct sip_uri *ret_uri)
{
    if (sip_uri_parse(na->uri_text, ret_uri) != 0)
        return NULL;
    return proxy_uri_domain(proxy_get_opts(req->proxy), ret_uri);
}

static enum proxy_verdict step_register(struct proxy_request *req, const struct auth_opts *opts)
{
    const struct proxy_to *to;
    int rc = proxy_request_to(req, &to);
    if (rc == ERR_NOMEM)
        return proxy_reply(req, 503, SLICE_NULL, NULL, "no memory to read To");
    if (rc != 0)
        return PROXY_NEXT;
    struct demand demand = by_registrar;
    demand.domain = to->domain;
    if (demand.domain == NULL || !proxy_needs_auth_register(req, demand.domain))
        return PROXY_NEXT;
    return authenticate(req, opts, &demand);
}

/* A user of ours must not call under another's name. The user part is compared in the canonical form that
 * names are stored in. */
static bool is_own_name(const struct proxy_request *req, const struct sip_uri *from)
{
    char memory[AUTH_NAME_BYTES_MAX + AUTH_DOMAIN_BYTES_MAX + 16];
    struct buf aor;
    buf_init(&aor, memory, sizeof(memory));
    if (sip_uri_canonical_aor(from, &aor) != 0)
        return false;
    struct slice text = buf_slice(&aor);
    size_t start = slice_find(text, ':') + 1;
    return slice_eq(slice_sub(text, start, slice_rfind(text, '@')), req->user);
}

/* The first of our domains that wants credentials, or NULL. */
static const struct proxy_domain *domain_that_asks(const struct proxy_request *req)
{
    const struct proxy_opts *proxy = proxy_get_opts(req->proxy);
    for (size_t i = 0; i < proxy->n_domains; i++)
        if (proxy_needs_auth_calls(req, &proxy->domains[i]))
            return &proxy->domains[i];
    return NULL;
}

/* Someone from elsewhere, or who hides where he is from (RFC 3323 section 4.1.1.3): he may all the same be a user
 * of ours, and is asked when he wants what only those may have. */
static enum proxy_verdict step_stranger(struct proxy_request *req, const struct auth_opts *opts)
{
    struct demand demand = by_proxy;
    struct answer answer;
    switch (find_credentials(req, opts, &demand, &answer)) {
    case FOUND_ONE:
        demand.domain = answer.domain;
        return judge(req, opts, &demand, &answer);
    case FOUND_NOMEM:
        return proxy_reply(req, 503, SLICE_NULL, NULL, "no memory for credentials");
    case FOUND_NONE:
    case FOUND_BAD:
        break;
    }
    bool is_asked = req->auth == PROXY_AUTH_REQUIRED;
    if (is_asked || (proxy_leads_elsewhere(req) && !req->is_relay_allowed))
        demand.domain = domain_that_asks(req);
    if (demand.domain != NULL)
        return challenge(req, opts, &demand, false, "only users may go elsewhere: RFC 3261 section 22.3");
    return is_asked
               ? proxy_reply(req, 403, SLICE_NULL, NULL, "the route wants users, and there are none here")
               : PROXY_NEXT;
}

static enum proxy_verdict step_call(struct proxy_request *req, const struct auth_opts *opts)
{
    const struct sip_name_addr *from;
    struct sip_uri uri;
    struct demand demand = by_proxy;
    bool is_trusted = req->trusted && req->auth != PROXY_AUTH_REQUIRED;
    if (is_trusted || req->dialog_is_ours || sip_msg_from(req->msg, &from) != 0)
        return PROXY_NEXT;
    demand.domain = domain_of(req, from, &uri);
    if (demand.domain != NULL) {
        if (!proxy_needs_auth_calls(req, demand.domain))
            return PROXY_NEXT;
        enum proxy_verdict verdict = authenticate(req, opts, &demand);
        if (verdict == PROXY_NEXT && !is_own_name(req, &uri))
            return proxy_reply(req, 403, SLICE_NULL, NULL, "From names another user than the one who signed");
        return verdict;
    }
    return step_stranger(req, opts);
}

enum proxy_verdict auth_step(struct proxy_request *req, void *ctx)
{
    const struct auth_opts *opts = ctx;
    switch (req->method) {
    case SIP_METHOD_ACK:
    case SIP_METHOD_CANCEL:
        return PROXY_NEXT;
    case SIP_METHOD_REGISTER:
        /* For another's registrar it is a request like any (section 10.3 step 1). */
        return req->domain != NULL || req->to_self ? step_register(req, opts) : step_call(req, opts);
    default:
        return step_call(req, opts);
    }
}
