#include "config/value.h"
#include "config_test.h"

struct fixture {
    struct arena_pool pool;
    struct arena arena;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    arena_pool_init(&f->pool, 1 << 20);
    arena_init(&f->arena, &f->pool);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    arena_done(&f->arena);
    arena_pool_done(&f->pool);
    free(f);
    return 0;
}

struct number_case {
    const struct value_type *type;
    const char *text;
    uint64_t value;
    const char *canonical;
};

static char *value_text_of(const struct value_type *type, const void *value)
{
    char memory[256];
    struct buf out;

    buf_init(&out, memory, sizeof(memory));
    value_print(type, value, &out);
    assert_false(buf_failed(&out));
    return strndup(memory, out.len);
}

static void numbers_are_read_and_written_with_their_units(void **state)
{
    static const struct number_case cases[] = {
        {&value_milliseconds, "500ms", 500, "500ms"},
        {&value_milliseconds, "0.5s", UINT64_MAX, NULL},
        {&value_milliseconds, "30s", 30000, "30s"},
        {&value_milliseconds, "30", 30000, "30s"},
        {&value_milliseconds, "5m", 300000, "5m"},
        {&value_milliseconds, "90s", 90000, "90s"},
        {&value_milliseconds, "1500ms", 1500, "1500ms"},
        {&value_milliseconds, "1h", 3600000, "1h"},
        {&value_milliseconds, "2d", 172800000, "2d"},
        {&value_milliseconds, "0s", 0, "0s"},
        {&value_milliseconds, "300s", 300000, "5m"},
        {&value_seconds, "1h", 3600, "1h"},
        {&value_seconds, "3600", 3600, "1h"},
        {&value_seconds, "2000ms", 2, "2s"},
        {&value_seconds, "0", 0, "0s"},
        {&value_bytes, "65535", 65535, "65535"},
        {&value_bytes, "64k", 65536, "64k"},
        {&value_bytes, "64K", 65536, "64k"},
        {&value_bytes, "1M", 1048576, "1M"},
        {&value_bytes, "1024k", 1048576, "1M"},
        {&value_bytes, "3G", 3221225472, "3G"},
        {&value_count, "0", 0, "0"},
        {&value_count, "4294967295", 4294967295, "4294967295"},
        {&value_failover_status, "400", 400, "400"},
        {&value_failover_status, "503", 503, "503"},
        {&value_failover_status, "599", 599, "599"},
        {&value_workers, "auto", 0, "auto"},
        {&value_workers, "4", 4, "4"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        union {
            uint64_t u64;
            uint32_t u32;
        } value = {.u64 = 0};
        char *text;
        int r = value_parse(cases[i].type, slice_from_cstr(cases[i].text), &f->arena, &value);

        if (!cases[i].canonical) {
            assert_int_equal(r, ERR_SYNTAX);
            continue;
        }
        assert_int_equal(r, 0);
        assert_true(value_number(cases[i].type, &value) == cases[i].value);
        text = value_text_of(cases[i].type, &value);
        assert_string_equal(text, cases[i].canonical);
        free(text);
    }
}

struct bad_case {
    const struct value_type *type;
    const char *text;
};

static void what_is_not_of_the_type_is_refused(void **state)
{
    static const struct bad_case cases[] = {
        {&value_milliseconds, ""},
        {&value_milliseconds, "s"},
        {&value_milliseconds, "5 s"},
        {&value_milliseconds, "-5s"},
        {&value_milliseconds, "5x"},
        {&value_milliseconds, "5ss"},
        {&value_milliseconds, "99999999999999999999h"},
        {&value_milliseconds, "18446744073709551615s"}, /* wraps when multiplied carelessly */
        {&value_milliseconds, "5124095576030432d"},
        {&value_seconds, "1500ms"},
        {&value_seconds, "4294967296s"},
        {&value_bytes, "64kb"},
        {&value_bytes, "k"},
        {&value_bytes, "17179869184G"},
        {&value_count, "1k"},
        {&value_count, "4294967296"},
        {&value_count, "1.5"},
        {&value_failover_status, "399"},
        {&value_failover_status, "600"}, /* RFC 3261 section 16.7 step 5: ends all */
        {&value_failover_status, "5xx"},
        {&value_failover_status, ""},
        {&value_optional_uri, "probe@example.com"},
        {&value_optional_uri, "tel:+15551234"},
        {&value_optional_uri, "sip:"},
        {&value_optional_uri, "<sip:probe@example.com>"},
        {&value_optional_uri, "sip:probe@example.com>;tag=1"},
        {&value_optional_uri, "sip:a@b?Subject=x"},
        {&value_workers, "all"},
        {&value_workers, ""},
        {&value_workers, "0"}, /* would silently mean auto */
        {&value_boolean, "maybe"},
        {&value_boolean, "1"},
        {&value_transport, "UDP "},
        {&value_transport, "sctp"},
        {&value_domain_auth_rule, "inherit"},
        {&value_algorithm, "SHA256"},
        {&value_log_level, "verbose"},
        {&value_listen_address, "10.0.0"},
        {&value_listen_address, "example.com:5060"},
        {&value_listen_address, "127.0.0.1:0"},
        {&value_listen_address, "127.0.0.1:65536"},
        {&value_listen_address, "127.0.0.1:"},
        {&value_listen_address, "224.0.0.1:5060"},
        {&value_listen_address, "255.255.255.255:5060"},
        {&value_server_address, "ns.example.com"}, /* who would look it up? */
        {&value_server_address, "0.0.0.0"},
        {&value_server_address, "192.0.2.53:0"},
        {&value_prefix, "10.0.0.0/33"},
        {&value_prefix, "10.0.0.0/"},
        {&value_prefix, "10.0.0.1/8"}, /* the host part must be zero: likely a slip */
        {&value_prefix, "2001:db8::1/64"},
        {&value_prefix, "all"},
        {&value_host, ""},
        {&value_host, "exa mple.com"},
        {&value_host, "example.com:5060"},
        {&value_host, "-example.com"},
        {&value_host, "example-.com"},
        {&value_host, "example..com"},
        {&value_host, "example.c_m"},
        {&value_host, "alice@example.com"},
        {&value_host, "10.0.0.256"}, /* not an address; and a name's last label begins with a letter */
        {&value_host, "[::1"},
        {&value_host, "\xc3\xa9xample.com"},
        {&value_host_port, "example.com:0"},
        {&value_host_port, "example.com:65536"},
        {&value_host_port, "example.com:"},
        {&value_host_port, ":5060"},
        {&value_host_port, "0.0.0.0"},
        {&value_host_port, "[::]:5060"},
        {&value_user, ""},
        {&value_user, "alice"},
        {&value_user, "@example.com"},
        {&value_user, "alice@"},
        {&value_user, "al ice@example.com"},
        {&value_user, "sip:alice@example.com"},
        {&value_user, "alice@example.com:5060"},
        {&value_path_rule, "refuse"},
        {&value_origin, ""},
        {&value_origin, "https://"},
        {&value_origin, "https://a.example/path"},
        {&value_origin, "https://*.example"},
        {&value_origin, "https://a.example:0"},
        {&value_origin, "https://a.example:65536"},
        {&value_origin, "ftp://a.example"},
        {&value_origin, "a.example:8080"},
        {&value_origin, "*.192.0.2.1"},
        {&value_origin, "a*.example"},
        {&value_url_path, "sip"},
        {&value_url_path, "/sip?x"},
        {&value_url_path, "/sip#x"},
        {&value_url_path, "/s ip"},
        {&value_url_path, "http://a.example/sip"},
        {&value_path, "relative/file.db"},
        {&value_text, "tab\there"},
        {&value_text, "line\nbreak"},
        {&value_text, "del\x7f"},
        {&value_text, "quote\""},
        {&value_text, "back\\slash"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        char untouched[64] = "untouched";

        if (value_parse(cases[i].type, slice_from_cstr(cases[i].text), &f->arena, untouched) != ERR_SYNTAX)
            fail_msg("case %zu: \"%s\" was taken", i, cases[i].text);
        assert_string_equal(untouched, "untouched");
    }
}

static void a_value_has_a_longest_length(void **state)
{
    struct fixture *f = *state;
    char text[CONFIG_VALUE_MAX_BYTES + 1];
    const char *value = NULL;

    memset(text, 'a', sizeof(text));
    text[0] = '/';
    assert_int_equal(value_parse(&value_path, slice_make(text, sizeof(text)), &f->arena, &value), ERR_SYNTAX);
    assert_int_equal(value_parse(&value_path, slice_make(text, sizeof(text) - 1), &f->arena, &value), 0);
    assert_int_equal(strlen(value), sizeof(text) - 1);
    assert_int_equal(value_parse(&value_text, slice_make(text, 256), &f->arena, &value), ERR_SYNTAX);
    assert_int_equal(value_parse(&value_text, slice_make(text, 255), &f->arena, &value), 0);
}

static void text_may_not_hide_a_nul(void **state)
{
    struct fixture *f = *state;
    const char *value = NULL;

    assert_int_equal(value_parse(&value_text, slice_make("a\0b", 3), &f->arena, &value), ERR_SYNTAX);
    assert_int_equal(value_parse(&value_path, slice_make("/a\0b", 4), &f->arena, &value), ERR_SYNTAX);
}

static void words_and_booleans(void **state)
{
    struct fixture *f = *state;
    static const char *const yes[] = {"yes", "true", "on"}, *const no[] = {"no", "false", "off"};
    enum config_algorithm algorithm;
    enum log_level level;

    for (size_t i = 0; i < COUNT(yes); i++) {
        bool b = false;

        assert_int_equal(value_parse(&value_boolean, slice_from_cstr(yes[i]), &f->arena, &b), 0);
        assert_true(b);
        assert_int_equal(value_parse(&value_boolean, slice_from_cstr(no[i]), &f->arena, &b), 0);
        assert_false(b);
    }
    assert_int_equal(value_parse(&value_algorithm, SLICE("sha-512-256"), &f->arena, &algorithm), 0);
    assert_int_equal(algorithm, CONFIG_SHA_512_256);
    assert_int_equal(value_parse(&value_log_level, SLICE("debug"), &f->arena, &level), 0);
    assert_int_equal(level, LOG_DEBUG);
}

static void addresses(void **state)
{
    struct fixture *f = *state;
    struct addr addr;
    char *text;

    assert_int_equal(value_parse(&value_listen_address, SLICE("192.0.2.1"), &f->arena, &addr), 0);
    assert_int_equal(addr.port, 0); /* the transport decides (test_load.c) */
    assert_int_equal(value_parse(&value_listen_address, SLICE("[2001:DB8:0::1]:5070"), &f->arena, &addr), 0);
    assert_int_equal(addr.port, 5070);
    text = value_text_of(&value_listen_address, &addr);
    assert_string_equal(text, "\"[2001:db8::1]:5070\"");
    free(text);
    assert_int_equal(value_parse(&value_listen_address, SLICE("0.0.0.0:5060"), &f->arena, &addr), 0);
    assert_int_equal(value_parse(&value_server_address, SLICE("192.0.2.53"), &f->arena, &addr), 0);
    assert_int_equal(addr.port, 53);
    assert_int_equal(value_parse(&value_server_address, SLICE("[2001:db8::53]:5353"), &f->arena, &addr), 0);
    assert_int_equal(addr.port, 5353);
}

static void prefixes(void **state)
{
    struct fixture *f = *state;
    static const char *const canonical[][2] = {
        {"10.0.0.0/8", "\"10.0.0.0/8\""},         {"192.0.2.1", "\"192.0.2.1/32\""},
        {"2001:DB8::/32", "\"2001:db8::/32\""},   {"0.0.0.0/0", "\"0.0.0.0/0\""},
        {"192.0.2.128/25", "\"192.0.2.128/25\""},
    };

    for (size_t i = 0; i < COUNT(canonical); i++) {
        struct addr_prefix prefix;
        char *text;

        assert_int_equal(value_parse(&value_prefix, slice_from_cstr(canonical[i][0]), &f->arena, &prefix), 0);
        text = value_text_of(&value_prefix, &prefix);
        assert_string_equal(text, canonical[i][1]);
        free(text);
    }
}

static void hosts_are_made_lower_case_and_canonical(void **state)
{
    struct fixture *f = *state;
    static const char *const canonical[][2] = {
        {"Example.COM", "example.com"},     {"localhost", "localhost"},       {"192.0.2.1", "192.0.2.1"},
        {"[2001:DB8::1]", "[2001:db8::1]"}, {"2001:DB8::1", "[2001:db8::1]"}, {"a-1.b2.x", "a-1.b2.x"},
    };

    for (size_t i = 0; i < COUNT(canonical); i++) {
        const char *host = NULL;

        assert_int_equal(value_parse(&value_host, slice_from_cstr(canonical[i][0]), &f->arena, &host), 0);
        assert_string_equal(host, canonical[i][1]);
    }
}

static void host_and_port(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text, *host;
        unsigned port;
        const char *canonical;
    } cases[] = {
        {"SIP.example.com:5070", "sip.example.com", 5070, "\"sip.example.com:5070\""},
        {"sip.example.com", "sip.example.com", 0, "\"sip.example.com\""},
        {"203.0.113.5:5060", "203.0.113.5", 5060, "\"203.0.113.5:5060\""},
        {"[2001:db8::5]:5060", "[2001:db8::5]", 5060, "\"[2001:db8::5]:5060\""},
        {"2001:db8::5", "[2001:db8::5]", 0, "\"[2001:db8::5]\""},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct config_host_port value = {NULL, 1};
        char *text;

        assert_int_equal(value_parse(&value_host_port, slice_from_cstr(cases[i].text), &f->arena, &value), 0);
        assert_string_equal(value.host, cases[i].host);
        assert_int_equal(value.port, cases[i].port);
        text = value_text_of(&value_host_port, &value);
        assert_string_equal(text, cases[i].canonical);
        free(text);
    }
}

static void uris_patterns_and_names(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const struct value_type *type;
        const char *text;
        const char *printed; /* NULL: refused */
    } cases[] = {
        {&value_target, "sip:bob@example.com", "\"<sip:bob@example.com>\""},
        {&value_target, "<sip:192.0.2.1:5060;transport=tcp;lr>;q=0.25",
         "\"<sip:192.0.2.1:5060;transport=tcp;lr>;q=0.250\""},
        {&value_target, "<sips:[2001:db8::1]>;q=1.0", "\"<sips:[2001:db8::1]>\""},
        {&value_target, "<sip:a.example>;q=0", "\"<sip:a.example>;q=0.000\""},
        {&value_target, "<sip:a.example>;q=1.001", NULL},
        {&value_target, "<sip:a.example>;q=0.1234", NULL},
        {&value_target, "<sip:a.example>;q=", NULL},
        {&value_target, "<sip:a.example>;x=1", NULL},
        {&value_target, "<sip:a.example", NULL},
        {&value_target, "tel:+49", NULL},
        {&value_target, "sip:", NULL},
        {&value_target, "sip:@a.example", NULL},
        {&value_target, "sip:a b@a.example", NULL},
        {&value_target, "sip:a:secret@a.example", NULL},
        {&value_target, "sip:a.example?x=y", NULL},
        {&value_target, "sip:a.example;", NULL},
        {&value_target, "sip:a.example;x=", NULL},
        {&value_target, "sip:a.example:0", NULL},
        {&value_next_hop, "sip:gw.example", "\"sip:gw.example\""},
        {&value_next_hop, "sip:me@gw.example", NULL},
        {&value_pattern, "+49*", "\"+49*\""},
        {&value_pattern, "[0-9", NULL},
        {&value_name, "a-b_c.1", "\"a-b_c.1\""},
        {&value_name, "", NULL},
        {&value_reference, "", "\"\""},
        {&value_name, "a b", NULL},
        {&value_token, "X-Customer", "\"X-Customer\""},
        {&value_token, "X:", NULL},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct config_target value = {0};
        int r = value_parse(cases[i].type, slice_from_cstr(cases[i].text), &f->arena, &value);
        char *text;

        if ((r == 0) != (cases[i].printed != NULL))
            fail_msg("%s: %d", cases[i].text, r);
        if (r < 0)
            continue;
        text = value_text_of(cases[i].type, &value);
        assert_string_equal(text, cases[i].printed);
        free(text);
    }
}

static void origins_are_written_as_browsers_write_them_rfc6454_section_6_2(void **state)
{
    struct fixture *f = *state;
    static const char *const canonical[][2] = {
        {"HTTPS://Phone.Example.com", "https://phone.example.com"},
        {"https://phone.example.com:443", "https://phone.example.com"},
        {"http://phone.example.com:80", "http://phone.example.com"},
        {"https://phone.example.com:80", "https://phone.example.com:80"},
        {"http://127.0.0.1:8080", "http://127.0.0.1:8080"},
        {"https://[2001:DB8::1]:444", "https://[2001:db8::1]:444"},
        {"Example.com", "example.com"},
        {"*.Example.com", "*.example.com"},
        {"2001:DB8::1", "[2001:db8::1]"},
        {"*", "*"},
    };

    for (size_t i = 0; i < COUNT(canonical); i++) {
        const char *origin = NULL;

        assert_int_equal(value_parse(&value_origin, slice_from_cstr(canonical[i][0]), &f->arena, &origin), 0);
        assert_string_equal(origin, canonical[i][1]);
    }
}

static void the_path_of_a_url_is_kept_as_it_is(void **state)
{
    struct fixture *f = *state;
    static const char *const paths[] = {"", "/", "/sip", "/A/b.c~d-e_f%20"};

    for (size_t i = 0; i < COUNT(paths); i++) {
        const char *path = NULL;

        assert_int_equal(value_parse(&value_url_path, slice_from_cstr(paths[i]), &f->arena, &path), 0);
        assert_string_equal(path, paths[i]);
    }
}

static void a_path_may_begin_at_home(void **state)
{
    struct fixture *f = *state;
    const char *path = NULL;

    setenv("HOME", "/home/op", 1);
    assert_int_equal(value_parse(&value_path, SLICE("~/sip/v.db"), &f->arena, &path), 0);
    assert_string_equal(path, "/home/op/sip/v.db");
    assert_int_equal(value_parse(&value_path, SLICE("/var/lib/v.db"), &f->arena, &path), 0);
    assert_string_equal(path, "/var/lib/v.db");
    unsetenv("HOME");
    assert_int_equal(value_parse(&value_path, SLICE("~/sip/v.db"), &f->arena, &path), ERR_SYNTAX);
}

static void a_uri_of_a_probe_may_be_left_empty(void **state)
{
    static const char *const texts[] = {"", "sip:probe@example.com", "sips:[2001:db8::1]:5071;transport=tcp"};
    struct fixture *f = *state;

    for (size_t i = 0; i < COUNT(texts); i++) {
        const char *value = NULL;

        assert_int_equal(value_parse(&value_optional_uri, slice_from_cstr(texts[i]), &f->arena, &value), 0);
        assert_string_equal(value, texts[i]);
    }
}

static void quoted_text_is_yaml(void **state)
{
    char memory[64];
    struct buf out;

    (void)state;
    buf_init(&out, memory, sizeof(memory));
    value_print_quoted(SLICE("a\"b\\c\nd\x01"), &out);
    assert_true(slice_eq(buf_slice(&out), SLICE("\"a\\\"b\\\\c\\x0Ad\\x01\"")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(numbers_are_read_and_written_with_their_units, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_of_the_type_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_uri_of_a_probe_may_be_left_empty, setup, teardown),
        cmocka_unit_test_setup_teardown(a_value_has_a_longest_length, setup, teardown),
        cmocka_unit_test_setup_teardown(text_may_not_hide_a_nul, setup, teardown),
        cmocka_unit_test_setup_teardown(words_and_booleans, setup, teardown),
        cmocka_unit_test_setup_teardown(addresses, setup, teardown),
        cmocka_unit_test_setup_teardown(prefixes, setup, teardown),
        cmocka_unit_test_setup_teardown(hosts_are_made_lower_case_and_canonical, setup, teardown),
        cmocka_unit_test_setup_teardown(host_and_port, setup, teardown),
        cmocka_unit_test_setup_teardown(uris_patterns_and_names, setup, teardown),
        cmocka_unit_test_setup_teardown(origins_are_written_as_browsers_write_them_rfc6454_section_6_2, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_path_of_a_url_is_kept_as_it_is, setup, teardown),
        cmocka_unit_test_setup_teardown(a_path_may_begin_at_home, setup, teardown),
        cmocka_unit_test(quoted_text_is_yaml),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
