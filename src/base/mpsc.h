/* A bounded queue of pointers from many threads to one, without locks. Putting costs one compare-and-swap,
 * taking none. Items of one thread come out in the order in which it put them.
 *
 * Every cell has a turn number that says whose it is: equal to the position of a put, it is free for that
 * put; one more, it is full for the take of that position (D. Vyukov's bounded queue with one consumer). */
#ifndef BASE_MPSC_H
#define BASE_MPSC_H

#include "base/err.h"
#include <stdatomic.h>
#include <stddef.h>

#define MPSC_CACHE_LINE_BYTES 64

struct mpsc_cell {
    _Atomic size_t turn;
    void *item;
};

struct mpsc {
    struct mpsc_cell *cells;
    size_t mask;
    char apart_1[MPSC_CACHE_LINE_BYTES]; /* so that those who put do not slow the one who takes */
    _Atomic size_t put_position;
    char apart_2[MPSC_CACHE_LINE_BYTES];
    size_t take_position;
};

/* Room for at least capacity items. */
MUST_USE int mpsc_init(struct mpsc *queue, size_t capacity);
/* Asserts that it is empty. */
void mpsc_done(struct mpsc *queue);
/* From any thread. item is not NULL. ERR_AGAIN when the queue is full. */
MUST_USE int mpsc_put(struct mpsc *queue, void *item);
/* From one thread. NULL when there is nothing to take, or when the oldest item is just being put: whoever
 * puts it has not returned yet. */
void *mpsc_take(struct mpsc *queue);

#endif
