/* Random calls through one proxy core, on a virtual clock and a network that loses, doubles, delays and
 * reorders. Everything follows from the seed.
 *
 *   net.c     events in order of time; what the network does to a datagram
 *   client.c  client transactions of callers and phones: INVITE, CANCEL, ACK, BYE, MESSAGE, REGISTER
 *   phone.c   phones that answer, are busy, decline, redirect, challenge, stay silent, ring for ever, or are
 * rude oracle.c  stands between network and proxy, sees every message on both sides and knows what must hold
 *   main.c    seeds, worlds, and the loop */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include "plain.h"
#include "services.h"
#include "world.h"

#define SIM_USERS  6
#define SIM_PHONES 3 /* of one user, at most */
#define SIM_T1_MS  500
#define SIM_T2_MS  4000
#define SIM_B_MS   (64 * SIM_T1_MS)

struct sim;

/* Strings to things. */
struct dict_entry {
    struct dict_entry *next;
    struct slice key;
    void *value;
};
struct dict {
    struct dict_entry *buckets[1024];
};
void *dict_get(const struct dict *d, struct slice key);
void dict_put(struct heap *heap, struct dict *d, struct slice key, void *value);

enum ua_kind { UA_CALLER, UA_PHONE };

struct ua {
    enum ua_kind kind;
    struct addr addr;
    uint8_t transport;
    unsigned user; /* whose phone */
    struct slice aor, contact;
    unsigned q_milli;
    bool is_dead;         /* the network cannot reach it any more */
    uint64_t flow;        /* its connection, if it has one */
    ms_t last_arrival_ms; /* a stream keeps its order */
};

enum plan {
    PLAN_ANSWER,
    PLAN_BUSY,
    PLAN_DECLINE,
    PLAN_REDIRECT,
    PLAN_CHALLENGE,
    PLAN_ERROR,
    PLAN_SILENT,
    PLAN_RING,
    PLAN_RUDE,
    PLANS
};

/* A client transaction of a user agent. */
struct client {
    struct ua *ua;
    struct slice method, branch, request;
    struct plain msg;
    bool got_1xx, is_over;
    unsigned final_status; /* 0: none yet */
    struct slice final_bytes;
    ms_t interval_ms;
    struct client *of; /* of a CANCEL: its INVITE */
    bool wants_cancel, has_cancel, is_retry;
    unsigned n_dialogs;
    struct slice dialog_tags[8], acks[8];
};

/* A server transaction of a phone. */
struct server {
    struct ua *ua;
    struct plain msg;
    struct slice to_tag, last, final_2xx;
    enum plan plan;
    unsigned final_status;
    bool is_acked;
    ms_t interval_ms;
    unsigned steps;
};

enum event_kind {
    EVENT_TO_PROXY,
    EVENT_TO_UA,
    EVENT_CLIENT,
    EVENT_CLIENT_TIMEOUT,
    EVENT_CANCEL,
    EVENT_SERVER,
    EVENT_REPEAT,
    EVENT_CALL,
    EVENT_CRASH,
    EVENT_BREAK,
    EVENT_DIE
};

struct event {
    ms_t at_ms;
    uint64_t order;
    enum event_kind kind;
    struct ua *ua;
    struct client *client;
    struct server *server;
    struct slice bytes;
    uint64_t flow;
    bool is_hostile; /* no honest message: the oracle does not count it */
};

struct params {
    unsigned loss, duplication; /* in a thousand */
    unsigned delay_ms;          /* at most */
    bool auth, crash, breaks, gateways;
    unsigned calls;
};

struct sim {
    uint64_t seed;
    struct params params;
    struct world world;
    struct heap *heap;
    uint64_t random_state;
    struct event *events; /* a heap by time and order */
    size_t n_events, room_events;
    uint64_t n_ordered;
    struct ua *uas[SIM_USERS * SIM_PHONES + 1024];
    size_t n_uas;
    struct dict clients, servers, dialogs, uas_by_ip;
    unsigned n_branches, n_tags;
    struct oracle *oracle;
    bool verbose;
    uint64_t n_messages;
    struct slice failure; /* the first thing that was wrong; absent: nothing */
};

uint32_t sim_random(struct sim *s, uint32_t below);
bool sim_chance(struct sim *s, unsigned per_thousand);
void sim_fail(struct sim *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* See plain.h; empty when the message has no such part. */
struct slice sim_path(struct sim *s, const struct plain *m, const char *path);
struct ua *sim_ua_at(struct sim *s, const struct addr *addr);

/* net.c */
void net_at(struct sim *s, ms_t delay_ms, struct event event);
bool net_next(struct sim *s, ms_t *ret_at_ms);
struct event net_take(struct sim *s);
/* From a user agent to the proxy; flow 0 over a stream: its own connection. */
void net_to_proxy(struct sim *s, struct ua *ua, struct slice bytes, uint64_t flow, bool is_hostile);
void net_to_ua(struct sim *s, struct ua *ua, struct slice bytes, uint64_t flow);

/* client.c */
struct client *client_request(struct sim *s, struct ua *ua, struct slice method, struct slice uri,
                              struct slice more);
void client_response(struct sim *s, struct ua *ua, const struct plain *response);
void client_timer(struct sim *s, struct client *c);
void client_timeout(struct sim *s, struct client *c);
void client_cancel(struct sim *s, struct client *c);
/* A request inside a dialog; the routes in the order in which they are to be visited. */
struct client *client_in_dialog(struct sim *s, struct ua *ua, struct slice method, struct slice target,
                                const struct slice *routes, size_t n_routes, struct slice from,
                                struct slice to, struct slice call_id, unsigned cseq);

/* phone.c */
void phone_request(struct sim *s, struct ua *ua, const struct plain *request, uint64_t flow);
void phone_step(struct sim *s, struct server *t);
void phone_repeat(struct sim *s, struct server *t);

/* oracle.c */
void oracle_new(struct sim *s);
void oracle_forget(struct sim *s); /* the process has died */
/* An honest message is about to be given to the proxy, or has been. */
void oracle_before(struct sim *s, const struct plain *msg);
void oracle_after(struct sim *s);
void oracle_sent(struct sim *s, const struct plain *msg, uint8_t transport, const struct ua *ua);
void oracle_end(struct sim *s);

#endif
