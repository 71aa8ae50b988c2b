#include "proxy/token.h"
#include "base/num.h"

#define MARK       "vd"
#define MARK_BYTES (sizeof(MARK) - 1)
#define SIGN_OFF   (MARK_BYTES + 5)

_Static_assert(SIGN_OFF + 16 == PROXY_ROUTE_TOKEN_BYTES, "the form in the header");
_Static_assert(MARK_BYTES + 16 == PROXY_TO_TAG_BYTES, "the mark and a hash");

static uint64_t sign(const struct hash_key *secret, const struct proxy_route_token *token,
                     struct slice call_id, struct slice tag)
{
    struct hash_state st;

    hash_begin(&st, secret);
    hash_add(&st, SLICE("record-route"));
    hash_add_u64(&st, (uint64_t)token->worker << 8 | token->listener);
    hash_add(&st, call_id);
    hash_add(&st, tag);
    return hash_end64(&st);
}

static void put_octet(char *out, uint8_t value)
{
    static const char digits[] = "0123456789abcdef";

    out[0] = digits[value >> 4];
    out[1] = digits[value & 15];
}

struct slice proxy_route_token_format(const struct hash_key *secret, const struct proxy_route_token *token,
                                      struct slice call_id, struct slice from_tag,
                                      char out[PROXY_ROUTE_TOKEN_BYTES])
{
    memcpy(out, MARK, MARK_BYTES);
    put_octet(out + MARK_BYTES, token->worker);
    put_octet(out + MARK_BYTES + 2, token->listener);
    out[SIGN_OFF - 1] = '-';
    num_format_hex64(sign(secret, token, call_id, from_tag), out + SIGN_OFF);
    return slice_make(out, PROXY_ROUTE_TOKEN_BYTES);
}

bool proxy_route_token_parse(struct slice user, struct proxy_route_token *ret_token)
{
    uint64_t worker, listener, signature;

    if (user.len != PROXY_ROUTE_TOKEN_BYTES || !slice_starts_with(user, SLICE(MARK)) ||
        user.ptr[SIGN_OFF - 1] != '-' || num_parse_hex64(slice_make(user.ptr + MARK_BYTES, 2), &worker) < 0 ||
        num_parse_hex64(slice_make(user.ptr + MARK_BYTES + 2, 2), &listener) < 0 ||
        num_parse_hex64(slice_make(user.ptr + SIGN_OFF, 16), &signature) < 0)
        return false;
    *ret_token = (struct proxy_route_token){(uint8_t)worker, (uint8_t)listener};
    return true;
}

bool proxy_route_token_verify(const struct hash_key *secret, struct slice user, struct slice call_id,
                              struct slice from_tag, struct slice to_tag, struct proxy_route_token *ret_token)
{
    struct proxy_route_token token;
    uint64_t signature;

    if (!proxy_route_token_parse(user, &token) ||
        num_parse_hex64(slice_make(user.ptr + SIGN_OFF, 16), &signature) < 0)
        return false;
    if (signature != sign(secret, &token, call_id, from_tag) &&
        signature != sign(secret, &token, call_id, to_tag))
        return false;
    *ret_token = token;
    return true;
}

struct slice proxy_to_tag_format(const struct hash_key *secret, struct slice call_id, struct slice from_tag,
                                 uint32_t cseq, char out[PROXY_TO_TAG_BYTES])
{
    struct hash_state st;

    hash_begin(&st, secret);
    hash_add(&st, SLICE("to-tag"));
    hash_add(&st, call_id);
    hash_add(&st, from_tag);
    hash_add_u64(&st, cseq);
    memcpy(out, MARK, MARK_BYTES);
    num_format_hex64(hash_end64(&st), out + MARK_BYTES);
    return slice_make(out, PROXY_TO_TAG_BYTES);
}
