/* The text of a scenario file as statements: words, and the indented lines that belong to them. What the
 * words mean is the business of setup.c and run.c; README.md describes the language. */
#ifndef SCENARIO_SCRIPT_H
#define SCENARIO_SCRIPT_H

#include "heap.h"

struct word {
    struct slice text; /* without its quotes */
    bool quoted;
};

struct stmt {
    const char *file;
    unsigned line;
    struct slice text; /* the first line, for messages */
    struct word *words;
    size_t n_words;
    struct slice *lines; /* indented lines under it, trimmed at the left */
    size_t n_lines;
};

struct script_part {
    struct slice title; /* "" for what stands before the first scenario: it holds for all of them */
    unsigned line;
    struct stmt *stmts;
    size_t n_stmts;
};

struct script {
    const char *file;
    struct script_part *parts; /* parts[0] is the common one */
    size_t n_parts;
};

/* False after printing why the file cannot be read or understood. `include` is carried out here. */
bool script_load(struct heap *heap, const char *file, struct script *ret_script);
/* The text after `key=` in the words from `from` on, or NULL when no word has that key. */
const struct slice *script_option(struct heap *heap, const struct stmt *stmt, size_t from, const char *key);
/* True when one of the words from `from` on is exactly this. */
bool script_flag(const struct stmt *stmt, size_t from, const char *flag);

#endif
