#include "support.h"

#include "sip/field.h"

struct cut {
    struct slice text;
    size_t len; /* of the field */
    enum sip_field_fault fault;
};

#define CUT(text, len, fault)                                                                                \
    {                                                                                                        \
        {text, sizeof(text) - 1}, len, SIP_FIELD_##fault                                                     \
    }

static const struct cut folded[] = {
    CUT("a: b\r\n", 6, GOOD),
    CUT("a: b\r\nc: d\r\n", 6, GOOD),
    CUT("a: b\r\n c\r\nd: e\r\n", 10, GOOD),
    CUT("a: b\r\n\tc\r\n\r\n", 10, GOOD),
    CUT("a: b\r\n \r\n\r\n", 9, GOOD), /* a line of white space goes on */
    CUT("a:\tb\r\n", 6, GOOD),
    CUT("a: \x01\x1f\x7f\xc3\xa9\r\n", 10, GOOD),
    CUT("\r\n", 2, GOOD),
    /* RFC 4475 section 3.1.1.2: NUL as a quoted-pair. */
    CUT("a: \"\\\0\"\r\n", 9, GOOD),
    CUT("a: \"\\\\\0\"\r\n", 10, NUL),
    CUT("a: \\\0\r\n", 7, NUL),
    CUT("a: \0\r\n", 6, NUL),
    CUT("a: \"\0\"\r\n", 8, NUL),
    CUT("a\0: b\r\n", 7, NUL),
    CUT("a: \"\\\0\r\n", 8, NUL), /* no quote at the end */
    CUT("a: \"\\\0\" \0\r\n", 11, NUL),
    CUT("a: b\n", 5, BARE_LF),
    CUT("a: b\nc: d\r\n", 5, BARE_LF),
    CUT("a: b\n c\r\n", 9, BARE_LF),
    CUT("\n", 1, BARE_LF),
    CUT("a: b\rc\r\n", 8, BARE_CR),
    CUT("a: b\r\r\n", 7, BARE_CR),
    CUT("a: b\r\n \rc\r\n", 11, BARE_CR),
    CUT("a: b", 4, UNTERMINATED),
    CUT("a: b\r", 5, UNTERMINATED),
    CUT("a: b\r\n c", 8, UNTERMINATED),
    CUT("a", 1, UNTERMINATED),
};

static void a_field_ends_where_no_white_space_follows_7_3_1(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(folded); i++) {
        struct guarded g = guarded_copy(folded[i].text);
        struct sip_field field = sip_field_cut(g.copy.ptr, g.copy.ptr + g.copy.len, true);
        check_that(field.line.ptr == g.copy.ptr, g.copy);
        check_that(field.line.len == folded[i].len, g.copy);
        check_that(field.fault == folded[i].fault, g.copy);
        guarded_free(&g);
    }
}

static void the_start_line_is_not_folded(void **state)
{
    (void)state;
    struct slice text = SLICE("INVITE sip:a SIP/2.0\r\n x: y\r\n");
    struct sip_field field = sip_field_cut(text.ptr, text.ptr + text.len, false);
    assert_slice(field.line, "INVITE sip:a SIP/2.0\r\n");
}

/* The search for control octets goes by words of eight: every place in a word must be seen. */
static void line_ends_are_found_at_every_offset(void **state)
{
    (void)state;
    char text[64];
    for (size_t at = 0; at < 40; at++) {
        for (int with_utf8 = 0; with_utf8 < 2; with_utf8++) {
            memset(text, with_utf8 ? 0xa0 : 'x', sizeof(text));
            text[at] = '\r';
            text[at + 1] = '\n';
            struct guarded g = guarded_copy(slice_make(text, at + 2));
            struct sip_field field = sip_field_cut(g.copy.ptr, g.copy.ptr + g.copy.len, true);
            assert_int_equal(field.line.len, at + 2);
            assert_int_equal(field.fault, SIP_FIELD_GOOD);
            guarded_free(&g);
        }
    }
}

static void a_field_is_a_token_a_colon_and_a_value_7_3_1(void **state)
{
    (void)state;
    static const struct {
        const char *line, *name, *value; /* name NULL: none */
    } rows[] = {
        {"Subject: lunch\r\n", "Subject", "lunch"},
        {"Subject      :      lunch\r\n", "Subject", "lunch"},
        {"Subject\t:lunch \t \r\n", "Subject", "lunch"},
        {"Subject:\r\n", "Subject", ""},
        {"Subject: \r\n", "Subject", ""},
        {"Subject:\r\n a\r\n b\r\n", "Subject", "a\r\n b"},
        {"extensionHeader-!.%*+_`'~:\xef\xbb\xbf\r\n", "extensionHeader-!.%*+_`'~", "\xef\xbb\xbf"},
        {"a:b:c\r\n", "a", "b:c"},
        {"a::\r\n", "a", ":"},
        {"Call-ID: 1234567@example.com\r\n", "Call-ID", "1234567@example.com"},
        {"Call-ID:  1234567@example.com\r\n", "Call-ID", "1234567@example.com"},
        {"Call-ID:1234567@example.com\r\n", "Call-ID", "1234567@example.com"},
        {"Call-ID: 1234567@example.com \r\n", "Call-ID", "1234567@example.com"},
        {"Call-ID: 1234567\r\n @example.com\r\n", "Call-ID", "1234567\r\n @example.com"},
        {"Call-ID: 1234567890\r\n \r\n", "Call-ID", "1234567890"},
        {"Content-Length: 0\r\n", "Content-Length", "0"},
        {"Content-Length: \r\n", "Content-Length", ""},
        {"Content-Length:\r\n", "Content-Length", ""},
        {"Content-Lengt: 12\r\n", "Content-Lengt", "12"},
        {"Subject lunch\r\n", NULL, NULL},
        {"Subject\r\n", NULL, NULL},
        {": lunch\r\n", NULL, NULL},
        {" Subject: lunch\r\n", NULL, NULL},
        {"Sub ject: lunch\r\n", NULL, NULL},
        {"Subject\r\n : lunch\r\n", NULL, NULL}, /* HCOLON: no line break before the colon */
        {"Sub\"ject: x\r\n", NULL, NULL},
        {"Subject\x0b: x\r\n", NULL, NULL},
        {"\xc3\xa9: x\r\n", NULL, NULL},
        {"\r\n", NULL, NULL},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct slice line = cstr(rows[i].line);
        struct guarded g = guarded_copy(line);
        struct sip_field_parts parts = sip_field_split(g.copy, g.copy.ptr + g.copy.len);
        check_that((parts.name_len > 0) == (rows[i].name != NULL), line);
        if (rows[i].name) {
            struct slice name = cstr(rows[i].name);
            check_slice(slice_sub(g.copy, 0, parts.name_len), name, line);
            check_slice(parts.value, cstr(rows[i].value), line);
            check_that(parts.id == sip_hdr_from_name(name), line);
            check_that(parts.value.ptr + parts.value.len <= g.copy.ptr + g.copy.len - 2, line);
        }
        guarded_free(&g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_field_ends_where_no_white_space_follows_7_3_1),
        cmocka_unit_test(the_start_line_is_not_folded),
        cmocka_unit_test(line_ends_are_found_at_every_offset),
        cmocka_unit_test(a_field_is_a_token_a_colon_and_a_value_7_3_1),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
