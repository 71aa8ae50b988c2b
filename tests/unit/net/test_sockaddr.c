#include "net/sockaddr.h"
#include "support.h"
#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>

static void goes_both_ways(void **state)
{
    static const char *const rows[] = {"192.0.2.1:5060", "[2001:db8::1]:65535", "0.0.0.0:0", "[::]:1"};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct addr a = at(rows[i]), back;
        struct sockaddr_storage s;
        socklen_t len = net_sockaddr_from_addr(&a, &s);

        assert_int_equal(len,
                         a.family == ADDR_IPV4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
        assert_int_equal(net_addr_from_sockaddr(&s, &back), 0);
        assert_true(addr_eq(&a, &back));
    }
}

static void port_and_octets_are_in_network_order(void **state)
{
    struct addr a = at("1.2.3.4:258");
    struct sockaddr_storage s;
    const uint8_t *octets = (const uint8_t *)&s;

    (void)state;
    net_sockaddr_from_addr(&a, &s);
    assert_memory_equal(octets + offsetof(struct sockaddr_in, sin_port), "\1\2", 2);
    assert_memory_equal(octets + offsetof(struct sockaddr_in, sin_addr), "\1\2\3\4", 4);
}

static void scope_is_kept(void **state)
{
    struct addr a = at("[fe80::1]:5060"), back;
    struct sockaddr_storage s;

    (void)state;
    a.scope_id = 7;
    net_sockaddr_from_addr(&a, &s);
    assert_int_equal(net_addr_from_sockaddr(&s, &back), 0);
    assert_int_equal(back.scope_id, 7);
}

static void mapped_ipv4_comes_out_as_ipv4(void **state)
{
    struct addr mapped = at("[::ffff:192.0.2.1]:5060"), want = at("192.0.2.1:5060"), back;
    struct sockaddr_storage s;

    (void)state;
    net_sockaddr_from_addr(&mapped, &s);
    assert_int_equal(net_addr_from_sockaddr(&s, &back), 0);
    assert_true(addr_eq(&back, &want));
}

static void other_families_are_refused(void **state)
{
    const struct addr none = {.family = ADDR_NONE};
    struct sockaddr_storage s = {.ss_family = AF_UNIX};
    struct addr back = {.family = 99};
    int fd;

    (void)state;
    assert_int_equal(net_addr_from_sockaddr(&s, &back), ERR_UNSUPPORTED);
    assert_int_equal(back.family, 99);
    assert_int_equal(net_sockaddr_from_addr(&none, &s), 0);
    assert_int_equal(net_socket_bind(SOCK_DGRAM, &none, false, &fd), ERR_UNSUPPORTED);
}

static void a_taken_port_is_an_error_unless_it_is_shared(void **state)
{
    struct addr a = at("127.0.0.1:0");
    int first, second;

    (void)state;
    assert_int_equal(net_socket_bind(SOCK_DGRAM, &a, true, &first), 0);
    assert_int_equal(net_socket_addr(first, &a), 0);
    assert_int_not_equal(a.port, 0);
    assert_int_equal(net_socket_bind(SOCK_DGRAM, &a, false, &second), ERR_IO);
    assert_int_equal(errno, EADDRINUSE);
    assert_int_equal(net_socket_bind(SOCK_DGRAM, &a, true, &second), 0);
    close(first);
    close(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goes_both_ways),
        cmocka_unit_test(port_and_octets_are_in_network_order),
        cmocka_unit_test(scope_is_kept),
        cmocka_unit_test(mapped_ipv4_comes_out_as_ipv4),
        cmocka_unit_test(other_families_are_refused),
        cmocka_unit_test(a_taken_port_is_an_error_unless_it_is_shared),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
