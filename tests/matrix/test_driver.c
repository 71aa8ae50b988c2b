/* Every cell of expected.txt once more, this time through the API: a transaction is brought into the state,
 * the event is made to happen, and what comes out is compared with the effects. Cells of Terminated are for
 * test_txn.c: that state is seen from inside an op only. */
#include "expected.h"
#include "fake_txn.h"

#define UDP SIP_TRANSPORT_UDP

struct subject {
    struct fake *f;
    const struct txn_machine *machine;
    const char *method;
    struct txn_client *client; /* one of these two */
    struct txn_server *server;
    uint64_t token; /* of the first message sent */
    enum txn_match match;
    int rc;
};

static const struct path {
    const struct txn_machine *machine;
    const char *state;
    const char *steps; /* a status received or sent, "ACK", or "wait" for the time in which a 100 is due */
} paths[] = {
    {&txn_client_invite, "Calling", ""},
    {&txn_client_invite, "Proceeding", "180"},
    {&txn_client_invite, "Completed", "180 486"},
    {&txn_client_invite, "Accepted", "180 200"},
    {&txn_client_non_invite, "Trying", ""},
    {&txn_client_non_invite, "Proceeding", "100"},
    {&txn_client_non_invite, "Completed", "100 200"},
    {&txn_server_invite, "Proceeding", "180"},
    {&txn_server_invite, "Completed", "180 486"},
    {&txn_server_invite, "Confirmed", "180 486 ACK"},
    {&txn_server_invite, "Accepted", "180 200"},
    {&txn_server_non_invite, "Trying", ""},
    {&txn_server_non_invite, "Proceeding", "wait 100"},
    {&txn_server_non_invite, "Completed", "200"},
};

static void give_status(struct subject *s, unsigned status)
{
    if (s->client)
        s->match = fake_receive(s->f, status, s->method, ";tag=b1");
    else
        s->rc = fake_respond(s->f, s->server, status);
}

static void take_step(struct subject *s, const char *step)
{
    if (strcmp(step, "ACK") == 0)
        fake_again(s->f, "ACK");
    else if (strcmp(step, "wait") == 0)
        fake_advance(s->f, 3500);
    else
        give_status(s, (unsigned)atoi(step));
}

static const char *state_name(const struct subject *s)
{
    return s->client ? txn_client_state_name(s->client) : txn_server_state_name(s->server);
}

static void bring_into(struct subject *s, const struct path *path)
{
    bool invite = path->machine == &txn_client_invite || path->machine == &txn_server_invite;
    char copy[64], *save = NULL;

    *s = (struct subject){.f = fake_new(), .machine = path->machine, .method = invite ? "INVITE" : "OPTIONS"};
    if (path->machine->is_client)
        s->client = fake_client(s->f, s->method, UDP);
    else
        s->server = fake_server(s->f, s->method, UDP);
    snprintf(copy, sizeof(copy), "%s", path->steps);
    for (char *step = strtok_r(copy, " ", &save); step; step = strtok_r(NULL, " ", &save))
        take_step(s, step);
    s->token = s->client ? 0 : s->f->last_token;
    assert_string_equal(state_name(s), path->state);
    fake_forget(s->f);
    s->rc = 0;
    s->match = TXN_MATCH_NONE;
}

static void let_fail(struct subject *s)
{
    if (s->client) {
        bool acked = strcmp(state_name(s), "Completed") == 0 && s->machine == &txn_client_invite;

        txn_branch_failed(s->f->layer, SLICE("z9hG4bK-1"), slice_from_cstr(acked ? "ACK" : s->method));
    } else {
        txn_send_failed(s->f->layer, s->token);
    }
}

static void abandon(struct subject *s)
{
    if (s->client)
        txn_client_abandon(s->f->layer, s->client);
    else
        txn_server_abandon(s->f->layer, s->server);
}

/* To the moment just before or of the timer; what the other timer does on the way is not of interest. */
static void let_timer_fire(struct subject *s, const char *name)
{
    ms_t now = s->f->wheel.now_ms - FAKE_START_MS;

    for (int timer = 1; timer < TXN_TIMER_COUNT; timer++) {
        if (strcmp(name, txn_timer_name((enum txn_timer)timer)) == 0) {
            ms_t value = txn_timer_value_ms((enum txn_timer)timer, &txn_times_default, false);

            assert_true(value > 0 && value != MS_NEVER);
            fake_advance_to(s->f, now + value - 1);
            fake_forget(s->f);
            fake_advance(s->f, 1);
            return;
        }
    }
    fail_msg("what is '%s'?", name);
}

/* "1xx", "300-699 from TU", "408 from TU": a status of that range. */
static unsigned status_in(const char *event)
{
    return strstr(event, "xx") ? (unsigned)(event[0] - '0') * 100 + 83
                               : (unsigned)atoi(event) + (event[3] == '-');
}

static void make_happen(struct subject *s, const char *event)
{
    if (strcmp(event, "Transport Err.") == 0)
        let_fail(s);
    else if (strcmp(event, "abandoned by TU") == 0)
        abandon(s);
    else if (strcmp(event, "INVITE") == 0 || strcmp(event, "ACK") == 0)
        s->match = fake_again(s->f, event);
    else if (strcmp(event, "Request") == 0)
        s->match = fake_again(s->f, s->method);
    else if (event[0] >= '1' && event[0] <= '9')
        give_status(s, status_in(event));
    else
        let_timer_fire(s, event);
}

static unsigned count_lines(const struct subject *s, const char *word)
{
    unsigned n = 0;

    for (const char *at = s->f->text; (at = strstr(at, word)); at += strlen(word))
        n++;
    return n;
}

static void check_outcome(struct subject *s, const struct expected *e)
{
    static const struct {
        unsigned effect;
        const char *line;
    } lines[] = {
        {TXN_TELL_RESPONSE, " up "},    {TXN_TELL_TIMEOUT, " timeout\n"}, {TXN_TELL_ERROR, " error\n"},
        {TXN_TELL_NO_ACK, " no ack\n"}, {TXN_TELL_DUE, " trying due\n"},  {TXN_ACK, " send ACK\n"},
    };
    unsigned effects = expected_effects(e), sends = effects & (TXN_SEND | TXN_REPEAT | TXN_ACK) ? 1 : 0;
    bool ends = strcmp(e->next, "Terminated") == 0;

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        if (count_lines(s, lines[i].line) != (effects & lines[i].effect ? 1u : 0u))
            fail_msg("line %d: '%s'", e->line, s->f->text);
    if (count_lines(s, " send ") != sends || count_lines(s, " done\n") != (ends ? 1u : 0u))
        fail_msg("line %d: '%s'", e->line, s->f->text);
    assert_int_equal(s->rc, effects & TXN_REFUSE ? ERR_DENIED : 0);
    assert_int_equal(s->match == TXN_MATCH_ACCEPTED, (effects & TXN_GIVE_ACK) != 0);
    assert_int_equal(txn_layer_count(s->f->layer), ends ? 0 : 1);
    if (!ends)
        assert_string_equal(state_name(s), strcmp(e->next, "ignore") == 0 ? e->state : e->next);
}

static const struct path *path_to(const struct expected *e)
{
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        if (paths[i].machine == e->machine && strcmp(paths[i].state, e->state) == 0)
            return &paths[i];
    fail_msg("line %d: no path to this state", e->line);
    return NULL;
}

static bool is_of_late_100(const struct expected *e)
{
    return e->machine == &txn_server_non_invite && strcmp(e->state, "Trying") == 0 &&
           strcmp(e->event, "100 from TU") == 0;
}

static void check_through_api(const struct expected *e)
{
    const struct path *path = path_to(e);
    struct subject s;

    bring_into(&s, path);
    if (is_of_late_100(e)) {
        take_step(&s, "wait");
        fake_forget(s.f);
    }
    make_happen(&s, e->event);
    check_outcome(&s, e);
    fake_free(s.f);
}

static void every_cell_does_what_it_says(void **state)
{
    static struct expected expected[EXPECTED_MAX];
    size_t n = expected_load(expected), checked = 0;

    (void)state;
    for (size_t i = 0; i < n; i++) {
        if (expected[i].kind != EXPECTED_CELL || strcmp(expected[i].state, "Terminated") == 0 ||
            strcmp(expected[i].next, "bug") == 0)
            continue;
        check_through_api(&expected[i]);
        checked++;
    }
    print_message("%u cells checked through the API\n", (unsigned)checked);
    assert_true(checked > 80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell_does_what_it_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
