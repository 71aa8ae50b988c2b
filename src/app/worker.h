/* A worker: one thread with its event loop, transport and proxy core. Workers share nothing but what struct
 * worker_opts names, and talk by mail. All messages of a call are handled by one worker: the one its Call-ID
 * hashes to. */
#ifndef APP_WORKER_H
#define APP_WORKER_H

#include "app/mail.h"
#include "config/config.h"
#include "dns/health.h"
#include "dns/hosts.h"
#include "net/names.h"
#include "proxy/proxy.h"
#include "transport/transport.h"

struct worker;

struct worker_opts {
    unsigned index, n_workers;
    struct worker **workers;        /* all of them, by index; complete before the first starts */
    const struct proxy_opts *proxy; /* worker number not yet set */
    const struct transport_listener *listeners;
    size_t n_listeners;
    const struct transport_limits *limits;
    const struct net_upgrade_policy *websockets;
    struct transport_registry *registry;
    const struct config_dns *dns;
    const struct dns_hosts *hosts;
    struct dns_health *health; /* of the servers that requests go to */
    struct net_tls *tls;       /* NULL: no listener has it */
    struct net_names *names;   /* that peers must prove; NULL: none has to */
    const struct slice *trusted_peers;
    size_t n_trusted_peers;
    struct hash_key call_key; /* the same in all workers: which worker a Call-ID belongs to */
    size_t inbox_capacity;
    /* proxy_ports.locate */
    int (*locate)(void *ctx, struct slice aor, unix_s_t now_s, struct arena *arena, size_t max,
                  const struct proxy_binding **ret_bindings, size_t *ret_count);
    /* The result of a MAIL_RESUME is no longer needed. */
    void (*release_result)(void *ctx, void *result);
    /* A core begins, and is gone: services may keep timers in it and ask others through it. Detached also when
     * attaching failed. */
    int (*attach)(void *ctx, struct proxy *proxy);
    void (*detach)(void *ctx, unsigned worker);
    void *services; /* context of all of them */
};

/* Opens the sockets; the thread does not run yet. *ret_failed: index of the listener that could not be
 * opened, or n_listeners. */
MUST_USE int worker_new(const struct worker_opts *opts, size_t *ret_failed, struct worker **ret_worker);
MUST_USE int worker_start(struct worker *worker);
/* After MAIL_STOP. */
void worker_join(struct worker *worker);
/* Only when its thread does not run, and no other thread posts to it. */
void worker_free(struct worker *worker);

/* From any thread: mail is the worker's from then on. ERR_AGAIN: its inbox is full; mail is still the
 * caller's. */
MUST_USE int worker_post(struct worker *worker, struct mail *mail);

/* Requests that wait for something, as of the worker's last turn. From any thread. */
size_t worker_pending(const struct worker *worker);

#endif
