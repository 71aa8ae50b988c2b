/* What peers send. A peer is a user agent as section 8, 9, 12, 13 and 17 describe it, with the memory of
 * every message it has got and sent, and no mind of its own. */
#include "draft.h"
#include "run.h"
#include "sip/uri.h"
#include <stdio.h>
#include <stdlib.h>

#define MAX_CREDENTIALS 4

/* Which way a message goes. */
struct way {
    uint16_t listener;
    uint8_t transport;
    struct addr from;
    uint64_t flow; /* stream: this connection, if it is open */
    bool chosen;   /* the statement or the message being answered decided it */
    bool fresh;    /* stream: a new connection */
};

struct sending {
    struct run *run;
    const struct stmt *stmt;
    struct peer *peer;
    struct slice listener_name;
    struct way way;
};

static struct slice opt(const struct sending *s, const char *key, struct slice otherwise)
{
    const struct slice *value = script_option(s->run->heap, s->stmt, 3, key);

    return value ? *value : otherwise;
}

static bool has_flag(const struct sending *s, const char *flag)
{
    return script_flag(s->stmt, 3, flag);
}

/* The memory of a peer. */

static bool peer_has(const struct sending *s, const struct record *r)
{
    return r->peer == s->peer && r->is_sip && (r->from_proxy ? r->seen && !r->lost : true);
}

/* The last request it got (or sent), of a method or of any but ACK. */
static struct record *last_request(const struct sending *s, bool got, struct slice method)
{
    for (size_t i = s->run->n_records; i > 0; i--) {
        struct record *r = s->run->records[i - 1];

        if (r->from_proxy != got || !peer_has(s, r) || !r->msg.is_request)
            continue;
        if (method.len > 0 ? slice_eq(r->msg.method, method) : !slice_eq(r->msg.method, SLICE("ACK")))
            return r;
    }
    return NULL;
}

/* `for=LABEL` or `for=METHOD`; else the last request. */
static struct record *chosen_request(const struct sending *s, bool got, const char *key, struct slice method)
{
    struct slice which = opt(s, key, SLICE(""));
    struct record *r = run_labelled(s->run, which);

    if (r)
        return r;
    r = last_request(s, got, which.len > 0 ? which : method);
    if (!r)
        run_fail(s->run, s->stmt, "%.*s has %s no such request", SLICE_ARG(s->peer->name),
                 got ? "got" : "sent");
    return r;
}

static struct slice value_of(const struct sending *s, const struct record *r, const char *name)
{
    return plain_value(s->run->heap, &r->msg, name);
}

static struct slice path_of(const struct sending *s, const struct record *r, const char *path)
{
    struct slice text = SLICE_NULL;

    plain_path(s->run->heap, &r->msg, slice_from_cstr(path), &text);
    return text;
}

static bool same_call(const struct sending *s, const struct record *a, const struct record *b)
{
    return slice_eq(value_of(s, a, "Call-ID"), value_of(s, b, "Call-ID"));
}

static struct slice new_branch(const struct sending *s)
{
    return heap_printf(s->run->heap, "z9hG4bK-%.*s-%u", SLICE_ARG(s->peer->name), ++s->run->n_branches);
}

static struct slice addr_text(const struct sending *s, const struct addr *addr)
{
    struct buf b;

    buf_init(&b, heap_alloc(s->run->heap, 80), 80);
    addr_format(addr, &b);
    return buf_slice(&b);
}

static struct slice via_value(const struct sending *s)
{
    struct slice branch = opt(s, "branch", SLICE_NULL);
    struct slice transport = sip_transport_via_name((enum sip_transport)s->way.transport);
    struct slice host = addr_text(s, &s->peer->addr);

    if (slice_is_null(branch))
        branch = new_branch(s);
    return heap_printf(s->run->heap, "SIP/2.0/%.*s %.*s%s%s%.*s", SLICE_ARG(transport), SLICE_ARG(host),
                       has_flag(s, "rport") ? ";rport" : "",
                       slice_eq(branch, SLICE("none")) ? "" : ";branch=",
                       slice_eq(branch, SLICE("none")) ? 0 : (int)branch.len, branch.ptr);
}

static uint32_t cseq_number(const struct sending *s, const struct record *r)
{
    return (uint32_t)strtoul(heap_cstr(s->run->heap, value_of(s, r, "CSeq")), NULL, 10);
}

/* One more than the highest it has sent in this call. */
static uint32_t next_cseq(const struct sending *s, struct slice call_id)
{
    uint32_t highest = 0;

    for (size_t i = 0; i < s->run->n_records; i++) {
        struct record *r = s->run->records[i];

        if (r->from_proxy || r->peer != s->peer || !r->is_sip || !r->msg.is_request)
            continue;
        if (slice_eq(value_of(s, r, "Call-ID"), call_id) && cseq_number(s, r) > highest)
            highest = cseq_number(s, r);
    }
    return highest + 1;
}

static struct slice cseq_value(const struct sending *s, uint32_t number, struct slice method)
{
    struct slice given = opt(s, "cseq", SLICE_NULL);

    if (!slice_is_null(given))
        return heap_printf(s->run->heap, "%.*s %.*s", SLICE_ARG(given), SLICE_ARG(method));
    return heap_printf(s->run->heap, "%u %.*s", number, SLICE_ARG(method));
}

static struct slice new_tag(const struct sending *s)
{
    return opt(s, "from-tag",
               heap_printf(s->run->heap, "%.*s-tag-%u", SLICE_ARG(s->peer->name), ++s->peer->n_tags));
}

/* Credentials. */

static unsigned times_used(const struct sending *s, struct slice nonce)
{
    unsigned n = 0;

    for (size_t i = 0; i < s->run->n_records; i++) {
        static const char *const paths[] = {"Authorization[0].nonce", "Proxy-Authorization[0].nonce"};
        struct record *r = s->run->records[i];

        for (size_t k = 0; k < 2 && !r->from_proxy && r->is_sip; k++)
            n += slice_eq(path_of(s, r, paths[k]), nonce);
    }
    return n;
}

static struct record *last_challenge(const struct sending *s)
{
    for (size_t i = s->run->n_records; i > 0; i--) {
        struct record *r = s->run->records[i - 1];

        if (r->from_proxy && peer_has(s, r) && (r->msg.status == 401 || r->msg.status == 407))
            return r;
    }
    return NULL;
}

static bool challenge_fits(const struct sending *s, struct slice challenge)
{
    static const char *const keys[][2] = {{"algorithm", "algorithm"}, {"realm", "realm"}};

    for (size_t i = 0; i < 2; i++) {
        struct slice want = opt(s, keys[i][0], SLICE_NULL), is = SLICE("");

        plain_auth_param(challenge, slice_from_cstr(keys[i][1]), &is);
        if (!slice_is_null(want) && !slice_eq_nocase(want, is))
            return false;
    }
    return true;
}

/* auth=user:password [algorithm=] [realm=] [nc=] [no-qop] */
static bool add_credentials(const struct sending *s, struct draft *d, struct slice method, struct slice uri)
{
    struct slice auth = opt(s, "auth", SLICE_NULL), nc = opt(s, "nc", SLICE_NULL), *challenges;
    struct record *r = last_challenge(s);
    bool proxy;
    size_t colon, n;

    if (slice_is_null(auth))
        return true;
    if (!r)
        return run_fail(s->run, s->stmt, "%.*s has got no challenge", SLICE_ARG(s->peer->name));
    proxy = r->msg.status == 407;
    colon = slice_find(auth, ':');
    n = plain_values(s->run->heap, &r->msg, proxy ? SLICE("Proxy-Authenticate") : SLICE("WWW-Authenticate"),
                     &challenges);
    for (size_t i = 0; i < n; i++) {
        struct slice nonce = SLICE("");
        unsigned count;

        if (!challenge_fits(s, challenges[i]))
            continue;
        plain_auth_param(challenges[i], SLICE("nonce"), &nonce);
        count = slice_is_null(nc) ? times_used(s, nonce) + 1 : (unsigned)strtoul(nc.ptr, NULL, 16);
        draft_add_after(d, proxy ? SLICE("Proxy-Authorization") : SLICE("Authorization"),
                        digest_credentials(s->run->heap, challenges[i], slice_sub(auth, 0, colon),
                                           slice_sub(auth, colon + 1, auth.len), method,
                                           opt(s, "auth-uri", uri), count, !has_flag(s, "no-qop")));
        return true;
    }
    return run_fail(s->run, s->stmt, "no challenge fits");
}

/* The way. */

static bool choose_listener(struct sending *s, uint8_t transport)
{
    int l = world_listener(&s->run->world, s->listener_name, transport, s->peer->addr.family);

    if (l < 0)
        return run_bad_script(s->run, s->stmt, "no %.*s listener is called %.*s",
                              SLICE_ARG(sip_transport_param((enum sip_transport)transport)),
                              SLICE_ARG(s->listener_name));
    s->way.listener = (uint16_t)l;
    s->way.transport = transport;
    return true;
}

static bool default_way(struct sending *s)
{
    struct slice over = opt(s, "over", SLICE_NULL), from = opt(s, "from", SLICE_NULL);
    uint8_t transport = s->peer->transports[0];
    struct peer *p = s->peer;

    if (!slice_is_null(over))
        transport = (uint8_t)sip_transport_from_name(over);
    s->way.from = p->addr;
    s->way.fresh = has_flag(s, "fresh");
    if (!slice_is_null(from)) {
        if (addr_parse(from, &s->way.from) < 0 || s->way.from.port == 0)
            return run_bad_script(s->run, s->stmt, "from=ADDRESS:PORT");
        p->others = heap_grow(s->run->heap, p->others, p->n_others, sizeof(*p->others));
        p->others[p->n_others++] = s->way.from;
        world_far(&s->run->world, &s->way.from, transport);
    }
    return choose_listener(s, transport);
}

/* The same way as an earlier message between the two. */
static void way_of(struct sending *s, const struct record *r)
{
    if (!slice_is_null(opt(s, "over", SLICE_NULL)) || !slice_is_null(opt(s, "from", SLICE_NULL)) ||
        has_flag(s, "fresh"))
        return;
    s->way.listener = r->listener;
    s->way.transport = r->transport;
    s->way.flow = r->flow;
    if (r->transport == SIP_TRANSPORT_UDP)
        s->way.from = r->far;
}

static struct world_conn *way_conn(struct sending *s)
{
    struct world *w = &s->run->world;
    struct world_conn *c = world_conn_by_flow(w, s->way.flow);
    struct peer *p = s->peer;

    if (c && c->open && !s->way.fresh)
        return c;
    c = world_connect(w, &s->way.from, s->way.listener, s->way.fresh);
    p->others = heap_grow(s->run->heap, p->others, p->n_others, sizeof(*p->others));
    p->others[p->n_others++] = c->remote;
    return c;
}

static bool transmit(struct sending *s, struct slice bytes)
{
    struct run *run = s->run;
    struct record *r = run_add_record(run);
    struct world_conn *conn = s->way.transport == SIP_TRANSPORT_UDP ? NULL : way_conn(s);

    r->peer = s->peer;
    r->bytes = bytes;
    r->listener = s->way.listener;
    r->transport = s->way.transport;
    r->far = conn ? conn->remote : s->way.from;
    r->flow = conn ? conn->flow : 0;
    r->label = opt(s, "as", SLICE(""));
    r->is_sip = plain_parse(run->heap, bytes, &r->msg);
    if (run->verbose)
        printf("%.*s\n", SLICE_ARG(run_describe(run, r)));
    if (has_flag(s, "lost"))
        return true;
    if (conn)
        world_receive_stream(&run->world, conn, bytes);
    else
        world_receive_datagram(&run->world, s->way.listener, &s->way.from, bytes);
    return true;
}

static bool finish(struct sending *s, struct draft *d, struct slice method, struct slice uri)
{
    struct slice bad;

    if (!add_credentials(s, d, method, uri))
        return false;
    if (!draft_edit(d, s->stmt, &bad))
        return run_bad_script(s->run, s->stmt, "no header line: %.*s", SLICE_ARG(bad));
    return transmit(s, draft_bytes(d));
}

static struct slice start_line(struct sending *s, struct slice method, struct slice uri)
{
    return heap_printf(s->run->heap, "%.*s %.*s SIP/2.0", SLICE_ARG(method), SLICE_ARG(uri));
}

/* Requests outside a dialog: section 8.1.1. */

static bool makes_contact(struct slice method)
{
    static const char *const methods[] = {"INVITE", "REGISTER", "SUBSCRIBE", "REFER", "NOTIFY", "UPDATE"};

    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        if (slice_eq(method, slice_from_cstr(methods[i])))
            return true;
    return false;
}

static bool send_new_request(struct sending *s, struct slice method, struct slice uri)
{
    struct heap *heap = s->run->heap;
    struct peer *p = s->peer;
    bool registers = slice_eq(method, SLICE("REGISTER"));
    struct slice call_id, to = registers ? p->aor : uri;
    struct draft d;

    call_id = registers ? heap_printf(heap, "%.*s-register", SLICE_ARG(p->name))
                        : heap_printf(heap, "%.*s-call-%u", SLICE_ARG(p->name), ++p->n_calls);
    call_id = opt(s, "call-id", call_id);
    draft_init(&d, heap, start_line(s, method, uri));
    draft_add(&d, "Via", via_value(s));
    draft_add(&d, "Max-Forwards", SLICE("70"));
    draft_add(&d, "From", heap_printf(heap, "<%.*s>;tag=%.*s", SLICE_ARG(p->aor), SLICE_ARG(new_tag(s))));
    draft_add(&d, "To", heap_printf(heap, "<%.*s>", SLICE_ARG(to)));
    draft_add(&d, "Call-ID", call_id);
    draft_add(&d, "CSeq", cseq_value(s, next_cseq(s, call_id), method));
    if (makes_contact(method))
        draft_add(&d, "Contact", heap_printf(heap, "<%.*s>", SLICE_ARG(p->contact)));
    return finish(s, &d, method, uri);
}

/* The same request as an earlier one, as a new transaction: `copy` differs in the branch alone, `retry` has
 * the next CSeq too (section 8.1.3.5, 22.2). */
static bool send_again(struct sending *s, const char *word, bool next)
{
    struct record *r = chosen_request(s, false, word, SLICE(""));
    struct draft d;

    if (!r)
        return false;
    way_of(s, r);
    draft_init(&d, s->run->heap, r->msg.start);
    draft_copy_all(&d, &r->msg);
    draft_set(&d, SLICE("Via"), via_value(s));
    if (next) {
        struct slice call_id = value_of(s, r, "Call-ID");

        draft_remove(&d, SLICE("Authorization"));
        draft_remove(&d, SLICE("Proxy-Authorization"));
        draft_set(&d, SLICE("CSeq"), cseq_value(s, next_cseq(s, call_id), r->msg.method));
    }
    return finish(s, &d, r->msg.method, r->msg.ruri);
}

/* The same octets as before: a retransmission. */
static bool send_same_bytes(struct sending *s)
{
    struct record *r = run_labelled(s->run, opt(s, "again", SLICE("")));

    for (size_t i = s->run->n_records; i > 0 && !r; i--)
        if (!s->run->records[i - 1]->from_proxy && s->run->records[i - 1]->peer == s->peer)
            r = s->run->records[i - 1];
    if (!r)
        return run_fail(s->run, s->stmt, "%.*s has sent nothing yet", SLICE_ARG(s->peer->name));
    way_of(s, r);
    return transmit(s, r->bytes);
}

static bool send_raw(struct sending *s)
{
    return transmit(s, draft_raw(s->run->heap, s->stmt));
}

/* Sections 9.1 and 17.1.1.3: what repeats the INVITE. */
static void repeat_invite(struct sending *s, struct draft *d, const struct record *invite, struct slice to,
                          struct slice method)
{
    draft_init(d, s->run->heap, start_line(s, method, invite->msg.ruri));
    draft_add(d, "Via", path_of(s, invite, "Via[0]"));
    draft_add(d, "Max-Forwards", SLICE("70"));
    draft_copy(d, &invite->msg, "Route");
    draft_copy(d, &invite->msg, "From");
    draft_add(d, "To", to);
    draft_copy(d, &invite->msg, "Call-ID");
    draft_add(d, "CSeq", cseq_value(s, cseq_number(s, invite), method));
    way_of(s, invite);
}

static bool send_cancel(struct sending *s)
{
    struct record *invite = chosen_request(s, false, "for", SLICE("INVITE"));
    struct draft d;

    if (!invite)
        return false;
    repeat_invite(s, &d, invite, value_of(s, invite, "To"), SLICE("CANCEL"));
    return finish(s, &d, SLICE("CANCEL"), invite->msg.ruri);
}

static struct record *request_of(const struct sending *s, const struct record *response)
{
    for (size_t i = s->run->n_records; i > 0; i--) {
        struct record *r = s->run->records[i - 1];

        if (r->peer == s->peer && r->is_sip && r->msg.is_request && r->from_proxy != response->from_proxy &&
            same_call(s, r, response) && slice_eq(value_of(s, r, "CSeq"), value_of(s, response, "CSeq")) &&
            slice_eq(path_of(s, r, "Via[0].branch"), path_of(s, response, "Via[0].branch")))
            return r;
    }
    return NULL;
}

/* In a dialog: section 12.2.1.1. */

/* The response that made the dialog: the peer got it (it is the caller) or sent it (it is the callee). */
static struct record *dialog_response(const struct sending *s, const char *key)
{
    struct record *r = run_labelled(s->run, opt(s, key, SLICE(""))), *early = NULL;

    if (r)
        return r;
    for (size_t i = s->run->n_records; i > 0; i--) {
        r = s->run->records[i - 1];
        if (!peer_has(s, r) || r->msg.is_request || r->msg.status < 101 || r->msg.status > 299)
            continue;
        if (!makes_contact(r->msg.cseq_method) || slice_is_null(path_of(s, r, "To.tag")))
            continue;
        if (r->msg.status >= 200)
            return r;
        early = early ? early : r;
    }
    return early;
}

struct dialog {
    struct slice local, remote, call_id, target;
    struct slice *routes;
    size_t n_routes;
    struct record *request; /* that made it */
};

static bool find_dialog(struct sending *s, const char *key, struct dialog *ret_dialog)
{
    struct record *response = dialog_response(s, key), *request = response ? request_of(s, response) : NULL;
    struct dialog d = {0};

    if (!request)
        return run_fail(s->run, s->stmt, "%.*s is in no dialog", SLICE_ARG(s->peer->name));
    d.request = request;
    d.call_id = value_of(s, response, "Call-ID");
    if (response->from_proxy) {
        d.local = value_of(s, response, "From");
        d.remote = value_of(s, response, "To");
        d.target = path_of(s, response, "Contact[0].uri");
        d.n_routes = plain_values(s->run->heap, &response->msg, SLICE("Record-Route"), &d.routes);
        for (size_t i = 0; i < d.n_routes / 2; i++) {
            struct slice t = d.routes[i];

            d.routes[i] = d.routes[d.n_routes - 1 - i];
            d.routes[d.n_routes - 1 - i] = t;
        }
    } else {
        d.local = value_of(s, response, "To");
        d.remote = value_of(s, response, "From");
        d.target = path_of(s, request, "Contact[0].uri");
        d.n_routes = plain_values(s->run->heap, &request->msg, SLICE("Record-Route"), &d.routes);
    }
    if (slice_is_null(d.target))
        return run_fail(s->run, s->stmt, "the other side gave no Contact");
    *ret_dialog = d;
    return true;
}

/* RFC 7118 section 5.2: transport=ws means either kind of WebSocket. */
static bool is_meant(uint8_t transport, uint8_t of_listener)
{
    return transport == of_listener || (transport == SIP_TRANSPORT_WS && of_listener == SIP_TRANSPORT_WSS);
}

/* A peer that follows its route set sends to the first Route: that must be a listener of the proxy. */
static bool way_by_route(struct sending *s, struct slice route)
{
    struct world *w = &s->run->world;
    struct slice text = SLICE("");
    struct sip_uri uri;

    plain_field(s->run->heap, route, SLICE("uri"), &text);
    if (sip_uri_parse(text, &uri) < 0)
        return run_fail(s->run, s->stmt, "the route set begins with no URI: %.*s", SLICE_ARG(route));
    for (size_t i = 0; i < w->opts.n_listeners; i++) {
        const struct proxy_listener *l = &w->listeners[i];
        bool is_secure = uri.scheme == SIP_SCHEME_SIPS;
        uint8_t transport = is_secure ? SIP_TRANSPORT_TLS : uri.transport ? uri.transport : SIP_TRANSPORT_UDP;
        uint16_t port = uri.port ? uri.port : is_secure ? 5061 : 5060;

        if (!slice_eq_nocase(l->host, uri.host) || l->port != port || !is_meant(transport, l->transport))
            continue;
        s->way.listener = (uint16_t)i;
        s->way.transport = l->transport;
        return true;
    }
    return run_fail(s->run, s->stmt, "the route set begins with %.*s, which is no listener of the proxy",
                    SLICE_ARG(route));
}

static bool is_loose(struct heap *heap, struct slice route)
{
    struct slice uri = SLICE(""), *params;
    size_t n;

    plain_field(heap, route, SLICE("uri"), &uri);
    n = plain_split(heap, uri, ';', &params);
    for (size_t i = 1; i < n; i++)
        if (slice_eq_nocase(slice_sub(params[i], 0, slice_find(params[i], '=')), SLICE("lr")))
            return true;
    return false;
}

static bool send_in_dialog(struct sending *s, const char *key, struct slice method)
{
    struct dialog g = {0};
    struct draft d;
    struct slice uri;
    bool strict, ack = slice_eq(method, SLICE("ACK"));
    uint32_t number;

    if (!find_dialog(s, key, &g))
        return false;
    way_of(s, g.request);
    if (g.n_routes > 0 && !has_flag(s, "to-listener") && !way_by_route(s, g.routes[0]))
        return false;
    strict = g.n_routes > 0 && !is_loose(s->run->heap, g.routes[0]);
    uri = g.target;
    if (strict)
        plain_field(s->run->heap, g.routes[0], SLICE("uri"), &uri);
    number = ack ? cseq_number(s, g.request) : next_cseq(s, g.call_id);
    draft_init(&d, s->run->heap, start_line(s, method, uri));
    draft_add(&d, "Via", via_value(s));
    draft_add(&d, "Max-Forwards", SLICE("70"));
    for (size_t i = strict ? 1 : 0; i < g.n_routes; i++)
        draft_add(&d, "Route", g.routes[i]);
    if (strict)
        draft_add(&d, "Route", heap_printf(s->run->heap, "<%.*s>", SLICE_ARG(g.target)));
    draft_add(&d, "From", g.local);
    draft_add(&d, "To", g.remote);
    draft_add(&d, "Call-ID", g.call_id);
    draft_add(&d, "CSeq", cseq_value(s, number, method));
    if (makes_contact(method))
        draft_add(&d, "Contact", heap_printf(s->run->heap, "<%.*s>", SLICE_ARG(s->peer->contact)));
    return finish(s, &d, method, uri);
}

static struct record *last_final(const struct sending *s)
{
    struct record *r = run_labelled(s->run, opt(s, "for", SLICE("")));

    for (size_t i = s->run->n_records; i > 0 && !r; i--) {
        struct record *c = s->run->records[i - 1];

        if (c->from_proxy && peer_has(s, c) && c->msg.status >= 200 &&
            slice_eq(c->msg.cseq_method, SLICE("INVITE")))
            r = c;
    }
    return r;
}

static bool send_ack(struct sending *s)
{
    struct record *response = last_final(s), *invite = response ? request_of(s, response) : NULL;
    struct draft d;

    if (!invite)
        return run_fail(s->run, s->stmt, "%.*s has got no final response to an INVITE",
                        SLICE_ARG(s->peer->name));
    if (response->msg.status < 300)
        return send_in_dialog(s, "for", SLICE("ACK"));
    repeat_invite(s, &d, invite, value_of(s, response, "To"), SLICE("ACK"));
    return finish(s, &d, SLICE("ACK"), invite->msg.ruri);
}

/* Responses: section 8.2.6, 12.1.1. */

static struct slice answer_tag(struct sending *s, const struct record *request)
{
    struct slice given = opt(s, "tag", SLICE_NULL);

    if (!slice_is_null(given))
        return given;
    /* One tag per transaction; the CANCEL shares that of its INVITE (section 9.2). */
    for (size_t i = 0; i < s->run->n_records; i++) {
        struct record *r = s->run->records[i];
        struct slice tag;

        if (r->from_proxy || r->peer != s->peer || !r->is_sip || r->msg.is_request ||
            !same_call(s, r, request))
            continue;
        tag = path_of(s, r, "To.tag");
        if (!slice_is_null(tag) &&
            slice_eq(path_of(s, r, "Via[0].branch"), path_of(s, request, "Via[0].branch")))
            return tag;
    }
    return heap_printf(s->run->heap, "%.*s-tag-%u", SLICE_ARG(s->peer->name), ++s->peer->n_tags);
}

static bool send_response(struct sending *s, unsigned status)
{
    struct record *request = chosen_request(s, true, "for", SLICE(""));
    bool makes_dialog = status > 100 && status < 300;
    struct slice phrase, to, tag;
    struct draft d;

    if (!request)
        return false;
    phrase =
        s->stmt->n_words > 4 && s->stmt->words[4].quoted ? s->stmt->words[4].text : sip_status_phrase(status);
    way_of(s, request);
    draft_init(&d, s->run->heap, heap_printf(s->run->heap, "SIP/2.0 %u %.*s", status, SLICE_ARG(phrase)));
    draft_copy(&d, &request->msg, "Via");
    if (makes_dialog && makes_contact(request->msg.method) &&
        !slice_eq(request->msg.method, SLICE("REGISTER")))
        draft_copy(&d, &request->msg, "Record-Route");
    draft_copy(&d, &request->msg, "From");
    to = value_of(s, request, "To");
    tag = SLICE_NULL;
    if (!plain_field(s->run->heap, to, SLICE("tag"), &tag) && status > 100 && !has_flag(s, "no-tag"))
        to = heap_printf(s->run->heap, "%.*s;tag=%.*s", SLICE_ARG(to), SLICE_ARG(answer_tag(s, request)));
    draft_add(&d, "To", to);
    draft_copy(&d, &request->msg, "Call-ID");
    draft_copy(&d, &request->msg, "CSeq");
    if (makes_dialog && makes_contact(request->msg.method))
        draft_add(&d, "Contact", heap_printf(s->run->heap, "<%.*s>", SLICE_ARG(s->peer->contact)));
    return finish(s, &d, request->msg.method, request->msg.ruri);
}

/* The Request-URI is a word of its own: a colon in it stands before any '='. */
static bool has_uri(const struct sending *s)
{
    struct slice word = s->stmt->n_words > 4 ? s->stmt->words[4].text : SLICE("");

    return slice_find(word, ':') < word.len && slice_find(word, ':') < slice_find(word, '=');
}

static bool send_method(struct sending *s, struct slice method)
{
    if (has_flag(s, "in-dialog") || !slice_is_null(opt(s, "in", SLICE_NULL)))
        return send_in_dialog(s, "in", method);
    if (has_uri(s))
        return send_new_request(s, method, s->stmt->words[4].text);
    if (slice_eq(method, SLICE("ACK")))
        return send_ack(s);
    if (slice_eq(method, SLICE("CANCEL")))
        return send_cancel(s);
    return run_bad_script(s->run, s->stmt, "a request outside a dialog wants a Request-URI");
}

/* alice > proxy METHOD URI | STATUS ["Phrase"] | again | copy | retry | raw */
bool peer_run(struct run *run, const struct stmt *stmt)
{
    struct sending s = {.run = run, .stmt = stmt, .peer = run_peer(run, stmt->words[0].text)};
    struct slice what, word;

    if (!s.peer || stmt->n_words < 4)
        return run_bad_script(run, stmt, "PEER > proxy WHAT ..., with a peer that stands above");
    s.listener_name = stmt->words[2].text;
    what = stmt->words[3].text;
    word = slice_sub(what, 0, slice_find(what, '='));
    if (!default_way(&s))
        return false;
    if (slice_eq(word, SLICE("raw")))
        return send_raw(&s);
    if (slice_eq(word, SLICE("again")))
        return send_same_bytes(&s);
    if (slice_eq(word, SLICE("copy")))
        return send_again(&s, "copy", false);
    if (slice_eq(word, SLICE("retry")))
        return send_again(&s, "retry", true);
    if (what.len == 3 && what.ptr[0] >= '1' && what.ptr[0] <= '6')
        return send_response(&s, (unsigned)strtoul(heap_cstr(run->heap, what), NULL, 10));
    return send_method(&s, what);
}
