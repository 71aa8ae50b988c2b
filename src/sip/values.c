#include "sip/msg.h"
#include "sip/scan.h"

struct sip_values sip_values_of(const struct sip_msg *msg, enum sip_hdr_id id)
{
    return (struct sip_values){.msg = msg, .hdr = SIP_HDR_NONE, .next_hdr = msg->first[id]};
}

/* Moves the cursor to the next COMMA that separates elements, or to the end. Quoted strings and <> are jumped
 * over. Parentheses are not: section 25.1 has comments only in fields that define them, and none of those is
 * a list. */
static int scan_element(struct sip_scan *s)
{
    for (;;) {
        s->p = sip_find_any_of_3(s->p, s->end, ',', '"', '<');
        if (s->p == s->end || *s->p == ',')
            return 0;
        if (*s->p == '"') {
            if (!sip_scan_quoted(s))
                return ERR_SYNTAX;
        } else {
            const char *close = memchr(s->p, '>', (size_t)(s->end - s->p));
            if (!close)
                return ERR_SYNTAX;
            s->p = close + 1;
        }
    }
}

static int whole_value(struct sip_values *it, const struct sip_hdr *h, struct slice *ret_element)
{
    it->off = h->value_len;
    it->next_hdr = h->next;
    *ret_element = sip_hdr_value(it->msg, h);
    return 0;
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
    struct sip_scan s = {value.ptr + it->off, value.ptr + value.len};
    const char *from = s.p;
    if (scan_element(&s) < 0)
        return ERR_SYNTAX;
    struct slice element = slice_trim(sip_scan_since(&s, from));
    if (element.len == 0)
        return ERR_SYNTAX;
    if (sip_scan_take(&s, ','))
        it->off = (uint32_t)(s.p - value.ptr);
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
