#include "proxy/token.h"
#include "base/num.h"
#include "sip/hop.h"
#include <assert.h>

#define MARK       "vd"
#define MARK_BYTES (sizeof(MARK) - 1)
#define HEX64      16
#define HEAD_BYTES (MARK_BYTES + 5) /* with the dash */
#define FLOW_BYTES (HEX64 + 1)
#define LONG_BYTES (HEAD_BYTES + FLOW_BYTES + HEX64)

_Static_assert(LONG_BYTES == PROXY_ROUTE_TOKEN_BYTES, "the form in the header");
_Static_assert(MARK_BYTES + 16 == PROXY_TO_TAG_BYTES, "the mark and a hash");
_Static_assert(PROXY_REFUSAL_MARK_BYTES + 16 == PROXY_REFUSAL_TAG_BYTES, "the mark and a hash");

static uint64_t sign(const struct hash_key *secret, const struct proxy_route_token *token,
                     struct slice call_id, struct slice tag)
{
    struct hash_state st;

    hash_begin(&st, secret);
    hash_add(&st, SLICE("record-route"));
    hash_add_u64(&st, (uint64_t)token->worker << 8 | token->listener);
    hash_add_u64(&st, token->flow);
    hash_add(&st, call_id);
    hash_add_nocase(&st, tag); /* a token (section 7.3.1) */
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
    size_t len = HEAD_BYTES;

    memcpy(out, MARK, MARK_BYTES);
    put_octet(out + MARK_BYTES, token->worker);
    put_octet(out + MARK_BYTES + 2, token->listener);
    out[HEAD_BYTES - 1] = '-';
    if (token->flow != SIP_FLOW_NONE) {
        num_format_hex64(token->flow, out + len);
        len += FLOW_BYTES;
        out[len - 1] = '-';
    }
    num_format_hex64(sign(secret, token, call_id, from_tag), out + len);
    return slice_make(out, len + HEX64);
}

/* Digits, and the dash behind them where something follows. */
static bool take_hex(struct slice *rest, size_t digits, uint64_t *ret_value)
{
    if (num_parse_hex64(slice_sub(*rest, 0, digits), ret_value) < 0 ||
        (rest->len > digits && rest->ptr[digits] != '-'))
        return false;
    *rest = slice_sub(*rest, digits + 1, rest->len);
    return true;
}

static bool parse_signed(struct slice user, struct proxy_route_token *ret_token, uint64_t *ret_signature)
{
    struct slice rest = slice_sub(user, MARK_BYTES, user.len);
    uint64_t head, flow = SIP_FLOW_NONE;

    if ((user.len != LONG_BYTES && user.len != LONG_BYTES - FLOW_BYTES) ||
        !slice_starts_with(user, SLICE(MARK)) || !take_hex(&rest, HEAD_BYTES - MARK_BYTES - 1, &head))
        return false;
    if (user.len == LONG_BYTES && (!take_hex(&rest, HEX64, &flow) || flow == SIP_FLOW_NONE))
        return false;
    if (!take_hex(&rest, HEX64, ret_signature))
        return false;
    *ret_token = (struct proxy_route_token){(uint8_t)(head >> 8), (uint8_t)head, flow};
    return true;
}

bool proxy_route_token_parse(struct slice user, struct proxy_route_token *ret_token)
{
    uint64_t signature;

    return parse_signed(user, ret_token, &signature);
}

bool proxy_route_token_verify(const struct hash_key *secret, struct slice user, struct slice call_id,
                              struct slice from_tag, struct slice to_tag, struct proxy_route_token *ret_token)
{
    struct proxy_route_token token;
    uint64_t signature;

    if (!parse_signed(user, &token, &signature))
        return false;
    if (signature != sign(secret, &token, call_id, from_tag) &&
        signature != sign(secret, &token, call_id, to_tag))
        return false;
    *ret_token = token;
    return true;
}

struct slice proxy_to_tag_format(const struct hash_key *key, struct slice call_id, struct slice from_tag,
                                 uint32_t cseq, char out[PROXY_TO_TAG_BYTES])
{
    struct hash_state st;

    hash_begin_table(&st, key);
    hash_add(&st, call_id);
    hash_add_nocase(&st, from_tag);
    hash_add_u64(&st, cseq);
    memcpy(out, MARK, MARK_BYTES);
    num_format_hex64(hash_end64(&st), out + MARK_BYTES);
    return slice_make(out, PROXY_TO_TAG_BYTES);
}

/* Six bits of the hash in each octet. */
struct slice proxy_refusal_mark_format(const struct hash_key *key, char out[PROXY_REFUSAL_MARK_BYTES])
{
    static const char letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
    const unsigned half = PROXY_REFUSAL_MARK_BYTES / 2;
    struct hash_state st;
    struct hash128 hash;

    hash_begin(&st, key);
    hash_add(&st, SLICE("refusal"));
    hash = hash_end128(&st);
    for (unsigned i = 0; i < half; i++) {
        out[i] = letters[hash.lo >> i * 6 & 63];
        out[half + i] = letters[hash.hi >> i * 6 & 63];
    }
    return slice_make(out, PROXY_REFUSAL_MARK_BYTES);
}

struct slice proxy_refusal_tag_format(const char mark[PROXY_REFUSAL_MARK_BYTES], struct slice to_tag,
                                      char out[PROXY_REFUSAL_TAG_BYTES])
{
    assert(to_tag.len == PROXY_TO_TAG_BYTES);
    memcpy(out, mark, PROXY_REFUSAL_MARK_BYTES);
    memcpy(out + PROXY_REFUSAL_MARK_BYTES, to_tag.ptr + MARK_BYTES, to_tag.len - MARK_BYTES);
    return slice_make(out, PROXY_REFUSAL_TAG_BYTES);
}
