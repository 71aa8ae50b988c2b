/* Client-initiated connections at the registrar: RFC 5626 section 6. Decides what the reg-id of a contact
 * means, and by what way a contact is to be reached. */
#ifndef LOCATION_OUTBOUND_H
#define LOCATION_OUTBOUND_H

#include "location/register.h"
#include "proxy/request.h"

/* Fills in what depends on how the request came: reg_id (back to 0 where outbound processing must
 * not be applied), and by_flow of each contact. 0; ERR_DENIED: ret_error says what to answer;
 * ERR_NOMEM: the request's arena is full. */
MUST_USE int location_outbound_decide(struct proxy_request *req, struct location_register *reg,
                                      struct location_register_error *ret_error);

/* Is `outbound` to stand in the Require of the 200? */
bool location_outbound_is_used(const struct proxy_request *req, const struct location_register *reg);

#endif
