/* Looking into a message before it is parsed: just enough to choose who parses it. */
#ifndef SIP_PEEK_H
#define SIP_PEEK_H

#include "base/slice.h"

/* The value of the first Call-ID (or `i`) header field, found by line starts alone; absent when there is
 * none. A message that is later refused may give anything; the same octets always give the same. */
struct slice sip_peek_call_id(struct slice bytes);
/* What all messages that must be processed in their order have in common: of a REGISTER and its responses the
 * user in To, without escapes (section 10.3: "REGISTER requests MUST be processed by a registrar in the order
 * that they are received"), of any other, and where To has no user, the Call-ID. One address-of-record has
 * one user however it is spelled, with sip or sips, by whichever name of its domain; two that share a user
 * share a worker and nothing else. The user is cut at the size of memory, where it lies. */
#define SIP_PEEK_SUBJECT_BYTES 128
struct slice sip_peek_subject(struct slice bytes, char memory[SIP_PEEK_SUBJECT_BYTES]);
/* The first element of the first Via (or `v`) header field; absent when there is none. One with a comma
 * in quotes, or on several lines, is cut. */
struct slice sip_peek_top_via(struct slice bytes);

#endif
