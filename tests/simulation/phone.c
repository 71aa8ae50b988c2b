/* Phones: server transactions of section 17.2 as a user agent has them, each with a plan. A rude phone sends
 * what it likes. */
#include "sim.h"
#include <stdlib.h>

static struct slice key_of(struct sim *s, struct ua *ua, struct slice branch, struct slice method)
{
    return heap_printf(s->heap, "%p/%.*s/%.*s", (void *)ua, SLICE_ARG(branch), SLICE_ARG(method));
}

static void copy(struct text *t, const struct plain *m, const char *name)
{
    for (size_t i = 0; i < m->n_hdrs; i++)
        if (slice_eq_nocase(m->hdrs[i].name, slice_from_cstr(name)))
            text_printf(t, "%s: %.*s\r\n", name, SLICE_ARG(m->hdrs[i].value));
}

static struct slice build(struct sim *s, const struct server *t, unsigned status, struct slice to_tag,
                          const char *more)
{
    struct text out;
    bool has_tag = sim_path(s, &t->msg, "To.tag").len > 0;

    text_init(&out, s->heap);
    text_printf(&out, "SIP/2.0 %u Whatever\r\n", status);
    copy(&out, &t->msg, "Via");
    if (status > 100 && status < 300)
        copy(&out, &t->msg, "Record-Route");
    copy(&out, &t->msg, "From");
    if (has_tag || status == 100)
        copy(&out, &t->msg, "To");
    else
        text_printf(&out, "To: %.*s;tag=%.*s\r\n", SLICE_ARG(plain_value(s->heap, &t->msg, "To")),
                    SLICE_ARG(to_tag));
    copy(&out, &t->msg, "Call-ID");
    copy(&out, &t->msg, "CSeq");
    if (status > 100 && status < 300)
        text_printf(&out, "Contact: <%.*s>\r\n", SLICE_ARG(t->ua->contact));
    text_printf(&out, "%sContent-Length: 0\r\n\r\n", more);
    return text_slice(&out);
}

static struct slice new_tag(struct sim *s, struct server *t)
{
    struct slice tag = heap_printf(s->heap, "t%u", ++s->n_tags);

    dict_put(s->heap, &s->dialogs, tag, t);
    return tag;
}

static bool is_invite(const struct server *t)
{
    return slice_eq(t->msg.method, SLICE("INVITE"));
}

static void respond_with(struct sim *s, struct server *t, unsigned status, struct slice tag, const char *more)
{
    t->last = build(s, t, status, tag, more);
    net_to_proxy(s, t->ua, t->last, t->ua->flow, false);
    if (status < 200)
        return;
    if (t->final_status == 0 && is_invite(t)) {
        t->interval_ms = SIM_T1_MS;
        net_at(s, t->interval_ms, (struct event){.kind = EVENT_REPEAT, .server = t});
    }
    t->final_status = t->final_status ? t->final_status : status;
}

static void respond(struct sim *s, struct server *t, unsigned status, const char *more)
{
    respond_with(s, t, status, t->to_tag, more);
}

/* Timer G of a failure, and 13.3.1.4 of a 2xx: until the ACK, or 64*T1. */
void phone_repeat(struct sim *s, struct server *t)
{
    bool is_stream = t->ua->transport != SIP_TRANSPORT_UDP;

    if (t->is_acked || t->interval_ms > SIM_B_MS || (is_stream && t->final_status >= 300))
        return;
    net_to_proxy(s, t->ua, t->last, t->ua->flow, false);
    t->interval_ms = t->interval_ms * 2;
    net_at(s, t->interval_ms < SIM_T2_MS ? t->interval_ms : SIM_T2_MS,
           (struct event){.kind = EVENT_REPEAT, .server = t});
    if (t->interval_ms > SIM_T2_MS && ++t->steps > 12)
        t->is_acked = true; /* given up */
}

static enum plan choose_plan(struct sim *s)
{
    static const unsigned weights[PLANS] = {
        [PLAN_ANSWER] = 40, [PLAN_BUSY] = 12,  [PLAN_DECLINE] = 5, [PLAN_REDIRECT] = 6, [PLAN_CHALLENGE] = 5,
        [PLAN_ERROR] = 10,  [PLAN_SILENT] = 6, [PLAN_RING] = 8,    [PLAN_RUDE] = 8,
    };
    unsigned pick = sim_random(s, 100), plan = 0;

    while (pick >= weights[plan])
        pick -= weights[plan++];
    return (enum plan)plan;
}

static const char *redirect_contact(struct sim *s)
{
    return heap_printf(s->heap, "Contact: <sip:u%u@example.com>;q=0.5, <sip:x@10.1.%u.0:5060>\r\n",
                       sim_random(s, SIM_USERS), sim_random(s, SIM_USERS))
        .ptr;
}

static void hostile(struct sim *s, struct server *t)
{
    struct slice good = build(s, t, 200, SLICE("hostile"), ""), bad;
    size_t branch = slice_find(good, ';') + 10;

    switch (sim_random(s, 4)) {
    case 0:
        bad = SLICE("\0\1\2 rubbish");
        break;
    case 1: /* cut off somewhere in the headers */
        bad = slice_sub(good, 0, 30 + sim_random(s, 60));
        break;
    case 2: /* a branch of nobody's */
        bad = heap_printf(s->heap, "%.*sXX%.*s", (int)branch, good.ptr, (int)(good.len - branch),
                          good.ptr + branch);
        break;
    default:
        bad = SLICE("\r\n\r\n");
        break;
    }
    net_to_proxy(s, t->ua, bad, t->ua->flow, true);
}

/* One thing out of many, well-formed each, in no sensible order. */
static void rude_step(struct sim *s, struct server *t)
{
    static const unsigned codes[] = {100, 180, 183, 199, 200, 200, 202, 302,
                                     401, 404, 480, 486, 500, 503, 600, 699};
    unsigned status = codes[sim_random(s, sizeof(codes) / sizeof(codes[0]))];

    if (t->ua->transport == SIP_TRANSPORT_UDP && sim_chance(s, 200)) {
        hostile(s, t);
    } else {
        struct slice last = t->last;

        if (t->final_status >= 300 && status < 300 && status >= 200)
            status = 486;
        respond_with(s, t, status, sim_chance(s, 500) ? t->to_tag : new_tag(s, t), "");
        if (status < 200 && t->final_status != 0)
            t->last = last;
    }
    if (t->steps++ < 8)
        net_at(s, sim_random(s, 3000), (struct event){.kind = EVENT_SERVER, .server = t});
}

static void final_step(struct sim *s, struct server *t)
{
    static const unsigned errors[] = {404, 480, 484, 488, 500, 501, 503, 415, 420};

    switch (t->plan) {
    case PLAN_ANSWER:
        respond(s, t, 200, "");
        break;
    case PLAN_BUSY:
        respond(s, t, 486, "");
        break;
    case PLAN_DECLINE:
        respond(s, t, sim_chance(s, 500) ? 603 : 600, "");
        break;
    case PLAN_REDIRECT:
        respond(s, t, 302, redirect_contact(s));
        break;
    case PLAN_CHALLENGE:
        if (sim_chance(s, 500))
            respond(s, t, 401, "WWW-Authenticate: Digest realm=\"phone\", nonce=\"n\"\r\n");
        else
            respond(s, t, 407, "Proxy-Authenticate: Digest realm=\"phone\", nonce=\"n\"\r\n");
        break;
    case PLAN_ERROR:
        respond(s, t, errors[sim_random(s, sizeof(errors) / sizeof(errors[0]))], "");
        break;
    default:
        break;
    }
}

/* Perhaps 100, perhaps 180, then the end. */
void phone_step(struct sim *s, struct server *t)
{
    if (t->plan == PLAN_SILENT)
        return;
    if (t->plan == PLAN_RUDE) {
        rude_step(s, t);
        return;
    }
    if (t->final_status != 0)
        return;
    if (t->steps++ == 0 && is_invite(t) && !sim_chance(s, 200)) {
        respond(s, t, sim_chance(s, 300) ? 100 : 180, "");
        net_at(s, sim_random(s, 20000), (struct event){.kind = EVENT_SERVER, .server = t});
        return;
    }
    final_step(s, t);
}

static struct server *add_server(struct sim *s, struct ua *ua, const struct plain *request)
{
    struct server *t = heap_alloc(s->heap, sizeof(*t));

    *t = (struct server){.ua = ua, .msg = *request, .plan = choose_plan(s)};
    t->to_tag = new_tag(s, t);
    dict_put(s->heap, &s->servers, key_of(s, ua, sim_path(s, request, "Via[0].branch"), request->method), t);
    return t;
}

/* Section 9.2: 200, and 487 if there is no final response; some phones have been picked up in that moment. */
static void cancel(struct sim *s, struct ua *ua, struct server *t)
{
    struct server *invite =
        dict_get(&s->servers, key_of(s, ua, sim_path(s, &t->msg, "Via[0].branch"), SLICE("INVITE")));

    if (!invite) {
        respond(s, t, 481, "");
        return;
    }
    t->to_tag = invite->to_tag;
    respond(s, t, 200, "");
    if (invite->final_status != 0 || invite->plan == PLAN_SILENT)
        return;
    if (sim_chance(s, 100))
        respond(s, invite, 200, "");
    else if (!sim_chance(s, 50)) /* else it is of the kind that never answers 487 */
        respond(s, invite, 487, "");
}

static void acknowledge(struct sim *s, struct ua *ua, const struct plain *ack)
{
    struct server *t =
        dict_get(&s->servers, key_of(s, ua, sim_path(s, ack, "Via[0].branch"), SLICE("INVITE")));

    if (!t)
        t = dict_get(&s->dialogs, sim_path(s, ack, "To.tag"));
    if (t)
        t->is_acked = true;
}

void phone_request(struct sim *s, struct ua *ua, const struct plain *request, uint64_t flow)
{
    struct server *t;

    if (flow != 0)
        ua->flow = flow;
    if (slice_eq(request->method, SLICE("ACK"))) {
        acknowledge(s, ua, request);
        return;
    }
    t = dict_get(&s->servers, key_of(s, ua, sim_path(s, request, "Via[0].branch"), request->method));
    if (t) {
        if (t->last.len > 0)
            net_to_proxy(s, ua, t->last, ua->flow, false);
        return;
    }
    t = add_server(s, ua, request);
    if (slice_eq(request->method, SLICE("CANCEL")))
        cancel(s, ua, t);
    else if (slice_eq(request->method, SLICE("BYE")))
        respond(s, t, dict_get(&s->dialogs, sim_path(s, request, "To.tag")) ? 200 : 481, "");
    else
        net_at(s, sim_random(s, 2000), (struct event){.kind = EVENT_SERVER, .server = t});
}
