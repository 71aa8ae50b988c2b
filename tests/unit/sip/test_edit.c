#include "support.h"

#include "sip/edit.h"
#include <signal.h>
#include <sys/wait.h>

#define HEAD "INVITE sip:bob@b sip/2.0\r\n"

struct bench {
    struct memory memory;
    struct sip_msg msg;
    struct sip_edit edit;
};

static void setup(struct bench *b, const char *text)
{
    memory_init(&b->memory);
    parse_good(&b->memory, cstr(text), &b->msg);
    sip_edit_init(&b->edit, &b->msg, &b->memory.arena);
}

static void expect(struct bench *b, const char *text)
{
    struct wire *wire = NULL;
    int rc = sip_edit_build(&b->edit, 65535, &wire);
    assert_int_equal(rc, 0);
    check_slice(wire_slice(wire), cstr(text), cstr(text));
    assert_int_equal(sip_edit_length(&b->edit), wire->len);
    wire_unref(wire);
    memory_done(&b->memory);
}

static void expect_error(struct bench *b, int error)
{
    struct wire *wire = NULL;
    assert_int_equal(sip_edit_build(&b->edit, 65535, &wire), error);
    assert_null(wire);
    memory_done(&b->memory);
}

static void without_edits_the_message_is_the_same_octets(void **state)
{
    (void)state;
    struct bench b;
    setup(&b, HEAD "a  :b\r\n c\r\nL:4\r\n\r\nbodytail");
    expect(&b, HEAD "a  :b\r\n c\r\nL:4\r\n\r\nbody"); /* and no more than the message: section 18.3 */
}

static void the_start_line(void **state)
{
    (void)state;
    struct bench b;
    setup(&b, HEAD "a: b\r\n\r\n");
    sip_edit_set_ruri(&b.edit, SLICE("sips:carol@c"));
    sip_edit_fix_version(&b.edit);
    expect(&b, "INVITE sips:carol@c SIP/2.0\r\na: b\r\n\r\n");
    setup(&b, "INVITE sip:b SIP/2.0\r\n\r\n");
    sip_edit_fix_version(&b.edit);
    assert_null(b.edit.first);
    expect(&b, "INVITE sip:b SIP/2.0\r\n\r\n");
}

static void pushed_headers_go_on_top_the_last_one_highest(void **state)
{
    (void)state;
    struct bench b;
    setup(&b, HEAD "x: y\r\nv: 1\r\nVia: 2\r\n\r\n");
    sip_edit_push_header(&b.edit, SIP_HDR_VIA, SLICE("3"));
    sip_edit_push_header(&b.edit, SIP_HDR_VIA, SLICE("4"));
    expect(&b, HEAD "x: y\r\nVia: 4\r\nVia: 3\r\nv: 1\r\nVia: 2\r\n\r\n");
    setup(&b, HEAD "x: y\r\nv: 1\r\n\r\n");
    sip_edit_push_header(&b.edit, SIP_HDR_VIA, SLICE("2"));
    sip_edit_push_line(&b.edit, SIP_HDR_VIA, SLICE("Via: 3\r\n"));
    sip_edit_push_line(&b.edit, SIP_HDR_ROUTE, SLICE("Route: 1\r\n"));
    expect(&b, HEAD "x: y\r\nVia: 3\r\nVia: 2\r\nv: 1\r\nRoute: 1\r\n\r\n");
    /* With none there: Via before everything, others at the end. */
    setup(&b, HEAD "x: y\r\n\r\nbody");
    sip_edit_push_header(&b.edit, SIP_HDR_VIA, SLICE("1"));
    sip_edit_push_header(&b.edit, SIP_HDR_VIA, SLICE("2"));
    sip_edit_push_header(&b.edit, SIP_HDR_ROUTE, SLICE("1"));
    sip_edit_push_header(&b.edit, SIP_HDR_ROUTE, SLICE("2"));
    expect(&b, HEAD "Via: 2\r\nVia: 1\r\nx: y\r\nRoute: 2\r\nRoute: 1\r\n\r\nbody");
}

static void appended_headers_go_to_the_end_in_order(void **state)
{
    (void)state;
    struct bench b;
    setup(&b, HEAD "Route: 1\r\nx: y\r\n\r\nbody");
    sip_edit_append_header(&b.edit, SIP_HDR_ROUTE, SLICE("2"));
    sip_edit_append_other(&b.edit, SLICE("X-New"), SLICE("a\r\n folded"));
    sip_edit_append_header(&b.edit, SIP_HDR_ROUTE, SLICE("3"));
    expect(&b, HEAD "Route: 1\r\nx: y\r\nRoute: 2\r\nX-New: a\r\n folded\r\nRoute: 3\r\n\r\nbody");
}

static void a_header_is_set_in_its_place_or_appended(void **state)
{
    (void)state;
    struct bench b;
    setup(&b, HEAD "MAX-FORWARDS \t:\r\n 70 \r\nx: y\r\n\r\n");
    sip_edit_set_header(&b.edit, SIP_HDR_MAX_FORWARDS, SLICE("69"));
    sip_edit_set_header(&b.edit, SIP_HDR_EXPIRES, SLICE("5"));
    expect(&b, HEAD "MAX-FORWARDS \t:\r\n 69 \r\nx: y\r\nExpires: 5\r\n\r\n");
    setup(&b, HEAD "Expires:\r\n\r\n");
    sip_edit_set_header(&b.edit, SIP_HDR_EXPIRES, SLICE("5"));
    expect(&b, HEAD "Expires:5\r\n\r\n");
}

static void headers_are_removed_with_their_lines_whatever_their_spelling(void **state)
{
    (void)state;
    struct bench b;
    setup(&b, HEAD "Route: 1\r\nx: y\r\nROUTE\t : 2\r\n 3\r\nz: y\r\n\r\n");
    sip_edit_remove_header(&b.edit, SIP_HDR_ROUTE);
    sip_edit_remove_header(&b.edit, SIP_HDR_PATH);
    expect(&b, HEAD "x: y\r\nz: y\r\n\r\n");
    setup(&b, HEAD "Route: 1\r\nx: y\r\nRoute: 2\r\n\r\n");
    sip_edit_remove_at(&b.edit, 1);
    expect(&b, HEAD "Route: 1\r\nRoute: 2\r\n\r\n");
}

struct pop {
    const char *before;
    unsigned count;
    const char *after; /* NULL: an error */
    int error;
};

static const struct pop pops[] = {
    {"Route: <a:1>\r\n", 1, "", 0},
    {"Route: <a:1>\r\n", 0, "Route: <a:1>\r\n", 0},
    {"Route: <a:1>, <a:2>\r\n", 1, "Route: <a:2>\r\n", 0},
    {"Route: <a:1>, <a:2>\r\n", 2, "", 0},
    {"Route:\r\n <a:1> ,\r\n <a:2>,<a:3>\r\n", 1, "Route:\r\n <a:2>,<a:3>\r\n", 0},
    {"Route: <a:1>\r\nx: y\r\nRoute: <a:2>\r\n", 1, "x: y\r\nRoute: <a:2>\r\n", 0},
    {"Route: <a:1>\r\nx: y\r\nRoute: <a:2>\r\n", 2, "x: y\r\n", 0},
    {"Route: <a:1>,<a:2>\r\nx: y\r\nRoute: <a:3>,<a:4>,<a:5>\r\n", 2, "x: y\r\nRoute: <a:3>,<a:4>,<a:5>\r\n",
     0},
    {"Route: <a:1>,<a:2>\r\nx: y\r\nRoute: <a:3>,<a:4>,<a:5>\r\n", 3, "x: y\r\nRoute: <a:4>,<a:5>\r\n", 0},
    {"Route: <a:1>,<a:2>\r\nx: y\r\nRoute: <a:3>,<a:4>,<a:5>\r\n", 4, "x: y\r\nRoute: <a:5>\r\n", 0},
    {"Route: <a:1>,<a:2>\r\nx: y\r\nRoute: <a:3>,<a:4>,<a:5>\r\n", 5, "x: y\r\n", 0},
    {"Route: <a:1>\r\nRoute: <a:2>\r\nRoute: <a:3>\r\n", 2, "Route: <a:3>\r\n", 0},
    {"x: y\r\n", 0, "x: y\r\n", 0},
    {"x: y\r\n", 1, NULL, ERR_NOTFOUND},
    {"Route: <a:1>\r\n", 2, NULL, ERR_NOTFOUND},
    {"Route: ,<a:1>\r\n", 1, NULL, ERR_SYNTAX},
    {"Route: <a:1>,\r\n", 1, NULL, ERR_SYNTAX},
};

static void the_first_elements_of_a_list_are_popped_over_its_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(pops); i++) {
        struct bench b;
        char before[200], after[200];
        snprintf(before, sizeof(before), HEAD "%s\r\n", pops[i].before);
        setup(&b, before);
        sip_edit_pop_values(&b.edit, SIP_HDR_ROUTE, pops[i].count);
        if (!pops[i].after) {
            expect_error(&b, pops[i].error);
            continue;
        }
        snprintf(after, sizeof(after), HEAD "%s\r\n", pops[i].after);
        expect(&b, after);
    }
}

static void one_element_is_removed_with_its_comma_or_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *before;
        unsigned which;
        const char *after;
    } rows[] = {
        {"Route: <a:1>\r\nx: y\r\n", 0, "x: y\r\n"},
        {"Route: <a:1> , <a:2>\r\n", 0, "Route: <a:2>\r\n"},
        {"Route: <a:1> , <a:2>\r\n", 1, "Route: <a:1> \r\n"},
        {"Route: <a:1>,\r\n <a:2>,<a:3>\r\n", 1, "Route: <a:1>,<a:3>\r\n"},
        {"Route: <a:1>,<a:2>;x=\",\",<a:3>\r\n", 1, "Route: <a:1>,<a:3>\r\n"},
        {"Route: <a:1>;x=\",\" ,<a:2>\r\n", 0, "Route: <a:2>\r\n"},
        {"Route: <a:1>\r\nRoute: <a:2>,<a:3>\r\n", 1, "Route: <a:1>\r\nRoute: <a:3>\r\n"},
        {"Route: <a:1>\r\nRoute: <a:2>,<a:3>\r\n", 2, "Route: <a:1>\r\nRoute: <a:2>\r\n"},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct bench b;
        char before[200], after[200];
        struct slice element;
        snprintf(before, sizeof(before), HEAD "%s\r\n", rows[i].before);
        snprintf(after, sizeof(after), HEAD "%s\r\n", rows[i].after);
        setup(&b, before);
        struct sip_values it = sip_values_of(&b.msg, SIP_HDR_ROUTE);
        for (unsigned n = 0; n <= rows[i].which; n++)
            assert_int_equal(sip_values_next(&it, &element), 0);
        sip_edit_remove_value(&b.edit, &it, element);
        expect(&b, after);
    }
}

static void a_slice_of_the_message_is_replaced(void **state)
{
    (void)state;
    struct bench b;
    const struct sip_via *via;
    setup(&b, HEAD "Via: SIP/2.0/UDP h;rport ;branch=x\r\n\r\n");
    assert_int_equal(sip_msg_top_via(&b.msg, &via), 0);
    sip_edit_replace(&b.edit, via->rport_text, SLICE(";rport=5062"));
    sip_edit_splice(&b.edit, (uint32_t)(via->params.ptr - b.msg.bytes), 0, SLICE(";received=192.0.2.1"));
    expect(&b, HEAD "Via: SIP/2.0/UDP h;received=192.0.2.1;rport=5062 ;branch=x\r\n\r\n");
}

static void content_length_is_added_where_it_is_missing(void **state)
{
    (void)state;
    struct bench b;
    setup(&b, HEAD "x: y\r\n\r\nbody");
    sip_edit_fix_content_length(&b.edit);
    expect(&b, HEAD "x: y\r\nContent-Length: 4\r\n\r\nbody");
    setup(&b, HEAD "l: 3\r\n\r\nbody");
    sip_edit_fix_content_length(&b.edit);
    expect(&b, HEAD "l: 3\r\n\r\nbod");
    setup(&b, HEAD "\r\n");
    sip_edit_fix_content_length(&b.edit);
    expect(&b, HEAD "Content-Length: 0\r\n\r\n");
}

/* All the edits of a forwarded request, first in the order of the message and then in another. */
static void edits_give_the_same_in_any_order(void **state)
{
    (void)state;
    static const char before[] = HEAD "Via: 1\r\nMax-Forwards: 70\r\nRoute: <a:1>\r\nRoute: <a:2>\r\n\r\n";
    static const char after[] =
        "INVITE sip:new sip/2.0\r\nVia: 0\r\nVia: 1\r\nMax-Forwards: 69\r\nRoute: <a:0>\r\n"
        "Route: <a:2>\r\nRecord-Route: <p>\r\nContent-Length: 0\r\n\r\n";
    for (unsigned order = 0; order < 2; order++) {
        struct bench b;
        setup(&b, before);
        for (unsigned i = 0; i < 7; i++) {
            switch (order ? 6 - i : i) {
            case 0:
                sip_edit_set_ruri(&b.edit, SLICE("sip:new"));
                break;
            case 1:
                sip_edit_push_header(&b.edit, SIP_HDR_VIA, SLICE("0"));
                break;
            case 2:
                sip_edit_set_header(&b.edit, SIP_HDR_MAX_FORWARDS, SLICE("69"));
                break;
            case 3:
                sip_edit_push_header(&b.edit, SIP_HDR_ROUTE, SLICE("<a:0>"));
                break;
            case 4:
                sip_edit_pop_values(&b.edit, SIP_HDR_ROUTE, 1);
                break;
            case 5:
                sip_edit_push_header(&b.edit, SIP_HDR_RECORD_ROUTE, SLICE("<p>"));
                break;
            case 6:
                sip_edit_fix_content_length(&b.edit);
                break;
            }
        }
        expect(&b, after);
    }
}

static void splices_at_one_place_stay_in_the_order_given(void **state)
{
    (void)state;
    struct bench b;
    setup(&b, "X sip:abcdef SIP/2.0\r\n\r\n");
    sip_edit_splice(&b.edit, 6, 2, SLICE("<"));
    sip_edit_splice(&b.edit, 6, 0, SLICE("1"));
    sip_edit_splice(&b.edit, 8, 0, SLICE("3"));
    sip_edit_splice(&b.edit, 6, 0, SLICE("2"));
    sip_edit_splice(&b.edit, 0, 0, SLICE("X"));
    sip_edit_splice(&b.edit, b.msg.len, 0, SLICE("end"));
    expect(&b, "XX sip:12<3cdef SIP/2.0\r\n\r\nend");
}

static void no_text_can_smuggle_in_a_header(void **state)
{
    (void)state;
    static const struct slice bad[] = {
        {"a\r\nX: y", 7}, {"a\nX: y", 6}, {"a\rb", 3}, {"a\r\n", 3}, {"a\0b", 3}};
    for (size_t i = 0; i < ROWS(bad); i++) {
        struct bench b;
        setup(&b, HEAD "Via: 1\r\nExpires: 1\r\n\r\n");
        sip_edit_set_ruri(&b.edit, bad[i]);
        expect_error(&b, ERR_SYNTAX);
        setup(&b, HEAD "Via: 1\r\nExpires: 1\r\n\r\n");
        sip_edit_push_header(&b.edit, SIP_HDR_VIA, bad[i]);
        expect_error(&b, ERR_SYNTAX);
        setup(&b, HEAD "Via: 1\r\nExpires: 1\r\n\r\n");
        sip_edit_append_other(&b.edit, bad[i], SLICE("x"));
        expect_error(&b, ERR_SYNTAX);
        setup(&b, HEAD "Via: 1\r\nExpires: 1\r\n\r\n");
        sip_edit_set_header(&b.edit, SIP_HDR_EXPIRES, bad[i]);
        sip_edit_remove_header(&b.edit, SIP_HDR_VIA); /* a later edit does not undo the error */
        expect_error(&b, ERR_SYNTAX);
    }
}

static void the_first_error_is_the_one_reported(void **state)
{
    (void)state;
    struct bench b;
    setup(&b, HEAD "Via: 1\r\n\r\n");
    sip_edit_pop_values(&b.edit, SIP_HDR_ROUTE, 1);
    sip_edit_set_ruri(&b.edit, SLICE("a\r\nb"));
    expect_error(&b, ERR_NOTFOUND);
}

static void too_long_is_a_limit(void **state)
{
    (void)state;
    struct bench b;
    struct wire *wire = NULL;
    setup(&b, HEAD "\r\n");
    sip_edit_append_other(&b.edit, SLICE("x"), SLICE("y"));
    size_t len = sip_edit_length(&b.edit);
    assert_int_equal(len, strlen(HEAD "x: y\r\n\r\n"));
    assert_int_equal(sip_edit_build(&b.edit, len - 1, &wire), ERR_LIMIT);
    assert_null(wire);
    assert_int_equal(sip_edit_build(&b.edit, len, &wire), 0);
    wire_unref(wire);
    memory_done(&b.memory);
}

static void all_edits(struct sip_edit *e)
{
    sip_edit_set_ruri(e, SLICE("sip:x"));
    sip_edit_push_header(e, SIP_HDR_VIA, SLICE("0"));
    sip_edit_pop_values(e, SIP_HDR_ROUTE, 1);
    sip_edit_fix_content_length(e);
}

static void without_memory_there_is_an_error_and_no_crash(void **state)
{
    (void)state;
    bool worked = false;
    for (int64_t successes = 0; !worked; successes++) {
        struct bench b;
        struct wire *wire = NULL;
        struct arena_pool pool;
        struct arena arena;
        setup(&b, HEAD "Via: 1\r\nRoute: <a:1>, <a:2>\r\n\r\n");
        arena_pool_init(&pool, 1 << 20);
        arena_init(&arena, &pool);
        b.edit.arena = &arena;
        mem_fail_after(successes);
        all_edits(&b.edit);
        int rc = sip_edit_build(&b.edit, 65535, &wire);
        mem_fail_after(-1);
        assert_true(rc == 0 || (rc == ERR_NOMEM && !wire));
        assert_true(successes > 0 || rc == ERR_NOMEM);
        worked = rc == 0;
        wire_unref(wire);
        arena_done(&arena);
        arena_pool_done(&pool);
        memory_done(&b.memory);
    }
}

/* True when the edits end the process by an assertion. */
static bool dies(void (*edits)(struct bench *b))
{
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct bench b;
        (void)signal(SIGABRT, SIG_DFL);
        (void)!freopen("/dev/null", "w", stderr);
        setup(&b, HEAD "Via: 1\r\nExpires: 1\r\n\r\n");
        edits(&b);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void overlap_ascending(struct bench *b)
{
    sip_edit_splice(&b->edit, 10, 5, SLICE("x"));
    sip_edit_splice(&b->edit, 14, 1, SLICE("x"));
}

static void overlap_descending(struct bench *b)
{
    sip_edit_splice(&b->edit, 14, 1, SLICE("x"));
    sip_edit_splice(&b->edit, 10, 5, SLICE("x"));
}

static void remove_twice(struct bench *b)
{
    sip_edit_remove_at(&b->edit, 1);
    sip_edit_remove_at(&b->edit, 1);
}

static void insert_into_removed(struct bench *b)
{
    sip_edit_splice(&b->edit, 10, 5, SLICE("x"));
    sip_edit_splice(&b->edit, 12, 0, SLICE("x"));
}

static void beyond_the_end(struct bench *b)
{
    sip_edit_splice(&b->edit, b->msg.len, 1, SLICE(""));
}

static void edits_side_by_side(struct bench *b)
{
    sip_edit_splice(&b->edit, 10, 5, SLICE("x"));
    sip_edit_splice(&b->edit, 15, 5, SLICE("x"));
    sip_edit_splice(&b->edit, 5, 5, SLICE("x"));
    sip_edit_splice(&b->edit, 10, 0, SLICE("x"));
    sip_edit_splice(&b->edit, 15, 0, SLICE("x"));
}

static void overlapping_edits_are_a_programming_error(void **state)
{
    (void)state;
    assert_true(dies(overlap_ascending));
    assert_true(dies(overlap_descending));
    assert_true(dies(remove_twice));
    assert_true(dies(insert_into_removed));
    assert_true(dies(beyond_the_end));
    assert_false(dies(edits_side_by_side));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_edits_the_message_is_the_same_octets),
        cmocka_unit_test(the_start_line),
        cmocka_unit_test(pushed_headers_go_on_top_the_last_one_highest),
        cmocka_unit_test(appended_headers_go_to_the_end_in_order),
        cmocka_unit_test(a_header_is_set_in_its_place_or_appended),
        cmocka_unit_test(headers_are_removed_with_their_lines_whatever_their_spelling),
        cmocka_unit_test(the_first_elements_of_a_list_are_popped_over_its_lines),
        cmocka_unit_test(one_element_is_removed_with_its_comma_or_its_line),
        cmocka_unit_test(a_slice_of_the_message_is_replaced),
        cmocka_unit_test(content_length_is_added_where_it_is_missing),
        cmocka_unit_test(edits_give_the_same_in_any_order),
        cmocka_unit_test(splices_at_one_place_stay_in_the_order_given),
        cmocka_unit_test(no_text_can_smuggle_in_a_header),
        cmocka_unit_test(the_first_error_is_the_one_reported),
        cmocka_unit_test(too_long_is_a_limit),
        cmocka_unit_test(without_memory_there_is_an_error_and_no_crash),
        cmocka_unit_test(overlapping_edits_are_a_programming_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
