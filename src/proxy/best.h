/* Choosing the best response: RFC 3261 section 16.7 step 6. A pure function of what is known about a final
 * response. */
#ifndef PROXY_BEST_H
#define PROXY_BEST_H

#include <stdbool.h>

struct proxy_candidate {
    unsigned status;   /* 300..699 */
    bool is_local;     /* made here: a time-out (408), a transport error (503), a cancelled branch (487) */
    bool is_invite;    /* of the request */
    bool is_cancelled; /* the caller has cancelled the request */
};

/* Lower is better; equal ranks: the first to come stays. */
unsigned proxy_best_rank(const struct proxy_candidate *candidate);

#endif
