/* Feeds a proxy core one kind of message at a time, for callgrind to count what each costs.
 *
 *   instructions COUNT
 *
 * The world is that of the scenarios: a virtual clock, a network that is a function call. COUNT units (calls,
 * transactions, registrations) go through each step side by side, so that a step is COUNT messages of one kind in one
 * state; what the proxy sent for the step before makes the next message. Counting is on only while a message is inside
 * the world, and the counts of a step are dumped under its name. A step that does not send what it should ends the
 * program: a count of something else would be worth nothing. */
#include "base/log.h"
#include "crypto/crypto.h"
#include "digest.h"
#include "plain.h"
#include "services.h"
#include "sip/oc.h"
#include "world.h"
#include <stdio.h>
#include <stdlib.h>
#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else /* for training a release, which counts nothing */
#define CALLGRIND_TOGGLE_COLLECT      ((void)0)
#define CALLGRIND_DUMP_STATS_AT(name) ((void)(name))
#endif

#define COUNT_MAX 2000
#define CALLER    "192.0.2.10:5060"
#define CALLEE    "192.0.2.20:5060"
#define RUN_OUT   400000 /* ms: longer than any timer */
#define OBEYS     'J'    /* from here on, dialogs of a caller that does what RFC 7339 asks for */

enum side { FROM_CALLER, FROM_CALLEE };
enum way { STATEFUL, WITH_DIGEST, STATELESS, WAYS }; /* listeners */

struct unit {
    unsigned number;
    struct slice to_caller, to_callee; /* the proxy's last messages */
    struct slice request;              /* the caller's last but ACK */
    struct slice invite;               /* that came to the callee */
};

struct counts {
    struct world world;
    struct addr caller, callee;
    struct unit units[COUNT_MAX];
    unsigned count;
    struct unit *now; /* whose message is in the proxy */
    char dialog;      /* of the step */
};

struct step {
    const char *name; /* NULL: not counted */
    char dialog;      /* in its tags, branches and Call-ID */
    enum way way;
    enum side side;
    struct slice (*make)(struct counts *c, struct unit *u);
    const char *to_caller,
        *to_callee; /* how what the proxy then sends begins; NULL: it sends nothing there */
};

static const char sdp[] = "v=0\r\no=alice 2890844526 2890844526 IN IP4 192.0.2.101\r\ns=-\r\n"
                          "c=IN IP4 192.0.2.101\r\nt=0 0\r\nm=audio 49172 RTP/AVP 8 0 18 101\r\n"
                          "a=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:18 G729/8000\r\n"
                          "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=sendrecv\r\n";

static _Noreturn void give_up(const char *step, const char *what, struct slice got)
{
    fprintf(stderr, "instructions: %s: %s, not:\n%.*s\n", step, what, SLICE_ARG(got));
    exit(1);
}

/* ---- messages ---- */

struct request {
    const char *method, *branch, *ruri;
    struct slice to_tag; /* with its ";tag="; empty in the first */
    unsigned cseq;
    struct slice lines; /* further headers */
    const char *body;
};

static struct slice put_request(struct counts *c, struct unit *u, const struct request *r)
{
    struct text t;
    text_init(&t, &c->world.heap);
    text_printf(&t, "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP " CALLER ";rport;branch=z9hG4bK%c%08x%s%s\r\n",
                r->method, r->ruri, c->dialog, u->number, r->branch,
                c->dialog >= OBEYS ? SIP_OC_QUESTION : "");
    text_printf(&t, "Max-Forwards: 70\r\nFrom: \"Alice\" <sip:alice@example.com>;tag=a%c%08x\r\n", c->dialog,
                u->number);
    text_printf(&t,
                "To: <sip:u%07u@example.com>%.*s\r\nCall-ID: %c%08x-3c26700d@192.0.2.10\r\nCSeq: %u %s\r\n",
                u->number, SLICE_ARG(r->to_tag), c->dialog, u->number, r->cseq, r->method);
    text_cstr(&t, "User-Agent: A telephone 1.0\r\n");
    text_put(&t, r->lines);
    text_printf(&t, "Content-Length: %zu\r\n\r\n%s", strlen(r->body), r->body);
    return text_slice(&t);
}

static const char *user_uri(struct counts *c, const struct unit *u)
{
    return heap_printf(&c->world.heap, "sip:u%07u@example.com", u->number).ptr;
}

static struct plain read_message(struct counts *c, struct slice bytes)
{
    struct plain p;
    if (!plain_parse(&c->world.heap, bytes, &p))
        give_up("a message of the proxy", "it should be SIP", bytes);
    return p;
}

static struct slice to_tag(struct counts *c, const struct unit *u)
{
    struct plain p = read_message(c, u->to_caller);
    struct slice tag;
    if (!plain_path(&c->world.heap, &p, SLICE("To[0].tag"), &tag))
        give_up("a response", "it should have a tag in To", u->to_caller);
    return heap_printf(&c->world.heap, ";tag=%.*s", SLICE_ARG(tag));
}

static struct slice make_invite(struct counts *c, struct unit *u)
{
    return u->request = put_request(
               c, u,
               &(struct request){.method = "INVITE",
                                 .branch = "i",
                                 .ruri = user_uri(c, u),
                                 .cseq = 1,
                                 .lines =
                                     SLICE("Contact: <sip:alice@" CALLER ">\r\n"
                                           "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE\r\n"
                                           "Supported: timer, replaces\r\nContent-Type: application/sdp\r\n"),
                                 .body = sdp});
}

/* From the first of them on the proxy is overloaded. */
static struct slice make_late(struct counts *c, struct unit *u, uint32_t waited_us)
{
    struct world *w = &c->world;
    ms_t end_ms = w->now_ms + (u == c->units ? w->opts.pressure.interval_ms : 0);
    proxy_waited(w->proxy, 0, waited_us, 0);
    while (w->now_ms < end_ms) {
        world_advance(w, w->now_ms + 1);
        proxy_waited(w->proxy, 0, waited_us, 0);
    }
    return make_invite(c, u);
}

/* For longer than the target: only who obeys is taken; and for longer than twice the target: nobody. */
static struct slice make_late_invite(struct counts *c, struct unit *u)
{
    return make_late(c, u, 2 * c->world.opts.pressure.target_us);
}

static struct slice make_latest_invite(struct counts *c, struct unit *u)
{
    return make_late(c, u, 3 * c->world.opts.pressure.target_us);
}

static struct slice make_again(struct counts *c, struct unit *u)
{
    (void)c;
    return u->request;
}

static struct slice make_cancel(struct counts *c, struct unit *u)
{
    return put_request(
        c, u,
        &(struct request){.method = "CANCEL", .branch = "i", .ruri = user_uri(c, u), .cseq = 1, .body = ""});
}

static struct slice make_ack_of_failure(struct counts *c, struct unit *u)
{
    return put_request(c, u,
                       &(struct request){.method = "ACK",
                                         .branch = "i",
                                         .ruri = user_uri(c, u),
                                         .to_tag = to_tag(c, u),
                                         .cseq = 1,
                                         .body = ""});
}

static struct slice in_dialog(struct counts *c, struct unit *u, const char *method, unsigned cseq)
{
    struct plain p = read_message(c, u->to_caller);
    struct slice route = plain_value(&c->world.heap, &p, "Record-Route");
    return put_request(
        c, u,
        &(struct request){.method = method,
                          .branch = method,
                          .ruri = "sip:callee@" CALLEE,
                          .to_tag = to_tag(c, u),
                          .cseq = cseq,
                          .lines = heap_printf(&c->world.heap, "Route: %.*s\r\n", SLICE_ARG(route)),
                          .body = ""});
}

static struct slice make_ack(struct counts *c, struct unit *u)
{
    u->request = in_dialog(c, u, "BYE", 2); /* while the 200 with the route set is still at hand */
    return in_dialog(c, u, "ACK", 1);
}

static struct slice make_options(struct counts *c, struct unit *u)
{
    return put_request(c, u,
                       &(struct request){.method = "OPTIONS",
                                         .branch = "o",
                                         .ruri = "sip:callee@" CALLEE,
                                         .cseq = 1,
                                         .lines = SLICE("Contact: <sip:alice@" CALLER ">\r\n"),
                                         .body = ""});
}

static struct slice make_ping(struct counts *c, struct unit *u)
{
    return put_request(
        c, u,
        &(struct request){
            .method = "OPTIONS", .branch = "p", .ruri = "sip:192.0.2.1:5060", .cseq = 1, .body = ""});
}

static struct slice put_register(struct counts *c, struct unit *u, unsigned cseq, struct slice credentials)
{
    struct slice lines =
        heap_printf(&c->world.heap, "Contact: <sip:u%07u@" CALLEE ">\r\nExpires: 3600\r\n%.*s", u->number,
                    SLICE_ARG(credentials));
    return put_request(c, u,
                       &(struct request){.method = "REGISTER",
                                         .branch = cseq == 1 ? "r" : "s",
                                         .ruri = "sip:example.com",
                                         .cseq = cseq,
                                         .lines = lines,
                                         .body = ""});
}

static struct slice make_register(struct counts *c, struct unit *u)
{
    return put_register(c, u, 1, SLICE(""));
}

static struct slice make_refresh(struct counts *c, struct unit *u)
{
    return put_register(c, u, 2, SLICE(""));
}

static struct slice make_credentials(struct counts *c, struct unit *u)
{
    struct heap *heap = &c->world.heap;
    struct plain p = read_message(c, u->to_caller);
    struct slice *challenges, user = heap_printf(heap, "u%07u", u->number);
    size_t n = plain_values(heap, &p, SLICE("WWW-Authenticate"), &challenges), i = 0;
    while (i < n && memmem(challenges[i].ptr, challenges[i].len, "algorithm=SHA-256", 17) == NULL)
        i++;
    if (i == n)
        give_up("REGISTER challenged", "SHA-256 should be offered", u->to_caller);
    struct slice credentials = digest_credentials(heap, challenges[i], user, SLICE("secret"),
                                                  SLICE("REGISTER"), SLICE("sip:example.com"), 1, true);
    return put_register(c, u, 2, heap_printf(heap, "Authorization: %.*s\r\n", SLICE_ARG(credentials)));
}

/* The callee's, to the last request that came to him. */
static struct slice put_response(struct counts *c, struct unit *u, const char *status, const char *body)
{
    static const char *const copied[] = {"Via", "Record-Route", "From", "Call-ID", "CSeq"};
    struct plain p = read_message(c, u->to_callee);
    struct slice tag, to = plain_value(&c->world.heap, &p, "To");
    struct text t;
    text_init(&t, &c->world.heap);
    text_printf(&t, "SIP/2.0 %s\r\n", status);
    for (size_t i = 0; i < sizeof(copied) / sizeof(copied[0]); i++) {
        struct slice *values;
        size_t n = plain_values(&c->world.heap, &p, slice_from_cstr(copied[i]), &values);
        for (size_t k = 0; k < n; k++)
            text_printf(&t, "%s: %.*s\r\n", copied[i], SLICE_ARG(values[k]));
    }
    bool has_tag = plain_path(&c->world.heap, &p, SLICE("To[0].tag"), &tag);
    text_printf(&t, "To: %.*s%s\r\nContact: <sip:callee@" CALLEE ">\r\n", SLICE_ARG(to),
                has_tag ? "" : ";tag=b3c26700d");
    if (body[0] != '\0')
        text_cstr(&t, "Content-Type: application/sdp\r\n");
    text_printf(&t, "Content-Length: %zu\r\n\r\n%s", strlen(body), body);
    return text_slice(&t);
}

static struct slice make_100(struct counts *c, struct unit *u)
{
    return put_response(c, u, "100 Trying", "");
}

static struct slice make_180(struct counts *c, struct unit *u)
{
    return put_response(c, u, "180 Ringing", "");
}

static struct slice make_200(struct counts *c, struct unit *u)
{
    return put_response(c, u, "200 OK", "");
}

static struct slice make_200_sdp(struct counts *c, struct unit *u)
{
    return put_response(c, u, "200 OK", sdp);
}

/* A CANCEL has come since, with a Via less. */
static struct slice make_487(struct counts *c, struct unit *u)
{
    u->to_callee = u->invite;
    return put_response(c, u, "487 Request Terminated", "");
}

/* ---- the steps: what is counted, in the order in which it happens ---- */

static const struct step steps[] = {
    {"REGISTER", 'A', STATEFUL, FROM_CALLER, make_register, "SIP/2.0 200", NULL},
    {"REGISTER refresh", 'A', STATEFUL, FROM_CALLER, make_refresh, "SIP/2.0 200", NULL},
    {"REGISTER challenged", 'B', WITH_DIGEST, FROM_CALLER, make_register, "SIP/2.0 401", NULL},
    {"REGISTER with digest", 'B', WITH_DIGEST, FROM_CALLER, make_credentials, "SIP/2.0 200", NULL},
    {"OPTIONS", 'C', STATEFUL, FROM_CALLER, make_options, NULL, "OPTIONS "},
    {"200 of OPTIONS", 'C', STATEFUL, FROM_CALLEE, make_200, "SIP/2.0 200", NULL},
    {"OPTIONS answered here", 'D', STATEFUL, FROM_CALLER, make_ping, "SIP/2.0 200", NULL},
    {"OPTIONS stateless", 'E', STATELESS, FROM_CALLER, make_options, NULL, "OPTIONS "},
    {"200 of OPTIONS stateless", 'E', STATELESS, FROM_CALLEE, make_200, "SIP/2.0 200", NULL},
    {"INVITE", 'F', STATEFUL, FROM_CALLER, make_invite, "SIP/2.0 100", "INVITE "},
    {"INVITE again", 'F', STATEFUL, FROM_CALLER, make_again, "SIP/2.0 100", NULL},
    {"100", 'F', STATEFUL, FROM_CALLEE, make_100, NULL, NULL},
    {"180", 'F', STATEFUL, FROM_CALLEE, make_180, "SIP/2.0 180", NULL},
    {"200 of INVITE", 'F', STATEFUL, FROM_CALLEE, make_200_sdp, "SIP/2.0 200", NULL},
    {"ACK", 'F', STATEFUL, FROM_CALLER, make_ack, NULL, "ACK "},
    {"BYE", 'F', STATEFUL, FROM_CALLER, make_again, NULL, "BYE "},
    {"200 of BYE", 'F', STATEFUL, FROM_CALLEE, make_200, "SIP/2.0 200", NULL},
    {NULL, 'G', STATEFUL, FROM_CALLER, make_invite, "SIP/2.0 100", "INVITE "},
    {NULL, 'G', STATEFUL, FROM_CALLEE, make_180, "SIP/2.0 180", NULL},
    {"CANCEL", 'G', STATEFUL, FROM_CALLER, make_cancel, "SIP/2.0 200", "CANCEL "},
    {"200 of CANCEL", 'G', STATEFUL, FROM_CALLEE, make_200, NULL, NULL},
    {"487", 'G', STATEFUL, FROM_CALLEE, make_487, "SIP/2.0 487", "ACK "},
    {"ACK of 487", 'G', STATEFUL, FROM_CALLER, make_ack_of_failure, NULL, NULL},
    {"INVITE refused", 'H', STATEFUL, FROM_CALLER, make_late_invite, "SIP/2.0 503", NULL},
    {"ACK of refusal", 'H', STATEFUL, FROM_CALLER, make_ack_of_failure, NULL, NULL},
    /* Still overloaded, and the caller is a neighbour that obeys (RFC 7339) */
    {"INVITE of who obeys", OBEYS, STATEFUL, FROM_CALLER, make_late_invite, "SIP/2.0 100", "INVITE "},
    {"180 for who obeys", OBEYS, STATEFUL, FROM_CALLEE, make_180, "SIP/2.0 180", NULL},
    {"200 of INVITE for who obeys", OBEYS, STATEFUL, FROM_CALLEE, make_200_sdp, "SIP/2.0 200", NULL},
    {"ACK of who obeys", OBEYS, STATEFUL, FROM_CALLER, make_ack, NULL, "ACK "},
    {"BYE of who obeys", OBEYS, STATEFUL, FROM_CALLER, make_again, NULL, "BYE "},
    {"200 of BYE for who obeys", OBEYS, STATEFUL, FROM_CALLEE, make_200, "SIP/2.0 200", NULL},
    {"INVITE of who obeys refused", OBEYS + 1, STATEFUL, FROM_CALLER, make_latest_invite, "SIP/2.0 503",
     NULL},
};

static void on_sent(void *ctx, const struct world_sent *sent)
{
    struct counts *c = ctx;
    if (c->now == NULL)
        return; /* a timer's */
    if (addr_eq(&sent->dest, &c->caller))
        c->now->to_caller = sent->bytes;
    else
        c->now->to_callee = sent->bytes;
    if (slice_starts_with(sent->bytes, SLICE("INVITE ")))
        c->now->invite = sent->bytes;
}

static void check(const struct step *step, struct slice before, struct slice after, const char *wanted)
{
    bool is_new = after.ptr != before.ptr;
    if (wanted == NULL ? is_new : !is_new || !slice_starts_with(after, slice_from_cstr(wanted)))
        give_up(step->name != NULL ? step->name : "INVITE to be cancelled",
                wanted != NULL ? wanted : "nothing should be sent", after);
}

static void run_step(struct counts *c, const struct step *step)
{
    const struct addr *from = step->side == FROM_CALLER ? &c->caller : &c->callee;
    c->dialog = step->dialog;
    for (unsigned i = 0; i < c->count; i++) {
        struct unit *u = c->now = &c->units[i];
        struct slice message = step->make(c, u);
        struct slice to_caller = u->to_caller, to_callee = u->to_callee;
        if (step->name != NULL)
            CALLGRIND_TOGGLE_COLLECT;
        world_receive_datagram(&c->world, (uint16_t)step->way, from, message);
        if (step->name != NULL)
            CALLGRIND_TOGGLE_COLLECT;
        check(step, to_caller, u->to_caller, step->to_caller);
        check(step, to_callee, u->to_callee, step->to_callee);
    }
    c->now = NULL;
    if (step->name != NULL)
        CALLGRIND_DUMP_STATS_AT(step->name);
}

static void run(struct counts *c)
{
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        run_step(c, &steps[i]);
    CALLGRIND_TOGGLE_COLLECT;
    world_advance(&c->world, c->world.now_ms + RUN_OUT);
    CALLGRIND_TOGGLE_COLLECT;
    CALLGRIND_DUMP_STATS_AT("all timers");
    if (proxy_transactions(c->world.proxy) != 0)
        give_up("all timers", "no transaction should be left", SLICE(""));
}

/* ---- set-up ---- */

static void add_listener(struct world *w, uint16_t port, enum proxy_auth_rule auth, bool is_stateless)
{
    struct proxy_listener *l = &w->listeners[w->opts.n_listeners];
    w->listener_names[w->opts.n_listeners++] = SLICE("proxy");
    *l = (struct proxy_listener){.transport = SIP_TRANSPORT_UDP,
                                 .host = SLICE("192.0.2.1"),
                                 .port = port,
                                 .auth_register = auth,
                                 .stateless = is_stateless};
    if (addr_parse(heap_printf(&w->heap, "192.0.2.1:%u", port), &l->addr) != 0)
        abort();
}

static bool set_up(struct counts *c)
{
    struct world *w = &c->world;
    struct services_user *users = heap_alloc(&w->heap, c->count * sizeof(*users));
    struct services_opts opts;
    add_listener(w, 5060, PROXY_AUTH_NONE, false);
    add_listener(w, 5061, PROXY_AUTH_REQUIRED, false);
    add_listener(w, 5062, PROXY_AUTH_NONE, true);
    w->domains[w->opts.n_domains++] = (struct proxy_domain){.name = SLICE("example.com"),
                                                            .realm = SLICE("example.com"),
                                                            .auth_register = PROXY_AUTH_REQUIRED,
                                                            .auth_calls = PROXY_AUTH_NONE};
    if (addr_prefix_parse(SLICE("192.0.2.0/24"), &w->trusted[w->opts.n_trusted++]) != 0)
        abort();
    w->sent = on_sent;
    w->ctx = c;
    w->users = heap_alloc(&w->heap, c->count * sizeof(*w->users));
    w->n_users = c->count;
    services_opts_default(&opts);
    for (unsigned i = 0; i < c->count; i++)
        users[i] = (struct services_user){.name = heap_printf(&w->heap, "u%07u", i),
                                          .domain = SLICE("example.com"),
                                          .password = SLICE("secret")};
    for (unsigned i = 0; i < c->count; i++)
        w->users[i] = slice_from_cstr(user_uri(c, &c->units[i]));
    opts.users = users;
    opts.n_users = c->count;
    return services_new(w, &opts, &w->services) == 0 && world_start(w) == 0;
}

int main(int argc, char **argv)
{
    struct counts *c = calloc(1, sizeof(*c));
    if (c == NULL || argc != 2 || (c->count = (unsigned)strtoul(argv[1], NULL, 10)) - 1 >= COUNT_MAX) {
        fprintf(stderr, "Usage: instructions COUNT (1 to %d)\n", COUNT_MAX);
        return 64;
    }
    log_set_level(LOG_WARN); /* as a busy proxy has it */
    if (crypto_init() != 0) {
        fputs("instructions: OpenSSL cannot be started\n", stderr);
        return 1;
    }
    if (addr_parse(SLICE(CALLER), &c->caller) != 0 || addr_parse(SLICE(CALLEE), &c->callee) != 0)
        abort();
    for (unsigned i = 0; i < c->count; i++)
        c->units[i].number = i;
    world_init(&c->world, 1);
    if (!set_up(c)) {
        fputs("instructions: the proxy does not start\n", stderr);
        return 1;
    }
    world_advance(&c->world, c->world.now_ms); /* tells it the calendar */
    run(c);
    world_stop(&c->world);
    services_free(c->world.services);
    world_done(&c->world);
    free(c);
    return 0;
}
