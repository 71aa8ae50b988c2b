/* One branch of a response context: a machine over the client transaction, which is a machine of its own.
 * What a branch adds: finding the next hop, the candidates of RFC 3263 one after the other (each by a client
 * transaction and a branch parameter of its own), Timer C, and the CANCEL that waits for a provisional
 * response. */
#include "proxy/internal.h"
#include <assert.h>

static const char *const state_names[PROXY_BRANCH_STATES] = {
    "branch.resolving",  "branch.calling",    "branch.proceeding",
    "branch.cancel_due", "branch.cancelling", "branch.done",
};

static const struct proxy_cancel no_cancel = {{NULL, 0}, 408, "no answer"};
static const struct proxy_cancel timer_c_cancel = {
    {"SIP;cause=408;text=\"Request Timeout\"", sizeof("SIP;cause=408;text=\"Request Timeout\"") - 1},
    408,
    "Timer C (16.8)"};

struct slice proxy_branch_text(const struct proxy_branch *b)
{
    return slice_make(b->id, b->id[0] ? sizeof(b->id) : 0);
}

static struct proxy *proxy_of(const struct proxy_branch *b)
{
    return b->context->req.proxy;
}

/* Only a 2xx to an INVITE may be followed by more. */
static void detach(struct proxy_branch *b)
{
    if (b->client)
        txn_client_set_user(b->client, NULL);
    b->client = NULL;
}

/* The one way into a state. */
static void enter(struct proxy_branch *b, enum proxy_branch_state state, unsigned status, const char *why)
{
    b->state = state;
    if (state == PROXY_BRANCH_DONE) {
        timer_stop(&proxy_of(b)->wheel, &b->timer);
        proxy_wait_stop(proxy_of(b), &b->wait);
        if (!b->is_accepted)
            detach(b);
    }
    proxy_explain(b->context, b, state_names[state], status, why);
}

/* Once, whatever happens to the branch later. */
static void tell(struct proxy_branch *b, enum proxy_try how, unsigned status, struct sip_msg *response)
{
    const struct proxy_outcome outcome = {how, status, b->has_rung, response};
    const struct proxy_watch *watch = b->target->watch;

    if (!watch || b->is_told)
        return;
    b->is_told = true;
    if (!watch->ended(watch, &b->context->req, b->target->member, &outcome))
        proxy_targets_skip(b->context, watch);
}

void proxy_branch_drop(struct proxy_branch *b)
{
    tell(b, PROXY_TRY_DROPPED, b->cancel.status, NULL);
}

static void end_local(struct proxy_branch *b, enum proxy_try how, unsigned status, const char *why)
{
    enter(b, PROXY_BRANCH_DONE, status, why);
    proxy_response_add_local(b->context, b, status, why);
    tell(b, how, status, NULL);
}

/* RFC 5626 section 7: what says that this way is cut, or that nobody was there. Once somebody was alerted he has had his chance;
 * and a spiral has used its breadth (order.c). */
static bool may_switch(const struct proxy_branch *b)
{
    return b->target->instead && b->context->n_spirals == 0 && !b->context->is_closed && !b->has_rung &&
           b->state != PROXY_BRANCH_CANCEL_DUE && b->state != PROXY_BRANCH_CANCELLING;
}

/* "the proxy SHOULD replace the failed branch with another target (if one is available) with the same AOR and instance-id, but a
 * different reg-id." In a turn of its own, so that a long list of dead ways needs no deep stack. */
static void switch_way(struct proxy_branch *b, unsigned status, const char *why)
{
    struct proxy *p = proxy_of(b);

    detach(b);
    proxy_wait_stop(p, &b->wait);
    b->target = b->target->instead;
    b->n_hops = b->next_hop = b->n_before = 0;
    b->is_udp_forced = b->is_spared = false;
    b->is_switching = true;
    enter(b, PROXY_BRANCH_RESOLVING, status, why);
    timer_set(&p->wheel, &b->timer, p->wheel.now_ms);
}

/* This way does not lead there: the next one, or the end. */
static void end_way(struct proxy_branch *b, enum proxy_try how, unsigned status, const char *why)
{
    if (may_switch(b))
        switch_way(b, status, why);
    else
        end_local(b, how, status, why);
}

/* Section 16.9: "as if the forwarded request received a 503", and RFC 5626 section 5.3.1: "If the flow no longer exists, the proxy
 * SHOULD send a 430 (Flow Failed)". */
static unsigned status_of_failure(const struct proxy_branch *b)
{
    return b->target->has_hop && b->target->hop.flow_only ? 430 : 503;
}

/* Sending (section 16.6 steps 7 to 11) */

static void set_timer_c(struct proxy_branch *b)
{
    struct proxy *p = proxy_of(b);

    if (proxy_is_invite(b->context))
        timer_set(&p->wheel, &b->timer, p->wheel.now_ms + p->opts->timer_c_ms);
}

static int send_to(struct proxy_branch *b, const struct sip_hop *hop)
{
    struct proxy_context *c = b->context;
    struct proxy *p = proxy_of(b);
    struct proxy_copy copy = {.context = c, .target = b->target, .hop = *hop, .max_breadth = b->breadth};
    struct wire *wire;
    int rc = proxy_listener_choose(p, hop, c->prefer_listener, c->req.from.listener, &copy.hop.listener);

    if (rc < 0)
        return rc;
    /* Section 16.6 step 7: "the branch parameter ... MUST be different for each attempt". */
    proxy_branch_id_new(p, proxy_context_loop_hash(c), b->id);
    copy.branch = proxy_branch_text(b);
    copy.record_listener = copy.hop.listener;
    b->is_by_size = false;
    rc = b->is_udp_forced ? proxy_forward_build(&copy, &wire)
                          : proxy_forward_build_sized(&copy, &wire, &b->is_by_size);
    if (rc < 0)
        return rc;
    rc = txn_client_new(p->txn, c->req.method, c->req.msg->method_name, copy.branch, wire, &copy.hop,
                        &b->user, &b->client);
    wire_unref(wire);
    b->sent_ms = p->wheel.now_ms;
    b->is_heard = false;
    return rc;
}

/* All that a copy is made of stays with the context and the target. */
int proxy_branch_request(struct proxy_branch *b, struct wire **ret_wire)
{
    struct proxy_copy copy = {.context = b->context,
                              .target = b->target,
                              .hop = *txn_client_hop(b->client),
                              .branch = proxy_branch_text(b),
                              .is_for_follow_up = true};
    int rc = proxy_context_read(b->context);

    return rc < 0 ? rc : proxy_forward_build(&copy, ret_wire);
}

/* What is known of the address now being tried, to whoever keeps the health of servers. */
static void report(const struct proxy_branch *b, enum proxy_fate fate, uint32_t retry_after_s)
{
    if (!b->client)
        return;
    proxy_report(proxy_of(b), txn_client_hop(b->client), fate, b->sent_ms, retry_after_s);
    /* Silence after a non-INVITE may be that of who is behind the server (RFC 4320 section 4.2). */
    if (fate != PROXY_FATE_TIMEOUT || proxy_is_invite(b->context))
        proxy_neighbour_fared(proxy_of(b), &txn_client_hop(b->client)->addr,
                              fate == PROXY_FATE_ANSWERED || fate == PROXY_FATE_UNAVAILABLE);
}

static void report_response(struct proxy_branch *b, struct sip_msg *response)
{
    uint32_t retry_after_s;

    if (b->client)
        proxy_neighbour_heard(proxy_of(b), txn_client_hop(b->client), response);
    if (response->status == 503 && proxy_retry_after(response, &retry_after_s))
        report(b, PROXY_FATE_UNAVAILABLE, retry_after_s);
    else if (!b->is_heard)
        report(b, PROXY_FATE_ANSWERED, 0);
    b->is_heard = true;
}

/* RFC 7339 section 5.10.1: "INVITEs versus requests associated with existing sessions", and emergency calls. */
static bool is_cat2(const struct proxy_context *c, struct sip_msg *request)
{
    return !slice_is_null(sip_msg_to_tag(request)) || proxy_is_emergency(c->req.proxy->opts, request->ruri);
}

bool proxy_may_send(struct proxy_branch *b, const struct addr *server)
{
    struct proxy_context *c = b->context;
    struct sip_msg *request = c->req.msg;
    struct hash_state st;

    if (!c->req.proxy->neighbours)
        return true;
    /* An ACK has no answer that could refuse it; and a CANCEL makes less work. */
    if (request->method == SIP_METHOD_ACK || request->method == SIP_METHOD_CANCEL)
        return true;
    hash_begin_table(&st, &c->req.proxy->opts->secret);
    hash_add(&st, c->req.top_via);
    hash_add_u64(&st, server->port);
    return proxy_neighbour_admits(c->req.proxy, server, is_cat2(c, request), hash_end64(&st));
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
    struct proxy *p = proxy_of(b);

    detach(b);
    b->failure = *failure;
    b->n_before = b->n_hops;
    b->is_switching = true;
    enter(b, PROXY_BRANCH_RESOLVING, failure->status, failure->why);
    timer_set(&p->wheel, &b->timer, p->wheel.now_ms);
}

static void end_unread(struct proxy_branch *b)
{
    counter_inc(proxy_of(b)->counters, COUNTER_SHED);
    end_local(b, PROXY_TRY_DROPPED, 503, "no memory to read the request again");
}

/* Section 16.6 step 7: "proceed through the set in order until the delivery attempt succeeds". A failure that
 * is known only later comes back as an event. how and status: of the branch when the set is exhausted. */
static void try_hops(struct proxy_branch *b, enum proxy_try how, unsigned status, const char *why)
{
    if (proxy_context_read(b->context) < 0) {
        end_unread(b);
        return;
    }
    while (b->next_hop < b->n_hops) {
        const struct sip_hop *hop = &b->hops[b->next_hop];
        int rc;

        if (!proxy_may_send(b, &hop->addr)) {
            b->next_hop++;
            b->is_spared = true;
            continue;
        }
        rc = send_to(b, hop);
        b->next_hop++;
        b->is_udp_forced = false;
        if (rc == 0) {
            enter(b, PROXY_BRANCH_CALLING, 0, "request sent (16.6)");
            set_timer_c(b);
            return;
        }
        if (rc == ERR_NOMEM) {
            counter_inc(proxy_of(b)->counters, COUNTER_SHED);
            end_local(b, PROXY_TRY_DROPPED, 503, "no memory for a client transaction");
            return;
        }
        if (rc == ERR_LIMIT) {
            end_local(b, PROXY_TRY_DROPPED, 513, "with what a proxy adds the request is too long");
            return;
        }
    }
    if (may_have_more(b) && !b->context->is_closed)
        look_further(b, &(struct proxy_failure){how, status, why});
    else if (b->is_spared)
        end_way(b, PROXY_TRY_SPARED, 503, "its server wants fewer requests (RFC 7339 section 5.10)");
    else
        end_way(b, how, status, why);
}

/* RFC 3263 section 4.3: another element of the list, unless nobody wants the answer any more. */
static bool may_fail_over(const struct proxy_branch *b)
{
    return has_candidate(b) && !b->context->is_closed &&
           (b->state == PROXY_BRANCH_CALLING || b->state == PROXY_BRANCH_PROCEEDING);
}

static void fail_over(struct proxy_branch *b, enum proxy_try how, unsigned status, const char *why)
{
    detach(b);
    timer_stop(&proxy_of(b)->wheel, &b->timer);
    proxy_explain(b->context, b, "branch.next_hop", status, why);
    try_hops(b, how, status, why);
}

/* Section 18.1.1: "if the attempt to establish the connection generates either an ICMP Protocol Not
 * Supported, or results in a TCP reset, the element SHOULD retry the request, using UDP". */
static bool may_retry_udp(const struct proxy_branch *b)
{
    return b->is_by_size && b->state == PROXY_BRANCH_CALLING && !b->context->is_closed;
}

/* Actions */

typedef void action_fn(struct proxy_branch *b, const struct proxy_branch_input *in);

static void do_ignore(struct proxy_branch *b, const struct proxy_branch_input *in)
{
    (void)b;
    (void)in;
}

static bool is_known(const struct proxy_branch *b, const struct sip_hop *hop)
{
    for (size_t i = 0; i < b->n_hops; i++) {
        if (b->hops[i].transport == hop->transport && addr_eq(&b->hops[i].addr, &hop->addr))
            return true;
    }
    return false;
}

/* Those that are not known yet come after those that are. */
static int add_hops(struct proxy_branch *b, const struct sip_hop *hops, size_t count)
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

static void do_try(struct proxy_branch *b, const struct proxy_branch_input *in)
{
    struct proxy_context *c = b->context;

    proxy_wait_stop(proxy_of(b), &b->wait);
    timer_stop(&proxy_of(b)->wheel, &b->timer);
    if (c->is_without_server && proxy_stateless_send(b, in->hops, in->n_hops))
        return;
    if (add_hops(b, in->hops, in->n_hops) != 0)
        end_local(b, PROXY_TRY_DROPPED, 503, "no memory for the addresses of the next hop");
    else if (b->n_before > 0)
        try_hops(b, b->failure.how, b->failure.status, b->failure.why);
    else
        try_hops(b, PROXY_TRY_UNREACHABLE, status_of_failure(b),
                 "no address of the next hop can be used (16.6 step 7)");
}

static void do_unresolved(struct proxy_branch *b, const struct proxy_branch_input *in)
{
    (void)in;
    if (b->n_before > 0)
        try_hops(b, b->failure.how, b->failure.status, b->failure.why);
    else
        end_way(b, PROXY_TRY_UNREACHABLE, 503, "the next hop has no address (RFC 3263)");
}

/* Somebody is alerted, which takes its time, and few come to another end than a 2xx. */
static void rest(struct proxy_branch *b)
{
    if (!proxy_is_invite(b->context))
        return;
    txn_client_release(b->client);
    proxy_context_rest(b->context);
}

/* Section 16.7 step 2: "if the response is a provisional response with status codes 101 to 199 inclusive
 * (i.e., anything but 100), the proxy MUST reset timer C for that client transaction". */
static void do_provisional(struct proxy_branch *b, const struct proxy_branch_input *in)
{
    b->heard_ms = proxy_of(b)->wheel.now_ms;
    b->has_rung |= in->response->status > 100;
    if (in->response->status > 100)
        set_timer_c(b);
    if (b->state != PROXY_BRANCH_PROCEEDING)
        enter(b, PROXY_BRANCH_PROCEEDING, in->response->status, "provisional response (16.7 step 2)");
    proxy_response_provisional(b, in->response);
    if (in->response->status > 100)
        rest(b);
}

static void do_forward_provisional(struct proxy_branch *b, const struct proxy_branch_input *in)
{
    proxy_response_provisional(b, in->response);
}

static void cancel_now(struct proxy_branch *b)
{
    struct proxy *p = proxy_of(b);

    enter(b, PROXY_BRANCH_CANCELLING, 0, b->cancel.why);
    timer_set(&p->wheel, &b->timer, p->wheel.now_ms + 64 * p->opts->times.t1_ms);
    proxy_cancel_send(b);
}

static void do_provisional_then_cancel(struct proxy_branch *b, const struct proxy_branch_input *in)
{
    proxy_response_provisional(b, in->response);
    cancel_now(b);
}

static void do_accept(struct proxy_branch *b, const struct proxy_branch_input *in)
{
    b->is_accepted = proxy_is_invite(b->context);
    enter(b, PROXY_BRANCH_DONE, in->response->status, "accepted (16.7 step 5)");
    proxy_response_accept(b, in->response);
    tell(b, PROXY_TRY_ANSWERED, in->response->status, in->response);
}

static void do_accept_again(struct proxy_branch *b, const struct proxy_branch_input *in)
{
    proxy_response_accept(b, in->response);
}

static void do_final(struct proxy_branch *b, const struct proxy_branch_input *in)
{
    unsigned status = in->response->status;

    if (status == 503 && may_fail_over(b)) {
        fail_over(b, PROXY_TRY_UNREACHABLE, 503, "503 from this address, next one (RFC 3263 section 4.3)");
        return;
    }
    if ((status == 430 || status == 408) && may_switch(b)) {
        switch_way(b, status, "another way to the same client (RFC 5626 section 7)");
        return;
    }
    enter(b, PROXY_BRANCH_DONE, status, "final response (16.7 step 4)");
    proxy_response_add(b, in->response);
    tell(b, PROXY_TRY_ANSWERED, status, in->response);
}

/* Section 16.6 step 7, last paragraph: "acts as if this element of the target set returned a 408". */
static void do_timeout(struct proxy_branch *b, const struct proxy_branch_input *in)
{
    (void)in;
    if (!b->is_heard)
        report(b, PROXY_FATE_TIMEOUT, 0);
    if (b->state == PROXY_BRANCH_CALLING && may_fail_over(b))
        fail_over(b, PROXY_TRY_SILENT, 408, "no response from this address, next one (RFC 3263 section 4.3)");
    else
        end_way(b, PROXY_TRY_SILENT, b->cancel.status, "Timer B or F (16.6 step 7)");
}

static void do_transport(struct proxy_branch *b, const struct proxy_branch_input *in)
{
    (void)in;
    report(b, PROXY_FATE_UNREACHABLE, 0);
    if (may_retry_udp(b)) {
        b->next_hop--;
        b->is_udp_forced = true;
        fail_over(b, PROXY_TRY_UNREACHABLE, 503, "no connection for a long request, over UDP then (18.1.1)");
    } else if (may_fail_over(b)) {
        fail_over(b, PROXY_TRY_UNREACHABLE, 503,
                  "this address cannot be reached, next one (RFC 3263 section 4.3)");
    } else {
        end_way(b, PROXY_TRY_UNREACHABLE, status_of_failure(b), "transport error (16.9)");
    }
}

static void do_cancel_resolving(struct proxy_branch *b, const struct proxy_branch_input *in)
{
    end_local(b, PROXY_TRY_DROPPED, in->cancel->status, in->cancel->why);
}

/* Section 9.1: "A CANCEL request SHOULD NOT be sent to cancel a request other than INVITE". */
static void do_cancel_later(struct proxy_branch *b, const struct proxy_branch_input *in)
{
    if (!proxy_is_invite(b->context))
        return;
    b->cancel = *in->cancel;
    enter(b, PROXY_BRANCH_CANCEL_DUE, 0, "CANCEL waits for a provisional response (9.1)");
}

static void do_cancel(struct proxy_branch *b, const struct proxy_branch_input *in)
{
    if (!proxy_is_invite(b->context))
        return;
    b->cancel = *in->cancel;
    cancel_now(b);
}

/* A second reason to cancel: no second CANCEL, but it may change as what a silent branch counts. */
static void do_cancel_again(struct proxy_branch *b, const struct proxy_branch_input *in)
{
    b->cancel.status = in->cancel->status;
}

static void abandon(struct proxy_branch *b, const char *why)
{
    struct txn_client *client = b->client;

    detach(b);
    if (client)
        txn_client_abandon(proxy_of(b)->txn, client);
    end_local(b, PROXY_TRY_SILENT, b->cancel.status, why);
}

/* Section 16.8: "If the client transaction has not received a provisional response, the proxy MUST behave as
 * if the transaction received a 408". */
static void do_timer_c_silent(struct proxy_branch *b, const struct proxy_branch_input *in)
{
    (void)in;
    abandon(b, "Timer C, no provisional response (16.8)");
}

/* Section 16.8: "If the client transaction has received a provisional response, the proxy MUST generate a
 * CANCEL". */
static void do_timer_c(struct proxy_branch *b, const struct proxy_branch_input *in)
{
    (void)in;
    b->cancel = timer_c_cancel;
    cancel_now(b);
}

static void do_abandon(struct proxy_branch *b, const struct proxy_branch_input *in)
{
    (void)in;
    abandon(b, "no final response 64*T1 after the CANCEL (9.1)");
}

static void do_detach(struct proxy_branch *b, const struct proxy_branch_input *in)
{
    (void)in;
    enter(b, PROXY_BRANCH_DONE, 0, "another branch has answered this non-INVITE (16.7 step 5)");
    tell(b, PROXY_TRY_DROPPED, b->cancel.status, NULL);
}

/* NULL: cannot happen. */
static action_fn *const actions[PROXY_BRANCH_STATES][PROXY_EVENTS] = {
    [PROXY_BRANCH_RESOLVING] =
        {
            [PROXY_EVENT_RESOLVED] = do_try,
            [PROXY_EVENT_UNRESOLVED] = do_unresolved,
            [PROXY_EVENT_TIMER] = do_unresolved,
            [PROXY_EVENT_CANCEL] = do_cancel_resolving,
            [PROXY_EVENT_DETACH] = do_detach,
        },
    [PROXY_BRANCH_CALLING] =
        {
            [PROXY_EVENT_1XX] = do_provisional,
            [PROXY_EVENT_2XX] = do_accept,
            [PROXY_EVENT_3XX_6XX] = do_final,
            [PROXY_EVENT_TIMEOUT] = do_timeout,
            [PROXY_EVENT_TRANSPORT] = do_transport,
            [PROXY_EVENT_CANCEL] = do_cancel_later,
            [PROXY_EVENT_TIMER] = do_timer_c_silent,
            [PROXY_EVENT_DETACH] = do_detach,
        },
    [PROXY_BRANCH_PROCEEDING] =
        {
            [PROXY_EVENT_1XX] = do_provisional,
            [PROXY_EVENT_2XX] = do_accept,
            [PROXY_EVENT_3XX_6XX] = do_final,
            [PROXY_EVENT_TIMEOUT] = do_timeout,
            [PROXY_EVENT_TRANSPORT] = do_transport,
            [PROXY_EVENT_CANCEL] = do_cancel,
            [PROXY_EVENT_TIMER] = do_timer_c,
            [PROXY_EVENT_DETACH] = do_detach,
        },
    [PROXY_BRANCH_CANCEL_DUE] =
        {
            [PROXY_EVENT_1XX] = do_provisional_then_cancel,
            [PROXY_EVENT_2XX] = do_accept,
            [PROXY_EVENT_3XX_6XX] = do_final,
            [PROXY_EVENT_TIMEOUT] = do_timeout,
            [PROXY_EVENT_TRANSPORT] = do_transport,
            [PROXY_EVENT_CANCEL] = do_cancel_again,
            [PROXY_EVENT_TIMER] = do_timer_c_silent,
        },
    [PROXY_BRANCH_CANCELLING] =
        {
            [PROXY_EVENT_1XX] = do_forward_provisional,
            [PROXY_EVENT_2XX] = do_accept,
            [PROXY_EVENT_3XX_6XX] = do_final,
            [PROXY_EVENT_TIMEOUT] = do_timeout,
            [PROXY_EVENT_TRANSPORT] = do_transport,
            [PROXY_EVENT_CANCEL] = do_cancel_again,
            [PROXY_EVENT_TIMER] = do_abandon,
        },
    [PROXY_BRANCH_DONE] =
        {
            [PROXY_EVENT_1XX] = do_ignore,
            [PROXY_EVENT_2XX] = do_accept_again,
            [PROXY_EVENT_3XX_6XX] = do_ignore,
            [PROXY_EVENT_TIMEOUT] = do_ignore,
            [PROXY_EVENT_TRANSPORT] = do_ignore,
        },
};

void proxy_branch_happen(struct proxy_branch *b, enum proxy_branch_event event,
                         const struct proxy_branch_input *in)
{
    action_fn *action = actions[b->state][event];

    assert(action);
    if (in->response)
        report_response(b, in->response);
    action(b, in);
}

void proxy_branch_give_up(struct proxy_branch *b)
{
    static const struct proxy_cancel cancel = {
        {"SIP;cause=408;text=\"Request Timeout\"", sizeof("SIP;cause=408;text=\"Request Timeout\"") - 1},
        408,
        "no answer in time, another is tried in its place"};
    const struct proxy_branch_input in = {.cancel = &cancel};

    b->is_given_up = true;
    proxy_explain(b->context, b, "branch.given_up", 408, cancel.why);
    tell(b, PROXY_TRY_SILENT, 408, NULL);
    proxy_branch_happen(b, PROXY_EVENT_CANCEL, &in);
}

/* Section 16.6 step 7: the address of a flow that the binding names is used as it is, unless the caller's own
 * Route values say that something else comes first; and a SIPS contact that was registered without TLS is not reached so. */
static bool goes_by_flow(const struct proxy_context *c, const struct proxy_target *target)
{
    return target->has_hop && c->n_routes == 0 &&
           (!proxy_target_is_secure(target) ||
            sip_transport_is_secure((enum sip_transport)target->hop.transport));
}

static void find_next_hop(struct proxy_branch *b)
{
    struct proxy *p = proxy_of(b);
    struct sip_hop hops[PROXY_HOPS_MAX];
    struct proxy_branch_input in = {.hops = hops};
    struct proxy_lookup lookup;
    struct proxy_plan plan;
    int rc;

    if (proxy_context_read(b->context) < 0) {
        end_unread(b);
        return;
    }
    rc = proxy_plan_make(b->context, b->target, &plan);
    if (rc == ERR_NOMEM) {
        end_local(b, PROXY_TRY_DROPPED, 503, "no memory for the Route");
        return;
    }
    if (rc < 0) {
        end_local(b, PROXY_TRY_DROPPED, 400, "the next Route value cannot be used (16.6 step 6)");
        return;
    }
    if (goes_by_flow(b->context, b->target)) {
        in = (struct proxy_branch_input){.hops = &b->target->hop, .n_hops = 1};
        proxy_branch_happen(b, PROXY_EVENT_RESOLVED, &in);
        return;
    }
    proxy_wait_start(p, &b->wait);
    lookup = proxy_lookup_of(b->context, &plan.next, b->wait.ticket);
    lookup.n_failed = b->n_before;
    rc = p->ports.resolve(p->ports.ctx, &lookup, hops, &in.n_hops);
    if (rc == ERR_AGAIN) {
        /* A resolver that never answers must not hold the request for ever: as long as a silent server. */
        timer_set(&p->wheel, &b->timer, p->wheel.now_ms + 64 * p->opts->times.t1_ms);
        return;
    }
    in.err = rc;
    proxy_branch_happen(b, rc == 0 ? PROXY_EVENT_RESOLVED : PROXY_EVENT_UNRESOLVED, &in);
}

static void on_timer(struct timer_wheel *wheel, struct timer *timer)
{
    struct proxy_branch *b = list_entry(timer, struct proxy_branch, timer);

    (void)wheel;
    if (b->is_switching) {
        b->is_switching = false;
        find_next_hop(b);
    } else {
        proxy_branch_happen(b, PROXY_EVENT_TIMER, &(struct proxy_branch_input){0});
    }
    proxy_context_advance(b->context);
}

int proxy_branch_start(struct proxy_context *c, struct proxy_target *target, unsigned breadth)
{
    struct proxy_branch *b = arena_zalloc(&c->req.arena, sizeof(*b));

    if (!b)
        return ERR_NOMEM;
    b->user.kind = PROXY_USER_BRANCH;
    b->context = c;
    b->target = target;
    b->breadth = breadth;
    b->cancel = no_cancel;
    b->heard_ms = c->req.proxy->wheel.now_ms;
    b->wait.kind = PROXY_WAIT_BRANCH;
    timer_init(&b->timer, on_timer);
    list_append(&c->branches, &b->node);
    enter(b, PROXY_BRANCH_RESOLVING, 0, "a target (16.5)");
    if (target->watch)
        target->watch->begun(target->watch, &c->req, target->member);
    find_next_hop(b);
    return 0;
}
