#include "base/utf8.h"

/* RFC 3629 section 4: what may stand first, how many octets follow it, and the range of the second
 * one; those after it are all 80 to BF. */
static const struct form {
    unsigned char first_low, first_high, second_low, second_high, followers;
} forms[] = {
    {0xC2, 0xDF, 0x80, 0xBF, 1}, {0xE0, 0xE0, 0xA0, 0xBF, 2}, {0xE1, 0xEC, 0x80, 0xBF, 2},
    {0xED, 0xED, 0x80, 0x9F, 2}, {0xEE, 0xEF, 0x80, 0xBF, 2}, {0xF0, 0xF0, 0x90, 0xBF, 3},
    {0xF1, 0xF3, 0x80, 0xBF, 3}, {0xF4, 0xF4, 0x80, 0x8F, 3},
};

static const struct form *form_of(unsigned char first)
{
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        if (first >= forms[i].first_low && first <= forms[i].first_high)
            return &forms[i];
    }
    return NULL;
}

static bool is_follower(unsigned char c)
{
    return (c & 0xC0) == 0x80;
}

static bool has_form(const struct form *form, const unsigned char *at, size_t left)
{
    if (!form || left <= form->followers || at[1] < form->second_low || at[1] > form->second_high)
        return false;
    for (size_t i = 2; i <= form->followers; i++) {
        if (!is_follower(at[i]))
            return false;
    }
    return true;
}

bool utf8_is_valid(struct slice s)
{
    const unsigned char *octets = (const unsigned char *)s.ptr;

    for (size_t i = 0; i < s.len;) {
        const struct form *form;

        if (octets[i] < 0x80) {
            i++;
            continue;
        }
        form = form_of(octets[i]);
        if (!has_form(form, octets + i, s.len - i))
            return false;
        i += 1U + form->followers;
    }
    return true;
}
