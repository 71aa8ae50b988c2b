/* Who is asked for credentials and what becomes of the answer: RFC 3261 sections 22.1 to 22.4, RFC 8760, in
 * the chain of a real core. */
#include "auth/digest.h"
#include "auth/step.h"
#include "base/log.h"
#include "base/mem.h"
#include "crypto/crypto.h"
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define NOW 1289690940

struct world {
    sqlite3 *db;
    struct proxy *proxy;
    struct proxy_opts opts;
    struct proxy_ports ports;
    struct proxy_listener listener;
    struct proxy_domain domains[2];
    struct addr_prefix trusted;
    struct proxy_step chain[4];
    struct counters counters;
    struct auth_opts auth;
    enum crypto_digest_alg algorithms[3];
    ms_t now_ms;
    unsigned number;

    char answer[8192];
    char user[64], removed[1024]; /* what the next step saw */
    bool passed;
    char log[8192];
};

static int port_send(void *ctx, const struct sip_hop *hop, struct wire *wire, uint64_t token)
{
    struct world *w = ctx;

    (void)hop;
    (void)token;
    snprintf(w->answer, sizeof(w->answer), "%.*s", SLICE_ARG(wire_slice(wire)));
    return 0;
}

static int port_resolve(void *ctx, const struct proxy_lookup *lookup, struct sip_hop hops[PROXY_HOPS_MAX],
                        size_t *ret_count)
{
    (void)ctx, (void)lookup, (void)hops, (void)ret_count;
    return ERR_NOTFOUND;
}

static int port_locate(void *ctx, struct slice aor, unix_s_t now_s, struct arena *arena, size_t max,
                       const struct proxy_binding **ret_bindings, size_t *ret_count)
{
    (void)ctx, (void)aor, (void)now_s, (void)arena, (void)max, (void)ret_bindings, (void)ret_count;
    return ERR_NOTFOUND;
}

static void port_random(void *ctx, void *out, size_t bytes)
{
    (void)ctx;
    memset(out, 7, bytes);
}

static enum proxy_verdict look(struct proxy_request *req, void *ctx)
{
    struct world *w = ctx;

    w->passed = true;
    snprintf(w->user, sizeof(w->user), "%.*s", SLICE_ARG(req->user));
    snprintf(w->removed, sizeof(w->removed), "%.*s", SLICE_ARG(req->remove_credentials));
    return proxy_reply(req, 299, SLICE_NULL, NULL, "passed");
}

static void on_log(struct slice line, void *ctx)
{
    struct world *w = ctx;
    size_t len = strlen(w->log);

    snprintf(w->log + len, sizeof(w->log) - len, "%.*s", SLICE_ARG(line));
}

static void add_user(struct world *w, const char *name, const char *realm, const char *password)
{
    const struct auth_account a = {SLICE("example.com"), slice_from_cstr(realm), slice_from_cstr(name)};

    assert_int_equal(auth_user_add(w->db, &a, slice_from_cstr(password)), 0);
}

static void open_users(struct world *w)
{
    assert_int_equal(sqlite3_open(":memory:", &w->db), SQLITE_OK);
    for (size_t i = 0; auth_users_schema[i]; i++)
        assert_int_equal(sqlite3_exec(w->db, auth_users_schema[i], NULL, NULL, NULL), SQLITE_OK);
    add_user(w, "alice", "Realm", "wonderland");
    add_user(w, "bob", "Realm", "builder");
    add_user(w, "carol", "Before", "x");
    assert_int_equal(auth_users_new(w->db, &w->auth.users), 0);
}

static int set_up(void **state)
{
    static const struct slice md5_only[] = {{"baresip v1.", 11}};
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    assert_int_equal(crypto_init(), 0);
    log_set_sink(on_log, w);
    w->now_ms = 1000;
    open_users(w);
    assert_int_equal(auth_nonces_new(300, 1024, &w->auth.nonces), 0);
    w->algorithms[0] = CRYPTO_MD5;
    w->algorithms[1] = CRYPTO_SHA256;
    w->algorithms[2] = CRYPTO_SHA512_256;
    w->auth.algorithms = w->algorithms;
    w->auth.n_algorithms = 3;
    w->auth.md5_only_agents = md5_only;
    w->auth.n_md5_only_agents = 1;
    w->listener = (struct proxy_listener){.transport = SIP_TRANSPORT_UDP,
                                          .addr = {.family = ADDR_IPV4, .ip = {192, 0, 2, 1}, .port = 5060},
                                          .host = SLICE("192.0.2.1"),
                                          .port = 5060};
    w->domains[0] =
        (struct proxy_domain){SLICE("example.com"), SLICE("Realm"), PROXY_AUTH_REQUIRED, PROXY_AUTH_REQUIRED};
    w->domains[1] =
        (struct proxy_domain){SLICE("open.example"), SLICE("Open"), PROXY_AUTH_NONE, PROXY_AUTH_NONE};
    assert_int_equal(addr_prefix_parse(SLICE("198.51.100.0/24"), &w->trusted), 0);
    w->chain[0] = (struct proxy_step){"route", proxy_step_route, NULL};
    w->chain[1] = (struct proxy_step){"auth", auth_step, &w->auth};
    w->chain[2] = (struct proxy_step){"look", look, w};
    w->opts = (struct proxy_opts){.listeners = &w->listener,
                                  .n_listeners = 1,
                                  .domains = w->domains,
                                  .n_domains = 2,
                                  .trusted = &w->trusted,
                                  .n_trusted = 1,
                                  .limits = sip_limits_default,
                                  .times = txn_times_default,
                                  .timer_c_ms = 181000,
                                  .max_breadth = 60,
                                  .max_branches = 10,
                                  .path_mtu_bytes = 1500,
                                  .max_transactions = 1000,
                                  .arena_budget_bytes = 1 << 20,
                                  .chain = w->chain};
    w->ports = (struct proxy_ports){
        .ctx = w, .send = port_send, .resolve = port_resolve, .locate = port_locate, .random = port_random};
    assert_int_equal(proxy_new(&w->opts, &w->ports, &w->counters, w->now_ms, &w->proxy), 0);
    proxy_advance(w->proxy, w->now_ms, NOW);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    /* Whatever happened: nobody's credentials were logged (RFC 7616 section 3.4). */
    assert_null(strstr(w->log, "response="));
    assert_null(strstr(w->log, "nonce=\""));
    assert_null(strstr(w->log, "wonderland"));
    log_set_sink(NULL, NULL);
    proxy_free(w->proxy);
    auth_nonces_free(w->auth.nonces);
    auth_users_free(w->auth.users);
    sqlite3_close(w->db);
    free(w);
    assert_int_equal(mem_held_bytes(), 0);
    return 0;
}

static void pass_time(struct world *w, unsigned seconds)
{
    w->now_ms += 1000 * (ms_t)seconds;
    proxy_advance(w->proxy, w->now_ms, NOW + (unix_s_t)(w->now_ms / 1000) - 1);
}

struct send {
    const char *method, *ruri, *from, *to, *headers;
    uint8_t source; /* first octet of the sender's address */
};

static unsigned answer_to(struct world *w, const struct send *send)
{
    struct sip_hop from = {.addr = {.family = ADDR_IPV4, .ip = {192, 0, 2, 9}, .port = 5060},
                           .transport = SIP_TRANSPORT_UDP};
    const char *method = send->method ? send->method : "INVITE";
    char text[8192];
    unsigned status = 0;

    if (send->source != 0)
        memcpy(from.addr.ip, (uint8_t[]){send->source, 51, 100, 7}, 4);
    w->number++;
    w->passed = false;
    w->answer[0] = w->user[0] = w->removed[0] = '\0';
    snprintf(text, sizeof(text),
             "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK%u\r\nMax-Forwards: 70\r\nFrom: "
             "%s;tag=1\r\n"
             "To: %s\r\nCall-ID: c%u\r\nCSeq: 1 %s\r\n%sContent-Length: 0\r\n\r\n",
             method, send->ruri ? send->ruri : "sip:bob@example.com", w->number,
             send->from ? send->from : "<sip:alice@example.com>",
             send->to ? send->to : "<sip:alice@example.com>", w->number, method,
             send->headers ? send->headers : "");
    proxy_receive(w->proxy, slice_from_cstr(text), &from, true);
    (void)sscanf(w->answer, "SIP/2.0 %u", &status);
    return status;
}

/* Value number index of a header of the answer; NULL when there is none. */
static const char *header(const struct world *w, const char *name, unsigned index)
{
    static char value[1024];
    char line[64];
    const char *at = w->answer;

    snprintf(line, sizeof(line), "\r\n%s: ", name);
    for (unsigned i = 0; at && i <= index; i++)
        at = strstr(i == 0 ? at : at + 1, line);
    if (!at)
        return NULL;
    (void)sscanf(at + strlen(line), "%1023[^\r]", value);
    return value;
}

/* What a client answers. */
struct client {
    const char *name, *password, *realm, *uri;
    enum crypto_digest_alg alg;
    unsigned nc; /* 0: no qop */
    char nonce[64];
};

#define ALICE                                                                                                \
    {                                                                                                        \
        .name = "alice", .password = "wonderland", .realm = "Realm", .uri = "sip:bob@example.com", .nc = 1   \
    }

static void take_nonce(const struct world *w, const char *name, struct client *c)
{
    const char *at = strstr(header(w, name, 0), "nonce=\"");

    assert_int_equal(sscanf(at, "nonce=\"%63[^\"]", c->nonce), 1);
}

static struct crypto_hex hash(enum crypto_digest_alg alg, const char *text)
{
    const struct slice part = slice_from_cstr(text);
    struct crypto_hex hex;

    assert_int_equal(crypto_digest_hex(alg, &part, 1, &hex), 0);
    return hex;
}

/* RFC 7616 section 3.4.1, written out apart from the code under test. */
static const char *credentials(const struct client *c, const char *header_name, const char *method)
{
    static char out[2048];
    char text[1024];
    struct crypto_hex a1, a2, response;

    snprintf(text, sizeof(text), "%s:%s:%s", c->name, c->realm, c->password);
    a1 = hash(c->alg, text);
    snprintf(text, sizeof(text), "%s:%s", method, c->uri);
    a2 = hash(c->alg, text);
    if (c->nc > 0)
        snprintf(text, sizeof(text), "%.*s:%s:%08x:cn:auth:%.*s", (int)a1.len, a1.text, c->nonce, c->nc,
                 (int)a2.len, a2.text);
    else
        snprintf(text, sizeof(text), "%.*s:%s:%.*s", (int)a1.len, a1.text, c->nonce, (int)a2.len, a2.text);
    response = hash(c->alg, text);
    snprintf(text, sizeof(text), ", qop=auth, cnonce=\"cn\", nc=%08x", c->nc);
    snprintf(out, sizeof(out),
             "%s: Digest username=\"%s\", realm=\"%s\", nonce=\"%s\", uri=\"%s\", algorithm=%.*s, "
             "response=\"%.*s\"%s\r\n",
             header_name, c->name, c->realm, c->nonce, c->uri, SLICE_ARG(auth_algorithm_name(c->alg)),
             (int)response.len, response.text, c->nc > 0 ? text : "");
    return out;
}

/* An INVITE of alice with these credentials. */
static unsigned call_with(struct world *w, const struct client *c)
{
    return answer_to(w, &(struct send){.headers = credentials(c, "Proxy-Authorization", "INVITE")});
}

static struct client challenged(struct world *w)
{
    struct client c = ALICE;

    assert_int_equal(answer_to(w, &(struct send){0}), 407);
    take_nonce(w, "Proxy-Authenticate", &c);
    return c;
}

/* ---- Who is asked ---- */

static const struct {
    const char *name;
    struct send send;
    unsigned status;
} asked[] = {
    {"22.1: the registrar asks by 401", {.method = "REGISTER", .ruri = "sip:example.com"}, 401},
    {"10.3: also when the proxy itself is addressed", {.method = "REGISTER", .ruri = "sip:192.0.2.1"}, 401},
    {"10.3: of whom REGISTER is for, not from",
     {.method = "REGISTER", .ruri = "sip:example.com", .from = "<sip:x@elsewhere.example>"},
     401},
    {"22.3: the proxy asks by 407", {0}, 407},
    {"22.3: for any method", {.method = "MESSAGE"}, 407},
    {"22.3: also on the way to elsewhere", {.ruri = "sip:x@elsewhere.example"}, 407},
    {"a caller from elsewhere is not asked", {.from = "<sip:x@elsewhere.example>"}, 299},
    {"a domain may ask for nothing", {.from = "<sip:x@open.example>"}, 299},
    {"a domain may ask no registration",
     {.method = "REGISTER", .ruri = "sip:open.example", .to = "<sip:x@open.example>"},
     299},
    {"a trusted source is not asked", {.source = 198}, 299},
};

static void test_22_1_who_is_asked(void **state)
{
    struct world *w = *state;

    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        unsigned status = answer_to(w, &asked[i].send);

        if (status != asked[i].status)
            fail_msg("%s: %u", asked[i].name, status);
    }
}

static void test_22_1_ack_and_cancel_are_never_challenged(void **state)
{
    struct world *w = *state;

    assert_int_equal(answer_to(w, &(struct send){.method = "ACK"}), 0);
    assert_true(w->passed);
    (void)answer_to(w, &(struct send){.method = "CANCEL"});
    assert_null(header(w, "Proxy-Authenticate", 0));
}

static void test_a_listener_overrides_its_domain(void **state)
{
    struct world *w = *state;

    w->listener.auth_calls = PROXY_AUTH_NONE;
    w->listener.auth_register = PROXY_AUTH_NONE;
    assert_int_equal(answer_to(w, &(struct send){0}), 299);
    assert_int_equal(answer_to(w, &(struct send){.method = "REGISTER", .ruri = "sip:example.com"}), 299);
    w->listener.auth_calls = PROXY_AUTH_REQUIRED;
    assert_int_equal(answer_to(w, &(struct send){.from = "<sip:x@open.example>"}), 407);
}

/* ---- The question ---- */

static void test_8760_2_3_a_challenge_for_each_algorithm_in_order(void **state)
{
    static const char *const names[] = {"MD5,", "SHA-256,", "SHA-512-256,"};
    struct world *w = *state;
    char want[64];

    assert_int_equal(answer_to(w, &(struct send){.method = "REGISTER", .ruri = "sip:example.com"}), 401);
    for (unsigned i = 0; i < 3; i++) {
        const char *value = header(w, "WWW-Authenticate", i);

        snprintf(want, sizeof(want), "algorithm=%s", names[i]);
        assert_non_null(value);
        assert_non_null(strstr(value, want));
        assert_non_null(strstr(value, "realm=\"Realm\""));
        assert_non_null(strstr(value, "qop=\"auth\"")); /* 22.4 item 8: always */
        assert_null(strstr(value, "stale"));
    }
    assert_null(header(w, "WWW-Authenticate", 3));
    assert_null(header(w, "Proxy-Authenticate", 0));
    assert_null(strstr(w->answer, "Basic"));
    assert_int_equal(counter_get(&w->counters, COUNTER_CHALLENGES), 1);
    assert_int_equal(counter_get(&w->counters, COUNTER_AUTH_FAILURES), 0);
}

static void test_a_client_that_fails_at_others_is_offered_md5_alone(void **state)
{
    struct world *w = *state;

    assert_int_equal(answer_to(w, &(struct send){.headers = "User-Agent: baresip v1.0.0 (x86_64/linux)\r\n"}),
                     407);
    assert_non_null(strstr(header(w, "Proxy-Authenticate", 0), "algorithm=MD5"));
    assert_null(header(w, "Proxy-Authenticate", 1));
    w->algorithms[0] = CRYPTO_SHA256;
    w->auth.n_algorithms = 1;
    assert_int_equal(answer_to(w, &(struct send){.headers = "User-Agent: baresip v1.0.0 (x86_64/linux)\r\n"}),
                     407);
    assert_non_null(strstr(header(w, "Proxy-Authenticate", 0), "algorithm=SHA-256"));
}

/* ---- The answer ---- */

static void test_22_3_right_credentials_pass_by_every_algorithm(void **state)
{
    struct world *w = *state;

    for (int alg = 0; alg < CRYPTO_DIGEST_ALG_COUNT; alg++) {
        struct client c = challenged(w);

        c.alg = (enum crypto_digest_alg)alg;
        assert_int_equal(call_with(w, &c), 299);
        assert_string_equal(w->user, "alice");
        assert_non_null(strstr(w->removed, "Digest username=\"alice\"")); /* does not travel on */
    }
}

static void test_22_2_right_credentials_register(void **state)
{
    struct world *w = *state;
    struct client c = ALICE;

    c.uri = "sip:example.com";
    assert_int_equal(answer_to(w, &(struct send){.method = "REGISTER", .ruri = "sip:example.com"}), 401);
    take_nonce(w, "WWW-Authenticate", &c);
    assert_int_equal(answer_to(w, &(struct send){.method = "REGISTER",
                                                 .ruri = "sip:example.com",
                                                 .headers = credentials(&c, "Authorization", "REGISTER")}),
                     299);
    assert_string_equal(w->user, "alice");
    /* Not those for a proxy. */
    c.nc = 2;
    assert_int_equal(
        answer_to(w, &(struct send){.method = "REGISTER",
                                    .ruri = "sip:example.com",
                                    .headers = credentials(&c, "Proxy-Authorization", "REGISTER")}),
        401);
}

static void test_what_clients_make_of_it_is_understood(void **state)
{
    struct world *w = *state;
    struct client c = challenged(w);

    c.uri = "sip:192.0.2.1:5060"; /* the address of the proxy instead of the Request-URI (22.4 item 6) */
    assert_int_equal(call_with(w, &c), 299);
    c.name = "alice@example.com";
    c.nc = 2;
    assert_int_equal(call_with(w, &c), 299);
    assert_string_equal(w->user, "alice");
    c = challenged(w);
    c.nc = 0; /* 22.4 item 8: qop must remain optional to receive */
    assert_int_equal(call_with(w, &c), 299);
}

static void assert_asked_again(struct world *w, const struct client *c, bool stale)
{
    assert_int_equal(call_with(w, c), 407);
    assert_int_equal(strstr(header(w, "Proxy-Authenticate", 0), "stale=true") != NULL, stale);
    assert_null(strstr(header(w, "Proxy-Authenticate", 0), c->nonce));
}

static void test_7616_3_3_stale_only_for_who_knows_the_password(void **state)
{
    struct world *w = *state;
    struct client c = challenged(w);

    c.password = "looking-glass";
    assert_asked_again(w, &c, false);
    c.password = "wonderland";
    c.name = "mallory";
    assert_asked_again(w, &c, false);
    c.name = "alice";
    snprintf(c.nonce, sizeof(c.nonce), "dcd98b7102dd2f0e8b11d0f600bfb0c093");
    assert_asked_again(w, &c, true);
    c.password = "looking-glass";
    assert_asked_again(w, &c, false);
    assert_int_equal(counter_get(&w->counters, COUNTER_AUTH_FAILURES), 4);
    assert_non_null(strstr(w->log, "auth.failed"));
}

static void test_7616_3_4_a_repeated_count_is_refused(void **state)
{
    struct world *w = *state;
    struct client c = challenged(w);

    assert_int_equal(call_with(w, &c), 299);
    assert_asked_again(w, &c, true);
    c.nc = 2;
    assert_int_equal(call_with(w, &c), 299);
    c = challenged(w);
    c.nc = 0;
    assert_int_equal(call_with(w, &c), 299);
    assert_asked_again(w, &c, true);
}

static void test_7616_3_3_a_nonce_has_its_time(void **state)
{
    struct world *w = *state;
    struct client c = challenged(w);

    pass_time(w, 299);
    assert_int_equal(call_with(w, &c), 299);
    pass_time(w, 2);
    c.nc = 2;
    assert_asked_again(w, &c, true);
}

static void test_after_the_clock_was_set_back_a_client_gets_in(void **state)
{
    struct world *w = *state;
    struct client c;

    /* Until every place in the table has been used. */
    for (unsigned i = 0; i < 1500; i++) {
        c = challenged(w);
        assert_int_equal(call_with(w, &c), 299);
        pass_time(w, 1);
    }
    w->now_ms += 1000;
    proxy_advance(w->proxy, w->now_ms, NOW - 3600);
    c = challenged(w);
    assert_int_equal(call_with(w, &c), 299);
}

static void test_an_algorithm_that_is_not_offered_is_not_taken(void **state)
{
    struct world *w = *state;
    struct client c;

    w->algorithms[0] = CRYPTO_SHA256;
    w->auth.n_algorithms = 1;
    c = challenged(w);
    c.alg = CRYPTO_MD5;
    assert_asked_again(w, &c, false);
    c.alg = CRYPTO_SHA256;
    c.nc = 0; /* 8760 2.6 item 8: who knows SHA-256 must send qop */
    assert_asked_again(w, &c, false);
    c.nc = 1;
    assert_int_equal(call_with(w, &c), 299);
}

static void test_a_password_for_another_realm_says_so_in_the_log(void **state)
{
    struct world *w = *state;
    struct client c = challenged(w);

    c.name = "carol";
    c.password = "x";
    assert_asked_again(w, &c, false);
    assert_non_null(strstr(w->log, "another realm"));
}

static void test_from_must_be_the_user_s_own(void **state)
{
    struct world *w = *state;
    struct client c = challenged(w);

    assert_int_equal(
        answer_to(w, &(struct send){.from = "<sip:bob@example.com>",
                                    .headers = credentials(&c, "Proxy-Authorization", "INVITE")}),
        403);
    c.nc = 2;
    assert_int_equal(
        answer_to(w, &(struct send){.from = "\"A\" <sip:%61lice@EXAMPLE.com:5060;x=y>",
                                    .headers = credentials(&c, "Proxy-Authorization", "INVITE")}),
        299);
}

static void test_who_comes_from_elsewhere_may_show_credentials(void **state)
{
    struct world *w = *state;
    struct client c = challenged(w);

    assert_int_equal(
        answer_to(w, &(struct send){.from = "<sip:anonymous@anonymous.invalid>",
                                    .headers = credentials(&c, "Proxy-Authorization", "INVITE")}),
        299);
    assert_string_equal(w->user, "alice");
    c.nc = 2;
    c.password = "wrong";
    assert_int_equal(
        answer_to(w, &(struct send){.from = "<sip:anonymous@anonymous.invalid>",
                                    .headers = credentials(&c, "Proxy-Authorization", "INVITE")}),
        407);
}

/* ---- Others' credentials, and broken ones ---- */

#define OTHER "Digest username=\"a\", realm=\"elsewhere\", nonce=\"n\", uri=\"sip:x\", response=\"00\""

static const struct {
    const char *name, *value;
} others[] = {
    {"22.3: of another realm", "Proxy-Authorization: " OTHER "\r\n"},
    {"22.3: of another realm, with a qop that is not ours",
     "Proxy-Authorization: " OTHER ", qop=auth-int, nc=00000001, cnonce=\"x\"\r\n"},
    {"22.3: of another realm, with an algorithm that is not ours",
     "Proxy-Authorization: " OTHER ", algorithm=AKAv1-MD5\r\n"},
    {"22.4: of another scheme", "Proxy-Authorization: Bearer abc\r\n"},
    {"22: Basic", "Proxy-Authorization: Basic YWxpY2U6d29uZGVybGFuZA==\r\n"},
};

static void test_22_3_credentials_for_others_are_nobodys_business_here(void **state)
{
    struct world *w = *state;
    char headers[2048];

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct client c = challenged(w);
        unsigned status = answer_to(w, &(struct send){.headers = others[i].value});

        if (status != 407)
            fail_msg("%s: %u", others[i].name, status);
        snprintf(headers, sizeof(headers), "%s%s", others[i].value,
                 credentials(&c, "Proxy-Authorization", "INVITE"));
        status = answer_to(w, &(struct send){.headers = headers});
        if (status != 299)
            fail_msg("%s, and ours: %u", others[i].name, status);
        assert_non_null(strstr(w->removed, "realm=\"Realm\""));
    }
}

static void test_22_4_broken_credentials_are_a_bad_request(void **state)
{
    struct world *w = *state;

    assert_int_equal(
        answer_to(w, &(struct send){.headers = "Proxy-Authorization: Digest username=\"alice\r\n"}), 400);
    assert_int_equal(answer_to(w, &(struct send){.method = "REGISTER",
                                                 .ruri = "sip:example.com",
                                                 .headers = "Authorization: Digest realm=\"Realm\"\r\n"}),
                     400);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_22_1_who_is_asked),
        TEST(test_22_1_ack_and_cancel_are_never_challenged),
        TEST(test_a_listener_overrides_its_domain),
        TEST(test_8760_2_3_a_challenge_for_each_algorithm_in_order),
        TEST(test_a_client_that_fails_at_others_is_offered_md5_alone),
        TEST(test_22_3_right_credentials_pass_by_every_algorithm),
        TEST(test_22_2_right_credentials_register),
        TEST(test_what_clients_make_of_it_is_understood),
        TEST(test_7616_3_3_stale_only_for_who_knows_the_password),
        TEST(test_7616_3_4_a_repeated_count_is_refused),
        TEST(test_7616_3_3_a_nonce_has_its_time),
        TEST(test_after_the_clock_was_set_back_a_client_gets_in),
        TEST(test_an_algorithm_that_is_not_offered_is_not_taken),
        TEST(test_a_password_for_another_realm_says_so_in_the_log),
        TEST(test_from_must_be_the_user_s_own),
        TEST(test_who_comes_from_elsewhere_may_show_credentials),
        TEST(test_22_3_credentials_for_others_are_nobodys_business_here),
        TEST(test_22_4_broken_credentials_are_a_bad_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
