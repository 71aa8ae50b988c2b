#include "dns/unbound.h"
#include "base/mem.h"
#include "dns/ub_base.h"
#include <assert.h>
#include <stdio.h>
#include <unbound-event.h>
#include <unbound.h>

#define CLASS_IN     1
#define SERVER_BYTES 80
#define NUMBER_BYTES 24

/* A question that libunbound works on. It lives until libunbound has called back, whether its answer is still
 * wanted or not, and then until that has been given on. */
struct question {
    struct list node;
    struct dns_unbound *unbound;
    struct dns_query *query; /* NULL: forgotten */
    char *packet;
    size_t packet_len;
    bool is_answered;
};

struct dns_unbound {
    struct dns_unbound_opts opts;
    struct ub_event_base *base;
    struct ub_ctx *ctx;
    struct list waiting, answered;
    size_t n_questions;
    struct net_hook deliver;
    bool is_closing;
};

/* ---- questions ---- */

static void free_question(struct question *q)
{
    list_remove(&q->node);
    q->unbound->n_questions--;
    mem_free(q->packet);
    mem_free(q);
}

static void deliver(struct question *q)
{
    struct dns_query *query = q->query;
    char *packet = q->packet;
    size_t len = q->packet_len;

    q->packet = NULL;
    free_question(q);
    if (query)
        query->answered(query, packet ? slice_make(packet, len) : SLICE_NULL);
    mem_free(packet);
}

static void on_deliver(struct net_hook *hook)
{
    struct dns_unbound *u = list_entry(hook, struct dns_unbound, deliver);

    while (!list_is_empty(&u->answered))
        deliver(list_entry(u->answered.next, struct question, node));
}

/* DNSSEC, where it is on: an answer that was tampered with is none. Without memory for it there is none either. */
static void on_callback(void *arg, int rcode, void *packet, int len, int secure, char *why_bogus, int limited)
{
    struct question *q = arg;
    struct dns_unbound *u = q->unbound;

    (void)why_bogus;
    (void)limited;
    q->is_answered = true;
    if (u->is_closing)
        return;
    if (rcode == 0 && secure != 1 && packet && len > 0 && q->query) {
        q->packet = mem_alloc((size_t)len);
        if (q->packet)
            memcpy(q->packet, packet, (size_t)len);
        q->packet_len = (size_t)len;
    }
    list_remove(&q->node);
    list_append(&u->answered, &q->node);
    net_hook_once(u->opts.loop, &u->deliver);
}

static int ask(void *ctx, const struct dns_name *name, enum dns_type type, struct dns_query *query)
{
    struct dns_unbound *u = ctx;
    struct question *q;

    if (u->n_questions >= u->opts.max_questions)
        return ERR_LIMIT;
    q = mem_zalloc(sizeof(*q));
    if (!q)
        return ERR_NOMEM;
    q->unbound = u;
    q->query = query;
    query->handle = q;
    list_append(&u->waiting, &q->node);
    u->n_questions++;
    if (ub_resolve_event(u->ctx, name->text, (int)type, CLASS_IN, q, on_callback, NULL) != 0) {
        free_question(q);
        return ERR_NOMEM;
    }
    if (q->is_answered)
        deliver(q);
    return 0;
}

static void forget(void *ctx, struct dns_query *query)
{
    struct question *q = query->handle;

    (void)ctx;
    q->query = NULL;
}

struct dns_source dns_unbound_source(struct dns_unbound *u)
{
    return (struct dns_source){.ctx = u, .ask = ask, .forget = forget};
}

/* ---- life ---- */

struct setting {
    const char *option, *value;
};

static int set_all(struct ub_ctx *ctx, const struct setting *settings, const char **ret_why)
{
    for (; settings->option; settings++) {
        if (ub_ctx_set_option(ctx, settings->option, settings->value) != 0) {
            *ret_why = settings->option;
            return ERR_IO;
        }
    }
    return 0;
}

static const char *print(char out[NUMBER_BYTES], uint64_t number)
{
    (void)snprintf(out, NUMBER_BYTES, "%llu", (unsigned long long)number);
    return out;
}

static int set_options(const struct dns_unbound_opts *opts, struct ub_ctx *ctx, const char **ret_why)
{
    char cache[NUMBER_BYTES], stale_ms[NUMBER_BYTES], stale_s[NUMBER_BYTES], ttl[NUMBER_BYTES];
    const struct setting always[] = {
        /* The servers that are named are the ones to ask, wherever they are and whatever they serve. */
        {"do-not-query-localhost:", "no"},
        {"unblock-lan-zones:", "yes"},
        {"insecure-lan-zones:", "yes"},
        /* Questions that wait for their turn wait too long. */
        {"outgoing-range:", "64"},
        {"num-queries-per-thread:", "1024"},
        {"msg-cache-size:", print(cache, opts->cache_bytes / 2)},
        {"rrset-cache-size:", cache},
        {"cache-max-ttl:", print(ttl, opts->max_ttl_s)},
        /* A name that was not there may be there soon, whatever its SOA says. */
        {"cache-max-negative-ttl:", "300"},
        {NULL, NULL},
    };
    const struct setting stale[] = {
        {"serve-expired:", "yes"},
        {"serve-expired-ttl:", print(stale_s, opts->stale_max_s)},
        {"serve-expired-client-timeout:", print(stale_ms, opts->stale_after_ms)},
        {NULL, NULL},
    };
    int rc = set_all(ctx, always, ret_why);

    return rc == 0 && opts->stale_after_ms > 0 ? set_all(ctx, stale, ret_why) : rc;
}

static int set_server(struct ub_ctx *ctx, const struct addr *server)
{
    char memory[SERVER_BYTES];
    struct buf out;

    buf_init(&out, memory, sizeof(memory) - 1);
    addr_format_ip(server, false, &out);
    buf_lit(&out, "@");
    buf_u64(&out, server->port);
    memory[out.len] = '\0';
    return ub_ctx_set_fwd(ctx, memory);
}

static int set_servers(const struct dns_unbound_opts *opts, struct ub_ctx *ctx, const char **ret_why)
{
    int rc = 0;

    *ret_why = "servers";
    for (size_t i = 0; rc == 0 && i < opts->n_servers; i++)
        rc = set_server(ctx, &opts->servers[i]);
    /* resolv.conf(5): "If no nameserver entries are present, the default is to use the name server on the local
     * machine." */
    if (opts->n_servers == 0 && ub_ctx_resolvconf(ctx, NULL) != 0)
        rc = ub_ctx_set_fwd(ctx, "127.0.0.1");
    return rc == 0 ? 0 : ERR_IO;
}

/* libunbound answers some zones itself, so that questions for them never reach the root servers. Here the
 * questions go to servers that somebody chose, who may well know these zones. */
static int open_zones(struct ub_ctx *ctx)
{
    return ub_ctx_zone_remove(ctx, "test.") == 0 && ub_ctx_zone_remove(ctx, "home.arpa.") == 0 ? 0 : ERR_IO;
}

static int new_context(struct dns_unbound *u, const char **ret_why)
{
    int rc;

    *ret_why = "no memory";
    rc = dns_ub_base_new(u->opts.loop, &u->base);
    if (rc < 0)
        return rc;
    u->ctx = ub_ctx_create_ub_event(u->base);
    if (!u->ctx)
        return ERR_NOMEM;
    (void)ub_ctx_debugout(u->ctx, NULL);
    rc = set_options(&u->opts, u->ctx, ret_why);
    if (rc == 0)
        rc = set_servers(&u->opts, u->ctx, ret_why);
    if (rc < 0)
        return rc;
    /* The file is read, and all settings take effect, with the first change of a zone. */
    *ret_why = u->opts.trust_anchor_file ? "trust anchor" : "settings";
    if (u->opts.trust_anchor_file && ub_ctx_add_ta_file(u->ctx, u->opts.trust_anchor_file) != 0)
        return ERR_IO;
    return open_zones(u->ctx);
}

int dns_unbound_new(const struct dns_unbound_opts *opts, const char **ret_why,
                    struct dns_unbound **ret_unbound)
{
    struct dns_unbound *u = mem_zalloc(sizeof(*u));
    int rc;

    *ret_why = "no memory";
    if (!u)
        return ERR_NOMEM;
    u->opts = *opts;
    list_init(&u->waiting);
    list_init(&u->answered);
    net_hook_init(&u->deliver, on_deliver);
    rc = new_context(u, ret_why);
    if (rc == 0)
        *ret_unbound = u;
    else
        dns_unbound_free(u);
    return rc;
}

void dns_unbound_free(struct dns_unbound *u)
{
    if (!u)
        return;
    u->is_closing = true;
    if (u->ctx)
        ub_ctx_delete(u->ctx);
    dns_ub_base_free(u->base);
    net_hook_remove(u->opts.loop, &u->deliver);
    while (!list_is_empty(&u->waiting))
        free_question(list_entry(u->waiting.next, struct question, node));
    while (!list_is_empty(&u->answered))
        free_question(list_entry(u->answered.next, struct question, node));
    mem_free(u);
}
