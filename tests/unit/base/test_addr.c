#include "base/addr.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs those above. */
#include <cmocka.h>

#include <arpa/inet.h>
#include <stdlib.h>

static struct addr ip(const char *text)
{
    struct addr a;

    if (addr_parse_ip(slice_from_cstr(text), &a) != 0)
        fail_msg("%s does not parse", text);
    return a;
}

static void expect_text(const struct addr *a, bool brackets, const char *want)
{
    char memory[64];
    struct buf b;

    buf_init(&b, memory, sizeof(memory));
    addr_format_ip(a, brackets, &b);
    buf_putc(&b, '\0');
    assert_false(buf_failed(&b));
    assert_string_equal(memory, want);
}

static void ipv6_text_follows_rfc5952_section_4(void **state)
{
    static const char *const rows[][2] = {
        {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},    /* 4.2.3 first of equal runs */
        {"2001:0db8::0001", "2001:db8::1"},               /* 4.1 leading zeros */
        {"2001:db8:0:0:0:0:2:1", "2001:db8::2:1"},        /* 4.2.1 as much as possible */
        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"}, /* 4.2.2 not one group */
        {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},          /* 4.2.3 longest run */
        {"2001:DB8:AAAA:BBBB:CCCC:DDDD:EEEE:1", "2001:db8:aaaa:bbbb:cccc:dddd:eeee:1"}, /* 4.3 lower case */
        {"0:0:0:0:0:0:0:0", "::"},
        {"0:0:0:0:0:0:0:1", "::1"},
        {"1:0:0:0:0:0:0:0", "1::"},
        {"0:0:0:0:0:ffff:192.0.2.1", "::ffff:192.0.2.1"}, /* 5 */
        {"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct addr a = ip(rows[i][0]);

        assert_int_equal(a.family, ADDR_IPV6);
        expect_text(&a, false, rows[i][1]);
    }
}

static void brackets_and_ports(void **state)
{
    char memory[64];
    struct addr a;
    struct buf b;

    (void)state;
    assert_int_equal(addr_parse(SLICE("[2001:db8::1]:5060"), &a), 0);
    assert_int_equal(a.port, 5060);
    expect_text(&a, true, "[2001:db8::1]");
    buf_init(&b, memory, sizeof(memory));
    addr_format(&a, &b);
    assert_true(slice_eq(buf_slice(&b), SLICE("[2001:db8::1]:5060")));
    assert_int_equal(addr_parse(SLICE("192.0.2.1:65535"), &a), 0);
    assert_int_equal(a.port, 65535);
    buf_init(&b, memory, sizeof(memory));
    addr_format(&a, &b);
    assert_true(slice_eq(buf_slice(&b), SLICE("192.0.2.1:65535")));
    assert_int_equal(addr_parse(SLICE("[::1]"), &a), 0);
    assert_int_equal(a.port, 0);
    assert_int_equal(addr_parse(SLICE("::1"), &a), 0);
    assert_int_equal(addr_parse(SLICE("192.0.2.1"), &a), 0);
}

static void three_colons_are_tolerated_as_rfc5118_section_4_10_asks(void **state)
{
    struct addr wrong = ip("2001:db8:::192.0.2.1"), right = ip("2001:db8::192.0.2.1");

    (void)state;
    assert_true(addr_eq(&wrong, &right));
    expect_text(&wrong, true, "[2001:db8::c000:201]");
    wrong = ip("[2001:db8:::192.0.2.1]");
    assert_true(addr_eq(&wrong, &right));
}

static void malformed_addresses_are_refused(void **state)
{
    static const char *const rows[] = {
        "",
        "1",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.",
        ".1.2.3",
        "256.1.1.1",
        "1.2.3.04",
        "1.2.3.4 ",
        " 1.2.3.4",
        "1..2.3",
        "1.2.3.0004",
        "a.b.c.d",
        ":",
        ":::",
        "1:",
        ":1",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "1::2::3",
        "12345::",
        "::g",
        "1:2:3:4:5:6:7::8:9",
        "1:2:3:4:5:6:7:8::",
        "[::1",
        "::1]",
        "[]",
        "[1.2.3.4]",
        "2001:db8:::1",
        "2001:db8:::1:192.0.2.1",
        "::1.2.3",
        "1.2.3.4::",
        "::1.2.3.4:5",
        "1:2:3:4:5:6:7:1.2.3.4",
        "fe80::1%eth0",
        "::::",
        "2001:db8::::192.0.2.1",
        "2001:db8:::",
        "example.com",
        "1:::2:::3",
    };
    struct addr a = {.family = 99};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (addr_parse_ip(slice_from_cstr(rows[i]), &a) == 0)
            fail_msg("%s was taken", rows[i]);
    }
    assert_int_equal(a.family, 99);
}

static void malformed_ports_are_refused(void **state)
{
    struct addr a;

    (void)state;
    assert_int_equal(addr_parse(SLICE("1.2.3.4:65536"), &a), ERR_RANGE);
    assert_int_equal(addr_parse(SLICE("1.2.3.4:"), &a), ERR_SYNTAX);
    assert_int_equal(addr_parse(SLICE("1.2.3.4:x"), &a), ERR_SYNTAX);
    assert_int_equal(addr_parse(SLICE("[::1]:"), &a), ERR_SYNTAX);
    assert_int_equal(addr_parse(SLICE("[::1]5060"), &a), ERR_SYNTAX);
    assert_int_equal(addr_parse(SLICE("[::1]x:5060"), &a), ERR_SYNTAX);
    assert_int_equal(addr_parse(SLICE(":5060"), &a), ERR_SYNTAX);
}

/* Text that is nearly an address, against the C library's opinion. */
static void random_ipv6_text_agrees_with_inet_pton(void **state)
{
    static const char alphabet[] = "0123abF::::.";

    (void)state;
    srand(2);
    for (int round = 0; round < 300000; round++) {
        char text[24];
        size_t len = (size_t)(rand() % 20);
        struct in6_addr theirs;
        struct addr ours;
        bool ok, want;

        for (size_t i = 0; i < len; i++)
            text[i] = alphabet[(size_t)rand() % (sizeof(alphabet) - 1)];
        text[len] = '\0';
        if (!memchr(text, ':', len) || strstr(text, ":::"))
            continue;
        want = inet_pton(AF_INET6, text, &theirs) == 1;
        ok = addr_parse_ip(slice_make(text, len), &ours) == 0;
        if (ok != want || (ok && memcmp(ours.ip, &theirs, 16) != 0))
            fail_msg("%s: %d, inet_pton says %d", text, ok, want);
    }
}

static void format_and_parse_agree(void **state)
{
    (void)state;
    srand(3);
    for (int round = 0; round < 100000; round++) {
        struct addr a = {.family = ADDR_IPV6}, back;
        char memory[64];
        struct buf b;

        for (int i = 0; i < 16; i++)
            a.ip[i] = rand() % 3 == 0 ? (uint8_t)rand() : 0;
        a.port = (uint16_t)rand();
        buf_init(&b, memory, sizeof(memory));
        addr_format(&a, &b);
        assert_int_equal(addr_parse(buf_slice(&b), &back), 0);
        assert_true(addr_eq(&a, &back));
    }
}

static void equality_of_mapped_addresses_is_by_ip_only_where_asked(void **state)
{
    struct addr mapped = ip("::ffff:192.0.2.1"), v4 = ip("192.0.2.1"), other = ip("192.0.2.2");

    (void)state;
    assert_true(addr_eq_ip(&mapped, &v4));
    assert_false(addr_eq(&mapped, &v4));
    assert_false(addr_eq_ip(&v4, &other));
    other = v4;
    other.port = 1;
    assert_true(addr_eq_ip(&v4, &other));
    assert_false(addr_eq(&v4, &other));
    mapped = ip("fe80::1");
    other = mapped;
    other.scope_id = 2;
    assert_false(addr_eq_ip(&mapped, &other));
}

static void kinds_of_addresses(void **state)
{
    static const struct {
        const char *text;
        bool any, loopback, unicast;
    } rows[] = {
        {"0.0.0.0", true, false, false},
        {"::", true, false, false},
        {"127.0.0.1", false, true, true},
        {"127.255.0.9", false, true, true},
        {"::1", false, true, true},
        {"::ffff:127.0.0.1", false, true, true},
        {"224.0.0.1", false, false, false},
        {"239.255.255.255", false, false, false},
        {"255.255.255.255", false, false, false},
        {"ff02::1", false, false, false},
        {"192.0.2.1", false, false, true},
        {"2001:db8::1", false, false, true},
        {"::ffff:224.0.0.1", false, false, false},
        {"0.0.0.1", false, false, false},
        {"::ffff:0.0.0.0", false, false, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct addr a = ip(rows[i].text);

        assert_int_equal(addr_is_any(&a), rows[i].any);
        assert_int_equal(addr_is_loopback(&a), rows[i].loopback);
        assert_int_equal(addr_is_unicast(&a), rows[i].unicast);
    }
}

static void prefixes(void **state)
{
    static const struct {
        const char *prefix, *address;
        bool has;
    } rows[] = {
        {"192.0.2.0/24", "192.0.2.255", true},
        {"192.0.2.0/24", "192.0.3.0", false},
        {"192.0.2.9/24", "192.0.2.1", true},
        {"10.0.0.0/9", "10.127.0.1", true},
        {"10.0.0.0/9", "10.128.0.1", false},
        {"0.0.0.0/0", "203.0.113.1", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.2", false},
        {"2001:db8::/32", "2001:db8:ffff::1", true},
        {"2001:db8::/32", "2001:db9::1", false},
        {"::/0", "2001:db8::1", true},
        {"::1", "::1", true},
        {"192.0.2.0/24", "::ffff:192.0.2.7", true},
        {"2001:db8::/33", "2001:db8:8000::", false},
    };
    static const char *const bad[] = {"",         "/8",        "1.2.3.4/33", "::/129",
                                      "1.2.3.4/", "1.2.3.4/x", "1.2.3/24",   "1.2.3.4/-1"};
    struct addr_prefix p;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct addr a = ip(rows[i].address);

        assert_int_equal(addr_prefix_parse(slice_from_cstr(rows[i].prefix), &p), 0);
        if (addr_prefix_has(&p, &a) != rows[i].has)
            fail_msg("%s in %s", rows[i].address, rows[i].prefix);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_true(addr_prefix_parse(slice_from_cstr(bad[i]), &p) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ipv6_text_follows_rfc5952_section_4),
        cmocka_unit_test(brackets_and_ports),
        cmocka_unit_test(three_colons_are_tolerated_as_rfc5118_section_4_10_asks),
        cmocka_unit_test(malformed_addresses_are_refused),
        cmocka_unit_test(malformed_ports_are_refused),
        cmocka_unit_test(random_ipv6_text_agrees_with_inet_pton),
        cmocka_unit_test(format_and_parse_agree),
        cmocka_unit_test(equality_of_mapped_addresses_is_by_ip_only_where_asked),
        cmocka_unit_test(kinds_of_addresses),
        cmocka_unit_test(prefixes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
