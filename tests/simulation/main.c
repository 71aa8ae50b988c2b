/* simulation [--calls N] [--seed S] [-v]: random worlds, one after the other, until N calls were made. A
 * world that breaks a rule is named by its seed and can be run alone. */
#include "base/log.h"
#include "base/mem.h"
#include "crypto/crypto.h"
#include "sim.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define CALLS_OF_A_WORLD 100
#define SPREAD_MS        120000
#define RUN_OUT_MS       (20u * 60 * 1000)

uint32_t sim_random(struct sim *s, uint32_t below)
{
    uint64_t z = s->random_state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return below > 0 ? (uint32_t)((z ^ (z >> 31)) % below) : 0;
}

bool sim_chance(struct sim *s, unsigned per_thousand)
{
    return sim_random(s, 1000) < per_thousand;
}

void sim_fail(struct sim *s, const char *format, ...)
{
    va_list args;

    if (!slice_is_null(s->failure))
        return;
    va_start(args, format);
    s->failure = heap_vprintf(s->heap, format, args);
    va_end(args);
    s->failure = heap_printf(s->heap, "at %.3f s: %.*s", (double)(s->world.now_ms - WORLD_START_MS) / 1000,
                             SLICE_ARG(s->failure));
}

struct slice sim_path(struct sim *s, const struct plain *m, const char *path)
{
    struct slice text = SLICE("");

    plain_path(s->heap, m, slice_from_cstr(path), &text);
    return text;
}

static size_t bucket(struct slice key)
{
    size_t h = 5381;

    for (size_t i = 0; i < key.len; i++)
        h = h * 33 + (unsigned char)key.ptr[i];
    return (h ^ (h >> 10)) % 1024;
}

void *dict_get(const struct dict *d, struct slice key)
{
    for (struct dict_entry *e = d->buckets[bucket(key)]; e; e = e->next)
        if (slice_eq(e->key, key))
            return e->value;
    return NULL;
}

void dict_put(struct heap *heap, struct dict *d, struct slice key, void *value)
{
    struct dict_entry *e = heap_alloc(heap, sizeof(*e));

    *e = (struct dict_entry){.next = d->buckets[bucket(key)], .key = key, .value = value};
    d->buckets[bucket(key)] = e;
}

/* The people. */

static struct ua *add_ua(struct sim *s, enum ua_kind kind, const char *address, unsigned user)
{
    struct ua *ua = heap_alloc(s->heap, sizeof(*ua));
    struct buf b;

    *ua = (struct ua){
        .kind = kind, .user = user, .transport = sim_chance(s, 250) ? SIP_TRANSPORT_TCP : SIP_TRANSPORT_UDP};
    if (addr_parse(slice_from_cstr(address), &ua->addr) < 0)
        abort();
    ua->aor = heap_printf(s->heap, "sip:u%u@example.com", user);
    ua->contact = heap_printf(s->heap, "sip:u%u@%s%s", user, address,
                              ua->transport == SIP_TRANSPORT_TCP ? ";transport=tcp" : "");
    ua->q_milli = 250 * sim_random(s, 5);
    world_far(&s->world, &ua->addr, ua->transport)->listens = true;
    buf_init(&b, heap_alloc(s->heap, 64), 64);
    addr_format_ip(&ua->addr, false, &b);
    dict_put(s->heap, &s->uas_by_ip, buf_slice(&b), ua);
    s->uas[s->n_uas++] = ua;
    return ua;
}

struct ua *sim_ua_at(struct sim *s, const struct addr *addr)
{
    char room[64];
    struct buf b;

    buf_init(&b, room, sizeof(room));
    addr_format_ip(addr, false, &b);
    return dict_get(&s->uas_by_ip, buf_slice(&b));
}

/* Out of the proxy. */

static void on_sent(void *ctx, const struct world_sent *sent)
{
    struct sim *s = ctx;
    struct ua *ua = sim_ua_at(s, &sent->dest);
    bool is_stream = sent->hop.transport != SIP_TRANSPORT_UDP;
    struct world_conn *conn = is_stream ? world_conn_open_to(&s->world, &sent->dest) : NULL;
    struct plain m;

    if (!plain_parse(s->heap, sent->bytes, &m)) {
        sim_fail(s, "no SIP message left the proxy:\n%.*s", SLICE_ARG(sent->bytes));
        return;
    }
    if (s->verbose)
        printf("%10.3f  proxy > %-8.*s %.*s [%.*s]\n", (double)(s->world.now_ms - WORLD_START_MS) / 1000,
               ua ? (int)ua->contact.len : 6, ua ? ua->contact.ptr : "nobody", SLICE_ARG(m.start),
               SLICE_ARG(plain_value(s->heap, &m, "Via")));
    oracle_sent(s, &m, sent->hop.transport, ua);
    if (ua && (is_stream ? conn != NULL : ua->transport == SIP_TRANSPORT_UDP))
        net_to_ua(s, ua, sent->bytes, conn ? conn->flow : 0);
}

/* Into the proxy. */

static void deliver_to_proxy(struct sim *s, const struct event *e)
{
    struct world *w = &s->world;
    struct world_conn *conn = world_conn_by_flow(w, e->flow);
    struct plain m;

    if (conn && !conn->open)
        return; /* lost with its connection */
    if (!e->is_hostile && plain_parse(s->heap, e->bytes, &m)) {
        if (s->verbose)
            printf("%10.3f  %.*s > proxy %.*s [%.*s]\n", (double)(w->now_ms - WORLD_START_MS) / 1000,
                   SLICE_ARG(e->ua->contact), SLICE_ARG(m.start), SLICE_ARG(plain_value(s->heap, &m, "Via")));
        oracle_before(s, &m);
    }
    if (e->ua->transport == SIP_TRANSPORT_UDP)
        world_receive_datagram(w, 0, &e->ua->addr, e->bytes);
    else
        world_receive_stream(w, conn ? conn : world_connect(w, &e->ua->addr, 1, false), e->bytes);
}

static void deliver_to_ua(struct sim *s, const struct event *e)
{
    struct plain m;

    if (!plain_parse(s->heap, e->bytes, &m) || e->ua->is_dead)
        return;
    if (e->flow != 0 && !world_conn_by_flow(&s->world, e->flow)->open)
        return;
    if (m.is_request)
        phone_request(s, e->ua, &m, e->flow);
    else
        client_response(s, e->ua, &m);
}

static void begin_call(struct sim *s)
{
    char address[32];
    struct slice uri = heap_printf(s->heap, "sip:u%u@example.com", sim_random(s, SIM_USERS + 1));
    struct ua *ua;
    size_t n = s->n_uas;

    snprintf(address, sizeof(address), "10.2.%zu.%zu:5060", n / 250, n % 250 + 1);
    ua = add_ua(s, UA_CALLER, address, sim_random(s, SIM_USERS));
    client_request(s, ua, sim_chance(s, 800) ? SLICE("INVITE") : SLICE("MESSAGE"), uri, SLICE(""));
}

/* Some connection breaks; what is on its way is lost. */
static void break_connection(struct sim *s)
{
    if (s->world.n_conns > 0)
        s->world.conns[sim_random(s, (uint32_t)s->world.n_conns)].open = false;
}

/* A phone goes out of reach, and the network says so: at once, or a moment later. */
static void die(struct sim *s)
{
    struct ua *ua = s->uas[sim_random(s, (uint32_t)s->n_uas)];

    if (ua->kind != UA_PHONE)
        return;
    ua->is_dead = true;
    world_far(&s->world, &ua->addr, ua->transport)->fault =
        sim_chance(s, 500) ? WORLD_REFUSE : WORLD_UNREACHABLE;
    for (size_t i = 0; i < s->world.n_conns; i++)
        if (addr_eq_ip(&s->world.conns[i].remote, &ua->addr))
            s->world.conns[i].open = false;
}

static void crash(struct sim *s)
{
    world_stop(&s->world);
    oracle_forget(s);
    if (world_start(&s->world) < 0)
        sim_fail(s, "the proxy does not start again");
}

static void happen(struct sim *s, const struct event *e)
{
    switch (e->kind) {
    case EVENT_TO_PROXY:
        deliver_to_proxy(s, e);
        break;
    case EVENT_TO_UA:
        deliver_to_ua(s, e);
        break;
    case EVENT_CLIENT:
        client_timer(s, e->client);
        break;
    case EVENT_CLIENT_TIMEOUT:
        client_timeout(s, e->client);
        break;
    case EVENT_CANCEL:
        client_cancel(s, e->client);
        break;
    case EVENT_SERVER:
        phone_step(s, e->server);
        break;
    case EVENT_REPEAT:
        phone_repeat(s, e->server);
        break;
    case EVENT_CALL:
        begin_call(s);
        break;
    case EVENT_CRASH:
        crash(s);
        break;
    case EVENT_BREAK:
        break_connection(s);
        break;
    case EVENT_DIE:
        die(s);
        break;
    }
    oracle_after(s);
}

/* Timers of the proxy and events of the network, in their order. */
static void run_until(struct sim *s, ms_t end_ms)
{
    while (slice_is_null(s->failure)) {
        ms_t at = end_ms, next = proxy_next_ms(s->world.proxy);
        bool has = net_next(s, &at);

        if ((!has || at > end_ms) && next > end_ms)
            break;
        if (has && at <= end_ms && at <= next) {
            struct event e = net_take(s);

            if (e.at_ms > s->world.now_ms)
                world_advance(&s->world, e.at_ms);
            oracle_after(s);
            happen(s, &e);
        } else {
            world_advance(&s->world, next > s->world.now_ms ? next : s->world.now_ms + 1);
            oracle_after(s);
        }
    }
}

static void set_up(struct sim *s)
{
    static const char *const names[] = {"proxy", "proxy"};
    struct world *w = &s->world;
    bool auth = s->params.auth;

    for (size_t i = 0; i < 2; i++) {
        struct proxy_listener *l = &w->listeners[w->opts.n_listeners];

        w->listener_names[w->opts.n_listeners++] = slice_from_cstr(names[i]);
        *l = (struct proxy_listener){.transport = i == 0 ? SIP_TRANSPORT_UDP : SIP_TRANSPORT_TCP,
                                     .host = SLICE("10.0.0.1"),
                                     .port = 5060};
        if (addr_parse(SLICE("10.0.0.1:5060"), &l->addr) < 0)
            abort();
    }
    w->domains[w->opts.n_domains++] =
        (struct proxy_domain){.name = SLICE("example.com"),
                              .realm = SLICE("example.com"),
                              .auth_register = auth ? PROXY_AUTH_REQUIRED : PROXY_AUTH_NONE,
                              .auth_calls = auth ? PROXY_AUTH_REQUIRED : PROXY_AUTH_NONE};
    w->opts.recurse_3xx = sim_chance(s, 500);
    w->opts.ring_ms = 5000 + sim_random(s, 20000);
    w->sent = on_sent;
    w->ctx = s;
}

/* The phones of u1 as the gateways of a group, those too that are not there or speak TCP. */
static void add_gateways(struct sim *s, struct services_opts *opts)
{
    static const uint32_t failover_on[] = {408, 500, 503, 486};
    struct policy_group_opts *g = &opts->groups[opts->n_groups];

    *g = (struct policy_group_opts){
        .name = SLICE("gateways"),
        .algorithm = sim_chance(s, 500) ? POLICY_LEAST_CALLS
                                        : (enum policy_algorithm)sim_random(s, POLICY_LEAST_CALLS),
        .n_members = SIM_PHONES,
        .failover_on = failover_on,
        .n_failover_on = sim_random(s, 5),
        .max_attempts = sim_random(s, 4),
        .max_failures = sim_random(s, 4),
        .timeout_ms = sim_random(s, 10000),
        .progress_ms = sim_random(s, 60000),
        .max_call_ms = 60000 + sim_random(s, 600000)};
    for (unsigned i = 0; i < SIM_PHONES; i++)
        opts->members[opts->n_groups][i] =
            (struct policy_member_opts){.uri = heap_printf(s->heap, "sip:10.1.1.%u", i + 1),
                                        .weight = sim_random(s, 3),
                                        .priority = sim_random(s, 2),
                                        .drain = sim_chance(s, 100)};
    opts->group_users[opts->n_groups++] = SLICE("u1");
}

static bool start(struct sim *s)
{
    struct services_user users[SIM_USERS];
    struct services_opts opts;

    services_opts_default(&opts);
    for (unsigned i = 0; i < SIM_USERS; i++)
        users[i] = (struct services_user){.name = heap_printf(s->heap, "u%u", i),
                                          .domain = SLICE("example.com"),
                                          .password = SLICE("secret")};
    opts.users = users;
    opts.n_users = s->params.auth ? SIM_USERS : 0;
    opts.nonce_s = 3600;
    if (s->params.gateways)
        add_gateways(s, &opts);
    return services_new(&s->world, &opts, &s->world.services) == 0 && world_start(&s->world) == 0;
}

static void populate(struct sim *s)
{
    for (unsigned user = 0; user < SIM_USERS; user++) {
        unsigned phones = user == 0 ? 0 : 1 + sim_random(s, SIM_PHONES);

        for (unsigned i = 0; i < phones; i++) {
            char address[32];

            snprintf(address, sizeof(address), "10.1.%u.%u:5060", user, i + 1);
            client_request(s, add_ua(s, UA_PHONE, address, user), SLICE("REGISTER"), SLICE("sip:example.com"),
                           SLICE(""));
        }
    }
    for (unsigned i = 0; i < s->params.calls; i++)
        net_at(s, 5000 + sim_random(s, SPREAD_MS), (struct event){.kind = EVENT_CALL});
    for (unsigned i = 0; s->params.breaks && i < 20; i++)
        net_at(s, 5000 + sim_random(s, SPREAD_MS),
               (struct event){.kind = i % 5 == 0 ? EVENT_DIE : EVENT_BREAK});
    if (s->params.crash)
        net_at(s, 5000 + sim_random(s, SPREAD_MS), (struct event){.kind = EVENT_CRASH});
}

static void check_end(struct sim *s)
{
    oracle_end(s);
    if (!slice_is_null(s->world.trouble))
        sim_fail(s, "the contract of a port was broken: %.*s", SLICE_ARG(s->world.trouble));
    if (proxy_transactions(s->world.proxy) != 0 || proxy_used_bytes(s->world.proxy) != 0)
        sim_fail(s, "%zu transactions and %zu octets are left", proxy_transactions(s->world.proxy),
                 proxy_used_bytes(s->world.proxy));
    if (services_calls(s->world.services) != 0)
        sim_fail(s, "%u calls are counted at gateways, and none is left", services_calls(s->world.services));
}

static void choose_params(struct sim *s, unsigned calls)
{
    static const unsigned delays[] = {1, 20, 100, 400, 1500};

    s->params.loss = sim_chance(s, 300) ? 0 : sim_random(s, 150);
    s->params.duplication = sim_chance(s, 300) ? 0 : sim_random(s, 150);
    s->params.delay_ms = delays[sim_random(s, 5)];
    s->params.auth = sim_chance(s, 300);
    s->params.crash = sim_chance(s, 200);
    s->params.breaks = sim_chance(s, 300);
    s->params.gateways = sim_chance(s, 500);
    s->params.calls = calls;
}

struct totals {
    uint64_t calls, messages, worlds;
};

static bool run_world(uint64_t seed, unsigned calls, bool verbose, struct totals *totals)
{
    struct sim *s = calloc(1, sizeof(*s));
    int64_t held = mem_held_bytes();
    bool ok;

    if (!s)
        abort();
    s->seed = seed;
    s->random_state = seed * 0x2545f4914f6cdd1du;
    s->verbose = verbose;
    world_init(&s->world, seed);
    s->heap = &s->world.heap;
    choose_params(s, calls);
    set_up(s);
    oracle_new(s);
    if (start(s)) {
        populate(s);
        run_until(s, s->world.now_ms + SPREAD_MS + RUN_OUT_MS);
        if (slice_is_null(s->failure))
            check_end(s);
    } else {
        sim_fail(s, "the proxy does not start");
    }
    world_stop(&s->world);
    services_free(s->world.services);
    if (mem_held_bytes() != held)
        sim_fail(s, "%lld octets are held after everything was given back",
                 (long long)(mem_held_bytes() - held));
    totals->calls += calls;
    totals->messages += s->n_messages;
    totals->worlds++;
    ok = slice_is_null(s->failure);
    if (!ok)
        printf("FAILED seed %llu (loss %u/1000, duplication %u/1000, delay up to %llu ms%s%s%s)\n  %.*s\n"
               "  alone, with every message: simulation -v --seed %llu --calls %u\n",
               (unsigned long long)seed, s->params.loss, s->params.duplication,
               (unsigned long long)s->params.delay_ms, s->params.auth ? ", authentication" : "",
               s->params.crash ? ", a crash" : "", s->params.breaks ? ", connections break" : "",
               SLICE_ARG(s->failure), (unsigned long long)seed, calls);
    world_done(&s->world);
    free(s);
    return ok;
}

static void no_log(struct slice line, void *ctx)
{
    (void)line;
    (void)ctx;
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    unsigned long long calls = 10000, seed = 1;
    struct totals totals = {0};
    unsigned failed = 0, most = 5;
    bool verbose = false;
    double began, took;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-v") == 0)
            verbose = true;
        else if (strcmp(argv[i], "--calls") == 0 && i + 1 < argc)
            calls = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            seed = strtoull(argv[++i], NULL, 10);
        else {
            fputs("usage: simulation [--calls N] [--seed S] [-v]\n", stderr);
            return 64;
        }
    }
    if (crypto_init() < 0)
        return 70;
    if (!verbose)
        log_set_sink(no_log, NULL);
    began = seconds();
    while (totals.calls < calls && failed < most) {
        unsigned long long left = calls - totals.calls;

        failed +=
            !run_world(seed++, left < CALLS_OF_A_WORLD ? (unsigned)left : CALLS_OF_A_WORLD, verbose, &totals);
    }
    took = seconds() - began;
    printf("%llu calls in %llu worlds, %llu messages, %.1f s of CPU: %.0f calls/s; %u worlds failed\n",
           (unsigned long long)totals.calls, (unsigned long long)totals.worlds,
           (unsigned long long)totals.messages, took, (double)totals.calls / took, failed);
    return failed > 0;
}
