#include "location/registrar.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "location/register.h"
#include <time.h>

/* The extensions this registrar has: what Require may name and Supported says. */
#define OPTION_PATH SLICE("path")

#define AOR_BYTES      (LOCATION_AOR_BYTES_MAX)
#define NUMBER_BYTES   20
#define DATE_BYTES     32
#define LOG_PER_SECOND 20

struct location_registrar {
    struct location_registrar_opts opts;
    struct log_limiter limiter;
};

/* Whose registration is meant. */
struct owner {
    struct slice aor;  /* canonical: the index into the bindings */
    struct slice user; /* canonical, in aor */
    const struct proxy_domain *domain;
};

int location_registrar_new(const struct location_registrar_opts *opts,
                           struct location_registrar **ret_registrar)
{
    struct location_registrar *r = mem_zalloc(sizeof(*r));

    if (!r)
        return ERR_NOMEM;
    r->opts = *opts;
    r->limiter.per_second = LOG_PER_SECOND;
    *ret_registrar = r;
    return 0;
}

void location_registrar_free(struct location_registrar *registrar)
{
    mem_free(registrar);
}

/* ---- Answers ---- */

static enum proxy_verdict refuse(struct proxy_request *req, unsigned status, const char *phrase,
                                 const char *why)
{
    return proxy_reply(req, status, slice_from_cstr(phrase), NULL, why);
}

/* Section 21.5.4: when it may be tried again. */
static enum proxy_verdict refuse_busy(struct proxy_request *req, const char *why)
{
    char digits[NUMBER_BYTES];
    size_t len = num_format_u64(proxy_get_opts(req->proxy)->retry_after_s, digits);
    const struct sip_extra extra[] = {{.id = SIP_HDR_RETRY_AFTER, .value = slice_make(digits, len)}, {0}};

    counter_inc(proxy_get_counters(req->proxy), COUNTER_SHED);
    return proxy_reply(req, 503, SLICE_NULL, extra, why);
}

static enum proxy_verdict refuse_brief(struct proxy_request *req, uint32_t min_expires_s, const char *why)
{
    char digits[NUMBER_BYTES];
    size_t len = num_format_u64(min_expires_s, digits);
    const struct sip_extra extra[] = {{.id = SIP_HDR_MIN_EXPIRES, .value = slice_make(digits, len)}, {0}};

    return proxy_reply(req, 423, SLICE_NULL, extra, why);
}

static enum proxy_verdict refuse_extension(struct proxy_request *req, struct slice tags, const char *why)
{
    const struct sip_extra extra[] = {{.id = SIP_HDR_UNSUPPORTED, .value = tags}, {0}};

    return proxy_reply(req, 420, SLICE_NULL, extra, why);
}

/* SIP-date = rfc1123-date (section 20.17), whatever the locale. */
static struct slice format_date(unix_s_t now_s, char out[DATE_BYTES])
{
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t seconds = (time_t)now_s;
    struct tm tm;
    struct buf b;

    gmtime_r(&seconds, &tm);
    buf_init(&b, out, DATE_BYTES);
    buf_printf(&b, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon],
               tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
    return buf_slice(&b);
}

#define CONTACT_EXTRA_BYTES 48 /* <>;expires=4294967295;q=0.123 and a comma */

static size_t contacts_bytes(const struct location_record *record)
{
    size_t bytes = 1;

    for (size_t i = 0; i < record->count; i++) {
        struct location_binding b = location_record_get(record, i);

        bytes += b.uri.len + b.params.len + CONTACT_EXTRA_BYTES;
    }
    return bytes;
}

/* Step 8: "The response MUST contain Contact header field values enumerating all current bindings. Each
 * Contact value MUST feature an "expires" parameter". */
static void put_contact(struct buf *out, const struct location_binding *b, unix_s_t now_s)
{
    if (out->len > 0)
        buf_putc(out, ',');
    buf_putc(out, '<');
    buf_put(out, b->uri);
    buf_lit(out, ">;expires=");
    buf_u64(out, (uint64_t)(b->expires_s - now_s));
    if (b->q_milli < 1000)
        buf_printf(out, ";q=0.%03u", b->q_milli);
    buf_put(out, b->params);
}

/* record: NULL for no bindings. Absent when none is alive. */
static int format_contacts(struct proxy_request *req, const struct location_record *record,
                           struct slice *ret_contacts)
{
    unix_s_t now_s = proxy_now_s(req->proxy);
    size_t bytes;
    struct buf out;
    void *memory;

    *ret_contacts = SLICE_NULL;
    if (!record)
        return 0;
    bytes = contacts_bytes(record);
    memory = arena_alloc(&req->arena, bytes);
    if (!memory)
        return ERR_NOMEM;
    buf_init(&out, memory, bytes);
    for (size_t i = 0; i < record->count; i++) {
        struct location_binding b = location_record_get(record, i);

        if (location_binding_is_live(&b, now_s))
            put_contact(&out, &b, now_s);
    }
    if (out.len > 0)
        *ret_contacts = buf_slice(&out);
    return 0;
}

/* Step 8; path: of this request (RFC 3327 section 5.3: "The registrar copies the Path header field values"). */
static enum proxy_verdict accept(struct proxy_request *req, const struct location_record *record,
                                 struct slice path, const char *why)
{
    struct sip_extra extra[5] = {0};
    char date[DATE_BYTES];
    struct slice contacts;
    size_t n = 0;

    if (format_contacts(req, record, &contacts) != 0)
        return refuse_busy(req, "no memory for the response");
    if (!slice_is_null(contacts))
        extra[n++] = (struct sip_extra){.id = SIP_HDR_CONTACT, .value = contacts};
    if (path.len > 0)
        extra[n++] = (struct sip_extra){.id = SIP_HDR_PATH, .value = path};
    extra[n++] = (struct sip_extra){.id = SIP_HDR_SUPPORTED, .value = OPTION_PATH};
    extra[n++] = (struct sip_extra){.id = SIP_HDR_DATE, .value = format_date(proxy_now_s(req->proxy), date)};
    counter_inc(proxy_get_counters(req->proxy), COUNTER_REGISTRATIONS);
    return proxy_reply(req, 200, SLICE_NULL, extra, why);
}

/* ---- Steps 1 and 2 ---- */

static bool is_for_us(const struct proxy_request *req)
{
    return req->msg.method == SIP_METHOD_REGISTER && (req->domain || req->to_self) && !req->is_led_out;
}

static size_t values_bytes(const struct sip_msg *msg, enum sip_hdr_id id)
{
    struct sip_values it = sip_values_of(msg, id);
    struct slice tag;
    size_t bytes = 1;

    while (sip_values_next(&it, &tag) == 0)
        bytes += tag.len + 1;
    return bytes;
}

/* The tags of Require that we do not have, comma-separated; empty when we have all (section 8.2.2.3). */
static int unsupported_tags(struct proxy_request *req, struct slice *ret_tags)
{
    struct sip_values it = sip_values_of(&req->msg, SIP_HDR_REQUIRE);
    size_t bytes = values_bytes(&req->msg, SIP_HDR_REQUIRE);
    void *memory = arena_alloc(&req->arena, bytes);
    struct slice tag;
    struct buf out;

    if (!memory)
        return ERR_NOMEM;
    buf_init(&out, memory, bytes);
    while (sip_values_next(&it, &tag) == 0) {
        if (slice_eq_nocase(tag, OPTION_PATH))
            continue;
        if (out.len > 0)
            buf_putc(&out, ',');
        buf_put(&out, tag);
    }
    *ret_tags = buf_slice(&out);
    return 0;
}

enum proxy_verdict location_require_step(struct proxy_request *req, void *ctx)
{
    struct slice tags;

    (void)ctx;
    if (!is_for_us(req))
        return PROXY_NEXT;
    if (!proxy_check_merged(req))
        return PROXY_DONE;
    if (!sip_msg_has(&req->msg, SIP_HDR_REQUIRE))
        return PROXY_NEXT;
    if (unsupported_tags(req, &tags) != 0)
        return refuse_busy(req, "no memory for the response");
    if (tags.len == 0)
        return PROXY_NEXT;
    return refuse_extension(req, tags, "Require: RFC 3261 section 8.2.2.3");
}

/* ---- Steps 4 and 5: who, and whose ---- */

/* The part between the scheme and the '@' of a canonical address-of-record; absent when there is none. */
static struct slice user_of(struct slice aor)
{
    size_t from = slice_find(aor, ':') + 1, to = slice_rfind(aor, '@');

    return to < aor.len && from < to ? slice_sub(aor, from, to) : SLICE_NULL;
}

/* The index into the bindings: the canonical form of section 10.3 step 5 under the domain's own name, so that
 * every way of writing one of our domains (with a port of ours, in capitals, as sips) leads to the same user.
 */
static int owner_in(const struct proxy_domain *domain, const struct sip_uri *uri, char out[AOR_BYTES],
                    struct owner *ret_owner)
{
    struct sip_uri plain = *uri;
    struct owner owner = {.domain = domain};
    struct buf b;

    if (!domain || slice_is_null(uri->user))
        return ERR_NOTFOUND;
    plain.scheme = SIP_SCHEME_SIP;
    plain.host = domain->name;
    plain.addr.family = ADDR_NONE;
    plain.port = 0;
    buf_init(&b, out, AOR_BYTES);
    if (sip_uri_canonical_aor(&plain, &b) != 0)
        return ERR_LIMIT;
    owner.aor = buf_slice(&b);
    owner.user = user_of(owner.aor);
    *ret_owner = owner;
    return 0;
}

static bool is_third_party(const struct location_registrar *r, const struct proxy_request *req)
{
    char text[AOR_BYTES];
    struct buf b;

    buf_init(&b, text, sizeof(text));
    buf_lit(&b, "sip:");
    buf_put(&b, req->user);
    buf_putc(&b, '@');
    buf_put(&b, req->user_domain->name);
    for (size_t i = 0; i < r->opts.n_third_parties; i++) {
        if (slice_eq(r->opts.third_parties[i], buf_slice(&b)))
            return true;
    }
    return false;
}

/* Step 4. */
static bool may_register(const struct location_registrar *r, const struct proxy_request *req,
                         const struct owner *owner)
{
    if (slice_is_null(req->user))
        return true; /* nobody was asked who he is */
    if (req->user_domain != owner->domain)
        return false;
    return slice_eq(req->user, owner->user) || is_third_party(r, req);
}

static bool exists(const struct location_registrar *r, const struct proxy_request *req,
                   const struct owner *owner)
{
    if (r->opts.unknown_users && slice_is_null(req->user))
        return true;
    return r->opts.user_exists(r->opts.ctx, owner->domain->name, owner->user);
}

/* 0: owner is the one whose bindings are meant. Else the request has been answered. */
static int find_owner(const struct location_registrar *r, struct proxy_request *req, char out[AOR_BYTES],
                      struct owner *ret_owner)
{
    const struct sip_name_addr *to;
    struct sip_uri uri;
    int rc;

    if (sip_msg_to(&req->msg, &to) != 0 || sip_uri_parse(to->uri_text, &uri) != 0 ||
        (uri.scheme != SIP_SCHEME_SIP && uri.scheme != SIP_SCHEME_SIPS)) {
        (void)refuse(req, 400, "Bad To",
                     "the address-of-record is no SIP or SIPS URI: RFC 3261 section 10.2");
        return ERR_SYNTAX;
    }
    rc = owner_in(proxy_uri_domain(r->opts.proxy, &uri), &uri, out, ret_owner);
    if (rc != 0) {
        (void)refuse(req, 404, NULL, "not an address of ours: RFC 3261 section 10.3 step 5");
        return rc;
    }
    if (!may_register(r, req, ret_owner)) {
        (void)refuse(req, 403, NULL, "another user's address-of-record: RFC 3261 section 10.3 step 4");
        return ERR_DENIED;
    }
    /* Valid for the domain in the Request-URI; when that names only this proxy, for any of ours. */
    if ((req->domain && ret_owner->domain != req->domain) || !exists(r, req, ret_owner)) {
        (void)refuse(req, 404, NULL, "no such user in this domain: RFC 3261 section 10.3 step 5");
        return ERR_NOTFOUND;
    }
    return 0;
}

/* ---- Steps 6 to 8 ---- */

static enum proxy_verdict answer_fetch(const struct location_registrar *r, struct proxy_request *req,
                                       const struct location_register *reg)
{
    const struct location_record *record = NULL;
    int rc = location_store_get(location_storage_store(r->opts.storage), reg->aor, &req->arena, &record);

    if (rc == ERR_NOMEM)
        return refuse_busy(req, "no memory for the response");
    return accept(req, record, reg->path, "bindings listed: RFC 3261 section 10.2.3");
}

static void log_job(struct location_registrar *r, const struct proxy_request *req,
                    const struct location_job *job)
{
    log_limited(&r->limiter, LOG_INFO, job->status == 200 ? "register.done" : "register.refused",
                log_slice("call_id", sip_msg_call_id(&req->msg)), log_slice("aor", job->reg.aor),
                log_u64("status", job->status), log_u64("bindings", job->record ? job->record->count : 0),
                log_cstr("why", job->why));
}

static enum proxy_verdict answer_job(struct location_registrar *r, struct proxy_request *req,
                                     const struct location_job *job)
{
    log_job(r, req, job);
    switch (job->status) {
    case 200:
        return accept(req, job->record, job->reg.path, "bindings updated: RFC 3261 section 10.3 step 8");
    case 423:
        return refuse_brief(req, location_storage_limits(r->opts.storage)->min_expires_s, job->why);
    case 503:
        return refuse_busy(req, job->why);
    default:
        return refuse(req, job->status, job->phrase, job->why);
    }
}

static enum proxy_verdict submit(struct location_registrar *r, struct proxy_request *req,
                                 const struct location_register *reg)
{
    struct location_job *job;
    enum proxy_verdict verdict = PROXY_WAIT;

    if (location_job_new(reg, proxy_now_s(req->proxy), &job) != 0)
        return refuse_busy(req, "no memory for a storage job");
    job->worker = proxy_get_opts(req->proxy)->worker;
    job->ticket = proxy_wait_ticket(req);
    switch (location_storage_submit(r->opts.storage, job)) {
    case LOCATION_LATER:
        return PROXY_WAIT;
    case LOCATION_DONE:
        verdict = answer_job(r, req, job);
        break;
    case LOCATION_FULL:
        verdict = refuse_busy(req, "too many wait for the storage");
        break;
    }
    location_job_free(job);
    return verdict;
}

static enum proxy_verdict process(struct location_registrar *r, struct proxy_request *req)
{
    struct location_register_error error;
    struct location_register reg;
    struct owner owner;
    char aor[AOR_BYTES];
    int rc;

    if (find_owner(r, req, aor, &owner) != 0 || !proxy_check_content(req))
        return PROXY_DONE;
    /* RFC 3327 section 5.3: somebody on the way has added a Path that the client knows nothing of. */
    if (sip_msg_has(&req->msg, SIP_HDR_PATH) && !r->opts.path_unasked &&
        !sip_msg_has_option(&req->msg, SIP_HDR_SUPPORTED, OPTION_PATH))
        return refuse_extension(req, OPTION_PATH, "Path without Supported: RFC 3327 section 5.3");
    rc = location_register_parse(&req->msg, &req->arena, &reg, &error);
    if (rc == ERR_NOMEM)
        return refuse_busy(req, "no memory to read the request");
    if (rc != 0)
        return refuse(req, error.status, error.phrase, error.why);
    reg.aor = owner.aor;
    reg.hop = req->from;
    if (reg.n_contacts == 0 && !reg.wildcard)
        return answer_fetch(r, req, &reg);
    return submit(r, req, &reg);
}

enum proxy_verdict location_registrar_step(struct proxy_request *req, void *ctx)
{
    struct location_registrar *r = ctx;
    enum proxy_verdict verdict;

    if (req->resumed)
        return answer_job(r, req, req->resumed);
    if (!is_for_us(req))
        return PROXY_NEXT;
    verdict = location_require_step(req, r);
    return verdict == PROXY_NEXT ? process(r, req) : verdict;
}

/* ---- Where a user is ---- */

static bool is_under_invalid(struct slice host)
{
    static const struct slice suffix = {".invalid", 8};

    return host.len > suffix.len && slice_eq_nocase(slice_sub(host, host.len - suffix.len, host.len), suffix);
}

/* RFC 7118 section 5: a browser cannot be connected to, only its own connection leads there. A phone on TLS has no
 * certificate to be known by: "the existing TLS connection will be reused to deliver incoming requests to the UA that
 * had just completed registration" (RFC 3261 section 26.3.2.1). */
static bool goes_by_hop(const struct location_registrar *r, const struct location_binding *b)
{
    struct sip_uri uri;

    if (!b->has_hop || b->path.len > 0)
        return false;
    if (r->opts.prefer_flow || b->hop.transport == SIP_TRANSPORT_WS ||
        b->hop.transport == SIP_TRANSPORT_WSS || b->hop.transport == SIP_TRANSPORT_TLS)
        return true;
    return sip_uri_parse(b->uri, &uri) == 0 && is_under_invalid(uri.host);
}

/* Before those with a lower q, and before those of the same q, which were registered earlier. */
static void insert_by_q(struct proxy_binding *list, size_t count, const struct proxy_binding *binding)
{
    size_t at = count;

    while (at > 0 && list[at - 1].q_milli <= binding->q_milli) {
        list[at] = list[at - 1];
        at--;
    }
    list[at] = *binding;
}

static int list_bindings(const struct location_registrar *r, const struct location_record *record,
                         unix_s_t now_s, struct arena *arena, size_t max,
                         const struct proxy_binding **ret_bindings, size_t *ret_count)
{
    struct proxy_binding *list = arena_alloc(arena, record->count * sizeof(*list));
    size_t count = 0;

    if (!list)
        return ERR_NOMEM;
    for (size_t i = 0; i < record->count; i++) {
        struct location_binding b = location_record_get(record, i);
        const struct proxy_binding binding = {
            .uri = b.uri,
            .path = b.path.len > 0 ? b.path : SLICE_NULL,
            .q_milli = b.q_milli,
            .has_hop = goes_by_hop(r, &b),
            .hop = b.hop,
        };

        if (location_binding_is_live(&b, now_s))
            insert_by_q(list, count++, &binding);
    }
    *ret_bindings = list;
    *ret_count = count < max ? count : max;
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

int location_locate(void *ctx, struct slice aor, unix_s_t now_s, struct arena *arena, size_t max,
                    const struct proxy_binding **ret_bindings, size_t *ret_count)
{
    const struct location_registrar *r = ctx;
    const struct location_record *record;
    char text[AOR_BYTES];
    struct owner owner;
    struct sip_uri uri;
    bool is_user;
    int rc;

    if (sip_uri_parse(aor, &uri) != 0 || owner_in(domain_named(r->opts.proxy, &uri), &uri, text, &owner) != 0)
        return ERR_NOTFOUND;
    is_user = r->opts.user_exists(r->opts.ctx, owner.domain->name, owner.user);
    if (!is_user && is_for_users_only(r, owner.domain))
        return ERR_NOTFOUND;
    rc = location_store_get(location_storage_store(r->opts.storage), owner.aor, arena, &record);
    if (rc == 0)
        return list_bindings(r, record, now_s, arena, max, ret_bindings, ret_count);
    if (rc != ERR_NOTFOUND)
        return rc;
    if (!is_user)
        return ERR_NOTFOUND;
    *ret_bindings = NULL;
    *ret_count = 0;
    return 0;
}
