/* Responses that could not be sent to where their request came from: RFC 3261 section 18.2.2, RFC
 * 3263 section 5. The sent-by of the top Via says who else may take them: its address, or what the
 * DNS has for its name, one after the other.
 *
 * Life of a backup: made by the first failure of a response; resolves; sends to one address after the other
 * as they fail, and takes its transaction along, so that what is repeated goes there too. Given up 64*T1
 * after the last address was tried, since nobody says that a response arrived. Bounded: PROXY_BACKUPS_MAX,
 * above that a response is lost as it would have been without any. */
#include "base/mem.h"
#include "proxy/internal.h"

struct proxy_backup {
    struct proxy_wait wait;
    struct list node;
    struct timer timer;
    struct proxy *proxy;
    struct wire *wire;
    struct sip_hop failed;   /* where it could not be sent to */
    uint64_t server, token;  /* of its transaction, or 0; of its own messages */
    size_t n_hops, next_hop; /* next_hop 0: not resolved yet */
    struct sip_hop hops[PROXY_HOPS_MAX];
};

static void backup_free(struct proxy_backup *b)
{
    struct proxy *p = b->proxy;

    timer_stop(&p->wheel, &b->timer);
    proxy_wait_stop(p, &b->wait);
    list_remove(&b->node);
    p->n_backups--;
    wire_unref(b->wire);
    mem_free(b);
}

/* Nobody is left: now the transaction user hears of it. */
static void give_up(struct proxy_backup *b)
{
    struct proxy *p = b->proxy;
    uint64_t server = b->server;

    backup_free(b);
    if (server != 0)
        txn_send_failed(p->txn, server);
}

static void on_timer(struct timer_wheel *wheel, struct timer *timer)
{
    struct proxy_backup *b = list_entry(timer, struct proxy_backup, timer);

    (void)wheel;
    if (b->next_hop == 0)
        give_up(b);
    else
        backup_free(b);
}

/* Its transaction is taken along: what it repeats goes there from now on. */
static int send_to(struct proxy_backup *b, struct sip_hop *hop)
{
    struct proxy *p = b->proxy;
    struct txn_server *server = txn_server_of_token(p->txn, b->server);
    int rc = proxy_listener_choose(p, hop, b->failed.listener, PROXY_LISTENER_NONE, &hop->listener);

    if (rc == 0)
        rc = p->ports.send(p->ports.ctx, hop, b->wire, b->token);
    if (rc == 0 && server)
        txn_server_set_hop(server, hop);
    return rc;
}

static bool has_failed(const struct proxy_backup *b, const struct sip_hop *hop)
{
    return hop->transport == b->failed.transport && addr_eq(&hop->addr, &b->failed.addr);
}

/* "As in the client processing, the next entry in the list is tried if the one before it results in a failure." */
static void try_next(struct proxy_backup *b)
{
    struct proxy *p = b->proxy;

    while (b->next_hop < b->n_hops) {
        struct sip_hop *hop = &b->hops[b->next_hop++];

        if (!has_failed(b, hop) && send_to(b, hop) == 0) {
            timer_set(&p->wheel, &b->timer, p->wheel.now_ms + 64 * p->opts->times.t1_ms);
            return;
        }
    }
    give_up(b);
}

static void set_hops(struct proxy_backup *b, const struct sip_hop *hops, size_t n_hops)
{
    if (hops != b->hops && n_hops > 0)
        memcpy(b->hops, hops, n_hops * sizeof(*hops));
    b->n_hops = n_hops;
    try_next(b);
}

void proxy_backup_resolved(struct proxy_wait *wait, int err, const struct sip_hop *hops, size_t n_hops)
{
    struct proxy_backup *b = list_entry(wait, struct proxy_backup, wait);

    proxy_wait_stop(b->proxy, wait);
    set_hops(b, hops, err == 0 ? n_hops : 0);
}

/* Section 5: an address as it is; a name with a port by A and AAAA; a name alone by SRV, "_sips" for TLS:
 * just what is done for a URI with that host, port and transport. */
static int uri_of_sent_by(struct slice response, struct arena *scratch, struct sip_uri *ret_uri,
                          struct hash_key *ret_call)
{
    const struct sip_via *via = NULL;
    struct sip_error error;
    struct sip_msg msg;
    int rc = sip_msg_parse(response, true, &proxy_limits_own, scratch, &msg, &error);

    if (rc == 0)
        rc = sip_msg_top_via(&msg, &via);
    if (rc == 0 && via->transport == SIP_TRANSPORT_OTHER)
        rc = ERR_UNSUPPORTED;
    if (rc < 0)
        return rc;
    ret_call->k0 = ret_call->k1 = hash_siphash64(ret_call, sip_msg_call_id(&msg));
    *ret_uri = (struct sip_uri){.text = via->host,
                                .scheme = SIP_SCHEME_SIP,
                                .host = via->host,
                                .addr = via->addr,
                                .port = via->port,
                                .transport = via->transport,
                                .transport_text = sip_transport_param(via->transport)};
    return 0;
}

static int resolve(struct proxy_backup *b)
{
    struct proxy *p = b->proxy;
    struct hash_key call = p->opts->secret;
    struct proxy_lookup lookup = {0};
    struct sip_uri uri;
    size_t n_hops = 0;
    int rc = uri_of_sent_by(wire_slice(b->wire), &p->scratch, &uri, &call);

    if (rc < 0)
        return rc;
    proxy_wait_start(p, &b->wait);
    /* Whom a Via names is up to whoever sent it. */
    lookup = (struct proxy_lookup){
        .uri = &uri, .ticket = b->wait.ticket, .seed = call.k0, .source = &b->failed.addr};
    rc = p->ports.resolve(p->ports.ctx, &lookup, b->hops, &n_hops);
    if (rc == ERR_AGAIN) {
        timer_set(&p->wheel, &b->timer, p->wheel.now_ms + 64 * p->opts->times.t1_ms);
        return 0;
    }
    proxy_wait_stop(p, &b->wait);
    if (rc == 0)
        set_hops(b, b->hops, n_hops);
    return rc;
}

static struct proxy_backup *find(struct proxy *p, uint64_t server)
{
    for (struct list *n = p->backups.next; n != &p->backups; n = n->next) {
        struct proxy_backup *b = list_entry(n, struct proxy_backup, node);

        if (server != 0 && b->server == server)
            return b;
    }
    return NULL;
}

/* What could not be sent to the backup it had got to. While that is being looked up, it waits as well. */
static void go_on(struct proxy_backup *b, struct wire *wire)
{
    wire_ref(wire);
    wire_unref(b->wire);
    b->wire = wire;
    if (b->next_hop > 0)
        try_next(b);
}

bool proxy_backup_begin(struct proxy *p, const struct sip_hop *failed, struct wire *wire, uint64_t server)
{
    struct proxy_backup *b = find(p, server);

    if (b) {
        go_on(b, wire);
        return true;
    }
    b = p->n_backups < PROXY_BACKUPS_MAX ? mem_zalloc(sizeof(*b)) : NULL;
    if (!b)
        return false;
    b->proxy = p;
    b->wait.kind = PROXY_WAIT_BACKUP;
    b->wire = wire_ref(wire);
    b->failed = *failed;
    b->server = server;
    p->ports.random(p->ports.ctx, &b->token, sizeof(b->token));
    timer_init(&b->timer, on_timer);
    list_append(&p->backups, &b->node);
    p->n_backups++;
    if (resolve(b) == 0)
        return true;
    backup_free(b);
    return false;
}

bool proxy_backup_failed(struct proxy *p, uint64_t token)
{
    for (struct list *n = p->backups.next; n != &p->backups; n = n->next) {
        struct proxy_backup *b = list_entry(n, struct proxy_backup, node);

        if (b->token == token) {
            try_next(b);
            return true;
        }
    }
    return false;
}

/* A 2xx to an INVITE is kept by nobody here: the callee repeats it, and then it looks for another way. */
static void await_repetition(struct txn_server *t)
{
    struct sip_hop nowhere = *txn_server_hop(t);

    nowhere.addr.family = ADDR_NONE;
    nowhere.flow = SIP_FLOW_NONE;
    txn_server_set_hop(t, &nowhere);
}

bool proxy_backup_of_server(struct proxy *p, uint64_t server)
{
    struct txn_server *t = txn_server_of_token(p->txn, server);
    struct wire *wire = t ? txn_server_response(t) : NULL;

    if (wire)
        return proxy_backup_begin(p, txn_server_hop(t), wire, server);
    if (t)
        await_repetition(t);
    return false;
}

void proxy_backups_drop(struct proxy *p)
{
    while (!list_is_empty(&p->backups))
        backup_free(list_entry(p->backups.next, struct proxy_backup, node));
}
