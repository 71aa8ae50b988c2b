#include "support.h"

#include "sip/scan.h"

static void lws_is_blanks_and_folds_25_1(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t len; /* of the white space in front */
    } rows[] = {
        {"", 0},         {"x", 0},           {" x", 1},    {"\t x", 2},   {"\r\n x", 3},
        {" \r\n\tx", 4}, {"\r\n \r\n x", 6}, {"\r\nx", 0}, {" \r\nx", 1}, {"\r x", 0},
        {"\n x", 0},     {" \r", 1},         {" \r\n", 1}, {"\v x", 0},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct guarded g = guarded_copy(cstr(rows[i].text));
        struct sip_scan s = sip_scan_of(g.copy);
        check_that(sip_scan_lws(&s) == (rows[i].len > 0), g.copy);
        check_that((size_t)(s.p - g.copy.ptr) == rows[i].len, g.copy);
        guarded_free(&g);
    }
}

static void a_separator_takes_the_white_space_around_it(void **state)
{
    (void)state;
    struct sip_scan s = sip_scan_of(SLICE(" \r\n / x"));
    assert_true(sip_scan_separator(&s, '/'));
    assert_slice(sip_scan_rest(&s), "x");
    s = sip_scan_of(SLICE("  x"));
    assert_false(sip_scan_separator(&s, '/'));
    assert_slice(sip_scan_rest(&s), "  x");
}

static void a_quoted_string_ends_at_its_quote_25_1(void **state)
{
    (void)state;
    static const struct {
        struct slice text;
        int len; /* or -1 */
    } rows[] = {
        {{"\"\"", 2}, 2},         {{"\"a\" b", 5}, 3},  {{"\"a\\\"b\"", 6}, 6},
        {{"\"a\\\\\"", 5}, 5},    {{"\"\\\0\"", 4}, 4}, /* RFC 4475 section 3.1.1.2 */
        {{"\"a", 2}, -1},         {{"\"a\\\"", 4}, -1}, {{"\"a\\", 3}, -1},
        {{"\"\\\r\n \"", 6}, -1}, /* "CR and LF cannot be escaped" */
        {{"\"\\\n\"", 4}, -1},    {{"a", 1}, -1},       {{"", 0}, -1},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct guarded g = guarded_copy(rows[i].text);
        struct sip_scan s = sip_scan_of(g.copy);
        bool good = sip_scan_quoted(&s);
        check_that(good == (rows[i].len >= 0), g.copy);
        if (good)
            check_that(s.p - g.copy.ptr == rows[i].len, g.copy);
        guarded_free(&g);
    }
}

static void an_escape_is_a_percent_and_two_hex_digits_25_1(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int len;
    } rows[] = {
        {"abc", 3}, {"a%41b", 5}, {"%aF%00", 6}, {"a/b", 1},   {"", 0},
        {"a%", -1}, {"a%4", -1},  {"a%4g", -1},  {"a%g4", -1}, {"a%%41", -1},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct guarded g = guarded_copy(cstr(rows[i].text));
        struct sip_scan s = sip_scan_of(g.copy);
        struct slice run = SLICE("untouched");
        int rc = sip_scan_escaped_run(&s, SIP_CHAR_UNRESERVED, &run);
        check_that(rc == (rows[i].len >= 0 ? 0 : ERR_SYNTAX), g.copy);
        check_that(rc < 0 ? slice_eq(run, SLICE("untouched")) : run.len == (size_t)rows[i].len, g.copy);
        guarded_free(&g);
    }
}

static const struct {
    const char *text, *host; /* host NULL: an error */
    enum addr_family family;
} hosts[] = {
    {"example.com", "example.com", ADDR_NONE},
    {"example.com.", "example.com.", ADDR_NONE},
    {"a", "a", ADDR_NONE},
    {"localhost:5060", "localhost", ADDR_NONE},
    {"a-b.c--d;x", "a-b.c--d", ADDR_NONE},
    {"1host", "1host", ADDR_NONE},
    {"3com.com", "3com.com", ADDR_NONE},
    {"5d41402abc4b", "5d41402abc4b", ADDR_NONE}, /* RFC 1123 section 2.1 */
    {"my_host.example.com", "my_host.example.com", ADDR_NONE},
    {"_sip._udp.example.com", "_sip._udp.example.com", ADDR_NONE},
    {"192.0.2.1", "192.0.2.1", ADDR_IPV4},
    {"192.0.2.1:5060", "192.0.2.1", ADDR_IPV4},
    {"192.0.2.com", "192.0.2.com", ADDR_NONE},
    {"[2001:db8::1]", "[2001:db8::1]", ADDR_IPV6},
    {"[::ffff:192.0.2.1]:5060", "[::ffff:192.0.2.1]", ADDR_IPV6},
    {"[2001:db8:::192.0.2.1]", "[2001:db8:::192.0.2.1]", ADDR_IPV6}, /* RFC 5118 section 4.10 */
    {"", NULL, 0},
    {".", NULL, 0},
    {".com", NULL, 0},
    {"a..b", NULL, 0},
    {"a.b..", NULL, 0},
    {"-a.com", NULL, 0},
    {"a-.com", NULL, 0},
    {"a.-", NULL, 0},
    {"192.0.2.256", NULL, 0},
    {"192.0.2", NULL, 0},
    {"1", NULL, 0},
    {"1.2.3.4.5", NULL, 0},
    {"example.123", NULL, 0},
    {"[192.0.2.1]", NULL, 0},
    {"[2001:db8::1", NULL, 0},
    {"[]", NULL, 0},
    {"[fe80::1%eth0]", NULL, 0},
    {"[::g]", NULL, 0},
    {"%41.com", NULL, 0}, /* section 19.1.2: no escapes in a host */
    {"@", NULL, 0},
};

static void a_host_is_a_name_or_an_address_25_1(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(hosts); i++) {
        struct guarded g = guarded_copy(cstr(hosts[i].text));
        struct sip_scan s = sip_scan_of(g.copy);
        struct slice host = SLICE_NULL;
        struct addr addr;
        int rc = sip_scan_host(&s, &host, &addr);
        check_that(rc == (hosts[i].host ? 0 : ERR_SYNTAX), g.copy);
        if (rc == 0) {
            check_slice(host, cstr(hosts[i].host), g.copy);
            check_that(addr.family == hosts[i].family, g.copy);
        }
        guarded_free(&g);
    }
}

static void a_port_is_1_to_65535(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int port; /* or -1 */
    } rows[] = {
        {"1", 1},  {"5060", 5060}, {"65535", 65535}, {"0005060x", 5060}, {"65536", -1},
        {"0", -1}, {"", -1},       {"x", -1},        {"-1", -1},         {"99999999999999999999999", -1},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct sip_scan s = sip_scan_of(cstr(rows[i].text));
        uint16_t port = 7;
        int rc = sip_scan_port(&s, &port);
        check_that(rc == (rows[i].port < 0 ? ERR_SYNTAX : 0), cstr(rows[i].text));
        check_that(port == (rows[i].port < 0 ? 7 : rows[i].port), cstr(rows[i].text));
    }
}

static void parameters_come_one_by_one(void **state)
{
    (void)state;
    struct guarded g = guarded_copy(SLICE(" ; a ;b = c\r\n ;d=\"x;\\\"y\" ; e=\t;f= "));
    struct sip_scan s = sip_scan_of(g.copy);
    struct sip_scan_param p = {0};
    assert_int_equal(sip_scan_param(&s, &p), 0);
    assert_slice(p.name, "a");
    assert_true(slice_is_null(p.value));
    assert_slice(p.text, "; a");
    assert_int_equal(sip_scan_param(&s, &p), 0);
    assert_slice(p.value, "c");
    assert_slice(p.text, ";b = c");
    assert_int_equal(sip_scan_param(&s, &p), 0);
    assert_slice(p.value, "\"x;\\\"y\"");
    assert_int_equal(sip_scan_param(&s, &p), 0);
    assert_slice(p.name, "e");
    assert_false(slice_is_null(p.value));
    assert_int_equal(p.value.len, 0);
    assert_slice(p.text, "; e=");
    assert_int_equal(sip_scan_param(&s, &p), 0);
    assert_slice(p.name, "f");
    assert_slice(p.text, ";f=");
    assert_int_equal(sip_scan_param(&s, &p), ERR_NOTFOUND);
    guarded_free(&g);
}

static void a_parameter_list_that_is_none_is_an_error(void **state)
{
    (void)state;
    static const char *const rows[] = {";",   ";;a",    "a",     ";=b",  ";a=\"b",
                                       "x;a", ";a=b c", ";a=b,", ";a b", ";<"};
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct guarded g = guarded_copy(cstr(rows[i]));
        struct sip_scan s = sip_scan_of(g.copy);
        struct sip_scan_param p = {0};
        int rc;
        while ((rc = sip_scan_param(&s, &p)) == 0)
            ;
        check_that(rc == ERR_SYNTAX, g.copy);
        guarded_free(&g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lws_is_blanks_and_folds_25_1),
        cmocka_unit_test(a_separator_takes_the_white_space_around_it),
        cmocka_unit_test(a_quoted_string_ends_at_its_quote_25_1),
        cmocka_unit_test(an_escape_is_a_percent_and_two_hex_digits_25_1),
        cmocka_unit_test(a_host_is_a_name_or_an_address_25_1),
        cmocka_unit_test(a_port_is_1_to_65535),
        cmocka_unit_test(parameters_come_one_by_one),
        cmocka_unit_test(a_parameter_list_that_is_none_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
