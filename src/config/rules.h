/* What several keys must agree upon, checked on the finished snapshot. A key that is wrong by itself is left
 * out, so that one mistake is told once. */
#ifndef CONFIG_RULES_H
#define CONFIG_RULES_H

#include "config/config.h"
#include "config/document.h"

void rules_check(const struct config *config, const struct node *root, struct config_errors *errors);
/* Can the store be opened, or made? Looks at the file system and changes nothing. */
void rules_check_store(const struct config *config, const struct node *root, struct config_errors *errors);

#endif
