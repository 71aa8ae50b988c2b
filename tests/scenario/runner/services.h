/* The services the proxy core is used with: the registrar with its location service kept in memory, and
 * digest authentication with its users. They are the real ones; only their storage is not. */
#ifndef SCENARIO_SERVICES_H
#define SCENARIO_SERVICES_H

#include "policy/route.h"
#include "world.h"

#define SERVICES_GROUPS_MAX  4
#define SERVICES_MEMBERS_MAX 8

struct services_user {
    struct slice name, domain, password;
};

struct services_opts {
    const struct services_user *users;
    size_t n_users;
    unsigned min_expires_s, max_expires_s, default_expires_s;
    unsigned max_contacts;
    unsigned nonce_s;
    bool path_without_supported;
    struct policy_group_opts groups[SERVICES_GROUPS_MAX]; /* members are those below */
    struct policy_member_opts members[SERVICES_GROUPS_MAX][SERVICES_MEMBERS_MAX];
    struct slice group_users[SERVICES_GROUPS_MAX]; /* pattern of the users that are led there */
    size_t n_groups;
    struct policy_route_opts *routes; /* go before those that lead to groups */
    size_t n_routes;
    enum policy_identity identity;
    struct slice service_route;
};

MUST_USE int services_new(struct world *w, const struct services_opts *opts, struct services **ret_services);
void services_free(struct services *s);
void services_opts_default(struct services_opts *opts);
/* A core begins with these services, and is gone. */
MUST_USE int services_attach(struct services *s, struct proxy *proxy);
void services_detach(struct services *s, unsigned worker);
/* Calls that are counted at members of groups. */
unsigned services_calls(const struct services *s);
/* The chain of steps as the program builds it. */
const struct proxy_step *services_chain(struct services *s);
/* The registrar's bindings of an address-of-record. */
MUST_USE int services_locate(struct services *s, struct slice aor, unix_s_t now_s, struct arena *arena,
                             size_t max, const struct proxy_binding **ret_bindings, size_t *ret_count);

/* From now on every request waits in a step of the chain, as for a slow database, until it is released. */
void services_hold(struct services *s);
void services_release(struct services *s);

#endif
