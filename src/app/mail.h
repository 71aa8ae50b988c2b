/* What workers and the storage thread send to a worker: one allocation, owned by whoever holds it. */
#ifndef APP_MAIL_H
#define APP_MAIL_H

#include "base/err.h"
#include "base/slice.h"
#include "sip/hop.h"
#include <stdbool.h>
#include <stdint.h>

enum mail_kind {
    MAIL_RECEIVE,     /* bytes came by hop and belong to a call of this worker */
    MAIL_SEND,        /* send bytes by hop: the flow is this worker's */
    MAIL_SEND_FAILED, /* a message with this token did not leave; it may be of any worker */
    MAIL_REFUSED,     /* an ICMP error quoted bytes */
    MAIL_RESUME,      /* token is a ticket, result what it waits for */
    MAIL_DRAIN,       /* take nothing new from now on */
    MAIL_STOP,        /* leave the loop */
};

struct mail {
    enum mail_kind kind;
    struct sip_hop hop;
    bool datagram;
    uint64_t came_us; /* when it could have been read, on the clock of the loops */
    uint64_t token;
    void *result;
    size_t len;
    char bytes[];
};

/* With a copy of bytes; NULL without memory. */
MUST_USE struct mail *mail_new(enum mail_kind kind, struct slice bytes);
void mail_free(struct mail *mail);

static inline struct slice mail_slice(const struct mail *mail)
{
    return slice_make(mail->bytes, mail->len);
}

#endif
