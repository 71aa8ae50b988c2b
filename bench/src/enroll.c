#include "play.h"
#include "text.h"
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#define WINDOW      256
#define PATIENCE_US 20000000u
#define SLOT        0xfffffff0u /* of no call */

/* A run that comes soon after another is a client that has started anew: its Call-IDs are others (RFC 3261
 * section 10.2). */
static uint32_t first_serial(const struct load *l)
{
    uint32_t users = (uint32_t)l->opts->users, first = l->serial - l->serial % users;
    return first > UINT32_MAX - users ? 0 : first;
}

static void send_register(struct load *l, uint32_t serial, struct slice credentials)
{
    static struct call call;
    struct buf out;
    call.slot = SLOT;
    call.serial = serial;
    call.has_credentials = credentials.len > 0;
    buf_init(&out, call.request, sizeof(call.request));
    caller_put_register(l, &call, l->callee_text, credentials, &out);
    if (buf_failed(&out))
        abort(); /* PORT_MESSAGE_BYTES is too small for the bench's own message */
    port_send(l->callee, (size_t)(serial % l->opts->users) % l->callee->n_lines,
              buf_slice(&out)); /* a stream copies it */
}

static void on_response(void *ctx, size_t line, struct slice message)
{
    struct load *l = ctx;
    unsigned status = text_status(message);
    struct slice id = text_header(message, SLICE("Call-ID:"));
    struct call call = {.serial =
                            (uint32_t)strtoul(id.len > HEX_BYTES ? id.ptr + HEX_BYTES + 1 : "0", NULL, 16)};
    char memory[1024];
    struct buf out;
    (void)line;
    buf_init(&out, memory, sizeof(memory));
    if (status == 401 && !slice_is_null(l->opts->password) &&
        slice_starts_with(text_header(message, SLICE("CSeq:")), SLICE("1 "))) {
        send_register(l, call.serial, credentials_answer(l, &call, message, &out));
    } else if (status >= 200 && status < 300) {
        l->n_enrolled++;
    } else if (status >= 300) {
        l->n_refused++;
    }
}

int enroll(struct load *l)
{
    size_t wanted = (size_t)l->opts->users, begun = 0, last = 0;
    uint64_t progress_us = l->now_us;
    const uint32_t first = first_serial(l);
    while (l->n_enrolled < wanted && l->n_refused == 0 && !*l->opts->stop &&
           l->now_us - progress_us < PATIENCE_US) {
        while (begun < wanted && begun - l->n_enrolled < WINDOW)
            send_register(l, first + (uint32_t)begun++, SLICE(""));
        port_flush(l->callee);
        port_receive(l->callee, on_response, l);
        l->now_us = load_clock_us();
        if (l->n_enrolled != last)
            progress_us = l->now_us;
        last = l->n_enrolled;
    }
    if (l->n_enrolled == wanted)
        return EX_OK;
    fprintf(stderr, "viaduct-bench: only %zu of %zu users could register; %zu were refused\n", l->n_enrolled,
            wanted, l->n_refused);
    return EX_UNAVAILABLE;
}
