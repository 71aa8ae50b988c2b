#include "net/interfaces.h"
#include "net/sockaddr.h"
#include "support.h"
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

static struct net_interfaces *interfaces;

static int setup(void **state)
{
    (void)state;
    return net_interfaces_new(&interfaces);
}

static int teardown(void **state)
{
    (void)state;
    net_interfaces_free(interfaces);
    return 0;
}

static bool lead(const char *from, const char *to, ms_t now_ms)
{
    struct addr a = at(from), b = at(to);

    return net_interfaces_lead(interfaces, &a, &b, now_ms);
}

static void all_loopback_addresses_are_of_one_interface(void **state)
{
    (void)state;
    assert_true(lead("127.0.0.1:0", "127.0.0.1:5060", 0));
    assert_true(lead("127.0.0.2:0", "127.0.0.1:5060", 0));
    assert_true(lead("127.0.0.1:0", "127.9.9.9:5060", 0));
    assert_false(lead("192.0.2.1:0", "127.0.0.1:5060", 0)); /* RFC 5737: nobody has it */
}

static void a_family_leads_to_no_other(void **state)
{
    struct addr none = {.family = ADDR_NONE};

    (void)state;
    assert_false(lead("127.0.0.1:0", "[::1]:5060", 0));
    assert_false(net_interfaces_lead(interfaces, &none, &none, 0));
}

/* Linux refuses it to who has not asked for broadcast. */
static void where_no_route_leads_no_interface_does(void **state)
{
    (void)state;
    for (int twice = 0; twice < 2; twice++)
        assert_false(lead("127.0.0.1:0", "255.255.255.255:5060", 0));
}

static void each_of_more_peers_than_are_kept_has_its_own_answer(void **state)
{
    char text[32];

    (void)state;
    for (unsigned i = 1; i < 4 * NET_INTERFACES_PEERS_KEPT; i++) {
        snprintf(text, sizeof(text), "127.0.%u.%u:5060", i >> 8, i & 0xff);
        assert_true(lead("127.0.0.1:0", text, i));
        assert_false(lead("127.0.0.1:0", "255.255.255.255:5060", i));
    }
}

/* ---- in a network namespace, where there can be interfaces and addresses ---- */

static void command(const char *text)
{
    if (system(text) != 0) /* NOLINT: the text is ours */
        _exit(EXIT_NOT_TESTED);
}

static void be_a_host_in_two_networks(void)
{
    enum { LATER_MS = NET_INTERFACES_TTL_MS };

    if (unshare(CLONE_NEWNET) < 0)
        _exit(EXIT_NOT_TESTED);
    command("ip link set lo up && ip link add va type veth peer name vb && ip link set va up && ip link set "
            "vb up");
    command("ip addr add 10.1.0.1/16 dev va");
    if (!lead("10.1.0.1:0", "10.1.0.9:0", 0) || lead("172.16.0.1:0", "172.16.0.9:0", 0))
        _exit(3);
    command(
        "ip addr add 10.1.0.2/16 dev va && ip addr add 172.16.0.1/16 dev vb && ip addr add 203.0.113.5/32 "
        "dev lo");
    command("ip addr add 203.0.113.6/32 dev vb");
    if (lead("172.16.0.1:0", "172.16.0.9:0", LATER_MS - 1)) /* the old answer */
        _exit(4);
    if (!lead("172.16.0.1:0", "172.16.0.9:0", LATER_MS) || lead("10.1.0.1:0", "172.16.0.9:0", LATER_MS))
        _exit(5);
    if (!lead("10.1.0.2:0", "10.1.0.9:0", LATER_MS)) /* another address of the same interface */
        _exit(6);
    if (!lead("203.0.113.5:0", "172.16.0.9:0", LATER_MS) || !lead("203.0.113.6:0", "10.1.0.9:0", LATER_MS))
        _exit(7); /* addresses of no network */
    if (lead("203.0.113.5:0", "127.0.0.1:0", LATER_MS) || lead("10.3.0.1:0", "10.1.0.9:0", LATER_MS))
        _exit(8);
}

static void addresses_lead_by_their_interfaces_and_changes_are_seen_soon(void **state)
{
    (void)state;
    succeeds_in_a_child(be_a_host_in_two_networks, "root and the command ip");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
        T(all_loopback_addresses_are_of_one_interface),
        T(a_family_leads_to_no_other),
        T(where_no_route_leads_no_interface_does),
        T(each_of_more_peers_than_are_kept_has_its_own_answer),
        T(addresses_lead_by_their_interfaces_and_changes_are_seen_soon),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
