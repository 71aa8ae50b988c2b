/* etc/viaduct.yaml and docs/CONFIGURATION.md against the table of keys. */
#include "base/mem.h"
#include "config/document.h"
#include "config/schema.h"
#include "config_test.h"

static char *read_source(const char *name)
{
    char path[4096];
    char *text = calloc(1, CONFIG_FILE_MAX_BYTES);
    FILE *in;

    snprintf(path, sizeof(path), "%s/%s", VIADUCT_SOURCE_DIR, name);
    in = fopen(path, "r");
    if (!in)
        fail_msg("%s cannot be read", path);
    assert_true(fread(text, 1, CONFIG_FILE_MAX_BYTES - 1, in) > 0);
    fclose(in);
    return text;
}

static char *print_of(const char *text)
{
    struct config_errors errors;
    struct config *config = NULL;
    char *result;

    config_errors_init(&errors, "etc/viaduct.yaml");
    if (config_parse(slice_from_cstr(text), &config, &errors) < 0)
        fail_msg("%s", printed(print_errors, &errors));
    result = printed(print_config, config);
    config_free(config);
    config_errors_done(&errors);
    return result;
}

/* Does some mapping of this section in the document have the key? A section within a list: any element. */
static bool has_key(const struct node *node, const struct section *section, const struct section *wanted,
                    struct slice name)
{
    bool found = section == wanted && document_child(node, name);

    for (size_t i = 0; i < section->n_keys && !found; i++) {
        const struct key *key = &section->keys[i];
        const struct node *child = document_child(node, slice_from_cstr(key->name));

        if (!child || !key->inner)
            continue;
        if (key->kind == KEY_MAPPING)
            found = has_key(child, key->inner, wanted, name);
        for (const struct node *element = child->first; key->kind == KEY_LIST && element && !found;
             element = element->next)
            found = has_key(element, key->inner, wanted, name);
    }
    return found;
}

/* A list that is empty by default shows what an element looks like in a comment. */
static bool is_in_comment(const char *text, const char *name)
{
    char wanted[64];

    snprintf(wanted, sizeof(wanted), " %s:", name);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        size_t len;

        line += strspn(line, " \n");
        len = strcspn(line, "\n");
        if (line[0] == '#' && memmem(line, len, wanted, strlen(wanted)))
            return true;
    }
    return false;
}

struct example {
    const struct node *root;
    const char *text;
};

static void check_section(const struct section *section, void *ctx)
{
    const struct example *example = ctx;
    bool is_element = strstr(section->title, "[]") != NULL;

    for (size_t i = 0; i < section->n_keys; i++) {
        const char *name = section->keys[i].name;

        if (!has_key(example->root, schema_root, section, slice_from_cstr(name)) &&
            !(is_element && is_in_comment(example->text, name)))
            fail_msg("etc/viaduct.yaml lacks %s.%s", section->title, name);
    }
}

static void the_example_has_every_key(void **state)
{
    char *text = read_source("etc/viaduct.yaml");
    struct config_errors errors;
    struct arena_pool pool;
    struct arena arena;
    struct node *root;

    (void)state;
    arena_pool_init(&pool, 1 << 20);
    arena_init(&arena, &pool);
    config_errors_init(&errors, "etc/viaduct.yaml");
    assert_int_equal(document_parse(slice_from_cstr(text), &arena, &errors, &root), 0);
    schema_each(check_section, &(struct example){root, text});
    config_errors_done(&errors);
    arena_done(&arena);
    arena_pool_done(&pool);
    free(text);
}

/* Its listeners and domains are examples; everything else it says is what holds without saying so. */
static void the_example_shows_the_defaults(void **state)
{
    char *text = read_source("etc/viaduct.yaml"), *shown = print_of(text);
    char *plain = print_of("listeners:\n"
                           "  - { transport: udp, address: 127.0.0.1 }\n"
                           "  - { transport: tcp, address: 127.0.0.1 }\n"
                           "domains: [ { name: example.com } ]\n");

    (void)state;
    assert_string_equal(shown, plain);
    free(text);
    free(shown);
    free(plain);
}

static void print_keys(const void *unused, FILE *out)
{
    (void)unused;
    config_print_keys(out);
}

static void the_reference_in_the_documentation_is_current(void **state)
{
    char *document = read_source("docs/CONFIGURATION.md"), *keys = printed(print_keys, NULL);

    (void)state;
    if (!strstr(document, keys))
        fail_msg("docs/CONFIGURATION.md is not what the table of keys says: run script/docs");
    free(document);
    free(keys);
}

/* Each ```yaml block is a configuration that loads. */
static void the_examples_in_the_documentation_load(void **state)
{
    static const char *const names[] = {"docs/CONFIGURATION.md", "README.md"};
    static const char begin[] = "```yaml\n", end[] = "```";

    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        char *document = read_source(names[i]), *at = document;
        unsigned count = 0;

        while ((at = strstr(at, begin)) != NULL) {
            char *block = at + strlen(begin), *rest = strstr(block, end);

            assert_non_null(rest);
            *rest = '\0';
            free(print_of(block));
            at = rest + 1;
            count++;
        }
        assert_true(count > 0);
        free(document);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_has_every_key),
        cmocka_unit_test(the_example_shows_the_defaults),
        cmocka_unit_test(the_reference_in_the_documentation_is_current),
        cmocka_unit_test(the_examples_in_the_documentation_load),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
