#include "config_test.h"

#define BASE                                                                                                 \
    "listeners: [ { name: out, transport: udp, address: 192.0.2.1:5060 } ]\n"                                \
    "domains: [ { name: a.example } ]\n"                                                                     \
    "groups: [ { name: carriers, members: [ { uri: \"sip:gw.example.net\" } ] } ]\n"                         \
    "routes:\n"

/* The first row of a case stands in line 5. */
static const struct {
    const char *routes;
    const char *messages; /* "" when it is right */
} cases[] = {
    {"- { name: a, match: { user: [ \"1*\" ], domain: [ a.example ], listener: [ out ] }, group: carriers "
     "}\n",
     ""},
    /* names */
    {"- { name: a, group: carrier }\n",
     "c.yaml:5: routes[0].group: no group has the name \"carrier\"; did you mean \"carriers\"?\n"},
    {"- { name: a, match: { listener: [ inside ] } }\n",
     "c.yaml:5: routes[0].match.listener[0]: no listener has the name \"inside\"; give one of the listeners "
     "this name\n"},
    {"- { name: a, match: { user: [ \"1\" ] } }\n- { name: a, match: { user: [ \"2\" ] } }\n",
     "c.yaml:6: routes[1].name: \"a\" is also routes[0].name (line 5); give each a name of its own\n"},
    {"- { name: a, match: { domain: [ a.exmaple ] } }\n",
     "c.yaml:5: routes[0].match.domain[0]: warning: \"a.exmaple\" is none of the domains of this proxy; did "
     "you mean "
     "\"a.example\"?\n"},
    {"- { name: a, match: { domain: [ other.test ] } }\n", ""},
    /* actions */
    {"- { name: a, group: carriers, reject: 403 }\n", "c.yaml:5: routes[0].reject: is a second action beside "
                                                      "\"group\"; leave one out: a route has one action\n"},
    {"- { name: a, reason: No }\n", "c.yaml:5: routes[0].reason: is a reason without a rejection; leave it "
                                    "out, or add \"reject\" with a status\n"},
    {"- { name: a, reject: 302 }\n",
     "c.yaml:5: routes[0].reject: \"302\" is out of range; give 400 to 699\n"},
    {"- { name: a, reject: 600 }\n", ""},
    {"- { name: a, stateless: yes, match: { header: [ { name: X } ] } }\n",
     "c.yaml:5: routes[0].match.header: cannot decide a stateless route: the CANCEL and ACK of a call do not "
     "repeat its "
     "header fields; leave it out, or let the route be stateful\n"},
    {"- { name: a, stateless: yes, auth: required }\n",
     "c.yaml:5: routes[0].auth: cannot be asked for on a stateless route: CANCEL and ACK carry no "
     "credentials; let the "
     "route be stateful, or know the senders by \"source\" and use \"none\"\n"},
    {"- { name: a, match: { domain: [ other.test ] }, rewrite: { strip: 1 } }\n",
     "c.yaml:5: routes[0].rewrite: warning: never happens: a Request-URI in another's domain is not changed "
     "(RFC 3261 "
     "section 16.5); match a domain of this proxy\n"},
    /* no open relay without a word */
    {"- { name: a, auth: none }\n", "c.yaml:5: routes[0].auth: warning: opens a relay: whoever can reach "
                                    "this proxy may use it to go there; say with "
                                    "match.source or match.listener whose requests these are\n"},
    {"- { name: a, auth: none, group: carriers, match: { domain: [ a.example ] } }\n",
     "c.yaml:5: routes[0].auth: warning: opens a relay: whoever can reach this proxy may use it to go there; "
     "say with "
     "match.source or match.listener whose requests these are\n"},
    {"- { name: a, auth: none, uri: [ \"sip:192.0.2.9\" ] }\n",
     "c.yaml:5: routes[0].auth: warning: opens a relay: whoever can reach this proxy may use it to go there; "
     "say with "
     "match.source or match.listener whose requests these are\n"},
    {"- { name: a, auth: none, group: carriers, match: { source: [ 10.0.0.0/8 ] } }\n", ""},
    {"- { name: a, auth: none, group: carriers, match: { listener: [ out ] } }\n", ""},
    {"- { name: a, auth: none, match: { domain: [ a.example ] } }\n", ""},
    {"- { name: a, auth: none, match: { user: [ x ] }, uri: [ \"sip:bob@a.example\" ] }\n", ""},
    {"- { name: a, auth: none, reject: 403 }\n", ""},
    {"- { name: a, group: carriers }\n", ""},
    /* never reached */
    {"- { name: a, reject: 403 }\n- { name: b, match: { user: [ x ] } }\n- { name: c, match: { user: [ y ] } "
     "}\n",
     "c.yaml:5: routes[0].match: is empty, so the routes after this one are never reached; move it to the "
     "end, or say "
     "what it is for\n"},
    {"- { name: a, match: { user: [ \"+49*\", \"0*\" ] } }\n- { name: b, match: { user: [ \"+4930*\", \"00\" "
     "], method: [ INVITE ] } }\n",
     "c.yaml:6: routes[1].match: is never reached: all that matches is taken by routes[0], \"a\" (line 5); "
     "move it before "
     "that one, or leave it out\n"},
    {"- { name: a, match: { user: [ \"+49*\" ] } }\n- { name: b, match: { user: [ \"+49*\", \"00\" ] } }\n",
     ""},
    {"- { name: a, match: { method: [ INVITE ] } }\n- { name: b, match: { user: [ \"1\" ] } }\n", ""},
    {"- { name: a, match: { source: [ 10.0.0.0/8 ] } }\n- { name: b, match: { source: [ 10.1.0.0/16 ] } }\n",
     "c.yaml:6: routes[1].match: is never reached: all that matches is taken by routes[0], \"a\" (line 5); "
     "move it before "
     "that one, or leave it out\n"},
    {"- { name: a, match: { source: [ 10.1.0.0/16 ] } }\n- { name: b, match: { source: [ 10.0.0.0/8 ] } }\n",
     ""},
    {"- { name: a, match: { header: [ { name: x, value: \"g*\" } ] } }\n"
     "- { name: b, match: { header: [ { name: X, value: Gold }, { name: y } ] } }\n",
     "c.yaml:6: routes[1].match: is never reached: all that matches is taken by routes[0], \"a\" (line 5); "
     "move it before "
     "that one, or leave it out\n"},
    {"- { name: a, match: { header: [ { name: x, value: gold } ] } }\n- { name: b, match: { header: [ { "
     "name: x } ] } }\n",
     ""},
    {"- { name: a, match: { domain: [ a.example ] } }\n- { name: b, match: { method: [ REGISTER ], domain: [ "
     "a.example ] } }\n",
     ""},
    /* loops */
    {"- { name: a, match: { user: [ \"1*\" ] }, uri: [ \"sip:12@a.example\" ] }\n",
     "c.yaml:5: routes[0].uri[0]: \"sip:12@a.example\" leads back to this route; name another user or host, "
     "or let "
     "match.user leave it out\n"},
    {"- { name: a, match: { user: [ \"1\" ] }, uri: [ \"sip:2@a.example\" ] }\n"
     "- { name: b, match: { user: [ \"2\" ] }, redirect: [ \"sip:1@a.example\" ] }\n",
     "c.yaml:5: routes[0].uri[0]: \"sip:2@a.example\" leads back to this route by way of others; name "
     "another user or "
     "host, or let match.user leave it out\n"
     "c.yaml:6: routes[1].redirect[0]: \"sip:1@a.example\" leads back to this route by way of others; name "
     "another user "
     "or host, or let match.user leave it out\n"},
    {"- { name: a, match: { user: [ bob ] }, redirect: [ \"sip:a.example\" ] }\n",
     "c.yaml:5: routes[0].redirect[0]: \"sip:a.example\" leads back to this route; name another user or "
     "host, or let "
     "match.user leave it out\n"},
    {"- { name: a, match: { user: [ \"1\" ], source: [ 10.0.0.0/8 ] }, uri: [ \"sip:1@a.example\" ] }\n", ""},
    {"- { name: a, match: { user: [ \"1\" ] }, uri: [ \"sip:2@a.example\" ] }\n", ""},
    {"- { name: a, match: { user: [ \"1\" ] }, uri: [ \"sip:1@b.example\" ] }\n", ""},
    {"- { name: a, match: { user: [ \"1\" ] }, uri: [ \"sip:1@b.example\", \"sip:1@a.example\" ] }\n",
     "c.yaml:5: routes[0].uri[1]: \"sip:1@a.example\" leads back to this route; name another user or host, "
     "or let match.user leave it out\n"},
    {"- { name: a, match: { user: [ \"1\" ] }, uri: [ \"sip:9@a.example\", \"sip:2@a.example\" ] }\n"
     "- { name: b, match: { user: [ \"2\" ] }, uri: [ \"sip:9@a.example\", \"sip:1@a.example\" ] }\n",
     "c.yaml:5: routes[0].uri[1]: \"sip:2@a.example\" leads back to this route by way of others; name "
     "another user or host, or let match.user leave it out\n"
     "c.yaml:6: routes[1].uri[1]: \"sip:1@a.example\" leads back to this route by way of others; name "
     "another user or host, or let match.user leave it out\n"},
    /* a loop that this route leads into, and is no part of, is told of those in it */
    {"- { name: a, match: { user: [ \"1\" ] }, uri: [ \"sip:2@a.example\" ] }\n"
     "- { name: b, match: { user: [ \"2\" ] }, uri: [ \"sip:2@a.example\" ] }\n",
     "c.yaml:6: routes[1].uri[0]: \"sip:2@a.example\" leads back to this route; name another user or host, "
     "or let match.user leave it out\n"},
    /* what is wrong by itself is told once */
    {"- { name: \"a b\" }\n", "c.yaml:5: routes[0].name: \"a b\" is not a name; write letters, digits, "
                              "\".\", \"_\" and \"-\", at most 64\n"},
    {"- { name: a, match: { user: [ \"[\" ] }, group: nobody }\n",
     "c.yaml:5: routes[0].match.user[0]: \"[\" is not a pattern; write at most 128 octets; * is anything, ? "
     "one character, "
     "[0-9] one of these, [*] the star itself\n"},
    {"- { name: a, uri: [ \"gw.example\" ] }\n", "c.yaml:5: routes[0].uri[0]: \"gw.example\" is not a SIP "
                                                 "URI; write sip:bob@example.com, sip:192.0.2.1:5060 or "
                                                 "<sip:gw.example.net>;q=0.5\n"},
};

#define GROUPS_BASE                                                                                          \
    "listeners: [ { name: out, transport: udp, address: 192.0.2.1:5060 } ]\n"                                \
    "domains: [ { name: a.example }, { name: b.example } ]\n"

/* The first row of a case stands in line 3. */
static const struct {
    const char *groups;
    const char *messages;
} group_cases[] = {
    /* two of one URI */
    {"groups: [ { name: g, members: [ { uri: \"sip:gw.example.net\" }, { uri: \"sip:gw2.example.net\" } ] } "
     "]\n",
     ""},
    {"groups: [ { name: g, members: [\n"
     "  { uri: \"sip:gw.example.net\" },\n"
     "  { uri: \"sip:other.example.net\" },\n"
     "  { uri: \"sip:GW.example.net\" } ] } ]\n",
     "c.yaml:6: groups[0].members[2].uri: \"sip:GW.example.net\" is also groups[0].members[0].uri (line 4); "
     "leave one out, and give the other its weight\n"},
    /* probes */
    {"groups: [ { name: g, probe: { interval: 2s, timeout: 2s }, members: [ { uri: \"sip:gw.example.net\" } "
     "] } ]\n",
     ""},
    {"groups: [ { name: g, probe: { timeout: 5s }, members: [ { uri: \"sip:gw.example.net\" } ] } ]\n", ""},
    {"groups: [ { name: g, probe: { interval: 3s, timeout: 4s }, members: [ { uri: \"sip:gw.example.net\" } "
     "] } ]\n",
     "c.yaml:3: groups[0].probe.timeout: warning: is longer than probe.interval: a silent member is asked "
     "less often than that says; lower it, or raise probe.interval\n"},
    /* loops */
    {"groups: [ { name: g, members: [ { uri: \"sip:gw.example.net\" }, { uri: \"sip:a.example\" } ] } ]\n"
     "routes: [ { name: a, match: { user: [ \"1\" ] }, group: g } ]\n",
     "c.yaml:4: routes[0].group: its member \"sip:a.example\" leads back to this route; name another user or "
     "host, or let match.user leave it out\n"},
    {"groups: [ { name: g, members: [ { uri: \"sip:gw.example.net\" }, { uri: \"sip:a.example\" } ] } ]\n"
     "routes: [ { name: a, match: { user: [ \"1\" ], domain: [ a.example ] }, uri: [ \"sip:1@b.example\" ] "
     "},\n"
     "          { name: b, match: { user: [ \"1\" ], domain: [ b.example ] }, group: g } ]\n",
     "c.yaml:4: routes[0].uri[0]: \"sip:1@b.example\" leads back to this route by way of others; name "
     "another user or host, or let match.user leave it out\n"
     "c.yaml:5: routes[1].group: its member \"sip:a.example\" leads back to this route by way of others; "
     "name another user or host, or let match.user leave it out\n"},
};

static void assert_messages(const char *base, const char *rest, const char *want)
{
    struct config_errors errors;
    struct config *config = NULL;
    char text[2048], *messages;
    int r;

    snprintf(text, sizeof(text), "%s%s", base, rest);
    config_errors_init(&errors, "c.yaml");
    r = config_parse(slice_from_cstr(text), &config, &errors);
    messages = printed(print_errors, &errors);
    assert_string_equal(messages, want);
    /* A warning does not keep anybody from starting. */
    assert_int_equal(r, messages[0] == '\0' || strstr(messages, ": warning: ") ? 0 : ERR_SYNTAX);
    free(messages);
    config_free(config);
    config_errors_done(&errors);
}

static void routes_must_make_sense(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_messages(BASE, cases[i].routes, cases[i].messages);
}

static void groups_must_make_sense(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(group_cases); i++)
        assert_messages(GROUPS_BASE, group_cases[i].groups, group_cases[i].messages);
}

/* The work is bounded: a thousand routes of which none covers another are checked at once. */
static void a_thousand_routes_are_checked(void **state)
{
    char *text = calloc(1, 256 * 1024);
    size_t len = (size_t)sprintf(text, "%s", BASE);
    struct config_errors errors;
    struct config *config = NULL;

    (void)state;
    for (int i = 0; i < 1000; i++)
        len += (size_t)sprintf(
            text + len, "- { name: r%d, match: { user: [ \"%d*\" ] }, uri: [ \"sip:%d@a.example\" ] }\n", i,
            1000 + i, 1000 + (i + 1) % 1000);
    config_errors_init(&errors, "c.yaml");
    assert_int_equal(config_parse(slice_make(text, len), &config, &errors), 0);
    assert_int_equal(config->n_routes, 1000);
    config_free(config);
    config_errors_done(&errors);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes_must_make_sense),
        cmocka_unit_test(groups_must_make_sense),
        cmocka_unit_test(a_thousand_routes_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
