/* The configuration: YAML text to a typed, validated, immutable snapshot.
 *
 * Life of one: config_load() reads the file, bounded; parses it into a small tree that knows its lines;
 * compares that with the table of keys (keys.def) and collects every mistake it finds, not the first alone;
 * lets libcyaml fill plain structs with the texts; turns the texts into the values below, with the defaults
 * of the table where a key is absent; and checks what several keys must agree upon. What comes out never
 * changes again, may be read by all threads, and is given back by config_free() when the last of them is
 * gone.
 *
 * Nothing here knows SIP: whoever uses the snapshot turns it into the options of the other layers. */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "base/addr.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "config/errors.h"
#include <stdint.h>
#include <stdio.h>

enum config_transport { CONFIG_UDP, CONFIG_TCP, CONFIG_TLS, CONFIG_WS, CONFIG_WSS };
enum config_mode { CONFIG_STATEFUL, CONFIG_STATELESS };
/* Must a request prove who sent it? INHERIT, on a listener: the domain decides. */
enum config_auth_rule { CONFIG_AUTH_INHERIT, CONFIG_AUTH_REQUIRED, CONFIG_AUTH_NONE };
/* Does a listener ask its clients for a certificate? OPTIONAL: who has none, or none that can be verified, may
 * come in all the same and proves nothing. */
enum config_client_certificates {
    CONFIG_CLIENT_CERTIFICATES_NONE,
    CONFIG_CLIENT_CERTIFICATES_OPTIONAL,
    CONFIG_CLIENT_CERTIFICATES_REQUIRED
};
enum config_tls_version { CONFIG_TLS_1_2, CONFIG_TLS_1_3 };
/* RFC 3325. INHERIT, on a route: as the proxy. */
enum config_identity {
    CONFIG_IDENTITY_INHERIT,
    CONFIG_IDENTITY_OFF,
    CONFIG_IDENTITY_AUTO,
    CONFIG_IDENTITY_TRUSTED,
    CONFIG_IDENTITY_UNTRUSTED,
};
enum config_choice { CONFIG_INHERIT, CONFIG_YES, CONFIG_NO };
enum config_group_algorithm {
    CONFIG_PRIORITY,
    CONFIG_WEIGHTED,
    CONFIG_HASH_CALL_ID,
    CONFIG_HASH_USER,
    CONFIG_LEAST_CALLS,
};
enum config_store_kind { CONFIG_STORE_SQLITE, CONFIG_STORE_MEMORY };
/* RFC 3327 section 5.3: a Path that the client says nothing of. */
enum config_path_rule { CONFIG_PATH_REQUIRE_SUPPORTED, CONFIG_PATH_ACCEPT };

enum config_algorithm { CONFIG_MD5, CONFIG_SHA_256, CONFIG_SHA_512_256, CONFIG_ALGORITHM_COUNT };

/* As it stands in a Via: a host name, an IPv4 address or an IPv6 address in [brackets]. */
struct config_host_port {
    const char *host; /* "" when there is none; lower case */
    uint16_t port;    /* 0 when it was not written */
};

struct config_auth_rules {
    enum config_auth_rule for_register, for_calls;
};

enum config_nat_contacts { CONFIG_NAT_REGISTERED, CONFIG_NAT_SOURCE };
enum config_nat_ping { CONFIG_NAT_PING_NONE, CONFIG_NAT_PING_OPTIONS, CONFIG_NAT_PING_CRLF };

struct config_listener_nat {
    enum config_nat_contacts contacts;
    enum config_nat_ping ping;
    ms_t interval_ms;  /* of pings */
    unsigned failures; /* of OPTIONS, in a row */
};

struct config_listener {
    const char *name; /* "": none */
    enum config_transport transport;
    struct addr address;               /* what to bind; the port is never 0 */
    struct config_host_port advertise; /* what others see; host "": the address itself */
    enum config_mode mode;
    enum config_client_certificates client_certificates; /* of TLS and WSS */
    bool udp_alone; /* of UDP: no TCP at the same address unless it is listed itself */
    struct config_listener_nat nat;
    struct config_auth_rules auth;
};

struct config_domain {
    const char *name;              /* lower case; IPv6 in brackets */
    const char *realm;             /* never "": the name when none was given */
    struct config_auth_rules auth; /* never INHERIT */
};

/* Files are PEM. The lines are those of the file, for who looks into the certificates later; 0 where the key is
 * not written. */
struct config_certificate {
    const char *cert, *key;
    unsigned cert_line, key_line;
};

struct config_tls {
    const struct config_certificate *certificates;
    size_t n_certificates; /* 0 only without listeners for TLS and WSS */
    const char *ca_file;   /* "": what the system trusts */
    unsigned ca_file_line;
    const char *const *trusted_peers; /* lower case */
    size_t n_trusted_peers;
    enum config_tls_version min_version;
    ms_t handshake_timeout_ms;
    uint32_t handshakes; /* at one time */
    uint32_t handshakes_per_second;
};

struct config_websocket {
    const char *const
        *origins; /* "*", "scheme://host[:port]", "host" or "*.host"; lower case, no default port */
    size_t n_origins;
    const char *path; /* "": any */
    ms_t ping_interval_ms, ping_timeout_ms;
};

struct config_store {
    enum config_store_kind kind; /* of the bindings; users are always in the file at path */
    const char *path;
};

struct config_registrar {
    uint32_t default_expires_s, min_expires_s, max_expires_s;
    uint32_t max_contacts; /* of one address-of-record */
    bool unknown_users;
    enum config_path_rule path;
    const char *const *third_parties; /* addresses-of-record: sip:user@domain, the domain in lower case */
    size_t n_third_parties;
    uint32_t flow_timer_s;            /* 0: none */
    const char *const *service_route; /* URIs */
    size_t n_service_route;
};

/* For whom this is an edge proxy. */
struct config_edge {
    const char *home; /* URI; "": for nobody */
    const char *const *domains;
    size_t n_domains;
    bool path_unasked;
};

struct config_auth {
    const enum config_algorithm *algorithms; /* in the order of the challenges; at least one, none twice */
    size_t n_algorithms;
    const char *const *md5_only_agents; /* beginnings of User-Agent values */
    size_t n_md5_only_agents;
    uint32_t nonce_lifetime_s;
};

struct config_proxy {
    bool record_route;
    bool loop_detection;
    bool recurse_redirects;
    bool mirror_tls;
    enum config_identity identity; /* OFF or AUTO */
    ms_t timer_c_ms;               /* above 180,000 */
    ms_t ring_time_ms;
    uint32_t max_breadth;
    uint32_t max_branches;
    uint32_t max_spirals;
    uint32_t path_mtu_bytes;
    const char *server_name; /* "": no Server header */
};

struct config_group_member {
    const char *uri;
    uint32_t weight, priority;
    bool drain;
};

struct config_group_probe {
    ms_t interval_ms; /* 0: none */
    ms_t timeout_ms;
    uint32_t pass, fail;
    const char *from, *to; /* "": none */
};

struct config_group {
    const char *name;
    enum config_group_algorithm algorithm;
    const struct config_group_member *members;
    size_t n_members;            /* at least 1 */
    const uint32_t *failover_on; /* 400 to 599 */
    size_t n_failover_on;
    uint32_t max_attempts, max_failures;
    ms_t timeout_ms, progress_ms, max_call_ms;
    struct config_group_probe probe;
};

/* A URI with a q. */
struct config_target {
    const char *uri;
    uint32_t q_milli; /* 0 to 1000 */
};

struct config_route_header {
    const char *name;
    const char *value; /* a pattern (base/pattern.h) */
};

/* A list that is empty: any. */
struct config_route_match {
    const char *const *methods;
    size_t n_methods;
    const char *const *domains; /* lower case */
    size_t n_domains;
    const char *const *users; /* patterns */
    size_t n_users;
    const struct addr_prefix *sources;
    size_t n_sources;
    const char *const *listeners;
    size_t n_listeners;
    const struct config_route_header *headers;
    size_t n_headers;
};

struct config_route_rewrite {
    const char *user, *prefix, *add; /* "": none */
    uint32_t strip;
};

/* At most one action: group, uris, redirects, reject. */
struct config_route {
    const char *name;
    struct config_route_match match;
    const char *group; /* "": none */
    const struct config_target *uris;
    size_t n_uris;
    const struct config_target *redirects;
    size_t n_redirects;
    uint32_t reject; /* 0: none */
    const char *reason;
    enum config_auth_rule auth;
    bool stateless;
    enum config_choice recurse_redirects;
    ms_t ring_time_ms; /* 0: inherit */
    struct config_route_rewrite rewrite;
    enum config_identity identity;
};

struct config_timers {
    ms_t t1_ms, t2_ms, t4_ms, d_ms;
};

/* Figures for the whole process, unless they name something else. */
struct config_limits {
    uint64_t message_bytes, start_line_bytes, header_bytes;
    uint32_t headers, values;
    uint32_t transactions;
    uint64_t memory_bytes; /* of requests under way */
    uint32_t connections, connections_per_source;
    ms_t connection_idle_ms, connect_timeout_ms;
    uint64_t input_buffer_bytes; /* of one connection */
    uint64_t output_queue_bytes; /* of one connection */
    uint32_t queue;              /* messages on their way from one worker to another */
};

struct config_dns {
    const struct addr *servers; /* port 53 where none was written */
    size_t n_servers;           /* 0: those of the system */
    const char *hosts;          /* "": none */
    ms_t timeout_ms;            /* of one step of a look-up */
    uint32_t serve_stale_s;     /* 0: not at all */
    uint32_t max_ttl_s;
    uint64_t cache_bytes;     /* of one worker */
    const char *trust_anchor; /* "": no DNSSEC */
};

struct config_log {
    enum log_level level;
    enum log_format format;
};

struct config_overload {
    bool admission;
    ms_t target_ms, interval_ms;
    const char *const *emergency_numbers;
    size_t n_emergency_numbers;
    bool control; /* RFC 7339 */
};

struct config_stop {
    ms_t grace_ms;
    uint32_t retry_after_s;
};

struct config {
    uint32_t workers; /* 0: one for each core */
    const struct config_listener *listeners;
    size_t n_listeners; /* at least 1 */
    const struct config_domain *domains;
    size_t n_domains;
    const char *const *aliases; /* lower case */
    size_t n_aliases;
    const struct addr_prefix *trusted;
    size_t n_trusted;
    const struct config_group *groups;
    size_t n_groups;
    const struct config_route *routes;
    size_t n_routes;
    struct config_tls tls;
    struct config_websocket websocket;
    struct config_store store;
    struct config_registrar registrar;
    struct config_edge edge;
    struct config_auth auth;
    struct config_proxy proxy;
    struct config_timers timers;
    struct config_limits limits;
    struct config_dns dns;
    struct config_log log;
    struct config_overload overload;
    struct config_stop stop;
};

#define CONFIG_FILE_MAX_BYTES (1024 * 1024)

/* Reads, parses and checks a file, or the built-in default when path is NULL; also that the store can be
 * opened or made. errors: initialised by the caller, told everything that is wrong. ERR_IO: the file cannot
 * be read (errors says why). ERR_SYNTAX: it is not a configuration that works (errors has at least one
 * entry). ERR_NOMEM. */
MUST_USE int config_load(const char *path, struct config **ret_config, struct config_errors *errors);

/* The same from text, without a look at the file system. */
MUST_USE int config_parse(struct slice text, struct config **ret_config, struct config_errors *errors);

void config_free(struct config *config);

/* Every key with its value, as YAML that loads again to the same configuration. */
void config_print(const struct config *config, FILE *out);

/* Every key with its default, range and meaning, as tables in Markdown. */
void config_print_keys(FILE *out);

/* The text that is used when there is no file: loopback, domain "localhost", store in the user's state folder
 * (XDG Base Directory specification). ERR_NOTFOUND: neither XDG_STATE_HOME nor HOME is set. */
MUST_USE int config_default_text(struct buf *out);
#define CONFIG_DEFAULT_TEXT_MAX_BYTES 8192

#endif
