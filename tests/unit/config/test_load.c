#include "base/mem.h"
#include "config_test.h"
#include <fcntl.h>
#include <unistd.h>

static const char home[] = "listeners:\n"
                           "  - transport: udp\n"
                           "    address: 192.168.1.10:5060\n"
                           "  - transport: tcp\n"
                           "    address: 192.168.1.10:5060\n"
                           "domains:\n"
                           "  - name: Home.Example\n"
                           "store:\n"
                           "  path: /srv/viaduct/home.db\n";

static void nine_lines_make_a_home_registrar(void **state)
{
    struct config_errors errors;
    struct config *config = NULL;

    (void)state;
    config_errors_init(&errors, "home.yaml");
    assert_int_equal(config_parse(slice_from_cstr(home), &config, &errors), 0);
    assert_false(config_errors_any(&errors));

    assert_int_equal(config->workers, 0);
    assert_int_equal(config->n_listeners, 2);
    assert_int_equal(config->listeners[0].transport, CONFIG_UDP);
    assert_int_equal(config->listeners[1].transport, CONFIG_TCP);
    assert_int_equal(config->listeners[1].address.port, 5060);
    assert_int_equal(config->listeners[1].mode, CONFIG_STATEFUL);
    assert_string_equal(config->listeners[1].advertise.host, "");
    assert_int_equal(config->listeners[1].auth.for_register, CONFIG_AUTH_INHERIT);
    assert_int_equal(config->listeners[1].auth.for_calls, CONFIG_AUTH_INHERIT);
    assert_int_equal(config->n_domains, 1);
    assert_string_equal(config->domains[0].name, "home.example");
    assert_string_equal(config->domains[0].realm, "home.example");
    assert_int_equal(config->domains[0].auth.for_register, CONFIG_AUTH_REQUIRED);
    assert_int_equal(config->domains[0].auth.for_calls, CONFIG_AUTH_REQUIRED);
    assert_int_equal(config->n_aliases, 0);
    assert_int_equal(config->n_trusted, 0);
    assert_int_equal(config->store.kind, CONFIG_STORE_SQLITE);
    assert_string_equal(config->store.path, "/srv/viaduct/home.db");
    assert_int_equal(config->registrar.default_expires_s, 3600);
    assert_int_equal(config->auth.n_algorithms, 3);
    assert_int_equal(config->auth.algorithms[0], CONFIG_MD5);
    assert_int_equal(config->auth.algorithms[2], CONFIG_SHA_512_256);
    assert_true(config->proxy.record_route);
    assert_true(config->proxy.loop_detection);
    assert_false(config->proxy.recurse_redirects);
    assert_true(config->proxy.timer_c_ms > 180000);
    assert_int_equal(config->proxy.max_breadth, 60);
    /* RFC 3261 table 4 */
    assert_int_equal(config->timers.t1_ms, 500);
    assert_int_equal(config->timers.t2_ms, 4000);
    assert_int_equal(config->timers.t4_ms, 5000);
    assert_int_equal(config->timers.d_ms, 32000);
    assert_int_equal(config->limits.message_bytes, 65535);
    assert_int_equal(config->log.level, LOG_INFO);
    assert_int_equal(config->log.format, LOG_TEXT);
    config_free(config);
    config_errors_done(&errors);
    assert_int_equal(mem_held_bytes(), 0);
}

/* RFC 3261 section 19.1.2, RFC 6455 section 3. */
static void the_port_that_is_left_out_is_that_of_the_transport(void **state)
{
    static const char text[] = "listeners:\n"
                               "  - { transport: udp, address: 192.0.2.1 }\n"
                               "  - { transport: tcp, address: 192.0.2.1 }\n"
                               "  - { transport: tls, address: 192.0.2.1 }\n"
                               "  - { transport: ws, address: 192.0.2.1 }\n"
                               "  - { transport: wss, address: 192.0.2.1 }\n"
                               "domains: [ { name: a.example } ]\n"
                               "tls:\n"
                               "  certificates:\n"
                               "    - cert: /c.pem\n"
                               "      key: /c.key\n"
                               "  ca_file: /ca.pem\n"
                               "  trusted_peers: [ Carrier.example ]\n"
                               "  min_version: 1.3\n";
    static const unsigned ports[] = {5060, 5060, 5061, 80, 443};
    struct config_errors errors;
    struct config *config = NULL;

    (void)state;
    config_errors_init(&errors, "ports.yaml");
    assert_int_equal(config_parse(slice_from_cstr(text), &config, &errors), 0);
    for (size_t i = 0; i < COUNT(ports); i++)
        assert_int_equal(config->listeners[i].address.port, ports[i]);
    assert_int_equal(config->tls.n_certificates, 1);
    assert_string_equal(config->tls.certificates[0].cert, "/c.pem");
    assert_int_equal(config->tls.certificates[0].cert_line, 10);
    assert_int_equal(config->tls.certificates[0].key_line, 11);
    assert_int_equal(config->tls.ca_file_line, 12);
    assert_string_equal(config->tls.trusted_peers[0], "carrier.example");
    assert_int_equal(config->tls.min_version, CONFIG_TLS_1_3);
    assert_int_equal(config->tls.handshake_timeout_ms, 5000);
    assert_int_equal(config->websocket.n_origins, 0);
    assert_string_equal(config->websocket.path, "");
    assert_int_equal(config->websocket.ping_interval_ms, 30000);
    assert_int_equal(config->websocket.ping_timeout_ms, 10000);
    config_free(config);
    config_errors_done(&errors);
}

static void every_kind_of_value_is_taken_from_the_file(void **state)
{
    static const char text[] = "workers: 3\n"
                               "listeners:\n"
                               "  - transport: udp\n"
                               "    address: \"[::]:5062\"\n"
                               "    advertise: SIP.Example.com:5070\n"
                               "    mode: stateless\n"
                               "    auth: { register: none, calls: required }\n"
                               "domains:\n"
                               "  - { name: a.example, realm: Some realm, auth: { register: none } }\n"
                               "  - { name: b.example, auth: { calls: none } }\n"
                               "aliases: [ Proxy.example, 198.51.100.7 ]\n"
                               "trusted: [ 10.0.0.0/8, \"2001:db8::/32\" ]\n"
                               "store: { kind: memory }\n"
                               "registrar: { max_contacts: 3, max_expires: 2h }\n"
                               "auth: { algorithms: [ MD5 ], nonce_lifetime: 90 }\n"
                               "proxy: { record_route: no, timer_c: 200s, server_name: \"\" }\n"
                               "timers: { t1: 100ms }\n"
                               "limits: { memory: 64M, connection_idle: 2h }\n"
                               "log: { level: debug, format: json }\n"
                               "stop: { grace: 0, retry_after: 1m }\n";
    struct config_errors errors;
    struct config *config = NULL;
    const struct config_listener *listener;

    (void)state;
    config_errors_init(&errors, "all.yaml");
    if (config_parse(slice_from_cstr(text), &config, &errors) < 0)
        fail_msg("%s", printed(print_errors, &errors));
    listener = &config->listeners[0];
    assert_int_equal(config->workers, 3);
    assert_int_equal(listener->address.family, ADDR_IPV6);
    assert_string_equal(listener->advertise.host, "sip.example.com");
    assert_int_equal(listener->advertise.port, 5070);
    assert_int_equal(listener->mode, CONFIG_STATELESS);
    assert_int_equal(listener->auth.for_register, CONFIG_AUTH_NONE);
    assert_int_equal(listener->auth.for_calls, CONFIG_AUTH_REQUIRED);
    assert_string_equal(config->domains[0].realm, "Some realm");
    assert_int_equal(config->domains[0].auth.for_register, CONFIG_AUTH_NONE);
    assert_int_equal(config->domains[0].auth.for_calls, CONFIG_AUTH_REQUIRED);
    assert_int_equal(config->domains[1].auth.for_register, CONFIG_AUTH_REQUIRED);
    assert_int_equal(config->domains[1].auth.for_calls, CONFIG_AUTH_NONE);
    assert_int_equal(config->n_aliases, 2);
    assert_string_equal(config->aliases[0], "proxy.example");
    assert_int_equal(config->n_trusted, 2);
    assert_int_equal(config->trusted[1].bits, 32);
    assert_int_equal(config->store.kind, CONFIG_STORE_MEMORY);
    assert_int_equal(config->registrar.max_contacts, 3);
    assert_int_equal(config->registrar.max_expires_s, 7200);
    assert_int_equal(config->auth.n_algorithms, 1);
    assert_int_equal(config->auth.nonce_lifetime_s, 90);
    assert_false(config->proxy.record_route);
    assert_int_equal(config->proxy.timer_c_ms, 200000);
    assert_string_equal(config->proxy.server_name, "");
    assert_int_equal(config->timers.t1_ms, 100);
    assert_int_equal(config->limits.memory_bytes, 64 << 20);
    assert_int_equal(config->log.level, LOG_DEBUG);
    assert_int_equal(config->log.format, LOG_JSON);
    assert_int_equal(config->stop.grace_ms, 0);
    assert_int_equal(config->stop.retry_after_s, 60);
    config_free(config);
    config_errors_done(&errors);
}

/* The same in nine lines without a store. */
static const char nine_lines[] = "listeners:\n"
                                 "  - transport: udp\n"
                                 "    address: 192.168.1.10:5060\n"
                                 "  - transport: tcp\n"
                                 "    address: 192.168.1.10:5060\n"
                                 "domains:\n"
                                 "  - name: Home.Example\n"
                                 "\n"
                                 "# what is wrong comes next\n";

struct wrong {
    const char *text;     /* comes after nine_lines, so it begins in line 10 */
    const char *messages; /* all that is printed */
};

static void each_mistake_names_file_line_key_and_remedy(void **state)
{
    static const struct wrong cases[] = {
        {"worker: 2\n", "c.yaml:10: worker: unknown key; did you mean \"workers\"?\n"},
        {"proxy: { timer_d: 5 }\n", "c.yaml:10: proxy.timer_d: unknown key; did you mean \"timer_c\"?\n"},
        {"max_contacts: 2\n",
         "c.yaml:10: max_contacts: unknown key; it belongs under registrar: \"registrar.max_contacts\"\n"},
        {"log:\n  volume: 11\n", "c.yaml:11: log.volume: unknown key; the keys here are level, format\n"},
        {"log:\n  workers: 2\n",
         "c.yaml:11: log.workers: unknown key; it belongs at the top, not indented\n"},
        {"workers: 2\nworkers: 3\n", "c.yaml:11: workers: given twice; leave one out\n"},
        {"domains: []\n", "c.yaml:10: domains: given twice; leave one out\n"},
        {"log: debug\n",
         "c.yaml:10: log: is a value and must be a mapping; write its keys below it, indented: "
         "level, format\n"},
        {"aliases: a.example\n",
         "c.yaml:10: aliases: is a value and must be a list; write each on a line of its own "
         "that begins with \"- \"\n"},
        {"workers: [1]\n", "c.yaml:10: workers: is a list and must be a value; write \"auto\" or a number\n"},
        {"workers: {a: 1}\n",
         "c.yaml:10: workers: is a mapping and must be a value; write \"auto\" or a number\n"},
        {"trusted: [[1]]\n",
         "c.yaml:10: trusted[0]: is a list and must be a value; write an IP address, or a network "
         "such as 192.0.2.0/24 with nothing after its prefix\n"},
        {"workers:\n",
         "c.yaml:10: workers: is empty; give it a value, or leave the key out for its default\n"},
        {"workers: ~\n",
         "c.yaml:10: workers: is empty; give it a value, or leave the key out for its default\n"},
        {"stop:\n", "c.yaml:10: stop: is empty; give it a value, or leave the key out for its default\n"},
        {"workers: 1000\n", "c.yaml:10: workers: \"1000\" is out of range; give 1 to 128\n"},
        {"timers:\n\n  t1: fast\n",
         "c.yaml:12: timers.t1: \"fast\" is not a duration; write a number with ms, s, m, h "
         "or d, as 500ms or 1h\n"},
        {"proxy: { timer_c: 3m }\n", "c.yaml:10: proxy.timer_c: \"3m\" is out of range; give 181s to 1d\n"},
        {"limits: { message: 64kB }\n",
         "c.yaml:10: limits.message: \"64kB\" is not a size; write a number of octets, or "
         "with k, M or G, as 64k\n"},
        {"log: { level: dbug }\n",
         "c.yaml:10: log.level: \"dbug\" is not one of error, warn, notice, info, debug; did "
         "you mean \"debug\"?\n"},
        {"log: { level: loud }\n",
         "c.yaml:10: log.level: \"loud\" is not one of error, warn, notice, info, debug; "
         "choose one of them\n"},
        {"aliases: [ \"ho st\" ]\n", "c.yaml:10: aliases[0]: \"ho st\" is not a host; write a name such as "
                                     "sip.example.com, or an IP address\n"},
        {"store: { path: var/v.db }\n",
         "c.yaml:10: store.path: \"var/v.db\" is not an absolute path; begin it with / or "
         "~/\n"},
        {"auth: { algorithms: [] }\n", "c.yaml:10: auth.algorithms: is an empty list; give at least one\n"},
        {"1: 2\n", "c.yaml:10: 1: unknown key; the keys here are workers, listeners, domains, aliases, "
                   "trusted, tls, websocket, groups, routes, store, "
                   "registrar, edge, auth, proxy, timers, limits, overload, dns, log, stop\n"},
        {"\"a\\nb\\e\": 2\n",
         "c.yaml:10: \"a\\x0Ab\\x1B\": unknown key; the keys here are workers, listeners, domains, "
         "aliases, trusted, tls, websocket, groups, routes, store, registrar, edge, auth, proxy, timers, "
         "limits, "
         "overload, dns, log, stop\n"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct config_errors errors;
        struct config *config = NULL;
        char text[2048];
        char *messages;

        config_errors_init(&errors, "c.yaml");
        snprintf(text, sizeof(text), "%s%s", nine_lines, cases[i].text);
        assert_int_equal(config_parse(slice_from_cstr(text), &config, &errors), ERR_SYNTAX);
        assert_null(config);
        messages = printed(print_errors, &errors);
        assert_string_equal(messages, cases[i].messages);
        free(messages);
        config_errors_done(&errors);
    }
}

static void all_mistakes_are_found_in_one_run(void **state)
{
    static const char text[] = "listners:\n"
                               "  - transport: udp\n"
                               "listeners:\n"
                               "  - transport: sctp\n"
                               "    address: 10.0.0\n"
                               "  - address: 192.0.2.1:5060\n"
                               "    transport: tcp\n"
                               "    adress: 1\n"
                               "  - transport: tcp\n"
                               "  - 5\n"
                               "timers: { t1: 5s, t2: 1s }\n"
                               "log: []\n";
    static const char expected[] =
        "c.yaml:1: listners: unknown key; did you mean \"listeners\"?\n"
        "c.yaml:4: listeners[0].transport: \"sctp\" is not one of udp, tcp, tls, ws, wss; choose one of "
        "them\n"
        "c.yaml:5: listeners[0].address: \"10.0.0\" is not an IP address and port; write 192.0.2.1:5060 or "
        "\"[2001:db8::1]:5060\"\n"
        "c.yaml:8: listeners[1].adress: unknown key; did you mean \"address\"?\n"
        "c.yaml:9: listeners[2]: has no \"address\"; add it: write 192.0.2.1:5060 or \"[2001:db8::1]:5060\"\n"
        "c.yaml:10: listeners[3]: is a value and must be a mapping; write its keys below it, indented: "
        "transport, "
        "address, advertise, mode, client_certificates, udp_alone, name, nat, auth\n"
        "c.yaml:12: log: is a list and must be a mapping; write its keys below it, indented: level, format\n";
    struct config_errors errors;
    struct config *config = NULL;
    char *messages;

    (void)state;
    config_errors_init(&errors, "c.yaml");
    assert_int_equal(config_parse(slice_from_cstr(text), &config, &errors), ERR_SYNTAX);
    messages = printed(print_errors, &errors);
    assert_string_equal(messages, expected);
    free(messages);
    config_errors_done(&errors);
}

static void the_whole_must_be_a_mapping_with_listeners(void **state)
{
    static const char *const cases[][2] = {
        {"", "c.yaml: has no \"listeners\"; add it: Where requests come in.\n"},
        {"# nothing\n", "c.yaml: has no \"listeners\"; add it: Where requests come in.\n"},
        {"- a\n",
         "c.yaml: is a list and must be a mapping; write its keys, each on a line of its own: workers, "
         "listeners, domains, aliases, trusted, tls, websocket, groups, routes, store, registrar, edge, "
         "auth, "
         "proxy, timers, "
         "limits, overload, dns, log, "
         "stop\n"},
        {"listeners: [ { address: 192.0.2.1 } ]\ndomains: [ { name: a.example } ]\n",
         "c.yaml:1: listeners[0]: has no \"transport\"; add it: write one of udp, tcp, tls, ws, wss\n"},
        {"listeners: []\ndomains: [ { name: a.example } ]\n",
         "c.yaml:1: listeners: is an empty list; give at least one\n"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct config_errors errors;
        struct config *config = NULL;
        char *messages;

        config_errors_init(&errors, "c.yaml");
        assert_int_equal(config_parse(slice_from_cstr(cases[i][0]), &config, &errors), ERR_SYNTAX);
        messages = printed(print_errors, &errors);
        assert_string_equal(messages, cases[i][1]);
        free(messages);
        config_errors_done(&errors);
    }
}

static void lists_are_bounded(void **state)
{
    struct config_errors errors;
    struct config *config = NULL;
    char *text = malloc(1 << 16);
    size_t len = (size_t)sprintf(text, "%saliases:\n", home);

    (void)state;
    for (int i = 0; i <= 1000; i++)
        len += (size_t)sprintf(text + len, "  - a%d.example\n", i);
    config_errors_init(&errors, "c.yaml");
    assert_int_equal(config_parse(slice_make(text, len), &config, &errors), ERR_SYNTAX);
    assert_int_equal(errors.count, 1);
    assert_string_equal(errors.items[0].what, "has 1001 entries");
    assert_string_equal(errors.items[0].remedy, "give at most 1000");
    config_errors_done(&errors);
    free(text);
}

/* Found by fuzzing: what lies beyond the longest length was not looked at, but loaded. */
static void what_is_wrong_beyond_the_longest_length_is_found_too(void **state)
{
    static const char text[] = "listeners: [ { transport: udp, address: 192.0.2.1 } ]\n"
                               "domains: [ { name: a.example } ]\n"
                               "auth: { algorithms: [ MD5, SHA-256, SHA-512-256, a: b ] }\n";
    struct config_errors errors;
    struct config *config = NULL;
    char *messages;

    (void)state;
    config_errors_init(&errors, "c.yaml");
    assert_int_equal(config_parse(slice_from_cstr(text), &config, &errors), ERR_SYNTAX);
    messages = printed(print_errors, &errors);
    assert_string_equal(messages, "c.yaml:3: auth.algorithms: has 4 entries; give at most 3\n"
                                  "c.yaml:3: auth.algorithms[3]: is a mapping and must be a value; write one "
                                  "of SHA-512-256, SHA-256, MD5\n");
    free(messages);
    config_errors_done(&errors);
}

static void many_mistakes_are_bounded_and_counted(void **state)
{
    struct config_errors errors;
    struct config *config = NULL;
    char *text = malloc(1 << 16), *messages;
    size_t len = (size_t)sprintf(text, "%saliases:\n", home);

    (void)state;
    for (int i = 0; i < CONFIG_ERRORS_MAX + 7; i++)
        len += (size_t)sprintf(text + len, "  - \"%d %d\"\n", i, i);
    config_errors_init(&errors, "c.yaml");
    assert_int_equal(config_parse(slice_make(text, len), &config, &errors), ERR_SYNTAX);
    assert_int_equal(errors.count, CONFIG_ERRORS_MAX);
    assert_int_equal(errors.left_out, 7);
    messages = printed(print_errors, &errors);
    assert_non_null(strstr(messages, "c.yaml: 7 more problems are not shown\n"));
    free(messages);
    config_errors_done(&errors);
    free(text);
}

/* The text of a stranger's file can be long and can hold escape sequences for a terminal. */
static void a_message_shows_no_control_characters_and_has_an_end(void **state)
{
    struct config_errors errors;
    struct config *config = NULL;
    char text[4096];
    const struct config_error *error;

    (void)state;
    config_errors_init(&errors, "c.yaml");
    snprintf(text, sizeof(text), "%sworkers: \"\\e[2J%01000d\"\n", home, 7);
    assert_int_equal(config_parse(slice_from_cstr(text), &config, &errors), ERR_SYNTAX);
    error = &errors.items[0];
    assert_non_null(strstr(error->what, "\"\\x1B[2J000"));
    assert_non_null(strstr(error->what, "...\""));
    assert_true(strlen(error->what) < 160);
    config_errors_done(&errors);
}

static char *temporary_file(const char *text, size_t bytes)
{
    char *path = strdup("/tmp/viaduct-config-XXXXXX");
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, bytes), (ssize_t)bytes);
    close(fd);
    return path;
}

static void a_file_is_read_and_named_in_messages(void **state)
{
    static const char good[] = "listeners: [ { transport: udp, address: 127.0.0.1:5060 } ]\n"
                               "domains: [ { name: a.example } ]\n"
                               "store: { path: /tmp/viaduct-none/here/v.db }\n";
    char *path = temporary_file(good, strlen(good)), *messages;
    char expected[256];
    struct config_errors errors;
    struct config *config = NULL;
    int fd;

    (void)state;
    config_errors_init(&errors, NULL);
    assert_int_equal(config_load(path, &config, &errors), 0);
    assert_string_equal(config->store.path, "/tmp/viaduct-none/here/v.db");
    assert_int_not_equal(access("/tmp/viaduct-none", F_OK), 0);
    config_free(config);

    config = NULL;
    fd = open(path, O_WRONLY | O_APPEND);
    assert_int_equal(write(fd, "x: 1\n", 5), 5);
    close(fd);
    assert_int_equal(config_load(path, &config, &errors), ERR_SYNTAX);
    assert_null(config);
    messages = printed(print_errors, &errors);
    snprintf(expected, sizeof(expected), "%s:4: x: unknown key; ", path);
    assert_memory_equal(messages, expected, strlen(expected));
    free(messages);
    config_errors_done(&errors);
    unlink(path);
    free(path);
}

static void a_file_that_cannot_be_read_is_told_with_the_reason(void **state)
{
    static const char *const cases[][2] = {
        {"/tmp/viaduct-there-is-no-such-file.yaml", "/tmp/viaduct-there-is-no-such-file.yaml: cannot be "
                                                    "read: No such file or directory; check the name\n"},
        {"/tmp", "/tmp: is not a regular file; name the configuration file itself\n"},
        {"/dev/zero", "/dev/zero: is not a regular file; name the configuration file itself\n"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct config_errors errors;
        struct config *config = NULL;
        char *messages;

        config_errors_init(&errors, NULL);
        assert_int_equal(config_load(cases[i][0], &config, &errors), ERR_IO);
        assert_null(config);
        messages = printed(print_errors, &errors);
        assert_string_equal(messages, cases[i][1]);
        free(messages);
        config_errors_done(&errors);
    }
}

static void a_file_has_a_largest_size(void **state)
{
    char *text = malloc(CONFIG_FILE_MAX_BYTES + 1), *path;
    struct config_errors errors;
    struct config *config = NULL;

    (void)state;
    memset(text, '#', CONFIG_FILE_MAX_BYTES + 1);
    path = temporary_file(text, CONFIG_FILE_MAX_BYTES + 1);
    config_errors_init(&errors, NULL);
    assert_int_equal(config_load(path, &config, &errors), ERR_SYNTAX);
    assert_non_null(strstr(errors.items[0].what, "larger than 1048576 octets"));
    config_errors_done(&errors);
    unlink(path);
    free(path);
    free(text);
}

static void without_a_file_the_default_serves_loopback(void **state)
{
    struct config_errors errors;
    struct config *config = NULL;

    (void)state;
    setenv("XDG_STATE_HOME", "/tmp/viaduct-xdg \"q\"", 1);
    setenv("HOME", "/tmp/viaduct-home", 1);
    config_errors_init(&errors, NULL);
    if (config_load(NULL, &config, &errors) < 0)
        fail_msg("%s", printed(print_errors, &errors));
    assert_string_equal(config->store.path, "/tmp/viaduct-xdg \"q\"/viaduct/viaduct.db");
    assert_true(config->n_listeners == 2 || config->n_listeners == 4);
    for (size_t i = 0; i < config->n_listeners; i++) {
        assert_true(addr_is_loopback(&config->listeners[i].address));
        assert_int_equal(config->listeners[i].address.port, 5060);
    }
    assert_int_equal(config->n_domains, 1);
    assert_string_equal(config->domains[0].name, "localhost");
    assert_int_equal(config->domains[0].auth.for_register, CONFIG_AUTH_REQUIRED);
    assert_int_equal(config->domains[0].auth.for_calls, CONFIG_AUTH_REQUIRED);
    config_free(config);

    /* The XDG specification: a path that is not absolute counts as not set. */
    for (int relative = 0; relative < 2; relative++) {
        config = NULL;
        if (relative)
            setenv("XDG_STATE_HOME", "state", 1);
        else
            unsetenv("XDG_STATE_HOME");
        assert_int_equal(config_load(NULL, &config, &errors), 0);
        assert_string_equal(config->store.path, "/tmp/viaduct-home/.local/state/viaduct/viaduct.db");
        config_free(config);
    }

    config = NULL;
    unsetenv("HOME");
    unsetenv("XDG_STATE_HOME");
    assert_int_equal(config_load(NULL, &config, &errors), ERR_SYNTAX);
    assert_non_null(strstr(errors.items[0].remedy, "HOME"));
    config_errors_done(&errors);
}

/* Out of memory at every allocation: an error, nothing leaked, nothing half-made. libyaml's own memory is not
 * counted; libcyaml's is. */
static void out_of_memory_is_survived_at_every_place(void **state)
{
    int64_t held = mem_held_bytes();
    int r = ERR_NOMEM;

    (void)state;
    for (int64_t n = 0; r == ERR_NOMEM; n++) {
        struct config_errors errors;
        struct config *config = NULL;

        assert_true(n < 1000);
        config_errors_init(&errors, "c.yaml");
        mem_fail_after(n);
        r = config_parse(slice_from_cstr(home), &config, &errors);
        mem_fail_after(-1);
        if (r < 0) {
            assert_int_equal(r, ERR_NOMEM);
            assert_null(config);
        }
        config_free(config);
        config_errors_done(&errors);
        assert_int_equal(mem_held_bytes(), held);
    }
    assert_int_equal(r, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nine_lines_make_a_home_registrar),
        cmocka_unit_test(the_port_that_is_left_out_is_that_of_the_transport),
        cmocka_unit_test(every_kind_of_value_is_taken_from_the_file),
        cmocka_unit_test(each_mistake_names_file_line_key_and_remedy),
        cmocka_unit_test(all_mistakes_are_found_in_one_run),
        cmocka_unit_test(the_whole_must_be_a_mapping_with_listeners),
        cmocka_unit_test(lists_are_bounded),
        cmocka_unit_test(what_is_wrong_beyond_the_longest_length_is_found_too),
        cmocka_unit_test(many_mistakes_are_bounded_and_counted),
        cmocka_unit_test(a_message_shows_no_control_characters_and_has_an_end),
        cmocka_unit_test(a_file_is_read_and_named_in_messages),
        cmocka_unit_test(a_file_that_cannot_be_read_is_told_with_the_reason),
        cmocka_unit_test(a_file_has_a_largest_size),
        cmocka_unit_test(without_a_file_the_default_serves_loopback),
        cmocka_unit_test(out_of_memory_is_survived_at_every_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
