#include "config/errors.h"
#include "base/buf.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define TEXTS_BUDGET_BYTES (256 * 1024)
#define WHAT_MAX_BYTES     512

void config_errors_init(struct config_errors *errors, const char *file)
{
    *errors = (struct config_errors){.file = file};
    arena_pool_init(&errors->pool, TEXTS_BUDGET_BYTES);
    arena_init(&errors->arena, &errors->pool);
}

void config_errors_done(struct config_errors *errors)
{
    arena_done(&errors->arena);
    arena_pool_done(&errors->pool);
}

/* After the others of its line, so that the list is in the order of the file and of discovery. */
static void insert(struct config_errors *errors, const struct config_error *error)
{
    size_t at = errors->count;

    for (; at > 0 && errors->items[at - 1].line > error->line; at--)
        errors->items[at] = errors->items[at - 1];
    errors->items[at] = *error;
    errors->count++;
}

__attribute__((format(printf, 3, 0))) static void add(struct config_errors *errors, struct config_error error,
                                                      const char *format, va_list args)
{
    char what[WHAT_MAX_BYTES];

    vsnprintf(what, sizeof(what), format, args);
    if (errors->count < CONFIG_ERRORS_MAX) {
        error.key = arena_cstr(&errors->arena, slice_from_cstr(error.key));
        error.what = arena_cstr(&errors->arena, slice_from_cstr(what));
        error.remedy = arena_cstr(&errors->arena, slice_from_cstr(error.remedy ? error.remedy : ""));
        if (error.key && error.what && error.remedy) {
            insert(errors, &error);
            errors->n_warnings += error.is_warning;
            return;
        }
    }
    errors->left_out += !error.is_warning;
}

void config_errors_add(struct config_errors *errors, unsigned line, const char *key, const char *remedy,
                       const char *format, ...)
{
    const struct config_error error = {.line = line, .key = key, .remedy = remedy};
    va_list args;

    va_start(args, format);
    add(errors, error, format, args);
    va_end(args);
}

void config_errors_warn(struct config_errors *errors, unsigned line, const char *key, const char *remedy,
                        const char *format, ...)
{
    const struct config_error error = {.line = line, .key = key, .remedy = remedy, .is_warning = true};
    va_list args;

    va_start(args, format);
    add(errors, error, format, args);
    va_end(args);
}

bool config_errors_has(const struct config_errors *errors, const char *key)
{
    size_t len = strlen(key);

    for (size_t i = 0; i < errors->count; i++) {
        const char *other = errors->items[i].key;

        if (!errors->items[i].is_warning && strncmp(other, key, len) == 0 &&
            (other[len] == '\0' || other[len] == '.' || other[len] == '['))
            return true;
    }
    return false;
}

void config_errors_print(const struct config_errors *errors, FILE *out)
{
    for (size_t i = 0; i < errors->count; i++) {
        const struct config_error *error = &errors->items[i];

        fputs(errors->file, out);
        if (error->line > 0)
            fprintf(out, ":%u", error->line);
        if (error->key[0])
            fprintf(out, ": %s", error->key);
        fprintf(out, ": %s%s%s%s\n", error->is_warning ? "warning: " : "", error->what,
                error->remedy[0] ? "; " : "", error->remedy);
    }
    if (errors->left_out > 0)
        fprintf(out, "%s: %zu more problem%s not shown\n", errors->file, errors->left_out,
                errors->left_out == 1 ? " is" : "s are");
}

const char *config_quote(struct slice text, char out[CONFIG_QUOTED_BYTES])
{
    static const char ending[] = "...\"";
    struct buf b;

    buf_init(&b, out, CONFIG_QUOTED_BYTES - sizeof(ending));
    buf_putc(&b, '"');
    for (size_t i = 0; i < text.len && !buf_failed(&b); i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if (c < 0x20 || c >= 0x7f)
            buf_printf(&b, "\\x%02X", c);
        else
            buf_putc(&b, (char)c);
    }
    memcpy(out + b.len, buf_failed(&b) ? ending : "\"", buf_failed(&b) ? sizeof(ending) : 2);
    return out;
}
