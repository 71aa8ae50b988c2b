/* The types a value can have: how its text is read, written, and described to the operator. */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

#include "base/arena.h"
#include "config/config.h"

#define CONFIG_VALUE_MAX_BYTES 1024 /* longest text of one value */
#define VALUE_SIZE_MAX         64   /* sizeof the largest C type of a value */
#define VALUE_PRINT_MAX_BYTES                                                                                \
    (4 * 2 * CONFIG_VALUE_MAX_BYTES + 16) /* a value as it is written; ~ makes a path longer */

/* A word that stands for a value; a list of them ends with a NULL name. */
struct value_name {
    const char *name;
    int value;
};

struct value_type {
    const char *noun; /* "a duration": fits after "is not"; NULL for words */
    const char *how;  /* "write a number with ms, s, m, h or d": what to do instead */
    size_t bytes;     /* sizeof the C type */
    /* Puts the value at ret. Text that outlives the call is taken from arena. ERR_SYNTAX, or ERR_NOMEM. */
    int (*parse)(const struct value_type *type, struct slice text, struct arena *arena, void *ret);
    void (*print)(const struct value_type *type, const void *value, struct buf *out);
    const struct value_name *names; /* the words, or NULL */
};

/* The C type behind each type. Numbers are 4 or 8 octets, unsigned. */
typedef uint32_t value_count_c;
typedef uint32_t value_workers_c; /* a count, or auto, which is 0 */
typedef uint32_t value_seconds_c;
typedef ms_t value_milliseconds_c;
typedef uint64_t value_bytes_c;
typedef uint32_t value_optional_count_c;    /* or none, which is 0 */
typedef ms_t value_optional_milliseconds_c; /* or inherit, which is 0 */
typedef bool value_boolean_c;
typedef const char *value_name_c;
typedef const char *value_reference_c; /* a name, or "" */
typedef const char *value_token_c;
typedef const char *value_pattern_c;
typedef const char *value_next_hop_c; /* a SIP URI without a user */
typedef uint32_t value_failover_status_c;
typedef struct config_target value_target_c;
typedef enum config_choice value_choice_c;
typedef enum config_identity value_proxy_identity_c;
typedef enum config_identity value_route_identity_c;
typedef enum config_group_algorithm value_group_algorithm_c;
typedef const char *value_text_c;
typedef const char *value_path_c;
typedef const char *value_optional_path_c;
typedef const char *value_uri_c;
typedef const char *value_optional_uri_c;
typedef const char *value_host_c;
typedef const char *value_origin_c;
typedef const char *value_url_path_c;
typedef struct config_host_port value_host_port_c;
typedef struct addr value_listen_address_c;
typedef struct addr value_server_address_c;
typedef struct addr_prefix value_prefix_c;
typedef enum config_transport value_transport_c;
typedef enum config_mode value_mode_c;
typedef enum config_nat_contacts value_nat_contacts_c;
typedef enum config_nat_ping value_nat_ping_c;
typedef enum config_auth_rule value_listener_auth_rule_c;
typedef enum config_auth_rule value_domain_auth_rule_c;
typedef enum config_client_certificates value_client_certificates_c;
typedef enum config_tls_version value_tls_version_c;
typedef enum config_store_kind value_store_kind_c;
typedef enum config_algorithm value_algorithm_c;
typedef enum config_path_rule value_path_rule_c;
typedef const char *value_user_c;
typedef enum log_level value_log_level_c;
typedef enum log_format value_log_format_c;

extern const struct value_type value_count, value_workers, value_seconds, value_milliseconds, value_bytes,
    value_boolean, value_text, value_path, value_optional_path, value_uri, value_host, value_origin,
    value_url_path, value_host_port, value_listen_address, value_server_address, value_prefix,
    value_transport, value_mode, value_nat_contacts, value_nat_ping, value_client_certificates,
    value_tls_version, value_listener_auth_rule, value_domain_auth_rule, value_store_kind, value_algorithm,
    value_log_level, value_log_format, value_path_rule, value_user;

extern const struct value_type value_optional_count, value_optional_milliseconds, value_name, value_reference,
    value_token, value_pattern, value_next_hop, value_optional_uri, value_failover_status, value_target,
    value_choice, value_proxy_identity, value_route_identity, value_group_algorithm;

MUST_USE int value_parse(const struct value_type *type, struct slice text, struct arena *arena, void *ret);
/* As YAML: what is neither a number nor a word stands in double quotes. */
void value_print(const struct value_type *type, const void *value, struct buf *out);
/* Any text as a YAML scalar in double quotes. */
void value_print_quoted(struct slice text, struct buf *out);
/* Is text one of the type's words? */
const struct value_name *value_word(const struct value_type *type, struct slice text);
/* A value of one of the number types. */
uint64_t value_number(const struct value_type *type, const void *value);

#endif
