/* libunbound on our event loop, with a name server of the test's own on that same loop. */
#include "base/mem.h"
#include "dns/unbound.h"
#include "net/sockaddr.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define TURNS_MAX 2000

struct query {
    struct dns_query query;
    bool is_answered, has_packet;
    struct addr addr; /* the first A record */
};

static struct {
    struct net_loop *loop;
    struct net_watch server;
    struct addr server_addr;
    unsigned n_received;
    bool is_silent;
    unsigned rcode;
    struct dns_unbound *unbound;
    struct dns_source source;
    int64_t held_before;
} w;

/* Every name is at 192.0.2.<first octet of it>, for a minute. */
static void on_query(struct net_watch *watch, uint32_t events)
{
    static const unsigned char tail[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2};
    struct sockaddr_storage from;
    socklen_t from_len = sizeof(from);
    unsigned char octets[1024];
    ssize_t len = recvfrom(watch->fd, octets, 512, 0, (struct sockaddr *)&from, &from_len);
    size_t at = 12;

    (void)events;
    if (len < 17)
        return;
    w.n_received++;
    if (w.is_silent)
        return;
    while (at < (size_t)len && octets[at] != 0)
        at += octets[at] + 1u;
    at += 5;
    octets[2] = 0x84;
    octets[3] = (unsigned char)(0x80 | w.rcode);
    memset(octets + 6, 0, 6);
    if (w.rcode == 0 && octets[at - 3] == 1) {
        octets[7] = 1;
        memcpy(octets + at, tail, sizeof(tail));
        at += sizeof(tail);
        octets[at++] = octets[13];
    }
    (void)!sendto(watch->fd, octets, at, 0, (struct sockaddr *)&from, from_len);
}

static void on_answered(struct dns_query *query, struct slice packet)
{
    struct query *q = list_entry(query, struct query, query);
    struct dns_reader reader;
    struct dns_record r;

    assert_false(q->is_answered);
    q->is_answered = true;
    q->has_packet = !slice_is_null(packet);
    if (q->has_packet && dns_reader_init(&reader, packet, DNS_TYPE_A) == 0 &&
        dns_reader_next(&reader, &r) == 0)
        q->addr = r.addr;
}

static void open_unbound(size_t max_questions)
{
    const struct dns_unbound_opts opts = {.loop = w.loop,
                                          .servers = &w.server_addr,
                                          .n_servers = 1,
                                          .max_ttl_s = 3600,
                                          .cache_bytes = 1 << 20,
                                          .max_questions = max_questions};
    const char *why;

    assert_int_equal(dns_unbound_new(&opts, &why, &w.unbound), 0);
    w.source = dns_unbound_source(w.unbound);
}

static int setup(void **state)
{
    struct addr any = {.family = ADDR_IPV4, .ip = {127, 0, 0, 1}};

    (void)state;
    memset(&w, 0, sizeof(w));
    w.held_before = mem_held_bytes();
    assert_int_equal(net_loop_new(&w.loop), 0);
    w.server = (struct net_watch){.events = EPOLLIN, .fn = on_query};
    assert_int_equal(net_socket_bind(SOCK_DGRAM, &any, false, &w.server.fd), 0);
    assert_int_equal(net_socket_addr(w.server.fd, &w.server_addr), 0);
    assert_int_equal(net_watch_start(w.loop, &w.server), 0);
    open_unbound(100);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    dns_unbound_free(w.unbound);
    net_watch_stop(w.loop, &w.server);
    close(w.server.fd);
    net_loop_free(w.loop);
    return mem_held_bytes() == w.held_before ? 0 : -1;
}

static int ask(struct query *q, const char *text)
{
    struct dns_name name;

    *q = (struct query){.query = {.answered = on_answered}};
    assert_int_equal(dns_name_from_text(slice_from_cstr(text), &name), 0);
    return w.source.ask(w.source.ctx, &name, DNS_TYPE_A, &q->query);
}

static void wait_for(const struct query *q)
{
    net_loop_turn(w.loop, net_loop_now_ms(w.loop));
    for (unsigned n = 0; n < TURNS_MAX && !q->is_answered; n++)
        net_loop_turn(w.loop, net_loop_now_ms(w.loop) + 10);
    assert_true(q->is_answered);
}

static void an_answer_comes_by_the_loop_and_then_from_the_cache(void **state)
{
    struct query q;

    (void)state;
    assert_int_equal(ask(&q, "a.example.com"), 0);
    assert_false(q.is_answered);
    wait_for(&q);
    assert_int_equal(q.addr.ip[3], 'a');
    assert_int_equal(w.n_received, 1);
    assert_int_equal(ask(&q, "a.example.com"), 0);
    assert_true(q.is_answered);
    assert_int_equal(q.addr.ip[3], 'a');
    assert_int_equal(w.n_received, 1);
}

/* libunbound knows some zones itself; whoever chose the servers may have them. */
static void private_zones_are_asked_for(void **state)
{
    struct query q;

    (void)state;
    assert_int_equal(ask(&q, "b.example.test"), 0);
    wait_for(&q);
    assert_int_equal(q.addr.ip[3], 'b');
    assert_int_equal(ask(&q, "c.home.arpa"), 0);
    wait_for(&q);
    assert_int_equal(q.addr.ip[3], 'c');
}

static void many_questions_at_a_time(void **state)
{
    static struct query queries[90];
    char name[32];

    (void)state;
    for (unsigned i = 0; i < 90; i++) {
        snprintf(name, sizeof(name), "%c%u.example.com", 'a' + (int)(i % 26), i);
        assert_int_equal(ask(&queries[i], name), 0);
    }
    for (unsigned i = 0; i < 90; i++) {
        wait_for(&queries[i]);
        assert_int_equal(queries[i].addr.ip[3], 'a' + i % 26);
    }
}

static void a_failure_is_an_answer_without_a_packet(void **state)
{
    struct query q;

    (void)state;
    w.rcode = 2;
    assert_int_equal(ask(&q, "a.example.com"), 0);
    wait_for(&q);
    assert_int_equal(q.addr.family, ADDR_NONE);
}

static void what_is_forgotten_is_not_answered(void **state)
{
    struct query gone, other;

    (void)state;
    assert_int_equal(ask(&gone, "a.example.com"), 0);
    w.source.forget(w.source.ctx, &gone.query);
    assert_int_equal(ask(&other, "a.example.com"), 0);
    wait_for(&other);
    assert_false(gone.is_answered);
}

static void questions_that_wait_are_limited_and_end_with_the_resolver(void **state)
{
    struct query q[3];

    (void)state;
    dns_unbound_free(w.unbound);
    open_unbound(2);
    w.is_silent = true;
    assert_int_equal(ask(&q[0], "a.example.com"), 0);
    assert_int_equal(ask(&q[1], "b.example.com"), 0);
    assert_int_equal(ask(&q[2], "c.example.com"), ERR_LIMIT);
    for (unsigned n = 0; n < TURNS_MAX && w.n_received < 2; n++)
        net_loop_turn(w.loop, net_loop_now_ms(w.loop) + 5);
    assert_true(w.n_received >= 2);
    dns_unbound_free(w.unbound);
    w.unbound = NULL;
    assert_false(q[0].is_answered || q[1].is_answered);
}

static void a_setting_that_makes_no_sense_is_named(void **state)
{
    const struct dns_unbound_opts opts = {.loop = w.loop,
                                          .servers = &w.server_addr,
                                          .n_servers = 1,
                                          .max_ttl_s = 3600,
                                          .cache_bytes = 1 << 20,
                                          .trust_anchor_file = "/nonexistent/root.key",
                                          .max_questions = 1};
    struct dns_unbound *unbound;
    const char *why = NULL;

    (void)state;
    assert_int_equal(dns_unbound_new(&opts, &why, &unbound), ERR_IO);
    assert_string_equal(why, "trust anchor");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_answer_comes_by_the_loop_and_then_from_the_cache, setup, teardown),
        cmocka_unit_test_setup_teardown(private_zones_are_asked_for, setup, teardown),
        cmocka_unit_test_setup_teardown(many_questions_at_a_time, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failure_is_an_answer_without_a_packet, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_forgotten_is_not_answered, setup, teardown),
        cmocka_unit_test_setup_teardown(questions_that_wait_are_limited_and_end_with_the_resolver, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_setting_that_makes_no_sense_is_named, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
