/* RFC 7339 as a server: what neighbours upstream are told in the Via of each response. */
#include "sip/oc.h"
#include "proxy/internal.h"

/* How long a loss holds: neighbours hear the next one well before (pressure.c). */
#define VALIDITY_MS 1000
#define MS_PER_S    1000u

/* Section 4.4: "A timestamp can be used as a value". The last two digits are the worker's: two of them may say
 * different things in one millisecond. */
static uint64_t seq_of(struct proxy *p)
{
    uint64_t ms;

    if (p->calendar_ms == 0)
        p->calendar_ms = (uint64_t)p->now_s * MS_PER_S - p->wheel.now_ms;
    ms = p->calendar_ms + p->pressure.loss_ms;
    return ms / MS_PER_S * SIP_OC_SEQ_PARTS + ms % MS_PER_S * (SIP_OC_SEQ_PARTS / MS_PER_S) +
           p->opts->worker % (SIP_OC_SEQ_PARTS / MS_PER_S);
}

bool proxy_oc_is_asked(struct proxy *p, const struct sip_via *via)
{
    if (p->opts->is_oc_off || !sip_oc_is_asked(via->params))
        return false;
    p->oc_asked_ms = p->wheel.now_ms;
    return true;
}

int proxy_oc_arrive(struct proxy *p, const struct sip_via *via, struct proxy_arrival *arrival)
{
    if (!proxy_oc_is_asked(p, via))
        return 0;
    arrival->reply_hop.wants_oc = true;
    return sip_oc_strip(arrival->top_via, &p->scratch, &arrival->top_via);
}

/* Until another is to be said, it is the same for everybody. */
static void write_answer(struct proxy *p, struct proxy_oc_answer *answer)
{
    unsigned loss_percent = pressure_loss_percent(&p->pressure);
    struct sip_oc oc = {.loss_percent = loss_percent,
                        .validity_ms = loss_percent > 0 ? VALIDITY_MS : 0,
                        .seq = seq_of(p),
                        .has_seq = true};
    struct buf out;

    buf_init(&out, answer->text, sizeof(answer->text));
    sip_oc_put(&oc, &out);
    answer->len = out.len;
    answer->loss_ms = p->pressure.loss_ms;
}

struct slice proxy_oc_answer(struct proxy *p, const struct sip_hop *to)
{
    struct proxy_oc_answer *answer = &p->oc_answer;

    if (!to->wants_oc)
        return slice_make("", 0);
    if (answer->len == 0 || answer->loss_ms != p->pressure.loss_ms)
        write_answer(p, answer);
    return slice_make(answer->text, answer->len);
}

int proxy_oc_fill(struct proxy *p, const struct sip_hop *to, struct slice *via_text)
{
    struct slice answer = proxy_oc_answer(p, to);
    struct buf out;
    char *memory;

    if (answer.len == 0)
        return 0;
    memory = arena_alloc(&p->scratch, via_text->len + answer.len);
    if (!memory)
        return ERR_NOMEM;
    buf_init(&out, memory, via_text->len + answer.len);
    buf_put(&out, *via_text);
    buf_put(&out, answer);
    *via_text = buf_slice(&out);
    return 0;
}
