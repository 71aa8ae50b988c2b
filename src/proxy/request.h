/* A request on its way through the chain: what steps read and decide. */
#ifndef PROXY_REQUEST_H
#define PROXY_REQUEST_H

#include "proxy/proxy.h"
#include "sip/build.h"
#include "sip/msg.h"

struct proxy_target;
struct proxy_request;
struct sip_edit;

/* Further edits of a copy that is about to leave for hop: what a service wants changed in its headers. */
typedef void proxy_edit_fn(struct proxy_request *req, const struct sip_hop *hop, struct sip_edit *edit);

struct proxy_request {
    struct proxy *proxy;
    struct arena arena; /* all that belongs to the request */
    enum sip_method method;
    struct slice call_id;
    /* The request as received, for every step and every edit of a copy. Its octets are kept in arena, but
     * what was read of them is let go while the request rings (context.c): NULL for a watch then. */
    struct sip_msg *msg;
    struct sip_hop from;                   /* where it came from */
    const struct proxy_listener *listener; /* what it came to */
    struct txn_server *server;             /* NULL: ACK, or stateless */
    uint64_t ticket;                       /* for proxy_resume */
    const void *resumed;                   /* result of the wait while a step runs again, else NULL */
    size_t step;                           /* index into the chain */

    struct slice top_via; /* top Via with received and rport as they must be (section 18.2.1, RFC 3581) */

    uint64_t route_number; /* what opts->route_number says of it as it came; 0 without that */

    /* Decisions, in the order in which steps make them. */
    struct slice ruri_text; /* Request-URI after section 16.4 */
    struct sip_uri ruri;
    unsigned pop_routes;                    /* how many of our own Route values come off the top */
    bool dialog_is_ours;                    /* came in on a Route of ours whose token verified */
    const struct proxy_domain *domain;      /* domain of ruri when it is one of ours, else NULL */
    bool to_self;                           /* ruri names this proxy itself, not a user */
    bool trusted;                           /* source is in opts->trusted */
    struct slice user;                      /* authenticated user name; absent: not authenticated */
    const struct proxy_domain *user_domain; /* domain the user belongs to */
    struct slice
        remove_credentials; /* Proxy-Authorization value meant for us: does not travel on (section 22.3) */

    /* What a static route says of this request; without one, what the options say. */
    struct slice route;        /* its name; absent: none was chosen */
    const void *route_choice;  /* for the steps of the layer that has the routes */
    enum proxy_auth_rule auth; /* goes before what listener and domain say */
    bool is_led_out;           /* its targets are somebody else's, although the Request-URI is ours */
    bool is_relay_allowed;     /* even then, and for a foreign Request-URI, nobody has to say who he is */
    bool recurse_3xx;          /* section 16.5 */
    ms_t ring_ms;              /* as opts->ring_ms */
    proxy_edit_fn *edit;       /* or NULL */
    const void *edit_choice;

    struct proxy_target *targets; /* list, best q first */
    unsigned n_targets;

    const struct proxy_to *to; /* see proxy_request_to(); NULL until then */
};

/* Whom To names. */
struct proxy_to {
    struct sip_uri uri;
    const struct proxy_domain *domain; /* of ours, that uri is in, or NULL */
};
/* Reads To once for all steps that ask for it. ERR_SYNTAX: there is none, or its URI cannot be read; ERR_NOMEM. */
MUST_USE int proxy_request_to(struct proxy_request *req, const struct proxy_to **ret_to);

/* How the try of a target ended. */
enum proxy_try {
    PROXY_TRY_ANSWERED,    /* by a final response */
    PROXY_TRY_SILENT,      /* nothing came in time, or nothing more than provisional responses */
    PROXY_TRY_UNREACHABLE, /* it has no address, or the network did not take the request (section 16.9) */
    PROXY_TRY_SPARED,      /* it has asked for less than there is to send (RFC 7339) */
    PROXY_TRY_DROPPED,     /* that says nothing about the target: cancelled, no memory here */
};

struct proxy_outcome {
    enum proxy_try how;
    unsigned status;          /* as what it counts in the response context */
    bool has_rung;            /* a provisional response above 100 had come */
    struct sip_msg *response; /* ANSWERED; lives during the call */
};

/* Who looks after targets that stand in for each other: the members of a gateway group. They have falling q; when
 * one of them fails, the watch says whether the next is tried. For each begun there is exactly one ended; both may
 * come from inside the call that started the request, and neither may call the core. */
struct proxy_watch {
    /* A branch to this target begins. */
    void (*begun)(const struct proxy_watch *watch, struct proxy_request *req, unsigned member);
    /* It has ended, or been given up. False: no other target of this watch is tried for this request. */
    bool (*ended)(const struct proxy_watch *watch, struct proxy_request *req, unsigned member,
                  const struct proxy_outcome *outcome);
    /* While there is another one to try, a target is given up that has said nothing for so long, or no more than
     * 100. It is cancelled then, as far as it can be (section 9.1), and a 2xx that comes all the same is taken.
     * 0: the transaction's own timers, and Timer C. */
    ms_t timeout_ms, progress_ms;
};

/* Answers the request with a locally made final response and ends the chain; always PROXY_DONE. phrase
 * absent: the default. extra: further headers or NULL. why: one clause for the log, with the RFC section. */
enum proxy_verdict proxy_reply(struct proxy_request *req, unsigned status, struct slice phrase,
                               const struct sip_extra *extra, const char *why);

/* 503 with Retry-After (section 21.5.4). Shedding is counted. */
enum proxy_verdict proxy_shed(struct proxy_request *req, const char *why);

/* Is it forwarded by section 16.11? Then its target must depend on nothing
 * but the message and what never changes. */
bool proxy_request_is_stateless(struct proxy_request *req);

/* A line of the explanation, with the name of the route when one was chosen. */
void proxy_request_explain(struct proxy_request *req, const char *event, unsigned status, const char *why);

/* The same for who has not proved who he is: once, and without a transaction that would repeat it or be kept
 * (sections 8.2.7 and 26.3.2.4). When the request comes again it is answered again. */
enum proxy_verdict proxy_reply_once(struct proxy_request *req, unsigned status, const struct sip_extra *extra,
                                    const char *why);

/* Does the request leave for somebody else's place: is its Request-URI not ours, does a Route value that is
 * left lead it elsewhere first, or does a static route? After the steps `route` and `routes`. */
bool proxy_leads_elsewhere(struct proxy_request *req);

/* What a step has to look at that answers a request as a UAS (section 8.2.2, in this order). False: answered. */

/* Section 8.2.2.2: 482 for a request that is being answered already, and has come by another way. Only for what
 * is never forwarded: that may come by several ways (section 16.3). A second look finds the request itself. */
bool proxy_check_merged(struct proxy_request *req);
/* Section 8.2.3: 415 for a body that is not understood, and not optional. */
bool proxy_check_content(struct proxy_request *req);

/* Adds a target (section 16.5); a step before `targets` may do so, then no look-up is made. The
 * slices of binding live in req->arena or longer. ERR_EXISTS: an equal URI is there already, and by
 * no other path; ERR_LIMIT: opts->max_branches are there, none of lower q; ERR_SYNTAX,
 * ERR_UNSUPPORTED: not a SIP or SIPS URI; ERR_NOMEM. */
MUST_USE int proxy_add_target(struct proxy_request *req, const struct proxy_binding *binding);

/* Is this URI this proxy (a listener's address and port, an alias)? Is it one of our domains? The first
 * domain answers for the proxy's own addresses and aliases too: sip:bob@192.0.2.1 is its bob. A port that is
 * no listener's is somebody else, even on our host. */
bool proxy_uri_is_self(const struct proxy_opts *opts, const struct sip_uri *uri);
const struct proxy_domain *proxy_uri_domain(const struct proxy_opts *opts, const struct sip_uri *uri);
/* The address-of-record of a user of this domain of ours, in canonical form (section 10.3 step
 * 5): by whatever port of ours the domain is called; and one user is one user, over TLS or
 * not. Errors of sip_uri_canonical_aor(). */
#define PROXY_AOR_BYTES 512
MUST_USE int proxy_uri_aor(const struct proxy_domain *domain, const struct sip_uri *uri, struct buf *out);

/* Puts another URI in the place of the Request-URI, before targets are looked for: for a domain of ours alone
 * (section 16.5). text lives in req->arena or longer. ERR_SYNTAX: not a SIP or SIPS URI. */
MUST_USE int proxy_set_ruri(struct proxy_request *req, struct slice text);

/* Nothing has been put in the place of the Request-URI, neither by section 16.4 nor by a step. */
bool proxy_ruri_is_as_it_came(const struct proxy_request *req);

/* No proxy stands between us and who sent it: there is no other Via. */
bool proxy_is_first_hop(const struct sip_msg *request);
/* The first contact of a request: where its sender wants to be reached.
 * False: there is none, or it is no SIP URI. */
bool proxy_find_contact(const struct sip_msg *request, struct sip_uri *ret_uri);

/* What the route, the listener and then the domain say. */
bool proxy_needs_auth_register(const struct proxy_request *req, const struct proxy_domain *domain);
bool proxy_needs_auth_calls(const struct proxy_request *req, const struct proxy_domain *domain);

const struct proxy_opts *proxy_get_opts(const struct proxy *proxy);
const struct proxy_ports *proxy_get_ports(const struct proxy *proxy);
struct counters *proxy_get_counters(const struct proxy *proxy);
/* The clock of this worker, for timers of services. Their functions run inside proxy_advance(), and may call
 * what a step may; wheel->user is the proxy. */
struct timer_wheel *proxy_get_wheel(struct proxy *proxy);
ms_t proxy_now_ms(const struct proxy *proxy);
unix_s_t proxy_now_s(const struct proxy *proxy);
/* A new ticket under which a step may wait. */
uint64_t proxy_wait_ticket(struct proxy_request *req);

#endif
