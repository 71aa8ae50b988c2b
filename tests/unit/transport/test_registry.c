#include "base/mem.h"
#include "sip/hop.h"
#include "transport/registry.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs those above. */
#include <cmocka.h>

static struct transport_registry *registry;
static struct transport_peer peer;

static int begin(void **state)
{
    const struct hash_key key = {1, 2};

    (void)state;
    peer = (struct transport_peer){.name = 7, .transport = SIP_TRANSPORT_TLS};
    if (addr_parse(SLICE("192.0.2.1:5061"), &peer.addr) != 0)
        return -1;
    return transport_registry_new(&key, 2, 1, &registry);
}

static int end(void **state)
{
    (void)state;
    transport_registry_free(registry);
    return mem_held_bytes() == 0 ? 0 : -1;
}

/* RFC 5923 section 8.1: "the client reuses the connection only if" address and identity are those of the table. */
static void a_connection_is_found_by_address_transport_and_name_alone(void **state)
{
    struct transport_peer other = peer;

    (void)state;
    assert_int_equal(transport_registry_find(registry, &peer), SIP_FLOW_NONE);
    assert_int_equal(transport_registry_add(registry, &peer, 11), 0);
    assert_int_equal(transport_registry_find(registry, &peer), 11);
    other.name = 8;
    assert_int_equal(transport_registry_find(registry, &other), SIP_FLOW_NONE);
    other.name = 0;
    assert_int_equal(transport_registry_find(registry, &other), SIP_FLOW_NONE);
    other = peer;
    other.addr.port++;
    assert_int_equal(transport_registry_find(registry, &other), SIP_FLOW_NONE);
    other = peer;
    other.transport = SIP_TRANSPORT_TCP;
    assert_int_equal(transport_registry_find(registry, &other), SIP_FLOW_NONE);
    transport_registry_remove(registry, 11);
    assert_int_equal(transport_registry_find(registry, &peer), SIP_FLOW_NONE);
}

/* RFC 5923 section 8.1: the "identity (or identities)" of a certificate. */
static void a_connection_may_have_several_names_and_loses_them_together(void **state)
{
    struct transport_peer second = peer;

    (void)state;
    second.name = 8;
    assert_int_equal(transport_registry_add(registry, &peer, 11), 0);
    assert_int_equal(transport_registry_add(registry, &second, 11), 0);
    assert_int_equal(transport_registry_add(registry, &second, 12), 0);
    transport_registry_remove(registry, 11);
    assert_int_equal(transport_registry_find(registry, &peer), SIP_FLOW_NONE);
    assert_int_equal(transport_registry_find(registry, &second), 12);
    transport_registry_remove(registry, 12);
    transport_registry_remove(registry, 12);
}

static void connections_are_counted_whatever_they_are_found_by(void **state)
{
    (void)state;
    assert_true(transport_registry_enter(registry));
    assert_true(transport_registry_enter(registry));
    assert_false(transport_registry_enter(registry));
    transport_registry_leave(registry);
    assert_true(transport_registry_enter(registry));
    transport_registry_leave(registry);
    transport_registry_leave(registry);
}

static void without_memory_nothing_is_added(void **state)
{
    (void)state;
    mem_fail_after(0);
    assert_int_equal(transport_registry_add(registry, &peer, 11), ERR_NOMEM);
    mem_fail_after(-1);
    assert_int_equal(transport_registry_find(registry, &peer), SIP_FLOW_NONE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_connection_is_found_by_address_transport_and_name_alone),
        TEST(a_connection_may_have_several_names_and_loses_them_together),
        TEST(connections_are_counted_whatever_they_are_found_by),
        TEST(without_memory_nothing_is_added),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
