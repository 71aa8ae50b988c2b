#include "sip/field.h"
#include "sip/scan.h"

#define EACH_OCTET(c) ((uint64_t)(c)*0x0101010101010101ULL)

/* The first octet below SP, or end. Eight at a time: `word - 0x20...` borrows into the high bit of exactly
 * the octets below SP, and above the first such octet it does not matter. */
static const char *find_control(const char *p, const char *end)
{
    while (end - p >= 8) {
        uint64_t word;
        memcpy(&word, p, sizeof(word));
        uint64_t below = (word - EACH_OCTET(0x20)) & ~word & EACH_OCTET(0x80);
        if (below) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
            return p + (__builtin_ctzll(below) >> 3);
#else
            break;
#endif
        }
        p += 8;
    }
    while (p < end && (uint8_t)*p >= ' ')
        p++;
    return p;
}

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

struct sip_field sip_field_cut(const char *p, const char *end, bool fold)
{
    const char *from = p;
    enum sip_field_fault fault = SIP_FIELD_GOOD;
    bool has_nul = false;
    for (;;) {
        p = find_control(p, end);
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

/* HCOLON = *( SP / HTAB ) ":" SWS */
bool sip_field_split(struct slice line, struct slice *ret_name, struct slice *ret_value)
{
    struct sip_scan s = sip_scan_of(line);
    struct slice name = sip_scan_run(&s, SIP_CHAR_TOKEN);
    if (name.len == 0)
        return false;
    while (s.p < s.end && is_wsp(*s.p))
        s.p++;
    if (!sip_scan_take(&s, ':'))
        return false;
    *ret_name = name;
    *ret_value = slice_trim(sip_scan_rest(&s));
    /* An empty value is where one would be written, and not behind the line end. */
    if (ret_value->len == 0)
        ret_value->ptr = s.p;
    return true;
}
