#include "run.h"
#include "base/mem.h"
#include "base/num.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

/* After the last line: long enough for Timer C and everything that follows from it. */
#define RUN_OUT_MS (20u * 60 * 1000)

static void write_line(struct run *run, const struct record *r);

/* Reports. */

static bool fail_at(struct run *run, const struct stmt *stmt, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));
static bool fail_at(struct run *run, const struct stmt *stmt, const char *format, va_list args)
{
    run->failed = true;
    text_printf(&run->report, "%s:%u: %.*s\n  ", stmt->file, stmt->line, SLICE_ARG(stmt->text));
    text_put(&run->report, heap_vprintf(run->heap, format, args));
    text_cstr(&run->report, "\n");
    return false;
}

bool run_bad_script(struct run *run, const struct stmt *stmt, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fail_at(run, stmt, format, args);
    va_end(args);
    return false;
}

bool run_fail(struct run *run, const struct stmt *stmt, const char *format, ...)
{
    va_list args;

    if (run->lenient)
        return false;
    va_start(args, format);
    fail_at(run, stmt, format, args);
    va_end(args);
    return false;
}

static struct slice peer_name(struct run *run, const struct record *r)
{
    struct buf b;
    char *room;

    if (r->peer)
        return r->peer->name;
    room = heap_alloc(run->heap, 80);
    buf_init(&b, room, 80);
    addr_format(&r->far, &b);
    return buf_slice(&b);
}

struct slice run_describe(struct run *run, const struct record *r)
{
    struct slice name = run->world.listener_names[r->listener], far = peer_name(run, r);

    return heap_printf(run->heap, "%9.3f  %-8.*s > %-8.*s %-3.*s %.*s",
                       (double)(r->at_ms - WORLD_START_MS) / 1000.0, SLICE_ARG(r->from_proxy ? name : far),
                       SLICE_ARG(r->from_proxy ? far : name),
                       SLICE_ARG(sip_transport_via_name((enum sip_transport)r->transport)),
                       SLICE_ARG(r->is_sip ? r->msg.start : SLICE("(no SIP message)")));
}

static void write_line(struct run *run, const struct record *r)
{
    struct slice line = run_describe(run, r);

    if (run->verbose) {
        printf("%.*s\n", SLICE_ARG(line));
        fflush(stdout);
    }
}

/* Messages. */

struct peer *run_peer(struct run *run, struct slice name)
{
    for (size_t i = 0; i < run->n_peers; i++)
        if (slice_eq(run->peers[i]->name, name))
            return run->peers[i];
    return NULL;
}

static bool peer_is_at(const struct peer *p, const struct addr *addr)
{
    if (addr_eq(&p->addr, addr))
        return true;
    for (size_t i = 0; i < p->n_others; i++)
        if (addr_eq(&p->others[i], addr))
            return true;
    return false;
}

struct peer *run_peer_at(struct run *run, const struct addr *addr, uint8_t transport)
{
    for (size_t i = 0; i < run->n_peers; i++) {
        struct peer *p = run->peers[i];

        if (!peer_is_at(p, addr))
            continue;
        for (size_t k = 0; k < p->n_transports; k++)
            if (p->transports[k] == transport)
                return p;
    }
    return NULL;
}

struct record *run_labelled(struct run *run, struct slice label)
{
    for (size_t i = run->n_records; i > 0; i--)
        if (slice_eq(run->records[i - 1]->label, label) && label.len > 0)
            return run->records[i - 1];
    return NULL;
}

struct record *run_add_record(struct run *run)
{
    struct record *r = heap_alloc(run->heap, sizeof(*r));

    run->records = heap_grow(run->heap, run->records, run->n_records, sizeof(*run->records));
    run->records[run->n_records++] = r;
    r->at_ms = run->world.now_ms;
    return r;
}

static bool is_ignored(const struct run *run, const struct record *r)
{
    for (size_t i = 0; i < run->n_ignored && r->is_sip; i++) {
        struct slice what = run->ignored[i];
        struct slice status = heap_printf(run->heap, "%u", r->msg.status);

        if (slice_eq(what, r->msg.is_request ? r->msg.method : status))
            return true;
    }
    return false;
}

static void on_sent(void *ctx, const struct world_sent *sent)
{
    struct run *run = ctx;
    struct record *r = run_add_record(run);
    struct world_conn *conn;

    r->from_proxy = true;
    r->sent = *sent;
    r->bytes = sent->bytes;
    r->listener = sent->hop.listener;
    r->transport = sent->hop.transport;
    r->far = sent->dest;
    r->peer = run_peer_at(run, &r->far, r->transport);
    if (r->transport != SIP_TRANSPORT_UDP) {
        conn = sent->hop.flow ? world_conn_by_flow(&run->world, sent->hop.flow)
                              : world_conn_open_to(&run->world, &sent->dest);
        r->flow = conn ? conn->flow : 0;
    }
    r->is_sip = plain_parse(run->heap, r->bytes, &r->msg);
    r->seen = is_ignored(run, r);
    r->lost = r->seen;
    if (!run->lenient && !run->failed) {
        struct slice wrong = lint_message(run, r);

        if (!slice_is_null(wrong)) {
            run->failed = true;
            text_printf(&run->report, "a message of the proxy is wrong in itself: %.*s\n%.*s\n%.*s\n",
                        SLICE_ARG(wrong), SLICE_ARG(run_describe(run, r)), SLICE_ARG(r->bytes));
        }
    }
    write_line(run, r);
}

struct record *run_unseen(struct run *run)
{
    for (size_t i = 0; i < run->n_records; i++)
        if (run->records[i]->from_proxy && !run->records[i]->seen)
            return run->records[i];
    return NULL;
}

static void forget_unseen(struct run *run)
{
    for (size_t i = 0; i < run->n_records; i++)
        if (run->records[i]->from_proxy)
            run->records[i]->seen = true;
}

bool run_check_silence(struct run *run, const struct stmt *stmt)
{
    struct record *r = run_unseen(run);

    if (!r)
        return true;
    if (run->lenient) {
        forget_unseen(run);
        return true;
    }
    return run_fail(run, stmt, "before this line the proxy sent what no line expects:\n%.*s\n%.*s",
                    SLICE_ARG(run_describe(run, r)), SLICE_ARG(r->bytes));
}

/* Text with ${...} in it. */

/* In capitals, for what compares without case. */
static struct slice upper(struct run *run, struct slice text)
{
    char *octets = heap_cstr(run->heap, text);

    for (size_t i = 0; i < text.len; i++)
        octets[i] = (char)toupper((unsigned char)octets[i]);
    return slice_make(octets, text.len);
}

static bool expand_plain(struct run *run, const struct stmt *stmt, struct slice name, struct slice *ret_text)
{
    size_t dot = slice_find(name, '.');
    struct record *r;

    for (size_t i = run->n_variables; i > 0; i--) {
        if (slice_eq(run->variables[i - 1].name, name)) {
            *ret_text = run->variables[i - 1].value;
            return true;
        }
    }
    r = run_labelled(run, slice_sub(name, 0, dot));
    if (!r)
        return run_fail(run, stmt, "nothing is called ${%.*s}", SLICE_ARG(name));
    if (slice_eq(slice_sub(name, dot + 1, name.len), SLICE("bytes")))
        *ret_text = r->bytes;
    else if (!plain_path(run->heap, &r->msg, slice_sub(name, dot + 1, name.len), ret_text))
        return run_fail(run, stmt, "${%.*s}: that message has no such part:\n%.*s", SLICE_ARG(name),
                        SLICE_ARG(r->bytes));
    return true;
}

static bool expand_one(struct run *run, const struct stmt *stmt, struct slice name, struct slice *ret_text)
{
    const struct slice suffix = SLICE(".upper");

    if (name.len < suffix.len || !slice_eq(slice_sub(name, name.len - suffix.len, name.len), suffix))
        return expand_plain(run, stmt, name, ret_text);
    if (!expand_plain(run, stmt, slice_sub(name, 0, name.len - suffix.len), ret_text))
        return false;
    *ret_text = upper(run, *ret_text);
    return true;
}

bool run_expand(struct run *run, const struct stmt *stmt, struct slice text, struct slice *ret_text)
{
    struct text out;
    size_t at = 0;

    text_init(&out, run->heap);
    while (at < text.len) {
        struct slice rest = slice_sub(text, at, text.len), value;
        size_t close = slice_find(rest, '}');

        if (!slice_starts_with(rest, SLICE("${")) || close == rest.len) {
            text_put(&out, slice_sub(rest, 0, 1));
            at++;
            continue;
        }
        if (!expand_one(run, stmt, slice_sub(rest, 2, close), &value))
            return false;
        text_put(&out, value);
        at += close + 1;
    }
    *ret_text = text_slice(&out);
    return true;
}

static bool expand_stmt(struct run *run, const struct stmt *stmt, struct stmt *ret_stmt)
{
    struct stmt s = *stmt;

    s.words = heap_alloc(run->heap, (s.n_words + 1) * sizeof(*s.words));
    s.lines = heap_alloc(run->heap, (s.n_lines + 1) * sizeof(*s.lines));
    for (size_t i = 0; i < s.n_words; i++) {
        s.words[i] = stmt->words[i];
        if (!run_expand(run, stmt, stmt->words[i].text, &s.words[i].text))
            return false;
    }
    for (size_t i = 0; i < s.n_lines; i++)
        if (!run_expand(run, stmt, stmt->lines[i], &s.lines[i]))
            return false;
    *ret_stmt = s;
    return true;
}

/* Statements. */

static bool run_advance(struct run *run, const struct stmt *stmt)
{
    bool to = stmt->n_words == 3 && slice_eq(stmt->words[1].text, SLICE("to"));
    ms_t ms;

    if (stmt->n_words < 2 || !setup_parse_ms(stmt->words[to ? 2 : 1].text, &ms))
        return run_bad_script(run, stmt, "advance wants a time: 500ms, 32s, 3min, or `to` a time");
    if (!run_check_silence(run, stmt))
        return false;
    ms += to ? WORLD_START_MS : run->world.now_ms;
    if (ms < run->world.now_ms)
        return run_bad_script(run, stmt, "time does not go back");
    world_advance(&run->world, ms);
    return true;
}

static bool set_fault(struct run *run, const struct stmt *stmt, enum world_fault fault)
{
    struct peer *p = stmt->n_words > 1 ? run_peer(run, stmt->words[1].text) : NULL;
    struct addr addr;
    uint8_t transport = SIP_TRANSPORT_OTHER;

    if (stmt->n_words > 1 && !p && setup_parse_hop(stmt->words[1].text, &addr, &transport)) {
        world_far(&run->world, &addr, transport)->fault = fault;
        return true;
    }
    if (!p)
        return run_bad_script(run, stmt, "no such peer, and no address/transport");
    if (stmt->n_words > 2)
        transport = (uint8_t)sip_transport_from_name(stmt->words[2].text);
    for (size_t i = 0; i < p->n_transports; i++)
        if (transport == SIP_TRANSPORT_OTHER || transport == p->transports[i])
            world_far(&run->world, &p->addr, p->transports[i])->fault = fault;
    return true;
}

static bool run_refuse(struct run *run, const struct stmt *stmt)
{
    return set_fault(run, stmt, WORLD_REFUSE);
}

static bool run_unreachable(struct run *run, const struct stmt *stmt)
{
    return set_fault(run, stmt, WORLD_UNREACHABLE);
}

static bool run_reachable(struct run *run, const struct stmt *stmt)
{
    return set_fault(run, stmt, WORLD_FINE);
}

/* `icmp bob`, `icmp LABEL`: the last message to bob, or that one, turns out to have been undeliverable. */
static bool run_icmp(struct run *run, const struct stmt *stmt)
{
    struct peer *p = stmt->n_words > 1 ? run_peer(run, stmt->words[1].text) : NULL;
    struct record *r = stmt->n_words > 1 && !p ? run_labelled(run, stmt->words[1].text) : NULL;

    for (size_t i = run->n_records; i > 0 && p && !r; i--)
        if (run->records[i - 1]->from_proxy && run->records[i - 1]->peer == p)
            r = run->records[i - 1];
    if (!r || !r->from_proxy)
        return run_fail(run, stmt, "the proxy sent no such message");
    if (!run_check_silence(run, stmt))
        return false;
    world_bounce(&run->world, &r->sent);
    return true;
}

static bool run_close(struct run *run, const struct stmt *stmt)
{
    struct peer *p = stmt->n_words > 1 ? run_peer(run, stmt->words[1].text) : NULL;

    if (!p)
        return run_bad_script(run, stmt, "no such peer");
    for (size_t i = 0; i < run->world.n_conns; i++)
        if (addr_eq_ip(&run->world.conns[i].remote, &p->addr))
            world_close(&run->world, &run->world.conns[i]);
    return true;
}

static bool run_resolve(struct run *run, const struct stmt *stmt)
{
    if (!run_check_silence(run, stmt))
        return false;
    if (stmt->n_words < 2 || !world_resolve(&run->world, stmt->words[1].text))
        return run_fail(run, stmt, "the proxy has not asked for this host");
    return true;
}

static bool run_hold(struct run *run, const struct stmt *stmt)
{
    (void)stmt;
    services_hold(run->world.services);
    return true;
}

static bool run_release(struct run *run, const struct stmt *stmt)
{
    if (!run_check_silence(run, stmt))
        return false;
    services_release(run->world.services);
    return true;
}

static bool run_drain(struct run *run, const struct stmt *stmt)
{
    (void)stmt;
    proxy_set_draining(run->world.proxy, true);
    return true;
}

/* What comes from now on has waited for so long; with `for`, what comes in each millisecond until then. */
static bool run_waited(struct run *run, const struct stmt *stmt)
{
    const struct slice *length = script_option(run->heap, stmt, 2, "for"),
                       *lost = script_option(run->heap, stmt, 2, "lost");
    ms_t waited_ms, length_ms = 0, end_ms;
    uint64_t n_lost = 0;

    if (stmt->n_words < 2 || !setup_parse_ms(stmt->words[1].text, &waited_ms) ||
        (length && !setup_parse_ms(*length, &length_ms)) ||
        (lost && num_parse_u64(*lost, UINT32_MAX, &n_lost) < 0))
        return run_bad_script(run, stmt, "waited TIME [for=TIME] [lost=N]");
    for (end_ms = run->world.now_ms + length_ms;; world_advance(&run->world, run->world.now_ms + 1)) {
        proxy_waited(run->world.proxy, 0, (uint32_t)waited_ms * 1000, n_lost);
        if (run->world.now_ms >= end_ms)
            return true;
        n_lost = 0;
    }
}

/* The process dies and comes back: all is forgotten but the configuration, its secret and the stored
 * bindings. */
static bool run_restart(struct run *run, const struct stmt *stmt)
{
    if (!run_check_silence(run, stmt))
        return false;
    world_stop(&run->world);
    if (world_start(&run->world) < 0)
        return run_fail(run, stmt, "the proxy does not start again");
    proxy_advance(run->world.proxy, run->world.now_ms, world_now_s(&run->world));
    return true;
}

static bool run_set(struct run *run, const struct stmt *stmt)
{
    if (stmt->n_words != 4 || !slice_eq(stmt->words[2].text, SLICE("=")))
        return run_bad_script(run, stmt, "set NAME = TEXT");
    run->variables = heap_grow(run->heap, run->variables, run->n_variables, sizeof(*run->variables));
    run->variables[run->n_variables++] =
        (struct variable){.name = stmt->words[1].text, .value = stmt->words[3].text};
    return true;
}

static bool run_end(struct run *run, const struct stmt *stmt)
{
    if (stmt->n_words != 2 || !slice_eq(stmt->words[1].text, SLICE("anyhow")))
        return run_bad_script(run, stmt, "end anyhow");
    run->free_end = true;
    return true;
}

static const struct {
    const char *word;
    bool (*run)(struct run *run, const struct stmt *stmt);
} statements[] = {
    {"advance", run_advance},
    {"refuse", run_refuse},
    {"unreachable", run_unreachable},
    {"reachable", run_reachable},
    {"icmp", run_icmp},
    {"close", run_close},
    {"resolve", run_resolve},
    {"drain", run_drain},
    {"waited", run_waited},
    {"restart", run_restart},
    {"hold", run_hold},
    {"release", run_release},
    {"set", run_set},
    {"end", run_end},
};

bool run_start(struct run *run, const struct stmt *stmt)
{
    if (run->started)
        return true;
    run->started = true;
    run->services_opts.users = run->users;
    run->services_opts.n_users = run->n_users;
    if (services_new(&run->world, &run->services_opts, &run->world.services) < 0)
        return run_fail(run, stmt, "the services do not start");
    if (world_start(&run->world) < 0)
        return run_fail(run, stmt, "the proxy does not start");
    proxy_advance(run->world.proxy, run->world.now_ms, world_now_s(&run->world));
    if (!run->options->fail_at_start)
        mem_fail_after(run->options->fail_after);
    return true;
}

static bool run_action(struct run *run, const struct stmt *stmt, bool in_group)
{
    struct stmt s;

    if (!run_start(run, stmt) || !run->world.proxy)
        return false;
    if (!expand_stmt(run, stmt, &s))
        return false;
    if (slice_eq(s.words[0].text, SLICE("expect")) || slice_eq(s.words[0].text, SLICE("allow")))
        return expect_run(run, &s, in_group);
    if (s.n_words > 2 && slice_eq(s.words[1].text, SLICE(">")))
        return run_check_silence(run, &s) && peer_run(run, &s);
    for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++)
        if (slice_eq(s.words[0].text, slice_from_cstr(statements[i].word)))
            return statements[i].run(run, &s);
    return run_bad_script(run, stmt, "what is that?");
}

static void run_stmt(struct run *run, const struct stmt *stmt, bool *group)
{
    bool known = false;

    if (run->verbose)
        printf("                              %.*s\n", SLICE_ARG(stmt->text));
    if (slice_eq(stmt->words[0].text, SLICE("unordered")))
        *group = true;
    else if (slice_eq(stmt->words[0].text, SLICE("ordered")))
        *group = false;
    else if (setup_run(run, stmt, &known) && !known)
        run_action(run, stmt, *group);
    if (!run->failed && !slice_is_null(run->world.trouble))
        run_bad_script(run, stmt, "the proxy broke the contract of a port: %.*s",
                       SLICE_ARG(run->world.trouble));
}

/* The end: everything runs out, nothing is left. */

static void check_end(struct run *run, const struct stmt *last)
{
    size_t records = run->n_records;

    if (!run->free_end && !run_check_silence(run, last))
        return;
    forget_unseen(run);
    /* What was refused for want of memory left its CANCEL or ACK waiting, which nobody releases any more. */
    if (run->lenient)
        services_release(run->world.services);
    /* Probes would never end. */
    proxy_set_draining(run->world.proxy, true);
    world_advance(&run->world, run->world.now_ms + RUN_OUT_MS);
    if (!run->free_end && !run->lenient && run->n_records > records) {
        run_fail(run, last, "after the last line the proxy still sent this:\n%.*s\n%.*s",
                 SLICE_ARG(run_describe(run, run->records[records])),
                 SLICE_ARG(run->records[records]->bytes));
        return;
    }
    if (proxy_transactions(run->world.proxy) != 0)
        run_bad_script(run, last, "%zu transactions exist 20 minutes after the last line",
                       proxy_transactions(run->world.proxy));
    else if (proxy_used_bytes(run->world.proxy) != 0)
        run_bad_script(run, last, "%zu octets of request memory are held 20 minutes after the last line",
                       proxy_used_bytes(run->world.proxy));
}

static void write_failure(const struct script *script, struct run *run)
{
    printf("FAILED %s: \"%.*s\"\n%.*s", script->file, SLICE_ARG(run->part->title),
           SLICE_ARG(text_slice(&run->report)));
    printf("  the messages so far:\n");
    for (size_t i = 0; i < run->n_records; i++)
        printf("  %.*s\n", SLICE_ARG(run_describe(run, run->records[i])));
    printf("\n");
}

/* Is memory there? The question itself counts as an allocation. */
static bool memory_is_gone(void)
{
    void *p = mem_alloc(1);

    mem_free(p);
    return !p;
}

static void run_parts(struct run *run, const struct script *script, const struct script_part *part,
                      const struct run_options *options, bool *ret_exhausted)
{
    const struct script_part *parts[2] = {&script->parts[0], part};
    const struct stmt nothing = {.file = script->file, .line = part->line, .text = part->title};
    const struct stmt *last = &nothing;
    bool group = false;

    if (options->fail_at_start)
        mem_fail_after(options->fail_after);
    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; i < parts[k]->n_stmts && !run->failed; i++) {
            last = &parts[k]->stmts[i];
            run_stmt(run, last, &group);
            if (options->fail_after >= 0 && run->started && !*ret_exhausted && memory_is_gone()) {
                *ret_exhausted = true;
                if (options->fail_once)
                    mem_fail_after(-1);
            }
        }
    }
    mem_fail_after(-1);
    if (!run->failed && run->world.proxy)
        check_end(run, last);
}

enum verdict run_scenario(const struct script *script, const struct script_part *part,
                          const struct run_options *options, bool *ret_exhausted)
{
    struct run run = {
        .part = part, .options = options, .verbose = options->verbose, .lenient = options->lenient};
    int64_t held = mem_held_bytes();
    bool exhausted = false;

    world_init(&run.world, 1);
    run.heap = &run.world.heap;
    run.world.sent = on_sent;
    run.world.ctx = &run;
    services_opts_default(&run.services_opts);
    text_init(&run.report, run.heap);
    if (options->verbose)
        printf("scenario \"%.*s\"\n", SLICE_ARG(part->title));
    run_parts(&run, script, part, options, &exhausted);
    world_stop(&run.world);
    services_free(run.world.services);
    if (!run.failed && mem_held_bytes() != held) {
        run.failed = true;
        text_printf(&run.report, "%lld octets are still held after everything was given back\n",
                    (long long)(mem_held_bytes() - held));
    }
    if (run.failed)
        write_failure(script, &run);
    if (ret_exhausted)
        *ret_exhausted = exhausted;
    world_done(&run.world);
    return run.failed ? VERDICT_FAIL : VERDICT_PASS;
}
