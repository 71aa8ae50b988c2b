/* What must hold, whatever the network and the peers do. The oracle sees every honest message on its way into
 * the proxy and every message out of it, and keeps its own account of requests and branches, by the branches
 * of Via alone. Each rule names its section.
 *
 * What it does not count: messages made to be wrong, and (after a crash) everything from before. */
#include "sim.h"
#include <stdlib.h>

/* A little less than 64*T1: in the last moment either outcome is right. */
#define ALIVE_MS (SIM_B_MS - 100)

/* A request as it reached the proxy. */
struct upstream {
    struct slice branch, method;
    struct leg *legs;
    bool is_cancelled, got_6xx;
    bool is_closed; /* no new branches from now on */
    unsigned final_status;
    struct slice final_bytes, final_tag;
    ms_t arrived_ms, final_ms;
};

/* One branch of it. */
struct leg {
    struct leg *next;
    struct upstream *up;
    struct slice branch, bytes, cancel_bytes, final_tag;
    const struct ua *ua; /* where it went; NULL: nobody */
    bool is_stream;
    bool got_1xx;
    bool may_have_1xx; /* one came, perhaps at the very moment of Timer B */
    unsigned final_status;
    ms_t sent_ms, final_ms, cancel_ms;
    ms_t alive_until_ms; /* without a provisional response */
};

/* What came in during this event and has to lead to something. */
struct pending {
    struct leg *leg;
    unsigned status;
    struct slice to_tag;
    bool wants_2xx, wants_ack;
    bool has_2xx, has_ack;
};

struct oracle {
    struct dict upstreams, legs;
    struct pending pending;
    struct upstream *touched[64];
    size_t n_touched;
};

static struct slice key_of(struct sim *s, struct slice branch, struct slice method)
{
    return heap_printf(s->heap, "%.*s/%.*s", SLICE_ARG(branch), SLICE_ARG(method));
}

void oracle_new(struct sim *s)
{
    s->oracle = heap_alloc(s->heap, sizeof(*s->oracle));
}

void oracle_forget(struct sim *s)
{
    *s->oracle = (struct oracle){0};
}

static void touch(struct oracle *o, struct upstream *up)
{
    for (size_t i = 0; i < o->n_touched; i++)
        if (o->touched[i] == up)
            return;
    if (up && o->n_touched < 64)
        o->touched[o->n_touched++] = up;
}

static bool is_invite(const struct upstream *up)
{
    return slice_eq(up->method, SLICE("INVITE"));
}

/* Does the client transaction of this branch still wait for a final response? */
static bool leg_is_pending(const struct sim *s, const struct leg *leg)
{
    ms_t now = s->world.now_ms;

    if (leg->final_status != 0 || (leg->ua && leg->ua->is_dead))
        return false;
    if (leg->cancel_bytes.len > 0 && now - leg->cancel_ms >= ALIVE_MS)
        return false;
    return leg->got_1xx || now < leg->alive_until_ms;
}

/* Into the proxy. */

static void arriving_request(struct sim *s, const struct plain *m)
{
    struct oracle *o = s->oracle;
    struct slice branch = sim_path(s, m, "Via[0].branch");
    struct upstream *up;

    if (slice_eq(m->method, SLICE("ACK")))
        return;
    if (slice_eq(m->method, SLICE("CANCEL"))) {
        up = dict_get(&o->upstreams, key_of(s, branch, SLICE("INVITE")));
        if (up && up->final_status == 0)
            up->is_cancelled = up->is_closed = true;
        touch(o, up);
        return;
    }
    if (dict_get(&o->upstreams, key_of(s, branch, m->method)))
        return;
    up = heap_alloc(s->heap, sizeof(*up));
    *up = (struct upstream){.branch = branch, .method = m->method, .arrived_ms = s->world.now_ms};
    dict_put(s->heap, &o->upstreams, key_of(s, branch, m->method), up);
}

/* Timer M, and Timer L of the other side. */
static bool is_accepting(const struct sim *s, const struct leg *leg)
{
    ms_t now = s->world.now_ms;
    bool up_alive =
        leg->up->final_status == 0 || (leg->up->final_status < 300 && now - leg->up->final_ms < ALIVE_MS);

    return up_alive && (leg_is_pending(s, leg) || (leg->final_status >= 200 && leg->final_status < 300 &&
                                                   now - leg->final_ms < ALIVE_MS));
}

static void arriving_response(struct sim *s, const struct plain *m)
{
    struct oracle *o = s->oracle;
    struct leg *leg = dict_get(&o->legs, key_of(s, sim_path(s, m, "Via[0].branch"), m->cseq_method));
    struct pending *p = &o->pending;

    if (!leg)
        return;
    touch(o, leg->up);
    *p = (struct pending){.leg = leg, .status = m->status, .to_tag = sim_path(s, m, "To.tag")};
    if (m->status < 200) {
        leg->got_1xx = leg->got_1xx || leg_is_pending(s, leg);
        leg->may_have_1xx = leg->may_have_1xx || leg->got_1xx || s->world.now_ms - leg->sent_ms <= SIM_B_MS;
        return;
    }
    p->wants_2xx = is_invite(leg->up) && m->status < 300 && is_accepting(s, leg);
    p->wants_ack = is_invite(leg->up) && m->status >= 300 &&
                   (leg_is_pending(s, leg) || (!leg->is_stream && leg->final_status >= 300 &&
                                               s->world.now_ms - leg->final_ms < ALIVE_MS));
    if (m->status >= 600 && leg_is_pending(s, leg))
        leg->up->got_6xx = leg->up->is_closed = true;
    if (leg_is_pending(s, leg)) {
        leg->final_status = m->status;
        leg->final_ms = s->world.now_ms;
    }
}

void oracle_before(struct sim *s, const struct plain *m)
{
    if (m->is_request)
        arriving_request(s, m);
    else
        arriving_response(s, m);
}

/* Out of the proxy. */

static void leaving_branch(struct sim *s, const struct plain *m, bool is_stream, const struct ua *ua)
{
    struct oracle *o = s->oracle;
    struct slice branch = sim_path(s, m, "Via[0].branch"), key = key_of(s, branch, m->method);
    struct upstream *up = dict_get(&o->upstreams, key_of(s, sim_path(s, m, "Via[1].branch"), m->method));
    struct leg *leg = dict_get(&o->legs, key);

    if (leg) {
        if (!slice_eq(leg->bytes, m->bytes))
            sim_fail(s, "section 17.1.1.2: a retransmission with other octets:\n%.*s", SLICE_ARG(m->bytes));
        return;
    }
    if (!up)
        return; /* from before a crash */
    if (up->is_closed && is_invite(up))
        sim_fail(s, "sections 16.7-5, 16.10: a new branch after %s:\n%.*s",
                 up->got_6xx ? "a 6xx" : (up->is_cancelled ? "a CANCEL" : "the final response"),
                 SLICE_ARG(m->bytes));
    leg = heap_alloc(s->heap, sizeof(*leg));
    *leg = (struct leg){.up = up,
                        .branch = branch,
                        .bytes = m->bytes,
                        .ua = ua,
                        .is_stream = is_stream,
                        .sent_ms = s->world.now_ms,
                        .alive_until_ms = s->world.now_ms + ALIVE_MS,
                        .next = up->legs};
    up->legs = leg;
    dict_put(s->heap, &o->legs, key, leg);
    touch(o, up);
}

static void leaving_cancel(struct sim *s, const struct plain *m)
{
    struct leg *leg = dict_get(&s->oracle->legs, key_of(s, sim_path(s, m, "Via[0].branch"), SLICE("INVITE")));

    if (!leg)
        return;
    if (leg->cancel_bytes.len > 0) {
        if (!slice_eq(leg->cancel_bytes, m->bytes))
            sim_fail(s, "section 16.10: a second CANCEL for one branch:\n%.*s", SLICE_ARG(m->bytes));
        return;
    }
    if (!leg->may_have_1xx || leg->final_status != 0)
        sim_fail(s, "section 9.1: a CANCEL for a branch that %s:\n%.*s",
                 leg->may_have_1xx ? "has its final response" : "has sent nothing", SLICE_ARG(m->bytes));
    leg->cancel_bytes = m->bytes;
    leg->cancel_ms = s->world.now_ms;
}

static void leaving_request(struct sim *s, const struct plain *m, bool is_stream, const struct ua *ua)
{
    struct pending *p = &s->oracle->pending;

    if (slice_eq(m->method, SLICE("ACK"))) {
        if (p->leg && slice_eq(p->leg->branch, sim_path(s, m, "Via[0].branch")))
            p->has_ack = true;
        return;
    }
    if (slice_eq(m->method, SLICE("CANCEL")))
        leaving_cancel(s, m);
    else
        leaving_branch(s, m, is_stream, ua);
}

/* Sections 16.7-5 and 16.7-6. */
static void first_failure(struct sim *s, struct upstream *up, const struct plain *m)
{
    for (struct leg *leg = up->legs; leg; leg = leg->next) {
        if (is_invite(up) && leg_is_pending(s, leg))
            sim_fail(s, "section 16.7-6: a final response while a branch is pending (%.*s):\n%.*s",
                     SLICE_ARG(leg->branch), SLICE_ARG(m->bytes));
        if (is_invite(up) && leg->final_status >= 200 && leg->final_status < 300)
            sim_fail(s, "section 16.7-5: a failure although a branch was answered:\n%.*s",
                     SLICE_ARG(m->bytes));
    }
    if (up->got_6xx && m->status < 600 && is_invite(up))
        sim_fail(s, "section 16.7-6: a 6xx came, and this was chosen:\n%.*s", SLICE_ARG(m->bytes));
}

/* Section 26.3.2.4: a challenge is no transaction's; when the request comes again it is made again, with another
 * nonce, and with the same tag (section 8.2.7). */
static bool is_same_challenge(struct sim *s, const struct upstream *up, const struct plain *m)
{
    return (m->status == 401 || m->status == 407) && up->final_status == m->status &&
           slice_eq(up->final_tag, sim_path(s, m, "To.tag"));
}

static void leaving_final(struct sim *s, struct upstream *up, const struct plain *m)
{
    bool failure = m->status >= 300;

    if (up->final_status == 0) {
        if (failure)
            first_failure(s, up, m);
        up->final_status = m->status;
        up->final_bytes = m->bytes;
        up->final_tag = sim_path(s, m, "To.tag");
        up->final_ms = s->world.now_ms;
        up->is_closed = true;
        return;
    }
    if (failure && !slice_eq(up->final_bytes, m->bytes) && !is_same_challenge(s, up, m))
        sim_fail(s, "section 16.7-5: a second final response:\n%.*s\nafter\n%.*s", SLICE_ARG(m->bytes),
                 SLICE_ARG(up->final_bytes));
    else if (!failure &&
             (up->final_status >= 300 || (!is_invite(up) && !slice_eq(up->final_bytes, m->bytes))))
        sim_fail(s, "section 16.7-5: a 2xx after a final response:\n%.*s", SLICE_ARG(m->bytes));
}

static void leaving_response(struct sim *s, const struct plain *m, uint8_t transport)
{
    struct oracle *o = s->oracle;
    struct upstream *up = dict_get(&o->upstreams, key_of(s, sim_path(s, m, "Via[0].branch"), m->cseq_method));
    struct pending *p = &o->pending;

    if (!up)
        return;
    touch(o, up);
    if (m->status >= 200) {
        if (p->leg && p->leg->up == up && m->status < 300 && slice_eq(p->to_tag, sim_path(s, m, "To.tag")))
            p->has_2xx = true;
        leaving_final(s, up, m);
    } else if (!is_invite(up)) {
        if (m->status != 100)
            sim_fail(s, "RFC 4320 section 4.1: a provisional response other than 100:\n%.*s",
                     SLICE_ARG(m->bytes));
        if (transport == SIP_TRANSPORT_UDP && s->world.now_ms < up->arrived_ms + 3500)
            sim_fail(s, "RFC 4320 section 4.1: a 100 before 3.5 s:\n%.*s", SLICE_ARG(m->bytes));
    } else if (up->final_status != 0 && up->final_status != m->status) {
        sim_fail(s, "section 17.2.1: a provisional response after the final one:\n%.*s", SLICE_ARG(m->bytes));
    }
    if (m->status == 408 && !is_invite(up))
        sim_fail(s, "RFC 4320 section 4.2: a 408 to a non-INVITE:\n%.*s", SLICE_ARG(m->bytes));
}

void oracle_sent(struct sim *s, const struct plain *m, uint8_t transport, const struct ua *ua)
{
    if (m->is_request)
        leaving_request(s, m, transport != SIP_TRANSPORT_UDP, ua);
    else
        leaving_response(s, m, transport);
}

/* When the event is over. */

/* Sections 16.7-10, 16.10, 9.1: when there is nothing more to hope for, no branch rings on. */
static void check_cancelled(struct sim *s, struct upstream *up)
{
    if (!is_invite(up) || !up->is_closed)
        return;
    for (struct leg *leg = up->legs; leg; leg = leg->next)
        if (leg->got_1xx && leg->cancel_bytes.len == 0 && leg_is_pending(s, leg))
            sim_fail(s, "section 16.7-10: the branch %.*s is pending and was not cancelled",
                     SLICE_ARG(leg->branch));
}

void oracle_after(struct sim *s)
{
    struct oracle *o = s->oracle;

    if (o->pending.wants_2xx && !o->pending.has_2xx)
        sim_fail(s, "section 16.7-5: a 2xx was not forwarded at once (branch %.*s)",
                 SLICE_ARG(o->pending.leg->branch));
    if (o->pending.wants_ack && !o->pending.has_ack && !(o->pending.leg->ua && o->pending.leg->ua->is_dead))
        sim_fail(s, "section 17.1.1.3: no ACK for a %u (branch %.*s)", o->pending.status,
                 SLICE_ARG(o->pending.leg->branch));
    for (size_t i = 0; i < o->n_touched; i++)
        check_cancelled(s, o->touched[i]);
    o->pending = (struct pending){0};
    o->n_touched = 0;
}

/* Every INVITE has had exactly one answer (and the rules above saw to "exactly"). */
void oracle_end(struct sim *s)
{
    for (size_t b = 0; b < sizeof(s->oracle->upstreams.buckets) / sizeof(s->oracle->upstreams.buckets[0]);
         b++) {
        for (struct dict_entry *e = s->oracle->upstreams.buckets[b]; e; e = e->next) {
            const struct upstream *up = e->value;

            if (is_invite(up) && up->final_status == 0)
                sim_fail(s, "section 16.7-6: the INVITE %.*s never got a final response",
                         SLICE_ARG(up->branch));
        }
    }
}
