/* The proxy core: RFC 3261 section 16 on top of the transaction layer. Deterministic: what it does is a
 * function of the messages, failures, answers of ports and times it is given. One `struct proxy` per worker,
 * used by that worker alone.
 *
 * Life of a request: proxy_receive() parses it in scratch memory; a retransmission ends in the transaction
 * layer; a new one gets a server transaction and a struct proxy_request with an arena of its own, and walks
 * the chain of steps (chain.h) that app built from the configuration: validate, route, authenticate,
 * register, relay rules, targets, forward. The last step makes it a response context (section 16.7):
 * branches, timers, best response. When the final response has left and no branch is pending, the arena is
 * given back and only the transactions linger.
 *
 * Every decision is explained: a response made here names why and by which section, in the log and in the
 * Reason of the trace (see proxy_explain in request.h). */
#ifndef PROXY_PROXY_H
#define PROXY_PROXY_H

#include "base/counter.h"
#include "base/hash.h"
#include "proxy/chain.h"
#include "proxy/ports.h"
#include "proxy/pressure.h"
#include "sip/limits.h"
#include "sip/msg.h"
#include "txn/txn.h"

struct proxy;
struct sip_edit;

/* Does a request need credentials here? A listener that says INHERIT leaves it to the domain. */
enum proxy_auth_rule { PROXY_AUTH_INHERIT = 0, PROXY_AUTH_REQUIRED, PROXY_AUTH_NONE };

struct proxy_listener {
    struct slice name; /* by which static routes know it; several may share one; empty: none */
    uint8_t transport; /* enum sip_transport */
    struct addr addr;  /* what it is bound to; may be the wildcard */
    /* What stands in our Via and Record-Route: advertised name or address, IPv6 in brackets. */
    struct slice host;
    uint16_t port;  /* what stands there, always written */
    bool stateless; /* requests that come in here are forwarded by section 16.11, but between a stream and
                       datagrams (section 16.1) */
    /* Who registers here without a proxy between is reached by the way his REGISTER came, whatever his Contact
     * says: for clients behind address translation that know nothing of RFC 5626. */
    bool prefer_flow;
    enum proxy_auth_rule auth_register, auth_calls;
};

struct proxy_domain {
    struct slice name; /* lower case */
    struct slice realm;
    enum proxy_auth_rule auth_register, auth_calls; /* not INHERIT */
};

/* For whom this is an edge proxy (RFC 5626 section 2), see edge.c. */
struct proxy_edge {
    struct slice route;          /* Route value that leads to the home proxy; absent: this is no edge proxy */
    struct sip_uri home;         /* its URI */
    const struct slice *domains; /* whose requests go there; none: all that are not ours */
    size_t n_domains;
    bool path_unasked; /* a Path also for clients that do not say that they support it */
};

/* Part of the configuration snapshot: immutable, shared by all workers, outlives them. */
struct proxy_opts {
    const struct proxy_listener *listeners;
    size_t n_listeners;
    const struct proxy_domain *domains;
    size_t n_domains;
    const struct slice *aliases; /* further host names that mean this proxy (section 16.4), lower case */
    size_t n_aliases;
    const struct addr_prefix *trusted; /* sources that may relay to anywhere without credentials */
    size_t n_trusted;
    struct proxy_edge edge;

    struct sip_limits limits;
    struct txn_times times;
    ms_t timer_c_ms; /* section 16.6 step 11: above 180,000 */
    /* How long one group of equal q rings before it is cancelled; the next is tried when all of it have ended
     * (section 16.6: "allowing each client transaction to complete before starting the next"): a branch that
     * has not ended holds its part of Max-Breadth, which a series uses whole (RFC 5393 sections 5.2 and
     * 5.3.3.1), so that there is none left for another group. 487 comes at once from a phone that is alive; one
     * that is silent keeps the next waiting for Timer B, one that does not end after its CANCEL for 64*T1. 0:
     * for ever. */
    ms_t ring_ms;
    bool record_route;    /* stay in the path of dialogs */
    bool loop_detection;  /* RFC 5393 section 4.2; default on */
    bool recurse_3xx;     /* section 16.5, 16.7 step 4 */
    bool mirror_tls;      /* transport=tls in Record-Route toward who has it himself (RFC 5630 section 5.3) */
    unsigned max_breadth; /* RFC 5393 section 5: 60 */
    unsigned max_branches;   /* targets of one request; more are left out, lowest q first */
    unsigned max_spirals;    /* how often one request may come back here: no more than max_branches *
                                max_breadth * max_spirals requests come of it (order.c) */
    unsigned path_mtu_bytes; /* section 18.1.1: 1500 when unknown: over 1300 octets goes by TCP */
    uint32_t flow_timer_s;   /* RFC 5626 section 5.4: Flow-Timer; 0: none */
    unsigned
        retry_after_s; /* in the 503 while draining or shedding; under overload the mean of what is drawn */
    struct pressure_opts pressure;         /* when new requests are refused for overload */
    const struct slice *emergency_numbers; /* user parts of a Request-URI that never are */
    size_t n_emergency_numbers;
    bool is_oc_off; /* nothing is asked or told by RFC 7339 */
    size_t max_transactions;
    size_t arena_budget_bytes;
    struct slice server_name; /* Server header of our responses; empty: none */

    struct hash_key
        secret; /* signs what comes back to us in Route and Via; the same in all workers, survives restarts */
    uint8_t worker;           /* written into every branch, so that a response finds the worker */
    unsigned n_workers;       /* 0 is taken for 1 */
    struct hash_key call_key; /* of proxy_call_worker; the same in all workers */

    const struct proxy_step *chain; /* ends with a step that has no name */

    /* Does a static route want this request forwarded by section 16.11, whatever its listener is? Asked before
     * anything is made for the request, so it looks at the message alone, and says the same for each
     * retransmission. NULL: there are no such routes. */
    bool (*is_stateless)(const void *ctx, const struct proxy_opts *opts, struct sip_msg *request,
                         const struct sip_hop *from);
    const void *is_stateless_ctx;
    /* Which static route this request would take, as it came in: any number, and the same one for
     * what takes the same route. A request that comes back and takes another is no loop (RFC 5393
     * section 4.2.1). NULL: there are none. */
    uint64_t (*route_number)(const void *ctx, const struct proxy_opts *opts, struct sip_msg *request,
                             const struct sip_hop *from);
    const void *route_number_ctx;
    /* Further edits of a response that came from one hop and goes upstream to another; NULL: none. */
    void (*edit_response)(const struct proxy_opts *opts, struct sip_msg *response, const struct sip_hop *from,
                          const struct sip_hop *to, struct sip_edit *edit);
};

MUST_USE int proxy_new(const struct proxy_opts *opts, const struct proxy_ports *ports,
                       struct counters *counters, ms_t now_ms, struct proxy **ret_proxy);
/* Drops everything under way, silently. */
void proxy_free(struct proxy *proxy);

/* Tells the time; runs the timers that are due. now_s is calendar time. */
void proxy_advance(struct proxy *proxy, ms_t now_ms, unix_s_t now_s);
/* When proxy_advance must be called again at the latest; MS_NEVER when nothing waits. */
ms_t proxy_next_ms(const struct proxy *proxy);

/* What is received from now on has waited for so long between the time when it was there to be read and now. It
 * comes from this queue, a number for messages that wait one behind the other. lost: so many packets more than when it
 * was last said (each a datagram, or a train of them) found no room before they could be read. Never said:
 * nothing waits. */
void proxy_waited(struct proxy *proxy, unsigned queue, uint32_t waited_us, uint64_t lost);
/* One whole message: a datagram, or a frame of a stream. from: the peer, the listener it came to and the flow
 * it came by. bytes need to live only during the call. */
void proxy_receive(struct proxy *proxy, struct slice bytes, const struct sip_hop *from, bool datagram);
/* Framing of a stream was lost in this request head (400 before the connection is closed), or it was too
 * large (513). */
void proxy_receive_bad(struct proxy *proxy, struct slice head, const struct sip_hop *from, unsigned status,
                       const char *phrase);

/* A message given to ports->send with this token did not reach the network or its connection broke. */
void proxy_send_failed(struct proxy *proxy, uint64_t token);
/* An ICMP error quoted the head of this datagram of ours (section 18.4). */
void proxy_send_refused(struct proxy *proxy, struct slice datagram_head);
/* Answer to a resolve that said ERR_AGAIN. err 0, or ERR_NOTFOUND, ... */
void proxy_resolved(struct proxy *proxy, uint64_t ticket, int err, const struct sip_hop *hops, size_t count);
/* A step that returned PROXY_WAIT has its result: the step runs again with req->resumed == result. Unknown
 * tickets (the request is gone) are ignored. */
void proxy_resume(struct proxy *proxy, uint64_t ticket, const void *result);

/* Draining: requests that begin something new get 503 with Retry-After; what is under way goes on. */
void proxy_set_draining(struct proxy *proxy, bool draining);
/* Transactions that still wait for a final response, and requests in a step that waits; without those of our
 * own making (originate.h). */
size_t proxy_pending(const struct proxy *proxy);
/* Transactions that exist at all, lingering ones included: 0 means nothing is left. */
size_t proxy_transactions(const struct proxy *proxy);
/* Octets of request memory in use: 0 once no request waits for anything. */
size_t proxy_used_bytes(const struct proxy *proxy);

/* Which of the workers handles all messages with this Call-ID. */
unsigned proxy_call_worker(const struct hash_key *key, unsigned n_workers, struct slice call_id);

/* The worker number in a branch or a Route token made by some worker of ours; -1 when it is not ours. Lets
 * any worker send a response, or a request with our token, to the worker that knows about it. Cheap: looks at
 * the text alone. */
int proxy_branch_worker(struct slice branch);

#endif
