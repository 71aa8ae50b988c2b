/* What this proxy hands out and wants to know again when it comes back: signed with a secret that all workers
 * share and that survives restarts, so nothing has to be remembered and nothing can be forged. */
#ifndef PROXY_TOKEN_H
#define PROXY_TOKEN_H

#include "base/hash.h"
#include "base/slice.h"
#include <stdint.h>

/* User part of our Record-Route URIs (RFC 3261 section 16.6 step 4):
 *     vd 02 05 - 0123456789abcdef
 *        |  listener           signature over all that and the dialog
 *        worker
 * On the side of a client that nobody can connect to, its connection comes before the signature, also with 16
 * digits and a dash: the flow token of RFC 5626 section 5.3. The dialog is Call-ID and the From tag of the
 * request that carries the Record-Route. A later request in it has that tag in From, when the same side sends,
 * or in To. */
#define PROXY_ROUTE_TOKEN_BYTES 40 /* the longer form */

struct proxy_route_token {
    uint8_t worker, listener;
    uint64_t flow; /* SIP_FLOW_NONE: the shorter form */
};

struct slice proxy_route_token_format(const struct hash_key *secret, const struct proxy_route_token *token,
                                      struct slice call_id, struct slice from_tag,
                                      char out[PROXY_ROUTE_TOKEN_BYTES]);
/* Reads the form alone. */
bool proxy_route_token_parse(struct slice user, struct proxy_route_token *ret_token);
/* True when it was made here for the dialog of this request. */
bool proxy_route_token_verify(const struct hash_key *secret, struct slice user, struct slice call_id,
                              struct slice from_tag, struct slice to_tag,
                              struct proxy_route_token *ret_token);

/* The To tag of the responses made here (sections 8.2.6.2 and 8.2.7): the same for every response to one
 * request, for its CANCEL and its ACK; to anyone else as good as random (19.3). The key is for nothing else:
 * who forges a tag gains no more than that his own ACK is taken for one of his, so the lesser rounds do. */
#define PROXY_TO_TAG_BYTES 18
struct slice proxy_to_tag_format(const struct hash_key *key, struct slice call_id, struct slice from_tag,
                                 uint32_t cseq, char out[PROXY_TO_TAG_BYTES]);

/* That of a refusal under overload begins with a mark, by which its ACK is known without being read (the
 * port `absorb`): the same for all workers with one key, drawn anew with the key, and so long that nothing
 * else holds it by chance. */
#define PROXY_REFUSAL_MARK_BYTES 12
#define PROXY_REFUSAL_TAG_BYTES  28
struct slice proxy_refusal_mark_format(const struct hash_key *key, char out[PROXY_REFUSAL_MARK_BYTES]);
/* In place of to_tag, which is what proxy_to_tag_format made. */
struct slice proxy_refusal_tag_format(const char mark[PROXY_REFUSAL_MARK_BYTES], struct slice to_tag,
                                      char out[PROXY_REFUSAL_TAG_BYTES]);

#endif
