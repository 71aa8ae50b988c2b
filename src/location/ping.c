#include "location/ping.h"
#include "base/log.h"
#include "base/mem.h"
#include "proxy/originate.h"
#include "proxy/request.h"

/* Of a slot, which is the time of one shard. */
#define STEPS 4
#define TICKS (LOCATION_STORE_SHARDS * STEPS)
/* As long as four transmissions over UDP take, or half the interval. */
#define TIMEOUT_MAX_MS 4000
/* A miss that was not followed by another ping: the binding is gone, or was registered again. */
#define STALE_INTERVALS 3
#define LOST_PER_SECOND 5

/* Everybody whose listener has this interval. */
struct walk {
    struct timer timer;
    struct location_pinger *pinger;
    ms_t interval_ms, began_ms; /* of this interval */
    unsigned tick;              /* next one; of TICKS */
    struct list waiting;        /* struct ping, of this slot */
    size_t n_waiting;
    struct map missed; /* struct miss */
};

struct location_pinger {
    struct location_pinger_opts opts;
    struct proxy *proxy;
    struct hash_key key;
    struct list asked; /* struct ping, of which an answer is awaited */
    size_t n_asked;
    struct log_limiter lost;
    size_t n_walks;
    struct walk walks[];
};

/* A binding as it was when it was its turn. */
struct ping {
    struct list node;
    struct walk *walk;
    uint64_t key; /* of this registration of this binding */
    struct sip_hop hop;
    uint32_t cseq;
    struct slice aor, uri, call_id;
    char text[];
};

/* Pings in a row without an answer. */
struct miss {
    struct map_node node; /* its hash is the key, which is taken for unique */
    unsigned count;
    ms_t last_ms;
};

static const struct location_ping *rule_of(const struct location_pinger *pinger, const struct sip_hop *hop)
{
    static const struct location_ping none;

    return hop->listener < pinger->opts.n_listeners ? &pinger->opts.listeners[hop->listener] : &none;
}

static void count(const struct location_pinger *pinger, enum counter id)
{
    counter_inc(proxy_get_counters(pinger->proxy), id);
}

/* ---- Who is silent ---- */

static struct miss *find_miss(const struct walk *walk, uint64_t key)
{
    struct map_node *node = map_first(&walk->missed, key);

    return node ? map_entry(node, struct miss, node) : NULL;
}

static void forget(struct walk *walk, struct miss *miss)
{
    map_remove(&walk->missed, &miss->node);
    mem_free(miss);
}

static void forget_if_stale(struct map_node *node, void *ctx)
{
    struct walk *walk = ctx;
    struct miss *miss = map_entry(node, struct miss, node);

    if (miss->last_ms + STALE_INTERVALS * walk->interval_ms <= proxy_now_ms(walk->pinger->proxy))
        forget(walk, miss);
}

static void forget_one(struct map_node *node, void *ctx)
{
    forget(ctx, map_entry(node, struct miss, node));
}

/* How often it has been missed now; 0 without memory. */
static unsigned note_miss(const struct ping *ping)
{
    struct miss *miss = find_miss(ping->walk, ping->key);

    if (!miss) {
        miss = mem_zalloc(sizeof(*miss));
        if (!miss)
            return 0;
        map_insert(&ping->walk->missed, &miss->node, ping->key);
    }
    miss->last_ms = proxy_now_ms(ping->walk->pinger->proxy);
    return ++miss->count;
}

/* Where the storage does not take it, the next miss tries again. */
static void lose(const struct ping *ping)
{
    struct location_pinger *pinger = ping->walk->pinger;
    const struct location_contact contact = {.uri = ping->uri};
    const struct location_register reg = {.aor = ping->aor,
                                          .call_id = ping->call_id,
                                          .cseq = ping->cseq,
                                          .hop = ping->hop,
                                          .contacts = &contact,
                                          .n_contacts = 1};
    enum location_submitted submitted;
    struct location_job *job;

    if (location_job_new(&reg, clock_unix_s(), &job) != 0)
        return;
    job->is_loss = true;
    submitted = location_storage_submit(pinger->opts.storage, job);
    if (submitted != LOCATION_LATER)
        location_job_free(job);
    if (submitted == LOCATION_FULL)
        return;
    count(pinger, COUNTER_BINDINGS_LOST);
    log_limited(&pinger->lost, LOG_NOTICE, "binding.lost", log_slice("aor", ping->aor),
                log_slice("contact", ping->uri), log_cstr("why", "it does not answer its pings"));
}

static void on_answer(void *ctx, const struct proxy_origin_answer *answer)
{
    struct ping *ping = ctx;
    struct location_pinger *pinger = ping->walk->pinger;

    list_remove(&ping->node);
    pinger->n_asked--;
    if (answer->response) {
        struct miss *miss = find_miss(ping->walk, ping->key);

        if (miss)
            forget(ping->walk, miss);
    } else {
        count(pinger, COUNTER_PINGS_FAILED);
        if (note_miss(ping) >= rule_of(pinger, &ping->hop)->failures)
            lose(ping);
    }
    mem_free(ping);
}

/* ---- Sending ---- */

static ms_t timeout_ms(const struct walk *walk)
{
    return walk->interval_ms / 2 < TIMEOUT_MAX_MS ? walk->interval_ms / 2 : TIMEOUT_MAX_MS;
}

/* True: the ping is on_answer's from now on. */
static bool ask(struct ping *ping)
{
    struct location_pinger *pinger = ping->walk->pinger;
    const struct proxy_origin origin = {.method = SIP_METHOD_OPTIONS,
                                        .uri = ping->uri,
                                        .to = ping->aor,
                                        .has_hop = true,
                                        .hop = ping->hop,
                                        .timeout_ms = timeout_ms(ping->walk)};

    if (pinger->n_asked == LOCATION_PINGS_MAX ||
        proxy_originate(pinger->proxy, &origin, on_answer, ping) != 0) {
        count(pinger, COUNTER_PINGS_SHED);
        return false;
    }
    list_append(&pinger->asked, &ping->node);
    pinger->n_asked++;
    count(pinger, COUNTER_PINGS);
    return true;
}

static void send_ping(struct ping *ping)
{
    struct location_pinger *pinger = ping->walk->pinger;

    if (rule_of(pinger, &ping->hop)->kind == LOCATION_PING_OPTIONS && ask(ping))
        return;
    /* A WebSocket has Pings of its own (RFC 6455 section 5.5.2). */
    if (!sip_transport_is_websocket((enum sip_transport)ping->hop.transport) &&
        proxy_keep_alive(pinger->proxy, &ping->hop) == 0)
        count(pinger, COUNTER_PINGS);
    mem_free(ping);
}

/* An equal part of what waits, as one of the steps that are left. */
static void send_some(struct walk *walk, unsigned steps_left)
{
    size_t part = (walk->n_waiting + steps_left - 1) / steps_left;

    for (; part > 0; part--) {
        struct ping *ping = list_entry(walk->waiting.next, struct ping, node);

        list_remove(&ping->node);
        walk->n_waiting--;
        send_ping(ping);
    }
}

/* ---- Whose turn it is ---- */

struct turn {
    struct walk *walk;
    unix_s_t now_s;
    size_t left_out;
};

/* RFC 5626 section 4.4: who has registered a flow keeps it alive himself. */
static bool is_due(const struct turn *turn, const struct location_record *record,
                   const struct location_binding *b)
{
    const struct location_pinger *pinger = turn->walk->pinger;
    const struct location_ping *rule = rule_of(pinger, &b->hop);
    const struct proxy_opts *proxy = proxy_get_opts(pinger->proxy);
    unsigned n_workers = proxy->n_workers > 0 ? proxy->n_workers : 1, worker;

    if (!b->by_flow || !b->has_hop || b->reg_id != 0 || rule->kind == LOCATION_PING_NONE ||
        rule->interval_ms != turn->walk->interval_ms || !location_binding_is_live(b, turn->now_s))
        return false;
    /* The low bits of the hash choose the bucket, the middle ones the shard. */
    worker = b->hop.flow != SIP_FLOW_NONE ? pinger->opts.flow_worker(b->hop.flow)
                                          : (unsigned)(record->node.hash >> 48) % n_workers;
    return worker == proxy->worker;
}

static struct slice keep(char **out, struct slice text)
{
    struct slice kept = slice_make(*out, text.len);

    if (text.len > 0)
        memcpy(*out, text.ptr, text.len);
    *out += text.len;
    return kept;
}

static uint64_t key_of(const struct location_pinger *pinger, const struct ping *ping)
{
    struct hash_state state;

    hash_begin(&state, &pinger->key);
    hash_add(&state, ping->aor);
    hash_add(&state, ping->uri);
    hash_add(&state, ping->call_id);
    hash_add_u64(&state, ping->cseq);
    return hash_end64(&state);
}

static struct ping *ping_new(struct walk *walk, struct slice aor, const struct location_binding *b)
{
    struct ping *ping = mem_alloc(sizeof(*ping) + aor.len + b->uri.len + b->call_id.len);
    char *out;

    if (!ping)
        return NULL;
    out = ping->text;
    ping->walk = walk;
    ping->hop = b->hop;
    ping->hop.flow_only = true;
    ping->cseq = b->cseq;
    ping->aor = keep(&out, aor);
    ping->uri = keep(&out, b->uri);
    ping->call_id = keep(&out, b->call_id);
    ping->key = key_of(walk->pinger, ping);
    return ping;
}

static void collect_record(const struct location_record *record, void *ctx)
{
    struct turn *turn = ctx;
    struct walk *walk = turn->walk;

    for (size_t i = 0; i < record->count; i++) {
        struct location_binding b = location_record_get(record, i);
        struct ping *ping = NULL;

        if (!is_due(turn, record, &b))
            continue;
        if (walk->n_waiting < LOCATION_PINGS_WAITING_MAX)
            ping = ping_new(walk, location_record_aor(record), &b);
        if (!ping) {
            turn->left_out++;
            continue;
        }
        list_append(&walk->waiting, &ping->node);
        walk->n_waiting++;
    }
}

static void collect(struct walk *walk, unsigned shard)
{
    struct turn turn = {.walk = walk, .now_s = clock_unix_s()};

    location_store_each(location_storage_store(walk->pinger->opts.storage), shard, collect_record, &turn);
    counter_add(proxy_get_counters(walk->pinger->proxy), COUNTER_PINGS_SHED, turn.left_out);
}

static void on_tick(struct timer_wheel *wheel, struct timer *timer)
{
    struct walk *walk = list_entry(timer, struct walk, timer);
    unsigned step = walk->tick % STEPS;

    if (step == 0)
        collect(walk, walk->tick / STEPS);
    send_some(walk, STEPS - step);
    walk->tick += walk->n_waiting > 0 ? 1 : STEPS - step;
    if (walk->tick == TICKS) {
        walk->tick = 0;
        walk->began_ms += walk->interval_ms;
        map_each(&walk->missed, forget_if_stale, walk);
    }
    timer_set(wheel, timer, walk->began_ms + walk->interval_ms * walk->tick / TICKS);
}

/* ---- Life ---- */

bool location_ping_is_wanted(const struct location_ping *listeners, size_t n_listeners)
{
    for (size_t i = 0; i < n_listeners; i++) {
        if (listeners[i].kind != LOCATION_PING_NONE)
            return true;
    }
    return false;
}

static bool has_walk(const struct location_pinger *pinger, ms_t interval_ms)
{
    for (size_t i = 0; i < pinger->n_walks; i++) {
        if (pinger->walks[i].interval_ms == interval_ms)
            return true;
    }
    return false;
}

static int add_walk(struct location_pinger *pinger, ms_t interval_ms)
{
    struct timer_wheel *wheel = proxy_get_wheel(pinger->proxy);
    struct walk *walk = &pinger->walks[pinger->n_walks];
    int rc = map_init(&walk->missed, 0);

    if (rc != 0)
        return rc;
    pinger->n_walks++;
    walk->pinger = pinger;
    walk->interval_ms = interval_ms;
    walk->began_ms = wheel->now_ms;
    list_init(&walk->waiting);
    timer_init(&walk->timer, on_tick);
    timer_set(wheel, &walk->timer, walk->began_ms);
    return 0;
}

int location_pinger_new(const struct location_pinger_opts *opts, struct proxy *proxy,
                        struct location_pinger **ret_pinger)
{
    struct location_pinger *pinger =
        mem_zalloc(sizeof(*pinger) + opts->n_listeners * sizeof(pinger->walks[0]));
    int rc = 0;

    if (!pinger)
        return ERR_NOMEM;
    pinger->opts = *opts;
    pinger->proxy = proxy;
    pinger->key = location_storage_secret(opts->storage);
    pinger->lost.per_second = LOST_PER_SECOND;
    list_init(&pinger->asked);
    for (size_t i = 0; i < opts->n_listeners && rc == 0; i++) {
        const struct location_ping *rule = &opts->listeners[i];

        if (rule->kind != LOCATION_PING_NONE && !has_walk(pinger, rule->interval_ms))
            rc = add_walk(pinger, rule->interval_ms);
    }
    if (rc != 0)
        location_pinger_free(pinger);
    else
        *ret_pinger = pinger;
    return rc;
}

static void free_all(struct list *pings)
{
    while (!list_is_empty(pings)) {
        struct ping *ping = list_entry(pings->next, struct ping, node);

        list_remove(&ping->node);
        mem_free(ping);
    }
}

void location_pinger_free(struct location_pinger *pinger)
{
    if (!pinger)
        return;
    for (size_t i = 0; i < pinger->n_walks; i++) {
        struct walk *walk = &pinger->walks[i];

        free_all(&walk->waiting);
        map_each(&walk->missed, forget_one, walk);
        map_done(&walk->missed);
    }
    free_all(&pinger->asked);
    mem_free(pinger);
}
