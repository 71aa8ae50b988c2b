#include "support.h"

#include "sip/frame.h"

#define MESSAGE "OPTIONS sip:a SIP/2.0\r\nl: 3\r\n\r\nabc"

static const struct sip_limits small = {
    .message_bytes = 200, .start_line_bytes = 100, .header_bytes = 100, .headers = 10, .values = 10};

/* What comes out of a stream, as text: "m<octets>" for a message, "k" for a CRLF that is no ping, "p" for a
 * ping, "bad" at the end, or "+" when more is wanted. */
struct feed {
    struct sip_framer framer;
    char out[400];
    size_t out_len;
    size_t consumed;
    bool ended;
};

static void note(struct feed *f, const char *what, unsigned number, bool with_number)
{
    int n = with_number ? snprintf(f->out + f->out_len, sizeof(f->out) - f->out_len, "%s%u ", what, number)
                        : snprintf(f->out + f->out_len, sizeof(f->out) - f->out_len, "%s ", what);
    f->out_len += (size_t)n;
    assert_true(f->out_len < sizeof(f->out));
}

/* bytes: the stream up to here; the octets lie in front of a forbidden page. */
static void feed(struct feed *f, struct slice stream)
{
    while (!f->ended) {
        struct guarded g = guarded_copy(slice_sub(stream, f->consumed, stream.len));
        enum sip_frame_result result = sip_frame_next(&f->framer, g.copy, &small);
        size_t available = g.copy.len;
        guarded_free(&g);
        if (result == SIP_FRAME_MORE)
            return;
        if (result == SIP_FRAME_BAD) {
            note(f, "bad", f->framer.error.status, true);
            f->ended = true;
            return;
        }
        assert_in_range(f->framer.message_len, 1, available);
        if (result == SIP_FRAME_MESSAGE)
            note(f, "m", f->framer.message_len, true);
        else if (f->framer.message_len == 4 || f->framer.is_ping)
            note(f, "p", 0, false);
        f->consumed += f->framer.message_len;
    }
}

struct stream {
    const char *text, *out;
};

static const struct stream streams[] = {
    {"", ""},
    {MESSAGE, "m34 "},
    {MESSAGE MESSAGE "OPT", "m34 m34 "},
    {"X sip:a SIP/2.0\r\nContent-Length: 0\r\n\r\n", "m38 "},
    {"X\r\nl:0\r\n\r\n", "m10 "},
    {"X\r\nCONTENT-LENGTH\t :\r\n\t 0002 \r\n\r\n\r\n", "m35 "},
    {"X\r\nl: 2\r\nContent-Length: 2\r\n\r\nab", "m32 "}, /* for sip_msg_parse to refuse */
    {"X\r\nl: 5\r\n\r\n\n\r\n\r\n", "m16 "},              /* a body is opaque */
    /* Section 7.5, RFC 5626 section 3.5.1 and RFC 4475 section 3.1.1.8. */
    {"\r\n", ""},
    {"\r\n\r\n", "p "},
    {"\r\n\r\n\r\n\r\n", "p p "},
    {"\r\n\r\n\r\n" MESSAGE, "p m34 "},
    {"\r\n" MESSAGE "\r\n" MESSAGE "\r\n\r\n", "m34 m34 p "},
    {MESSAGE "\r\n\r"
             "\n",
     "m34 p "},
    /* Nothing is guessed. */
    {"X\r\n\r\n", "bad400 "},
    {"X\r\nContent-Lengthy: 3\r\n\r\n", "bad400 "},
    {"X\r\nl: 3\r\nl: 2\r\n\r\nabc", "bad400 "},
    {"X\r\nl: -1\r\n\r\n", "bad400 "},
    {"X\r\nl: \r\n\r\n", "bad400 "},
    {"X\r\nl: 1 1\r\n\r\n", "bad400 "},
    {"X\r\nl: 1,1\r\n\r\n", "bad400 "},
    {"X\r\nl: 0x1\r\n\r\n", "bad400 "},
    {"X\r\nl: 4294967296\r\n\r\n", "bad400 "},
    {"X\r\nl: 18446744073709551617\r\n\r\nabc", "bad400 "},
    {"X\r\nl: 4294967295\r\n\r\n", "bad513 "},
    {"X\r\nl: 2000000000\r\n\r\n", "bad513 "},
    {"X\r\n l: 1\r\n\r\n", "bad400 "}, /* a fold of the start line is no header */
    {"X\r\ny: z\r\n l: 1\r\n\r\n", "bad400 "},
    {"X\nl: 0\n\n", "bad400 "},
    {"X\r\nl: 0\r\n\n", "bad400 "},
    {"X\r\nl: 0\n\r\n", "bad400 "},
    {"\nX", "bad400 "},
    {"\r\n\nX", "bad400 "},
    {"SIP/2.0 200 OK\r\nl: x\r\n\r\n", "bad0 "},
    {"sip/2.0 200 OK\r\n\r\n", "bad0 "},
    /* A lone CR is no line end; the parser refuses it. */
    {"X\ry\r\nl: 0\r\n\r\n", "m13 "},
    {"X\r\nl: 0\r\n\r\r\n\r\n", "m14 "},
};

static void the_end_of_a_message_is_found_18_3(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(streams); i++) {
        struct feed f = {0};
        feed(&f, cstr(streams[i].text));
        check_slice(slice_make(f.out, f.out_len), cstr(streams[i].out), cstr(streams[i].text));
    }
}

/* In two pieces, cut everywhere. */
static void how_the_stream_is_cut_makes_no_difference(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(streams); i++) {
        struct slice text = cstr(streams[i].text);
        for (size_t cut = 0; cut <= text.len; cut++) {
            struct feed f = {0};
            feed(&f, slice_sub(text, 0, cut));
            feed(&f, text);
            check_slice(slice_make(f.out, f.out_len), cstr(streams[i].out), text);
        }
    }
}

static void octet_by_octet_gives_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(streams); i++) {
        struct slice text = cstr(streams[i].text);
        struct feed f = {0};
        for (size_t len = 0; len <= text.len; len++)
            feed(&f, slice_sub(text, 0, len));
        check_slice(slice_make(f.out, f.out_len), cstr(streams[i].out), text);
    }
}

static void a_single_crlf_is_given_at_once_for_it_may_be_a_pong(void **state)
{
    (void)state;
    struct sip_framer framer = {0};
    assert_int_equal(sip_frame_next(&framer, SLICE("\r"), &small), SIP_FRAME_MORE);
    assert_int_equal(sip_frame_next(&framer, SLICE("\r\n"), &small), SIP_FRAME_KEEPALIVE);
    assert_int_equal(framer.message_len, 2);
    assert_false(framer.is_ping);
    /* The other half of a ping. */
    assert_int_equal(sip_frame_next(&framer, SLICE("\r\n"), &small), SIP_FRAME_KEEPALIVE);
    assert_int_equal(framer.message_len, 2);
    assert_true(framer.is_ping);
    assert_int_equal(sip_frame_next(&framer, SLICE("\r\n\r\n\r\n"), &small), SIP_FRAME_KEEPALIVE);
    assert_int_equal(framer.message_len, 4);
    assert_true(framer.is_ping);
}

static void a_message_between_two_crlf_is_no_ping(void **state)
{
    (void)state;
    struct sip_framer framer = {0};
    assert_int_equal(sip_frame_next(&framer, SLICE("\r\n"), &small), SIP_FRAME_KEEPALIVE);
    assert_int_equal(sip_frame_next(&framer, SLICE(MESSAGE), &small), SIP_FRAME_MESSAGE);
    assert_int_equal(sip_frame_next(&framer, SLICE("\r\n"), &small), SIP_FRAME_KEEPALIVE);
    assert_false(framer.is_ping);
}

static void the_length_to_wait_for_is_known_after_the_headers(void **state)
{
    (void)state;
    struct sip_framer framer = {0};
    struct slice text = SLICE(MESSAGE);
    assert_int_equal(sip_frame_next(&framer, slice_sub(text, 0, 20), &small), SIP_FRAME_MORE);
    assert_int_equal(framer.header_len, 0);
    assert_int_equal(framer.message_len, 0);
    assert_int_equal(sip_frame_next(&framer, slice_sub(text, 0, 31), &small), SIP_FRAME_MORE);
    assert_int_equal(framer.header_len, 31);
    assert_int_equal(framer.message_len, 34);
    assert_int_equal(sip_frame_next(&framer, text, &small), SIP_FRAME_MESSAGE);
    assert_int_equal(framer.header_len, 31);
    assert_int_equal(framer.message_len, 34);
}

static void fill(char *text, size_t len, char c)
{
    memset(text, c, len);
}

static void a_message_over_the_limit_is_bad_before_it_is_there(void **state)
{
    (void)state;
    char text[400];
    struct sip_framer framer = {0};
    fill(text, sizeof(text), 'x');
    assert_int_equal(sip_frame_next(&framer, slice_make(text, 199), &small), SIP_FRAME_MORE);
    assert_int_equal(sip_frame_next(&framer, slice_make(text, 200), &small), SIP_FRAME_BAD);
    assert_int_equal(framer.error.status, 513);
    /* Headers of 15 octets and a body of 185 are just good, one more is not. */
    framer = (struct sip_framer){0};
    assert_int_equal(sip_frame_next(&framer, SLICE("XX\r\nl: 187\r\n\r\n"), &small), SIP_FRAME_BAD);
    assert_int_equal(framer.error.status, 513);
    framer = (struct sip_framer){0};
    assert_int_equal(sip_frame_next(&framer, SLICE("XX\r\nl: 185\r\n\r\n"), &small), SIP_FRAME_MORE);
    assert_int_equal(framer.message_len, 199);
    /* Headers that end exactly at the limit. */
    framer = (struct sip_framer){0};
    fill(text, sizeof(text), 'x');
    memcpy(text + 200 - 10, "\r\nl: 0\r\n\r\n", 10);
    assert_int_equal(sip_frame_next(&framer, slice_make(text, 200), &small), SIP_FRAME_MESSAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_end_of_a_message_is_found_18_3),
        cmocka_unit_test(how_the_stream_is_cut_makes_no_difference),
        cmocka_unit_test(octet_by_octet_gives_the_same),
        cmocka_unit_test(a_single_crlf_is_given_at_once_for_it_may_be_a_pong),
        cmocka_unit_test(a_message_between_two_crlf_is_no_ping),
        cmocka_unit_test(the_length_to_wait_for_is_known_after_the_headers),
        cmocka_unit_test(a_message_over_the_limit_is_bad_before_it_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
