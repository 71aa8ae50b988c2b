/* Where DNS answers come from, as the resolver sees it: libunbound in the
 * program (dns/unbound.h), a list in tests.
 *
 * Life of a query: it lives in its owner; ask() takes it; answered() is called once, from
 * within ask() when the answer is at hand (a cache), else later; after that, or after forget(),
 * the source does not touch it any more. */
#ifndef DNS_SOURCE_H
#define DNS_SOURCE_H

#include "dns/message.h"

struct dns_query {
    /* packet: the answer, whatever its response code; absent: there is none (no server answered, or what it
     * answered is not to be believed). Lives only during the call. */
    void (*answered)(struct dns_query *query, struct slice packet);
    void *handle; /* of the source */
};

struct dns_source {
    void *ctx;
    /* ERR_NOMEM, ERR_LIMIT (too many wait for an answer): not asked, answered() will not be called. */
    int (*ask)(void *ctx, const struct dns_name *name, enum dns_type type, struct dns_query *query);
    /* The answer of a query that was asked and not answered is no longer wanted. */
    void (*forget)(void *ctx, struct dns_query *query);
};

#endif
