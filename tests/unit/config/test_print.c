#include "base/mem.h"
#include "config/schema.h"
#include "config_test.h"

static char *print_of(const char *text)
{
    struct config_errors errors;
    struct config *config = NULL;
    char *result;

    config_errors_init(&errors, "c.yaml");
    if (config_parse(slice_from_cstr(text), &config, &errors) < 0)
        fail_msg("%s\n%s", text, printed(print_errors, &errors));
    result = printed(print_config, config);
    config_free(config);
    config_errors_done(&errors);
    return result;
}

static void what_is_printed_loads_to_the_same(void **state)
{
    static const char *const texts[] = {
        "listeners: [ { transport: udp, address: 192.0.2.1:5060 } ]\n"
        "domains: [ { name: a.example } ]\n",
        "workers: 4\n"
        "listeners:\n"
        "  - { transport: udp, address: \"[::]:5060\", advertise: \"[2001:db8::1]\", auth: { calls: none } "
        "}\n"
        "  - { transport: tcp, address: 192.0.2.1:5080, advertise: a.example:99, mode: stateless }\n"
        "domains:\n"
        "  - { name: a.example, realm: a b, auth: { register: none } }\n"
        "  - { name: \"2001:db8::7\" }\n"
        "aliases: [ x.example, y.example ]\n"
        "trusted: [ 10.0.0.0/8, 192.0.2.7 ]\n"
        "store: { kind: memory, path: \"/a \xc3\xa9 path/x#y: z.db\" }\n"
        "auth: { algorithms: [ MD5 ] }\n"
        "proxy: { server_name: \"\", timer_c: 181001ms }\n"
        "stop: { grace: 0 }\n",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        char *once = print_of(texts[i]), *twice = print_of(once);

        assert_string_equal(once, twice);
        free(once);
        free(twice);
    }
}

static void the_dump_shows_every_key_and_resolves_defaults(void **state)
{
    char *text =
        print_of("listeners: [ { transport: udp, address: 192.0.2.1 } ]\ndomains: [ { name: A.example } ]\n");

    (void)state;
    assert_non_null(strstr(text, "workers: auto\n"));
    assert_non_null(strstr(text, "listeners:\n  - transport: udp\n    address: \"192.0.2.1:5060\"\n"));
    assert_non_null(strstr(text, "    auth:\n      register: inherit\n      calls: inherit\n"));
    assert_non_null(strstr(text, "  - name: \"a.example\"\n    realm: \"a.example\"\n"));
    assert_non_null(strstr(text, "aliases: []\n"));
    assert_non_null(strstr(text, "  algorithms:\n    - MD5\n    - SHA-256\n    - SHA-512-256\n"));
    assert_non_null(strstr(text, "  timer_c: 190s\n"));
    free(text);
}

static void check_key(const struct key *key)
{
    struct arena_pool pool;
    struct arena arena;
    uint64_t value[16], min[16], max[16];

    assert_true(strlen(key->help) > 5);
    if (key->kind != KEY_VALUE || !key->preset)
        return;
    arena_pool_init(&pool, 1 << 20);
    arena_init(&arena, &pool);
    if (key->preset[0])
        assert_int_equal(value_parse(key->type, slice_from_cstr(key->preset), &arena, value), 0);
    assert_int_equal(key->min == NULL, key->max == NULL);
    if (key->min) {
        assert_int_equal(value_parse(key->type, slice_from_cstr(key->min), &arena, min), 0);
        assert_int_equal(value_parse(key->type, slice_from_cstr(key->max), &arena, max), 0);
        assert_true(value_number(key->type, min) < value_number(key->type, max));
    }
    arena_done(&arena);
    arena_pool_done(&pool);
}

static void check_section(const struct section *section, void *ctx)
{
    (void)ctx;
    for (size_t i = 0; i < section->n_keys; i++)
        check_key(&section->keys[i]);
}

static void every_default_and_range_is_of_its_type(void **state)
{
    (void)state;
    schema_each(check_section, NULL);
}

static void print_keys(const void *unused, FILE *out)
{
    (void)unused;
    config_print_keys(out);
}

static void the_reference_has_a_row_for_every_key(void **state)
{
    char *text = printed(print_keys, NULL);

    (void)state;
    assert_non_null(strstr(text, "## listeners[].auth\n"));
    assert_non_null(strstr(text, "| `timer_c` | `190s` | `181s` to `1d` | "));
    assert_non_null(strstr(text, "| `address` | required | "));
    assert_non_null(strstr(text, "| `transport` | required | `udp`, `tcp`, `tls`, `ws`, `wss` | "));
    assert_non_null(strstr(text, "| `algorithms` | `MD5`, `SHA-256`, `SHA-512-256` | "));
    assert_non_null(strstr(text, "| `aliases` | none | "));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_printed_loads_to_the_same),
        cmocka_unit_test(the_dump_shows_every_key_and_resolves_defaults),
        cmocka_unit_test(every_default_and_range_is_of_its_type),
        cmocka_unit_test(the_reference_has_a_row_for_every_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
