/* One branch of a response context: a machine over the client transaction, which is a machine of its own.
 * What a branch adds: the next hop that has to be found, one address after the other, Timer C, and the CANCEL
 * that waits for a provisional response. */
#include "proxy/branch.h"
#include <assert.h>

static const char *const state_names[PROXY_BRANCH_STATES] = {
    "branch.resolving",  "branch.calling",    "branch.proceeding",
    "branch.cancel_due", "branch.cancelling", "branch.done",
};

/* RFC 3326 */
#define TIMEOUT_REASON "SIP;cause=408;text=\"Request Timeout\""
#define TIMEOUT_CANCEL(why)                                                                                  \
    {                                                                                                        \
        {TIMEOUT_REASON, sizeof(TIMEOUT_REASON) - 1}, 408, why                                               \
    }

static const struct proxy_cancel no_cancel = {{NULL, 0}, 408, "no answer"};
static const struct proxy_cancel timer_c_cancel = TIMEOUT_CANCEL("Timer C (16.8)");
static const struct proxy_cancel late_cancel =
    TIMEOUT_CANCEL("no answer in time, another is tried in its place");

struct slice proxy_branch_text(const struct proxy_branch *b)
{
    return slice_make(b->id, b->id[0] ? sizeof(b->id) : 0);
}

void proxy_branch_detach(struct proxy_branch *b)
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
        timer_stop(&proxy_branch_proxy(b)->wheel, &b->timer);
        proxy_wait_stop(proxy_branch_proxy(b), &b->wait);
        /* Only a 2xx to an INVITE may be followed by more. */
        if (!b->is_accepted)
            proxy_branch_detach(b);
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

void proxy_branch_end(struct proxy_branch *b, enum proxy_try how, unsigned status, const char *why)
{
    enter(b, PROXY_BRANCH_DONE, status, why);
    proxy_response_add_local(b->context, b, status, why);
    tell(b, how, status, NULL);
}

void proxy_branch_shed(struct proxy_branch *b, const char *why)
{
    counter_inc(proxy_branch_proxy(b)->counters, COUNTER_SHED);
    proxy_branch_end(b, PROXY_TRY_DROPPED, 503, why);
}

static void set_timer_c(struct proxy_branch *b)
{
    struct proxy *p = proxy_branch_proxy(b);

    if (proxy_is_invite(b->context))
        timer_set(&p->wheel, &b->timer, p->wheel.now_ms + p->opts->timer_c_ms);
}

void proxy_branch_called(struct proxy_branch *b)
{
    enter(b, PROXY_BRANCH_CALLING, 0, "request sent (16.6)");
    set_timer_c(b);
}

void proxy_branch_look_again(struct proxy_branch *b, unsigned status, const char *why)
{
    struct proxy *p = proxy_branch_proxy(b);

    proxy_branch_detach(b);
    b->is_switching = true;
    enter(b, PROXY_BRANCH_RESOLVING, status, why);
    timer_set(&p->wheel, &b->timer, p->wheel.now_ms);
}

/* Actions */

typedef void action_fn(struct proxy_branch *b, const struct proxy_branch_input *in);

static void do_ignore(struct proxy_branch *b, const struct proxy_branch_input *in)
{
    (void)b;
    (void)in;
}

static void do_try(struct proxy_branch *b, const struct proxy_branch_input *in)
{
    struct proxy *p = proxy_branch_proxy(b);

    proxy_wait_stop(p, &b->wait);
    timer_stop(&p->wheel, &b->timer);
    if (b->context->is_without_server && proxy_stateless_send(b, in->hops, in->n_hops))
        return;
    proxy_hops_found(b, in->hops, in->n_hops);
}

static void do_unresolved(struct proxy_branch *b, const struct proxy_branch_input *in)
{
    (void)in;
    proxy_hops_not_found(b);
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
    b->heard_ms = proxy_branch_proxy(b)->wheel.now_ms;
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
    struct proxy *p = proxy_branch_proxy(b);

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

    if (status == 503 && proxy_hops_may_fail_over(b)) {
        proxy_hops_fail_over(b, PROXY_TRY_UNREACHABLE, 503,
                             "503 from this address, next one (RFC 3263 section 4.3)");
        return;
    }
    if ((status == 430 || status == 408) && proxy_way_may_switch(b)) {
        proxy_way_switch(b, status, "another way to the same client (RFC 5626 section 7)");
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
        proxy_attempt_failed(b, PROXY_FATE_TIMEOUT);
    if (b->state == PROXY_BRANCH_CALLING && proxy_hops_may_fail_over(b))
        proxy_hops_fail_over(b, PROXY_TRY_SILENT, 408,
                             "no response from this address, next one (RFC 3263 section 4.3)");
    else
        proxy_way_end(b, PROXY_TRY_SILENT, b->cancel.status, "Timer B or F (16.6 step 7)");
}

static void do_transport(struct proxy_branch *b, const struct proxy_branch_input *in)
{
    (void)in;
    proxy_attempt_failed(b, PROXY_FATE_UNREACHABLE);
    if (proxy_hops_may_retry_udp(b)) {
        proxy_hops_retry_udp(b);
    } else if (proxy_hops_may_fail_over(b)) {
        proxy_hops_fail_over(b, PROXY_TRY_UNREACHABLE, 503,
                             "this address cannot be reached, next one (RFC 3263 section 4.3)");
    } else {
        proxy_way_end(b, PROXY_TRY_UNREACHABLE, proxy_way_error_status(b), "transport error (16.9)");
    }
}

static void do_cancel_resolving(struct proxy_branch *b, const struct proxy_branch_input *in)
{
    proxy_branch_end(b, PROXY_TRY_DROPPED, in->cancel->status, in->cancel->why);
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

    proxy_branch_detach(b);
    if (client)
        txn_client_abandon(proxy_branch_proxy(b)->txn, client);
    proxy_branch_end(b, PROXY_TRY_SILENT, b->cancel.status, why);
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
        proxy_attempt_answered(b, in->response);
    action(b, in);
}

void proxy_branch_give_up(struct proxy_branch *b)
{
    const struct proxy_branch_input in = {.cancel = &late_cancel};

    b->is_given_up = true;
    proxy_explain(b->context, b, "branch.given_up", 408, late_cancel.why);
    tell(b, PROXY_TRY_SILENT, 408, NULL);
    proxy_branch_happen(b, PROXY_EVENT_CANCEL, &in);
}

static void on_timer(struct timer_wheel *wheel, struct timer *timer)
{
    struct proxy_branch *b = list_entry(timer, struct proxy_branch, timer);

    (void)wheel;
    if (b->is_switching) {
        b->is_switching = false;
        proxy_way_begin(b);
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
    proxy_way_begin(b);
    return 0;
}
