/* Looking into a message before it is parsed: just enough to choose who parses it. */
#ifndef SIP_PEEK_H
#define SIP_PEEK_H

#include "base/slice.h"

/* The value of the first Call-ID (or `i`) header field, found by line starts alone; absent when there is
 * none. A message that is later refused may give anything; the same octets always give the same. */
struct slice sip_peek_call_id(struct slice bytes);
/* What all messages that must be processed in their order have in common: of a REGISTER and its responses the
 * address-of-record, as To spells it (section 10.3: "REGISTER requests MUST be processed by a registrar in the
 * order that they are received"), of any other the Call-ID. */
struct slice sip_peek_subject(struct slice bytes);
/* The first element of the first Via (or `v`) header field; absent when there is none. One with a comma in quotes, or on
 * several lines, is cut. */
struct slice sip_peek_top_via(struct slice bytes);

#endif
