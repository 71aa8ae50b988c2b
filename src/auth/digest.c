#include "auth/digest.h"
#include "base/num.h"
#include "crypto/crypto.h"
#include "sip/scan.h"

static const struct slice names[CRYPTO_DIGEST_ALG_COUNT] = {
    [CRYPTO_MD5] = {"MD5", 3},
    [CRYPTO_SHA256] = {"SHA-256", 7},
    [CRYPTO_SHA512_256] = {"SHA-512-256", 11},
};

struct slice auth_algorithm_name(enum crypto_digest_alg alg)
{
    return names[alg];
}

int auth_digest_ha1(enum crypto_digest_alg alg, struct slice name, struct slice realm, struct slice password,
                    struct crypto_hex *ret_ha1)
{
    const struct slice parts[] = {name, SLICE(":"), realm, SLICE(":"), password};
    return crypto_digest_hex(alg, parts, sizeof(parts) / sizeof(parts[0]), ret_ha1);
}

/* ---- parsing ---- */

enum param {
    PARAM_USERNAME,
    PARAM_REALM,
    PARAM_NONCE,
    PARAM_URI,
    PARAM_RESPONSE,
    PARAM_ALGORITHM,
    PARAM_CNONCE,
    PARAM_QOP,
    PARAM_NC,
    PARAM_USERNAME_EXT,
    PARAM_COUNT
};

static const struct slice param_names[PARAM_COUNT] = {
    [PARAM_USERNAME] = {"username", 8},
    [PARAM_REALM] = {"realm", 5},
    [PARAM_NONCE] = {"nonce", 5},
    [PARAM_URI] = {"uri", 3},
    [PARAM_RESPONSE] = {"response", 8},
    [PARAM_ALGORITHM] = {"algorithm", 9},
    [PARAM_CNONCE] = {"cnonce", 6},
    [PARAM_QOP] = {"qop", 3},
    [PARAM_NC] = {"nc", 2},
    [PARAM_USERNAME_EXT] = {"username*", 9},
};

/* A quoted string without its quotes and escapes: the text itself when it has none. */
static int unquote(struct slice quoted, struct arena *arena, struct slice *ret_text)
{
    struct slice inner = slice_sub(quoted, 1, quoted.len - 1);
    if (slice_find(inner, '\\') == inner.len) {
        *ret_text = inner;
        return 0;
    }
    char *text = arena_alloc(arena, inner.len);
    if (text == NULL)
        return ERR_NOMEM;
    size_t len = 0;
    for (size_t i = 0; i < inner.len; i++) {
        if (inner.ptr[i] == '\\')
            i++;
        text[len++] = inner.ptr[i];
    }
    *ret_text = slice_make(text, len);
    return 0;
}

/* auth-param-value: token / quoted-string */
static int scan_value(struct sip_scan *s, struct arena *arena, struct slice *ret_value)
{
    const char *from = s->p;
    if (!sip_scan_is(s, '"')) {
        *ret_value = sip_scan_token(s);
        return ret_value->len > 0 ? 0 : ERR_SYNTAX;
    }
    if (!sip_scan_quoted(s))
        return ERR_SYNTAX;
    return unquote(sip_scan_since(s, from), arena, ret_value);
}

/* dig-resp *(COMMA dig-resp); names that are not known are passed over. */
static int scan_params(struct sip_scan *s, struct arena *arena, struct slice values[PARAM_COUNT])
{
    do {
        struct slice name = sip_scan_token(s), value;
        if (name.len == 0 || !sip_scan_separator(s, '='))
            return ERR_SYNTAX;
        int rc = scan_value(s, arena, &value);
        if (rc != 0)
            return rc;
        for (int i = 0; i < PARAM_COUNT; i++) {
            if (!slice_eq_nocase(name, param_names[i]))
                continue;
            if (!slice_is_null(values[i]))
                return ERR_SYNTAX;
            values[i] = value;
        }
    } while (sip_scan_separator(s, ','));
    sip_scan_sws(s);
    return sip_scan_at_end(s) ? 0 : ERR_SYNTAX;
}

/* RFC 3261 section 22.4 item 8: without qop a client of RFC 2543 is meant; it has no cnonce and no nc. */
static bool take_qop(const struct slice values[PARAM_COUNT], struct auth_credentials *c)
{
    if (slice_is_null(values[PARAM_QOP]))
        return true;
    uint64_t nc;
    bool is_whole = slice_eq_nocase(values[PARAM_QOP], SLICE("auth")) &&
                    !slice_is_null(values[PARAM_CNONCE]) && values[PARAM_NC].len == 8 &&
                    num_parse_hex64(values[PARAM_NC], &nc) == 0 && nc > 0;
    if (!is_whole)
        return false;
    c->has_qop = true;
    c->cnonce = values[PARAM_CNONCE];
    c->nc_text = values[PARAM_NC];
    c->nc = (uint32_t)nc;
    return true;
}

/* RFC 7616 section 3.4: "Sending both username and username* in the same header option MUST be treated as an
 * error." We have no use for username* alone either. */
static bool has_required(const struct slice values[PARAM_COUNT])
{
    for (int i = PARAM_USERNAME; i <= PARAM_RESPONSE; i++) {
        if (slice_is_null(values[i]))
            return false;
    }
    return slice_is_null(values[PARAM_USERNAME_EXT]);
}

/* RFC 7616 section 3.3: absent means MD5. */
static void take_algorithm(struct slice name, struct auth_credentials *c)
{
    c->is_known = slice_is_null(name);
    c->alg = CRYPTO_MD5;
    for (int i = 0; i < CRYPTO_DIGEST_ALG_COUNT && !c->is_known; i++) {
        if (slice_eq_nocase(name, names[i])) {
            c->is_known = true;
            c->alg = (enum crypto_digest_alg)i;
        }
    }
}

int auth_credentials_parse(struct slice value, struct arena *arena, struct auth_credentials *ret_credentials)
{
    struct sip_scan s = sip_scan_of(value);
    sip_scan_sws(&s);
    if (!slice_eq_nocase(sip_scan_token(&s), SLICE("Digest")))
        return ERR_UNSUPPORTED;
    if (!sip_scan_lws(&s))
        return ERR_SYNTAX;
    struct slice values[PARAM_COUNT] = {{0}};
    int rc = scan_params(&s, arena, values);
    if (rc != 0)
        return rc;
    if (slice_is_null(values[PARAM_REALM]))
        return ERR_SYNTAX;
    struct auth_credentials c = {.username = values[PARAM_USERNAME],
                                 .realm = values[PARAM_REALM],
                                 .nonce = values[PARAM_NONCE],
                                 .uri = values[PARAM_URI],
                                 .response = values[PARAM_RESPONSE]};
    take_algorithm(values[PARAM_ALGORITHM], &c);
    c.is_complete = take_qop(values, &c) && has_required(values);
    *ret_credentials = c;
    return 0;
}

/* ---- verification ---- */

/* RFC 7616 section 3.4.1; without qop by section 3.4.1's predecessor, RFC 2617 section 3.2.2.1. */
int auth_credentials_verify(const struct auth_credentials *c, const struct crypto_hex *ha1,
                            struct slice method)
{
    struct crypto_hex ha2, expected;
    const struct slice a2[] = {method, SLICE(":"), c->uri};
    int rc = crypto_digest_hex(c->alg, a2, sizeof(a2) / sizeof(a2[0]), &ha2);
    if (rc != 0)
        return rc;
    const struct slice head[] = {crypto_hex_slice(ha1), SLICE(":"), c->nonce, SLICE(":")};
    const struct slice qop[] = {c->nc_text, SLICE(":"), c->cnonce, SLICE(":auth:")};
    struct slice parts[9];
    size_t n = 0;
    for (size_t i = 0; i < 4; i++)
        parts[n++] = head[i];
    for (size_t i = 0; i < 4 && c->has_qop; i++)
        parts[n++] = qop[i];
    parts[n++] = crypto_hex_slice(&ha2);
    rc = crypto_digest_hex(c->alg, parts, n, &expected);
    if (rc != 0)
        return rc;
    return crypto_equal(crypto_hex_slice(&expected), c->response) ? 0 : ERR_DENIED;
}

void auth_challenge_put(struct buf *out, struct slice realm, struct slice nonce, enum crypto_digest_alg alg,
                        bool stale)
{
    buf_lit(out, "Digest realm=\"");
    buf_put(out, realm);
    buf_lit(out, "\", nonce=\"");
    buf_put(out, nonce);
    buf_lit(out, "\", algorithm=");
    buf_put(out, names[alg]);
    buf_lit(out, ", qop=\"auth\"");
    if (stale)
        buf_lit(out, ", stale=true");
}
