/* libunbound's pluggable event base (unbound-event.h) on our event loop: its sockets and timers become watches and
 * timers of the loop, so that a resolver needs no thread of its own and never waits. */
#ifndef DNS_UB_BASE_H
#define DNS_UB_BASE_H

#include "net/loop.h"

struct ub_event_base;

/* ERR_NOMEM. The base must live as long as the context made with it. */
MUST_USE int dns_ub_base_new(struct net_loop *loop, struct ub_event_base **ret_base);
/* When the context is gone. NULL is fine. */
void dns_ub_base_free(struct ub_event_base *base);

#endif
