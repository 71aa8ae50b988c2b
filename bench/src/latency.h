/* A histogram of durations with a relative error below 1/64, in fixed memory. */
#ifndef BENCH_LATENCY_H
#define BENCH_LATENCY_H

#include <stdint.h>

#define LATENCY_SUB     64
#define LATENCY_BUCKETS (LATENCY_SUB * 34)

struct latency {
    uint64_t count, max_us;
    uint64_t buckets[LATENCY_BUCKETS];
};

void latency_add(struct latency *latency, uint64_t us);
/* per_mille 500: the median. 0 when nothing was added. */
uint64_t latency_at(const struct latency *latency, unsigned per_mille);

#endif
