/* What the proxy should have sent. */
#include "base/num.h"
#include "draft.h"
#include "run.h"
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

/* The conditions of one statement against one message; `wrong` collects what does not hold. */
struct matching {
    struct run *run;
    const struct stmt *stmt;
    const struct record *r;
    struct text wrong;
};

static void mismatch(struct matching *m, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void mismatch(struct matching *m, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    text_cstr(&m->wrong, "    ");
    text_put(&m->wrong, heap_vprintf(m->run->heap, format, args));
    text_cstr(&m->wrong, "\n");
    va_end(args);
}

static struct slice endpoint(struct matching *m)
{
    struct buf b;

    buf_init(&b, heap_alloc(m->run->heap, 80), 80);
    addr_format(&m->r->far, &b);
    return buf_slice(&b);
}

static void want_text(struct matching *m, struct slice path, struct slice want)
{
    struct slice is;

    if (!plain_path(m->run->heap, &m->r->msg, path, &is))
        mismatch(m, "%.*s should be \"%.*s\" and is absent", SLICE_ARG(path), SLICE_ARG(want));
    else if (!slice_eq(is, want))
        mismatch(m, "%.*s should be \"%.*s\" and is \"%.*s\"", SLICE_ARG(path), SLICE_ARG(want),
                 SLICE_ARG(is));
}

static void want_count(struct matching *m, struct slice name, struct slice want)
{
    struct slice *elements;
    size_t n = plain_values(m->run->heap, &m->r->msg, name, &elements);

    if (!slice_eq(heap_printf(m->run->heap, "%zu", n), want))
        mismatch(m, "there should be %.*s values of %.*s and there are %zu", SLICE_ARG(want), SLICE_ARG(name),
                 n);
}

static bool regex_matches(struct matching *m, struct slice text, struct slice pattern)
{
    struct heap *heap = m->run->heap;
    regex_t re;
    bool matches;

    if (regcomp(&re, heap_cstr(heap, pattern), REG_EXTENDED | REG_NOSUB) != 0) {
        run_bad_script(m->run, m->stmt, "bad regular expression: %.*s", SLICE_ARG(pattern));
        return false;
    }
    matches = regexec(&re, heap_cstr(heap, text), 0, NULL, 0) == 0;
    regfree(&re);
    return matches;
}

static bool contains(struct slice text, struct slice part)
{
    for (size_t i = 0; i + part.len <= text.len; i++)
        if (memcmp(text.ptr + i, part.ptr, part.len) == 0)
            return true;
    return false;
}

/* PATH OPERATOR TEXT */
static void want_relation(struct matching *m, struct slice path, struct slice op, struct slice want)
{
    struct slice is = SLICE("");
    bool present = plain_path(m->run->heap, &m->r->msg, path, &is), holds;
    bool negated = op.len > 1 && op.ptr[0] == '!';

    if (slice_eq(op, SLICE("count"))) {
        want_count(m, path, want);
        return;
    }
    if (slice_eq(op, SLICE("=")) || slice_eq(op, SLICE("!=")))
        holds = present && slice_eq(is, want);
    else if (slice_eq(op, SLICE("~")) || slice_eq(op, SLICE("!~")))
        holds = present && regex_matches(m, is, draft_unescape(m->run->heap, want));
    else if (slice_eq(op, SLICE("has")) || slice_eq(op, SLICE("!has")))
        holds = present && contains(is, draft_unescape(m->run->heap, want));
    else {
        run_bad_script(m->run, m->stmt, "no operator: %.*s", SLICE_ARG(op));
        return;
    }
    if (holds == negated)
        mismatch(m, "%.*s %.*s %.*s does not hold: it is %s%.*s%s", SLICE_ARG(path), SLICE_ARG(op),
                 SLICE_ARG(want), present ? "\"" : "", SLICE_ARG(present ? is : SLICE("absent")),
                 present ? "\"" : "");
}

static void check_line(struct matching *m, struct slice line)
{
    size_t space = slice_find(line, ' ');
    struct slice path = slice_sub(line, 0, space), rest = slice_trim(slice_sub(line, space, line.len)), is;

    if (space == line.len) {
        bool absent = line.ptr[0] == '!';

        path = slice_sub(path, absent ? 1 : 0, path.len);
        if (plain_path(m->run->heap, &m->r->msg, path, &is) == absent)
            mismatch(m, "%.*s should be %s", SLICE_ARG(path), absent ? "absent" : "there");
    } else if (path.ptr[path.len - 1] == ':') {
        want_text(m, slice_sub(path, 0, path.len - 1), rest);
    } else {
        size_t end = slice_find(rest, ' ');

        want_relation(m, path, slice_sub(rest, 0, end), slice_trim(slice_sub(rest, end, rest.len)));
    }
}

/* The last message of the same kind to the same peer before this one. */
static const struct record *earlier_like(struct matching *m)
{
    const struct record *last = NULL;

    for (size_t i = 0; i < m->run->n_records && m->run->records[i] != m->r; i++) {
        const struct record *c = m->run->records[i];

        if (c->from_proxy && c->is_sip && c->peer == m->r->peer &&
            c->msg.is_request == m->r->msg.is_request && c->msg.status == m->r->msg.status &&
            slice_eq(plain_method(&c->msg), plain_method(&m->r->msg)))
            last = c;
    }
    return last;
}

static void check_same_bytes(struct matching *m, struct slice label)
{
    const struct record *as = label.len > 0 ? run_labelled(m->run, label) : earlier_like(m);

    if (!as)
        mismatch(m, "there is no earlier message to be the same as");
    else if (!slice_eq(as->bytes, m->r->bytes))
        mismatch(m, "should be the same octets as this:\n%.*s", SLICE_ARG(as->bytes));
}

static void check_body_of(struct matching *m, struct slice label)
{
    const struct record *as = run_labelled(m->run, label);

    if (!as)
        run_bad_script(m->run, m->stmt, "nothing is called %.*s", SLICE_ARG(label));
    else if (!slice_eq(as->msg.body, m->r->msg.body))
        mismatch(m, "the body is not that of %.*s", SLICE_ARG(label));
}

static void check_time(struct matching *m, struct slice text)
{
    ms_t at;

    if (!setup_parse_ms(text, &at))
        run_bad_script(m->run, m->stmt, "at= wants a time");
    else if (m->r->at_ms != WORLD_START_MS + at)
        mismatch(m, "should have been sent at %.*s and was sent at %llums", SLICE_ARG(text),
                 (unsigned long long)(m->r->at_ms - WORLD_START_MS));
}

static const struct {
    const char *key;
    const char *header;
} counted[] = {
    {"vias", "Via"}, {"routes", "Route"}, {"record-routes", "Record-Route"}, {"contacts", "Contact"}};

/* One word behind the kind of message. */
static void check_word(struct matching *m, struct slice word)
{
    size_t eq = slice_find(word, '='), colon = slice_find(word, ':');
    struct slice key = slice_sub(word, 0, eq), value = slice_sub(word, eq + 1, word.len);

    for (size_t i = 0; i < sizeof(counted) / sizeof(counted[0]); i++) {
        if (slice_eq(key, slice_from_cstr(counted[i].key))) {
            want_count(m, slice_from_cstr(counted[i].header), value);
            return;
        }
    }
    if (slice_eq(key, SLICE("as")) || slice_eq(key, SLICE("lost")))
        return;
    if (slice_eq(key, SLICE("same-bytes")))
        check_same_bytes(m, value);
    else if (slice_eq(key, SLICE("body-of")))
        check_body_of(m, value);
    else if (slice_eq(key, SLICE("no-body"))) {
        if (m->r->msg.body.len > 0)
            mismatch(m, "there should be no body");
    } else if (slice_eq(key, SLICE("at")))
        check_time(m, value);
    else if (slice_eq(key, SLICE("over"))) {
        if (sip_transport_from_name(value) != m->r->transport)
            mismatch(m, "should go over %.*s", SLICE_ARG(value));
    } else if (slice_eq(key, SLICE("to"))) {
        if (!slice_eq(endpoint(m), value))
            mismatch(m, "should go to %.*s and went to %.*s", SLICE_ARG(value), SLICE_ARG(endpoint(m)));
    } else if (eq < word.len && eq < colon)
        want_text(m, key, value);
    else if (colon < word.len)
        want_text(m, SLICE("ruri"), word);
    else
        run_bad_script(m->run, m->stmt, "what is `%.*s`?", SLICE_ARG(word));
}

static bool one_kind_is(const struct record *r, struct slice kind)
{
    char digits[4];

    if (!r->is_sip)
        return slice_eq(kind, SLICE("anything"));
    if (r->msg.is_request)
        return slice_eq(kind, r->msg.method);
    snprintf(digits, sizeof(digits), "%u", r->msg.status);
    return kind.len == 3 && kind.ptr[0] == digits[0] &&
           (slice_eq(slice_sub(kind, 1, 3), SLICE("xx")) || slice_eq(kind, slice_make(digits, 3)));
}

/* INVITE, 486, 4xx, or several of them: 404|480 */
static bool kind_is(const struct record *r, struct slice kinds)
{
    while (kinds.len > 0) {
        size_t bar = slice_find(kinds, '|');

        if (one_kind_is(r, slice_sub(kinds, 0, bar)))
            return true;
        kinds = slice_sub(kinds, bar + 1, kinds.len);
    }
    return false;
}

static bool is_for(struct run *run, const struct stmt *stmt, const struct record *r)
{
    struct slice who = stmt->words[3].text;
    struct peer *p = run_peer(run, who);
    struct addr addr;
    uint8_t transport;

    if (p)
        return r->peer == p;
    return setup_parse_hop(who, &addr, &transport) && addr_eq(&addr, &r->far) && transport == r->transport;
}

static bool matches(struct run *run, const struct stmt *stmt, const struct record *r, struct text *ret_wrong)
{
    struct matching m = {.run = run, .stmt = stmt, .r = r};
    bool body = false;

    text_init(&m.wrong, run->heap);
    if (!slice_eq(stmt->words[1].text, SLICE("any")) &&
        !slice_eq(run->world.listener_names[r->listener], stmt->words[1].text))
        mismatch(&m, "was sent from listener %.*s", SLICE_ARG(run->world.listener_names[r->listener]));
    if (!kind_is(r, stmt->words[4].text)) {
        mismatch(&m, "should be %.*s", SLICE_ARG(stmt->words[4].text));
    } else if (r->is_sip) {
        for (size_t i = 5; i < stmt->n_words; i++) {
            if (stmt->words[i].quoted)
                want_text(&m, SLICE("reason"), stmt->words[i].text);
            else
                check_word(&m, stmt->words[i].text);
        }
        for (size_t i = 0; i < stmt->n_lines; i++) {
            if (stmt->lines[i].ptr[0] == '|')
                body = true;
            else
                check_line(&m, stmt->lines[i]);
        }
    }
    if (body && !slice_eq(r->msg.body, draft_raw(run->heap, stmt)))
        mismatch(&m, "the body is another");
    *ret_wrong = m.wrong;
    return m.wrong.len == 0;
}

static void take(struct run *run, const struct stmt *stmt, struct record *r)
{
    const struct slice *label = script_option(run->heap, stmt, 5, "as");

    r->seen = true;
    r->lost = script_flag(stmt, 5, "lost");
    if (label)
        r->label = *label;
}

/* In lenient mode anything of the right kind will do. */
static bool fits(struct run *run, const struct stmt *stmt, const struct record *r, struct text *ret_wrong)
{
    if (run->lenient)
        return kind_is(r, stmt->words[4].text);
    return matches(run, stmt, r, ret_wrong);
}

static bool expect_message(struct run *run, const struct stmt *stmt, bool in_group, bool may)
{
    struct text wrong, all;

    text_init(&all, run->heap);
    for (size_t i = 0; i < run->n_records; i++) {
        struct record *r = run->records[i];

        if (!r->from_proxy || r->seen || !is_for(run, stmt, r))
            continue;
        text_init(&wrong, run->heap);
        if (fits(run, stmt, r, &wrong)) {
            take(run, stmt, r);
            return true;
        }
        if (run->failed)
            return false;
        text_printf(&all, "%.*s\n%.*s    --\n    %.*s\n", SLICE_ARG(run_describe(run, r)),
                    SLICE_ARG(text_slice(&wrong)), SLICE_ARG(r->bytes));
        if (!in_group && !may && !run->lenient)
            break;
    }
    if (may)
        return true;
    if (all.len == 0)
        return run_fail(run, stmt, "nothing came to %.*s", SLICE_ARG(stmt->words[3].text));
    return run_fail(run, stmt, "what came instead:\n%.*s", SLICE_ARG(text_slice(&all)));
}

/* expect silence; transactions=0; bytes=0; pending=0; to-itself<=3 */
static bool expect_state(struct run *run, const struct stmt *stmt)
{
    const struct {
        const char *name;
        size_t is;
    } states[] = {
        {"transactions", proxy_transactions(run->world.proxy)},
        {"pending", proxy_pending(run->world.proxy)},
        {"bytes", proxy_used_bytes(run->world.proxy)},
        {"to-itself", run->world.n_own_requests},
    };
    const size_t n = sizeof(states) / sizeof(states[0]);

    if (!run_check_silence(run, stmt))
        return false;
    for (size_t i = 1; i < stmt->n_words; i++) {
        struct slice w = stmt->words[i].text;
        size_t eq, end, k;
        bool at_most;
        uint32_t want;

        w.len -= w.len > 0 && w.ptr[w.len - 1] == ';';
        eq = slice_find(w, '=');
        if (slice_eq(w, SLICE("silence")))
            continue;
        at_most = eq > 0 && w.ptr[eq - 1] == '<';
        end = eq - at_most;
        for (k = 0; k < n && !slice_eq(slice_sub(w, 0, end), slice_from_cstr(states[k].name)); k++)
            ;
        if (k == n || num_parse_u32(slice_sub(w, eq + 1, w.len), UINT32_MAX, &want) < 0)
            return run_bad_script(run, stmt, "what is `%.*s`?", SLICE_ARG(w));
        if (at_most ? states[k].is > want : states[k].is != want)
            return run_fail(run, stmt, "%s is %zu", states[k].name, states[k].is);
    }
    return true;
}

bool expect_run(struct run *run, const struct stmt *stmt, bool in_group)
{
    bool may = slice_eq(stmt->words[0].text, SLICE("allow"));

    if (stmt->n_words > 2 && slice_eq(stmt->words[2].text, SLICE(">"))) {
        if (stmt->n_words < 5)
            return run_bad_script(run, stmt, "expect proxy > WHO WHAT ...");
        return expect_message(run, stmt, in_group, may);
    }
    return expect_state(run, stmt);
}
