/* What overload tells the world; who is refused and how is told by tests/scenario/overload. */
#include "world.h"

#include "proxy/token.h"

#define INVITE(branch, more)                                                                                 \
    "INVITE sip:bob@example.com SIP/2.0\r\n"                                                                 \
    "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=" branch "\r\n" more "From: <sip:alice@example.com>;tag=a\r\n"  \
    "To: <sip:bob@example.com>\r\n"                                                                          \
    "Call-ID: call\r\n"                                                                                      \
    "CSeq: 1 INVITE\r\n"                                                                                     \
    "Max-Forwards: 70\r\n"                                                                                   \
    "Content-Length: 0\r\n\r\n"
#define OURS "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKvd03-0123456789abcdef-0123456789abcdef\r\n"

static struct world w;
static char mark[32]; /* that was told last; "": none */
static unsigned told;

static void absorb(void *ctx, struct slice told_mark)
{
    assert_ptr_equal(ctx, &w);
    told++;
    memset(mark, 0, sizeof(mark));
    if (!slice_is_null(told_mark))
        memcpy(mark, told_mark.ptr, told_mark.len);
}

static int set_up(void **state)
{
    (void)state;
    world_init(&w);
    w.opts.pressure = (struct pressure_opts){.target_us = 10000, .interval_ms = 100};
    w.ports.absorb = absorb;
    told = 0;
    world_start(&w);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    proxy_free(w.proxy);
    free(w.sent);
    return mem_held_bytes() == w.held_before ? 0 : -1;
}

static void overload_begins(void)
{
    for (unsigned i = 0; i <= 100; i++) {
        world_advance(&w, 1);
        proxy_waited(w.proxy, 0, 20000, 0);
    }
}

static void overload_ends(void)
{
    proxy_waited(w.proxy, 0, 0, 0);
    world_advance(&w, 1001);
}

/* The To tag of the response that was sent. */
static const char *tag_of_refusal(void)
{
    return strstr(header(take_starting(&w, "SIP/2.0 503 "), "To", 0), ";tag=") + 5;
}

static void the_mark_is_told_when_overload_begins_and_taken_back_when_it_ends(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= 2; i++) {
        overload_begins();
        assert_int_equal(told, 2 * i - 1);
        assert_int_equal(strlen(mark), PROXY_REFUSAL_MARK_BYTES);
        overload_ends();
        world_advance(&w, 33000);
        assert_int_equal(told, 2 * i);
        assert_string_equal(mark, "");
    }
}

/* Section 17.1.1.2: copies of it, and so ACKs, may come for 64*T1. */
static void while_acks_may_come_the_mark_is_not_taken_back(void **state)
{
    (void)state;
    overload_begins();
    overload_ends();
    overload_begins();
    world_receive(&w, UDP4, "192.0.2.10:5060", INVITE("z9hG4bK1", ""));
    take_starting(&w, "SIP/2.0 503 ");
    overload_ends();
    assert_int_equal(told, 1);
    world_advance(&w, 34000);
    assert_int_equal(told, 2);
    assert_string_equal(mark, "");
}

static void without_the_port_all_is_the_same(void **state)
{
    (void)state;
    proxy_free(w.proxy);
    w.ports.absorb = NULL;
    world_start(&w);
    overload_begins();
    world_receive(&w, UDP4, "192.0.2.10:5060", INVITE("z9hG4bK1", ""));
    assert_int_equal(strlen(tag_of_refusal()), PROXY_REFUSAL_TAG_BYTES);
    overload_ends();
    assert_int_equal(told, 0);
}

static void what_is_refused_has_the_mark_in_its_to_tag_by_either_way(void **state)
{
    (void)state;
    overload_begins();
    world_receive(&w, UDP4, "192.0.2.10:5060", INVITE("z9hG4bK1", ""));
    assert_memory_equal(tag_of_refusal(), mark, PROXY_REFUSAL_MARK_BYTES);
    world_receive(&w, UDP4, "192.0.2.10:5060", INVITE("z9hG4bK1", "Subject: a\r\n folded line\r\n"));
    assert_memory_equal(tag_of_refusal(), mark, PROXY_REFUSAL_MARK_BYTES);
    assert_string_equal(w.sent[0].text, w.sent[1].text);
}

/* The refusal comes back here, where nothing is known of it (section 16.11), or as a response with another
 * status and this To tag, which its server transaction repeats until the ACK comes (section 17.2.1). */
static void the_refusal_of_what_was_here_before_has_no_mark_for_its_ack_is_needed(void **state)
{
    (void)state;
    overload_begins();
    world_receive(&w, UDP4, "192.0.2.10:5060", INVITE("z9hG4bK1", OURS));
    assert_int_equal(strlen(tag_of_refusal()), PROXY_TO_TAG_BYTES);
    world_receive(&w, UDP4, "192.0.2.10:5060", INVITE("z9hG4bK1", OURS "Subject: a\r\n folded line\r\n"));
    assert_int_equal(strlen(tag_of_refusal()), PROXY_TO_TAG_BYTES);
    assert_string_equal(w.sent[0].text, w.sent[1].text);
}

static void receive_ack(const char *to_tag)
{
    char ack[1024];

    snprintf(ack, sizeof(ack),
             "ACK sip:bob@192.0.2.77 SIP/2.0\r\n"
             "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK2\r\n" /* not that of its INVITE */
             "From: <sip:alice@example.com>;tag=a\r\n"
             "To: <sip:bob@example.com>;tag=%s\r\n"
             "Call-ID: call\r\n"
             "CSeq: 1 ACK\r\n"
             "Max-Forwards: 70\r\n"
             "Content-Length: 0\r\n\r\n",
             to_tag);
    world_receive(&w, UDP4, "192.0.2.10:5060", ack);
}

/* It came by a stream, or the kernel could not tell it, or overload has ended, and it has been forgotten by
 * its Via. */
static void an_ack_with_the_mark_that_comes_all_the_same_is_absorbed(void **state)
{
    char tag[64] = "";

    (void)state;
    overload_begins();
    world_receive(&w, UDP4, "192.0.2.10:5060", INVITE("z9hG4bK1", ""));
    strncpy(tag, tag_of_refusal(), sizeof(tag) - 1);
    receive_ack(tag);
    assert_silence(&w);
    overload_ends();
    receive_ack(tag);
    assert_silence(&w);
    tag[PROXY_REFUSAL_TAG_BYTES - 1] ^= 1;
    receive_ack(tag);
    take_starting(&w, "ACK ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        T(the_mark_is_told_when_overload_begins_and_taken_back_when_it_ends),
        T(while_acks_may_come_the_mark_is_not_taken_back),
        T(without_the_port_all_is_the_same),
        T(what_is_refused_has_the_mark_in_its_to_tag_by_either_way),
        T(the_refusal_of_what_was_here_before_has_no_mark_for_its_ack_is_needed),
        T(an_ack_with_the_mark_that_comes_all_the_same_is_absorbed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
