/* What the tests of src/sip share: an arena, messages in memory that ends at a forbidden page, and checks
 * that say which row of a table failed. */
#ifndef TESTS_SIP_SUPPORT_H
#define TESTS_SIP_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/wire.h"
#include "sip/msg.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

/* A check that names the input. */
#define check_that(condition, input)                                                                         \
    do {                                                                                                     \
        struct slice input_ = (input);                                                                       \
        if (!(condition))                                                                                    \
            fail_msg("%s, for: %.*s", #condition, (int)input_.len, input_.ptr ? input_.ptr : "");            \
    } while (0)

#define check_slice(got, expected, input)                                                                    \
    do {                                                                                                     \
        struct slice got_ = (got), expected_ = (expected), which_ = (input);                                 \
        if (!slice_eq(got_, expected_))                                                                      \
            fail_msg("%s is \"%.*s\" and not \"%.*s\", for: %.*s", #got, (int)got_.len,                      \
                     got_.ptr ? got_.ptr : "", (int)expected_.len, expected_.ptr ? expected_.ptr : "",       \
                     (int)which_.len, which_.ptr ? which_.ptr : "");                                         \
    } while (0)

#define assert_slice(got, expected) check_slice(got, SLICE(expected), SLICE(""))

static inline struct slice cstr(const char *text)
{
    return slice_from_cstr(text);
}

struct memory {
    struct arena_pool pool;
    struct arena arena;
};

static inline void memory_init(struct memory *m)
{
    arena_pool_init(&m->pool, 64 << 20);
    arena_init(&m->arena, &m->pool);
}

static inline void memory_done(struct memory *m)
{
    arena_done(&m->arena);
    arena_pool_done(&m->pool);
}

/* A copy of s that ends where a page begins that nobody may touch: to read one octet too many is a crash. */
struct guarded {
    char *pages;
    size_t bytes;
    struct slice copy;
};

static inline struct guarded guarded_copy(struct slice s)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t body = (s.len + page - 1) / page * page;
    struct guarded g = {.bytes = body + page};
    g.pages = mmap(NULL, g.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(g.pages, MAP_FAILED);
    if (s.len > 0)
        memcpy(g.pages + body - s.len, s.ptr, s.len);
    assert_int_equal(mprotect(g.pages, body, PROT_READ), 0);
    assert_int_equal(mprotect(g.pages + body, page, PROT_NONE), 0);
    g.copy = slice_make(g.pages + body - s.len, s.len);
    return g;
}

static inline void guarded_free(struct guarded *g)
{
    munmap(g->pages, g->bytes);
}

static inline int parse_datagram(struct memory *m, struct slice bytes, struct sip_msg *msg,
                                 struct sip_error *error)
{
    return sip_msg_parse(bytes, true, &sip_limits_default, &m->arena, msg, error);
}

/* Parses what must be good. */
static inline void parse_good(struct memory *m, struct slice bytes, struct sip_msg *msg)
{
    struct sip_error error = {0};
    int rc = parse_datagram(m, bytes, msg, &error);
    if (rc < 0)
        fail_msg("%s: %.*s", error.phrase ? error.phrase : "no memory", (int)bytes.len, bytes.ptr);
}

/* The headers that every request needs, for tests that are about something else. */
#define VIA_LINE      "Via: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bK776asdhds\r\n"
#define FROM_LINE     "From: Alice <sip:alice@atlanta.com>;tag=1928301774\r\n"
#define TO_LINE       "To: Bob <sip:bob@biloxi.com>\r\n"
#define CALL_ID_LINE  "Call-ID: a84b4c76e66710@pc33.atlanta.com\r\n"
#define CSEQ_LINE     "CSeq: 314159 INVITE\r\n"
#define IDENTITY      VIA_LINE FROM_LINE TO_LINE CALL_ID_LINE CSEQ_LINE
#define INVITE_LINE   "INVITE sip:bob@biloxi.com SIP/2.0\r\n"
#define INVITE_OF(x)  INVITE_LINE IDENTITY x "\r\n"
#define PLAIN_INVITE  INVITE_OF("Max-Forwards: 70\r\nContent-Length: 0\r\n")
#define PLAIN_RINGING "SIP/2.0 180 Ringing\r\n" IDENTITY "Content-Length: 0\r\n\r\n"

#endif
