/* The authentication step of the chain: RFC 3261 sections 22.1 to 22.4, RFC 8760. It challenges who must
 * prove who he is, and writes into the request who he is.
 *
 *   REGISTER  for a domain of ours, when the listener or the domain asks for it: 401 with WWW-Authenticate.
 * The realm is that of the domain in To. others    when From names a user of a domain of ours, and the
 * listener or the domain asks for it: 407 with Proxy-Authenticate. A caller from elsewhere is not asked: he
 * has no password here, and the relay step lets him reach none but our own users; but if he shows credentials
 * for a realm of ours they are verified. never     ACK and CANCEL (section 22.1); a request inside a dialog
 * that came through here before; a trusted source (but its REGISTERs); one that was authenticated already.
 *
 * There is one challenge for each algorithm, in the configured order (RFC 8760 section 2.4). */
#ifndef AUTH_STEP_H
#define AUTH_STEP_H

#include "auth/nonce.h"
#include "auth/users.h"
#include "proxy/request.h"

struct auth_opts {
    struct auth_users *users;
    struct auth_nonces *nonces;
    const enum crypto_digest_alg *algorithms; /* offered and accepted, best first */
    size_t n_algorithms;
};

/* ctx: const struct auth_opts. */
enum proxy_verdict auth_step(struct proxy_request *req, void *ctx);

#endif
