/* The transaction layer: RFC 3261 section 17 with RFC 6026 (2xx to INVITE) and RFC 4320 (non-INVITE).
 *
 * Who calls it: the proxy core, once per received message, sent message, or passage of time. It does no I/O:
 * what has to be sent, and what the transaction user has to know, leaves through struct txn_ops after the
 * machine's new state is committed. One txn_layer per worker; nothing is shared.
 *
 * Life of a server transaction: txn_receive_request() says TXN_MATCH_NONE; the user creates one with
 * txn_server_new(), answers with txn_server_respond() once or more, and detaches (txn_server_set_user(t,
 * NULL)) when it has no more to say. The machine lingers (Timers H, I, J, L) and frees itself;
 * ops->server_done comes last, unless detached.
 *
 * Life of a client transaction: txn_client_new() sends the request; each response goes up once; it ends in
 * Terminated by Timer D, K or M, by Timer B or F (client_timeout), or by a transport error; ops->client_done
 * comes last, unless detached.
 *
 * What lingers is small: a fixed struct and at most one wire (see the sizes asserted in txn.c).
 *
 * A user may call anything here from inside an op, also for the transaction that the op is about. user ==
 * NULL is detached: then only ops->send is called for this transaction. Timers of zero seconds (D, I, J, K
 * over a reliable transport) end a transaction at the next advance of the wheel, not inside the call that
 * started them: after txn_client_new() and txn_server_respond() the transaction still exists.
 *
 * Inside: one file per machine (client_invite.c, client_non_invite.c, server_invite.c, server_non_invite.c),
 * each a constant table (state, event) -> effects and next state with its RFC section. driver.c commits
 * states, runs timers and carries effects out; client.c, server.c and match.c are the ways in. Destruction is
 * put off to the end of the outermost call. */
#ifndef TXN_TXN_H
#define TXN_TXN_H

#include "base/counter.h"
#include "base/hash.h"
#include "base/timer.h"
#include "base/wire.h"
#include "sip/hop.h"
#include "sip/msg.h"

struct txn_layer;
struct txn_server;
struct txn_client;

enum txn_kind {
    TXN_CLIENT_INVITE,
    TXN_CLIENT_NON_INVITE,
    TXN_SERVER_INVITE,
    TXN_SERVER_NON_INVITE,
    TXN_KIND_COUNT
};

/* RFC 3261 table 4 and RFC 6026; all others follow from these (Timer B, F, H, J, L, M = 64*T1; I, K = T4). */
struct txn_times {
    ms_t t1_ms;      /* 500 */
    ms_t t2_ms;      /* 4000 */
    ms_t t4_ms;      /* 5000 */
    ms_t timer_d_ms; /* 32000 at least, over UDP */
};
extern const struct txn_times txn_times_default;

struct txn_ops {
    /* Put wire on its way to hop. token names the transaction, or is 0 for an ACK; a failure, known now or
     * later, is given back by txn_send_failed(token): of a request at once (section 18.4), of a response when
     * no fall-back of section 18.2.2 is left. Take a reference to wire to keep it beyond this call. */
    void (*send)(void *ctx, const struct sip_hop *hop, struct wire *wire, uint64_t token);

    /* A response that the machine passes up: every 1xx (100 too: the user absorbs it), the first final, every
     * 2xx to an INVITE until Timer M. */
    void (*client_response)(void *ctx, struct txn_client *t, struct sip_msg *response);
    void (*client_timeout)(void *ctx, struct txn_client *t); /* Timer B or F */
    /* The request that txn_client_release() let go, made again: what an ACK and a CANCEL repeat of it must be
     * octet for octet what was sent, the rest need not. ERR_NOMEM. May be NULL where nothing is let go. */
    int (*client_request)(void *ctx, struct txn_client *t, struct wire **ret_request);
    /* Section 17.1.4: the request cannot be sent and the transaction ends; or, after a final response
     * 300-699, the ACK cannot (figure 5). */
    void (*client_transport_error)(void *ctx, struct txn_client *t);
    void (*client_done)(void *ctx, struct txn_client *t); /* freed after this call */

    /* RFC 4320 section 4.1: a non-INVITE has waited unanswered for as long as Timer E takes to reach T2,
     * whatever the transport: the user answers 100 now. */
    void (*server_trying_due)(void *ctx, struct txn_server *t);
    void (*server_no_ack)(void *ctx, struct txn_server *t); /* Timer H */
    /* Section 17.2.4 as in RFC 6026 section 8.8: the response cannot be sent; the transaction
     * stays as it is. */
    void (*server_transport_error)(void *ctx, struct txn_server *t);
    void (*server_done)(void *ctx, struct txn_server *t); /* freed after this call */
};

struct txn_layer_opts {
    struct txn_times times;
    size_t max_transactions; /* both kinds together; beyond it _new returns ERR_NOMEM */
    struct hash_key hash_key;
    struct timer_wheel *wheel; /* the worker's; the user advances it */
    struct counters *counters;
    const struct txn_ops *ops;
    void *ctx; /* first argument of every op */
};

/* ERR_NOMEM; ERR_RANGE when a time is 0, above one hour, or Timer D is below the 32 s that RFC 6026
 * section 8.4 demands. */
MUST_USE int txn_layer_new(const struct txn_layer_opts *opts, struct txn_layer **ret_layer);
/* Ends every transaction at once, without effects. */
void txn_layer_free(struct txn_layer *layer);
size_t txn_layer_count(const struct txn_layer *layer);         /* transactions that exist */
size_t txn_layer_count_pending(const struct txn_layer *layer); /* that have no final response yet */

/* What tells a transaction, as a hash. */
struct txn_key {
    uint64_t
        hash; /* for the map; never 0, and different for a client, a server, and the server of a CANCEL */
    uint64_t check; /* the other half; the key of a request that has none is 0 */
};

enum txn_match {
    TXN_MATCH_NONE,     /* no transaction: a new request, or an ACK for a 2xx, or a stray */
    TXN_MATCH_ABSORBED, /* a retransmission, or the ACK of a non-2xx final: dealt with */
    TXN_MATCH_ACCEPTED, /* an ACK that matched an INVITE transaction in Accepted: the user forwards it (RFC
                           6026 7.1) */
};

/* For who has something else to do before he asks what a request belongs to: says by what it is known, and
 * has brought from memory where that is found. */
struct txn_key txn_expect_request(const struct txn_layer *layer, struct sip_msg *request);
/* Matching by section 17.2.3: branch, sent-by and method when the branch starts with the cookie, else the
 * rules for RFC 2543. expected: from txn_expect_request(), or NULL when that was not asked for it. */
enum txn_match txn_receive_request(struct txn_layer *layer, struct sip_msg *request,
                                   const struct txn_key *expected);

/* The transaction that a CANCEL is for (section 9.2), or NULL. */
struct txn_server *txn_server_find_cancelled(struct txn_layer *layer, struct sip_msg *cancel);

/* For a request that matched nothing; not for ACK. reply_hop is where responses go (section 18.2.2). Any
 * request may have its Via, Call-ID or CSeq looked at. ERR_NOMEM; ERR_EXISTS when there is such a
 * transaction; ERR_NOTFOUND or ERR_SYNTAX when the request has nothing to be told by. known: from
 * txn_expect_request(), or NULL when that was not asked for it. */
MUST_USE int txn_server_new(struct txn_layer *layer, struct sip_msg *request, const struct txn_key *known,
                            const struct sip_hop *reply_hop, void *user, struct txn_server **ret_server);
/* Does an ACK have to be matched by the To tag of the response, as for a client of RFC 2543 (section 17.2.3)? */
bool txn_server_wants_to_tag(const struct txn_server *t);
/* Sends a response. to_tag is the To tag it carries, if txn_server_wants_to_tag(). The
 * layer takes its own reference to wire. status: 100 to 699. A 2xx in Accepted is sent (RFC 6026
 * section 7.1). ERR_DENIED, and nothing is sent, when the state does not allow it: a second non-2xx final, a
 * 1xx after a final; to a non-INVITE also 101-199, 408, and over an unreliable transport a 100 before
 * server_trying_due (RFC 4320 section 4). */
MUST_USE int txn_server_respond(struct txn_layer *layer, struct txn_server *t, unsigned status,
                                struct slice to_tag, struct wire *wire);
/* The user gives up on a non-INVITE without an answer (RFC 4320 section 4.2), or answers a request as if there
 * were no transaction (section 8.2.7): the transaction ends, with server_done as usual. After a final response
 * it does nothing. */
void txn_server_abandon(struct txn_layer *layer, struct txn_server *t);
void txn_server_set_user(struct txn_server *t, void *user);
void *txn_server_user(const struct txn_server *t);
const struct sip_hop *txn_server_hop(const struct txn_server *t);
enum sip_method txn_server_method(const struct txn_server *t);
/* "Trying", "Proceeding", "Completed", "Confirmed", "Accepted", "Terminated": for logs and live views. */
const char *txn_server_state_name(const struct txn_server *t);
bool txn_server_has_final(const struct txn_server *t);
/* The next response goes to this hop instead: a fall-back of section 18.2.2 (connection gone). */
void txn_server_set_hop(struct txn_server *t, const struct sip_hop *hop);

/* branch: of the top Via of request, unique. The first transmission leaves during this call (ops->send), an
 * error of it comes after this call. method: INVITE or anything but ACK; method_name is looked at for
 * SIP_METHOD_OTHER alone. ERR_NOMEM; ERR_EXISTS when a client transaction has this branch and method already.
 */
MUST_USE int txn_client_new(struct txn_layer *layer, enum sip_method method, struct slice method_name,
                            struct slice branch, struct wire *request, const struct sip_hop *hop, void *user,
                            struct txn_client **ret_client);
void txn_client_set_user(struct txn_client *t, void *user);
void *txn_client_user(const struct txn_client *t);
const struct sip_hop *txn_client_hop(const struct txn_client *t);
/* The request as sent, until a final response; made again if it was let go. NULL
 * afterwards, or without memory. For CANCEL. */
struct wire *txn_client_request(struct txn_client *t);
/* An INVITE that has been answered provisionally is not sent again (section 17.1.1.2): the
 * octets are not kept any more. Whoever calls this has ops->client_request, and stays the
 * user until there is a final response. */
void txn_client_release(struct txn_client *t);
/* True once a provisional response has been received and no final yet: only then may a CANCEL go out
 * (section 9.1). */
bool txn_client_is_proceeding(const struct txn_client *t);
bool txn_client_has_final(const struct txn_client *t);
/* "Calling", "Trying", "Proceeding", "Completed", "Accepted", "Terminated": for logs and live views. */
const char *txn_client_state_name(const struct txn_client *t);
/* The user no longer waits for this one (a cancelled INVITE that never got its 487: section 9.1, 64*T1): it
 * ends without a timeout or error, with client_done as usual. After a final response it does nothing: the
 * machine has to linger. */
void txn_client_abandon(struct txn_layer *layer, struct txn_client *t);

/* Matching by section 17.1.3: branch of the top Via and CSeq method. TXN_MATCH_NONE: no such transaction;
 * what then is the user's rule (RFC 6026 section 7.2: drop). */
enum txn_match txn_receive_response(struct txn_layer *layer, struct sip_msg *response);

/* A message sent with this token could not be delivered; unknown tokens are ignored. Called from inside an op
 * it takes effect at the next advance of the wheel. */
void txn_send_failed(struct txn_layer *layer, uint64_t token);
/* An ICMP error quoted a request of ours that carried this branch and method, ACK included (section 18.4). It
 * is ignored once the answer has shown that the request arrived: a provisional one to an INVITE, a final one
 * to any other. */
void txn_branch_failed(struct txn_layer *layer, struct slice branch, struct slice method_name);

/* The server transaction whose responses are sent with this token, or NULL. */
struct txn_server *txn_server_of_token(const struct txn_layer *layer, uint64_t token);
/* Its last response, which it keeps to repeat it, or NULL (a 2xx to an INVITE is repeated by the callee). */
struct wire *txn_server_response(const struct txn_server *t);
/* What txn_server_token will look for, brought from memory meanwhile as by txn_expect_request: the server
 * transaction whose responses have this top Via. hash 0: there can be none. CANCEL's is not found. */
struct txn_key txn_expect_via(const struct txn_layer *layer, const struct sip_via *via);
/* Its token; 0: there is none. */
uint64_t txn_server_token(const struct txn_layer *layer, const struct txn_key *expected);

/* True for a branch that starts with the magic cookie and has more than the cookie (section 8.1.1.7). */
bool txn_branch_is_rfc3261(struct slice branch);

#endif
