/* Targets that stand in for each other: RFC 3261 sections 16.5, 16.6 steps 6 and 7, 16.7, 9.1; RFC 3263
 * section 4.3. */
#include "world.h"

#define MEMBERS 3

struct observer {
    struct proxy_watch watch;
    unsigned begun, ended, begun_of[MEMBERS], ended_of[MEMBERS];
    unsigned last, status;
    enum proxy_try how;
    bool has_rung, has_response;
    bool goes_on; /* what `ended` says */
};

static struct observer observed;

static void on_begun(const struct proxy_watch *watch, struct proxy_request *req, unsigned member)
{
    struct observer *o = &observed;

    assert_ptr_equal(watch, &o->watch);
    (void)req;
    o->begun++;
    o->begun_of[member]++;
}

static bool on_ended(const struct proxy_watch *watch, struct proxy_request *req, unsigned member,
                     const struct proxy_outcome *outcome)
{
    struct observer *o = &observed;

    assert_ptr_equal(watch, &o->watch);
    (void)req;
    o->ended++;
    o->ended_of[member]++;
    o->last = member;
    o->status = outcome->status;
    o->how = outcome->how;
    o->has_rung = outcome->has_rung;
    o->has_response = outcome->response != NULL;
    return o->goes_on;
}

static const char *const uris[MEMBERS] = {"sip:b@192.0.2.20", "sip:b@192.0.2.21", "sip:b@192.0.2.22"};

static enum proxy_verdict add_members(struct proxy_request *req, void *ctx)
{
    struct observer *o = ctx;

    for (unsigned i = 0; i < MEMBERS; i++) {
        const struct proxy_binding binding = {
            .uri = slice_from_cstr(uris[i]), .q_milli = 1000 - i, .watch = &o->watch, .member = i};

        assert_int_equal(proxy_add_target(req, &binding), 0);
    }
    return PROXY_NEXT;
}

struct setting {
    struct world w;
    struct proxy_step chain[6];
};

static void begin(struct setting *s, bool goes_on)
{
    memset(s, 0, sizeof(*s));
    memset(&observed, 0, sizeof(observed));
    world_init(&s->w);
    observed.watch =
        (struct proxy_watch){.begun = on_begun, .ended = on_ended, .timeout_ms = 4000, .progress_ms = 9000};
    observed.goes_on = goes_on;
    s->chain[0] = (struct proxy_step){"validate", proxy_step_validate, NULL};
    s->chain[1] = (struct proxy_step){"route", proxy_step_route, NULL};
    s->chain[2] = (struct proxy_step){"members", add_members, &observed};
    s->chain[3] = (struct proxy_step){"targets", proxy_step_targets, NULL};
    s->chain[4] = (struct proxy_step){"forward", proxy_step_forward, NULL};
    s->w.opts.chain = s->chain;
    world_start(&s->w);
}

static const struct sent *take_from(struct setting *s, const char *start, const char *peer)
{
    const struct sent *sent = take_starting(&s->w, start);

    assert_goes_to(sent, peer);
    return sent;
}

/* Nothing else is sent than repetitions of what was sent before. */
static void skip_repeats(struct setting *s, const char *start)
{
    while (s->w.n_taken < s->w.n_sent && strncmp(s->w.sent[s->w.n_taken].text, start, strlen(start)) == 0)
        s->w.n_taken++;
}

static const struct sent *call(struct setting *s)
{
    invite(&s->w);
    (void)take_starting(&s->w, "SIP/2.0 100");
    return take_from(s, "INVITE ", BOB);
}

static void stop(struct setting *s, unsigned tries)
{
    world_stop(&s->w);
    assert_int_equal(observed.begun, tries);
    assert_int_equal(observed.ended, tries);
    for (unsigned i = 0; i < MEMBERS; i++)
        assert_int_equal(observed.begun_of[i], observed.ended_of[i]);
}

static void the_watch_says_that_the_next_is_tried(void **state)
{
    const struct sent *first, *second;
    struct setting s;

    (void)state;
    begin(&s, true);
    first = call(&s);
    assert_silence(&s.w);
    respond(&s.w, first, 500, "a");
    (void)take_from(&s, "ACK ", BOB);
    second = take_from(&s, "INVITE ", BOB2);
    assert_string_not_equal(header(first, "Via", 0), header(second, "Via", 0)); /* a branch of its own */
    assert_int_equal(observed.how, PROXY_TRY_ANSWERED);
    assert_int_equal(observed.status, 500);
    assert_true(observed.has_response && !observed.has_rung);
    respond(&s.w, second, 200, "b");
    (void)take_starting(&s.w, "SIP/2.0 200");
    assert_int_equal(observed.status, 200);
    assert_silence(&s.w);
    stop(&s, 2);
}

static void the_watch_says_that_no_other_is_tried(void **state)
{
    struct setting s;

    (void)state;
    begin(&s, false);
    respond(&s.w, call(&s), 486, "a");
    (void)take_from(&s, "ACK ", BOB);
    (void)take_starting(&s.w, "SIP/2.0 486");
    assert_silence(&s.w);
    stop(&s, 1);
}

static void a_transport_error_is_unreachable(void **state)
{
    struct setting s;

    (void)state;
    begin(&s, true);
    proxy_send_failed(s.w.proxy, call(&s)->token);
    assert_int_equal(observed.how, PROXY_TRY_UNREACHABLE);
    assert_int_equal(observed.status, 503);
    respond(&s.w, take_from(&s, "INVITE ", BOB2), 200, "b");
    (void)take_starting(&s.w, "SIP/2.0 200");
    stop(&s, 2);
}

/* The one that is given up is cancelled when it says something (section 9.1), and only then. */
static void silence_for_timeout_ms_gives_the_target_up(void **state)
{
    const struct sent *first, *second;
    struct setting s;

    (void)state;
    begin(&s, true);
    first = call(&s);
    world_advance(&s.w, 3999);
    skip_repeats(&s, "INVITE sip:b@192.0.2.20 ");
    assert_int_equal(observed.ended, 0);
    world_advance(&s.w, 1);
    assert_int_equal(observed.how, PROXY_TRY_SILENT);
    assert_int_equal(observed.status, 408);
    second = take_from(&s, "INVITE ", BOB2);
    respond(&s.w, second, 180, "b");
    (void)take_starting(&s.w, "SIP/2.0 180");
    assert_silence(&s.w);
    respond(&s.w, first, 183, "a");
    (void)take_starting(&s.w, "SIP/2.0 183");
    respond(&s.w, take_from(&s, "CANCEL ", BOB), 200, "a");
    respond(&s.w, first, 487, "a");
    (void)take_from(&s, "ACK ", BOB);
    assert_silence(&s.w);
    respond(&s.w, second, 200, "b");
    (void)take_starting(&s.w, "SIP/2.0 200");
    assert_silence(&s.w);
    stop(&s, 2);
}

/* Section 16.7 step 5: "Any 2xx response to an INVITE request" is forwarded. */
static void a_2xx_of_one_that_was_given_up_is_taken(void **state)
{
    const struct sent *first, *second;
    struct setting s;

    (void)state;
    begin(&s, true);
    first = call(&s);
    world_advance(&s.w, 4000);
    skip_repeats(&s, "INVITE sip:b@192.0.2.20 ");
    second = take_from(&s, "INVITE ", BOB2);
    respond(&s.w, second, 180, "b");
    (void)take_starting(&s.w, "SIP/2.0 180");
    respond(&s.w, first, 200, "a");
    (void)take_starting(&s.w, "SIP/2.0 200");
    respond(&s.w, take_from(&s, "CANCEL ", BOB2), 200, "b");
    respond(&s.w, second, 487, "b");
    (void)take_from(&s, "ACK ", BOB2);
    assert_silence(&s.w);
    stop(&s, 2);
}

static void no_more_than_100_for_progress_ms_gives_it_up_too(void **state)
{
    const struct sent *first;
    struct setting s;

    (void)state;
    begin(&s, true);
    first = call(&s);
    world_advance(&s.w, 400);
    respond(&s.w, first, 100, NULL);
    world_advance(&s.w, 8999);
    assert_silence(&s.w);
    world_advance(&s.w, 1);
    respond(&s.w, take_from(&s, "CANCEL ", BOB), 200, "a");
    respond(&s.w, take_from(&s, "INVITE ", BOB2), 200, "b");
    (void)take_starting(&s.w, "SIP/2.0 200");
    respond(&s.w, first, 487, "a");
    (void)take_from(&s, "ACK ", BOB);
    assert_silence(&s.w);
    stop(&s, 2);
}

/* Neither its patience nor the ring time (20 s here) ends what rings; Timer C does, and then nobody else is
 * tried unless the watch wants it. */
static void what_rings_is_left_to_ring(void **state)
{
    const struct sent *first;
    struct setting s;

    (void)state;
    begin(&s, false);
    first = call(&s);
    respond(&s.w, first, 180, "a");
    (void)take_starting(&s.w, "SIP/2.0 180");
    world_advance(&s.w, 199999);
    assert_silence(&s.w);
    world_advance(&s.w, 1);
    respond(&s.w, take_from(&s, "CANCEL ", BOB), 200, "a");
    respond(&s.w, first, 487, "a");
    (void)take_from(&s, "ACK ", BOB);
    (void)take_starting(&s.w, "SIP/2.0 487");
    assert_true(observed.has_rung);
    stop(&s, 1);
}

/* Whom nobody can stand in for has all the time that the transaction gives it (Timer B). */
static void the_last_one_is_not_given_up(void **state)
{
    struct setting s;

    (void)state;
    begin(&s, true);
    (void)call(&s);
    world_advance(&s.w, 8000);
    assert_int_equal(observed.begun, 3);
    assert_int_equal(observed.ended, 2);
    world_advance(&s.w, 31999);
    assert_int_equal(observed.ended, 2);
    skip_repeats(&s, "INVITE ");
    assert_silence(&s.w);
    world_advance(&s.w, 1);
    (void)take_starting(&s.w, "SIP/2.0 408");
    stop(&s, 3);
}

static void without_times_it_is_the_transactions_own(void **state)
{
    struct setting s;

    (void)state;
    begin(&s, true);
    observed.watch.timeout_ms = observed.watch.progress_ms = 0;
    (void)call(&s);
    world_advance(&s.w, 31999);
    assert_int_equal(observed.begun, 1);
    world_advance(&s.w, 1);
    assert_int_equal(observed.begun, 2);
    assert_int_equal(observed.how, PROXY_TRY_SILENT);
    world_advance(&s.w, 32000);
    assert_int_equal(observed.begun, 3);
    world_advance(&s.w, 32000);
    s.w.n_taken = s.w.n_sent - 1;
    (void)take_starting(&s.w, "SIP/2.0 408");
    stop(&s, 3);
}

/* A non-INVITE cannot be cancelled (section 9.1); whoever answers first has answered. */
static void a_non_invite_is_tried_elsewhere_and_may_still_answer(void **state)
{
    const struct sent *first, *second;
    struct setting s;

    (void)state;
    begin(&s, true);
    request(&s.w, &(struct call){.method = "MESSAGE", .ruri = "sip:bob@example.com"});
    first = take_from(&s, "MESSAGE ", BOB);
    world_advance(&s.w, 4000);
    skip_repeats(&s, "MESSAGE sip:b@192.0.2.20 ");
    (void)take_starting(&s.w, "SIP/2.0 100"); /* RFC 4320 section 4.1 */
    skip_repeats(&s, "MESSAGE sip:b@192.0.2.20 ");
    second = take_from(&s, "MESSAGE ", BOB2);
    respond(&s.w, first, 200, "a");
    (void)take_starting(&s.w, "SIP/2.0 200");
    respond(&s.w, second, 200, "b");
    assert_silence(&s.w);
    stop(&s, 2);
}

static void a_cancelled_call_tries_nobody_else(void **state)
{
    const struct sent *first;
    struct setting s;

    (void)state;
    begin(&s, true);
    first = call(&s);
    respond(&s.w, first, 100, NULL);
    request(&s.w, &(struct call){.method = "CANCEL", .ruri = "sip:bob@example.com"});
    (void)take_starting(&s.w, "SIP/2.0 200");
    respond(&s.w, take_from(&s, "CANCEL ", BOB), 200, "a");
    world_advance(&s.w, 20000);
    respond(&s.w, first, 487, "a");
    (void)take_from(&s, "ACK ", BOB);
    (void)take_starting(&s.w, "SIP/2.0 487");
    assert_silence(&s.w);
    stop(&s, 1);
}

static void an_address_that_is_not_found_is_unreachable(void **state)
{
    struct setting s;

    (void)state;
    begin(&s, true);
    s.w.resolve_later = true;
    invite(&s.w);
    (void)take_starting(&s.w, "SIP/2.0 100");
    s.w.resolve_later = false;
    proxy_resolved(s.w.proxy, s.w.ticket, ERR_NOTFOUND, NULL, 0);
    assert_int_equal(observed.how, PROXY_TRY_UNREACHABLE);
    respond(&s.w, take_from(&s, "INVITE ", BOB2), 200, "b");
    (void)take_starting(&s.w, "SIP/2.0 200");
    stop(&s, 2);
}

static void the_end_of_the_proxy_is_told(void **state)
{
    struct setting s;

    (void)state;
    begin(&s, true);
    (void)call(&s);
    proxy_free(s.w.proxy);
    assert_int_equal(observed.ended, 1);
    assert_int_equal(observed.how, PROXY_TRY_DROPPED);
    assert_int_equal(mem_held_bytes(), s.w.held_before);
    free(s.w.sent);
}

/* However little memory there is, whoever began has ended. */
static void out_of_memory_each_begun_has_its_ended(void **state)
{
    (void)state;
    for (int64_t n = 0; n < 40; n++) {
        struct setting s;

        begin(&s, true);
        mem_fail_after(n);
        invite(&s.w);
        world_advance(&s.w, 4000);
        world_advance(&s.w, 4000);
        mem_fail_after(-1);
        world_advance(&s.w, 400000);
        assert_int_equal(observed.begun, observed.ended);
        world_stop(&s.w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_watch_says_that_the_next_is_tried),
        cmocka_unit_test(the_watch_says_that_no_other_is_tried),
        cmocka_unit_test(a_transport_error_is_unreachable),
        cmocka_unit_test(silence_for_timeout_ms_gives_the_target_up),
        cmocka_unit_test(a_2xx_of_one_that_was_given_up_is_taken),
        cmocka_unit_test(no_more_than_100_for_progress_ms_gives_it_up_too),
        cmocka_unit_test(what_rings_is_left_to_ring),
        cmocka_unit_test(the_last_one_is_not_given_up),
        cmocka_unit_test(without_times_it_is_the_transactions_own),
        cmocka_unit_test(a_non_invite_is_tried_elsewhere_and_may_still_answer),
        cmocka_unit_test(a_cancelled_call_tries_nobody_else),
        cmocka_unit_test(an_address_that_is_not_found_is_unreachable),
        cmocka_unit_test(the_end_of_the_proxy_is_told),
        cmocka_unit_test(out_of_memory_each_begun_has_its_ended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
