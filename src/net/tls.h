/* TLS: the certificates of this process and whom it believes, for all its connections (RFC 3261 section 26,
 * RFC 5922, RFC 9325). TLS 1.2 and 1.3 with forward secrecy and authenticated encryption only; no compression,
 * no renegotiation, no early data.
 *
 * One struct net_tls is shared by all workers. It holds a generation of certificates, which never changes; a
 * reload makes a new one and puts it in the place of the old, which lives on with the connections that were
 * made with it. Tickets and sessions for resumption belong to a generation as well: who was believed by
 * certificates that are gone must prove himself again.
 *
 * A server shows the certificate that has the name which the client asked for (SNI), else its first. It may
 * ask for the client's. A client asks by SNI for the name it wants, and the handshake fails unless the chain
 * is right and the certificate has that name as a SIP domain identity (RFC 5922 section 7.3). Which those are
 * is the matter of RFC 5922 section 7.1: a subjectAltName URI with the scheme sip and no user; only when there
 * is none, a subjectAltName DNS; only when there is no subjectAltName at all, the CN. They are compared whole
 * and without wildcards (section 7.2).
 *
 * The process must ignore SIGPIPE. Nothing here logs. */
#ifndef NET_TLS_H
#define NET_TLS_H

#include "base/err.h"
#include "base/slice.h"
#include <stdbool.h>
#include <stdint.h>

struct net_tls;

/* Does a server ask clients for a certificate? With OPTIONAL one that cannot be verified counts as none. */
enum net_tls_clients { NET_TLS_CLIENTS_NONE, NET_TLS_CLIENTS_OPTIONAL, NET_TLS_CLIENTS_REQUIRED };
/* What is spoken inside, as ALPN names it: a client that names something else alone is turned away. */
enum net_tls_inside { NET_TLS_SIP, NET_TLS_WEBSOCKET };

/* PEM files: the certificate, then those that lead to its issuer; the key without a passphrase. */
struct net_tls_certificate {
    const char *cert, *key;
};

struct net_tls_opts {
    const struct net_tls_certificate *certificates; /* they and their texts outlive the object */
    size_t n_certificates;                          /* 0: clients only, which show no certificate */
    const char *ca_file;                            /* whom to believe; "": whom the system believes */
    bool only_1_3;
    unsigned handshakes; /* of accepted connections, under way at one time */
};

/* What is wrong with a file. */
enum net_tls_file { NET_TLS_CERT, NET_TLS_KEY, NET_TLS_CA };
struct net_tls_problem {
    enum net_tls_file file;
    size_t index; /* of the certificate */
    char what[192];
    const char *remedy;
};

/* A file of more octets is refused. */
#define NET_TLS_FILE_MAX_BYTES (4 * 1024 * 1024)
/* How long a session may be resumed, and how long a key for tickets makes new ones. */
#define NET_TLS_SESSION_LIFE_S (2 * 3600)
/* Sessions kept for the servers that were spoken to last. */
#define NET_TLS_SESSIONS_MAX 1000

/* A certificate that has expired is taken (its age is told by net_tls_days_left), so that the rest of the
 * server can start. ERR_NOMEM; ERR_IO: a file cannot be read; ERR_CORRUPT: it is not what it should be; the
 * last two with *ret_problem. */
MUST_USE int net_tls_new(const struct net_tls_opts *opts, struct net_tls_problem *ret_problem,
                         struct net_tls **ret_tls);
/* When no stream has it any more. NULL is fine. */
void net_tls_free(struct net_tls *tls);
/* Reads the same files again, for the connections from now on. From any thread. On failure everything stays as
 * it was: the errors of net_tls_new, and ERR_STALE: a certificate has expired. */
MUST_USE int net_tls_reload(struct net_tls *tls, struct net_tls_problem *ret_problem);
/* Whole days until the first of the certificates expires, negative when it has; INT_MAX without any. */
int net_tls_days_left(struct net_tls *tls);
/* Is name among the SIP domain identities of one of the certificates? */
bool net_tls_has_name(struct net_tls *tls, struct slice name);
/* Handshakes of accepted connections under way. */
unsigned net_tls_handshakes(const struct net_tls *tls);

/* For who checks a configuration: reads the files of one certificate, or a file of issuers. 0, or the errors of
 * net_tls_reload with *ret_problem. */
MUST_USE int net_tls_check_certificate(const struct net_tls_certificate *certificate,
                                       struct net_tls_problem *ret_problem);
MUST_USE int net_tls_check_ca(const char *ca_file, struct net_tls_problem *ret_problem);

/* ---- one connection, by its stream (tcp.h) ---- */

struct net_stream;

/* Is the peer's certificate verified? */
bool net_stream_is_verified(const struct net_stream *stream);
/* Calls back with each SIP domain identity of a peer that is verified; of at most NET_TLS_IDENTITIES_MAX. */
#define NET_TLS_IDENTITIES_MAX 16
void net_stream_identities(const struct net_stream *stream, void (*each)(void *ctx, struct slice name),
                           void *ctx);
/* Was a session resumed? */
bool net_stream_is_resumed(const struct net_stream *stream);

/* Why the handshake failed, or why the peer's certificate is not believed; NULL: neither is so. */
struct net_tls_refusal {
    const char *why;     /* "certificate has expired", ... */
    struct slice wanted; /* the name that the server had to prove; of a client: absent */
    struct slice
        offered; /* the identities in the peer's certificate, parted by spaces; absent: it showed none */
};
bool net_stream_refusal(const struct net_stream *stream, struct net_tls_refusal *ret_refusal);

#endif
