/* What the files of a branch share and the rest of this folder does not see.
 *
 * A branch tries one element of the target set. Its files, each of which uses those below it and says what
 * came of it by an event, or by one of the ends that the machine has for it:
 *
 *   branch.c   the machine: what happens in which state (sections 16.7 to 16.9)
 *   ways.c     the ways to a client: where one leads, and another one when it is cut (RFC 5626 section 7)
 *   hops.c     the addresses of a way, one after the other (RFC 3263 section 4.3)
 *   attempt.c  the request as it goes to one of them (section 16.6 steps 7 to 11) */
#ifndef PROXY_BRANCH_H
#define PROXY_BRANCH_H

#include "proxy/internal.h"

static inline struct proxy *proxy_branch_proxy(const struct proxy_branch *b)
{
    return b->context->req.proxy;
}

/* branch.c */

/* The request is on its way: Calling, and Timer C of an INVITE runs (section 16.6 step 11). */
void proxy_branch_called(struct proxy_branch *b);
/* Resolving once more, after an answer of this status: in a turn of its own, so that a long list of what is
 * dead needs no deep stack. */
void proxy_branch_look_again(struct proxy_branch *b, unsigned status, const char *why);
/* Lets go of the client transaction, of which nothing more is wanted. */
void proxy_branch_detach(struct proxy_branch *b);
/* It has ended, and counts as a response of this status that was made here. */
void proxy_branch_end(struct proxy_branch *b, enum proxy_try how, unsigned status, const char *why);
/* The same for want of memory. */
void proxy_branch_shed(struct proxy_branch *b, const char *why);

/* ways.c */

/* Finds out where the target leads: RESOLVED or UNRESOLVED happens, now or when the resolver answers. */
void proxy_way_begin(struct proxy_branch *b);
/* Is there another one to the same client, now that this one is cut, or that nobody was there? */
bool proxy_way_may_switch(const struct proxy_branch *b);
/* On to that, because of a failure of this status. */
void proxy_way_switch(struct proxy_branch *b, unsigned status, const char *why);
/* This way does not lead there: the next one, or the end of the branch. */
void proxy_way_end(struct proxy_branch *b, enum proxy_try how, unsigned status, const char *why);
/* As what an error of the transport counts. */
unsigned proxy_way_error_status(const struct proxy_branch *b);

/* hops.c */

/* The resolver has answered: those that are new are tried, in this order, after those that were known. */
void proxy_hops_found(struct proxy_branch *b, const struct sip_hop *hops, size_t count);
/* It has none, or did not answer. */
void proxy_hops_not_found(struct proxy_branch *b);
/* Of the way that is given up. */
void proxy_hops_forget(struct proxy_branch *b);
/* RFC 3263 section 4.3: is there another address, or may be, and does anybody want the answer? */
bool proxy_hops_may_fail_over(const struct proxy_branch *b);
/* On to that. how and status: of the branch when it is not there after all. */
void proxy_hops_fail_over(struct proxy_branch *b, enum proxy_try how, unsigned status, const char *why);
/* Was it a connection that only its length asked for? Then it goes to the same address over UDP after all. */
bool proxy_hops_may_retry_udp(const struct proxy_branch *b);
void proxy_hops_retry_udp(struct proxy_branch *b);

/* attempt.c */

/* By a new client transaction. ERR_NOMEM, ERR_LIMIT: no other address can help. */
MUST_USE int proxy_attempt_send(struct proxy_branch *b, const struct sip_hop *hop);
/* Tells whoever keeps the health of servers: nothing came from there, or the request did not get there. */
void proxy_attempt_failed(const struct proxy_branch *b, enum proxy_fate fate);
/* A response came. */
void proxy_attempt_answered(struct proxy_branch *b, struct sip_msg *response);

#endif
