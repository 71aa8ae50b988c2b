/* Which calls are emergency calls: they come in whatever the load, and go out first. */
#include "base/num.h"
#include "proxy/internal.h"

/* RFC 5031 section 4.2: "sos" and what is below it. A URN's namespace and the service labels are compared
 * without case (RFC 8141 section 3.1, RFC 5031 section 4.1). */
static bool is_sos(struct slice ruri)
{
    const struct slice sos = SLICE("urn:service:sos");

    return slice_starts_with_nocase(ruri, sos) && (ruri.len == sos.len || ruri.ptr[sos.len] == '.');
}

/* What is called: a user part, or the number of a tel URI, without the parameters that either may have (RFC
 * 3966 section 3). */
static struct slice number_of(struct slice ruri)
{
    size_t colon = slice_find(ruri, ':');
    struct slice scheme = slice_sub(ruri, 0, colon), rest = slice_sub(ruri, colon + 1, ruri.len);
    size_t at;

    if (slice_eq_nocase(scheme, SLICE("tel")))
        return slice_sub(rest, 0, slice_find(rest, ';'));
    at = slice_find(rest, '@');
    if (at == rest.len || !(slice_eq_nocase(scheme, SLICE("sip")) || slice_eq_nocase(scheme, SLICE("sips"))))
        return SLICE_NULL;
    rest = slice_sub(rest, 0, at);
    rest = slice_sub(rest, 0, slice_find(rest, ':'));
    return slice_sub(rest, 0, slice_find(rest, ';'));
}

/* RFC 3261 section 19.1.4: what is escaped is the same as what it stands for. */
static int take_octet(struct slice *rest)
{
    uint64_t octet = (uint8_t)rest->ptr[0];
    size_t len = 1;

    if (octet == '%' && rest->len >= 3 && num_parse_hex64(slice_sub(*rest, 1, 3), &octet) == 0)
        len = 3;
    *rest = slice_sub(*rest, len, rest->len);
    return (int)octet;
}

/* RFC 3966 section 5.1.1: "visual separators ... are removed" before numbers are compared. -1: at the end. */
static int take_digit(struct slice *rest)
{
    int octet = -1;

    do
        octet = rest->len > 0 ? take_octet(rest) : -1;
    while (octet == '-' || octet == '.' || octet == '(' || octet == ')');
    return octet;
}

static bool is_same_number(struct slice a, struct slice b)
{
    int digit;

    do {
        digit = take_digit(&a);
        if (digit != take_digit(&b))
            return false;
    } while (digit >= 0);
    return true;
}

bool proxy_is_emergency(const struct proxy_opts *opts, struct slice ruri)
{
    struct slice number;

    if (is_sos(ruri))
        return true;
    number = number_of(ruri);
    for (size_t i = 0; i < opts->n_emergency_numbers && !slice_is_null(number); i++) {
        if (is_same_number(number, opts->emergency_numbers[i]))
            return true;
    }
    return false;
}
