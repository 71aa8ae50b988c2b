#include "txn/match.h"
#include "base/mem.h"

/* At the top, since the map takes its buckets from the low bits. */
#define KEY_IS_SET    (UINT64_C(1) << 63)
#define KEY_IS_SERVER (UINT64_C(1) << 62)
#define KEY_IS_CANCEL (UINT64_C(1) << 61)
#define KEY_IS_LEGACY (UINT64_C(1) << 60)
#define KEY_FLAGS     (KEY_IS_SET | KEY_IS_SERVER | KEY_IS_CANCEL | KEY_IS_LEGACY)

#define NO_TAG 0

struct txn_legacy {
    uint64_t received_tag, sent_tag; /* hashes of To tags, or NO_TAG */
    size_t uri_len;
    char uri[];
};

/* Tokens compare without case unless it is said otherwise (section 7.3.1), and for the cookie it is not. */
bool txn_branch_is_rfc3261(struct slice branch)
{
    const struct slice cookie = SLICE("z9hG4bK");

    return branch.len > cookie.len && slice_starts_with_nocase(branch, cookie);
}

static struct txn_key key_end(struct hash_state *st, uint64_t flags)
{
    struct hash128 h = hash_end128(st);

    return (struct txn_key){.hash = (h.lo & ~KEY_FLAGS) | KEY_IS_SET | flags, .check = h.hi};
}

bool txn_key_is_server(uint64_t hash)
{
    return (hash & KEY_IS_SERVER) != 0;
}

bool txn_key_is_legacy(uint64_t hash)
{
    return (hash & KEY_IS_LEGACY) != 0;
}

struct txn_key txn_key_client(const struct hash_key *secret, struct slice branch, struct slice method_name)
{
    struct hash_state st;

    hash_begin_table(&st, secret);
    hash_add_nocase(&st, branch);
    hash_add(&st, method_name);
    return key_end(&st, 0);
}

static void add_sent_by(struct hash_state *st, const struct sip_via *via)
{
    hash_add_nocase(st, via->host);
    hash_add_u64(st, via->port ? via->port : sip_transport_default_port(via->transport));
}

static uint64_t tag_hash(const struct hash_key *secret, struct slice tag)
{
    struct hash_state st;

    if (slice_is_null(tag))
        return NO_TAG;
    hash_begin_table(&st, secret);
    hash_add_nocase(&st, tag);
    return hash_end64(&st) | 1;
}

/* Index of the ';' that ends the parameter, or the length. */
static size_t param_end(struct slice params)
{
    bool quoted = false;

    for (size_t i = 0; i < params.len; i++) {
        if (params.ptr[i] == '"')
            quoted = !quoted;
        else if (quoted && params.ptr[i] == '\\')
            i++;
        else if (!quoted && params.ptr[i] == ';')
            return i;
    }
    return params.len;
}

/* "Both have the same set of parameters" (section 20.42): a sum does not depend on their order. */
static uint64_t params_hash(const struct hash_key *secret, struct slice params)
{
    uint64_t sum = 0;

    while (params.len > 0) {
        size_t end = param_end(params);
        struct slice param = slice_trim(slice_sub(params, 0, end));

        if (param.len > 0)
            sum += tag_hash(secret, param);
        params = slice_sub(params, end + 1, params.len);
    }
    return sum;
}

/* Section 17.2.3 for a request without a branch of RFC 3261: From tag, Call-ID, CSeq number and top Via. */
static int legacy_key(const struct hash_key *secret, struct sip_msg *request, const struct sip_via *via,
                      uint64_t flags, struct txn_key *ret_key)
{
    const struct sip_cseq *cseq;
    struct hash_state st;
    int rc = sip_msg_cseq(request, &cseq);

    if (rc < 0)
        return rc;
    hash_begin_table(&st, secret);
    hash_add(&st, sip_msg_call_id(request));
    hash_add_u64(&st, tag_hash(secret, sip_msg_from_tag(request)));
    hash_add_u64(&st, cseq->number);
    hash_add_nocase(&st, via->transport_text);
    add_sent_by(&st, via);
    hash_add_u64(&st, params_hash(secret, via->params));
    *ret_key = key_end(&st, flags | KEY_IS_LEGACY);
    return 0;
}

static struct txn_key via_key(const struct hash_key *secret, const struct sip_via *via, uint64_t flags)
{
    struct hash_state st;

    hash_begin_table(&st, secret);
    hash_add_nocase(&st, via->branch);
    add_sent_by(&st, via);
    return key_end(&st, flags);
}

int txn_key_server_via(const struct hash_key *secret, const struct sip_via *via, struct txn_key *ret_key)
{
    if (!txn_branch_is_rfc3261(via->branch))
        return ERR_NOTFOUND;
    *ret_key = via_key(secret, via, KEY_IS_SERVER);
    return 0;
}

int txn_key_server(const struct hash_key *secret, struct sip_msg *request, bool is_cancel,
                   struct txn_key *ret_key)
{
    uint64_t flags = KEY_IS_SERVER | (is_cancel ? KEY_IS_CANCEL : 0);
    const struct sip_via *via;
    int rc = sip_msg_top_via(request, &via);

    if (rc < 0)
        return rc;
    if (!txn_branch_is_rfc3261(via->branch))
        return legacy_key(secret, request, via, flags, ret_key);
    *ret_key = via_key(secret, via, flags);
    return 0;
}

int txn_legacy_new(const struct hash_key *secret, struct sip_msg *request, struct txn_legacy **ret_legacy)
{
    /* Not longer than the start line that the parser's limits let through. */
    size_t len = request->ruri.len;
    struct txn_legacy *legacy = mem_alloc(sizeof(*legacy) + len);

    if (!legacy)
        return ERR_NOMEM;
    legacy->received_tag = tag_hash(secret, sip_msg_to_tag(request));
    legacy->sent_tag = NO_TAG;
    legacy->uri_len = len;
    if (len > 0)
        memcpy(legacy->uri, request->ruri.ptr, len);
    *ret_legacy = legacy;
    return 0;
}

void txn_legacy_free(struct txn_legacy *legacy)
{
    mem_free(legacy);
}

void txn_legacy_set_sent_tag(struct txn_legacy *legacy, const struct hash_key *secret, struct slice to_tag)
{
    legacy->sent_tag = tag_hash(secret, to_tag);
}

static bool same_uri(const struct txn_legacy *legacy, struct sip_msg *request)
{
    struct slice text = slice_make(legacy->uri, legacy->uri_len);
    const struct sip_uri *theirs;
    struct sip_uri ours;

    if (slice_eq(text, request->ruri))
        return true;
    return sip_uri_parse(text, &ours) == 0 && sip_msg_ruri(request, &theirs) == 0 &&
           sip_uri_eq(&ours, theirs);
}

bool txn_legacy_matches(const struct txn_legacy *legacy, const struct hash_key *secret,
                        struct sip_msg *request)
{
    uint64_t tag = tag_hash(secret, sip_msg_to_tag(request));

    /* "The To tag of the ACK matches the To tag of the response sent by the server transaction." */
    if (request->method == SIP_METHOD_ACK)
        return tag == legacy->sent_tag && same_uri(legacy, request);
    return tag == legacy->received_tag && same_uri(legacy, request);
}
