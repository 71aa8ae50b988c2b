#include "dns/resolver.h"
#include "base/arena.h"
#include "base/mem.h"
#include <assert.h>

/* What the questions of a stage are about. */
enum stage { STAGE_NONE, STAGE_RULES, STAGE_SERVERS, STAGE_ADDRESSES, STAGE_DONE };

/* One service of the domain, in the order in which they are tried, and its records when they have come. */
struct service {
    struct dns_service what;
    struct dns_srv *srvs;
    size_t n_srvs;
    bool is_refused; /* "the service is decidedly not available at this domain" (RFC 2782) */
};

/* A host whose addresses are wanted. */
struct host {
    struct dns_name name;
    struct addr addrs[DNS_ADDRS_MAX];
    size_t n_addrs;
    bool is_fixed; /* from the hosts file, in its order */
};

/* A place to send to, once the addresses of its host are known. */
struct target {
    size_t host; /* index */
    uint16_t port;
    enum sip_transport transport;
    uint32_t group;
};

/* Who makes us ask is counted by a hash: the table is small and of fixed size, and two who share a
 * count are as good as one who sends more. */
#define SOURCES 1024

struct dns_resolver {
    struct dns_resolver_opts opts;
    uint16_t of_source[SOURCES]; /* lookups that wait */
    struct arena_pool memory;
    struct list lookups;
    size_t n_lookups;
};

struct lookup;

struct question {
    struct dns_query query;
    struct list node; /* of those that wait */
    struct lookup *lookup;
    enum dns_type type;
    size_t index; /* of the service or host it is about */
};

/* Life: made by dns_resolver_resolve, runs through its stages, and is freed when it is done; by then the request
 * either has its answer as the result of that call, or gets it by opts.resolved. */
struct lookup {
    struct dns_resolver *resolver;
    struct list node;
    struct arena arena;
    struct timer timer;
    uint64_t ticket, seed;
    uint16_t *of_source; /* its count; NULL: none */
    size_t n_wanted;     /* hops, if there are so many */
    size_t hosts_max;    /* asked for on the way to them */
    bool is_steady, is_secure;
    bool is_asking; /* questions are being asked: their answers wait for the last of them */
    bool is_late;   /* the request has been told that the answer comes later */
    enum stage stage;
    struct dns_name domain;
    uint16_t port;                /* of the URI, or 0 */
    enum sip_transport transport; /* of the URI, or OTHER */
    uint32_t peer_name;
    struct list waiting;
    struct dns_rule *rules;
    size_t n_rules;
    struct service *services;
    size_t n_services;
    struct target *targets;
    size_t n_targets;
    struct host *hosts;
    size_t n_hosts, n_asked; /* the first of them have been asked for */
    int err;
};

/* ---- hops ---- */

struct output {
    const struct dns_resolver *resolver;
    uint32_t peer_name;
    size_t count;
    struct dns_candidate candidates[DNS_HOPS_MAX]; /* the first `count` are set */
};

static void output_init(struct output *out, const struct dns_resolver *resolver, uint32_t peer_name)
{
    out->resolver = resolver;
    out->peer_name = peer_name;
    out->count = 0;
}

static bool is_there(const struct output *out, const struct addr *addr, enum sip_transport transport)
{
    for (size_t i = 0; i < out->count; i++)
        if (out->candidates[i].hop.transport == transport && addr_eq(&out->candidates[i].hop.addr, addr))
            return true;
    return false;
}

/* A multicast or broadcast address in a message or a record never becomes a destination (RFC 4475 section
 * 3.3.10), nor one of a family that nothing here can send to. */
static void put_hop(struct output *out, const struct addr *ip, uint16_t port, enum sip_transport transport,
                    uint32_t group)
{
    uint8_t families = out->resolver->opts.spoken.families[transport];
    struct addr addr = *ip;

    addr.port = port;
    if (out->count == DNS_HOPS_MAX || !addr_is_unicast(&addr) ||
        !(families & (addr.family == ADDR_IPV4 ? DNS_IPV4 : DNS_IPV6)) || is_there(out, &addr, transport))
        return;
    out->candidates[out->count++] = (struct dns_candidate){
        .hop = {.addr = addr,
                .flow = SIP_FLOW_NONE,
                .peer_name = sip_transport_is_secure(transport) ? out->peer_name : NET_NAME_NONE,
                .transport = (uint8_t)transport},
        .group = group};
}

static int give(struct output *out, bool is_steady, struct sip_hop *ret_hops, size_t max, size_t *ret_count)
{
    const struct dns_resolver_opts *opts = &out->resolver->opts;
    size_t n = out->count < max ? out->count : max;

    if (n == 0)
        return ERR_NOTFOUND;
    if (opts->health && !is_steady)
        dns_health_order(opts->health, out->candidates, out->count, opts->now_ms(opts->ctx));
    for (size_t i = 0; i < n; i++)
        ret_hops[i] = out->candidates[i].hop;
    *ret_count = n;
    return 0;
}

/* ---- questions ---- */

static void run(struct lookup *l);

static bool hosts_file_has(const struct lookup *l, struct host *host)
{
    host->n_addrs =
        dns_hosts_find(l->resolver->opts.hosts, dns_name_slice(&host->name), host->addrs, DNS_ADDRS_MAX);
    host->is_fixed = host->n_addrs > 0;
    return host->is_fixed;
}

static size_t count_records(const struct dns_reader *reader, size_t max)
{
    struct dns_reader look = *reader;
    struct dns_record r;
    size_t n = 0;

    while (n < max && dns_reader_next(&look, &r) == 0)
        n++;
    return n;
}

static void read_rules(struct lookup *l, struct dns_reader *reader)
{
    bool is_empty = count_records(reader, 1) == 0;
    struct dns_record r;

    l->rules = is_empty ? NULL : arena_alloc(&l->arena, DNS_RULES_MAX * sizeof(*l->rules));
    while (l->rules && l->n_rules < DNS_RULES_MAX && dns_reader_next(reader, &r) == 0) {
        struct dns_rule rule = {.order = r.order, .preference = r.preference};

        if (dns_naptr_is_usable(&r, &l->resolver->opts.spoken, l->is_secure, &rule.service))
            l->rules[l->n_rules++] = rule;
    }
}

static void read_srvs(struct lookup *l, struct service *s, struct dns_reader *reader)
{
    size_t max = count_records(reader, DNS_SRV_MAX);
    struct dns_record r;

    s->srvs = arena_alloc(&l->arena, (max > 0 ? max : 1) * sizeof(*s->srvs));
    for (size_t i = 0; s->srvs && i < max && dns_reader_next(reader, &r) == 0; i++) {
        if (r.name.len == 0)
            s->is_refused = true;
        else if (r.port != 0)
            s->srvs[s->n_srvs++] = (struct dns_srv){r.priority, r.weight, r.port, r.name};
    }
    dns_srv_order(s->srvs, s->n_srvs, l->seed);
}

static void read_addrs(struct host *h, struct dns_reader *reader)
{
    struct dns_record r;

    while (h->n_addrs < DNS_ADDRS_MAX && dns_reader_next(reader, &r) == 0)
        h->addrs[h->n_addrs++] = r.addr;
}

static void on_answer(struct dns_query *query, struct slice packet)
{
    struct question *q = list_entry(query, struct question, query);
    struct lookup *l = q->lookup;
    struct dns_reader reader;

    list_remove(&q->node);
    if (!slice_is_null(packet) && dns_reader_init(&reader, packet, q->type) == 0) {
        if (q->type == DNS_TYPE_NAPTR)
            read_rules(l, &reader);
        else if (q->type == DNS_TYPE_SRV)
            read_srvs(l, &l->services[q->index], &reader);
        else
            read_addrs(&l->hosts[q->index], &reader);
    }
    if (list_is_empty(&l->waiting) && !l->is_asking)
        run(l);
}

/* A question that cannot be asked is one without an answer. */
static void ask(struct lookup *l, const struct dns_name *name, enum dns_type type, size_t index)
{
    const struct dns_source *source = l->resolver->opts.source;
    struct question *q = source ? arena_zalloc(&l->arena, sizeof(*q)) : NULL;

    if (!q)
        return;
    q->query.answered = on_answer;
    q->lookup = l;
    q->type = type;
    q->index = index;
    list_append(&l->waiting, &q->node);
    if (source->ask(source->ctx, name, type, &q->query) < 0)
        list_remove(&q->node);
}

static void forget_questions(struct lookup *l)
{
    const struct dns_source *source = l->resolver->opts.source;

    while (!list_is_empty(&l->waiting)) {
        struct question *q = list_entry(l->waiting.next, struct question, node);

        list_remove(&q->node);
        source->forget(source->ctx, &q->query);
    }
}

/* ---- stages ---- */

static int set_services(struct lookup *l, const struct dns_service *what, size_t count)
{
    l->services = arena_zalloc(&l->arena, (count > 0 ? count : 1) * sizeof(*l->services));
    if (!l->services)
        return ERR_NOMEM;
    for (size_t i = 0; i < count; i++)
        l->services[i].what = what[i];
    l->n_services = count;
    return 0;
}

/* Section 4.1: where the NAPTR records lead; "if no NAPTR records are found, the client constructs SRV queries for
 * those transport protocols it supports". Section 4.2: one alone when the URI names its transport. */
static int choose_services(struct lookup *l)
{
    struct dns_service what[DNS_SERVICES_MAX];
    size_t n = dns_rules_order(l->rules, l->n_rules);

    if (l->transport != SIP_TRANSPORT_OTHER) {
        n = dns_service_of(l->transport, &l->domain, &what[0]) == 0 ? 1 : 0;
    } else if (n > 0) {
        n = n < DNS_SERVICES_MAX ? n : DNS_SERVICES_MAX;
        for (size_t i = 0; i < n; i++)
            what[i] = l->rules[i].service;
    } else {
        n = dns_services_of_domain(&l->resolver->opts.spoken, l->is_secure, &l->domain, what);
    }
    return set_services(l, what, n);
}

static size_t host_number(struct lookup *l, const struct dns_name *name)
{
    size_t i;

    for (i = 0; i < l->n_hosts; i++)
        if (slice_eq(dns_name_slice(&l->hosts[i].name), dns_name_slice(name)))
            return i;
    l->hosts[l->n_hosts++].name = *name;
    return i;
}

static void add_target(struct lookup *l, const struct dns_name *name, uint16_t port,
                       enum sip_transport transport, uint32_t group)
{
    if (l->n_targets == DNS_HOPS_MAX)
        return;
    l->targets[l->n_targets] = (struct target){host_number(l, name), port, transport, group};
    l->n_targets++;
}

/* Section 4.2: "If no SRV records were found, the client performs an A or AAAA record lookup of the domain
 * name", for the transport found before; unless the domain says of that one that it is not there. */
static void add_domain_itself(struct lookup *l)
{
    enum sip_transport transport = l->transport;

    if (l->n_services > 0 && l->services[0].is_refused)
        return;
    if (transport == SIP_TRANSPORT_OTHER)
        transport = l->n_rules > 0 ? l->services[0].what.transport
                                   : dns_transport_default(&l->resolver->opts.spoken, l->is_secure);
    if (transport != SIP_TRANSPORT_OTHER)
        add_target(l, &l->domain, l->port ? l->port : sip_transport_default_port(transport), transport, 0);
}

static size_t count_targets(const struct lookup *l)
{
    size_t n = 1;

    for (size_t i = 0; i < l->n_services; i++)
        n += l->services[i].what.is_address ? 1 : l->services[i].n_srvs;
    return n < DNS_HOPS_MAX ? n : DNS_HOPS_MAX;
}

static int choose_targets(struct lookup *l)
{
    size_t n = count_targets(l);

    l->targets = arena_alloc(&l->arena, n * sizeof(*l->targets));
    l->hosts = arena_zalloc(&l->arena, n * sizeof(*l->hosts));
    if (!l->targets || !l->hosts)
        return ERR_NOMEM;
    for (size_t i = 0; i < l->n_services; i++) {
        const struct service *s = &l->services[i];

        if (s->what.is_address)
            add_target(l, &s->what.name, sip_transport_default_port(s->what.transport), s->what.transport,
                       (uint32_t)i << 16);
        for (size_t k = 0; k < s->n_srvs; k++)
            add_target(l, &s->srvs[k].target, s->srvs[k].port, s->what.transport,
                       (uint32_t)i << 16 | s->srvs[k].priority);
    }
    if (l->n_targets == 0)
        add_domain_itself(l);
    return 0;
}

/* The families that something is wanted of a host in. */
static unsigned families_wanted(const struct lookup *l, size_t host)
{
    unsigned families = 0;

    for (size_t i = 0; i < l->n_targets; i++)
        if (l->targets[i].host == host)
            families |= l->resolver->opts.spoken.families[l->targets[i].transport];
    return families;
}

static void ask_rules(struct lookup *l)
{
    if (l->transport == SIP_TRANSPORT_OTHER && l->port == 0)
        ask(l, &l->domain, DNS_TYPE_NAPTR, 0);
}

/* "If the TARGET was not a numeric IP address, but a port is present in the URI, the client performs an A or AAAA
 * record lookup" (section 4.2). */
static void ask_servers(struct lookup *l)
{
    if (l->port != 0)
        return;
    l->err = choose_services(l);
    for (size_t i = 0; l->err == 0 && i < l->n_services; i++)
        if (!l->services[i].what.is_address)
            ask(l, &l->services[i].what.name, DNS_TYPE_SRV, i);
}

/* The hops of all targets before the first whose host has not been asked for:
 * what comes after it must wait for it. */
static void collect(const struct lookup *l, struct output *out)
{
    for (size_t i = 0; i < l->n_targets && l->targets[i].host < l->n_asked; i++) {
        const struct target *t = &l->targets[i];
        const struct host *host = &l->hosts[t->host];

        for (size_t k = 0; k < host->n_addrs; k++)
            put_hop(out, &host->addrs[k], t->port, t->transport, t->group);
    }
}

/* How many hops are missing that another host may have. */
static size_t count_missing(const struct lookup *l)
{
    struct output out;

    if (l->n_asked == l->n_hosts || l->n_asked >= l->hosts_max)
        return 0;
    output_init(&out, l->resolver, l->peer_name);
    collect(l, &out);
    return out.count < l->n_wanted ? l->n_wanted - out.count : 0;
}

static void ask_host(struct lookup *l, size_t index)
{
    struct host *host = &l->hosts[index];
    unsigned families = families_wanted(l, index);

    if (hosts_file_has(l, host))
        return;
    if (families & DNS_IPV6)
        ask(l, &host->name, DNS_TYPE_AAAA, index);
    if (families & DNS_IPV4)
        ask(l, &host->name, DNS_TYPE_A, index);
}

/* One host for each hop that is missing, in order; again when these have not brought them. */
static void ask_addresses(struct lookup *l)
{
    size_t missing;

    if (!l->targets)
        l->err = choose_targets(l);
    missing = l->err == 0 ? count_missing(l) : 0;
    for (; missing > 0 && l->n_asked < l->n_hosts && l->n_asked < l->hosts_max; missing--)
        ask_host(l, l->n_asked++);
}

static void free_lookup(struct lookup *l)
{
    struct dns_resolver *resolver = l->resolver;
    struct arena arena = l->arena;

    forget_questions(l);
    timer_stop(resolver->opts.wheel, &l->timer);
    list_remove(&l->node);
    resolver->n_lookups--;
    if (l->of_source)
        (*l->of_source)--;
    arena_done(&arena);
}

static int finish(struct lookup *l, struct sip_hop *ret_hops, size_t max, size_t *ret_count)
{
    struct output out;

    output_init(&out, l->resolver, l->peer_name);
    for (size_t i = 0; i < l->n_asked; i++)
        if (!l->hosts[i].is_fixed)
            dns_addrs_order(l->hosts[i].addrs, l->hosts[i].n_addrs, l->seed);
    collect(l, &out);
    return l->err < 0 ? l->err : give(&out, l->is_steady, ret_hops, max, ret_count);
}

static void tell(struct lookup *l)
{
    const struct dns_resolver_opts *opts = &l->resolver->opts;
    struct sip_hop hops[DNS_HOPS_MAX];
    uint64_t ticket = l->ticket;
    size_t count = 0;
    int rc = finish(l, hops, DNS_HOPS_MAX, &count);

    free_lookup(l);
    opts->resolved(opts->ctx, ticket, rc, hops, count);
}

static void begin_stage(struct lookup *l)
{
    static void (*const asks[])(struct lookup * l) = {
        [STAGE_RULES] = ask_rules, [STAGE_SERVERS] = ask_servers, [STAGE_ADDRESSES] = ask_addresses};

    l->is_asking = true;
    asks[l->stage](l);
    l->is_asking = false;
}

/* As far as it goes without waiting. */
static void run(struct lookup *l)
{
    const struct dns_resolver_opts *opts = &l->resolver->opts;

    while (l->stage < STAGE_DONE && l->err == 0 && list_is_empty(&l->waiting)) {
        if (l->stage != STAGE_ADDRESSES || count_missing(l) == 0)
            l->stage++;
        if (l->stage < STAGE_DONE)
            begin_stage(l);
    }
    if (!list_is_empty(&l->waiting) && l->err == 0)
        timer_set(opts->wheel, &l->timer, opts->now_ms(opts->ctx) + opts->timeout_ms);
    else if (l->is_late)
        tell(l);
    else
        l->stage = STAGE_DONE;
}

static void on_timer(struct timer_wheel *wheel, struct timer *timer)
{
    struct lookup *l = list_entry(timer, struct lookup, timer);

    (void)wheel;
    forget_questions(l);
    run(l);
}

/* ---- requests ---- */

/* What a request says before anything is asked. */
struct aim {
    enum sip_transport transport; /* of the URI, or OTHER */
    enum sip_transport fallback;  /* the same, or the default */
    struct slice target; /* section 4: "the value of the maddr parameter of the URI, if present, otherwise,
                                     the host value" */
    struct addr addr;    /* that, when it is one; else of no family */
    bool is_secure;
};

static int take_aim(const struct dns_resolver *resolver, const struct sip_uri *uri, struct aim *ret_aim)
{
    struct aim aim = {.target = slice_is_null(uri->maddr) ? uri->host : uri->maddr,
                      .addr = uri->addr,
                      .is_secure = uri->scheme == SIP_SCHEME_SIPS};
    int rc = dns_transport_of_uri(uri, &aim.transport);

    if (rc < 0)
        return rc;
    if (!slice_is_null(uri->maddr) && addr_parse_ip(uri->maddr, &aim.addr) < 0)
        aim.addr.family = ADDR_NONE;
    aim.fallback = aim.transport != SIP_TRANSPORT_OTHER
                       ? aim.transport
                       : dns_transport_default(&resolver->opts.spoken, aim.is_secure);
    if (!dns_is_spoken(&resolver->opts.spoken, aim.fallback))
        return ERR_UNSUPPORTED;
    *ret_aim = aim;
    return 0;
}

/* RFC 5922 section 4: the peer must prove the domain of the URI, not what the DNS made of it. */
static int number_peer(const struct dns_resolver *resolver, const struct sip_uri *uri, uint32_t *ret_number)
{
    *ret_number = NET_NAME_NONE;
    return resolver->opts.names ? net_names_number(resolver->opts.names, uri->host, ret_number) : 0;
}

/* A literal, or a name of the hosts file. */
static void answer_at_once(struct output *out, const struct aim *aim, uint16_t port)
{
    struct addr addrs[DNS_ADDRS_MAX];
    size_t n = 1;

    addrs[0] = aim->addr;
    if (aim->addr.family == ADDR_NONE)
        n = dns_hosts_find(out->resolver->opts.hosts, aim->target, addrs, DNS_ADDRS_MAX);
    for (size_t i = 0; i < n; i++)
        put_hop(out, &addrs[i], port ? port : sip_transport_default_port(aim->fallback), aim->fallback, 0);
}

static bool needs_dns(const struct dns_resolver *resolver, const struct aim *aim)
{
    struct addr addr;

    return resolver->opts.source && aim->addr.family == ADDR_NONE && !sip_host_is_invalid(aim->target) &&
           dns_hosts_find(resolver->opts.hosts, aim->target, &addr, 1) == 0;
}

/* By the network of a household or a server: an address of IPv4, 64 bits of IPv6. */
static uint16_t *count_of_source(struct dns_resolver *resolver, const struct addr *source)
{
    size_t bytes = source->family == ADDR_IPV4 ? 4 : 8;
    uint64_t hash = hash_siphash64(&resolver->opts.key, slice_make((const char *)source->ip, bytes));

    return &resolver->of_source[hash % SOURCES];
}

static int shed(const struct dns_resolver *resolver)
{
    if (resolver->opts.counters)
        counter_inc(resolver->opts.counters, COUNTER_LOOKUPS_SHED);
    return ERR_LIMIT;
}

static int new_lookup(struct dns_resolver *resolver, const struct dns_request *request, const struct aim *aim,
                      uint32_t peer_name, struct lookup **ret_lookup)
{
    uint16_t *of_source = request->source ? count_of_source(resolver, request->source) : NULL;
    struct arena arena;
    struct lookup *l;
    int rc;

    if (resolver->n_lookups >= resolver->opts.max_lookups ||
        (of_source && *of_source >= resolver->opts.max_of_one))
        return shed(resolver);
    arena_init(&arena, &resolver->memory);
    l = arena_zalloc(&arena, sizeof(*l));
    rc = l ? dns_name_from_text(aim->target, &l->domain) : ERR_NOMEM;
    if (rc < 0) {
        arena_done(&arena);
        return rc == ERR_SYNTAX ? ERR_NOTFOUND : rc;
    }
    l->resolver = resolver;
    l->arena = arena;
    l->ticket = request->ticket;
    l->seed = request->seed;
    l->n_wanted = request->n_failed + DNS_HOPS_STEP;
    l->hosts_max = request->n_failed + DNS_HOSTS_MAX;
    l->of_source = of_source;
    l->is_steady = request->is_steady;
    l->is_secure = aim->is_secure;
    l->port = request->uri->port;
    /* Sections 4.1 and 4.2: an explicit port is asked no service. */
    l->transport = l->port != 0 ? aim->fallback : aim->transport;
    l->peer_name = peer_name;
    timer_init(&l->timer, on_timer);
    list_init(&l->waiting);
    list_append(&resolver->lookups, &l->node);
    resolver->n_lookups++;
    if (of_source)
        (*of_source)++;
    *ret_lookup = l;
    return 0;
}

int dns_resolver_resolve(struct dns_resolver *resolver, const struct dns_request *request,
                         struct sip_hop *ret_hops, size_t max, size_t *ret_count)
{
    uint32_t peer_name = NET_NAME_NONE;
    struct output out;
    struct lookup *l;
    struct aim aim = {0};
    bool is_asked;
    int rc = take_aim(resolver, request->uri, &aim);

    if (rc < 0)
        return rc;
    is_asked = needs_dns(resolver, &aim);
    /* What cannot lead to TLS, not even by NAPTR, must not push the names of those who do out of the table. */
    if (sip_transport_is_secure(aim.fallback) || (is_asked && aim.transport == SIP_TRANSPORT_OTHER))
        rc = number_peer(resolver, request->uri, &peer_name);
    if (rc < 0)
        return rc;
    if (!is_asked) {
        output_init(&out, resolver, peer_name);
        answer_at_once(&out, &aim, request->uri->port);
        return give(&out, request->is_steady, ret_hops, max, ret_count);
    }
    rc = new_lookup(resolver, request, &aim, peer_name, &l);
    if (rc < 0)
        return rc;
    run(l);
    if (l->stage < STAGE_DONE) {
        l->is_late = true;
        return ERR_AGAIN;
    }
    rc = finish(l, ret_hops, max, ret_count);
    free_lookup(l);
    return rc;
}

int dns_resolver_new(const struct dns_resolver_opts *opts, struct dns_resolver **ret_resolver)
{
    struct dns_resolver *resolver = mem_zalloc(sizeof(*resolver));

    assert(opts->hosts && opts->wheel && opts->now_ms && opts->resolved);
    if (!resolver)
        return ERR_NOMEM;
    resolver->opts = *opts;
    arena_pool_init(&resolver->memory, opts->budget_bytes);
    list_init(&resolver->lookups);
    *ret_resolver = resolver;
    return 0;
}

void dns_resolver_free(struct dns_resolver *resolver)
{
    if (!resolver)
        return;
    while (!list_is_empty(&resolver->lookups))
        free_lookup(list_entry(resolver->lookups.next, struct lookup, node));
    arena_pool_done(&resolver->memory);
    mem_free(resolver);
}

size_t dns_resolver_pending(const struct dns_resolver *resolver)
{
    return resolver->n_lookups;
}
