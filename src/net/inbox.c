#include "net/inbox.h"
#include "base/mem.h"
#include "base/mpsc.h"
#include <stdatomic.h>

struct net_inbox {
    struct mpsc queue;
    struct net_loop *loop;
    _Atomic bool woken; /* and the receiver has not come to the end of the queue since */
};

int net_inbox_new(struct net_loop *loop, size_t capacity, struct net_inbox **ret_inbox)
{
    struct net_inbox *inbox = mem_zalloc(sizeof(*inbox));
    int r;

    if (!inbox)
        return ERR_NOMEM;
    r = mpsc_init(&inbox->queue, capacity);
    if (r < 0) {
        mem_free(inbox);
        return r;
    }
    inbox->loop = loop;
    *ret_inbox = inbox;
    return 0;
}

void net_inbox_free(struct net_inbox *inbox)
{
    if (!inbox)
        return;
    mpsc_done(&inbox->queue);
    mem_free(inbox);
}

int net_inbox_put(struct net_inbox *inbox, void *item)
{
    int r = mpsc_put(&inbox->queue, item);

    if (r == 0 && !atomic_exchange_explicit(&inbox->woken, true, memory_order_acq_rel))
        net_loop_wake(inbox->loop);
    return r;
}

void *net_inbox_take(struct net_inbox *inbox)
{
    void *item = mpsc_take(&inbox->queue);

    if (item)
        return item;
    /* An item put between the look above and this exchange found `woken` set and woke nobody; the exchange
     * makes it visible, so look once more. One put after the exchange finds it clear. */
    atomic_exchange_explicit(&inbox->woken, false, memory_order_acq_rel);
    return mpsc_take(&inbox->queue);
}
