/* The branch parameter of the Via this proxy adds: RFC 3261 section 16.6 step 8 as replaced by RFC 5393
 * section 4.2.1, and section 16.11 for what is forwarded statelessly.
 *
 *     z9hG4bK vd 02 - 0123456789abcdef - fedcba9876543210
 *     cookie  kind|   unique             what routing depended on
 *                 worker, in hex; ff: any worker will do
 *
 * kind is "vd" where a client transaction waits for the response, "vs" where the response is forwarded by its
 * Via alone. */
#ifndef PROXY_BRANCH_ID_H
#define PROXY_BRANCH_ID_H

#include "base/hash.h"
#include "sip/msg.h"

#define PROXY_BRANCH_BYTES 45
#define PROXY_WORKER_ANY   0xff

struct proxy_branch_id {
    bool is_stateless;
    uint8_t worker;
    uint64_t unique;
    uint64_t loop;
};

/* The text, in out. */
struct slice proxy_branch_id_format(const struct proxy_branch_id *id, char out[PROXY_BRANCH_BYTES]);
/* False when it has not the form of a branch of ours; nothing is verified. */
bool proxy_branch_id_parse(struct slice branch, struct proxy_branch_id *ret_id);

/* Adds what tells one request of a client from his others, but for their copies, ACKs and CANCELs, when no
 * branch does: Call-ID, From tag and the number in CSeq. */
void proxy_hash_request(struct hash_state *st, struct sip_msg *request);

/* Both parts below are hashes with a key of their own (two, since what goes into them may look alike).
 * Nobody believes them when they come back: who forged one could as well leave his Via out. So the
 * lesser rounds of hash_begin_table() do.
 *
 * The second part: a hash over everything in a received request that its routing depends on: the Request-URI
 * (asked_for: of a user of ours the address-of-record, since its port and parameters make no difference to
 * where the request goes), Route values, Proxy-Require, Proxy-Authorization, the way it came and would go
 * (way: its listener and static route); and Call-ID, From tag and CSeq number, so that a collision does not
 * repeat itself in another transaction (RFC 5393 section 4.2.4). Neither method nor To tag, which differ
 * between an INVITE and its CANCEL or ACK. A stateless branch leaves out what CANCEL and ACK need not repeat
 * (Proxy-Require, Proxy-Authorization), for theirs must be that of the INVITE. */
uint64_t proxy_branch_loop_hash(const struct hash_key *key, struct sip_msg *request, struct slice asked_for,
                                uint64_t way, bool is_stateless);

/* The first part for a stateless branch: a function of what a retransmission, the CANCEL and the ACK of a
 * non-2xx have in common (section 16.11, first procedure for a branch with the cookie, second without).
 * ERR_SYNTAX: no top Via. */
MUST_USE int proxy_branch_stateless_unique(const struct hash_key *key, struct sip_msg *request,
                                           uint64_t *ret_unique);

#endif
