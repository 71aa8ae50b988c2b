#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "location/date.h"
#include "location/instance.h"
#include "location/outbound.h"
#include "location/registrar_private.h"

/* The extensions this registrar has: what Require may name and Supported says. */
#define OPTION_PATH     SLICE("path")
#define OPTION_OUTBOUND SLICE("outbound")
#define OPTION_GRUU     SLICE("gruu")
/* RFC 5627 section 5.2: "The registrar SHOULD NOT include the "gruu" option tag in the Require or
 * Supported header field of the response." */
#define SUPPORTED SLICE("path, outbound")

#define NUMBER_BYTES   20
#define LOG_PER_SECOND 20

int location_registrar_new(const struct location_registrar_opts *opts,
                           struct location_registrar **ret_registrar)
{
    struct hash_key secret = location_storage_secret(opts->storage);
    struct location_registrar *r = mem_zalloc(sizeof(*r));
    int rc;

    if (!r)
        return ERR_NOMEM;
    r->opts = *opts;
    r->limiter.per_second = LOG_PER_SECOND;
    rc = location_gruus_init(&secret, &r->gruus);
    if (rc != 0) {
        mem_free(r);
        return rc;
    }
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

/* What the answer says of the bindings. */
struct listing {
    struct proxy_request *req;
    const struct location_registrar *r;
    const struct location_owner *owner;
    bool with_gruus; /* RFC 5627 section 5.2 */
};

#define CONTACT_EXTRA_BYTES 48 /* <>;expires=4294967295;q=0.123 and a comma */
/* ;pub-gruu="sips:USER@DOMAIN;gr=VALUE";temp-gruu="sips:NAME@DOMAIN;gr" */
#define GRUUS_EXTRA_BYTES (50 + LOCATION_GRUU_VALUE_BYTES + LOCATION_GRUU_NAME_BYTES)

static size_t contacts_bytes(const struct listing *l, const struct location_record *record)
{
    size_t bytes = 1,
           gruus = l->with_gruus ? l->owner->aor.len + l->owner->domain->name.len + GRUUS_EXTRA_BYTES : 0;

    for (size_t i = 0; i < record->count; i++) {
        struct location_binding b = location_record_get(record, i);

        bytes += b.uri.len + b.params.len + CONTACT_EXTRA_BYTES + gruus;
    }
    return bytes;
}

/* RFC 5630 section 5.2.1: "the registrar MUST assign both a SIP GRUU and a SIPS GRUU": each is found
 * by both schemes. "If the Contact header field in the REGISTER request contains a SIPS URI, the
 * registrar MUST return the SIPS version". */
static struct slice gruu_scheme(const struct location_binding *b)
{
    return slice_starts_with_nocase(b->uri, SLICE("sips:")) ? SLICE("sips:") : SLICE("sip:");
}

/* "if the registrar has a public GRUU assigned to the instance ID and AOR (and the client supports GRUUs),
 * the registrar MUST add a "pub-gruu" Contact header field parameter"; and likewise a temporary one. */
static int put_gruus(struct buf *out, const struct listing *l, const struct location_binding *b)
{
    struct slice instance = location_instance_of(b->params);
    const struct location_gruu gruu = {location_gruu_instance(&l->r->gruus, instance), b->gruus_s};
    char value[LOCATION_GRUU_VALUE_BYTES], name[LOCATION_GRUU_NAME_BYTES];
    int rc;

    buf_lit(out, ";pub-gruu=\"");
    buf_put(out, gruu_scheme(b));
    buf_put(out, slice_sub(l->owner->aor, sizeof("sip:") - 1, l->owner->aor.len));
    buf_lit(out, ";gr=");
    buf_put(out, location_gruu_public(&l->r->gruus, l->owner->aor, instance, value));
    buf_lit(out, "\"");
    rc = location_gruu_temporary(&l->r->gruus, l->owner->user, l->owner->domain->name, &gruu, name);
    if (rc != 0)
        return rc == ERR_LIMIT ? 0 : rc;
    buf_lit(out, ";temp-gruu=\"");
    buf_put(out, gruu_scheme(b));
    buf_put(out, slice_make(name, sizeof(name)));
    buf_lit(out, "@");
    buf_put(out, l->owner->domain->name);
    buf_lit(out, ";gr\"");
    return 0;
}

/* Step 8: "The response MUST contain Contact header field values enumerating all current bindings. Each
 * Contact value MUST feature an "expires" parameter". */
static int put_contact(struct buf *out, const struct listing *l, const struct location_binding *b,
                       unix_s_t now_s)
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
    return l->with_gruus && b->gruus_s != 0 ? put_gruus(out, l, b) : 0;
}

/* record: NULL for no bindings. Absent when none is alive. */
static int format_contacts(const struct listing *l, const struct location_record *record,
                           struct slice *ret_contacts)
{
    unix_s_t now_s = proxy_now_s(l->req->proxy);
    size_t bytes;
    struct buf out;
    void *memory;
    int rc = 0;

    *ret_contacts = SLICE_NULL;
    if (!record)
        return 0;
    bytes = contacts_bytes(l, record);
    memory = arena_alloc(&l->req->arena, bytes);
    if (!memory)
        return ERR_NOMEM;
    buf_init(&out, memory, bytes);
    for (size_t i = 0; i < record->count && rc == 0; i++) {
        struct location_binding b = location_record_get(record, i);

        if (location_registrar_counts(l->r, &b, now_s))
            rc = put_contact(&out, l, &b, now_s);
    }
    if (out.len > 0)
        *ret_contacts = buf_slice(&out);
    return rc;
}

/* RFC 5626 section 6: "Registrars with a direct flow with a UA MAY include a Flow-Timer header in a 2xx class
 * registration response that includes the outbound option-tag in the Require header." */
static size_t put_outbound(const struct location_registrar *r, const struct proxy_request *req,
                           const struct location_register *reg, char digits[NUMBER_BYTES],
                           struct sip_extra *extra)
{
    size_t n = 0;

    if (!location_outbound_is_used(req, reg))
        return 0;
    extra[n++] = (struct sip_extra){.id = SIP_HDR_REQUIRE, .value = OPTION_OUTBOUND};
    if (r->opts.proxy->flow_timer_s > 0 && proxy_is_first_hop(req->msg))
        extra[n++] = (struct sip_extra){
            .id = SIP_HDR_FLOW_TIMER,
            .value = slice_make(digits, num_format_u64(r->opts.proxy->flow_timer_s, digits))};
    return n;
}

/* Step 8; the Path of this request (RFC 3327 section 5.3: "The registrar copies the Path header field values"). */
static enum proxy_verdict accept(const struct location_registrar *r, struct proxy_request *req,
                                 const struct location_record *record, const struct location_register *reg,
                                 const char *why)
{
    struct location_owner owner;
    struct sip_uri uri;
    char aor[LOCATION_REGISTRAR_AOR_BYTES], date[LOCATION_DATE_BYTES], digits[NUMBER_BYTES];
    struct sip_extra extra[8] = {0};
    struct slice contacts, today = location_date_format(proxy_now_s(req->proxy), date);
    struct listing l = {.req = req, .r = r, .owner = &owner};
    size_t n = 0;

    l.with_gruus = sip_msg_has_option(req->msg, SIP_HDR_SUPPORTED, OPTION_GRUU) &&
                   sip_uri_parse(reg->aor, &uri) == 0 &&
                   location_owner_of(r->opts.proxy, &uri, aor, &owner) == 0;
    if (format_contacts(&l, record, &contacts) != 0)
        return refuse_busy(req, "no memory for the response");
    if (!slice_is_null(contacts))
        extra[n++] = (struct sip_extra){.id = SIP_HDR_CONTACT, .value = contacts};
    if (reg->path.len > 0)
        extra[n++] = (struct sip_extra){.id = SIP_HDR_PATH, .value = reg->path};
    if (r->opts.service_route.len > 0)
        extra[n++] = (struct sip_extra){.id = SIP_HDR_SERVICE_ROUTE, .value = r->opts.service_route};
    n += put_outbound(r, req, reg, digits, &extra[n]);
    extra[n++] = (struct sip_extra){.id = SIP_HDR_SUPPORTED, .value = SUPPORTED};
    extra[n++] = (struct sip_extra){.id = SIP_HDR_DATE, .value = today};
    counter_inc(proxy_get_counters(req->proxy), COUNTER_REGISTRATIONS);
    return proxy_reply(req, 200, SLICE_NULL, extra, why);
}

/* ---- Steps 1 and 2 ---- */

static bool is_for_us(const struct proxy_request *req)
{
    return req->method == SIP_METHOD_REGISTER && (req->domain || req->to_self) && !req->is_led_out;
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

static bool is_supported(struct slice tag)
{
    return slice_eq_nocase(tag, OPTION_PATH) || slice_eq_nocase(tag, OPTION_OUTBOUND) ||
           slice_eq_nocase(tag, OPTION_GRUU);
}

/* The tags of Require that we do not have, comma-separated; empty when we have all (section 8.2.2.3). */
static int unsupported_tags(struct proxy_request *req, struct slice *ret_tags)
{
    struct sip_values it = sip_values_of(req->msg, SIP_HDR_REQUIRE);
    size_t bytes = values_bytes(req->msg, SIP_HDR_REQUIRE);
    void *memory = arena_alloc(&req->arena, bytes);
    struct slice tag;
    struct buf out;

    if (!memory)
        return ERR_NOMEM;
    buf_init(&out, memory, bytes);
    while (sip_values_next(&it, &tag) == 0) {
        if (is_supported(tag))
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
    if (!sip_msg_has(req->msg, SIP_HDR_REQUIRE))
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

int location_owner_in(const struct proxy_domain *domain, const struct sip_uri *uri,
                      char out[LOCATION_REGISTRAR_AOR_BYTES], struct location_owner *ret_owner)
{
    struct location_owner owner = {.domain = domain};
    struct buf b;

    if (!domain || slice_is_null(uri->user))
        return ERR_NOTFOUND;
    buf_init(&b, out, LOCATION_REGISTRAR_AOR_BYTES);
    if (proxy_uri_aor(domain, uri, &b) != 0)
        return ERR_LIMIT;
    owner.aor = buf_slice(&b);
    owner.user = user_of(owner.aor);
    *ret_owner = owner;
    return 0;
}

static bool is_third_party(const struct location_registrar *r, const struct proxy_request *req)
{
    char text[LOCATION_REGISTRAR_AOR_BYTES];
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
                         const struct location_owner *owner)
{
    if (slice_is_null(req->user))
        return true; /* nobody was asked who he is */
    if (req->user_domain != owner->domain)
        return false;
    return slice_eq(req->user, owner->user) || is_third_party(r, req);
}

static bool exists(const struct location_registrar *r, const struct proxy_request *req,
                   const struct location_owner *owner)
{
    if (r->opts.unknown_users && slice_is_null(req->user))
        return true;
    return r->opts.user_exists(r->opts.ctx, owner->domain->name, owner->user);
}

/* 0: owner is the one whose bindings are meant. Else the request has been answered. */
static int find_owner(const struct location_registrar *r, struct proxy_request *req,
                      char out[LOCATION_REGISTRAR_AOR_BYTES], struct location_owner *ret_owner)
{
    const struct proxy_to *to;
    int rc = proxy_request_to(req, &to);

    if (rc == ERR_NOMEM) {
        (void)refuse_busy(req, "no memory to read the request");
        return rc;
    }
    if (rc != 0 || (to->uri.scheme != SIP_SCHEME_SIP && to->uri.scheme != SIP_SCHEME_SIPS)) {
        (void)refuse(req, 400, "Bad To",
                     "the address-of-record is no SIP or SIPS URI: RFC 3261 section 10.2");
        return ERR_SYNTAX;
    }
    rc = location_owner_in(to->domain, &to->uri, out, ret_owner);
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
    return accept(r, req, record, reg, "bindings listed: RFC 3261 section 10.2.3");
}

static void log_job(struct location_registrar *r, const struct proxy_request *req,
                    const struct location_job *job)
{
    log_limited(&r->limiter, LOG_INFO, job->status == 200 ? "register.done" : "register.refused",
                log_slice("call_id", req->call_id), log_slice("aor", job->reg.aor),
                log_u64("status", job->status), log_u64("bindings", job->record ? job->record->count : 0),
                log_cstr("why", job->why));
}

static enum proxy_verdict answer_job(struct location_registrar *r, struct proxy_request *req,
                                     const struct location_job *job)
{
    log_job(r, req, job);
    switch (job->status) {
    case 200:
        return accept(r, req, job->record, &job->reg, "bindings updated: RFC 3261 section 10.3 step 8");
    case 423:
        return refuse_brief(req, location_storage_limits(r->opts.storage)->min_expires_s, job->why);
    case 503:
        return refuse_busy(req, job->why);
    default:
        return refuse(req, job->status, job->phrase, job->why);
    }
}

static enum proxy_verdict run_at_once(struct location_registrar *r, struct proxy_request *req,
                                      const struct location_register *reg, uint64_t hash)
{
    struct location_job job;

    location_job_init(&job, reg, proxy_now_s(req->proxy), &req->arena);
    location_storage_run(r->opts.storage, &job, hash);
    return answer_job(r, req, &job);
}

static enum proxy_verdict submit(struct location_registrar *r, struct proxy_request *req,
                                 const struct location_register *reg)
{
    struct location_job *job;

    if (location_job_new(reg, proxy_now_s(req->proxy), &job) != 0)
        return refuse_busy(req, "no memory for a storage job");
    job->worker = proxy_get_opts(req->proxy)->worker;
    job->ticket = proxy_wait_ticket(req);
    if (location_storage_submit(r->opts.storage, job) == LOCATION_LATER)
        return PROXY_WAIT;
    location_job_free(job);
    return refuse_busy(req, "too many wait for the storage");
}

static bool is_in_loop(const struct location_registrar *r, const struct location_owner *owner,
                       const struct sip_uri *uri)
{
    char text[LOCATION_REGISTRAR_AOR_BYTES], memory[LOCATION_GRUU_USER_MAX];
    struct location_owner other;
    struct location_gruu gruu;
    struct slice user;

    if (location_owner_in(proxy_uri_domain(r->opts.proxy, uri), uri, text, &other) != 0)
        return false;
    if (slice_eq(other.aor, owner->aor))
        return true;
    return other.domain == owner->domain &&
           location_gruu_temporary_read(&r->gruus, other.user, other.domain->name, memory, &user, &gruu) ==
               0 &&
           slice_eq(user, owner->user);
}

/* RFC 5627 section 5.1, for contacts with an instance-id: "If the contact URI is equivalent ... to the AOR,
 * the registrar MUST reject the request with a 403"; "If the contact URI is a GRUU for the AOR" likewise; "If
 * the contact is not a SIP URI" likewise. */
static int check_contacts(const struct location_registrar *r, const struct location_owner *owner,
                          const struct location_register *reg, struct location_register_error *ret_error)
{
    for (size_t i = 0; i < reg->n_contacts; i++) {
        const struct location_contact *contact = &reg->contacts[i];
        struct sip_uri uri;

        if ((contact->has_requested && contact->requested_s == 0) ||
            slice_is_null(location_instance_of(contact->params)))
            continue;
        if (sip_uri_parse(contact->uri, &uri) == 0 &&
            (uri.scheme == SIP_SCHEME_SIP || uri.scheme == SIP_SCHEME_SIPS) && !is_in_loop(r, owner, &uri))
            continue;
        *ret_error = (struct location_register_error){
            .status = 403, .phrase = NULL, .why = "the contact leads back to the user: RFC 5627 section 5.1"};
        return ERR_DENIED;
    }
    return 0;
}

static enum proxy_verdict process(struct location_registrar *r, struct proxy_request *req)
{
    struct location_register_error error;
    struct location_register reg;
    struct location_owner owner;
    struct location_store *store = location_storage_store(r->opts.storage);
    bool is_memory = location_storage_is_memory(r->opts.storage);
    char aor[LOCATION_REGISTRAR_AOR_BYTES];
    uint64_t hash = 0;
    int rc;

    if (find_owner(r, req, aor, &owner) != 0 || !proxy_check_content(req))
        return PROXY_DONE;
    if (is_memory)
        hash = location_store_expect(store, owner.aor);
    /* RFC 3327 section 5.3: somebody on the way has added a Path that the client knows nothing of. */
    if (sip_msg_has(req->msg, SIP_HDR_PATH) && !r->opts.path_unasked &&
        !sip_msg_has_option(req->msg, SIP_HDR_SUPPORTED, OPTION_PATH))
        return refuse_extension(req, OPTION_PATH, "Path without Supported: RFC 3327 section 5.3");
    rc = location_register_parse(req->msg, &req->arena, &reg, &error);
    if (is_memory)
        location_store_expect_record(store, hash);
    if (rc == ERR_NOMEM)
        return refuse_busy(req, "no memory to read the request");
    if (rc != 0)
        return refuse(req, error.status, error.phrase, error.why);
    reg.aor = owner.aor;
    reg.hop = req->from;
    rc = location_outbound_decide(req, &reg, &error);
    if (rc == 0)
        rc = check_contacts(r, &owner, &reg, &error);
    if (rc == ERR_NOMEM)
        return refuse_busy(req, "no memory to read the request");
    if (rc != 0)
        return refuse(req, error.status, error.phrase, error.why);
    if (reg.n_contacts == 0 && !reg.wildcard)
        return answer_fetch(r, req, &reg);
    return is_memory ? run_at_once(r, req, &reg, hash) : submit(r, req, &reg);
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
