/* Errors. A function that can fail returns int: 0, or a negative enum err; it must be looked at. Output
 * parameters (named ret_..., last) are untouched on failure. What went wrong in text is for the function that
 * logs. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

enum err {
    ERR_OK = 0,
    ERR_NOMEM = -1,  /* no memory, or the budget of this class of memory is used up */
    ERR_LIMIT = -2,  /* a named limit would be exceeded */
    ERR_SYNTAX = -3, /* input does not follow its grammar */
    ERR_RANGE = -4,  /* a number is outside what it may be */
    ERR_NOTFOUND = -5,
    ERR_EXISTS = -6,
    ERR_AGAIN = -7,   /* not now: need more input, or a queue is full */
    ERR_IO = -8,      /* the operating system said no; errno tells */
    ERR_CLOSED = -9,  /* the other side, or this object, is gone */
    ERR_DENIED = -10, /* a rule forbids it */
    ERR_UNSUPPORTED = -11,
    ERR_CORRUPT = -12, /* stored data is not what it should be */
    ERR_STALE = -13,   /* was right once and has expired */
};

#define MUST_USE __attribute__((warn_unused_result))

/* "no memory", "limit", ...; never NULL. */
const char *err_name(int err);

#endif
