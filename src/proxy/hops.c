/* The addresses of the way that a branch goes, one after the other: "proceed through the set in order until
 * the delivery attempt succeeds" (section 16.6 step 7, RFC 3263 section 4.3). A failure that is known only
 * later comes back as an event of the branch. */
#include "proxy/branch.h"

static bool is_known(const struct proxy_branch *b, const struct sip_hop *hop)
{
    for (size_t i = 0; i < b->n_hops; i++) {
        if (b->hops[i].transport == hop->transport && addr_eq(&b->hops[i].addr, &hop->addr))
            return true;
    }
    return false;
}

/* Those that are not known yet come after those that are. */
static int add(struct proxy_branch *b, const struct sip_hop *hops, size_t count)
{
    struct sip_hop *all = arena_alloc(&b->context->req.arena, (b->n_hops + count) * sizeof(*all));
    size_t n = b->n_hops;

    if (!all)
        return ERR_NOMEM;
    if (n > 0)
        memcpy(all, b->hops, n * sizeof(*all));
    for (size_t i = 0; i < count && n < PROXY_HOPS_MAX; i++) {
        if (b->n_hops == 0 || !is_known(b, &hops[i]))
            all[n++] = hops[i];
    }
    b->hops = all;
    b->n_hops = n;
    return 0;
}

/* A list that is shorter than it was asked to be is all there is. */
static bool may_have_more(const struct proxy_branch *b)
{
    return b->n_hops >= b->n_before + PROXY_HOPS_STEP && b->n_hops < PROXY_HOPS_MAX;
}

static bool has_candidate(const struct proxy_branch *b)
{
    return b->next_hop < b->n_hops || may_have_more(b);
}

/* The next of the servers that the DNS has, which were not asked for before these had failed. */
static void look_further(struct proxy_branch *b, const struct proxy_failure *failure)
{
    b->failure = *failure;
    b->n_before = b->n_hops;
    proxy_branch_look_again(b, failure->status, failure->why);
}

/* ERR_DENIED: it wants fewer requests. */
static int try_next(struct proxy_branch *b)
{
    const struct sip_hop *hop = &b->hops[b->next_hop++];
    int rc;

    if (!proxy_may_send(b, &hop->addr)) {
        b->is_spared = !b->is_tried;
        return ERR_DENIED;
    }
    b->is_tried = true;
    b->is_spared = false;
    rc = proxy_attempt_send(b, hop);
    b->is_udp_forced = false;
    return rc;
}

/* What went wrong would go wrong at every address. */
static bool has_ended(struct proxy_branch *b, int err)
{
    if (err == ERR_NOMEM)
        proxy_branch_shed(b, "no memory for a client transaction");
    else if (err == ERR_LIMIT)
        proxy_branch_end(b, PROXY_TRY_DROPPED, 513, "with what a proxy adds the request is too long");
    return err == ERR_NOMEM || err == ERR_LIMIT;
}

/* Sends it to the next one that takes it. how and status: of the branch when there is none. */
static void try_hops(struct proxy_branch *b, enum proxy_try how, unsigned status, const char *why)
{
    if (proxy_context_read(b->context) < 0) {
        proxy_branch_shed(b, "no memory to read the request again");
        return;
    }
    while (b->next_hop < b->n_hops) {
        int rc = try_next(b);

        if (rc == 0)
            proxy_branch_called(b);
        if (rc == 0 || has_ended(b, rc))
            return;
    }
    if (may_have_more(b) && !b->context->is_closed)
        look_further(b, &(struct proxy_failure){how, status, why});
    else if (b->is_spared)
        proxy_way_end(b, PROXY_TRY_SPARED, 503, "its server wants fewer requests (RFC 7339 section 5.10)");
    else
        proxy_way_end(b, how, status, why);
}

/* None that is new was found after these had failed. */
static void try_further(struct proxy_branch *b)
{
    try_hops(b, b->failure.how, b->failure.status, b->failure.why);
}

void proxy_hops_found(struct proxy_branch *b, const struct sip_hop *hops, size_t count)
{
    if (add(b, hops, count) != 0)
        proxy_branch_end(b, PROXY_TRY_DROPPED, 503, "no memory for the addresses of the next hop");
    else if (b->n_before > 0)
        try_further(b);
    else
        try_hops(b, PROXY_TRY_UNREACHABLE, proxy_way_error_status(b),
                 "no address of the next hop can be used (16.6 step 7)");
}

void proxy_hops_not_found(struct proxy_branch *b)
{
    if (b->n_before > 0)
        try_further(b);
    else
        proxy_way_end(b, PROXY_TRY_UNREACHABLE, 503, "the next hop has no address (RFC 3263)");
}

void proxy_hops_forget(struct proxy_branch *b)
{
    b->n_hops = b->next_hop = b->n_before = 0;
    b->is_udp_forced = b->is_spared = false;
}

bool proxy_hops_may_fail_over(const struct proxy_branch *b)
{
    return has_candidate(b) && !b->context->is_closed &&
           (b->state == PROXY_BRANCH_CALLING || b->state == PROXY_BRANCH_PROCEEDING);
}

void proxy_hops_fail_over(struct proxy_branch *b, enum proxy_try how, unsigned status, const char *why)
{
    proxy_branch_detach(b);
    timer_stop(&proxy_branch_proxy(b)->wheel, &b->timer);
    proxy_explain(b->context, b, "branch.next_hop", status, why);
    try_hops(b, how, status, why);
}

/* Section 18.1.1: "if the attempt to establish the connection generates either an ICMP Protocol Not
 * Supported, or results in a TCP reset, the element SHOULD retry the request, using UDP". */
bool proxy_hops_may_retry_udp(const struct proxy_branch *b)
{
    return b->is_by_size && b->state == PROXY_BRANCH_CALLING && !b->context->is_closed;
}

void proxy_hops_retry_udp(struct proxy_branch *b)
{
    b->next_hop--;
    b->is_udp_forced = true;
    proxy_hops_fail_over(b, PROXY_TRY_UNREACHABLE, 503,
                         "no connection for a long request, over UDP then (18.1.1)");
}
