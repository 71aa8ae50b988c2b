/* Patterns of an operator, as a shell has them for names of files:
 *
 *     *        any octets, none too
 *     ?        one octet, whichever
 *     [0-9a]   one octet of these; [!0-9]: of all others; [*] is the star itself
 *     else     itself
 *
 * The whole text must match. A match costs at most length of the pattern times length of the text: a star is
 * only ever tried again for the last one seen, which is enough, so no pattern can make a text slow. */
#ifndef BASE_PATTERN_H
#define BASE_PATTERN_H

#include "base/slice.h"

#define PATTERN_MAX_BYTES 128

enum pattern_case { PATTERN_CASE, PATTERN_NOCASE };

/* Every '[' has its ']', no set is empty, no range runs backwards; 1 to PATTERN_MAX_BYTES octets. */
bool pattern_is_valid(struct slice pattern);
/* pattern must be valid. */
bool pattern_matches(struct slice pattern, struct slice text, enum pattern_case which);
/* How many octets at the beginning stand for themselves. */
size_t pattern_literal_bytes(struct slice pattern);
/* Is it a literal, or a literal and one star at its end? Then nothing but its beginning, and in the first case its
 * length, has to be compared. */
bool pattern_is_simple(struct slice pattern);
/* True only when every text that b matches is matched by a too; false may mean "not found out". */
bool pattern_covers(struct slice a, struct slice b, enum pattern_case which);

#endif
