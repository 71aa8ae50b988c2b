/* Shared by the tests of this folder. */
#ifndef CONFIG_TEST_H
#define CONFIG_TEST_H

#include "config/config.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h needs those above. */
#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* What print writes, as a string to be freed. */
static inline char *printed(void (*print)(const void *what, FILE *out), const void *what)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    assert_non_null(out);
    print(what, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static inline void print_errors(const void *errors, FILE *out)
{
    config_errors_print(errors, out);
}

static inline void print_config(const void *config, FILE *out)
{
    config_print(config, out);
}

#endif
