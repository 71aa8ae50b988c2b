/* What routes, groups, listeners and domains must agree upon. As in
 * rules.h: what is wrong by itself is left out. */
#ifndef CONFIG_RULES_ROUTES_H
#define CONFIG_RULES_ROUTES_H

#include "config/config.h"
#include "config/document.h"

void rules_routes_check(const struct config *config, const struct node *root, struct config_errors *errors);

#endif
