#include "net/interfaces.h"
#include "net/sockaddr.h"
#include "support.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

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
    for (unsigned i = 1; i < 4 * NET_INTERFACES_PEERS_MAX; i++) {
        snprintf(text, sizeof(text), "127.0.%u.%u:5060", i >> 8, i & 0xff);
        assert_true(lead("127.0.0.1:0", text, i));
        assert_false(lead("127.0.0.1:0", "255.255.255.255:5060", i));
    }
}

/* ---- in a network namespace, where addresses can be given ---- */

static void set_address(const char *label, const char *address)
{
    struct ifreq request = {0};
    struct sockaddr_in *in = (struct sockaddr_in *)(void *)&request.ifr_addr;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    strncpy(request.ifr_name, label, sizeof(request.ifr_name) - 1);
    in->sin_family = AF_INET;
    if (fd < 0 || inet_pton(AF_INET, address, &in->sin_addr) != 1 || ioctl(fd, SIOCSIFADDR, &request) < 0)
        _exit(3);
    memset(&request.ifr_ifru, 0, sizeof(request.ifr_ifru));
    request.ifr_flags = IFF_UP;
    if (ioctl(fd, SIOCSIFFLAGS, &request) < 0)
        _exit(4);
    close(fd);
}

/* Its own loopback interface plays one with two addresses, each of a network by its class; status 0: all as it should be. */
static void be_a_host_with_two_addresses(void)
{
    if (unshare(CLONE_NEWNET) < 0)
        _exit(2);
    set_address("lo", "10.1.0.1");
    if (lead("10.1.0.1:0", "172.16.0.9:0", 0)) /* nowhere as yet */
        _exit(5);
    set_address("lo:1", "172.16.0.1");
    if (lead("10.1.0.1:0", "172.16.0.9:0", NET_INTERFACES_TTL_MS - 1)) /* the old answer */
        _exit(6);
    if (!lead("10.1.0.1:0", "172.16.0.9:0", NET_INTERFACES_TTL_MS) ||
        !lead("172.16.0.1:0", "172.16.0.9:0", NET_INTERFACES_TTL_MS))
        _exit(7);
    if (lead("10.3.0.1:0", "172.16.0.9:0", NET_INTERFACES_TTL_MS))
        _exit(8);
    _exit(0);
}

static void any_address_of_the_interface_leads_and_changes_are_seen_after_a_second(void **state)
{
    int status;
    pid_t child = fork();

    (void)state;
    assert_true(child >= 0);
    if (child == 0)
        be_a_host_with_two_addresses();
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 2) {
        print_message("NOT TESTED: network namespaces need root\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
        T(all_loopback_addresses_are_of_one_interface),
        T(a_family_leads_to_no_other),
        T(where_no_route_leads_no_interface_does),
        T(each_of_more_peers_than_are_kept_has_its_own_answer),
        T(any_address_of_the_interface_leads_and_changes_are_seen_after_a_second),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
