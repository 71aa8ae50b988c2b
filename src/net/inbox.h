/* A bounded queue of pointers from many threads to a loop's thread, without locks. It wakes the loop, once
 * for all that is put until the receiver has seen the queue empty: under load nobody pays for waking.
 *
 * The receiver takes in a hook of its loop, until NULL. When it stops before (to be fair to others), it calls
 * net_loop_again. */
#ifndef NET_INBOX_H
#define NET_INBOX_H

#include "base/err.h"
#include "net/loop.h"
#include <stddef.h>

struct net_inbox;

/* Room for at least capacity items. The inbox wakes `loop` and does not outlive it. */
MUST_USE int net_inbox_new(struct net_loop *loop, size_t capacity, struct net_inbox **ret_inbox);
/* Asserts that it is empty. Nobody may put any more. NULL is fine. */
void net_inbox_free(struct net_inbox *inbox);

/* From any thread. item is not NULL; it is the receiver's from then on. ERR_AGAIN: full; nothing was taken. */
MUST_USE int net_inbox_put(struct net_inbox *inbox, void *item);
/* On the receiver's thread: the oldest item, or NULL. After it returned NULL the next put wakes the loop
 * again. */
void *net_inbox_take(struct net_inbox *inbox);

#endif
