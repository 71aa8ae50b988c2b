/* The registrar in the chain of a real core: RFC 3261 section 10.3 step by step, RFC 3327 section 5.3, and
 * where users are. */
#include "location/registrar.h"
#include "support.h"
#include <sys/stat.h>

#define NOW 1289690940 /* Sat, 13 Nov 2010 23:29:00 GMT */

struct world {
    struct fixture *f;
    struct proxy *proxy;
    struct proxy_opts opts;
    struct proxy_ports ports;
    struct proxy_listener listeners[3];
    struct proxy_domain domains[2];
    struct proxy_step chain[6];
    struct counters counters;
    struct location_registrar_opts registrar_opts;
    struct location_registrar *registrar;
    char answer[16384];
    unsigned answers, number;
    unix_s_t now_s;
};

static int port_send(void *ctx, const struct sip_hop *hop, struct wire *wire, uint64_t token)
{
    struct world *w = ctx;

    (void)hop;
    (void)token;
    snprintf(w->answer, sizeof(w->answer), "%.*s", SLICE_ARG(wire_slice(wire)));
    w->answers++;
    return 0;
}

static int port_resolve(void *ctx, const struct proxy_lookup *lookup, struct sip_hop hops[PROXY_HOPS_MAX],
                        size_t *ret_count)
{
    (void)ctx;
    (void)lookup;
    (void)hops;
    (void)ret_count;
    return ERR_NOTFOUND;
}

static int port_locate(void *ctx, struct slice aor, unix_s_t now_s, struct arena *arena, size_t max,
                       const struct proxy_binding **ret_bindings, size_t *ret_count)
{
    const struct world *w = ctx;

    return location_locate(w->registrar, aor, now_s, arena, max, ret_bindings, ret_count);
}

static void port_random(void *ctx, void *out, size_t bytes)
{
    (void)ctx;
    memset(out, 7, bytes);
}

/* Stands where authentication does: takes X-User at its word. */
static enum proxy_verdict believe(struct proxy_request *req, void *ctx)
{
    struct world *w = ctx;

    for (uint16_t i = 0; i < req->msg->n_hdrs; i++) {
        const struct sip_hdr *h = &req->msg->hdrs[i];

        if (slice_starts_with(sip_hdr_line(req->msg, h), SLICE("X-User"))) {
            req->user = sip_hdr_value(req->msg, h);
            req->user_domain = &w->domains[0];
        }
    }
    return PROXY_NEXT;
}

/* What the registrar leaves alone. */
static enum proxy_verdict leave(struct proxy_request *req, void *ctx)
{
    (void)ctx;
    return proxy_reply(req, 299, SLICE_NULL, NULL, "not the registrar's");
}

static bool user_exists(void *ctx, struct slice domain, struct slice user)
{
    (void)ctx;
    return slice_eq(domain, SLICE("example.com")) && !slice_eq(user, SLICE("nobody"));
}

static void start(struct world *w)
{
    w->registrar_opts.storage = w->f->storage;
    assert_int_equal(location_registrar_new(&w->registrar_opts, &w->registrar), 0);
    w->chain[0] = (struct proxy_step){"route", proxy_step_route, NULL};
    w->chain[1] = (struct proxy_step){"require", location_require_step, w->registrar};
    w->chain[2] = (struct proxy_step){"believe", believe, w};
    w->chain[3] = (struct proxy_step){"registrar", location_registrar_step, w->registrar};
    w->chain[4] = (struct proxy_step){"leave", leave, NULL};
    assert_int_equal(proxy_new(&w->opts, &w->ports, &w->counters, 1000, &w->proxy), 0);
    w->now_s = NOW;
    proxy_advance(w->proxy, 1000, NOW);
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    void *f;

    assert_non_null(w);
    assert_int_equal(fixture_init(&f), 0);
    w->f = f;
    w->listeners[0] =
        (struct proxy_listener){.transport = SIP_TRANSPORT_UDP,
                                .addr = {.family = ADDR_IPV4, .ip = {192, 0, 2, 1}, .port = 5060},
                                .host = SLICE("192.0.2.1"),
                                .port = 5060};
    w->listeners[1] = w->listeners[0];
    w->listeners[1].transport = SIP_TRANSPORT_WS;
    w->listeners[2] = w->listeners[0];
    w->listeners[2].port = w->listeners[2].addr.port = 5080;
    w->domains[0] =
        (struct proxy_domain){SLICE("example.com"), SLICE("example.com"), PROXY_AUTH_NONE, PROXY_AUTH_NONE};
    w->domains[1] =
        (struct proxy_domain){SLICE("example.net"), SLICE("example.net"), PROXY_AUTH_NONE, PROXY_AUTH_NONE};
    w->opts = (struct proxy_opts){.listeners = w->listeners,
                                  .n_listeners = 3,
                                  .domains = w->domains,
                                  .n_domains = 2,
                                  .limits = sip_limits_default,
                                  .times = txn_times_default,
                                  .timer_c_ms = 181000,
                                  .max_breadth = 60,
                                  .max_branches = 10,
                                  .retry_after_s = 5,
                                  .path_mtu_bytes = 1500,
                                  .max_transactions = 1000,
                                  .arena_budget_bytes = 1 << 20,
                                  .worker = 3,
                                  .chain = w->chain};
    w->ports = (struct proxy_ports){
        .ctx = w, .send = port_send, .resolve = port_resolve, .locate = port_locate, .random = port_random};
    w->registrar_opts = (struct location_registrar_opts){.proxy = &w->opts, .user_exists = user_exists};
    w->f->opts.path = NULL;
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    void *f = w->f;

    proxy_free(w->proxy);
    location_registrar_free(w->registrar);
    free(w);
    return fixture_done(&f);
}

static void in_memory(struct world *w)
{
    fixture_open(w->f);
    start(w);
}

struct send {
    const char *ruri, *to, *headers;
    uint8_t listener;
    const char *call_id;
};

static void receive(struct world *w, const struct send *send)
{
    char text[8192];
    const struct sip_hop from = {.addr = {.family = ADDR_IPV4, .ip = {192, 0, 2, 9}, .port = 5060},
                                 .flow = send->listener == 1 ? 77 : SIP_FLOW_NONE,
                                 .listener = send->listener,
                                 .transport = w->listeners[send->listener].transport};

    w->number++;
    snprintf(text, sizeof(text),
             "REGISTER %s SIP/2.0\r\nVia: SIP/2.0/%s 192.0.2.9;branch=z9hG4bK%u\r\nMax-Forwards: 70\r\n"
             "From: <sip:x@example.com>;tag=1\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %u "
             "REGISTER\r\n%sContent-Length: 0\r\n\r\n",
             send->ruri ? send->ruri : "sip:example.com", send->listener == 1 ? "WS" : "UDP", w->number,
             send->to ? send->to : "<sip:alice@example.com>", send->call_id ? send->call_id : "c1", w->number,
             send->headers ? send->headers : "");
    w->answer[0] = '\0';
    proxy_receive(w->proxy, slice_from_cstr(text), &from, true);
}

static unsigned status_of(const struct world *w)
{
    unsigned status = 0;

    (void)sscanf(w->answer, "SIP/2.0 %u", &status);
    return status;
}

static unsigned answer_to(struct world *w, const struct send *send)
{
    receive(w, send);
    return status_of(w);
}

/* Value of a header of the answer, or NULL. */
static const char *header(const struct world *w, const char *name)
{
    static char value[8192];
    char line[64];
    const char *at;

    snprintf(line, sizeof(line), "\r\n%s: ", name);
    at = strstr(w->answer, line);
    if (!at)
        return NULL;
    (void)sscanf(at + strlen(line), "%8191[^\r]", value);
    return value;
}

static void assert_header(const struct world *w, const char *name, const char *want)
{
    const char *got = header(w, name);

    if (!got || strcmp(got, want) != 0)
        fail_msg("%s: %s, not %s", name, got ? got : "none", want);
}

/* ---- Step 1 ---- */

static void test_10_3_1_other_domains_are_left_to_the_proxy(void **state)
{
    struct world *w = *state;

    in_memory(w);
    assert_int_equal(
        answer_to(w, &(struct send){.ruri = "sip:example.org", .headers = "Require: nonsense\r\n"}), 299);
    assert_int_equal(answer_to(w, &(struct send){.ruri = "sip:example.com;transport=udp"}), 200);
    assert_int_equal(answer_to(w, &(struct send){.ruri = "sip:192.0.2.1:5060"}), 200);
    assert_int_equal(
        answer_to(w, &(struct send){.ruri = "sip:EXAMPLE.com", .headers = "Route: <sip:192.0.2.1;lr>\r\n"}),
        200);
}

/* ---- Step 2 ---- */

static void test_10_3_2_require_of_what_we_have_not(void **state)
{
    struct world *w = *state;

    in_memory(w);
    assert_int_equal(
        answer_to(w, &(struct send){.headers = "Require: path, eventlist\r\nRequire: 100rel\r\n"}), 420);
    assert_header(w, "Unsupported", "eventlist,100rel");
    assert_int_equal(answer_to(w, &(struct send){.headers = "Require: PATH\r\n"}), 200);
}

/* ---- Steps 4 and 5 ---- */

static const struct {
    const char *name, *user, *ruri, *to;
    unsigned status;
} owners[] = {
    {"10.3.4: his own", "alice", NULL, "<sip:alice@example.com>", 200},
    {"10.3.5: his own, in other words", "alice", NULL, "\"A\" <sips:%61lice:pw@EXAMPLE.com:5060;user=phone>",
     200},
    {"10.3.5: by another port of ours", "alice", NULL, "<sip:alice@example.com:5080>", 200},
    {"10.3.4: another's", "bob", NULL, "<sip:alice@example.com>", 403},
    {"10.3.4: users differ by case", "Alice", NULL, "<sip:alice@example.com>", 403},
    {"10.3.4: of the same name elsewhere", "alice", "sip:example.net", "<sip:alice@example.net>", 403},
    {"10.3.4: a third party with the right", "admin", NULL, "<sip:alice@example.com>", 200},
    {"10.3.4: a third party in his own domain only", "admin", "sip:example.net", "<sip:alice@example.net>",
     403},
    {"10.3.5: not the domain of the Request-URI", NULL, "sip:example.net", "<sip:alice@example.com>", 404},
    {"10.3.5: not one of our domains", NULL, NULL, "<sip:alice@example.org>", 404},
    {"10.3.5: no user", NULL, NULL, "<sip:example.com>", 404},
    {"10.3.5: an unknown user", NULL, NULL, "<sip:nobody@example.com>", 404},
    {"10.2: no SIP URI", NULL, NULL, "<tel:+1234>", 400},
    {"10.3.5: to the proxy itself, any domain of ours", NULL, "sip:192.0.2.1", "<sip:alice@example.com>",
     200},
};

static void test_10_3_4_and_5_whose_registration_it_is(void **state)
{
    static const struct slice admins[] = {{"sip:admin@example.com", 21}};
    struct world *w = *state;
    char headers[128];

    w->registrar_opts.third_parties = admins;
    w->registrar_opts.n_third_parties = 1;
    in_memory(w);
    for (size_t i = 0; i < sizeof(owners) / sizeof(owners[0]); i++) {
        snprintf(headers, sizeof(headers), "%s%s%sContact: <sip:a@192.0.2.9>\r\n",
                 owners[i].user ? "X-User: " : "", owners[i].user ? owners[i].user : "",
                 owners[i].user ? "\r\n" : "");
        receive(w, &(struct send){.ruri = owners[i].ruri, .to = owners[i].to, .headers = headers});
        if (status_of(w) != owners[i].status)
            fail_msg("%s: %u", owners[i].name, status_of(w));
    }
    /* All those that succeeded meant one user. */
    assert_int_equal(location_store_count_aors(location_storage_store(w->f->storage)), 1);
}

static void test_unknown_users_register_where_that_is_allowed(void **state)
{
    struct world *w = *state;

    w->registrar_opts.unknown_users = true;
    in_memory(w);
    assert_int_equal(
        answer_to(w, &(struct send){.to = "<sip:nobody@example.com>", .headers = "Contact: <sip:a@h>\r\n"}),
        200);
    /* But not by claiming to be one who has logged in. */
    assert_int_equal(
        answer_to(w, &(struct send){.to = "<sip:nobody@example.com>", .headers = "X-User: nobody\r\n"}), 404);
}

/* ---- Steps 6 to 8 ---- */

static void test_10_3_8_the_response_lists_all_bindings(void **state)
{
    struct world *w = *state;

    in_memory(w);
    assert_int_equal(
        answer_to(
            w,
            &(struct send){
                .headers =
                    "Contact: <sip:a@192.0.2.9;ob>;+sip.instance=\"<urn:uuid:1>\";expires=100;q=0.5\r\n"}),
        200);
    assert_header(w, "Contact", "<sip:a@192.0.2.9;ob>;expires=100;q=0.500;+sip.instance=\"<urn:uuid:1>\"");
    assert_header(w, "Date", "Sat, 13 Nov 2010 23:29:00 GMT");
    assert_header(w, "Supported", "path, outbound");
    assert_null(header(w, "Path"));
    proxy_advance(w->proxy, 2000, NOW + 1);
    assert_int_equal(
        answer_to(
            w,
            &(struct send){.headers = "Contact: <tel:+12>\r\nExpires: 300\r\nRecord-Route: <sip:x;lr>\r\n"}),
        200);
    assert_header(
        w, "Contact",
        "<sip:a@192.0.2.9;ob>;expires=99;q=0.500;+sip.instance=\"<urn:uuid:1>\",<tel:+12>;expires=300");
    assert_null(header(w, "Record-Route"));
    assert_int_equal(counter_get(&w->counters, COUNTER_REGISTRATIONS), 2);
}

static void test_10_2_3_a_fetch_changes_nothing(void **state)
{
    struct world *w = *state;

    in_memory(w);
    assert_int_equal(answer_to(w, &(struct send){.headers = "Expires: 0\r\n"}), 200);
    assert_null(header(w, "Contact"));
    assert_int_equal(answer_to(w, &(struct send){.headers = "Contact: <sip:a@h>;expires=100\r\n"}), 200);
    assert_int_equal(answer_to(w, &(struct send){.headers = "Expires: 0\r\n"}), 200);
    assert_header(w, "Contact", "<sip:a@h>;expires=100");
    proxy_advance(w->proxy, 101000, NOW + 100);
    assert_int_equal(answer_to(w, &(struct send){0}), 200);
    assert_null(header(w, "Contact"));
}

static void test_10_3_6_the_wildcard(void **state)
{
    struct world *w = *state;

    in_memory(w);
    assert_int_equal(answer_to(w, &(struct send){.headers = "Contact: <sip:a@h>, <sip:b@h>\r\n"}), 200);
    assert_int_equal(answer_to(w, &(struct send){.headers = "Contact: *\r\n"}), 400);
    assert_int_equal(answer_to(w, &(struct send){.headers = "Contact: *, <sip:c@h>\r\nExpires: 0\r\n"}), 400);
    assert_int_equal(answer_to(w, &(struct send){.headers = "Contact: *\r\nExpires: 0\r\n"}), 200);
    assert_null(header(w, "Contact"));
}

static void test_10_3_7_too_brief_says_what_would_do(void **state)
{
    struct world *w = *state;

    in_memory(w);
    assert_int_equal(answer_to(w, &(struct send){.headers = "Contact: <sip:a@h>;expires=59\r\n"}), 423);
    assert_header(w, "Min-Expires", "60");
}

static void test_10_3_7_out_of_order_is_500(void **state)
{
    struct world *w = *state;

    in_memory(w);
    assert_int_equal(answer_to(w, &(struct send){.headers = "Contact: <sip:a@h>\r\n"}), 200);
    w->number = 0; /* the branch is that of the first, so it is repeated, not processed again */
    assert_int_equal(answer_to(w, &(struct send){.headers = "Contact: <sip:a@h>\r\n"}), 200);
    w->number = 9;
    assert_int_equal(answer_to(w, &(struct send){.headers = "Contact: <sip:a@h>\r\n"}), 200);
    w->number = 4;
    assert_int_equal(answer_to(w, &(struct send){.headers = "Contact: <sip:a@h>\r\n"}), 500);
}

static void test_3327_5_3_path(void **state)
{
    struct world *w = *state;
    const char *two = "Path: <sip:p1.example.org;lr>\r\nPath: <sip:p2.example.org;lr>\r\nContact: "
                      "<sip:a@h>;expires=100\r\n";
    char headers[512];

    in_memory(w);
    assert_int_equal(answer_to(w, &(struct send){.headers = two}), 420);
    assert_header(w, "Unsupported", "path");
    snprintf(headers, sizeof(headers), "Supported: gruu, path\r\n%s", two);
    assert_int_equal(answer_to(w, &(struct send){.headers = headers}), 200);
    assert_header(w, "Path", "<sip:p1.example.org;lr>,<sip:p2.example.org;lr>");
    assert_header(w, "Contact", "<sip:a@h>;expires=100");
}

static void test_3327_5_3_path_unasked_where_that_is_allowed(void **state)
{
    struct world *w = *state;

    w->registrar_opts.path_unasked = true;
    in_memory(w);
    assert_int_equal(answer_to(w, &(struct send){.headers = "Path: <sip:p1;lr>\r\nContact: <sip:a@h>\r\n"}),
                     200);
    assert_header(w, "Path", "<sip:p1;lr>");
}

/* ---- With a database ---- */

static void test_the_200_leaves_after_the_commit(void **state)
{
    struct world *w = *state;
    struct location_job *job;

    w->f->opts.path = w->f->path;
    fixture_open(w->f);
    start(w);
    fixture_hold(w->f);
    receive(w, &(struct send){.headers = "Contact: <sip:a@h>;expires=100\r\n"});
    assert_int_equal(w->answers, 0);
    fixture_wait_held(w->f);
    assert_int_equal(fixture_cseq(w->f, "alice"), 1); /* committed, so visible */
    fixture_release(w->f);
    job = fixture_take(w->f);
    assert_int_equal(job->worker, 3);
    proxy_resume(w->proxy, job->ticket, job);
    location_job_free(job);
    assert_int_equal(w->answers, 1);
    assert_int_equal(status_of(w), 200);
    assert_header(w, "Contact", "<sip:a@h>;expires=100");
}

static void test_a_full_queue_is_503_with_retry_after(void **state)
{
    struct world *w = *state;

    w->f->opts.path = w->f->path;
    w->f->opts.jobs_max = 1;
    fixture_open(w->f);
    start(w);
    fixture_hold(w->f);
    receive(w, &(struct send){.headers = "Contact: <sip:a@h>\r\n"});
    fixture_wait_held(w->f);
    assert_int_equal(answer_to(w, &(struct send){.headers = "Contact: <sip:b@h>\r\n"}), 503);
    assert_header(w, "Retry-After", "5");
    fixture_release(w->f);
}

static void test_a_failing_database_is_500(void **state)
{
    struct world *w = *state;
    struct location_job *job;

    w->f->opts.path = w->f->path;
    fixture_open(w->f);
    start(w);
    unlink(w->f->path);
    assert_int_equal(mkdir(w->f->path, 0700), 0);
    receive(w, &(struct send){.headers = "Contact: <sip:a@h>\r\n"});
    job = fixture_take(w->f);
    proxy_resume(w->proxy, job->ticket, job);
    location_job_free(job);
    assert_int_equal(status_of(w), 500);
    assert_int_equal(rmdir(w->f->path), 0);
}

/* ---- Where a user is ---- */

struct found {
    int rc;
    struct proxy_binding bindings[8];
    size_t count;
};

static struct arena_pool pool;
static struct arena arena;

static struct found locate(struct world *w, const char *aor, size_t max)
{
    const struct proxy_binding *bindings = NULL;
    struct found found = {0};

    arena_pool_init(&pool, 1 << 20);
    arena_init(&arena, &pool);
    found.rc = location_locate(w->registrar, slice_from_cstr(aor), NOW, &arena, max, &bindings, &found.count);
    for (size_t i = 0; found.rc == 0 && i < found.count; i++)
        found.bindings[i] = bindings[i];
    return found;
}

static void forget(void)
{
    arena_done(&arena);
    arena_pool_done(&pool);
}

static void test_16_5_unknown_and_unregistered_users(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *aor;
        int rc;
    } who[] = {{"sip:alice@example.com", 0},
               {"sip:nobody@example.com", ERR_NOTFOUND},
               {"sip:alice@example.net", ERR_NOTFOUND},
               {"sip:alice@example.org", ERR_NOTFOUND},
               {"sip:example.com", ERR_NOTFOUND},
               {"nonsense", ERR_NOTFOUND}};

    in_memory(w);
    for (size_t i = 0; i < sizeof(who) / sizeof(who[0]); i++) {
        struct found found = locate(w, who[i].aor, 8);

        assert_int_equal(found.rc, who[i].rc);
        assert_int_equal(found.count, 0);
        forget();
    }
}

/* A user who was deleted cannot be called any more, although a binding of his is left; where anybody may
 * register without credentials there is no such thing as a deleted user. */
static void test_16_5_who_is_no_user_any_more(void **state)
{
    struct world *w = *state;

    w->registrar_opts.unknown_users = true;
    in_memory(w);
    assert_int_equal(answer_to(w, &(struct send){.to = "<sip:nobody@example.com>",
                                                 .headers = "Contact: <sip:nobody@192.0.2.9>\r\n"}),
                     200);
    assert_int_equal(locate(w, "sip:nobody@example.com", 8).count, 1);
    forget();
    w->domains[0].auth_register = PROXY_AUTH_REQUIRED;
    assert_int_equal(locate(w, "sip:nobody@example.com", 8).rc, ERR_NOTFOUND);
    forget();
    w->listeners[1].auth_register = PROXY_AUTH_NONE;
    assert_int_equal(locate(w, "sip:nobody@example.com", 8).count, 1);
    forget();
}

static void test_16_6_best_q_first_with_path(void **state)
{
    struct world *w = *state;
    struct found found;

    in_memory(w);
    assert_int_equal(
        answer_to(w,
                  &(struct send){.headers = "Contact: <sip:a@h>;q=0.2,<sip:b@h>;q=0.9,<sip:c@h>;q=0.9\r\n"
                                            "Contact: <sip:d@h>\r\nSupported: path\r\nPath: <sip:p;lr>\r\n"}),
        200);
    found = locate(w, "sip:alice@example.com", 8);
    assert_int_equal(found.count, 4);
    assert_true(slice_eq(found.bindings[0].uri, SLICE("sip:d@h")));
    assert_true(slice_eq(found.bindings[1].uri, SLICE("sip:c@h")));
    assert_true(slice_eq(found.bindings[2].uri, SLICE("sip:b@h")));
    assert_true(slice_eq(found.bindings[3].uri, SLICE("sip:a@h")));
    assert_int_equal(found.bindings[3].q_milli, 200);
    assert_true(slice_eq(found.bindings[3].path, SLICE("<sip:p;lr>")));
    assert_false(found.bindings[0].has_hop);
    forget();
    assert_int_equal(locate(w, "sip:alice@example.com", 2).count, 2);
    forget();
}

static void test_the_dead_are_not_found(void **state)
{
    struct world *w = *state;
    struct found found;

    in_memory(w);
    proxy_advance(w->proxy, 1001, NOW - 100);
    assert_int_equal(
        answer_to(w, &(struct send){.headers = "Contact: <sip:a@h>;expires=100,<sip:b@h>;expires=101\r\n"}),
        200);
    found = locate(w, "sip:alice@example.com", 8);
    assert_int_equal(found.rc, 0);
    assert_int_equal(found.count, 1);
    assert_true(slice_eq(found.bindings[0].uri, SLICE("sip:b@h")));
    assert_true(slice_is_null(found.bindings[0].path));
    forget();
}

static void assert_hop(struct world *w, const char *user, bool has_hop)
{
    char aor[64];
    struct found found;

    snprintf(aor, sizeof(aor), "sip:%s@example.com", user);
    found = locate(w, aor, 8);
    assert_int_equal(found.count, 1);
    if (found.bindings[0].has_hop != has_hop)
        fail_msg("%s: %d", user, found.bindings[0].has_hop);
    if (has_hop)
        assert_int_equal(found.bindings[0].hop.addr.port, 5060);
    forget();
}

static void register_ways(struct world *w)
{
    assert_int_equal(answer_to(w, &(struct send){.to = "<sip:udp@example.com>",
                                                 .headers = "Contact: <sip:a@192.0.2.9>\r\n"}),
                     200);
    assert_int_equal(answer_to(w, &(struct send){.to = "<sip:ws@example.com>",
                                                 .headers = "Contact: <sip:a@192.0.2.9;transport=ws>\r\n",
                                                 .listener = 1}),
                     200);
    assert_int_equal(answer_to(w, &(struct send){.to = "<sip:browser@example.com>",
                                                 .headers = "Contact: <sip:a@df7jal23ls0d.INVALID>\r\n"}),
                     200);
    assert_int_equal(
        answer_to(w,
                  &(struct send){
                      .to = "<sip:path@example.com>",
                      .headers = "Contact: <sip:a@x.invalid>\r\nSupported: path\r\nPath: <sip:p;lr>\r\n"}),
        200);
}

static void test_7118_5_by_its_connection_where_a_uri_leads_nowhere(void **state)
{
    struct world *w = *state;

    in_memory(w);
    register_ways(w);
    assert_hop(w, "udp", false);
    assert_hop(w, "ws", true);
    assert_hop(w, "browser", true);
    assert_hop(w, "path", false);
}

static void test_by_its_flow_where_that_is_preferred(void **state)
{
    struct world *w = *state;

    w->listeners[0].prefer_flow = true;
    in_memory(w);
    register_ways(w);
    assert_hop(w, "udp", true);
    assert_hop(w, "path", false);
}

int main(void)
{
#undef TEST
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_10_3_1_other_domains_are_left_to_the_proxy),
        TEST(test_10_3_2_require_of_what_we_have_not),
        TEST(test_10_3_4_and_5_whose_registration_it_is),
        TEST(test_unknown_users_register_where_that_is_allowed),
        TEST(test_10_3_8_the_response_lists_all_bindings),
        TEST(test_10_2_3_a_fetch_changes_nothing),
        TEST(test_10_3_6_the_wildcard),
        TEST(test_10_3_7_too_brief_says_what_would_do),
        TEST(test_10_3_7_out_of_order_is_500),
        TEST(test_3327_5_3_path),
        TEST(test_3327_5_3_path_unasked_where_that_is_allowed),
        TEST(test_the_200_leaves_after_the_commit),
        TEST(test_a_full_queue_is_503_with_retry_after),
        TEST(test_a_failing_database_is_500),
        TEST(test_16_5_unknown_and_unregistered_users),
        TEST(test_16_5_who_is_no_user_any_more),
        TEST(test_16_6_best_q_first_with_path),
        TEST(test_the_dead_are_not_found),
        TEST(test_7118_5_by_its_connection_where_a_uri_leads_nowhere),
        TEST(test_by_its_flow_where_that_is_preferred),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
