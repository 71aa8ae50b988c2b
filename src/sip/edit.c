#include "sip/edit.h"
#include "base/buf.h"
#include "base/num.h"
#include "sip/text.h"
#include <assert.h>

#define DECIMAL_BYTES 20 /* of any 64-bit number */

void sip_edit_init(struct sip_edit *e, const struct sip_msg *msg, struct arena *arena)
{
    *e = (struct sip_edit){.msg = msg, .arena = arena};
}

static void fail(struct sip_edit *e, int rc)
{
    if (e->error == 0)
        e->error = rc;
}

static bool check_text(struct sip_edit *e, struct slice text)
{
    if (sip_text_is_safe(text))
        return true;
    fail(e, ERR_SYNTAX);
    return false;
}

/* Where among splices of one offset a new one goes. */
enum place { PLACE_AFTER, PLACE_BEFORE };

/* A splice that removes comes after those at its offset that only insert: the list then never steps back. */
static bool goes_before(const struct sip_splice *s, const struct sip_splice *other, enum place place)
{
    if (s->off != other->off)
        return s->off < other->off;
    return place == PLACE_BEFORE || (s->remove_len == 0 && other->remove_len > 0);
}

static void assert_apart(const struct sip_splice *left, const struct sip_splice *right)
{
    assert(!left || !right || left->off + left->remove_len <= right->off);
    (void)left;
    (void)right;
}

static void link_splice(struct sip_edit *e, struct sip_splice *s, enum place place)
{
    struct sip_splice *before = e->last;
    if (before && goes_before(s, before, place)) {
        struct sip_splice *next = e->first;
        for (before = NULL; !goes_before(s, next, place); next = next->next)
            before = next;
    }
    s->next = before ? before->next : e->first;
    if (before)
        before->next = s;
    else
        e->first = s;
    if (!s->next)
        e->last = s;
    assert_apart(before, s);
    assert_apart(s, s->next);
}

/* text: already checked, or lines made here. */
static void add(struct sip_edit *e, uint32_t off, uint32_t remove_len, struct slice text, enum place place)
{
    if (e->error)
        return;
    struct sip_splice *s = arena_alloc(e->arena, sizeof(*s));
    if (!s) {
        fail(e, ERR_NOMEM);
        return;
    }
    assert(off <= e->msg->len && remove_len <= e->msg->len - off);
    *s = (struct sip_splice){.off = off, .remove_len = remove_len, .insert = text};
    link_splice(e, s, place);
}

void sip_edit_splice(struct sip_edit *e, uint32_t off, uint32_t remove_len, struct slice insert)
{
    if (check_text(e, insert))
        add(e, off, remove_len, insert, PLACE_AFTER);
}

static uint32_t offset_of(const struct sip_edit *e, struct slice part)
{
    assert(part.ptr >= e->msg->bytes && part.ptr + part.len <= e->msg->bytes + e->msg->len);
    return (uint32_t)(part.ptr - e->msg->bytes);
}

void sip_edit_replace(struct sip_edit *e, struct slice part_of_msg, struct slice text)
{
    sip_edit_splice(e, offset_of(e, part_of_msg), (uint32_t)part_of_msg.len, text);
}

void sip_edit_set_ruri(struct sip_edit *e, struct slice uri)
{
    sip_edit_replace(e, e->msg->ruri, uri);
}

void sip_edit_fix_version(struct sip_edit *e)
{
    if (!slice_eq(e->msg->version, SLICE("SIP/2.0")))
        sip_edit_replace(e, e->msg->version, SLICE("SIP/2.0"));
}

static void add_line(struct sip_edit *e, uint32_t off, struct slice name, struct slice value,
                     enum place place)
{
    struct buf line;
    size_t len = name.len + value.len + sizeof(": \r\n") - 1;
    if (!check_text(e, name) || !check_text(e, value))
        return;
    char *memory = arena_alloc(e->arena, len);
    if (!memory) {
        fail(e, ERR_NOMEM);
        return;
    }
    buf_init(&line, memory, len);
    buf_put(&line, name);
    buf_lit(&line, ": ");
    buf_put(&line, value);
    buf_lit(&line, "\r\n");
    add(e, off, 0, buf_slice(&line), place);
}

/* Where a line goes that is to be the first of its name. */
static uint32_t top_of(const struct sip_msg *msg, enum sip_hdr_id id)
{
    if (sip_msg_has(msg, id))
        return msg->hdrs[msg->first[id]].line_off;
    return id == SIP_HDR_VIA ? msg->hdrs_off : msg->hdrs_end;
}

void sip_edit_push_header(struct sip_edit *e, enum sip_hdr_id id, struct slice value)
{
    add_line(e, top_of(e->msg, id), sip_hdr_name(id), value, PLACE_BEFORE);
}

void sip_edit_push_line(struct sip_edit *e, enum sip_hdr_id id, struct slice line)
{
    add(e, top_of(e->msg, id), 0, line, PLACE_BEFORE);
}

void sip_edit_append_header(struct sip_edit *e, enum sip_hdr_id id, struct slice value)
{
    sip_edit_append_other(e, sip_hdr_name(id), value);
}

void sip_edit_append_other(struct sip_edit *e, struct slice name, struct slice value)
{
    add_line(e, e->msg->hdrs_end, name, value, PLACE_AFTER);
}

void sip_edit_set_header(struct sip_edit *e, enum sip_hdr_id id, struct slice value)
{
    if (sip_msg_has(e->msg, id))
        sip_edit_replace(e, sip_msg_value(e->msg, id), value);
    else
        sip_edit_append_header(e, id, value);
}

void sip_edit_remove_at(struct sip_edit *e, uint16_t index)
{
    const struct sip_hdr *h = &e->msg->hdrs[index];
    assert(index < e->msg->n_hdrs);
    add(e, h->line_off, h->line_len, SLICE_NULL, PLACE_AFTER);
}

void sip_edit_remove_header(struct sip_edit *e, enum sip_hdr_id id)
{
    for (uint16_t i = e->msg->first[id]; i != SIP_HDR_NONE; i = e->msg->hdrs[i].next)
        sip_edit_remove_at(e, i);
}

/* From the start of the value's first element to the start of the one the iterator is at. */
static void remove_up_to(struct sip_edit *e, const struct sip_hdr *h, struct slice element)
{
    add(e, h->value_off, offset_of(e, element) - h->value_off, SLICE_NULL, PLACE_AFTER);
}

bool sip_edit_pop_values(struct sip_edit *e, enum sip_hdr_id id, unsigned count)
{
    struct sip_values it = sip_values_of(e->msg, id);
    struct slice element;
    for (unsigned popped = 0; popped < count; popped++) {
        int rc = sip_values_next(&it, &element);
        if (rc < 0) {
            fail(e, rc);
            return false;
        }
        /* The last one of its line: what is on the next is not looked at. */
        if (it.next_hdr != it.hdr)
            sip_edit_remove_at(e, it.hdr);
    }
    if (it.hdr == SIP_HDR_NONE || it.next_hdr != it.hdr)
        return it.next_hdr != SIP_HDR_NONE;
    int rc = sip_values_next(&it, &element);
    if (rc < 0)
        fail(e, rc);
    else
        remove_up_to(e, &e->msg->hdrs[it.hdr], element);
    return rc == 0;
}

void sip_edit_remove_value(struct sip_edit *e, const struct sip_values *at, struct slice element)
{
    const struct sip_hdr *h = &e->msg->hdrs[at->hdr];
    struct slice value = sip_hdr_value(e->msg, h);
    const char *value_end = value.ptr + value.len, *element_end = element.ptr + element.len;
    if (element.len == value.len) {
        sip_edit_remove_at(e, at->hdr);
    } else if (at->index == 0) {
        /* Up to the next element. */
        const char *comma = memchr(element_end, ',', (size_t)(value_end - element_end));
        struct slice rest = slice_trim(slice_make(comma + 1, (size_t)(value_end - comma - 1)));
        remove_up_to(e, h, rest);
    } else {
        /* With the comma before it. */
        const char *comma = element.ptr;
        while (*--comma != ',')
            ;
        add(e, offset_of(e, slice_make(comma, 0)), (uint32_t)(element_end - comma), SLICE_NULL, PLACE_AFTER);
    }
}

void sip_edit_fix_content_length(struct sip_edit *e)
{
    if (e->msg->has_content_length)
        return;
    char *digits = arena_alloc(e->arena, DECIMAL_BYTES);
    if (!digits) {
        fail(e, ERR_NOMEM);
        return;
    }
    struct slice length = slice_make(digits, num_format_u64(e->msg->body_len, digits));
    sip_edit_append_header(e, SIP_HDR_CONTENT_LENGTH, length);
}

size_t sip_edit_length(const struct sip_edit *e)
{
    size_t len = e->msg->len;
    for (const struct sip_splice *s = e->first; s; s = s->next)
        len += s->insert.len - s->remove_len;
    return len;
}

static void write_edited(const struct sip_edit *e, struct buf *out)
{
    const struct slice original = slice_make(e->msg->bytes, e->msg->len);
    size_t at = 0;
    for (const struct sip_splice *s = e->first; s; s = s->next) {
        buf_put(out, slice_sub(original, at, s->off));
        buf_put(out, s->insert);
        at = s->off + s->remove_len;
    }
    buf_put(out, slice_sub(original, at, original.len));
}

int sip_edit_build(struct sip_edit *e, size_t max_bytes, struct wire **ret_wire)
{
    size_t len = sip_edit_length(e);
    if (e->error)
        return e->error;
    if (len > max_bytes)
        return ERR_LIMIT;
    struct wire *wire = wire_new(len);
    if (!wire)
        return ERR_NOMEM;
    struct buf out;
    buf_init(&out, wire->bytes, len);
    write_edited(e, &out);
    assert(!buf_failed(&out) && out.len == len);
    *ret_wire = wire;
    return 0;
}
