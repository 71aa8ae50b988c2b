#include "config/suggest.h"
#include <stdint.h>

static char folded(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c == '-' ? '_' : c;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t suggest_distance(struct slice a, struct slice b)
{
    /* Row i holds the distances of the first i letters of a from each beginning of b; three rows are alive,
     * because a swap looks two back. */
    size_t rows[3][SUGGEST_MAX_BYTES + 1];

    if (a.len > SUGGEST_MAX_BYTES || b.len > SUGGEST_MAX_BYTES)
        return SIZE_MAX;
    for (size_t j = 0; j <= b.len; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];

        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            char x = folded(a.ptr[i - 1]), y = folded(b.ptr[j - 1]);

            row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == folded(b.ptr[j - 2]) && y == folded(a.ptr[i - 2]))
                row[j] = least(row[j], above2[j - 2] + 1);
        }
    }
    return rows[a.len % 3][b.len];
}

void suggest_consider(struct suggest *s, const char *name)
{
    struct slice meant = slice_from_cstr(name);
    size_t distance = suggest_distance(s->word, meant);
    bool is_close = distance <= 3 && distance * 3 <= least(s->word.len, meant.len);

    if (is_close && (!s->best || distance < s->distance)) {
        s->best = name;
        s->distance = distance;
    }
}
