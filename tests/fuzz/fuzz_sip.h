/* What the harnesses of the sip layer share. */
#ifndef TESTS_FUZZ_SIP_H
#define TESTS_FUZZ_SIP_H

#include "fuzz.h"

#include "base/arena.h"
#include "sip/msg.h"

#define FUZZ_ARENA_BYTES (16 << 20)

/* Wide enough that what is built from a message that was within the default limits is within these. */
static const struct sip_limits fuzz_wide_limits = {.message_bytes = 1 << 20,
                                                   .start_line_bytes = 1 << 20,
                                                   .header_bytes = 65535,
                                                   .headers = 1024,
                                                   .values = 1024};

struct fuzz_memory {
    struct arena_pool pool;
    struct arena arena;
};

static inline void fuzz_memory_init(struct fuzz_memory *m)
{
    arena_pool_init(&m->pool, FUZZ_ARENA_BYTES);
    arena_init(&m->arena, &m->pool);
}

static inline void fuzz_memory_done(struct fuzz_memory *m)
{
    arena_done(&m->arena);
    arena_pool_done(&m->pool);
}

static inline struct slice fuzz_slice(const uint8_t *data, size_t size)
{
    return slice_make((const char *)data, size);
}

/* An input that consists of octets which steer the harness, after their number, and a message. */
struct fuzz_program {
    struct slice steps;
    size_t at;
    struct slice message;
};

static inline struct fuzz_program fuzz_program_of(const uint8_t *data, size_t size)
{
    struct slice all = fuzz_slice(data, size);
    size_t n = size > 0 ? data[0] : 0;
    return (struct fuzz_program){.steps = slice_sub(all, 1, 1 + n), .message = slice_sub(all, 1 + n, size)};
}

/* The next steering octet; 0 when there are no more. */
static inline uint8_t fuzz_step(struct fuzz_program *p)
{
    return p->at < p->steps.len ? (uint8_t)p->steps.ptr[p->at++] : 0;
}

static inline bool fuzz_has_steps(const struct fuzz_program *p)
{
    return p->at < p->steps.len;
}

/* The number of elements of a list, or -1 when it cannot be walked to its end. */
static inline int fuzz_count(const struct sip_msg *msg, enum sip_hdr_id id)
{
    struct sip_values it = sip_values_of(msg, id);
    struct slice element;
    int n = 0, rc;
    while ((rc = sip_values_next(&it, &element)) == 0)
        n++;
    return rc == ERR_NOTFOUND ? n : -1;
}

static inline bool fuzz_is_within(struct slice part, struct slice whole)
{
    return slice_is_null(part) || (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len);
}

#endif
