#include "base/mpsc.h"
#include "base/mem.h"
#include <assert.h>
#include <stdint.h>

/* With one cell, "full for this turn" and "free for the next" would be the same number. */
#define MIN_CELLS 2

int mpsc_init(struct mpsc *queue, size_t capacity)
{
    size_t count = MIN_CELLS;
    struct mpsc_cell *cells;

    if (capacity > SIZE_MAX / 4 / sizeof(*cells))
        return ERR_LIMIT;
    while (count < capacity)
        count *= 2;
    cells = mem_alloc(count * sizeof(*cells));
    if (!cells)
        return ERR_NOMEM;
    for (size_t i = 0; i < count; i++)
        atomic_init(&cells[i].turn, i);
    *queue = (struct mpsc){.cells = cells, .mask = count - 1};
    return 0;
}

void mpsc_done(struct mpsc *queue)
{
    assert(mpsc_take(queue) == NULL);
    mem_free(queue->cells);
    queue->cells = NULL;
}

int mpsc_put(struct mpsc *queue, void *item)
{
    size_t at = atomic_load_explicit(&queue->put_position, memory_order_relaxed);
    struct mpsc_cell *cell;

    assert(item);
    for (;;) {
        size_t turn;

        cell = &queue->cells[at & queue->mask];
        turn = atomic_load_explicit(&cell->turn, memory_order_acquire);
        if (turn == at) {
            if (atomic_compare_exchange_weak_explicit(&queue->put_position, &at, at + 1, memory_order_relaxed,
                                                      memory_order_relaxed))
                break;
        } else if ((intptr_t)(turn - at) < 0) {
            return ERR_AGAIN;
        } else { /* another thread was here first */
            at = atomic_load_explicit(&queue->put_position, memory_order_relaxed);
        }
    }
    cell->item = item;
    atomic_store_explicit(&cell->turn, at + 1, memory_order_release);
    return 0;
}

void *mpsc_take(struct mpsc *queue)
{
    size_t at = queue->take_position;
    struct mpsc_cell *cell = &queue->cells[at & queue->mask];
    void *item;

    if (atomic_load_explicit(&cell->turn, memory_order_acquire) != at + 1)
        return NULL;
    item = cell->item;
    atomic_store_explicit(&cell->turn, at + queue->mask + 1, memory_order_release);
    queue->take_position = at + 1;
    return item;
}
