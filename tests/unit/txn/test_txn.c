/* The driver: calls from inside ops, transport errors and their tokens, detached users, budgets, memory. */
#include "fake_txn.h"

#define UDP SIP_TRANSPORT_UDP
#define TCP SIP_TRANSPORT_TCP

static bool is(const char *what, const char *prefix)
{
    return strncmp(what, prefix, strlen(prefix)) == 0;
}

/* Calls from inside ops */

static void abandon_the_same(struct fake *f, const char *what, struct txn_client *client,
                             struct txn_server *server)
{
    (void)server;
    if (!is(what, "up") && !is(what, "timeout") && !is(what, "client error"))
        return;
    txn_client_abandon(f->layer, client);
    /* It is still there, until the outermost call ends. */
    assert_string_equal(txn_client_state_name(client), "Terminated");
    assert_ptr_equal(txn_client_user(client), f);
    assert_null(strstr(f->text, "done"));
}

static void user_may_abandon_the_transaction_it_is_told_about(void **state)
{
    struct fake *f = fake_new();

    (void)state;
    f->hook = abandon_the_same;
    fake_client(f, "INVITE", UDP);
    fake_receive(f, 180, "INVITE", NULL);
    fake_expect(f, "0 send INVITE\n0 up 180\n0 client done\n");
    fake_client(f, "INVITE", UDP);
    fake_advance(f, 32000);
    fake_forget(f);
    assert_int_equal(txn_layer_count(f->layer), 0);
    fake_client(f, "OPTIONS", UDP);
    txn_send_failed(f->layer, f->last_token);
    fake_expect(f, "32000 send OPTIONS\n32000 client error\n32000 client done\n");
    fake_free(f);
}

static void forward(struct fake *f, const char *what, struct txn_client *client, struct txn_server *server)
{
    struct txn_server *t = f->hook_ctx;

    (void)client;
    (void)server;
    if (is(what, "up"))
        assert_int_equal(fake_respond(f, t, (unsigned)atoi(what + 3)), 0);
}

static void user_may_answer_upstream_while_a_response_is_passed_up(void **state)
{
    struct fake *f = fake_new();
    struct txn_server *server = fake_server(f, "INVITE", UDP);

    (void)state;
    f->hook = forward;
    f->hook_ctx = server;
    fake_client(f, "INVITE", UDP);
    fake_receive(f, 180, "INVITE", NULL);
    fake_receive(f, 200, "INVITE", NULL);
    fake_receive(f, 200, "INVITE", NULL);
    fake_expect(f, "0 send INVITE\n0 up 180\n0 send 180\n0 up 200\n0 send 200\n0 up 200\n0 send 200\n");
    assert_string_equal(txn_server_state_name(server), "Accepted");
    fake_free(f);
}

static void answer_100(struct fake *f, const char *what, struct txn_client *client, struct txn_server *server)
{
    (void)client;
    if (is(what, "trying due"))
        assert_int_equal(fake_respond(f, server, 100), 0);
}

static void user_may_answer_100_when_told_that_it_is_due(void **state)
{
    struct fake *f = fake_new();

    (void)state;
    f->hook = answer_100;
    fake_server(f, "OPTIONS", UDP);
    fake_advance(f, 60000);
    fake_expect(f, "3500 trying due\n3500 send 100\n");
    fake_free(f);
}

/* A failed branch is tried elsewhere, with a new one: section 16.7 step 4 of a proxy. */
static void try_next(struct fake *f, const char *what, struct txn_client *client, struct txn_server *server)
{
    struct wire *w;
    struct sip_hop hop = fake_hop(UDP);
    struct txn_client *t;

    (void)server;
    if (!is(what, "client done") || f->hook_ctx)
        return;
    f->hook_ctx = client;
    w = fake_request_wire((struct fake_message){.via = "SIP/2.0/UDP p.example.com;branch=z9hG4bK-2"});
    assert_int_equal(
        txn_client_new(f->layer, SIP_METHOD_INVITE, SLICE("INVITE"), SLICE("z9hG4bK-2"), w, &hop, f, &t), 0);
    wire_unref(w);
}

static void user_may_create_transactions_from_done(void **state)
{
    struct fake *f = fake_new();

    (void)state;
    f->hook = try_next;
    fake_client(f, "INVITE", UDP);
    fake_advance(f, 32000);
    assert_int_equal(txn_layer_count(f->layer), 1);
    assert_int_equal(txn_layer_count_pending(f->layer), 1);
    fake_forget(f);
    fake_advance(f, 32000);
    assert_int_equal(txn_layer_count(f->layer), 0);
    fake_free(f);
}

static void abandon_the_other(struct fake *f, const char *what, struct txn_client *client,
                              struct txn_server *server)
{
    struct txn_client *other = f->hook_ctx;

    (void)client;
    (void)server;
    if (is(what, "client done") && other) {
        f->hook_ctx = NULL;
        txn_client_abandon(f->layer, other);
    }
}

static void user_may_end_others_from_done(void **state)
{
    struct fake *f = fake_new();
    struct txn_client *one = fake_client(f, "INVITE", UDP);

    (void)state;
    f->hook = abandon_the_other;
    f->hook_ctx = fake_client(f, "OPTIONS", UDP);
    fake_forget(f);
    txn_client_abandon(f->layer, one);
    fake_expect(f, "0 client done\n0 client done\n");
    assert_int_equal(txn_layer_count(f->layer), 0);
    fake_free(f);
}

static void answer_too_late(struct fake *f, const char *what, struct txn_client *client,
                            struct txn_server *server)
{
    (void)client;
    if (is(what, "no ack") || is(what, "server done")) {
        assert_string_equal(txn_server_state_name(server), "Terminated");
        assert_int_equal(fake_respond(f, server, 200), ERR_DENIED);
        assert_int_equal(fake_respond(f, server, 500), ERR_DENIED);
        assert_int_equal(fake_again(f, "INVITE"), TXN_MATCH_NONE);
    }
}

static void nothing_is_sent_by_a_terminated_transaction(void **state)
{
    struct fake *f = fake_new();
    struct txn_server *t = fake_server(f, "INVITE", TCP);

    (void)state;
    f->hook = answer_too_late;
    fake_respond(f, t, 486);
    fake_advance(f, 40000);
    fake_expect(f, "0 send 486\n32000 no ack\n32000 server done\n");
    fake_free(f);
}

/* A server on the same host answers before the send returns. */
static void answer_inside_send(struct fake *f, const char *what, struct txn_client *client,
                               struct txn_server *server)
{
    (void)client;
    (void)server;
    if (is(what, "send INVITE"))
        fake_receive(f, 486, "INVITE", ";tag=b1");
    else if (is(what, "send ACK") && txn_layer_count(f->layer) < 3)
        fake_receive(f, 486, "INVITE", ";tag=b1");
}

static void response_may_be_received_inside_send(void **state)
{
    struct fake *f = fake_new();

    (void)state;
    fake_server(f, "OPTIONS", UDP);
    fake_server(f, "INFO", UDP);
    f->hook = answer_inside_send;
    fake_client(f, "INVITE", UDP);
    fake_expect(f, "0 send INVITE\n0 send ACK\n0 up 486\n");
    fake_free(f);
}

static void responding_does_not_end_a_transaction_within_the_call(void **state)
{
    struct fake *f = fake_new();
    struct txn_server *t = fake_server(f, "OPTIONS", TCP);

    (void)state;
    fake_respond(f, t, 200);
    /* What a user does when it has no more to say. */
    txn_server_set_user(t, NULL);
    assert_null(txn_server_user(t));
    fake_advance(f, 0);
    fake_expect(f, "0 send 200\n");
    assert_int_equal(txn_layer_count(f->layer), 0);
    fake_free(f);
}

/* Transport errors */

static void fail_at_once(struct fake *f, const char *what, struct txn_client *client,
                         struct txn_server *server)
{
    (void)client;
    (void)server;
    if (is(what, "send") && f->hook_ctx) {
        f->hook_ctx = NULL;
        txn_send_failed(f->layer, f->last_token);
    }
}

static void error_of_the_first_transmission_comes_after_the_call(void **state)
{
    struct fake *f = fake_new();

    (void)state;
    f->hook = fail_at_once;
    f->hook_ctx = f;
    fake_client(f, "INVITE", UDP);
    fake_expect(f, "0 send INVITE\n");
    fake_advance(f, 0);
    fake_expect(f, "0 client error\n0 client done\n");
    fake_free(f);
}

static void error_that_waits_is_dropped_when_an_answer_comes_first(void **state)
{
    struct fake *f = fake_new();

    (void)state;
    f->hook = fail_at_once;
    f->hook_ctx = f;
    fake_client(f, "OPTIONS", UDP);
    fake_receive(f, 200, "OPTIONS", NULL);
    fake_advance(f, 4999);
    fake_expect(f, "0 send OPTIONS\n0 up 200\n");
    fake_advance(f, 1);
    fake_expect(f, "5000 client done\n");
    fake_free(f);
}

static void error_of_a_response_inside_send_leaves_the_timers_running(void **state)
{
    struct fake *f = fake_new();
    struct txn_server *t = fake_server(f, "INVITE", UDP);

    (void)state;
    f->hook = fail_at_once;
    f->hook_ctx = f;
    fake_respond(f, t, 486);
    fake_advance(f, 1500);
    fake_expect(f, "0 send 486\n0 server error\n500 send 486\n1500 send 486\n");
    fake_free(f);
}

static void unknown_tokens_are_ignored(void **state)
{
    struct fake *f = fake_new();

    (void)state;
    fake_client(f, "INVITE", UDP);
    txn_send_failed(f->layer, 0);
    txn_send_failed(f->layer, f->last_token + 1);
    txn_send_failed(f->layer, UINT64_MAX);
    fake_expect(f, "0 send INVITE\n");
    fake_free(f);
}

static void tokens_tell_all_transactions_of_one_branch_apart(void **state)
{
    struct fake *f = fake_new();
    uint64_t tokens[4];

    (void)state;
    fake_client(f, "INVITE", UDP);
    tokens[0] = f->last_token;
    fake_client(f, "CANCEL", UDP);
    tokens[1] = f->last_token;
    fake_respond(f, fake_server(f, "INVITE", UDP), 180);
    tokens[2] = f->last_token;
    fake_respond(f, fake_server(f, "CANCEL", UDP), 200);
    tokens[3] = f->last_token;
    for (int i = 0; i < 4; i++) {
        assert_true(tokens[i] != 0);
        for (int j = 0; j < i; j++)
            assert_true(tokens[i] != tokens[j]);
    }
    fake_free(f);
}

/* Detached users */

static void detached_client_works_on_in_silence(void **state)
{
    struct fake *f = fake_new();
    struct txn_client *t = fake_client(f, "INVITE", UDP);

    (void)state;
    assert_ptr_equal(txn_client_user(t), f);
    txn_client_set_user(t, NULL);
    fake_receive(f, 180, "INVITE", NULL);
    fake_receive(f, 486, "INVITE", ";tag=b1");
    fake_receive(f, 486, "INVITE", ";tag=b1");
    fake_advance(f, 32000);
    fake_expect(f, "0 send INVITE\n0 send ACK\n0 send ACK\n");
    assert_int_equal(txn_layer_count(f->layer), 0);
    fake_client(f, "OPTIONS", UDP);
    fake_free(f);
}

static void detached_client_times_out_and_fails_in_silence(void **state)
{
    struct fake *f = fake_new();

    (void)state;
    txn_client_set_user(fake_client(f, "INVITE", TCP), NULL);
    fake_advance(f, 32000);
    assert_int_equal(fake_count(f, COUNTER_TXN_TIMEOUTS), 1);
    txn_client_set_user(fake_client(f, "INVITE", TCP), NULL);
    txn_send_failed(f->layer, f->last_token);
    fake_expect(f, "0 send INVITE\n32000 send INVITE\n");
    assert_int_equal(txn_layer_count(f->layer), 0);
    fake_free(f);
}

static void detached_server_works_on_in_silence(void **state)
{
    struct fake *f = fake_new();
    struct txn_server *invite = fake_server(f, "INVITE", UDP), *options;

    (void)state;
    options = fake_server_of(
        f, (struct fake_message){.method = "OPTIONS", .via = "SIP/2.0/UDP a.example.com;branch=z9hG4bK-2"},
        UDP);
    fake_respond(f, invite, 486);
    txn_send_failed(f->layer, f->last_token);
    fake_expect(f, "0 send 486\n0 server error\n");
    txn_server_set_user(invite, NULL);
    txn_server_set_user(options, NULL);
    txn_send_failed(f->layer, f->last_token);
    fake_advance(f, 1500);
    fake_expect(f, "500 send 486\n1500 send 486\n");
    fake_advance(f, 2000);
    fake_respond(f, options, 200);
    fake_forget(f);
    fake_advance(f, 60000);
    assert_null(strstr(f->text, "no ack"));
    assert_null(strstr(f->text, "done"));
    assert_int_equal(txn_layer_count(f->layer), 0);
    fake_free(f);
}

/* Clock */

static void when_both_timers_are_due_the_end_comes_first(void **state)
{
    struct txn_times times = txn_times_default;
    struct fake *f;

    (void)state;
    /* Timer E then fires at 500, 1500, ..., 31500 and at 32000 with Timer F. */
    times.t2_ms = 500;
    f = fake_new_with(&times, 10);
    fake_client(f, "OPTIONS", UDP);
    fake_advance(f, 31500);
    fake_forget(f);
    fake_advance(f, 500);
    fake_expect(f, "32000 timeout\n32000 client done\n");
    fake_free(f);
}

static void times_that_make_no_sense_are_refused(void **state)
{
    struct fake *f = fake_new();
    struct txn_layer *layer = NULL;

    (void)state;
    for (int i = 0; i < 4; i++) {
        struct txn_layer_opts opts = fake_opts(f);
        ms_t *fields[] = {&opts.times.t1_ms, &opts.times.t2_ms, &opts.times.t4_ms, &opts.times.timer_d_ms};

        *fields[i] = 0;
        assert_int_equal(txn_layer_new(&opts, &layer), ERR_RANGE);
        *fields[i] = 3600 * 1000 + 1;
        assert_int_equal(txn_layer_new(&opts, &layer), ERR_RANGE);
    }
    assert_null(layer);
    fake_free(f);
}

static void the_largest_times_do_not_overflow(void **state)
{
    struct txn_times times = {3600000, 3600000, 3600000, 3600000};
    struct fake *f = fake_new_with(&times, 10);

    (void)state;
    fake_client(f, "INVITE", UDP);
    fake_advance(f, UINT64_C(64) * 3600000);
    fake_expect(f, "0 send INVITE\n3600000 send INVITE\n10800000 send INVITE\n25200000 send INVITE\n"
                   "54000000 send INVITE\n111600000 send INVITE\n226800000 send INVITE\n"
                   "230400000 timeout\n230400000 client done\n");
    fake_free(f);
}

/* Budgets and errors */

static void beyond_max_transactions_there_is_no_memory(void **state)
{
    struct fake *f = fake_new_with(&txn_times_default, 2);
    struct wire *w = fake_request_wire((struct fake_message){.method = "INFO"});
    struct sip_hop hop = fake_hop(UDP);
    struct txn_client *client = NULL;
    struct txn_server *server = NULL, *first;

    (void)state;
    fake_client(f, "INVITE", UDP);
    first = fake_server(f, "OPTIONS", UDP);
    assert_int_equal(
        txn_client_new(f->layer, SIP_METHOD_INFO, SLICE("INFO"), SLICE("z9hG4bK-1"), w, &hop, f, &client),
        ERR_NOMEM);
    assert_int_equal(txn_server_new(f->layer, fake_request(f, (struct fake_message){.method = "INFO"}), NULL,
                                    &hop, f, &server),
                     ERR_NOMEM);
    assert_null(client);
    assert_null(server);
    assert_int_equal(txn_layer_count(f->layer), 2);
    assert_int_equal(fake_count(f, COUNTER_TXN_CLIENT_CREATED), 1);
    assert_int_equal(fake_count(f, COUNTER_TXN_SERVER_CREATED), 1);
    txn_server_abandon(f->layer, first);
    assert_int_equal(
        txn_client_new(f->layer, SIP_METHOD_INFO, SLICE("INFO"), SLICE("z9hG4bK-1"), w, &hop, f, &client), 0);
    wire_unref(w);
    fake_free(f);
}

static void a_second_transaction_of_the_same_key_is_refused(void **state)
{
    struct fake *f = fake_new();
    struct wire *w = fake_request_wire((struct fake_message){0});
    struct sip_hop hop = fake_hop(UDP);
    struct txn_client *client = NULL;
    struct txn_server *server = NULL;

    (void)state;
    fake_client(f, "INVITE", UDP);
    fake_server(f, "INVITE", UDP);
    fake_forget(f);
    assert_int_equal(
        txn_client_new(f->layer, SIP_METHOD_INVITE, SLICE("INVITE"), SLICE("z9hG4bK-1"), w, &hop, f, &client),
        ERR_EXISTS);
    assert_int_equal(
        txn_server_new(f->layer, fake_request(f, (struct fake_message){0}), NULL, &hop, f, &server),
        ERR_EXISTS);
    assert_null(client);
    assert_null(server);
    fake_expect(f, "");
    wire_unref(w);
    fake_free(f);
}

static void ending_the_layer_ends_all_without_effects(void **state)
{
    struct fake *f = fake_new();

    (void)state;
    fake_client(f, "INVITE", UDP);
    fake_client(f, "OPTIONS", UDP);
    fake_respond(f, fake_server(f, "INVITE", UDP), 486);
    fake_server_of(f, (struct fake_message){.via = "SIP/2.0/UDP old.example.com"}, UDP);
    fake_forget(f);
    txn_layer_free(f->layer);
    fake_expect(f, "");
    assert_int_equal(f->wheel.count, 0);
    f->layer = NULL;
    fake_free(f);
}

/* Memory */

static int64_t bytes_of(void (*make)(struct fake *f, const char *branch), unsigned pairs)
{
    struct fake *f = fake_new();
    int64_t before;
    char branch[64];

    /* The pools' blocks and the map's buckets are counted too. */
    before = mem_held_bytes();
    for (unsigned i = 0; i < pairs; i++) {
        snprintf(branch, sizeof(branch), "z9hG4bK-%u", i);
        make(f, branch);
        arena_reset(&f->arena);
        fake_forget(f);
    }
    before = mem_held_bytes() - before;
    assert_int_equal(txn_layer_count(f->layer), 2 * pairs);
    fake_free(f);
    return before;
}

static void accepted_call(struct fake *f, const char *branch)
{
    struct sip_hop hop = fake_hop(UDP);
    char via[128];
    struct txn_client *client;
    struct fake_message m = {.via = via};
    struct wire *w;

    snprintf(via, sizeof(via), "SIP/2.0/UDP p.example.com;branch=%s", branch);
    w = fake_request_wire(m);
    assert_int_equal(txn_client_new(f->layer, SIP_METHOD_INVITE, SLICE("INVITE"), slice_from_cstr(branch), w,
                                    &hop, f, &client),
                     0);
    wire_unref(w);
    fake_respond(f, fake_server_of(f, m, UDP), 200);
    txn_receive_response(f->layer, fake_response(f, 200, m));
}

static void an_ended_pair_costs_at_most_400_octets_with_pools_and_buckets(void **state)
{
    enum { PAIRS = 20500 }; /* just when the map has begun to grow */
    int64_t bytes = bytes_of(accepted_call, PAIRS);

    (void)state;
    print_message("an ended pair: %d octets\n", (int)(bytes / PAIRS));
    assert_true(bytes / PAIRS <= 400);
}

static void run_everything(struct fake *f, bool old_first, int64_t successes)
{
    static const char *const vias[] = {"SIP/2.0/UDP a.example.com;branch=z9hG4bK-1",
                                       "SIP/2.0/UDP old.example.com"};
    struct sip_hop hop = fake_hop(UDP);

    for (int i = 0; i < 2; i++) {
        bool old = (i == 0) == old_first;
        struct fake_message m = {.via = vias[old], .method = "INVITE"};
        struct sip_msg *request = fake_request(f, m), *ack, *final = fake_response(f, 486, m);
        struct wire *request_wire = fake_request_wire(m), *response = fake_response_wire(486, m);
        struct txn_server *server;
        struct txn_client *client;

        m.method = "ACK";
        m.to_tag = ";tag=b1";
        ack = fake_request(f, m);
        mem_fail_after(successes);
        if (txn_server_new(f->layer, request, NULL, &hop, f, &server) == 0) {
            assert_int_equal(txn_server_respond(f->layer, server, 486, SLICE("b1"), response), 0);
            assert_int_equal(txn_receive_request(f->layer, request, NULL), TXN_MATCH_ABSORBED);
            assert_int_equal(txn_receive_request(f->layer, ack, NULL), TXN_MATCH_ABSORBED);
        }
        if (txn_client_new(f->layer, SIP_METHOD_INVITE, SLICE("INVITE"), SLICE("z9hG4bK-1"), request_wire,
                           &hop, f, &client) == 0) {
            assert_int_equal(txn_receive_response(f->layer, final),
                             !old ? TXN_MATCH_ABSORBED : TXN_MATCH_NONE);
            assert_int_equal(txn_receive_response(f->layer, final),
                             !old ? TXN_MATCH_ABSORBED : TXN_MATCH_NONE);
        }
        fake_advance(f, 40000);
        mem_fail_after(-1);
        wire_unref(request_wire);
        wire_unref(response);
        assert_int_equal(txn_layer_count(f->layer), 0);
    }
}

static void out_of_memory_anywhere_leaves_nothing_behind(void **state)
{
    (void)state;
    for (int64_t i = 0; i < 24; i++) {
        struct fake *f = fake_new();

        run_everything(f, i % 2, i / 2);
        fake_free(f);
    }
}

static void out_of_memory_while_the_layer_is_made(void **state)
{
    struct fake *f = fake_new();
    struct txn_layer_opts opts = fake_opts(f);
    int64_t held = mem_held_bytes();
    int rc = ERR_NOMEM;

    (void)state;
    for (int64_t successes = 0; rc != 0; successes++) {
        struct txn_layer *layer = NULL;

        mem_fail_after(successes);
        rc = txn_layer_new(&opts, &layer);
        mem_fail_after(-1);
        assert_true(rc == 0 || (rc == ERR_NOMEM && !layer));
        txn_layer_free(layer);
        assert_int_equal(mem_held_bytes(), held);
        assert_true(successes < 10);
    }
    fake_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(user_may_abandon_the_transaction_it_is_told_about),
        cmocka_unit_test(user_may_answer_upstream_while_a_response_is_passed_up),
        cmocka_unit_test(user_may_answer_100_when_told_that_it_is_due),
        cmocka_unit_test(user_may_create_transactions_from_done),
        cmocka_unit_test(user_may_end_others_from_done),
        cmocka_unit_test(nothing_is_sent_by_a_terminated_transaction),
        cmocka_unit_test(response_may_be_received_inside_send),
        cmocka_unit_test(responding_does_not_end_a_transaction_within_the_call),
        cmocka_unit_test(error_of_the_first_transmission_comes_after_the_call),
        cmocka_unit_test(error_that_waits_is_dropped_when_an_answer_comes_first),
        cmocka_unit_test(error_of_a_response_inside_send_leaves_the_timers_running),
        cmocka_unit_test(unknown_tokens_are_ignored),
        cmocka_unit_test(tokens_tell_all_transactions_of_one_branch_apart),
        cmocka_unit_test(detached_client_works_on_in_silence),
        cmocka_unit_test(detached_client_times_out_and_fails_in_silence),
        cmocka_unit_test(detached_server_works_on_in_silence),
        cmocka_unit_test(when_both_timers_are_due_the_end_comes_first),
        cmocka_unit_test(times_that_make_no_sense_are_refused),
        cmocka_unit_test(the_largest_times_do_not_overflow),
        cmocka_unit_test(beyond_max_transactions_there_is_no_memory),
        cmocka_unit_test(a_second_transaction_of_the_same_key_is_refused),
        cmocka_unit_test(ending_the_layer_ends_all_without_effects),
        cmocka_unit_test(an_ended_pair_costs_at_most_400_octets_with_pools_and_buckets),
        cmocka_unit_test(out_of_memory_anywhere_leaves_nothing_behind),
        cmocka_unit_test(out_of_memory_while_the_layer_is_made),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
