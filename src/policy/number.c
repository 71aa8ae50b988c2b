#include "policy/internal.h"
#include "sip/chars.h"

static unsigned hex_value(char c)
{
    return sip_char_is(c, SIP_CHAR_DIGIT) ? (unsigned)(c - '0') : (unsigned)(sip_char_lower(c) - 'a' + 10);
}

/* What the operator writes is plain text; what is written into a URI is escaped where the URI needs it (RFC 3261
 * section 25.1: user). */
static void put_escaped(struct buf *out, char c)
{
    static const char digits[] = "0123456789ABCDEF";

    if (sip_char_is(c, SIP_CHAR_USER)) {
        buf_putc(out, c);
        return;
    }
    buf_putc(out, '%');
    buf_putc(out, digits[(uint8_t)c >> 4]);
    buf_putc(out, digits[(uint8_t)c & 15]);
}

static void put_text(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        put_escaped(out, text.ptr[i]);
}

/* The octet at *at of a user part, decoded; sip_uri_parse has seen that an escape is whole. */
static char next_octet(struct slice user, size_t *at)
{
    size_t i = *at;

    if (user.ptr[i] != '%' || i + 2 >= user.len) {
        *at = i + 1;
        return user.ptr[i];
    }
    *at = i + 3;
    return (char)(hex_value(user.ptr[i + 1]) << 4 | hex_value(user.ptr[i + 2]));
}

struct slice policy_user_decode(struct slice user, char out[POLICY_USER_BYTES])
{
    size_t at = 0, len = 0;

    while (at < user.len && len < POLICY_USER_BYTES && user.ptr[at] != ';')
        out[len++] = next_octet(user, &at);
    return slice_make(out, len);
}

/* Where the rest begins when `count` octets, decoded, are left out; never beyond the number itself. */
static size_t skip(struct slice user, size_t at, size_t count)
{
    while (count > 0 && at < user.len && user.ptr[at] != ';') {
        (void)next_octet(user, &at);
        count--;
    }
    return at;
}

static bool begins_with(struct slice user, struct slice prefix, size_t *ret_after)
{
    size_t at = 0;

    for (size_t i = 0; i < prefix.len; i++) {
        if (at >= user.len || user.ptr[at] == ';' || next_octet(user, &at) != prefix.ptr[i])
            return false;
    }
    *ret_after = at;
    return true;
}

int policy_rewrite(const struct policy_rewrite_opts *rewrite, struct slice user, struct buf *out)
{
    size_t at = 0, params = slice_find(user, ';');

    if (rewrite->user.len > 0) {
        put_text(out, rewrite->user);
        return buf_failed(out) ? ERR_LIMIT : 0;
    }
    if (rewrite->prefix.len + rewrite->add.len + rewrite->strip == 0 ||
        !begins_with(user, rewrite->prefix, &at))
        return ERR_NOTFOUND;
    at = skip(user, at, rewrite->strip);
    if (at == params && rewrite->add.len == 0)
        return ERR_SYNTAX;
    put_text(out, rewrite->add);
    buf_put(out, slice_sub(user, at, user.len));
    return buf_failed(out) ? ERR_LIMIT : 0;
}
