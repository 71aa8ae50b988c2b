#include "app/mail.h"
#include "base/mem.h"
#include <string.h>

struct mail *mail_new(enum mail_kind kind, struct slice bytes)
{
    struct mail *mail = mem_zalloc(sizeof(*mail) + bytes.len);
    if (mail == NULL)
        return NULL;
    mail->kind = kind;
    mail->len = bytes.len;
    if (bytes.len > 0)
        memcpy(mail->bytes, bytes.ptr, bytes.len);
    return mail;
}

void mail_free(struct mail *mail)
{
    mem_free(mail);
}
