/* One line per event to standard error, as text or as JSON. An event has a level, a fixed name, and fields;
 * values are escaped, so what a stranger sends can neither break a line nor forge one. Credentials are never
 * given to it.
 *
 *     log_event(LOG_INFO, "call.answered", log_slice("call_id", id), log_u64("status", 200));
 *
 * Anything that a stranger can trigger goes through log_limited() with a limiter of its own: so many lines a
 * second, and one line that says how many were left out. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/clock.h"
#include "base/slice.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_NOTICE, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_TEXT, LOG_JSON };

enum log_field_type { LOG_FIELD_END = 0, LOG_FIELD_SLICE, LOG_FIELD_U64, LOG_FIELD_I64 };

struct log_field {
    enum log_field_type type;
    const char *name;
    union {
        struct slice slice;
        uint64_t u64;
        int64_t i64;
    } as;
};

#define log_slice(n, s) ((struct log_field){.type = LOG_FIELD_SLICE, .name = (n), .as.slice = (s)})
#define log_cstr(n, s)                                                                                       \
    ((struct log_field){.type = LOG_FIELD_SLICE, .name = (n), .as.slice = slice_from_cstr(s)})
#define log_u64(n, v) ((struct log_field){.type = LOG_FIELD_U64, .name = (n), .as.u64 = (v)})
#define log_i64(n, v) ((struct log_field){.type = LOG_FIELD_I64, .name = (n), .as.i64 = (v)})

struct log_limiter {
    _Atomic uint64_t second; /* the second the count is for */
    _Atomic uint32_t count, suppressed;
    uint32_t per_second;
};

#define LOG_LIMITER(lines_per_second)                                                                        \
    {                                                                                                        \
        .per_second = (lines_per_second)                                                                     \
    }

/* Both may be changed while running, from any thread. Default: LOG_INFO, LOG_TEXT. */
void log_set_level(enum log_level level);
enum log_level log_get_level(void);
void log_set_format(enum log_format format);
/* "error", "warn", "notice", "info", "debug"; false when it is none of them. */
bool log_level_parse(struct slice name, enum log_level *ret_level);
/* Where lines go: standard error by default. A test gives its own. line is one whole line with its newline. */
void log_set_sink(void (*sink)(struct slice line, void *ctx), void *ctx);

/* fields end with LOG_FIELD_END. Use the macros. */
void log_write(enum log_level level, const char *event, const struct log_field *fields);
/* True when a line may be written now; writes the "left out" line itself when a new second begins. */
bool log_limiter_pass(struct log_limiter *limiter, enum log_level level, const char *event);

#define log_event(level, event, ...)                                                                         \
    do {                                                                                                     \
        if ((level) <= log_get_level())                                                                      \
            log_write((level), (event), (const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){0}});          \
    } while (0)

#define log_limited(limiter, level, event, ...)                                                              \
    do {                                                                                                     \
        if ((level) <= log_get_level() && log_limiter_pass((limiter), (level), (event)))                     \
            log_write((level), (event), (const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){0}});          \
    } while (0)

#endif
