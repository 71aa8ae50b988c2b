#include "sip/msg_private.h"
#include "sip/scan.h"

struct sip_values sip_values_of(const struct sip_msg *msg, enum sip_hdr_id id)
{
    return (struct sip_values){.msg = msg, .hdr = SIP_HDR_NONE, .next_hdr = msg->first[id]};
}

static const char *bracket_end(const char *p, const char *end)
{
    const char *close = memchr(p, '>', (size_t)(end - p));
    return close ? close + 1 : NULL;
}

/* The next COMMA that separates elements, or the end. Quoted strings and <> are jumped over;
 * NULL: one does not end. Parentheses are not: section 25.1 has comments only in fields that
 * define them, and none of those is a list. */
static const char *element_end(const char *p, const char *end)
{
    for (;;) {
        p = sip_find_any_of_3(p, end, ',', '"', '<');
        if (p == end || *p == ',')
            return p;
        p = *p == '"' ? sip_quoted_end(p, end) : bracket_end(p, end);
        if (!p)
            return NULL;
    }
}

static int whole_value(struct sip_values *it, const struct sip_hdr *h, struct slice *ret_element)
{
    it->off = h->value_len;
    it->next_hdr = h->next;
    *ret_element = sip_hdr_value(it->msg, h);
    return 0;
}

/* When somebody walks the Vias, the first has nearly always been typed, and its end is known. */
static bool is_typed_via(const struct sip_values *it)
{
    const struct sip_msg *msg = it->msg;
    return (msg->have & SIP_HAVE_TOP_VIA) && it->off == 0 && it->hdr == msg->first[SIP_HDR_VIA];
}

static const char *typed_via_end(const struct sip_msg *msg, const char *end)
{
    const char *p = msg->top_via.text.ptr + msg->top_via.text.len;
    while (p < end && slice_is_blank(*p))
        p++;
    return p;
}

/* header = "header-name" HCOLON header-value *(COMMA header-value): section 7.3 */
int sip_values_next(struct sip_values *it, struct slice *ret_element)
{
    const struct sip_hdr *h;
    for (;;) {
        if (it->next_hdr == SIP_HDR_NONE)
            return ERR_NOTFOUND;
        h = &it->msg->hdrs[it->next_hdr];
        bool goes_on = it->hdr == it->next_hdr;
        it->index = goes_on ? (uint16_t)(it->index + 1) : 0;
        it->off = goes_on ? it->off : 0;
        it->hdr = it->next_hdr;
        unsigned flags = sip_hdr_flags(h->id);
        if (!(flags & SIP_HDRF_LIST))
            return whole_value(it, h, ret_element);
        if (h->value_len > 0 || !(flags & SIP_HDRF_MAY_BE_EMPTY))
            break;
        it->next_hdr = h->next;
    }
    struct slice value = sip_hdr_value(it->msg, h);
    const char *from = value.ptr + it->off, *end = value.ptr + value.len;
    const char *comma = is_typed_via(it) ? typed_via_end(it->msg, end) : element_end(from, end);
    if (!comma)
        return ERR_SYNTAX;
    struct slice element = slice_trim(slice_make(from, (size_t)(comma - from)));
    if (element.len == 0)
        return ERR_SYNTAX;
    if (comma < end)
        it->off = (uint32_t)(comma + 1 - value.ptr);
    else
        it->next_hdr = h->next;
    *ret_element = element;
    return 0;
}

bool sip_msg_has_option(const struct sip_msg *msg, enum sip_hdr_id id, struct slice tag)
{
    struct sip_values it = sip_values_of(msg, id);
    struct slice element;
    while (sip_values_next(&it, &element) == 0) {
        if (slice_eq_nocase(element, tag))
            return true;
    }
    return false;
}
