/* The opening handshake of a WebSocket, server's side (RFC 6455 sections 4.2 and 9.1 as far as a
 * sub-protocol and no extension is spoken): from the head of an HTTP request to the octets of the answer.
 * Pure; whoever calls reads and writes.
 *
 * The head is read as RFC 7230 section 3 writes it and no more leniently: what two readers could understand
 * in two ways (a line ended by LF alone, a space before a colon, a folded line, a body) is refused. */
#ifndef NET_UPGRADE_H
#define NET_UPGRADE_H

#include "base/buf.h"
#include "base/err.h"

/* What is asked of a client beyond RFC 6455. Read only, may be shared by threads. */
struct net_upgrade_policy {
    struct slice protocol; /* the sub-protocol that it must offer, and gets: "sip" */
    struct slice path;     /* of the request target; empty: any */
    /* Whose pages may connect. A client that sends no Origin is no browser, and none of these concerns it.
     *   "https://phone.example.com:8443"  this origin
     *   "example.com"                     pages of this host, with any scheme and port
     *   "*.example.com"                   pages of all hosts below it
     *   "*"                               everybody, also pages that have no origin ("null") */
    const struct slice *origins;
    size_t n_origins;
};

#define NET_UPGRADE_ANSWER_MAX_BYTES 512
#define NET_UPGRADE_SWITCHING        101

struct net_upgrade_answer {
    unsigned status;     /* NET_UPGRADE_SWITCHING, or an HTTP status above 399: close when it has left */
    const char *why;     /* of a refusal: for the log and for whoever tries by hand */
    struct slice origin; /* as the client wrote it, in head; absent when it wrote none */
};

/* head: a whole head, with its empty line. out: room for NET_UPGRADE_ANSWER_MAX_BYTES; the answer. ERR_NOMEM,
 * ERR_UNSUPPORTED as crypto_sha1_base64. */
MUST_USE int net_upgrade(struct slice head, const struct net_upgrade_policy *policy, struct buf *out,
                         struct net_upgrade_answer *ret_answer);
/* The answer to a head that is longer than anyone waits for (RFC 6585 section 5). */
void net_upgrade_refuse_long(struct buf *out, struct net_upgrade_answer *ret_answer);

#endif
