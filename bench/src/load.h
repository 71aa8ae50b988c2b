/* The players: one thread that is all callers and all callees (or registrants) at once, on two UDP sockets.
 *
 * A call lives in a slot. Slot and serial number stand in its Call-ID, so each message that comes back finds its
 * call by two hexadecimal numbers. Who waits too long for an answer sends again as RFC 3261 section 17 says (the
 * intervals doubling from T1), and gives up after 64*T1; every such thing is counted, and so is everything that
 * comes and was not waited for.
 *
 * Closed loop: `in_flight` calls at any time, a new one for each that ends. Open loop: `rate` new ones a second
 * whatever happens, up to `in_flight` at a time; what finds no slot counts as not started. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "base/addr.h"
#include "latency.h"
#include "process.h"
#include <signal.h>
#include <stdbool.h>

enum load_workload {
    LOAD_OPTIONS,  /* OPTIONS 200, to the callee */
    LOAD_CALL,     /* INVITE 180 200 ACK BYE 200 */
    LOAD_REGISTER, /* REGISTER 200, one contact for each user */
    LOAD_PING,     /* OPTIONS 200, answered by the server itself */
};

struct load_opts {
    enum load_workload workload;
    struct addr server, caller, callee; /* callers and callees bind these; port 0: any */
    struct slice domain;                /* absent: callees are called by the address of their socket */
    uint64_t users;                     /* with a domain: u0000000@domain and so on, one after the other */
    struct slice password;              /* absent: no credentials; else of every user */
    size_t in_flight;
    double rate; /* new calls a second; 0: closed loop */
    double seconds, warm_up_seconds;
    uint64_t count;     /* ends after so many, if not 0 */
    uint32_t answer_ms; /* between 180 and 200 */
    uint32_t hold_ms;   /* between ACK and BYE */
    pid_t server_pid;   /* 0: not measured */
    const volatile sig_atomic_t *stop;
};

/* All since the warm-up ended. */
struct load_result {
    double seconds;
    uint64_t completed, failed, refused; /* refused: a 503; its call is not among the failed */
    uint64_t not_started, timeouts, retransmissions, strays, unexpected, dropped;
    uint64_t statuses[7];   /* of finals that failed a call, by class */
    struct latency latency; /* from a call's first request to the answer to it: 200 */
    uint64_t own_cpu_ns;
    struct process_cost server_before, server_after;
    size_t in_progress_max;
};

/* Returns a code of sysexits.h; what is wrong is on standard error. */
int load_run(const struct load_opts *opts, struct load_result *ret_result);

#endif
