/* The registrar (RFC 3261 section 10.3, RFC 3327 section 5.3) as a step of the chain, and the location
 * service's answer to the proxy's question where a user is.
 *
 * The step takes a REGISTER for a domain of ours, or for the proxy itself, and answers it; every other
 * request passes. A REGISTER that only asks is answered from memory. One that changes something becomes a job
 * of the storage (storage.h): the step says PROXY_WAIT, and runs again, with req->resumed pointing to the
 * job, when the job is complete; proxy_resume()'s caller frees the job afterwards. Who sent the request has
 * been found out by the authentication step before. */
#ifndef LOCATION_REGISTRAR_H
#define LOCATION_REGISTRAR_H

#include "location/storage.h"
#include "proxy/request.h"

struct location_registrar_opts {
    struct location_storage *storage;
    const struct proxy_opts *proxy; /* whose domains are served */

    /* Is there such a user? From any worker. */
    bool (*user_exists)(void *ctx, struct slice domain, struct slice user);
    void *ctx;

    /* Where REGISTER needs no credentials: may somebody register whom user_exists does not know? */
    bool unknown_users;
    /* Take a Path although the client does not say that it supports it; else 420, as RFC 3327 section 5.3
     * recommends. */
    bool path_unasked;
    /* Service-Route of every 200 (RFC 3608): name-addrs, comma-separated; empty: none. */
    struct slice service_route;
    /* Canonical addresses-of-record ("sip:admin@example.com") whose owners may register others of their own
     * domain. */
    const struct slice *third_parties;
    size_t n_third_parties;
};

struct location_registrar;

/* opts is copied, what it points to must outlive the registrar. ERR_NOMEM. */
MUST_USE int location_registrar_new(const struct location_registrar_opts *opts,
                                    struct location_registrar **ret_registrar);
void location_registrar_free(struct location_registrar *registrar);

/* Section 10.3 steps 1 and 2: a REGISTER for us that is here already by another way is answered 482 (section
 * 8.2.2.2), one that requires what we do not have 420, before anybody is asked for credentials. Stands before
 * the authentication step. ctx: the registrar. */
enum proxy_verdict location_require_step(struct proxy_request *req, void *ctx);
/* Section 10.3 steps 1 and 4 to 8. ctx: the registrar. */
enum proxy_verdict location_registrar_step(struct proxy_request *req, void *ctx);
/* RFC 5627 section 6.2: 403 for who proved to be a user, and begins a dialog through further proxies
 * (there is a Record-Route) with a Contact that is another one's GRUU. Stands after the
 * authentication step. ctx: the registrar. */
enum proxy_verdict location_contact_step(struct proxy_request *req, void *ctx);

/* proxy_ports.locate; ctx: the registrar. aor: canonical, under the name of one of our domains. With a `gr`
 * parameter it is a GRUU (RFC 5627 section 6.1), and only the bindings of that instance are meant. Best q
 * first, the one registered last first among equals. */
MUST_USE int location_locate(void *ctx, struct slice aor, unix_s_t now_s, struct arena *arena, size_t max,
                             const struct proxy_binding **ret_bindings, size_t *ret_count);

#endif
