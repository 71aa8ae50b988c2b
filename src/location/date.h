/* The Date header field (RFC 3261 section 20.17): "SIP-date =
 * rfc1123-date", always in GMT, whatever the locale. */
#ifndef LOCATION_DATE_H
#define LOCATION_DATE_H

#include "base/clock.h"
#include "base/slice.h"

#define LOCATION_DATE_BYTES 29 /* Sun, 06 Nov 1994 08:49:37 GMT */

/* From 1970 to the end of 9999. */
struct slice location_date_format(unix_s_t now_s, char out[LOCATION_DATE_BYTES]);

#endif
