#include "config/schema.h"
#include <stddef.h>

/* struct config_<section> is the section's struct in config.h; these have another name there. */
#define config_root          config
#define config_listener_auth config_auth_rules
#define config_domain_auth   config_auth_rules

/* ---- the structs that libcyaml fills: a text for each value, NULL where the key is absent ---- */

#define SECTION(section, title)          struct raw_##section {
#define VALUE(section, key, member, ...) char *member;
#define VALUES(section, key, member, ...)                                                                    \
    char **member;                                                                                           \
    unsigned member##_count;
#define MAPPING(section, key, member, inner, help) struct raw_##inner member;
#define LIST(section, key, member, inner, ...)                                                               \
    struct raw_##inner *member;                                                                              \
    unsigned member##_count;
#define SECTION_END(section)                                                                                 \
    }                                                                                                        \
    ;
#include "config/keys.def"

/* ---- libcyaml's schema: all optional and unbounded, because inspect.c says better what is missing ---- */

static const cyaml_schema_value_t cyaml_text = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, CYAML_UNLIMITED)};

#define SECTION(section, title) static const cyaml_schema_field_t loaded_##section##_fields[] = {
#define VALUE(section, key, member, ...)                                                                     \
    CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_OPTIONAL, struct raw_##section, member, 0, CYAML_UNLIMITED),
#define VALUES(section, key, member, ...)                                                                    \
    CYAML_FIELD_SEQUENCE(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct raw_##section, member,        \
                         &cyaml_text, 0, CYAML_UNLIMITED),
#define MAPPING(section, key, member, inner, help)                                                           \
    CYAML_FIELD_MAPPING(key, CYAML_FLAG_OPTIONAL, struct raw_##section, member, loaded_##inner##_fields),
#define LIST(section, key, member, inner, ...)                                                               \
    CYAML_FIELD_SEQUENCE(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct raw_##section, member,        \
                         &loaded_##inner, 0, CYAML_UNLIMITED),
#define SECTION_END(section)                                                                                 \
    CYAML_FIELD_END                                                                                          \
    }                                                                                                        \
    ;                                                                                                        \
    static const cyaml_schema_value_t loaded_##section __attribute__((unused)) = {                           \
        CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_##section, loaded_##section##_fields)};
#include "config/keys.def"

static const cyaml_schema_value_t cyaml_document = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct raw_root, loaded_root_fields)};
const struct cyaml_schema_value *const schema_cyaml = &cyaml_document;

/* ---- the table of this code ---- */

/* Every member in config.h is of the type that the table says. */
#define SECTION(section, title)
#define VALUE(section, key, member, type, ...)                                                               \
    _Static_assert(                                                                                          \
        __builtin_types_compatible_p(__typeof__(((struct config_##section *)0)->member), value_##type##_c),  \
        #section "." #member);
#define VALUES(section, key, member, type, ...)                                                              \
    _Static_assert(                                                                                          \
        __builtin_types_compatible_p(__typeof__(*((struct config_##section *)0)->member), value_##type##_c), \
        #section "." #member);
#define MAPPING(section, key, member, inner, help)
#define LIST(section, key, member, inner, ...)                                                               \
    _Static_assert(__builtin_types_compatible_p(__typeof__(*((struct config_##section *)0)->member),         \
                                                struct config_##inner),                                      \
                   #section "." #member);
#define SECTION_END(section)
#include "config/keys.def"

#define PLACE(section, member)                                                                               \
    .raw_at = offsetof(struct raw_##section, member), .at = offsetof(struct config_##section, member)
#define COUNTED_PLACE(section, member)                                                                       \
    PLACE(section, member), .raw_count_at = offsetof(struct raw_##section, member##_count),                  \
                            .count_at = offsetof(struct config_##section, n_##member)

#define SECTION(section, title)                                                                              \
    static const char title_##section[] = title;                                                             \
    static const struct key keys_##section[] = {
#define VALUE(section, key, member, type_, preset_, min_, max_, help_)                                       \
    {.name = key,                                                                                            \
     .kind = KEY_VALUE,                                                                                      \
     .type = &value_##type_,                                                                                 \
     .preset = preset_,                                                                                      \
     .min = min_,                                                                                            \
     .max = max_,                                                                                            \
     .help = help_,                                                                                          \
     PLACE(section, member)},
#define VALUES(section, key, member, type_, preset_, least_, most_, help_)                                   \
    {.name = key,                                                                                            \
     .kind = KEY_VALUES,                                                                                     \
     .type = &value_##type_,                                                                                 \
     .preset = preset_,                                                                                      \
     .least = least_,                                                                                        \
     .most = most_,                                                                                          \
     .help = help_,                                                                                          \
     COUNTED_PLACE(section, member)},
#define MAPPING(section, key, member, inner_, help_)                                                         \
    {.name = key,                                                                                            \
     .kind = KEY_MAPPING,                                                                                    \
     .inner = &section_##inner_,                                                                             \
     .preset = "",                                                                                           \
     .help = help_,                                                                                          \
     PLACE(section, member)},
#define LIST(section, key, member, inner_, least_, most_, help_)                                             \
    {.name = key,                                                                                            \
     .kind = KEY_LIST,                                                                                       \
     .inner = &section_##inner_,                                                                             \
     .preset = (least_) > 0 ? NULL : "",                                                                     \
     .least = least_,                                                                                        \
     .most = most_,                                                                                          \
     .help = help_,                                                                                          \
     COUNTED_PLACE(section, member)},
#define SECTION_END(name)                                                                                    \
    }                                                                                                        \
    ;                                                                                                        \
    static const struct section section_##name = {.title = title_##name,                                     \
                                                  .keys = keys_##name,                                       \
                                                  .n_keys = sizeof(keys_##name) / sizeof(struct key),        \
                                                  .raw_bytes = sizeof(struct raw_##name),                    \
                                                  .bytes = sizeof(struct config_##name)};
#include "config/keys.def"

const struct section *const schema_root = &section_root;

const struct key *schema_find(const struct section *section, struct slice name)
{
    for (size_t i = 0; i < section->n_keys; i++)
        if (slice_eq(name, slice_from_cstr(section->keys[i].name)))
            return &section->keys[i];
    return NULL;
}

/* Recursion as deep as the table is, which is no matter of input. */
static void each(const struct section *section, void (*call)(const struct section *section, void *ctx),
                 void *ctx)
{
    call(section, ctx);
    for (size_t i = 0; i < section->n_keys; i++)
        if (section->keys[i].inner)
            each(section->keys[i].inner, call, ctx);
}

void schema_each(void (*call)(const struct section *section, void *ctx), void *ctx)
{
    each(schema_root, call, ctx);
}
