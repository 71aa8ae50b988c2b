/* torture_parse DIR: holds every message below DIR to its line in VERDICTS.tsv, and every line to a message.
 */
#include "torture_file.h"

#include "sip/build.h"
#include "sip/edit.h"
#include "sip/frame.h"
#include <dirent.h>

#define ROWS_MAX 200

struct row {
    char line[400];
    const char *file, *verdict, *status, *phrase;
};

static const char *dir;
static struct row rows[ROWS_MAX];
static size_t n_rows;

static void split(struct row *row)
{
    const char **columns[] = {&row->file, &row->verdict, &row->status, &row->phrase};
    char *rest = row->line;
    for (size_t i = 0; i < ROWS(columns); i++) {
        *columns[i] = strsep(&rest, "\t");
        assert_non_null(rest);
    }
}

static int read_verdicts(void **state)
{
    char path[1024];
    (void)state;
    snprintf(path, sizeof(path), "%s/VERDICTS.tsv", dir);
    FILE *f = fopen(path, "r");
    if (!f)
        return -1;
    while (n_rows < ROWS_MAX && fgets(rows[n_rows].line, sizeof(rows[n_rows].line), f)) {
        if (rows[n_rows].line[0] != '#')
            split(&rows[n_rows++]);
    }
    fclose(f);
    return 0;
}

struct outcome {
    int rc;
    struct sip_error error;
};

static struct outcome judge(struct memory *m, struct slice bytes, struct sip_msg *msg)
{
    struct outcome o = {.error = {.status = 0}};
    o.rc = parse_datagram(m, bytes, msg, &o.error);
    if (o.rc == 0)
        o.rc = sip_msg_check(msg, &o.error);
    return o;
}

static const char *verdict_of(const struct outcome *o)
{
    if (o->rc == 0)
        return "accept";
    return o->error.status != 0 ? "refuse" : "drop";
}

static void every_message_gets_its_verdict(void **state)
{
    (void)state;
    assert_true(n_rows > 60);
    for (size_t i = 0; i < n_rows; i++) {
        struct torture_file file = torture_file_read(dir, rows[i].file);
        struct memory m;
        struct sip_msg msg;
        memory_init(&m);
        struct outcome o = judge(&m, file.bytes, &msg);
        check_slice(cstr(verdict_of(&o)), cstr(rows[i].verdict), cstr(rows[i].file));
        if (o.rc < 0)
            check_slice(cstr(o.error.phrase), cstr(rows[i].phrase), cstr(rows[i].file));
        if (o.error.status != 0)
            check_that(o.error.status == (unsigned)atoi(rows[i].status), cstr(rows[i].file));
        memory_done(&m);
        torture_file_done(&file);
    }
}

/* RFC 3261 section 16.3 item 1: what is not used is "unchanged when the message is forwarded". */
static void an_accepted_message_passes_octet_for_octet(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_rows; i++) {
        struct torture_file file = torture_file_read(dir, rows[i].file);
        struct memory m;
        struct sip_msg msg, kept;
        struct sip_edit edit;
        struct wire *wire = NULL;
        memory_init(&m);
        if (judge(&m, file.bytes, &msg).rc == 0) {
            assert_int_equal(sip_msg_keep(&msg, &m.arena, &m.arena, &kept), 0);
            sip_edit_init(&edit, &kept, &m.arena);
            assert_int_equal(sip_edit_build(&edit, TORTURE_FILE_MAX, &wire), 0);
            check_slice(wire_slice(wire), slice_sub(file.bytes, 0, msg.len), cstr(rows[i].file));
            wire_unref(wire);
        }
        memory_done(&m);
        torture_file_done(&file);
    }
}

/* The answer to a bad request must not itself be bad. */
static void a_refused_request_is_answered_with_a_good_response(void **state)
{
    (void)state;
    unsigned answered = 0;
    for (size_t i = 0; i < n_rows; i++) {
        struct torture_file file = torture_file_read(dir, rows[i].file);
        struct memory m;
        struct sip_msg msg, response;
        struct wire *wire = NULL;
        memory_init(&m);
        struct outcome o = judge(&m, file.bytes, &msg);
        if (o.rc < 0 && o.error.status != 0) {
            struct sip_response_args args = {
                .status = o.error.status, .phrase = cstr(o.error.phrase), .to_tag = SLICE("t")};
            check_that(sip_build_response(&msg, &args, &wire) == 0, cstr(rows[i].file));
            parse_good(&m, wire_slice(wire), &response);
            check_that(response.status == o.error.status, cstr(rows[i].file));
            check_that(sip_msg_has(&response, SIP_HDR_VIA), cstr(rows[i].file));
            wire_unref(wire);
            answered++;
        }
        memory_done(&m);
        torture_file_done(&file);
    }
    assert_in_range(answered, 18, 30);
}

/* On a stream the framer must agree with the parser about where an accepted message ends. */
static void on_a_stream_an_accepted_message_ends_at_the_same_octet(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_rows; i++) {
        struct torture_file file = torture_file_read(dir, rows[i].file);
        struct memory m;
        struct sip_msg msg;
        struct sip_framer framer = {0};
        memory_init(&m);
        if (judge(&m, file.bytes, &msg).rc == 0) {
            enum sip_frame_result result = sip_frame_next(&framer, file.bytes, &sip_limits_default);
            check_that(result == (msg.has_content_length ? SIP_FRAME_MESSAGE : SIP_FRAME_BAD),
                       cstr(rows[i].file));
            check_that(result == SIP_FRAME_BAD || framer.message_len == msg.len, cstr(rows[i].file));
        }
        memory_done(&m);
        torture_file_done(&file);
    }
}

static bool has_verdict(const char *file)
{
    for (size_t i = 0; i < n_rows; i++) {
        if (strcmp(rows[i].file, file) == 0)
            return true;
    }
    return false;
}

static void no_message_is_without_a_verdict(void **state)
{
    static const char *const folders[] = {"rfc4475", "rfc5118", "rfc5118/length-fixed",
                                          "rfc5118/archive-exact"};
    size_t files = 0;
    (void)state;
    for (size_t i = 0; i < ROWS(folders); i++) {
        char path[1024], name[600];
        snprintf(path, sizeof(path), "%s/%s", dir, folders[i]);
        DIR *d = opendir(path);
        assert_non_null(d);
        for (struct dirent *entry; (entry = readdir(d)) != NULL;) {
            snprintf(name, sizeof(name), "%s/%s", folders[i], entry->d_name);
            if (entry->d_type == DT_DIR)
                continue;
            check_that(has_verdict(name), cstr(name));
            files++;
        }
        closedir(d);
    }
    assert_int_equal(files, n_rows);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_gets_its_verdict),
        cmocka_unit_test(an_accepted_message_passes_octet_for_octet),
        cmocka_unit_test(a_refused_request_is_answered_with_a_good_response),
        cmocka_unit_test(on_a_stream_an_accepted_message_ends_at_the_same_octet),
        cmocka_unit_test(no_message_is_without_a_verdict),
    };
    dir = argc > 1 ? argv[1] : ".";
    return cmocka_run_group_tests(tests, read_verdicts, NULL);
}
