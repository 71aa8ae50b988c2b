#include "net/train.h"
#include <assert.h>
#include <string.h>

/* With many lengths there are many trains; looking through all of them for each datagram would cost more than it
 * brings. */
#define LOOK_BACK 24
/* Marks that share a place wait for each other's trains: no harm but a shorter train. */
#define PLACES 256
#define NONE   UINT8_MAX
_Static_assert(NET_TRAIN_PLANNED_MAX < NONE, "a car's number is one octet");

struct plan {
    unsigned n_trains;
    unsigned lowest; /* the train of the last datagram without a mark: what comes later does not go earlier */
    uint8_t latest[PLACES]; /* the last train with a datagram of a mark */
    uint8_t first[NET_TRAIN_PLANNED_MAX], last[NET_TRAIN_PLANNED_MAX]; /* cars of a train */
    uint8_t next[NET_TRAIN_PLANNED_MAX];                               /* of a car */
};

bool net_train_fit(const struct net_train_car *a, const struct net_train_car *b)
{
    return a->len == b->len && addr_eq(a->to, b->to) && addr_eq(a->from, b->from);
}

static unsigned higher(unsigned a, unsigned b)
{
    return a > b ? a : b;
}

/* The last train that takes this car, or the number of a new one. */
static unsigned find_train(const struct plan *p, const struct net_train_car *cars, unsigned car)
{
    unsigned reach = cars[car].mark == 0 ? 1 : LOOK_BACK;
    unsigned lowest = p->n_trains > reach ? p->n_trains - reach : 0;

    lowest = higher(lowest, higher(p->lowest, p->latest[cars[car].mark % PLACES]));
    for (unsigned train = p->n_trains; train > lowest; train--)
        if (net_train_fit(&cars[p->first[train - 1]], &cars[car]))
            return train - 1;
    return p->n_trains;
}

static void couple(struct plan *p, unsigned train, unsigned car)
{
    if (train == p->n_trains) {
        p->first[train] = (uint8_t)car;
        p->n_trains++;
    } else {
        p->next[p->last[train]] = (uint8_t)car;
    }
    p->last[train] = (uint8_t)car;
    p->next[car] = NONE;
}

bool net_train_plan(const struct net_train_car *cars, unsigned n, uint8_t turns[NET_TRAIN_PLANNED_MAX])
{
    struct plan p;
    unsigned turn = 0;
    bool is_new = false;

    assert(n <= NET_TRAIN_PLANNED_MAX);
    p.n_trains = p.lowest = 0;
    memset(p.latest, 0, sizeof(p.latest));
    for (unsigned car = 0; car < n; car++) {
        unsigned train = find_train(&p, cars, car);

        couple(&p, train, car);
        if (cars[car].mark == 0)
            p.lowest = train;
        else
            p.latest[cars[car].mark % PLACES] = (uint8_t)train;
    }
    for (unsigned train = 0; train < p.n_trains; train++)
        for (unsigned car = p.first[train]; car != NONE; car = p.next[car]) {
            is_new = is_new || car != turn;
            turns[turn++] = (uint8_t)car;
        }
    return is_new;
}
