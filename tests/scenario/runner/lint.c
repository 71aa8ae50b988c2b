/* What holds for every message a proxy sends, whatever a scenario is about. */
#include "run.h"
#include <stdlib.h>

struct lint {
    struct run *run;
    const struct record *r;
    struct slice wrong;
};

static void wrong(struct lint *l, const char *what)
{
    if (slice_is_null(l->wrong))
        l->wrong = slice_from_cstr(what);
}

static size_t count(struct lint *l, const char *name)
{
    struct slice *elements;

    return plain_values(l->run->heap, &l->r->msg, slice_from_cstr(name), &elements);
}

static struct slice path(struct lint *l, const char *p)
{
    struct slice text = SLICE("");

    plain_path(l->run->heap, &l->r->msg, slice_from_cstr(p), &text);
    return text;
}

/* Section 18.1.1: sent-by is ours. */
static bool via_is_ours(struct lint *l)
{
    const struct world *w = &l->run->world;
    struct slice host = path(l, "Via[0].host");

    for (size_t i = 0; i < w->opts.n_listeners; i++) {
        const struct proxy_listener *p = &w->listeners[i];

        if (slice_eq_nocase(host, heap_printf(l->run->heap, "%.*s:%u", SLICE_ARG(p->host), p->port)))
            return true;
    }
    return false;
}

static void lint_request(struct lint *l)
{
    struct slice branch = path(l, "Via[0].branch"), method = l->r->msg.method;
    bool cancel = slice_eq(method, SLICE("CANCEL"));

    if (count(l, "Max-Forwards") != 1)
        wrong(l, "section 8.1.1: a request has one Max-Forwards");
    if (!via_is_ours(l))
        wrong(l, "section 18.1.1: the top Via of a request is not a listener's");
    if (!slice_starts_with(branch, SLICE("z9hG4bK")) || branch.len < 16)
        wrong(l,
              "section 8.1.1.7: the branch of our Via does not begin with the cookie, or is hardly unique");
    if (!slice_eq(l->r->msg.cseq_method, method))
        wrong(l, "section 8.1.1.5: the method of CSeq is not that of the request");
    if (!cancel && count(l, "Via") > 1 && count(l, "Max-Breadth") != 1)
        wrong(l, "RFC 5393 section 5.3.3: a proxied request has one Max-Breadth");
    /* One of ours; a CANCEL or ACK from upstream that is forwarded statelessly has more Vias. */
    if (cancel && count(l, "Via") == 1 && (count(l, "Require") > 0 || count(l, "Proxy-Require") > 0))
        wrong(l, "section 9.1: a CANCEL has neither Require nor Proxy-Require");
}

static void lint_response(struct lint *l)
{
    if (l->r->msg.status < 100 || l->r->msg.status > 699)
        wrong(l, "section 7.2: no status code");
    if (l->r->msg.status == 100 && count(l, "Record-Route") > 0)
        wrong(l, "section 12.1.1: a 100 carries no Record-Route");
    if (slice_eq(l->r->msg.cseq_method, SLICE("ACK")))
        wrong(l, "section 17.1.1.3: an ACK is never answered");
    if (l->r->msg.status > 100 && l->r->msg.status < 200 && !slice_eq(l->r->msg.cseq_method, SLICE("INVITE")))
        wrong(l, "RFC 4320 section 4.1: a provisional response to a non-INVITE other than 100");
    if (l->r->msg.status == 408 && !slice_eq(l->r->msg.cseq_method, SLICE("INVITE")))
        wrong(l, "RFC 4320 section 4.2: a 408 to a non-INVITE");
}

static void lint_length(struct lint *l)
{
    struct slice length = path(l, "Content-Length");

    if (count(l, "Content-Length") > 1)
        wrong(l, "section 20.14: two Content-Length");
    if (count(l, "Content-Length") == 0 && l->r->transport != SIP_TRANSPORT_UDP)
        wrong(l, "section 18.3: no Content-Length over a stream");
    if (length.len > 0 && strtoul(heap_cstr(l->run->heap, length), NULL, 10) != l->r->msg.body.len)
        wrong(l, "section 20.14: Content-Length is not the length of the body");
}

static void lint_header_end(struct lint *l)
{
    const struct plain *m = &l->r->msg;

    for (size_t i = 0; i + 1 < m->bytes.len - m->body.len; i++)
        if ((m->bytes.ptr[i + 1] == '\n') != (m->bytes.ptr[i] == '\r'))
            wrong(l, "section 7: a line does not end with CRLF");
}

struct slice lint_message(struct run *run, const struct record *r)
{
    struct lint l = {.run = run, .r = r, .wrong = SLICE_NULL};

    if (!r->is_sip)
        return SLICE("no SIP message at all");
    lint_header_end(&l);
    lint_length(&l);
    /* A 400 repeats what it was given, missing and doubled headers too. */
    if (r->msg.status != 400 && (count(&l, "From") != 1 || count(&l, "To") != 1 ||
                                 count(&l, "Call-ID") != 1 || count(&l, "CSeq") != 1))
        wrong(&l, "section 8.1.1: From, To, Call-ID and CSeq stand once in every message");
    if (count(&l, "Via") < 1)
        wrong(&l, "section 8.1.1: no Via");
    if (r->msg.is_request)
        lint_request(&l);
    else
        lint_response(&l);
    return l.wrong;
}
