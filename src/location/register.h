/* From a REGISTER message to what it asks (RFC 3261 section 10.3 steps 6 and 7, first half; RFC 3327). */
#ifndef LOCATION_REGISTER_H
#define LOCATION_REGISTER_H

#include "location/apply.h"
#include "sip/msg.h"

/* What is wrong with a REGISTER. */
struct location_register_error {
    unsigned status;
    const char *phrase;
    const char *why;
};

/* Reads Contact, Expires, Path, Call-ID and CSeq. aor and hop are left to the caller. Texts point into msg,
 * or into arena where they had to be made. reg->n_contacts == 0 and not wildcard: bindings are only asked
 * for. ERR_SYNTAX, ERR_LIMIT: ret_error says what to answer; ERR_NOMEM: arena full. */
MUST_USE int location_register_parse(struct sip_msg *msg, struct arena *arena,
                                     struct location_register *ret_reg,
                                     struct location_register_error *ret_error);

#endif
