/* The table of keys (keys.def) in the two shapes in which it is used: for libcyaml, which fills struct
 * raw_root with texts; and for the code here, which checks a document against it and turns the texts into
 * struct config. */
#ifndef CONFIG_SCHEMA_H
#define CONFIG_SCHEMA_H

#include "config/value.h"
#include <cyaml/cyaml.h>

enum key_kind { KEY_VALUE, KEY_VALUES, KEY_MAPPING, KEY_LIST };

struct section;

struct key {
    const char *name;
    enum key_kind kind;
    const struct value_type *type; /* KEY_VALUE, KEY_VALUES */
    const struct section *inner;   /* KEY_MAPPING, KEY_LIST */
    const char *preset;            /* the default as text; NULL: required */
    const char *min, *max;         /* of a number, as text; or NULL */
    uint32_t least, most;          /* elements of a list */
    size_t raw_at, raw_count_at;   /* in the struct that libcyaml fills */
    size_t at, count_at;           /* in struct config */
    const char *help;
};

struct section {
    const char *title; /* "listeners[].auth"; "" for the root */
    const struct key *keys;
    size_t n_keys;
    size_t raw_bytes, bytes;
};

extern const struct section *const schema_root;
extern const struct cyaml_schema_value *const schema_cyaml;

const struct key *schema_find(const struct section *section, struct slice name);
/* Calls back with every section: the root, then each one followed by those within it. */
void schema_each(void (*call)(const struct section *section, void *ctx), void *ctx);

#endif
