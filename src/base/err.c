#include "base/err.h"
#include <stddef.h>

const char *err_name(int err)
{
    static const char *const names[] = {
        [-ERR_OK] = "ok",           [-ERR_NOMEM] = "no memory",    [-ERR_LIMIT] = "limit",
        [-ERR_SYNTAX] = "syntax",   [-ERR_RANGE] = "out of range", [-ERR_NOTFOUND] = "not found",
        [-ERR_EXISTS] = "exists",   [-ERR_AGAIN] = "not now",      [-ERR_IO] = "system error",
        [-ERR_CLOSED] = "closed",   [-ERR_DENIED] = "denied",      [-ERR_UNSUPPORTED] = "unsupported",
        [-ERR_CORRUPT] = "corrupt", [-ERR_STALE] = "stale",
    };

    if (err > 0 || err < ERR_STALE)
        return "unknown error";
    return names[-err];
}
