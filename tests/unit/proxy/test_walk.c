/* Random calls, answers, failures and waits, seeded; after each run nothing may be left, and what every
 * client and every callee saw must have been right. A failing seed is printed. */
#include "world.h"

#define RUNS         150
#define STEPS        120
#define REQUESTS_MAX 200
#define COPIES_MAX   600

/* A request of ours to the proxy, and what came back. */
struct asked {
    char branch[32], call_id[32], ruri[64], method[16], to_tag[64];
    unsigned listener, finals_2xx, finals_other, last_status;
    bool is_invite, is_cancelled, is_shed;
};

/* A request of the proxy's to somebody. */
struct copy {
    struct sent sent;
    char branch[64];
    bool is_invite, is_provisional, is_final, is_cancelled;
};

struct walk {
    struct world w;
    uint64_t random;
    struct asked asked[REQUESTS_MAX];
    size_t n_asked;
    struct copy *copies;
    size_t n_copies;
    unsigned seed;
    bool
        is_starved; /* memory gives out: a final response that cannot be acknowledged then is as if it had been lost */
};

static struct walk *current;

static unsigned pick(struct walk *k, unsigned n)
{
    k->random = k->random * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(k->random >> 33) % n;
}

static int fail_sometimes(const struct sip_hop *hop)
{
    (void)hop;
    return pick(current, 40) == 0 ? ERR_IO : 0;
}

static const char *branch_of(const struct sent *sent, unsigned via, char out[64])
{
    const char *at = strstr(header(sent, "Via", via), "branch=");

    *out = 0;
    if (at)
        snprintf(out, 64, "%.*s", (int)strcspn(at + 7, ";,"), at + 7);
    return out;
}

static struct asked *find_asked(struct walk *k, const struct sent *sent)
{
    char branch[64];

    branch_of(sent, 0, branch);
    for (size_t i = 0; i < k->n_asked; i++) {
        if (strcmp(k->asked[i].branch, branch) == 0 && strstr(header(sent, "CSeq", 0), k->asked[i].method))
            return &k->asked[i];
    }
    return NULL;
}

static struct copy *find_copy(struct walk *k, const char *branch, bool is_invite)
{
    for (size_t i = 0; i < k->n_copies; i++) {
        if (k->copies[i].is_invite == is_invite && strcmp(k->copies[i].branch, branch) == 0)
            return &k->copies[i];
    }
    return NULL;
}

static void see_response(struct walk *k, const struct sent *sent)
{
    struct asked *a = find_asked(k, sent);
    unsigned status = (unsigned)atoi(sent->text + 8);

    if (!a || status < 200)
        return;
    assert_true(status < 700);
    if (status < 300)
        a->finals_2xx++;
    else if (status != a->last_status)
        a->finals_other++;
    a->last_status = status;
    snprintf(a->to_tag, sizeof(a->to_tag), "%s", strstr(header(sent, "To", 0), ";tag=") ? "x" : "");
    /* Section 16.7 step 6: "SHOULD NOT forward" a 503; ours comes before a transaction is made. */
    a->is_shed |= status == 503;
}

static void see_cancel(struct walk *k, const char *branch)
{
    struct copy *invite = find_copy(k, branch, true);

    /* Of nothing that is known: sent on without a transaction (section 16.10). */
    if (strncmp(branch, "z9hG4bKvs", 9) == 0 || k->n_copies == COPIES_MAX)
        return;
    assert_non_null(invite);
    /* Section 9.1. A response that the proxy had no memory to acknowledge it has not seen. */
    assert_true(invite->is_provisional);
    assert_false(invite->is_final && !invite->is_cancelled && !k->is_starved);
    invite->is_cancelled = true;
}

static void see_request(struct walk *k, const struct sent *sent)
{
    char branch[64];
    bool is_invite = strncmp(sent->text, "INVITE ", 7) == 0;

    branch_of(sent, 0, branch);
    if (strncmp(sent->text, "CANCEL ", 7) == 0) {
        see_cancel(k, branch);
        return;
    }
    assert_int_equal(proxy_branch_worker(slice_from_cstr(branch)), 3);
    if (strncmp(sent->text, "ACK ", 4) == 0 || find_copy(k, branch, is_invite) || k->n_copies == COPIES_MAX)
        return;
    k->copies[k->n_copies].sent = *sent;
    k->copies[k->n_copies].is_invite = is_invite;
    snprintf(k->copies[k->n_copies].branch, sizeof(branch), "%s", branch);
    k->n_copies++;
}

static void note_answer(struct copy *c, unsigned status)
{
    c->is_provisional |= status < 200;
    c->is_final |= status >= 200;
}

static void come_back(struct walk *k, const struct sent *sent)
{
    struct sip_hop from = sent->hop;
    struct copy *c;
    char branch[64];

    if (strncmp(sent->text, "SIP/", 4) == 0) {
        c = find_copy(k, branch_of(sent, 0, branch), strstr(header(sent, "CSeq", 0), "INVITE") != NULL);
        /* A CANCEL may have left while a final response was on its way. */
        if (c)
            c->is_provisional = true;
    }

    from.addr = addr_of("192.0.2.1:5060");
    from.listener = sent->hop.transport == SIP_TRANSPORT_TCP ? TCP4 : UDP4;
    from.flow = sent->hop.transport == SIP_TRANSPORT_TCP ? 5 : 0;
    proxy_receive(k->w.proxy, slice_from_cstr(sent->text), &from, sent->hop.transport != SIP_TRANSPORT_TCP);
}

/* What was sent since the last look. What goes to the proxy itself is delivered. */
static void look(struct walk *k)
{
    struct addr self = addr_of("192.0.2.1:5060");

    while (k->w.n_taken < k->w.n_sent) {
        const struct sent *sent = take(&k->w);
        struct sent own = *sent;
        bool is_response = strncmp(sent->text, "SIP/", 4) == 0;

        if (is_response)
            see_response(k, sent);
        else
            see_request(k, sent);
        if (k->w.n_taken == k->w.n_sent)
            k->w.n_taken = k->w.n_sent = 0;
        if (addr_eq(&own.hop.addr, &self))
            come_back(k, &own);
    }
}

static void say(struct walk *k, const struct asked *a, const char *method, const char *extra)
{
    struct call call = {.method = method,
                        .ruri = a->ruri,
                        .branch = a->branch,
                        .call_id = a->call_id,
                        .extra = extra,
                        .via = a->listener == TCP4 ? "SIP/2.0/TCP 192.0.2.10:5060"
                                                   : "SIP/2.0/UDP 192.0.2.10:5060"};

    world_receive(&k->w, a->listener, ALICE, request_text(&call));
}

static void do_ask(struct walk *k)
{
    static const char *const methods[] = {"INVITE",  "INVITE",    "INVITE", "MESSAGE",
                                          "OPTIONS", "SUBSCRIBE", "FROB"};
    static const char *const users[] = {"one",  "fork", "serial", "mixed", "spiral",
                                        "lost", "none", "nobody", "circle"};
    struct asked *a = &k->asked[k->n_asked];

    if (k->n_asked == REQUESTS_MAX)
        return;
    memset(a, 0, sizeof(*a));
    snprintf(a->branch, sizeof(a->branch), "z9hG4bKwalk%zu", k->n_asked);
    snprintf(a->call_id, sizeof(a->call_id), "walk%zu", k->n_asked);
    snprintf(a->ruri, sizeof(a->ruri), "sip:%s@example.com", users[pick(k, 9)]);
    snprintf(a->method, sizeof(a->method), "%s", methods[pick(k, 7)]);
    a->is_invite = strcmp(a->method, "INVITE") == 0;
    a->listener = pick(k, 3) == 0 ? TCP4 : UDP4;
    k->n_asked++;
    say(k, a, a->method, pick(k, 5) == 0 ? "Max-Breadth: 2\r\n" : "");
}

static void do_repeat(struct walk *k)
{
    if (k->n_asked > 0) {
        struct asked *a = &k->asked[pick(k, (unsigned)k->n_asked)];

        /* Only while it can be a retransmission: later it would be a new request with an old branch. */
        if (a->last_status == 0)
            say(k, a, a->method, "");
    }
}

static void do_cancel(struct walk *k)
{
    struct asked *a;

    if (k->n_asked == 0)
        return;
    a = &k->asked[pick(k, (unsigned)k->n_asked)];
    if (!a->is_invite)
        return;
    a->is_cancelled = true;
    say(k, a, "CANCEL", pick(k, 2) ? "Reason: SIP;cause=1\r\n" : "");
}

static void do_ack(struct walk *k)
{
    struct asked *a;

    if (k->n_asked == 0)
        return;
    a = &k->asked[pick(k, (unsigned)k->n_asked)];
    if (a->is_invite && a->last_status >= 300)
        say(k, a, "ACK", "");
}

static void do_answer(struct walk *k)
{
    static const unsigned statuses[] = {100, 180, 180, 183, 200, 200, 302, 401, 407,
                                        404, 486, 487, 500, 503, 503, 600, 603};
    struct copy *c;
    unsigned status;
    const char *extra = NULL;

    if (k->n_copies == 0)
        return;
    c = &k->copies[k->n_copies - 1 - pick(k, (unsigned)(k->n_copies < 12 ? k->n_copies : 12))];
    status = statuses[pick(k, sizeof(statuses) / sizeof(statuses[0]))];
    if (status == 302)
        extra = "Contact: <sip:bob@192.0.2.77>;q=0.4, <mailto:bob@example.com>\r\n";
    else if (status == 401)
        extra = "WWW-Authenticate: Digest realm=\"a\"\r\n";
    else if (status == 407)
        extra = "Proxy-Authenticate: Digest realm=\"b\"\r\n";
    note_answer(c, status);
    respond_with(&k->w, &c->sent, status, "t", extra);
}

static void do_wait(struct walk *k)
{
    static const ms_t waits[] = {0, 1, 100, 500, 500, 1000, 4000, 21000, 33000, 201000};

    world_advance(&k->w, waits[pick(k, 10)]);
}

static void do_break(struct walk *k)
{
    if (k->n_copies > 0)
        proxy_send_failed(k->w.proxy, k->copies[pick(k, (unsigned)k->n_copies)].sent.token);
}

static void do_refuse(struct walk *k)
{
    if (k->n_copies > 0) {
        const struct sent *sent = &k->copies[pick(k, (unsigned)k->n_copies)].sent;
        struct slice text = slice_from_cstr(sent->text);

        proxy_send_refused(k->w.proxy, slice_sub(text, 0, pick(k, (unsigned)text.len)));
    }
}

static void do_resolve(struct walk *k)
{
    struct sip_hop hops[2] = {{.addr = addr_of(BOB), .transport = SIP_TRANSPORT_UDP},
                              {.addr = addr_of(BOB2), .transport = SIP_TRANSPORT_TCP}};

    if (k->w.n_tickets > 0)
        proxy_resolved(k->w.proxy, k->w.tickets[pick(k, (unsigned)k->w.n_tickets)],
                       pick(k, 4) ? 0 : ERR_NOTFOUND, hops, 1 + pick(k, 2));
}

static void set_up(struct walk *k, unsigned seed)
{
    static const struct proxy_binding one[] = {{.uri = TEXT("sip:one@192.0.2.20"), .q_milli = 1000}};
    static const struct proxy_binding fork[] = {
        {.uri = TEXT("sip:a@192.0.2.20"), .q_milli = 500},
        {.uri = TEXT("sip:b@192.0.2.21"), .q_milli = 500},
        {.uri = TEXT("sip:c@192.0.2.22;transport=tcp"), .q_milli = 500}};
    static const struct proxy_binding serial[] = {{.uri = TEXT("sip:a@192.0.2.20"), .q_milli = 900},
                                                  {.uri = TEXT("sip:b@192.0.2.21"), .q_milli = 500},
                                                  {.uri = TEXT("sip:c@192.0.2.22"), .q_milli = 100}};
    static const struct proxy_binding mixed[] = {
        {.uri = TEXT("sip:a@192.0.2.20"), .path = TEXT("<sip:192.0.2.30;lr>"), .q_milli = 900},
        {.uri = TEXT("sip:b@192.0.2.21"), .q_milli = 900},
        {.uri = TEXT("sip:one@example.com"), .q_milli = 500},
        {.uri = TEXT("sip:d@192.0.2.23;transport=foo"), .q_milli = 500},
        {.uri = TEXT("sip:e@gone.example.net"), .q_milli = 500}};
    static const struct proxy_binding spiral[] = {
        {.uri = TEXT("sip:fork@example.com;maddr=192.0.2.1"), .q_milli = 900},
        {.uri = TEXT("sip:one@example.com;x=y"), .q_milli = 900},
        {.uri = TEXT("sip:f@192.0.2.24"), .q_milli = 900}};
    static const struct proxy_binding lost[] = {{.uri = TEXT("sip:e@gone.example.net"), .q_milli = 500}};
    static const struct proxy_binding circle[] = {{.uri = TEXT("sip:circle@example.com;y=z"), .q_milli = 900},
                                                  {.uri = TEXT("sip:g@192.0.2.25"), .q_milli = 900}};
    k->random = seed * 2654435761u + 1;
    k->seed = seed;
    k->n_asked = k->n_copies = 0;
    memset(k->copies, 0, COPIES_MAX * sizeof(*k->copies));
    world_init(&k->w);
    set_user(&k->w, "sip:one@example.com", one, 1);
    set_user(&k->w, "sip:fork@example.com", fork, 3);
    set_user(&k->w, "sip:serial@example.com", serial, 3);
    set_user(&k->w, "sip:mixed@example.com", mixed, 5);
    set_user(&k->w, "sip:spiral@example.com", spiral, 3);
    set_user(&k->w, "sip:lost@example.com", lost, 1);
    set_user(&k->w, "sip:nobody@example.com", NULL, 0);
    set_user(&k->w, "sip:circle@example.com", circle, 2);
    k->w.opts.recurse_3xx = pick(k, 2);
    k->w.opts.ring_ms = pick(k, 2) ? 20000 : 0;
    k->w.opts.path_mtu_bytes = pick(k, 3) ? 1500 : 700;
    k->w.send_result = pick(k, 2) ? fail_sometimes : NULL;
    k->w.extra_hops[0] = (struct sip_hop){.addr = addr_of("192.0.2.90:5060"), .transport = SIP_TRANSPORT_UDP};
    k->w.n_extra_hops = pick(k, 2);
    current = k;
    world_start(&k->w);
}

/* Section 16.7: "exactly one final response to a non-INVITE request, and either exactly one non-2xx response
 * or one or more 2xx responses to an INVITE request". */
static void judge(const struct walk *k, bool lost_nothing)
{
    for (size_t i = 0; i < k->n_asked; i++) {
        const struct asked *a = &k->asked[i];
        bool good = a->finals_other <= 1 && (a->finals_2xx == 0 || a->finals_other == 0);

        if (!a->is_invite)
            good &= a->finals_2xx <= 1;
        else if (lost_nothing)
            good &= a->finals_2xx + a->finals_other > 0;
        if (!good)
            fail_msg("seed %u: %s %s: %u 2xx, %u others, last %u", k->seed, a->method, a->ruri, a->finals_2xx,
                     a->finals_other, a->last_status);
    }
}

static void run(struct walk *k, unsigned seed)
{
    static void (*const steps[])(struct walk *) = {
        do_ask,  do_ask,  do_ask,    do_answer, do_answer, do_answer, do_answer, do_answer,
        do_wait, do_wait, do_cancel, do_ack,    do_repeat, do_break,  do_refuse, do_resolve};

    set_up(k, seed);
    for (unsigned i = 0; i < STEPS; i++) {
        k->w.resolve_later = pick(k, 8) == 0;
        steps[pick(k, sizeof(steps) / sizeof(steps[0]))](k);
        look(k);
    }
    /* All look-ups end, and all timers. */
    k->w.resolve_later = false;
    for (unsigned i = 0; i < 40; i++) {
        for (size_t t = 0; t < k->w.n_tickets; t++)
            proxy_resolved(k->w.proxy, k->w.tickets[t], ERR_NOTFOUND, NULL, 0);
        world_advance(&k->w, 60000);
        look(k);
    }
    judge(k, !k->w.send_result);
    world_stop(&k->w);
}

static void every_request_ends_well_and_nothing_is_left(void **state)
{
    struct walk *k = calloc(1, sizeof(*k));

    (void)state;
    k->copies = calloc(COPIES_MAX, sizeof(*k->copies));
    for (unsigned seed = 1; seed <= RUNS; seed++)
        run(k, seed);
    free(k->copies);
    free(k);
}

/* The same with memory that gives out for a while, again and again. Nothing is promised to anybody then but
 * an end. */
static void without_memory_nothing_is_left_either(void **state)
{
    static void (*const steps[])(struct walk *) = {do_ask,    do_answer, do_answer, do_wait,
                                                   do_cancel, do_ack,    do_break};
    struct walk *k = calloc(1, sizeof(*k));

    (void)state;
    k->copies = calloc(COPIES_MAX, sizeof(*k->copies));
    for (unsigned seed = 1; seed <= RUNS; seed++) {
        set_up(k, seed);
        k->is_starved = true;
        for (unsigned i = 0; i < STEPS; i++) {
            if (pick(k, 3) == 0)
                mem_fail_after((int64_t)pick(k, 6));
            steps[pick(k, sizeof(steps) / sizeof(steps[0]))](k);
            mem_fail_after(-1);
            look(k);
        }
        for (unsigned i = 0; i < 40; i++) {
            world_advance(&k->w, 60000);
            look(k);
        }
        world_stop(&k->w);
    }
    free(k->copies);
    free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_request_ends_well_and_nothing_is_left),
        cmocka_unit_test(without_memory_nothing_is_left_either),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
