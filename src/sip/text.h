/* Text that is put into a message. Private to src/sip. */
#ifndef SIP_TEXT_H
#define SIP_TEXT_H

#include "base/slice.h"

/* True when text put into a header cannot begin another one: no CR, LF or NUL in it, but for folds, which are
 * a CRLF with SP or HTAB behind (RFC 3261 section 7.3.1). */
bool sip_text_is_safe(struct slice text);

#endif
