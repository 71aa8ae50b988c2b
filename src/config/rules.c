#include "config/rules.h"
#include "config/rules_routes.h"
#include "config/value.h"
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_MAX_BYTES 64

struct rules {
    const struct config *config;
    const struct node *root;
    struct config_errors *errors;
};

/* The line of a key, and where it is not written, that of the other key which it disagrees with. */
static unsigned line_of(const struct rules *rules, const char *key, const char *other)
{
    unsigned line = document_line(rules->root, key);
    unsigned other_line = document_line(rules->root, other);

    return line > other_line ? line : other_line;
}

/* ---- order ---- */

/* `less` must not be more than `more`. Both are of one type. */
static const struct order {
    const char *less, *more;
    size_t less_at, more_at;
    const struct value_type *type;
} orders[] = {
#define ORDER(type, section, less, less_member, section2, more, more_member)                                 \
    {                                                                                                        \
#section "." less, #section2 "." more, offsetof(struct config, section.less_member),                 \
            offsetof(struct config, section2.more_member), &value_##type                                     \
    }
    ORDER(milliseconds, timers, "t1", t1_ms, timers, "t2", t2_ms),
    ORDER(seconds, registrar, "min_expires", min_expires_s, registrar, "default_expires", default_expires_s),
    ORDER(seconds, registrar, "default_expires", default_expires_s, registrar, "max_expires", max_expires_s),
    ORDER(milliseconds, proxy, "ring_time", ring_time_ms, proxy, "timer_c", timer_c_ms),
    ORDER(bytes, limits, "start_line", start_line_bytes, limits, "message", message_bytes),
    ORDER(bytes, limits, "header", header_bytes, limits, "message", message_bytes),
    ORDER(bytes, limits, "message", message_bytes, limits, "input_buffer", input_buffer_bytes),
    ORDER(bytes, limits, "message", message_bytes, limits, "output_queue", output_queue_bytes),
#undef ORDER
};

static void check_order(const struct rules *rules, const struct order *order)
{
    const void *less = (const char *)rules->config + order->less_at;
    const void *more = (const char *)rules->config + order->more_at;
    char what_memory[160], remedy[96];
    struct buf what;

    if (value_number(order->type, less) <= value_number(order->type, more) ||
        config_errors_has(rules->errors, order->less) || config_errors_has(rules->errors, order->more))
        return;
    buf_init(&what, what_memory, sizeof(what_memory) - 1);
    value_print(order->type, less, &what);
    buf_printf(&what, " is more than %s (", order->more);
    value_print(order->type, more, &what);
    buf_putc(&what, ')');
    what_memory[what.len] = '\0';
    snprintf(remedy, sizeof(remedy), "lower it, or raise %s", order->more);
    config_errors_add(rules->errors, line_of(rules, order->less, order->more), order->less, remedy, "%s",
                      what_memory);
}

/* ---- two that are the same ---- */

/* "what is also other (line 3)". */
static void tell_pair(const struct rules *rules, const char *key, const char *what, const char *relation,
                      const char *other, const char *remedy)
{
    config_errors_add(rules->errors, document_line(rules->root, key), key, remedy, "%s %s %s (line %u)", what,
                      relation, other, document_line(rules->root, other));
}

static const char *address_key(char out[KEY_MAX_BYTES], size_t index)
{
    snprintf(out, KEY_MAX_BYTES, "listeners[%zu].address", index);
    return out;
}

static const char *quoted_address(const struct addr *addr, char out[CONFIG_QUOTED_BYTES])
{
    char memory[CONFIG_QUOTED_BYTES];
    struct buf text;

    buf_init(&text, memory, sizeof(memory));
    addr_format(addr, &text);
    return config_quote(buf_slice(&text), out);
}

/* To the system all but UDP are TCP, and UDP brings TCP along unless it is alone. */
static bool takes_tcp(const struct config_listener *listener)
{
    return listener->transport != CONFIG_UDP || !listener->udp_alone;
}

static bool are_udp_and_tcp(const struct config_listener *a, const struct config_listener *b)
{
    return (a->transport == CONFIG_UDP && b->transport == CONFIG_TCP) ||
           (a->transport == CONFIG_TCP && b->transport == CONFIG_UDP);
}

static bool need_one_port(const struct config_listener *a, const struct config_listener *b)
{
    if (a->transport == b->transport)
        return true;
    return !are_udp_and_tcp(a, b) && takes_tcp(a) && takes_tcp(b);
}

/* How b is in the way of a, or NULL. A wildcard takes every address of its own family. */
static const char *conflict(const struct config_listener *a, const struct config_listener *b)
{
    if (!need_one_port(a, b) || a->address.family != b->address.family || a->address.port != b->address.port)
        return NULL;
    if (addr_eq(&a->address, &b->address))
        return "is also";
    if (addr_is_any(&a->address))
        return "is a wildcard that includes";
    return addr_is_any(&b->address) ? "is part of the wildcard of" : NULL;
}

static void check_listener(const struct rules *rules, size_t index)
{
    const struct config_listener *listeners = rules->config->listeners, *a = &listeners[index];
    char key[KEY_MAX_BYTES], other[KEY_MAX_BYTES], quoted[CONFIG_QUOTED_BYTES];

    if (a->address.family == ADDR_NONE) /* wrong by itself */
        return;
    quoted_address(&a->address, quoted);
    address_key(key, index);
    for (size_t i = 0; i < index; i++) {
        const char *relation = conflict(a, &listeners[i]);

        if (relation) {
            tell_pair(rules, key, quoted, relation, address_key(other, i),
                      "leave one out, or change its port");
            break;
        }
    }
}

static bool is_secure(const struct config_listener *listener)
{
    return listener->transport == CONFIG_TLS || listener->transport == CONFIG_WSS;
}

static void check_listener_tls(const struct rules *rules, size_t index)
{
    const struct config_listener *listener = &rules->config->listeners[index];
    char key[KEY_MAX_BYTES];

    snprintf(key, sizeof(key), "listeners[%zu].transport", index);
    if (is_secure(listener) && rules->config->tls.n_certificates == 0 &&
        !config_errors_has(rules->errors, "tls"))
        config_errors_add(rules->errors, document_line(rules->root, key), key,
                          "name a certificate and its key under tls.certificates",
                          "needs a certificate, and there is none");
    snprintf(key, sizeof(key), "listeners[%zu].client_certificates", index);
    if (!is_secure(listener) && listener->client_certificates != CONFIG_CLIENT_CERTIFICATES_NONE)
        config_errors_add(rules->errors, document_line(rules->root, key), key,
                          "leave it out, or set transport to tls or wss",
                          "asks for certificates where there is no TLS");
}

/* A response without a transaction finds its way by the Via alone, and nobody can connect to who sent it (RFC 7118
 * section 5.3). */
static void check_listener_websocket(const struct rules *rules, size_t index)
{
    const struct config_listener *listener = &rules->config->listeners[index];
    bool is_websocket = listener->transport == CONFIG_WS || listener->transport == CONFIG_WSS;
    char key[KEY_MAX_BYTES];

    snprintf(key, sizeof(key), "listeners[%zu].mode", index);
    if (is_websocket && listener->mode == CONFIG_STATELESS)
        config_errors_add(rules->errors, document_line(rules->root, key), key, "set it to stateful",
                          "cannot be stateless: the answers would not find the WebSocket");
}

/* Pings go to those who are reached by the way they came, which over UDP and
 * TCP nobody is unless contacts says so. */
static void check_listener_nat(const struct rules *rules, size_t index)
{
    const struct config_listener *listener = &rules->config->listeners[index];
    bool is_plain = listener->transport == CONFIG_UDP || listener->transport == CONFIG_TCP;
    char key[KEY_MAX_BYTES];

    snprintf(key, sizeof(key), "listeners[%zu].nat.ping", index);
    if (is_plain && listener->nat.ping != CONFIG_NAT_PING_NONE &&
        listener->nat.contacts == CONFIG_NAT_REGISTERED)
        config_errors_add(rules->errors, document_line(rules->root, key), key,
                          "set contacts to source, or leave it out",
                          "pings nobody: clients are reached by their Contact here");
}

/* Domains and aliases together are the host names that mean something here. NULL: wrong by itself. */
static const char *host_at(const struct config *config, size_t index, char key[KEY_MAX_BYTES])
{
    bool is_domain = index < config->n_domains;

    if (!is_domain)
        index -= config->n_domains;
    snprintf(key, KEY_MAX_BYTES, is_domain ? "domains[%zu].name" : "aliases[%zu]", index);
    return is_domain ? config->domains[index].name : config->aliases[index];
}

static void check_host(const struct rules *rules, size_t index)
{
    const struct config *config = rules->config;
    char key[KEY_MAX_BYTES], other[KEY_MAX_BYTES], quoted[CONFIG_QUOTED_BYTES];
    const char *host = host_at(config, index, key);

    for (size_t i = 0; host && i < index; i++) {
        const char *earlier = host_at(config, i, other);

        if (earlier && strcmp(host, earlier) == 0) {
            bool mixed = i < config->n_domains && index >= config->n_domains;

            tell_pair(rules, key, config_quote(slice_from_cstr(host), quoted), "is also", other,
                      mixed ? "leave one out: an alias names the proxy itself, a domain its users"
                            : "leave one out");
            return;
        }
    }
}

static void check_algorithm(const struct rules *rules, size_t index)
{
    const enum config_algorithm *algorithms = rules->config->auth.algorithms;
    char key[KEY_MAX_BYTES], other[KEY_MAX_BYTES], name_memory[32];
    struct buf name;

    snprintf(key, sizeof(key), "auth.algorithms[%zu]", index);
    if (config_errors_has(rules->errors, "auth.algorithms"))
        return;
    for (size_t i = 0; i < index; i++) {
        if (algorithms[i] != algorithms[index])
            continue;
        buf_init(&name, name_memory, sizeof(name_memory) - 1);
        value_print(&value_algorithm, &algorithms[i], &name);
        name_memory[name.len] = '\0';
        snprintf(other, sizeof(other), "auth.algorithms[%zu]", i);
        tell_pair(rules, key, name_memory, "is also", other, "leave one out");
        return;
    }
}

/* ---- all ---- */

void rules_check(const struct config *config, const struct node *root, struct config_errors *errors)
{
    const struct rules rules = {config, root, errors};

    for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++)
        check_order(&rules, &orders[i]);
    for (size_t i = 0; i < config->n_listeners; i++)
        check_listener(&rules, i);
    for (size_t i = 0; i < config->n_listeners; i++)
        check_listener_tls(&rules, i);
    for (size_t i = 0; i < config->n_listeners; i++)
        check_listener_websocket(&rules, i);
    for (size_t i = 0; i < config->n_listeners; i++)
        check_listener_nat(&rules, i);
    for (size_t i = 0; i < config->n_domains + config->n_aliases; i++)
        check_host(&rules, i);
    for (size_t i = 1; i < config->auth.n_algorithms; i++)
        check_algorithm(&rules, i);
    rules_routes_check(config, root, errors);
    if (config->n_domains + config->n_trusted + config->tls.n_trusted_peers + config->n_routes == 0 &&
        !config_errors_any(errors))
        config_errors_add(errors, 0, "", "add one: without them every request would be refused with 403",
                          "has neither \"domains\" nor \"trusted\" nor \"routes\"");
}

/* ---- the store ---- */

static void tell_store(const struct rules *rules, const char *path, const char *what, const char *remedy)
{
    char quoted[CONFIG_QUOTED_BYTES];

    config_errors_add(rules->errors, document_line(rules->root, "store.path"), "store.path", remedy, "%s %s",
                      config_quote(slice_from_cstr(path), quoted), what);
}

static void tell_store_errno(const struct rules *rules, const char *path, const char *what)
{
    char text[160];

    snprintf(text, sizeof(text), "%s: %s", what, strerror(errno));
    tell_store(rules, path, text, "give this user the right, or set store.path to a file of this user's own");
}

/* The last part is cut off; at least "/" stays. */
static void to_parent(char *path)
{
    size_t len = strlen(path);

    while (len > 1 && path[len - 1] == '/')
        len--;
    while (len > 1 && path[len - 1] != '/')
        len--;
    while (len > 1 && path[len - 1] == '/')
        len--;
    path[len] = '\0';
}

/* The file is not there: the nearest folder that is must let us make the rest. */
static void check_folder(const struct rules *rules, char *path)
{
    struct stat st;

    do
        to_parent(path);
    while (stat(path, &st) < 0 && errno == ENOENT && path[1] != '\0');

    if (stat(path, &st) < 0)
        tell_store_errno(rules, path, "cannot be looked at");
    else if (!S_ISDIR(st.st_mode))
        tell_store(rules, path, "is not a folder", "set store.path to a file within a folder");
    else if (faccessat(AT_FDCWD, path, W_OK | X_OK, AT_EACCESS) < 0)
        tell_store_errno(rules, path, "cannot be written");
}

void rules_check_store(const struct config *config, const struct node *root, struct config_errors *errors)
{
    const struct rules rules = {config, root, errors};
    char path[2 * CONFIG_VALUE_MAX_BYTES];
    struct stat st;

    if (config_errors_has(errors, "store"))
        return;
    snprintf(path, sizeof(path), "%s", config->store.path);
    if (stat(path, &st) < 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            check_folder(&rules, path);
        else
            tell_store_errno(&rules, path, "cannot be looked at");
    } else if (!S_ISREG(st.st_mode)) {
        tell_store(&rules, path, "is not a regular file", "set store.path to the database file itself");
    } else if (faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) < 0) {
        tell_store_errno(&rules, path, "cannot be written");
    }
}
