/* Datagrams that leave together. To the kernel most of the cost of a datagram is its way down to the
 * interface, and it takes one way for several of the same length to the same place (UDP_SEGMENT): a train.
 * Here those that wait are brought into an order in which such datagrams stand side by side.
 *
 * What belongs together stays in its order, wherever it goes: datagrams with the same mark leave as they
 * came. One without a mark (0) leaves after all before it and before all after it. */
#ifndef NET_TRAIN_H
#define NET_TRAIN_H

#include "base/addr.h"

#define NET_TRAIN_PLANNED_MAX 128

struct net_train_car {
    const struct addr *to, *from;
    uint32_t len;
    uint32_t mark;
};

/* Whether both can be in one train. */
bool net_train_fit(const struct net_train_car *a, const struct net_train_car *b);
/* n is at most NET_TRAIN_PLANNED_MAX. turns[i]: which leaves as the i-th; the first is always the first.
 * Whether that is another order than they came in. */
bool net_train_plan(const struct net_train_car *cars, unsigned n, uint8_t turns[NET_TRAIN_PLANNED_MAX]);

#endif
