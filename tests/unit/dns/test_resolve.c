/* RFC 3263 section 4 as far as it needs no DNS, and hosts(5). */
#include "base/mem.h"
#include "dns/resolve.h"
#include <stdio.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char hosts_text[] = "# comment\n"
                                 "127.0.0.1\tlocalhost alpha.example. # tail\r\n"
                                 "::1 localhost ip6-localhost\n"
                                 "not-an-address nothing\n"
                                 "224.0.0.1 group\n"
                                 "192.0.2.7 Gw.Example";

static struct dns_hosts *hosts;

static int setup(void **state)
{
    (void)state;
    return dns_hosts_parse(slice_from_cstr(hosts_text), &hosts);
}

static int teardown(void **state)
{
    (void)state;
    dns_hosts_free(hosts);
    return mem_held_bytes() == 0 ? 0 : -1;
}

/* expected: "TRANSPORT address" of every hop, or the error. */
static void expect(const char *text, int expected_rc, const char *expected)
{
    struct sip_uri uri;
    assert_int_equal(sip_uri_parse(slice_from_cstr(text), &uri), 0);
    struct sip_hop hops[4];
    size_t n = 0;
    assert_int_equal(dns_resolve(hosts, &uri, hops, 4, &n), expected_rc);
    if (expected_rc != 0)
        return;
    char memory[256];
    struct buf out;
    buf_init(&out, memory, sizeof(memory));
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_lit(&out, ", ");
        buf_put(&out, sip_transport_via_name(hops[i].transport));
        buf_putc(&out, ' ');
        addr_format(&hops[i].addr, &out);
    }
    buf_putc(&out, '\0');
    assert_string_equal(memory, expected);
}

static void test_4_1_transport(void **state)
{
    (void)state;
    expect("sip:a@192.0.2.1", 0, "UDP 192.0.2.1:5060");
    expect("sip:a@192.0.2.1:5070", 0, "UDP 192.0.2.1:5070");
    expect("sip:a@192.0.2.1;transport=tcp", 0, "TCP 192.0.2.1:5060");
    expect("sip:a@192.0.2.1;transport=TLS", 0, "TLS 192.0.2.1:5061");
    expect("sips:a@192.0.2.1", 0, "TLS 192.0.2.1:5061");
    expect("sips:a@192.0.2.1:5070;transport=tcp", 0, "TLS 192.0.2.1:5070");
    expect("sips:a@192.0.2.1;transport=udp", ERR_UNSUPPORTED, NULL);
    expect("sip:a@192.0.2.1;transport=carrier-pigeon", ERR_UNSUPPORTED, NULL);
    expect("tel:+15551234", ERR_UNSUPPORTED, NULL);
}

static void test_4_target_is_maddr(void **state)
{
    (void)state;
    expect("sip:a@example.com;maddr=192.0.2.9", 0, "UDP 192.0.2.9:5060");
    expect("sip:a@example.com:5080;maddr=gw.example", 0, "UDP 192.0.2.7:5080");
}

static void test_4_2_hosts(void **state)
{
    (void)state;
    expect("sip:a@localhost", 0, "UDP 127.0.0.1:5060, UDP [::1]:5060");
    expect("sip:a@LOCALHOST:5070;transport=tcp", 0, "TCP 127.0.0.1:5070, TCP [::1]:5070");
    expect("sip:alpha.example", 0, "UDP 127.0.0.1:5060");
    expect("sip:gw.example.", 0, "UDP 192.0.2.7:5060");
    expect("sip:a@[2001:db8::1]", 0, "UDP [2001:db8::1]:5060");
    expect("sip:a@nothing", ERR_NOTFOUND, NULL);
    expect("sip:a@gw.exampl", ERR_NOTFOUND, NULL);
}

/* RFC 4475 section 3.3.10: never to a group or broadcast address that a message names. */
static void test_no_group_addresses(void **state)
{
    (void)state;
    expect("sip:a@224.0.0.1", ERR_NOTFOUND, NULL);
    expect("sip:a@255.255.255.255", ERR_NOTFOUND, NULL);
    expect("sip:a@[ff02::1]", ERR_NOTFOUND, NULL);
    expect("sip:a@group", ERR_NOTFOUND, NULL);
}

static void test_files(void **state)
{
    (void)state;
    struct dns_hosts *table = NULL;
    struct addr addr;
    assert_int_equal(dns_hosts_load("/nonexistent/hosts", &table), 0);
    assert_int_equal(dns_hosts_find(table, SLICE("localhost"), &addr, 1), 0);
    dns_hosts_free(table);
    assert_int_equal(dns_hosts_load("/", &table), ERR_IO);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    int rc = ERR_NOMEM;
    for (int64_t n = 0; rc == ERR_NOMEM; n++) {
        struct dns_hosts *table = NULL;
        mem_fail_after(n);
        rc = dns_hosts_parse(slice_from_cstr(hosts_text), &table);
        mem_fail_after(-1);
        if (rc == 0)
            dns_hosts_free(table);
        assert_true(n < 10);
    }
    assert_int_equal(rc, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_4_1_transport, setup, teardown),
        cmocka_unit_test_setup_teardown(test_4_target_is_maddr, setup, teardown),
        cmocka_unit_test_setup_teardown(test_4_2_hosts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_group_addresses, setup, teardown),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
