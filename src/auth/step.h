/* The authentication step of the chain: RFC 3261 sections 22.1 to 22.4, RFC 8760. It challenges who must prove
 * who he is, and writes into the request who he is.
 *
 *   REGISTER  for a domain of ours, when the listener or the domain asks for it: 401 with WWW-Authenticate. The
 *             realm is that of the domain in To.
 *   others    when From names a user of a domain of ours, and the listener or the domain asks for it: 407 with
 *             Proxy-Authenticate. A REGISTER for another's domain is one of these. A caller from elsewhere,
 *             or who hides where he is from, is asked when the request leads elsewhere: the relay step lets
 *             him reach none but our own users otherwise. If he shows credentials for a realm of ours they are
 *             verified in any case.
 *   A static route has the last word: `none` asks nobody, `required` asks everybody, trusted or from elsewhere.
 *   never     ACK and CANCEL (section 22.1); a request inside a dialog that came through here before; a trusted
 *             source (but its REGISTERs).
 *
 * A challenge is sent once and leaves nothing behind: no transaction, no timer (sections 8.2.7 and 26.3.2.4).
 * There is one for each algorithm, in the configured order (RFC 8760 section 2.4). Some clients give
 * up when they see an algorithm that they do not know, although RFC 3261 section 22.4 item 8 had them ignore it:
 * those whose User-Agent begins with one of md5_only_agents are offered MD5 alone. That weakens nothing: MD5 is
 * offered to all, or to nobody. */
#ifndef AUTH_STEP_H
#define AUTH_STEP_H

#include "auth/nonce.h"
#include "auth/users.h"
#include "proxy/request.h"

struct auth_opts {
    struct auth_users *users;
    struct auth_nonces *nonces;
    const enum crypto_digest_alg *algorithms; /* offered, in this order, and accepted */
    size_t n_algorithms;
    const struct slice *md5_only_agents; /* see below */
    size_t n_md5_only_agents;
};

/* ctx: const struct auth_opts. */
enum proxy_verdict auth_step(struct proxy_request *req, void *ctx);

#endif
