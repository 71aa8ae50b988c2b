/* Counters: one array per worker, indexed by the enum below, written by its worker alone and read by anyone
 * (relaxed atomics: no lock, no torn value). The names are for people and for metrics. */
#ifndef BASE_COUNTER_H
#define BASE_COUNTER_H

#include <stdatomic.h>
#include <stdint.h>

enum counter {
#define COUNTER(id, name, help) COUNTER_##id,
#include "base/counter.def"
#undef COUNTER
    COUNTER_COUNT
};

struct counters {
    _Atomic uint64_t value[COUNTER_COUNT];
};

static inline void counter_add(struct counters *c, enum counter which, uint64_t n)
{
    atomic_store_explicit(&c->value[which], atomic_load_explicit(&c->value[which], memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static inline void counter_inc(struct counters *c, enum counter which)
{
    counter_add(c, which, 1);
}

static inline uint64_t counter_get(const struct counters *c, enum counter which)
{
    return atomic_load_explicit(&c->value[which], memory_order_relaxed);
}

const char *counter_name(enum counter which);
const char *counter_help(enum counter which);

#endif
