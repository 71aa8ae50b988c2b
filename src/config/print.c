#include "config/config.h"
#include "config/schema.h"

/* ---- a configuration ---- */

static void print_value(const struct value_type *type, const void *value, FILE *out)
{
    char memory[VALUE_PRINT_MAX_BYTES];
    struct buf text;

    buf_init(&text, memory, sizeof(memory));
    value_print(type, value, &text);
    fwrite(text.ptr, 1, text.len, out);
}

static void indent(int depth, FILE *out)
{
    fprintf(out, "%*s", 2 * depth, "");
}

static void print_section(const struct section *section, const char *config, int depth, bool in_list,
                          FILE *out);

/* The elements begin one after the other at this place. */
static const char *list_of(const struct key *key, const char *config, size_t *ret_count)
{
    *ret_count = *(const size_t *)(const void *)(config + key->count_at);
    return *(const char *const *)(const void *)(config + key->at);
}

static void print_values(const struct key *key, const char *config, int depth, FILE *out)
{
    size_t count;
    const char *elements = list_of(key, config, &count);

    fputs(count == 0 ? " []\n" : "\n", out);
    for (size_t i = 0; i < count; i++) {
        indent(depth + 1, out);
        fputs("- ", out);
        print_value(key->type, elements + i * key->type->bytes, out);
        fputc('\n', out);
    }
}

static void print_list(const struct key *key, const char *config, int depth, FILE *out)
{
    size_t count;
    const char *elements = list_of(key, config, &count);

    fputs(count == 0 ? " []\n" : "\n", out);
    for (size_t i = 0; i < count; i++)
        print_section(key->inner, elements + i * key->inner->bytes, depth + 2, true, out);
}

static void print_key(const struct key *key, const char *config, int depth, FILE *out)
{
    fprintf(out, "%s:", key->name);
    switch (key->kind) {
    case KEY_VALUE:
        fputc(' ', out);
        print_value(key->type, config + key->at, out);
        fputc('\n', out);
        break;
    case KEY_VALUES:
        print_values(key, config, depth, out);
        break;
    case KEY_MAPPING:
        fputc('\n', out);
        print_section(key->inner, config + key->at, depth + 1, false, out);
        break;
    case KEY_LIST:
        print_list(key, config, depth, out);
        break;
    }
}

/* Recursion as deep as the table of keys. */
static void print_section(const struct section *section, const char *config, int depth, bool in_list,
                          FILE *out)
{
    for (size_t i = 0; i < section->n_keys; i++) {
        if (in_list && i == 0) {
            indent(depth - 1, out);
            fputs("- ", out);
        } else {
            indent(depth, out);
        }
        print_key(&section->keys[i], config, depth, out);
    }
}

void config_print(const struct config *config, FILE *out)
{
    print_section(schema_root, (const char *)config, 0, false, out);
}

/* ---- the reference ---- */

static void print_words(const char *words, FILE *out)
{
    fputc('`', out);
    for (; *words; words++)
        fputs(*words == ' ' ? "`, `" : (const char[]){*words, '\0'}, out);
    fputc('`', out);
}

static void print_preset(const struct key *key, FILE *out)
{
    if (!key->preset)
        fputs("required", out);
    else if (key->kind == KEY_MAPPING)
        fputs("see below", out);
    else if (!key->preset[0])
        fputs("none", out);
    else if (key->kind == KEY_VALUES)
        print_words(key->preset, out);
    else
        fprintf(out, "`%s`", key->preset);
}

static void print_names(const struct value_type *type, FILE *out)
{
    for (const struct value_name *n = type->names; n->name; n++)
        fprintf(out, "%s`%s`", n > type->names ? ", " : "", n->name);
}

static void print_form(const struct key *key, FILE *out)
{
    if (key->kind == KEY_LIST || key->kind == KEY_VALUES)
        fputs("list of ", out);
    if (key->inner)
        fputs(key->kind == KEY_LIST ? "mappings" : "mapping", out);
    else if (key->type->names)
        print_names(key->type, out);
    if (key->min)
        fprintf(out, "%s`%s` to `%s`", key->type->names ? ", " : "", key->min, key->max);
    else if (key->type && key->type->noun)
        fputs(key->type->noun, out);
}

static void print_reference(const struct section *section, void *ctx)
{
    FILE *out = ctx;

    fprintf(out, "%s## %s\n\n| key | default | value | meaning |\n|---|---|---|---|\n",
            section == schema_root ? "" : "\n", section->title[0] ? section->title : "Top level");
    for (size_t i = 0; i < section->n_keys; i++) {
        const struct key *key = &section->keys[i];

        fprintf(out, "| `%s` | ", key->name);
        print_preset(key, out);
        fputs(" | ", out);
        print_form(key, out);
        fprintf(out, " | %s |\n", key->help);
    }
}

void config_print_keys(FILE *out)
{
    schema_each(print_reference, out);
}
