#include "app/run.h"
#include "app/secure.h"
#include "app/services.h"
#include "app/snapshot.h"
#include "app/worker.h"
#include "base/log.h"
#include "base/mem.h"
#include "crypto/crypto.h"
#include "net/sockaddr.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

/* How often the main thread looks whether what is under way has ended. */
#define DRAIN_POLL_MS 20
#define DAY_MS        (24 * 3600 * (ms_t)1000)
/* File descriptors that are not connections: sockets of listeners, store, log, epoll. */
#define SPARE_DESCRIPTORS 256
/* Of the questions that a worker has under way to name servers. */
#define DNS_DESCRIPTORS 80

struct server {
    const struct config *config;
    struct snapshot *snapshot;
    struct services *services;
    struct secure *secure;
    struct transport_registry *registry;
    struct worker **workers;
    unsigned n_workers, n_started;
    sigset_t signals;
    ms_t next_day_ms; /* when to look at what is looked at once a day; 0: not known yet */
};

static unsigned count_workers(const struct config *config)
{
    if (config->workers != 0)
        return config->workers;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores < 1 ? 1 : (unsigned)cores;
}

/* Connections need descriptors: take what the hard limit gives, and say when that is not enough. */
static void raise_descriptor_limit(const struct config *config)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    rlim_t want = config->limits.connections + SPARE_DESCRIPTORS + count_workers(config) * DNS_DESCRIPTORS;
    if (limit.rlim_cur >= want)
        return;
    limit.rlim_cur = limit.rlim_max < want ? limit.rlim_max : want;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < want)
        log_event(
            LOG_WARN, "start.few_descriptors", log_u64("have", limit.rlim_cur), log_u64("want", want),
            log_cstr("remedy", "raise the limit of open files (ulimit -n), or lower limits.connections"));
}

static void log_listener(const struct proxy_listener *l, enum log_level level, const char *event,
                         const char *why)
{
    char memory[64];
    struct buf text;
    buf_init(&text, memory, sizeof(memory));
    addr_format(&l->addr, &text);
    log_event(level, event, log_slice("transport", sip_transport_via_name(l->transport)),
              log_slice("address", buf_slice(&text)), log_slice("host", l->host),
              log_cstr(why != NULL ? "why" : "mode", why != NULL    ? why
                                                     : l->stateless ? "stateless"
                                                                    : "stateful"));
}

/* ---- start ---- */

static int exit_code_of_listener(int error)
{
    switch (error) {
    case EACCES:
    case EPERM:
        return EX_NOPERM;
    case EADDRINUSE:
    case EADDRNOTAVAIL:
        return EX_UNAVAILABLE;
    default:
        return EX_OSERR;
    }
}

static int open_worker(struct server *s, unsigned index, const struct hash_key *call_key)
{
    struct worker_opts opts = {
        .index = index,
        .n_workers = s->n_workers,
        .workers = s->workers,
        .proxy = &s->snapshot->proxy,
        .listeners = s->snapshot->sockets,
        .n_listeners = s->snapshot->n_listeners,
        .limits = &s->snapshot->transport_limits,
        .websockets = &s->snapshot->websockets,
        .registry = s->registry,
        .dns = &s->config->dns,
        .hosts = services_hosts(s->services),
        .health = services_health(s->services),
        .tls = secure_tls(s->secure),
        .names = secure_names(s->secure),
        .trusted_peers = s->snapshot->trusted_peers,
        .n_trusted_peers = s->config->tls.n_trusted_peers,
        .call_key = *call_key,
        .inbox_capacity = s->config->limits.queue,
        .locate = services_locate,
        .release_result = services_release_result,
        .attach = services_attach,
        .detach = services_detach,
        .services = s->services,
    };
    size_t failed;
    int rc = worker_new(&opts, &failed, &s->workers[index]);
    int error = errno;
    if (rc == 0)
        return EX_OK;
    if (failed < s->snapshot->n_listeners) {
        log_listener(&s->snapshot->listeners[failed], LOG_ERROR, "start.listener_failed", strerror(error));
        return exit_code_of_listener(error);
    }
    log_event(LOG_ERROR, "start.worker_failed", log_u64("worker", index), log_cstr("error", err_name(rc)));
    return EX_OSERR;
}

/* The workers share their ports by SO_REUSEPORT, which would share them with another server of the same user
 * as well: so each port is taken once without it. */
static int probe_ports(struct server *s)
{
    for (size_t i = 0; i < s->snapshot->n_listeners; i++) {
        const struct proxy_listener *l = &s->snapshot->listeners[i];
        int fd;
        if (net_socket_bind(l->transport == SIP_TRANSPORT_UDP ? SOCK_DGRAM : SOCK_STREAM, &l->addr, false,
                            &fd) != 0) {
            int error = errno;
            log_listener(l, LOG_ERROR, "start.listener_failed", strerror(error));
            return exit_code_of_listener(error);
        }
        close(fd);
    }
    return EX_OK;
}

static int open_workers(struct server *s)
{
    struct hash_key keys[2]; /* of calls, of connections */
    if (crypto_random_bytes(keys, sizeof(keys)) != 0)
        return EX_OSERR;
    s->workers = mem_zalloc(s->n_workers * sizeof(*s->workers));
    if (s->workers == NULL ||
        transport_registry_new(&keys[1], s->config->limits.connections,
                               s->config->limits.connections_per_source, &s->registry) != 0)
        return EX_OSERR;
    int code = EX_OK;
    for (unsigned i = 0; i < s->n_workers && code == EX_OK; i++)
        code = open_worker(s, i, &keys[0]);
    return code;
}

static int start_workers(struct server *s)
{
    for (unsigned i = 0; i < s->n_workers; i++) {
        if (worker_start(s->workers[i]) != 0) {
            log_event(LOG_ERROR, "start.thread_failed", log_u64("worker", i));
            return EX_OSERR;
        }
        s->n_started++;
    }
    return EX_OK;
}

static int start(struct server *s)
{
    int rc = snapshot_new(s->config, s->n_workers, &s->snapshot);
    if (rc != 0) {
        log_event(LOG_ERROR, "start.no_addresses", log_cstr("error", err_name(rc)),
                  log_cstr("remedy",
                           "name an address of this machine in listeners[].address instead of a wildcard"));
        return EX_UNAVAILABLE;
    }
    int code = secure_new(s->config, &s->secure);
    if (code != EX_OK)
        return code;
    code = services_new(s->config, s->snapshot, &s->services);
    if (code != EX_OK)
        return code;
    code = probe_ports(s);
    if (code != EX_OK)
        return code;
    code = open_workers(s);
    if (code != EX_OK)
        return code;
    services_set_workers(s->services, s->workers, s->registry);
    code = start_workers(s);
    if (code != EX_OK)
        return code;
    for (size_t i = 0; i < s->snapshot->n_listeners; i++)
        log_listener(&s->snapshot->listeners[i], LOG_NOTICE, "start.listening", NULL);
    secure_tell_days(s->secure, true);
    log_event(LOG_NOTICE, "start.ready", log_cstr("version", VIADUCT_VERSION),
              log_u64("workers", s->n_workers), log_u64("domains", s->config->n_domains),
              log_u64("bindings", services_count_bindings(s->services)),
              log_u64("users", services_count_users(s->services)));
    return EX_OK;
}

/* ---- signals ---- */

static void change_log_level(int step)
{
    int level = (int)log_get_level() + step;
    if (level < LOG_ERROR || level > LOG_DEBUG)
        return;
    static const char *const names[] = {"error", "warn", "notice", "info", "debug"};
    /* Said at a level that is written before and after. */
    log_event(LOG_ERROR, "log.level", log_cstr("now", names[level]));
    log_set_level((enum log_level)level);
}

/* The next signal, or 0 when none came by then. */
static int next_signal(struct server *s, ms_t end)
{
    ms_t now = clock_monotonic_ms();
    if (now >= end)
        return 0;
    struct timespec left = {.tv_sec = (time_t)((end - now) / 1000),
                            .tv_nsec = (long)((end - now) % 1000) * 1000000};
    int sig = sigtimedwait(&s->signals, NULL, &left);
    return sig < 0 ? 0 : sig;
}

static void do_daily(struct server *s)
{
    ms_t now = clock_monotonic_ms();
    if (s->next_day_ms == 0)
        s->next_day_ms = now + DAY_MS;
    if (now < s->next_day_ms)
        return;
    s->next_day_ms = now + DAY_MS;
    secure_tell_days(s->secure, false);
}

/* The next SIGTERM or SIGINT, or 0 when none came within wait_ms (MS_NEVER: waits for one). */
static int next_stop_signal(struct server *s, ms_t wait_ms)
{
    ms_t end = wait_ms == MS_NEVER ? MS_NEVER : clock_monotonic_ms() + wait_ms;
    for (;;) {
        do_daily(s);
        int sig = next_signal(s, end < s->next_day_ms ? end : s->next_day_ms);
        if (sig == SIGUSR1)
            change_log_level(+1);
        else if (sig == SIGUSR2)
            change_log_level(-1);
        else if (sig == SIGHUP)
            secure_reload(s->secure);
        else if (sig != 0 || clock_monotonic_ms() >= end)
            return sig;
    }
}

/* ---- stop ---- */

/* A full inbox is emptied by its worker soon: what must arrive is offered again. */
static void tell_workers(struct server *s, enum mail_kind kind)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    for (unsigned i = 0; i < s->n_started; i++) {
        struct mail *mail;
        while ((mail = mail_new(kind, SLICE(""))) == NULL || worker_post(s->workers[i], mail) != 0) {
            mail_free(mail);
            nanosleep(&pause, NULL);
        }
    }
}

static size_t count_pending(const struct server *s)
{
    size_t pending = 0;
    for (unsigned i = 0; i < s->n_started; i++)
        pending += worker_pending(s->workers[i]);
    return pending;
}

static void drain(struct server *s)
{
    log_event(LOG_NOTICE, "stop.draining", log_u64("pending", count_pending(s)),
              log_u64("grace_ms", s->config->stop.grace_ms));
    tell_workers(s, MAIL_DRAIN);
    ms_t end = clock_monotonic_ms() + s->config->stop.grace_ms;
    /* Two looks in a row: between them every worker has turned with what it had been told. */
    for (int quiet = 0; quiet < 2 && clock_monotonic_ms() < end;) {
        if (next_stop_signal(s, DRAIN_POLL_MS) != 0)
            break;
        quiet = count_pending(s) == 0 ? quiet + 1 : 0;
    }
    log_event(LOG_NOTICE, "stop.drained", log_u64("unfinished", count_pending(s)));
}

static void stop(struct server *s)
{
    tell_workers(s, MAIL_STOP);
    for (unsigned i = 0; i < s->n_started; i++)
        worker_join(s->workers[i]);
    services_stop(s->services);
    for (unsigned i = 0; s->workers != NULL && i < s->n_workers; i++)
        worker_free(s->workers[i]);
    mem_free(s->workers);
    transport_registry_free(s->registry);
    services_free(s->services);
    secure_free(s->secure);
    snapshot_free(s->snapshot);
}

int app_run(const struct config *config)
{
    struct server s = {.config = config, .n_workers = count_workers(config)};
    log_set_level(config->log.level);
    log_set_format(config->log.format);
    if (crypto_init() != 0) {
        log_event(LOG_ERROR, "start.no_crypto",
                  log_cstr("remedy", "OpenSSL offers no SHA-256: check its configuration"));
        return EX_OSERR;
    }
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&s.signals);
    static const int handled[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};
    for (size_t i = 0; i < sizeof(handled) / sizeof(handled[0]); i++)
        sigaddset(&s.signals, handled[i]);
    pthread_sigmask(SIG_BLOCK, &s.signals, NULL);
    raise_descriptor_limit(config);

    int code = start(&s);
    if (code == EX_OK) {
        (void)next_stop_signal(&s, MS_NEVER);
        drain(&s);
    }
    stop(&s);
    if (code == EX_OK)
        log_event(LOG_NOTICE, "stop.done");
    return code;
}
