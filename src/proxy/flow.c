#include "proxy/flow.h"
#include "base/num.h"

#define MARK       "vf"
#define MARK_BYTES (sizeof(MARK) - 1)
#define HEAD_BYTES (MARK_BYTES + 1)
#define SIGN_BYTES 32
#define DATA_MAX   32

static const char use_letters[PROXY_FLOW_USES] = {'p', 'a', 'b'};

/* What is signed, and in which dialog. */
struct signing {
    const struct proxy_opts *opts;
    enum proxy_flow_use use;
    const uint8_t *data;
    size_t len;
    struct slice call_id, tag;
};

static struct hash128 sign(const struct signing *s)
{
    struct hash_state st;

    hash_begin(&st, &s->opts->secret);
    hash_add(&st, SLICE("flow"));
    hash_add_u64(&st, s->use);
    hash_add(&st, slice_make((const char *)s->data, s->len));
    if (s->use != PROXY_FLOW_PATH) {
        hash_add(&st, s->call_id);
        hash_add_nocase(&st, s->tag); /* a token (section 7.3.1) */
    }
    return hash_end128(&st);
}

/* A listener may have another number after the next start, but then it has the same address. */
static uint32_t name_of_listener(const struct proxy_opts *opts, const struct proxy_listener *l)
{
    struct hash_state st;

    hash_begin(&st, &opts->secret);
    hash_add(&st, SLICE("listener"));
    hash_add_u64(&st, l->transport);
    hash_add_u64(&st, l->addr.port);
    hash_add(&st, slice_make((const char *)l->addr.ip, sizeof(l->addr.ip)));
    return (uint32_t)hash_end64(&st);
}

/* The next number; *p moves behind it. */
static uint64_t take(const uint8_t **p, size_t bytes)
{
    *p += bytes;
    return num_get_octets(*p - bytes, bytes);
}

static size_t ip_bytes(uint8_t family)
{
    return family == ADDR_IPV4 ? 4 : family == ADDR_IPV6 ? 16 : 0;
}

static bool is_stream(uint8_t transport)
{
    return sip_transport_is_reliable((enum sip_transport)transport);
}

static size_t data_bytes(uint8_t transport, uint8_t family)
{
    return 1 + 4 + 1 + ip_bytes(family) + 2 + (is_stream(transport) ? 8 : 0);
}

static size_t pack(const struct proxy_opts *opts, const struct sip_hop *hop, uint8_t out[DATA_MAX])
{
    uint8_t *p = num_put_octets(out, hop->transport, 1);

    p = num_put_octets(p, name_of_listener(opts, &opts->listeners[hop->listener]), 4);
    p = num_put_octets(p, hop->addr.family, 1);
    memcpy(p, hop->addr.ip, ip_bytes(hop->addr.family));
    p = num_put_octets(p + ip_bytes(hop->addr.family), hop->addr.port, 2);
    if (is_stream(hop->transport))
        p = num_put_octets(p, hop->flow, 8);
    return (size_t)(p - out);
}

/* data is ours: its signature is right. */
static enum proxy_flow_found unpack(const struct proxy_opts *opts, const uint8_t *data,
                                    struct sip_hop *ret_hop)
{
    struct sip_hop hop = {.transport = (uint8_t)take(&data, 1), .flow_only = true};
    uint32_t listener = (uint32_t)take(&data, 4);

    hop.addr.family = (uint8_t)take(&data, 1);
    memcpy(hop.addr.ip, data, ip_bytes(hop.addr.family));
    data += ip_bytes(hop.addr.family);
    hop.addr.port = (uint16_t)take(&data, 2);
    if (is_stream(hop.transport))
        hop.flow = take(&data, 8);
    for (size_t i = 0; i < opts->n_listeners; i++) {
        const struct proxy_listener *l = &opts->listeners[i];

        if (l->transport == hop.transport && name_of_listener(opts, l) == listener) {
            hop.listener = (uint16_t)i;
            *ret_hop = hop;
            return PROXY_FLOW_FOUND;
        }
    }
    return PROXY_FLOW_GONE;
}

struct slice proxy_flow_format(const struct proxy_opts *opts, enum proxy_flow_use use,
                               const struct sip_hop *hop, struct sip_msg *msg,
                               char out[PROXY_FLOW_TOKEN_BYTES_MAX])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t data[DATA_MAX];
    struct signing s = {opts, use, data, pack(opts, hop, data), sip_msg_call_id(msg), sip_msg_from_tag(msg)};
    struct hash128 signature = sign(&s);
    char *p = out + HEAD_BYTES;

    memcpy(out, MARK, MARK_BYTES);
    out[MARK_BYTES] = use_letters[use];
    for (size_t i = 0; i < s.len; i++) {
        *p++ = digits[data[i] >> 4];
        *p++ = digits[data[i] & 15];
    }
    *p++ = '-';
    num_format_hex64(signature.hi, p);
    num_format_hex64(signature.lo, p + 16);
    return slice_make(out, (size_t)(p + SIGN_BYTES - out));
}

/* A token in its parts. */
struct token {
    enum proxy_flow_use use;
    uint8_t data[DATA_MAX];
    size_t len;
    struct hash128 signature;
};

static bool split_data(struct slice hex, struct token *token)
{
    if (hex.len % 2 != 0 || hex.len / 2 > DATA_MAX || hex.len < 2 * 6)
        return false;
    token->len = hex.len / 2;
    for (size_t i = 0; i < token->len; i++) {
        uint64_t octet;

        if (num_parse_hex64(slice_sub(hex, 2 * i, 2 * i + 2), &octet) != 0)
            return false;
        token->data[i] = (uint8_t)octet;
    }
    return token->data[0] < SIP_TRANSPORT_COUNT && token->len == data_bytes(token->data[0], token->data[5]);
}

static bool split_use(struct slice user, struct token *token)
{
    for (int i = 0; i < PROXY_FLOW_USES; i++) {
        if (user.ptr[MARK_BYTES] == use_letters[i]) {
            token->use = (enum proxy_flow_use)i;
            return true;
        }
    }
    return false;
}

/* The form alone. */
static bool split(struct slice user, struct token *token)
{
    size_t sign_at;

    if (user.len <= HEAD_BYTES + 1 + SIGN_BYTES || !slice_starts_with(user, SLICE(MARK)) ||
        !split_use(user, token))
        return false;
    sign_at = user.len - SIGN_BYTES;
    return user.ptr[sign_at - 1] == '-' && split_data(slice_sub(user, HEAD_BYTES, sign_at - 1), token) &&
           num_parse_hex64(slice_sub(user, sign_at, sign_at + 16), &token->signature.hi) == 0 &&
           num_parse_hex64(slice_sub(user, sign_at + 16, user.len), &token->signature.lo) == 0;
}

bool proxy_flow_has_form(struct slice user)
{
    struct token token;

    return split(user, &token);
}

/* In a time that does not tell how much of it is right. */
static bool is_signed(const struct proxy_opts *opts, const struct token *token, struct slice call_id,
                      struct slice tag)
{
    const struct signing s = {opts, token->use, token->data, token->len, call_id, tag};
    struct hash128 right = sign(&s);

    return ((right.hi ^ token->signature.hi) | (right.lo ^ token->signature.lo)) == 0;
}

/* Section 5.3: "If the flow in the flow token ... matches the source IP address and port of the request,
 * the request is an "outgoing" request". */
static bool is_source(const struct sip_hop *flow, const struct sip_hop *from)
{
    return flow->transport == from->transport && flow->flow == from->flow &&
           addr_eq(&flow->addr, &from->addr);
}

enum proxy_flow_found proxy_flow_read(const struct proxy_opts *opts, struct slice user, struct sip_msg *msg,
                                      const struct sip_hop *from, struct proxy_flow *ret_flow)
{
    bool by_from, by_to;
    enum proxy_flow_found found;
    struct token token = {0};

    if (slice_is_null(user) || !split(user, &token))
        return PROXY_FLOW_ABSENT;
    ret_flow->use = token.use;
    by_from = is_signed(opts, &token, sip_msg_call_id(msg), sip_msg_from_tag(msg));
    by_to = is_signed(opts, &token, sip_msg_call_id(msg), sip_msg_to_tag(msg));
    if (!by_from && !by_to)
        return PROXY_FLOW_FORGED;
    found = unpack(opts, token.data, &ret_flow->hop);
    if (found != PROXY_FLOW_FOUND)
        return found;
    /* In a dialog its tags say who sends, also after a NAT has given the client another port. */
    if (token.use == PROXY_FLOW_PATH || (by_from && by_to))
        ret_flow->is_incoming = !is_source(&ret_flow->hop, from);
    else
        ret_flow->is_incoming = by_from == (token.use == PROXY_FLOW_CALLEE);
    return PROXY_FLOW_FOUND;
}
