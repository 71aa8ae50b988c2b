#include "load.h"
#include "play.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>

#define SCAN_US  50000u
#define DRAIN_US 2000000u
/* How often who stays awake looks: so long something to do together gathers. */
#define AWAKE_LOOK_US 100

uint64_t load_clock_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

/* ---- lines ---- */

static int line_init(struct line_of_slots *line, size_t cap)
{
    line->cap = cap;
    line->slots = calloc(cap, sizeof(*line->slots));
    return line->slots == NULL ? ERR_NOMEM : 0;
}

/* False: it is full, of slots whose calls have ended before their time. */
bool line_push(struct line_of_slots *line, uint32_t slot)
{
    if (line->count == line->cap)
        return false;
    line->slots[(line->head + line->count++) % line->cap] = slot;
    return true;
}

static uint32_t line_first(const struct line_of_slots *line)
{
    return line->slots[line->head];
}

static void line_pop(struct line_of_slots *line)
{
    line->head = (line->head + 1) % line->cap;
    line->count--;
}

/* ---- life of a call ---- */

static void begin(struct load *l, uint64_t due_us)
{
    struct call *call = &l->calls[l->first_free];
    char memory[1024];
    struct buf out;
    l->first_free = call->next;
    l->n_used++;
    l->n_started++;
    if (l->n_used > l->result->in_progress_max)
        l->result->in_progress_max = l->n_used;
    call->serial = l->serial++;
    call->began_us = due_us;
    call->due_us = call->answer_sent_us = call->answer_due_us = 0;
    call->has_credentials = call->is_cancelled = false;
    call->is_measured = l->is_warm;
    buf_init(&out, memory, sizeof(memory));
    struct slice credentials = credentials_again(l, call, &out);
    caller_begin(l, call, slice_is_null(credentials) ? SLICE("") : credentials);
}

static void end(struct load *l, struct call *call)
{
    call->state = CALL_FREE;
    call->next = l->first_free;
    l->first_free = call->slot;
    l->n_used--;
}

void play_complete(struct load *l, struct call *call)
{
    if (l->is_warm)
        l->result->completed++;
    end(l, call);
}

void play_fail(struct load *l, struct call *call, unsigned status)
{
    if (l->is_warm && status == 503)
        l->result->refused++;
    else if (l->is_warm) {
        l->result->failed++;
        l->result->statuses[status / 100]++;
    }
    end(l, call);
}

/* ---- time ---- */

/* All slots within about T1, a part of them at a time. */
static void scan(struct load *l)
{
    size_t n = l->opts->in_flight / (T1_US / SCAN_US) + 1;
    if (l->now_us - l->scanned_us < SCAN_US)
        return;
    l->scanned_us = l->now_us;
    for (; n > 0; n--, l->scan_at = (l->scan_at + 1) % l->opts->in_flight) {
        struct call *call = &l->calls[l->scan_at];
        if (call->state == CALL_FREE)
            continue;
        callee_check(l, call);
        caller_check(l, call);
    }
}

static void end_waiting(struct load *l)
{
    bool cancels = l->opts->workload == LOAD_CANCEL;
    while (l->waiting.count > 0) {
        struct call *call = &l->calls[line_first(&l->waiting)];
        if ((cancels ? call->due_us : call->answer_due_us) > l->now_us)
            break;
        line_pop(&l->waiting);
        if (call->state != CALL_INVITE)
            continue;
        if (cancels && !call->is_cancelled)
            caller_send_cancel(l, call);
        else if (!cancels && call->answer_due_us != 0)
            callee_answer(l, call);
    }
    while (l->talking.count > 0) {
        struct call *call = &l->calls[line_first(&l->talking)];
        if (call->due_us > l->now_us)
            break;
        line_pop(&l->talking);
        if (call->state == CALL_TALKING)
            caller_send_bye(l, call);
    }
}

static bool may_start(const struct load *l)
{
    return l->opts->count == 0 || l->n_started < l->opts->count;
}

static void start_calls(struct load *l)
{
    double rate = l->opts->rate;
    while (rate == 0 && l->n_used < l->opts->in_flight && may_start(l))
        begin(l, l->now_us);
    while (rate > 0 && l->next_start_us <= l->now_us && may_start(l)) {
        if (obey_withholds(l))
            l->result->withheld += l->is_warm;
        else if (l->n_used < l->opts->in_flight)
            begin(l, l->next_start_us);
        else
            l->result->not_started += l->is_warm;
        l->next_start_us = l->began_us + (uint64_t)((double)(++l->n_due) * 1e6 / rate);
    }
}

/* ---- the run ---- */

static uint64_t pss_of_server(const struct load *l)
{
    struct process_cost cost = {0};
    if (l->opts->server_pid != 0)
        process_measure(l->opts->server_pid, &cost);
    return cost.pss_bytes;
}

static void start_measuring(struct load *l)
{
    struct load_result *r = l->result;
    l->is_warm = true;
    r->own_cpu_ns = process_own_cpu_ns();
    r->dropped = port_dropped(l->caller) + port_dropped(l->callee);
    r->in_progress_max = l->n_used;
    if (l->opts->server_pid != 0)
        process_measure(l->opts->server_pid, &r->server_before);
}

static void stop_measuring(struct load *l, uint64_t measured_since_us)
{
    struct load_result *r = l->result;
    r->seconds = (double)(l->now_us - measured_since_us) / 1e6;
    r->own_cpu_ns = process_own_cpu_ns() - r->own_cpu_ns;
    r->dropped = port_dropped(l->caller) + port_dropped(l->callee) - r->dropped;
    if (l->opts->server_pid != 0)
        process_measure(l->opts->server_pid, &r->server_after);
}

/* In place of sleeping until something comes. */
static void wait_awake(const struct load *l)
{
    while (load_clock_us() < l->now_us + AWAKE_LOOK_US)
        ;
}

void load_turn(struct load *l, int timeout_ms)
{
    struct pollfd fds[2] = {{.fd = l->caller->fd, .events = POLLIN}, {.fd = l->callee->fd, .events = POLLIN}};
    port_flush(l->caller);
    if (l->opts->stays_awake)
        wait_awake(l);
    (void)poll(fds, 2, l->opts->stays_awake ? 0 : timeout_ms);
    l->now_us = load_clock_us();
    l->n_replies = 0;
    if (fds[1].revents != 0)
        port_receive(l->callee, callee_receive, l);
    if (fds[0].revents != 0)
        port_receive(l->caller, caller_receive, l);
    end_waiting(l);
    scan(l);
    port_flush(l->callee);
    port_flush(l->caller);
}

static bool is_over(const struct load *l, uint64_t end_us)
{
    bool all_done = l->opts->count > 0 && l->n_started >= l->opts->count && l->n_used == 0;
    return all_done || *l->opts->stop || l->now_us >= end_us;
}

/* What has begun is brought to its end, so that a server is left with nothing that still waits for us. */
static void drain(struct load *l)
{
    uint64_t end_us = l->now_us + (l->opts->answer_ms + l->opts->hold_ms) * 1000ull + DRAIN_US;
    l->is_warm = false;
    while (l->n_used > 0 && l->now_us < end_us && !*l->opts->stop)
        load_turn(l, 10);
}

static void run(struct load *l)
{
    l->now_us = load_clock_us();
    uint64_t warm_us = l->now_us + (uint64_t)(l->opts->warm_up_seconds * 1e6);
    uint64_t end_us = warm_us + (uint64_t)(l->opts->seconds * 1e6);
    uint64_t measured_since_us = l->now_us;
    l->began_us = l->next_start_us = l->now_us;
    while (!is_over(l, end_us)) {
        if (!l->is_warm && l->now_us >= warm_us) {
            start_measuring(l);
            measured_since_us = l->now_us;
        }
        if (l->opts->workload != LOAD_IDLE)
            start_calls(l);
        load_turn(l, l->opts->rate > 0 ? 1 : 10);
    }
    stop_measuring(l, measured_since_us);
    drain(l);
}

static int open_port(const struct load_opts *o, const struct addr *addr, struct port **ret_port)
{
    if (o->kind == PORT_UDP)
        return port_udp_new(addr, &o->server, ret_port);
    return port_stream_new(o->kind, addr, &o->server, o->connections, ret_port);
}

static int open_ports(struct load *l)
{
    const struct load_opts *o = l->opts;
    int rc = open_port(o, &o->caller, &l->caller);
    if (rc == 0)
        rc = open_port(o, &o->callee, &l->callee);
    if (rc == 0)
        return EX_OK;
    fprintf(stderr, "viaduct-bench: %s: %s\n",
            o->kind == PORT_UDP ? "the addresses of callers and callees" : "the connections to the server",
            rc == ERR_CLOSED ? "the server does not agree" : strerror(errno));
    return EX_UNAVAILABLE;
}

/* Nobody can connect to a WebSocket client: its host is no name of anything (RFC 7118 section 5). */
static void name_ports(struct load *l)
{
    static const char *const params[] = {[PORT_UDP] = "",
                                         [PORT_TCP] = ";transport=tcp",
                                         [PORT_TLS] = ";transport=tls",
                                         [PORT_WS] = ";transport=ws",
                                         [PORT_WSS] = ";transport=ws"};
    struct buf text;
    l->contact_params = params[l->opts->kind];
    buf_init(&text, l->caller_text, sizeof(l->caller_text) - 1);
    if (l->opts->kind >= PORT_WS)
        buf_lit(&text, "caller.invalid");
    else
        addr_format(&l->caller->addr, &text);
    buf_init(&text, l->callee_text, sizeof(l->callee_text) - 1);
    if (l->opts->kind >= PORT_WS)
        buf_lit(&text, "callee.invalid");
    else
        addr_format(&l->callee->addr, &text);
}

static int make_slots(struct load *l)
{
    const struct load_opts *o = l->opts;
    l->calls = calloc(o->in_flight, sizeof(*l->calls));
    if (o->keep_nonce)
        l->nonces = calloc(o->users, sizeof(*l->nonces));
    if (l->calls == NULL || (o->keep_nonce && l->nonces == NULL) ||
        line_init(&l->waiting, 2 * o->in_flight) != 0 || line_init(&l->talking, 2 * o->in_flight) != 0) {
        fprintf(stderr, "viaduct-bench: no memory for %zu calls\n", o->in_flight);
        return EX_OSERR;
    }
    for (size_t i = 0; i < o->in_flight; i++) {
        l->calls[i].slot = (uint32_t)i;
        l->calls[i].next = (uint32_t)(i + 1);
    }
    return EX_OK;
}

static bool calls_users(const struct load_opts *o)
{
    return o->workload != LOAD_REGISTER && o->workload != LOAD_PING && o->workload != LOAD_IDLE;
}

static int prepare(struct load *l)
{
    int code = make_slots(l);
    l->result->server_pss_first_bytes = pss_of_server(l);
    if (code == EX_OK)
        code = open_ports(l);
    if (code != EX_OK)
        return code;
    name_ports(l);
    l->now_us = load_clock_us();
    l->serial = (uint32_t)l->now_us;
    if (l->opts->kind != PORT_UDP && calls_users(l->opts))
        code = enroll(l);
    if (code == EX_OK && l->opts->ringing > 0) {
        code = ringing_begin(l);
        l->result->server_pss_ringing_bytes = pss_of_server(l);
    }
    return code;
}

int load_run(const struct load_opts *opts, struct load_result *ret_result)
{
    struct load *l = calloc(1, sizeof(*l));
    memset(ret_result, 0, sizeof(*ret_result));
    if (l == NULL)
        return EX_OSERR;
    l->opts = opts;
    l->result = ret_result;
    int code = prepare(l);
    if (code == EX_OK)
        run(l);
    port_free(l->caller);
    port_free(l->callee);
    free(l->waiting.slots);
    free(l->talking.slots);
    free(l->calls);
    free(l->nonces);
    free(l->rings);
    free(l);
    return code;
}
