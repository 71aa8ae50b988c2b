/* The parameters of a Via that carry overload control: RFC 7339 section 4. A client writes `oc;oc-algo="loss"` into
 * the Via of its request, and the server fills them in, in the same Via of the response: how many fewer requests
 * should come, for how long, and which of two such statements is the newer. Text only; who believes what is the
 * proxy's business. */
#ifndef SIP_OC_H
#define SIP_OC_H

#include "base/buf.h"
#include "sip/edit.h"

#define SIP_OC_VALIDITY_DEFAULT_MS 500 /* section 4.3 */
#define SIP_OC_LOSS_MAX            100 /* section 7.1: percent */

/* What a server says. */
struct sip_oc {
    unsigned loss_percent;
    uint32_t validity_ms; /* 0: there is no overload, or none any more (section 5.7) */
    uint64_t seq;         /* grows from one statement to the next: the fraction counts in SIP_OC_SEQ_PARTS */
    bool has_seq;
};

#define SIP_OC_SEQ_PARTS 100000u /* 1*12DIGIT "." 1*5DIGIT */

/* What a client adds to its Via. */
#define SIP_OC_QUESTION ";oc;oc-algo=\"loss\""
/* Room for what sip_oc_put() writes. */
#define SIP_OC_BYTES 96

/* Does the Via of a request ask for it: with `oc` that has no value, and the loss algorithm among those that its
 * sender knows? */
bool sip_oc_is_asked(struct slice via_params);
/* What the Via of a response says. False: nothing that can be used. A loss above 100 is none. */
bool sip_oc_read(struct slice via_params, struct sip_oc *ret_oc);
/* Parameters for the Via of a response, each with its semicolon. */
void sip_oc_put(const struct sip_oc *oc, struct buf *out);

/* The text of a Via without these parameters; itself when it has none, else in arena. ERR_NOMEM. */
MUST_USE int sip_oc_strip(struct slice via_text, struct arena *arena, struct slice *ret_text);
/* The same as an edit of a message: from all its Vias but the first. Of the second, which will be the first, oc-algo
 * too, where answer has text, and the text comes to its end (section 5.4: "A SIP client SHOULD remove the "oc",
 * "oc-validity", and "oc-seq" parameters from all Via headers of a response received, except for the topmost"). */
void sip_oc_replace(struct sip_edit *edit, struct slice answer);

#endif
