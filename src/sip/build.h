/* Messages made here: responses to a request (RFC 3261 section 8.2.6), ACK for a non-2xx final (17.1.1.3) and
 * CANCEL (9.1). All three take what they must repeat from the original octet for octet. */
#ifndef SIP_BUILD_H
#define SIP_BUILD_H

#include "base/wire.h"
#include "sip/msg.h"

/* One more header of a response, in order; the list ends with id == SIP_HDR_OTHER and no name. */
struct sip_extra {
    enum sip_hdr_id id; /* or OTHER with a name */
    struct slice name;
    struct slice value; /* no CR, LF or NUL */
};

struct sip_response_args {
    unsigned status;
    struct slice phrase; /* absent: the default one */
    struct slice to_tag; /* added to To when To has none and status is not 100 (8.2.6.2); absent: not added */
    bool copy_record_route;        /* for a dialog-forming 101..2xx (12.1.1) */
    bool copy_timestamp;           /* for a 100 (8.2.6.1) */
    const struct sip_extra *extra; /* or NULL */
    /* Text to put in place of the top Via as received (with received/rport, RFC 3261 section 18.2.1, RFC 3581
     * section 4); absent when the request itself already carries it. */
    struct slice top_via;
};

/* Via, From, To, Call-ID and CSeq of the request as they came; Content-Length: 0. Works from a message that
 * failed sip_msg_check too: headers that are missing are left out. ERR_SYNTAX when not even a Via can be
 * read. */
MUST_USE int sip_build_response(struct sip_msg *req, const struct sip_response_args *args,
                                struct wire **ret_wire);

/* ACK for a final response 300-699 to `invite` as sent: same Request-URI, Call-ID, From, CSeq number, top
 * Via, Route; To from the response; Max-Forwards 70 (17.1.1.3). `invite` may be given as octets only. */
MUST_USE int sip_build_ack(struct sip_msg *invite, struct sip_msg *response, struct wire **ret_wire);

/* CANCEL for `invite` as sent: same Request-URI, Call-ID, To, From, CSeq number, top Via, Route; Max-Forwards
 * 70 (9.1). reason: a Reason header value (RFC 3326), or absent. */
MUST_USE int sip_build_cancel(struct sip_msg *invite, struct slice reason, struct wire **ret_wire);

#endif
