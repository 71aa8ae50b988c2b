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
    while (p < end && (is_wsp(*p) || *p == '\r' || *p == '\n'))
        p++;
    while (end > p && (is_wsp(end[-1]) || end[-1] == '\r' || end[-1] == '\n'))
        end--;
    return p < end ? slice_make(p, (size_t)(end - p)) : slice_make(colon_end, 0);
}

/* HCOLON = *( SP / HTAB ) ":" SWS */
struct sip_field_parts sip_field_split_any(struct slice line)
{
    struct sip_field_parts none = {.name_len = 0};
    struct sip_scan s = sip_scan_of(line);
    struct slice name = sip_scan_token(&s);
    if (name.len == 0)
        return none;
    while (s.p < s.end && is_wsp(*s.p))
        s.p++;
    if (!sip_scan_take(&s, ':'))
        return none;
    return (struct sip_field_parts){sip_hdr_from_name(name), name.len, trim_value(s.p, s.end)};
}
