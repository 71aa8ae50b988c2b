#include "config/inspect.h"
#include "config/suggest.h"
#include <inttypes.h>
#include <stdlib.h>

#define PATH_MAX_BYTES   256
#define REMEDY_MAX_BYTES 512

struct inspect {
    struct config_errors *errors;
    char path_memory[PATH_MAX_BYTES];
    struct buf path;       /* of the node that is looked at */
    struct arena *scratch; /* for values that are parsed to be looked at alone */
    bool shape_is_right;
    bool no_memory;
};

/* ---- the path ---- */

static bool is_word(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && c != '_' &&
            c != '-')
            return false;
    }
    return text.len > 0 && text.len <= SUGGEST_MAX_BYTES;
}

/* Both give what path_back needs to leave again. */
static size_t path_key(struct inspect *in, struct slice key)
{
    size_t before = in->path.len;
    char quoted[CONFIG_QUOTED_BYTES];

    if (before > 0)
        buf_putc(&in->path, '.');
    if (is_word(key))
        buf_put(&in->path, key);
    else
        buf_cstr(&in->path, config_quote(key, quoted));
    return before;
}

static size_t path_index(struct inspect *in, size_t index)
{
    size_t before = in->path.len;

    buf_printf(&in->path, "[%zu]", index);
    return before;
}

static void path_back(struct inspect *in, size_t before)
{
    in->path.len = before;
    in->path.failed = false;
}

/* ---- telling ---- */

static void tell(struct inspect *in, const struct node *node, const char *remedy, const char *what)
{
    char path[PATH_MAX_BYTES + 1];

    snprintf(path, sizeof(path), "%.*s", SLICE_ARG(buf_slice(&in->path)));
    config_errors_add(in->errors, node ? node->line : 0, path, remedy, "%s", what);
}

static void put_keys(struct buf *out, const struct section *section)
{
    for (size_t i = 0; i < section->n_keys; i++) {
        buf_cstr(out, i > 0 ? ", " : "");
        buf_cstr(out, section->keys[i].name);
    }
}

static void put_words(struct buf *out, const struct value_type *type)
{
    for (const struct value_name *n = type->names; n->name; n++) {
        buf_cstr(out, n > type->names ? ", " : "");
        buf_cstr(out, n->name);
    }
}

/* What to write for a value of this type. */
static void put_how(struct buf *out, const struct value_type *type)
{
    if (type->noun) {
        buf_cstr(out, type->how);
    } else {
        buf_lit(out, "write one of ");
        put_words(out, type);
    }
}

/* Texts are of this program and bounded; one that does not fit is cut, not lost. */
static const char *ended(struct buf *text)
{
    text->ptr[text->len] = '\0';
    return text->ptr;
}

#define TEXT(name)                                                                                           \
    char name##_memory[REMEDY_MAX_BYTES];                                                                    \
    struct buf name;                                                                                         \
    buf_init(&(name), name##_memory, sizeof(name##_memory) - 1)

/* ---- unknown keys ---- */

struct search {
    struct slice word;
    const struct section *home; /* the section it stands in: not searched */
    const struct section *found;
};

static void look_in(const struct section *section, void *ctx)
{
    struct search *s = ctx;

    if (section != s->home && !s->found && schema_find(section, s->word))
        s->found = section;
}

static void unknown_key(struct inspect *in, const struct section *section, const struct node *node)
{
    struct search elsewhere = {.word = node->key, .home = section};
    struct suggest close = {.word = node->key};
    size_t before = path_key(in, node->key);

    TEXT(remedy);
    schema_each(look_in, &elsewhere);
    for (size_t i = 0; i < section->n_keys; i++)
        suggest_consider(&close, section->keys[i].name);
    if (close.best) {
        buf_printf(&remedy, "did you mean \"%s\"?", close.best);
    } else if (elsewhere.found) {
        const char *title = elsewhere.found->title;

        buf_printf(&remedy,
                   title[0] ? "it belongs under %s: \"%s.%.*s\"" : "it belongs at the top, not indented",
                   title, title, SLICE_ARG(node->key));
    } else {
        buf_lit(&remedy, "the keys here are ");
        put_keys(&remedy, section);
    }
    tell(in, node, ended(&remedy), "unknown key");
    path_back(in, before);
}

/* ---- kinds ---- */

static const struct {
    const char *is, *must_be;
} kinds[] = {
    [NODE_SCALAR] = {"is a value", "must be a value"},
    [NODE_MAPPING] = {"is a mapping", "must be a mapping"},
    [NODE_LIST] = {"is a list", "must be a list"},
};

static bool is_empty(const struct node *node)
{
    return node->kind == NODE_SCALAR && !node->quoted &&
           (node->text.len == 0 || slice_eq(node->text, SLICE("~")) || slice_eq(node->text, SLICE("null")));
}

/* Is the node what it must be? Tells when it is not. `how` is for a value, section for a mapping. */
static bool check_kind(struct inspect *in, const struct node *node, enum node_kind wanted,
                       const struct section *section, const struct value_type *type)
{
    TEXT(what);
    TEXT(remedy);

    if (is_empty(node)) {
        tell(in, node, "give it a value, or leave the key out for its default", "is empty");
        in->shape_is_right = false;
        return false;
    }
    if (node->kind == wanted)
        return true;
    buf_printf(&what, "%s and %s", kinds[node->kind].is, kinds[wanted].must_be);
    if (wanted == NODE_SCALAR)
        put_how(&remedy, type);
    else if (wanted == NODE_LIST)
        buf_lit(&remedy, "write each on a line of its own that begins with \"- \"");
    else
        buf_cstr(&remedy, in->path.len > 0 ? "write its keys below it, indented: "
                                           : "write its keys, each on a line of its own: ");
    if (wanted == NODE_MAPPING)
        put_keys(&remedy, section);
    tell(in, in->path.len > 0 ? node : NULL, ended(&remedy), ended(&what));
    in->shape_is_right = false;
    return false;
}

/* ---- values ---- */

static void not_of_type(struct inspect *in, const struct value_type *type, const struct node *node)
{
    char quoted[CONFIG_QUOTED_BYTES];
    struct suggest close = {.word = node->text};

    TEXT(what);
    TEXT(remedy);
    buf_cstr(&what, config_quote(node->text, quoted));
    if (type->noun) {
        buf_printf(&what, " is not %s", type->noun);
    } else {
        buf_lit(&what, " is not one of ");
        put_words(&what, type);
    }
    for (const struct value_name *n = type->names; n && n->name; n++)
        suggest_consider(&close, n->name);
    if (close.best)
        buf_printf(&remedy, "did you mean \"%s\"?", close.best);
    else
        buf_cstr(&remedy, type->how);
    tell(in, node, ended(&remedy), ended(&what));
}

/* The number behind a text of the table, which is right: a test reads them all. */
static uint64_t bound(const struct value_type *type, const char *text)
{
    uint64_t memory = 0;

    return value_parse(type, slice_from_cstr(text), NULL, &memory) == 0 ? value_number(type, &memory) : 0;
}

static void check_range(struct inspect *in, const struct key *key, const struct node *node, const void *value)
{
    uint64_t number = value_number(key->type, value);
    char quoted[CONFIG_QUOTED_BYTES];

    TEXT(what);
    TEXT(remedy);
    if (number >= bound(key->type, key->min) && number <= bound(key->type, key->max))
        return;
    buf_printf(&what, "%s is out of range", config_quote(node->text, quoted));
    buf_printf(&remedy, "give %s to %s", key->min, key->max);
    tell(in, node, ended(&remedy), ended(&what));
}

static void inspect_value(struct inspect *in, const struct key *key, const struct node *node)
{
    _Alignas(max_align_t) char value[VALUE_SIZE_MAX];
    int r;

    if (!check_kind(in, node, NODE_SCALAR, NULL, key->type))
        return;
    r = value_parse(key->type, node->text, in->scratch, value);
    if (r == ERR_NOMEM)
        in->no_memory = true;
    else if (r < 0)
        not_of_type(in, key->type, node);
    else if (key->min && !value_word(key->type, node->text))
        check_range(in, key, node, value);
}

/* ---- lists and mappings ---- */

static void inspect_mapping(struct inspect *in, const struct section *section, const struct node *node);

static void check_length(struct inspect *in, const struct key *key, const struct node *node)
{
    TEXT(what);
    TEXT(remedy);

    if (node->count == 0 && key->least > 0) {
        tell(in, node, "give at least one", "is an empty list");
    } else if (node->count > key->most) {
        buf_printf(&what, "has %zu entries", node->count);
        buf_printf(&remedy, "give at most %u", key->most);
        tell(in, node, ended(&remedy), ended(&what));
        in->shape_is_right = false;
    }
}

static void inspect_list(struct inspect *in, const struct key *key, const struct node *node)
{
    size_t index = 0;

    if (!check_kind(in, node, NODE_LIST, NULL, NULL))
        return;
    check_length(in, key, node);
    for (const struct node *child = node->first; child; child = child->next) {
        size_t before = path_index(in, index++);

        if (key->kind == KEY_LIST)
            inspect_mapping(in, key->inner, child);
        else
            inspect_value(in, key, child);
        path_back(in, before);
    }
}

static void inspect_known(struct inspect *in, const struct key *key, const struct node *node)
{
    size_t before = path_key(in, slice_from_cstr(key->name));

    if (key->kind == KEY_VALUE)
        inspect_value(in, key, node);
    else if (key->kind == KEY_MAPPING)
        inspect_mapping(in, key->inner, node);
    else
        inspect_list(in, key, node);
    path_back(in, before);
}

static void given_twice(struct inspect *in, const struct node *node)
{
    size_t before = path_key(in, node->key);

    tell(in, node, "leave one out", "given twice");
    in->shape_is_right = false;
    path_back(in, before);
}

static void check_missing(struct inspect *in, const struct section *section, const struct node *node,
                          uint64_t seen)
{
    for (size_t i = 0; i < section->n_keys; i++) {
        const struct key *key = &section->keys[i];

        TEXT(what);
        TEXT(remedy);
        if (key->preset || seen >> i & 1)
            continue;
        buf_printf(&what, "has no \"%s\"", key->name);
        buf_lit(&remedy, "add it: ");
        if (key->type)
            put_how(&remedy, key->type);
        else
            buf_cstr(&remedy, key->help);
        tell(in, in->path.len > 0 ? node : NULL, ended(&remedy), ended(&what));
    }
}

/* Recursion as deep as the table of keys, which is no matter of input. */
static void inspect_mapping(struct inspect *in, const struct section *section, const struct node *node)
{
    uint64_t seen = 0; /* bit i: key i of the section */

    if (!check_kind(in, node, NODE_MAPPING, section, NULL))
        return;
    for (const struct node *child = node->first; child; child = child->next) {
        const struct key *key = schema_find(section, child->key);
        uint64_t bit = key ? 1ull << (key - section->keys) : 0;

        if (!key)
            unknown_key(in, section, child);
        else if (seen & bit)
            given_twice(in, child);
        else
            inspect_known(in, key, child);
        seen |= bit;
    }
    check_missing(in, section, node, seen);
}

int inspect_document(const struct node *root, struct arena *scratch, struct config_errors *errors,
                     bool *ret_shape_is_right)
{
    static const struct node nothing = {.kind = NODE_MAPPING};
    struct inspect in = {.errors = errors, .scratch = scratch, .shape_is_right = true};

    buf_init(&in.path, in.path_memory, sizeof(in.path_memory));
    inspect_mapping(&in, schema_root, root ? root : &nothing);
    if (in.no_memory)
        return ERR_NOMEM;
    *ret_shape_is_right = in.shape_is_right;
    return 0;
}
