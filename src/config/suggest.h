/* "Did you mean ...?" */
#ifndef CONFIG_SUGGEST_H
#define CONFIG_SUGGEST_H

#include "base/slice.h"

#define SUGGEST_MAX_BYTES 32 /* longer words are not compared */

/* How many letters must be added, left out, changed or swapped with their neighbour to make one of the other
 * (optimal string alignment); case and the difference between - and _ do not count. SIZE_MAX when either is
 * too long to be compared. */
size_t suggest_distance(struct slice a, struct slice b);

/* The one of many names that was meant by word, or NULL: at most a third of its letters are wrong, and at
 * most 3.
 *
 *     struct suggest s = {.word = word};
 *     for (...) suggest_consider(&s, name);
 *     s.best ... */
struct suggest {
    struct slice word;
    const char *best;
    size_t distance; /* of best */
};

void suggest_consider(struct suggest *s, const char *name);

#endif
