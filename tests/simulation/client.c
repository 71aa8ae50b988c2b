/* Callers, and phones that hang up: client transactions of section 17.1, as a user agent has them. */
#include "digest.h"
#include "sim.h"
#include <stdlib.h>

#define RINGS_AT_MOST_MS 60000

static struct slice key_of(struct sim *s, struct slice branch, struct slice method)
{
    return heap_printf(s->heap, "%.*s/%.*s", SLICE_ARG(branch), SLICE_ARG(method));
}

static struct slice value(struct sim *s, const struct plain *m, const char *name)
{
    return plain_value(s->heap, m, name);
}

static struct slice addr_text(struct sim *s, const struct addr *addr)
{
    struct buf b;

    buf_init(&b, heap_alloc(s->heap, 64), 64);
    addr_format(addr, &b);
    return buf_slice(&b);
}

static void put_via(struct sim *s, struct text *t, struct ua *ua, struct slice branch)
{
    struct slice host = addr_text(s, &ua->addr);

    text_printf(t, "Via: SIP/2.0/%s %.*s;branch=%.*s%s\r\n",
                ua->transport == SIP_TRANSPORT_UDP ? "UDP" : "TCP", SLICE_ARG(host), SLICE_ARG(branch),
                sim_chance(s, 500) ? ";rport" : "");
}

static struct slice new_branch(struct sim *s)
{
    return heap_printf(s->heap, "z9hG4bKs%u", ++s->n_branches);
}

static struct client *start(struct sim *s, struct ua *ua, struct slice method, struct slice branch,
                            struct slice request)
{
    struct client *c = heap_alloc(s->heap, sizeof(*c));

    *c = (struct client){
        .ua = ua, .method = method, .branch = branch, .request = request, .interval_ms = SIM_T1_MS};
    if (!plain_parse(s->heap, request, &c->msg))
        abort();
    dict_put(s->heap, &s->clients, key_of(s, branch, method), c);
    net_to_proxy(s, ua, request, 0, false);
    if (ua->transport == SIP_TRANSPORT_UDP)
        net_at(s, c->interval_ms, (struct event){.kind = EVENT_CLIENT, .client = c});
    net_at(s, SIM_B_MS, (struct event){.kind = EVENT_CLIENT_TIMEOUT, .client = c});
    return c;
}

static bool is_invite(const struct client *c)
{
    return slice_eq(c->method, SLICE("INVITE"));
}

/* more: further headers, each with its line end. */
struct client *client_request(struct sim *s, struct ua *ua, struct slice method, struct slice uri,
                              struct slice more)
{
    struct slice branch = new_branch(s);
    bool registers = slice_eq(method, SLICE("REGISTER"));
    struct text t;

    text_init(&t, s->heap);
    text_printf(&t, "%.*s %.*s SIP/2.0\r\n", SLICE_ARG(method), SLICE_ARG(uri));
    put_via(s, &t, ua, branch);
    text_printf(&t, "Max-Forwards: 70\r\nFrom: <%.*s>;tag=f%u\r\n", SLICE_ARG(ua->aor), ++s->n_tags);
    text_printf(&t, "To: <%.*s>\r\n", SLICE_ARG(registers ? ua->aor : uri));
    text_printf(&t, "Call-ID: c%u\r\nCSeq: 1 %.*s\r\nContact: <%.*s>", s->n_branches, SLICE_ARG(method),
                SLICE_ARG(ua->contact));
    if (registers)
        text_printf(&t, ";q=%u.%03u", ua->q_milli / 1000, ua->q_milli % 1000);
    text_printf(&t, "\r\n%.*sContent-Length: 0\r\n\r\n", SLICE_ARG(more));
    return start(s, ua, method, branch, text_slice(&t));
}

struct client *client_in_dialog(struct sim *s, struct ua *ua, struct slice method, struct slice target,
                                const struct slice *routes, size_t n_routes, struct slice from,
                                struct slice to, struct slice call_id, unsigned cseq)
{
    struct slice branch = new_branch(s);
    struct text t;

    text_init(&t, s->heap);
    text_printf(&t, "%.*s %.*s SIP/2.0\r\n", SLICE_ARG(method), SLICE_ARG(target));
    put_via(s, &t, ua, branch);
    for (size_t i = 0; i < n_routes; i++)
        text_printf(&t, "Route: %.*s\r\n", SLICE_ARG(routes[i]));
    text_printf(&t, "Max-Forwards: 70\r\nFrom: %.*s\r\nTo: %.*s\r\nCall-ID: %.*s\r\nCSeq: %u %.*s\r\n",
                SLICE_ARG(from), SLICE_ARG(to), SLICE_ARG(call_id), cseq, SLICE_ARG(method));
    text_cstr(&t, "Content-Length: 0\r\n\r\n");
    if (slice_eq(method, SLICE("ACK"))) {
        struct client *ack = heap_alloc(s->heap, sizeof(*ack));

        ack->request = text_slice(&t);
        return ack;
    }
    return start(s, ua, method, branch, text_slice(&t));
}

void client_timer(struct sim *s, struct client *c)
{
    if (c->is_over || c->final_status != 0 || (is_invite(c) && c->got_1xx))
        return;
    net_to_proxy(s, c->ua, c->request, 0, false);
    c->interval_ms *= 2;
    if (!is_invite(c) && (c->interval_ms > SIM_T2_MS || c->got_1xx))
        c->interval_ms = SIM_T2_MS;
    net_at(s, c->interval_ms, (struct event){.kind = EVENT_CLIENT, .client = c});
}

void client_timeout(struct sim *s, struct client *c)
{
    (void)s;
    if (!is_invite(c) || !c->got_1xx)
        c->is_over = true;
}

/* Section 9.1: only after a provisional response. */
void client_cancel(struct sim *s, struct client *c)
{
    struct text t;

    c->wants_cancel = true;
    if (c->has_cancel || !c->got_1xx || c->final_status != 0 || c->is_over)
        return;
    c->has_cancel = true;
    text_init(&t, s->heap);
    text_printf(&t, "CANCEL %.*s SIP/2.0\r\nVia: %.*s\r\nMax-Forwards: 70\r\nFrom: %.*s\r\nTo: %.*s\r\n",
                SLICE_ARG(c->msg.ruri), SLICE_ARG(sim_path(s, &c->msg, "Via[0]")),
                SLICE_ARG(value(s, &c->msg, "From")), SLICE_ARG(value(s, &c->msg, "To")));
    text_printf(&t, "Call-ID: %.*s\r\nCSeq: %.*s CANCEL\r\nContent-Length: 0\r\n\r\n",
                SLICE_ARG(value(s, &c->msg, "Call-ID")), SLICE_ARG(sim_path(s, &c->msg, "CSeq.number")));
    start(s, c->ua, SLICE("CANCEL"), c->branch, text_slice(&t))->of = c;
}

/* Section 17.1.1.3. */
static void ack_failure(struct sim *s, struct client *c, const struct plain *response)
{
    struct text t;

    text_init(&t, s->heap);
    text_printf(&t, "ACK %.*s SIP/2.0\r\nVia: %.*s\r\nMax-Forwards: 70\r\nFrom: %.*s\r\nTo: %.*s\r\n",
                SLICE_ARG(c->msg.ruri), SLICE_ARG(sim_path(s, &c->msg, "Via[0]")),
                SLICE_ARG(value(s, &c->msg, "From")), SLICE_ARG(value(s, response, "To")));
    text_printf(&t, "Call-ID: %.*s\r\nCSeq: %.*s ACK\r\nContent-Length: 0\r\n\r\n",
                SLICE_ARG(value(s, &c->msg, "Call-ID")), SLICE_ARG(sim_path(s, &c->msg, "CSeq.number")));
    net_to_proxy(s, c->ua, text_slice(&t), 0, false);
}

/* Section 22: once with credentials, when the challenge is our own proxy's. */
static void answer_challenge(struct sim *s, struct client *c, const struct plain *response)
{
    bool is_proxy = response->status == 407;
    struct slice challenge = value(s, response, is_proxy ? "Proxy-Authenticate" : "WWW-Authenticate"),
                 realm = SLICE("");
    struct slice user = slice_sub(c->ua->aor, 4, slice_find(c->ua->aor, '@'));

    if (c->is_retry || slice_is_null(challenge))
        return;
    plain_auth_param(challenge, SLICE("realm"), &realm);
    if (!slice_eq(realm, SLICE("example.com")))
        return;
    client_request(s, c->ua, c->method, c->msg.ruri,
                   heap_printf(s->heap, "%s: %.*s\r\n", is_proxy ? "Proxy-Authorization" : "Authorization",
                               SLICE_ARG(digest_credentials(s->heap, challenge, user, SLICE("secret"),
                                                            c->method, c->msg.ruri, 1, true))))
        ->is_retry = true;
}

static bool dialog_known(const struct client *c, struct slice tag, unsigned *ret_index)
{
    for (*ret_index = 0; *ret_index < c->n_dialogs; ++*ret_index)
        if (slice_eq(c->dialog_tags[*ret_index], tag))
            return true;
    return false;
}

/* Section 13.2.2.4: every 2xx is acknowledged, in its own dialog; then somebody hangs up. */
static void accept(struct sim *s, struct client *c, const struct plain *response)
{
    struct slice tag = sim_path(s, response, "To.tag"), target = sim_path(s, response, "Contact[0].uri"),
                 *routes;
    struct slice from = value(s, response, "From"), to = value(s, response, "To"),
                 call_id = value(s, response, "Call-ID");
    unsigned i;

    if (!dialog_known(c, tag, &i) && c->n_dialogs < 8) {
        size_t n = plain_values(s->heap, response, SLICE("Record-Route"), &routes);
        unsigned cseq = (unsigned)strtoul(heap_cstr(s->heap, sim_path(s, &c->msg, "CSeq.number")), NULL, 10);

        for (size_t k = 0; k < n / 2; k++) {
            struct slice t = routes[k];

            routes[k] = routes[n - 1 - k];
            routes[n - 1 - k] = t;
        }
        c->dialog_tags[c->n_dialogs] = tag;
        c->acks[c->n_dialogs++] =
            client_in_dialog(s, c->ua, SLICE("ACK"), target, routes, n, from, to, call_id, cseq)->request;
        client_in_dialog(s, c->ua, SLICE("BYE"), target, routes, n, from, to, call_id, cseq + 1);
    }
    if (i < c->n_dialogs)
        net_to_proxy(s, c->ua, c->acks[i], 0, false);
}

static void final_response(struct sim *s, struct client *c, const struct plain *response)
{
    bool first = c->final_status == 0;

    if (first) {
        c->final_status = response->status;
        c->final_bytes = response->bytes;
    }
    if (is_invite(c) && response->status < 300)
        accept(s, c, response);
    else if (is_invite(c))
        ack_failure(s, c, response);
    if (first && (response->status == 401 || response->status == 407))
        answer_challenge(s, c, response);
}

void client_response(struct sim *s, struct ua *ua, const struct plain *response)
{
    struct client *c =
        dict_get(&s->clients, key_of(s, sim_path(s, response, "Via[0].branch"), response->cseq_method));

    if (!c || c->ua != ua) {
        sim_fail(s, "a user agent got a response to what it never asked:\n%.*s", SLICE_ARG(response->bytes));
        return;
    }
    if (response->status >= 200) {
        final_response(s, c, response);
        return;
    }
    if (!c->got_1xx && is_invite(c))
        net_at(s, sim_random(s, RINGS_AT_MOST_MS), (struct event){.kind = EVENT_CANCEL, .client = c});
    c->got_1xx = true;
    if (c->wants_cancel)
        client_cancel(s, c);
}
