/* Wires that wait to be written to a stream, oldest first, the first perhaps in part. Private to the folder. */
#ifndef NET_WIRE_QUEUE_H
#define NET_WIRE_QUEUE_H

#include "base/wire.h"
#include <stddef.h>
#include <sys/uio.h>

struct wire_queue {
    struct wire **slots; /* a ring; NULL while empty */
    size_t cap, first, count;
    size_t offset; /* octets of the first wire that are written */
    size_t bytes;  /* still to write */
};

/* Takes a reference. ERR_NOMEM. */
MUST_USE int wire_queue_push(struct wire_queue *q, struct wire *wire);
/* The first octets still to write, as up to max pieces; returns how many pieces. */
int wire_queue_pieces(const struct wire_queue *q, struct iovec *pieces, int max);
/* They are written: drops the references of whole wires. */
void wire_queue_advance(struct wire_queue *q, size_t bytes);
/* Drops all. */
void wire_queue_clear(struct wire_queue *q);

#endif
