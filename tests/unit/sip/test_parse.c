#include "support.h"

#define LINE_OF(line) line "\r\n" IDENTITY "\r\n"

struct refused {
    struct slice text;
    int rc;
    unsigned status;
    const char *phrase;
};

#define REFUSED(text, rc, status, phrase)                                                                    \
    {                                                                                                        \
        {text, sizeof(text) - 1}, rc, status, phrase                                                         \
    }

static void expect_refused(struct slice text, bool datagram, const struct sip_limits *limits, int rc,
                           unsigned status, const char *phrase)
{
    struct memory m;
    memory_init(&m);
    struct guarded g = guarded_copy(text);
    struct sip_msg msg;
    struct sip_error error = {.status = 4711};
    int got = sip_msg_parse(g.copy, datagram, limits, &m.arena, &msg, &error);
    check_that(got == rc, text);
    check_that(error.status == status, text);
    check_slice(cstr(error.phrase), cstr(phrase), text);
    check_that(error.offset <= text.len, text);
    guarded_free(&g);
    memory_done(&m);
}

static void a_request_is_indexed(void **state)
{
    (void)state;
    struct memory m;
    struct sip_msg msg;
    memory_init(&m);
    struct slice text =
        SLICE("MESSAGE sip:bob@biloxi.com SIP/2.0\r\nv: SIP/2.0/UDP a\r\nSubject :\r\n hi\r\n there \r\n"
              "VIA: SIP/2.0/UDP b\r\nX-Y:,,;\r\nl: 3\r\n\r\na\0btail");
    parse_good(&m, text, &msg);
    assert_true(msg.is_request);
    assert_int_equal(msg.method, SIP_METHOD_MESSAGE);
    assert_slice(msg.method_name, "MESSAGE");
    assert_slice(msg.ruri, "sip:bob@biloxi.com");
    assert_slice(msg.version, "SIP/2.0");
    assert_int_equal(msg.n_hdrs, 5);
    assert_int_equal(msg.hdrs_off, strlen("MESSAGE sip:bob@biloxi.com SIP/2.0\r\n"));
    assert_slice(slice_make(msg.bytes + msg.hdrs_end, 2), "\r\n");
    assert_slice(sip_hdr_line(&msg, &msg.hdrs[1]), "Subject :\r\n hi\r\n there \r\n");
    assert_slice(sip_hdr_value(&msg, &msg.hdrs[1]), "hi\r\n there");
    assert_slice(slice_make(msg.bytes + msg.hdrs[1].line_off, msg.hdrs[1].name_len), "Subject");
    assert_int_equal(msg.hdrs[3].id, SIP_HDR_OTHER);
    assert_slice(sip_hdr_value(&msg, &msg.hdrs[3]), ",,;");
    /* Headers of one kind are chained in order, whatever form the name has. */
    assert_int_equal(msg.first[SIP_HDR_VIA], 0);
    assert_int_equal(msg.hdrs[0].next, 2);
    assert_int_equal(msg.hdrs[2].next, SIP_HDR_NONE);
    assert_int_equal(msg.first[SIP_HDR_SUBJECT], 1);
    assert_int_equal(msg.first[SIP_HDR_ROUTE], SIP_HDR_NONE);
    assert_int_equal(msg.first[SIP_HDR_OTHER], SIP_HDR_NONE);
    assert_true(msg.has_content_length);
    check_slice(sip_msg_body(&msg), slice_make("a\0b", 3), text);
    assert_int_equal(msg.len, text.len - strlen("tail"));
    memory_done(&m);
}

static void a_response_is_indexed_and_takes_its_method_from_cseq(void **state)
{
    (void)state;
    struct memory m;
    struct sip_msg msg;
    memory_init(&m);
    parse_good(&m, SLICE(PLAIN_RINGING), &msg);
    assert_false(msg.is_request);
    assert_int_equal(msg.status, 180);
    assert_slice(msg.reason, "Ringing");
    assert_int_equal(msg.method, SIP_METHOD_INVITE);
    assert_slice(msg.method_name, "INVITE");
    assert_true(slice_is_null(msg.ruri));
    parse_good(&m, SLICE("SIP/2.0 200 OK\r\nCSeq: x INVITE\r\n\r\n"), &msg);
    assert_int_equal(msg.method, SIP_METHOD_OTHER);
    assert_int_equal(msg.method_name.len, 0);
    memory_done(&m);
}

static void good_start_lines_7_1_7_2(void **state)
{
    (void)state;
    static const char *const rows[] = {
        LINE_OF("INVITE sip:b SIP/2.0"),
        LINE_OF("INVITE sip:b sip/2.0"),
        LINE_OF("!-.%*_+`'~ sip:b SIP/2.0"),
        LINE_OF("X tel:+1 SIP/2.0"),
        LINE_OF("INVITE 1_no_uri_of_ours SIP/2.0"), /* for sip_msg_ruri to refuse */
        LINE_OF("SIP/2.0 100 "),
        LINE_OF("SIP/2.0 100"), /* RFC 4475 section 3.1.1.13 */
        LINE_OF("sIp/2.0 699 a"),
        LINE_OF("SIP/2.0 200 = 2**3 * 5**2 \xd0\xbd\xd0\xbe \t"),
        "\r\n\r\n" LINE_OF("INVITE sip:b SIP/2.0"), /* section 7.5 */
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct memory m;
        struct sip_msg msg;
        memory_init(&m);
        parse_good(&m, cstr(rows[i]), &msg);
        memory_done(&m);
    }
}

static const struct refused bad_start_lines[] = {
    REFUSED(LINE_OF("INVITE  sip:b SIP/2.0"), ERR_SYNTAX, 400, "Bad Request-Line"),
    REFUSED(LINE_OF("INVITE sip:b  SIP/2.0"), ERR_SYNTAX, 400, "Bad Request-Line"),
    REFUSED(LINE_OF("INVITE sip:b SIP/2.0  "), ERR_SYNTAX, 400, "Bad Request-Line"),
    REFUSED(LINE_OF("INVITE sip:b SIP/2.0\t"), ERR_SYNTAX, 400, "Bad Request-Line"),
    REFUSED(LINE_OF(" INVITE sip:b SIP/2.0"), ERR_SYNTAX, 400, "Bad Request-Line"),
    REFUSED(LINE_OF("INVITE\tsip:b SIP/2.0"), ERR_SYNTAX, 400, "Bad Request-Line"),
    REFUSED(LINE_OF("INVITE sip:b; lr SIP/2.0"), ERR_SYNTAX, 400, "Bad Request-Line"),
    REFUSED(LINE_OF("INVITE <sip:b> SIP/2.0"), ERR_SYNTAX, 400, "Bad Request-Line"),
    REFUSED(LINE_OF("INVITE \"sip:b\" SIP/2.0"), ERR_SYNTAX, 400, "Bad Request-Line"),
    REFUSED(LINE_OF("INVITE sip:b"), ERR_SYNTAX, 400, "Bad Request-Line"),
    REFUSED(LINE_OF("INVITE sip:b "), ERR_SYNTAX, 400, "Bad Request-Line"),
    REFUSED(LINE_OF("INVITE SIP/2.0"), ERR_SYNTAX, 400, "Bad Request-Line"),
    REFUSED(LINE_OF("INVITE"), ERR_SYNTAX, 400, "Bad Request-Line"),
    REFUSED(LINE_OF("INV(ITE sip:b SIP/2.0"), ERR_SYNTAX, 400, "Bad Request-Line"),
    REFUSED(LINE_OF("GET / HTTP/1.1"), ERR_SYNTAX, 400, "Bad Request-Line"),
    REFUSED(LINE_OF("INVITE sip:b SIP/2"), ERR_SYNTAX, 400, "Bad Request-Line"),
    REFUSED(LINE_OF("INVITE sip:b SIP/2.0.1"), ERR_SYNTAX, 400, "Bad Request-Line"),
    REFUSED(LINE_OF("INVITE sip:b SIP/.0"), ERR_SYNTAX, 400, "Bad Request-Line"),
    REFUSED(LINE_OF("INVITE sip:b SIP/2."), ERR_SYNTAX, 400, "Bad Request-Line"),
    REFUSED(LINE_OF("INVITE sip:b SIPS/2.0"), ERR_SYNTAX, 400, "Bad Request-Line"),
    REFUSED(LINE_OF("INVITE sip:b\0 SIP/2.0"), ERR_SYNTAX, 400, "NUL in Header"),
    REFUSED("INVITE sip:b SIP/2.0\n" IDENTITY "\r\n", ERR_SYNTAX, 400, "Bare LF"),
    REFUSED("INVITE sip:b\r SIP/2.0\r\n" IDENTITY "\r\n", ERR_SYNTAX, 400, "Bare CR"),
    REFUSED(LINE_OF("INVITE sip:b SIP/7.0"), ERR_UNSUPPORTED, 505, "Version Not Supported"),
    REFUSED(LINE_OF("INVITE sip:b SIP/2.1"), ERR_UNSUPPORTED, 505, "Version Not Supported"),
    REFUSED(LINE_OF("INVITE sip:b SIP/02.0"), ERR_UNSUPPORTED, 505, "Version Not Supported"),
    /* An ACK is never answered: section 17.1.1.3. */
    REFUSED(LINE_OF("ACK sip:b SIP/7.0"), ERR_UNSUPPORTED, 0, "Version Not Supported"),
    /* Nor is a response. */
    REFUSED(LINE_OF("SIP/7.0 200 OK"), ERR_UNSUPPORTED, 0, "Version Not Supported"),
    REFUSED(LINE_OF("SIP/2.0 4294967301 better not break the receiver"), ERR_SYNTAX, 0, "Bad Status-Line"),
    REFUSED(LINE_OF("SIP/2.0 99 x"), ERR_SYNTAX, 0, "Bad Status-Line"),
    REFUSED(LINE_OF("SIP/2.0 099 x"), ERR_SYNTAX, 0, "Bad Status-Line"),
    REFUSED(LINE_OF("SIP/2.0 700 x"), ERR_SYNTAX, 0, "Bad Status-Line"),
    REFUSED(LINE_OF("SIP/2.0 0200 x"), ERR_SYNTAX, 0, "Bad Status-Line"),
    REFUSED(LINE_OF("SIP/2.0 2000 x"), ERR_SYNTAX, 0, "Bad Status-Line"),
    REFUSED(LINE_OF("SIP/2.0 200OK"), ERR_SYNTAX, 0, "Bad Status-Line"),
    REFUSED(LINE_OF("SIP/2.0  200 OK"), ERR_SYNTAX, 0, "Bad Status-Line"),
    REFUSED(LINE_OF("SIP/2.0\t200 OK"), ERR_SYNTAX, 0, "Bad Status-Line"),
    REFUSED(LINE_OF("SIP/2.0 20x OK"), ERR_SYNTAX, 0, "Bad Status-Line"),
    REFUSED(LINE_OF("SIP/2.0"), ERR_SYNTAX, 0, "Bad Status-Line"),
    REFUSED(LINE_OF("SIP/2.0 "), ERR_SYNTAX, 0, "Bad Status-Line"),
};

static void bad_start_lines_are_answered_or_dropped(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(bad_start_lines); i++) {
        const struct refused *row = &bad_start_lines[i];
        expect_refused(row->text, true, &sip_limits_default, row->rc, row->status, row->phrase);
    }
}

static const struct refused bad_headers[] = {
    REFUSED(INVITE_LINE "Subject: a\n" IDENTITY "\r\n", ERR_SYNTAX, 400, "Bare LF"),
    REFUSED(INVITE_LINE IDENTITY "Subject: a\n\r\n", ERR_SYNTAX, 400, "Bare LF"),
    REFUSED(INVITE_LINE IDENTITY "\n", ERR_SYNTAX, 400, "Bare LF"),
    REFUSED(INVITE_LINE IDENTITY "Subject: a\rb\r\n\r\n", ERR_SYNTAX, 400, "Bare CR"),
    REFUSED(INVITE_LINE IDENTITY "Subject: a\r\r\n\r\n", ERR_SYNTAX, 400, "Bare CR"),
    REFUSED(INVITE_LINE IDENTITY "Subject: a\0b\r\n\r\n", ERR_SYNTAX, 400, "NUL in Header"),
    REFUSED(INVITE_LINE IDENTITY "Subject\r\n\r\n", ERR_SYNTAX, 400, "Bad Header Line"),
    REFUSED(INVITE_LINE IDENTITY ": x\r\n\r\n", ERR_SYNTAX, 400, "Bad Header Line"),
    REFUSED(INVITE_LINE " x: y\r\n" IDENTITY "\r\n", ERR_SYNTAX, 400, "Bad Header Line"),
    REFUSED(INVITE_LINE IDENTITY "Sub ject: x\r\n\r\n", ERR_SYNTAX, 400, "Bad Header Line"),
    REFUSED(INVITE_LINE IDENTITY "Subject: x\r\n", ERR_SYNTAX, 400, "Missing Empty Line"),
    REFUSED(INVITE_LINE IDENTITY "Subject: x", ERR_SYNTAX, 400, "Missing Empty Line"),
    REFUSED(INVITE_LINE IDENTITY "Subject: x\r\n\r", ERR_SYNTAX, 400, "Missing Empty Line"),
    /* Where no Via can be read nobody can be answered. */
    REFUSED("INVITE sip:b SIP/2.0\r\nFoo\r\n\r\n", ERR_SYNTAX, 0, "Bad Header Line"),
    REFUSED("INVITE sip:b SIP/2.0\r\nVia: x\r\nFoo\r\n\r\n", ERR_SYNTAX, 0, "Bad Header Line"),
    REFUSED("INVITE sip:b SIP/2.0\r\nVia: SIP/2.0/UDP a\0;branch=x\r\n\r\n", ERR_SYNTAX, 0, "NUL in Header"),
    REFUSED("", ERR_SYNTAX, 0, "Empty Message"),
    REFUSED("\r\n\r\n", ERR_SYNTAX, 0, "Empty Message"),
    REFUSED("\0", ERR_SYNTAX, 0, "Missing Empty Line"),
};

static void bad_header_lines_are_answered_400(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(bad_headers); i++) {
        const struct refused *row = &bad_headers[i];
        expect_refused(row->text, true, &sip_limits_default, row->rc, row->status, row->phrase);
    }
}

static void what_can_be_read_is_there_for_the_answer(void **state)
{
    (void)state;
    struct memory m;
    struct sip_msg msg;
    struct sip_error error;
    memory_init(&m);
    struct slice text = SLICE("INVITE  sip:b SIP/2.0\r\nbroken\r\nFrom: a\n b\r\n" VIA_LINE
                              "Subject: \0\r\n" TO_LINE CALL_ID_LINE CSEQ_LINE "\r\n");
    assert_int_equal(parse_datagram(&m, text, &msg, &error), ERR_SYNTAX);
    assert_int_equal(error.status, 400);
    assert_int_equal(error.offset, 0); /* the first of several */
    assert_int_equal(msg.n_hdrs, 4);   /* and the broken fields are left out */
    assert_true(sip_msg_has(&msg, SIP_HDR_VIA) && sip_msg_has(&msg, SIP_HDR_TO));
    assert_true(sip_msg_has(&msg, SIP_HDR_CALL_ID) && sip_msg_has(&msg, SIP_HDR_CSEQ));
    assert_false(sip_msg_has(&msg, SIP_HDR_FROM));
    memory_done(&m);
}

#define BODY(length_lines, body) INVITE_LINE IDENTITY length_lines "\r\n" body

static void the_body_of_a_datagram_18_3(void **state)
{
    (void)state;
    static const struct {
        const char *text, *body;
    } rows[] = {
        {BODY("Content-Length: 3\r\n", "abc"), "abc"},
        {BODY("Content-Length: 2\r\n", "abc"), "ab"},
        {BODY("Content-Length: 0\r\n", "abc"), ""},
        {BODY("l:0003\r\n", "abc"), "abc"},
        {BODY("Content-Length   :\r\n 3 \r\n", "abc"), "abc"},
        {BODY("", "abc"), "abc"},
        {BODY("", ""), ""},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct memory m;
        struct sip_msg msg;
        memory_init(&m);
        parse_good(&m, cstr(rows[i].text), &msg);
        check_slice(sip_msg_body(&msg), cstr(rows[i].body), cstr(rows[i].text));
        assert_int_equal(msg.len, msg.body_off + msg.body_len);
        memory_done(&m);
    }
}

static const struct refused bad_lengths[] = {
    REFUSED(BODY("Content-Length: 4\r\n", "abc"), ERR_SYNTAX, 400, "Content-Length Beyond End"),
    REFUSED(BODY("Content-Length: 4294967295\r\n", "abc"), ERR_SYNTAX, 400, "Content-Length Beyond End"),
    REFUSED(BODY("Content-Length: 4294967296\r\n", "abc"), ERR_SYNTAX, 400, "Bad Content-Length"),
    REFUSED(BODY("Content-Length: 4294967299\r\n", "abc"), ERR_SYNTAX, 400, "Bad Content-Length"),
    REFUSED(BODY("Content-Length: 18446744073709551619\r\n", "abc"), ERR_SYNTAX, 400, "Bad Content-Length"),
    REFUSED(BODY("Content-Length: -999\r\n", "abc"), ERR_SYNTAX, 400, "Bad Content-Length"),
    REFUSED(BODY("Content-Length: +3\r\n", "abc"), ERR_SYNTAX, 400, "Bad Content-Length"),
    REFUSED(BODY("Content-Length: 0x3\r\n", "abc"), ERR_SYNTAX, 400, "Bad Content-Length"),
    REFUSED(BODY("Content-Length: 3 3\r\n", "abc"), ERR_SYNTAX, 400, "Bad Content-Length"),
    REFUSED(BODY("Content-Length: 3, 3\r\n", "abc"), ERR_SYNTAX, 400, "Bad Content-Length"),
    REFUSED(BODY("Content-Length: 3.0\r\n", "abc"), ERR_SYNTAX, 400, "Bad Content-Length"),
    REFUSED(BODY("Content-Length:\r\n", "abc"), ERR_SYNTAX, 400, "Bad Content-Length"),
    REFUSED(BODY("Content-Length: 3\r\nContent-Length: 2\r\n", "abc"), ERR_SYNTAX, 400,
            "Duplicate Content-Length"),
    REFUSED(BODY("Content-Length: 3\r\nl: 3\r\n", "abc"), ERR_SYNTAX, 400, "Duplicate Content-Length"),
};

static void a_bad_content_length_is_answered_400(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(bad_lengths); i++) {
        const struct refused *row = &bad_lengths[i];
        expect_refused(row->text, true, &sip_limits_default, row->rc, row->status, row->phrase);
        expect_refused(row->text, false, &sip_limits_default, row->rc, row->status, row->phrase);
    }
}

static void on_a_stream_content_length_must_be_there_18_3(void **state)
{
    (void)state;
    expect_refused(SLICE(BODY("", "")), false, &sip_limits_default, ERR_SYNTAX, 400,
                   "Missing Content-Length");
    struct memory m;
    struct sip_msg msg;
    struct sip_error error;
    memory_init(&m);
    assert_int_equal(sip_msg_parse(SLICE(BODY("Content-Length: 3\r\n", "abc")), false, &sip_limits_default,
                                   &m.arena, &msg, &error),
                     0);
    assert_slice(sip_msg_body(&msg), "abc");
    memory_done(&m);
}

static void a_bad_response_is_dropped(void **state)
{
    (void)state;
    expect_refused(SLICE("SIP/2.0 200 OK\r\n" IDENTITY "Content-Length: 4\r\n\r\nabc"), true,
                   &sip_limits_default, ERR_SYNTAX, 0, "Content-Length Beyond End");
    expect_refused(SLICE("SIP/2.0 200 OK\r\n" IDENTITY "X\r\n\r\n"), true, &sip_limits_default, ERR_SYNTAX, 0,
                   "Bad Header Line");
}

struct text {
    char *ptr;
    size_t len;
};

static struct text repeat(const char *head, const char *part, unsigned n, const char *tail)
{
    size_t part_len = strlen(part), head_len = strlen(head), tail_len = strlen(tail);
    struct text t = {malloc(head_len + n * part_len + tail_len + 1), 0};
    assert_non_null(t.ptr);
    memcpy(t.ptr, head, head_len);
    for (unsigned i = 0; i < n; i++)
        memcpy(t.ptr + head_len + i * part_len, part, part_len);
    memcpy(t.ptr + head_len + n * part_len, tail, tail_len + 1);
    t.len = head_len + n * part_len + tail_len;
    return t;
}

static void expect_limit(struct text t, const struct sip_limits *limits, unsigned status, const char *phrase)
{
    struct slice text = slice_make(t.ptr, t.len);
    if (phrase) {
        expect_refused(text, true, limits, ERR_LIMIT, status, phrase);
    } else {
        struct memory m;
        struct sip_msg msg;
        struct sip_error error = {0};
        memory_init(&m);
        int rc = sip_msg_parse(text, true, limits, &m.arena, &msg, &error);
        check_slice(cstr(error.phrase), SLICE_NULL, text);
        assert_int_equal(rc, 0);
        memory_done(&m);
    }
    free(t.ptr);
}

static void everything_has_a_limit(void **state)
{
    (void)state;
    struct sip_limits limits = {
        .message_bytes = 2000, .start_line_bytes = 100, .header_bytes = 200, .headers = 20, .values = 10};
    /* "INVITE sip:" " SIP/2.0" CRLF are 21 octets. */
    expect_limit(repeat("INVITE sip:", "a", 79, " SIP/2.0\r\n" IDENTITY "\r\n"), &limits, 0, NULL);
    expect_limit(repeat("INVITE sip:", "a", 80, " SIP/2.0\r\n" IDENTITY "\r\n"), &limits, 414,
                 "Request-URI Too Long");
    expect_limit(repeat(INVITE_LINE IDENTITY "Subject: ", "a", 189, "\r\n\r\n"), &limits, 0, NULL);
    expect_limit(repeat(INVITE_LINE IDENTITY "Subject: ", "a", 190, "\r\n\r\n"), &limits, 513,
                 "Header Too Long");
    expect_limit(repeat(INVITE_LINE IDENTITY "Subject: a", "\r\n a", 48, "\r\n\r\n"), &limits, 513,
                 "Header Too Long");
    expect_limit(repeat(INVITE_LINE IDENTITY, "x:y\r\n", 15, "\r\n"), &limits, 0, NULL);
    expect_limit(repeat(INVITE_LINE IDENTITY, "x:y\r\n", 16, "\r\n"), &limits, 513, "Too Many Headers");
    expect_limit(repeat(INVITE_LINE IDENTITY "\r\n", "x", 2000 - strlen(INVITE_OF("")), ""), &limits, 0,
                 NULL);
    expect_limit(repeat(INVITE_LINE IDENTITY "\r\n", "x", 2001 - strlen(INVITE_OF("")), ""), &limits, 513,
                 "Message Too Large");
    expect_limit(repeat(INVITE_LINE IDENTITY "Route: <a:b>", ",<a:b>", 9, "\r\n\r\n"), &limits, 0, NULL);
    expect_limit(repeat(INVITE_LINE IDENTITY "Route: <a:b>", ",<a:b>", 10, "\r\n\r\n"), &limits, 513,
                 "Too Many Route");
    expect_limit(repeat(INVITE_LINE IDENTITY, "Route: <a:b>\r\n", 10, "\r\n"), &limits, 0, NULL);
    expect_limit(repeat(INVITE_LINE IDENTITY, "Route: <a:b>\r\n", 11, "\r\n"), &limits, 513,
                 "Too Many Route");
    expect_limit(repeat(INVITE_LINE IDENTITY, "Via: SIP/2.0/UDP a, SIP/2.0/UDP b\r\n", 5, "\r\n"), &limits,
                 513, "Too Many Via");
    /* Commas in quotes and in headers that are no lists are no elements. */
    expect_limit(repeat(INVITE_LINE IDENTITY "Contact: \"", ",", 30, "\" <a:b>\r\n\r\n"), &limits, 0, NULL);
    expect_limit(repeat(INVITE_LINE IDENTITY "X: ", ",", 100, "\r\n\r\n"), &limits, 0, NULL);
    expect_limit(repeat(INVITE_LINE IDENTITY "Subject: ", ",", 100, "\r\n\r\n"), &limits, 0, NULL);
}

static void there_are_never_more_headers_than_an_index_can_count(void **state)
{
    (void)state;
    struct sip_limits limits = {.message_bytes = 1 << 20,
                                .start_line_bytes = 1 << 20,
                                .header_bytes = 1 << 20,
                                .headers = UINT32_MAX,
                                .values = UINT32_MAX};
    expect_limit(repeat(INVITE_LINE IDENTITY, "x:y\r\n", SIP_HEADERS_MAX - 5, "\r\n"), &limits, 0, NULL);
    expect_limit(repeat(INVITE_LINE IDENTITY, "x:y\r\n", SIP_HEADERS_MAX - 4, "\r\n"), &limits, 513,
                 "Too Many Headers");
    expect_limit(repeat(INVITE_LINE IDENTITY "Subject: ", "a", 65524, "\r\n\r\n"), &limits, 0, NULL);
    expect_limit(repeat(INVITE_LINE IDENTITY "Subject: ", "a", 65525, "\r\n\r\n"), &limits, 513,
                 "Header Too Long");
    expect_limit(repeat(INVITE_LINE IDENTITY, "n", 70000, ": x\r\n\r\n"), &limits, 513, "Header Too Long");
}

static void many_headers_are_kept_in_order(void **state)
{
    (void)state;
    struct memory m;
    struct sip_msg msg;
    memory_init(&m);
    struct text t = repeat(INVITE_LINE, VIA_LINE "x:y\r\n", 100, "\r\n");
    parse_good(&m, slice_make(t.ptr, t.len), &msg);
    assert_int_equal(msg.n_hdrs, 200);
    unsigned n = 0;
    for (uint16_t i = msg.first[SIP_HDR_VIA]; i != SIP_HDR_NONE; i = msg.hdrs[i].next, n++)
        assert_int_equal(i, 2 * n);
    assert_int_equal(n, 100);
    free(t.ptr);
    memory_done(&m);
}

static void every_prefix_of_a_message_is_safe(void **state)
{
    (void)state;
    static const char *const whole[] = {INVITE_OF("Max-Forwards: 70\r\nSubject :\r\n a\r\n b\r\nContact: "
                                                  "\"a,b\" <sip:c@d>;q=0.5,<sip:e>\r\nl: 4\r\n") "body",
                                        PLAIN_RINGING};
    for (size_t w = 0; w < ROWS(whole); w++) {
        struct slice text = cstr(whole[w]);
        for (size_t len = 0; len <= text.len; len++) {
            struct memory m;
            struct sip_msg msg;
            struct sip_error error = {.phrase = NULL};
            memory_init(&m);
            struct guarded g = guarded_copy(slice_sub(text, 0, len));
            int rc = parse_datagram(&m, g.copy, &msg, &error);
            check_that((rc == 0) == (len == text.len), g.copy);
            check_that(rc == 0 || (rc == ERR_SYNTAX && error.phrase), g.copy);
            guarded_free(&g);
            memory_done(&m);
        }
    }
}

static void without_memory_there_is_an_error_and_no_crash(void **state)
{
    (void)state;
    struct text t = repeat(INVITE_LINE, VIA_LINE "x:y\r\n", 100, "\r\n");
    bool worked = false;
    for (int64_t successes = 0; !worked; successes++) {
        struct memory m;
        struct sip_msg msg;
        struct sip_error error;
        memory_init(&m);
        mem_fail_after(successes);
        int rc = parse_datagram(&m, slice_make(t.ptr, t.len), &msg, &error);
        mem_fail_after(-1);
        assert_true(rc == 0 || rc == ERR_NOMEM);
        assert_true(successes > 0 || rc == ERR_NOMEM);
        worked = rc == 0;
        memory_done(&m);
    }
    struct arena_pool pool;
    struct arena arena;
    struct sip_msg msg;
    struct sip_error error;
    arena_pool_init(&pool, 0);
    arena_init(&arena, &pool);
    assert_int_equal(sip_msg_parse(SLICE(PLAIN_INVITE), true, &sip_limits_default, &arena, &msg, &error),
                     ERR_NOMEM);
    arena_done(&arena);
    arena_pool_done(&pool);
    free(t.ptr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_indexed),
        cmocka_unit_test(a_response_is_indexed_and_takes_its_method_from_cseq),
        cmocka_unit_test(good_start_lines_7_1_7_2),
        cmocka_unit_test(bad_start_lines_are_answered_or_dropped),
        cmocka_unit_test(bad_header_lines_are_answered_400),
        cmocka_unit_test(what_can_be_read_is_there_for_the_answer),
        cmocka_unit_test(the_body_of_a_datagram_18_3),
        cmocka_unit_test(a_bad_content_length_is_answered_400),
        cmocka_unit_test(on_a_stream_content_length_must_be_there_18_3),
        cmocka_unit_test(a_bad_response_is_dropped),
        cmocka_unit_test(everything_has_a_limit),
        cmocka_unit_test(there_are_never_more_headers_than_an_index_can_count),
        cmocka_unit_test(many_headers_are_kept_in_order),
        cmocka_unit_test(every_prefix_of_a_message_is_safe),
        cmocka_unit_test(without_memory_there_is_an_error_and_no_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
