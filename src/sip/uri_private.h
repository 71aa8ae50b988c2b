/* What uri.c and uri_eq.c share. Private to src/sip. */
#ifndef SIP_URI_PRIVATE_H
#define SIP_URI_PRIVATE_H

#include "sip/scan.h"
#include "sip/uri.h"

/* One parameter or header of an already checked list; the cursor is left on its separator. The value of a
 * parameter without "=" is absent. */
MUST_USE int sip_uri_scan_param(struct sip_scan *s, struct slice *ret_name, struct slice *ret_value);
MUST_USE int sip_uri_scan_header(struct sip_scan *s, struct slice *ret_name, struct slice *ret_value);

#endif
