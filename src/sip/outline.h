/* A request in outline: what its answer has to repeat (RFC 3261 section 8.2.6.2), found by the beginnings of
 * lines alone, for a server that has no time to read it. Only of plain requests, as nearly all are: whatever
 * is unusual (a folded line, a header field twice, several Vias in one line, an octet that is no text) is
 * left to the parser. What is not repeated is not looked at, so a request that the parser would refuse may
 * have an outline. */
#ifndef SIP_OUTLINE_H
#define SIP_OUTLINE_H

#include "base/slice.h"
#include <stdbool.h>
#include <stdint.h>

#define SIP_OUTLINE_VIAS_MAX 8

struct sip_outline {
    struct slice method, ruri;
    struct slice vias[SIP_OUTLINE_VIAS_MAX]; /* one each, from the top */
    unsigned n_vias;
    struct slice from, to, call_id, cseq;
    struct slice from_tag, to_tag; /* absent: none */
    uint32_t cseq_number;
};

/* False: it is not plain, or no request. */
bool sip_outline_read(struct slice bytes, struct sip_outline *ret_outline);

#endif
