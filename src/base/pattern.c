#include "base/pattern.h"
#include <stdint.h>

static uint8_t folded(char c, enum pattern_case which)
{
    return (uint8_t)(which == PATTERN_NOCASE && c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

/* A set begins after its '['. The first octet, after a '!', is never the end: "[]]" is the set of ']'. */
static size_t set_end(struct slice pattern, size_t at)
{
    if (at < pattern.len && pattern.ptr[at] == '!')
        at++;
    for (at++; at < pattern.len; at++)
        if (pattern.ptr[at] == ']')
            break;
    return at;
}

static bool is_range(struct slice set, size_t i)
{
    return i + 2 < set.len && set.ptr[i + 1] == '-';
}

static bool set_is_valid(struct slice set)
{
    for (size_t i = 0; i < set.len; i++) {
        if (!is_range(set, i))
            continue;
        if ((uint8_t)set.ptr[i] > (uint8_t)set.ptr[i + 2])
            return false;
        i += 2;
    }
    return set.len > 0;
}

bool pattern_is_valid(struct slice pattern)
{
    if (pattern.len == 0 || pattern.len > PATTERN_MAX_BYTES)
        return false;
    for (size_t i = 0; i < pattern.len; i++) {
        size_t from = i + 1, end;

        if (pattern.ptr[i] != '[')
            continue;
        end = set_end(pattern, from);
        if (from < pattern.len && pattern.ptr[from] == '!')
            from++;
        if (end >= pattern.len || !set_is_valid(slice_sub(pattern, from, end)))
            return false;
        i = end;
    }
    return true;
}

static bool set_has(struct slice set, char c, enum pattern_case which)
{
    bool is_negated = set.ptr[0] == '!' && set.len > 1;
    uint8_t octet = folded(c, which);

    for (size_t i = is_negated; i < set.len; i++) {
        uint8_t low = folded(set.ptr[i], which);
        uint8_t high = is_range(set, i) ? folded(set.ptr[i + 2], which) : low;

        if (octet >= low && octet <= high)
            return !is_negated;
        i += is_range(set, i) ? 2 : 0;
    }
    return is_negated;
}

/* One element of the pattern that is no star against one octet. */
static bool element_matches(struct slice pattern, size_t at, char c, enum pattern_case which,
                            size_t *ret_next)
{
    size_t end;

    *ret_next = at + 1;
    if (pattern.ptr[at] == '?')
        return true;
    if (pattern.ptr[at] != '[')
        return folded(pattern.ptr[at], which) == folded(c, which);
    end = set_end(pattern, at + 1);
    *ret_next = end + 1;
    return set_has(slice_sub(pattern, at + 1, end), c, which);
}

bool pattern_matches(struct slice pattern, struct slice text, enum pattern_case which)
{
    size_t p = 0, t = 0, next;
    size_t star = SIZE_MAX, star_text = 0; /* where to go on when it does not fit */

    while (t < text.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = ++p;
            star_text = t;
        } else if (p < pattern.len && element_matches(pattern, p, text.ptr[t], which, &next)) {
            p = next;
            t++;
        } else if (star != SIZE_MAX) {
            p = star;
            t = ++star_text;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*')
        p++;
    return p == pattern.len;
}

size_t pattern_literal_bytes(struct slice pattern)
{
    size_t i = 0;

    while (i < pattern.len && pattern.ptr[i] != '*' && pattern.ptr[i] != '?' && pattern.ptr[i] != '[')
        i++;
    return i;
}

bool pattern_is_simple(struct slice pattern)
{
    size_t literal = pattern_literal_bytes(pattern);

    return literal == pattern.len || (literal + 1 == pattern.len && pattern.ptr[literal] == '*');
}

bool pattern_covers(struct slice a, struct slice b, enum pattern_case which)
{
    struct slice beginning;

    if (which == PATTERN_NOCASE ? slice_eq_nocase(a, b) : slice_eq(a, b))
        return true;
    if (!pattern_is_simple(a))
        return pattern_literal_bytes(b) == b.len && pattern_matches(a, b, which);
    beginning = slice_sub(a, 0, pattern_literal_bytes(a));
    if (beginning.len == a.len || pattern_literal_bytes(b) < beginning.len)
        return false;
    return which == PATTERN_NOCASE ? slice_starts_with_nocase(b, beginning) : slice_starts_with(b, beginning);
}
