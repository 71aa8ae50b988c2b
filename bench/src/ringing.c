#include "play.h"
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#define WINDOW      256 /* INVITEs that have not come to ring yet */
#define PATIENCE_US 20000000u

/* Made again when it is sent again: so many calls are not kept. */
static void send_invite(struct load *l, size_t i)
{
    static struct call call;
    struct buf out;
    call.slot = (uint32_t)(l->opts->in_flight + i);
    call.serial = l->serial + (uint32_t)i;
    buf_init(&out, call.request, sizeof(call.request));
    caller_put_invite(l, &call, &out);
    if (buf_failed(&out))
        abort(); /* PORT_MESSAGE_BYTES is too small for the bench's own message */
    port_send(l->caller, i % l->caller->n_lines, buf_slice(&out));
    port_flush(l->caller); /* the next is made in the same memory */
}

void ringing_caller(struct load *l, uint32_t i, unsigned status)
{
    if (status >= 200) {
        l->n_refused++;
    } else if (status > 100 && !l->rings[i]) {
        l->rings[i] = 1;
        l->n_ringing++;
    }
}

int ringing_begin(struct load *l)
{
    size_t wanted = l->opts->ringing, begun = 0, last = 0;
    uint64_t progress_us = l->now_us;
    l->rings = calloc(wanted, 1);
    if (l->rings == NULL)
        return EX_OSERR;
    while (l->n_ringing < wanted && l->n_refused == 0 && !*l->opts->stop) {
        while (begun < wanted && begun - l->n_ringing < WINDOW)
            send_invite(l, begun++);
        load_turn(l, 10);
        if (l->n_ringing != last) {
            last = l->n_ringing;
            progress_us = l->now_us;
        } else if (l->now_us - progress_us > PATIENCE_US) {
            break;
        } else if (l->now_us - progress_us > T1_US && l->opts->kind == PORT_UDP) {
            for (size_t i = 0; i < begun; i++)
                if (!l->rings[i])
                    send_invite(l, i);
        }
    }
    l->serial += (uint32_t)wanted;
    if (l->n_ringing == wanted)
        return EX_OK;
    fprintf(stderr, "viaduct-bench: only %zu of %zu calls came to ring; %zu were refused\n", l->n_ringing,
            wanted, l->n_refused);
    return EX_UNAVAILABLE;
}
