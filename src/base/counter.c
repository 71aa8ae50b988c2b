#include "base/counter.h"
#include <assert.h>

const char *counter_name(enum counter which)
{
    static const char *const names[COUNTER_COUNT] = {
#define COUNTER(id, name, help) [COUNTER_##id] = name,
#include "base/counter.def"
#undef COUNTER
    };

    assert(which < COUNTER_COUNT);
    return names[which];
}

const char *counter_help(enum counter which)
{
    static const char *const helps[COUNTER_COUNT] = {
#define COUNTER(id, name, help) [COUNTER_##id] = help,
#include "base/counter.def"
#undef COUNTER
    };

    assert(which < COUNTER_COUNT);
    return helps[which];
}
