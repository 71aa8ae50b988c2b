#include "latency.h"

/* Below LATENCY_SUB each value has a bucket of its own; above, each power of two has LATENCY_SUB / 2. */
static unsigned bucket_of(uint64_t us)
{
    if (us < LATENCY_SUB)
        return (unsigned)us;
    unsigned shift = 63u - (unsigned)__builtin_clzll(us) - 5;
    unsigned bucket = shift * (LATENCY_SUB / 2) + (unsigned)(us >> shift);
    return bucket < LATENCY_BUCKETS ? bucket : LATENCY_BUCKETS - 1;
}

static uint64_t value_of(unsigned bucket)
{
    if (bucket < LATENCY_SUB)
        return bucket;
    unsigned shift = bucket / (LATENCY_SUB / 2) - 1;
    return (uint64_t)(bucket - shift * (LATENCY_SUB / 2)) << shift;
}

void latency_add(struct latency *latency, uint64_t us)
{
    latency->buckets[bucket_of(us)]++;
    latency->count++;
    if (us > latency->max_us)
        latency->max_us = us;
}

uint64_t latency_at(const struct latency *latency, unsigned per_mille)
{
    uint64_t wanted = (latency->count * per_mille + 999) / 1000, seen = 0;
    if (latency->count == 0)
        return 0;
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
        seen += latency->buckets[i];
        if (seen >= wanted)
            return value_of(i);
    }
    return latency->max_us;
}
