/* Requests of our own making: this proxy as a UAC (RFC 3261 section 8.1) that asks a gateway whether it is
 * alive, or keeps the way through a NAT open. Never an INVITE: no dialog begins here.
 *
 * Life: proxy_originate() copies what it is given, finds the address, and sends through a client transaction;
 * the addresses of a name are tried one after the other, each by a transaction of its own (RFC 3263
 * section 4.3). One call of `answered` ends it. Who drops the proxy drops what is under way, without that
 * call.
 *
 * Bounded: PROXY_ORIGINS_MAX at a time in one worker, and the memory of each comes out of the budget of
 * requests. While the proxy drains nothing is begun, and what is under way does not hold up its end
 * (proxy_pending does not count it). */
#ifndef PROXY_ORIGINATE_H
#define PROXY_ORIGINATE_H

#include "proxy/proxy.h"
#include "sip/build.h"
#include "sip/msg.h"

#define PROXY_ORIGINS_MAX 4096

/* What to ask, and whom. Slices need to live only during the call. No CR, LF or NUL in any of them. */
struct proxy_origin {
    enum sip_method method; /* not INVITE, ACK, CANCEL or OTHER */
    struct slice uri;       /* Request-URI: sip or sips */
    struct slice to;        /* URI in To; absent: uri (section 8.1.1.2) */
    struct slice from;      /* URI in From; absent: the first listener */
    struct slice routes;    /* Route values in order, comma-separated, each with `lr` (Path), or absent */
    bool has_hop;           /* true: goes to hop (a flow, or an address), whatever uri and routes say */
    struct sip_hop hop;     /* its listener is preferred where there is no flow */
    ms_t timeout_ms;        /* for all of it; 0: as long as Timer F lasts, for each address */
    const struct sip_extra *extra; /* further headers, or NULL */
};

struct proxy_origin_answer {
    unsigned status;          /* 200 to 699; made here: 408 no answer in time, 503 it cannot be reached */
    struct sip_msg *response; /* NULL when status was made here; lives during the call */
    struct sip_hop hop;       /* who was asked last; without an address when there was none */
    ms_t round_trip_ms;       /* from the first transmission to hop; 0 when nothing was sent */
};

/* May call anything of the proxy, proxy_originate() too. */
typedef void proxy_origin_fn(void *ctx, const struct proxy_origin_answer *answer);

/* answered is called once and never from inside this call, if it returns 0; and not at all otherwise.
 * ERR_SYNTAX: a URI or the first Route value cannot be used; ERR_NOTFOUND: no address, or no listener to
 * leave from; ERR_LIMIT: PROXY_ORIGINS_MAX are under way, or the request is longer than a datagram may be
 * (section 18.1.1); ERR_CLOSED: draining; ERR_NOMEM. */
MUST_USE int proxy_originate(struct proxy *proxy, const struct proxy_origin *origin,
                             proxy_origin_fn *answered, void *ctx);
/* A double CRLF to hop, which asks a client for nothing and keeps the way to it open: what RFC 5626
 * section 4.4.1 calls a ping on a stream, and a datagram that is no message. Errors of ports->send;
 * ERR_NOMEM. Also while the proxy drains. */
MUST_USE int proxy_keep_alive(struct proxy *proxy, const struct sip_hop *hop);
/* How many are under way. */
size_t proxy_originations(const struct proxy *proxy);

#endif
