/* Request validation: RFC 3261 section 16.3, with loop detection and Max-Breadth by RFC 5393. */
#include "proxy/internal.h"

#define MAX_FORWARDS_LIMIT 255 /* section 20.22 */

/* True: the check is passed. False: the request has been answered. */
typedef bool check_fn(struct proxy_context *c);

static bool refuse(struct proxy_context *c, unsigned status, struct slice phrase,
                   const struct sip_extra *extra, const char *why)
{
    (void)proxy_reply(&c->req, status, phrase, extra, why);
    return false;
}

/* Item 2. That the URI is grammatical has been seen to before (item 1). */
static bool check_scheme(struct proxy_context *c)
{
    enum sip_scheme scheme = c->req.ruri.scheme;

    if (scheme == SIP_SCHEME_SIP || scheme == SIP_SCHEME_SIPS)
        return true;
    return refuse(c, 416, SLICE_NULL, NULL, "the scheme of the Request-URI is not known (16.3 item 2)");
}

/* Item 3. A REGISTER for a domain of ours is not forwarded; for another one the last step looks again. */
static bool check_max_forwards(struct proxy_context *c)
{
    int rc = sip_msg_u32(c->req.msg, SIP_HDR_MAX_FORWARDS, &c->max_forwards);

    if (rc == ERR_NOTFOUND)
        return true;
    if (rc < 0)
        return refuse(c, 400, SLICE("Bad Max-Forwards"), NULL, "Max-Forwards is no number (16.3 item 1)");
    /* RFC 4475 section 3.1.2.4: "could choose to process the request as if the field were absent". */
    if (c->max_forwards > MAX_FORWARDS_LIMIT)
        c->max_forwards = PROXY_MAX_FORWARDS + 1;
    if (c->max_forwards > 0 || c->req.method == SIP_METHOD_REGISTER)
        return true;
    if (c->req.method == SIP_METHOD_OPTIONS) {
        (void)proxy_answer_options(c, "OPTIONS with Max-Forwards 0 (16.3 item 3)");
        return false;
    }
    return refuse(c, 483, SLICE_NULL, NULL, "Max-Forwards is 0 (16.3 item 3)");
}

/* RFC 5393 section 4.2.1: the hash covers what routing depends on. A contact that leads back to
 * a user of ours under another spelling (";x=1", ";x=2") is the same question with the same
 * answer, and must not count as a spiral. */
static uint64_t loop_hash(struct proxy_context *c, bool is_stateless)
{
    const struct proxy_domain *domain = c->asked_domain;
    struct slice asked_for = c->req.msg->ruri;
    const struct sip_uri *ruri;
    char memory[PROXY_AOR_BYTES];
    struct buf aor;

    buf_init(&aor, memory, sizeof(memory));
    if (domain && sip_msg_ruri(c->req.msg, &ruri) == 0 && !slice_is_null(ruri->user) &&
        proxy_uri_index(domain, ruri, &aor) == 0) {
        buf_put(&aor, ruri->scheme_text);
        if (!buf_failed(&aor))
            asked_for = buf_slice(&aor);
    }
    return proxy_branch_loop_hash(&c->req.proxy->loop_key, c->req.msg, asked_for,
                                  c->req.route_number << 16 | c->req.from.listener, is_stateless);
}

static bool leaves_stateless(const struct proxy_context *c)
{
    return c->is_stateless || c->req.method == SIP_METHOD_CANCEL;
}

uint64_t proxy_context_loop_hash(struct proxy_context *c)
{
    if (!c->has_loop_hash)
        c->loop_hash = loop_hash(c, leaves_stateless(c));
    c->has_loop_hash = true;
    return c->loop_hash;
}

static bool is_loop(struct proxy_context *c, const struct proxy_branch_id *id)
{
    /* It may have been forwarded the other way when it came by before. */
    uint64_t now =
        id->is_stateless == leaves_stateless(c) ? proxy_context_loop_hash(c) : loop_hash(c, id->is_stateless);

    return id->loop == now;
}

/* Most elements are not ours, and this tells it without parsing them: the end of the cookie and the letter that
 * follows it in our branches (branch_id.h). */
static bool may_be_ours(struct slice element)
{
    const struct slice mark = SLICE("4bKv");
    const char *end = element.ptr + element.len;

    for (const char *p = element.ptr; (p = memchr(p, mark.ptr[0], (size_t)(end - p))); p++) {
        if ((size_t)(end - p) >= mark.len && slice_eq_nocase(slice_make(p, mark.len), mark))
            return true;
    }
    return false;
}

bool proxy_reads_own_via(const struct proxy *p, struct slice element, struct proxy_branch_id *ret_id)
{
    struct sip_via via;

    return may_be_ours(element) && sip_via_parse(element, &via) == 0 && proxy_via_is_ours(p->opts, &via) &&
           proxy_branch_id_parse(via.branch, ret_id);
}

/* RFC 5393 section 4.2.2: "Each Via header field value in the request whose sent-by value matches a value
 * placed into previous requests by this proxy MUST be inspected for the "second part"". What another element
 * wrote and cannot be read is passed over (4.2.4). */
static bool check_loop(struct proxy_context *c)
{
    const struct proxy_opts *opts = c->req.proxy->opts;
    struct sip_values it = sip_values_of(c->req.msg, SIP_HDR_VIA);
    struct proxy_branch_id id;
    struct slice element;

    while (sip_values_next(&it, &element) == 0) {
        if (!proxy_reads_own_via(c->req.proxy, element, &id))
            continue;
        if (opts->loop_detection && is_loop(c, &id))
            return refuse(c, 482, SLICE_NULL, NULL, "the request has looped (RFC 5393 section 4.2.2)");
        c->n_spirals++;
    }
    if (c->n_spirals > opts->max_spirals)
        return refuse(c, 483, SLICE_NULL, NULL, "it was here too often before (RFC 5393 section 3)");
    return true;
}

/* RFC 5393 section 5.3.3. */
static bool check_max_breadth(struct proxy_context *c)
{
    uint32_t breadth;
    int rc = sip_msg_u32(c->req.msg, SIP_HDR_MAX_BREADTH, &breadth);

    if (rc == ERR_NOTFOUND)
        return true;
    if (rc < 0)
        return refuse(c, 400, SLICE("Bad Max-Breadth"), NULL,
                      "Max-Breadth is no number (RFC 5393 section 5.8)");
    if (breadth == 0)
        return refuse(c, 440, SLICE_NULL, NULL, "Max-Breadth is 0 (RFC 5393 section 5.3.3)");
    if (breadth < c->max_breadth)
        c->max_breadth = breadth;
    return true;
}

/* All option tags of a header in one list, or absent when arena is full; ret_bad when it cannot be read. */
static struct slice join_options(const struct sip_msg *msg, enum sip_hdr_id id, struct arena *arena,
                                 bool *ret_bad)
{
    struct sip_values it = sip_values_of(msg, id);
    struct slice tag;
    size_t cap = 0;
    struct buf out;
    char *memory;
    int rc;

    for (uint16_t i = msg->first[id]; i != SIP_HDR_NONE; i = msg->hdrs[i].next)
        cap += 2 * ((size_t)msg->hdrs[i].value_len + 1);
    memory = arena_alloc(arena, cap);
    if (!memory)
        return SLICE_NULL;
    buf_init(&out, memory, cap);
    while ((rc = sip_values_next(&it, &tag)) == 0) {
        if (out.len > 0)
            buf_lit(&out, ", ");
        buf_put(&out, tag);
    }
    *ret_bad = rc != ERR_NOTFOUND;
    return buf_slice(&out);
}

static bool check_options(struct proxy_context *c, enum sip_hdr_id id, const char *why)
{
    struct sip_extra extra[] = {{.id = SIP_HDR_UNSUPPORTED}, {.id = SIP_HDR_OTHER}};
    bool is_bad = false;

    if (!sip_msg_has(c->req.msg, id))
        return true;
    extra[0].value = join_options(c->req.msg, id, &c->req.arena, &is_bad);
    if (slice_is_null(extra[0].value)) {
        (void)proxy_shed(&c->req, "no memory for Unsupported");
        return false;
    }
    if (is_bad)
        return refuse(c, 400, SLICE("Bad Option Tag"), NULL,
                      "a list of option tags cannot be read (16.3 item 1)");
    if (extra[0].value.len == 0)
        return true;
    return refuse(c, 420, SLICE_NULL, extra, why);
}

/* Item 5. This proxy knows no extension that a Proxy-Require could ask for. Section 8.2.2.3: "These header
 * fields MUST be ignored if they are present in these requests", CANCEL and ACK. */
static bool check_proxy_require(struct proxy_context *c)
{
    if (c->req.method == SIP_METHOD_ACK || c->req.method == SIP_METHOD_CANCEL)
        return true;
    return check_options(c, SIP_HDR_PROXY_REQUIRE, "Proxy-Require names what is not supported (16.3 item 5)");
}

bool proxy_check_require(struct proxy_context *c)
{
    return check_options(c, SIP_HDR_REQUIRE, "Require names what is not supported (8.2.2.3)");
}

enum proxy_verdict proxy_step_validate(struct proxy_request *req, void *ctx)
{
    static check_fn *const checks[] = {check_scheme, check_max_forwards, check_loop, check_max_breadth,
                                       check_proxy_require};

    (void)ctx;
    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
        if (!checks[i](proxy_context_of(req)))
            return PROXY_DONE;
    }
    return PROXY_NEXT;
}
