/* Static routes: what the operator says about where requests go, as a list of "what matches, goes there". The
 * first route whose conditions all hold is taken; where none does, the proxy's own rules apply (the location
 * service for domains of ours, the Request-URI for others).
 *
 * Life: policy_routes_new() compiles the list when the snapshot is made. The result is immutable and shared by
 * all workers. policy_routes_find() is asked for each request that begins something; it allocates nothing.
 *
 * What it costs: for each kind of condition that an index pays for (method, listener, domain, beginning of the
 * user part) there is a set of the routes that it leaves possible, one bit each; the sets are cut, and what is
 * left over is looked at in order: sources, header fields, and patterns that are more than a beginning. So a
 * thousand routes cost two binary searches or a few more and sixteen words of bits, and then as many
 * comparisons as there are routes that really are candidates. */
#ifndef POLICY_ROUTE_H
#define POLICY_ROUTE_H

#include "policy/group.h"
#include "proxy/request.h"

#define POLICY_ROUTES_MAX  1000
#define POLICY_TARGETS_MAX 64  /* of one route: uri, redirect */
#define POLICY_USER_BYTES  256 /* of a user part that are looked at */

enum policy_action {
    POLICY_LOCATION, /* as without a route, after the rewriting */
    POLICY_GROUP,
    POLICY_URI,      /* fixed next hops (section 16.5: "configured static routes") */
    POLICY_REDIRECT, /* 302 with these Contacts */
    POLICY_REJECT,
};

/* What is done about the header fields of RFC 3325: see identity.h. */
enum policy_identity {
    POLICY_IDENTITY_INHERIT = 0,
    POLICY_IDENTITY_OFF,       /* they are header fields like others */
    POLICY_IDENTITY_AUTO,      /* the next hop is trusted when its address is among the trusted */
    POLICY_IDENTITY_TRUSTED,   /* it is, whatever its address */
    POLICY_IDENTITY_UNTRUSTED, /* it is not */
};

enum policy_choice { POLICY_INHERIT = 0, POLICY_YES, POLICY_NO };

struct policy_header_opts {
    struct slice name;
    struct slice pattern; /* without case (RFC 3261 section 7.3.1); of one field, whole */
};

struct policy_target_opts {
    struct slice uri;
    unsigned q_milli;
};

/* An empty list of a condition: it always holds. Elements of a list are alternatives. */
struct policy_match_opts {
    const struct slice *methods; /* INVITE stands for its ACK and CANCEL too */
    size_t n_methods;
    const struct slice *domains; /* of the Request-URI; lower case; of ours by any of its names */
    size_t n_domains;
    const struct slice *users; /* patterns for the user part of the Request-URI, decoded, up to a ';' */
    size_t n_users;
    const struct addr_prefix *sources;
    size_t n_sources;
    const struct slice *listeners; /* names */
    size_t n_listeners;
    const struct policy_header_opts *headers; /* all of them */
    size_t n_headers;
};

/* Of the user part of a Request-URI in a domain of ours. In this order: a user that replaces it whole; else, if it
 * begins with `prefix`, that goes (if it does not, nothing changes), `strip` octets more go, `add` comes. */
struct policy_rewrite_opts {
    struct slice user, prefix, add; /* empty: none */
    unsigned strip;
};

/* Text belongs to the configuration and outlives the routes. */
struct policy_route_opts {
    struct slice name;
    struct policy_match_opts match;
    enum policy_action action;
    struct slice group;                       /* POLICY_GROUP */
    const struct policy_target_opts *targets; /* POLICY_URI, POLICY_REDIRECT */
    size_t n_targets;
    unsigned status; /* POLICY_REJECT: 400 to 699 */
    struct slice reason;
    struct policy_rewrite_opts rewrite;
    enum proxy_auth_rule auth;
    enum policy_choice recurse_redirects;
    bool stateless;
    ms_t ring_ms; /* 0: as the proxy's */
    enum policy_identity identity;
};

struct policy_routes_opts {
    const struct policy_route_opts *routes;
    size_t n_routes;
    enum policy_identity identity;  /* of requests that no route says it of */
    const struct proxy_opts *proxy; /* outlives the routes */
    struct policy_groups *groups;   /* or NULL; outlive the routes */
};

struct policy_routes;

/* *ret_failed: the route that is wrong, when one is. ERR_SYNTAX: a pattern or a URI; ERR_RANGE: a status;
 * ERR_NOTFOUND: a group or a listener; ERR_LIMIT; ERR_NOMEM. */
MUST_USE int policy_routes_new(const struct policy_routes_opts *opts, size_t *ret_failed,
                               struct policy_routes **ret_routes);
/* NULL is fine. */
void policy_routes_free(struct policy_routes *routes);

/* What a choice depends upon. */
struct policy_request {
    const struct sip_msg *msg;
    const struct sip_uri *ruri;        /* after section 16.4 where that has been done */
    const struct proxy_domain *domain; /* of ruri, or NULL */
    const struct sip_hop *from;
};

/* The index of the route, or -1. A REGISTER for a domain of ours is the registrar's business: only a route that
 * names the method is taken for it, or one that rejects sources. */
int policy_routes_find(const struct policy_routes *routes, const struct policy_request *request);

/* proxy_opts.is_stateless; ctx is the routes. */
bool policy_routes_are_stateless(const void *ctx, const struct proxy_opts *opts, struct sip_msg *request,
                                 const struct sip_hop *from);
/* proxy_opts.route_number; ctx is the routes. */
uint64_t policy_routes_number(const void *ctx, const struct proxy_opts *opts, struct sip_msg *request,
                              const struct sip_hop *from);
/* Is there any route that is? If not, nobody needs to be asked. */
bool policy_routes_any_stateless(const struct policy_routes *routes);

/* proxy_opts.edit_response where `identity` is POLICY_IDENTITY_AUTO: RFC 3325 section 5 for responses. Routes
 * have no say in them: a node is trusted by its address alone. */
void policy_identity_edit_response(const struct proxy_opts *opts, struct sip_msg *response,
                                   const struct sip_hop *from, const struct sip_hop *to,
                                   struct sip_edit *edit);

/* The steps of the chain; ctx: const struct policy_routes.
 *
 * `policy` stands after `route` and `self`, before all that asks who somebody is: it finds the route, answers what
 * it rejects, and notes what it says about credentials, relaying, redirections and ringing. `target` stands before
 * `targets`: it rewrites the number, and adds the targets of a group or of fixed next hops, or redirects. Requests
 * inside a dialog of ours are not routed by the table (RFC 3261 section 16.5: their target was set when the dialog
 * began); what RFC 3325 asks is done to them all the same. */
enum proxy_verdict policy_step_policy(struct proxy_request *req, void *ctx);
enum proxy_verdict policy_step_target(struct proxy_request *req, void *ctx);

#endif
