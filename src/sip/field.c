#include "sip/field.h"
#include "sip/scan.h"

/* quoted-pair = "\" (%x00-09 / %x0B-0C / %x0E-7F): the only place for a NUL in a header (RFC 4475
 * section 3.1.1.2). */
static bool nul_is_quoted(struct slice line)
{
    struct sip_scan s = sip_scan_of(line);
    while (!sip_scan_at_end(&s)) {
        if (sip_scan_is(&s, '\0'))
            return false;
        if (!sip_scan_is(&s, '"')) {
            s.p++;
            continue;
        }
        const char *from = s.p;
        if (!sip_scan_quoted(&s))
            return false;
        for (const char *p = from; p < s.p; p += *p == '\\' ? 2 : 1) {
            if (*p == '\0')
                return false;
        }
    }
    return true;
}

static bool is_wsp(char c)
{
    return c == ' ' || c == '\t';
}

struct sip_field sip_field_cut_rest(const char *from, const char *at, const char *end, bool fold)
{
    enum sip_field_fault fault = SIP_FIELD_GOOD;
    bool has_nul = false;
    const char *p = at;
    for (;; p = sip_find_control(p, end)) {
        if (p == end) {
            fault = SIP_FIELD_UNTERMINATED;
            break;
        }
        char c = *p++;
        bool line_ends = c == '\n';
        if (c == '\r' && p < end && *p == '\n') {
            p++;
            line_ends = true;
        } else if (c == '\r') {
            fault = SIP_FIELD_BARE_CR;
        } else if (c == '\n') {
            fault = SIP_FIELD_BARE_LF;
        } else if (c == '\0') {
            has_nul = true;
        }
        if (line_ends && !(fold && p < end && is_wsp(*p)))
            break;
    }
    struct slice line = slice_make(from, (size_t)(p - from));
    if (has_nul && fault == SIP_FIELD_GOOD && !nul_is_quoted(line))
        fault = SIP_FIELD_NUL;
    return (struct sip_field){line, fault};
}

/* Without surrounding LWS; the octets between are known to be whole lines. An empty value is where one would
 * be written, and not behind the line end. */
static struct slice trim_value(const char *p, const char *end)
{
    const char *colon_end = p;
    if (end - p >= 4 && *p == ' ' && (uint8_t)p[1] > ' ' && (uint8_t)end[-3] > ' ' && end[-2] == '\r')
        return slice_make(p + 1, (size_t)(end - 2 - (p + 1))); /* as nearly always */
    while (p < end && (is_wsp(*p) || *p == '\r' || *p == '\n'))
        p++;
    while (end > p && (is_wsp(end[-1]) || end[-1] == '\r' || end[-1] == '\n'))
        end--;
    return p < end ? slice_make(p, (size_t)(end - p)) : slice_make(colon_end, 0);
}

/* HCOLON = *( SP / HTAB ) ":" SWS */
static bool split_any(struct slice line, enum sip_hdr_id *ret_id, struct slice *ret_name,
                      struct slice *ret_value)
{
    struct sip_scan s = sip_scan_of(line);
    struct slice name = sip_scan_token(&s);
    if (name.len == 0)
        return false;
    while (s.p < s.end && is_wsp(*s.p))
        s.p++;
    if (!sip_scan_take(&s, ':'))
        return false;
    *ret_id = sip_hdr_from_name(name);
    *ret_name = name;
    *ret_value = trim_value(s.p, s.end);
    return true;
}

/* A name that is known and written as in the RFC, as nearly all are, is a token: only its colon has to be found. */
bool sip_field_split(struct slice line, enum sip_hdr_id *ret_id, struct slice *ret_name,
                     struct slice *ret_value)
{
    size_t name_len;
    enum sip_hdr_id id = sip_hdr_at(line, &name_len);
    if (id == SIP_HDR_OTHER)
        return split_any(line, ret_id, ret_name, ret_value);
    *ret_id = id;
    *ret_name = slice_make(line.ptr, name_len);
    *ret_value = trim_value(line.ptr + name_len + 1, line.ptr + line.len);
    return true;
}
