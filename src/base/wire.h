/* A wire is an immutable, reference-counted message as it stands, or stood, on the wire. It is built once and
 * then only read: by the socket that sends it, by the transaction that repeats it. One worker owns it: the
 * count is not atomic. To give a message to another worker, hand over the only reference. */
#ifndef BASE_WIRE_H
#define BASE_WIRE_H

#include "base/err.h"
#include "base/slice.h"
#include <stdint.h>

struct wire {
    uint32_t refs;
    uint32_t len;
    char bytes[];
};

/* A wire with room for len octets, reference count 1, or NULL. Fill wire->bytes before anyone else sees it. */
MUST_USE struct wire *wire_new(size_t len);
MUST_USE struct wire *wire_from(struct slice s);
struct wire *wire_ref(struct wire *w);
/* NULL is fine. */
void wire_unref(struct wire *w);

static inline struct slice wire_slice(const struct wire *w)
{
    return slice_make(w->bytes, w->len);
}

#endif
