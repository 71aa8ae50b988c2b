#include "plain.h"
#include <stdio.h>
#include <stdlib.h>

static const struct {
    char compact;
    const char *name;
} compact_names[] = {
    {'v', "Via"},       {'f', "From"},           {'t', "To"},           {'i', "Call-ID"},
    {'m', "Contact"},   {'l', "Content-Length"}, {'c', "Content-Type"}, {'e', "Content-Encoding"},
    {'k', "Supported"}, {'s', "Subject"},        {'o', "Event"},        {'r', "Refer-To"},
};

/* Headers whose values are comma-separated lists (RFC 3261 section 7.3.1); no others are split. */
static const char *const list_names[] = {
    "Via",           "Route",     "Record-Route", "Contact",       "Path",
    "Service-Route", "Accept",    "Require",      "Proxy-Require", "Unsupported",
    "Allow",         "Supported", "Reason",       "Warning",       "Error-Info",
};

static bool is_list(struct slice name)
{
    for (size_t i = 0; i < sizeof(list_names) / sizeof(list_names[0]); i++)
        if (slice_eq_nocase(name, slice_from_cstr(list_names[i])))
            return true;
    return false;
}

static struct slice long_name(struct slice name)
{
    for (size_t i = 0; name.len == 1 && i < sizeof(compact_names) / sizeof(compact_names[0]); i++)
        if ((name.ptr[0] | 0x20) == compact_names[i].compact)
            return slice_from_cstr(compact_names[i].name);
    return name;
}

/* Takes one line off *rest, without its end. */
static struct slice take_line(struct slice *rest)
{
    size_t at = slice_find(*rest, '\n');
    struct slice line = slice_sub(*rest, 0, at);

    *rest = slice_sub(*rest, at + 1, rest->len);
    if (line.len > 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    return line;
}

static bool parse_start(struct plain *p)
{
    size_t sp1 = slice_find(p->start, ' ');
    struct slice first = slice_sub(p->start, 0, sp1), rest = slice_sub(p->start, sp1 + 1, p->start.len);

    if (slice_starts_with_nocase(first, SLICE("SIP/"))) {
        size_t sp2 = slice_find(rest, ' ');

        p->version = first;
        p->status = (unsigned)strtoul(rest.len > 0 ? rest.ptr : "0", NULL, 10);
        p->reason = slice_sub(rest, sp2 + 1, rest.len);
        return p->status >= 100;
    }
    p->is_request = true;
    p->method = first;
    sp1 = slice_rfind(rest, ' ');
    if (sp1 == rest.len)
        return false;
    p->ruri = slice_sub(rest, 0, sp1);
    p->version = slice_sub(rest, sp1 + 1, rest.len);
    return true;
}

static void add_header(struct heap *heap, struct plain *p, struct slice line)
{
    size_t colon = slice_find(line, ':');
    struct plain_hdr *h;

    p->hdrs = heap_grow(heap, p->hdrs, p->n_hdrs, sizeof(*p->hdrs));
    h = &p->hdrs[p->n_hdrs++];
    h->name = long_name(slice_trim(slice_sub(line, 0, colon)));
    h->value = slice_trim(slice_sub(line, colon + 1, line.len));
}

static void fold_header(struct heap *heap, struct plain *p, struct slice line)
{
    struct plain_hdr *h = &p->hdrs[p->n_hdrs - 1];
    struct slice more = slice_trim(line);

    h->value = heap_printf(heap, "%.*s %.*s", SLICE_ARG(h->value), SLICE_ARG(more));
}

bool plain_parse(struct heap *heap, struct slice bytes, struct plain *ret_plain)
{
    struct plain p = {.bytes = bytes, .reason = SLICE("")};
    struct slice rest = bytes;

    p.start = take_line(&rest);
    if (!parse_start(&p))
        return false;
    while (rest.len > 0) {
        struct slice line = take_line(&rest);

        if (line.len == 0)
            break;
        if ((line.ptr[0] == ' ' || line.ptr[0] == '\t') && p.n_hdrs > 0)
            fold_header(heap, &p, line);
        else
            add_header(heap, &p, line);
    }
    p.body = rest;
    p.cseq_method = plain_value(heap, &p, "CSeq");
    p.cseq_method = slice_trim(slice_sub(p.cseq_method, slice_find(p.cseq_method, ' '), p.cseq_method.len));
    *ret_plain = p;
    return true;
}

struct slice plain_method(const struct plain *p)
{
    return p->is_request ? p->method : p->cseq_method;
}

size_t plain_split(struct heap *heap, struct slice text, char separator, struct slice **ret_pieces)
{
    struct slice *pieces = NULL;
    size_t count = 0, from = 0;
    bool quoted = false, angle = false;

    for (size_t i = 0; i <= text.len; i++) {
        char c = i < text.len ? text.ptr[i] : separator;

        if (i < text.len && quoted && c == '\\') {
            i++;
            continue;
        }
        if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '<' || c == '>'))
            angle = c == '<';
        if (i < text.len && (quoted || angle || c != separator))
            continue;
        pieces = heap_grow(heap, pieces, count, sizeof(*pieces));
        pieces[count++] = slice_trim(slice_sub(text, from, i));
        from = i + 1;
    }
    *ret_pieces = pieces;
    return count;
}

size_t plain_values(struct heap *heap, const struct plain *p, struct slice name, struct slice **ret_elements)
{
    struct slice *elements = NULL;
    size_t count = 0;

    for (size_t i = 0; i < p->n_hdrs; i++) {
        struct slice *pieces = &p->hdrs[i].value;
        size_t n = 1;

        if (!slice_eq_nocase(p->hdrs[i].name, long_name(name)))
            continue;
        if (is_list(p->hdrs[i].name))
            n = plain_split(heap, p->hdrs[i].value, ',', &pieces);
        for (size_t k = 0; k < n; k++) {
            elements = heap_grow(heap, elements, count, sizeof(*elements));
            elements[count++] = pieces[k];
        }
    }
    *ret_elements = elements;
    return count;
}

struct slice plain_value(struct heap *heap, const struct plain *p, const char *name)
{
    struct slice *elements;

    return plain_values(heap, p, slice_from_cstr(name), &elements) > 0 ? elements[0] : SLICE_NULL;
}

bool plain_auth_param(struct slice value, struct slice name, struct slice *ret_text)
{
    size_t i = slice_find(value, ' ');

    while (i < value.len) {
        size_t start, eq, end;
        struct slice found;

        while (i < value.len && (value.ptr[i] == ' ' || value.ptr[i] == ',' || value.ptr[i] == '\t'))
            i++;
        start = i;
        while (i < value.len && value.ptr[i] != '=' && value.ptr[i] != ',')
            i++;
        eq = i++;
        if (i < value.len && value.ptr[i] == '"') {
            for (end = ++i; end < value.len && value.ptr[end] != '"'; end++)
                ;
            found = slice_sub(value, i, end);
            i = end + 1;
        } else {
            for (end = i; end < value.len && value.ptr[end] != ','; end++)
                ;
            found = slice_trim(slice_sub(value, i, end));
            i = end;
        }
        if (slice_eq_nocase(slice_trim(slice_sub(value, start, eq)), name)) {
            *ret_text = found;
            return true;
        }
    }
    return false;
}

/* The URI of a name-addr or addr-spec, and where its header parameters begin. */
static struct slice uri_of(struct slice element, size_t *ret_params_at)
{
    size_t open = slice_find(element, '<'), close, semi;

    if (open < element.len) {
        close = open + slice_find(slice_sub(element, open, element.len), '>');
        *ret_params_at = close + 1;
        return slice_sub(element, open + 1, close);
    }
    semi = slice_find(element, ';');
    *ret_params_at = semi;
    return slice_sub(element, 0, semi);
}

static struct slice unquoted(struct slice text)
{
    bool is_quoted = text.len >= 2 && text.ptr[0] == '"' && text.ptr[text.len - 1] == '"';

    return is_quoted ? slice_sub(text, 1, text.len - 1) : text;
}

static bool semicolon_param(struct heap *heap, struct slice params, struct slice name, struct slice *ret_text)
{
    struct slice *pieces;
    size_t n = plain_split(heap, params, ';', &pieces);

    for (size_t i = 0; i < n; i++) {
        size_t eq = slice_find(pieces[i], '=');

        if (slice_eq_nocase(slice_trim(slice_sub(pieces[i], 0, eq)), name)) {
            *ret_text = unquoted(slice_trim(slice_sub(pieces[i], eq + 1, pieces[i].len)));
            return true;
        }
    }
    return false;
}

bool plain_field(struct heap *heap, struct slice element, struct slice field, struct slice *ret_text)
{
    size_t params_at, space = slice_find(element, ' ');
    struct slice uri = uri_of(element, &params_at);

    if (slice_eq(field, SLICE("uri")))
        *ret_text = uri;
    else if (slice_eq(field, SLICE("display")))
        *ret_text = slice_trim(slice_sub(element, 0, slice_find(element, '<')));
    else if (slice_eq(field, SLICE("params")))
        *ret_text = slice_sub(element, params_at, element.len);
    else if (slice_eq(field, SLICE("number")))
        *ret_text = slice_sub(element, 0, space);
    else if (slice_eq(field, SLICE("host"))) /* sent-by of a Via */
        *ret_text = slice_trim(slice_sub(element, space, slice_find(element, ';')));
    else if (slice_starts_with_nocase(element, SLICE("Digest ")))
        return plain_auth_param(element, field, ret_text);
    else
        return semicolon_param(heap, slice_sub(element, params_at, element.len), field, ret_text);
    return true;
}

static bool special_path(struct heap *heap, const struct plain *p, struct slice path, struct slice *ret_text)
{
    const struct {
        const char *name;
        struct slice text;
    } specials[] = {
        {"start", p->start},   {"method", plain_method(p)}, {"ruri", p->ruri},   {"version", p->version},
        {"reason", p->reason}, {"body", p->body},           {"bytes", p->bytes},
    };

    for (size_t i = 0; i < sizeof(specials) / sizeof(specials[0]); i++) {
        if (slice_eq(path, slice_from_cstr(specials[i].name))) {
            *ret_text = specials[i].text;
            return true;
        }
    }
    if (!slice_eq(path, SLICE("status")))
        return false;
    *ret_text = heap_printf(heap, "%u", p->status);
    return true;
}

bool plain_path(struct heap *heap, const struct plain *p, struct slice path, struct slice *ret_text)
{
    size_t bracket = slice_find(path, '['), dot = slice_find(path, '.'), name_end, n, index = 0;
    struct slice *elements;
    struct text joined;

    if (special_path(heap, p, path, ret_text))
        return true;
    name_end = bracket < dot ? bracket : dot;
    n = plain_values(heap, p, slice_sub(path, 0, name_end), &elements);
    if (bracket < path.len)
        index = strtoul(path.ptr + bracket + 1, NULL, 10);
    if (n == 0 || index >= n)
        return false;
    if (dot < path.len)
        return plain_field(heap, elements[index], slice_sub(path, dot + 1, path.len), ret_text);
    if (bracket < path.len) {
        *ret_text = elements[index];
        return true;
    }
    text_init(&joined, heap);
    for (size_t i = 0; i < n; i++) {
        text_cstr(&joined, i > 0 ? ", " : "");
        text_put(&joined, elements[i]);
    }
    *ret_text = text_slice(&joined);
    return true;
}
