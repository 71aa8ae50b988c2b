#include "app/worker.h"
#include "base/log.h"
#include "base/mem.h"
#include "crypto/crypto.h"
#include "dns/resolver.h"
#include "dns/unbound.h"
#include "net/inbox.h"
#include "net/interfaces.h"
#include "sip/peek.h"
#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Mail read in one turn: while others post without pause, the worker's own
 * sockets and its clock have their turn too. */
#define MAIL_PER_TURN 256

/* Look-ups of one worker that wait for a name server, their questions (a look-up has up to 4 + 2 * DNS_HOSTS_MAX
 * of them), and their memory. Above, names are not found. */
#define LOOKUPS_MAX 4096
/* ... because of one source that is not trusted. */
#define LOOKUPS_OF_ONE_MAX 256
#define QUESTIONS_MAX      16384
#define LOOKUPS_BYTES      (64 * 1024 * 1024)
_Static_assert(DNS_HOPS_STEP == PROXY_HOPS_STEP, "the core knows when there may be more");
_Static_assert(DNS_HOPS_MAX == PROXY_HOPS_MAX, "the core takes what the resolver gives");

/* Where messages wait one behind the other (proxy_waited): what other workers hand over, and each queue of the
 * transport. */
#define QUEUE_OF_MAIL       0u
#define QUEUES_OF_TRANSPORT 1u

struct worker {
    struct worker_opts opts;
    struct proxy_opts proxy_opts;
    pthread_t thread;
    struct net_loop *loop;
    struct net_inbox *inbox;
    struct net_hook end_of_turn;
    struct transport *transport;
    struct dns_unbound *unbound;
    struct dns_source dns;
    struct dns_resolver *resolver;
    struct net_interfaces *interfaces;
    struct proxy *proxy;
    struct counters counters;
    ms_t told_ms;       /* the time the core has been told */
    uint32_t waited_us; /* what comes from the transport now */
    _Atomic size_t pending;
    bool stopping;
};

size_t worker_pending(const struct worker *worker)
{
    return atomic_load_explicit(&worker->pending, memory_order_acquire);
}

int worker_post(struct worker *worker, struct mail *mail)
{
    return net_inbox_put(worker->inbox, mail);
}

/* The core is told the time before anything else in a turn, so that no timer starts in the past. */
static void tell_time(struct worker *w)
{
    ms_t now = net_loop_now_ms(w->loop);
    if (now == w->told_ms)
        return;
    w->told_ms = now;
    proxy_advance(w->proxy, now, clock_unix_s());
}

/* ---- to other workers ---- */

/* Loses the mail, as a network would, when the other's inbox is full. */
static int hand_over(struct worker *w, unsigned to, struct mail *mail)
{
    if (mail == NULL) {
        counter_inc(&w->counters, COUNTER_SHED);
        return ERR_NOMEM;
    }
    int rc = worker_post(w->opts.workers[to], mail);
    if (rc != 0) {
        counter_inc(&w->counters, COUNTER_HANDOVERS_FULL);
        mail_free(mail);
        return rc;
    }
    counter_inc(&w->counters, COUNTER_HANDOVERS);
    return 0;
}

/* The worker that a message belongs to. */
static unsigned worker_of(const struct worker *w, struct slice message)
{
    char memory[SIP_PEEK_SUBJECT_BYTES];
    if (w->opts.n_workers == 1)
        return w->opts.index;
    struct slice subject = sip_peek_subject(message, memory);
    if (slice_is_null(subject))
        return w->opts.index;
    return proxy_call_worker(&w->opts.call_key, w->opts.n_workers, subject);
}

static void receive(struct worker *w, struct slice bytes, const struct sip_hop *from, bool datagram)
{
    tell_time(w);
    proxy_receive(w->proxy, bytes, from, datagram);
    transport_mark(w->transport, 0);
}

/* ---- from the transport ---- */

static void on_waited(void *ctx, unsigned queue, uint32_t waited_us, uint32_t lost)
{
    struct worker *w = ctx;
    tell_time(w);
    w->waited_us = waited_us;
    proxy_waited(w->proxy, QUEUES_OF_TRANSPORT + queue, waited_us, lost);
}

static void on_receive(void *ctx, struct slice bytes, const struct sip_hop *from, bool datagram)
{
    struct worker *w = ctx;
    unsigned owner = worker_of(w, bytes);
    if (owner == w->opts.index) {
        receive(w, bytes, from, datagram);
        return;
    }
    struct mail *mail = mail_new(MAIL_RECEIVE, bytes);
    if (mail != NULL) {
        mail->hop = *from;
        mail->datagram = datagram;
        mail->came_us = net_loop_now_us(w->loop) - w->waited_us;
    }
    (void)hand_over(w, owner, mail);
}

static void on_bad(void *ctx, struct slice head, const struct sip_hop *from, unsigned status,
                   const char *phrase)
{
    struct worker *w = ctx;
    tell_time(w);
    proxy_receive_bad(w->proxy, head, from, status, phrase);
}

/* The message may have been another worker's that came here for its flow. Tokens are not told apart by
 * worker, and failures are few: everyone is told, and who does not know the token ignores it. */
static void on_send_failed(void *ctx, uint64_t token)
{
    struct worker *w = ctx;
    tell_time(w);
    proxy_send_failed(w->proxy, token);
    for (unsigned i = 0; i < w->opts.n_workers; i++) {
        if (i == w->opts.index)
            continue;
        struct mail *mail = mail_new(MAIL_SEND_FAILED, SLICE(""));
        if (mail != NULL)
            mail->token = token;
        (void)hand_over(w, i, mail);
    }
}

/* Workers share their ports, so the kernel may give the error to another's
 * socket than the one that sent the datagram. */
static void on_refused(void *ctx, struct slice datagram_head)
{
    struct worker *w = ctx;
    unsigned owner = worker_of(w, datagram_head);
    if (owner == w->opts.index) {
        tell_time(w);
        proxy_send_refused(w->proxy, datagram_head);
        return;
    }
    (void)hand_over(w, owner, mail_new(MAIL_REFUSED, datagram_head));
}

static int on_other_worker(void *ctx, unsigned worker, const struct sip_hop *hop, struct wire *wire,
                           uint64_t token)
{
    struct worker *w = ctx;
    if (worker >= w->opts.n_workers)
        return ERR_CLOSED;
    struct mail *mail = mail_new(MAIL_SEND, wire_slice(wire));
    if (mail != NULL) {
        mail->hop = *hop;
        mail->token = token;
    }
    return hand_over(w, worker, mail);
}

static const struct transport_ops transport_ops = {
    .waited = on_waited,
    .receive = on_receive,
    .bad = on_bad,
    .send_failed = on_send_failed,
    .refused = on_refused,
    .other_worker = on_other_worker,
};

/* ---- ports of the core ---- */

static int port_send(void *ctx, const struct sip_hop *hop, struct wire *wire, uint64_t token)
{
    struct worker *w = ctx;
    return transport_send(w->transport, hop, wire, token);
}

/* The same for the same Call-ID, and seldom for others. */
static uint32_t mark_of(struct slice call_id)
{
    uint64_t hash = call_id.len, word;
    if (slice_is_null(call_id))
        return 0;
    for (size_t at = 0; at < call_id.len; at += sizeof(word)) {
        size_t n = call_id.len - at < sizeof(word) ? call_id.len - at : sizeof(word);
        word = 0;
        memcpy(&word, call_id.ptr + at, n);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15U;
        hash ^= hash >> 32;
    }
    return (uint32_t)hash != 0 ? (uint32_t)hash : 1;
}

static void port_concerns(void *ctx, struct slice call_id)
{
    struct worker *w = ctx;
    transport_mark(w->transport, mark_of(call_id));
}

static void port_absorb(void *ctx, struct slice mark)
{
    struct worker *w = ctx;
    transport_absorb(w->transport, mark);
}

static int port_resolve(void *ctx, const struct proxy_lookup *lookup, struct sip_hop ret_hops[PROXY_HOPS_MAX],
                        size_t *ret_count)
{
    struct worker *w = ctx;
    const struct dns_request request = {.uri = lookup->uri,
                                        .ticket = lookup->ticket,
                                        .seed = lookup->seed,
                                        .is_steady = lookup->is_steady,
                                        .n_failed = lookup->n_failed,
                                        .source = lookup->source};
    return dns_resolver_resolve(w->resolver, &request, ret_hops, PROXY_HOPS_MAX, ret_count);
}

static void port_report(void *ctx, const struct proxy_report *report)
{
    static const enum dns_outcome outcomes[] = {[PROXY_FATE_ANSWERED] = DNS_OUTCOME_ANSWERED,
                                                [PROXY_FATE_TIMEOUT] = DNS_OUTCOME_TIMEOUT,
                                                [PROXY_FATE_UNREACHABLE] = DNS_OUTCOME_UNREACHABLE,
                                                [PROXY_FATE_UNAVAILABLE] = DNS_OUTCOME_UNAVAILABLE};
    struct worker *w = ctx;
    dns_health_report(w->opts.health, report->hop, outcomes[report->fate], net_loop_now_ms(w->loop),
                      report->elapsed_ms, report->retry_after_s);
}

static int port_locate(void *ctx, struct slice aor, unix_s_t now_s, struct arena *arena, size_t max,
                       const struct proxy_binding **ret_bindings, size_t *ret_count)
{
    struct worker *w = ctx;
    return w->opts.locate(w->opts.services, aor, now_s, arena, max, ret_bindings, ret_count);
}

static bool port_leads(void *ctx, const struct addr *from, const struct addr *to)
{
    struct worker *w = ctx;
    return net_interfaces_lead(w->interfaces, from, to, net_loop_now_ms(w->loop));
}

static void port_random(void *ctx, void *out, size_t bytes)
{
    (void)ctx;
    if (crypto_random_bytes(out, bytes) != 0) {
        /* Branches and tags that can be guessed would let strangers into other people's calls. */
        log_event(LOG_ERROR, "random.none",
                  log_cstr("remedy", "the system gives no random octets: see getrandom(2)"));
        abort();
    }
}

static uint32_t draw_generation(void)
{
    uint32_t generation;
    port_random(NULL, &generation, sizeof(generation));
    return generation;
}

/* ---- names ---- */

static void on_resolved(void *ctx, uint64_t ticket, int err, const struct sip_hop *hops, size_t count)
{
    struct worker *w = ctx;
    tell_time(w);
    proxy_resolved(w->proxy, ticket, err, hops, count);
}

static ms_t loop_now_ms(void *ctx)
{
    struct worker *w = ctx;
    return net_loop_now_ms(w->loop);
}

static struct dns_spoken spoken_of(const struct proxy_opts *proxy)
{
    struct dns_spoken spoken = {0};
    for (size_t i = 0; i < proxy->n_listeners; i++) {
        const struct proxy_listener *l = &proxy->listeners[i];
        spoken.families[l->transport] |= l->addr.family == ADDR_IPV4 ? DNS_IPV4 : DNS_IPV6;
    }
    return spoken;
}

static int new_unbound(struct worker *w)
{
    const struct config_dns *dns = w->opts.dns;
    const struct dns_unbound_opts opts = {
        .loop = w->loop,
        .servers = dns->servers,
        .n_servers = dns->n_servers,
        /* Within the time that a look-up waits. */
        .stale_after_ms = dns->serve_stale_s > 0 ? dns->timeout_ms / 2 : 0,
        .stale_max_s = dns->serve_stale_s,
        .max_ttl_s = dns->max_ttl_s,
        .cache_bytes = dns->cache_bytes,
        .trust_anchor_file = dns->trust_anchor[0] != '\0' ? dns->trust_anchor : NULL,
        .max_questions = QUESTIONS_MAX,
    };
    const char *why;
    int rc = dns_unbound_new(&opts, &why, &w->unbound);
    if (rc != 0)
        log_event(LOG_ERROR, "start.dns_failed", log_cstr("error", err_name(rc)), log_cstr("why", why));
    return rc;
}

static int new_resolver(struct worker *w)
{
    int rc = new_unbound(w);
    if (rc != 0)
        return rc;
    w->dns = dns_unbound_source(w->unbound);
    const struct dns_resolver_opts opts = {
        .hosts = w->opts.hosts,
        .names = w->opts.names,
        .health = w->opts.health,
        .source = &w->dns,
        .spoken = spoken_of(w->opts.proxy),
        .wheel = net_loop_wheel(w->loop),
        .now_ms = loop_now_ms,
        .timeout_ms = w->opts.dns->timeout_ms,
        .max_lookups = LOOKUPS_MAX,
        .max_of_one = LOOKUPS_OF_ONE_MAX,
        .key = w->opts.call_key,
        .counters = &w->counters,
        .budget_bytes = LOOKUPS_BYTES,
        .resolved = on_resolved,
        .ctx = w,
    };
    return dns_resolver_new(&opts, &w->resolver);
}

/* ---- mail ---- */

/* A message for a flow of this worker. */
static void send_for_other(struct worker *w, const struct mail *mail)
{
    struct wire *wire = wire_from(mail_slice(mail));
    int rc = wire == NULL ? ERR_NOMEM : transport_send(w->transport, &mail->hop, wire, mail->token);
    wire_unref(wire);
    if (rc != 0 && mail->token != 0)
        on_send_failed(w, mail->token);
}

static uint32_t age_us(const struct worker *w, const struct mail *mail)
{
    uint64_t now_us = net_loop_now_us(w->loop);
    return now_us > mail->came_us ? (uint32_t)(now_us - mail->came_us) : 0;
}

static void read_mail(struct worker *w, struct mail *mail)
{
    tell_time(w);
    switch (mail->kind) {
    case MAIL_RECEIVE:
        proxy_waited(w->proxy, QUEUE_OF_MAIL, age_us(w, mail), 0);
        receive(w, mail_slice(mail), &mail->hop, mail->datagram);
        break;
    case MAIL_SEND:
        send_for_other(w, mail);
        break;
    case MAIL_SEND_FAILED:
        proxy_send_failed(w->proxy, mail->token);
        break;
    case MAIL_REFUSED:
        proxy_send_refused(w->proxy, mail_slice(mail));
        break;
    case MAIL_RESUME:
        proxy_resume(w->proxy, mail->token, mail->result);
        w->opts.release_result(w->opts.services, mail->result);
        break;
    case MAIL_DRAIN:
        proxy_set_draining(w->proxy, true);
        transport_stop_listening(w->transport);
        break;
    case MAIL_STOP:
        w->stopping = true;
        break;
    }
    mail_free(mail);
}

/* ---- life ---- */

static void on_end_of_turn(struct net_hook *hook)
{
    struct worker *w = list_entry(hook, struct worker, end_of_turn);
    for (unsigned n = 0; n < MAIL_PER_TURN; n++) {
        struct mail *mail = net_inbox_take(w->inbox);
        if (mail == NULL)
            break;
        read_mail(w, mail);
        if (n + 1 == MAIL_PER_TURN)
            net_loop_again(w->loop);
    }
    tell_time(w);
    atomic_store_explicit(&w->pending, proxy_pending(w->proxy), memory_order_release);
}

static void *run(void *arg)
{
    struct worker *w = arg;
    while (!w->stopping)
        net_loop_turn(w->loop, proxy_next_ms(w->proxy));
    return NULL;
}

int worker_new(const struct worker_opts *opts, size_t *ret_failed, struct worker **ret_worker)
{
    *ret_failed = opts->n_listeners;
    struct worker *w = mem_zalloc(sizeof(*w));
    if (w == NULL)
        return ERR_NOMEM;
    w->opts = *opts;
    w->proxy_opts = *opts->proxy;
    w->proxy_opts.worker = (uint8_t)opts->index;
    w->proxy_opts.n_workers = opts->n_workers;
    w->proxy_opts.call_key = opts->call_key;
    int rc = net_loop_new(&w->loop);
    if (rc != 0)
        goto out;
    rc = net_inbox_new(w->loop, opts->inbox_capacity, &w->inbox);
    if (rc != 0)
        goto out;
    net_hook_init(&w->end_of_turn, on_end_of_turn);
    net_hook_add(w->loop, &w->end_of_turn);

    struct transport_opts transport = {
        .worker = opts->index,
        .n_workers = opts->n_workers,
        .call_key = opts->call_key,
        .loop = w->loop,
        .listeners = opts->listeners,
        .n_listeners = opts->n_listeners,
        .limits = *opts->limits,
        .websockets = *opts->websockets,
        .first_generation = draw_generation(),
        .registry = opts->registry,
        .tls = opts->tls,
        .names = opts->names,
        .trusted_peers = opts->trusted_peers,
        .n_trusted_peers = opts->n_trusted_peers,
        .counters = &w->counters,
        .ops = &transport_ops,
        .ctx = w,
    };
    rc = transport_new(&transport, ret_failed, &w->transport);
    if (rc != 0)
        goto out;
    *ret_failed = opts->n_listeners;
    rc = new_resolver(w);
    if (rc != 0)
        goto out;
    rc = net_interfaces_new(&w->interfaces);
    if (rc != 0)
        goto out;
    const struct proxy_ports ports = {.ctx = w,
                                      .send = port_send,
                                      .concerns = port_concerns,
                                      .resolve = port_resolve,
                                      .report = port_report,
                                      .locate = port_locate,
                                      .leads = port_leads,
                                      .absorb = port_absorb,
                                      .random = port_random};
    rc = proxy_new(&w->proxy_opts, &ports, &w->counters, net_loop_now_ms(w->loop), &w->proxy);
    if (rc == 0)
        rc = opts->attach(opts->services, w->proxy);
out:
    if (rc != 0)
        worker_free(w);
    else
        *ret_worker = w;
    return rc;
}

int worker_start(struct worker *w)
{
    /* Signals are the main thread's. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&w->thread, NULL, run, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc == 0 ? 0 : ERR_NOMEM;
}

void worker_join(struct worker *w)
{
    pthread_join(w->thread, NULL);
}

void worker_free(struct worker *w)
{
    if (w == NULL)
        return;
    transport_free(w->transport);
    dns_resolver_free(w->resolver);
    dns_unbound_free(w->unbound);
    proxy_free(w->proxy);
    net_interfaces_free(w->interfaces);
    w->opts.detach(w->opts.services, w->opts.index);
    if (w->inbox != NULL) {
        struct mail *mail;
        while ((mail = net_inbox_take(w->inbox)) != NULL) {
            if (mail->kind == MAIL_RESUME)
                w->opts.release_result(w->opts.services, mail->result);
            mail_free(mail);
        }
        net_hook_remove(w->loop, &w->end_of_turn);
        net_inbox_free(w->inbox);
    }
    net_loop_free(w->loop);
    mem_free(w);
}
