/* Streams with TLS at both ends, on loopback; certificates are made here. */
#include "net/tcp.h"
#include "net/tls.h"
#include "support.h"
#include "tls_support.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define QUEUE_BYTES (4 << 20)
#define COUNT(a)    (sizeof(a) / sizeof((a)[0]))

static char folder[64];
static struct test_issuer issuer, stranger;
static struct net_loop *loop;

/* ---- files ---- */

static const char *in_folder(const char *name)
{
    static char paths[32][128];
    static unsigned next;
    char *path = paths[next++ % 32];

    snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

/* Names of the pairs that make_files writes. */
static struct net_tls_certificate pair(const char *name)
{
    static char texts[32][128];
    static unsigned next;
    char *cert = texts[next++ % 32], *key = texts[next++ % 32];

    snprintf(cert, sizeof(texts[0]), "%s/%s.pem", folder, name);
    snprintf(key, sizeof(texts[0]), "%s/%s.key", folder, name);
    return (struct net_tls_certificate){cert, key};
}

static int make_files(void **state)
{
    const struct {
        const char *name;
        struct test_cert says;
        bool by_stranger;
    } pairs[] = {
        {"a", {.cn = "a", .alternatives = "URI:sip:a.example,DNS:a.example"}, false},
        {"b", {.cn = "b", .alternatives = "DNS:b.example,DNS:*.web.example"}, false},
        {"old",
         {.cn = "o", .alternatives = "DNS:a.example", .not_before_days = -20, .not_after_days = -10},
         false},
        {"early", {.cn = "e", .alternatives = "DNS:a.example", .not_before_days = 10}, false},
        {"soon", {.cn = "s", .alternatives = "DNS:a.example", .not_after_days = 5}, false},
        {"strange", {.cn = "s", .alternatives = "DNS:a.example"}, true},
        {"client", {.cn = "c", .alternatives = "URI:sip:carrier.example,URI:sip:other.example"}, false},
        {"server-only", {.cn = "c", .alternatives = "DNS:a.example", .usages = "serverAuth"}, false},
        {"sip-domain", {.cn = "c", .alternatives = "DNS:a.example", .usages = "1.3.6.1.5.5.7.3.20"}, false},
        {"mail-only", {.cn = "c", .alternatives = "DNS:a.example", .usages = "emailProtection"}, false},
    };

    (void)state;
    signal(SIGPIPE, SIG_IGN);
    snprintf(folder, sizeof(folder), "/tmp/viaduct-tls-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    issuer = test_issuer_new("Issuer");
    stranger = test_issuer_new("Stranger");
    test_write_cert(in_folder("ca.pem"), issuer.cert);
    for (size_t i = 0; i < COUNT(pairs); i++)
        test_write_pair(folder, pairs[i].name, &pairs[i].says, pairs[i].by_stranger ? &stranger : &issuer);
    return 0;
}

static int remove_files(void **state)
{
    char command[128];

    (void)state;
    test_issuer_free(&issuer);
    test_issuer_free(&stranger);
    snprintf(command, sizeof(command), "rm -r %s", folder);
    return system(command);
}

/* ---- two ends ---- */

struct side {
    struct net_stream *stream;
    unsigned opened, ended, closed;
    int error;
    size_t got;
    uint64_t sum; /* of the octets, by their place */
    bool verified, resumed;
    char names[128], why[128], wanted[64], offered[128];
};

static void copy(char *to, size_t cap, struct slice from)
{
    snprintf(to, cap, "%.*s", SLICE_ARG(slice_is_null(from) ? SLICE("-") : from));
}

static void add_name(void *ctx, struct slice name)
{
    struct side *side = ctx;
    size_t len = strlen(side->names);

    snprintf(side->names + len, sizeof(side->names) - len, "%.*s ", SLICE_ARG(name));
}

static void note_refusal(struct side *side, const struct net_stream *stream)
{
    struct net_tls_refusal refusal;

    if (!net_stream_refusal(stream, &refusal))
        return;
    copy(side->why, sizeof(side->why), slice_from_cstr(refusal.why));
    copy(side->wanted, sizeof(side->wanted), refusal.wanted);
    copy(side->offered, sizeof(side->offered), refusal.offered);
}

static void on_open(void *ctx, struct net_stream *stream)
{
    struct side *side = ctx;

    side->opened++;
    side->verified = net_stream_is_verified(stream);
    side->resumed = net_stream_is_resumed(stream);
    net_stream_identities(stream, add_name, side);
    note_refusal(side, stream);
}

static void on_receive(void *ctx, struct net_stream *stream, struct slice data)
{
    struct side *side = ctx;

    (void)stream;
    for (size_t i = 0; i < data.len; i++)
        side->sum += (uint64_t)(unsigned char)data.ptr[i] * (++side->got);
}

static void on_ended(void *ctx, struct net_stream *stream)
{
    struct side *side = ctx;

    (void)stream;
    side->ended++;
}

static void on_closed(void *ctx, struct net_stream *stream, int error)
{
    struct side *side = ctx;

    side->closed++;
    side->error = error;
    note_refusal(side, stream);
    net_stream_free(stream);
    side->stream = NULL;
}

static const struct net_stream_ops ops = {on_open, on_receive, on_ended, on_closed};

struct tls_pair {
    struct net_tls *server, *client;
    enum net_tls_clients clients;
    enum net_tls_inside inside;
    struct net_tcp_listener *listener;
    struct side accepted, opened;
    int accept_result;
};

static bool on_accept(void *ctx, struct net_tcp_listener *listener, int fd, const struct addr *peer)
{
    struct tls_pair *p = ctx;

    (void)listener, (void)peer;
    p->accept_result = net_stream_accept_tls(loop, fd, p->server, p->clients, p->inside, QUEUE_BYTES, &ops,
                                             &p->accepted, &p->accepted.stream);
    return true;
}

static const struct net_tcp_listener_ops listener_ops = {on_accept};

static struct net_tls *make_tls(const struct net_tls_certificate *certificates, size_t count, bool only_1_3)
{
    struct net_tls_opts opts = {.certificates = certificates,
                                .n_certificates = count,
                                .ca_file = in_folder("ca.pem"),
                                .only_1_3 = only_1_3,
                                .handshakes = 3};
    struct net_tls_problem problem;
    struct net_tls *tls = NULL;
    int r = net_tls_new(&opts, &problem, &tls);

    if (r < 0)
        fail_msg("%s", problem.what);
    return tls;
}

static struct tls_pair *pair_new(struct net_tls *server, struct net_tls *client)
{
    struct tls_pair *p = test_calloc(1, sizeof(*p));
    struct addr any = at("127.0.0.1:0");

    p->server = server;
    p->client = client;
    p->accept_result = -99;
    assert_int_equal(net_tcp_listener_new(loop, &any, &listener_ops, p, &p->listener), 0);
    return p;
}

/* Connects and waits until both ends know how it went. */
static void meet(struct tls_pair *p, const char *name)
{
    struct addr none = {0};

    net_stream_free(p->accepted.stream);
    net_stream_free(p->opened.stream);
    p->accepted = p->opened = (struct side){0};
    assert_int_equal(net_stream_connect_tls(loop, &none, net_tcp_listener_addr(p->listener), p->client, name,
                                            QUEUE_BYTES, &ops, &p->opened, &p->opened.stream),
                     0);
    turn_until(loop, (p->opened.opened || p->opened.closed) && (p->accepted.opened || p->accepted.closed));
}

static void pair_free(struct tls_pair *p)
{
    net_stream_free(p->accepted.stream);
    net_stream_free(p->opened.stream);
    net_tcp_listener_free(p->listener);
    test_free(p);
}

static int begin(void **state)
{
    (void)state;
    loop = new_loop();
    return 0;
}

static int end(void **state)
{
    (void)state;
    net_loop_free(loop);
    assert_int_equal(mem_held_bytes(), 0);
    return 0;
}

static void send_octets(struct side *side, size_t count, unsigned seed)
{
    char *octets = test_calloc(1, count);
    struct wire *wire;

    for (size_t i = 0; i < count; i++)
        octets[i] = (char)(i * 31 + seed);
    wire = wire_from(slice_make(octets, count));
    assert_int_equal(net_stream_send(side->stream, wire), 0);
    wire_unref(wire);
    test_free(octets);
}

static uint64_t sum_of(size_t count, unsigned seed)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < count; i++)
        sum += (uint64_t)(unsigned char)(i * 31 + seed) * (i + 1);
    return sum;
}

/* ---- tests ---- */

static void octets_go_both_ways_after_the_server_has_proved_its_name(void **state)
{
    (void)state;
    for (int only_1_3 = 0; only_1_3 < 2; only_1_3++) {
        const struct net_tls_certificate a = pair("a");
        struct net_tls *server = make_tls(&a, 1, only_1_3), *client = make_tls(NULL, 0, false);
        struct tls_pair *p = pair_new(server, client);

        meet(p, "a.example");
        assert_int_equal(p->opened.opened, 1);
        assert_true(p->opened.verified);
        assert_string_equal(p->opened.names, "a.example ");
        assert_false(p->accepted.verified);
        assert_true(net_stream_is_open(p->accepted.stream));
        assert_int_equal(net_tls_handshakes(server), 0);
        send_octets(&p->opened, 1000, 1);
        send_octets(&p->accepted, 100000, 2);
        turn_until(loop, p->accepted.got == 1000 && p->opened.got == 100000);
        assert_true(p->accepted.sum == sum_of(1000, 1));
        assert_true(p->opened.sum == sum_of(100000, 2));
        assert_int_equal(net_stream_written_bytes(p->opened.stream), 1000);
        pair_free(p);
        net_tls_free(server);
        net_tls_free(client);
    }
}

static void many_small_messages_and_a_peer_that_does_not_read(void **state)
{
    const struct net_tls_certificate a = pair("a");
    struct net_tls *server = make_tls(&a, 1, false), *client = make_tls(NULL, 0, false);
    struct tls_pair *p = pair_new(server, client);
    const size_t n = 4000, size = 700;
    uint64_t sum = 0;
    size_t place = 0;

    (void)state;
    meet(p, "a.example");
    net_stream_pause(p->accepted.stream);
    turn_for_ms(loop, 20);
    for (size_t i = 0; i < n; i++) {
        send_octets(&p->opened, size, (unsigned)i);
        for (size_t k = 0; k < size; k++)
            sum += (uint64_t)(unsigned char)(k * 31 + i) * (++place);
        if (i % 100 == 0) /* some wait while more is queued behind them */
            net_loop_turn(loop, clock_monotonic_ms());
    }
    turn_for_ms(loop, 50);
    assert_int_equal(p->accepted.got, 0);
    net_stream_resume(p->accepted.stream);
    turn_until(loop, p->accepted.got == n * size);
    assert_true(p->accepted.sum == sum);
    assert_int_equal(net_stream_written_bytes(p->opened.stream), n * size);
    pair_free(p);
    net_tls_free(server);
    net_tls_free(client);
}

static void what_is_sent_before_the_handshake_waits_for_it(void **state)
{
    const struct net_tls_certificate a = pair("a");
    struct net_tls *server = make_tls(&a, 1, false), *client = make_tls(NULL, 0, false);
    struct tls_pair *p = pair_new(server, client);
    struct addr none = {0};

    (void)state;
    assert_int_equal(net_stream_connect_tls(loop, &none, net_tcp_listener_addr(p->listener), client,
                                            "a.example", QUEUE_BYTES, &ops, &p->opened, &p->opened.stream),
                     0);
    assert_false(net_stream_is_open(p->opened.stream));
    send_octets(&p->opened, 50, 7);
    turn_until(loop, p->accepted.got == 50);
    assert_true(p->accepted.sum == sum_of(50, 7));
    pair_free(p);
    net_tls_free(server);
    net_tls_free(client);
}

static void goodbye_ends_a_stream_after_what_was_queued(void **state)
{
    const struct net_tls_certificate a = pair("a");
    struct net_tls *server = make_tls(&a, 1, false), *client = make_tls(NULL, 0, false);
    struct tls_pair *p = pair_new(server, client);

    (void)state;
    meet(p, "a.example");
    send_octets(&p->opened, 300000, 3);
    net_stream_shutdown(p->opened.stream);
    turn_until(loop, p->accepted.ended == 1);
    assert_int_equal(p->accepted.got, 300000);
    assert_int_equal(p->accepted.closed, 0);
    send_octets(&p->accepted, 100, 4); /* nobody reads it any more: RFC 5923 section 8.3 */
    net_stream_shutdown(p->accepted.stream);
    turn_until(loop, p->accepted.closed && p->opened.closed);
    assert_int_equal(p->opened.got, 0);
    assert_int_equal(p->accepted.error, 0);
    assert_int_equal(p->opened.error, 0);
    pair_free(p);
    net_tls_free(server);
    net_tls_free(client);
}

static void a_server_that_is_not_who_was_wanted_is_refused_with_the_reason(void **state)
{
    static const struct {
        const char *pair, *wanted, *why, *offered;
    } cases[] = {
        {"a", "b.example", "the certificate is for another name", "a.example"},
        {"b", "x.web.example", "the certificate is for another name", "b.example *.web.example"},
        {"old", "a.example", "certificate has expired", "a.example"},
        {"early", "a.example", "certificate is not yet valid", "a.example"},
        {"strange", "a.example", "unable to get local issuer certificate", "a.example"},
        {"mail-only", "a.example", "unsuitable certificate purpose", "a.example"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct net_tls_certificate shown = pair(cases[i].pair);
        struct net_tls *server = make_tls(&shown, 1, false), *client = make_tls(NULL, 0, false);
        struct tls_pair *p = pair_new(server, client);

        meet(p, cases[i].wanted);
        assert_int_equal(p->opened.opened, 0);
        assert_int_equal(p->opened.closed, 1);
        assert_int_equal(p->opened.error, EPROTO);
        assert_string_equal(p->opened.why, cases[i].why);
        assert_string_equal(p->opened.wanted, cases[i].wanted);
        assert_string_equal(p->opened.offered, cases[i].offered);
        pair_free(p);
        net_tls_free(server);
        net_tls_free(client);
    }
}

/* RFC 5924 section 4. */
static void a_certificate_for_sip_domains_serves(void **state)
{
    const struct net_tls_certificate shown = pair("sip-domain");
    struct net_tls *server = make_tls(&shown, 1, false), *client = make_tls(NULL, 0, false);
    struct tls_pair *p = pair_new(server, client);

    (void)state;
    meet(p, "a.example");
    assert_true(p->opened.verified);
    pair_free(p);
    net_tls_free(server);
    net_tls_free(client);
}

static void the_certificate_of_the_name_asked_for_is_shown_rfc6066_3(void **state)
{
    const struct net_tls_certificate shown[] = {pair("a"), pair("b")};
    struct net_tls *server = make_tls(shown, 2, false), *client = make_tls(NULL, 0, false);
    struct tls_pair *p = pair_new(server, client);

    (void)state;
    meet(p, "b.example");
    assert_true(p->opened.verified);
    meet(p, "a.example");
    assert_true(p->opened.verified);
    meet(p, "c.example"); /* nobody's: the first */
    assert_string_equal(p->opened.offered, "a.example");
    assert_true(net_tls_has_name(server, SLICE("b.example")));
    assert_false(net_tls_has_name(server, SLICE("x.web.example")));
    pair_free(p);
    net_tls_free(server);
    net_tls_free(client);
}

static void clients_prove_themselves_as_the_server_demands(void **state)
{
    static const struct {
        const char *shown; /* by the client */
        enum net_tls_clients clients;
        bool comes_in, verified;
        const char *names, *why;
    } cases[] = {
        {"client", NET_TLS_CLIENTS_NONE, true, false, "", ""},
        {NULL, NET_TLS_CLIENTS_OPTIONAL, true, false, "", ""},
        {"client", NET_TLS_CLIENTS_OPTIONAL, true, true, "carrier.example other.example ", ""},
        {"strange", NET_TLS_CLIENTS_OPTIONAL, true, false, "", "unable to get local issuer certificate"},
        {"old", NET_TLS_CLIENTS_OPTIONAL, true, false, "", "certificate has expired"},
        {"client", NET_TLS_CLIENTS_REQUIRED, true, true, "carrier.example other.example ", ""},
        {NULL, NET_TLS_CLIENTS_REQUIRED, false, false, "", "peer did not return a certificate"},
        {"strange", NET_TLS_CLIENTS_REQUIRED, false, false, "", "unable to get local issuer certificate"},
        {"old", NET_TLS_CLIENTS_REQUIRED, false, false, "", "certificate has expired"},
        {"server-only", NET_TLS_CLIENTS_REQUIRED, false, false, "", "unsuitable certificate purpose"},
    };
    const struct net_tls_certificate a = pair("a");

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct net_tls_certificate shown = pair(cases[i].shown ? cases[i].shown : "");
        struct net_tls *server = make_tls(&a, 1, false),
                       *client = make_tls(&shown, cases[i].shown ? 1 : 0, false);
        struct tls_pair *p = pair_new(server, client);

        p->clients = cases[i].clients;
        for (int again = 0; again < 2; again++) {
            meet(p, "a.example");
            assert_int_equal(p->accepted.opened, cases[i].comes_in);
            assert_int_equal(p->accepted.verified, cases[i].verified);
            assert_string_equal(p->accepted.names, cases[i].names);
            if (!p->accepted.resumed)
                assert_string_equal(p->accepted.why, cases[i].why);
            if (cases[i].comes_in) { /* for the ticket to come back with the next */
                send_octets(&p->accepted, 1, 0);
                turn_until(loop, p->opened.got == 1);
                assert_int_equal(p->accepted.resumed, again);
            }
        }
        pair_free(p);
        net_tls_free(server);
        net_tls_free(client);
    }
}

static void exchange(struct tls_pair *p, const char *name)
{
    meet(p, name);
    assert_true(p->opened.verified);
    send_octets(&p->accepted, 1, 0);
    turn_until(loop, p->opened.got == 1);
}

static void a_session_is_resumed_for_the_same_name_alone(void **state)
{
    const struct net_tls_certificate shown[] = {pair("a"), pair("b")};
    struct net_tls *server = make_tls(shown, 2, false), *client = make_tls(NULL, 0, false);
    struct tls_pair *p = pair_new(server, client);

    (void)state;
    exchange(p, "a.example");
    assert_false(p->opened.resumed);
    exchange(p, "a.example");
    assert_true(p->opened.resumed);
    assert_string_equal(p->opened.names, "a.example ");
    exchange(p, "b.example");
    assert_false(p->opened.resumed);
    exchange(p, "a.example");
    assert_true(p->opened.resumed);
    pair_free(p);
    net_tls_free(server);
    net_tls_free(client);
}

/* Else who proved nothing where nothing was asked would come in where it is. */
static void a_session_is_not_resumed_where_more_is_asked(void **state)
{
    const struct net_tls_certificate a = pair("a"), shown = pair("client");
    struct net_tls *server = make_tls(&a, 1, false), *client = make_tls(&shown, 1, false);
    struct tls_pair *p = pair_new(server, client);

    (void)state;
    exchange(p, "a.example");
    p->clients = NET_TLS_CLIENTS_REQUIRED;
    meet(p, "a.example");
    assert_false(p->accepted.resumed);
    assert_true(!p->accepted.opened || p->accepted.verified);
    pair_free(p);
    net_tls_free(server);
    net_tls_free(client);
}

static void write_text(const char *path, const char *text)
{
    FILE *out = fopen(path, "w");

    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

static void a_reload_is_for_new_connections_and_a_bad_file_changes_nothing(void **state)
{
    const struct net_tls_certificate files = pair("reload");
    struct net_tls *server, *client = make_tls(NULL, 0, false);
    struct net_tls_problem problem;
    struct tls_pair *p;
    struct side before;

    (void)state;
    test_write_pair(folder, "reload", &(struct test_cert){.cn = "r", .alternatives = "DNS:a.example"},
                    &issuer);
    server = make_tls(&files, 1, false);
    p = pair_new(server, client);
    exchange(p, "a.example");
    before = p->opened;

    test_write_pair(folder, "reload", &(struct test_cert){.cn = "r", .alternatives = "DNS:b.example"},
                    &issuer);
    assert_int_equal(net_tls_reload(server, &problem), 0);
    send_octets(&p->accepted, 1, 0);
    turn_until(loop, p->opened.got == before.got + 1); /* the old one goes on */
    meet(p, "a.example");
    assert_false(p->opened.opened);
    assert_string_equal(p->opened.offered, "b.example");
    exchange(p, "b.example");

    write_text(files.cert, "nothing\n");
    assert_int_equal(net_tls_reload(server, &problem), ERR_CORRUPT);
    assert_int_equal(problem.file, NET_TLS_CERT);
    exchange(p, "b.example");
    test_write_pair(
        folder, "reload",
        &(struct test_cert){
            .cn = "r", .alternatives = "DNS:b.example", .not_before_days = -9, .not_after_days = -2},
        &issuer);
    assert_int_equal(net_tls_reload(server, &problem), ERR_STALE);
    assert_string_equal(problem.what, "has expired");
    exchange(p, "b.example");
    pair_free(p);
    net_tls_free(server);
    net_tls_free(client);
}

static void handshakes_are_counted_and_limited(void **state)
{
    const struct net_tls_certificate a = pair("a");
    struct net_tls *server = make_tls(&a, 1, false), *client = make_tls(NULL, 0, false);
    struct tls_pair *p = pair_new(server, client);
    struct net_stream *waiting[3], *one_more = NULL;
    struct side nobody = {0};
    int ends[4][2];

    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends[i]), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(net_stream_accept_tls(loop, ends[i][0], server, NET_TLS_CLIENTS_NONE, NET_TLS_SIP,
                                               QUEUE_BYTES, &ops, &nobody, &waiting[i]),
                         0);
    assert_int_equal(net_tls_handshakes(server), 3);
    assert_int_equal(net_stream_accept_tls(loop, ends[3][0], server, NET_TLS_CLIENTS_NONE, NET_TLS_SIP,
                                           QUEUE_BYTES, &ops, &nobody, &one_more),
                     ERR_LIMIT);
    assert_int_equal(fcntl(ends[3][0], F_GETFD), -1); /* closed */
    for (int i = 0; i < 3; i++)
        net_stream_free(waiting[i]);
    assert_int_equal(net_tls_handshakes(server), 0);
    exchange(p, "a.example");
    for (int i = 0; i < 4; i++)
        close(ends[i][1]);
    pair_free(p);
    net_tls_free(server);
    net_tls_free(client);
}

static void garbage_instead_of_a_handshake_ends_the_stream(void **state)
{
    const struct net_tls_certificate a = pair("a");
    struct net_tls *server = make_tls(&a, 1, false);
    struct side side = {0};
    int ends[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    assert_int_equal(net_stream_accept_tls(loop, ends[0], server, NET_TLS_CLIENTS_NONE, NET_TLS_SIP,
                                           QUEUE_BYTES, &ops, &side, &side.stream),
                     0);
    assert_int_equal(write(ends[1], "OPTIONS sip:a.example SIP/2.0\r\n\r\n", 33), 33);
    turn_until(loop, side.closed == 1);
    assert_int_equal(side.opened, 0);
    assert_int_equal(side.error, EPROTO);
    assert_int_equal(net_tls_handshakes(server), 0);
    close(ends[1]);
    net_tls_free(server);
}

static void what_is_wrong_with_a_file_is_told_with_a_remedy(void **state)
{
    struct net_tls_certificate missing = {in_folder("no.pem"), in_folder("no.key")};
    struct net_tls_certificate mixed = {in_folder("a.pem"), in_folder("b.key")};
    struct net_tls_certificate nonsense = {in_folder("nonsense"), in_folder("a.key")};
    struct net_tls_certificate no_key = {in_folder("a.pem"), in_folder("nonsense")};
    struct net_tls_certificate locked = {in_folder("a.pem"), in_folder("locked.key")};
    struct net_tls_certificate directory = {folder, in_folder("a.key")};
    const struct {
        struct net_tls_certificate files;
        int r;
        enum net_tls_file file;
        const char *what;
    } cases[] = {
        {missing, ERR_IO, NET_TLS_CERT, "cannot be read: No such file or directory"},
        {directory, ERR_IO, NET_TLS_CERT, "is not a regular file"},
        {mixed, ERR_CORRUPT, NET_TLS_KEY, "is not the key of the certificate: key values mismatch"},
        {nonsense, ERR_CORRUPT, NET_TLS_CERT, "is no certificate that can be used: no start line"},
        {no_key, ERR_CORRUPT, NET_TLS_KEY, "is no key that can be used: "},
        {locked, ERR_CORRUPT, NET_TLS_KEY, "is no key that can be used: "},
        {pair("old"), ERR_STALE, NET_TLS_CERT, "has expired"},
        {pair("early"), ERR_STALE, NET_TLS_CERT, "is not valid yet"},
    };
    struct net_tls_problem problem;

    (void)state;
    write_text(nonsense.cert, "nonsense\n");
    test_write_key(locked.key, issuer.key, "secret");
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(net_tls_check_certificate(&cases[i].files, &problem), cases[i].r);
        assert_int_equal(problem.file, cases[i].file);
        if (strncmp(problem.what, cases[i].what, strlen(cases[i].what)) != 0)
            fail_msg("\"%s\" is not \"%s\"", problem.what, cases[i].what);
        assert_true(strlen(problem.remedy) > 0);
    }
    assert_int_equal(net_tls_check_certificate(
                         &(struct net_tls_certificate){in_folder("a.pem"), in_folder("a.key")}, &problem),
                     0);
    assert_int_equal(net_tls_check_ca(in_folder("ca.pem"), &problem), 0);
    assert_int_equal(net_tls_check_ca("", &problem), 0);
    assert_int_equal(net_tls_check_ca(in_folder("nonsense"), &problem), ERR_CORRUPT);
    assert_int_equal(problem.file, NET_TLS_CA);
    assert_int_equal(net_tls_check_ca(in_folder("none"), &problem), ERR_IO);
}

static void the_days_left_are_those_of_the_first_to_expire(void **state)
{
    const struct net_tls_certificate shown[] = {pair("a"), pair("soon")}, old = pair("old");
    struct net_tls *tls = make_tls(shown, 2, false);

    (void)state;
    assert_int_equal(net_tls_days_left(tls), 5);
    net_tls_free(tls);
    tls = make_tls(&old, 1, false); /* it starts all the same */
    assert_true(net_tls_days_left(tls) < 0);
    net_tls_free(tls);
    tls = make_tls(NULL, 0, false);
    assert_int_equal(net_tls_days_left(tls), INT_MAX);
    net_tls_free(tls);
}

static void no_memory_is_no_connection_and_no_leak(void **state)
{
    const struct net_tls_certificate a = pair("a");
    struct net_tls_opts opts = {
        .certificates = &a, .n_certificates = 1, .ca_file = in_folder("ca.pem"), .handshakes = 9};
    struct net_tls_problem problem;
    struct net_tls *tls = NULL;
    struct side side = {0};
    int r = ERR_NOMEM;

    (void)state;
    for (int64_t i = 0; r == ERR_NOMEM; i++) {
        int64_t held = mem_held_bytes();

        mem_fail_after(i);
        r = net_tls_new(&opts, &problem, &tls);
        mem_fail_after(-1);
        if (r < 0)
            assert_int_equal(mem_held_bytes(), held);
    }
    assert_int_equal(r, 0);
    r = ERR_NOMEM;
    for (int64_t i = 0; r == ERR_NOMEM; i++) {
        int64_t held = mem_held_bytes();
        int ends[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
        mem_fail_after(i);
        r = net_stream_accept_tls(loop, ends[0], tls, NET_TLS_CLIENTS_OPTIONAL, NET_TLS_SIP, QUEUE_BYTES,
                                  &ops, &side, &side.stream);
        mem_fail_after(-1);
        close(ends[1]);
        if (r < 0) {
            assert_int_equal(mem_held_bytes(), held);
            assert_int_equal(net_tls_handshakes(tls), 0);
        }
    }
    net_stream_free(side.stream);
    mem_fail_after(0);
    assert_int_equal(net_tls_reload(tls, &problem), ERR_NOMEM);
    mem_fail_after(-1);
    net_tls_free(tls);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(octets_go_both_ways_after_the_server_has_proved_its_name),
        TEST(many_small_messages_and_a_peer_that_does_not_read),
        TEST(what_is_sent_before_the_handshake_waits_for_it),
        TEST(goodbye_ends_a_stream_after_what_was_queued),
        TEST(a_server_that_is_not_who_was_wanted_is_refused_with_the_reason),
        TEST(a_certificate_for_sip_domains_serves),
        TEST(the_certificate_of_the_name_asked_for_is_shown_rfc6066_3),
        TEST(clients_prove_themselves_as_the_server_demands),
        TEST(a_session_is_resumed_for_the_same_name_alone),
        TEST(a_session_is_not_resumed_where_more_is_asked),
        TEST(a_reload_is_for_new_connections_and_a_bad_file_changes_nothing),
        TEST(handshakes_are_counted_and_limited),
        TEST(garbage_instead_of_a_handshake_ends_the_stream),
        TEST(what_is_wrong_with_a_file_is_told_with_a_remedy),
        TEST(the_days_left_are_those_of_the_first_to_expire),
        TEST(no_memory_is_no_connection_and_no_leak),
    };

    return cmocka_run_group_tests(tests, make_files, remove_files);
}
