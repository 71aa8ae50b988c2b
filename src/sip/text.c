#include "sip/text.h"

bool sip_text_is_safe(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '\0' || c == '\n')
            return false;
        if (c != '\r')
            continue;
        bool is_fold = text.len - i >= 3 && text.ptr[i + 1] == '\n' &&
                       (text.ptr[i + 2] == ' ' || text.ptr[i + 2] == '\t');
        if (!is_fold)
            return false;
        i += 2;
    }
    return true;
}
