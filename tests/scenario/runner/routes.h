/* Statements that describe routes. */
#ifndef SCENARIO_ROUTES_H
#define SCENARIO_ROUTES_H

#include "run.h"

/* route NAME KEY=VALUE ... ; lists are parted by commas */
bool setup_route(struct run *run, const struct stmt *stmt);
/* identity off|auto */
bool setup_identity(struct run *run, const struct stmt *stmt);

#endif
