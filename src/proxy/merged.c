/* Merged requests: RFC 3261 section 8.2.2.2. What is answered here as by a UAS is noted for as long as its server
 * transaction lives: under the number of Call-ID, From tag and CSeq. What is forwarded never gets here. */
#include "proxy/internal.h"

/* The To tag of the answer is a keyed hash of Call-ID, From tag and the number in CSeq already.
 * Who gets it must not know the one here. */
static uint64_t hash_of(struct proxy_context *c)
{
    struct hash_state st;

    hash_begin_table(&st, &c->req.proxy->branch_key);
    hash_add(&st, proxy_own_tag(c));
    hash_add(&st, c->req.msg->method_name);
    return hash_end64(&st);
}

bool proxy_check_merged(struct proxy_request *req)
{
    struct proxy_context *c = proxy_context_of(req);
    struct proxy *p = req->proxy;
    struct proxy_own *own;
    uint64_t hash;

    if (c->own || !req->server || !slice_is_null(sip_msg_to_tag(req->msg)))
        return true;
    hash = hash_of(c);
    if (map_first(&p->own, hash)) {
        (void)proxy_reply(req, 482, SLICE_NULL, NULL, "the same request by another way (8.2.2.2)");
        return false;
    }
    own = pool_get(&p->owns);
    /* Without memory its copies are answered like itself. */
    if (!own)
        return true;
    own->user.kind = PROXY_USER_OWN;
    map_insert(&p->own, &own->node, hash);
    c->own = own;
    return true;
}

void proxy_own_free(struct proxy *p, struct proxy_own *own)
{
    if (!own)
        return;
    map_remove(&p->own, &own->node);
    pool_put(&p->owns, own);
}

static void forget(struct map_node *node, void *ctx)
{
    proxy_own_free(ctx, map_entry(node, struct proxy_own, node));
}

void proxy_own_clear(struct proxy *p)
{
    map_each(&p->own, forget, p);
}
