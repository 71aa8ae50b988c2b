/* What a call costs while it rings, everything counted: the arena with what its blocks are rounded up to,
 * both transactions, the messages they keep, the maps' buckets, malloc's own rounding. Of the 2,280 octets
 * beyond one copy of the INVITE: response context 970, branch 280, target 128, its next hop 40, the texts of
 * the target and of the Via as tagged 80, the header and rounding of the arena's block 60; both transactions
 * 304, their buckets 30 to 50; the 180, which may have to be repeated, 400. */
#include "base/poison.h"
#include "world.h"

#define CALLS 10000

/* With sanitizers there is a red zone behind each piece. */
#define BOUND_BYTES (2400 + 24 * POISON_REDZONE_BYTES)

/* Of an ordinary length, as a telephone makes it. */
static const char extra[] =
    "Contact: <sip:alice@192.0.2.10:5060;transport=udp>\r\n"
    "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK, INFO, REFER, NOTIFY\r\n"
    "Supported: replaces, timer, 100rel\r\nUser-Agent: Telephone 1.0\r\nContent-Type: application/sdp\r\n";
static const char body[] =
    "v=0\r\no=alice 2890844526 2890844526 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n"
    "m=audio 49170 RTP/AVP 0 8 97\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:97 "
    "iLBC/8000\r\n";

static const struct proxy_binding bob[] = {{.uri = TEXT("sip:bob@192.0.2.20:5060"), .q_milli = 1000}};

static void init_large(struct world *w)
{
    world_init(w);
    w->opts.max_transactions = 4 * CALLS;
    w->opts.arena_budget_bytes = (size_t)CALLS * 16384;
    set_user(w, "sip:bob@example.com", bob, 1);
}

/* Up to the 180; returns the length of the INVITE as it came. */
static size_t ring(struct world *w, unsigned number)
{
    char branch[32], call_id[48];
    struct call call = {.method = "INVITE", .ruri = "sip:bob@example.com", .extra = extra, .body = body};
    const struct sent *invite;

    snprintf(branch, sizeof(branch), "z9hG4bKalice%u", number);
    snprintf(call_id, sizeof(call_id), "%08x-1c9d-4b7e@192.0.2.10", number);
    call.branch = branch;
    call.call_id = call_id;
    w->n_sent = w->n_taken = 0;
    request(w, &call);
    (void)take_starting(w, "SIP/2.0 100 ");
    invite = take_starting(w, "INVITE ");
    respond_with(w, invite, 180, "b1", "Contact: <sip:bob@192.0.2.20:5060>\r\n");
    (void)take_starting(w, "SIP/2.0 180 ");
    return strlen(request_text(&call));
}

static void a_ringing_call_costs_at_most_2_4_kb_beyond_one_copy_of_the_message(void **state)
{
    struct world w;
    int64_t held;
    size_t len = 0;
    long per_call;

    (void)state;
    init_large(&w);
    world_start(&w);
    held = mem_held_bytes();
    for (unsigned i = 0; i < CALLS; i++)
        len = ring(&w, i);
    per_call = (long)((mem_held_bytes() - held) / CALLS);
    print_message("a ringing call: %ld octets, %ld beyond its INVITE of %zu\n", per_call,
                  per_call - (long)len, len);
    assert_true(per_call - (long)len <= BOUND_BYTES);
    proxy_free(w.proxy);
    assert_int_equal(mem_held_bytes(), w.held_before);
    free(w.sent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ringing_call_costs_at_most_2_4_kb_beyond_one_copy_of_the_message),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
