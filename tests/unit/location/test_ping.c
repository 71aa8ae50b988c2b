/* Pings to clients behind a NAT: who gets them, how evenly, and what becomes of who does not answer. RFC 5626
 * section 4.4, RFC 3261 section 11. The clock is virtual. */
#include "../proxy/world.h"

#include "crypto/crypto.h"
#include "location/ping.h"
#include "proxy/originate.h"

#define INTERVAL_MS 10000
#define NAT         "192.0.2.99:40000"

static struct location_ping rules[WORLD_LISTENERS];

struct pinged {
    struct world w;
    struct location_storage *storage;
    struct location_pinger *pinger;
    int64_t held_before;
};

/* The worker stands in the number of a flow. */
static unsigned flow_worker(uint64_t flow)
{
    return (unsigned)flow / 100;
}

static void begin_with(struct pinged *p, struct location_ping udp, struct location_ping tcp)
{
    const struct location_storage_opts storage = {.limits = location_limits_default, .tick_ms = 60000};
    const struct location_pinger_opts *opts;
    struct location_why why;

    assert_int_equal(crypto_init(), 0);
    memset(rules, 0, sizeof(rules));
    rules[UDP4] = udp;
    rules[TCP4] = tcp;
    p->held_before = mem_held_bytes();
    world_init(&p->w);
    p->w.opts.worker = 0;
    p->w.opts.max_transactions = 100000;
    p->w.opts.arena_budget_bytes = 64 * 1024 * 1024;
    assert_int_equal(location_storage_new(&storage, &why, &p->storage), 0);
    world_start(&p->w);
    opts = &(const struct location_pinger_opts){.storage = p->storage,
                                                .listeners = rules,
                                                .n_listeners = WORLD_LISTENERS,
                                                .flow_worker = flow_worker};
    assert_int_equal(location_pinger_new(opts, p->w.proxy, &p->pinger), 0);
}

static void begin(struct pinged *p, enum location_ping_kind kind)
{
    const struct location_ping rule = {kind, INTERVAL_MS, 3};

    begin_with(p, rule, rule);
}

static void end(struct pinged *p)
{
    proxy_free(p->w.proxy);
    location_pinger_free(p->pinger);
    location_storage_free(p->storage);
    free(p->w.sent);
    assert_int_equal(mem_held_bytes(), p->held_before);
}

struct client {
    const char *user;
    unsigned listener;
    uint64_t flow;
    uint16_t port; /* 0: that of NAT */
    uint32_t cseq, reg_id;
    bool not_by_flow, leaves;
};

static void enter(struct pinged *p, const struct client *client)
{
    const struct location_contact contact = {.uri = SLICE("sip:phone@10.0.0.9:5062"),
                                             .params = SLICE(""),
                                             .q_milli = 1000,
                                             .requested_s = client->leaves ? 0 : 7200,
                                             .has_requested = true,
                                             .reg_id = client->reg_id,
                                             .by_flow = !client->not_by_flow};
    struct location_register reg = {.call_id = SLICE("c"),
                                    .cseq = client->cseq ? client->cseq : 1,
                                    .hop = hop_from(client->listener, NAT, client->flow),
                                    .contacts = &contact,
                                    .n_contacts = 1};
    struct location_job *job;
    char aor[64];

    if (client->port != 0)
        reg.hop.addr.port = client->port;
    snprintf(aor, sizeof(aor), "sip:%s@example.com", client->user);
    reg.aor = slice_from_cstr(aor);
    assert_int_equal(location_job_new(&reg, clock_unix_s(), &job), 0);
    assert_int_equal(location_storage_submit(p->storage, job), LOCATION_DONE);
    assert_int_equal(job->status, 200);
    location_job_free(job);
}

static void enter_many(struct pinged *p, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char user[16];

        snprintf(user, sizeof(user), "u%u", i);
        enter(p, &(struct client){.user = user, .port = (uint16_t)(1000 + i)});
    }
}

static size_t bindings(const struct pinged *p)
{
    return location_store_count_bindings(location_storage_store(p->storage));
}

/* Step by step through one interval, or until something is sent. */
static const struct sent *next_sent(struct pinged *p)
{
    for (ms_t ms = 0; p->w.n_taken == p->w.n_sent && ms <= INTERVAL_MS; ms++)
        world_advance(&p->w, 1);
    return take(&p->w);
}

static void a_double_crlf_goes_once_an_interval_by_the_flow(void **state)
{
    struct pinged p;
    const struct sent *sent;

    (void)state;
    begin(&p, LOCATION_PING_CRLF);
    enter(&p, &(struct client){.user = "udp", .listener = UDP4});
    sent = next_sent(&p);
    assert_string_equal(sent->text, "\r\n\r\n");
    assert_goes_to(sent, NAT);
    assert_int_equal(sent->hop.listener, UDP4);
    world_advance(&p.w, INTERVAL_MS);
    assert_int_equal(p.w.n_sent, 2);
    /* Nobody answers a CRLF, and nobody needs to. */
    world_advance(&p.w, 20 * INTERVAL_MS);
    assert_int_equal(p.w.n_sent, 22);
    assert_int_equal(bindings(&p), 1);
    end(&p);
}

static void an_options_goes_by_the_flow_and_no_other_way(void **state)
{
    struct pinged p;
    const struct sent *sent;

    (void)state;
    begin(&p, LOCATION_PING_OPTIONS);
    enter(&p, &(struct client){.user = "tcp", .listener = TCP4, .flow = 7});
    sent = next_sent(&p);
    assert_memory_equal(sent->text, "OPTIONS sip:phone@10.0.0.9:5062 SIP/2.0\r\n", 41);
    assert_string_equal(header(sent, "To", 0), "<sip:tcp@example.com>");
    assert_goes_to(sent, NAT);
    assert_int_equal(sent->hop.flow, 7);
    assert_true(sent->hop.flow_only);
    end(&p);
}

static void others_are_left_alone(void **state)
{
    struct pinged p;

    (void)state;
    begin(&p, LOCATION_PING_CRLF);
    enter(&p, &(struct client){.user = "flow", .reg_id = 1}); /* RFC 5626 section 4.4: he does it himself */
    enter(&p, &(struct client){.user = "reachable", .not_by_flow = true});
    enter(&p, &(struct client){.user = "unwanted", .listener = UDP4_OTHER});
    enter(&p, &(struct client){.user = "elsewhere", .listener = TCP4, .flow = 107}); /* of worker 1 */
    world_advance(&p.w, 2 * INTERVAL_MS);
    assert_int_equal(p.w.n_sent, 0);
    enter(&p, &(struct client){.user = "here", .listener = TCP4, .flow = 7});
    world_advance(&p.w, INTERVAL_MS);
    assert_int_equal(p.w.n_sent, 1);
    end(&p);
}

static void two_workers_share_the_datagrams(void **state)
{
    struct pinged p;
    size_t of_worker_0;

    (void)state;
    begin(&p, LOCATION_PING_CRLF);
    p.w.opts.n_workers = 2;
    enter_many(&p, 1000);
    world_advance(&p.w, INTERVAL_MS - 1);
    of_worker_0 = p.w.n_sent;
    assert_in_range(of_worker_0, 400, 600);
    p.w.n_sent = 0;
    p.w.opts.worker = 1;
    world_advance(&p.w, INTERVAL_MS);
    assert_int_equal(of_worker_0 + p.w.n_sent, 1000);
    end(&p);
}

/* No burst: at no time more than what a slot's part is, and each client once. */
static void pings_are_spread_evenly(void **state)
{
    enum { CLIENTS = 20000, TENTHS = 10 };
    static bool seen[CLIENTS];
    struct pinged p;
    unsigned total = 0;

    (void)state;
    memset(seen, 0, sizeof(seen));
    begin(&p, LOCATION_PING_CRLF);
    enter_many(&p, CLIENTS);
    for (unsigned tenth = 0; tenth < TENTHS; tenth++) {
        unsigned part = 0;

        for (unsigned i = 0; i < INTERVAL_MS / TENTHS; i++) {
            p.w.n_sent = 0;
            world_advance(&p.w, tenth == 0 && i == 0 ? 0 : 1);
            /* A shard has some 78, a step a quarter of that. */
            assert_in_range(p.w.n_sent, 0, 35);
            for (size_t n = 0; n < p.w.n_sent; n++) {
                unsigned client = p.w.sent[n].hop.addr.port - 1000u;

                assert_true(client < CLIENTS && !seen[client]);
                seen[client] = true;
            }
            part += (unsigned)p.w.n_sent;
        }
        assert_in_range(part, CLIENTS / TENTHS * 85 / 100, CLIENTS / TENTHS * 115 / 100);
        total += part;
    }
    assert_in_range(total, CLIENTS - 40, CLIENTS);
    end(&p);
}

static void who_answers_stays_whatever_he_answers(void **state)
{
    struct pinged p;

    (void)state;
    begin(&p, LOCATION_PING_OPTIONS);
    enter(&p, &(struct client){.user = "bob"});
    for (unsigned i = 0; i < 10; i++)
        respond(&p.w, next_sent(&p), i % 2 ? 200 : 503, "bob");
    assert_int_equal(bindings(&p), 1);
    assert_int_equal(counter_get(&p.w.counters, COUNTER_PINGS), 10);
    assert_int_equal(counter_get(&p.w.counters, COUNTER_PINGS_FAILED), 0);
    end(&p);
}

/* Takes what is sent in that time and answers none of it. Where in an interval a client's turn is depends on
 * a random key: tests count from his first ping on. */
static void be_silent(struct pinged *p, ms_t ms)
{
    world_advance(&p->w, ms);
    p->w.n_taken = p->w.n_sent;
}

static void who_is_silent_so_many_times_in_a_row_is_gone(void **state)
{
    struct pinged p;

    (void)state;
    begin(&p, LOCATION_PING_OPTIONS);
    enter(&p, &(struct client){.user = "bob"});
    (void)next_sent(&p); /* whenever in the interval his turn is */
    be_silent(&p, INTERVAL_MS + INTERVAL_MS / 2 + 10);
    assert_int_equal(counter_get(&p.w.counters, COUNTER_PINGS_FAILED), 2);
    respond(&p.w, next_sent(&p), 200, "bob"); /* counted from the beginning again */
    be_silent(&p, 2 * INTERVAL_MS + INTERVAL_MS / 2 + 10);
    assert_int_equal(bindings(&p), 1);
    be_silent(&p, INTERVAL_MS);
    assert_int_equal(bindings(&p), 0);
    assert_int_equal(counter_get(&p.w.counters, COUNTER_BINDINGS_LOST), 1);
    p.w.n_sent = 0;
    world_advance(&p.w, 2 * INTERVAL_MS);
    assert_int_equal(p.w.n_sent, 0);
    end(&p);
}

static void only_the_silent_one_of_a_user_goes(void **state)
{
    struct pinged p;

    (void)state;
    begin_with(&p, (struct location_ping){LOCATION_PING_OPTIONS, INTERVAL_MS, 1}, (struct location_ping){0});
    enter(&p, &(struct client){.user = "bob", .reg_id = 5}); /* pinged by nobody */
    enter(&p, &(struct client){.user = "bob", .cseq = 2});
    assert_int_equal(bindings(&p), 2);
    be_silent(&p, INTERVAL_MS + INTERVAL_MS / 2);
    assert_int_equal(bindings(&p), 1);
    end(&p);
}

static void who_registers_again_begins_anew(void **state)
{
    struct pinged p;

    (void)state;
    begin(&p, LOCATION_PING_OPTIONS);
    enter(&p, &(struct client){.user = "bob"});
    (void)next_sent(&p);
    be_silent(&p, 2 * INTERVAL_MS + 1000); /* the third ping is under way */
    assert_int_equal(counter_get(&p.w.counters, COUNTER_PINGS), 3);
    enter(&p, &(struct client){.user = "bob", .cseq = 2});
    be_silent(&p, INTERVAL_MS / 2);
    assert_int_equal(counter_get(&p.w.counters, COUNTER_PINGS_FAILED), 3);
    assert_int_equal(bindings(&p), 1);
    be_silent(&p, 2 * INTERVAL_MS);
    assert_int_equal(bindings(&p), 1);
    be_silent(&p, INTERVAL_MS);
    assert_int_equal(bindings(&p), 0);
    end(&p);
}

/* What is known of who is no more does not stay: somebody who comes back as he was begins anew. */
static void what_was_missed_is_forgotten_with_the_binding(void **state)
{
    struct pinged p;

    (void)state;
    begin(&p, LOCATION_PING_OPTIONS);
    enter(&p, &(struct client){.user = "bob"});
    (void)next_sent(&p);
    be_silent(&p, INTERVAL_MS + INTERVAL_MS / 2);
    assert_int_equal(counter_get(&p.w.counters, COUNTER_PINGS_FAILED), 2);
    enter(&p, &(struct client){.user = "bob", .cseq = 2, .leaves = true});
    be_silent(&p, 5 * INTERVAL_MS);
    assert_int_equal(bindings(&p), 0);
    enter(&p, &(struct client){.user = "bob"});
    (void)next_sent(&p);
    be_silent(&p, INTERVAL_MS + INTERVAL_MS / 2);
    assert_int_equal(counter_get(&p.w.counters, COUNTER_PINGS_FAILED), 4);
    assert_int_equal(bindings(&p), 1);
    end(&p);
}

static void each_listener_has_its_own_interval(void **state)
{
    struct pinged p;
    unsigned streams = 0;

    (void)state;
    begin_with(&p, (struct location_ping){LOCATION_PING_CRLF, INTERVAL_MS, 1},
               (struct location_ping){LOCATION_PING_CRLF, INTERVAL_MS / 2, 1});
    enter(&p, &(struct client){.user = "udp", .listener = UDP4});
    enter(&p, &(struct client){.user = "tcp", .listener = TCP4, .flow = 7});
    world_advance(&p.w, INTERVAL_MS - 1);
    for (size_t i = 0; i < p.w.n_sent; i++)
        streams += p.w.sent[i].hop.listener == TCP4;
    assert_int_equal(streams, 2);
    assert_int_equal(p.w.n_sent, 3);
    end(&p);
}

/* Memory and transactions are bounded, and whoever finds no room keeps his NAT open all the same. */
static void above_the_limit_a_crlf_takes_the_place_of_an_options(void **state)
{
    enum { CLIENTS = 12000 };
    struct pinged p;
    unsigned crlfs = 0;

    (void)state;
    begin(&p, LOCATION_PING_OPTIONS);
    enter_many(&p, CLIENTS);
    for (unsigned i = 0; i < INTERVAL_MS; i += 10) {
        p.w.n_sent = p.w.n_taken = 0;
        world_advance(&p.w, 10);
        assert_in_range(proxy_originations(p.w.proxy), 0, LOCATION_PINGS_MAX);
        for (size_t n = 0; n < p.w.n_sent; n++)
            crlfs += p.w.sent[n].text[0] == '\r';
    }
    assert_true(crlfs > 0);
    assert_int_equal(crlfs, counter_get(&p.w.counters, COUNTER_PINGS_SHED));
    assert_in_range(counter_get(&p.w.counters, COUNTER_PINGS), CLIENTS - 40, CLIENTS + 40);
    assert_int_equal(bindings(&p), CLIENTS);
    end(&p);
}

static void nothing_is_wanted_where_no_listener_wants_it(void **state)
{
    const struct location_ping none[2] = {{0}}, one[2] = {{0}, {LOCATION_PING_CRLF, 1000, 1}};

    (void)state;
    assert_false(location_ping_is_wanted(none, 2));
    assert_true(location_ping_is_wanted(one, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_double_crlf_goes_once_an_interval_by_the_flow),
        cmocka_unit_test(an_options_goes_by_the_flow_and_no_other_way),
        cmocka_unit_test(others_are_left_alone),
        cmocka_unit_test(two_workers_share_the_datagrams),
        cmocka_unit_test(pings_are_spread_evenly),
        cmocka_unit_test(who_answers_stays_whatever_he_answers),
        cmocka_unit_test(who_is_silent_so_many_times_in_a_row_is_gone),
        cmocka_unit_test(only_the_silent_one_of_a_user_goes),
        cmocka_unit_test(who_registers_again_begins_anew),
        cmocka_unit_test(what_was_missed_is_forgotten_with_the_binding),
        cmocka_unit_test(each_listener_has_its_own_interval),
        cmocka_unit_test(above_the_limit_a_crlf_takes_the_place_of_an_options),
        cmocka_unit_test(nothing_is_wanted_where_no_listener_wants_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
