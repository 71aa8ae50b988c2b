#include "base/wire.h"
#include "base/mem.h"
#include <assert.h>

struct wire *wire_new(size_t len)
{
    struct wire *w;

    if (len > UINT32_MAX)
        return NULL;
    w = mem_alloc(sizeof(*w) + len);
    if (!w)
        return NULL;
    w->refs = 1;
    w->len = (uint32_t)len;
    return w;
}

struct wire *wire_from(struct slice s)
{
    struct wire *w = wire_new(s.len);

    if (w && s.len > 0)
        memcpy(w->bytes, s.ptr, s.len);
    return w;
}

struct wire *wire_ref(struct wire *w)
{
    assert(w->refs > 0 && w->refs < UINT32_MAX);
    w->refs++;
    return w;
}

void wire_unref(struct wire *w)
{
    if (!w)
        return;
    assert(w->refs > 0);
    if (--w->refs == 0)
        mem_free(w);
}
