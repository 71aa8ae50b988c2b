/* Flow tokens: RFC 5626 section 5.2. A client that nobody could connect to is reached by the way it came;
 * whoever is to reach it through us is given that way, signed, in a URI of ours, and we need to remember
 * nothing:
 *
 *     vf p 0123...ef - 0123456789abcdef0123456789abcdef
 *        |  |          signature over all that, and the dialog if it is one's
 *        |  transport, listener, peer, connection; in hex
 *        p  of a Path: whoever has it may send to that client
 *        a, b  of a Record-Route, for the caller's or the callee's side: good in that dialog alone
 *
 * A token that is not ours is never acted upon. One whose connection is gone names none that there is now: its
 * number is not given again, and whoever sends compares the peer (hop->flow_only). */
#ifndef PROXY_FLOW_H
#define PROXY_FLOW_H

#include "proxy/proxy.h"
#include "sip/msg.h"

enum proxy_flow_use { PROXY_FLOW_PATH, PROXY_FLOW_CALLER, PROXY_FLOW_CALLEE, PROXY_FLOW_USES };

/* "vf", use; transport, listener, family, IPv6 address, port, flow; signature. */
#define PROXY_FLOW_TOKEN_BYTES_MAX (3 + 2 * (1 + 4 + 1 + 16 + 2 + 8) + 1 + 32)

/* The token of the flow that hop is, for the dialog that msg begins (not looked at for a Path). */
struct slice proxy_flow_format(const struct proxy_opts *opts, enum proxy_flow_use use,
                               const struct sip_hop *hop, struct sip_msg *msg,
                               char out[PROXY_FLOW_TOKEN_BYTES_MAX]);

/* Has it the form of one? Nothing is verified. */
bool proxy_flow_has_form(struct slice user);

enum proxy_flow_found {
    PROXY_FLOW_ABSENT, /* no flow token at all */
    PROXY_FLOW_FORGED, /* not made here, or for another dialog */
    PROXY_FLOW_GONE,   /* its listener is no more */
    PROXY_FLOW_FOUND,
};

struct proxy_flow {
    enum proxy_flow_use use; /* set when FORGED, too */
    struct sip_hop hop;
    bool is_incoming; /* the request goes to the client (section 5.3), else it comes from it */
};

/* What the user part of a Route URI of ours says in this request, which came by `from`. */
enum proxy_flow_found proxy_flow_read(const struct proxy_opts *opts, struct slice user, struct sip_msg *msg,
                                      const struct sip_hop *from, struct proxy_flow *ret_flow);

#endif
