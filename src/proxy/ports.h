/* What the proxy core needs from the world. The core decides; whoever implements these ports acts. `app`
 * wires them to the transport, the resolver and the location service; tests implement them with fakes. Every
 * port is called from the worker's own thread, never blocks, and never calls back into the core during the
 * call. */
#ifndef PROXY_PORTS_H
#define PROXY_PORTS_H

#include "base/arena.h"
#include "base/clock.h"
#include "base/wire.h"
#include "sip/hop.h"
#include "sip/uri.h"

struct proxy_watch;

/* One place where a user can be reached (RFC 3261 section 10): what a look-up of an address-of-record gives.
 * All slices live in the arena given to the look-up. */
struct proxy_binding {
    struct slice uri; /* becomes the Request-URI, as registered */
    /* Route values from Path (RFC 3327 section 5.3), comma-separated in order, or absent. */
    struct slice path;
    /* Of two bindings with the same instance one is tried, and the other when it fails (RFC 5626 section 7);
     * absent: it is one of its own. */
    struct slice instance;
    unsigned q_milli; /* 0..1000 */
    bool needs_tls;   /* although uri does not say so: it stands for a SIPS one (RFC 5630 section 5.3) */
    bool has_hop;     /* true: reach it by `hop` (the flow it registered over), not by resolving uri */
    struct sip_hop hop;
    const struct proxy_watch *watch; /* who looks after it (request.h), or NULL; lives as long as the proxy */
    unsigned member;                 /* what the watch knows it by */
};

#define PROXY_HOPS_MAX  64 /* candidates of one resolution */
#define PROXY_HOPS_STEP 8  /* so many more than those that have failed, if there are: fewer are all of them */

/* A question by RFC 3263. */
struct proxy_lookup {
    const struct sip_uri *uri; /* of the next hop */
    uint64_t ticket;           /* says which question a late answer is for */
    /* Where the order is drawn by lot (RFC 2782), the lot: the same records and the same seed give the same
     * order, in any worker and after a restart. */
    uint64_t seed;
    bool is_steady; /* nothing else may count, not even what failed lately (RFC 3263 section 4.4) */
    /* Of the addresses given for this URI and seed before: at least PROXY_HOPS_STEP more than those are
     * wanted. */
    size_t n_failed;
    const struct addr *source; /* who makes us ask; NULL: we ourselves, or one who is trusted */
};

/* How a request fared at the address it was sent to (RFC 3263 section 4.3). */
enum proxy_fate {
    PROXY_FATE_ANSWERED,    /* a response came */
    PROXY_FATE_TIMEOUT,     /* none did: Timer B or F */
    PROXY_FATE_UNREACHABLE, /* transport error */
    PROXY_FATE_UNAVAILABLE, /* 503 with Retry-After (RFC 3261 section 21.5.4) */
};
struct proxy_report {
    const struct sip_hop *hop;
    enum proxy_fate fate;
    ms_t elapsed_ms;        /* since the request was sent */
    uint32_t retry_after_s; /* of UNAVAILABLE */
};

struct proxy_ports {
    void *ctx;

    /* Puts wire on its way to hop, whose listener, transport and addr are set. Takes its own reference if it
     * keeps the wire. 0: taken; a failure seen later is told by proxy_send_failed(token). A negative err: it
     * cannot be sent. */
    int (*send)(void *ctx, const struct sip_hop *hop, struct wire *wire, uint64_t token);

    /* A message with this Call-ID has been read, and what is sent before the call of the core that gave it
     * returns is most likely about it, though not all of it need be: a failure during that call may let a
     * timer run that sends what is of another. So it is good as a hint about order and for nothing else: what
     * is sent under one Call-ID keeps its order, and may pass what is sent under another. Absent: a message
     * that has none. NULL: nobody wants to know. */
    void (*concerns)(void *ctx, struct slice call_id);

    /* RFC 3263: from the URI of the next hop to an ordered list of addresses. transport, addr (with port) of
     * each hop are set; the core chooses the listener. Numeric hosts and /etc/hosts names are answered at
     * once. ERR_AGAIN: the answer comes later by proxy_resolved(ticket). ERR_NOTFOUND: no such host. */
    int (*resolve)(void *ctx, const struct proxy_lookup *lookup, struct sip_hop ret_hops[PROXY_HOPS_MAX],
                   size_t *ret_count);

    /* Told once for each client transaction that did not go by a flow of its own, as soon as it is known. NULL:
     * nobody wants to know. */
    void (*report)(void *ctx, const struct proxy_report *report);

    /* The bindings of a canonical address-of-record ("sip:alice@example.com"). 0 with *ret_count == 0: the
     * user is known and has no binding (480). ERR_NOTFOUND: no such user (404). ERR_NOMEM: arena full. At
     * most max bindings. */
    int (*locate)(void *ctx, struct slice aor, unix_s_t now_s, struct arena *arena, size_t max,
                  const struct proxy_binding **ret_bindings, size_t *ret_count);

    /* Does what is sent to `to` leave by the interface of this host that has the address `from`? Asked where listeners with
     * several addresses could send it. NULL: nobody knows. */
    bool (*leads)(void *ctx, const struct addr *from, const struct addr *to);

    /* Datagrams that begin with "ACK " and hold this mark (token.h) need not be given to the core from now
     * on: it would do nothing but drop them. Absent: each is needed again. NULL: they all come. */
    void (*absorb)(void *ctx, struct slice mark);

    /* Unpredictable octets; cannot fail. */
    void (*random)(void *ctx, void *out, size_t bytes);
};

#endif
