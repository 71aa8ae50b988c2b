#include "play.h"
#include "text.h"
#include <stdlib.h>

/* RFC 7339 section 7.2: "Periodically (every 5-10 seconds), get the value of the counters" */
#define MIX_US             5000000u
#define FIRST_NEW_PERMILLE 800
#define VALIDITY_MS        500 /* section 4.3: where it is not said */
#define SEQ_PARTS          100000u
#define SEQ_DIGITS         5

/* The number behind a name with its semicolon and equals sign; false: it is not there. */
static bool find_number(struct slice via, struct slice name, const char **ret_digits)
{
    const char *at = memmem(via.ptr, via.len, name.ptr, name.len);
    if (at == NULL)
        return false;
    *ret_digits = at + name.len; /* a message ends in CRLF, so that strtoul does, too */
    return true;
}

/* 1*12DIGIT "." 1*5DIGIT */
static uint64_t read_seq(const char *digits)
{
    char *point;
    uint64_t seq = strtoull(digits, &point, 10) * SEQ_PARTS;
    uint64_t weight = SEQ_PARTS / 10;
    if (*point != '.')
        return seq;
    for (const char *p = point + 1; *p >= '0' && *p <= '9' && p - point <= SEQ_DIGITS; p++, weight /= 10)
        seq += (uint64_t)(*p - '0') * weight;
    return seq;
}

static void expire(struct load *l)
{
    if (l->obey.until_us > l->now_us)
        return;
    l->obey.loss_percent = 0;
    l->obey.seq = 0;
}

void obey_hear(struct load *l, struct slice response)
{
    struct slice via = text_header(response, SLICE("Via:"));
    const char *digits;
    uint64_t seq;
    uint32_t validity_ms = VALIDITY_MS;
    unsigned loss;
    if (!find_number(via, SLICE(";oc="), &digits))
        return;
    expire(l);
    loss = (unsigned)strtoul(digits, NULL, 10);
    if (find_number(via, SLICE(";oc-validity="), &digits))
        validity_ms = (uint32_t)strtoul(digits, NULL, 10);
    if (find_number(via, SLICE(";oc-seq="), &digits)) {
        seq = read_seq(digits);
        if (seq <= l->obey.seq)
            return; /* section 5.4: it is no news */
        l->obey.seq = seq;
    }
    l->obey.loss_percent = validity_ms > 0 && loss <= 100 ? loss : 0;
    l->obey.until_us = l->now_us + validity_ms * 1000ull;
}

static void count(struct load *l, bool is_new)
{
    struct obey *o = &l->obey;
    if (o->new_permille == 0)
        *o = (struct obey){.new_permille = FIRST_NEW_PERMILLE, .counted_us = l->now_us};
    o->n_new += is_new;
    o->n_others += !is_new;
    if (l->now_us - o->counted_us < MIX_US)
        return;
    o->new_permille = (unsigned)(o->n_new * 1000 / (o->n_new + o->n_others)) + 1;
    o->n_new = o->n_others = 0;
    o->counted_us = l->now_us;
}

void obey_note_other(struct load *l)
{
    if (l->opts->obeys)
        count(l, false);
}

/* Evenly instead of by lot, so that a short measurement is as good as a long one. */
bool obey_withholds(struct load *l)
{
    struct obey *o = &l->obey;
    if (!l->opts->obeys)
        return false;
    count(l, true);
    expire(l);
    o->due += o->loss_percent * 1000000u / o->new_permille / 100;
    if (o->due < 1000)
        return false;
    o->due = o->due < 2000 ? o->due - 1000 : 1000;
    return true;
}
