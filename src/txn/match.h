/* Private to the layer: which transaction a message belongs to (RFC 3261 sections 17.1.3 and 17.2.3).
 *
 * A key is 128 bits of a keyed hash; what it was made from is not kept. Requests of RFC 2543 clients have no
 * branch to go by: their key covers what can be hashed, and struct txn_legacy has the rest. */
#ifndef TXN_MATCH_H
#define TXN_MATCH_H

#include "base/hash.h"
#include "txn/txn.h"

bool txn_key_is_server(uint64_t hash);
bool txn_key_is_legacy(uint64_t hash);

/* Of the client transaction for a request with this branch and method. */
struct txn_key txn_key_client(const struct hash_key *secret, struct slice branch, struct slice method_name);

/* Of the server transaction that request belongs to, its method aside: that is compared by the caller,
 * because a CANCEL has to find a transaction of a method it does not name (section 9.2). CANCELs themselves
 * live apart; is_cancel says which side to look on. ERR_NOTFOUND or ERR_SYNTAX when a header that identity
 * rests on is missing or bad. */
MUST_USE int txn_key_server(const struct hash_key *secret, struct sip_msg *request, bool is_cancel,
                            struct txn_key *ret_key);

/* The same by the Via of one of its responses. ERR_NOTFOUND: an RFC 2543 client's, which takes more. */
MUST_USE int txn_key_server_via(const struct hash_key *secret, const struct sip_via *via,
                                struct txn_key *ret_key);

/* What a server transaction of an RFC 2543 client keeps besides its key: equality of URIs cannot be hashed,
 * since it is not transitive (section 19.1.4), and which To tag counts depends on the method. */
struct txn_legacy;

MUST_USE int txn_legacy_new(const struct hash_key *secret, struct sip_msg *request,
                            struct txn_legacy **ret_legacy);
/* NULL is fine. */
void txn_legacy_free(struct txn_legacy *legacy);
/* The To tag of the response that was sent: the one an ACK has to carry. */
void txn_legacy_set_sent_tag(struct txn_legacy *legacy, const struct hash_key *secret, struct slice to_tag);
/* Request-URI and To tag, when the keys are equal. */
bool txn_legacy_matches(const struct txn_legacy *legacy, const struct hash_key *secret,
                        struct sip_msg *request);

#endif
