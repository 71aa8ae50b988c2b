#include "config_test.h"
#include <sys/stat.h>
#include <unistd.h>

struct rule_case {
    const char *text;
    const char *messages; /* "" when it is right */
};

#define BASE                                                                                                 \
    "listeners: [ { transport: udp, address: 192.0.2.1:5060 } ]\n"                                           \
    "domains: [ { name: a.example } ]\n"
#define LISTENERS(...) "domains: [ { name: a.example } ]\nlisteners:\n" __VA_ARGS__

static void keys_must_agree(void **state)
{
    static const struct rule_case cases[] = {
        {BASE, ""},
        /* order */
        {BASE "timers: { t1: 5s }\n",
         "c.yaml:3: timers.t1: 5s is more than timers.t2 (4s); lower it, or raise timers.t2\n"},
        {BASE "timers: { t1: 4s }\n", ""},
        {BASE "timers:\n  t2: 100ms\n  t1: 1s\n",
         "c.yaml:5: timers.t1: 1s is more than timers.t2 (100ms); lower it, or raise timers.t2\n"},
        {BASE "registrar: { default_expires: 2d }\n", "c.yaml:3: registrar.default_expires: 2d is more than "
                                                      "registrar.max_expires (1d); lower it, or raise "
                                                      "registrar.max_expires\n"},
        {BASE "registrar: { max_expires: 30s, default_expires: 30s }\n",
         "c.yaml:3: registrar.min_expires: 1m is more than registrar.default_expires (30s); lower it, or "
         "raise "
         "registrar.default_expires\n"},
        {BASE "limits: { message: 8k }\n", "c.yaml:3: limits.header: 16k is more than limits.message (8k); "
                                           "lower it, or raise limits.message\n"},
        {BASE "limits: { input_buffer: 32k }\n",
         "c.yaml:3: limits.message: 65535 is more than limits.input_buffer "
         "(32k); lower it, or raise limits.input_buffer\n"},
        {BASE "proxy: { ring_time: 10m }\n",
         "c.yaml:3: proxy.ring_time: 10m is more than proxy.timer_c (190s); lower "
         "it, or raise proxy.timer_c\n"},
        {BASE "limits: { connections: 5 }\n", ""},
        /* a mistake is told once: no complaint about the default that stands in for what cannot be read */
        {BASE "timers: { t1: 5s, t2: x }\n",
         "c.yaml:3: timers.t2: \"x\" is not a duration; write a number with ms, s, m, "
         "h or d, as 500ms or 1h\n"},
        /* listeners */
        {LISTENERS("  - { transport: udp, address: 192.0.2.1:5060 }\n"
                   "  - { transport: tcp, address: 192.0.2.1:5060 }\n"
                   "  - { transport: udp, address: 192.0.2.1:5061 }\n"
                   "  - { transport: udp, address: 192.0.2.2:5060 }\n"),
         ""},
        {LISTENERS("  - { transport: udp, address: 192.0.2.1:5060 }\n"
                   "  - { transport: udp, address: 192.0.2.1 }\n"),
         "c.yaml:4: listeners[1].address: \"192.0.2.1:5060\" is also listeners[0].address (line 3); leave "
         "one out, or "
         "change its port\n"},
        {LISTENERS("  - { transport: tcp, address: \"0.0.0.0:5060\", advertise: a.example }\n"
                   "  - { transport: tcp, address: 192.0.2.1:5060 }\n"),
         "c.yaml:4: listeners[1].address: \"192.0.2.1:5060\" is part of the wildcard of listeners[0].address "
         "(line 3); "
         "leave one out, or change its port\n"},
        {LISTENERS("  - { transport: tcp, address: \"[2001:db8::1]:5060\" }\n"
                   "  - { transport: tcp, address: \"[::]:5060\", advertise: a.example }\n"),
         "c.yaml:4: listeners[1].address: \"[::]:5060\" is a wildcard that includes listeners[0].address "
         "(line 3); "
         "leave one out, or change its port\n"},
        {LISTENERS("  - { transport: tcp, address: \"0.0.0.0:5060\", advertise: a.example }\n"
                   "  - { transport: tcp, address: \"[::]:5060\", advertise: a.example }\n"),
         ""}, /* IPv6 sockets take IPv6 alone */
        {LISTENERS("  - { transport: udp, address: \"0.0.0.0:5060\" }\n"), ""},
        /* all but UDP are TCP to the system, and UDP brings TCP along */
        {LISTENERS("  - { transport: ws, address: 192.0.2.1:5060 }\n"
                   "  - { transport: tcp, address: 192.0.2.1:5060 }\n"),
         "c.yaml:4: listeners[1].address: \"192.0.2.1:5060\" is also listeners[0].address (line 3); leave "
         "one out, or change its port\n"},
        {LISTENERS("  - { transport: ws, address: 192.0.2.1:5060 }\n"
                   "  - { transport: udp, address: 192.0.2.1:5060 }\n"),
         "c.yaml:4: listeners[1].address: \"192.0.2.1:5060\" is also listeners[0].address (line 3); leave "
         "one out, or change its port\n"},
        {LISTENERS("  - { transport: ws, address: 192.0.2.1:5060 }\n"
                   "  - { transport: udp, address: 192.0.2.1:5060, udp_alone: yes }\n"),
         ""},
        /* NAT */
        {LISTENERS("  - { transport: udp, address: 192.0.2.1, nat: { ping: options } }\n"),
         "c.yaml:3: listeners[0].nat.ping: pings nobody: clients are reached by their Contact here; set "
         "contacts to source, or leave it out\n"},
        {LISTENERS("  - { transport: udp, address: 192.0.2.1, nat: { ping: crlf, contacts: source } }\n"
                   "  - { transport: ws, address: 192.0.2.1, nat: { ping: options } }\n"),
         ""},
        /* TLS */
        {LISTENERS("  - { transport: tls, address: 192.0.2.1 }\n"
                   "  - { transport: wss, address: 192.0.2.1 }\n") "tls: { certificates: [ { cert: /c.pem, "
                                                                   "key: /c.key } ] }\n",
         ""},
        {LISTENERS("  - { transport: tls, address: 192.0.2.1 }\n"),
         "c.yaml:3: listeners[0].transport: needs a certificate, and there is none; name a certificate and "
         "its key "
         "under tls.certificates\n"},
        {LISTENERS("  - { transport: tcp, address: 192.0.2.1, client_certificates: optional }\n"),
         "c.yaml:3: listeners[0].client_certificates: asks for certificates where there is no TLS; leave it "
         "out, or set transport to tls or wss\n"},
        {"listeners: [ { transport: udp, address: 192.0.2.1:5060 } ]\ntls: { trusted_peers: [ a.example ] "
         "}\n",
         ""},
        /* WebSocket */
        {LISTENERS("  - { transport: ws, address: 192.0.2.1, mode: stateless }\n"),
         "c.yaml:3: listeners[0].mode: cannot be stateless: the answers would not find the WebSocket; set it "
         "to "
         "stateful\n"},
        /* names */
        {BASE "aliases: [ b.example, B.example ]\n",
         "c.yaml:3: aliases[1]: \"b.example\" is also aliases[0] (line 3); leave one out\n"},
        {BASE "aliases: [ A.example ]\n", "c.yaml:3: aliases[0]: \"a.example\" is also domains[0].name (line "
                                          "2); leave one out: an alias names the proxy "
                                          "itself, a domain its users\n"},
        {"listeners: [ { transport: udp, address: 192.0.2.1:5060 } ]\n"
         "domains:\n"
         "  - name: a.example\n"
         "  - name: b.example\n"
         "  - name: A.Example\n",
         "c.yaml:5: domains[2].name: \"a.example\" is also domains[0].name (line 3); leave one out\n"},
        {BASE "auth: { algorithms: [ MD5, SHA-256, MD5 ] }\n",
         "c.yaml:3: auth.algorithms[2]: MD5 is also auth.algorithms[0] (line 3); leave one out\n"},
        {"listeners: [ { transport: udp, address: 192.0.2.1:5060 } ]\n",
         "c.yaml: has neither \"domains\" nor \"trusted\" nor \"routes\"; add one: without them every "
         "request would be "
         "refused with "
         "403\n"},
        {"listeners: [ { transport: udp, address: 192.0.2.1:5060 } ]\ntrusted: [ 10.0.0.0/8 ]\n", ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct config_errors errors;
        struct config *config = NULL;
        char *messages;
        int r;

        config_errors_init(&errors, "c.yaml");
        r = config_parse(slice_from_cstr(cases[i].text), &config, &errors);
        messages = printed(print_errors, &errors);
        assert_string_equal(messages, cases[i].messages);
        assert_int_equal(r, cases[i].messages[0] ? ERR_SYNTAX : 0);
        free(messages);
        config_free(config);
        config_errors_done(&errors);
    }
}

/* Writes a configuration whose store is at path, in the folder where path is relative. */
static void write_config(const char *folder, const char *path)
{
    char file[256];
    FILE *out;

    snprintf(file, sizeof(file), "%s/c.yaml", folder);
    out = fopen(file, "w");
    assert_non_null(out);
    fprintf(out, BASE "store: { path: \"%s%s%s\" }\n", path[0] == '/' ? "" : folder,
            path[0] == '/' ? "" : "/", path);
    fclose(out);
}

static char *load_messages(const char *folder)
{
    struct config_errors errors;
    struct config *config = NULL;
    char file[256], *messages;
    int r;

    snprintf(file, sizeof(file), "%s/c.yaml", folder);
    config_errors_init(&errors, NULL);
    r = config_load(file, &config, &errors);
    messages = printed(print_errors, &errors);
    assert_int_equal(r, messages[0] ? ERR_SYNTAX : 0);
    config_free(config);
    config_errors_done(&errors);
    return messages;
}

static char *messages_for_store(const char *folder, const char *path)
{
    char file[256], *messages;

    write_config(folder, path);
    messages = load_messages(folder);
    snprintf(file, sizeof(file), "%s/c.yaml", folder);
    unlink(file);
    return messages;
}

static void the_store_must_be_openable_or_makeable(void **state)
{
    char folder[] = "/tmp/viaduct-rules-XXXXXX", path[128], *messages;

    (void)state;
    assert_non_null(mkdtemp(folder));

    snprintf(path, sizeof(path), "%s/to/be/made/v.db", folder);
    messages = messages_for_store(folder, path);
    assert_string_equal(messages, "");
    free(messages);

    messages = messages_for_store(folder, folder);
    assert_non_null(strstr(messages, "c.yaml:3: store.path: "));
    assert_non_null(strstr(messages, " is not a regular file; "));
    free(messages);

    snprintf(path, sizeof(path), "%s/plain", folder);
    fclose(fopen(path, "w"));
    snprintf(path, sizeof(path), "%s/plain/v.db", folder);
    messages = messages_for_store(folder, path);
    assert_non_null(strstr(messages, "/plain\" is not a folder; "));
    free(messages);

    snprintf(path, sizeof(path), "%s/plain", folder);
    unlink(path);
    rmdir(folder);
}

/* Root may write everywhere, so it steps down for this. */
static void the_store_must_be_writable_by_this_user(void **state)
{
    char folder[] = "/tmp/viaduct-rules-XXXXXX", path[128], *in_folder, *itself;
    bool is_root = geteuid() == 0;

    (void)state;
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chmod(folder, 0755), 0);
    snprintf(path, sizeof(path), "%s/locked", folder);
    assert_int_equal(mkdir(path, 0755), 0);
    snprintf(path, sizeof(path), "%s/locked/old.db", folder);
    fclose(fopen(path, "w"));
    assert_int_equal(chmod(path, 0444), 0);
    snprintf(path, sizeof(path), "%s/locked", folder);
    assert_int_equal(chmod(path, 0555), 0);

    write_config(folder, "locked/new.db");
    if (is_root)
        assert_int_equal(seteuid(65534), 0);
    in_folder = load_messages(folder);
    if (is_root)
        assert_int_equal(seteuid(0), 0);
    write_config(folder, "locked/old.db");
    if (is_root)
        assert_int_equal(seteuid(65534), 0);
    itself = load_messages(folder);
    if (is_root)
        assert_int_equal(seteuid(0), 0);

    assert_non_null(strstr(in_folder, "c.yaml:3: store.path: "));
    assert_non_null(
        strstr(in_folder, "/locked\" cannot be written: Permission denied; give this user the right"));
    assert_non_null(strstr(itself, "/locked/old.db\" cannot be written: Permission denied; "));
    free(in_folder);
    free(itself);
    chmod(path, 0755);
    snprintf(path, sizeof(path), "%s/locked/old.db", folder);
    unlink(path);
    snprintf(path, sizeof(path), "%s/locked", folder);
    rmdir(path);
    snprintf(path, sizeof(path), "%s/c.yaml", folder);
    unlink(path);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_must_agree),
        cmocka_unit_test(the_store_must_be_openable_or_makeable),
        cmocka_unit_test(the_store_must_be_writable_by_this_user),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
