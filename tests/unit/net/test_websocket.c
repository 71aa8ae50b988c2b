#include "base/mem.h"
#include "net/websocket.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs those above. */
#include <cmocka.h>

#define HANDSHAKE                                                                                            \
    "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"                             \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: "   \
    "sip\r\n\r\n"
#define MESSAGE_BYTES 70000
#define STREAM_BYTES  (256 * 1024)

enum { CONTINUATION = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10, FIN = 0x80, UNMASKED = 0x100 };

static const struct net_upgrade_policy policy = {.protocol = {"sip", 3}};

/* One client, as the WebSocket sees it. */
static struct {
    struct net_websocket *ws;
    char in[STREAM_BYTES], out[STREAM_BYTES], messages[STREAM_BYTES];
    size_t in_len, out_len, messages_len;
    unsigned n_messages, n_alive, status;
    int write_error;
    bool echo;
} peer;

static int on_write(void *ctx, struct wire *wire)
{
    (void)ctx;
    if (peer.write_error < 0)
        return peer.write_error;
    assert_true(wire->len > 0 && wire->len <= sizeof(peer.out) - peer.out_len);
    memcpy(peer.out + peer.out_len, wire->bytes, wire->len);
    peer.out_len += wire->len;
    return 0;
}

static void on_answered(void *ctx, const struct net_upgrade_answer *answer)
{
    (void)ctx;
    assert_int_equal(peer.status, 0);
    peer.status = answer->status;
}

static void on_message(void *ctx, struct slice message)
{
    (void)ctx;
    assert_true(message.len <= MESSAGE_BYTES && !slice_is_null(message));
    memcpy(peer.messages + peer.messages_len, message.ptr, message.len);
    peer.messages_len += message.len;
    peer.messages[peer.messages_len++] = '|';
    peer.n_messages++;
    if (peer.echo)
        assert_int_equal(net_websocket_send(peer.ws, message), 0);
}

static void on_alive(void *ctx)
{
    (void)ctx;
    peer.n_alive++;
}

static const struct net_websocket_ops ops = {
    .write = on_write, .answered = on_answered, .message = on_message, .alive = on_alive};

static int new_websocket(void)
{
    const struct net_websocket_opts opts = {.policy = &policy, .message_bytes = MESSAGE_BYTES, .ops = &ops};

    return net_websocket_new(&opts, &peer.ws);
}

static void begin(void)
{
    memset(&peer, 0, sizeof(peer));
    assert_int_equal(new_websocket(), 0);
}

static void finish(void)
{
    net_websocket_free(peer.ws);
    assert_int_equal(mem_held_bytes(), 0);
}

static void put(struct slice octets)
{
    assert_true(octets.len <= sizeof(peer.in) - peer.in_len);
    memcpy(peer.in + peer.in_len, octets.ptr, octets.len);
    peer.in_len += octets.len;
}

/* A frame of a client: RFC 6455 section 5.2. */
static void put_frame(unsigned bits, struct slice payload)
{
    static const unsigned char mask[4] = {0x37, 0xFA, 0x21, 0x3D};
    unsigned masked = bits & UNMASKED ? 0 : 0x80;
    unsigned char head[14] = {(unsigned char)bits};
    size_t n = 2;

    if (payload.len < 126) {
        head[1] = (unsigned char)(masked | payload.len);
    } else if (payload.len < 65536) {
        head[1] = (unsigned char)(masked | 126);
        head[n++] = (unsigned char)(payload.len >> 8);
        head[n++] = (unsigned char)payload.len;
    } else {
        head[1] = (unsigned char)(masked | 127);
        for (int shift = 56; shift >= 0; shift -= 8)
            head[n++] = (unsigned char)((uint64_t)payload.len >> shift);
    }
    if (masked) {
        memcpy(head + n, mask, sizeof(mask));
        n += sizeof(mask);
    }
    put(slice_make((const char *)head, n));
    put(payload);
    for (size_t i = 0; masked && i < payload.len; i++)
        peer.in[peer.in_len - payload.len + i] ^= (char)mask[i % 4];
}

/* What was put goes in, so many octets at a time. */
static int feed(size_t step)
{
    int r = 0;

    for (size_t i = 0; i < peer.in_len && r == 0; i += step)
        r = net_websocket_receive(peer.ws, slice_sub(slice_make(peer.in, peer.in_len), i, i + step));
    peer.in_len = 0;
    return r;
}

static void open_websocket(void)
{
    begin();
    put(SLICE(HANDSHAKE));
    assert_int_equal(feed(STREAM_BYTES), 0);
    assert_int_equal(peer.status, 101);
    assert_true(net_websocket_is_open(peer.ws));
    peer.out_len = 0;
}

static void assert_out(struct slice wanted)
{
    assert_int_equal(peer.out_len, wanted.len);
    assert_memory_equal(peer.out, wanted.ptr, wanted.len);
}

static void assert_messages(struct slice wanted)
{
    assert_int_equal(peer.messages_len, wanted.len);
    assert_memory_equal(peer.messages, wanted.ptr, wanted.len);
}

/* A frame of the server is never masked (section 5.1), and this one is all that came out: FIN, CLOSE and the code. */
static void assert_closed_with(unsigned code)
{
    const unsigned char wanted[] = {FIN | CLOSE, 2, (unsigned char)(code >> 8), (unsigned char)code};

    assert_out(slice_make((const char *)wanted, sizeof(wanted)));
    assert_int_equal(net_websocket_close_code(peer.ws), code);
    assert_false(net_websocket_is_open(peer.ws));
    assert_int_equal(net_websocket_receive(peer.ws, SLICE("x")), ERR_CLOSED);
    assert_int_equal(net_websocket_send(peer.ws, SLICE("x")), ERR_CLOSED);
    assert_int_equal(net_websocket_ping(peer.ws), ERR_CLOSED);
    assert_int_equal(net_websocket_close(peer.ws, 1001), ERR_CLOSED);
}

static void opens_however_the_handshake_is_cut_and_reads_on_behind_it(void **state)
{
    (void)state;
    for (size_t step = 1; step < 300; step += step < 10 ? 1 : 37) {
        begin();
        assert_true(net_websocket_is_unfinished(peer.ws));
        assert_false(net_websocket_is_open(peer.ws));
        assert_int_equal(net_websocket_send(peer.ws, SLICE("early")), ERR_CLOSED);
        put(SLICE(HANDSHAKE));
        put_frame(FIN | TEXT, SLICE("REGISTER"));
        assert_int_equal(feed(step), 0);
        assert_int_equal(peer.status, 101);
        assert_messages(SLICE("REGISTER|"));
        assert_true(net_websocket_is_open(peer.ws));
        assert_false(net_websocket_is_unfinished(peer.ws));
        finish();
    }
}

static void a_refused_handshake_closes_after_its_answer_rfc6455_section_4_2_1(void **state)
{
    (void)state;
    begin();
    put(SLICE("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    put_frame(FIN | TEXT, SLICE("not read"));
    assert_int_equal(feed(STREAM_BYTES), ERR_CLOSED);
    assert_int_equal(peer.status, 426);
    assert_memory_equal(peer.out, "HTTP/1.1 426 ", 13);
    assert_int_equal(peer.n_messages, 0);
    assert_int_equal(net_websocket_close_code(peer.ws), 0);
    assert_int_equal(net_websocket_receive(peer.ws, SLICE(HANDSHAKE)), ERR_CLOSED);
    finish();
}

static void a_head_without_end_is_refused_at_its_limit(void **state)
{
    (void)state;
    for (size_t step = 1; step <= 4096; step *= 8) {
        int r = 0;

        begin();
        put(SLICE("GET / HTTP/1.1\r\nHost: a\r\n"));
        while (peer.in_len < NET_WEBSOCKET_HEAD_MAX_BYTES - 5)
            put(SLICE("a: b\r\n"));
        peer.in_len = NET_WEBSOCKET_HEAD_MAX_BYTES - 1;
        r = feed(step);
        assert_int_equal(r, 0);
        put(SLICE("xyz"));
        assert_int_equal(feed(step), ERR_CLOSED);
        assert_int_equal(peer.status, 431);
        finish();
    }
}

static void a_head_of_the_limit_is_read(void **state)
{
    (void)state;
    begin();
    put(slice_sub(SLICE(HANDSHAKE), 0, sizeof(HANDSHAKE) - 3));
    put(SLICE("a: "));
    while (peer.in_len < NET_WEBSOCKET_HEAD_MAX_BYTES - 4)
        put(SLICE("x"));
    put(SLICE("\r\n\r\n"));
    assert_int_equal(feed(7), 0);
    assert_int_equal(peer.status, 101);
    finish();
}

static void whole_messages_come_out_however_frames_and_reads_are_cut_rfc6455_section_5_4(void **state)
{
    (void)state;
    for (size_t step = 1; step < 40; step++) {
        open_websocket();
        put_frame(FIN | TEXT, SLICE("one"));
        put_frame(BINARY, SLICE("t"));
        put_frame(CONTINUATION, SLICE(""));
        put_frame(FIN | PING, SLICE("in between"));
        put_frame(CONTINUATION, SLICE("w"));
        put_frame(FIN | CONTINUATION, SLICE("o"));
        put_frame(FIN | TEXT, SLICE(""));
        put_frame(FIN | PONG, SLICE("unasked"));
        put_frame(FIN | BINARY, SLICE("\0\xFF\r\n"));
        assert_int_equal(feed(step), 0);
        assert_messages(SLICE("one|two||\0\xFF\r\n|"));
        assert_out(SLICE("\x8A\x0Ain between"));
        assert_int_equal(peer.n_alive, 9);
        assert_false(net_websocket_is_unfinished(peer.ws));
        finish();
    }
}

static void it_is_unfinished_within_a_frame_and_between_fragments(void **state)
{
    (void)state;
    open_websocket();
    put_frame(TEXT, SLICE("abc"));
    peer.in_len--;
    assert_int_equal(feed(STREAM_BYTES), 0);
    assert_true(net_websocket_is_unfinished(peer.ws));
    assert_int_equal(peer.n_alive, 0);
    finish();

    open_websocket();
    put_frame(TEXT, SLICE("abc"));
    assert_int_equal(feed(STREAM_BYTES), 0);
    assert_true(net_websocket_is_unfinished(peer.ws));
    assert_int_equal(peer.n_alive, 1);
    put_frame(FIN | CONTINUATION, SLICE("def"));
    assert_int_equal(feed(STREAM_BYTES), 0);
    assert_false(net_websocket_is_unfinished(peer.ws));
    assert_messages(SLICE("abcdef|"));
    finish();
}

static void a_message_that_is_sent_is_one_unmasked_frame_rfc6455_section_5_1(void **state)
{
    static char long_text[66000];

    (void)state;
    memset(long_text, 'a', sizeof(long_text));
    open_websocket();
    assert_int_equal(net_websocket_send(peer.ws, SLICE("hello")), 0);
    assert_out(SLICE("\x81\x05hello"));
    peer.out_len = 0;
    assert_int_equal(net_websocket_send(peer.ws, slice_make(long_text, 126)), 0);
    assert_int_equal(peer.out_len, 4 + 126);
    assert_memory_equal(peer.out, "\x81\x7E\x00\x7E", 4);
    peer.out_len = 0;
    assert_int_equal(net_websocket_send(peer.ws, slice_make(long_text, sizeof(long_text))), 0);
    assert_int_equal(peer.out_len, 10 + sizeof(long_text));
    assert_memory_equal(peer.out, "\x81\x7F\x00\x00\x00\x00\x00\x01\x01\xD0", 10);
    finish();
}

static void the_answer_is_of_the_kind_that_the_client_used(void **state)
{
    (void)state;
    open_websocket();
    peer.echo = true;
    put_frame(FIN | BINARY, SLICE("b"));
    put_frame(FIN | TEXT, SLICE("t"));
    put_frame(FIN | PING, SLICE(""));
    put_frame(BINARY, SLICE("f"));
    put_frame(FIN | CONTINUATION, SLICE("g"));
    assert_int_equal(feed(1), 0);
    assert_out(SLICE("\x82\x01"
                     "b\x81\x01t\x8A\x00\x82\x02"
                     "fg"));
    finish();
}

/* "If there is at least one non-UTF-8 symbol in the whole SIP message (including headers and the body), then the whole
 * message MUST be sent within a WebSocket binary message." */
static void what_is_not_utf8_is_sent_as_binary_rfc7118_section_4_2(void **state)
{
    (void)state;
    open_websocket();
    assert_int_equal(net_websocket_send(peer.ws, SLICE("\xC3\xA4")), 0);
    assert_int_equal(net_websocket_send(peer.ws, SLICE("\xE4")), 0);
    assert_out(SLICE("\x81\x02\xC3\xA4\x82\x01\xE4"));
    finish();
}

static void text_that_is_not_utf8_ends_it_with_1007_rfc6455_section_8_1(void **state)
{
    (void)state;
    open_websocket();
    put_frame(FIN | TEXT, SLICE("REGISTER \xE4"));
    assert_int_equal(feed(STREAM_BYTES), ERR_CLOSED);
    assert_int_equal(peer.n_messages, 0);
    assert_closed_with(NET_WEBSOCKET_INVALID_TEXT);
    finish();

    open_websocket();
    put_frame(TEXT, SLICE("\xC3"));
    put_frame(FIN | CONTINUATION, SLICE("\xA4"));
    assert_int_equal(feed(1), 0);
    assert_messages(SLICE("\xC3\xA4|"));
    finish();
}

static void what_breaks_the_rules_of_frames_ends_it_with_1002(void **state)
{
    static const struct {
        unsigned bits;
        struct slice payload;
        const char *rule;
    } rows[] = {
        {FIN | TEXT | UNMASKED, {"x", 1}, "a client masks, section 5.1"},
        {FIN | PING | UNMASKED, {"", 0}, "a client masks control frames too"},
        {FIN | 0x40 | TEXT, {"x", 1}, "RSV1 without an extension, section 5.2"},
        {FIN | 0x20 | TEXT, {"x", 1}, "RSV2"},
        {FIN | 0x10 | TEXT, {"x", 1}, "RSV3"},
        {FIN | 3, {"x", 1}, "a reserved opcode"},
        {FIN | 0xB, {"x", 1}, "a reserved opcode of a control frame"},
        {FIN | CONTINUATION, {"x", 1}, "a continuation of nothing, section 5.4"},
        {PING, {"x", 1}, "a control frame in fragments, section 5.5"},
        {FIN | CLOSE, {"x", 1}, "a close code of one octet, section 5.5.1"},
        {FIN | CLOSE, {"\x03\xED", 2}, "1005 is not sent, section 7.4.1"},
        {FIN | CLOSE, {"\x00\x01", 2}, "codes below 1000 are not used, section 7.4.2"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        open_websocket();
        put_frame(rows[i].bits, rows[i].payload);
        put_frame(FIN | TEXT, SLICE("not read any more"));
        if (feed(1) != ERR_CLOSED)
            fail_msg("%s", rows[i].rule);
        assert_int_equal(peer.n_messages, 0);
        assert_closed_with(NET_WEBSOCKET_PROTOCOL_ERROR);
        finish();
    }
}

static void a_control_frame_of_more_than_125_octets_and_a_length_not_minimal_are_1002(void **state)
{
    static const struct slice frames[] = {
        {"\x89\xFE\x00\x7E\x00\x00\x00\x00", 8},
        {"\x81\xFE\x00\x7D\x00\x00\x00\x00", 8},
        {"\x81\xFF\x00\x00\x00\x00\x00\x00\xFF\xFF\x00\x00\x00\x00", 14},
        {"\x81\xFF\x80\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00", 14},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
        open_websocket();
        put(frames[i]);
        assert_int_equal(feed(1), ERR_CLOSED);
        assert_closed_with(NET_WEBSOCKET_PROTOCOL_ERROR);
        finish();
    }
}

static void a_new_message_within_fragments_is_1002_rfc6455_section_5_4(void **state)
{
    (void)state;
    open_websocket();
    put_frame(TEXT, SLICE("a"));
    put_frame(FIN | TEXT, SLICE("b"));
    assert_int_equal(feed(1), ERR_CLOSED);
    assert_int_equal(peer.n_messages, 0);
    assert_closed_with(NET_WEBSOCKET_PROTOCOL_ERROR);
    finish();
}

static void a_message_of_the_limit_passes_and_one_octet_more_is_1009(void **state)
{
    static char text[MESSAGE_BYTES + 1];

    (void)state;
    memset(text, 'a', sizeof(text));
    open_websocket();
    put_frame(FIN | TEXT, slice_make(text, MESSAGE_BYTES));
    put_frame(TEXT, slice_make(text, MESSAGE_BYTES - 1));
    put_frame(FIN | CONTINUATION, slice_make(text, 1));
    assert_int_equal(feed(1000), 0);
    assert_int_equal(peer.n_messages, 2);
    finish();

    open_websocket();
    put_frame(FIN | TEXT, slice_make(text, sizeof(text)));
    assert_int_equal(feed(10), ERR_CLOSED);
    assert_int_equal(peer.n_messages, 0);
    assert_closed_with(NET_WEBSOCKET_TOO_BIG);
    finish();

    open_websocket();
    put_frame(BINARY, slice_make(text, MESSAGE_BYTES));
    put_frame(FIN | CONTINUATION, slice_make(text, 1));
    assert_int_equal(feed(STREAM_BYTES), ERR_CLOSED);
    assert_int_equal(peer.n_messages, 0);
    assert_closed_with(NET_WEBSOCKET_TOO_BIG);
    finish();
}

static void an_announced_length_alone_takes_no_memory(void **state)
{
    int64_t before;

    (void)state;
    open_websocket();
    before = mem_held_bytes();
    put(SLICE("\x82\xFE\xFF\xFF\x00\x00\x00\x00"));
    assert_int_equal(feed(1), 0);
    assert_true(mem_held_bytes() - before < 4096);
    finish();
}

static void a_close_of_the_client_is_answered_with_its_code_rfc6455_section_5_5_1(void **state)
{
    (void)state;
    open_websocket();
    put_frame(FIN | CLOSE, SLICE("\x03\xE9 going away"));
    put_frame(FIN | TEXT, SLICE("not read any more"));
    assert_int_equal(feed(STREAM_BYTES), ERR_CLOSED);
    assert_int_equal(peer.n_messages, 0);
    assert_memory_equal(peer.out + 2, "\x03\xE9", 2);
    assert_int_equal((unsigned char)peer.out[0], FIN | CLOSE);
    assert_int_equal(net_websocket_close_code(peer.ws), 1001);
    assert_false(net_websocket_is_open(peer.ws));
    finish();

    open_websocket();
    put_frame(FIN | CLOSE, SLICE(""));
    assert_int_equal(feed(STREAM_BYTES), ERR_CLOSED);
    assert_out(SLICE("\x88\x00"));
    finish();
}

static void closing_says_why_and_ends_it(void **state)
{
    (void)state;
    open_websocket();
    assert_int_equal(net_websocket_close(peer.ws, NET_WEBSOCKET_GOING_AWAY), 0);
    assert_closed_with(NET_WEBSOCKET_GOING_AWAY);
    finish();
}

static void a_ping_of_ours_is_an_empty_control_frame_rfc6455_section_5_5_2(void **state)
{
    (void)state;
    open_websocket();
    assert_int_equal(net_websocket_ping(peer.ws), 0);
    assert_out(SLICE("\x89\x00"));
    put_frame(FIN | PONG, SLICE(""));
    assert_int_equal(feed(1), 0);
    assert_int_equal(peer.n_alive, 1);
    assert_int_equal(peer.n_messages, 0);
    finish();
}

static void what_cannot_be_written_ends_it(void **state)
{
    (void)state;
    open_websocket();
    peer.write_error = ERR_LIMIT;
    assert_int_equal(net_websocket_send(peer.ws, SLICE("x")), ERR_LIMIT);
    assert_false(net_websocket_is_open(peer.ws));
    finish();

    open_websocket();
    peer.write_error = ERR_LIMIT;
    put_frame(FIN | PING, SLICE("x"));
    assert_int_equal(feed(STREAM_BYTES), ERR_LIMIT);
    finish();

    begin();
    peer.write_error = ERR_CLOSED;
    put(SLICE(HANDSHAKE));
    assert_int_equal(feed(STREAM_BYTES), ERR_CLOSED);
    assert_int_equal(peer.status, 0);
    finish();
}

static int whole_life(void)
{
    int r = new_websocket();

    if (r < 0) {
        peer.ws = NULL;
        return r;
    }
    put(SLICE(HANDSHAKE));
    put_frame(TEXT, SLICE("first"));
    put_frame(FIN | PING, SLICE("p"));
    put_frame(FIN | CONTINUATION, SLICE("second"));
    r = feed(11);
    if (r == 0)
        r = net_websocket_send(peer.ws, SLICE("answer"));
    if (r == 0)
        r = net_websocket_close(peer.ws, NET_WEBSOCKET_GOING_AWAY);
    return r;
}

static void without_memory_it_says_so_at_every_point_and_keeps_nothing(void **state)
{
    int r = ERR_NOMEM;

    (void)state;
    for (int64_t n = 0; r == ERR_NOMEM; n++) {
        assert_true(n < 100);
        memset(&peer, 0, sizeof(peer));
        mem_fail_after(n);
        r = whole_life();
        mem_fail_after(-1);
        finish();
    }
    assert_int_equal(r, 0);
    assert_messages(SLICE("firstsecond|"));
}

/* A message that was refused must not leave with the next one. */
static void a_message_without_memory_is_lost_alone(void **state)
{
    (void)state;
    open_websocket();
    mem_fail_after(0);
    assert_int_equal(net_websocket_send(peer.ws, SLICE("lost")), ERR_NOMEM);
    mem_fail_after(-1);
    assert_int_equal(net_websocket_send(peer.ws, SLICE("sent")), 0);
    assert_out(SLICE("\x81\x04sent"));
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_however_the_handshake_is_cut_and_reads_on_behind_it),
        cmocka_unit_test(a_refused_handshake_closes_after_its_answer_rfc6455_section_4_2_1),
        cmocka_unit_test(a_head_without_end_is_refused_at_its_limit),
        cmocka_unit_test(a_head_of_the_limit_is_read),
        cmocka_unit_test(whole_messages_come_out_however_frames_and_reads_are_cut_rfc6455_section_5_4),
        cmocka_unit_test(it_is_unfinished_within_a_frame_and_between_fragments),
        cmocka_unit_test(a_message_that_is_sent_is_one_unmasked_frame_rfc6455_section_5_1),
        cmocka_unit_test(the_answer_is_of_the_kind_that_the_client_used),
        cmocka_unit_test(what_is_not_utf8_is_sent_as_binary_rfc7118_section_4_2),
        cmocka_unit_test(text_that_is_not_utf8_ends_it_with_1007_rfc6455_section_8_1),
        cmocka_unit_test(what_breaks_the_rules_of_frames_ends_it_with_1002),
        cmocka_unit_test(a_control_frame_of_more_than_125_octets_and_a_length_not_minimal_are_1002),
        cmocka_unit_test(a_new_message_within_fragments_is_1002_rfc6455_section_5_4),
        cmocka_unit_test(a_message_of_the_limit_passes_and_one_octet_more_is_1009),
        cmocka_unit_test(an_announced_length_alone_takes_no_memory),
        cmocka_unit_test(a_close_of_the_client_is_answered_with_its_code_rfc6455_section_5_5_1),
        cmocka_unit_test(closing_says_why_and_ends_it),
        cmocka_unit_test(a_ping_of_ours_is_an_empty_control_frame_rfc6455_section_5_5_2),
        cmocka_unit_test(what_cannot_be_written_ends_it),
        cmocka_unit_test(without_memory_it_says_so_at_every_point_and_keeps_nothing),
        cmocka_unit_test(a_message_without_memory_is_lost_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
