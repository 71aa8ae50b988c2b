#include "net/wire_queue.h"
#include "base/mem.h"
#include <assert.h>

#define FIRST_SLOTS 8

static struct wire *at(const struct wire_queue *q, size_t i)
{
    return q->slots[(q->first + i) & (q->cap - 1)];
}

static int grow(struct wire_queue *q)
{
    size_t cap = q->cap > 0 ? q->cap * 2 : FIRST_SLOTS;
    struct wire **slots = mem_realloc_array(NULL, cap, sizeof(struct wire *));

    if (!slots)
        return ERR_NOMEM;
    for (size_t i = 0; i < q->count; i++)
        slots[i] = at(q, i);
    mem_free(q->slots);
    q->slots = slots;
    q->cap = cap;
    q->first = 0;
    return 0;
}

int wire_queue_push(struct wire_queue *q, struct wire *wire)
{
    int r = q->count == q->cap ? grow(q) : 0;

    if (r < 0)
        return r;
    q->slots[(q->first + q->count++) & (q->cap - 1)] = wire_ref(wire);
    q->bytes += wire->len;
    return 0;
}

int wire_queue_pieces(const struct wire_queue *q, struct iovec *pieces, int max)
{
    size_t skip = q->offset;
    int n = 0;

    for (size_t i = 0; i < q->count && n < max; i++) {
        struct wire *wire = at(q, i);

        pieces[n++] = (struct iovec){.iov_base = wire->bytes + skip, .iov_len = wire->len - skip};
        skip = 0;
    }
    return n;
}

static void pop(struct wire_queue *q)
{
    struct wire *wire = at(q, 0);

    q->first = (q->first + 1) & (q->cap - 1);
    q->count--;
    q->offset = 0;
    wire_unref(wire);
}

void wire_queue_advance(struct wire_queue *q, size_t bytes)
{
    assert(bytes <= q->bytes);
    q->bytes -= bytes;
    while (q->count > 0 && bytes >= at(q, 0)->len - q->offset) {
        bytes -= at(q, 0)->len - q->offset;
        pop(q);
    }
    q->offset += bytes;
    if (q->count == 0)
        wire_queue_clear(q);
}

void wire_queue_clear(struct wire_queue *q)
{
    while (q->count > 0)
        pop(q);
    mem_free(q->slots);
    *q = (struct wire_queue){0};
}
