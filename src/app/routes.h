/* From the configuration's routes and groups to those of the policy layer. */
#ifndef APP_ROUTES_H
#define APP_ROUTES_H

#include "config/config.h"
#include "policy/route.h"

struct app_routes; /* owns all that follows; lives as long as the snapshot */

/* Compiles. proxy: of the snapshot, with its secret; it outlives the result. What is wrong is in the log: a check
 * of the configuration has found everything before. ERR_NOMEM, or an error of policy_groups_new and
 * policy_routes_new. */
MUST_USE int app_routes_new(const struct config *config, const struct proxy_opts *proxy,
                            struct app_routes **ret_routes);
void app_routes_free(struct app_routes *routes);

/* ctx of the steps. */
struct policy_routes *app_routes_get(const struct app_routes *routes);
struct policy_groups *app_routes_groups(const struct app_routes *routes);

#endif
