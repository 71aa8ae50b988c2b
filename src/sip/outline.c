#include "sip/outline.h"
#include "base/num.h"
#include "sip/find.h"
#include "sip/msg.h"

/* Takes a line with its CRLF off the front. A control character in it, TAB too, or a line that goes on: not plain. */
static bool take_line(struct slice *rest, struct slice *ret_line)
{
    const char *end = rest->ptr + rest->len, *at = sip_find_control(rest->ptr, end);
    if (end - at < 3 || at[0] != '\r' || at[1] != '\n' || at[2] == ' ' || at[2] == '\t')
        return false;
    *ret_line = slice_make(rest->ptr, (size_t)(at - rest->ptr));
    *rest = slice_make(at + 2, (size_t)(end - at - 2));
    return true;
}

static bool read_start(struct slice line, struct sip_outline *o)
{
    size_t method = slice_find(line, ' ');
    struct slice rest = slice_sub(line, method + 1, line.len);
    size_t ruri = slice_find(rest, ' ');
    o->method = slice_sub(line, 0, method);
    o->ruri = slice_sub(rest, 0, ruri);
    return o->method.len > 0 && o->ruri.len > 0 &&
           slice_eq(slice_sub(rest, ruri, rest.len), SLICE(" SIP/2.0"));
}

/* name is in small letters. "| 0x20" makes a '-' of a CR too, which no line has in it. */
static inline bool begins_with(struct slice line, struct slice name)
{
    if (line.len < name.len)
        return false;
    for (size_t i = 0; i < name.len; i++)
        if ((line.ptr[i] | 0x20) != name.ptr[i])
            return false;
    return true;
}

/* The value, when the line is of this header field: HCOLON = *( SP / HTAB ) ":" SWS. */
static inline bool is_field(struct slice line, struct slice name, char compact, struct slice *ret_value)
{
    size_t at = 0;
    if (begins_with(line, name))
        at = name.len;
    else if ((line.ptr[0] | 0x20) == compact)
        at = 1;
    else
        return false;
    while (at < line.len && line.ptr[at] == ' ')
        at++;
    if (at == line.len || line.ptr[at] != ':')
        return false;
    *ret_value = slice_trim(slice_sub(line, at + 1, line.len));
    return true;
}

static bool set_once(struct slice *field, struct slice value)
{
    if (!slice_is_null(*field) || value.len == 0)
        return false;
    *field = value;
    return true;
}

static bool add_via(struct sip_outline *o, struct slice value)
{
    if (o->n_vias == SIP_OUTLINE_VIAS_MAX || value.len == 0 || slice_find(value, ',') < value.len)
        return false;
    o->vias[o->n_vias++] = value;
    return true;
}

/* False: not plain. */
static bool read_field(struct slice line, struct sip_outline *o)
{
    struct slice value;
    switch (line.len > 0 ? line.ptr[0] | 0x20 : 0) {
    case 'v':
        return !is_field(line, SLICE("via"), 'v', &value) || add_via(o, value);
    case 'f':
        return !is_field(line, SLICE("from"), 'f', &value) || set_once(&o->from, value);
    case 't':
        return !is_field(line, SLICE("to"), 't', &value) || set_once(&o->to, value);
    case 'i':
        return !is_field(line, SLICE("call-id"), 'i', &value) || set_once(&o->call_id, value);
    case 'c':
        if (is_field(line, SLICE("call-id"), 0, &value))
            return set_once(&o->call_id, value);
        return !is_field(line, SLICE("cseq"), 0, &value) || set_once(&o->cseq, value);
    default:
        return true;
    }
}

/* The tag of a name-addr. False: its parameters cannot be told from the rest so simply. */
static bool read_tag(struct slice value, struct slice *ret_tag)
{
    const struct slice usual = SLICE(";tag=");
    const char *end = value.ptr + value.len;
    size_t close = slice_rfind(value, '>') + 1;
    struct slice params = slice_sub(value, close, value.len);
    *ret_tag = SLICE_NULL;
    if (slice_starts_with(params, usual) && sip_find_token_end(params.ptr + usual.len, end) == end) {
        *ret_tag = slice_sub(params, usual.len, params.len);
        return params.len > usual.len;
    }
    if (close > value.len || slice_find(params, '"') < params.len)
        return false;
    (void)sip_param(params, SLICE("tag"), ret_tag);
    return true;
}

static bool read_cseq(struct sip_outline *o)
{
    size_t digits = slice_find(o->cseq, ' ');
    return num_parse_u32(slice_sub(o->cseq, 0, digits), INT32_MAX, &o->cseq_number) == 0 &&
           slice_eq(slice_sub(o->cseq, digits + 1, o->cseq.len), o->method);
}

bool sip_outline_read(struct slice bytes, struct sip_outline *ret_outline)
{
    struct sip_outline o = {0};
    struct slice rest = bytes, line;
    if (!take_line(&rest, &line) || !read_start(line, &o))
        return false;
    while (rest.ptr[0] != '\r') {
        if (!take_line(&rest, &line) || !read_field(line, &o))
            return false;
    }
    if (rest.len < 2 || rest.ptr[1] != '\n' || o.n_vias == 0 || slice_is_null(o.call_id) ||
        slice_is_null(o.from) || slice_is_null(o.to) || slice_is_null(o.cseq) || !read_cseq(&o) ||
        !read_tag(o.from, &o.from_tag) || !read_tag(o.to, &o.to_tag))
        return false;
    *ret_outline = o;
    return true;
}
