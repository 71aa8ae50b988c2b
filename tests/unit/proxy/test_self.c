#include "world.h"

static const struct slice aliases[] = {TEXT("sip.example.net"), TEXT("198.51.100.9")};

/* Besides the listeners of every world: one with an advertised name, one bound to all addresses. */
static void set_up(struct world *w, struct proxy_listener listeners[WORLD_LISTENERS + 2])
{
    world_init(w);
    memcpy(listeners, w->listeners, sizeof(w->listeners));
    listeners[WORLD_LISTENERS] = (struct proxy_listener){.transport = SIP_TRANSPORT_UDP,
                                                         .addr = addr_of("10.0.0.1:5070"),
                                                         .host = SLICE("edge.example.org"),
                                                         .port = 7070};
    listeners[WORLD_LISTENERS + 1] = (struct proxy_listener){.transport = SIP_TRANSPORT_UDP,
                                                             .addr = addr_of("0.0.0.0:5062"),
                                                             .host = SLICE("192.0.2.77"),
                                                             .port = 5062};
    w->opts.listeners = listeners;
    w->opts.n_listeners = WORLD_LISTENERS + 2;
    w->opts.aliases = aliases;
    w->opts.n_aliases = 2;
}

struct self_case {
    const char *uri;
    bool is_self, is_domain;
};

static void names_addresses_and_ports_that_mean_this_proxy(void **state)
{
    static const struct self_case cases[] = {
        {"sip:192.0.2.1", true, true},
        {"sip:192.0.2.1:5090", true, true},
        {"sip:192.0.2.1:5061", false, false},
        {"sips:192.0.2.1", false, false}, /* 5061 */
        {"sip:192.0.2.2", false, false},
        {"sip:[2001:db8:0::1]", true, true},
        {"sip:[2001:db8::1]:5090", false, false}, /* the port of another listener */
        {"sip:u@192.0.2.1", true, true},
        {"tel:192.0.2.1", false, false},
        /* Advertised, and bound. */
        {"sip:edge.example.org", true, true},
        {"sip:EDGE.example.org.:7070", true, true},
        {"sip:edge.example.org:5070", true, true},
        {"sip:edge.example.org:5060", false, false},
        {"sip:10.0.0.1:5070", true, true},
        {"sip:10.0.0.1:7070", true, true},
        {"sip:10.0.0.1", false, false},
        /* The wildcard is the loopback too, and nothing else. */
        {"sip:127.0.0.1:5062", true, true},
        {"sip:127.0.0.1", false, false},
        {"sip:[::1]:5062", false, false},
        {"sip:203.0.113.1:5062", false, false},
        /* Aliases, at any port of ours. */
        {"sip:sip.example.net", true, true},
        {"sip:SIP.example.net:5090", true, true},
        {"sip:sip.example.net:9999", false, false},
        {"sip:198.51.100.9", true, true},
        {"sip:198.51.100.9:5062", true, true},
        {"sip:198.51.100.9:6000", false, false},
        {"sip:sub.sip.example.net", false, false},
        /* Domains. The first answers for all the above too. */
        {"sip:example.com", false, true},
        {"sip:bob@Example.COM.", false, true},
        {"sips:bob@example.com", false, true},
        {"sip:bob@example.com:5060", false, true},
        {"sip:bob@example.com:6000", false, false},
        {"sip:bob@example.com;maddr=192.0.2.9", false, false},
        {"sip:bob@elsewhere.net;maddr=192.0.2.1", true, false},
        {"sip:bob@192.0.2.1;maddr=192.0.2.9", false, false},
        {"sip:bob@elsewhere.net", false, false},
        {"mailto:bob@example.com", false, false},
    };
    struct proxy_listener listeners[WORLD_LISTENERS + 2];
    struct world w;

    (void)state;
    set_up(&w, listeners);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sip_uri uri;

        assert_int_equal(sip_uri_parse(slice_from_cstr(cases[i].uri), &uri), 0);
        if (proxy_uri_is_self(&w.opts, &uri) != cases[i].is_self ||
            (proxy_uri_domain(&w.opts, &uri) != NULL) != cases[i].is_domain)
            fail_msg("%s: %d %d", cases[i].uri, proxy_uri_is_self(&w.opts, &uri),
                     proxy_uri_domain(&w.opts, &uri) != NULL);
    }
    free(w.sent);
}

/* The listener decides where it says anything, else the domain. */
static void whether_credentials_are_needed(void **state)
{
    static const struct {
        enum proxy_auth_rule listener, domain;
        bool needed;
    } cases[] = {
        {PROXY_AUTH_INHERIT, PROXY_AUTH_REQUIRED, true},
        {PROXY_AUTH_INHERIT, PROXY_AUTH_NONE, false},
        {PROXY_AUTH_REQUIRED, PROXY_AUTH_NONE, true},
        {PROXY_AUTH_NONE, PROXY_AUTH_REQUIRED, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct proxy_listener l = {.auth_register = cases[i].listener, .auth_calls = PROXY_AUTH_INHERIT};
        struct proxy_domain domain = {.auth_register = cases[i].domain, .auth_calls = PROXY_AUTH_REQUIRED};
        struct proxy_request req = {.listener = &l};

        assert_int_equal(proxy_needs_auth_register(&req, &domain), cases[i].needed);
        assert_true(proxy_needs_auth_calls(&req, &domain));
        assert_int_equal(proxy_needs_auth_register(&req, NULL), cases[i].listener == PROXY_AUTH_REQUIRED);
        assert_false(proxy_needs_auth_calls(&req, NULL));
        l.auth_calls = PROXY_AUTH_NONE;
        assert_false(proxy_needs_auth_calls(&req, &domain));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_addresses_and_ports_that_mean_this_proxy),
        cmocka_unit_test(whether_credentials_are_needed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
