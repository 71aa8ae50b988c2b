/* Everything that is wrong with one configuration, each with the line, the key and the remedy. */
#ifndef CONFIG_ERRORS_H
#define CONFIG_ERRORS_H

#include "base/arena.h"
#include "base/slice.h"
#include <stdio.h>

#define CONFIG_ERRORS_MAX 50

struct config_error {
    unsigned line;      /* from 1; 0: the file as a whole */
    const char *key;    /* "listeners[1].address", or "" */
    const char *what;   /* what is wrong */
    const char *remedy; /* what to do; "" when `what` says it */
    bool is_warning;    /* it works, and is hardly meant */
};

struct config_errors {
    const char *file; /* as it is named in messages; set before loading, or by config_load */
    struct config_error items[CONFIG_ERRORS_MAX];
    size_t count;
    size_t n_warnings; /* of them */
    size_t left_out;   /* found and not kept, for want of room or memory */
    struct arena_pool pool;
    struct arena arena;
};

void config_errors_init(struct config_errors *errors, const char *file);
void config_errors_done(struct config_errors *errors);

/* what, by printf. remedy NULL is "". All texts are copied. */
void config_errors_add(struct config_errors *errors, unsigned line, const char *key, const char *remedy,
                       const char *format, ...) __attribute__((format(printf, 5, 6)));
/* The same for what works and is hardly meant: it is printed, and the configuration is taken. */
void config_errors_warn(struct config_errors *errors, unsigned line, const char *key, const char *remedy,
                        const char *format, ...) __attribute__((format(printf, 5, 6)));
/* Is anything wrong with this key itself, or with something inside it? */
bool config_errors_has(const struct config_errors *errors, const char *key);
static inline bool config_errors_any(const struct config_errors *errors)
{
    return errors->count + errors->left_out > errors->n_warnings;
}

/* "FILE:LINE: KEY: what; remedy", one line each, in the order of the file; a warning says so after its key. */
void config_errors_print(const struct config_errors *errors, FILE *out);

/* Text of a stranger for a message: in double quotes, shortened, control characters as \xNN. */
#define CONFIG_QUOTED_BYTES 80
const char *config_quote(struct slice text, char out[CONFIG_QUOTED_BYTES]);

#endif
