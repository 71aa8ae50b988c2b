/* One scenario while it runs: the world, the peers, every message so far, and the verdict. */
#ifndef SCENARIO_RUN_H
#define SCENARIO_RUN_H

#include "digest.h"
#include "plain.h"
#include "script.h"
#include "services.h"
#include "world.h"

struct peer {
    struct slice name, aor, contact;
    struct addr addr;
    uint8_t transports[2];
    size_t n_transports;
    struct addr *others; /* further source addresses it has used */
    size_t n_others;
    unsigned n_calls, n_tags, n_register;
};

/* A message that crossed the network. */
struct record {
    bool from_proxy;
    bool is_sip;
    bool seen;         /* from the proxy: the script has dealt with it, and the peer has it */
    bool lost;         /* dealt with, but it never reached the peer */
    struct peer *peer; /* NULL: an address that is nobody's */
    struct slice label;
    struct slice bytes;
    struct plain msg;
    ms_t at_ms;
    uint16_t listener;
    uint8_t transport;
    struct addr far; /* the peer's end */
    uint64_t flow;
    struct world_sent sent; /* from the proxy only */
};

struct variable {
    struct slice name, value;
};

struct run_options;

struct run {
    struct heap *heap; /* the world's */
    struct world world;
    struct services_opts services_opts;
    const struct script_part *part;
    bool started;
    bool verbose;
    bool lenient; /* out-of-memory mode: what is missing is skipped, nothing is compared */
    const struct run_options *options;
    bool free_end; /* the script does not care what is sent after its last line */

    struct peer *peers[32];
    size_t n_peers;
    struct record **records;
    size_t n_records;
    struct variable *variables;
    size_t n_variables;
    struct slice *ignored;
    size_t n_ignored;
    struct services_user *users; /* with a password */
    size_t n_users;
    unsigned n_branches;

    bool failed;
    struct text report;
};

enum verdict { VERDICT_PASS, VERDICT_FAIL };

struct run_options {
    bool verbose;
    bool lenient;
    long long fail_after; /* allocations that succeed before they begin to fail; negative: none fails */
    bool fail_once;       /* memory is there again with the next statement */
    bool fail_at_start;   /* count the allocations of the start of the proxy too */
};

/* Runs one scenario: the statements of `common`, then its own. *ret_exhausted (may be NULL): an allocation
 * was made to fail. */
enum verdict run_scenario(const struct script *script, const struct script_part *part,
                          const struct run_options *options, bool *ret_exhausted);

/* Writes file, line, statement and the reason into the report; false, so that it can be returned. In lenient
 * mode it says nothing: the statement is skipped. */
bool run_fail(struct run *run, const struct stmt *stmt, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* For what is wrong with the script itself: never skipped. */
bool run_bad_script(struct run *run, const struct stmt *stmt, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* ${variable}, ${label.path}. False after reporting a name that means nothing. */
bool run_expand(struct run *run, const struct stmt *stmt, struct slice text, struct slice *ret_text);
/* Brings the proxy up if it is not. */
bool run_start(struct run *run, const struct stmt *stmt);

struct peer *run_peer(struct run *run, struct slice name);
struct peer *run_peer_at(struct run *run, const struct addr *addr, uint8_t transport);
struct record *run_labelled(struct run *run, struct slice label);
struct record *run_add_record(struct run *run);
/* Messages of the proxy that the script has not dealt with. */
struct record *run_unseen(struct run *run);
/* Fails when there are any. */
bool run_check_silence(struct run *run, const struct stmt *stmt);
struct slice run_describe(struct run *run, const struct record *r);

/* setup.c: true in *ret_known when it was a setup statement. */
bool setup_run(struct run *run, const struct stmt *stmt, bool *ret_known);
/* groups.c */
bool groups_setup_group(struct run *run, const struct stmt *stmt);
bool groups_setup_member(struct run *run, const struct stmt *stmt);
bool setup_parse_ms(struct slice text, ms_t *ret_ms);
bool setup_parse_hop(struct slice text, struct addr *ret_addr, uint8_t *ret_transport);
/* peer.c: "alice > proxy ...". */
bool peer_run(struct run *run, const struct stmt *stmt);
/* expect.c: "expect ...", "allow ...". in_group: any order. */
bool expect_run(struct run *run, const struct stmt *stmt, bool in_group);
/* lint.c: what holds for every message of the proxy; absent when it is fine. */
struct slice lint_message(struct run *run, const struct record *r);

#endif
