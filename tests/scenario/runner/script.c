#include "script.h"
#include <stdio.h>
#include <stdlib.h>

struct loader {
    struct heap *heap;
    struct script *script;
    unsigned depth;
};

static struct slice read_file(struct heap *heap, const char *file)
{
    FILE *f = fopen(file, "rb");
    struct text t;
    char block[4096];
    size_t n;

    if (!f)
        return SLICE_NULL;
    text_init(&t, heap);
    while ((n = fread(block, 1, sizeof(block), f)) > 0)
        text_put(&t, slice_make(block, n));
    fclose(f);
    return text_slice(&t);
}

/* A comment runs from '#' to the end of the line, when the '#' begins the line or has a space on both sides.
 */
static struct slice without_comment(struct slice line)
{
    bool quoted = false;

    for (size_t i = 0; i < line.len; i++) {
        if (line.ptr[i] == '"')
            quoted = !quoted;
        if (line.ptr[i] != '#' || quoted)
            continue;
        if ((i == 0 || line.ptr[i - 1] == ' ') && (i + 1 == line.len || line.ptr[i + 1] == ' '))
            return slice_sub(line, 0, i);
    }
    return line;
}

static struct slice trim_right(struct slice s)
{
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\r' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* key="a b" is one word: quotes are taken off wherever they stand in it. */
static size_t take_word(struct heap *heap, struct slice line, size_t at, struct word *ret_word)
{
    struct text t;
    bool quoted = false;
    size_t from = at;

    text_init(&t, heap);
    for (; at < line.len && (quoted || (line.ptr[at] != ' ' && line.ptr[at] != '\t')); at++) {
        if (line.ptr[at] == '"')
            quoted = !quoted;
        else
            text_put(&t, slice_make(line.ptr + at, 1));
    }
    *ret_word = (struct word){.text = text_slice(&t), .quoted = line.ptr[from] == '"'};
    return at;
}

static void split_words(struct heap *heap, struct stmt *stmt, struct slice line)
{
    size_t at = 0;

    for (;;) {
        while (at < line.len && (line.ptr[at] == ' ' || line.ptr[at] == '\t'))
            at++;
        if (at == line.len)
            return;
        stmt->words = heap_grow(heap, stmt->words, stmt->n_words, sizeof(*stmt->words));
        at = take_word(heap, line, at, &stmt->words[stmt->n_words++]);
    }
}

static struct script_part *add_part(struct loader *l, struct slice title, unsigned line)
{
    struct script *s = l->script;

    s->parts = heap_grow(l->heap, s->parts, s->n_parts, sizeof(*s->parts));
    s->parts[s->n_parts] = (struct script_part){.title = title, .line = line};
    return &s->parts[s->n_parts++];
}

static bool load_into(struct loader *l, const char *file);

static bool include(struct loader *l, const struct stmt *stmt)
{
    struct slice dir = slice_from_cstr(stmt->file), name = stmt->words[1].text;

    dir = slice_sub(dir, 0, slice_rfind(dir, '/') < dir.len ? slice_rfind(dir, '/') + 1 : 0);
    return load_into(l, heap_printf(l->heap, "%.*s%.*s", SLICE_ARG(dir), SLICE_ARG(name)).ptr);
}

static bool finish_stmt(struct loader *l, const struct stmt *stmt)
{
    struct script_part *part = &l->script->parts[l->script->n_parts - 1];

    if (slice_eq(stmt->words[0].text, SLICE("scenario"))) {
        add_part(l, stmt->n_words > 1 ? stmt->words[1].text : SLICE("(no title)"), stmt->line);
        return true;
    }
    if (slice_eq(stmt->words[0].text, SLICE("include")) && stmt->n_words > 1)
        return include(l, stmt);
    part->stmts = heap_grow(l->heap, part->stmts, part->n_stmts, sizeof(*part->stmts));
    part->stmts[part->n_stmts++] = *stmt;
    return true;
}

static bool load_into(struct loader *l, const char *file)
{
    struct slice rest = read_file(l->heap, file);
    struct stmt stmt = {0};
    unsigned number = 0;

    if (slice_is_null(rest) || ++l->depth > 8) {
        fprintf(stderr, "%s: cannot be read\n", file);
        return false;
    }
    while (rest.len > 0) {
        size_t end = slice_find(rest, '\n');
        struct slice raw = trim_right(slice_sub(rest, 0, end));
        struct slice line = trim_right(without_comment(raw));

        number++;
        rest = slice_sub(rest, end + 1, rest.len);
        if (line.len == 0)
            continue;
        if (line.ptr[0] == ' ' && stmt.n_words > 0) {
            stmt.lines = heap_grow(l->heap, stmt.lines, stmt.n_lines, sizeof(*stmt.lines));
            stmt.lines[stmt.n_lines++] = slice_trim(line).ptr[0] == '|' ? slice_trim(raw) : slice_trim(line);
            continue;
        }
        if (stmt.n_words > 0 && !finish_stmt(l, &stmt))
            return false;
        stmt = (struct stmt){.file = file, .line = number, .text = line};
        split_words(l->heap, &stmt, line);
    }
    l->depth--;
    return stmt.n_words == 0 || finish_stmt(l, &stmt);
}

bool script_load(struct heap *heap, const char *file, struct script *ret_script)
{
    struct loader l = {.heap = heap, .script = ret_script};

    *ret_script = (struct script){.file = file};
    add_part(&l, SLICE(""), 0);
    return load_into(&l, heap_cstr(heap, slice_from_cstr(file)));
}

const struct slice *script_option(struct heap *heap, const struct stmt *stmt, size_t from, const char *key)
{
    size_t len = strlen(key);

    for (size_t i = from; i < stmt->n_words; i++) {
        struct slice w = stmt->words[i].text;

        if (w.len > len && memcmp(w.ptr, key, len) == 0 && w.ptr[len] == '=') {
            struct slice *value = heap_alloc(heap, sizeof(*value));

            *value = slice_sub(w, len + 1, w.len);
            return value;
        }
    }
    return NULL;
}

bool script_flag(const struct stmt *stmt, size_t from, const char *flag)
{
    for (size_t i = from; i < stmt->n_words; i++)
        if (slice_eq(stmt->words[i].text, slice_from_cstr(flag)))
            return true;
    return false;
}
