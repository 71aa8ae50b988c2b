/* The chain of steps a new request walks (section 16.3 to 16.6). Services (auth, location, policy) add steps
 * of their own: a step sees the request, may change its decision fields, and returns a verdict. State lives
 * in the request. */
#ifndef PROXY_CHAIN_H
#define PROXY_CHAIN_H

#include "base/slice.h"

struct proxy_request;

enum proxy_verdict {
    PROXY_NEXT, /* go on with the next step */
    PROXY_WAIT, /* proxy_resume() will run this step again */
    PROXY_DONE, /* answered, forwarded or dropped: the chain ends */
};

struct proxy_step {
    const char *name; /* as printed: "validate", "auth", ...; NULL ends the chain */
    enum proxy_verdict (*run)(struct proxy_request *req, void *ctx);
    void *ctx;
};

/* The core's own steps, in the order in which they are meant to stand (ctx is not used). */

/* Section 16.3: grammar of what is used, scheme (416), Max-Forwards (483), loop (482), Max-Breadth (440),
 * Proxy-Require (420). */
enum proxy_verdict proxy_step_validate(struct proxy_request *req, void *ctx);
/* Section 16.4: strict-router repair, maddr, our own Route removed; decides req->dialog_is_ours. */
enum proxy_verdict proxy_step_route(struct proxy_request *req, void *ctx);
/* A request addressed to this proxy itself: OPTIONS 200 (section 11), REGISTER is left to the registrar's
 * step, others 404/405. */
enum proxy_verdict proxy_step_self(struct proxy_request *req, void *ctx);
/* RFC 5626 section 5: what the clients of an edge proxy send goes to their home proxy.
 * Stands before the authentication step. */
enum proxy_verdict proxy_step_edge(struct proxy_request *req, void *ctx);
/* No open relay: a foreign target only for an authenticated user, a trusted source, or inside a dialog of
 * ours; else 403. */
enum proxy_verdict proxy_step_relay(struct proxy_request *req, void *ctx);
/* Section 16.5: the target set. 404, 480. */
enum proxy_verdict proxy_step_targets(struct proxy_request *req, void *ctx);
/* Section 16.6 and all that follows. Always PROXY_DONE. */
enum proxy_verdict proxy_step_forward(struct proxy_request *req, void *ctx);

#endif
