#include "base/mem.h"
#include "config/document.h"
#include "config_test.h"

struct fixture {
    struct arena_pool pool;
    struct arena arena;
    struct config_errors errors;
    struct node *root;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    arena_pool_init(&f->pool, 64 << 20);
    arena_init(&f->arena, &f->pool);
    config_errors_init(&f->errors, "test.yaml");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    config_errors_done(&f->errors);
    arena_done(&f->arena);
    arena_pool_done(&f->pool);
    free(f);
    return 0;
}

static int parse(struct fixture *f, struct slice text)
{
    return document_parse(text, &f->arena, &f->errors, &f->root);
}

static void every_node_knows_its_line(void **state)
{
    struct fixture *f = *state;
    const struct node *listeners, *second;

    assert_int_equal(parse(f, SLICE("# comment\n"
                                    "workers: 2\n"
                                    "listeners:\n"
                                    "  - { transport: udp,\n"
                                    "      address: x }\n"
                                    "  - transport: tcp\n"
                                    "    address:\n"
                                    "      \"quoted\"\n")),
                     0);
    assert_int_equal(f->root->kind, NODE_MAPPING);
    assert_int_equal(f->root->count, 2);
    listeners = document_child(f->root, SLICE("listeners"));
    assert_non_null(listeners);
    assert_int_equal(listeners->kind, NODE_LIST);
    assert_int_equal(listeners->line, 3);
    assert_int_equal(listeners->count, 2);
    assert_int_equal(listeners->first->line, 4);
    second = listeners->first->next;
    assert_int_equal(second->line, 6);
    assert_true(slice_eq(document_child(second, SLICE("address"))->text, SLICE("quoted")));
    assert_true(document_child(second, SLICE("address"))->quoted);
    assert_false(document_child(second, SLICE("transport"))->quoted);
    assert_int_equal(document_child(second, SLICE("address"))->line,
                     7); /* of the key, which is what one looks for */
    assert_null(document_child(second, SLICE("addres")));

    assert_int_equal(document_line(f->root, "workers"), 2);
    assert_int_equal(document_line(f->root, "listeners[0].address"), 5);
    assert_int_equal(document_line(f->root, "listeners[1].transport"), 6);
    assert_int_equal(document_line(f->root, "listeners[1].mode"), 6);
    assert_int_equal(document_line(f->root, "listeners[2]"), 3);
    assert_int_equal(document_line(f->root, "workers.x"), 2);
    assert_int_equal(document_line(f->root, "timers.t1"), 0);
    assert_int_equal(document_line(f->root, ""), 0);
    assert_int_equal(document_line(NULL, "timers.t1"), 0);
}

static void nothing_is_an_empty_document(void **state)
{
    struct fixture *f = *state;
    struct node marker;

    f->root = &marker;
    assert_int_equal(parse(f, SLICE("")), 0);
    assert_null(f->root);
    assert_int_equal(parse(f, SLICE("# only a comment\n")), 0);
    assert_null(f->root);
}

struct bad_document {
    const char *text;
    unsigned line;
    const char *what, *remedy; /* parts of the message */
};

static void what_is_not_plain_yaml_is_refused_with_its_line(void **state)
{
    static const struct bad_document cases[] = {
        {"a: 1\nb: [1, 2\n", 3, "", ""},
        {"a: 1\n\tb: 2\n", 2, "tab", "spaces"},
        {"a: 1\n b: 2\n", 2, "", "indent"},
        {"a: \"open\nb: 1\n", 3, "", ""},
        {"a: &x 1\n", 1, "anchor", "out"},
        {"a: 1\nb: *x\n", 2, "alias", "out"},
        {"a: &x [1]\nb: *x\n", 1, "anchor", "out"},
        {"a: !!str 1\n", 1, "tag", "out"},
        {"a: !x {b: 1}\n", 1, "tag", "out"},
        {"a: 1\n---\nb: 2\n", 2, "second document", "one"},
        {"[a, b]: 1\n", 1, "key", ""},
        {"{a: 1}: 1\n", 1, "key", ""},
        {"a: 1\nb: \x01\n", 2, "", ""},
        {"a: 1\nb: \xff\n", 2, "", "UTF-8"},
        {"a: 1\n\nb: \xc3(\n", 3, "", "UTF-8"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct bad_document *bad = &cases[i];
        const struct config_error *error = &f->errors.items[0];
        struct node *const before = f->root;

        assert_int_equal(parse(f, slice_from_cstr(bad->text)), ERR_SYNTAX);
        assert_ptr_equal(f->root, before);
        assert_int_equal(f->errors.count, 1);
        if (error->line != bad->line || !strstr(error->what, bad->what) ||
            !strstr(error->remedy, bad->remedy))
            fail_msg("case %zu: line %u: %s; %s", i, error->line, error->what, error->remedy);
        config_errors_done(&f->errors);
        config_errors_init(&f->errors, "test.yaml");
    }
}

static void depth_is_bounded(void **state)
{
    struct fixture *f = *state;
    char text[2 * 5000];

    memset(text, '[', sizeof(text) / 2);
    memset(text + sizeof(text) / 2, ']', sizeof(text) / 2);
    assert_int_equal(parse(f, slice_make(text, sizeof(text))), ERR_SYNTAX);
    assert_non_null(strstr(f->errors.items[0].what, "deep"));
    assert_int_equal(parse(f, SLICE("[[[[[[[[]]]]]]]]")), 0);
    assert_int_equal(parse(f, SLICE("[[[[[[[[[]]]]]]]]]")), ERR_SYNTAX);
}

static void the_number_of_nodes_is_bounded(void **state)
{
    struct fixture *f = *state;
    size_t bytes = 2 * (DOCUMENT_NODES_MAX + 10);
    char *text = malloc(bytes);

    for (size_t i = 0; i < bytes; i += 2)
        memcpy(text + i, i == 0 ? "[1" : ",1", 2);
    text[bytes - 1] = ']';
    assert_int_equal(parse(f, slice_make(text, bytes)), ERR_SYNTAX);
    assert_non_null(strstr(f->errors.items[0].what, "more than"));
    free(text);
}

static void no_memory_is_told_at_every_place(void **state)
{
    struct fixture *f = *state;
    static const char text[] = "a: [1, {b: 2}]\nc: {d: e}\n";
    int r = ERR_NOMEM;

    (void)f;
    for (int64_t n = 0; r == ERR_NOMEM; n++) {
        struct arena_pool pool;
        struct arena arena;

        assert_true(n < 100);
        arena_pool_init(&pool, 1 << 20);
        arena_init(&arena, &pool);
        mem_fail_after(n);
        r = document_parse(slice_from_cstr(text), &arena, &f->errors, &f->root);
        mem_fail_after(-1);
        assert_true(r == 0 || r == ERR_NOMEM);
        arena_done(&arena);
        arena_pool_done(&pool);
    }
    assert_false(config_errors_any(&f->errors));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_node_knows_its_line, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_an_empty_document, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_plain_yaml_is_refused_with_its_line, setup, teardown),
        cmocka_unit_test_setup_teardown(depth_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(the_number_of_nodes_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(no_memory_is_told_at_every_place, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
