/* The players: one thread that is all callers and all callees (or registrants) at once, on two UDP sockets,
 * or on two sets of connections.
 *
 * A call lives in a slot. Slot and serial number stand in its Call-ID, so each message that comes back finds
 * its call by two hexadecimal numbers. Who waits too long for an answer sends again as RFC 3261 section 17
 * says (the intervals doubling from T1; over a stream nothing but a 200 to INVITE), and gives up after 64*T1;
 * every such thing is counted, and so is everything that comes and was not waited for.
 *
 * Closed loop: `in_flight` calls at any time, a new one for each that ends. Open loop: `rate` new ones a
 * second whatever happens, up to `in_flight` at a time; what finds no slot counts as not started. There the
 * time of a call is measured from when it should have begun, so that a server that stalls everybody has
 * stalled those too that could not even begin.
 *
 * Over connections, callees cannot be called by address: they register first (RFC 5626), the users shared out
 * among the connections, and are called by name. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "base/addr.h"
#include "latency.h"
#include "port.h"
#include "process.h"
#include <signal.h>
#include <stdbool.h>

enum load_workload {
    LOAD_OPTIONS,  /* OPTIONS 200, to the callee */
    LOAD_CALL,     /* INVITE 180 200 ACK BYE 200 */
    LOAD_CANCEL,   /* INVITE 180, CANCEL 200, 487 ACK */
    LOAD_REFUSED,  /* INVITE 180 486 ACK */
    LOAD_REGISTER, /* REGISTER 200, one contact for each user */
    LOAD_PING,     /* OPTIONS 200, answered by the server itself */
    LOAD_IDLE,     /* connections, and nothing on them */
};

struct load_opts {
    enum load_workload workload;
    enum port_kind kind;
    size_t connections;                 /* of callers, and as many of callees; 1 for UDP */
    struct addr server, caller, callee; /* callers and callees bind these; port 0: any */
    struct slice domain;                /* absent: callees are called by the address of their socket */
    uint64_t users;                     /* with a domain: u0000000@domain and so on, one after the other */
    struct slice password;              /* absent: no credentials; else of every user */
    bool keep_nonce;                    /* a user answers one challenge as often as the server lets him */
    size_t in_flight;
    size_t ringing;   /* calls that ring all the time, besides */
    double rate;      /* new calls a second; 0: closed loop */
    bool stays_awake; /* never sleeps, so that nobody spends time on waking it */
    bool obeys;       /* RFC 7339: asks in its Via how much less to send, and withholds as many new calls */
    double seconds, warm_up_seconds;
    uint64_t count;     /* ends after so many, if not 0 */
    uint32_t answer_ms; /* between 180 and the final answer, or CANCEL */
    uint32_t hold_ms;   /* between ACK and BYE */
    pid_t server_pid;   /* 0: not measured */
    const volatile sig_atomic_t *stop;
};

/* All since the warm-up ended. */
struct load_result {
    double seconds;
    uint64_t completed, failed, refused; /* refused: a 503; its call is not among the failed */
    uint64_t withheld;                   /* because the server wanted less (RFC 7339) */
    uint64_t not_started, timeouts, retransmissions, strays, unexpected, dropped;
    uint64_t messages;            /* that came back */
    uint64_t request_bytes;       /* of the first request of the last call */
    uint64_t finals, final_bytes; /* that callers got */
    uint64_t statuses[7];         /* of finals that failed a call, by class */
    struct latency latency;       /* from a call's first request to the answer to it: 200 */
    uint64_t own_cpu_ns;
    struct process_cost server_before, server_after;
    uint64_t server_pss_first_bytes;   /* before the first message or connection */
    uint64_t server_pss_ringing_bytes; /* when `ringing` calls had come to ring, before anything else */
    size_t in_progress_max;
};

/* Returns a code of sysexits.h; what is wrong is on standard error. */
int load_run(const struct load_opts *opts, struct load_result *ret_result);

#endif
