#include "proxy/branch_id.h"
#include "base/num.h"
#include "txn/txn.h"

#define COOKIE     "z9hG4bK"
#define WORKER_OFF (sizeof(COOKIE "vd") - 1)
#define UNIQUE_OFF (WORKER_OFF + 3)
#define LOOP_OFF   (UNIQUE_OFF + 17)

_Static_assert(LOOP_OFF + 16 == PROXY_BRANCH_BYTES, "the form in the header");

struct slice proxy_branch_id_format(const struct proxy_branch_id *id, char out[PROXY_BRANCH_BYTES])
{
    static const char digits[] = "0123456789abcdef";

    memcpy(out, id->is_stateless ? COOKIE "vs" : COOKIE "vd", WORKER_OFF);
    out[WORKER_OFF] = digits[id->worker >> 4];
    out[WORKER_OFF + 1] = digits[id->worker & 15];
    out[UNIQUE_OFF - 1] = out[LOOP_OFF - 1] = '-';
    num_format_hex64(id->unique, out + UNIQUE_OFF);
    num_format_hex64(id->loop, out + LOOP_OFF);
    return slice_make(out, PROXY_BRANCH_BYTES);
}

bool proxy_branch_id_parse(struct slice branch, struct proxy_branch_id *ret_id)
{
    struct proxy_branch_id id = {0};
    uint64_t worker;

    if (branch.len != PROXY_BRANCH_BYTES || !slice_starts_with_nocase(branch, SLICE(COOKIE "v")) ||
        branch.ptr[UNIQUE_OFF - 1] != '-' || branch.ptr[LOOP_OFF - 1] != '-' ||
        num_parse_hex64(slice_make(branch.ptr + WORKER_OFF, 2), &worker) < 0 ||
        num_parse_hex64(slice_make(branch.ptr + UNIQUE_OFF, 16), &id.unique) < 0 ||
        num_parse_hex64(slice_make(branch.ptr + LOOP_OFF, 16), &id.loop) < 0)
        return false;
    switch (branch.ptr[WORKER_OFF - 1]) {
    case 'd':
    case 'D':
        break;
    case 's':
    case 'S':
        id.is_stateless = true;
        break;
    default:
        return false;
    }
    id.worker = (uint8_t)worker;
    *ret_id = id;
    return true;
}

/* Each value with its length, and the header it is of, so that none can stand in for another. */
static void add_header(struct hash_state *st, const struct sip_msg *msg, enum sip_hdr_id id)
{
    for (uint16_t i = msg->first[id]; i != SIP_HDR_NONE; i = msg->hdrs[i].next) {
        hash_add_u64(st, (uint64_t)1 << 63 | id); /* no length of anything */
        hash_add(st, sip_hdr_value(msg, &msg->hdrs[i]));
    }
}

void proxy_hash_request(struct hash_state *st, struct sip_msg *request)
{
    const struct sip_cseq *cseq;

    hash_add(st, sip_msg_call_id(request));
    hash_add_nocase(st, sip_msg_from_tag(request)); /* a token (section 7.3.1) */
    hash_add_u64(st, sip_msg_cseq(request, &cseq) == 0 ? cseq->number : 0);
}

uint64_t proxy_branch_loop_hash(const struct hash_key *key, struct sip_msg *request, struct slice asked_for,
                                uint64_t way, bool is_stateless)
{
    struct hash_state st;

    hash_begin_table(&st, key);
    hash_add_u64(&st, way);
    hash_add(&st, asked_for);
    add_header(&st, request, SIP_HDR_ROUTE);
    if (!is_stateless) {
        add_header(&st, request, SIP_HDR_PROXY_REQUIRE);
        add_header(&st, request, SIP_HDR_PROXY_AUTHORIZATION);
    }
    proxy_hash_request(&st, request);
    return hash_end64(&st);
}

int proxy_branch_stateless_unique(const struct hash_key *key, struct sip_msg *request, uint64_t *ret_unique)
{
    const struct sip_via *via;
    struct hash_state st;
    int rc = sip_msg_top_via(request, &via);

    if (rc < 0)
        return rc;
    hash_begin_table(&st, key);
    if (txn_branch_is_rfc3261(via->branch)) {
        /* A branch is unique only to the client that made it. */
        hash_add_nocase(&st, via->branch);
        hash_add_nocase(&st, via->host);
        hash_add_u64(&st, via->port);
    } else {
        /* Without the To tag, against the letter of section 16.11: that of an ACK differs from that of its
         * INVITE, and both must be forwarded with one branch (section 16.6 step 8). */
        hash_add(&st, via->text);
        hash_add(&st, request->ruri);
        proxy_hash_request(&st, request);
    }
    *ret_unique = hash_end64(&st);
    return 0;
}
