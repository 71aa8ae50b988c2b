#include "base/log.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs those above. */
#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

struct sink {
    char text[16384];
    size_t len;
    int lines;
};

static struct sink sink;

static void collect(struct slice line, void *ctx)
{
    struct sink *to = ctx;

    assert_true(line.len > 0 && line.len <= 4096);
    assert_int_equal(slice_find(line, '\n'), line.len - 1);
    assert_true(to->len + line.len < sizeof(to->text));
    memcpy(to->text + to->len, line.ptr, line.len);
    to->len += line.len;
    to->text[to->len] = '\0';
    to->lines++;
}

static int set_up(void **state)
{
    (void)state;
    sink = (struct sink){.len = 0};
    log_set_sink(collect, &sink);
    log_set_level(LOG_INFO);
    log_set_format(LOG_TEXT);
    return 0;
}

/* The line without its time, which is checked for its form. */
static const char *after_time(const char *line)
{
    const char *form = "dddd-dd-ddTdd:dd:dd.dddZ ";

    for (; *form; form++, line++)
        assert_true(*form == 'd' ? *line >= '0' && *line <= '9' : *line == *form);
    return line;
}

static void text_line_has_time_level_event_and_fields(void **state)
{
    (void)state;
    log_event(LOG_INFO, "call.answered", log_cstr("call_id", "a@b"), log_u64("status", 200),
              log_i64("n", -5));
    assert_string_equal(after_time(sink.text), "info call.answered call_id=a@b status=200 n=-5\n");
}

static void no_fields_are_fine(void **state)
{
    (void)state;
    log_event(LOG_ERROR, "started");
    assert_string_equal(after_time(sink.text), "error started\n");
}

static void json_line_has_the_same(void **state)
{
    (void)state;
    log_set_format(LOG_JSON);
    log_event(LOG_WARN, "x.y", log_cstr("a", "b \"c\" \\"), log_u64("n", 1));
    assert_memory_equal(sink.text, "{\"time\":\"2", 10);
    assert_string_equal(strstr(sink.text, ",\"level\""),
                        ",\"level\":\"warn\",\"event\":\"x.y\",\"a\":\"b \\\"c\\\" \\\\\",\"n\":1}\n");
}

static void nobody_can_forge_a_line_or_a_field(void **state)
{
    static const struct {
        struct slice value;
        const char *text, *json;
    } rows[] = {
#define ROW(v, t, j) {{v, sizeof(v) - 1}, t, j}
        ROW("a\nb", "\"a\\nb\"", "\"a\\nb\""),
        ROW("a\r\n\tb", "\"a\\r\\n\\tb\"", "\"a\\r\\n\\tb\""),
        ROW("a b", "\"a b\"", "\"a b\""),
        ROW("x=1", "\"x=1\"", "\"x=1\""),
        ROW("\"", "\"\\\"\"", "\"\\\"\""),
        ROW("", "\"\"", "\"\""),
        ROW("a\0b", "\"a\\u0000b\"", "\"a\\u0000b\""),
        ROW("\x1b[2J", "\"\\u001b[2J\"", "\"\\u001b[2J\""),
        ROW("\x7f", "\"\\u007f\"", "\"\\u007f\""),
        ROW("\xc2\x85", "\"\\u0085\"", "\"\\u0085\""),                       /* next line */
        ROW("\xe2\x80\xa8", "\"\\u2028\"", "\"\\u2028\""),                   /* line separator */
        ROW("\xe2\x80\xae", "\"\\u202e\"", "\"\\u202e\""),                   /* right-to-left override */
        ROW("\xf3\xa0\x81\x81", "\"\\udb40\\udc41\"", "\"\\udb40\\udc41\""), /* invisible tag */
        ROW("\xc3\xa4", "\"\xc3\xa4\"", "\"\xc3\xa4\""),
        ROW("\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\"", "\"\xf0\x9f\x98\x80\""),
        ROW("\xff", "\"\\xff\"", "\"\\ufffd\""),
        ROW("\xc3", "\"\\xc3\"", "\"\\ufffd\""),                 /* cut off */
        ROW("\xc0\x8a", "\"\\xc0\\x8a\"", "\"\\ufffd\\ufffd\""), /* a newline in two octets */
        ROW("\xe0\x80\x8a", "\"\\xe0\\x80\\x8a\"", "\"\\ufffd\\ufffd\\ufffd\""),
        ROW("\xed\xa0\x80", "\"\\xed\\xa0\\x80\"", "\"\\ufffd\\ufffd\\ufffd\""), /* surrogate */
        ROW("\xf4\x90\x80\x80", "\"\\xf4\\x90\\x80\\x80\"", "\"\\ufffd\\ufffd\\ufffd\\ufffd\""),
#undef ROW
    };
    char want[256];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        set_up(state);
        log_event(LOG_INFO, "e", log_slice("v", rows[i].value));
        snprintf(want, sizeof(want), "info e v=%s\n", rows[i].text);
        assert_string_equal(after_time(sink.text), want);
        set_up(state);
        log_set_format(LOG_JSON);
        log_event(LOG_INFO, "e", log_slice("v", rows[i].value));
        snprintf(want, sizeof(want), "\"v\":%s}\n", rows[i].json);
        assert_string_equal(strstr(sink.text, "\"v\":"), want);
        assert_int_equal(sink.lines, 1);
    }
}

static void a_line_is_bounded_and_says_when_something_was_cut(void **state)
{
    static char large[5000];

    for (int json = 0; json < 2; json++) {
        set_up(state);
        log_set_format(json ? LOG_JSON : LOG_TEXT);
        memset(large, '\n', sizeof(large)); /* each octet becomes two */
        log_event(LOG_INFO, "e", log_slice("a", slice_make(large, sizeof(large))),
                  log_slice("b", slice_make(large, sizeof(large))),
                  log_slice("c", slice_make(large, sizeof(large))), log_u64("last", 1));
        assert_int_equal(sink.lines, 1);
        assert_non_null(strstr(sink.text, json ? ",\"last\":1,\"cut\":1}\n" : " last=1 cut=1\n"));
    }
}

static void levels_filter(void **state)
{
    enum log_level level;

    (void)state;
    log_event(LOG_DEBUG, "hidden");
    assert_int_equal(sink.lines, 0);
    log_set_level(LOG_DEBUG);
    log_event(LOG_DEBUG, "shown");
    assert_int_equal(sink.lines, 1);
    assert_true(log_level_parse(SLICE("notice"), &level));
    assert_int_equal(level, LOG_NOTICE);
    assert_false(log_level_parse(SLICE("Notice"), &level));
    assert_false(log_level_parse(SLICE(""), &level));
}

static void limiter_lets_so_many_through_and_counts_the_rest(void **state)
{
    struct log_limiter limiter = LOG_LIMITER(5);
    const char *summary;

    (void)state;
    for (int i = 0; i < 100; i++)
        log_limited(&limiter, LOG_INFO, "flood", log_u64("i", (uint64_t)i));
    assert_true(sink.lines >= 5 && sink.lines <= 11); /* a second may have begun in between */
    sink.lines = 0;
    sink.len = 0;
    usleep(1100 * 1000);
    log_limited(&limiter, LOG_INFO, "flood", log_u64("i", 100));
    summary = after_time(sink.text);
    assert_int_equal(sink.lines, 2);
    assert_memory_equal(summary, "info log.left_out of=flood lines=", 33);
    assert_non_null(strstr(summary, "i=100\n"));
}

static void without_a_sink_a_line_is_one_write_to_standard_error(void **state)
{
    int ends[2], saved = dup(STDERR_FILENO);
    char line[256];
    ssize_t len;

    (void)state;
    log_set_sink(NULL, NULL);
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    log_event(LOG_INFO, "piped", log_u64("n", 1));
    dup2(saved, STDERR_FILENO);
    len = read(ends[0], line, sizeof(line) - 1);
    assert_true(len > 0);
    line[len] = '\0';
    assert_string_equal(after_time(line), "info piped n=1\n");
    close(saved);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(text_line_has_time_level_event_and_fields, set_up),
        cmocka_unit_test_setup(no_fields_are_fine, set_up),
        cmocka_unit_test_setup(json_line_has_the_same, set_up),
        cmocka_unit_test_setup(nobody_can_forge_a_line_or_a_field, set_up),
        cmocka_unit_test_setup(a_line_is_bounded_and_says_when_something_was_cut, set_up),
        cmocka_unit_test_setup(levels_filter, set_up),
        cmocka_unit_test_setup(limiter_lets_so_many_through_and_counts_the_rest, set_up),
        cmocka_unit_test_setup(without_a_sink_a_line_is_one_write_to_standard_error, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
