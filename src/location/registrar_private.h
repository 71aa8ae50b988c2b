/* What the registrar and the answer to "where is this user" share. Private to the folder. */
#ifndef LOCATION_REGISTRAR_PRIVATE_H
#define LOCATION_REGISTRAR_PRIVATE_H

#include "base/log.h"
#include "location/gruu.h"
#include "location/registrar.h"

#define LOCATION_REGISTRAR_AOR_BYTES LOCATION_AOR_BYTES_MAX

struct location_registrar {
    struct location_registrar_opts opts;
    struct location_gruus gruus;
    struct log_limiter limiter;
};

/* Whose registration is meant. */
struct location_owner {
    struct slice aor;  /* canonical: the index into the bindings */
    struct slice user; /* canonical, in aor */
    const struct proxy_domain *domain;
};

/* The index into the bindings: the canonical form of section 10.3 step 5 under the domain's own name, so that
 * every way of writing one of our domains (with a port of ours, in capitals, as sips) leads to the same user.
 * ERR_NOTFOUND: no domain, or no user; ERR_LIMIT. */
MUST_USE int location_owner_in(const struct proxy_domain *domain, const struct sip_uri *uri,
                               char out[LOCATION_REGISTRAR_AOR_BYTES], struct location_owner *ret_owner);

/* The same from a URI whose host is the name of a domain of ours. */
MUST_USE int location_owner_of(const struct proxy_opts *proxy, const struct sip_uri *aor,
                               char out[LOCATION_REGISTRAR_AOR_BYTES], struct location_owner *ret_owner);

static inline const struct location_flows *location_registrar_flows(const struct location_registrar *r)
{
    return &location_storage_limits(r->opts.storage)->flows;
}

/* A binding that leads somewhere. */
static inline bool location_registrar_counts(const struct location_registrar *r,
                                             const struct location_binding *b, unix_s_t now_s)
{
    return location_binding_is_live(b, now_s) && !location_binding_is_cut(b, location_registrar_flows(r));
}

#endif
