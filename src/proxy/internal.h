/* What the files of this folder share and nobody else sees.
 *
 * Who owns what, and for how long:
 *
 *   struct proxy          worker   everything below
 *   struct proxy_context  request  the response context of section 16.6: the request as received, its target
 *                                  set, its branches, the best response. Lives in its own arena; what was read
 *                                  of an INVITE, in another until it rings. Released when the final response
 *                                  has left and no branch is pending; freed at the end of the turn in which
 *                                  that happens
 *   struct proxy_branch   request  one element of the target set being tried; in the context's arena
 *   struct proxy_link     worker   what remains of an answered INVITE: ties client transactions in Accepted to
 *                                  the server transaction, so that further 2xx go upstream (RFC 6026). A pool
 *                                  object
 *   struct proxy_own      worker   by what a request that is answered here as by a UAS would be known if it
 *                                  came again by another way (section 8.2.2.2); as long as its server
 *                                  transaction. A pool object
 *
 * A turn is one call from outside, or one instant of the clock. What it needs for a moment is taken from
 * proxy->scratch. */
#ifndef PROXY_INTERNAL_H
#define PROXY_INTERNAL_H

#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/pool.h"
#include "proxy/branch_id.h"
#include "proxy/pressure.h"
#include "proxy/request.h"
#include "sip/edit.h"
#include "sip/oc.h"
#include "txn/txn.h"

#define PROXY_LINK_MAX_BYTES 96
#define PROXY_MAX_FORWARDS   70   /* section 16.6 step 3 */
#define PROXY_MTU_MARGIN     200  /* section 18.1.1 */
#define PROXY_GROWTH_BYTES   4096 /* what we add to a message: Via, Record-Route, Route */
#define PROXY_LOG_PER_SECOND 50
#define PROXY_EXTRAS_MAX     8 /* headers of a response made here */
#define PROXY_LISTENER_NONE  UINT16_MAX
#define PROXY_BACKUPS_MAX    256 /* responses that look for another way at one time */

/* For messages of our own making, which have passed the limits before. */
extern const struct sip_limits proxy_limits_own;

enum proxy_log_kind {
    PROXY_LOG_BAD,
    PROXY_LOG_DROPPED,
    PROXY_LOG_REPLY,
    PROXY_LOG_SHED,
    PROXY_LOG_OVERLOAD,
    PROXY_LOG_KINDS
};

/* oc.c: what is said of overload. */
struct proxy_oc_answer {
    char text[SIP_OC_BYTES];
    size_t len;   /* 0: nothing has been said yet */
    ms_t loss_ms; /* pressure's, when it was written */
};

struct proxy {
    const struct proxy_opts *opts;
    struct proxy_ports ports;
    struct counters *counters;
    struct timer_wheel wheel;
    unix_s_t now_s;
    struct txn_layer *txn;
    struct arena_pool requests; /* arenas of contexts */
    struct arena_pool
        events; /* the scratch arena, with a budget of its own: a refusal must still be possible */
    struct arena scratch;
    struct pool links;
    struct list live_links;
    struct pool owns;
    struct map own;                      /* by Call-ID, From tag and CSeq */
    struct list contexts, dead;          /* dead: freed at the end of the turn */
    struct proxy_context *read;          /* contexts whose request was read again in this turn, in scratch */
    struct list originations;            /* requests of our own making */
    size_t n_originations, n_originated; /* how many; how many of them wait in a transaction */
    uint64_t last_call_id;
    struct map waits;    /* tickets */
    struct list backups; /* responses on their way to a backup (backup.c) */
    size_t n_backups;
    uint64_t last_ticket;
    size_t n_without_server; /* contexts that no server transaction counts */
    struct hash_key branch_key;
    /* Made of the secret, so the same in all workers: of branch_id.h, and of the way back (stateless.c). */
    struct hash_key loop_key, stateless_key, way_key;
    struct hash_key to_tag_key; /* of token.h, likewise */
    char refusal_mark[12];      /* likewise */
    bool is_absorbing;          /* datagrams with the mark (ports.h) */
    uint32_t last_branch;
    bool draining;
    struct pressure pressure;
    struct proxy_refusal *refusals; /* refused.c */
    uint32_t refused_s;             /* when something last was; 0: never */
    uint64_t n_refused;             /* since overload began */
    bool is_multihomed;             /* listeners with several addresses: the routes choose between them */
    struct neighbour *neighbours;   /* neighbour.c; NULL: none has spoken yet */
    uint64_t calendar_ms;           /* what the calendar said when the clock said 0; 0: not known yet */
    struct proxy_oc_answer oc_answer;
    ms_t oc_asked_ms;             /* when somebody last wanted to be told of overload */
    struct sip_hop response_from; /* the response of this turn */
    struct log_limiter limiters[PROXY_LOG_KINDS];
};

/* First member of everything that is given to the transaction layer as its user. */
enum proxy_user_kind {
    PROXY_USER_CONTEXT,
    PROXY_USER_BRANCH,
    PROXY_USER_LINK,
    PROXY_USER_OWN,
    PROXY_USER_ORIGIN
};
struct proxy_user {
    enum proxy_user_kind kind;
};

enum proxy_wait_kind { PROXY_WAIT_STEP, PROXY_WAIT_BRANCH, PROXY_WAIT_ORIGIN, PROXY_WAIT_BACKUP };

/* Something that waits for an answer from outside under a ticket; 0: does not wait. */
struct proxy_wait {
    struct map_node node;
    uint64_t ticket;
    enum proxy_wait_kind kind;
};

struct proxy_target {
    struct proxy_target *next;
    struct slice uri_text;
    struct sip_uri *uri;          /* read of it, as req.msg is of the request */
    struct slice path;            /* Route values that lead there, or absent */
    struct slice instance;        /* of the client, or absent */
    struct proxy_target *instead; /* another way to the same instance, for when this one fails */
    unsigned q_milli;
    bool is_started, has_hop; /* is_started: or not to be tried any more */
    bool needs_tls;           /* although its URI does not say so */
    struct sip_hop hop;
    const struct proxy_watch *watch; /* or NULL */
    unsigned member;
};

/* RESOLVING -> CALLING -> PROCEEDING -> DONE is the ordinary course; see the table in branch.c. */
enum proxy_branch_state {
    PROXY_BRANCH_RESOLVING,  /* the address of the next hop is being looked up */
    PROXY_BRANCH_CALLING,    /* sent, no response yet */
    PROXY_BRANCH_PROCEEDING, /* a provisional response has come */
    PROXY_BRANCH_CANCEL_DUE, /* to be cancelled as soon as a provisional response comes (section 9.1) */
    PROXY_BRANCH_CANCELLING, /* CANCEL has been sent; a final response, or 64*T1, ends it */
    PROXY_BRANCH_DONE,
    PROXY_BRANCH_STATES
};

enum proxy_branch_event {
    PROXY_EVENT_RESOLVED,
    PROXY_EVENT_UNRESOLVED,
    PROXY_EVENT_1XX,
    PROXY_EVENT_2XX,
    PROXY_EVENT_3XX_6XX,
    PROXY_EVENT_TIMEOUT,   /* Timer B or F */
    PROXY_EVENT_TRANSPORT, /* section 16.9 */
    PROXY_EVENT_CANCEL,
    PROXY_EVENT_TIMER,  /* Timer C, or 64*T1 after a CANCEL */
    PROXY_EVENT_DETACH, /* the final response has left and this one can make no difference: a non-INVITE */
    PROXY_EVENTS
};

/* Why a branch is cancelled: what its CANCEL says (RFC 3326), and as what it counts when it never ends. */
struct proxy_cancel {
    struct slice reason; /* absent: none */
    unsigned status;
    const char *why;
};

struct proxy_branch {
    struct proxy_user user;
    struct list node;
    struct proxy_context *context;
    struct proxy_target *target;
    struct txn_client *client; /* NULL: none, or no longer */
    struct timer timer;
    struct proxy_wait wait;
    struct sip_hop *hops; /* candidates (RFC 3263), the next to try being next_hop */
    size_t n_hops, next_hop;
    size_t n_before; /* hops that had failed when the look-up that brought the last of them was made */
    enum proxy_branch_state state;
    unsigned breadth;   /* its Max-Breadth (RFC 5393 section 5) */
    ms_t sent_ms;       /* to the address being tried */
    bool is_heard;      /* some response has come from there */
    bool is_accepted;   /* has answered 2xx: the client transaction may pass up more */
    bool is_by_size;    /* over TCP only because it is long ... */
    bool is_udp_forced; /* ... and that failed: over UDP after all (section 18.1.1) */
    bool has_rung;      /* a provisional response above 100 has come */
    bool is_told;       /* the target's watch knows how it ended */
    bool is_spared;     /* not sent to anyone: its server wants less (RFC 7339) */
    bool is_given_up;   /* still pending, but another target is tried in its place */
    ms_t heard_ms;      /* when it began, or its last provisional response came */
    bool is_switching;  /* RESOLVING once more, for another way to the same instance, or for more hops */
    bool is_tried;      /* has been sent to some address, be it in vain */
    struct proxy_failure {
        enum proxy_try how;
        unsigned status;
        const char *why;
    } failure; /* how the branch ends when there are no more hops */
    struct proxy_cancel cancel;
    char id[PROXY_BRANCH_BYTES];
};

/* WWW- or Proxy-Authenticate of some 401 or 407 (section 16.7 step 7). */
struct proxy_challenge {
    struct proxy_challenge *next;
    enum sip_hdr_id id;
    struct slice value;
    const struct proxy_branch *from;
};

/* Best final response so far (section 16.7 step 6). */
struct proxy_best {
    unsigned status; /* 0: none yet */
    unsigned rank;
    struct wire *wire; /* ready to go upstream, without our Via; NULL: made here */
    const struct proxy_branch *from;
    const char *why;
};

struct proxy_context {
    struct proxy_request req; /* first: steps see this */
    struct proxy_user user;
    struct list node;
    struct proxy_wait wait;
    struct arena reading;            /* of an INVITE: req.msg, until it rings */
    struct slice octets;             /* of the request, in req.arena */
    struct proxy_context *next_read; /* in proxy->read */
    bool is_resting, is_read;        /* is_read: it is there */
    struct sip_hop reply_hop;
    ms_t received_ms;
    bool is_stateless; /* forwarded by section 16.11 */
    bool has_loop_hash;
    bool is_without_server; /* never had a server transaction: is_stateless, ACK, CANCEL */

    /* Read by validate and route. */
    const struct proxy_domain
        *asked_domain;     /* ours, that the Request-URI named as the request came; or NULL */
    uint64_t loop_hash;    /* with has_loop_hash: see proxy_context_loop_hash() */
    uint32_t max_forwards; /* only when there is such a header */
    unsigned max_breadth;
    unsigned n_spirals;     /* how often it was here before (RFC 5393 section 3) */
    unsigned breadth_spent; /* given to branches, whether they have ended or not */
    struct slice *routes;   /* Route values left when ours are gone */
    size_t n_routes;
    bool is_ruri_self;        /* the Request-URI leads to this proxy, be it with a user part */
    bool is_tail_moved;       /* the last Route value became the Request-URI (a strict router sent this) */
    uint16_t prefer_listener; /* named by our own Route, or PROXY_LISTENER_NONE */
    uint64_t route_flow; /* with it: the connection of the side that the request goes to, or SIP_FLOW_NONE */
    bool has_flow;       /* our own Route names the flow it has to take (RFC 5626 section 5.3.1): */
    struct sip_hop flow;
    bool adds_path; /* a Path of ours goes on with it (section 5.1) */

    /* The response context. */
    struct list branches;
    unsigned group_q; /* of the targets now being tried */
    struct timer ring_timer;
    struct proxy_best best;
    struct proxy_challenge *challenges;
    bool is_located;       /* its targets are bindings from the location service */
    struct proxy_own *own; /* NULL: this one is forwarded, or was not looked at */
    bool is_trying_sent, is_final_sent;
    bool is_closed;    /* no new branches: cancelled, answered, or 6xx */
    bool is_cancelled; /* by the caller */
    bool is_released;
    char to_tag[18];
};

struct proxy_link {
    struct proxy_user user;
    uint32_t n_clients;
    struct txn_server *server; /* NULL when it has ended */
    struct list node;
};
_Static_assert(sizeof(struct proxy_link) <= PROXY_LINK_MAX_BYTES,
               "what an answered call leaves behind is small");

struct proxy_own {
    struct proxy_user user; /* of the server transaction once the context is gone */
    struct map_node node;
};

static inline struct proxy_context *proxy_context_of(struct proxy_request *req)
{
    return list_entry(req, struct proxy_context, req);
}

static inline bool proxy_is_invite(const struct proxy_context *c)
{
    return c->req.method == SIP_METHOD_INVITE;
}

static inline const struct proxy_listener *proxy_listener_at(const struct proxy *p, uint16_t index)
{
    return &p->opts->listeners[index];
}

static inline bool proxy_branch_is_done(const struct proxy_branch *b)
{
    return b->state == PROXY_BRANCH_DONE;
}

/* context.c: a request from its arrival to its release. */

/* What is known of a request before it has a context. */
struct proxy_arrival {
    struct sip_msg *msg;
    const struct sip_hop *from;
    const struct proxy_listener *listener;
    struct sip_hop reply_hop;
    struct slice top_via; /* in scratch or in msg */
    struct txn_key key;   /* nothing was found by it */
};

/* NULL without memory. is_stateless: no server transaction is made for it, nor for an ACK. */
struct proxy_context *proxy_context_new(struct proxy *p, const struct proxy_arrival *arrival,
                                        bool is_stateless);
void proxy_context_run_chain(struct proxy_context *c);
/* Lets go of all transactions and ends the context with this turn. Timers, tickets and branches are stopped. */
void proxy_context_release(struct proxy_context *c);
/* The same without an answer ever (a non-INVITE, RFC 4320 section 4.2). */
void proxy_context_abandon(struct proxy_context *c);
/* Frees what was released, and what was read again. */
void proxy_contexts_bury(struct proxy *p);
/* An INVITE may ring for minutes, and what comes then, more provisional responses and mostly a 2xx, needs
 * nothing of it: lets go of what was read of it and of the URIs of its targets, of which the octets stay. */
void proxy_context_rest(struct proxy_context *c);
/* From here to the end of the turn there are req.msg and the uri of each
 * target, read again if need be. ERR_NOMEM. */
MUST_USE int proxy_context_read(struct proxy_context *c);
/* Where they are. */
struct arena *proxy_context_reading(struct proxy_context *c);

/* Does it come from a source that the configuration trusts? */
bool proxy_is_trusted(const struct proxy_opts *opts, const struct sip_hop *from);

/* Tells app what is being dealt with: see ports.h. */
void proxy_concerns(struct proxy *p, struct slice call_id);

/* admit.c: who is turned away under overload. */

/* Time went by. */
void proxy_admit_tick(struct proxy *p);
/* Is a request with this hash (refused.c) refused at this time, or has it been? is_controlled: see pressure.h. */
bool proxy_admit_is_refused(struct proxy *p, uint64_t hash, bool is_controlled);
/* Half to one and a half times what is configured, the same for the same request. */
uint64_t proxy_admit_retry_after_s(const struct proxy *p, uint64_t hash);
/* A request that begins something. False: it has been answered 503. */
bool proxy_admit(struct proxy *p, const struct proxy_arrival *arrival);

/* refused.c: which requests have been turned away, not longer ago than their clients may repeat them. */

MUST_USE int proxy_refused_init(struct proxy *p);
void proxy_refused_done(struct proxy *p);
/* Which request it is, by its top Via: copies of it and its ACK have the same, others another (sections
 * 8.1.1.7 and 17.1.1.3), where its branch begins with the magic cookie. */
uint64_t proxy_refused_hash(const struct proxy *p, struct slice top_via);
/* What is known of it is brought from memory meanwhile: it will be asked for, or noted, soon. */
void proxy_refused_expect(const struct proxy *p, uint64_t hash);
/* The same for a request of any client; 0: it has no Via that can be read. */
uint64_t proxy_refused_hash_of(const struct proxy *p, struct sip_msg *request);
/* Has any been? Then there may be copies and ACKs of it. */
bool proxy_refused_any(const struct proxy *p);
/* Has this one been? */
bool proxy_refused_knows(const struct proxy *p, uint64_t hash);
/* It is now: remembered, and counted. */
void proxy_refused_note(struct proxy *p, uint64_t hash);

/* emergency.c: RFC 5031, or one of the numbers that are configured. */
bool proxy_is_emergency(const struct proxy_opts *opts, struct slice ruri);

/* refuse.c: under overload, before a message is parsed. True: it was a request that is refused now, or the
 * ACK of one that has been, and that is that: nothing is left of it, and the turn has ended. */
bool proxy_refuse(struct proxy *p, struct slice bytes, const struct sip_hop *from);

/* oc.c: RFC 7339 toward who is upstream. Errors: no memory. */

/* Does the sender of a request want to be told how much less to send, and is he told here? */
bool proxy_oc_is_asked(struct proxy *p, const struct sip_via *via);
/* Notes in reply_hop that the sender of a request does as he is told, and takes what he asks by out of
 * top_via, which goes no further (section 5.6: "a SIP proxy SHOULD strip the overload control parameters
 * inserted by the client before proxying the request further downstream"). */
MUST_USE int proxy_oc_arrive(struct proxy *p, const struct sip_via *via, struct proxy_arrival *arrival);
/* What is added to the top Via of a response on its way there; empty for who
 * does not want to know. Holds until time goes by. */
struct slice proxy_oc_answer(struct proxy *p, const struct sip_hop *to);
/* The same, added to the text of one. */
MUST_USE int proxy_oc_fill(struct proxy *p, const struct sip_hop *to, struct slice *via_text);

/* neighbour.c: RFC 7339 toward who is downstream. */

void proxy_neighbours_done(struct proxy *p);
/* A response with this Via of ours has come from there. */
void proxy_neighbour_hear(struct proxy *p, const struct addr *server, const struct sip_via *ours);
/* The response of this turn is to a request that was sent there. What it
 * says counts when it has come from there. */
void proxy_neighbour_heard(struct proxy *p, const struct sip_hop *sent_to, struct sip_msg *response);
/* It has answered a request, or could not be reached, or has been silent. */
void proxy_neighbour_fared(struct proxy *p, const struct addr *server, bool has_answered);
/* May a request go there? is_cat2: there is no reason not to while others could be left out (section 7.2).
 * lot: drawn at random, and the same for the same request. */
bool proxy_neighbour_admits(struct proxy *p, const struct addr *server, bool is_cat2, uint64_t lot);

/* order.c: which targets are tried when. */

/* Starts branches as order and Max-Breadth allow; when all have ended, sends the best response and releases. */
void proxy_context_advance(struct proxy_context *c);
/* No new branches, and an end to those that are pending (section 16.7 step 10). */
void proxy_context_close(struct proxy_context *c, const struct proxy_cancel *cancel);
/* The caller cancelled (section 16.10). reason: of its Reason header, in the context's arena, or absent. */
void proxy_context_cancel(struct proxy_context *c, struct slice reason);
void proxy_ring_timer_init(struct proxy_context *c);

void proxy_wait_start(struct proxy *p, struct proxy_wait *wait);
void proxy_wait_stop(struct proxy *p, struct proxy_wait *wait);
struct proxy_wait *proxy_wait_find(struct proxy *p, uint64_t ticket);

/* The rest of what this watch looks after stays untried. */
void proxy_targets_skip(struct proxy_context *c, const struct proxy_watch *watch);

/* branch.c; what its parts share is in branch.h. */

/* Starts a branch to target with this share of Max-Breadth; it may have ended when this returns. ERR_NOMEM:
 * not started. */
MUST_USE int proxy_branch_start(struct proxy_context *c, struct proxy_target *target, unsigned breadth);
struct proxy_branch_input {
    struct sip_msg *response;
    const struct sip_hop *hops;
    size_t n_hops;
    const struct proxy_cancel *cancel;
    int err;
};
/* Lets an event happen to a branch; the caller advances the context. */
void proxy_branch_happen(struct proxy_branch *b, enum proxy_branch_event event,
                         const struct proxy_branch_input *in);
/* Another target is tried in its place. */
void proxy_branch_give_up(struct proxy_branch *b);
/* The context is let go: the watch of a branch that is still under way is told. */
void proxy_branch_drop(struct proxy_branch *b);
struct slice proxy_branch_text(const struct proxy_branch *b);

/* attempt.c */

/* The request as it was sent to the address being tried, made again as far as an ACK or a CANCEL repeats it. */
MUST_USE int proxy_attempt_request(struct proxy_branch *b, struct wire **ret_wire);
/* Does the server there want to be sent this request? */
bool proxy_may_send(struct proxy_branch *b, const struct addr *server);

/* lookup.c: RFC 3263. */

/* The question where a request of this context goes next. */
struct proxy_lookup proxy_lookup_of(struct proxy_context *c, const struct sip_uri *next, uint64_t ticket);
/* Tells how a request fared that went to hop at sent_ms; nothing of those that went by a flow. */
void proxy_report(struct proxy *p, const struct sip_hop *hop, enum proxy_fate fate, ms_t sent_ms,
                  uint32_t retry_after_s);
/* False: the response has no Retry-After that can be read. */
bool proxy_retry_after(struct sip_msg *response, uint32_t *ret_seconds);

/* forward.c: section 16.6. */

struct proxy_copy {
    struct proxy_context *context;
    const struct proxy_target *target;
    struct sip_hop hop; /* where it goes, its listener chosen */
    struct slice branch;
    struct slice via_extra;   /* further Via parameters, with their ';', or absent */
    unsigned max_breadth;     /* RFC 5393; 0: as it came */
    uint16_t record_listener; /* what stands in Record-Route for the outgoing side */
    bool is_for_follow_up;    /* right only in what ACK and CANCEL repeat (sections 17.1.1.3 and 9.1) */
};
/* Steps 1 to 6, 8 and 9: the copy as it will be sent. In scratch but for the wire. */
MUST_USE int proxy_forward_build(const struct proxy_copy *copy, struct wire **ret_wire);
/* The Via value that leads back to a listener, but for further parameters. */
void proxy_via_put(const struct proxy_opts *opts, struct buf *out, const struct proxy_listener *l,
                   enum sip_transport transport, struct slice branch);
/* As above, but over TCP instead of UDP when it is too long for that (section 18.1.1): copy->hop is changed
 * then and ret_by_size is true. */
MUST_USE int proxy_forward_build_sized(struct proxy_copy *copy, struct wire **ret_wire, bool *ret_by_size);

/* The first element of a comma-separated list of name-addrs; a comma inside quotes or <> does not separate. */
struct slice proxy_first_element(struct slice list);
/* next_hop.c: section 16.6 step 6, and the input of step 7. */

/* Must it be sent there by TLS? */
bool proxy_target_is_secure(const struct proxy_target *target);

struct proxy_plan {
    struct slice ruri;   /* Request-URI of the copy */
    struct slice push;   /* Route values that go on top, or absent */
    bool is_rewritten;   /* all Route values are replaced by these: */
    struct slice routes; /* ... or none, when absent */
    struct sip_uri next; /* where to: input to RFC 3263 */
    bool is_next_secure; /* SIPS in the Request-URI or in the topmost Route (step 4) */
};
/* ERR_SYNTAX: the topmost Route value cannot be used. */
MUST_USE int proxy_plan_make(const struct proxy_context *c, const struct proxy_target *target,
                             struct proxy_plan *ret_plan);

/* uri_text.c */

/* The URI as it may stand in a Request-URI: without headers and method parameter (sections 16.6 step 2
 * and 19.1.5). The text itself when there is nothing to remove. Absent when arena is full. */
struct slice proxy_uri_for_request(const struct sip_uri *uri, struct arena *arena);
/* Section 16.4: without maddr and what is not default in port and transport. Absent when arena is full. */
struct slice proxy_uri_without_maddr(const struct sip_uri *uri, struct arena *arena);

/* targets.c: asks the location service again: who has registered since is in the target set then (section 16.5). A
 * spiral is not looked after: its targets are counted (order.c). */
void proxy_targets_renew(struct proxy_context *c);

/* validate.c: the second part of its branches (RFC 5393 section 4.2.1), found out when it is first asked for:
 * what is answered here needs none. */
uint64_t proxy_context_loop_hash(struct proxy_context *c);

/* validate.c: a Via that some process of ours has written. */
bool proxy_reads_own_via(const struct proxy *p, struct slice element, struct proxy_branch_id *ret_id);

/* validate.c: 420 unless everything in Require is supported, which is for a UAS to check (section 8.2.2.3).
 * False: answered. */
bool proxy_check_require(struct proxy_context *c);

/* merged.c: the end of what proxy_check_merged() noted, with the server transaction. NULL is fine. */
void proxy_own_free(struct proxy *p, struct proxy_own *own);
/* All of it. */
void proxy_own_clear(struct proxy *p);

/* reply.c: the To tag of the responses that are made here, the same in all of them (section 8.2.6.2). */
struct slice proxy_own_tag(struct proxy_context *c);

/* uas.c: section 11, the answer to an OPTIONS that goes no further. */
enum proxy_verdict proxy_answer_options(struct proxy_context *c, const char *why);

/* listener.c: have the listeners of one family several addresses, so that the routes of the host choose? */
bool proxy_listeners_are_multihomed(const struct proxy_opts *opts);

/* listener.c: which listener a message leaves from: one that is asked for (prefer_a), else one that leads there by the
 * routes of this host, prefer_b before others. ERR_NOTFOUND: none for this transport and address family.
 */
MUST_USE int proxy_listener_choose(const struct proxy *p, const struct sip_hop *hop, uint16_t prefer_a,
                                   uint16_t prefer_b, uint16_t *ret_index);

/* record_route.c */

/* RFC 3327 section 5.2. */
void proxy_add_path(const struct proxy_copy *copy, struct sip_edit *edit);
void proxy_record_route(const struct proxy_copy *copy, const struct proxy_plan *plan, struct sip_edit *edit);

/* response.c: section 16.7. */

/* What services want edited in a response of this turn that goes upstream to `to`. */
void proxy_response_edit(const struct proxy *p, struct sip_msg *response, const struct sip_hop *to,
                         struct sip_edit *edit);
/* Without our Via (step 3), ready to go upstream to `to`. ERR_NOTFOUND: no other Via is left, it was meant
 * for us. */
MUST_USE int proxy_response_strip(struct proxy *p, struct sip_msg *response, const struct sip_hop *to,
                                  struct wire **ret_wire);
/* Sends it on by this server transaction at once (steps 3 and 9). */
MUST_USE int proxy_response_forward(struct proxy *p, struct txn_server *server, struct sip_msg *response);
/* A provisional response (step 5). */
void proxy_response_provisional(struct proxy_branch *b, struct sip_msg *response);
/* The first 2xx of a branch, and further ones (steps 5 and 10). */
void proxy_response_accept(struct proxy_branch *b, struct sip_msg *response);
/* A final response 300-699: recursion, challenges, best (steps 4, 6, 7). */
void proxy_response_add(struct proxy_branch *b, struct sip_msg *response);
/* The same for what is made here. */
void proxy_response_add_local(struct proxy_context *c, const struct proxy_branch *b, unsigned status,
                              const char *why);
/* Sends the best one. */
void proxy_response_send_best(struct proxy_context *c);

/* recurse.c: makes targets of the contacts of a 3xx (section 16.7 step 4). What is left of the response is
 * what has to be added to the response context: false when nothing is. ret_wire: the response without our Via
 * and those contacts, or NULL when none was taken and it stays as it is. */
MUST_USE bool proxy_recurse(struct proxy_context *c, struct sip_msg *response, struct wire **ret_wire);

/* cancel.c */

/* A CANCEL from upstream. False: no transaction of ours is meant. */
bool proxy_cancel_receive(struct proxy *p, const struct proxy_arrival *arrival);
/* Sends the CANCEL of a branch in Proceeding. */
void proxy_cancel_send(struct proxy_branch *b);

/* stateless.c: section 16.11. */

enum proxy_verdict proxy_stateless_forward(struct proxy_context *c);
/* The address is known: sends, and ends the context. False: this request needs a transaction after all, and has
 * got one: the branch goes on with it (section 16.1). */
MUST_USE bool proxy_stateless_send(struct proxy_branch *b, const struct sip_hop *hops, size_t n_hops);
/* A response without a transaction; false: not to be forwarded. */
bool proxy_stateless_response(struct proxy *p, struct sip_msg *response, const struct sip_hop *from);

/* reply.c */

/* The Retry-After of a 503; the digits are its value. */
#define PROXY_RETRY_AFTER_BYTES 20
struct sip_extra proxy_retry_after_extra(uint64_t seconds, char digits[PROXY_RETRY_AFTER_BYTES]);

/* A response to something that has no context. */
void proxy_reply_stateless(struct proxy *p, const struct proxy_arrival *arrival, unsigned status,
                           struct slice phrase, const struct sip_extra *extra, const char *why);
/* The same for a 503 under overload, whose To tag is that of a refusal (token.h); but for a request that has
 * come by here before, whose transaction of then sends this tag on, and needs the ACK. */
void proxy_reply_refusal(struct proxy *p, const struct proxy_arrival *arrival, const struct sip_extra *extra,
                         const char *why);
/* 200 to a CANCEL, by a server transaction of its own, which answers when it is repeated (section 16.10). Its
 * To tag is that of our answer to the INVITE, because both are made from what the two requests have in common
 * (section 9.2). */
void proxy_reply_cancel(struct proxy *p, const struct proxy_arrival *arrival);
/* The final response of a context, made here. */
void proxy_reply_final(struct proxy_context *c, unsigned status, struct slice phrase,
                       const struct sip_extra *extra, const char *why);
void proxy_reply_trying(struct proxy_context *c);
void proxy_reply_unavailable(struct proxy *p, const struct proxy_arrival *arrival, const char *why);
/* Sends. A response whose connection is gone goes to where a new one can be opened (section 18.2.2). */
MUST_USE int proxy_send(struct proxy *p, const struct sip_hop *hop, struct wire *wire, uint64_t token);
/* Sends something for which nobody waits. */
void proxy_send_quietly(struct proxy *p, const struct sip_hop *hop, struct wire *wire);

/* originate.c: what happens to a request of our own making. */
void proxy_origin_response(struct proxy_user *user, struct sip_msg *response);
void proxy_origin_timeout(struct proxy_user *user);
void proxy_origin_transport_error(struct proxy_user *user);
void proxy_origin_resolved(struct proxy_wait *wait, int err, const struct sip_hop *hops, size_t n_hops);
/* All that are under way, without an answer. */
void proxy_originations_drop(struct proxy *p);

/* backup.c: RFC 3263 section 5. */

/* A response that could not be sent to `failed` looks for another way. server: the token
 * of its transaction, which is told when none is left, or 0. False: there is none to look
 * for, or no room; nobody is told then. */
bool proxy_backup_begin(struct proxy *p, const struct sip_hop *failed, struct wire *wire, uint64_t server);
/* The same for what the transaction of this token keeps, if it is a server's. */
bool proxy_backup_of_server(struct proxy *p, uint64_t server);
/* A message with this token did not arrive. False: it is none of a backup. */
bool proxy_backup_failed(struct proxy *p, uint64_t token);
void proxy_backup_resolved(struct proxy_wait *wait, int err, const struct sip_hop *hops, size_t n_hops);
void proxy_backups_drop(struct proxy *p);

/* explain.c: every decision with its reason. */

void proxy_explain_aloud(struct proxy_context *c, const struct proxy_branch *b, const char *event,
                         unsigned status, const char *why);
/* There are a dozen for each request, and seldom somebody who listens. */
static inline void proxy_explain(struct proxy_context *c, const struct proxy_branch *b, const char *event,
                                 unsigned status, const char *why)
{
    if (log_get_level() >= LOG_DEBUG)
        proxy_explain_aloud(c, b, event, status, why);
}
void proxy_explain_message(struct proxy *p, enum proxy_log_kind kind, enum log_level level, const char *event,
                           struct sip_msg *msg, unsigned status, const char *why);

/* keep.c: the text of a top Via with the answer to a `keep` in it (RFC 6223). Scratch memory where it changes. */
MUST_USE int proxy_keep_answer(struct proxy *p, struct slice *via_text);

/* self.c */

/* What such a URI is looked up by: the same, with its `gr` parameter when it is a GRUU: "the "gr" URI
 * parameter is not removed as part of the canonicalization process" (RFC 5627 section 6.1). */
MUST_USE int proxy_uri_index(const struct proxy_domain *domain, const struct sip_uri *uri, struct buf *out);
/* May the caller send to anywhere: a trusted source, a user who has proved who he is, one in a
 * dialog of ours, or one whom a route lets? */
bool proxy_may_relay(const struct proxy_request *req);
bool proxy_host_is_ours(const struct proxy_opts *opts, struct slice host);
bool proxy_via_is_ours(const struct proxy_opts *opts, const struct sip_via *via);

/* proxy.c */
void proxy_branch_id_new(struct proxy *p, uint64_t loop_hash, char out[PROXY_BRANCH_BYTES]);

#endif
