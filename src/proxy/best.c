/* A rank is three digits: class, preference inside the class, and whether it was made here. */
#include "proxy/best.h"
#include <stddef.h>

enum {
    RANK_CLASS = 100,
    RANK_PREFERENCE = 10,
    RANK_LOCAL = 1,
    CLASS_LAST = 9, /* never chosen while there is anything else */
};

/* "It MUST choose from the 6xx class responses if any exist in the context. If no 6xx class responses are
 * present, the proxy SHOULD choose from the lowest response class". */
static unsigned class_rank(unsigned status)
{
    return status >= 600 ? 0 : status / 100;
}

struct preference {
    unsigned status, rank;
};

#define RANK_ORDINARY 5

/* "SHOULD give preference to responses that provide information affecting resubmission of this request, such
 * as 401, 407, 415, 420, and 484". What only says that nobody answered comes after what somebody said; and a
 * 503 is never passed on. */
static const struct preference preferences[] = {
    {401, 1}, {407, 1}, {415, 2}, {420, 3}, {484, 4}, {487, 6}, {480, 7}, {408, 8}, {430, 8}, {503, 9},
};

static unsigned preference_rank(unsigned status)
{
    for (size_t i = 0; i < sizeof(preferences) / sizeof(preferences[0]); i++) {
        if (preferences[i].status == status)
            return preferences[i].rank;
    }
    return RANK_ORDINARY;
}

unsigned proxy_best_rank(const struct proxy_candidate *candidate)
{
    unsigned class = class_rank(candidate->status), preference = preference_rank(candidate->status);

    /* A 408 is no answer to a non-INVITE (RFC 4320 section 4.2). */
    if (candidate->status == 408 && !candidate->is_invite)
        class = CLASS_LAST;
    /* The caller who cancelled is told so when that class is chosen (section 9.2). */
    if (candidate->status == 487 && candidate->is_cancelled)
        preference = 0;
    return class * RANK_CLASS + preference * RANK_PREFERENCE + (candidate->is_local ? RANK_LOCAL : 0);
}
