#include "draft.h"
#include <stdlib.h>

void draft_init(struct draft *d, struct heap *heap, struct slice start)
{
    *d = (struct draft){.heap = heap, .start = start};
    text_init(&d->body, heap);
}

static void insert_at(struct draft *d, size_t at, struct slice name, struct slice value)
{
    d->hdrs = heap_grow(d->heap, d->hdrs, d->n_hdrs, sizeof(*d->hdrs));
    memmove(&d->hdrs[at + 1], &d->hdrs[at], (d->n_hdrs - at) * sizeof(*d->hdrs));
    d->hdrs[at] = (struct plain_hdr){.name = name, .value = value};
    d->n_hdrs++;
}

void draft_add(struct draft *d, const char *name, struct slice value)
{
    insert_at(d, d->n_hdrs, slice_from_cstr(name), value);
}

void draft_add_after(struct draft *d, struct slice name, struct slice value)
{
    size_t at = d->n_hdrs;

    for (size_t i = 0; i < d->n_hdrs; i++)
        if (slice_eq_nocase(d->hdrs[i].name, name))
            at = i + 1;
    insert_at(d, at, name, value);
}

void draft_remove(struct draft *d, struct slice name)
{
    size_t kept = 0;

    for (size_t i = 0; i < d->n_hdrs; i++)
        if (!slice_eq_nocase(d->hdrs[i].name, name))
            d->hdrs[kept++] = d->hdrs[i];
    d->n_hdrs = kept;
}

void draft_set(struct draft *d, struct slice name, struct slice value)
{
    size_t at = 0;

    while (at < d->n_hdrs && !slice_eq_nocase(d->hdrs[at].name, name))
        at++;
    draft_remove(d, name);
    insert_at(d, at < d->n_hdrs ? at : d->n_hdrs, name, value);
}

void draft_copy(struct draft *d, const struct plain *from, const char *name)
{
    for (size_t i = 0; i < from->n_hdrs; i++)
        if (slice_eq_nocase(from->hdrs[i].name, slice_from_cstr(name)))
            draft_add(d, name, from->hdrs[i].value);
}

void draft_copy_all(struct draft *d, const struct plain *from)
{
    for (size_t i = 0; i < from->n_hdrs; i++)
        if (!slice_eq_nocase(from->hdrs[i].name, SLICE("Content-Length")))
            insert_at(d, d->n_hdrs, from->hdrs[i].name, from->hdrs[i].value);
    text_put(&d->body, from->body);
}

static void unescape(struct text *out, struct slice s)
{
    static const char letters[] = "rnt\\0", values[] = "\r\n\t\\";

    for (size_t i = 0; i < s.len; i++) {
        const char *which = i + 1 < s.len ? strchr(letters, s.ptr[i + 1]) : NULL;

        if (s.ptr[i] == '\\' && i + 3 < s.len && s.ptr[i + 1] == 'x') {
            char hex[3] = {s.ptr[i + 2], s.ptr[i + 3], '\0'}, c = (char)strtoul(hex, NULL, 16);

            text_put(out, slice_make(&c, 1));
            i += 3;
        } else if (s.ptr[i] == '\\' && which && *which) {
            text_put(out, slice_make(&values[which - letters], 1));
            i++;
        } else {
            text_put(out, slice_make(s.ptr + i, 1));
        }
    }
}

struct slice draft_unescape(struct heap *heap, struct slice text)
{
    struct text out;

    text_init(&out, heap);
    unescape(&out, text);
    return text_slice(&out);
}

static void put_raw_line(struct text *out, struct slice line)
{
    struct slice text = slice_sub(line, line.len > 1 && line.ptr[1] == ' ' ? 2 : 1, line.len);
    bool open = text.len > 0 && text.ptr[text.len - 1] == '\\';

    unescape(out, slice_sub(text, 0, open ? text.len - 1 : text.len));
    if (!open)
        text_cstr(out, "\r\n");
}

struct slice draft_raw(struct heap *heap, const struct stmt *stmt)
{
    struct text out;

    text_init(&out, heap);
    for (size_t i = 0; i < stmt->n_lines; i++)
        if (stmt->lines[i].ptr[0] == '|')
            put_raw_line(&out, stmt->lines[i]);
    return text_slice(&out);
}

/* Has an earlier line of the statement set this header? Then this one adds. */
static bool set_before(const struct stmt *stmt, size_t before, struct slice name)
{
    for (size_t i = 0; i < before; i++) {
        struct slice l = stmt->lines[i];

        if (slice_eq_nocase(slice_trim(slice_sub(l, 0, slice_find(l, ':'))), name))
            return true;
    }
    return false;
}

bool draft_edit(struct draft *d, const struct stmt *stmt, struct slice *ret_bad)
{
    bool body = false;

    for (size_t i = 0; i < stmt->n_lines; i++) {
        struct slice line = stmt->lines[i];
        size_t colon = slice_find(line, ':');
        struct slice name = slice_trim(slice_sub(line, 0, colon));
        struct slice value = slice_trim(slice_sub(line, colon + 1, line.len));

        if (line.ptr[0] == '|') {
            if (!body)
                text_init(&d->body, d->heap);
            body = true;
            put_raw_line(&d->body, line);
        } else if (line.ptr[0] == '-') {
            d->no_length = d->no_length || slice_eq(line, SLICE("-Content-Length"));
            draft_remove(d, slice_sub(line, 1, line.len));
        } else if (colon == line.len) {
            *ret_bad = line;
            return false;
        } else if (line.ptr[0] == '+') {
            draft_add_after(d, slice_sub(name, 1, name.len), value);
        } else if (set_before(stmt, i, name)) {
            draft_add_after(d, name, value);
        } else {
            draft_set(d, name, value);
        }
    }
    return true;
}

static bool has(const struct draft *d, struct slice name)
{
    for (size_t i = 0; i < d->n_hdrs; i++)
        if (slice_eq_nocase(d->hdrs[i].name, name))
            return true;
    return false;
}

struct slice draft_bytes(struct draft *d)
{
    struct text out;

    text_init(&out, d->heap);
    text_printf(&out, "%.*s\r\n", SLICE_ARG(d->start));
    for (size_t i = 0; i < d->n_hdrs; i++) {
        text_put(&out, d->hdrs[i].name);
        text_cstr(&out, ": ");
        text_put(&out, d->hdrs[i].value);
        text_cstr(&out, "\r\n");
    }
    if (d->body.len > 0 && !has(d, SLICE("Content-Type")))
        text_cstr(&out, "Content-Type: application/sdp\r\n");
    if (!d->no_length && !has(d, SLICE("Content-Length")))
        text_printf(&out, "Content-Length: %zu\r\n", d->body.len);
    text_cstr(&out, "\r\n");
    text_put(&out, text_slice(&d->body));
    return text_slice(&out);
}
