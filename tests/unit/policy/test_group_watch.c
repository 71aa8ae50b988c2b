/* What a group does for a request: failover, evidence, calls in progress, probes. The proxy core between fake ports,
 * with the steps `policy` and `target` and one route that leads everything to a group of three. */
#include "../proxy/world.h"

#include "policy/group_private.h"
#include "policy/route.h"

#define GW1 "192.0.2.101:5060"
#define GW2 "192.0.2.102:5060"
#define GW3 "192.0.2.103:5060"

static const struct policy_member_opts members[] = {
    {.uri = TEXT("sip:192.0.2.101"), .weight = 1, .priority = 1},
    {.uri = TEXT("sip:192.0.2.102"), .weight = 1, .priority = 2},
    {.uri = TEXT("sip:192.0.2.103"), .weight = 1, .priority = 3}};
static const uint32_t failover_on[] = {408, 500, 502, 503, 504};

struct setting {
    struct world w;
    struct policy_group_opts opts;
    struct policy_groups *groups;
    struct policy_route_opts route;
    struct policy_routes *routes;
    struct proxy_step chain[8];
    unsigned n_calls;
};

static void prepare(struct setting *s)
{
    memset(s, 0, sizeof(*s));
    world_init(&s->w);
    s->opts = (struct policy_group_opts){.name = SLICE("gw"),
                                         .algorithm = POLICY_PRIORITY,
                                         .members = members,
                                         .n_members = 3,
                                         .failover_on = failover_on,
                                         .n_failover_on = 5,
                                         .max_failures = 3,
                                         .timeout_ms = 4000,
                                         .progress_ms = 9000,
                                         .max_call_ms = 3600000};
    s->w.opts.worker = 0;
}

static void begin(struct setting *s)
{
    struct policy_routes_opts opts = {.routes = &s->route, .n_routes = 1, .proxy = &s->w.opts};
    size_t failed, n = 0;

    s->route = (struct policy_route_opts){
        .name = SLICE("all"), .action = POLICY_GROUP, .group = SLICE("gw"), .auth = PROXY_AUTH_NONE};
    s->w.held_before = mem_held_bytes();
    assert_int_equal(policy_groups_new(&s->opts, 1, &s->w.opts.secret, &s->groups), 0);
    opts.groups = s->groups;
    assert_int_equal(policy_routes_new(&opts, &failed, &s->routes), 0);
    s->chain[n++] = (struct proxy_step){"validate", proxy_step_validate, NULL};
    s->chain[n++] = (struct proxy_step){"route", proxy_step_route, NULL};
    s->chain[n++] = (struct proxy_step){"calls", policy_step_calls, s->groups};
    s->chain[n++] = (struct proxy_step){"policy", policy_step_policy, s->routes};
    s->chain[n++] = (struct proxy_step){"target", policy_step_target, s->routes};
    s->chain[n++] = (struct proxy_step){"targets", proxy_step_targets, NULL};
    s->chain[n++] = (struct proxy_step){"forward", proxy_step_forward, NULL};
    s->w.opts.chain = s->chain;
    assert_int_equal(proxy_new(&s->w.opts, &s->w.ports, &s->w.counters, s->w.now_ms, &s->w.proxy), 0);
    assert_int_equal(policy_groups_attach(s->groups, s->w.proxy), 0);
}

static uint32_t calls_of(const struct setting *s, unsigned member)
{
    struct policy_member_view view;

    policy_group_view(s->groups, 0, member, s->w.now_ms, &view);
    return view.calls;
}

static bool is_up(const struct setting *s, unsigned member)
{
    struct policy_member_view view;

    policy_group_view(s->groups, 0, member, s->w.now_ms, &view);
    return view.is_up;
}

static void free_all(struct setting *s)
{
    policy_groups_detach(s->groups, 0);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(calls_of(s, i), 0);
    policy_routes_free(s->routes);
    policy_groups_free(s->groups);
    assert_int_equal(mem_held_bytes(), s->w.held_before);
    free(s->w.sent);
}

/* However it ended: nothing is left, and no call is counted any more. */
static void stop(struct setting *s)
{
    world_advance(&s->w, 400000);
    assert_int_equal(proxy_transactions(s->w.proxy), 0);
    assert_int_equal(proxy_used_bytes(s->w.proxy), 0);
    proxy_free(s->w.proxy);
    free_all(s);
}

static void send(struct setting *s, const char *method, const char *extra)
{
    static char branch[64], call_id[64];

    s->n_calls++;
    snprintf(branch, sizeof(branch), "z9hG4bKcall%u", s->n_calls);
    snprintf(call_id, sizeof(call_id), "call%u", s->n_calls);
    request(&s->w, &(struct call){.method = method,
                                  .ruri = "sip:+15551234@example.com",
                                  .branch = branch,
                                  .call_id = call_id,
                                  .extra = extra});
}

static const struct sent *take_from(struct setting *s, const char *start, const char *peer)
{
    const struct sent *sent = take_starting(&s->w, start);

    assert_goes_to(sent, peer);
    return sent;
}

static const struct sent *call(struct setting *s, const char *peer)
{
    send(s, "INVITE", NULL);
    (void)take_starting(&s->w, "SIP/2.0 100");
    return take_from(s, "INVITE ", peer);
}

static void refuse(struct setting *s, const struct sent *sent, unsigned status, const char *extra)
{
    respond_with(&s->w, sent, status, "gw", extra);
    (void)take_starting(&s->w, "ACK ");
}

static void answer(struct setting *s, const struct sent *sent)
{
    respond(&s->w, sent, 200, "gw");
    (void)take_starting(&s->w, "SIP/2.0 200");
}

static void listed_statuses_lead_to_the_next_and_others_do_not(void **state)
{
    static const struct {
        unsigned status;
        bool goes_on;
    } cases[] = {{404, false}, {408, true},  {480, false}, {486, false}, {500, true},
                 {501, false}, {503, true},  {504, true},  {502, true},  {488, false},
                 {407, false}, {302, false}, {603, false}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct sent *first;
        struct setting s;

        prepare(&s);
        begin(&s);
        first = call(&s, GW1);
        assert_has(first, "INVITE sip:+15551234@192.0.2.101 SIP/2.0");
        refuse(&s, first, cases[i].status, NULL);
        if (cases[i].goes_on) {
            answer(&s, take_from(&s, "INVITE sip:+15551234@192.0.2.102 ", GW2));
        } else {
            char start[32];

            snprintf(start, sizeof(start), "SIP/2.0 %u ", cases[i].status);
            (void)take_starting(&s.w, start);
        }
        assert_silence(&s.w);
        stop(&s);
    }
}

/* RFC 3261 section 16.7 step 6: "If the best response is a 503 ... the proxy SHOULD generate a 500". */
static void when_all_have_failed_the_best_is_sent_and_503_as_500(void **state)
{
    struct setting s;

    (void)state;
    prepare(&s);
    begin(&s);
    refuse(&s, call(&s, GW1), 503, NULL);
    refuse(&s, take_from(&s, "INVITE ", GW2), 503, NULL);
    refuse(&s, take_from(&s, "INVITE ", GW3), 503, NULL);
    (void)take_starting(&s.w, "SIP/2.0 500");
    assert_silence(&s.w);
    refuse(&s, call(&s, GW1), 503, NULL);
    refuse(&s, take_from(&s, "INVITE ", GW2), 504, NULL);
    refuse(&s, take_from(&s, "INVITE ", GW3), 486, NULL);
    (void)take_starting(&s.w, "SIP/2.0 486");
    stop(&s);
}

static void a_408_after_it_has_rung_is_an_answer_and_a_503_is_none(void **state)
{
    const struct sent *sent;
    struct setting s;

    (void)state;
    prepare(&s);
    begin(&s);
    sent = call(&s, GW1);
    respond(&s.w, sent, 180, "gw");
    (void)take_starting(&s.w, "SIP/2.0 180");
    refuse(&s, sent, 408, NULL);
    (void)take_starting(&s.w, "SIP/2.0 408");
    assert_silence(&s.w);
    sent = call(&s, GW1);
    respond(&s.w, sent, 183, "gw");
    (void)take_starting(&s.w, "SIP/2.0 183");
    refuse(&s, sent, 503, NULL);
    answer(&s, take_from(&s, "INVITE ", GW2));
    stop(&s);
}

static void no_more_than_max_attempts_are_made(void **state)
{
    struct setting s;

    (void)state;
    prepare(&s);
    s.opts.max_attempts = 2;
    begin(&s);
    refuse(&s, call(&s, GW1), 500, NULL);
    refuse(&s, take_from(&s, "INVITE ", GW2), 500, NULL);
    (void)take_starting(&s.w, "SIP/2.0 500");
    assert_silence(&s.w);
    stop(&s);
}

static void without_408_in_the_list_nobody_is_given_up(void **state)
{
    static const uint32_t only_503[] = {503};
    struct setting s;

    (void)state;
    prepare(&s);
    s.opts.failover_on = only_503;
    s.opts.n_failover_on = 1;
    begin(&s);
    (void)call(&s, GW1);
    world_advance(&s.w, 32000);
    while (s.w.n_taken + 1 < s.w.n_sent)
        (void)take_from(&s, "INVITE ", GW1);
    (void)take_starting(&s.w, "SIP/2.0 408");
    assert_silence(&s.w);
    stop(&s);
}

/* One call that fails condemns nobody; three in a row do; one answer forgives all. */
static void a_member_goes_down_after_three_failures_in_a_row(void **state)
{
    struct setting s;

    (void)state;
    prepare(&s);
    begin(&s);
    for (unsigned i = 0; i < 2; i++) {
        refuse(&s, call(&s, GW1), 503, NULL);
        answer(&s, take_from(&s, "INVITE ", GW2));
    }
    answer(&s, call(&s, GW1));
    for (unsigned i = 0; i < 3; i++) {
        assert_true(is_up(&s, 0));
        proxy_send_failed(s.w.proxy, call(&s, GW1)->token);
        answer(&s, take_from(&s, "INVITE ", GW2));
    }
    assert_false(is_up(&s, 0));
    answer(&s, call(&s, GW2));
    world_advance(&s.w, POLICY_DOWN_MS);
    s.w.n_taken = s.w.n_sent; /* 2xx are not acknowledged here */
    answer(&s, call(&s, GW1));
    assert_true(is_up(&s, 0));
    stop(&s);
}

/* A 500 or 504 may be about the number: the next is tried, and nothing is held against the member. */
static void statuses_other_than_503_are_no_evidence(void **state)
{
    struct setting s;

    (void)state;
    prepare(&s);
    begin(&s);
    for (unsigned i = 0; i < 10; i++) {
        refuse(&s, call(&s, GW1), i % 2 ? 500 : 504, NULL);
        answer(&s, take_from(&s, "INVITE ", GW2));
    }
    assert_true(is_up(&s, 0));
    stop(&s);
}

/* Section 21.5.4: with the comment and the parameters that section 20.33 allows; cut to an hour. */
static void a_503_with_retry_after_holds_the_member_for_so_long(void **state)
{
    static const struct {
        const char *header;
        ms_t held_ms;
    } cases[] = {{"Retry-After: 20\r\n", 20000},
                 {"Retry-After: 18 (I'm in a meeting);duration=3600\r\n", 18000},
                 {"Retry-After: 99999999999\r\n", POLICY_RETRY_AFTER_MAX_S * 1000ull},
                 {"Retry-After: soon\r\n", 0},
                 {"Retry-After: 0\r\n", 0},
                 {"", 0}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct setting s;

        prepare(&s);
        begin(&s);
        refuse(&s, call(&s, GW1), 503, cases[i].header);
        answer(&s, take_from(&s, "INVITE ", GW2));
        assert_int_equal(is_up(&s, 0), cases[i].held_ms == 0);
        world_advance(&s.w, cases[i].held_ms > 0 ? cases[i].held_ms - 1 : 0);
        assert_int_equal(is_up(&s, 0), cases[i].held_ms == 0);
        world_advance(&s.w, 1);
        assert_true(is_up(&s, 0));
        stop(&s);
    }
}

static void when_all_are_down_all_are_tried_in_their_order(void **state)
{
    struct setting s;

    (void)state;
    prepare(&s);
    begin(&s);
    for (unsigned i = 0; i < 3; i++) {
        refuse(&s, call(&s, GW1), 503, NULL);
        refuse(&s, take_from(&s, "INVITE ", GW2), 503, NULL);
        refuse(&s, take_from(&s, "INVITE ", GW3), 503, NULL);
        (void)take_starting(&s.w, "SIP/2.0 500");
    }
    assert_false(is_up(&s, 0) || is_up(&s, 1) || is_up(&s, 2));
    refuse(&s, call(&s, GW1), 503, NULL);
    answer(&s, take_from(&s, "INVITE ", GW2));
    assert_true(is_up(&s, 1));
    answer(&s, call(&s, GW2));
    stop(&s);
}

static void when_all_are_drained_it_is_a_503(void **state)
{
    struct setting s;

    (void)state;
    prepare(&s);
    begin(&s);
    for (unsigned i = 0; i < 3; i++)
        policy_group_set_drain(s.groups, 0, i, true);
    send(&s, "INVITE", NULL);
    assert_has(take_starting(&s.w, "SIP/2.0 503"), "Retry-After: ");
    assert_silence(&s.w);
    stop(&s);
}

/* ---- calls in progress ---- */

static void begin_least_calls(struct setting *s)
{
    prepare(s);
    s->opts.algorithm = POLICY_LEAST_CALLS;
    begin(s);
}

static unsigned all_calls(const struct setting *s)
{
    return calls_of(s, 0) + calls_of(s, 1) + calls_of(s, 2);
}

static const struct sent *call_any(struct setting *s)
{
    send(s, "INVITE", NULL);
    (void)take_starting(&s->w, "SIP/2.0 100");
    return take_starting(&s->w, "INVITE ");
}

static void in_dialog(struct setting *s, const struct sent *ok, const char *method, unsigned cseq)
{
    static char extra[512], to[256], branch[64];
    static unsigned n;

    snprintf(branch, sizeof(branch), "z9hG4bKdialog%u", ++n);
    snprintf(extra, sizeof(extra), "Route: %s\r\n", header(ok, "Record-Route", 0));
    snprintf(to, sizeof(to), "%s", header(ok, "To", 0));
    request(&s->w, &(struct call){.method = method,
                                  .ruri = "sip:gw@192.0.2.101",
                                  .branch = branch,
                                  .call_id = header(ok, "Call-ID", 0),
                                  .to = to,
                                  .extra = extra,
                                  .cseq = cseq});
}

/* From the INVITE to the BYE; only the dialog's own BYE ends it, and only once. */
static void a_call_counts_from_invite_to_bye(void **state)
{
    const struct sent *invite_sent, *ok, *bye;
    struct setting s;

    (void)state;
    begin_least_calls(&s);
    invite_sent = call_any(&s);
    assert_int_equal(all_calls(&s), 1);
    respond(&s.w, invite_sent, 180, "gw");
    (void)take_starting(&s.w, "SIP/2.0 180");
    respond(&s.w, invite_sent, 200, "gw");
    ok = take_starting(&s.w, "SIP/2.0 200");
    in_dialog(&s, ok, "ACK", 1);
    (void)take_starting(&s.w, "ACK ");
    assert_int_equal(all_calls(&s), 1);
    world_advance(&s.w, 60000);
    assert_int_equal(all_calls(&s), 1);
    in_dialog(&s, ok, "BYE", 2);
    bye = take_starting(&s.w, "BYE ");
    assert_int_equal(all_calls(&s), 0);
    respond(&s.w, bye, 200, NULL);
    (void)take_starting(&s.w, "SIP/2.0 200");
    /* A stranger's BYE, or a second one, takes back nothing. */
    invite_sent = call_any(&s);
    respond(&s.w, invite_sent, 200, "gw");
    (void)take_starting(&s.w, "SIP/2.0 200");
    s.n_calls--;
    send(&s, "BYE", NULL);
    assert_int_equal(all_calls(&s), 1);
    proxy_free(s.w.proxy);
    free_all(&s);
}

static void calls_that_fail_are_cancelled_or_never_answered_count_no_more(void **state)
{
    const struct sent *sent;
    struct setting s;

    (void)state;
    begin_least_calls(&s);
    refuse(&s, call_any(&s), 486, NULL);
    (void)take_starting(&s.w, "SIP/2.0 486");
    assert_int_equal(all_calls(&s), 0);

    sent = call_any(&s);
    respond(&s.w, sent, 180, "gw");
    (void)take_starting(&s.w, "SIP/2.0 180");
    request(&s.w, &(struct call){.method = "CANCEL",
                                 .ruri = "sip:+15551234@example.com",
                                 .branch = "z9hG4bKcall2",
                                 .call_id = "call2"});
    (void)take_starting(&s.w, "SIP/2.0 200");
    respond(&s.w, take_starting(&s.w, "CANCEL "), 200, "gw");
    assert_int_equal(all_calls(&s), 1);
    refuse(&s, sent, 487, NULL);
    (void)take_starting(&s.w, "SIP/2.0 487");
    assert_int_equal(all_calls(&s), 0);

    (void)call_any(&s);
    world_advance(&s.w, 100000); /* given up, given up, Timer B */
    assert_int_equal(all_calls(&s), 0);
    stop(&s);
}

static void a_call_whose_bye_is_lost_counts_for_max_call_ms(void **state)
{
    struct setting s;

    (void)state;
    begin_least_calls(&s);
    answer(&s, call_any(&s));
    world_advance(&s.w, 3599999);
    assert_int_equal(all_calls(&s), 1);
    world_advance(&s.w, 1);
    assert_int_equal(all_calls(&s), 0);
    stop(&s);
}

/* Out of the path nobody tells when it ends. */
static void without_record_route_a_call_counts_until_it_is_answered(void **state)
{
    struct setting s;

    (void)state;
    prepare(&s);
    s.w.opts.record_route = false;
    s.opts.algorithm = POLICY_LEAST_CALLS;
    begin(&s);
    answer(&s, call_any(&s));
    assert_int_equal(all_calls(&s), 0);
    stop(&s);
}

static void calls_spread_over_the_members(void **state)
{
    struct setting s;

    (void)state;
    begin_least_calls(&s);
    for (unsigned i = 0; i < 30; i++)
        answer(&s, call_any(&s));
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(calls_of(&s, i), 10);
    proxy_free(s.w.proxy); /* under way or answered: detaching takes all back */
    free_all(&s);
}

/* ---- whatever happens ---- */

#define WALK_CALLS 400

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Something happens to one of the last requests that were sent: an answer, no answer, an error of the network. */
static void happen(struct setting *s, uint64_t random)
{
    static const unsigned statuses[] = {100, 180, 183, 200, 302, 404, 408, 486, 487, 500, 503, 603};
    const struct sent *sent;
    size_t back = random % 6;

    if (s->w.n_sent <= back)
        return;
    sent = &s->w.sent[s->w.n_sent - 1 - back];
    if (strncmp(sent->text, "SIP/2.0 ", 8) == 0 || strncmp(sent->text, "ACK ", 4) == 0)
        return;
    if (random >> 8 & 1)
        respond(&s->w, sent, statuses[(random >> 16) % (sizeof(statuses) / sizeof(statuses[0]))], "gw");
    else if ((random >> 9 & 3) == 0)
        proxy_send_failed(s->w.proxy, sent->token);
}

static bool is_answer_to_invite(const struct sent *sent)
{
    return strncmp(sent->text, "SIP/2.0 200", 11) == 0 && strcmp(header(sent, "CSeq", 0), "1 INVITE") == 0;
}

/* The first call answered after some place in the history, perhaps a second time; or one that may not be. */
static void hang_up_or_cancel(struct setting *s, uint64_t random)
{
    static char branch[64], call_id[64];
    unsigned number = (unsigned)(random >> 32) % s->n_calls + 1;

    for (size_t i = random % s->w.n_sent; i < s->w.n_sent && (random >> 20 & 3) != 0; i++) {
        if (is_answer_to_invite(&s->w.sent[i])) {
            in_dialog(s, &s->w.sent[i], "BYE", 2);
            return;
        }
    }
    snprintf(branch, sizeof(branch), "z9hG4bKcall%u", number);
    snprintf(call_id, sizeof(call_id), "call%u", number);
    request(&s->w, &(struct call){.method = "CANCEL",
                                  .ruri = "sip:+15551234@example.com",
                                  .branch = branch,
                                  .call_id = call_id});
}

/* What was sent long ago is of no use any more. */
static void forget_history(struct setting *s)
{
    if (s->w.n_sent < WORLD_SENT_MAX / 2)
        return;
    memmove(s->w.sent, s->w.sent + s->w.n_sent - 500, 500 * sizeof(*s->w.sent));
    s->w.n_sent = 500;
}

/* Answers in any order and number, errors, silence, BYEs and CANCELs, repeated ones too: at no time more is counted
 * than was begun, and in the end nothing. */
static void a_random_walk_never_lets_the_count_drift(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        uint64_t random = seed * 0x9e3779b97f4a7c15;
        unsigned most = 0, ended = 0, before;
        struct setting s;

        begin_least_calls(&s);
        while (s.n_calls < WALK_CALLS) {
            forget_history(&s);
            switch (next_random(&random) % 8) {
            case 0:
                send(&s, "INVITE", NULL);
                break;
            case 1:
                world_advance(&s.w, next_random(&random) % 3000);
                break;
            case 2:
                before = all_calls(&s);
                if (s.n_calls > 0)
                    hang_up_or_cancel(&s, next_random(&random));
                ended += before - all_calls(&s);
                break;
            default:
                happen(&s, next_random(&random));
            }
            assert_true(all_calls(&s) <= s.n_calls);
            most = all_calls(&s) > most ? all_calls(&s) : most;
        }
        assert_true(most > 20 && ended > 10); /* it was worth the walk */
        s.w.n_sent = 0;
        world_advance(&s.w, 400000);
        s.w.n_sent = 0;
        world_advance(&s.w, 3600000);
        assert_int_equal(all_calls(&s), 0);
        stop(&s);
    }
}

static void out_of_memory_no_call_is_counted_for_ever(void **state)
{
    (void)state;
    for (int64_t n = 0; n < 40; n++) {
        struct setting s;

        begin_least_calls(&s);
        mem_fail_after(n);
        send(&s, "INVITE", NULL);
        if (s.w.n_sent > 0 && strncmp(s.w.sent[s.w.n_sent - 1].text, "INVITE ", 7) == 0)
            respond(&s.w, &s.w.sent[s.w.n_sent - 1], 200, "gw");
        mem_fail_after(-1);
        world_advance(&s.w, 3600000);
        assert_int_equal(all_calls(&s), 0);
        stop(&s);
    }
}

/* ---- probes ---- */

static void prepare_probes(struct setting *s)
{
    prepare(s);
    s->opts.probe =
        (struct policy_probe_opts){.interval_ms = 30000, .timeout_ms = 2000, .pass = 2, .fail = 3};
}

/* One round: what each is asked, in the order in which it is; 0: no answer. */
static void round_of_probes(struct setting *s, unsigned first, unsigned second, unsigned third)
{
    const unsigned statuses[] = {first, second, third};
    static const char *const peers[] = {GW1, GW2, GW3};

    for (unsigned i = 0; i < 3; i++) {
        const struct sent *sent = take_from(s, "OPTIONS ", peers[i]);

        if (statuses[i] > 0)
            respond(&s->w, sent, statuses[i], "gw");
        world_advance(&s->w, 9998);
        while (s->w.n_taken < s->w.n_sent) /* repetitions */
            (void)take_from(s, "OPTIONS ", peers[i]);
        world_advance(&s->w, 2);
    }
}

static void stop_probing(struct setting *s)
{
    proxy_free(s->w.proxy);
    free_all(s);
}

static void probes_are_spread_over_the_interval(void **state)
{
    struct setting s;

    (void)state;
    prepare_probes(&s);
    s.opts.probe.from = SLICE("sip:probe@example.com");
    s.opts.probe.to = SLICE("sip:ping@carrier.example");
    begin(&s);
    world_advance(&s.w, 1);
    assert_has(&s.w.sent[0], "OPTIONS sip:192.0.2.101 SIP/2.0");
    assert_has(&s.w.sent[0], "From: <sip:probe@example.com>;tag=");
    assert_has(&s.w.sent[0], "To: <sip:ping@carrier.example>\r\n");
    assert_int_equal(s.w.n_sent, 1);
    for (unsigned i = 0; i < 4; i++)
        round_of_probes(&s, 200, 200, 200);
    assert_int_equal(counter_get(&s.w.counters, COUNTER_PROBES), 13);
    assert_int_equal(counter_get(&s.w.counters, COUNTER_PROBES_FAILED), 0);
    stop_probing(&s);
}

static void three_probes_in_a_row_take_it_down_and_two_bring_it_up(void **state)
{
    struct setting s;

    (void)state;
    prepare_probes(&s);
    begin(&s);
    world_advance(&s.w, 1);
    round_of_probes(&s, 200, 0, 503);
    round_of_probes(&s, 404, 0, 503);
    assert_true(is_up(&s, 1) && is_up(&s, 2));
    round_of_probes(&s, 200, 200, 503);
    assert_true(is_up(&s, 1));
    assert_false(is_up(&s, 2));
    round_of_probes(&s, 486, 0, 200);
    round_of_probes(&s, 500, 0, 0);
    assert_false(is_up(&s, 2)); /* one is not enough */
    round_of_probes(&s, 200, 0, 200);
    assert_false(is_up(&s, 1));
    assert_false(is_up(&s, 2));
    round_of_probes(&s, 200, 200, 405);
    assert_true(is_up(&s, 2)); /* any answer is one */
    assert_true(is_up(&s, 0));
    stop_probing(&s);
}

/* With probes time alone brings nobody up; a passed probe does not end a Retry-After. */
static void what_requests_found_is_mended_by_probes_alone(void **state)
{
    struct setting s;

    (void)state;
    prepare_probes(&s);
    begin(&s);
    world_advance(&s.w, 1);
    for (unsigned i = 0; i < 3; i++)
        policy_note_failure(&s.groups->groups[0].members[0], s.w.now_ms, "test");
    policy_hold(&s.groups->groups[0].members[1], s.w.now_ms, 100);
    round_of_probes(&s, 0, 200, 200);
    round_of_probes(&s, 0, 200, 200);
    round_of_probes(&s, 200, 200, 200);
    assert_false(is_up(&s, 0));
    assert_false(is_up(&s, 1));
    round_of_probes(&s, 200, 200, 200);
    assert_true(is_up(&s, 0));
    assert_true(is_up(&s, 1));
    stop_probing(&s);
}

static void a_name_without_an_address_fails_its_probes(void **state)
{
    static const struct policy_member_opts nowhere[] = {{.uri = TEXT("sip:gw.invalid"), .weight = 1}};
    struct setting s;

    (void)state;
    prepare_probes(&s);
    s.opts.members = nowhere;
    s.opts.n_members = 1;
    begin(&s);
    world_advance(&s.w, 60001);
    assert_false(is_up(&s, 0));
    assert_silence(&s.w);
    proxy_free(s.w.proxy);
    policy_groups_detach(s.groups, 0);
    policy_routes_free(s.routes);
    policy_groups_free(s.groups);
    free(s.w.sent);
}

static void only_worker_0_probes(void **state)
{
    struct setting s;

    (void)state;
    prepare_probes(&s);
    s.w.opts.worker = 1;
    begin(&s);
    world_advance(&s.w, 100000);
    assert_silence(&s.w);
    assert_int_equal(proxy_next_ms(s.w.proxy), MS_NEVER);
    proxy_free(s.w.proxy);
    policy_groups_detach(s.groups, 1);
    policy_routes_free(s.routes);
    policy_groups_free(s.groups);
    free(s.w.sent);
}

static void attaching_without_memory_leaves_nothing(void **state)
{
    (void)state;
    for (int64_t n = 0; n < 8; n++) {
        struct setting s;
        int rc;

        prepare_probes(&s);
        s.opts.algorithm = POLICY_LEAST_CALLS;
        s.w.opts.worker = 0;
        begin(&s);
        policy_groups_detach(s.groups, 0);
        proxy_free(s.w.proxy);
        assert_int_equal(proxy_new(&s.w.opts, &s.w.ports, &s.w.counters, 0, &s.w.proxy), 0);
        mem_fail_after(n);
        rc = policy_groups_attach(s.groups, s.w.proxy);
        mem_fail_after(-1);
        assert_true(rc == 0 || rc == ERR_NOMEM);
        proxy_free(s.w.proxy);
        free_all(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listed_statuses_lead_to_the_next_and_others_do_not),
        cmocka_unit_test(when_all_have_failed_the_best_is_sent_and_503_as_500),
        cmocka_unit_test(a_408_after_it_has_rung_is_an_answer_and_a_503_is_none),
        cmocka_unit_test(no_more_than_max_attempts_are_made),
        cmocka_unit_test(without_408_in_the_list_nobody_is_given_up),
        cmocka_unit_test(a_member_goes_down_after_three_failures_in_a_row),
        cmocka_unit_test(statuses_other_than_503_are_no_evidence),
        cmocka_unit_test(a_503_with_retry_after_holds_the_member_for_so_long),
        cmocka_unit_test(when_all_are_down_all_are_tried_in_their_order),
        cmocka_unit_test(when_all_are_drained_it_is_a_503),
        cmocka_unit_test(a_call_counts_from_invite_to_bye),
        cmocka_unit_test(calls_that_fail_are_cancelled_or_never_answered_count_no_more),
        cmocka_unit_test(a_call_whose_bye_is_lost_counts_for_max_call_ms),
        cmocka_unit_test(without_record_route_a_call_counts_until_it_is_answered),
        cmocka_unit_test(calls_spread_over_the_members),
        cmocka_unit_test(a_random_walk_never_lets_the_count_drift),
        cmocka_unit_test(out_of_memory_no_call_is_counted_for_ever),
        cmocka_unit_test(probes_are_spread_over_the_interval),
        cmocka_unit_test(three_probes_in_a_row_take_it_down_and_two_bring_it_up),
        cmocka_unit_test(what_requests_found_is_mended_by_probes_alone),
        cmocka_unit_test(a_name_without_an_address_fails_its_probes),
        cmocka_unit_test(only_worker_0_probes),
        cmocka_unit_test(attaching_without_memory_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
