#include "config/document.h"
#include "base/num.h"
#include <string.h>
#include <yaml.h>

/* Builds the tree from libyaml's events, without recursion: a stack of the mappings and lists that are open. */
struct builder {
    struct arena *arena;
    struct config_errors *errors;
    struct node *root;
    struct {
        struct node *node;
        struct node **tail; /* where its next child is linked */
        bool has_key;       /* a mapping: the key has been read, its value comes next */
        struct slice key;
        unsigned key_line;
    } open[DOCUMENT_DEPTH_MAX];
    size_t depth;
    size_t nodes;
    unsigned documents;
};

static unsigned line_of(const yaml_event_t *event)
{
    return (unsigned)event->start_mark.line + 1;
}

static int refuse(struct builder *b, unsigned line, const char *remedy, const char *what)
{
    config_errors_add(b->errors, line, "", remedy, "%s", what);
    return ERR_SYNTAX;
}

/* Links a node to its parent, which is the innermost open one, under the key that was read. */
static int attach(struct builder *b, struct node *node)
{
    if (b->depth == 0) {
        b->root = node;
        return 0;
    }
    if (b->open[b->depth - 1].node->kind == NODE_MAPPING) {
        if (!b->open[b->depth - 1].has_key)
            return refuse(b, node->line, "write one word before the colon", "a key is a list or a mapping");
        node->key = b->open[b->depth - 1].key;
        node->line = b->open[b->depth - 1].key_line;
        b->open[b->depth - 1].has_key = false;
    }
    *b->open[b->depth - 1].tail = node;
    b->open[b->depth - 1].tail = &node->next;
    b->open[b->depth - 1].node->count++;
    return 0;
}

static int add(struct builder *b, const yaml_event_t *event, enum node_kind kind, struct node **ret_node)
{
    struct node *node;
    int r;

    if (b->nodes++ == DOCUMENT_NODES_MAX)
        return refuse(b, line_of(event), "make it smaller", "has more than 50000 values");
    node = arena_zalloc(b->arena, sizeof(*node));
    if (!node)
        return ERR_NOMEM;
    node->kind = kind;
    node->line = line_of(event);
    r = attach(b, node);
    if (r < 0)
        return r;
    *ret_node = node;
    return 0;
}

static int open_container(struct builder *b, const yaml_event_t *event, enum node_kind kind)
{
    struct node *node;
    int r;

    if (b->depth == DOCUMENT_DEPTH_MAX)
        return refuse(b, line_of(event), "no key here lies so deep", "is nested too deep");
    r = add(b, event, kind, &node);
    if (r < 0)
        return r;
    b->open[b->depth].node = node;
    b->open[b->depth].tail = &node->first;
    b->open[b->depth].has_key = false;
    b->depth++;
    return 0;
}

static int take_scalar(struct builder *b, const yaml_event_t *event)
{
    struct slice text = slice_make((const char *)event->data.scalar.value, event->data.scalar.length);
    struct node *node;
    int r;

    text = arena_dup(b->arena, text);
    if (!text.ptr)
        return ERR_NOMEM;
    if (b->depth > 0 && b->open[b->depth - 1].node->kind == NODE_MAPPING && !b->open[b->depth - 1].has_key) {
        b->open[b->depth - 1].has_key = true;
        b->open[b->depth - 1].key = text;
        b->open[b->depth - 1].key_line = line_of(event);
        return 0;
    }
    r = add(b, event, NODE_SCALAR, &node);
    if (r < 0)
        return r;
    node->text = text;
    node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    return 0;
}

/* What YAML can do and a configuration must not. */
static int check_plain(struct builder *b, const yaml_event_t *event)
{
    static const char leave_out[] = "leave it out";
    const yaml_char_t *anchor = NULL, *tag = NULL;

    switch (event->type) {
    case YAML_SCALAR_EVENT:
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
        break;
    case YAML_ALIAS_EVENT:
        return refuse(b, line_of(event), "leave it out; text with a * needs quotes", "has an alias (*)");
    default:
        break;
    }
    if (anchor)
        return refuse(b, line_of(event), leave_out, "has an anchor (&)");
    if (tag)
        return refuse(b, line_of(event), leave_out, "has a tag (!)");
    return 0;
}

static int take(struct builder *b, const yaml_event_t *event)
{
    int r = check_plain(b, event);

    if (r < 0)
        return r;
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        return b->documents++ == 0
                   ? 0
                   : refuse(b, line_of(event), "a configuration is one document", "a second document begins");
    case YAML_SCALAR_EVENT:
        return take_scalar(b, event);
    case YAML_SEQUENCE_START_EVENT:
        return open_container(b, event, NODE_LIST);
    case YAML_MAPPING_START_EVENT:
        return open_container(b, event, NODE_MAPPING);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        b->depth--;
        return 0;
    default:
        return 0;
    }
}

/* libyaml gives the line of a mistake in the grammar, and of one in the encoding the offset alone. */
static unsigned problem_line(const yaml_parser_t *parser, struct slice text)
{
    unsigned line = 1;

    if (parser->error != YAML_READER_ERROR)
        return (unsigned)parser->problem_mark.line + 1;
    for (size_t i = 0; i < parser->problem_offset && i < text.len; i++)
        line += text.ptr[i] == '\n';
    return line;
}

static const char *problem_remedy(const yaml_parser_t *parser, struct slice text)
{
    size_t at = parser->problem_mark.index;

    if (parser->error == YAML_READER_ERROR)
        return "write the file in UTF-8, without control characters";
    if (parser->error == YAML_SCANNER_ERROR && at < text.len && text.ptr[at] == '\t')
        return "a tab stands here: indent with spaces";
    return "look at the indentation, colons, quotes and brackets of this line and of those before it";
}

static int grammar_problem(struct builder *b, const yaml_parser_t *parser, struct slice text)
{
    if (parser->error == YAML_MEMORY_ERROR)
        return ERR_NOMEM;
    config_errors_add(b->errors, problem_line(parser, text), "", problem_remedy(parser, text),
                      "is not YAML: %s%s%s", parser->problem ? parser->problem : "",
                      parser->context ? " " : "", parser->context ? parser->context : "");
    return ERR_SYNTAX;
}

static int build(struct builder *b, yaml_parser_t *parser, struct slice text)
{
    bool more = true;
    int r = 0;

    while (more && r == 0) {
        yaml_event_t event;

        if (!yaml_parser_parse(parser, &event))
            return grammar_problem(b, parser, text);
        r = take(b, &event);
        more = event.type != YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    return r;
}

int document_parse(struct slice text, struct arena *arena, struct config_errors *errors,
                   struct node **ret_root)
{
    struct builder b = {.arena = arena, .errors = errors};
    yaml_parser_t parser;
    int r;

    if (!yaml_parser_initialize(&parser))
        return ERR_NOMEM;
    yaml_parser_set_input_string(&parser, (const unsigned char *)(text.ptr ? text.ptr : ""), text.len);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    r = build(&b, &parser, text);
    yaml_parser_delete(&parser);
    if (r == 0)
        *ret_root = b.root;
    return r;
}

const struct node *document_child(const struct node *mapping, struct slice key)
{
    const struct node *child = mapping->kind == NODE_MAPPING ? mapping->first : NULL;

    while (child && !slice_eq(child->key, key))
        child = child->next;
    return child;
}

static const struct node *element(const struct node *list, size_t index)
{
    const struct node *child = list->kind == NODE_LIST ? list->first : NULL;

    while (child && index-- > 0)
        child = child->next;
    return child;
}

/* Takes the first step off a path: a name up to the next "." or "[", or an index in brackets. */
static const struct node *step(const struct node *node, struct slice *path)
{
    size_t end = 0;
    uint32_t index;

    if (path->ptr[0] == '[') {
        end = slice_find(*path, ']');
        if (num_parse_u32(slice_sub(*path, 1, end), UINT32_MAX, &index) < 0)
            return NULL;
        node = element(node, index);
        *path = slice_sub(*path, end + 1, path->len);
    } else {
        while (end < path->len && path->ptr[end] != '.' && path->ptr[end] != '[')
            end++;
        node = document_child(node, slice_sub(*path, 0, end));
        *path = slice_sub(*path, end, path->len);
    }
    if (slice_starts_with(*path, SLICE(".")))
        *path = slice_sub(*path, 1, path->len);
    return node;
}

unsigned document_line(const struct node *root, const char *path)
{
    struct slice rest = slice_from_cstr(path);
    const struct node *node = root;
    unsigned line = 0;

    while (node && rest.len > 0) {
        node = step(node, &rest);
        if (node)
            line = node->line;
    }
    return line;
}
