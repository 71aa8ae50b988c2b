#include "sip/text.h"
#include "sip/scan.h"

bool sip_text_is_safe(struct slice text)
{
    struct sip_scan s = sip_scan_of(text);
    while ((s.p = sip_find_control(s.p, s.end)) < s.end) {
        char c = *s.p;
        if (c == '\0' || c == '\n' || (c == '\r' && !sip_scan_lws(&s)))
            return false;
        if (c != '\r')
            s.p++;
    }
    return true;
}
